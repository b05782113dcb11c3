/*-------------------------------------------------------------------------
 *
 * objectddl.c
 *	  Changes of enums and functions that distributed tables need, and that the
 *	  workers therefore have too.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_proc.h"
#include "access/htup_details.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* Run SQL on every worker of some tables, as each table's owner, once a worker. */
static void
run_on_servers(List *relids, const char *sql)
{
	List	   *done = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL)
			continue;
		foreach(lc2, CzTableServers(table))
		{
			if (list_member_oid(done, lfirst_oid(lc2)))
				continue;
			CzTxnExec(lfirst_oid(lc2), CzRelationOwner(table->relid), sql);
			done = lappend_oid(done, lfirst_oid(lc2));
		}
	}
}

/*
 * CzAlterEnum
 *		ALTER TYPE ... ADD VALUE and RENAME VALUE of an enum that tables of ours
 *		use reach their workers.
 */
bool
CzAlterEnum(const CzUtility *utility, AlterEnumStmt *stmt)
{
	Oid			type = LookupTypeNameOid(NULL, makeTypeNameFromNameList(stmt->typeName), true);
	List	   *relids = OidIsValid(type) ? CzTablesWithType(type) : NIL;
	StringInfoData sql;

	if (relids == NIL)
		return false;
	CzUtilityRun(utility, (Node *) stmt);

	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TYPE %s ",
					 format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	if (stmt->oldVal)
		appendStringInfo(&sql, "RENAME VALUE %s TO %s", quote_literal_cstr(stmt->oldVal),
						 quote_literal_cstr(stmt->newVal));
	else
	{
		appendStringInfo(&sql, "ADD VALUE %s%s", stmt->skipIfNewValExists ? "IF NOT EXISTS " : "",
						 quote_literal_cstr(stmt->newVal));
		if (stmt->newValNeighbor)
			appendStringInfo(&sql, " %s %s", stmt->newValIsAfter ? "AFTER" : "BEFORE",
							 quote_literal_cstr(stmt->newValNeighbor));
	}
	run_on_servers(relids, sql.data);
	return true;
}

/* Tables to which an object that depends on a function belongs: list of OIDs. */
static List *
tables_of_dependent(Oid classid, Oid objid)
{
	List	   *result = NIL;

	if (classid == RelationRelationId)
	{
		char		relkind = get_rel_relkind(objid);

		if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX)
			result = list_make1_oid(IndexGetRelation(objid, true));
	}
	else if (classid == ConstraintRelationId)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(objid));

		if (HeapTupleIsValid(tuple))
		{
			Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

			if (OidIsValid(con->contypid))
				result = CzTablesWithType(con->contypid);
			else if (OidIsValid(con->conrelid))
				result = list_make1_oid(con->conrelid);
			ReleaseSysCache(tuple);
		}
	}
	else if (classid == AttrDefaultRelationId)
	{
		ObjectAddress column = GetAttrDefaultColumnAddress(objid);

		/* plain defaults are evaluated here */
		if (OidIsValid(column.objectId) &&
			get_attgenerated(column.objectId, column.objectSubId))
			result = list_make1_oid(column.objectId);
	}
	return result;
}

/* Is it an aggregate that all workers have? */
static bool
is_partial_aggregate(Oid classid, Oid objid)
{
	char	   *schema;

	if (classid != ProcedureRelationId)
		return false;
	schema = get_namespace_name(get_func_namespace(objid));
	return schema != NULL && strcmp(schema, CZ_PARTIAL_SCHEMA) == 0;
}

/*
 * Tables of ours whose shards call a function; *is_everywhere: an aggregate that all
 * workers have calls it.
 */
static List *
tables_with_function(Oid function, bool *is_everywhere)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	*is_everywhere = false;
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(function));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ListCell   *lc;

		*is_everywhere |= is_partial_aggregate(form->classid, form->objid);
		foreach(lc, tables_of_dependent(form->classid, form->objid))
		{
			const CzTable *table = CzTableGet(lfirst_oid(lc));

			if (table && table->kind != CZ_TABLE_FOREIGN)
				result = list_append_unique_oid(result, table->relid);
		}
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return result;
}

/* The function that CREATE OR REPLACE or ALTER FUNCTION names, if there is one. */
static Oid
function_of(Node *stmt)
{
	ObjectWithArgs *object = makeNode(ObjectWithArgs);
	ListCell   *lc;

	if (IsA(stmt, AlterFunctionStmt))
		return LookupFuncWithArgs(((AlterFunctionStmt *) stmt)->objtype,
								  ((AlterFunctionStmt *) stmt)->func, true);
	if (!((CreateFunctionStmt *) stmt)->replace)
		return InvalidOid;
	object->objname = ((CreateFunctionStmt *) stmt)->funcname;
	foreach(lc, ((CreateFunctionStmt *) stmt)->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, lc);

		if (parameter->mode == FUNC_PARAM_OUT || parameter->mode == FUNC_PARAM_TABLE)
			continue;
		if (!OidIsValid(LookupTypeNameOid(NULL, parameter->argType, true)))
			return InvalidOid;
		object->objargs = lappend(object->objargs, parameter->argType);
	}
	return LookupFuncWithArgs(OBJECT_FUNCTION, object, true);
}

/* Workers that have been checked, and so have the aggregates: list of OIDs. */
static List *
checked_servers(void)
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

/*
 * The function is another one now, maybe of another owner than when the tables got it:
 * may it still be sent for each of them, and for the aggregates?
 */
static void
check_replaced(Oid function, List *relids, List *everywhere)
{
	CzSender	sender;
	ListCell   *lc;

	foreach(lc, relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL)
			continue;
		sender = CzSenderOf(CzRelationOwner(table->relid), CzTableServers(table));
		CzCheckTrust(function, &sender);
	}
	if (everywhere != NIL)
	{
		sender = CzSenderOf(GetUserId(), everywhere);
		CzCheckTrust(function, &sender);
	}
}

/*
 * CzReplaceFunction
 *		CREATE OR REPLACE and ALTER FUNCTION of a function that shards call in
 *		their constraints, generated columns or indexes reach their workers, of one
 *		that a distributed aggregate calls, all workers.
 */
bool
CzReplaceFunction(const CzUtility *utility, Node *stmt)
{
	Oid			function = function_of(stmt);
	bool		is_everywhere = false;
	List	   *relids = OidIsValid(function) ?
		tables_with_function(function, &is_everywhere) : NIL;
	List	   *everywhere;
	int			nestlevel;
	char	   *sql;
	ListCell   *lc;

	if (relids == NIL && !is_everywhere)
		return false;
	CzUtilityRun(utility, stmt);
	CommandCounterIncrement();
	everywhere = is_everywhere ? checked_servers() : NIL;
	check_replaced(function, relids, everywhere);
	nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	sql = TextDatumGetCString(OidFunctionCall1(F_PG_GET_FUNCTIONDEF,
											   ObjectIdGetDatum(function)));
	CzUnpinTextSettings(nestlevel);
	if (!is_everywhere)
		run_on_servers(relids, sql);
	foreach(lc, everywhere)
		CzTxnExec(lfirst_oid(lc), GetUserId(), sql);
	return true;
}
