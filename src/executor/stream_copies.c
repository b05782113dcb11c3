/*-------------------------------------------------------------------------
 *
 * stream_copies.c
 *	  Rows that an INSERT has made on the first placement of a shard go to the others
 *	  by COPY.
 *
 * The values that the first placement has returned are put into the form of COPY as
 * they are, binary or text: nothing is decoded here.  They wait in memory, or in a
 * temporary file where they are many, until all first placements have done their part:
 * a worker's one connection of the transaction serves first placements of some shards
 * and others of other shards.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/buffile.h"
#include "storage/latch.h"
#include "commands/tablespace.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"
#include "writer_int.h"

/* Bytes of a shard's rows that wait in memory at least, and that libpq gets at once */
#define COPY_CHUNK_BYTES (64 * 1024)

/* The rows of a shard, in COPY form. */
struct CzReplicaCopy
{
	MemoryContext context;		/* of the run */
	bool		is_binary;
	int			budget;			/* bytes of buf at most */
	StringInfoData buf;			/* what is not in the file */
	BufFile    *file;			/* what comes before it; NULL: nothing */
};

typedef enum JobState
{
	JOB_QUEUED,
	JOB_COMMAND,				/* sent; answers until COPY starts */
	JOB_DATA,
	JOB_END						/* data sent; answers until the end */
} JobState;

/* One COPY. */
typedef struct Job
{
	JobState	state;
	const CzReplicaCopy *copy;
	uint64		nrows;
	char	   *sql;
	int			fileno;			/* how much of the file has been sent */
	off_t		offset;
	bool		is_file_sent;
	int			nsent;			/* bytes of copy->buf that have been sent */
	bool		is_stored;
} Job;

/* A worker, its jobs one after another. */
typedef struct Target
{
	Oid			server_oid;
	CzConn	   *conn;
	List	   *jobs;
	StringInfoData prefix;
	TimestampTz last_heard;
} Target;

/* ---- rows come ------------------------------------------------------------ */

static void
spill(CzReplicaCopy *copy)
{
	if (copy->file == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(copy->context);

		PrepareTempTablespaces();
		copy->file = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
	}
	BufFileWrite(copy->file, copy->buf.data, copy->buf.len);
	resetStringInfo(&copy->buf);
}

static void
put(CzReplicaCopy *copy, const void *data, int nbytes)
{
	if (copy->buf.len + (Size) nbytes > copy->budget && copy->buf.len > 0)
		spill(copy);
	if (nbytes > copy->budget)
	{
		spill(copy);
		BufFileWrite(copy->file, unconstify(void *, data), nbytes);
	}
	else
		appendBinaryStringInfo(&copy->buf, data, nbytes);
}

/* A value of COPY's text form. */
static void
put_text(CzReplicaCopy *copy, const char *value, int nbytes)
{
	static const char special[] = "\b\f\n\r\t\v\\";
	static const char letters[] = "bfnrtv\\";
	int			start = 0;
	int			i;

	for (i = 0; i < nbytes; i++)
	{
		const char *found = value[i] != '\0' ? strchr(special, value[i]) : NULL;
		char		escape[2] = {'\\', '\0'};

		if (found == NULL)
			continue;
		escape[1] = letters[found - special];
		put(copy, value + start, i - start);
		put(copy, escape, 2);
		start = i + 1;
	}
	put(copy, value + start, nbytes - start);
}

/*
 * CzReplicaCopyBegin
 *		An empty set of rows, in CurrentMemoryContext.
 *
 * budget_bytes: how much of it may wait in memory.
 */
CzReplicaCopy *
CzReplicaCopyBegin(bool is_binary, Size budget_bytes)
{
	CzReplicaCopy *copy = palloc0(sizeof(CzReplicaCopy));

	copy->context = CurrentMemoryContext;
	copy->is_binary = is_binary;
	copy->budget = Min(Max(budget_bytes, COPY_CHUNK_BYTES), MaxAllocSize / 4);
	initStringInfo(&copy->buf);
	if (is_binary)
		put(copy, CZ_COPY_HEADER, CZ_COPY_HEADER_BYTES);
	return copy;
}

/*
 * CzReplicaCopyAdd
 *		Add a row; NULL values are NULL.
 */
void
CzReplicaCopyAdd(CzReplicaCopy *copy, int ncolumns, char **values, const int *lengths)
{
	uint16		n16 = pg_hton16((uint16) ncolumns);
	int			i;

	if (copy->is_binary)
		put(copy, &n16, sizeof(n16));
	for (i = 0; i < ncolumns; i++)
	{
		if (copy->is_binary)
		{
			uint32		n32 = pg_hton32(values[i] ? (uint32) lengths[i] : (uint32) -1);

			put(copy, &n32, sizeof(n32));
			if (values[i] != NULL)
				put(copy, values[i], lengths[i]);
			continue;
		}
		if (i > 0)
			put(copy, "\t", 1);
		if (values[i] == NULL)
			put(copy, "\\N", 2);
		else
			put_text(copy, values[i], lengths[i]);
	}
	if (!copy->is_binary)
		put(copy, "\n", 1);
}

/* ---- rows go -------------------------------------------------------------- */

/*
 * The connection is lost: an error, unless the transaction can do without these
 * placements.
 */
static void
take_loss(Target *target)
{
	CzTxnMustLoseConn(target->conn);
	target->jobs = NIL;
}

/* The next piece of a job's data; *nbytes is 0 at the end. */
static const char *
next_piece(Job *job, char *chunk, int *nbytes)
{
	const CzReplicaCopy *copy = job->copy;

	if (copy->file != NULL && !job->is_file_sent)
	{
		/* the placements of a shard read it at different speeds */
		if (BufFileSeek(copy->file, job->fileno, job->offset, SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not seek in temporary file: %m")));
		*nbytes = BufFileRead(copy->file, chunk, COPY_CHUNK_BYTES);
		BufFileTell(copy->file, &job->fileno, &job->offset);
		if (*nbytes > 0)
			return chunk;
		job->is_file_sent = true;
	}
	*nbytes = Min(copy->buf.len - job->nsent, COPY_CHUNK_BYTES);
	job->nsent += *nbytes;
	return copy->buf.data + job->nsent - *nbytes;
}

/*
 * Hand the rows to libpq piece by piece.  Returns 1 when all is out, 0 if the socket
 * takes no more now, -1: it is lost.
 */
static int
send_data(PGconn *pg, Job *job)
{
	char	   *chunk = palloc(COPY_CHUNK_BYTES);
	int			result;

	for (;;)
	{
		int			flush = PQflush(pg);
		const char *piece;
		int			nbytes;

		result = flush < 0 ? -1 : 0;
		if (flush != 0)
			break;
		piece = next_piece(job, chunk, &nbytes);
		if (nbytes == 0)
		{
			result = (!job->copy->is_binary || PQputCopyData(pg, "\377\377", 2) == 1) &&
				PQputCopyEnd(pg, NULL) == 1 && PQflush(pg) >= 0 ? 1 : -1;
			break;
		}
		result = PQputCopyData(pg, piece, nbytes) == 1 ? 0 : -1;
		if (result < 0)
			break;
	}
	pfree(chunk);
	return result;
}

static void
start_job(CzStream *stream, Target *target, Job *job)
{
	char	   *sql;

	target->conn = CzTxnReplicaConnPrefix(target->server_oid, stream->user_oid,
										  &target->prefix);
	sql = psprintf("%s%s", target->prefix.data, job->sql);
	resetStringInfo(&target->prefix);
	CzConnLogCommand(target->conn, sql);
	job->state = JOB_COMMAND;
	target->last_heard = GetCurrentTimestamp();
	if (!PQsendQuery(target->conn->pg, sql))
		take_loss(target);
	pfree(sql);
}

/* Take one result of a job; false: the connection is lost. */
static bool
take_result(Target *target, Job *job, PGresult *res)
{
	switch (PQresultStatus(res))
	{
		case PGRES_COPY_IN:
			if (job->state != JOB_COMMAND)
				CzConnUnexpected(target->conn, res, job->sql);
			PQclear(res);
			job->state = JOB_DATA;
			CzDebugPoint("copying");
			return true;
		case PGRES_COMMAND_OK:
			if (job->state == JOB_END && strncmp(PQcmdStatus(res), "COPY", 4) == 0)
			{
				if (CzResultCount(target->conn, res) != job->nrows)
					CzConnViolated(target->conn, res, "It has stored another number of rows.");
				job->is_stored = true;
			}
			PQclear(res);
			return true;
		case PGRES_TUPLES_OK:
			PQclear(res);
			return true;
		default:
			if (PQresultStatus(res) != PGRES_FATAL_ERROR ||
				!CzConnResultIsLoss(target->conn, res))
				CzConnUnexpected(target->conn, res, job->sql);
			PQclear(res);
			return false;
	}
}

/* As far as possible without waiting; the slot tells what to wait for. */
static void
advance(CzStream *stream, Target *target, CzWaitSlot *slot)
{
	slot->socket = -1;
	slot->events = 0;
	while (target->jobs != NIL)
	{
		Job		   *job = linitial(target->jobs);
		PGresult   *res;
		int			sent = 1;

		if (job->state == JOB_QUEUED)
			start_job(stream, target, job);
		if (target->jobs == NIL)
			return;
		if (job->state == JOB_DATA)
		{
			sent = send_data(target->conn->pg, job);
			if (sent > 0)
				job->state = JOB_END;
		}
		if (sent < 0 || PQflush(target->conn->pg) < 0 || !CzConnReceive(target->conn))
		{
			take_loss(target);
			return;
		}
		if (PQisBusy(target->conn->pg) || (sent == 0 && job->state == JOB_DATA))
		{
			slot->socket = PQsocket(target->conn->pg);
			slot->events = WL_SOCKET_READABLE | (sent == 0 ? WL_SOCKET_WRITEABLE : 0);
			return;
		}
		res = PQgetResult(target->conn->pg);
		if (res != NULL)
		{
			if (!take_result(target, job, res))
				take_loss(target);
			continue;
		}
		if (PQstatus(target->conn->pg) != CONNECTION_OK)
			take_loss(target);
		else if (!job->is_stored)
			CzConnViolated(target->conn, NULL, "It ends before what was sent is stored.");
		else
			target->jobs = list_delete_first(target->jobs);
	}
}

static void
wait_for_targets(List *targets, CzWaitSlot *slots)
{
	TimestampTz now;
	ListCell   *lc;

	CzWaitSockets(slots, list_length(targets), cz_worker_timeout_ms, true);
	now = GetCurrentTimestamp();
	foreach(lc, targets)
	{
		Target	   *target = lfirst(lc);

		if (target->jobs == NIL)
			continue;
		if (slots[foreach_current_index(lc)].is_ready)
			target->last_heard = now;
		else if (TimestampDifferenceExceeds(target->last_heard, now, cz_worker_timeout_ms))
		{
			if (!CzTxnProbeSilent(target->conn))
				take_loss(target);
			target->last_heard = GetCurrentTimestamp();
		}
	}
}

/*
 * CzReplicaCopyQueue
 *		Have rows sent to another placement by CzReplicaCopiesRun.
 *
 * targets: NIL before the first one.
 * table: what COPY is told, with its columns.
 */
void
CzReplicaCopyQueue(List **targets, const CzReplicaCopy *copy, uint64 nrows, Oid server_oid,
				   const char *table)
{
	Job		   *job = palloc0(sizeof(Job));
	Target	   *target = NULL;
	ListCell   *lc;

	foreach(lc, *targets)
	{
		if (((Target *) lfirst(lc))->server_oid == server_oid)
			target = lfirst(lc);
	}
	if (target == NULL)
	{
		target = palloc0(sizeof(Target));
		target->server_oid = server_oid;
		initStringInfo(&target->prefix);
		*targets = lappend(*targets, target);
	}
	job->copy = copy;
	job->nrows = nrows;
	job->sql = psprintf("COPY %s FROM STDIN%s", table,
						copy->is_binary ? " (FORMAT binary)" : "");
	target->jobs = lappend(target->jobs, job);
}

/*
 * CzReplicaCopiesRun
 *		Send what was queued, to all workers at once.
 *
 * Errors: the nodes' own; 08006 if a placement is lost that is needed.
 */
void
CzReplicaCopiesRun(CzStream *stream, List *targets)
{
	CzWaitSlot *slots = palloc0(sizeof(CzWaitSlot) * Max(list_length(targets), 1));
	bool		is_done = targets == NIL;
	ListCell   *lc;

	while (!is_done)
	{
		is_done = true;
		foreach(lc, targets)
		{
			advance(stream, lfirst(lc), &slots[foreach_current_index(lc)]);
			if (((Target *) lfirst(lc))->jobs != NIL)
				is_done = false;
		}
		if (!is_done)
			wait_for_targets(targets, slots);
	}
	pfree(slots);
}

/*
 * CzReplicaCopyEnd
 *		Close the temporary file.
 */
void
CzReplicaCopyEnd(CzReplicaCopy *copy)
{
	if (copy->file != NULL)
		BufFileClose(copy->file);
	copy->file = NULL;
}
