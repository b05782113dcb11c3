/*-------------------------------------------------------------------------
 *
 * stream_conn.c
 *	  Which connections a stream has to a worker, and which fragments they take.
 *
 * A worker starts with one connection; as long as fragments wait and the work
 * proves long, one more joins each time cz.slow_start_interval has passed.  Further
 * ones need the snapshot that the first has exported.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/*
 * What a new connection costs, in units of seq_page_cost, and how many slow-start
 * intervals have to pass without it where less work than that was expected.
 */
#define COST_OF_CONN 1000.0
#define PATIENCE 10

#define BEGIN_SQL "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

/* Forget a connection of a worker; the caller has dealt with the CzConn. */
void
CzRunRemoveConn(StreamWorker *worker, int index)
{
	StreamConn *sc = worker->conns[index];

	if (sc->probe != NULL)
		CzConnDiscard(sc->probe);
	pfree(sc);
	worker->conns[index] = worker->conns[--worker->nconns];
}

/* A connection has nothing more to do in this stream. */
void
CzRunPutBack(CzStream *stream, StreamConn *sc)
{
	CzConn	   *conn = sc->conn;

	if (sc->worker->use_txn)
	{
		conn->busy_owner = NULL;
		conn->busy_drain = NULL;
		if (PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF && !PQexitPipelineMode(conn->pg))
			conn->is_broken = true;
	}
	else if (sc->has_begun)
	{
		GroupWorker *gw = CzGroupWorkerGet(stream->group, sc->worker->server_oid,
										   stream->user_oid);
		MemoryContext oldcontext = MemoryContextSwitchTo(stream->estate->es_query_cxt);

		gw->free_conns = lappend(gw->free_conns, conn);
		MemoryContextSwitchTo(oldcontext);
	}
	else
		CzConnRelease(conn);
}

/*
 * CzRunPutBackIdle
 *		At the end of the rows: connections without work are others' to use.
 */
void
CzRunPutBackIdle(CzStream *stream)
{
	ListCell   *lc;

	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);
		int			i;

		for (i = worker->nconns - 1; i >= 0; i--)
		{
			StreamConn *sc = worker->conns[i];

			if (sc->is_ready && sc->nexpect == 0 && sc->probe == NULL)
			{
				CzRunPutBack(stream, sc);
				CzRunRemoveConn(worker, i);
			}
		}
	}
}

/* Store rows that came but have not been asked for yet. */
static void
hold_pending_rows(CzStream *stream)
{
	if (stream->res == NULL)
		return;
	stream->res_fragment->is_held = true;
	while (stream->res_row < PQntuples(stream->res))
		CzFragmentStoreRow(stream, stream->res_fragment, stream->res,
						   stream->res_row++);
	PQclear(stream->res);
	stream->res = NULL;
	stream->res_fragment = NULL;
}

/*
 * CzRunDrainTxn
 *		Read the rows that the transaction's connections still have to bring into stores.
 */
void
CzRunDrainTxn(CzStream *stream)
{
	ListCell   *lc;

	hold_pending_rows(stream);
	stream->is_hurried = true;	/* this worker's fragments wait for no other's */
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);
		int			i;

		if (!worker->use_txn || (worker->nconns == 0 && worker->waiting == NIL))
			continue;

		/* rows of the running fragments go to their stores from now on */
		for (i = 0; i < stream->nfragments; i++)
		{
			if (stream->fragments[i].worker == worker &&
				stream->fragments[i].state != FRAGMENT_DONE)
				stream->fragments[i].is_held = true;
		}
		while (worker->nconns > 0 || worker->waiting != NIL)
			CzRunPump(stream, worker, true);
	}
}

/* Called by whoever needs the transaction's connection while rows are on it. */
static void
drain_callback(void *owner)
{
	CzRunDrainTxn((CzStream *) owner);
}

static StreamConn *
new_stream_conn(CzStream *stream, StreamWorker *worker, CzConn *conn)
{
	StreamConn *sc = MemoryContextAlloc(stream->run_context, sizeof(StreamConn));

	/* the ring, most of it, is valid between its ends only */
	memset(sc, 0, offsetof(StreamConn, expect));
	sc->conn = conn;
	sc->worker = worker;
	sc->window = 1;
	sc->last_heard = GetCurrentTimestamp();
	worker->conns[worker->nconns++] = sc;
	worker->max_conns = Max(worker->max_conns, worker->nconns);
	worker->last_added = sc->last_heard;
	worker->waited_us_at_added = stream->waited_us;
	return sc;
}

/* A connection in the statement's snapshot that nobody uses, or NULL. */
static CzConn *
take_free_conn(CzStream *stream, GroupWorker *gw, bool needs_tables)
{
	ListCell   *lc;

	foreach(lc, gw->free_conns)
	{
		CzConn	   *conn = lfirst(lc);

		/* its transaction is read-only: no tables can be made in it any more */
		if (conn->is_broken || (needs_tables && !CzShipTablesAreOn(stream, conn)))
			continue;
		gw->free_conns = foreach_delete_current(gw->free_conns, lc);
		return conn;
	}
	return NULL;
}

/* Is a connection of the worker getting tables?  One at a time does. */
static bool
is_shipping(const StreamWorker *worker)
{
	int			i;

	for (i = 0; i < worker->nconns; i++)
	{
		if (worker->conns[i]->feed != NULL)
			return true;
	}
	return false;
}

/* Let an idle connection export the snapshot that it has and nobody asked for yet. */
static void
export_snapshot(CzStream *stream, GroupWorker *gw)
{
	PGresult   *res = CzConnTryExec(linitial(gw->free_conns),
									"SELECT pg_catalog.pg_export_snapshot()");

	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
	{
		gw->snapshot_id = MemoryContextStrdup(stream->estate->es_query_cxt,
											  PQgetvalue(res, 0, 0));
		gw->exporter_conn = linitial(gw->free_conns);
	}
	PQclear(res);
}

/*
 * Is a worker's share of the work, as it was estimated, worth one connection more than
 * it has?  Estimates are wrong at times: what has taken long is worth it, too.
 */
static bool
deserves_conn(const CzStream *stream, const StreamWorker *worker, double since_ms)
{
	double		share = stream->plan->cost / Max(list_length(stream->workers), 1);

	return stream->plan->cost <= 0 || share >= worker->nconns * COST_OF_CONN ||
		since_ms >= cz_slow_start_ms * PATIENCE;
}

/*
 * is_worth_connecting
 *		Will a worker's waiting fragments, at the pace so far, take longer than a new
 *		connection to it takes?  One at a time is made, so one fragment never starts two.
 */
static bool
is_worth_connecting(const CzStream *stream, const StreamWorker *worker, TimestampTz now)
{
	double		elapsed_ms = (now - worker->started_at) / 1000.0;
	int			ndone = 0;
	int			i;

	for (i = 0; i < worker->nconns; i++)
	{
		if (!worker->conns[i]->is_ready)
			return false;
	}
	if (cz_slow_start_ms == 0)
		return true;
	for (i = 0; i < stream->nfragments; i++)
	{
		if (stream->fragments[i].worker == worker && stream->fragments[i].state == FRAGMENT_DONE)
			ndone++;
	}
	return elapsed_ms / Max(ndone, 1) * list_length(worker->waiting) >=
		CzConnConnectMs(worker->server_oid);
}

/*
 * Try to give a worker with waiting fragments one more connection.
 *
 * Returns false if it has to wait: for time to pass, or for the snapshot.
 */
static bool
add_conn(CzStream *stream, StreamWorker *worker)
{
	GroupWorker *gw = NULL;
	StreamConn *sc;
	CzConn	   *conn;
	double		since_ms;
	bool		needs_tables;

	/* 1. reads that belong to the transaction have exactly one connection */
	if (worker->use_txn)
	{
		if (worker->nconns > 0)
			return false;
		if (stream->plan->has_row_locks)
			conn = CzTxnLockConn(worker->server_oid, stream->user_oid);
		else if (stream->in_transaction)
			conn = CzTxnConn(worker->server_oid, stream->user_oid, false);
		else
			conn = CzTxnReadConnAt(worker->server_oid, stream->user_oid,
								   CzMomentOf(stream->estate));
		if (conn == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("the transaction's connection to node \"%s\" is gone",
							worker->endpoint->node_name)));
		CzConnDrain(conn);
		CzConnSyncSettings(conn);
		sc = new_stream_conn(stream, worker, conn);
		sc->is_ready = true;
		sc->has_answered = true;
		conn->busy_owner = stream;
		conn->busy_drain = drain_callback;
		return true;
	}

	/* 2. limits */
	if (worker->nconns >= Min(cz_max_connections_per_worker, MAX_STREAM_CONNS) ||
		(worker->is_full && worker->nconns > 0))
		return false;
	since_ms = (GetCurrentTimestamp() - worker->last_added) / 1000.0;
	needs_tables = CzShipNeedsTables(stream, worker);
	if (is_shipping(worker))
		return false;

	/*
	 * More connections help a statement that waits for its workers.  One that is
	 * busy with the rows it gets would only make the workers compete with it.
	 */
	if (worker->nconns > 0 &&
		(stream->waited_us - worker->waited_us_at_added) * 2 < since_ms * 1000.0)
		return false;
	if (worker->in_snapshot)
	{
		gw = CzGroupWorkerGet(stream->group, worker->server_oid, stream->user_oid);
		conn = take_free_conn(stream, gw, needs_tables);
		if (conn != NULL)
		{
			sc = new_stream_conn(stream, worker, conn);
			sc->is_ready = true;
			sc->has_answered = true;
			sc->has_begun = true;
			sc->has_tables = needs_tables;
			sc->is_exporter = gw->exporter_conn == conn;
			if (!CzConnSettingsAreCurrent(conn) &&
				PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF)
				(void) PQexitPipelineMode(conn->pg);
			if (!CzConnTrySyncSettings(conn))
				CzRunConnLost(stream, sc, _("The session's settings could not be brought there."));
			return true;
		}
		if (gw->snapshot_id == NULL && gw->exporter != NULL && gw->exporter != stream)
		{
			/*
			 * Another stream will know the snapshot when it reads on, from this worker
			 * alone: elsewhere it may be the one that waits for us.
			 */
			CzStream   *other = gw->exporter;
			StreamWorker *source = NULL;
			ListCell   *lc;
			int			i;

			hold_pending_rows(other);
			for (i = 0; i < other->nfragments; i++)
				other->fragments[i].is_held = true;
			foreach(lc, other->workers)
			{
				if (((StreamWorker *) lfirst(lc))->server_oid == worker->server_oid)
					source = lfirst(lc);
			}
			while (source != NULL && gw->snapshot_id == NULL && gw->exporter == other &&
				   other->ndone < other->nfragments)
				CzRunPump(other, source, true);
		}
		if (needs_tables && gw->snapshot_id == NULL && gw->free_conns != NIL)
			export_snapshot(stream, gw);
		if (gw->snapshot_id == NULL && worker->nconns > 0)
			return false;
	}
	if (worker->nconns > 0 && since_ms < Min(QUICK_FRAGMENT_MS, cz_slow_start_ms))
		return false;

	/* 3. a connection that is open already, else a new one when time has come */
	conn = CzConnAcquireCached(worker->endpoint, true);
	if (conn != NULL)
	{
		CzConnSetSubxact(conn, stream->subid);
		sc = new_stream_conn(stream, worker, conn);
		sc->is_ready = true;
		sc->is_cached = true;
		if (!CzConnTrySyncSettings(conn))
			CzRunConnLost(stream, sc, _("The session's settings could not be brought there."));
		return true;
	}
	if (worker->nconns > 0 &&
		(since_ms < cz_slow_start_ms || !deserves_conn(stream, worker, since_ms) ||
		 !is_worth_connecting(stream, worker, GetCurrentTimestamp())))
		return false;
	if (worker->nconns > 0 && !CzPoolTryEnter(worker->endpoint))
	{
		worker->last_added = GetCurrentTimestamp(); /* asks again after a while */
		return false;
	}
	if (worker->nconns == 0)
		CzPoolEnter((const CzEndpoint *const *) &worker->endpoint, 1);
	conn = CzConnStartOrResume(worker->endpoint);
	CzConnSetSubxact(conn, stream->subid);
	sc = new_stream_conn(stream, worker, conn);
	sc->wait_for = WL_SOCKET_WRITEABLE;
	return true;
}

/* May a fragment be sent on a connection, or tables be made for it there? */
static bool
takes_fragment(const StreamConn *sc, const Fragment *fragment, bool needs_tables)
{
	/* arrays wait in libpq's buffer: not those of many fragments at once */
	if (sc->inflight > 0 && sc->must_write)
		return false;
	if (!needs_tables)
		return true;
	if (!sc->has_tables)
		return !sc->has_begun;
	return sc->tables_of == NULL || sc->tables_of == fragment;
}

/* Connections whose tables were another fragment's make room. */
static void
release_used_up(CzStream *stream, StreamWorker *worker, Fragment *fragment)
{
	int			i;

	for (i = worker->nconns - 1; i >= 0; i--)
	{
		StreamConn *sc = worker->conns[i];

		if (sc->is_ready && sc->nexpect == 0 && sc->probe == NULL &&
			!takes_fragment(sc, fragment, true))
		{
			CzRunPutBack(stream, sc);
			CzRunRemoveConn(worker, i);
		}
	}
}

/*
 * The least busy connection that takes one of the waiting fragments, and which.
 * Where temporary tables are needed, the first fragment goes first.
 */
static StreamConn *
choose_conn(CzStream *stream, StreamWorker *worker, bool needs_tables,
			Fragment **fragment)
{
	uint64		passed = 0;

	for (;;)
	{
		StreamConn *best = NULL;
		int			best_index = 0;
		int			i;

		*fragment = linitial(worker->waiting);
		for (i = 0; i < worker->nconns; i++)
		{
			StreamConn *sc = worker->conns[i];

			if (sc->is_ready && sc->inflight < sc->window && sc->probe == NULL &&
				(passed & (UINT64CONST(1) << i)) == 0 &&
				takes_fragment(sc, *fragment, needs_tables) &&
				(best == NULL || sc->inflight < best->inflight ||
				 (sc->inflight == best->inflight && sc->has_tables && !best->has_tables)))
			{
				best = sc;
				best_index = i;
			}
		}
		if (best == NULL || needs_tables)
			return best;
		*fragment = CzSendChoose(stream, worker, best);
		if (*fragment != NULL)
			return best;
		passed |= UINT64CONST(1) << best_index;
	}
}

/*
 * CzRunDispatch
 *		Send waiting fragments of a worker as far as its connections take them.  True if
 *		something happened.
 */
bool
CzRunDispatch(CzStream *stream, StreamWorker *worker)
{
	bool		needs_tables = CzShipNeedsTables(stream, worker);
	bool		progress = false;
	int			i;

	for (;;)
	{
		StreamConn *best;
		Fragment   *fragment;
		GroupWorker *gw;
		bool		must_begin;
		bool		must_ship;
		bool		ok;

		if (worker->waiting == NIL)
			break;

		/* sessions that lock shards in one order do not wait for each other in a ring */
		if (stream->plan->locks_wait && !stream->is_hurried &&
			linitial(worker->waiting) != &stream->fragments[stream->ndone])
			break;
		best = choose_conn(stream, worker, needs_tables, &fragment);
		if (best != NULL && needs_tables && !best->has_tables && is_shipping(worker))
			break;
		if (best == NULL && needs_tables)
			release_used_up(stream, worker, linitial(worker->waiting));
		if (best == NULL)
		{
			if ((!needs_tables && CzSendChoose(stream, worker, NULL) == NULL) ||
				!add_conn(stream, worker))
				break;
			progress = true;
			continue;
		}

		/* a second connection needs the first one's snapshot */
		gw = worker->in_snapshot ?
			CzGroupWorkerGet(stream->group, worker->server_oid, stream->user_oid) : NULL;
		must_begin = worker->in_snapshot && !best->has_begun;
		if (must_begin && gw->snapshot_id == NULL && gw->exporter != NULL)
			break;

		progress = true;
		must_ship = needs_tables && !best->has_tables;
		if (must_ship)
		{
			ok = CzShipTablesStart(stream, best, fragment, gw->snapshot_id);
			if (gw->snapshot_id == NULL)
			{
				gw->exporter = stream;
				gw->exporter_conn = best->conn;
			}
		}
		else
		{
			worker->waiting = list_delete_ptr(worker->waiting, fragment);
			fragment->conn = best;
			if (worker->started_at == 0)
				worker->started_at = GetCurrentTimestamp();
			ok = CzSendFragment(stream, best, fragment, must_begin ? BEGIN_SQL : NULL,
								cz_max_connections_per_worker > 1 ||
								stream->group->has_shipments ||
								stream->group->has_snapshot || worker->awaits_others);
		}
		if (!ok)
		{
			char	   *reason = pchomp(PQerrorMessage(best->conn->pg));

			/* so that the loss puts it back, wherever it goes */
			if (!must_ship)
				fragment->state = FRAGMENT_SENT;
			CzRunConnLost(stream, best, CzRedact(reason, PQpass(best->conn->pg)));
			break;
		}
	}

	/* what goes to one connection goes at once */
	for (i = 0; i < worker->nconns; i++)
	{
		StreamConn *sc = worker->conns[i];

		if (sc->is_unsent)
			sc->must_write = PQflush(sc->conn->pg) > 0;
		sc->is_unsent = false;
	}
	return progress;
}
