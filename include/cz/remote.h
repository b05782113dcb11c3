/*-------------------------------------------------------------------------
 *
 * remote.h
 *	  Connections to workers: opened, kept, brought into step with this
 *	  session's settings, cancelled.
 *
 * A connection is in exactly one state:
 *	  IDLE		in the cache, no transaction open on the worker
 *	  READ		acquired by one reader of one statement
 *	  TXN		belongs to the current transaction (see transaction.h)
 * It never returns to IDLE with a command in progress or a transaction open;
 * one that cannot be brought there is closed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_REMOTE_H
#define CZ_REMOTE_H

#include "cz/compat.h"
#include "cz/endpoint.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

struct pg_conn;
struct pg_result;

typedef enum CzConnState
{
	CZ_CONN_CONNECTING,			/* PQconnectPoll not finished */
	CZ_CONN_IDLE,
	CZ_CONN_READ,
	CZ_CONN_TXN
} CzConnState;

typedef struct CzConn
{
	struct pg_conn *pg;			/* never NULL; in libpq's non-blocking mode: after
								 * PQsend* or PQputCopy* flush with PQflush */
	CzConnState state;
	Oid			server_oid;
	Oid			user_oid;
	char	   *node_name;
	uint32		options_hash;	/* CzEndpoint.options_hash when it was opened */
	int			server_version; /* PQserverVersion form */
	uint64		settings_generation;	/* session settings that it has */
	struct HTAB *prepared;		/* SQL text -> statement name; NULL: none yet */
	bool		is_broken;		/* do not reuse; closed at release */

	/*
	 * Who is reading a result from it right now.  A second user calls
	 * CzConnDrain first: the owner takes the rest of its rows off the wire
	 * into its own store.  Both NULL when no command is in progress.
	 */
	void	   *busy_owner;
	void		(*busy_drain) (void *owner);

	/* Owned by transaction/connections.c; zero otherwise */
	int			txn_depth;		/* nesting level that the worker is in; 0: no
								 * transaction */
	bool		txn_has_written;
	bool		cannot_prepare; /* the worker has max_prepared_transactions = 0 */
	bool		is_behind;		/* its mark is of an epoch before ours (coordinator.c) */
	struct CzConn *next;		/* owned by the cache */
} CzConn;

extern void CzRemoteInit(void);

/* Hexadecimal digits of a cluster's id, and of the hash that tells its owner. */
#define CZ_CLUSTER_ID_LEN 32
#define CZ_OWNER_LEN 16

/* Which coordinator a session belongs to, as workers are told. */
typedef struct CzCoordinator
{
	char		cluster_id[CZ_CLUSTER_ID_LEN + 1];
	int			epoch;			/* from 1; 0: none */
	char		owner[CZ_OWNER_LEN + 1];	/* empty: any */
} CzCoordinator;

/* What a worker's mark says of one cluster. */
typedef struct CzWorkerMark
{
	char		word[64];		/* which node it is */
	int			epoch;			/* 0: written by an earlier version */
	char		owner[CZ_OWNER_LEN + 1];
} CzWorkerMark;

/*
 * CzSessionSetCoordinator
 *		From now on connections are made for this coordinator; NULL: for none, they are
 *		not fenced then.  Idle ones of another epoch are closed when they are wanted.
 * cz_session_fenced: a worker has refused a session because of a later coordinator: to
 *		raise an error.
 * CzConnCheckFenced
 *		After CzConnPollConnect has failed: raise that this was the reason, if it was.
 *		No other placement is to be tried then.
 * CzProbeFenced
 *		A session with a worker has ended: because another coordinator has taken over?  Who
 *		would commit without that worker asks first: what he commits where he is not fenced
 *		yet, the later coordinator knows nothing of.
 *		is_raised: as an error then.  Returns: false also if the worker does not answer
 *		within half a second.
 * CzMarkRead: false: the mark has no line of the cluster.
 * CzMarkWrite: the line, palloc'd.
 * CzEpochLockClass: the upper half of the advisory locks of a cluster's sessions; the lower
 *		half is the epoch.
 */
extern void CzSessionSetCoordinator(const CzCoordinator *who);
extern void (*cz_session_fenced) (const char *node_name, int epoch);
extern void CzConnCheckFenced(const CzConn *conn);
extern bool CzProbeFenced(const CzEndpoint *endpoint, bool is_raised);
extern bool CzMarkRead(const char *mark, const char *cluster_id, CzWorkerMark *found);
extern char *CzMarkWrite(const CzCoordinator *who, const char *word);
extern uint32 CzEpochLockClass(const char *cluster_id);

/*
 * CzConnAcquire
 *		An idle connection to an endpoint, opening one if none is cached; in
 *		step with this session's settings.  State READ.
 *
 * Returns: never NULL, owned by the cache; give it back with CzConnRelease.
 * Errors:  08001 cannot connect, 2F003 password required, 57014 cancelled,
 *		53300 the worker has no free connection.
 */
extern CzConn *CzConnAcquire(const CzEndpoint *endpoint);

/* The same, but NULL instead of an error when the worker can't be reached
 * (*error_message then says why, palloc'd, no secrets). */
extern CzConn *CzConnTryAcquire(const CzEndpoint *endpoint, char **error_message);

/*
 * An idle cached connection or NULL; never connects.
 *
 * is_repeated: should it have died a moment ago, the caller sends what it sent first
 *		again on another one.  So one that was in use just now is not looked at.
 */
extern CzConn *CzConnAcquireCached(const CzEndpoint *endpoint, bool is_repeated);

/*
 * Asynchronous opening: CzConnStart returns a connection in state CONNECTING
 * (NULL if that fails at once); wait for its socket as CzConnPollConnect says
 * (WL_SOCKET_READABLE / WL_SOCKET_WRITEABLE; 0 = done, then state is READ and
 * settings are in step; -1 = failed, the caller must CzConnDiscard it).
 */
extern CzConn *CzConnStart(const CzEndpoint *endpoint);
extern int	CzConnPollConnect(CzConn *conn, const CzEndpoint *endpoint);

/*
 * CzConnStartOrResume
 *		CzConnStart for somebody who wants to use the connection: one that this session
 *		is making already and nobody waits for is taken over, and a worker that is busy
 *		(it answers other sessions) is waited for longer than cz.connect_timeout.
 */
extern CzConn *CzConnStartOrResume(const CzEndpoint *endpoint);

/* How long a connect to the worker took lately, milliseconds; 0: not known. */
extern double CzConnConnectMs(Oid server_oid);

/* Why connecting failed (borrowed until CzConnDiscard, no secrets); and whether
 * the worker has answered anything at all, this connect or since its start another
 * session's (an answer proves that it lives). */
extern const char *CzConnConnectError(const CzConn *conn);
extern bool CzConnPeerAnswered(const CzConn *conn);
/* When CzConnPollConnect gives up; for the timeout of the caller's wait. */
extern TimestampTz CzConnConnectDeadline(const CzConn *conn);
extern void CzConnSetConnectDeadline(CzConn *conn, TimestampTz deadline);

/*
 * CzConnIsAlive
 *		As far as the socket tells, without a round trip.  Reads what came unasked;
 *		for a connection with no command in progress.  Never throws.
 *
 * Returns: false: the worker has ended the session.  It has seen nothing then of what
 *		has not been sent yet.
 */
extern bool CzConnIsAlive(CzConn *conn);

/* Back to the cache.  A connection that is broken or not idle is closed; one that
 * is still being made stays and is finished when it is wanted again. */
extern void CzConnRelease(CzConn *conn);
extern void CzConnDiscard(CzConn *conn);

/* Which subtransaction's failure closes a connection in state READ; by default the
 * one that acquired it. */
extern void CzConnSetSubxact(CzConn *conn, uint32 subid);

/* Number of connections (any state) that this backend has to a worker. */
extern int	CzConnCount(Oid server_oid, Oid user_oid);

/* From now on the thresholds of pg_trgm, if this session has them, are kept in step,
 * too: a statement is sent that reads them. */
extern void CzSessionFollowTrigrams(void);

/* Bring time zone, date style etc. of the worker's session into step; no round
 * trip if nothing changed.  The connection must not be in mid-command. */
extern void CzConnSyncSettings(CzConn *conn);
/* The same; instead of an error false, and is_broken. */
extern bool CzConnTrySyncSettings(CzConn *conn);
extern bool CzConnSettingsAreCurrent(const CzConn *conn);

/*
 * CzConnLockTimeoutPrefix
 *		For the next command in the transaction of a connection in state TXN: append
 *		what gives it this session's lock_timeout, if that is to be sent.
 * CzConnForgetLockTimeout
 *		The worker has rolled back to a savepoint, or (is_over) the transaction is
 *		over there: what was set may be set no more.
 */
extern void CzConnLockTimeoutPrefix(CzConn *conn, StringInfo prefix);
extern void CzConnForgetLockTimeout(CzConn *conn, bool is_over);

/* The transaction on the worker was rolled back, and with it what was set in it. */
extern void CzConnForgetTxnSettings(CzConn *conn);

/*
 * CzSessionIdentity
 *		How the application_name of a session's connections begins on workers:
 *		"cz_fdw <cluster> <pid>", for a process here.
 */
#define CZ_SESSION_IDENTITY_LEN (NAMEDATALEN * 2)
extern void CzSessionIdentity(int pid, char *name);

/*
 * CzConnNameCommand
 *		What brings the worker's application_name, "cz_fdw <cluster> <pid> <the user's>",
 *		into step: to be sent with the next command, without waiting for it.  NULL: it is.
 *		The command has no semicolon.  Borrowed until the next call.
 */
extern const char *CzConnNameCommand(CzConn *conn);

/* Log a command if cz.log_remote_commands asks for it.  Whoever sends a command
 * other than by CzConnExec* calls this. */
extern void CzConnLogCommand(const CzConn *conn, const char *sql);

/* Make the current reader, if any, take its rows off the wire. */
extern void CzConnDrain(CzConn *conn);

/*
 * CzConnExec
 *		Run one command and wait for it, processing interrupts (a cancel is
 *		passed on to the worker).
 *
 * Returns: result with status PGRES_COMMAND_OK or PGRES_TUPLES_OK; caller frees
 *		with PQclear.
 * Errors:  the worker's error, relayed; 08006 if the connection broke, 08P01 if
 *		the answer is of another kind or has more than 1 GB (then is_broken is
 *		set).
 */
extern struct pg_result *CzConnExec(CzConn *conn, const char *sql);

/* The same for several commands; returns how many rows their UPDATEs and DELETEs have
 * changed.  shown: stands for them in messages. */
extern int64 CzConnExecCount(CzConn *conn, const char *sql, const char *shown);

/* The same by a statement prepared on the connection (at the first call with this
 * text); parameters take the types that the worker infers. */
extern struct pg_result *CzConnExecPrepared(CzConn *conn, const char *sql, int nparams,
											const char *const *values);

/*
 * CzConnQuery
 *		CzConnExec of a query; rows of this shape, else 08P01.  max_rows: -1: any
 *		number.
 */
extern struct pg_result *CzConnQuery(CzConn *conn, const char *sql, int min_rows,
									 int max_rows, int ncolumns);

/* The same without an error but for interrupts: a result of any kind but COPY, or NULL
 * and is_broken. */
extern struct pg_result *CzConnTryExec(CzConn *conn, const char *sql);

/* The first value of a query's answer, palloc'd; NULL: there is none, or an error. */
extern char *CzConnAsk(CzConn *conn, const char *sql);

/* Start a COPY: PGRES_COPY_IN or PGRES_COPY_OUT, as wanted, has been answered. */
extern void CzConnStartCopy(CzConn *conn, const char *sql, bool is_in);

/* The same without ereport: NULL or an error result on failure; timeout_ms -1 none.
 * Callable in abort processing; does not process interrupts. */
extern struct pg_result *CzConnExecQuiet(CzConn *conn, const char *sql, int timeout_ms);

/*
 * CzConnPrepared
 *		The name of the prepared statement of this SQL on this connection (borrowed
 *		until the next CzConnRememberPrepared), or NULL: there is none yet.
 *
 * Who wants one takes a name from CzConnNewStatementName (palloc'd), sends
 * PQsendPrepare, and calls CzConnRememberPrepared when that has succeeded.  At
 * most 1,024 a connection are kept; the least recently used one is dropped.
 */
extern const char *CzConnPrepared(CzConn *conn, const char *sql);
extern void CzConnRememberPrepared(CzConn *conn, const char *sql, const char *name);
extern char *CzConnNewStatementName(CzConn *conn);

/* Ask the worker to cancel what conn runs; returns when it has heard that, or at the end
 * of the time.  What the command's end was is still to be read. */
extern void CzConnRequestCancel(CzConn *conn, int timeout_ms);

/* Ask the worker to cancel what conn runs, and read until it is idle again;
 * false (and is_broken) if that did not work within timeout_ms. */
extern bool CzConnCancel(CzConn *conn, int timeout_ms);

/* The same for several at once, in timeout_ms altogether; those that could not be
 * brought to rest are marked broken.  Callable in abort processing. */
extern void CzConnCancelMany(CzConn **conns, int nconns, int timeout_ms);

/*
 * CzConnReceive
 *		Read what has arrived, as PQconsumeInput, which nobody else calls; what
 *		nobody asked for does not pile up.  False if the connection is lost.
 */
extern bool CzConnReceive(CzConn *conn);

/* COPY, of which libpq gives one result for ever.  Who did not ask for it sets
 * is_broken and waits no longer. */
extern bool CzResultIsCopy(const struct pg_result *res);

/*
 * CzConnTakeRowsSoon
 *		The rows of the next result of a connection are to be given out as they come, one by
 *		one, or, where libpq can (17), chunk_rows at a time, cz.chunk_rows at most, which
 *		takes half of its time.  libpq holds a chunk's rows in memory, however long they are:
 *		CZ_UNSEEN_ROWS where nothing tells how long.  False: this is not the time for it.
 * CzResultIsPart: is it some rows of a result, of which more, or its end, will come?  The
 *		command's tag may be on the last of the rows instead of the end.
 */
#define CZ_UNSEEN_ROWS 8
extern bool CzConnTakeRowsSoon(CzConn *conn, int chunk_rows);
extern bool CzResultIsPart(const struct pg_result *res);

/*
 * CzConnPutSync
 *		The end of a unit of a pipeline; the caller flushes (PQflush), once for several
 *		where libpq can (17).  False: no memory, or the connection is lost.
 */
extern bool CzConnPutSync(CzConn *conn);

/*
 * CzConnUnexpected
 *		Raise a result that is none of those awaited: the worker's error, or 08P01,
 *		and then is_broken.  Consumes res; sql may be NULL.
 */
pg_noreturn extern void CzConnUnexpected(CzConn *conn, struct pg_result *res,
							 const char *sql);

/* Raise 08P01: the worker breaks the protocol.  Consumes res, which may be NULL. */
pg_noreturn extern void CzConnViolated(CzConn *conn, struct pg_result *res,
						   const char *detail);

/*
 * CzConnCheckRows
 *		Rows of this shape, or an error as by CzConnUnexpected (res is freed then).
 *
 * max_rows: -1: any number.
 */
extern void CzConnCheckRows(CzConn *conn, struct pg_result *res, int min_rows,
							int max_rows, int ncolumns);

/* The number of rows in a command tag; 08P01 if it is none (res is freed then). */
extern uint64 CzResultCount(CzConn *conn, struct pg_result *res);

/* A number in a row, NULL as 0; false if there is none of an honest size. */
extern bool CzResultFigure(const struct pg_result *res, int row, int column,
						   double *figure);

/* A text of a result, NULL for NULL or for one that is not there; borrowed.  22021 if
 * it is not valid in the database's encoding. */
extern char *CzResultText(const struct pg_result *res, int row, int column);

/*
 * CzResultAddRows
 *		Put rows of a part of a result to those before them (NULL: they are the first).
 *		Consumes both.  NULL: they have more than max_bytes, or there is no memory.
 *		Rows without columns (SELECT FROM) count, too: they have one then, all NULL.
 */
extern struct pg_result *CzResultAddRows(struct pg_result *rows, struct pg_result *part,
										size_t max_bytes);

/* Is it the true end of a SELECT, or FETCH, that has given so many rows? */
extern bool CzResultEndsRows(const struct pg_result *res, int64 nrows);

/* True if the connection is lost or the result says that the session is ending
 * (admin shutdown, crash): reason for failover, unlike an error of the query. */
extern bool CzConnResultIsLoss(const CzConn *conn, const struct pg_result *res);

/* What is known of a worker. */
typedef enum CzHealthState
{
	CZ_HEALTH_UNKNOWN,
	CZ_HEALTH_UP,
	CZ_HEALTH_SUSPECT,			/* it did not answer the last time */
	CZ_HEALTH_DOWN,				/* nor before that */
	CZ_HEALTH_DISABLED			/* out of use: nobody asks it */
} CzHealthState;

#define CZ_HEALTH_REASON_LEN 160
/* The reason of a worker that must be writable and is not */
#define CZ_HEALTH_STANDBY "It is a standby: the server is in recovery."

typedef struct CzHealth
{
	CzHealthState state;
	TimestampTz since;			/* it has been so */
	TimestampTz last_contact;	/* 0: never */
	int			failures;		/* looks that have failed, one after the other */
	char		reason[CZ_HEALTH_REASON_LEN];	/* of the last failure */
} CzHealth;

/*
 * Whether workers answer, shared by all backends.
 *
 * CzHealthMarkFailed: one has failed; it is avoided for a while.
 * CzHealthMarkStandby: it has become a standby: the same.
 * CzHealthMarkGood: it has answered after all; costs nothing while none is avoided.
 * CzHealthMarkContact: somebody has connected to it.
 * CzHealthIsSuspect: is it avoided?
 */
extern void CzHealthMarkFailed(Oid server_oid);
extern void CzHealthMarkStandby(Oid server_oid);
extern void CzHealthMarkGood(Oid server_oid);
extern void CzHealthMarkContact(Oid server_oid);
extern bool CzHealthIsSuspect(Oid server_oid);

/*
 * For who looks at all workers (cluster/node_health.c), and shows what is known.
 *
 * CzHealthLook: a look has found one so: CZ_HEALTH_UP, _SUSPECT (and why) or _DISABLED; after
 *		some that have failed it is down.  now, told: out: what is known, and what it was at
 *		the last look.  Returns: true if that is not the same, or if it is down because it
 *		has become a standby, and was not for that.
 * CzHealthForget: all workers of this database but those.
 */
extern CzHealth CzHealthGet(Oid server_oid);
extern bool CzHealthLook(Oid server_oid, CzHealthState state, const char *reason,
						 CzHealth *now, CzHealthState *told);
extern void CzHealthForget(List *server_oids);

/*
 * A suspect worker: if it is time to, look for a moment whether it is back.  CzHealthLookNow
 * looks in any case, and longer: for who would leave its placements out, or give up.
 */
extern bool CzHealthRecheck(const CzEndpoint *endpoint);
extern bool CzHealthLookNow(const CzEndpoint *endpoint);

/* Somebody knows better: it is time to look at all suspect workers of this database. */
extern void CzHealthRecheckNow(void);

/* Where a connection goes, without a look at the catalogs: for a second one.  palloc'd,
 * the node's name borrowed; false if out of memory. */
extern bool CzConnEndpointOf(const CzConn *conn, CzEndpoint *endpoint);

/* True if a new connection to the worker answers within timeout_ms. */
extern bool CzConnProbe(const CzEndpoint *endpoint, int timeout_ms);

/*
 * Waiting for sockets, and for the latch.
 *
 * CzWaitSockets: false on timeout (-1: none).  With process_interrupts it runs
 * CHECK_FOR_INTERRUPTS, and a long wait may be ended by a deadlock (40P01); without it is
 * callable in commit and abort callbacks, for CZ_MAX_QUIET_SOCKETS at a time.
 */
typedef struct CzWaitSlot
{
	int			socket;			/* -1: skip */
	int			events;			/* WL_SOCKET_READABLE, WL_SOCKET_WRITEABLE */
	bool		is_ready;		/* out */
} CzWaitSlot;

/* Of a slot's events: what is heard there does not end a long wait for the others */
#define CZ_WAIT_ASIDE 0x40000000

#define CZ_MAX_QUIET_SOCKETS 256

extern bool CzWaitSockets(CzWaitSlot *slots, int nslots, long timeout_ms,
						  bool process_interrupts);

/*
 * CzWaitSetCallbacks
 *		Functions that are called when no socket has been ready for deadlock_timeout.
 *
 * look: also again when the time has passed that it has returned, milliseconds, and
 *		when the latch is set.  It may throw; waits within it do not call it.
 * end: a socket is ready after that, or the (sub)transaction has failed.
 */
typedef long (*CzWaitLook) (const CzWaitSlot *slots, int nslots);
extern void CzWaitSetCallbacks(CzWaitLook look, void (*end) (void));

/*
 * The limit of connections that all sessions together have to a worker.
 *
 * CzConnHasUnused: is there a connection that nobody uses, or that is made for nobody?
 * CzPoolEnter: before connections to these workers are made of which at least one each is
 * needed.  Waits until there is a place for all that the session has none for.  57014.
 * CzPoolTryEnter: before one more is made: false if that would be too many.
 * CzPoolForgetGiven: what was given and not used is not needed any more.
 */
extern bool CzConnHasUnused(Oid server_oid, Oid user_oid);
extern void CzPoolEnter(const CzEndpoint *const *endpoints, int nendpoints);
extern bool CzPoolTryEnter(const CzEndpoint *endpoint);

/*
 * CzPoolSetLookup
 *		How to find the endpoint of a server and a user, NULL if there is none any more;
 *		called once, from _PG_init.
 */
typedef CzEndpoint *(*CzPoolLookup) (Oid server_oid, Oid user_oid);
extern void CzPoolSetLookup(CzPoolLookup function);
extern void CzPoolForgetGiven(void);

/* CzPoolRead: a worker's connections from all sessions of this database. */
typedef struct CzPoolState
{
	int			nopen;			/* or about to be */
	int			nwaiting;		/* sessions that wait for one */
	int			limit;			/* as the last one knew it who asked; INT_MAX: not known */
} CzPoolState;
extern void CzPoolRead(Oid server_oid, CzPoolState *state);
extern Size CzPoolShmemSize(void);
extern void CzPoolShmemInit(void);

/*
 * Connections as all sessions see them.
 *
 * CzLinksAwait: this session waits for these sockets' answers; none: it does not wait.
 * CzLinksRead: all of this database; palloc'd.
 */
typedef enum CzLinkWait
{
	CZ_LINK_NOT_AWAITED,
	CZ_LINK_AWAITED,
	CZ_LINK_AWAITED_TXN			/* it is the transaction's connection */
} CzLinkWait;

typedef struct CzLink
{
	int			slot;			/* number of the session's slot: its PGPROC's */
	int			pid;			/* the session's */
	Oid			server_oid;
	int			remote_pid;		/* of the worker's process; 0: not known yet */
	CzLinkWait	wait;
	TimestampTz idle_since;		/* 0: it is in use */
} CzLink;

extern void CzLinksAwait(const CzWaitSlot *slots, int nslots);
extern CzLink *CzLinksRead(int *nlinks);
extern Size CzLinksShmemSize(void);
extern void CzLinksShmemInit(void);

extern Size CzPaceShmemSize(void);
extern void CzPaceShmemInit(void);
extern Size CzHealthShmemSize(void);
extern void CzHealthShmemInit(void);

#endif							/* CZ_REMOTE_H */
