/*-------------------------------------------------------------------------
 *
 * parked.c
 *	  Connections that are being made and that nobody waits for any more.
 *
 * A statement that ends before a connect has ended leaves it to the session: its next
 * statement will want it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "remote_int.h"

/* A connection that is being made and that nobody has looked at for longer is given up:
 * the worker does so after authentication_timeout, a minute. */
#define MAX_PARKED_MS 30000

/*
 * is_parked
 *		Is it being made, and does nobody wait for it?  Closes none.
 */
static bool
is_parked(const ConnEntry *entry, const CzEndpoint *endpoint)
{
	return entry->is_parked &&
		entry->pub.server_oid == endpoint->server_oid &&
		entry->pub.user_oid == endpoint->user_oid;
}

/*
 * CzConnStartOrResume
 *		See remote.h.
 */
CzConn *
CzConnStartOrResume(const CzEndpoint *endpoint)
{
	CzConn	   *conn;
	CzConn	   *next;
	TimestampTz now = GetCurrentTimestamp();

	for (conn = (CzConn *) cz_conn_list; conn; conn = next)
	{
		ConnEntry  *entry = ENTRY(conn);

		next = conn->next;
		if (!is_parked(entry, endpoint))
			continue;
		if (entry->is_stale || conn->options_hash != endpoint->options_hash ||
			entry->epoch != CzSessionEpoch() ||
			now >= TimestampTzPlusMilliseconds(entry->parked_at, MAX_PARKED_MS))
		{
			CzConnDiscard(conn);
			continue;
		}
		entry->is_parked = false;
		entry->was_parked = true;
		CzLinkSetIdle(entry, false);
		entry->acquired_in = GetCurrentSubTransactionId();
		entry->connect_deadline = TimestampTzPlusMilliseconds(now, cz_connect_timeout_ms);
		return conn;
	}
	conn = CzConnStart(endpoint);
	ENTRY(conn)->is_patient = true;
	return conn;
}

/*
 * CzConnPark
 *		Nobody waits any more for a connection that is being made: the session keeps
 *		it, its next statement will want it.
 */
void
CzConnPark(ConnEntry *entry)
{
	if (entry->phase == PHASE_FAILED || entry->is_stale || entry->pub.is_broken)
	{
		CzConnDiscard(&entry->pub);
		return;
	}
	entry->is_parked = true;
	entry->was_parked = true;
	entry->is_patient = true;
	entry->parked_at = entry->idle_since = GetCurrentTimestamp();
	CzLinkSetIdle(entry, true);
}

/*
 * CzConnPollParked
 *		Move connections on that are parked; those that are finished become idle.
 */
void
CzConnPollParked(const CzEndpoint *endpoint)
{
	CzConn	   *conn = (CzConn *) cz_conn_list;

	while (conn != NULL)
	{
		int			events;
		TimestampTz since = ENTRY(conn)->parked_at;

		if (!is_parked(ENTRY(conn), endpoint))
		{
			conn = conn->next;
			continue;
		}
		/* it is in use, so to say */
		ENTRY(conn)->is_parked = false;
		CzLinkSetIdle(ENTRY(conn), false);
		events = CzConnPollConnect(conn, endpoint);
		if (events > 0)
		{
			ENTRY(conn)->is_parked = true;
			CzLinkSetIdle(ENTRY(conn), true);
			conn = conn->next;
			continue;
		}
		if (events == 0)
			CzConnReleaseSince(ENTRY(conn), since);	/* when it had its answers, perhaps */
		else
			CzConnDiscard(conn);
		conn = (CzConn *) cz_conn_list; /* a wait may have changed the list */
	}
}
