/*-------------------------------------------------------------------------
 *
 * rowids.c
 *	  xmin and its kin: what they may be compared with; and system columns in writes.
 *
 * An xmin names a transaction of one worker; the other placements of a shard have other
 * ones for the same rows.  Within one fragment, which reads each table at one place, they
 * compare as in a plain table.  What would bring such values of several places together
 * (a join or a sub-query that is done here, DISTINCT or GROUP BY over shards), and a
 * write to several shards that compares one with a value that comes from elsewhere, would
 * be wrong without a word: refused, with the reason.  A ctid names a row of the whole
 * table and has a file of its own (ctids.c).
 *
 * To show them, to ask whether they are NULL, and to read by a given one (each worker has
 * it) is left to the user.  They are read at the first placement of a shard, where a
 * write of a table with a key computes (replicas.c): so an application may use xmin as
 * the version of a row.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* xmin and its kin */
#define IS_ROW_ID(attno) \
	((attno) < 0 && (attno) != TableOidAttributeNumber && \
	 (attno) != SelfItemPointerAttributeNumber)

/* ---- does an expression have one? ---------------------------------------- */

typedef struct RowIdContext
{
	List	   *queries;		/* that the expression's Vars belong to, innermost first */
} RowIdContext;

static bool has_row_id_walker(Node *node, RowIdContext *context);

/* Has a column of a query's result one? */
static bool
output_has_row_id(Query *query, AttrNumber resno, List *queries)
{
	TargetEntry *tle = get_tle_by_resno(query->targetList, resno);
	RowIdContext inner = {lcons(query, list_copy(queries))};

	return tle != NULL && has_row_id_walker((Node *) tle->expr, &inner);
}

static bool
var_has_row_id(Var *var, RowIdContext *context)
{
	Query	   *query;
	List	   *queries;
	RangeTblEntry *rte;
	const CzTable *table;
	RowIdContext same;
	ListCell   *lc;

	if (var->varlevelsup >= list_length(context->queries))
		return false;
	queries = list_copy_tail(context->queries, var->varlevelsup);
	query = linitial(queries);
	rte = rt_fetch(var->varno, query->rtable);
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			table = IS_ROW_ID(var->varattno) ? cz_rte_table(rte) : NULL;
			/* those of a reference table are read here */
			if (table == NULL || table->kind == CZ_TABLE_FOREIGN ||
				table->kind == CZ_TABLE_REFERENCE)
				return false;
			return table->nshards != 1 || table->shards[0].nplacements != 1;
		case RTE_SUBQUERY:
			return var->varattno > 0 &&
				output_has_row_id(rte->subquery, var->varattno, queries);
		case RTE_JOIN:
			same.queries = queries;
			return var->varattno > 0 &&
				has_row_id_walker(list_nth(rte->joinaliasvars, var->varattno - 1), &same);
		case RTE_CTE:
			if (rte->self_reference || rte->ctelevelsup >= list_length(queries))
				return false;
			queries = list_copy_tail(queries, rte->ctelevelsup);
			foreach(lc, ((Query *) linitial(queries))->cteList)
			{
				CommonTableExpr *cte = lfirst(lc);

				if (strcmp(cte->ctename, rte->ctename) == 0 && IsA(cte->ctequery, Query) &&
					((Query *) cte->ctequery)->commandType == CMD_SELECT && var->varattno > 0)
					return output_has_row_id((Query *) cte->ctequery, var->varattno, queries);
			}
			return false;
		default:
			return false;
	}
}

static bool
has_row_id_walker(Node *node, RowIdContext *context)
{
	if (node == NULL || IsA(node, NullTest) || IsA(node, Query))
		return false;
	if (IsA(node, Var))
		return var_has_row_id((Var *) node, context);
	if (IsA(node, SubLink))
	{
		SubLink    *sublink = (SubLink *) node;

		return (sublink->subLinkType == EXPR_SUBLINK || sublink->subLinkType == ARRAY_SUBLINK) &&
			output_has_row_id((Query *) sublink->subselect, 1, context->queries);
	}
	return expression_tree_walker(node, has_row_id_walker, (void *) context);
}

/* ---- what is it compared with? ------------------------------------------- */

typedef struct CompareContext
{
	RowIdContext ids;
	bool		with_ids;		/* with something of the statement */
} CompareContext;

static bool
is_computed_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, SubLink) || IsA(node, Aggref) ||
		(IsA(node, Param) && ((Param *) node)->paramkind == PARAM_SUBLINK))
		return true;
	return expression_tree_walker(node, is_computed_walker, context);
}

static void
compare_args(List *args, CompareContext *context)
{
	ListCell   *lc;
	ListCell   *other;

	if (list_length(args) < 2)
		return;
	foreach(lc, args)
	{
		if (!has_row_id_walker(lfirst(lc), &context->ids))
			continue;
		foreach(other, args)
		{
			if (other == lc)
				continue;
			if (is_computed_walker(lfirst(other), NULL))
				context->with_ids = true;
		}
	}
}

static bool
compare_walker(Node *node, CompareContext *context)
{
	if (node == NULL || IsA(node, Query))
		return false;
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			compare_args(((OpExpr *) node)->args, context);
			break;
		case T_ScalarArrayOpExpr:
			compare_args(((ScalarArrayOpExpr *) node)->args, context);
			break;
		case T_FuncExpr:
			compare_args(((FuncExpr *) node)->args, context);
			break;
		case T_MinMaxExpr:
			compare_args(((MinMaxExpr *) node)->args, context);
			break;
		case T_RowCompareExpr:
			{
				RowCompareExpr *row = (RowCompareExpr *) node;
				ListCell   *left;
				ListCell   *right;

				forboth(left, row->largs, right, row->rargs)
					compare_args(list_make2(lfirst(left), lfirst(right)), context);
				break;
			}
		case T_Aggref:
			if (((Aggref *) node)->aggdistinct != NIL &&
				has_row_id_walker((Node *) ((Aggref *) node)->args, &context->ids))
				context->with_ids = true;
			break;
		case T_SubLink:
			{
				SubLink    *sublink = (SubLink *) node;
				Query	   *sub = (Query *) sublink->subselect;
				ListCell   *lc;

				if (sublink->testexpr == NULL)
					break;
				foreach(lc, sub->targetList)
				{
					TargetEntry *tle = lfirst(lc);

					if (!tle->resjunk &&
						output_has_row_id(sub, tle->resno, context->ids.queries))
						context->with_ids = true;
				}
				break;
			}
		default:
			break;
	}
	return expression_tree_walker(node, compare_walker, (void *) context);
}

/* Do rows count as equal by one: GROUP BY, DISTINCT, PARTITION BY, UNION? */
static bool
groups_by_row_ids(Query *query, RowIdContext *ids)
{
	List	   *clauses = list_concat_copy(query->groupClause, query->distinctClause);
	ListCell   *lc;

	foreach(lc, query->windowClause)
		clauses = list_concat(clauses, ((WindowClause *) lfirst(lc))->partitionClause);
	foreach(lc, clauses)
	{
		TargetEntry *tle = get_sortgroupref_tle(((SortGroupClause *) lfirst(lc))->tleSortGroupRef,
												   query->targetList);

		if (has_row_id_walker((Node *) tle->expr, ids))
			return true;
	}
	if (query->setOperations != NULL && IsA(query->setOperations, SetOperationStmt) &&
		!(((SetOperationStmt *) query->setOperations)->op == SETOP_UNION &&
		  ((SetOperationStmt *) query->setOperations)->all))
	{
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);
			ListCell   *lt;

			foreach(lt, rte->rtekind == RTE_SUBQUERY ? rte->subquery->targetList : NIL)
			{
				if (output_has_row_id(rte->subquery, ((TargetEntry *) lfirst(lt))->resno,
									  ids->queries))
					return true;
			}
		}
	}
	return false;
}

static void
compare_level(Query *query, CompareContext *context)
{
	context->with_ids |= groups_by_row_ids(query, &context->ids);
	(void) query_tree_walker(query, compare_walker, (void *) context,
							 QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES);
}

/* ---- does a statement mention one at all? -------------------------------- */

static bool
mentions_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno < 0 &&
			((Var *) node)->varattno != TableOidAttributeNumber;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, mentions_walker, context, 0);
	return expression_tree_walker(node, mentions_walker, context);
}

/*
 * cz_mentions_row_ids
 *		Does a statement use a system column, but tableoid, of any table?
 */
bool
cz_mentions_row_ids(Query *query)
{
	return mentions_walker((Node *) query, NULL);
}

/*
 * cz_compares_row_ids
 *		Would a query level that is not sent whole compare such values of several
 *		places?  Its sub-queries are asked for themselves.
 */
bool
cz_compares_row_ids(Query *query)
{
	CompareContext context;

	memset(&context, 0, sizeof(context));
	context.ids.queries = list_make1(query);
	compare_level(query, &context);
	return context.with_ids;
}

/*
 * cz_refuse_row_ids
 *		Raise that.
 */
void
cz_refuse_row_ids(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot compare xmin or other system columns of several shards"),
			 errdetail("%s.", CZ_ROW_ID_REASON),
			 errhint("Use columns of a key, or restrict the statement to one value of the distribution column.")));
}

/* ---- writes that are sent ------------------------------------------------ */

typedef struct WriteContext
{
	List	   *queries;		/* innermost first */
	bool		has_ctid;		/* of a distributed table */
	bool		has_other;		/* xmin and its kin */
} WriteContext;

static bool
write_walker(Node *node, WriteContext *context)
{
	if (node == NULL || IsA(node, NullTest))
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;
		const CzTable *table;

		if (var->varattno >= 0 || var->varattno == TableOidAttributeNumber ||
			var->varlevelsup >= list_length(context->queries))
			return false;
		rte = rt_fetch(var->varno,
					   ((Query *) list_nth(context->queries, var->varlevelsup))->rtable);
		table = rte->rtekind == RTE_RELATION ? cz_rte_table(rte) : NULL;
		if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
			return false;
		if (IS_ROW_ID(var->varattno))
			context->has_other = true;
		else
			context->has_ctid = true;
		return false;
	}
	if (IsA(node, Query))
	{
		context->queries = lcons(node, context->queries);
		(void) query_tree_walker((Query *) node, write_walker, (void *) context, 0);
		context->queries = list_delete_first(context->queries);
		return false;
	}
	return expression_tree_walker(node, write_walker, (void *) context);
}

/*
 * cz_row_ids_of_write
 *		Why an UPDATE or DELETE that could be sent whole may not be, as of what it does
 *		with system columns; NULL: it may.
 *
 * is_single: all on one shard.
 * is_replicated: a shard has several placements; by_key: only the first one computes.
 */
const char *
cz_row_ids_of_write(Query *query, bool is_single, bool is_replicated, bool by_key)
{
	WriteContext context;
	List	   *returning = query->returningList;
	ListCell   *lc;

	memset(&context, 0, sizeof(context));
	/* to return one is to show it */
	query->returningList = NIL;
	foreach(lc, returning)
	{
		if (!IsA(((TargetEntry *) lfirst(lc))->expr, Var))
			query->returningList = lappend(query->returningList, lfirst(lc));
	}
	(void) write_walker((Node *) query, &context);
	query->returningList = returning;

	if (is_replicated && !by_key && (context.has_ctid || context.has_other))
		return "ctid, xmin and their kin are others on each placement of a shard";
	if (!is_single && context.has_other)
		return CZ_ROW_ID_REASON;
	return NULL;
}
