/*-------------------------------------------------------------------------
 *
 * lock_scan.c
 *	  Row locks over several shards: only the rows that are returned.
 *
 * As LockRows does above a Sort: rows are tried in order, each is locked where it
 * lies and its conditions are checked again there, until there are enough.  What
 * could come next is read first, without locks (the candidates): from each shard as
 * many as are wanted and some more.  Behind the last one of a shard that may have
 * more, the order is not known, so the candidates are read again, more of them.
 *
 * Rows whose lock is not granted are skipped: held by another transaction (SKIP
 * LOCKED), or changed since the candidates were read.  Where locks are waited for,
 * the candidates are read again then: a changed row has a new id and is tried again
 * under that.  What has been tried is not tried twice, so it ends.
 *
 * Everything goes through the transaction's connection: each command sees what has
 * been committed before it, as a row that was waited for must be seen.
 *
 * Source: own work; what it does follows src/backend/executor/nodeLockRows.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/itemptr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "executor_int.h"

/* Candidates read at a time, of each shard: as many as wanted, but no more. */
#define MAX_BATCH 1000
/* More than wanted, if others may hold the first ones. */
#define SKIP_RESERVE 16
/* Times more with each time that was not enough. */
#define BATCH_GROWTH 4
/* Rows locked at a time. */
#define MAX_LOCK_ROWS 500
/* Tables in FROM. */
#define MAX_IDS 16

/* What names a candidate; hashed as bytes. */
typedef struct CandidateKey
{
	int32		shard_index;
	Oid			tables[MAX_IDS];	/* InvalidOid: NULL, or no partitions */
	ItemPointerData ids[MAX_IDS];	/* invalid: NULL */
} CandidateKey;

struct CzLockScan
{
	const CzFragmentPlan *plan;
	const CzLocks *locks;
	PlanState  *parent;
	ExprState  *limit;
	CzStream   *lock_stream;
	CzStream   *candidate_stream;
	TupleTableSlot *lock_slot;
	TupleDesc	sort_desc;		/* the candidates' columns and the shard's index */
	int			nkeys;
	int			nids;
	int			ntables;		/* columns behind the ids that are tableoids */
	Tuplestorestate *rows;		/* locked; NULL: not yet */
	TupleTableSlot *row_slot;
	MemoryContext context;		/* one gathering */
	CzScanMoment moment;
	MemoryContextCallback callback;
};

static void gather(CzLockScan *scan);

static TupleDesc
desc_of_plan(const CzFragmentPlan *plan, int more)
{
	TupleDesc	desc = CreateTemplateTupleDesc(list_length(plan->column_types) + more);
	ListCell   *lt;
	ListCell   *lm;
	int			n = 0;

	forboth(lt, plan->column_types, lm, plan->column_typmods)
		TupleDescInitEntry(desc, ++n, NULL, lfirst_oid(lt), lfirst_int(lm), 0);
	return desc;
}

static bool
is_begun(void *arg)
{
	return ((CzLockScan *) arg)->rows != NULL;
}

/* Lock the rows before the transaction writes. */
static void
read_ahead(void *arg)
{
	CzLockScan *scan = arg;

	if (scan->rows == NULL)
		gather(scan);
}

static void
leave_moment(void *arg)
{
	CzMomentLeave(&((CzLockScan *) arg)->moment);
}

/*
 * CzLockScanBegin
 *		Prepare to lock rows; sends nothing.
 *
 * exprs: ExprStates: of plan, then of its candidates, then the limit.
 */
CzLockScan *
CzLockScanBegin(const CzFragmentPlan *plan, List *exprs, PlanState *parent,
				TupleDesc tupdesc)
{
	CzLockScan *scan = palloc0(sizeof(CzLockScan));
	const CzLocks *locks = plan->locks;
	int			nplan = plan->nparams + (plan->prune_param >= 0);
	int			ncandidate = locks->candidates->nparams +
		(locks->candidates->prune_param >= 0);
	List	   *rest = list_copy_tail(exprs, nplan);
	ListCell   *lc;

	scan->plan = plan;
	scan->locks = locks;
	scan->parent = parent;
	scan->nkeys = list_length(locks->sort_operators);
	scan->nids = list_length(locks->id_params);
	foreach(lc, locks->table_params)
		scan->ntables += lfirst_int(lc) >= 0;
	if (scan->nids > MAX_IDS)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot lock rows of a join of more than %d distributed tables with LIMIT",
						MAX_IDS)));
	scan->limit = llast(exprs);
	scan->lock_stream = CzStreamBeginParts(plan, list_truncate(list_copy(exprs), nplan),
										   parent, tupdesc);
	scan->candidate_stream = CzStreamBeginParts(locks->candidates,
												list_truncate(rest, ncandidate), parent,
												desc_of_plan(locks->candidates, 0));
	scan->sort_desc = desc_of_plan(locks->candidates, 1);
	TupleDescInitEntry(scan->sort_desc, scan->sort_desc->natts, NULL, INT4OID, -1, 0);
	scan->lock_slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
	scan->row_slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "cz_fdw row locks",
										  ALLOCSET_DEFAULT_SIZES);
	scan->moment.locks_rows = true;
	scan->moment.is_begun = is_begun;
	scan->moment.read = read_ahead;
	scan->moment.arg = scan;
	CzMomentEnter(&scan->moment, parent, exprs);
	scan->callback.func = leave_moment;
	scan->callback.arg = scan;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &scan->callback);
	return scan;
}

/* ---- candidates ---------------------------------------------------------- */

typedef struct Candidates
{
	Tuplesortstate *sort;
	TupleTableSlot *slot;
	int			nshards;
	int			first_shard;	/* shards take their turns from here on */
	int64	   *nread;			/* by shard index: candidates that came */
	int64	   *ntaken;			/* ... and that have been looked at */
	int64		batch;			/* a shard that gave so many may have more */
	bool		is_full;		/* any shard may have more */
} Candidates;

static Tuplesortstate *
begin_sort(CzLockScan *scan)
{
	const CzLocks *locks = scan->locks;
	int			n = scan->nkeys + 1 + scan->nids + scan->ntables;
	AttrNumber *columns = palloc(sizeof(AttrNumber) * n);
	Oid		   *operators = palloc(sizeof(Oid) * n);
	Oid		   *collations = palloc0(sizeof(Oid) * n);
	bool	   *nulls_first = palloc0(sizeof(bool) * n);
	int			i;

	for (i = 0; i < scan->nkeys; i++)
	{
		columns[i] = i + 1;
		operators[i] = list_nth_oid(locks->sort_operators, i);
		collations[i] = list_nth_oid(locks->sort_collations, i);
		nulls_first[i] = list_nth_int(locks->sort_nulls_first, i) != 0;
	}
	columns[i] = scan->sort_desc->natts;
	operators[i++] = Int4LessOperator;
	for (; i < n; i++)
	{
		columns[i] = i;			/* ids and tables stand before the shard */
		operators[i] = i <= scan->nkeys + scan->nids ? TIDLessOperator :
			lookup_type_cache(OIDOID, TYPECACHE_LT_OPR)->lt_opr;
	}
	return tuplesort_begin_heap(scan->sort_desc, n, columns, operators, collations,
								nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

/* Read the candidates, batch of each shard if they come sorted. */
static Candidates *
read_candidates(CzLockScan *scan, int64 batch)
{
	CzStream   *stream = scan->candidate_stream;
	Candidates *result = palloc0(sizeof(Candidates));
	TupleTableSlot *from = MakeSingleTupleTableSlot(stream->tupdesc, &TTSOpsVirtual);
	TupleTableSlot *to = MakeSingleTupleTableSlot(scan->sort_desc, &TTSOpsVirtual);
	int			ncols = stream->tupdesc->natts;

	result->batch = scan->locks->limit_param >= 0 ? batch : PG_INT64_MAX;
	if (scan->locks->limit_param >= 0)
		CzStreamFixParam(stream, scan->locks->limit_param, psprintf(INT64_FORMAT, batch));
	CzStreamRestart(stream);
	result->sort = begin_sort(scan);
	while (CzStreamNext(stream, from))
	{
		int			shard_index = stream->row_fragment->shard_index;

		if (result->nread == NULL)
		{
			result->nshards = stream->total_shards;
			result->nread = palloc0(sizeof(int64) * result->nshards);
			result->ntaken = palloc0(sizeof(int64) * result->nshards);

			/* where any row will do, sessions need not meet at the same */
			if (scan->nkeys == 0 && !scan->locks->may_wait)
				result->first_shard = MyProcPid % result->nshards;
		}
		if (++result->nread[shard_index] >= result->batch)
			result->is_full = true;
		ExecClearTuple(to);
		memcpy(to->tts_values, from->tts_values, sizeof(Datum) * ncols);
		memcpy(to->tts_isnull, from->tts_isnull, sizeof(bool) * ncols);
		to->tts_values[ncols] =
			Int32GetDatum((shard_index - result->first_shard + result->nshards) %
						  result->nshards);
		to->tts_isnull[ncols] = false;
		ExecStoreVirtualTuple(to);
		tuplesort_puttupleslot(result->sort, to);
	}
	tuplesort_performsort(result->sort);
	result->slot = MakeSingleTupleTableSlot(scan->sort_desc, &TTSOpsMinimalTuple);
	ExecDropSingleTupleTableSlot(from);
	ExecDropSingleTupleTableSlot(to);
	return result;
}

static bool
next_candidate(CzLockScan *scan, Candidates *candidates, CandidateKey *key)
{
	TupleTableSlot *slot = candidates->slot;
	int			ntables = 0;
	int			i;

	if (!tuplesort_gettupleslot(candidates->sort, true, false, slot, NULL))
		return false;
	slot_getallattrs(slot);
	memset(key, 0, sizeof(CandidateKey));
	key->shard_index = (DatumGetInt32(slot->tts_values[scan->sort_desc->natts - 1]) +
						candidates->first_shard) % candidates->nshards;
	for (i = 0; i < scan->nids; i++)
	{
		ItemPointerSetInvalid(&key->ids[i]);
		if (!slot->tts_isnull[scan->nkeys + i])
			ItemPointerCopy((ItemPointer) DatumGetPointer(slot->tts_values[scan->nkeys + i]),
							&key->ids[i]);
		if (list_nth_int(scan->locks->table_params, i) >= 0)
		{
			int			column = scan->nkeys + scan->nids + ntables++;

			if (!slot->tts_isnull[column])
				key->tables[i] = DatumGetObjectId(slot->tts_values[column]);
		}
	}
	return true;
}

/* ---- locks --------------------------------------------------------------- */

static char *
id_text(ItemPointer id)
{
	return psprintf("(%u,%u)", ItemPointerGetBlockNumber(id), ItemPointerGetOffsetNumber(id));
}

/*
 * Lock some candidates of one shard, and of one partition of it; returns the number of
 * rows that this gave.
 *
 * tuples: by candidate: the rows; NULL: they go to the result at once.
 */
static int64
lock_rows(CzLockScan *scan, CandidateKey *keys, int n, MinimalTuple *tuples)
{
	CzStream   *stream = scan->lock_stream;
	int64		nrows = 0;
	int			i;

	if (scan->nids == 1)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		for (i = 0; i < n; i++)
			appendStringInfo(&buf, "%c\"%s\"", i == 0 ? '{' : ',', id_text(&keys[i].ids[0]));
		appendStringInfoChar(&buf, '}');
		CzStreamFixParam(stream, linitial_int(scan->locks->id_params), buf.data);
	}
	else
	{
		Assert(n == 1);
		for (i = 0; i < scan->nids; i++)
			CzStreamFixParam(stream, list_nth_int(scan->locks->id_params, i),
							 ItemPointerIsValid(&keys[0].ids[i]) ?
							 id_text(&keys[0].ids[i]) : NULL);
	}
	for (i = 0; i < scan->nids; i++)
	{
		int			param = list_nth_int(scan->locks->table_params, i);

		if (param >= 0)
			CzStreamFixParam(stream, param, OidIsValid(keys[0].tables[i]) ?
							 psprintf("%u", keys[0].tables[i]) : NULL);
	}
	stream->only_shard = keys[0].shard_index;
	CzStreamRestart(stream);
	while (CzStreamNext(stream, scan->lock_slot))
	{
		for (i = 0; i < n && tuples != NULL; i++)
		{
			/* the id is the last column but the table */
			if (tuples[i] == NULL &&
				ItemPointerEquals(&keys[i].ids[0], (ItemPointer)
								  DatumGetPointer(scan->lock_slot->tts_values[stream->tupdesc->natts - 1 - scan->ntables])))
			{
				tuples[i] = ExecCopySlotMinimalTuple(scan->lock_slot);
				break;
			}
		}
		nrows++;
		if (i < n && tuples != NULL)
			continue;
		tuplestore_putvalues(scan->rows, stream->tupdesc, scan->lock_slot->tts_values,
							 scan->lock_slot->tts_isnull);
	}
	return nrows;
}

/* Can candidates be locked by one command? */
static bool
are_together(const CandidateKey *a, const CandidateKey *b)
{
	return a->shard_index == b->shard_index && a->tables[0] == b->tables[0];
}

/*
 * Where no lock is waited for, it does not matter in which order shards are locked:
 * the candidates of several go to each shard together.
 */
static int64
lock_by_shard(CzLockScan *scan, CandidateKey *keys, int n)
{
	CandidateKey *mine = palloc(sizeof(CandidateKey) * n);
	MinimalTuple *my_tuples = palloc(sizeof(MinimalTuple) * n);
	int		   *places = palloc(sizeof(int) * n);
	MinimalTuple *tuples = palloc0(sizeof(MinimalTuple) * n);
	bool	   *is_done = palloc0(sizeof(bool) * n);
	int64		nrows = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		int			nmine = 0;
		int			j;

		if (is_done[i])
			continue;
		for (j = i; j < n; j++)
		{
			if (!are_together(&keys[j], &keys[i]))
				continue;
			is_done[j] = true;
			places[nmine] = j;
			my_tuples[nmine] = NULL;
			mine[nmine++] = keys[j];
		}
		nrows += lock_rows(scan, mine, nmine, my_tuples);
		for (j = 0; j < nmine; j++)
			tuples[places[j]] = my_tuples[j];
	}
	for (i = 0; i < n; i++)
	{
		if (tuples[i] == NULL)
			continue;
		ExecStoreMinimalTuple(tuples[i], scan->row_slot, false);
		tuplestore_puttupleslot(scan->rows, scan->row_slot);
		ExecClearTuple(scan->row_slot);
		pfree(tuples[i]);
	}
	pfree(mine);
	pfree(my_tuples);
	pfree(places);
	pfree(tuples);
	pfree(is_done);
	return nrows;
}

typedef struct Gathering
{
	HTAB	   *tried;			/* CandidateKeys */
	int64		nwanted;
	int64		nrows;			/* locked so far */
	bool		has_missed;		/* this time: a lock gave no row */
} Gathering;

/* Lock what has been collected; false if the candidates are not what they were. */
static bool
lock_collected(CzLockScan *scan, Gathering *gathering, CandidateKey *keys, int *n)
{
	int64		nrows;
	bool		is_missed;

	if (*n == 0)
		return true;
	if (scan->nids == 1 && !scan->locks->may_wait && !scan->locks->is_single)
		nrows = lock_by_shard(scan, keys, *n);
	else
		nrows = lock_rows(scan, keys, *n, NULL);
	is_missed = nrows < *n;
	gathering->nrows += nrows;
	gathering->has_missed |= is_missed;
	*n = 0;
	return !(is_missed && scan->locks->may_wait);
}

/*
 * Go through the candidates.  Returns when there are enough rows, when the order of
 * what follows is not known, or when the candidates are not what they were.
 */
static void
walk_candidates(CzLockScan *scan, Candidates *candidates, Gathering *gathering)
{
	bool		by_shard = scan->nids == 1 && !scan->locks->may_wait &&
		!scan->locks->is_single;
	int64		max_rows = scan->nids > 1 || scan->locks->is_single ||
		(!by_shard && scan->nkeys > 0 && !scan->locks->is_sorted) ? 1 : MAX_LOCK_ROWS;
	CandidateKey *keys = palloc(sizeof(CandidateKey) * MAX_LOCK_ROWS);
	CandidateKey key;
	int			n = 0;

	while (gathering->nrows < gathering->nwanted && next_candidate(scan, candidates, &key))
	{
		int			shard_index = key.shard_index;
		bool		found;

		CHECK_FOR_INTERRUPTS();
		if (n > 0 && !by_shard && !are_together(&keys[0], &key) &&
			!lock_collected(scan, gathering, keys, &n))
			return;
		if (gathering->nrows >= gathering->nwanted)
			return;
		(void) hash_search(gathering->tried, &key, HASH_ENTER, &found);
		if (!found)
			keys[n++] = key;
		if (n >= Min(max_rows, gathering->nwanted - gathering->nrows) &&
			!lock_collected(scan, gathering, keys, &n))
			return;

		/* behind the last one known of a shard, others of it may come first */
		if (++candidates->ntaken[shard_index] == candidates->nread[shard_index] &&
			candidates->nread[shard_index] >= candidates->batch && scan->nkeys > 0)
			break;
	}
	(void) lock_collected(scan, gathering, keys, &n);
}

/* Lock as many rows as are wanted. */
static void
gather(CzLockScan *scan)
{
	MemoryContext oldcontext;
	Gathering	gathering;
	HASHCTL		ctl;
	Datum		limit;
	bool		isnull;
	int64		batch;

	limit = ExecEvalExprSwitchContext(scan->limit, scan->parent->ps_ExprContext, &isnull);
	memset(&gathering, 0, sizeof(gathering));
	gathering.nwanted = isnull ? PG_INT64_MAX : DatumGetInt64(limit);

	oldcontext = MemoryContextSwitchTo(scan->parent->state->es_query_cxt);
	scan->rows = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(scan->context);
	ctl.keysize = sizeof(CandidateKey);
	ctl.entrysize = sizeof(CandidateKey);
	ctl.hcxt = scan->context;
	gathering.tried = hash_create("cz_fdw row locks", 64, &ctl,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	batch = Min(gathering.nwanted, MAX_BATCH) + (scan->locks->may_skip ? SKIP_RESERVE : 0);
	while (gathering.nrows < gathering.nwanted)
	{
		Candidates *candidates = read_candidates(scan, batch);

		gathering.has_missed = false;
		walk_candidates(scan, candidates, &gathering);
		tuplesort_end(candidates->sort);
		ExecDropSingleTupleTableSlot(candidates->slot);
		if (gathering.has_missed && scan->locks->may_wait)
			continue;
		if (candidates->is_full)
			batch *= BATCH_GROWTH;
		else if (!gathering.has_missed)
			break;				/* all there is has been tried */
	}
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(scan->context);
}

/*
 * CzLockScanNext
 *		The next row that is locked; false (slot cleared) at the end.
 */
bool
CzLockScanNext(CzLockScan *scan, TupleTableSlot *slot)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	CzMomentCheck(&scan->moment);
	if (scan->rows == NULL)
		gather(scan);
	if (!tuplestore_gettupleslot(scan->rows, true, false, scan->row_slot))
		return false;
	slot_getallattrs(scan->row_slot);
	memcpy(slot->tts_values, scan->row_slot->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, scan->row_slot->tts_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	return true;
}

/*
 * CzLockScanRescan
 *		Start again; the same rows if no parameter has changed.
 */
void
CzLockScanRescan(CzLockScan *scan, bool params_changed)
{
	if (scan->rows == NULL)
		return;
	ExecClearTuple(scan->row_slot);
	if (!params_changed)
	{
		tuplestore_rescan(scan->rows);
		return;
	}
	tuplestore_end(scan->rows);
	scan->rows = NULL;
}

/*
 * CzLockScanEnd
 *		Release all but the locks.
 */
void
CzLockScanEnd(CzLockScan *scan)
{
	CzMomentLeave(&scan->moment);
	ExecDropSingleTupleTableSlot(scan->lock_slot);
	ExecDropSingleTupleTableSlot(scan->row_slot);
	if (scan->rows != NULL)
		tuplestore_end(scan->rows);
	CzStreamEnd(scan->lock_stream);
	CzStreamEnd(scan->candidate_stream);
}

/*
 * CzLockScanExplain
 *		The statement that locks, and the one that finds the candidates.
 */
void
CzLockScanExplain(CzLockScan *scan, const CzFragmentPlan *plan, PlanState *node,
				  List *ancestors, ExplainState *es)
{
	const CzFragmentPlan *candidates = plan->locks->candidates;

	CzStreamExplain(scan ? scan->lock_stream : NULL, plan, node, ancestors, es);
	if (CzExplainShownShard(candidates) >= 0)
		ExplainPropertyText("Candidates",
							CzExplainSql(candidates, CzExplainShownShard(candidates), NULL),
							es);
}
