/*-------------------------------------------------------------------------
 *
 * rebalance_plan.c
 *	  What is where, and how large it is, for the planner of moves (plan_moves.c); and
 *	  its plan as rows: get_rebalance_table_shards_plan().
 *
 * What moves together is a group: the shards of one number of all tables of a
 * colocation group.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "cluster_int.h"
#include "cz/gone.h"
#include "cz/remote.h"
#include "plan_moves.h"
#include "rebalance_int.h"

PG_FUNCTION_INFO_V1(get_rebalance_table_shards_plan);

/* An empty shard counts, too, so that shards without rows are spread. */
#define LEAST_COST BLCKSZ

/* One colocation group. */
typedef struct Family
{
	int			number;
	int			factor;			/* placements that it was made with */
	List	   *tables;			/* const CzTable *, by OID */
	List	   *all_tables;		/* with their partitions */
} Family;

/* A group, beside what the planner knows of it. */
typedef struct GroupInfo
{
	Family	   *family;
	int			index;
	double		bytes;
	int			nactive;
} GroupInfo;

typedef struct Cluster
{
	const CzRebalanceRequest *request;
	CzStrategy *strategy;
	List	   *families;
	CzNode	  **nodes;
	CzPlanInput in;
	CzPlanNode *plan_nodes;
	CzPlanGroup *groups;
	GroupInfo  *infos;
	FmgrInfo	allowed;
} Cluster;

static bool
is_of_family(const CzTable *table, const CzTable *first)
{
	return table->relid == first->relid ||
		(table->colocation_id != 0 && table->colocation_id == first->colocation_id &&
		 table->kind == first->kind);
}

/* Tables by colocation group, of one group or all. */
static List *
list_families(Oid only_relid)
{
	const CzTable *only = OidIsValid(only_relid) ? CzCheckDistributed(only_relid) : NULL;
	List	   *families = NIL;
	List	   *relids = CzTableListAll();
	ListCell   *lc;
	ListCell   *lf;

	if (only != NULL && !CzTableIsDistributed(only))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is a reference table", CzNameOf(only_relid)),
				 errdetail("A copy of it is on every node, so there is nothing to move.")));
	list_sort(relids, list_oid_cmp);
	foreach(lc, relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		Family	   *family = NULL;

		if (table == NULL || !CzTableIsDistributed(table) ||
			(only != NULL && !is_of_family(table, only)))
			continue;
		foreach(lf, families)
		{
			if (is_of_family(table, linitial(((Family *) lfirst(lf))->all_tables)))
				family = lfirst(lf);
		}
		if (family == NULL)
		{
			family = palloc0(sizeof(Family));
			family->number = list_length(families);
			families = lappend(families, family);
		}
		family->all_tables = lappend(family->all_tables, unconstify(CzTable *, table));
		if (!OidIsValid(table->root_relid))
			family->tables = lappend(family->tables, unconstify(CzTable *, table));
	}
	return families;
}

/*
 * CzFamilyTables
 *		See rebalance_int.h.
 */
List *
CzFamilyTables(Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, table == NULL ? NIL : table->colocation_id == 0 ? list_make1_oid(relid) :
			CzGroupTables(table->colocation_id))
	{
		const CzTable *other = CzTableGet(lfirst_oid(lc));

		if (other != NULL && is_of_family(other, table))
			result = lappend_oid(result, other->relid);
	}
	list_sort(result, list_oid_cmp);
	return result;
}

/*
 * CzGroupFactor
 *		See rebalance_int.h.
 */
int
CzGroupFactor(int colocation_id)
{
	Oid			argtypes[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(colocation_id)};
	int			result = 1;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT c.replication_factor FROM cz.colocation c "
							  "WHERE c.colocation_id OPERATOR(pg_catalog.=) $1",
							  1, argtypes, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.colocation");
	if (SPI_processed > 0)
	{
		bool		isnull;

		result = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
											 &isnull));
	}
	SPI_finish();
	return result;
}

/* What a strategy's function says; NULL is refused. */
static double
call_float(Oid function, Datum argument)
{
	return DatumGetFloat4(OidFunctionCall1(function, argument));
}

/* Does a node not answer, as far as is known?  One that may be back is looked at. */
static bool
is_away(const CzNode *node)
{
	CzEndpoint *endpoint;

	if (!CzHealthIsSuspect(node->server_oid))
		return false;
	endpoint = CzEndpointTryGet(node->server_oid, GetUserId());
	return endpoint == NULL || !CzHealthRecheck(endpoint);
}

static void
add_nodes(Cluster *cluster)
{
	List	   *nodes = CzNodeList(false);
	List	   *zones = NIL;
	ListCell   *lc;

	cluster->in.nnodes = list_length(nodes);
	cluster->nodes = palloc(Max(list_length(nodes), 1) * sizeof(CzNode *));
	cluster->plan_nodes = palloc0(Max(list_length(nodes), 1) * sizeof(CzPlanNode));
	foreach(lc, nodes)
	{
		CzNode	   *node = lfirst(lc);
		CzPlanNode *plan = &cluster->plan_nodes[foreach_current_index(lc)];
		char	   *zone = node->zone ? node->zone : pstrdup("default");
		ListCell   *lz;

		cluster->nodes[foreach_current_index(lc)] = node;
		if (CzIsCapacityByWeight(cluster->strategy->capacity_function))
			plan->capacity = node->weight;
		else
			plan->capacity = call_float(cluster->strategy->capacity_function,
										Int32GetDatum(node->node_id));
		plan->accepts = node->is_active && node->should_have_shards &&
			!list_member_oid(cluster->request->lost, node->server_oid);
		plan->is_away = is_away(node);
		/* one of no capacity gets nothing, and what it has goes */
		if (!(plan->capacity > 0) || isinf(plan->capacity))
		{
			plan->capacity = 1;
			plan->accepts = false;
		}
		plan->zone = -1;
		foreach(lz, zones)
		{
			if (strcmp(lfirst(lz), zone) == 0)
				plan->zone = foreach_current_index(lz);
		}
		if (plan->zone < 0)
		{
			plan->zone = list_length(zones);
			zones = lappend(zones, zone);
		}
	}
	cluster->in.nodes = cluster->plan_nodes;
}

static int
node_index(const Cluster *cluster, Oid server_oid)
{
	int			i;

	for (i = 0; i < cluster->in.nnodes; i++)
	{
		if (cluster->nodes[i]->server_oid == server_oid)
			return i;
	}
	return -1;
}

/* Bytes of a group, on the first placement of each shard of which they are known. */
static double
group_bytes(HTAB *sizes, const Family *family, int index)
{
	double		bytes = 0;
	ListCell   *lc;
	int			i;

	foreach(lc, family->all_tables)
	{
		const CzTable *table = lfirst(lc);
		const CzShard *shard;

		if (index >= table->nshards)
			continue;
		shard = &table->shards[index];
		for (i = 0; i < shard->nplacements; i++)
		{
			int64		size = CzShardSizeOf(sizes, shard, shard->server_oids[i]);

			if (size < 0)
				continue;
			bytes += size;
			break;
		}
	}
	return bytes;
}

static bool
is_excluded(const CzRebalanceRequest *request, const Family *family, int index)
{
	ListCell   *lc;
	ListCell   *le;

	foreach(lc, request->excluded == NIL ? NIL : family->tables)
	{
		const CzTable *table = lfirst(lc);

		foreach(le, request->excluded)
		{
			if (index < table->nshards && table->shards[index].shard_id == *(int64 *) lfirst(le))
				return true;
		}
	}
	return false;
}

/* Placements that are in use and whose nodes are not lost. */
static int
count_active(const CzShard *shard, const CzRebalanceRequest *request)
{
	int			n = 0;
	int			i;

	for (i = 0; request->counts_inactive && shard->nplacements > 0 && i < shard->nall; i++)
		n += !list_member_oid(request->lost, shard->all_oids[i]);
	for (i = 0; !request->counts_inactive && i < shard->nplacements; i++)
	{
		if (!list_member_oid(request->lost, shard->server_oids[i]) &&
			CzNodeGet(shard->server_oids[i])->is_active)
			n++;
	}
	return n;
}

/* A move of a shard needs all of its placements that are in use. */
static bool
is_on_away(const Cluster *cluster, const CzShard *shard)
{
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		int			node = node_index(cluster, shard->server_oids[i]);

		if (node >= 0 && cluster->plan_nodes[node].is_away)
			return true;
	}
	return false;
}

static void
add_group(Cluster *cluster, Family *family, int index, HTAB *sizes)
{
	const CzRebalanceRequest *request = cluster->request;
	const CzShard *shard = &((const CzTable *) linitial(family->tables))->shards[index];
	CzPlanGroup *group = &cluster->groups[cluster->in.ngroups];
	GroupInfo  *info = &cluster->infos[cluster->in.ngroups];
	int		   *nodes = palloc(Max(shard->nall, 1) * sizeof(int));
	int			factor = request->factor < 0 ? family->factor : request->factor;
	Oid			cost_function = cluster->strategy->cost_function;
	int			i;

	info->family = family;
	info->index = index;
	info->bytes = group_bytes(sizes, family, index);
	info->nactive = count_active(shard, request);
	for (i = 0; i < shard->nall; i++)
	{
		int			node = node_index(cluster, shard->all_oids[i]);

		/* what is on a node that is out of use stays for citus_activate_node() */
		if (node >= 0 && (cluster->nodes[node]->is_active || factor > 0))
			nodes[group->nplacements++] = node;
	}
	group->nodes = nodes;
	group->family = family->number;
	group->is_fixed = factor > 0 || is_excluded(request, family, index) ||
		(!request->only_needed && is_on_away(cluster, shard));
	if (factor > 0)
		group->wanted = group->nplacements + Max(factor - info->nactive, 0);
	if (CzIsCostBySize(cost_function))
		group->cost = info->bytes;
	else if (CzIsCostByCount(cost_function))
		group->cost = LEAST_COST;
	else
		group->cost = call_float(cost_function, Int64GetDatum(shard->shard_id));
	if (isnan(group->cost) || isinf(group->cost))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cost of shard " INT64_FORMAT " is not a number", shard->shard_id)));
	group->cost = Max(group->cost, CzIsCostBySize(cost_function) ? LEAST_COST : 1e-6);

	/* of a group that can't be read nothing can be moved, and nothing be copied */
	if (info->nactive == 0)
	{
		group->is_fixed = true;
		group->wanted = 0;
	}
	cluster->in.ngroups++;
}

static void
add_groups(Cluster *cluster)
{
	HTAB	   *sizes = CzShardSizesByName(NIL);
	int			n = 0;
	ListCell   *lc;
	int			i;

	foreach(lc, cluster->families)
	{
		Family	   *family = lfirst(lc);

		n += ((const CzTable *) linitial(family->tables))->nshards;
		family->factor = CzGroupFactor(((const CzTable *) linitial(family->tables))->colocation_id);
	}
	cluster->groups = palloc0(Max(n, 1) * sizeof(CzPlanGroup));
	cluster->infos = palloc0(Max(n, 1) * sizeof(GroupInfo));
	foreach(lc, cluster->families)
	{
		Family	   *family = lfirst(lc);

		for (i = 0; i < ((const CzTable *) linitial(family->tables))->nshards; i++)
			add_group(cluster, family, i, sizes);
	}
	cluster->in.groups = cluster->groups;
	cluster->in.nfamilies = list_length(cluster->families);
	hash_destroy(sizes);
}

/* CzPlanAllowed: what the strategy's function says of a shard and a node. */
static bool
ask_allowed(int group, int node, void *arg)
{
	Cluster    *cluster = arg;
	const GroupInfo *info = &cluster->infos[group];
	const CzTable *table = linitial(info->family->tables);

	return DatumGetBool(FunctionCall2(&cluster->allowed,
									  Int64GetDatum(table->shards[info->index].shard_id),
									  Int32GetDatum(cluster->nodes[node]->node_id)));
}

static void
set_thresholds(Cluster *cluster)
{
	const CzRebalanceRequest *request = cluster->request;
	const CzStrategy *strategy = cluster->strategy;

	cluster->in.threshold = request->threshold < 0 ? strategy->default_threshold :
		request->threshold;
	if (cluster->in.threshold < strategy->minimum_threshold)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the threshold must not be less than %g", strategy->minimum_threshold),
				 errdetail("That is the least one of rebalance strategy \"%s\".",
						   strategy->name)));
	cluster->in.improvement = request->improvement < 0 ? strategy->improvement_threshold :
		request->improvement;
	cluster->in.max_moves = request->max_moves;
	cluster->in.only_needed = request->only_needed || request->factor != 0;
	if (!CzIsAlwaysAllowed(strategy->allowed_function))
	{
		fmgr_info(strategy->allowed_function, &cluster->allowed);
		cluster->in.allowed = ask_allowed;
		cluster->in.allowed_arg = cluster;
	}
}

static Cluster *
make_cluster(const CzRebalanceRequest *request)
{
	Cluster    *cluster = palloc0(sizeof(Cluster));

	cluster->request = request;
	cluster->strategy = CzStrategyGet(request->strategy);
	cluster->families = list_families(request->relid);
	set_thresholds(cluster);
	add_nodes(cluster);
	add_groups(cluster);
	return cluster;
}

/*
 * CzRebalancePlan
 *		See rebalance_int.h.
 */
List *
CzRebalancePlan(const CzRebalanceRequest *request, int *nstranded)
{
	Cluster    *cluster = make_cluster(request);
	CzPlan	   *plan = CzPlanMoves(&cluster->in);
	List	   *moves = NIL;
	int			i;

	for (i = 0; i < plan->nmoves; i++)
	{
		const GroupInfo *info = &cluster->infos[plan->moves[i].group];
		const CzTable *table = linitial(info->family->tables);
		CzRebalanceMove *move = palloc0(sizeof(CzRebalanceMove));

		move->relid = table->relid;
		move->colocation_id = table->colocation_id;
		move->index = info->index;
		move->bytes = info->bytes;
		move->nactive = info->nactive;
		if (plan->moves[i].from >= 0)
			move->source_oid = cluster->nodes[plan->moves[i].from]->server_oid;
		move->target_oid = cluster->nodes[plan->moves[i].to]->server_oid;
		moves = lappend(moves, move);
	}
	if (nstranded != NULL)
		*nstranded = plan->nstranded;
	return moves;
}

/* Has a standby of a node all rows of the shards of a group? */
static bool
has_standby_all(const GroupInfo *info, Oid server_oid)
{
	ListCell   *lc;
	int			i;

	foreach(lc, info->family->all_tables)
	{
		const CzTable *table = lfirst(lc);
		const CzShard *shard;

		/* what a standby has of unlogged tables is empty */
		if (info->index >= table->nshards ||
			get_rel_persistence(table->relid) == RELPERSISTENCE_UNLOGGED)
			return false;
		shard = &table->shards[info->index];
		for (i = 0; i < shard->nplacements && shard->server_oids[i] != server_oid; i++)
			;
		if (i == shard->nplacements)
			return false;
	}
	return true;
}

/*
 * CzGroupsOn
 *		See rebalance_int.h.
 */
List *
CzGroupsOn(const CzNode *node, const CzNode *clone, const char *strategy, double *capacity,
		   double *clone_capacity)
{
	CzRebalanceRequest request = {0};
	Cluster    *cluster;
	List	   *result = NIL;
	int			clone_index;
	int			index;
	int			i;
	int			j;

	request.strategy = strategy;
	request.threshold = -1;
	request.improvement = -1;
	cluster = make_cluster(&request);
	index = node_index(cluster, node->server_oid);
	clone_index = node_index(cluster, clone->server_oid);
	*capacity = cluster->plan_nodes[index].capacity;
	*clone_capacity = cluster->plan_nodes[clone_index].capacity;
	for (i = 0; i < cluster->in.ngroups; i++)
	{
		const CzPlanGroup *group = &cluster->groups[i];
		const GroupInfo *info = &cluster->infos[i];
		CzGroupOnNode *on_node;

		for (j = 0; j < group->nplacements && group->nodes[j] != index; j++)
			;
		if (j == group->nplacements)
			continue;
		on_node = palloc0(sizeof(CzGroupOnNode));
		on_node->relid = ((const CzTable *) linitial(info->family->tables))->relid;
		on_node->index = info->index;
		on_node->cost = group->cost;
		on_node->may_go = has_standby_all(info, node->server_oid) &&
			(cluster->in.allowed == NULL || ask_allowed(i, clone_index, cluster));
		result = lappend(result, on_node);
	}
	return result;
}

/*
 * CzShardIdList
 *		See rebalance_int.h.
 */
List *
CzShardIdList(ArrayType *array)
{
	List	   *result = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			i;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &values, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		int64	   *id = palloc(sizeof(int64));

		*id = nulls[i] ? 0 : DatumGetInt64(values[i]);
		result = lappend(result, id);
	}
	return result;
}

/*
 * get_rebalance_table_shards_plan(relation regclass, threshold float4, max_shard_moves int,
 *		excluded_shard_list bigint[], drain_only boolean, rebalance_strategy name,
 *		improvement_threshold float4)
 *		What rebalance_table_shards() would do: a row for each table of each group.
 */
Datum
get_rebalance_table_shards_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CzRebalanceRequest request = {0};
	HTAB	   *sizes;
	ListCell   *lc;
	ListCell   *lt;

	InitMaterializedSRF(fcinfo, 0);
	request.relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	request.threshold = PG_ARGISNULL(1) ? -1 : PG_GETARG_FLOAT4(1);
	request.max_moves = PG_ARGISNULL(2) ? INT_MAX : PG_GETARG_INT32(2);
	request.excluded = PG_ARGISNULL(3) ? NIL : CzShardIdList(PG_GETARG_ARRAYTYPE_P(3));
	request.only_needed = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	request.strategy = PG_ARGISNULL(5) ? NULL : NameStr(*PG_GETARG_NAME(5));
	request.improvement = PG_ARGISNULL(6) ? -1 : PG_GETARG_FLOAT4(6);

	sizes = CzShardSizesByName(NIL);
	foreach(lc, CzRebalancePlan(&request, NULL))
	{
		CzRebalanceMove *move = lfirst(lc);
		CzNode	   *source = CzNodeGet(move->source_oid);
		CzNode	   *target = CzNodeGet(move->target_oid);

		foreach(lt, CzFamilyTables(move->relid))
		{
			const CzTable *table = CzTableGet(lfirst_oid(lt));
			const CzShard *shard = &table->shards[move->index];
			int64		size = CzShardSizeOf(sizes, shard, source->server_oid);
			Datum		values[7];
			bool		nulls[7] = {0};

			values[0] = ObjectIdGetDatum(table->relid);
			values[1] = Int64GetDatum(shard->shard_id);
			values[2] = Int64GetDatum(Max(size, 0));
			values[3] = CStringGetTextDatum(source->host);
			values[4] = Int32GetDatum(source->port);
			values[5] = CStringGetTextDatum(target->host);
			values[6] = Int32GetDatum(target->port);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	hash_destroy(sizes);
	return (Datum) 0;
}
