/*-------------------------------------------------------------------------
 *
 * privileges.c
 *	  What roles with user mappings of their own may do to shards that are another
 *	  role's on the workers.
 *
 * Privileges are checked here.  A session's statements run on a worker as the role of
 * its user mapping, which must be able to do there what it may do here, and not more than
 * that takes, for it may log in there.  It is granted on the shards when a table is
 * distributed and when its privileges change, columns by their names.  Who may change rows
 * but not read them reads these there, as well: system columns, columns of unique indexes
 * and those that it may update, for the other placements of a shard get the keys of the
 * rows and what has been assigned (planner/write/replicas.c).  Who may only delete them
 * may update one column: rows are locked before, which takes that.
 * Where one mapping serves all there is nothing to do for tables.
 *
 * Functions that have been sent are executed there by who may execute them here.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* Those that name a row and its version, for who may read any column of it */
#define SYSTEM_COLUMNS "ctid, tableoid, xmin, xmax, cmin, cmax"

/* Roles that a worker knows by one name, which is not everybody's. */
typedef struct MappedRole
{
	Oid			server_oid;
	List	   *role_oids;		/* local roles of that name there */
	char	   *name;			/* on the worker */
} MappedRole;

/*
 * CzRemoteRole
 *		See ddl.h.
 */
char *
CzRemoteRole(Oid server_oid, Oid user_oid)
{
	UserMapping *mapping;
	const char *name;

	if (!CzLedgerCanAsk(server_oid, user_oid))
		return NULL;
	mapping = GetUserMapping(user_oid, server_oid);
	name = CzFindOption(mapping->options, "user");
	return name ? pstrdup(name) : GetUserNameFromId(user_oid, false);
}

/* Add a local role to those of its name on a worker. */
static List *
add_role(List *roles, Oid server_oid, Oid role_oid)
{
	char	   *name = CzRemoteRole(server_oid, role_oid);
	MappedRole *role;
	ListCell   *lc;

	foreach(lc, roles)
	{
		role = lfirst(lc);
		if (role->server_oid == server_oid && strcmp(role->name, name) == 0)
		{
			role->role_oids = lappend_oid(role->role_oids, role_oid);
			return roles;
		}
	}
	role = palloc(sizeof(MappedRole));
	role->server_oid = server_oid;
	role->role_oids = list_make1_oid(role_oid);
	role->name = name;
	return lappend(roles, role);
}

/* Mappings of single roles for a worker, or for all in use: list of MappedRole *. */
static List *
mapped_roles(Oid server_oid)
{
	Relation	catalog = table_open(UserMappingRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	List	   *servers = OidIsValid(server_oid) ? list_make1_oid(server_oid) : CzLedgerServers();
	List	   *result = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_user_mapping form = (Form_pg_user_mapping) GETSTRUCT(tuple);

		if (OidIsValid(form->umuser) && list_member_oid(servers, form->umserver))
			result = add_role(result, form->umserver, form->umuser);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* May one of some roles do this to a table? */
static bool
may(Oid relid, List *role_oids, AclMode mode)
{
	ListCell   *lc;

	foreach(lc, role_oids)
	{
		if (pg_class_aclcheck(relid, lfirst_oid(lc), mode) == ACLCHECK_OK)
			return true;
	}
	return false;
}

/* Have roles a privilege on a column? */
static bool
may_column(Oid relid, AttrNumber attno, List *role_oids, AclMode mode)
{
	ListCell   *lc;

	foreach(lc, role_oids)
	{
		if (pg_attribute_aclcheck(relid, attno, lfirst_oid(lc), mode) == ACLCHECK_OK)
			return true;
	}
	return false;
}

/*
 * Append a privilege on the table or on columns of it, these (as numbers) among them.
 * Returns: the columns that it is for; all_columns: on the table.
 */
static Bitmapset *
add_privilege(StringInfo buf, Relation rel, List *role_oids, AclMode mode, const char *word,
			  Bitmapset *more, bool *all_columns)
{
	Oid			relid = RelationGetRelid(rel);
	TupleDesc	desc = RelationGetDescr(rel);
	Bitmapset  *columns = NULL;
	int			first = -1;
	int			i;

	*all_columns |= may(relid, role_oids, mode);
	if (*all_columns)
		appendStringInfo(buf, ", %s", word);
	for (i = 0; i < desc->natts && !*all_columns; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped ||
			(!bms_is_member(i + 1, more) && !may_column(relid, i + 1, role_oids, mode)))
			continue;
		columns = bms_add_member(columns, i + 1);
		appendStringInfo(buf, "%s%s", first < 0 ? psprintf(", %s (", word) : ", ",
						 quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)));
		first = i;
	}
	if (columns != NULL)
		appendStringInfoString(buf, mode == ACL_SELECT ? ", " SYSTEM_COLUMNS ")" : ")");
	return columns;
}

/* Columns of unique indexes, as numbers. */
static Bitmapset *
key_columns(Relation rel)
{
	Bitmapset  *keys = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	Bitmapset  *result = NULL;
	int			member = -1;

	while ((member = bms_next_member(keys, member)) >= 0)
		result = bms_add_member(result, member + FirstLowInvalidHeapAttributeNumber);
	return result;
}

/* What roles need on a shard; NULL: nothing. */
static char *
privileges_of(Oid relid, List *role_oids)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData buf;
	bool		may_delete = may(relid, role_oids, ACL_DELETE);
	bool		on_table = false;
	bool		updates_table = false;
	Bitmapset  *any = NULL;
	Bitmapset  *read;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < desc->natts && may_delete && any == NULL; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			any = bms_make_singleton(i + 1);
	}
	read = add_privilege(&buf, rel, role_oids, ACL_UPDATE, "UPDATE", any, &updates_table);
	if (read != NULL || updates_table || may_delete)
		read = bms_add_members(read, key_columns(rel));
	on_table = updates_table;
	(void) add_privilege(&buf, rel, role_oids, ACL_SELECT, "SELECT", read, &on_table);
	on_table = false;
	(void) add_privilege(&buf, rel, role_oids, ACL_INSERT, "INSERT", NULL, &on_table);
	if (may_delete)
		appendStringInfoString(&buf, ", DELETE");
	if (may(relid, role_oids, ACL_TRUNCATE))
		appendStringInfoString(&buf, ", TRUNCATE");
	/* foreign keys of a role's shards refer to these */
	on_table = false;
	(void) add_privilege(&buf, rel, role_oids, ACL_REFERENCES, "REFERENCES", NULL, &on_table);
	relation_close(rel, NoLock);
	return buf.len > 0 ? buf.data + 2 : NULL;
}

/* REVOKE and GRANT on shards for roles; NULL: they are the owner there, too. */
static char *
grants_for(Oid relid, const MappedRole *role, const char *shards)
{
	char	   *owner_name = CzRemoteRole(role->server_oid, CzRelationOwner(relid));
	char	   *privileges;
	const char *name = quote_identifier(role->name);

	if (owner_name == NULL || strcmp(owner_name, role->name) == 0)
		return NULL;
	privileges = privileges_of(relid, role->role_oids);
	return psprintf("REVOKE ALL ON %s FROM %s;%s", shards, name,
					privileges ? psprintf(" GRANT %s ON %s TO %s;", privileges, shards, name) : "");
}

/*
 * CzGrantsSql
 *		See ddl.h.
 */
char *
CzGrantsSql(Oid relid, Oid server_oid, const char *qualified)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, mapped_roles(server_oid))
	{
		char	   *grants = grants_for(relid, lfirst(lc), qualified);

		if (grants)
			appendStringInfoString(&sql, grants);
	}
	return sql.len > 0 ? sql.data : NULL;
}

/* Names of a table's shards on a worker, with commas. */
static char *
shards_on(const CzTable *table, Oid server_oid)
{
	StringInfoData buf;
	int			i;
	int			j;

	initStringInfo(&buf);
	for (i = 0; i < table->nshards; i++)
	{
		for (j = 0; j < table->shards[i].nplacements; j++)
		{
			if (table->shards[i].server_oids[j] == server_oid)
				appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
								 table->shards[i].remote_qualified);
		}
	}
	return buf.len > 0 ? buf.data : NULL;
}

/* sender: as whom; InvalidOid: as the owner. */
static void
propagate(Oid relid, List *roles, Oid sender)
{
	const CzTable *table = CzTableGet(relid);
	List	   *commands = NIL;
	ListCell   *lc;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || roles == NIL ||
		!CzTxnIsCoordinator())
		return;
	foreach(lc, roles)
	{
		MappedRole *role = lfirst(lc);
		char	   *shards = shards_on(table, role->server_oid);
		char	   *grants = shards ? grants_for(relid, role, shards) : NULL;
		CzTxnCommand *command;

		if (grants == NULL)
			continue;
		command = palloc(sizeof(CzTxnCommand));
		command->server_oid = role->server_oid;
		command->sql = grants;
		commands = lappend(commands, command);
	}
	if (commands != NIL)
		CzTxnExecList(commands, OidIsValid(sender) ? sender : CzRelationOwner(relid));
}

/* Who may execute a function on a worker, of those that the worker knows. */
static char *
execute_sql(Oid function, const CzObject *object, Oid server_oid, List *roles)
{
	StringInfoData revoke;
	StringInfoData grant;
	char	   *name = CzObjectName(object);
	bool		is_public = function_aclcheck_compat(function, ACL_ID_PUBLIC) == ACLCHECK_OK;
	ListCell   *lc;
	ListCell   *lc2;

	initStringInfo(&revoke);
	initStringInfo(&grant);
	if (is_public)
		appendStringInfoString(&grant, ", PUBLIC");
	foreach(lc, roles)
	{
		MappedRole *role = lfirst(lc);

		if (role->server_oid != server_oid)
			continue;
		appendStringInfo(&revoke, ", %s", quote_identifier(role->name));
		foreach(lc2, is_public ? NIL : role->role_oids)
		{
			if (function_aclcheck_compat(function, lfirst_oid(lc2)) != ACLCHECK_OK)
				continue;
			appendStringInfo(&grant, ", %s", quote_identifier(role->name));
			break;
		}
	}
	return psprintf("REVOKE ALL ON ROUTINE %s FROM PUBLIC%s;%s", name, revoke.data,
					grant.len == 0 ? "" :
					psprintf(" GRANT EXECUTE ON ROUTINE %s TO %s;", name, grant.data + 2));
}

/* Have workers allow the execution of a function, made there as a role, as it is here. */
static void
propagate_execute(Oid function, Oid user_oid, List *server_oids, List *roles)
{
	CzObject   *object = CzObjectGet(ProcedureRelationId, function);
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, server_oids)
	{
		CzTxnCommand *command;
		char	   *sql;

		if (!CzLedgerCanAsk(lfirst_oid(lc), user_oid))
			continue;
		sql = execute_sql(function, object, lfirst_oid(lc), roles);
		command = palloc(sizeof(CzTxnCommand));
		command->server_oid = lfirst_oid(lc);
		command->sql = CzLedgerChangeSql(list_make1(CzObjectChangeMake(object, sql)));
		commands = lappend(commands, command);
	}
	if (commands != NIL)
		CzTxnExecList(commands, user_oid);
}

/* What the catalog says of a function. */
static HeapTuple
function_tuple(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("function", function);
	return tuple;
}

/*
 * CzGrantExecute
 *		See ddl_int.h.
 */
void
CzGrantExecute(List *functions, List *server_oids, Oid user_oid)
{
	List	   *roles = NIL;
	ListCell   *lc;

	foreach(lc, functions)
	{
		HeapTuple	tuple = function_tuple(lfirst_oid(lc));
		bool		is_default = heap_attisnull(tuple, Anum_pg_proc_proacl, NULL);

		ReleaseSysCache(tuple);
		if (is_default || !CzTxnIsCoordinator())
			continue;
		if (roles == NIL)
			roles = mapped_roles(InvalidOid);
		propagate_execute(lfirst_oid(lc), user_oid, server_oids, roles);
	}
}

/*
 * CzFunctionPrivilegesChanged
 *		See ddl_int.h.
 */
void
CzFunctionPrivilegesChanged(Oid function)
{
	List	   *roles = mapped_roles(InvalidOid);
	List	   *servers = CzLedgerServers();
	HeapTuple	tuple = function_tuple(function);
	bool		is_definer = ((Form_pg_proc) GETSTRUCT(tuple))->prosecdef;
	ListCell   *lc;

	ReleaseSysCache(tuple);
	if (!CzTxnIsCoordinator())
		return;
	/* who has workers make it now waits, or has it in cz.objects */
	LockDatabaseObject(ProcedureRelationId, function, 0, ShareUpdateExclusiveLock);
	foreach(lc, CzLedgerUsers(ProcedureRelationId, function))
	{
		CzSender	sender = CzSenderOf(lfirst_oid(lc), servers);

		/* what others do is the caller's own, whoever that may be */
		if (is_definer)
			CzCheckTrust(function, &sender);
		propagate_execute(function, lfirst_oid(lc), servers, roles);
	}
}

/*
 * CzPropagatePrivileges
 *		See ddl.h.
 */
void
CzPropagatePrivileges(Oid relid, Oid sender)
{
	List	   *roles = mapped_roles(InvalidOid);
	ListCell   *lc;
	ListCell   *lc2;

	if (OidIsValid(relid))
	{
		propagate(relid, roles, sender);
		return;
	}
	if (roles == NIL)
		return;
	foreach(lc, CzTableListAll())
		propagate(lfirst_oid(lc), roles, sender);
	foreach(lc, CzLedgerFunctions())
	{
		foreach(lc2, CzLedgerUsers(ProcedureRelationId, lfirst_oid(lc)))
			CzGrantExecute(list_make1_oid(lfirst_oid(lc)), CzLedgerServers(), lfirst_oid(lc2));
	}
}

/* Is a schema (by OID) among names (String)? */
static bool
is_schema_of(Oid namespace_oid, List *names)
{
	char	   *schema = get_namespace_name(namespace_oid);

	return schema != NULL && list_member(names, makeString(schema));
}

/* GRANT and REVOKE of EXECUTE. */
static void
after_function_grant(GrantStmt *grant)
{
	ListCell   *lc;

	if (!OidIsValid(CzCatalogRelid("objects")))
		return;
	if (grant->targtype == ACL_TARGET_OBJECT)
	{
		foreach(lc, grant->objects)
		{
			Oid			function = LookupFuncWithArgs(grant->objtype,
													  lfirst_node(ObjectWithArgs, lc), true);

			if (OidIsValid(function))
				CzFunctionPrivilegesChanged(function);
		}
	}
	else if (grant->targtype == ACL_TARGET_ALL_IN_SCHEMA)
	{
		foreach(lc, CzLedgerFunctions())
		{
			if (is_schema_of(get_func_namespace(lfirst_oid(lc)), grant->objects))
				CzFunctionPrivilegesChanged(lfirst_oid(lc));
		}
	}
}

/* GRANT and REVOKE of privileges on tables and their columns. */
static void
after_table_grant(GrantStmt *grant, List *roles)
{
	ListCell   *lc;

	if (grant->targtype == ACL_TARGET_OBJECT)
	{
		foreach(lc, grant->objects)
		{
			Oid			relid = RangeVarGetRelid(lfirst_node(RangeVar, lc), NoLock, true);

			if (OidIsValid(relid))
				propagate(relid, roles, InvalidOid);
		}
	}
	else if (grant->targtype == ACL_TARGET_ALL_IN_SCHEMA)
	{
		foreach(lc, CzTableListAll())
		{
			if (is_schema_of(get_rel_namespace(lfirst_oid(lc)), grant->objects))
				propagate(lfirst_oid(lc), roles, InvalidOid);
		}
	}
}

/*
 * CzAfterKey
 *		CREATE INDEX or ALTER TABLE has run here: columns of keys are read by who may change
 *		rows.
 */
void
CzAfterKey(Node *stmt)
{
	RangeVar   *name = IsA(stmt, IndexStmt) ? ((IndexStmt *) stmt)->relation :
		castNode(AlterTableStmt, stmt)->relation;
	bool		has_key = IsA(stmt, IndexStmt) && ((IndexStmt *) stmt)->unique;
	ListCell   *lc;

	foreach(lc, IsA(stmt, AlterTableStmt) ? ((AlterTableStmt *) stmt)->cmds : NIL)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		has_key |= cmd->subtype == AT_AddConstraint || cmd->subtype == AT_AddColumn ||
			cmd->subtype == AT_DropColumn;
	}
	if (has_key)
	{
		List	   *roles = mapped_roles(InvalidOid);
		Oid			relid = roles != NIL ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

		if (OidIsValid(relid))
		{
			CommandCounterIncrement();
			propagate(relid, roles, InvalidOid);
		}
	}
}

/*
 * CzAfterGrant
 *		GRANT and REVOKE have run here: those of roles, tables and functions concern workers.
 */
void
CzAfterGrant(Node *stmt)
{
	GrantStmt  *grant;

	CommandCounterIncrement();
	if (IsA(stmt, GrantRoleStmt))
	{
		CzPropagatePrivileges(InvalidOid, InvalidOid);
		return;
	}
	grant = castNode(GrantStmt, stmt);
	switch (grant->objtype)
	{
		case OBJECT_TABLE:
			after_table_grant(grant, mapped_roles(InvalidOid));
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
			after_function_grant(grant);
			break;
		default:
			break;
	}
}

/* A table and who owned it, of whom others are to own it. */
typedef struct OldOwner
{
	Oid			relid;
	Oid			owner;
} OldOwner;

/*
 * CzShardsChangeOwner
 *		See ddl_int.h.
 */
void
CzShardsChangeOwner(Oid relid, Oid old_owner)
{
	const CzTable *table;
	Oid			new_owner = CzRelationOwner(relid);
	List	   *commands = NIL;
	int			i;
	int			j;

	CzInvalidateTable(relid);
	table = CzTableGet(relid);
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || old_owner == new_owner ||
		!CzTxnIsCoordinator())
		return;
	for (i = 0; i < table->nshards; i++)
	{
		for (j = 0; j < table->shards[i].nplacements; j++)
		{
			Oid			server_oid = table->shards[i].server_oids[j];
			char	   *before = CzRemoteRole(server_oid, old_owner);
			char	   *after = CzRemoteRole(server_oid, new_owner);
			CzTxnCommand *command;

			if (after == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_OBJECT),
						 errmsg("role \"%s\" cannot own table \"%s\": it has no user mapping for node \"%s\"",
								GetUserNameFromId(new_owner, false), get_rel_name(relid),
								GetForeignServer(server_oid)->servername),
						 errhint("Use cz_propagate_role() or CREATE USER MAPPING.")));
			if (before != NULL && strcmp(before, after) == 0)
				continue;
			command = palloc(sizeof(CzTxnCommand));
			command->server_oid = server_oid;
			command->sql = psprintf("ALTER TABLE %s OWNER TO %s",
									table->shards[i].remote_qualified, quote_identifier(after));
			commands = lappend(commands, command);
		}
	}
	if (commands != NIL)
		CzTxnExecList(commands, GetUserId());
	propagate(relid, mapped_roles(InvalidOid), GetUserId());
}

/*
 * CzReassignOwned
 *		REASSIGN OWNED: core changes the owners here, of shards' relations too, and shards
 *		follow where the roles are others on the workers.
 */
void
CzReassignOwned(const CzUtility *utility, ReassignOwnedStmt *stmt)
{
	List	   *old = NIL;
	List	   *functions = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, CzLedgerFunctions())
	{
		HeapTuple	tuple = function_tuple(lfirst_oid(lc));
		Oid			owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;

		ReleaseSysCache(tuple);
		foreach(lc2, stmt->roles)
		{
			if (owner == get_rolespec_oid(lfirst_node(RoleSpec, lc2), true))
				functions = list_append_unique_oid(functions, lfirst_oid(lc));
		}
	}
	foreach(lc, CzTableListAll())
	{
		foreach(lc2, stmt->roles)
		{
			OldOwner   *entry;

			if (CzRelationOwner(lfirst_oid(lc)) !=
				get_rolespec_oid(lfirst_node(RoleSpec, lc2), true))
				continue;
			entry = palloc(sizeof(OldOwner));
			entry->relid = lfirst_oid(lc);
			entry->owner = CzRelationOwner(entry->relid);
			old = lappend(old, entry);
			break;
		}
	}
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	foreach(lc, old)
	{
		OldOwner   *entry = lfirst(lc);

		CzInvalidateTable(entry->relid);
		CzLeavesSetOwner(CzTableGet(entry->relid));
		CzShardsChangeOwner(entry->relid, entry->owner);
	}
	foreach(lc, functions)
		CzFunctionPrivilegesChanged(lfirst_oid(lc));
}

/*
 * CzDropOwned
 *		DROP OWNED takes a role's privileges, too, and its user mappings, maybe before what
 *		is dropped on the workers in its name: connections are made while they are there.
 */
void
CzDropOwned(const CzUtility *utility, DropOwnedStmt *stmt)
{
	List	   *roles = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, mapped_roles(InvalidOid))
	{
		MappedRole *role = lfirst(lc);

		foreach(lc2, stmt->roles)
		{
			Oid			role_oid = get_rolespec_oid(lfirst_node(RoleSpec, lc2), true);

			if (!list_member_oid(role->role_oids, role_oid))
				continue;
			roles = list_append_unique_ptr(roles, role);
			CzDropExpect(role->server_oid, role_oid);
		}
	}
	CzUtilityRun(utility, (Node *) stmt);
	if (roles == NIL)
		return;
	CommandCounterIncrement();
	CzDropFlush();
	foreach(lc, CzTableListAll())
		propagate(lfirst_oid(lc), roles, InvalidOid);
	foreach(lc, CzLedgerFunctions())
	{
		foreach(lc2, CzLedgerUsers(ProcedureRelationId, lfirst_oid(lc)))
			propagate_execute(lfirst_oid(lc), lfirst_oid(lc2), CzLedgerServers(), roles);
	}
}
