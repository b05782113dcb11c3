/*-------------------------------------------------------------------------
 *
 * unread.c
 *	  Parts of a query that core never plans.
 *
 * Core folds an expression before it looks at the sub-queries in it, leaves out columns of a
 * sub-query in FROM that nobody reads, and does not plan one whose rows a condition that is
 * never true keeps back.  So what would fail there, WHERE k = 1 / 0, does not, and nobody
 * needs privileges for it.  Here such parts are looked at with what stands around them, and
 * folded to find their shards; so they are taken out first.
 *
 * A sub-query that folding takes out of an expression becomes NULL there.  All else stays as
 * it is: what is grouped by is compared with what is read of it, and functions that are
 * inlined are what core must see the plan depend on.
 *
 * Source: own work; which sub-queries core pulls up follows is_simple_subquery() in
 * src/backend/optimizer/prep/prepjointree.c, which it joins convert_EXISTS_sublink_to_join()
 * and convert_ANY_sublink_to_join() in src/backend/optimizer/plan/subselect.c, which columns
 * it leaves out remove_unused_subquery_outputs() in src/backend/optimizer/path/allpaths.c,
 * which it plans relation_excluded_by_constraints() in src/backend/optimizer/util/plancat.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "cz/compat.h"

#include "planner_int.h"

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

/* ---- sub-queries in expressions ------------------------------------------ */

typedef struct SublinksContext
{
	CzPlanState *state;
	Query	   *query;
	List	   *read;			/* its SubLinks that remain */
	List	   *unread;			/* those that do not */
} SublinksContext;

static bool
sublinks_walker(Node *node, List **sublinks)
{
	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, SubLink))
		*sublinks = lappend(*sublinks, node);
	return expression_tree_walker(node, sublinks_walker, (void *) sublinks);
}

/* The SubLinks of an expression, not those in their queries. */
static List *
sublinks_of(Node *expr)
{
	List	   *sublinks = NIL;

	(void) sublinks_walker(expr, &sublinks);
	return sublinks;
}

/* EXISTS computes no columns. */
static void
settle_exists(List *sublinks)
{
	ListCell   *lc;

	foreach(lc, sublinks)
	{
		SubLink    *sublink = lfirst(lc);

		if (sublink->subLinkType == EXISTS_SUBLINK &&
			sublinks_of((Node *) ((Query *) sublink->subselect)->targetList) != NIL)
			cz_simplify_exists(sublink);
	}
}

static bool
has_location(List *sublinks, int location)
{
	ListCell   *lc;

	foreach(lc, sublinks)
	{
		if (((SubLink *) lfirst(lc))->location == location)
			return true;
	}
	return false;
}

/* Which SubLinks does folding leave in an expression?  Their locations tell them apart. */
static void
sort_sublinks(Node *expr, SublinksContext *context)
{
	List	   *sublinks = sublinks_of(expr);
	List	   *locations = NIL;
	List	   *left;
	ListCell   *lc;

	if (sublinks == NIL)
		return;
	settle_exists(sublinks);
	foreach(lc, sublinks)
	{
		SubLink    *sublink = lfirst(lc);

		locations = lappend_int(locations, sublink->location);
		sublink->location = foreach_current_index(lc);
	}
	left = sublinks_of(cz_fold(expr, context->state));
	foreach(lc, sublinks)
	{
		SubLink    *sublink = lfirst(lc);

		if (has_location(left, foreach_current_index(lc)) ||
			sublink->subLinkType == MULTIEXPR_SUBLINK)
			context->read = lappend(context->read, sublink);
		else
			context->unread = lappend(context->unread, sublink);
	}
	foreach(lc, sublinks)
		((SubLink *) lfirst(lc))->location = list_nth_int(locations, foreach_current_index(lc));
}

/*
 * Does core join a condition's sub-query to what it is asked of, before it folds anything?
 *
 * relids: the range-table entries that it can be joined to.
 */
static bool
is_joined(Node *qual, Relids relids)
{
	SubLink    *sublink;
	Query	   *sub;
	bool		is_not = is_notclause(qual);

	if (is_not)
		qual = (Node *) get_notclausearg((Expr *) qual);
	if (!IsA(qual, SubLink))
		return false;
	sublink = (SubLink *) qual;
	sub = (Query *) sublink->subselect;
	if (sublink->subLinkType == ANY_SUBLINK && !is_not)
		return contain_vars_of_level(sublink->testexpr, 0) &&
			bms_is_subset(cz_entries_of(sublink->testexpr, 0), relids) &&
			!contain_volatile_functions(sublink->testexpr) &&
			(CZ_JOINS_CORRELATED_ANY || !contain_vars_of_level((Node *) sub, 1));
	return sublink->subLinkType == EXISTS_SUBLINK && sub->cteList == NIL &&
		sub->setOperations == NULL && !sub->hasAggs && sub->groupingSets == NIL &&
		!sub->hasWindowFuncs && !sub->hasTargetSRFs && sub->havingQual == NULL &&
		sub->limitOffset == NULL && sub->rowMarks == NIL && sub->jointree->fromlist != NIL &&
		contain_vars_of_level(sub->jointree->quals, 1) &&
		bms_is_subset(cz_entries_of(sub->jointree->quals, 1), relids) &&
		!contain_volatile_functions(sub->jointree->quals);
}

/* The same of conditions in a join tree. */
static void
sort_in_quals(Node *quals, Relids relids, SublinksContext *context)
{
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, cz_conjuncts(quals, NIL))
	{
		if (is_joined(lfirst(lc), relids))
		{
			List	   *sublinks = sublinks_of(lfirst(lc));

			settle_exists(sublinks);
			context->read = list_concat(context->read, sublinks);
		}
		else
			others = lappend(others, lfirst(lc));
	}
	sort_sublinks((Node *) make_ands_explicit(others), context);
}

/* To which entries can a condition of a join be joined? */
static Relids
joined_relids(JoinExpr *join)
{
	switch (join->jointype)
	{
		case JOIN_INNER:
			return cz_node_relids((Node *) join, true);
		case JOIN_LEFT:
			return cz_node_relids(join->rarg, true);
		case JOIN_RIGHT:
			return cz_node_relids(join->larg, true);
		default:
			return NULL;
	}
}

/* The same for one of FROM: a MERGE joins its target to all that it reads. */
static Relids
from_relids(Node *from, Query *query)
{
	Relids		relids = cz_node_relids(from, true);

	return query->commandType == CMD_MERGE ? bms_add_member(relids, query->resultRelation) : relids;
}

/* The same of all expressions of a query. */
static bool
sort_walker(Node *node, SublinksContext *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_TargetEntry:
		case T_OnConflictExpr:
		case T_InferenceElem:
		case T_MergeAction:
		case T_WithCheckOption:
		case T_RangeTblFunction:
		case T_TableFunc:
		case T_TableSampleClause:
			return expression_tree_walker(node, sort_walker, (void *) context);
		case T_FromExpr:
			sort_in_quals(((FromExpr *) node)->quals, from_relids(node, context->query), context);
			return sort_walker((Node *) ((FromExpr *) node)->fromlist, context);
		case T_JoinExpr:
			sort_in_quals(((JoinExpr *) node)->quals, joined_relids((JoinExpr *) node), context);
			return sort_walker(((JoinExpr *) node)->larg, context) ||
				sort_walker(((JoinExpr *) node)->rarg, context);
		case T_RangeTblRef:
		case T_SetOperationStmt:
			return false;
		default:
			if (context->query->commandType == CMD_MERGE &&
				node == merge_condition_compat(context->query))
				sort_in_quals(node, from_relids((Node *) context->query->jointree, context->query),
							  context);
			else
				sort_sublinks(node, context);
			return false;
	}
}

static Node *
null_mutator(Node *node, SublinksContext *context)
{
	if (node == NULL || IsA(node, Query))
		return node;
	/* what is grouped by and what is read of it remain the same */
	if (list_member_ptr(context->unread, node) && !list_member(context->read, node))
		return (Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node));
	return expression_tree_mutator(node, null_mutator, (void *) context);
}

/* Sub-queries of expressions that are never read become NULL. */
static void
forget_sublinks(Query *query, CzPlanState *state)
{
	SublinksContext context = {state, query, NIL, NIL};
	int			flags = QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES |
		QTW_IGNORE_JOINALIASES;

	if (!query->hasSubLinks)
		return;
	(void) query_tree_walker(query, sort_walker, (void *) &context, flags);
	if (context.unread != NIL)
		(void) query_tree_mutator(query, null_mutator, (void *) &context,
								  flags | QTW_DONT_COPY_QUERY);
}

/* ---- sub-queries in FROM ------------------------------------------------- */

/* Would core make it part of the query around it, and fold its conditions there? */
static bool
is_pulled_up(const RangeTblEntry *rte, const Query *query)
{
	return !rte->security_barrier && query->setOperations == NULL && !query->hasAggs &&
		!query->hasWindowFuncs && !query->hasTargetSRFs && query->groupClause == NIL &&
		query->groupingSets == NIL && query->havingQual == NULL && query->sortClause == NIL &&
		query->distinctClause == NIL && query->limitCount == NULL &&
		query->limitOffset == NULL && !query->hasForUpdate && query->cteList == NIL &&
		!contain_volatile_functions((Node *) query->targetList);
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

static bool
locks_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return ((Query *) node)->rowMarks != NIL ||
			query_tree_walker((Query *) node, locks_walker, context, 0);
	return expression_tree_walker(node, locks_walker, context);
}

/* Would core put a CTE in the places of its readers? */
static bool
is_inlined(const CommonTableExpr *cte)
{
	return !cte->cterecursive && cte->cterefcount > 0 &&
		(cte->ctematerialized == CTEMaterializeNever ||
		 (cte->ctematerialized == CTEMaterializeDefault && cte->cterefcount == 1)) &&
		((Query *) cte->ctequery)->commandType == CMD_SELECT &&
		!locks_walker(cte->ctequery, NULL) && !contain_volatile_functions(cte->ctequery);
}

/* The CTE that an entry of a query reads alone, in whose place core would put it, or NULL. */
static CommonTableExpr *
inlined_cte(Query *query, const RangeTblEntry *rte)
{
	CommonTableExpr *cte;

	if (rte->rtekind != RTE_CTE || rte->ctelevelsup != 0)
		return NULL;
	cte = cz_cte_of_name(query->cteList, rte->ctename);
	return cte != NULL && cte->cterefcount == 1 && is_inlined(cte) ? cte : NULL;
}

/* The sub-query that an entry is, or would be, to core. */
static Query *
subquery_of(Query *query, const RangeTblEntry *rte)
{
	CommonTableExpr *cte;

	if (rte->rtekind == RTE_SUBQUERY)
		return rte->subquery;
	cte = inlined_cte(query, rte);
	return cte != NULL ? (Query *) cte->ctequery : NULL;
}

typedef struct PlannedContext
{
	CzPlanState *state;
	List	   *ctes;			/* that can be read */
	Index		depth;			/* queries below the one whose they are */
} PlannedContext;

static bool
planned_walker(Node *node, PlannedContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		CommonTableExpr *cte = rte->rtekind == RTE_CTE && rte->ctelevelsup == context->depth ?
			cz_cte_of_name(context->ctes, rte->ctename) : NULL;
		PlannedContext within = {context->state, context->ctes, 0};

		if (cte != NULL && is_inlined(cte))
		{
			cz_collect_relations((Query *) cte->ctequery, context->state);
			(void) planned_walker(cte->ctequery, &within);
		}
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		(void) query_tree_walker((Query *) node, planned_walker, (void *) context,
								 QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, planned_walker, (void *) context);
}

/*
 * A sub-query goes that core looks at: the user may read what is in there, and in the CTEs
 * that would be part of it, or there is an error.
 */
static void
check_privileges(Query *sub, List *ctes, CzPlanState *state)
{
	PlannedContext context = {state, ctes, 0};

	cz_collect_relations(sub, state);
	(void) planned_walker((Node *) sub, &context);
}

/* CTEs that are not read go; core plans those that have a reader which is not. */
static void
forget_ctes(Query *query, CzPlanState *state)
{
	List	   *before = list_copy(query->cteList);
	ListCell   *lc;

	cz_drop_unread_ctes(query);
	foreach(lc, before)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (!list_member_ptr(query->cteList, cte) && cte->cterefcount > 0 && !is_inlined(cte))
			check_privileges((Query *) cte->ctequery, before, state);
	}
}

/* Has an expression of a query, or a column of FROM that it names, a sub-query? */
static bool
reads_sublink_walker(Node *node, Query *query)
{
	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, SubLink))
		return true;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		Query	   *sub = var->varlevelsup == 0 && var->varattno > 0 ?
			subquery_of(query, rt_fetch(var->varno, query->rtable)) : NULL;
		TargetEntry *tle = sub != NULL ? get_tle_by_resno(sub->targetList, var->varattno) : NULL;

		return tle != NULL && reads_sublink_walker((Node *) tle->expr, sub);
	}
	return expression_tree_walker(node, reads_sublink_walker, (void *) query);
}

/* A query in which only those columns are named that core finds when it has folded it. */
static Query *
copy_folded(Query *query, CzPlanState *state)
{
	query = copyObject(query);
	cz_flatten_joins(query);
	query->targetList = (List *) cz_fold((Node *) query->targetList, state);
	query->returningList = (List *) cz_fold((Node *) query->returningList, state);
	query->jointree = (FromExpr *) cz_fold((Node *) query->jointree, state);
	query->havingQual = cz_fold(query->havingQual, state);
	return query;
}

/* Columns of sub-queries in FROM that are not read, and have sub-queries, become NULL. */
static void
forget_columns(Query *query, CzPlanState *state)
{
	bool		takes_rows = query->rowMarks != NIL || query->commandType == CMD_UPDATE ||
		query->commandType == CMD_DELETE || query->commandType == CMD_MERGE;
	Query	   *flat = NULL;
	ListCell   *lc;
	ListCell   *lt;
	Index		rti = 0;

	foreach(lc, query->setOperations == NULL ? query->rtable : NIL)
	{
		RangeTblEntry *rte = lfirst(lc);
		Query	   *sub = subquery_of(query, rte);
		Bitmapset  *used;

		if (++rti == query->resultRelation || sub == NULL ||
			!reads_sublink_walker((Node *) sub->targetList, sub) ||
			sub->setOperations != NULL || (sub->distinctClause != NIL && !sub->hasDistinctOn) ||
			(takes_rows && !is_pulled_up(rte, sub)))
			continue;
		if (flat == NULL)
			flat = copy_folded(query, state);
		used = cz_used_columns((Node *) flat, rti);
		if (bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, used))
			continue;
		foreach(lt, sub->targetList)
		{
			TargetEntry *tle = lfirst(lt);
			Node	   *expr = (Node *) tle->expr;

			if (tle->ressortgroupref == 0 && !tle->resjunk &&
				!bms_is_member(tle->resno - FirstLowInvalidHeapAttributeNumber, used) &&
				reads_sublink_walker(expr, sub) && !expression_returns_set(expr) &&
				!contain_volatile_functions(expr))
				tle->expr = (Expr *) makeNullConst(exprType(expr), exprTypmod(expr),
												   exprCollation(expr));
		}
	}
}

/* Where nothing of the one sub-query that a query reads is wanted, it goes. */
static void
forget_from(Query *query, CzPlanState *state)
{
	RangeTblRef *ref = list_length(query->jointree->fromlist) == 1 ?
		linitial(query->jointree->fromlist) : NULL;
	RangeTblEntry *rte;
	CommonTableExpr *cte;
	Query	   *sub;

	if (ref == NULL || !IsA(ref, RangeTblRef))
		return;
	rte = rt_fetch(ref->rtindex, query->rtable);
	sub = subquery_of(query, rte);
	if (sub == NULL || is_pulled_up(rte, sub) ||
		!cz_is_never_true(query->jointree->quals, query, state))
		return;
	check_privileges(sub, query->cteList, state);
	cte = inlined_cte(query, rte);
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

		forget_ctes(query, state);
		/* the condition of a MERGE is not that of all its rows */
		if (query->jointree != NULL && query->jointree->quals != NULL &&
			query->commandType != CMD_MERGE)
			forget_from(query, state);
		forget_columns(query, state);
		forget_sublinks(query, state);
		(void) query_tree_walker(query, settle_walker, (void *) state, 0);
		/* what read them may have gone */
		forget_ctes(query, state);
		return false;
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
