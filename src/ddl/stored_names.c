/*-------------------------------------------------------------------------
 *
 * stored_names.c
 *	  Names of objects that the extension's tables hold where OIDs cannot be: they are others
 *	  after a restore and after pg_upgrade.  A statement that gives such an object another name
 *	  or schema changes them too.
 *
 * Collations and functions lie in schemas, so they are found by what they are before the
 * statement, and named again after it.  Servers and roles have one name.  Of a role that is
 * renamed in another database nothing is known here.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "cz/settings.h"
#include "ddl_int.h"

/* What is named, by its OID: an UPDATE that names it again, and the row's key. */
typedef struct StoredName
{
	int			kind;			/* into renames */
	char	   *key;
	Oid			oid;
} StoredName;

struct CzStoredNames
{
	List	   *names;			/* StoredName * */
};

#define NAMES_SQL \
	"SELECT 0, colocation_id::pg_catalog.text, pg_catalog.to_regcollation(key_collation)::pg_catalog.oid FROM cz.colocation WHERE key_collation OPERATOR(pg_catalog.<>) '' " \
	"UNION ALL SELECT 1, name::pg_catalog.text, pg_catalog.to_regprocedure(shard_cost_function)::pg_catalog.oid FROM cz.rebalance_strategy " \
	"UNION ALL SELECT 2, name::pg_catalog.text, pg_catalog.to_regprocedure(node_capacity_function)::pg_catalog.oid FROM cz.rebalance_strategy " \
	"UNION ALL SELECT 3, name::pg_catalog.text, pg_catalog.to_regprocedure(shard_allowed_on_node_function)::pg_catalog.oid FROM cz.rebalance_strategy"

/* $1: the key, $2: the OID; of collations as CzRegisterTable() prints them */
static const char *const renames[] = {
	"UPDATE cz.colocation SET key_collation = n.new FROM (SELECT pg_catalog.format('%I.%I', s.nspname, l.collname) AS new FROM pg_catalog.pg_collation l "
	"JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) l.collnamespace WHERE l.oid OPERATOR(pg_catalog.=) $2) n "
	"WHERE colocation_id::pg_catalog.text OPERATOR(pg_catalog.=) $1 AND key_collation OPERATOR(pg_catalog.<>) n.new",
	"UPDATE cz.rebalance_strategy SET shard_cost_function = $2::pg_catalog.regprocedure::pg_catalog.text WHERE name OPERATOR(pg_catalog.=) $1::pg_catalog.name",
	"UPDATE cz.rebalance_strategy SET node_capacity_function = $2::pg_catalog.regprocedure::pg_catalog.text WHERE name OPERATOR(pg_catalog.=) $1::pg_catalog.name",
	"UPDATE cz.rebalance_strategy SET shard_allowed_on_node_function = $2::pg_catalog.regprocedure::pg_catalog.text WHERE name OPERATOR(pg_catalog.=) $1::pg_catalog.name",
};

/* $1: the old name, $2: the new one */
static const char *const server_renames[] = {
	"UPDATE cz.cleanup SET server_name = $2 WHERE server_name OPERATOR(pg_catalog.=) $1",
	"UPDATE cz.pending_shards SET server_names = pg_catalog.array_replace(server_names, $1, $2) WHERE $1 OPERATOR(pg_catalog.=) ANY (server_names)",
	"UPDATE cz.transaction_log SET server_names = pg_catalog.array_replace(server_names, $1::pg_catalog.text, $2::pg_catalog.text) WHERE $1::pg_catalog.text OPERATOR(pg_catalog.=) ANY (server_names)",
	"UPDATE cz.move SET source_name = $2 WHERE source_name OPERATOR(pg_catalog.=) $1",
	"UPDATE cz.move SET target_name = $2 WHERE target_name OPERATOR(pg_catalog.=) $1",
	"UPDATE cz.task SET source_name = $2 WHERE source_name OPERATOR(pg_catalog.=) $1",
	"UPDATE cz.task SET target_name = $2 WHERE target_name OPERATOR(pg_catalog.=) $1",
	"UPDATE cz.attached SET server_name = $2 WHERE server_name OPERATOR(pg_catalog.=) $1",
};

static const char *const role_renames[] = {
	"UPDATE cz.cleanup SET user_name = $2 WHERE user_name OPERATOR(pg_catalog.=) $1",
	"UPDATE cz.job SET user_name = $2 WHERE user_name OPERATOR(pg_catalog.=) $1",
};

/* May a statement give a collation or a function another name or schema? */
static bool
changes_names(Node *stmt)
{
	ObjectType	type;

	if (IsA(stmt, RenameStmt))
		type = ((RenameStmt *) stmt)->renameType;
	else if (IsA(stmt, AlterObjectSchemaStmt))
		type = ((AlterObjectSchemaStmt *) stmt)->objectType;
	else
		return false;
	return type == OBJECT_COLLATION || type == OBJECT_FUNCTION || type == OBJECT_ROUTINE ||
		type == OBJECT_SCHEMA || type == OBJECT_EXTENSION;
}

/* All that the tables name and that is there, in CurrentMemoryContext. */
static List *
read_names(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;
	Oid			save_user;
	int			save_context;
	uint64		i;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(NAMES_SQL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the names that are stored");
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Oid			oid = DatumGetObjectId(SPI_getbinval(tuple, desc, 3, &isnull));
		MemoryContext old = MemoryContextSwitchTo(context);
		StoredName *name;

		if (!isnull)
		{
			name = palloc(sizeof(StoredName));
			name->kind = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
			name->key = SPI_getvalue(tuple, desc, 2);
			name->oid = oid;
			result = lappend(result, name);
		}
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	SetUserIdAndSecContext(save_user, save_context);
	return result;
}

/*
 * CzStoredNamesBefore
 *		See ddl_int.h.
 */
CzStoredNames *
CzStoredNamesBefore(Node *stmt)
{
	CzStoredNames *result;

	if (IsBinaryUpgrade || !changes_names(stmt) || !CzExtensionIsThere())
		return NULL;
	result = palloc(sizeof(CzStoredNames));
	result->names = read_names();
	return result;
}

static void
run_renames(const char *const *sql, int n, const char *old_name, const char *new_name)
{
	Oid			argtypes[2] = {NAMEOID, NAMEOID};
	Datum		values[2];
	NameData	names[2];
	int			i;

	namestrcpy(&names[0], old_name);
	namestrcpy(&names[1], new_name);
	values[0] = NameGetDatum(&names[0]);
	values[1] = NameGetDatum(&names[1]);
	for (i = 0; i < n; i++)
		(void) CzCatalogExec(sql[i], 2, argtypes, values, NULL);
}

/*
 * CzStoredNamesAfter
 *		See ddl_int.h.
 */
void
CzStoredNamesAfter(Node *stmt, const CzStoredNames *names)
{
	ListCell   *lc;

	if (names != NULL && names->names != NIL)
		CommandCounterIncrement();
	foreach(lc, names ? names->names : NIL)
	{
		const StoredName *name = lfirst(lc);
		Oid			argtypes[2] = {TEXTOID, OIDOID};
		Datum		values[2];

		values[0] = CStringGetTextDatum(name->key);
		values[1] = ObjectIdGetDatum(name->oid);
		(void) CzCatalogExec(renames[name->kind], 2, argtypes, values, NULL);
	}
	if (IsBinaryUpgrade || !IsA(stmt, RenameStmt) || !CzExtensionIsThere())
		return;
	if (((RenameStmt *) stmt)->renameType == OBJECT_FOREIGN_SERVER)
		run_renames(server_renames, lengthof(server_renames),
					strVal(((RenameStmt *) stmt)->object), ((RenameStmt *) stmt)->newname);
	else if (((RenameStmt *) stmt)->renameType == OBJECT_ROLE)
		run_renames(role_renames, lengthof(role_renames), ((RenameStmt *) stmt)->subname,
					((RenameStmt *) stmt)->newname);
}
