/*-------------------------------------------------------------------------
 *
 * merge_sent.c
 *	  A MERGE that is sent to the shards as it is.
 *
 * It is where each shard has one placement, the source's rows lie with the target's, and the
 * actions leave rows in the shard where they find them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/settings.h"

#include "merge_int.h"

/* Has each shard one placement? */
static bool
has_single_placements(const CzTable *table)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].nplacements != 1)
			return false;
	}
	return table->nshards > 0;
}

/*
 * Say of each column that an INSERT leaves out that it is NULL: what the shard's default
 * is does not count.
 */
static void
assign_nulls(MergeAction *action, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated || cz_merge_assignment(action, i + 1) != NULL)
			continue;
		action->targetList =
			lappend(action->targetList,
					makeTargetEntry((Expr *) makeNullConst(att->atttypid, att->atttypmod,
														   att->attcollation),
									i + 1, pstrdup(NameStr(att->attname)), false));
	}
}

/*
 * Do the actions leave rows in the shard where they find them?  keys, classes: of the
 * joined rows.
 */
static bool
actions_stay(Query *query, Relation rel, const CzTable *table, Query *joined, List *keys,
			 List *classes)
{
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);
		TargetEntry *tle = cz_merge_assignment(action, table->key_attno);
		ListCell   *lt;

		if (cz_has_triggers(rel, action->commandType))
			return false;
		foreach(lt, action->targetList)
		{
			if (((TargetEntry *) lfirst(lt))->resjunk)
				return false;
		}
		if (action->commandType == CMD_INSERT)
		{
			if (table->key_attno != 0 &&
				(tle == NULL || !cz_is_key_expr((Node *) tle->expr, joined, keys, classes)))
				return false;
			assign_nulls(action, rel);
		}
		else if (tle != NULL && table->key_attno != 0 && !(IsA(tle->expr, Var) &&
								  ((Var *) tle->expr)->varno == query->resultRelation &&
								  ((Var *) tle->expr)->varattno == table->key_attno))
			return false;
	}
	return true;
}

/*
 * cz_merge_is_sent
 *		May a MERGE be sent to the shards as it is?
 *
 * query: changed.
 * locus: out, where to.
 */
bool
cz_merge_is_sent(Query *query, const CzTable *table, CzPlanState *state, CzLocus *locus)
{
	Relation	rel;
	Query	   *joined;
	List	   *keys;
	List	   *classes;
	Index		join_rti;
	const char *reason;
	bool		stays;

	if (!cz_enable_pushdown || query->withCheckOptions != NIL || query->cteList != NIL ||
		query->returningList != NIL || query->hasSubLinks || state->has_row_ids ||
		cz_query_has_barriers(query) || !merge_is_of_15_compat(query) ||
		!has_single_placements(table) || contain_volatile_functions((Node *) query))
		return false;
	joined = cz_merge_join(query, cz_merge_join_type(query), &join_rti);
	*locus = cz_query_locus(joined, state);
	if (locus->kind != CZ_LOCUS_SHARDED || locus->outer_keys != NIL)
		return false;
	keys = cz_from_keys(joined, state, &classes);
	rel = table_open(table->relid, NoLock);
	stays = actions_stay(query, rel, table, joined, keys, classes);
	table_close(rel, NoLock);
	return stays && cz_query_is_sendable(query, &reason);
}
