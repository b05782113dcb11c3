/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  Rows go to the placements of shards.
 *
 * Rows are gathered in a wave.  A wave of a few rows is sent as INSERTs, all of
 * one worker in one pipeline together with BEGIN and the shard's lock: one
 * round trip (writer_inserts.c).  A larger one becomes one COPY per shard and
 * placement.  While a wave is on the way the next one is filled; two waves bound
 * the memory.
 *
 * A wave has two phases with a barrier between: first the first placement of
 * each shard, then the others.  So a shard's lock is held before its second
 * placement sees a row, and two transactions that insert the same key meet on
 * the first placement instead of each waiting for the other on one of two.
 * Workers stay evenly busy because first placements are spread evenly.
 *
 * Invariants: while a job runs on a connection, busy_owner of the connection is
 * the writer; whoever else needs the connection makes the writer finish.  Only
 * one writer has a wave on the way: two that finish each other would each need
 * connections of the other.  A wave that failed is never sent again, nor taken
 * for sent.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/tupdesc.h"
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

/* Rows of a wave that is sent as INSERTs, and of each shard in it */
#define CZ_MAX_INSERT_ROWS 64
#define CZ_MAX_INSERTS_OF_SHARD 8
/* Bytes of a wave's rows; twice this is the writer's memory */
#define CZ_WAVE_BYTES (8 * 1024 * 1024)
/* ... of rows, this long at most: the text of a long value is copied again and again */
#define CZ_MAX_INSERT_BYTES (64 * 1024)
/* Bytes given to libpq at once: it buffers without bound */
#define CZ_CHUNK_BYTES (64 * 1024)
/* Rows between two looks at the wave on the way */
#define CZ_PUMP_ROWS 128
/* Of a job: its connection is lost */
#define JOB_LOST (-1)

static CzWriter *sender = NULL; /* the writer that has a wave on the way, or NULL */

static void flush_at_level(void *arg);
static void finish_sending(void *arg);
static void start_wave(CzWriter *writer, bool must_finish);
static bool pump(CzWriter *writer, bool must_finish);

/* The writer's memory goes, whether it ended well or not. */
static void
writer_reset(void *arg)
{
	if (sender == (CzWriter *) arg)
		sender = NULL;
}

/*
 * CzWriterBegin
 *		See writer.h.
 */
CzWriter *
CzWriterBegin(TupleDesc tupdesc, char **column_names, Oid user_oid)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz writer",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CzWriter   *writer = palloc0(sizeof(CzWriter));

	writer->context = context;
	writer->row_context = AllocSetContextCreate(context, "cz writer row",
												ALLOCSET_DEFAULT_SIZES);
	writer->tupdesc = CreateTupleDescCopyConstr(tupdesc);
	writer->format = CzWireFormatMake(writer->tupdesc, column_names);
	writer->user_oid = user_oid;
	writer->early_slot = MakeSingleTupleTableSlot(writer->tupdesc, &TTSOpsMinimalTuple);
	writer->callback.func = writer_reset;
	writer->callback.arg = writer;
	MemoryContextRegisterResetCallback(context, &writer->callback);
	MemoryContextSwitchTo(old);
	return writer;
}

/*
 * CzWriterSetCopy
 *		See writer.h.
 */
void
CzWriterSetCopy(CzWriter *writer, const char *table_name)
{
	writer->copy_table = MemoryContextStrdup(writer->context, table_name);
}

static Wave *
make_wave(CzWriter *writer)
{
	MemoryContext context = AllocSetContextCreate(writer->context, "cz writer wave",
												  ALLOCSET_DEFAULT_SIZES);
	Wave	   *wave = MemoryContextAllocZero(context, sizeof(Wave));
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(BatchKey);
	ctl.entrysize = sizeof(Batch);
	ctl.hcxt = context;
	wave->context = context;
	wave->batches = hash_create("cz writer batches", 32, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return wave;
}

static Batch *
find_batch(Wave *wave, const CzShard *shard)
{
	bool		found;
	Batch	   *batch;
	BatchKey	key;
	Batch	  **recent = &wave->recent[shard->shard_id & (CZ_RECENT_BATCHES - 1)];

	if (*recent != NULL && (*recent)->shard == shard)
		return *recent;
	key.shard_id = shard->shard_id;
	key.relid = shard->relid;
	batch = hash_search(wave->batches, &key, HASH_ENTER, &found);
	if (!found)
	{
		MemoryContext old = MemoryContextSwitchTo(wave->context);

		batch->shard = shard;
		batch->nplacements = 0;
		batch->server_oids = NULL;
		batch->row_numbers = NULL;
		batch->marks = NULL;
		batch->nrows = 0;
		batch->max_rows = 0;
		batch->data.data = NULL;
		batch->insert_sql = NULL;
		wave->batch_list = lappend(wave->batch_list, batch);
		MemoryContextSwitchTo(old);
	}
	*recent = batch;
	return batch;
}

/* Add a row in COPY form. */
static void
append_row(CzWriter *writer, Wave *wave, Batch *batch, TupleTableSlot *slot,
		   int64 row_number)
{
	MemoryContext old = MemoryContextSwitchTo(wave->context);
	int			before;

	if (batch->data.data == NULL)
	{
		initStringInfo(&batch->data);
		if (writer->format->is_binary)
			appendBinaryStringInfo(&batch->data, CZ_COPY_HEADER, CZ_COPY_HEADER_BYTES);
	}
	if (batch->nrows == batch->max_rows)
	{
		batch->max_rows = Max(batch->max_rows * 2, 64);
		batch->row_numbers = batch->row_numbers ?
			repalloc_huge(batch->row_numbers, sizeof(int64) * batch->max_rows) :
			palloc(sizeof(int64) * batch->max_rows);
	}
	batch->row_numbers[batch->nrows++] = row_number;
	before = batch->data.len;

	MemoryContextSwitchTo(writer->row_context);
	CzWireAppendRow(writer->format, slot, &batch->data);
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->row_context);
	wave->nbytes += batch->data.len - before + sizeof(int64);
}

/* More rows than INSERT is good for: bring those kept into COPY form. */
static void
early_to_copy(CzWriter *writer, Wave *wave)
{
	ListCell   *lc;

	wave->is_copy = true;
	foreach(lc, wave->early)
	{
		EarlyRow   *row = (EarlyRow *) lfirst(lc);

		ExecStoreMinimalTuple(row->tuple, writer->early_slot, false);
		append_row(writer, wave, row->batch, writer->early_slot, row->row_number);
	}
	ExecClearTuple(writer->early_slot);
	wave->early = NIL;
}

/* Is a row too long for INSERT? */
static bool
is_long(TupleTableSlot *slot)
{
	TupleDesc	tupdesc = slot->tts_tupleDescriptor;
	Size		nbytes = 0;
	int			i;

	slot_getallattrs(slot);
	for (i = 0; i < tupdesc->natts; i++)
	{
		if (!slot->tts_isnull[i] && TupleDescAttr(tupdesc, i)->attlen == -1)
			nbytes += toast_raw_datum_size(slot->tts_values[i]);
	}
	return nbytes > CZ_MAX_INSERT_BYTES;
}

/*
 * CzWriterBatch
 *		Where one more row of a shard is put, and count it in the wave; NULL: nowhere.
 */
Batch *
CzWriterBatch(CzWriter *writer, const CzShard *shard)
{
	if (shard->nplacements == 0)
	{
		if (!shard->is_copy)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no placement of shard " INT64_FORMAT " is active",
							shard->shard_id)));
		return NULL;			/* a reference table and no worker yet */
	}

	if (writer->level == 0 || writer->last_cid != GetCurrentCommandId(true))
	{
		/* may flush this writer's rows of an earlier command */
		writer->last_cid = CzTxnBeforeWrite();
		if (writer->level > 0)
			CzTxnFlushGoesOn(writer);
		else
		{
			writer->level = GetCurrentTransactionNestLevel();
			CzTxnRegisterFlush(flush_at_level, writer);
		}
	}
	if (writer->filling == NULL)
		writer->filling = make_wave(writer);
	writer->filling->nrows++;
	return find_batch(writer->filling, shard);
}

/*
 * CzWriterGoOn
 *		After each row: a wave that is full is sent, the one on the way moved.
 */
void
CzWriterGoOn(CzWriter *writer, bool must_pump)
{
	if (writer->filling->nbytes >= CZ_WAVE_BYTES)
	{
		CzTxnFlushOuter();
		start_wave(writer, false);
	}
	else if (must_pump && writer->sending != NULL)
		pump(writer, false);
}

/*
 * CzWriterPut
 *		See writer.h.
 */
void
CzWriterPut(CzWriter *writer, const CzShard *shard, TupleTableSlot *slot,
			int64 row_number)
{
	Batch	   *batch = CzWriterBatch(writer, shard);
	Wave	   *wave = writer->filling;

	if (batch == NULL)
		return;
	if (!wave->is_copy &&
		(writer->format->ncolumns == 0 ||
		 (wave->nrows <= CZ_MAX_INSERT_ROWS && !is_long(slot))))
	{
		MemoryContext old = MemoryContextSwitchTo(wave->context);
		EarlyRow   *row = palloc(sizeof(EarlyRow));

		row->batch = batch;
		row->tuple = ExecCopySlotMinimalTuple(slot);
		row->row_number = row_number;
		wave->early = lappend(wave->early, row);
		wave->nbytes += row->tuple->t_len;
		MemoryContextSwitchTo(old);
	}
	else
	{
		if (!wave->is_copy)
			early_to_copy(writer, wave);
		append_row(writer, wave, batch, slot, row_number);
	}
	CzWriterGoOn(writer, ++writer->rows_since_pump >= CZ_PUMP_ROWS);
}

/* The wave that was filled is on the way. */
static void
start_wave(CzWriter *writer, bool must_finish)
{
	if (writer->sending != NULL)
		pump(writer, true);
	if (sender != NULL && sender != writer)
		CzTxnRunAtLevel(sender->level, finish_sending, sender);
	if (!writer->filling->is_copy && writer->format->ncolumns > 0 &&
		writer->filling->nrows >
		CZ_MAX_INSERTS_OF_SHARD * list_length(writer->filling->batch_list))
		early_to_copy(writer, writer->filling);
	writer->sending = writer->filling;
	writer->filling = NULL;
	sender = writer;
	pump(writer, must_finish);
}

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
	return line >= 1 && line <= job->batch->nrows ? job->batch->row_numbers[line - 1] : 0;
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
		CzLinesReadAgain(writer, writer->sending, res);
	CzReportRowError(res, conn, job->shown_sql, writer->copy_table, row_number, &text);
}

/*
 * The connection of a run is lost: an error, unless the transaction can do without the
 * placements that are written through it.
 */
static void
take_loss(CzWriter *writer, Run *run, Job *job)
{
	CzConn	   *conn = run->conn;

	if (!CzTxnLoseConn(conn))
		raise_job_error(writer, conn, job, NULL);
	conn->busy_owner = NULL;
	conn->busy_drain = NULL;
	run->is_lost = true;
	run->jobs = NIL;
}

/* Somebody else needs a connection of the wave on the way. */
static void
finish_sending(void *arg)
{
	CzWriter   *writer = (CzWriter *) arg;

	if (writer->sending != NULL)
		pump(writer, true);
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

		if (job->is_first)
			CzTxnLockShardPrefix(shard, writer->user_oid, CZ_LOCK_SHARED, prefix);
		if (row->batch->insert_sql == NULL)
			row->batch->insert_sql = CzWireInsertSql(writer->format, shard->remote_qualified);
		ExecStoreMinimalTuple(row->tuple, writer->early_slot, false);
		CzInsertsAdd(job->inserts, row->batch->insert_sql, writer->format->ncolumns,
					 CzWireRowTexts(writer->format, writer->early_slot));
	}
	ExecClearTuple(writer->early_slot);
}

/*
 * start_job
 *		Take the connection and send the command.
 */
static void
start_job(CzWriter *writer, Wave *wave, Run *run, Job *job)
{
	MemoryContext old = MemoryContextSwitchTo(wave->context);
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
		if (job->is_first)
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
	{
		if (!CzInsertsSend(job->inserts, conn, &sql))
			take_loss(writer, run, job);
		return;
	}
	CzConnLogCommand(conn, job->sql);
	if (!PQsendQuery(conn->pg, job->sql))
	{
		take_loss(writer, run, job);
		return;
	}
	/* a lock's one row; should there be more, they do not pile up */
	(void) PQsetSingleRowMode(conn->pg);
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

static Run *
find_run(Wave *wave, Oid server_oid)
{
	Run		   *run;
	ListCell   *lc;

	foreach(lc, wave->runs)
	{
		run = (Run *) lfirst(lc);
		if (run->server_oid == server_oid)
			return run;
	}
	run = palloc0(sizeof(Run));
	run->server_oid = server_oid;
	wave->runs = lappend(wave->runs, run);
	return run;
}

/* Queue one COPY, or one more row of a worker's INSERTs. */
static void
queue(Wave *wave, Batch *batch, EarlyRow *row, int placement)
{
	Run		   *run = find_run(wave, batch->server_oids[placement]);
	Job		   *job;

	if (row != NULL && run->jobs != NIL)
	{
		job = (Job *) linitial(run->jobs);
		job->has_others &= batch->nplacements > 1;
		job->rows = lappend(job->rows, row);
		return;
	}
	job = palloc0(sizeof(Job));
	job->is_first = placement == 0;
	job->is_replica = placement > 0 || batch->shard->is_copy;
	job->has_others = batch->nplacements > 1;
	if (row != NULL)
		job->rows = list_make1(row);
	else
		job->batch = batch;
	run->jobs = lappend(run->jobs, job);
}

/*
 * Where the rows of a shard go, now that it is locked.  One with a single placement
 * is not asked for: it may be that of a shard which is being made.
 */
static void
place_batch(CzWriter *writer, Batch *batch)
{
	if (CzShardIsReplicated(batch->shard))
	{
		batch->shard = CzShardFresh(batch->shard);
		batch->nplacements = CzTxnWritePlacements(batch->shard, writer->user_oid, true,
												  &batch->server_oids);
	}
	else
	{
		batch->nplacements = batch->shard->nplacements;
		batch->server_oids = batch->shard->server_oids;
	}
}

/*
 * plan_phase
 *		Queue the jobs of the wave's phase; false if there are none.
 */
static bool
plan_phase(CzWriter *writer, Wave *wave)
{
	MemoryContext old = MemoryContextSwitchTo(wave->context);
	ListCell   *lc;
	int			i;

	wave->runs = NIL;
	if (wave->phase == 0)
	{
		/* Two statements that write the same shards must not deadlock. */
		const CzShard **shards = palloc(sizeof(CzShard *) * list_length(wave->batch_list));
		List	   *servers = NIL;

		foreach(lc, wave->batch_list)
		{
			const CzShard *shard = ((Batch *) lfirst(lc))->shard;

			shards[foreach_current_index(lc)] = shard;
			for (i = 0; i < shard->nplacements; i++)
				servers = list_append_unique_oid(servers, shard->server_oids[i]);
		}
		CzTxnEnterPools(servers, writer->user_oid);
		CzTxnLockShardsLocally(shards, list_length(wave->batch_list), CZ_LOCK_SHARED,
							   true);
		pfree(shards);
		foreach(lc, wave->batch_list)
			place_batch(writer, lfirst(lc));
	}
	if (wave->is_copy)
	{
		foreach(lc, wave->batch_list)
		{
			Batch	   *batch = (Batch *) lfirst(lc);

			if (wave->phase == 0)
			{
				if (writer->format->is_binary && writer->lines == NULL)
					appendBinaryStringInfo(&batch->data, "\377\377", 2);
				if (batch->nplacements > 0)
					queue(wave, batch, NULL, 0);
			}
			else
			{
				for (i = 1; i < batch->nplacements; i++)
				{
					if (!CzTxnIsLost(batch->shard->shard_id, batch->server_oids[i]))
						queue(wave, batch, NULL, i);
				}
			}
		}
	}
	else
	{
		foreach(lc, wave->early)
		{
			EarlyRow   *row = (EarlyRow *) lfirst(lc);

			if (wave->phase == 0)
			{
				if (row->batch->nplacements > 0)
					queue(wave, row->batch, row, 0);
			}
			else
			{
				for (i = 1; i < row->batch->nplacements; i++)
				{
					if (!CzTxnIsLost(row->batch->shard->shard_id, row->batch->server_oids[i]))
						queue(wave, row->batch, row, i);
				}
			}
		}
	}
	MemoryContextSwitchTo(old);
	return wave->runs != NIL;
}

/*
 * pump_runs
 *		Move every connection of the phase on; true when all are done.
 *
 * slots: one for each run.
 */
static bool
pump_runs(CzWriter *writer, Wave *wave, CzWaitSlot *slots)
{
	bool		is_done = true;
	ListCell   *lc;

	foreach(lc, wave->runs)
	{
		Run		   *run = (Run *) lfirst(lc);
		CzWaitSlot *slot = &slots[foreach_current_index(lc)];

		slot->socket = -1;
		slot->events = 0;
		while (run->jobs != NIL)
		{
			Job		   *job = (Job *) linitial(run->jobs);

			if (job->state == JOB_QUEUED)
				start_job(writer, wave, run, job);
			if (run->is_lost)
				break;
			slot->events = advance_job(writer, run, job);
			if (slot->events == JOB_LOST)
			{
				slot->events = 0;
				take_loss(writer, run, job);
				break;
			}
			if (slot->events != 0)
			{
				slot->socket = PQsocket(run->conn->pg);
				is_done = false;
				break;
			}
			run->jobs = list_delete_first(run->jobs);
		}
	}
	return is_done;
}

/* Wait for a socket; a worker silent for too long is probed. */
static void
wait_runs(CzWriter *writer, Wave *wave, CzWaitSlot *slots)
{
	TimestampTz now;
	ListCell   *lc;

	CzWaitSockets(slots, list_length(wave->runs), cz_worker_timeout_ms, true);
	now = GetCurrentTimestamp();
	foreach(lc, wave->runs)
	{
		Run		   *run = (Run *) lfirst(lc);
		CzWaitSlot *slot = &slots[foreach_current_index(lc)];

		if (slot->socket < 0)
			continue;
		if (slot->is_ready)
			run->last_heard = now;
		else if (TimestampDifferenceExceeds(run->last_heard, now, cz_worker_timeout_ms))
		{
			if (!CzTxnProbeSilent(run->conn))
				take_loss(writer, run, (Job *) linitial(run->jobs));
			run->last_heard = GetCurrentTimestamp();
		}
	}
}

/*
 * pump
 *		Move the wave on the way; with must_finish to its end.
 *
 * Returns: true if there is no wave on the way any more.
 */
static bool
pump(CzWriter *writer, bool must_finish)
{
	Wave	   *wave = writer->sending;
	MemoryContext old;

	/* After an error nobody knows which rows have arrived. */
	if (writer->is_pumping)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_ROLLBACK),
				 errmsg("rows that were written before could not be sent to their nodes")));
	writer->rows_since_pump = 0;
	writer->bytes_since_pump = 0;
	writer->is_pumping = true;
	old = MemoryContextSwitchTo(wave->context);
	for (;;)
	{
		CzWaitSlot *slots;

		if (wave->runs == NIL && !plan_phase(writer, wave))
		{
			if (wave->phase == 1)
				break;
			wave->phase = 1;
			continue;
		}
		slots = palloc(sizeof(CzWaitSlot) * list_length(wave->runs));
		if (pump_runs(writer, wave, slots))
		{
			wave->runs = NIL;
			if (wave->phase == 1)
				break;
			wave->phase = 1;
			continue;
		}
		if (!must_finish)
		{
			pfree(slots);
			MemoryContextSwitchTo(old);
			writer->is_pumping = false;
			return false;
		}
		wait_runs(writer, wave, slots);
		pfree(slots);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(wave->context);
	writer->sending = NULL;
	writer->is_pumping = false;
	sender = NULL;
	return true;
}

/* Everything that is held goes out and is answered. */
static void
flush_at_level(void *arg)
{
	CzWriter   *writer = (CzWriter *) arg;

	if (writer->sending != NULL)
		pump(writer, true);
	if (writer->filling != NULL)
		start_wave(writer, true);
	if (writer->level > 0)
	{
		CzTxnUnregisterFlush(writer);
		writer->level = 0;
	}
}

/*
 * CzWriterFlush, CzWriterEnd
 *		See writer.h.
 */
void
CzWriterFlush(CzWriter *writer)
{
	if (writer->level > 0)
		CzTxnRunAtLevel(writer->level, flush_at_level, writer);
}

void
CzWriterEnd(CzWriter *writer)
{
	CzWriterFlush(writer);
	ExecDropSingleTupleTableSlot(writer->early_slot);
	MemoryContextDelete(writer->context);
}
