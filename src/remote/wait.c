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
#include "storage/latch.h"
#include "storage/proc.h"
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
 * wait_events
 *		Fill events with what happened; returns how many.
 *
 * The event set is made for each wait: connections come and go, 15 cannot take
 * a socket out of a set, and an epoll descriptor kept across an error leaks.
 */
static int
wait_events(CzWaitSlot *slots, int nslots, long timeout_ms, WaitEvent *events)
{
	WaitEventSet *set = CreateWaitEventSet_compat(nslots + 2);
	volatile int nevents = 0;

	PG_TRY();
	{
		int			i;

		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		for (i = 0; i < nslots; i++)
		{
			if (slots[i].socket >= 0 && slots[i].events != 0)
				AddWaitEventToSet(set, slots[i].events, slots[i].socket, NULL,
								  &slots[i]);
		}
		nevents = WaitEventSetWait(set, timeout_ms, events, nslots + 2,
								   PG_WAIT_EXTENSION);
	}
	PG_FINALLY();
	{
		FreeWaitEventSet(set);
	}
	PG_END_TRY();
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
	WaitEvent  *events;
	int			nevents = 0;
	int			i;

	for (i = 0; i < nslots; i++)
		slots[i].is_ready = false;

	CHECK_FOR_INTERRUPTS();
	events = palloc(sizeof(WaitEvent) * (nslots + 2));
	for (;;)
	{
		bool		can_look = may_be_long && may_look(nslots);
		bool		is_any_ready = false;
		long		piece_ms = timeout_ms;

		if (can_look)
		{
			piece_ms = next_look_ms < 0 ? DeadlockTimeout : next_look_ms;
			if (timeout_ms >= 0)
				piece_ms = Min(piece_ms, timeout_ms);
		}
		nevents = wait_events(slots, nslots, piece_ms, events);
		for (i = 0; i < nevents; i++)
		{
			if (events[i].events & WL_LATCH_SET)
				ResetLatch(MyLatch);
			else if (events[i].user_data != NULL)
			{
				((CzWaitSlot *) events[i].user_data)->is_ready = true;
				is_any_ready = true;
			}
		}
		CHECK_FOR_INTERRUPTS();
		if (is_any_ready && may_be_long)
			CzWaitEnded();
		else if (can_look)
			look(slots, nslots, nevents == 0 ? piece_ms : 0);
		if (nevents > 0)
			break;
		if (timeout_ms >= 0 && (timeout_ms -= piece_ms) <= 0)
			break;
	}
	pfree(events);
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
