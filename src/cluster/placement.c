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

#include "access/genam.h"
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
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "cz/compat.h"
#include "cz/cluster.h"
#include "cz/ddl.h"
#include "cz/settings.h"
#include "distribute_int.h"

/* column of cz.colocation (sql/20-metadata.sql) */
#define COLOCATION_SHARD_COUNT 2
#define COLOCATION_REPLICATION_FACTOR 3

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
	/* what is committed now: the transaction's snapshot may be older than the group */
	List	   *result = list_delete_oid(CzGroupTables(colocation_id), except_relid);

	list_sort(result, list_oid_cmp);
	return result;
}

/*
 * CzGroupMember
 *		See distribute_int.h.
 */
const CzTable *
CzGroupMember(List *colocated)
{
	ListCell   *lc;

	foreach(lc, colocated)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL)
			return table;
	}
	return NULL;
}

/* What cz.colocation.partition_method says of it. */
static char
group_method(const CzDistribution *dist)
{
	return dist->method == PARTITION_STRATEGY_LIST ? CZ_TABLE_SINGLE : dist->method;
}

/* As cz.colocation names a collation: its OID is another one after a restore or pg_upgrade. */
#define COLLATION_NAME_SQL(oid) \
	"coalesce((SELECT pg_catalog.format('%I.%I', n.nspname, l.collname) FROM pg_catalog.pg_collation l " \
	"JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) l.collnamespace " \
	"WHERE l.oid OPERATOR(pg_catalog.=) " oid "), '')"

/* Lowest id of a default group that fits, 0 if there is none. */
static int
find_default_group(const CzDistribution *dist)
{
	Oid			argtypes[5] = {INT4OID, INT4OID, CHAROID, OIDOID, OIDOID};
	Datum		values[5];
	int			result = 0;

	values[0] = Int32GetDatum(dist->shard_count);
	values[1] = Int32GetDatum(dist->replication_factor);
	values[2] = CharGetDatum(group_method(dist));
	values[3] = ObjectIdGetDatum(dist->key_type);
	values[4] = ObjectIdGetDatum(dist->key_collation);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT c.colocation_id FROM cz.colocation c"
							  " WHERE c.is_default AND c.shard_count OPERATOR(pg_catalog.=) $1"
							  " AND c.replication_factor OPERATOR(pg_catalog.=) $2"
							  " AND c.partition_method OPERATOR(pg_catalog.=) $3"
							  " AND coalesce(c.key_type::pg_catalog.oid, 0::pg_catalog.oid) OPERATOR(pg_catalog.=) $4"
							  " AND c.key_collation OPERATOR(pg_catalog.=) " COLLATION_NAME_SQL("$5")
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
	char		nulls[8] = "       ";
	Oid			argtypes[7] = {INT4OID, INT4OID, INT4OID, CHAROID, OIDOID, OIDOID, BOOLOID};
	Datum		values[7];
	int			id = (int) nextval_internal(CzCatalogRelid("colocation_id_seq"), false);

	values[0] = Int32GetDatum(id);
	values[1] = Int32GetDatum(Max(dist->shard_count, 1));
	values[2] = Int32GetDatum(dist->replication_factor);
	values[3] = CharGetDatum(group_method(dist));
	values[4] = ObjectIdGetDatum(dist->key_type);
	if (!OidIsValid(dist->key_type))
		nulls[4] = 'n';
	values[5] = ObjectIdGetDatum(dist->key_collation);
	values[6] = BoolGetDatum(is_default);
	CzCatalogExec("INSERT INTO cz.colocation (colocation_id, shard_count, replication_factor,"
				  " partition_method, key_type, key_collation, is_default)"
				  " VALUES ($1, $2, $3, $4, $5, " COLLATION_NAME_SQL("$6") ", $7)",
				  7, argtypes, values, nulls);
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

/* What a group was made with: a column of its row. */
static int
group_number(int colocation_id, AttrNumber attno)
{
	Relation	rel = table_open(CzCatalogRelid("colocation"), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;
	int			result;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(colocation_id));
	scan = systable_beginscan(rel, CzCatalogRelid("colocation_pkey"), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("colocation group %d is missing in cz.colocation", colocation_id)));
	result = DatumGetInt32(heap_getattr(tuple, attno, RelationGetDescr(rel), &isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static int
group_replication_factor(int colocation_id)
{
	return group_number(colocation_id, COLOCATION_REPLICATION_FACTOR);
}

/*
 * CzGroupShardCount
 *		See cluster.h.
 */
int
CzGroupShardCount(const CzTable *table)
{
	return table->kind == CZ_TABLE_HASH && table->colocation_id != 0 ?
		group_number(table->colocation_id, COLOCATION_SHARD_COUNT) : table->nshards;
}

/* Does a new table that is to have so many shards go with another one? */
static bool
fits_shard_count(const CzTable *other, int shard_count)
{
	return shard_count == other->nshards || shard_count == CzGroupShardCount(other);
}

/* That of the group that is to be joined, else what the settings say. */
static void
set_replication_factor(CzDistribution *dist)
{
	int			nnodes = list_length(CzUsableNodes());

	dist->replication_factor = dist->colocation_id != 0 ?
		group_replication_factor(dist->colocation_id) : CzReplicationFactor();
	if (dist->replication_factor == 0)
		dist->replication_factor = Min(2, nnodes);
	if (dist->replication_factor > nnodes)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot place %d copies of each shard on %d workers",
						dist->replication_factor, nnodes),
				 errhint("Add workers or lower cz.shard_replication_factor.")));
}

/* The table that colocate_with names; errors if it cannot be joined. */
static const CzTable *
named_colocation(Relation rel, const CzDistribution *dist, const char *colocate_with)
{
	RangeVar   *name = makeRangeVarFromNameList(stringToQualifiedNameList_compat(colocate_with));
	Oid			relid = RangeVarGetRelid(name, AccessShareLock, false);
	const CzTable *other = CzTableGet(relid);

	if (other == NULL || !CzTableIsDistributed(other))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", get_rel_name(relid))));
	if ((other->kind == CZ_TABLE_SINGLE) != (dist->method == PARTITION_STRATEGY_LIST))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot colocate tables \"%s\" and \"%s\"",
						RelationGetRelationName(rel), get_rel_name(relid)),
				 errdetail("One of them has a distribution column, the other one has none.")));
	if (other->kind == CZ_TABLE_SINGLE && CzTenantGroup(get_rel_namespace(relid)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot colocate tables \"%s\" and \"%s\"",
						RelationGetRelationName(rel), get_rel_name(relid)),
				 errdetail("Schema \"%s\" is distributed: only its own tables are colocated.",
						   get_namespace_name(get_rel_namespace(relid))),
				 errhint("Create the table in the schema.")));
	if (other->kind == CZ_TABLE_SINGLE)
		return other;
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
 * CzCreateSingleGroup
 *		A new group of single-shard tables, without tables, that no table joins but by
 *		its id.
 */
int
CzCreateSingleGroup(void)
{
	CzDistribution dist;

	memset(&dist, 0, sizeof(dist));
	dist.method = PARTITION_STRATEGY_LIST;
	dist.shard_count = 1;
	LockRelationOid(CzCatalogRelid("colocation"), ShareRowExclusiveLock);
	set_replication_factor(&dist);
	return create_group(&dist, false);
}

/* The table that a new one must be colocated with for a foreign key, or NULL. */
static const CzTable *
joined_table(Relation rel, const CzDistribution *dist)
{
	CzKeyEnd	planned;

	if (dist->method != PARTITION_STRATEGY_HASH)
		return NULL;
	memset(&planned, 0, sizeof(planned));
	planned.relid = RelationGetRelid(rel);
	planned.is_ours = true;
	planned.kind = CZ_TABLE_HASH;
	planned.key_attno = dist->key_attno;
	return CzKeyColocation(&planned, dist->key_type, dist->key_collation);
}

/*
 * CzChooseColocation
 *		Set colocation_id (unless it is the group to join), shard_count and replication_factor of dist; a new
 *		group is entered in cz.colocation, which stays locked.
 *
 * has_shard_count: the user named a number of shards (dist->shard_count).
 * Returns: tables that are in the group already, list of OIDs.
 */
List *
CzChooseColocation(Relation rel, CzDistribution *dist, const char *colocate_with,
				   bool has_shard_count)
{
	bool		is_default = pg_strcasecmp(colocate_with, "default") == 0;
	bool		is_none = pg_strcasecmp(colocate_with, "none") == 0;

	/* two sessions must not make the same group */
	LockRelationOid(CzCatalogRelid("colocation"), ShareRowExclusiveLock);

	if (dist->colocation_id != 0)
	{
		List	   *others = group_tables(dist->colocation_id, RelationGetRelid(rel));

		if (others == NIL)
			set_replication_factor(dist);
		return others;
	}
	set_replication_factor(dist);

	if (!is_default && !is_none)
	{
		const CzTable *other = named_colocation(rel, dist, colocate_with);

		if (has_shard_count && !fits_shard_count(other, dist->shard_count))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("shard_count %d does not match the %d shards of table \"%s\"",
							dist->shard_count, other->nshards, get_rel_name(other->relid))));
		dist->shard_count = other->nshards;
		dist->colocation_id = other->colocation_id;
		dist->replication_factor = group_replication_factor(other->colocation_id);
		return group_tables(dist->colocation_id, RelationGetRelid(rel));
	}

	if (is_default && dist->method != PARTITION_STRATEGY_RANGE)
	{
		const CzTable *other = joined_table(rel, dist);

		/* what keys join must lie together, and has no choice */
		if (other != NULL && (!has_shard_count || fits_shard_count(other, dist->shard_count)))
		{
			dist->shard_count = other->nshards;
			dist->colocation_id = other->colocation_id;
			dist->replication_factor = group_replication_factor(other->colocation_id);
			return group_tables(dist->colocation_id, RelationGetRelid(rel));
		}
		dist->colocation_id = find_default_group(dist);
		if (dist->colocation_id != 0)
		{
			List	   *others = group_tables(dist->colocation_id, RelationGetRelid(rel));

			/* they may have been split */
			other = CzGroupMember(others);
			if (other != NULL)
				dist->shard_count = other->nshards;
			return others;
		}
	}
	dist->colocation_id = create_group(dist, is_default &&
									   dist->method != PARTITION_STRATEGY_RANGE);
	return NIL;
}

/* How many groups of single-shard tables have their first placement on a worker. */
typedef struct NodeGroups
{
	CzNode	   *node;
	int64		ngroups;
} NodeGroups;

static int
compare_groups(const void *a, const void *b)
{
	const NodeGroups *x = a;
	const NodeGroups *y = b;
	double		load_x = x->ngroups / x->node->weight;
	double		load_y = y->ngroups / y->node->weight;

	if (load_x != load_y)
		return load_x < load_y ? -1 : 1;
	return x->node->node_id < y->node->node_id ? -1 : x->node->node_id > y->node->node_id;
}

/*
 * The workers in the order in which a new group of single-shard tables takes them: those
 * with the fewest groups, for their weight, first.
 */
static List *
by_groups(List *nodes)
{
	int			n = list_length(nodes);
	NodeGroups *groups = palloc0(sizeof(NodeGroups) * n);
	List	   *result = NIL;
	ListCell   *lc;
	uint64		i;

	foreach(lc, nodes)
		groups[foreach_current_index(lc)].node = lfirst(lc);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT f.ftserver, pg_catalog.count(DISTINCT t.colocation_id)"
					" FROM cz.tables t"
					" JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) coalesce(t.map_relid, t.relid)::pg_catalog.oid"
					" JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) i.inhrelid"
					" WHERE t.kind OPERATOR(pg_catalog.=) 's' GROUP BY 1", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.tables");
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Oid			server_oid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
																SPI_tuptable->tupdesc, 1,
																&isnull));
		int			j;

		for (j = 0; j < n; j++)
		{
			if (groups[j].node->server_oid == server_oid)
				groups[j].ngroups = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
																SPI_tuptable->tupdesc, 2,
																&isnull));
		}
	}
	SPI_finish();
	qsort(groups, n, sizeof(NodeGroups), compare_groups);
	for (i = 0; i < n; i++)
		result = lappend(result, groups[i].node);
	return result;
}

/*
 * CzPlanHashShards
 *		Ids, names and placements of the shards of a new hash table, or of the one of a
 *		table without key.
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
		other = CzGroupMember(colocated);
		if (other == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("cannot distribute table \"%s\": tables of its colocation group have been dropped meanwhile",
							RelationGetRelationName(rel)),
					 errhint("The command might succeed if retried.")));
		if (other->nshards != dist->shard_count)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("table \"%s\" does not have the same number of shards as its colocation group",
							get_rel_name(other->relid))));
	}
	else
	{
		nodes = CzUsableNodes();
		if (dist->method == PARTITION_STRATEGY_LIST)
			nodes = by_groups(nodes);
	}

	for (i = 0; i < dist->shard_count; i++)
	{
		CzShard    *shard = &shards[i];

		shard->shard_id = CzNextShardId();
		shard->relid = (Oid) (i + 1);	/* the writer tells shards apart by it; the
										 * real one comes with the conversion */
		CzShardSetNames(shard, RelationGetRelationName(rel), shard->shard_id);
		shard->modulus = other ? other->shards[i].modulus : dist->shard_count;
		shard->remainder = other ? other->shards[i].remainder : i;
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
