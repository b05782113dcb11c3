/*-------------------------------------------------------------------------
 *
 * commands.c
 *	  Commands on the connections of a transaction, one after the other on each worker.
 *
 * Workers run at the same time; what one worker gets keeps its order.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "transaction_int.h"

/*
 * CzTxnExec, CzTxnExecOnShard, CzTxnExecList
 *		See transaction.h.
 */
void
CzTxnExec(Oid server_oid, Oid user_oid, const char *sql)
{
	CzTxnCommand command;
	List	   *commands;

	command.server_oid = server_oid;
	command.sql = sql;
	commands = list_make1(&command);
	CzTxnExecList(commands, user_oid);
	list_free(commands);
}

void
CzTxnExecOnShard(const CzShard *shard, Oid user_oid, const char *sql)
{
	CzTxnCommand *all = palloc(sizeof(CzTxnCommand) * Max(shard->nplacements, 1));
	List	   *commands = NIL;
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		all[i].server_oid = shard->server_oids[i];
		all[i].sql = sql;
		commands = lappend(commands, &all[i]);
	}
	CzTxnExecList(commands, user_oid);
	list_free(commands);
	pfree(all);
}

/* Raise the first failure among calls that have ended; frees all results. */
static void
check_calls(CzTxnCall *calls, int ncalls)
{
	int			bad = -1;
	int			i;

	for (i = 0; i < ncalls; i++)
	{
		if (bad < 0 && !CzTxnCallIsOk(&calls[i]))
			bad = i;
		else
			PQclear(calls[i].result);
	}
	if (bad >= 0)
	{
		CzConn	   *conn = calls[bad].conn;

		CzReportRemoteError(ERROR, calls[bad].result, conn->pg, conn->node_name,
							calls[bad].sql, true);
	}
}

static void
exec_list(List *commands, Oid user_oid, UseKind kind)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz commands",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *todo = list_copy(commands);
	List	   *all_servers = NIL;
	ListCell   *lc;

	CzTxnFlushPending();
	foreach(lc, commands)
		all_servers = list_append_unique_oid(all_servers,
											 ((CzTxnCommand *) lfirst(lc))->server_oid);
	CzTxnEnterPools(all_servers, user_oid);
	while (todo != NIL)
	{
		CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * list_length(todo));
		List	   *servers = NIL;
		List	   *rest = NIL;
		int			ncalls = 0;

		/* One round: the next command of each worker. */
		foreach(lc, todo)
		{
			CzTxnCommand *command = (CzTxnCommand *) lfirst(lc);
			StringInfoData sql;

			if (list_member_oid(servers, command->server_oid))
			{
				rest = lappend(rest, command);
				continue;
			}
			servers = lappend_oid(servers, command->server_oid);
			initStringInfo(&sql);
			calls[ncalls].conn = CzTxnUseConn(command->server_oid, user_oid, kind, &sql);
			appendStringInfoString(&sql, command->sql);
			calls[ncalls].sql = sql.data;
			calls[ncalls].is_logged = true;
			ncalls++;
		}
		CzTxnRunCalls(calls, ncalls, CZ_CALL_INTERRUPTIBLE, -1);
		check_calls(calls, ncalls);
		todo = rest;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
CzTxnExecList(List *commands, Oid user_oid)
{
	exec_list(commands, user_oid, USE_UTILITY);
}

/*
 * CzTxnExecLocks
 *		CzTxnExecList for commands that change nothing and only lock.
 */
void
CzTxnExecLocks(List *commands, Oid user_oid)
{
	exec_list(commands, user_oid, USE_LOCKS);
}

/* Run a command of its own on each of some connections that were written through. */
static void
run_on_entries(List *entries, List *commands)
{
	CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * Max(list_length(entries), 1));
	int			ncalls = 0;
	int			i;
	ListCell   *lc;

	foreach(lc, entries)
	{
		CzTxnEntry *entry = lfirst(lc);
		StringInfoData sql;

		/* one that is lost is missed only if nothing else has what it has */
		if (!CzTxnConnIsUp(entry) && CzTxnDetach(entry))
			continue;
		initStringInfo(&sql);
		calls[ncalls].conn = CzTxnUseEntry(entry, USE_READ, &sql);
		appendStringInfoString(&sql, list_nth(commands, foreach_current_index(lc)));
		calls[ncalls].sql = sql.data;
		calls[ncalls].is_logged = true;
		ncalls++;
	}
	CzTxnRunCalls(calls, ncalls, CZ_CALL_INTERRUPTIBLE, -1);
	for (i = 0; i < ncalls;)
	{
		if (calls[i].result != NULL && !CzConnResultIsLoss(calls[i].conn, calls[i].result))
		{
			i++;
			continue;
		}
		PQclear(calls[i].result);
		CzTxnMustLoseConn(calls[i].conn);
		calls[i] = calls[--ncalls];
	}
	check_calls(calls, ncalls);
	pfree(calls);
}

/*
 * CzTxnTellConstraints
 *		See transaction.h.
 */
void
CzTxnTellConstraints(void)
{
	List	   *entries = NIL;
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = lfirst(lc);
		StringInfoData sql;

		if (!entry->has_begun || entry->written_level == 0)
			continue;
		initStringInfo(&sql);
		CzConstraintsPrefix(entry, &sql);
		if (sql.len == 0)
			continue;
		entries = lappend(entries, entry);
		commands = lappend(commands, sql.data);
	}
	run_on_entries(entries, commands);
	list_free(entries);
	list_free_deep(commands);
}

/*
 * CzTxnCheckDeferred
 *		Before a commit on several workers: nothing that a worker checks may be left to be
 *		checked, for it could refuse when it has been decided elsewhere.
 *
 * Errors: those of the constraints (23503, 23505, 23P01).
 */
void
CzTxnCheckDeferred(void)
{
	List	   *entries = NIL;
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, cz_txn_entries)
	{
		if (((CzTxnEntry *) lfirst(lc))->written_level > 0)
		{
			entries = lappend(entries, lfirst(lc));
			commands = lappend(commands, "SET CONSTRAINTS ALL IMMEDIATE");
		}
	}
	if (list_length(entries) > 1 && CzConstraintsMayWait())
		run_on_entries(entries, commands);
	list_free(entries);
	list_free(commands);
}
