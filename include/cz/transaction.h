/*-------------------------------------------------------------------------
 *
 * transaction.h
 *	  The remote side of the current transaction: one connection per worker
 *	  and user, its savepoints, plain or two-phase commit, recovery.
 *
 * The rule: what was written through a connection is read through it, so a
 * transaction has at most one connection of state TXN per worker and user.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_TRANSACTION_H
#define CZ_TRANSACTION_H

#include "cz/metadata.h"
#include "cz/remote.h"

extern void CzTransactionInit(void);

/*
 * CzTxnConn
 *		The current transaction's connection to a worker, with BEGIN sent and
 *		savepoints in step with the current subtransaction; drained (nobody
 *		else is reading from it).  Drain errors are raised here.
 *
 * Returns: owned by the transaction, borrowed until its end.
 * Errors:  as CzConnAcquire; 25006 in a read-only transaction if for_write.
 *		for_write marks it as written: commit will include it.
 */
extern CzConn *CzTxnConn(Oid server_oid, Oid user_oid, bool for_write);

/* The same if the transaction has one already, else NULL.  Savepoints in step. */
extern CzConn *CzTxnConnIfAny(Oid server_oid, Oid user_oid);

/*
 * CzTxnReadConn
 *		What a read must use: the transaction's connection if it has one for
 *		this worker, or if the isolation level is REPEATABLE READ or higher;
 *		NULL if the read may use any connection of the cache.
 */
extern CzConn *CzTxnReadConn(Oid server_oid, Oid user_oid);

/* Has the transaction written through any connection? */
extern bool CzTxnHasWritten(void);

/* Run one command that returns no rows on a worker, within the transaction. */
extern void CzTxnExec(Oid server_oid, Oid user_oid, const char *sql);

/* Run one command on every placement of a shard, within the transaction. */
extern void CzTxnExecOnShard(const CzShard *shard, Oid user_oid, const char *sql);

typedef enum CzShardLock
{
	CZ_LOCK_SHARED,				/* plain INSERT, COPY */
	CZ_LOCK_EXCLUSIVE			/* UPDATE, DELETE, TRUNCATE, ... */
} CzShardLock;

/*
 * CzTxnLockShard
 *		Keep replicas from diverging: a transaction-level advisory lock for the
 *		shard on its first placement, before any placement sees a write.  Does
 *		nothing for a shard with one placement; idempotent in a transaction.
 */
extern void CzTxnLockShard(const CzShard *shard, Oid user_oid, CzShardLock mode);
extern void CzTxnLockShards(const CzShard *const *shards, int nshards, Oid user_oid,
							CzShardLock mode);

/* Background worker that resolves what crashes left; also recover_prepared_transactions(). */
extern PGDLLEXPORT void CzMaintenanceMain(Datum arg);

#endif							/* CZ_TRANSACTION_H */
