/*-------------------------------------------------------------------------
 *
 * split.c
 *	  The second rule of rewrite.c: FROM and WHERE on the shards, the last step here.
 *
 * Where the groups are whole on a shard, they are made there, with all that follows up
 * to the first step that spans shards.  LIMIT and DISTINCT are done on each shard and
 * again here; other aggregates are split (aggregate.c); for what is left, the joined
 * rows come here.
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

/*
 * Share of the rows that may come as values with counts; more, and it is cheaper not to
 * group them on the workers first.
 */
#define MAX_WEIGHTED_SHARE 0.6

/* An argument of LIMIT clamped so that the sum of two does not overflow. */
static Node *
clamp_limit(Node *arg, MinMaxOp op, int64 bound)
{
	MinMaxExpr *m = makeNode(MinMaxExpr);

	m->minmaxtype = INT8OID;
	m->op = op;
	m->args = list_make2(arg, makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
										Int64GetDatum(bound), false, FLOAT8PASSBYVAL));
	m->location = -1;
	return (Node *) m;
}

/*
 * shard_limit
 *		count + offset, as the limit of each shard; NULL if there is none.
 *
 * LEAST and GREATEST pass over a NULL: no count becomes a huge one, no offset 0.  A
 * wrong value stays wrong and is complained about here or there.
 */
static Node *
shard_limit(Query *query, CzPlanState *state)
{
	Node	   *count = query->limitCount;
	Node	   *offset = query->limitOffset;
	Oid			opno;
	OpExpr	   *sum;

	if (count == NULL)
		return NULL;
	if (offset == NULL)
		return copyObject(count);
	opno = OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("+")),
							INT8OID, INT8OID);
	count = clamp_limit(copyObject(count), IS_LEAST, PG_INT64_MAX / 2);
	offset = clamp_limit(clamp_limit(copyObject(offset), IS_GREATEST, 0), IS_LEAST,
						 PG_INT64_MAX / 2);
	sum = (OpExpr *) make_opclause(opno, INT8OID, false, (Expr *) count, (Expr *) offset,
								   InvalidOid, InvalidOid);
	set_opfuncid(sum);
	return cz_fold((Node *) sum, state);
}

/*
 * Columns of a fragment: those of the result and those that it is sorted by; the rest
 * goes to the end.  Returns how many come here.
 */
static int
keep_columns(Query *inner)
{
	List	   *kept = NIL;
	List	   *junk = NIL;
	ListCell   *lc;
	int			n;

	foreach(lc, inner->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		if (!tle->resjunk ||
			get_sortgroupref_clause_noerr(tle->ressortgroupref, inner->sortClause) ||
			get_sortgroupref_clause_noerr(tle->ressortgroupref, inner->distinctClause))
		{
			tle->resjunk = false;
			kept = lappend(kept, tle);
		}
		else
			junk = lappend(junk, tle);
	}
	n = list_length(kept);
	inner->targetList = list_concat(kept, junk);
	foreach(lc, inner->targetList)
		((TargetEntry *) lfirst(lc))->resno = foreach_current_index(lc) + 1;
	return n;
}

/* What the query that remains here no longer does: it was done by its fragments. */
static void
drop_grouping(Query *query)
{
	query->groupClause = NIL;
	query->groupingSets = NIL;
	query->groupDistinct = false;
	query->havingQual = NULL;
	query->hasAggs = false;
}

/* Was a column of the fragment, known by its mark, no column of the query's result? */
static bool
is_junk(Query *query, TargetEntry *column)
{
	return get_sortgroupref_tle(column->ressortgroupref, query->targetList)->resjunk;
}

/* LIMIT and DISTINCT: each shard does them, and so do we. */
static bool
split_limit(Query *query, CzLocus *locus, CzPlanState *state, const char **reason)
{
	Query	   *inner = copyObject(query);
	List	   *outer_tlist = NIL;
	ListCell   *lc;
	int			ncolumns = keep_columns(inner);
	int			n = 0;
	const char *why = NULL;

	inner->limitOffset = NULL;
	inner->limitCount = shard_limit(query, state);
	if (inner->limitCount == NULL)
	{
		inner->limitOption = LIMIT_OPTION_COUNT;
		if (!inner->hasDistinctOn)
			inner->sortClause = NIL;
	}
	if (!cz_query_is_sendable(inner, &why))
	{
		*reason = why;
		return false;
	}
	foreach(lc, inner->targetList)
	{
		TargetEntry *outer = flatCopyTargetEntry(lfirst(lc));

		if (++n > ncolumns)
			break;
		outer->expr = (Expr *) makeVar(1, n, exprType((Node *) outer->expr),
									   exprTypmod((Node *) outer->expr),
									   exprCollation((Node *) outer->expr), 0);
		outer->resjunk = outer->ressortgroupref != 0 && is_junk(query, outer);
		outer_tlist = lappend(outer_tlist, outer);
	}
	query->targetList = outer_tlist;
	drop_grouping(query);
	query->windowClause = NIL;
	query->hasWindowFuncs = false;
	cz_query_over_leaf(query, cz_leaf_rte_of_query(inner, locus, CZ_STRATEGY_TWO_PHASE, NULL,
											 state), state);
	return true;
}

/* ---- groups that are whole on a shard ------------------------------------ */

/*
 * The locus of a query without its last steps: LIMIT, ORDER BY, DISTINCT and, unless
 * they are to stay, windows.  SHARDED: what is left can be done shard by shard.
 */
static CzLocus
stage_locus(Query *query, bool with_windows, CzPlanState *state)
{
	Query		stage = *query;
	CzLocus		locus;

	stage.limitCount = NULL;
	stage.limitOffset = NULL;
	stage.limitOption = LIMIT_OPTION_COUNT;
	stage.sortClause = NIL;
	stage.distinctClause = NIL;
	stage.hasDistinctOn = false;
	if (!with_windows)
	{
		stage.windowClause = NIL;
		stage.hasWindowFuncs = false;
	}
	locus = cz_query_locus(&stage, state);
	if (locus.kind == CZ_LOCUS_SHARDED && locus.outer_keys != NIL)
		return cz_no_locus("it is correlated");
	locus.has_whole_groups = query->setOperations == NULL &&
		(query->groupClause != NIL || query->hasAggs);
	return locus;
}

typedef struct GroupsContext
{
	List	   *tlist;			/* of the fragment */
	bool		failed;
} GroupsContext;

static bool
uses_rows_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, Aggref) || IsA(node, GroupingFunc) || IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, uses_rows_walker, context);
}

/* Does an expression use a value that something around it sets? */
static bool
has_placeholder_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CaseTestExpr) || IsA(node, CoerceToDomainValue))
		return true;
	if (IsA(node, CaseExpr) && ((CaseExpr *) node)->arg != NULL)
		return has_placeholder_walker((Node *) ((CaseExpr *) node)->arg, context);
	if (IsA(node, ArrayCoerceExpr))
		return has_placeholder_walker((Node *) ((ArrayCoerceExpr *) node)->arg, context);
	return expression_tree_walker(node, has_placeholder_walker, context);
}

/* Can a worker compute an expression beside its groups? */
static bool
is_of_groups(Node *node)
{
	const char *reason;

	return !contain_window_function(node) && !expression_returns_set(node) &&
		!has_placeholder_walker(node, NULL) && !contain_volatile_functions(node) && !type_is_rowtype(exprType(node)) &&
		cz_type_is_output_safe(exprType(node)) && cz_expr_is_shippable(node, &reason);
}

/* What needs no row of another shard becomes a column of the leaf. */
static Node *
groups_mutator(Node *node, GroupsContext *context)
{
	if (node == NULL || context->failed)
		return node;
	if (IsA(node, WindowClause) || IsA(node, TargetEntry) || IsA(node, List) ||
		IsA(node, CaseWhen))
		return expression_tree_mutator(node, groups_mutator, (void *) context);
	if (IsA(node, SortGroupClause) || !uses_rows_walker(node, NULL))
		return copyObject(node);
	if (is_of_groups(node))
	{
		TargetEntry *tle = tlist_member((Expr *) node, context->tlist);

		if (tle == NULL)
		{
			AttrNumber	resno = list_length(context->tlist) + 1;

			tle = makeTargetEntry(copyObject((Expr *) node), resno, psprintf("c%d", resno),
								  false);
			context->tlist = lappend(context->tlist, tle);
		}
		return (Node *) makeVar(1, tle->resno, exprType(node), exprTypmod(node),
								exprCollation(node), 0);
	}
	if (IsA(node, Var) || IsA(node, Aggref) || IsA(node, GroupingFunc) || IsA(node, SubLink))
	{
		context->failed = true;
		return node;
	}
	return expression_tree_mutator(node, groups_mutator, (void *) context);
}

/* Each shard makes its groups, HAVING included; what follows is done here. */
static bool
split_groups(Query *query, CzLocus *locus, CzPlanState *state, const char **reason)
{
	Query	   *inner = copyObject(query);
	GroupsContext context = {NIL, false};
	List	   *targets;
	List	   *windows;
	ListCell   *lc;
	const char *why = NULL;

	targets = (List *) groups_mutator((Node *) query->targetList, &context);
	windows = (List *) groups_mutator((Node *) query->windowClause, &context);
	if (context.failed)
		return false;

	/* the fragment's groups, the columns that nobody asked for last */
	foreach(lc, inner->groupClause)
	{
		SortGroupClause *clause = lfirst(lc);
		TargetEntry *group = get_sortgroupclause_tle(clause, inner->targetList);
		TargetEntry *tle = tlist_member(group->expr, context.tlist);

		if (tle == NULL || tle->ressortgroupref != 0)
		{
			tle = flatCopyTargetEntry(group);
			tle->resno = list_length(context.tlist) + 1;
			tle->resjunk = true;
			context.tlist = lappend(context.tlist, tle);
		}
		tle->ressortgroupref = clause->tleSortGroupRef;
	}
	if (context.tlist == NIL || ((TargetEntry *) linitial(context.tlist))->resjunk)
		context.tlist = lcons(makeTargetEntry((Expr *) cz_int_const(1), 1, "c1", false),
							  context.tlist);
	foreach(lc, context.tlist)
		((TargetEntry *) lfirst(lc))->resno = foreach_current_index(lc) + 1;
	inner->targetList = context.tlist;
	inner->windowClause = NIL;
	inner->hasWindowFuncs = false;
	inner->distinctClause = NIL;
	inner->hasDistinctOn = false;
	inner->sortClause = NIL;
	inner->limitCount = NULL;
	inner->limitOffset = NULL;
	inner->limitOption = LIMIT_OPTION_COUNT;
	inner->hasTargetSRFs = false;
	if (!cz_query_is_sendable(inner, &why))
	{
		*reason = why;
		return false;
	}

	query->targetList = targets;
	query->windowClause = windows;
	drop_grouping(query);
	cz_query_over_leaf(query, cz_leaf_rte_of_query(inner, locus, CZ_STRATEGY_PUSHDOWN,
											 *reason, state), state);
	return true;
}

/* Are there steps that a shard can do for its own rows, to be done again here? */
static bool
has_last_steps(Query *query)
{
	return !query->hasTargetSRFs && query->rowMarks == NIL &&
		(query->limitCount != NULL || query->distinctClause != NIL);
}

/*
 * Groups, windows and set operations that are whole on a shard: it does all it can of
 * what follows.
 */
static bool
split_whole(Query *query, CzPlanState *state, const char **reason)
{
	bool		is_grouped = query->hasAggs || query->groupClause != NIL ||
		query->groupingSets != NIL || query->havingQual != NULL;
	CzLocus		locus;

	if (!is_grouped && !query->hasWindowFuncs && query->setOperations == NULL)
		return false;
	if (has_last_steps(query))
	{
		locus = stage_locus(query, true, state);
		if (locus.kind == CZ_LOCUS_SHARDED && split_limit(query, &locus, state, reason))
			return true;
	}
	if (!is_grouped)
		return false;
	locus = stage_locus(query, false, state);
	return locus.kind == CZ_LOCUS_SHARDED && split_groups(query, &locus, state, reason);
}

/* ---- joined rows --------------------------------------------------------- */

typedef struct PullContext
{
	List	   *tlist;			/* of the leaf */
	bool		failed;
} PullContext;

/* Vars of this level become columns of the leaf. */
static Node *
pull_mutator(Node *node, PullContext *context)
{
	if (node == NULL || context->failed)
		return node;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == 0)
	{
		ListCell   *lc;
		int			n = 0;

		if (((Var *) node)->varattno == 0 ||
			!cz_type_is_output_safe(exprType(node)))
		{
			context->failed = true;
			return node;
		}
		foreach(lc, context->tlist)
		{
			n++;
			if (equal(((TargetEntry *) lfirst(lc))->expr, node))
				break;
		}
		if (lc == NULL)
		{
			n = list_length(context->tlist) + 1;
			context->tlist = lappend(context->tlist,
									 makeTargetEntry((Expr *) copyObject(node), n,
													 psprintf("c%d", n), false));
		}
		return (Node *) makeVar(1, n, exprType(node), exprTypmod(node),
								exprCollation(node), 0);
	}
	if (IsA(node, SubLink))
	{
		context->failed = true;
		return node;
	}
	return expression_tree_mutator(node, pull_mutator, (void *) context);
}

/* A Query with the FROM, WHERE and CTEs of another, and no target list yet. */
static Query *
from_part(Query *query)
{
	Query	   *inner = makeNode(Query);

	inner->commandType = CMD_SELECT;
	inner->querySource = QSRC_ORIGINAL;
	inner->canSetTag = true;
	inner->rtable = copyObject(query->rtable);
	query_copy_permissions_compat(inner, query);
	inner->jointree = copyObject(query->jointree);
	inner->cteList = copyObject(query->cteList);
	inner->hasRecursive = query->hasRecursive;
	inner->hasSubLinks = query->hasSubLinks;
	inner->rowMarks = copyObject(query->rowMarks);
	inner->hasForUpdate = query->hasForUpdate;
	return inner;
}

/*
 * Conditions of WHERE that no worker can judge; the others are left in *rest.  They
 * must not see rows that others would have hidden from them, so none may be behind a
 * barrier.
 */
static List *
quals_for_here(Query *query, List **rest)
{
	List	   *here = NIL;
	ListCell   *lc;

	*rest = NIL;
	foreach(lc, cz_conjuncts(query->jointree->quals, NIL))
	{
		if (contain_subplans(lfirst(lc)) || cz_expr_is_shippable(lfirst(lc), NULL))
			*rest = lappend(*rest, lfirst(lc));
		else
			here = lappend(here, lfirst(lc));
	}
	return here;
}

/*
 * The joined rows come here; everything above FROM and WHERE is done here, and of WHERE
 * what only can be.
 */
static bool
split_pull(Query *query, CzLocus *locus, List *here, CzPlanState *state,
		   const char **reason)
{
	Query	   *inner = from_part(query);
	Query	   *outer = copyObject(query);
	PullContext context = {NIL, false};
	const char *why = NULL;

	here = copyObject(here);

	outer->targetList = (List *) pull_mutator((Node *) outer->targetList, &context);
	outer->havingQual = pull_mutator(outer->havingQual, &context);
	outer->windowClause = (List *) pull_mutator((Node *) outer->windowClause, &context);
	here = (List *) pull_mutator((Node *) here, &context);
	if (context.failed)
		return false;
	if (context.tlist == NIL)
		context.tlist = list_make1(makeTargetEntry((Expr *)
												   cz_int_const(1),
												   1, "c1", false));
	inner->targetList = context.tlist;
	if (!cz_query_is_sendable(inner, &why))
	{
		*reason = why;
		return false;
	}
	query->targetList = outer->targetList;
	query->havingQual = outer->havingQual;
	query->windowClause = outer->windowClause;
	cz_query_over_leaf(query, cz_leaf_rte_of_query(inner, locus, CZ_STRATEGY_PUSHDOWN, *reason,
											 state), state);
	if (here != NIL)
		query->jointree->quals = (Node *) make_ands_explicit(here);
	return true;
}

static bool
split_aggregates(Query *query, CzPlanState *state, const char **reason)
{
	Query	   *inner = from_part(query);
	Query	   *outer;
	CzLocus		locus = cz_from_locus(inner, state);
	bool		has_sublinks;
	bool		is_weighted = false;
	List	   *functions = NIL;

	if (locus.kind != CZ_LOCUS_SHARDED)
		return false;
	outer = copyObject(query);
	if (!cz_split_aggregates(outer, inner, locus.anchor, state, &is_weighted, &functions,
							 reason) ||
		!cz_query_is_sendable(inner, reason))
		return false;
	/* sub-queries in arguments of aggregates have come with them */
	if (inner->hasSubLinks)
		locus = cz_from_locus(inner, state);
	if (locus.kind != CZ_LOCUS_SHARDED)
	{
		*reason = locus.reason;
		return false;
	}
	if (is_weighted && cz_grouped_share(inner, &locus, state) > MAX_WEIGHTED_SHARE)
	{
		*reason = "the values of an ordered-set aggregate hardly repeat";
		return false;
	}
	query->targetList = outer->targetList;
	query->havingQual = outer->havingQual;
	query->groupClause = outer->groupClause;
	query->windowClause = outer->windowClause;
	query->limitCount = outer->limitCount;
	query->limitOffset = outer->limitOffset;
	query->hasAggs = outer->hasAggs;
	query->hasTargetSRFs = outer->hasTargetSRFs;
	has_sublinks = outer->hasSubLinks;
	cz_query_over_leaf(query, cz_leaf_rte_of_query(inner, &locus, CZ_STRATEGY_TWO_PHASE, NULL,
											 state), state);
	((CzLeaf *) llast(state->leaves))->functions = functions;
	query->hasSubLinks = has_sublinks;
	cz_rewrite_sublinks(query, state);
	return true;
}

/* Is there anything but one table in FROM and WHERE? */
static bool
is_one_table(Query *query)
{
	ListCell   *lc;
	int			n = 0;

	if (query->hasSubLinks || query->cteList != NIL)
		return false;
	foreach(lc, query->jointree->fromlist)
	{
		RangeTblRef *ref = lfirst(lc);

		if (!IsA(ref, RangeTblRef) ||
			rt_fetch(ref->rtindex, query->rtable)->rtekind != RTE_RELATION)
			return false;
		n++;
	}
	return n == 1;
}

static bool
try_split(Query *query, CzPlanState *state, const char **reason)
{
	CzLocus		locus;
	List	   *here;
	List	   *rest;
	Query	   *copy;

	if (query->hasModifyingCTE)
		return false;
	if (split_whole(query, state, reason))
		return true;
	if (query->setOperations != NULL)
		return false;
	if (query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
		query->havingQual != NULL)
	{
		if (split_aggregates(query, state, reason))
			return true;
	}
	locus = cz_from_locus(query, state);
	if (locus.kind != CZ_LOCUS_SHARDED)
	{
		if (locus.reason)
			*reason = locus.reason;
		return false;
	}
	if (query->rowMarks != NIL &&
		cz_try_lock_split(query, &locus, state, shard_limit(query, state), from_part,
						  reason))
		return true;
	if (!query->hasAggs && query->groupClause == NIL && query->groupingSets == NIL &&
		query->havingQual == NULL && !query->hasWindowFuncs && !query->hasTargetSRFs &&
		(query->limitCount != NULL || query->distinctClause != NIL))
	{
		if (split_limit(query, &locus, state, reason))
			return true;
	}
	/* one table by itself gains nothing from being wrapped */
	if (is_one_table(query) && query->rowMarks == NIL)
		return false;
	if (split_pull(query, &locus, NIL, state, reason))
		return true;
	here = query->rowMarks == NIL ? quals_for_here(query, &rest) : NIL;
	if (here == NIL)
		return false;
	copy = copyObject(query);
	copy->jointree->quals = rest == NIL ? NULL :
		(Node *) make_ands_explicit(copyObject(rest));
	locus = cz_from_locus(copy, state);
	if (locus.kind != CZ_LOCUS_SHARDED || !split_pull(copy, &locus, here, state, reason))
		return false;
	*query = *copy;
	return true;
}

static bool
rewrite_walker(Node *node, CzPlanState *state)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		cz_rewrite_query((Query *) node, state, false);
		return false;
	}
	return expression_tree_walker(node, rewrite_walker, (void *) state);
}

/*
 * cz_try_split
 *		Apply the second rule, if FROM and WHERE are good for the shards.
 *
 * Returns false, with the Query untouched, if they are not.
 */
bool
cz_try_split(Query *query, CzPlanState *state, const char **reason)
{
	Node	   *count = query->limitCount;
	Node	   *offset = query->limitOffset;
	CzValues   *values = NULL;
	bool		done;

	/* sub-queries in LIMIT are evaluated here, and the shards get their values */
	if (contain_subplans(count) || contain_subplans(offset))
	{
		values = cz_take_limit(query, state);
		if (values == NULL)
		{
			*reason = "LIMIT or OFFSET is a sub-query";
			return false;
		}
	}
	done = try_split(query, state, reason);
	if (values != NULL)
	{
		query->limitCount = count;
		query->limitOffset = offset;
		if (done)
		{
			(void) rewrite_walker(count, state);
			(void) rewrite_walker(offset, state);
			cz_attach_values(query, values, state);
		}
	}
	/* beside locked rows, what is not on the workers is sent to them */
	if (!done && query->rowMarks != NIL && query->limitCount != NULL && values == NULL)
	{
		Query	   *copy = copyObject(query);

		values = cz_take_items(copy, state);
		if (values == NULL)
			return false;
		if (!try_split(copy, state, reason) || list_length(copy->rtable) != 1 ||
			((CzLeaf *) llast(state->leaves))->lock == NULL)
			return false;
		cz_attach_values(copy, values, state);
		*query = *copy;
		return true;
	}
	return done;
}
