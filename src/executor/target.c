/*-------------------------------------------------------------------------
 *
 * target.c
 *	  A distributed table as the target of an INSERT that core's ModifyTable runs.
 *
 * The parent is partitioned, and core would route each row to a partition: triggers
 * would be the shard's, transition tables refused, and every shard's foreign table
 * opened.  So ModifyTable is shown the parent as a foreign table without partitions
 * (CzForeignCopy): BEFORE ROW triggers see the row before it has a shard, generated
 * columns, RETURNING, WITH CHECK OPTION and what else belongs to an INSERT are
 * core's, and one callback gives the finished row to a CzWriter.
 *
 * What shows it to ModifyTable is the plan node below it, CzInsertSource, which hands
 * its own sub-plan's rows on.  ModifyTable initializes its target before its sub-plan,
 * and looks at the target's kind after it; the node also knows when the last row has
 * come.
 *
 * Core refuses to collect transition tables of a foreign table, which it takes for a
 * partition.  It does not see that it is one while the row is captured.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/execPartition.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/fragment.h"
#include "cz/metadata.h"
#include "cz/seal.h"
#include "cz/transaction.h"
#include "cz/writer.h"

#include "conflict.h"
#include "executor_int.h"
#include "own_rows.h"
#include "returned_old.h"
#include "triggers.h"

/* The target of one ModifyTable. */
typedef struct InsertTarget
{
	Relation	rel;			/* the parent as it is */
	ResultRelInfo *rri;			/* ModifyTable's */
	const CzTable *table;
	Oid			user_oid;		/* on whose behalf workers are written */
	CzWriter   *writer;			/* NULL: no row yet */
	int64		row_number;
	bool		has_begun;		/* a row has come */
	ModifyTableState *mtstate;	/* NULL: EXPLAIN only */
	TransitionCaptureState *capture;	/* taken from mtstate; NULL: none */
	bool		has_after_row;	/* valid with capture or conflict: taken from the
								 * trigger descriptor */
	CzConflict *conflict;		/* NULL: no ON CONFLICT */
	CzKeyLooks *key_looks;		/* or NULL */
	CzOwnRows  *own;			/* valid with has_begun */
	CzReturnedOld *returned;	/* valid with has_begun; NULL: RETURNING is core's */
	CzRoutes   *routes;			/* NULL: row triggers are the table's own, and core fires
								 * them but for has_after_row */
} InsertTarget;

typedef struct InsertSourceState
{
	CustomScanState css;		/* first */
	InsertTarget *target;
} InsertSourceState;

static Node *create_source_state(CustomScan *scan);
static void begin_source(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_source(CustomScanState *node);
static void end_source(CustomScanState *node);
static void rescan_source(CustomScanState *node);

const CustomScanMethods cz_insert_source_methods = {
	.CustomName = "CzInsertSource",
	.CreateCustomScanState = create_source_state
};

static const CustomExecMethods source_exec_methods = {
	.CustomName = "CzInsertSource",
	.BeginCustomScan = begin_source,
	.ExecCustomScan = exec_source,
	.EndCustomScan = end_source,
	.ReScanCustomScan = rescan_source
};

/*
 * CzShardForRow
 *		See executor_int.h.
 */
const CzShard *
CzShardForRow(EState *estate, Relation parent, const CzTable *table, TupleTableSlot *slot)
{
	ResultRelInfo *rri;
	ModifyTableState *mtstate;
	bool		isnull = true;
	Datum		key = (Datum) 0;
	int			index;

	if (table->key_attno != 0)
		key = slot_getattr(slot, table->key_attno, &isnull);
	index = CzShardIndexForValue(table, key, isnull);
	if (index >= 0)
		return &table->shards[index];

	/* core says it best */
	rri = makeNode(ResultRelInfo);
	InitResultRelInfo(rri, parent, 0, NULL, 0);
	mtstate = makeNode(ModifyTableState);
	mtstate->ps.state = estate;
	mtstate->operation = CMD_INSERT;
	mtstate->mt_nrels = 1;
	mtstate->resultRelInfo = mtstate->rootResultRelInfo = rri;
	(void) ExecFindPartition(mtstate, rri, ExecSetupPartitionTupleRouting(estate, parent),
							 slot, estate);
	elog(ERROR, "distributed table \"%s\" has a partition that is no shard",
		 RelationGetRelationName(parent));
	return NULL;
}

/* ---- what ModifyTable calls ---------------------------------------------- */

static void
begin_modify(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
			 int subplan_index, int eflags)
{
	InsertTarget *target = rri->ri_FdwState;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	target->mtstate = mtstate;
	target->user_oid = ResultRelUser_compat(rri, mtstate->ps.state);
	if (castNode(ModifyTable, mtstate->ps.plan)->onConflictAction != ONCONFLICT_NONE)
		target->conflict = CzConflictBegin(mtstate, rri, target->rel, target->user_oid);
	target->routes = CzRoutesBegin(mtstate->ps.state, target->rel, rri);
	if (target->routes != NULL)
	{
		if (target->conflict != NULL)
			CzConflictSetRoutes(target->conflict, target->routes);
		target->capture = mtstate->mt_transition_capture;
		mtstate->mt_transition_capture = NULL;
		if (rri->ri_TrigDesc != NULL)
			rri->ri_TrigDesc->trig_insert_before_row =
				rri->ri_TrigDesc->trig_insert_after_row = false;
	}
	else if (rri->ri_TrigDesc != NULL &&
		(mtstate->mt_transition_capture != NULL || target->conflict != NULL))
	{
		target->capture = mtstate->mt_transition_capture;
		target->has_after_row = rri->ri_TrigDesc->trig_insert_after_row;
		mtstate->mt_transition_capture = NULL;
		rri->ri_TrigDesc->trig_insert_after_row = false;
	}
	/* with ON CONFLICT each row is a command anyway */
	if (target->routes == NULL && target->conflict == NULL && rri->ri_TrigDesc != NULL)
		target->key_looks = CzKeyLooksMake(target->rel, false);
}

/* BEFORE ROW triggers of the row's partition: they come before generated columns. */
static bool
fire_before_row(InsertTarget *target, EState *estate, TupleTableSlot *slot)
{
	ResultRelInfo *rri = target->rri;
	TupleDesc	desc = RelationGetDescr(target->rel);
	int			i;

	slot_getallattrs(slot);
	ExecMaterializeSlot(slot);
	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attgenerated)
			slot->tts_isnull[i] = true;
	}
	if (!CzRoutesBeforeRow(target->routes, CMD_INSERT, NULL, slot))
		return false;
	if (desc->constr != NULL && desc->constr->has_generated_stored)
		ExecComputeStoredGenerated(rri, estate, slot, CMD_INSERT);
	return true;
}

/* Transition tables and AFTER ROW triggers of a statement that has the former. */
static void
capture_row(InsertTarget *target, EState *estate, TupleTableSlot *slot)
{
	ResultRelInfo *rri = target->rri;
	FdwRoutine *routine = rri->ri_FdwRoutine;

	rri->ri_FdwRoutine = NULL;
	rri->ri_TrigDesc->trig_insert_after_row = target->has_after_row;
	ExecARInsertTriggers(estate, rri, slot, NIL, target->capture);
	rri->ri_TrigDesc->trig_insert_after_row = false;
	rri->ri_FdwRoutine = routine;
}

static TupleTableSlot *
exec_insert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
			TupleTableSlot *plan_slot)
{
	InsertTarget *target = rri->ri_FdwState;
	const CzShard *shard;

	if (target->routes != NULL && !fire_before_row(target, estate, slot))
		return NULL;
	if (rri->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(WCO_RLS_INSERT_CHECK, rri, slot, estate);
	if (!target->has_begun)
	{
		target->has_begun = true;
		target->own = CzOwnRowsFind(estate, RelationGetRelid(target->rel));
		/* WITH d AS (DELETE ... RETURNING *) INSERT ... SELECT ... FROM d */
		if (estate->es_auxmodifytables != NIL)
		{
			(void) CzTxnBeforeWrite();
			CzRowChangesApplyKnown(estate, RelationGetRelid(target->rel));
		}
		/* with ON CONFLICT each row is a command */
		if (target->conflict != NULL)
		{
			CzBracketOpen(RelationGetRelid(target->rel));
			target->returned = CzReturnedOldBegin(target->mtstate, rri);
		}
	}
	if (target->conflict != NULL)
	{
		CzConflictResult result = CzConflictRow(target->conflict, &slot);

		if (result == CZ_CONFLICT_INSERTED && target->routes != NULL)
			CzRoutesAfterRow(target->routes, CMD_INSERT, NULL, slot, target->capture);
		else if (result == CZ_CONFLICT_INSERTED && rri->ri_TrigDesc != NULL)
			capture_row(target, estate, slot);
		if (target->returned != NULL && result != CZ_CONFLICT_NOTHING)
		{
			slot->tts_tableOid = RelationGetRelid(target->rel);
			CzReturnedOldRow(target->returned,
							 result == CZ_CONFLICT_UPDATED ? rri->ri_onConflict->oc_Existing : NULL,
							 slot, plan_slot);
		}
		return result == CZ_CONFLICT_NOTHING ? NULL : slot;
	}
	shard = CzShardForRow(estate, target->rel, target->table, slot);
	CzSealAdmitSlot(target->table, shard, slot);
	if (target->writer == NULL)
	{
		MemoryContext old_context;

		CzFlushReferenced(RelationGetRelid(target->rel));
		old_context = MemoryContextSwitchTo(estate->es_query_cxt);
		target->writer = CzWriterBegin(RelationGetDescr(target->rel),
									   target->table->column_names, target->user_oid);
		MemoryContextSwitchTo(old_context);
	}
	/* several rows are several commands */
	if (target->row_number == 1 && CzRefersToItself(RelationGetRelid(target->rel)))
		CzBracketOpen(RelationGetRelid(target->rel));
	CzWriterPut(target->writer, shard, slot, ++target->row_number);
	CzOwnRowsNote(target->own, NULL, slot);
	CzKeyLooksNote(target->key_looks, target->rel, CMD_INSERT, NULL, slot);
	if (target->routes != NULL)
		CzRoutesAfterRow(target->routes, CMD_INSERT, NULL, slot, target->capture);
	else if (target->capture != NULL)
		capture_row(target, estate, slot);
	return slot;
}

/* The last row has come: what follows is AFTER STATEMENT. */
static void
finish_rows(InsertTarget *target)
{
	TriggerDesc *desc = target->rri->ri_TrigDesc;

	if (target->mtstate == NULL)
		return;
	if (target->capture != NULL)
		target->mtstate->mt_transition_capture = target->capture;

	/* An error of a row comes before what AFTER triggers do */
	if (target->writer != NULL &&
		(target->routes != NULL ||
		 (desc != NULL && (desc->trig_insert_after_statement || desc->trig_insert_after_row ||
						   target->has_after_row))))
		CzWriterFlush(target->writer);
}

static void
end_modify(EState *estate, ResultRelInfo *rri)
{
	InsertTarget *target = rri->ri_FdwState;

	if (target->writer != NULL)
		CzWriterEnd(target->writer);
	target->writer = NULL;
	CzRoutesEnd(target->routes);
}

static int
is_updatable(Relation rel)
{
	return 1 << CMD_INSERT;
}

/* ---- the node ------------------------------------------------------------ */

static Node *
create_source_state(CustomScan *scan)
{
	InsertSourceState *state = (InsertSourceState *) newNode(sizeof(InsertSourceState),
															 T_CustomScanState);

	state->css.methods = &source_exec_methods;
	return (Node *) state;
}

static void
begin_source(CustomScanState *node, EState *estate, int eflags)
{
	InsertSourceState *state = (InsertSourceState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	Index		rti = intVal(linitial(scan->custom_private));
	ResultRelInfo *rri = estate->es_result_relations[rti - 1];
	InsertTarget *target = palloc0(sizeof(InsertTarget));
	FdwRoutine *routine = makeNode(FdwRoutine);

	Assert(rri != NULL);
	target->rri = rri;
	target->rel = rri->ri_RelationDesc;
	target->table = CzTableGet(RelationGetRelid(target->rel));
	if (target->table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed any more",
						RelationGetRelationName(target->rel))));
	state->target = target;

	routine->BeginForeignModify = begin_modify;
	routine->ExecForeignInsert = exec_insert;
	routine->EndForeignModify = end_modify;
	routine->IsForeignRelUpdatable = is_updatable;
	rri->ri_RelationDesc = CzForeignCopy(target->rel);
	rri->ri_RelationDesc->rd_fdwroutine = routine;
	rri->ri_FdwRoutine = routine;
	rri->ri_FdwState = target;
	CzDeferTriggers(rri->ri_TrigDesc);

	outerPlanState(node) = ExecInitNode(outerPlan(scan), estate, eflags);
}

static TupleTableSlot *
exec_source(CustomScanState *node)
{
	TupleTableSlot *slot = ExecProcNode(outerPlanState(node));

	if (TupIsNull(slot))
		finish_rows(((InsertSourceState *) node)->target);
	return slot;
}

static void
end_source(CustomScanState *node)
{
	ExecEndNode(outerPlanState(node));
}

static void
rescan_source(CustomScanState *node)
{
	ExecReScan(outerPlanState(node));
}
