/*-------------------------------------------------------------------------
 *
 * outside_scripts.c
 *	  Long commands on several workers, each a transaction of its own there: what builds
 *	  and drops the shards' indexes while others write.
 *
 * Unlike in outside.c a command that fails is an error, and a worker may work on several
 * at a time.  A worker does not notice that a connection is closed while it builds an
 * index, so whatever ends the statement here cancels what runs there.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "cz/errors.h"
#include "transaction_int.h"

/* A connection, and the script that runs on it. */
typedef struct Runner
{
	Oid			server_oid;
	CzOutsideScript *script;	/* NULL: none is left */
	int			next;			/* number of the command that comes after this one */
} Runner;

typedef struct Runners
{
	Runner	   *list;
	CzTxnCall  *calls;			/* one each */
	int			n;
} Runners;

bool		cz_runs_scripts = false;

/* Stop what still runs. */
static void
abandon(int code, Datum arg)
{
	Runners    *runners = (Runners *) DatumGetPointer(arg);
	CzConn	   *conns[CZ_MAX_QUIET_SOCKETS];
	int			nconns = 0;
	int			i;

	for (i = 0; i < runners->n; i++)
	{
		CzTxnCall  *call = &runners->calls[i];

		if (runners->list[i].script != NULL && call->was_sent && !call->is_done)
			conns[nconns++] = call->conn;
	}
	cz_runs_scripts = false;
	CzTxnCancelMany(conns, nconns);
	for (i = 0; i < runners->n; i++)
	{
		if (runners->list[i].script != NULL)
			CzConnDiscard(runners->calls[i].conn);
	}
}

/* The next command of a runner, of a script that nobody has taken yet if need be. */
static void
advance(Runners *runners, int i, List **scripts)
{
	Runner	   *runner = &runners->list[i];
	CzTxnCall  *call = &runners->calls[i];
	CzConn	   *conn = call->conn;
	ListCell   *lc;

	if (runner->script == NULL || runner->next >= list_length(runner->script->commands))
	{
		runner->script = NULL;
		runner->next = 0;
		foreach(lc, *scripts)
		{
			CzOutsideScript *script = lfirst(lc);

			if (script->server_oid != runner->server_oid)
				continue;
			runner->script = script;
			*scripts = foreach_delete_current(*scripts, lc);
			break;
		}
	}
	memset(call, 0, sizeof(CzTxnCall));
	call->conn = conn;
	if (runner->script == NULL)
	{
		call->is_done = true;
		CzConnRelease(conn);
		return;
	}
	call->sql = list_nth(runner->script->commands, runner->next++);
	call->is_logged = true;
}

/* Take an answer; an error of the worker is one here. */
static void
take(CzTxnCall *call)
{
	PGresult   *res = call->result;

	call->result = NULL;
	if (res == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 call->is_timeout ? errmsg("node \"%s\" does not answer", call->conn->node_name) :
				 errmsg("connection to node \"%s\" was lost", call->conn->node_name)));
	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		CzConnUnexpected(call->conn, res, call->sql);
	PQclear(res);
}

/* Free what others have answered, when one of the answers is an error. */
static void
take_all(Runners *runners, List **scripts)
{
	int			i;

	PG_TRY();
	{
		for (i = 0; i < runners->n; i++)
		{
			if (runners->list[i].script == NULL || !runners->calls[i].is_done)
				continue;
			take(&runners->calls[i]);
			advance(runners, i, scripts);
		}
	}
	PG_CATCH();
	{
		for (i = 0; i < runners->n; i++)
		{
			PQclear(runners->calls[i].result);
			PQclear(runners->calls[i].rows);
			runners->calls[i].result = runners->calls[i].rows = NULL;
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static bool
is_running(const Runners *runners)
{
	int			i;

	for (i = 0; i < runners->n; i++)
	{
		if (runners->list[i].script != NULL)
			return true;
	}
	return false;
}

/* Connections to a worker, for so many scripts. */
static void
connect_runners(Runners *runners, const CzEndpoint *endpoint, int wanted)
{
	int			i;

	for (i = 0; i < wanted && runners->n < CZ_MAX_QUIET_SOCKETS; i++)
	{
		if (i > 0 && !CzConnHasUnused(endpoint->server_oid, endpoint->user_oid) &&
			!CzPoolTryEnter(endpoint))
			break;
		runners->list[runners->n].server_oid = endpoint->server_oid;
		runners->calls[runners->n].conn = CzConnAcquire(endpoint);
		runners->n++;
	}
}

/*
 * CzOutsideRunScripts
 *		See transaction.h.
 */
void
CzOutsideRunScripts(List *scripts, Oid user_oid, int per_worker)
{
	Runners		runners;
	const CzEndpoint **endpoints = palloc(sizeof(CzEndpoint *) * (list_length(scripts) + 1));
	int		   *nscripts = palloc0(sizeof(int) * (list_length(scripts) + 1));
	int			nendpoints = 0;
	ListCell   *lc;
	int			i;

	scripts = list_copy(scripts);
	foreach(lc, scripts)
	{
		CzOutsideScript *script = lfirst(lc);

		if (script->commands == NIL)
		{
			scripts = foreach_delete_current(scripts, lc);
			continue;
		}
		for (i = 0; i < nendpoints && endpoints[i]->server_oid != script->server_oid; i++)
			;
		if (i == nendpoints)
			endpoints[nendpoints++] = CzEndpointGet(script->server_oid, user_oid);
		nscripts[i]++;
	}
	if (nendpoints == 0)
		return;
	if (nendpoints > CZ_MAX_QUIET_SOCKETS)
		per_worker = 1;
	CzPoolEnter(endpoints, nendpoints);
	runners.n = 0;
	runners.list = palloc0(sizeof(Runner) * CZ_MAX_QUIET_SOCKETS);
	runners.calls = palloc0(sizeof(CzTxnCall) * CZ_MAX_QUIET_SOCKETS);
	for (i = 0; i < nendpoints; i++)
		connect_runners(&runners, endpoints[i], Min(per_worker, nscripts[i]));

	PG_ENSURE_ERROR_CLEANUP(abandon, PointerGetDatum(&runners));
	{
		cz_runs_scripts = true;
		for (i = 0; i < runners.n; i++)
			advance(&runners, i, &scripts);
		while (is_running(&runners))
		{
			CHECK_FOR_INTERRUPTS();
			CzTxnRunCallsUntilOne(runners.calls, runners.n);
			take_all(&runners, &scripts);
		}
		cz_runs_scripts = false;
	}
	PG_END_ENSURE_ERROR_CLEANUP(abandon, PointerGetDatum(&runners));
}
