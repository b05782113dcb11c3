/*-------------------------------------------------------------------------
 *
 * moment.c
 *	  A partitioned parent is an ordinary, empty table for a moment, so that core
 *	  runs on it what it refuses on a parent whose partitions are foreign tables.
 *
 * Only the parent's and its indexes' pg_class rows change, and they get empty
 * storage; pg_inherits and pg_partitioned_table are not touched (but for a change of
 * the key's type).  All state is in the catalogs and on the C stack: an error at any
 * place, a savepoint, a crash leaves nothing behind but empty files, as core's CREATE
 * TABLE does.
 *
 * Distributing a table ends with the second half (CzMakeParent), undistributing
 * begins with the first (CzMakeHeap).
 *
 * Traps: storage of an index without its metapage is an error for whoever plans
 * with it, so indexes are built; without a TOAST table core wants a stronger lock
 * than the statement's; nobody may read or write the table meanwhile, an event
 * trigger for one (cz_moment_relids); and no reference to the relation may be open
 * around the change, for the relation cache keeps the partition key while there is one.
 *
 * Source: own work; creation of storage after RelationSetNewRelfilenode,
 * PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/binary_upgrade.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_type.h"
#include "catalog/storage.h"
#include "catalog/storage_xlog.h"
#include "catalog/toasting.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "ddl_int.h"

/* File numbers of a binary upgrade, whose own ones are given by pg_dump: far above. */
#define UPGRADE_FILE_NUMBER 4294900000U

/* Writable copy of a relation's pg_class row; *catalog is open. */
static HeapTuple
class_tuple(Relation *catalog, Oid relid)
{
	HeapTuple	tuple;

	*catalog = table_open(RelationRelationId, RowExclusiveLock);
	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	return tuple;
}

/* Replace pg_class.reloptions in a copy of a relation's row; 0: none. */
static HeapTuple
with_reloptions(Relation catalog, HeapTuple tuple, Datum options)
{
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};

	replaces[Anum_pg_class_reloptions - 1] = true;
	nulls[Anum_pg_class_reloptions - 1] = options == (Datum) 0;
	values[Anum_pg_class_reloptions - 1] = options;
	return heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
}

/* Take the storage of a relation away at commit. */
static void
drop_storage(Oid relid)
{
	Relation	rel = relation_open(relid, AccessExclusiveLock);

	RelationDropStorage(rel);
	/* core counts nothing of partitioned indexes, and forgets that it has counted here */
	pgstat_unlink_relation(rel);
	relation_close(rel, NoLock);
}

static void
drop_toast_table(Oid relid)
{
	Relation	catalog;
	HeapTuple	tuple = class_tuple(&catalog, relid);
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
	Oid			toast_relid = form->reltoastrelid;
	ObjectAddress address;

	if (OidIsValid(toast_relid))
	{
		form->reltoastrelid = InvalidOid;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		/* the toast table is an internal part of the table: cut that first */
		deleteDependencyRecordsFor(RelationRelationId, toast_relid, false);
		CommandCounterIncrement();
		ObjectAddressSet(address, RelationRelationId, toast_relid);
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	}
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
}

/* pg_class.reloptions, a text[], or 0. */
static Datum
class_options(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Datum		datum;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	datum = isnull ? (Datum) 0 : PointerGetDatum(DatumGetArrayTypePCopy(datum));
	ReleaseSysCache(tuple);
	return datum;
}

/* Elements of options of the namespace "toast" (with it), or of none. */
static Datum
filter_options(Datum options, bool of_toast, bool strip)
{
	Datum	   *elems;
	int			nelems;
	ArrayBuildState *result = NULL;
	int			i;

	if (options == (Datum) 0)
		return options;
	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false, TYPALIGN_INT, &elems,
					  NULL, &nelems);
	for (i = 0; i < nelems; i++)
	{
		char	   *option = TextDatumGetCString(elems[i]);

		if ((strncmp(option, "toast.", 6) == 0) == of_toast)
			result = accumArrayResult(result, CStringGetTextDatum(strip ? option + 6 : option),
									  false, TEXTOID, CurrentMemoryContext);
	}
	return result ? makeArrayResult(result, CurrentMemoryContext) : (Datum) 0;
}

/*
 * CzTableOptions
 *		See ddl.h.
 */
Datum
CzTableOptions(Oid relid)
{
	HeapTuple	tuple;
	Oid			toast_relid;
	Datum		own = class_options(relid);
	Datum		toast;
	ArrayBuildState *result = NULL;
	Datum	   *elems;
	int			nelems;
	int			i;

	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		return CzCatalogOptions(relid);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	toast_relid = ((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid;
	ReleaseSysCache(tuple);
	toast = OidIsValid(toast_relid) ? class_options(toast_relid) : (Datum) 0;
	if (toast == (Datum) 0)
		return own;

	if (own != (Datum) 0)
	{
		deconstruct_array(DatumGetArrayTypeP(own), TEXTOID, -1, false, TYPALIGN_INT, &elems,
						  NULL, &nelems);
		for (i = 0; i < nelems; i++)
			result = accumArrayResult(result, elems[i], false, TEXTOID, CurrentMemoryContext);
	}
	deconstruct_array(DatumGetArrayTypeP(toast), TEXTOID, -1, false, TYPALIGN_INT, &elems,
					  NULL, &nelems);
	for (i = 0; i < nelems; i++)
		result = accumArrayResult(result,
								  CStringGetTextDatum(psprintf("toast.%s",
															   TextDatumGetCString(elems[i]))),
								  false, TEXTOID, CurrentMemoryContext);
	return makeArrayResult(result, CurrentMemoryContext);
}

static void
index_to_parent(Oid index_oid)
{
	Relation	catalog;
	HeapTuple	tuple;
	Form_pg_class form;

	drop_storage(index_oid);
	tuple = class_tuple(&catalog, index_oid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	form->relkind = RELKIND_PARTITIONED_INDEX;
	form->relfilenode = InvalidOid;
	form->reltablespace = InvalidOid;
	form->relpages = 0;
	form->reltuples = 0;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
}

/*
 * CzMakeParent
 *		See ddl.h.
 */
void
CzMakeParent(Oid relid, float4 reltuples, int32 relpages, bool has_leaves)
{
	Relation	rel = table_open(relid, AccessExclusiveLock);
	List	   *indexes = RelationGetIndexList(rel);
	Relation	catalog;
	HeapTuple	tuple;
	HeapTuple	new_tuple;
	Form_pg_class form;
	ListCell   *lc;

	RelationDropStorage(rel);
	table_close(rel, NoLock);
	drop_toast_table(relid);
	foreach(lc, indexes)
		index_to_parent(lfirst_oid(lc));

	tuple = class_tuple(&catalog, relid);
	new_tuple = with_reloptions(catalog, tuple, (Datum) 0);
	form = (Form_pg_class) GETSTRUCT(new_tuple);
	form->relkind = RELKIND_PARTITIONED_TABLE;
	form->relfilenode = InvalidOid;
	form->reltablespace = InvalidOid;
	form->relam = InvalidOid;
	form->relpages = relpages;
	form->reltuples = reltuples;
	form->relallvisible = 0;
	form->relfrozenxid = InvalidTransactionId;
	form->relminmxid = InvalidMultiXactId;
	form->relhassubclass = has_leaves;
	CatalogTupleUpdate(catalog, &new_tuple->t_self, new_tuple);
	heap_freetuple(new_tuple);
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/* Give a relation new, empty storage and the relation kind that goes with it. */
static void
create_storage(Oid relid, char relkind, Datum options)
{
	static RelFileNumber_compat upgrade_number = UPGRADE_FILE_NUMBER;
	Relation	catalog;
	HeapTuple	tuple = class_tuple(&catalog, relid);
	Form_pg_class form;
	SMgrRelation storage;
	Relation	rel;

	if (relkind == RELKIND_RELATION)
		tuple = with_reloptions(catalog, tuple, options);
	form = (Form_pg_class) GETSTRUCT(tuple);
	form->relkind = relkind;
	form->relfilenode = IsBinaryUpgrade ? upgrade_number-- :
		GetNewRelFileNumber_compat(InvalidOid, RELPERSISTENCE_PERMANENT);
	form->reltuples = -1;
	if (relkind == RELKIND_RELATION)
	{
		form->relam = CzRewriteMethod(relid);
		form->relhassubclass = false;
		form->relfrozenxid = RecentXmin;
		form->relminmxid = GetOldestMultiXactId();
	}
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();

	rel = relation_open(relid, AccessExclusiveLock);
	storage = RelationCreateStorage(rd_locator_compat(rel), rel->rd_rel->relpersistence, true);
	/* as core does for a heap; an index gets its own when it is built */
	if (relkind == RELKIND_RELATION && rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
	{
		smgrcreate(storage, INIT_FORKNUM, false);
		log_smgrcreate(&rd_locator_compat(rel), INIT_FORKNUM);
		smgrimmedsync(storage, INIT_FORKNUM);
	}
	relation_close(rel, NoLock);
}

/*
 * CzMakeHeap
 *		See ddl.h.
 */
void
CzMakeHeap(Oid relid, Datum options)
{
	Datum		toast_options = filter_options(options, true, true);
	Relation	rel = table_open(relid, AccessExclusiveLock);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	table_close(rel, NoLock);
	create_storage(relid, RELKIND_RELATION, filter_options(options, false, false));
	foreach(lc, indexes)
		create_storage(lfirst_oid(lc), RELKIND_INDEX, (Datum) 0);
	NewRelationCreateToastTable(relid, toast_options);
	CommandCounterIncrement();
}

/*
 * CzIsParent
 *		See ddl.h.  The rows of cz.tables may come later, in a restore.
 */
bool
CzIsParent(Oid relid)
{
	List	   *leaves;
	Oid			leaf;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return false;
	leaves = find_inheritance_children(relid, NoLock);
	if (leaves == NIL)
		return false;
	leaf = linitial_oid(leaves);
	list_free(leaves);
	return get_rel_relkind(leaf) == RELKIND_FOREIGN_TABLE &&
		get_rel_namespace(leaf) == get_namespace_oid(CZ_SHARD_SCHEMA, true) &&
		GetForeignServer(GetForeignTable(leaf)->serverid)->fdwid == CzFdwOid() &&
		CzFindOption(GetForeignTable(leaf)->options, "shard_id") != NULL;
}

/* Nothing of this session may be reading the table: core looks at the parent alone, but
 * scans hold its leaves. */
static void
check_not_in_use(Relation parent, List *leaves)
{
	ListCell   *lc;

	CheckTableNotInUse(parent, "ALTER TABLE");
	foreach(lc, leaves)
	{
		Relation	leaf = RelationIdGetRelation(lfirst_oid(lc));
		bool		is_used;

		if (!RelationIsValid(leaf))
			continue;
		is_used = leaf->rd_refcnt > 1;
		RelationClose(leaf);
		if (is_used)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("cannot %s \"%s\" because it is being used by active queries in this session",
							"ALTER TABLE", RelationGetRelationName(parent))));
	}
}

/* The partition key as it was, to be stored again with the column's new type. */
static void
save_key(CzMoment *moment, Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(moment->relid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for partition key of %u", moment->relid);
	moment->default_relid = ((Form_pg_partitioned_table) GETSTRUCT(tuple))->partdefid;
	ReleaseSysCache(tuple);
	if (key->partnatts != 1 || key->partattrs[0] <= 0)
		elog(ERROR, "partition key of \"%s\" is not one column",
			 RelationGetRelationName(rel));
	moment->key_strategy = key->strategy;
	moment->key_attno = key->partattrs[0];
}

/*
 * CzForgetPartitionKey
 *		See ddl.h.
 */
void
CzForgetPartitionKey(Oid relid)
{
	RemovePartitionKeyByRelId(relid);
	deleteDependencyRecordsForSpecific(RelationRelationId, relid, DEPENDENCY_INTERNAL,
									   RelationRelationId, relid);
	deleteDependencyRecordsForClass(RelationRelationId, relid, OperatorClassRelationId,
									DEPENDENCY_NORMAL);
}

/* Indexes of nothing, but with what whoever opens one reads first. */
static void
build_indexes(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessExclusiveLock);

		index_build(rel, index, BuildDummyIndexInfo(index), true, false);
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/*
 * CzMomentBegin
 *		Make a parent an ordinary table.
 *
 * The caller owns the table's rights, holds AccessExclusiveLock and no reference to the
 * relation.  key_type_changes: the statement changes the type of the partition key.
 *
 * Returns: palloc'd, for CzMomentEnd.
 * Errors:  55006 if this session is using the table.
 */
CzMoment *
CzMomentBegin(Oid relid, bool key_type_changes)
{
	CzMoment   *moment = palloc0(sizeof(CzMoment));
	Relation	rel = table_open(relid, NoLock);

	Assert(CheckRelationLockedByMe(rel, AccessExclusiveLock, true));
	moment->relid = relid;
	moment->leaves = find_inheritance_children(relid, NoLock);
	moment->reltuples = rel->rd_rel->reltuples;
	moment->relpages = rel->rd_rel->relpages;
	check_not_in_use(rel, moment->leaves);
	if (key_type_changes)
		save_key(moment, rel);
	table_close(rel, NoLock);
	moment->before = CzColumnsImage(relid);

	if (key_type_changes)
		CzForgetPartitionKey(relid);
	CzMakeHeap(relid, CzCatalogOptions(relid));
	build_indexes(relid);
	if (IsBinaryUpgrade)
	{
		/* pg_dump gives no file number for what it takes for a partitioned index */
		static RelFileNumber_compat number = UPGRADE_FILE_NUMBER - 50000;

		binary_upgrade_next_index_relfile_compat = number--;
	}
	cz_moment_relids = lappend_oid(cz_moment_relids, relid);
	return moment;
}

static void
store_key(const CzMoment *moment)
{
	Relation	rel = table_open(moment->relid, NoLock);
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), moment->key_attno - 1);
	AttrNumber	attnos[1];
	Oid			opclasses[1];
	Oid			collations[1];

	attnos[0] = moment->key_attno;
	opclasses[0] = GetDefaultOpClass(att->atttypid,
									 moment->key_strategy == PARTITION_STRATEGY_HASH ?
									 HASH_AM_OID : BTREE_AM_OID);
	collations[0] = att->attcollation;
	if (!OidIsValid(opclasses[0]))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by column \"%s\" of type %s",
						NameStr(att->attname), format_type_be(att->atttypid))));
	StorePartitionKey(rel, moment->key_strategy, 1, attnos, NIL, opclasses, collations);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	if (OidIsValid(moment->default_relid))
		update_default_partition_oid(moment->relid, moment->default_relid);
}

/*
 * CzMomentEnd
 *		Make it a parent again, and its leaves follow.
 *
 * Errors: XX000 if somebody has written to the table meanwhile.
 */
void
CzMomentEnd(CzMoment *moment)
{
	Oid			relid = moment->relid;
	Relation	rel;
	Datum		options;

	CommandCounterIncrement();
	rel = table_open(relid, NoLock);
	if (RelationGetNumberOfBlocks(rel) != 0)
		elog(ERROR, "rows were written to \"%s\" while it was being altered",
			 RelationGetRelationName(rel));
	table_close(rel, NoLock);
	options = CzTableOptions(relid);

	CzMakeParent(relid, moment->reltuples, moment->relpages, moment->leaves != NIL);
	if (moment->key_attno > 0)
		store_key(moment);
	CzCatalogSetOptions(relid, options);
	cz_moment_relids = list_delete_oid(cz_moment_relids, relid);
	CacheInvalidateRelcacheByRelid(relid);
	CommandCounterIncrement();
	CzLeavesFollow(relid, moment->before, moment->leaves);
}

static void
run_between(const CzUtility *utility, Node *stmt, List *relids, List *key_relids,
			List *empty_relids)
{
	List	   *moments = NIL;
	ListCell   *lc;

	foreach(lc, relids)
		moments = lappend(moments,
						  CzMomentBegin(lfirst_oid(lc),
										list_member_oid(key_relids, lfirst_oid(lc))));
	cz_moment_relids = list_difference_oid(cz_moment_relids, empty_relids);
	CzUtilityRun(utility, stmt);
	foreach(lc, moments)
		CzMomentEnd(lfirst(lc));
}

/* CzMomentRun; empty_relids: of these tables core may ask, and finds no rows. */
static void
run(const CzUtility *utility, Node *stmt, List *relids, List *key_relids, List *empty_relids)
{
	List	   *save = cz_moment_relids;

	PG_TRY();
	{
		cz_moment_relids = list_copy(save);
		run_between(utility, stmt, relids, key_relids, empty_relids);
	}
	PG_FINALLY();
	{
		cz_moment_relids = save;
	}
	PG_END_TRY();
}

/*
 * CzMomentRun
 *		Run a statement while some parents are ordinary tables.
 *
 * relids: locked, in order of OID; key_relids: those whose key changes its type.
 */
void
CzMomentRun(const CzUtility *utility, Node *stmt, List *relids, List *key_relids)
{
	run(utility, stmt, relids, key_relids, NIL);
}

/*
 * CzMomentRunAsked
 *		The same for a statement by which core looks for rows that refer to others, in some
 *		of the tables (asked_relids): the caller has looked for them before.
 */
void
CzMomentRunAsked(const CzUtility *utility, Node *stmt, List *relids, List *asked_relids)
{
	run(utility, stmt, relids, NIL, asked_relids);
}

/*
 * CzMomentTry
 *		See ddl_int.h.
 */
void
CzMomentTry(const CzUtility *utility, Node *stmt, List *relids, List *key_relids)
{
	List	   *save = cz_moment_relids;
	ListCell   *lc;

	PG_TRY();
	{
		cz_drop_is_local++;
		cz_moment_relids = list_copy(save);
		foreach(lc, relids)
			(void) CzMomentBegin(lfirst_oid(lc), list_member_oid(key_relids, lfirst_oid(lc)));
		CzUtilityRun(utility, stmt);
	}
	PG_FINALLY();
	{
		cz_moment_relids = save;
		cz_drop_is_local--;
	}
	PG_END_TRY();
}
