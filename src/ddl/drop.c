/*-------------------------------------------------------------------------
 *
 * drop.c
 *	  What is dropped here is dropped on the workers, in the same transaction.
 *
 * Core tells of every object that goes (object_access_hook, OAT_DROP), whatever
 * the statement was: DROP TABLE, SCHEMA, OWNED, TYPE, EXTENSION, with CASCADE or
 * not.  At that moment the catalogs still describe the object, so the remote
 * command is made then and collected (drop_send.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/executor.h"
#include "cz/transaction.h"
#include "ddl_int.h"

int			cz_drop_is_local = 0;
Oid			cz_altered_relid = InvalidOid;
List	   *cz_typed_relids = NIL;

static object_access_hook_type prev_object_access_hook = NULL;

/* An attribute of a composite type goes, or of a table whose rows are values somewhere. */
static void
attribute_dropped(Oid relid, AttrNumber attno)
{
	Oid			type_oid = get_rel_type_id(relid);
	CzObject   *object = OidIsValid(type_oid) ? CzObjectGet(TypeRelationId, type_oid) : NULL;

	if (object != NULL && CzLedgerUsers(TypeRelationId, type_oid) != NIL)
		CzDropChangeObject(TypeRelationId, type_oid,
					  psprintf("ALTER TYPE %s DROP ATTRIBUTE IF EXISTS %s CASCADE",
							   CzObjectName(object),
							   quote_identifier(get_attname(relid, attno, false))));
}

/*
 * Delete the rows of one of our catalog tables whose column has a value, read
 * by a plain scan: the index may be gone already in DROP EXTENSION.
 *
 * other_attno: this column of the deleted row is returned (0 if no row), and
 * char_attno's in *char_value.
 */
static int64
delete_rows(const char *catalog_name, AttrNumber attno, RegProcedure equals, Datum value,
			AttrNumber other_attno, AttrNumber char_attno, char *char_value, bool only_look)
{
	Oid			catalog_oid = CzCatalogRelid(catalog_name);
	Relation	catalog;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	int64		result = 0;

	if (!OidIsValid(catalog_oid))
		return 0;
	catalog = table_open(catalog_oid, RowExclusiveLock);
	ScanKeyInit(&key, attno, BTEqualStrategyNumber, equals, value);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		datum;

		if (other_attno > 0)
		{
			Form_pg_attribute att = TupleDescAttr(RelationGetDescr(catalog), other_attno - 1);

			datum = heap_getattr(tuple, other_attno, RelationGetDescr(catalog), &isnull);
			if (!isnull)
				result = att->attlen == 8 ? DatumGetInt64(datum) : DatumGetInt32(datum);
		}
		if (char_attno > 0)
			*char_value = DatumGetChar(heap_getattr(tuple, char_attno,
													RelationGetDescr(catalog), &isnull));
		if (!only_look)
			CatalogTupleDelete(catalog, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(catalog, only_look ? RowExclusiveLock : NoLock);
	return result;
}

/* columns of cz.tables (sql/20-metadata.sql) */
#define TABLES_RELID 1
#define TABLES_KIND 2
#define TABLES_COLOCATION_ID 3
#define TABLES_SHARD_ID 4

/* columns of cz.partitions */
#define PARTITIONS_RELID 1
#define PARTITIONS_ROOT 2

/* columns of cz.pending_shards */
#define PENDING_RELID 2

/* columns of cz.tenant_schemas */
#define TENANTS_SCHEMA 1
#define TENANTS_COLOCATION_ID 2

/*
 * CzForgetTable
 *		Take a table out of cz.tables, and its colocation group out of
 *		cz.colocation if it was the last.
 */
void
CzForgetTable(Oid relid)
{
	char		kind = '\0';
	int			colocation_id;
	char		others = '\0';

	colocation_id = (int) delete_rows("tables", TABLES_RELID, F_OIDEQ,
									  ObjectIdGetDatum(relid), TABLES_COLOCATION_ID,
									  TABLES_KIND, &kind, false);
	if (kind == '\0')
		return;
	(void) delete_rows("pending_shards", PENDING_RELID, F_OIDEQ, ObjectIdGetDatum(relid), 0, 0,
					   NULL, false);
	CommandCounterIncrement();
	if (colocation_id != 0)
	{
		(void) delete_rows("tables", TABLES_COLOCATION_ID, F_INT4EQ,
						   Int32GetDatum(colocation_id), 0, TABLES_KIND, &others, true);
		/* that of a schema stays as long as the schema */
		if (others == '\0' &&
			delete_rows("tenant_schemas", TENANTS_COLOCATION_ID, F_INT4EQ,
						Int32GetDatum(colocation_id), TENANTS_COLOCATION_ID, 0, NULL,
						true) == 0)
			(void) delete_rows("colocation", 1, F_INT4EQ, Int32GetDatum(colocation_id),
							   0, 0, NULL, false);
	}
	CommandCounterIncrement();
}

/* A reference table goes, and its copies with it. */
static void
drop_reference(Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	ListCell   *lc;

	if (table == NULL || table->kind != CZ_TABLE_REFERENCE)
		return;
	/* also on workers that are disabled now */
	foreach(lc, CzNodeList(false))
	{
		CzNode	   *node = lfirst(lc);

		if (node->is_checked)
			CzDropAddTable(node->server_oid, CzRelationOwner(relid),
					  table->shards[0].remote_qualified);
	}
	(void) CzInactiveDelete(table->shards[0].shard_id, InvalidOid);
	CzDirtyDelete(table->shards[0].shard_id, CZ_DIRTY_ALL);
}

static void
drop_shard(Oid relid)
{
	ForeignTable *foreign;
	int64		shard_id = 0;
	ListCell   *lc;
	Oid			owner;
	char	   *qualified;

	if (get_rel_namespace(relid) != get_namespace_oid(CZ_SHARD_SCHEMA, true))
		return;
	foreign = GetForeignTable(relid);
	if (GetForeignServer(foreign->serverid)->fdwid != CzFdwOid())
		return;
	foreach(lc, foreign->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "shard_id") == 0)
			shard_id = pg_strtoint64(defGetString(def));
	}
	if (shard_id == 0)
		return;

	owner = CzRelationOwner(relid);
	qualified = CzQualifiedName(CZ_SHARD_SCHEMA, get_rel_name(relid));
	foreach(lc, CzShardServers(relid))
		CzDropAddTable(lfirst_oid(lc), owner, qualified);
	(void) delete_rows("shard_statistics", 1, F_INT8EQ, Int64GetDatum(shard_id), 0, 0, NULL,
					   false);
	(void) delete_rows("sealed_shards", 1, F_INT8EQ, Int64GetDatum(shard_id), 0, 0, NULL, false);
	(void) CzInactiveDelete(shard_id, InvalidOid);
	CzDirtyDelete(shard_id, CZ_DIRTY_ALL);
}

/*
 * CzLeafDrop
 *		See ddl.h.
 */
void
CzLeafDrop(Oid leaf)
{
	const char *value = CzFindOption(GetForeignTable(leaf)->options, "shard_id");
	int64		shard_id = value ? pg_strtoint64(value) : 0;
	ObjectAddress address;

	LockRelationOid(leaf, AccessExclusiveLock);
	ObjectAddressSet(address, RelationRelationId, leaf);
	cz_drop_is_local++;
	PG_TRY();
	{
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	}
	PG_FINALLY();
	{
		cz_drop_is_local--;
	}
	PG_END_TRY();
	(void) delete_rows("shard_statistics", 1, F_INT8EQ, Int64GetDatum(shard_id), 0, 0, NULL,
					   false);
	(void) delete_rows("sealed_shards", 1, F_INT8EQ, Int64GetDatum(shard_id), 0, 0, NULL, false);
	(void) CzInactiveDelete(shard_id, InvalidOid);
	CzDirtyDelete(shard_id, CZ_DIRTY_ALL);
	CommandCounterIncrement();
}

/* The map of a root's shards goes, with all rows: what is left of the root is local. */
static void
drop_map(Oid relid)
{
	Oid			root_relid = CzRootOfMap(relid);

	if (!OidIsValid(root_relid))
		return;
	(void) delete_rows("partitions", PARTITIONS_ROOT, F_OIDEQ, ObjectIdGetDatum(root_relid), 0,
					   0, NULL, false);
	CzForgetTable(root_relid);
	CzInvalidateTable(root_relid);
}

/* A partition goes; if the shards of the root go too, they take it with them. */
static void
drop_partition(Oid relid)
{
	CzPartitionRow partition;
	const CzTable *root;
	Oid			owner = CzRelationOwner(relid);
	ListCell   *lc;
	int			i;
	int			j;

	if (!CzCatalogReadPartition(relid, &partition))
		return;
	root = CzTableGet(partition.root);
	for (i = 0; root != NULL && root->nshards == partition.nshards && i < root->nshards; i++)
	{
		char	   *qualified = CzQualifiedName(CZ_SHARD_SCHEMA,
												CzShardName(partition.name,
															partition.shard_ids[i]));

		/* also on workers that are disabled now */
		foreach(lc, CzShardServers(root->shards[i].relid))
			CzDropAddTable(lfirst_oid(lc), owner, qualified);
		/* where it can't be dropped, its rows would be the root's still */
		for (j = 0; j < root->shards[i].nplacements; j++)
			CzDropMustReach(root->shards[i].server_oids[j], owner, partition.root);
	}
	(void) delete_rows("partitions", PARTITIONS_RELID, F_OIDEQ, ObjectIdGetDatum(relid), 0, 0,
					   NULL, false);
	CommandCounterIncrement();
}

/* Is a table being altered, or what it is a partition of?  Its parts are no matter of ours
 * then. */
static bool
is_altered(Oid relid)
{
	if (relid == cz_altered_relid || list_member_oid(cz_typed_relids, relid))
		return true;
	return OidIsValid(cz_altered_relid) && get_rel_relispartition(relid) &&
		list_member_oid(get_partition_ancestors(relid), cz_altered_relid);
}

/* Does an object of a partition go, or stay, with one of its parent? */
static bool
is_inherited(const CzTable *table, Oid index_oid, Oid constraint_oid)
{
	HeapTuple	tuple;
	bool		result;

	if (!OidIsValid(table->root_relid))
		return false;
	/* columns are the parent's */
	if (!OidIsValid(index_oid) && !OidIsValid(constraint_oid))
		return true;
	if (OidIsValid(index_oid))
		return get_rel_relispartition(index_oid);
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	result = HeapTupleIsValid(tuple) && ((Form_pg_constraint) GETSTRUCT(tuple))->coninhcount > 0;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* On every placement of a table of ours; command is made per shard.  The index or
 * constraint that goes, else it is a column. */
static void
for_placements(Oid relid, char *(*make) (const CzShard *shard, const char *name),
			   const char *name, Oid index_oid, Oid constraint_oid)
{
	const CzTable *table = CzTableGet(relid);
	Oid			owner;
	int			i;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		return;

	/* whoever alters the table tells the shards all that has become of it */
	if (is_altered(relid) || is_inherited(table, index_oid, constraint_oid))
		return;
	owner = CzRelationOwner(relid);
	for (i = 0; i < table->nshards; i++)
	{
		char	   *command = make(&table->shards[i], name);
		int			j;

		/* workers that are disabled get their shards anew */
		for (j = 0; j < table->shards[i].nplacements; j++)
			CzDropAddCommand(table->shards[i].server_oids[j], owner, relid, command);
		pfree(command);
	}
}

static char *
drop_column_sql(const CzShard *shard, const char *name)
{
	return psprintf("ALTER TABLE %s DROP COLUMN IF EXISTS %s CASCADE", shard->remote_qualified,
					quote_identifier(name));
}

static char *
drop_index_sql(const CzShard *shard, const char *name)
{
	return psprintf("DROP INDEX IF EXISTS %s CASCADE",
					CzQualifiedIndex(shard, name));
}

static char *
drop_constraint_sql(const CzShard *shard, const char *name)
{
	return psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s CASCADE",
					shard->remote_qualified, quote_identifier(name));
}

/* A foreign key of a distributed table. */
static void
key_dropped(Form_pg_constraint con)
{
	const CzTable *table = CzTableGet(con->conrelid);
	int			i;
	int			j;

	/* whoever alters the table tells the shards all that has become of it; a partition's key
	 * goes with its parent's, one to a partition with that */
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || is_altered(con->conrelid) ||
		OidIsValid(con->conparentid))
		return;
	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		char	   *command = drop_constraint_sql(shard,
												  CzShardIndexName(NameStr(con->conname),
																   shard->name_id));

		for (j = 0; j < shard->nplacements; j++)
			CzDropAddKey(shard->server_oids[j], CzRelationOwner(con->conrelid), con->conrelid,
						 con->confrelid, command);
		pfree(command);
	}
}

static void
relation_dropped(Oid relid, int subid)
{
	char		relkind = get_rel_relkind(relid);

	if (subid > 0)
	{
		/* a shard's column goes with the parent's */
		if (relkind == RELKIND_PARTITIONED_TABLE || relkind == RELKIND_RELATION)
			for_placements(relid, drop_column_sql, get_attname(relid, subid, false), InvalidOid,
						   InvalidOid);
		attribute_dropped(relid, subid);
		return;
	}
	switch (relkind)
	{
		case RELKIND_FOREIGN_TABLE:
			drop_shard(relid);
			break;
		case RELKIND_RELATION:
			drop_reference(relid);
			CzForgetTable(relid);
			break;
		case RELKIND_PARTITIONED_TABLE:
			drop_map(relid);
			drop_partition(relid);
			CzForgetTable(relid);
			break;
		case RELKIND_PARTITIONED_INDEX:
		case RELKIND_INDEX:
			/* a constraint's index goes with the constraint */
			if (!OidIsValid(get_index_constraint(relid)))
				for_placements(IndexGetRelation(relid, true), drop_index_sql,
							   get_rel_name(relid), relid, InvalidOid);
			break;
	}
}

static void
constraint_dropped(Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(oid));
	Form_pg_constraint con;

	if (!HeapTupleIsValid(tuple))
		return;
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	if (OidIsValid(con->conrelid) && con->contype == CONSTRAINT_CHECK)
		for_placements(con->conrelid, drop_constraint_sql, NameStr(con->conname), InvalidOid, oid);
	else if (con->contype == CONSTRAINT_FOREIGN && OidIsValid(con->confrelid) &&
			 is_altered(con->confrelid))
	{
		/* it goes, or is made again, with what it refers to, and so it does on the workers */
	}
	else if (OidIsValid(con->conrelid) && con->contype == CONSTRAINT_FOREIGN &&
			 get_rel_relkind(con->conrelid) == RELKIND_PARTITIONED_TABLE)
		key_dropped(con);
	else if (OidIsValid(con->contypid))
	{
		CzObject   *domain = CzObjectGet(TypeRelationId, con->contypid);

		if (domain != NULL)
			CzDropChangeObject(TypeRelationId, con->contypid,
						  psprintf("ALTER DOMAIN %s DROP CONSTRAINT IF EXISTS %s",
								   CzObjectName(domain), quote_identifier(NameStr(con->conname))));
	}
	ReleaseSysCache(tuple);
}

/*
 * CzForgetTenant
 *		Take a schema out of cz.tenant_schemas, and its group out of cz.colocation.
 */
void
CzForgetTenant(const char *schema)
{
	NameData	name;
	int			colocation_id;

	namestrcpy(&name, schema);
	colocation_id = (int) delete_rows("tenant_schemas", TENANTS_SCHEMA, F_NAMEEQ,
									  NameGetDatum(&name), TENANTS_COLOCATION_ID, 0, NULL,
									  false);
	if (colocation_id == 0)
		return;
	(void) delete_rows("colocation", 1, F_INT4EQ, Int32GetDatum(colocation_id), 0, 0, NULL,
					   false);
	CommandCounterIncrement();
}

/* Does the coordinator act for foreign keys because of a trigger? */
static void
trigger_dropped(Oid trigger_oid)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger_oid));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		CzKeyActorsNote(((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
czObjectAccess(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, classId, objectId, subId, arg);

	/* a function that is called without a statement */
	if (access == OAT_FUNCTION_EXECUTE && debug_query_string == NULL && IsTransactionState())
		CzTxnNoteSnapshotUse();
	if (access != OAT_DROP || objectId < FirstNormalObjectId ||
		IsBootstrapProcessingMode() || cz_drop_is_local > 0 || !OidIsValid(CzFdwOid()))
		return;
	if (classId == RelationRelationId && subId == 0)
		CzDeferredCheck(objectId, "DROP TABLE");
	if (classId == RelationRelationId)
		relation_dropped(objectId, subId);
	else if (classId == ConstraintRelationId)
		constraint_dropped(objectId);
	else if (classId == TypeRelationId || classId == ProcedureRelationId ||
			 classId == CollationRelationId || classId == NamespaceRelationId ||
			 classId == OperatorClassRelationId || classId == ExtensionRelationId)
		CzDropChangeObject(classId, objectId, NULL);
	else if (classId == TriggerRelationId)
		trigger_dropped(objectId);
	if (classId == NamespaceRelationId)
		CzForgetTenant(get_namespace_name(objectId));
}

/*
 * CzDropInit
 *		Install the hook.
 */
void
CzDropInit(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = czObjectAccess;
	CzDropSendInit();
}
