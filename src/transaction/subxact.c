/*-------------------------------------------------------------------------
 *
 * subxact.c
 *	  Savepoints of workers keep in step with subtransactions.
 *
 * A subtransaction that commits costs nothing: its savepoint, if a worker has one,
 * becomes its parent's.  One that aborts is undone on each worker that knows of it, all
 * at once and without an error, whatever state the connections are in.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"

#include "cz/settings.h"

#include "transaction_int.h"

/*
 * sub_commit
 *		A subtransaction becomes part of its parent; no round trip.
 */
static void
sub_commit(int level)
{
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);
		CzTxnSavepoint *top;
		int			below;

		if (entry->written_level >= level)
			entry->written_level = level - 1;
		if (entry->first_level >= level)
			entry->first_level = level - 1;
		if (entry->alone_level >= level)
			entry->alone_level = level - 1;
		if (entry->nsavepoints == 0)
			continue;
		top = &entry->savepoints[entry->nsavepoints - 1];
		if (top->level < level)
			continue;
		below = entry->nsavepoints > 1 ? entry->savepoints[entry->nsavepoints - 2].level : 1;
		if (below < level - 1)
			top->level = level - 1;
		else
		{
			appendStringInfo(&entry->pending, "RELEASE SAVEPOINT cz%d; ", top->number);
			entry->nsavepoints--;
		}
		entry->conn->txn_depth = level - 1;
	}
}

/*
 * sub_abort
 *		Undo a subtransaction on the workers that know of it.  Never throws.
 */
static void
sub_abort(int level)
{
	TimestampTz deadline;
	ListCell   *lc;
	int			nentries = list_length(cz_txn_entries);
	CzTxnCall  *calls;
	CzConn	  **busy;
	int			ncalls = 0;
	int			nbusy = 0;
	int			i;

	if (nentries == 0)
		return;
	calls = palloc0(sizeof(CzTxnCall) * nentries);
	busy = palloc(sizeof(CzConn *) * nentries);
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		/* the session is terminated while it connects */
		if (entry->conn == NULL)
			continue;
		if (entry->nsavepoints > 0 && !entry->is_failed && !entry->conn->is_broken &&
			entry->savepoints[entry->nsavepoints - 1].level >= level &&
			PQtransactionStatus(entry->conn->pg) == PQTRANS_ACTIVE)
			busy[nbusy++] = entry->conn;
	}
	CzTxnCancelMany(busy, nbusy);
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), cz_worker_timeout_ms);

	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);
		CzTxnSavepoint *top;
		StringInfoData sql;

		if (entry->conn == NULL)
			continue;
		if (entry->first_level >= level)
			entry->first_level = 0;
		if (entry->alone_level >= level)
			entry->alone_level = 0;
		if (entry->written_level >= level)
		{
			entry->written_level = 0;
			entry->conn->txn_has_written = false;
			CzTxnForgetCommands(entry);
		}
		CzConnForgetLockTimeout(entry->conn, false);
		/* BEGIN was in a prefix that an error kept from being sent. */
		if (entry->nsavepoints == 0 && !entry->is_failed && !entry->conn->is_broken &&
			PQtransactionStatus(entry->conn->pg) == PQTRANS_IDLE)
		{
			entry->has_begun = false;
			entry->constraints = NIL;
			entry->constraints_version = 0;
		}
		if (entry->nsavepoints == 0)
			continue;
		top = &entry->savepoints[entry->nsavepoints - 1];
		if (top->level < level)
			continue;
		entry->nsavepoints--;
		entry->conn->txn_depth = level - 1;
		/* What waits to be released came after this savepoint */
		resetStringInfo(&entry->pending);
		if (entry->is_failed)
			continue;
		if (!CzTxnQuietIdle(entry->conn, true, deadline))
		{
			entry->is_failed = true;
			entry->conn->is_broken = true;
			continue;
		}

		/*
		 * Not even BEGIN arrived: the entry starts again.  Savepoints below
		 * would have been sent with it.
		 */
		if (PQtransactionStatus(entry->conn->pg) == PQTRANS_IDLE)
		{
			entry->has_begun = false;
			entry->nsavepoints = 0;
			entry->constraints = NIL;
			entry->constraints_version = 0;
			continue;
		}
		initStringInfo(&sql);
		appendStringInfo(&sql, "ROLLBACK TO SAVEPOINT cz%d; RELEASE SAVEPOINT cz%d",
						 top->number, top->number);
		calls[ncalls].conn = entry->conn;
		calls[ncalls].sql = sql.data;
		calls[ncalls].context = entry;
		ncalls++;
	}

	CzTxnRunCalls(calls, ncalls, CZ_CALL_QUIET, cz_worker_timeout_ms);
	for (i = 0; i < ncalls; i++)
	{
		if (!CzTxnCallIsOk(&calls[i]))
			((CzTxnEntry *) calls[i].context)->is_failed = true;
		PQclear(calls[i].result);
	}
}

/*
 * CzTxnSubXactCallback
 *		Keep the workers in step with subtransactions.
 */
void
CzTxnSubXactCallback(int event, int level)
{
	switch ((SubXactEvent) event)
	{
		case SUBXACT_EVENT_PRE_COMMIT_SUB:
			CzTxnFlushPending();
			break;
		case SUBXACT_EVENT_COMMIT_SUB:
			sub_commit(level);
			CzTxnShardLockSubEnd(level, true);
			CzConstraintsSubEnd(level, true);
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			CzTxnDropFlushes(level);
			(void) CzAnchorGive();
			sub_abort(level);
			CzTxnShardLockSubEnd(level, false);
			CzConstraintsSubEnd(level, false);
			break;
		case SUBXACT_EVENT_START_SUB:
			break;
	}
}

/*
 * CzTxnGiveBack
 *		See transaction.h.
 */
void
CzTxnGiveBack(CzConn *conn)
{
	CzTxnCall	call;
	ListCell   *lc;

	memset(&call, 0, sizeof(call));
	call.conn = conn;
	call.sql = "ROLLBACK";
	call.is_logged = true;
	CzTxnRunCalls(&call, 1, CZ_CALL_INTERRUPTIBLE, -1);
	if (call.result == NULL)
	{
		CzTxnMustLoseConn(conn);
		return;
	}
	PQclear(call.result);
	CzConnForgetTxnSettings(conn);
	CzConnForgetLockTimeout(conn, true);
	conn->txn_has_written = false;
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = lfirst(lc);

		if (entry->conn != conn)
			continue;
		Assert(entry->nsavepoints == 0);
		entry->has_begun = false;
		entry->written_level = entry->first_level = entry->alone_level = 0;
		entry->constraints = NIL;
		entry->constraints_version = 0;
		CzTxnForgetCommands(entry);
	}
}
