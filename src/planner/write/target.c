/*-------------------------------------------------------------------------
 *
 * target.c
 *	  INSERT into a distributed table: the node that shows core's ModifyTable a
 *	  target without partitions.
 *
 * The plan is core's, finished.  Between a ModifyTable and its sub-plan comes a
 * CzInsertSource (executor/target.c), whose rows are the sub-plan's.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"

#include "cz/compat.h"

#include "../planner_int.h"

static Plan *
make_source(Plan *child, Index rti)
{
	CustomScan *scan = makeNode(CustomScan);
	Plan	   *plan = &scan->scan.plan;
	ListCell   *lc;

	plan->startup_cost = child->startup_cost;
	plan->total_cost = child->total_cost;
	plan->plan_rows = child->plan_rows;
	plan->plan_width = child->plan_width;
	plan->plan_node_id = child->plan_node_id;
	plan->extParam = bms_copy(child->extParam);
	plan->allParam = bms_copy(child->allParam);
	plan->lefttree = child;
	foreach(lc, child->targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		TargetEntry *column = flatCopyTargetEntry(tle);
		TargetEntry *result = flatCopyTargetEntry(tle);

		column->expr = (Expr *) makeVarFromTargetEntry(OUTER_VAR, tle);
		column->resjunk = false;
		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist, column);

		/* ModifyTable looks for the NULLs of dropped columns */
		if (IsA(tle->expr, Const) && ((Const *) tle->expr)->constisnull)
			result->expr = copyObject(tle->expr);
		else
			result->expr = (Expr *) makeVarFromTargetEntry(INDEX_VAR, tle);
		plan->targetlist = lappend(plan->targetlist, result);
	}
	scan->custom_private = list_make1(makeInteger(rti));
	scan->methods = &cz_insert_source_methods;
	return plan;
}

static void
show_target(Plan *plan, PlannedStmt *stmt)
{
	ModifyTable *modify = (ModifyTable *) plan;
	Index		rti;
	const CzTable *table;

	if (plan == NULL || !IsA(plan, ModifyTable) || modify->operation != CMD_INSERT)
		return;
	rti = linitial_int(modify->resultRelations);
	table = CzTableGet(rt_fetch(rti, stmt->rtable)->relid);
	if (table != NULL && CzTableIsDistributed(table))
		outerPlan(plan) = make_source(outerPlan(plan), rti);
}

/*
 * cz_show_targets
 *		Put the node into all INSERTs of a finished plan, also those in WITH.
 */
void
cz_show_targets(PlannedStmt *stmt)
{
	ListCell   *lc;

	show_target(stmt->planTree, stmt);
	foreach(lc, stmt->subplans)
		show_target(lfirst(lc), stmt);
}
