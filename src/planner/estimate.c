/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  How many rows a query returns, as core's planner thinks of it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "planner_int.h"

static bool
rows_walker(Node *node, double *rows)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && CzTableGet(rte->relid))
			*rows = Max(*rows, cz_relation_rows(rte->relid));
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, rows_walker, (void *) rows,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, rows_walker, (void *) rows);
}

/*
 * cz_estimate
 *		See planner_int.h.
 */
void
cz_estimate(Query *query, CzPlanState *state, double *rows, int *width)
{
	*rows = 1;
	*width = 32;
	query_tree_walker(query, rows_walker, (void *) rows, QTW_EXAMINE_RTES_BEFORE);
}
