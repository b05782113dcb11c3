/*-------------------------------------------------------------------------
 *
 * extensions.c
 *	  Extensions that workers have as the coordinator has them.
 *
 * The planner sends functions, operators and types of an extension to the workers
 * if all of them have it in the same schema and version (metadata/extensions.c).
 * Looked at, and remembered in the option installed_extensions, are the extensions
 * that we have put there because a table needs them, those that the option
 * extensions of a server names, and on a new worker those that the others have.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_server.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/varlena.h"

#include "cz/errors.h"
#include "cz/transaction.h"
#include "ddl_int.h"

#define EXTENSIONS_SQL \
	"SELECT e.extname, n.nspname, e.extversion FROM pg_catalog.pg_extension e " \
	"JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace"

/* What stands before the first slash of a key. */
static char *
name_of_key(const char *key)
{
	return pnstrdup(key, strcspn(key, "/"));
}

/* A list of keys without those of an extension, whatever their version. */
static List *
without(List *keys, const char *name)
{
	ListCell   *lc;

	foreach(lc, keys)
	{
		if (strcmp(name_of_key(lfirst(lc)), name) == 0)
			keys = foreach_delete_current(keys, lc);
	}
	return keys;
}

/* Keys of all extensions of a worker, in the transaction. */
static List *
keys_of_worker(Oid server_oid, Oid user_oid)
{
	CzConn	   *conn = CzTxnConn(server_oid, user_oid, false);
	PGresult   *res = CzConnExec(conn, EXTENSIONS_SQL);
	List	   *keys = NIL;
	int			i;

	PG_TRY();
	{
		for (i = 0; PQnfields(res) == 3 && i < PQntuples(res); i++)
			keys = lappend(keys, CzExtensionKey(PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
												PQgetvalue(res, i, 2)));
	}
	PG_FINALLY();
	{
		PQclear(res);
	}
	PG_END_TRY();
	return keys;
}

/*
 * CzExtensionsNote
 *		See ddl_int.h.
 */
void
CzExtensionsNote(Oid server_oid, Oid user_oid, List *names, bool must_warn)
{
	List	   *theirs = keys_of_worker(server_oid, user_oid);
	List	   *noted;
	StringInfoData value;
	ListCell   *lc;

	/* one session at a time changes a server's options; then what they are */
	LockDatabaseObject(ForeignServerRelationId, server_oid, 0, ShareUpdateExclusiveLock);
	noted = CzNodeExtensions(server_oid);
	foreach(lc, names)
	{
		char	   *name = lfirst(lc);
		Oid			oid = get_extension_oid(name, true);
		char	   *key = OidIsValid(oid) ? CzExtensionOwnKey(oid, NULL) : NULL;

		noted = without(noted, name);
		if (key != NULL && CzListHasString(theirs, key))
			noted = lappend(noted, key);
		else if (must_warn)
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("extension \"%s\" of node \"%s\" is not the coordinator's", name,
							GetForeignServer(server_oid)->servername),
					 errdetail("Its functions and operators are not sent to the workers."),
					 errhint("Install the same version in the same schema on both, then run citus_activate_node() for the node.")));
	}
	initStringInfo(&value);
	foreach(lc, noted)
		appendStringInfo(&value, "%s%s", value.len > 0 ? "," : "", quote_identifier(lfirst(lc)));
	CzNodeSetOption(server_oid, "installed_extensions", value.len > 0 ? value.data : NULL);
}

/* Names that the server's option extensions has. */
static List *
named_extensions(Oid server_oid)
{
	const char *value = CzFindOption(GetForeignServer(server_oid)->options, "extensions");
	List	   *names = NIL;

	if (value == NULL || !SplitIdentifierString(pstrdup(value), ',', &names))
		return NIL;
	return names;
}

/*
 * Something that is tried on a worker, in a subtransaction: it fails where the mapping
 * may not, or the worker has no such extension to install.
 */
typedef void (*Attempt) (Oid server_oid, Oid user_oid, Oid extension_oid);

/* Returns the error, or NULL. */
static ErrorData *
try_on_worker(Attempt attempt, Oid server_oid, Oid user_oid, Oid extension_oid)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		attempt(server_oid, user_oid, extension_oid);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error;
}

static void
make_extension(Oid server_oid, Oid user_oid, Oid extension_oid)
{
	ObjectAddress address;

	ObjectAddressSet(address, ExtensionRelationId, extension_oid);
	CzPropagateAddresses(list_make1(&address), list_make1_oid(server_oid), user_oid);
}

/* One that we have made there gets our version. */
static void
update_extension(Oid server_oid, Oid user_oid, Oid extension_oid)
{
	CzObject   *object = CzObjectGet(ExtensionRelationId, extension_oid);
	char	   *sql = psprintf("ALTER EXTENSION %s UPDATE TO %s", CzObjectName(object),
							   quote_literal_cstr(CzObjectDefinition(ExtensionRelationId,
																	 extension_oid)));

	CzTxnExec(server_oid, user_oid,
			  CzLedgerChangeSql(list_make1(CzObjectChangeMake(object, sql))));
}

/* Create an extension on a worker if it can be had there; nothing happens if not. */
static void
try_create(Oid server_oid, Oid user_oid, const char *name)
{
	Oid			oid = get_extension_oid(name, true);

	if (OidIsValid(oid))
		(void) try_on_worker(make_extension, server_oid, user_oid, oid);
}

/*
 * CzExtensionsRefresh
 *		What workers have is noted anew, of these extensions (names) or of all (NIL).
 */
void
CzExtensionsRefresh(List *names)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, CzLedgerServers())
	{
		Oid			server_oid = lfirst_oid(lc);
		List	   *noted = NIL;

		foreach(lc2, CzNodeExtensions(server_oid))
		{
			char	   *name = name_of_key(lfirst(lc2));

			if (names == NIL || CzListHasString(names, name))
				noted = lappend(noted, name);
		}
		if (noted != NIL && CzLedgerCanAsk(server_oid, GetUserId()))
			CzExtensionsNote(server_oid, GetUserId(), noted, false);
	}
}

/* Do something about an extension on all workers; NOTICE where that fails. */
static void
for_workers(Attempt attempt, const char *name, const char *what)
{
	Oid			oid = get_extension_oid(name, true);
	ListCell   *lc;

	foreach(lc, OidIsValid(oid) ? CzLedgerServers() : NIL)
	{
		Oid			server_oid = lfirst_oid(lc);
		ErrorData  *error;

		if (!CzLedgerCanAsk(server_oid, GetUserId()))
			continue;
		error = try_on_worker(attempt, server_oid, GetUserId(), oid);
		if (error != NULL)
			ereport(NOTICE,
					(errmsg("extension \"%s\" has not been %s on node \"%s\"", name, what,
							GetForeignServer(server_oid)->servername),
					 errdetail_internal("%s", error->message)));
		if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_CONNECTION_EXCEPTION)
			continue;
		CzExtensionsNote(server_oid, GetUserId(), list_make1(pstrdup(name)), false);
	}
}

/*
 * CzExtensionStatement
 *		CREATE EXTENSION and ALTER EXTENSION ... UPDATE: workers get the same, as far as
 *		they may.  One that they can't get is no obstacle here, only to tables that need it.
 *
 * Returns: false for another statement: core runs it.
 */
bool
CzExtensionStatement(const CzUtility *utility, Node *stmt)
{
	const char *name;

	if (IsA(stmt, CreateExtensionStmt))
		name = castNode(CreateExtensionStmt, stmt)->extname;
	else if (IsA(stmt, AlterExtensionStmt))
		name = castNode(AlterExtensionStmt, stmt)->extname;
	else
		return false;
	if (strcmp(name, "cz_fdw") == 0 || strcmp(name, "plpgsql") == 0)
		return false;
	CzUtilityRun(utility, stmt);
	CommandCounterIncrement();
	if (IsA(stmt, CreateExtensionStmt))
		for_workers(make_extension, name, "created");
	else
		for_workers(update_extension, name, "updated");
	return true;
}

/*
 * CzExtensionsGive
 *		See ddl.h.
 */
void
CzExtensionsGive(Oid server_oid, Oid user_oid)
{
	List	   *named = named_extensions(server_oid);
	List	   *others = NIL;
	ListCell   *node;
	ListCell   *lc;

	foreach(node, CzNodeList(true))
	{
		foreach(lc, CzNodeExtensions(((CzNode *) lfirst(node))->server_oid))
		{
			char	   *name = name_of_key(lfirst(lc));

			if (!CzListHasString(others, name) && !CzListHasString(named, name))
				others = lappend(others, name);
		}
	}
	if (named == NIL && others == NIL)
		return;
	foreach(lc, others)
		try_create(server_oid, user_oid, lfirst(lc));
	CzExtensionsNote(server_oid, user_oid, list_concat(list_copy(named), others), true);
}

/*
 * CzExtensionsCompare
 *		After CREATE or ALTER SERVER with the option extensions: does the worker
 *		have them?  One that can't be reached is looked at when it is checked.
 */
void
CzExtensionsCompare(const char *server_name, List *options)
{
	Oid			server_oid = get_foreign_server_oid(server_name, true);
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	CzNode	   *node;

	if (CzFindOption(options, "extensions") == NULL || !OidIsValid(server_oid) ||
		GetForeignServer(server_oid)->fdwid != CzFdwOid())
		return;
	node = CzNodeGet(server_oid);
	if (!node->is_checked || !node->is_active)
		return;
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		CzExtensionsNote(server_oid, GetUserId(), named_extensions(server_oid), true);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_CONNECTION_EXCEPTION)
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not ask node \"%s\" for its extensions", node->name),
				 errdetail("%s", error->message),
				 errhint("Run citus_activate_node() for the node when it can be reached.")));
	}
	PG_END_TRY();
}
