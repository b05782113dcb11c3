/*-------------------------------------------------------------------------
 *
 * placements.c
 *	  Write where a shard is.
 *
 * There is no ALTER FOREIGN TABLE ... SERVER, so the catalogs are changed
 * directly: pg_foreign_table, and pg_depend so that a server that holds a
 * placement cannot be dropped.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "cz/rowid.h"
#include "metadata_int.h"

/* The options with one that has this value, or (NULL) without it. */
static Datum
with_option(Datum options, const char *name, char *value)
{
	bool		is_there = CzFindOption(untransformRelOptions(options), name) != NULL;
	DefElem    *change;

	if (value == NULL && !is_there)
		return options;
	change = makeDefElem(pstrdup(name), value ? (Node *) makeString(value) : NULL, -1);
	change->defaction = value == NULL ? DEFELEM_DROP : is_there ? DEFELEM_SET : DEFELEM_ADD;
	/* what this writes needs no validator */
	return transformGenericOptions(ForeignTableRelationId, options, list_make1(change),
								   InvalidOid);
}

/* Are all placements of before where they were in the list? */
static bool
begins_with(List *server_oids, List *before)
{
	ListCell   *lc;

	if (list_length(before) > list_length(server_oids))
		return false;
	foreach(lc, before)
	{
		/* one that nobody has is the old name of a server that has just been renamed */
		if (OidIsValid(lfirst_oid(lc)) &&
			lfirst_oid(lc) != list_nth_oid(server_oids, foreach_current_index(lc)))
			return false;
	}
	return true;
}

/* The servers that the tuple has now; InvalidOid: a name that there is not. */
static List *
servers_of(HeapTuple tuple, Datum options)
{
	List	   *result = list_make1_oid(((Form_pg_foreign_table) GETSTRUCT(tuple))->ftserver);
	const char *value = CzFindOption(untransformRelOptions(options), "placements");
	List	   *names = NIL;
	ListCell   *lc;

	if (value != NULL && SplitIdentifierString(pstrdup(value), ',', &names))
	{
		foreach(lc, names)
			result = lappend_oid(result, get_foreign_server_oid(lfirst(lc), true));
	}
	return result;
}

/* The new ftoptions of a shard. */
static Datum
make_options(Datum options, List *before, List *server_oids)
{
	const char *base = CzFindOption(untransformRelOptions(options), "number_base");

	if (!begins_with(server_oids, before))
		options = with_option(options, "number_base",
							  psprintf("%d", ((base ? pg_strtoint32(base) : 0) +
											  list_length(before)) % CZ_ROWID_PLACEMENTS));
	return with_option(options, "placements",
					   list_length(server_oids) < 2 ? NULL :
					   CzFormatServerNames(list_copy_tail(server_oids, 1)));
}

/*
 * CzShardServersAsOf
 *		See metadata.h.
 */
List *
CzShardServersAsOf(Oid shard_relid, Snapshot snapshot)
{
	Relation	rel = table_open(ForeignTableRelationId, AccessShareLock);
	List	   *result = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_foreign_table_ftrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(shard_relid));
	scan = systable_beginscan(rel, ForeignTableRelidIndexId, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		options = heap_getattr(tuple, Anum_pg_foreign_table_ftoptions,
										   RelationGetDescr(rel), &isnull);
		const char *others = isnull ? NULL :
			CzFindOption(untransformRelOptions(options), "placements");

		result = list_make1_oid(((Form_pg_foreign_table) GETSTRUCT(tuple))->ftserver);
		if (others != NULL)
			result = list_concat(result, CzParseServerNames(others));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * CzShardSetPlacements
 *		See metadata.h.
 */
void
CzShardSetPlacements(Oid shard_relid, List *server_oids)
{
	Relation	rel = table_open(ForeignTableRelationId, RowExclusiveLock);
	HeapTuple	tuple;
	HeapTuple	new_tuple;
	Datum		values[Natts_pg_foreign_table] = {0};
	bool		nulls[Natts_pg_foreign_table] = {0};
	bool		replaces[Natts_pg_foreign_table] = {0};
	Datum		options;
	bool		isnull;
	ObjectAddress shard;
	ListCell   *cell;

	Assert(server_oids != NIL);
	tuple = SearchSysCacheCopy1(FOREIGNTABLEREL, ObjectIdGetDatum(shard_relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for foreign table %u", shard_relid);

	options = SysCacheGetAttr(FOREIGNTABLEREL, tuple, Anum_pg_foreign_table_ftoptions,
							  &isnull);
	if (isnull)
		elog(ERROR, "foreign table %u is not a shard", shard_relid);
	values[Anum_pg_foreign_table_ftserver - 1] = ObjectIdGetDatum(linitial_oid(server_oids));
	replaces[Anum_pg_foreign_table_ftserver - 1] = true;
	values[Anum_pg_foreign_table_ftoptions - 1] =
		make_options(options, servers_of(tuple, options), server_oids);
	replaces[Anum_pg_foreign_table_ftoptions - 1] = true;
	new_tuple = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls, replaces);
	CatalogTupleUpdate(rel, &new_tuple->t_self, new_tuple);
	table_close(rel, RowExclusiveLock);

	/* the names in the old option may be stale: a server was renamed */
	(void) deleteDependencyRecordsForClass(RelationRelationId, shard_relid,
										   ForeignServerRelationId, DEPENDENCY_NORMAL);
	ObjectAddressSet(shard, RelationRelationId, shard_relid);
	foreach(cell, server_oids)
	{
		ObjectAddress server;

		ObjectAddressSet(server, ForeignServerRelationId, lfirst_oid(cell));
		recordDependencyOn(&shard, &server, DEPENDENCY_NORMAL);
	}

	CacheInvalidateRelcacheByRelid(shard_relid);
	if (get_rel_relispartition(shard_relid))
		CzInvalidateTable(CzTableOfLeaf(shard_relid));
	CommandCounterIncrement();
}
