/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Rows of several sorted fragments in one order.
 *
 * Each fragment shows its next row, its head; a heap of the heads gives the next
 * row of all.  A fragment whose head is known is paused: its socket is not read,
 * so the worker waits and nothing piles up here.  Not every fragment can be
 * paused.  What shares a connection with fragments behind it, whose heads are
 * wanted too, is read into its tuplestore; and so is one that may still move to
 * another placement, which shows no row before it is complete.
 *
 * The invariant: a row leaves only when every fragment has shown its head or has
 * ended.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "lib/binaryheap.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/sortsupport.h"

#include "executor_int.h"

/* One fragment's head. */
typedef struct MergeSource
{
	Fragment   *fragment;
	bool		has_head;
	Datum	   *values;			/* of the head */
	bool	   *isnull;
	MemoryContext context;		/* a head that came straight from a worker */
	TupleTableSlot *slot;		/* owns a head that came from the store; or NULL */
	PGresult   *chunk;			/* rows of it follow the head, before the store's; or NULL */
	int			chunk_row;		/* the next one */
} MergeSource;

struct CzMergeState
{
	CzStream   *stream;
	int			nsources;
	MergeSource *sources;		/* in the order of stream->fragments */
	binaryheap *heap;			/* of indexes in sources; NULL before all have heads */
	MergeSource *taken;			/* whose head the consumer has */
	int			nkeys;
	SortSupport keys;
	AttrNumber *columns;		/* [nkeys], from 0 */
	MemoryContextCallback callback;
};

static int
compare_heads(Datum a, Datum b, void *arg)
{
	CzMergeState *merge = arg;
	MergeSource *sa = &merge->sources[DatumGetInt32(a)];
	MergeSource *sb = &merge->sources[DatumGetInt32(b)];
	int			i;

	for (i = 0; i < merge->nkeys; i++)
	{
		AttrNumber	column = merge->columns[i];
		int			order = ApplySortComparator(sa->values[column], sa->isnull[column],
												sb->values[column], sb->isnull[column],
												&merge->keys[i]);

		if (order != 0)
		{
			INVERT_COMPARE_RESULT(order);	/* the heap has its largest on top */
			return order;
		}
	}
	return 0;
}

/* Sources of fragments that are new: one that moved may have been split. */
static void
add_sources(CzMergeState *merge)
{
	CzStream   *stream = merge->stream;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	int			natts = Max(stream->tupdesc->natts, 1);

	while (merge->nsources < stream->nfragments)
	{
		MergeSource *source = &merge->sources[merge->nsources];

		source->fragment = &stream->fragments[merge->nsources++];
		source->values = palloc(sizeof(Datum) * natts);
		source->isnull = palloc(sizeof(bool) * natts);
		source->context = AllocSetContextCreate(stream->run_context, "cz_fdw merge head",
												ALLOCSET_SMALL_SIZES);
	}
	MemoryContextSwitchTo(oldcontext);
}

/* CzMergeEnd is not called after an error. */
static void
release_chunks(void *arg)
{
	CzMergeState *merge = arg;
	int			i;

	for (i = 0; i < merge->nsources; i++)
	{
		PQclear(merge->sources[i].chunk);
		merge->sources[i].chunk = NULL;
	}
}

/* In run_context: a rescan forgets it all. */
static CzMergeState *
merge_begin(CzStream *stream)
{
	const CzFragmentPlan *plan = stream->plan;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	CzMergeState *merge = palloc0(sizeof(CzMergeState));
	int			i;

	merge->stream = stream;
	merge->nkeys = list_length(plan->sort_columns);
	merge->keys = palloc0(sizeof(SortSupportData) * merge->nkeys);
	merge->columns = palloc(sizeof(AttrNumber) * merge->nkeys);
	for (i = 0; i < merge->nkeys; i++)
	{
		SortSupport key = &merge->keys[i];

		merge->columns[i] = list_nth_int(plan->sort_columns, i) - 1;
		key->ssup_cxt = stream->run_context;
		key->ssup_collation = list_nth_oid(plan->sort_collations, i);
		key->ssup_nulls_first = list_nth_int(plan->sort_nulls_first, i) != 0;
		key->ssup_attno = merge->columns[i] + 1;
		key->abbreviate = false;
		PrepareSortSupportFromOrderingOp(list_nth_oid(plan->sort_operators, i), key);
	}

	merge->sources = palloc0(sizeof(MergeSource) * Max(stream->max_fragments, 1));
	merge->callback.func = release_chunks;
	merge->callback.arg = merge;
	MemoryContextRegisterResetCallback(stream->run_context, &merge->callback);
	MemoryContextSwitchTo(oldcontext);
	add_sources(merge);
	return merge;
}

/* The next row of a fragment's chunk becomes its head. */
static void
take_of_chunk(CzMergeState *merge, MergeSource *source)
{
	MemoryContext oldcontext;

	MemoryContextReset(source->context);
	oldcontext = MemoryContextSwitchTo(source->context);
	CzWireDecode(merge->stream, source->chunk, source->chunk_row, source->fragment,
				 source->values, source->isnull);
	MemoryContextSwitchTo(oldcontext);
	source->has_head = true;
	source->fragment->is_paused = true;
	if (++source->chunk_row == PQntuples(source->chunk))
	{
		PQclear(source->chunk);
		source->chunk = NULL;
	}
}

/* Rows that came straight from a worker: the first one may be a head. */
static void
take_result(CzMergeState *merge)
{
	CzStream   *stream = merge->stream;
	Fragment   *fragment = stream->res_fragment;
	MergeSource *source;

	add_sources(merge);
	source = &merge->sources[fragment - stream->fragments];
	if (source->chunk == NULL && fragment->nstored == fragment->nread)
	{
		source->chunk = stream->res;
		source->chunk_row = stream->res_row;
		stream->res = NULL;
		if (!source->has_head)
			take_of_chunk(merge, source);
	}
	else
	{
		while (stream->res_row < PQntuples(stream->res))
		{
			CzFragmentStoreRow(stream, fragment, stream->res, stream->res_row);
			stream->res_row++;
		}
		PQclear(stream->res);
		stream->res = NULL;
	}
	fragment->is_paused = source->has_head;
	stream->res_fragment = NULL;
}

/* The next row of a fragment's store becomes its head. */
static void
take_stored(CzMergeState *merge, MergeSource *source)
{
	CzStream   *stream = merge->stream;
	int			natts = stream->tupdesc->natts;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);

	if (source->slot == NULL)
		source->slot = MakeSingleTupleTableSlot(stream->tupdesc, &TTSOpsMinimalTuple);
	/* a copy: the store still grows, and frees its rows when it goes to disk */
	if (!tuplestore_gettupleslot(source->fragment->store, true, true, source->slot))
		elog(ERROR, "a stored row is missing");
	MemoryContextSwitchTo(oldcontext);
	slot_getallattrs(source->slot);
	memcpy(source->values, source->slot->tts_values, sizeof(Datum) * natts);
	memcpy(source->isnull, source->slot->tts_isnull, sizeof(bool) * natts);
	source->fragment->nread++;
	source->fragment->is_emitted = true;
	source->fragment->is_paused = true;
	source->has_head = true;
}

/*
 * Try to give a fragment a head without waiting.  True if it has one or has ended.
 */
static bool
settle(CzMergeState *merge, MergeSource *source)
{
	Fragment   *fragment = source->fragment;
	bool		is_done = fragment->state == FRAGMENT_DONE;

	if (source->has_head)
		return true;
	if (source->chunk != NULL)
	{
		take_of_chunk(merge, source);
		return true;
	}
	if (fragment->nstored > fragment->nread)
	{
		if (fragment->is_held && !is_done)
			return false;
		take_stored(merge, source);
		return true;
	}
	return is_done && merge->stream->res_fragment != fragment;
}

/* Give a fragment a head, or see it end. */
static void
advance(CzMergeState *merge, MergeSource *source)
{
	CzStream   *stream = merge->stream;

	source->has_head = false;
	source->fragment->is_paused = false;
	while (!settle(merge, source))
	{
		if (stream->res == NULL)
			CzRunPump(stream, source->fragment->worker, true);
		if (stream->res != NULL)
			take_result(merge);
	}
}

/* Wait, on all workers at once, until every fragment has a head or has ended. */
static void
first_heads(CzMergeState *merge)
{
	CzStream   *stream = merge->stream;
	MemoryContext oldcontext;
	bool		all;
	int			i;

	for (;;)
	{
		all = true;
		add_sources(merge);
		for (i = 0; i < merge->nsources; i++)
			all = settle(merge, &merge->sources[i]) && all;
		if (all)
			break;
		if (stream->res == NULL)
			CzRunPump(stream, NULL, true);
		if (stream->res != NULL)
			take_result(merge);
	}

	oldcontext = MemoryContextSwitchTo(stream->run_context);
	merge->heap = binaryheap_allocate(Max(merge->nsources, 1), compare_heads, merge);
	MemoryContextSwitchTo(oldcontext);
	for (i = 0; i < merge->nsources; i++)
	{
		if (merge->sources[i].has_head)
			binaryheap_add_unordered(merge->heap, Int32GetDatum(i));
	}
	binaryheap_build(merge->heap);
}

/*
 * CzMergeNext
 *		The next row of a run in the order of the plan's sort keys; its values are
 *		valid until the next call.
 */
bool
CzMergeNext(CzStream *stream, TupleTableSlot *slot)
{
	CzMergeState *merge = stream->merge;
	int			natts = stream->tupdesc->natts;

	if (merge == NULL)
		merge = stream->merge = merge_begin(stream);
	if (merge->heap == NULL)
		first_heads(merge);
	else if (merge->taken != NULL)
	{
		MergeSource *source = merge->taken;

		merge->taken = NULL;
		advance(merge, source);
		if (source->has_head)
			binaryheap_replace_first(merge->heap, Int32GetDatum(source - merge->sources));
		else
			(void) binaryheap_remove_first(merge->heap);
	}
	if (binaryheap_empty(merge->heap))
		return false;

	merge->taken = &merge->sources[DatumGetInt32(binaryheap_first(merge->heap))];
	memcpy(slot->tts_values, merge->taken->values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, merge->taken->isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	return true;
}

/*
 * CzMergeEnd
 *		Give back what the memory of a run does not hold.
 */
void
CzMergeEnd(CzStream *stream)
{
	CzMergeState *merge = stream->merge;
	int			i;

	if (merge == NULL)
		return;
	for (i = 0; i < merge->nsources; i++)
	{
		if (merge->sources[i].slot != NULL)
			ExecDropSingleTupleTableSlot(merge->sources[i].slot);
	}
	release_chunks(merge);
	if (merge->heap != NULL)
		binaryheap_free(merge->heap);
	stream->merge = NULL;
}
