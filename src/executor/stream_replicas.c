/*-------------------------------------------------------------------------
 *
 * stream_replicas.c
 *	  What an UPDATE or DELETE did on the first placement of a shard is done on the
 *	  others, row by row, by the key.
 *
 * First placement first: a transaction can touch a row there only after the one
 * before it has ended there, so on every other placement the changes of a row arrive
 * in the same order, and what is waited for there has been decided and waits for
 * nobody.  So writers of different rows of a shard need not know of each other.
 *
 * A row may be there on the first placement and not yet on another one, for as long
 * as the transaction that made it so is between its two COMMIT PREPAREDs.  Then the
 * command finds nothing and is sent again, with a new snapshot.
 *
 * Many rows of an INSERT go by COPY (stream_copies.c); the texts of the commands are in
 * stream_replica_sql.c.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* Commands that are sent before their answers are read: bounds what libpq buffers */
#define MAX_BATCH_ROWS 512
/* Rows of one command, if there are some: at least, at most, and bytes of them */
#define MIN_MULTI_ROWS 8
#define MAX_MULTI_ROWS 2048
#define MAX_MULTI_BYTES (1024 * 1024)
/* ... where all of them have to be in it */
#define MAX_WHOLE_BYTES (256 * 1024 * 1024)
/* Rows of an INSERT that are sent one by one; more go by COPY */
#define MAX_INSERTED_ROWS 32
/* Milliseconds between two tries to find rows that are not there yet */
#define RETRY_MS 5

/* The rows of a shard that were changed. */
struct CzReplicaRows
{
	int			ncolumns;
	int			nrows;
	int			max_rows;
	bool		is_binary;
	char	  **values;			/* [max_rows * ncolumns], NULL: NULL */
	int		   *lengths;
	CzReplicaCopy *copy;		/* has the rows in place of values; NULL: they are few */
};

/* One placement's share. */
typedef struct Task
{
	const Fragment *fragment;
	const CzShard *shard;
	const CzReplicaRows *rows;
	const char *sql;			/* for one row */
	const char *multi_sql;		/* for many rows, or NULL */
	const CzReplicaColumn *columns; /* of them, as arrays */
	bool		is_whole;		/* all rows go with one command, if there are some */
	const char *constraints;	/* SET CONSTRAINTS of those that wait for the last row; NULL */
	bool		is_deferred;	/* they do */
	bool		is_delete;
	int		   *todo;			/* indexes of rows; those in flight are at the front */
	int			ntodo;
	TimestampTz missing_since;	/* rows were not found; 0: all were so far */
} Task;

/* A worker, its tasks one after another. */
typedef struct Target
{
	Oid			server_oid;
	CzConn	   *conn;
	List	   *tasks;
	StringInfoData prefix;
	int			nsent;			/* rows of the first task in flight */
	bool		is_multi;		/* by one command */
	bool	   *is_found;		/* [nsent] if it is a DELETE; else NULL */
	int			nanswered;
	int			nmissing;		/* of those; moved to the front of todo */
	int			npreceding;		/* results to come before those of rows */
	char	   *preparing;		/* name of the statement that is prepared with them */
	bool		is_busy;
	bool		is_lost;		/* the transaction goes on without it */
	PGresult   *error;			/* raised when the pipeline has ended */
	TimestampTz retry_at;
	TimestampTz last_heard;
} Target;

/* Bring the rows kept so far, which are to be inserted, into the form of COPY. */
static void
begin_copy(CzStream *stream, CzReplicaRows *rows)
{
	Size		budget = (Size) work_mem * 1024 / Max(stream->nfragments, 1);
	Size		n = 0;
	int			i;
	int			j;

	rows->copy = CzReplicaCopyBegin(rows->is_binary, budget);
	for (i = 0; i < rows->nrows; i++)
	{
		CzReplicaCopyAdd(rows->copy, rows->ncolumns, &rows->values[n], &rows->lengths[n]);
		for (j = 0; j < rows->ncolumns; j++, n++)
		{
			if (rows->values[n] != NULL)
				pfree(rows->values[n]);
		}
	}
}

/* Add the columns of a result from number first on to rows that go by COPY. */
static void
add_to_copy(CzReplicaRows *rows, const PGresult *res, int first)
{
	int			i;
	int			j;

	for (i = 0; i < PQntuples(res); i++)
	{
		for (j = 0; j < rows->ncolumns; j++)
		{
			rows->lengths[j] = PQgetlength(res, i, first + j);
			rows->values[j] = PQgetisnull(res, i, first + j) ? NULL :
				PQgetvalue(res, i, first + j);
		}
		CzReplicaCopyAdd(rows->copy, rows->ncolumns, rows->values, rows->lengths);
	}
	rows->nrows += PQntuples(res);
}

/*
 * CzReplicaRowsAdd
 *		Keep the last columns of a result of the first placement.
 *
 * rows_p: NULL before the first one; palloc'd in CurrentMemoryContext.
 * Errors:  08P01 if they are not in the form that was asked for.
 */
void
CzReplicaRowsAdd(CzStream *stream, CzReplicaRows **rows_p, CzConn *conn,
				 const PGresult *res)
{
	CzReplicaRows *rows = *rows_p;
	Size		n;
	int			first;
	int			i;
	int			j;

	if (rows == NULL)
	{
		rows = *rows_p = palloc0(sizeof(CzReplicaRows));
		rows->ncolumns = list_length(stream->plan->replica_keys) +
			list_length(stream->plan->replica_sets);
		rows->is_binary = stream->is_binary;
		rows->max_rows = 16;
		n = (Size) rows->max_rows * rows->ncolumns;
		rows->values = palloc(sizeof(char *) * n);
		rows->lengths = palloc(sizeof(int) * n);
	}
	first = PQnfields(res) - rows->ncolumns;
	for (j = first; j < PQnfields(res); j++)
	{
		if (PQfformat(res, j) != (rows->is_binary ? 1 : 0))
			CzConnViolated(conn, NULL, psprintf("Column %d has another format.", j + 1));
	}
	if (rows->copy == NULL && stream->plan->command == CMD_INSERT &&
		!stream->plan->replica_upserts &&
		rows->nrows + PQntuples(res) > MAX_INSERTED_ROWS)
		begin_copy(stream, rows);
	if (rows->copy != NULL)
	{
		add_to_copy(rows, res, first);
		return;
	}
	while (rows->nrows + PQntuples(res) > rows->max_rows)
	{
		rows->max_rows *= 2;
		n = (Size) rows->max_rows * rows->ncolumns;
		rows->values = repalloc_huge(rows->values, sizeof(char *) * n);
		rows->lengths = repalloc_huge(rows->lengths, sizeof(int) * n);
	}
	n = (Size) rows->nrows * rows->ncolumns;
	for (i = 0; i < PQntuples(res); i++)
	{
		for (j = first; j < PQnfields(res); j++, n++)
		{
			rows->lengths[n] = PQgetlength(res, i, j);
			rows->values[n] = NULL;
			if (PQgetisnull(res, i, j))
				continue;
			rows->values[n] = MemoryContextAllocHuge(CurrentMemoryContext,
													 (Size) rows->lengths[n] + 1);
			memcpy(rows->values[n], PQgetvalue(res, i, j), (Size) rows->lengths[n] + 1);
		}
	}
	rows->nrows += PQntuples(res);
}

/*
 * CzReplicaRowsAreEqual
 *		Have two placements done the same?  NULL: nothing.
 */
bool
CzReplicaRowsAreEqual(const CzReplicaRows *a, const CzReplicaRows *b)
{
	int			i;

	if (a == NULL || b == NULL)
		return a == b;
	if (a->nrows != b->nrows || a->copy != NULL || b->copy != NULL)
		return false;
	for (i = 0; i < a->nrows * a->ncolumns; i++)
	{
		if ((a->values[i] == NULL) != (b->values[i] == NULL))
			return false;
		if (a->values[i] != NULL && (a->lengths[i] != b->lengths[i] ||
									 memcmp(a->values[i], b->values[i], a->lengths[i]) != 0))
			return false;
	}
	return true;
}

/*
 * The connection is lost: an error, unless the transaction can do without these
 * placements.
 */
static void
take_loss(Target *target)
{
	CzTxnMustLoseConn(target->conn);
	PQclear(target->error);
	target->error = NULL;
	target->tasks = NIL;
	target->is_busy = false;
	target->is_lost = true;
}

/* The name of a statement; what makes it is sent before if it is new.  NULL: it is lost. */
static const char *
prepare_statement(Target *target, const char *sql, char **preparing)
{
	const char *name = CzConnPrepared(target->conn, sql);

	if (name != NULL)
		return pstrdup(name);
	*preparing = CzConnNewStatementName(target->conn);
	if (!PQsendPrepare(target->conn->pg, *preparing, sql, 0, NULL))
		return NULL;
	target->npreceding++;
	return *preparing;
}

/* Rows' values of a column as an array; palloc'd. */
static StringInfoData
make_array(const Task *task, int column, int nrows)
{
	const CzReplicaRows *rows = task->rows;
	const CzReplicaColumn *type = &task->columns[column];
	StringInfoData buf;
	bool		has_nulls = false;
	uint32		word;
	int			i;

	initStringInfo(&buf);
	if (rows->is_binary)
	{
		/* dimensions, has NULLs, type of elements, their number, first index */
		pq_sendint32(&buf, 1);
		pq_sendint32(&buf, 0);
		pq_sendint32(&buf, type->type_oid);
		pq_sendint32(&buf, nrows);
		pq_sendint32(&buf, 1);
	}
	else
		appendStringInfoChar(&buf, '{');
	for (i = 0; i < nrows; i++)
	{
		Size		at = (Size) task->todo[i] * rows->ncolumns + column;
		const char *value = rows->values[at];
		const char *p;

		has_nulls |= value == NULL;
		if (rows->is_binary)
		{
			pq_sendint32(&buf, value ? (uint32) rows->lengths[at] : (uint32) -1);
			if (value != NULL)
				appendBinaryStringInfo(&buf, value, rows->lengths[at]);
			continue;
		}
		if (i > 0)
			appendStringInfoChar(&buf, type->delimiter);
		if (value == NULL)
		{
			appendStringInfoString(&buf, "NULL");
			continue;
		}
		appendStringInfoCharMacro(&buf, '"');
		for (p = value; *p; p++)
		{
			if (*p == '"' || *p == '\\')
				appendStringInfoCharMacro(&buf, '\\');
			appendStringInfoCharMacro(&buf, *p);
		}
		appendStringInfoCharMacro(&buf, '"');
	}
	if (!rows->is_binary)
		appendStringInfoChar(&buf, '}');
	else if (has_nulls)
	{
		word = pg_hton32(1);
		memcpy(buf.data + sizeof(word), &word, sizeof(word));
	}
	return buf;
}

/* Send the first rows of a task with one command; false: the connection is lost. */
static bool
send_multi(Target *target, const char *name, const int *formats)
{
	Task	   *task = linitial(target->tasks);
	int			ncolumns = task->rows->ncolumns;
	const char **values = palloc(sizeof(char *) * ncolumns);
	int		   *lengths = palloc(sizeof(int) * ncolumns);
	bool		is_sent;
	int			i;

	for (i = 0; i < ncolumns; i++)
	{
		StringInfoData array = make_array(task, i, target->nsent);

		values[i] = array.data;
		lengths[i] = array.len;
	}
	is_sent = PQsendQueryPrepared(target->conn->pg, name, ncolumns, values, lengths,
								  formats, 0) != 0;
	for (i = 0; i < ncolumns; i++)
		pfree(unconstify(char *, values[i]));
	pfree(values);
	pfree(lengths);
	return is_sent;
}

/* Let constraints wait for the last row, or no longer; false: the connection is lost. */
static bool
send_constraints(Target *target)
{
	Task	   *task = linitial(target->tasks);
	char	   *sql = psprintf("%s %s", task->constraints,
							   task->is_deferred ? "DEFERRED" : "IMMEDIATE");
	bool		is_sent;

	CzConnLogCommand(target->conn, sql);
	is_sent = PQsendQueryParams(target->conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0) != 0;
	target->npreceding++;
	pfree(sql);
	return is_sent;
}

/* The work of send_rows; false: the connection is lost. */
static bool
send_pipeline(Target *target, const int *formats)
{
	Task	   *task = linitial(target->tasks);
	const CzReplicaRows *rows = task->rows;
	const char *sql = target->is_multi ? task->multi_sql : task->sql;
	PGconn	   *pg = target->conn->pg;
	const char *name;
	int			i;

	if (PQpipelineStatus(pg) == PQ_PIPELINE_OFF && !PQenterPipelineMode(pg))
		return false;
	target->npreceding = CzSendPrefix(target->conn, &target->prefix);
	if (target->npreceding < 0)
		return false;
	if (task->constraints != NULL && task->is_deferred == (task->ntodo == 0))
	{
		task->is_deferred = task->ntodo > 0;
		if (!send_constraints(target))
			return false;
	}
	if (task->ntodo == 0)
		return PQpipelineSync(pg) != 0;

	CzConnLogCommand(target->conn, sql);
	name = prepare_statement(target, sql, &target->preparing);
	if (name == NULL)
		return false;
	if (target->is_multi && !send_multi(target, name, formats))
		return false;
	for (i = 0; i < target->nsent && !target->is_multi; i++)
	{
		Size		at = (Size) task->todo[i] * rows->ncolumns;

		if (!PQsendQueryPrepared(pg, name, rows->ncolumns,
								 (const char *const *) &rows->values[at],
								 &rows->lengths[at], formats, 0))
			return false;
	}
	return PQpipelineSync(pg) != 0;
}

/* How many rows of a task go into one command. */
static int
count_multi(const Task *task)
{
	const CzReplicaRows *rows = task->rows;
	int			limit = task->is_whole ? task->ntodo : Min(task->ntodo, MAX_MULTI_ROWS);
	Size		max_bytes = task->is_whole ? MAX_WHOLE_BYTES : MAX_MULTI_BYTES;
	Size		nbytes = 0;
	int			n;
	int			i;

	for (n = 0; n < limit; n++)
	{
		for (i = 0; i < rows->ncolumns; i++)
		{
			Size		at = (Size) task->todo[n] * rows->ncolumns + i;

			if (rows->values[at] != NULL)
				nbytes += rows->lengths[at];
		}
		if (nbytes > max_bytes)
			break;
	}
	return n;
}

/* Send some rows of the first task in one pipeline; or, when all are there, what lets its
 * constraints be checked. */
static void
send_rows(Target *target)
{
	Task	   *task = linitial(target->tasks);
	int		   *formats = palloc(sizeof(int) * Max(task->rows->ncolumns, 1));
	int			i;

	for (i = 0; i < task->rows->ncolumns; i++)
		formats[i] = task->rows->is_binary ? 1 : 0;
	target->nsent = task->multi_sql && task->missing_since == 0 ? count_multi(task) : 0;
	target->is_multi = target->nsent >= (task->is_whole ? 2 : MIN_MULTI_ROWS);
	if (!target->is_multi)
		target->nsent = Min(task->ntodo, MAX_BATCH_ROWS);
	if (target->is_found != NULL)
		pfree(target->is_found);
	target->is_found = target->is_multi && task->is_delete ?
		palloc0(sizeof(bool) * target->nsent) : NULL;
	target->nanswered = target->nmissing = 0;
	target->is_busy = true;
	target->last_heard = GetCurrentTimestamp();
	if (!send_pipeline(target, formats))
		take_loss(target);
	pfree(formats);
}

/* Rows were not found: somebody's commit is on its way, or the placements differ. */
static void
check_missing(Target *target)
{
	Task	   *task = linitial(target->tasks);
	TimestampTz now = GetCurrentTimestamp();

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("Placements of shard " INT64_FORMAT " are seen at different times.",
						   task->fragment->shard_id)));
	if (task->missing_since == 0)
		task->missing_since = now;
	else if (TimestampDifferenceExceeds(task->missing_since, now, cz_worker_timeout_ms))
	{
		CzTxnPlacementsDiffer(task->shard, target->server_oid);
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("placements of shard " INT64_FORMAT " differ",
						task->fragment->shard_id),
				 errdetail("%d rows that the command changed on the first placement are not on node \"%s\".",
						   task->ntodo, target->conn->node_name)));
	}
	target->retry_at = TimestampTzPlusMilliseconds(now, RETRY_MS);
}

/* The pipeline has ended. */
static void
end_rows(Target *target)
{
	Task	   *task = linitial(target->tasks);
	CzConn	   *conn = target->conn;
	PGresult   *error = target->error;

	target->is_busy = false;
	target->error = NULL;
	if (!PQexitPipelineMode(conn->pg))
		conn->is_broken = true;
	if (error != NULL)
		CzReportRemoteError(ERROR, error, conn->pg, conn->node_name, task->sql, true);
	if (target->nanswered != target->nsent || target->npreceding > 0)
		CzConnViolated(conn, NULL, "It ends too early.");
	if (target->preparing != NULL)
		CzConnRememberPrepared(conn, target->is_multi ? task->multi_sql : task->sql,
							   target->preparing);
	target->preparing = NULL;

	/* those that were not found are at the front, those not sent yet follow */
	memmove(task->todo + target->nmissing, task->todo + target->nsent,
			sizeof(int) * (task->ntodo - target->nsent));
	task->ntodo -= target->nsent - target->nmissing;
	if (target->nmissing > 0)
		check_missing(target);
	else
		task->missing_since = 0;
	if (task->ntodo == 0 && !task->is_deferred)
		target->tasks = list_delete_first(target->tasks);
}

/* Rows that a DELETE of many says it has found; false: that is nonsense. */
static bool
take_found(Target *target, const PGresult *res)
{
	Task	   *task = linitial(target->tasks);
	int			i;

	if (target->is_found == NULL || target->nanswered > 0 || PQnfields(res) != 1)
		return false;
	for (i = 0; i < PQntuples(res); i++)
	{
		int			n = PQgetisnull(res, i, 0) ? 0 : atoi(PQgetvalue(res, i, 0));

		if (n < 1 || n > target->nsent || target->is_found[n - 1])
			return false;
		target->is_found[n - 1] = true;
	}
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return true;
	for (i = 0; i < target->nsent; i++)
	{
		if (!target->is_found[i])
			task->todo[target->nmissing++] = task->todo[i];
	}
	target->nanswered = target->nsent;
	return true;
}

static void
take_result(Target *target, PGresult *res)
{
	Task	   *task = linitial(target->tasks);

	switch (CzResultIsPart(res) ? PGRES_SINGLE_TUPLE : PQresultStatus(res))
	{
		case PGRES_PIPELINE_SYNC:
			PQclear(res);
			end_rows(target);
			return;
		case PGRES_SINGLE_TUPLE:
		case PGRES_TUPLES_OK:
			if (target->npreceding > 0 && PQresultStatus(res) == PGRES_TUPLES_OK)
				target->npreceding--;
			else if (target->npreceding == 0 && !take_found(target, res))
				CzConnUnexpected(target->conn, res, task->sql);
			PQclear(res);
			return;
		case PGRES_COMMAND_OK:
			if (target->npreceding > 0)
				target->npreceding--;
			else if (target->nanswered == target->nsent || target->is_found != NULL)
				CzConnViolated(target->conn, res, "It comes after the end.");
			else
			{
				int			nrows = target->is_multi ? target->nsent : 1;
				bool		is_short = CzResultCount(target->conn, res) != nrows;

				for (; nrows > 0; nrows--)
				{
					int			row = task->todo[target->nanswered++];

					if (is_short)
						task->todo[target->nmissing++] = row;
				}
			}
			PQclear(res);
			return;
		case PGRES_PIPELINE_ABORTED:
			PQclear(res);
			return;
		default:
			if (PQresultStatus(res) != PGRES_FATAL_ERROR || target->error != NULL)
				CzConnUnexpected(target->conn, res, task->sql);
			if (CzConnResultIsLoss(target->conn, res))
			{
				PQclear(res);
				take_loss(target);
				return;
			}
			target->error = res;
	}
}

/* As far as possible without waiting; the slot tells what to wait for. */
static void
advance(Target *target, CzWaitSlot *slot)
{
	PGconn	   *pg = target->conn->pg;
	int			flush;
	int			nulls;

	slot->socket = -1;
	slot->events = 0;
	while (target->tasks != NIL)
	{
		if (!target->is_busy)
		{
			if (target->retry_at > GetCurrentTimestamp())
				return;
			send_rows(target);
			if (target->is_lost)
				return;
		}
		flush = PQflush(pg);
		if (flush < 0 || !CzConnReceive(target->conn))
		{
			take_loss(target);
			return;
		}
		if (PQisBusy(pg))
		{
			slot->socket = PQsocket(pg);
			slot->events = WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
			return;
		}
		for (nulls = 0;;)
		{
			PGresult   *res;

			if (!target->is_busy || PQisBusy(pg))
				break;
			res = PQgetResult(pg);
			if (res != NULL)
			{
				nulls = 0;
				take_result(target, res);
			}
			else if (PQstatus(pg) != CONNECTION_OK)
				take_loss(target);
			else if (++nulls > MAX_NULLS)
				CzConnViolated(target->conn, NULL, "It has no end.");
		}
	}
}

static void
wait_for_targets(List *targets, CzWaitSlot *slots)
{
	long		wait_ms = cz_worker_timeout_ms;
	TimestampTz now;
	ListCell   *lc;

	foreach(lc, targets)
	{
		Target	   *target = lfirst(lc);

		if (target->tasks != NIL && !target->is_busy)
			wait_ms = Min(wait_ms, RETRY_MS);
	}
	CzWaitSockets(slots, list_length(targets), wait_ms, true);
	now = GetCurrentTimestamp();
	foreach(lc, targets)
	{
		Target	   *target = lfirst(lc);

		if (slots[foreach_current_index(lc)].is_ready || !target->is_busy)
			target->last_heard = now;
		else if (TimestampDifferenceExceeds(target->last_heard, now, cz_worker_timeout_ms))
		{
			if (!CzTxnProbeSilent(target->conn))
				take_loss(target);
			target->last_heard = GetCurrentTimestamp();
		}
	}
}

/* An error must not leave a result behind. */
static void
clear_errors(List *targets)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		Target	   *target = lfirst(lc);

		PQclear(target->error);
		target->error = NULL;
	}
}

static Target *
get_target(List **targets, Oid server_oid)
{
	Target	   *target;
	ListCell   *lc;

	foreach(lc, *targets)
	{
		target = lfirst(lc);
		if (target->server_oid == server_oid)
			return target;
	}
	target = palloc0(sizeof(Target));
	target->server_oid = server_oid;
	*targets = lappend(*targets, target);
	return target;
}

/*
 * Rows that refer to each other, or are referred to, are checked when all have come: the
 * first placement has had them with one command.
 */
static void
open_bracket(const CzStream *stream, CzReplicaRows **rows)
{
	Oid			relid = stream->plan->anchor_relid;
	int			nrows = 0;
	int			i;

	for (i = 0; i < stream->nfragments; i++)
		nrows = Max(nrows, rows[i] ? rows[i]->nrows : 0);
	if (nrows > 1 &&
		(stream->plan->command == CMD_INSERT && !stream->plan->replica_upserts ?
		 CzRefersToItself(relid) : CzTableKeys(relid, CZ_KEYS_TO) != NIL))
		CzBracketOpen(relid);
}

/*
 * CzReplicaRowsApply
 *		Do to the other placements what was done to the first ones.
 *
 * rows: by index of the stream's fragments; NULL: nothing to do for that one.
 * Errors: the nodes' own; 40001, XX001 if a row is not there.
 */
void
CzReplicaRowsApply(CzStream *stream, CzReplicaRows **rows)
{
	const CzTable *table = CzTableGet(stream->plan->anchor_relid);
	List	   *constraints = stream->plan->command == CMD_UPDATE || stream->plan->replica_upserts ?
		CzStatementConstraints(stream->plan->anchor_relid, stream->plan->replica_sets) : NIL;
	CmdType		command = stream->plan->command;
	bool		keys_meet = command != CMD_INSERT && CzKeysMeet(stream->plan->anchor_relid);
	bool		may_be_multi = command == CMD_DELETE ||
		(command == CMD_UPDATE &&
		 (CzReplicaOrderIsFree(stream->plan) ||
	/* what keys do must not come before what the statement does itself */
		  (keys_meet && CzRefersBy(stream->plan->anchor_relid, stream->plan->replica_sets))));
	List	   *targets = NIL;
	List	   *copies = NIL;
	CzWaitSlot *slots;
	ListCell   *lc;
	int			i;
	int			j;
	int			k;

	open_bracket(stream, rows);
	for (i = 0; i < stream->nfragments; i++)
	{
		const Fragment *fragment = &stream->fragments[i];
		const CzShard *shard;
		char	   *sql;
		char	   *multi = NULL;
		CzReplicaColumn *columns = NULL;

		if (rows[i] == NULL || rows[i]->nrows == 0 || fragment->nplacements < 2)
			continue;
		shard = &table->shards[fragment->shard_index];
		sql = rows[i]->copy ? CzReplicaShardAndColumns(stream->plan, table, shard) :
			CzReplicaSql(stream->plan, table, shard);
		if (rows[i]->nrows >= (keys_meet ? 2 : MIN_MULTI_ROWS) && may_be_multi)
			multi = CzReplicaMultiSql(stream->plan, table, shard, rows[i]->is_binary, &columns);
		for (j = 1; j < fragment->nplacements; j++)
		{
			Target	   *target;
			Task	   *task;

			if (CzTxnIsLost(shard->shard_id, fragment->server_oids[j]) ||
				!CzTxnReachOrLose(shard, fragment->server_oids[j], stream->user_oid))
				continue;
			if (rows[i]->copy != NULL)
			{
				CzReplicaCopyQueue(&copies, rows[i]->copy, rows[i]->nrows,
								   fragment->server_oids[j], sql);
				continue;
			}
			target = get_target(&targets, fragment->server_oids[j]);
			task = palloc0(sizeof(Task));

			task->fragment = fragment;
			task->shard = shard;
			task->rows = rows[i];
			task->sql = sql;
			task->multi_sql = multi;
			task->columns = columns;
			task->is_whole = keys_meet;
			if (constraints != NIL && rows[i]->nrows > 1)
				task->constraints = CzShardConstraintsSql(shard, constraints);
			task->is_delete = stream->plan->command == CMD_DELETE;
			task->ntodo = rows[i]->nrows;
			task->todo = MemoryContextAllocHuge(CurrentMemoryContext,
												sizeof(int) * (Size) task->ntodo);
			for (k = 0; k < task->ntodo; k++)
				task->todo[k] = k;
			target->tasks = lappend(target->tasks, task);
		}
	}
	foreach(lc, targets)
	{
		Target	   *target = lfirst(lc);

		initStringInfo(&target->prefix);
		target->conn = CzTxnReplicaConnPrefix(target->server_oid, stream->user_oid,
											  &target->prefix);
	}

	slots = palloc0(sizeof(CzWaitSlot) * Max(list_length(targets), 1));
	PG_TRY();
	{
		for (;;)
		{
			bool		is_done = true;

			foreach(lc, targets)
			{
				advance(lfirst(lc), &slots[foreach_current_index(lc)]);
				if (((Target *) lfirst(lc))->tasks != NIL)
					is_done = false;
			}
			if (is_done)
				break;
			wait_for_targets(targets, slots);
		}
	}
	PG_CATCH();
	{
		clear_errors(targets);
		PG_RE_THROW();
	}
	PG_END_TRY();

	CzReplicaCopiesRun(stream, copies);
	for (i = 0; i < stream->nfragments; i++)
	{
		if (rows[i] != NULL && rows[i]->copy != NULL)
			CzReplicaCopyEnd(rows[i]->copy);
	}
}
