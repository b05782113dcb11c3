/*-------------------------------------------------------------------------
 *
 * read_conn.c
 *	  The connection that a read must take to see what its transaction has written.
 *
 * A read whose snapshot is older than writes of the transaction on the same worker can't be
 * answered: the worker shows a session all that it has done.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "cz/errors.h"
#include "transaction_int.h"

static bool
has_changed_rows(const CzTxnEntry *entry)
{
	return entry->first_cid <= entry->last_cid;
}

/* What a scan can't be shown any more. */
static void
report_no_such_state(const CzTxnEntry *entry)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot read from node \"%s\" what was there before a later command of the transaction wrote to it",
					entry->conn->node_name),
			 errdetail("A cursor that reads again, or a STABLE function, sees the data as they were when its statement began, and the transaction has written to that node before and after."),
			 errhint("Declare a function that is to see the changes as VOLATILE, or write in a statement of its own.")));
}

/*
 * CzTxnReadConn, CzTxnReadConnAt
 *		See transaction.h.
 */
CzConn *
CzTxnReadConn(Oid server_oid, Oid user_oid)
{
	return CzTxnReadConnAt(server_oid, user_oid, InvalidCommandId);
}

CzConn *
CzTxnReadConnAt(Oid server_oid, Oid user_oid, CommandId curcid)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry;
	ListCell   *lc;

	CzTxnRequireClearFor(server_oid, user_oid);
	CzTxnFlushBefore(curcid);
	CzTxnFlushOuter();			/* a savepoint may be opened now */
	entry = CzTxnFindEntry(server_oid, user_oid, &endpoint);
	if (entry != NULL && has_changed_rows(entry) && entry->last_cid >= curcid)
	{
		if (entry->first_cid < curcid || entry->has_utility || IsolationUsesXactSnapshot())
			report_no_such_state(entry);
		return NULL;			/* elsewhere nothing of it is to be seen */
	}
	if (entry != NULL)
	{
		StringInfoData prefix;
		CzConn	   *conn;

		initStringInfo(&prefix);
		conn = CzTxnUseEntry(entry, USE_READ, &prefix);
		CzTxnSendPrefix(conn, &prefix);
		return conn;
	}

	foreach(lc, cz_txn_entries)
	{
		entry = (CzTxnEntry *) lfirst(lc);
		if (entry->server_oid == server_oid && entry->written_level > 0 &&
			entry->first_cid < curcid)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot read from node \"%s\" as user \"%s\" after writing to it as another user in the same transaction",
							entry->conn->node_name, GetUserNameFromId(user_oid, false)),
					 errdetail("The two users have different user mappings, so the read would not see what was written.")));
	}

	if (IsolationUsesXactSnapshot())
	{
		StringInfoData prefix;
		CzConn	   *conn;

		initStringInfo(&prefix);
		conn = CzTxnUseConn(server_oid, user_oid, USE_READ, &prefix);
		CzTxnSendPrefix(conn, &prefix);
		return conn;
	}
	return NULL;
}

/*
 * CzTxnHasWrittenBefore
 *		See transaction.h.
 */
bool
CzTxnHasWrittenBefore(CommandId curcid)
{
	ListCell   *lc;

	if (CzTxnHasFlushBefore(curcid))
		return true;
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (has_changed_rows(entry) && entry->first_cid < curcid)
			return true;
	}
	return false;
}

/*
 * CzTxnHasWritten
 *		See transaction.h.
 */
bool
CzTxnHasWritten(void)
{
	ListCell   *lc;

	if (CzTxnHasFlushBefore(InvalidCommandId) || CzTxnHasLostWrites())
		return true;
	foreach(lc, cz_txn_entries)
	{
		if (((CzTxnEntry *) lfirst(lc))->written_level > 0)
			return true;
	}
	return false;
}
