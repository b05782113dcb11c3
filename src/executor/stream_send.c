/*-------------------------------------------------------------------------
 *
 * stream_send.c
 *	  Put the commands of a fragment into a connection's pipeline, and remember
 *	  what answers will come in which order.
 *
 * The expectations are a ring; its head is the command whose results libpq hands
 * out now.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "libpq-fe.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "executor_int.h"

/* Texts that a backend remembers having sent. */
#define SEEN_TEXTS 4096
/* Fragments of one statement on one worker that are still worth preparing. */
#define MAX_PREPARED_FRAGMENTS 128

/* The oldest expectation, or NULL. */
Expect *
CzExpectHead(StreamConn *sc)
{
	return sc->nexpect == 0 ? NULL : &sc->expect[sc->expect_head];
}

void
CzExpectPop(StreamConn *sc)
{
	Assert(sc->nexpect > 0);
	sc->expect_head = (sc->expect_head + 1) % MAX_EXPECT;
	sc->nexpect--;
}

Expect *
CzExpectPush(StreamConn *sc, ExpectKind kind, Fragment *fragment)
{
	Expect	   *expect;

	if (sc->nexpect >= MAX_EXPECT)
		elog(ERROR, "too many commands in one pipeline");
	expect = &sc->expect[(sc->expect_head + sc->nexpect) % MAX_EXPECT];
	expect->kind = kind;
	expect->is_single_row = false;
	expect->fragment = fragment;
	expect->name = NULL;
	sc->nexpect++;
	return expect;
}

static bool
send_plain(StreamConn *sc, const char *sql, ExpectKind kind)
{
	CzConnLogCommand(sc->conn, sql);
	if (!PQsendQueryParams(sc->conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0))
		return false;
	CzExpectPush(sc, kind, NULL);
	return true;
}

/*
 * Is a text worth a prepared statement?  One with parameters will come again; of
 * the others, those that have been seen before (texts with literals mostly have
 * not, and would push useful statements out of the cache).  Not the fragments of
 * a statement that has so many of them that they would push out each other.
 */
static bool
is_worth_preparing(const CzStream *stream, const StreamWorker *worker, const char *sql)
{
	static uint64 seen[SEEN_TEXTS];
	uint64		hash;

	/* with the values of a shipment the worker plans better */
	if (worker->nassigned > MAX_PREPARED_FRAGMENTS || stream->nships > 0)
		return false;
	if (stream->plan->nparams > 0)
		return true;
	hash = hash_bytes_extended((const unsigned char *) sql, strlen(sql), 0);
	if (seen[hash % SEEN_TEXTS] == hash)
		return true;
	seen[hash % SEEN_TEXTS] = hash;
	return false;
}

/*
 * CzSendFragment
 *		Send a fragment, and before it what its connection still lacks.  False if
 *		the connection is lost.
 *
 * begin_sql: command that opens the read-only transaction, or NULL.
 * must_export: ask for the snapshot's id after it.
 */
bool
CzSendFragment(CzStream *stream, StreamConn *sc, Fragment *fragment,
			   const char *begin_sql, bool must_export)
{
	PGconn	   *pg = sc->conn->pg;
	MemoryContext send_context = NULL;
	MemoryContext oldcontext = NULL;
	FragmentParams params;
	const char *name = NULL;
	bool		is_prepared;
	bool		ok;
	int			format = stream->is_binary ? 1 : 0;

	if (PQpipelineStatus(pg) == PQ_PIPELINE_OFF && !PQenterPipelineMode(pg))
		return false;

	/* 1. transaction and snapshot */
	if (begin_sql != NULL)
	{
		StreamWorker *worker = sc->worker;
		GroupWorker *gw = CzGroupWorkerGet(stream->group, worker->server_oid,
										   stream->user_oid);

		if (!send_plain(sc, begin_sql, EXPECT_COMMAND))
			return false;
		if (gw->snapshot_id != NULL)
		{
			char	   *sql = psprintf("SET TRANSACTION SNAPSHOT %s",
									   quote_literal_cstr(gw->snapshot_id));

			if (!send_plain(sc, sql, EXPECT_COMMAND))
				return false;
		}
		else if (must_export)
		{
			/* flushed: others wait for the id while the fragment runs */
			if (!send_plain(sc, "SELECT pg_catalog.pg_export_snapshot()",
							EXPECT_SNAPSHOT) || !PQsendFlushRequest(pg))
				return false;
			gw->exporter = stream;
			gw->exporter_conn = sc->conn;
			sc->is_exporter = true;
		}
		sc->has_begun = true;
	}

	/* 2. the command: what may come again soon is prepared */
	is_prepared = is_worth_preparing(stream, sc->worker, fragment->sql);
	CzConnLogCommand(sc->conn, fragment->sql);
	if (is_prepared)
	{
		name = CzConnPrepared(sc->conn, fragment->sql);
		if (name == NULL)
		{
			Expect	   *expect;

			name = CzConnNewStatementName(sc->conn);
			if (!PQsendPrepare(pg, name, fragment->sql, 0, NULL))
				return false;
			expect = CzExpectPush(sc, EXPECT_PREPARE, fragment);
			expect->name = pstrdup(name);
		}
	}
	if (stream->nships > 0)
	{
		send_context = AllocSetContextCreate(stream->run_context, "cz_fdw parameters",
											 ALLOCSET_DEFAULT_SIZES);
		oldcontext = MemoryContextSwitchTo(send_context);
	}
	CzFragmentParams(stream, fragment, &params);
	if (is_prepared)
		ok = PQsendQueryPrepared(pg, name, params.nparams, params.values, params.lengths,
								 params.formats, format);
	else
		ok = PQsendQueryParams(pg, fragment->sql, params.nparams, NULL, params.values,
							   params.lengths, params.formats, format);
	if (send_context != NULL)
	{
		MemoryContextSwitchTo(oldcontext);
		MemoryContextDelete(send_context);
	}
	if (!ok)
		return false;
	CzExpectPush(sc, EXPECT_ROWS, fragment);

	/* 3. the end of the unit: the worker flushes its answer */
	if (!PQpipelineSync(pg))
		return false;
	CzExpectPush(sc, EXPECT_SYNC, NULL);

	if (sc->inflight++ == 0)
		sc->last_heard = GetCurrentTimestamp();
	fragment->state = FRAGMENT_SENT;
	fragment->sent_at = GetCurrentTimestamp();
	sc->must_write = PQflush(pg) > 0;
	return true;
}
