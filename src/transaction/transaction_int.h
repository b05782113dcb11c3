/*-------------------------------------------------------------------------
 *
 * transaction_int.h
 *	  What the files of src/transaction share.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_TRANSACTION_INT_H
#define CZ_TRANSACTION_INT_H

#include "cz/compat.h"
#include "cz/transaction.h"
#include "postmaster/bgworker.h"
#include "utils/timestamp.h"

/* cz_<cluster id>_<epoch>_<full xid>_<nonce>_<n>: 3+32+1+10+1+20+1+8+1+10 */
#define CZ_GID_LEN 96

/* First key of the advisory locks on workers and here ("cz") */
#define CZ_ADVISORY_CLASS 25466

/* A savepoint that the worker has: everything from level on is after it. */
typedef struct CzTxnSavepoint
{
	int			level;			/* nest level of the subtransaction */
	int			number;			/* its name is cz<number> */
} CzTxnSavepoint;

/* One connection of the current transaction.  In TopTransactionContext. */
typedef struct CzTxnEntry
{
	CzConn	   *conn;			/* NULL after it was released */
	Oid			server_oid;
	Oid			umid;			/* InvalidOid: no mapping, then one user only */
	bool		must_use_password;
	List	   *user_oids;		/* local roles that use it */
	bool		has_begun;		/* BEGIN was sent (or is in a prefix) */
	bool		is_failed;		/* its state is not known: the transaction must
								 * abort, the connection will be closed */
	int			written_level;	/* lowest level that wrote; 0: none */
	int			first_level;	/* the same of what is on this connection only: all but
								 * what a first placement has, too */
	int			alone_level;	/* the same of what no other placement gets */
	uint32		given_up;		/* CzTxnGivenUp() when it was opened */
	bool		is_alive;		/* was looked at for the command that comes */
	TimestampTz looked_at;		/* when that was done last */
	CommandId	first_cid;		/* commands of this transaction that changed rows */
	CommandId	last_cid;		/* there; first_cid > last_cid: none */
	bool		has_utility;	/* DDL, TRUNCATE, ...: others wait for its locks */
	bool		follows;		/* commits in one phase, once it is decided */
	bool		is_late;		/* CzTxnLateBegin() was called */
	int			nsavepoints;
	int			max_savepoints;
	CzTxnSavepoint *savepoints;
	StringInfoData pending;		/* RELEASEs that go before the next command */
	List	   *constraints;	/* what it was told of them, see constraints.c */
	uint64		constraints_version;	/* of what it was told; 0: nothing */
	bool		prepare_sent;	/* may be prepared on the worker */
	bool		is_finished;	/* nothing left to do on the worker */
	char		gid[CZ_GID_LEN];
	char	   *finish_sql;		/* COMMIT PREPARED, made before the local commit */
	char	   *undo_sql;		/* ROLLBACK PREPARED */
} CzTxnEntry;

/* One command on one connection, run in parallel with others. */
typedef struct CzTxnCall
{
	CzConn	   *conn;
	const char *sql;			/* one command only if it has parameters */
	int			nparams;
	const char *const *values;	/* like lengths and formats as libpq takes them */
	const int  *lengths;
	const int  *formats;
	void	   *context;		/* the caller's */
	struct pg_result *result;	/* out: the first error, else the last result;
								 * NULL: connection broke or timeout; caller
								 * frees */
	bool		is_logged;		/* for cz.log_remote_commands */
	bool		is_done;		/* out */
	bool		is_timeout;		/* out, with result NULL */
	bool		was_sent;		/* out */
	struct pg_result *rows;		/* while they are coming; else NULL */
	TimestampTz last_heard;
} CzTxnCall;

typedef enum CzCallMode
{
	CZ_CALL_INTERRUPTIBLE,		/* CHECK_FOR_INTERRUPTS may throw */
	CZ_CALL_GRACE,				/* never throws; a cancel ends it after a second:
								 * the answer was wanted, but it may never come */
	CZ_CALL_FIRM,				/* never throws; a cancel does not end it: only a dead
								 * worker does */
	CZ_CALL_QUIET				/* never throws; for commit and abort callbacks */
} CzCallMode;

/* What the background workers do. */
typedef enum CzTask
{
	CZ_TASK_RECOVER,
	CZ_TASK_ANALYZE,
	CZ_TASK_HEALTH,				/* do the nodes answer? */
	CZ_TASK_REPAIR,				/* asked for by a session; else a part of RECOVER */
	CZ_TASK_MOVE,				/* of shards; movers.c */
	CZ_TASK_BACKGROUND			/* CzBackgroundStart */
} CzTask;

/* Those that have their rounds */
#define CZ_NTASKS 3

/* activity.c */
extern void CzActivityNote(CzTask task);
extern void CzActivityRoundBegin(CzTask task, uint64 *seen);
extern void CzActivityRoundEnd(CzTask task, uint64 seen, bool is_done);
extern bool CzActivityIsQuiet(Oid database_oid, CzTask task);
extern void CzActivityForget(List *database_oids);
extern int	CzActivityFencedBy(void);
extern void CzActivityNoteFenced(int epoch);

/* maintenance.c */
extern void CzFillWorker(BackgroundWorker *worker, Oid database_oid);

/* block.c */
extern void CzBlockInit(void);

/* movers.c */
extern void CzMoveMain(const char *extra);

/* connections.c */
extern List *cz_txn_entries;	/* of CzTxnEntry */
extern void CzTxnForgetAll(void);
extern CzTxnEntry *CzTxnOpenEntry(Oid user_oid, const CzEndpoint *endpoint, bool must_be);
extern void CzTxnBeginCommand(StringInfo buf);
extern void CzTxnForgetCommands(CzTxnEntry *entry);

/* What a command on a connection does, for CzTxnUseEntry(). */
typedef enum UseKind
{
	USE_READ,
	USE_LOCKS,					/* changes no row */
	USE_REPLICA,				/* rows that another placement has, too */
	USE_FIRST,					/* rows that others will have, too */
	USE_ROWS,
	USE_UTILITY
} UseKind;

extern CzTxnEntry *CzTxnFindEntry(Oid server_oid, Oid user_oid, CzEndpoint **endpoint_p);
extern CzTxnEntry *CzTxnOpenEntryBy(Oid user_oid, const CzEndpoint *endpoint,
									CzConn *(*connect) (const CzEndpoint *));
extern CzConn *CzTxnUseEntry(CzTxnEntry *entry, UseKind kind, StringInfo prefix);
extern CzConn *CzTxnUseConn(Oid server_oid, Oid user_oid, UseKind kind, StringInfo prefix);
extern void CzTxnSendPrefix(CzConn *conn, StringInfo prefix);
extern void CzTxnRequireClearFor(Oid server_oid, Oid user_oid);

extern List *cz_txn_detached;	/* those that were lost and are not needed */

/* lost_conn.c */
extern bool CzTxnConnIsUp(CzTxnEntry *entry);
extern bool CzTxnIsConnected(CzTxnEntry *entry);
extern void CzTxnCheckConnected(CzTxnEntry *entry);
extern bool CzTxnDetach(CzTxnEntry *entry);

/* commands.c */
extern void CzTxnExecLocks(List *commands, Oid user_oid);
extern void CzTxnCheckDeferred(void);

/* can_prepare.c */
extern void CzTxnCheckCanPrepare(const CzTxnEntry *new_entry, bool is_first);

/*
 * 55000: the connection's worker can't prepare transactions.  what: the verb, "write" or
 * "commit".
 */
pg_noreturn extern void CzTxnReportCannotPrepare(const CzConn *conn, const char *what);

/* constraints.c */
extern void CzConstraintsPrefix(CzTxnEntry *entry, StringInfo prefix);
extern bool CzConstraintsMayWait(void);
extern void CzConstraintsSubEnd(int level, bool is_commit);
extern void CzConstraintsForget(void);

/* flush.c */
extern int	CzTxnLevel(void);
extern bool CzTxnIsFlushing(void);
extern void CzTxnCommandsOfWrite(CommandId *first_cid, CommandId *last_cid);
extern bool CzTxnHasLostWrites(void);
extern void CzTxnCheckNotLost(void);
extern bool CzTxnHasFlushBelow(int level);
extern bool CzTxnHasFlushBefore(CommandId curcid);
extern void CzTxnFlushBefore(CommandId curcid);
extern void CzTxnDropFlushes(int level);

/* placements.c */
extern void CzTxnCheckPlacement(const CzShard *shard);
extern void CzTxnCheckReplaced(void);
extern void CzTxnMarkLost(void);
extern void CzTxnMarkOne(Oid table_relid, int64 shard_id, Oid server_oid,
						 const char *reason);
extern void CzTxnTellMarked(void);
extern void CzTxnForgetLost(void);

/* chain.c */
extern CzTxnEntry *CzTxnChainFirst(List *written, List **shards);
extern void CzTxnChainCommit(CzTxnEntry *first, List *written, List *shards,
							 bool *is_decided);

/* follow.c */
extern bool CzTxnFollowersChoose(List *written);
extern bool CzTxnFollowerHasCommitted(const CzTxnCall *call);
extern void CzTxnFollowerLost(const CzTxnEntry *entry);
extern void CzTxnFollowersForget(void);

/* dirty.c */
extern uint32 CzTxnGivenUp(Oid server_oid);
extern void CzTxnGiveUp(Oid server_oid);
extern void CzTxnTakeOverEnd(void);
extern bool CzTxnIsTakenOver(void);
extern void CzTxnInvalidateNow(Oid relid);
extern bool CzTxnDirtyUse(List *shards);
extern bool CzTxnDirtyInsert(List *shards);
extern void CzTxnDirtyUnsure(List *shards);
extern void CzTxnLateBegin(Oid server_oid);
extern void CzTxnLateEnd(Oid server_oid);
extern bool CzTxnIsLate(Oid server_oid);
extern void CzTxnDirtyCommitted(void);
extern void CzTxnDirtyForget(void);
extern bool CzTxnDirtyTidy(void);

/* subxact.c */
extern void CzTxnSubXactCallback(int event, int level);

/* calls.c */
extern void CzTxnRunCalls(CzTxnCall *calls, int ncalls, CzCallMode mode, int timeout_ms);
extern bool CzTxnRunCallsFor(CzTxnCall *calls, int ncalls, CzCallMode mode, int timeout_ms);
/* outside_scripts.c: commands are run by a session that may have locks of its own */
extern bool cz_runs_scripts;

extern void CzTxnRunCallsUntilOne(CzTxnCall *calls, int ncalls);
extern void CzTxnCancelMany(CzConn **conns, int nconns);
extern bool CzTxnQuietIdle(CzConn *conn, bool may_cancel, TimestampTz deadline);
extern bool CzTxnCallIsOk(const CzTxnCall *call);

/* shard_lock.c */
extern bool CzTxnLoseWritten(Oid server_oid);
extern void CzTxnAwaitTakeOvers(void);
extern void CzTxnCheckPlacements(void);
extern bool CzTxnWrittenShards(Oid first_oid, List **shards);
extern bool CzTxnShardsWrittenAt(Oid server_oid, List **shards);
extern void CzTxnWrittenShardSet(CzShardSet *set);
extern void CzTxnShardLockSubEnd(int level, bool is_commit);
extern void CzTxnShardLockForget(void);
extern void CzTxnLocalLock(int64 key, CzShardLock mode);
extern void CzTxnLocalUnlock(int64 key, CzShardLock mode);
extern bool CzTxnLocalLockTry(int64 key);
extern bool CzTxnLocalLockIsFree(int64 key);

/* Local lock that a transaction holds until it has sent all its COMMIT PREPARED,
 * by the nonce of its gid (keys of shards are positive) */
#define CZ_GID_LOCK(nonce) (-2 - (int64) (nonce))
/* Local lock that one round of recovery over all workers at a time holds */
#define CZ_RECOVERY_LOCK (-1)
/* Local lock of who marks placements inactive; shared: of who commits by followers */
#define CZ_STATE_LOCK (-((int64) 1 << 41))
/* Local lock of who makes placements whole */
#define CZ_REPAIR_LOCK (CZ_STATE_LOCK - 1)
/* Local lock of who finishes what is in doubt on a worker; below those of gids */
#define CZ_SERVER_LOCK(oid) (-((int64) 1 << 40) - (int64) (oid))

/* Length of a uuid as text, and of a version of the map: epoch, owner, hash */
#define UUID_TEXT_LEN 36
#define CZ_MAP_VERSION_LEN 63

/* identity.c */
typedef struct CzIdentity
{
	bool		exists;			/* else the extension's script is older */
	char		cluster_id[CZ_CLUSTER_ID_LEN + 1];
	int			epoch;
	int			first_epoch;	/* whose decisions are in our log */
	char		owner[CZ_OWNER_LEN + 1];	/* hash of cz.cluster_owner; empty: it is not
											 * the cluster's */
	int			fenced_by;		/* a later epoch that was seen on a worker; 0: none */
	bool		became_owner;	/* this server is the coordinator, or has been replaced */
	bool		is_owner;		/* this server is the coordinator */
	bool		is_promoted;	/* a standby of the coordinator that was promoted */
	bool		is_restored;	/* from a dump */
	bool		is_attached;	/* a coordinator beside the owner; then also, and owner is
								 * that one's mark: */
	char		coordinator_id[CZ_CLUSTER_ID_LEN + 1];
	char		token[UUID_TEXT_LEN + 1];	/* by which the owner knows it; never shown */
	char		owner_server[NAMEDATALEN];	/* the foreign server that is the owner */
	char		map_version[CZ_MAP_VERSION_LEN + 1];	/* of the map that is here */
	TimestampTz synced_at;
} CzIdentity;

extern void CzTxnIdentityInit(void);
extern bool CzTxnDecides(void);
extern const CzIdentity *CzTxnIdentity(void);
extern int	CzTxnTakeOver(bool force);
extern void CzTxnBeAnonymous(bool is_anonymous);
extern void CzTxnReportReplaced(const CzIdentity *self, const char *node_name);

/* attached.c */
extern bool CzAttachedEnter(const CzShard *const *shards, int nshards, CzShardLock mode,
							bool may_wait);
extern bool CzAttachedIsProxy(const CzTxnEntry *entry);
extern void CzAttachedCheckEntered(void);
extern void CzAttachedBeforeCommit(List *written);
extern void CzAttachedMarkLost(int64 shard_id, Oid table_relid, Oid server_oid,
							   const char *reason);
extern void CzAttachedSync(void);
extern void CzAttachedEnd(void);
extern void CzAttachedForget(void);

/* attached_owner.c */
extern void CzMapInit(void);
extern const char *CzTableFingerprint(const CzTable *table);
extern char *CzAttachedFingerprint(Oid relid);

/* fence.c */
extern int	CzFenceLatestEpoch(const CzIdentity *self, const char *here, bool *is_other);
extern void CzFenceAll(void);
extern bool CzFenceWorker(CzConn *conn);

/* Whose a prepared transaction is, by its name. */
typedef enum CzGidOwner
{
	CZ_GID_OF_US,				/* our log has its decision, if it has one */
	CZ_GID_OF_UNKNOWN_EPOCH,	/* our cluster's, decided before our log begins */
	CZ_GID_OF_OTHER				/* another cluster's or coordinator's */
} CzGidOwner;

typedef struct CzGidName
{
	CzGidOwner	whose;
	char	   *prefix;			/* all but the last number; palloc'd */
	uint64		fxid;
	uint32		nonce;
} CzGidName;

extern char *CzTxnGidBase(void);
extern bool CzTxnGidParse(const char *gid, CzGidName *name);

/* twophase.c */
extern bool CzTxnCanEndHere(void);
extern void CzTxnHoldInterrupts(void);
extern void CzTxnXactCallback(int event);

/* SQLSTATE of a prepared transaction that is not there (any more) */
#define CZ_SQLSTATE_UNDEFINED_OBJECT "42704"

/* room.c */
extern void CzRoomPlacementsChanged(void);
extern bool CzRoomLook(CzRoomLookState *look);
extern void CzRoomTake(void);
extern void CzRoomGive(void);

/* anchor.c */
extern void CzAnchorTake(bool is_exclusive);
extern bool CzAnchorGive(void);

/* snapshot.c */
extern void CzTxnJoinSnapshots(CzTxnEntry *entry);
extern void CzTxnForgetSnapshots(void);

/* doubt.c */
extern void CzTxnMarkInDoubt(Oid server_oid);
extern uint64 CzTxnDoubtGeneration(void);
extern void CzTxnMarkClear(Oid server_oid, uint64 generation);

/* recovery.c */
typedef enum CzRecovery
{
	CZ_RECOVERY_CLEAR,			/* nothing committed is unfinished there */
	CZ_RECOVERY_LEFT,
	CZ_RECOVERY_UNREACHABLE
} CzRecovery;

extern int	CzTxnRecover(int elevel, bool *is_done);
extern CzRecovery CzTxnRecoverServer(Oid server_oid, Oid user_oid, char **error);

/* log.c */
typedef struct CzLogRow
{
	char	   *gid_prefix;
	List	   *server_names;	/* of char * */
	bool		is_in_use;		/* a prepared transaction of it may be left */
} CzLogRow;

extern bool CzTxnLogExists(void);
extern void CzTxnLogInsert(const char *gid_prefix, List *server_names);
extern List *CzTxnLogRead(void);
extern void CzTxnLogTidy(List *rows, const char *only_server_name);
extern bool CzTxnLogContains(const char *gid_prefix);

/* single.c */
extern bool CzTxnIsSingle(void);
extern const char *CzTxnSingleCommittedOn(void);
extern void CzTxnSingleForget(void);

/* local.c */
extern bool CzTxnHasLocalWrites(void);

#endif							/* CZ_TRANSACTION_INT_H */
