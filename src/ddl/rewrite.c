/*-------------------------------------------------------------------------
 *
 * rewrite.c
 *	  A distributed table's rows are computed anew here: for what workers cannot
 *	  compute, or would not compute alike.
 *
 * Core's ALTER TABLE does that, with its own errors of NOT NULL and CHECK: in the
 * table's moment (moment.c) the table has the access method cz_rewrite.  Who reads it
 * gets the rows of its shards, of each from the first placement; the new heap, that
 * core fills with what has become of them, is a tuplestore, which spills to disk.
 * Afterwards the shards are emptied, they get what the statement has made of the table
 * (diff.c), and then the rows, the same on all placements.  A row stays in its shard: who
 * changes the distribution column's values goes another way (alter.c).
 *
 * Indexes are built of nothing here; the shards' own find what is not unique.  What a
 * shard's rows need not fulfil, CHECKs and foreign keys that are NOT VALID, is taken off
 * it meanwhile, and so are the foreign keys that refer to it.
 *
 * A reference table is an ordinary one here, which core has rewritten: its copies are
 * emptied and filled in the same way.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/writer.h"
#include "ddl_int.h"

#define REWRITE_METHOD "cz_rewrite"

PG_FUNCTION_INFO_V1(cz_rewrite_handler);

struct CzRewrite
{
	CzRewrite  *outer;			/* of a statement that runs around this one */
	Oid			relid;
	Oid			owner;
	int			nshards;
	CzShard    *shards;
	Oid		   *server_oids;	/* the placement of each that is read */
	TupleDesc	desc;			/* of the rows that are there */
	CzShardRows *rows;			/* while they are read */
	int			index;			/* shard of the row that was read last */
	bool		has_heap;		/* core has made the new heap */
	Tuplestorestate *store;		/* its rows, in the order of the shards */
	int64	   *nrows;			/* [nshards] */
	MemoryContext context;
	Oid			filenode;		/* of a reference table: storage as it was */
	List	   *keys;			/* CzKey *: foreign keys that rows cannot come and go with */
};

/* Rewrites that core is carrying out, the innermost first. */
static CzRewrite *current = NULL;

/* ---- the access method --------------------------------------------------------- */

static CzRewrite *
find_rewrite(Oid relid)
{
	CzRewrite  *rewrite;

	for (rewrite = current; rewrite != NULL; rewrite = rewrite->outer)
	{
		if (rewrite->relid == relid)
			return rewrite;
	}
	return NULL;
}

/*
 * CzRewriteMethod
 *		See ddl_int.h.
 */
Oid
CzRewriteMethod(Oid relid)
{
	return find_rewrite(relid) != NULL ? get_table_am_oid(REWRITE_METHOD, false) :
		HEAP_TABLE_AM_OID;
}

static const TupleTableSlotOps *
rewrite_slot_callbacks(Relation rel)
{
	return &TTSOpsHeapTuple;
}

/* Rows are there for who fills the new heap; who else looks at the table finds none. */
static TableScanDesc
rewrite_scan_begin(Relation rel, Snapshot snapshot, int nkeys, struct ScanKeyData *key,
				   ParallelTableScanDesc pscan, uint32 flags)
{
	TableScanDesc scan = palloc0(sizeof(TableScanDescData));
	CzRewrite  *rewrite = find_rewrite(RelationGetRelid(rel));

	scan->rs_rd = rel;
	scan->rs_snapshot = snapshot;
	scan->rs_nkeys = nkeys;
	scan->rs_flags = flags;
	scan->rs_parallel = pscan;
	if (rewrite != NULL && rewrite->has_heap && rewrite->store == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(rewrite->context);

		rewrite->rows = CzShardRowsBegin(rewrite->desc, rewrite->shards, rewrite->server_oids,
										 rewrite->nshards, rewrite->owner);
		rewrite->store = tuplestore_begin_heap(false, false, work_mem);
		MemoryContextSwitchTo(old);
		CzDebugPoint("rewrite-reading");
	}
	return scan;
}

static void
rewrite_scan_end(TableScanDesc scan)
{
	CzRewrite  *rewrite = find_rewrite(RelationGetRelid(scan->rs_rd));

	if (rewrite != NULL && rewrite->rows != NULL)
	{
		CzShardRowsEnd(rewrite->rows);
		rewrite->rows = NULL;
	}
	if (scan->rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(scan->rs_snapshot);
	pfree(scan);
}

static void
rewrite_scan_rescan(TableScanDesc scan, struct ScanKeyData *key, bool set_params,
					bool allow_strat, bool allow_sync, bool allow_pagemode)
{
	elog(ERROR, "table \"%s\" cannot be read again while it is rewritten",
		 RelationGetRelationName(scan->rs_rd));
}

static bool
rewrite_scan_getnextslot(TableScanDesc scan, ScanDirection direction, TupleTableSlot *slot)
{
	CzRewrite  *rewrite = find_rewrite(RelationGetRelid(scan->rs_rd));
	HeapTuple	tuple = NULL;

	ExecClearTuple(slot);
	if (rewrite != NULL && rewrite->rows != NULL)
		tuple = CzShardRowsNext(rewrite->rows, &rewrite->index);
	if (tuple == NULL)
		return false;
	ExecForceStoreHeapTuple(tuple, slot, false);
	slot->tts_tableOid = RelationGetRelid(scan->rs_rd);
	return true;
}

static void
rewrite_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
					 struct BulkInsertStateData *bistate)
{
	CzRewrite  *rewrite = find_rewrite(rel->rd_rel->relrewrite);

	if (rewrite == NULL || rewrite->rows == NULL)
		elog(ERROR, "rows were written to \"%s\" while it was being altered",
			 RelationGetRelationName(rel));
	tuplestore_puttupleslot(rewrite->store, slot);
	rewrite->nrows[rewrite->index]++;
}

/* The new heap is made, or somebody takes the access method for a table of his. */
static void
rewrite_set_new_filenode(Relation rel, const RelFileLocator_compat *locator, char persistence,
						 TransactionId *freeze_xid, MultiXactId *min_multi)
{
	CzRewrite  *rewrite = current;

	if (rewrite == NULL ||
		strcmp(RelationGetRelationName(rel), psprintf("pg_temp_%u", rewrite->relid)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method \"%s\" is not for tables of users", REWRITE_METHOD),
				 errdetail("ALTER TABLE of distributed tables uses it.")));
	rewrite->has_heap = true;
	GetHeapamTableAmRoutine()->relation_set_new_filenode_compat(rel, locator, persistence,
																 freeze_xid, min_multi);
}

/* The shards have the rows; see the top of the file. */
static double
rewrite_index_build(Relation rel, Relation index, struct IndexInfo *info, bool allow_sync,
					bool anyvisible, bool progress, BlockNumber start_blockno,
					BlockNumber numblocks, IndexBuildCallback callback, void *callback_state,
					TableScanDesc scan)
{
	if (scan != NULL)
		table_endscan(scan);
	return 0;
}

static Oid
rewrite_toast_method(Relation rel)
{
	return HEAP_TABLE_AM_OID;
}

/*
 * cz.rewrite_handler(internal)
 *		Heap's routines, on a heap without a block, but for these.
 */
Datum
cz_rewrite_handler(PG_FUNCTION_ARGS)
{
	static TableAmRoutine routine;

	routine = *GetHeapamTableAmRoutine();
	routine.slot_callbacks = rewrite_slot_callbacks;
	routine.scan_begin = rewrite_scan_begin;
	routine.scan_end = rewrite_scan_end;
	routine.scan_rescan = rewrite_scan_rescan;
	routine.scan_getnextslot = rewrite_scan_getnextslot;
	routine.tuple_insert = rewrite_tuple_insert;
	routine.relation_set_new_filenode_compat = rewrite_set_new_filenode;
	routine.index_build_range_scan = rewrite_index_build;
	routine.relation_toast_am = rewrite_toast_method;
	PG_RETURN_POINTER(&routine);
}

/* ---- around core's part --------------------------------------------------------- */

static Oid
filenode_of(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);
	Oid			result = rel->rd_rel->relfilenode;

	relation_close(rel, NoLock);
	return result;
}

/* The shards as they are now; the cache's entry will not outlive core's part. */
static void
copy_shards(CzRewrite *rewrite, const CzTable *table)
{
	int			i;

	rewrite->nshards = table->nshards;
	rewrite->shards = palloc0(sizeof(CzShard) * Max(table->nshards, 1));
	rewrite->server_oids = palloc0(sizeof(Oid) * Max(table->nshards, 1));
	rewrite->nrows = palloc0(sizeof(int64) * Max(table->nshards, 1));
	for (i = 0; i < table->nshards; i++)
	{
		rewrite->shards[i].shard_id = table->shards[i].shard_id;
		rewrite->shards[i].remote_qualified = pstrdup(table->shards[i].remote_qualified);
		if (table->shards[i].nplacements == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no placement of shard " INT64_FORMAT " is active",
							table->shards[i].shard_id)));
		rewrite->server_oids[i] = CzTxnFirstPlacement(&table->shards[i]);
	}
}

/*
 * Foreign keys in whose way the rows are, or which are in theirs.  One that is deferred
 * would leave events behind, with which shards cannot be altered.  Their tables are locked.
 */
static List *
find_keys(Oid relid)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, CzKeysOnShards(relid, true))
	{
		CzKey	   *key = lfirst(lc);

		if (key->is_valid && key->to_relid != relid &&
			!CzConstraintIsDeferred(key->oid, key->is_deferred))
			continue;
		LockRelationOid(key->from_relid, AccessExclusiveLock);
		LockRelationOid(key->to_relid, AccessExclusiveLock);
		result = lappend(result, key);
	}
	return result;
}

/*
 * CzRewriteMake
 *		See ddl_int.h.
 */
CzRewrite *
CzRewriteMake(const CzTable *table)
{
	CzRewrite  *rewrite = palloc0(sizeof(CzRewrite));
	Relation	rel;

	rewrite->context = CurrentMemoryContext;
	rewrite->relid = table->relid;
	rewrite->owner = CzRelationOwner(table->relid);
	rewrite->keys = find_keys(table->relid);
	if (table->kind == CZ_TABLE_REFERENCE)
	{
		rewrite->filenode = filenode_of(table->relid);
		return rewrite;
	}
	copy_shards(rewrite, table);
	rel = relation_open(table->relid, NoLock);
	rewrite->desc = CreateTupleDescCopy(RelationGetDescr(rel));
	relation_close(rel, NoLock);
	return rewrite;
}

/*
 * CzRewriteEnter, CzRewriteLeave
 *		See ddl_int.h.
 */
void
CzRewriteEnter(CzRewrite *rewrite)
{
	if (rewrite == NULL || OidIsValid(rewrite->filenode))
		return;
	rewrite->outer = current;
	current = rewrite;
}

void
CzRewriteLeave(CzRewrite *rewrite)
{
	if (rewrite != NULL && current == rewrite)
		current = rewrite->outer;
}

/*
 * CzRewriteIsDone
 *		See ddl_int.h.
 */
bool
CzRewriteIsDone(const CzRewrite *rewrite)
{
	if (rewrite == NULL)
		return false;
	if (OidIsValid(rewrite->filenode))
		return filenode_of(rewrite->relid) != rewrite->filenode;
	return rewrite->has_heap;
}

/* ---- the shards ----------------------------------------------------------------- */

static void
truncate_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	appendStringInfo(sql, "TRUNCATE %s;\n", shard->remote_qualified);
}

static void
table_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	CzOpsScriptPart(sql, shard, arg, CZ_OPS_TABLE);
}

/* What comes of indexes comes when the rows are there. */
static void
indexes_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	CzOpsScriptPart(sql, shard, arg, CZ_OPS_INDEXES);
}

/* CHECKs that rows which are there need not fulfil. */
static List *
unfulfilled(const CzImage *image)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, image->checks)
	{
		if (!((const CzObjectImage *) lfirst(lc))->is_valid)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

static void
drop_checks_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	ListCell   *lc;

	foreach(lc, (List *) arg)
		appendStringInfo(sql, "ALTER TABLE %s DROP CONSTRAINT %s;\n", shard->remote_qualified,
						 quote_identifier(((const CzObjectImage *) lfirst(lc))->name));
}

static void
add_checks_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	ListCell   *lc;

	foreach(lc, (List *) arg)
		appendStringInfo(sql, "ALTER TABLE %s ADD CONSTRAINT %s %s;\n", shard->remote_qualified,
						 quote_identifier(((const CzObjectImage *) lfirst(lc))->name),
						 ((const CzObjectImage *) lfirst(lc))->text);
}

/* Foreign keys of a table, to be taken off its shards. */
typedef struct ShardKeys
{
	const CzTable *table;
	List	   *keys;			/* CzKey * of any table */
} ShardKeys;

static void
drop_keys_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const ShardKeys *what = arg;
	ListCell   *lc;

	foreach(lc, what->keys)
	{
		const CzKey *key = lfirst(lc);

		if (key->from_relid == what->table->relid)
			CzKeyShardSql(sql, key, shard - what->table->shards, true);
	}
}

static List *
tables_of(List *keys)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, keys)
		relids = list_append_unique_oid(relids, ((const CzKey *) lfirst(lc))->from_relid);
	return relids;
}

static void
drop_keys(const CzRewrite *rewrite)
{
	ShardKeys	what;
	ListCell   *lc;

	what.keys = rewrite->keys;
	foreach(lc, tables_of(rewrite->keys))
	{
		what.table = CzTableGet(lfirst_oid(lc));
		CzRunOnPlacements(what.table, drop_keys_sql, &what);
	}
}

static bool
is_among(List *keys, const CzKey *key)
{
	ListCell   *lc;

	foreach(lc, keys)
	{
		const CzKey *other = lfirst(lc);

		if (other->from_relid == key->from_relid && strcmp(other->name, key->name) == 0)
			return true;
	}
	return false;
}

/* Those that are there still, maybe made again by core, come back; new ones come later. */
static void
add_keys(const CzRewrite *rewrite, List *new_keys)
{
	List	   *keys = CzKeysOnShards(rewrite->relid, true);
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, tables_of(rewrite->keys))
	{
		List	   *own = NIL;

		foreach(lk, keys)
		{
			const CzKey *key = lfirst(lk);

			if (key->from_relid == lfirst_oid(lc) && is_among(rewrite->keys, key) &&
				!list_member_oid(new_keys, key->oid))
				own = lappend_oid(own, key->oid);
		}
		CzForeignKeysToShards(lfirst_oid(lc), own);
	}
}

/* The rows of the store go where they came from. */
static void
send_store(CzRewrite *rewrite, const CzTable *table, Relation rel)
{
	CzWriter   *writer = CzWriterBegin(RelationGetDescr(rel), NULL, rewrite->owner);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
	int64		row_number = 0;
	int64		i;
	int			index;

	for (index = 0; index < rewrite->nshards; index++)
	{
		for (i = 0; i < rewrite->nrows[index]; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!tuplestore_gettupleslot(rewrite->store, true, false, slot))
				elog(ERROR, "rows of shard " INT64_FORMAT " are missing",
					 rewrite->shards[index].shard_id);
			CzWriterPut(writer, &table->shards[index], slot, ++row_number);
		}
	}
	CzWriterEnd(writer);
	ExecDropSingleTupleTableSlot(slot);
}

/* The rows of a reference table go to its copies. */
static void
send_reference(CzRewrite *rewrite, const CzTable *table, Relation rel)
{
	CzWriter   *writer = CzWriterBegin(RelationGetDescr(rel), NULL, rewrite->owner);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	int64		row_number = 0;

	PushActiveSnapshot(snapshot);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		CzWriterPut(writer, &table->shards[0], slot, ++row_number);
	}
	CzWriterEnd(writer);
	PopActiveSnapshot();
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * CzRewriteShards
 *		See ddl_int.h.
 */
void
CzRewriteShards(CzRewrite *rewrite, const CzTable *table, const CzImage *before,
				const CzImage *after, CzAlterHints *hints, List *new_keys)
{
	List	   *checks = unfulfilled(after);
	CzOps	   *ops;
	Relation	rel;

	CzDebugPoint("rewrite-read");
	drop_keys(rewrite);
	CzRunOnPlacementsAs(table, rewrite->owner, false, truncate_sql, NULL);
	CzDebugPoint("rewrite-truncated");
	hints->is_rewritten = true;
	ops = CzAlterShardsOps(table, before, after, hints, rewrite->owner);
	if (ops != NULL)
		CzRunOnPlacementsAs(table, rewrite->owner, false, table_sql, ops);
	if (checks != NIL)
		CzRunOnPlacementsAs(table, rewrite->owner, false, drop_checks_sql, checks);
	rel = table_open(rewrite->relid, NoLock);
	if (OidIsValid(rewrite->filenode))
		send_reference(rewrite, table, rel);
	else
		send_store(rewrite, table, rel);
	table_close(rel, NoLock);
	CzDebugPoint("rewrite-sent");
	if (ops != NULL)
		CzRunOnPlacementsAs(table, rewrite->owner, false, indexes_sql, ops);
	if (checks != NIL)
		CzRunOnPlacementsAs(table, rewrite->owner, false, add_checks_sql, checks);
	add_keys(rewrite, new_keys);
	if (rewrite->store != NULL)
		tuplestore_end(rewrite->store);
	rewrite->store = NULL;
}
