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

#include "cz/transaction.h"
#include "utils/timestamp.h"

/* cz_<system id>_<database>_<full xid>_<nonce>_<n>: 3+20+1+10+1+20+1+8+1+10 */
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
	bool		holds_shard_lock;	/* first placement of a locked shard: commits
									 * last */
	int			nsavepoints;
	int			max_savepoints;
	CzTxnSavepoint *savepoints;
	StringInfoData pending;		/* RELEASEs that go before the next command */
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
	const char *sql;
	void	   *context;		/* the caller's */
	struct pg_result *result;	/* out: the first error, else the last result;
								 * NULL: connection broke or timeout; caller
								 * frees */
	bool		is_logged;		/* for cz.log_remote_commands */
	bool		is_done;		/* out */
	bool		is_timeout;		/* out, with result NULL */
	bool		was_sent;		/* out */
	TimestampTz last_heard;
} CzTxnCall;

typedef enum CzCallMode
{
	CZ_CALL_INTERRUPTIBLE,		/* CHECK_FOR_INTERRUPTS may throw */
	CZ_CALL_GRACE,				/* never throws; a cancel ends it after a second:
								 * the answer was wanted, but it may never come */
	CZ_CALL_QUIET				/* never throws; for commit and abort callbacks */
} CzCallMode;

/* connections.c */
extern List *cz_txn_entries;	/* of CzTxnEntry */
extern void CzTxnSubXactCallback(int event, int level);
extern void CzTxnForgetAll(void);
extern int	CzTxnLevel(void);
extern void CzTxnDropFlushes(int level);
extern CzTxnEntry *CzTxnEntryOf(CzConn *conn);

/* calls.c */
extern void CzTxnRunCalls(CzTxnCall *calls, int ncalls, CzCallMode mode, int timeout_ms);
extern void CzTxnCancelMany(CzConn **conns, int nconns);
extern bool CzTxnQuietIdle(CzConn *conn, bool may_cancel, TimestampTz deadline);
extern bool CzTxnCallIsOk(const CzTxnCall *call);

/* shard_lock.c */
extern void CzTxnShardLockSubEnd(int level, bool is_commit);
extern void CzTxnShardLockForget(void);
extern void CzTxnLocalLock(int64 key, CzShardLock mode);
extern void CzTxnLocalUnlock(int64 key, CzShardLock mode);
extern bool CzTxnLocalLockIsFree(int64 key);

/* Local lock that a transaction holds until it has sent all its COMMIT PREPARED,
 * by the nonce of its gid (keys of shards are positive, -1 is recovery's) */
#define CZ_GID_LOCK(nonce) (-2 - (int64) (nonce))

/* twophase.c */
extern void CzTxnXactCallback(int event);
extern char *CzTxnGidPrefix(void);

/* doubt.c */
extern void CzTxnMarkInDoubt(Oid server_oid);
extern uint64 CzTxnDoubtGeneration(void);
extern void CzTxnMarkClear(Oid server_oid, uint64 generation);
extern void CzTxnResolveDoubt(Oid server_oid);

/* recovery.c */
extern int	CzTxnRecover(Oid only_server_oid, int elevel);
extern void CzTxnLogInsert(const char *gid_prefix, List *server_oids);
extern bool CzTxnLogExists(void);

#endif							/* CZ_TRANSACTION_INT_H */
