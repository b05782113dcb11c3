/*-------------------------------------------------------------------------
 *
 * maintenance.c
 *	  The background workers of cz_fdw, and the registration of this module.
 *
 * A static launcher starts a short-lived worker per database every
 * cz.recovery_interval for what two-phase commit has left, another one every
 * cz.auto_analyze_interval for tables to be analyzed, and one every cz.health_interval that
 * looks whether the nodes answer.  Short-lived, because a session that stays in a
 * database keeps DROP DATABASE and CREATE DATABASE ... TEMPLATE from working.
 * A worker in a database without the extension ends at once.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "cz/move.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* Until a failed launcher starts again, and between its looks at the settings while
 * there is nothing to do */
#define CZ_LAUNCHER_RESTART_S 10
#define CZ_LAUNCHER_IDLE_MS 60000

/* Between two looks at one of the databases where nothing has happened */
#define CZ_QUIET_ROUND_MS 120000

/* Of the tasks that have their rounds */
static const char *const task_names[CZ_NTASKS] = {"maintenance", "analyze", "health"};

/* A database's worker, as the launcher knows it. */
typedef struct DatabaseWorker
{
	Oid			database_oid;
	CzTask		task;
	BackgroundWorkerHandle *handle;
} DatabaseWorker;

bool		(*cz_analyze_task) (void) = NULL;
bool		(*cz_health_task) (void) = NULL;
bool		(*cz_repair_task) (Oid relid) = NULL;
bool		(*cz_jobs_round) (void) = NULL;
void		(*cz_background[CZ_NBACKGROUNDS]) (int64 arg) = {NULL};

static void
xact_callback(XactEvent event, void *arg)
{
	CzTxnXactCallback((int) event);
}

static void
subxact_callback(SubXactEvent event, SubTransactionId id, SubTransactionId parent,
				 void *arg)
{
	CzTxnSubXactCallback((int) event, GetCurrentTransactionNestLevel());
}

/*
 * CzFillWorker
 *		A background worker of a database (0: the launcher), all but its names and task.
 */
void
CzFillWorker(BackgroundWorker *worker, Oid database_oid)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	strlcpy(worker->bgw_library_name, "cz_fdw", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, "CzMaintenanceMain", BGW_MAXLEN);
	worker->bgw_main_arg = ObjectIdGetDatum(database_oid);
}

/*
 * CzTransactionInit
 *		Called once in the postmaster: callbacks (inherited by every backend) and
 *		the launcher.
 */
void
CzTransactionInit(void)
{
	BackgroundWorker worker;

	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	CzTxnIdentityInit();
	CzMapInit();
	CzBlockInit();

	/* pg_upgrade wants nobody else to write. */
	if (IsBinaryUpgrade)
		return;
	CzFillWorker(&worker, InvalidOid);
	worker.bgw_restart_time = CZ_LAUNCHER_RESTART_S;
	snprintf(worker.bgw_name, BGW_MAXLEN, "cz_fdw maintenance launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "cz_fdw maintenance launcher");
	RegisterBackgroundWorker(&worker);
}

/*
 * list_databases
 *		OIDs of the databases that can be connected to, in the caller's context.
 */
static List *
list_databases(MemoryContext context)
{
	List	   *databases = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!database->datallowconn || database->datistemplate)
			continue;
		old = MemoryContextSwitchTo(context);
		databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return databases;
}

/*
 * start_worker
 *		Start a database's worker unless the last one still runs.  Out of worker
 *		slots: tried again next time.
 */
static void
start_worker(List **workers, Oid database_oid, CzTask task)
{
	DatabaseWorker *mine = NULL;
	BackgroundWorker worker;
	ListCell   *lc;

	foreach(lc, *workers)
	{
		DatabaseWorker *other = lfirst(lc);

		if (other->database_oid == database_oid && other->task == task)
			mine = other;
	}
	if (mine == NULL)
	{
		mine = palloc0(sizeof(DatabaseWorker));
		mine->database_oid = database_oid;
		mine->task = task;
		*workers = lappend(*workers, mine);
	}
	if (mine->handle != NULL)
	{
		pid_t		pid;

		if (GetBackgroundWorkerPid(mine->handle, &pid) != BGWH_STOPPED)
			return;
		pfree(mine->handle);
		mine->handle = NULL;
	}

	CzFillWorker(&worker, database_oid);
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_extra[0] = (char) task;
	snprintf(worker.bgw_name, BGW_MAXLEN, "cz_fdw %s of database %u", task_names[task],
			 database_oid);
	snprintf(worker.bgw_type, BGW_MAXLEN, "cz_fdw %s", task_names[task]);
	if (!RegisterDynamicBackgroundWorker(&worker, &mine->handle))
		mine->handle = NULL;
}

/* Time between two rounds of a task; -1: there are none. */
static int
task_interval_ms(CzTask task)
{
	if (task == CZ_TASK_ANALYZE)
		return cz_auto_analyze && cz_analyze_task ? cz_auto_analyze_interval_ms : -1;
	if (task == CZ_TASK_HEALTH)
		return cz_health_interval_ms < 0 || cz_health_task == NULL ? -1 :
			Max(cz_health_interval_ms, 100);
	/* At 0 a busy loop would only start workers */
	return cz_recovery_interval_ms < 0 ? -1 : Max(cz_recovery_interval_ms, 100);
}

/*
 * launcher_main
 *		Wake at each task's intervals and see to every database.
 */
static void
launcher_main(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "cz launcher",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *workers = NIL;
	TimestampTz next_round[CZ_NTASKS];
	TimestampTz next_quiet_round = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															   CZ_QUIET_ROUND_MS);
	uint32		quiet_step = 0;
	int			task;

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	MemoryContextSwitchTo(context);
	next_round[CZ_TASK_RECOVER] = GetCurrentTimestamp();
	next_round[CZ_TASK_HEALTH] = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															 Max(cz_health_interval_ms, 0));
	next_round[CZ_TASK_ANALYZE] = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														   cz_auto_analyze_interval_ms);

	for (;;)
	{
		long		wait_ms = CZ_LAUNCHER_IDLE_MS;
		bool		is_reloaded = ConfigReloadPending;

		CHECK_FOR_INTERRUPTS();
		if (ShutdownRequestPending)
			proc_exit(0);
		if (is_reloaded)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		for (task = 0; task < CZ_NTASKS; task++)
		{
			TimestampTz now = GetCurrentTimestamp();
			int			interval_ms = task_interval_ms(task);

			if (interval_ms < 0)
				continue;
			if (is_reloaded)
				next_round[task] = Min(next_round[task],
									   TimestampTzPlusMilliseconds(now, interval_ms));
			if (now >= next_round[task])
			{
				List	   *databases = list_databases(context);
				ListCell   *lc;

				MemoryContextSwitchTo(context);
				foreach(lc, databases)
				{
					if (!CzActivityIsQuiet(lfirst_oid(lc), task))
						start_worker(&workers, lfirst_oid(lc), task);
				}
				CzActivityForget(databases);
				list_free(databases);
				next_round[task] = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															   interval_ms);
			}
			wait_ms = Min(wait_ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
																   next_round[task]));
		}

		/* what an event that got lost has left: one task of one database at a time */
		if (GetCurrentTimestamp() >= next_quiet_round)
		{
			List	   *databases = list_databases(context);
			CzTask		quiet_task = quiet_step % CZ_NTASKS;

			MemoryContextSwitchTo(context);
			if (databases != NIL && task_interval_ms(quiet_task) >= 0)
				start_worker(&workers,
							 list_nth_oid(databases, quiet_step / CZ_NTASKS %
										  list_length(databases)),
							 quiet_task);
			list_free(databases);
			quiet_step++;
			next_quiet_round = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														   CZ_QUIET_ROUND_MS);
		}

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* A standby that was promoted becomes the coordinator; in a transaction of its own. */
static void
take_over(void)
{
	int			epoch = CzTxnTakeOver(false);

	PopActiveSnapshot();
	CommitTransactionCommand();
	ereport(LOG,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("this server has taken over as coordinator of its cluster, epoch %d",
					epoch)));
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/*
 * database_main
 *		One round in one database.
 */
static void
database_main(Oid database_oid)
{
	CzTask		task = MyBgworkerEntry->bgw_extra[0];
	bool		is_done = true;
	bool		is_owner;
	uint64		seen;

	BackgroundWorkerInitializeConnectionByOid(database_oid, InvalidOid, 0);
	if (task == CZ_TASK_REPAIR)
	{
		Oid			relid;

		memcpy(&relid, MyBgworkerEntry->bgw_extra + 1, sizeof(Oid));
		(void) cz_repair_task(relid);
		return;
	}
	if (task == CZ_TASK_MOVE)
	{
		CzMoveMain(MyBgworkerEntry->bgw_extra + 1);
		return;
	}
	if (task == CZ_TASK_BACKGROUND)
	{
		int64		arg;

		memcpy(&arg, MyBgworkerEntry->bgw_extra + 2, sizeof(arg));
		cz_background[(int) MyBgworkerEntry->bgw_extra[1]] (arg);
		return;
	}
	CzActivityRoundBegin(task, &seen);
	if (task == CZ_TASK_ANALYZE)
	{
		is_done = cz_analyze_task();
		CzActivityRoundEnd(task, seen, is_done);
		return;
	}

	if (task == CZ_TASK_HEALTH)
	{
		is_done = cz_health_task();
		CzActivityRoundEnd(task, seen, is_done);
		return;
	}

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "recover_prepared_transactions");
	if (CzExtensionIsThere() && CzTxnLogExists())
	{
		if (cz_auto_take_over && CzTxnIdentity()->is_promoted)
			take_over();
		if (CzTxnIdentity()->is_owner)
		{
			(void) CzTxnRecover(DEBUG1, &is_done);
			is_done &= CzTxnDirtyTidy();
		}
		else if (CzTxnIsAttached())
			(void) CzTxnRecover(DEBUG1, &is_done);
		else
			is_done = false;	/* it may take over */
	}
	is_owner = CzExtensionIsThere() && CzTxnLogExists() &&
		CzTxnIdentity()->is_owner;
	PopActiveSnapshot();
	CommitTransactionCommand();
	/* moves that nobody carries on, for whose changes writers are still made to log, and what
	 * others have left: before what takes long */
	if (is_owner && cz_move_round != NULL && !cz_move_round())
		is_done = false;
	/* nodes that are back get what they have missed */
	if (is_owner && cz_repair_task != NULL && !cz_repair_task(InvalidOid))
		is_done = false;
	if (is_owner && cz_jobs_round != NULL && !cz_jobs_round())
		is_done = false;
	CzActivityRoundEnd(task, seen, is_done);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * CzRunRepair
 *		See transaction.h.
 */
void
CzRunRepair(Oid relid)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;

	CzFillWorker(&worker, MyDatabaseId);
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_extra[0] = (char) CZ_TASK_REPAIR;
	memcpy(worker.bgw_extra + 1, &relid, sizeof(Oid));
	snprintf(worker.bgw_name, BGW_MAXLEN, "cz_fdw repair of database %u", MyDatabaseId);
	snprintf(worker.bgw_type, BGW_MAXLEN, "cz_fdw repair");
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		CzNoBackgroundWorker();
	/* a cancel of this session leaves it to work on */
	(void) WaitForBackgroundWorkerShutdown(handle);
	pfree(handle);
}

/*
 * CzNoBackgroundWorker
 *		See transaction.h.
 */
void
CzNoBackgroundWorker(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("no background worker is free"),
			 errhint("Raise max_worker_processes.")));
}

/*
 * CzBackgroundStart
 *		See transaction.h.
 */
BackgroundWorkerHandle *
CzBackgroundStart(CzBackground which, int64 arg, const char *name)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;

	CzFillWorker(&worker, MyDatabaseId);
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_extra[0] = (char) CZ_TASK_BACKGROUND;
	worker.bgw_extra[1] = (char) which;
	memcpy(worker.bgw_extra + 2, &arg, sizeof(arg));
	snprintf(worker.bgw_name, BGW_MAXLEN, "cz_fdw %s", name);
	snprintf(worker.bgw_type, BGW_MAXLEN, "cz_fdw %s", name);
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

/*
 * CzMaintenanceWake
 *		See transaction.h.
 */
void
CzMaintenanceWake(void)
{
	CzActivityNote(CZ_TASK_RECOVER);
	CzActivityNote(CZ_TASK_HEALTH);
}

/*
 * CzMaintenanceMain
 *		Entry point of both kinds of background worker; see transaction.h.
 */
void
CzMaintenanceMain(Datum arg)
{
	Oid			database_oid = DatumGetObjectId(arg);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	/* The launcher holds nothing: it may leave without a word in the log. */
	pqsignal(SIGTERM, OidIsValid(database_oid) ? die : SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	if (OidIsValid(database_oid))
		database_main(database_oid);
	else
		launcher_main();
}
