/*-------------------------------------------------------------------------
 *
 * placement.c
 *	  Which colocation group a new table joins, and on which workers its shards
 *	  are placed.
 *
 * Placement i of shard r is on worker (r + i) modulo the number of workers, in
 * the order of their ids; a table that joins a group takes the placements of
 * the group's tables instead.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "cz/compat.h"
#include "cz/cluster.h"
#include "cz/settings.h"
#include "distribute_int.h"

/*
 * CzUsableNodes
 *		Workers that may get new shards, checked; errors if there is none.
 */
List *
CzUsableNodes(void)
{
	List	   *result = NIL;
	List	   *nodes = CzNodeList(true);
	ListCell   *lc;

	foreach(lc, nodes)
	{
		CzNode	   *node = lfirst(lc);

		if (!node->should_have_shards)
			continue;
		CzNodeCheck(node->server_oid);
		result = lappend(result, node);
	}
	if (result == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no active worker can take shards"),
				 errhint("Add one with citus_add_node(host, port) or CREATE SERVER ... FOREIGN DATA WRAPPER cz_fdw.")));
	return result;
}

/* Distributed tables of a group but one, as OIDs, oldest first. */
static List *
group_tables(int colocation_id, Oid except_relid)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *result = NIL;
	Oid			argtypes[1] = {INT4OID};
	Datum		values[1];
	uint64		i;

	values[0] = Int32GetDatum(colocation_id);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT t.relid::pg_catalog.oid FROM cz.tables t WHERE t.colocation_id OPERATOR(pg_catalog.=) $1"
							  " ORDER BY t.relid::pg_catalog.oid",
							  1, argtypes, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.tables");
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
														   SPI_tuptable->tupdesc, 1, &isnull));
		MemoryContext old = MemoryContextSwitchTo(caller);

		if (relid != except_relid)
			result = lappend_oid(result, relid);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return result;
}

/* Lowest id of a default group that fits, 0 if there is none. */
static int
find_default_group(const CzDistribution *dist)
{
	Oid			argtypes[5] = {INT4OID, INT4OID, CHAROID, OIDOID, OIDOID};
	Datum		values[5];
	int			result = 0;

	values[0] = Int32GetDatum(dist->shard_count);
	values[1] = Int32GetDatum(dist->replication_factor);
	values[2] = CharGetDatum(dist->method);
	values[3] = ObjectIdGetDatum(dist->key_type);
	values[4] = ObjectIdGetDatum(dist->key_collation);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT c.colocation_id FROM cz.colocation c"
							  " WHERE c.is_default AND c.shard_count OPERATOR(pg_catalog.=) $1"
							  " AND c.replication_factor OPERATOR(pg_catalog.=) $2"
							  " AND c.partition_method OPERATOR(pg_catalog.=) $3"
							  " AND c.key_type::pg_catalog.oid OPERATOR(pg_catalog.=) $4"
							  " AND c.key_collation OPERATOR(pg_catalog.=) $5"
							  " ORDER BY 1 LIMIT 1",
							  5, argtypes, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.colocation");
	if (SPI_processed > 0)
	{
		bool		isnull;

		result = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
											 1, &isnull));
	}
	SPI_finish();
	return result;
}

static int
create_group(const CzDistribution *dist, bool is_default)
{
	Oid			argtypes[7] = {INT4OID, INT4OID, INT4OID, CHAROID, OIDOID, OIDOID, BOOLOID};
	Datum		values[7];
	int			id = (int) nextval_internal(CzCatalogRelid("colocation_id_seq"), false);

	values[0] = Int32GetDatum(id);
	values[1] = Int32GetDatum(Max(dist->shard_count, 1));
	values[2] = Int32GetDatum(dist->replication_factor);
	values[3] = CharGetDatum(dist->method);
	values[4] = ObjectIdGetDatum(dist->key_type);
	values[5] = ObjectIdGetDatum(dist->key_collation);
	values[6] = BoolGetDatum(is_default);
	CzCatalogExec("INSERT INTO cz.colocation (colocation_id, shard_count, replication_factor,"
				  " partition_method, key_type, key_collation, is_default)"
				  " VALUES ($1, $2, $3, $4, $5, $6, $7)", 7, argtypes, values, NULL);
	return id;
}

/*
 * CzRegisterTable
 *		Enter a table in cz.tables.
 */
void
CzRegisterTable(Oid relid, char kind, int colocation_id, int64 shard_id)
{
	Oid			argtypes[4] = {OIDOID, CHAROID, INT4OID, INT8OID};
	Datum		values[4];
	char		nulls[5] = "    ";

	values[0] = ObjectIdGetDatum(relid);
	values[1] = CharGetDatum(kind);
	values[2] = Int32GetDatum(colocation_id);
	values[3] = Int64GetDatum(shard_id);
	if (shard_id == 0)
		nulls[3] = 'n';
	CzCatalogExec("INSERT INTO cz.tables (relid, kind, colocation_id, shard_id)"
				  " VALUES ($1, $2, $3, $4)", 4, argtypes, values, nulls);
}

/* The table that colocate_with names; errors if it cannot be joined. */
static const CzTable *
named_colocation(Relation rel, const CzDistribution *dist, const char *colocate_with)
{
	RangeVar   *name = makeRangeVarFromNameList(stringToQualifiedNameList_compat(colocate_with));
	Oid			relid = RangeVarGetRelid(name, AccessShareLock, false);
	const CzTable *other = CzTableGet(relid);

	if (other == NULL || (other->kind != CZ_TABLE_HASH && other->kind != CZ_TABLE_RANGE))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", get_rel_name(relid))));
	if (other->kind != CZ_TABLE_HASH || dist->method != PARTITION_STRATEGY_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot colocate tables \"%s\" and \"%s\"",
						RelationGetRelationName(rel), get_rel_name(relid)),
				 errdetail("Only hash-distributed tables can be colocated.")));
	if (other->key_type != dist->key_type || other->key_collation != dist->key_collation)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot colocate tables \"%s\" and \"%s\"",
						RelationGetRelationName(rel), get_rel_name(relid)),
				 errdetail("The distribution columns have types %s and %s, or different collations.",
						   format_type_be(dist->key_type), format_type_be(other->key_type))));
	return other;
}

/*
 * CzChooseColocation
 *		Set colocation_id, shard_count and replication_factor of dist; a new
 *		group is entered in cz.colocation, which stays locked.
 *
 * has_shard_count: the user named a number of shards (dist->shard_count).
 * Returns: tables that are in the group already, list of OIDs.
 */
List *
CzChooseColocation(Relation rel, CzDistribution *dist, const char *colocate_with,
				   bool has_shard_count)
{
	int			nnodes = list_length(CzUsableNodes());
	bool		is_default = pg_strcasecmp(colocate_with, "default") == 0;
	bool		is_none = pg_strcasecmp(colocate_with, "none") == 0;

	/* two sessions must not make the same group */
	LockRelationOid(CzCatalogRelid("colocation"), ShareRowExclusiveLock);

	dist->replication_factor = CzReplicationFactor();
	if (dist->replication_factor == 0)
		dist->replication_factor = Min(2, nnodes);
	if (dist->replication_factor > nnodes)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot place %d copies of each shard on %d workers",
						dist->replication_factor, nnodes),
				 errhint("Add workers or lower cz.shard_replication_factor.")));

	if (!is_default && !is_none)
	{
		const CzTable *other = named_colocation(rel, dist, colocate_with);

		if (has_shard_count && dist->shard_count != other->nshards)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("shard_count %d does not match the %d shards of table \"%s\"",
							dist->shard_count, other->nshards, get_rel_name(other->relid))));
		dist->shard_count = other->nshards;
		dist->colocation_id = other->colocation_id;
		return group_tables(dist->colocation_id, RelationGetRelid(rel));
	}

	if (is_default && dist->method == PARTITION_STRATEGY_HASH)
	{
		dist->colocation_id = find_default_group(dist);
		if (dist->colocation_id != 0)
			return group_tables(dist->colocation_id, RelationGetRelid(rel));
	}
	dist->colocation_id = create_group(dist, is_default &&
									   dist->method == PARTITION_STRATEGY_HASH);
	return NIL;
}

/*
 * CzPlanHashShards
 *		Ids, names and placements of the shards of a new hash table.
 *
 * colocated: tables of its group, whose placements it takes.
 * Returns: dist->shard_count shards, palloc'd.
 */
CzShard *
CzPlanHashShards(Relation rel, CzDistribution *dist, List *colocated)
{
	CzShard    *shards = palloc0(sizeof(CzShard) * dist->shard_count);
	const CzTable *other = NULL;
	List	   *inactive = CzInactiveList();
	List	   *nodes = NIL;
	int			i;
	int			j;

	if (colocated != NIL)
	{
		other = CzTableGet(linitial_oid(colocated));
		if (other == NULL || other->nshards != dist->shard_count)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("table \"%s\" does not have the same number of shards as its colocation group",
							get_rel_name(linitial_oid(colocated)))));
	}
	else
		nodes = CzUsableNodes();

	for (i = 0; i < dist->shard_count; i++)
	{
		CzShard    *shard = &shards[i];

		shard->shard_id = CzNextShardId();
		shard->relid = (Oid) (i + 1);	/* the writer tells shards apart by it; the
										 * real one comes with the conversion */
		CzShardSetNames(shard, RelationGetRelationName(rel));
		if (other)
		{
			/* also those on workers that are disabled: they get them later */
			List	   *servers = CzShardServers(other->shards[i].relid);
			ListCell   *lc;

			/* what waits for its repair gets this shard with it */
			foreach(lc, CzInactiveServers(inactive, other->shards[i].shard_id) == NIL ? NIL :
					CzStaleServers(other, i))
				(void) CzInactiveInsert(shard->shard_id, lfirst_oid(lc),
										"a placement of a colocated table has missed writes");

			shard->nplacements = list_length(servers);
			shard->server_oids = palloc(sizeof(Oid) * shard->nplacements);
			for (j = 0; j < shard->nplacements; j++)
				shard->server_oids[j] = list_nth_oid(servers, j);
		}
		else
		{
			shard->nplacements = dist->replication_factor;
			shard->server_oids = palloc(sizeof(Oid) * shard->nplacements);
			for (j = 0; j < shard->nplacements; j++)
				shard->server_oids[j] =
					((CzNode *) list_nth(nodes, (i + j) % list_length(nodes)))->server_oid;
		}
	}
	return shards;
}

/*
 * CzActivePlacements
 *		The same shards with those placements that can be made now: citus_activate_node
 *		makes the others.  Errors if a shard has none.
 */
CzShard *
CzActivePlacements(const CzShard *shards, int nshards)
{
	CzShard    *result = palloc(sizeof(CzShard) * Max(nshards, 1));
	List	   *inactive = CzInactiveList();
	List	   *disabled = NIL;
	ListCell   *lc;
	int			i;
	int			j;

	foreach(lc, CzNodeList(false))
	{
		CzNode	   *node = lfirst(lc);

		if (!node->is_active)
			disabled = lappend_oid(disabled, node->server_oid);
	}
	for (i = 0; i < nshards; i++)
	{
		CzShard    *shard = &result[i];
		List	   *unusable = list_union_oid(disabled,
											  CzInactiveServers(inactive, shards[i].shard_id));

		*shard = shards[i];
		shard->nplacements = 0;
		shard->server_oids = palloc(sizeof(Oid) * shards[i].nplacements);
		for (j = 0; j < shards[i].nplacements; j++)
		{
			if (!list_member_oid(unusable, shards[i].server_oids[j]))
				shard->server_oids[shard->nplacements++] = shards[i].server_oids[j];
		}
		if (shard->nplacements == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("all nodes of a shard are disabled"),
					 errhint("Use citus_activate_node().")));
	}
	return result;
}

/*
 * CzPlannedServers
 *		All workers that an array of shards is placed on.
 */
List *
CzPlannedServers(const CzShard *shards, int nshards)
{
	List	   *result = NIL;
	int			i;
	int			j;

	for (i = 0; i < nshards; i++)
	{
		for (j = 0; j < shards[i].nplacements; j++)
			result = list_append_unique_oid(result, shards[i].server_oids[j]);
	}
	return result;
}
