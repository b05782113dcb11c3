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
 * Rule 3 needs no luck, so every SELECT is planned.
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

#define CZ_DEFAULT_ROWS 1000.0

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

static void
note_relation(RangeTblEntry *rte, Query *query, CzPlanState *state)
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
			note_relation(rte, query, state);
	}
	query_tree_walker(query, collect_walker, (void *) state, 0);
}

static double
relation_rows(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		rows = CZ_DEFAULT_ROWS;

	if (HeapTupleIsValid(tup))
	{
		float4		tuples = ((Form_pg_class) GETSTRUCT(tup))->reltuples;

		/*
		 * 0 is what a table says that was distributed empty and loaded since:
		 * believed, it makes nested loops of everything
		 */
		if (tuples > 0)
			rows = tuples;
		ReleaseSysCache(tup);
	}
	return rows < 1 ? 1 : rows;
}

static bool
rows_walker(Node *node, double *rows)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && CzTableGet(rte->relid))
			*rows = Max(*rows, relation_rows(rte->relid));
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, rows_walker, (void *) rows,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, rows_walker, (void *) rows);
}

/* A rough number of rows that a whole query returns. */
static double
query_rows(Query *query, const CzLocus *locus)
{
	double		rows = 1;

	query_tree_walker(query, rows_walker, (void *) &rows, QTW_EXAMINE_RTES_BEFORE);
	if (query->hasAggs || query->groupClause != NIL || query->distinctClause != NIL)
		rows = query->groupClause == NIL && query->distinctClause == NIL ?
			(locus->anchor ? locus->anchor->nshards : 1) : rows / 10;
	if (locus->is_single && locus->anchor && locus->anchor->nshards > 0)
		rows = rows / locus->anchor->nshards / 10;
	return rows < 1 ? 1 : rows;
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
static void
drop_unread_ctes(Query *query)
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
			query->cteList = list_delete_ptr(others, cte);	/* a reader of itself is none */
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
		drop_unread_ctes((Query *) node);
		return query_tree_walker((Query *) node, drop_unread_walker, context, 0);
	}
	return expression_tree_walker(node, drop_unread_walker, context);
}

/* ---- a leaf in place of a query ------------------------------------------ */

/*
 * Order a query by a constant: that costs nothing, and core does not pull the
 * query up into the one around it.
 */
static void
keep_apart(Query *query)
{
	SortGroupClause *sort = makeNode(SortGroupClause);
	TargetEntry *tle;

	tle = makeTargetEntry((Expr *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
											 Int32GetDatum(0), false, true),
						  list_length(query->targetList) + 1, NULL, true);
	query->targetList = lappend(query->targetList, tle);
	sort->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
	sort->eqop = Int4EqualOperator;
	sort->sortop = Int4LessOperator;
	sort->hashable = true;
	query->sortClause = lappend(query->sortClause, sort);
}

/* Strip a Query of everything but its target list; FROM becomes one entry. */
static void
query_over_leaf(Query *query, RangeTblEntry *leaf_rte, CzPlanState *state)
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
		keep_apart(query);
}

static RangeTblEntry *
leaf_rte_of_query(Query *inner, CzLocus *locus, CzStrategy strategy, const char *reason,
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

	leaf->source = source;
	leaf->locus = *locus;
	leaf->strategy = strategy;
	leaf->rows = query_rows(inner, locus);
	leaf->reason = reason;
	cz_collect_relations(inner, state);
	return cz_make_leaf(state, leaf, names, types, typmods, collations);
}

/* Rule 1.  Returns false, with the Query untouched, if a column can't travel. */
static bool
replace_whole(Query *query, CzLocus *locus, CzPlanState *state)
{
	Query	   *inner;
	List	   *outer_tlist = NIL;
	List	   *sort = NIL;
	ListCell   *lc;
	int			n = 0;
	int			resno = 0;

	/*
	 * Set-returning functions of the target list come after the sort: what they
	 * return for one row stays together and in its order.
	 */
	if (!locus->is_single && query->hasTargetSRFs && query->sortClause != NIL)
		return false;

	/* with several shards the final sort is ours; its columns must come along */
	if (!locus->is_single)
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
	if (!locus->is_single && !inner->hasDistinctOn)
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
	query_over_leaf(query, leaf_rte_of_query(inner, locus,
											 locus->is_single ? CZ_STRATEGY_ROUTER :
											 CZ_STRATEGY_PUSHDOWN, NULL, state), state);
	return true;
}

/* ---- rule 2 -------------------------------------------------------------- */

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

/* LIMIT and DISTINCT: each shard does them, and so do we. */
static bool
split_limit(Query *query, CzLocus *locus, CzPlanState *state, const char **reason)
{
	Query	   *inner = copyObject(query);
	List	   *outer_tlist = NIL;
	ListCell   *lc;
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
	foreach(lc, inner->targetList)
		((TargetEntry *) lfirst(lc))->resjunk = false;
	if (!cz_query_is_sendable(inner, &why))
	{
		*reason = why;
		return false;
	}
	foreach(lc, query->targetList)
	{
		TargetEntry *outer = flatCopyTargetEntry(lfirst(lc));

		outer->expr = (Expr *) makeVar(1, ++n, exprType((Node *) outer->expr),
									   exprTypmod((Node *) outer->expr),
									   exprCollation((Node *) outer->expr), 0);
		outer_tlist = lappend(outer_tlist, outer);
	}
	query->targetList = outer_tlist;
	query_over_leaf(query, leaf_rte_of_query(inner, locus, CZ_STRATEGY_TWO_PHASE, NULL,
											 state), state);
	return true;
}

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

/* The joined rows come here; everything above FROM and WHERE is done here. */
static bool
split_pull(Query *query, CzLocus *locus, CzPlanState *state, const char **reason)
{
	Query	   *inner = from_part(query);
	Query	   *outer = copyObject(query);
	PullContext context = {NIL, false};
	const char *why = NULL;

	outer->targetList = (List *) pull_mutator((Node *) outer->targetList, &context);
	outer->havingQual = pull_mutator(outer->havingQual, &context);
	outer->windowClause = (List *) pull_mutator((Node *) outer->windowClause, &context);
	if (context.failed)
		return false;
	if (context.tlist == NIL)
		context.tlist = list_make1(makeTargetEntry((Expr *)
												   makeConst(INT4OID, -1, InvalidOid, 4,
															 Int32GetDatum(1), false, true),
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
	query_over_leaf(query, leaf_rte_of_query(inner, locus, CZ_STRATEGY_PUSHDOWN, *reason,
											 state), state);
	return true;
}

static bool
split_aggregates(Query *query, CzLocus *locus, CzPlanState *state, const char **reason)
{
	Query	   *inner = from_part(query);
	Query	   *outer = copyObject(query);
	const char *why = NULL;

	if (!cz_split_aggregates(outer, inner, &why) || !cz_query_is_sendable(inner, &why))
	{
		*reason = why;
		return false;
	}
	query->targetList = outer->targetList;
	query->havingQual = outer->havingQual;
	query->groupClause = outer->groupClause;
	query->windowClause = outer->windowClause;
	query->hasAggs = outer->hasAggs;
	query_over_leaf(query, leaf_rte_of_query(inner, locus, CZ_STRATEGY_TWO_PHASE, NULL,
											 state), state);
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
	bool		has_grouping;

	if (query->setOperations != NULL || query->hasModifyingCTE)
		return false;
	if (contain_subplans(query->limitCount) || contain_subplans(query->limitOffset))
	{
		*reason = "LIMIT or OFFSET is a sub-query";
		return false;
	}
	locus = cz_from_locus(query, state);
	if (locus.kind != CZ_LOCUS_SHARDED)
	{
		if (locus.reason)
			*reason = locus.reason;
		return false;
	}
	has_grouping = query->hasAggs || query->groupClause != NIL ||
		query->groupingSets != NIL || query->havingQual != NULL;
	if (has_grouping && query->groupingSets == NIL && !query->hasTargetSRFs)
	{
		if (split_aggregates(query, &locus, state, reason))
			return true;
	}
	if (!has_grouping && !query->hasWindowFuncs && !query->hasTargetSRFs &&
		(query->limitCount != NULL || query->distinctClause != NIL))
	{
		if (split_limit(query, &locus, state, reason))
			return true;
	}
	/* one table by itself gains nothing from being wrapped */
	if (is_one_table(query) && query->rowMarks == NIL)
		return false;
	return split_pull(query, &locus, state, reason);
}

/* ---- rule 3 -------------------------------------------------------------- */

typedef struct SpecialContext
{
	Index		rti;
	int			depth;
	Bitmapset  *system;			/* -attno of system columns used */
	bool		whole_row;
	bool		table_oid;
	/* second pass */
	bool		mutate;
	int			natts;
	List	   *columns;		/* system columns in order */
	AttrNumber	whole_row_attno;
	AttrNumber	table_oid_attno;
} SpecialContext;

/* Find, or in the second pass change in place, Vars of rti that are no columns. */
static bool
special_walker(Node *node, SpecialContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno != context->rti || var->varlevelsup != context->depth ||
			var->varattno > 0)
			return false;
		if (context->mutate)
		{
			if (var->varattno == 0)
				var->varattno = context->whole_row_attno;
			else if (var->varattno == TableOidAttributeNumber)
				var->varattno = context->table_oid_attno;
			else
			{
				ListCell   *lc;
				int			n = context->natts;

				foreach(lc, context->columns)
				{
					n++;
					if (lfirst_int(lc) == var->varattno)
						var->varattno = n;
				}
			}
			var_forget_syntax_compat(var);
		}
		else if (var->varattno == 0)
			context->whole_row = true;
		else if (var->varattno == TableOidAttributeNumber)
			context->table_oid = true;
		else
			context->system = bms_add_member(context->system, -var->varattno);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, special_walker, (void *) context, 0);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, special_walker, (void *) context);
}

static RowMarkClause *
take_row_mark(Query *query, Index rti)
{
	ListCell   *lc;

	foreach(lc, query->rowMarks)
	{
		RowMarkClause *mark = lfirst(lc);

		if (mark->rti == rti)
		{
			query->rowMarks = foreach_delete_current(query->rowMarks, lc);
			if (query->rowMarks == NIL)
				query->hasForUpdate = false;
			return mark;
		}
	}
	return NULL;
}

/*
 * The leaf between the Query and the columns that only we can make (a whole row,
 * tableoid).  With keep, core must not pull it up: ordering by a constant keeps
 * a sub-query apart and costs nothing.
 */
static void
wrap_leaf(RangeTblEntry *rte, RangeTblEntry *leaf_rte, Oid relid, TupleDesc desc,
		  SpecialContext *special, bool keep)
{
	Query	   *sub = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	RangeTblFunction *func = linitial(leaf_rte->functions);
	List	   *names = list_copy(leaf_rte->eref->colnames);
	int			n;
	ListCell   *lt;

	ref->rtindex = 1;
	sub->commandType = CMD_SELECT;
	sub->querySource = QSRC_ORIGINAL;
	sub->canSetTag = true;
	sub->rtable = list_make1(leaf_rte);
	sub->jointree = makeFromExpr(list_make1(ref), NULL);
	n = 0;
	foreach(lt, func->funccoltypes)
	{
		Oid			type = lfirst_oid(lt);
		Node	   *column;

		if (n < desc->natts && TupleDescAttr(desc, n)->attisdropped)
			column = (Node *) makeNullConst(type, -1, InvalidOid);
		else
			column = (Node *) makeVar(1, n + 1, type, list_nth_int(func->funccoltypmods, n),
									  list_nth_oid(func->funccolcollations, n), 0);
		n++;
		sub->targetList = lappend(sub->targetList,
								  makeTargetEntry((Expr *) column, n, psprintf("c%d", n),
												  false));
	}
	if (special->whole_row)
	{
		RowExpr    *row = makeNode(RowExpr);
		Expr	   *whole = (Expr *) row;
		bool		has_dropped = false;
		int			i;

		for (i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);

			if (att->attisdropped)
			{
				row->args = lappend(row->args, makeNullConst(INT4OID, -1, InvalidOid));
				has_dropped = true;
			}
			else
				row->args = lappend(row->args, makeVar(1, i + 1, att->atttypid,
													   att->atttypmod,
													   att->attcollation, 0));
		}
		row->row_typeid = get_rel_type_id(relid);
		row->row_format = COERCE_IMPLICIT_CAST;
		row->location = -1;

		/*
		 * "row IS NOT NULL" would be folded into tests of the RowExpr's fields,
		 * dropped ones too; a conversion that changes nothing keeps it whole.
		 */
		if (has_dropped)
		{
			ConvertRowtypeExpr *convert = makeNode(ConvertRowtypeExpr);

			convert->arg = (Expr *) row;
			convert->resulttype = row->row_typeid;
			convert->convertformat = COERCE_IMPLICIT_CAST;
			convert->location = -1;
			whole = (Expr *) convert;
		}
		special->whole_row_attno = ++n;
		sub->targetList = lappend(sub->targetList,
								  makeTargetEntry(whole, n, "whole_row", false));
		names = lappend(names, makeString("whole_row"));
	}
	if (special->table_oid)
	{
		special->table_oid_attno = ++n;
		sub->targetList = lappend(sub->targetList,
								  makeTargetEntry((Expr *)
												  makeConst(OIDOID, -1, InvalidOid,
															sizeof(Oid),
															ObjectIdGetDatum(relid),
															false, true),
												  n, "tableoid", false));
		names = lappend(names, makeString("tableoid"));
	}
	if (keep)
		keep_apart(sub);
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = sub;
	rte->security_barrier = false;
	rte->eref->colnames = names;
}

static bool
var_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, var_walker, context);
}

/* Replace one distributed table of a Query by a leaf. */
static void
replace_table(Query *query, Index rti, CzPlanState *state, const char *reason)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	Oid			relid = rte->relid;
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	RangeTblEntry *leaf_rte;
	SpecialContext special;
	Relation	rel;
	TupleDesc	desc;
	List	   *names = NIL;
	List	   *types = NIL;
	List	   *typmods = NIL;
	List	   *collations = NIL;
	bool		keep;
	bool		has_dropped = false;
	int			i;

	memset(&special, 0, sizeof(special));
	special.rti = rti;
	query_tree_walker(query, special_walker, (void *) &special, 0);

	note_relation(rte, query, state);
	leaf->check_as_user = rte_check_as_user_compat(query, rte);
	leaf->source = copyObject(rte);
	leaf->row_mark = take_row_mark(query, rti);
	leaf->strategy = CZ_STRATEGY_PULL;
	leaf->locus = cz_table_locus(relid);
	leaf->rows = relation_rows(relid);
	leaf->reason = reason;
	if (rte->tablesample)
	{
		const char *why = NULL;

		if (!cz_expr_is_shippable((Node *) rte->tablesample->args, &why) ||
			contain_mutable_functions((Node *) rte->tablesample->args) ||
			var_walker((Node *) rte->tablesample->args, NULL) ||
			var_walker((Node *) rte->tablesample->repeatable, NULL))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("TABLESAMPLE on a distributed table needs constant arguments")));
	}

	rel = table_open(relid, NoLock);
	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	table_close(rel, NoLock);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
		{
			names = lappend(names, makeString(pstrdup("")));
			types = lappend_oid(types, INT4OID);
			typmods = lappend_int(typmods, -1);
			collations = lappend_oid(collations, InvalidOid);
			has_dropped = true;
			continue;
		}
		names = lappend(names, makeString(pstrdup(NameStr(att->attname))));
		types = lappend_oid(types, att->atttypid);
		typmods = lappend_int(typmods, att->atttypmod);
		collations = lappend_oid(collations, att->attcollation);
	}
	special.natts = desc->natts;
	for (i = 1; i <= -FirstLowInvalidHeapAttributeNumber; i++)
	{
		if (!bms_is_member(i, special.system))
			continue;
		special.columns = lappend_int(special.columns, -i);
		names = lappend(names, makeString(psprintf("system%d", i)));
		types = lappend_oid(types, i == 1 ? TIDOID : i == 3 || i == 5 ? CIDOID : XIDOID);
		typmods = lappend_int(typmods, -1);
		collations = lappend_oid(collations, InvalidOid);
	}
	leaf->system_columns = special.columns;
	leaf_rte = cz_make_leaf(state, leaf, names, types, typmods, collations);

	/*
	 * A row with dropped columns must stay a value: folded into its parts, it
	 * would have one NULL too many.
	 */
	keep = state->keep_leaves || (special.whole_row && has_dropped);
	rte->eref->colnames = list_copy(names);
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->tablesample = NULL;
	rte->inh = false;
	rte_clear_permissions_compat(rte);
	if (special.whole_row || special.table_oid || keep)
		wrap_leaf(rte, leaf_rte, relid, desc, &special, keep);
	else
	{
		rte->rtekind = RTE_FUNCTION;
		rte->functions = leaf_rte->functions;
	}
	if (special.whole_row || special.table_oid || special.columns != NIL)
	{
		special.mutate = true;
		special.depth = 0;
		query_tree_walker(query, special_walker, (void *) &special, 0);
	}
}

typedef struct DescendContext
{
	CzPlanState *state;
} DescendContext;

static bool
descend_walker(Node *node, DescendContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		cz_rewrite_query((Query *) node, context->state, false);
		return false;
	}
	return expression_tree_walker(node, descend_walker, (void *) context);
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

	if (cz_enable_pushdown)
		cz_unnest_aggregates(query);

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
			replace_table(query, rti, state, reason);
	}
	state->keep_leaves = save_keep;
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
	if (query->commandType == CMD_SELECT && cz_enable_pushdown &&
		!cz_query_is_correlated(query))
	{
		if (cz_query_is_sendable(query, &reason))
		{
			CzLocus		locus = cz_query_locus(query, state);

			if (locus.kind == CZ_LOCUS_SHARDED && locus.outer_keys == NIL &&
				replace_whole(query, &locus, state))
				return;
			reason = locus.reason;
		}
		if (try_split(query, state, &reason))
			return;
	}
	descend(query, state, reason);
}
