/*-------------------------------------------------------------------------
 *
 * outside.c
 *	  Commands for several workers at once, outside of the transaction: what the
 *	  functions run_command_on_... are given, and what views ask workers.
 *
 * A worker that does not answer is no error but an answer, and costs the time of one
 * attempt to connect, for all such workers together.  Where the command is a user's it
 * gets a session that nobody had before and nobody gets afterwards: what it leaves
 * there (settings, roles, temporary tables, an open transaction) is nobody's.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "transaction_int.h"

/* One worker, with its commands. */
typedef struct Worker
{
	CzEndpoint *endpoint;
	CzConn	   *conn;			/* NULL: not connected, or not any more */
	bool		is_made;		/* the connection can be used */
	char	   *error;			/* why there is none */
	List	   *commands;		/* of CzOutsideCommand, in order */
} Worker;

/* Take what failed; a worker is asked no more then. */
static void
fail_worker(Worker *worker, const char *error)
{
	worker->error = pstrdup(error);
	if (worker->conn != NULL)
		CzConnDiscard(worker->conn);
	worker->conn = NULL;
}

/* Begin to connect. */
static void
start_worker(Worker *worker, bool is_users)
{
	worker->conn = CzConnAcquireCached(worker->endpoint, false);
	if (worker->conn != NULL)
	{
		/* one that is idle makes room for a user's */
		worker->is_made = !is_users && CzConnTrySyncSettings(worker->conn);
		if (worker->is_made)
			return;
		CzConnDiscard(worker->conn);
	}
	worker->conn = CzConnStart(worker->endpoint);
}

/* Connect to all of them at once. */
static void
connect_workers(Worker *workers, int nworkers)
{
	CzWaitSlot *slots = palloc0(sizeof(CzWaitSlot) * nworkers);

	for (;;)
	{
		long		wait_ms = -1;
		int			i;

		for (i = 0; i < nworkers; i++)
		{
			Worker	   *worker = &workers[i];
			int			events;
			long		left_ms;

			slots[i].socket = -1;
			if (worker->conn == NULL || worker->is_made)
				continue;
			events = CzConnPollConnect(worker->conn, worker->endpoint);
			if (events == 0)
			{
				worker->is_made = true;
				continue;
			}
			if (events < 0)
			{
				CzConnCheckFenced(worker->conn);
				if (!CzConnPeerAnswered(worker->conn))
					CzHealthMarkFailed(worker->conn->server_oid);
				fail_worker(worker, CzConnConnectError(worker->conn));
				continue;
			}
			slots[i].socket = PQsocket(worker->conn->pg);
			slots[i].events = events;
			left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  CzConnConnectDeadline(worker->conn)) + 1;
			if (wait_ms < 0 || left_ms < wait_ms)
				wait_ms = left_ms;
		}
		if (wait_ms < 0)
			break;
		(void) CzWaitSockets(slots, nworkers, wait_ms, true);
	}
	pfree(slots);
}

/* Send one command to each of some workers, and take the answers (res: one for each). */
static void
run_round(CzTxnCall *calls, int ncalls)
{
	int			i;

	for (i = 0; i < ncalls; i++)
	{
		CzConnDrain(calls[i].conn);
		calls[i].is_logged = true;
	}
	CzTxnRunCalls(calls, ncalls, CZ_CALL_INTERRUPTIBLE, -1);
}

/* What a worker says of an error, as psql would show its first line. */
static char *
error_text(const PGresult *res)
{
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	char	   *text = psprintf("%s:  %s", severity ? severity : "ERROR",
								message ? message : "no message");

	/* a worker that lies */
	if (!pg_verify_mbstr(GetDatabaseEncoding(), text, strlen(text), true))
		return pstrdup("ERROR:  message is not valid in the database's encoding");
	return text;
}

static void
take_answer(CzOutsideCommand *command, Worker *worker, const CzTxnCall *call)
{
	PGresult   *res = call->result;

	if (res == NULL)
	{
		command->answer = call->is_timeout ?
			psprintf("node \"%s\" does not answer", worker->conn->node_name) :
			psprintf("connection to node \"%s\" was lost", worker->conn->node_name);
		return;
	}
	if (!CzTxnCallIsOk(call) && PQresultStatus(res) != PGRES_EMPTY_QUERY)
	{
		command->answer = error_text(res);
		return;
	}
	command->is_ok = true;
	if (command->take != NULL)
		command->take(command, res);
	else if (PQresultStatus(res) != PGRES_TUPLES_OK)
		command->answer = pstrdup(PQcmdStatus(res));
	else if (PQntuples(res) > 0 && PQnfields(res) > 0)
	{
		char	   *text = CzResultText(res, 0, 0);

		command->answer = text ? pstrdup(text) : NULL;
	}
}

/* Not inlined, nor is its caller: gcc would warn of setjmp near a loop. */
static pg_noinline void
take_each(CzOutsideCommand **commands, Worker **workers, CzTxnCall *calls, int ncalls)
{
	int			i;

	for (i = 0; i < ncalls; i++)
	{
		if (commands[i] != NULL)
			take_answer(commands[i], workers[i], &calls[i]);
		if (calls[i].result == NULL)
			fail_worker(workers[i], commands[i] ? commands[i]->answer : "connection was lost");
	}
}

static pg_noinline void
clear_calls(CzTxnCall *calls, int ncalls)
{
	int			i;

	for (i = 0; i < ncalls; i++)
		PQclear(calls[i].result);
}

static pg_noinline void
take_answers(CzOutsideCommand **commands, Worker **workers, CzTxnCall *calls, int ncalls)
{
	PG_TRY();
	{
		take_each(commands, workers, calls, ncalls);
	}
	PG_CATCH();
	{
		clear_calls(calls, ncalls);
		PG_RE_THROW();
	}
	PG_END_TRY();
	clear_calls(calls, ncalls);
}

/*
 * The n-th command of each worker, all at once; n = -1: what makes a session that of
 * somebody who has just connected.  False: there was none.
 */
static bool
run_nth(Worker *workers, int nworkers, int n)
{
	CzTxnCall  *calls = palloc0(sizeof(CzTxnCall) * nworkers);
	CzOutsideCommand **commands = palloc0(sizeof(CzOutsideCommand *) * nworkers);
	Worker	  **asked = palloc0(sizeof(Worker *) * nworkers);
	bool		is_more = false;
	int			ncalls = 0;
	int			i;

	for (i = 0; i < nworkers; i++)
	{
		Worker	   *worker = &workers[i];
		CzOutsideCommand *command = NULL;

		if (n >= list_length(worker->commands))
			continue;
		is_more = true;
		if (n >= 0)
			command = list_nth(worker->commands, n);
		if (worker->conn == NULL)
		{
			if (command != NULL)
				command->answer = worker->error;
			continue;
		}
		calls[ncalls].conn = worker->conn;
		calls[ncalls].sql = command ? command->sql : "RESET ALL";
		commands[ncalls] = command;
		asked[ncalls] = worker;
		ncalls++;
	}
	if (ncalls > 0)
	{
		run_round(calls, ncalls);
		take_answers(commands, asked, calls, ncalls);
	}
	pfree(calls);
	pfree(commands);
	pfree(asked);
	return is_more;
}

/* After an error: stop what users' commands do, and end their sessions. */
static void
abandon(Worker *workers, int nworkers)
{
	CzConn	  **conns = palloc(sizeof(CzConn *) * nworkers);
	int			nconns = 0;
	int			i;

	for (i = 0; i < nworkers; i++)
	{
		if (workers[i].conn != NULL && workers[i].is_made)
			conns[nconns++] = workers[i].conn;
	}
	CzTxnCancelMany(conns, nconns);
	for (i = 0; i < nworkers; i++)
	{
		if (workers[i].conn != NULL)
			CzConnDiscard(workers[i].conn);
	}
}

static void
run_all(Worker *workers, int nworkers, bool is_users, bool is_parallel, bool is_look)
{
	const CzEndpoint **endpoints = palloc(sizeof(CzEndpoint *) * nworkers);
	int			i;
	int			n;

	for (i = 0; i < nworkers; i++)
		endpoints[i] = workers[i].endpoint;
	if (!is_look)
		CzPoolEnter(endpoints, nworkers);
	for (i = 0; i < nworkers; i++)
		start_worker(&workers[i], is_users);
	connect_workers(workers, nworkers);
	if (is_users)
		(void) run_nth(workers, nworkers, -1);
	if (is_parallel)
	{
		for (n = 0; run_nth(workers, nworkers, n); n++)
			CHECK_FOR_INTERRUPTS();
		return;
	}
	for (i = 0; i < nworkers; i++)
	{
		for (n = 0; run_nth(&workers[i], 1, n); n++)
			CHECK_FOR_INTERRUPTS();
	}
}

static void
run_commands(List *commands, Oid user_oid, bool is_users, bool is_parallel, bool is_look)
{
	Worker	   *workers = palloc0(sizeof(Worker) * Max(list_length(commands), 1));
	int			nworkers = 0;
	ListCell   *lc;
	int			i;

	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		for (i = 0; i < nworkers && workers[i].endpoint->server_oid != command->server_oid; i++)
			;
		if (i == nworkers)
		{
			CzEndpoint *endpoint = CzEndpointTryGet(command->server_oid, user_oid);

			if (endpoint == NULL)
			{
				command->answer = psprintf("user mapping not found for \"%s\"",
										   GetUserNameFromId(user_oid, false));
				continue;
			}
			workers[nworkers++].endpoint = endpoint;
		}
		workers[i].commands = lappend(workers[i].commands, command);
	}
	if (nworkers == 0)
		return;

	PG_TRY();
	{
		run_all(workers, nworkers, is_users, is_parallel, is_look);
	}
	PG_CATCH();
	{
		if (is_users)
			abandon(workers, nworkers);
		PG_RE_THROW();
	}
	PG_END_TRY();
	for (i = 0; i < nworkers; i++)
	{
		if (workers[i].conn == NULL)
			continue;
		if (is_users)
			CzConnDiscard(workers[i].conn);
		else
			CzConnRelease(workers[i].conn);
	}
}

/*
 * CzOutsideRun, CzOutsideLook
 *		See transaction.h.
 */
void
CzOutsideRun(List *commands, Oid user_oid, bool is_users, bool is_parallel)
{
	run_commands(commands, user_oid, is_users, is_parallel, false);
}

void
CzOutsideLook(List *commands, Oid user_oid)
{
	run_commands(commands, user_oid, false, true, true);
}
