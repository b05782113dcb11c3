/*-------------------------------------------------------------------------
 *
 * order.c
 *	  Fragments whose rows come sorted.
 *
 * Where the query above a leaf wants its rows in an order, the workers can sort,
 * each its part, and the executor merges: no sort here, the first rows before the
 * last ones have come, and a LIMIT reads no further than it needs.
 *
 * The order must be the same on every server.  So the types are built-in ones whose
 * comparison depends on the values alone, and texts only in a collation that is sure
 * (collation.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* Sorted rows from which on a stream of each worker is better than stores. */
#define CZ_MERGE_ORDER_ROWS 20000.0

/*
 * cz_order_is_sure
 *		Does a worker sort values of a type by an operator exactly as we do?
 */
bool
cz_order_is_sure(Oid type, Oid sortop, Oid collation)
{
	Oid			elem;

	if (!OidIsValid(sortop))
		return false;
	/* of what an extension's comparison reads, nothing is known but the values */
	if (sortop >= FirstGenbkiObjectId)
		return CzExtensionIsShared(getExtensionOfObject(OperatorRelationId, sortop)) &&
			op_volatile(sortop) == PROVOLATILE_IMMUTABLE &&
			(!OidIsValid(collation) ||
			 (cz_collation_is_sure(collation) && cz_collation_is_sure(DEFAULT_COLLATION_OID)));
	type = getBaseType(type);
	elem = get_element_type(type);
	if (OidIsValid(elem))
		type = getBaseType(elem);
	switch (type)
	{
		case BOOLOID:
		case CHAROID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case CASHOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case UUIDOID:
		case BYTEAOID:
		case BITOID:
		case VARBITOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
			return cz_collation_is_sure(collation);
		case JSONBOID:			/* compares its strings in the default collation */
			return cz_collation_is_sure(DEFAULT_COLLATION_OID);
		default:
			return false;
	}
}

/* The column of a leaf that an expression is, or NULL. */
static Var *
leaf_column(Expr *expr, Index rti)
{
	while (expr != NULL && IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	if (expr != NULL && IsA(expr, Var) && ((Var *) expr)->varno == rti &&
		((Var *) expr)->varlevelsup == 0 && ((Var *) expr)->varattno > 0)
		return (Var *) expr;
	return NULL;
}

/*
 * Does a query lock rows, at any depth?  Its fragments are sent one after the other, while
 * a merge wants rows of all of them.
 */
static bool
locks_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return ((Query *) node)->rowMarks != NIL ||
			query_tree_walker((Query *) node, locks_walker, context, 0);
	return expression_tree_walker(node, locks_walker, context);
}

/*
 * cz_leaf_order
 *		How the fragments of a leaf have to sort for the order that the query
 *		around it wants: CzOrderKey pointers, NIL if they can't.
 */
List *
cz_leaf_order(PlannerInfo *root, RelOptInfo *rel, CzLeaf *leaf)
{
	List	   *keys = NIL;
	ListCell   *lc;

	if (root->query_pathkeys == NIL || OidIsValid(leaf->target_shard) ||
		leaf->row_mark != NULL ||
		(leaf->source->rtekind == RTE_SUBQUERY &&
		 locks_walker((Node *) leaf->source->subquery, NULL)))
		return NIL;
	foreach(lc, root->query_pathkeys)
	{
		PathKey    *pathkey = lfirst_node(PathKey, lc);
		EquivalenceClass *ec = pathkey->pk_eclass;
		CzOrderKey *key = NULL;
		ListCell   *lm;

		if (ec->ec_has_volatile)
			return NIL;
		foreach(lm, ec->ec_members)
		{
			EquivalenceMember *em = lfirst(lm);
			Var		   *var = leaf_column(em->em_expr, rel->relid);
			Oid			sortop;

			/* a collation that the worker does not have may be just said there */
			if (var == NULL || em->em_is_child ||
				!cz_expr_is_shippable((Node *) em->em_expr, NULL))
				continue;
			sortop = pathkey_operator_compat(pathkey, em->em_datatype);
			if (!cz_order_is_sure(exprType((Node *) var), sortop, ec->ec_collation))
				continue;
			key = palloc0(sizeof(CzOrderKey));
			key->expr = em->em_expr;
			key->attno = var->varattno;
			key->sortop = sortop;
			key->collation = ec->ec_collation;
			key->nulls_first = pathkey->pk_nulls_first;
			break;
		}
		if (key == NULL)
			return NIL;
		keys = lappend(keys, key);
	}
	return keys;
}

/*
 * cz_query_has_order
 *		Does a Query return its rows in this order already?
 */
bool
cz_query_has_order(Query *query, List *keys)
{
	ListCell   *lk;
	ListCell   *ls;

	if (list_length(query->sortClause) < list_length(keys))
		return false;
	forboth(lk, keys, ls, query->sortClause)
	{
		CzOrderKey *key = lfirst(lk);
		SortGroupClause *sort = lfirst(ls);
		TargetEntry *tle = get_sortgroupclause_tle(sort, query->targetList);

		if (tle->resjunk || tle->resno != key->attno || sort->sortop != key->sortop ||
			sort->nulls_first != key->nulls_first || !IsA(key->expr, Var))
			return false;
	}
	return true;
}

/*
 * cz_query_takes_order
 *		May ORDER BY columns of its result be added to a Query?
 */
bool
cz_query_takes_order(Query *query, List *keys)
{
	ListCell   *lc;

	if (query->limitCount != NULL || query->limitOffset != NULL ||
		query->sortClause != NIL || query->hasDistinctOn || query->hasTargetSRFs ||
		query->rowMarks != NIL)
		return false;
	foreach(lc, keys)
	{
		if (!IsA(((CzOrderKey *) lfirst(lc))->expr, Var))
			return false;
	}
	return true;
}

/*
 * cz_add_order
 *		Add ORDER BY to a Query.
 *
 * exprs: by key: the expression, NULL: the column of the result with the number of
 *		the key's attno.
 */
void
cz_add_order(Query *query, List *keys, List *exprs)
{
	ListCell   *lk;
	ListCell   *le = list_head(exprs);

	foreach(lk, keys)
	{
		CzOrderKey *key = lfirst(lk);
		SortGroupClause *sort = makeNode(SortGroupClause);
		TargetEntry *tle = NULL;

		if (exprs != NIL)
		{
			tle = tlist_member(lfirst(le), query->targetList);
			if (tle == NULL)
			{
				tle = makeTargetEntry(lfirst(le), list_length(query->targetList) + 1,
									  NULL, true);
				query->targetList = lappend(query->targetList, tle);
			}
			le = lnext(exprs, le);
		}
		else
			tle = get_tle_by_resno(query->targetList, key->attno);
		sort->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
		sort->sortop = key->sortop;
		sort->eqop = get_equality_op_for_ordering_op(key->sortop, NULL);
		sort->nulls_first = key->nulls_first;
		query->sortClause = lappend(query->sortClause, sort);
	}
}

/*
 * cz_fragment_set_order
 *		Tell the executor by what the fragments' rows are sorted.
 *
 * vars: the leaf's columns that the fragments return, in order.
 * rows: estimate.
 */
void
cz_fragment_set_order(CzFragmentPlan *plan, List *keys, List *vars, double rows)
{
	ListCell   *lk;

	foreach(lk, keys)
	{
		CzOrderKey *key = lfirst(lk);
		ListCell   *lv;
		int			n = 0;

		foreach(lv, vars)
		{
			n++;
			if (IsA(lfirst(lv), Var) && ((Var *) lfirst(lv))->varattno == key->attno)
				break;
		}
		if (lv == NULL)
			elog(ERROR, "a fragment does not return what it is sorted by");
		plan->sort_columns = lappend_int(plan->sort_columns, n);
		plan->sort_operators = lappend_oid(plan->sort_operators, key->sortop);
		plan->sort_collations = lappend_oid(plan->sort_collations, key->collation);
		plan->sort_nulls_first = lappend_int(plan->sort_nulls_first, key->nulls_first);
	}
	plan->is_ordered = true;
	/* few rows are merged from stores just as well, and joins like shards better */
	if (plan->merge == CZ_MERGE_MAY && rows >= CZ_MERGE_ORDER_ROWS &&
		list_length(plan->relids) == 1)
		plan->merge = CZ_MERGE_WANTED;
}

/*
 * cz_order_cost
 *		What it costs more that the fragments sort: half of a sort, since the
 *		workers do it side by side.
 */
Cost
cz_order_cost(RelOptInfo *rel, CzLeaf *leaf, List *keys)
{
	double		rows = Max(rel->rows, 2.0);

	if (leaf->source->rtekind == RTE_SUBQUERY &&
		cz_query_has_order(leaf->source->subquery, keys))
		return 0;
	return rows * log2(rows) * cpu_operator_cost;
}
