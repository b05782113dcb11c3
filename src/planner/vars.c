/*-------------------------------------------------------------------------
 *
 * vars.c
 *	  The columns that are named in a Query tree: of which entries they are, and
 *	  others in their place.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "cz/compat.h"

#include "planner_int.h"

typedef struct EntriesContext
{
	Index		depth;
	Relids		relids;
} EntriesContext;

static bool
entries_walker(Node *node, EntriesContext *context)
{
	bool		found;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varlevelsup == context->depth)
			context->relids = bms_add_member(context->relids, ((Var *) node)->varno);
		return false;
	}
	if (IsA(node, CurrentOfExpr))
	{
		if (context->depth == 0)
			context->relids = bms_add_member(context->relids, ((CurrentOfExpr *) node)->cvarno);
		return false;
	}
	if (!IsA(node, Query))
		return expression_tree_walker(node, entries_walker, (void *) context);
	context->depth++;
	found = query_tree_walker((Query *) node, entries_walker, (void *) context, 0);
	context->depth--;
	return found;
}

/*
 * cz_entries_of
 *		Range-table indexes whose columns an expression names, so many levels further
 *		out.  As pull_varnos_of_level(), which since 16 also gives the outer joins that
 *		the columns stand above.
 */
Relids
cz_entries_of(Node *node, int levels)
{
	EntriesContext context = {levels, NULL};

	query_or_expression_tree_walker(node, entries_walker, (void *) &context, 0);
	return context.relids;
}

/*
 * cz_node_relids
 *		Range-table indexes in a part of a join tree.
 */
Relids
cz_node_relids(Node *node, bool with_joins)
{
	Relids		result = NULL;
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		return bms_make_singleton(((RangeTblRef *) node)->rtindex);
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			result = bms_add_members(result, cz_node_relids(lfirst(lc), with_joins));
		return result;
	}
	result = bms_union(cz_node_relids(((JoinExpr *) node)->larg, with_joins),
					   cz_node_relids(((JoinExpr *) node)->rarg, with_joins));
	if (with_joins && ((JoinExpr *) node)->rtindex > 0)
		result = bms_add_member(result, ((JoinExpr *) node)->rtindex);
	return result;
}

typedef struct VarsContext
{
	Relids		relids;
	int			depth;
	List	   *vars;			/* found, or to be replaced by columns in this order */
	Index		rti;			/* replacing: the new entry; 0: only looking */
	List	   *attnos;			/* replacing: the columns, if not 1, 2, ... */
	Relids		gone;			/* replacing: outer joins that go with the entries */
} VarsContext;

static bool
vars_walker(Node *node, VarsContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		ListCell   *lc;
		int			n = 0;

		if (var->varlevelsup != context->depth ||
			!bms_is_member(var->varno, context->relids))
			return false;
		foreach(lc, context->vars)
		{
			Var		   *known = lfirst(lc);

			n++;
			if (known->varno == var->varno && known->varattno == var->varattno)
				break;
		}
		if (context->rti == 0)
		{
			if (lc == NULL)
			{
				Var		   *copy = copyObject(var);

				copy->varlevelsup = 0;
				copy->location = -1;
				var_forget_syntax_compat(copy);
				context->vars = lappend(context->vars, copy);
			}
			return false;
		}
		if (lc == NULL)
			elog(ERROR, "a column of a shipment is missing");
		var->varno = context->rti;
		var->varattno = context->attnos ? list_nth_int(context->attnos, n - 1) : n;
		var_forget_syntax_compat(var);
		var_drop_nulling_compat(var, context->gone);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, vars_walker, (void *) context,
						  QTW_IGNORE_JOINALIASES);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, vars_walker, (void *) context);
}

/*
 * cz_vars_of
 *		The columns of some entries that a Query uses, each once, as Vars.
 */
List *
cz_vars_of(Query *query, Relids relids)
{
	VarsContext context = {relids, 0, NIL, 0, NIL, NULL};

	query_tree_walker(query, vars_walker, (void *) &context, QTW_IGNORE_JOINALIASES);
	return context.vars;
}

/*
 * cz_replace_vars
 *		In place: Vars equal to members of a list become columns 1.. of an entry.
 *
 * attnos: int list of other columns, or NIL.
 * gone: the outer joins that went with what they were columns of.
 */
void
cz_replace_vars(Query *query, List *vars, List *attnos, Index rti, Relids gone)
{
	VarsContext context = {NULL, 0, vars, rti, attnos, gone};
	ListCell   *lc;

	foreach(lc, vars)
		context.relids = bms_add_member(context.relids, ((Var *) lfirst(lc))->varno);
	if (vars != NIL)
		query_tree_walker(query, vars_walker, (void *) &context, QTW_IGNORE_JOINALIASES);
}

static bool
refers_out_walker(Node *node, int *depth)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return (int) ((Var *) node)->varlevelsup > *depth;
	if (IsA(node, Aggref) && (int) ((Aggref *) node)->agglevelsup > *depth)
		return true;
	if (IsA(node, GroupingFunc) && (int) ((GroupingFunc *) node)->agglevelsup > *depth)
		return true;
	if (IsA(node, Query))
	{
		bool		result;

		(*depth)++;
		result = query_tree_walker((Query *) node, refers_out_walker, (void *) depth,
								   QTW_IGNORE_JOINALIASES);
		(*depth)--;
		return result;
	}
	return expression_tree_walker(node, refers_out_walker, (void *) depth);
}

/*
 * cz_refers_out
 *		Does an expression, or a Query, use a column of a Query around it?  (CTEs of
 *		it do not count.)
 */
bool
cz_refers_out(Node *node)
{
	int			depth = 0;

	if (node != NULL && IsA(node, Query))
		depth = -1;
	return refers_out_walker(node, &depth);
}

typedef struct ColumnsContext
{
	Index		rti;
	int			depth;			/* queries that the walk is inside of */
	Bitmapset  *attrs;			/* out: attno - FirstLowInvalidHeapAttributeNumber */
	List	   *columns;		/* if not NIL: Vars' attnos become positions in it */
} ColumnsContext;

static bool
columns_walker(Node *node, ColumnsContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		ListCell   *lc;
		int			n = 0;

		if (var->varno != context->rti || var->varlevelsup != context->depth)
			return false;
		context->attrs = bms_add_member(context->attrs, var->varattno -
										FirstLowInvalidHeapAttributeNumber);
		if (context->columns == NIL || var->varattno == 0)
			return false;
		foreach(lc, context->columns)
		{
			n++;
			if (lfirst_int(lc) == var->varattno)
			{
				var->varattno = n;
				break;
			}
		}
		var_forget_syntax_compat(var);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, columns_walker, (void *) context,
						  QTW_IGNORE_JOINALIASES);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, columns_walker, (void *) context);
}

/*
 * cz_used_columns
 *		Attribute numbers, less FirstLowInvalidHeapAttributeNumber, of a range-table
 *		entry in an expression or Query; joins are not looked into.
 */
Bitmapset *
cz_used_columns(Node *node, Index rti)
{
	ColumnsContext context = {rti, 0, NULL, NIL};

	if (node != NULL && IsA(node, Query))
		query_tree_walker((Query *) node, columns_walker, (void *) &context,
						  QTW_IGNORE_JOINALIASES);
	else
		columns_walker(node, &context);
	return context.attrs;
}

/* Vars of rti by attribute number become Vars by position in columns, in place. */
void
cz_renumber_columns(Node *node, Index rti, List *columns)
{
	ColumnsContext context = {rti, 0, NULL, columns};

	if (node != NULL && IsA(node, Query))
		query_tree_walker((Query *) node, columns_walker, (void *) &context,
						  QTW_IGNORE_JOINALIASES);
	else
		columns_walker(node, &context);
}
