/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  The plan node CzFragmentScan: a CustomScan over a stream.
 *
 * scanrelid is 0 and custom_scan_tlist gives the shape of the fragments' rows.
 * For UPDATE and DELETE the node runs the command once, counts the rows for the
 * command tag, and returns what RETURNING gave.  In an EvalPlanQual recheck it
 * returns the row in hand and never contacts a worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/nodeFuncs.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "cz/write.h"
#include "executor_int.h"

typedef struct FragmentScanState
{
	CustomScanState css;		/* first */
	CzFragmentPlan *plan;
	CzStream   *stream;			/* NULL: EXPLAIN only, a recheck, or lock_scan */
	CzLockScan *lock_scan;		/* the plan has locks */
	bool		is_modified;	/* the command has run */
	bool		counts_returned;	/* its rows count when they are given out: SPI compares
									 * the numbers, and may stop before the last one */
	bool		is_rechecked;	/* the row in hand has been returned */
} FragmentScanState;

static Node *create_scan_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods cz_fragment_scan_methods = {
	.CustomName = "CzFragmentScan",
	.CreateCustomScanState = create_scan_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "CzFragmentScan",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain_scan
};

static ExecutorStart_hook_type prev_executor_start = NULL;

/* ExecutorStart_hook: when the streams of a statement are known. */
static void
start_executor(QueryDesc *query_desc, int eflags)
{
	CzTxnNoteExecuted(query_desc->plannedstmt);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		CzAttachedUseTables(query_desc->plannedstmt);
	if (prev_executor_start)
		prev_executor_start(query_desc, eflags);
	else
		standard_ExecutorStart(query_desc, eflags);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
	{
		CzAttachedCheckPlan(query_desc->planstate);
		CzTxnCheckWritesHere(query_desc->plannedstmt);
		CzSnapshotBeginStatement(query_desc);
		CzTxnNoteSnapshotUse();
		CzCursorWatch(query_desc);
	}
}

/*
 * CzExecutorInit
 *		Make the node known to readers of stored plans, and the scans to who writes.
 */
void
CzExecutorInit(void)
{
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	RegisterCustomScanMethods(&cz_fragment_scan_methods);
	RegisterCustomScanMethods(&cz_insert_source_methods);
	RegisterCustomScanMethods(&cz_modify_methods);
	CzMomentInit();
	CzBracketInit();
	CzExplainRemoteInit();
}

static Node *
create_scan_state(CustomScan *scan)
{
	FragmentScanState *state = (FragmentScanState *) newNode(sizeof(FragmentScanState),
															 T_CustomScanState);

	state->css.methods = &exec_methods;
	return (Node *) state;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	FragmentScanState *state = (FragmentScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List	   *params;

	state->plan = CzFragmentPlanFromList(scan->custom_private);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) || estate->es_epq_active != NULL)
		return;

	state->counts_returned = state->plan->command != CMD_SELECT &&
		!state->plan->rows_are_given && !state->plan->is_uncounted &&
		estate->es_plannedstmt->hasReturning;
	params = ExecInitExprList(scan->custom_exprs, &node->ss.ps);
	if (state->plan->locks != NULL)
	{
		state->lock_scan = CzLockScanBegin(state->plan, params, &node->ss.ps,
										   node->ss.ss_ScanTupleSlot->tts_tupleDescriptor);
		return;
	}
	state->stream = CzStreamBegin(state->plan, params, &node->ss.ps,
								  node->ss.ss_ScanTupleSlot->tts_tupleDescriptor);
	if (eflags & EXEC_FLAG_REWIND)
		CzStreamSetRewind(state->stream);
	/* one that stands in WITH runs to its end even if nobody reads it */
	if (state->plan->is_uncounted)
		estate->es_auxmodifytables = lcons(node, estate->es_auxmodifytables);
}

static TupleTableSlot *
next_tuple(ScanState *node)
{
	FragmentScanState *state = (FragmentScanState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	EState	   *estate = node->ps.state;
	uint64		nrows;

	if (state->plan->command != CMD_SELECT)
	{
		if (!state->is_modified)
		{
			state->is_modified = true;
			nrows = CzStreamRunModify(state->stream);
			if (!state->counts_returned && !state->plan->is_uncounted)
				estate->es_processed += nrows;
		}
		if (state->plan->gives_rows)
		{
			CzInsertNext(state->stream, slot);
			return slot;
		}
		if (!state->plan->has_returning)
			return ExecClearTuple(slot);
	}
	if (state->lock_scan != NULL)
		CzLockScanNext(state->lock_scan, slot);
	else if (CzStreamNext(state->stream, slot) && state->counts_returned)
		estate->es_processed++;
	return slot;
}

/* The row that an EvalPlanQual recheck has of a range table entry, or NULL. */
static TupleTableSlot *
row_in_hand(EPQState *epqstate, Index rti)
{
	if (epqstate->relsubs_slot[rti - 1] != NULL)
		return epqstate->relsubs_slot[rti - 1];
	if (epqstate->relsubs_rowmark[rti - 1] != NULL)
	{
		TupleDesc	rowtype;
		TupleTableSlot *slot;
		ExecAuxRowMark *mark = epqstate->relsubs_rowmark[rti - 1];
		bool		isnull;
		Datum		datum;

		if (mark->rowmark->markType != ROW_MARK_COPY)
			return NULL;
		datum = ExecGetJunkAttribute(epqstate->origslot, mark->wholeAttNo, &isnull);
		if (isnull)
			return NULL;
		rowtype = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(DatumGetHeapTupleHeader(datum)),
											  HeapTupleHeaderGetTypMod(DatumGetHeapTupleHeader(datum)));
		slot = MakeSingleTupleTableSlot(rowtype, &TTSOpsHeapTuple);
		ExecStoreHeapTupleDatum(datum, slot);
		return slot;
	}
	return NULL;
}

static bool
recheck_tuple(ScanState *node, TupleTableSlot *slot)
{
	FragmentScanState *state = (FragmentScanState *) node;
	CustomScan *scan = (CustomScan *) node->ps.plan;
	EPQState   *epqstate = node->ps.state->es_epq_active;
	TupleTableSlot *source;
	ListCell   *lc;
	int			rti;

	/* called again until it says no: the row comes once */
	if (state->is_rechecked)
		return false;
	state->is_rechecked = true;
	if (bms_membership(scan->custom_relids) != BMS_SINGLETON)
		return false;
	rti = bms_singleton_member(scan->custom_relids);
	source = row_in_hand(epqstate, rti);
	if (source == NULL || TupIsNull(source))
		return false;

	ExecClearTuple(slot);
	slot_getallattrs(source);
	foreach(lc, scan->custom_scan_tlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		int			i = tle->resno - 1;
		Var		   *var = (Var *) tle->expr;

		if (IsA(var, Var) && var->varattno > 0 &&
			var->varattno <= source->tts_tupleDescriptor->natts)
		{
			slot->tts_values[i] = source->tts_values[var->varattno - 1];
			slot->tts_isnull[i] = source->tts_isnull[var->varattno - 1];
		}
		else
		{
			slot->tts_values[i] = (Datum) 0;
			slot->tts_isnull[i] = true;
		}
	}
	ExecStoreVirtualTuple(slot);
	return true;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	return ExecScan(&node->ss, next_tuple, recheck_tuple);
}

static void
end_scan(CustomScanState *node)
{
	FragmentScanState *state = (FragmentScanState *) node;

	if (state->stream != NULL)
		CzStreamEnd(state->stream);
	state->stream = NULL;
	if (state->lock_scan != NULL)
		CzLockScanEnd(state->lock_scan);
	state->lock_scan = NULL;
}

/* Does the fragment itself, not just what is done with its rows, use a changed value? */
static bool
uses_changed_walker(Node *node, Bitmapset *changed)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan))
		return true;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return bms_is_member(((Param *) node)->paramid, changed);
	return expression_tree_walker(node, uses_changed_walker, (void *) changed);
}

static void
rescan(CustomScanState *node)
{
	FragmentScanState *state = (FragmentScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	state->is_rechecked = false;
	if (state->lock_scan != NULL)
		CzLockScanRescan(state->lock_scan, node->ss.ps.chgParam != NULL);
	if (state->stream != NULL && state->plan->command == CMD_SELECT)
		CzStreamRescan(state->stream, node->ss.ps.chgParam != NULL &&
					   uses_changed_walker((Node *) scan->custom_exprs,
										   node->ss.ps.chgParam));
	ExecScanReScan(&node->ss);
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	FragmentScanState *state = (FragmentScanState *) node;

	if (state->plan->locks != NULL)
	{
		CzLockScanExplain(state->lock_scan, state->plan, &node->ss.ps, ancestors, es);
		return;
	}
	CzStreamExplain(state->stream, state->plan, &node->ss.ps, ancestors, es);
}
