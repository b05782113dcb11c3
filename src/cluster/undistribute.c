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
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/gone.h"
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
	rel = CzOpenRelation(relid, AccessExclusiveLock);
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

/*
 * Core can't check a key between an ordinary table and a distributed one; it can check one
 * of an ordinary table to a reference table.
 */
static void
check_keys(Oid relid)
{
	ListCell   *lc;

	foreach(lc, CzTreeKeysOnShards(relid, true))
	{
		const CzKey *key = lfirst(lc);
		bool		is_of = CzRootOf(key->from_relid) == relid;
		Oid			other = is_of ? key->to_relid : key->from_relid;
		bool		is_to_reference = is_of && CzTableGet(other)->kind == CZ_TABLE_REFERENCE;

		if (CzRootOf(other) != relid && !is_to_reference &&
			!list_member_oid(cz_distributed_together, CzRootOf(other)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot make table \"%s\" an ordinary one: foreign key \"%s\" is between it and distributed table \"%s\"",
							get_rel_name(relid), key->name, get_rel_name(other)),
					 CzTenantGroup(get_rel_namespace(relid)) != 0 ?
					 errhint("Drop the foreign key first.") :
					 errhint("Use undistribute_table() with cascade_via_foreign_keys => true, or drop the foreign key first.")));
	}
}

/* Has core no trigger on a relation that checks a foreign key of it? */
static bool
lacks_trigger(Oid relid, Oid constraint_oid)
{
	Relation	rel = relation_open(relid, NoLock);
	bool		result = rel->rd_rel->relkind == RELKIND_RELATION;
	int			i;

	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgconstraint == constraint_oid &&
			RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_FK)
			result = false;
	}
	relation_close(rel, NoLock);
	return result;
}

/*
 * Core makes the triggers that check a key on ordinary tables only: a partition of a
 * distributed table was none when its key was made.  Such a key is made again.
 */
static void
remake_keys(Oid relid)
{
	ListCell   *lc;

	foreach(lc, CzForeignKeys(relid, false))
	{
		ObjectAddress key;
		char	   *sql;
		int			nest_level;

		if (!lacks_trigger(relid, lfirst_oid(lc)))
			continue;
		nest_level = CzPinTextSettings(CZ_PIN_ALL);
		sql = pg_get_constraintdef_command(lfirst_oid(lc));
		CzUnpinTextSettings(nest_level);
		ObjectAddressSet(key, ConstraintRelationId, lfirst_oid(lc));
		performDeletion(&key, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
		CommandCounterIncrement();
		(void) CzCatalogExec(sql, 0, NULL, NULL, NULL);
		CommandCounterIncrement();
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
	Relation	rel = CzOpenRelation(relid, AccessExclusiveLock);
	const CzTable *table = CzTableGet(relid);
	bool		is_distributed;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", RelationGetRelationName(rel))));
	is_distributed = CzTableIsDistributed(table);
	if (OidIsValid(table->root_relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot make table \"%s\" an ordinary one: it is a partition of table \"%s\"",
						RelationGetRelationName(rel), get_rel_name(table->root_relid)),
				 errhint("Use undistribute_table() on the partitioned table, or detach the partition first.")));
	CheckTableNotInUse(rel, "undistribute_table");
	relation_close(rel, NoLock);
	check_keys(relid);
	CzKeyActorsNoteOthers(relid);

	if (table->kind == CZ_TABLE_REFERENCE)
	{
		Oid			owner = CzRelationOwner(relid);
		int64		shard_id = table->shards[0].shard_id;
		List	   *names = list_make1(pstrdup(table->shards[0].remote_qualified));
		ListCell   *lc;

		/* also those that are not used now */
		foreach(lc, CzNodeList(false))
		{
			CzNode	   *node = lfirst(lc);

			if (node->is_checked)
				CzDropRemoteTables(node->server_oid, owner, names);
		}
		drop_reference_triggers(relid);
		(void) CzInactiveDelete(shard_id, InvalidOid);
		CzDirtyDelete(shard_id, CZ_DIRTY_ALL);
		CzForgetTable(relid);
		CzDropFlush();
	}
	else if (OidIsValid(table->map_relid))
		undistribute_root(relid);
	else
		undistribute_shards(relid, table);
	CzInvalidateTable(relid);
	if (is_distributed)
	{
		CommandCounterIncrement();
		remake_keys(relid);
	}
}

/* Distributed and reference tables that foreign keys join with one, and itself. */
static List *
joined_tables(Oid relid)
{
	List	   *relids = list_make1_oid(relid);
	ListCell   *lc;
	int			next;

	for (next = 0; next < list_length(relids); next++)
	{
		foreach(lc, CzTreeForeignKeys(list_nth_oid(relids, next), true))
		{
			const CzKey *key = CzKeyGet(lfirst_oid(lc));
			Oid			ends[2] = {CzRootOf(key->from_relid), CzRootOf(key->to_relid)};
			int			i;

			for (i = 0; i < 2; i++)
			{
				const CzTable *table = CzTableGet(ends[i]);

				if (table != NULL && table->kind != CZ_TABLE_FOREIGN)
					relids = list_append_unique_oid(relids, ends[i]);
			}
		}
	}
	list_sort(relids, list_oid_cmp);
	return relids;
}

/* The caller owns them all, or it is an error. */
static void
undistribute_joined(List *relids)
{
	List	   *save = cz_distributed_together;
	ListCell   *lc;

	foreach(lc, relids)
	{
		Relation	rel;

		CzCheckTableOwner(lfirst_oid(lc));
		rel = CzOpenRelation(lfirst_oid(lc), AccessExclusiveLock);
		CzRefuseTenant(rel, "undistribute_table");
		relation_close(rel, NoLock);
	}
	PG_TRY();
	{
		cz_distributed_together = relids;
		foreach(lc, relids)
			CzUndistribute(lfirst_oid(lc));
	}
	PG_FINALLY();
	{
		cz_distributed_together = save;
	}
	PG_END_TRY();
}

/*
 * undistribute_table(table_name regclass, cascade_via_foreign_keys boolean)
 */
Datum
undistribute_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	bool		is_cascaded = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	Relation	rel;

	CzCheckTableOwner(relid);
	PreventCommandIfReadOnly("undistribute_table()");
	rel = CzOpenRelation(relid, AccessExclusiveLock);
	CzRefuseTenant(rel, "undistribute_table");
	relation_close(rel, NoLock);
	if (is_cascaded && CzTableGet(relid) != NULL)
		undistribute_joined(joined_tables(relid));
	else
		CzUndistribute(relid);
	/* who does what keys of other tables do */
	CzKeysSettle(relid);
	PG_RETURN_VOID();
}
