/*-------------------------------------------------------------------------
 *
 * pooler.c
 *	  Is a connection pooler between us and a worker that gives each transaction
 *	  whatever server process is free?
 *
 * Such a pooler breaks what everything here is built on: settings, prepared statements,
 * snapshots and cursors belong to a session.  Results would be wrong at times, so it is
 * refused.  A pooler that gives a session one process for its life is fine.
 *
 * A pooler hands out a cancel key of its own, so the process id in it is not the one that
 * the server tells: only then is there something to look for.  Then a second session's
 * transaction must not get the process that the first one, idle now, had; and the first
 * one must still have its own afterwards.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"

#include "cz/errors.h"
#include "remote_int.h"

/* Looks at a pooler: another of its clients may take the process meanwhile. */
#define ROUNDS 3
/* Workers that this backend remembers to have looked at. */
#define MAX_VERIFIED 64

/* Endpoints behind poolers that are fine, by options_hash; a ring. */
static uint32 verified[MAX_VERIFIED];
static int	nverified = 0;

static int
server_pid(CzConn *conn)
{
	PGresult   *res = CzConnExec(conn, "SELECT pg_catalog.pg_backend_pid()");
	int			pid = PQntuples(res) == 1 && PQnfields(res) == 1 ? atoi(PQgetvalue(res, 0, 0)) : 0;

	PQclear(res);
	return pid;
}

/* Has another session's transaction the same process, or this one a new one? */
static bool
shares_process(ConnEntry *entry, const CzEndpoint *endpoint)
{
	CzConn	   *other = CzConnStart(endpoint);
	char	   *message;
	bool		is_shared;

	ENTRY(other)->is_pooler_check = true;
	if (!CzConnWait(other, endpoint, &message))
		return false;			/* it has none to spare: each session has its own */
	PQclear(CzConnExec(other, "BEGIN"));
	is_shared = server_pid(other) == entry->server_pid ||
		server_pid(&entry->pub) != entry->server_pid;
	CzConnDiscard(other);
	return is_shared;
}

/*
 * CzPoolerCheck
 *		Look at a connection that was just made.
 *
 * Errors: 0A000 if a pooler in transaction mode is there; 08006, 57014 as for commands.
 */
void
CzPoolerCheck(ConnEntry *entry, const CzEndpoint *endpoint)
{
	int			i;

	if (entry->is_pooler_check || entry->server_pid == 0 || PQbackendPID(entry->pub.pg) == 0 ||
		entry->server_pid == PQbackendPID(entry->pub.pg))
		return;
	for (i = 0; i < Min(nverified, MAX_VERIFIED); i++)
	{
		if (verified[i] == endpoint->options_hash)
			return;
	}
	for (i = 0; i < ROUNDS; i++)
	{
		if (shares_process(entry, endpoint))
		{
			entry->pub.is_broken = true;
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("node \"%s\" is behind a connection pooler in transaction mode",
							endpoint->node_name),
					 errdetail("A session's transactions run in different server processes there, so that its settings and prepared statements are lost or another's."),
					 errhint("Let the coordinator connect to the node directly, or set the pooler's pool_mode to session.")));
		}
	}
	verified[nverified++ % MAX_VERIFIED] = endpoint->options_hash;
}
