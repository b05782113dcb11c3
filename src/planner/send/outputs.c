/*-------------------------------------------------------------------------
 *
 * outputs.c
 *	  Columns of sub-queries that nobody uses are not sent.
 *
 * A view may compute much that a query on it does not ask for.  Core does not compute
 * it, and so does not ask whether the user may execute its functions; a worker reads
 * fewer columns, which counts where a fragment reads several shards.
 *
 * Source: own work; the conditions are those of remove_unused_subquery_outputs() in
 * PostgreSQL's optimizer/path/allpaths.c, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteManip.h"

#include "../planner_int.h"

static void
drop_outputs(Query *query, Index rti, Query *sub)
{
	Bitmapset  *used;
	ListCell   *lc;

	/* an aggregate makes one row, a set-returning function any number */
	if (sub->commandType != CMD_SELECT || sub->setOperations != NULL ||
		sub->distinctClause != NIL || sub->hasTargetSRFs ||
		(sub->hasAggs && sub->groupClause == NIL && sub->groupingSets == NIL))
		return;
	used = cz_used_columns((Node *) query, rti);
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used))
		return;
	foreach(lc, sub->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		/* a window's clause stays, and what it names with it */
		if (!tle->resjunk && tle->ressortgroupref == 0 && !IsA(tle->expr, Const) &&
			!contain_windowfuncs((Node *) tle->expr) &&
			!bms_is_member(tle->resno - FirstLowInvalidHeapAttributeNumber, used))
			tle->expr = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
	}
}

static bool
outputs_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		cz_drop_unused_outputs((Query *) node);
		return false;
	}
	return expression_tree_walker(node, outputs_walker, context);
}

/*
 * cz_drop_unused_outputs
 *		Columns of sub-queries in FROM that are not used become NULL, in place, at
 *		any depth.  No Var may be one of a join (cz_flatten_joins).
 */
void
cz_drop_unused_outputs(Query *query)
{
	ListCell   *lc;
	Index		rti = 0;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		rti++;
		if (rte->rtekind == RTE_SUBQUERY && query->setOperations == NULL)
			drop_outputs(query, rti, rte->subquery);
	}
	query_tree_walker(query, outputs_walker, NULL, QTW_IGNORE_JOINALIASES);
}
