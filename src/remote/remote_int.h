/*-------------------------------------------------------------------------
 *
 * remote_int.h
 *	  Private to src/remote: what the connection cache knows of a connection.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_REMOTE_INT_H
#define CZ_REMOTE_INT_H

#include "lib/ilist.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "cz/compat.h"
#include "cz/remote.h"

/* A connection that has been idle for less is not asked whether it lives, milliseconds. */
#define CZ_TRUSTED_IDLE_MS 5000

typedef enum ConnPhase
{
	PHASE_CONNECTING,			/* PQconnectPoll goes on */
	PHASE_SETTINGS,				/* connected; settings sent, answers awaited */
	PHASE_READY,
	PHASE_FAILED
} ConnPhase;

typedef struct ConnEntry
{
	CzConn		pub;			/* first: a CzConn * is a ConnEntry * */
	Oid			umid;			/* user mapping, or InvalidOid */
	uint32		server_hash;	/* syscache hash values, to see invalidations */
	uint32		mapping_hash;
	bool		is_stale;		/* options changed: closed when it becomes idle */
	bool		must_use_password;
	bool		must_be_writable;
	SubTransactionId acquired_in;	/* valid in state READ or CONNECTING */
	ConnPhase	phase;
	int			wait_for;		/* what CzConnPollConnect said last */
	TimestampTz connect_deadline;	/* this and what follows: before PHASE_READY */
	TimestampTz looked_at;		/* when CzConnPollConnect last had something to do */
	TimestampTz started_at;
	TimestampTz progress_at;	/* last step of the connect */
	bool		is_patient;		/* a busy worker is waited for longer */
	bool		is_parked;		/* nobody waits for it; kept for the session */
	bool		was_parked;		/* its time says nothing, its failure little */
	TimestampTz parked_at;		/* valid if was_parked: the last time */
	bool		peer_answered;	/* the worker answered the startup packet */
	char	   *connect_error;	/* in cz_conn_context; or NULL */
	int			pending_syncs;	/* of the settings pipeline */
	int			sent_syncs;		/* how many it had */
	int			uncertain_asked;	/* that the first command sets if the worker has them
									 * anyway; the last columns but one of its row */
	uint64		uncertain_left; /* settings, bits, to be tried after that */
	bool		settings_failed;	/* a setting that must be set was refused */
	uint64		wanted_settings;	/* generation being established */
	bool		settings_in_txn;	/* settings were sent within a transaction: an
									 * abort undoes them */
	int			lock_timeout_ms;	/* of the worker's session */
	int			wanted_lock_timeout_ms; /* being established for it */
	int			txn_lock_timeout_ms;	/* state TXN: in its transaction; -1: not
										 * known */
	int			server_pid;		/* that the server told; 0: not asked */
	int			session_rows;	/* of the command of CzSessionSend that is answered */
	char	   *identity;		/* that it must have; NULL: any */
	int			epoch;			/* of the coordinator that it was made for; 0: of none */
	bool		is_lock_sent;	/* the first command takes the lock of the epoch */
	int			fenced_by;		/* epoch of a later coordinator that has the worker; 0: none */
	int			link;			/* number in links.c; -1: none */
	int			pool;			/* index in pool.c; -1: not counted */
	bool		is_pooler_check;	/* made by pooler.c */
	bool		has_own_name;	/* application_name is an option of the server */
	uint32		name_hash;		/* of the application_name that the worker has; 0: not
								 * known */
	bool		name_in_txn;	/* it was set in a transaction: an abort undoes it */
	bool		is_ending;		/* the worker's session has said its last words */
	TimestampTz idle_since;		/* valid in state IDLE, and while it is taken out */
	uint64		statement_seq;	/* names of prepared statements */
	dlist_head	prepared_lru;	/* least recently used first */
	int			nprepared;
	List	   *evicted;		/* char *: names to deallocate */
} ConnEntry;

extern ConnEntry *cz_conn_list; /* linked by pub.next */
extern MemoryContext cz_conn_context;

#define ENTRY(conn) ((ConnEntry *) (conn))

/* session.c */
extern const char *CzSessionName(void);
extern uint32 CzSessionNameHash(void);
extern bool CzSessionSend(ConnEntry *entry, bool in_transaction);
extern int	CzSessionPoll(ConnEntry *entry);

/* coordinator.c */
extern int	CzSessionEpoch(void);
extern bool CzSessionEpochLock(StringInfo sql);
extern void CzSessionTakeMark(ConnEntry *entry, const char *text);

/* pace.c */
extern void CzPaceAnswered(Oid server_oid, TimestampTz when);
extern bool CzPaceAnsweredSince(Oid server_oid, TimestampTz when);
extern void CzPaceConnected(Oid server_oid, int64 us);

/* wait.c */
extern void CzWaitEnded(void);
extern void CzWaitForget(void);
extern void CzWaitConnect(CzConn *conn, int events, long timeout_ms);

/* links.c */
extern void CzLinksInit(void);
extern void CzLinkOpen(ConnEntry *entry);
extern void CzLinkSetPid(ConnEntry *entry);
extern void CzLinkSetIdle(ConnEntry *entry, bool is_idle);
extern void CzLinkClose(ConnEntry *entry);

/* pool.c */
extern void CzPoolInit(void);
extern void CzPoolOpened(ConnEntry *entry);
extern void CzPoolClosed(ConnEntry *entry);
extern void CzPoolSetWorkerLimit(Oid server_oid, int limit);
extern bool CzPoolWants(const ConnEntry *entry);
extern void CzPoolShed(void);

/* pool_usual.c */
extern void CzPoolUsed(const ConnEntry *entry);
extern const CzEndpoint **CzPoolWithUsual(const CzEndpoint *const *endpoints,
										  int nendpoints, int *nall);

/* connection.c */
extern void CzConnInitBackend(void);
extern void CzConnReleaseSince(ConnEntry *entry, TimestampTz idle_since);
extern void CzConnCloseStale(void);

/* connect.c */
extern bool CzConnWait(CzConn *conn, const CzEndpoint *endpoint, char **error_message);

/* parked.c */
extern void CzConnPark(ConnEntry *entry);
extern void CzConnPollParked(const CzEndpoint *endpoint);

/* pooler.c */
extern void CzPoolerCheck(ConnEntry *entry, const CzEndpoint *endpoint);

/* idle.c */
extern bool CzIdleCheck(ConnEntry *entry, bool is_repeated);

/* command.c */
typedef enum ConnWait
{
	CONN_WAIT_READY,			/* the socket is */
	CONN_WAIT_AGAIN,			/* an interrupt was processed, or the worker is busy */
	CONN_WAIT_SILENT			/* is_broken is set: CzConnSilent raises that */
} ConnWait;

/*
 * Wait for a socket's events (WL_SOCKET_READABLE, WL_SOCKET_WRITEABLE), processing
 * interrupts; a worker that is silent for cz.worker_timeout is probed.
 */
extern ConnWait CzConnAwait(CzConn *conn, int events);
pg_noreturn extern void CzConnSilent(const CzConn *conn);
extern void CzPreparedForget(ConnEntry *entry);
extern void CzPreparedFlush(ConnEntry *entry);

/*
 * A request to cancel (cancel.c); all zero: none
 *
 * CzCancelStart: begin one for what conn runs; none if that fails.  Does not block, does not
 *		throw.  timeout_ms bounds it even if nobody awaits it.
 * CzCancelAwait: wait until the worker has heard one of several, or is not to be waited for
 *		any longer; the others move on.  Does not throw.
 */
struct pg_cancel_conn;
typedef struct CzCancel
{
	struct pg_cancel_conn *request; /* by libpq 17 */
	int			events;			/* it waits for; of poll() */
	pid_t		pid;			/* by an older one: a child process; 0: none */
} CzCancel;

extern void CzCancelStart(CzCancel *cancel, CzConn *conn, int timeout_ms);
extern void CzCancelAwait(CzCancel *cancels, int ncancels, int which, TimestampTz deadline);

#endif							/* CZ_REMOTE_INT_H */
