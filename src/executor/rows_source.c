/*-------------------------------------------------------------------------
 *
 * rows_source.c
 *	  The rows that a write finds, read from its source, and read again.
 *
 * A row that has changed between the read and its lock was not read as it is now, so the
 * statement's read is done again, with a new snapshot, while the locks stay.  For that
 * the source's plan gets an executor state of its own, as EvalPlanQual's plans do.  The
 * other writes of the statement (in WITH) have not been applied yet and are not done
 * again: the new read sees the rows that they have given out.
 *
 * Source: own work; the child state follows EvalPlanQualStart() of
 * src/backend/executor/execMain.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/rowid.h"
#include "executor_int.h"
#include "own_rows.h"
#include "rows.h"

/*
 * CzRowSourceBegin
 *		A source that has not been read yet.
 */
CzRowSource *
CzRowSourceBegin(PlanState *parent, Relation rel, const CzTable *table,
				 const CzRowWrite *write)
{
	CzRowSource *source = palloc0(sizeof(CzRowSource));
	PlanState  *plan = list_nth(parent->state->es_subplanstates, write->plan_id - 1);
	TupleDesc	desc = ExecGetResultType(plan);
	int			i;

	source->parent = parent;
	source->own_slot = ExecInitExtraTupleSlot(parent->state, RelationGetDescr(rel),
											  &TTSOpsVirtual);
	source->table = table;
	source->write = write;
	if (write->table_column > 0)
		source->parts = CzRowPartsBegin(rel, write);
	source->read_at = palloc(sizeof(int) * Max(table->nshards, 1));
	source->desc = CreateTemplateTupleDesc(desc->natts + 1);
	TupleDescInitEntry(source->desc, 1, "shard", INT4OID, -1, 0);
	for (i = 1; i <= desc->natts; i++)
		TupleDescCopyEntry(source->desc, i + 1, desc, i);
	return source;
}

/*
 * Of rows that name the same row one is wanted.  The names that have been seen are kept
 * in a hash table as long as they fit into a hash's memory; the rows with other names
 * that come then are sorted, and the first of each name is taken at the end.
 */
typedef struct SeenRows
{
	MemoryContext context;
	HTAB	   *names;			/* CzRowName */
	int64		max_names;
	Tuplesortstate *sort;		/* NULL: the names have fitted so far */
	TupleTableSlot *slot;		/* of the sorted rows */
} SeenRows;

/* What a name takes in a hash table: itself, its element's head, its bucket. */
#define NAME_MEMORY (MAXALIGN(sizeof(CzRowName)) + MAXALIGN(sizeof(HASHELEMENT)) + sizeof(void *))

static SeenRows *
make_seen(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz_fdw rows seen",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	SeenRows   *seen = palloc0(sizeof(SeenRows));
	HASHCTL		ctl;

	ctl.keysize = sizeof(CzRowName);
	ctl.entrysize = sizeof(CzRowName);
	ctl.hcxt = context;
	seen->context = context;
	seen->names = hash_create("cz_fdw rows seen", 1024, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	seen->max_names = get_hash_memory_limit() / NAME_MEMORY;
	MemoryContextSwitchTo(oldcontext);
	return seen;
}

/* Sort by the shard, the row's id there and its partition, if there are any. */
static void
begin_sort(SeenRows *seen, TupleDesc desc, int table_column)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(seen->context);
	AttrNumber	columns[] = {1, 1 + CZ_SOURCE_ID, 1 + table_column};
	Oid			operators[] = {Int4LessOperator, TIDLessOperator,
		lookup_type_cache(OIDOID, TYPECACHE_LT_OPR)->lt_opr};
	Oid			collations[] = {InvalidOid, InvalidOid, InvalidOid};
	bool		nulls_first[] = {false, false, false};

	seen->sort = tuplesort_begin_heap(desc, lengthof(columns) - (table_column == 0), columns,
									  operators, collations, nulls_first, work_mem, NULL,
									  TUPLESORT_NONE);
	seen->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	MemoryContextSwitchTo(oldcontext);
}

/* Is the row to be left out, or put off to the end? */
static bool
is_put_aside(SeenRows *seen, CzRowSource *source, const CzRowName *name, Datum *values,
			 bool *nulls)
{
	TupleDesc	desc = source->desc;
	bool		found;

	(void) hash_search(seen->names, name,
					   hash_get_num_entries(seen->names) < seen->max_names ? HASH_ENTER : HASH_FIND,
					   &found);
	if (found)
		return true;
	if (hash_get_num_entries(seen->names) < seen->max_names)
		return false;
	if (seen->sort == NULL)
		begin_sort(seen, desc, source->write->table_column);
	ExecClearTuple(seen->slot);
	memcpy(seen->slot->tts_values, values, sizeof(Datum) * desc->natts);
	memcpy(seen->slot->tts_isnull, nulls, sizeof(bool) * desc->natts);
	ExecStoreVirtualTuple(seen->slot);
	tuplesort_puttupleslot(seen->sort, seen->slot);
	return true;
}

/* A row of the source's shape is one to be written. */
static void
add_row(CzRowSource *source, const CzRowName *name, Datum *values, bool *nulls)
{
	tuplestore_putvalues(source->rows, source->desc, values, nulls);
	if (name->shard < 0)
		return;
	source->digest += hash_bytes_extended((const unsigned char *) name, sizeof(*name),
										  DatumGetTransactionId(values[CZ_SOURCE_XMIN]));
	source->shards = bms_add_member(source->shards, name->shard);
	source->nrows++;
}

/* The rows that have been put off. */
static void
add_sorted(CzRowSource *source, SeenRows *seen)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(source->desc, &TTSOpsMinimalTuple);
	CzRowName	last;
	CzRowName	name;

	memset(&last, 0, sizeof(last));
	memset(&name, 0, sizeof(name));
	last.shard = -1;
	tuplesort_performsort(seen->sort);
	while (tuplesort_gettupleslot(seen->sort, true, false, slot, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		name.shard = DatumGetInt32(slot->tts_values[0]);
		name.id = *(ItemPointer) DatumGetPointer(slot->tts_values[CZ_SOURCE_ID]);
		if (source->write->table_column > 0)
			name.table = DatumGetObjectId(slot->tts_values[source->write->table_column]);
		if (name.shard >= 0 && memcmp(&name, &last, sizeof(name)) == 0)
			continue;
		last = name;
		add_row(source, &name, slot->tts_values, slot->tts_isnull);
	}
	ExecDropSingleTupleTableSlot(slot);
}

static void
end_seen(CzRowSource *source, SeenRows *seen)
{
	if (seen->sort != NULL)
	{
		add_sorted(source, seen);
		tuplesort_end(seen->sort);
		ExecDropSingleTupleTableSlot(seen->slot);
	}
	MemoryContextDelete(seen->context);
}

/* Was a row in the way of ON CONFLICT DO UPDATE in another part of the statement? */
static bool
was_in_the_way(CzRowSource *source, CzOwnRows *own, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = source->own_slot;
	ListCell   *lc;

	if (own == NULL)
		return false;
	ExecClearTuple(slot);
	foreach(lc, source->write->old_columns)
	{
		int			i = foreach_current_index(lc);

		slot->tts_isnull[i] = lfirst_int(lc) == 0 || nulls[lfirst_int(lc)];
		slot->tts_values[i] = slot->tts_isnull[i] ? (Datum) 0 : values[lfirst_int(lc)];
	}
	ExecStoreVirtualTuple(slot);
	return CzOwnRowsHas(own, slot);
}

/*
 * Is it a row that another part of the statement has changed?  Where that was applied
 * already, the row cannot be locked as it was read any more.
 */
static bool
is_own_row(CzRowSource *source, CzOwnRows *own, const CzRowName *name, const Datum *values,
		   const bool *nulls)
{
	if (!(source->claimed != NULL &&
		  hash_search(source->claimed, name, HASH_FIND, NULL) != NULL) &&
		!was_in_the_way(source, own, values, nulls))
		return false;
	if (source->write->command == CMD_MERGE)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("%s command cannot affect row a second time", "MERGE"),
				 errhint("Ensure that not more than one source row matches any one target row.")));
	return true;
}

/* Note at which placement a row was read. */
static void
note_placement(CzRowSource *source, int shard, const ItemPointerData *id)
{
	int			placement = CzRowIdPlacement(id);

	if (source->read_at[shard] == CZ_READ_NOWHERE)
		source->read_at[shard] = placement;
	else if (source->read_at[shard] != placement)
		source->read_at[shard] = CZ_READ_APART;
}

/* Read all rows of the source's plan; of those that name the same row one. */
static void
read_rows(CzRowSource *source, PlanState *plan)
{
	EState	   *estate = plan->state;
	ScanDirection direction = estate->es_direction;
	MemoryContext oldcontext;
	SeenRows   *seen = NULL;
	CzOwnRows  *own = CzOwnRowsFind(source->parent->state, source->table->relid);
	int			natts = source->desc->natts;
	bool		does_nothing = CzRowWriteDoesNothing(source->write);
	Datum	   *values;
	bool	   *nulls;
	int			i;

	oldcontext = MemoryContextSwitchTo(source->parent->state->es_query_cxt);
	if (source->rows != NULL)
		tuplestore_clear(source->rows);
	else
	{
		source->rows = tuplestore_begin_heap(false, false, work_mem);
		tuplestore_set_eflags(source->rows, EXEC_FLAG_REWIND);
	}
	if (source->write->may_repeat)
		seen = make_seen();
	source->nrows = 0;
	source->digest = 0;
	if (source->parts != NULL)
		CzRowPartsForget(source->parts);
	for (i = 0; i < source->table->nshards; i++)
		source->read_at[i] = CZ_READ_NOWHERE;
	values = palloc(sizeof(Datum) * natts);
	nulls = palloc(sizeof(bool) * natts);
	estate->es_direction = ForwardScanDirection;
	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(plan);
		CzRowName	name;

		CHECK_FOR_INTERRUPTS();
		if (TupIsNull(slot))
			break;
		if (does_nothing)
			continue;
		slot_getallattrs(slot);
		memset(&name, 0, sizeof(name));
		name.shard = -1;
		if (!slot->tts_isnull[CZ_SOURCE_ID - 1])
			name.shard = CzRowIdDecode(source->table, (ItemPointer)
									   DatumGetPointer(slot->tts_values[CZ_SOURCE_ID - 1]),
									   &name.id);
		if (name.shard >= 0)
			note_placement(source, name.shard,
						   (ItemPointer) DatumGetPointer(slot->tts_values[CZ_SOURCE_ID - 1]));
		if (name.shard >= 0 && source->write->table_column > 0)
			name.table = DatumGetObjectId(slot->tts_values[source->write->table_column - 1]);
		if (name.shard >= 0 && source->parts != NULL)
			CzRowPartsNote(source->parts, slot->tts_values, slot->tts_isnull);
		/* a row that a MERGE is to insert has none yet */
		if (name.shard < 0 && !(source->write->command == CMD_MERGE &&
								slot->tts_isnull[CZ_SOURCE_ID - 1]))
			elog(ERROR, "a row belongs to no shard of table \"%s\"",
				 get_rel_name(source->table->relid));
		values[0] = Int32GetDatum(name.shard);
		nulls[0] = false;
		memcpy(&values[1], slot->tts_values, sizeof(Datum) * (natts - 1));
		memcpy(&nulls[1], slot->tts_isnull, sizeof(bool) * (natts - 1));
		values[CZ_SOURCE_ID] = PointerGetDatum(&name.id);
		if (name.shard >= 0 && is_own_row(source, own, &name, values, nulls))
			continue;
		if (seen == NULL || !is_put_aside(seen, source, &name, values, nulls))
			add_row(source, &name, values, nulls);
	}
	estate->es_direction = direction;
	pfree(values);
	pfree(nulls);
	if (seen != NULL)
		end_seen(source, seen);
	MemoryContextSwitchTo(oldcontext);
}

/*
 * CzRowSourceRead
 *		Read the rows for the first time.
 */
void
CzRowSourceRead(CzRowSource *source)
{
	read_rows(source, list_nth(source->parent->state->es_subplanstates,
							   source->write->plan_id - 1));
}

/* ---- again --------------------------------------------------------------- */

static bool
writes_walker(PlanState *state, void *context)
{
	if (state == NULL)
		return false;
	if (IsA(state, ModifyTableState) || CzIsModifyState(state))
		return true;
	return planstate_tree_walker(state, writes_walker, context);
}

typedef struct ReadersContext
{
	EState	   *parent;
	EState	   *child;
	List	   *writes;			/* ints, plan ids */
} ReadersContext;

/* Scans of what writes of the statement return: the child's share their rows. */
static bool
readers_walker(PlanState *state, ReadersContext *context)
{
	if (state == NULL)
		return false;
	if (IsA(state, CteScanState))
	{
		CteScan    *scan = (CteScan *) state->plan;

		if (list_member_int(context->writes, scan->ctePlanId))
			context->child->es_param_exec_vals[scan->cteParam].value =
				context->parent->es_param_exec_vals[scan->cteParam].value;
	}
	return planstate_tree_walker(state, readers_walker, (void *) context);
}

/* A state that runs the statement's sub-plans anew, but not those that write. */
static EState *
begin_child(EState *parent, Snapshot snapshot, List **writes)
{
	EState	   *child = CreateExecutorState();
	MemoryContext oldcontext = MemoryContextSwitchTo(child->es_query_cxt);
	ReadersContext context = {parent, child, NIL};
	ListCell   *lc;

	child->es_direction = ForwardScanDirection;
	child->es_snapshot = snapshot;
	child->es_crosscheck_snapshot = parent->es_crosscheck_snapshot;
	child->es_range_table = parent->es_range_table;
	child->es_range_table_size = parent->es_range_table_size;
	child->es_relations = parent->es_relations;
	child->es_queryEnv = parent->es_queryEnv;
	child->es_rowmarks = parent->es_rowmarks;
	child->es_plannedstmt = parent->es_plannedstmt;
	child->es_junkFilter = parent->es_junkFilter;
	child->es_output_cid = parent->es_output_cid;
	child->es_top_eflags = parent->es_top_eflags;
	child->es_param_list_info = parent->es_param_list_info;
	child->es_sourceText = parent->es_sourceText;
	estate_share_compat(child, parent);
	child->es_param_exec_vals =
		palloc0(sizeof(ParamExecData) *
				Max(list_length(parent->es_plannedstmt->paramExecTypes), 1));

	foreach(lc, parent->es_subplanstates)
	{
		if (writes_walker(lfirst(lc), NULL))
			context.writes = lappend_int(context.writes, foreach_current_index(lc) + 1);
	}
	foreach(lc, context.writes != NIL ? parent->es_subplanstates : NIL)
		(void) readers_walker(lfirst(lc), &context);
	foreach(lc, parent->es_plannedstmt->subplans)
	{
		int			n = foreach_current_index(lc);
		PlanState  *state;

		if (list_member_int(context.writes, n + 1))
			state = list_nth(parent->es_subplanstates, n);
		else
			state = ExecInitNode(lfirst(lc), child, 0);
		child->es_subplanstates = lappend(child->es_subplanstates, state);
	}
	MemoryContextSwitchTo(oldcontext);
	*writes = context.writes;
	return child;
}

static void
end_child(EState *child, List *writes)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(child->es_query_cxt);
	ListCell   *lc;

	foreach(lc, child->es_subplanstates)
	{
		if (!list_member_int(writes, foreach_current_index(lc) + 1))
			ExecEndNode(lfirst(lc));
	}
	ExecResetTupleTable(child->es_tupleTable, false);
	MemoryContextSwitchTo(oldcontext);
	FreeExecutorState(child);
}

/*
 * CzRowSourceReadAgain
 *		Read the rows as they are now.  Who has changed one may still be committing what he
 *		has changed on other workers.
 */
void
CzRowSourceReadAgain(CzRowSource *source)
{
	EState	   *parent = source->parent->state;
	MemoryContext oldcontext = MemoryContextSwitchTo(parent->es_query_cxt);
	Snapshot	snapshot;
	EState	   *child;
	List	   *writes;

	if (cz_distributed_snapshot != CZ_SNAPSHOT_OFF)
		CzRoomAwait();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	/* what the statement has seen of its own transaction stays */
	snapshot->curcid = parent->es_snapshot->curcid;
	PushActiveSnapshot(snapshot);
	child = begin_child(parent, snapshot, &writes);
	read_rows(source, list_nth(child->es_subplanstates, source->write->plan_id - 1));
	end_child(child, writes);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	MemoryContextSwitchTo(oldcontext);
}
