/*-------------------------------------------------------------------------
 *
 * drop.c
 *	  What is dropped here is dropped on the workers, in the same transaction.
 *
 * Core tells of every object that goes (object_access_hook, OAT_DROP), whatever
 * the statement was: DROP TABLE, SCHEMA, OWNED, TYPE, EXTENSION, with CASCADE or
 * not.  At that moment the catalogs still describe the object, so the remote
 * command is made then; commands are collected per worker and sent when the
 * statement ends (CzDropFlush), or earlier when they have become many.
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
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/executor.h"
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

int			cz_drop_is_local = 0;
Oid			cz_altered_relid = InvalidOid;
List	   *cz_typed_relids = NIL;

static List *pending = NIL;		/* PendingDrops *, in TopTransactionContext */
static List *droppers = NIL;	/* Dropper *, the same */
static object_access_hook_type prev_object_access_hook = NULL;

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

static void
add_table(Oid server_oid, Oid user_oid, const char *qualified)
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
		add_table(server_oid, user_oid, (char *) lfirst(lc));
}

/* A worker must be reached unless this table goes, too; false: it can't be. */
static bool
must_reach(Oid server_oid, Oid user_oid, Oid relid)
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

static void
add_command(Oid server_oid, Oid user_oid, Oid relid, const char *command)
{
	PendingDrops *entry = pending_for(server_oid, user_oid);

	if (!must_reach(server_oid, user_oid, relid))
		return;
	appendStringInfo(&entry->commands, "%s;\n", command);
	if (entry->commands.len > MAX_PENDING_BYTES)
		send_tables(entry);
}

/*
 * change_object
 *		An object that workers may have goes, or a part of it; command: makes the change,
 *		NULL: a DROP.  Also on workers that are disabled now, of what goes.
 */
static void
change_object(Oid classid, Oid objid, const char *command)
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

/* An attribute of a composite type goes, or of a table whose rows are values somewhere. */
static void
attribute_dropped(Oid relid, AttrNumber attno)
{
	Oid			type_oid = get_rel_type_id(relid);
	CzObject   *object = OidIsValid(type_oid) ? CzObjectGet(TypeRelationId, type_oid) : NULL;

	if (object != NULL && CzLedgerUsers(TypeRelationId, type_oid) != NIL)
		change_object(TypeRelationId, type_oid,
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
			add_table(node->server_oid, CzRelationOwner(relid),
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
		add_table(lfirst_oid(lc), owner, qualified);
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
			add_table(lfirst_oid(lc), owner, qualified);
		/* where it can't be dropped, its rows would be the root's still */
		for (j = 0; j < root->shards[i].nplacements; j++)
			must_reach(root->shards[i].server_oids[j], owner, partition.root);
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
			add_command(table->shards[i].server_oids[j], owner, relid, command);
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

static void
add_key(Oid server_oid, Oid user_oid, const PendingKey *key)
{
	PendingDrops *entry = pending_for(server_oid, user_oid);
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	PendingKey *copy = palloc(sizeof(PendingKey));

	*copy = *key;
	copy->command = pstrdup(key->command);
	if (entry->conn == NULL)
		entry->missed_relids = list_append_unique_oid(entry->missed_relids, key->from_relid);
	else
		entry->keys = lappend(entry->keys, copy);
	MemoryContextSwitchTo(old);
}

/* A foreign key of a distributed table. */
static void
key_dropped(Form_pg_constraint con)
{
	const CzTable *table = CzTableGet(con->conrelid);
	PendingKey	key;
	int			i;
	int			j;

	/* whoever alters the table tells the shards all that has become of it; a partition's key
	 * goes with its parent's, one to a partition with that */
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || is_altered(con->conrelid) ||
		OidIsValid(con->conparentid))
		return;
	key.from_relid = con->conrelid;
	key.to_relid = con->confrelid;
	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		key.command = drop_constraint_sql(shard, CzShardIndexName(NameStr(con->conname),
																  shard->name_id));
		for (j = 0; j < shard->nplacements; j++)
			add_key(shard->server_oids[j], CzRelationOwner(con->conrelid), &key);
		pfree(key.command);
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
			change_object(TypeRelationId, con->contypid,
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
		change_object(classId, objectId, NULL);
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
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
