/*-------------------------------------------------------------------------
 *
 * detach_partition.c
 *	  A partition leaves its distributed table, and is a distributed table itself.
 *
 * Its shards stay where they are, in the same colocation group.  What they inherited of
 * foreign keys gets names of its own.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"

#include "cz/cluster.h"
#include "distribute_int.h"

/* The shards of a partition that is detached: by its own ids now, and where the root's are. */
static CzShard *
own_shards(const CzTable *partition)
{
	CzShard    *shards = palloc0(sizeof(CzShard) * partition->nshards);
	List	   *inactive = CzInactiveList();
	int			i;

	for (i = 0; i < partition->nshards; i++)
	{
		const CzShard *from = &partition->shards[i];
		CzShard    *shard = &shards[i];
		List	   *servers = CzShardServers(from->relid);
		ListCell   *lc;

		shard->shard_id = shard->name_id = from->name_id;
		shard->modulus = from->modulus;
		shard->remainder = from->remainder;
		shard->remote_schema = pstrdup(from->remote_schema);
		shard->remote_name = pstrdup(from->remote_name);
		shard->remote_qualified = pstrdup(from->remote_qualified);
		shard->nplacements = list_length(servers);
		shard->server_oids = palloc(sizeof(Oid) * shard->nplacements);
		foreach(lc, servers)
			shard->server_oids[foreach_current_index(lc)] = lfirst_oid(lc);
		foreach(lc, CzInactiveServers(inactive, from->shard_id) == NIL ? NIL :
				CzStaleServers(partition, i))
			(void) CzInactiveInsert(shard->shard_id, lfirst_oid(lc),
									"a placement of the table it was detached from has missed writes");
	}
	return shards;
}

typedef struct DetachArg
{
	const CzTable *parent;
	const CzTable *child;
} DetachArg;

static void
detach_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const DetachArg *detach = arg;

	appendStringInfo(sql, "ALTER TABLE %s DETACH PARTITION %s;\n", shard->remote_qualified,
					 detach->child->shards[shard - detach->parent->shards].remote_qualified);
}

/*
 * On the workers the keys of a partition have the names of those of the table at the top:
 * those of a detached one get names of its own, and so those of what is below it.
 */
typedef struct RenameArg
{
	const CzTable *root;		/* the old one */
	const CzTable *top;			/* the detached one, as a partition of it */
	List	   *relids;			/* it and what is below */
	List	   *keys;			/* CzInheritedKey * */
} RenameArg;

static void
rename_keys_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const RenameArg *rename = arg;
	int			index = shard - rename->root->shards;
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, rename->relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		foreach(lk, rename->keys)
		{
			const CzInheritedKey *key = lfirst(lk);
			const CzShard *old = &CzTableGet(key->top_relid)->shards[index];

			if (key->is_on_shards)
				CzRenameKeySql(sql, &table->shards[index],
							   CzShardIndexName(key->top_name, old->name_id),
							   CzShardIndexName(key->name, rename->top->shards[index].name_id));
		}
	}
}

static void
rename_keys(const CzTable *root, const CzTable *top, List *keys)
{
	RenameArg	rename = {root, top, NIL, keys};

	if (keys == NIL)
		return;
	rename.relids = find_all_inheritors(top->relid, AccessExclusiveLock, NULL);
	CzRunOnPlacements(root, rename_keys_sql, &rename);
}

/* Are the columns that ON DELETE SET names in the key? */
static bool
sets_own_columns(const CzKey *key)
{
	int			i;
	int			j;

	for (i = 0; i < key->nset; i++)
	{
		for (j = 0; j < key->ncolumns && key->set_attnos[i] != key->from_attnos[j]; j++)
			;
		if (j == key->ncolumns)
			return false;
	}
	return true;
}

static void
drop_key_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const CzKey *key = arg;

	CzKeyShardSql(sql, key, shard - CzTableGet(key->from_relid)->shards, true);
}

/*
 * What ON DELETE SET names of a partition's columns core takes from its parent by number:
 * the numbers on the workers are others.  Where they are also other ones here core means
 * columns that are not in the key, which nobody can say.  And who does what a key does
 * depends on the triggers of a table and its partitions.
 */
static void
remake_keys(Oid relid)
{
	ListCell   *lc;

	foreach(lc, CzKeysOnShards(relid, false))
	{
		CzKey	   *key = lfirst(lc);

		if (!sets_own_columns(key) ||
			(!CzKeyActionChangesRows(key->on_update) && !CzKeyActionChangesRows(key->on_delete)))
			continue;
		CzRunOnPlacements(CzTableGet(relid), drop_key_sql, key);
		CzForeignKeysToShards(relid, list_make1_oid(key->oid));
	}
}

/*
 * CzReleasePartition
 *		See distribute_int.h.
 */
void
CzReleasePartition(Oid relid, Oid parent_relid, List *inherited_keys)
{
	DetachArg	detach;
	CzPartitionRow row;
	CzDistribution dist;
	CzShard    *shards;
	Datum		options = CzTableOptions(relid);
	Oid			argtypes[2] = {OIDOID, OIDOID};
	Datum		values[2];
	Oid			root_relid;
	char		kind;
	List	   *below;

	if (!CzCatalogReadPartition(relid, &row))
		elog(ERROR, "relation %u is no partition of a distributed table", relid);
	root_relid = row.root;
	detach.parent = CzTableGet(parent_relid);
	detach.child = CzTableGet(relid);
	kind = detach.parent->kind;
	CzRunOnPlacements(detach.parent, detach_sql, &detach);
	rename_keys(CzTableGet(root_relid), detach.child, inherited_keys);
	shards = own_shards(detach.child);
	CzTableDistribution(CzTableGet(root_relid), &dist);
	CzPartDistribution(&dist, root_relid, relid, &dist);

	values[0] = ObjectIdGetDatum(relid);
	(void) CzCatalogExec("DELETE FROM cz.partitions WHERE relid OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, NULL);
	if (row.is_partitioned)
	{
		Oid			map_relid = CzMapCreate(relid, &dist);
		ListCell   *lc;

		CzCreateLeaves(map_relid, shards, &dist);
		CzRegisterRoot(relid, kind, dist.colocation_id, map_relid);
		below = list_delete_oid(find_all_inheritors(relid, AccessExclusiveLock, NULL), relid);
		foreach(lc, below)
		{
			values[0] = ObjectIdGetDatum(lfirst_oid(lc));
			values[1] = ObjectIdGetDatum(relid);
			(void) CzCatalogExec("UPDATE cz.partitions SET root = $2"
								 " WHERE relid OPERATOR(pg_catalog.=) $1", 2, argtypes, values,
								 NULL);
		}
	}
	else
	{
		CzCreateLeaves(relid, shards, &dist);
		CzRegisterTable(relid, kind, dist.colocation_id, 0);
	}
	CommandCounterIncrement();
	CzCatalogSetOptions(relid, options);
	CzInvalidateTable(root_relid);
	CzInvalidateTable(relid);
	remake_keys(relid);
}
