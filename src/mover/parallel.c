/*-------------------------------------------------------------------------
 *
 * parallel.c
 *	  Long commands of a move on its target: a few at a time, each on a connection of its own
 *	  (cz.move_connections).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* Between two looks whether somebody is to be let go on */
#define LOOK_MS 250

/*
 * CzMoveWait
 *		See mover_int.h.
 */
void
CzMoveWait(CzWaitSlot *slots, CzConn **conns, int n, int *silent_ms)
{
	int			i;

	if (CzWaitSockets(slots, n, LOOK_MS, true))
	{
		*silent_ms = 0;
		return;
	}
	*silent_ms += LOOK_MS;
	if (*silent_ms < cz_worker_timeout_ms)
		return;
	*silent_ms = 0;
	for (i = 0; i < n; i++)
	{
		if (!CzTxnProbeSilent(conns[i]))
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("node \"%s\" does not answer", conns[i]->node_name)));
	}
}

static void
start_command(CzMove *move, CzMoveCommand *command)
{
	command->conn = CzConnAcquire(CzEndpointGet(move->target_oid, command->owner));
	CzConnLogCommand(command->conn, command->sql);
	if (!PQsendQuery(command->conn->pg, command->sql))
		CzReportRemoteError(ERROR, NULL, command->conn->pg, command->conn->node_name,
							command->sql, false);
}

/* Take what has come; true: it has ended. */
static bool
read_command(CzMoveCommand *command)
{
	CzConn	   *conn = command->conn;

	if (!CzConnReceive(conn))
		CzReportRemoteError(ERROR, NULL, conn->pg, conn->node_name, command->sql, false);
	while (!PQisBusy(conn->pg))
	{
		PGresult   *res = PQgetResult(conn->pg);

		if (res == NULL)
		{
			CzConnRelease(conn);
			command->conn = NULL;
			return true;
		}
		if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
			CzConnUnexpected(conn, res, command->sql);
		PQclear(res);
	}
	return false;
}

static void
run_commands(CzMove *move, List *commands)
{
	CzWaitSlot *slots = palloc(sizeof(CzWaitSlot) * cz_move_connections);
	CzConn	  **conns = palloc(sizeof(CzConn *) * cz_move_connections);
	CzMoveCommand **running = palloc(sizeof(CzMoveCommand *) * cz_move_connections);
	int			limit = cz_move_connections;
	int			nrunning = 0;
	int			next = 0;
	int			silent_ms = 0;
	int			i;

	while (nrunning > 0 || next < list_length(commands))
	{
		while (nrunning < limit && next < list_length(commands))
		{
			running[nrunning] = list_nth(commands, next++);
			start_command(move, running[nrunning++]);
		}
		for (i = 0; i < nrunning; i++)
		{
			conns[i] = running[i]->conn;
			slots[i].socket = PQsocket(conns[i]->pg);
			slots[i].events = WL_SOCKET_READABLE |
				(PQflush(conns[i]->pg) > 0 ? WL_SOCKET_WRITEABLE : 0);
			slots[i].is_ready = false;
		}
		CzMoveWait(slots, conns, nrunning, &silent_ms);
		for (i = nrunning - 1; i >= 0; i--)
		{
			if (slots[i].is_ready && read_command(running[i]))
				running[i] = running[--nrunning];
		}
		CzMoveLookAside(move);
	}
	pfree(slots);
	pfree(conns);
	pfree(running);
}

/*
 * CzMoveRunCommands
 *		See mover_int.h.  Users' statements that need the tables are let go on meanwhile.
 */
void
CzMoveRunCommands(CzMove *move, List *commands)
{
	MemoryContext context = CurrentMemoryContext;

	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	run_commands(move, commands);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (!(move->whole ? move->whole : move)->is_locked)
		CzMoveLockTables(move);
}
