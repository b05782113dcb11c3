/*-------------------------------------------------------------------------
 *
 * shippable.c
 *	  Which expressions a worker evaluates to the same value as we do.
 *
 * Shippable are built-in functions that are immutable, those of extensions that
 * every worker has as the coordinator has them, and a list of built-in stable
 * ones that read only settings which remote sessions follow (TimeZone, text search
 * configuration).  Sub-expressions without columns that are stable
 * are not refused: they are evaluated here and sent as parameters.
 *
 * What decides how texts of values are written and read (DateStyle, lc_monetary and
 * others: util/pins.c) is pinned on the workers, because values travel as text; an
 * expression whose value depends on it (a date cast to text, say) is therefore not
 * shippable.
 *
 * Source: own work; the question asked is that of contrib/postgres_fdw/shippable.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "tsearch/ts_cache.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/planner.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/trust.h"

#include "../planner_int.h"

typedef struct ShipContext
{
	const char *reason;
	int			conditional_depth;	/* inside CASE or COALESCE */
	bool		is_lazy;		/* only what is_total() says is sent as a value */
	bool		is_update;		/* in an UPDATE or ON CONFLICT, not in a sub-query
								 * of it */
	Node	   *root;			/* what was asked about */
	bool		has_types;		/* is the next one set? */
	List	   *types;			/* OIDs of user-made types that the workers have */
} ShipContext;

static bool ship_walker(Node *node, ShipContext *context);

/* Is it an aggregate of cz_partial? */
static bool
is_partial_aggregate(Oid funcid)
{
	char	   *schema = get_namespace_name(get_func_namespace(funcid));

	return schema != NULL && strcmp(schema, CZ_PARTIAL_SCHEMA) == 0 &&
		get_func_prokind(funcid) == PROKIND_AGGREGATE;
}

/* Is it part of an extension that all workers have? */
static bool
is_of_shared_extension(Oid classid, Oid objid)
{
	return objid >= FirstGenbkiObjectId &&
		CzExtensionIsShared(getExtensionOfObject(classid, objid));
}

/* check_functions_in_node callback: true if the function must stay here */
static bool
function_stays(Oid funcid, void *arg)
{
	ShipContext *context = (ShipContext *) arg;

	/* these are on the workers, or the planner would not have put them there */
	if (funcid >= FirstGenbkiObjectId && is_partial_aggregate(funcid))
		return false;
	if (!CzFunctionIsTrusted(funcid, NULL, NULL))
	{
		const char *why = func_volatile(funcid) == PROVOLATILE_VOLATILE ? "is volatile" :
			is_of_shared_extension(ProcedureRelationId, funcid) ?
			"is not immutable, or not everybody may execute it" :
			"is neither built in nor of an extension that all workers have";

		context->reason = psprintf("function %s %s", format_procedure(funcid), why);
		return true;
	}
	if (funcid >= FirstGenbkiObjectId)
	{
		FmgrInfo	flinfo;

		/* trusted, and yet not immutable: it reads the thresholds of pg_trgm */
		if (func_volatile(funcid) != PROVOLATILE_IMMUTABLE)
		{
			/* loads its library, which has the settings */
			fmgr_info(funcid, &flinfo);
			CzSessionFollowTrigrams();
		}
		return false;
	}
	if (func_volatile(funcid) == PROVOLATILE_STABLE && !cz_is_shippable_stable(funcid))
	{
		context->reason = psprintf("function %s cannot be evaluated on a worker",
								   format_procedure(funcid));
		return true;
	}
	/* immutable to core, though it reads quote_all_identifiers, which is pinned */
	if (funcid == F_QUOTE_IDENT)
	{
		context->reason = psprintf("function %s depends on a setting",
								   format_procedure(funcid));
		return true;
	}
	if (cz_reads_search_config(funcid) && getTSCurrentConfig(false) >= FirstNormalObjectId)
	{
		context->reason = "the text search configuration is not built in";
		return true;
	}
	return false;
}

static bool
has_immutable_output(Oid type)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	return func_volatile(output) == PROVOLATILE_IMMUTABLE;
}

/* Types whose text form depends on settings that are pinned on the workers. */
static bool
text_form_depends_on_settings(Oid type)
{
	type = getBaseType(type);
	switch (type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case CASHOID:
			return true;
		case FLOAT4OID:
		case FLOAT8OID:
			return extra_float_digits < 1;
		default:
			/* containers print their elements, types of extensions maybe floats */
			if (is_of_shared_extension(TypeRelationId, type))
				return extra_float_digits < 1 || !has_immutable_output(type);
			return !(type == TEXTOID || type == VARCHAROID || type == BPCHAROID ||
					 type == NAMEOID || type == CHAROID || type == INT2OID ||
					 type == INT4OID || type == INT8OID || type == NUMERICOID ||
					 type == BOOLOID || type == UUIDOID || type == JSONOID ||
					 type == JSONBOID || type == OIDOID ||
					 type == BITOID || type == VARBITOID ||
					 type == INETOID || type == CIDROID || type == UNKNOWNOID ||
					 type_is_enum(type));
	}
}

/*
 * Types whose form in JSON depends on a setting that is pinned on the workers:
 * intervals, floats when digits are cut, and what holds any of them.
 */
static bool
json_form_depends_on_settings(Node *arg)
{
	Oid			type = getBaseType(exprType(arg));
	Oid			elem = get_element_type(type);
	ListCell   *lc;

	if (IsA(arg, ArrayExpr))
	{
		foreach(lc, ((ArrayExpr *) arg)->elements)
		{
			if (json_form_depends_on_settings(lfirst(lc)))
				return true;
		}
		return false;
	}
	if (IsA(arg, RowExpr))
	{
		foreach(lc, ((RowExpr *) arg)->args)
		{
			if (json_form_depends_on_settings(lfirst(lc)))
				return true;
		}
		return false;
	}
	if (OidIsValid(elem))
		type = getBaseType(elem);
	if (type == INTERVALOID || type == RECORDOID || type == RECORDARRAYOID ||
		type == CASHOID || CzIsRegType(type))
		return true;
	if (type == FLOAT4OID || type == FLOAT8OID)
		return extra_float_digits < 1;
	if (get_typtype(type) == TYPTYPE_COMPOSITE)
	{
		TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);
		int			i;

		for (i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);
			Var			column;

			if (att->attisdropped)
				continue;
			memset(&column, 0, sizeof(column));
			column.xpr.type = T_Var;
			column.vartype = att->atttypid;
			column.vartypmod = -1;
			if (json_form_depends_on_settings((Node *) &column))
				return true;
		}
	}
	return false;
}

/* Is it a call that makes JSON of a value whose form depends on the session? */
static bool
makes_session_json(Node *node)
{
	Oid			funcid;
	List	   *args;
	char	   *name;
	ListCell   *lc;

	if (IsA(node, FuncExpr))
	{
		funcid = ((FuncExpr *) node)->funcid;
		args = ((FuncExpr *) node)->args;
	}
	else if (IsA(node, Aggref))
	{
		funcid = ((Aggref *) node)->aggfnoid;
		args = ((Aggref *) node)->args;
	}
	else
		return false;
	if (funcid >= FirstGenbkiObjectId)
		return false;
	name = get_func_name(funcid);
	if (name == NULL || strstr(name, "json") == NULL)
		return false;
	foreach(lc, args)
	{
		Node	   *arg = lfirst(lc);

		if (IsA(arg, TargetEntry))
			arg = (Node *) ((TargetEntry *) arg)->expr;
		if (json_form_depends_on_settings(arg))
			return true;
	}
	return false;
}

/* Does to_char() of a number print the currency symbol of lc_monetary, or may it? */
static bool
prints_currency(Node *node)
{
	FuncExpr   *func = (FuncExpr *) node;
	Const	   *format;

	if (!IsA(node, FuncExpr) || strcmp(locale_monetary, "C") == 0 ||
		strcmp(locale_monetary, "POSIX") == 0)
		return false;
	switch (func->funcid)
	{
		case F_TO_CHAR_INT4_TEXT:
		case F_TO_CHAR_INT8_TEXT:
		case F_TO_CHAR_FLOAT4_TEXT:
		case F_TO_CHAR_FLOAT8_TEXT:
		case F_TO_CHAR_NUMERIC_TEXT:
			break;
		default:
			return false;
	}
	format = lsecond(func->args);
	return !IsA(format, Const) ||
		(!format->constisnull &&
		 strpbrk(TextDatumGetCString(format->constvalue), "lL") != NULL);
}

/* A call of a function, be it by an operator. */
static bool
is_call(Node *node, Oid *funcid, List **args)
{
	if (IsA(node, FuncExpr))
	{
		*funcid = ((FuncExpr *) node)->funcid;
		*args = ((FuncExpr *) node)->args;
		return true;
	}
	if (IsA(node, OpExpr))
	{
		*funcid = ((OpExpr *) node)->opfuncid;
		*args = ((OpExpr *) node)->args;
		return true;
	}
	return false;
}

/*
 * Is it a call of a function that is stable only because it prints its arguments, as
 * concat() does, and if so: does none of them print as a setting says?
 */
static bool
prints_arguments(Node *node, bool *is_sure)
{
	Oid			funcid;
	List	   *args;
	ListCell   *lc;

	if (!is_call(node, &funcid, &args))
		return false;
	*is_sure = true;
	switch (funcid)
	{
		case F_FORMAT_TEXT:
		case F_FORMAT_TEXT_ANY:
			{
				Const	   *format = (Const *) cz_strip(linitial(args));

				/* %I reads quote_all_identifiers, which is pinned */
				*is_sure = IsA(format, Const) &&
					(format->constisnull ||
					 strchr(TextDatumGetCString(format->constvalue), 'I') == NULL);
			}
			break;
		case F_ANYTEXTCAT:
		case F_TEXTANYCAT:
		case F_ARRAY_TO_STRING_ANYARRAY_TEXT:
		case F_ARRAY_TO_STRING_ANYARRAY_TEXT_TEXT:
		case F_CONCAT:
		case F_CONCAT_WS:
			break;
		default:
			return false;
	}
	foreach(lc, args)
	{
		Oid			type = getBaseType(exprType(lfirst(lc)));
		Oid			elem = get_element_type(type);

		if (text_form_depends_on_settings(OidIsValid(elem) ? elem : type))
			*is_sure = false;
	}
	return true;
}

/* ---- types made by users -------------------------------------------------- */

static void
note_type(Oid type, ShipContext *context)
{
	Oid			elem = get_element_type(type);

	for (;;)
	{
		Oid			base;

		if (OidIsValid(elem))
			type = elem;
		context->types = list_append_unique_oid(context->types, type);
		base = getBaseType(type);
		if (base == type)
			return;
		type = base;
		elem = get_element_type(type);
	}
}

/*
 * Types of the columns of tables in a Query, else of the Vars of an expression:
 * workers have these, because they have the tables.
 */
static bool
types_walker(Node *node, ShipContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && !IsA(context->root, Query))
	{
		note_type(((Var *) node)->vartype, context);
		return false;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		Relation	rel;
		int			i;

		if (rte->rtekind != RTE_RELATION || CzTableGet(rte->relid) == NULL)
			return false;
		rel = table_open(rte->relid, NoLock);
		for (i = 0; i < RelationGetDescr(rel)->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

			if (!att->attisdropped)
				note_type(att->atttypid, context);
		}
		table_close(rel, NoLock);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, types_walker, (void *) context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, types_walker, (void *) context);
}

/* May the name of this type stand in a fragment? */
static bool
type_is_known(Oid type, ShipContext *context)
{
	Oid			elem = get_element_type(type);

	if (OidIsValid(elem))
		type = elem;
	if (type < FirstNormalObjectId || is_of_shared_extension(TypeRelationId, type))
		return true;
	if (!context->has_types)
	{
		context->has_types = true;
		types_walker(context->root, context);
	}
	return list_member_oid(context->types, type);
}

/*
 * cz_type_is_known
 *		Do the workers have a type, because they have the tables of a Query?
 */
bool
cz_type_is_known(Oid type, Query *query)
{
	ShipContext context;

	memset(&context, 0, sizeof(context));
	context.root = (Node *) query;
	return type_is_known(type, &context);
}

/* Do a row's fields have other names than ROW() gives them? */
static bool
has_field_names(RowExpr *row)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, row->colnames)
	{
		char		name[16];

		snprintf(name, sizeof(name), "f%d", ++n);
		if (strcmp(strVal(lfirst(lc)), name) != 0)
			return true;
	}
	return false;
}

/* A text search configuration or dictionary that every server has. */
static bool
is_builtin_search_object(Const *c)
{
	return !c->constisnull &&
		(c->consttype == REGCONFIGOID || c->consttype == REGDICTIONARYOID) &&
		DatumGetObjectId(c->constvalue) < FirstNormalObjectId;
}

/*
 * cz_is_closed_stable
 *		May the expression be evaluated once, here, and its value be sent?
 *
 * It must use no columns, no executor parameters, no sub-queries and nothing
 * volatile, and not be a mere constant or immutable expression of constants that every
 * worker knows.
 */
static bool
param_is_closed(Param *param)
{
	return param->paramkind == PARAM_EXTERN ||
		(param->paramkind == PARAM_EXEC && cz_plan_state != NULL &&
		 cz_plan_state->takes_exec_params);
}

static bool
open_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, Aggref) || IsA(node, WindowFunc) ||
		IsA(node, GroupingFunc) || IsA(node, SubLink) || IsA(node, SubPlan) ||
		IsA(node, AlternativeSubPlan) || IsA(node, PlaceHolderVar) ||
		IsA(node, CaseTestExpr) || IsA(node, CoerceToDomainValue) ||
		IsA(node, Query) || IsA(node, CurrentOfExpr) || IsA(node, SetToDefault) ||
		IsA(node, NextValueExpr))
		return true;
	if (IsA(node, Param) && !param_is_closed((Param *) node))
		return true;
	return expression_tree_walker(node, open_walker, context);
}

bool
cz_is_closed_stable(Node *expr)
{
	const char *reason;

	if (expr == NULL || IsA(expr, Const) || IsA(expr, List) || IsA(expr, TargetEntry) ||
		IsA(expr, FromExpr) || IsA(expr, RangeTblRef) || IsA(expr, JoinExpr))
		return false;
	if (IsA(expr, Param))
		return param_is_closed((Param *) expr);
	switch (nodeTag(expr))
	{
		case T_FuncExpr:
		case T_OpExpr:
		case T_SQLValueFunction:
		case T_CoerceViaIO:
		case T_RelabelType:
		case T_ArrayCoerceExpr:
			break;
		default:
			return false;
	}
	if (open_walker(expr, NULL))
		return false;
	if (expression_returns_set(expr))
		return false;
	if (contain_volatile_functions(expr))
		return false;
	/* immutable and made of constants: the worker can do it just as well, if it is not too old */
	if (!contain_mutable_functions(expr))
		return CzExprIsTooNew(expr, &reason);
	return true;
}

/*
 * cz_is_closed
 *		May the expression be evaluated once, here, be it constant or not?
 */
bool
cz_is_closed(Node *expr)
{
	return !open_walker(expr, NULL) && !expression_returns_set(expr) &&
		!contain_volatile_functions(expr);
}

/*
 * A parameter, or a function like now() that just tells a value.  Not the value of
 * another part of the plan: finding it may fail.
 */
static bool
cannot_fail(Node *node)
{
	return (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN) || IsA(node, SQLValueFunction) ||
		(IsA(node, FuncExpr) && ((FuncExpr *) node)->args == NIL);
}

/*
 * An expression of values that are there at start and of operations on them that fail
 * for absurd values only.
 */
static bool
is_total(Node *node)
{
	Oid			funcid;
	List	   *args;
	ListCell   *lc;

	if (IsA(node, Const) || cannot_fail(node))
		return true;
	if (IsA(node, RelabelType))
		return is_total((Node *) ((RelabelType *) node)->arg);
	if (!is_call(node, &funcid, &args))
		return false;
	switch (funcid)
	{
		case F_DATE_PLI:
		case F_DATE_MII:
		case F_DATE_PL_INTERVAL:
		case F_DATE_MI_INTERVAL:
		case F_DATE_TIMESTAMP:
		case F_DATE_TIMESTAMPTZ:
		case F_TIMESTAMP_DATE:
		case F_TIMESTAMP_PL_INTERVAL:
		case F_TIMESTAMP_MI_INTERVAL:
		case F_TIMESTAMP_TIMESTAMPTZ:
		case F_TIMESTAMPTZ_DATE:
		case F_TIMESTAMPTZ_PL_INTERVAL:
		case F_TIMESTAMPTZ_MI_INTERVAL:
		case F_TIMESTAMPTZ_TIMESTAMP:
			break;
		default:
			return false;
	}
	foreach(lc, args)
	{
		if (!is_total(lfirst(lc)))
			return false;
	}
	return true;
}

static bool
operator_stays(Oid opno)
{
	return opno >= FirstGenbkiObjectId && !is_of_shared_extension(OperatorRelationId, opno);
}

/* An operator that the workers do not have, be it of a function that is built in. */
static bool
is_user_operator(Node *node)
{
	ListCell   *lc;

	if (IsA(node, OpExpr) || IsA(node, DistinctExpr) || IsA(node, NullIfExpr))
		return operator_stays(((OpExpr *) node)->opno);
	if (IsA(node, ScalarArrayOpExpr))
		return operator_stays(((ScalarArrayOpExpr *) node)->opno);
	if (IsA(node, RowCompareExpr))
	{
		foreach(lc, ((RowCompareExpr *) node)->opnos)
		{
			if (operator_stays(lfirst_oid(lc)))
				return true;
		}
	}
	return false;
}

static bool
ship_walker(Node *node, ShipContext *context)
{
	bool		is_sure;
	Node	   *value;

	if (node == NULL)
		return false;
	CHECK_FOR_INTERRUPTS();

	/* there core's grammar takes no parameter, and it is evaluated if it is needed */
	value = json_default_compat(node);
	if (value != NULL && contain_mutable_functions(value))
	{
		context->reason = "a DEFAULT of SQL/JSON is evaluated on the coordinator";
		return true;
	}

	/* evaluated here, sent as a value */
	if (cz_is_closed_stable(node) && !(context->is_lazy && !is_total(node)))
	{
		Oid			type = exprType(node);

		if (type == RECORDOID || CzIsRegType(type) ||
			get_typtype(type) == TYPTYPE_PSEUDO || !type_is_known(type, context))
		{
			context->reason = "a parameter has a type that cannot be sent";
			return true;
		}
		/* evaluated early, it must not fail where it would not be evaluated */
		if (context->conditional_depth > 0 && !cannot_fail(node))
		{
			context->reason = "an expression must only be evaluated under its condition";
			return true;
		}
		return false;
	}

	if (CzNodeIsTooNew(node, &context->reason))
		return true;
	if (cz_collation_decides(node, node == context->root))
	{
		context->reason = "a collation may differ on a worker";
		return true;
	}
	switch (nodeTag(node))
	{
		case T_Const:
		case T_FuncExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_CoerceToDomain:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_RowExpr:
		case T_ArrayExpr:
			if (!type_is_known(exprType(node), context))
			{
				context->reason = "a worker may not have a type";
				return true;
			}
			break;
		case T_RangeTblFunction:
			{
				ListCell   *lc;

				foreach(lc, ((RangeTblFunction *) node)->funccoltypes)
				{
					if (!type_is_known(lfirst_oid(lc), context))
					{
						context->reason = "a worker may not have a type";
						return true;
					}
				}
				break;
			}
		default:
			break;
	}
	if (IsA(node, RowExpr) && ((RowExpr *) node)->row_typeid == RECORDOID &&
		has_field_names((RowExpr *) node))
	{
		context->reason = "the field names of a row cannot be sent";
		return true;
	}
	if (is_user_operator(node))
	{
		context->reason = "an operator is neither built in nor of an extension that all workers have";
		return true;
	}
	/* its text is an explicit cast, which cuts off what is too long */
	if (IsA(node, FuncExpr) && !context->is_update &&
		((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST &&
		exprIsLengthCoercion(node, NULL))
	{
		context->reason = "the length of an assigned value is checked here";
		return true;
	}
	switch (nodeTag(node))
	{
		case T_Const:
			if (CzIsRegType(((Const *) node)->consttype) &&
				!is_builtin_search_object((Const *) node))
			{
				context->reason = "a constant names an object of this server";
				return true;
			}
			return false;
		case T_Param:
			if (((Param *) node)->paramkind == PARAM_SUBLINK)
				return false;
			context->reason = "a value comes from another part of the plan";
			return true;
		case T_PlaceHolderVar:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_CurrentOfExpr:
		case T_NextValueExpr:
		case T_SetToDefault:
			context->reason = "an expression can only be evaluated here";
			return true;
		case T_SQLValueFunction:	/* not closed: cannot be */
			return true;
		case T_CoerceViaIO:
			{
				CoerceViaIO *c = (CoerceViaIO *) node;

				if (text_form_depends_on_settings(exprType((Node *) c->arg)) ||
					text_form_depends_on_settings(c->resulttype))
				{
					context->reason = "a cast depends on session settings";
					return true;
				}
				/* its I/O functions have just been judged */
				return ship_walker((Node *) c->arg, context);
			}
		case T_CollateExpr:
		case T_RelabelType:
			{
				Oid			coll = IsA(node, CollateExpr) ? ((CollateExpr *) node)->collOid :
					((RelabelType *) node)->resultcollid;

				/* a relabelling that changes it is a COLLATE that core has planned */
				if (IsA(node, RelabelType) &&
					(!OidIsValid(coll) ||
					 coll == exprCollation((Node *) ((RelabelType *) node)->arg)))
					break;
				if (coll != DEFAULT_COLLATION_OID && coll != C_COLLATION_OID &&
					coll != POSIX_COLLATION_OID_compat)
				{
					context->reason = "a collation may differ on a worker";
					return true;
				}
				break;
			}
		case T_CaseExpr:
		case T_CoalesceExpr:
			{
				bool		stays;

				context->conditional_depth++;
				stays = expression_tree_walker(node, ship_walker, (void *) context);
				context->conditional_depth--;
				return stays;
			}
		case T_FieldStore:
			context->reason = "parts of a column are assigned";
			return true;
		case T_SubscriptingRef:
			/*
			 * Elsewhere there is no way to write that; nor where several elements are
			 * assigned, also below a domain: ruleutils.c writes the outermost only.
			 */
			if (((SubscriptingRef *) node)->refassgnexpr != NULL &&
				(!context->is_update || !IsA(((SubscriptingRef *) node)->refexpr, Var)))
			{
				context->reason = "parts of a column are assigned";
				return true;
			}
			break;
		case T_Query:
			{
				bool		save = context->is_update;
				bool		stays;

				context->is_update = ((Query *) node)->commandType == CMD_UPDATE ||
					((Query *) node)->onConflict != NULL;
				stays = query_tree_walker((Query *) node, ship_walker, (void *) context, 0);
				context->is_update = save;
				return stays;
			}
		default:
			break;
	}
	if (IsA(node, XmlExpr) || makes_session_json(node) || prints_currency(node))
	{
		context->reason = "a conversion depends on session settings";
		return true;
	}
	if (prints_arguments(node, &is_sure))
	{
		if (!is_sure)
		{
			context->reason = "a conversion depends on session settings";
			return true;
		}
	}
	else if (check_functions_in_node(node, function_stays, context))
		return true;
	return expression_tree_walker(node, ship_walker, (void *) context);
}

/*
 * cz_expr_is_shippable
 *		Would every worker compute the same?  Sub-queries are looked into.
 *		*reason is set when not.
 */
bool
cz_expr_is_shippable(Node *expr, const char **reason)
{
	ShipContext context;

	memset(&context, 0, sizeof(context));
	context.root = expr;
	if (!ship_walker(expr, &context))
		return true;
	if (reason)
		*reason = context.reason ? context.reason : "an expression is not shippable";
	return false;
}

/*
 * cz_may_be_lazy
 *		May the value of a closed expression be computed on a worker when a row needs
 *		it?  Asked where computing it early, here, may raise an error that no row of
 *		plain PostgreSQL's would have raised; false also if it cannot fail.
 */
bool
cz_may_be_lazy(Node *expr)
{
	ShipContext context;

	if (is_total(expr))
		return false;
	memset(&context, 0, sizeof(context));
	context.root = expr;
	context.is_lazy = true;
	return !ship_walker(expr, &context);
}

/*
 * cz_type_is_output_safe
 *		May a fragment return a column of this type?  Not records and row types
 *		of tables, whose shape the worker's catalogs decide.
 */
bool
cz_type_is_output_safe(Oid type)
{
	char		typtype;
	Oid			elem = get_element_type(type);

	if (OidIsValid(elem))
		type = elem;
	typtype = get_typtype(type);
	if (typtype == TYPTYPE_PSEUDO)
		return false;
	if (CzIsRegType(type))
		return false;
	if (typtype == TYPTYPE_COMPOSITE)
	{
		Oid			relid = get_typ_typrelid(type);

		return get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE;
	}
	return true;
}
