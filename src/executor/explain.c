/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN shows of a fragment plan and of its run.
 *
 * Without ANALYZE nothing is contacted.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "lib/stringinfo.h"

#include "cz/compat.h"
#include "executor_int.h"

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

static void
explain_plan(const CzFragmentPlan *plan, ExplainState *es)
{
	int			nshards = 1;
	int			nfragments = 1;
	int			shown_index = 0;

	ExplainPropertyText("Strategy", strategy_name(plan->strategy), es);
	if (plan->reason != NULL && es->verbose)
		ExplainPropertyText("Reason", plan->reason, es);

	if (OidIsValid(plan->anchor_relid))
	{
		const CzTable *table = CzTableGet(plan->anchor_relid);

		nshards = table ? table->nshards : 0;
		nfragments = nshards;
		if (plan->is_pruned)
		{
			nfragments = list_length(plan->shard_indexes);
			if (plan->shard_indexes != NIL)
				shown_index = linitial_int(plan->shard_indexes);
		}
		if (plan->prune_param >= 0)
			nfragments = Min(nfragments, 1);
	}

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyText("Fragments",
							psprintf("%d of %d%s", nfragments, nshards,
									 plan->prune_param >= 0 ?
									 ", decided at execution" : ""), es);
	}
	else
	{
		ExplainPropertyInteger("Fragments", NULL, nfragments, es);
		ExplainPropertyInteger("Shards", NULL, nshards, es);
		ExplainPropertyBool("Decided at Execution", plan->prune_param >= 0, es);
	}
	if (nfragments > 0 && nshards > 0)
		ExplainPropertyText("Remote SQL", CzFragmentSql(plan, shown_index), es);
}

static void
explain_run(const CzStream *stream, ExplainState *es)
{
	ListCell   *lc;

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		appendStringInfo(&buf, "fragments=" INT64_FORMAT " rows=" INT64_FORMAT
						 " bytes=" INT64_FORMAT, stream->total_fragments,
						 stream->total_rows, stream->total_bytes);
		if (stream->nretries > 0)
			appendStringInfo(&buf, " retries=%d", stream->nretries);
		ExplainPropertyText("Remote", buf.data, es);
		foreach(lc, stream->workers)
		{
			const StreamWorker *worker = lfirst(lc);

			resetStringInfo(&buf);
			appendStringInfo(&buf, "%s: fragments=%d rows=" INT64_FORMAT " bytes="
							 INT64_FORMAT " connections=%d",
							 worker->endpoint->node_name, worker->nfragments,
							 worker->nrows, worker->nbytes, worker->max_conns);
			if (es->timing)
				appendStringInfo(&buf, " time=%.3f ms", worker->busy_ms);
			if (worker->is_failed)
				appendStringInfo(&buf, " failed, moved=%d", worker->nretries);
			ExplainPropertyText("Node", buf.data, es);
		}
		return;
	}

	ExplainPropertyInteger("Remote Fragments", NULL, stream->total_fragments, es);
	ExplainPropertyInteger("Remote Rows", NULL, stream->total_rows, es);
	ExplainPropertyInteger("Remote Bytes", NULL, stream->total_bytes, es);
	ExplainPropertyInteger("Retries", NULL, stream->nretries, es);
	ExplainOpenGroup("Nodes", "Nodes", false, es);
	foreach(lc, stream->workers)
	{
		const StreamWorker *worker = lfirst(lc);

		ExplainOpenGroup("Node", NULL, true, es);
		ExplainPropertyText("Node Name", worker->endpoint->node_name, es);
		ExplainPropertyInteger("Fragments", NULL, worker->nfragments, es);
		ExplainPropertyInteger("Rows", NULL, worker->nrows, es);
		ExplainPropertyInteger("Bytes", NULL, worker->nbytes, es);
		ExplainPropertyInteger("Connections", NULL, worker->max_conns, es);
		if (es->timing)
			ExplainPropertyFloat("Time", "ms", worker->busy_ms, 3, es);
		ExplainPropertyBool("Failed", worker->is_failed, es);
		ExplainCloseGroup("Node", NULL, true, es);
	}
	ExplainCloseGroup("Nodes", "Nodes", false, es);
}

/*
 * CzStreamExplain
 *		See executor.h.
 */
void
CzStreamExplain(CzStream *stream, const CzFragmentPlan *plan, ExplainState *es)
{
	explain_plan(plan, es);
	if (es->analyze && stream != NULL && stream->nruns > 0)
		explain_run(stream, es);
}
