/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN shows of a fragment plan and of its run.
 *
 * Without ANALYZE nothing is contacted unless cz.explain_remote_plans or the option
 * REMOTE asks for it.  The names of properties are documented and stay: tools read them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "commands/explain.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/rowid.h"
#include "cz/settings.h"
#include "ship_int.h"

/* Shards that are listed one by one without VERBOSE. */
#define MAX_LISTED_SHARDS 16

/* What one node did, over all runs. */
typedef struct NodeStats
{
	char	   *node_name;
	int64		nfragments;
	int64		nrows;
	int64		nbytes;
	int			max_conns;
	double		busy_ms;
	int			nretries;
	bool		is_failed;
} NodeStats;

static const char *
strategy_name(CzStrategy strategy)
{
	switch (strategy)
	{
		case CZ_STRATEGY_ROUTER:
			return "router";
		case CZ_STRATEGY_PUSHDOWN:
			return "pushdown";
		case CZ_STRATEGY_TWO_PHASE:
			return "two-phase";
		case CZ_STRATEGY_PULL:
			return "pull";
	}
	return "unknown";
}

/* Name of the column that decides which shard a shipped row goes to. */
static const char *
partition_column_name(const CzFragmentPlan *plan, const CzShipment *shipment)
{
	const CzTable *table = CzTableGet(plan->anchor_relid);
	char	   *name = NULL;

	if (table != NULL &&
		CzRowIdIsKey(table, list_nth_oid(shipment->column_types,
										 shipment->partition_column - 1)))
		return "ctid";
	if (table != NULL)
		name = get_attname(plan->anchor_relid, table->key_attno, true);
	return name != NULL ? name : "?";
}

/* "broadcast of b", "repartition of b on (k)" */
static char *
shipment_words(const CzFragmentPlan *plan, const CzShipment *shipment)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, shipment->partition_column > 0 ?
						   "repartition" : "broadcast");
	if (shipment->label != NULL && shipment->label[0] != '\0')
		appendStringInfo(&buf, " of %s", shipment->label);
	if (shipment->partition_column > 0)
		appendStringInfo(&buf, " on (%s)", partition_column_name(plan, shipment));
	return buf.data;
}

static void
explain_strategy(const CzFragmentPlan *plan, ExplainState *es)
{
	ListCell   *lc;

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		appendStringInfoString(&buf, strategy_name(plan->strategy));
		foreach(lc, plan->shipments)
			appendStringInfo(&buf, ", %s", shipment_words(plan, lfirst(lc)));
		ExplainPropertyText("Strategy", buf.data, es);
	}
	else
	{
		ExplainPropertyText("Strategy", strategy_name(plan->strategy), es);
		if (plan->shipments != NIL)
			ExplainOpenGroup("Shipments", "Shipments", false, es);
		foreach(lc, plan->shipments)
		{
			const CzShipment *shipment = lfirst(lc);

			ExplainOpenGroup("Shipment", NULL, true, es);
			ExplainPropertyText("Shipment Type", shipment->partition_column > 0 ?
								"repartition" : "broadcast", es);
			ExplainPropertyText("Shipped", shipment->label ? shipment->label : "", es);
			if (shipment->partition_column > 0)
				ExplainPropertyText("Partition Column",
									partition_column_name(plan, shipment), es);
			if (es->costs)
				ExplainPropertyFloat("Estimated Rows", NULL, shipment->rows, 0, es);
			ExplainCloseGroup("Shipment", NULL, true, es);
		}
		if (plan->shipments != NIL)
			ExplainCloseGroup("Shipments", "Shipments", false, es);
	}
	if (plan->reason != NULL)
		ExplainPropertyText("Reason", plan->reason, es);
}

/* The shards that are left after pruning, by their ids. */
static void
explain_shards(const CzFragmentPlan *plan, const CzTable *table, ExplainState *es)
{
	List	   *indexes = list_copy(plan->shard_indexes);
	List	   *ids = NIL;
	ListCell   *lc;

	list_sort(indexes, list_int_cmp);
	foreach(lc, indexes)
	{
		if (lfirst_int(lc) < 0 || lfirst_int(lc) >= table->nshards)
			return;				/* the plan is out of date */
		if (list_length(ids) == MAX_LISTED_SHARDS && !es->verbose)
		{
			ids = lappend(ids, psprintf("%d more", list_length(plan->shard_indexes) -
										MAX_LISTED_SHARDS));
			break;
		}
		ids = lappend(ids, psprintf(INT64_FORMAT,
									table->shards[lfirst_int(lc)].shard_id));
	}
	if (ids != NIL)
		ExplainPropertyList("Pruned to Shards", ids, es);
}

static void
explain_fragments(const CzStream *stream, const CzFragmentPlan *plan, ExplainState *es)
{
	const CzTable *table = NULL;
	bool		is_deferred = plan->prune_param >= 0 ||
		(plan->insert_attnos != NIL && !plan->is_pruned);
	bool		is_merged;
	int			nshards = 1;
	int			nfragments = 1;

	if (OidIsValid(plan->anchor_relid))
	{
		table = CzTableGet(plan->anchor_relid);
		nshards = table ? table->nshards : 0;
		nfragments = plan->is_pruned ? list_length(plan->shard_indexes) : nshards;
		if (is_deferred && plan->prune_kind == CZ_PRUNE_VALUE)
			nfragments = Min(nfragments, 1);
	}
	if (stream != NULL && stream->nruns > 0)
		is_merged = stream->is_merged;
	else
		is_merged = nfragments > 1 &&
			(cz_merge_fragments == CZ_MERGE_SETTING_ON ? plan->merge != CZ_MERGE_NEVER :
			 cz_merge_fragments == CZ_MERGE_SETTING_AUTO && plan->merge == CZ_MERGE_WANTED);

	if (es->format == EXPLAIN_FORMAT_TEXT)
		ExplainPropertyText("Fragments",
							psprintf("%s%d of %d%s%s",
									 is_deferred && nfragments > 1 ? "up to " : "",
									 nfragments, nshards,
									 is_deferred ? ", decided at execution" : "",
									 is_merged ? ", merged by node" : ""), es);
	else
	{
		ExplainPropertyInteger("Fragments", NULL, nfragments, es);
		ExplainPropertyInteger("Shards", NULL, nshards, es);
		ExplainPropertyBool("Decided at Execution", is_deferred, es);
		ExplainPropertyBool("Merged by Node", is_merged, es);
	}
	if (plan->is_pruned && !is_deferred && table != NULL && nfragments < nshards)
		explain_shards(plan, table, es);
}

/* By what the rows of all fragments are merged, as core shows sort keys. */
static void
explain_merge_keys(const CzFragmentPlan *plan, PlanState *node, List *ancestors,
				   ExplainState *es)
{
	List	   *keys = NIL;
	List	   *tlist = NIL;
	List	   *context;
	bool		use_prefix;
	int			i;

	if (plan->sort_columns == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, node->plan, ancestors);
	use_prefix = list_length(es->rtable) > 1 || es->verbose;
	if (IsA(node->plan, CustomScan))
		tlist = ((CustomScan *) node->plan)->custom_scan_tlist;

	for (i = 0; i < list_length(plan->sort_columns); i++)
	{
		int			column = list_nth_int(plan->sort_columns, i);
		Oid			opno = list_nth_oid(plan->sort_operators, i);
		Oid			collation = list_nth_oid(plan->sort_collations, i);
		bool		nulls_first = list_nth_int(plan->sort_nulls_first, i) != 0;
		bool		is_descending = false;
		Oid			opfamily;
		Oid			opcintype;
		ordering_kind_compat kind;
		StringInfoData buf;

		initStringInfo(&buf);
		if (column >= 1 && column <= list_length(tlist))
		{
			TargetEntry *tle = list_nth(tlist, column - 1);
			Var		   *var = makeVar(INDEX_VAR, column, exprType((Node *) tle->expr),
									  -1, InvalidOid, 0);

			appendStringInfoString(&buf, deparse_expression((Node *) var, context,
															use_prefix, false));
		}
		else
			appendStringInfo(&buf, "c%d", column);
		if (OidIsValid(collation) && collation != DEFAULT_COLLATION_OID)
		{
			char	   *name = get_collation_name(collation);

			if (name != NULL)
				appendStringInfo(&buf, " COLLATE %s", quote_identifier(name));
		}
		if (get_ordering_op_properties(opno, &opfamily, &opcintype, &kind))
			is_descending = kind == ORDERING_GREATER_compat;
		if (is_descending)
			appendStringInfoString(&buf, " DESC");
		if (nulls_first && !is_descending)
			appendStringInfoString(&buf, " NULLS FIRST");
		else if (!nulls_first && is_descending)
			appendStringInfoString(&buf, " NULLS LAST");
		keys = lappend(keys, buf.data);
	}
	ExplainPropertyList("Merge Key", keys, es);
}

static NodeStats *
node_stats(List **nodes, const char *node_name)
{
	NodeStats  *stats;
	ListCell   *lc;

	foreach(lc, *nodes)
	{
		stats = lfirst(lc);
		if (strcmp(stats->node_name, node_name) == 0)
			return stats;
	}
	stats = palloc0(sizeof(NodeStats));
	stats->node_name = pstrdup(node_name);
	*nodes = lappend(*nodes, stats);
	return stats;
}

static void
add_run(List **nodes, const List *workers)
{
	ListCell   *lc;

	foreach(lc, workers)
	{
		const StreamWorker *worker = lfirst(lc);
		NodeStats  *stats = node_stats(nodes, worker->endpoint->node_name);

		stats->nfragments += worker->nfragments;
		stats->nrows += worker->nrows;
		stats->nbytes += worker->nbytes;
		stats->max_conns = Max(stats->max_conns, worker->max_conns);
		stats->busy_ms += worker->busy_ms;
		stats->nretries += worker->nretries;
		stats->is_failed |= worker->is_failed;
	}
}

/*
 * CzExplainKeepRun
 *		A run is about to be forgotten, because another one follows: remember what
 *		its nodes did.
 */
void
CzExplainKeepRun(CzStream *stream)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->context);

	add_run(&stream->past_nodes, stream->workers);
	MemoryContextSwitchTo(oldcontext);
}

static void
explain_nodes(const CzStream *stream, ExplainState *es)
{
	List	   *nodes = NIL;
	ListCell   *lc;

	foreach(lc, stream->past_nodes)
	{
		NodeStats  *copy = palloc(sizeof(NodeStats));

		*copy = *(NodeStats *) lfirst(lc);
		nodes = lappend(nodes, copy);
	}
	add_run(&nodes, stream->workers);

	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainOpenGroup("Nodes", "Nodes", false, es);
	foreach(lc, nodes)
	{
		const NodeStats *stats = lfirst(lc);

		if (es->format == EXPLAIN_FORMAT_TEXT)
		{
			StringInfoData buf;

			initStringInfo(&buf);
			appendStringInfo(&buf, "%s: fragments=" INT64_FORMAT " rows=" INT64_FORMAT
							 " bytes=" INT64_FORMAT " connections=%d",
							 stats->node_name, stats->nfragments, stats->nrows,
							 stats->nbytes, stats->max_conns);
			if (es->timing)
				appendStringInfo(&buf, " time=%.3f ms", stats->busy_ms);
			if (stats->is_failed)
				appendStringInfo(&buf, " failed, moved=%d", stats->nretries);
			ExplainPropertyText("Node", buf.data, es);
			continue;
		}
		ExplainOpenGroup("Node", NULL, true, es);
		ExplainPropertyText("Node Name", stats->node_name, es);
		ExplainPropertyInteger("Fragments", NULL, stats->nfragments, es);
		ExplainPropertyInteger("Rows", NULL, stats->nrows, es);
		ExplainPropertyInteger("Bytes", NULL, stats->nbytes, es);
		ExplainPropertyInteger("Connections", NULL, stats->max_conns, es);
		if (es->timing)
			ExplainPropertyFloat("Time", "ms", stats->busy_ms, 3, es);
		ExplainPropertyBool("Failed", stats->is_failed, es);
		ExplainPropertyInteger("Moved Fragments", NULL, stats->nretries, es);
		ExplainCloseGroup("Node", NULL, true, es);
	}
	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainCloseGroup("Nodes", "Nodes", false, es);
}

static void
explain_members(const Fragment *fragment, ExplainState *es)
{
	List	   *ids = NIL;
	ListCell   *lc;

	foreach(lc, fragment->members)
		ids = lappend(ids, psprintf(INT64_FORMAT, ((Fragment *) lfirst(lc))->shard_id));
	ExplainPropertyList("Merged Shards", ids, es);
}

/* With VERBOSE: each fragment of the last run. */
static void
explain_each_fragment(const CzStream *stream, ExplainState *es)
{
	int			i;

	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainOpenGroup("Fragment Runs", "Fragment Runs", false, es);
	for (i = 0; i < stream->nfragments; i++)
	{
		const Fragment *fragment = &stream->fragments[i];
		const char *node_name = fragment->worker ?
			fragment->worker->endpoint->node_name : NULL;
		bool		is_done = fragment->state == FRAGMENT_DONE;

		if (es->format == EXPLAIN_FORMAT_TEXT)
		{
			StringInfoData buf;

			initStringInfo(&buf);
			if (fragment->members != NIL)
				appendStringInfo(&buf, "%d shards", list_length(fragment->members));
			else if (fragment->shard_id != 0)
				appendStringInfo(&buf, "shard " INT64_FORMAT, fragment->shard_id);
			else
				appendStringInfoString(&buf, "any shard");
			if (node_name != NULL)
				appendStringInfo(&buf, " on %s", node_name);
			appendStringInfo(&buf, ": rows=" INT64_FORMAT " bytes=" INT64_FORMAT,
							 fragment->nrows, fragment->nbytes);
			if (!is_done)
				appendStringInfoString(&buf, " not completed");
			else if (es->timing && fragment->ms > 0)
				appendStringInfo(&buf, " time=%.3f ms", fragment->ms);
			ExplainPropertyText("Fragment", buf.data, es);
			continue;
		}
		ExplainOpenGroup("Fragment", NULL, true, es);
		ExplainPropertyInteger("Shard", NULL, fragment->shard_id, es);
		if (fragment->members != NIL)
			explain_members(fragment, es);
		if (node_name != NULL)
			ExplainPropertyText("Node Name", node_name, es);
		ExplainPropertyInteger("Rows", NULL, fragment->nrows, es);
		ExplainPropertyInteger("Bytes", NULL, fragment->nbytes, es);
		if (es->timing)
			ExplainPropertyFloat("Time", "ms", fragment->ms, 3, es);
		ExplainPropertyBool("Completed", is_done, es);
		ExplainCloseGroup("Fragment", NULL, true, es);
	}
	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainCloseGroup("Fragment Runs", "Fragment Runs", false, es);
}

static void
explain_run(const CzStream *stream, ExplainState *es)
{
	int			i;

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		if (stream->nruns > 1)
			appendStringInfo(&buf, "runs=%d ", stream->nruns);
		appendStringInfo(&buf, "fragments=" INT64_FORMAT " rows=" INT64_FORMAT
						 " bytes=" INT64_FORMAT, stream->total_fragments,
						 stream->total_rows, stream->total_bytes);
		if (stream->nretries > 0)
			appendStringInfo(&buf, " retries=%d", stream->nretries);
		ExplainPropertyText("Remote", buf.data, es);
		for (i = 0; i < stream->nships; i++)
		{
			const Ship *ship = &stream->ships[i];

			ExplainPropertyText("Shipped",
								psprintf("%s: rows=" INT64_FORMAT " bytes=" INT64_FORMAT
										 "%s", ship->shipment->label, ship->nrows,
										 ship->nbytes, ship->by_table ?
										 " as temporary tables" : ""), es);
		}
		if (stream->nships > 0)
			ExplainPropertyText("Shipped in All",
								psprintf("rows=" INT64_FORMAT " bytes=" INT64_FORMAT,
										 stream->shipped_rows, stream->shipped_bytes), es);
	}
	else
	{
		ExplainPropertyInteger("Remote Runs", NULL, stream->nruns, es);
		ExplainPropertyInteger("Remote Fragments", NULL, stream->total_fragments, es);
		ExplainPropertyInteger("Remote Rows", NULL, stream->total_rows, es);
		ExplainPropertyInteger("Remote Bytes", NULL, stream->total_bytes, es);
		ExplainPropertyInteger("Retries", NULL, stream->nretries, es);
		if (stream->nships > 0)
		{
			ExplainPropertyInteger("Shipped Rows", NULL, stream->shipped_rows, es);
			ExplainPropertyInteger("Shipped Bytes", NULL, stream->shipped_bytes, es);
			ExplainOpenGroup("Shipment Runs", "Shipment Runs", false, es);
		}
		for (i = 0; i < stream->nships; i++)
		{
			const Ship *ship = &stream->ships[i];

			ExplainOpenGroup("Shipment Run", NULL, true, es);
			ExplainPropertyText("Shipped", ship->shipment->label, es);
			ExplainPropertyInteger("Rows", NULL, ship->nrows, es);
			ExplainPropertyInteger("Bytes", NULL, ship->nbytes, es);
			ExplainPropertyBool("Temporary Tables", ship->by_table, es);
			ExplainCloseGroup("Shipment Run", NULL, true, es);
		}
		if (stream->nships > 0)
			ExplainCloseGroup("Shipment Runs", "Shipment Runs", false, es);
	}
	explain_nodes(stream, es);
	if (es->verbose)
		explain_each_fragment(stream, es);
}

/*
 * The names of the CTEs that are shipped, as the plan above shows them: their SubPlan
 * nodes hang on this node or above it.
 */
static char **
shipment_names(const CzFragmentPlan *plan, PlanState *node, List *ancestors)
{
	List	   *plans = lcons(node->plan, list_copy(ancestors));
	char	  **names = palloc(sizeof(char *) * Max(list_length(plan->shipments), 1));
	ListCell   *lc;

	foreach(lc, plan->shipments)
	{
		const CzShipment *shipment = lfirst(lc);
		int			i = foreach_current_index(lc);
		ListCell   *lc2;
		ListCell   *lc3;

		names[i] = psprintf("shipment_%d", i + 1);
		foreach(lc2, plans)
		{
			if (IsA(lfirst(lc2), SubPlan))
				continue;
			foreach(lc3, ((Plan *) lfirst(lc2))->initPlan)
			{
				SubPlan    *subplan = lfirst_node(SubPlan, lc3);

				if (subplan->plan_id == shipment->plan_id &&
					strncmp(subplan->plan_name, "CTE ", 4) == 0)
					names[i] = subplan->plan_name + 4;
			}
		}
	}
	return names;
}

/*
 * CzStreamExplain
 *		See executor.h.
 */
void
CzStreamExplain(CzStream *stream, const CzFragmentPlan *plan, PlanState *node,
				List *ancestors, ExplainState *es)
{
	int			shard_index;

	explain_strategy(plan, es);
	explain_fragments(stream, plan, es);
	explain_merge_keys(plan, node, ancestors, es);
	shard_index = CzExplainShownShard(plan);
	if (shard_index >= 0)
		ExplainPropertyText("Remote SQL", CzExplainSql(plan, shard_index,
													   shipment_names(plan, node, ancestors)),
							es);
	if (es->analyze && stream != NULL && stream->nruns > 0)
		explain_run(stream, es);
	if (CzExplainRemoteWanted(es) != CZ_REMOTE_PLANS_NONE)
		CzExplainRemotePlans(plan, es);
}
