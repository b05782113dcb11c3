/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The extension's own catalog tables, and the way to them.
 *
 * Rows of schema cz are read with the catalog snapshot, as PostgreSQL reads
 * its own catalogs: what is committed or done by this transaction counts, not
 * the statement's snapshot.
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
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "metadata_int.h"

/* Columns of cz.sealed_shards; sql/33-append.sql */
enum
{
	ANUM_SEALED_SHARD_ID = 1,
	ANUM_SEALED_RELID,
	ANUM_SEALED_MIN,
	ANUM_SEALED_MAX
};

/* Columns of cz.tables; sql/20-metadata.sql */
enum
{
	ANUM_TABLES_RELID = 1,
	ANUM_TABLES_KIND,
	ANUM_TABLES_COLOCATION_ID,
	ANUM_TABLES_SHARD_ID,
	ANUM_TABLES_RELOPTIONS,
	ANUM_TABLES_REMOTE_NAME,
	ANUM_TABLES_MAP_RELID
};

static Oid	fdw_oid = InvalidOid;
static bool fdw_oid_is_known = false;

PG_FUNCTION_INFO_V1(cz_tables_changed);

static void
fdw_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	fdw_oid_is_known = false;
}

static void
init_catalog(void)
{
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, fdw_changed, (Datum) 0);
}

/*
 * CzFdwOid
 *		See metadata.h.  Also tells cheaply whether the extension is installed
 *		in this database.
 */
Oid
CzFdwOid(void)
{
	if (!fdw_oid_is_known)
	{
		/* the look-up may process invalidations: claim first, then look */
		fdw_oid_is_known = true;
		PG_TRY();
		{
			fdw_oid = get_foreign_data_wrapper_oid("cz_fdw", true);
		}
		PG_CATCH();
		{
			fdw_oid_is_known = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	return fdw_oid;
}

/*
 * CzCatalogRelid
 *		See metadata.h.
 */
Oid
CzCatalogRelid(const char *name)
{
	Oid			namespace_oid = get_namespace_oid("cz", true);

	if (!OidIsValid(namespace_oid))
		return InvalidOid;
	return get_relname_relid(name, namespace_oid);
}

static void
read_tables_tuple(TupleDesc desc, HeapTuple tuple, CzTableRow *row)
{
	bool		isnull;
	Datum		value;

	row->kind = DatumGetChar(heap_getattr(tuple, ANUM_TABLES_KIND, desc, &isnull));
	row->colocation_id = DatumGetInt32(heap_getattr(tuple, ANUM_TABLES_COLOCATION_ID,
													desc, &isnull));
	value = heap_getattr(tuple, ANUM_TABLES_SHARD_ID, desc, &isnull);
	row->shard_id = isnull ? 0 : DatumGetInt64(value);
	value = heap_getattr(tuple, ANUM_TABLES_REMOTE_NAME, desc, &isnull);
	row->remote_name = isnull ? NULL : TextDatumGetCString(value);
	value = heap_getattr(tuple, ANUM_TABLES_MAP_RELID, desc, &isnull);
	row->map_relid = isnull ? InvalidOid : DatumGetObjectId(value);
}

/*
 * CzTableWasThere
 *		See metadata.h.
 */
bool
CzTableWasThere(Oid relid, Snapshot snapshot)
{
	Relation	rel = table_open(CzCatalogRelid("tables"), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool		result;

	ScanKeyInit(&key, ANUM_TABLES_RELID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, CzCatalogRelid("tables_pkey"), true, snapshot, 1, &key);
	result = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * CzCatalogReadTable
 *		The row of a relation in cz.tables; false if it has none.
 */
bool
CzCatalogReadTable(Oid relid, CzTableRow *row)
{
	Oid			tables_relid = CzCatalogRelid("tables");
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	if (!OidIsValid(tables_relid))
		return false;
	rel = try_table_open(tables_relid, AccessShareLock);
	if (rel == NULL)
		return false;

	ScanKeyInit(&key, ANUM_TABLES_RELID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, CzCatalogRelid("tables_pkey"), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		read_tables_tuple(RelationGetDescr(rel), tuple, row);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * CzCatalogReadSeals
 *		See metadata_int.h.
 */
void
CzCatalogReadSeals(CzTable *table)
{
	Oid			seals_relid = CzCatalogRelid("sealed_shards");
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;
	int			i;

	if (!OidIsValid(seals_relid))
		return;
	rel = try_table_open(seals_relid, AccessShareLock);
	if (rel == NULL)
		return;
	ScanKeyInit(&key, ANUM_SEALED_RELID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table->relid));
	scan = systable_beginscan(rel, CzCatalogRelid("sealed_shards_relid_idx"), true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		int64		shard_id = DatumGetInt64(heap_getattr(tuple, ANUM_SEALED_SHARD_ID, desc,
														  &isnull));

		if (table->seals == NULL)
			table->seals = palloc0(sizeof(CzSeal) * Max(table->nshards, 1));
		for (i = 0; i < table->nshards; i++)
		{
			if (table->shards[i].shard_id != shard_id)
				continue;
			table->seals[i].min = TextDatumGetCString(heap_getattr(tuple, ANUM_SEALED_MIN, desc,
																   &isnull));
			table->seals[i].max = TextDatumGetCString(heap_getattr(tuple, ANUM_SEALED_MAX, desc,
																   &isnull));
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* OIDs of the relations in cz.tables that exist, of one kind or (0) of all. */
static List *
list_tables(char kind)
{
	Oid			tables_relid = CzCatalogRelid("tables");
	List	   *relids = NIL;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(tables_relid))
		return NIL;
	rel = table_open(tables_relid, AccessShareLock);
	scan = systable_beginscan(rel, CzCatalogRelid("tables_pkey"), true, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(heap_getattr(tuple, ANUM_TABLES_RELID,
														  RelationGetDescr(rel), &isnull));

		CzTableRow	row;

		read_tables_tuple(RelationGetDescr(rel), tuple, &row);
		if ((kind == 0 || row.kind == kind) &&
			SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			relids = lappend_oid(relids, relid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return relids;
}

/*
 * CzTableList
 *		See metadata.h.
 */
List *
CzTableList(void)
{
	return list_tables(0);
}

/*
 * CzReferenceTableList
 *		See metadata.h.
 */
List *
CzReferenceTableList(void)
{
	return list_tables(CZ_TABLE_REFERENCE);
}

/*
 * CzGroupTables
 *		See metadata.h.
 */
List *
CzGroupTables(int colocation_id)
{
	Relation	rel = table_open(CzCatalogRelid("tables"), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *relids = NIL;

	ScanKeyInit(&key, ANUM_TABLES_COLOCATION_ID, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(colocation_id));
	scan = systable_beginscan(rel, CzCatalogRelid("tables_colocation_id_idx"), true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(heap_getattr(tuple, ANUM_TABLES_RELID,
														  RelationGetDescr(rel), &isnull));

		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			relids = lappend_oid(relids, relid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return relids;
}

/*
 * CzInvalidateTable
 *		See metadata.h.  Also makes cached plans over these tables look again.
 */
void
CzInvalidateTable(Oid relid)
{
	CzTableRow	row;
	CzPartitionRow partition;
	ListCell   *lc;

	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		CacheInvalidateRelcacheByRelid(relid);
	if (CzCatalogReadPartition(relid, &partition))
		relid = partition.root;
	if (!CzCatalogReadTable(relid, &row) || row.colocation_id == 0)
		return;
	foreach(lc, CzGroupTables(row.colocation_id))
	{
		ListCell   *lp;

		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
		foreach(lp, CzRootPartitions(lfirst_oid(lc)))
			CacheInvalidateRelcacheByRelid(lfirst_oid(lp));
	}
}

/*
 * cz_tables_changed
 *		Row trigger of cz.tables and cz.partitions, whose first column is the table.
 */
Datum
cz_tables_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	tuples[2];
	int			i;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"cz.tables_changed")));

	tuples[0] = trigger->tg_trigtuple;
	tuples[1] = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : NULL;
	for (i = 0; i < 2; i++)
	{
		bool		isnull;
		Oid			relid;

		if (tuples[i] == NULL)
			continue;
		relid = DatumGetObjectId(heap_getattr(tuples[i], ANUM_TABLES_RELID,
											  RelationGetDescr(trigger->tg_relation),
											  &isnull));
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			CacheInvalidateRelcacheByRelid(relid);
	}
	return PointerGetDatum(NULL);
}

/*
 * CzNextShardId
 *		See metadata.h.
 */
int64
CzNextShardId(void)
{
	Oid			sequence_oid = CzCatalogRelid("shard_id_seq");

	if (!OidIsValid(sequence_oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"cz_fdw\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION cz_fdw.")));
	/* the user of create_distributed_table has no rights on the sequence */
	return nextval_internal(sequence_oid, false);
}

/*
 * CzShardName
 *		See metadata.h.
 */
char *
CzShardName(const char *table_name, int64 shard_id)
{
	char		suffix[32];
	int			room;
	int			length = strlen(table_name);

	snprintf(suffix, sizeof(suffix), "_" INT64_FORMAT, shard_id);
	room = NAMEDATALEN - 1 - (int) strlen(suffix);
	if (length > room)
		length = pg_mbcliplen(table_name, length, room);
	return psprintf("%.*s%s", length, table_name, suffix);
}

/*
 * CzMetadataInit
 *		Register the callbacks that keep the caches right, and the hook of errors.h.
 */
void
CzMetadataInit(void)
{
	init_catalog();
	CzTableCacheInit();
	CzUserNamesInit();
}

/*
 * CzShardSetRemote, CzShardSetNames
 *		See metadata.h.
 */
void
CzShardSetRemote(CzShard *shard, const char *schema, const char *name)
{
	char	   *qualified = quote_qualified_identifier(schema, name);
	char	   *dot = strchr(qualified, '.');

	/* core's buffer has room for a kilobyte */
	shard->remote_qualified = pstrdup(qualified);
	/* a session may know very many shards: what the other strings are anyway is not kept twice */
	shard->remote_schema = strcmp(schema, CZ_SHARD_SCHEMA) == 0 ? CZ_SHARD_SCHEMA : pstrdup(schema);
	shard->remote_name = dot != NULL && strcmp(dot + 1, name) == 0 ?
		shard->remote_qualified + (dot + 1 - qualified) : pstrdup(name);
	pfree(qualified);
}

void
CzShardSetNames(CzShard *shard, const char *table_name, int64 name_id)
{
	shard->name_id = name_id;
	CzShardSetRemote(shard, CZ_SHARD_SCHEMA, CzShardName(table_name, name_id));
}
