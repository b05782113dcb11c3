/*-------------------------------------------------------------------------
 *
 * online.c
 *	  The rows of a table that others write are brought to its shards.
 *
 * The source is an ordinary table of this server, so what has changed between two
 * snapshots is in its own row versions: those that the older one sees and the newer one does
 * not are deleted from the shards, those the other way round are inserted.  Neither triggers nor a
 * log nor a key are needed, nothing is committed before all is, and an error leaves nothing.
 * Versions cannot go meanwhile: the older snapshot is registered, and VACUUM is locked out.
 *
 *	  copy		the rows of snapshot 0
 *	  rounds	the difference of snapshots n and n + 1, first what went, then what came,
 *				so that unique indexes of the shards agree
 *	  last		the same with the table locked: then the shards have its rows
 *
 * A round passes over pages that are marked all visible, which none has changed since before
 * snapshot 0, and from the second on those that have not been written since the round
 * before (by their LSN) and had no row of a transaction that was running then.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/writer.h"
#include "distribute_int.h"

/* Rows that are deleted by one command of a shard. */
#define DELETES_AT_A_TIME 500

/* Between two looks whether somebody waits for the table, milliseconds */
#define GIVE_WAY_INTERVAL_MS 500

/* A round that was as short as this, and brought less, is worth an attempt to lock. */
#define SHORT_ROUND_MS 50
#define FEW_CHANGES 1000

/* Rounds after which it is tried anyway: they do not get shorter. */
#define MAX_ROUNDS 8

/* Between two attempts, milliseconds */
#define FIRST_PAUSE_MS 50
#define MAX_PAUSE_MS 5000

struct CzOnline
{
	MemoryContext context;		/* holds this struct and what it points to */
	MemoryContext page_context; /* for the rows of a page */
	Relation	rel;
	const CzDistribution *dist;
	const CzShard *shards;
	int			nshards;
	int		   *indexes;		/* [modulus] of the shard with each remainder of a hash */
	int			modulus;
	Oid			owner;
	List	   *key;			/* attribute numbers by which a row is told apart on a shard;
								 * NIL: by all columns */
	Snapshot	snapshot;		/* the shards have the rows that it sees; registered */
	bool		has_rounds;		/* what follows is valid */
	XLogRecPtr	lsn;			/* taken before the snapshot */
	BlockNumber nblocks;		/* of the table then */
	bool	   *is_open;		/* [nblocks] the page had rows of transactions that were
								 * running then */
	StringInfo	deletes;		/* [nshards] rows to be deleted, as a VALUES list */
	int		   *ndeletes;		/* [nshards] */
	int64		nrows;
};

typedef void (*RowCallback) (CzOnline *online, TupleTableSlot *slot, void *arg);

/* Who waits for the table stops it: behind him everybody else waits, too. */
static void
give_way(Oid relid)
{
	static TimestampTz looked_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	LockData   *locks;
	int			i;

	CHECK_FOR_INTERRUPTS();
	if (!TimestampDifferenceExceeds(looked_at, now, GIVE_WAY_INTERVAL_MS))
		return;
	looked_at = now;
	locks = GetLockStatusData();
	for (i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];

		if (lock->waitLockMode < ShareLock || lock->pid == MyProcPid ||
			lock->locktag.locktag_type != LOCKTAG_RELATION ||
			lock->locktag.locktag_field1 != MyDatabaseId ||
			lock->locktag.locktag_field2 != relid)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another session waits to alter table \"%s\", which is being distributed",
						get_rel_name(relid)),
				 errhint("The command might succeed if retried.")));
	}
	pfree(locks->locks);
	pfree(locks);
}

/*
 * The columns of a unique index that shards have, too, and by whose equality rows are told
 * apart by plain "=": attribute numbers, NIL: there is none.
 */
static List *
find_key(Relation rel)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index form;
		List	   *key = NIL;
		bool		is_fit;
		int			i;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		form = (Form_pg_index) GETSTRUCT(tuple);
		is_fit = form->indisunique && !form->indisexclusion && form->indimmediate && form->indisvalid &&
			heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
			heap_attisnull(tuple, Anum_pg_index_indexprs, NULL);
		for (i = 0; is_fit && i < form->indnkeyatts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), form->indkey.values[i] - 1);
			Oid			opclass = get_index_column_opclass(lfirst_oid(lc), i + 1);
			Oid			type = get_opclass_input_type(opclass);
			Oid			equality = get_opfamily_member(get_opclass_family(opclass), type, type,
													   BTEqualStrategyNumber);

			/* a built-in one is what "=" means on a worker */
			is_fit = att->attnotnull && not_null_is_valid_compat(RelationGetDescr(rel), att->attnum) && OidIsValid(equality) && equality < FirstGenbkiObjectId &&
				strcmp(get_opname(equality), "=") == 0 &&
				(!OidIsValid(att->attcollation) || get_collation_isdeterministic(att->attcollation));
			key = lappend_int(key, att->attnum);
		}
		ReleaseSysCache(tuple);
		if (is_fit)
			return key;
	}
	return NIL;
}

/* The columns that rows are told apart by, or all that hold data. */
static List *
compared_columns(const CzOnline *online)
{
	TupleDesc	desc = RelationGetDescr(online->rel);
	List	   *columns = NIL;
	int			i;

	if (online->key != NIL)
		return online->key;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !att->attgenerated)
			columns = lappend_int(columns, att->attnum);
	}
	return columns;
}

static int
shard_of(const CzOnline *online, TupleTableSlot *slot)
{
	const CzDistribution *dist = online->dist;
	bool		isnull;
	Datum		value;

	if (dist->method != PARTITION_STRATEGY_HASH)
		return 0;
	value = slot_getattr(slot, dist->key_attno, &isnull);
	return online->indexes[CzHashRemainder(getBaseType(dist->key_type), dist->key_collation,
										   value, isnull, online->modulus)];
}

/* ---- what went ------------------------------------------------------------ */

/* The command that deletes the rows of a list of values. */
static char *
delete_sql(const CzOnline *online, const CzShard *shard, const char *values)
{
	List	   *columns = compared_columns(online);
	int			n = list_length(columns);
	StringInfoData buf;
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&buf);
	if (online->key != NIL)
	{
		appendStringInfo(&buf, "DELETE FROM %s t USING (VALUES %s) v (%s) WHERE ",
						 shard->remote_qualified, values, CzNumberedColumns(n, ""));
		foreach(lc, columns)
			appendStringInfo(&buf, "%st.%s OPERATOR(pg_catalog.=) v.c%d",
							 foreach_current_index(lc) > 0 ? " AND " : "",
							 quote_identifier(get_attname(RelationGetRelid(online->rel),
														  lfirst_int(lc), false)),
							 foreach_current_index(lc) + 1);
		return buf.data;
	}
	/* rows that look alike are alike: as many of them as went */
	initStringInfo(&names);
	foreach(lc, columns)
		appendStringInfo(&names, "%st.%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(get_attname(RelationGetRelid(online->rel),
													  lfirst_int(lc), false)));
	appendStringInfo(&buf, "WITH net AS (SELECT ROW(%s)::pg_catalog.text AS img, pg_catalog.count(*) AS n FROM (VALUES %s) v (%s) GROUP BY 1) "
					 "DELETE FROM %s WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT q.c FROM "
					 "(SELECT t.ctid AS c, net.n, pg_catalog.row_number() OVER (PARTITION BY net.img) AS rn "
					 "FROM net JOIN %s t ON ROW(%s)::pg_catalog.text OPERATOR(pg_catalog.=) net.img) q "
					 "WHERE q.rn OPERATOR(pg_catalog.<=) q.n))",
					 CzNumberedColumns(n, "v."), values, CzNumberedColumns(n, ""), shard->remote_qualified,
					 shard->remote_qualified, names.data);
	return buf.data;
}

/* Delete on a shard what has been gathered for it; a divergence never passes. */
static void
flush_deletes(CzOnline *online, int index)
{
	const CzShard *shard = &online->shards[index];
	char	   *sql;
	int			i;

	if (online->ndeletes[index] == 0)
		return;
	sql = delete_sql(online, shard, online->deletes[index].data);
	for (i = 0; i < shard->nplacements; i++)
	{
		CzConn	   *conn = CzTxnConn(shard->server_oids[i], online->owner, true);
		int64		n = CzConnExecCount(conn, sql, "DELETE of rows that have gone meanwhile");

		if (n != online->ndeletes[index])
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("%d rows have gone from table \"%s\", of which shard " INT64_FORMAT " on node \"%s\" has " INT64_FORMAT,
							online->ndeletes[index], RelationGetRelationName(online->rel),
							shard->shard_id, conn->node_name, n)));
	}
	pfree(sql);
	resetStringInfo(&online->deletes[index]);
	online->ndeletes[index] = 0;
}

static void
note_delete(CzOnline *online, TupleTableSlot *slot, void *arg)
{
	int			index = shard_of(online, slot);
	StringInfo	buf = &online->deletes[index];
	MemoryContext old = MemoryContextSwitchTo(online->page_context);
	int			nestlevel;
	ListCell   *lc;

	slot_getallattrs(slot);
	nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	appendStringInfo(buf, "%s(", online->ndeletes[index] > 0 ? ", " : "");
	foreach(lc, compared_columns(online))
	{
		int			i = lfirst_int(lc) - 1;
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(online->rel), i);
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(att->atttypid, &output, &is_varlena);
		appendStringInfo(buf, "%s%s::%s", foreach_current_index(lc) > 0 ? ", " : "",
						 slot->tts_isnull[i] ? "NULL" :
						 quote_literal_cstr(OidOutputFunctionCall(output, slot->tts_values[i])),
						 format_type_extended(att->atttypid, -1, FORMAT_TYPE_FORCE_QUALIFY));
	}
	appendStringInfoChar(buf, ')');
	CzUnpinTextSettings(nestlevel);
	MemoryContextSwitchTo(old);
	online->nrows--;
	if (++online->ndeletes[index] >= DELETES_AT_A_TIME)
		flush_deletes(online, index);
}

/* ---- the difference of two snapshots --------------------------------------- */

/* Was a transaction that has written a row running as of a snapshot? */
static bool
is_open_row(HeapTupleHeader tuple, Snapshot snapshot)
{
	TransactionId xmax = HeapTupleHeaderGetRawXmax(tuple);

	if (XidInMVCCSnapshot(HeapTupleHeaderGetXmin(tuple), snapshot))
		return true;
	if (!TransactionIdIsValid(xmax))
		return false;
	return (tuple->t_infomask & HEAP_XMAX_IS_MULTI) != 0 || XidInMVCCSnapshot(xmax, snapshot);
}

/* Rows of a page that one snapshot sees and the other does not, copied. */
static List *
page_changes(CzOnline *online, BlockNumber block, Buffer buffer, Snapshot next, bool gone,
			 bool *is_open)
{
	Page		page = BufferGetPage(buffer);
	OffsetNumber max = PageGetMaxOffsetNumber(page);
	OffsetNumber offset;
	List	   *result = NIL;

	for (offset = FirstOffsetNumber; offset <= max; offset++)
	{
		ItemId		item = PageGetItemId(page, offset);
		HeapTupleData tuple;
		bool		before;
		bool		after;

		if (!ItemIdIsNormal(item))
			continue;
		tuple.t_tableOid = RelationGetRelid(online->rel);
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		ItemPointerSet(&tuple.t_self, block, offset);
		before = HeapTupleSatisfiesVisibility(&tuple, online->snapshot, buffer);
		after = HeapTupleSatisfiesVisibility(&tuple, next, buffer);
		if (before != after && before == gone)
			result = lappend(result, heap_copytuple(&tuple));
		if (!*is_open && is_open_row(tuple.t_data, next))
			*is_open = true;
	}
	return result;
}

/*
 * What is gone, or has come, since the shards' snapshot.
 *
 * is_open: out, [nblocks]: see CzOnline.
 */
static int64
scan_changes(CzOnline *online, Snapshot next, BlockNumber nblocks, bool gone, bool *is_open,
			 RowCallback callback, void *arg)
{
	Relation	rel = online->rel;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	bool		has_lsn = RelationNeedsWAL(rel);
	Buffer		map = InvalidBuffer;
	BlockNumber block;
	int64		nchanges = 0;

	for (block = 0; block < nblocks; block++)
	{
		MemoryContext old;
		List	   *rows = NIL;
		ListCell   *lc;
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		if (visibilitymap_get_status(rel, block, &map) & VISIBILITYMAP_ALL_VISIBLE)
			continue;
		old = MemoryContextSwitchTo(online->page_context);
		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		if (!(has_lsn && online->has_rounds && block < online->nblocks &&
			  !online->is_open[block] && BufferGetLSNAtomic(buffer) <= online->lsn))
			rows = page_changes(online, block, buffer, next, gone, &is_open[block]);
		UnlockReleaseBuffer(buffer);
		MemoryContextSwitchTo(old);
		foreach(lc, rows)
		{
			ExecForceStoreHeapTuple(lfirst(lc), slot, false);
			callback(online, slot, arg);
			ExecClearTuple(slot);
			nchanges++;
		}
		if (rows != NIL)
			MemoryContextReset(online->page_context);
	}
	if (BufferIsValid(map))
		ReleaseBuffer(map);
	FreeAccessStrategy(strategy);
	ExecDropSingleTupleTableSlot(slot);
	return nchanges;
}

static void
put_row(CzOnline *online, TupleTableSlot *slot, void *arg)
{
	CzWriterPut(arg, &online->shards[shard_of(online, slot)], slot, 0);
	online->nrows++;
}

/* Bring the shards to what the table is now; returns how many rows went and came. */
static int64
bring_changes(CzOnline *online)
{
	Relation	rel = online->rel;
	XLogRecPtr	lsn = GetXLogInsertRecPtr();
	Snapshot	next = RegisterSnapshot(GetLatestSnapshot());
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	bool	   *is_open = MemoryContextAllocZero(online->context, Max(nblocks, 1));
	CzWriter   *writer;
	int64		nchanges;
	int			i;

	nchanges = scan_changes(online, next, nblocks, true, is_open, note_delete, NULL);
	for (i = 0; i < online->nshards; i++)
		flush_deletes(online, i);
	writer = CzWriterBegin(RelationGetDescr(rel), NULL, online->owner);
	nchanges += scan_changes(online, next, nblocks, false, is_open, put_row, writer);
	CzWriterEnd(writer);

	UnregisterSnapshot(online->snapshot);
	if (online->is_open)
		pfree(online->is_open);
	online->snapshot = next;
	online->lsn = lsn;
	online->nblocks = nblocks;
	online->is_open = is_open;
	online->has_rounds = true;
	return nchanges;
}

/* ---- the copy, and the end -------------------------------------------------- */

/*
 * CzOnlineBegin
 *		See distribute_int.h.
 */
CzOnline *
CzOnlineBegin(Relation rel, const CzDistribution *dist, const CzShard *shards, Oid owner)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz online",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CzOnline   *online = palloc0(sizeof(CzOnline));
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan;
	CzWriter   *writer;
	int			i;

	online->context = context;
	online->page_context = AllocSetContextCreate(context, "cz online page",
												 ALLOCSET_DEFAULT_SIZES);
	online->rel = rel;
	online->dist = dist;
	online->shards = shards;
	online->nshards = dist->shard_count;
	if (dist->method == PARTITION_STRATEGY_HASH)
		online->indexes = CzHashRemainders(shards, dist->shard_count, &online->modulus);
	online->owner = owner;
	online->key = find_key(rel);
	online->deletes = palloc(sizeof(StringInfoData) * online->nshards);
	online->ndeletes = palloc0(sizeof(int) * online->nshards);
	for (i = 0; i < online->nshards; i++)
		initStringInfo(&online->deletes[i]);
	online->snapshot = RegisterSnapshot(GetLatestSnapshot());

	writer = CzWriterBegin(RelationGetDescr(rel), NULL, owner);
	scan = table_beginscan(rel, online->snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		put_row(online, slot, writer);
		if (online->nrows == 1)
			CzDebugPoint("distribute-first-row");
		if (online->nrows % FEW_CHANGES == 0)
			give_way(RelationGetRelid(rel));
	}
	table_endscan(scan);
	CzWriterEnd(writer);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextSwitchTo(old);
	CzDebugPoint("distribute-copied");
	return online;
}

/* Rounds until little is missing. */
static void
catch_up(CzOnline *online)
{
	int			nrounds = 0;

	for (;;)
	{
		TimestampTz start = GetCurrentTimestamp();
		int64		nchanges;

		give_way(RelationGetRelid(online->rel));
		nchanges = bring_changes(online);
		if (nchanges == 0 || ++nrounds >= MAX_ROUNDS ||
			(nchanges < FEW_CHANGES &&
			 !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), SHORT_ROUND_MS)))
			return;
	}
}

/*
 * CzOnlineEnd
 *		See distribute_int.h.
 */
uint64
CzOnlineEnd(CzOnline *online)
{
	Oid			relid = RelationGetRelid(online->rel);
	int			nattempts = 0;
	int			pause_ms = FIRST_PAUSE_MS;
	uint64		nrows;

	catch_up(online);
	CzDebugPoint("distribute-caught-up");
	while (!CzTryLock(list_make1_oid(relid), AccessExclusiveLock, cz_cutover_lock_timeout_ms, true))
	{
		if (cz_cutover_attempts > 0 && ++nattempts >= cz_cutover_attempts)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not lock table \"%s\" in %d attempts", get_rel_name(relid),
							nattempts),
					 errhint("Transactions that use the table must end first; see cz.cutover_attempts.")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		pause_ms = Min(pause_ms * 2, MAX_PAUSE_MS);
		catch_up(online);
	}
	(void) bring_changes(online);
	UnregisterSnapshot(online->snapshot);
	nrows = (uint64) online->nrows;
	MemoryContextDelete(online->context);
	return nrows;
}
