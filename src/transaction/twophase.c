/*-------------------------------------------------------------------------
 *
 * twophase.c
 *	  Commit and abort: all nodes agree, whatever breaks.
 *
 * Plain commit: exactly one connection wrote and the local transaction has
 * nothing to commit itself.  The worker's COMMIT is then the decision; if its
 * answer is lost the outcome is not known and 08007 says so.  What core does after
 * it must not fail: a serializable transaction, one with pending notifications and
 * one that has used temporary tables (ON COMMIT) take two phases.  (What is left are
 * callbacks of libraries that were preloaded before this one.)
 *
 * One placement after the other (chain.c): the first placements of all that was written
 * are on one worker, and nothing here must be committed.
 *
 * Two-phase commit otherwise.  States of a written connection:
 *
 *	  open -> PREPARE sent -> prepared -> (local commit) -> committed
 *		\----------\-------------\---> rolled back
 *
 * The decision is the local commit record: the transaction inserts a row into
 * cz.transaction_log under the prefix of its gids and commits with a forced
 * flush.  Invariant: COMMIT PREPARED is sent only when that row is committed,
 * ROLLBACK PREPARED only when it never can be.  After the local commit nothing
 * may fail: what a worker does not answer is left to recovery.c.
 *
 * Only connections with first placements are prepared.  What others have, copies of
 * reference tables among them, commits in one phase after the decision (follow.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/async.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "cz/counters.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* SQLSTATE of PREPARE TRANSACTION where that is disabled */
#define SQLSTATE_NOT_IN_PREREQUISITE_STATE "55000"

/* Milliseconds that a commit gets although other workers took all the time */
#define LAST_WAVE_MS 1000L

/* How long those wait who take snapshots, before a worker counts as in doubt */
#define ROOM_MS 1000L

/* A worker has committed: interrupts wait for the end of the transaction */
static bool holds_interrupts = false;

static bool
has_sqlstate(const PGresult *res, const char *sqlstate)
{
	const char *got = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	return got != NULL && strcmp(got, sqlstate) == 0;
}

/* Raise what a call of the commit failed with; consumes its result. */
static void
raise_call(CzTxnCall *call, const char *what)
{
	CzConn	   *conn = call->conn;

	if (call->result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to node \"%s\" was lost during %s",
						conn->node_name, what)));
	CzReportRemoteError(ERROR, call->result, conn->pg, conn->node_name, call->sql, true);
}

/*
 * has_notifications
 *		Has the transaction executed NOTIFY (pg_notify(), LISTEN)?  Core tells that
 *		only by refusing to prepare it.
 */
static bool
has_notifications(void)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool result = false;

	PG_TRY();
	{
		AtPrepare_Notify();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		result = true;
	}
	PG_END_TRY();
	return result;
}

/*
 * end_reads
 *		COMMIT on the connections that only read (or whose writes were rolled
 *		back), in parallel.  An error here aborts the transaction.
 */
static void
end_reads(void)
{
	CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * list_length(cz_txn_entries));
	int			ncalls = 0;
	int			i;
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->written_level > 0 || CzAttachedIsProxy(entry))
			continue;
		if (!entry->has_begun)
		{
			entry->is_finished = true;
			continue;
		}
		calls[ncalls].conn = entry->conn;
		calls[ncalls].is_logged = true;
		calls[ncalls].sql = "COMMIT";
		calls[ncalls].context = entry;
		ncalls++;
	}
	CzTxnRunCalls(calls, ncalls, CZ_CALL_INTERRUPTIBLE, -1);
	for (i = 0; i < ncalls; i++)
	{
		CzTxnEntry *entry = (CzTxnEntry *) calls[i].context;

		/* A reader that died after its last row has done its work. */
		if (calls[i].result == NULL)
			entry->is_failed = true;
		else if (!CzTxnCallIsOk(&calls[i]) && IsolationIsSerializable())
			raise_call(&calls[i], "COMMIT");
		entry->is_finished = true;
		PQclear(calls[i].result);
	}
	pfree(calls);
}

/*
 * CzTxnHoldInterrupts
 *		A worker has committed: too late for a cancel, now or until core has ended the
 *		transaction.
 */
void
CzTxnHoldInterrupts(void)
{
	QueryCancelPending = false;
	HOLD_INTERRUPTS();
	holds_interrupts = true;
}

/*
 * commit_one
 *		Plain commit of the only written connection.
 */
static void
commit_one(CzTxnEntry *entry)
{
	CzTxnCall	call;

	memset(&call, 0, sizeof(call));
	call.conn = entry->conn;
	call.sql = "COMMIT";
	call.is_logged = true;
	CzDebugPoint("before_commit");
	CHECK_FOR_INTERRUPTS();

	/* From here on any error but the worker's own says that the outcome is open. */
	CzTxnRunCalls(&call, 1, CZ_CALL_GRACE, -1);
	entry->is_finished = true;
	if (call.result == NULL)
	{
		entry->is_failed = true;
		CzCount(CZ_COUNT_IN_DOUBT);
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 call.is_timeout && QueryCancelPending ?
				 errmsg("canceled while waiting for node \"%s\" to commit",
						entry->conn->node_name) :
				 errmsg("connection to node \"%s\" was lost during COMMIT",
						entry->conn->node_name),
				 errdetail("It is not known whether the transaction was committed."),
				 errhint("Look at the data before you repeat the transaction.")));
	}
	if (!CzTxnCallIsOk(&call))
		raise_call(&call, "COMMIT");

	/* COMMIT of an aborted transaction is answered with the tag ROLLBACK. */
	if (strcmp(PQcmdStatus(call.result), "COMMIT") != 0)
	{
		PQclear(call.result);
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_ROLLBACK),
				 errmsg("node \"%s\" rolled the transaction back", entry->conn->node_name)));
	}
	PQclear(call.result);

	CzTxnHoldInterrupts();
	CzCount(CZ_COUNT_COMMIT_ONE);
	CzDebugPoint("after_commit");
}

/* PREPARE TRANSACTION failed: say why, clearly where we know it. */
static void
raise_prepare(CzTxnCall *call)
{
	if (has_sqlstate(call->result, SQLSTATE_NOT_IN_PREREQUISITE_STATE))
	{
		PQclear(call->result);
		CzTxnReportCannotPrepare(call->conn, "commit");
	}
	raise_call(call, "PREPARE TRANSACTION");
}

/*
 * next_nonce
 *		What tells two transactions of one xid apart: one that was not flushed to WAL
 *		before a crash is given out again.  So each session begins anywhere; from there
 *		on the steps only have to keep away from what other sessions have.
 */
static uint32
next_nonce(void)
{
	static bool has_begun = false;
	static uint32 nonce;

	if (!has_begun && !pg_strong_random(&nonce, sizeof(nonce)))
		nonce = (uint32) GetCurrentTimestamp() ^ ((uint32) MyProcPid << 16);
	has_begun = true;
	nonce += 0x9E3779B1;		/* odd: 2^32 steps until one comes again */
	return nonce;
}

/*
 * The answer to PREPARE was lost: can the transaction do without that worker?  What it
 * may have prepared is finished as the decision says, when it is back.
 */
static bool
lose_prepared(CzTxnEntry *entry)
{
	if (entry->first_level > 0 || !CzTxnLoseWritten(entry->server_oid))
		return false;
	entry->is_failed = true;
	entry->is_finished = true;
	CzHealthMarkFailed(entry->server_oid);
	CzTxnMarkInDoubt(entry->server_oid);
	return true;
}

/*
 * prepare_all
 *		First phase, of those that do not follow:
 *		1. name the transaction, make every text that later steps need;
 *		2. write the decision row;
 *		3. PREPARE TRANSACTION everywhere at once.
 */
static void
prepare_all(List *written)
{
	CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * list_length(written));
	MemoryContext old;
	List	   *servers = NIL;
	List	   *names = NIL;
	char	   *prefix;
	char	   *base;
	uint32		nonce;
	int			ncalls = 0;
	int			bad = -1;
	bool		is_lost = false;
	int			i;
	ListCell   *lc;

	nonce = next_nonce();
	CzTxnLocalLock(CZ_GID_LOCK(nonce), CZ_LOCK_EXCLUSIVE);
	base = CzTxnGidBase();
	prefix = psprintf("%s" UINT64_FORMAT "_%08x", base,
					  U64FromFullTransactionId(GetTopFullTransactionId()), nonce);

	old = MemoryContextSwitchTo(TopTransactionContext);
	foreach(lc, written)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->follows)
			continue;
		snprintf(entry->gid, sizeof(entry->gid), "%s_%d", prefix,
				 foreach_current_index(lc));
		entry->finish_sql = psprintf("COMMIT PREPARED '%s'", entry->gid);
		entry->undo_sql = psprintf("ROLLBACK PREPARED '%s'", entry->gid);
		calls[ncalls].conn = entry->conn;
		calls[ncalls].is_logged = true;
		calls[ncalls].sql = psprintf("PREPARE TRANSACTION '%s'", entry->gid);
		calls[ncalls].context = entry;
		ncalls++;
		if (!list_member_oid(servers, entry->server_oid))
			names = lappend(names, entry->conn->node_name);
		servers = list_append_unique_oid(servers, entry->server_oid);
	}
	MemoryContextSwitchTo(old);

	/*
	 * Without the table the extension is being dropped by this very
	 * transaction: nobody will recover what a crash leaves from here on.
	 */
	if (CzTxnLogExists())
	{
		CzTxnLogInsert(prefix, names);
		CzActivityNote(CZ_TASK_RECOVER);
	}

	CzDebugPoint("before_prepare");
	CHECK_FOR_INTERRUPTS();

	for (i = 0; i < ncalls; i++)
		((CzTxnEntry *) calls[i].context)->prepare_sent = true;
	CzTxnRunCalls(calls, ncalls, CZ_CALL_INTERRUPTIBLE, -1);

	for (i = 0; i < ncalls; i++)
	{
		bool		is_prepared = CzTxnCallIsOk(&calls[i]) &&
			strcmp(PQcmdStatus(calls[i].result), "PREPARE TRANSACTION") == 0;

		/* PREPARE of an aborted transaction is answered with ROLLBACK. */
		if (!is_prepared && calls[i].result == NULL && lose_prepared(calls[i].context))
			is_lost = true;
		else if (!is_prepared && bad < 0)
			bad = i;
		else
			PQclear(calls[i].result);
	}
	if (bad >= 0)
	{
		if (CzTxnCallIsOk(&calls[bad]))
		{
			PQclear(calls[bad].result);
			ereport(ERROR,
					(errcode(ERRCODE_TRANSACTION_ROLLBACK),
					 errmsg("node \"%s\" rolled the transaction back",
							calls[bad].conn->node_name)));
		}
		raise_prepare(&calls[bad]);
	}

	if (is_lost)
	{
		CzTxnCheckReplaced();
		CzTxnMarkLost();
		CzTxnCheckPlacements();
	}
	pfree(calls);
	list_free(servers);
	list_free(names);
}

/*
 * commit_with_record
 *		All that is to be done before the local commit record, which is the decision and
 *		must be flushed.
 */
static void
commit_with_record(List *written)
{
	bool		writes_here = CzTxnHasLocalWrites();

	/* the decision has the number of this transaction, also if nothing else has */
	(void) GetTopTransactionId();
	if (!CzTxnFollowersChoose(written))
		prepare_all(written);
	else
		CzDebugPoint("before_prepare");
	ForceSyncCommit();
	CzDebugPoint("after_prepare");
	CHECK_FOR_INTERRUPTS();
	CzCommitRoomEnter(writes_here || CzTxnHasLost());
	if (list_length(written) > 1)
		CzAnchorTake(false);
}

/*
 * CzTxnCanEndHere
 *		Is nothing left to do here, once a worker has committed, that could fail?  A
 *		serializable transaction still may, and so may the notifications (the queue is
 *		full, its lock is waited for) and ON COMMIT actions on temporary tables.
 */
bool
CzTxnCanEndHere(void)
{
	return !IsolationIsSerializable() && !CzTxnHasLocalWrites() &&
		(MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) == 0 && !has_notifications();
}

/*
 * commit_unprepared
 *		COMMIT on all connections at once, as the user's setting has it: before the local
 *		commit, and not all or nothing.
 */
static void
commit_unprepared(List *written)
{
	CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * list_length(written));
	int			ncommitted = 0;
	int			bad = -1;
	bool		was_answered;
	int			i;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	foreach(lc, written)
	{
		CzTxnCall  *call = &calls[foreach_current_index(lc)];

		call->conn = ((CzTxnEntry *) lfirst(lc))->conn;
		call->sql = "COMMIT";
		call->is_logged = true;
	}
	CzTxnRunCalls(calls, list_length(written), CZ_CALL_GRACE, -1);
	for (i = 0; i < list_length(written); i++)
	{
		CzTxnEntry *entry = list_nth(written, i);

		entry->is_failed = calls[i].result == NULL;
		entry->is_finished = true;
		if (CzTxnCallIsOk(&calls[i]) && strcmp(PQcmdStatus(calls[i].result), "COMMIT") == 0)
			ncommitted++;
		else if (bad < 0)
		{
			bad = i;
			continue;
		}
		PQclear(calls[i].result);
	}
	if (bad < 0)
	{
		CzCount(CZ_COUNT_COMMIT_UNPREPARED);
		return;
	}
	was_answered = calls[bad].result != NULL;
	PQclear(calls[bad].result);
	if (ncommitted > 0 || !was_answered)
		CzCount(CZ_COUNT_IN_DOUBT);
	ereport(ERROR,
			(errcode(ncommitted == 0 && was_answered ?
					 ERRCODE_TRANSACTION_ROLLBACK : ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("node \"%s\" has not committed", calls[bad].conn->node_name),
			 errdetail("%d of %d nodes have.", ncommitted, list_length(written)),
			 errhint("cz.one_phase_commit is on: look at the data.")));
}

/*
 * commit_several
 *		Several connections wrote, and nothing here must be committed.
 */
static void
commit_several(List *written)
{
	List	   *shards;
	CzTxnEntry *first = CzTxnChainFirst(written, &shards);

	if (first == NULL || !CzTxnDirtyUse(shards))
	{
		/* the next transaction can go the other way */
		commit_with_record(written);
		return;
	}
	CzDebugPoint("before_commit");
	CHECK_FOR_INTERRUPTS();
	HOLD_INTERRUPTS();
	if (list_length(shards) > 1)
	{
		CzCommitRoomEnter(false);
		CzAnchorTake(false);
	}
	CzPlacementsEnter();
	CzTxnChainCommit(first, written, shards, &holds_interrupts);
	CzCount(CZ_COUNT_COMMIT_CHAIN);
	QueryCancelPending = false;
}

/*
 * pre_commit
 *		Everything that can fail, before the local commit record.
 */
static void
pre_commit(void)
{
	List	   *written = NIL;
	List	   *all;
	ListCell   *lc;

	CzTxnFlushPending();
	if (cz_txn_entries == NIL && !CzTxnHasLost())
		return;
	CzTxnCheckDeferred();

	all = list_copy(cz_txn_entries);
	foreach(lc, all)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->conn->busy_owner != NULL)
			CzConnDrain(entry->conn);
		if (entry->written_level > 0)
		{
			/* a session that has ended rolled back: COMMIT would not be sure of it */
			if (!CzTxnIsConnected(entry))
			{
				if (CzTxnDetach(entry))
					continue;
				ereport(ERROR,
						(errcode(ERRCODE_CONNECTION_FAILURE),
						 errmsg("connection to node \"%s\" was lost during the transaction",
								entry->conn->node_name)));
			}
			written = lappend(written, entry);
		}
	}
	list_free(all);

	end_reads();
	/* one worker's commit alone is all of it */
	if (list_length(written) > 1 || CzTxnHasLost() || (written != NIL && !CzTxnCanEndHere()))
		CzGateEnter();
	CzTxnCheckReplaced();
	CzTxnMarkLost();
	if (written == NIL)
		return;
	CzAttachedBeforeCommit(written);
	CzTxnCheckPlacements();
	CzActivityNote(CZ_TASK_ANALYZE);

	/* else a worker's commit must not be the decision */
	if (cz_one_phase_commit && list_length(written) > 1)
		commit_unprepared(written);
	else if (!CzTxnCanEndHere())
		commit_with_record(written);
	else if (list_length(written) == 1)
		commit_one((CzTxnEntry *) linitial(written));
	else
		commit_several(written);
	list_free(written);
}

/*
 * A worker takes its time to confirm.  Those who take snapshots do not wait for that: the
 * workers that are not done are in doubt for them.
 */
static void
leave_room_early(void)
{
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->prepare_sent && !entry->is_finished)
			CzTxnMarkInDoubt(entry->server_oid);
		if (entry->follows && !entry->is_finished && !entry->is_late)
		{
			entry->is_late = true;
			CzTxnLateBegin(entry->server_oid);
		}
	}
	CzCommitRoomLeave();
}

/* What a follower has answered. */
static void
end_follower(CzTxnEntry *entry, CzTxnCall *call)
{
	if (call->result == NULL)
	{
		entry->is_failed = true;
		CzHealthMarkFailed(entry->server_oid);
	}
	if (!CzTxnFollowerHasCommitted(call))
		CzTxnFollowerLost(entry);
	if (entry->is_late)
		CzTxnLateEnd(entry->server_oid);
}

/*
 * COMMIT PREPARED on some entries, COMMIT on followers; failures are warnings.
 *
 * left_ms: time that all of them together may still take, counted down; who comes
 *		after it is over gets a little all the same.
 */
static void
commit_prepared(CzTxnCall *calls, int ncalls, long *left_ms)
{
	TimestampTz start = GetCurrentTimestamp();
	long		limit_ms = Min(Max(*left_ms, LAST_WAVE_MS), cz_worker_timeout_ms);
	int			i;

	if (limit_ms > ROOM_MS &&
		!CzTxnRunCallsFor(calls, ncalls, CZ_CALL_QUIET, ROOM_MS))
	{
		leave_room_early();
		limit_ms -= ROOM_MS;
	}
	CzTxnRunCalls(calls, ncalls, CZ_CALL_QUIET, limit_ms);
	*left_ms -= TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
	for (i = 0; i < ncalls; i++)
	{
		CzTxnEntry *entry = (CzTxnEntry *) calls[i].context;

		/*
		 * Nobody else finishes it while this transaction holds its lock: if it is
		 * gone somebody did it by hand, or a server that believes that it is the
		 * coordinator did.
		 */
		if (entry->follows)
			end_follower(entry, &calls[i]);
		else if (has_sqlstate(calls[i].result, CZ_SQLSTATE_UNDEFINED_OBJECT))
		{
			CzTxnMarkInDoubt(entry->server_oid);
			ereport(WARNING,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("node \"%s\" does not have the prepared transaction \"%s\" any more",
							entry->conn->node_name, entry->gid),
					 errdetail("The transaction is committed; its part on that node was finished by somebody else, and may have been rolled back."),
					 errhint("Compare the rows on that node, and see that no other server acts as the coordinator of this cluster.")));
		}
		else if (!CzTxnCallIsOk(&calls[i]))
		{
			CzTxnMarkInDoubt(entry->server_oid);
			if (calls[i].result == NULL)
			{
				entry->is_failed = true;
				if (calls[i].is_timeout)
					CzHealthMarkFailed(entry->server_oid);
			}
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("node \"%s\" has not confirmed the commit yet",
							entry->conn->node_name),
					 errdetail("The transaction is committed; its part on that node is prepared as \"%s\".",
							   entry->gid),
					 errhint("It is finished when the node can be reached again.")));
		}
		PQclear(calls[i].result);
		entry->is_finished = true;
	}
}

/* Has a connection locked rows, and changed none? */
static bool
has_only_locks(const CzTxnEntry *entry)
{
	return entry->first_cid > entry->last_cid && !entry->has_utility;
}

/*
 * commit_wave
 *		Second phase of the entries that are not finished.
 *
 * limit: so many of them, of those that are prepared first; 0: of those only, but all.
 */
static void
commit_wave(int limit, long *left_ms)
{
	CzTxnCall	calls[64];		/* more go in turns: no memory needed here */
	int			ncalls = 0;
	int			pass;
	bool		has_written = false;
	ListCell   *lc;

	for (pass = 0; pass < (limit == 0 ? 2 : 3); pass++)
	{
		foreach(lc, cz_txn_entries)
		{
			CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

			if (entry->is_finished || limit < 0 ||
				!(pass == 2 ? entry->follows :
				  entry->prepare_sent && (pass == 1) == has_only_locks(entry)))
				continue;
			/* who waits for the locks sees what was written under them */
			if (pass == 1 && has_written && ncalls > 0)
			{
				commit_prepared(calls, ncalls, left_ms);
				ncalls = 0;
				has_written = false;
			}
			has_written |= pass == 0;
			memset(&calls[ncalls], 0, sizeof(CzTxnCall));
			calls[ncalls].conn = entry->conn;
			calls[ncalls].is_logged = true;
			calls[ncalls].sql = entry->follows ? "COMMIT" : entry->finish_sql;
			calls[ncalls].context = entry;
			ncalls++;
			if (limit > 0 && --limit == 0)
				limit = -1;
			if (ncalls == lengthof(calls))
			{
				commit_prepared(calls, ncalls, left_ms);
				ncalls = 0;
			}
		}
	}
	commit_prepared(calls, ncalls, left_ms);
}

/*
 * post_commit
 *		Second phase, after the local commit.  Nothing may throw.
 */
static void
post_commit(void)
{
	long		left_ms = cz_worker_timeout_ms;
	bool		has_prepared = false;
	bool		has_followers = false;
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		has_prepared |= ((CzTxnEntry *) lfirst(lc))->prepare_sent;
		has_followers |= ((CzTxnEntry *) lfirst(lc))->follows;
	}
	if (!has_prepared && !has_followers)
		return;
	if (has_prepared)
		CzActivityNote(CZ_TASK_RECOVER);

	CzDebugPoint("after_local_commit");
	/* tests want to stop between the first and the rest */
	if (cz_debug_point != NULL && cz_debug_point[0] != '\0')
	{
		commit_wave(1, &left_ms);
		CzDebugPoint("during_commit_prepared");
		commit_wave(0, &left_ms);
		CzDebugPoint("s_commit_sent");
	}
	commit_wave(PG_INT32_MAX, &left_ms);
	CzDebugPoint("after_commit");
}

/*
 * abort_all
 *		Roll back on every worker; never throws.  A PREPARE that was sent may or
 *		may not have happened: ROLLBACK PREPARED where the connection is idle.
 *		Where the connection is gone recovery.c finds the orphan.
 */
static void
abort_all(void)
{
	CzTxnCall  *calls;
	CzConn	  **busy;
	TimestampTz deadline;
	int			nbusy = 0;
	int			ncalls = 0;
	int			i;
	ListCell   *lc;

	if (cz_txn_entries == NIL)
		return;
	calls = palloc0(sizeof(CzTxnCall) * list_length(cz_txn_entries));
	busy = palloc(sizeof(CzConn *) * list_length(cz_txn_entries));
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->conn != NULL && !entry->is_failed && !entry->prepare_sent &&
			!entry->conn->is_broken && !in_error_recursion_trouble() &&
			PQtransactionStatus(entry->conn->pg) == PQTRANS_ACTIVE)
			busy[nbusy++] = entry->conn;
	}
	CzTxnCancelMany(busy, nbusy);
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), cz_worker_timeout_ms);

	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);
		PGTransactionStatusType status;

		if (entry->conn == NULL || entry->is_failed)
			continue;
		if (in_error_recursion_trouble() ||
			!CzTxnQuietIdle(entry->conn, !entry->prepare_sent, deadline))
		{
			entry->is_failed = true;
			if (entry->prepare_sent)
				CzTxnMarkInDoubt(entry->server_oid);
			continue;
		}
		status = PQtransactionStatus(entry->conn->pg);
		if (status == PQTRANS_IDLE && !entry->prepare_sent)
			continue;
		calls[ncalls].conn = entry->conn;
		calls[ncalls].is_logged = true;
		calls[ncalls].sql = status == PQTRANS_IDLE ? entry->undo_sql : "ROLLBACK";
		calls[ncalls].context = entry;
		ncalls++;
	}

	CzTxnRunCalls(calls, ncalls, CZ_CALL_QUIET, cz_worker_timeout_ms);
	for (i = 0; i < ncalls; i++)
	{
		if (!CzTxnCallIsOk(&calls[i]) &&
			!has_sqlstate(calls[i].result, CZ_SQLSTATE_UNDEFINED_OBJECT))
		{
			CzTxnEntry *entry = (CzTxnEntry *) calls[i].context;

			entry->is_failed = true;
			if (entry->prepare_sent)
				CzTxnMarkInDoubt(entry->server_oid);
		}
		PQclear(calls[i].result);
	}
}

/*
 * release_all
 *		Give the connections back; those whose state is not known are closed.
 */
static void
release_all(void)
{
	ListCell   *lc;

	foreach(lc, cz_txn_detached)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		entry->conn->busy_owner = NULL;
		entry->conn->busy_drain = NULL;
		CzConnDiscard(entry->conn);
	}
	cz_txn_detached = NIL;
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);
		CzConn	   *conn = entry->conn;

		if (conn == NULL)
			continue;
		entry->conn = NULL;
		conn->busy_owner = NULL;
		conn->busy_drain = NULL;
		conn->txn_depth = 0;
		conn->txn_has_written = false;
		if (entry->is_failed || conn->is_broken ||
			PQstatus(conn->pg) != CONNECTION_OK ||
			PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
			CzConnDiscard(conn);
		else
			CzConnRelease(conn);
	}
	CzTxnForgetAll();
}

static void
report_committed(const char *node_name)
{
	CzCount(CZ_COUNT_IN_DOUBT);
	ereport(WARNING,
			(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("the transaction that failed is committed on node \"%s\"", node_name)));
}

/* An error came after the worker's commit: at least say so. */
static void
warn_of_commit(void)
{
	ListCell   *lc;

	/* the error has let interrupts go */
	if (!holds_interrupts)
		return;
	holds_interrupts = false;
	if (CzTxnSingleCommittedOn() != NULL)
		report_committed(CzTxnSingleCommittedOn());
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->written_level > 0 && entry->is_finished && entry->conn != NULL)
			report_committed(entry->conn->node_name);
	}
}

static void
count_two_phase(void)
{
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		if (((CzTxnEntry *) lfirst(lc))->prepare_sent)
		{
			CzCount(CZ_COUNT_COMMIT_TWO_PHASE);
			return;
		}
	}
}

/*
 * CzTxnXactCallback
 *		Follow the local transaction.
 */
void
CzTxnXactCallback(int event)
{
	switch ((XactEvent) event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			/* also without workers: who reads there has to know */
			if (cz_inactive_changed && TransactionIdIsValid(GetTopTransactionIdIfAny()))
			{
				CzGateEnter();
				CzCommitRoomEnter(true);
			}
			break;
		case XACT_EVENT_COMMIT:
			CzTxnTellMarked();
			CzTxnDirtyCommitted();
			count_two_phase();
			post_commit();
			CzAttachedEnd();
			CzCommitRoomLeave();
			release_all();
			if (holds_interrupts)
				RESUME_INTERRUPTS();
			holds_interrupts = false;
			break;
		case XACT_EVENT_ABORT:
			CzTxnDirtyForget();
			warn_of_commit();
			CzTxnDropFlushes(0);
			abort_all();
			CzCommitRoomLeave();
			cz_inactive_changed = false;
			release_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (CzTxnHasWritten())
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has written to workers")));
			if (cz_txn_entries != NIL)
				end_reads();
			break;
		case XACT_EVENT_PREPARE:
			release_all();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			break;
	}
}
