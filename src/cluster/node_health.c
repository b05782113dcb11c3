/*-------------------------------------------------------------------------
 *
 * node_health.c
 *	  Do the nodes answer?  A background worker looks every cz.health_interval, all nodes at
 *	  once; view cz_nodes shows what it found, a change is in the log and told to who listens
 *	  to cz_health.
 *
 * What it finds is known to all backends, together with what their statements have found
 * (remote/health.c).  It is a hint: whether a node can be used is found out by using it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cluster_int.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "rebalance_int.h"

PG_FUNCTION_INFO_V1(cz_node_health);

/* By CzHealthState */
static const char *const state_names[] = {"unknown", "up", "suspect", "down", "disabled"};

/* What each is asked */
#define HEALTH_SQL "SELECT pg_catalog.current_setting('server_version_num')"

/* A node's state as views show it; not to be freed. */
static const char *
state_name(const CzNode *node, const CzHealth *health)
{
	if (node->clone_of != NULL)
		return "clone";
	/* it is one for all at once, whenever somebody looks next */
	if (!node->is_active)
		return state_names[CZ_HEALTH_DISABLED];
	return state_names[health->state == CZ_HEALTH_DISABLED ? CZ_HEALTH_UNKNOWN : health->state];
}

/*
 * CzNodeHealthColumns
 *		See cluster_int.h.
 */
void
CzNodeHealthColumns(const CzNode *node, const CzHealth *health, Datum *values, bool *nulls)
{
	values[0] = ObjectIdGetDatum(node->server_oid);
	values[1] = CStringGetTextDatum(state_name(node, health));
	nulls[2] = health->since == 0;
	values[2] = TimestampTzGetDatum(health->since);
	nulls[3] = health->last_contact == 0;
	values[3] = TimestampTzGetDatum(health->last_contact);
	values[4] = Int32GetDatum(health->failures);
}

/* Tell of a change: in the log, and to who listens. */
static void
tell(const CzNode *node, const CzHealth *now, CzHealthState was)
{
	StringInfoData payload;

	ereport(LOG,
			(errcode(now->state == CZ_HEALTH_SUSPECT || now->state == CZ_HEALTH_DOWN ?
					 ERRCODE_CONNECTION_FAILURE : ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("node \"%s\" is %s", node->name, state_names[now->state]),
			 now->reason[0] != '\0' ? errdetail_log("%s", now->reason) : 0));
	/* placements may be missing, or may be made whole now */
	CzMaintenanceWake();
	/* what a start of the server finds is no news */
	if (was == CZ_HEALTH_UNKNOWN && now->state == CZ_HEALTH_UP)
		return;
	initStringInfo(&payload);
	appendStringInfo(&payload, "%s %s", state_names[now->state], node->name);
	Async_Notify("cz_health", payload.data);
}

static void
look_at(const CzNode *node, const CzOutsideCommand *command)
{
	CzHealthState state = CZ_HEALTH_DISABLED;
	const char *reason = NULL;
	CzHealthState told = CZ_HEALTH_UNKNOWN;
	CzHealth	now;

	if (command != NULL)
	{
		state = CZ_HEALTH_SUSPECT;
		reason = command->answer;
		if (command->is_ok && command->answer != NULL)
		{
			state = CZ_HEALTH_UP;
			reason = NULL;
		}
	}
	if (CzHealthLook(node->server_oid, state, reason, &now, &told))
		tell(node, &now, told);
}

/* A worker's version, as it has answered; 0: it has not. */
static int
version_of(const CzOutsideCommand *command)
{
	return command->is_ok && command->answer != NULL ? atoi(command->answer) : 0;
}

/* Workers that have been upgraded since they were looked at last; two lists as one. */
static void
note_versions(List *server_oids, List *versions)
{
	ListCell   *lo;
	ListCell   *lv;

	if (server_oids == NIL)
		return;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	forboth(lo, server_oids, lv, versions)
		CzNodeNoteVersion(lfirst_oid(lo), lfirst_int(lv));
	PopActiveSnapshot();
	CommitTransactionCommand();
	list_free(server_oids);
	list_free(versions);
}

/*
 * health_task
 *		cz_health_task: look at all nodes; true: there are none.
 */
static bool
health_task(void)
{
	List	   *nodes = NIL;
	List	   *commands = NIL;
	List	   *server_oids = NIL;
	List	   *upgraded = NIL;
	List	   *versions = NIL;
	MemoryContext context = CurrentMemoryContext;
	bool		is_empty;
	ListCell   *lc;
	ListCell   *lo;

	CzTaskSession();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "health of nodes");
	if (CzExtensionIsThere() && !CzTxnIsReplaced() &&
		CzTxnIsCoordinator())
		nodes = CzNodeList(false);
	foreach(lc, nodes)
	{
		CzNode	   *node = lfirst(lc);
		CzOutsideCommand *command;

		server_oids = lappend_oid(server_oids, node->server_oid);
		if (!node->is_active)
			continue;
		command = palloc0(sizeof(CzOutsideCommand));
		command->server_oid = node->server_oid;
		command->sql = HEALTH_SQL;
		commands = lappend(commands, command);
	}
	CzOutsideLook(commands, GetUserId());
	CzHealthForget(server_oids);
	foreach(lc, nodes)
	{
		CzOutsideCommand *found = NULL;

		foreach(lo, commands)
		{
			CzOutsideCommand *command = lfirst(lo);

			if (command->server_oid == ((CzNode *) lfirst(lc))->server_oid)
				found = command;
		}
		look_at(lfirst(lc), found);
		if (found != NULL && version_of(found) != 0 && ((CzNode *) lfirst(lc))->is_checked &&
			((CzNode *) lfirst(lc))->major != version_of(found) / 10000)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			upgraded = lappend_oid(upgraded, found->server_oid);
			versions = lappend_int(versions, version_of(found));
			MemoryContextSwitchTo(old);
		}
	}
	is_empty = nodes == NIL;
	PopActiveSnapshot();
	CommitTransactionCommand();
	/* a failure of that is none of the look's */
	note_versions(upgraded, versions);
	return is_empty;
}

/*
 * CzNodeHealthInit
 *		See cluster.h.
 */
void
CzNodeHealthInit(void)
{
	cz_health_task = health_task;
}

/*
 * CzHealthDownServers
 *		See rebalance_int.h.
 */
List *
CzHealthDownServers(int down_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
	{
		Oid			server_oid = ((CzNode *) lfirst(lc))->server_oid;
		CzHealth	health = CzHealthGet(server_oid);

		if (((CzNode *) lfirst(lc))->clone_of != NULL)
			continue;
		if ((health.state == CZ_HEALTH_DOWN || health.state == CZ_HEALTH_DISABLED) &&
			now >= TimestampTzPlusMilliseconds(health.since, down_ms))
			result = lappend_oid(result, server_oid);
	}
	return result;
}

/*
 * cz_node_health(OUT server_oid oid, OUT state text, OUT since timestamptz,
 *				  OUT last_contact timestamptz, OUT failures int, OUT reason text,
 *				  OUT bytes bigint)
 *		What is known of each node, and how much the shards on it take: they are asked for
 *		that, so that what is known is true also if nobody looks (cz.health_interval).
 */
Datum
cz_node_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *nodes = CzNodeList(false);
	HTAB	   *sizes = CzNodeSizes();
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, nodes)
	{
		CzNode	   *node = lfirst(lc);
		CzHealth	health = CzHealthGet(node->server_oid);
		CzNodeSize *size = hash_search(sizes, &node->server_oid, HASH_FIND, NULL);
		Datum		values[7];
		bool		nulls[7] = {0};

		CzNodeHealthColumns(node, &health, values, nulls);
		nulls[5] = health.reason[0] == '\0';
		values[5] = CStringGetTextDatum(health.reason);
		nulls[6] = size == NULL;
		values[6] = Int64GetDatum(size ? size->bytes : 0);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
