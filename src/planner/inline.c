/*-------------------------------------------------------------------------
 *
 * inline.c
 *	  SQL functions give way to their queries before a Query is analysed.
 *
 * Core does the same, but later: then the distributed tables in such a function
 * would be expanded into their shards.  The conditions are core's (a set-returning
 * SQL function, STABLE or IMMUTABLE, ...).  Functions that read no distributed table
 * are left to core.
 *
 * One of which a whole row is used stays a function.  If it reads a table that its users
 * have partitioned, core must not inline it either: it would find a table without
 * partitions (needs_fmgr_hook says that somebody wants to see the function called).
 *
 * In UPDATE and DELETE, which are best sent whole, calls in expressions give way, too.
 *
 * Source: own work; what is done to the entry is what preprocess_function_rtes() of
 * PostgreSQL's src/backend/optimizer/prep/prepjointree.c does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/syscache.h"

#include "cz/compat.h"

#include "planner_int.h"

/* Functions that core may not inline while it plans. */
static List *kept_functions = NIL;

static needs_fmgr_hook_type prev_needs_fmgr_hook = NULL;

static bool
is_kept(Oid funcid)
{
	return list_member_oid(kept_functions, funcid) ||
		(prev_needs_fmgr_hook != NULL && prev_needs_fmgr_hook(funcid));
}

/*
 * cz_inline_init
 *		Install the hook.
 */
void
cz_inline_init(void)
{
	prev_needs_fmgr_hook = needs_fmgr_hook;
	needs_fmgr_hook = is_kept;
}

/*
 * cz_keep_functions
 *		Set the functions that core may not inline from now on; returns those of before.
 */
List *
cz_keep_functions(List *funcids)
{
	List	   *before = kept_functions;

	kept_functions = funcids;
	return before;
}

/* Does a query read a table that its users have partitioned, or a partition of one? */
static bool
reads_parts_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		const CzTable *table = rte->rtekind == RTE_RELATION &&
			rte->relkind == RELKIND_PARTITIONED_TABLE ? CzTableGet(rte->relid) : NULL;

		return table != NULL && OidIsValid(table->map_relid);
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_parts_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, reads_parts_walker, context);
}

typedef struct WholeRowContext
{
	int			rti;
	int			depth;
} WholeRowContext;

/* Is a whole row of the entry used?  Of a function it has a type of its own. */
static bool
whole_row_walker(Node *node, WholeRowContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varno == context->rti && ((Var *) node)->varattno == 0 &&
			((Var *) node)->varlevelsup == context->depth;
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, whole_row_walker, (void *) context, 0);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, whole_row_walker, (void *) context);
}

static bool
is_sql_function(Oid funcid)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	bool		result;

	if (!HeapTupleIsValid(tup))
		return false;
	result = ((Form_pg_proc) GETSTRUCT(tup))->prolang == SQLlanguageId;
	ReleaseSysCache(tup);
	return result;
}

/*
 * cz_is_inlinable
 *		Is an RTE_FUNCTION an SQL function, which core might inline?
 */
bool
cz_is_inlinable(RangeTblEntry *rte)
{
	Node	   *expr;

	if (rte->funcordinality || list_length(rte->functions) != 1)
		return false;
	expr = ((RangeTblFunction *) linitial(rte->functions))->funcexpr;
	if (!IsA(expr, FuncExpr) || !((FuncExpr *) expr)->funcretset)
		return false;
	return is_sql_function(((FuncExpr *) expr)->funcid);
}

typedef struct InlineContext
{
	PlannerInfo *root;
	List	   *kept;			/* OIDs: of cz_inline_functions */
} InlineContext;

static bool
inline_walker(Node *node, InlineContext *inlining)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		WholeRowContext context = {0, 0};
		ListCell   *lc;

		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);
			RangeTblEntry *copy;
			FuncExpr   *call;
			Query	   *body;

			context.rti++;
			if (rte->rtekind != RTE_FUNCTION || !cz_is_inlinable(rte))
				continue;
			copy = copyObject(rte);
			copy->functions = (List *) eval_const_expressions(inlining->root,
															  (Node *) copy->functions);
			body = inline_set_returning_function(inlining->root, copy);
			if (body == NULL)
				continue;
			if (query_tree_walker(query, whole_row_walker, (void *) &context, 0))
			{
				call = (FuncExpr *) ((RangeTblFunction *) linitial(rte->functions))->funcexpr;
				inline_walker((Node *) body, inlining);
				if (reads_parts_walker((Node *) body, NULL))
					inlining->kept = list_append_unique_oid(inlining->kept, call->funcid);
				continue;
			}
			inline_walker((Node *) body, inlining);
			if (!cz_query_uses_workers(body))
				continue;
			rte->rtekind = RTE_SUBQUERY;
			rte->subquery = body;
			rte->security_barrier = false;
			rte->functions = NIL;
			rte->funcordinality = false;
		}
		return query_tree_walker(query, inline_walker, (void *) inlining, 0);
	}
	return expression_tree_walker(node, inline_walker, (void *) inlining);
}

static bool
is_sql_call(Node *node)
{
	if (!IsA(node, FuncExpr) || ((FuncExpr *) node)->funcretset ||
		((FuncExpr *) node)->funcid < FirstNormalObjectId)
		return false;
	return is_sql_function(((FuncExpr *) node)->funcid);
}

static bool
finds_call_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (is_sql_call(node))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, finds_call_walker, context, 0);
	return expression_tree_walker(node, finds_call_walker, context);
}

static Node *
call_mutator(Node *node, PlannerInfo *root)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, call_mutator, (void *) root,
										   QTW_DONT_COPY_QUERY);
	node = expression_tree_mutator(node, call_mutator, (void *) root);
	return is_sql_call(node) ? eval_const_expressions(root, node) : node;
}

/*
 * cz_inline_calls
 *		Replace calls of SQL functions in the expressions of a write by what they compute,
 *		which can be sent where the function can't.
 *
 * query: changed in place.
 * glob: see cz_inline_functions.
 */
void
cz_inline_calls(Query *query, PlannerGlobal *glob)
{
	PlannerInfo *root;

	if (!query_tree_walker(query, finds_call_walker, NULL, 0))
		return;
	root = makeNode(PlannerInfo);
	root->parse = query;
	root->glob = glob;
	root->query_level = 1;
	root->planner_cxt = CurrentMemoryContext;
	(void) query_tree_mutator(query, call_mutator, (void *) root, QTW_DONT_COPY_QUERY);
}

static bool
finds_function_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_FUNCTION &&
			cz_is_inlinable((RangeTblEntry *) node);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, finds_function_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, finds_function_walker, context);
}

/*
 * cz_inline_functions
 *		Replace SQL functions in FROM that read distributed tables by their queries.
 *
 * glob: out: what the plan then depends on, invalItems and dependsOnRole.
 * Returns: OIDs of functions that core may not inline (cz_keep_functions).
 */
List *
cz_inline_functions(Query *query, ParamListInfo bound_params, PlannerGlobal *glob)
{
	InlineContext inlining = {NULL, NIL};
	PlannerInfo *root;

	if (!query_tree_walker(query, finds_function_walker, NULL, QTW_EXAMINE_RTES_BEFORE))
		return NIL;
	glob->boundParams = bound_params;
	root = makeNode(PlannerInfo);
	root->parse = query;
	root->glob = glob;
	root->query_level = 1;
	root->planner_cxt = CurrentMemoryContext;
	inlining.root = root;
	inline_walker((Node *) query, &inlining);
	return inlining.kept;
}
