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
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "metadata_int.h"

/* The new ftoptions: all as before but placements. */
static Datum
make_options(Datum old_options, List *other_server_oids)
{
	DefElem    *change;
	ListCell   *cell;
	bool		had_placements = false;

	foreach(cell, untransformRelOptions(old_options))
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (strcmp(def->defname, "placements") == 0)
			had_placements = true;
	}
	if (other_server_oids == NIL && !had_placements)
		return old_options;

	change = makeDefElem("placements",
						 other_server_oids == NIL ? NULL :
						 (Node *) makeString(CzFormatServerNames(other_server_oids)),
						 -1);
	change->defaction = other_server_oids == NIL ? DEFELEM_DROP
		: had_placements ? DEFELEM_SET : DEFELEM_ADD;
	/* what this writes needs no validator */
	return transformGenericOptions(ForeignTableRelationId, old_options,
								   list_make1(change), InvalidOid);
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
		make_options(options, list_copy_tail(server_oids, 1));
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
