/*-------------------------------------------------------------------------
 *
 * can_prepare.c
 *	  Which commit will need workers to prepare, and can they?
 *
 * A worker with max_prepared_transactions = 0 can have all of a transaction, or follow
 * a decision that is made elsewhere, but can't agree with others.  That is told by the first
 * write that makes it necessary; what only the commit brings (DDL here, NOTIFY, ...) by
 * the commit.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"

#include "cz/settings.h"
#include "transaction_int.h"

/*
 * CzTxnReportCannotPrepare
 *		See transaction_int.h.
 */
void
CzTxnReportCannotPrepare(const CzConn *conn, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot %s on several nodes: prepared transactions are disabled on node \"%s\"",
					what, conn->node_name),
			 errdetail("A transaction that writes on several nodes is committed with PREPARE TRANSACTION."),
			 errhint("Set max_prepared_transactions on that node to at least its max_connections and restart it, or cz.one_phase_commit here.")));
}

/*
 * CzTxnCheckCanPrepare
 *		Before a write: the workers that are to agree at the commit, with each other or with
 *		this server, must be able to prepare.  Who only follows need not (follow.c).
 *
 * is_first: not for what a first placement has, too.
 * Errors: 55000.
 */
void
CzTxnCheckCanPrepare(const CzTxnEntry *new_entry, bool is_first)
{
	const CzConn *unable = NULL;
	bool		is_serializable = IsolationIsSerializable();
	int			nvoices = is_serializable || CzTxnHasLocalWrites() ? 1 : 0;
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->first_level == 0 && !(entry->written_level > 0 && is_serializable) &&
			!(entry == new_entry && (is_first || is_serializable)))
			continue;
		nvoices++;
		if (entry->conn->cannot_prepare)
			unable = entry->conn;
	}
	if (nvoices > 1 && unable != NULL && !cz_one_phase_commit)
		CzTxnReportCannotPrepare(unable, "write");
}

/*
 * CzTxnCheckWritesHere
 *		See transaction.h.
 */
void
CzTxnCheckWritesHere(const PlannedStmt *stmt)
{
	const CzConn *unable = NULL;
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		const CzTxnEntry *entry = lfirst(lc);

		if (entry->first_level > 0 && entry->conn->cannot_prepare)
			unable = entry->conn;
	}
	if (unable == NULL)
		return;
	foreach(lc, stmt->resultRelations)
	{
		const RangeTblEntry *rte = rt_fetch(lfirst_int(lc), stmt->rtable);

		if (rte->relkind == RELKIND_RELATION ||
			(rte->relkind == RELKIND_PARTITIONED_TABLE && CzTableGet(rte->relid) == NULL))
			CzTxnReportCannotPrepare(unable, "write");
	}
}
