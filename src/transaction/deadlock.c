/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *	  Sessions that wait for workers for long, and the end of a deadlock among them.
 *
 * A worker sees the deadlocks within it, and this server those within it.  Those over
 * several servers are seen by nobody unless somebody asks all of them who waits for whom.
 *
 * A session that has waited for workers' answers for deadlock_timeout says so in shared
 * memory.  One of those that wait in a database looks for all of them, with connections
 * of its own: so it needs nothing but what its user may do anyway, no credentials are kept
 * anywhere, and no background worker has to be there.  Its connections are kept like
 * others, so that a queue at one row costs one connection and not one a waiter.  The others
 * wake it when they begin to wait; where somebody waits for one of our own locks only a
 * regular look finds that.  As long as nobody begins or ends a wait nothing is asked.
 *
 * The youngest transaction that waits in a loop of ours is the victim.  It gets the
 * number of its wait and the deadlock into its slot, and raises the error itself: a wait
 * that has ended meanwhile has another number.  Its abort sends the cancel request.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cz/compat.h"
#include "cz/counters.h"
#include "deadlock_int.h"
#include "transaction_int.h"

/* Between two looks at what others do, milliseconds. */
#define LOOK_MS 300
/* A look that finds the same waits as the last one asks the workers after that time only. */
#define SAME_WAITS_MS 5000
/* A session that has not looked for so long does not look for others any more. */
#define LOOKER_LOST_MS 1500
/* Databases that have sessions which look for others. */
#define MAX_LOOKERS 64

/* What a session that waits publishes; by the number of its PGPROC. */
typedef struct WaitSlot
{
	pg_atomic_uint64 wait;		/* number of its wait; 0: it does not wait */
	int			pid;			/* this and what follows: valid while it waits */
	Oid			database_oid;
	TimestampTz xact_start;
	pg_atomic_uint64 victim_of; /* number of a wait that has to end */
	int			nsteps;			/* valid with victim_of: why */
	DeadlockStep steps[MAX_STEPS];
} WaitSlot;

/* The session that looks for a database's. */
typedef struct Looker
{
	Oid			database_oid;	/* InvalidOid: free */
	int			slot;			/* number of its PGPROC; -1: none */
	TimestampTz looked_at;		/* last sign of life */
	uint32		seen;			/* the waits when workers were last asked */
	TimestampTz asked_at;
} Looker;

typedef struct WaitTable
{
	LWLock		lock;			/* guards lookers, and slots' steps */
	pg_atomic_uint64 last_wait;
	Looker		lookers[MAX_LOOKERS];
	WaitSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} WaitTable;

static WaitTable *table = NULL;
static int	my_number = -1;		/* -1: not known yet */
static bool is_waiting = false;
static bool watches_others = false; /* another coordinator's session is in the way */

static long look_for_deadlocks(const CzWaitSlot *slots, int nslots);
static void end_wait(void);

Size
CzDeadlockShmemSize(void)
{
	return add_size(offsetof(WaitTable, slots), mul_size(MaxBackends, sizeof(WaitSlot)));
}

void
CzDeadlockShmemInit(void)
{
	bool		found;
	int			i;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct("cz_fdw long waits", CzDeadlockShmemSize(), &found);
	if (!found)
	{
		memset(table, 0, CzDeadlockShmemSize());
		LWLockInitialize(&table->lock, LWLockNewTrancheId());
		pg_atomic_init_u64(&table->last_wait, 0);
		for (i = 0; i < MaxBackends; i++)
		{
			pg_atomic_init_u64(&table->slots[i].wait, 0);
			pg_atomic_init_u64(&table->slots[i].victim_of, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(table->lock.tranche, "cz_fdw long waits");
	CzWaitSetCallbacks(look_for_deadlocks, end_wait);
}

/* The session's own slot; NULL: it has none. */
static WaitSlot *
own_slot(void)
{
	if (my_number < 0)
		my_number = MyProc - ProcGlobal->allProcs;
	return table != NULL && my_number < MaxBackends ? &table->slots[my_number] : NULL;
}

/* The database's looker; lock held.  NULL: there are too many databases. */
static Looker *
find_looker(void)
{
	Looker	   *free_one = NULL;
	int			i;

	for (i = 0; i < MAX_LOOKERS; i++)
	{
		Looker	   *looker = &table->lookers[i];

		if (looker->database_oid == MyDatabaseId)
			return looker;
		if (free_one == NULL && looker->slot < 0)
			free_one = looker;
		if (!OidIsValid(looker->database_oid))
		{
			free_one = looker;
			break;
		}
	}
	if (free_one != NULL)
	{
		memset(free_one, 0, sizeof(Looker));
		free_one->database_oid = MyDatabaseId;
		free_one->slot = -1;
	}
	return free_one;
}

/* Say that this session waits. */
static void
begin_wait(WaitSlot *slot)
{
	slot->pid = MyProcPid;
	slot->database_oid = MyDatabaseId;
	slot->xact_start = GetCurrentTransactionStartTimestamp();
	pg_write_barrier();
	pg_atomic_write_u64(&slot->wait, pg_atomic_add_fetch_u64(&table->last_wait, 1));
	is_waiting = true;
	watches_others = false;
}

static void
end_wait(void)
{
	Looker	   *looker;

	if (!is_waiting)
		return;
	is_waiting = false;
	CzLinksAwait(NULL, 0);
	pg_atomic_write_u64(&own_slot()->wait, 0);
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	looker = find_looker();
	if (looker != NULL && looker->slot == my_number)
		looker->slot = -1;
	LWLockRelease(&table->lock);
}

/*
 * CzDeadlockWaiters
 *		Sessions of this database that have waited for workers for long; palloc'd.
 */
LongWaiter *
CzDeadlockWaiters(int *nwaiters)
{
	LongWaiter *waiters = palloc(sizeof(LongWaiter) * MaxBackends);
	int			i;

	*nwaiters = 0;
	for (i = 0; i < MaxBackends; i++)
	{
		WaitSlot   *slot = &table->slots[i];
		LongWaiter *waiter = &waiters[*nwaiters];

		waiter->wait = pg_atomic_read_u64(&slot->wait);
		pg_read_barrier();
		if (waiter->wait == 0 || slot->database_oid != MyDatabaseId)
			continue;
		waiter->slot = i;
		waiter->pid = slot->pid;
		waiter->xact_start = slot->xact_start;
		(*nwaiters)++;
	}
	return waiters;
}

/*
 * current_waits
 *		A hash of all waits, here and for workers; and how many there are but ours.
 */
static uint32
current_waits(int *nothers)
{
	int			nwaiters;
	LongWaiter *waiters = CzDeadlockWaiters(&nwaiters);
	uint32		hash = 0;
	int			i;

	for (i = 0; i < nwaiters; i++)
		hash = hash_combine(hash, (uint32) waiters[i].wait);
	*nothers = nwaiters - 1;
	pfree(waiters);
	for (i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];

		if (!CzDeadlockWaitsHere(proc))
			continue;
		hash = hash_combine(hash, (uint32) proc->pid);
		hash = hash_combine(hash, (uint32) pg_atomic_read_u64(&proc->waitStart));
		(*nothers)++;
	}
	return hash;
}

/*
 * is_mine_to_look
 *		Does this session look for all of its database's?  If not, the one that does is
 *		woken, if is_new.
 */
static bool
is_mine_to_look(bool is_new)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		is_mine = true;
	Looker	   *looker;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	looker = find_looker();
	if (looker != NULL)
	{
		is_mine = looker->slot < 0 || looker->slot == my_number ||
			TimestampDifferenceExceeds(looker->looked_at, now, LOOKER_LOST_MS);
		if (is_mine)
		{
			looker->slot = my_number;
			looker->looked_at = now;
		}
		else if (is_new)
			SetLatch(&ProcGlobal->allProcs[looker->slot].procLatch);
	}
	LWLockRelease(&table->lock);
	return is_mine;
}

/*
 * Have the workers to be asked now?  A wait of which nobody else could be a part is looked
 * at once: of a lock of its own session, or another coordinator's.
 */
static bool
is_due(bool is_new, uint32 waits, int nothers)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		is_same = false;
	Looker	   *looker;

	if (nothers == 0 && !is_new && !watches_others)
		return false;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	looker = find_looker();
	if (looker != NULL)
		is_same = looker->seen == waits &&
			!TimestampDifferenceExceeds(looker->asked_at, now, SAME_WAITS_MS);
	LWLockRelease(&table->lock);
	return !is_same || watches_others;
}

/* Tell the victim; it looks itself whether it still waits. */
static void
choose(const Deadlock *deadlock)
{
	WaitSlot   *slot = &table->slots[deadlock->victim.slot];

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	slot->nsteps = deadlock->nsteps;
	memcpy(slot->steps, deadlock->steps, sizeof(DeadlockStep) * deadlock->nsteps);
	pg_write_barrier();
	pg_atomic_write_u64(&slot->victim_of, deadlock->victim.wait);
	LWLockRelease(&table->lock);
	SetLatch(&ProcGlobal->allProcs[deadlock->victim.slot].procLatch);
}

static void
describe_process(StringInfo buf, const DeadlockStep *step, bool is_first)
{
	if (step->pid != 0)
		appendStringInfo(buf, is_first ? _("Process %d") : _("process %d"), step->pid);
	else
		appendStringInfo(buf, is_first ? _("Process %d of node \"%s\"") :
						 _("process %d of node \"%s\""), step->remote_pid,
						 CzNodeName(step->server_oid));
}

/* If this session's wait is to end: an error. */
static void
check_chosen(WaitSlot *slot)
{
	StringInfoData detail;
	StringInfoData log;
	DeadlockStep steps[MAX_STEPS];
	int			nsteps;
	int			i;

	if (pg_atomic_read_u64(&slot->victim_of) != pg_atomic_read_u64(&slot->wait))
		return;
	LWLockAcquire(&table->lock, LW_SHARED);
	nsteps = slot->nsteps;
	memcpy(steps, slot->steps, sizeof(DeadlockStep) * nsteps);
	LWLockRelease(&table->lock);

	initStringInfo(&detail);
	for (i = 0; i < nsteps; i++)
	{
		if (i > 0)
			appendStringInfoChar(&detail, '\n');
		describe_process(&detail, &steps[i], true);
		if (OidIsValid(steps[i].waits_at))
			appendStringInfo(&detail, _(" waits on node \"%s\" for "),
							 CzNodeName(steps[i].waits_at));
		else
			appendStringInfoString(&detail, _(" waits on the coordinator for "));
		describe_process(&detail, &steps[(i + 1) % nsteps], false);
		appendStringInfoChar(&detail, '.');
	}
	initStringInfo(&log);
	appendStringInfoString(&log, detail.data);
	for (i = 0; i < nsteps; i++)
	{
		if (steps[i].pid != 0)
			appendStringInfo(&log, _("\nProcess %d: %s"), steps[i].pid,
							 pgstat_get_backend_current_activity(steps[i].pid, false));
	}
	pgstat_report_deadlock();
	CzCount(CZ_COUNT_DEADLOCK);
	ereport(ERROR,
			(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
			 errmsg("deadlock detected"),
			 errdetail_internal("%s", detail.data),
			 errdetail_log("%s", log.data),
			 errhint("See server log for query details.")));
}

/*
 * ask_workers
 *		Look for deadlocks, and choose victims.
 */
static void
ask_workers(uint32 waits)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz deadlocks",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DeadlockFinding finding;
	Looker	   *looker;
	ListCell   *lc;

	CzDeadlockFind(&finding);
	watches_others = finding.has_foreign;
	foreach(lc, finding.deadlocks)
		choose(lfirst(lc));

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	looker = find_looker();
	if (looker != NULL && finding.deadlocks == NIL)
	{
		looker->seen = waits;
		looker->asked_at = GetCurrentTimestamp();
		/* who cannot ask a worker leaves it to somebody who can, perhaps */
		if (!finding.is_complete && looker->slot == my_number)
			looker->slot = -1;
	}
	LWLockRelease(&table->lock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Can this session be a part of a deadlock?  Then it holds something. */
static bool
holds_anything(void)
{
	return cz_txn_entries != NIL || CzTxnIsSingle() || cz_runs_scripts ||
		TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/*
 * look_for_deadlocks
 *		A CzWaitLook.
 */
static long
look_for_deadlocks(const CzWaitSlot *slots, int nslots)
{
	WaitSlot   *slot = own_slot();
	bool		is_new = !is_waiting;
	uint32		waits;
	int			nothers;

	if (slot == NULL || !holds_anything())
		return LOOK_MS * 10;
	CzLinksAwait(slots, nslots);
	if (is_new)
		begin_wait(slot);
	check_chosen(slot);
	if (is_mine_to_look(is_new))
	{
		waits = current_waits(&nothers);
		if (is_due(is_new, waits, nothers))
			ask_workers(waits);
		check_chosen(slot);
	}
	return LOOK_MS;
}
