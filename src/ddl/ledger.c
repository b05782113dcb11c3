/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  What stands on workers besides shards: types, functions, collations, schemas and
 *	  extensions that we have made there.
 *
 * Each worker has a ledger of it (cz_shards.cz_object, one for each role that we are
 * there), written in the transaction that makes the object.  What is in it may be
 * changed and dropped; what a person has made is used as long as it is the same, and
 * never touched.  Here cz.objects says which objects have been sent at all, and as which
 * local role, so that a DROP or ALTER of another one asks no worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/metadata.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"
#include "ledger_sql.h"

/* Columns of cz.objects */
#define OBJECTS_CLASSID 1
#define OBJECTS_OBJID 2
#define OBJECTS_USERID 3

/* The types of a function's arguments as ARGS_OF writes them. */
static char *
args_of(Form_pg_proc form)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < form->pronargs; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? "," : "",
						 format_type_be(form->proargtypes.values[i]));
	return buf.data;
}

/* Name and schema of a row of a catalog. */
static void
set_names(CzObject *object, Oid namespace_oid, const char *name)
{
	char	   *schema = get_namespace_name(namespace_oid);

	object->schema = schema ? schema : pstrdup("");
	object->name = pstrdup(name);
}

/*
 * CzObjectGet
 *		See ddl_int.h.
 */
CzObject *
CzObjectGet(Oid classid, Oid objid)
{
	CzObject   *object = palloc0(sizeof(CzObject));
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	HeapTuple	tuple = NULL;
	char	   *name;

	object->classid = classid;
	object->objid = objid;
	object->args = pstrdup("");
	switch (classid)
	{
		case TypeRelationId:
			object->kind = "type";
			tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(objid));
			if (HeapTupleIsValid(tuple))
				set_names(object, ((Form_pg_type) GETSTRUCT(tuple))->typnamespace,
						  NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
			break;
		case CollationRelationId:
			object->kind = "collation";
			tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(objid));
			if (HeapTupleIsValid(tuple))
				set_names(object, ((Form_pg_collation) GETSTRUCT(tuple))->collnamespace,
						  NameStr(((Form_pg_collation) GETSTRUCT(tuple))->collname));
			break;
		case OperatorClassRelationId:
			object->kind = "operator class";
			tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(objid));
			if (HeapTupleIsValid(tuple))
			{
				set_names(object, ((Form_pg_opclass) GETSTRUCT(tuple))->opcnamespace,
						  NameStr(((Form_pg_opclass) GETSTRUCT(tuple))->opcname));
				object->args = get_am_name(((Form_pg_opclass) GETSTRUCT(tuple))->opcmethod);
			}
			break;
		case ProcedureRelationId:
			object->kind = "function";
			tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(objid));
			if (HeapTupleIsValid(tuple))
			{
				set_names(object, ((Form_pg_proc) GETSTRUCT(tuple))->pronamespace,
						  NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname));
				object->args = args_of((Form_pg_proc) GETSTRUCT(tuple));
			}
			break;
		case NamespaceRelationId:
			object->kind = "schema";
			name = get_namespace_name(objid);
			if (name != NULL)
			{
				object->schema = pstrdup("");
				object->name = name;
			}
			break;
		case ExtensionRelationId:
			object->kind = "extension";
			name = get_extension_name(objid);
			if (name != NULL && CzExtensionOwnKey(objid, &object->schema) != NULL)
				object->name = name;
			break;
		default:
			break;
	}
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	CzUnpinTextSettings(nestlevel);
	return object->name ? object : NULL;
}

/*
 * CzObjectName
 *		See ddl_int.h.
 */
char *
CzObjectName(const CzObject *object)
{
	if (object->classid == NamespaceRelationId || object->classid == ExtensionRelationId)
		return pstrdup(quote_identifier(object->name));
	if (object->classid == ProcedureRelationId)
		return psprintf("%s(%s)", quote_qualified_identifier(object->schema, object->name),
						object->args);
	if (object->classid == OperatorClassRelationId)
		return psprintf("%s USING %s", quote_qualified_identifier(object->schema, object->name),
						quote_identifier(object->args));
	return quote_qualified_identifier(object->schema, object->name);
}

/*
 * CzObjectDefinition
 *		See ddl_int.h.
 */
char *
CzObjectDefinition(Oid classid, Oid objid)
{
	static const char *const sql = "SELECT " DEFINITION_SQL("$1", "$2");
	Oid			argtypes[2] = {TEXTOID, OIDOID};
	Datum		values[2];
	MemoryContext context = CurrentMemoryContext;
	int			nestlevel;
	char	   *result = NULL;
	CzObject   *object = CzObjectGet(classid, objid);

	if (object == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("object %u of catalog %u has been dropped meanwhile", objid, classid),
				 errhint("Repeat the statement.")));
	nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	values[0] = CStringGetTextDatum(object->kind);
	values[1] = ObjectIdGetDatum(objid);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* as core sees its catalogs, whatever the isolation level */
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute_with_args(sql, 2, argtypes, values, NULL, true, 1) == SPI_OK_SELECT &&
		SPI_processed == 1)
		result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s %s has been dropped meanwhile", object->kind, CzObjectName(object)),
				 errhint("Repeat the statement.")));
	result = MemoryContextStrdup(context, result);
	PopActiveSnapshot();
	SPI_finish();
	CzUnpinTextSettings(nestlevel);
	return result;
}

/* One row of VALUES. */
static void
add_row(StringInfo sql, int no, const char *kind, const char *schema, const char *name,
		const char *args, const char *text)
{
	appendStringInfo(sql, "%s(%d, %s, %s, %s, %s, %s)", no > 0 ? ",\n" : "", no,
					 quote_literal_cstr(kind), quote_literal_cstr(schema),
					 quote_literal_cstr(name), quote_literal_cstr(args),
					 text ? quote_literal_cstr(text) : "NULL::text");
}

/* A block between whose halves the objects stand, as one command. */
static char *
block_sql(const char *head, const char *rows, const char *tail)
{
	StringInfoData block;

	initStringInfo(&block);
	appendStringInfoString(&block, head);
	appendStringInfoString(&block, rows);
	appendStringInfoString(&block, tail);
	return psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(block.data));
}

/* Run one command on several workers at once. */
static void
run_on_servers(List *server_oids, Oid user_oid, const char *sql)
{
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, server_oids)
	{
		CzTxnCommand *command = palloc(sizeof(CzTxnCommand));

		command->server_oid = lfirst_oid(lc);
		command->sql = sql;
		commands = lappend(commands, command);
	}
	if (commands != NIL)
		CzTxnExecList(commands, user_oid);
}

/*
 * CzLedgerCanAsk
 *		See ddl_int.h.
 */
bool
CzLedgerCanAsk(Oid server_oid, Oid user_oid)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user_oid),
								 ObjectIdGetDatum(server_oid)) ||
		SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							  ObjectIdGetDatum(server_oid));
}

/* Remember that an object has been sent as a role. */
static void
note_object(const CzObject *object, Oid user_oid)
{
	Oid			argtypes[3] = {OIDOID, OIDOID, OIDOID};
	Datum		values[3];

	values[0] = ObjectIdGetDatum(object->classid);
	values[1] = ObjectIdGetDatum(object->objid);
	values[2] = ObjectIdGetDatum(user_oid);
	CzCatalogExec("INSERT INTO cz.objects VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
				  3, argtypes, values, NULL);
}

/*
 * CzLedgerMake
 *		See ddl_int.h.
 */
void
CzLedgerMake(List *objects, List *server_oids, Oid user_oid)
{
	StringInfoData rows;
	ListCell   *lc;

	if (objects == NIL)
		return;
	initStringInfo(&rows);
	foreach(lc, objects)
	{
		CzObject   *object = lfirst(lc);

		add_row(&rows, foreach_current_index(lc), object->kind, object->schema, object->name,
				object->args, object->definition);
		note_object(object, user_oid);
	}
	run_on_servers(server_oids, user_oid, block_sql(MAKE_HEAD_SQL, rows.data, MAKE_TAIL_SQL));
}

/*
 * CzLedgerUsers
 *		See ddl_int.h.
 */
List *
CzLedgerUsers(Oid classid, Oid objid)
{
	Oid			catalog_oid = CzCatalogRelid("objects");
	Relation	catalog;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	if (!OidIsValid(catalog_oid))
		return NIL;
	catalog = table_open(catalog_oid, AccessShareLock);
	ScanKeyInit(&keys[0], OBJECTS_CLASSID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], OBJECTS_OBJID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	/* the index may be gone already in DROP EXTENSION */
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			user_oid = DatumGetObjectId(heap_getattr(tuple, OBJECTS_USERID,
															 RelationGetDescr(catalog), &isnull));

		/* without a mapping of his own he was who everybody is there */
		if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(user_oid)))
			user_oid = GetUserId();
		result = list_append_unique_oid(result, user_oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * CzLedgerFunctions
 *		See ddl_int.h.
 */
List *
CzLedgerFunctions(void)
{
	Oid			catalog_oid = CzCatalogRelid("objects");
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	if (!OidIsValid(catalog_oid))
		return NIL;
	catalog = table_open(catalog_oid, AccessShareLock);
	ScanKeyInit(&key, OBJECTS_CLASSID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ProcedureRelationId));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			function = DatumGetObjectId(heap_getattr(tuple, OBJECTS_OBJID,
															 RelationGetDescr(catalog), &isnull));

		/* one that has just been dropped is forgotten at the end of the statement */
		if (SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function)))
			result = list_append_unique_oid(result, function);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * CzLedgerForget
 *		See ddl_int.h.
 */
void
CzLedgerForget(Oid classid, Oid objid)
{
	Relation	catalog = table_open(CzCatalogRelid("objects"), RowExclusiveLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], OBJECTS_CLASSID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], OBJECTS_OBJID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		CatalogTupleDelete(catalog, &tuple->t_self);
	systable_endscan(scan);
	table_close(catalog, NoLock);
}

/*
 * CzLedgerChangeSql
 *		See ddl_int.h.
 */
char *
CzLedgerChangeSql(List *changes)
{
	StringInfoData rows;
	ListCell   *lc;

	initStringInfo(&rows);
	foreach(lc, changes)
	{
		CzObjectChange *change = lfirst(lc);

		add_row(&rows, foreach_current_index(lc), change->kind, change->schema, change->name,
				change->args, change->command);
	}
	return block_sql(CHANGE_HEAD_SQL, rows.data, CHANGE_TAIL_SQL);
}

/*
 * CzObjectChangeMake
 *		See ddl_int.h.
 */
CzObjectChange *
CzObjectChangeMake(const CzObject *object, char *command)
{
	CzObjectChange *change = palloc(sizeof(CzObjectChange));

	change->kind = object->kind;
	change->schema = object->schema;
	change->name = object->name;
	change->args = object->args;
	change->command = command;
	return change;
}

/*
 * CzLedgerServers
 *		See ddl_int.h.
 */
List *
CzLedgerServers(void)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);

		if (node->is_checked)
			result = lappend_oid(result, node->server_oid);
	}
	return result;
}

/* Those of some workers that a role has a way to. */
static List *
with_mapping(List *server_oids, Oid user_oid)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, server_oids)
	{
		if (CzLedgerCanAsk(lfirst_oid(lc), user_oid))
			result = lappend_oid(result, lfirst_oid(lc));
	}
	return result;
}

/* As which local roles something has been sent at all, or would be: owners of tables. */
static List *
all_users(void)
{
	Relation	catalog = table_open(CzCatalogRelid("objects"), AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	List	   *result = list_make1_oid(GetUserId());
	ListCell   *lc;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			user_oid = DatumGetObjectId(heap_getattr(tuple, OBJECTS_USERID,
															 RelationGetDescr(catalog), &isnull));

		if (SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(user_oid)))
			result = list_append_unique_oid(result, user_oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	foreach(lc, CzTableListAll())
		result = list_append_unique_oid(result, CzRelationOwner(lfirst_oid(lc)));
	return result;
}

/* Ask workers, each a question of its own: list of CzOutsideCommand * that have an answer. */
static List *
ask_servers(List *commands, Oid user_oid)
{
	List	   *result = NIL;
	ListCell   *lc;

	CzOutsideRun(commands, user_oid, false, true);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		if (command->is_ok && command->answer != NULL)
			result = lappend(result, command);
	}
	return result;
}

static List *
add_question(List *commands, Oid server_oid, const char *sql)
{
	CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

	command->server_oid = server_oid;
	command->sql = sql;
	return lappend(commands, command);
}

/* What a role's ledgers on the workers have: list of JSON texts, one a worker. */
static List *
read_ledgers(Oid user_oid)
{
	List	   *commands = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, with_mapping(CzLedgerServers(), user_oid))
		commands = add_question(commands, lfirst_oid(lc), LEDGER_NAME_SQL);
	commands = ask_servers(commands, user_oid);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		result = add_question(result, command->server_oid,
							  psprintf(LEDGER_ROWS_SQL, command->answer));
	}
	return ask_servers(result, user_oid);
}

/*
 * CzLedgerLearn
 *		See ddl.h.
 */
void
CzLedgerLearn(void)
{
	Oid			argtypes[2] = {TEXTOID, OIDOID};
	Datum		values[2];
	List	   *users = all_users();
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	ListCell   *lc;
	ListCell   *lw;

	CzCatalogExec("DELETE FROM cz.objects", 0, NULL, NULL, NULL);
	foreach(lc, users)
	{
		foreach(lw, read_ledgers(lfirst_oid(lc)))
		{
			values[0] = CStringGetTextDatum(((CzOutsideCommand *) lfirst(lw))->answer);
			values[1] = ObjectIdGetDatum(lfirst_oid(lc));
			CzCatalogExec(LEARN_SQL, 2, argtypes, values, NULL);
		}
	}
	CzUnpinTextSettings(nestlevel);
}

/*
 * CzLedgerChange
 *		See ddl_int.h.
 */
void
CzLedgerChange(List *changes, List *user_oids, Oid classid, Oid objid)
{
	List	   *servers = CzLedgerServers();
	CzObject   *object = CzObjectGet(classid, objid);
	StringInfoData rows;
	ListCell   *lc;

	if (object == NULL || servers == NIL || user_oids == NIL)
		return;
	foreach(lc, changes != NIL ? user_oids : NIL)
		run_on_servers(with_mapping(servers, lfirst_oid(lc)), lfirst_oid(lc),
					   CzLedgerChangeSql(changes));

	initStringInfo(&rows);
	add_row(&rows, 0, object->kind, object->schema, object->name, object->args,
			CzObjectDefinition(classid, objid));
	foreach(lc, user_oids)
		run_on_servers(with_mapping(servers, lfirst_oid(lc)), lfirst_oid(lc),
					   block_sql(VERIFY_HEAD_SQL, rows.data, VERIFY_TAIL_SQL));
}

/*
 * CzLedgerIsHere
 *		See ddl_int.h.
 */
bool
CzLedgerIsHere(const CzObjectChange *object)
{
	static const char *const sql = "SELECT " OID_SQL " FROM (VALUES ($1, $2, $3, $4)) r(kind, schema, name, args)";
	Oid			argtypes[4] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4];
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	bool		isnull = true;

	values[0] = CStringGetTextDatum(object->kind);
	values[1] = CStringGetTextDatum(object->schema);
	values[2] = CStringGetTextDatum(object->name);
	values[3] = CStringGetTextDatum(object->args);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute_with_args(sql, 4, argtypes, values, NULL, true, 1) == SPI_OK_SELECT &&
		SPI_processed == 1)
		(void) SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	PopActiveSnapshot();
	SPI_finish();
	CzUnpinTextSettings(nestlevel);
	return !isnull;
}

/*
 * CzCleanupSql
 *		See ddl.h.
 */
char *
CzCleanupSql(char *kind, char *schema, char *name, char *args)
{
	CzObjectChange change;

	if (strcmp(kind, "table") == 0)
		return psprintf("DROP TABLE IF EXISTS %s CASCADE", name);
	/* what a move has logged with, by how its names begin (src/mover/capture.c) */
	if (strcmp(kind, "capture") == 0)
	{
		StringInfoData sql;
		const char *letter;

		initStringInfo(&sql);
		for (letter = "iukdtf"; *letter; letter++)
			appendStringInfo(&sql, "DROP FUNCTION IF EXISTS " CZ_SHARD_SCHEMA ".%s; ",
							 quote_identifier(psprintf("%s%c", args, *letter)));
		appendStringInfo(&sql, "DROP TABLE IF EXISTS " CZ_SHARD_SCHEMA ".%s, " CZ_SHARD_SCHEMA ".%s",
						 quote_identifier(args), quote_identifier(psprintf("%sb", args)));
		return sql.data;
	}
	change.kind = kind;
	change.schema = schema ? schema : "";
	change.name = name;
	change.args = args ? args : "";
	change.command = NULL;
	/* made again meanwhile: who needs it on the worker makes it what it is */
	return CzLedgerIsHere(&change) ? NULL : CzLedgerChangeSql(list_make1(&change));
}

/*
 * CzEnsureShardSchema
 *		See ddl.h.
 */
void
CzEnsureShardSchema(List *server_oids, Oid user_oid)
{
	static const char *const sql = "BEGIN\n" CZ_SHARD_SCHEMA_SQL "END";

	run_on_servers(server_oids, user_oid,
				   psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(sql)));
}
