/*-------------------------------------------------------------------------
 *
 * reduce.c
 *	  FULL JOINs that conditions above them make LEFT, RIGHT or inner joins.
 *
 * Core reduces outer joins when it plans a whole query.  Parts of a query are planned
 * by themselves here, or are sent, without the conditions that stand around them;
 * and a FULL JOIN without a condition to merge or hash on cannot be executed if it is
 * not reduced.  So that is done first, for the whole query.
 *
 * The rule is core's: a condition that cannot be true of NULLs, and that applies to
 * the rows of a join, removes the rows in which the join has made up a side.  Such
 * conditions are passed down, to both sides of an inner join, to the preserved side
 * of an outer one, whose own condition goes to its other side.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "cz/compat.h"

#include "planner_int.h"

typedef struct ReduceContext
{
	Query	   *query;
	bool		has_joins;		/* an entry is a join: its columns have other names */
	List	   *reduced;		/* ints: range-table indexes of joins */
	List	   *unreduced_sides;	/* Relids, by them: what they still may make NULL */
} ReduceContext;

static void reduce_query(Query *query, List *clauses);
static bool reduce_walker(Node *node, void *context);

/* Conditions with those of a place of the join tree. */
static List *
with_quals(List *clauses, Node *quals, ReduceContext *context)
{
	if (quals == NULL)
		return clauses;
	quals = copyObject(quals);
	if (context->has_joins)
		quals = flatten_join_alias_vars_compat(context->query, quals);
	return list_concat_copy(clauses, cz_conjuncts(quals, NIL));
}

static Relids
relids_of(Node *node)
{
	Relids		result = NULL;
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		return bms_make_singleton(((RangeTblRef *) node)->rtindex);
	if (IsA(node, JoinExpr))
		return bms_union(relids_of(((JoinExpr *) node)->larg),
						 relids_of(((JoinExpr *) node)->rarg));
	foreach(lc, ((FromExpr *) node)->fromlist)
		result = bms_join(result, relids_of(lfirst(lc)));
	return result;
}

/* May conditions on a sub-query's columns be asked of its rows within? */
static bool
is_transparent(const RangeTblEntry *rte)
{
	const Query *sub = rte->subquery;

	return !rte->security_barrier && sub->commandType == CMD_SELECT &&
		sub->setOperations == NULL && !sub->hasAggs && sub->groupClause == NIL &&
		sub->groupingSets == NIL && sub->havingQual == NULL && !sub->hasWindowFuncs &&
		!sub->hasTargetSRFs && sub->distinctClause == NIL && sub->limitCount == NULL &&
		sub->limitOffset == NULL && sub->rowMarks == NIL;
}

/* A sub-query in FROM: columns that must not be NULL are conditions within. */
static void
reduce_subquery(RangeTblEntry *rte, Index rti, List *clauses)
{
	List	   *inner = NIL;
	ListCell   *lc;

	if (clauses != NIL && is_transparent(rte))
	{
		foreach(lc, rte->subquery->targetList)
		{
			TargetEntry *tle = lfirst(lc);
			NullTest   *test;

			if (tle->resjunk || !forces_nonnullable_var_compat(clauses, rti, tle->resno))
				continue;
			test = makeNode(NullTest);
			test->arg = copyObject(tle->expr);
			test->nulltesttype = IS_NOT_NULL;
			test->location = -1;
			inner = lappend(inner, test);
		}
	}
	reduce_query(rte->subquery, inner);
}

/* What a join is, under conditions on its rows. */
static JoinType
reduced_type(JoinExpr *join, List *clauses)
{
	Relids		forced = find_nonnullable_rels((Node *) clauses);
	bool		left = bms_overlap(forced, relids_of(join->larg));
	bool		right = bms_overlap(forced, relids_of(join->rarg));

	switch (join->jointype)
	{
		case JOIN_LEFT:
			return right ? JOIN_INNER : JOIN_LEFT;
		case JOIN_RIGHT:
			return left ? JOIN_INNER : JOIN_RIGHT;
		case JOIN_FULL:
			if (left && right)
				return JOIN_INNER;
			return left ? JOIN_LEFT : right ? JOIN_RIGHT : JOIN_FULL;
		default:
			return join->jointype;
	}
}

static void
reduce_node(Node *node, List *clauses, ReduceContext *context)
{
	JoinExpr   *join = (JoinExpr *) node;
	List	   *own;
	JoinType	type;
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
	{
		Index		rti = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, context->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY)
			reduce_subquery(rte, rti, clauses);
		return;
	}
	if (IsA(node, FromExpr))
	{
		clauses = with_quals(clauses, ((FromExpr *) node)->quals, context);
		foreach(lc, ((FromExpr *) node)->fromlist)
			reduce_node(lfirst(lc), clauses, context);
		return;
	}
	type = reduced_type(join, clauses);
	if (join->jointype == JOIN_FULL && type != JOIN_FULL)
	{
		join->jointype = type;
		rt_fetch(join->rtindex, context->query->rtable)->jointype = type;
		context->reduced = lappend_int(context->reduced, join->rtindex);
		context->unreduced_sides =
			lappend(context->unreduced_sides,
					type == JOIN_LEFT ? relids_of(join->rarg) :
					type == JOIN_RIGHT ? relids_of(join->larg) : NULL);
	}
	own = with_quals(type == JOIN_INNER ? clauses : NIL, join->quals, context);
	reduce_node(join->larg, type == JOIN_INNER || type == JOIN_RIGHT ? own :
				type == JOIN_LEFT ? clauses : NIL, context);
	reduce_node(join->rarg, type == JOIN_INNER || type == JOIN_LEFT ? own :
				type == JOIN_RIGHT ? clauses : NIL, context);
}

static void
reduce_query(Query *query, List *clauses)
{
	ReduceContext context = {query, false, NIL, NIL};
	ListCell   *lc;
	ListCell   *ls;

	check_stack_depth();
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_JOIN)
			context.has_joins = true;
		if (rte->rtekind == RTE_SUBQUERY && query->setOperations != NULL)
			reduce_query(rte->subquery, NIL);
	}
	if (query->jointree != NULL && query->setOperations == NULL)
		reduce_node((Node *) query->jointree, clauses, &context);
	forboth(lc, context.reduced, ls, context.unreduced_sides)
		remove_nulling_relids_compat(query, lfirst_int(lc), lfirst(ls));
	/* those of WITH and in expressions */
	query_tree_walker(query, reduce_walker, NULL, QTW_IGNORE_RT_SUBQUERIES);
}

static bool
reduce_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		reduce_query((Query *) node, NIL);
		return false;
	}
	return expression_tree_walker(node, reduce_walker, context);
}

/*
 * cz_reduce_full_joins
 *		Make FULL JOINs of a Query, at any depth, what the conditions above leave of
 *		them.
 *
 * query: changed in place.
 */
void
cz_reduce_full_joins(Query *query)
{
	reduce_query(query, NIL);
}
