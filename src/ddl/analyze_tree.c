/*-------------------------------------------------------------------------
 *
 * analyze_tree.c
 *	  ANALYZE of distributed tables that their users have partitioned, and of their
 *	  partitions.
 *
 * Neither has foreign tables below it from which core could draw rows: the root's map
 * has.  So core analyzes the map, whose shards give rows of the table that is meant
 * (fdw/shards.c), with that table's statistics targets and, where the columns have the
 * same numbers, its extended statistics; and what it finds is then moved to the table.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/fdw.h"
#include "ddl_int.h"

/* Column lists of ANALYZE are of the map to core, whose name nobody knows. */
static void
check_columns(Oid relid, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		const char *name = strVal(lfirst(lc));
		int			i;

		if (get_attnum(relid, name) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist", name,
							get_rel_name(relid))));
		for (i = 0; i < foreach_current_index(lc); i++)
		{
			if (strcmp(strVal(list_nth(names, i)), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" of relation \"%s\" appears more than once", name,
								get_rel_name(relid))));
		}
	}
}

/* Have columns of two relations the same numbers? */
static bool
have_same_columns(Oid relid, Oid map_relid)
{
	Relation	rel = table_open(relid, NoLock);
	int			i;
	bool		result = true;

	for (i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		result &= att->attisdropped || get_attnum(map_relid, NameStr(att->attname)) == i + 1;
	}
	table_close(rel, NoLock);
	return result;
}

/* Of a column's options those that are, or are not, its version (see leaves.c). */
static void
add_options(ArrayBuildState **state, Datum options, bool isnull, bool are_versions)
{
	Datum	   *elems;
	int			nelems;
	int			i;

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false, TYPALIGN_INT, &elems,
					  NULL, &nelems);
	for (i = 0; i < nelems; i++)
	{
		if (are_versions == (strncmp(TextDatumGetCString(elems[i]), CZ_VERSION_OPTION,
									 strlen(CZ_VERSION_OPTION)) == 0))
			*state = accumArrayResult(*state, elems[i], false, TEXTOID, CurrentMemoryContext);
	}
}

/* The options of one column with the version of another. */
static Datum
options_of(Datum from, bool from_is_null, Datum to, bool to_is_null, bool *isnull)
{
	ArrayBuildState *state = NULL;

	add_options(&state, from, from_is_null, false);
	add_options(&state, to, to_is_null, true);
	*isnull = state == NULL;
	return state == NULL ? (Datum) 0 : makeArrayResult(state, CurrentMemoryContext);
}

/* The map's columns get the statistics targets and options of a table's. */
static void
copy_targets(Oid relid, Oid map_relid)
{
	Relation	catalog = table_open(AttributeRelationId, RowExclusiveLock);
	Relation	rel = table_open(relid, NoLock);
	bool		has_changed = false;
	int			i;

	for (i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);
		HeapTuple	from;
		HeapTuple	to;
		int			columns[] = {Anum_pg_attribute_attstattarget, Anum_pg_attribute_attoptions};
		Datum		values[Natts_pg_attribute] = {0};
		bool		nulls[Natts_pg_attribute] = {0};
		bool		replaces[Natts_pg_attribute] = {0};
		bool		differs = false;
		int			j;

		if (att->attisdropped)
			continue;
		from = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(att->attnum));
		to = SearchSysCacheCopyAttName(map_relid, NameStr(att->attname));
		if (!HeapTupleIsValid(from) || !HeapTupleIsValid(to))
			elog(ERROR, "column \"%s\" of relation %u is not in %u", NameStr(att->attname),
				 relid, map_relid);
		for (j = 0; j < lengthof(columns); j++)
		{
			int			column = columns[j] - 1;
			bool		isnull;
			Datum		old = SysCacheGetAttr(ATTNUM, to, columns[j], &isnull);

			values[column] = SysCacheGetAttr(ATTNUM, from, columns[j], &nulls[column]);
			if (columns[j] == Anum_pg_attribute_attoptions)
				values[column] = options_of(values[column], nulls[column], old, isnull,
											&nulls[column]);
			replaces[column] = true;
			differs |= isnull != nulls[column] ||
				(!isnull && columns[j] == Anum_pg_attribute_attoptions) ||
				(!isnull && columns[j] == Anum_pg_attribute_attstattarget &&
				 DatumGetInt32(old) != DatumGetInt32(values[column]));
		}
		if (differs)
		{
			HeapTuple	new_tuple = heap_modify_tuple(to, RelationGetDescr(catalog), values, nulls,
													  replaces);

			CatalogTupleUpdate(catalog, &new_tuple->t_self, new_tuple);
			has_changed = true;
		}
		ReleaseSysCache(from);
		heap_freetuple(to);
	}
	table_close(rel, NoLock);
	table_close(catalog, RowExclusiveLock);
	if (has_changed)
	{
		CacheInvalidateRelcacheByRelid(map_relid);
		CommandCounterIncrement();
	}
}

/* Copies of the rows of a catalog that are about a relation, as an index has them. */
static List *
rows_about(Relation catalog, Oid index_oid, AttrNumber attno, Oid relid)
{
	List	   *tuples = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, index_oid, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		tuples = lappend(tuples, heap_copytuple(tuple));
	systable_endscan(scan);
	return tuples;
}

/* Extended statistics of a table become the map's, or the reverse. */
static void
move_extended_statistics(Oid from, Oid to)
{
	Relation	catalog = table_open(StatisticExtRelationId, RowExclusiveLock);
	List	   *tuples = rows_about(catalog, StatisticExtRelidIndexId,
									Anum_pg_statistic_ext_stxrelid, from);
	ListCell   *lc;

	foreach(lc, tuples)
	{
		HeapTuple	tuple = lfirst(lc);

		((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxrelid = to;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	}
	table_close(catalog, RowExclusiveLock);
	if (tuples != NIL)
	{
		CacheInvalidateRelcacheByRelid(from);
		CacheInvalidateRelcacheByRelid(to);
		CommandCounterIncrement();
	}
}

/* What is known of the map's columns is of those of a table. */
static void
move_statistics(Oid map_relid, Oid relid)
{
	Relation	catalog = table_open(StatisticRelationId, RowExclusiveLock);
	List	   *tuples = rows_about(catalog, StatisticRelidAttnumInhIndexId,
									Anum_pg_statistic_starelid, map_relid);
	ListCell   *lc;

	foreach(lc, tuples)
	{
		HeapTuple	tuple = lfirst(lc);
		Form_pg_statistic form = (Form_pg_statistic) GETSTRUCT(tuple);
		ItemPointerData tid = tuple->t_self;
		HeapTuple	old;

		form->staattnum = get_attnum(relid, get_attname(map_relid, form->staattnum, false));
		form->starelid = relid;
		old = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid),
							  Int16GetDatum(form->staattnum), BoolGetDatum(form->stainherit));
		CatalogTupleDelete(catalog, &tid);
		if (HeapTupleIsValid(old))
		{
			CatalogTupleUpdate(catalog, &old->t_self, tuple);
			ReleaseSysCache(old);
		}
		else
			CatalogTupleInsert(catalog, tuple);
	}
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

static float4
read_rows(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	float4		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	result = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	return result;
}

/* As core's ANALYZE does it: not undone by ROLLBACK. */
static void
write_rows(Oid relid, float4 reltuples)
{
	Relation	rel = try_table_open(relid, NoLock);

	if (rel == NULL)
		return;
	vac_update_relstats_compat(rel, reltuples);
	table_close(rel, NoLock);
}

/* Rows of what is below a table, by the sizes of the shards, for core's own estimates. */
static void
count_partitions(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		CHECK_FOR_INTERRUPTS();
		if (lfirst_oid(lc) != relid && table != NULL)
			write_rows(lfirst_oid(lc), (float4) CzTableRows(table));
	}
	CommandCounterIncrement();
}

/* False if the locks could not be had at once, and that was asked for. */
static bool
lock_table(const VacuumStmt *stmt, Oid relid, Oid root_relid, Oid map_relid)
{
	ListCell   *lc;
	bool		skip = false;

	foreach(lc, stmt->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "skip_locked") == 0)
			skip = defGetBoolean(def);
	}
	if (!skip)
	{
		if (root_relid != relid)
			LockRelationOid(root_relid, AccessShareLock);
		LockRelationOid(relid, ShareUpdateExclusiveLock);
		LockRelationOid(map_relid, ShareUpdateExclusiveLock);
		return true;
	}
	if ((root_relid == relid || ConditionalLockRelationOid(root_relid, AccessShareLock)) &&
		ConditionalLockRelationOid(relid, ShareUpdateExclusiveLock) &&
		ConditionalLockRelationOid(map_relid, ShareUpdateExclusiveLock))
		return true;
	ereport(WARNING,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("skipping analyze of \"%s\" --- lock not available", get_rel_name(relid))));
	return false;
}

/*
 * Core's ANALYZE of the map with a table's rows, and that of the table's shards.  As the
 * owner: who may maintain the table has no privilege on the map.
 */
static void
analyze_map(const CzUtility *utility, VacuumStmt *analyze, Oid relid, const char *command,
			const char *columns_sql, bool rows_are_known)
{
	Oid			user_oid;
	int			sec_context;

	CzAnalyzeShardsForget();
	CzAnalyzeShardsLater(CzTableGet(relid), command, columns_sql);
	CzAnalyzeRowsAreKnown(rows_are_known);
	CzAnalyzeMapFor(relid);
	GetUserIdAndSecContext(&user_oid, &sec_context);
	PG_TRY();
	{
		SetUserIdAndSecContext(CzRelationOwner(relid), sec_context | SECURITY_LOCAL_USERID_CHANGE);
		CzUtilityRun(utility, (Node *) analyze);
		SetUserIdAndSecContext(user_oid, sec_context);
		CzAnalyzeShardsFinish();
	}
	PG_CATCH();
	{
		SetUserIdAndSecContext(user_oid, sec_context);
		CzAnalyzeShardsForget();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * CzAnalyzeTree
 *		See ddl_int.h.
 */
void
CzAnalyzeTree(const CzUtility *utility, const VacuumStmt *stmt, Oid relid, List *columns,
			  const char *command, const char *columns_sql, bool rows_are_known, bool is_only)
{
	const CzTable *table = CzTableGet(relid);
	Oid			map_relid = table->map_relid;
	Oid			root_relid = OidIsValid(table->root_relid) ? table->root_relid : relid;
	VacuumStmt *analyze = makeNode(VacuumStmt);
	bool		has_same_columns;
	Relation	rel;

	if (!lock_table(stmt, relid, root_relid, map_relid))
		return;
	table = CzTableGet(relid);
	if (table == NULL || table->map_relid != map_relid)
		return;
	check_columns(relid, columns);
	has_same_columns = have_same_columns(relid, map_relid);
	copy_targets(relid, map_relid);
	if (has_same_columns)
		move_extended_statistics(relid, map_relid);

	analyze->rels = list_make1(makeVacuumRelation(makeRangeVar(get_namespace_name(get_rel_namespace(map_relid)),
															   get_rel_name(map_relid), -1),
												  map_relid, copyObject(columns)));
	analyze_map(utility, analyze, relid, command, columns_sql, rows_are_known);
	CommandCounterIncrement();

	if (has_same_columns)
		move_extended_statistics(map_relid, relid);
	move_statistics(map_relid, relid);
	write_rows(relid, read_rows(map_relid));
	CommandCounterIncrement();
	if (!is_only)
		count_partitions(relid);
	rel = table_open(relid, NoLock);
	pgstat_report_analyze_compat(rel);
	table_close(rel, NoLock);
}
