/*-------------------------------------------------------------------------
 *
 * target.c
 *	  What a move makes on the target beside rows: tables, indexes, keys.
 *
 * Tables are made with a comment that says whose they are: only what has it is dropped
 * should the move fail.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_type.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* How long an old placement on the target is waited for, and how often it is tried */
#define LEFT_OVER_WAIT_MS 60000
#define LEFT_OVER_PAUSE_MS 250

/* A transaction that builds indexes */
#define INDEX_BEGIN CZ_MOVE_BEGIN "; SELECT pg_catalog.set_config('maintenance_work_mem', '256MB', true)" \
	" WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) OPERATOR(pg_catalog.<) 268435456; "

/* The names of the shards, as text[]. */
static ArrayType *
names_of(const CzMove *move)
{
	Datum	   *names = palloc(sizeof(Datum) * list_length(move->tables));
	ListCell   *lc;

	foreach(lc, move->tables)
		names[foreach_current_index(lc)] =
			CStringGetTextDatum(((CzMoveTable *) lfirst(lc))->qualified);
	return construct_array(names, list_length(move->tables), TEXTOID, -1, false, TYPALIGN_INT);
}

/*
 * What an earlier move has left there by these names must be gone first; it may be waiting
 * for transactions that still read it.
 */
static bool
drop_left_over(const CzMove *move)
{
	const char *server_name = CzNodeGet(move->target_oid)->name;
	int			nleft;

	(void) CzCleanUp(-1, server_name, names_of(move), &nleft);
	return nleft == 0 && CzCleanupIsLeft(server_name, names_of(move)) == 0;
}

/*
 * CzMoveDropLeftOver
 *		See mover_int.h.
 */
void
CzMoveDropLeftOver(CzMove *move)
{
	int			waited_ms = 0;
	bool		is_done;

	for (;;)
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		is_done = drop_left_over(move);
		if (!is_done && waited_ms >= LEFT_OVER_WAIT_MS)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("node \"%s\" has a former placement of the shard that is not dropped yet",
							CzNodeGet(move->target_oid)->name),
					 errdetail("Transactions that began before the shard was moved may still read it.")));
		PopActiveSnapshot();
		CommitTransactionCommand();
		if (is_done)
			return;
		CzMoveGiveWay(move);
		CzMoveSleep(LEFT_OVER_PAUSE_MS);
		waited_ms += LEFT_OVER_PAUSE_MS;
	}
}

static void
make_table(CzMove *move, CzMoveTable *table)
{
	Relation	rel = table_open(table->relid, AccessShareLock);
	List	   *servers = list_make1_oid(move->target_oid);
	const CzTable *entry = CzTableGet(table->relid);
	CzConn	   *from = CzTxnConn(move->from_oid, table->owner, false);
	ListCell   *lc;

	CzEnsureShardSchema(servers, table->owner);
	CzPropagateObjects(table->relid, servers, table->owner);
	foreach(lc, entry->is_partitioned ? CzRootPartitions(table->relid) : NIL)
		CzPropagateObjects(lfirst_oid(lc), servers, table->owner);
	CzTxnExec(move->target_oid, table->owner,
			  table->piece ? CzSplitMakeSql(move, table, rel, from) :
			  CzShardStructureSql(rel, entry, move->shard_index, move->target_oid, from));
	CzTxnExec(move->target_oid, table->owner,
			  psprintf("COMMENT ON TABLE %s IS %s", table->target,
					   quote_literal_cstr(CzMoveMarker(move))));
	table_close(rel, AccessShareLock);
}

/*
 * CzMoveMakeTables
 *		See mover_int.h.
 */
void
CzMoveMakeTables(CzMove *move)
{
	ListCell   *lc;

	foreach(lc, move->tables)
		make_table(move, lfirst(lc));
}

/*
 * CzMoveSourceSize
 *		See mover_int.h.
 */
int64
CzMoveSourceSize(CzMove *move)
{
	int64		result = 0;
	ListCell   *lc;
	ListCell   *lu;

	foreach(lc, CzMoveOwners(move))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->from_oid, lfirst_oid(lc)));
		StringInfoData sql;
		PGresult   *res;

		initStringInfo(&sql);
		foreach(lu, CzMoveUnitsOf(move, lfirst_oid(lc)))
			appendStringInfo(&sql, "%s pg_catalog.pg_table_size(%s)",
							 sql.len > 0 ? " OPERATOR(pg_catalog.+)" : "SELECT",
							 quote_literal_cstr(((CzMoveUnit *) lfirst(lu))->qualified));
		res = CzConnQuery(conn, sql.data, 1, 1, 1);
		result += strtoll(PQgetvalue(res, 0, 0), NULL, 10);
		PQclear(res);
		CzConnRelease(conn);
	}
	return result;
}

static void
add_command(List **commands, Oid owner, char *sql)
{
	CzMoveCommand *command = palloc0(sizeof(CzMoveCommand));

	command->owner = owner;
	command->sql = sql;
	*commands = lappend(*commands, command);
}

/* One index, unless a process before this one has made it. */
static void
add_index(CzMove *move, List **commands, const CzMoveTable *table, const CzIndexDef *index,
		  const CzShard *shard)
{
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));
	char	   *name = CzQualifiedName(shard->remote_schema,
									   CzShardIndexName(index->name, shard->name_id));
	PGresult   *res = CzConnQuery(conn, psprintf("SELECT pg_catalog.to_regclass(%s) IS NULL",
												 quote_literal_cstr(name)), 1, 1, 1);
	bool		is_missing = strcmp(PQgetvalue(res, 0, 0), "t") == 0;
	StringInfoData sql;

	PQclear(res);
	CzConnRelease(conn);
	if (!is_missing)
		return;
	initStringInfo(&sql);
	appendStringInfoString(&sql, INDEX_BEGIN);
	CzShardIndexSql(&sql, index, shard);
	appendStringInfoString(&sql, "COMMIT");
	add_command(commands, table->owner, sql.data);
}

/* All of a partitioned table: they belong together. */
static void
add_tree(CzMove *move, List **commands, const CzMoveTable *table, Relation rel)
{
	const CzTable *entry = CzTableGet(table->relid);
	char	   *sql = table->piece ? CzSplitIndexesSql(table, rel) :
		CzShardFinishSql(rel, entry, move->shard_index);
	CzConn	   *conn;
	char	   *here;
	char	   *there;

	if (sql == NULL)
		return;
	/* a split is never taken up by another process */
	if (table->piece != NULL)
	{
		add_command(commands, table->owner, psprintf(INDEX_BEGIN "%s; COMMIT", sql));
		return;
	}
	conn = CzConnAcquire(CzEndpointGet(move->from_oid, table->owner));
	there = CzShardStructure(conn, entry, move->shard_index, true);
	CzConnRelease(conn);
	conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));
	here = CzShardStructure(conn, entry, move->shard_index, true);
	CzConnRelease(conn);
	if (here == NULL || there == NULL || strcmp(here, there) != 0)
		add_command(commands, table->owner, psprintf(INDEX_BEGIN "%s; COMMIT", sql));
}

/* What makes the indexes: primary keys, which need their tables alone, come first. */
static List *
index_commands(CzMove *move)
{
	List	   *commands = NIL;
	int			pass;

	for (pass = 0; pass < 2; pass++)
	{
		ListCell   *lc;
		ListCell   *li;

		foreach(lc, move->tables)
		{
			const CzMoveTable *table = lfirst(lc);
			const CzShard *shard = table->piece ? table->piece :
				&CzTableGet(table->relid)->shards[move->shard_index];
			Relation	rel = table_open(table->relid, AccessShareLock);

			if (table->is_partitioned && pass == 0)
				add_tree(move, &commands, table, rel);
			foreach(li, table->is_partitioned ? NIL : CzTableDefGet(rel)->indexes)
			{
				if (((CzIndexDef *) lfirst(li))->is_constraint == (pass == 0))
					add_index(move, &commands, table, lfirst(li), shard);
			}
			table_close(rel, AccessShareLock);
		}
	}
	return commands;
}

/* Constraints that are NOT VALID, and which indexes tables are clustered or identified by; of
 * partitioned tables they have come with the indexes. */
static List *
role_commands(CzMove *move)
{
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);
		const CzShard *shard = table->piece ? table->piece :
			&CzTableGet(table->relid)->shards[move->shard_index];
		Relation	rel;
		const CzTableDef *def;
		StringInfoData sql;

		if (table->is_partitioned)
			continue;
		rel = table_open(table->relid, AccessShareLock);
		def = CzTableDefGet(rel);
		initStringInfo(&sql);
		CzShardUncheckedSql(&sql, def, shard, false);
		CzShardRolesSql(&sql, def, shard);
		if (sql.len > 0)
			add_command(&commands, table->owner, psprintf(CZ_MOVE_BEGIN "; %s; COMMIT", sql.data));
		table_close(rel, AccessShareLock);
	}
	return commands;
}

/*
 * CzMoveMakeIndexes
 *		See mover_int.h.  In transactions of its own.
 */
void
CzMoveMakeIndexes(CzMove *move)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *commands;
	List	   *roles;
	List	   *analyzes = NIL;
	ListCell   *lc;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	commands = index_commands(move);
	roles = role_commands(move);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	CzMoveRunCommands(move, commands);
	if (roles != NIL)
		CzMoveRunCommands(move, roles);
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		add_command(&analyzes, table->owner, psprintf("ANALYZE %s", table->target));
	}
	CzMoveRunCommands(move, analyzes);
	StartTransactionCommand();
	CzMoveMakeBagIndexes(move);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

/*
 * CzMoveMakeIndexesLocked
 *		See mover_int.h.
 */
void
CzMoveMakeIndexesLocked(CzMove *move)
{
	ListCell   *lc;

	foreach(lc, move->tables)
	{
		CzMoveTable *table = lfirst(lc);
		Relation	rel = table_open(table->relid, AccessShareLock);
		char	   *sql = table->piece ? CzSplitIndexesSql(table, rel) :
			CzShardFinishSql(rel, CzTableGet(table->relid), move->shard_index);
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));

		table_close(rel, AccessShareLock);
		if (sql != NULL)
			PQclear(CzConnExec(conn, psprintf(INDEX_BEGIN "%s; COMMIT", sql)));
		PQclear(CzConnExec(conn, psprintf("ANALYZE %s", table->target)));
		CzConnRelease(conn);
	}
}

/* Foreign keys of a table of the group and its partitions, as CzKey *. */
static List *
keys_of(const CzMoveTable *table)
{
	return CzTreeKeysOnShards(table->relid, false);
}

/* Is a key added without a look at the rows?  One of a partitioned table can't be. */
static bool
is_checked_later(const CzKey *key)
{
	return key->is_valid && !CzTableGet(key->from_relid)->is_partitioned;
}

/*
 * CzMoveMakeKeys
 *		See mover_int.h.  A key of a partitioned table cannot be added unchecked.
 */
void
CzMoveMakeKeys(CzMove *move)
{
	ListCell   *lc;
	ListCell   *lk;

	move->has_keys = true;
	foreach(lc, move->tables)
	{
		CzMoveTable *table = lfirst(lc);
		List	   *keys = keys_of(table);
		StringInfoData sql;
		StringInfoData drops;
		CzConn	   *conn;

		if (keys == NIL)
			continue;
		initStringInfo(&sql);
		initStringInfo(&drops);
		appendStringInfoString(&sql, CZ_MOVE_BEGIN "; ");
		foreach(lk, keys)
		{
			const CzKey *key = lfirst(lk);
			const CzShard *shard = &CzTableGet(key->from_relid)->shards[move->shard_index];

			CzKeyShardSql(&sql, key, move->shard_index, true);
			CzKeyShardSql(&drops, key, move->shard_index, true);
			appendStringInfo(&sql, "ALTER TABLE %s ADD CONSTRAINT %s %s%s; ",
							 shard->remote_qualified,
							 quote_identifier(CzKeyShardName(key, shard)),
							 CzKeyShardText(key, move->shard_index),
							 is_checked_later(key) ? " NOT VALID" : "");
		}
		appendStringInfoString(&sql, "COMMIT");
		table->drop_keys = MemoryContextStrdup(move->context, drops.data);
		conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));
		PQclear(CzConnExec(conn, sql.data));
		CzConnRelease(conn);
	}
}

/*
 * CzMoveDropKeys
 *		See mover_int.h.  While rows are brought over they are in nobody's order.
 */
void
CzMoveDropKeys(CzMove *move)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);
		StringInfoData sql;
		CzConn	   *conn;

		initStringInfo(&sql);
		/* the catalogs do not know pieces */
		if (table->piece != NULL)
			appendStringInfoString(&sql, table->drop_keys ? table->drop_keys : "");
		foreach(lk, table->piece ? NIL : keys_of(table))
			CzKeyShardSql(&sql, lfirst(lk), move->shard_index, true);
		if (sql.len == 0)
			continue;
		conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));
		PQclear(CzConnExec(conn, sql.data));
		CzConnRelease(conn);
	}
	move->has_keys = false;
}

/*
 * CzMoveFinishTarget
 *		See mover_int.h.
 */
void
CzMoveFinishTarget(CzMove *move)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));

		foreach(lk, keys_of(table))
		{
			const CzKey *key = lfirst(lk);
			const CzShard *shard = &CzTableGet(key->from_relid)->shards[move->shard_index];

			if (is_checked_later(key))
				PQclear(CzConnExec(conn, psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s",
												  shard->remote_qualified,
												  quote_identifier(CzKeyShardName(key, shard)))));
		}
		PQclear(CzConnExec(conn, psprintf("DO LANGUAGE plpgsql %s",
										  quote_literal_cstr(psprintf("BEGIN IF pg_catalog.obj_description(%s::pg_catalog.regclass, 'pg_class') OPERATOR(pg_catalog.=) %s THEN COMMENT ON TABLE %s IS NULL; END IF; END",
																	  quote_literal_cstr(table->target),
																	  quote_literal_cstr(CzMoveMarker(move)),
																	  table->target)))));
		CzConnRelease(conn);
	}
}

/*
 * CzMoveCheckStructure
 *		See mover_int.h.
 */
void
CzMoveCheckStructure(CzMove *move)
{
	ListCell   *lc;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);
		const CzTable *entry = CzTableGet(table->relid);
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->from_oid, table->owner));
		char	   *there = CzShardStructure(conn, entry, move->shard_index, true);
		char	   *here;

		CzConnRelease(conn);
		conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));
		here = CzShardStructure(conn, entry, move->shard_index, true);
		CzConnRelease(conn);
		if (here == NULL || there == NULL || strcmp(here, there) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("table \"%s\" was altered while its shard was moved",
							get_rel_name(table->relid)),
					 errhint("The move might succeed if retried.")));
	}
}
