/*-------------------------------------------------------------------------
 *
 * jobs.c
 *	  Jobs: moves and copies of shards that a background worker has carried out.
 *
 * A job is a row of cz.job, each of its moves a row of cz.task; the moves themselves are
 * the mover's (cz/move.h), one process each.  The job's own background worker starts them,
 * a few at a time, and notes what becomes of them; it holds a lock with the job's number,
 * by which others see that it lives.  If it does not, after a crash or because there was no
 * process for it, the maintenance worker starts another one, which goes on with what the
 * tables say.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "cluster_int.h"
#include "cz/move.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "rebalance_int.h"

/* Between two looks at a job's tasks */
#define JOB_STEP_MS 200

/* A task is repeated so often (if it gave way, any number of times), after a second, and twice
 * as long each time, up to half a minute */
#define MAX_RETRIES 3

/* A move that this process has started. */
typedef struct Started
{
	int64		task_id;
	BackgroundWorkerHandle *handle;
	bool		is_cancelled;
} Started;

/* A row of cz.task that is not done with. */
typedef struct Task
{
	int64		task_id;
	bool		is_running;
	bool		is_due;
	Oid			relid;
	int64		shard_id;
	char	   *source_name;	/* NULL: one placement more */
	char	   *target_name;
	int64		move_id;
	int			retries;
	Started    *started;
} Task;

static void
set_job_tag(LOCKTAG *tag, int64 job_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (job_id >> 32), (uint32) job_id,
						 CZ_LOCKTAG_JOB);
}

/* ---- making one ----------------------------------------------------------- */

static void
insert_task(int64 job_id, const CzRebalanceMove *move)
{
	Oid			argtypes[7] = {INT8OID, OIDOID, INT4OID, INT8OID, TEXTOID, NAMEOID, NAMEOID};
	Datum		values[7];
	char		nulls[8] = "       ";
	NameData	source;
	NameData	target;
	const CzTable *table = CzTableGet(move->relid);

	/* dropped or split since it was planned */
	if (table == NULL || move->index >= table->nshards)
		return;
	values[0] = Int64GetDatum(job_id);
	values[1] = ObjectIdGetDatum(move->relid);
	values[2] = Int32GetDatum(move->index);
	values[3] = Int64GetDatum(table->shards[move->index].shard_id);
	values[4] = CStringGetTextDatum(OidIsValid(move->source_oid) ? "move" : "copy");
	if (OidIsValid(move->source_oid))
		namestrcpy(&source, CzNodeGet(move->source_oid)->name);
	else
		nulls[5] = 'n';
	values[5] = NameGetDatum(&source);
	namestrcpy(&target, CzNodeGet(move->target_oid)->name);
	values[6] = NameGetDatum(&target);
	if (SPI_execute_with_args("INSERT INTO cz.task (job_id, relid, shard_index, shard_id, operation, source_name, target_name)"
							  " VALUES ($1, $2, $3, $4, $5, $6, $7)",
							  7, argtypes, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write cz.task");
}

/*
 * CzJobCreate
 *		See rebalance_int.h.
 */
int64
CzJobCreate(const char *type, const char *description, CzTransferMode mode, List *moves)
{
	Oid			argtypes[4] = {NAMEOID, TEXTOID, NAMEOID, TEXTOID};
	Datum		values[4];
	NameData	type_name;
	NameData	user_name;
	LOCKTAG		tag;
	bool		isnull;
	int64		job_id;
	ListCell   *lc;

	namestrcpy(&type_name, type);
	namestrcpy(&user_name, GetUserNameFromId(GetUserId(), false));
	values[0] = NameGetDatum(&type_name);
	values[1] = CStringGetTextDatum(description);
	values[2] = NameGetDatum(&user_name);
	values[3] = CStringGetTextDatum(mode == CZ_TRANSFER_BLOCK_WRITES ? "block_writes" : "auto");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("INSERT INTO cz.job (job_type, description, user_name, mode)"
							  " VALUES ($1, $2, $3, $4) RETURNING job_id",
							  4, argtypes, values, NULL, false, 0) != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write cz.job");
	job_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
										 &isnull));
	foreach(lc, moves)
		insert_task(job_id, lfirst(lc));
	SPI_finish();

	/* its process waits for this transaction's end, and finds the rows then, or none */
	set_job_tag(&tag, job_id);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	CzMaintenanceWake();
	(void) CzBackgroundStart(CZ_BACKGROUND_JOB, job_id, "job");
	return job_id;
}

/*
 * CzJobRunning
 *		See rebalance_int.h.
 */
int64
CzJobRunning(const char *type)
{
	Oid			argtypes[1] = {NAMEOID};
	Datum		values[1];
	NameData	type_name;
	int64		job_id = 0;

	namestrcpy(&type_name, type);
	values[0] = NameGetDatum(&type_name);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT j.job_id FROM cz.job j WHERE j.job_type OPERATOR(pg_catalog.=) $1"
							  " AND j.finished_at IS NULL ORDER BY 1 LIMIT 1",
							  1, argtypes, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.job");
	if (SPI_processed > 0)
	{
		bool		isnull;

		job_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
											 &isnull));
	}
	SPI_finish();
	return job_id;
}

/*
 * CzJobFailedLately
 *		See rebalance_int.h.
 */
bool
CzJobFailedLately(const char *type, int seconds)
{
	Oid			argtypes[2] = {NAMEOID, INT4OID};
	Datum		values[2];
	NameData	type_name;
	bool		has_failed = false;

	namestrcpy(&type_name, type);
	values[0] = NameGetDatum(&type_name);
	values[1] = Int32GetDatum(seconds);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT j.state OPERATOR(pg_catalog.=) 'failed' AND j.finished_at OPERATOR(pg_catalog.>)"
							  " (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $2))"
							  " FROM cz.job j WHERE j.job_type OPERATOR(pg_catalog.=) $1 AND j.finished_at IS NOT NULL"
							  " ORDER BY j.job_id DESC LIMIT 1",
							  2, argtypes, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.job");
	if (SPI_processed > 0)
	{
		bool		isnull;

		has_failed = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
												&isnull));
	}
	SPI_finish();
	return has_failed;
}

/*
 * CzJobHasCopied
 *		See rebalance_int.h.
 */
bool
CzJobHasCopied(int64 shard_id)
{
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(shard_id)};
	bool		result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT FROM cz.task t JOIN cz.job j USING (job_id) WHERE j.job_type OPERATOR(pg_catalog.=) 'replicate'"
							  " AND t.operation OPERATOR(pg_catalog.=) 'copy' AND t.status OPERATOR(pg_catalog.=) 'done' AND EXISTS"
							  " (SELECT FROM cz.move c WHERE c.move_id OPERATOR(pg_catalog.=) t.move_id AND $1 OPERATOR(pg_catalog.=) ANY (c.shard_ids))"
							  " AND NOT EXISTS (SELECT FROM cz.move m WHERE m.operation OPERATOR(pg_catalog.=) 'drop'"
							  " AND m.move_id OPERATOR(pg_catalog.>) t.move_id AND $1 OPERATOR(pg_catalog.=) ANY (m.shard_ids))",
							  1, argtypes, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.task");
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

/* ---- its process ----------------------------------------------------------- */

/* Run a statement whose rows nobody wants; $1 is a number, $2 a text or NULL. */
static void
execute(const char *sql, int64 number, const char *text)
{
	Oid			argtypes[2] = {INT8OID, TEXTOID};
	Datum		values[2];

	values[0] = Int64GetDatum(number);
	values[1] = text ? CStringGetTextDatum(text) : (Datum) 0;
	if (SPI_execute_with_args(sql, 2, argtypes, values, text ? NULL : " n", false, 0) < 0)
		elog(ERROR, "could not write the tables of jobs");
}

/* The state of a job; NULL: there is none, or it is over.  Within SPI. */
static char *
read_state(int64 job_id, char **mode)
{
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};

	if (SPI_execute_with_args("SELECT j.state, j.mode FROM cz.job j WHERE j.job_id OPERATOR(pg_catalog.=) $1"
							  " AND j.finished_at IS NULL", 1, argtypes, values, NULL, false,
							  1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.job");
	if (SPI_processed == 0)
		return NULL;
	*mode = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

static Started *
find_started(List *started, int64 task_id)
{
	ListCell   *lc;

	foreach(lc, started)
	{
		if (((Started *) lfirst(lc))->task_id == task_id)
			return lfirst(lc);
	}
	return NULL;
}

/* The tasks that are not over, in order. */
static List *
read_tasks(int64 job_id, List *started)
{
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};
	List	   *tasks = NIL;
	uint64		i;

	if (SPI_execute_with_args("SELECT t.task_id, t.status OPERATOR(pg_catalog.=) 'running',"
							  " coalesce(t.not_before OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp(), true),"
							  " t.relid, t.shard_id, t.source_name, t.target_name, coalesce(t.move_id, 0), t.retry_count"
							  " FROM cz.task t WHERE t.job_id OPERATOR(pg_catalog.=) $1"
							  " AND t.status IN ('runnable', 'running') ORDER BY t.task_id",
							  1, argtypes, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.task");
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Task	   *task = palloc0(sizeof(Task));
		bool		isnull;

		task->task_id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		task->is_running = DatumGetBool(SPI_getbinval(tuple, desc, 2, &isnull));
		task->is_due = DatumGetBool(SPI_getbinval(tuple, desc, 3, &isnull));
		task->relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 4, &isnull));
		task->shard_id = DatumGetInt64(SPI_getbinval(tuple, desc, 5, &isnull));
		task->source_name = SPI_getvalue(tuple, desc, 6);
		task->target_name = SPI_getvalue(tuple, desc, 7);
		task->move_id = DatumGetInt64(SPI_getbinval(tuple, desc, 8, &isnull));
		task->retries = DatumGetInt32(SPI_getbinval(tuple, desc, 9, &isnull));
		task->started = find_started(started, task->task_id);
		tasks = lappend(tasks, task);
	}
	return tasks;
}

/*
 * CzMoveMayBeRepeated
 *		See rebalance_int.h.
 */
bool
CzMoveMayBeRepeated(const char *sqlstate)
{
	/* connections, serialization and deadlocks, resources, locks and objects in use */
	return sqlstate != NULL &&
		(strncmp(sqlstate, "08", 2) == 0 || strncmp(sqlstate, "40", 2) == 0 ||
		 strncmp(sqlstate, "53", 2) == 0 || strcmp(sqlstate, "55P03") == 0 ||
		 strcmp(sqlstate, "55006") == 0 || strncmp(sqlstate, "57P", 3) == 0);
}

/* The phase of a move and its process; NULL: it has not begun. */
static char *
read_phase(int64 move_id, int *pid)
{
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(move_id)};
	bool		isnull;

	*pid = 0;
	if (SPI_execute_with_args("SELECT m.phase, coalesce(m.pid, 0) FROM cz.move m WHERE m.move_id OPERATOR(pg_catalog.=) $1",
							  1, argtypes, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.move");
	if (SPI_processed == 0)
		return NULL;
	*pid = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* A move has come to an end, or never begun. */
static void
end_task(const Task *task, bool is_cancelling)
{
	char	   *sqlstate;
	char	   *message;

	if (CzMoveResult(task->move_id, &sqlstate, &message))
		execute("UPDATE cz.task SET status = 'done', message = $2 WHERE task_id OPERATOR(pg_catalog.=) $1",
				task->task_id, NULL);
	else if (is_cancelling)
		execute("UPDATE cz.task SET status = 'cancelled', message = $2 WHERE task_id OPERATOR(pg_catalog.=) $1",
				task->task_id, message);
	else if (CzMoveGaveWay(sqlstate) ||
			 (task->retries < MAX_RETRIES && (sqlstate == NULL || CzMoveMayBeRepeated(sqlstate))))
		execute("UPDATE cz.task SET status = 'runnable', message = $2, move_id = NULL,"
				" not_before = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+)"
				" pg_catalog.make_interval(secs => least(pg_catalog.power(2, retry_count), 30)),"
				" retry_count = retry_count OPERATOR(pg_catalog.+) 1 WHERE task_id OPERATOR(pg_catalog.=) $1",
				task->task_id, message);
	else
		execute("UPDATE cz.task SET status = 'error', message = $2 WHERE task_id OPERATOR(pg_catalog.=) $1",
				task->task_id, message);
}

/* Look what a running task does; true: it still does. */
static bool
watch_task(Task *task, bool is_cancelling)
{
	bool		is_here = task->started != NULL && CzMoveIsRunning(task->started->handle);
	char	   *phase;
	int			pid;

	if (is_here && !is_cancelling)
		return true;
	phase = read_phase(task->move_id, &pid);
	if (is_cancelling && is_here && !task->started->is_cancelled)
	{
		/* beyond that it is done */
		if (phase == NULL || strcmp(phase, "switched") != 0)
			CzMoveCancel(task->started->handle);
		task->started->is_cancelled = true;
	}
	if (is_here)
		return true;
	/* after a crash the maintenance worker takes it up */
	if (phase != NULL && strcmp(phase, "done") != 0 && strcmp(phase, "failed") != 0 &&
		strcmp(phase, "switched") != 0)
	{
		if (is_cancelling && pid != 0)
			(void) DirectFunctionCall1(pg_cancel_backend, Int32GetDatum(pid));
		return true;
	}
	end_task(task, is_cancelling);
	return false;
}

/*
 * What a task is to do, if that is still to be done; else it is over, with the reason why.
 */
static bool
make_spec(const Task *task, CzMoveSpec *spec)
{
	const CzTable *table = get_rel_relkind(task->relid) == '\0' ? NULL : CzTableGet(task->relid);
	const char *problem = NULL;
	bool		has_source = false;
	bool		has_target = false;
	int			index = 0;
	int			i;

	memset(spec, 0, sizeof(*spec));
	/* a split gives shards other numbers */
	while (table != NULL && index < table->nshards &&
		   table->shards[index].shard_id != task->shard_id)
		index++;
	spec->relid = task->relid;
	spec->shard_index = index;
	spec->operation = task->source_name ? CZ_MOVE_MOVE : CZ_MOVE_COPY;
	spec->source_oid = task->source_name ? get_foreign_server_oid(task->source_name, true) :
		InvalidOid;
	spec->target_oid = get_foreign_server_oid(task->target_name, true);
	spec->task_id = task->task_id;
	if (table == NULL || !CzTableIsDistributed(table) || index >= table->nshards)
		problem = "the table has been dropped or changed";
	else if (!OidIsValid(spec->target_oid) || (task->source_name && !OidIsValid(spec->source_oid)))
		problem = "the node has been removed";
	else if (!CzNodeGet(spec->target_oid)->is_active)
		problem = "the node has been disabled";
	for (i = 0; problem == NULL && i < table->shards[index].nall; i++)
	{
		has_source |= table->shards[index].all_oids[i] == spec->source_oid;
		has_target |= table->shards[index].all_oids[i] == spec->target_oid;
	}
	if (problem == NULL && (has_target || (task->source_name && !has_source)))
		problem = "the shard has been moved meanwhile";
	if (problem != NULL)
		execute("UPDATE cz.task SET status = 'unscheduled', message = $2 WHERE task_id OPERATOR(pg_catalog.=) $1",
				task->task_id, problem);
	return problem == NULL;
}

/* Moves that a node takes part in. */
static int
count_moves(List *tasks, const char *node)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, tasks)
	{
		Task	   *task = lfirst(lc);

		if (task->is_running && node != NULL &&
			(strcmp(task->target_name, node) == 0 ||
			 (task->source_name && strcmp(task->source_name, node) == 0)))
			n++;
	}
	return n;
}

/* Two copies of a shard are made one after the other. */
static bool
is_group_running(List *tasks, const Task *task)
{
	ListCell   *lc;

	foreach(lc, tasks)
	{
		const Task *other = lfirst(lc);

		if (other->is_running && other->relid == task->relid && other->shard_id == task->shard_id)
			return true;
	}
	return false;
}

/* Is the target of a task to give something away itself?  Then that goes first. */
static bool
is_to_be_freed(List *tasks, const Task *task)
{
	ListCell   *lc;

	foreach(lc, tasks)
	{
		const Task *other = lfirst(lc);

		if (other->source_name != NULL && strcmp(other->source_name, task->target_name) == 0)
			return true;
	}
	return false;
}

/*
 * Start moves, as many as there may be at a time.  What comes to a node waits for what
 * leaves it, so that disks don't fill; where that is a circle, one begins.
 */
static List *
start_tasks(List *tasks, CzTransferMode mode, List *started, MemoryContext context,
			bool in_circle)
{
	int			nrunning = 0;
	ListCell   *lc;

	foreach(lc, tasks)
		nrunning += ((Task *) lfirst(lc))->is_running;
	if (in_circle && nrunning > 0)
		return started;
	foreach(lc, tasks)
	{
		Task	   *task = lfirst(lc);
		MemoryContext old;
		Started    *one;
		CzMoveSpec	spec;

		if (nrunning >= (in_circle ? 1 : cz_max_parallel_moves))
			break;
		if (task->is_running || !task->is_due || is_group_running(tasks, task) ||
			(!in_circle && is_to_be_freed(tasks, task)) ||
			count_moves(tasks, task->source_name) >= cz_max_moves_per_node ||
			count_moves(tasks, task->target_name) >= cz_max_moves_per_node ||
			!make_spec(task, &spec))
			continue;
		spec.mode = mode;
		old = MemoryContextSwitchTo(context);
		one = palloc0(sizeof(Started));
		one->task_id = task->task_id;
		task->move_id = CzMoveStart(&spec, &one->handle);
		started = lappend(started, one);
		MemoryContextSwitchTo(old);
		task->is_running = true;
		nrunning++;
		execute("UPDATE cz.task SET status = 'running', move_id = $2::pg_catalog.int8 WHERE task_id OPERATOR(pg_catalog.=) $1",
				task->task_id, psprintf(INT64_FORMAT, task->move_id));
	}
	return started;
}

/* No task is left. */
static void
end_job(int64 job_id, bool is_cancelling)
{
	execute(is_cancelling ?
			"UPDATE cz.job SET state = 'cancelled', finished_at = pg_catalog.clock_timestamp() WHERE job_id OPERATOR(pg_catalog.=) $1 AND $2 IS NULL" :
			"UPDATE cz.job SET finished_at = pg_catalog.clock_timestamp(), state = CASE WHEN EXISTS (SELECT FROM cz.task t"
			" WHERE t.job_id OPERATOR(pg_catalog.=) $1 AND t.status OPERATOR(pg_catalog.=) 'error')"
			" THEN 'failed'::pg_catalog.citus_job_status ELSE 'finished' END"
			" WHERE job_id OPERATOR(pg_catalog.=) $1 AND $2 IS NULL",
			job_id, NULL);
}

/*
 * step
 *		Look at the job once; in a transaction.
 *
 * started: moves of this process; those that are over are taken from it.
 * Returns: false: the job is over.
 */
static bool
step(int64 job_id, List **started, MemoryContext context)
{
	char	   *mode = NULL;
	char	   *state = read_state(job_id, &mode);
	bool		is_cancelling;
	List	   *tasks;
	bool		is_left = false;
	ListCell   *lc;

	if (state == NULL)
		return false;
	is_cancelling = strcmp(state, "cancelling") == 0;
	if (strcmp(state, "scheduled") == 0)
		execute("UPDATE cz.job SET state = 'running', started_at = pg_catalog.clock_timestamp() WHERE job_id OPERATOR(pg_catalog.=) $1 AND $2 IS NULL",
				job_id, NULL);
	tasks = read_tasks(job_id, *started);
	foreach(lc, tasks)
	{
		Task	   *task = lfirst(lc);

		if (task->is_running && !watch_task(task, is_cancelling))
		{
			task->is_running = false;
			task->is_due = false;
			if (task->started != NULL)
				*started = list_delete_ptr(*started, task->started);
		}
	}
	if (is_cancelling)
		execute("UPDATE cz.task SET status = 'cancelled', message = $2 WHERE job_id OPERATOR(pg_catalog.=) $1"
				" AND status OPERATOR(pg_catalog.=) 'runnable'", job_id, NULL);
	else
	{
		CzTransferMode transfer = strcmp(mode, "block_writes") == 0 ? CZ_TRANSFER_BLOCK_WRITES :
			CZ_TRANSFER_AUTO;

		*started = start_tasks(tasks, transfer, *started, context, false);
		*started = start_tasks(tasks, transfer, *started, context, true);
	}
	is_left = read_tasks(job_id, NIL) != NIL;
	if (!is_left)
		end_job(job_id, is_cancelling);
	return is_left;
}

/*
 * run_job
 *		cz_background: the process of a job.
 */
static void
run_job(int64 job_id)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "cz job",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *started = NIL;
	bool		is_left = true;
	LOCKTAG		tag;

	CzTaskSession();
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_RUNNING, psprintf("job " INT64_FORMAT, job_id));

	/* whoever has made the job is done then, or another process has ended it */
	StartTransactionCommand();
	set_job_tag(&tag, job_id);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	CommitTransactionCommand();

	while (is_left)
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (!CzExtensionIsThere() || CzTxnIsReplaced() ||
			!CzTxnIsCoordinator())
			break;
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		is_left = step(job_id, &started, context);
		SPI_finish();
		PopActiveSnapshot();
		CommitTransactionCommand();
		if (!is_left)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, JOB_STEP_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Jobs that are not over: int64 *, in the context. */
static List *
list_jobs(MemoryContext context)
{
	List	   *jobs = NIL;
	uint64		i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT j.job_id FROM cz.job j WHERE j.finished_at IS NULL", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.job");
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		MemoryContext old = MemoryContextSwitchTo(context);
		int64	   *job_id = palloc(sizeof(int64));

		*job_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1,
											  &isnull));
		jobs = lappend(jobs, job_id);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return jobs;
}

/*
 * jobs_round
 *		cz_jobs_round: start processes for jobs that have none.
 */
static bool
jobs_round(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *jobs;
	bool		is_done;
	ListCell   *lc;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	is_done = !OidIsValid(CzCatalogRelid("job")) || CzReplicateAgain();
	jobs = OidIsValid(CzCatalogRelid("job")) ? list_jobs(context) : NIL;
	foreach(lc, jobs)
	{
		int64		job_id = *(int64 *) lfirst(lc);
		LOCKTAG		tag;

		set_job_tag(&tag, job_id);
		if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
			continue;
		LockRelease(&tag, ExclusiveLock, false);
		(void) CzBackgroundStart(CZ_BACKGROUND_JOB, job_id, "job");
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	return is_done && jobs == NIL;
}

/*
 * CzJobsInit
 *		See cluster.h.
 */
void
CzJobsInit(void)
{
	cz_background[CZ_BACKGROUND_JOB] = run_job;
	cz_jobs_round = jobs_round;
}
