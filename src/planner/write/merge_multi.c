/*-------------------------------------------------------------------------
 *
 * merge_multi.c
 *	  Sub-queries of a MERGE that assign several columns.
 *
 * UPDATE SET (a, b) = (SELECT ..): each column becomes a sub-query of its own; where it is
 * volatile, a field of a row that a level of its own computes once, for the rows whose action
 * it is of.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "cz/compat.h"

#include "merge_int.h"

/* (SELECT value FROM what the query reads) */
static SubLink *
value_of_sublink(Node *value, Query *query)
{
	SubLink    *result = makeNode(SubLink);

	cz_merge_add_column(query, value);
	result->subLinkType = EXPR_SUBLINK;
	result->subselect = (Node *) query;
	result->location = -1;
	return result;
}

/*
 * cz_merge_multi_row
 *		All of them as a row.
 */
Node *
cz_merge_multi_row(SubLink *multi)
{
	Query	   *sub = (Query *) copyObject(multi->subselect);
	RowExpr    *row = makeNode(RowExpr);
	Query	   *query;
	ListCell   *lc;

	IncrementVarSublevelsUp((Node *) sub, 1, 1);
	query = cz_merge_select_from(sub);
	foreach(lc, sub->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk)
			continue;
		row->args = lappend(row->args, (Node *) cz_merge_column(sub->targetList, tle->resno));
		row->colnames = lappend(row->colnames, makeString(psprintf("f%d", tle->resno)));
	}
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_EXPLICIT_CALL;
	row->location = -1;
	return (Node *) value_of_sublink((Node *) row, query);
}

static Node *
multi_column_mutator(Node *node, MergeContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == RTI_MULTI)
	{
		MergeMulti *multi = list_nth(context->multis, ((Var *) node)->varattno - 1);

		return (Node *) makeVar(1, multi->column, RECORDOID, -1, InvalidOid, 0);
	}
	return expression_tree_mutator(node, multi_column_mutator, (void *) context);
}

/*
 * cz_merge_set_multis
 *		New values whose fields of MergeMultis become columns, which are known by now.
 */
List *
cz_merge_set_multis(List *values, MergeContext *context)
{
	return (List *) multi_column_mutator((Node *) values, context);
}

/*
 * cz_merge_compute_multis
 *		* A level above the rows whose action is known: the same columns, and for each of the
 *		sub-queries a row, where its action is done.
 *
 * rows: what cz_merge_multi_row() gives, over the joined rows.
 */
Query *
cz_merge_compute_multis(Query *decided, List *rows, Node *number, MergeContext *context)
{
	Query	   *computed = cz_merge_select_from(decided);
	ListCell   *lc;
	ListCell   *lr;

	foreach(lc, decided->targetList)
		cz_merge_add_column(computed, (Node *) cz_merge_column(decided->targetList,
												foreach_current_index(lc) + 1));
	forboth(lc, context->multis, lr, rows)
	{
		MergeMulti *multi = lfirst(lc);
		Node	   *test = cz_merge_is_number(number, multi->action, Int4EqualOperator);

		multi->column =
			cz_merge_add_column(computed, (Node *)
					   cz_merge_case(RECORDOID, InvalidOid,
								 list_make1(cz_merge_when(test, lfirst(lr))),
								 (Node *) makeNullConst(RECORDOID, -1, InvalidOid)));
	}
	computed->hasSubLinks = true;
	return computed;
}

/* ---- the write ----------------------------------------------------------- */

typedef struct SplitContext
{
	MergeContext *context;
	int			action;			/* number, from 1 */
	List	   *junk;			/* its TargetEntries of sub-queries */
} SplitContext;

/* One column of a sub-query that assigns several. */
static Node *
column_of_sublink(SubLink *multi, int column)
{
	Query	   *sub = (Query *) copyObject(multi->subselect);
	Query	   *query;

	IncrementVarSublevelsUp((Node *) sub, 1, 1);
	query = cz_merge_select_from(sub);
	return (Node *) value_of_sublink((Node *) cz_merge_column(sub->targetList, column), query);
}

/* A column of a sub-query that is computed once, as a row. */
static Node *
field_of_multi(SubLink *multi, int column, SplitContext *split)
{
	TargetEntry *tle = get_tle_by_resno(((Query *) multi->subselect)->targetList, column);
	MergeMulti *known = NULL;
	FieldSelect *field = makeNode(FieldSelect);
	ListCell   *lc;
	int			n = 0;

	foreach(lc, split->context->multis)
	{
		known = lfirst(lc);
		n++;
		if (known->sublink == multi)
			break;
	}
	if (lc == NULL)
	{
		known = palloc0(sizeof(MergeMulti));
		known->sublink = multi;
		known->action = split->action;
		split->context->multis = lappend(split->context->multis, known);
		n = list_length(split->context->multis);
	}
	field->arg = (Expr *) makeVar(RTI_MULTI, n, RECORDOID, -1, InvalidOid, 0);
	field->fieldnum = column;
	field->resulttype = exprType((Node *) tle->expr);
	field->resulttypmod = exprTypmod((Node *) tle->expr);
	field->resultcollid = exprCollation((Node *) tle->expr);
	return (Node *) field;
}

/*
 * Values of a sub-query that assigns several columns become sub-queries of their own; if
 * it is volatile, fields of the row that it gives.
 */
static Node *
multi_mutator(Node *node, SplitContext *split)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
	{
		int			id = ((Param *) node)->paramid;
		ListCell   *lc;

		foreach(lc, split->junk)
		{
			SubLink    *multi = (SubLink *) ((TargetEntry *) lfirst(lc))->expr;

			if (!IsA(multi, SubLink) || multi->subLinkId != id >> 16)
				continue;
			return contain_volatile_functions(multi->subselect) ?
				field_of_multi(multi, id & 0xFFFF, split) :
				column_of_sublink(multi, id & 0xFFFF);
		}
		elog(ERROR, "a sub-query that assigns several columns is missing");
	}
	return expression_tree_mutator(node, multi_mutator, (void *) split);
}

/*
 * cz_merge_split_assignments
 *		Take the sub-queries that assign several columns apart, for each action.
 */
void
cz_merge_split_assignments(Query *query, MergeContext *context)
{
	ListCell   *lc;
	ListCell   *lt;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);
		SplitContext split = {context, foreach_current_index(lc) + 1, NIL};

		foreach(lt, action->targetList)
		{
			if (!((TargetEntry *) lfirst(lt))->resjunk)
				continue;
			split.junk = lappend(split.junk, lfirst(lt));
			action->targetList = foreach_delete_current(action->targetList, lt);
		}
		if (split.junk != NIL)
			action->targetList = (List *) multi_mutator((Node *) action->targetList, &split);
	}
}
