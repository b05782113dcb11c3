/*-------------------------------------------------------------------------
 *
 * shipment.c
 *	  Take a part out of a Query and read its rows as a shipment instead.
 *
 * The part (tables of FROM with conditions of their own) becomes a query of its
 * own, which core plans as a materialized CTE of the Query that holds the leaf.
 * In the rest an entry without a table takes its place, whose columns are those
 * that the rest needs.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"

#include "../planner_int.h"

/*
 * cz_ship_rte
 *		Register a shipment and make an entry that reads it.
 */
RangeTblEntry *
cz_ship_rte(CzPlanState *state, CzShip *ship)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *names = NIL;
	int			i;

	for (i = 1; i <= list_length(ship->types); i++)
		names = lappend(names, makeString(psprintf("c%d", i)));
	state->ships = lappend(state->ships, ship);
	rte->rtekind = RTE_RESULT;
	rte->ctename = pstrdup("shipment");
	rte->ctelevelsup = list_length(state->ships) - 1;
	rte->eref = makeAlias("shipment", names);
	rte->inFromCl = true;
	return rte;
}

/*
 * cz_free_cte_name
 *		A name for a CTE of ours that no CTE of two lists has: name itself, or what
 *		underscores make of it.  Other levels of a query may have it.
 */
char *
cz_free_cte_name(char *name, List *ctes, List *more)
{
	List	   *all = list_concat_copy(ctes, more);
	ListCell   *lc = list_head(all);

	while (lc != NULL)
	{
		if (strcmp(((CommonTableExpr *) lfirst(lc))->ctename, name) != 0)
		{
			lc = lnext(all, lc);
			continue;
		}
		name = psprintf("%s_", name);
		lc = list_head(all);
	}
	return name;
}

/* ---- only what is asked for ----------------------------------------------- */

/*
 * cz_wanted_sublink
 *		(locals) IN (SELECT outers FROM an entry of outer WHERE quals)
 *
 * ops: OpExprs of a level below outer, local = outer expression; sides: int list, which
 * argument of each is the outer one.  quals: of the entry alone.  Returns NULL if an
 * operator has no commutator, and the outer expression is its first argument.
 */
Node *
cz_wanted_sublink(Query *outer, Index rti, List *quals, List *ops, List *sides)
{
	Query	   *sub = makeNode(Query);
	SubLink    *sublink = makeNode(SubLink);
	RangeTblEntry *rte = copyObject(rt_fetch(rti, outer->rtable));
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *tests = NIL;
	ListCell   *lc;
	ListCell   *ls;
	int			n = 0;

	quals = copyObject(quals);
	ChangeVarNodes((Node *) rte->securityQuals, rti, 1, 0);
	ChangeVarNodes((Node *) quals, rti, 1, 0);
	ref->rtindex = 1;
	sub->commandType = CMD_SELECT;
	sub->querySource = QSRC_ORIGINAL;
	sub->canSetTag = true;
	sub->rtable = list_make1(rte);
	sub->hasRowSecurity = outer->hasRowSecurity;
	query_copy_permissions_compat(sub, outer);
	sub->jointree = makeFromExpr(list_make1(ref), (Node *) make_ands_explicit(quals));
	sub->hasSubLinks = checkExprHasSubLink((Node *) quals);
	forboth(lc, ops, ls, sides)
	{
		OpExpr	   *test = copyObject(lfirst(lc));
		Node	   *value;
		Param	   *param = makeNode(Param);

		/* core prints the first argument, and takes the second one to be the sub-query's */
		if (lfirst_int(ls) == 0)
		{
			if (!OidIsValid(get_commutator(test->opno)))
				return NULL;
			CommuteOpExpr(test);
		}
		value = lsecond(test->args);
		n++;
		param->paramkind = PARAM_SUBLINK;
		param->paramid = n;
		param->paramtype = exprType(value);
		param->paramtypmod = exprTypmod(value);
		param->paramcollid = exprCollation(value);
		param->location = -1;
		lsecond(test->args) = param;
		tests = lappend(tests, test);
		IncrementVarSublevelsUp(value, -1, 1);
		ChangeVarNodes(value, rti, 1, 0);
		sub->targetList = lappend(sub->targetList,
								  makeTargetEntry((Expr *) value, n, psprintf("k%d", n),
												  false));
	}
	sublink->subLinkType = ANY_SUBLINK;
	sublink->testexpr = (Node *) make_ands_explicit(tests);
	sublink->operName = list_make1(makeString("="));
	sublink->subselect = (Node *) sub;
	sublink->location = -1;
	return (Node *) sublink;
}

/* ---- primary keys -------------------------------------------------------- */

typedef struct DependentContext
{
	Query	   *query;
	List	   *grouped;		/* expressions */
	List	   *dependent;		/* Vars */
} DependentContext;

static bool
dependent_walker(Node *node, DependentContext *context)
{
	if (node == NULL || IsA(node, Aggref) || list_member(context->grouped, node))
		return false;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varlevelsup == 0)
			context->dependent = list_append_unique(context->dependent, node);
		return false;
	}
	return expression_tree_walker(node, dependent_walker, (void *) context);
}

/*
 * Columns that may stand beside a group because its primary key is grouped are
 * grouped, too: what takes the table's place has no primary key.  Returns false if that
 * is not possible.
 */
static bool
group_dependents(Query *query)
{
	DependentContext context = {query, NIL, NIL};
	ListCell   *lc;

	if (query->constraintDeps == NIL)
		return true;
	if (query->groupingSets != NIL || query->hasSubLinks)
		return false;
	foreach(lc, query->groupClause)
		context.grouped = lappend(context.grouped,
								  get_sortgroupclause_expr(lfirst(lc), query->targetList));
	dependent_walker((Node *) query->targetList, &context);
	dependent_walker(query->havingQual, &context);
	dependent_walker((Node *) query->windowClause, &context);
	foreach(lc, context.dependent)
	{
		Var		   *var = lfirst(lc);
		SortGroupClause *clause = makeNode(SortGroupClause);
		TypeCacheEntry *type = lookup_type_cache(var->vartype, TYPECACHE_LT_OPR |
												 TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);
		TargetEntry *tle;

		if (!OidIsValid(type->eq_opr) || !OidIsValid(type->lt_opr) || var->varattno <= 0)
			return false;
		tle = makeTargetEntry((Expr *) copyObject(var), list_length(query->targetList) + 1,
							  NULL, true);
		query->targetList = lappend(query->targetList, tle);
		clause->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
		clause->eqop = type->eq_opr;
		clause->sortop = type->lt_opr;
		clause->hashable = OidIsValid(type->hash_proc);
		query->groupClause = lappend(query->groupClause, clause);
	}
	query->constraintDeps = NIL;
	return true;
}

static bool
group_dependents_walker(Node *node, bool *failed)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		if (!group_dependents((Query *) node))
			*failed = true;
		return query_tree_walker((Query *) node, group_dependents_walker, (void *) failed,
								 QTW_IGNORE_JOINALIASES);
	}
	return expression_tree_walker(node, group_dependents_walker, (void *) failed);
}

/*
 * cz_group_dependents
 *		Let no part of a Query depend on primary keys; false if that can't be.
 */
bool
cz_group_dependents(Query *query)
{
	bool		failed = false;

	group_dependents_walker((Node *) query, &failed);
	return !failed;
}

/* ---- the query that computes a shipment ---------------------------------- */

typedef struct LevelsContext
{
	int			depth;			/* of the walk, below the new query */
	int			old_depth;		/* of the part, below the query that gets the CTE */
	bool		failed;
} LevelsContext;

/* References to CTEs follow the move of a part into a CTE of the topmost query. */
static bool
levels_walker(Node *node, LevelsContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && rte->ctelevelsup >= context->depth)
		{
			/* counted from the topmost query: 0 is its own CTE */
			int			target = context->old_depth + context->depth -
				(int) rte->ctelevelsup;

			if (target > 0)
				context->failed = true;
			else
				rte->ctelevelsup = context->depth + 1 - target;
		}
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, levels_walker, (void *) context,
						  QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, levels_walker, (void *) context);
}

typedef struct NullingContext
{
	Relids		joins;
	int			depth;
} NullingContext;

/* Columns are made NULL by outer joins that are in the part only. */
static bool
nulling_walker(Node *node, NullingContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		if ((int) ((Var *) node)->varlevelsup == context->depth)
			var_keep_nulling_compat((Var *) node, context->joins);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, nulling_walker, (void *) context,
						  QTW_IGNORE_JOINALIASES);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, nulling_walker, (void *) context);
}

/*
 * cz_shipment_query
 *		SELECT vars FROM nodes WHERE quals, of parts of a Query, as a CTE's query.
 *
 * vars: expressions of the Query's level.
 * depth: of the Query below the one that gets the CTE.
 *
 * Returns: a new Query that shares nothing; NULL if it refers to a CTE that the
 *		topmost query does not see.
 */
Query *
cz_shipment_query(Query *query, List *nodes, List *quals, List *vars, int depth)
{
	Query	   *result = makeNode(Query);
	Relids		used = NULL;
	LevelsContext levels = {0, depth, false};
	NullingContext nulling;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, nodes)
		used = bms_add_members(used, cz_node_relids(lfirst(lc), true));
	result->commandType = CMD_SELECT;
	result->querySource = QSRC_ORIGINAL;
	result->canSetTag = true;
	result->rtable = copyObject(query->rtable);
	query_copy_permissions_compat(result, query);
	foreach(lc, result->rtable)
	{
		if (!bms_is_member(++n, used))
			cz_blank_rte(lfirst(lc));
	}
	result->jointree = makeFromExpr(copyObject(nodes), quals == NIL ? NULL :
									(Node *) make_ands_explicit(copyObject(quals)));
	n = 0;
	foreach(lc, vars)
	{
		n++;
		result->targetList = lappend(result->targetList,
									 makeTargetEntry(copyObject(lfirst(lc)), n,
													 psprintf("c%d", n), false));
	}
	result->hasSubLinks = query->hasSubLinks;
	nulling.joins = used;
	nulling.depth = 0;
	query_tree_walker(result, nulling_walker, (void *) &nulling, QTW_IGNORE_JOINALIASES);
	query_tree_walker(result, levels_walker, (void *) &levels,
					  QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return levels.failed ? NULL : result;
}
