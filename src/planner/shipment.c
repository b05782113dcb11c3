/*-------------------------------------------------------------------------
 *
 * shipment.c
 *	  Take a part out of a Query and read its rows as a shipment instead.
 *
 * The part (tables of FROM with conditions of their own) becomes a query of its
 * own, which core plans as a materialized CTE of the Query that holds the leaf.
 * In the rest an entry without a table takes its place, whose columns are those
 * that the rest needs.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/typcache.h"

#include "cz/compat.h"

#include "planner_int.h"

/*
 * cz_ship_of_rte
 *		The shipment that a range-table entry reads, or NULL.
 */
CzShip *
cz_ship_of_rte(RangeTblEntry *rte)
{
	if (rte->rtekind != RTE_RESULT || rte->ctename == NULL)
		return NULL;
	return list_nth(cz_plan_state->ships, rte->ctelevelsup);
}

/*
 * cz_ship_rte
 *		Register a shipment and make an entry that reads it.
 */
RangeTblEntry *
cz_ship_rte(CzPlanState *state, CzShip *ship)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *names = NIL;
	int			i;

	for (i = 1; i <= list_length(ship->types); i++)
		names = lappend(names, makeString(psprintf("c%d", i)));
	state->ships = lappend(state->ships, ship);
	rte->rtekind = RTE_RESULT;
	rte->ctename = pstrdup("shipment");
	rte->ctelevelsup = list_length(state->ships) - 1;
	rte->eref = makeAlias("shipment", names);
	rte->inFromCl = true;
	return rte;
}

/*
 * cz_free_cte_name
 *		A name for a CTE of ours that no CTE of two lists has: name itself, or what
 *		underscores make of it.  Other levels of a query may have it.
 */
char *
cz_free_cte_name(char *name, List *ctes, List *more)
{
	List	   *all = list_concat_copy(ctes, more);
	ListCell   *lc = list_head(all);

	while (lc != NULL)
	{
		if (strcmp(((CommonTableExpr *) lfirst(lc))->ctename, name) != 0)
		{
			lc = lnext(all, lc);
			continue;
		}
		name = psprintf("%s_", name);
		lc = list_head(all);
	}
	return name;
}

/*
 * cz_blank_rte
 *		Make an entry one of nothing: what it was is elsewhere now.
 */
void
cz_blank_rte(RangeTblEntry *rte)
{
	rte_clear_permissions_compat(rte);
	rte->rtekind = RTE_RESULT;
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	rte->tablesample = NULL;
	rte->subquery = NULL;
	rte->security_barrier = false;
	rte->joinaliasvars = NIL;
	rte->joinleftcols = NIL;
	rte->joinrightcols = NIL;
	rte->join_using_alias = NULL;
	rte->functions = NIL;
	rte->funcordinality = false;
	rte->tablefunc = NULL;
	rte->values_lists = NIL;
	rte->ctename = NULL;
	rte->coltypes = NIL;
	rte->coltypmods = NIL;
	rte->colcollations = NIL;
	rte->alias = NULL;
	rte->eref = makeAlias("nothing", NIL);
	rte->lateral = false;
	rte->securityQuals = NIL;
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

/* ---- Vars ---------------------------------------------------------------- */

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

/* ---- only what is asked for ----------------------------------------------- */

/*
 * cz_wanted_sublink
 *		(locals) IN (SELECT outers FROM an entry of outer WHERE quals)
 *
 * ops: OpExprs of a level below outer, local = outer expression; sides: int list, which
 * argument of each is the outer one.  quals: of the entry alone.
 */
Node *
cz_wanted_sublink(Query *outer, Index rti, List *quals, List *ops, List *sides)
{
	Query	   *sub = makeNode(Query);
	SubLink    *sublink = makeNode(SubLink);
	RangeTblEntry *rte = copyObject(rt_fetch(rti, outer->rtable));
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *tests = NIL;
	ListCell   *lc;
	ListCell   *ls;
	int			n = 0;

	quals = copyObject(quals);
	ChangeVarNodes((Node *) rte->securityQuals, rti, 1, 0);
	ChangeVarNodes((Node *) quals, rti, 1, 0);
	ref->rtindex = 1;
	sub->commandType = CMD_SELECT;
	sub->querySource = QSRC_ORIGINAL;
	sub->canSetTag = true;
	sub->rtable = list_make1(rte);
	sub->hasRowSecurity = outer->hasRowSecurity;
	query_copy_permissions_compat(sub, outer);
	sub->jointree = makeFromExpr(list_make1(ref), (Node *) make_ands_explicit(quals));
	sub->hasSubLinks = checkExprHasSubLink((Node *) quals);
	forboth(lc, ops, ls, sides)
	{
		OpExpr	   *test = copyObject(lfirst(lc));
		ListCell   *side = list_nth_cell(test->args, lfirst_int(ls));
		Node	   *value = lfirst(side);
		Param	   *param = makeNode(Param);

		n++;
		param->paramkind = PARAM_SUBLINK;
		param->paramid = n;
		param->paramtype = exprType(value);
		param->paramtypmod = exprTypmod(value);
		param->paramcollid = exprCollation(value);
		param->location = -1;
		lfirst(side) = param;
		tests = lappend(tests, test);
		IncrementVarSublevelsUp(value, -1, 1);
		ChangeVarNodes(value, rti, 1, 0);
		sub->targetList = lappend(sub->targetList,
								  makeTargetEntry((Expr *) value, n, psprintf("k%d", n),
												  false));
	}
	sublink->subLinkType = ANY_SUBLINK;
	sublink->testexpr = (Node *) make_ands_explicit(tests);
	sublink->operName = list_make1(makeString("="));
	sublink->subselect = (Node *) sub;
	sublink->location = -1;
	return (Node *) sublink;
}

/* ---- primary keys -------------------------------------------------------- */

typedef struct DependentContext
{
	Query	   *query;
	List	   *grouped;		/* expressions */
	List	   *dependent;		/* Vars */
} DependentContext;

static bool
dependent_walker(Node *node, DependentContext *context)
{
	if (node == NULL || IsA(node, Aggref) || list_member(context->grouped, node))
		return false;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varlevelsup == 0)
			context->dependent = list_append_unique(context->dependent, node);
		return false;
	}
	return expression_tree_walker(node, dependent_walker, (void *) context);
}

/*
 * Columns that may stand beside a group because its primary key is grouped are
 * grouped, too: what takes the table's place has no primary key.  Returns false if that
 * is not possible.
 */
static bool
group_dependents(Query *query)
{
	DependentContext context = {query, NIL, NIL};
	ListCell   *lc;

	if (query->constraintDeps == NIL)
		return true;
	if (query->groupingSets != NIL || query->hasSubLinks)
		return false;
	foreach(lc, query->groupClause)
		context.grouped = lappend(context.grouped,
								  get_sortgroupclause_expr(lfirst(lc), query->targetList));
	dependent_walker((Node *) query->targetList, &context);
	dependent_walker(query->havingQual, &context);
	dependent_walker((Node *) query->windowClause, &context);
	foreach(lc, context.dependent)
	{
		Var		   *var = lfirst(lc);
		SortGroupClause *clause = makeNode(SortGroupClause);
		TypeCacheEntry *type = lookup_type_cache(var->vartype, TYPECACHE_LT_OPR |
												 TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);
		TargetEntry *tle;

		if (!OidIsValid(type->eq_opr) || !OidIsValid(type->lt_opr) || var->varattno <= 0)
			return false;
		tle = makeTargetEntry((Expr *) copyObject(var), list_length(query->targetList) + 1,
							  NULL, true);
		query->targetList = lappend(query->targetList, tle);
		clause->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
		clause->eqop = type->eq_opr;
		clause->sortop = type->lt_opr;
		clause->hashable = OidIsValid(type->hash_proc);
		query->groupClause = lappend(query->groupClause, clause);
	}
	query->constraintDeps = NIL;
	return true;
}

static bool
group_dependents_walker(Node *node, bool *failed)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		if (!group_dependents((Query *) node))
			*failed = true;
		return query_tree_walker((Query *) node, group_dependents_walker, (void *) failed,
								 QTW_IGNORE_JOINALIASES);
	}
	return expression_tree_walker(node, group_dependents_walker, (void *) failed);
}

/*
 * cz_group_dependents
 *		Let no part of a Query depend on primary keys; false if that can't be.
 */
bool
cz_group_dependents(Query *query)
{
	bool		failed = false;

	group_dependents_walker((Node *) query, &failed);
	return !failed;
}

/* ---- the query that computes a shipment ---------------------------------- */

typedef struct LevelsContext
{
	int			depth;			/* of the walk, below the new query */
	int			old_depth;		/* of the part, below the query that gets the CTE */
	bool		failed;
} LevelsContext;

/* References to CTEs follow the move of a part into a CTE of the topmost query. */
static bool
levels_walker(Node *node, LevelsContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && rte->ctelevelsup >= context->depth)
		{
			/* counted from the topmost query: 0 is its own CTE */
			int			target = context->old_depth + context->depth -
				(int) rte->ctelevelsup;

			if (target > 0)
				context->failed = true;
			else
				rte->ctelevelsup = context->depth + 1 - target;
		}
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, levels_walker, (void *) context,
						  QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, levels_walker, (void *) context);
}

typedef struct NullingContext
{
	Relids		joins;
	int			depth;
} NullingContext;

/* Columns are made NULL by outer joins that are in the part only. */
static bool
nulling_walker(Node *node, NullingContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		if ((int) ((Var *) node)->varlevelsup == context->depth)
			var_keep_nulling_compat((Var *) node, context->joins);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, nulling_walker, (void *) context,
						  QTW_IGNORE_JOINALIASES);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, nulling_walker, (void *) context);
}

/*
 * cz_shipment_query
 *		SELECT vars FROM nodes WHERE quals, of parts of a Query, as a CTE's query.
 *
 * vars: expressions of the Query's level.
 * depth: of the Query below the one that gets the CTE.
 *
 * Returns: a new Query that shares nothing; NULL if it refers to a CTE that the
 *		topmost query does not see.
 */
Query *
cz_shipment_query(Query *query, List *nodes, List *quals, List *vars, int depth)
{
	Query	   *result = makeNode(Query);
	Relids		used = NULL;
	LevelsContext levels = {0, depth, false};
	NullingContext nulling;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, nodes)
		used = bms_add_members(used, cz_node_relids(lfirst(lc), true));
	result->commandType = CMD_SELECT;
	result->querySource = QSRC_ORIGINAL;
	result->canSetTag = true;
	result->rtable = copyObject(query->rtable);
	query_copy_permissions_compat(result, query);
	foreach(lc, result->rtable)
	{
		if (!bms_is_member(++n, used))
			cz_blank_rte(lfirst(lc));
	}
	result->jointree = makeFromExpr(copyObject(nodes), quals == NIL ? NULL :
									(Node *) make_ands_explicit(copyObject(quals)));
	n = 0;
	foreach(lc, vars)
	{
		n++;
		result->targetList = lappend(result->targetList,
									 makeTargetEntry(copyObject(lfirst(lc)), n,
													 psprintf("c%d", n), false));
	}
	result->hasSubLinks = query->hasSubLinks;
	nulling.joins = used;
	nulling.depth = 0;
	query_tree_walker(result, nulling_walker, (void *) &nulling, QTW_IGNORE_JOINALIASES);
	query_tree_walker(result, levels_walker, (void *) &levels,
					  QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return levels.failed ? NULL : result;
}
