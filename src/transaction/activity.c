/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  Which databases have something for the background workers to do?
 *
 * An idle cluster is left idle: a database is looked at in every round only until a round
 * finds nothing to do, and then again when something has happened in it: a two-phase
 * commit, a worker in doubt, for the statistics any write.  Nothing is known after a start
 * of the server, so that every database is looked at then.  Should an event get lost, the
 * launcher's slow rounds over quiet databases find what it left.
 *
 * Each database has a slot with a count of events for each task.  A round remembers the
 * count at its begin; the task is quiet while the count is the same.  Databases beyond the
 * number of slots are never quiet.
 *
 * The slot also knows if a worker has told of a later coordinator.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "transaction_int.h"

#define ACTIVITY_SLOTS 1024

typedef struct ActivitySlot
{
	Oid			database_oid;	/* InvalidOid: free */
	pg_atomic_uint32 fenced_by; /* greatest epoch that a worker has refused us for */
	pg_atomic_uint64 events[CZ_NTASKS]; /* from 1 */
	pg_atomic_uint64 quiet_at[CZ_NTASKS];	/* quiet if that many events */
	pg_atomic_uint64 round_at[CZ_NTASKS];	/* events when the last round began */
} ActivitySlot;

typedef struct ActivityTable
{
	LWLock		lock;			/* guards database_oid */
	ActivitySlot slots[ACTIVITY_SLOTS];
} ActivityTable;

static ActivityTable *activity = NULL;
static ActivitySlot *my_slot = NULL;	/* of this backend's database */

Size
CzActivityShmemSize(void)
{
	return MAXALIGN(sizeof(ActivityTable));
}

void
CzActivityShmemInit(void)
{
	bool		found;
	int			i;
	int			task;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	activity = ShmemInitStruct("cz_fdw activity of databases", CzActivityShmemSize(), &found);
	if (!found)
	{
		LWLockInitialize(&activity->lock, LWLockNewTrancheId());
		for (i = 0; i < ACTIVITY_SLOTS; i++)
		{
			activity->slots[i].database_oid = InvalidOid;
			pg_atomic_init_u32(&activity->slots[i].fenced_by, 0);
			for (task = 0; task < CZ_NTASKS; task++)
			{
				pg_atomic_init_u64(&activity->slots[i].events[task], 1);
				pg_atomic_init_u64(&activity->slots[i].quiet_at[task], 0);
				pg_atomic_init_u64(&activity->slots[i].round_at[task], 0);
			}
		}
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(activity->lock.tranche, "cz_fdw activity of databases");
}

/* A database's slot; NULL if it has none and create is not set, or none is free. */
static ActivitySlot *
find_slot(Oid database_oid, bool create)
{
	ActivitySlot *found = NULL;
	int			i;

	if (activity == NULL)
		return NULL;
	LWLockAcquire(&activity->lock, LW_EXCLUSIVE);
	for (i = 0; i < ACTIVITY_SLOTS; i++)
	{
		ActivitySlot *slot = &activity->slots[i];

		if (slot->database_oid == database_oid)
		{
			found = slot;
			break;
		}
		if (create && found == NULL && !OidIsValid(slot->database_oid))
			found = slot;
	}
	if (found != NULL)
		found->database_oid = database_oid;
	LWLockRelease(&activity->lock);
	return found;
}

static ActivitySlot *
own_slot(void)
{
	if (my_slot == NULL)
		my_slot = find_slot(MyDatabaseId, true);
	return my_slot;
}

/*
 * CzActivityNote
 *		Something happened that a task may have to do with.  Callable in callbacks.
 */
void
CzActivityNote(CzTask task)
{
	ActivitySlot *slot = own_slot();

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->events[task], 1);
}

/*
 * CzActivityRoundBegin, CzActivityRoundEnd
 *		A task's round in this database; is_done: it left nothing to do.
 *
 * Two rounds without an event in between are needed where workers tell late what was
 * written.
 */
void
CzActivityRoundBegin(CzTask task, uint64 *seen)
{
	ActivitySlot *slot = own_slot();

	*seen = slot ? pg_atomic_read_u64(&slot->events[task]) : 0;
}

void
CzActivityRoundEnd(CzTask task, uint64 seen, bool is_done)
{
	ActivitySlot *slot = own_slot();
	uint64		before;

	if (slot == NULL)
		return;
	before = pg_atomic_read_u64(&slot->round_at[task]);
	pg_atomic_write_u64(&slot->round_at[task], seen);
	if (is_done && (task == CZ_TASK_RECOVER || before == seen))
		pg_atomic_write_u64(&slot->quiet_at[task], seen);
}

/*
 * CzActivityFencedBy, CzActivityNoteFenced
 *		The greatest epoch for which a worker has refused a session of this database.
 */
int
CzActivityFencedBy(void)
{
	ActivitySlot *slot = own_slot();

	return slot ? (int) pg_atomic_read_u32(&slot->fenced_by) : 0;
}

void
CzActivityNoteFenced(int epoch)
{
	ActivitySlot *slot = own_slot();
	uint32		known = slot ? pg_atomic_read_u32(&slot->fenced_by) : 0;

	while (slot != NULL && known < (uint32) epoch)
	{
		if (pg_atomic_compare_exchange_u32(&slot->fenced_by, &known, (uint32) epoch))
			break;
	}
}

/*
 * CzActivityIsQuiet
 *		Has nothing happened in a database since a round found nothing to do?
 */
bool
CzActivityIsQuiet(Oid database_oid, CzTask task)
{
	ActivitySlot *slot = find_slot(database_oid, false);

	return slot != NULL &&
		pg_atomic_read_u64(&slot->quiet_at[task]) == pg_atomic_read_u64(&slot->events[task]);
}

/*
 * CzActivityForget
 *		Free the slots of databases that are not in the list any more.
 */
void
CzActivityForget(List *database_oids)
{
	int			i;

	for (i = 0; activity != NULL && i < ACTIVITY_SLOTS; i++)
	{
		ActivitySlot *slot = &activity->slots[i];
		Oid			database_oid = slot->database_oid;
		int			task;

		if (!OidIsValid(database_oid) || list_member_oid(database_oids, database_oid))
			continue;
		for (task = 0; task < CZ_NTASKS; task++)
			pg_atomic_write_u64(&slot->quiet_at[task], 0);
		pg_atomic_write_u32(&slot->fenced_by, 0);
		LWLockAcquire(&activity->lock, LW_EXCLUSIVE);
		slot->database_oid = InvalidOid;
		LWLockRelease(&activity->lock);
	}
}
