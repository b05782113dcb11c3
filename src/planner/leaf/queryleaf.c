/*-------------------------------------------------------------------------
 *
 * queryleaf.c
 *	  A leaf in place of a query.
 *
 * What a query that is pushed whole leaves behind: a range-table entry that stands
 * for its rows, and what the plan must still know of the relations that were taken
 * out (permissions, invalidation).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "tcop/tcopprot.h"
#include "utils/rel.h"

#include "cz/compat.h"

#include "../planner_int.h"

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
