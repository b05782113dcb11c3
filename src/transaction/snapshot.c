/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  Take one snapshot over several workers.
 *
 * First without entering the room: who finds it empty, and unchanged when the last
 * worker has answered, has what he wants, and nobody has waited.  Else from inside the
 * room, which committers then do not enter.  A worker that takes its time to answer must
 * not keep them out for long: the taker leaves, waits outside, and tries again with more
 * patience.
 *
 * A transaction that keeps one snapshot for its life takes it on all active workers when
 * it uses the first one.  In its first statement that reads something, this server's own
 * snapshot is taken anew if somebody has committed here and there since.  A connection that did not take part (the worker could not be
 * reached, or another user has his own there) joins later if nobody has been in the room
 * since.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* Milliseconds that committers are kept out by who waits for workers, at first */
#define CZ_INSIDE_MS 50

/* What takes a transaction's snapshot.  One that is exported could not be prepared. */
#define SNAPSHOT_SQL "SELECT 1"

/* The room when the transaction took its snapshots; valid if has_snapshots. */
static CzRoomLookState txn_look;
static uint64 txn_epoch;			/* CzRoomEpoch() before they were taken */
static bool has_snapshots = false;
static List *inactive = NIL;	/* CzInactive, in TopTransactionContext; valid with it */
static bool is_local_old = false;	/* this server's own snapshot does not agree */

/* Run a command on those members that have answered the last one. */
static void
undo_members(CzSnapshotMember *members, int nmembers, const CzTxnCall *done)
{
	CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * nmembers);
	int			ncalls = 0;
	int			i;

	for (i = 0; i < nmembers; i++)
	{
		if (!CzTxnCallIsOk(&done[i]))
			continue;
		calls[ncalls].conn = members[i].conn;
		calls[ncalls].sql = members[i].undo_sql;
		calls[ncalls].is_logged = true;
		ncalls++;
	}
	CzTxnRunCalls(calls, ncalls, CZ_CALL_INTERRUPTIBLE, -1);
	for (i = 0; i < ncalls; i++)
	{
		if (!CzTxnCallIsOk(&calls[i]))
			calls[i].conn->is_broken = true;
		PQclear(calls[i].result);
	}
	pfree(calls);
}

/* Take results: false if one is that of a lost connection; else errors are raised. */
static bool
take_answers(CzSnapshotMember *members, int nmembers, CzTxnCall *calls)
{
	bool		is_complete = true;
	int			i;

	for (i = 0; i < nmembers; i++)
	{
		if (CzTxnCallIsOk(&calls[i]))
			continue;
		if (calls[i].result != NULL && !CzConnResultIsLoss(members[i].conn, calls[i].result))
		{
			PGresult   *res = calls[i].result;
			int			j;

			for (j = 0; j < nmembers; j++)
			{
				if (j != i)
					PQclear(calls[j].result);
			}
			CzConnUnexpected(members[i].conn, res, members[i].sql);
		}
		members[i].is_lost = true;
		members[i].is_timeout = calls[i].is_timeout;
		is_complete = false;
	}
	for (i = 0; i < nmembers && is_complete; i++)
	{
		members[i].answer = NULL;
		if (PQntuples(calls[i].result) == 1 && PQnfields(calls[i].result) == 1)
			members[i].answer = pstrdup(PQgetvalue(calls[i].result, 0, 0));
	}
	return is_complete;
}

/*
 * CzSnapshotTake
 *		See transaction.h.
 */
bool
CzSnapshotTake(CzSnapshotMember *members, int nmembers, CzRoomLookState *look,
			   void (*together) (void *arg), void *arg)
{
	CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * nmembers);
	int			limit_ms = CZ_INSIDE_MS;
	bool		is_inside = cz_distributed_snapshot == CZ_SNAPSHOT_CLUSTER;

	for (;;)
	{
		bool		is_good;
		bool		is_complete;
		bool		is_clear = true;
		int			i;

		CHECK_FOR_INTERRUPTS();
		if (is_inside)
		{
			CzRoomTake();
			CzAnchorTake(true);
		}
		if (!CzRoomLook(look) && !is_inside)
		{
			is_inside = true;
			continue;
		}

		/* 1. a commit that is not finished there would be seen in part */
		for (i = 0; i < nmembers; i++)
		{
			members[i].is_lost = members[i].is_timeout = false;
			members[i].is_unclear = CzTxnIsInDoubt(members[i].conn->server_oid);
			is_clear &= !members[i].is_unclear;
		}
		if (!is_clear)
		{
			if (is_inside)
			{
				(void) CzAnchorGive();
				CzRoomGive();
			}
			pfree(calls);
			return false;
		}

		/* 2. take them */
		memset(calls, 0, sizeof(CzTxnCall) * nmembers);
		for (i = 0; i < nmembers; i++)
		{
			calls[i].conn = members[i].conn;
			calls[i].sql = members[i].sql;
			calls[i].nparams = members[i].nparams;
			calls[i].values = members[i].values;
			calls[i].lengths = members[i].lengths;
			calls[i].formats = members[i].formats;
			calls[i].is_logged = true;
		}
		is_good = true;
		if (is_inside)
		{
			is_good = CzTxnRunCallsFor(calls, nmembers, CZ_CALL_INTERRUPTIBLE, limit_ms);
			if (is_good && together != NULL)
				together(arg);
			is_good &= CzAnchorGive();
			CzRoomGive();
			limit_ms = Min(limit_ms * 2, cz_worker_timeout_ms);
		}
		CzTxnRunCalls(calls, nmembers, CZ_CALL_INTERRUPTIBLE, -1);
		if (!is_inside)
		{
			CzDebugPoint("snapshots_taken");
			if (together != NULL)
				together(arg);
			is_good = CzRoomIsUnchanged(look);
		}

		/* 3. good, or once more */
		is_complete = take_answers(members, nmembers, calls);
		if (!is_good || !is_complete)
			undo_members(members, nmembers, calls);
		for (i = 0; i < nmembers; i++)
			PQclear(calls[i].result);
		if (is_good || !is_complete)
		{
			pfree(calls);
			return is_complete;
		}
		is_inside = true;
	}
}

/*
 * CzSnapshotRefresh
 *		See transaction.h.
 *
 * It is not replaced, for nodes of the plan may have it already.  Its xmin stays: the
 * order of registered snapshots depends on it, and what is older is finished all the same.
 */
void
CzSnapshotRefresh(Snapshot old)
{
	Snapshot	latest;

	if (!CzRoomSnapshotLacks(old))
		return;
	latest = GetLatestSnapshot();
	old->xmax = latest->xmax;
	old->xip = MemoryContextAlloc(TopTransactionContext,
								  sizeof(TransactionId) * (latest->xcnt + 1));
	memcpy(old->xip, latest->xip, sizeof(TransactionId) * latest->xcnt);
	old->xcnt = latest->xcnt;
	old->subxip = MemoryContextAlloc(TopTransactionContext,
									 sizeof(TransactionId) * (latest->subxcnt + 1));
	memcpy(old->subxip, latest->subxip, sizeof(TransactionId) * latest->subxcnt);
	old->subxcnt = latest->subxcnt;
	old->suboverflowed = latest->suboverflowed;
	old->takenDuringRecovery = latest->takenDuringRecovery;
	old->snapXactCompletionCount = 0;
}

/*
 * CzRoomHasStayed
 *		Has nobody been in the room since those snapshots were taken, so that one taken
 *		now is like them?
 */
bool
CzRoomHasStayed(const CzRoomLookState *look)
{
	CzRoomLookState now;

	/* nobody knows of other coordinators */
	if (cz_distributed_snapshot == CZ_SNAPSHOT_CLUSTER)
		return false;
	return CzRoomLook(&now) && now.entered == look->entered;
}

/* May this user's snapshot be taken on a node that nobody has asked for yet? */
static bool
takes_part(const CzNode *node, Oid user_oid)
{
	return !CzHealthIsSuspect(node->server_oid) &&
		CzTxnWorkerIsClear(node->server_oid, user_oid);
}

/* The connections of the transaction's snapshot; asked_oid: one that must be there. */
static List *
open_entries(Oid asked_oid, Oid user_oid)
{
	List	   *entries = NIL;
	ListCell   *lc;

	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);
		bool		is_asked = node->server_oid == asked_oid;
		CzEndpoint *endpoint;
		CzTxnEntry *entry;

		if (!is_asked && !takes_part(node, user_oid))
			continue;
		endpoint = is_asked ? CzEndpointGet(asked_oid, user_oid) :
			CzEndpointTryGet(node->server_oid, user_oid);
		if (endpoint == NULL)
			continue;
		entry = CzTxnOpenEntry(user_oid, endpoint, is_asked);
		if (entry != NULL)
			entries = lappend(entries, entry);
	}
	return entries;
}

/* An entry that has done nothing. */
static void
drop_entry(CzTxnEntry *entry)
{
	cz_txn_entries = list_delete_ptr(cz_txn_entries, entry);
	CzConnDiscard(entry->conn);
}

/* What begins the transaction on an entry's worker and takes its snapshot. */
static char *
begin_sql(CzTxnEntry *entry)
{
	StringInfoData sql;
	const char *name = CzConnNameCommand(entry->conn);

	initStringInfo(&sql);
	CzTxnBeginCommand(&sql);
	if (name != NULL)
		appendStringInfo(&sql, "%s; ", name);
	appendStringInfoString(&sql, SNAPSHOT_SQL);
	return sql.data;
}

/* What to do with members that could not take part: those asked for raise an error. */
static List *
without_lost(List *entries, const CzSnapshotMember *members, Oid asked_oid, Oid user_oid)
{
	List	   *rest = NIL;
	ListCell   *lc;

	foreach(lc, entries)
	{
		CzTxnEntry *entry = lfirst(lc);
		const CzSnapshotMember *member = &members[foreach_current_index(lc)];

		if (!member->is_lost && !member->is_unclear)
			rest = lappend(rest, entry);
		else if (member->is_unclear && entry->server_oid == asked_oid)
		{
			CzTxnRequireClear(asked_oid, user_oid);
			rest = lappend(rest, entry);
		}
		else if (entry->server_oid == asked_oid)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("connection to node \"%s\" was lost during the transaction",
							entry->conn->node_name)));
		else
			drop_entry(entry);
	}
	return rest;
}

/* The transaction that has used its own snapshot; its first statement begins otherwise. */
static LocalTransactionId used_by = InvalidLocalTransactionId;

/*
 * CzTxnNoteSnapshotUse
 *		See transaction.h.
 */
void
CzTxnNoteSnapshotUse(void)
{
	used_by = MyLocalTransactionId_compat();
}

/*
 * May the transaction's own snapshot be taken anew?  Not if something was read by it, and
 * not if serializable transactions are compared by when they took theirs.
 */
static bool
can_refresh(void)
{
	return used_by != MyLocalTransactionId_compat() && !IsolationIsSerializable() &&
		!IsInParallelMode();
}

/* This server's snapshots of the transaction's first statement agree with the workers'. */
static void
refresh_own(void *arg)
{
	Snapshot	own = GetTransactionSnapshot();

	CzSnapshotRefresh(own);
	if (ActiveSnapshotSet() && GetActiveSnapshot() != own)
		CzSnapshotRefresh(GetActiveSnapshot());
}

/* Begin the transaction on these connections, less those that are lost meanwhile. */
static List *
begin_entries(List *entries, Oid asked_oid, Oid user_oid)
{
	bool		may_refresh = can_refresh();

	while (entries != NIL)
	{
		int			nmembers = list_length(entries);
		CzSnapshotMember *members = palloc0(sizeof(CzSnapshotMember) * nmembers);
		ListCell   *lc;

		foreach(lc, entries)
		{
			CzTxnEntry *entry = lfirst(lc);
			CzSnapshotMember *member = &members[foreach_current_index(lc)];

			CzConnSyncSettings(entry->conn);
			member->conn = entry->conn;
			member->sql = begin_sql(entry);
			member->undo_sql = "ROLLBACK";
		}
		if (CzSnapshotTake(members, nmembers, &txn_look, may_refresh ? refresh_own : NULL,
						   NULL))
		{
			foreach(lc, entries)
				((CzTxnEntry *) lfirst(lc))->has_begun = true;
			break;
		}
		entries = without_lost(entries, members, asked_oid, user_oid);
	}
	return entries;
}

static void
report_old_local(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not take one snapshot of this server and the workers"),
			 errdetail("A transaction that wrote to both was committed since the transaction's first statement."),
			 errhint("The transaction might succeed if retried.")));
}

/*
 * CzTxnTakeSnapshots
 *		See transaction.h.
 */
void
CzTxnTakeSnapshots(Oid server_oid, Oid user_oid)
{
	MemoryContext context;
	MemoryContext oldcontext;

	if (is_local_old)
		report_old_local();
	if (has_snapshots || !IsolationUsesXactSnapshot() ||
		cz_distributed_snapshot == CZ_SNAPSHOT_OFF || cz_txn_entries != NIL)
		return;
	txn_epoch = CzRoomEpoch();
	context = AllocSetContextCreate(CurrentMemoryContext, "cz_fdw snapshots",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	PG_TRY();
	{
		List	   *entries = open_entries(server_oid, user_oid);

		has_snapshots = begin_entries(entries, server_oid, user_oid) != NIL;
	}
	PG_CATCH();
	{
		/* a savepoint may be rolled back to: then they begin anew */
		while (cz_txn_entries != NIL)
			drop_entry(linitial(cz_txn_entries));
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(TopTransactionContext);
	inactive = has_snapshots ? CzInactiveListAsOf(GetTransactionSnapshot()) : NIL;
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);

	is_local_old = has_snapshots && CzRoomSnapshotLacks(GetTransactionSnapshot());
	if (is_local_old)
		report_old_local();
}

/*
 * CzTxnJoinSnapshots
 *		A connection is used that did not take part in the transaction's snapshot: it may,
 *		if nothing that concerns several workers was committed since.
 */
void
CzTxnJoinSnapshots(CzTxnEntry *entry)
{
	if (!has_snapshots)
		return;
	entry->has_begun = true;
	PQclear(CzConnExec(entry->conn, begin_sql(entry)));
	if (!CzRoomHasStayed(&txn_look))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("node \"%s\" has no part in the transaction's snapshot",
						entry->conn->node_name),
				 errdetail("It could not be reached when the transaction took its snapshot, or is used as another user now."),
				 errhint("The transaction might succeed if retried.")));
}

/*
 * CzTxnHasSnapshots
 *		Has the transaction a snapshot over the workers?  Who has connections takes part.
 */
bool
CzTxnHasSnapshots(void)
{
	return has_snapshots;
}

/*
 * CzTxnWasInactive
 *		See transaction.h.
 */
bool
CzTxnWasInactive(int64 shard_id, Oid server_oid)
{
	return has_snapshots && inactive != NIL &&
		list_member_oid(CzInactiveServers(inactive, shard_id), server_oid);
}

/*
 * CzTxnHasMoved, CzTxnCheckNotMoved
 *		See transaction.h.
 */
bool
CzTxnHasMoved(const CzShard *shard, Oid server_oid)
{
	List	   *servers;
	bool		result;

	if (!IsolationUsesXactSnapshot() || !FirstSnapshotSet || shard->is_copy ||
		!OidIsValid(shard->table_relid) || (has_snapshots && CzRoomEpoch() == txn_epoch))
		return false;
	servers = CzShardServersAsOf(shard->relid, GetTransactionSnapshot());
	/* one that was not there in a table that was: another one has been split */
	result = servers != NIL ? !list_member_oid(servers, server_oid) :
		CzTableWasThere(CzRootOf(shard->table_relid), GetTransactionSnapshot());
	list_free(servers);
	return result;
}

void
CzTxnCheckNotMoved(const CzShard *shard, Oid server_oid)
{
	if (CzTxnHasMoved(shard, server_oid))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 CzShardServersAsOf(shard->relid, GetTransactionSnapshot()) != NIL ?
				 errmsg("could not serialize access because shard " INT64_FORMAT " was moved",
						shard->shard_id) :
				 errmsg("could not serialize access because a shard of table \"%s\" was split",
						get_rel_name(CzRootOf(shard->table_relid))),
				 errdetail("The rows were elsewhere when the transaction took its snapshot."),
				 errhint("The transaction might succeed if retried.")));
}

/* The transaction is over. */
void
CzTxnForgetSnapshots(void)
{
	inactive = NIL;
	has_snapshots = is_local_old = false;
}
