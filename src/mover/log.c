/*-------------------------------------------------------------------------
 *
 * log.c
 *	  The log of a table's changes, on the source of a move.
 *
 * Of a table with a key the log has the keys of rows that were changed, each with the
 * transaction's number: what a key's row is, the table itself says.  Of a table without,
 * the rows that went and came.  A log is two UNLOGGED tables, each with a row that has
 * number 0: where that is gone the server has crashed, and the log is worth nothing.
 *
 * The triggers' functions write into one of the tables.  When that has become large they
 * are replaced by such as write into the other, and the first one is emptied when nobody
 * writes it any more and the target has all that is in it.  Nobody waits for that, and a
 * session that has not seen the new functions does no harm: both are read.
 *
 * While rows are copied nothing of the log can go; so it has a limit, cz.move_log_limit,
 * at which the move is given up.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* Between two looks at how large it is */
#define LOOK_INTERVAL_MS 1000
/* A table of this size is left for the other one; at most this part of the limit */
#define TURN_KB (64 * 1024)
#define TURN_PART 8
/* How long the one that is left is waited for: nobody should write it */
#define EMPTY_TIMEOUT_MS 20

/* Tables of a log */
#define LOGS 2

/*
 * CzMoveLogName
 *		See mover_int.h.
 */
char *
CzMoveLogName(const CzMoveUnit *unit, int which)
{
	return psprintf("cz_shards.%s%s", unit->prefix, which == 0 ? "" : CZ_MOVE_SECOND_LOG);
}

/*
 * CzMoveLogRows
 *		See mover_int.h.
 */
char *
CzMoveLogRows(const CzMoveUnit *unit)
{
	return psprintf("(SELECT * FROM %s UNION ALL SELECT * FROM %s) l", CzMoveLogName(unit, 0),
					CzMoveLogName(unit, 1));
}

/*
 * CzMoveLogIsWhole
 *		See mover_int.h.
 */
char *
CzMoveLogIsWhole(const CzMoveUnit *unit)
{
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < LOGS; i++)
		appendStringInfo(&sql, "%sEXISTS (SELECT FROM %s WHERE cz_x OPERATOR(pg_catalog.=) '0'::pg_catalog.xid8)",
						 i > 0 ? " AND " : "", CzMoveLogName(unit, i));
	return sql.data;
}

/* The row by which one sees that the table has not been emptied by a crash. */
static void
mark_sql(StringInfo sql, const CzMoveUnit *unit, int which)
{
	appendStringInfo(sql, "INSERT INTO %s (cz_x, cz_t) VALUES ('0', false);\n",
					 CzMoveLogName(unit, which));
}

/* What a unit's log holds of a row. */
static List *
logged(const CzMoveUnit *unit)
{
	return unit->key != NIL ? unit->key : unit->names;
}

/* One function: prefix and a letter. */
static void
function_sql(StringInfo sql, const CzMoveUnit *unit, const char *letter, const char *body)
{
	appendStringInfo(sql, "CREATE OR REPLACE FUNCTION cz_shards.%s%s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS %s;\n",
					 unit->prefix, letter,
					 quote_literal_cstr(psprintf("BEGIN %s; RETURN NULL; END", body)));
}

/* A row as the log gets it.  sign: of a table without key. */
static char *
row_sql(const CzMoveUnit *unit, const char *sign, const char *prefix)
{
	return psprintf("pg_catalog.pg_current_xact_id(), %s, false%s%s", sign,
					logged(unit) != NIL ? ", " : "", CzMoveColumns(logged(unit), prefix));
}

/* Whether a row that is updated keeps its key, whose columns are never null. */
static char *
same_key(const CzMoveUnit *unit)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, unit->key)
		appendStringInfo(&buf, "%sOLD.%s %s NEW.%s", buf.len > 0 ? " AND " : "",
						 (char *) lfirst(lc),
						 (char *) list_nth(unit->operators, foreach_current_index(lc)),
						 (char *) lfirst(lc));
	return buf.data;
}

/* The functions, which write into one of the tables. */
static void
functions_sql(StringInfo sql, const CzMoveUnit *unit, int which)
{
	const char *name = CzMoveLogName(unit, which);
	const char *sign = unit->key != NIL ? "NULL" : "1";
	const char *minus = unit->key != NIL ? "NULL" : "-1";

	if (unit->is_partition)
		function_sql(sql, unit, "i", psprintf("INSERT INTO %s VALUES (%s)", name,
											  row_sql(unit, sign, "NEW.")));
	else
		function_sql(sql, unit, "i", psprintf("INSERT INTO %s SELECT %s FROM cz_n", name,
											  row_sql(unit, sign, "cz_n.")));
	if (unit->key != NIL)
		function_sql(sql, unit, "u", psprintf("INSERT INTO %s VALUES (%s); IF NOT (%s) THEN INSERT INTO %s VALUES (%s); END IF",
											  name, row_sql(unit, sign, "OLD."), same_key(unit), name,
											  row_sql(unit, sign, "NEW.")));
	else
		function_sql(sql, unit, "u", psprintf("INSERT INTO %s VALUES (%s), (%s)", name,
											  row_sql(unit, minus, "OLD."),
											  row_sql(unit, sign, "NEW.")));
	function_sql(sql, unit, "d", psprintf("INSERT INTO %s VALUES (%s)", name,
										  row_sql(unit, minus, "OLD.")));
	function_sql(sql, unit, "t", psprintf("INSERT INTO %s (cz_x, cz_t) VALUES (pg_catalog.pg_current_xact_id(), true)",
										  name));
}

/*
 * CzMoveLogSql
 *		See mover_int.h.
 *
 * Columns of the log: transaction, sign (null of a table with a key), whether the table was
 * emptied, and c1, c2, ... for what is logged.
 */
void
CzMoveLogSql(StringInfo sql, const CzMoveUnit *unit)
{
	ListCell   *lc;
	const char *letter;
	int			i;

	for (i = 0; i < LOGS; i++)
	{
		appendStringInfo(sql, "CREATE UNLOGGED TABLE %s AS SELECT '0'::pg_catalog.xid8 AS cz_x, 0::pg_catalog.int2 AS cz_s, false AS cz_t",
						 CzMoveLogName(unit, i));
		foreach(lc, logged(unit))
			appendStringInfo(sql, ", %s AS c%d", (char *) lfirst(lc), foreach_current_index(lc) + 1);
		appendStringInfo(sql, " FROM ONLY %s WITH NO DATA;\n", unit->qualified);
		appendStringInfo(sql, "CREATE INDEX ON %s (cz_x);\n", CzMoveLogName(unit, i));
		mark_sql(sql, unit, i);
	}
	functions_sql(sql, unit, 0);
	for (letter = CZ_MOVE_LETTERS; *letter != '\0'; letter++)
		appendStringInfo(sql, "REVOKE ALL ON FUNCTION cz_shards.%s%c() FROM PUBLIC;\n", unit->prefix,
						 *letter);
}

/* Bytes of an owner's logs, their indexes too: of one of the tables, or (-1) all. */
static int64
log_bytes(CzConn *conn, List *units, int which)
{
	StringInfoData sql;
	PGresult   *res;
	int64		result;
	ListCell   *lc;
	int			i;

	initStringInfo(&sql);
	foreach(lc, units)
	{
		for (i = 0; i < LOGS; i++)
		{
			if (which < 0 || i == which)
				appendStringInfo(&sql, "%spg_catalog.pg_total_relation_size(%s)",
								 sql.len > 0 ? " OPERATOR(pg_catalog.+) " : "SELECT ",
								 quote_literal_cstr(CzMoveLogName(lfirst(lc), i)));
		}
	}
	res = CzConnQuery(conn, sql.data, 1, 1, 1);
	result = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	pfree(sql.data);
	return result;
}

/* Is there room for more?  In a transaction. */
static void
check_limit(CzMove *move)
{
	int64		nbytes = 0;
	const char *node_name = NULL;
	ListCell   *lc;

	foreach(lc, cz_move_log_limit_kb < 0 ? NIL : CzMoveOwners(move))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->captured_oid, lfirst_oid(lc)));

		nbytes += log_bytes(conn, CzMoveUnitsOf(move, lfirst_oid(lc)), -1);
		node_name = conn->node_name;
		CzConnRelease(conn);
	}
	if (node_name != NULL && nbytes / 1024 > cz_move_log_limit_kb)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("changes that move " INT64_FORMAT " has logged on node \"%s\" take " INT64_FORMAT " kB, more than cz.move_log_limit",
						move->move_id, node_name, nbytes / 1024),
				 errhint("Move the shard when less is written to it, raise cz.move_log_limit, or use shard_transfer_mode 'block_writes'.")));
}

/*
 * CzMoveLogCheck
 *		See mover_int.h.
 */
void
CzMoveLogCheck(CzMove *move)
{
	static TimestampTz looked_at = 0;
	bool		is_in_transaction = IsTransactionState();
	TimestampTz now = GetCurrentTimestamp();

	if (!OidIsValid(move->captured_oid) ||
		!TimestampDifferenceExceeds(looked_at, now, LOOK_INTERVAL_MS))
		return;
	looked_at = now;
	if (!is_in_transaction)
		StartTransactionCommand();
	check_limit(move);
	if (!is_in_transaction)
		CommitTransactionCommand();
}

/* Let functions write into the other tables. */
static void
turn_functions(CzMove *move)
{
	ListCell   *lc;
	ListCell   *lu;

	move->log_number = (move->log_number + 1) % LOGS;
	foreach(lc, CzMoveOwners(move))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->captured_oid, lfirst_oid(lc)));
		StringInfoData sql;

		initStringInfo(&sql);
		foreach(lu, CzMoveUnitsOf(move, lfirst_oid(lc)))
			functions_sql(&sql, lfirst(lu), move->log_number);
		PQclear(CzConnExec(conn, sql.data));
		CzConnRelease(conn);
	}
}

/* What of a unit's log may not go: that which a target of it (a split has several) lacks. */
static char *
needed_sql(CzMove *move, const CzMoveUnit *unit, int owner_number, int which)
{
	List	   *parts = move->parts != NIL ? move->parts : list_make1(move);
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "EXISTS (SELECT FROM %s WHERE cz_x OPERATOR(pg_catalog.<>) '0'::pg_catalog.xid8 AND (false",
					 CzMoveLogName(unit, which));
	foreach(lc, parts)
	{
		const CzMove *part = lfirst(lc);
		CzConn	   *to = CzConnAcquire(CzEndpointGet(part->target_oid, unit->owner));
		char	   *snapshot = CzMoveStateRead(part, to, owner_number, unit);

		CzConnRelease(to);
		if (snapshot == NULL)
			elog(ERROR, "a target of %s has no snapshot", unit->qualified);
		appendStringInfo(&sql, " OR NOT pg_catalog.pg_visible_in_snapshot(cz_x, %s::pg_catalog.pg_snapshot)",
						 quote_literal_cstr(snapshot));
	}
	appendStringInfoString(&sql, "))");
	return sql.data;
}

/*
 * Empty the tables of an owner that the functions have left; false: somebody writes them
 * still, or has.
 */
static bool
empty_left(CzMove *move, Oid owner, int owner_number)
{
	List	   *units = CzMoveUnitsOf(move, owner);
	int			which = (move->log_number + 1) % LOGS;
	StringInfoData names;
	StringInfoData needed;
	StringInfoData sql;
	CzConn	   *conn;
	PGresult   *res;
	bool		is_done;
	ListCell   *lc;

	initStringInfo(&names);
	initStringInfo(&needed);
	initStringInfo(&sql);
	foreach(lc, units)
	{
		const char *separator = foreach_current_index(lc) > 0 ? ", " : "";

		appendStringInfo(&names, "%s%s", separator, CzMoveLogName(lfirst(lc), which));
		appendStringInfo(&needed, "%s%s", foreach_current_index(lc) > 0 ? " OR " : "",
						 needed_sql(move, lfirst(lc), owner_number, which));
	}
	appendStringInfo(&sql, "TRUNCATE %s;\n", names.data);
	foreach(lc, units)
		mark_sql(&sql, lfirst(lc), which);
	appendStringInfoString(&sql, "COMMIT");

	conn = CzConnAcquire(CzEndpointGet(move->captured_oid, owner));
	is_done = CzMoveTryLock(conn, psprintf("BEGIN; SET LOCAL lock_timeout = %d; LOCK TABLE %s IN ACCESS EXCLUSIVE MODE",
										   EMPTY_TIMEOUT_MS, names.data));
	if (is_done)
	{
		/* all who have written them have ended: nothing comes after this look */
		res = CzConnQuery(conn, psprintf("SELECT %s", needed.data), 1, 1, 1);
		is_done = strcmp(PQgetvalue(res, 0, 0), "f") == 0;
		PQclear(res);
		PQclear(CzConnExec(conn, is_done ? sql.data : "ROLLBACK"));
	}
	CzConnRelease(conn);
	return is_done;
}

/* Are the tables that the functions write into large? */
static bool
is_large(CzMove *move)
{
	int64		turn_kb = TURN_KB;
	int64		nbytes = 0;
	ListCell   *lc;

	if (cz_move_log_limit_kb >= 0)
		turn_kb = Min(turn_kb, cz_move_log_limit_kb / TURN_PART);
	foreach(lc, CzMoveOwners(move))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->captured_oid, lfirst_oid(lc)));

		nbytes += log_bytes(conn, CzMoveUnitsOf(move, lfirst_oid(lc)), move->log_number);
		CzConnRelease(conn);
	}
	return nbytes / 1024 > turn_kb;
}

/*
 * CzMoveLogTurn
 *		See mover_int.h.  In a transaction of its own.
 */
void
CzMoveLogTurn(CzMove *move)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	check_limit(move);
	if (!move->has_left_log && (move->log_number < 0 || is_large(move)))
	{
		turn_functions(move);
		move->has_left_log = true;
	}
	else if (move->has_left_log)
	{
		ListCell   *lc;

		move->has_left_log = false;
		foreach(lc, CzMoveOwners(move))
			move->has_left_log |= !empty_left(move, lfirst_oid(lc), foreach_current_index(lc));
		if (!move->has_left_log)
			CzDebugPoint("move_log_emptied");
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}
