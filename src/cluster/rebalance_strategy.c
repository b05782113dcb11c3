/*-------------------------------------------------------------------------
 *
 * rebalance_strategy.c
 *	  How shards are to be spread: pg_dist_rebalance_strategy, and the functions of the
 *	  strategies that are there from the start.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "cluster_int.h"
#include "rebalance_int.h"

PG_FUNCTION_INFO_V1(citus_shard_cost_1);
PG_FUNCTION_INFO_V1(citus_shard_cost_by_disk_size);
PG_FUNCTION_INFO_V1(citus_node_capacity_1);
PG_FUNCTION_INFO_V1(cz_node_capacity_by_weight);
PG_FUNCTION_INFO_V1(citus_shard_allowed_on_node_true);

#define STRATEGY_SQL \
	"SELECT name, shard_cost_function, node_capacity_function, shard_allowed_on_node_function, " \
	"default_threshold::pg_catalog.float8, minimum_threshold::pg_catalog.float8, " \
	"improvement_threshold::pg_catalog.float8 FROM pg_catalog.pg_dist_rebalance_strategy " \
	"WHERE CASE WHEN $1 IS NULL THEN default_strategy ELSE name OPERATOR(pg_catalog.=) $1 END"

static Oid
function_column(HeapTuple tuple, int column, const char *strategy)
{
	bool		isnull;
	Oid			function = DatumGetObjectId(SPI_getbinval(tuple, SPI_tuptable->tupdesc, column,
														  &isnull));

	if (isnull || get_func_name(function) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("a function of rebalance strategy \"%s\" does not exist", strategy)));
	/* what a plan calls is called as who plans */
	if (function_aclcheck_compat(function, GetUserId()) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
	return function;
}

static double
float_column(HeapTuple tuple, int column)
{
	bool		isnull;

	return DatumGetFloat8(SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull));
}

/*
 * CzStrategyGet
 *		See rebalance_int.h.
 */
CzStrategy *
CzStrategyGet(const char *name)
{
	CzStrategy *strategy = palloc0(sizeof(CzStrategy));
	MemoryContext context = CurrentMemoryContext;
	Oid			argtypes[1] = {NAMEOID};
	Datum		values[1] = {0};
	NameData	wanted;
	HeapTuple	tuple;

	if (name != NULL)
	{
		namestrcpy(&wanted, name);
		values[0] = NameGetDatum(&wanted);
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(STRATEGY_SQL, 1, argtypes, values, name == NULL ? "n" : NULL,
							  true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_dist_rebalance_strategy");
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rebalance strategy \"%s\" does not exist", name ? name : "default")));
	tuple = SPI_tuptable->vals[0];
	strategy->name = MemoryContextStrdup(context, SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1));
	strategy->cost_function = function_column(tuple, 2, strategy->name);
	strategy->capacity_function = function_column(tuple, 3, strategy->name);
	strategy->allowed_function = function_column(tuple, 4, strategy->name);
	strategy->default_threshold = float_column(tuple, 5);
	strategy->minimum_threshold = float_column(tuple, 6);
	strategy->improvement_threshold = float_column(tuple, 7);
	SPI_finish();
	return strategy;
}

/* Is it the function of the extension with that C symbol? */
static bool
is_own_function(Oid function, PGFunction address)
{
	FmgrInfo	info;

	fmgr_info(function, &info);
	return info.fn_addr == address;
}

/*
 * CzIsCostBySize, CzIsCostByCount, CzIsCapacityByWeight, CzIsAlwaysAllowed
 *		See rebalance_int.h.
 */
bool
CzIsCostBySize(Oid function)
{
	return is_own_function(function, citus_shard_cost_by_disk_size);
}

bool
CzIsCostByCount(Oid function)
{
	return is_own_function(function, citus_shard_cost_1);
}

bool
CzIsCapacityByWeight(Oid function)
{
	return is_own_function(function, cz_node_capacity_by_weight);
}

bool
CzIsAlwaysAllowed(Oid function)
{
	return is_own_function(function, citus_shard_allowed_on_node_true);
}

/*
 * citus_shard_cost_1(bigint)
 *		Every shard costs the same.
 */
Datum
citus_shard_cost_1(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT4(1);
}

/* The table and the number of a shard, by its id. */
static const CzTable *
find_shard(int64 shard_id, int *index)
{
	ListCell   *lc;
	int			i;

	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			if (table->shards[i].shard_id == shard_id)
			{
				*index = i;
				return table;
			}
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("shard " INT64_FORMAT " does not exist", shard_id)));
}

/*
 * citus_shard_cost_by_disk_size(bigint)
 *		Bytes of a shard and of those that are colocated with it.
 */
Datum
citus_shard_cost_by_disk_size(PG_FUNCTION_ARGS)
{
	int			index = 0;
	const CzTable *table = find_shard(PG_GETARG_INT64(0), &index);
	const CzShard *shard = &table->shards[index];
	List	   *servers = NIL;
	HTAB	   *sizes;
	double		bytes = 0;
	ListCell   *lc;
	int			i;

	for (i = 0; i < shard->nplacements; i++)
		servers = lappend_oid(servers, shard->server_oids[i]);
	if (servers == NIL)
		PG_RETURN_FLOAT4(0);
	sizes = CzShardSizesByName(servers);
	foreach(lc, CzFamilyTables(table->relid))
	{
		const CzTable *other = CzTableGet(lfirst_oid(lc));
		List	   *members = lcons_oid(other->relid, other->is_partitioned ?
										CzRootPartitions(other->relid) : NIL);
		ListCell   *lm;

		foreach(lm, members)
		{
			const CzTable *member = CzTableGet(lfirst_oid(lm));
			int64		size = -1;

			for (i = 0; i < list_length(servers) && size < 0; i++)
				size = CzShardSizeOf(sizes, &member->shards[index], list_nth_oid(servers, i));
			bytes += Max(size, 0);
		}
	}
	hash_destroy(sizes);
	PG_RETURN_FLOAT4((float4) bytes);
}

/*
 * citus_node_capacity_1(int)
 *		Every node should have the same.
 */
Datum
citus_node_capacity_1(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT4(1);
}

/*
 * cz_node_capacity_by_weight(int)
 *		The server's option weight.
 */
Datum
cz_node_capacity_by_weight(PG_FUNCTION_ARGS)
{
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
	{
		CzNode	   *node = lfirst(lc);

		if (node->node_id == PG_GETARG_INT32(0))
			PG_RETURN_FLOAT4((float4) node->weight);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("node %d does not exist", PG_GETARG_INT32(0))));
}

/*
 * citus_shard_allowed_on_node_true(bigint, int)
 *		Every shard may be on every node.
 */
Datum
citus_shard_allowed_on_node_true(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(true);
}
