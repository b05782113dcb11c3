/*-------------------------------------------------------------------------
 *
 * stream_modify.c
 *	  INSERT, UPDATE and DELETE that are sent whole.
 *
 * Replicas must not diverge.  Where rows have a key the command goes to the first
 * placement, and what it did to the others (stream_replicas.c); one row by its key is
 * changed on both at once (run_at_once).  Else the same text
 * goes to every placement: then nobody else may write the shard meanwhile, nor any
 * shard that the text reads, so all these are locked before any placement sees the
 * command, and all placements must report the same number of rows.  The row of an INSERT
 * is given: the first placement gets it first, then the others.
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
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/write.h"
#include "executor_int.h"

/* One placement's share of the work. */
typedef struct ModifyTask
{
	Fragment   *fragment;
	int			placement;		/* index in fragment->server_oids */
	uint64		nrows;
	uint64		nreturned;		/* rows of RETURNING that have come */
	bool		has_tag;		/* its command tag has come, with its last rows */
	bool		is_complete;	/* its end has come */
	bool		is_lost;		/* not a first placement, and left out */
	CzReplicaRows *replica_rows;	/* what it did; for the other placements */
} ModifyTask;

/* All tasks of one worker, run one after the other on one connection. */
typedef struct ModifyWorker
{
	Oid			server_oid;
	CzConn	   *conn;
	StreamWorker *worker;		/* for names and EXPLAIN */
	bool		has_first;		/* a task is one of a first placement */
	List	   *tasks;			/* ModifyTask; the first one is running */
	StringInfoData prefix;		/* BEGIN and locks, to go with the first task; empty:
								 * sent */
	bool		is_sent;		/* it has been sent */
	bool		is_single_row;	/* rows of the running task come as they are made */
	bool		in_pipeline;	/* together with what goes before it */
	int			npreceding;		/* results still to come before its own */
	char	   *preparing;		/* name of the statement that is prepared with it */
	bool		is_tentative;	/* an error of it is no error of the statement */
	bool		has_refused;	/* it had one */
	PGresult   *error;			/* in a pipeline: reported when that has ended */
	MemoryContextCallback callback; /* frees it after another error */
	TimestampTz sent_at;
	TimestampTz last_heard;
} ModifyWorker;

/* Milliseconds for which a row of another placement is kept from others while the first
 * one has not answered */
#define GIVE_BACK_MS 5

/* Statements of a prefix that travel with the first command; more go ahead of it. */
#define MAX_PREFIX_STATEMENTS 8

/* Cut the next statement of a prefix off; a name in it may have a semicolon. */
static char *
next_statement(char **rest)
{
	char	   *statement = *rest;
	bool		is_quoted = false;
	char	   *p;

	if (statement == NULL)
		return NULL;
	for (p = statement; *p != '\0' && (is_quoted || *p != ';'); p++)
		is_quoted ^= *p == '"';
	*rest = *p == ';' ? p + 1 : NULL;
	*p = '\0';
	return statement;
}

static int
count_statements(const char *prefix)
{
	int			n = 0;

	for (; *prefix; prefix++)
		n += *prefix == ';';
	return n;
}

/*
 * CzSendPrefix
 *		Send what CzTxnConnPrefix and CzTxnLockShardPrefix gave, in pipeline mode, and
 *		empty it.
 *
 * Returns: results that will come; -1 if libpq refused.
 */
int
CzSendPrefix(CzConn *conn, StringInfo prefix)
{
	char	   *statement;
	char	   *rest = prefix->data;
	int			n = 0;

	if (prefix->len == 0)
		return 0;
	CzConnLogCommand(conn, prefix->data);
	while ((statement = next_statement(&rest)) != NULL)
	{
		const char *name = NULL;

		statement += strspn(statement, " ");
		if (statement[0] == '\0')
			continue;
		/* what each transaction sends is parsed once */
		if (strncmp(statement, "BEGIN", 5) == 0)
			name = CzConnPrepared(conn, statement);
		if (strncmp(statement, "BEGIN", 5) == 0 && name == NULL)
		{
			name = CzConnNewStatementName(conn);
			if (!PQsendPrepare(conn->pg, name, statement, 0, NULL))
				return -1;
			CzConnRememberPrepared(conn, statement, name);
			n++;
		}
		if (name != NULL ?
			!PQsendQueryPrepared(conn->pg, name, 0, NULL, NULL, NULL, 0) :
			!PQsendQueryParams(conn->pg, statement, 0, NULL, NULL, NULL, NULL, 0))
			return -1;
		n++;
	}
	resetStringInfo(prefix);
	return n;
}

/*
 * Send BEGIN, PREPARE and the task in one round trip.  false: libpq refused.
 */
static bool
send_in_pipeline(CzStream *stream, ModifyWorker *mw, const char *name,
				 const FragmentParams *params)
{
	ModifyTask *task = linitial(mw->tasks);
	PGconn	   *pg = mw->conn->pg;
	int			npreceding;

	mw->in_pipeline = true;
	if (!PQenterPipelineMode(pg))
		return false;
	npreceding = CzSendPrefix(mw->conn, &mw->prefix);
	if (npreceding < 0)
		return false;
	mw->npreceding += npreceding;
	if (name == NULL && stream->nships > 0)
		return PQsendQueryParams(pg, task->fragment->sql, params->nparams, NULL,
								 params->values, params->lengths, params->formats,
								 stream->is_binary ? 1 : 0) &&
			PQpipelineSync(pg);
	if (name == NULL)
	{
		mw->preparing = CzConnNewStatementName(mw->conn);
		if (!PQsendPrepare(pg, mw->preparing, task->fragment->sql, 0, NULL))
			return false;
		mw->npreceding++;
		name = mw->preparing;
	}
	return PQsendQueryPrepared(pg, name, params->nparams, params->values, params->lengths,
							   params->formats, stream->is_binary ? 1 : 0) &&
		PQpipelineSync(pg);
}

static void
send_task(CzStream *stream, ModifyWorker *mw)
{
	ModifyTask *task = linitial(mw->tasks);
	PGconn	   *pg = mw->conn->pg;
	const char *name = CzConnPrepared(mw->conn, task->fragment->sql);
	MemoryContext send_context = AllocSetContextCreate(CurrentMemoryContext,
													   "cz_fdw parameters",
													   ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(send_context);
	FragmentParams params;
	int			ok;

	CzFragmentParams(stream, task->fragment, &params);
	MemoryContextSwitchTo(oldcontext);
	CzConnLogCommand(mw->conn, task->fragment->sql);
	if (mw->prefix.len > 0 || (name == NULL && params.nparams > 0))
		ok = send_in_pipeline(stream, mw, name, &params);
	else if (name != NULL)
		ok = PQsendQueryPrepared(pg, name, params.nparams, params.values, params.lengths,
								 params.formats, stream->is_binary ? 1 : 0);
	else
		ok = PQsendQueryParams(pg, task->fragment->sql, params.nparams, NULL,
							   params.values, params.lengths, params.formats,
							   stream->is_binary ? 1 : 0);
	MemoryContextDelete(send_context);
	if (!ok)
	{
		mw->conn->is_broken = true;
		CzReportRemoteError(ERROR, NULL, pg, mw->conn->node_name, task->fragment->sql,
							false);
	}
	mw->is_sent = true;
	mw->sent_at = mw->last_heard = GetCurrentTimestamp();
	(void) PQflush(pg);
}

/* The last columns of a result are for the other placements. */
static int
replica_columns(const CzStream *stream)
{
	return list_length(stream->plan->replica_keys) + list_length(stream->plan->replica_sets);
}

/*
 * CzCheckViolated
 *		Raise what a row that does not pass a WITH CHECK condition, a CzCheckPos list,
 *		deserves.
 */
void
CzCheckViolated(List *check)
{
	CzRaiseCheck(intVal(list_nth(check, CZ_CHECK_KIND)),
				 strVal(list_nth(check, CZ_CHECK_RELATION)),
				 strVal(list_nth(check, CZ_CHECK_POLICY)));
}

/*
 * WITH CHECK conditions of views and policies, which columns behind the statement's tell of.  They
 * are looked at before any row is handed out; the error undoes what was written.
 */
static void
enforce_checks(CzStream *stream, const PGresult *res, int row)
{
	List	   *checks = stream->plan->checks;
	int			column = PQnfields(res) - replica_columns(stream) - list_length(checks);
	ListCell   *lc;

	foreach(lc, checks)
	{
		const char *value = PQgetvalue(res, row, column);
		bool		is_passed = !PQgetisnull(res, row, column) &&
			(PQfformat(res, column) == 0 ? value[0] == 't' : value[0] != 0);

		column++;
		if (!is_passed)
			CzCheckViolated(lfirst(lc));
	}
}

/* The rows of a result, which is freed. */
static void
take_rows(CzStream *stream, ModifyWorker *mw, PGresult *res)
{
	ModifyTask *task = linitial(mw->tasks);
	Fragment   *fragment = task->fragment;
	int			nchecks = list_length(stream->plan->checks);
	int			i;

	if (!stream->plan->has_returning && nchecks == 0)
		CzConnViolated(mw->conn, res, "Its rows were not asked for.");
	if (PQnfields(res) < nchecks + replica_columns(stream))
		CzConnViolated(mw->conn, res, psprintf("It has %d columns.", PQnfields(res)));
	task->nreturned += PQntuples(res);
	stream->res = res;			/* freed with the stream after an error */
	if (task->placement == 0)
	{
		fragment->worker = mw->worker;
		for (i = 0; i < PQntuples(res); i++)
		{
			fragment->nbytes += CzWireRowBytes(res, i);
			if (nchecks > 0)
				enforce_checks(stream, res, i);
			/* nobody wants a row that is checks and the like only */
			if (PQnfields(res) > nchecks + replica_columns(stream))
				CzFragmentStoreRow(stream, fragment, res, i);
		}
	}
	if (replica_columns(stream) > 0 && fragment->nplacements > 1)
		CzReplicaRowsAdd(stream, &task->replica_rows, mw->conn, res);
	stream->res = NULL;
	PQclear(res);
}

/* An error that stands for a condition of a policy or a view. */
static void
raise_check(CzStream *stream, PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *text = message ? strstr(message, CZ_CHECK_TEXT) : NULL;
	int			n;

	/* invalid_text_representation */
	if (state == NULL || strcmp(state, "22P02") != 0 || text == NULL)
		return;
	n = atoi(text + strlen(CZ_CHECK_TEXT));
	if (n < 0 || n >= list_length(stream->plan->conflict_checks))
		return;
	PQclear(res);
	CzCheckViolated(list_nth(stream->plan->conflict_checks, n));
}

static void
take_result(CzStream *stream, ModifyWorker *mw, PGresult *res)
{
	ModifyTask *task = linitial(mw->tasks);

	switch (CzResultIsPart(res) ? PGRES_SINGLE_TUPLE : PQresultStatus(res))
	{
		case PGRES_SINGLE_TUPLE:
			if (task->is_complete || task->has_tag)
				CzConnViolated(mw->conn, res, "It comes after the end.");
			/* a chunk that is not full is the last one, and the tag is on it */
			task->has_tag = PQcmdStatus(res)[0] != '\0';
			if (task->has_tag)
				task->nrows = CzResultCount(mw->conn, res);
			take_rows(stream, mw, res);
			break;
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
			if (task->is_complete)
				CzConnViolated(mw->conn, res, "It comes after the end.");
			if (!task->has_tag)
				task->nrows = CzResultCount(mw->conn, res);
			task->is_complete = true;
			if (PQresultStatus(res) == PGRES_COMMAND_OK)
				PQclear(res);
			else
				take_rows(stream, mw, res);
			if ((stream->plan->has_returning || stream->plan->checks != NIL) &&
				task->nreturned != task->nrows)
				CzConnViolated(mw->conn, NULL, "It has not as many rows as it says.");
			mw->worker->nrows += task->nrows;
			break;
		default:
			if (stream->plan->conflict_checks != NIL)
				raise_check(stream, res);
			CzConnUnexpected(mw->conn, res, task->fragment->sql);
	}
}

/*
 * One result of a pipeline.  An error waits for the end of the pipeline, so that the
 * connection is good for what comes after it.  Returns true at the end.
 */
static bool
take_pipeline_result(CzStream *stream, ModifyWorker *mw, PGresult *res)
{
	ModifyTask *task = linitial(mw->tasks);

	switch (CzResultIsPart(res) ? PGRES_SINGLE_TUPLE : PQresultStatus(res))
	{
		case PGRES_PIPELINE_SYNC:
			PQclear(res);
			mw->in_pipeline = false;
			if (!PQexitPipelineMode(mw->conn->pg))
				mw->conn->is_broken = true;
			res = mw->error;
			mw->error = NULL;
			if (res != NULL && mw->is_tentative)
			{
				PQclear(res);
				mw->has_refused = task->is_complete = true;
				mw->preparing = NULL;
				return true;
			}
			if (res != NULL)
				take_result(stream, mw, res);	/* raises it */
			if (!task->is_complete)
				CzConnViolated(mw->conn, NULL, "It ends too early.");
			if (mw->preparing != NULL)
				CzConnRememberPrepared(mw->conn, task->fragment->sql, mw->preparing);
			mw->preparing = NULL;
			return true;
		case PGRES_PIPELINE_ABORTED:
			PQclear(res);
			return false;
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
		case PGRES_SINGLE_TUPLE:
			if (mw->npreceding > 0)
			{
				/* a lock's one row may come by itself, before its end */
				if (!CzResultIsPart(res))
					mw->npreceding--;
				PQclear(res);
			}
			else
				take_result(stream, mw, res);
			return false;
		default:
			if (mw->error == NULL && PQresultStatus(res) == PGRES_FATAL_ERROR &&
				!CzConnResultIsLoss(mw->conn, res))
				mw->error = res;
			else
				take_result(stream, mw, res);	/* raises it */
			return false;
	}
}

/*
 * The connection is lost: an error, unless all that is there is on other placements,
 * too.  Returns true: something happened.
 */
static bool
lose_worker(ModifyWorker *mw, PGresult *res)
{
	ListCell   *lc;

	if (!CzTxnLoseConn(mw->conn))
		CzReportRemoteError(ERROR, res, mw->conn->pg, mw->conn->node_name, NULL, true);
	PQclear(res);
	PQclear(mw->error);
	mw->error = NULL;
	foreach(lc, mw->tasks)
		((ModifyTask *) lfirst(lc))->is_lost = true;
	mw->tasks = NIL;
	return true;
}

/* Read what one worker has to say; true if something happened. */
static bool
process_worker(CzStream *stream, ModifyWorker *mw)
{
	PGconn	   *pg = mw->conn->pg;
	bool		progress = false;
	int			nulls = 0;

	while (mw->tasks != NIL)
	{
		PGresult   *res;

		if (!mw->is_sent)
			send_task(stream, mw);
		/* libpq takes that when the task is the command whose answer comes next */
		if (!mw->is_single_row && mw->npreceding == 0)
			mw->is_single_row =
				CzConnTakeRowsSoon(mw->conn, stream->plan->has_returning ? CZ_UNSEEN_ROWS : 1);
		if (PQisBusy(pg))
		{
			if (PQstatus(pg) != CONNECTION_OK)
				return lose_worker(mw, NULL);
			return progress;
		}
		res = PQgetResult(pg);
		progress = true;
		if (res != NULL && PQresultStatus(res) == PGRES_FATAL_ERROR &&
			CzConnResultIsLoss(mw->conn, res))
			return lose_worker(mw, res);
		if (res != NULL && !mw->in_pipeline)
		{
			take_result(stream, mw, res);
			continue;
		}
		if (res != NULL && !take_pipeline_result(stream, mw, res))
			continue;
		if (res == NULL && mw->in_pipeline && PQstatus(pg) == CONNECTION_OK)
		{
			/* between two commands; an empty queue has no end */
			if (++nulls > MAX_NULLS)
				CzConnViolated(mw->conn, NULL, "It has no end.");
			continue;
		}
		if (PQstatus(pg) != CONNECTION_OK)
			return lose_worker(mw, NULL);
		if (!((ModifyTask *) linitial(mw->tasks))->is_complete)
			CzConnViolated(mw->conn, NULL, "It ends too early.");
		mw->worker->busy_ms += (GetCurrentTimestamp() - mw->sent_at) / 1000.0;
		mw->tasks = list_delete_first(mw->tasks);
		mw->is_sent = mw->is_single_row = false;
	}
	return progress;
}

static void
probe_silent(CzStream *stream, ModifyWorker *mw)
{
	if (CzConnProbe(mw->worker->endpoint, cz_worker_timeout_ms))
	{
		mw->last_heard = GetCurrentTimestamp();
		return;
	}
	if (CzTxnLoseConn(mw->conn))
	{
		(void) lose_worker(mw, NULL);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("node \"%s\" does not answer", mw->conn->node_name),
			 errdetail("It was silent for %d ms, and so was a new connection to it.",
					   cz_worker_timeout_ms)));
}

/* wait_ms: at most; false: it is over. */
static bool
wait_for_answers(CzStream *stream, List *workers, long wait_ms)
{
	CzWaitSlot *slots;
	ListCell   *lc;
	bool		is_ready;

	slots = palloc0(sizeof(CzWaitSlot) * list_length(workers));
	foreach(lc, workers)
	{
		ModifyWorker *mw = lfirst(lc);
		CzWaitSlot *slot = &slots[foreach_current_index(lc)];

		slot->socket = mw->tasks == NIL ? -1 : PQsocket(mw->conn->pg);
		slot->events = WL_SOCKET_READABLE;
		if (mw->tasks != NIL && PQflush(mw->conn->pg) > 0)
			slot->events |= WL_SOCKET_WRITEABLE;
	}
	is_ready = CzWaitSockets(slots, list_length(workers), wait_ms, true);
	foreach(lc, workers)
	{
		ModifyWorker *mw = lfirst(lc);

		if (slots[foreach_current_index(lc)].is_ready)
		{
			(void) CzConnReceive(mw->conn);
			mw->last_heard = GetCurrentTimestamp();
		}
	}
	pfree(slots);
	foreach(lc, workers)
	{
		ModifyWorker *mw = lfirst(lc);

		if (mw->tasks != NIL && mw->is_sent &&
			GetCurrentTimestamp() >= TimestampTzPlusMilliseconds(mw->last_heard,
																 cz_worker_timeout_ms))
			probe_silent(stream, mw);
	}
	return is_ready;
}

/* An error may come while another one waits for the end of its pipeline. */
static void
release_error(void *arg)
{
	ModifyWorker *mw = arg;

	PQclear(mw->error);
	mw->error = NULL;
}

static ModifyWorker *
get_modify_worker(CzStream *stream, List **workers, Oid server_oid)
{
	ModifyWorker *mw;
	ListCell   *lc;

	foreach(lc, *workers)
	{
		mw = lfirst(lc);
		if (mw->server_oid == server_oid)
			return mw;
	}
	mw = palloc0(sizeof(ModifyWorker));
	mw->server_oid = server_oid;
	mw->worker = palloc0(sizeof(StreamWorker));
	mw->worker->server_oid = server_oid;
	mw->worker->endpoint = CzEndpointGet(server_oid, stream->user_oid);
	mw->worker->max_conns = 1;
	mw->callback.func = release_error;
	mw->callback.arg = mw;
	MemoryContextRegisterResetCallback(stream->run_context, &mw->callback);
	*workers = lappend(*workers, mw);
	stream->workers = lappend(stream->workers, mw->worker);
	return mw;
}

/*
 * CzShardOfFragment, CzShardOf
 *		The shard of a table that a fragment reads or writes, or NULL.
 */
const CzShard *
CzShardOfFragment(Oid relid, const Fragment *fragment)
{
	return CzShardOf(CzTableGet(relid), fragment);
}

const CzShard *
CzShardOf(const CzTable *table, const Fragment *fragment)
{
	int			index;

	if (table == NULL)
		return NULL;
	index = table->kind == CZ_TABLE_REFERENCE || table->kind == CZ_TABLE_FOREIGN ? 0 :
		fragment->shard_index;
	return index < table->nshards ? &table->shards[index] : NULL;
}

/* All workers at once, each with one task after the other. */
static void
run_tasks(CzStream *stream, List *workers)
{
	bool		is_done = false;
	ListCell   *lc;

	while (!is_done)
	{
		bool		progress = false;

		is_done = true;
		foreach(lc, workers)
		{
			ModifyWorker *mw = lfirst(lc);

			if (mw->tasks != NIL && process_worker(stream, mw))
				progress = true;
			if (mw->tasks != NIL)
				is_done = false;
		}
		if (!is_done && !progress)
			(void) wait_for_answers(stream, workers, Max(cz_worker_timeout_ms / 4, 1));
	}
}

/*
 * The text goes to all placements: nobody may write meanwhile what it writes or reads.
 * Shards of one placement that are read need that, too: the target's may have more.
 */
static void
lock_for_text(CzStream *stream)
{
	List	   *relids = stream->plan->relids;
	const CzShard **shards = palloc(sizeof(CzShard *) * list_length(relids) *
									Max(stream->nfragments, 1));
	int			nshards = 0;
	ListCell   *lc;
	int			i;

	for (i = 0; i < stream->nfragments; i++)
	{
		if (!CzShardIsReplicated(CzShardOfFragment(stream->plan->anchor_relid,
												   &stream->fragments[i])))
			continue;
		foreach(lc, relids)
		{
			const CzShard *shard = CzShardOfFragment(lfirst_oid(lc), &stream->fragments[i]);

			if (shard != NULL && CzShardIsReplicated(shard))
				shards[nshards++] = shard;
		}

		/* Each placement has its snapshot, and the target's rows don't tell of others. */
		if (list_length(relids) > 1 && IsolationUsesXactSnapshot())
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot change rows of \"%s\" by what other rows are in a transaction of this isolation level",
							get_rel_name(stream->plan->anchor_relid)),
					 errdetail("The shards have several placements, which are seen at different times, and the table has no primary key."),
					 errhint("Add a primary key, or use READ COMMITTED.")));
	}
	CzTxnLockShardsLocally(shards, nshards, CZ_LOCK_EXCLUSIVE, true);
	for (i = 0; i < stream->nfragments; i++)
		CzFragmentPlace(stream, &stream->fragments[i], true);
	if (nshards > 0)
		CzTxnLockShards(shards, nshards, stream->user_oid, CZ_LOCK_EXCLUSIVE);
	pfree(shards);
}

/*
 * The command goes to the first placement.  Statements over several shards meet here
 * first, in one order: two of them would each wait for the other on another worker.
 */
static void
lock_for_rows(CzStream *stream, bool by_key)
{
	const CzShard **shards = palloc(sizeof(CzShard *) * Max(stream->nfragments, 1));
	int			i;

	for (i = 0; i < stream->nfragments; i++)
		shards[i] = CzShardOfFragment(stream->plan->anchor_relid, &stream->fragments[i]);
	if (stream->nfragments > 1)
		CzTxnLockShardsLocally(shards, stream->nfragments, CZ_LOCK_SEVERAL, true);
	CzTxnLockShardsLocally(shards, stream->nfragments, CZ_LOCK_SHARED, true);
	for (i = 0; i < stream->nfragments; i++)
		CzFragmentPlace(stream, &stream->fragments[i], !by_key);
	pfree(shards);
}

/*
 * Connect to a worker; what has to be sent first waits in mw->prefix, or is sent if it
 * is much.
 */
static void
prepare_worker(CzStream *stream, ModifyWorker *mw)
{
	bool		has_alone = false;
	ListCell   *lc;

	initStringInfo(&mw->prefix);
	foreach(lc, mw->tasks)
	{
		ModifyTask *task = lfirst(lc);

		has_alone |= task->placement == 0 && task->fragment->nplacements < 2;
	}
	if (has_alone)
		mw->conn = CzTxnConnPrefix(mw->server_oid, stream->user_oid, true, &mw->prefix);
	else if (mw->has_first)
		mw->conn = CzTxnFirstConnPrefix(mw->server_oid, stream->user_oid, &mw->prefix);
	else
		mw->conn = CzTxnReplicaConnPrefix(mw->server_oid, stream->user_oid, &mw->prefix);
	foreach(lc, stream->plan->replica_keys != NIL || stream->plan->rows_are_given ?
			mw->tasks : NIL)
	{
		const Fragment *fragment = ((ModifyTask *) lfirst(lc))->fragment;

		if (((ModifyTask *) lfirst(lc))->placement == 0)
			CzTxnLockShardPrefix(CzShardOfFragment(stream->plan->anchor_relid, fragment),
								 stream->user_oid, CZ_LOCK_SHARED, &mw->prefix);
	}
	if (count_statements(mw->prefix.data) > MAX_PREFIX_STATEMENTS)
	{
		PQclear(CzConnExec(mw->conn, mw->prefix.data));
		resetStringInfo(&mw->prefix);
	}
	if (PQpipelineStatus(mw->conn->pg) != PQ_PIPELINE_OFF)
		(void) PQexitPipelineMode(mw->conn->pg);
	CzConnSyncSettings(mw->conn);
}

/*
 * May the one row be changed on both placements at once?  What is done on the second one
 * can be taken back only if it is all that was done there.
 */
static bool
may_run_at_once(const CzStream *stream)
{
	const Fragment *fragment = &stream->fragments[0];

	return stream->plan->finds_one_row && stream->nfragments == 1 && stream->nships == 0 &&
		fragment->nplacements == 2 && !stream->plan->has_row_ids && !stream->is_first_only &&
		GetCurrentTransactionNestLevel() == 1 && !IsolationUsesXactSnapshot() &&
		!CzTxnHasBegun(fragment->server_oids[0], stream->user_oid) &&
		!CzTxnHasBegun(fragment->server_oids[1], stream->user_oid) &&
		!CzTxnIsLost(fragment->shard_id, fragment->server_oids[1]) &&
		CzTxnCanReach(fragment->server_oids[1], stream->user_oid);
}

/*
 * run_at_once
 *		Send the command to both placements.
 *
 * The first one orders: who has the row there, and not on the other one, waits for who has
 * it there.  So who has it on the other one, and not on the first, must not keep it: after
 * a moment he gives it back, and what the first one does then is applied there later.  So
 * is it where the two have not done the same, because a row came, or went, in between.
 *
 * Returns: is the other placement done with?
 */
static bool
run_at_once(CzStream *stream, List *workers, ModifyTask *tasks)
{
	ModifyWorker *first = linitial(workers);
	ModifyWorker *second = lsecond(workers);
	bool		is_given_back = false;

	second->is_tentative = true;
	prepare_worker(stream, first);
	prepare_worker(stream, second);
	for (;;)
	{
		bool		progress = process_worker(stream, first);
		bool		gives_back;

		progress |= process_worker(stream, second);
		if (first->tasks == NIL && second->tasks == NIL)
			break;
		gives_back = second->tasks == NIL && !is_given_back && !tasks[1].is_lost;
		if (!progress &&
			!wait_for_answers(stream, workers, gives_back ? GIVE_BACK_MS :
							  Max(cz_worker_timeout_ms / 4, 1)) && gives_back)
		{
			CzTxnGiveBack(second->conn);
			is_given_back = true;
		}
	}
	if (tasks[1].is_lost)
		return true;
	if (!is_given_back && !second->has_refused &&
		CzReplicaRowsAreEqual(tasks[0].replica_rows, tasks[1].replica_rows))
		return true;
	if (!is_given_back)
		CzTxnGiveBack(second->conn);
	return false;
}

/* All placements must have done the same. */
static void
compare_placements(const CzStream *stream, const Fragment *fragment, const ModifyTask *tasks)
{
	int			i;

	for (i = 1; i < fragment->nplacements; i++)
	{
		if (tasks[i].is_lost || tasks[i].nrows == tasks[0].nrows)
			continue;

		/*
		 * Snapshots that last for a transaction are taken on each worker at its
		 * first command: another transaction may have come between.
		 */
		if (IsolationUsesXactSnapshot())
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update"),
					 errdetail("Placements of shard " INT64_FORMAT " are seen at different times.",
							   fragment->shard_id)));
		CzTxnPlacementsDiffer(CzShardOfFragment(stream->plan->anchor_relid, fragment),
							  fragment->server_oids[i]);
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("placements of shard " INT64_FORMAT " differ",
						fragment->shard_id),
				 errdetail("The command changed " UINT64_FORMAT " rows on the first placement and " UINT64_FORMAT " on another one.",
						   tasks[0].nrows, tasks[i].nrows)));
	}
}

/*
 * CzStreamRunModify
 *		See executor.h.
 *
 * Steps: 1. fragments and locks, 2. one list of tasks per worker, 3. all workers
 * at once, 4. the other placements, or a look at what they report.
 */
uint64
CzStreamRunModify(CzStream *stream)
{
	MemoryContext oldcontext;
	ModifyTask *tasks;
	List	   *workers = NIL;
	List	   *servers = NIL;
	ListCell   *lc;
	uint64		total = 0;
	bool		by_key = stream->plan->replica_keys != NIL || stream->is_first_only;
	bool		is_given = stream->plan->rows_are_given;
	bool		is_done = false;	/* what by_key leaves to be done */
	int			ntasks = 0;
	int			i;
	int			j;

	CzSnapshotAwaitCopies(stream);
	if (stream->plan->insert_attnos != NIL)
		CzInsertResolve(stream);
	else
		CzFragmentsResolve(stream);
	stream->is_started = true;
	if (stream->nfragments == 0)
		return 0;
	CzShipRead(stream);
	if (stream->plan->command == CMD_INSERT && stream->nships > 0)
		CzInsertSkipEmpty(stream);
	if (stream->nfragments == 0)
		return 0;
	(void) CzTxnBeforeWrite();
	if (stream->plan->command == CMD_INSERT && stream->estate->es_auxmodifytables != NIL)
		CzRowChangesApplyKnown(stream->estate, stream->plan->anchor_relid);
	if (!OidIsValid(stream->plan->anchor_relid))
		elog(ERROR, "modifying fragment plan without anchor");
	oldcontext = MemoryContextSwitchTo(stream->run_context);

	for (i = 0; stream->nships > 0 && i < stream->nfragments; i++)
		stream->fragments[i].sql = CzShipFragmentSql(stream, &stream->fragments[i]);
	stream->total_fragments += stream->nfragments;
	if (by_key || is_given)
		lock_for_rows(stream, by_key);
	else
		lock_for_text(stream);
	for (i = 0; i < stream->nfragments; i++)
	{
		CzWireCheckRowIds(stream, &stream->fragments[i]);
		CzShipCheckRowIds(stream, &stream->fragments[i]);
	}
	/* last: who waits for the others may be waited for by somebody who moves rows */
	if (stream->nfragments > 1 && !stream->is_first_only)
		CzStreamLockMoves(stream);

	if (CzStreamMayBeSingle(stream))
	{
		total = stream->fragments[0].nrows = stream->total_rows = CzStreamRunSingle(stream);
		stream->fragments[0].state = FRAGMENT_DONE;
		stream->ndone++;
		MemoryContextSwitchTo(oldcontext);
		return total;
	}
	for (i = 0; i < stream->nfragments; i++)
		ntasks += by_key ? 1 : stream->fragments[i].nplacements;
	tasks = palloc0(sizeof(ModifyTask) * (ntasks + 1));
	ntasks = 0;
	for (i = 0; i < stream->nfragments; i++)
	{
		Fragment   *fragment = &stream->fragments[i];

		for (j = 0; j < (by_key ? 1 : fragment->nplacements); j++)
		{
			ModifyWorker *mw = get_modify_worker(stream, &workers,
												 fragment->server_oids[j]);
			ModifyTask *task = &tasks[ntasks++];

			task->fragment = fragment;
			task->placement = j;
			mw->tasks = lappend(mw->tasks, task);
			mw->has_first |= j == 0;
			mw->worker->nfragments++;
		}
	}
	for (i = 0; i < stream->nfragments; i++)
	{
		for (j = 0; j < stream->fragments[i].nplacements; j++)
			servers = list_append_unique_oid(servers, stream->fragments[i].server_oids[j]);
	}
	CzTxnFlushPending();
	CzTxnEnterPools(servers, stream->user_oid);
	if (is_given)
	{
		/* a unique index orders writers on the first placement */
		foreach(lc, workers)
		{
			List	   *worker = list_make1(lfirst(lc));

			prepare_worker(stream, linitial(worker));
			run_tasks(stream, worker);
		}
	}
	else if (may_run_at_once(stream))
	{
		tasks[1].fragment = &stream->fragments[0];
		tasks[1].placement = 1;
		get_modify_worker(stream, &workers, stream->fragments[0].server_oids[1])->tasks =
			list_make1(&tasks[1]);
		is_done = run_at_once(stream, workers, tasks);
	}
	else
	{
		foreach(lc, workers)
			prepare_worker(stream, lfirst(lc));
		run_tasks(stream, workers);
	}

	if (is_done)
		CzDebugPoint("after_s");
	else if (stream->plan->replica_keys != NIL)
	{
		CzReplicaRows **rows = palloc0(sizeof(CzReplicaRows *) * stream->nfragments);

		for (i = 0; i < stream->nfragments; i++)
			rows[i] = tasks[i].replica_rows;
		CzDebugPoint("after_p");
		CzReplicaRowsApply(stream, rows);
		CzDebugPoint("after_s");
	}
	for (i = 0, ntasks = 0; i < stream->nfragments; i++)
	{
		Fragment   *fragment = &stream->fragments[i];
		ModifyTask *first = &tasks[ntasks];

		if (!by_key)
			compare_placements(stream, fragment, first);
		ntasks += by_key ? 1 : fragment->nplacements;
		total += first->nrows;
		fragment->nrows = first->nrows;
		fragment->state = FRAGMENT_DONE;
		stream->ndone++;
		stream->total_rows += first->nrows;
		stream->total_bytes += fragment->nbytes;
		if (fragment->store != NULL)
			stream->ready = lappend(stream->ready, fragment);
	}
	CzStreamLetMoves(stream);
	MemoryContextSwitchTo(oldcontext);
	return total;
}
