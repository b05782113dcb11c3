/*-------------------------------------------------------------------------
 *
 * anchor.c
 *	  The room of all coordinators of the same workers: a lock on one of these.
 *
 * With cz.distributed_snapshot = cluster who commits on several workers holds an
 * advisory lock on the *anchor* while he is in this server's room, shared, and who takes
 * snapshots of several workers holds it exclusively.  Both enter this server's room
 * first, so nobody waits for a room with the anchor in hand.  Each takes a round trip
 * more, and another one that nobody waits for long.
 *
 * The lock is that of a transaction on a connection of its own: it goes with an error, with
 * the session and with the server.
 *
 * The anchor is the worker whose host and port come first in order: the coordinators must
 * know it by the same ones.  While it cannot be reached, nobody commits on several workers
 * or reads from several ones in this way.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/proc.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* Second key of the advisory lock; shards' are positive */
#define CZ_ANCHOR_KEY (-1)

/* What a worker gets to give the lock back; then the connection is closed */
#define CZ_ANCHOR_MS 1000

static CzConn *anchor = NULL;	/* with the lock; gone with an error */
static LocalTransactionId anchor_lxid = InvalidLocalTransactionId;

/* The worker that comes first. */
static Oid
anchor_oid(void)
{
	const CzNode *first = NULL;
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
	{
		const CzNode *node = lfirst(lc);
		int			order = first == NULL ? -1 : strcmp(node->host, first->host);

		if (node->clone_of != NULL)
			continue;
		if (order < 0 || (order == 0 && node->port < first->port))
			first = node;
	}
	return first != NULL ? first->server_oid : InvalidOid;
}

/*
 * CzAnchorTake
 *		Wait for the lock on the anchor, if it is wanted.
 *
 * Errors: 08001 if the anchor cannot be reached, 08006, 57014.
 */
void
CzAnchorTake(bool is_exclusive)
{
	CzEndpoint *endpoint;
	CzConn	   *conn;
	char	   *message;
	Oid			server_oid;

	if (cz_distributed_snapshot != CZ_SNAPSHOT_CLUSTER ||
		(anchor != NULL && anchor_lxid == MyLocalTransactionId_compat()))
		return;
	anchor = NULL;
	server_oid = anchor_oid();
	if (!OidIsValid(server_oid))
		return;
	endpoint = CzEndpointGet(server_oid, GetUserId());
	conn = CzConnTryAcquire(endpoint, &message);
	if (conn == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to node \"%s\", where coordinators agree on snapshots",
						endpoint->node_name),
				 errdetail_internal("%s", message),
				 errhint("With cz.distributed_snapshot = on this server does without the others.")));
	PQclear(CzConnExec(conn, psprintf("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock%s(%d, %d)",
									  is_exclusive ? "" : "_shared", CZ_ADVISORY_CLASS,
									  CZ_ANCHOR_KEY)));
	anchor = conn;
	anchor_lxid = MyLocalTransactionId_compat();
	CzDebugPoint("anchor_taken");
}

/*
 * CzAnchorGive
 *		Give it back, if the transaction has it; never throws.
 *
 * Returns: false: it was lost meanwhile, and others may have had it.
 */
bool
CzAnchorGive(void)
{
	CzConn	   *conn = anchor;
	PGresult   *res;
	bool		is_ok;

	anchor = NULL;
	if (conn == NULL || anchor_lxid != MyLocalTransactionId_compat())
		return true;
	res = CzConnExecQuiet(conn, "COMMIT", CZ_ANCHOR_MS);
	is_ok = res != NULL && PQresultStatus(res) == PGRES_COMMAND_OK;
	PQclear(res);
	if (is_ok)
		CzConnRelease(conn);
	else
		CzConnDiscard(conn);
	return is_ok;
}
