/*-------------------------------------------------------------------------
 *
 * printable.c
 *	  The last changes to a Query before core prints it: what the text would
 *	  not say, or say to mean something else.
 *
 * The list of what that may be is in the head of deparse.c.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "../planner_int.h"

/* ---- joins: RTEs that agree with their renamed children ------------------ */

static List *rebuild_joins(Node *node, Query *query, List **vars);

static List *
rebuild_join(JoinExpr *join, Query *query, List **vars)
{
	RangeTblEntry *rte = rt_fetch(join->rtindex, query->rtable);
	List	   *left_vars = NIL;
	List	   *right_vars = NIL;
	List	   *names;
	List	   *left_cols = NIL;
	List	   *right_cols = NIL;
	int			i;

	names = rebuild_joins(join->larg, query, &left_vars);
	names = list_concat(names, rebuild_joins(join->rarg, query, &right_vars));
	for (i = 1; i <= list_length(left_vars); i++)
		left_cols = lappend_int(left_cols, i);
	for (i = 1; i <= list_length(right_vars); i++)
		right_cols = lappend_int(right_cols, i);

	join->usingClause = NIL;
	join->alias = NULL;
	join->join_using_alias = NULL;
	rte->alias = NULL;
	rte->join_using_alias = NULL;
	rte->joinmergedcols = 0;
	rte->joinleftcols = left_cols;
	rte->joinrightcols = right_cols;
	rte->joinaliasvars = list_concat(left_vars, right_vars);
	rte->eref = makeAlias("unnamed_join", copyObject(names));
	*vars = list_copy(rte->joinaliasvars);
	return names;
}

static List *
rebuild_joins(Node *node, Query *query, List **vars)
{
	List	   *names = NIL;
	ListCell   *lc;

	if (IsA(node, JoinExpr))
		return rebuild_join((JoinExpr *) node, query, vars);
	if (IsA(node, RangeTblRef))
	{
		int			rti = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);
		int			attno = 0;

		foreach(lc, rte->eref->colnames)
		{
			char	   *name = strVal(lfirst(lc));

			attno++;
			/* the type does not matter to the deparser */
			*vars = lappend(*vars, name[0] == '\0' ? NULL :
							makeVar(rti, attno, INT4OID, -1, InvalidOid, 0));
			names = lappend(names, makeString(pstrdup(name)));
		}
		return names;
	}
	foreach(lc, ((FromExpr *) node)->fromlist)
	{
		List	   *ignored = NIL;

		rebuild_joins(lfirst(lc), query, &ignored);
	}
	return NIL;
}

static bool
join_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		List	   *ignored = NIL;

		if (query->jointree)
			rebuild_joins((Node *) query->jointree, query, &ignored);
		return query_tree_walker(query, join_walker, context, 0);
	}
	return expression_tree_walker(node, join_walker, context);
}

/* ---- ORDER BY, GROUP BY, DISTINCT ON ------------------------------------- */

/*
 * cz_prints_as_number
 *		Is an expression more than a constant, but a number as the parser reads its
 *		text?
 */
bool
cz_prints_as_number(Node *expr)
{
	bool		is_bare = true;

	for (;;)
	{
		if (IsA(expr, OpExpr) && list_length(((OpExpr *) expr)->args) == 1)
			expr = linitial(((OpExpr *) expr)->args);
		else if (IsA(expr, RelabelType) &&
				 ((RelabelType *) expr)->relabelformat == COERCE_IMPLICIT_CAST)
			expr = (Node *) ((RelabelType *) expr)->arg;
		else if (IsA(expr, FuncExpr) &&
				 ((FuncExpr *) expr)->funcformat == COERCE_IMPLICIT_CAST)
			expr = linitial(((FuncExpr *) expr)->args);
		else
			break;
		is_bare = false;
	}
	/* core gives a constant its type where it stands alone */
	return !is_bare && IsA(expr, Const);
}

/* Cast what ORDER BY, GROUP BY or DISTINCT ON would take for a position. */
static bool
label_numbers(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		ListCell   *lc;

		foreach(lc, ((Query *) node)->targetList)
		{
			TargetEntry *tle = lfirst(lc);
			Node	   *expr = (Node *) tle->expr;

			if (tle->ressortgroupref > 0 && cz_prints_as_number(expr))
				tle->expr = (Expr *)
					makeRelabelType((Expr *) expr, exprType(expr), -1,
									exprCollation(expr), COERCE_EXPLICIT_CAST);
		}
		return query_tree_walker((Query *) node, label_numbers, context, 0);
	}
	return expression_tree_walker(node, label_numbers, context);
}

/* Is one of the items a column, which prints as a bare name? */
static bool
has_bare_item(List *clauses, List *targetlist)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (IsA(get_sortgroupclause_expr(lfirst(lc), targetlist), Var))
			return true;
	}
	return false;
}

/* Give expressions names that no column has; without one they get some default. */
static void
name_columns(List *targetlist, RangeTblEntry *rte)
{
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst(lc);
		ListCell   *ln;
		char	   *name;

		if (tle->resjunk || tle->resname != NULL || IsA(tle->expr, Var))
			continue;
		name = psprintf("o%d", tle->resno);
		ln = list_head(rte->eref->colnames);
		while (ln != NULL)
		{
			if (strcmp(strVal(lfirst(ln)), name) == 0)
			{
				name = psprintf("%s_", name);
				ln = list_head(rte->eref->colnames);
			}
			else
				ln = lnext(rte->eref->colnames, ln);
		}
		tle->resname = name;
	}
}

/*
 * ORDER BY and DISTINCT ON prefer a name of the target list to one of FROM, and core
 * prints columns without their table where there is only one.  A second entry, which
 * is not in FROM, makes it print the table too.
 */
static void
qualify_sort_columns(Query *query)
{
	RangeTblEntry *rte;
	ListCell   *lc;
	bool		captures = false;

	if (query->commandType != CMD_SELECT || list_length(query->rtable) != 1 ||
		!(has_bare_item(query->sortClause, query->targetList) ||
		  (query->hasDistinctOn &&
		   has_bare_item(query->distinctClause, query->targetList))))
		return;
	rte = linitial(query->rtable);
	name_columns(query->targetList, rte);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst(lc);
		Var		   *var = (Var *) tle->expr;
		ListCell   *ln;
		int			attno = 0;

		if (tle->resjunk || tle->resname == NULL)
			continue;
		foreach(ln, rte->eref->colnames)
		{
			attno++;
			if (strcmp(strVal(lfirst(ln)), tle->resname) == 0 &&
				!(IsA(var, Var) && var->varattno == attno))
				captures = true;
		}
	}
	if (!captures)
		return;
	rte = makeNode(RangeTblEntry);
	rte->rtekind = RTE_RESULT;
	rte->eref = makeAlias("nothing", NIL);
	query->rtable = lappend(query->rtable, rte);
}

/*
 * cz_value_of_param
 *		(SELECT param): a parameter whose value no planner takes for a constant, so
 *		that what is computed of it is computed when a row needs it.
 */
Node *
cz_value_of_param(Node *param)
{
	Query	   *query = makeNode(Query);
	SubLink    *sublink = makeNode(SubLink);

	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = list_make1(makeTargetEntry((Expr *) param, 1, pstrdup("value"),
												   false));
	sublink->subLinkType = EXPR_SUBLINK;
	sublink->subselect = (Node *) query;
	sublink->location = -1;
	return (Node *) sublink;
}

/*
 * cz_make_printable
 *		Make core's text of a Query, whose relations are stand-ins, mean what the
 *		Query means.
 *
 * query: changed in place.
 */
void
cz_make_printable(Query *query)
{
	(void) join_walker((Node *) query, NULL);
	(void) label_numbers((Node *) query, NULL);
	qualify_sort_columns(query);
}
