/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  The stream of rows as its consumer sees it: begin, next row, again, end.
 *
 * Which shards and placements a run has is decided in stream_fragments.c;
 * stream_run.c talks to the workers.  Rows reach the consumer in one of two ways: directly from a
 * result, or, for fragments that could still move to another placement, from a
 * tuplestore after the fragment has completed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* Rows handed out from stores between two looks at the sockets. */
#define ROWS_BETWEEN_POLLS 64
/* Rows after which a scan is no small one, whatever was expected. */
#define MAX_SMALL_ROWS 10000
/* Least memory of one fragment's store, kB. */
#define MIN_STORE_KB 64

/*
 * CzStreamEnd is not called after an error; this reset callback of the stream's memory
 * frees the PGresult.
 */
static void
release_result(void *arg)
{
	CzStream   *stream = arg;

	CzMomentLeave(&stream->moment);
	PQclear(stream->res);
	stream->res = NULL;
}

static void
check_functions(const CzFragmentPlan *plan, Oid user_oid)
{
	ListCell   *lc;

	foreach(lc, plan->function_oids)
	{
		AclResult	result = function_aclcheck_compat(lfirst_oid(lc), user_oid);

		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_FUNCTION, get_func_name(lfirst_oid(lc)));
	}
}

static bool
is_begun(void *arg)
{
	return ((CzStream *) arg)->is_started;
}

/* Rows that could not be read after a write of the transaction. */
static void
read_ahead(void *arg)
{
	CzStream   *stream = arg;

	if (stream->is_started)
		CzRunDrainTxn(stream);
	else
		CzRunReadAll(stream);
}

/*
 * Keep the relations of a plan open, as a scan of them would: TRUNCATE and DDL in the
 * middle of it are then refused, instead of waiting for this session's own locks.
 */
static void
open_relations(CzStream *stream)
{
	ListCell   *lc;

	foreach(lc, stream->plan->relids)
		stream->relations = lappend(stream->relations,
									table_open(lfirst_oid(lc), AccessShareLock));
}

static void
close_relations(CzStream *stream)
{
	ListCell   *lc;

	foreach(lc, stream->relations)
		table_close((Relation) lfirst(lc), NoLock);
	list_free(stream->relations);
	stream->relations = NIL;
}

static CzStream *
create_stream(const CzFragmentPlan *plan, List *param_exprs, PlanState *parent,
			  TupleDesc tupdesc)
{
	static uint32 serial = 0;
	EState	   *estate = parent->state;
	MemoryContext context;
	CzStream   *stream;

	context = AllocSetContextCreate(estate->es_query_cxt, "cz_fdw stream",
									ALLOCSET_DEFAULT_SIZES);
	stream = MemoryContextAllocZero(context, sizeof(CzStream));
	stream->plan = plan;
	stream->parent = parent;
	stream->estate = estate;
	stream->tupdesc = tupdesc;
	stream->user_oid = OidIsValid(plan->check_as_user) ? plan->check_as_user : GetUserId();
	stream->subid = GetCurrentSubTransactionId();
	stream->owner = CurrentResourceOwner;
	stream->context = context;
	stream->run_context = AllocSetContextCreate(context, "cz_fdw stream run",
												ALLOCSET_DEFAULT_SIZES);
	stream->row_context = AllocSetContextCreate(context, "cz_fdw stream row",
												ALLOCSET_DEFAULT_SIZES);
	stream->callback.func = release_result;
	stream->callback.arg = stream;
	MemoryContextRegisterResetCallback(context, &stream->callback);
	stream->param_exprs = param_exprs;
	stream->is_modifying = estate->es_plannedstmt != NULL &&
		(estate->es_plannedstmt->commandType != CMD_SELECT ||
		 estate->es_plannedstmt->hasModifyingCTE);

	/* it will be scanned again, and the workers would say the same again */
	stream->must_keep = plan->nparams == 0 && plan->command == CMD_SELECT &&
		!bms_is_empty(parent->plan->extParam);

	/* who asks, also where a view is read on behalf of its owner */
	check_functions(plan, GetUserId());
	stream->group = CzGroupJoin(stream);
	stream->serial = ++serial;
	CzShipInit(stream);
	stream->only_shard = -1;
	return stream;
}

/*
 * CzStreamBegin
 *		See executor.h.
 */
CzStream *
CzStreamBegin(const CzFragmentPlan *plan, List *param_exprs, PlanState *parent,
			  TupleDesc tupdesc)
{
	CzStream   *stream = create_stream(plan, param_exprs, parent, tupdesc);
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->context);

	open_relations(stream);
	MemoryContextSwitchTo(oldcontext);
	if (plan->command == CMD_SELECT)
	{
		stream->moment.locks_rows = plan->has_row_locks;
		stream->moment.is_begun = is_begun;
		stream->moment.read = read_ahead;
		stream->moment.arg = stream;
		CzMomentEnter(&stream->moment, parent, param_exprs);
	}
	return stream;
}

/*
 * CzStreamBeginParts
 *		A stream that is run again and again by CzStreamRestart, through the
 *		transaction's connections, with parameters set by CzStreamFixParam.
 */
CzStream *
CzStreamBeginParts(const CzFragmentPlan *plan, List *param_exprs, PlanState *parent,
				   TupleDesc tupdesc)
{
	CzStream   *stream = create_stream(plan, param_exprs, parent, tupdesc);

	stream->must_keep = false;
	stream->in_transaction = true;
	stream->fixed_params = MemoryContextAllocZero(stream->context,
												  sizeof(char *) * Max(plan->nparams, 1));
	return stream;
}

/*
 * CzStreamFixParam
 *		Send this text as a parameter from the next run on; NULL: what its
 *		expression says.
 */
void
CzStreamFixParam(CzStream *stream, int index, const char *text)
{
	if (stream->fixed_params[index] != NULL)
		pfree(stream->fixed_params[index]);
	stream->fixed_params[index] = text ? MemoryContextStrdup(stream->context, text) : NULL;
}

/*
 * CzStreamSetRewind
 *		See executor.h.
 */
void
CzStreamSetRewind(CzStream *stream)
{
	stream->must_keep = true;
}

/*
 * CzFragmentStoreRow
 *		Keep one row of a fragment.
 */
void
CzFragmentStoreRow(CzStream *stream, Fragment *fragment, const PGresult *res, int row)
{
	int			natts = stream->tupdesc->natts;
	MemoryContext oldcontext;
	Datum	   *values;
	bool	   *isnull;

	if (fragment->store == NULL)
	{
		int			kb = work_mem / Max(stream->nfragments, 1);

		ResourceOwner oldowner = CurrentResourceOwner;

		/* its file is the statement's, also if a later one makes the rows come */
		oldcontext = MemoryContextSwitchTo(stream->run_context);
		CurrentResourceOwner = stream->owner;
		fragment->store = tuplestore_begin_heap(false, false, Max(kb, MIN_STORE_KB));
		CurrentResourceOwner = oldowner;
		MemoryContextSwitchTo(oldcontext);
	}
	/* not row_context: the consumer may still hold the row that is in there */
	if (stream->store_context == NULL)
		stream->store_context = AllocSetContextCreate(stream->context, "cz_fdw stream store",
													  ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(stream->store_context);
	values = palloc(sizeof(Datum) * Max(natts, 1));
	isnull = palloc(sizeof(bool) * Max(natts, 1));
	CzWireDecode(stream, res, row, fragment, values, isnull);
	tuplestore_putvalues(fragment->store, stream->tupdesc, values, isnull);
	fragment->nstored++;
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(stream->store_context);
}

/*
 * Hand out a row that was kept; false at the end of the store.  Not a copy: nothing
 * is put into the store as long as the consumer has the row.
 */
static bool
fetch_stored(CzStream *stream, Tuplestorestate *store, TupleTableSlot *slot)
{
	int			natts = stream->tupdesc->natts;
	MemoryContext oldcontext;
	bool		found;

	if (stream->store_slot == NULL)
	{
		oldcontext = MemoryContextSwitchTo(stream->context);
		stream->store_slot = MakeSingleTupleTableSlot(stream->tupdesc,
													  &TTSOpsMinimalTuple);
		MemoryContextSwitchTo(oldcontext);
	}
	/* a row read back from disk belongs to the slot until the next one */
	oldcontext = MemoryContextSwitchTo(stream->context);
	found = tuplestore_gettupleslot(store, true, false, stream->store_slot);
	MemoryContextSwitchTo(oldcontext);
	if (!found)
		return false;
	slot_getallattrs(stream->store_slot);
	memcpy(slot->tts_values, stream->store_slot->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, stream->store_slot->tts_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	return true;
}

/*
 * Read a small scan to its end, so that its connections are free for the other scans of
 * the statement.  One that was thought small and is not goes on as others do.
 */
static void
read_small(CzStream *stream)
{
	Bitmapset  *streamed = NULL;
	int64		nrows = 0;
	int			i;

	for (i = 0; i < stream->nfragments; i++)
	{
		if (!stream->fragments[i].is_held)
			streamed = bms_add_member(streamed, i);
		stream->fragments[i].is_held = true;
	}
	while (stream->ndone < stream->nfragments && nrows <= MAX_SMALL_ROWS)
	{
		CzRunPump(stream, NULL, true);
		nrows = 0;
		for (i = 0; i < stream->nfragments; i++)
			nrows += stream->fragments[i].nstored;
	}
	i = -1;
	while ((i = bms_next_member(streamed, i)) >= 0)
	{
		if (stream->fragments[i].state == FRAGMENT_WAITING)
			stream->fragments[i].is_held = false;
	}
	bms_free(streamed);
	CzRunPutBackIdle(stream);
}

/* The next row of this run, in any fragment. */
static bool
next_row(CzStream *stream, TupleTableSlot *slot)
{
	if (!stream->is_started)
	{
		CzRunStart(stream);
		if (stream->plan->is_small && stream->group->nstreams > 1)
			read_small(stream);
	}
	if (stream->plan->sort_columns != NIL && stream->nfragments > 1)
		return CzMergeNext(stream, slot);

	for (;;)
	{
		/* 1. a store that is being read */
		if (stream->reading != NULL)
		{
			if (fetch_stored(stream, stream->reading->store, slot))
			{
				stream->row_fragment = stream->reading;
				/* meanwhile the workers should not wait for us */
				if (++stream->rows_since_poll >= ROWS_BETWEEN_POLLS)
				{
					stream->rows_since_poll = 0;
					if (stream->ndone < stream->nfragments)
						CzRunPump(stream, NULL, false);
				}
				return true;
			}
			if (stream->store_slot)
				ExecClearTuple(stream->store_slot);
			tuplestore_end(stream->reading->store);
			stream->reading->store = NULL;
			stream->reading = NULL;
		}

		/* 2. rows that came straight from a worker */
		if (stream->res != NULL)
		{
			if (stream->res_row < PQntuples(stream->res))
			{
				MemoryContext oldcontext;

				stream->row_fragment = stream->res_fragment;
				MemoryContextReset(stream->row_context);
				oldcontext = MemoryContextSwitchTo(stream->row_context);
				CzWireDecode(stream, stream->res, stream->res_row++, stream->res_fragment,
							 slot->tts_values, slot->tts_isnull);
				MemoryContextSwitchTo(oldcontext);
				ExecStoreVirtualTuple(slot);
				return true;
			}
			PQclear(stream->res);
			stream->res = NULL;
			stream->res_fragment = NULL;
			continue;
		}

		/* 3. a fragment that has completed */
		if (stream->ready != NIL)
		{
			stream->reading = linitial(stream->ready);
			stream->ready = list_delete_first(stream->ready);
			continue;
		}

		if (stream->ndone >= stream->nfragments)
			return false;
		CzRunPump(stream, NULL, true);
	}
}

/*
 * CzStreamNext
 *		See executor.h.
 */
bool
CzStreamNext(CzStream *stream, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	CzMomentCheck(&stream->moment);

	if (stream->is_reading_kept)
	{
		if (fetch_stored(stream, stream->kept, slot))
			return true;
		if (stream->is_kept_complete)
			return false;
		stream->is_reading_kept = false;
	}
	if (!next_row(stream, slot))
	{
		CzRunPutBackIdle(stream);
		stream->is_kept_complete = true;
		return false;
	}
	if (stream->must_keep)
	{
		MemoryContext oldcontext;

		if (stream->kept == NULL)
		{
			oldcontext = MemoryContextSwitchTo(stream->context);
			stream->kept = tuplestore_begin_heap(false, false, work_mem);
			tuplestore_set_eflags(stream->kept, EXEC_FLAG_REWIND);
			MemoryContextSwitchTo(oldcontext);
		}
		tuplestore_putvalues(stream->kept, stream->tupdesc, slot->tts_values,
							 slot->tts_isnull);
	}
	return true;
}

/*
 * CzStreamLockMoves
 *		Keep rows of the anchor's table in their shards until CzStreamLetMoves, or the end
 *		of the run.
 */
void
CzStreamLockMoves(CzStream *stream)
{
	if (stream->moves_owner == NULL)
		stream->moves_owner = CzTxnLockMoves(stream->plan->anchor_relid, false);
}

void
CzStreamLetMoves(CzStream *stream)
{
	if (stream->moves_owner != NULL)
		CzTxnLetMoves(stream->plan->anchor_relid, stream->moves_owner);
	stream->moves_owner = NULL;
}

/* Throw the current run away. */
static void
reset_run(CzStream *stream)
{
	int			i;

	CzRunStop(stream);
	CzStreamLetMoves(stream);
	CzMergeEnd(stream);
	if (stream->estate->es_instrument != 0)
		CzExplainKeepRun(stream);
	PQclear(stream->res);
	stream->res = NULL;
	stream->res_fragment = NULL;
	if (stream->store_slot)
		ExecClearTuple(stream->store_slot);
	for (i = 0; i < stream->nfragments; i++)
	{
		if (stream->fragments[i].store)
			tuplestore_end(stream->fragments[i].store);
	}
	stream->ready = NIL;
	stream->reading = NULL;
	stream->workers = NIL;
	stream->fragments = NULL;
	stream->nfragments = 0;
	stream->ndone = 0;
	stream->param_values = NULL;
	stream->row_values = NULL;
	stream->is_started = stream->has_awaited = false;
	MemoryContextReset(stream->run_context);
}

/*
 * CzStreamRestart
 *		Forget the current run and its rows; the next row begins a new one.
 */
void
CzStreamRestart(CzStream *stream)
{
	if (stream->is_started)
		reset_run(stream);
}

/*
 * CzStreamRescan
 *		See executor.h.
 */
void
CzStreamRescan(CzStream *stream, bool params_changed)
{
	/* parameters of the node's own filter do not reach the workers */
	if (stream->plan->nparams == 0)
		params_changed = false;

	if (!params_changed && stream->must_keep &&
		(stream->kept != NULL || stream->is_kept_complete))
	{
		/* what has come already comes from the store, then the run goes on */
		if (stream->kept != NULL)
		{
			tuplestore_rescan(stream->kept);
			stream->is_reading_kept = true;
		}
		return;
	}
	if (!stream->is_started)
		return;

	reset_run(stream);
	if (stream->kept)
		tuplestore_end(stream->kept);
	stream->kept = NULL;
	stream->is_kept_complete = false;
	stream->is_reading_kept = false;
	/* the same rows wanted twice (a correlated sub-plan's): a third time is likely */
	if (!params_changed)
		stream->must_keep = true;
}

/*
 * CzStreamEnd
 *		See executor.h.
 */
void
CzStreamEnd(CzStream *stream)
{
	CzMomentLeave(&stream->moment);
	reset_run(stream);
	CzShipEnd(stream);
	close_relations(stream);
	if (stream->kept)
		tuplestore_end(stream->kept);
	stream->kept = NULL;
	if (stream->store_slot)
		ExecDropSingleTupleTableSlot(stream->store_slot);
	stream->store_slot = NULL;
	CzGroupLeave(stream);
	stream->group = NULL;
}
