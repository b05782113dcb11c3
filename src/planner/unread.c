/*-------------------------------------------------------------------------
 *
 * unread.c
 *	  Parts of a query that core never plans.
 *
 * Core folds a condition before it looks at the sub-queries in it, and does not plan a
 * sub-query in FROM whose rows a condition that is never true keeps back.  So what would
 * fail there, WHERE k = 1 / 0, does not.  Here such parts are looked at with what stands
 * around them, and folded to find their shards; so they are taken out first.
 *
 * Source: own work; which sub-queries core pulls up follows is_simple_subquery() in
 * src/backend/optimizer/prep/prepjointree.c, which it plans
 * relation_excluded_by_constraints() in src/backend/optimizer/util/plancat.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "cz/compat.h"

#include "planner_int.h"

/* ---- conditions ---------------------------------------------------------- */

/*
 * cz_is_never_true
 *		Is a condition of a query, folded, false or NULL?
 */
bool
cz_is_never_true(Node *quals, Query *query, CzPlanState *state)
{
	ListCell   *lc;

	if (quals == NULL)
		return false;
	quals = cz_fold(flatten_join_alias_vars_compat(query, copyObject(quals)), state);
	foreach(lc, cz_conjuncts(quals, NIL))
	{
		Const	   *value = lfirst(lc);

		if (IsA(value, Const) && (value->constisnull || !DatumGetBool(value->constvalue)))
			return true;
	}
	return false;
}

static bool
count_walker(Node *node, int *count)
{
	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, SubLink))
		(*count)++;
	return expression_tree_walker(node, count_walker, (void *) count);
}

/* An expression without sub-queries that it never reads; as it is if it has none. */
static Node *
without_unread(Node *expr, CzPlanState *state)
{
	int			nbefore = 0;
	int			nafter = 0;
	Node	   *folded;

	(void) count_walker(expr, &nbefore);
	if (nbefore == 0)
		return expr;
	folded = cz_fold(copyObject(expr), state);
	(void) count_walker(folded, &nafter);
	return nafter < nbefore ? folded : expr;
}

/* Does core join what it is read from, before it folds anything? */
static bool
is_joined(Node *qual)
{
	SubLink    *sublink;

	if (is_notclause(qual))
		qual = (Node *) get_notclausearg((Expr *) qual);
	sublink = (SubLink *) qual;
	return IsA(sublink, SubLink) && (sublink->subLinkType == EXISTS_SUBLINK ||
									 sublink->subLinkType == ANY_SUBLINK);
}

/* The same for the conditions of WHERE. */
static Node *
quals_without_unread(Query *query, CzPlanState *state)
{
	List	   *joined = NIL;
	List	   *others = NIL;
	Node	   *rest;
	ListCell   *lc;

	foreach(lc, cz_conjuncts(query->jointree->quals, NIL))
	{
		if (query->jointree->fromlist != NIL && is_joined(lfirst(lc)))
			joined = lappend(joined, lfirst(lc));
		else
			others = lappend(others, lfirst(lc));
	}
	rest = (Node *) make_ands_explicit(others);
	others = list_make1(without_unread(rest, state));
	return linitial(others) == rest ? query->jointree->quals :
		(Node *) make_ands_explicit(list_concat(others, joined));
}

/* ---- sub-queries in FROM ------------------------------------------------- */

/* Would core make it part of the query around it, and fold its conditions there? */
static bool
is_pulled_up(const Query *query)
{
	return query->setOperations == NULL && !query->hasAggs && !query->hasWindowFuncs &&
		!query->hasTargetSRFs && query->groupClause == NIL && query->groupingSets == NIL &&
		query->havingQual == NULL && query->sortClause == NIL && query->distinctClause == NIL &&
		query->limitCount == NULL && query->limitOffset == NULL && query->rowMarks == NIL &&
		query->cteList == NIL && !contain_volatile_functions((Node *) query->targetList);
}

/* Columns of the same types, and no rows, of no tables. */
static Query *
make_empty(Query *query)
{
	Query	   *empty = makeNode(Query);
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst(lc);
		Node	   *expr = (Node *) tle->expr;

		if (tle->resjunk)
			continue;
		empty->targetList =
			lappend(empty->targetList,
					makeTargetEntry((Expr *) makeNullConst(exprType(expr), exprTypmod(expr),
														   exprCollation(expr)),
									tle->resno, tle->resname, false));
	}
	empty->commandType = CMD_SELECT;
	empty->querySource = QSRC_ORIGINAL;
	empty->canSetTag = true;
	empty->jointree = makeFromExpr(NIL, makeBoolConst(false, false));
	return empty;
}

/* The CTE, if core would make it a sub-query of its one reader, else NULL. */
static CommonTableExpr *
inlined_cte(Query *query, const RangeTblEntry *rte)
{
	ListCell   *lc;

	foreach(lc, rte->ctelevelsup == 0 ? query->cteList : NIL)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		return cte->cterefcount == 1 && !cte->cterecursive &&
			cte->ctematerialized != CTEMaterializeAlways &&
			((Query *) cte->ctequery)->commandType == CMD_SELECT &&
			!contain_volatile_functions(cte->ctequery) ? cte : NULL;
	}
	return NULL;
}

/* Where nothing of the one sub-query that a query reads is wanted, it goes. */
static void
forget_from(Query *query, CzPlanState *state)
{
	RangeTblRef *ref = list_length(query->jointree->fromlist) == 1 ?
		linitial(query->jointree->fromlist) : NULL;
	RangeTblEntry *rte;
	CommonTableExpr *cte = NULL;
	Query	   *sub;

	if (ref == NULL || !IsA(ref, RangeTblRef))
		return;
	rte = rt_fetch(ref->rtindex, query->rtable);
	if (rte->rtekind == RTE_CTE)
		cte = inlined_cte(query, rte);
	if (rte->rtekind != RTE_SUBQUERY && cte == NULL)
		return;
	sub = cte != NULL ? (Query *) cte->ctequery : rte->subquery;
	if (is_pulled_up(sub) || !cz_is_never_true(query->jointree->quals, query, state))
		return;
	/* the user may read what is in there, or there is an error */
	cz_collect_relations(sub, state);
	if (cte != NULL)
	{
		query->cteList = list_delete_ptr(query->cteList, cte);
		rte->rtekind = RTE_SUBQUERY;
		rte->ctename = NULL;
		rte->coltypes = rte->coltypmods = rte->colcollations = NIL;
	}
	rte->subquery = make_empty(sub);
	rte->lateral = false;
}

static bool
settle_walker(Node *node, CzPlanState *state)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;

		cz_drop_unread_ctes(query);
		/* the condition of a MERGE is not that of all its rows */
		if (query->jointree != NULL && query->jointree->quals != NULL &&
			query->commandType != CMD_MERGE)
		{
			if (query->hasSubLinks)
				query->jointree->quals = quals_without_unread(query, state);
			forget_from(query, state);
		}
		foreach(lc, query->hasSubLinks ? query->targetList : NIL)
		{
			TargetEntry *tle = lfirst(lc);

			/* what is grouped or sorted by is there twice */
			if (tle->ressortgroupref == 0)
				tle->expr = (Expr *) without_unread((Node *) tle->expr, state);
		}
		return query_tree_walker(query, settle_walker, (void *) state, 0);
	}
	return expression_tree_walker(node, settle_walker, (void *) state);
}

/*
 * cz_settle_unread
 *		Take out of a query, in place, what core never plans.
 *
 * Errors: those of folding conditions, which core folds, too.
 */
void
cz_settle_unread(Query *query, CzPlanState *state)
{
	(void) settle_walker((Node *) query, state);
}
