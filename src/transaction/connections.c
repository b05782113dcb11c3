/*-------------------------------------------------------------------------
 *
 * connections.c
 *	  The connections of the current transaction and their savepoints.
 *
 * Which connection must this statement use on a worker, and which part of
 * the nest of subtransactions does that worker know of?
 *
 * Savepoints are lazy in both directions.  A subtransaction that does not
 * touch a worker costs it nothing; one that does gets a savepoint with its
 * first command, for the current level only: nothing happened there in the
 * levels between.  When a subtransaction commits, its savepoint either stands
 * for its parent (which had none, and nothing happened between the two) or is
 * released together with the next command.  Only ROLLBACK TO is sent at once,
 * so that locks are given back.
 *
 * Invariant: levels in an entry's savepoint stack rise strictly, the first is
 * above 1, and rolling back to the savepoint of level n undoes exactly what
 * the levels from n on did on that worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "transaction_int.h"

List	   *cz_txn_entries = NIL;
List	   *cz_txn_detached = NIL;

static CzBeforeWriteCallback before_write = NULL;

static int	next_savepoint = 1;

/* Would a role enter the worker as a connection's role?  A mapping of PUBLIC that names no user
 * is as many roles as use it. */
static bool
is_same_login(const CzTxnEntry *entry, const CzEndpoint *endpoint)
{
	const char *user = NULL;
	int			i;

	for (i = 0; i < endpoint->noptions; i++)
	{
		if (strcmp(endpoint->keywords[i], "user") == 0)
			user = endpoint->values[i];
	}
	return entry->conn == NULL || user == NULL || strcmp(PQuser(entry->conn->pg), user) == 0;
}

/*
 * CzTxnFindEntry
 *		The entry for a worker and a local role, or NULL.  Roles that share a
 *		user mapping (the one FOR PUBLIC) share the connection.
 *
 * endpoint_p: out: the endpoint if it had to be looked up, else NULL.
 */
CzTxnEntry *
CzTxnFindEntry(Oid server_oid, Oid user_oid, CzEndpoint **endpoint_p)
{
	CzEndpoint *endpoint;
	bool		has_server = false;
	ListCell   *lc;

	*endpoint_p = NULL;
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->server_oid != server_oid)
			continue;
		if (list_member_oid(entry->user_oids, user_oid))
			return entry;
		has_server = true;
	}
	if (!has_server)
		return NULL;

	endpoint = CzEndpointGet(server_oid, user_oid);
	*endpoint_p = endpoint;
	if (!OidIsValid(endpoint->umid))
		return NULL;
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->server_oid == server_oid && entry->umid == endpoint->umid &&
			entry->must_use_password == endpoint->must_use_password &&
			is_same_login(entry, endpoint))
		{
			MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

			entry->user_oids = lappend_oid(entry->user_oids, user_oid);
			MemoryContextSwitchTo(old);
			return entry;
		}
	}
	return NULL;
}

/* CzConnTryAcquire, whatever is wrong. */
static CzConn *
try_acquire(const CzEndpoint *endpoint)
{
	char	   *message;

	return CzConnTryAcquire(endpoint, &message);
}

/*
 * CzTxnOpenEntryBy
 *		Take a connection into the transaction; nothing is sent yet.
 *
 * connect: makes it if none is cached; NULL: there is none.
 */
CzTxnEntry *
CzTxnOpenEntryBy(Oid user_oid, const CzEndpoint *endpoint, CzConn *(*connect) (const CzEndpoint *))
{
	MemoryContext old;
	CzTxnEntry *entry;
	CzConn	   *conn;

	/* All memory first: a connection without an entry would be lost. */
	old = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc0(sizeof(CzTxnEntry));
	entry->server_oid = endpoint->server_oid;
	entry->umid = endpoint->umid;
	entry->must_use_password = endpoint->must_use_password;
	entry->user_oids = list_make1_oid(user_oid);
	entry->first_cid = InvalidCommandId;
	entry->last_cid = FirstCommandId;
	entry->max_savepoints = 4;
	entry->savepoints = palloc(sizeof(CzTxnSavepoint) * entry->max_savepoints);
	initStringInfo(&entry->pending);
	cz_txn_entries = lappend(cz_txn_entries, entry);
	MemoryContextSwitchTo(old);

	PG_TRY();
	{
		/* settings are brought into step at each use, lock_timeout with BEGIN */
		conn = CzConnAcquireCached(endpoint, false);
		if (conn == NULL)
			conn = connect(endpoint);
	}
	PG_CATCH();
	{
		cz_txn_entries = list_delete_ptr(cz_txn_entries, entry);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (conn == NULL)
	{
		cz_txn_entries = list_delete_ptr(cz_txn_entries, entry);
		return NULL;
	}
	entry->conn = conn;
	entry->is_alive = true;
	entry->looked_at = GetCurrentTimestamp();
	entry->given_up = CzTxnGivenUp(entry->server_oid);
	conn->state = CZ_CONN_TXN;
	conn->txn_depth = 1;
	conn->txn_has_written = false;
	CzConnForgetLockTimeout(conn, true);
	return entry;
}

/*
 * CzTxnOpenEntry
 *		CzTxnOpenEntryBy() for a snapshot.
 *
 * Returns: NULL, if not must_be, where the worker can't be reached.
 */
CzTxnEntry *
CzTxnOpenEntry(Oid user_oid, const CzEndpoint *endpoint, bool must_be)
{
	return CzTxnOpenEntryBy(user_oid, endpoint, must_be ? CzConnAcquire : try_acquire);
}

/*
 * CzTxnBeginCommand
 *		BEGIN as this transaction is.  READ ONLY only where it cannot be undone:
 *		a subtransaction may be read-only within a transaction that writes.
 */
void
CzTxnBeginCommand(StringInfo buf)
{
	if (IsolationIsSerializable())
		appendStringInfoString(buf, "BEGIN ISOLATION LEVEL SERIALIZABLE");
	else if (IsolationUsesXactSnapshot())
		appendStringInfoString(buf, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	else
		appendStringInfoString(buf, "BEGIN ISOLATION LEVEL READ COMMITTED");
	if (XactReadOnly && GetCurrentTransactionNestLevel() == 1)
		appendStringInfoString(buf, " READ ONLY");
	appendStringInfoString(buf, "; ");
}

/*
 * sync_entry
 *		Append what brings the worker to the current level.
 */
static void
sync_entry(CzTxnEntry *entry, StringInfo prefix)
{
	int			level = CzTxnLevel();
	int			top = entry->nsavepoints > 0 ?
		entry->savepoints[entry->nsavepoints - 1].level : 1;

	/* What is sent now would be undone with the deeper level, or survive this one's. */
	if (top > level || (top < level && CzTxnHasFlushBelow(level)))
		elog(ERROR, "writes of nest level %d would be sent within level %d",
			 top > level ? level : top, Max(top, level));
	if (!entry->has_begun)
	{
		const char *name = CzConnNameCommand(entry->conn);

		CzTxnBeginCommand(prefix);
		if (name != NULL)
			appendStringInfo(prefix, "%s; ", name);
		entry->has_begun = true;
	}
	else if (entry->pending.len > 0)
	{
		appendStringInfoString(prefix, entry->pending.data);
		resetStringInfo(&entry->pending);
	}
	CzConnLockTimeoutPrefix(entry->conn, prefix);

	if (top < level)
	{
		if (entry->nsavepoints == entry->max_savepoints)
		{
			entry->max_savepoints *= 2;
			entry->savepoints = repalloc(entry->savepoints,
										 sizeof(CzTxnSavepoint) * entry->max_savepoints);
		}
		entry->savepoints[entry->nsavepoints].level = level;
		entry->savepoints[entry->nsavepoints].number = next_savepoint;
		entry->nsavepoints++;
		entry->conn->txn_depth = level;
		appendStringInfo(prefix, "SAVEPOINT cz%d; ", next_savepoint++);
	}
}

/* The entry's worker gets changes of the command that runs, or of those being flushed. */
static void
note_commands(CzTxnEntry *entry)
{
	CommandId	first_cid;
	CommandId	last_cid;

	CzTxnCommandsOfWrite(&first_cid, &last_cid);
	entry->first_cid = Min(entry->first_cid, first_cid);
	entry->last_cid = Max(entry->last_cid, last_cid);
}

/*
 * CzTxnForgetCommands
 *		No command of this transaction has changed rows on a connection any more.
 */
void
CzTxnForgetCommands(CzTxnEntry *entry)
{
	entry->first_cid = InvalidCommandId;
	entry->last_cid = FirstCommandId;
	entry->has_utility = false;
}

/*
 * CzTxnUseEntry
 *		The work of CzTxnConnPrefix on an entry.
 */
CzConn *
CzTxnUseEntry(CzTxnEntry *entry, UseKind kind, StringInfo prefix)
{
	CzConn	   *conn = entry->conn;

	CzTxnCheckNotLost();
	if (conn->busy_owner != NULL)
		CzConnDrain(conn);
	CzTxnCheckConnected(entry);
	CzConnSyncSettings(conn);
	if (kind != USE_READ)
		CzTxnCheckCanPrepare(entry, kind != USE_REPLICA);

	sync_entry(entry, prefix);
	if (kind != USE_READ)
	{
		int			level = CzTxnLevel();

		if (entry->written_level == 0 || entry->written_level > level)
			entry->written_level = level;
		if (kind != USE_REPLICA && (entry->first_level == 0 || entry->first_level > level))
			entry->first_level = level;
		if (kind >= USE_ROWS && (entry->alone_level == 0 || entry->alone_level > level))
			entry->alone_level = level;
		conn->txn_has_written = true;
	}
	if (kind >= USE_REPLICA)
	{
		CzConstraintsPrefix(entry, prefix);
		note_commands(entry);
	}
	if (kind == USE_UTILITY)
		entry->has_utility = true;
	return conn;
}

/*
 * CzTxnRequireClearFor
 *		CzTxnRequireClear where that may be done.
 */
void
CzTxnRequireClearFor(Oid server_oid, Oid user_oid)
{
	ListCell   *lc;

	/* Not from a flush: that may run in a callback of a subtransaction's end. */
	if (CzTxnIsFlushing())
		return;

	/* A snapshot that the transaction has there already shows what it shows. */
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (IsolationUsesXactSnapshot() && entry->server_oid == server_oid &&
			entry->has_begun)
			return;
	}
	CzTxnRequireClear(server_oid, user_oid);
}

/*
 * CzTxnCheckMayWrite
 *		See transaction.h.
 */
void
CzTxnCheckMayWrite(void)
{
	if (CzTxnSingleCommittedOn() != NULL)
		elog(ERROR, "write in a transaction that node \"%s\" has committed",
			 CzTxnSingleCommittedOn());
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot write to workers in a read-only transaction")));
	/* the leader may: core refuses statements that write here, ours flush and lock there */
	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot write to workers during a parallel operation")));
	if (!CzTxnIsAttached())
		CzTxnCheckCoordinator();
}

/*
 * CzTxnSetBeforeWrite, CzTxnBeforeWrite
 *		See transaction.h.
 */
void
CzTxnSetBeforeWrite(CzBeforeWriteCallback callback)
{
	before_write = callback;
}

CommandId
CzTxnBeforeWrite(void)
{
	/* what a flush sends was announced when it was buffered */
	if (!CzTxnIsFlushing() && before_write != NULL)
		before_write(false);
	return GetCurrentCommandId(true);
}

/*
 * CzTxnUseConn
 *		Take the connection for a command; append to prefix what must be sent before it.
 */
CzConn *
CzTxnUseConn(Oid server_oid, Oid user_oid, UseKind kind, StringInfo prefix)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry;

	if (kind != USE_READ)
		CzTxnCheckMayWrite();
	if (kind == USE_UTILITY)
		CzAttachedRefuse();
	if (kind >= USE_REPLICA && !CzTxnIsFlushing() && before_write != NULL)
		before_write(kind == USE_UTILITY);
	CzTxnRequireClearFor(server_oid, user_oid);
	CzTxnTakeSnapshots(server_oid, user_oid);
	entry = CzTxnFindEntry(server_oid, user_oid, &endpoint);
	if (entry == NULL)
	{
		entry = CzTxnOpenEntry(user_oid,
							   endpoint ? endpoint : CzEndpointGet(server_oid, user_oid), true);
		CzTxnJoinSnapshots(entry);
	}
	return CzTxnUseEntry(entry, kind, prefix);
}

/*
 * CzTxnConnPrefix
 *		See transaction.h.
 */
CzConn *
CzTxnConnPrefix(Oid server_oid, Oid user_oid, bool for_write, StringInfo prefix)
{
	return CzTxnUseConn(server_oid, user_oid, for_write ? USE_ROWS : USE_READ, prefix);
}

/*
 * CzTxnFirstConnPrefix
 *		See transaction.h.
 */
CzConn *
CzTxnFirstConnPrefix(Oid server_oid, Oid user_oid, StringInfo prefix)
{
	return CzTxnUseConn(server_oid, user_oid, USE_FIRST, prefix);
}

/*
 * CzTxnReplicaConnPrefix
 *		See transaction.h.
 */
CzConn *
CzTxnReplicaConnPrefix(Oid server_oid, Oid user_oid, StringInfo prefix)
{
	return CzTxnUseConn(server_oid, user_oid, USE_REPLICA, prefix);
}

/*
 * CzTxnSendPrefix
 *		Send a prefix by itself.
 */
void
CzTxnSendPrefix(CzConn *conn, StringInfo prefix)
{
	if (prefix->len > 0)
		PQclear(CzConnExec(conn, prefix->data));
	pfree(prefix->data);
}

/*
 * CzTxnConn
 *		See transaction.h.
 */
CzConn *
CzTxnConn(Oid server_oid, Oid user_oid, bool for_write)
{
	StringInfoData prefix;
	CzConn	   *conn;

	CzTxnFlushPending();
	initStringInfo(&prefix);
	conn = CzTxnUseConn(server_oid, user_oid, for_write ? USE_ROWS : USE_READ, &prefix);
	CzTxnSendPrefix(conn, &prefix);
	return conn;
}

/*
 * CzTxnReplicaConn
 *		See transaction.h.
 */
CzConn *
CzTxnReplicaConn(Oid server_oid, Oid user_oid)
{
	StringInfoData prefix;
	CzConn	   *conn;

	CzTxnFlushPending();
	initStringInfo(&prefix);
	conn = CzTxnUseConn(server_oid, user_oid, USE_REPLICA, &prefix);
	CzTxnSendPrefix(conn, &prefix);
	return conn;
}

/*
 * CzTxnLockConn
 *		See transaction.h.
 */
CzConn *
CzTxnLockConn(Oid server_oid, Oid user_oid)
{
	StringInfoData prefix;
	CzConn	   *conn;

	CzTxnFlushPending();
	initStringInfo(&prefix);
	conn = CzTxnUseConn(server_oid, user_oid, USE_LOCKS, &prefix);
	CzTxnSendPrefix(conn, &prefix);
	return conn;
}

/*
 * CzTxnConnIfAny
 *		See transaction.h.
 */
CzConn *
CzTxnConnIfAny(Oid server_oid, Oid user_oid)
{
	CzEndpoint *endpoint;
	StringInfoData prefix;
	CzTxnEntry *entry;
	CzConn	   *conn;

	CzTxnFlushPending();
	entry = CzTxnFindEntry(server_oid, user_oid, &endpoint);
	if (entry == NULL)
		return NULL;
	initStringInfo(&prefix);
	conn = CzTxnUseEntry(entry, USE_READ, &prefix);
	CzTxnSendPrefix(conn, &prefix);
	return conn;
}

/*
 * CzTxnHasConn
 *		See transaction.h.
 */
bool
CzTxnHasConn(Oid server_oid, Oid user_oid)
{
	CzEndpoint *endpoint;

	return CzTxnFindEntry(server_oid, user_oid, &endpoint) != NULL;
}

/*
 * CzTxnHasBegun
 *		See transaction.h.
 */
bool
CzTxnHasBegun(Oid server_oid, Oid user_oid)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry = CzTxnFindEntry(server_oid, user_oid, &endpoint);

	return entry != NULL && entry->has_begun;
}

/*
 * CzTxnForgetAll
 *		The transaction is over; its memory goes with TopTransactionContext.
 */
void
CzTxnForgetAll(void)
{
	cz_txn_entries = NIL;
	cz_txn_detached = NIL;
	CzTxnDropFlushes(0);
	next_savepoint = 1;
	CzTxnShardLockForget();
	CzTxnSingleForget();
	CzTxnForgetSnapshots();
	CzTxnForgetLost();
	CzAttachedForget();
	CzTxnFollowersForget();
	CzConstraintsForget();
}
