/*-------------------------------------------------------------------------
 *
 * tables.c
 *	  What the cluster knows of a relation: CzTableGet and its cache.
 *
 * One entry per relation that this backend has asked for, also for those that
 * are not ours (the planner asks for every relation of every query).  Entries
 * die by relcache invalidation of the relation or of one of its shards, and all
 * of them by a change of any foreign server.
 *
 * The invariant: an entry that CzTableGet has returned does not change and is
 * not freed before the transaction ends.  So an invalidated entry leaves the
 * hash table at once, waits in the list of retired ones, and goes at the end
 * of the transaction.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/reloptions.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/gone.h"
#include "cz/settings.h"
#include "metadata_int.h"

List	   *cz_moment_relids = NIL;

/* relid -> entry */
typedef struct TableSlot
{
	Oid			relid;			/* hash key */
	CzTableEntry *entry;		/* NULL: the relation is none of ours */
} TableSlot;

/* shard's relid -> its table, so that a change of the shard is noticed; a root and its
 * map, too -> the root, for its partitions have the same shards */
typedef struct ShardSlot
{
	Oid			shard_relid;	/* hash key */
	Oid			relid;
} ShardSlot;

/* relid -> what its columns were */
typedef struct ShapeSlot
{
	Oid			relid;			/* hash key */
	uint32		shape;
} ShapeSlot;

/* A build that meets an invalidation starts again, at most so many times. */
#define MAX_BUILD_ATTEMPTS 10

static HTAB *table_cache = NULL;
static HTAB *shard_owner = NULL;
static HTAB *shapes = NULL;
static CzTableEntry *retired = NULL;
static uint64 invalidations = 0;	/* counts all callbacks */

/*
 * An entry leaves the cache; borrowers keep it until the transaction ends.
 * Allocates nothing, may run in any state.
 */
static void
retire(CzTableEntry *entry)
{
	int			i;

	/* partitions that are cached may need a root's */
	if (!OidIsValid(entry->table.map_relid))
	{
		for (i = 0; i < entry->table.nshards; i++)
			if (entry->table.shards[i].relid != entry->table.relid)
				(void) hash_search(shard_owner, &entry->table.shards[i].relid,
								   HASH_REMOVE, NULL);
	}
	(void) hash_search(table_cache, &entry->table.relid, HASH_REMOVE, NULL);
	entry->next_retired = retired;
	retired = entry;
}

static void
retire_slot(TableSlot *slot)
{
	if (slot->entry != NULL)
		retire(slot->entry);
	else
		(void) hash_search(table_cache, &slot->relid, HASH_REMOVE, NULL);
}

static void
retire_relid(Oid relid)
{
	TableSlot  *slot = hash_search(table_cache, &relid, HASH_FIND, NULL);

	if (slot != NULL)
		retire_slot(slot);
}

static void
retire_partitions(Oid root_relid)
{
	HASH_SEQ_STATUS status;
	TableSlot  *slot;

	hash_seq_init(&status, table_cache);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		if (slot->entry != NULL && slot->entry->table.root_relid == root_relid)
			retire(slot->entry);
	}
}

static void
retire_all(void)
{
	HASH_SEQ_STATUS status;
	TableSlot  *slot;

	if (table_cache == NULL)
		return;
	hash_seq_init(&status, table_cache);
	while ((slot = hash_seq_search(&status)) != NULL)
		retire_slot(slot);
}

static void
relation_changed(Datum arg, Oid relid)
{
	ShardSlot  *shard;

	invalidations++;
	if (table_cache == NULL)
		return;
	if (!OidIsValid(relid))
	{
		retire_all();
		return;
	}
	shard = hash_search(shard_owner, &relid, HASH_FIND, NULL);
	if (shard != NULL)
	{
		Oid			owner = shard->relid;

		retire_relid(owner);
		if (hash_search(shard_owner, &owner, HASH_FIND, NULL) != NULL)
			retire_partitions(owner);
	}
	retire_relid(relid);
}

static void
server_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidations++;
	retire_all();
}

static void
free_retired(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			while (retired != NULL)
			{
				CzTableEntry *entry = retired;

				retired = entry->next_retired;
				MemoryContextDelete(entry->context);
			}
			break;
		default:
			break;
	}
}

void
CzTableCacheInit(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, server_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, server_changed, (Datum) 0);
	RegisterXactCallback(free_retired, NULL);
}

static void
create_cache(void)
{
	HASHCTL		ctl;

	if (CacheMemoryContext == NULL)
		CreateCacheMemoryContext();
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(Oid);
	ctl.hcxt = CacheMemoryContext;
	if (shard_owner == NULL)
	{
		ctl.entrysize = sizeof(ShardSlot);
		shard_owner = hash_create("cz_fdw shard owners", 256, &ctl,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (shapes == NULL)
	{
		ctl.entrysize = sizeof(ShapeSlot);
		shapes = hash_create("cz_fdw shapes", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	ctl.entrysize = sizeof(TableSlot);
	table_cache = hash_create("cz_fdw tables", 256, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * CzFindOption
 *		The value of an option, borrowed from the list, or NULL.
 */
const char *
CzFindOption(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

static CzNode *
find_node(List *nodes, Oid server_oid)
{
	ListCell   *cell;

	foreach(cell, nodes)
	{
		CzNode	   *node = (CzNode *) lfirst(cell);

		if (node->server_oid == server_oid)
			return node;
	}
	return NULL;
}

/*
 * Keep the active ones of a list of servers.  If all that are whole are on disabled
 * workers, keep those: who connects then gets the worker's own error, and a shard
 * always has a primary placement.  One that has missed writes is never kept, and one
 * that may have missed some only if there is no other before it.
 *
 * inactive: all rows of cz.placement_state.
 */
static void
set_placements(CzTableEntry *entry, CzShard *shard, List *server_oids, List *nodes,
			   List *inactive)
{
	MemoryContext keep = MemoryContextSwitchTo(entry->scratch);
	List	   *stale = inactive ? CzInactiveServers(inactive, shard->shard_id) : NIL;
	List	   *whole = list_difference_oid(server_oids, stale);
	ListCell   *cell;
	int			n = 0;

	MemoryContextSwitchTo(keep);
	shard->nall = list_length(server_oids);
	shard->all_oids = palloc(sizeof(Oid) * shard->nall);
	foreach(cell, server_oids)
		shard->all_oids[foreach_current_index(cell)] = lfirst_oid(cell);
	server_oids = whole;
	shard->server_oids = palloc(sizeof(Oid) * Max(list_length(server_oids), 1));
	foreach(cell, server_oids)
	{
		CzNode	   *node = find_node(nodes, lfirst_oid(cell));

		if (node != NULL && node->is_active)
			shard->server_oids[n++] = lfirst_oid(cell);
	}
	if (n == 0)
	{
		foreach(cell, server_oids)
			shard->server_oids[n++] = lfirst_oid(cell);
	}
	/* it was being written when the server crashed */
	if (list_member_oid(stale, InvalidOid))
		n = Min(n, 1);
	shard->nplacements = n;
	if (n == shard->nall && n > 0 && memcmp(shard->server_oids, shard->all_oids, sizeof(Oid) * n) == 0)
	{
		pfree(shard->server_oids);
		shard->server_oids = shard->all_oids;
	}
}

static List *
shard_servers(ForeignTable *foreign)
{
	const char *value = CzFindOption(foreign->options, "placements");
	List	   *server_oids = list_make1_oid(foreign->serverid);

	if (value != NULL)
		server_oids = list_concat(server_oids, CzParseServerNames(value));
	return server_oids;
}

/*
 * CzTableIsReplicated
 *		See metadata.h.
 */
bool
CzTableIsReplicated(const CzTable *table)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (CzShardIsReplicated(&table->shards[i]))
			return true;
	}
	return false;
}

/*
 * CzShardIsActiveOn, CzShardIndexOf
 *		See metadata.h.
 */
bool
CzShardIsActiveOn(const CzShard *shard, Oid server_oid)
{
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		if (shard->server_oids[i] == server_oid)
			return true;
	}
	return false;
}

int
CzShardIndexOf(const CzTable *table, int64 shard_id)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].shard_id == shard_id)
			return i;
	}
	return -1;
}

/*
 * CzShardServers
 *		See metadata.h.
 */
List *
CzShardServers(Oid shard_relid)
{
	return shard_servers(GetForeignTable(shard_relid));
}

/*
 * As GetForeignTable(), but leaves nothing in the system cache: a session that uses many
 * tables would have all their shards there, which it never looks up again.
 *
 * catalog: pg_foreign_table, open
 */
static ForeignTable *
get_foreign_table(Relation catalog, Oid relid)
{
	ForeignTable *foreign = palloc0(sizeof(ForeignTable));
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		options;
	bool		isnull;

	ScanKeyInit(&key, Anum_pg_foreign_table_ftrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ForeignTableRelidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for foreign table %u", relid);
	foreign->relid = relid;
	foreign->serverid = ((Form_pg_foreign_table) GETSTRUCT(tuple))->ftserver;
	options = heap_getattr(tuple, Anum_pg_foreign_table_ftoptions, RelationGetDescr(catalog), &isnull);
	if (!isnull)
		foreign->options = untransformRelOptions(options);
	systable_endscan(scan);
	return foreign;
}

/*
 * Fill a shard from its foreign table.  False if that is none of cz_fdw's.
 */
static bool
read_foreign_table(CzTableEntry *entry, Relation catalog, Oid relid, Oid table_relid, List *nodes,
				   List *inactive, CzShard *shard)
{
	MemoryContext keep = MemoryContextSwitchTo(entry->scratch);
	ForeignTable *foreign = get_foreign_table(catalog, relid);
	bool		is_ours = find_node(nodes, foreign->serverid) != NULL;
	List	   *servers = is_ours ? shard_servers(foreign) : NIL;
	const char *value;
	const char *schema;
	const char *name;

	MemoryContextSwitchTo(keep);
	if (!is_ours)
		return false;

	shard->relid = relid;
	shard->table_relid = table_relid;
	value = CzFindOption(foreign->options, "shard_id");
	shard->shard_id = value ? pg_strtoint64(value) : 0;
	shard->name_id = shard->shard_id;
	value = CzFindOption(foreign->options, "number_base");
	shard->number_base = value ? pg_strtoint32(value) : 0;
	schema = CzFindOption(foreign->options, "schema_name");
	name = CzFindOption(foreign->options, "table_name");
	CzShardSetRemote(shard, schema ? schema : get_namespace_name(get_rel_namespace(relid)),
					 name ? name : get_rel_name(relid));
	set_placements(entry, shard, servers, nodes, inactive);
	return true;
}

/* Column names on the worker: the parent's, or the option column_name. */
static void
read_columns(CzTableEntry *entry, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	entry->table.natts = desc->natts;
	entry->table.column_names = palloc0(sizeof(char *) * Max(desc->natts, 1));
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = NULL;

		if (att->attisdropped)
			continue;
		if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		{
			MemoryContext keep = MemoryContextSwitchTo(entry->scratch);

			name = CzFindOption(GetForeignColumnOptions(rel->rd_id, att->attnum),
							   "column_name");
			MemoryContextSwitchTo(keep);
		}
		entry->table.column_names[i] = pstrdup(name ? name : NameStr(att->attname));
	}
}

/* The distribution column of a partitioned parent, and what routes by it. */
static void
read_key(CzTableEntry *entry, Relation rel, PartitionKey key, PartitionDesc desc)
{
	CzTable    *table = &entry->table;

	table->key_attno = key->partattrs[0];
	table->key_type = key->parttypid[0];
	table->key_typmod = key->parttypmod[0];
	table->key_collation = key->partcollation[0];
	table->key_opfamily = key->partopfamily[0];
	table->key_eq_opr = get_opfamily_member(key->partopfamily[0],
											key->partopcintype[0],
											key->partopcintype[0],
											table->kind == CZ_TABLE_HASH
											? HTEqualStrategyNumber
											: BTEqualStrategyNumber);
	if (!OidIsValid(table->key_eq_opr))
		elog(ERROR, "operator family %u of distributed table \"%s\" has no equality",
			 table->key_opfamily, RelationGetRelationName(rel));

	entry->collation = key->partcollation[0];
	entry->support = palloc(sizeof(FmgrInfo));
	fmgr_info_copy(entry->support, &key->partsupfunc[0], entry->context);
	if (desc->nparts > 0)
		entry->bounds = partition_bounds_copy(desc->boundinfo, key);
}

/*
 * Key, routing and shards of a partitioned parent.
 */
static void
read_parent(CzTableEntry *entry, Relation rel, const CzTableRow *row, List *nodes,
			List *inactive)
{
	CzTable    *table = &entry->table;
	MemoryContext keep = MemoryContextSwitchTo(entry->scratch);
	/* core leaves what it reads for them behind in the current context */
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionDesc desc = RelationGetPartitionDesc(rel, true);
	bool		has_key = row->kind != CZ_TABLE_SINGLE;
	Relation	catalog;
	int			i;

	MemoryContextSwitchTo(keep);
	table->kind = (CzTableKind) row->kind;
	table->colocation_id = row->colocation_id;
	if (key->partnatts != 1 || (key->partattrs[0] != 0) != has_key ||
		key->strategy != (table->kind == CZ_TABLE_HASH ? PARTITION_STRATEGY_HASH :
						  has_key ? PARTITION_STRATEGY_RANGE : PARTITION_STRATEGY_LIST) ||
		(!has_key && desc->nparts > 1))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("partition key of distributed table \"%s\" is not what cz.tables says",
						RelationGetRelationName(rel))));

	if (has_key)
		read_key(entry, rel, key, desc);
	table->nshards = desc->nparts;
	table->shards = palloc0(sizeof(CzShard) * Max(desc->nparts, 1));
	catalog = table_open(ForeignTableRelationId, AccessShareLock);
	for (i = 0; i < desc->nparts; i++)
	{
		CzShard    *shard = &table->shards[i];

		if (get_rel_relkind(desc->oids[i]) != RELKIND_FOREIGN_TABLE ||
			!read_foreign_table(entry, catalog, desc->oids[i], entry->table.relid, nodes, inactive, shard) ||
			shard->shard_id == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("partition \"%s\" of distributed table \"%s\" is not a shard",
							get_rel_name(desc->oids[i]),
							RelationGetRelationName(rel)),
					 errhint("Detach the partition.")));
		if (table->kind == CZ_TABLE_HASH)
		{
			shard->modulus = DatumGetInt32(desc->boundinfo->datums[i][0]);
			shard->remainder = DatumGetInt32(desc->boundinfo->datums[i][1]);
		}
	}
	table_close(catalog, AccessShareLock);
	if (has_key)
		CzCatalogReadSeals(table);
}

/* The user's partitions: a root, whose shards are its map's. */
static void
read_root(CzTableEntry *entry, Oid root_relid, const CzTableRow *row, List *nodes,
		  List *inactive)
{
	Relation	map = try_relation_open(row->map_relid, AccessShareLock);

	if (map == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the map of shards of distributed table \"%s\" is missing",
						get_rel_name(root_relid))));
	entry->table.map_relid = row->map_relid;
	entry->table.is_partitioned = true;
	read_parent(entry, map, row, nodes, inactive);
	relation_close(map, AccessShareLock);
}

/* A partition: the root's shards by the names that it has for them. */
static bool
read_partition(CzTableEntry *entry, List *nodes, List *inactive)
{
	CzTable    *table = &entry->table;
	CzPartitionRow partition;
	CzTableRow	row;
	int			i;

	if (!CzCatalogReadPartition(table->relid, &partition) ||
		!CzCatalogReadTable(partition.root, &row) || !OidIsValid(row.map_relid))
		return false;
	read_root(entry, partition.root, &row, nodes, inactive);
	table->root_relid = partition.root;
	table->is_partitioned = partition.is_partitioned;
	if (table->key_attno > 0)
		table->key_attno = get_attnum(table->relid, get_attname(partition.root,
																table->key_attno, false));
	if (partition.nshards != table->nshards)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("partition \"%s\" does not have the shards of table \"%s\"",
						get_rel_name(table->relid), get_rel_name(partition.root))));
	for (i = 0; i < table->nshards; i++)
		CzShardSetNames(&table->shards[i], partition.name, partition.shard_ids[i]);
	return true;
}

/* A reference table: one shard, a copy on every worker that has been checked. */
static void
read_reference(CzTableEntry *entry, Relation rel, const CzTableRow *row, List *nodes,
			   List *inactive)
{
	CzTable    *table = &entry->table;
	CzShard    *shard = palloc0(sizeof(CzShard));
	List	   *stale = inactive ? CzInactiveServers(inactive, row->shard_id) : NIL;
	ListCell   *cell;

	table->kind = CZ_TABLE_REFERENCE;
	table->nshards = 1;
	table->shards = shard;
	shard->shard_id = shard->name_id = row->shard_id;
	shard->relid = shard->table_relid = table->relid;
	shard->is_copy = true;
	if (row->remote_name)
		CzShardSetRemote(shard, CZ_SHARD_SCHEMA, row->remote_name);
	else
		CzShardSetNames(shard, RelationGetRelationName(rel), row->shard_id);
	shard->server_oids = palloc(sizeof(Oid) * Max(list_length(nodes), 1));
	foreach(cell, nodes)
	{
		CzNode	   *node = (CzNode *) lfirst(cell);

		if (!node->is_checked)
			continue;
		shard->nall++;
		if (node->is_active && !list_member_oid(stale, node->server_oid) &&
			!list_member_oid(stale, InvalidOid))
			shard->server_oids[shard->nplacements++] = node->server_oid;
	}
}

/* What entries are made of: all servers, all placements that are not to be used. */
static void
read_cluster(CzTableEntry *entry, List **nodes, List **inactive)
{
	MemoryContext keep = MemoryContextSwitchTo(entry->scratch);

	*nodes = CzServerList();
	*inactive = CzInactiveList();
	MemoryContextSwitchTo(keep);
}

/*
 * Fill an entry; CurrentMemoryContext is entry->context.  Leaves is_ours false
 * if the relation is not ours.
 */
static void
fill_entry(CzTableEntry *entry, Relation rel)
{
	char		relkind = rel->rd_rel->relkind;
	List	   *nodes;
	List	   *inactive;
	CzTableRow	row;

	if (relkind == RELKIND_FOREIGN_TABLE)
	{
		Relation	catalog = table_open(ForeignTableRelationId, AccessShareLock);
		bool		is_ours;

		entry->table.shards = palloc0(sizeof(CzShard));
		read_cluster(entry, &nodes, &inactive);
		is_ours = read_foreign_table(entry, catalog, entry->table.relid, entry->table.relid, nodes,
									 inactive, entry->table.shards);
		table_close(catalog, AccessShareLock);
		if (!is_ours)
			return;
		entry->table.kind = CZ_TABLE_FOREIGN;
		entry->table.nshards = 1;
	}
	else if (relkind == RELKIND_PARTITIONED_TABLE || relkind == RELKIND_RELATION)
	{
		bool		found = CzCatalogReadTable(entry->table.relid, &row);

		if (!found && relkind != RELKIND_PARTITIONED_TABLE)
			return;
		read_cluster(entry, &nodes, &inactive);
		if (!found)
		{
			if (!read_partition(entry, nodes, inactive))
				return;
			if (entry->table.is_partitioned)
				entry->table.row_triggers = CzTreeTriggers(entry->table.relid,
																&entry->table.key_parts);
		}
		else if (OidIsValid(row.map_relid))
		{
			read_root(entry, entry->table.relid, &row, nodes, inactive);
			entry->table.row_triggers = CzTreeTriggers(entry->table.relid,
																&entry->table.key_parts);
		}
		else if (relkind == RELKIND_PARTITIONED_TABLE && row.kind != CZ_TABLE_REFERENCE)
			read_parent(entry, rel, &row, nodes, inactive);
		else if (relkind == RELKIND_RELATION && row.kind == CZ_TABLE_REFERENCE)
			read_reference(entry, rel, &row, nodes, inactive);
		else
			return;				/* on the way from one kind to the other */
	}
	else
		return;
	CzCheckVersion();
	read_columns(entry, rel);
	entry->is_ours = true;
}

/* Has the table other columns than when it was looked at last? */
static void
note_shape(Oid relid, TupleDesc desc)
{
	uint32		shape = 0;
	ShapeSlot  *slot;
	bool		found;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		shape = hash_combine(shape, att->attisdropped ? 0 :
							 hash_combine(string_hash(NameStr(att->attname), NAMEDATALEN),
										  hash_combine(att->atttypid,
													   hash_combine(att->atttypmod,
																	att->attcollation))));
	}
	slot = hash_search(shapes, &relid, HASH_ENTER, &found);
	if (found && slot->shape != shape)
		cz_shape_generation++;
	slot->shape = shape;
}

/*
 * Build an entry and put it into the cache; if invalidations never cease, it
 * is good for this transaction only.
 */
static CzTableEntry *
build_entry(Oid relid)
{
	static uint64 serial = 0;
	int			attempt;

	for (attempt = 1;; attempt++)
	{
		uint64		seen;
		MemoryContext context;
		MemoryContext old_context;
		CzTableEntry *entry;
		Relation	rel;
		TableSlot  *slot;
		int			i;

		rel = try_relation_open(relid, AccessShareLock);
		if (rel == NULL)
			return NULL;
		seen = invalidations;

		/* under the current context until complete: an error frees it */
		context = AllocSetContextCreate(CurrentMemoryContext, "cz_fdw table",
										ALLOCSET_SMALL_SIZES);
		old_context = MemoryContextSwitchTo(context);
		entry = palloc0(sizeof(CzTableEntry));
		entry->context = context;
		entry->table.relid = relid;
		entry->table.serial = ++serial;
		entry->scratch = AllocSetContextCreate(old_context, "cz_fdw table scratch",
											   ALLOCSET_DEFAULT_SIZES);
		fill_entry(entry, rel);
		MemoryContextSwitchTo(old_context);
		MemoryContextDelete(entry->scratch);
		entry->scratch = NULL;
		if (entry->is_ours)
			note_shape(relid, RelationGetDescr(rel));
		relation_close(rel, AccessShareLock);

		if (seen != invalidations && attempt < MAX_BUILD_ATTEMPTS)
		{
			MemoryContextDelete(context);
			continue;
		}
		if (!entry->is_ours)
		{
			MemoryContextDelete(context);
			if (seen == invalidations)
			{
				slot = hash_search(table_cache, &relid, HASH_ENTER, NULL);
				slot->entry = NULL;
			}
			return NULL;
		}

		MemoryContextSetParent(context, CacheMemoryContext);
		if (seen != invalidations)
		{
			entry->next_retired = retired;
			retired = entry;
			return entry;
		}

		/*
		 * The hash tables may throw for lack of memory.  A shard without its
		 * table's entry does no harm, an entry without its shards would.
		 */
		for (i = 0; i < entry->table.nshards; i++)
		{
			ShardSlot  *shard;

			if (entry->table.shards[i].relid == relid)
				continue;
			shard = hash_search(shard_owner, &entry->table.shards[i].relid,
								HASH_ENTER, NULL);
			shard->relid = OidIsValid(entry->table.root_relid) ? entry->table.root_relid : relid;
		}
		if (OidIsValid(entry->table.map_relid))
		{
			Oid			root = OidIsValid(entry->table.root_relid) ? entry->table.root_relid : relid;
			ShardSlot  *shard = hash_search(shard_owner, &root, HASH_ENTER, NULL);

			shard->relid = root;
			shard = hash_search(shard_owner, &entry->table.map_relid, HASH_ENTER, NULL);
			shard->relid = root;
		}
		slot = hash_search(table_cache, &relid, HASH_ENTER, NULL);
		slot->entry = entry;
		return entry;
	}
}

/*
 * CzTableGet
 *		See metadata.h.
 */
const CzTable *
CzTableGet(Oid relid)
{
	TableSlot  *slot;
	CzTableEntry *entry;

	/* nothing that initdb made is distributed */
	if (relid < FirstNormalObjectId || !OidIsValid(CzFdwOid()))
		return NULL;
	if (table_cache == NULL)
		create_cache();

	slot = hash_search(table_cache, &relid, HASH_FIND, NULL);
	entry = slot ? slot->entry : build_entry(relid);
	return entry ? &entry->table : NULL;
}

/*
 * CzShardFresh
 *		See metadata.h.
 */
const CzShard *
CzShardFresh(const CzShard *shard)
{
	const CzTable *table;
	int			i;

	if (!OidIsValid(shard->table_relid))
		return shard;
	AcceptInvalidationMessages();
	table = CzTableGet(shard->table_relid);
	if (table == NULL || (shard >= table->shards && shard < table->shards + table->nshards))
		return shard;
	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].shard_id == shard->shard_id)
			return &table->shards[i];
	}
	return shard;
}

/*
 * CzCheckMoment
 *		See metadata.h.
 */
void
CzCheckMoment(Oid relid)
{
	if (list_member_oid(cz_moment_relids, relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot access distributed table \"%s\" while it is being altered",
						get_rel_name(relid)),
				 errdetail("Event triggers of a statement cannot use the table that it alters.")));
}

/*
 * CzIsShard
 *		See metadata.h.
 */
bool
CzIsShard(Oid relid, Oid *parent_relid)
{
	const CzTable *table;
	const CzTable *parent;
	Oid			parent_oid;

	if (parent_relid)
		*parent_relid = InvalidOid;
	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE || !get_rel_relispartition(relid))
		return false;
	table = CzTableGet(relid);
	if (table == NULL || table->kind != CZ_TABLE_FOREIGN || table->shards[0].shard_id == 0)
		return false;
	parent_oid = get_partition_parent(relid, true);
	parent = CzTableGet(parent_oid);
	if (parent == NULL)
	{
		parent_oid = CzRootOfMap(parent_oid);
		parent = OidIsValid(parent_oid) ? CzTableGet(parent_oid) : NULL;
	}
	if (parent == NULL)
		return false;
	if (parent_relid)
		*parent_relid = parent_oid;
	return true;
}

/*
 * CzRelationName
 *		See metadata.h.
 */
char *
CzRelationName(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  CzNameOf(relid));
}

/*
 * CzRelationOwner
 *		See metadata.h.
 */
Oid
CzRelationOwner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("relation", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}
