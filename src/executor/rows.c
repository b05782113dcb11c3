/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  The plan node CzModify: an UPDATE, DELETE or MERGE that is done row by row.
 *
 * When its first row is asked for, the node does all of its work but the last step:
 * it reads its source to the end, locks the rows at their first placements, and reads
 * and locks again as long as some have changed in between; then it computes what becomes
 * of each row, in a change set.  The set is applied when the statement ends
 * (rows_changes.c), so no part of the statement sees what another one writes.  The node
 * gives out the rows as they will be (DELETE: as they were).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/rowid.h"
#include "cz/transaction.h"
#include "executor_int.h"
#include "rows.h"

/* Reads of the source after which somebody is in the way all the time. */
#define MAX_READS 1000

typedef struct ModifyState
{
	CustomScanState css;		/* first */
	CzRowWrite *write;
	/* the rest is not set for EXPLAIN alone */
	Relation	rel;
	const CzTable *table;
	Oid			user_oid;
	CzRowSource *source;
	CzRowChangeSet *changes;
	CzTriggers *triggers;
	ResultRelInfo *generated;	/* computes generated columns; NULL: there are none */
	ResultRelInfo *generated_new;	/* the same for rows that a MERGE inserts */
	TupleTableSlot *row_slot;	/* of the source's rows */
	TupleTableSlot *old_slot;	/* of the table's shape */
	TupleTableSlot *new_slot;
	Tuplestorestate *out;		/* rows to be given out */
	TupleTableSlot *out_slot;
	bool		is_done;		/* the rows have been computed */
	bool		is_moving;		/* rows have been given to other shards */
	uint64		inactive_commands;	/* cz_inactive_commands at the start */
	/* for EXPLAIN ANALYZE */
	int			nreads;
} ModifyState;

static Node *create_modify_state(CustomScan *scan);
static void begin_modify(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_modify(CustomScanState *node);
static void end_modify(CustomScanState *node);
static void rescan_modify(CustomScanState *node);
static void explain_modify(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods cz_modify_methods = {
	.CustomName = "CzModify",
	.CreateCustomScanState = create_modify_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "CzModify",
	.BeginCustomScan = begin_modify,
	.ExecCustomScan = exec_modify,
	.EndCustomScan = end_modify,
	.ReScanCustomScan = rescan_modify,
	.ExplainCustomScan = explain_modify
};

static Node *
create_modify_state(CustomScan *scan)
{
	ModifyState *state = (ModifyState *) newNode(sizeof(ModifyState), T_CustomScanState);

	state->css.methods = &exec_methods;
	return (Node *) state;
}

/*
 * CzIsModifyState
 *		Is a node a CzModify?
 */
bool
CzIsModifyState(PlanState *state)
{
	return IsA(state, CustomScanState) &&
		((CustomScanState *) state)->methods == &exec_methods;
}

/* The columns that an UPDATE sends to the workers. */
static List *
sent_columns(ModifyState *state)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	bool		all = CzTriggersHasBeforeRow(state->triggers, CMD_UPDATE);
	bool		any = false;
	List	   *columns = NIL;
	int			i;

	/* SET generated = DEFAULT assigns nothing, but updates the row */
	for (i = 0; i < desc->natts; i++)
		any |= list_nth_int(state->write->new_columns, i) > 0;
	all |= !any;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !att->attgenerated &&
			(all || list_member_int(state->write->assigned, i + 1)))
			columns = lappend_int(columns, i + 1);
	}
	return columns;
}

static Bitmapset *
assigned_columns(const CzRowWrite *write)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, write->assigned)
		columns = bms_add_member(columns, lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber);
	return columns;
}

/* CZ_ACTION of what a MERGE may do. */
static int
actions_of(const CzRowWrite *write)
{
	int			actions = 0;
	ListCell   *lc;

	foreach(lc, write->actions)
		actions |= CZ_ACTION(lfirst_int(lc));
	return actions;
}

static void
begin_modify(CustomScanState *node, EState *estate, int eflags)
{
	ModifyState *state = (ModifyState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	Bitmapset  *assigned;
	TupleDesc	desc;
	int			actions;

	state->write = CzRowWriteFromList(scan->custom_private);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) || estate->es_epq_active != NULL)
		return;

	state->rel = table_open(state->write->relid, NoLock);
	state->table = CzTableGet(state->write->relid);
	if (state->table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation with OID %u is no longer distributed",
						state->write->relid)));
	state->user_oid = state->write->check_as_user;
	desc = RelationGetDescr(state->rel);
	assigned = assigned_columns(state->write);
	actions = actions_of(state->write);
	state->triggers = CzTriggersBegin(estate, state->rel, state->write->command, actions,
									  assigned, 0);
	if (state->write->command == CMD_UPDATE)
		actions = CZ_ACTION(CMD_UPDATE);
	if (desc->constr != NULL && desc->constr->has_generated_stored)
	{
		if (actions & CZ_ACTION(CMD_UPDATE))
			state->generated = CzTargetInit(estate, state->rel, assigned, 0);
		if (actions & CZ_ACTION(CMD_INSERT))
			state->generated_new = CzTargetInit(estate, state->rel, NULL, 0);
	}
	state->inactive_commands = cz_inactive_commands;
	state->source = CzRowSourceBegin(&node->ss.ps, state->rel, state->table,
									  state->write);
	state->changes = CzRowChangeSetBegin(&node->ss.ps, state->rel, state->user_oid,
										 state->write->key, sent_columns(state),
										 state->triggers);
	if (state->write->command == CMD_MERGE)
		CzRowChangeSetKeepNames(state->changes);
	state->old_slot = ExecInitExtraTupleSlot(estate, desc, &TTSOpsVirtual);
	state->new_slot = ExecInitExtraTupleSlot(estate, desc, &TTSOpsVirtual);
	state->row_slot = ExecInitExtraTupleSlot(estate, state->source->desc, &TTSOpsMinimalTuple);
	state->out_slot = ExecInitExtraTupleSlot(estate,
											 node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
											 &TTSOpsMinimalTuple);
	/* one that stands in WITH runs to its end even if nobody reads it */
	if (!state->write->can_set_tag)
		estate->es_auxmodifytables = lcons(node, estate->es_auxmodifytables);
}

/* ---- read and lock ------------------------------------------------------- */

/* Have functions of the statement changed rows, on whatever worker? */
static bool
has_own_changes(ModifyState *state)
{
	/* that a placement was left out was noted by a command, too */
	return GetCurrentCommandId(false) - state->css.ss.ps.state->es_output_cid >
		cz_inactive_commands - state->inactive_commands;
}

/*
 * Rows could not be locked as they were read.  With one snapshot for the transaction, a
 * worker itself raises an error for what others have changed, so it was the statement's
 * own functions that did.
 */
static void
check_stable_snapshot(ModifyState *state)
{
	if (!IsolationUsesXactSnapshot())
		return;
	if (has_own_changes(state))
		CzRaiseOwnChange(state->write->command);
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update")));
}

/* Note the first placements of the shards, where their rows are to be locked. */
static void
note_placements(ModifyState *state)
{
	const CzTable *table = CzTableGet(RelationGetRelid(state->rel));
	int			i;

	for (i = 0; i < table->nshards; i++)
		state->changes->first_oids[i] = CzTxnFirstPlacement(&table->shards[i]);
}

/*
 * Lock the rows that were read, unless that was done by reading them; false: some are
 * not as they were read, or are not locked where writers meet any more.  The name of a
 * row is good for the placement only from which it was read.
 */
static bool
lock_rows(ModifyState *state)
{
	Oid		   *first_oids = state->changes->first_oids;
	bool		is_locked;
	const CzTable *table;
	int			i = -1;

	is_locked = state->write->source_locks || CzRowsLock(state->source);
	AcceptInvalidationMessages();
	table = CzTableGet(RelationGetRelid(state->rel));
	while ((i = bms_next_member(state->source->shards, i)) >= 0)
	{
		const CzShard *shard = &table->shards[i];
		Oid			first_oid = CzTxnFirstPlacement(shard);

		/* who leaves a placement out does it before he locks rows there */
		if (first_oid != first_oids[i] && !CzTxnIsLost(shard->shard_id, first_oids[i]))
			is_locked = false;
		/* but after he has read them, maybe */
		if (state->source->read_at[i] != CZ_READ_NOWHERE &&
			!CzRowIdIsAt(shard, first_oid, state->source->read_at[i]))
			is_locked = false;
		first_oids[i] = first_oid;
	}
	return is_locked;
}

static void
read_and_lock(ModifyState *state)
{
	note_placements(state);
	state->source->claimed = state->changes->names;
	CzRowSourceRead(state->source);
	state->nreads = 1;
	while (!lock_rows(state))
	{
		uint64		before = state->source->digest;

		CHECK_FOR_INTERRUPTS();
		check_stable_snapshot(state);
		if (state->nreads >= MAX_READS)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update")));
		CzRowSourceReadAgain(state->source);
		state->nreads++;
		if (state->source->digest != before)
			continue;
		/* a later read says the same: it was not somebody else who changed them */
		if (has_own_changes(state))
			CzRaiseOwnChange(state->write->command);
		pg_usleep(1000L);
	}
}

/* ---- compute ------------------------------------------------------------- */

/* A row of the table's shape from columns of the source's row; 0: take fallback's. */
static void
fill_row(ModifyState *state, TupleTableSlot *slot, List *columns, TupleTableSlot *fallback)
{
	TupleTableSlot *row = state->row_slot;
	TupleDesc	desc = RelationGetDescr(state->rel);
	ListCell   *lc;

	ExecClearTuple(slot);
	foreach(lc, columns)
	{
		int			i = foreach_current_index(lc);
		int			column = lfirst_int(lc);

		if (column > 0 && !is_virtual_column_compat(TupleDescAttr(desc, i)))
			slot->tts_values[i] = slot_getattr(row, 1 + column, &slot->tts_isnull[i]);
		else if (fallback != NULL && column == 0)
		{
			slot->tts_values[i] = fallback->tts_values[i];
			slot->tts_isnull[i] = fallback->tts_isnull[i];
		}
		else
		{
			slot->tts_values[i] = (Datum) 0;
			slot->tts_isnull[i] = true;
		}
	}
	ExecStoreVirtualTuple(slot);
}

/* Keep what the node gives out for a row. */
static void
give_out(ModifyState *state, TupleTableSlot *row)
{
	int			natts = RelationGetDescr(state->rel)->natts;
	int			nextra = list_length(state->write->extra_columns);
	Datum	   *values = palloc(sizeof(Datum) * Max(natts + nextra, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(natts + nextra, 1));
	MemoryContext oldcontext;
	ListCell   *lc;
	int			n = natts;

	slot_getallattrs(row);
	memcpy(values, row->tts_values, sizeof(Datum) * natts);
	memcpy(nulls, row->tts_isnull, sizeof(bool) * natts);
	foreach(lc, state->write->extra_columns)
	{
		values[n] = slot_getattr(state->row_slot, 1 + lfirst_int(lc), &nulls[n]);
		n++;
	}
	if (state->out == NULL)
	{
		oldcontext = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
		state->out = tuplestore_begin_heap(false, false, work_mem);
		MemoryContextSwitchTo(oldcontext);
	}
	tuplestore_putvalues(state->out, state->out_slot->tts_tupleDescriptor, values, nulls);
}

/* May the write give rows to other shards? */
static bool
may_move(ModifyState *state)
{
	return state->write->command != CMD_DELETE && state->table->key_attno != 0 &&
		(list_nth_int(state->write->new_columns, state->table->key_attno - 1) > 0 ||
		 CzTriggersHasBeforeRow(state->triggers, CMD_UPDATE));
}

/* What is to be done with the row in row_slot. */
static CmdType
command_of_row(ModifyState *state)
{
	const CzRowWrite *write = state->write;
	bool		isnull;
	int			number;

	if (write->command != CMD_MERGE)
		return write->command;
	number = DatumGetInt32(slot_getattr(state->row_slot, 1 + write->action_column, &isnull));
	if (isnull || number < 1 || number > list_length(write->actions))
		elog(ERROR, "a row of MERGE has no action");
	return list_nth_int(write->actions, number - 1);
}

/* Compute a row that a MERGE inserts; false: a trigger leaves it out. */
static bool
compute_insert(ModifyState *state)
{
	EState	   *estate = state->css.ss.ps.state;
	CzRowChange change;

	memset(&change, 0, sizeof(change));
	change.action = CZ_ROW_INSERT;
	change.name.shard = -1;
	fill_row(state, state->new_slot, state->write->new_columns, NULL);
	if (!CzTriggersBeforeRow(state->triggers, CMD_INSERT, NULL, state->new_slot))
		return false;
	if (state->generated_new != NULL)
		ExecComputeStoredGenerated(state->generated_new, estate, state->new_slot, CMD_INSERT);
	change.new_shard = CzShardForRow(estate, state->rel, state->table, state->new_slot) -
		state->table->shards;
	CzRowChangeSetPut(state->changes, &change, state->new_slot, NULL);
	if (state->write->gives_rows)
		give_out(state, state->new_slot);
	return true;
}

/* A row that several rows of a MERGE's source have changed has no certain value. */
static void
check_merged_once(ModifyState *state, const CzRowName *name)
{
	if (CzRowChangeSetHas(state->changes, name))
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("%s command cannot affect row a second time", "MERGE"),
				 errhint("Ensure that not more than one source row matches any one target row.")));
}

/* What becomes of the row in row_slot; false: a trigger leaves it out. */
static bool
compute_row(ModifyState *state)
{
	EState	   *estate = state->css.ss.ps.state;
	CmdType		command = command_of_row(state);
	bool		is_merge = state->write->command == CMD_MERGE;
	CzRowChange change;
	HeapTuple	old_tuple = NULL;
	bool		isnull;

	if (command == CMD_INSERT)
		return compute_insert(state);
	memset(&change, 0, sizeof(change));
	change.name.shard = DatumGetInt32(slot_getattr(state->row_slot, 1, &isnull));
	if (state->write->table_column > 0)
		change.name.table =
			DatumGetObjectId(slot_getattr(state->row_slot, 1 + state->write->table_column,
										  &isnull));
	ItemPointerCopy((ItemPointer) DatumGetPointer(slot_getattr(state->row_slot,
															   1 + CZ_SOURCE_ID, &isnull)),
					&change.name.id);
	change.new_shard = -1;
	if (is_merge)
		check_merged_once(state, &change.name);
	else if (!CzRowChangeSetClaim(state->changes, &change.name))
		return false;

	fill_row(state, state->old_slot, state->write->old_columns, NULL);
	if (command == CMD_UPDATE)
		fill_row(state, state->new_slot, state->write->new_columns, state->old_slot);
	if (CzTriggersHasBeforeRow(state->triggers, command))
	{
		old_tuple = ExecCopySlotHeapTuple(state->old_slot);
		old_tuple->t_tableOid = RelationGetRelid(state->rel);
		if (!CzTriggersBeforeRow(state->triggers, command, old_tuple,
								 command == CMD_UPDATE ? state->new_slot : NULL))
		{
			/* it is left to other parts of the statement */
			if (!is_merge)
				CzRowChangeSetRelease(state->changes, &change.name);
			return false;
		}
	}
	if (is_merge)
		(void) CzRowChangeSetClaim(state->changes, &change.name);
	if (command == CMD_DELETE)
	{
		change.action = CZ_ROW_DELETE;
		CzRowChangeSetPut(state->changes, &change, state->old_slot, state->old_slot);
		if (state->write->gives_rows)
			give_out(state, state->old_slot);
		return true;
	}
	if (state->generated != NULL)
		ExecComputeStoredGenerated(state->generated, estate, state->new_slot, CMD_UPDATE);
	change.action = CZ_ROW_UPDATE;
	change.new_shard = !may_move(state) ? change.name.shard :
		CzShardForRow(estate, state->rel, state->table, state->new_slot) - state->table->shards;
	if (change.new_shard != change.name.shard)
	{
		change.action = CZ_ROW_MOVE;
		if (!state->is_moving)
			state->changes->has_key_moves = CzKeyMovesNeeded(state->rel, state->table);
		state->is_moving = true;
	}
	CzRowChangeSetPut(state->changes, &change, state->new_slot, state->old_slot);
	if (state->write->gives_rows)
		give_out(state, state->new_slot);
	return true;
}

static void
run_modify(ModifyState *state)
{
	EState	   *estate = state->css.ss.ps.state;
	MemoryContext row_context;
	MemoryContext oldcontext;

	state->is_done = true;
	if (state->write->gives_rows)
		state->changes->limit = 0;
	CzTriggersBeforeStatement(state->triggers);
	if (may_move(state))
		CzTxnLockMoves(state->write->relid, true);
	read_and_lock(state);
	state->changes->parts_qual = CzRowPartsQual(state->source->parts);
	row_context = AllocSetContextCreate(estate->es_query_cxt, "cz_fdw modified row",
										ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(row_context);
	tuplestore_rescan(state->source->rows);
	while (tuplestore_gettupleslot(state->source->rows, true, false, state->row_slot))
	{
		CHECK_FOR_INTERRUPTS();
		ResetPerTupleExprContext(estate);
		if (compute_row(state) && state->write->can_set_tag && !state->write->gives_rows)
			estate->es_processed++;
		ExecClearTuple(state->old_slot);
		ExecClearTuple(state->new_slot);
		/* a row that was read from a file is in that memory, too */
		ExecClearTuple(state->row_slot);
		MemoryContextReset(row_context);
	}
	ExecClearTuple(state->row_slot);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(row_context);
	tuplestore_end(state->source->rows);
	state->source->rows = NULL;
}

/* ---- the node ------------------------------------------------------------ */

static TupleTableSlot *
next_row(ScanState *node)
{
	ModifyState *state = (ModifyState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	int			natts = slot->tts_tupleDescriptor->natts;

	if (!state->is_done)
		run_modify(state);
	ExecClearTuple(slot);
	if (state->out == NULL ||
		!tuplestore_gettupleslot(state->out, true, false, state->out_slot))
	{
		state->changes->limit = -1;
		return slot;
	}
	/* who asks for rows may stop: then no more have been written (SPI compares) */
	if (state->write->can_set_tag)
		node->ps.state->es_processed++;
	state->changes->limit++;
	slot_getallattrs(state->out_slot);
	memcpy(slot->tts_values, state->out_slot->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, state->out_slot->tts_isnull, sizeof(bool) * natts);
	return ExecStoreVirtualTuple(slot);
}

static bool
recheck_row(ScanState *node, TupleTableSlot *slot)
{
	elog(ERROR, "a write cannot be rechecked");
	return false;
}

static TupleTableSlot *
exec_modify(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck_row);
}

static void
end_modify(CustomScanState *node)
{
	ModifyState *state = (ModifyState *) node;

	if (state->out != NULL)
		tuplestore_end(state->out);
	state->out = NULL;
	if (state->source != NULL && state->source->rows != NULL)
		tuplestore_end(state->source->rows);
	state->source = NULL;
	CzTriggersEnd(state->triggers);
	if (state->rel != NULL)
		table_close(state->rel, NoLock);
	state->rel = NULL;
}

static void
rescan_modify(CustomScanState *node)
{
	elog(ERROR, "a write cannot be done again");
}

static void
explain_modify(CustomScanState *node, List *ancestors, ExplainState *es)
{
	ModifyState *state = (ModifyState *) node;

	ExplainPropertyText("Command", psprintf("%s on %s",
											state->write->command == CMD_UPDATE ? "Update" :
											state->write->command == CMD_DELETE ? "Delete" :
											"Merge", CzRelationName(state->write->relid)),
						es);
	ExplainPropertyText("Rows From", psprintf("CTE %s", state->write->source_name), es);
	if (es->analyze && state->nreads > 1)
		ExplainPropertyInteger("Reads", NULL, state->nreads, es);
}
