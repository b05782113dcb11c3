/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  The cache of connections to workers: open, keep, hand out, close.
 *
 * Connections live as long as the backend, in one list.  The invariant: one in
 * state IDLE has no command in progress, no transaction open and is not in
 * pipeline mode; what cannot be brought there is closed.  At the end of a
 * (sub)transaction that fails, everything in state READ or CONNECTING that it
 * acquired is cancelled or closed here; TXN connections are those of
 * transaction/connections.c.
 *
 * Facts about libpq's polling and file descriptor accounting are from
 * libpq/libpq-be-fe-helpers.h, PostgreSQL 15.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "remote_int.h"

/* Time that abort processing gives all workers together to stop, milliseconds. */
#define ABORT_CANCEL_MS 3000

/* Who waits for a connection looks at it more often, milliseconds. */
#define NOT_LOOKED_MS 100
/* A connection that is being made and that nobody has looked at for longer is given up:
 * the worker does so after authentication_timeout, a minute. */
#define MAX_PARKED_MS 30000
/* A worker that goes on answering others is waited for so many times cz.connect_timeout. */
#define CONNECT_PATIENCE 12

ConnEntry  *cz_conn_list = NULL;
MemoryContext cz_conn_context = NULL;

static bool has_stale = false;

static void conn_xact_callback(XactEvent event, void *arg);
static void conn_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
								  SubTransactionId parentSubid, void *arg);

/*
 * Write a worker's notices to the log; do not forward them to the client.  What a
 * session says when it ends while no command runs is a notice for libpq, too.
 */
static void
notice_receiver(void *arg, const PGresult *res)
{
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
		((ConnEntry *) arg)->is_ending = true;
	elog(DEBUG2, "notice from a worker: %s", PQresultErrorMessage(res));
}

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

/*
 * CzRemoteInit
 *		Register callbacks; called once, from _PG_init.
 */
void
CzRemoteInit(void)
{
	RegisterXactCallback(conn_xact_callback, NULL);
	RegisterSubXactCallback(conn_subxact_callback, NULL);
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

static void
set_connect_error(ConnEntry *entry)
{
	char	   *raw = pchomp(PQerrorMessage(entry->pub.pg));
	char	   *clean = CzRedact(raw, PQpass(entry->pub.pg));

	if (entry->connect_error)
		pfree(entry->connect_error);
	entry->connect_error = MemoryContextStrdup(cz_conn_context, clean);
	pfree(clean);
	pfree(raw);
}

/* A mapping that a non-superuser made must bring its own password. */
static void
check_password_given(const CzEndpoint *endpoint)
{
	int			i;

	if (!endpoint->must_use_password)
		return;
	for (i = 0; endpoint->keywords[i] != NULL; i++)
	{
		if (strcmp(endpoint->keywords[i], "password") == 0 &&
			endpoint->values[i] != NULL && endpoint->values[i][0] != '\0')
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("password is required"),
			 errdetail("Non-superusers must provide a password in the user mapping.")));
}

/*
 * start_connect
 *		Begin a connect for an entry; NULL if libpq is out of memory.
 */
static PGconn *
start_connect(ConnEntry *entry, const CzEndpoint *endpoint)
{
	const char **keywords = palloc((endpoint->noptions + 3) * sizeof(char *));
	const char **values = palloc((endpoint->noptions + 3) * sizeof(char *));
	PGconn	   *pg;
	int			n;

	entry->has_own_name = false;
	for (n = 0; n < endpoint->noptions; n++)
	{
		keywords[n] = endpoint->keywords[n];
		values[n] = endpoint->values[n];
		if (strcmp(keywords[n], "application_name") == 0)
			entry->has_own_name = true;
	}
	entry->name_hash = CzSessionNameHash();
	entry->epoch = CzSessionEpoch();
	keywords[n] = "fallback_application_name";
	values[n++] = CzSessionName();
	keywords[n] = "client_encoding";
	values[n++] = GetDatabaseEncodingName();
	keywords[n] = NULL;
	values[n] = NULL;

	entry->phase = PHASE_CONNECTING;
	entry->wait_for = WL_SOCKET_WRITEABLE;
	entry->started_at = GetCurrentTimestamp();
	entry->progress_at = entry->started_at;
	entry->connect_deadline = TimestampTzPlusMilliseconds(entry->started_at,
														  cz_connect_timeout_ms);
	entry->is_ending = false;
	entry->server_pid = 0;
	CzWaitForget();
	pg = PQconnectStartParams(keywords, values, 0);
	pfree(keywords);
	pfree(values);
	if (pg != NULL)
		PQsetNoticeReceiver(pg, notice_receiver, entry);
	return pg;
}

/*
 * CzConnStart
 *		See remote.h.
 *
 * Errors: 2F003 password missing; 53000 too many open files here.
 */
CzConn *
CzConnStart(const CzEndpoint *endpoint)
{
	ConnEntry  *entry;
	PGconn	   *pg;

	CzConnInitBackend();
	check_password_given(endpoint);

	/* allocate everything before there is a connection to lose */
	entry = MemoryContextAllocZero(cz_conn_context, sizeof(ConnEntry));
	entry->pub.node_name = MemoryContextStrdup(cz_conn_context, endpoint->node_name);
	if (endpoint->identity != NULL)
		entry->identity = MemoryContextStrdup(cz_conn_context, endpoint->identity);
	dlist_init(&entry->prepared_lru);

	CzWaitForget();				/* their descriptors may be the ones that are missing */
	if (!AcquireExternalFD())
	{
		pfree(entry->pub.node_name);
		if (entry->identity)
			pfree(entry->identity);
		pfree(entry);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not connect to node \"%s\"", endpoint->node_name),
				 errdetail("There are too many open files on the local server."),
				 errhint("Raise the server's max_files_per_process and/or \"ulimit -n\" limits.")));
	}
	pg = start_connect(entry, endpoint);
	if (pg == NULL)
	{
		ReleaseExternalFD();
		pfree(entry->pub.node_name);
		if (entry->identity)
			pfree(entry->identity);
		pfree(entry);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libpq could not allocate a connection.")));
	}

	entry->pub.pg = pg;
	entry->pub.state = CZ_CONN_CONNECTING;
	entry->pub.server_oid = endpoint->server_oid;
	entry->pub.user_oid = endpoint->user_oid;
	entry->pub.options_hash = endpoint->options_hash;
	entry->umid = endpoint->umid;
	entry->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID,
											   ObjectIdGetDatum(endpoint->server_oid));
	entry->mapping_hash = GetSysCacheHashValue1(USERMAPPINGOID,
												ObjectIdGetDatum(endpoint->umid));
	entry->must_use_password = endpoint->must_use_password;
	entry->must_be_writable = endpoint->must_be_writable;
	entry->acquired_in = GetCurrentSubTransactionId();
	entry->pub.next = (CzConn *) cz_conn_list;
	cz_conn_list = entry;
	CzLinkOpen(entry);
	CzPoolOpened(entry);

	if (PQstatus(pg) == CONNECTION_BAD)
	{
		set_connect_error(entry);
		entry->phase = PHASE_FAILED;
	}
	return &entry->pub;
}

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
 * has_expired
 *		Has a connect taken too long?  What counts is the time since the worker last
 *		answered this connect or, if somebody waits who can, another session's: a
 *		worker that is behind with its work is not dead.
 */
static bool
has_expired(ConnEntry *entry)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz patient_from = TimestampTzPlusMilliseconds(now, -cz_connect_timeout_ms);

	if (now < entry->connect_deadline)
		return false;
	if (entry->is_patient &&
		(entry->progress_at > patient_from ||
		 CzPaceAnsweredSince(entry->pub.server_oid, patient_from)) &&
		now < TimestampTzPlusMilliseconds(entry->started_at,
										  (int64) cz_connect_timeout_ms * CONNECT_PATIENCE))
	{
		entry->connect_deadline = TimestampTzPlusMilliseconds(now, cz_connect_timeout_ms / 4 + 1);
		return false;
	}
	if (entry->connect_error == NULL)
		entry->connect_error = MemoryContextStrdup(cz_conn_context, _("timeout expired"));
	return true;
}

/*
 * fail_connect
 *		It did not work: -1.  One that was left alone for a while may have been given
 *		up by the worker: it starts anew, unseen.
 */
static int
fail_connect(ConnEntry *entry, const CzEndpoint *endpoint)
{
	if (entry->was_parked && !entry->is_parked)
	{
		PGconn	   *pg;

		entry->was_parked = false;
		pg = start_connect(entry, endpoint);
		if (pg != NULL)
		{
			PQfinish(entry->pub.pg);
			entry->pub.pg = pg;
			if (entry->connect_error != NULL)
				pfree(entry->connect_error);
			entry->connect_error = NULL;
			if (PQstatus(pg) != CONNECTION_BAD)
				return entry->wait_for;
		}
	}
	if (entry->connect_error == NULL)
		set_connect_error(entry);
	entry->phase = PHASE_FAILED;
	return -1;
}

/*
 * expire
 *		No answer came in time: -1.  From a network that has forgotten one that was left
 *		alone for long none can come, so that one starts anew, too.
 */
static int
expire(ConnEntry *entry, const CzEndpoint *endpoint)
{
	if (entry->was_parked &&
		entry->parked_at < TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   -CZ_TRUSTED_IDLE_MS))
		return fail_connect(entry, endpoint);
	entry->phase = PHASE_FAILED;
	return -1;
}

/* Has a step of a connect read something that the worker said? */
static bool
has_answered(ConnStatusType before, ConnStatusType after)
{
	return after == CONNECTION_OK ||
		(before != after && (before == CONNECTION_SSL_STARTUP ||
							 before == CONNECTION_AWAITING_RESPONSE));
}

static void
note_answer(ConnEntry *entry)
{
	entry->peer_answered = true;
	CzPaceAnswered(entry->pub.server_oid, GetCurrentTimestamp());
}

/*
 * CzConnPollConnect
 *		See remote.h.
 */
int
CzConnPollConnect(CzConn *conn, const CzEndpoint *endpoint)
{
	ConnEntry  *entry = ENTRY(conn);
	PGconn	   *pg = conn->pg;
	int			events = -1;

	if (entry->phase == PHASE_READY)
		return 0;
	if (entry->phase == PHASE_FAILED)
		return -1;

	if (entry->phase == PHASE_CONNECTING)
	{
		ConnStatusType before = PQstatus(pg);
		PostgresPollingStatusType status;

		/*
		 * A poll with nothing to do is harmless but for the very first state,
		 * where libpq wants the socket writable: it then reads the outcome of
		 * connect(2) with getsockopt, which says "no error" too early.
		 */
		if (entry->wait_for != 0)
		{
			int			rc = WaitLatchOrSocket(MyLatch, entry->wait_for | WL_TIMEOUT |
											   WL_EXIT_ON_PM_DEATH,
											   PQsocket(pg), 0, PG_WAIT_EXTENSION);

			if ((rc & entry->wait_for) == 0)
				return has_expired(entry) ? expire(entry, endpoint) : entry->wait_for;

			/*
			 * The socket is ready, so the peer lives.  If the deadline is over
			 * nobody has looked in between (a cursor between two FETCHes): that
			 * is not the peer's fault, the next step gets its time.
			 */
			if (GetCurrentTimestamp() >= entry->connect_deadline)
			{
				/* but a peer that talks for ever is not connected by that */
				if (!TimestampDifferenceExceeds(entry->looked_at, GetCurrentTimestamp(),
												NOT_LOOKED_MS))
				{
					entry->connect_error =
						MemoryContextStrdup(cz_conn_context, _("timeout expired"));
					entry->phase = PHASE_FAILED;
					return -1;
				}
				entry->connect_deadline =
					TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												cz_connect_timeout_ms);
			}
		}
		entry->looked_at = GetCurrentTimestamp();

		/* libpq may try one address after the other */
		CzWaitForget();
		status = PQconnectPoll(pg);
		if (PQstatus(pg) != before)
			entry->progress_at = GetCurrentTimestamp();
		if (status == PGRES_POLLING_FAILED ? before != CONNECTION_STARTED && before != CONNECTION_MADE :
			has_answered(before, PQstatus(pg)))
			note_answer(entry);
		switch (status)
		{
			case PGRES_POLLING_READING:
				entry->wait_for = WL_SOCKET_READABLE;
				return entry->wait_for;
			case PGRES_POLLING_WRITING:
				entry->wait_for = WL_SOCKET_WRITEABLE;
				return entry->wait_for;
			case PGRES_POLLING_OK:
				break;
			default:
				return fail_connect(entry, endpoint);
		}

		if (entry->must_use_password && !PQconnectionUsedPassword(pg))
		{
			entry->phase = PHASE_FAILED;
			ereport(ERROR,
					(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
					 errmsg("password is required"),
					 errdetail("Non-superuser cannot connect if the server does not request a password."),
					 errhint("Target server's authentication method must be changed or password_required=false set in the user mapping attributes.")));
		}
		conn->server_version = PQserverVersion(pg);
		entry->phase = PHASE_SETTINGS;
		if (PQsetnonblocking(pg, 1) != 0 || !CzSessionSend(entry, false))
			return fail_connect(entry, endpoint);
	}

	events = CzSessionPoll(entry);
	if (events == 0)
	{
		entry->phase = PHASE_READY;
		conn->state = CZ_CONN_READ;
		CzLinkSetPid(entry);
		if (!entry->was_parked)
			CzPaceConnected(conn->server_oid, GetCurrentTimestamp() - entry->started_at);
		CzHealthMarkContact(conn->server_oid);
		CzPoolerCheck(entry, endpoint);
		return 0;
	}
	if (events < 0)
		return fail_connect(entry, endpoint);
	return has_expired(entry) ? expire(entry, endpoint) : events;
}

const char *
CzConnConnectError(const CzConn *conn)
{
	return ENTRY(conn)->connect_error ? ENTRY(conn)->connect_error : "";
}

bool
CzConnPeerAnswered(const CzConn *conn)
{
	const ConnEntry *entry = ENTRY(conn);

	return entry->peer_answered ||
		CzPaceAnsweredSince(conn->server_oid, entry->started_at);
}

TimestampTz
CzConnConnectDeadline(const CzConn *conn)
{
	return ENTRY(conn)->connect_deadline;
}

void
CzConnSetConnectDeadline(CzConn *conn, TimestampTz deadline)
{
	ENTRY(conn)->connect_deadline = deadline;
}

/*
 * park
 *		Nobody waits any more for a connection that is being made: the session keeps
 *		it, its next statement will want it.
 */
static void
park(ConnEntry *entry)
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
 * release
 *		Keep a connection for the session's next statement, if that makes sense.
 *		idle_since: when it was last known to work.
 */
static void
release(ConnEntry *entry, TimestampTz idle_since)
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

/* Move connections on that are parked; those that are finished become idle. */
static void
poll_parked(const CzEndpoint *endpoint)
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
			release(ENTRY(conn), since);	/* when it had its answers, perhaps */
		else
			CzConnDiscard(conn);
		conn = (CzConn *) cz_conn_list; /* a wait may have changed the list */
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

	poll_parked(endpoint);
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
 * CzConnWait
 *		Wait until a connection is made; false if it failed, then it is closed and
 *		*error_message says why.
 */
bool
CzConnWait(CzConn *conn, const CzEndpoint *endpoint, char **error_message)
{
	int			events;

	/* if an error is thrown here, abort processing closes the connection */
	while ((events = CzConnPollConnect(conn, endpoint)) > 0)
	{
		long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
															  CzConnConnectDeadline(conn));

		CzWaitConnect(conn, events, left_ms + 1);
	}
	if (events < 0)
	{
		CzConnCheckFenced(conn);
		*error_message = pstrdup(CzConnConnectError(conn));
		if (!CzConnPeerAnswered(conn))
			CzHealthMarkFailed(conn->server_oid);
		CzConnDiscard(conn);
		return false;
	}
	return true;
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
		park(ENTRY(conn));
	else
		release(ENTRY(conn), GetCurrentTimestamp());
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

/* Close idle connections whose options changed. */
static void
close_stale(void)
{
	CzConn	   *conn;
	CzConn	   *next;
	bool		still_stale = false;

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

/*
 * Bring every connection in state READ that the subtransaction (or, if it is
 * invalid, any) acquired back to rest, or close it.
 */
static void
abort_readers(SubTransactionId subid)
{
	CzConn	   *conn;
	CzConn	   *next;
	CzConn	  **busy = NULL;
	int			nbusy = 0;
	int			count = 0;

	for (conn = (CzConn *) cz_conn_list; conn; conn = conn->next)
		count++;
	if (count == 0)
		return;

	/* a failure to allocate here is no reason to fail the abort: close then */
	busy = MemoryContextAllocExtended(cz_conn_context, count * sizeof(CzConn *),
									  MCXT_ALLOC_NO_OOM);
	for (conn = (CzConn *) cz_conn_list; conn; conn = next)
	{
		ConnEntry  *entry = ENTRY(conn);

		next = conn->next;
		if (entry->name_in_txn)
			entry->name_hash = 0;
		entry->name_in_txn = false;
		if (entry->settings_in_txn)
		{
			conn->settings_generation = 0;
			entry->settings_in_txn = false;
		}
		if ((conn->state != CZ_CONN_READ && conn->state != CZ_CONN_CONNECTING) ||
			entry->is_parked ||
			(subid != InvalidSubTransactionId && entry->acquired_in != subid))
			continue;
		conn->busy_owner = NULL;
		conn->busy_drain = NULL;
		if (conn->state == CZ_CONN_CONNECTING && entry->is_patient)
			park(entry);
		else if (conn->state == CZ_CONN_CONNECTING || conn->is_broken || busy == NULL ||
				 PQstatus(conn->pg) != CONNECTION_OK)
			CzConnDiscard(conn);
		else
			busy[nbusy++] = conn;
	}

	if (nbusy > 0)
	{
		int			i;

		CzConnCancelMany(busy, nbusy, ABORT_CANCEL_MS);
		for (i = 0; i < nbusy; i++)
		{
			conn = busy[i];
			if (!conn->is_broken && PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
			{
				PGresult   *res = CzConnExecQuiet(conn, "ROLLBACK", ABORT_CANCEL_MS);

				PQclear(res);
			}
			CzConnRelease(conn);
		}
	}
	if (busy)
		pfree(busy);
}

static void
conn_xact_callback(XactEvent event, void *arg)
{
	CzConn	   *conn;
	CzConn	   *next;

	CzWaitEnded();
	CzPoolForgetGiven();
	if (cz_conn_list == NULL)
		return;

	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			abort_readers(InvalidSubTransactionId);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
			for (conn = (CzConn *) cz_conn_list; conn; conn = next)
			{
				next = conn->next;
				ENTRY(conn)->settings_in_txn = false;
				ENTRY(conn)->name_in_txn = false;
				if (ENTRY(conn)->is_parked)
					continue;
				if (conn->state == CZ_CONN_CONNECTING)
					CzConnRelease(conn);
				else if (conn->state == CZ_CONN_READ)
				{
					elog(DEBUG1, "connection to node \"%s\" was not released before commit",
						 conn->node_name);
					CzConnRelease(conn);
				}
			}
			break;
		default:
			return;
	}
	if (has_stale)
		close_stale();
	CzPoolShed();
}

static void
conn_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
					  SubTransactionId parentSubid, void *arg)
{
	CzConn	   *conn;

	if (cz_conn_list == NULL)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		CzWaitEnded();
		abort_readers(mySubid);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (conn = (CzConn *) cz_conn_list; conn; conn = conn->next)
		{
			if (ENTRY(conn)->acquired_in == mySubid)
				ENTRY(conn)->acquired_in = parentSubid;
		}
	}
}
