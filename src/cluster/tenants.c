/*-------------------------------------------------------------------------
 *
 * tenants.c
 *	  Schemas that are tenants: all tables of such a schema are single-shard tables of
 *	  one colocation group, so that any SQL among them is a statement of one worker.
 *
 * Which schemas are, cz.tenant_schemas says, by name: pg_upgrade takes no regnamespace.
 * A table becomes one when the statement that made it, or moved it into the schema, has
 * ended; views, sequences, functions and types are the coordinator's.  The group stays
 * when its last table goes, and goes with the schema.
 *
 * CREATE TABLE holds a lock on the schema that DROP SCHEMA waits for; so does the
 * distribution of a schema, and no table slips through.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/cluster.h"
#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "distribute_int.h"

/* columns of cz.tenant_schemas (sql/32-distribute.sql) */
#define TENANTS_SCHEMA 1
#define TENANTS_COLOCATION_ID 2

PG_FUNCTION_INFO_V1(citus_schema_distribute);
PG_FUNCTION_INFO_V1(citus_schema_undistribute);

/*
 * CzTenantGroup
 *		The colocation group of a schema's tables; 0 if the schema is no tenant.
 */
int
CzTenantGroup(Oid namespace_oid)
{
	Oid			tenants = CzCatalogRelid("tenant_schemas");
	char	   *schema = get_namespace_name(namespace_oid);
	NameData	name;
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;
	int			result = 0;

	if (!OidIsValid(tenants) || schema == NULL)
		return 0;
	namestrcpy(&name, schema);
	rel = table_open(tenants, AccessShareLock);
	ScanKeyInit(&key, TENANTS_SCHEMA, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&name));
	scan = systable_beginscan(rel, CzCatalogRelid("tenant_schemas_pkey"), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = DatumGetInt32(heap_getattr(tuple, TENANTS_COLOCATION_ID,
											RelationGetDescr(rel), &isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * CzRefuseTenant
 *		How a table of a tenant's schema is distributed is the schema's affair.
 *
 * Errors: 55000.
 */
void
CzRefuseTenant(Relation rel, const char *function)
{
	if (CzTenantGroup(RelationGetNamespace(rel)) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot run %s on table \"%s\": schema \"%s\" is distributed", function,
					RelationGetRelationName(rel),
					get_namespace_name(RelationGetNamespace(rel))),
			 errdetail("All tables of the schema are single-shard tables of one group."),
			 errhint("Use ALTER TABLE ... SET SCHEMA, or citus_schema_undistribute().")));
}

/* ---- one table ------------------------------------------------------------ */

static void
refuse_table(Relation rel, const char *reason, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" cannot be in distributed schema \"%s\": %s",
					RelationGetRelationName(rel),
					get_namespace_name(RelationGetNamespace(rel)), reason),
			 hint ? errhint("%s", hint) : 0));
}

/* Is it the parent of a single-shard table, as a restore's script makes it? */
static bool
is_single_parent(Relation rel)
{
	PartitionKey key;

	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	key = RelationGetPartitionKey(rel);
	return key->strategy == PARTITION_STRATEGY_LIST && key->partnatts == 1 &&
		key->partattrs[0] == 0 && IsA(linitial(key->partexprs), CoerceToDomain) &&
		((CoerceToDomain *) linitial(key->partexprs))->resulttype ==
		typenameTypeId(NULL, makeTypeNameFromNameList(list_make2(makeString("cz"),
																 makeString("single"))));
}

/* Distribute a relation of a tenant's schema if it is a table that is not. */
static void
distribute_table(Oid relid, int colocation_id)
{
	Relation	rel = CzOpenRelation(relid, AccessExclusiveLock);
	const CzTable *table = CzTableGet(relid);
	bool		is_done = (table != NULL && table->kind == CZ_TABLE_SINGLE &&
						   table->colocation_id == colocation_id) || is_single_parent(rel);

	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			/* a partition goes with the table at the top */
			is_done |= rel->rd_rel->relispartition &&
				CzTenantGroup(get_rel_namespace(llast_oid(get_partition_ancestors(relid)))) ==
				colocation_id;
			break;
		case RELKIND_FOREIGN_TABLE:
			refuse_table(rel, "foreign tables are not supported there",
						 "Create it in another schema.");
			break;
		default:
			is_done = true;
			break;
	}
	if (is_done)
	{
		relation_close(rel, NoLock);
		return;
	}
	if (rel->rd_rel->relispartition)
		refuse_table(rel, "it is a partition of a table that is not there", NULL);
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
		refuse_table(rel, "it is unlogged", "Create an ordinary table.");
	if (table != NULL)
		refuse_table(rel, table->kind == CZ_TABLE_REFERENCE ? "it is a reference table" :
					 "it is distributed already", "Use undistribute_table() first.");
	relation_close(rel, NoLock);
	CzDistributeToGroup(relid, colocation_id);
}

/* ---- a whole schema -------------------------------------------------------- */

/* The schema of an argument; the user must own it. */
static Oid
owned_schema(FunctionCallInfo fcinfo, char **name)
{
	Oid			namespace_oid = PG_GETARG_OID(0);

	*name = get_namespace_name(namespace_oid);
	if (*name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema with OID %u does not exist", namespace_oid)));
	if (!namespace_ownercheck_compat(namespace_oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_SCHEMA, *name);
	/* CREATE TABLE, which has an AccessShareLock, waits */
	LockDatabaseObject(NamespaceRelationId, namespace_oid, 0, AccessExclusiveLock);
	*name = get_namespace_name(namespace_oid);
	if (*name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema with OID %u does not exist", namespace_oid)));
	return namespace_oid;
}

/* The system's, the extension's own, those of extensions. */
static void
refuse_special_schema(Oid namespace_oid, const char *name)
{
	if (namespace_oid < FirstNormalObjectId || isAnyTempNamespace(namespace_oid) ||
		strcmp(name, CZ_SHARD_SCHEMA) == 0 || strcmp(name, "cz") == 0 ||
		strcmp(name, CZ_PARTIAL_SCHEMA) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("schema \"%s\" cannot be distributed", name),
				 errdetail("It is none of a user.")));
	if (OidIsValid(getExtensionOfObject(NamespaceRelationId, namespace_oid)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("schema \"%s\" cannot be distributed", name),
				 errdetail("It belongs to an extension.")));
}

/* Tables of any kind in a schema but those of extensions, as OIDs, oldest first. */
static List *
schema_tables(Oid namespace_oid)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;
	ListCell   *lc;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(namespace_oid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind == RELKIND_RELATION || form->relkind == RELKIND_PARTITIONED_TABLE ||
			form->relkind == RELKIND_FOREIGN_TABLE)
			result = lappend_oid(result, form->oid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	foreach(lc, result)
	{
		if (OidIsValid(getExtensionOfObject(RelationRelationId, lfirst_oid(lc))))
			result = foreach_delete_current(result, lc);
	}
	list_sort(result, list_oid_cmp);
	return result;
}

/* The keys among them too, each when both ends are there. */
static void
distribute_tables(List *relids, int colocation_id)
{
	ListCell   *lc;

	PG_TRY();
	{
		cz_distributed_together = relids;
		foreach(lc, relids)
		{
			CzCheckTableOwner(lfirst_oid(lc));
			distribute_table(lfirst_oid(lc), colocation_id);
			CzDebugPoint("schema-table");
		}
	}
	PG_FINALLY();
	{
		cz_distributed_together = NIL;
	}
	PG_END_TRY();
}

static void
undistribute_tables(List *relids)
{
	ListCell   *lc;

	PG_TRY();
	{
		cz_distributed_together = relids;
		foreach(lc, relids)
		{
			const CzTable *table = CzTableGet(lfirst_oid(lc));

			if (table == NULL || table->kind != CZ_TABLE_SINGLE ||
				list_member_oid(relids, table->root_relid))
				continue;
			CzCheckTableOwner(lfirst_oid(lc));
			CzUndistribute(lfirst_oid(lc));
		}
	}
	PG_FINALLY();
	{
		cz_distributed_together = NIL;
	}
	PG_END_TRY();
}

/* Make a schema, which is locked, a tenant. */
static void
distribute_schema(Oid namespace_oid, const char *name)
{
	Oid			argtypes[2] = {NAMEOID, INT4OID};
	Datum		values[2];
	int			colocation_id = CzCreateSingleGroup();
	NameData	schema;

	namestrcpy(&schema, name);
	values[0] = NameGetDatum(&schema);
	values[1] = Int32GetDatum(colocation_id);
	(void) CzCatalogExec("INSERT INTO cz.tenant_schemas (schema_name, colocation_id)"
						 " VALUES ($1, $2)", 2, argtypes, values, NULL);
	CommandCounterIncrement();
	distribute_tables(schema_tables(namespace_oid), colocation_id);
}

/*
 * citus_schema_distribute(schemaname regnamespace)
 */
Datum
citus_schema_distribute(PG_FUNCTION_ARGS)
{
	char	   *name;
	Oid			namespace_oid;

	PreventCommandIfReadOnly("citus_schema_distribute()");
	namespace_oid = owned_schema(fcinfo, &name);
	refuse_special_schema(namespace_oid, name);
	if (CzTenantGroup(namespace_oid) != 0)
	{
		ereport(NOTICE, (errmsg("schema \"%s\" is distributed already", name)));
		PG_RETURN_VOID();
	}
	distribute_schema(namespace_oid, name);
	PG_RETURN_VOID();
}

/*
 * citus_schema_undistribute(schemaname regnamespace)
 */
Datum
citus_schema_undistribute(PG_FUNCTION_ARGS)
{
	char	   *name;
	Oid			namespace_oid;
	int			colocation_id;

	PreventCommandIfReadOnly("citus_schema_undistribute()");
	namespace_oid = owned_schema(fcinfo, &name);
	colocation_id = CzTenantGroup(namespace_oid);
	if (colocation_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schema \"%s\" is not distributed", name)));
	undistribute_tables(schema_tables(namespace_oid));
	CzForgetTenant(name);
	PG_RETURN_VOID();
}

/* ---- statements ------------------------------------------------------------ */

/* The relation that a statement has made, by the name that it gave. */
static Oid
created_relation(RangeVar *name)
{
	Oid			namespace_oid = RangeVarGetCreationNamespace(name);

	return get_relname_relid(name->relname, namespace_oid);
}

static void
relation_appeared(Oid relid)
{
	int			colocation_id;

	if (!OidIsValid(relid))
		return;
	colocation_id = CzTenantGroup(get_rel_namespace(relid));
	if (colocation_id != 0)
		distribute_table(relid, colocation_id);
}

/* ALTER TABLE ... SET SCHEMA: the table, which leaves its tenant. */
static Oid
before_set_schema(AlterObjectSchemaStmt *stmt)
{
	Oid			relid;
	const CzTable *table;

	if (stmt->objectType != OBJECT_TABLE)
		return InvalidOid;
	relid = RangeVarGetRelidExtended(stmt->relation, AccessExclusiveLock, RVR_MISSING_OK,
									 RangeVarCallbackOwnsRelation, NULL);
	table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	if (table != NULL && table->kind == CZ_TABLE_SINGLE &&
		CzTenantGroup(get_rel_namespace(relid)) != 0 &&
		get_namespace_oid(stmt->newschema, false) != get_rel_namespace(relid))
	{
		if (OidIsValid(table->map_relid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot move table \"%s\" out of distributed schema \"%s\": it is partitioned, or a partition",
							get_rel_name(relid),
							get_namespace_name(get_rel_namespace(relid))),
					 errhint("Use citus_schema_undistribute().")));
		CzUndistribute(relid);
	}
	return relid;
}

static const char *
name_of_schema(CreateSchemaStmt *stmt)
{
	if (stmt->schemaname != NULL)
		return stmt->schemaname;
	return GetUserNameFromId(get_rolespec_oid(stmt->authrole, false), false);
}

/*
 * What is to be known of a statement, or done, before it is run: the table that changes
 * its schema, the schema that changes its name, or that is there already.
 */
static Oid
before_statement(Node *stmt)
{
	if (IsBinaryUpgrade)
		return InvalidOid;
	if (IsA(stmt, AlterObjectSchemaStmt))
		return before_set_schema((AlterObjectSchemaStmt *) stmt);
	if (IsA(stmt, CreateSchemaStmt))
		return get_namespace_oid(name_of_schema((CreateSchemaStmt *) stmt), true);
	if (IsA(stmt, RenameStmt) && ((RenameStmt *) stmt)->renameType == OBJECT_SCHEMA)
		return get_namespace_oid(((RenameStmt *) stmt)->subname, true);
	return InvalidOid;
}

/* With its tables, if the statement has made some. */
static void
after_create_schema(CreateSchemaStmt *stmt)
{
	const char *name = name_of_schema(stmt);
	Oid			namespace_oid;

	CommandCounterIncrement();
	namespace_oid = get_namespace_oid(name, true);
	if (OidIsValid(namespace_oid))
		distribute_schema(namespace_oid, name);
}

static void
after_rename_schema(RenameStmt *stmt)
{
	Oid			argtypes[2] = {NAMEOID, NAMEOID};
	Datum		values[2];
	NameData	old_name;
	NameData	new_name;

	namestrcpy(&old_name, stmt->subname);
	namestrcpy(&new_name, stmt->newname);
	values[0] = NameGetDatum(&old_name);
	values[1] = NameGetDatum(&new_name);
	(void) CzCatalogExec("UPDATE cz.tenant_schemas SET schema_name = $2"
						 " WHERE schema_name OPERATOR(pg_catalog.=) $1", 2, argtypes, values,
						 NULL);
}

static void
after_statement(Node *stmt, Oid object)
{
	if (IsBinaryUpgrade)
		return;
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			CommandCounterIncrement();
			relation_appeared(created_relation(((CreateStmt *) stmt)->relation));
			break;
		case T_CreateForeignTableStmt:
			CommandCounterIncrement();
			relation_appeared(created_relation(((CreateForeignTableStmt *) stmt)->base.relation));
			break;
		case T_CreateTableAsStmt:
			CommandCounterIncrement();
			if (((CreateTableAsStmt *) stmt)->objtype == OBJECT_TABLE)
				relation_appeared(created_relation(((CreateTableAsStmt *) stmt)->into->rel));
			break;
		case T_AlterObjectSchemaStmt:
			CommandCounterIncrement();
			relation_appeared(object);
			break;
		case T_CreateSchemaStmt:
			/* IF NOT EXISTS: one that was there before is what it was */
			if (CzSchemaBasedSharding() && !OidIsValid(object))
				after_create_schema((CreateSchemaStmt *) stmt);
			break;
		case T_RenameStmt:
			if (OidIsValid(object))
				after_rename_schema((RenameStmt *) stmt);
			break;
		default:
			break;
	}
}

/*
 * CzTenantsInit
 *		See cz/cluster.h.
 */
void
CzTenantsInit(void)
{
	cz_tenant_hooks.before = before_statement;
	cz_tenant_hooks.after = after_statement;
	cz_tenant_hooks.group = CzTenantGroup;
}
