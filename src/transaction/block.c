/*-------------------------------------------------------------------------
 *
 * block.c
 *	  citus_cluster_changes_block(): the gate (gate.c) is closed for as long as backups of
 *	  all nodes take.
 *
 * A background worker keeps it closed, so that the session that has asked may end; it ends
 * by itself after a time, so that a backup that has died stops nobody for ever.  What it
 * does is in shared memory, a slot for each database, and stays there when it has ended:
 * who takes backups must hear that the time was too short.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "transaction_int.h"

PG_FUNCTION_INFO_V1(citus_cluster_changes_block);
PG_FUNCTION_INFO_V1(citus_cluster_changes_unblock);
PG_FUNCTION_INFO_V1(citus_cluster_changes_block_status);

/* Databases of this server that can be blocked at a time */
#define BLOCK_SLOTS 16

/* Milliseconds between two looks at the other's progress */
#define STEP_MS 10

/* Longest time that may be asked for: a day */
#define MAX_TIMEOUT_MS (24 * 60 * 60 * 1000)

typedef enum BlockState
{
	BLOCK_IDLE,
	BLOCK_STARTING,				/* waits for commits that are on their way */
	BLOCK_ACTIVE,
	BLOCK_TIMED_OUT,			/* was active, and its time was over */
	BLOCK_FAILED				/* its process has ended before it was to */
} BlockState;

static const char *const state_names[] = {"idle", "starting", "active", "timed out", "failed"};

typedef struct BlockSlot
{
	Oid			database_oid;	/* InvalidOid: free */
	BlockState	state;
	pid_t		worker_pid;		/* 0: has not begun, or has ended */
	pid_t		requestor_pid;
	TimestampTz started_at;		/* when it became active; 0: it did not */
	int			timeout_ms;
	int			nnodes;			/* workers and this server */
	bool		must_end;
} BlockSlot;

typedef struct BlockTable
{
	LWLock		lock;
	BlockSlot	slots[BLOCK_SLOTS];
} BlockTable;

static BlockTable *blocks = NULL;

Size
CzBlockShmemSize(void)
{
	return MAXALIGN(sizeof(BlockTable));
}

void
CzBlockShmemInit(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	blocks = ShmemInitStruct("cz_fdw blocked changes", CzBlockShmemSize(), &found);
	if (!found)
	{
		memset(blocks, 0, CzBlockShmemSize());
		LWLockInitialize(&blocks->lock, LWLockNewTrancheId());
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(blocks->lock.tranche, "cz_fdw blocked changes");
}

/* This database's slot, or NULL.  The lock is held. */
static BlockSlot *
own_slot(void)
{
	int			i;

	for (i = 0; i < BLOCK_SLOTS; i++)
	{
		if (blocks->slots[i].database_oid == MyDatabaseId)
			return &blocks->slots[i];
	}
	return NULL;
}

static bool
is_on(const BlockSlot *slot)
{
	return slot != NULL && (slot->state == BLOCK_STARTING || slot->state == BLOCK_ACTIVE);
}

/* A copy of this database's slot. */
static BlockSlot
look(void)
{
	BlockSlot	result = {0};
	BlockSlot  *slot;

	LWLockAcquire(&blocks->lock, LW_SHARED);
	slot = own_slot();
	if (slot != NULL)
		result = *slot;
	LWLockRelease(&blocks->lock);
	return result;
}

static void
set_state(BlockState state)
{
	BlockSlot  *slot;

	LWLockAcquire(&blocks->lock, LW_EXCLUSIVE);
	slot = own_slot();
	slot->state = state;
	if (state == BLOCK_ACTIVE)
		slot->started_at = GetCurrentTimestamp();
	if (!is_on(slot))
		slot->worker_pid = 0;
	LWLockRelease(&blocks->lock);
}

/* ---- the background worker ------------------------------------------------ */

/* It ends, in whatever way. */
static void
end_at_exit(int code, Datum arg)
{
	if (is_on(own_slot()))
		set_state(BLOCK_FAILED);
}

/* Commits that were not confirmed are finished, as far as workers can be reached. */
static void
finish_what_is_left(void)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) CzTxnRecover(DEBUG1, NULL);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * block
 *		cz_background: keep the gate closed until somebody says so, or the time is over.
 */
static void
block(int64 arg)
{
	BlockSlot  *slot;
	BlockSlot	now;
	TimestampTz until;

	before_shmem_exit(end_at_exit, (Datum) 0);
	LWLockAcquire(&blocks->lock, LW_EXCLUSIVE);
	slot = own_slot();
	if (slot != NULL && slot->state == BLOCK_STARTING)
		slot->worker_pid = MyProcPid;
	now = slot ? *slot : (BlockSlot) {0};
	LWLockRelease(&blocks->lock);
	if (now.state != BLOCK_STARTING || now.must_end)
		return;
	CzTaskSession();
	pgstat_report_activity(STATE_RUNNING, "citus_cluster_changes_block");
	finish_what_is_left();

	until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), now.timeout_ms);
	StartTransactionCommand();
	SetConfigOption("lock_timeout", psprintf("%d", now.timeout_ms), PGC_SUSET, PGC_S_OVERRIDE);
	CzGateClose();
	set_state(BLOCK_ACTIVE);
	ereport(LOG,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("changes of the cluster are blocked")));
	for (;;)
	{
		long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		CHECK_FOR_INTERRUPTS();
		if (look().must_end || left_ms <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left_ms, STEP_MS), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	/* before the gate opens: nobody may hear that it held when it did not */
	if (!look().must_end)
	{
		set_state(BLOCK_TIMED_OUT);
		ereport(LOG,
				(errcode(ERRCODE_WARNING),
				 errmsg("changes of the cluster were blocked for %d ms, and are allowed again",
						now.timeout_ms),
				 errdetail("Nobody has called citus_cluster_changes_unblock() meanwhile.")));
	}
	else
		set_state(BLOCK_IDLE);
	CommitTransactionCommand();
}

/*
 * CzBlockInit
 *		Register what the background worker does.
 */
void
CzBlockInit(void)
{
	cz_background[CZ_BACKGROUND_BLOCK] = block;
}

/* ---- SQL functions -------------------------------------------------------- */

/* Take a slot for this database, and fill it in. */
static void
reserve_slot(int timeout_ms)
{
	BlockSlot  *slot;
	int			nnodes = list_length(CzNodeList(true)) + 1;
	int			i;

	LWLockAcquire(&blocks->lock, LW_EXCLUSIVE);
	slot = own_slot();
	if (is_on(slot))
	{
		LWLockRelease(&blocks->lock);
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("changes of the cluster are blocked already"),
				 errhint("citus_cluster_changes_block_status() says by whom, citus_cluster_changes_unblock() allows them again.")));
	}
	for (i = 0; slot == NULL && i < BLOCK_SLOTS; i++)
	{
		if (!is_on(&blocks->slots[i]))
			slot = &blocks->slots[i];
	}
	if (slot == NULL)
	{
		LWLockRelease(&blocks->lock);
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("changes are blocked in %d databases of this server already",
						BLOCK_SLOTS)));
	}
	memset(slot, 0, sizeof(BlockSlot));
	slot->database_oid = MyDatabaseId;
	slot->state = BLOCK_STARTING;
	slot->requestor_pid = MyProcPid;
	slot->timeout_ms = timeout_ms;
	slot->nnodes = nnodes;
	LWLockRelease(&blocks->lock);
}

static void
ask_to_end(void)
{
	BlockSlot  *slot;

	LWLockAcquire(&blocks->lock, LW_EXCLUSIVE);
	slot = own_slot();
	if (is_on(slot))
		slot->must_end = true;
	LWLockRelease(&blocks->lock);
}

static void
pause_step(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, STEP_MS,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Until the gate is closed; false: it will not be. */
static bool
await_active(BackgroundWorkerHandle *handle)
{
	for (;;)
	{
		pid_t		pid;
		bool		has_stopped = GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED;
		BlockState	state = look().state;

		if (state == BLOCK_ACTIVE)
			return true;
		if (state != BLOCK_STARTING || has_stopped)
			return false;
		pause_step();
	}
}

/*
 * citus_cluster_changes_block(timeout_ms int)
 *		SQL function: nothing is committed on several nodes from its return on.
 */
Datum
citus_cluster_changes_block(PG_FUNCTION_ARGS)
{
	int			timeout_ms = PG_GETARG_INT32(0);
	BackgroundWorkerHandle *handle;
	volatile bool is_blocked = false;

	PreventCommandDuringRecovery("citus_cluster_changes_block()");
	if (timeout_ms < 1 || timeout_ms > MAX_TIMEOUT_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout_ms must be between 1 and %d", MAX_TIMEOUT_MS)));
	CzTxnCheckCoordinator();
	if (CzTxnHasWritten())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot block changes of the cluster in a transaction that has written to workers"),
				 errdetail("Its own commit would wait.")));
	reserve_slot(timeout_ms);
	handle = CzBackgroundStart(CZ_BACKGROUND_BLOCK, 0, "block");
	if (handle == NULL)
	{
		set_state(BLOCK_IDLE);
		CzNoBackgroundWorker();
	}
	PG_TRY();
	{
		is_blocked = await_active(handle);
	}
	PG_CATCH();
	{
		ask_to_end();
		TerminateBackgroundWorker(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!is_blocked)
	{
		set_state(BLOCK_FAILED);
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not block changes of the cluster within %d ms", timeout_ms),
				 errdetail("Commits, or moves of shards that keep writers out, have not come to an end."),
				 errhint("The server log says more.")));
	}
	PG_RETURN_BOOL(true);
}

/*
 * citus_cluster_changes_unblock()
 *		SQL function: changes are allowed again.  False, with a warning, if they were
 *		already.
 */
Datum
citus_cluster_changes_unblock(PG_FUNCTION_ARGS)
{
	BlockSlot	before;

	ask_to_end();
	while ((before = look()).must_end && is_on(&before))
		pause_step();
	if (before.must_end && before.state == BLOCK_IDLE)
	{
		LWLockAcquire(&blocks->lock, LW_EXCLUSIVE);
		own_slot()->must_end = false;
		LWLockRelease(&blocks->lock);
		PG_RETURN_BOOL(true);
	}
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("changes of the cluster were not blocked"),
			 before.state == BLOCK_TIMED_OUT ?
			 errdetail("They were for %d ms, which were over.", before.timeout_ms) :
			 before.state == BLOCK_FAILED ?
			 errdetail("The background worker that blocked them has ended.") : 0,
			 before.state == BLOCK_TIMED_OUT || before.state == BLOCK_FAILED ?
			 errhint("Backups that were not complete by then do not fit together.") : 0));
	PG_RETURN_BOOL(false);
}

/*
 * citus_cluster_changes_block_status()
 *		SQL function: one row.
 */
Datum
citus_cluster_changes_block_status(PG_FUNCTION_ARGS)
{
	BlockSlot	slot = look();
	TupleDesc	desc;
	Datum		values[6] = {0};
	bool		nulls[6] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(state_names[slot.state]);
	values[1] = Int32GetDatum(slot.worker_pid);
	nulls[1] = slot.worker_pid == 0;
	values[2] = Int32GetDatum(slot.requestor_pid);
	nulls[2] = slot.requestor_pid == 0;
	values[3] = TimestampTzGetDatum(slot.started_at);
	nulls[3] = slot.started_at == 0;
	values[4] = Int32GetDatum(slot.timeout_ms);
	nulls[4] = slot.timeout_ms == 0;
	values[5] = Int32GetDatum(slot.nnodes);
	nulls[5] = slot.nnodes == 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
