/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  Split the grouping of a query: the fragments group and aggregate their rows,
 *	  and here the partial results are put together.
 *
 *	groups				the fragments group by the same, and so do we
 *	GROUPING SETS, CUBE, ...	the fragments group by all columns of all sets; the
 *						sets are made here
 *	a constant group		stays here
 *	plain aggregates			aggparts.c
 *	aggregate(DISTINCT x)		the fragments group by x too; the aggregate itself is
 *						computed here from the distinct x
 *	the same, x is the key		no value is on two shards: like a plain one
 *	several DISTINCTs		the fragments have one grouping set for each, and
 *						one for the plain aggregates; here each aggregate
 *						reads the rows of its set
 *	(DISTINCT x) FILTER (f)		x where f is true, and whether it is
 *	percentiles, mode		as DISTINCT, with the number of rows of each x (weighted.c)
 *
 * HAVING, windows, set-returning functions, ORDER BY, DISTINCT and LIMIT come after
 * the aggregates and stay here, and so do sub-queries beside them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "aggregate_int.h"

/* GROUPING() takes no more arguments. */
#define CZ_MAX_GROUPING_ARGS 31

static Node *split_mutator(Node *node, CzSplitContext *context);

static Node *
fail(CzSplitContext *context, Node *node, const char *reason)
{
	context->reason = reason;
	return node;
}

/*
 * cz_split_column
 *		A column of the inner query with the value of an expression, added if it is
 *		not there yet; as a Var of the outer query.
 */
Var *
cz_split_column(CzSplitContext *context, Node *expr)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, context->inner->targetList)
	{
		n++;
		if (equal(((TargetEntry *) lfirst(lc))->expr, expr))
			break;
	}
	if (lc == NULL)
	{
		n = list_length(context->inner->targetList) + 1;
		context->inner->targetList =
			lappend(context->inner->targetList,
					makeTargetEntry((Expr *) copyObject(expr), n, psprintf("c%d", n),
									false));
	}
	return makeVar(1, n, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
}

/* May fragments group by a value of this type, and send it? */
static bool
is_groupable(Oid type)
{
	return cz_type_is_output_safe(type) &&
		OidIsValid(lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr);
}

/* Is it the equality that a fragment's GROUP BY has? */
static bool
is_default_equality(Oid eqop, Oid type)
{
	return lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr == eqop;
}

/* Make the inner query group by an expression too; a Var of it. */
static Var *
inner_group(CzSplitContext *context, Node *expr)
{
	Var		   *var = cz_split_column(context, expr);
	TargetEntry *tle = list_nth(context->inner->targetList, var->varattno - 1);
	SortGroupClause *clause;

	if (tle->ressortgroupref != 0 &&
		get_sortgroupref_clause_noerr(tle->ressortgroupref, context->inner->groupClause))
		return var;
	clause = makeNode(SortGroupClause);
	clause->tleSortGroupRef = assignSortGroupRef(tle, context->inner->targetList);
	get_sort_group_operators(exprType(expr), false, true, false, &clause->sortop,
							 &clause->eqop, NULL, &clause->hashable);
	context->inner->groupClause = lappend(context->inner->groupClause, clause);
	return var;
}

/* Has an expression one value for all rows, that is found here as well? */
static bool
is_same_for_all(Node *expr)
{
	return !contain_vars_of_level(expr, 0) && !contain_subplans(expr) &&
		!contain_agg_clause(expr) && !contain_volatile_functions(expr) &&
		!expression_returns_set(expr);
}

static Node *
equals_int(Node *expr, int value)
{
	return (Node *) make_opclause(Int4EqualOperator, BOOLOID, false, (Expr *) expr,
								  (Expr *) cz_int_const(value), InvalidOid, InvalidOid);
}

static Node *
and_filter(Node *a, Node *b)
{
	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	return (Node *) makeBoolExpr(AND_EXPR, list_make2(a, b), -1);
}

/* The rows of the inner query that are of the grouping set with this mask. */
static Node *
set_filter(CzSplitContext *context, int mask)
{
	return context->set_column == NULL ? NULL :
		equals_int(copyObject((Node *) context->set_column), mask);
}

/*
 * cz_split_filter
 *		The filter of an outer aggregate over partial ones: the rows of the set that
 *		is grouped by nothing but the groups; NULL: all rows.
 */
Node *
cz_split_filter(CzSplitContext *context)
{
	return set_filter(context, context->plain_mask);
}

/* count(*) of the inner query. */
static Node *
count_rows(void)
{
	Aggref	   *agg = makeNode(Aggref);

	agg->aggfnoid = F_COUNT_;
	agg->aggtype = INT8OID;
	agg->aggstar = true;
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggsplit = AGGSPLIT_SIMPLE;
	agg->aggno = -1;
	agg->aggtransno = -1;
	agg->location = -1;
	return (Node *) agg;
}

/* ---- DISTINCT ------------------------------------------------------------ */

/* expr, but NULL where the filter is not true: there it may not be evaluated. */
static Node *
filtered(Node *expr, Node *filter)
{
	CaseExpr   *c;
	CaseWhen   *when;

	if (filter == NULL)
		return expr;
	c = makeNode(CaseExpr);
	when = makeNode(CaseWhen);
	when->expr = (Expr *) copyObject(filter);
	when->result = (Expr *) copyObject(expr);
	when->location = -1;
	c->casetype = exprType(expr);
	c->casecollid = exprCollation(expr);
	c->args = list_make1(when);
	c->defresult = (Expr *) makeNullConst(c->casetype, -1, c->casecollid);
	c->location = -1;
	return (Node *) c;
}

static Node *
is_true(Node *filter)
{
	BooleanTest *test = makeNode(BooleanTest);

	test->arg = (Expr *) copyObject(filter);
	test->booltesttype = IS_TRUE;
	test->location = -1;
	return (Node *) test;
}

/*
 * An argument of a DISTINCT aggregate, taken apart: what fragments group by is added to
 * *exprs if that is not NULL; else the argument of the outer aggregate is returned.
 */
static Node *
distinct_argument(CzSplitContext *context, Node *expr, Node *filter, List **exprs)
{
	if (is_same_for_all(expr))
		return (Node *) copyObject(expr);
	if (IsA(expr, RowExpr) && ((RowExpr *) expr)->row_typeid == RECORDOID)
	{
		RowExpr    *row = copyObject((RowExpr *) expr);
		ListCell   *lc;

		foreach(lc, row->args)
			lfirst(lc) = distinct_argument(context, lfirst(lc), filter, exprs);
		return (Node *) row;
	}
	expr = filtered(expr, filter);
	if (exprs == NULL)
		return (Node *) cz_split_column(context, expr);
	if (!is_groupable(exprType(expr)))
		context->reason = "an aggregate is DISTINCT by a value that cannot be sent";
	*exprs = list_append_unique(*exprs, expr);
	return NULL;
}

/* The expressions that fragments must group by for a DISTINCT aggregate. */
static List *
distinct_exprs(CzSplitContext *context, Aggref *agg)
{
	List	   *exprs = NIL;
	ListCell   *lc;
	Node	   *value = agg->aggkind == AGGKIND_ORDERED_SET ?
		cz_weighted_value(agg, context->state) : NULL;

	if (value != NULL)
	{
		/* NULLs do not count, so what the filter takes out may be NULL */
		value = filtered(value, (Node *) agg->aggfilter);
		if (!is_groupable(exprType(value)) || is_same_for_all(value))
			context->reason = "an aggregate cannot be split";
		return list_make1(value);
	}
	foreach(lc, agg->aggdistinct)
	{
		SortGroupClause *clause = lfirst(lc);

		if (!is_default_equality(clause->eqop,
								 exprType(get_sortgroupclause_expr(clause, agg->args))))
			context->reason = "an aggregate is DISTINCT by another equality";
	}
	if (agg->aggfilter)
		exprs = list_make1(is_true((Node *) agg->aggfilter));
	foreach(lc, agg->args)
		(void) distinct_argument(context, (Node *) ((TargetEntry *) lfirst(lc))->expr,
								 (Node *) agg->aggfilter, &exprs);
	/* fragments could not say whether they have rows at all */
	if (exprs == NIL)
		context->reason = "an aggregate is DISTINCT by a constant";
	return exprs;
}

static bool
same_exprs(List *a, List *b)
{
	return list_difference(a, b) == NIL && list_difference(b, a) == NIL;
}

/* Can it be computed on each shard, because no value is on two of them? */
static bool
is_distinct_by_key(CzSplitContext *context, Aggref *agg)
{
	CzSplitContext trial;

	/* in a larger set than the fragments group by, a value of the key comes again */
	if (context->query->groupingSets != NIL)
		return false;
	if (!context->keys_known)
		context->keys = cz_from_keys(context->inner, context->state, &context->classes);
	context->keys_known = true;
	if (list_length(agg->args) != 1 || agg->aggorder != NIL ||
		!cz_is_key_expr((Node *) ((TargetEntry *) linitial(agg->args))->expr,
						context->inner, context->keys, context->classes))
		return false;
	memset(&trial, 0, sizeof(trial));
	trial.inner = makeNode(Query);
	trial.distinct = agg->aggdistinct;
	return cz_split_one(&trial, agg) != NULL;
}

typedef struct CollectContext
{
	CzSplitContext *split;
	int			depth;
	bool		has_key;		/* an aggregate is DISTINCT by the key */
} CollectContext;

/* Find the sets that the aggregates of a query need. */
static bool
collect_walker(Node *node, CollectContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup == context->depth)
	{
		Aggref	   *agg = copyObject((Aggref *) node);
		CzDistinctSet *set;
		ListCell   *lc;

		IncrementVarSublevelsUp((Node *) agg, -context->depth, context->depth);
		if (agg->aggkind == AGGKIND_ORDERED_SET &&
			cz_weighted_value(agg, context->split->state) != NULL)
			context->split->has_weighted = true;
		else if (agg->aggdistinct == NIL || is_distinct_by_key(context->split, agg))
		{
			context->split->has_plain = true;
			context->has_key |= agg->aggdistinct != NIL;
			return false;
		}
		set = palloc0(sizeof(CzDistinctSet));
		set->exprs = distinct_exprs(context->split, agg);
		foreach(lc, context->split->sets)
		{
			if (same_exprs(((CzDistinctSet *) lfirst(lc))->exprs, set->exprs))
				break;
		}
		if (lc == NULL)
			context->split->sets = lappend(context->split->sets, set);
		return context->split->reason != NULL;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, collect_walker, (void *) context, 0);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, collect_walker, (void *) context);
}

/* The inner query's grouping sets: for each DISTINCT, and for plain aggregates. */
static void
make_sets(CzSplitContext *context)
{
	List	   *keys = list_copy(context->inner->groupClause);
	GroupingFunc *grouping = makeNode(GroupingFunc);
	GroupingSet *sets = makeNode(GroupingSet);
	List	   *masks = NIL;
	ListCell   *lc;
	ListCell   *le;
	int			nbits;

	/* 1. everything that any set groups by */
	grouping->location = -1;
	foreach(lc, context->sets)
	{
		foreach(le, ((CzDistinctSet *) lfirst(lc))->exprs)
			(void) inner_group(context, lfirst(le));
	}
	foreach(lc, context->inner->groupClause)
	{
		SortGroupClause *clause = lfirst(lc);

		if (list_member_ptr(keys, clause))
			continue;
		grouping->args = lappend(grouping->args,
								 copyObject(get_sortgroupclause_expr(clause,
																	 context->inner->targetList)));
		grouping->refs = lappend_int(grouping->refs, clause->tleSortGroupRef);
	}
	/* a sub-query prints with names of its own each time: GROUPING() would not know it */
	if (checkExprHasSubLink((Node *) grouping->args))
	{
		context->reason = "an aggregate is DISTINCT by a sub-query";
		return;
	}
	nbits = list_length(grouping->args);
	if (nbits > CZ_MAX_GROUPING_ARGS)
	{
		context->reason = "too many aggregates are DISTINCT";
		return;
	}
	context->plain_mask = (int) ((1U << nbits) - 1);

	/* 2. what GROUPING() says in the rows of each set */
	if (context->has_plain)
		masks = list_make1_int(context->plain_mask);
	foreach(lc, context->sets)
	{
		CzDistinctSet *set = lfirst(lc);

		foreach(le, grouping->args)
			set->mask = (set->mask << 1) | (list_member(set->exprs, lfirst(le)) ? 0 : 1);
		masks = list_append_unique_int(masks, set->mask);
	}

	/* 3. the sets */
	sets->kind = GROUPING_SET_SETS;
	sets->location = -1;
	foreach(lc, masks)
	{
		GroupingSet *simple = makeNode(GroupingSet);
		int			bit = nbits;

		foreach(le, keys)
			simple->content = lappend_int(simple->content,
										  ((SortGroupClause *) lfirst(le))->tleSortGroupRef);
		foreach(le, grouping->refs)
		{
			if ((lfirst_int(lc) & (1 << --bit)) == 0)
				simple->content = lappend_int(simple->content, lfirst_int(le));
		}
		simple->kind = simple->content == NIL ? GROUPING_SET_EMPTY : GROUPING_SET_SIMPLE;
		simple->location = -1;
		sets->content = lappend(sets->content, simple);
	}
	context->inner->groupingSets = list_make1(sets);
	context->set_column = nbits == 0 ? NULL :
		cz_split_column(context, (Node *) grouping);
}

/* The rows of the grouping set that is an aggregate's; NULL: all rows. */
static Node *
filter_of_set(CzSplitContext *context, Aggref *agg)
{
	List	   *exprs;
	ListCell   *lc;

	if (!context->uses_sets)
		return NULL;
	exprs = distinct_exprs(context, agg);
	foreach(lc, context->sets)
	{
		CzDistinctSet *set = lfirst(lc);

		if (same_exprs(set->exprs, exprs))
			return set_filter(context, set->mask);
	}
	elog(ERROR, "no grouping set for an aggregate");
	return NULL;
}

/* An ordered-set aggregate, over values and how many rows have each. */
static Node *
split_weighted(CzSplitContext *context, Aggref *agg)
{
	return cz_make_weighted(agg,
							(Node *) cz_split_column(context,
													 linitial(distinct_exprs(context, agg))),
							(Node *) cz_split_column(context, count_rows()),
							filter_of_set(context, agg), context->state);
}

/* A DISTINCT aggregate, over the distinct values that the fragments return. */
static Node *
split_distinct(CzSplitContext *context, Aggref *agg)
{
	Aggref	   *outer = copyObject(agg);
	Node	   *filter = NULL;
	ListCell   *lc;

	foreach(lc, outer->args)
	{
		TargetEntry *tle = lfirst(lc);

		tle->expr = (Expr *) distinct_argument(context, (Node *) tle->expr,
											   (Node *) agg->aggfilter, NULL);
	}
	if (agg->aggfilter)
		filter = (Node *) cz_split_column(context, is_true((Node *) agg->aggfilter));
	filter = and_filter(filter_of_set(context, agg), filter);
	outer->aggfilter = (Expr *) filter;
	return (Node *) outer;
}

/* ---- the outer query ----------------------------------------------------- */

static Node *
split_aggregate(Aggref *agg, CzSplitContext *context)
{
	Node	   *result;

	context->functions = list_append_unique_oid(context->functions, agg->aggfnoid);
	if (agg->aggkind == AGGKIND_ORDERED_SET && cz_weighted_value(agg, context->state) != NULL)
		return split_weighted(context, agg);
	if (agg->aggdistinct != NIL && !is_distinct_by_key(context, agg))
	{
		if (agg->aggkind != AGGKIND_NORMAL)
			return fail(context, (Node *) agg, "an aggregate cannot be split");
		return split_distinct(context, agg);
	}
	context->distinct = agg->aggdistinct;
	result = cz_split_one(context, agg);
	context->distinct = NIL;
	if (result == NULL)
		return fail(context, (Node *) agg, "an aggregate cannot be split");
	return result;
}

/* A node of a sub-query, as it would stand in the query that is split. */
static Node *
lowered(Node *node, int depth)
{
	node = copyObject(node);
	if (depth > 0)
		IncrementVarSublevelsUp(node, -depth, depth);
	return node;
}

/* The reverse. */
static Node *
raised(Node *node, int depth)
{
	if (depth > 0)
		IncrementVarSublevelsUp(node, depth, 0);
	return node;
}

/* A column of the group that a node is, or NULL. */
static Node *
group_of_node(Node *node, CzSplitContext *context)
{
	ListCell   *lc;
	ListCell   *lcol;

	forboth(lc, context->groups, lcol, context->group_columns)
	{
		Node	   *group = lfirst(lc);

		if (nodeTag(group) != nodeTag(node))
			continue;
		if (context->depth > 0)
			group = raised(copyObject(group), context->depth);
		if (equal(group, node))
			return raised((Node *) makeVar(1, lfirst_int(lcol), exprType(node),
										   exprTypmod(node), exprCollation(node), 0),
						  context->depth);
	}
	return NULL;
}

static Node *
split_mutator(Node *node, CzSplitContext *context)
{
	Node	   *group;

	if (node == NULL || context->reason != NULL)
		return node;
	group = group_of_node(node, context);
	if (group != NULL)
		return group;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup == context->depth)
	{
		Aggref	   *agg = (Aggref *) lowered(node, context->depth);

		return raised(split_aggregate(agg, context), context->depth);
	}
	if (IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup > 0)
		return fail(context, node, "GROUPING() belongs to an outer query");
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == context->depth)
	{
		Var		   *var = (Var *) lowered(node, context->depth);

		if (var->varattno == 0 || !is_groupable(var->vartype))
			return fail(context, node, "a whole row stands beside aggregates");
		/* functionally dependent on the group: grouping by it changes nothing */
		var = inner_group(context, (Node *) var);
		context->extra_groups = list_append_unique(context->extra_groups, var);
		return raised(copyObject((Node *) var), context->depth);
	}
	if (IsA(node, Query))
	{
		Node	   *result;

		context->depth++;
		result = (Node *) query_tree_mutator((Query *) node, split_mutator,
											 (void *) context, 0);
		context->depth--;
		return result;
	}
	return expression_tree_mutator(node, split_mutator, (void *) context);
}

/* The inner query groups by a group of the query. */
static bool
add_group(CzSplitContext *context, Node *expr)
{
	Var		   *var;

	if (is_same_for_all(expr))
		return true;			/* stays here */
	if (IsA(expr, RowExpr) && ((RowExpr *) expr)->row_typeid == RECORDOID)
	{
		ListCell   *lc;

		foreach(lc, ((RowExpr *) expr)->args)
		{
			if (!add_group(context, lfirst(lc)))
				return false;
		}
		return true;
	}
	if (!is_groupable(exprType(expr)))
	{
		context->reason = "a group has a row type";
		return false;
	}
	var = inner_group(context, expr);
	context->groups = lappend(context->groups, expr);
	context->group_columns = lappend_int(context->group_columns, var->varattno);
	return true;
}

/* What a query is grouped by, and by which the fragments' rows must be, too. */
static bool
add_groups(CzSplitContext *context)
{
	CollectContext collect = {context, 0, false};
	ListCell   *lc;

	foreach(lc, context->query->groupClause)
	{
		SortGroupClause *clause = lfirst(lc);
		Node	   *expr = get_sortgroupclause_expr(clause, context->query->targetList);

		if (!is_default_equality(clause->eqop, exprType(expr)))
		{
			context->reason = "a group has another equality";
			return false;
		}
		if (!add_group(context, expr))
			return false;
	}
	(void) collect_walker((Node *) context->query->targetList, &collect);
	(void) collect_walker(context->query->havingQual, &collect);
	if (context->reason != NULL)
		return false;
	if (list_length(context->sets) == 1 && !collect.has_key)
	{
		foreach(lc, ((CzDistinctSet *) linitial(context->sets))->exprs)
			(void) inner_group(context, lfirst(lc));
	}
	else if (context->sets != NIL)
	{
		context->uses_sets = true;
		make_sets(context);
	}
	return context->reason == NULL;
}

/* Columns that depend on the groups become groups of the outer query. */
static bool
add_extra_groups(Query *query, CzSplitContext *context)
{
	ListCell   *lc;

	if (context->extra_groups == NIL)
		return true;
	if (query->groupClause == NIL || query->groupingSets != NIL || context->uses_sets)
	{
		context->reason = "a column depends on the groups";
		return false;
	}
	foreach(lc, context->extra_groups)
	{
		Var		   *var = lfirst(lc);
		SortGroupClause *clause = makeNode(SortGroupClause);
		TargetEntry *tle = makeTargetEntry((Expr *) copyObject(var),
										   list_length(query->targetList) + 1, NULL, true);

		query->targetList = lappend(query->targetList, tle);
		clause->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
		get_sort_group_operators(var->vartype, false, true, false, &clause->sortop,
								 &clause->eqop, NULL, &clause->hashable);
		query->groupClause = lappend(query->groupClause, clause);
	}
	return true;
}

/* Can PostgreSQL group by all these columns together?  All must have a hash, or all an order. */
static bool
can_group_by_all(List *clauses)
{
	bool		hash = true;
	bool		sort = true;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		SortGroupClause *clause = lfirst(lc);

		hash &= clause->hashable;
		sort &= OidIsValid(clause->sortop);
	}
	return hash || sort;
}

/* ---- CTEs ---------------------------------------------------------------- */

static bool
cte_walker(Node *node, int *depth)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_CTE &&
			((RangeTblEntry *) node)->ctelevelsup == *depth;
	if (IsA(node, Query))
	{
		bool		result;

		(*depth)++;
		result = query_tree_walker((Query *) node, cte_walker, (void *) depth,
								   QTW_EXAMINE_RTES_BEFORE);
		(*depth)--;
		return result;
	}
	return expression_tree_walker(node, cte_walker, (void *) depth);
}

/* Does a sub-query of the target list, HAVING or LIMIT use a CTE of the query? */
static bool
uses_cte(Query *query)
{
	int			depth = 0;

	return cte_walker((Node *) query->targetList, &depth) ||
		cte_walker(query->havingQual, &depth) || cte_walker(query->limitCount, &depth) ||
		cte_walker(query->limitOffset, &depth);
}

/*
 * cz_split_aggregates
 *		Split the grouping of a query.
 *
 * query: changed into the outer query's target list, HAVING and GROUP BY; its FROM
 *		must be replaced by the leaf of inner.
 * inner: has FROM and WHERE; gets its target list and GROUP BY.
 * anchor: a table whose workers it is sent to.
 * functions: out: OIDs of the aggregates that were there.
 * is_weighted: out: rows come by their number only, which pays where values repeat.
 * Returns false, with *reason set and both in disorder, if it can't be done.
 */
bool
cz_split_aggregates(Query *query, Query *inner, const CzTable *anchor, CzPlanState *state,
					bool *is_weighted, List **functions, const char **reason)
{
	CzSplitContext context;

	memset(&context, 0, sizeof(context));
	context.query = query;
	context.inner = inner;
	context.anchor = anchor;
	context.state = state;
	if ((query->cteList != NIL && query->hasSubLinks && uses_cte(query)) ||
		!add_groups(&context))
	{
		*reason = context.reason ? context.reason :
			"a sub-query beside aggregates uses a CTE";
		return false;
	}

	/* a group that no target uses still counts: an empty input gives no row */
	query->targetList = (List *) split_mutator((Node *) query->targetList, &context);
	query->havingQual = split_mutator(query->havingQual, &context);
	query->windowClause = (List *) split_mutator((Node *) query->windowClause, &context);
	query->limitCount = split_mutator(query->limitCount, &context);
	query->limitOffset = split_mutator(query->limitOffset, &context);
	if (context.reason != NULL || !add_extra_groups(query, &context))
	{
		*reason = context.reason;
		return false;
	}
	/* the columns of all the grouping sets */
	if (!can_group_by_all(inner->groupClause) ||
		(query->groupingSets == NIL && !can_group_by_all(query->groupClause)))
	{
		*reason = "no way to group by all these columns at once";
		return false;
	}

	if (inner->targetList == NIL)
		(void) cz_split_column(&context, count_rows());
	/* groups that stay here: the fragments must not return a row of no rows */
	if (query->groupClause != NIL && inner->groupClause == NIL)
		inner->havingQual =
			(Node *) make_opclause(OpernameGetOprid(list_make2(makeString("pg_catalog"),
															   makeString(">")),
													INT8OID, INT4OID),
								   BOOLOID, false, (Expr *) count_rows(),
								   (Expr *) cz_int_const(0), InvalidOid, InvalidOid);
	inner->hasAggs = contain_aggs_of_level((Node *) inner->targetList, 0) ||
		inner->havingQual != NULL;
	inner->hasSubLinks |= checkExprHasSubLink((Node *) inner->targetList);
	inner->hasTargetSRFs = expression_returns_set((Node *) inner->targetList);

	*is_weighted = context.has_weighted;
	*functions = context.functions;
	query->hasTargetSRFs = expression_returns_set((Node *) query->targetList);
	query->hasSubLinks = checkExprHasSubLink((Node *) query->targetList) ||
		checkExprHasSubLink(query->havingQual) ||
		checkExprHasSubLink(query->limitCount) || checkExprHasSubLink(query->limitOffset);
	return true;
}
