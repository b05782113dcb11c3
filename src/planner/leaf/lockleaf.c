/*-------------------------------------------------------------------------
 *
 * lockleaf.c
 *	  SELECT ... LIMIT ... FOR UPDATE over several shards.
 *
 * Plain PostgreSQL sorts first and locks then, row by row, until it has enough: what
 * is not returned is not locked, so that many sessions find work in one queue.  Sent
 * to each shard as it stands, the statement would lock LIMIT rows of every shard.
 *
 * So the leaf is made of two fragments, and lock_scan.c runs them: the candidates,
 * which reads the sort keys and the rows' ctids and locks nothing, and the statement
 * itself without LIMIT, for the rows with given ctids of one shard.  Because it is
 * the statement itself, the worker checks its conditions again after the lock.
 *
 * A row is named by the ctids of all tables in FROM (and the worker's tableoid of those
 * whose shards are partitioned), which must therefore be tables; a
 * plain sub-query or view over such is looked through.  Functions and VALUES may stand
 * beside them (also what values.c has made of local tables): a row of the tables may
 * then be several of the result, which come together.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"

#include "../planner_int.h"

typedef struct FromContext
{
	Query	   *query;
	List	   *rtis;			/* ints: the tables in FROM */
	List	   *nullable;		/* ints: 1 if an outer join may make its row NULL */
	Relids		others;			/* items without ids: the same on every worker */
} FromContext;

/* Collect the tables of a join tree; false if there is anything else in it. */
static bool
collect_tables(Node *node, bool nullable, FromContext *context)
{
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex,
									  context->query->rtable);

		if (rte->rtekind == RTE_FUNCTION || rte->rtekind == RTE_VALUES)
		{
			context->others = bms_add_member(context->others,
											 ((RangeTblRef *) node)->rtindex);
			return !rte->lateral;
		}
		if (rte->rtekind != RTE_RELATION || rte->tablesample != NULL)
			return false;
		context->rtis = lappend_int(context->rtis, ((RangeTblRef *) node)->rtindex);
		context->nullable = lappend_int(context->nullable, nullable);
		return true;
	}
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
		{
			if (!collect_tables(lfirst(lc), nullable, context))
				return false;
		}
		return true;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		if (join->jointype != JOIN_INNER && join->jointype != JOIN_LEFT &&
			join->jointype != JOIN_RIGHT)
			return false;
		return collect_tables(join->larg, nullable || join->jointype == JOIN_RIGHT,
							  context) &&
			collect_tables(join->rarg, nullable || join->jointype == JOIN_LEFT, context);
	}
	return false;
}

/* Is a sub-query of FROM nothing but columns of tables, and conditions? */
static bool
is_plain_query(Query *sub)
{
	ListCell   *lc;

	if (sub->commandType != CMD_SELECT || sub->hasAggs || sub->groupClause != NIL ||
		sub->groupingSets != NIL || sub->havingQual != NULL || sub->hasWindowFuncs ||
		sub->hasTargetSRFs || sub->distinctClause != NIL || sub->setOperations != NULL ||
		sub->limitCount != NULL || sub->limitOffset != NULL || sub->sortClause != NIL ||
		sub->cteList != NIL || sub->hasSubLinks || contain_volatile_functions((Node *) sub))
		return false;
	foreach(lc, sub->rowMarks)
	{
		if (!((RowMarkClause *) lfirst(lc))->pushedDown)
			return false;
	}
	return true;
}

/*
 * A Query whose FROM is one plain sub-query, without that; NULL if it has another
 * form.  The result shares nothing.
 */
static Query *
look_through(Query *query)
{
	RangeTblRef *ref = linitial(query->jointree->fromlist);
	RangeTblEntry *rte;
	Query	   *flat;
	Query	   *sub;
	List	   *quals;
	ListCell   *lc;

	if (list_length(query->jointree->fromlist) != 1 || !IsA(ref, RangeTblRef))
		return NULL;
	rte = rt_fetch(ref->rtindex, query->rtable);
	if (rte->rtekind != RTE_SUBQUERY || rte->security_barrier || rte->lateral ||
		rte->securityQuals != NIL || !is_plain_query(rte->subquery))
		return NULL;
	flat = copyObject(query);
	rte = rt_fetch(ref->rtindex, flat->rtable);
	sub = rte->subquery;
	OffsetVarNodes((Node *) sub, list_length(flat->rtable), 0);
	flat->targetList = (List *) replace_vars_compat((Node *) flat->targetList, ref->rtindex,
													0, rte, sub->targetList,
													&flat->hasSubLinks);
	flat->jointree->quals = replace_vars_compat(flat->jointree->quals, ref->rtindex, 0, rte,
												sub->targetList, &flat->hasSubLinks);
	quals = sub->jointree->quals ? list_make1(sub->jointree->quals) : NIL;
	if (flat->jointree->quals != NULL)
		quals = lappend(quals, flat->jointree->quals);
	flat->jointree = makeFromExpr(sub->jointree->fromlist,
								  quals ? (Node *) make_ands_explicit(quals) : NULL);
	flat->rowMarks = sub->rowMarks;
	foreach(lc, flat->rowMarks)
		((RowMarkClause *) lfirst(lc))->pushedDown = false;
	query_append_rtable_compat(flat, sub);
	rte = rt_fetch(ref->rtindex, flat->rtable);
	cz_blank_rte(rte);
	return flat;
}

static Param *
special_param(int number, Oid type)
{
	Param	   *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = type;
	param->paramtypmod = -1;
	param->location = -1;
	return param;
}

/* A column that is a parameter, or, where it may be NULL, not distinct from it. */
static Expr *
equals_param(Var *var, Oid opno, bool nullable, int number)
{
	Expr	   *qual = make_opclause(opno, BOOLOID, false, (Expr *) copyObject(var),
									 (Expr *) special_param(number, var->vartype), InvalidOid,
									 InvalidOid);

	set_opfuncid((OpExpr *) qual);
	if (nullable)
	{
		NodeSetTag(qual, T_DistinctExpr);
		qual = (Expr *) makeBoolExpr(NOT_EXPR, list_make1(qual), -1);
	}
	return qual;
}

static void
add_id_column(Query *query, Var *var, const char *prefix, int n)
{
	query->targetList = lappend(query->targetList,
								makeTargetEntry((Expr *) var,
												list_length(query->targetList) + 1,
												psprintf("%s%d", prefix, n), false));
}

/* Is an item of FROM a table whose shards are partitioned? */
static bool
is_in_parts(Query *query, Index rti)
{
	const CzTable *table = CzTableGet(rt_fetch(rti, query->rtable)->relid);

	return table != NULL && table->is_partitioned;
}

/*
 * Add the ctids of the tables in FROM, then the tableoids of those with partitions, to a
 * target list, and say what they must be.
 */
static void
add_ids(Query *query, FromContext *from, bool restrict_rows)
{
	List	   *quals = NIL;
	ListCell   *lr;
	ListCell   *ln;
	int			n = 0;

	forboth(lr, from->rtis, ln, from->nullable)
	{
		Var		   *ctid = makeVar(lfirst_int(lr), SelfItemPointerAttributeNumber, TIDOID,
								   -1, InvalidOid, 0);
		Expr	   *qual;

		add_id_column(query, ctid, "id", n);
		if (list_length(from->rtis) == 1)
		{
			ScalarArrayOpExpr *any = makeNode(ScalarArrayOpExpr);

			any->opno = TIDEqualOperator;
			any->useOr = true;
			any->args = list_make2(copyObject(ctid), special_param(CZ_PARAM_IDS, TIDARRAYOID));
			any->location = -1;
			set_sa_opfuncid(any);
			qual = (Expr *) any;
		}
		else
			qual = equals_param(ctid, TIDEqualOperator, lfirst_int(ln), CZ_PARAM_IDS - n);
		quals = lappend(quals, qual);
		n++;
	}
	n = 0;
	forboth(lr, from->rtis, ln, from->nullable)
	{
		if (is_in_parts(query, lfirst_int(lr)))
		{
			Var		   *table = makeVar(lfirst_int(lr), TableOidAttributeNumber, OIDOID, -1,
										InvalidOid, 0);

			add_id_column(query, table, "table", n);
			quals = lappend(quals, equals_param(table,
												lookup_type_cache(OIDOID, TYPECACHE_EQ_OPR)->eq_opr,
												lfirst_int(ln), CZ_PARAM_TABLES - n));
		}
		n++;
	}
	if (restrict_rows)
	{
		if (query->jointree->quals != NULL)
			quals = lappend(quals, query->jointree->quals);
		query->jointree->quals = (Node *) make_ands_explicit(quals);
	}
}

/* The parts of a target list that the result has, without sort references. */
static List *
result_columns(List *tlist)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, tlist)
	{
		TargetEntry *tle = copyObject(lfirst(lc));

		if (tle->resjunk)
			continue;
		tle->ressortgroupref = 0;
		result = lappend(result, tle);
	}
	return result;
}

/* Have the workers sort by what stands in front of the target list. */
static void
sort_by_keys(Query *query, Query *original, List *tles)
{
	ListCell   *ls;
	ListCell   *lt;

	forboth(ls, original->sortClause, lt, tles)
	{
		SortGroupClause *sort = copyObject(lfirst(ls));

		sort->tleSortGroupRef = assignSortGroupRef(lfirst(lt), query->targetList);
		query->sortClause = lappend(query->sortClause, sort);
	}
}

/*
 * cz_try_lock_split
 *		Make a Query with LIMIT and row locks, whose FROM spans shards, a SELECT
 *		from a leaf that locks the rows it returns and no others.
 *
 * from_part: gives a Query with FROM and WHERE of another.
 * limit: LIMIT + OFFSET, an expression without columns.
 */
bool
cz_try_lock_split(Query *query, CzLocus *locus, CzPlanState *state, Node *limit,
				  Query *(*from_part) (Query *), const char **reason)
{
	FromContext from = {NULL, NIL, NIL, NULL};
	Query	   *original = query;
	Query	   *flat = NULL;
	CzLockLeaf *lock = palloc0(sizeof(CzLockLeaf));
	Query	   *locking;
	Query	   *candidates;
	List	   *outer_tlist = NIL;
	List	   *tles = NIL;
	ListCell   *lc;
	CzLeaf	   *leaf;
	RangeTblEntry *rte;
	int			n = 0;

	if (query->rowMarks == NIL || limit == NULL || locus->is_single ||
		query->limitOption != LIMIT_OPTION_COUNT || query->hasAggs ||
		query->groupClause != NIL || query->groupingSets != NIL ||
		query->havingQual != NULL || query->hasWindowFuncs || query->hasTargetSRFs ||
		query->distinctClause != NIL || query->setOperations != NULL ||
		query->jointree->fromlist == NIL)
		return false;
	flat = look_through(query);
	if (flat != NULL)
		query = flat;
	from.query = query;
	if (!collect_tables((Node *) query->jointree, false, &from))
		return false;

	foreach(lc, query->rowMarks)
	{
		RowMarkClause *mark = lfirst(lc);

		if (!list_member_int(from.rtis, mark->rti))
			return false;
		if (mark->waitPolicy == LockWaitBlock)
			lock->may_wait = true;
		if (mark->waitPolicy == LockWaitSkip)
			lock->may_skip = true;
	}

	/* 1. the candidates: sort keys, then ids */
	candidates = from_part(query);
	candidates->rowMarks = NIL;
	candidates->hasForUpdate = false;
	lock->is_sorted = true;
	foreach(lc, query->sortClause)
	{
		SortGroupClause *sort = lfirst(lc);
		TargetEntry *tle = copyObject(get_sortgroupclause_tle(sort, query->targetList));
		Oid			type = exprType((Node *) tle->expr);
		Oid			collation = exprCollation((Node *) tle->expr);

		/* rows that differ in others alone must be neighbours: they are locked as one */
		if (bms_overlap(cz_entries_of((Node *) tle->expr, 0), from.others))
			return false;
		if (!cz_order_is_sure(type, sort->sortop, collation))
			lock->is_sorted = false;
		tle->resno = ++n;
		tle->resname = psprintf("k%d", n);
		tle->resjunk = false;
		tle->ressortgroupref = 0;
		candidates->targetList = lappend(candidates->targetList, tle);
		lock->sort_operators = lappend_oid(lock->sort_operators, sort->sortop);
		lock->sort_collations = lappend_oid(lock->sort_collations, collation);
		lock->sort_nulls_first = lappend_int(lock->sort_nulls_first, sort->nulls_first);
	}
	if (lock->is_sorted)
	{
		sort_by_keys(candidates, query, candidates->targetList);
		candidates->limitCount = (Node *) special_param(CZ_PARAM_LIMIT, INT8OID);
	}
	add_ids(candidates, &from, false);

	/* 2. the statement for rows of given ids */
	locking = from_part(query);
	locking->targetList = result_columns(query->targetList);
	n = list_length(locking->targetList);
	add_ids(locking, &from, true);
	lock->nids = list_length(from.rtis);
	foreach(lc, from.rtis)
		lock->in_parts = lappend_int(lock->in_parts, is_in_parts(query, lfirst_int(lc)));
	lock->is_single = from.others != NULL;
	if (lock->is_sorted)
	{
		/* several of a shard are locked in their order, too */
		foreach(lc, query->sortClause)
		{
			Expr	   *expr = get_sortgroupclause_tle(lfirst(lc), query->targetList)->expr;
			TargetEntry *tle = tlist_member(expr, locking->targetList);

			if (tle == NULL)
			{
				tle = makeTargetEntry(copyObject(expr), list_length(locking->targetList) + 1,
									  NULL, true);
				locking->targetList = lappend(locking->targetList, tle);
			}
			tles = lappend(tles, tle);
		}
		sort_by_keys(locking, query, tles);
	}

	if (!cz_query_is_sendable(locking, reason) || !cz_query_is_sendable(candidates, reason))
		return false;

	/* 3. what remains here */
	foreach(lc, result_columns(query->targetList))
	{
		TargetEntry *tle = lfirst(lc);

		tle->expr = (Expr *) makeVar(1, tle->resno, exprType((Node *) tle->expr),
									 exprTypmod((Node *) tle->expr),
									 exprCollation((Node *) tle->expr), 0);
		outer_tlist = lappend(outer_tlist, tle);
	}
	lock->candidates = candidates;
	lock->limit = copyObject(limit);
	if (flat != NULL)
	{
		RangeTblRef *ref = linitial(original->jointree->fromlist);

		/* a view's own privileges */
		rte = rt_fetch(ref->rtindex, original->rtable);
		if (OidIsValid(rte->relid))
			cz_note_relation(rte, original, state);
	}
	rte = cz_leaf_rte_of_query(locking, locus, CZ_STRATEGY_TWO_PHASE, NULL, state);
	leaf = llast(state->leaves);
	leaf->lock = lock;
	original->targetList = outer_tlist;
	original->sortClause = NIL;
	cz_query_over_leaf(original, rte, state);
	return true;
}

/*
 * Find a special parameter among those of a fragment, and make it a NULL that the
 * executor replaces.  Returns its index or -1.
 */
static int
take_param(List *params, int number)
{
	ListCell   *lc;
	int			i = 0;

	foreach(lc, params)
	{
		Param	   *param = lfirst(lc);

		if (IsA(param, Param) && param->paramkind == PARAM_EXTERN &&
			param->paramid == number)
		{
			lfirst(lc) = makeNullConst(param->paramtype, -1, InvalidOid);
			return i;
		}
		i++;
	}
	return -1;
}

/* The executor wants the last columns, ids and tables, as the worker has them. */
static void
drop_ids(CzFragmentPlan *plan, int nlast)
{
	int			ncolumns = list_length(plan->column_types) - nlast;
	ListCell   *lc;

	foreach(lc, plan->row_id_columns)
	{
		if (lfirst_int(lc) > ncolumns)
			plan->row_id_columns = foreach_delete_current(plan->row_id_columns, lc);
	}
}

/*
 * cz_plan_lock_leaf
 *		Complete the plan of a leaf that locks: its candidates.
 *
 * params: of the plan; those of the candidates and the limit are added.
 */
void
cz_plan_lock_leaf(CzFragmentPlan *plan, CzLeaf *leaf, List **params)
{
	CzLockLeaf *lock = leaf->lock;
	CzFragmentPlan *candidates;
	CzLocks    *locks = palloc0(sizeof(CzLocks));
	List	   *more;
	int			ncolumns = lock->nids;
	int			i;

	for (i = 0; i < lock->nids; i++)
		ncolumns += list_nth_int(lock->in_parts, i);
	candidates = cz_deparse(copyObject(lock->candidates), cz_plan_state, InvalidOid, &more);
	candidates->lazy_pieces = NIL;
	drop_ids(plan, ncolumns);
	drop_ids(candidates, ncolumns);
	candidates->strategy = plan->strategy;
	candidates->anchor_relid = plan->anchor_relid;
	candidates->prune_param = -1;
	if (plan->prune_param >= 0)
	{
		candidates->prune_param = candidates->nparams;
		candidates->prune_kind = plan->prune_kind;
		more = lappend(more, copyObject(list_nth(*params, plan->prune_param)));
	}
	candidates->is_pruned = plan->is_pruned;
	candidates->shard_indexes = plan->shard_indexes;
	candidates->merge = CZ_MERGE_NEVER;
	plan->merge = CZ_MERGE_NEVER;

	locks->candidates = candidates;
	locks->limit_param = take_param(more, CZ_PARAM_LIMIT);
	for (i = 0; i < lock->nids; i++)
	{
		locks->id_params = lappend_int(locks->id_params, take_param(*params, CZ_PARAM_IDS - i));
		locks->table_params = lappend_int(locks->table_params,
										  take_param(*params, CZ_PARAM_TABLES - i));
	}
	locks->may_wait = lock->may_wait;
	locks->may_skip = lock->may_skip;
	locks->is_single = lock->is_single;
	locks->is_sorted = lock->is_sorted;
	locks->sort_operators = lock->sort_operators;
	locks->sort_collations = lock->sort_collations;
	locks->sort_nulls_first = lock->sort_nulls_first;
	plan->locks = locks;
	*params = lappend(list_concat(*params, more), copyObject(lock->limit));
}
