/*-------------------------------------------------------------------------
 *
 * activate.c
 *	  Bring a worker that was disabled back into use.
 *
 * While it was disabled, writes and changes of tables went to the other placements
 * only, and nothing says which.  So all that the worker had is dropped, and made and
 * filled anew: what tables need (types, functions, extensions), the shards from their
 * tables' definitions here, their rows from an active placement, and the reference
 * tables.  Then the worker is active again: all in one transaction.
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
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(citus_activate_node);

/* Columns of cz.cleanup */
#define CLEANUP_SERVER 2
#define CLEANUP_KIND 3
#define CLEANUP_SCHEMA 4
#define CLEANUP_OBJECT 5
#define CLEANUP_ARGS 6
#define CLEANUP_USER 7

/* Is another placement of the shard active?  Else nothing was missed. */
static bool
is_stale(const CzShard *shard, Oid server_oid)
{
	return list_member_oid(CzShardServers(shard->relid), server_oid) &&
		shard->server_oids[0] != server_oid;
}

/* Drop the worker's shards of a table. */
static void
drop_shards(Oid relid, Oid server_oid)
{
	const CzTable *table = CzTableGet(relid);
	StringInfoData names;
	int			i;

	initStringInfo(&names);
	for (i = 0; i < table->nshards; i++)
	{
		if (is_stale(&table->shards[i], server_oid))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 table->shards[i].remote_qualified);
	}
	if (names.len > 0)
		CzTxnExec(server_oid, CzRelationOwner(relid),
				  psprintf("DROP TABLE IF EXISTS %s CASCADE", names.data));
	pfree(names.data);
}

/* Make a table's shards again. */
static void
make_shards(Oid relid, Oid server_oid)
{
	Relation	rel = table_open(relid, AccessExclusiveLock);
	const CzTable *table = CzTableGet(relid);
	Oid			owner = rel->rd_rel->relowner;
	List	   *servers = list_make1_oid(server_oid);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz shard",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *lc;
	int			i;

	CzEnsureShardSchema(servers, owner);
	CzPropagateObjects(relid, servers, owner);
	foreach(lc, table->is_partitioned ? CzRootPartitions(relid) : NIL)
		CzPropagateObjects(lfirst_oid(lc), servers, owner);
	for (i = 0; i < table->nshards; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		if (is_stale(&table->shards[i], server_oid))
			CzMakeShard(rel, table, i, server_oid);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	table_close(rel, NoLock);
}

/* The foreign keys of a table's shards, that went with what they refer to. */
static void
make_keys(Oid relid, Oid server_oid)
{
	const CzTable *table = CzTableGet(relid);
	List	   *keys = CzTreeKeysOnShards(relid, false);
	StringInfoData sql;
	ListCell   *lc;
	int			i;

	initStringInfo(&sql);
	for (i = 0; keys != NIL && i < table->nshards; i++)
	{
		if (!list_member_oid(CzShardServers(table->shards[i].relid), server_oid))
			continue;
		foreach(lc, keys)
		{
			CzKeyShardSql(&sql, lfirst(lc), i, true);
			CzKeyShardSql(&sql, lfirst(lc), i, false);
		}
	}
	if (sql.len > 0)
		CzTxnExec(server_oid, CzRelationOwner(relid), sql.data);
	pfree(sql.data);
}

/* Tables that the shards (list of OIDs) are of. */
static List *
parents_of(List *shards)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, shards)
	{
		Oid			parent_relid;

		if (CzIsShard(lfirst_oid(lc), &parent_relid))
			result = list_append_unique_oid(result, parent_relid);
	}
	return result;
}

static char *
text_of(HeapTuple tuple, AttrNumber attno, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attno, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* Drop what was dropped here while the worker could not be reached. */
static void
drop_left_over(const CzNode *node)
{
	Relation	rel = table_open(CzCatalogRelid("cleanup"), RowExclusiveLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;
		char	   *server = NameStr(*DatumGetName(heap_getattr(tuple, CLEANUP_SERVER, desc, &isnull)));
		char	   *user = NameStr(*DatumGetName(heap_getattr(tuple, CLEANUP_USER, desc, &isnull)));
		Oid			user_oid = get_role_oid(user, true);

		char	   *sql;

		if (strcmp(server, node->name) != 0)
			continue;
		sql = CzCleanupSql(text_of(tuple, CLEANUP_KIND, desc),
						   text_of(tuple, CLEANUP_SCHEMA, desc),
						   text_of(tuple, CLEANUP_OBJECT, desc),
						   text_of(tuple, CLEANUP_ARGS, desc));
		if (sql != NULL)
			CzTxnExec(node->server_oid, OidIsValid(user_oid) ? user_oid : GetUserId(), sql);
		CatalogTupleDelete(rel, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
}

/*
 * citus_activate_node
 *		Copy what the worker should have to it, then take it into use; if it is in
 *		use, only checks it, or gives it aggregates of cz_partial that it lacks.
 *		Writers of the tables wait.
 */
Datum
citus_activate_node(PG_FUNCTION_ARGS)
{
	CzNode	   *node = CzNodeGetOwn(fcinfo);
	List	   *parents;
	ListCell   *cell;

	if (node->is_active)
	{
		/* one made by CREATE SERVER gets its reference tables here at the latest */
		if (node->is_checked)
			CzPartialsCreate(node->server_oid); /* it may let us now */
		else
			CzNodeCheck(node->server_oid);
		PG_RETURN_INT32(node->node_id);
	}

	parents = parents_of(CzShardsOnServer(node->server_oid));
	foreach(cell, parents)
		drop_shards(lfirst_oid(cell), node->server_oid);
	drop_left_over(node);

	/* copies of reference tables are made anew, as on a new worker */
	if (node->is_checked)
	{
		foreach(cell, CzReferenceTableList())
		{
			Oid			relid = lfirst_oid(cell);
			Relation	rel = table_open(relid, ShareRowExclusiveLock);
			const CzTable *table = CzTableGet(relid);

			CzTxnExec(node->server_oid, rel->rd_rel->relowner,
					  psprintf("DROP TABLE IF EXISTS %s CASCADE",
							   table->shards[0].remote_qualified));
			table_close(rel, NoLock);
		}
		CzNodeSetOption(node->server_oid, "checked", NULL);
	}
	/* the old ones are all gone, so types that have changed are in nobody's way */
	foreach(cell, parents)
		make_shards(lfirst_oid(cell), node->server_oid);
	(void) CzInactiveDelete(0, node->server_oid);
	CzNodeSetOption(node->server_oid, "state", NULL);
	CzNodeCheck(node->server_oid);
	/* when the copies are there, to which they refer */
	foreach(cell, parents)
		make_keys(lfirst_oid(cell), node->server_oid);
	PG_RETURN_INT32(node->node_id);
}
