/*-------------------------------------------------------------------------
 *
 * combine.c
 *	  What the join of two loci is.
 *
 * The table of rules is at the head of locus.c.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"

#include "../planner_int.h"

bool
cz_same_single(const CzLocus *a, const CzLocus *b)
{
	return a->is_single && b->is_single && cz_same_group(a->anchor, b->anchor) &&
		a->shard == b->shard && equal(a->prune_expr, b->prune_expr);
}

/* Outer references of a lateral sub-query as Vars of the level it stands in. */
List *
cz_lowered_outer_keys(const CzLocus *locus)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, locus->outer_keys)
	{
		Var		   *var = lfirst(lc);

		if (var->varlevelsup == 1)
		{
			var = copyObject(var);
			var->varlevelsup = 0;
			result = lappend(result, var);
		}
	}
	return result;
}

/* Outer references that point further out, seen from one level up. */
List *
cz_passed_outer_keys(const CzLocus *locus)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, locus->outer_keys)
	{
		Var		   *var = lfirst(lc);

		if (var->varlevelsup > 1)
		{
			var = copyObject(var);
			var->varlevelsup--;
			result = lappend(result, var);
		}
	}
	return result;
}

CzJoinLocus
cz_join_none(const char *reason)
{
	CzJoinLocus	result;

	result.locus = cz_no_locus(reason);
	result.keys = NIL;
	result.lateral_keys = NIL;
	return result;
}

/*
 * combine
 *		Join two parts.  classes: what is known to be equal for matching rows.
 */
CzJoinLocus
cz_combine(CzJoinLocus l, CzJoinLocus r, JoinType type, List *classes)
{
	CzJoinLocus	result;
	List	   *lateral_left = NIL;

	if (l.locus.kind == CZ_LOCUS_NONE)
		return l;
	if (r.locus.kind == CZ_LOCUS_NONE)
		return r;
	if (l.locus.kind == CZ_LOCUS_EVERYWHERE && r.locus.kind == CZ_LOCUS_EVERYWHERE)
	{
		l.locus.is_unstable |= r.locus.is_unstable;
		return l;
	}
	if (l.locus.kind == CZ_LOCUS_EVERYWHERE || r.locus.kind == CZ_LOCUS_EVERYWHERE)
	{
		bool		left_sharded = l.locus.kind == CZ_LOCUS_SHARDED;
		CzJoinLocus	sharded = left_sharded ? l : r;
		CzJoinLocus	other = left_sharded ? r : l;

		if (!sharded.locus.is_single)
		{
			if (sharded.lateral_keys != NIL)
				return cz_join_none("a lateral sub-query is not on the distribution column");
			if (other.locus.is_unstable)
				return cz_join_none("a sub-query with LIMIT is joined with shards");
			if (type == JOIN_FULL || (type == JOIN_LEFT && !left_sharded) ||
				(type == JOIN_RIGHT && left_sharded))
				return cz_join_none("the outer side of an outer join is a reference table");
		}
		if (type == JOIN_FULL || (type == JOIN_LEFT && !left_sharded) ||
			(type == JOIN_RIGHT && left_sharded))
		{
			sharded.keys = NIL;
			sharded.locus.is_confined = true;
		}
		if (other.locus.is_unstable || sharded.lateral_keys != NIL)
			sharded.locus.is_confined = true;
		return sharded;
	}

	if (!cz_same_group(l.locus.anchor, r.locus.anchor))
		return cz_join_none("tables are not colocated");
	if (cz_same_single(&l.locus, &r.locus) &&
		!(type == JOIN_INNER && !l.locus.is_confined && !r.locus.is_confined &&
		  l.lateral_keys == NIL && r.lateral_keys == NIL &&
		  cz_keys_connected(classes, l.keys, r.keys)))
	{
		if (type == JOIN_INNER)
			l.keys = list_concat(list_copy(l.keys), r.keys);
		else if (type == JOIN_RIGHT)
			l.keys = r.keys;
		else if (type == JOIN_FULL)
			l.keys = NIL;
		l.locus.is_confined = true;
		return l;
	}
	if ((l.locus.is_confined && (type != JOIN_INNER || r.locus.is_single)) ||
		(r.locus.is_confined && (type != JOIN_INNER || l.locus.is_single)))
		return cz_join_none("a part of a join belongs to another shard");
	/* there it has rows for outer rows of all shards */
	if ((l.locus.is_confined && l.lateral_keys != NIL) ||
		(r.locus.is_confined && r.lateral_keys != NIL))
		return cz_join_none("a part of a join belongs to another shard");
	if (l.lateral_keys != NIL || r.lateral_keys != NIL)
	{
		if (cz_keys_connected(classes, l.keys, r.lateral_keys))
			lateral_left = l.lateral_keys;
		else if (cz_keys_connected(classes, r.keys, l.lateral_keys))
			lateral_left = r.lateral_keys;
		else
			return cz_join_none("a lateral sub-query is not on the distribution column");
	}
	else if (!cz_keys_connected(classes, l.keys, r.keys))
		return cz_join_none("a join does not compare the distribution columns");

	switch (type)
	{
		case JOIN_INNER:
			result = l;
			if (!l.locus.is_single && r.locus.is_single)
				result = r;
			else if (!l.locus.is_single)
			{
				if (l.locus.prune_expr == NULL)
				{
					result.locus.prune_expr = r.locus.prune_expr;
					result.locus.prune_kind = r.locus.prune_kind;
				}
				if (r.locus.is_pruned)
					cz_restrict_to_list(&result.locus, r.locus.shards);
			}
			result.keys = list_concat(list_copy(l.keys), r.keys);
			break;
		case JOIN_LEFT:
			result = l;
			break;
		case JOIN_RIGHT:
			result = r;
			break;
		case JOIN_FULL:
			result = l;
			result.keys = NIL;
			result.locus.is_single = false;
			result.locus.shard = -1;
			result.locus.prune_expr = NULL;
			result.locus.is_pruned = false;
			result.locus.shards = NIL;
			break;
		default:
			return cz_join_none("unsupported join type");
	}
	/* a lateral part's references to a sibling that is here are satisfied now */
	result.lateral_keys = lateral_left;
	if (type == JOIN_INNER)
		result.locus.outer_keys = list_concat(list_copy(l.locus.outer_keys),
											  r.locus.outer_keys);
	else
	{
		/* rows that have no partner keep what confines their own side */
		List	   *common = list_intersection(l.locus.outer_keys, r.locus.outer_keys);
		List	   *nullable = type == JOIN_LEFT ? r.locus.outer_keys : l.locus.outer_keys;

		if ((common == NIL && nullable != NIL) ||
			(type == JOIN_FULL && common == NIL && r.locus.outer_keys != NIL))
			return cz_join_none("only one side of an outer join is correlated by the distribution column");
		if (common != NIL)
			result.locus.outer_keys = common;
	}
	return result;
}
