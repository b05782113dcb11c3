/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  How fast workers take new connections, shared by all backends.
 *
 * Two questions are answered.  Is one more connection worth its time?  It is not
 * when the statement will be over before it is there.  And: is a worker that has not
 * answered yet dead or busy?  It is busy if it has answered somebody else meanwhile.
 *
 * All of it is a hint: entries are found by a hash, two workers may share one, and
 * values may be lost to a race.  That costs time, never an answer.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "remote_int.h"

/* Entries; a power of two. */
#define PACE_SLOTS 1024
/* A connect that took longer counts as this, milliseconds. */
#define MAX_CONNECT_MS 60000

typedef struct PaceSlot
{
	pg_atomic_uint64 answered_at;	/* TimestampTz: a new connection was answered */
	pg_atomic_uint32 connect_us;	/* weighted mean of connects' times; 0: none yet */
} PaceSlot;

static PaceSlot *pace = NULL;

Size
CzPaceShmemSize(void)
{
	return mul_size(PACE_SLOTS, sizeof(PaceSlot));
}

void
CzPaceShmemInit(void)
{
	bool		found;
	int			i;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	pace = ShmemInitStruct("cz_fdw pace of connects", CzPaceShmemSize(), &found);
	for (i = 0; !found && i < PACE_SLOTS; i++)
	{
		pg_atomic_init_u64(&pace[i].answered_at, 0);
		pg_atomic_init_u32(&pace[i].connect_us, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

static PaceSlot *
slot_of(Oid server_oid)
{
	return &pace[hash_combine(murmurhash32(MyDatabaseId), murmurhash32(server_oid)) %
				 PACE_SLOTS];
}

/*
 * CzPaceAnswered
 *		A worker has answered a new connection.
 */
void
CzPaceAnswered(Oid server_oid, TimestampTz when)
{
	if (pace != NULL)
		pg_atomic_write_u64(&slot_of(server_oid)->answered_at, (uint64) when);
}

/*
 * CzPaceAnsweredSince
 *		Has it answered anybody's new connection after that time?
 */
bool
CzPaceAnsweredSince(Oid server_oid, TimestampTz when)
{
	return pace != NULL &&
		(TimestampTz) pg_atomic_read_u64(&slot_of(server_oid)->answered_at) > when;
}

/*
 * CzPaceConnected
 *		A connect took so long, microseconds.
 */
void
CzPaceConnected(Oid server_oid, int64 us)
{
	PaceSlot   *slot;
	uint32		old;

	if (pace == NULL)
		return;
	us = Min(Max(us, 1), MAX_CONNECT_MS * INT64CONST(1000));
	slot = slot_of(server_oid);
	old = pg_atomic_read_u32(&slot->connect_us);
	pg_atomic_write_u32(&slot->connect_us,
						old == 0 ? (uint32) us : (uint32) ((old * INT64CONST(3) + us) / 4));
}

/*
 * CzConnConnectMs
 *		See remote.h.
 */
double
CzConnConnectMs(Oid server_oid)
{
	return pace == NULL ? 0 : pg_atomic_read_u32(&slot_of(server_oid)->connect_us) / 1000.0;
}
