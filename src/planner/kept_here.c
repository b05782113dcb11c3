/*-------------------------------------------------------------------------
 *
 * kept_here.c
 *	  Reference tables that a statement has to read on the coordinator.
 *
 * Usually a reference table is where any shard is.  While copies of it are inactive, a
 * shard may be on no node that has one: then the table, which is complete here, is a
 * local table to the statement, whose rows are sent along (cz_rte_table).
 *
 * A change of what is active invalidates plans, so one that was made so does not stay.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "cz/compat.h"
#include "cz/transaction.h"

#include "planner_int.h"

typedef struct KeptContext
{
	List	   *references;		/* CzTables, copies of which are not active */
	List	   *others;			/* CzTables with shards */
} KeptContext;

static bool
tables_walker(Node *node, KeptContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		const CzTable *table = rte->rtekind == RTE_RELATION ? CzTableGet(rte->relid) : NULL;

		if (table == NULL || table->nshards == 0)
			return false;
		if (table->kind != CZ_TABLE_REFERENCE)
			context->others = list_append_unique_ptr(context->others, (void *) table);
		else if (table->shards[0].nplacements < table->shards[0].nall)
			context->references = list_append_unique_ptr(context->references,
														 (void *) table);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, tables_walker, (void *) context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, tables_walker, (void *) context);
}

/* Has a node active copies of all of these tables? */
static bool
has_copies(Oid server_oid, List *references)
{
	ListCell   *lc;

	foreach(lc, references)
	{
		const CzShard *shard = ((const CzTable *) lfirst(lc))->shards;
		int			i;

		for (i = 0; i < shard->nplacements; i++)
		{
			if (shard->server_oids[i] == server_oid)
				break;
		}
		if (i == shard->nplacements || CzTxnIsLost(shard->shard_id, server_oid))
			return false;
	}
	return true;
}

/* Can a shard meet these tables: on some placement, or with all set on each? */
static bool
meets(const CzShard *shard, List *references, bool all)
{
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		if (has_copies(shard->server_oids[i], references) != all)
			return !all;
	}
	return all;
}

/*
 * cz_find_kept_here
 *		Which reference tables of a statement have to be read here: their OIDs.
 */
List *
cz_find_kept_here(Query *query, const CzPlanState *state)
{
	KeptContext context = {NIL, NIL};
	bool		all = query->commandType != CMD_SELECT || query->hasModifyingCTE ||
		query->rowMarks != NIL || state->has_row_ids;
	List	   *result = NIL;
	ListCell   *lc;
	int			i;

	(void) query_tree_walker(query, tables_walker, (void *) &context,
							 QTW_EXAMINE_RTES_BEFORE);
	if (context.references == NIL)
		return NIL;
	foreach(lc, context.others)
	{
		const CzTable *table = lfirst(lc);

		for (i = 0; i < table->nshards; i++)
		{
			if (!meets(&table->shards[i], context.references, all))
				break;
		}
		if (i < table->nshards)
			break;
	}
	if (lc == NULL)
		return NIL;
	foreach(lc, context.references)
		result = lappend_oid(result, ((const CzTable *) lfirst(lc))->relid);
	return result;
}
