/*-------------------------------------------------------------------------
 *
 * rewrite.c
 *	  Cut a Query into fragments and what is done here with their rows.
 *
 * For a Query level the best of these is taken:
 *
 *	1. Its locus is good: all of it becomes one leaf, and SELECT columns FROM
 *	   leaf remains, with the final sort if several shards answer.
 *	2. FROM and WHERE have a good locus and only the last step spans shards:
 *	   aggregates are split (aggregate.c); LIMIT and DISTINCT are done on each
 *	   shard and again here; for the rest the joined rows come here.
 *	3. Otherwise its sub-queries are rewritten, each by these rules, and each
 *	   distributed table that remains becomes a leaf of its own.
 *
 * Rule 3 always applies, so every SELECT can be planned.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/rel.h"

#include "cz/settings.h"

#include "planner_int.h"

/* ---- CTEs that nobody reads ---------------------------------------------- */

static bool
drop_unread_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		cz_drop_unread_ctes((Query *) node);
		return query_tree_walker((Query *) node, drop_unread_walker, context, 0);
	}
	return expression_tree_walker(node, drop_unread_walker, context);
}

/* ---- all rules ----------------------------------------------------------- */

typedef struct DescendContext
{
	CzPlanState *state;
} DescendContext;

/*
 * cz_simplify_exists
 *		EXISTS does not look at columns: none need be sent.  Other sub-queries stay.
 */
void
cz_simplify_exists(SubLink *sublink)
{
	Query	   *sub = (Query *) sublink->subselect;

	if (sublink->subLinkType != EXISTS_SUBLINK || sub->hasAggs || sub->groupClause != NIL ||
		sub->groupingSets != NIL || sub->havingQual != NULL || sub->hasWindowFuncs ||
		sub->hasTargetSRFs || sub->setOperations != NULL || sub->limitCount != NULL ||
		sub->limitOffset != NULL || sub->rowMarks != NIL)
		return;
	sub->targetList = list_make1(makeTargetEntry((Expr *) cz_int_const(1), 1, "c1", false));
	sub->sortClause = NIL;
	sub->distinctClause = NIL;
	sub->hasDistinctOn = false;
}

/*
 * EXISTS wants one row, a sub-query that is a value two: the second is an error.  Not so
 * where the sub-query is part of a fragment: LIMIT would tell one worker from another.
 */
static void
limit_sublink(SubLink *sublink)
{
	Query	   *query = (Query *) sublink->subselect;
	int64		rows = sublink->subLinkType == EXISTS_SUBLINK ? 1 :
		sublink->subLinkType == EXPR_SUBLINK ? 2 : 0;

	if (rows == 0 || !cz_enable_pushdown || query->commandType != CMD_SELECT ||
		query->limitCount != NULL || query->limitOffset != NULL || query->rowMarks != NIL ||
		query->hasModifyingCTE || (rows > 1 && query->sortClause != NIL) ||
		(query->hasAggs && query->groupClause == NIL && query->groupingSets == NIL) ||
		!cz_query_uses_workers(query) || cz_query_is_correlated(query))
		return;
	cz_simplify_exists(sublink);
	query->limitCount = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
										   Int64GetDatum(rows), false, FLOAT8PASSBYVAL);
}

/*
 * cz_query_counts_rows
 *		Does the result of a query level depend on how often its rows come, not only on
 *		which there are?
 */
bool
cz_query_counts_rows(Query *query)
{
	return query->commandType != CMD_SELECT || query->hasAggs || query->groupClause != NIL ||
		query->groupingSets != NIL || query->havingQual != NULL || query->hasWindowFuncs ||
		query->hasTargetSRFs || query->limitCount != NULL || query->limitOffset != NULL ||
		query->distinctClause != NIL || query->setOperations != NULL || query->rowMarks != NIL;
}

static bool descend_walker(Node *node, DescendContext *context);

/*
 * A write in WITH.  One that has become a SELECT over what writes must run, once,
 * though nobody may read it.
 */
static void
rewrite_write(Node *node, DescendContext *context)
{
	CommonTableExpr *cte = (CommonTableExpr *) node;

	(void) expression_tree_walker(node, descend_walker, (void *) context);
	if (((Query *) cte->ctequery)->commandType != CMD_SELECT)
		return;
	cte->ctematerialized = CTEMaterializeAlways;
	cte->cterefcount = Max(cte->cterefcount, 1);
}

static bool
descend_walker(Node *node, DescendContext *context)
{
	bool		save = context->state->takes_duplicates;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		context->state->takes_duplicates &= !cz_query_counts_rows((Query *) node);
		cz_rewrite_query((Query *) node, context->state, false);
		context->state->takes_duplicates = save;
		return false;
	}
	if (IsA(node, SubLink))
	{
		SubLinkType type = ((SubLink *) node)->subLinkType;

		limit_sublink((SubLink *) node);
		context->state->takes_duplicates = type == EXISTS_SUBLINK || type == ANY_SUBLINK ||
			type == ALL_SUBLINK;
	}
	else if (IsA(node, CommonTableExpr))
	{
		context->state->takes_duplicates = false;
		if (((Query *) ((CommonTableExpr *) node)->ctequery)->commandType != CMD_SELECT)
		{
			rewrite_write(node, context);
			context->state->takes_duplicates = save;
			return false;
		}
	}
	(void) expression_tree_walker(node, descend_walker, (void *) context);
	context->state->takes_duplicates = save;
	return false;
}

/*
 * cz_rewrite_sublinks
 *		Rewrite the sub-queries of a query whose FROM has become a leaf.
 */
void
cz_rewrite_sublinks(Query *query, CzPlanState *state)
{
	DescendContext context = {state};

	if (query->hasSubLinks)
		query_tree_walker(query, descend_walker, (void *) &context,
						  QTW_IGNORE_RANGE_TABLE);
}

/*
 * cz_rewrite_parts
 *		The same, and the CTEs.
 */
void
cz_rewrite_parts(Query *query, CzPlanState *state)
{
	DescendContext context = {state};

	if (query->cteList != NIL)
		state->known_ctes = list_concat_copy(query->cteList, state->known_ctes);
	query_tree_walker(query, descend_walker, (void *) &context, 0);
}

static void
descend(Query *query, CzPlanState *state, const char *reason)
{
	DescendContext context = {state};
	bool		save_keep = state->keep_leaves;
	ListCell   *lc;
	Index		rti = 0;

	if (query->rowMarks != NIL || query->commandType == CMD_UPDATE ||
		query->commandType == CMD_DELETE || query->commandType == CMD_MERGE)
		state->keep_leaves = true;

	if (state->has_row_ids && cz_compares_row_ids(query))
		cz_refuse_row_ids();

	if (cz_enable_pushdown)
		cz_unnest_aggregates(query, NULL);

	/* sub-queries, CTEs and sub-links, each by itself */
	query_tree_walker(query, descend_walker, (void *) &context, 0);

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		const CzTable *table;

		rti++;
		if (rte->rtekind != RTE_RELATION || rti == query->resultRelation)
			continue;
		if (rte->relkind != RELKIND_PARTITIONED_TABLE &&
			rte->relkind != RELKIND_FOREIGN_TABLE)
			continue;
		table = cz_rte_table(rte);
		if (table != NULL)
			cz_replace_table(query, rti, state, reason);
	}
	state->keep_leaves = save_keep;
}

/* Rules 1 and 2.  Returns false, with the reason, if neither takes the Query. */
static bool
push_query(Query *query, CzPlanState *state, const char **reason)
{
	if (cz_query_is_sendable(query, reason))
	{
		CzLocus		locus = cz_query_locus(query, state);

		if (locus.kind == CZ_LOCUS_SHARDED && locus.outer_keys == NIL &&
			cz_replace_whole(query, &locus, state))
			return true;
		*reason = locus.reason;
	}
	if (state->has_row_ids && cz_compares_row_ids(query))
		cz_refuse_row_ids();
	return cz_try_split(query, state, reason);
}

/*
 * A correlated sub-query that locks as many rows as LIMIT says: the outer row's values
 * become parameters, so that no more are locked.
 */
static bool
push_correlated(Query *query, CzPlanState *state)
{
	Query	   *copy = copyObject(query);
	List	   *values = cz_take_outer_vars(copy);
	const char *reason = NULL;
	RangeTblEntry *rte;

	if (values == NIL || cz_query_is_correlated(copy) || !push_query(copy, state, &reason))
		return false;
	rte = linitial(copy->rtable);
	if (list_length(copy->rtable) != 1 || cz_leaf_of_rte(rte) == NULL)
		return false;
	cz_add_leaf_values(rte, values);
	*query = *copy;
	return true;
}

/*
 * cz_rewrite_query
 *		Rewrite a Query in place so that its distributed tables are leaves.
 */
void
cz_rewrite_query(Query *query, CzPlanState *state, bool is_top)
{
	const char *reason = NULL;

	check_stack_depth();
	if (is_top)
		drop_unread_walker((Node *) query, NULL);
	if (!cz_query_uses_workers(query))
		return;
	cz_drop_empty_checks(query);
	if (cz_is_conflict(query) && cz_insert_as_leaf(query, state))
		return;
	if (cz_is_write_by_rows(query))
	{
		if (query->commandType == CMD_MERGE)
			cz_merge_by_rows(query, state);
		else
			cz_write_by_rows(query, state);
		return;
	}
	if (query->cteList != NIL)
		state->known_ctes = list_concat_copy(query->cteList, state->known_ctes);
	if (query->commandType == CMD_SELECT && cz_enable_pushdown &&
		!cz_query_is_correlated(query))
	{
		Query	   *candidate = query;

		if (cz_query_has_barriers(query))
			candidate = cz_fence_query(query);
		if (candidate == NULL)
			reason = "row-level security is enforced on the coordinator";
		else if (push_query(candidate, state, &reason) ||
				 cz_try_ship(candidate, state, &reason))
		{
			if (candidate != query)
				*query = *candidate;
			return;
		}
	}
	else if (query->commandType == CMD_SELECT && cz_enable_pushdown &&
			 query->rowMarks != NIL && query->limitCount != NULL &&
			 !cz_query_has_barriers(query) && push_correlated(query, state))
		return;
	descend(query, state, reason);
}
