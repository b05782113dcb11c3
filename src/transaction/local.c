/*-------------------------------------------------------------------------
 *
 * local.c
 *	  Has the transaction written anything on the coordinator?
 *
 * A transaction id tells it, but for one case: every thirty-second nextval() writes WAL
 * and takes one, and what a sequence has given is never taken back.  Who computes
 * values that can write nothing else says so, and if the last WAL record of the
 * transaction is still the one that was written then, there is nothing to commit.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"

#include "transaction_int.h"

/* End of the last record that only sequences can have written; compared with records
 * of the current transaction, so it need not be reset */
static XLogRecPtr sequences_end = InvalidXLogRecPtr;

/*
 * CzTxnNoteSequences
 *		See transaction.h.
 */
void
CzTxnNoteSequences(bool had_xid, XLogRecPtr wal_before)
{
	if (XactLastRecEnd == wal_before)
		return;
	/* what has no WAL (temporary and unlogged tables) may have taken the id */
	if (had_xid && (wal_before == InvalidXLogRecPtr || wal_before != sequences_end))
		return;
	sequences_end = XactLastRecEnd;
}

/*
 * CzTxnHasLocalWrites
 *		Is there something here that must be committed?
 */
bool
CzTxnHasLocalWrites(void)
{
	return TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
		(XactLastRecEnd == InvalidXLogRecPtr || XactLastRecEnd != sequences_end);
}
