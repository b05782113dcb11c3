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

#include <sys/socket.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* A connection that was looked at so many milliseconds ago is as it was then. */
#define JUST_LOOKED_MS 5

List	   *cz_txn_entries = NIL;
List	   *cz_txn_detached = NIL;

static CzBeforeWriteCallback before_write = NULL;

/* What a command on a connection does, for use_entry(). */
typedef enum UseKind
{
	USE_READ,
	USE_LOCKS,					/* changes no row */
	USE_REPLICA,				/* rows that another placement has, too */
	USE_FIRST,					/* rows that others will have, too */
	USE_ROWS,
	USE_UTILITY
} UseKind;

static int	next_savepoint = 1;

/*
 * find_entry
 *		The entry for a worker and a local role, or NULL.  Roles that share a
 *		user mapping (the one FOR PUBLIC) share the connection.
 *
 * endpoint_p: out: the endpoint if it had to be looked up, else NULL.
 */
static CzTxnEntry *
find_entry(Oid server_oid, Oid user_oid, CzEndpoint **endpoint_p)
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
			entry->must_use_password == endpoint->must_use_password)
		{
			MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

			entry->user_oids = lappend_oid(entry->user_oids, user_oid);
			MemoryContextSwitchTo(old);
			return entry;
		}
	}
	return NULL;
}

/*
 * try_connect
 *		A connection, or NULL if the worker is down: it does not answer, or says that it
 *		is not ready.
 */
static CzConn *
try_connect(const CzEndpoint *endpoint)
{
	CzConn	   *conn;
	char	   *message;
	int			i;

	if (CzHealthIsSuspect(endpoint->server_oid) && !CzHealthRecheck(endpoint))
		return NULL;
	/* a server that crashes at this moment says only the next time that it starts again */
	for (i = 0; i < 2; i++)
	{
		conn = CzConnTryAcquire(endpoint, &message);
		if (conn != NULL || CzHealthIsSuspect(endpoint->server_oid) ||
			strstr(message, "the database system is") != NULL)
			return conn;
	}
	return CzConnAcquire(endpoint); /* raises what is wrong, if it still is */
}

/* CzConnTryAcquire, whatever is wrong. */
static CzConn *
try_acquire(const CzEndpoint *endpoint)
{
	char	   *message;

	return CzConnTryAcquire(endpoint, &message);
}

/*
 * open_entry
 *		Take a connection into the transaction; nothing is sent yet.
 *
 * connect: makes it if none is cached; NULL: there is none.
 */
static CzTxnEntry *
open_entry(Oid user_oid, const CzEndpoint *endpoint, CzConn *(*connect) (const CzEndpoint *))
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
 *		open_entry() for a snapshot.
 *
 * Returns: NULL, if not must_be, where the worker can't be reached.
 */
CzTxnEntry *
CzTxnOpenEntry(Oid user_oid, const CzEndpoint *endpoint, bool must_be)
{
	return open_entry(user_oid, endpoint, must_be ? CzConnAcquire : try_acquire);
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

static bool
is_connected(CzTxnEntry *entry)
{
	CzConn	   *conn = entry->conn;

	return !entry->is_failed && !conn->is_broken &&
		(PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE || CzConnIsAlive(conn));
}

/*
 * CzTxnIsConnected
 *		Before the commit: is a session that was written through still there?
 */
bool
CzTxnIsConnected(CzTxnEntry *entry)
{
	if (entry->is_failed || entry->conn->is_broken)
		return false;
	return GetCurrentTimestamp() < TimestampTzPlusMilliseconds(entry->looked_at, JUST_LOOKED_MS) ||
		CzConnIsAlive(entry->conn);
}

/*
 * check_connected
 *		Before a command of the transaction: better a clear error now than whatever
 *		libpq says of a dead socket.
 */
static void
check_connected(CzTxnEntry *entry)
{
	CzConn	   *conn = entry->conn;
	bool		is_alive = entry->is_alive && !entry->is_failed && !conn->is_broken;

	/* a command that asks for its connection twice need not look twice */
	is_alive |= !entry->is_failed && !conn->is_broken &&
		GetCurrentTimestamp() < TimestampTzPlusMilliseconds(entry->looked_at, JUST_LOOKED_MS);
	entry->is_alive = false;
	if (is_alive)
		return;
	entry->looked_at = GetCurrentTimestamp();
	if (is_connected(entry))
		return;
	conn->is_broken = true;
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to node \"%s\" was lost during the transaction",
					conn->node_name)));
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

static bool
has_changed_rows(const CzTxnEntry *entry)
{
	return entry->first_cid <= entry->last_cid;
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

/* The work of CzTxnConnPrefix on an entry. */
static CzConn *
use_entry(CzTxnEntry *entry, UseKind kind, StringInfo prefix)
{
	CzConn	   *conn = entry->conn;

	CzTxnCheckNotLost();
	if (conn->busy_owner != NULL)
		CzConnDrain(conn);
	check_connected(entry);
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

/* CzTxnRequireClear where that may be done. */
static void
require_clear(Oid server_oid, Oid user_oid)
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

static CzConn *
conn_prefix(Oid server_oid, Oid user_oid, UseKind kind, StringInfo prefix)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry;

	if (kind != USE_READ)
		CzTxnCheckMayWrite();
	if (kind == USE_UTILITY)
		CzAttachedRefuse();
	if (kind >= USE_REPLICA && !CzTxnIsFlushing() && before_write != NULL)
		before_write(kind == USE_UTILITY);
	require_clear(server_oid, user_oid);
	CzTxnTakeSnapshots(server_oid, user_oid);
	entry = find_entry(server_oid, user_oid, &endpoint);
	if (entry == NULL)
	{
		entry = CzTxnOpenEntry(user_oid,
							   endpoint ? endpoint : CzEndpointGet(server_oid, user_oid), true);
		CzTxnJoinSnapshots(entry);
	}
	return use_entry(entry, kind, prefix);
}

/*
 * CzTxnConnPrefix
 *		See transaction.h.
 */
CzConn *
CzTxnConnPrefix(Oid server_oid, Oid user_oid, bool for_write, StringInfo prefix)
{
	return conn_prefix(server_oid, user_oid, for_write ? USE_ROWS : USE_READ, prefix);
}

/*
 * CzTxnFirstConnPrefix
 *		See transaction.h.
 */
CzConn *
CzTxnFirstConnPrefix(Oid server_oid, Oid user_oid, StringInfo prefix)
{
	return conn_prefix(server_oid, user_oid, USE_FIRST, prefix);
}

/*
 * CzTxnReplicaConnPrefix
 *		See transaction.h.
 */
CzConn *
CzTxnReplicaConnPrefix(Oid server_oid, Oid user_oid, StringInfo prefix)
{
	return conn_prefix(server_oid, user_oid, USE_REPLICA, prefix);
}

/*
 * CzTxnDetach
 *		Go on without a connection that broke, if nothing is on it alone.
 */
bool
CzTxnDetach(CzTxnEntry *entry)
{
	MemoryContext old;

	/* a snapshot that others were to share is gone, too */
	if (entry->first_level > 0 || (IsolationUsesXactSnapshot() && entry->has_begun))
		return false;
	if (entry->written_level > 0 && !CzTxnLoseWritten(entry->server_oid))
		return false;
	entry->conn->is_broken = true;
	entry->is_failed = true;
	/* the worker may be well: it must not keep locks that the next connection waits for */
	if (PQsocket(entry->conn->pg) >= 0)
		(void) shutdown(PQsocket(entry->conn->pg), SHUT_RDWR);
	old = MemoryContextSwitchTo(TopTransactionContext);
	cz_txn_entries = list_delete_ptr(cz_txn_entries, entry);
	cz_txn_detached = lappend(cz_txn_detached, entry);
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * CzTxnLoseConn
 *		See transaction.h.
 */
bool
CzTxnLoseConn(CzConn *conn)
{
	ListCell   *lc;

	conn->is_broken = true;
	CzHealthMarkFailed(conn->server_oid);
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->conn == conn)
			return CzTxnDetach(entry);
	}
	return false;
}

/*
 * CzTxnMustLoseConn
 *		See transaction.h.
 */
void
CzTxnMustLoseConn(CzConn *conn)
{
	if (!CzTxnLoseConn(conn))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to node \"%s\" was lost while writing to it",
						conn->node_name)));
}

/*
 * CzTxnCanReach
 *		See transaction.h.
 */
bool
CzTxnCanReach(Oid server_oid, Oid user_oid)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry;

	CzTxnTakeSnapshots(InvalidOid, user_oid);
	entry = find_entry(server_oid, user_oid, &endpoint);
	if (entry != NULL)
	{
		entry->is_alive = is_connected(entry);
		if (entry->is_alive)
			return true;
		if (!CzTxnDetach(entry))
			check_connected(entry); /* raises it */
	}
	/* what is in doubt on a worker that is up is finished, or waited for, elsewhere */
	if (!CzTxnIsFlushing() && !CzTxnWorkerIsClear(server_oid, user_oid) &&
		CzHealthIsSuspect(server_oid))
		return false;
	entry = open_entry(user_oid, endpoint ? endpoint : CzEndpointGet(server_oid, user_oid),
					   try_connect);
	if (entry == NULL)
		return false;
	CzTxnJoinSnapshots(entry);
	return true;
}

/* Send a prefix by itself. */
static void
send_prefix(CzConn *conn, StringInfo prefix)
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
	conn = conn_prefix(server_oid, user_oid, for_write ? USE_ROWS : USE_READ, &prefix);
	send_prefix(conn, &prefix);
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
	conn = conn_prefix(server_oid, user_oid, USE_REPLICA, &prefix);
	send_prefix(conn, &prefix);
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
	conn = conn_prefix(server_oid, user_oid, USE_LOCKS, &prefix);
	send_prefix(conn, &prefix);
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
	entry = find_entry(server_oid, user_oid, &endpoint);
	if (entry == NULL)
		return NULL;
	initStringInfo(&prefix);
	conn = use_entry(entry, USE_READ, &prefix);
	send_prefix(conn, &prefix);
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

	return find_entry(server_oid, user_oid, &endpoint) != NULL;
}

/*
 * CzTxnHasBegun
 *		See transaction.h.
 */
bool
CzTxnHasBegun(Oid server_oid, Oid user_oid)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry = find_entry(server_oid, user_oid, &endpoint);

	return entry != NULL && entry->has_begun;
}

/* What a scan can't be shown any more. */
static void
report_no_such_state(const CzTxnEntry *entry)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot read from node \"%s\" what was there before a later command of the transaction wrote to it",
					entry->conn->node_name),
			 errdetail("A cursor that reads again, or a STABLE function, sees the data as they were when its statement began, and the transaction has written to that node before and after."),
			 errhint("Declare a function that is to see the changes as VOLATILE, or write in a statement of its own.")));
}

/*
 * CzTxnReadConn, CzTxnReadConnAt
 *		See transaction.h.
 */
CzConn *
CzTxnReadConn(Oid server_oid, Oid user_oid)
{
	return CzTxnReadConnAt(server_oid, user_oid, InvalidCommandId);
}

CzConn *
CzTxnReadConnAt(Oid server_oid, Oid user_oid, CommandId curcid)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry;
	ListCell   *lc;

	require_clear(server_oid, user_oid);
	CzTxnFlushBefore(curcid);
	CzTxnFlushOuter();			/* a savepoint may be opened now */
	entry = find_entry(server_oid, user_oid, &endpoint);
	if (entry != NULL && has_changed_rows(entry) && entry->last_cid >= curcid)
	{
		if (entry->first_cid < curcid || entry->has_utility || IsolationUsesXactSnapshot())
			report_no_such_state(entry);
		return NULL;			/* elsewhere nothing of it is to be seen */
	}
	if (entry != NULL)
	{
		StringInfoData prefix;
		CzConn	   *conn;

		initStringInfo(&prefix);
		conn = use_entry(entry, USE_READ, &prefix);
		send_prefix(conn, &prefix);
		return conn;
	}

	foreach(lc, cz_txn_entries)
	{
		entry = (CzTxnEntry *) lfirst(lc);
		if (entry->server_oid == server_oid && entry->written_level > 0 &&
			entry->first_cid < curcid)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot read from node \"%s\" as user \"%s\" after writing to it as another user in the same transaction",
							entry->conn->node_name, GetUserNameFromId(user_oid, false)),
					 errdetail("The two users have different user mappings, so the read would not see what was written.")));
	}

	if (IsolationUsesXactSnapshot())
	{
		StringInfoData prefix;
		CzConn	   *conn;

		initStringInfo(&prefix);
		conn = conn_prefix(server_oid, user_oid, USE_READ, &prefix);
		send_prefix(conn, &prefix);
		return conn;
	}
	return NULL;
}

/*
 * CzTxnHasWrittenBefore
 *		See transaction.h.
 */
bool
CzTxnHasWrittenBefore(CommandId curcid)
{
	ListCell   *lc;

	if (CzTxnHasFlushBefore(curcid))
		return true;
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (has_changed_rows(entry) && entry->first_cid < curcid)
			return true;
	}
	return false;
}

/*
 * CzTxnHasWritten
 *		See transaction.h.
 */
bool
CzTxnHasWritten(void)
{
	ListCell   *lc;

	if (CzTxnHasFlushBefore(InvalidCommandId) || CzTxnHasLostWrites())
		return true;
	foreach(lc, cz_txn_entries)
	{
		if (((CzTxnEntry *) lfirst(lc))->written_level > 0)
			return true;
	}
	return false;
}

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
			calls[ncalls].conn = conn_prefix(command->server_oid, user_oid, kind, &sql);
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
		if (!is_connected(entry) && CzTxnDetach(entry))
			continue;
		initStringInfo(&sql);
		calls[ncalls].conn = use_entry(entry, USE_READ, &sql);
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
