/*-------------------------------------------------------------------------
 *
 * aggstate.c
 *	  Transition states of aggregates: asked of the fragments, combined here.
 *
 * On the workers an aggregate of schema cz_partial returns, in place of a result,
 * the transition state: through the serialization function where the state is
 * internal, else as it is.  Here cz.combine() does with the states what core's
 * Agg node does with those of parallel workers: deserialize, combine, finish.
 * The aggregates of cz_partial exist here too, so that they can be deparsed.
 *
 * The first argument of cz.combine() tells which aggregate it is.  Its type has no
 * input, so only this file can make a call, and nobody else's bytea is taken for a
 * state.
 *
 * Source: own work; what is done with states follows
 * src/backend/executor/nodeAgg.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/planner.h"

#include "aggregate_int.h"

PG_FUNCTION_INFO_V1(aggregate_name_in);
PG_FUNCTION_INFO_V1(aggregate_name_out);
PG_FUNCTION_INFO_V1(combine_step);
PG_FUNCTION_INFO_V1(combine_final);

/* What is known of an aggregate, kept in FmgrInfo.fn_extra. */
typedef struct CombineInfo
{
	Oid			aggfnoid;
	FmgrInfo	combine;
	bool		has_deserial;
	FmgrInfo	deserial;
	bool		has_final;
	FmgrInfo	final;
	int			final_args;		/* arguments of the final function, state included */
	Oid			transtype;
	int16		translen;
	bool		transbyval;
	Datum		initial;
	bool		initial_isnull;
} CombineInfo;

/* The transition state of cz.combine(): the state of the aggregate so far. */
typedef struct CombineState
{
	Datum		value;
	bool		isnull;
	bool		is_empty;		/* a strict function takes the first value as it is */
} CombineState;

/* ---- the planner's side -------------------------------------------------- */

typedef struct AggregateForm
{
	FormData_pg_aggregate form;
	char	   *initial;		/* text or NULL */
} AggregateForm;

static bool
read_aggregate(Oid aggfnoid, AggregateForm *result)
{
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));
	Datum		initial;
	bool		isnull;

	if (!HeapTupleIsValid(tup))
		return false;
	memcpy(&result->form, GETSTRUCT(tup), sizeof(FormData_pg_aggregate));
	initial = SysCacheGetAttr(AGGFNOID, tup, Anum_pg_aggregate_agginitval, &isnull);
	result->initial = isnull ? NULL : TextDatumGetCString(initial);
	ReleaseSysCache(tup);
	return true;
}

/*
 * CzPartialAggregateName
 *		See planner.h.
 */
char *
CzPartialAggregateName(Oid aggfnoid)
{
	char	   *name = get_func_name(aggfnoid);
	char	   *full;
	int			len;

	if (aggfnoid < FirstGenbkiObjectId)
	{
		HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));

		if (!HeapTupleIsValid(tup))
			CzObjectIsGone("aggregate", aggfnoid);
		name = get_func_name(((Form_pg_aggregate) GETSTRUCT(tup))->aggtransfn);
		ReleaseSysCache(tup);
		return name;
	}
	full = quote_qualified_identifier(get_namespace_name(get_func_namespace(aggfnoid)), name);
	len = pg_mbcliplen(name, strlen(name), NAMEDATALEN - 10);
	return psprintf("%.*s_%08x", len, name,
					DatumGetUInt32(hash_any((unsigned char *) full, strlen(full))));
}

/*
 * CzPartialAggregateOf
 *		See planner.h.
 */
Oid
CzPartialAggregateOf(Oid aggfnoid)
{
	List	   *name = list_make2(makeString(CZ_PARTIAL_SCHEMA),
								  makeString(CzPartialAggregateName(aggfnoid)));
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(aggfnoid));
	Form_pg_proc proc;
	AggregateForm whole;
	AggregateForm part;
	Oid			result;

	if (!HeapTupleIsValid(tup))
		return InvalidOid;
	proc = (Form_pg_proc) GETSTRUCT(tup);
	result = LookupFuncName(name, proc->pronargs, proc->proargtypes.values, true);
	ReleaseSysCache(tup);
	if (!OidIsValid(result) || !read_aggregate(aggfnoid, &whole) ||
		!read_aggregate(result, &part))
		return InvalidOid;
	/* it may have been replaced since */
	if (whole.form.aggtransfn != part.form.aggtransfn ||
		whole.form.aggtranstype != part.form.aggtranstype ||
		whole.form.aggserialfn != part.form.aggfinalfn ||
		(whole.initial == NULL) != (part.initial == NULL) ||
		(whole.initial && strcmp(whole.initial, part.initial) != 0))
		return InvalidOid;
	return result;
}

/* Have all workers of a table the aggregates of cz_partial? */
static bool
workers_have_partials(const CzTable *table, bool is_internal)
{
	List	   *seen = NIL;
	int			i;
	int			j;

	for (i = 0; i < table->nshards; i++)
	{
		for (j = 0; j < table->shards[i].nplacements; j++)
		{
			Oid			server = table->shards[i].server_oids[j];

			if (list_member_oid(seen, server))
				continue;
			if (CzNodePartials(server) < (is_internal ? CZ_PARTIALS_ALL : CZ_PARTIALS_PLAIN))
				return false;
			seen = lappend_oid(seen, server);
		}
	}
	return seen != NIL;
}

/*
 * cz_split_by_state
 *		The outer expression of an aggregate whose transition state the fragments
 *		return; NULL if they can't.
 */
Node *
cz_split_by_state(CzSplitContext *context, Aggref *agg, List *args)
{
	AggregateForm whole;
	Oid			partial;
	Oid			argtypes[3];
	Aggref	   *outer;
	Const	   *name;
	List	   *outer_args;
	ListCell   *lc;
	int			n = 0;

	if (context->anchor == NULL || context->distinct != NIL || agg->aggorder != NIL ||
		agg->aggvariadic || !read_aggregate(agg->aggfnoid, &whole) ||
		whole.form.aggkind != AGGKIND_NORMAL || !OidIsValid(whole.form.aggcombinefn))
		return NULL;
	partial = CzPartialAggregateOf(agg->aggfnoid);
	if (!OidIsValid(partial) ||
		!workers_have_partials(context->anchor, whole.form.aggtranstype == INTERNALOID))
		return NULL;

	name = makeConst(typenameTypeId(NULL, makeTypeNameFromNameList(list_make2(makeString("cz"),
																			 makeString("aggregate_name")))),
					 -1, InvalidOid, sizeof(Oid), ObjectIdGetDatum(agg->aggfnoid), false, true);
	outer_args = list_make3(name,
							cz_split_column(context,
											cz_split_partial(context, partial,
															 get_func_rettype(partial), args,
															 (Node *) agg->aggfilter,
															 agg->inputcollid)),
							makeNullConst(agg->aggtype, -1, agg->aggcollid));

	outer = makeNode(Aggref);
	argtypes[0] = name->consttype;
	argtypes[1] = ANYELEMENTOID;
	argtypes[2] = ANYCOMPATIBLEOID;
	outer->aggfnoid = LookupFuncName(list_make2(makeString("cz"), makeString("combine")), 3,
									 argtypes, false);
	outer->aggtype = agg->aggtype;
	outer->aggcollid = agg->aggcollid;
	outer->inputcollid = agg->inputcollid;
	foreach(lc, outer_args)
	{
		outer->aggargtypes = lappend_oid(outer->aggargtypes, exprType(lfirst(lc)));
		outer->args = lappend(outer->args,
							  makeTargetEntry((Expr *) lfirst(lc), ++n, NULL, false));
	}
	outer->aggfilter = (Expr *) cz_split_filter(context);
	outer->aggkind = AGGKIND_NORMAL;
	outer->aggsplit = AGGSPLIT_SIMPLE;
	outer->aggno = -1;
	outer->aggtransno = -1;
	outer->location = -1;
	return (Node *) outer;
}

/* ---- the type cz.aggregate_name ------------------------------------------ */

Datum
aggregate_name_in(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a value of type %s cannot be written", "cz.aggregate_name")));
	PG_RETURN_VOID();
}

Datum
aggregate_name_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(format_procedure(PG_GETARG_OID(0)));
}

/* ---- combining ----------------------------------------------------------- */

static void
check_execute(Oid function, Oid role)
{
	AclResult	result = function_aclcheck_compat(function, role);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

/* The aggregate that the current call of cz.combine() is about. */
static CombineInfo *
combine_info(FunctionCallInfo fcinfo)
{
	CombineInfo *info = fcinfo->flinfo->fn_extra;
	Aggref	   *aggref;
	Const	   *name;
	AggregateForm agg;
	HeapTuple	tup;
	Form_pg_proc proc;
	Oid			owner;
	Oid			rettype;
	MemoryContext old;
	Expr	   *expr;
	int			nargs;

	if (info != NULL)
		return info;
	aggref = AggGetAggref(fcinfo);
	if (aggref == NULL || list_length(aggref->args) != 3)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this aggregate of schema \"cz\" cannot be called here")));
	name = (Const *) ((TargetEntry *) linitial(aggref->args))->expr;
	if (!IsA(name, Const) || name->constisnull ||
		!read_aggregate(DatumGetObjectId(name->constvalue), &agg) ||
		!OidIsValid(agg.form.aggcombinefn))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function is for internal use by cz_fdw plans only")));

	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(agg.form.aggfnoid));
	if (!HeapTupleIsValid(tup))
		CzObjectIsGone("function", agg.form.aggfnoid);
	proc = (Form_pg_proc) GETSTRUCT(tup);
	owner = proc->proowner;
	rettype = proc->prorettype;
	nargs = proc->pronargs;

	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	info = palloc0(sizeof(CombineInfo));
	info->aggfnoid = agg.form.aggfnoid;
	info->transtype = agg.form.aggtranstype;
	get_typlenbyval(info->transtype, &info->translen, &info->transbyval);

	/* the user calls the aggregate, its owner the functions, as in core */
	check_execute(info->aggfnoid, GetUserId());
	check_execute(agg.form.aggcombinefn, owner);
	fmgr_info_cxt(agg.form.aggcombinefn, &info->combine, CurrentMemoryContext);
	build_aggregate_transfn_expr(&info->transtype, 1, 0, false, info->transtype,
								 aggref->inputcollid, agg.form.aggcombinefn, InvalidOid, &expr,
								 NULL);
	fmgr_info_set_expr((Node *) expr, &info->combine);
	if (info->transtype == INTERNALOID)
	{
		if (!OidIsValid(agg.form.aggdeserialfn))
			elog(ERROR, "aggregate %u has no deserialization function", info->aggfnoid);
		check_execute(agg.form.aggdeserialfn, owner);
		info->has_deserial = true;
		fmgr_info_cxt(agg.form.aggdeserialfn, &info->deserial, CurrentMemoryContext);
		build_aggregate_deserialfn_expr(agg.form.aggdeserialfn, &expr);
		fmgr_info_set_expr((Node *) expr, &info->deserial);
	}
	info->final_args = 1;
	if (OidIsValid(agg.form.aggfinalfn))
	{
		Oid			input_types[FUNC_MAX_ARGS];

		check_execute(agg.form.aggfinalfn, owner);
		info->has_final = true;
		if (agg.form.aggfinalextra)
			info->final_args += nargs;
		memcpy(input_types, proc->proargtypes.values, nargs * sizeof(Oid));
		fmgr_info_cxt(agg.form.aggfinalfn, &info->final, CurrentMemoryContext);
		build_aggregate_finalfn_expr(input_types, info->final_args, info->transtype, rettype,
									 aggref->inputcollid, agg.form.aggfinalfn, &expr);
		fmgr_info_set_expr((Node *) expr, &info->final);
	}
	info->initial_isnull = agg.initial == NULL;
	if (agg.initial)
	{
		Oid			input;
		Oid			param;

		getTypeInputInfo(info->transtype, &input, &param);
		info->initial = OidInputFunctionCall(input, agg.initial, param, -1);
	}
	ReleaseSysCache(tup);
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = info;
	return info;
}

static CombineState *
initial_state(CombineInfo *info, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	CombineState *state = palloc0(sizeof(CombineState));

	state->isnull = state->is_empty = info->initial_isnull;
	if (!state->isnull)
		state->value = datumCopy(info->initial, info->transbyval, info->translen);
	MemoryContextSwitchTo(old);
	return state;
}

/* Make a value the state, in the aggregate's memory; the one before is freed. */
static void
keep_value(CombineState *state, CombineInfo *info, Datum value, bool isnull,
		   MemoryContext context)
{
	MemoryContext old;

	if (!info->transbyval && !(!isnull && !state->isnull && DatumGetPointer(value) ==
							   DatumGetPointer(state->value)))
	{
		Datum		before = state->value;
		bool		before_isnull = state->isnull;

		if (!isnull &&
			!(DatumIsReadWriteExpandedObject(value, false, info->translen) &&
			  MemoryContextGetParent(DatumGetEOHP(value)->eoh_context) == context))
		{
			old = MemoryContextSwitchTo(context);
			value = datumCopy(value, info->transbyval, info->translen);
			MemoryContextSwitchTo(old);
		}
		if (!before_isnull)
		{
			if (DatumIsReadWriteExpandedObject(before, false, info->translen))
				DeleteExpandedObject(before);
			else
				pfree(DatumGetPointer(before));
		}
	}
	state->value = isnull ? (Datum) 0 : value;
	state->isnull = isnull;
	state->is_empty = false;
}

/*
 * combine_step
 *		Add the state of one fragment's group.
 */
Datum
combine_step(PG_FUNCTION_ARGS)
{
	CombineState *state;
	CombineInfo *info;
	MemoryContext context;
	Datum		input = PG_GETARG_DATUM(2);
	bool		input_isnull = PG_ARGISNULL(2);
	LOCAL_FCINFO(call, 2);
	Datum		result;

	if (AggCheckCallContext(fcinfo, &context) != AGG_CONTEXT_AGGREGATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this aggregate of schema \"cz\" cannot be called here")));
	info = combine_info(fcinfo);
	state = PG_ARGISNULL(0) ? initial_state(info, context) :
		(CombineState *) PG_GETARG_POINTER(0);

	/* 1. from bytea */
	if (info->has_deserial && !(input_isnull && info->deserial.fn_strict))
	{
		InitFunctionCallInfoData(*call, &info->deserial, 2, InvalidOid, fcinfo->context, NULL);
		call->args[0].value = input;
		call->args[0].isnull = input_isnull;
		call->args[1].value = (Datum) 0;
		call->args[1].isnull = false;
		input = FunctionCallInvoke(call);
		input_isnull = call->isnull;
	}

	/* 2. a strict function does not see NULLs */
	if (info->combine.fn_strict)
	{
		if (input_isnull)
			PG_RETURN_POINTER(state);
		if (state->is_empty)
		{
			keep_value(state, info, input, false, context);
			PG_RETURN_POINTER(state);
		}
		if (state->isnull)
			PG_RETURN_POINTER(state);
	}

	/* 3. combine */
	InitFunctionCallInfoData(*call, &info->combine, 2, PG_GET_COLLATION(), fcinfo->context,
							 NULL);
	call->args[0].value = state->value;
	call->args[0].isnull = state->isnull;
	call->args[1].value = input;
	call->args[1].isnull = input_isnull;
	result = FunctionCallInvoke(call);
	keep_value(state, info, result, call->isnull, context);
	PG_RETURN_POINTER(state);
}

/*
 * combine_final
 *		The result of the aggregate; over no states, that over no rows.
 */
Datum
combine_final(PG_FUNCTION_ARGS)
{
	CombineInfo *info = combine_info(fcinfo);
	CombineState *state = PG_ARGISNULL(0) ? initial_state(info, CurrentMemoryContext) :
		(CombineState *) PG_GETARG_POINTER(0);
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	Datum		result = state->value;
	bool		isnull = state->isnull;
	int			i;

	if (info->has_final)
	{
		if (info->final.fn_strict && (isnull || info->final_args > 1))
			PG_RETURN_NULL();
		InitFunctionCallInfoData(*call, &info->final, info->final_args, PG_GET_COLLATION(),
								 fcinfo->context, NULL);
		call->args[0].value = MakeExpandedObjectReadOnly(state->value, state->isnull,
														 info->translen);
		call->args[0].isnull = state->isnull;
		for (i = 1; i < info->final_args; i++)
		{
			call->args[i].value = (Datum) 0;
			call->args[i].isnull = true;
		}
		result = FunctionCallInvoke(call);
		isnull = call->isnull;
	}
	else if (!isnull)
		result = datumCopy(result, info->transbyval, info->translen);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
