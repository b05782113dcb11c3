/*-------------------------------------------------------------------------
 *
 * group_entries.c
 *	  Grouping expressions as columns of a range-table entry (PostgreSQL 18).
 *
 * Since 18 the parser makes one more range-table entry for GROUP BY, and what is computed
 * behind the grouping refers to its columns.  Queries are cut and deparsed here as they are
 * without it, so it is taken away first.  The planner wants it for grouping sets: only by
 * it HAVING knows that a column may be NULL though the rows' is not, and stays above the
 * grouping.  So those that remain get it again.
 *
 * Before 18 there is nothing to do.
 *
 * Source: PostgreSQL 18, parser/parse_agg.c (which expressions become columns).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_agg.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"
#include "planner_int.h"

#if CZ_HAS_GROUP_ENTRIES

/* ---- taken away ---------------------------------------------------------- */

static void
remove_from(Query *query)
{
	RangeTblEntry *rte = NULL;
	ListCell   *lc;

	query->targetList = (List *) flatten_group_exprs(NULL, query, (Node *) query->targetList);
	query->havingQual = flatten_group_exprs(NULL, query, query->havingQual);
	query->windowClause = (List *) flatten_group_exprs(NULL, query,
													   (Node *) query->windowClause);
	query->hasGroupRTE = false;
	foreach(lc, query->rtable)
	{
		rte = lfirst(lc);
		if (rte->rtekind == RTE_GROUP)
			break;
	}
	Assert(lc != NULL);

	/* deparsing qualifies columns where there is more than one entry */
	if (rte == llast(query->rtable))
		query->rtable = list_delete_last(query->rtable);
	else
	{
		rte->rtekind = RTE_RESULT;
		rte->groupexprs = NIL;
	}
}

static bool
remove_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		if (((Query *) node)->hasGroupRTE)
			remove_from((Query *) node);
		return query_tree_walker((Query *) node, remove_walker, context, 0);
	}
	return expression_tree_walker(node, remove_walker, context);
}

/* ---- made again ---------------------------------------------------------- */

typedef struct RestoreContext
{
	Query	   *query;
	List	   *groups;			/* TargetEntry * of the grouping columns */
	List	   *in_all_sets;	/* their references that are in each grouping set */
	Index		rti;			/* of the entry */
	int			depth;			/* how many queries below query */
} RestoreContext;

static Var *
make_column(RestoreContext *context, int attno)
{
	TargetEntry *group = list_nth(context->groups, attno - 1);
	Node	   *expr = (Node *) group->expr;
	Var		   *var = makeVar(context->rti, attno, exprType(expr), exprTypmod(expr),
							  exprCollation(expr), context->depth);

	if (!list_member_int(context->in_all_sets, group->ressortgroupref))
		var->varnullingrels = bms_make_singleton(context->rti);
	return var;
}

/* The column for an expression, or NULL.  In a query below only for one that is a column. */
static Var *
column_for(Node *node, RestoreContext *context)
{
	int			attno = 0;
	ListCell   *lc;

	foreach(lc, context->groups)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(lc))->expr;

		attno++;
		if (context->depth == 0 ? equal(node, expr) :
			IsA(node, Var) && IsA(expr, Var) &&
			((Var *) node)->varno == ((Var *) expr)->varno &&
			((Var *) node)->varattno == ((Var *) expr)->varattno &&
			((Var *) node)->varlevelsup == context->depth)
			return make_column(context, attno);
	}
	return NULL;
}

static Node *
restore_mutator(Node *node, void *arg)
{
	RestoreContext *context = arg;
	Var		   *column;

	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup == context->depth)
	{
		Aggref	   *agg = copyObject((Aggref *) node);

		/* these are computed behind the grouping, all else before */
		agg->aggdirectargs = (List *) restore_mutator((Node *) agg->aggdirectargs, context);
		return (Node *) agg;
	}
	if ((IsA(node, Aggref) && ((Aggref *) node)->agglevelsup > context->depth) ||
		(IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup >= context->depth))
		return node;
	if (!IsA(node, List) && (context->depth == 0 || IsA(node, Var)))
	{
		column = column_for(node, context);
		if (column != NULL)
			return (Node *) column;
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, restore_mutator, context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, restore_mutator, context);
}

/* What the grouping sets of a query have in common. */
static List *
references_in_all_sets(Query *query)
{
	List	   *sets = expand_grouping_sets(query->groupingSets, query->groupDistinct, -1);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, sets)
		result = lc == list_head(sets) ? list_copy(lfirst(lc)) :
			list_intersection_int(result, lfirst(lc));
	return result;
}

static void
restore_in(Query *query)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *names = NIL;
	RestoreContext context = {query};
	ListCell   *lc;

	foreach(lc, query->groupClause)
	{
		TargetEntry *tle = get_sortgroupclause_tle(lfirst(lc), query->targetList);

		context.groups = lappend(context.groups, tle);
		rte->groupexprs = lappend(rte->groupexprs, copyObject(tle->expr));
		names = lappend(names, makeString(pstrdup(tle->resname ? tle->resname : "?column?")));
	}
	rte->rtekind = RTE_GROUP;
	rte->eref = makeAlias("*GROUP*", names);
	query->rtable = lappend(query->rtable, rte);
	query->hasGroupRTE = true;

	context.rti = list_length(query->rtable);
	context.in_all_sets = references_in_all_sets(query);
	query->targetList = (List *) restore_mutator((Node *) query->targetList, &context);
	query->havingQual = restore_mutator(query->havingQual, &context);
	query->windowClause = (List *) restore_mutator((Node *) query->windowClause, &context);
}

static bool
restore_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->groupingSets != NIL && query->groupClause != NIL && !query->hasGroupRTE)
			restore_in(query);
		return query_tree_walker(query, restore_walker, arg, 0);
	}
	return expression_tree_walker(node, restore_walker, arg);
}

#endif							/* CZ_HAS_GROUP_ENTRIES */

/*
 * cz_remove_group_entries
 *		See planner_int.h.
 */
void
cz_remove_group_entries(Query *query)
{
#if CZ_HAS_GROUP_ENTRIES
	(void) remove_walker((Node *) query, NULL);
#endif
}

/*
 * cz_restore_group_entries
 *		See planner_int.h.
 */
void
cz_restore_group_entries(Query *query)
{
#if CZ_HAS_GROUP_ENTRIES
	(void) restore_walker((Node *) query, NULL);
#endif
}
