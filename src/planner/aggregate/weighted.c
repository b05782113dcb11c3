/*-------------------------------------------------------------------------
 *
 * weighted.c
 *	  Ordered-set aggregates over values with counts.
 *
 * percentile_cont, percentile_disc and mode need all values here, but each only once:
 * fragments group by the value and count.  The aggregates of schema cz that finish
 * the work are plain ones with ORDER BY, so core sorts the values (and spills them);
 * they are kept in a tuplestore (which spills too) until the number of rows, and
 * so the places looked for, is known.
 *
 * Whether that pays is a matter of how often values repeat (split.c asks).
 *
 * Source: own work; the places and what is made of two neighbours are those of
 * src/backend/utils/adt/orderedsetaggs.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "aggregate_int.h"

PG_FUNCTION_INFO_V1(weighted_step);
PG_FUNCTION_INFO_V1(weighted_disc);
PG_FUNCTION_INFO_V1(weighted_disc_array);
PG_FUNCTION_INFO_V1(weighted_cont);
PG_FUNCTION_INFO_V1(weighted_cont_array);
PG_FUNCTION_INFO_V1(weighted_mode_step);
PG_FUNCTION_INFO_V1(weighted_mode);

/* ---- the planner's side -------------------------------------------------- */

/* Fractions that are known now and will raise no error. */
static bool
fractions_are_good(Node *node)
{
	Const	   *c = (Const *) node;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (!IsA(node, Const))
		return false;
	if (c->constisnull)
		return true;
	if (c->consttype == FLOAT8OID)
	{
		double		fraction = DatumGetFloat8(c->constvalue);

		return fraction >= 0 && fraction <= 1;
	}
	if (c->consttype != FLOAT8ARRAYOID)
		return false;
	deconstruct_array(DatumGetArrayTypeP(c->constvalue), FLOAT8OID, sizeof(float8),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, &n);
	while (n-- > 0)
	{
		if (!nulls[n] && !(DatumGetFloat8(values[n]) >= 0 && DatumGetFloat8(values[n]) <= 1))
			return false;
	}
	return true;
}

/*
 * cz_weighted_value
 *		What fragments group by for an ordered-set aggregate; NULL if it is not one
 *		of these.
 */
Node *
cz_weighted_value(Aggref *agg, CzPlanState *state)
{
	TargetEntry *value;
	SortGroupClause *sort;

	switch (agg->aggfnoid)
	{
		case F_PERCENTILE_DISC_FLOAT8_ANYELEMENT:
		case F_PERCENTILE_DISC__FLOAT8_ANYELEMENT:
		case F_PERCENTILE_CONT_FLOAT8_FLOAT8:
		case F_PERCENTILE_CONT_FLOAT8_INTERVAL:
		case F_PERCENTILE_CONT__FLOAT8_FLOAT8:
		case F_PERCENTILE_CONT__FLOAT8_INTERVAL:
			if (list_length(agg->aggdirectargs) != 1 ||
				!fractions_are_good(cz_fold(linitial(agg->aggdirectargs), state)))
				return NULL;
			break;
		case F_MODE:
			break;
		default:
			return NULL;
	}
	if (list_length(agg->args) != 1 || list_length(agg->aggorder) != 1)
		return NULL;
	value = linitial(agg->args);
	sort = linitial(agg->aggorder);
	if (lookup_type_cache(exprType((Node *) value->expr), TYPECACHE_EQ_OPR)->eq_opr !=
		sort->eqop)
		return NULL;
	return (Node *) value->expr;
}

/*
 * cz_make_weighted
 *		The outer aggregate: agg over the values of a column and how many rows have
 *		each.
 */
Node *
cz_make_weighted(Aggref *agg, Node *value, Node *weight, Node *filter, CzPlanState *state)
{
	bool		is_mode = agg->aggfnoid == F_MODE;
	Aggref	   *outer = makeNode(Aggref);
	List	   *args = list_make2(value, weight);
	SortGroupClause *sort = copyObject(linitial_node(SortGroupClause, agg->aggorder));
	Oid			argtypes[3];
	Oid			value_type = exprType(value);
	char	   *name = get_func_name(agg->aggfnoid);
	ListCell   *lc;
	int			n = 0;

	if (!is_mode)
		args = lcons(cz_fold(copyObject(linitial(agg->aggdirectargs)), state), args);
	if (is_mode || agg->aggfnoid == F_PERCENTILE_DISC_FLOAT8_ANYELEMENT ||
		agg->aggfnoid == F_PERCENTILE_DISC__FLOAT8_ANYELEMENT)
		value_type = ANYELEMENTOID;
	if (!is_mode)
		argtypes[n++] = exprType(linitial(args));
	argtypes[n++] = value_type;
	argtypes[n++] = INT8OID;
	outer->aggfnoid = LookupFuncName(list_make2(makeString("cz"), makeString(name)), n,
									 argtypes, false);
	outer->aggtype = agg->aggtype;
	outer->aggcollid = agg->aggcollid;
	outer->inputcollid = agg->inputcollid;
	n = 0;
	foreach(lc, args)
	{
		TargetEntry *tle = makeTargetEntry(lfirst(lc), ++n, NULL, false);

		outer->aggargtypes = lappend_oid(outer->aggargtypes, exprType(lfirst(lc)));
		if (lfirst(lc) == value)
			tle->ressortgroupref = sort->tleSortGroupRef = 1;
		outer->args = lappend(outer->args, tle);
	}
	outer->aggorder = list_make1(sort);
	outer->aggfilter = (Expr *) filter;
	outer->aggkind = AGGKIND_NORMAL;
	outer->aggsplit = AGGSPLIT_SIMPLE;
	outer->aggno = -1;
	outer->aggtransno = -1;
	outer->location = -1;
	return (Node *) outer;
}

/* ---- percentiles --------------------------------------------------------- */

typedef struct Weighted
{
	Tuplestorestate *store;		/* values and counts, in order */
	TupleTableSlot *slot;
	TupleDesc	desc;
	int64		total;			/* rows */
	bool		has_fraction;
	Datum		fraction;		/* float8, or float8[]; NULL without has_fraction */
	Oid			type;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int64		before;			/* rows before the one in the slot */
	int64		count;			/* its count; 0: none read yet */
} Weighted;

static void
weighted_end(Datum arg)
{
	Weighted   *state = (Weighted *) DatumGetPointer(arg);

	if (state->store)
		tuplestore_end(state->store);
	state->store = NULL;
	if (state->slot)
		ExecDropSingleTupleTableSlot(state->slot);
	state->slot = NULL;
}

static Weighted *
weighted_begin(FunctionCallInfo fcinfo, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Weighted   *state = palloc0(sizeof(Weighted));

	state->type = get_fn_expr_argtype(fcinfo->flinfo, 2);
	if (!OidIsValid(state->type))
		elog(ERROR, "could not determine input data type");
	get_typlenbyvalalign(state->type, &state->typlen, &state->typbyval, &state->typalign);
	state->desc = CreateTemplateTupleDesc(2);
	TupleDescInitEntry(state->desc, 1, "value", state->type, -1, 0);
	TupleDescInitEntry(state->desc, 2, "count", INT8OID, -1, 0);
	state->store = tuplestore_begin_heap(true, false, work_mem);
	state->slot = MakeSingleTupleTableSlot(state->desc, &TTSOpsMinimalTuple);
	state->has_fraction = !PG_ARGISNULL(1);
	if (state->has_fraction)
	{
		Oid			fraction_type = get_fn_expr_argtype(fcinfo->flinfo, 1);

		state->fraction = fraction_type == FLOAT8OID ?
			datumCopy(PG_GETARG_DATUM(1), FLOAT8PASSBYVAL, sizeof(float8)) :
			PointerGetDatum(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(1)));
	}
	MemoryContextSwitchTo(old);
	AggRegisterCallback(fcinfo, weighted_end, PointerGetDatum(state));
	return state;
}

/*
 * weighted_step
 *		(state, fraction or fractions, value, count): values come in order.
 */
Datum
weighted_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext old;
	Weighted   *state;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (AggCheckCallContext(fcinfo, &context) != AGG_CONTEXT_AGGREGATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this aggregate of schema \"cz\" cannot be called here")));
	state = PG_ARGISNULL(0) ? weighted_begin(fcinfo, context) :
		(Weighted *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_GETARG_INT64(3) <= 0)
		PG_RETURN_POINTER(state);
	values[0] = PG_GETARG_DATUM(2);
	values[1] = PG_GETARG_DATUM(3);
	old = MemoryContextSwitchTo(context);
	tuplestore_putvalues(state->store, state->desc, values, nulls);
	MemoryContextSwitchTo(old);
	state->total += PG_GETARG_INT64(3);
	PG_RETURN_POINTER(state);
}

/* The value of the row at a place, counted from 0; borrowed until the next call. */
static Datum
value_at(Weighted *state, int64 place)
{
	bool		isnull;

	if (place < state->before || state->count == 0)
	{
		tuplestore_rescan(state->store);
		state->before = 0;
		state->count = 0;
	}
	while (place >= state->before + state->count)
	{
		state->before += state->count;
		if (!tuplestore_gettupleslot(state->store, true, false, state->slot))
			elog(ERROR, "missing row in percentile");
		state->count = DatumGetInt64(slot_getattr(state->slot, 2, &isnull));
	}
	return slot_getattr(state->slot, 1, &isnull);
}

static Datum
copy_value(Weighted *state, Datum value)
{
	return datumCopy(value, state->typbyval, state->typlen);
}

static void
check_fraction(double fraction)
{
	if (fraction < 0 || fraction > 1 || isnan(fraction))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("percentile value %g is not between 0 and 1", fraction)));
}

static Datum
discrete(Weighted *state, double fraction)
{
	int64		row = (int64) ceil(fraction * state->total);

	check_fraction(fraction);
	return copy_value(state, value_at(state, Max(row, 1) - 1));
}

static Datum
continuous(Weighted *state, double fraction)
{
	double		place = fraction * (state->total - 1);
	int64		first_row = floor(place);
	int64		second_row = ceil(place);
	Datum		first;
	Datum		second;
	double		share;

	check_fraction(fraction);
	first = copy_value(state, value_at(state, first_row));
	if (first_row == second_row)
		return first;
	second = copy_value(state, value_at(state, second_row));
	share = place - first_row;
	if (state->type == FLOAT8OID)
	{
		double		low = DatumGetFloat8(first);

		return Float8GetDatum(low + share * (DatumGetFloat8(second) - low));
	}
	Assert(state->type == INTERVALOID);
	second = DirectFunctionCall2(interval_mi, second, first);
	second = DirectFunctionCall2(interval_mul, second, Float8GetDatum(share));
	return DirectFunctionCall2(interval_pl, second, first);
}

static Datum
percentile(FunctionCallInfo fcinfo, Datum (*compute) (Weighted *, double))
{
	Weighted   *state = PG_ARGISNULL(0) ? NULL : (Weighted *) PG_GETARG_POINTER(0);

	if (state == NULL || state->total == 0 || !state->has_fraction)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(compute(state, DatumGetFloat8(state->fraction)));
}

static Datum
percentiles(FunctionCallInfo fcinfo, Datum (*compute) (Weighted *, double))
{
	Weighted   *state = PG_ARGISNULL(0) ? NULL : (Weighted *) PG_GETARG_POINTER(0);
	ArrayType  *fractions;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			i;

	if (state == NULL || state->total == 0 || !state->has_fraction)
		PG_RETURN_NULL();
	fractions = DatumGetArrayTypeP(state->fraction);
	deconstruct_array(fractions, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &values, &nulls, &n);
	if (n == 0)
		PG_RETURN_POINTER(construct_empty_array(state->type));
	for (i = 0; i < n; i++)
	{
		if (!nulls[i])
			values[i] = compute(state, DatumGetFloat8(values[i]));
	}
	PG_RETURN_POINTER(construct_md_array(values, nulls, ARR_NDIM(fractions),
										 ARR_DIMS(fractions), ARR_LBOUND(fractions),
										 state->type, state->typlen, state->typbyval,
										 state->typalign));
}

Datum
weighted_disc(PG_FUNCTION_ARGS)
{
	return percentile(fcinfo, discrete);
}

Datum
weighted_disc_array(PG_FUNCTION_ARGS)
{
	return percentiles(fcinfo, discrete);
}

Datum
weighted_cont(PG_FUNCTION_ARGS)
{
	return percentile(fcinfo, continuous);
}

Datum
weighted_cont_array(PG_FUNCTION_ARGS)
{
	return percentiles(fcinfo, continuous);
}

/* ---- mode ---------------------------------------------------------------- */

typedef struct ModeState
{
	bool		has_value;
	Datum		value;			/* the value that comes now, and its rows so far */
	int64		count;
	bool		has_best;
	Datum		best;			/* the first of those with the most rows */
	int64		best_count;
	FmgrInfo	equal;
	int16		typlen;
	bool		typbyval;
} ModeState;

static void
mode_note(ModeState *state)
{
	if (!state->has_value || (state->has_best && state->count <= state->best_count))
		return;
	if (state->has_best && !state->typbyval)
		pfree(DatumGetPointer(state->best));
	state->best = datumCopy(state->value, state->typbyval, state->typlen);
	state->best_count = state->count;
	state->has_best = true;
}

/*
 * weighted_mode_step
 *		(state, value, count): values come in order.
 */
Datum
weighted_mode_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext old;
	ModeState	   *state = PG_ARGISNULL(0) ? NULL : (ModeState *) PG_GETARG_POINTER(0);

	if (AggCheckCallContext(fcinfo, &context) != AGG_CONTEXT_AGGREGATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this aggregate of schema \"cz\" cannot be called here")));
	old = MemoryContextSwitchTo(context);
	if (state == NULL)
	{
		Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 1);
		TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO);

		if (!OidIsValid(cache->eq_opr_finfo.fn_oid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("could not identify an equality operator for type %s",
							format_type_be(type))));
		state = palloc0(sizeof(ModeState));
		fmgr_info_cxt(cache->eq_opr_finfo.fn_oid, &state->equal, context);
		state->typlen = cache->typlen;
		state->typbyval = cache->typbyval;
	}
	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		Datum		value = PG_GETARG_DATUM(1);

		if (state->has_value &&
			DatumGetBool(FunctionCall2Coll(&state->equal, PG_GET_COLLATION(), state->value,
										   value)))
			state->count += PG_GETARG_INT64(2);
		else
		{
			mode_note(state);
			if (state->has_value && !state->typbyval)
				pfree(DatumGetPointer(state->value));
			state->value = datumCopy(value, state->typbyval, state->typlen);
			state->count = PG_GETARG_INT64(2);
			state->has_value = true;
		}
	}
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(state);
}

Datum
weighted_mode(PG_FUNCTION_ARGS)
{
	ModeState	   *state = PG_ARGISNULL(0) ? NULL : (ModeState *) PG_GETARG_POINTER(0);

	if (state == NULL || !state->has_value)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(datumCopy(!state->has_best || state->count > state->best_count ?
							  state->value : state->best, state->typbyval, state->typlen));
}
