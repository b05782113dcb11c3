/*-------------------------------------------------------------------------
 *
 * stream_failover.c
 *	  A connection or a worker is lost in the middle of a run.
 *
 * A lost worker's unfinished fragments move to their next placements, with one
 * WARNING for the statement; where that cannot be, an error tells why.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/counters.h"
#include "cz/errors.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* What a look may cost whether a node whose connection was lost lives, milliseconds. */
#define LOST_PROBE_MS 100
/* How long to wait for an error that must be on its way, milliseconds. */
#define EXPORTER_ERROR_MS 2000

/* Close one connection of a run; the others go on. */
static void
drop_conn(StreamConn *sc)
{
	StreamWorker *worker = sc->worker;
	int			i;

	for (i = 0; i < worker->nconns; i++)
	{
		if (worker->conns[i] == sc)
		{
			CzConnDiscard(sc->conn);
			CzRunRemoveConn(worker, i);
			return;
		}
	}
}

/*
 * CzRunSnapshotGone
 *		A connection could not take part in the statement's snapshot.  If that is
 *		because the statement has failed on the one that exported it, raises that
 *		error: it is the user's, and it was sent before the snapshot went away.
 *		Returns if there is none: the exporter's session is gone.
 *
 * Results that come before the error are thrown away: either way nobody goes on
 * reading from this worker.
 */
void
CzRunSnapshotGone(CzStream *stream, const StreamConn *sc)
{
	GroupWorker *gw = CzGroupWorkerGet(stream->group, sc->worker->server_oid,
									   stream->user_oid);
	CzConn	   *conn = gw->exporter_conn;
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   EXPORTER_ERROR_MS);
	int			nulls = 0;

	if (conn == NULL || conn == sc->conn || conn->is_broken)
		return;
	while (nulls <= MAX_NULLS)
	{
		CzWaitSlot	slot;
		PGresult   *res;

		if (PQisBusy(conn->pg))
		{
			long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
																  deadline);

			slot.socket = PQsocket(conn->pg);
			slot.events = WL_SOCKET_READABLE;
			if (PQstatus(conn->pg) != CONNECTION_OK || left_ms <= 0)
				return;
			(void) CzWaitSockets(&slot, 1, left_ms, true);
			if (slot.is_ready && !CzConnReceive(conn))
				return;
			continue;
		}
		(void) PQsetSingleRowMode(conn->pg);
		res = PQgetResult(conn->pg);
		nulls = res == NULL ? nulls + 1 : 0;
		/* an error without SQLSTATE is libpq's own: the connection has gone as well */
		if (PQresultStatus(res) == PGRES_FATAL_ERROR && !CzConnResultIsLoss(conn, res) &&
			PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL)
			CzConnUnexpected(conn, res, NULL);
		if (res != NULL && (PQresultStatus(res) == PGRES_FATAL_ERROR || CzResultIsCopy(res)))
			nulls = MAX_NULLS + 1;
		PQclear(res);
	}
}

/* A connection cannot be opened or is lost. */
void
CzRunConnLost(CzStream *stream, StreamConn *sc, const char *reason)
{
	StreamWorker *worker = sc->worker;
	bool		is_connect = !sc->is_ready;
	bool		answered = is_connect && CzConnPeerAnswered(sc->conn);
	int			i;

	/* 1. one connection more was too much: go on with the others */
	if (is_connect && worker->nconns > 1)
	{
		drop_conn(sc);
		worker->is_full = true;
		return;
	}

	/* 2. a cached connection may have died long ago: that says nothing */
	if (sc->is_cached && !sc->has_answered)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);

		for (i = 0; i < stream->nfragments; i++)
		{
			Fragment   *fragment = &stream->fragments[i];

			if (fragment->worker == worker && fragment->conn == sc &&
				fragment->state == FRAGMENT_SENT)
			{
				fragment->state = FRAGMENT_WAITING;
				worker->waiting = lappend(worker->waiting, fragment);
			}
		}
		MemoryContextSwitchTo(oldcontext);
		if (sc->is_exporter)
			CzGroupForgetWorker(CzGroupWorkerGet(stream->group, worker->server_oid,
												 stream->user_oid));
		drop_conn(sc);
		return;
	}

	/* 3. an administrator may have ended one session: that says nothing of the node */
	if (!is_connect)
		answered = CzConnProbe(worker->endpoint, LOST_PROBE_MS);
	CzRunWorkerLost(stream, worker, reason, is_connect, !answered);
}

static void
note_tried(Fragment *fragment, Oid server_oid)
{
	int			i;

	for (i = 0; i < fragment->nplacements; i++)
	{
		if (fragment->server_oids[i] == server_oid)
			fragment->is_tried[i] = true;
	}
}

/* Tell once a statement that a worker is done without. */
void
CzRunWarn(GroupWorker *gw, const char *node_name, const char *reason)
{
	if (gw->is_warned)
		return;
	gw->is_warned = true;
	CzCountFailover(gw->server_oid);
	ereport(WARNING,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("node \"%s\" failed; reading its shards from other placements",
					node_name),
			 errdetail_internal("%s", reason)));
}

/*
 * A worker is lost to this run: close its connections, move its fragments.
 *
 * mark: let other backends know.
 */
void
CzRunWorkerLost(CzStream *stream, StreamWorker *worker, const char *reason, bool is_connect,
			bool mark)
{
	GroupWorker *gw = CzGroupWorkerGet(stream->group, worker->server_oid,
									   stream->user_oid);
	const char *node_name = worker->endpoint->node_name;
	int64		stuck_shard_id = 0;
	bool		is_stuck = false;
	bool		was_txn = worker->use_txn;
	int			i;

	/* libpq adds lines of advice, and of every later call on the dead socket */
	reason = CzRedact(pnstrdup(reason, strcspn(reason, "\n")), NULL);
	if (mark)
		CzHealthMarkFailed(worker->server_oid);
	worker->is_failed = true;
	stream->has_awaited = false;

	/* 1. its connections */
	while (worker->nconns > 0)
	{
		StreamConn *sc = worker->conns[0];

		if (was_txn)
		{
			/* the transaction's: it will notice at its end */
			sc->conn->is_broken = true;
			sc->conn->busy_owner = NULL;
			sc->conn->busy_drain = NULL;
		}
		else
			CzConnDiscard(sc->conn);
		CzRunRemoveConn(worker, 0);
	}
	CzGroupForgetWorker(gw);
	list_free(worker->waiting);
	worker->waiting = NIL;

	if (was_txn)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to node \"%s\" was lost during the transaction",
						node_name),
				 errdetail_internal("%s", reason),
				 errhint("The transaction cannot go on with another placement. Run it again.")));

	/* 2. its fragments */
	for (i = 0; i < stream->nfragments; i++)
	{
		Fragment   *fragment = &stream->fragments[i];
		ListCell   *lc;

		if (fragment->worker != worker || fragment->state == FRAGMENT_DONE)
			continue;
		note_tried(fragment, worker->server_oid);
		foreach(lc, fragment->members)
			note_tried(lfirst(lc), worker->server_oid);
		if (fragment->store != NULL && !fragment->is_emitted)
		{
			tuplestore_end(fragment->store);
			fragment->store = NULL;
		}
		CzFragmentCount(stream, fragment, -fragment->nrows, -fragment->nbytes);
		if (fragment->store == NULL)
			fragment->nstored = 0;
		stuck_shard_id = fragment->shard_id;
		if ((fragment->is_emitted && !stream->plan->takes_duplicates) ||
			!CzFragmentMove(stream, fragment, &stuck_shard_id))
		{
			is_stuck = true;
			break;
		}
		worker->nretries++;
		stream->nretries++;
	}
	if (is_stuck)
	{
		int			sqlstate = is_connect ?
			ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION :
			ERRCODE_CONNECTION_FAILURE;

		if (stuck_shard_id != 0)
			ereport(ERROR,
					(errcode(sqlstate),
					 errmsg("could not read shard " INT64_FORMAT ": node \"%s\" failed and there is no other placement to go on with",
							stuck_shard_id, node_name),
					 errdetail_internal("%s", reason)));
		else
			ereport(ERROR,
					(errcode(sqlstate),
					 is_connect ?
					 errmsg("could not connect to node \"%s\"", node_name) :
					 errmsg("connection to node \"%s\" was lost", node_name),
					 errdetail_internal("%s", reason)));
	}

	/* 3. moved fragments may be a worker's second command: see to its snapshot */
	{
		ListCell   *lc;

		foreach(lc, stream->workers)
		{
			StreamWorker *other = lfirst(lc);

			if (!other->use_txn &&
				(list_length(other->waiting) > 1 || other->nassigned > 1 ||
				 stream->group->nstreams > 1 || stream->group->has_snapshot))
				other->in_snapshot = true;
		}
	}

	CzRunWarn(gw, node_name, reason);
}
