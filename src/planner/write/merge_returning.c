/*-------------------------------------------------------------------------
 *
 * merge_returning.c
 *	  What the rows that a MERGE wrote are checked for, and what RETURNING gives of them.
 *
 * Both are computed over the leaf that writes: its columns are those of the row, the number of
 * the action, the old row's and those of the source's that RETURNING has.
 *
 * Source: own work; what a MERGE means follows src/backend/optimizer/prep/prepjointree.c
 * and src/backend/executor/nodeModifyTable.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"

#include "merge_int.h"

typedef struct CheckContext
{
	Query	   *query;
	Oid			relid;
	int			offset;			/* added to the target's attribute numbers */
	int			depth;
} CheckContext;

static Node *
check_mutator(Node *node, CheckContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && (int) ((Var *) node)->varlevelsup == context->depth)
	{
		Var		   *var = (Var *) node;
		Node	   *expr;

		if (var->varattno == TableOidAttributeNumber)
			return cz_oid_const(context->relid);
		if (var->varattno == 0)
			return check_mutator(cz_row_expr(context->relid, var->varno, context->depth),
								 context);
		expr = cz_virtual_column(context->relid, var);
		if (expr != NULL)
			return check_mutator(expr, context);
		return (Node *) makeVar(1, context->offset + var->varattno, var->vartype,
								var->vartypmod, var->varcollid, context->depth);
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, check_mutator, context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, check_mutator, (void *) context);
}

/* Is the action of a row, whose number is a column of the leaf, a command? */
static Node *
is_command(CmdType command, AttrNumber column, MergeContext *context)
{
	Node	   *number = (Node *) makeVar(1, column, INT4OID, -1, InvalidOid, 0);
	List	   *tests = NIL;
	ListCell   *lc;

	foreach(lc, context->query->mergeActionList)
	{
		if (((MergeAction *) lfirst(lc))->commandType == command)
			tests = lappend(tests, cz_merge_is_number(number, foreach_current_index(lc) + 1,
											 Int4EqualOperator));
	}
	return tests == NIL ? NULL : (Node *) make_orclause(tests);
}

/*
 * cz_merge_check_qual
 *		* WITH CHECK conditions as one qualifier of the rows that the leaf gives out: the new
 *		row, the number of the action, the old row.
 */
Node *
cz_merge_check_qual(MergeContext *context)
{
	CheckContext check = {context->query, context->relid, 0, 0};
	Node	   *before = NULL;
	ListCell   *lc;

	foreach(lc, context->query->withCheckOptions)
	{
		WithCheckOption *option = lfirst(lc);
		bool		is_old = option->kind == WCO_RLS_MERGE_UPDATE_CHECK ||
			option->kind == WCO_RLS_MERGE_DELETE_CHECK;
		CmdType		command = option->kind == WCO_RLS_MERGE_DELETE_CHECK ? CMD_DELETE :
			option->kind == WCO_RLS_INSERT_CHECK ? CMD_INSERT : CMD_UPDATE;
		Node	   *qual = option->qual;
		Node	   *applies = is_command(command, context->natts + 1, context);

		if (qual != NULL && IsA(qual, List))
			qual = (Node *) make_ands_explicit((List *) qual);
		if (qual == NULL || applies == NULL)
			continue;
		check.offset = is_old ? context->natts + 1 : 0;
		qual = (Node *) cz_merge_case(BOOLOID, InvalidOid,
								  list_make1(cz_merge_when(applies, check_mutator(qual, &check))),
								  makeBoolConst(true, false));
		before = cz_check_call(option, before, qual);
	}
	return before;
}

typedef struct MergeReturnContext
{
	MergeContext *merge;
	int			depth;
} MergeReturnContext;

/* The words of merge_action(). */
static Node *
action_words(MergeContext *context)
{
	Node	   *number = (Node *) makeVar(1, context->natts + 1, INT4OID, -1, InvalidOid, 0);
	List	   *whens = NIL;
	ListCell   *lc;

	foreach(lc, context->query->mergeActionList)
	{
		CmdType		command = ((MergeAction *) lfirst(lc))->commandType;
		const char *word = command == CMD_INSERT ? "INSERT" : command == CMD_UPDATE ? "UPDATE" :
			"DELETE";

		if (command == CMD_NOTHING)
			continue;
		whens = lappend(whens,
						cz_merge_when(cz_merge_is_number(number, foreach_current_index(lc) + 1, Int4EqualOperator),
								  (Node *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
													 CStringGetTextDatum(word), false, false)));
	}
	return whens == NIL ? (Node *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID) :
		(Node *) cz_merge_case(TEXTOID, DEFAULT_COLLATION_OID, whens,
						   (Node *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID));
}

/* NULL where the action is a command, which leaves no row of the kind. */
static Node *
unless_command(CmdType command, Node *value, MergeReturnContext *context)
{
	Node	   *test = is_command(command, context->merge->natts + 1, context->merge);

	if (test == NULL)
		return value;
	IncrementVarSublevelsUp(test, context->depth, 0);
	return (Node *) cz_merge_case(exprType(value), exprCollation(value),
							  list_make1(cz_merge_when(test, (Node *) makeNullConst(exprType(value),
																				exprTypmod(value),
																				exprCollation(value)))),
							  value);
}

/* A Var of RETURNING over the leaf: the row, the number of the action, the old row, the source's. */
static Node *
returned_var(Var *var, MergeReturnContext *context)
{
	MergeContext *merge = context->merge;
	int			natts = merge->natts;
	ListCell   *lc;

	if (var->varno == merge->query->resultRelation)
	{
		Node	   *column;

		if (var->varattno == TableOidAttributeNumber)
		{
			column = cz_oid_const(merge->relid);
			return var_is_old_compat(var) ? unless_command(CMD_INSERT, column, context) :
				var_is_new_compat(var) ? unless_command(CMD_DELETE, column, context) : column;
		}
		if (var->varattno < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("RETURNING of the new row's system columns is not supported"),
					 errdetail("The rows of \"%s\" are written when the statement ends.",
							   get_rel_name(merge->relid))));
		column = (Node *) makeVar(1, var_is_old_compat(var) ? natts + 1 + var->varattno : var->varattno,
								  var->vartype, var->vartypmod, var->varcollid, context->depth);
		return var_is_new_compat(var) ? unless_command(CMD_DELETE, column, context) : column;
	}
	foreach(lc, merge->returned)
	{
		Var		   *known = lfirst(lc);

		if (known->varno == var->varno && known->varattno == var->varattno)
			return (Node *) makeVar(1, 2 * natts + 2 + foreach_current_index(lc), var->vartype,
									var->vartypmod, var->varcollid, context->depth);
	}
	elog(ERROR, "a column of MERGE's RETURNING is missing");
	return NULL;
}

static Node *
returned_mutator(Node *node, MergeReturnContext *context)
{
	if (node == NULL)
		return NULL;
	if (is_merge_action_compat(node))
	{
		Node	   *words = action_words(context->merge);

		IncrementVarSublevelsUp(words, context->depth, 0);
		return words;
	}
	if (returning_expr_compat(node) != NULL)
		return unless_command(returning_expr_is_old_compat(node) ? CMD_INSERT : CMD_DELETE,
							  returned_mutator(returning_expr_compat(node), context), context);
	if (IsA(node, Var) && (int) ((Var *) node)->varlevelsup == context->depth)
	{
		Var		   *var = (Var *) node;
		bool		is_target = var->varno == context->merge->query->resultRelation;
		Node	   *expr = NULL;

		if (is_target && var->varattno == 0)
			expr = cz_row_expr(context->merge->relid, var->varno, context->depth);
		else if (is_target && !var_is_old_compat(var))
			expr = cz_virtual_column(context->merge->relid, var);
		if (expr == NULL)
			return returned_var(var, context);
		if (var_is_old_compat(var))
		{
			CheckContext old = {context->merge->query, context->merge->relid,
				context->merge->natts + 1, context->depth};

			return unless_command(CMD_INSERT, check_mutator(expr, &old), context);
		}
		expr = returned_mutator(expr, context);
		return var_is_new_compat(var) ? unless_command(CMD_DELETE, expr, context) : expr;
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, returned_mutator, context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, returned_mutator, (void *) context);
}

/*
 * cz_merge_returning
 *		The target list of RETURNING over the leaf.
 */
List *
cz_merge_returning(MergeContext *context)
{
	MergeReturnContext returned = {context, 0};

	return (List *) returned_mutator((Node *) context->query->returningList, &returned);
}

/*
 * cz_merge_collect_returned
 *		Note which of the source's columns RETURNING wants.
 */
void
cz_merge_collect_returned(MergeContext *context)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, pull_vars_of_level((Node *) context->query->returningList, 0))
	{
		Var		   *var = copyObject(lfirst(lc));

		var->varlevelsup = 0;
		if (var->varno == context->query->resultRelation)
			continue;
		foreach(lk, context->returned)
		{
			Var		   *known = lfirst(lk);

			if (known->varno == var->varno && known->varattno == var->varattno)
				break;
		}
		if (lk == NULL)
			context->returned = lappend(context->returned, var);
	}
}
