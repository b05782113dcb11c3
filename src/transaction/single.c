/*-------------------------------------------------------------------------
 *
 * single.c
 *	  The transaction that is one command on one worker.
 *
 * A client's single statement that changes rows of one placement needs no BEGIN and no
 * COMMIT there: the worker commits the command by itself.  That is right where
 * nothing else is, or can be, a part of the transaction.  It must be the client's own
 * statement (also by EXECUTE), not one within a function; the only one up to the commit,
 * which in the extended protocol only the next message tells; and nothing may be left
 * here that could still fail.  Once the worker has committed, this session must come to its own commit:
 * interrupts are held, and no further message is read before.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/portal.h"

#include "cz/compat.h"
#include "cz/counters.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* SQL's EXECUTE, as the client's own statement */
static bool is_executing = false;
static const PlannedStmt *executed = NULL;	/* what it runs, once that is known */
static bool execute_is_visible;	/* of the portal of EXECUTE itself */

static bool is_running = false;	/* the worker has the command and has not answered */
static bool is_committed = false;
static char committed_on[NAMEDATALEN];	/* valid with is_committed */

/*
 * is_last_message
 *		Is the statement the only one before the client's Sync?  What has not arrived yet
 *		is not waited for.
 */
static bool
is_last_message(void)
{
	int			next;

	/* the simple protocol; several statements in one message are a transaction block */
	if (is_executing ? !execute_is_visible : !ActivePortal->visible)
		return true;
	if ((MyXactFlags & XACT_FLAGS_PIPELINING) != 0 || !pq_buffer_has_data_compat())
		return false;
	pq_startmsgread();
	next = pq_peekbyte();
	pq_endmsgread();
	return next == 'S';
}

/* Is it what the client's message asks for, and nothing else? */
static bool
is_clients_statement(const PlannedStmt *stmt)
{
	/* portals of functions, and those that EXECUTE makes, have names */
	return whereToSendOutput == DestRemote && ActivePortal != NULL &&
		(is_executing ? stmt == executed : ActivePortal->name[0] == '\0') &&
		list_length(ActivePortal->stmts) == 1 && linitial(ActivePortal->stmts) == stmt;
}

/* Can computing the parameters of EXECUTE run statements of functions? */
static bool
has_plain_params(const ExecuteStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->params)
	{
		if (!IsA(lfirst(lc), A_Const))
			return false;
	}
	return true;
}

/*
 * CzTxnNoteExecute
 *		See transaction.h.
 */
bool
CzTxnNoteExecute(const PlannedStmt *pstmt, bool is_top_level)
{
	if (!is_top_level || is_executing || !IsA(pstmt->utilityStmt, ExecuteStmt) ||
		!has_plain_params((const ExecuteStmt *) pstmt->utilityStmt) ||
		!is_clients_statement(pstmt))
		return false;
	is_executing = true;
	executed = NULL;
	execute_is_visible = ActivePortal->visible;
	return true;
}

/*
 * CzTxnNoteExecuted
 *		See transaction.h.
 */
void
CzTxnNoteExecuted(const PlannedStmt *stmt)
{
	if (is_executing && executed == NULL)
		executed = stmt;
}

/*
 * CzTxnForgetExecute
 *		See transaction.h.
 */
void
CzTxnForgetExecute(void)
{
	is_executing = false;
	executed = NULL;
}

/*
 * CzTxnMayBeSingle
 *		See transaction.h.
 */
bool
CzTxnMayBeSingle(const PlannedStmt *stmt)
{
	/* tests stop between the steps of the long way */
	bool		is_debugging = cz_debug_point != NULL && cz_debug_point[0] != '\0';

	return cz_txn_entries == NIL && !is_debugging && is_clients_statement(stmt) &&
		GetCurrentTransactionNestLevel() == 1 && !IsTransactionBlock() &&
		!IsolationUsesXactSnapshot() && !XactReadOnly && !IsParallelWorker() &&
		!stmt->hasModifyingCTE && !CzTxnHasWritten() &&
		CzTxnCanEndHere() && is_last_message();
}

/*
 * CzTxnSingleBegin
 *		See transaction.h.
 */
void
CzTxnSingleBegin(void)
{
	CzAttachedCheckEntered();
	is_running = true;
}

/*
 * CzTxnSingleEnd
 *		See transaction.h.
 */
void
CzTxnSingleEnd(const char *node_name)
{
	is_running = false;
	if (node_name == NULL)
		return;
	strlcpy(committed_on, node_name, sizeof(committed_on));
	is_committed = true;
	CzCount(CZ_COUNT_COMMIT_SINGLE);
	CzTxnHoldInterrupts();
	/* the extended protocol commits with Sync only, else */
	MyXactFlags |= XACT_FLAGS_NEEDIMMEDIATECOMMIT;
	CzActivityNote(CZ_TASK_ANALYZE);
}

/* Has a worker the transaction's only command, and not answered yet? */
bool
CzTxnIsSingle(void)
{
	return is_running;
}

/* The worker that has committed although the transaction has not ended; or NULL. */
const char *
CzTxnSingleCommittedOn(void)
{
	return is_committed ? committed_on : NULL;
}

/* The transaction is over. */
void
CzTxnSingleForget(void)
{
	is_running = false;
	is_committed = false;
	CzTxnForgetExecute();
}
