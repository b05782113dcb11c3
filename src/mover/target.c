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
#include "storage/latch.h"
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
CzMoveDropLeftOver(const CzMove *move)
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
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LEFT_OVER_PAUSE_MS, WAIT_EVENT_BGWORKER_SHUTDOWN);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
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
			  CzShardStructureSql(rel, entry, move->shard_index, move->target_oid, from));
	CzTxnExec(move->target_oid, table->owner,
			  psprintf("COMMENT ON TABLE %s IS %s", table->qualified,
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

/*
 * CzMoveMakeIndexes
 *		See mover_int.h.
 */
void
CzMoveMakeIndexes(CzMove *move)
{
	ListCell   *lc;

	foreach(lc, move->tables)
	{
		CzMoveTable *table = lfirst(lc);
		Relation	rel = table_open(table->relid, AccessShareLock);
		char	   *sql = CzShardFinishSql(rel, CzTableGet(table->relid), move->shard_index);
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));

		table_close(rel, AccessShareLock);
		if (sql != NULL)
			PQclear(CzConnExec(conn, psprintf(CZ_MOVE_BEGIN "; %s; COMMIT", sql)));
		PQclear(CzConnExec(conn, psprintf("ANALYZE %s", table->qualified)));
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
		const CzMoveTable *table = lfirst(lc);
		List	   *keys = keys_of(table);
		StringInfoData sql;
		CzConn	   *conn;

		if (keys == NIL)
			continue;
		initStringInfo(&sql);
		appendStringInfoString(&sql, CZ_MOVE_BEGIN "; ");
		foreach(lk, keys)
		{
			const CzKey *key = lfirst(lk);
			const CzShard *shard = &CzTableGet(key->from_relid)->shards[move->shard_index];

			CzKeyShardSql(&sql, key, move->shard_index, true);
			appendStringInfo(&sql, "ALTER TABLE %s ADD CONSTRAINT %s %s%s; ",
							 shard->remote_qualified,
							 quote_identifier(CzKeyShardName(key, shard)),
							 CzKeyShardText(key, move->shard_index),
							 is_checked_later(key) ? " NOT VALID" : "");
		}
		appendStringInfoString(&sql, "COMMIT");
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
		foreach(lk, keys_of(table))
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
																	  quote_literal_cstr(table->qualified),
																	  quote_literal_cstr(CzMoveMarker(move)),
																	  table->qualified)))));
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
		char	   *there = CzShardStructure(conn, entry, move->shard_index);
		char	   *here;

		CzConnRelease(conn);
		conn = CzConnAcquire(CzEndpointGet(move->target_oid, table->owner));
		here = CzShardStructure(conn, entry, move->shard_index);
		CzConnRelease(conn);
		if (here == NULL || there == NULL || strcmp(here, there) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("table \"%s\" was altered while its shard was moved",
							get_rel_name(table->relid)),
					 errhint("The move might succeed if retried.")));
	}
}
