/*-------------------------------------------------------------------------
 *
 * health.c
 *	  Which workers failed lately, shared by all backends; and the probe that
 *	  tells a busy worker from a dead one.
 *
 * A worker that failed is avoided where there is another placement, so that the
 * next statement does not wait for a timeout again.  Now and then a statement
 * that would use it looks, for a moment only, whether it is back: soon again
 * where a look costs nothing (refused at once), rarely where it does (no
 * answer).  All this is a hint: a full table or a lost entry costs time, never an
 * answer.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "remote_int.h"

/* How long a failed worker is avoided if no look finds it back, milliseconds. */
#define SUSPECT_MS 600000
/* Time between two looks, milliseconds: at first, and at most. */
#define RECHECK_MIN_MS 200
#define RECHECK_MAX_MS 10000
/* What a look may cost the statement, milliseconds. */
#define RECHECK_WAIT_MS 100
/* A look that failed faster than this was free, milliseconds. */
#define RECHECK_FREE_MS 10
/* Workers that can be suspect at a time, in all databases. */
#define HEALTH_SLOTS 128

typedef struct HealthSlot
{
	Oid			database_oid;
	Oid			server_oid;
	TimestampTz suspect_until;	/* 0: free */
	TimestampTz recheck_at;		/* when somebody may look whether it is back */
	int			recheck_ms;		/* time between looks */
} HealthSlot;

typedef struct HealthTable
{
	LWLock		lock;
	pg_atomic_uint32 nused;		/* slots with suspect_until != 0; read without the
								 * lock, so that nobody waits while all is well */
	HealthSlot	slots[HEALTH_SLOTS];
} HealthTable;

static HealthTable *health = NULL;

Size
CzHealthShmemSize(void)
{
	return MAXALIGN(sizeof(HealthTable));
}

void
CzHealthShmemInit(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	health = ShmemInitStruct("cz_fdw worker health", sizeof(HealthTable), &found);
	if (!found)
	{
		memset(health, 0, sizeof(HealthTable));
		pg_atomic_init_u32(&health->nused, 0);
		LWLockInitialize(&health->lock, LWLockNewTrancheId());
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(health->lock.tranche, "cz_fdw worker health");
}

/* Slot of a worker, or a free or the oldest one if create; lock held. */
static HealthSlot *
find_slot(Oid server_oid, bool create)
{
	HealthSlot *best = NULL;
	int			i;

	for (i = 0; i < HEALTH_SLOTS; i++)
	{
		HealthSlot *slot = &health->slots[i];

		if (slot->suspect_until != 0 && slot->database_oid == MyDatabaseId &&
			slot->server_oid == server_oid)
			return slot;
		if (best == NULL || slot->suspect_until < best->suspect_until)
			best = slot;
	}
	return create ? best : NULL;
}

void
CzHealthMarkFailed(Oid server_oid)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = TimestampTzPlusMilliseconds(now, SUSPECT_MS);
	HealthSlot *slot;

	if (health == NULL)
		return;
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = find_slot(server_oid, true);
	if (slot->suspect_until == 0)
		pg_atomic_fetch_add_u32(&health->nused, 1);
	slot->database_oid = MyDatabaseId;
	slot->server_oid = server_oid;
	slot->suspect_until = until;
	slot->recheck_ms = RECHECK_MIN_MS;
	slot->recheck_at = TimestampTzPlusMilliseconds(now, RECHECK_MIN_MS);
	LWLockRelease(&health->lock);
}

void
CzHealthMarkGood(Oid server_oid)
{
	HealthSlot *slot;

	if (health == NULL || pg_atomic_read_u32(&health->nused) == 0)
		return;
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = find_slot(server_oid, false);
	if (slot != NULL)
	{
		slot->suspect_until = 0;
		pg_atomic_fetch_sub_u32(&health->nused, 1);
	}
	LWLockRelease(&health->lock);
}

bool
CzHealthIsSuspect(Oid server_oid)
{
	HealthSlot *slot;
	TimestampTz until = 0;

	if (health == NULL || pg_atomic_read_u32(&health->nused) == 0)
		return false;
	LWLockAcquire(&health->lock, LW_SHARED);
	slot = find_slot(server_oid, false);
	if (slot != NULL)
		until = slot->suspect_until;
	LWLockRelease(&health->lock);
	return until != 0 && until > GetCurrentTimestamp();
}

/*
 * CzHealthRecheck
 *		See remote.h.
 */
bool
CzHealthRecheck(const CzEndpoint *endpoint)
{
	TimestampTz now = GetCurrentTimestamp();
	HealthSlot *slot;
	CzConn	   *conn;
	int			events;
	bool		is_due = false;

	if (health == NULL || pg_atomic_read_u32(&health->nused) == 0)
		return true;

	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = find_slot(endpoint->server_oid, false);
	if (slot != NULL && slot->recheck_at <= now)
	{
		/* one backend looks, the others need not */
		is_due = true;
		slot->recheck_at = TimestampTzPlusMilliseconds(now, slot->recheck_ms);
	}
	LWLockRelease(&health->lock);
	if (!is_due)
		return slot == NULL;

	conn = CzConnStartOrResume(endpoint);
	while ((events = CzConnPollConnect(conn, endpoint)) > 0 &&
		   GetCurrentTimestamp() < TimestampTzPlusMilliseconds(now, RECHECK_WAIT_MS))
	{
		CzWaitConnect(conn, events, RECHECK_WAIT_MS / 10);
	}
	if (events == 0)
	{
		/* polling has marked it good */
		CzConnRelease(conn);
		return true;
	}
	/* a slow answer is taken up at the next look; silence is given up, with its timers */
	if (events > 0 && CzConnPeerAnswered(conn))
		CzConnRelease(conn);
	else
		CzConnDiscard(conn);

	now = GetCurrentTimestamp();
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = find_slot(endpoint->server_oid, false);
	if (slot != NULL)
	{
		bool		was_free = now < TimestampTzPlusMilliseconds(slot->recheck_at,
															 RECHECK_FREE_MS -
															 slot->recheck_ms);

		slot->recheck_ms = was_free ? RECHECK_MIN_MS :
			Min(slot->recheck_ms * 2, RECHECK_MAX_MS);
		slot->recheck_at = TimestampTzPlusMilliseconds(now, slot->recheck_ms);
	}
	LWLockRelease(&health->lock);
	return false;
}

/*
 * CzConnProbe
 *		See remote.h.
 *
 * Any answer to the startup packet counts, a refusal too: a dead worker refuses
 * nothing.
 */
bool
CzConnProbe(const CzEndpoint *endpoint, int timeout_ms)
{
	CzConn	   *conn = CzConnStart(endpoint);
	bool		is_alive;
	int			events;

	CzConnSetConnectDeadline(conn, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															   timeout_ms));
	while ((events = CzConnPollConnect(conn, endpoint)) > 0 && !CzConnPeerAnswered(conn))
	{
		long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
															  CzConnConnectDeadline(conn));

		CzWaitConnect(conn, events, left_ms + 1);
	}
	is_alive = CzConnPeerAnswered(conn);
	CzConnDiscard(conn);
	return is_alive;
}
