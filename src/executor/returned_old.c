/*-------------------------------------------------------------------------
 *
 * returned_old.c
 *	  RETURNING of the old row by INSERT ... ON CONFLICT that is done row by row.
 *
 * To core's ModifyTable each such row is inserted into a foreign table, which has no old
 * rows: it computes RETURNING with a row of NULLs in their place.  So RETURNING is
 * computed here, when the row is stored, and what core computes instead is the columns
 * of its row of NULLs, which has the results.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"

#include "cz/compat.h"
#include "returned_old.h"

struct CzReturnedOld
{
	ProjectionInfo *returning;	/* that of the statement */
	TupleTableSlot *no_row;		/* NULLs, as a row of the table */
	TupleTableSlot *results;
};

/*
 * CzReturnedOldBegin
 *		See returned_old.h.
 */
CzReturnedOld *
CzReturnedOldBegin(ModifyTableState *mtstate, ResultRelInfo *rri)
{
	EState	   *estate = mtstate->ps.state;
	ProjectionInfo *returning = rri->ri_projectReturning;
	MemoryContext old_context;
	CzReturnedOld *returned;
	TupleDesc	desc;
	List	   *columns = NIL;
	int			i;

	if (returning == NULL || !projection_has_old_compat(returning))
		return NULL;
	old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	desc = mtstate->ps.ps_ResultTupleSlot->tts_tupleDescriptor;
	returned = palloc(sizeof(CzReturnedOld));
	returned->returning = returning;
	returned->no_row = result_null_slot_compat(estate, rri);
	returned->results = ExecInitExtraTupleSlot(estate, desc, &TTSOpsVirtual);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Var		   *column = makeVar(rri->ri_RangeTableIndex, i + 1, att->atttypid,
									 att->atttypmod, att->attcollation, 0);

		var_set_old_compat(column);
		columns = lappend(columns, makeTargetEntry((Expr *) column, i + 1, NULL, false));
	}
	rri->ri_projectReturning = ExecBuildProjectionInfo(columns, returning->pi_exprContext,
													   mtstate->ps.ps_ResultTupleSlot, NULL,
													   NULL);
	result_set_null_slot_compat(rri, returned->results);
	MemoryContextSwitchTo(old_context);
	return returned;
}

/*
 * CzReturnedOldRow
 *		See returned_old.h.
 */
void
CzReturnedOldRow(CzReturnedOld *returned, TupleTableSlot *old_row, TupleTableSlot *new_row,
				 TupleTableSlot *plan_slot)
{
	ExprContext *econtext = returned->returning->pi_exprContext;

	econtext->ecxt_scantuple = new_row;
	econtext->ecxt_outertuple = plan_slot;
	projection_set_rows_compat(returned->returning, old_row, returned->no_row, new_row);
	ExecCopySlot(returned->results, ExecProject(returned->returning));
}
