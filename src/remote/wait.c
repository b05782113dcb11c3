/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Wait until sockets or the latch are ready.
 *
 * Who waits for long, whatever for, may be a part of a deadlock that no server sees by
 * itself.  So waits in which interrupts are processed are cut into pieces once nothing
 * has been heard for deadlock_timeout, and transaction/deadlock.c looks in between.
 * Short waits cost nothing: no clock is read.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <poll.h>

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "remote_int.h"

static CzWaitLook look_callback = NULL;
static void (*end_callback) (void) = NULL;

static TimestampTz quiet_since = 0; /* no socket was ready; 0: or not for long */
static long next_look_ms = -1;		/* -1: DeadlockTimeout */
static bool is_looking = false;

/*
 * CzWaitSetCallbacks
 *		See remote.h.
 */
void
CzWaitSetCallbacks(CzWaitLook look, void (*end) (void))
{
	look_callback = look;
	end_callback = end;
}

/*
 * CzWaitEnded
 *		What was waited for has come, or nobody waits any more.
 */
void
CzWaitEnded(void)
{
	if (quiet_since == 0 || is_looking)
		return;
	quiet_since = 0;
	next_look_ms = -1;
	if (end_callback != NULL)
		end_callback();
}

/*
 * wait_quiet
 *		CzWaitSockets with poll(): no memory, no errors.
 */
static bool
wait_quiet(CzWaitSlot *slots, int nslots, long timeout_ms)
{
	struct pollfd fds[CZ_MAX_QUIET_SOCKETS];
	int			map[CZ_MAX_QUIET_SOCKETS];
	int			nfds = 0;
	int			rc;
	int			i;

	for (i = 0; i < nslots && nfds < CZ_MAX_QUIET_SOCKETS; i++)
	{
		if (slots[i].socket < 0 || slots[i].events == 0)
			continue;
		fds[nfds].fd = slots[i].socket;
		fds[nfds].events = 0;
		fds[nfds].revents = 0;
		if (slots[i].events & WL_SOCKET_READABLE)
			fds[nfds].events |= POLLIN;
		if (slots[i].events & WL_SOCKET_WRITEABLE)
			fds[nfds].events |= POLLOUT;
		map[nfds++] = i;
	}

	rc = poll(fds, nfds, timeout_ms < 0 ? -1 : (int) Min(timeout_ms, INT_MAX));
	if (rc < 0)
		return errno == EINTR;	/* the caller looks at its clock again */
	for (i = 0; i < nfds; i++)
		slots[map[i]].is_ready = fds[i].revents != 0;
	return rc > 0;
}

/*
 * Event sets of those sockets that were waited for last: to make one takes five system
 * calls or more.  All are given up whenever a connection is being made, for its socket
 * may have the number of one that was closed, by us or by libpq, and an event set does
 * not see that.
 */
#define MAX_KEPT_SETS 8
#define MAX_KEPT_SOCKETS 8

typedef struct KeptSet
{
	WaitEventSet *set;			/* NULL: free */
	int			nsockets;
	int			sockets[MAX_KEPT_SOCKETS];
	int			events[MAX_KEPT_SOCKETS];
	uint64		used_at;		/* kept_clock then */
} KeptSet;

static KeptSet kept_sets[MAX_KEPT_SETS];
static uint64 kept_clock = 0;

/*
 * CzWaitForget
 *		A connection is being made, or closed: kept event sets are worth nothing.
 */
void
CzWaitForget(void)
{
	int			i;

	for (i = 0; i < MAX_KEPT_SETS; i++)
	{
		if (kept_sets[i].set != NULL)
			FreeWaitEventSet(kept_sets[i].set);
		kept_sets[i].set = NULL;
	}
}

/* Latch, postmaster and sockets; what occurs has the socket's number + 1, or NULL. */
static void
fill_set(WaitEventSet *set, const int *sockets, const int *events, int nsockets)
{
	int			i;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (i = 0; i < nsockets; i++)
		AddWaitEventToSet(set, events[i], sockets[i], NULL, (void *) (uintptr_t) (i + 1));
}

/* Make a set for later waits as well. */
static void
keep_set(KeptSet *kept, const int *sockets, const int *events, int nsockets)
{
	WaitEventSet *set;

	if (kept->set != NULL)
		FreeWaitEventSet(kept->set);
	kept->set = NULL;
	/* rather none is kept than that there is no descriptor for this one */
	if (AcquireExternalFD())
		ReleaseExternalFD();
	else
		CzWaitForget();
	set = CreateKeptWaitEventSet_compat(nsockets + 2);
	PG_TRY();
	{
		fill_set(set, sockets, events, nsockets);
	}
	PG_CATCH();
	{
		FreeWaitEventSet(set);
		PG_RE_THROW();
	}
	PG_END_TRY();
	kept->set = set;
	kept->nsockets = nsockets;
	memcpy(kept->sockets, sockets, sizeof(int) * nsockets);
	memcpy(kept->events, events, sizeof(int) * nsockets);
}

/* The set of just these sockets. */
static WaitEventSet *
find_set(const int *sockets, const int *events, int nsockets)
{
	KeptSet    *oldest = &kept_sets[0];
	int			i;

	kept_clock++;
	for (i = 0; i < MAX_KEPT_SETS; i++)
	{
		KeptSet    *kept = &kept_sets[i];
		int			j;

		if (kept->set == NULL || (oldest->set != NULL && kept->used_at < oldest->used_at))
			oldest = kept;
		if (kept->set == NULL || kept->nsockets != nsockets ||
			memcmp(kept->sockets, sockets, sizeof(int) * nsockets) != 0)
			continue;
		for (j = 0; j < nsockets; j++)
		{
			if (kept->events[j] == events[j])
				continue;
			ModifyWaitEvent(kept->set, j + 2, events[j], NULL);
			kept->events[j] = events[j];
		}
		kept->used_at = kept_clock;
		return kept->set;
	}
	keep_set(oldest, sockets, events, nsockets);
	oldest->used_at = kept_clock;
	return oldest->set;
}

/* Wait with an event set for this one time. */
static int
wait_once(const int *sockets, const int *events, int nsockets, long timeout_ms,
		  WaitEvent *occurred)
{
	WaitEventSet *set = CreateWaitEventSet_compat(nsockets + 2);
	volatile int nevents = 0;

	PG_TRY();
	{
		fill_set(set, sockets, events, nsockets);
		nevents = WaitEventSetWait(set, timeout_ms, occurred, nsockets + 2,
								   PG_WAIT_EXTENSION);
	}
	PG_FINALLY();
	{
		FreeWaitEventSet(set);
	}
	PG_END_TRY();
	return nevents;
}

/*
 * wait_events
 *		Fill occurred with what happened; returns how many.  Of each slot that is waited
 *		for, its socket is at the place in the order that map tells.
 */
static int
wait_events(const CzWaitSlot *slots, int nslots, long timeout_ms, WaitEvent *occurred,
			int *map)
{
	int			few_sockets[MAX_KEPT_SOCKETS];
	int			few_events[MAX_KEPT_SOCKETS];
	int		   *sockets = few_sockets;
	int		   *events = few_events;
	int			nsockets = 0;
	int			nevents;
	int			i;

	if (nslots > MAX_KEPT_SOCKETS)
	{
		sockets = palloc(sizeof(int) * nslots);
		events = palloc(sizeof(int) * nslots);
	}
	for (i = 0; i < nslots; i++)
	{
		if (slots[i].socket < 0 || slots[i].events == 0)
			continue;
		sockets[nsockets] = slots[i].socket;
		events[nsockets] = slots[i].events & ~CZ_WAIT_ASIDE;
		map[nsockets++] = i;
	}
	if (nsockets > MAX_KEPT_SOCKETS)
		nevents = wait_once(sockets, events, nsockets, timeout_ms, occurred);
	else
		nevents = WaitEventSetWait(find_set(sockets, events, nsockets), timeout_ms,
								   occurred, nsockets + 2, PG_WAIT_EXTENSION);
	if (sockets != few_sockets)
	{
		pfree(sockets);
		pfree(events);
	}
	return nevents;
}

/* May this wait be looked at when it is long? */
static bool
may_look(int nslots)
{
	return look_callback != NULL && nslots > 0 && !is_looking && IsTransactionState() &&
		InterruptHoldoffCount == 0 && QueryCancelHoldoffCount == 0 && CritSectionCount == 0;
}

/*
 * look
 *		No socket has become ready: is the wait a long one by now?
 *
 * waited_ms: what has passed for sure.
 */
static void
look(const CzWaitSlot *slots, int nslots, long waited_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	long		quiet_ms;

	if (quiet_since == 0)
		quiet_since = TimestampTzPlusMilliseconds(now, -waited_ms);
	quiet_ms = TimestampDifferenceMilliseconds(quiet_since, now);
	if (quiet_ms < DeadlockTimeout)
	{
		next_look_ms = DeadlockTimeout - quiet_ms;
		return;
	}
	is_looking = true;
	PG_TRY();
	{
		next_look_ms = look_callback(slots, nslots);
	}
	PG_FINALLY();
	{
		is_looking = false;
	}
	PG_END_TRY();
}

/*
 * wait_sockets
 *		With interrupts.
 *
 * may_be_long: for answers to commands.
 */
static bool
wait_sockets(CzWaitSlot *slots, int nslots, long timeout_ms, bool may_be_long)
{
	WaitEvent	few_events[MAX_KEPT_SOCKETS + 2];
	int			few_places[MAX_KEPT_SOCKETS];
	WaitEvent  *events = few_events;
	int		   *map = few_places;
	int			nevents = 0;
	int			i;

	for (i = 0; i < nslots; i++)
		slots[i].is_ready = false;

	CHECK_FOR_INTERRUPTS();
	if (nslots > MAX_KEPT_SOCKETS)
	{
		events = palloc(sizeof(WaitEvent) * (nslots + 2));
		map = palloc(sizeof(int) * nslots);
	}
	for (;;)
	{
		bool		can_look = may_be_long && may_look(nslots);
		bool		has_ended = false;
		long		piece_ms = timeout_ms;

		if (can_look)
		{
			piece_ms = next_look_ms < 0 ? DeadlockTimeout : next_look_ms;
			if (timeout_ms >= 0)
				piece_ms = Min(piece_ms, timeout_ms);
		}
		nevents = wait_events(slots, nslots, piece_ms, events, map);
		for (i = 0; i < nevents; i++)
		{
			if (events[i].events & WL_LATCH_SET)
			{
				ResetLatch(MyLatch);
				if (may_be_long)
					CzPoolShed();
			}
			else if (events[i].user_data != NULL)
			{
				CzWaitSlot *slot = &slots[map[(uintptr_t) events[i].user_data - 1]];

				slot->is_ready = true;
				has_ended |= (slot->events & CZ_WAIT_ASIDE) == 0;
			}
		}
		CHECK_FOR_INTERRUPTS();
		if (has_ended && may_be_long)
			CzWaitEnded();
		else if (can_look)
			look(slots, nslots, nevents == 0 ? piece_ms : 0);
		if (nevents > 0)
			break;
		if (timeout_ms >= 0 && (timeout_ms -= piece_ms) <= 0)
			break;
	}
	if (events != few_events)
	{
		pfree(events);
		pfree(map);
	}
	return nevents > 0;
}

/*
 * CzWaitSockets
 *		See remote.h.
 */
bool
CzWaitSockets(CzWaitSlot *slots, int nslots, long timeout_ms, bool process_interrupts)
{
	int			i;

	if (process_interrupts)
		return wait_sockets(slots, nslots, timeout_ms, true);
	for (i = 0; i < nslots; i++)
		slots[i].is_ready = false;
	return wait_quiet(slots, nslots, timeout_ms);
}

/*
 * CzWaitConnect
 *		Wait for a connection that is being made: nobody's lock keeps it, and what it
 *		hears says nothing of what others wait for.
 */
void
CzWaitConnect(CzConn *conn, int events, long timeout_ms)
{
	CzWaitSlot	slot;

	slot.socket = PQsocket(conn->pg);
	slot.events = events;
	(void) wait_sockets(&slot, 1, timeout_ms, false);
}
