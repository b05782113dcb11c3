/*-------------------------------------------------------------------------
 *
 * room.c
 *	  No snapshot over several workers sees part of a commit.
 *
 * Two kinds of visitors share a room and are never in it together.  *Committers* are
 * transactions that commit on several workers: in the room from before the decision
 * until the last worker has confirmed it, or is marked as in doubt.  *Takers* are
 * statements (or transactions) that read from several workers: while they are in the
 * room each worker takes its snapshot.  So the snapshots have a transaction on all
 * workers or on none.
 *
 * The room is a lock of core's lock manager: RowExclusiveLock for committers, ShareLock
 * for takers.  Each mode is compatible with itself and conflicts with the other, who
 * comes first is served first, waiting can be cancelled, and whoever ends, in whatever
 * way, has left.
 *
 * Most of the time nobody commits on several workers, and takers need not enter: two
 * counters, of committers that have entered and that have left, tell afterwards whether
 * one was there meanwhile (CzRoomLook, CzRoomIsUnchanged).
 *
 * A transaction that writes the placements of one shard only needs no room, for one
 * worker shows all of it or nothing.  But between the commits of two placements who reads
 * one and then the other would go back in time.  So it notes that it is *between*
 * placements, and who turns from a placement to another waits for those
 * (CzAwaitPlacements): where the first one, to which reads go, has failed, and where
 * another one has become the first (CzPlacementsLook).  What it writes is told, too, as a
 * set of the remainders of its shards: who reads others does not wait.  Those in the room are
 * between placements as well.
 *
 * A commit that makes placements active or inactive changes the *epoch* twice: before it
 * takes effect, and when all can know of it.  Who finds the room empty, and in it the
 * epoch as of which he has looked up placements, has looked up the right ones.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/inval.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* Fourth field of the room's lock tag: core's functions use 1 and 2, shard_lock.c 25466 */
#define CZ_LOCKTAG_ROOM 25467

/* Transactions remembered that have written here and on workers */
#define CZ_MAX_MIXED 256

/* Milliseconds without committers, after which none is expected */
#define CZ_QUIET_MS 100

/* Milliseconds between two looks of who waits for placements */
#define CZ_BETWEEN_MS 2

/* Microseconds between two looks of who waits for the end of a commit that has ended */
#define CZ_TAIL_US 100

/* A backend that may be between the commits of two placements. */
typedef struct BetweenSlot
{
	pg_atomic_uint64 counter;	/* odd: it is */
	pg_atomic_uint64 shards[CZ_SHARD_SET_WORDS];	/* CzShardSet; valid with that */
} BetweenSlot;

typedef struct RoomTable
{
	pg_atomic_uint64 entered;	/* committers so far */
	pg_atomic_uint64 left;		/* read before entered: equal means that none is in */
	pg_atomic_uint64 entered_at;	/* TimestampTz of the last one */
	pg_atomic_uint64 epoch;		/* changes of which placements are active; two a commit */

	LWLock		lock;			/* guards the ring */
	uint64		nmixed;			/* of all time; the last ones are in the ring */
	uint64		mixed[CZ_MAX_MIXED];	/* full xids: local parts of commits on workers */

	BetweenSlot between[FLEXIBLE_ARRAY_MEMBER]; /* [MaxBackends] by backend */
} RoomTable;

static RoomTable *room = NULL;

static bool is_inside = false;
static bool leaves_late = false;	/* when others can know what has changed here */
static bool is_between = false;
static bool between_in_room = false;	/* because of the room only */
static bool has_callbacks = false;

Size
CzRoomShmemSize(void)
{
	return MAXALIGN(offsetof(RoomTable, between) +
					sizeof(BetweenSlot) * MaxBackends);
}

void
CzRoomShmemInit(void)
{
	bool		found;
	int			i;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	room = ShmemInitStruct("cz_fdw commit room", CzRoomShmemSize(), &found);
	if (!found)
	{
		pg_atomic_init_u64(&room->entered, 0);
		pg_atomic_init_u64(&room->left, 0);
		pg_atomic_init_u64(&room->entered_at, 0);
		pg_atomic_init_u64(&room->epoch, 0);
		LWLockInitialize(&room->lock, LWLockNewTrancheId());
		room->nmixed = 0;
		for (i = 0; i < MaxBackends; i++)
		{
			int			j;

			pg_atomic_init_u64(&room->between[i].counter, 0);
			for (j = 0; j < CZ_SHARD_SET_WORDS; j++)
				pg_atomic_init_u64(&room->between[i].shards[j], 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(room->lock.tranche, "cz_fdw commit room");
}

static void
set_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0, 0, CZ_LOCKTAG_ROOM);
}

/*
 * Take the room's lock.  The user's lock_timeout is for what users lock; who is in the
 * room stays for a bounded time.
 */
static void
lock_room(LOCKMODE mode)
{
	int			saved_timeout = LockTimeout;
	LOCKTAG		tag;

	set_tag(&tag);
	PG_TRY();
	{
		LockTimeout = 0;
		(void) LockAcquire(&tag, mode, false, false);
	}
	PG_FINALLY();
	{
		LockTimeout = saved_timeout;
	}
	PG_END_TRY();
}

static void
unlock_room(LOCKMODE mode)
{
	LOCKTAG		tag;

	set_tag(&tag);
	LockRelease(&tag, mode, false);
}

/* Do that as the transaction, whatever its callbacks run in. */
static void
as_transaction(void (*function) (LOCKMODE mode), LOCKMODE mode)
{
	ResourceOwner saved = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	PG_TRY();
	{
		function(mode);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = saved;
	}
	PG_END_TRY();
}

/* A backend that ends with an error too deep for callbacks of transactions. */
static void
leave_at_exit(int code, Datum arg)
{
	if (is_inside && leaves_late)
		pg_atomic_fetch_add_u64(&room->epoch, 1);
	if (is_inside)
		pg_atomic_fetch_add_u64(&room->left, 1);
	is_inside = leaves_late = false;
	CzPlacementsLeave();
}

/*
 * Who has changed which placements are active leaves when core has sent the
 * invalidations, and has let the locks go, this room's, too.
 */
static void
leave_late(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level)
		return;
	cz_inactive_changed = false;
	if (is_inside && leaves_late)
	{
		is_inside = leaves_late = false;
		pg_atomic_fetch_add_u64(&room->epoch, 1);
		pg_atomic_fetch_add_u64(&room->left, 1);
	}
	CzPlacementsLeave();
}

static void
ensure_callbacks(void)
{
	if (has_callbacks)
		return;
	before_shmem_exit(leave_at_exit, (Datum) 0);
	RegisterResourceReleaseCallback(leave_late, NULL);
	has_callbacks = true;
}

static void
enter_between(void)
{
	BetweenSlot *slot = &room->between[MyProcNumber_compat];
	CzShardSet	shards;
	int			i;

	if (is_between)
		return;
	CzTxnWrittenShardSet(&shards);
	for (i = 0; i < CZ_SHARD_SET_WORDS; i++)
		pg_atomic_write_u64(&slot->shards[i], shards.words[i]);
	is_between = true;
	pg_atomic_fetch_add_u64(&slot->counter, 1);
}

/*
 * CzCommitRoomEnter
 *		See transaction.h.
 */
void
CzCommitRoomEnter(bool writes_here)
{
	if (room == NULL || (is_inside && (leaves_late || !cz_inactive_changed)))
		return;
	ensure_callbacks();
	if (!is_inside)
	{
		as_transaction(lock_room, RowExclusiveLock);
		pg_atomic_fetch_add_u64(&room->entered, 1);
		pg_atomic_write_u64(&room->entered_at, (uint64) GetCurrentTimestamp());
		is_inside = true;
		between_in_room = !is_between;
		enter_between();
	}
	leaves_late = cz_inactive_changed;
	if (leaves_late)
		pg_atomic_fetch_add_u64(&room->epoch, 1);
	if (writes_here || leaves_late)
	{
		LWLockAcquire(&room->lock, LW_EXCLUSIVE);
		room->mixed[room->nmixed++ % CZ_MAX_MIXED] =
			U64FromFullTransactionId(GetTopFullTransactionId());
		LWLockRelease(&room->lock);
	}
}

/*
 * CzCommitRoomLeave
 *		See transaction.h.
 */
void
CzCommitRoomLeave(void)
{
	(void) CzAnchorGive();
	if (!is_inside || leaves_late)
		return;
	is_inside = false;
	pg_atomic_fetch_add_u64(&room->left, 1);
	if (between_in_room)
		CzPlacementsLeave();
	as_transaction(unlock_room, RowExclusiveLock);
}

/*
 * CzRoomEpoch
 *		See transaction.h.
 */
uint64
CzRoomEpoch(void)
{
	return room != NULL ? pg_atomic_read_u64(&room->epoch) : 0;
}

/*
 * CzRoomPlacementsChanged
 *		Placements have become inactive by what is in shared memory; all can know of it.
 */
void
CzRoomPlacementsChanged(void)
{
	if (room != NULL)
		pg_atomic_fetch_add_u64(&room->epoch, 1);
}

/*
 * CzRoomLook
 *		Is the room empty of committers?  *look is for CzRoomIsUnchanged.
 */
bool
CzRoomLook(CzRoomLookState *look)
{
	uint64		left;

	look->generation = CzTxnDoubtGeneration();
	look->epoch = 0;
	if (room == NULL)
	{
		look->entered = 0;
		return true;
	}
	left = pg_atomic_read_u64(&room->left);
	pg_memory_barrier();
	look->entered = pg_atomic_read_u64(&room->entered);
	pg_memory_barrier();
	look->epoch = pg_atomic_read_u64(&room->epoch);
	return look->entered == left;
}

/*
 * CzRoomIsQuiet
 *		CzRoomLook; true if nobody has entered lately either, so that who does not enter
 *		and looks again in the end will presumably find it unchanged.
 */
bool
CzRoomIsQuiet(CzRoomLookState *look)
{
	return CzRoomLook(look) &&
		(room == NULL || (int64) pg_atomic_read_u64(&room->entered_at) <
		 GetCurrentTimestamp() - CZ_QUIET_MS * INT64CONST(1000));
}

/*
 * CzRoomIsUnchanged
 *		Has no committer entered, and no worker got in doubt, since a look that found
 *		the room empty?
 */
bool
CzRoomIsUnchanged(const CzRoomLookState *look)
{
	if (CzTxnDoubtGeneration() != look->generation)
		return false;
	if (room == NULL)
		return true;
	pg_memory_barrier();
	return pg_atomic_read_u64(&room->entered) == look->entered;
}

/*
 * CzRoomTake, CzRoomGive
 *		Enter as a taker, when the committers have left; and leave.  An error leaves,
 *		too, with its subtransaction.
 */
void
CzRoomTake(void)
{
	CzRoomLookState look;

	lock_room(ShareLock);

	/* who leaves late has let go of the lock a moment before */
	while (!CzRoomLook(&look))
	{
		pg_usleep(CZ_TAIL_US);
		CHECK_FOR_INTERRUPTS();
	}
}

void
CzRoomGive(void)
{
	unlock_room(ShareLock);
}

/*
 * CzRoomAwait
 *		Wait until committers that are in the room now have left: for a read from one
 *		worker of what is on all of them and here.
 */
void
CzRoomAwait(void)
{
	CzRoomLookState look;

	if (is_inside || CzRoomLook(&look))
		return;
	CzRoomTake();
	CzRoomGive();
}

/*
 * CzRoomSnapshotLacks
 *		Has a transaction been in the room that wrote here, too, and that this local
 *		snapshot is too old to show?  Workers' snapshots taken now have it.
 *
 * The ring has more places than committers are in the room at once.
 */
bool
CzRoomSnapshotLacks(Snapshot snapshot)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	bool		lacks = false;
	uint64		n;
	uint64		i;

	if (room == NULL || room->nmixed == 0)
		return false;
	LWLockAcquire(&room->lock, LW_SHARED);
	n = Min(room->nmixed, CZ_MAX_MIXED);
	for (i = 0; i < n && !lacks; i++)
	{
		uint64		fxid = room->mixed[(room->nmixed - 1 - i) % CZ_MAX_MIXED];

		/* those of very long ago have a number that means another one now */
		lacks = next - fxid < PG_INT32_MAX &&
			!TransactionIdIsCurrentTransactionId((TransactionId) fxid) &&
			XidInMVCCSnapshot((TransactionId) fxid, snapshot);
	}
	LWLockRelease(&room->lock);
	return lacks;
}

/*
 * CzPlacementsEnter, CzPlacementsLeave
 *		See transaction.h.
 */
void
CzPlacementsEnter(void)
{
	if (room == NULL)
		return;
	ensure_callbacks();
	between_in_room = false;
	enter_between();
}

void
CzPlacementsLeave(void)
{
	if (!is_between)
		return;
	is_between = between_in_room = false;
	pg_atomic_fetch_add_u64(&room->between[MyProcNumber_compat].counter, 1);
}

/*
 * CzShardSetAdd
 *		See transaction.h.
 */
void
CzShardSetAdd(CzShardSet *set, int64 shard_id)
{
	uint32		bit = (uint32) (shard_id % (CZ_SHARD_SET_WORDS * 64));

	set->words[bit / 64] |= UINT64CONST(1) << (bit % 64);
}

/* Is a backend between placements of any of these shards?  *seen is for has_ended(). */
static bool
is_between_of(int backend, const CzShardSet *shards, uint64 *seen)
{
	BetweenSlot *slot = &room->between[backend];
	int			i;

	*seen = pg_atomic_read_u64(&slot->counter);
	if (*seen % 2 == 0 || backend == MyProcNumber_compat)
		return false;
	pg_read_barrier();
	for (i = 0; i < CZ_SHARD_SET_WORDS; i++)
	{
		if ((pg_atomic_read_u64(&slot->shards[i]) & shards->words[i]) != 0)
			return true;
	}
	return false;
}

/*
 * CzAwaitPlacements
 *		See transaction.h.
 */
void
CzAwaitPlacements(const CzShardSet *shards)
{
	TimestampTz deadline;
	int			i;

	/* a worker that does not answer, a look whether it lives, and the others' commits */
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										   2 * (int64) cz_worker_timeout_ms +
										   2 * (int64) cz_connect_timeout_ms);
	for (i = 0; room != NULL && i < MaxBackends; i++)
	{
		uint64		seen;

		if (!is_between_of(i, shards, &seen))
			continue;
		while (pg_atomic_read_u64(&room->between[i].counter) == seen)
		{
			if (GetCurrentTimestamp() >= deadline)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("a transaction has not finished its commit on all placements"),
						 errdetail("Another placement than the first one would not show what the first one may have shown.")));
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 CZ_BETWEEN_MS, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
}

/* The epoch that this session has seen, and the shards that it has not awaited since. */
static uint64 seen_epoch = 0;
static CzShardSet not_awaited;

/* The session has come to know of an epoch. */
static void
see_epoch(uint64 epoch)
{
	if (epoch != seen_epoch)
		memset(&not_awaited, 0xff, sizeof(not_awaited));
	seen_epoch = epoch;
}

static bool
is_any_between(void)
{
	static const CzShardSet all = {{PG_UINT64_MAX, PG_UINT64_MAX, PG_UINT64_MAX, PG_UINT64_MAX}};
	uint64		seen;
	int			i;

	for (i = 0; room != NULL && i < MaxBackends; i++)
	{
		if (is_between_of(i, &all, &seen))
			return true;
	}
	return false;
}

/*
 * CzPlacementsMayDiffer
 *		See transaction.h.
 */
bool
CzPlacementsMayDiffer(uint64 *epoch)
{
	static const CzShardSet none;

	see_epoch(CzRoomEpoch());
	*epoch = seen_epoch;
	if (memcmp(&not_awaited, &none, sizeof(none)) == 0)
		return false;
	if (is_any_between())
		return true;
	AcceptInvalidationMessages();
	memset(&not_awaited, 0, sizeof(not_awaited));
	return false;
}

/*
 * CzPlacementsLook
 *		See transaction.h.
 */
uint64
CzPlacementsLook(const CzShardSet *shards)
{
	uint64		epoch;

	do
	{
		bool		must_wait = false;
		int			i;

		see_epoch(CzRoomEpoch());
		epoch = seen_epoch;
		for (i = 0; i < CZ_SHARD_SET_WORDS && cz_read_placement == CZ_READ_FIRST; i++)
			must_wait |= (not_awaited.words[i] & shards->words[i]) != 0;
		if (must_wait)
			CzAwaitPlacements(shards);
		for (i = 0; i < CZ_SHARD_SET_WORDS && must_wait; i++)
			not_awaited.words[i] &= ~shards->words[i];
		AcceptInvalidationMessages();
	} while (CzRoomEpoch() != epoch);
	return epoch;
}
