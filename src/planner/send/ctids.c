/*-------------------------------------------------------------------------
 *
 * ctids.c
 *	  ctid in what is sent: where it may stand, and what is put in and taken out here.
 *
 * Above the fragments a ctid names a row of the whole table (rowid.h); a worker knows
 * only its own.  So in a text that is sent a ctid may
 *
 *	- be a column of the result, itself or as min() or max(): the executor encodes it
 *	  (row_id_columns of the plan),
 *	- be compared with a ctid of the same fragment: of one shard, or of two colocated
 *	  tables' shards with the same index, which are encoded alike,
 *	- be compared with a value that is known before: that becomes a parameter, which is
 *	  decoded for each shard (row_id_params),
 *	- be sorted, grouped, counted or tested for NULL.
 *
 * Anything else (a cast to text, an array of them, a comparison with a column of type
 * tid) is done here with the encoded value.
 *
 * The copy of a reference table that is here tells its system columns; a text that
 * mentions them is not sent.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* What a value of type tid is. */
typedef enum TidKind
{
	TID_VALUE,					/* the same everywhere */
	TID_LOCAL,					/* a worker's own */
	TID_UNKNOWN					/* either */
} TidKind;

typedef struct CtidContext
{
	List	   *queries;		/* around the node, innermost first */
	Query	   *subselect;		/* of the SubLink whose test is looked at */
	const char *reason;			/* why not */
	List	  **values;			/* mark what must be decoded, and add it; or NULL */
} CtidContext;

static TidKind tid_kind(Node *expr, CtidContext *context);
static bool ctid_walker(Node *node, CtidContext *context);

/* ---- what is it? --------------------------------------------------------- */

/* A column of a query's result; queries: those around it, innermost first. */
static TidKind
output_kind(Query *query, AttrNumber resno, List *queries)
{
	TargetEntry *tle = get_tle_by_resno(query->targetList, resno);
	CtidContext inner = {lcons(query, list_copy(queries)), NULL, NULL, NULL};
	TidKind		kind = TID_VALUE;
	bool		is_first = true;
	ListCell   *lc;

	if (tle == NULL || exprType((Node *) tle->expr) != TIDOID)
		return TID_VALUE;
	if (query->setOperations == NULL)
		return tid_kind((Node *) tle->expr, &inner);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		TidKind		one;

		if (rte->rtekind != RTE_SUBQUERY)
			continue;
		one = output_kind(rte->subquery, resno, inner.queries);
		kind = is_first || one == kind ? one : TID_UNKNOWN;
		is_first = false;
	}
	return kind;
}

static TidKind
relation_kind(RangeTblEntry *rte, AttrNumber attno)
{
	const CzTable *table = attno == SelfItemPointerAttributeNumber ? cz_rte_table(rte) : NULL;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		return TID_VALUE;
	return table->kind == CZ_TABLE_REFERENCE ? TID_UNKNOWN : TID_LOCAL;
}

static TidKind
var_kind(Var *var, CtidContext *context)
{
	List	   *queries;
	RangeTblEntry *rte;
	CzShip	   *ship;
	CtidContext same = {NIL, NULL, NULL, NULL};
	ListCell   *lc;

	if (var->varlevelsup >= list_length(context->queries))
		return TID_UNKNOWN;
	queries = list_copy_tail(context->queries, var->varlevelsup);
	rte = rt_fetch(var->varno, ((Query *) linitial(queries))->rtable);
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return relation_kind(rte, var->varattno);
		case RTE_SUBQUERY:
			return output_kind(rte->subquery, var->varattno, queries);
		case RTE_JOIN:
			same.queries = queries;
			return tid_kind(list_nth(rte->joinaliasvars, var->varattno - 1), &same);
		case RTE_CTE:
			if (rte->self_reference || rte->ctelevelsup >= list_length(queries))
				return TID_UNKNOWN;
			queries = list_copy_tail(queries, rte->ctelevelsup);
			foreach(lc, ((Query *) linitial(queries))->cteList)
			{
				CommonTableExpr *cte = lfirst(lc);

				if (strcmp(cte->ctename, rte->ctename) == 0 && IsA(cte->ctequery, Query))
					return output_kind((Query *) cte->ctequery, var->varattno, queries);
			}
			return TID_UNKNOWN;
		case RTE_RESULT:
			ship = cz_ship_of_rte(rte);
			return ship != NULL && ship->anchor != NULL &&
				ship->partition_column == var->varattno ? TID_LOCAL : TID_VALUE;
		default:
			return TID_VALUE;
	}
}

/* What a value is that was made, not computed, of ctids. */
static TidKind
tid_kind(Node *expr, CtidContext *context)
{
	expr = cz_strip(expr);
	if (expr == NULL || exprType(expr) != TIDOID)
		return TID_VALUE;
	switch (nodeTag(expr))
	{
		case T_Var:
			return var_kind((Var *) expr, context);
		case T_Aggref:
			if (((Aggref *) expr)->aggfnoid == F_MIN_TID || ((Aggref *) expr)->aggfnoid == F_MAX_TID)
				return tid_kind((Node *) ((TargetEntry *) linitial(((Aggref *) expr)->args))->expr,
								context);
			return TID_VALUE;
		case T_SubLink:
			if (((SubLink *) expr)->subLinkType == EXPR_SUBLINK)
				return output_kind((Query *) ((SubLink *) expr)->subselect, 1, context->queries);
			return TID_VALUE;
		case T_Param:
			if (((Param *) expr)->paramkind == PARAM_SUBLINK && context->subselect != NULL)
				return output_kind(context->subselect, ((Param *) expr)->paramid,
								   context->queries);
			return CZ_IS_LOCK_PARAM((Param *) expr) ? TID_LOCAL : TID_VALUE;
		default:
			return TID_VALUE;
	}
}

/* ---- where does it stand? ------------------------------------------------ */

static bool
refuse(CtidContext *context, const char *reason)
{
	context->reason = reason;
	return true;
}

/*
 * A place where a ctid may stand: look only at what is inside of it.
 */
static bool
inside_walker(Node *node, CtidContext *context)
{
	Node	   *expr = cz_strip(node);

	if (tid_kind(expr, context) != TID_LOCAL)
		return ctid_walker(node, context);
	if (IsA(expr, Aggref) || IsA(expr, SubLink))
		return expression_tree_walker(expr, ctid_walker, (void *) context);
	return false;
}

static bool
is_comparison(Oid funcid)
{
	return funcid == F_TIDEQ || funcid == F_TIDNE || funcid == F_TIDLT ||
		funcid == F_TIDLE || funcid == F_TIDGT || funcid == F_TIDGE;
}

/* Put a mark in place of a value that must be decoded. */
static void
mark_value(ListCell *arg, bool is_list, CtidContext *context)
{
	Node	   *value = lfirst(arg);
	Param	   *mark;

	if (context->values == NULL)
		return;
	mark = makeNode(Param);
	mark->paramkind = PARAM_EXTERN;
	mark->paramid = CZ_PARAM_ROW_ID - list_length(*context->values);
	mark->paramtype = exprType(value);
	mark->paramtypmod = -1;
	mark->location = -1;
	*context->values = lappend(*context->values,
							   list_make2(value, makeInteger(is_list)));
	lfirst(arg) = mark;
}

/*
 * Two sides of a comparison.
 *
 * is_array: the right one is an array of such values; is_list: of which only those of the
 * shard matter.
 */
static bool
compare_sides(ListCell *left, ListCell *right, bool is_array, bool is_list,
			  CtidContext *context)
{
	TidKind		kinds[2];

	kinds[0] = tid_kind(lfirst(left), context);
	if (is_array)
	{
		Param	   *array = lfirst(right);

		kinds[1] = IsA(array, Param) && CZ_IS_LOCK_PARAM(array) ? TID_LOCAL : TID_VALUE;
	}
	else
		kinds[1] = tid_kind(lfirst(right), context);

	if (kinds[0] == TID_UNKNOWN || kinds[1] == TID_UNKNOWN)
		return refuse(context, CZ_CTID_REASON);
	if (kinds[0] == TID_LOCAL && kinds[1] == TID_VALUE)
	{
		if (!cz_is_closed(lfirst(right)))
			return refuse(context, CZ_CTID_REASON);
		mark_value(right, is_list, context);
	}
	else if (kinds[0] == TID_VALUE && kinds[1] == TID_LOCAL)
	{
		if (is_array || !cz_is_closed(lfirst(left)))
			return refuse(context, CZ_CTID_REASON);
		mark_value(left, false, context);
	}
	return inside_walker(lfirst(left), context) || inside_walker(lfirst(right), context);
}

static bool
targets_walker(List *targets, bool may_be_ctids, CtidContext *context)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(lc))->expr;

		if (may_be_ctids ? inside_walker(expr, context) : ctid_walker(expr, context))
			return true;
	}
	return false;
}

static bool
query_walker(Query *query, CtidContext *context)
{
	Query	   *save_subselect = context->subselect;
	List	   *targets = query->targetList;
	List	   *returning = query->returningList;
	bool		result;
	ListCell   *lc;

	context->subselect = NULL;
	if (query->setOperations != NULL)
	{
		foreach(lc, targets)
		{
			if (output_kind(query, ((TargetEntry *) lfirst(lc))->resno,
							context->queries) == TID_UNKNOWN)
				return refuse(context, CZ_CTID_REASON);
		}
	}
	context->queries = lcons(query, context->queries);
	result = targets_walker(targets, query->commandType == CMD_SELECT, context) ||
		targets_walker(returning, true, context);
	if (!result)
	{
		query->targetList = query->returningList = NIL;
		result = query_tree_walker(query, ctid_walker, (void *) context,
								   QTW_IGNORE_JOINALIASES);
		query->targetList = targets;
		query->returningList = returning;
	}
	context->queries = list_delete_first(context->queries);
	context->subselect = save_subselect;
	return result;
}

/* Is it a system column, not tableoid, of a reference table? */
static bool
is_of_reference(Var *var, CtidContext *context)
{
	RangeTblEntry *rte;
	const CzTable *table;

	if (var->varattno >= 0 || var->varattno == TableOidAttributeNumber ||
		var->varlevelsup >= list_length(context->queries))
		return false;
	rte = rt_fetch(var->varno,
				   ((Query *) list_nth(context->queries, var->varlevelsup))->rtable);
	table = rte->rtekind == RTE_RELATION ? cz_rte_table(rte) : NULL;
	return table != NULL && table->kind == CZ_TABLE_REFERENCE;
}

/* true: a ctid stands where it may not */
static bool
ctid_walker(Node *node, CtidContext *context)
{
	if (node == NULL)
		return false;
	check_stack_depth();
	switch (nodeTag(node))
	{
		case T_Query:
			return query_walker((Query *) node, context);
		case T_NullTest:
			if (IsA(((NullTest *) node)->arg, Var))
				return false;
			break;
		case T_Var:
			if (is_of_reference((Var *) node, context))
				return refuse(context, "the copies of a reference table have other system columns");
			/* FALLTHROUGH */
		case T_Param:
			if (tid_kind(node, context) != TID_VALUE)
				return refuse(context, CZ_CTID_REASON);
			return false;
		case T_Aggref:
			if (tid_kind(node, context) != TID_VALUE)
				return refuse(context, CZ_CTID_REASON);
			if (((Aggref *) node)->aggfnoid == F_COUNT_ANY)
				return targets_walker(((Aggref *) node)->args, true, context) ||
					ctid_walker((Node *) ((Aggref *) node)->aggfilter, context);
			break;
		case T_OpExpr:
		case T_DistinctExpr:
			{
				OpExpr	   *op = (OpExpr *) node;

				if (!is_comparison(op->opfuncid) || list_length(op->args) != 2)
					break;
				return compare_sides(list_head(op->args), list_second_cell(op->args), false,
									 false, context);
			}
		case T_ScalarArrayOpExpr:
			{
				ScalarArrayOpExpr *op = (ScalarArrayOpExpr *) node;

				if (!is_comparison(op->opfuncid))
					break;
				return compare_sides(list_head(op->args), list_second_cell(op->args), true,
									 op->opfuncid == (op->useOr ? F_TIDEQ : F_TIDNE), context);
			}
		case T_RowCompareExpr:
			{
				RowCompareExpr *row = (RowCompareExpr *) node;
				ListCell   *left;
				ListCell   *right;

				forboth(left, row->largs, right, row->rargs)
				{
					if (compare_sides(left, right, false, false, context))
						return true;
				}
				return false;
			}
		case T_SubLink:
			{
				SubLink    *sublink = (SubLink *) node;
				Query	   *save = context->subselect;
				bool		result;

				if (sublink->subLinkType == ARRAY_SUBLINK &&
					output_kind((Query *) sublink->subselect, 1, context->queries) != TID_VALUE)
					return refuse(context, CZ_CTID_REASON);
				if (tid_kind(node, context) != TID_VALUE)
					return refuse(context, CZ_CTID_REASON);
				context->subselect = (Query *) sublink->subselect;
				result = ctid_walker(sublink->testexpr, context);
				context->subselect = save;
				return result || ctid_walker(sublink->subselect, context);
			}
		default:
			break;
	}
	return expression_tree_walker(node, ctid_walker, (void *) context);
}

/*
 * cz_ctids_are_sendable
 *		May a Query be sent as it is, as of what it does with ctids and with system
 *		columns of reference tables?  *reason is set when not.
 */
bool
cz_ctids_are_sendable(Query *query, const char **reason)
{
	CtidContext context = {NIL, NULL, NULL, NULL};

	if (!query_walker(query, &context))
		return true;
	if (reason)
		*reason = context.reason;
	return false;
}

/*
 * cz_mark_row_ids
 *		Have the values that ctids are compared with decoded: put parameters in place of
 *		them.
 *
 * query: changed in place; must be sendable.
 *
 * Returns: list of (expression, Integer: is it an array of which only those of the shard
 *		matter?), by CZ_PARAM_ROW_ID minus the number of the parameter.
 */
List *
cz_mark_row_ids(Query *query)
{
	List	   *values = NIL;
	CtidContext context = {NIL, NULL, NULL, &values};

	if (query_walker(query, &context))
		elog(ERROR, "a ctid cannot be sent: %s", context.reason);
	return values;
}

/*
 * cz_row_id_columns
 *		Which columns of a Query's result are workers' ctids: int list, from 1.
 */
List *
cz_row_id_columns(Query *query)
{
	List	   *tlist = query->commandType == CMD_SELECT ? query->targetList :
		query->returningList;
	CtidContext context = {list_make1(query), NULL, NULL, NULL};
	List	   *result = NIL;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, tlist)
	{
		TargetEntry *tle = lfirst(lc);
		TidKind		kind;

		if (tle->resjunk)
			continue;
		n++;
		kind = query->setOperations != NULL ? output_kind(query, tle->resno, NIL) :
			tid_kind((Node *) tle->expr, &context);
		if (kind == TID_LOCAL)
			result = lappend_int(result, n);
	}
	return result;
}
