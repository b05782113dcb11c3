/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  The cache of connections to workers: keep, hand out, close.
 *
 * Connections live as long as the backend, in one list.  The invariant: one in
 * state IDLE has no command in progress, no transaction open and is not in
 * pipeline mode; what cannot be brought there is closed.  connect.c makes them,
 * parked.c has those that nobody waits for, at_end.c those of a transaction that ends.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "remote_int.h"

ConnEntry  *cz_conn_list = NULL;
MemoryContext cz_conn_context = NULL;

static bool has_stale = false;

/* ALTER or DROP of a server or user mapping: close its connections when idle. */
static void
inval_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	ConnEntry  *entry;

	for (entry = cz_conn_list; entry; entry = (ConnEntry *) entry->pub.next)
	{
		uint32		own = cacheid == FOREIGNSERVEROID ? entry->server_hash :
			entry->mapping_hash;

		if (hashvalue == 0 || own == hashvalue)
		{
			entry->is_stale = true;
			has_stale = true;
		}
	}
}

/* What needs a backend, not the postmaster: at the first connection. */
void
CzConnInitBackend(void)
{
	if (cz_conn_context != NULL)
		return;
	cz_conn_context = AllocSetContextCreate(TopMemoryContext, "cz_fdw connections",
											ALLOCSET_SMALL_SIZES);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, inval_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, inval_callback, (Datum) 0);
	CzLinksInit();
	CzPoolInit();
}

/*
 * CzConnDiscard
 *		Close a connection, whatever its state.
 */
void
CzConnDiscard(CzConn *conn)
{
	ConnEntry  *entry = ENTRY(conn);
	CzConn	  **link;

	for (link = (CzConn **) &cz_conn_list; *link; link = &(*link)->next)
	{
		if (*link == conn)
		{
			*link = conn->next;
			break;
		}
	}
	CzWaitForget();
	PQfinish(conn->pg);
	ReleaseExternalFD();
	CzLinkClose(entry);
	CzPoolClosed(entry);
	CzPreparedForget(entry);
	if (entry->connect_error)
		pfree(entry->connect_error);
	if (entry->identity)
		pfree(entry->identity);
	pfree(conn->node_name);
	pfree(entry);
}

/*
 * CzConnReleaseSince
 *		Keep a connection for the session's next statement, if that makes sense.
 *		idle_since: when it was last known to work.
 */
void
CzConnReleaseSince(ConnEntry *entry, TimestampTz idle_since)
{
	CzConn	   *conn = &entry->pub;
	CzConn	   *other;
	int			nidle = 0;

	CzPoolUsed(entry);
	conn->busy_owner = NULL;
	conn->busy_drain = NULL;
	conn->txn_depth = 0;
	conn->txn_has_written = false;

	if (!conn->is_broken && PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF &&
		!PQexitPipelineMode(conn->pg))
		conn->is_broken = true;

	for (other = (CzConn *) cz_conn_list; other; other = other->next)
	{
		if (other->state == CZ_CONN_IDLE && other->server_oid == conn->server_oid &&
			other->user_oid == conn->user_oid)
			nidle++;
	}

	if (conn->is_broken || entry->is_stale || entry->phase != PHASE_READY ||
		nidle >= cz_max_connections_per_worker || CzPoolWants(entry) ||
		PQstatus(conn->pg) != CONNECTION_OK ||
		PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
		CzConnDiscard(conn);
	else
	{
		entry->idle_since = idle_since;
		conn->state = CZ_CONN_IDLE;
		CzLinkSetIdle(entry, true);
	}
}

/*
 * CzConnAcquireCached
 *		See remote.h.
 */
CzConn *
CzConnAcquireCached(const CzEndpoint *endpoint, bool is_repeated)
{
	CzConn	   *conn;
	CzConn	   *next;

	CzConnPollParked(endpoint);
	for (conn = (CzConn *) cz_conn_list; conn; conn = next)
	{
		next = conn->next;
		if (conn->state != CZ_CONN_IDLE ||
			conn->server_oid != endpoint->server_oid ||
			conn->user_oid != endpoint->user_oid)
			continue;

		/* Its options may have changed, or the worker may have closed it. */
		if (conn->options_hash != endpoint->options_hash ||
			ENTRY(conn)->epoch != CzSessionEpoch())
		{
			CzConnDiscard(conn);
			continue;
		}
		conn->state = CZ_CONN_READ;
		CzLinkSetIdle(ENTRY(conn), false);
		ENTRY(conn)->acquired_in = GetCurrentSubTransactionId();
		if (CzIdleCheck(ENTRY(conn), is_repeated))
			CzPreparedFlush(ENTRY(conn));
		else
			conn->is_broken = true;
		if (conn->is_broken)
		{
			CzConnDiscard(conn);
			conn = NULL;
			next = (CzConn *) cz_conn_list;	/* interrupts may have changed the list */
			continue;
		}
		return conn;
	}
	return NULL;
}

/*
 * CzConnTryAcquire
 *		See remote.h.
 */
CzConn *
CzConnTryAcquire(const CzEndpoint *endpoint, char **error_message)
{
	CzConn	   *conn = CzConnAcquireCached(endpoint, false);

	*error_message = NULL;
	if (conn != NULL && !CzConnTrySyncSettings(conn))
	{
		/* it has died unseen, or the worker is frozen: a new one will tell */
		CzConnDiscard(conn);
		conn = NULL;
	}
	if (conn == NULL)
	{
		CzPoolEnter(&endpoint, 1);
		conn = CzConnStartOrResume(endpoint);
		if (!CzConnWait(conn, endpoint, error_message))
			conn = NULL;
	}
	if (conn != NULL)
		CzConnSyncSettings(conn);
	return conn;
}

/*
 * CzConnAcquire
 *		See remote.h.
 */
CzConn *
CzConnAcquire(const CzEndpoint *endpoint)
{
	char	   *message;
	CzConn	   *conn = CzConnTryAcquire(endpoint, &message);

	if (conn == NULL)
	{
		/* libpq 15 has no SQLSTATE of a failed connection attempt */
		bool		is_full = strstr(message, "too many clients") != NULL ||
			strstr(message, "remaining connection slots") != NULL ||
			strstr(message, "too many connections") != NULL;

		ereport(ERROR,
				(errcode(is_full ? ERRCODE_TOO_MANY_CONNECTIONS :
						 ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to node \"%s\"", endpoint->node_name),
				 errdetail_internal("%s", message)));
	}
	return conn;
}

/*
 * CzConnRelease
 *		See remote.h.
 */
void
CzConnRelease(CzConn *conn)
{
	if (conn->state == CZ_CONN_CONNECTING)
		CzConnPark(ENTRY(conn));
	else
		CzConnReleaseSince(ENTRY(conn), GetCurrentTimestamp());
}

void
CzConnSetSubxact(CzConn *conn, uint32 subid)
{
	ENTRY(conn)->acquired_in = subid;
}

/*
 * CzConnCount
 *		See remote.h.
 */
int
CzConnCount(Oid server_oid, Oid user_oid)
{
	CzConn	   *conn;
	int			count = 0;

	for (conn = (CzConn *) cz_conn_list; conn; conn = conn->next)
	{
		if (conn->server_oid == server_oid && conn->user_oid == user_oid)
			count++;
	}
	return count;
}

/*
 * CzConnDrain
 *		See remote.h.
 */
void
CzConnDrain(CzConn *conn)
{
	if (conn->busy_owner != NULL && conn->busy_drain != NULL)
	{
		conn->busy_drain(conn->busy_owner);
		conn->busy_owner = NULL;
		conn->busy_drain = NULL;
	}
}

/*
 * CzConnCloseStale
 *		Close idle connections whose options changed.
 */
void
CzConnCloseStale(void)
{
	CzConn	   *conn;
	CzConn	   *next;
	bool		still_stale = false;

	if (!has_stale)
		return;
	for (conn = (CzConn *) cz_conn_list; conn; conn = next)
	{
		next = conn->next;
		if (!ENTRY(conn)->is_stale)
			continue;
		if (conn->state == CZ_CONN_IDLE || ENTRY(conn)->is_parked)
			CzConnDiscard(conn);
		else
			still_stale = true;
	}
	has_stale = still_stale;
}
