/*-------------------------------------------------------------------------
 *
 * monitoring.c
 *	  Functions behind cz_stat_cluster, cz_stat_commits and cz_stat_worker: what is known
 *	  here of the cluster, without a question to a worker, for monitoring.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "cluster_int.h"
#include "cz/counters.h"
#include "cz/metadata.h"
#include "cz/remote.h"

PG_FUNCTION_INFO_V1(cz_statistics);
PG_FUNCTION_INFO_V1(cz_node_statistics);
PG_FUNCTION_INFO_V1(cz_stat_reset);

/*
 * cz_statistics(OUT counts bigint[], OUT verified_at timestamptz, OUT verified_shards bigint,
 *				 OUT differing_shards bigint, OUT stats_reset timestamptz)
 *		What is counted in this database; counts by CzCounter.
 */
Datum
cz_statistics(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	int64		counts[CZ_NCOUNTERS];
	Datum		elements[CZ_NCOUNTERS];
	CzVerified	verified;
	TimestampTz reset_at;
	Datum		values[5];
	bool		nulls[5] = {0};
	int			i;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	CzCountersRead(counts, &verified, &reset_at);
	for (i = 0; i < CZ_NCOUNTERS; i++)
		elements[i] = Int64GetDatum(counts[i]);
	values[0] = PointerGetDatum(construct_array(elements, CZ_NCOUNTERS, INT8OID, 8,
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	nulls[1] = nulls[2] = nulls[3] = verified.at == 0;
	values[1] = TimestampTzGetDatum(verified.at);
	values[2] = Int64GetDatum(verified.nshards);
	values[3] = Int64GetDatum(verified.ndiffering);
	nulls[4] = reset_at == 0;
	values[4] = TimestampTzGetDatum(reset_at);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Connections of all sessions to a worker that are not in use now */
static int
count_idle(const CzLink *links, int nlinks, Oid server_oid)
{
	int			nidle = 0;
	int			i;

	for (i = 0; i < nlinks; i++)
	{
		if (links[i].server_oid == server_oid && links[i].idle_since != 0)
			nidle++;
	}
	return nidle;
}

/*
 * cz_node_statistics(OUT server_oid oid, OUT state text, OUT since timestamptz,
 *					  OUT last_contact timestamptz, OUT failures int, OUT connections int,
 *					  OUT idle_connections int, OUT waiting_sessions int,
 *					  OUT connection_limit int, OUT failovers bigint, OUT fragments bigint,
 *					  OUT fragment_ms float8, OUT slowest_ms float8, OUT slowest_shard bigint,
 *					  OUT slowest_at timestamptz)
 *		What is known of each node.
 */
Datum
cz_node_statistics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			nlinks = 0;
	CzLink	   *links = CzLinksRead(&nlinks);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, CzNodeList(false))
	{
		CzNode	   *node = lfirst(lc);
		CzHealth	health = CzHealthGet(node->server_oid);
		CzNodeCounters counters;
		CzPoolState pool;
		Datum		values[15];
		bool		nulls[15] = {0};

		CzNodeCountersRead(node->server_oid, &counters);
		CzPoolRead(node->server_oid, &pool);
		CzNodeHealthColumns(node, &health, values, nulls);
		values[5] = Int32GetDatum(pool.nopen);
		values[6] = Int32GetDatum(count_idle(links, nlinks, node->server_oid));
		values[7] = Int32GetDatum(pool.nwaiting);
		nulls[8] = pool.limit == INT_MAX;
		values[8] = Int32GetDatum(pool.limit);
		values[9] = Int64GetDatum(counters.failovers);
		values[10] = Int64GetDatum(counters.fragments);
		values[11] = Float8GetDatum(counters.fragment_us / 1000.0);
		nulls[12] = nulls[13] = nulls[14] = counters.slowest_us == 0;
		values[12] = Float8GetDatum(counters.slowest_us / 1000.0);
		values[13] = Int64GetDatum(counters.slowest_shard_id);
		values[14] = TimestampTzGetDatum(counters.slowest_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * cz_stat_reset()
 *		Counting begins anew in this database.
 */
Datum
cz_stat_reset(PG_FUNCTION_ARGS)
{
	CzCountersReset();
	PG_RETURN_VOID();
}
