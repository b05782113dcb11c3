/*-------------------------------------------------------------------------
 *
 * writer_jobs.c
 *	  What a writer has its workers do: COPYs of batches, or INSERTs.
 *
 * The first placement of a shard comes first: its lock is held before another
 * placement sees a row, and two transactions that insert the same key meet there
 * instead of each waiting for the other on one of two.  The others get a batch when
 * the first one has it.  Workers stay evenly busy because first placements are spread
 * evenly.
 *
 * Invariants: while a job runs on a connection, busy_owner of the connection is
 * the writer; whoever else needs the connection makes the writer finish.  A writer
 * that failed sends nothing any more, nor is what it has taken for sent.
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
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "writer_state.h"

/* Bytes given to libpq at once: it buffers without bound */
#define CZ_CHUNK_BYTES (64 * 1024)
/* Of a job: its connection is lost */
#define JOB_LOST (-1)

static CzWriter *sender = NULL; /* the writer that has jobs, or NULL */

/*
 * CzWriterIsSending
 *		Has the writer something on the way?
 */
bool
CzWriterIsSending(const CzWriter *writer)
{
	return sender == writer;
}

/*
 * CzWriterForget
 *		The writer's memory is going away.
 */
void
CzWriterForget(CzWriter *writer)
{
	if (sender == writer)
		sender = NULL;
}

/* ---- errors ----------------------------------------------------------------- */

/* The first row of INSERTs that was not stored, NULL if all were. */
static EarlyRow *
row_of_inserts(const Job *job)
{
	int			n = job->inserts ? CzInsertsCount(job->inserts) : 0;

	return n < list_length(job->rows) ? list_nth(job->rows, n) : NULL;
}

/* The statement's row that a worker complains of, 0 if it does not say; and where lines are
 * sent its text. */
static int64
row_of_error(const CzWriter *writer, const Job *job, const PGresult *res, CzLine *text)
{
	long		line;

	if (job->batch == NULL)
	{
		EarlyRow   *row = row_of_inserts(job);

		return row != NULL ? row->row_number : 0;
	}

	line = CzCopyErrorLine(res, job->batch->shard->remote_name);
	if (writer->lines != NULL)
		return CzLineOfError(writer, job->batch, line, text);
	return CzRowOfError(job->batch, line);
}

/*
 * raise_job_error
 *		A worker refused, or its connection broke (res NULL).  Consumes res.
 */
static void
raise_job_error(CzWriter *writer, CzConn *conn, Job *job, PGresult *res)
{
	CzLine		text = {0};
	int64		row_number;

	if (job->batch == NULL && row_of_inserts(job) != NULL)
		job->shown_sql = psprintf("INSERT INTO %s",
								  row_of_inserts(job)->batch->shard->remote_qualified);
	if (res == NULL || CzConnResultIsLoss(conn, res))
	{
		PQclear(res);
		conn->is_broken = true;
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to node \"%s\" was lost while writing to it",
						conn->node_name)));
	}

	if (PQresultStatus(res) != PGRES_FATAL_ERROR)
		CzConnUnexpected(conn, res, job->shown_sql);
	row_number = row_of_error(writer, job, res, &text);
	if (writer->lines != NULL)
		CzLinesReadAgain(writer, res);
	CzReportRowError(res, conn, job->shown_sql, writer->copy_table, row_number, &text);
}

/* The first job of a run is over. */
static void
end_job(CzWriter *writer, Run *run)
{
	Job		   *job = (Job *) linitial(run->jobs);

	run->jobs = list_delete_first(run->jobs);
	if (job->batch != NULL && --job->batch->njobs == 0)
		CzWriterRelease(writer, job->batch);
	MemoryContextDelete(job->context);
}

/* ---- one job ---------------------------------------------------------------- */

/* Somebody else needs a connection of a job. */
static void
finish_sending(void *arg)
{
	CzWriter   *writer = (CzWriter *) arg;

	if (sender == writer)
		CzWriterPump(writer, CZ_WAIT_SENT);
}

static void
drain_writer(void *arg)
{
	CzTxnRunAtLevel(((CzWriter *) arg)->level, finish_sending, arg);
}

/* Make the INSERTs of a job, and have the shards locked before them. */
static void
add_inserts(CzWriter *writer, Job *job, StringInfo prefix)
{
	ListCell   *lc;

	job->inserts = CzInsertsMake();
	foreach(lc, job->rows)
	{
		EarlyRow   *row = (EarlyRow *) lfirst(lc);
		const CzShard *shard = row->batch->shard;

		if (job->placement == 0)
			CzTxnLockShardPrefix(shard, writer->user_oid, CZ_LOCK_SHARED, prefix);
		if (row->batch->of->insert_sql == NULL)
			row->batch->of->insert_sql =
				MemoryContextStrdup(writer->context,
									CzWireInsertSql(writer->format,
													shard->remote_qualified));
		ExecStoreMinimalTuple(row->tuple, writer->early_slot, false);
		CzInsertsAdd(job->inserts, row->batch->of->insert_sql, writer->format->ncolumns,
					 CzWireRowTexts(writer->format, writer->early_slot));
	}
	ExecClearTuple(writer->early_slot);
}

/*
 * start_job
 *		Take the connection and send the command; false: it is lost.
 */
static bool
start_job(CzWriter *writer, Run *run, Job *job)
{
	MemoryContext old = MemoryContextSwitchTo(job->context);
	StringInfoData sql;
	CzConn	   *conn;

	initStringInfo(&sql);
	if (job->is_replica)
		conn = CzTxnReplicaConnPrefix(run->server_oid, writer->user_oid, &sql);
	else if (job->has_others)
		conn = CzTxnFirstConnPrefix(run->server_oid, writer->user_oid, &sql);
	else
		conn = CzTxnConnPrefix(run->server_oid, writer->user_oid, true, &sql);
	run->conn = conn;
	if (job->batch != NULL)
	{
		if (job->placement == 0)
			CzTxnLockShardPrefix(job->batch->shard, writer->user_oid, CZ_LOCK_SHARED, &sql);
		job->shown_sql = psprintf("COPY %s (%s) FROM STDIN%s",
								  job->batch->shard->remote_qualified,
								  writer->lines ? writer->lines->column_list :
								  writer->format->column_list,
								  writer->lines ? writer->lines->options :
								  writer->format->is_binary ? " (FORMAT binary)" : "");
		appendStringInfoString(&sql, job->shown_sql);
	}
	else
		add_inserts(writer, job, &sql);
	job->sql = sql.data;
	job->state = JOB_COMMAND;
	MemoryContextSwitchTo(old);

	conn->busy_owner = writer;
	conn->busy_drain = drain_writer;
	run->last_heard = GetCurrentTimestamp();
	if (job->batch == NULL)
		return CzInsertsSend(job->inserts, conn, &sql);
	CzConnLogCommand(conn, job->sql);
	if (!PQsendQuery(conn->pg, job->sql))
		return false;
	/* a lock's one row; should there be more, they do not pile up */
	(void) PQsetSingleRowMode(conn->pg);
	return true;
}

/*
 * send_data
 *		Hand the batch to libpq piece by piece.
 *
 * Returns: 1 when all is out, 0 if the socket takes no more now, -1: it is lost.
 */
static int
send_data(CzConn *conn, Job *job)
{
	StringInfo	data = &job->batch->data;

	for (;;)
	{
		int			flush = PQflush(conn->pg);
		int			n;

		if (flush < 0)
			return -1;
		if (flush > 0)
			return 0;
		if (job->offset == data->len)
			break;
		n = Min(data->len - job->offset, CZ_CHUNK_BYTES);
		if (PQputCopyData(conn->pg, data->data + job->offset, n) != 1)
			return -1;
		job->offset += n;
	}
	return PQputCopyEnd(conn->pg, NULL) == 1 ? 1 : -1;
}

/* The same as advance_job, for INSERTs. */
static int
advance_inserts(CzWriter *writer, CzConn *conn, Job *job)
{
	int			flush = PQflush(conn->pg);

	if (flush < 0)
		return JOB_LOST;
	switch (CzInsertsTake(job->inserts, conn))
	{
		case CZ_INSERTS_LOST:
			return JOB_LOST;
		case CZ_INSERTS_FAILED:
			conn->busy_owner = NULL;
			conn->busy_drain = NULL;
			raise_job_error(writer, conn, job, CzInsertsError(job->inserts));
			return JOB_LOST;
		case CZ_INSERTS_DONE:
			conn->busy_owner = NULL;
			conn->busy_drain = NULL;
			return 0;
		default:
			return WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
	}
}

/*
 * advance_job
 *		As far as possible without waiting.
 *
 * Returns: events to wait for; 0 when the job is done; JOB_LOST.
 */
static int
advance_job(CzWriter *writer, Run *run, Job *job)
{
	CzConn	   *conn = run->conn;
	PGconn	   *pg = conn->pg;
	int			flush;

	if (!CzConnReceive(conn))
		return JOB_LOST;
	if (job->batch == NULL)
		return advance_inserts(writer, conn, job);

	if (job->state == JOB_DATA)
	{
		int			sent = send_data(conn, job);

		if (sent <= 0)
			return sent < 0 ? JOB_LOST : WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE;
		job->state = JOB_END;
	}
	flush = PQflush(pg);
	if (flush < 0)
		return JOB_LOST;

	while (!PQisBusy(pg))
	{
		PGresult   *res = PQgetResult(pg);
		int			sent;

		if (res == NULL)
		{
			if (PQstatus(pg) != CONNECTION_OK)
				return JOB_LOST;
			if (!job->is_stored)
				CzConnViolated(conn, NULL, "It ends before what was sent is stored.");
			conn->busy_owner = NULL;
			conn->busy_drain = NULL;
			return 0;
		}
		switch (PQresultStatus(res))
		{
			case PGRES_COPY_IN:
				if (job->state != JOB_COMMAND)
					CzConnUnexpected(conn, res, job->shown_sql);
				PQclear(res);
				job->state = JOB_DATA;
				sent = send_data(conn, job);
				if (sent <= 0)
					return sent < 0 ? JOB_LOST : WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE;
				job->state = JOB_END;
				flush = PQflush(pg);
				if (flush < 0)
					return JOB_LOST;
				break;
			case PGRES_COMMAND_OK:
				if (job->state == JOB_END && strncmp(PQcmdStatus(res), "COPY", 4) == 0)
				{
					if (CzResultCount(conn, res) != job->batch->nrows)
						CzConnViolated(conn, res, "It has stored another number of rows.");
					job->is_stored = true;
				}
				PQclear(res);
				break;
			case PGRES_TUPLES_OK:
			case PGRES_SINGLE_TUPLE:
				PQclear(res);
				break;
			default:
				if (PQresultStatus(res) != PGRES_FATAL_ERROR ||
					!CzConnResultIsLoss(conn, res))
					raise_job_error(writer, conn, job, res);
				PQclear(res);
				return JOB_LOST;
		}
	}
	return WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
}

/* ---- what is to be done ------------------------------------------------------- */

static Run *
find_run(CzWriter *writer, Oid server_oid)
{
	MemoryContext old;
	Run		   *run;
	ListCell   *lc;

	foreach(lc, writer->runs)
	{
		run = (Run *) lfirst(lc);
		if (run->server_oid == server_oid)
			return run;
	}
	old = MemoryContextSwitchTo(writer->context);
	run = palloc0(sizeof(Run));
	run->server_oid = server_oid;
	writer->runs = lappend(writer->runs, run);
	MemoryContextSwitchTo(old);
	return run;
}

/* Queue the COPY of a batch to a placement, or one more row of a worker's INSERTs. */
static void
queue(CzWriter *writer, Batch *batch, EarlyRow *row, int placement)
{
	Run		   *run = find_run(writer, batch->server_oids[placement]);
	MemoryContext context;
	MemoryContext old;
	Job		   *job;

	if (row != NULL && run->jobs != NIL)
	{
		job = (Job *) linitial(run->jobs);
		old = MemoryContextSwitchTo(job->context);
		job->has_others &= batch->nplacements > 1;
		job->rows = lappend(job->rows, row);
		MemoryContextSwitchTo(old);
		return;
	}
	context = AllocSetContextCreate(writer->context, "cz writer job",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	job = palloc0(sizeof(Job));
	job->context = context;
	job->placement = placement;
	job->is_replica = placement > 0 || batch->shard->is_copy;
	job->has_others = batch->nplacements > 1;
	if (row != NULL)
		job->rows = list_make1(row);
	else
	{
		job->batch = batch;
		batch->njobs++;
	}
	MemoryContextSwitchTo(writer->context);
	run->jobs = lappend(run->jobs, job);
	MemoryContextSwitchTo(old);
}

/* The same for the other placements, once the first one has the rows. */
static void
queue_others(CzWriter *writer, Batch *batch, EarlyRow *row)
{
	int			i;

	for (i = 1; i < batch->nplacements; i++)
	{
		if (!CzTxnIsLost(batch->shard->shard_id, batch->server_oids[i]))
			queue(writer, batch, row, i);
	}
}

/*
 * Where the rows of a shard go, now that it is locked.  One with a single placement
 * is not asked for: it may be that of a shard which is being made.
 */
static void
place_batch(CzWriter *writer, Batch *batch)
{
	Oid		   *server_oids = NULL;

	if (CzShardIsReplicated(batch->shard))
	{
		batch->shard = CzShardFresh(batch->shard);
		batch->nplacements = CzTxnWritePlacements(batch->shard, writer->user_oid, true,
												  &server_oids);
	}
	else
	{
		batch->shard = CzTxnEnterShard(batch->shard, false);
		batch->nplacements = batch->shard->nplacements;
		server_oids = batch->shard->server_oids;
	}
	if (batch->server_oids != NULL)
		pfree(batch->server_oids);
	batch->server_oids = MemoryContextAlloc(writer->context,
											sizeof(Oid) * Max(batch->nplacements, 1));
	memcpy(batch->server_oids, server_oids, sizeof(Oid) * batch->nplacements);
}

/*
 * Lock the shards that rows have come for.  Two statements that write the same shards
 * must not deadlock.
 */
static void
lock_shards(CzWriter *writer)
{
	const CzShard **shards = palloc(sizeof(CzShard *) * writer->nfilling);
	int			nshards = 0;
	List	   *servers = NIL;
	dlist_iter	iter;
	int			i;

	dlist_foreach(iter, &writer->batches)
	{
		Batch	   *batch = dlist_container(Batch, node, iter.cur);

		if (batch->of->filling != batch || batch->of->is_locked)
			continue;
		shards[nshards++] = batch->shard;
		for (i = 0; i < batch->shard->nplacements; i++)
		{
			servers = list_append_unique_oid(servers, batch->shard->server_oids[i]);
			(void) find_run(writer, batch->shard->server_oids[i]);
		}
	}
	CzTxnEnterPools(servers, writer->user_oid);
	CzTxnLockShardsLocally(shards, nshards, CZ_LOCK_SHARED, true);
	dlist_foreach(iter, &writer->batches)
	{
		Batch	   *batch = dlist_container(Batch, node, iter.cur);

		batch->of->is_locked = true;
	}
	writer->has_unlocked = false;
}

/*
 * The connection of a run is lost: an error, unless the transaction can do without the
 * placements that are written through it.  What was still to come to first placements
 * there goes to others.
 */
static void
take_loss(CzWriter *writer, Run *run)
{
	CzConn	   *conn = run->conn;
	Job		   *first = (Job *) linitial(run->jobs);
	List	   *batches = NIL;
	ListCell   *lc;

	if (!CzTxnLoseConn(conn))
		raise_job_error(writer, conn, first, NULL);
	conn->busy_owner = NULL;
	conn->busy_drain = NULL;
	run->slot.socket = -1;
	while (run->jobs != NIL)
	{
		Job		   *job = (Job *) linitial(run->jobs);

		if (job->batch != NULL && job->placement == 0)
		{
			batches = lappend(batches, job->batch);
			job->batch->njobs++;
		}
		end_job(writer, run);
	}
	foreach(lc, batches)
	{
		Batch	   *batch = lfirst(lc);

		place_batch(writer, batch);
		if (batch->nplacements > 0)
			queue(writer, batch, NULL, 0);
		if (--batch->njobs == 0)
			CzWriterRelease(writer, batch);
	}
	list_free(batches);
}

/* A batch gets no more rows; its COPY is queued. */
static void
send_batch(CzWriter *writer, Batch *batch)
{
	batch->of->filling = NULL;
	writer->nfilling--;
	place_batch(writer, batch);
	if (writer->format->is_binary && writer->lines == NULL)
	{
		appendBinaryStringInfo(&batch->data, "\377\377", 2);
		writer->held += 2;
	}
	if (batch->nplacements > 0)
		queue(writer, batch, NULL, 0);
	else
		CzWriterRelease(writer, batch);
}

/*
 * Send the fullest batch of the shards that have their first placement on a worker which
 * has nothing to do, if it is worth a COPY; false: there is none.
 */
static bool
send_fullest(CzWriter *writer, Run *run)
{
	Batch	   *fullest = NULL;
	dlist_iter	iter;

	if (writer->held < CZ_SEND_BYTES || !writer->is_copy)
		return false;
	dlist_foreach(iter, &writer->batches)
	{
		Batch	   *batch = dlist_container(Batch, node, iter.cur);

		if (batch->of->filling == batch && batch->shard->nplacements > 0 &&
			batch->shard->server_oids[0] == run->server_oid &&
			(fullest == NULL || batch->data.len > fullest->data.len))
			fullest = batch;
	}
	/* half of what all have if none is on the way */
	if (fullest == NULL ||
		(Size) (fullest->data.len + fullest->marks.len) * writer->nfilling * 2 < writer->held)
		return false;
	send_batch(writer, fullest);
	return true;
}

/* Send all batches, or the INSERTs of the first rows. */
static void
send_rest(CzWriter *writer)
{
	dlist_mutable_iter iter;
	ListCell   *lc;

	if (writer->early == NIL)
	{
		dlist_foreach_modify(iter, &writer->batches)
		{
			Batch	   *batch = dlist_container(Batch, node, iter.cur);

			if (batch->of->filling == batch)
				send_batch(writer, batch);
		}
		return;
	}
	dlist_foreach_modify(iter, &writer->batches)
		place_batch(writer, dlist_container(Batch, node, iter.cur));
	foreach(lc, writer->early)
	{
		EarlyRow   *row = (EarlyRow *) lfirst(lc);

		if (row->batch->nplacements > 0)
			queue(writer, row->batch, row, 0);
	}
}

/* The first placements have the first rows: send them to the others, or forget them. */
static void
go_on_early(CzWriter *writer, bool are_sent)
{
	dlist_mutable_iter iter;
	ListCell   *lc;

	foreach(lc, are_sent ? NIL : writer->early)
		queue_others(writer, ((EarlyRow *) lfirst(lc))->batch, lfirst(lc));
	if (!are_sent)
		return;
	foreach(lc, writer->early)
		writer->held -= ((EarlyRow *) lfirst(lc))->tuple->t_len;
	dlist_foreach_modify(iter, &writer->batches)
	{
		Batch	   *batch = dlist_container(Batch, node, iter.cur);

		batch->of->filling = NULL;
		writer->nfilling--;
		CzWriterRelease(writer, batch);
	}
	writer->early = NIL;
	MemoryContextReset(writer->early_context);
}

/* ---- doing it ------------------------------------------------------------------- */

/*
 * Move a worker on; its slot tells what to wait for.
 *
 * begins: it may get more to do.
 */
static void
move_run(CzWriter *writer, Run *run, bool begins)
{
	CzWaitSlot *slot = &run->slot;

	slot->socket = -1;
	slot->events = 0;
	while (run->jobs != NIL || (begins && send_fullest(writer, run)))
	{
		Job		   *job;
		MemoryContext old;

		/* its batch may have gone to another worker */
		if (run->jobs == NIL)
			continue;
		job = (Job *) linitial(run->jobs);
		old = MemoryContextSwitchTo(job->context);
		if (job->state == JOB_QUEUED && !start_job(writer, run, job))
			slot->events = JOB_LOST;
		else
			slot->events = advance_job(writer, run, job);
		MemoryContextSwitchTo(old);
		if (slot->events == JOB_LOST)
		{
			slot->events = 0;
			take_loss(writer, run);
			return;
		}
		if (slot->events != 0)
		{
			slot->socket = PQsocket(run->conn->pg);
			return;
		}
		if (job->batch != NULL && job->placement == 0)
			queue_others(writer, job->batch, NULL);
		end_job(writer, run);
	}
}

/* Move all on, as far as possible without waiting; true if nothing is on the way. */
static bool
move_runs(CzWriter *writer, bool begins)
{
	bool		is_done;
	bool		is_waiting;
	ListCell   *lc;

	do
	{
		is_done = is_waiting = true;
		foreach(lc, writer->runs)
			move_run(writer, lfirst(lc), begins);
		/* one that stood still may have got a job from another one */
		foreach(lc, writer->runs)
		{
			Run		   *run = (Run *) lfirst(lc);

			is_done &= run->jobs == NIL;
			is_waiting &= run->jobs == NIL ||
				((Job *) linitial(run->jobs))->state != JOB_QUEUED;
		}
	} while (!is_waiting);
	return is_done;
}

/* Wait for a socket; a worker silent for too long is probed. */
static void
wait_runs(CzWriter *writer)
{
	int			nruns = list_length(writer->runs);
	CzWaitSlot *slots = palloc(sizeof(CzWaitSlot) * nruns);
	TimestampTz now;
	int			i;

	for (i = 0; i < nruns; i++)
		slots[i] = ((Run *) list_nth(writer->runs, i))->slot;
	CzWaitSockets(slots, nruns, cz_worker_timeout_ms, true);
	now = GetCurrentTimestamp();
	for (i = 0; i < nruns; i++)
	{
		Run		   *run = (Run *) list_nth(writer->runs, i);

		if (run->slot.socket < 0)
			continue;
		if (slots[i].is_ready)
			run->last_heard = now;
		else if (TimestampDifferenceExceeds(run->last_heard, now, cz_worker_timeout_ms))
		{
			if (!CzTxnProbeSilent(run->conn))
				take_loss(writer, run);
			run->last_heard = GetCurrentTimestamp();
		}
	}
	pfree(slots);
}

/*
 * run_jobs
 *		Move on what is on the way, and wait.
 *
 * begins: more may be sent of what there is much of.
 */
static void
run_jobs(CzWriter *writer, CzWriterWait wait, bool begins)
{
	for (;;)
	{
		bool		is_done = move_runs(writer, begins);

		if (is_done)
			sender = NULL;
		if (is_done || wait == CZ_WAIT_NOT ||
			(wait == CZ_WAIT_ROOM && writer->held < CZ_HELD_BYTES))
			return;
		wait_runs(writer);
	}
}

/*
 * CzWriterPump
 *		Move what is on the way, and begin to send more but for CZ_WAIT_SENT.
 */
void
CzWriterPump(CzWriter *writer, CzWriterWait wait)
{
	/* After an error nobody knows which rows have arrived. */
	if (writer->is_pumping)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_ROLLBACK),
				 errmsg("rows that were written before could not be sent to their nodes")));
	if (wait == CZ_WAIT_SENT)
	{
		writer->is_pumping = true;
		run_jobs(writer, wait, false);
		writer->is_pumping = false;
		return;
	}

	if (sender != NULL && sender != writer)
		CzTxnRunAtLevel(sender->level, finish_sending, sender);
	writer->is_pumping = true;
	if (writer->has_unlocked)
	{
		/* what is on the way is not kept waiting for a lock */
		if (sender == writer)
			run_jobs(writer, CZ_WAIT_SENT, false);
		lock_shards(writer);
	}
	sender = writer;
	if (wait == CZ_WAIT_ALL)
	{
		send_rest(writer);
		run_jobs(writer, wait, false);
		if (writer->early != NIL)
		{
			go_on_early(writer, false);
			sender = writer;
			run_jobs(writer, wait, false);
			go_on_early(writer, true);
		}
	}
	else
		run_jobs(writer, wait, true);
	writer->is_pumping = false;
}
