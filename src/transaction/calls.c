/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  Run one command on each of several connections at once.
 *
 * Two worlds meet here.  While a statement runs, waiting processes interrupts
 * and errors are thrown.  In commit and abort callbacks nothing may be thrown
 * (an error after the local commit would be a PANIC) and interrupts are held:
 * there is a deadline, and failures are values.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"

#include "cz/settings.h"
#include "transaction_int.h"

/* Memory that the rows of one command may take, bytes: they are short lists */
#define CZ_MAX_CALL_BYTES (64 * 1024 * 1024)
/* Connections that are waited for at a time; a transaction with more workers takes turns. */
#define CZ_MAX_POLL CZ_MAX_QUIET_SOCKETS
/* Milliseconds that CZ_CALL_GRACE waits on after a cancel */
#define CZ_GRACE_MS 1000
/* Milliseconds of one poll() there, which does not see the latch */
#define CZ_SLICE_MS 100
/* Milliseconds that an abort gives all workers to stop what they do */
#define CZ_ABORT_CANCEL_MS 3000

/*
 * CzTxnProbeSilent
 *		A worker has been silent for cz.worker_timeout: is it busy or dead?
 *		False marks the connection broken and the worker failed.
 */
bool
CzTxnProbeSilent(CzConn *conn)
{
	CzEndpoint *endpoint = CzEndpointGet(conn->server_oid, conn->user_oid);

	if (CzConnProbe(endpoint, cz_worker_timeout_ms))
		return true;
	conn->is_broken = true;
	CzHealthMarkFailed(conn->server_oid);
	return false;
}

/* CZ_CALL_GRACE: has a cancel been there for long enough?  give_up: when; 0 at first. */
static bool
is_given_up(TimestampTz *give_up)
{
	TimestampTz now;

	if (!QueryCancelPending && !ProcDiePending)
		return false;
	now = GetCurrentTimestamp();
	if (*give_up == 0)
		*give_up = TimestampTzPlusMilliseconds(now, CZ_GRACE_MS);
	return now >= *give_up;
}

/* Wait until a new connection has heard from its worker, or for CzConnPollConnect. */
static bool
peer_answers(CzConn *probe, const CzEndpoint *endpoint, TimestampTz *give_up)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   cz_worker_timeout_ms);
	int			events;

	CzConnSetConnectDeadline(probe, deadline);
	while ((events = CzConnPollConnect(probe, endpoint)) > 0 && !CzConnPeerAnswered(probe))
	{
		CzWaitSlot	slot;
		long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
															  deadline);

		/* who is cancelled leaves the question open */
		if (is_given_up(give_up))
			return true;
		slot.socket = PQsocket(probe->pg);
		slot.events = events;
		(void) CzWaitSockets(&slot, 1, Min(left_ms + 1, CZ_SLICE_MS), false);
	}
	return CzConnPeerAnswered(probe);
}

/*
 * probe_quietly
 *		CzTxnProbeSilent that throws nothing, neither errors nor a cancel: what has
 *		been sent may have been carried out.
 */
static bool
probe_quietly(CzConn *conn, TimestampTz *give_up)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		holdoff = InterruptHoldoffCount;
	volatile bool is_alive = true;

	HOLD_INTERRUPTS();
	PG_TRY();
	{
		CzEndpoint	endpoint;

		if (CzConnEndpointOf(conn, &endpoint))
		{
			CzConn	   *probe = CzConnStart(&endpoint);

			is_alive = peer_answers(probe, &endpoint, give_up);
			CzConnDiscard(probe);
		}
	}
	PG_CATCH();
	{
		/* No connection can be made from here: that says nothing about the worker. */
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	InterruptHoldoffCount = holdoff;
	if (!is_alive)
	{
		conn->is_broken = true;
		CzHealthMarkFailed(conn->server_oid);
	}
	return is_alive;
}

/* Take a result: keep the first error, else the last. */
static void
keep_result(CzTxnCall *call, PGresult *res)
{
	ExecStatusType kept = call->result ? PQresultStatus(call->result) : PGRES_COMMAND_OK;

	if (call->result && kept != PGRES_COMMAND_OK && kept != PGRES_TUPLES_OK)
		PQclear(res);
	else
	{
		PQclear(call->result);
		call->result = res;
	}
}

/* The connection is gone: no result. */
static void
call_broke(CzTxnCall *call)
{
	PQclear(call->result);
	PQclear(call->rows);
	call->result = NULL;
	call->rows = NULL;
	call->conn->is_broken = true;
	call->is_done = true;
}

static bool
send_call(CzTxnCall *call)
{
	PGconn	   *pg = call->conn->pg;

	if (call->nparams > 0)
		return PQsendQueryParams(pg, call->sql, call->nparams, NULL, call->values,
								 call->lengths, call->formats, 0);
	return PQsendQuery(pg, call->sql);
}

/*
 * advance_call
 *		As far as possible without waiting; returns the events to wait for, 0 when
 *		done.
 */
static int
advance_call(CzTxnCall *call, bool is_readable)
{
	PGconn	   *pg = call->conn->pg;
	int			flush;

	if (!call->was_sent)
	{
		call->was_sent = true;
		if (call->is_logged)
			CzConnLogCommand(call->conn, call->sql);
		if (PQstatus(pg) != CONNECTION_OK || !send_call(call))
		{
			call_broke(call);
			return 0;
		}
		/* so that what is too much is seen before it is all there */
		(void) CzConnTakeRowsSoon(call->conn, CZ_UNSEEN_ROWS);
	}

	flush = PQflush(pg);
	if (flush < 0 || (is_readable && !CzConnReceive(call->conn)))
	{
		/* An error message of the worker may have come before the end. */
		while (flush >= 0 && !PQisBusy(pg))
		{
			PGresult   *res = PQgetResult(pg);
			bool		is_end = res == NULL || CzResultIsCopy(res);

			PQclear(res);
			if (is_end)
				break;
		}
		call_broke(call);
		return 0;
	}

	while (!PQisBusy(pg))
	{
		PGresult   *res = PQgetResult(pg);

		if (res == NULL)
		{
			call->is_done = true;
			if (PQstatus(pg) != CONNECTION_OK || call->result == NULL || call->rows != NULL)
				call_broke(call);
			return 0;
		}
		if (CzResultIsPart(res))
		{
			call->rows = CzResultAddRows(call->rows, res, CZ_MAX_CALL_BYTES);
			if (call->rows != NULL)
				continue;
			call_broke(call);
			return 0;
		}
		if (PQresultStatus(res) == PGRES_TUPLES_OK && call->rows != NULL)
		{
			PQclear(res);
			res = call->rows;
			call->rows = NULL;
		}
		if (CzResultIsCopy(res))
		{
			PQclear(res);
			call_broke(call);
			return 0;
		}
		keep_result(call, res);
	}
	return WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
}

/*
 * run_calls
 *		The loop of CzTxnRunCalls and, until is_limited's time is up, of CzTxnRunCallsFor:
 *		false then.  for_one: it also ends when one more of them is done.
 */
static bool
run_calls(CzTxnCall *calls, int ncalls, CzWaitSlot *slots, CzCallMode mode,
		  int timeout_ms, bool is_limited, bool for_one)
{
	TimestampTz start = GetCurrentTimestamp();
	/* when a cancel wins; 0: in a while */
	TimestampTz give_up = mode == CZ_CALL_FIRM ? DT_NOEND : 0;
	bool		throws_nothing = mode == CZ_CALL_GRACE || mode == CZ_CALL_FIRM;
	int			i;

	for (i = 0; i < ncalls; i++)
	{
		slots[i].is_ready = false;
		calls[i].last_heard = start;
	}

	for (;;)
	{
		bool		is_all_done = true;
		bool		is_one_done = false;
		TimestampTz now = GetCurrentTimestamp();
		long		wait_ms;

		for (i = 0; i < ncalls; i++)
		{
			slots[i].socket = -1;
			if (calls[i].is_done)
				continue;
			if (slots[i].is_ready)
				calls[i].last_heard = now;
			/* Reading without being told costs a system call and is harmless */
			slots[i].events = advance_call(&calls[i], slots[i].is_ready);
			if (calls[i].is_done)
			{
				is_one_done = true;
				continue;
			}
			slots[i].socket = PQsocket(calls[i].conn->pg);
			is_all_done = false;
		}
		if (is_all_done || (for_one && is_one_done))
			return true;

		/* Quiet: one deadline for all.  Otherwise: probe who was silent too long. */
		now = GetCurrentTimestamp();
		if (is_limited)
		{
			wait_ms = timeout_ms - TimestampDifferenceMilliseconds(start, now);
			if (wait_ms <= 0)
				return false;
		}
		else if (mode == CZ_CALL_QUIET)
		{
			wait_ms = timeout_ms - TimestampDifferenceMilliseconds(start, now);
			if (wait_ms <= 0)
			{
				for (i = 0; i < ncalls; i++)
				{
					if (!calls[i].is_done)
					{
						calls[i].is_timeout = true;
						call_broke(&calls[i]);
					}
				}
				return true;
			}
		}
		else
		{
			wait_ms = cz_worker_timeout_ms;
			for (i = 0; i < ncalls; i++)
			{
				long		silent_ms;

				if (calls[i].is_done)
					continue;
				silent_ms = TimestampDifferenceMilliseconds(calls[i].last_heard, now);
				if (silent_ms >= cz_worker_timeout_ms)
				{
					if (throws_nothing ? !probe_quietly(calls[i].conn, &give_up) :
						!CzTxnProbeSilent(calls[i].conn))
					{
						calls[i].is_timeout = true;
						call_broke(&calls[i]);
						slots[i].socket = -1;
					}
					calls[i].last_heard = now;
					silent_ms = 0;
				}
				wait_ms = Min(wait_ms, cz_worker_timeout_ms - silent_ms);
			}
		}

		if (throws_nothing)
		{
			CzWaitSockets(slots, ncalls, Min(wait_ms, CZ_SLICE_MS), false);
			for (i = 0; i < ncalls && is_given_up(&give_up); i++)
			{
				if (!calls[i].is_done && !slots[i].is_ready)
				{
					calls[i].is_timeout = true;
					call_broke(&calls[i]);
				}
			}
		}
		else
			CzWaitSockets(slots, ncalls, wait_ms, mode == CZ_CALL_INTERRUPTIBLE);
	}
}

/* run_calls that frees the results when an error is thrown. */
static bool
run_calls_safely(CzTxnCall *calls, int ncalls, CzWaitSlot *slots, CzCallMode mode,
				 int timeout_ms, bool is_limited, bool for_one)
{
	volatile bool is_done = false;

	PG_TRY();
	{
		is_done = run_calls(calls, ncalls, slots, mode, timeout_ms, is_limited, for_one);
	}
	PG_CATCH();
	{
		int			i;

		for (i = 0; i < ncalls; i++)
		{
			PQclear(calls[i].result);
			PQclear(calls[i].rows);
			calls[i].result = calls[i].rows = NULL;
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	return is_done;
}

/*
 * CzTxnRunCalls
 *		Send each call's command, then collect all answers.
 *
 * timeout_ms: CZ_CALL_QUIET only: bound for all together.
 * Errors: only CZ_CALL_INTERRUPTIBLE throws (57014 and the like); results are
 *		freed then, and the connections still busy.
 */
void
CzTxnRunCalls(CzTxnCall *calls, int ncalls, CzCallMode mode, int timeout_ms)
{
	/* In turns when there are very many: no memory may be needed in an abort */
	while (ncalls > 0)
	{
		CzWaitSlot	slots[CZ_MAX_POLL];
		int			n = Min(ncalls, CZ_MAX_POLL);

		if (mode == CZ_CALL_QUIET)
			(void) run_calls(calls, n, slots, mode, timeout_ms, false, false);
		else
			(void) run_calls_safely(calls, n, slots, mode, -1, false, false);
		calls += n;
		ncalls -= n;
	}
}

/*
 * CzTxnRunCallsFor
 *		CzTxnRunCalls for a limited time.
 *
 * Returns: false: time is up.  What has not been answered goes on when the same calls
 *		are given again, to this function or to CzTxnRunCalls.
 */
bool
CzTxnRunCallsFor(CzTxnCall *calls, int ncalls, CzCallMode mode, int timeout_ms)
{
	bool		is_done = true;

	while (ncalls > 0)
	{
		CzWaitSlot	slots[CZ_MAX_POLL];
		int			n = Min(ncalls, CZ_MAX_POLL);

		if (mode == CZ_CALL_QUIET)
			is_done &= run_calls(calls, n, slots, mode, timeout_ms, true, false);
		else
			is_done &= run_calls_safely(calls, n, slots, mode, timeout_ms, true, false);
		calls += n;
		ncalls -= n;
	}
	return is_done;
}

/*
 * CzTxnRunCallsUntilOne
 *		CzTxnRunCalls, interruptible, that returns when one call is done that was not
 *		before; the others go on when the same calls are given again.
 *
 * ncalls: at most CZ_MAX_QUIET_SOCKETS.
 */
void
CzTxnRunCallsUntilOne(CzTxnCall *calls, int ncalls)
{
	CzWaitSlot	slots[CZ_MAX_POLL];

	Assert(ncalls <= CZ_MAX_POLL);
	(void) run_calls_safely(calls, ncalls, slots, CZ_CALL_INTERRUPTIBLE, -1, false, true);
}

/* Did the worker carry it out? */
bool
CzTxnCallIsOk(const CzTxnCall *call)
{
	return call->result != NULL &&
		(PQresultStatus(call->result) == PGRES_COMMAND_OK ||
		 PQresultStatus(call->result) == PGRES_TUPLES_OK);
}

/*
 * CzTxnCancelMany
 *		Stop what runs on several connections, all at once; those that could not
 *		be stopped are broken.  Callable in abort callbacks.
 */
void
CzTxnCancelMany(CzConn **conns, int nconns)
{
	if (nconns > 0)
		CzConnCancelMany(conns, nconns, Min(cz_worker_timeout_ms, CZ_ABORT_CANCEL_MS));
}

/*
 * CzTxnQuietIdle
 *		Bring a connection to where no command is in progress.  Callable in abort
 *		callbacks.
 *
 * may_cancel: false for PREPARE TRANSACTION, whose answer is wanted.
 * Returns: false if it did not work by the deadline; then it must be closed.
 */
bool
CzTxnQuietIdle(CzConn *conn, bool may_cancel, TimestampTz deadline)
{
	PGconn	   *pg = conn->pg;
	CzWaitSlot	slot;

	conn->busy_owner = NULL;
	conn->busy_drain = NULL;

	if (conn->is_broken || PQstatus(pg) != CONNECTION_OK)
		return false;
	if (PQtransactionStatus(pg) != PQTRANS_ACTIVE)
	{
		/* an error may have come between the last answer and the end of its pipeline */
		return PQpipelineStatus(pg) == PQ_PIPELINE_OFF || PQexitPipelineMode(pg);
	}
	if (may_cancel)
		return CzConnCancel(conn, Min(cz_worker_timeout_ms, CZ_ABORT_CANCEL_MS));

	for (;;)
	{
		int			flush = PQflush(pg);
		long		wait_ms;

		if (flush < 0)
			return false;
		while (!PQisBusy(pg))
		{
			PGresult   *res = PQgetResult(pg);
			bool		is_copy;

			if (res == NULL)
				return PQstatus(pg) == CONNECTION_OK &&
					PQtransactionStatus(pg) != PQTRANS_ACTIVE;
			is_copy = CzResultIsCopy(res);
			PQclear(res);
			if (PQstatus(pg) != CONNECTION_OK || is_copy)
				return false;
		}

		wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (wait_ms <= 0)
			return false;
		slot.socket = PQsocket(pg);
		slot.events = WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
		CzWaitSockets(&slot, 1, wait_ms, false);
		if (slot.is_ready && !CzConnReceive(conn))
			return false;
	}
}

/*
 * CzTxnEnterPools
 *		See transaction.h.
 */
void
CzTxnEnterPools(List *server_oids, Oid user_oid)
{
	const CzEndpoint **endpoints;
	int			n = 0;
	ListCell   *lc;

	if (list_length(server_oids) < 2)
		return;
	endpoints = palloc(sizeof(CzEndpoint *) * list_length(server_oids));
	foreach(lc, server_oids)
	{
		if (!CzConnHasUnused(lfirst_oid(lc), user_oid) && !CzTxnHasConn(lfirst_oid(lc), user_oid))
			endpoints[n++] = CzEndpointGet(lfirst_oid(lc), user_oid);
	}
	if (n > 1)
		CzPoolEnter(endpoints, n);
	pfree(endpoints);
}
