/*-------------------------------------------------------------------------
 *
 * idle.c
 *	  Is a connection still good that nobody has used for a while?
 *
 * A worker that was restarted, or whose administrator or timeout ended our session,
 * has left its last words and an end of file on the socket: a look at the socket
 * finds that without a round trip.  A network that has forgotten the connection, or
 * a worker whose power was cut, has left nothing: a connection that has been idle
 * for long is asked.  What fails either look is closed and replaced by who wanted
 * it; that is no failure of the worker.
 *
 * A statement is not sent twice anywhere: a connection that passes here and breaks
 * later is an error or, for reads, a reason to read elsewhere.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "libpq-fe.h"
#include "storage/latch.h"

#include "cz/settings.h"
#include "remote_int.h"

/* A connection that has been idle for less is not even looked at where that does no harm,
 * milliseconds. */
#define NOT_LOOKED_AT_MS 1000
/* Batches of unasked messages that are read from an idle connection at a time. */
#define MAX_IDLE_READS 100

/*
 * CzConnIsAlive
 *		See remote.h.
 */
bool
CzConnIsAlive(CzConn *conn)
{
	PGconn	   *pg = conn->pg;
	int			i;

	if (conn->is_broken || PQstatus(pg) != CONNECTION_OK)
		return false;
	for (i = 0; i < MAX_IDLE_READS; i++)
	{
		char		first;
		ssize_t		rc = recv(PQsocket(pg), &first, 1, MSG_PEEK | MSG_DONTWAIT);

		if (rc < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return !ENTRY(conn)->is_ending;
		if (rc < 0 && errno == EINTR)
			continue;

		/* settings that changed, notices, perhaps the reason of the end */
		if (rc <= 0 || !CzConnReceive(conn))
			return false;
		(void) PQisBusy(pg);
		if (PQstatus(pg) != CONNECTION_OK || ENTRY(conn)->is_ending)
			return false;
	}
	return false;				/* it floods us */
}

/* One round trip that does nothing; false if no answer comes in time. */
static bool
ask(CzConn *conn)
{
	PGconn	   *pg = conn->pg;
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   cz_connect_timeout_ms);
	bool		is_answered = false;

	if (!PQsendQuery(pg, ""))
		return false;
	for (;;)
	{
		int			flush = PQflush(pg);
		long		left_ms;
		CzWaitSlot	slot;

		if (flush < 0)
			return false;
		if (!PQisBusy(pg))
		{
			PGresult   *res = PQgetResult(pg);

			if (res == NULL)
				return is_answered && PQstatus(pg) == CONNECTION_OK;
			is_answered = PQresultStatus(res) == PGRES_EMPTY_QUERY;
			PQclear(res);
			if (!is_answered)
				return false;
			continue;
		}
		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (left_ms <= 0)
			return false;
		slot.socket = PQsocket(pg);
		slot.events = WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
		(void) CzWaitSockets(&slot, 1, left_ms, true);
		if (slot.is_ready && !CzConnReceive(conn))
			return false;
	}
}

/*
 * CzIdleCheck
 *		May a connection that was IDLE be used?  Its state is READ by now, so that an
 *		interrupt closes it.
 */
bool
CzIdleCheck(ConnEntry *entry, bool is_repeated)
{
	CzConn	   *conn = &entry->pub;
	TimestampTz idle_since = entry->idle_since;
	TimestampTz asked_at;
	int64		took_us;

	if (is_repeated && !conn->is_broken && !entry->is_ending &&
		PQstatus(conn->pg) == CONNECTION_OK &&
		PQtransactionStatus(conn->pg) == PQTRANS_IDLE &&
		GetCurrentTimestamp() < TimestampTzPlusMilliseconds(idle_since, NOT_LOOKED_AT_MS))
		return true;
	if (!CzConnIsAlive(conn) || PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
		return false;
	asked_at = GetCurrentTimestamp();
	if (asked_at < TimestampTzPlusMilliseconds(idle_since, CZ_TRUSTED_IDLE_MS))
		return true;
	if (ask(conn))
		return true;

	/*
	 * The others that would be asked would cost the same time again; those that are
	 * being made could not go on meanwhile.
	 */
	took_us = GetCurrentTimestamp() - asked_at;
	for (conn = (CzConn *) cz_conn_list; conn; conn = conn->next)
	{
		if (conn->state == CZ_CONN_IDLE && conn->server_oid == entry->pub.server_oid &&
			asked_at >= TimestampTzPlusMilliseconds(ENTRY(conn)->idle_since, CZ_TRUSTED_IDLE_MS))
			conn->is_broken = true;
		else if (conn->state == CZ_CONN_CONNECTING)
			CzConnSetConnectDeadline(conn, CzConnConnectDeadline(conn) + took_us);
	}
	return false;
}
