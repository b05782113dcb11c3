/*-------------------------------------------------------------------------
 *
 * objectddl.c
 *	  ALTER and CREATE OR REPLACE of types, functions, collations and schemas that
 *	  workers have because tables of ours need them.
 *
 * Core goes first, so that what it refuses no worker hears of.  Then the workers get the
 * same change, in texts made from the catalogs, in the transaction; what a person has
 * made there is not touched, and an error if it is not the same already (ledger.c).
 * Owners, privileges (but EXECUTE: privileges.c) and defaults of domains are the
 * coordinator's alone.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/*
 * As which roles workers have an object: list of OIDs.  Who has it made there meanwhile
 * is waited for, and others wait until this transaction has ended.
 */
static List *
lock_users(Oid classid, Oid objid)
{
	if (!OidIsValid(objid) || !OidIsValid(CzCatalogRelid("objects")))
		return NIL;
	LockDatabaseObject(classid, objid, 0, ShareUpdateExclusiveLock);
	return CzLedgerUsers(classid, objid);
}

/* The type that workers are told to make for this one: a multirange comes with its range. */
static Oid
made_type(Oid type)
{
	if (OidIsValid(type) && get_typtype(type) == TYPTYPE_MULTIRANGE)
		return get_multirange_range(type);
	return type;
}

static Oid
type_of_names(List *names)
{
	return LookupTypeNameOid(NULL, makeTypeNameFromNameList(names), true);
}

/* Statements that are planned here have texts with names in them. */
static void
forget_plans(void)
{
	ListCell   *lc;

	foreach(lc, CzTableList())
		CzInvalidateTable(lfirst_oid(lc));
}

/* Have all workers make what a change needs, a list of ObjectAddress *. */
static void
make_needed(List *addresses, List *users)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, addresses != NIL ? users : NIL)
	{
		List	   *servers = NIL;

		foreach(lc2, CzLedgerServers())
		{
			if (CzLedgerCanAsk(lfirst_oid(lc2), lfirst_oid(lc)))
				servers = lappend_oid(servers, lfirst_oid(lc2));
		}
		if (servers != NIL)
			CzPropagateAddresses(addresses, servers, lfirst_oid(lc));
	}
}

static List *
add_address(List *addresses, Oid classid, Oid objid)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	if (!OidIsValid(objid))
		return addresses;
	ObjectAddressSet(*address, classid, objid);
	return lappend(addresses, address);
}

/* Carry out commands (char *), in order, on what workers have of an object that was
 * called "before". */
static void
send_commands(const CzObject *before, List *commands, List *users)
{
	List	   *changes = NIL;
	ListCell   *lc;

	foreach(lc, commands)
		changes = lappend(changes, CzObjectChangeMake(before, lfirst(lc)));
	CzLedgerChange(changes, users, before->classid, before->objid);
}

/* A text that is made with names as they are printed for workers. */
static char *
print_type(Oid type, int32 typmod, Oid collation)
{
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	char	   *result = format_type_with_typemod(type, typmod);

	if (OidIsValid(collation) && collation != get_typcollation(type))
		result = psprintf("%s COLLATE %s", result,
						  CzObjectName(CzObjectGet(CollationRelationId, collation)));
	CzUnpinTextSettings(nestlevel);
	return result;
}

/* ALTER TYPE ... ADD VALUE and RENAME VALUE of an enum. */
static bool
alter_enum(const CzUtility *utility, AlterEnumStmt *stmt)
{
	Oid			type = type_of_names(stmt->typeName);
	List	   *users = lock_users(TypeRelationId, type);
	CzObject   *object;
	StringInfoData sql;

	if (users == NIL)
		return false;
	object = CzObjectGet(TypeRelationId, type);
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();

	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TYPE %s ", CzObjectName(object));
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
	send_commands(object, list_make1(sql.data), users);
	return true;
}

/* Constraints of a domain: list of OIDs. */
static List *
domain_constraints(Oid type)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_CHECK)
			result = lappend_oid(result, ((Form_pg_constraint) GETSTRUCT(tuple))->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * ALTER DOMAIN.  Workers validate constraints over their shards; core looks at tables
 * that have rows here.  What is dropped, drop.c sends.
 */
static bool
alter_domain(const CzUtility *utility, AlterDomainStmt *stmt)
{
	Oid			type = type_of_names(stmt->typeName);
	List	   *users = lock_users(TypeRelationId, type);
	List	   *commands = NIL;
	List	   *needed = NIL;
	List	   *before;
	CzObject   *object;
	char	   *name;
	ListCell   *lc;

	if (users == NIL)
		return false;
	object = CzObjectGet(TypeRelationId, type);
	before = domain_constraints(type);
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	CzDropFlush();

	name = CzObjectName(object);
	if (stmt->subtype == 'N' || stmt->subtype == 'O')
		commands = list_make1(psprintf("ALTER DOMAIN %s %s NOT NULL", name,
									   stmt->subtype == 'N' ? "DROP" : "SET"));
	else if (stmt->subtype == 'V')
		commands = list_make1(psprintf("ALTER DOMAIN %s VALIDATE CONSTRAINT %s", name,
									   quote_identifier(stmt->name)));
	foreach(lc, list_difference_oid(domain_constraints(type), before))
	{
		char	   *constraint = get_constraint_name(lfirst_oid(lc));

		needed = add_address(needed, ConstraintRelationId, lfirst_oid(lc));
		commands = lappend(commands,
						   psprintf("ALTER DOMAIN %s ADD CONSTRAINT %s %s", name,
									quote_identifier(constraint), CzConstraintSql(lfirst_oid(lc))));
	}
	make_needed(needed, users);
	send_commands(object, commands, users);
	return true;
}

/*
 * The row type that a name means: a composite type, or a relation whose rows are values of
 * a column somewhere.  A distributed table's own changes are ALTER TABLE's matter.
 */
static Oid
row_type_of(RangeVar *name)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	if (!OidIsValid(relid) || CzTableGet(relid) != NULL)
		return InvalidOid;
	return get_rel_type_id(relid);
}

/* ALTER TYPE ... ADD, DROP, ALTER ATTRIBUTE: as core does, dropping comes first. */
static bool
alter_attributes(const CzUtility *utility, AlterTableStmt *stmt)
{
	Oid			type = row_type_of(stmt->relation);
	Oid			relid = OidIsValid(type) ? get_typ_typrelid(type) : InvalidOid;
	List	   *users = lock_users(TypeRelationId, type);
	List	   *changed = NIL;
	List	   *added = NIL;
	List	   *needed = NIL;
	CzObject   *object;
	ListCell   *lc;

	if (users == NIL)
		return false;
	object = CzObjectGet(TypeRelationId, type);
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	CzDropFlush();

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		bool		is_new = cmd->subtype == AT_AddColumn;
		char	   *name;
		HeapTuple	tuple;
		Form_pg_attribute att;
		char	   *text;

		if (!is_new && cmd->subtype != AT_AlterColumnType)
			continue;
		name = is_new ? castNode(ColumnDef, cmd->def)->colname : cmd->name;
		tuple = SearchSysCacheAttName(relid, name);
		if (!HeapTupleIsValid(tuple))
			continue;
		att = (Form_pg_attribute) GETSTRUCT(tuple);
		needed = add_address(needed, TypeRelationId, att->atttypid);
		needed = add_address(needed, CollationRelationId, att->attcollation);
		text = psprintf("ALTER TYPE %s %s ATTRIBUTE %s %s%s%s", CzObjectName(object),
						is_new ? "ADD" : "ALTER", quote_identifier(name), is_new ? "" : "TYPE ",
						print_type(att->atttypid, att->atttypmod, att->attcollation),
						cmd->behavior == DROP_CASCADE ? " CASCADE" : "");
		if (is_new)
			added = lappend(added, text);
		else
			changed = lappend(changed, text);
		ReleaseSysCache(tuple);
	}
	make_needed(needed, users);
	send_commands(object, list_concat(changed, added), users);
	return true;
}

/* The row type of a table of ours, which workers have as a composite type. */
struct CzRowType
{
	Oid			type;
	Oid			namespace_oid;
	CzObject   *object;
	TupleDesc	desc;
	List	   *users;
};

/*
 * CzRowTypeBefore
 *		See ddl_int.h.
 */
CzRowType *
CzRowTypeBefore(Oid relid)
{
	CzRowType  *result;
	Oid			type = get_rel_type_id(relid);
	List	   *users = lock_users(TypeRelationId, type);

	if (users == NIL)
		return NULL;
	result = palloc(sizeof(CzRowType));
	result->type = type;
	result->namespace_oid = get_rel_namespace(relid);
	result->object = CzObjectGet(TypeRelationId, type);
	result->desc = lookup_rowtype_tupdesc_copy(type, -1);
	result->users = users;
	return result;
}

/*
 * CzRowTypeAfter
 *		See ddl_int.h.  What is dropped, drop.c sends.
 */
void
CzRowTypeAfter(const CzRowType *before)
{
	CzObject   *object = before ? CzObjectGet(TypeRelationId, before->type) : NULL;
	List	   *needed = NIL;
	List	   *commands = NIL;
	TupleDesc	desc;
	Oid			namespace_oid;
	const char *name;
	int			i;

	if (object == NULL)
		return;
	name = CzObjectName(before->object);
	desc = lookup_rowtype_tupdesc_copy(before->type, -1);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Form_pg_attribute old = i < before->desc->natts ? TupleDescAttr(before->desc, i) : NULL;

		if (att->attisdropped)
			continue;
		if (old == NULL)
		{
			needed = add_address(needed, TypeRelationId, att->atttypid);
			needed = add_address(needed, CollationRelationId, att->attcollation);
			commands = lappend(commands,
							   psprintf("ALTER TYPE %s ADD ATTRIBUTE %s %s CASCADE", name,
										quote_identifier(NameStr(att->attname)),
										print_type(att->atttypid, att->atttypmod,
												   att->attcollation)));
		}
		else if (strcmp(NameStr(old->attname), NameStr(att->attname)) != 0)
			commands = lappend(commands,
							   psprintf("ALTER TYPE %s RENAME ATTRIBUTE %s TO %s CASCADE", name,
										quote_identifier(NameStr(old->attname)),
										quote_identifier(NameStr(att->attname))));
	}
	if (strcmp(object->name, before->object->name) != 0)
		commands = lappend(commands, psprintf("ALTER TYPE %s RENAME TO %s", name,
											  quote_identifier(object->name)));
	namespace_oid = get_rel_namespace(get_typ_typrelid(before->type));
	if (namespace_oid != before->namespace_oid)
	{
		needed = add_address(needed, NamespaceRelationId, namespace_oid);
		commands = lappend(commands, psprintf("ALTER TYPE %s SET SCHEMA %s", name,
											  quote_identifier(object->schema)));
	}
	if (commands == NIL)
		return;
	make_needed(needed, before->users);
	send_commands(before->object, commands, before->users);
	forget_plans();
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
	return LookupFuncWithArgs(((CreateFunctionStmt *) stmt)->is_procedure ?
							  OBJECT_PROCEDURE : OBJECT_FUNCTION, object, true);
}

/*
 * CREATE OR REPLACE and ALTER FUNCTION.  The function is another one now, maybe of
 * another owner than when the workers got it: may it still be sent as these roles?
 */
static bool
replace_function(const CzUtility *utility, Node *stmt)
{
	Oid			function = function_of(stmt);
	List	   *users = lock_users(ProcedureRelationId, function);
	List	   *servers = CzLedgerServers();
	CzObject   *object;
	ListCell   *lc;

	if (users == NIL)
		return false;
	object = CzObjectGet(ProcedureRelationId, function);
	CzUtilityRun(utility, stmt);
	CommandCounterIncrement();
	foreach(lc, users)
	{
		CzSender	sender = CzSenderOf(lfirst_oid(lc), servers);

		CzCheckTrust(function, &sender);
	}
	make_needed(CzDependencies(ProcedureRelationId, function), users);
	send_commands(object, list_make1(CzObjectDefinition(ProcedureRelationId, function)), users);
	return true;
}

/* ALTER FUNCTION ... OWNER TO.  Whose it is on the workers stays as it is. */
static bool
change_function_owner(const CzUtility *utility, AlterOwnerStmt *stmt)
{
	Oid			function;

	if (stmt->objectType != OBJECT_FUNCTION && stmt->objectType != OBJECT_PROCEDURE &&
		stmt->objectType != OBJECT_ROUTINE)
		return false;
	function = LookupFuncWithArgs(stmt->objectType, (ObjectWithArgs *) stmt->object, true);
	if (lock_users(ProcedureRelationId, function) == NIL)
		return false;
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	CzFunctionPrivilegesChanged(function);
	return true;
}

/* What RENAME or SET SCHEMA names, if workers may have it; false: something else. */
static bool
find_object(ObjectType type, Node *object, RangeVar *relation, const char *subname,
			ObjectAddress *address)
{
	Oid			oid;

	switch (type)
	{
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
		case OBJECT_DOMCONSTRAINT:
			oid = type_of_names((List *) object);
			ObjectAddressSet(*address, TypeRelationId, oid);
			break;
		case OBJECT_ATTRIBUTE:
		case OBJECT_COLUMN:
		case OBJECT_TABLE:
			oid = row_type_of(relation);
			ObjectAddressSet(*address, TypeRelationId, oid);
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
			oid = LookupFuncWithArgs(type, (ObjectWithArgs *) object, true);
			ObjectAddressSet(*address, ProcedureRelationId, oid);
			break;
		case OBJECT_COLLATION:
			oid = get_collation_oid((List *) object, true);
			ObjectAddressSet(*address, CollationRelationId, oid);
			break;
		case OBJECT_OPCLASS:
			oid = get_am_oid(strVal(linitial((List *) object)), true);
			if (OidIsValid(oid))
				oid = get_opclass_oid(oid, list_copy_tail((List *) object, 1), true);
			ObjectAddressSet(*address, OperatorClassRelationId, oid);
			break;
		case OBJECT_EXTENSION:
			oid = get_extension_oid(strVal(object), true);
			ObjectAddressSet(*address, ExtensionRelationId, oid);
			break;
		case OBJECT_SCHEMA:
			oid = get_namespace_oid(subname, true);
			ObjectAddressSet(*address, NamespaceRelationId, oid);
			break;
		default:
			return false;
	}
	return OidIsValid(address->objectId);
}

/* What ALTER says before the name of an object. */
static const char *
alter_words(const CzObject *object)
{
	switch (object->classid)
	{
		case ProcedureRelationId:
			return "ALTER ROUTINE";
		case CollationRelationId:
			return "ALTER COLLATION";
		case OperatorClassRelationId:
			return "ALTER OPERATOR CLASS";
		case ExtensionRelationId:
			return "ALTER EXTENSION";
		default:
			return "ALTER TYPE";
	}
}

/*
 * All that has been sent to workers and lies in a schema, CzObject *: functions first, for
 * they are called by the names of their arguments' types.
 */
static List *
objects_in_schema(const char *schema)
{
	Relation	catalog = table_open(CzCatalogRelid("objects"), AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	List	   *result = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(catalog);
		bool		isnull;
		CzObject   *object = CzObjectGet(DatumGetObjectId(heap_getattr(tuple, 1, desc, &isnull)),
										 DatumGetObjectId(heap_getattr(tuple, 2, desc, &isnull)));

		if (object != NULL && object->schema[0] != '\0' && strcmp(object->schema, schema) == 0)
			result = object->classid == ProcedureRelationId ? lcons(object, result) :
				lappend(result, object);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* Put objects, named as they were, into a schema. */
static void
move_objects(List *objects, Oid schema_oid)
{
	const char *new = quote_identifier(get_namespace_name(schema_oid));
	ListCell   *lc;

	foreach(lc, objects)
	{
		CzObject   *object = lfirst(lc);
		List	   *users = CzLedgerUsers(object->classid, object->objid);

		make_needed(add_address(NIL, NamespaceRelationId, schema_oid), users);
		send_commands(object, list_make1(psprintf("%s %s SET SCHEMA %s", alter_words(object),
												  CzObjectName(object), new)), users);
	}
}

/*
 * ALTER SCHEMA ... RENAME.  Where the schema is ours, it is renamed; where it is somebody
 * else's, our objects move into one of the new name.
 */
static bool
rename_schema(const CzUtility *utility, RenameStmt *stmt, Oid schema_oid)
{
	List	   *objects = objects_in_schema(stmt->subname);
	List	   *users = lock_users(NamespaceRelationId, schema_oid);
	CzObject   *object = CzObjectGet(NamespaceRelationId, schema_oid);
	CzObjectChange *change;
	ListCell   *lc;

	if (objects == NIL && users == NIL)
		return false;
	foreach(lc, objects)
		(void) lock_users(((CzObject *) lfirst(lc))->classid, ((CzObject *) lfirst(lc))->objid);
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	change = CzObjectChangeMake(object, psprintf("ALTER SCHEMA %s RENAME TO %s",
												 quote_identifier(stmt->subname),
												 quote_identifier(stmt->newname)));
	CzLedgerChange(list_make1(change), users, NamespaceRelationId, schema_oid);
	move_objects(objects, schema_oid);
	CzExtensionsRefresh(NIL);
	forget_plans();
	return true;
}

/* RENAME of what workers have. */
static bool
rename_object(const CzUtility *utility, RenameStmt *stmt)
{
	ObjectAddress address;
	Oid			made;
	List	   *users;
	CzObject   *before;
	char	   *name;
	char	   *sql;

	if (!find_object(stmt->renameType, stmt->object, stmt->relation, stmt->subname, &address))
		return false;
	if (address.classId == NamespaceRelationId)
		return rename_schema(utility, stmt, address.objectId);
	made = address.classId == TypeRelationId ? made_type(address.objectId) : address.objectId;
	users = lock_users(address.classId, made);
	if (users == NIL)
		return false;
	before = CzObjectGet(address.classId, made);
	name = CzObjectName(CzObjectGet(address.classId, address.objectId));
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();

	if (stmt->renameType == OBJECT_DOMCONSTRAINT)
		sql = psprintf("ALTER DOMAIN %s RENAME CONSTRAINT %s TO %s", name,
					   quote_identifier(stmt->subname), quote_identifier(stmt->newname));
	else if (stmt->renameType == OBJECT_ATTRIBUTE || stmt->renameType == OBJECT_COLUMN)
		sql = psprintf("ALTER TYPE %s RENAME ATTRIBUTE %s TO %s%s", name,
					   quote_identifier(stmt->subname), quote_identifier(stmt->newname),
					   stmt->behavior == DROP_CASCADE ? " CASCADE" : "");
	else
		sql = psprintf("%s %s RENAME TO %s", alter_words(before), name,
					   quote_identifier(stmt->newname));
	send_commands(before, list_make1(sql), users);
	forget_plans();
	return true;
}

/* SET SCHEMA of what workers have. */
static bool
set_schema(const CzUtility *utility, AlterObjectSchemaStmt *stmt)
{
	ObjectAddress address;
	List	   *users;
	CzObject   *before;

	if (stmt->objectType == OBJECT_TABLE && CzTableOfName(stmt->relation))
	{
		CzRowType  *row_type = CzRowTypeBefore(CzTableOfName(stmt->relation)->relid);

		if (row_type == NULL)
			return false;
		CzUtilityRun(utility, (Node *) stmt);
		CommandCounterIncrement();
		CzRowTypeAfter(row_type);
		return true;
	}
	if (!find_object(stmt->objectType, stmt->object, stmt->relation, NULL, &address))
		return false;
	users = lock_users(address.classId, address.objectId);
	if (users == NIL)
		return false;
	before = CzObjectGet(address.classId, address.objectId);
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	move_objects(list_make1(before), get_namespace_oid(stmt->newschema, false));
	if (address.classId == ExtensionRelationId)
		CzExtensionsRefresh(list_make1(before->name));
	forget_plans();
	return true;
}

/*
 * CzAlterObject
 *		Run a statement that changes a type, function, collation or schema that workers
 *		have, here and on all of them.
 *
 * Returns: false if it is none: core runs it.
 */
bool
CzAlterObject(const CzUtility *utility, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterEnumStmt:
			return alter_enum(utility, castNode(AlterEnumStmt, stmt));
		case T_AlterDomainStmt:
			return alter_domain(utility, castNode(AlterDomainStmt, stmt));
		case T_AlterTableStmt:
			return alter_attributes(utility, castNode(AlterTableStmt, stmt));
		case T_CreateFunctionStmt:
		case T_AlterFunctionStmt:
			return replace_function(utility, stmt);
		case T_RenameStmt:
			return rename_object(utility, castNode(RenameStmt, stmt));
		case T_AlterOwnerStmt:
			return change_function_owner(utility, castNode(AlterOwnerStmt, stmt));
		case T_AlterObjectSchemaStmt:
			return set_schema(utility, castNode(AlterObjectSchemaStmt, stmt));
		default:
			return false;
	}
}
