/*-------------------------------------------------------------------------
 *
 * copy.c
 *	  The rows of a group of shards go to the target, and are committed there.
 *
 * Each unit (a table, or a partition) is copied by itself: as of a snapshot of its own,
 * which is noted on the target in the transaction that brings the rows.  So several are
 * copied at a time, one that was interrupted is copied again without the others, and after
 * a crash what is there is not copied again.
 *
 * A unit is copied in one transaction, which has emptied it, so that its rows can be frozen.
 * A large one is cut into ranges of ctid, which several connections read in one snapshot;
 * their transactions commit one by one, and the snapshot is noted when all have.
 *
 * Rows go in binary form if that of all columns is the same on all servers, else as text.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"

#include "cz/cluster.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* A stream gives way to the others after so many messages, or when so much waits for its
 * target */
#define PUMP_MESSAGES 256

/* A unit that is copied. */
typedef struct Job
{
	const CzMoveUnit *unit;
	int			owner_number;
	CzConn	   *holder;			/* whose snapshot its parts share; NULL: it has one part */
	char	   *snapshot;		/* NULL: the source is locked */
	char	   *exported;
	int64		nblocks;		/* of its main fork */
	int			nparts;
	int			nstarted;
	int			ndone;
} Job;

/* Two connections between which rows flow. */
typedef struct Stream
{
	Job		   *job;
	CzConn	   *from;
	CzConn	   *to;
	char	   *out_sql;
	char	   *in_sql;
	bool		is_flushing;	/* the target does not take more now */
} Stream;

/* All that is on its way. */
typedef struct Copy
{
	CzMove	   *move;
	bool		is_locked;
	List	   *jobs;			/* Job *, in order */
	Stream	  **streams;
	int			nstreams;
} Copy;

static void
release_reader(CzConn *conn)
{
	PQclear(CzConnExec(conn, "ROLLBACK"));
	CzConnRelease(conn);
}

/* Decide how a unit is copied; returns its reader, in the snapshot. */
static CzConn *
begin_job(const Copy *copy, Job *job)
{
	const CzMoveUnit *unit = job->unit;
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(copy->move->from_oid, unit->owner));
	PGresult   *res;
	int64		nbytes;

	job->snapshot = CzMoveSnapshotBegin(conn);
	if (copy->is_locked)
		job->snapshot = NULL;
	res = CzConnQuery(conn, psprintf("SELECT pg_catalog.pg_relation_size(%s) OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::int8, pg_catalog.pg_table_size(%s)",
									 quote_literal_cstr(unit->qualified),
									 quote_literal_cstr(unit->qualified)), 1, 1, 2);
	job->nblocks = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	nbytes = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
	PQclear(res);
	job->nparts = (int) Max(Min(nbytes / 1024 / cz_move_chunk_kb + 1, job->nblocks), 1);
	if (job->nparts > 1)
	{
		CzConn	   *to = CzConnAcquire(CzEndpointGet(copy->move->target_oid, unit->owner));

		PQclear(CzConnExec(to, psprintf("TRUNCATE %s", unit->target)));
		CzConnRelease(to);
		res = CzConnQuery(conn, "SELECT pg_catalog.pg_export_snapshot()", 1, 1, 1);
		job->exported = pstrdup(PQgetvalue(res, 0, 0));
		PQclear(res);
		job->holder = conn;
	}
	return conn;
}

/* The condition of a part, with WHERE. */
static char *
part_condition(const Job *job, int part)
{
	int64		first = job->nblocks * part / job->nparts;
	int64		next = job->nblocks * (part + 1) / job->nparts;
	char	   *lower = psprintf(" WHERE ctid OPERATOR(pg_catalog.>=) '(" INT64_FORMAT ",0)'::pg_catalog.tid", first);

	if (part == job->nparts - 1)
		return lower;
	return psprintf("%s AND ctid OPERATOR(pg_catalog.<) '(" INT64_FORMAT ",0)'::pg_catalog.tid",
					lower, next);
}

static void
start_stream(Copy *copy, Job *job)
{
	const CzMoveUnit *unit = job->unit;
	const char *format = unit->is_binary ? "FORMAT binary" : "FORMAT text";
	Stream	   *stream = palloc0(sizeof(Stream));
	int			part = job->nstarted;
	char	   *filter = CzMoveFilter(unit, "", false);
	const char *condition = filter ? psprintf(" WHERE %s", filter) : "";

	stream->job = job;
	if (part == 0)
		stream->from = begin_job(copy, job);
	if (job->nparts > 1)
	{
		stream->from = CzConnAcquire(CzEndpointGet(copy->move->from_oid, unit->owner));
		PQclear(CzConnExec(stream->from, psprintf("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT %s",
												  quote_literal_cstr(job->exported))));
		condition = psprintf("%s%s%s", part_condition(job, part), filter ? " AND " : "",
							 filter ? filter : "");
	}
	stream->to = CzConnAcquire(CzEndpointGet(copy->move->target_oid, unit->owner));
	PQclear(CzConnExec(stream->to, CZ_MOVE_BEGIN));
	/* in the transaction that has emptied it rows can be frozen */
	if (job->nparts == 1)
		PQclear(CzConnExec(stream->to, psprintf("TRUNCATE %s", unit->target)));
	stream->out_sql = psprintf("COPY (SELECT %s FROM ONLY %s%s) TO STDOUT (%s)",
							   unit->columns ? unit->columns : "", unit->qualified, condition,
							   format);
	stream->in_sql = psprintf("COPY %s%s FROM STDIN (%s%s)", unit->target,
							  unit->columns ? psprintf(" (%s)", unit->columns) : "", format,
							  job->nparts == 1 ? ", FREEZE" : "");
	CzConnStartCopy(stream->to, stream->in_sql, true);
	CzConnStartCopy(stream->from, stream->out_sql, false);
	job->nstarted++;
	copy->streams[copy->nstreams++] = stream;
}

/* All rows of a stream have been read. */
static void
end_stream(Copy *copy, Stream *stream)
{
	Job		   *job = stream->job;

	CzCopyFinish(stream->from, stream->out_sql, false);
	CzCopyFinish(stream->to, stream->in_sql, true);
	job->ndone++;
	if (job->snapshot != NULL && job->nparts == 1)
		CzMoveStateWrite(copy->move, stream->to, job->owner_number,
						 list_make1((void *) job->unit), job->snapshot);
	if (!copy->move->has_copied_one)
	{
		copy->move->has_copied_one = true;
		CzDebugPoint("move_copied");
	}
	PQclear(CzConnExec(stream->to, "COMMIT"));
	if (job->snapshot != NULL && job->nparts > 1 && job->ndone == job->nparts)
	{
		PQclear(CzConnExec(stream->to, CZ_MOVE_BEGIN));
		CzMoveStateWrite(copy->move, stream->to, job->owner_number,
						 list_make1((void *) job->unit), job->snapshot);
		PQclear(CzConnExec(stream->to, "COMMIT"));
	}
	CzConnRelease(stream->to);
	release_reader(stream->from);
	if (job->holder != NULL && job->ndone == job->nparts)
		release_reader(job->holder);
}

pg_noreturn static void
lost(CzConn *conn, const char *sql)
{
	CzReportRemoteError(ERROR, NULL, conn->pg, conn->node_name, sql, false);
	pg_unreachable();
}

/* Send what is buffered for the target. */
static void
flush_stream(Stream *stream)
{
	int			result = PQflush(stream->to->pg);

	if (result < 0)
		lost(stream->to, stream->in_sql);
	stream->is_flushing = result > 0;
}

/* Pass on what has come; true: that was all. */
static bool
pump(Copy *copy, Stream *stream)
{
	int			i;

	for (i = 0; i < PUMP_MESSAGES; i++)
	{
		char	   *data;
		int			length = PQgetCopyData(stream->from->pg, &data, 1);
		int			result;

		if (length == 0)
			break;
		if (length < 0)
			return true;
		copy->move->nbytes += length;
		result = PQputCopyData(stream->to->pg, data, length);
		PQfreemem(data);
		/* libpq has no memory, or has lost the connection */
		if (result <= 0)
			lost(stream->to, stream->in_sql);
	}
	flush_stream(stream);
	return false;
}

/* One look at a stream; true: it has ended. */
static bool
step_stream(Copy *copy, Stream *stream)
{
	if (stream->is_flushing)
	{
		flush_stream(stream);
		if (stream->is_flushing)
			return false;
	}
	if (!CzConnReceive(stream->from))
		lost(stream->from, stream->out_sql);
	while (!stream->is_flushing)
	{
		int64		before = copy->move->nbytes;

		if (pump(copy, stream))
		{
			end_stream(copy, stream);
			return true;
		}
		if (copy->move->nbytes == before)
			break;
	}
	return false;
}

/* Look at the streams whose sockets are ready; NULL: at all. */
static void
step_streams(Copy *copy, const CzWaitSlot *slots)
{
	int			i;

	for (i = copy->nstreams - 1; i >= 0; i--)
	{
		if ((slots == NULL || slots[i].is_ready) && step_stream(copy, copy->streams[i]))
			copy->streams[i] = copy->streams[--copy->nstreams];
	}
}

static void
run_streams(Copy *copy)
{
	CzWaitSlot *slots = palloc(sizeof(CzWaitSlot) * cz_move_connections);
	CzConn	  **conns = palloc(sizeof(CzConn *) * cz_move_connections);
	int			limit = cz_move_connections;
	int			next = 0;
	int			silent_ms = 0;
	int			i;

	while (copy->nstreams > 0 || next < list_length(copy->jobs))
	{
		if (copy->nstreams < limit && next < list_length(copy->jobs))
		{
			Job		   *job = list_nth(copy->jobs, next);

			start_stream(copy, job);
			if (job->nstarted == job->nparts)
				next++;
			/* data may have come with the answer to COPY */
			step_streams(copy, NULL);
			continue;
		}
		for (i = 0; i < copy->nstreams; i++)
		{
			Stream	   *stream = copy->streams[i];

			conns[i] = stream->is_flushing ? stream->to : stream->from;
			slots[i].socket = PQsocket(conns[i]->pg);
			slots[i].events = stream->is_flushing ? WL_SOCKET_WRITEABLE : WL_SOCKET_READABLE;
			slots[i].is_ready = false;
		}
		CzMoveWait(slots, conns, copy->nstreams, &silent_ms);
		step_streams(copy, slots);
		CzMoveProgress(copy->move->move_id, copy->move->nbytes);
		CzMoveGiveWay(copy->move);
	}
}

/* The units that are not on the target yet. */
static List *
jobs_of(const CzMove *move, bool is_locked)
{
	List	   *jobs = NIL;
	ListCell   *lc;
	ListCell   *lu;

	foreach(lc, CzMoveOwners(move))
	{
		Oid			owner = lfirst_oid(lc);
		CzConn	   *to = CzConnAcquire(CzEndpointGet(move->target_oid, owner));

		foreach(lu, CzMoveUnitsOf(move, owner))
		{
			Job		   *job;

			if (!is_locked &&
				CzMoveStateRead(move, to, foreach_current_index(lc), lfirst(lu)) != NULL)
				continue;
			job = palloc0(sizeof(Job));
			job->unit = lfirst(lu);
			job->owner_number = foreach_current_index(lc);
			job->nparts = 1;
			jobs = lappend(jobs, job);
		}
		CzConnRelease(to);
	}
	return jobs;
}

/*
 * CzMoveFilter
 *		See mover_int.h.
 */
char *
CzMoveFilter(const CzMoveUnit *unit, const char *column, bool is_whole)
{
	StringInfoData sql;
	const char *p;

	if (unit->filter == NULL)
		return NULL;
	initStringInfo(&sql);
	for (p = unit->filter; *p != '\0'; p++)
	{
		if (*p == CZ_PIECE_COLUMN)
			appendStringInfo(&sql, "%s%s", column, is_whole ? "" : unit->key_column);
		else
			appendStringInfoChar(&sql, *p);
	}
	return sql.data;
}

/*
 * CzMoveCopyRows
 *		See mover_int.h.
 */
void
CzMoveCopyRows(CzMove *move, bool is_locked)
{
	Copy		copy = {0};

	copy.move = move;
	copy.is_locked = is_locked;
	copy.jobs = jobs_of(move, is_locked);
	copy.streams = palloc(sizeof(Stream *) * cz_move_connections);
	run_streams(&copy);
}
