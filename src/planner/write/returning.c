/*-------------------------------------------------------------------------
 *
 * returning.c
 *	  RETURNING of a write that is sent, computed here where a worker can't.
 *
 * What a worker may not compute (volatile functions, casts that read settings, names of
 * this server's objects, whole rows, sub-queries over local tables) is computed above
 * the leaf, from columns that the statement returns in its place.  A sub-query that
 * reads a distributed table is not: it would see what the statement has written.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"

#include "../planner_int.h"

typedef struct ReturningContext
{
	Query	   *query;
	List	   *columns;		/* TargetEntries: what the statement returns */
	int			depth;			/* sub-queries around */
	bool		failed;
} ReturningContext;

/* true: a sub-query reads what is not on every worker; *uses_workers: what is on some */
static bool
local_walker(Node *node, bool *uses_workers)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		*uses_workers |= cz_query_uses_workers((Query *) node);
		return query_tree_walker((Query *) node, local_walker, (void *) uses_workers,
								 QTW_EXAMINE_RTES_BEFORE);
	}
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
			cz_rte_table((RangeTblEntry *) node) == NULL;
	return expression_tree_walker(node, local_walker, (void *) uses_workers);
}

static bool
system_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno < 0;
	return expression_tree_walker(node, system_walker, context);
}

/* Can a worker compute it? */
static bool
is_remote(Node *expr)
{
	bool		uses_workers = false;

	return !(IsA(expr, Var) && ((Var *) expr)->varattno == 0) &&
		cz_type_is_output_safe(exprType(expr)) && !contain_volatile_functions(expr) &&
		cz_expr_is_shippable(expr, NULL) && !local_walker(expr, &uses_workers) &&
		(IsA(expr, Var) || !system_walker(expr, NULL));
}

/* The column of the leaf that an expression of the statement is. */
static Var *
leaf_column(Node *expr, ReturningContext *context)
{
	TargetEntry *tle = tlist_member((Expr *) expr, context->columns);

	if (tle == NULL)
	{
		AttrNumber	resno = list_length(context->columns) + 1;

		tle = makeTargetEntry((Expr *) copyObject(expr), resno, psprintf("c%d", resno), false);
		context->columns = lappend(context->columns, tle);
	}
	return makeVar(1, tle->resno, exprType(expr), exprTypmod(expr), exprCollation(expr),
				   context->depth);
}

/* The target's row, old or new as var says, made of its columns. */
static Node *
whole_row(const Var *var, ReturningContext *context)
{
	Index		rti = context->query->resultRelation;
	Oid			relid = rt_fetch(rti, context->query->rtable)->relid;
	Relation	rel = table_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	RowExpr    *row = makeNode(RowExpr);
	ConvertRowtypeExpr *convert;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Node	   *field;

		if (att->attisdropped)
			field = (Node *) makeNullConst(INT4OID, -1, InvalidOid);
		else
		{
			field = (Node *) makeVar(rti, i + 1, att->atttypid, att->atttypmod,
									 att->attcollation, 0);
			var_copy_returning_compat((Var *) field, var);
			context->failed |= !cz_type_is_output_safe(att->atttypid);
			field = (Node *) leaf_column(field, context);
		}
		row->args = lappend(row->args, field);
	}
	table_close(rel, NoLock);
	row->row_typeid = get_rel_type_id(relid);
	row->row_format = COERCE_IMPLICIT_CAST;
	row->location = -1;

	/* not to be taken apart: fields of dropped columns are none */
	convert = makeNode(ConvertRowtypeExpr);
	convert->arg = (Expr *) row;
	convert->resulttype = row->row_typeid;
	convert->convertformat = COERCE_IMPLICIT_CAST;
	convert->location = -1;
	return (Node *) convert;
}

static Node *
here_mutator(Node *node, ReturningContext *context)
{
	if (node == NULL || context->failed)
		return node;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == context->depth)
	{
		Var		   *var = copyObject((Var *) node);
		Index		rti = context->query->resultRelation;

		var->varlevelsup = 0;
		var_forget_syntax_compat(var);
		var->location = -1;
		if (var->varno == rti && var->varattno == TableOidAttributeNumber)
			return cz_oid_const(rt_fetch(rti, context->query->rtable)->relid);
		/* what is deleted has no new row */
		if (var->varno == rti && var_is_new_compat(var) && context->query->commandType == CMD_DELETE)
			return (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
		if (var->varno == rti && var->varattno == 0)
			return whole_row(var, context);
		if (var->varattno == 0 || !cz_type_is_output_safe(var->vartype))
			context->failed = true;
		return (Node *) leaf_column((Node *) var, context);
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, here_mutator, (void *) context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, here_mutator, (void *) context);
}

/*
 * cz_take_returning
 *		Have of RETURNING computed here what a worker can't compute.
 *
 * query: in, out: an UPDATE or DELETE; replaced by a changed copy if there is anything.
 *
 * Returns: the target list over the leaf, whose columns are what the copy returns; NIL,
 *		with the Query as it was, if nothing must be computed here, or something can't.
 */
List *
cz_take_returning(Query **query)
{
	ReturningContext context;
	List	   *result = NIL;
	bool		is_needed = false;
	ListCell   *lc;

	memset(&context, 0, sizeof(context));
	context.query = *query;
	foreach(lc, (*query)->returningList)
	{
		TargetEntry *tle = flatCopyTargetEntry(lfirst(lc));
		Node	   *expr = flatten_join_alias_vars_compat(*query, copyObject((Node *) tle->expr));
		bool		uses_workers = false;

		(void) local_walker(expr, &uses_workers);
		if (is_remote(expr) || uses_workers)
			tle->expr = (Expr *) leaf_column(expr, &context);
		else
		{
			tle->expr = (Expr *) here_mutator(expr, &context);
			is_needed = true;
		}
		result = lappend(result, tle);
	}
	if (!is_needed || context.failed)
		return NIL;
	*query = copyObject(*query);
	/* a row must come for each that is written */
	if (context.columns == NIL)
		(void) leaf_column(cz_int_const(1), &context);
	(*query)->returningList = context.columns;
	return result;
}

/* ---- old and new ------------------------------------------------------------ */

typedef struct SettleContext
{
	Index		rti;			/* the target */
	bool		deletes;
	int			depth;			/* sub-queries around */
} SettleContext;

static Node *
settle_mutator(Node *node, SettleContext *context)
{
	if (node == NULL)
		return NULL;
	if (returning_expr_compat(node) != NULL)
		return context->deletes && !returning_expr_is_old_compat(node) ?
			(Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node)) :
			settle_mutator(returning_expr_compat(node), context);
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (context->deletes && var->varno == context->rti &&
			(int) var->varlevelsup == context->depth && var_is_new_compat(var))
			return (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
		return node;
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, settle_mutator, (void *) context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, settle_mutator, (void *) context);
}

/*
 * cz_settle_returning
 *		Leave nothing in RETURNING of an UPDATE or DELETE that depends on whether there is
 *		an old or a new row: one of the two is always there, the new one of a DELETE never.
 *		(What a view shows for such a row is written as an expression over columns, in which
 *		a constant or coalesce() would not be NULL.)
 *
 * query: changed, and the writes in its WITH.
 */
void
cz_settle_returning(Query *query)
{
	SettleContext context = {query->resultRelation, query->commandType == CMD_DELETE, 0};
	ListCell   *lc;

	if (!RETURNING_HAS_OLD_COMPAT)
		return;
	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (IsA(cte->ctequery, Query))
			cz_settle_returning((Query *) cte->ctequery);
	}
	if (query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE)
		query->returningList = (List *) settle_mutator((Node *) query->returningList, &context);
}
