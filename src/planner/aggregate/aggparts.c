/*-------------------------------------------------------------------------
 *
 * aggparts.c
 *	  Split one aggregate into partial ones for each shard and what is made of
 *	  them here.
 *
 *	count				sum of counts
 *	sum				sum of sums
 *	min, bool_and, bit_or, ...	whose transition function also combines: themselves
 *	avg of exact numbers		sum of sums / sum of counts
 *	avg, stddev, variance of floats	core's three-number transition state, put
 *						together from count, sum and var_pop, combined
 *						by core's float8_combine
 *	corr, covar_*, regr_*		core's six-number state in the same way
 *	any with a combine function		its state, if the workers can return it
 *						(aggstate.c)
 *	stddev, variance of exact numbers	else: count, sum and sum of squares, finished as
 *						core's numeric_stddev_internal does
 *
 * What is not in the list (array_agg, percentiles, ...) is not split.
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
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"

#include "aggregate_int.h"

/* Digits of a numeric(p, s) whose squares certainly are exact. */
#define CZ_MAX_EXACT_DIGITS 400

/* Digits that a square root gets before it is rounded. */
#define CZ_EXTRA_DIGITS 20

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

/* An aggregate of some arguments, or of none: count(*). */
static Aggref *
make_aggregate(Oid aggfn, Oid rettype, List *args, Node *filter, Oid input_collation)
{
	Aggref	   *agg = makeNode(Aggref);
	ListCell   *lc;
	int			n = 0;

	agg->aggfnoid = aggfn;
	agg->aggtype = rettype;
	agg->inputcollid = input_collation;
	agg->aggcollid = OidIsValid(input_collation) && type_is_collatable(rettype) ?
		input_collation : InvalidOid;
	agg->aggtranstype = InvalidOid;
	foreach(lc, args)
	{
		agg->aggargtypes = lappend_oid(agg->aggargtypes, exprType(lfirst(lc)));
		agg->args = lappend(agg->args,
							makeTargetEntry((Expr *) copyObject(lfirst(lc)), ++n, NULL,
											false));
	}
	agg->aggstar = args == NIL;
	agg->aggfilter = (Expr *) copyObject(filter);
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggsplit = AGGSPLIT_SIMPLE;
	agg->aggno = -1;
	agg->aggtransno = -1;
	agg->location = -1;
	return agg;
}

/*
 * cz_split_partial
 *		An aggregate of a fragment.
 */
Node *
cz_split_partial(CzSplitContext *context, Oid aggfn, Oid rettype, List *args, Node *filter,
			 Oid input_collation)
{
	Aggref	   *agg = make_aggregate(aggfn, rettype, args, filter, input_collation);

	if (context->distinct != NIL && args != NIL)
	{
		SortGroupClause *clause = makeNode(SortGroupClause);

		Assert(list_length(args) == 1);
		clause->tleSortGroupRef = 1;
		get_sort_group_operators(exprType(linitial(args)), true, true, false,
								 &clause->sortop, &clause->eqop, NULL, &clause->hashable);
		((TargetEntry *) linitial(agg->args))->ressortgroupref = 1;
		agg->aggdistinct = list_make1(clause);
	}
	return (Node *) agg;
}

/* The same of a function of pg_catalog with one argument. */
static Node *
make_system_partial(CzSplitContext *context, const char *name, Node *arg, Node *filter)
{
	Oid			fn = system_function(name, 1, exprType(arg), InvalidOid);

	return cz_split_partial(context, fn, get_func_rettype(fn), list_make1(arg), filter,
						InvalidOid);
}

/* What is computed here over the values of a partial expression. */
static Node *
make_final(CzSplitContext *context, Oid aggfn, Oid rettype, Node *partial,
		   Oid input_collation)
{
	return (Node *) make_aggregate(aggfn, rettype,
								   list_make1(cz_split_column(context, partial)),
								   cz_split_filter(context), input_collation);
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
	return cast_to(cz_int_const(0), type);
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

/* A partial aggregate whose values are summed up here. */
static Node *
sum_of_partial(CzSplitContext *context, Node *partial)
{
	Oid			fn = system_function("sum", 1, exprType(partial), InvalidOid);

	return make_final(context, fn, get_func_rettype(fn), partial, InvalidOid);
}

static Node *
partial_count(CzSplitContext *context, Node *arg, Node *filter)
{
	Oid			fn = arg ? system_function("count", 1, ANYOID, InvalidOid) :
		system_function("count", 0, InvalidOid, InvalidOid);

	return cz_split_partial(context, fn, INT8OID, arg ? list_make1(arg) : NIL, filter,
						InvalidOid);
}

static Node *
total_count(CzSplitContext *context, Node *arg, Node *filter)
{
	return null_as_zero(sum_of_partial(context, partial_count(context, arg, filter)));
}

/* A float8[] of partial sums, given to one of our aggregates over states. */
static Node *
final_of_state(CzSplitContext *context, const char *name, List *elements)
{
	ArrayExpr  *state = makeNode(ArrayExpr);
	Oid			argtypes[1] = {FLOAT8ARRAYOID};
	Oid			fn;

	state->array_typeid = FLOAT8ARRAYOID;
	state->element_typeid = FLOAT8OID;
	state->location = -1;
	state->elements = elements;
	fn = LookupFuncName(list_make2(makeString("cz"),
								   makeString(psprintf("float8_%s", name))),
						1, argtypes, false);
	return make_final(context, fn, FLOAT8OID, (Node *) state, InvalidOid);
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
split_average(CzSplitContext *context, Node *arg, Node *filter)
{
	Oid			type = exprType(arg);
	Node	   *sum = sum_of_partial(context, make_system_partial(context, "sum", arg, filter));
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
split_float_statistic(CzSplitContext *context, const char *name, Node *arg, Node *filter)
{
	Node	   *x = cast_to(copyObject(arg), FLOAT8OID);
	Node	   *n = cast_to(partial_count(context, x, filter), FLOAT8OID);
	Node	   *sum = make_system_partial(context, "sum", x, filter);
	Node	   *variance = make_system_partial(context, "var_pop", x, filter);

	return final_of_state(context, name,
						  list_make3(n, null_as_zero(sum),
									 null_as_zero(make_operator("*", variance,
																copyObject(n)))));
}

/* x IS NOT NULL [AND filter] */
static Node *
filter_not_null(Node *x, Node *filter)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) copyObject(x);
	test->nulltesttype = IS_NOT_NULL;
	test->argisrow = false;
	test->location = -1;
	if (filter == NULL)
		return (Node *) test;
	return (Node *) makeBoolExpr(AND_EXPR, list_make2(copyObject(filter), test), -1);
}

/* The state {N, Sx, Sxx, Sy, Syy, Sxy} of core's aggregates of two floats. */
static Node *
split_regression(CzSplitContext *context, const char *name, List *args, Node *filter)
{
	static const char *const squares[] = {"regr_sxx", "regr_syy", "regr_sxy"};
	Node	   *y = linitial(args);
	Node	   *x = lsecond(args);
	Oid			count = system_function("regr_count", 2, FLOAT8OID, FLOAT8OID);
	Node	   *n = cz_split_partial(context, count, INT8OID, args, filter, InvalidOid);
	Node	   *parts[3];
	int			i;

	if (strcmp(name, "regr_count") == 0)
		return cast_to(null_as_zero(sum_of_partial(context, n)), INT8OID);
	for (i = 0; i < 3; i++)
	{
		Oid			fn = system_function(squares[i], 2, FLOAT8OID, FLOAT8OID);

		parts[i] = null_as_zero(cz_split_partial(context, fn, FLOAT8OID, args, filter,
											 InvalidOid));
	}
	return final_of_state(context, name,
						  lappend(list_make5(cast_to(n, FLOAT8OID),
											 null_as_zero(make_system_partial(context, "sum", x,
																			  filter_not_null(y, filter))),
											 parts[0],
											 null_as_zero(make_system_partial(context, "sum", y,
																			  filter_not_null(x, filter))),
											 parts[1]),
								  parts[2]));
}

static Node *
split_exact_statistic(CzSplitContext *context, const char *name, Node *arg, Node *filter)
{
	Node	   *x = cast_to(copyObject(arg), NUMERICOID);
	Node	   *n = cast_to(total_count(context, arg, filter), NUMERICOID);
	Node	   *sx = sum_of_partial(context, make_system_partial(context, "sum", x, filter));
	Node	   *sx2 = sum_of_partial(context,
									 make_system_partial(context, "sum",
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

/* Are states values of the argument's type, put together as values are added? */
static bool
combines_itself(Aggref *agg)
{
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(agg->aggfnoid));
	Form_pg_aggregate form;
	bool		result;

	if (!HeapTupleIsValid(tup))
		return false;
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	result = OidIsValid(form->aggcombinefn) && form->aggcombinefn == form->aggtransfn &&
		!OidIsValid(form->aggfinalfn) && form->aggtranstype != INTERNALOID &&
		list_length(agg->aggargtypes) == 1;
	ReleaseSysCache(tup);
	return result;
}

/*
 * cz_split_one
 *		The outer expression of a plain aggregate of the original query, whose partial
 *		aggregates are added to the inner query; NULL if it can't be split.
 */
Node *
cz_split_one(CzSplitContext *context, Aggref *agg)
{
	static const char *const statistics[] = {
		"stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", NULL
	};
	static const char *const regressions[] = {
		"corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_count",
		"regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", NULL
	};
	char	   *name;
	List	   *args = NIL;
	ListCell   *lc;
	Node	   *arg;
	Node	   *filter = (Node *) agg->aggfilter;
	Node	   *result;
	Oid			type;

	if (agg->aggkind != AGGKIND_NORMAL || agg->aggdirectargs != NIL)
		return NULL;
	foreach(lc, agg->args)
	{
		if (!((TargetEntry *) lfirst(lc))->resjunk)
			args = lappend(args, ((TargetEntry *) lfirst(lc))->expr);
	}
	/* where states can be had they need no proof that they are exact */
	result = cz_split_by_state(context, agg, args);
	if (result != NULL)
		return result;
	if (agg->aggfnoid >= FirstGenbkiObjectId || agg->aggvariadic)
		return NULL;
	name = get_func_name(agg->aggfnoid);
	if (list_length(args) == 2 && agg->aggorder == NIL && name_is_one_of(name, regressions))
		return split_regression(context, name, args, filter);
	if (list_length(args) > 1)
		return NULL;
	arg = args == NIL ? NULL : linitial(args);
	if (strcmp(name, "count") == 0)
		return cast_to(total_count(context, arg, filter), INT8OID);
	if (arg == NULL)
		return NULL;
	type = exprType(arg);

	/* sums of floats depend on the order */
	if (agg->aggorder != NIL && (type == FLOAT4OID || type == FLOAT8OID))
		return NULL;
	if (strcmp(name, "sum") == 0)
		return cast_to(sum_of_partial(context, make_system_partial(context, "sum", arg, filter)),
					   agg->aggtype);
	/* the first value of an order is no value of a fragment's */
	if (combines_itself(agg) &&
		(agg->aggorder == NIL || strcmp(name, "any_value") != 0))
		return make_final(context, agg->aggfnoid, agg->aggtype,
						  cz_split_partial(context, agg->aggfnoid, agg->aggtype,
									   list_make1(arg), filter, agg->inputcollid),
						  agg->inputcollid);
	if (strcmp(name, "avg") == 0 && (is_exact_number(type) || type == INTERVALOID))
		return split_average(context, arg, filter);
	if (strcmp(name, "avg") == 0 && (type == FLOAT4OID || type == FLOAT8OID))
		return split_float_statistic(context, "avg", arg, filter);
	if (name_is_one_of(name, statistics))
	{
		if (type == FLOAT4OID || type == FLOAT8OID)
			return split_float_statistic(context, name, arg, filter);
		/* distinct squares are not squares of distinct values */
		if (is_exact_number(type) && squares_are_exact(arg) && context->distinct == NIL)
			return split_exact_statistic(context, name, arg, filter);
	}
	return NULL;
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
		Datum		root = NumericGetDatum(result);

		/*
		 * Core takes the root to just this scale.  numeric_sqrt() may choose one
		 * digit more, and rounding twice is not rounding once; NaN and infinity have
		 * no scale.
		 */
		if (!numeric_is_nan(result) && !numeric_is_inf(result))
		{
			Datum		scale = DirectFunctionCall1(numeric_scale, root);

			root = DirectFunctionCall2(numeric_round, root,
									   Int32GetDatum(DatumGetInt32(scale) +
													 CZ_EXTRA_DIGITS));
			root = DirectFunctionCall1(numeric_sqrt, root);
			root = DirectFunctionCall2(numeric_round, root, scale);
		}
		else
			root = DirectFunctionCall1(numeric_sqrt, root);
		PG_RETURN_DATUM(root);
	}
	PG_RETURN_NUMERIC(result);
}
