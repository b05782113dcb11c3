/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  The statistics of columns: of tables, and of leaves, whose columns are tables' ones.
 *
 * A leaf is a function to core, and functions have none.  get_relation_stats_hook
 * (estimate.c) gives a leaf's column the pg_statistic row of the parent's column that it
 * is, through the sub-queries of a pushed query, under the rules of core's
 * examine_simple_variable: nothing is looked through that hides or mixes rows.
 *
 * Source: own work; the rules of column_source follow examine_simple_variable in
 * src/backend/utils/adt/selfuncs.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_statistic.h"
#include "miscadmin.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"

#include "../planner_int.h"

static void column_source(Query *query, TargetEntry *tle, List *outer, CzColumnSource *source);

/* The rows of a partitioned table are those of its partitions. */
HeapTuple
cz_statistics_tuple(Oid relid, AttrNumber attno)
{
	return SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid), Int16GetDatum(attno),
						   BoolGetDatum(get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE));
}

/* Average width of a column, bytes; 0: not known. */
int32
cz_column_width(Oid relid, AttrNumber attno)
{
	HeapTuple	tup = attno > 0 ? cz_statistics_tuple(relid, attno) : NULL;
	int32		width = 0;

	if (HeapTupleIsValid(tup))
	{
		width = ((Form_pg_statistic) GETSTRUCT(tup))->stawidth;
		ReleaseSysCache(tup);
	}
	return width;
}

/* Has each row another value in a column? */
bool
cz_is_unique_column(Oid relid, AttrNumber attno)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	bool		is_unique = false;
	ListCell   *lc;

	table_close(rel, NoLock);
	foreach(lc, indexes)
	{
		HeapTuple	tup = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tup))
			continue;
		index = (Form_pg_index) GETSTRUCT(tup);
		is_unique = index->indisunique && index->indisvalid && index->indnkeyatts == 1 &&
			index->indkey.values[0] == attno &&
			heap_attisnull(tup, Anum_pg_index_indpred, NULL);
		ReleaseSysCache(tup);
		if (is_unique)
			break;
	}
	list_free(indexes);
	return is_unique;
}

/* May a role see all values of a column?  As core's all_rows_selectable asks. */
static bool
is_column_readable(Oid relid, AttrNumber attno, Oid user_oid)
{
	return pg_class_aclcheck(relid, user_oid, ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck(relid, attno, user_oid, ACL_SELECT) == ACLCHECK_OK;
}

/* The n-th column that a query returns. */
static TargetEntry *
nth_output(Query *query, int n)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		if (!tle->resjunk && --n == 0)
			return tle;
	}
	return NULL;
}

/* The CTE that a range-table entry reads; *outer becomes what is around it. */
static CommonTableExpr *
cte_of_rte(Query *query, RangeTblEntry *rte, List **outer)
{
	CommonTableExpr *cte;
	Index		level;

	for (level = 0; level < rte->ctelevelsup; level++)
	{
		if (*outer == NIL)
			return NULL;
		query = linitial(*outer);
		*outer = list_copy_tail(*outer, 1);
	}
	cte = cz_cte_of_name(query->cteList, rte->ctename);
	if (cte != NULL)
		*outer = lcons(query, *outer);
	return cte;
}

/* The source of an expression of a query; outer: the queries around it. */
static void
expression_source(Query *query, Node *node, List *outer, CzColumnSource *source)
{
	Var		   *var = (Var *) node;
	RangeTblEntry *rte;
	Query	   *inner = NULL;
	TargetEntry *tle;

	if (node == NULL || !IsA(node, Var) || var->varlevelsup != 0 || var->varattno <= 0 ||
		var->varno > list_length(query->rtable))
		return;
	rte = rt_fetch(var->varno, query->rtable);
	if (rte_group_expr_compat(rte, var->varattno) != NULL)
	{
		expression_source(query, rte_group_expr_compat(rte, var->varattno), outer, source);
		return;
	}
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			source->relid = rte->relid;
			source->attno = var->varattno;
			source->user_oid = rte_check_as_user_compat(query, rte);
			source->is_hidden |= rte->securityQuals != NIL || rte->security_barrier;
			return;

		case RTE_JOIN:
			expression_source(query, list_nth(rte->joinaliasvars, var->varattno - 1),
							  outer, source);
			return;

		case RTE_SUBQUERY:
			if (rte->security_barrier)
				return;
			inner = rte->subquery;
			outer = lcons(query, outer);
			break;

		case RTE_RESULT:
			if (cz_ship_of_rte(rte) == NULL || cz_ship_of_rte(rte)->source == NULL)
				return;
			inner = cz_ship_of_rte(rte)->source;
			outer = NIL;
			break;

		case RTE_CTE:
			{
				CommonTableExpr *cte = cte_of_rte(query, rte, &outer);

				if (cte == NULL || cte->cterecursive || !IsA(cte->ctequery, Query) ||
					((Query *) cte->ctequery)->commandType != CMD_SELECT)
					return;
				inner = (Query *) cte->ctequery;
			}
			break;

		default:
			return;
	}
	tle = nth_output(inner, var->varattno);
	if (tle != NULL)
	{
		bool		is_unique = source->is_unique;

		/* what is unique in there may be joined with many rows here */
		column_source(inner, tle, outer, source);
		source->is_unique = is_unique;
	}
}

/* The source of an output column of a query. */
static void
column_source(Query *query, TargetEntry *tle, List *outer, CzColumnSource *source)
{
	check_stack_depth();
	if (query->setOperations != NULL || query->groupingSets != NIL ||
		query->commandType != CMD_SELECT)
		return;
	if (query->distinctClause != NIL && targetIsInSortList(tle, InvalidOid, query->distinctClause))
	{
		source->is_grouped = true;
		source->is_unique |= list_length(query->distinctClause) == 1;
	}
	if (query->groupClause != NIL && targetIsInSortList(tle, InvalidOid, query->groupClause))
	{
		source->is_grouped = true;
		source->is_unique |= list_length(query->groupClause) == 1 && !query->hasTargetSRFs;
	}
	expression_source(query, (Node *) tle->expr, outer, source);
}

/* The source of a leaf's column. */
CzColumnSource
cz_leaf_column_source(CzLeaf *leaf, AttrNumber attno)
{
	CzColumnSource source = {0};
	TargetEntry *tle;

	if (attno <= 0)
		return source;
	if (leaf->source->rtekind == RTE_RELATION)
	{
		const CzTable *table = CzTableGet(leaf->source->relid);

		/* behind the columns are system columns */
		if (table == NULL || attno > table->natts)
			return source;
		source.relid = leaf->source->relid;
		source.attno = attno;
		source.user_oid = leaf->check_as_user;
		source.is_hidden = leaf->source->securityQuals != NIL;
		return source;
	}
	tle = nth_output(leaf->source->subquery, attno);
	if (tle != NULL)
		column_source(leaf->source->subquery, tle, NIL, &source);
	/* each shard may have the same group */
	if (leaf->strategy == CZ_STRATEGY_TWO_PHASE)
		source.is_unique = false;
	return source;
}

/*
 * The statistics of a column of which each value appears about once: how many
 * values there are, but not how often.
 */
static HeapTuple
grouped_statistics(HeapTuple tuple, double rows)
{
	HeapTuple	copy = heap_copytuple(tuple);
	Form_pg_statistic stats = (Form_pg_statistic) GETSTRUCT(copy);

	if (stats->stadistinct < 0)
		stats->stadistinct = Max(1, -stats->stadistinct * rows);
	stats->stanullfrac = 0;
	stats->stakind1 = stats->stakind2 = stats->stakind3 = stats->stakind4 =
		stats->stakind5 = 0;
	return copy;
}

void
cz_column_statistics(const CzColumnSource *source, VariableStatData *vardata)
{
	Oid			user_oid = OidIsValid(source->user_oid) ? source->user_oid : GetUserId();

	vardata->isunique |= source->is_unique;
	if (!OidIsValid(source->relid))
		return;
	vardata->statsTuple = cz_statistics_tuple(source->relid, source->attno);
	vardata->freefunc = ReleaseSysCache;
	vardata->acl_ok = !HeapTupleIsValid(vardata->statsTuple) ||
		(!source->is_hidden && is_column_readable(source->relid, source->attno, user_oid));
	if (source->is_grouped && HeapTupleIsValid(vardata->statsTuple))
	{
		HeapTuple	tuple = vardata->statsTuple;

		vardata->statsTuple = grouped_statistics(tuple, cz_relation_rows(source->relid));
		vardata->freefunc = heap_freetuple;
		ReleaseSysCache(tuple);
	}
}
