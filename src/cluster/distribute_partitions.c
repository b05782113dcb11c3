/*-------------------------------------------------------------------------
 *
 * distribute_partitions.c
 *	  A table that its user has partitioned is distributed with its partitions.
 *
 * The root stays PARTITION BY what the user said, and so do partitions that are
 * partitioned in turn.  Every other partition becomes a partitioned table by the
 * distribution column without partitions of its own: the shards' foreign tables are
 * below one map, a table in cz_shards, that stands for the root and all partitions.  So
 * a partition more is a relation more, not one for each shard.
 *
 * On the workers the root's shard is partitioned like the root.  A partition's shard is
 * made as a table of its own, filled, given its indexes under our names, and then
 * attached: the parent's indexes take those that are equal.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/cluster.h"
#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

/* Bytes for one worker that are sent at once. */
#define MAX_SCRIPT_BYTES (512 * 1024)

/* A root or a partition that is to be made on the workers. */
typedef struct Part
{
	Oid			relid;
	bool		is_partitioned;
	char	   *bound;			/* "FOR VALUES ..." or "DEFAULT"; NULL: of the root */
	CzTableDef *def;
	CzDistribution dist;		/* with the number that the key has in it */
	CzShard    *shards;			/* by the names that they have for it */
	const CzShard *parents;		/* the parent's, NULL for the root */
	Datum		options;
	uint64		nrows;
} Part;

/* What the workers are to do, in order. */
typedef struct Scripts
{
	Oid			owner;
	List	   *servers;		/* OIDs */
	List	   *texts;			/* StringInfo of each */
} Scripts;

static void
scripts_send(Scripts *scripts)
{
	List	   *commands = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	forboth(lc, scripts->servers, lc2, scripts->texts)
	{
		StringInfo	text = lfirst(lc2);
		CzTxnCommand *command;

		if (text->len == 0)
			continue;
		command = palloc(sizeof(CzTxnCommand));
		command->server_oid = lfirst_oid(lc);
		command->sql = pstrdup(text->data);
		commands = lappend(commands, command);
		resetStringInfo(text);
	}
	if (commands != NIL)
		CzTxnExecList(commands, scripts->owner);
	list_free_deep(commands);
}

/* For all placements of a shard. */
static void
scripts_add(Scripts *scripts, const CzShard *shard, const char *sql)
{
	bool		is_long = false;
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		StringInfo	text = NULL;
		ListCell   *lc;
		ListCell   *lc2;

		forboth(lc, scripts->servers, lc2, scripts->texts)
		{
			if (lfirst_oid(lc) == shard->server_oids[i])
				text = lfirst(lc2);
		}
		if (text == NULL)
		{
			text = makeStringInfo();
			scripts->servers = lappend_oid(scripts->servers, shard->server_oids[i]);
			scripts->texts = lappend(scripts->texts, text);
		}
		appendStringInfoString(text, sql);
		is_long |= text->len > MAX_SCRIPT_BYTES;
	}
	if (is_long)
		scripts_send(scripts);
}

/* Partitions of a table, the default one first; locked. */
static List *
partitions_of(Relation rel)
{
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	List	   *result = NIL;
	int			i;

	for (i = 0; i < desc->nparts; i++)
	{
		LockRelationOid(desc->oids[i], AccessExclusiveLock);
		if (desc->boundinfo->default_index == i)
			result = lcons_oid(desc->oids[i], result);
		else
			result = lappend_oid(result, desc->oids[i]);
	}
	return result;
}

/* The root's shards by the names that they have for a partition; ids: NULL: new ones. */
static CzShard *
named_shards(const CzShard *shards, int nshards, const char *name, const int64 *ids)
{
	CzShard    *result = palloc(sizeof(CzShard) * nshards);
	int			i;

	for (i = 0; i < nshards; i++)
	{
		CzShard    *shard = &result[i];
		int64		id = ids ? ids[i] : CzNextShardId();

		*shard = shards[i];
		/* nobody knows it by its table yet */
		shard->table_relid = InvalidOid;
		CzShardSetNames(shard, name, id);
	}
	return result;
}

/*
 * A relation and what is below it, parents first and default partitions before their
 * siblings, checked.  shards: the root's; parents: the shards of the relation's parent.
 */
static List *
collect_parts(Oid relid, Oid root_relid, const CzDistribution *dist, const CzShard *shards,
			  const CzShard *parents, List *parts)
{
	Relation	rel = relation_open(relid, NoLock);
	Part	   *part = palloc0(sizeof(Part));
	ListCell   *lc;

	if (relid != root_relid)
		CzCheckPartition(rel, dist->method == PARTITION_STRATEGY_LIST ? CZ_TABLE_SINGLE :
						 CZ_TABLE_HASH);
	part->relid = relid;
	part->is_partitioned = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	CzPartDistribution(dist, root_relid, relid, &part->dist);
	if (part->dist.key_attno > 0)
		CzCheckUniqueKeys(rel, &part->dist);
	part->def = CzTableDefGet(rel);
	part->parents = parents;
	if (relid != root_relid)
	{
		part->bound = CzPartitionBoundSql(relid);
		part->options = CzTableOptions(relid);
		part->shards = named_shards(shards, dist->shard_count, RelationGetRelationName(rel),
									NULL);
	}
	else
		part->shards = (CzShard *) shards;
	parts = lappend(parts, part);
	foreach(lc, part->is_partitioned ? partitions_of(rel) : NIL)
		parts = collect_parts(lfirst_oid(lc), root_relid, dist, shards, part->shards, parts);
	relation_close(rel, NoLock);
	return parts;
}

/* The parts' tables on the workers, not attached yet. */
static void
create_tables(Scripts *scripts, List *parts)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz shards",
												  ALLOCSET_DEFAULT_SIZES);
	ListCell   *lc;
	int			i;

	foreach(lc, parts)
	{
		Part	   *part = lfirst(lc);
		Relation	rel = relation_open(part->relid, NoLock);

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < part->dist.shard_count; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(context);
			StringInfoData sql;

			initStringInfo(&sql);
			CzShardCreateSql(&sql, part->def, &part->shards[i],
							 part->dist.method == PARTITION_STRATEGY_HASH ?
							 CzHashCheckSql(rel, &part->dist, &part->shards[i]) : NULL);
			MemoryContextSwitchTo(old);
			scripts_add(scripts, &part->shards[i], sql.data);
			MemoryContextReset(context);
		}
		relation_close(rel, NoLock);
	}
	MemoryContextDelete(context);
}

/* Their indexes, and each is attached to its parent: the lowest first. */
static void
attach_tables(Scripts *scripts, List *parts)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz shards",
												  ALLOCSET_DEFAULT_SIZES);
	int			n;
	int			i;

	/* so that those of a partition are its parent's when it is attached */
	for (n = 0; n < list_length(parts); n++)
	{
		Part	   *part = list_nth(parts, n);

		for (i = 0; part->def->unchecked != NIL && i < part->dist.shard_count; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(context);
			StringInfoData sql;

			initStringInfo(&sql);
			CzShardUncheckedSql(&sql, part->def, &part->shards[i], false);
			MemoryContextSwitchTo(old);
			scripts_add(scripts, &part->shards[i], sql.data);
			MemoryContextReset(context);
		}
	}
	for (n = list_length(parts) - 1; n >= 0; n--)
	{
		Part	   *part = list_nth(parts, n);

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < part->dist.shard_count; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(context);
			StringInfoData sql;

			initStringInfo(&sql);
			CzShardIndexesSql(&sql, part->def, &part->shards[i]);
			if (part->bound)
				appendStringInfo(&sql, "ALTER TABLE %s ATTACH PARTITION %s %s;\n",
								 part->parents[i].remote_qualified,
								 part->shards[i].remote_qualified, part->bound);
			MemoryContextSwitchTo(old);
			scripts_add(scripts, &part->shards[i], sql.data);
			MemoryContextReset(context);
		}
	}
	MemoryContextDelete(context);
}

/* All that the workers get. */
static void
make_on_workers(List *parts, Oid root_relid, Oid owner)
{
	Scripts		scripts = {0};
	Part	   *first = linitial(parts);
	List	   *servers = CzPlannedServers(first->shards, first->dist.shard_count);
	ListCell   *lc;

	scripts.owner = owner;
	CzEnsureShardSchema(servers, owner);
	foreach(lc, parts)
		CzPropagateObjects(((Part *) lfirst(lc))->relid, servers, owner);
	create_tables(&scripts, parts);
	scripts_send(&scripts);
	CzDebugPoint("distribute-created");
	foreach(lc, parts)
	{
		Part	   *part = lfirst(lc);
		Relation	rel;

		if (part->is_partitioned)
			continue;
		rel = relation_open(part->relid, NoLock);
		part->nrows = CzMoveRows(rel, &part->dist, part->shards, owner);
		relation_close(rel, NoLock);
	}
	CzDebugPoint("distribute-loaded");
	attach_tables(&scripts, parts);
	scripts_send(&scripts);
	CzDebugPoint("partition-attached");
}

/*
 * CzRegisterPartition
 *		Enter a partition in cz.partitions.
 */
void
CzRegisterPartition(Oid relid, Oid root_relid, const char *name, bool is_partitioned,
					const int64 *shard_ids, int nshards, Datum options)
{
	Oid			argtypes[6] = {OIDOID, OIDOID, TEXTOID, BOOLOID, INT8ARRAYOID, TEXTARRAYOID};
	Datum		values[6];
	char		nulls[7] = "      ";
	Datum	   *ids = palloc(sizeof(Datum) * Max(nshards, 1));
	int			i;

	for (i = 0; i < nshards; i++)
		ids[i] = Int64GetDatum(shard_ids[i]);
	values[0] = ObjectIdGetDatum(relid);
	values[1] = ObjectIdGetDatum(root_relid);
	values[2] = CStringGetTextDatum(name);
	values[3] = BoolGetDatum(is_partitioned);
	values[4] = PointerGetDatum(construct_array(ids, nshards, INT8OID, 8, FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[5] = options;
	if (options == (Datum) 0)
		nulls[5] = 'n';
	(void) CzCatalogExec("INSERT INTO cz.partitions (relid, root, name, is_partitioned, shard_ids,"
						 " reloptions) VALUES ($1, $2, $3, $4, $5, $6)", 6, argtypes, values,
						 nulls);
}

/* The parts' catalogs here; partitions of the root, not the root itself. */
static void
convert_parts(List *parts, Oid root_relid)
{
	ListCell   *lc;
	int			i;

	foreach(lc, parts)
	{
		Part	   *part = lfirst(lc);
		int64	   *ids;

		if (part->relid == root_relid)
			continue;
		if (!part->is_partitioned)
			CzConvertToPartitioned(part->relid, &part->dist, (double) part->nrows);
		ids = palloc(sizeof(int64) * part->dist.shard_count);
		for (i = 0; i < part->dist.shard_count; i++)
			ids[i] = part->shards[i].name_id;
		CzRegisterPartition(part->relid, root_relid, get_rel_name(part->relid),
							part->is_partitioned, ids, part->dist.shard_count, part->options);
		CzWarnIfPublished(part->relid);
		CacheInvalidateRelcacheByRelid(get_partition_parent(part->relid, true));
	}
	CommandCounterIncrement();
}

/*
 * CzMapCreate
 *		Make the map of a root's shards: its columns by the same numbers, partitioned by
 *		its distribution column.  It goes with the root.
 *
 * Returns: its OID.
 */
Oid
CzMapCreate(Oid root_relid, const CzDistribution *dist)
{
	CreateStmt *stmt = makeNode(CreateStmt);
	Relation	root = relation_open(root_relid, NoLock);
	TupleDesc	desc = RelationGetDescr(root);
	Oid			namespace_oid = get_namespace_oid(CZ_SHARD_SCHEMA, false);
	ObjectAddress address;
	ObjectAddress referenced;
	Oid			save_user;
	int			save_context;
	int			i;

	stmt->relation = makeRangeVar(pstrdup(CZ_SHARD_SCHEMA),
								  ChooseRelationName(RelationGetRelationName(root), NULL, "map",
													 namespace_oid, false), -1);
	stmt->oncommit = ONCOMMIT_NOOP;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		ColumnDef  *def;

		if (att->attisdropped)
			def = makeColumnDef(psprintf("........cz.%d........", i + 1), INT4OID, -1, InvalidOid);
		else
		{
			def = makeColumnDef(pstrdup(NameStr(att->attname)), att->atttypid, att->atttypmod,
								att->attcollation);
			def->is_not_null = att->attnotnull;
			def->storage = att->attstorage;
		}
		stmt->tableElts = lappend(stmt->tableElts, def);
	}
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	cz_internal_ddl_depth++;
	PG_TRY();
	{
		address = DefineRelation(stmt, RELKIND_RELATION, root->rd_rel->relowner, NULL, "");
	}
	PG_FINALLY();
	{
		cz_internal_ddl_depth--;
	}
	PG_END_TRY();
	SetUserIdAndSecContext(save_user, save_context);
	CommandCounterIncrement();
	for (i = 0; i < desc->natts; i++)
	{
		ObjectAddress column;

		if (!TupleDescAttr(desc, i)->attisdropped)
			continue;
		ObjectAddressSubSet(column, RelationRelationId, address.objectId, i + 1);
		performDeletion(&column, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	}
	relation_close(root, NoLock);
	ObjectAddressSet(referenced, RelationRelationId, root_relid);
	recordDependencyOn(&address, &referenced, DEPENDENCY_AUTO);
	CzRemovePrivileges(address.objectId, CzRelationOwner(root_relid));
	CommandCounterIncrement();
	CzLeafSetOwner(address.objectId, CzRelationOwner(root_relid));
	CzLeavesTie(root_relid, list_make1_oid(address.objectId));
	CzConvertToPartitioned(address.objectId, dist, 0);
	return address.objectId;
}

/*
 * CzRegisterRoot
 *		Enter a root in cz.tables, with the map of its shards.
 */
void
CzRegisterRoot(Oid relid, char kind, int colocation_id, Oid map_relid)
{
	Oid			argtypes[4] = {OIDOID, CHAROID, INT4OID, OIDOID};
	Datum		values[4];

	values[0] = ObjectIdGetDatum(relid);
	values[1] = CharGetDatum(kind);
	values[2] = Int32GetDatum(colocation_id);
	values[3] = ObjectIdGetDatum(map_relid);
	(void) CzCatalogExec("INSERT INTO cz.tables (relid, kind, colocation_id, map_relid)"
						 " VALUES ($1, $2, $3, $4)", 4, argtypes, values, NULL);
}

/*
 * CzTableDistribution
 *		How a distributed table with a key or without is distributed.
 */
void
CzTableDistribution(const CzTable *table, CzDistribution *dist)
{
	/* of a table with partitions the caller has locked the table, not its map */
	Relation	rel = relation_open(OidIsValid(table->map_relid) ? table->map_relid : table->relid,
									AccessShareLock);
	PartitionKey key = RelationGetPartitionKey(rel);

	memset(dist, 0, sizeof(*dist));
	dist->method = key->strategy;
	dist->shard_count = table->nshards;
	dist->colocation_id = table->colocation_id;
	if (table->key_attno > 0)
	{
		HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(RelationGetRelid(rel)));
		bool		isnull;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for partition key of %u", RelationGetRelid(rel));
		dist->key_attno = table->key_attno;
		dist->key_type = table->key_type;
		dist->key_base_type = key->partopcintype[0];
		dist->key_collation = table->key_collation;
		dist->key_opfamily = key->partopfamily[0];
		dist->key_opclass =
			((oidvector *) DatumGetPointer(SysCacheGetAttr(PARTRELID, tuple,
														   Anum_pg_partitioned_table_partclass,
														   &isnull)))->values[0];
		ReleaseSysCache(tuple);
	}
	relation_close(rel, NoLock);
}

/*
 * CzDistributeRoot
 *		All of create_distributed_table for a partitioned table after the checks of the
 *		table itself.  rel, locked exclusively, is closed.
 */
void
CzDistributeRoot(Relation rel, CzDistribution *dist, List *colocated)
{
	Oid			relid = RelationGetRelid(rel);
	Oid			owner = rel->rd_rel->relowner;
	CzShard    *shards = CzPlanHashShards(rel, dist, colocated);
	CzShard    *active = CzActivePlacements(shards, dist->shard_count);
	List	   *parts;
	Oid			map_relid;
	ListCell   *lc;

	table_close(rel, NoLock);
	parts = collect_parts(relid, relid, dist, active, NULL, NIL);
	make_on_workers(parts, relid, owner);
	convert_parts(parts, relid);
	CzWarnIfPublished(relid);
	map_relid = CzMapCreate(relid, dist);
	CzCreateLeaves(map_relid, shards, dist);
	CzRegisterRoot(relid, dist->method == PARTITION_STRATEGY_HASH ? CZ_TABLE_HASH :
				   CZ_TABLE_SINGLE, dist->colocation_id, map_relid);
	CommandCounterIncrement();
	CzInvalidateTable(relid);
	foreach(lc, parts)
		CzPropagatePrivileges(((Part *) lfirst(lc))->relid, InvalidOid);
	CzDebugPoint("distribute-converted");
}

/*
 * adopt_partition
 *		A local table, with its rows and what is below it, has become a partition of a
 *		distributed one: it is made on the workers and attached there.
 */
static void
adopt_partition(Oid relid)
{
	Oid			parent_relid = get_partition_parent(relid, false);
	const CzTable *parent = CzTableGet(parent_relid);
	Oid			root_relid;
	CzDistribution dist;
	CzShard    *shards;
	CzShard    *parents;
	List	   *parts;
	Oid			owner;
	ListCell   *lc;
	int			i;

	Assert(parent != NULL && OidIsValid(parent->map_relid));
	root_relid = OidIsValid(parent->root_relid) ? parent->root_relid : parent_relid;
	CzTableDistribution(CzTableGet(root_relid), &dist);
	owner = CzRelationOwner(root_relid);
	parent = CzTableGet(parent_relid);
	shards = palloc(sizeof(CzShard) * parent->nshards);
	parents = palloc(sizeof(CzShard) * parent->nshards);
	for (i = 0; i < parent->nshards; i++)
	{
		shards[i] = parent->shards[i];
		shards[i].server_oids = palloc(sizeof(Oid) * Max(shards[i].nplacements, 1));
		memcpy(shards[i].server_oids, parent->shards[i].server_oids,
			   sizeof(Oid) * shards[i].nplacements);
		if (shards[i].nplacements == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("shard " INT64_FORMAT " of table \"%s\" has no active placement",
							shards[i].shard_id, get_rel_name(root_relid)),
					 errhint("Use cz_repair_placements() or citus_activate_node().")));
		parents[i] = shards[i];
		parents[i].remote_qualified = pstrdup(shards[i].remote_qualified);
	}
	LockRelationOid(relid, AccessExclusiveLock);
	parts = collect_parts(relid, root_relid, &dist, shards, parents, NIL);
	make_on_workers(parts, root_relid, owner);
	convert_parts(parts, root_relid);
	CzInvalidateTable(root_relid);
	foreach(lc, parts)
		CzPropagatePrivileges(((Part *) lfirst(lc))->relid, InvalidOid);
	CzKeysSettle(relid);
}

/*
 * CzPartitionsInit
 *		See cz/cluster.h.
 */
void
CzPartitionsInit(void)
{
	cz_partition_hooks.adopt = adopt_partition;
	cz_partition_hooks.release = CzReleasePartition;
	cz_partition_hooks.localize = CzUndistribute;
}
