/*-------------------------------------------------------------------------
 *
 * stream_single.c
 *	  A command that is a transaction of its own on its worker: one message, one answer.
 *
 * The worker commits when it has carried the command out, so from the moment when it
 * is sent on an error here says nothing about it.  Whatever ends the wait (a cancel, a
 * timeout, a deadlock), the worker is asked to stop, and its answer decides: what it
 * refused is rolled back and the error is raised, what it has carried out is committed and
 * the error came too late.  Without an answer the outcome is not known: 08007.
 *
 * Rows of RETURNING come before the commit, and are the client's only after it: they are
 * held until the command is complete.  What is done with them here then must not fail, so
 * they are few, of plain types, and as the worker gives them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "cz/counters.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* Rows of RETURNING that are held here; as they are expected. */
#define MAX_RETURNED_ROWS 100
/* Bytes of a row that is returned as it was given. */
#define MAX_RETURNED_BYTES 65536
/* What a worker gets to answer once nobody wants to wait any more, milliseconds. */
#define SETTLE_MS 3000

typedef enum SingleState
{
	SINGLE_RUNS,
	SINGLE_ENDED,				/* error, or is_complete */
	SINGLE_LOST					/* nobody knows */
} SingleState;

typedef struct SingleCommand
{
	CzConn	   *conn;
	CzEndpoint *endpoint;
	const char *sql;
	bool		in_pipeline;	/* PREPARE goes before it */
	char	   *preparing;		/* name of the statement; or NULL */
	bool		is_prepared;	/* the answer to that has come */
	bool		is_complete;	/* carried out */
	uint64		nrows;			/* valid with is_complete */
	PGresult   *rows;			/* of RETURNING; valid with is_complete */
	bool		has_rows;		/* rows are expected */
	PGresult   *error;			/* the worker's; it has rolled back */
	MemoryContextCallback callback; /* frees it */
} SingleCommand;

static void
free_results(void *arg)
{
	SingleCommand *command = arg;

	PQclear(command->error);
	PQclear(command->rows);
	command->error = command->rows = NULL;
}

/* A type whose values can be read from the wire, and written to the client, without failing. */
static bool
is_plain_type(Oid type_oid)
{
	switch (type_oid)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case BYTEAOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case UUIDOID:
		case JSONOID:
		case JSONBOID:
			return true;
		default:
			return false;
	}
}

/*
 * returns_safely
 *		May the rows of RETURNING be held until the worker has committed?  They are few,
 *		and nothing is left to do with them here that could fail, or that could wait for
 *		a client who does not read (interrupts are held).
 */
static bool
returns_safely(const CzStream *stream)
{
	const Plan *node = stream->parent->plan;
	Size		nbytes = 0;
	ListCell   *lc;
	int			i;

	if (pg_get_client_encoding() != GetDatabaseEncoding() || node->qual != NIL)
		return false;
	foreach(lc, node->targetlist)
	{
		const Node *expr = (const Node *) ((TargetEntry *) lfirst(lc))->expr;

		if ((!IsA(expr, Var) && !IsA(expr, Const)) || !is_plain_type(exprType(expr)))
			return false;
	}
	for (i = 0; i < stream->tupdesc->natts; i++)
	{
		if (!is_plain_type(TupleDescAttr(stream->tupdesc, i)->atttypid))
			return false;
	}
	if (!stream->plan->gives_rows)
		return node->plan_rows <= MAX_RETURNED_ROWS;
	for (i = 0; i < stream->plan->nparams; i++)
		nbytes += stream->param_values[i] != NULL ? strlen(stream->param_values[i]) : 0;
	return nbytes <= MAX_RETURNED_BYTES;
}

/*
 * CzStreamMayBeSingle
 *		Is the run's one command, in the transaction as it is now, all of it?
 */
bool
CzStreamMayBeSingle(const CzStream *stream)
{
	const CzFragmentPlan *plan = stream->plan;
	const PlannedStmt *stmt = stream->estate->es_plannedstmt;
	const CzShard *shard;

	if (stream->nfragments != 1)
		return false;
	/* not while another placement is to be made whole again */
	shard = CzShardOfFragment(plan->anchor_relid, &stream->fragments[0]);
	return shard != NULL && !CzShardIsReplicated(shard) && shard->nplacements == 1 &&
		stream->fragments[0].nplacements == 1 && stream->nships == 0 &&
		plan->checks == NIL && plan->conflict_checks == NIL &&
		stmt != NULL && stmt->planTree == stream->parent->plan && CzTxnMayBeSingle(stmt) &&
		(!stmt->hasReturning || returns_safely(stream));
}

/* The number of rows in a command tag; false: it has none. */
static bool
take_count(SingleCommand *command, PGresult *res)
{
	const char *text = PQcmdTuples(res);
	char	   *end;

	errno = 0;
	command->nrows = strtou64(text, &end, 10);
	command->is_complete = isdigit((unsigned char) text[0]) && *end == '\0' &&
		errno == 0 && command->nrows <= PG_INT64_MAX;
	return command->is_complete;
}

/* Take an error; false: the connection's, which says nothing about the command. */
static bool
take_error(SingleCommand *command, PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	bool		is_ended = sqlstate != NULL && strcmp(sqlstate, "57P01") == 0;

	/* an administrator's end of the session comes before a commit or after its answer */
	if (sqlstate == NULL || (CzConnResultIsLoss(command->conn, res) && !is_ended))
	{
		PQclear(res);
		return false;
	}
	if (is_ended)
		command->conn->is_broken = true;
	/* a statement that the worker has not, or not like that: not again */
	if (strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "0A000") == 0)
		command->conn->is_broken = true;
	if (command->error == NULL)
		command->error = res;
	else
		PQclear(res);
	return true;
}

/*
 * take_answers
 *		Take what has arrived.  Throws nothing.
 */
static SingleState
take_answers(SingleCommand *command)
{
	PGconn	   *pg = command->conn->pg;
	int			nulls = 0;

	for (;;)
	{
		PGresult   *res;
		bool		is_known = command->error != NULL || command->is_complete;

		if (command->error != NULL && command->conn->is_broken)
			return SINGLE_ENDED;
		if (PQisBusy(pg))
			return PQstatus(pg) == CONNECTION_OK ? SINGLE_RUNS : SINGLE_LOST;
		res = PQgetResult(pg);
		if (res == NULL)
		{
			if (!command->in_pipeline)
				return is_known && PQstatus(pg) == CONNECTION_OK ? SINGLE_ENDED : SINGLE_LOST;
			if (PQstatus(pg) != CONNECTION_OK || ++nulls > MAX_NULLS)
				return SINGLE_LOST;
			continue;
		}
		nulls = 0;
		switch (PQresultStatus(res))
		{
			case PGRES_PIPELINE_SYNC:
				PQclear(res);
				if (!PQexitPipelineMode(pg))
					command->conn->is_broken = true;
				return is_known ? SINGLE_ENDED : SINGLE_LOST;
			case PGRES_PIPELINE_ABORTED:
				PQclear(res);
				break;
			case PGRES_COMMAND_OK:
				if (command->preparing != NULL && !command->is_prepared)
					command->is_prepared = true;
				else if (is_known || !take_count(command, res))
				{
					PQclear(res);
					return SINGLE_LOST;
				}
				PQclear(res);
				break;
			case PGRES_TUPLES_OK:
				if (!command->has_rows || is_known || !take_count(command, res) ||
					PQntuples(res) != command->nrows)
				{
					PQclear(res);
					return SINGLE_LOST;
				}
				command->rows = res;
				break;
			case PGRES_FATAL_ERROR:
				if (!take_error(command, res))
					return SINGLE_LOST;
				break;
			default:
				PQclear(res);
				return SINGLE_LOST;
		}
	}
}

/* Wait for the end; may throw, as any wait. */
static SingleState
await_end(SingleCommand *command)
{
	for (;;)
	{
		int			flush = PQflush(command->conn->pg);
		SingleState state = take_answers(command);
		CzWaitSlot	slot;

		if (state != SINGLE_RUNS)
			return state;
		slot.socket = PQsocket(command->conn->pg);
		slot.events = WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
		if (CzWaitSockets(&slot, 1, cz_worker_timeout_ms, true))
		{
			if (slot.is_ready)
				(void) CzConnReceive(command->conn);
		}
		else if (!CzConnProbe(command->endpoint, cz_worker_timeout_ms))
		{
			CzHealthMarkFailed(command->conn->server_oid);
			return SINGLE_LOST;
		}
	}
}

/* Nobody waits any more: ask the worker to stop, and what it has done.  Throws nothing. */
static SingleState
settle(SingleCommand *command)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SETTLE_MS);
	SingleState state = take_answers(command);

	if (state == SINGLE_RUNS)
		CzConnRequestCancel(command->conn, SETTLE_MS);
	while (state == SINGLE_RUNS)
	{
		long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		CzWaitSlot	slot;

		if (left_ms <= 0)
			return SINGLE_LOST;
		(void) PQflush(command->conn->pg);
		slot.socket = PQsocket(command->conn->pg);
		slot.events = WL_SOCKET_READABLE;
		if (CzWaitSockets(&slot, 1, left_ms, false) && slot.is_ready)
			(void) CzConnReceive(command->conn);
		state = take_answers(command);
	}
	return state;
}

/* await_end(), and what an error in it comes to. */
static SingleState
run(SingleCommand *command)
{
	MemoryContext context = CurrentMemoryContext;
	volatile SingleState state = SINGLE_LOST;
	ErrorData  *volatile edata = NULL;

	CzTxnSingleBegin();
	PG_TRY();
	{
		state = await_end(command);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (edata == NULL)
		return state;

	HOLD_INTERRUPTS();
	state = settle(command);
	RESUME_INTERRUPTS();
	if (state == SINGLE_ENDED && !command->is_complete)
	{
		CzTxnSingleEnd(NULL);
		ReThrowError(edata);
	}
	if (state == SINGLE_LOST)
	{
		command->conn->is_broken = true;
		CzTxnSingleEnd(NULL);
		CzCount(CZ_COUNT_IN_DOUBT);
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("gave up waiting for node \"%s\": %s", command->conn->node_name,
						edata->message),
				 errdetail("It is not known whether the statement was carried out."),
				 errhint("Look at the data before you repeat the statement.")));
	}
	FreeErrorData(edata);
	return state;
}

/* Put the command on its way.  An error here: the worker has not got it. */
static void
send_command(CzStream *stream, SingleCommand *command)
{
	CzConn	   *conn = command->conn;
	const char *name = CzConnPrepared(conn, command->sql);
	FragmentParams params;
	int			format = stream->is_binary ? 1 : 0;
	bool		ok = true;

	CzFragmentParams(stream, &stream->fragments[0], &params);
	CzConnLogCommand(conn, command->sql);
	if (name == NULL && params.nparams > 0)
	{
		command->in_pipeline = true;
		name = command->preparing = CzConnNewStatementName(conn);
		ok = PQenterPipelineMode(conn->pg) &&
			PQsendPrepare(conn->pg, name, command->sql, 0, NULL);
	}
	if (ok && name != NULL)
		ok = PQsendQueryPrepared(conn->pg, name, params.nparams, params.values,
								 params.lengths, params.formats, format);
	else if (ok)
		ok = PQsendQueryParams(conn->pg, command->sql, params.nparams, NULL, params.values,
							   params.lengths, params.formats, format);
	if (ok && command->in_pipeline)
		ok = PQpipelineSync(conn->pg);
	if (!ok)
	{
		conn->is_broken = true;
		CzReportRemoteError(ERROR, NULL, conn->pg, conn->node_name, command->sql, false);
	}
}

/* A connection outside of any transaction, with this session's settings. */
static CzConn *
get_conn(CzStream *stream, CzEndpoint *endpoint)
{
	CzConn	   *conn;
	const char *name_sql;

	CzTxnCheckMayWrite();
	CzTxnRequireClear(endpoint->server_oid, stream->user_oid);
	conn = CzConnAcquireCached(endpoint, false);
	if (conn == NULL)
		conn = CzConnAcquire(endpoint);
	CzConnSyncSettings(conn);
	name_sql = CzConnNameCommand(conn);
	if (name_sql != NULL)
		PQclear(CzConnExec(conn, name_sql));
	return conn;
}

/*
 * CzStreamRunSingle
 *		Carry out a run for which CzStreamMayBeSingle is true, in run_context.
 *
 * Returns: rows that were changed; those of RETURNING are the stream's result.  The
 *			worker has committed, and interrupts are held.
 * Errors:  the worker's, and those of waits: nothing was changed; 08007: not known.
 */
uint64
CzStreamRunSingle(CzStream *stream)
{
	Fragment   *fragment = &stream->fragments[0];
	SingleCommand *command = palloc0(sizeof(SingleCommand));
	StreamWorker *worker = palloc0(sizeof(StreamWorker));
	CzConn	   *conn;

	worker->server_oid = fragment->server_oids[0];
	worker->endpoint = CzEndpointGet(worker->server_oid, stream->user_oid);
	worker->max_conns = 1;
	worker->nfragments = 1;
	stream->workers = lappend(stream->workers, worker);
	fragment->worker = worker;

	command->endpoint = worker->endpoint;
	command->sql = fragment->sql;
	command->has_rows = stream->plan->has_returning;
	command->callback.func = free_results;
	command->callback.arg = command;
	MemoryContextRegisterResetCallback(stream->run_context, &command->callback);
	command->conn = conn = get_conn(stream, worker->endpoint);
	send_command(stream, command);

	if (run(command) == SINGLE_LOST)
	{
		char	   *message = CzRedact(pchomp(PQerrorMessage(conn->pg)), PQpass(conn->pg));

		conn->is_broken = true;
		CzTxnSingleEnd(NULL);
		CzCount(CZ_COUNT_IN_DOUBT);
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("connection to node \"%s\" was lost during a statement that it commits",
						conn->node_name),
				 errdetail("It is not known whether the statement was carried out.%s%s",
						   message[0] ? " " : "", message),
				 errhint("Look at the data before you repeat the statement.")));
	}
	if (command->error != NULL)
	{
		PGresult   *error = command->error;

		command->error = NULL;
		CzTxnSingleEnd(NULL);
		if (command->is_prepared && !conn->is_broken)
			CzConnRememberPrepared(conn, command->sql, command->preparing);
		CzConnUnexpected(conn, error, command->sql);
	}
	CzTxnSingleEnd(conn->node_name);
	if (command->is_prepared)
		CzConnRememberPrepared(conn, command->sql, command->preparing);
	CzConnRelease(conn);
	worker->nrows = command->nrows;
	/* freed with the stream from now on */
	stream->res = command->rows;
	stream->res_row = 0;
	stream->res_fragment = fragment;
	command->rows = NULL;
	return command->nrows;
}
