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
 * Writes that wait in a buffer belong to the level that made them.  So they are
 * sent before a savepoint of a deeper level is opened, in the order of levels,
 * and when that fails it is their level that has lost something: it can only be
 * rolled back.  Buffered is either confirmed or undone, never forgotten.
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
#include "transaction_int.h"

/* A registered CzTxnRegisterFlush. */
typedef struct CzTxnFlush
{
	CzFlushCallback callback;
	void	   *arg;
	int			level;			/* nest level that its writes belong to */
	CommandId	first_cid;		/* commands whose writes it has */
	CommandId	last_cid;
} CzTxnFlush;

/* A connection that was looked at so many milliseconds ago is as it was then. */
#define JUST_LOOKED_MS 5

List	   *cz_txn_entries = NIL;
List	   *cz_txn_detached = NIL;

static List *txn_flushes = NIL; /* of CzTxnFlush, in TopTransactionContext */
static int	flush_level = 0;	/* > 0: a flush runs for this level */
static int	lost_level = 0;		/* > 0: a flush failed that an outer level than the one
								 * that is rolled back needed: this one must be, too */
static CommandId flush_first_cid = InvalidCommandId;	/* ... and these commands; or */
static CommandId flush_last_cid = InvalidCommandId; /* InvalidCommandId: the current one */
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

static void flush_before(CommandId curcid);

/* The level that a command belongs to: a flush's, or the current one. */
int
CzTxnLevel(void)
{
	int			level = GetCurrentTransactionNestLevel();

	return flush_level > 0 ? Min(level, flush_level) : level;
}

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

	if (CzHealthIsSuspect(endpoint->server_oid) && !CzHealthRecheck(endpoint))
		return NULL;
	conn = CzConnTryAcquire(endpoint, &message);
	if (conn == NULL && !CzHealthIsSuspect(endpoint->server_oid) &&
		strstr(message, "the database system is") == NULL)
		conn = CzConnAcquire(endpoint); /* raises what is wrong, if it still is */
	return conn;
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
 * check_not_lost
 *		Refuse to go on with, or to commit, a level whose buffered writes are lost.
 */
static void
check_not_lost(void)
{
	if (lost_level > 0)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_ROLLBACK),
				 errmsg("the transaction must be rolled back further"),
				 errdetail("Rows that were written before the last savepoint could not be sent to their nodes.")));
}

/* Does a level above this one have writes that wait? */
static bool
has_flush_below(int level)
{
	ListCell   *lc;

	foreach(lc, txn_flushes)
	{
		if (((CzTxnFlush *) lfirst(lc))->level < level)
			return true;
	}
	return false;
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
	if (top > level || (top < level && has_flush_below(level)))
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
	bool		is_current = flush_first_cid == InvalidCommandId;
	CommandId	cid = is_current ? GetCurrentCommandId(true) : InvalidCommandId;

	entry->first_cid = Min(entry->first_cid, is_current ? cid : flush_first_cid);
	entry->last_cid = Max(entry->last_cid, is_current ? cid : flush_last_cid);
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

	check_not_lost();
	if (conn->busy_owner != NULL)
		CzConnDrain(conn);
	check_connected(entry);
	CzConnSyncSettings(conn);

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
		note_commands(entry);
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
	if (flush_level > 0)
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

/* Errors of a transaction that must not write. */
static void
check_may_write(void)
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
	if (flush_level == 0 && before_write != NULL)
		before_write(false);
	return GetCurrentCommandId(true);
}

static CzConn *
conn_prefix(Oid server_oid, Oid user_oid, UseKind kind, StringInfo prefix)
{
	CzEndpoint *endpoint;
	CzTxnEntry *entry;

	if (kind != USE_READ)
		check_may_write();
	if (kind >= USE_REPLICA && flush_level == 0 && before_write != NULL)
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
	if (flush_level == 0 && !CzTxnWorkerIsClear(server_oid, user_oid) &&
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
	flush_before(curcid);
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

	foreach(lc, txn_flushes)
	{
		if (((CzTxnFlush *) lfirst(lc))->first_cid < curcid)
			return true;
	}
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

	if (txn_flushes != NIL || lost_level > 0)
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

/* The registration with this arg, or NULL. */
static CzTxnFlush *
find_flush(void *arg)
{
	ListCell   *lc;

	foreach(lc, txn_flushes)
	{
		if (((CzTxnFlush *) lfirst(lc))->arg == arg)
			return (CzTxnFlush *) lfirst(lc);
	}
	return NULL;
}

/*
 * run_at_level
 *		Run a callback as a part of an outer level.
 */
static void
run_at_level(int level, CzFlushCallback callback, void *arg)
{
	int			saved = flush_level;
	CommandId	saved_first_cid = flush_first_cid;
	CommandId	saved_last_cid = flush_last_cid;
	CzTxnFlush *flush = find_flush(arg);

	flush_level = level;
	flush_first_cid = flush != NULL ? flush->first_cid : InvalidCommandId;
	flush_last_cid = flush != NULL ? flush->last_cid : InvalidCommandId;
	PG_TRY();
	{
		callback(arg);
	}
	PG_CATCH();
	{
		flush_level = saved;
		flush_first_cid = saved_first_cid;
		flush_last_cid = saved_last_cid;
		if (level < GetCurrentTransactionNestLevel() &&
			(lost_level == 0 || level < lost_level))
			lost_level = level;
		PG_RE_THROW();
	}
	PG_END_TRY();
	flush_level = saved;
	flush_first_cid = saved_first_cid;
	flush_last_cid = saved_last_cid;
}

/*
 * flush_below
 *		Send what waits in the levels above this one and has writes of a command before
 *		curcid, outer levels first: the list is in that order, since a level's end sends
 *		or drops what it has.
 */
static void
flush_below(int level, CommandId curcid)
{
	List	   *all;
	ListCell   *lc;

	if (!has_flush_below(level))
		return;
	all = list_copy(txn_flushes);
	foreach(lc, all)
	{
		CzTxnFlush *flush = (CzTxnFlush *) lfirst(lc);

		/* An earlier one may have taken it off the list. */
		if (list_member_ptr(txn_flushes, flush) && flush->level < level &&
			flush->first_cid < curcid)
			run_at_level(flush->level, flush->callback, flush->arg);
	}
	list_free(all);
}

/*
 * CzTxnRegisterFlush, CzTxnFlushGoesOn, CzTxnUnregisterFlush, CzTxnFlushOuter, CzTxnFlushPending
 *		See transaction.h.
 */
void
CzTxnRegisterFlush(CzFlushCallback callback, void *arg)
{
	MemoryContext old;
	CzTxnFlush *flush;

	check_not_lost();
	old = MemoryContextSwitchTo(TopTransactionContext);
	flush = palloc(sizeof(CzTxnFlush));
	flush->callback = callback;
	flush->arg = arg;
	flush->level = CzTxnLevel();
	flush->first_cid = flush->last_cid = GetCurrentCommandId(true);
	txn_flushes = lappend(txn_flushes, flush);
	MemoryContextSwitchTo(old);
}

void
CzTxnFlushGoesOn(void *arg)
{
	CzTxnFlush *flush = find_flush(arg);

	if (flush != NULL)
		flush->last_cid = GetCurrentCommandId(true);
}

void
CzTxnUnregisterFlush(void *arg)
{
	ListCell   *lc;

	foreach(lc, txn_flushes)
	{
		CzTxnFlush *flush = (CzTxnFlush *) lfirst(lc);

		if (flush->arg == arg)
		{
			txn_flushes = foreach_delete_current(txn_flushes, lc);
			pfree(flush);
		}
	}
}

bool
CzTxnIsFlushRegistered(void *arg)
{
	return find_flush(arg) != NULL;
}

void
CzTxnFlushOuter(void)
{
	if (flush_level == 0)
		flush_below(GetCurrentTransactionNestLevel(), InvalidCommandId);
}

void
CzTxnFlushPending(void)
{
	flush_before(InvalidCommandId);
}

/* Run the flushes that have writes of a command before this one. */
static void
flush_before(CommandId curcid)
{
	check_not_lost();
	/* A flush that uses CzTxnConn must not start the others again. */
	if (flush_level == 0)
		flush_below(PG_INT32_MAX, curcid);
}

/*
 * CzTxnRunAtLevel
 *		See transaction.h.
 */
void
CzTxnRunAtLevel(int level, CzFlushCallback callback, void *arg)
{
	check_not_lost();
	/* A savepoint may be opened now: what outer levels have goes before it. */
	flush_below(level, InvalidCommandId);
	run_at_level(level, callback, arg);
}

/*
 * CzTxnDropFlushes
 *		Forget what belongs to subtransactions from level on, which abort: their
 *		owners' memory is going away.
 */
void
CzTxnDropFlushes(int level)
{
	ListCell   *lc;

	flush_level = 0;
	if (lost_level >= level)
		lost_level = 0;
	flush_first_cid = flush_last_cid = InvalidCommandId;
	foreach(lc, txn_flushes)
	{
		CzTxnFlush *flush = (CzTxnFlush *) lfirst(lc);

		if (flush->level >= level)
			txn_flushes = foreach_delete_current(txn_flushes, lc);
	}
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
	txn_flushes = NIL;
	flush_level = 0;
	lost_level = 0;
	flush_first_cid = flush_last_cid = InvalidCommandId;
	next_savepoint = 1;
	CzTxnShardLockForget();
	CzTxnSingleForget();
	CzTxnForgetSnapshots();
	CzTxnForgetLost();
}
