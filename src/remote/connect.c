/*-------------------------------------------------------------------------
 *
 * connect.c
 *	  Making a connection to a worker, step by step, without blocking.
 *
 * How long a worker is waited for: the deadline moves while it, or another session's connect
 * to it, shows that it lives (has_expired).
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
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "remote_int.h"

/* Who waits for a connection looks at it more often, milliseconds. */
#define NOT_LOOKED_MS 100
/* A worker that goes on answering others is waited for so many times cz.connect_timeout. */
#define CONNECT_PATIENCE 12

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

	if (!endpoint->must_use_password || endpoint->has_keys)
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
