/*-------------------------------------------------------------------------
 *
 * lost_conn.c
 *	  Whether the session of a transaction on a worker is still there, and going on without it.
 *
 * A connection that broke may be left behind only if each row that was written through it is
 * on another placement, too, and no snapshot is shared with it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "access/xact.h"
#include "libpq-fe.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "transaction_int.h"

/* A connection that was looked at so many milliseconds ago is as it was then. */
#define JUST_LOOKED_MS 5

/*
 * CzTxnConnIsUp
 *		Is the session of an entry still there?
 */
bool
CzTxnConnIsUp(CzTxnEntry *entry)
{
	CzConn	   *conn = entry->conn;

	return !entry->is_failed && !conn->is_broken &&
		(PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE || CzConnIsAlive(conn));
}

/*
 * CzTxnIsConnected
 *		Before the commit: is a session that was written through still there?
 */
bool
CzTxnIsConnected(CzTxnEntry *entry)
{
	if (entry->is_failed || entry->conn->is_broken)
		return false;
	return GetCurrentTimestamp() < TimestampTzPlusMilliseconds(entry->looked_at, JUST_LOOKED_MS) ||
		CzConnIsAlive(entry->conn);
}

/*
 * CzTxnCheckConnected
 *		Before a command of the transaction: better a clear error now than whatever
 *		libpq says of a dead socket.
 */
void
CzTxnCheckConnected(CzTxnEntry *entry)
{
	CzConn	   *conn = entry->conn;
	bool		is_alive = entry->is_alive && !entry->is_failed && !conn->is_broken;

	/* a command that asks for its connection twice need not look twice */
	is_alive |= !entry->is_failed && !conn->is_broken &&
		GetCurrentTimestamp() < TimestampTzPlusMilliseconds(entry->looked_at, JUST_LOOKED_MS);
	entry->is_alive = false;
	if (is_alive)
		return;
	entry->looked_at = GetCurrentTimestamp();
	if (CzTxnConnIsUp(entry))
		return;
	conn->is_broken = true;
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to node \"%s\" was lost during the transaction",
					conn->node_name)));
}

/*
 * CzTxnDetach
 *		Go on without a connection that broke, if nothing is on it alone.
 */
bool
CzTxnDetach(CzTxnEntry *entry)
{
	MemoryContext old;

	/* a snapshot that others were to share is gone, too */
	if (entry->first_level > 0 || (IsolationUsesXactSnapshot() && entry->has_begun))
		return false;
	if (entry->written_level > 0 && !CzTxnLoseWritten(entry->server_oid))
		return false;
	entry->conn->is_broken = true;
	entry->is_failed = true;
	/* the worker may be well: it must not keep locks that the next connection waits for */
	if (PQsocket(entry->conn->pg) >= 0)
		(void) shutdown(PQsocket(entry->conn->pg), SHUT_RDWR);
	old = MemoryContextSwitchTo(TopTransactionContext);
	cz_txn_entries = list_delete_ptr(cz_txn_entries, entry);
	cz_txn_detached = lappend(cz_txn_detached, entry);
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * CzTxnLoseConn
 *		See transaction.h.
 */
bool
CzTxnLoseConn(CzConn *conn)
{
	ListCell   *lc;

	conn->is_broken = true;
	CzHealthMarkFailed(conn->server_oid);
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->conn == conn)
			return CzTxnDetach(entry);
	}
	return false;
}

/*
 * CzTxnMustLoseConn
 *		See transaction.h.
 */
void
CzTxnMustLoseConn(CzConn *conn)
{
	if (!CzTxnLoseConn(conn))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to node \"%s\" was lost while writing to it",
						conn->node_name)));
}

/*
 * try_connect
 *		A connection, or NULL if the worker is down: it does not answer, or says that it
 *		is not ready.
 */
static CzConn *
try_connect(const CzEndpoint *endpoint)
{
	CzConn	   *conn;
	char	   *message;
	int			i;

	if (CzHealthIsSuspect(endpoint->server_oid) && !CzHealthRecheck(endpoint))
		return NULL;
	/* a server that crashes at this moment says only the next time that it starts again */
	for (i = 0; i < 2; i++)
	{
		conn = CzConnTryAcquire(endpoint, &message);
		if (conn != NULL || CzHealthIsSuspect(endpoint->server_oid) ||
			strstr(message, "the database system is") != NULL)
			return conn;
	}
	return CzConnAcquire(endpoint); /* raises what is wrong, if it still is */
}

/*
 * CzTxnCanReach
 *		See transaction.h.
 */
bool
CzTxnCanReach(Oid server_oid, Oid user_oid)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry;

	CzTxnTakeSnapshots(InvalidOid, user_oid);
	entry = CzTxnFindEntry(server_oid, user_oid, &endpoint);
	if (entry != NULL)
	{
		entry->is_alive = CzTxnConnIsUp(entry);
		if (entry->is_alive)
			return true;
		if (!CzTxnDetach(entry))
			CzTxnCheckConnected(entry); /* raises it */
	}
	/* what is in doubt on a worker that is up is finished, or waited for, elsewhere */
	if (!CzTxnIsFlushing() && !CzTxnWorkerIsClear(server_oid, user_oid) &&
		CzHealthIsSuspect(server_oid))
		return false;
	entry = CzTxnOpenEntryBy(user_oid, endpoint ? endpoint : CzEndpointGet(server_oid, user_oid),
					   try_connect);
	if (entry == NULL)
		return false;
	CzTxnJoinSnapshots(entry);
	return true;
}

/*
 * CzTxnCanReachNow
 *		See transaction.h.
 */
bool
CzTxnCanReachNow(Oid server_oid, Oid user_oid)
{
	if (CzHealthIsSuspect(server_oid) && !CzTxnHasConn(server_oid, user_oid))
		(void) CzHealthLookNow(CzEndpointGet(server_oid, user_oid));
	return CzTxnCanReach(server_oid, user_oid);
}
