/*-------------------------------------------------------------------------
 *
 * command.c
 *	  One command on one connection: run, wait, cancel; the prepared statements
 *	  that a connection has.
 *
 * Waiting never blocks interrupts, except in the functions for abort processing,
 * which are bounded in time instead.  Cancel requests are sent by a short-lived
 * child process: PQcancel waits for the worker to hang up, for ever if the
 * worker is stopped, and cannot be interrupted; a child can be killed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __linux__
#endif
#include <unistd.h>

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "remote_int.h"

/*
 * Prepared statements of one connection; each costs the worker a plan.  So many are
 * enough for 64 statements over 16 shards: who has more would prepare for ever.
 */
#define MAX_PREPARED 1024
/* Memory that the rows of one command may take which are collected: of those that
 * come in any number streams read one by one. */
#define MAX_RESULT_BYTES ((size_t) 1024 * 1024 * 1024)
/* Evicted names are deallocated together when there are so many. */
#define MAX_EVICTED 16

typedef struct PreparedKey
{
	const char *sql;			/* owned by cz_conn_context */
} PreparedKey;

typedef struct PreparedEntry
{
	PreparedKey key;			/* first */
	char		name[NAMEDATALEN];
	char	   *sql;			/* the same as key.sql */
	uint64		generation;		/* cz_shape_generation when it was prepared */
	dlist_node	lru;
} PreparedEntry;

/*
 * CzConnLogCommand
 *		See remote.h.
 */
void
CzConnLogCommand(const CzConn *conn, const char *sql)
{
	if (cz_log_remote_commands)
	{
		char	   *clean = CzRedact(sql, NULL);

		ereport(LOG,
				(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
				 errmsg("remote command on node \"%s\": %s", conn->node_name, clean),
				 errhidestmt(true), errhidecontext(true)));
		pfree(clean);
	}
}

/*
 * CzConnResultIsLoss
 *		See remote.h.
 */
bool
CzConnResultIsLoss(const CzConn *conn, const struct pg_result *res)
{
	const char *sqlstate;

	if (PQstatus(conn->pg) != CONNECTION_OK)
		return true;
	if (res == NULL)
		return false;
	sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	return sqlstate != NULL &&
		(strcmp(sqlstate, "57P01") == 0 ||	/* admin shutdown */
		 strcmp(sqlstate, "57P02") == 0 ||	/* crash shutdown */
		 strcmp(sqlstate, "57P03") == 0 ||	/* cannot connect now */
		 strncmp(sqlstate, "08", 2) == 0);
}

/*
 * CzConnEndpointOf
 *		See remote.h.
 */
bool
CzConnEndpointOf(const CzConn *conn, CzEndpoint *endpoint)
{
	PQconninfoOption *options = PQconninfo(conn->pg);
	PQconninfoOption *option;
	int			n = 0;

	if (options == NULL)
		return false;
	for (option = options; option->keyword; option++)
		n++;
	memset(endpoint, 0, sizeof(*endpoint));
	endpoint->server_oid = conn->server_oid;
	endpoint->user_oid = conn->user_oid;
	endpoint->umid = ENTRY(conn)->umid;
	endpoint->node_name = conn->node_name;
	endpoint->keywords = palloc0((n + 1) * sizeof(char *));
	endpoint->values = palloc0((n + 1) * sizeof(char *));
	for (option = options; option->keyword; option++)
	{
		if (option->val == NULL || option->val[0] == '\0')
			continue;
		endpoint->keywords[endpoint->noptions] = pstrdup(option->keyword);
		endpoint->values[endpoint->noptions++] = pstrdup(option->val);
	}
	PQconninfoFree(options);
	return true;
}

/* A second connection with the options of this one: does the worker answer? */
static bool
probe_same_worker(CzConn *conn, int timeout_ms)
{
	CzEndpoint	endpoint;

	return !CzConnEndpointOf(conn, &endpoint) || CzConnProbe(&endpoint, timeout_ms);
}

/*
 * CzConnAwait
 *		See remote_int.h.
 */
ConnWait
CzConnAwait(CzConn *conn, int events)
{
	CzWaitSlot	slot;

	slot.socket = PQsocket(conn->pg);
	slot.events = events;
	if (CzWaitSockets(&slot, 1, cz_worker_timeout_ms, true))
		return slot.is_ready ? CONN_WAIT_READY : CONN_WAIT_AGAIN;
	if (probe_same_worker(conn, cz_worker_timeout_ms))
		return CONN_WAIT_AGAIN;
	conn->is_broken = true;
	CzHealthMarkFailed(conn->server_oid);
	return CONN_WAIT_SILENT;
}

/*
 * CzConnSilent
 *		See remote_int.h.
 */
void
CzConnSilent(const CzConn *conn)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("node \"%s\" does not answer", conn->node_name),
			 errdetail("It was silent for %d ms, and so was a new connection to it.",
					   cz_worker_timeout_ms)));
}

/*
 * Collect what comes until the connection is idle; the last result, or the first one
 * of a COPY.  NULL: there was none, or is_broken is set.  Without error but for
 * interrupts.
 *
 * is_silent, is_too_long: out: why it is broken.
 * nchanged: gets the rows added that UPDATEs and DELETEs report; or NULL.
 */
static PGresult *
collect_result(CzConn *conn, bool *is_silent, bool *is_too_long, int64 *nchanged)
{
	PGconn	   *pg = conn->pg;
	PGresult   *volatile last = NULL;
	PGresult   *volatile rows = NULL;
	volatile bool is_done = false;

	*is_silent = *is_too_long = false;
	/* so that what is too much is seen before it is all there */
	(void) CzConnTakeRowsSoon(conn, CZ_UNSEEN_ROWS);
	PG_TRY();
	{
		while (!is_done)
		{
			int			flush = PQflush(pg);
			PGresult   *res;

			if (flush >= 0 && (flush > 0 || PQisBusy(pg)))
			{
				ConnWait	wait = CzConnAwait(conn, WL_SOCKET_READABLE |
											   (flush > 0 ? WL_SOCKET_WRITEABLE : 0));

				if (wait == CONN_WAIT_SILENT)
				{
					*is_silent = true;
					is_done = true;
				}
				if (wait != CONN_WAIT_READY || CzConnReceive(conn))
					continue;
			}
			/* the connection may be lost: what has come before is taken */
			if (PQstatus(pg) == CONNECTION_BAD && PQisBusy(pg))
				break;
			res = PQgetResult(pg);
			if (res == NULL)
				break;
			/* the tag of rows that come in chunks is on the last one, or behind them */
			if (nchanged != NULL && (strncmp(PQcmdStatus(res), "UPDATE", 6) == 0 ||
									 strncmp(PQcmdStatus(res), "DELETE", 6) == 0))
				*nchanged += strtoll(PQcmdTuples(res), NULL, 10);
			if (CzResultIsPart(res))
			{
				rows = CzResultAddRows(rows, res, MAX_RESULT_BYTES);
				*is_too_long = rows == NULL;
				is_done = rows == NULL;
				continue;
			}
			PQclear(last);
			last = res;
			is_done = CzResultIsCopy(res) || PQstatus(pg) == CONNECTION_BAD;
			if (PQresultStatus(res) == PGRES_TUPLES_OK && rows != NULL)
			{
				/* the end of rows that have come one by one */
				PQclear(last);
				last = rows;
				rows = NULL;
			}
		}
	}
	PG_CATCH();
	{
		PQclear(last);
		PQclear(rows);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQclear(rows);
	if (*is_silent || *is_too_long || PQstatus(pg) == CONNECTION_BAD)
		conn->is_broken = true;
	return last;
}

/* The last result, as collect_result has it, or the error that it is. */
static PGresult *
check_result(CzConn *conn, PGresult *last, bool is_silent, bool is_too_long, const char *sql,
			 ExecStatusType wanted)
{
	PGconn	   *pg = conn->pg;

	if (is_silent)
	{
		PQclear(last);
		CzConnSilent(conn);
	}
	if (is_too_long)
		CzConnViolated(conn, last, "It has more rows than can be taken at once.");

	if (last == NULL || PQstatus(pg) == CONNECTION_BAD || CzConnResultIsLoss(conn, last))
	{
		const char *sqlstate = last ? PQresultErrorField(last, PG_DIAG_SQLSTATE) : NULL;

		conn->is_broken = true;
		if (sqlstate == NULL || strncmp(sqlstate, "57P0", 4) == 0)
		{
			char	   *message = CzRedact(pchomp(PQerrorMessage(pg)), PQpass(pg));

			PQclear(last);
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("connection to node \"%s\" was lost", conn->node_name),
					 message[0] ? errdetail_internal("%s", message) : 0));
		}
	}
	if (PQresultStatus(last) != wanted &&
		(wanted != PGRES_COMMAND_OK || PQresultStatus(last) != PGRES_TUPLES_OK))
		CzConnUnexpected(conn, last, sql);
	return last;
}

/*
 * Wait for the last result of what was sent.  A worker that is silent for
 * cz.worker_timeout is probed; without an answer the connection is broken.
 *
 * wanted: PGRES_COMMAND_OK, which stands for PGRES_TUPLES_OK too, or a COPY.
 */
static PGresult *
get_last_result(CzConn *conn, const char *sql, ExecStatusType wanted)
{
	bool		is_silent;
	bool		is_too_long;
	PGresult   *last = collect_result(conn, &is_silent, &is_too_long, NULL);

	return check_result(conn, last, is_silent, is_too_long, sql, wanted);
}

/* Before a command: nobody else's result is on the wire, no pipeline. */
static void
make_ready(CzConn *conn)
{
	CzConnDrain(conn);
	if (PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF && !PQexitPipelineMode(conn->pg))
	{
		conn->is_broken = true;
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to node \"%s\" is busy with another command",
						conn->node_name)));
	}
}

static void
report_send_failure(CzConn *conn, const char *sql)
{
	conn->is_broken = true;
	CzReportRemoteError(ERROR, NULL, conn->pg, conn->node_name, sql, false);
}

/*
 * CzConnExec
 *		See remote.h.
 */
struct pg_result *
CzConnExec(CzConn *conn, const char *sql)
{
	make_ready(conn);
	CzConnLogCommand(conn, sql);
	if (!PQsendQuery(conn->pg, sql))
		report_send_failure(conn, sql);
	return get_last_result(conn, sql, PGRES_COMMAND_OK);
}

/*
 * CzConnExecCount
 *		See remote.h.
 */
int64
CzConnExecCount(CzConn *conn, const char *sql, const char *shown)
{
	bool		is_silent;
	bool		is_too_long;
	int64		nrows = 0;
	PGresult   *res;

	make_ready(conn);
	CzConnLogCommand(conn, sql);
	if (!PQsendQuery(conn->pg, sql))
		report_send_failure(conn, shown);
	res = collect_result(conn, &is_silent, &is_too_long, &nrows);
	PQclear(check_result(conn, res, is_silent, is_too_long, shown, PGRES_COMMAND_OK));
	return nrows;
}

/*
 * CzConnQuery
 *		See remote.h.
 */
struct pg_result *
CzConnQuery(CzConn *conn, const char *sql, int min_rows, int max_rows, int ncolumns)
{
	PGresult   *res = CzConnExec(conn, sql);

	CzConnCheckRows(conn, res, min_rows, max_rows, ncolumns);
	return res;
}

/*
 * CzConnTryExec
 *		See remote.h.
 */
struct pg_result *
CzConnTryExec(CzConn *conn, const char *sql)
{
	bool		is_silent;
	bool		is_too_long;
	PGresult   *res;

	if (conn->is_broken || PQstatus(conn->pg) != CONNECTION_OK)
		return NULL;
	make_ready(conn);
	CzConnLogCommand(conn, sql);
	if (!PQsendQuery(conn->pg, sql))
	{
		conn->is_broken = true;
		return NULL;
	}
	res = collect_result(conn, &is_silent, &is_too_long, NULL);
	if (res == NULL || CzResultIsCopy(res) || CzConnResultIsLoss(conn, res))
		conn->is_broken = true;
	if (!conn->is_broken)
		return res;
	PQclear(res);
	return NULL;
}

/*
 * CzConnAsk
 *		See remote.h.
 */
char *
CzConnAsk(CzConn *conn, const char *sql)
{
	PGresult   *res = CzConnTryExec(conn, sql);
	char	   *answer = NULL;

	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0 &&
		PQnfields(res) > 0 && !PQgetisnull(res, 0, 0))
		answer = pstrdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	return answer;
}

/*
 * CzConnStartCopy
 *		See remote.h.
 */
void
CzConnStartCopy(CzConn *conn, const char *sql, bool is_in)
{
	make_ready(conn);
	CzConnLogCommand(conn, sql);
	if (!PQsendQuery(conn->pg, sql))
		report_send_failure(conn, sql);
	PQclear(get_last_result(conn, sql, is_in ? PGRES_COPY_IN : PGRES_COPY_OUT));
}

/*
 * CzConnExecPrepared
 *		See remote.h.
 */
struct pg_result *
CzConnExecPrepared(CzConn *conn, const char *sql, int nparams, const char *const *values)
{
	const char *name;

	make_ready(conn);
	CzConnLogCommand(conn, sql);
	name = CzConnPrepared(conn, sql);
	if (name == NULL)
	{
		name = CzConnNewStatementName(conn);
		if (!PQsendPrepare(conn->pg, name, sql, 0, NULL))
			report_send_failure(conn, sql);
		PQclear(get_last_result(conn, sql, PGRES_COMMAND_OK));
		CzConnRememberPrepared(conn, sql, name);
	}
	if (!PQsendQueryPrepared(conn->pg, name, nparams, values, NULL, NULL, 0))
		report_send_failure(conn, sql);
	return get_last_result(conn, sql, PGRES_COMMAND_OK);
}

/*
 * Wait without interrupts until libpq has a result or end; false at the deadline
 * or when the connection is lost.
 */
static bool
wait_quietly(CzConn *conn, TimestampTz deadline)
{
	PGconn	   *pg = conn->pg;

	for (;;)
	{
		int			flush = PQflush(pg);
		long		left_ms = -1;
		int			events = WL_EXIT_ON_PM_DEATH | WL_SOCKET_READABLE;

		if (flush < 0)
			return false;
		if (flush == 0 && !PQisBusy(pg))
			return true;
		if (PQstatus(pg) != CONNECTION_OK)
			return false;
		if (flush > 0)
			events |= WL_SOCKET_WRITEABLE;
		if (deadline != 0)
		{
			left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
			if (left_ms <= 0)
				return false;
			events |= WL_TIMEOUT;
		}
		if ((WaitLatchOrSocket(NULL, events, PQsocket(pg), left_ms,
							   PG_WAIT_EXTENSION) & WL_SOCKET_READABLE) &&
			!CzConnReceive(conn))
			return false;
	}
}

/* A worker that always has more to say does not move a deadline. */
static bool
is_over(TimestampTz deadline)
{
	return deadline != 0 && GetCurrentTimestamp() >= deadline;
}

/*
 * CzConnExecQuiet
 *		See remote.h.
 */
struct pg_result *
CzConnExecQuiet(CzConn *conn, const char *sql, int timeout_ms)
{
	PGconn	   *pg = conn->pg;
	TimestampTz deadline = timeout_ms < 0 ? 0 :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	PGresult   *last = NULL;
	PGresult   *rows = NULL;

	if (conn->is_broken || PQstatus(pg) != CONNECTION_OK)
	{
		conn->is_broken = true;
		return NULL;
	}
	if (PQpipelineStatus(pg) != PQ_PIPELINE_OFF && !PQexitPipelineMode(pg))
	{
		conn->is_broken = true;
		return NULL;
	}
	CzConnLogCommand(conn, sql);
	if (!PQsendQuery(pg, sql))
	{
		conn->is_broken = true;
		return NULL;
	}
	(void) CzConnTakeRowsSoon(conn, CZ_UNSEEN_ROWS);
	for (;;)
	{
		PGresult   *res;

		if (!wait_quietly(conn, deadline))
			break;
		res = PQgetResult(pg);
		if (res == NULL)
		{
			PQclear(rows);
			if (PQstatus(pg) != CONNECTION_OK)
				conn->is_broken = true;
			return last;
		}
		if (CzResultIsPart(res))
		{
			rows = CzResultAddRows(rows, res, MAX_RESULT_BYTES);
			if (rows == NULL || is_over(deadline))
				break;
			continue;
		}
		PQclear(last);
		last = res;
		if (CzResultIsCopy(res) || is_over(deadline))
			break;
		if (PQresultStatus(res) == PGRES_TUPLES_OK && rows != NULL)
		{
			PQclear(last);
			last = rows;
			rows = NULL;
		}
	}
	conn->is_broken = true;
	PQclear(last);
	PQclear(rows);
	return NULL;
}

/* Take what a cancelled COPY still sends; false if it did not end by the deadline. */
static bool
discard_copy_data(CzConn *conn, TimestampTz deadline)
{
	char	   *buffer;
	int			len;

	while ((len = PQgetCopyData(conn->pg, &buffer, 1)) >= 0)
	{
		if (len > 0)
			PQfreemem(buffer);
		if (is_over(deadline))
			return false;
		if (len == 0)
		{
			(void) WaitLatchOrSocket(NULL,
									 WL_EXIT_ON_PM_DEATH | WL_SOCKET_READABLE | WL_TIMEOUT,
									 PQsocket(conn->pg), 1, PG_WAIT_EXTENSION);
			if (!CzConnReceive(conn))
				return false;
		}
	}
	return true;
}

/*
 * Throw away results until the connection is idle; false if that failed: then it
 * must be closed.  A deadline in the past: only what is there already.
 *
 * Whatever the worker sends, this ends: each turn of a loop takes something out of
 * libpq's buffer, which is filled only while the deadline is not over.
 */
static bool
discard_results(CzConn *conn, TimestampTz deadline)
{
	PGconn	   *pg = conn->pg;
	bool		only_arrived = is_over(deadline);
	int			nulls = 0;

	if (PQpipelineStatus(pg) != PQ_PIPELINE_OFF)
	{
		bool		may_exit = true;

		/* a refusal to exit adds to the error message: not to be asked at each row */
		while (!may_exit || !PQexitPipelineMode(pg))
		{
			PGresult   *res;

			/* some rows at a time, or libpq would collect the whole result */
			(void) CzConnTakeRowsSoon(conn, CZ_UNSEEN_ROWS);
			if (PQstatus(pg) != CONNECTION_OK || !wait_quietly(conn, deadline))
				return false;
			res = PQgetResult(pg);

			/*
			 * An empty queue gives NULL for ever: commands were sent without a
			 * sync after them, so their end cannot be told.  A COPY cannot be in
			 * a pipeline; nothing ends it there.
			 */
			nulls = res == NULL ? nulls + 1 : 0;
			may_exit = res == NULL || PQresultStatus(res) == PGRES_PIPELINE_SYNC;
			if (CzResultIsCopy(res) || nulls > 10 || (!only_arrived && is_over(deadline)))
			{
				PQclear(res);
				return false;
			}
			PQclear(res);
		}
	}
	for (;;)
	{
		PGresult   *res;
		ExecStatusType status;

		(void) CzConnTakeRowsSoon(conn, CZ_UNSEEN_ROWS);
		if ((PQtransactionStatus(pg) == PQTRANS_ACTIVE || PQisBusy(pg)) &&
			!wait_quietly(conn, deadline))
			return false;
		res = PQgetResult(pg);
		if (res == NULL)
			break;
		status = PQresultStatus(res);
		PQclear(res);
		if (!only_arrived && is_over(deadline))
			return false;
		/* it may be ours; only_arrived: the worker has it still to come to rest */
		if (status == PGRES_COPY_IN &&
			(only_arrived || PQputCopyEnd(pg, "canceled") != 1))
			return false;
		if (status == PGRES_COPY_OUT && !discard_copy_data(conn, deadline))
			return false;
		if (status == PGRES_COPY_BOTH)
			return false;
	}
	return PQstatus(pg) == CONNECTION_OK && PQtransactionStatus(pg) != PQTRANS_ACTIVE;
}

/*
 * CzConnCancelMany
 *		See remote.h.
 */
void
CzConnCancelMany(CzConn **conns, int nconns, int timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	CzCancel   *cancels;
	int			i;

	cancels = MemoryContextAllocExtended(cz_conn_context, nconns * sizeof(CzCancel),
										 MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	for (i = 0; i < nconns; i++)
	{
		CzConn	   *conn = conns[i];

		conn->busy_owner = NULL;
		conn->busy_drain = NULL;
		if (cancels == NULL)
			conn->is_broken = true;
		if (conn->is_broken || PQstatus(conn->pg) != CONNECTION_OK)
			conn->is_broken = true;
		else if (PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE &&
				 !(CzConnReceive(conn) && discard_results(conn, 1)))
			CzCancelStart(&cancels[i], conn, timeout_ms);
	}
	if (cancels == NULL)
		return;

	/*
	 * A cancel request may arrive after the command has ended and then hit the
	 * next one: so wait for the request first, which the worker has seen when it
	 * closes that connection.
	 */
	for (i = 0; i < nconns; i++)
	{
		CzCancelAwait(cancels, nconns, i, deadline);
		if (!conns[i]->is_broken && !discard_results(conns[i], deadline))
		{
			conns[i]->is_broken = true;
			/* one that was closed meanwhile says nothing of its worker */
			if (PQstatus(conns[i]->pg) == CONNECTION_OK)
				CzHealthMarkFailed(conns[i]->server_oid);
		}
	}
	pfree(cancels);
}

/*
 * CzConnCancel
 *		See remote.h.
 */
bool
CzConnCancel(CzConn *conn, int timeout_ms)
{
	CzConnCancelMany(&conn, 1, timeout_ms);
	return !conn->is_broken;
}

static uint32
prepared_hash(const void *key, Size keysize)
{
	const char *sql = ((const PreparedKey *) key)->sql;

	return hash_bytes((const unsigned char *) sql, strlen(sql));
}

static int
prepared_match(const void *a, const void *b, Size keysize)
{
	return strcmp(((const PreparedKey *) a)->sql, ((const PreparedKey *) b)->sql);
}

/*
 * CzConnPrepared
 *		See remote.h.
 */
const char *
CzConnPrepared(CzConn *conn, const char *sql)
{
	PreparedKey key;
	PreparedEntry *found;

	if (conn->prepared == NULL)
		return NULL;
	key.sql = sql;
	found = hash_search(conn->prepared, &key, HASH_FIND, NULL);
	/* a worker refuses one whose columns have other types now, and the transaction fails */
	if (found == NULL || found->generation != cz_shape_generation)
		return NULL;
	dlist_delete(&found->lru);
	dlist_push_tail(&ENTRY(conn)->prepared_lru, &found->lru);
	return found->name;
}

/*
 * CzConnNewStatementName
 *		A name that this connection has not used; palloc'd.
 */
char *
CzConnNewStatementName(CzConn *conn)
{
	return psprintf("cz_%llu", (unsigned long long) ++ENTRY(conn)->statement_seq);
}

/*
 * CzConnRememberPrepared
 *		See remote.h.
 */
void
CzConnRememberPrepared(CzConn *conn, const char *sql, const char *name)
{
	ConnEntry  *entry = ENTRY(conn);
	PreparedKey key;
	PreparedEntry *slot;
	MemoryContext oldcontext;
	char	   *copy;
	bool		found;

	if (conn->prepared == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(PreparedKey);
		ctl.entrysize = sizeof(PreparedEntry);
		ctl.hash = prepared_hash;
		ctl.match = prepared_match;
		ctl.hcxt = cz_conn_context;
		conn->prepared = hash_create("cz_fdw prepared statements", MAX_PREPARED, &ctl,
									 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
									 HASH_CONTEXT);
	}

	oldcontext = MemoryContextSwitchTo(cz_conn_context);
	if (entry->nprepared >= MAX_PREPARED)
	{
		PreparedEntry *oldest = dlist_container(PreparedEntry, lru,
												dlist_head_node(&entry->prepared_lru));
		char	   *old_sql = oldest->sql;

		entry->evicted = lappend(entry->evicted, pstrdup(oldest->name));
		dlist_delete(&oldest->lru);
		key.sql = old_sql;
		hash_search(conn->prepared, &key, HASH_REMOVE, NULL);
		pfree(old_sql);
		entry->nprepared--;
	}

	copy = pstrdup(sql);
	key.sql = copy;
	slot = hash_search(conn->prepared, &key, HASH_ENTER, &found);
	if (found)
	{
		pfree(copy);
		if (strcmp(slot->name, name) != 0)
			entry->evicted = lappend(entry->evicted, pstrdup(slot->name));
	}
	else
	{
		slot->sql = copy;
		dlist_push_tail(&entry->prepared_lru, &slot->lru);
		entry->nprepared++;
	}
	slot->generation = cz_shape_generation;
	strlcpy(slot->name, name, NAMEDATALEN);
	MemoryContextSwitchTo(oldcontext);
}

/* Free what is known of prepared statements; the connection is being closed. */
void
CzPreparedForget(ConnEntry *entry)
{
	if (entry->pub.prepared != NULL)
	{
		HASH_SEQ_STATUS scan;
		PreparedEntry *slot;

		hash_seq_init(&scan, entry->pub.prepared);
		while ((slot = hash_seq_search(&scan)) != NULL)
			pfree(slot->sql);
		hash_destroy(entry->pub.prepared);
		entry->pub.prepared = NULL;
	}
	list_free_deep(entry->evicted);
	entry->evicted = NIL;
}

/* Deallocate evicted statements on an idle connection, when there are enough. */
void
CzPreparedFlush(ConnEntry *entry)
{
	StringInfoData sql;
	ListCell   *lc;
	PGresult   *res;

	if (list_length(entry->evicted) < MAX_EVICTED)
		return;
	initStringInfo(&sql);
	foreach(lc, entry->evicted)
		appendStringInfo(&sql, "DEALLOCATE %s;", (char *) lfirst(lc));
	res = CzConnTryExec(&entry->pub, sql.data);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		entry->pub.is_broken = true;
	PQclear(res);
	pfree(sql.data);
	list_free_deep(entry->evicted);
	entry->evicted = NIL;
}
