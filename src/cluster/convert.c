/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  An ordinary table becomes a partitioned parent in place, and back.
 *
 * The table keeps its OID, so whatever refers to it stays: views, policies,
 * triggers, privileges, comments, owned sequences, publications.  Only the
 * relation kind of the table and its indexes changes, and their storage goes.
 * The caller holds AccessExclusiveLock and has moved the rows.
 *
 * Source: own work; creation of storage after RelationSetNewRelfilenode,
 * PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_statistic.h"
#include "catalog/storage.h"
#include "catalog/toasting.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/ddl.h"
#include "distribute_int.h"

/* Take the storage of a relation away at commit. */
static void
drop_storage(Oid relid)
{
	Relation	rel = relation_open(relid, AccessExclusiveLock);

	RelationDropStorage(rel);
	relation_close(rel, NoLock);
}

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

/*
 * CzSetIndexesLive
 *		Hide all indexes of a table, or show them again as valid: core refuses
 *		a foreign partition while the parent has a unique index.
 *
 * Within one transaction that holds the table exclusively.
 */
void
CzSetIndexesLive(Oid relid, bool is_live)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		HeapTuple	copy = heap_copytuple(tuple);
		Form_pg_index form = (Form_pg_index) GETSTRUCT(copy);

		form->indislive = is_live;
		if (is_live)
			form->indisvalid = true;
		CatalogTupleUpdate(catalog, &copy->t_self, copy);
		heap_freetuple(copy);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relid);
	CommandCounterIncrement();
}

/*
 * A table's own statistics become those of a parent with its partitions, or the other
 * way round: its rows stay the same.
 */
static void
carry_statistics(Oid relid, bool to_inherited)
{
	Relation	catalog = table_open(StatisticRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_statistic_starelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, StatisticRelidAttnumInhIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		HeapTuple	copy = heap_copytuple(tuple);
		Form_pg_statistic form = (Form_pg_statistic) GETSTRUCT(copy);

		if (form->stainherit != to_inherited)
		{
			/* others of that kind can't be: it was no parent, or is none any more */
			form->stainherit = to_inherited;
			CatalogTupleUpdate(catalog, &copy->t_self, copy);
		}
		heap_freetuple(copy);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}

/*
 * CzConvertToPartitioned
 *		Make an ordinary table a partitioned one without partitions.
 *
 * reltuples: rows that the table had, for the planner.
 */
void
CzConvertToPartitioned(Oid relid, const CzDistribution *dist, double reltuples)
{
	Relation	rel;
	Relation	catalog;
	HeapTuple	tuple;
	Form_pg_class form;
	List	   *indexes;
	ListCell   *lc;
	AttrNumber	attnos[1];
	Oid			opclasses[1];
	Oid			collations[1];
	Datum		values[Natts_pg_class];
	bool		nulls[Natts_pg_class];
	bool		replaces[Natts_pg_class];
	HeapTuple	new_tuple;

	rel = table_open(relid, AccessExclusiveLock);
	indexes = RelationGetIndexList(rel);
	RelationDropStorage(rel);
	table_close(rel, NoLock);

	drop_toast_table(relid);

	foreach(lc, indexes)
	{
		Oid			index_oid = lfirst_oid(lc);

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

	tuple = class_tuple(&catalog, relid);
	memset(values, 0, sizeof(values));
	memset(nulls, 0, sizeof(nulls));
	memset(replaces, 0, sizeof(replaces));
	/* the shards have the storage parameters; a parent may not have any */
	replaces[Anum_pg_class_reloptions - 1] = true;
	nulls[Anum_pg_class_reloptions - 1] = true;
	new_tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
	form = (Form_pg_class) GETSTRUCT(new_tuple);
	form->relkind = RELKIND_PARTITIONED_TABLE;
	form->relfilenode = InvalidOid;
	form->reltablespace = InvalidOid;
	form->relam = InvalidOid;
	form->relpages = 0;
	form->reltuples = reltuples > 0 ? reltuples : -1;	/* -1: not known */
	form->relallvisible = 0;
	form->relfrozenxid = InvalidTransactionId;
	form->relminmxid = InvalidMultiXactId;
	CatalogTupleUpdate(catalog, &new_tuple->t_self, new_tuple);
	heap_freetuple(new_tuple);
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
	carry_statistics(relid, true);
	CommandCounterIncrement();

	rel = table_open(relid, NoLock);
	attnos[0] = dist->key_attno;
	opclasses[0] = dist->key_opclass;
	collations[0] = dist->key_collation;
	StorePartitionKey(rel, dist->method, 1, attnos, NIL, opclasses, collations);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* Give a relation new, empty storage and the relation kind that goes with it. */
static void
create_storage(Oid relid, char relkind)
{
	Relation	catalog;
	HeapTuple	tuple = class_tuple(&catalog, relid);
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
	Relation	rel;

	form->relkind = relkind;
	form->relfilenode = GetNewRelFileNumber_compat(InvalidOid, RELPERSISTENCE_PERMANENT);
	form->reltuples = -1;
	if (relkind == RELKIND_RELATION)
	{
		form->relam = HEAP_TABLE_AM_OID;
		form->relhassubclass = false;
		form->relfrozenxid = RecentXmin;
		form->relminmxid = GetOldestMultiXactId();
	}
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();

	rel = relation_open(relid, AccessExclusiveLock);
	RelationCreateStorage(rd_locator_compat(rel), RELPERSISTENCE_PERMANENT, true);
	relation_close(rel, NoLock);
}

/*
 * CzConvertToHeap
 *		Make a partitioned table without partitions an ordinary, empty one.  The
 *		caller fills it and calls reindex_relation.
 */
void
CzConvertToHeap(Oid relid)
{
	Relation	rel = table_open(relid, AccessExclusiveLock);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	table_close(rel, NoLock);
	RemovePartitionKeyByRelId(relid);
	deleteDependencyRecordsForSpecific(RelationRelationId, relid, DEPENDENCY_INTERNAL,
									   RelationRelationId, relid);
	deleteDependencyRecordsForClass(RelationRelationId, relid, OperatorClassRelationId,
									DEPENDENCY_NORMAL);
	create_storage(relid, RELKIND_RELATION);
	carry_statistics(relid, false);
	foreach(lc, indexes)
		create_storage(lfirst_oid(lc), RELKIND_INDEX);
	NewRelationCreateToastTable(relid, (Datum) 0);
	CommandCounterIncrement();
}

static Node *
string_const(const char *text)
{
	A_Const    *constant = makeNode(A_Const);

	constant->val.sval.type = T_String;
	constant->val.sval.sval = pstrdup(text);
	constant->location = -1;
	return (Node *) constant;
}

/* Nobody but the owner may touch a shard, whatever default privileges say. */
static void
remove_privileges(Oid relid, Oid owner)
{
	Relation	catalog;
	HeapTuple	tuple = class_tuple(&catalog, relid);
	Datum		datum;
	bool		isnull;

	datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &isnull);
	if (!isnull)
	{
		Datum		values[Natts_pg_class];
		bool		nulls[Natts_pg_class];
		bool		replaces[Natts_pg_class];
		HeapTuple	new_tuple;
		Oid		   *members;
		int			nmembers = aclmembers(DatumGetAclP(datum), &members);

		memset(nulls, 0, sizeof(nulls));
		memset(replaces, 0, sizeof(replaces));
		replaces[Anum_pg_class_relacl - 1] = true;
		nulls[Anum_pg_class_relacl - 1] = true;
		new_tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls,
									  replaces);
		CatalogTupleUpdate(catalog, &new_tuple->t_self, new_tuple);
		updateAclDependencies(RelationRelationId, relid, 0, owner, nmembers, members, 0, NULL);
	}
	table_close(catalog, RowExclusiveLock);
}

/*
 * CzCreateShardRelation
 *		Create the coordinator's foreign table of a shard as a partition.
 *
 * index: remainder of a hash shard; min, max: bounds of a range shard.
 * Returns: its OID.  The catalogs are visible to the next command.
 */
Oid
CzCreateShardRelation(Oid parent_relid, const CzShard *shard, const CzDistribution *dist,
					  int index, const char *min, const char *max)
{
	CreateForeignTableStmt *stmt = makeNode(CreateForeignTableStmt);
	PartitionBoundSpec *bound = makeNode(PartitionBoundSpec);
	ForeignServer *server = GetForeignServer(shard->server_oids[0]);
	Oid			owner = CzRelationOwner(parent_relid);
	ObjectAddress address;
	List	   *others = NIL;
	Oid			save_user;
	int			save_context;
	int			i;

	bound->strategy = dist->method;
	bound->location = -1;
	if (dist->method == PARTITION_STRATEGY_HASH)
	{
		bound->modulus = dist->shard_count;
		bound->remainder = index;
	}
	else
	{
		bound->lowerdatums = list_make1(string_const(min));
		bound->upperdatums = list_make1(string_const(max));
	}

	for (i = 1; i < shard->nplacements; i++)
		others = lappend_oid(others, shard->server_oids[i]);

	stmt->base.relation = makeRangeVar(pstrdup(CZ_SHARD_SCHEMA), shard->remote_name, -1);
	stmt->base.inhRelations =
		list_make1(makeRangeVar(get_namespace_name(get_rel_namespace(parent_relid)),
								get_rel_name(parent_relid), -1));
	stmt->base.partbound = bound;
	stmt->base.oncommit = ONCOMMIT_NOOP;
	stmt->servername = server->servername;
	stmt->options =
		list_make1(makeDefElem("shard_id",
							   (Node *) makeString(psprintf(INT64_FORMAT, shard->shard_id)), -1));
	if (others != NIL)
		stmt->options = lappend(stmt->options,
								makeDefElem("placements",
											(Node *) makeString(CzFormatServerNames(others)), -1));

	/* schema cz_shards and the servers need not be open to the table's owner */
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	cz_internal_ddl_depth++;
	PG_TRY();
	{
		CzHideConstraintTriggers(parent_relid, true);
		address = DefineRelation(&stmt->base, RELKIND_FOREIGN_TABLE, owner, NULL, "");
		CzHideConstraintTriggers(parent_relid, false);
		CreateForeignTable(stmt, address.objectId);
	}
	PG_FINALLY();
	{
		cz_internal_ddl_depth--;
	}
	PG_END_TRY();
	SetUserIdAndSecContext(save_user, save_context);
	CommandCounterIncrement();

	/* DROP SERVER must see the other placements too */
	for (i = 1; i < shard->nplacements; i++)
	{
		ObjectAddress referenced;

		ObjectAddressSet(referenced, ForeignServerRelationId, shard->server_oids[i]);
		recordDependencyOn(&address, &referenced, DEPENDENCY_NORMAL);
	}
	remove_privileges(address.objectId, owner);
	CommandCounterIncrement();
	CzRemoveShardDefaults(address.objectId);
	CommandCounterIncrement();
	return address.objectId;
}
