/*-------------------------------------------------------------------------
 *
 * undistribute.c
 *	  undistribute_table: a distributed or reference table becomes an ordinary
 *	  one again, with its rows and its OID.
 *
 * The rows are put into the new storage as they come (ddl/shardrows.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(undistribute_table);

/* A placement that answers; prefers one that the transaction is connected to. */
static Oid
readable_placement(const CzShard *shard, Oid owner)
{
	char	   *message = NULL;
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		CzConn	   *probe;

		if (CzTxnHasConn(shard->server_oids[i], owner))
			return shard->server_oids[i];
		probe = CzConnTryAcquire(CzEndpointGet(shard->server_oids[i], owner), &message);
		if (probe)
		{
			CzConnRelease(probe);
			return shard->server_oids[i];
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not reach any placement of shard " INT64_FORMAT, shard->shard_id),
			 message ? errdetail_internal("%s", message) : 0));
	return InvalidOid;
}

/* A table's shards, which outlive the cache's entry. */
static CzShard *
copy_shards(const CzTable *table)
{
	int			nshards = table->nshards;
	CzShard    *shards = palloc(sizeof(CzShard) * Max(nshards, 1));
	int			i;

	for (i = 0; i < nshards; i++)
	{
		const CzShard *from = &table->shards[i];

		shards[i] = *from;
		shards[i].remote_qualified = pstrdup(from->remote_qualified);
		shards[i].server_oids = palloc(sizeof(Oid) * Max(from->nplacements, 1));
		memcpy(shards[i].server_oids, from->server_oids, sizeof(Oid) * from->nplacements);
	}
	return shards;
}

/* A parent without leaves gets storage again, and the rows of its shards. */
static void
make_heap(Oid relid, const CzShard *shards, int nshards, Datum options, Oid owner)
{
	Oid		   *server_oids = palloc(sizeof(Oid) * Max(nshards, 1));
	Relation	rel;
	CzShardRows *rows;
	TupleTableSlot *slot;
	HeapTuple	tuple;
	BulkInsertState bulk = GetBulkInsertState();
	CommandId	cid;
	ReindexParams params = {0};
	int			i;

	for (i = 0; i < nshards; i++)
		server_oids[i] = readable_placement(&shards[i], owner);
	CzConvertToHeap(relid, options);
	rel = table_open(relid, AccessExclusiveLock);
	slot = table_slot_create(rel, NULL);
	cid = GetCurrentCommandId(true);
	rows = CzShardRowsBegin(RelationGetDescr(rel), shards, server_oids, nshards, owner);
	while ((tuple = CzShardRowsNext(rows, &i)) != NULL)
	{
		ExecForceStoreHeapTuple(tuple, slot, false);
		table_tuple_insert(rel, slot, cid, 0, bulk);
		ExecClearTuple(slot);
	}
	CzShardRowsEnd(rows);
	ExecDropSingleTupleTableSlot(slot);
	FreeBulkInsertState(bulk);
	table_finish_bulk_insert(rel, 0);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	(void) reindex_relation_compat(relid, 0, &params);
	CommandCounterIncrement();
}

static void
undistribute_shards(Oid relid, const CzTable *table)
{
	Oid			owner = CzRelationOwner(relid);
	int			nshards = table->nshards;
	CzShard    *shards = copy_shards(table);
	Datum		options = CzTableOptions(relid);
	int			i;

	/* 1. the partitions go; the workers are told at the end */
	for (i = 0; i < nshards; i++)
	{
		ObjectAddress address;

		LockRelationOid(shards[i].relid, AccessExclusiveLock);
		ObjectAddressSet(address, RelationRelationId, shards[i].relid);
		performDeletion(&address, DROP_RESTRICT, 0);
		CommandCounterIncrement();
	}
	CzForgetTable(relid);

	/* 2. the table gets storage again, and its rows */
	make_heap(relid, shards, nshards, options, owner);

	/* 3. the shards */
	CzDropFlush();
}

/* A root and its partitions: those that the user has not partitioned have the rows. */
static void
undistribute_root(Oid relid)
{
	Oid			owner = CzRelationOwner(relid);
	List	   *partitions = CzRootPartitions(relid);
	ObjectAddress map;
	ListCell   *lc;

	ObjectAddressSet(map, RelationRelationId, CzTableGet(relid)->map_relid);
	foreach(lc, partitions)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	foreach(lc, partitions)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		Relation	rel = relation_open(lfirst_oid(lc), NoLock);

		CheckTableNotInUse(rel, "undistribute_table");
		relation_close(rel, NoLock);
		if (table == NULL || table->is_partitioned)
			continue;
		make_heap(lfirst_oid(lc), copy_shards(table), table->nshards,
				  CzTableOptions(lfirst_oid(lc)), owner);
	}
	/* with the shards, and our catalogs' rows */
	performDeletion(&map, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	CzDropFlush();
	foreach(lc, partitions)
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
}

/* Drop the internal triggers of a reference table. */
static void
drop_reference_triggers(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	ObjectAddresses *triggers = new_object_addresses();
	int			i;

	for (i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		ObjectAddress address;

		if (!rel->trigdesc->triggers[i].tgisinternal ||
			strncmp(rel->trigdesc->triggers[i].tgname, "!cz_", 4) != 0)
			continue;
		ObjectAddressSet(address, TriggerRelationId, rel->trigdesc->triggers[i].tgoid);
		add_exact_object_address(&address, triggers);
	}
	table_close(rel, NoLock);
	/* with what pg_depend has of them */
	performMultipleDeletions(triggers, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	free_object_addresses(triggers);
	CommandCounterIncrement();
}

/* Foreign keys hold between ordinary tables or distributed ones. */
static void
check_keys(Oid relid)
{
	ListCell   *lc;

	foreach(lc, CzForeignKeys(relid, true))
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_constraint con;
		Oid			other;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for constraint %u", lfirst_oid(lc));
		con = (Form_pg_constraint) GETSTRUCT(tuple);
		other = con->conrelid == relid ? con->confrelid : con->conrelid;
		if (other != relid && !list_member_oid(cz_distributed_together, other))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot make table \"%s\" an ordinary one: foreign key \"%s\" is between it and distributed table \"%s\"",
							get_rel_name(relid), NameStr(con->conname), get_rel_name(other)),
					 errhint("Drop the foreign key first.")));
		ReleaseSysCache(tuple);
	}
}

/*
 * CzUndistribute
 *		Make a distributed or reference table, whose owner the user is, an ordinary one.
 *
 * Errors: 55000 if it is neither, 55006 if it is in use.
 */
void
CzUndistribute(Oid relid)
{
	Relation	rel = relation_open(relid, AccessExclusiveLock);
	const CzTable *table = CzTableGet(relid);

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", RelationGetRelationName(rel))));
	if (OidIsValid(table->root_relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot make table \"%s\" an ordinary one: it is a partition of table \"%s\"",
						RelationGetRelationName(rel), get_rel_name(table->root_relid)),
				 errhint("Use undistribute_table() on the partitioned table, or detach the partition first.")));
	CheckTableNotInUse(rel, "undistribute_table");
	relation_close(rel, NoLock);
	if (table->kind == CZ_TABLE_SINGLE)
		check_keys(relid);

	if (table->kind == CZ_TABLE_REFERENCE)
	{
		Oid			owner = CzRelationOwner(relid);
		List	   *names = list_make1(pstrdup(table->shards[0].remote_qualified));
		ListCell   *lc;

		foreach(lc, CzTableServers(table))
			CzDropRemoteTables(lfirst_oid(lc), owner, names);
		drop_reference_triggers(relid);
		CzForgetTable(relid);
		CzDropFlush();
	}
	else if (OidIsValid(table->map_relid))
		undistribute_root(relid);
	else
		undistribute_shards(relid, table);
	CzInvalidateTable(relid);
}

/*
 * undistribute_table(table_name regclass, cascade_via_foreign_keys boolean)
 */
Datum
undistribute_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel;

	CzCheckTableOwner(relid);
	PreventCommandIfReadOnly("undistribute_table()");
	rel = relation_open(relid, AccessExclusiveLock);
	CzRefuseTenant(rel, "undistribute_table");
	relation_close(rel, NoLock);
	CzUndistribute(relid);
	PG_RETURN_VOID();
}
