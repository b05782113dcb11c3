/*-------------------------------------------------------------------------
 *
 * node_health.c
 *	  Do the nodes answer?  A background worker looks every cz.health_interval, all nodes at
 *	  once; view cz_nodes shows what it found, a change is in the log and told to who listens
 *	  to cz_health.
 *
 * What it finds is known to all backends, in shared memory.  It is a hint: whether a node
 * can be used is found out by using it (remote/health.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cluster_int.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "rebalance_int.h"

PG_FUNCTION_INFO_V1(cz_node_health);

/* Nodes of all databases; those beyond are not known */
#define SLOTS 1024
/* Looks that must fail until a node is down */
#define DOWN_AFTER 3
#define REASON_LEN 160

typedef enum NodeState
{
	NODE_UNKNOWN,
	NODE_UP,
	NODE_SUSPECT,				/* it did not answer the last time */
	NODE_DOWN,
	NODE_DISABLED				/* out of use: nobody asks it */
} NodeState;

static const char *const state_names[] = {"unknown", "up", "suspect", "down", "disabled"};

typedef struct NodeSlot
{
	Oid			database_oid;	/* InvalidOid: free */
	Oid			server_oid;
	NodeState	state;
	TimestampTz since;			/* it has been so */
	TimestampTz last_contact;	/* 0: never */
	int			failures;		/* one after the other */
	char		reason[REASON_LEN]; /* of the last one */
} NodeSlot;

typedef struct NodeTable
{
	LWLock		lock;
	NodeSlot	slots[SLOTS];
} NodeTable;

static NodeTable *table = NULL;

/*
 * CzNodeHealthShmemSize, CzNodeHealthShmemInit
 *		See cluster.h.
 */
Size
CzNodeHealthShmemSize(void)
{
	return MAXALIGN(sizeof(NodeTable));
}

void
CzNodeHealthShmemInit(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct("cz_fdw nodes", CzNodeHealthShmemSize(), &found);
	if (!found)
	{
		memset(table, 0, sizeof(NodeTable));
		LWLockInitialize(&table->lock, LWLockNewTrancheId());
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(table->lock.tranche, "cz_fdw nodes");
}

/* A server's slot, a free one if create; lock held.  NULL: there is none. */
static NodeSlot *
find_slot(Oid server_oid, bool create)
{
	NodeSlot   *slot = NULL;
	int			i;

	for (i = 0; i < SLOTS; i++)
	{
		if (table->slots[i].database_oid == MyDatabaseId &&
			table->slots[i].server_oid == server_oid)
			return &table->slots[i];
		if (create && slot == NULL && !OidIsValid(table->slots[i].database_oid))
			slot = &table->slots[i];
	}
	if (slot != NULL)
	{
		memset(slot, 0, sizeof(NodeSlot));
		slot->database_oid = MyDatabaseId;
		slot->server_oid = server_oid;
		slot->since = GetCurrentTimestamp();
	}
	return slot;
}

static NodeSlot
read_slot(Oid server_oid)
{
	NodeSlot	result = {0};
	NodeSlot   *slot;

	if (table == NULL)
		return result;
	LWLockAcquire(&table->lock, LW_SHARED);
	slot = find_slot(server_oid, false);
	if (slot != NULL)
		result = *slot;
	LWLockRelease(&table->lock);
	return result;
}

/* What a look has found; true: the state is another one than before, *was. */
static bool
note_state(Oid server_oid, NodeState state, const char *reason, NodeSlot *now, NodeState *was)
{
	NodeSlot   *slot;
	bool		is_change;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	slot = find_slot(server_oid, true);
	if (slot == NULL)
	{
		LWLockRelease(&table->lock);
		return false;
	}
	*was = slot->state;
	if (state == NODE_SUSPECT)
	{
		slot->failures++;
		if (slot->failures >= DOWN_AFTER)
			state = NODE_DOWN;
		strlcpy(slot->reason, reason ? reason : "", REASON_LEN);
	}
	else
	{
		slot->failures = 0;
		slot->reason[0] = '\0';
	}
	if (state == NODE_UP)
		slot->last_contact = GetCurrentTimestamp();
	is_change = slot->state != state;
	if (is_change)
		slot->since = GetCurrentTimestamp();
	slot->state = state;
	*now = *slot;
	LWLockRelease(&table->lock);
	return is_change;
}

/* Tell of a change: in the log, and to who listens. */
static void
tell(const CzNode *node, const NodeSlot *now, NodeState was)
{
	StringInfoData payload;

	ereport(LOG,
			(errmsg("node \"%s\" is %s", node->name, state_names[now->state]),
			 now->reason[0] != '\0' ? errdetail_log("%s", now->reason) : 0));
	/* what a start of the server finds is no news */
	if (was == NODE_UNKNOWN && now->state == NODE_UP)
		return;
	initStringInfo(&payload);
	appendStringInfo(&payload, "%s %s", state_names[now->state], node->name);
	Async_Notify("cz_health", payload.data);
}

static void
look_at(const CzNode *node, const CzOutsideCommand *command)
{
	NodeState	state = NODE_DISABLED;
	const char *reason = NULL;
	NodeState	was = NODE_UNKNOWN;
	NodeSlot	now;

	if (command != NULL)
	{
		state = NODE_SUSPECT;
		reason = command->answer;
		if (command->is_ok && command->answer != NULL)
		{
			if (strcmp(command->answer, "f") == 0)
				state = NODE_UP;
			else
				reason = "It is in recovery.";
		}
	}
	if (note_state(node->server_oid, state, reason, &now, &was))
		tell(node, &now, was);
	/* reads avoid it, so that none of them has to find out */
	if (now.state == NODE_DOWN)
		CzHealthMarkFailed(node->server_oid);
}

/* Forget servers that are gone. */
static void
forget_others(List *nodes)
{
	int			i;
	ListCell   *lc;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (i = 0; i < SLOTS; i++)
	{
		if (table->slots[i].database_oid != MyDatabaseId)
			continue;
		foreach(lc, nodes)
		{
			if (((CzNode *) lfirst(lc))->server_oid == table->slots[i].server_oid)
				break;
		}
		if (lc == NULL)
			table->slots[i].database_oid = InvalidOid;
	}
	LWLockRelease(&table->lock);
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
	ListCell   *lc;
	ListCell   *lo;

	CzTaskSession();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "health of nodes");
	if (table != NULL && OidIsValid(get_extension_oid("cz_fdw", true)) && CzTxnIsCoordinator())
		nodes = CzNodeList(false);
	foreach(lc, nodes)
	{
		CzNode	   *node = lfirst(lc);
		CzOutsideCommand *command;

		if (!node->is_active)
			continue;
		command = palloc0(sizeof(CzOutsideCommand));
		command->server_oid = node->server_oid;
		command->sql = "SELECT pg_catalog.pg_is_in_recovery()";
		commands = lappend(commands, command);
	}
	CzOutsideRun(commands, GetUserId(), false, true);
	if (table != NULL)
		forget_others(nodes);
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
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	return nodes == NIL;
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
		NodeSlot	slot = read_slot(server_oid);

		if ((slot.state == NODE_DOWN || slot.state == NODE_DISABLED) &&
			now >= TimestampTzPlusMilliseconds(slot.since, down_ms))
			result = lappend_oid(result, server_oid);
	}
	return result;
}

/*
 * cz_node_health(OUT server_oid oid, OUT state text, OUT since timestamptz,
 *				  OUT last_contact timestamptz, OUT failures int, OUT reason text)
 *		What the last look at each node has found.
 */
Datum
cz_node_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, CzNodeList(false))
	{
		CzNode	   *node = lfirst(lc);
		NodeSlot	slot = read_slot(node->server_oid);
		Datum		values[6];
		bool		nulls[6] = {0};

		/* it is one for all at once, whenever somebody looks next */
		if (!node->is_active)
			slot.state = NODE_DISABLED;
		values[0] = ObjectIdGetDatum(node->server_oid);
		values[1] = CStringGetTextDatum(state_names[slot.state]);
		nulls[2] = slot.since == 0;
		values[2] = TimestampTzGetDatum(slot.since);
		nulls[3] = slot.last_contact == 0;
		values[3] = TimestampTzGetDatum(slot.last_contact);
		values[4] = Int32GetDatum(slot.failures);
		nulls[5] = slot.reason[0] == '\0';
		values[5] = CStringGetTextDatum(slot.reason);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
