/*-------------------------------------------------------------------------
 *
 * cleanup.c
 *	  The clean-up list, cz.cleanup: what is still to be dropped on workers.
 *
 * Drops that could not be done because a worker was down, and what moves of shards have
 * made or left.  What a move has left is told by a comment on it: names come back when a
 * shard moves back, comments don't.  An old placement is dropped when no transaction is
 * left that may have looked up where the shard was before.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "cluster_int.h"
#include "cz/transaction.h"
#include "distribute_int.h"

/* Columns of the query below */
enum
{
	COL_ID = 1,
	COL_SERVER,
	COL_USER,
	COL_KIND,
	COL_SCHEMA,
	COL_NAME,
	COL_ARGS,
	COL_MARKER,
	COL_MAY_BE_READ
};

/*
 * $1: a move, whose rows are wanted whenever they were to be done; 0: all rows that are due;
 * -1: those of moves.  $4: one row alone, or NULL.  A transaction that has looked up an old placement has its table
 * locked.
 */
#define LIST_SQL \
	"SELECT c.cleanup_id, c.server_name, c.user_name, c.object_kind, c.object_schema, c.object_name, c.object_args, c.marker, " \
	"c.policy OPERATOR(pg_catalog.=) 'on_success' AND EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid " \
	"WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.relation OPERATOR(pg_catalog.=) ANY (m.tables) " \
	"AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) " \
	"AND a.backend_type OPERATOR(pg_catalog.!~) '^cz_fdw ' AND a.xact_start OPERATOR(pg_catalog.<) (m.switched_at OPERATOR(pg_catalog.+) '1 second'::pg_catalog.interval)) " \
	"FROM cz.cleanup c LEFT JOIN cz.move m ON m.move_id OPERATOR(pg_catalog.=) c.move_id " \
	"WHERE CASE WHEN $1 OPERATOR(pg_catalog.>) 0 THEN c.move_id OPERATOR(pg_catalog.=) $1 ELSE " \
	"(c.move_id IS NULL AND $1 OPERATOR(pg_catalog.=) 0 OR c.move_id IS NOT NULL AND (m.move_id IS NULL OR m.phase OPERATOR(pg_catalog.=) ANY ('{switched,done,failed}'::text[]))) " \
	"AND (c.not_before IS NULL OR c.move_id IS NULL OR c.not_before OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) END " \
	"AND ($2 IS NULL OR c.server_name OPERATOR(pg_catalog.=) $2::pg_catalog.name) AND ($3 IS NULL OR c.object_name OPERATOR(pg_catalog.=) ANY ($3)) " \
	"AND ($4 IS NULL OR c.cleanup_id OPERATOR(pg_catalog.=) $4) " \
	"ORDER BY c.cleanup_id FOR UPDATE OF c SKIP LOCKED"

/* Run a command; false: it has failed, and why. */
static bool
try_exec(CzConn *conn, const char *sql, char **error)
{
	PGresult   *res = CzConnTryExec(conn, sql);
	ExecStatusType status = res ? PQresultStatus(res) : PGRES_FATAL_ERROR;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		*error = pstrdup(res && PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) ?
						 PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : "connection lost");
	PQclear(res);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* A table's comment; NULL: it has none, or there is no such table. */
static bool
read_comment(CzConn *conn, const char *name, char **comment, char **error)
{
	PGresult   *res = CzConnTryExec(conn, psprintf("SELECT pg_catalog.obj_description(pg_catalog.to_regclass(%s), 'pg_class')",
												   quote_literal_cstr(name)));
	bool		ok = res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK &&
		PQntuples(res) == 1 && PQnfields(res) == 1;

	*comment = ok && !PQgetisnull(res, 0, 0) ? pstrdup(PQgetvalue(res, 0, 0)) : NULL;
	if (!ok)
		*error = "its comment could not be read";
	PQclear(res);
	return ok;
}

/* Is nothing of any coordinator's prepared there? */
static bool
has_nothing_prepared(CzConn *conn, char **error)
{
	PGresult   *res = CzConnTryExec(conn, "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database OPERATOR(pg_catalog.=) pg_catalog.current_database() "
									"AND pg_catalog.starts_with(gid, 'cz_') LIMIT 1");
	bool		ok = res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 0;

	if (!ok)
		*error = "a transaction is not finished there";
	PQclear(res);
	return ok;
}

static bool
has_function(CzConn *conn, const char *name)
{
	PGresult   *res = CzConnTryExec(conn, psprintf("SELECT pg_catalog.to_regproc(%s) IS NOT NULL",
												   quote_literal_cstr(quote_qualified_identifier("cz_shards", name))));
	bool		result = res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK &&
		PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), "t") == 0;

	PQclear(res);
	return result;
}

/* Drop a table that has the comment, or any. */
static bool
drop_table(CzConn *conn, const char *name, const char *marker, char **error)
{
	bool		ok;

	/* who reads what the table refers to must not wait for those who read the table */
	ok = try_exec(conn, "BEGIN; SET LOCAL lock_timeout = 100", error);
	if (ok && marker != NULL)
	{
		char	   *comment;

		ok = read_comment(conn, name, &comment, error);
		/* the transaction that gives it the comment may be prepared still */
		if (ok && (comment == NULL || strcmp(comment, marker) != 0))
			ok = has_nothing_prepared(conn, error) && read_comment(conn, name, &comment, error);
		if (ok && (comment == NULL || strcmp(comment, marker) != 0))
			return try_exec(conn, "ROLLBACK", error);
	}
	ok = ok && try_exec(conn, psprintf("DROP TABLE IF EXISTS %s CASCADE", name), error);
	if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
	{
		char	   *ignored;

		ok = try_exec(conn, ok ? "COMMIT" : "ROLLBACK", ok ? error : &ignored) && ok;
	}
	return ok;
}

/* Triggers, functions and tables of a log of a table's changes. */
static bool
drop_capture(CzConn *conn, const char *name, const char *prefix, char **error)
{
	static const char *const triggers[] = {"i", "u", "d", "t"};
	StringInfoData sql;
	int			i;

	/* a fence, which belongs to no one table, may be prepared still */
	if (name[0] == '\0' && !has_function(conn, psprintf("%sf", prefix)) &&
		!has_nothing_prepared(conn, error))
		return false;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SET LOCAL lock_timeout = 20;");
	for (i = 0; i < lengthof(triggers); i++)
		appendStringInfo(&sql, "DROP FUNCTION IF EXISTS cz_shards.%s CASCADE;",
						 quote_identifier(psprintf("%s%s", prefix, triggers[i])));
	/* a fence's goes after the table */
	appendStringInfo(&sql, "DROP FUNCTION IF EXISTS cz_shards.%s;",
					 quote_identifier(psprintf("%sf", prefix)));
	appendStringInfo(&sql, "DROP TABLE IF EXISTS cz_shards.%s, cz_shards.%s", quote_identifier(prefix),
					 quote_identifier(psprintf("%sb", prefix)));
	return try_exec(conn, sql.data, error);
}

/* One entry of the list; true if it is done with. */
static bool
clean_up(HeapTuple tuple, TupleDesc desc, char **error)
{
	char	   *server = SPI_getvalue(tuple, desc, COL_SERVER);
	char	   *user = SPI_getvalue(tuple, desc, COL_USER);
	char	   *kind = SPI_getvalue(tuple, desc, COL_KIND);
	char	   *name = SPI_getvalue(tuple, desc, COL_NAME);
	char	   *marker = SPI_getvalue(tuple, desc, COL_MARKER);
	Oid			server_oid = get_foreign_server_oid(server, true);
	Oid			user_oid = get_role_oid(user, true);
	char	   *message = NULL;
	char	   *sql = NULL;
	CzConn	   *conn;
	bool		ok;

	if (!OidIsValid(server_oid))
		return true;			/* the worker is gone, and what it had with it */
	if (strcmp(SPI_getvalue(tuple, desc, COL_MAY_BE_READ), "t") == 0)
	{
		*error = "a transaction may still read it";
		return false;
	}
	/* the comment by which it is known may be prepared there */
	if (!CzTxnWorkerIsClear(server_oid, OidIsValid(user_oid) ? user_oid : GetUserId()))
	{
		*error = "a committed transaction is not finished there";
		return false;
	}
	if (strcmp(kind, "capture") != 0 && marker == NULL)
	{
		sql = CzCleanupSql(kind, SPI_getvalue(tuple, desc, COL_SCHEMA), name,
						   SPI_getvalue(tuple, desc, COL_ARGS));
		if (sql == NULL)
			return true;
	}
	if (!OidIsValid(user_oid))
		user_oid = GetUserId();
	conn = CzConnTryAcquire(CzEndpointGet(server_oid, user_oid), &message);
	if (conn == NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not clean up node \"%s\"", server),
				 message ? errdetail_internal("%s", message) : 0));
		*error = "the node cannot be reached";
		return false;
	}
	if (sql != NULL)
	{
		PQclear(CzConnExec(conn, sql));
		ok = true;
	}
	else if (marker != NULL)
		ok = drop_table(conn, name, marker, error);
	else
		ok = drop_capture(conn, name, SPI_getvalue(tuple, desc, COL_ARGS), error);
	CzConnRelease(conn);
	return ok;
}

/* What an entry has failed with. */
static void
note_failure(Datum id, const char *error)
{
	Oid			argtypes[2] = {INT8OID, TEXTOID};
	Datum		values[2];

	values[0] = id;
	values[1] = CStringGetTextDatum(error);
	(void) SPI_execute_with_args("UPDATE cz.cleanup SET attempts = attempts OPERATOR(pg_catalog.+) 1, last_error = $2 WHERE cleanup_id OPERATOR(pg_catalog.=) $1",
								 2, argtypes, values, NULL, false, 0);
}

/*
 * CzCleanupIsLeft
 *		See cluster.h.
 */
int
CzCleanupIsLeft(const char *server_name, ArrayType *names)
{
	Oid			argtypes[2] = {TEXTOID, TEXTARRAYOID};
	Datum		values[2];
	int			result;

	values[0] = CStringGetTextDatum(server_name);
	values[1] = PointerGetDatum(names);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT FROM cz.cleanup c JOIN cz.move m ON m.move_id OPERATOR(pg_catalog.=) c.move_id"
							  " WHERE c.server_name OPERATOR(pg_catalog.=) $1::pg_catalog.name AND c.object_name OPERATOR(pg_catalog.=) ANY ($2)"
							  " AND m.phase OPERATOR(pg_catalog.=) ANY ('{switched,done,failed}'::text[])",
							  2, argtypes, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.cleanup");
	result = (int) SPI_processed;
	SPI_finish();
	return result;
}

/* Work off rows of the list, all that LIST_SQL gives. */
static int
clean_up_rows(int64 move_id, const char *server_name, ArrayType *names, int64 cleanup_id,
			  int *nleft)
{
	Oid			argtypes[4] = {INT8OID, TEXTOID, TEXTARRAYOID, INT8OID};
	Datum		values[4];
	char		nulls[5] = "    ";
	uint64		nrows;
	SPITupleTable *rows;
	int			ndone = 0;
	uint64		i;

	*nleft = 0;
	values[0] = Int64GetDatum(move_id);
	values[1] = server_name ? CStringGetTextDatum(server_name) : (Datum) 0;
	values[2] = names ? PointerGetDatum(names) : (Datum) 0;
	values[3] = Int64GetDatum(cleanup_id);
	nulls[1] = server_name ? ' ' : 'n';
	nulls[2] = names ? ' ' : 'n';
	nulls[3] = cleanup_id > 0 ? ' ' : 'n';
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(LIST_SQL, 4, argtypes, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.cleanup");
	nrows = SPI_processed;
	rows = SPI_tuptable;
	for (i = 0; i < nrows; i++)
	{
		bool		isnull;
		Datum		id = SPI_getbinval(rows->vals[i], rows->tupdesc, COL_ID, &isnull);
		char	   *error = NULL;

		CHECK_FOR_INTERRUPTS();
		if (!clean_up(rows->vals[i], rows->tupdesc, &error))
		{
			note_failure(id, error ? error : "");
			(*nleft)++;
			continue;
		}
		(void) SPI_execute_with_args("DELETE FROM cz.cleanup WHERE cleanup_id OPERATOR(pg_catalog.=) $1",
									 1, argtypes, &id, NULL, false, 0);
		ndone++;
	}
	SPI_finish();
	return ndone;
}

/*
 * CzCleanUp
 *		See cluster.h.
 */
int
CzCleanUp(int64 move_id, const char *server_name, ArrayType *names, int *nleft)
{
	return clean_up_rows(move_id, server_name, names, 0, nleft);
}

/* Rows that no move has written and that are due: their ids, in this context. */
static List *
list_due(MemoryContext context)
{
	List	   *result = NIL;
	uint64		i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT c.cleanup_id FROM cz.cleanup c WHERE c.move_id IS NULL "
					"AND (c.not_before IS NULL OR c.not_before OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) "
					"ORDER BY c.cleanup_id", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.cleanup");
	for (i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		int64	   *id = palloc(sizeof(int64));
		bool		isnull;

		*id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1,
										  &isnull));
		result = lappend(result, id);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return result;
}

/* A row has failed: the next attempt is later each time, five minutes at most. */
static void
delay_row(int64 id, const char *error)
{
	Oid			argtypes[2] = {INT8OID, TEXTOID};
	Datum		values[2];

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	values[0] = Int64GetDatum(id);
	values[1] = CStringGetTextDatum(error);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) SPI_execute_with_args("UPDATE cz.cleanup SET attempts = attempts OPERATOR(pg_catalog.+) 1, last_error = coalesce($2, last_error), "
								 "not_before = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => least(300, 2 OPERATOR(pg_catalog.^) least(attempts, 10))) "
								 "WHERE cleanup_id OPERATOR(pg_catalog.=) $1",
								 2, argtypes, values, error[0] ? NULL : " n", false, 0);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* One row, in a transaction of its own; errors go to the log. */
static bool
clean_up_alone(int64 id, MemoryContext context)
{
	volatile bool is_done = false;

	PG_TRY();
	{
		int			nleft;

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		(void) clean_up_rows(0, NULL, NULL, id, &nleft);
		PopActiveSnapshot();
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
		is_done = nleft == 0;
		if (!is_done)
			delay_row(id, "");
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		CzTaskErrorToLog(context, NULL);
		delay_row(id, error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return is_done;
}

/*
 * CzCleanUpEach
 *		See cluster.h.
 */
bool
CzCleanUpEach(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "cz clean-up",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	bool		is_done;
	List	   *ids;
	ListCell   *lc;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	ids = list_due(context);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	foreach(lc, ids)
		(void) clean_up_alone(*(int64 *) lfirst(lc), context);

	/* those that are not due yet, too */
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT FROM cz.cleanup c WHERE c.move_id IS NULL LIMIT 1", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.cleanup");
	is_done = SPI_processed == 0;
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return is_done;
}
