/*-------------------------------------------------------------------------
 *
 * node_leave.c
 *	  Workers that leave: for a while (citus_disable_node), for good
 *	  (citus_remove_node, cz_lose_node), or to another address (citus_update_node).
 *
 * None of these needs the worker, which may be dead, nor waits for readers, or for
 * writers longer than a moment: statements under way go on with the placements that they
 * know.  What they write to a worker that has been taken out of use nobody reads, and it
 * is made anew before it is used again.  A transaction that finds its worker gone, or that
 * has written to one that counts no more, may be repeated (40001).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "cluster_int.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(citus_remove_node);
PG_FUNCTION_INFO_V1(citus_disable_node);
PG_FUNCTION_INFO_V1(cz_lose_node);
PG_FUNCTION_INFO_V1(citus_update_node);

/* Shards that an error names, at most */
#define MAX_NAMED 20

/* How long writers are waited for, and between two looks at one; for so many shards at most */
#define WRITERS_WAIT_MS 1000
#define WRITERS_STEP_MS 5
#define MAX_AWAITED 4096

/* A shard with a placement on a worker. */
typedef struct OnNode
{
	const CzTable *table;
	int			index;
	bool		is_only;		/* no other placement is active */
} OnNode;

/* Has a shard an active placement that is not on the server? */
static bool
has_other_placement(const CzShard *shard, Oid server_oid)
{
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		if (shard->server_oids[i] != server_oid &&
			CzNodeGet(shard->server_oids[i])->is_active)
			return true;
	}
	return false;
}

/* The shards on a worker, of all tables: list of OnNode. */
static List *
list_shards(Oid server_oid)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		int			i;
		int			j;

		for (i = 0; table != NULL && CzTableIsDistributed(table) && i < table->nshards; i++)
		{
			const CzShard *shard = &table->shards[i];

			for (j = 0; j < shard->nall; j++)
			{
				OnNode	   *on_node;

				if (shard->all_oids[j] != server_oid)
					continue;
				on_node = palloc0(sizeof(OnNode));
				on_node->table = table;
				on_node->index = i;
				on_node->is_only = !has_other_placement(shard, server_oid);
				result = lappend(result, on_node);
				break;
			}
		}
	}
	return result;
}

static int
count_only(List *shards)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, shards)
		n += ((OnNode *) lfirst(lc))->is_only;
	return n;
}

/* Names of shards that have no other placement, for an error's detail. */
static char *
name_only(List *shards)
{
	StringInfoData names;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, shards)
	{
		OnNode	   *on_node = lfirst(lc);

		if (!on_node->is_only)
			continue;
		if (n++ == MAX_NAMED)
		{
			appendStringInfo(&names, ", ... (%d)", count_only(shards));
			break;
		}
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 get_rel_name(on_node->table->shards[on_node->index].relid));
	}
	return names.data;
}

/* Shards by number, that writers lock in the same order. */
static int
compare_shards(const ListCell *a, const ListCell *b)
{
	const OnNode *x = lfirst(a);
	const OnNode *y = lfirst(b);
	int64		x_id = x->table->shards[x->index].shard_id;
	int64		y_id = y->table->shards[y->index].shard_id;

	return x_id < y_id ? -1 : x_id > y_id ? 1 : 0;
}

/*
 * await_writers
 *		Let transactions that write the shards come to an end, so that none of them finds
 *		before its commit that other placements count now (40001).  Not for long: who
 *		takes a dead worker out of use does not wait for somebody's lunch.
 */
static void
await_writers(List *shards)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), WRITERS_WAIT_MS);
	ListCell   *lc;

	if (list_length(shards) > MAX_AWAITED)
		return;
	list_sort(shards, compare_shards);
	foreach(lc, shards)
	{
		OnNode	   *on_node = lfirst(lc);

		while (!CzTxnTryLockShard(&on_node->table->shards[on_node->index]))
		{
			if (GetCurrentTimestamp() >= end)
				return;
			CHECK_FOR_INTERRUPTS();
			pg_usleep(WRITERS_STEP_MS * 1000L);
		}
	}
}

static void
refuse_only_placements(const CzNode *node, List *shards, const char *verb, const char *hint)
{
	int			n = count_only(shards);

	if (n > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_plural("cannot %s node at \"%s:%d\": it holds the only active placement of %d shard",
							   "cannot %s node at \"%s:%d\": it holds the only active placement of %d shards",
							   n, verb, node->host, node->port, n),
				 errdetail("These are %s.", name_only(shards)),
				 errhint("%s", hint)));
}

/*
 * CzNodeDropServer
 *		See cluster_int.h.
 */
void
CzNodeDropServer(Oid server_oid)
{
	Relation	rel = table_open(UserMappingRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *umids = NIL;
	ListCell   *cell;
	ObjectAddress address;

	ScanKeyInit(&key, Anum_pg_user_mapping_umserver, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(server_oid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		umids = lappend_oid(umids, ((Form_pg_user_mapping) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);

	foreach(cell, umids)
	{
		ObjectAddressSet(address, UserMappingRelationId, lfirst_oid(cell));
		performDeletion(&address, DROP_RESTRICT, 0);
	}
	ObjectAddressSet(address, ForeignServerRelationId, server_oid);
	performDeletion(&address, DROP_RESTRICT, 0);
}

/* Forget the placements of shards that have others. */
static void
forget_placements(List *shards, Oid server_oid)
{
	ListCell   *lc;

	foreach(lc, shards)
	{
		OnNode	   *on_node = lfirst(lc);
		Oid			relid = on_node->table->shards[on_node->index].relid;

		if (!on_node->is_only)
			CzShardSetPlacements(relid, list_delete_oid(CzShardServers(relid), server_oid));
	}
}

static void
warn_of_fewer(const CzNode *node, int nshards)
{
	if (nshards > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("%d shards have lost a placement with node \"%s\"",
						nshards, node->name),
				 errhint("SELECT replicate_table_shards() makes new ones.")));
}

/*
 * citus_remove_node
 *		Forget a worker.  Placements that have another one elsewhere and copies
 *		of reference tables are forgotten with it; what is stored there stays
 *		there, for the worker may be gone.
 */
Datum
citus_remove_node(PG_FUNCTION_ARGS)
{
	CzNode	   *node = CzNodeGetOwn(fcinfo, true);
	List	   *shards = list_shards(node->server_oid);

	CzTxnCheckCoordinator();
	CzCloneRefuse(node, "remove");
	refuse_only_placements(node, shards, "remove",
						   "Move them by citus_drain_node(), or, if the node is lost, use cz_lose_node().");
	await_writers(shards);
	forget_placements(shards, node->server_oid);
	(void) CzInactiveDelete(0, node->server_oid);
	CzTxnForgetWorker(node->server_oid);
	CzNodeDropServer(node->server_oid);
	warn_of_fewer(node, list_length(shards));
	PG_RETURN_VOID();
}

/*
 * citus_disable_node
 *		Take a worker out of use: it is neither read nor written until
 *		citus_activate_node brings its placements up to date.
 */
Datum
citus_disable_node(PG_FUNCTION_ARGS)
{
	CzNode	   *node = CzNodeGetOwn(fcinfo, true);
	List	   *shards;

	if (!node->is_active)
		PG_RETURN_VOID();
	shards = list_shards(node->server_oid);
	refuse_only_placements(node, shards, "disable", "Move or copy them first.");
	await_writers(shards);
	CzNodeSetOption(node->server_oid, "state", "disabled");
	PG_RETURN_VOID();
}

static void
put_lost(ReturnSetInfo *rsinfo, List *shards)
{
	ListCell   *lc;

	foreach(lc, shards)
	{
		OnNode	   *on_node = lfirst(lc);
		Datum		values[2];
		bool		nulls[2] = {0};

		if (!on_node->is_only)
			continue;
		values[0] = ObjectIdGetDatum(on_node->table->relid);
		values[1] = Int64GetDatum(on_node->table->shards[on_node->index].shard_id);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* Shards whose rows are gone: whoever asks for them gets an error. */
static void
mark_lost(List *shards, Oid server_oid)
{
	ListCell   *lc;

	foreach(lc, shards)
	{
		OnNode	   *on_node = lfirst(lc);

		if (!on_node->is_only)
			continue;
		(void) CzInactiveDelete(on_node->table->shards[on_node->index].shard_id, server_oid);
		(void) CzLostInsert(on_node->table->shards[on_node->index].shard_id, server_oid,
							"the node was lost");
		CzInvalidateTable(on_node->table->relid);
	}
}

/*
 * cz_lose_node(name name, force boolean, OUT table_name regclass, OUT shardid bigint)
 *		A worker is gone for good: forget it, without asking it anything.
 *
 * Shards of which there is nothing elsewhere are an error; with force they are returned,
 * and every access to them is an error: rows that are gone are never silently absent.
 * The server stays then, out of use, until their tables are dropped.
 */
Datum
cz_lose_node(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	bool		force = PG_GETARG_BOOL(1);
	CzNode	   *node = CzNodeGet(get_foreign_server_oid(name, false));
	List	   *shards;
	int			nlost;

	PreventCommandIfReadOnly("cz_lose_node()");
	InitMaterializedSRF(fcinfo, 0);
	CzTxnCheckCoordinator();
	CzNodeCheckOwner(node);
	CzNodesLock();
	node = CzNodeGet(node->server_oid);
	shards = list_shards(node->server_oid);
	nlost = count_only(shards);
	if (!force)
		refuse_only_placements(node, shards, "forget",
							   "If their rows are really lost, use cz_lose_node() with force => true.");
	put_lost((ReturnSetInfo *) fcinfo->resultinfo, shards);
	forget_placements(shards, node->server_oid);
	(void) CzInactiveDelete(0, node->server_oid);
	if (nlost > 0)
	{
		mark_lost(shards, node->server_oid);
		CzNodeSetOption(node->server_oid, "state", "disabled");
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg_plural("%d shard is lost with node \"%s\"",
							   "%d shards are lost with node \"%s\"", nlost, nlost, node->name),
				 errdetail("Statements that need it fail."),
				 errhint("Drop the tables, and call cz_lose_node() once more.")));
	}
	else
		CzNodeDropServer(node->server_oid);
	warn_of_fewer(node, list_length(shards) - nlost);
	return (Datum) 0;
}

/*
 * citus_update_node(node_id int, new_node_name text, new_node_port int, force boolean,
 *		lock_cooldown int)
 *		A worker has another address.  Nobody is waited for, so force and lock_cooldown
 *		change nothing.
 */
Datum
citus_update_node(PG_FUNCTION_ARGS)
{
	char	   *host;
	int			port;
	CzNode	   *node;

	PreventCommandIfReadOnly("citus_update_node()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("node id cannot be NULL")));
	CzGetAddress(fcinfo, 1, &host, &port);
	CzTxnCheckCoordinator();
	node = CzNodeOfId(PG_GETARG_INT32(0));
	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node %d does not exist", PG_GETARG_INT32(0))));
	CzNodeCheckOwner(node);
	CzNodesLock();
	CzCloneTakePlace(node, host, port);
	CzNodeSetOption(node->server_oid, "hostaddr", NULL);
	CzNodeSetOption(node->server_oid, "host", host);
	CzNodeSetOption(node->server_oid, "port", psprintf("%d", port));
	CzNodeVerify(node->server_oid);
	PG_RETURN_VOID();
}
