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
 * A table that its user has partitioned has its rows in its partitions: each of these
 * that is not partitioned in turn has a moment, and a store.
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
#include "catalog/pg_inherits.h"
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

/* Memory of a partition's store, where there are many */
#define MIN_STORE_KB 64

PG_FUNCTION_INFO_V1(cz_rewrite_handler);

/* A relation whose rows core computes: the table, or a partition of the user's. */
typedef struct RewriteHeap
{
	Oid			relid;
	int			nshards;
	CzShard    *shards;
	Oid		   *server_oids;	/* the placement of each that is read */
	TupleDesc	desc;			/* of the rows that are there */
	CzShardRows *rows;			/* while they are read */
	int			index;			/* shard of the row that was read last */
	bool		has_heap;		/* core has made the new heap */
	Tuplestorestate *store;		/* its rows, in the order of the shards */
	int64	   *nrows;			/* [nshards] */
} RewriteHeap;

struct CzRewrite
{
	CzRewrite  *outer;			/* of a statement that runs around this one */
	Oid			relid;			/* of the table that the statement names */
	Oid			owner;
	List	   *heaps;			/* RewriteHeap *; NIL of a reference table */
	MemoryContext context;
	Oid			filenode;		/* of a reference table: storage as it was */
	List	   *keys;			/* CzKey *: foreign keys that rows cannot come and go with */
};

/* Rewrites that core is carrying out, the innermost first. */
static CzRewrite *current = NULL;

/* ---- the access method --------------------------------------------------------- */

static RewriteHeap *
find_heap(Oid relid)
{
	CzRewrite  *rewrite;
	ListCell   *lc;

	for (rewrite = current; rewrite != NULL; rewrite = rewrite->outer)
	{
		foreach(lc, rewrite->heaps)
		{
			if (((RewriteHeap *) lfirst(lc))->relid == relid)
				return lfirst(lc);
		}
	}
	return NULL;
}

/* The statement that is carried out; there is one where there is a heap. */
static CzRewrite *
rewrite_of(const RewriteHeap *heap)
{
	CzRewrite  *rewrite = current;

	while (!list_member_ptr(rewrite->heaps, heap))
		rewrite = rewrite->outer;
	return rewrite;
}

/*
 * CzRewriteMethod
 *		See ddl_int.h.
 */
Oid
CzRewriteMethod(Oid relid)
{
	return find_heap(relid) != NULL ? get_table_am_oid(REWRITE_METHOD, false) :
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
	RewriteHeap *heap = find_heap(RelationGetRelid(rel));

	scan->rs_rd = rel;
	scan->rs_snapshot = snapshot;
	scan->rs_nkeys = nkeys;
	scan->rs_flags = flags;
	scan->rs_parallel = pscan;
	if (heap != NULL && heap->has_heap && heap->store == NULL)
	{
		CzRewrite  *rewrite = rewrite_of(heap);
		MemoryContext old = MemoryContextSwitchTo(rewrite->context);

		heap->rows = CzShardRowsBegin(heap->desc, heap->shards, heap->server_oids,
									  heap->nshards, rewrite->owner);
		heap->store = tuplestore_begin_heap(false, false,
											Max(work_mem / list_length(rewrite->heaps),
												MIN_STORE_KB));
		MemoryContextSwitchTo(old);
		CzDebugPoint("rewrite-reading");
	}
	return scan;
}

static void
rewrite_scan_end(TableScanDesc scan)
{
	RewriteHeap *heap = find_heap(RelationGetRelid(scan->rs_rd));

	if (heap != NULL && heap->rows != NULL)
	{
		CzShardRowsEnd(heap->rows);
		heap->rows = NULL;
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
	RewriteHeap *heap = find_heap(RelationGetRelid(scan->rs_rd));
	HeapTuple	tuple = NULL;

	ExecClearTuple(slot);
	if (heap != NULL && heap->rows != NULL)
		tuple = CzShardRowsNext(heap->rows, &heap->index);
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
	RewriteHeap *heap = find_heap(rel->rd_rel->relrewrite);

	if (heap == NULL || heap->rows == NULL)
		elog(ERROR, "rows were written to \"%s\" while it was being altered",
			 RelationGetRelationName(rel));
	tuplestore_puttupleslot(heap->store, slot);
	heap->nrows[heap->index]++;
}

/* The new heap is made, or somebody takes the access method for a table of his. */
static void
rewrite_set_new_filenode(Relation rel, const RelFileLocator_compat *locator, char persistence,
						 TransactionId *freeze_xid, MultiXactId *min_multi)
{
	unsigned int relid;
	RewriteHeap *heap = NULL;

	if (sscanf(RelationGetRelationName(rel), "pg_temp_%u", &relid) == 1)
		heap = find_heap(relid);
	if (heap == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method \"%s\" is not for tables of users", REWRITE_METHOD),
				 errdetail("ALTER TABLE of distributed tables uses it.")));
	heap->has_heap = true;
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

/* A relation with its shards as they are now; the cache's entry will not outlive core's part. */
static RewriteHeap *
make_heap(Oid relid)
{
	RewriteHeap *heap = palloc0(sizeof(RewriteHeap));
	const CzTable *table = CzTableGet(relid);
	Relation	rel;
	int			i;

	heap->relid = relid;
	heap->nshards = table->nshards;
	heap->shards = palloc0(sizeof(CzShard) * Max(table->nshards, 1));
	heap->server_oids = palloc0(sizeof(Oid) * Max(table->nshards, 1));
	heap->nrows = palloc0(sizeof(int64) * Max(table->nshards, 1));
	for (i = 0; i < table->nshards; i++)
	{
		heap->shards[i].shard_id = table->shards[i].shard_id;
		heap->shards[i].remote_qualified = pstrdup(table->shards[i].remote_qualified);
		if (table->shards[i].nplacements == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no placement of shard " INT64_FORMAT " is active",
							table->shards[i].shard_id)));
		heap->server_oids[i] = CzTxnFirstPlacement(&table->shards[i]);
	}
	rel = relation_open(relid, NoLock);
	heap->desc = CreateTupleDescCopy(RelationGetDescr(rel));
	relation_close(rel, NoLock);
	return heap;
}

/*
 * Foreign keys in whose way the rows are, or which are in theirs.  One that is deferred
 * would leave events behind, with which shards cannot be altered.  Their tables are locked.
 */
static List *
find_keys(Oid relid)
{
	List	   *relids = find_all_inheritors(relid, NoLock, NULL);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, CzTreeKeysOnShards(relid, true))
	{
		CzKey	   *key = lfirst(lc);

		if (key->is_valid && !list_member_oid(relids, key->to_relid) &&
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
CzRewriteMake(const CzTable *table, List *relids)
{
	CzRewrite  *rewrite = palloc0(sizeof(CzRewrite));
	ListCell   *lc;

	rewrite->context = CurrentMemoryContext;
	rewrite->relid = table->relid;
	rewrite->owner = CzRelationOwner(table->relid);
	rewrite->keys = find_keys(table->relid);
	if (table->kind == CZ_TABLE_REFERENCE)
	{
		rewrite->filenode = filenode_of(table->relid);
		return rewrite;
	}
	foreach(lc, relids)
		rewrite->heaps = lappend(rewrite->heaps, make_heap(lfirst_oid(lc)));
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
	ListCell   *lc;

	if (rewrite == NULL)
		return false;
	if (OidIsValid(rewrite->filenode))
		return filenode_of(rewrite->relid) != rewrite->filenode;
	foreach(lc, rewrite->heaps)
	{
		if (((const RewriteHeap *) lfirst(lc))->has_heap)
			return true;
	}
	return false;
}

/* ---- the shards ----------------------------------------------------------------- */

static void
truncate_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	appendStringInfo(sql, "TRUNCATE %s;\n", shard->remote_qualified);
}

/*
 * CzUnfulfilledChecks, CzDropChecksSql, CzAddChecksSql
 *		See ddl_int.h.
 */
List *
CzUnfulfilledChecks(const CzImage *image)
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

void
CzDropChecksSql(StringInfo sql, const CzShard *shard, List *checks)
{
	ListCell   *lc;

	foreach(lc, checks)
		appendStringInfo(sql, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s;\n",
						 shard->remote_qualified,
						 quote_identifier(((const CzObjectImage *) lfirst(lc))->name));
}

void
CzAddChecksSql(StringInfo sql, const CzShard *shard, List *checks)
{
	ListCell   *lc;

	foreach(lc, checks)
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

/*
 * CzKeysTakeOff
 *		See ddl_int.h.
 */
void
CzKeysTakeOff(List *keys)
{
	ShardKeys	what;
	ListCell   *lc;

	what.keys = keys;
	foreach(lc, tables_of(keys))
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
	List	   *keys = CzTreeKeysOnShards(rewrite->relid, true);
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

/* The rows of a store go where they came from. */
static void
send_store(const CzRewrite *rewrite, RewriteHeap *heap)
{
	const CzTable *table = CzTableGet(heap->relid);
	Relation	rel = table_open(heap->relid, NoLock);
	CzWriter   *writer = CzWriterBegin(RelationGetDescr(rel), NULL, rewrite->owner);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
	int64		row_number = 0;
	int64		i;
	int			index;

	for (index = 0; index < heap->nshards; index++)
	{
		for (i = 0; i < heap->nrows[index]; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!tuplestore_gettupleslot(heap->store, true, false, slot))
				elog(ERROR, "rows of shard " INT64_FORMAT " are missing",
					 heap->shards[index].shard_id);
			CzWriterPut(writer, &table->shards[index], slot, ++row_number);
		}
	}
	CzWriterEnd(writer);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	tuplestore_end(heap->store);
	heap->store = NULL;
}

/* The rows of a reference table go to its copies. */
static void
send_reference(CzRewrite *rewrite, const CzTable *table)
{
	Relation	rel = table_open(rewrite->relid, NoLock);
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
	table_close(rel, NoLock);
}

static void
run_sql(const CzRewrite *rewrite, const CzTable *table, CzMakeSql make, void *arg)
{
	if (make != NULL)
		CzRunOnPlacementsAs(table, rewrite->owner, false, make, arg);
}

/*
 * CzRewriteRun
 *		See ddl_int.h.
 */
void
CzRewriteRun(CzRewrite *rewrite, const CzTable *table, const CzRewriteSql *sql, List *new_keys)
{
	ListCell   *lc;

	CzDebugPoint("rewrite-read");
	CzKeysTakeOff(rewrite->keys);
	run_sql(rewrite, table, truncate_sql, NULL);
	CzDebugPoint("rewrite-truncated");
	run_sql(rewrite, table, sql->table, sql->arg);
	run_sql(rewrite, table, sql->drop_checks, sql->arg);
	if (OidIsValid(rewrite->filenode))
		send_reference(rewrite, table);
	foreach(lc, rewrite->heaps)
	{
		if (((RewriteHeap *) lfirst(lc))->store != NULL)
			send_store(rewrite, lfirst(lc));
	}
	CzDebugPoint("rewrite-sent");
	run_sql(rewrite, table, sql->indexes, sql->arg);
	run_sql(rewrite, table, sql->add_checks, sql->arg);
	add_keys(rewrite, new_keys);
}

/* What the shards of a table without partitions get. */
typedef struct TableSql
{
	const CzOps *ops;
	List	   *checks;			/* that rows need not fulfil */
} TableSql;

static void
table_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	CzOpsScriptPart(sql, shard, ((const TableSql *) arg)->ops, CZ_OPS_TABLE);
}

/* What comes of indexes comes when the rows are there. */
static void
indexes_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	CzOpsScriptPart(sql, shard, ((const TableSql *) arg)->ops, CZ_OPS_INDEXES);
}

static void
drop_checks_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	CzDropChecksSql(sql, shard, ((const TableSql *) arg)->checks);
}

static void
add_checks_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	CzAddChecksSql(sql, shard, ((const TableSql *) arg)->checks);
}

/*
 * CzRewriteShards
 *		See ddl_int.h.
 */
void
CzRewriteShards(CzRewrite *rewrite, const CzTable *table, const CzImage *before,
				const CzImage *after, CzAlterHints *hints, List *new_keys)
{
	TableSql	arg;
	CzRewriteSql sql = {0};

	hints->is_rewritten = true;
	arg.ops = CzAlterShardsOps(table, before, after, hints, rewrite->owner);
	arg.checks = CzUnfulfilledChecks(after);
	sql.arg = &arg;
	if (arg.ops != NULL)
	{
		sql.table = table_sql;
		sql.indexes = indexes_sql;
	}
	if (arg.checks != NIL)
	{
		sql.drop_checks = drop_checks_sql;
		sql.add_checks = add_checks_sql;
	}
	CzRewriteRun(rewrite, table, &sql, new_keys);
}
