/*-------------------------------------------------------------------------
 *
 * chain.c
 *	  Commit of shards with several placements where the first one decides.
 *
 * A transaction all of whose first placements are on one worker needs no second
 * phase: the worker's COMMIT is the decision, and the other placements commit after
 * it.  They can't refuse for what is in the rows: the first one had the same.
 *
 *	  1. everything is written everywhere
 *	  2. COMMIT on the first placements' worker: decided
 *	  3. COMMIT on the others
 *	  4. the local transaction ends; told to the user
 *
 * What fails when:
 *	  before 2		all is rolled back, as ever
 *	  in 2, no answer	nobody knows whether it is decided, so the others take over:
 *					the first placements are marked inactive by this transaction,
 *					then 3.  Who still writes at them notices that they were given
 *					up (CzTxnGivenUp) after he has met this transaction on another
 *					placement, and starts again.  Who writes there only from now on
 *					waits before his commit for the end of this transaction
 *					(CzTxnAwaitTakeOvers), and finds them inactive.
 *	  in 3			who did not commit is marked inactive by this transaction: the
 *					mark is committed before the user is told
 *	  a crash		the user was not told.  The shards are dirty (dirty.c): what the
 *					first placement has is copied before another one is used.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cz/counters.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "transaction_int.h"

/*
 * CzTxnChainFirst
 *		The entry of the first placements if all of them are on one worker and all that
 *		was written there is on others, too; else NULL.
 *
 * written: entries that wrote.
 * shards: out: what was written, const CzShard *.
 */
CzTxnEntry *
CzTxnChainFirst(List *written, List **shards)
{
	CzTxnEntry *first = NULL;
	ListCell   *lc;

	*shards = NIL;
	/* what a crash leaves behind must be known to the owner */
	if (CzTxnIsAttached())
		return NULL;
	foreach(lc, written)
	{
		CzTxnEntry *entry = lfirst(lc);

		if (entry->alone_level > 0 || (entry->first_level > 0 && first != NULL))
			return NULL;
		if (entry->first_level > 0)
			first = entry;
	}
	if (first == NULL || !CzTxnWrittenShards(first->server_oid, shards))
		return NULL;
	return first;
}

/* Lost placements are marked; an error here would leave them unmarked. */
static void
mark_lost(void)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		CzTxnMarkLost();
		/* who takes snapshots looks at the placements again */
		CzCommitRoomEnter(true);
	}
	PG_CATCH();
	{
		int			sqlstate = geterrcode();

		/* others have given up what this transaction has written: it is undone */
		if (sqlstate == ERRCODE_CONNECTION_FAILURE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		elog(PANIC, "could not mark placements that have missed a committed transaction");
	}
	PG_END_TRY();
}

/* Has a session ended because of a later coordinator? */
static bool
is_replaced(const CzTxnEntry *entry)
{
	CzEndpoint	endpoint;

	return CzConnEndpointOf(entry->conn, &endpoint) && CzProbeFenced(&endpoint, false);
}

/*
 * Nobody knows whether the first placements' worker has committed: do without them.
 *
 * Returns: false, and nothing has happened, if that can't be.
 */
static bool
take_over(CzTxnEntry *first, List *shards)
{
	ListCell   *lc;

	foreach(lc, shards)
	{
		if (!CzTxnMayLose(lfirst(lc), first->server_oid))
			return false;
	}
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = lfirst(lc);

		if (entry != first && entry->written_level > 0 &&
			(entry->is_failed || entry->conn->is_broken || !CzConnIsAlive(entry->conn)))
			return false;
	}
	if (is_replaced(first))
		return false;
	CzTxnGiveUp(first->server_oid);
	foreach(lc, shards)
		CzTxnLosePlacement(lfirst(lc), first->server_oid, "it has not confirmed a commit");
	mark_lost();
	return true;
}

/* COMMIT on the placements that follow; those that do not are left out. */
static void
commit_others(List *written, const CzTxnEntry *first, List *shards)
{
	CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * list_length(written));
	bool		is_lost = false;
	int			ncalls = 0;
	int			i;
	ListCell   *lc;

	foreach(lc, written)
	{
		CzTxnEntry *entry = lfirst(lc);

		if (entry == first)
			continue;
		calls[ncalls].conn = entry->conn;
		calls[ncalls].sql = "COMMIT";
		calls[ncalls].is_logged = true;
		calls[ncalls].context = entry;
		ncalls++;
	}
	CzDebugPoint("s_commit_sent");
	CzTxnRunCalls(calls, ncalls, CZ_CALL_QUIET, cz_worker_timeout_ms);
	for (i = 0; i < ncalls; i++)
	{
		CzTxnEntry *entry = calls[i].context;

		entry->is_finished = true;
		if (!CzTxnFollowerHasCommitted(&calls[i]))
		{
			if (calls[i].result == NULL)
			{
				entry->is_failed = true;
				CzHealthMarkFailed(entry->server_oid);
			}
			if (is_replaced(entry) || !CzTxnLoseWritten(entry->server_oid))
			{
				CzTxnDirtyUnsure(shards);
				CzCount(CZ_COUNT_IN_DOUBT);
				ereport(ERROR,
						(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
						 errmsg("connection to node \"%s\" was lost during COMMIT",
								entry->conn->node_name),
						 errdetail("It is not known whether the transaction was committed.")));
			}
			is_lost = true;
		}
		PQclear(calls[i].result);
	}
	pfree(calls);
	if (is_lost)
		mark_lost();
}

/*
 * CzTxnChainCommit
 *		Steps 2 and 3 of the head comment.  The caller holds interrupts, until the local
 *		transaction has ended.
 *
 * is_decided: out: set as soon as it is.
 * Errors: the first worker's own, if it refused; 08007.
 */
void
CzTxnChainCommit(CzTxnEntry *first, List *written, List *shards, bool *is_decided)
{
	CzTxnCall	call;

	memset(&call, 0, sizeof(call));
	call.conn = first->conn;
	call.sql = "COMMIT";
	call.is_logged = true;
	CzDebugPoint("p_commit_sent");
	CzTxnRunCalls(&call, 1, CZ_CALL_FIRM, -1);
	first->is_finished = true;
	if (call.result == NULL)
	{
		first->is_failed = true;
		CzHealthMarkFailed(first->server_oid);
		if (!take_over(first, shards))
		{
			CzTxnDirtyUnsure(shards);
			CzCount(CZ_COUNT_IN_DOUBT);
			ereport(ERROR,
					(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
					 errmsg("connection to node \"%s\" was lost during COMMIT",
							first->conn->node_name),
					 errdetail("It is not known whether the transaction was committed."),
					 errhint("Look at the data before you repeat the transaction.")));
		}
	}
	else if (!CzTxnCallIsOk(&call))
		CzReportRemoteError(ERROR, call.result, first->conn->pg, first->conn->node_name,
							call.sql, true);
	else if (!CzTxnFollowerHasCommitted(&call))
	{
		PQclear(call.result);
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_ROLLBACK),
				 errmsg("node \"%s\" rolled the transaction back", first->conn->node_name)));
	}
	PQclear(call.result);
	*is_decided = true;
	CzDebugPoint("p_committed");
	commit_others(written, first, shards);
	CzDebugPoint("after_commit");
}
