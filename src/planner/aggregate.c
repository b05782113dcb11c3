/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  Split aggregates into a part for each shard and a part for here.
 *
 *	count				sum of counts
 *	sum, min, max, bool_*, bit_*	combine by themselves
 *	avg of exact numbers		sum of sums / sum of counts
 *	avg, stddev, variance of floats	core's three-number transition state, put
 *						together from count, sum and var_pop, combined
 *						by core's float8_combine
 *	stddev, variance of exact numbers	count, sum and sum of squares, finished as
 *						core's numeric_stddev_internal does
 *	aggregate(DISTINCT x)		the distinct x of each shard, aggregated here
 *
 * What is not in the list (array_agg, percentiles, ...) makes the split fail; then
 * the rows come here and core aggregates them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "planner_int.h"

/* Digits of a numeric(p, s) whose squares certainly are exact. */
#define CZ_MAX_EXACT_DIGITS 400

typedef struct SplitContext
{
	Query	   *query;			/* becomes the outer query */
	Query	   *inner;
	List	   *groups;			/* expressions grouped by, of the original query */
	List	   *group_columns;	/* int list: their columns in the inner query */
	List	   *extra_groups;	/* Vars that depend on the group, added to it */
	bool		failed;
	const char *reason;
} SplitContext;

static Node *split_mutator(Node *node, SplitContext *context);

static Node *
fail(SplitContext *context, Node *node, const char *reason)
{
	context->failed = true;
	context->reason = reason;
	return node;
}

/* Add a column to the inner query; returns a Var of it for the outer one. */
static Var *
inner_column(SplitContext *context, Node *expr)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, context->inner->targetList)
	{
		n++;
		if (equal(((TargetEntry *) lfirst(lc))->expr, expr))
			break;
	}
	if (lc == NULL)
	{
		n = list_length(context->inner->targetList) + 1;
		context->inner->targetList =
			lappend(context->inner->targetList,
					makeTargetEntry((Expr *) copyObject(expr), n, psprintf("c%d", n),
									false));
	}
	return makeVar(1, n, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
}

/* Make the inner query group by an expression too; a Var of it. */
static Var *
inner_group(SplitContext *context, Node *expr)
{
	Var		   *var = inner_column(context, expr);
	TargetEntry *tle = list_nth(context->inner->targetList, var->varattno - 1);
	SortGroupClause *clause;

	if (tle->ressortgroupref != 0 &&
		get_sortgroupref_clause_noerr(tle->ressortgroupref, context->inner->groupClause))
		return var;
	clause = makeNode(SortGroupClause);
	clause->tleSortGroupRef = assignSortGroupRef(tle, context->inner->targetList);
	get_sort_group_operators(exprType(expr), false, true, false, &clause->sortop,
							 &clause->eqop, NULL, &clause->hashable);
	context->inner->groupClause = lappend(context->inner->groupClause, clause);
	return var;
}

/* ---- building expressions ------------------------------------------------ */

static Oid
system_function(const char *name, int nargs, Oid a, Oid b)
{
	Oid			args[2];

	args[0] = a;
	args[1] = b;
	return LookupFuncName(list_make2(makeString("pg_catalog"), makeString(pstrdup(name))),
						  nargs, args, false);
}

/* An aggregate of one argument (or count(*), arg NULL). */
static Node *
make_aggregate(Oid aggfn, Oid rettype, Node *arg, Node *filter, Oid input_collation)
{
	Aggref	   *agg = makeNode(Aggref);

	agg->aggfnoid = aggfn;
	agg->aggtype = rettype;
	agg->inputcollid = input_collation;
	agg->aggcollid = OidIsValid(input_collation) && type_is_collatable(rettype) ?
		input_collation : InvalidOid;
	agg->aggtranstype = InvalidOid;
	if (arg)
	{
		agg->aggargtypes = list_make1_oid(exprType(arg));
		agg->args = list_make1(makeTargetEntry((Expr *) copyObject(arg), 1, NULL, false));
	}
	else
		agg->aggstar = true;
	agg->aggfilter = (Expr *) copyObject(filter);
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggsplit = AGGSPLIT_SIMPLE;
	agg->aggno = -1;
	agg->aggtransno = -1;
	agg->location = -1;
	return (Node *) agg;
}

static Node *
make_system_aggregate(const char *name, Node *arg, Node *filter)
{
	Oid			fn = system_function(name, 1, exprType(arg), InvalidOid);

	return make_aggregate(fn, get_func_rettype(fn), arg, filter, InvalidOid);
}

static Node *
cast_to(Node *expr, Oid type)
{
	Node	   *result = coerce_to_target_type(NULL, expr, exprType(expr), type, -1,
											   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);

	if (result == NULL)
		elog(ERROR, "no cast from type %u to type %u", exprType(expr), type);
	return result;
}

static Node *
make_operator(const char *name, Node *left, Node *right)
{
	Oid			opno = OpernameGetOprid(list_make2(makeString("pg_catalog"),
												   makeString(pstrdup(name))),
										exprType(left), exprType(right));
	OpExpr	   *op;

	if (!OidIsValid(opno))
		elog(ERROR, "no operator %s", name);
	op = (OpExpr *) make_opclause(opno, get_op_rettype(opno), false, (Expr *) left,
								  (Expr *) right, InvalidOid, InvalidOid);
	set_opfuncid(op);
	return (Node *) op;
}

static Node *
zero_of(Oid type)
{
	return cast_to((Node *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
									  Int32GetDatum(0), false, true), type);
}

static Node *
null_as_zero(Node *expr)
{
	CoalesceExpr *c = makeNode(CoalesceExpr);

	c->coalescetype = exprType(expr);
	c->args = list_make2(expr, zero_of(exprType(expr)));
	c->location = -1;
	return (Node *) c;
}

/* Partial aggregate in the fragments; its values summed up here. */
static Node *
sum_of_partial(SplitContext *context, Node *partial)
{
	return make_system_aggregate("sum", (Node *) inner_column(context, partial), NULL);
}

static Node *
partial_count(Node *arg, Node *filter)
{
	Oid			fn = arg ? system_function("count", 1, ANYOID, InvalidOid) :
		system_function("count", 0, InvalidOid, InvalidOid);

	return make_aggregate(fn, INT8OID, arg, filter, InvalidOid);
}

static Node *
total_count(SplitContext *context, Node *arg, Node *filter)
{
	return null_as_zero(sum_of_partial(context, partial_count(arg, filter)));
}

/* ---- the aggregates ------------------------------------------------------ */

static bool
is_exact_number(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID;
}

/*
 * Squares of integers and of numeric(p, s) are exact.  A numeric without limits may
 * have so many digits that SQL's multiplication rounds or overflows where core's
 * transition state does neither.
 */
static bool
squares_are_exact(Node *arg)
{
	int32		typmod = exprTypmod(arg);

	return exprType(arg) != NUMERICOID ||
		(typmod >= (int32) VARHDRSZ &&
		 ((typmod - VARHDRSZ) >> 16) <= CZ_MAX_EXACT_DIGITS);
}

static Node *
split_average(SplitContext *context, Node *arg, Node *filter)
{
	Oid			type = exprType(arg);
	Node	   *sum = sum_of_partial(context, make_system_aggregate("sum", arg, filter));
	Node	   *count = total_count(context, arg, filter);
	NullIfExpr *divisor;
	Oid			target = type == INTERVALOID ? FLOAT8OID : NUMERICOID;
	Node	   *zero;
	Oid			eq;

	count = cast_to(count, target);
	zero = zero_of(target);
	eq = OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("=")), target,
						  target);
	divisor = makeNode(NullIfExpr);
	divisor->opno = eq;
	divisor->opfuncid = get_opcode(eq);
	divisor->opresulttype = target;
	divisor->args = list_make2(count, zero);
	divisor->location = -1;
	if (type != INTERVALOID)
		sum = cast_to(sum, NUMERICOID);
	return make_operator("/", sum, (Node *) divisor);
}

/* The transition state {N, sum, N * var_pop} of core's float aggregates. */
static Node *
split_float_statistic(SplitContext *context, const char *name, Node *arg, Node *filter)
{
	Node	   *x = cast_to(copyObject(arg), FLOAT8OID);
	Node	   *n = cast_to(partial_count(x, filter), FLOAT8OID);
	ArrayExpr  *state = makeNode(ArrayExpr);
	Oid			argtypes[1] = {FLOAT8ARRAYOID};
	Oid			fn;

	state->array_typeid = FLOAT8ARRAYOID;
	state->element_typeid = FLOAT8OID;
	state->location = -1;
	state->elements =
		list_make3(n,
				   null_as_zero(make_system_aggregate("sum", x, filter)),
				   null_as_zero(make_operator("*",
											  make_system_aggregate("var_pop", x, filter),
											  copyObject(n))));
	fn = LookupFuncName(list_make2(makeString("cz"),
								   makeString(psprintf("float8_%s", name))),
						1, argtypes, false);
	return make_aggregate(fn, FLOAT8OID, (Node *) inner_column(context, (Node *) state),
						  NULL, InvalidOid);
}

static Node *
split_exact_statistic(SplitContext *context, const char *name, Node *arg, Node *filter)
{
	Node	   *x = cast_to(copyObject(arg), NUMERICOID);
	Node	   *n = cast_to(total_count(context, arg, filter), NUMERICOID);
	Node	   *sx = sum_of_partial(context, make_system_aggregate("sum", x, filter));
	Node	   *sx2 = sum_of_partial(context,
									 make_system_aggregate("sum",
														   make_operator("*", x,
																		 copyObject(x)),
														   filter));
	Oid			argtypes[5] = {NUMERICOID, NUMERICOID, NUMERICOID, BOOLOID, BOOLOID};
	bool		is_sample = strstr(name, "_pop") == NULL;
	bool		is_stddev = strncmp(name, "stddev", 6) == 0;
	Oid			fn = LookupFuncName(list_make2(makeString("cz"),
											   makeString("numeric_statistic")),
									5, argtypes, false);

	return (Node *) makeFuncExpr(fn, NUMERICOID,
								 list_make5(n, sx, sx2, makeBoolConst(is_sample, false),
											makeBoolConst(is_stddev, false)),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

static bool
name_is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
	{
		if (strcmp(name, *list) == 0)
			return true;
	}
	return false;
}

static Node *
split_aggregate(Aggref *agg, SplitContext *context)
{
	static const char *const self_combining[] = {
		"min", "max", "bool_and", "bool_or", "every", "bit_and", "bit_or", "bit_xor", NULL
	};
	static const char *const statistics[] = {
		"stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", NULL
	};
	char	   *name;
	Node	   *arg = NULL;
	Node	   *filter = (Node *) agg->aggfilter;
	Node	   *partial;
	Oid			type;

	if (agg->aggfnoid >= FirstGenbkiObjectId || agg->aggkind != AGGKIND_NORMAL ||
		agg->aggorder != NIL || agg->aggdirectargs != NIL || agg->aggvariadic)
		return fail(context, (Node *) agg, "an aggregate cannot be split");
	name = get_func_name(agg->aggfnoid);
	if (list_length(agg->args) > 1)
		return fail(context, (Node *) agg, "an aggregate cannot be split");
	if (agg->args != NIL)
		arg = (Node *) ((TargetEntry *) linitial(agg->args))->expr;

	if (agg->aggdistinct != NIL)
	{
		Aggref	   *outer;

		if (filter != NULL || arg == NULL)
			return fail(context, (Node *) agg, "an aggregate cannot be split");
		outer = copyObject(agg);
		((TargetEntry *) linitial(outer->args))->expr =
			(Expr *) inner_group(context, arg);
		return (Node *) outer;
	}
	if (strcmp(name, "count") == 0)
		return cast_to(total_count(context, arg, filter), INT8OID);
	if (arg == NULL)
		return fail(context, (Node *) agg, "an aggregate cannot be split");
	type = exprType(arg);

	if (strcmp(name, "sum") == 0)
	{
		partial = make_system_aggregate("sum", arg, filter);
		return cast_to(sum_of_partial(context, partial), agg->aggtype);
	}
	if (name_is_one_of(name, self_combining))
	{
		partial = make_aggregate(agg->aggfnoid, agg->aggtype, arg, filter,
								 agg->inputcollid);
		return make_aggregate(agg->aggfnoid, agg->aggtype,
							  (Node *) inner_column(context, partial), NULL,
							  agg->inputcollid);
	}
	if (strcmp(name, "avg") == 0 && (is_exact_number(type) || type == INTERVALOID))
		return split_average(context, arg, filter);
	if (strcmp(name, "avg") == 0 && (type == FLOAT4OID || type == FLOAT8OID))
		return split_float_statistic(context, "avg", arg, filter);
	if (name_is_one_of(name, statistics))
	{
		if (type == FLOAT4OID || type == FLOAT8OID)
			return split_float_statistic(context, name, arg, filter);
		if (is_exact_number(type) && squares_are_exact(arg))
			return split_exact_statistic(context, name, arg, filter);
	}
	return fail(context, (Node *) agg, "an aggregate cannot be split");
}

static Node *
split_mutator(Node *node, SplitContext *context)
{
	ListCell   *lc;
	ListCell   *lcol;

	if (node == NULL || context->failed)
		return node;
	forboth(lc, context->groups, lcol, context->group_columns)
	{
		if (equal(lfirst(lc), node))
			return (Node *) makeVar(1, lfirst_int(lcol), exprType(node), exprTypmod(node),
									exprCollation(node), 0);
	}
	if (IsA(node, Aggref))
	{
		if (((Aggref *) node)->agglevelsup != 0)
			return fail(context, node, "an aggregate belongs to an outer query");
		return split_aggregate((Aggref *) node, context);
	}
	if (IsA(node, SubLink) || IsA(node, GroupingFunc))
		return fail(context, node, "a sub-query stands beside aggregates");
	if (IsA(node, Var))
	{
		Var		   *var;

		if (((Var *) node)->varlevelsup != 0)
			return node;
		if (((Var *) node)->varattno == 0)
			return fail(context, node, "a whole row stands beside aggregates");
		/* functionally dependent on the group: grouping by it changes nothing */
		var = inner_group(context, node);
		context->extra_groups = list_append_unique(context->extra_groups, var);
		return (Node *) var;
	}
	return expression_tree_mutator(node, split_mutator, (void *) context);
}

/*
 * cz_split_aggregates
 *		Split the grouping of a query.
 *
 * query: changed into the outer query's target list, HAVING and GROUP BY; its FROM
 *		must be replaced by the leaf of inner.
 * inner: has FROM and WHERE; gets its target list and GROUP BY.
 * Returns false, with *reason set and both in disorder, if it can't be done.
 */
bool
cz_split_aggregates(Query *query, Query *inner, const char **reason)
{
	SplitContext context;
	ListCell   *lc;

	memset(&context, 0, sizeof(context));
	context.query = query;
	context.inner = inner;

	foreach(lc, query->groupClause)
	{
		SortGroupClause *clause = lfirst(lc);
		Node	   *expr = get_sortgroupclause_expr(clause, query->targetList);
		Var		   *var;

		if (!cz_type_is_output_safe(exprType(expr)))
		{
			*reason = "a group has a row type";
			return false;
		}
		if (IsA(expr, Const))	/* would print as a column number */
		{
			*reason = "a group is a constant";
			return false;
		}
		var = inner_column(&context, expr);
		if (list_length(inner->groupClause) < var->varattno)
		{
			TargetEntry *tle = list_nth(inner->targetList, var->varattno - 1);
			SortGroupClause *copy = copyObject(clause);

			copy->tleSortGroupRef = assignSortGroupRef(tle, inner->targetList);
			inner->groupClause = lappend(inner->groupClause, copy);
		}
		context.groups = lappend(context.groups, expr);
		context.group_columns = lappend_int(context.group_columns, var->varattno);
	}

	/* a group that no target uses still counts: an empty input gives no row */
	query->targetList = (List *) split_mutator((Node *) query->targetList, &context);
	query->havingQual = split_mutator(query->havingQual, &context);
	query->windowClause = (List *) split_mutator((Node *) query->windowClause, &context);
	if (context.failed)
	{
		*reason = context.reason;
		return false;
	}
	inner->hasAggs = contain_agg_clause((Node *) inner->targetList);
	if (inner->targetList == NIL)
		return false;

	foreach(lc, context.extra_groups)
	{
		Var		   *var = lfirst(lc);
		SortGroupClause *clause = makeNode(SortGroupClause);
		TargetEntry *tle = makeTargetEntry((Expr *) copyObject(var),
										   list_length(query->targetList) + 1, NULL, true);

		if (query->groupClause == NIL)
		{
			*reason = "a column is not grouped";
			return false;
		}
		query->targetList = lappend(query->targetList, tle);
		clause->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
		get_sort_group_operators(var->vartype, false, true, false, &clause->sortop,
								 &clause->eqop, NULL, &clause->hashable);
		query->groupClause = lappend(query->groupClause, clause);
	}
	query->hasAggs = contain_agg_clause((Node *) query->targetList) ||
		contain_agg_clause(query->havingQual);
	return true;
}

/* ---- SQL function -------------------------------------------------------- */

PG_FUNCTION_INFO_V1(numeric_statistic);

static Numeric
numeric_call(PGFunction fn, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(fn, NumericGetDatum(a), NumericGetDatum(b)));
}

/*
 * numeric_statistic
 *		cz.numeric_statistic(n, sum, sum of squares, is_sample, is_stddev): what
 *		core's numeric_stddev_internal makes of these three sums.
 */
Datum
numeric_statistic(PG_FUNCTION_ARGS)
{
	Numeric		n;
	Numeric		sum_x;
	Numeric		sum_x2;
	bool		is_sample = PG_GETARG_BOOL(3);
	bool		is_stddev = PG_GETARG_BOOL(4);
	Numeric		one = int64_to_numeric(1);
	Numeric		zero = int64_to_numeric(0);
	Numeric		numerator;
	Numeric		denominator;
	Numeric		result;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	n = PG_GETARG_NUMERIC(0);
	sum_x = PG_GETARG_NUMERIC(1);
	sum_x2 = PG_GETARG_NUMERIC(2);
	if (DatumGetBool(DirectFunctionCall2(is_sample ? numeric_le : numeric_lt,
										 NumericGetDatum(n), NumericGetDatum(one))))
		PG_RETURN_NULL();

	numerator = numeric_call(numeric_sub, numeric_call(numeric_mul, n, sum_x2),
							 numeric_call(numeric_mul, sum_x, sum_x));
	if (DatumGetBool(DirectFunctionCall2(numeric_le, NumericGetDatum(numerator),
										 NumericGetDatum(zero))))
		PG_RETURN_NUMERIC(zero);
	denominator = numeric_call(numeric_mul, n,
							   is_sample ? numeric_call(numeric_sub, n, one) : n);
	result = numeric_call(numeric_div, numerator, denominator);
	if (is_stddev)
	{
		Datum		root = DirectFunctionCall1(numeric_sqrt, NumericGetDatum(result));
		Datum		scale = DirectFunctionCall1(numeric_scale, NumericGetDatum(result));

		/* NaN and infinity have no scale */
		if (!numeric_is_nan(result) && !numeric_is_inf(result))
			root = DirectFunctionCall2(numeric_round, root, scale);
		PG_RETURN_DATUM(root);
	}
	PG_RETURN_NUMERIC(result);
}
