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
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* Rows that are sent before their answers are read: bounds what libpq buffers */
#define MAX_BATCH_ROWS 500
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
};

/* One placement's share. */
typedef struct Task
{
	const Fragment *fragment;
	const CzReplicaRows *rows;
	const char *sql;
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
	int			nanswered;
	int			nmissing;		/* of those; moved to the front of todo */
	int			npreceding;		/* results to come before those of rows */
	char	   *preparing;		/* name of the statement that is prepared with them */
	bool		is_busy;
	PGresult   *error;			/* raised when the pipeline has ended */
	TimestampTz retry_at;
	TimestampTz last_heard;
} Target;

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

/* The command for one row of a shard; parameters are the columns of CzReplicaRows. */
static char *
replica_sql(const CzFragmentPlan *plan, const CzTable *table, const CzShard *shard)
{
	StringInfoData buf;
	int			nkeys = list_length(plan->replica_keys);
	ListCell   *lc;

	initStringInfo(&buf);
	if (plan->command == CMD_DELETE)
		appendStringInfo(&buf, "DELETE FROM %s", shard->remote_qualified);
	else
		appendStringInfo(&buf, "UPDATE %s SET", shard->remote_qualified);
	foreach(lc, plan->replica_sets)
		appendStringInfo(&buf, "%s %s = $%d", foreach_current_index(lc) > 0 ? "," : "",
						 quote_identifier(table->column_names[lfirst_int(lc) - 1]),
						 nkeys + foreach_current_index(lc) + 1);
	foreach(lc, plan->replica_keys)
		appendStringInfo(&buf, "%s %s OPERATOR(pg_catalog.=) $%d",
						 foreach_current_index(lc) > 0 ? " AND" : " WHERE",
						 quote_identifier(table->column_names[lfirst_int(lc) - 1]),
						 foreach_current_index(lc) + 1);
	return buf.data;
}

static void
raise_loss(Target *target)
{
	target->conn->is_broken = true;
	CzHealthMarkFailed(target->server_oid);
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to node \"%s\" was lost while writing to it",
					target->conn->node_name)));
}

/* Send some rows of the first task in one pipeline. */
static void
send_rows(Target *target)
{
	Task	   *task = linitial(target->tasks);
	const CzReplicaRows *rows = task->rows;
	PGconn	   *pg = target->conn->pg;
	const char *name = CzConnPrepared(target->conn, task->sql);
	int		   *formats = palloc(sizeof(int) * rows->ncolumns);
	int			i;

	for (i = 0; i < rows->ncolumns; i++)
		formats[i] = rows->is_binary ? 1 : 0;
	target->npreceding = 0;
	target->nsent = Min(task->ntodo, MAX_BATCH_ROWS);
	target->nanswered = target->nmissing = 0;
	target->is_busy = true;
	target->last_heard = GetCurrentTimestamp();
	if (PQpipelineStatus(pg) == PQ_PIPELINE_OFF && !PQenterPipelineMode(pg))
		raise_loss(target);
	target->npreceding = CzSendPrefix(target->conn, &target->prefix);
	if (target->npreceding < 0)
		raise_loss(target);
	CzConnLogCommand(target->conn, task->sql);
	if (name == NULL)
	{
		target->preparing = CzConnNewStatementName(target->conn);
		if (!PQsendPrepare(pg, target->preparing, task->sql, 0, NULL))
			raise_loss(target);
		target->npreceding++;
		name = target->preparing;
	}
	for (i = 0; i < target->nsent; i++)
	{
		Size		at = (Size) task->todo[i] * rows->ncolumns;

		if (!PQsendQueryPrepared(pg, name, rows->ncolumns,
								 (const char *const *) &rows->values[at],
								 &rows->lengths[at], formats, 0))
			raise_loss(target);
	}
	if (!PQpipelineSync(pg))
		raise_loss(target);
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
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("placements of shard " INT64_FORMAT " differ",
						task->fragment->shard_id),
				 errdetail("%d rows that the command changed on the first placement are not on node \"%s\".",
						   task->ntodo, target->conn->node_name)));
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
		CzConnRememberPrepared(conn, task->sql, target->preparing);
	target->preparing = NULL;

	/* those that were not found are at the front, those not sent yet follow */
	memmove(task->todo + target->nmissing, task->todo + target->nsent,
			sizeof(int) * (task->ntodo - target->nsent));
	task->ntodo -= target->nsent - target->nmissing;
	if (target->nmissing > 0)
		check_missing(target);
	if (task->ntodo == 0)
		target->tasks = list_delete_first(target->tasks);
}

static void
take_result(Target *target, PGresult *res)
{
	Task	   *task = linitial(target->tasks);

	switch (PQresultStatus(res))
	{
		case PGRES_PIPELINE_SYNC:
			PQclear(res);
			end_rows(target);
			return;
		case PGRES_SINGLE_TUPLE:
		case PGRES_TUPLES_OK:
			if (target->npreceding == 0)
				CzConnUnexpected(target->conn, res, task->sql);
			if (PQresultStatus(res) == PGRES_TUPLES_OK)
				target->npreceding--;
			PQclear(res);
			return;
		case PGRES_COMMAND_OK:
			if (target->npreceding > 0)
				target->npreceding--;
			else if (target->nanswered == target->nsent)
				CzConnViolated(target->conn, res, "It comes after the end.");
			else
			{
				int			row = task->todo[target->nanswered++];

				if (CzResultCount(target->conn, res) != 1)
					task->todo[target->nmissing++] = row;
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
				raise_loss(target);
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
		}
		flush = PQflush(pg);
		if (flush < 0 || !CzConnReceive(target->conn))
			raise_loss(target);
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
				raise_loss(target);
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
				raise_loss(target);
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
	List	   *targets = NIL;
	CzWaitSlot *slots;
	ListCell   *lc;
	int			i;
	int			j;
	int			k;

	for (i = 0; i < stream->nfragments; i++)
	{
		const Fragment *fragment = &stream->fragments[i];
		char	   *sql;

		if (rows[i] == NULL || rows[i]->nrows == 0 || fragment->nplacements < 2)
			continue;
		sql = replica_sql(stream->plan, table, &table->shards[fragment->shard_index]);
		for (j = 1; j < fragment->nplacements; j++)
		{
			Target	   *target = get_target(&targets, fragment->server_oids[j]);
			Task	   *task = palloc0(sizeof(Task));

			task->fragment = fragment;
			task->rows = rows[i];
			task->sql = sql;
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
		target->conn = CzTxnConnPrefix(target->server_oid, stream->user_oid, true,
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
}
