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

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/settings.h"

#include "planner_int.h"

/* ---- what the plan must still know of relations taken out of it ---------- */

static bool
collect_walker(Node *node, CzPlanState *state)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		cz_collect_relations((Query *) node, state);
		return false;
	}
	return expression_tree_walker(node, collect_walker, (void *) state);
}

void
cz_note_relation(RangeTblEntry *rte, Query *query, CzPlanState *state)
{
	RangeTblEntry *copy = copyObject(rte);

	/* core says so where it plans a foreign table */
	if (rte->relkind == RELKIND_FOREIGN_TABLE &&
		(restrict_nonsystem_relation_kind & RESTRICT_RELKIND_FOREIGN_TABLE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("access to non-system foreign table is restricted")));
	copy->securityQuals = NIL;
	copy->tablesample = NULL;
	state->relation_rtes = lappend(state->relation_rtes, copy);
	state->relation_perms = lappend(state->relation_perms,
									rte_permissions_compat(query, rte));
}

/*
 * cz_collect_relations
 *		Remember every relation of a Query, at any depth, for permission checks,
 *		locks and invalidation.
 */
void
cz_collect_relations(Query *query, CzPlanState *state)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION)
			cz_note_relation(rte, query, state);
	}
	query_tree_walker(query, collect_walker, (void *) state, 0);
}

/* ---- CTEs that nobody reads ---------------------------------------------- */

typedef struct ReadersContext
{
	const char *name;
	int			depth;
} ReadersContext;

static bool
readers_walker(Node *node, ReadersContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE && rte->ctelevelsup == context->depth &&
			strcmp(rte->ctename, context->name) == 0;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, readers_walker, (void *) context,
								   QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, readers_walker, (void *) context);
}

/*
 * Core does not plan a SELECT in WITH that is read by nobody; sent to a worker it
 * would have to be good for it.  What only such a one reads goes too.
 */
void
cz_drop_unread_ctes(Query *query)
{
	bool		progress = query->cteList != NIL;

	while (progress)
	{
		ListCell   *lc;

		progress = false;
		foreach(lc, query->cteList)
		{
			CommonTableExpr *cte = lfirst(lc);
			List	   *others = list_copy(query->cteList);
			ReadersContext context = {cte->ctename, 0};
			List	   *save = query->cteList;
			bool		is_read;

			if (((Query *) cte->ctequery)->commandType != CMD_SELECT)
				continue;
			query->cteList = list_delete_ptr(others, cte);	/* it does not count as its own reader */
			is_read = query_tree_walker(query, readers_walker, (void *) &context,
										QTW_EXAMINE_RTES_BEFORE);
			query->cteList = save;
			if (is_read)
				continue;
			query->cteList = foreach_delete_current(query->cteList, lc);
			progress = true;
		}
	}
}

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

/* ---- a leaf in place of a query ------------------------------------------ */

/*
 * Order a query by a constant: that costs nothing, and core does not pull the
 * query up into the one around it.
 */
void
cz_keep_apart(Query *query)
{
	SortGroupClause *sort = makeNode(SortGroupClause);
	TargetEntry *tle;

	tle = makeTargetEntry((Expr *) cz_int_const(0),
						  list_length(query->targetList) + 1, NULL, true);
	query->targetList = lappend(query->targetList, tle);
	sort->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
	sort->eqop = Int4EqualOperator;
	sort->sortop = Int4LessOperator;
	sort->hashable = true;
	query->sortClause = lappend(query->sortClause, sort);
}

/* Strip a Query of everything but its target list; FROM becomes one entry. */
void
cz_query_over_leaf(Query *query, RangeTblEntry *leaf_rte, CzPlanState *state)
{
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = 1;
	query->rtable = list_make1(leaf_rte);
	query_clear_permissions_compat(query);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->cteList = NIL;
	query->setOperations = NULL;
	query->rowMarks = NIL;
	query->hasForUpdate = false;
	query->hasRecursive = false;
	query->hasSubLinks = false;
	query->constraintDeps = NIL;
	if (state->keep_leaves && query->distinctClause == NIL && query->sortClause == NIL &&
		!query->hasAggs && query->groupClause == NIL)
		cz_keep_apart(query);
}

RangeTblEntry *
cz_leaf_rte_of_query(Query *inner, CzLocus *locus, CzStrategy strategy, const char *reason,
				  CzPlanState *state)
{
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	RangeTblEntry *source = makeNode(RangeTblEntry);
	List	   *names = NIL;
	List	   *types = NIL;
	List	   *typmods = NIL;
	List	   *collations = NIL;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, inner->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk)
			continue;
		names = lappend(names, makeString(psprintf("c%d", ++n)));
		types = lappend_oid(types, exprType((Node *) tle->expr));
		typmods = lappend_int(typmods, exprTypmod((Node *) tle->expr));
		collations = lappend_oid(collations, exprCollation((Node *) tle->expr));
	}
	source->rtekind = RTE_SUBQUERY;
	source->subquery = inner;
	source->eref = makeAlias("leaf", copyObject(names));
	source->inFromCl = true;
	foreach(lc, inner->rtable)
	{
		/* policies without a fence (fence.c) */
		if (((RangeTblEntry *) lfirst(lc))->rtekind == RTE_RELATION &&
			((RangeTblEntry *) lfirst(lc))->security_barrier)
			source->security_barrier = true;
	}

	leaf->source = source;
	leaf->takes_duplicates = state->takes_duplicates;
	leaf->locus = *locus;
	leaf->strategy = strategy;
	leaf->reason = reason;
	cz_estimate_leaf(leaf, state);
	cz_collect_relations(inner, state);
	return cz_make_leaf(state, leaf, names, types, typmods, collations);
}

/* Rule 1.  Returns false, with the Query untouched, if a column can't travel. */
bool
cz_replace_whole(Query *query, CzLocus *locus, CzPlanState *state)
{
	Query	   *inner;
	List	   *outer_tlist = NIL;
	List	   *sort = NIL;
	ListCell   *lc;
	int			n = 0;
	int			resno = 0;
	bool		sorts_here = !locus->is_single || cz_sorts_unsurely(query);

	/*
	 * Set-returning functions of the target list come after the sort: what they
	 * return for one row stays together and in its order.
	 */
	if (sorts_here && query->hasTargetSRFs && query->sortClause != NIL)
		return false;

	/*
	 * With several shards the final sort is ours, and by a collation that may differ on
	 * the worker; its columns must come along.
	 */
	if (sorts_here)
	{
		sort = query->sortClause;
		foreach(lc, query->targetList)
		{
			TargetEntry *tle = lfirst(lc);

			if (tle->resjunk && get_sortgroupref_clause_noerr(tle->ressortgroupref, sort) &&
				!cz_type_is_output_safe(exprType((Node *) tle->expr)))
				return false;
		}
	}

	inner = copyObject(query);
	foreach(lc, inner->targetList)
	{
		TargetEntry *tle = lfirst(lc);
		TargetEntry *outer;
		bool		was_junk = tle->resjunk;

		if (tle->resjunk && tle->ressortgroupref != 0 &&
			get_sortgroupref_clause_noerr(tle->ressortgroupref, sort))
			tle->resjunk = false;
		if (tle->resjunk)
			continue;
		outer = flatCopyTargetEntry(tle);
		outer->expr = (Expr *) makeVar(1, ++n, exprType((Node *) tle->expr),
									   exprTypmod((Node *) tle->expr),
									   exprCollation((Node *) tle->expr), 0);
		outer->resno = ++resno;
		outer->resjunk = was_junk;
		if (!get_sortgroupref_clause_noerr(tle->ressortgroupref, sort))
			outer->ressortgroupref = 0;
		outer_tlist = lappend(outer_tlist, outer);
	}
	if (sorts_here && !inner->hasDistinctOn)
		inner->sortClause = NIL;

	query->targetList = outer_tlist;
	query->sortClause = sort;
	query->groupClause = NIL;
	query->groupingSets = NIL;
	query->havingQual = NULL;
	query->windowClause = NIL;
	query->distinctClause = NIL;
	query->hasDistinctOn = false;
	query->limitCount = NULL;
	query->limitOffset = NULL;
	query->limitOption = LIMIT_OPTION_COUNT;
	query->hasAggs = false;
	query->hasWindowFuncs = false;
	query->hasTargetSRFs = false;
	cz_query_over_leaf(query, cz_leaf_rte_of_query(inner, locus,
											 locus->is_single ? CZ_STRATEGY_ROUTER :
											 CZ_STRATEGY_PUSHDOWN, NULL, state), state);
	return true;
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
		context->state->takes_duplicates = false;
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

	if (query->commandType != CMD_SELECT)
		cz_check_write(query, query->canSetTag);
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
