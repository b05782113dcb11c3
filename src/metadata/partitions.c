/*-------------------------------------------------------------------------
 *
 * partitions.c
 *	  Partitions of distributed tables that are partitioned by their users: cz.partitions.
 *
 * Such a table, the root, and its partitions have no shards below them here.  The shards
 * are the partitions of the root's map, one for all partitions; on the workers the root's
 * shard is partitioned as the root is, and a partition's shard is a partition of it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "metadata_int.h"

/* Columns of cz.partitions; sql/20-metadata.sql */
enum
{
	ANUM_PARTITIONS_RELID = 1,
	ANUM_PARTITIONS_ROOT,
	ANUM_PARTITIONS_NAME,
	ANUM_PARTITIONS_IS_PARTITIONED,
	ANUM_PARTITIONS_SHARD_IDS
};

/* A column of cz.tables */
#define TABLES_MAP_RELID 7

static void
read_tuple(TupleDesc desc, HeapTuple tuple, CzPartitionRow *row)
{
	bool		isnull;
	Datum	   *ids;
	int			i;

	row->root = DatumGetObjectId(heap_getattr(tuple, ANUM_PARTITIONS_ROOT, desc, &isnull));
	row->name = TextDatumGetCString(heap_getattr(tuple, ANUM_PARTITIONS_NAME, desc, &isnull));
	row->is_partitioned = DatumGetBool(heap_getattr(tuple, ANUM_PARTITIONS_IS_PARTITIONED, desc,
													&isnull));
	deconstruct_array(DatumGetArrayTypeP(heap_getattr(tuple, ANUM_PARTITIONS_SHARD_IDS, desc,
													  &isnull)),
					  INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ids, NULL, &row->nshards);
	row->shard_ids = palloc(sizeof(int64) * Max(row->nshards, 1));
	for (i = 0; i < row->nshards; i++)
		row->shard_ids[i] = DatumGetInt64(ids[i]);
}

/*
 * CzCatalogReadPartition
 *		See metadata.h.
 */
bool
CzCatalogReadPartition(Oid relid, CzPartitionRow *row)
{
	Oid			catalog_oid = CzCatalogRelid("partitions");
	Relation	rel = OidIsValid(catalog_oid) ? try_table_open(catalog_oid, AccessShareLock) : NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	if (rel == NULL)
		return false;
	ScanKeyInit(&key, ANUM_PARTITIONS_RELID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, CzCatalogRelid("partitions_pkey"), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		read_tuple(RelationGetDescr(rel), tuple, row);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* The first columns of the rows of a catalog table that an index finds by an OID. */
static List *
find_relids(const char *catalog, const char *index, AttrNumber attno, Oid value)
{
	Oid			catalog_oid = CzCatalogRelid(catalog);
	Relation	rel = OidIsValid(catalog_oid) ? try_table_open(catalog_oid, AccessShareLock) : NULL;
	List	   *result = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (rel == NULL)
		return NIL;
	ScanKeyInit(&key, attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
	scan = systable_beginscan(rel, CzCatalogRelid(index), true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(heap_getattr(tuple, 1, RelationGetDescr(rel),
														  &isnull));

		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			result = lappend_oid(result, relid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * CzRootPartitions, CzRootOfMap
 *		See metadata.h.
 */
List *
CzRootPartitions(Oid root_relid)
{
	List	   *result = find_relids("partitions", "partitions_root_idx", ANUM_PARTITIONS_ROOT,
									 root_relid);

	list_sort(result, list_oid_cmp);
	return result;
}

Oid
CzRootOfMap(Oid map_relid)
{
	List	   *roots = find_relids("tables", "tables_map_relid_key", TABLES_MAP_RELID, map_relid);

	return roots == NIL ? InvalidOid : linitial_oid(roots);
}

/*
 * CzTableOfLeaf
 *		See metadata_int.h.
 */
Oid
CzTableOfLeaf(Oid leaf_relid)
{
	Oid			parent_relid = get_partition_parent(leaf_relid, true);
	Oid			root_relid = CzRootOfMap(parent_relid);

	return OidIsValid(root_relid) ? root_relid : parent_relid;
}

/*
 * CzTreeTriggers
 *		See metadata_int.h.
 */
int
CzTreeTriggers(Oid relid, List **key_parts)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	int			result = 0;
	ListCell   *lc;

	*key_parts = NIL;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		HeapTuple	class = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(lc)));
		bool		has_triggers;
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		if (!HeapTupleIsValid(class))
			continue;
		has_triggers = ((Form_pg_class) GETSTRUCT(class))->relhastriggers;
		ReleaseSysCache(class);
		if (!has_triggers)
			continue;
		ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(lfirst_oid(lc)));
		scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
			bool		is_before = TRIGGER_FOR_BEFORE(form->tgtype);

			if (RI_FKey_trigger_type(form->tgfoid) != RI_TRIGGER_NONE)
			{
				/* a key's that the parent has, too, are below its triggers */
				if (lfirst_oid(lc) != relid && !OidIsValid(form->tgparentid))
					*key_parts = list_append_unique_oid(*key_parts, lfirst_oid(lc));
				continue;
			}
			if (!TRIGGER_FOR_ROW(form->tgtype))
				continue;
			if (TRIGGER_FOR_INSERT(form->tgtype))
				result |= CZ_ROW_TRIGGER(CMD_INSERT, is_before);
			if (TRIGGER_FOR_UPDATE(form->tgtype))
				result |= CZ_ROW_TRIGGER(CMD_UPDATE, is_before);
			if (TRIGGER_FOR_DELETE(form->tgtype))
				result |= CZ_ROW_TRIGGER(CMD_DELETE, is_before);
		}
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * CzPartitionOfShard
 *		The partition of which a shard has this number in its name; InvalidOid: none.
 */
Oid
CzPartitionOfShard(int64 id)
{
	Oid			catalog_oid = CzCatalogRelid("partitions");
	Relation	rel = OidIsValid(catalog_oid) ? try_table_open(catalog_oid, AccessShareLock) : NULL;
	Oid			result = InvalidOid;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (rel == NULL)
		return InvalidOid;
	scan = systable_beginscan(rel, CzCatalogRelid("partitions_pkey"), true, NULL, 0, NULL);
	while (!OidIsValid(result) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CzPartitionRow row;
		bool		isnull;
		int			i;

		read_tuple(RelationGetDescr(rel), tuple, &row);
		for (i = 0; i < row.nshards; i++)
		{
			if (row.shard_ids[i] == id)
				result = DatumGetObjectId(heap_getattr(tuple, ANUM_PARTITIONS_RELID,
													   RelationGetDescr(rel), &isnull));
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * CzTableListAll
 *		See metadata.h.
 */
List *
CzTableListAll(void)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		result = lappend_oid(result, lfirst_oid(lc));
		result = list_concat(result, CzRootPartitions(lfirst_oid(lc)));
	}
	return result;
}
