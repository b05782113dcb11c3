/*-------------------------------------------------------------------------
 *
 * privileges.c
 *	  What roles with user mappings of their own may do to shards that are another
 *	  role's on the workers.
 *
 * Privileges are checked here.  A session's statements run on a worker as the role of
 * its user mapping, which must be able to do there what it may do here: that is
 * granted on the shards when a table is distributed and when its privileges change.
 * A kind of privilege on some columns is granted for all there, because what a worker is
 * asked may need others: which columns a role sees is decided here.  Where one mapping
 * serves all there is nothing to do.
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
#include "catalog/namespace.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/transaction.h"
#include "ddl_int.h"

/* A role that workers know by a name of its own. */
typedef struct MappedRole
{
	Oid			server_oid;
	Oid			role_oid;
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

/* Mappings of single roles for a worker, or for all in use. */
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
		MappedRole *role;

		if (!OidIsValid(form->umuser) || !list_member_oid(servers, form->umserver))
			continue;
		role = palloc(sizeof(MappedRole));
		role->server_oid = form->umserver;
		role->role_oid = form->umuser;
		role->name = CzRemoteRole(form->umserver, form->umuser);
		result = lappend(result, role);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

static bool
may(Oid relid, Oid role_oid, AclMode mode)
{
	return pg_class_aclcheck(relid, role_oid, mode) == ACLCHECK_OK ||
		((mode & (ACL_SELECT | ACL_INSERT | ACL_UPDATE)) &&
		 pg_attribute_aclcheck_all(relid, role_oid, mode, ACLMASK_ANY) == ACLCHECK_OK);
}

/* What a role needs on a shard; NULL: nothing. */
static char *
privileges_of(Oid relid, Oid role_oid)
{
	StringInfoData buf;
	bool		may_change = may(relid, role_oid, ACL_UPDATE) || may(relid, role_oid, ACL_DELETE);

	initStringInfo(&buf);
	/* rows that are changed are found, and maybe looked at, there */
	if (may_change || may(relid, role_oid, ACL_SELECT))
		appendStringInfoString(&buf, ", SELECT");
	if (may(relid, role_oid, ACL_INSERT))
		appendStringInfoString(&buf, ", INSERT");
	if (may_change)
		appendStringInfoString(&buf, ", UPDATE");
	if (may(relid, role_oid, ACL_DELETE))
		appendStringInfoString(&buf, ", DELETE");
	if (may(relid, role_oid, ACL_TRUNCATE))
		appendStringInfoString(&buf, ", TRUNCATE");
	return buf.len > 0 ? buf.data + 2 : NULL;
}

/* REVOKE and GRANT on shards for one role; NULL: it is the owner's, too. */
static char *
grants_for(Oid relid, const MappedRole *role, const char *shards)
{
	char	   *owner_name = CzRemoteRole(role->server_oid, CzRelationOwner(relid));
	char	   *privileges;
	const char *name = quote_identifier(role->name);

	if (owner_name == NULL || strcmp(owner_name, role->name) == 0)
		return NULL;
	privileges = privileges_of(relid, role->role_oid);
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

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || roles == NIL)
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

/*
 * CzPropagatePrivileges
 *		See ddl.h.
 */
void
CzPropagatePrivileges(Oid relid, Oid sender)
{
	List	   *roles = mapped_roles(InvalidOid);
	ListCell   *lc;

	if (OidIsValid(relid))
	{
		propagate(relid, roles, sender);
		return;
	}
	foreach(lc, roles != NIL ? CzTableListAll() : NIL)
		propagate(lfirst_oid(lc), roles, sender);
}

/*
 * CzAfterGrant
 *		GRANT and REVOKE of tables and roles have run here.
 */
void
CzAfterGrant(Node *stmt)
{
	List	   *roles = mapped_roles(InvalidOid);
	ListCell   *lc;
	GrantStmt  *grant;

	if (roles == NIL)
		return;
	CommandCounterIncrement();
	if (IsA(stmt, GrantRoleStmt))
	{
		CzPropagatePrivileges(InvalidOid, InvalidOid);
		return;
	}
	grant = castNode(GrantStmt, stmt);
	if (grant->objtype != OBJECT_TABLE)
		return;
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
			char	   *schema = get_namespace_name(get_rel_namespace(lfirst_oid(lc)));

			if (schema != NULL && list_member(grant->objects, makeString(schema)))
				propagate(lfirst_oid(lc), roles, InvalidOid);
		}
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
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || old_owner == new_owner)
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
	ListCell   *lc;
	ListCell   *lc2;

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

		CzShardsChangeOwner(entry->relid, entry->owner);
	}
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
			if (get_rolespec_oid(lfirst_node(RoleSpec, lc2), true) != role->role_oid)
				continue;
			roles = lappend(roles, role);
			CzDropExpect(role->server_oid, role->role_oid);
			break;
		}
	}
	CzUtilityRun(utility, (Node *) stmt);
	if (roles == NIL)
		return;
	CommandCounterIncrement();
	CzDropFlush();
	foreach(lc, CzTableListAll())
		propagate(lfirst_oid(lc), roles, InvalidOid);
}
