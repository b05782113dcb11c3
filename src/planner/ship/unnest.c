/*-------------------------------------------------------------------------
 *
 * unnest.c
 *	  A correlated aggregate becomes a join with a grouped sub-query.
 *
 *	... WHERE y < (SELECT 0.2 * avg(x) FROM t WHERE t.a = outer.b AND p)
 *
 * would be computed again for each outer row, over all rows of t.  It becomes
 *
 *	... LEFT JOIN (SELECT t.a, avg(x) FROM t WHERE p GROUP BY t.a) g(k, v)
 *		ON g.k = outer.b WHERE y < 0.2 * g.v
 *
 * whose inner part is not correlated and can be grouped on the workers; g has at
 * most one row for an outer row.  For an outer row without a match the first gives
 * what the aggregate makes of no rows and the second NULL, so only aggregates and
 * expressions that are NULL then qualify (not count).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* Aggregates that are NULL over no rows. */
static bool
is_null_when_empty(Oid aggfnoid)
{
	static const char *const names[] = {"sum", "avg", "min", "max", "bool_and", "bool_or",
		"every", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp",
	"bit_and", "bit_or", "bit_xor", "string_agg", "array_agg"};
	char	   *name;
	int			i;

	if (aggfnoid >= FirstGenbkiObjectId)
		return false;
	name = get_func_name(aggfnoid);
	for (i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

typedef struct EmptyContext
{
	int			naggs;
	bool		failed;
} EmptyContext;

/* Aggregates become parameters, so that strictness in them can be asked for. */
static Node *
empty_mutator(Node *node, EmptyContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref))
	{
		Param	   *param = makeNode(Param);

		if (((Aggref *) node)->agglevelsup != 0 ||
			!is_null_when_empty(((Aggref *) node)->aggfnoid))
			context->failed = true;
		context->naggs++;
		param->paramkind = PARAM_EXTERN;
		param->paramid = 1;
		param->paramtype = exprType(node);
		param->paramtypmod = -1;
		param->paramcollid = exprCollation(node);
		param->location = -1;
		return (Node *) param;
	}
	if (IsA(node, SubLink))
		context->failed = true;
	return expression_tree_mutator(node, empty_mutator, (void *) context);
}

/* Is the expression strict in one of its aggregates, all NULL when there are no rows? */
static bool
is_null_over_nothing(Node *expr)
{
	EmptyContext context = {0, false};
	Node	   *copy = empty_mutator(expr, &context);

	return !context.failed && context.naggs > 0 && !contain_nonstrict_functions(copy);
}

/* check_functions_in_node callback: may it raise an error where all goes as usual? */
static bool
function_fails(Oid funcid, void *context)
{
	char	   *name;

	if (get_func_leakproof(funcid))
		return false;
	if (funcid >= FirstGenbkiObjectId)
		return true;
	/* sums, differences, products and casts between numbers */
	name = get_func_name(funcid);
	return !(strstr(name, "pl") || strstr(name, "mi") || strstr(name, "mul") ||
			 strstr(name, "_add") || strstr(name, "_sub") || strcmp(name, "numeric") == 0 ||
			 strcmp(name, "float8") == 0 || strcmp(name, "int8") == 0 ||
			 strcmp(name, "int4") == 0 || strstr(name, "like") || strstr(name, "eq") ||
			 strstr(name, "_lt") || strstr(name, "_le") || strstr(name, "_gt") ||
			 strstr(name, "_ge") || strstr(name, "_ne"));
}

/*
 * An aggregate's argument is computed for rows that no outer row asks for, so it must
 * not fail for them.
 */
static bool
may_fail_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CoerceToDomain:
		case T_SubscriptingRef:
		case T_RowCompareExpr:
		case T_ConvertRowtypeExpr:
			return true;
		default:
			break;
	}
	if (!IsA(node, Aggref) && check_functions_in_node(node, function_fails, NULL))
		return true;
	return expression_tree_walker(node, may_fail_walker, context);
}

static bool
aggregates_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
		return may_fail_walker(node, context);
	return expression_tree_walker(node, aggregates_walker, context);
}

static bool
aggregates_may_fail(Node *expr)
{
	return aggregates_walker(expr, NULL);
}

/* ---- the value, computed outside ----------------------------------------- */

typedef struct ValueContext
{
	List	   *aggregates;		/* Aggrefs, in the order of their columns */
	Index		rti;
	int			nkeys;
} ValueContext;

/* Aggregates become columns of the grouped sub-query. */
static Node *
value_mutator(Node *node, ValueContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref))
	{
		ListCell   *lc;
		Var		   *var;
		int			n = 0;

		foreach(lc, context->aggregates)
		{
			n++;
			if (equal(lfirst(lc), node))
				break;
		}
		if (lc == NULL)
		{
			context->aggregates = lappend(context->aggregates, node);
			n = list_length(context->aggregates);
		}
		var = makeVar(context->rti, context->nkeys + n, exprType(node), exprTypmod(node),
					  exprCollation(node), 0);
		/* the join's entry comes next */
		var_set_nulling_join_compat(var, context->rti + 1);
		return (Node *) var;
	}
	return expression_tree_mutator(node, value_mutator, (void *) context);
}

/*
 * A correlating conjunct: local expression = outer expression.  Sets *local and
 * *outer.
 */
static bool
is_correlation(Node *qual, Node **local, Node **outer)
{
	OpExpr	   *op = (OpExpr *) qual;
	Node	   *l;
	Node	   *r;

	if (!IsA(op, OpExpr) || list_length(op->args) != 2)
		return false;
	l = linitial(op->args);
	r = lsecond(op->args);
	if (!op_hashjoinable(op->opno, exprType(l)) || contain_subplans(qual))
		return false;
	if (!cz_refers_out(l) && contain_vars_of_level(l, 0) && cz_refers_out(r) && !contain_vars_of_level(r, 0))
	{
		*local = l;
		*outer = r;
		return true;
	}
	if (!cz_refers_out(r) && contain_vars_of_level(r, 0) && cz_refers_out(l) && !contain_vars_of_level(l, 0))
	{
		*local = r;
		*outer = l;
		return true;
	}
	return false;
}

typedef struct UnnestContext
{
	Query	   *query;			/* the outer query */
	List	   *conjuncts;		/* of its WHERE clause and inner joins */
	List	   *joins;			/* JoinExprs without larg */
	CzPlanState *state;			/* if given, leave alone what the workers can do */
} UnnestContext;

/* ---- only the groups that are asked for ---------------------------------- */

/* A sub-query for a value: the one that is being unnested, or as dear. */
static bool
value_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == EXPR_SUBLINK)
		return true;
	return expression_tree_walker(node, value_walker, context);
}

/* Conjuncts about one entry alone: what they leave out is in no row of the result. */
static List *
quals_of_entry(UnnestContext *context, int rti)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, context->conjuncts)
	{
		Node	   *qual = lfirst(lc);
		Relids		used = cz_entries_of(qual, 0);
		int			member;

		if (bms_get_singleton_member(used, &member) && member == rti &&
			!contain_volatile_functions(qual) && !cz_refers_out(qual) &&
			!value_walker(qual, NULL))
			result = lappend(result, copyObject(qual));
	}
	return result;
}

static bool
cte_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_CTE;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, cte_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, cte_walker, context);
}

static void
find_items(Node *node, UnnestContext *context, Relids *inner)
{
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		*inner = bms_add_member(*inner, ((RangeTblRef *) node)->rtindex);
	else if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			find_items(lfirst(lc), context, inner);
		context->conjuncts = cz_conjuncts(((FromExpr *) node)->quals, context->conjuncts);
	}
	else if (((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		find_items(((JoinExpr *) node)->larg, context, inner);
		find_items(((JoinExpr *) node)->rarg, context, inner);
		context->conjuncts = cz_conjuncts(((JoinExpr *) node)->quals, context->conjuncts);
	}
}

/*
 * If all outer expressions are of one table that the outer query also filters, only
 * its values are looked up:
 *
 *	(locals) IN (SELECT outers FROM table WHERE its conditions)
 *
 * Returns NULL if there is nothing to gain.
 */
static Node *
wanted_groups(UnnestContext *context, List *correlations, List *locals)
{
	Relids		inner = NULL;
	Relids		used = NULL;
	List	   *quals;
	List	   *sides = NIL;
	RangeTblEntry *rte;
	ListCell   *lc;
	ListCell   *ll;
	int			rti;

	context->conjuncts = NIL;
	find_items((Node *) context->query->jointree, context, &inner);
	foreach(lc, correlations)
		used = bms_add_members(used, cz_entries_of(lfirst(lc), 1));
	if (!bms_get_singleton_member(used, &rti) || !bms_is_member(rti, inner))
		return NULL;
	rte = rt_fetch(rti, context->query->rtable);
	if (rte->rtekind != RTE_RELATION || rte->tablesample != NULL)
		return NULL;
	quals = quals_of_entry(context, rti);
	if (quals == NIL || cte_walker((Node *) quals, NULL))
		return NULL;

	forboth(lc, correlations, ll, locals)
		sides = lappend_int(sides, equal(linitial(((OpExpr *) lfirst(lc))->args),
										 lfirst(ll)) ? 1 : 0);
	return cz_wanted_sublink(context->query, rti, quals, correlations, sides);
}

/* ---- the sub-query ------------------------------------------------------- */

/* A join, and its entry: nobody names a column of it, but core looks for outer joins there. */
static JoinExpr *
new_join(Query *query, JoinType type, Node *larg, Node *rarg, Node *quals)
{
	JoinExpr   *join = makeNode(JoinExpr);
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_JOIN;
	rte->jointype = type;
	rte->eref = makeAlias("unnamed_join", NIL);
	query->rtable = lappend(query->rtable, rte);
	join->jointype = type;
	join->larg = larg;
	join->rarg = rarg;
	join->quals = quals;
	join->rtindex = list_length(query->rtable);
	return join;
}

/*
 * unnest_aggregate
 *		If a scalar sub-query qualifies, add its grouped form to the outer query
 *		and return a Var of the value; else NULL.
 */
static Node *
unnest_aggregate(Query *sub, UnnestContext *context)
{
	Query	   *grouped;
	List	   *conditions;
	List	   *rest = NIL;
	List	   *correlations = NIL;
	List	   *locals = NIL;
	List	   *lookups = NIL;
	TargetEntry *target;
	RangeTblEntry *rte;
	RangeTblRef *ref;
	List	   *names = NIL;
	ListCell   *lc;
	ListCell   *ll;
	int			n = 0;
	ValueContext values;
	Node	   *value;
	Node	   *wanted;

	/* 1. a plain aggregate over FROM and WHERE */
	if (sub->commandType != CMD_SELECT || !sub->hasAggs || sub->groupClause != NIL ||
		sub->groupingSets != NIL || sub->havingQual != NULL || sub->hasWindowFuncs ||
		sub->hasTargetSRFs || sub->distinctClause != NIL || sub->limitCount != NULL ||
		sub->limitOffset != NULL || sub->cteList != NIL || sub->setOperations != NULL ||
		sub->rowMarks != NIL || sub->sortClause != NIL ||
		list_length(sub->targetList) != 1)
		return NULL;
	target = linitial(sub->targetList);
	if (!is_null_over_nothing((Node *) target->expr) ||
		aggregates_may_fail((Node *) target->expr))
		return NULL;

	/* 2. outer references only in equalities of WHERE */
	conditions = make_ands_implicit((Expr *) copyObject(sub->jointree->quals));
	foreach(lc, conditions)
	{
		Node	   *qual = lfirst(lc);
		Node	   *local;
		Node	   *outer;

		if (is_andclause(qual))
		{
			foreach(ll, ((BoolExpr *) qual)->args)
				conditions = lappend(conditions, lfirst(ll));
			continue;
		}
		if (!cz_refers_out(qual))
			rest = lappend(rest, qual);
		else if (is_correlation(qual, &local, &outer))
		{
			correlations = lappend(correlations, qual);
			locals = lappend(locals, local);
		}
		else
			return NULL;
	}
	if (correlations == NIL)
		return NULL;
	wanted = wanted_groups(context, correlations, locals);
	if (wanted != NULL)
		rest = lappend(rest, wanted);
	grouped = copyObject(sub);
	grouped->jointree->quals = rest == NIL ? NULL :
		(Node *) make_ands_explicit(copyObject(rest));
	grouped->hasSubLinks |= wanted != NULL;
	if (cz_query_is_correlated(grouped))
		return NULL;

	/* 3. the grouped sub-query: keys, then the value */
	grouped->targetList = NIL;
	foreach(lc, locals)
	{
		SortGroupClause *clause = makeNode(SortGroupClause);
		TargetEntry *tle;

		n++;
		tle = makeTargetEntry((Expr *) copyObject(lfirst(lc)), n, psprintf("k%d", n), false);
		grouped->targetList = lappend(grouped->targetList, tle);
		clause->tleSortGroupRef = assignSortGroupRef(tle, grouped->targetList);
		get_sort_group_operators(exprType(lfirst(lc)), false, true, false, &clause->sortop,
								 &clause->eqop, NULL, &clause->hashable);
		grouped->groupClause = lappend(grouped->groupClause, clause);
		names = lappend(names, makeString(pstrdup(tle->resname)));
	}
	values.aggregates = NIL;
	values.rti = list_length(context->query->rtable) + 1;
	values.nkeys = n;
	value = value_mutator(copyObject((Node *) target->expr), &values);
	foreach(lc, values.aggregates)
	{
		n++;
		grouped->targetList = lappend(grouped->targetList,
									  makeTargetEntry(lfirst(lc), n, psprintf("v%d", n),
													  false));
		names = lappend(names, makeString(psprintf("v%d", n)));
	}
	rte = makeNode(RangeTblEntry);
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = grouped;
	rte->eref = makeAlias("grouped", names);
	rte->alias = makeAlias("grouped", NIL);
	rte->inFromCl = true;
	context->query->rtable = lappend(context->query->rtable, rte);
	ref = makeNode(RangeTblRef);
	ref->rtindex = list_length(context->query->rtable);

	/* 4. the join condition, one level further out */
	n = 0;
	forboth(lc, correlations, ll, locals)
	{
		OpExpr	   *op = copyObject(lfirst(lc));
		Node	   *local = lfirst(ll);
		Var		   *var;

		n++;
		var = makeVar(ref->rtindex, n, exprType(local), exprTypmod(local),
					  exprCollation(local), 0);
		if (equal(linitial(op->args), local))
		{
			IncrementVarSublevelsUp(lsecond(op->args), -1, 1);
			linitial(op->args) = var;
		}
		else
		{
			IncrementVarSublevelsUp(linitial(op->args), -1, 1);
			lsecond(op->args) = var;
		}
		lookups = lappend(lookups, op);
	}
	context->joins = lappend(context->joins,
							 new_join(context->query, JOIN_LEFT, NULL, (Node *) ref,
									  (Node *) make_ands_explicit(lookups)));
	return value;
}

/* Can the workers compute it for each outer row? */
static bool
is_for_workers(Query *sub, CzPlanState *state)
{
	CzLocus		locus;

	if (state == NULL)
		return false;
	locus = cz_query_locus(sub, state);
	return locus.kind == CZ_LOCUS_EVERYWHERE ||
		(locus.kind == CZ_LOCUS_SHARDED && locus.outer_keys != NIL);
}

static Node *
unnest_mutator(Node *node, UnnestContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, SubLink))
	{
		SubLink    *sublink = (SubLink *) node;
		Node	   *value = NULL;

		if (sublink->subLinkType == EXPR_SUBLINK &&
			cz_query_uses_workers((Query *) sublink->subselect) &&
			!is_for_workers((Query *) sublink->subselect, context->state))
			value = unnest_aggregate((Query *) sublink->subselect, context);
		return value ? value : node;
	}
	if (IsA(node, Query))
		return node;
	return expression_tree_mutator(node, unnest_mutator, (void *) context);
}

static bool
plain_join_walker(Node *node, Relids rtis)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == 0 &&
		bms_is_member(((Var *) node)->varno, rtis))
		var_clear_nulling_compat((Var *) node);
	return expression_tree_walker(node, plain_join_walker, (void *) rtis);
}

/*
 * A condition that cannot be true without the value needs no row without one: the
 * joins that it brought are inner joins.
 */
static void
make_inner(Node *qual, UnnestContext *context, int nbefore)
{
	Relids		rtis = NULL;
	int			i;

	if (list_length(context->joins) == nbefore || !IsA(qual, OpExpr) ||
		contain_nonstrict_functions(qual))
		return;
	for (i = nbefore; i < list_length(context->joins); i++)
	{
		JoinExpr   *join = list_nth(context->joins, i);

		join->jointype = JOIN_INNER;
		rt_fetch(join->rtindex, context->query->rtable)->jointype = JOIN_INNER;
		rtis = bms_add_member(rtis, ((RangeTblRef *) join->rarg)->rtindex);
	}
	plain_join_walker(qual, rtis);
}

/*
 * Join a grouped sub-query with the item of FROM that it is looked up from, or if
 * there are several with all, as one: core does not print a FromExpr in a JoinExpr.
 */
static void
add_join(Query *query, JoinExpr *join)
{
	FromExpr   *from = query->jointree;
	Relids		used = cz_entries_of(join->quals, 0);
	RangeTblEntry *rte;
	ListCell   *lc;

	used = bms_del_member(used, ((RangeTblRef *) join->rarg)->rtindex);
	if (join->jointype == JOIN_INNER)
	{
		cz_blank_rte(rt_fetch(join->rtindex, query->rtable));
		from->fromlist = lappend(from->fromlist, join->rarg);
		from->quals = (Node *) make_ands_explicit(cz_conjuncts(join->quals,
															   cz_conjuncts(from->quals, NIL)));
		return;
	}
	foreach(lc, from->fromlist)
	{
		if (bms_is_subset(used, cz_node_relids(lfirst(lc), false)))
		{
			join->larg = lfirst(lc);
			lfirst(lc) = join;
			return;
		}
	}
	join->larg = linitial(from->fromlist);
	for_each_from(lc, from->fromlist, 1)
		join->larg = (Node *) new_join(query, JOIN_INNER, join->larg, lfirst(lc), NULL);
	from->fromlist = list_make1(join);
	/* the entry of a join comes after those of the joins in it */
	rte = rt_fetch(join->rtindex, query->rtable);
	query->rtable = lappend(query->rtable, copyObject(rte));
	cz_blank_rte(rte);
	ChangeVarNodes((Node *) query, join->rtindex, list_length(query->rtable), 0);
}

/*
 * cz_unnest_aggregates
 *		Take correlated aggregates out of the WHERE clause and, where nothing is
 *		grouped, the target list of a query, in place.
 *
 * state: NULL, or leave those alone that the workers can do for a table of theirs.
 */
void
cz_unnest_aggregates(Query *query, CzPlanState *state)
{
	UnnestContext context = {query, NIL, NIL, state};
	List	   *quals = NIL;
	ListCell   *lc;

	if (query->commandType != CMD_SELECT || !query->hasSubLinks || query->rowMarks != NIL ||
		query->setOperations != NULL || query->jointree->fromlist == NIL)
		return;
	foreach(lc, cz_conjuncts(query->jointree->quals, NIL))
	{
		int			nbefore = list_length(context.joins);
		Node	   *qual = unnest_mutator(lfirst(lc), &context);

		make_inner(qual, &context, nbefore);
		quals = lappend(quals, qual);
	}
	if (context.joins != NIL)
		query->jointree->quals = (Node *) make_ands_explicit(quals);
	if (!query->hasAggs && query->groupClause == NIL && query->groupingSets == NIL &&
		query->distinctClause == NIL && !query->hasWindowFuncs && !query->hasTargetSRFs)
		query->targetList = (List *) unnest_mutator((Node *) query->targetList, &context);

	foreach(lc, context.joins)
		add_join(query, lfirst(lc));
}
