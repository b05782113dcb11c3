/*-------------------------------------------------------------------------
 *
 * stream_run.c
 *	  The engine of a stream: waiting, and what connections bring.
 *
 * Each worker has a queue of fragments; stream_conn.c sends them.  On one connection fragments travel in a pipeline whose depth grows while they
 * are quick.  Sockets are read only when the consumer wants rows, so a slow
 * consumer stops the workers and memory stays bounded.
 *
 * A lost worker's unfinished fragments move to their next placements.  The
 * invariant that makes this right: a fragment that may move has not shown any
 * row to the consumer.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/counters.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* What workers get to stop what is no longer wanted, milliseconds. */
#define STOP_MS 2000

/* How long the end of a command that is no longer wanted is waited for, milliseconds. */
#define GRACE_MS 3

/* Rows that are thrown away rather than cancel the command that makes them. */
#define MAX_DROPPED_ROWS 1000

/* Rows stored between two looks at interrupts. */
#define ROWS_BETWEEN_INTERRUPTS 1000

/* A fragment with more rows than this is read in chunks; of so many bytes, at most. */
#define LONG_RESULT_ROWS 500
#define MAX_CHUNK_BYTES 16384

typedef enum ProcessResult
{
	PROCESS_BLOCKED,			/* needs input */
	PROCESS_ROW,				/* stream->res has rows */
	PROCESS_LOST				/* the worker's connections are gone */
} ProcessResult;

/*
 * CzRunSnapshotKnown
 *		The answer to pg_export_snapshot().
 */
void
CzRunSnapshotKnown(CzStream *stream, StreamConn *sc, const PGresult *res)
{
	GroupWorker *gw = CzGroupWorkerGet(stream->group, sc->worker->server_oid,
									   stream->user_oid);

	if (PQntuples(res) == 1 && PQnfields(res) == 1)
		gw->snapshot_id = MemoryContextStrdup(stream->estate->es_query_cxt,
											  PQgetvalue(res, 0, 0));
	gw->exporter = NULL;
	CzSnapshotCheckLate(stream, sc->worker->endpoint->node_name);
}

/*
 * CzRunReadAll
 *		Read all rows into stores.
 */
void
CzRunReadAll(CzStream *stream)
{
	int			i;

	if (!stream->is_started)
		CzRunStart(stream);
	for (i = 0; i < stream->nfragments; i++)
		stream->fragments[i].is_held = true;
	while (stream->ndone < stream->nfragments)
		CzRunPump(stream, NULL, true);
}

/*
 * CzFragmentCount
 *		Rows of a fragment have come, or, negative, do not count any more.
 */
void
CzFragmentCount(CzStream *stream, Fragment *fragment, int64 nrows, int64 nbytes)
{
	fragment->nrows += nrows;
	fragment->nbytes += nbytes;
	fragment->worker->nrows += nrows;
	fragment->worker->nbytes += nbytes;
	stream->total_rows += nrows;
	stream->total_bytes += nbytes;
}

static void
fragment_done(CzStream *stream, StreamConn *sc, Fragment *fragment)
{
	StreamWorker *worker = sc->worker;
	TimestampTz now = GetCurrentTimestamp();
	double		ms = (now - fragment->sent_at) / 1000.0;

	fragment->state = FRAGMENT_DONE;
	fragment->ms = ms;
	stream->ndone++;
	worker->busy_ms += ms;
	CzHealthMarkGood(worker->server_oid);
	CzCountFragment(worker->server_oid, fragment->shard_id, now - fragment->sent_at, now);
	if (fragment->store != NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);

		stream->ready = lappend(stream->ready, fragment);
		MemoryContextSwitchTo(oldcontext);
	}
	if (ms < cz_slow_start_ms && !worker->use_txn)
		sc->window = Min(sc->window * 2, MAX_WINDOW);
	else
		sc->window = 1;
}

/*
 * Is the connection's socket left alone, because the next row of its fragment is
 * known already (not while others wait behind it), or not wanted yet?
 */
static bool
is_paused(StreamConn *sc)
{
	Expect	   *head = CzExpectHead(sc);

	if (head == NULL || head->kind != EXPECT_ROWS)
		return false;
	return sc->worker->awaits_others ||
		(head->fragment->is_paused && !head->fragment->is_held && sc->inflight <= 1 &&
		 sc->worker->waiting == NIL);
}

/* A worker does not make temporary tables. */
static void
tables_refused(CzStream *stream, StreamConn *sc)
{
	StreamWorker *worker = sc->worker;
	int			i;

	if (sc->is_exporter)
		CzGroupForgetWorker(CzGroupWorkerGet(stream->group, worker->server_oid,
											 stream->user_oid));
	CzConnDiscard(sc->conn);
	for (i = 0; i < worker->nconns; i++)
	{
		if (worker->conns[i] == sc)
		{
			CzRunRemoveConn(worker, i);
			break;
		}
	}
	CzShipUseArrays(stream);
}

/*
 * How many rows libpq is to collect before it gives them out.  Those of long results only,
 * so that nobody waits for rows that are slow to come, and of short rows, for their memory.
 *
 * Statistics know nothing of values that are stored out of line, so types that have these
 * are trusted when rows of this stream have come.
 */
static int
chunk_rows(const CzStream *stream)
{
	const Plan *plan = stream->parent ? stream->parent->plan : NULL;
	int64		width;

	if (plan == NULL ||
		(plan->plan_rows < LONG_RESULT_ROWS * Max(stream->nfragments, 1) &&
		 stream->longest_result < LONG_RESULT_ROWS))
		return 1;
	width = Max(Max(plan->plan_width, stream->widest_row), 1);
	return Max(1, Min(stream->is_narrow || stream->widest_row > 0 ? cz_chunk_rows :
					  CZ_UNSEEN_ROWS, MAX_CHUNK_BYTES / width));
}

/*
 * Rows, or their end, that have come for the oldest expectation.  True: they are the
 * consumer's, in stream->res; else res is freed.
 */
static bool
take_rows(CzStream *stream, StreamConn *sc, Expect *head, PGresult *res)
{
	Fragment   *fragment = head->fragment;
	bool		is_end = PQresultStatus(res) == PGRES_TUPLES_OK;
	int			nrows = PQntuples(res);
	int64		nbytes = 0;
	int			i;

	if (head->kind == EXPECT_SNAPSHOT)
	{
		if (nrows > 0 && head->is_complete)
			CzConnViolated(sc->conn, res, "It has more rows than were asked for.");
		if (nrows > 0)
			CzRunSnapshotKnown(stream, sc, res);
		head->is_complete |= nrows > 0;
		PQclear(res);
		return false;
	}
	if (head->kind != EXPECT_ROWS || head->is_complete)
		CzConnViolated(sc->conn, res, "Its rows were not asked for.");

	/*
	 * What has no tag, or another one, is the beginning of a result only.  The tag is on the
	 * last rows, if these are not as many as a chunk may have, and the end, which has none,
	 * comes behind.
	 */
	if (head->has_tag ? nrows > 0 || !is_end :
		is_end && !CzResultEndsRows(res, fragment->nrows + nrows))
		CzConnViolated(sc->conn, res, "It ends before its rows.");
	head->has_tag |= !is_end && CzResultEndsRows(res, fragment->nrows + nrows);
	head->is_complete = is_end;
	if (nrows == 0)
	{
		PQclear(res);
		return false;
	}
	for (i = 0; i < nrows; i++)
	{
		int64		row_bytes = CzWireRowBytes(res, i);

		nbytes += row_bytes;
		stream->widest_row = Max(stream->widest_row, row_bytes);
	}
	CzFragmentCount(stream, fragment, nrows, nbytes);
	stream->longest_result = Max(stream->longest_result, fragment->nrows);
	stream->res = res;			/* freed with the stream after an error */
	if (!fragment->is_held)
	{
		fragment->is_emitted = true;
		stream->res_row = 0;
		stream->res_fragment = fragment;
		return true;
	}
	for (i = 0; i < nrows; i++)
		CzFragmentStoreRow(stream, fragment, res, i);
	stream->res = NULL;
	PQclear(res);
	return false;
}

/*
 * Take what one connection has; see ProcessResult.
 */
static ProcessResult
process_conn(CzStream *stream, StreamConn *sc)
{
	PGconn	   *pg = sc->conn->pg;
	Expect	   *head;
	int			nrows = 0;
	int			nulls = 0;

	if (sc->worker->use_txn && sc->conn->busy_owner != stream)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("rows still to come from node \"%s\" were lost",
						sc->worker->endpoint->node_name),
				 errdetail("A savepoint was rolled back while they were on their way.")));

	while ((head = CzExpectHead(sc)) != NULL)
	{
		PGresult   *res;
		ExecStatusType status;

		if (head->kind == EXPECT_SHIP)
		{
			char	   *reason;

			switch (CzShipTablesAdvance(stream, sc, &reason))
			{
				case SHIP_BLOCKED:
					return PROCESS_BLOCKED;
				case SHIP_LOST:
					CzRunConnLost(stream, sc, reason);
					return PROCESS_LOST;
				case SHIP_DONE:
					continue;
				case SHIP_REFUSED:
					tables_refused(stream, sc);
					return PROCESS_LOST;
			}
		}
		if (is_paused(sc))
			return PROCESS_BLOCKED;
		if (!head->is_single_row)
		{
			/* also where no rows are due, or one: it would collect others */
			CzConnTakeRowsSoon(sc->conn, head->kind == EXPECT_ROWS ? chunk_rows(stream) : 1);
			head->is_single_row = true;
		}
		if (PQisBusy(pg))
		{
			if (PQstatus(pg) != CONNECTION_OK)
			{
				CzRunConnLost(stream, sc, pchomp(PQerrorMessage(pg)));
				return PROCESS_LOST;
			}
			return PROCESS_BLOCKED;
		}
		res = PQgetResult(pg);
		if (res == NULL)
		{
			/* the end of one command, or of the connection */
			if (PQstatus(pg) != CONNECTION_OK)
			{
				CzRunConnLost(stream, sc, pchomp(PQerrorMessage(pg)));
				return PROCESS_LOST;
			}
			if ((head->kind == EXPECT_ROWS || head->kind == EXPECT_SNAPSHOT) &&
				!head->is_complete)
				CzConnViolated(sc->conn, NULL, "It ends before its rows.");
			if (head->kind == EXPECT_ROWS)
				fragment_done(stream, sc, head->fragment);
			if (head->kind != EXPECT_SYNC)
				CzExpectPop(sc);
			else if (++nulls > MAX_NULLS)
				CzConnViolated(sc->conn, NULL, "It has no end.");
			continue;
		}

		nulls = 0;
		status = CzResultIsPart(res) ? PGRES_SINGLE_TUPLE : PQresultStatus(res);
		/* last words that lay there before are no answer */
		if (status != PGRES_FATAL_ERROR)
			sc->has_answered = true;
		switch (status)
		{
			case PGRES_PIPELINE_SYNC:
				if (head->kind != EXPECT_SYNC)
					CzConnViolated(sc->conn, res, "It ends before its rows.");
				PQclear(res);
				CzExpectPop(sc);
				sc->inflight--;
				break;

			case PGRES_SINGLE_TUPLE:
			case PGRES_TUPLES_OK:
				if (take_rows(stream, sc, head, res))
					return PROCESS_ROW;
				if (++nrows % ROWS_BETWEEN_INTERRUPTS == 0)
					CHECK_FOR_INTERRUPTS();
				break;

			case PGRES_COMMAND_OK:
				PQclear(res);
				if (head->kind == EXPECT_PREPARE)
					CzConnRememberPrepared(sc->conn, head->fragment->sql, head->name);
				break;

			case PGRES_PIPELINE_ABORTED:
				PQclear(res);
				break;

			case PGRES_FATAL_ERROR:

				/*
				 * BEGIN and the snapshot fail only when the connection that
				 * exported the snapshot has failed or died, which we may not know
				 * yet.
				 */
				if (CzConnResultIsLoss(sc->conn, res) ||
					(head->kind == EXPECT_COMMAND && !sc->worker->use_txn))
				{
					char	   *reason = pchomp(PQresultErrorMessage(res));

					PQclear(res);
					if (head->kind == EXPECT_COMMAND && PQstatus(pg) == CONNECTION_OK)
						CzRunSnapshotGone(stream, sc);
					CzRunConnLost(stream, sc, CzRedact(reason, PQpass(pg)));
					return PROCESS_LOST;
				}

				/* a statement prepared before the table changed: not again */
				if (head->fragment != NULL &&
					CzConnPrepared(sc->conn, head->fragment->sql) != NULL &&
					PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL &&
					(strcmp(PQresultErrorField(res, PG_DIAG_SQLSTATE), "0A000") == 0 ||
					 strcmp(PQresultErrorField(res, PG_DIAG_SQLSTATE), "26000") == 0))
					sc->conn->is_broken = true;
				CzConnUnexpected(sc->conn, res, head->fragment ? head->fragment->sql : NULL);
				break;

			default:
				CzConnUnexpected(sc->conn, res, NULL);
		}
	}
	return PROCESS_BLOCKED;
}

/* Move a connection on that is being opened. */
static bool
poll_connect(CzStream *stream, StreamConn *sc)
{
	int			events = CzConnPollConnect(sc->conn, sc->worker->endpoint);

	if (events < 0)
	{
		CzConnCheckFenced(sc->conn);
		CzRunConnLost(stream, sc, pstrdup(CzConnConnectError(sc->conn)));
		return true;
	}
	sc->wait_for = events;
	if (events == 0)
	{
		sc->is_ready = true;
		sc->last_heard = GetCurrentTimestamp();
		return true;
	}
	return false;
}

/*
 * A worker has been silent for too long: ask it with a second connection.  Its
 * silence may well be hard work, so only no answer at all counts.
 */
static bool
check_silence(CzStream *stream, StreamConn *sc, TimestampTz now)
{
	StreamWorker *worker = sc->worker;
	int			events;

	if (sc->probe == NULL)
	{
		if (is_paused(sc))
			sc->last_heard = now;
		if (sc->inflight == 0 ||
			now < TimestampTzPlusMilliseconds(sc->last_heard, cz_worker_timeout_ms))
			return false;
		sc->probe = CzConnStart(worker->endpoint);
		CzConnSetSubxact(sc->probe, stream->subid);
		CzConnSetConnectDeadline(sc->probe,
								 TimestampTzPlusMilliseconds(now, cz_worker_timeout_ms));
		return true;
	}
	events = CzConnPollConnect(sc->probe, worker->endpoint);
	if (CzConnPeerAnswered(sc->probe))
	{
		CzConnDiscard(sc->probe);
		sc->probe = NULL;
		sc->last_heard = now;
		return true;
	}
	if (events >= 0)
		return false;
	CzRunWorkerLost(stream, worker,
				psprintf("It was silent for %d ms, and so was a new connection to it.",
						 cz_worker_timeout_ms), false, true);
	return true;
}

/* Sockets of one connection that matter now: events, and the socket in *fd. */
static int
conn_events(StreamConn *sc, pgsocket *fd)
{
	*fd = PQsocket(sc->conn->pg);
	if (!sc->is_ready)
		return sc->wait_for;
	if (sc->nexpect == 0 || is_paused(sc))
		return 0;
	return WL_SOCKET_READABLE | (sc->must_write ? WL_SOCKET_WRITEABLE : 0);
}

/* Wait until a socket is ready or something is due, and read from what is. */
static void
wait_for_workers(CzStream *stream, StreamWorker *only, bool must_block)
{
	CzWaitSlot *slots;
	StreamConn **owners;		/* of each slot; NULL: a probe's */
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = TimestampTzPlusMilliseconds(now, cz_worker_timeout_ms);
	ListCell   *lc;
	long		timeout_ms;
	int			nsockets = 0;
	int			i;

	/* 1. what is due when */
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		if (only != NULL && worker != only)
			continue;
		nsockets += 2 * worker->nconns;
		for (i = 0; i < worker->nconns; i++)
		{
			StreamConn *sc = worker->conns[i];
			TimestampTz at;

			/* it may take what another connection is too busy for */
			if (worker->waiting != NIL && worker->nconns > 1 && sc->is_ready &&
				sc->inflight < sc->window)
				due = Min(due, TimestampTzPlusMilliseconds(now, Max(cz_slow_start_ms, 1)));
			if (!sc->is_ready)
				at = CzConnConnectDeadline(sc->conn);
			else if (sc->probe != NULL)
				at = CzConnConnectDeadline(sc->probe);
			else if (sc->inflight > 0 && !is_paused(sc))
				at = TimestampTzPlusMilliseconds(sc->last_heard, cz_worker_timeout_ms);
			else
				continue;
			due = Min(due, at);
		}
		if (worker->waiting != NIL && worker->nconns > 0 && !worker->use_txn &&
			!worker->is_full && worker->nconns < cz_max_connections_per_worker)
		{
			TimestampTz at = TimestampTzPlusMilliseconds(worker->last_added,
														 QUICK_FRAGMENT_MS);

			if (at <= now)
				at = TimestampTzPlusMilliseconds(worker->last_added, cz_slow_start_ms);
			if (at <= now && worker->started_at != 0)
				at = TimestampTzPlusMilliseconds(worker->started_at,
												 (int64) CzConnConnectMs(worker->server_oid) + 1);
			if (at > now)
				due = Min(due, at);
		}
	}
	timeout_ms = must_block ? Max(TimestampDifferenceMilliseconds(now, due), 0) : 0;
	if (must_block && timeout_ms == 0 && due > now)
		timeout_ms = 1;

	/* 2. for which sockets */
	slots = palloc0(sizeof(CzWaitSlot) * Max(nsockets, 1));
	owners = palloc0(sizeof(StreamConn *) * Max(nsockets, 1));
	nsockets = 0;
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		if (only != NULL && worker != only)
			continue;
		for (i = 0; i < worker->nconns; i++)
		{
			StreamConn *sc = worker->conns[i];
			int			events;

			owners[nsockets] = sc;
			slots[nsockets].events = conn_events(sc, &slots[nsockets].socket);
			nsockets++;
			if (sc->probe == NULL)
				continue;
			events = CzConnPollConnect(sc->probe, worker->endpoint);
			slots[nsockets].socket = PQsocket(sc->probe->pg);
			if (events > 0)
				slots[nsockets++].events = events | CZ_WAIT_ASIDE;
			else
				timeout_ms = 0; /* it has been answered or refused */
		}
	}

	/* 3. wait, then input */
	(void) CzWaitSockets(slots, nsockets, timeout_ms, true);
	stream->waited_us -= now;
	now = GetCurrentTimestamp();
	stream->waited_us += now;
	for (i = 0; i < nsockets; i++)
	{
		StreamConn *sc = owners[i];

		if (sc == NULL || !sc->is_ready || !slots[i].is_ready)
			continue;
		/* a failure shows when the result is asked for */
		(void) CzConnReceive(sc->conn);
		sc->last_heard = now;
		if (sc->must_write)
			sc->must_write = PQflush(sc->conn->pg) > 0;
	}
	pfree(slots);
	pfree(owners);
}

/* True if a connection of the stream can give a result without waiting. */
static bool
work_on(CzStream *stream, StreamWorker *only, bool *got_row)
{
	int			nworkers = list_length(stream->workers);
	bool		progress = false;
	int			w;

	*got_row = false;
	for (w = 0; w < nworkers; w++)
	{
		StreamWorker *worker = list_nth(stream->workers,
										(w + stream->next_worker) % nworkers);
		int			i;

		if (only != NULL && worker != only)
			continue;
		for (i = 0; i < worker->nconns; i++)
		{
			StreamConn *sc = worker->conns[i];
			int			ndone = stream->ndone;
			int			nexpect = sc->nexpect;

			if (!sc->is_ready)
			{
				if (poll_connect(stream, sc))
					return true;	/* lists may have changed: look anew */
				continue;
			}
			switch (process_conn(stream, sc))
			{
				case PROCESS_ROW:
					*got_row = true;
					stream->next_worker = (w + stream->next_worker) % nworkers;
					return true;
				case PROCESS_LOST:
					return true;
				case PROCESS_BLOCKED:
					break;
			}
			if (stream->ndone != ndone || sc->nexpect != nexpect)
				progress = true;
		}
		if (CzRunDispatch(stream, worker))
			progress = true;

		/* a connection without work goes back when no more work can come */
		for (i = worker->nconns - 1; i >= 0; i--)
		{
			StreamConn *sc = worker->conns[i];

			if (sc->is_ready && sc->nexpect == 0 && worker->waiting == NIL &&
				(worker->use_txn || stream->ndone >= stream->nfragments))
			{
				CzRunPutBack(stream, sc);
				CzRunRemoveConn(worker, i);
				progress = true;
			}
		}
	}
	if (nworkers > 0)
		stream->next_worker = (stream->next_worker + 1) % nworkers;
	return progress;
}

/*
 * CzRunPump
 *		Make progress: a row in stream->res, a fragment done, or at least a wait.
 *
 * only: work on this worker alone, NULL: on all.
 * must_block: wait if there is nothing to do.
 */
void
CzRunPump(CzStream *stream, StreamWorker *only, bool must_block)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	bool		got_row;
	ListCell   *lc;

	Assert(stream->res == NULL || !must_block);
	if (stream->res == NULL && !work_on(stream, only, &got_row))
	{
		TimestampTz now;

		wait_for_workers(stream, only, must_block);
		now = GetCurrentTimestamp();
		foreach(lc, stream->workers)
		{
			StreamWorker *worker = lfirst(lc);
			int			i;

			for (i = 0; i < worker->nconns; i++)
			{
				if (worker->conns[i]->is_ready &&
					check_silence(stream, worker->conns[i], now) && worker->is_failed)
					break;
			}
		}
	}
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Nobody wants a connection's rows any more.  Those of a short fragment have mostly
 * arrived when the first one has: take them, which is cheaper than to cancel.
 */
typedef enum DropResult
{
	DROP_END,					/* no more to come */
	DROP_BLOCKED,				/* all that has arrived was taken, and more has to come */
	DROP_LIMIT,					/* max_rows were taken */
	DROP_FAILED
} DropResult;

static DropResult
drop_arrived(StreamConn *sc, int max_rows)
{
	PGconn	   *pg = sc->conn->pg;
	int			nrows = 0;
	Expect	   *head;

	while ((head = CzExpectHead(sc)) != NULL && head->kind != EXPECT_SNAPSHOT &&
		   head->kind != EXPECT_SHIP && nrows++ < max_rows)
	{
		PGresult   *res;
		ExecStatusType status;

		if (head->kind == EXPECT_ROWS && !head->is_single_row)
		{
			(void) CzConnTakeRowsSoon(sc->conn, CZ_UNSEEN_ROWS);
			head->is_single_row = true;
		}
		if (PQisBusy(pg) && !CzConnReceive(sc->conn))
			return DROP_FAILED;
		if (PQisBusy(pg))
			return DROP_BLOCKED;
		res = PQgetResult(pg);
		if (res == NULL)
		{
			if (PQstatus(pg) != CONNECTION_OK)
				return DROP_FAILED;
			if (head->kind != EXPECT_SYNC)
				CzExpectPop(sc);
			continue;
		}
		status = CzResultIsPart(res) ? PGRES_SINGLE_TUPLE : PQresultStatus(res);
		PQclear(res);
		if (status == PGRES_PIPELINE_SYNC && head->kind == EXPECT_SYNC)
		{
			CzExpectPop(sc);
			sc->inflight--;
		}
		else if (status == PGRES_COMMAND_OK && head->kind == EXPECT_PREPARE)
			CzConnRememberPrepared(sc->conn, head->fragment->sql, head->name);
		else if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK &&
				 status != PGRES_COMMAND_OK)
			return DROP_FAILED;
	}
	return head == NULL ? DROP_END : nrows > max_rows ? DROP_LIMIT : DROP_FAILED;
}

/*
 * A cancel costs a connection.  Commands that are about to end, as those that were to
 * give one row, are waited for a moment first.
 */
static void
await_ends(CzStream *stream)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = TimestampTzPlusMilliseconds(now, GRACE_MS);
	struct pollfd *fds = palloc(sizeof(struct pollfd) * MAX_STREAM_CONNS *
								Max(list_length(stream->workers), 1));

	for (;;)
	{
		int			nfds = 0;
		ListCell   *lc;
		long		timeout_ms;

		foreach(lc, stream->workers)
		{
			StreamWorker *worker = lfirst(lc);
			int			i;

			for (i = 0; i < worker->nconns; i++)
			{
				StreamConn *sc = worker->conns[i];

				if (!sc->is_ready || sc->nexpect == 0)
					continue;
				if (drop_arrived(sc, MAX_DROPPED_ROWS) == DROP_BLOCKED)
				{
					fds[nfds].fd = PQsocket(sc->conn->pg);
					fds[nfds].events = POLLIN;
					nfds++;
				}
			}
		}
		now = GetCurrentTimestamp();
		timeout_ms = (until - now) / 1000;
		if (nfds == 0 || timeout_ms <= 0 || poll(fds, nfds, timeout_ms) <= 0)
			break;
	}
	pfree(fds);
}

/*
 * On a connection of the transaction nothing can be cancelled: the transaction would fail
 * with it.  So the rest of its rows is read and thrown away.
 */
static void
discard_rest(StreamConn *sc)
{
	for (;;)
	{
		CzWaitSlot	slot;

		CHECK_FOR_INTERRUPTS();
		switch (drop_arrived(sc, ROWS_BETWEEN_INTERRUPTS))
		{
			case DROP_END:
			case DROP_FAILED:
				return;
			case DROP_LIMIT:
				break;
			case DROP_BLOCKED:
				slot.socket = PQsocket(sc->conn->pg);
				slot.events = WL_SOCKET_READABLE;
				if (!CzWaitSockets(&slot, 1, cz_worker_timeout_ms, true) &&
					!CzTxnProbeSilent(sc->conn))
					return;
				break;
		}
	}
}

/*
 * CzRunStop
 *		End a run, also in the middle: no connection is left in mid-command.
 */
void
CzRunStop(CzStream *stream)
{
	ListCell   *lc;
	CzConn	  **busy;
	int			nbusy = 0;
	int			nconns = 0;

	foreach(lc, stream->workers)
		nconns += ((StreamWorker *) lfirst(lc))->nconns;
	if (nconns == 0)
		return;

	await_ends(stream);
	busy = palloc(sizeof(CzConn *) * nconns);
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);
		int			i;

		for (i = 0; i < worker->nconns; i++)
		{
			StreamConn *sc = worker->conns[i];

			if (sc->is_ready && sc->nexpect > 0 && worker->use_txn)
				discard_rest(sc);
			if (sc->is_ready && sc->nexpect > 0)
				busy[nbusy++] = sc->conn;
		}
	}
	if (nbusy > 0)
		CzConnCancelMany(busy, nbusy, STOP_MS);

	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		while (worker->nconns > 0)
		{
			StreamConn *sc = worker->conns[worker->nconns - 1];
			GroupWorker *gw = NULL;

			if (sc->has_begun)
				gw = CzGroupWorkerGet(stream->group, worker->server_oid, stream->user_oid);
			if (!sc->is_ready)
				CzConnRelease(sc->conn);
			else if (sc->nexpect > 0 && sc->has_begun)
			{
				/* its transaction has failed, and with it the snapshot it exported */
				if (sc->is_exporter)
				{
					gw->snapshot_id = NULL;
					gw->exporter = NULL;
					gw->exporter_conn = NULL;
				}
				if (!sc->conn->is_broken)
				{
					PGresult   *res = CzConnExecQuiet(sc->conn, "ROLLBACK", STOP_MS);

					PQclear(res);
					CzConnForgetTxnSettings(sc->conn);
					CzShipTablesGone(stream->group, sc->conn);
				}
				CzConnRelease(sc->conn);
			}
			else
				CzRunPutBack(stream, sc);
			CzRunRemoveConn(worker, worker->nconns - 1);
		}
	}
	pfree(busy);
	CzPoolForgetGiven();
}
