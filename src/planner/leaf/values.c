/*-------------------------------------------------------------------------
 *
 * values.c
 *	  Pushed statements with values that are computed first: UPDATE and DELETE,
 *	  and LIMIT.
 *
 * What a pushed write reads from elsewhere, or what two replicas could choose
 * differently (LIMIT, SKIP LOCKED), is computed once, here, and sent as arrays: a
 * sub-query that is not correlated becomes a parameter (x IN (SELECT ...) becomes
 * x = ANY($1)), a CTE, a sub-query or a local table in FROM becomes unnest($1, $2).
 * A key that is compared with such a column is compared with the array too, so that
 * only the shards of its values are written to.
 *
 * Until core has planned them, the values are parameters that no statement has; the
 * expressions travel as further arguments of the leaf's function, where core makes
 * InitPlans of them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"

#include "../planner_int.h"

#define MAX_VALUES 1000

typedef struct ValuesContext
{
	CzPlanState *state;
	CzValues   *values;
	bool		failed;
} ValuesContext;

/* The parameter that stands for a value. */
static Param *
add_value(ValuesContext *context, Node *value)
{
	Param	   *param = makeNode(Param);

	if (list_length(context->values->exprs) >= MAX_VALUES)
		context->failed = true;
	param->paramkind = PARAM_EXTERN;
	param->paramid = CZ_PARAM_VALUES - list_length(context->values->exprs);
	param->paramtype = exprType(value);
	param->paramtypmod = -1;
	param->paramcollid = exprCollation(value);
	param->location = -1;
	context->values->exprs = lappend(context->values->exprs, value);
	return param;
}

static SubLink *
array_of(Query *subselect)
{
	SubLink    *sublink = makeNode(SubLink);

	sublink->subLinkType = ARRAY_SUBLINK;
	sublink->subselect = (Node *) subselect;
	sublink->location = -1;
	return sublink;
}

/* ---- sub-queries in expressions ------------------------------------------ */

/* x op ANY (SELECT ...) with x op ANY (array); NULL if it has another form. */
static Node *
compare_with_array(SubLink *sublink, ValuesContext *context)
{
	OpExpr	   *op = (OpExpr *) sublink->testexpr;
	ScalarArrayOpExpr *any;
	Param	   *right;
	Query	   *sub = copyObject((Query *) sublink->subselect);
	Oid			array_type;

	if (!IsA(op, OpExpr) || list_length(op->args) != 2)
		return NULL;
	right = lsecond(op->args);
	if (!IsA(right, Param) || right->paramkind != PARAM_SUBLINK)
		return NULL;
	array_type = get_array_type(right->paramtype);
	if (!OidIsValid(array_type))
		return NULL;
	any = makeNode(ScalarArrayOpExpr);
	any->opno = op->opno;
	any->opfuncid = op->opfuncid;
	any->useOr = sublink->subLinkType == ANY_SUBLINK;
	any->inputcollid = op->inputcollid;
	any->args = list_make2(copyObject(linitial(op->args)),
						   add_value(context, (Node *) array_of(sub)));
	any->location = -1;
	return (Node *) any;
}

static Node *
sublink_mutator(Node *node, ValuesContext *context)
{
	if (node == NULL || context->failed)
		return node;
	if (IsA(node, SubLink) && !cz_refers_out(((SubLink *) node)->subselect))
	{
		SubLink    *sublink = (SubLink *) node;
		Node	   *result;

		switch (sublink->subLinkType)
		{
			case EXPR_SUBLINK:
			case EXISTS_SUBLINK:
			case ARRAY_SUBLINK:
				if (!cz_type_is_output_safe(exprType(node)))
					return node;
				return (Node *) add_value(context, copyObject(node));
			case ANY_SUBLINK:
			case ALL_SUBLINK:
				result = compare_with_array(sublink, context);
				if (result == NULL)
					return node;
				/* its left side may have sub-queries, too */
				return expression_tree_mutator(result, sublink_mutator, (void *) context);
			default:
				return node;
		}
	}
	if (IsA(node, Query))
		return node;
	return expression_tree_mutator(node, sublink_mutator, (void *) context);
}

/* ---- FROM ---------------------------------------------------------------- */

/* SELECT column number n FROM the CTE, as a sub-query of the statement. */
static Query *
read_cte(CommonTableExpr *cte, int n)
{
	Query	   *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);

	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup(cte->ctename);
	rte->ctelevelsup = 1;
	rte->coltypes = list_copy(cte->ctecoltypes);
	rte->coltypmods = list_copy(cte->ctecoltypmods);
	rte->colcollations = list_copy(cte->ctecolcollations);
	rte->eref = makeAlias(cte->ctename, copyObject(cte->ctecolnames));
	rte->inFromCl = true;
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList =
		list_make1(makeTargetEntry((Expr *)
								   makeVar(1, n, list_nth_oid(cte->ctecoltypes, n - 1),
										   list_nth_int(cte->ctecoltypmods, n - 1),
										   list_nth_oid(cte->ctecolcollations, n - 1), 0),
								   1, "c1", false));
	return query;
}

/* A CTE that computes the columns of an item of FROM that are used. */
static CommonTableExpr *
cte_of_item(Query *query, RangeTblRef *ref, List *vars, ValuesContext *context)
{
	CommonTableExpr *cte = makeNode(CommonTableExpr);
	Query	   *source = cz_shipment_query(query, list_make1(ref), NIL, vars, 0);
	ListCell   *lc;
	int			n = 0;

	if (source == NULL)
		return NULL;
	cte->ctename = cz_free_cte_name(psprintf("cz_values_%d",
											 list_length(context->values->ctes) + 1),
									query->cteList, context->values->ctes);
	cte->ctematerialized = CTEMaterializeAlways;
	cte->ctequery = (Node *) source;
	cte->cterefcount = list_length(vars);
	cte->location = CZ_CTE_LOCATION;
	foreach(lc, vars)
	{
		Node	   *expr = lfirst(lc);

		cte->ctecolnames = lappend(cte->ctecolnames, makeString(psprintf("c%d", ++n)));
		cte->ctecoltypes = lappend_oid(cte->ctecoltypes, exprType(expr));
		cte->ctecoltypmods = lappend_int(cte->ctecoltypmods, exprTypmod(expr));
		cte->ctecolcollations = lappend_oid(cte->ctecolcollations, exprCollation(expr));
	}
	return cte;
}

/*
 * A condition that compares the target's key with a column of the item holds for the
 * column's values only: say so, for the choice of the shards.
 */
static void
add_key_condition(Query *query, AttrNumber key, Index rti, int column, Param *array)
{
	List	   *quals = cz_conjuncts(query->jointree->quals, NIL);
	ListCell   *lc;

	foreach(lc, quals)
	{
		OpExpr	   *op = lfirst(lc);
		int			i;

		if (!IsA(op, OpExpr) || list_length(op->args) != 2 ||
			!cz_is_equality(op->opno, op->inputcollid))
			continue;
		for (i = 0; i < 2; i++)
		{
			Var		   *mine = list_nth(op->args, i);
			Var		   *other = list_nth(op->args, 1 - i);
			ScalarArrayOpExpr *any;

			if (!IsA(mine, Var) || !IsA(other, Var) || mine->varlevelsup != 0 ||
				mine->varno != query->resultRelation || mine->varattno != key ||
				other->varlevelsup != 0 || other->varno != rti || other->varattno != column)
				continue;
			any = makeNode(ScalarArrayOpExpr);
			any->opno = i == 0 ? op->opno : get_commutator(op->opno);
			if (!OidIsValid(any->opno))
				continue;
			any->opfuncid = get_opcode(any->opno);
			any->useOr = true;
			any->inputcollid = op->inputcollid;
			any->args = list_make2(copyObject(mine), copyObject(array));
			any->location = -1;
			query->jointree->quals = (Node *)
				make_ands_explicit(lappend(list_copy(quals), any));
			return;
		}
	}
}

/* In FROM, unnest() takes values of these types apart: its columns are their fields. */
static bool
is_taken_apart(Oid type)
{
	return get_typtype(getBaseType(type)) == TYPTYPE_COMPOSITE;
}

/*
 * Make the entry that gives the rows of arrays: ROWS FROM (unnest($1), unnest($2)),
 * or SELECT unnest($1), unnest($2) where a value must stay in one column.
 */
static void
make_sent_rte(RangeTblEntry *rte, List *calls, bool keep_whole)
{
	List	   *names = NIL;
	ListCell   *lc;
	int			n = 0;

	cz_blank_rte(rte);
	if (keep_whole)
	{
		rte->rtekind = RTE_SUBQUERY;
		rte->subquery = makeNode(Query);
		rte->subquery->commandType = CMD_SELECT;
		rte->subquery->querySource = QSRC_ORIGINAL;
		rte->subquery->canSetTag = true;
		rte->subquery->hasTargetSRFs = true;
		rte->subquery->jointree = makeFromExpr(NIL, NULL);
	}
	else
		rte->rtekind = RTE_FUNCTION;
	foreach(lc, calls)
	{
		char	   *name = psprintf("c%d", ++n);

		names = lappend(names, makeString(name));
		if (keep_whole)
			rte->subquery->targetList =
				lappend(rte->subquery->targetList,
						makeTargetEntry(lfirst(lc), n, pstrdup(name), false));
		else
		{
			RangeTblFunction *function = makeNode(RangeTblFunction);

			function->funcexpr = lfirst(lc);
			function->funccolcount = 1;
			rte->functions = lappend(rte->functions, function);
		}
	}
	rte->eref = makeAlias("sent", names);
	rte->alias = makeAlias("sent", NIL);
	rte->inFromCl = true;
}

/* An item of FROM that no worker can compute becomes unnest() of arrays. */
static bool
send_item(Query *query, RangeTblRef *ref, AttrNumber key, ValuesContext *context)
{
	RangeTblEntry *rte = rt_fetch(ref->rtindex, query->rtable);
	List	   *vars = cz_vars_of(query, bms_make_singleton(ref->rtindex));
	List	   *exprs = list_copy(vars);
	List	   *calls = NIL;
	List	   *arrays = NIL;
	CommonTableExpr *cte;
	ListCell   *lc;
	bool		keep_whole = false;
	int			n = 0;

	if (exprs == NIL)
		exprs = list_make1(cz_int_const(1));
	foreach(lc, exprs)
	{
		Var		   *var = lfirst(lc);
		Oid			type = exprType((Node *) var);

		if ((IsA(var, Var) && var->varattno <= 0) || !cz_type_is_output_safe(type) ||
			get_element_type(type) != InvalidOid || !OidIsValid(get_array_type(type)))
			return false;
		keep_whole |= is_taken_apart(type);
	}
	cte = cte_of_item(query, ref, exprs, context);
	if (cte == NULL)
		return false;
	foreach(lc, exprs)
	{
		Node	   *expr = lfirst(lc);
		Param	   *array = add_value(context, (Node *) array_of(read_cte(cte, ++n)));
		FuncExpr   *call = makeFuncExpr(F_UNNEST_ANYARRAY, exprType(expr), list_make1(array),
										exprCollation(expr), exprCollation(expr),
										COERCE_EXPLICIT_CALL);

		call->funcretset = true;
		calls = lappend(calls, call);
		arrays = lappend(arrays, array);
	}
	context->values->ctes = lappend(context->values->ctes, cte);
	if (vars != NIL)
		cz_replace_vars(query, vars, NIL, ref->rtindex, NULL);
	make_sent_rte(rte, calls, keep_whole);
	n = 0;
	foreach(lc, key > 0 ? arrays : NIL)
		add_key_condition(query, key, ref->rtindex, ++n, lfirst(lc));
	context->values->items = bms_add_member(context->values->items, ref->rtindex);
	return true;
}

/* The values found, with the query's CTEs; NULL if there are none or one can't be sent. */
static CzValues *
finish_values(Query *query, ValuesContext *context)
{
	if (context->failed || context->values->exprs == NIL)
		return NULL;
	context->values->ctes = list_concat(list_copy(query->cteList), context->values->ctes);
	context->values->has_recursive = query->hasRecursive;
	query->cteList = NIL;
	query->hasRecursive = false;
	return context->values;
}

/*
 * cz_take_values
 *		Have what an UPDATE or DELETE reads from elsewhere computed first.
 *
 * query: changed.
 *
 * Returns: the values, with the WITH clause that they need; NULL if there are none or
 *		one can't be sent.
 */
CzValues *
cz_take_values(Query *query, AttrNumber key, CzPlanState *state)
{
	ValuesContext context = {state, palloc0(sizeof(CzValues)), false};
	ListCell   *lc;

	if (query->hasModifyingCTE)
		return NULL;
	foreach(lc, query->jointree->fromlist)
	{
		RangeTblRef *ref = lfirst(lc);
		RangeTblEntry *rte;

		if (!IsA(ref, RangeTblRef) || ref->rtindex == query->resultRelation)
			continue;
		rte = rt_fetch(ref->rtindex, query->rtable);
		if (rte->rtekind == RTE_CTE ||
			(rte->rtekind == RTE_SUBQUERY && !rte->lateral) ||
			(rte->rtekind == RTE_RELATION && cz_rte_table(rte) == NULL))
		{
			if (!send_item(query, ref, key, &context))
				return NULL;
		}
	}
	if (query->hasSubLinks)
	{
		query->targetList = (List *) sublink_mutator((Node *) query->targetList, &context);
		query->returningList = (List *) sublink_mutator((Node *) query->returningList,
														&context);
		query->jointree = (FromExpr *) sublink_mutator((Node *) query->jointree, &context);
	}
	return finish_values(query, &context);
}

/*
 * cz_take_conflict
 *		Have sub-queries of ON CONFLICT DO UPDATE that are not correlated computed first.
 *
 * query: changed.  values: get them.
 * Returns: false if there are too many.
 */
bool
cz_take_conflict(Query *query, CzValues *values, CzPlanState *state)
{
	ValuesContext context = {state, values, false};

	query->onConflict = (OnConflictExpr *)
		expression_tree_mutator((Node *) query->onConflict, sublink_mutator,
								(void *) &context);
	return !context.failed;
}

/*
 * cz_take_expr
 *		One more value.
 *
 * Returns: the parameter that stands for it.
 */
Param *
cz_take_expr(CzValues *values, Node *expr)
{
	ValuesContext context = {NULL, values, false};

	return add_value(&context, expr);
}

/* The entries of FROM that are inner-joined. */
static List *
inner_items(Node *node, List *items)
{
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		return lappend(items, node);
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			items = inner_items(lfirst(lc), items);
	}
	else if (((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		items = inner_items(((JoinExpr *) node)->larg, items);
		items = inner_items(((JoinExpr *) node)->rarg, items);
	}
	return items;
}

/*
 * cz_take_items
 *		Have what a SELECT reads in FROM beside rows that it locks computed first.
 *
 * query: changed.
 *
 * Returns: the values; NULL if there are none or one can't be sent.
 */
CzValues *
cz_take_items(Query *query, CzPlanState *state)
{
	ValuesContext context = {state, palloc0(sizeof(CzValues)), false};
	ListCell   *lc;

	if (query->hasModifyingCTE)
		return NULL;
	cz_flatten_joins(query);
	foreach(lc, inner_items((Node *) query->jointree, NIL))
	{
		RangeTblRef *ref = lfirst(lc);
		RangeTblEntry *rte;

		if (get_parse_rowmark(query, ref->rtindex) != NULL)
			continue;
		rte = rt_fetch(ref->rtindex, query->rtable);
		if (rte->rtekind == RTE_CTE ||
			(rte->rtekind == RTE_SUBQUERY && !rte->lateral) ||
			(rte->rtekind == RTE_RELATION && cz_rte_table(rte) == NULL))
		{
			if (!send_item(query, ref, 0, &context))
				return NULL;
		}
	}
	return finish_values(query, &context);
}

static bool
has_outer_ctes(List *sublinks)
{
	ListCell   *lc;

	foreach(lc, sublinks)
	{
		if (cz_query_is_correlated((Query *) ((SubLink *) lfirst(lc))->subselect))
			return true;
	}
	return false;
}

/*
 * cz_take_limit
 *		Have sub-queries in LIMIT and OFFSET computed for the fragments, too.
 *
 * query: limitCount and limitOffset are replaced, not changed.
 *
 * Returns: the values; NULL (the Query untouched) if computing them twice is not the
 *		same or one can't be sent.
 */
CzValues *
cz_take_limit(Query *query, CzPlanState *state)
{
	ValuesContext context = {state, palloc0(sizeof(CzValues)), false};
	Node	   *count;
	Node	   *offset;

	if (contain_volatile_functions(query->limitCount) ||
		contain_volatile_functions(query->limitOffset))
		return NULL;
	count = sublink_mutator(query->limitCount, &context);
	offset = sublink_mutator(query->limitOffset, &context);
	if (context.failed || contain_subplans(count) || contain_subplans(offset))
		return NULL;
	if (has_outer_ctes(context.values->exprs))
		return NULL;
	query->limitCount = count;
	query->limitOffset = offset;
	return context.values;
}

/*
 * cz_take_sample
 *		Have the arguments of a TABLESAMPLE computed here where no worker can do it:
 *		they use other items of FROM, or are volatile.
 *
 * sample: its arguments become parameters.
 *
 * Returns: what was taken: further arguments for the leaf's function.
 */
List *
cz_take_sample(TableSampleClause *sample, CzPlanState *state)
{
	ValuesContext context = {state, palloc0(sizeof(CzValues)), false};
	ListCell   *lc;

	if (cz_expr_is_shippable((Node *) sample, NULL) &&
		!contain_mutable_functions((Node *) sample) &&
		!contain_var_clause((Node *) sample) && !contain_subplans((Node *) sample) &&
		!cz_refers_out((Node *) sample))
		return NIL;
	foreach(lc, sample->args)
		lfirst(lc) = add_value(&context, lfirst(lc));
	if (sample->repeatable != NULL)
		sample->repeatable = (Expr *) add_value(&context, (Node *) sample->repeatable);
	return context.values->exprs;
}

/*
 * cz_add_leaf_values
 *		Hand values to a leaf: expressions of the level of its range-table entry.
 */
void
cz_add_leaf_values(RangeTblEntry *leaf_rte, List *values)
{
	FuncExpr   *call = (FuncExpr *)
		((RangeTblFunction *) linitial(leaf_rte->functions))->funcexpr;

	call->args = list_concat(call->args, values);
}

typedef struct OuterContext
{
	ValuesContext values;
	int			depth;			/* below the Query that is asked about */
} OuterContext;

static Node *
outer_var_mutator(Node *node, OuterContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup > context->depth)
	{
		Var		   *var = copyObject((Var *) node);
		ListCell   *lc;

		var->varlevelsup -= context->depth;
		foreach(lc, context->values.values->exprs)
		{
			if (equal(lfirst(lc), var))
			{
				Param	   *param = makeNode(Param);

				param->paramkind = PARAM_EXTERN;
				param->paramid = CZ_PARAM_VALUES - foreach_current_index(lc);
				param->paramtype = var->vartype;
				param->paramtypmod = -1;
				param->paramcollid = var->varcollid;
				param->location = -1;
				return (Node *) param;
			}
		}
		return (Node *) add_value(&context->values, (Node *) var);
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, outer_var_mutator, (void *) context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, outer_var_mutator, (void *) context);
}

/*
 * cz_take_outer_vars
 *		Make parameters of the columns of outer queries that a Query uses.
 *
 * query: changed in place.
 *
 * Returns: those columns, as Vars of the Query's level.
 */
List *
cz_take_outer_vars(Query *query)
{
	CzValues	values;
	OuterContext context;

	memset(&values, 0, sizeof(values));
	memset(&context, 0, sizeof(context));
	context.values.values = &values;
	(void) query_tree_mutator(query, outer_var_mutator, (void *) &context,
							  QTW_DONT_COPY_QUERY);
	return values.exprs;
}

/*
 * cz_attach_values
 *		Let core plan the values with the query over the leaf that gets them.
 */
void
cz_attach_values(Query *outer, CzValues *values, CzPlanState *state)
{
	RangeTblEntry *rte = linitial(outer->rtable);
	FuncExpr   *call = (FuncExpr *) ((RangeTblFunction *) linitial(rte->functions))->funcexpr;
	ListCell   *lc;

	outer->cteList = values->ctes;
	outer->hasRecursive = values->has_recursive;
	outer->hasSubLinks = true;
	foreach(lc, values->exprs)
		cz_rewrite_query((Query *) ((SubLink *) lfirst(lc))->subselect, state, false);
	foreach(lc, values->ctes)
		cz_rewrite_query((Query *) ((CommonTableExpr *) lfirst(lc))->ctequery, state, false);
	call->args = list_concat(call->args, values->exprs);
}

typedef struct PlannedContext
{
	List	   *planned;		/* values, as core has planned them */
} PlannedContext;

static Node *
planned_mutator(Node *node, PlannedContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN &&
		((Param *) node)->paramid <= CZ_PARAM_VALUES &&
		((Param *) node)->paramid > CZ_PARAM_VALUES - list_length(context->planned))
		return copyObject(list_nth(context->planned, CZ_PARAM_VALUES - ((Param *) node)->paramid));
	return expression_tree_mutator(node, planned_mutator, (void *) context);
}

/*
 * cz_planned_values
 *		Put the planned values in place of their parameters.
 */
List *
cz_planned_values(List *params, RangeTblEntry *leaf_rte)
{
	FuncExpr   *call = (FuncExpr *)
		((RangeTblFunction *) linitial(leaf_rte->functions))->funcexpr;
	PlannedContext context;

	if (list_length(call->args) < 2)
		return params;
	context.planned = list_copy_tail(call->args, 1);
	return (List *) planned_mutator((Node *) params, &context);
}

/*
 * cz_leaf_values
 *		The values that a leaf was handed, as core has planned them.
 */
List *
cz_leaf_values(RangeTblEntry *leaf_rte)
{
	FuncExpr   *call = (FuncExpr *)
		((RangeTblFunction *) linitial(leaf_rte->functions))->funcexpr;

	return copyObject(list_copy_tail(call->args, 1));
}
