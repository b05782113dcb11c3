/*-------------------------------------------------------------------------
 *
 * whole.c
 *	  Which steps of a query level are whole on each shard, and which span shards.
 *
 * Groups, windows' partitions and DISTINCT rows are whole where the distribution column
 * is part of what they go by.  A column that some grouping set leaves out is NULL in that
 * set's rows, whatever it equals in others, so it counts only if all sets have it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_agg.h"

#include "cz/compat.h"

#include "../planner_int.h"

/*
 * cz_is_key_expr
 *		Does an expression of a query level equal the distribution column?
 */
bool
cz_is_key_expr(Node *expr, Query *query, List *keys, List *classes)
{
	if (keys == NIL)
		return false;
	expr = flatten_join_alias_vars_compat(query, copyObject(expr));
	expr = cz_strip(cz_plain_vars(expr, NULL));
	return cz_keys_connected(classes, keys, list_make1(expr));
}

/* Is a group in each of a query's grouping sets? */
static bool
is_in_all_sets(Query *query, Index sortgroupref)
{
	ListCell   *lc;

	if (query->groupingSets == NIL)
		return true;
	if (sortgroupref == 0)
		return false;
	foreach(lc, expand_grouping_sets(query->groupingSets, query->groupDistinct, -1))
	{
		if (!list_member_int(lfirst(lc), (int) sortgroupref))
			return false;
	}
	return true;
}

/*
 * cz_is_key_target
 *		Does a column of a query level's result equal the distribution column?
 */
bool
cz_is_key_target(TargetEntry *tle, Query *query, List *keys, List *classes)
{
	return cz_is_key_expr((Node *) tle->expr, query, keys, classes) &&
		is_in_all_sets(query, tle->ressortgroupref);
}

static bool
clause_has_key(List *clauses, List *keys, List *classes, Query *query)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (cz_is_key_target(get_sortgroupclause_tle(lfirst(lc), query->targetList), query,
							 keys, classes))
			return true;
	}
	return false;
}

/*
 * cz_spans_shards
 *		What in a query combines rows of several shards, or NULL.
 *
 * keys, classes: of its FROM and WHERE.
 */
const char *
cz_spans_shards(Query *query, List *keys, List *classes)
{
	ListCell   *lc;

	if (query->limitCount != NULL || query->limitOffset != NULL)
		return "LIMIT applies to the rows of all shards";
	if (query->setOperations != NULL)
		return NULL;
	if ((query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
		 query->havingQual != NULL) &&
		!clause_has_key(query->groupClause, keys, classes, query))
		return query->groupingSets != NIL ? "grouping sets span shards" :
			"grouping is not by the distribution column";
	foreach(lc, query->hasWindowFuncs ? query->windowClause : NIL)
	{
		if (!clause_has_key(((WindowClause *) lfirst(lc))->partitionClause, keys, classes,
							query))
			return "a window is not partitioned by the distribution column";
	}
	if (query->distinctClause != NIL &&
		!clause_has_key(query->distinctClause, keys, classes, query))
		return "DISTINCT does not include the distribution column";
	return NULL;
}
