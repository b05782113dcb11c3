/*-------------------------------------------------------------------------
 *
 * health.c
 *	  Whether workers answer, shared by all backends: what statements have found, and what
 *	  looks have; and the probe that tells a busy worker from a dead one.
 *
 * A worker that failed is avoided where there is another placement, so that the
 * next statement does not wait for a timeout again.  Now and then a statement
 * that would use it looks, for a moment only, whether it is back: soon again
 * where a look costs nothing (refused at once), rarely where it does (no
 * answer).  All this is a hint: a full table or a lost entry costs time, never an
 * answer.
 *
 * A background worker looks at all of them, too, every cz.health_interval
 * (cluster/node_health.c); view cz_nodes shows what is here.
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
/* The same for one that would leave placements out otherwise: in silence, and after an answer. */
#define LOOK_NOW_WAIT_MS 250
#define LOOK_NOW_ANSWERED_MS 1000
/* Time between two looks at the connection that is made, milliseconds. */
#define LOOK_TURN_MS 10
/* A look that failed faster than this was free, milliseconds. */
#define RECHECK_FREE_MS 10
/* Workers of all databases; those beyond are not known */
#define HEALTH_SLOTS 1024
/* How long a worker may take to say whose it is, milliseconds */
#define FENCED_PROBE_MS 500
/* Looks that must fail until a worker is down */
#define DOWN_AFTER 3

typedef struct HealthSlot
{
	Oid			database_oid;	/* InvalidOid: free */
	Oid			server_oid;
	CzHealth	health;
	CzHealthState told;			/* what CzHealthLook has said last */
	bool		told_standby;	/* and whether for that reason */
	TimestampTz suspect_until;	/* it is avoided; 0: it is not */
	TimestampTz recheck_at;		/* when somebody may look whether it is back */
	int			recheck_ms;		/* time between looks */
} HealthSlot;

typedef struct HealthTable
{
	LWLock		lock;
	pg_atomic_uint32 nsuspect;	/* slots with suspect_until != 0; read without the
								 * lock, so that nobody waits while all is well */
	int			nslots;			/* those behind have never been used */
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
		pg_atomic_init_u32(&health->nsuspect, 0);
		LWLockInitialize(&health->lock, LWLockNewTrancheId());
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(health->lock.tranche, "cz_fdw worker health");
}

/* Slot of a worker; lock held.  NULL: there is none. */
static HealthSlot *
find_slot(Oid server_oid)
{
	int			i;

	for (i = 0; i < health->nslots; i++)
	{
		HealthSlot *slot = &health->slots[i];

		if (slot->server_oid == server_oid && slot->database_oid == MyDatabaseId)
			return slot;
	}
	return NULL;
}

/* The same, a new one if there is none; exclusive lock held.  NULL: all are taken. */
static HealthSlot *
make_slot(Oid server_oid)
{
	HealthSlot *slot = find_slot(server_oid);
	int			i;

	if (slot != NULL)
		return slot;
	for (i = 0; i < health->nslots && OidIsValid(health->slots[i].database_oid); i++)
		;
	if (i == HEALTH_SLOTS)
		return NULL;
	health->nslots = Max(health->nslots, i + 1);
	slot = &health->slots[i];
	memset(slot, 0, sizeof(HealthSlot));
	slot->database_oid = MyDatabaseId;
	slot->server_oid = server_oid;
	slot->health.since = GetCurrentTimestamp();
	return slot;
}

static void
set_state(HealthSlot *slot, CzHealthState state)
{
	if (slot->health.state != state)
		slot->health.since = GetCurrentTimestamp();
	slot->health.state = state;
}

/* Nobody avoids it, or anybody does. */
static void
set_suspect(HealthSlot *slot, bool is_suspect)
{
	TimestampTz now = GetCurrentTimestamp();

	if (is_suspect != (slot->suspect_until != 0))
		pg_atomic_fetch_add_u32(&health->nsuspect, is_suspect ? 1 : -1);
	slot->suspect_until = is_suspect ? TimestampTzPlusMilliseconds(now, SUSPECT_MS) : 0;
	slot->recheck_ms = RECHECK_MIN_MS;
	slot->recheck_at = TimestampTzPlusMilliseconds(now, RECHECK_MIN_MS);
}

static void
set_good(HealthSlot *slot)
{
	set_state(slot, CZ_HEALTH_UP);
	set_suspect(slot, false);
	slot->health.last_contact = GetCurrentTimestamp();
	slot->health.failures = 0;
	slot->health.reason[0] = '\0';
}

/* reason: NULL: none that tells more than what is known */
static void
mark_failed(Oid server_oid, const char *reason)
{
	HealthSlot *slot;

	if (health == NULL)
		return;
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = make_slot(server_oid);
	if (slot != NULL)
	{
		if (slot->health.state != CZ_HEALTH_DOWN)
			set_state(slot, CZ_HEALTH_SUSPECT);
		if (reason == NULL && slot->health.reason[0] == '\0')
			reason = "It did not answer a statement.";
		if (reason != NULL)
			strlcpy(slot->health.reason, reason, CZ_HEALTH_REASON_LEN);
		set_suspect(slot, true);
	}
	LWLockRelease(&health->lock);
}

void
CzHealthMarkFailed(Oid server_oid)
{
	mark_failed(server_oid, NULL);
}

void
CzHealthMarkStandby(Oid server_oid)
{
	mark_failed(server_oid, CZ_HEALTH_STANDBY);
}

void
CzHealthMarkGood(Oid server_oid)
{
	if (health != NULL && pg_atomic_read_u32(&health->nsuspect) > 0)
		CzHealthMarkContact(server_oid);
}

void
CzHealthMarkContact(Oid server_oid)
{
	HealthSlot *slot;

	if (health == NULL)
		return;
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = make_slot(server_oid);
	if (slot != NULL)
		set_good(slot);
	LWLockRelease(&health->lock);
}

bool
CzHealthIsSuspect(Oid server_oid)
{
	HealthSlot *slot;
	TimestampTz until = 0;

	if (health == NULL || pg_atomic_read_u32(&health->nsuspect) == 0)
		return false;
	LWLockAcquire(&health->lock, LW_SHARED);
	slot = find_slot(server_oid);
	if (slot != NULL)
		until = slot->suspect_until;
	LWLockRelease(&health->lock);
	return until != 0 && until > GetCurrentTimestamp();
}

/*
 * CzHealthGet
 *		See remote.h.
 */
CzHealth
CzHealthGet(Oid server_oid)
{
	CzHealth	result = {0};
	HealthSlot *slot;

	if (health == NULL)
		return result;
	LWLockAcquire(&health->lock, LW_SHARED);
	slot = find_slot(server_oid);
	if (slot != NULL)
		result = slot->health;
	LWLockRelease(&health->lock);
	return result;
}

/*
 * CzHealthLook
 *		See remote.h.
 */
bool
CzHealthLook(Oid server_oid, CzHealthState state, const char *reason, CzHealth *now,
			 CzHealthState *told)
{
	HealthSlot *slot = NULL;
	bool		is_news = false;
	bool		is_standby;

	if (health == NULL)
		return false;
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = make_slot(server_oid);
	if (slot != NULL)
	{
		if (state == CZ_HEALTH_UP)
			set_good(slot);
		else
		{
			slot->health.failures = state == CZ_HEALTH_SUSPECT ? slot->health.failures + 1 : 0;
			strlcpy(slot->health.reason, reason ? reason : "", CZ_HEALTH_REASON_LEN);
			if (slot->health.failures >= DOWN_AFTER)
				state = CZ_HEALTH_DOWN;
			set_state(slot, state);
			/* reads avoid it, so that none of them has to find out */
			if (state == CZ_HEALTH_DOWN)
				set_suspect(slot, true);
		}
		/* one that was restarted as a standby was down for another reason before */
		is_standby = strcmp(slot->health.reason, CZ_HEALTH_STANDBY) == 0;
		is_news = slot->told != slot->health.state || (is_standby && !slot->told_standby);
		*told = slot->told;
		slot->told = slot->health.state;
		slot->told_standby = is_standby;
		*now = slot->health;
	}
	LWLockRelease(&health->lock);
	return is_news;
}

/*
 * CzHealthForget
 *		See remote.h.
 */
void
CzHealthForget(List *server_oids)
{
	int			i;

	if (health == NULL)
		return;
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	for (i = 0; i < health->nslots; i++)
	{
		HealthSlot *slot = &health->slots[i];

		if (slot->database_oid != MyDatabaseId ||
			list_member_oid(server_oids, slot->server_oid))
			continue;
		set_suspect(slot, false);
		slot->database_oid = InvalidOid;
	}
	LWLockRelease(&health->lock);
}

/*
 * CzHealthRecheckNow
 *		See remote.h.
 */
void
CzHealthRecheckNow(void)
{
	int			i;

	if (health == NULL || pg_atomic_read_u32(&health->nsuspect) == 0)
		return;
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	for (i = 0; i < health->nslots; i++)
	{
		HealthSlot *slot = &health->slots[i];

		if (slot->database_oid == MyDatabaseId && slot->suspect_until != 0)
			slot->recheck_at = 0;
	}
	LWLockRelease(&health->lock);
}

/*
 * Look whether a suspect worker is back: the connection is kept.
 *
 * wait_ms: how long, where nothing has been heard of it; answered_ms: where it has answered.
 */
static bool
look(const CzEndpoint *endpoint, int wait_ms, int answered_ms)
{
	TimestampTz started = GetCurrentTimestamp();
	TimestampTz now = started;
	HealthSlot *slot;
	CzConn	   *conn = CzConnStartOrResume(endpoint);
	int			events;

	while ((events = CzConnPollConnect(conn, endpoint)) > 0)
	{
		now = GetCurrentTimestamp();
		if (now >= TimestampTzPlusMilliseconds(started, CzConnPeerAnswered(conn) ?
											   answered_ms : wait_ms))
			break;
		CzWaitConnect(conn, events, LOOK_TURN_MS);
	}
	if (events == 0)
	{
		/* polling has marked it good */
		CzConnRelease(conn);
		return true;
	}
	if (events < 0)
		CzConnCheckFenced(conn);
	/* a slow answer is taken up at the next look; silence is given up, with its timers */
	if (events > 0 && CzConnPeerAnswered(conn))
		CzConnRelease(conn);
	else
		CzConnDiscard(conn);

	now = GetCurrentTimestamp();
	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = find_slot(endpoint->server_oid);
	if (slot != NULL)
	{
		bool		was_free = now < TimestampTzPlusMilliseconds(started, RECHECK_FREE_MS);

		slot->recheck_ms = was_free ? RECHECK_MIN_MS :
			Min(slot->recheck_ms * 2, RECHECK_MAX_MS);
		slot->recheck_at = TimestampTzPlusMilliseconds(now, slot->recheck_ms);
	}
	LWLockRelease(&health->lock);
	return false;
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
	bool		is_due = false;

	if (health == NULL || pg_atomic_read_u32(&health->nsuspect) == 0)
		return true;

	LWLockAcquire(&health->lock, LW_EXCLUSIVE);
	slot = find_slot(endpoint->server_oid);
	if (slot != NULL && slot->suspect_until == 0)
		slot = NULL;
	if (slot != NULL && slot->recheck_at <= now)
	{
		/* one backend looks, the others need not */
		is_due = true;
		slot->recheck_at = TimestampTzPlusMilliseconds(now, slot->recheck_ms);
	}
	LWLockRelease(&health->lock);
	if (!is_due)
		return slot == NULL;
	return look(endpoint, RECHECK_WAIT_MS, RECHECK_WAIT_MS);
}

/*
 * CzHealthLookNow
 *		See remote.h.
 */
bool
CzHealthLookNow(const CzEndpoint *endpoint)
{
	return !CzHealthIsSuspect(endpoint->server_oid) ||
		look(endpoint, LOOK_NOW_WAIT_MS, LOOK_NOW_ANSWERED_MS);
}

/* A new connection to a worker, to be discarded: it waits until the worker has answered
 * anything, or until the session is made; or timeout_ms. */
static CzConn *
probe(const CzEndpoint *endpoint, int timeout_ms, bool is_whole)
{
	CzConn	   *conn = CzConnStart(endpoint);
	int			events;

	CzConnSetConnectDeadline(conn, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															   timeout_ms));
	while ((events = CzConnPollConnect(conn, endpoint)) > 0 &&
		   (is_whole || !CzConnPeerAnswered(conn)))
		CzWaitConnect(conn, events,
					  TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  CzConnConnectDeadline(conn)) + 1);
	return conn;
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
	CzConn	   *conn = probe(endpoint, timeout_ms, false);
	bool		is_alive = CzConnPeerAnswered(conn);

	CzConnDiscard(conn);
	return is_alive;
}

/*
 * CzProbeFenced
 *		See remote.h.
 */
bool
CzProbeFenced(const CzEndpoint *endpoint, bool is_raised)
{
	CzConn	   *conn = probe(endpoint, FENCED_PROBE_MS, true);
	bool		is_fenced = ENTRY(conn)->fenced_by > 0;

	if (is_raised)
		CzConnCheckFenced(conn);
	CzConnDiscard(conn);
	return is_fenced;
}
