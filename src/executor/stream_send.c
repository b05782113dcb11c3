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

#include "cz/settings.h"
#include "executor_int.h"

/* Texts that a backend remembers having sent. */
#define SEEN_TEXTS 4096
/* Fragments of one statement on one worker that are still worth preparing. */
#define MAX_PREPARED_FRAGMENTS 128
/* Fragments that a run takes away from a connection where they are prepared, a worker. */
#define MAX_STOLEN_FRAGMENTS 4

/* What was sent before, by the hash of its text. */
typedef struct SeenText
{
	uint64		hash;
	const CzConn *conn;			/* where it was prepared last (only to compare with);
								 * NULL: sent, but not prepared */
} SeenText;

static SeenText seen[SEEN_TEXTS];

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
	expect->is_complete = false;
	expect->has_tag = false;
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

static SeenText *
seen_text(Fragment *fragment)
{
	if (fragment->text_hash == 0)
		fragment->text_hash = hash_bytes_extended((const unsigned char *) fragment->sql,
												  strlen(fragment->sql), 0) | 1;
	return &seen[(fragment->text_hash >> 1) % SEEN_TEXTS];
}

/* Not the fragments of a statement that has so many that they push out each other. */
static bool
may_prepare(const CzStream *stream, const StreamWorker *worker)
{
	/* with the values of a shipment the worker plans better */
	return worker->nassigned <= MAX_PREPARED_FRAGMENTS && stream->nships == 0;
}

/*
 * Is a text worth a prepared statement?  One with parameters will come again; of
 * the others, those that have been seen before (texts with literals mostly have
 * not, and would push useful statements out of the cache).
 */
static bool
is_worth_preparing(const CzStream *stream, const StreamConn *sc, Fragment *fragment)
{
	SeenText   *text;
	bool		is_worth;

	if (!may_prepare(stream, sc->worker))
		return false;
	text = seen_text(fragment);
	is_worth = stream->plan->nparams > 0 || text->hash == fragment->text_hash;
	text->hash = fragment->text_hash;
	text->conn = is_worth ? sc->conn : NULL;
	return is_worth;
}

/* The connection of this run on which a fragment was prepared last, or NULL. */
static const StreamConn *
preferred_conn(const StreamWorker *worker, Fragment *fragment)
{
	SeenText   *text = seen_text(fragment);
	int			i;

	if (text->hash != fragment->text_hash || text->conn == NULL)
		return NULL;
	for (i = 0; i < worker->nconns; i++)
	{
		if (worker->conns[i]->conn == text->conn)
			return worker->conns[i];
	}
	return NULL;
}

/*
 * CzSendChoose
 *		Which of its worker's waiting fragments a connection should take: one that is
 *		prepared there, or one that is prepared on no connection in use.  NULL: all
 *		are better left to others.
 *
 * sc: NULL: would one more connection have work?
 *
 * Planning a fragment anew mostly costs more than its turn elsewhere.  But a silent
 * connection may be busy for long, and a few that move in each run spread the work
 * over the connections in the end.
 */
Fragment *
CzSendChoose(const CzStream *stream, StreamWorker *worker, const StreamConn *sc)
{
	Fragment   *other = NULL;
	Fragment   *stolen = NULL;
	TimestampTz now = 0;
	ListCell   *lc;

	if (worker->nconns < (sc == NULL ? 1 : 2) || !may_prepare(stream, worker))
		return linitial(worker->waiting);
	foreach(lc, worker->waiting)
	{
		Fragment   *fragment = lfirst(lc);
		const StreamConn *preferred = preferred_conn(worker, fragment);

		if (preferred == NULL)
		{
			if (other == NULL)
				other = fragment;
			if (sc == NULL)
				break;
		}
		else if (preferred == sc)
			return fragment;
		else if (stolen == NULL)
		{
			if (now == 0)
				now = GetCurrentTimestamp();
			if (worker->nstolen < MAX_STOLEN_FRAGMENTS ||
				now >= TimestampTzPlusMilliseconds(preferred->last_heard,
												   cz_slow_start_ms))
				stolen = fragment;
		}
	}
	if (other != NULL)
		return other;
	if (stolen != NULL && sc != NULL)
		worker->nstolen++;
	return stolen;
}

/*
 * CzSendFragment
 *		Put a fragment on its way, and before it what its connection still lacks.  False if
 *		the connection is lost.  The caller flushes what is_unsent says.
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
	if (!sc->worker->use_txn && (!sc->has_begun || begin_sql != NULL))
	{
		const char *name_sql = CzConnNameCommand(sc->conn);

		if (name_sql != NULL && !send_plain(sc, name_sql, EXPECT_COMMAND))
			return false;
	}

	/* 2. the command: what may come again soon is prepared */
	if (fragment->cursor != NULL)
	{
		fragment->sql = psprintf("FETCH ALL FROM %s", fragment->cursor);
		fragment->text_hash = 0;
	}
	is_prepared = fragment->cursor == NULL && is_worth_preparing(stream, sc, fragment);
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
	if (fragment->cursor != NULL)
		memset(&params, 0, sizeof(params));
	else
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
	if (fragment->cursor != NULL &&
		!send_plain(sc, psprintf("CLOSE %s", fragment->cursor), EXPECT_COMMAND))
		return false;

	/* 3. the end of the unit: the worker flushes its answer */
	if (!CzConnPutSync(sc->conn))
		return false;
	CzExpectPush(sc, EXPECT_SYNC, NULL);

	if (sc->inflight++ == 0)
		sc->last_heard = GetCurrentTimestamp();
	fragment->state = FRAGMENT_SENT;
	fragment->sent_at = GetCurrentTimestamp();
	/* rows that go along are many bytes: the next fragment waits until they are out */
	if (stream->nships > 0)
		sc->must_write = PQflush(pg) > 0;
	else
		sc->is_unsent = true;
	return true;
}
