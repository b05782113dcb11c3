/*-------------------------------------------------------------------------
 *
 * drop_send.c
 *	  Commands that drop on the workers what is dropped here: collected per worker and
 *	  role, sent when the statement ends (CzDropFlush), or earlier when they have become
 *	  many.
 *
 * A worker that can't be reached doesn't hold up a DROP TABLE: the shard is
 * entered in cz.cleanup.  Not so the shard of a partition, whose rows would be back with
 * the worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cz/transaction.h"
#include "ddl_int.h"

/*
 * Commands for one worker that wait for the end of the statement.  An event
 * trigger may run subtransactions meanwhile: each level has its own.
 */
typedef struct PendingDrops
{
	int			level;			/* nest level that dropped */
	Oid			server_oid;
	Oid			user_oid;
	char	   *node_name;
	CzConn	   *conn;			/* of the transaction; NULL: cannot be reached */
	StringInfoData tables;		/* names, comma separated, of one DROP TABLE */
	StringInfoData commands;	/* other commands */
	List	   *keys;			/* PendingKey * */
	List	   *changes;		/* CzObjectChange *: of types, functions .., after the tables */
	List	   *names;			/* char *: tables for cz.cleanup */
	List	   *missed_relids;	/* tables that commands could not be sent for:
								 * an error if they are not dropped too */
} PendingDrops;

/* A foreign key that goes, unless a table goes that it is of or refers to. */
typedef struct PendingKey
{
	Oid			from_relid;
	Oid			to_relid;
	char	   *command;
} PendingKey;

/* Through which connections this transaction has dropped tables on a worker. */
typedef struct Dropper
{
	Oid			server_oid;
	const CzConn *conn;			/* not looked into */
} Dropper;

#define MAX_PENDING_BYTES (256 * 1024)

static List *pending = NIL;		/* PendingDrops *, in TopTransactionContext */
static List *droppers = NIL;	/* Dropper *, the same */

/* The pending entry of a worker, its connection opened while the catalogs
 * still have the server. */
static PendingDrops *
pending_for(Oid server_oid, Oid user_oid)
{
	PendingDrops *entry;
	MemoryContext old;
	ListCell   *lc;
	CzEndpoint *endpoint;
	char	   *message = NULL;

	foreach(lc, pending)
	{
		entry = lfirst(lc);
		if (entry->server_oid == server_oid && entry->user_oid == user_oid &&
			entry->level == GetCurrentTransactionNestLevel())
			return entry;
	}

	old = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc0(sizeof(PendingDrops));
	entry->level = GetCurrentTransactionNestLevel();
	entry->server_oid = server_oid;
	entry->user_oid = user_oid;
	entry->node_name = pstrdup(GetForeignServer(server_oid)->servername);
	initStringInfo(&entry->tables);
	initStringInfo(&entry->commands);
	MemoryContextSwitchTo(old);

	entry->conn = CzTxnConnIfAny(server_oid, user_oid);
	if (entry->conn == NULL)
	{
		CzConn	   *probe;

		endpoint = CzEndpointGet(server_oid, user_oid);
		probe = CzConnTryAcquire(endpoint, &message);
		if (probe)
		{
			CzConnRelease(probe);
			entry->conn = CzTxnConn(server_oid, user_oid, true);
		}
		else
			ereport(WARNING,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not drop shards on node \"%s\"; cleanup has been scheduled",
							entry->node_name),
					 message ? errdetail_internal("%s", message) : 0));
	}
	else
		entry->conn = CzTxnConn(server_oid, user_oid, true);

	old = MemoryContextSwitchTo(TopTransactionContext);
	pending = lappend(pending, entry);
	MemoryContextSwitchTo(old);
	return entry;
}

/*
 * CzDropExpect
 *		See ddl_int.h.
 */
void
CzDropExpect(Oid server_oid, Oid user_oid)
{
	(void) pending_for(server_oid, user_oid);
}

/* A worker that is not reached: what is to be dropped there when it is. */
static void
schedule_cleanup(const PendingDrops *entry, const CzObjectChange *change)
{
	Oid			argtypes[6] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[6];

	values[0] = CStringGetTextDatum(entry->node_name);
	values[1] = CStringGetTextDatum(change->kind);
	values[2] = CStringGetTextDatum(change->schema);
	values[3] = CStringGetTextDatum(change->name);
	values[4] = CStringGetTextDatum(change->args);
	values[5] = CStringGetTextDatum(GetUserNameFromId(entry->user_oid, false));
	CzCatalogExec("INSERT INTO cz.cleanup (server_name, object_kind, object_schema, object_name, object_args, user_name)"
				  " VALUES ($1, $2, $3, $4, $5, $6)", 6, argtypes, values, NULL);
}

/* Has this transaction dropped something there through another connection? */
static bool
others_dropped(const PendingDrops *entry)
{
	ListCell   *lc;

	foreach(lc, droppers)
	{
		const Dropper *dropper = lfirst(lc);

		if (dropper->server_oid == entry->server_oid && dropper->conn != entry->conn)
			return true;
	}
	return false;
}

/* Tables, and what is changed of others. */
static void
send_tables(PendingDrops *entry)
{
	StringInfoData sql;
	List	   *names = entry->names;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, entry->commands.data);
	if (entry->tables.len > 0)
		appendStringInfo(&sql, "DROP TABLE IF EXISTS %s CASCADE", entry->tables.data);
	resetStringInfo(&entry->tables);
	resetStringInfo(&entry->commands);
	entry->names = NIL;
	if (entry->conn)
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
		Dropper    *dropper = palloc(sizeof(Dropper));

		dropper->server_oid = entry->server_oid;
		dropper->conn = entry->conn;
		droppers = lappend(droppers, dropper);
		MemoryContextSwitchTo(old);
		PQclear(CzConnExec(entry->conn, CzWithLockTimeout(sql.data)));
		pfree(sql.data);
		return;
	}
	foreach(lc, names)
	{
		Oid			argtypes[3] = {TEXTOID, TEXTOID, TEXTOID};
		Datum		values[3];

		if (!OidIsValid(CzCatalogRelid("cleanup")))
			break;
		values[0] = CStringGetTextDatum(entry->node_name);
		values[1] = CStringGetTextDatum((char *) lfirst(lc));
		values[2] = CStringGetTextDatum(GetUserNameFromId(entry->user_oid, false));
		CzCatalogExec("INSERT INTO cz.cleanup (server_name, object_name, user_name)"
					  " VALUES ($1, $2, $3)", 3, argtypes, values, NULL);
	}
}

/*
 * Objects, when the tables are gone that use them, of whatever role.  Where another
 * connection of the transaction has dropped those, this one would wait for it: later.
 */
static void
send_changes(PendingDrops *entry)
{
	List	   *changes = entry->changes;
	ListCell   *lc;

	entry->changes = NIL;
	if (entry->conn == NULL)
	{
		foreach(lc, entry->missed_relids)
		{
			if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(lc))))
				ereport(ERROR,
						(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						 errmsg("could not connect to node \"%s\"", entry->node_name)));
		}
	}
	if (changes == NIL || !OidIsValid(CzCatalogRelid("cleanup")))
		return;
	if (entry->conn != NULL && !others_dropped(entry))
	{
		PQclear(CzConnExec(entry->conn, CzWithLockTimeout(CzLedgerChangeSql(changes))));
		return;
	}
	foreach(lc, changes)
	{
		const CzObjectChange *change = lfirst(lc);

		if (change->command == NULL)
			schedule_cleanup(entry, change);
		else if (!CzLedgerIsHere(change))
			continue;
		else if (entry->conn != NULL)
			PQclear(CzConnExec(entry->conn, CzWithLockTimeout(CzLedgerChangeSql(list_make1((void *) change)))));
		else
			/* an ALTER must reach all workers */
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not connect to node \"%s\"", entry->node_name)));
	}
}

/*
 * The foreign keys whose tables stay.  Others go on the worker with the table, which
 * may be another role's: through two connections each would wait for the other.
 */
static void
add_keys(PendingDrops *entry)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ListCell   *lc;

	foreach(lc, entry->keys)
	{
		const PendingKey *key = lfirst(lc);

		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(key->from_relid)) &&
			SearchSysCacheExists1(RELOID, ObjectIdGetDatum(key->to_relid)))
			appendStringInfo(&entry->commands, "%s;\n", key->command);
	}
	entry->keys = NIL;
	MemoryContextSwitchTo(old);
}

/*
 * CzDropFlush
 *		Send what OAT_DROP has collected at this nest level.  What a statement
 *		around it has collected would come back with this level's savepoint.
 */
void
CzDropFlush(void)
{
	int			level = GetCurrentTransactionNestLevel();
	bool		is_done;
	ListCell   *cell;

	foreach(cell, pending)
	{
		if (((PendingDrops *) lfirst(cell))->level >= level)
			add_keys(lfirst(cell));
	}
	/* sending may change the list: each time from its beginning */
	do
	{
		ListCell   *lc;

		is_done = true;
		foreach(lc, pending)
		{
			PendingDrops *entry = lfirst(lc);

			if (entry->level < level || (entry->tables.len == 0 && entry->commands.len == 0))
				continue;
			send_tables(entry);
			is_done = false;
			break;
		}
	} while (!is_done);
	do
	{
		ListCell   *lc;

		is_done = true;
		foreach(lc, pending)
		{
			PendingDrops *entry = lfirst(lc);

			if (entry->level < level)
				continue;
			pending = foreach_delete_current(pending, lc);
			send_changes(entry);
			is_done = false;
			break;
		}
	} while (!is_done);
}

/* A statement failed: what it collected is void. */
static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT ||
		event == XACT_EVENT_PREPARE)
	{
		pending = droppers = NIL;
		CzKeyActorsForget(0);
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *lc;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	foreach(lc, pending)
	{
		PendingDrops *entry = lfirst(lc);

		if (entry->level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			entry->level = level - 1;
		else
			pending = foreach_delete_current(pending, lc);
	}
	if (event == SUBXACT_EVENT_ABORT_SUB)
		CzKeyActorsForget(level);
}

/*
 * CzDropAddTable
 *		See ddl_int.h, as for those that follow.
 */
void
CzDropAddTable(Oid server_oid, Oid user_oid, const char *qualified)
{
	PendingDrops *entry = pending_for(server_oid, user_oid);
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	appendStringInfo(&entry->tables, "%s%s", entry->tables.len > 0 ? ", " : "", qualified);
	entry->names = lappend(entry->names, pstrdup(qualified));
	MemoryContextSwitchTo(old);
	if (entry->tables.len > MAX_PENDING_BYTES)
		send_tables(entry);
}

/*
 * CzDropRemoteTables
 *		See ddl.h.
 */
void
CzDropRemoteTables(Oid server_oid, Oid user_oid, List *qualified_names)
{
	ListCell   *lc;

	foreach(lc, qualified_names)
		CzDropAddTable(server_oid, user_oid, (char *) lfirst(lc));
}

bool
CzDropMustReach(Oid server_oid, Oid user_oid, Oid relid)
{
	PendingDrops *entry = pending_for(server_oid, user_oid);
	MemoryContext old;

	if (entry->conn != NULL)
		return true;
	old = MemoryContextSwitchTo(TopTransactionContext);
	entry->missed_relids = list_append_unique_oid(entry->missed_relids, relid);
	MemoryContextSwitchTo(old);
	return false;
}

void
CzDropAddCommand(Oid server_oid, Oid user_oid, Oid relid, const char *command)
{
	PendingDrops *entry = pending_for(server_oid, user_oid);

	if (!CzDropMustReach(server_oid, user_oid, relid))
		return;
	appendStringInfo(&entry->commands, "%s;\n", command);
	if (entry->commands.len > MAX_PENDING_BYTES)
		send_tables(entry);
}

void
CzDropChangeObject(Oid classid, Oid objid, const char *command)
{
	List	   *users = CzLedgerUsers(classid, objid);
	CzObject   *object = users != NIL ? CzObjectGet(classid, objid) : NULL;
	ListCell   *lc;
	ListCell   *lc2;

	if (object == NULL)
		return;
	if (command == NULL)
	{
		CzLedgerForget(classid, objid);
		CommandCounterIncrement();
	}
	foreach(lc, users)
	{
		foreach(lc2, CzNodeList(command != NULL))
		{
			CzNode	   *node = lfirst(lc2);
			PendingDrops *entry;
			CzObjectChange *change;
			MemoryContext old;

			if (!node->is_checked || !CzLedgerCanAsk(node->server_oid, lfirst_oid(lc)))
				continue;
			entry = pending_for(node->server_oid, lfirst_oid(lc));
			old = MemoryContextSwitchTo(TopTransactionContext);
			change = palloc(sizeof(CzObjectChange));
			change->kind = object->kind;
			change->schema = pstrdup(object->schema);
			change->name = pstrdup(object->name);
			change->args = pstrdup(object->args);
			change->command = command ? pstrdup(command) : NULL;
			entry->changes = lappend(entry->changes, change);
			MemoryContextSwitchTo(old);
		}
	}
}

void
CzDropAddKey(Oid server_oid, Oid user_oid, Oid from_relid, Oid to_relid, const char *command)
{
	PendingDrops *entry = pending_for(server_oid, user_oid);
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	PendingKey *key = palloc(sizeof(PendingKey));

	key->from_relid = from_relid;
	key->to_relid = to_relid;
	key->command = pstrdup(command);
	if (entry->conn == NULL)
		entry->missed_relids = list_append_unique_oid(entry->missed_relids, from_relid);
	else
		entry->keys = lappend(entry->keys, key);
	MemoryContextSwitchTo(old);
}

/*
 * CzDropSendInit
 *		Register the callbacks that forget what a failed statement has collected.
 */
void
CzDropSendInit(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
