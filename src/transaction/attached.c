/*-------------------------------------------------------------------------
 *
 * attached.c
 *	  A coordinator beside the owner of the cluster: it reads and writes rows of the same
 *	  shards, and has a copy of the owner's map of them.  This is its side; the owner's is
 *	  attached_owner.c.
 *
 * The map (which tables there are, of what shape, where the placements of their shards are
 * and which of them are active) is changed by the owner only.  Its version is asked for in
 * one round trip, and contains what counts of it, so that nothing has to be noted where it
 * changes: the owner's sessions have it in a cache that ordinary invalidations drop.
 *
 * Reads.  Each statement asks the owner for the version first (CzAttachedUse).  If it is
 * not that of the copy, a background worker brings the copy up to date, and the session
 * waits for that; a table that is of another shape there than here is refused (55000).  A
 * reader who has found the right place may go on reading there when it is left: the owner
 * lets the old placement stand for a while, as for its own readers.  If the owner can't be
 * reached, reads go on by the copy, with a WARNING: nobody but the owner changes the map;
 * but if it lives, and only the way to it is cut, they may miss what was written since to
 * shards that it has moved or placements that it has made inactive.  cz.read_without_owner
 * refuses them then.
 *
 * Writes.  Before a shard is written, or rows of it are locked, the transaction takes the
 * lock of that shard that the owner's own writers take, at the owner (CzAttachedEnter), by
 * a transaction there, the proxy, that holds it until this one has ended.  What the owner
 * does with the shard (moves, splits, copies and repairs of placements, DDL) waits for it
 * as for one of its own sessions; the version comes back with the lock, so that placements
 * are looked up as they are now and stay.  No lock, no write: if the owner is down, writes
 * fail (08001), and a transaction whose proxy is lost before its commit is rolled back
 * (08006).  Should the owner be lost between that look and the commit on the workers, what
 * changes a shard there waits for the writers on the workers, too: moves lock the tables.
 *
 * A placement that can't be written is made inactive at the owner, by a transaction of its
 * own there, before this one commits: at worst one is inactive for nothing.  It can't be
 * made active again as long as the proxy has the shard's lock.
 *
 * Decisions of commits on several workers are in the log here, under names of this
 * coordinator's own (identity.c); those ways to commit that note in the catalogs what a
 * crash leaves behind (chain.c, follow.c) are not used, for the owner would not know.
 *
 * Sessions on workers are of the owner's epoch: a take-over fences those of attached
 * coordinators with the owner's (fence.c), until they have heard of the new owner.
 *
 * A wait of the proxy for a lock and waits on workers may form a circle that nobody sees:
 * who waits at the owner gives up after LOCK_WAIT_MS (55P03).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cz/settings.h"
#include "transaction_int.h"

/* For a lock at the owner, milliseconds */
#define LOCK_WAIT_MS 10000

/* An owner that could not be reached is not tried again by reads for as long as the attempt
 * took, times this, but at least and at most so long */
#define DOWN_FACTOR 4
#define DOWN_MIN_MS 500
#define DOWN_MAX_MS 10000

/* Statements of one message that follow each other so closely ask once */
#define ASKED_MS 50

/* A lock that the proxy has. */
typedef struct Entered
{
	int64		shard_id;
	CzShardLock mode;
} Entered;

static CzTxnEntry *proxy = NULL;	/* of this transaction */
static bool proxy_has_begun = false;
static List *entered = NIL;		/* of Entered; in TopTransactionContext */
static List *used_relids = NIL; /* tables that were looked at; in TopTransactionContext */

static TimestampTz asked_at = 0;	/* for the version of the map */
static TimestampTz asked_statement = 0;
static TimestampTz down_until = 0;
static bool warned = false;		/* that the owner is down; until it is back */

/*
 * CzAttachedOwner
 *		See transaction.h.
 */
Oid
CzAttachedOwner(void)
{
	return get_foreign_server_oid(CzTxnIdentity()->owner_server, false);
}

/*
 * CzAttachedRefuse
 *		See transaction.h.
 */
void
CzAttachedRefuse(void)
{
	const CzIdentity *self = CzTxnIdentity();

	if (self->is_attached)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("only the owner of the cluster can do this"),
				 errdetail("This database is attached to it as another coordinator, which reads and writes rows of distributed tables."),
				 errhint("Do it there: server \"%s\" says where that is.", self->owner_server)));
}

bool
CzAttachedIsProxy(const CzTxnEntry *entry)
{
	return entry == proxy;
}

/* ---- the map --------------------------------------------------------------- */

/* Is this version what is here?  epoch, owner and hash, as the owner says it. */
static bool
is_current(const char *version)
{
	return strcmp(version, CzTxnIdentity()->map_version) == 0;
}

/* The owner has answered something that is no version. */
static void
check_answer(const char *version)
{
	if (strcmp(version, "unknown") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is not attached to its cluster any more"),
				 errdetail("The owner does not know it as a coordinator."),
				 errhint("SELECT cz_detach_coordinator() makes it a copy; then it can be attached again.")));
	if (strcmp(version, "replaced") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" is not the owner of the cluster any more",
						CzTxnIdentity()->owner_server),
				 errhint("ALTER SERVER says where the owner is now.")));
}

/*
 * CzAttachedSync
 *		Have a background worker bring the map up to date, and wait for its end.
 *
 * Errors: 55000 if it has not.
 */
void
CzAttachedSync(void)
{
	char		before[CZ_MAP_VERSION_LEN + 1];
	TimestampTz synced_at = CzTxnIdentity()->synced_at;
	BackgroundWorkerHandle *handle;

	strlcpy(before, CzTxnIdentity()->map_version, sizeof(before));
	handle = CzBackgroundStart(CZ_BACKGROUND_MAP, 0, "map");
	if (handle == NULL)
		CzNoBackgroundWorker();
	(void) WaitForBackgroundWorkerShutdown(handle);
	pfree(handle);
	AcceptInvalidationMessages();
	if (CzTxnIdentity()->synced_at == synced_at &&
		strcmp(before, CzTxnIdentity()->map_version) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the map of the cluster's shards could not be brought up to date"),
				 errdetail("The owner has changed it."),
				 errhint("The server log says why it could not.")));
}

/* Is a table here what it is at the owner, by the last word of it? */
static void
check_table(Oid relid)
{
	const CzTable *table = CzTableGet(CzRootOf(relid));
	const char *here;
	char	   *there;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		return;
	here = CzTableFingerprint(table);
	there = CzAttachedFingerprint(table->relid);
	if (there != NULL && strcmp(here, there) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 there == NULL ?
			 errmsg("table \"%s\" is not distributed in the cluster any more",
					get_rel_name(table->relid)) :
			 errmsg("table \"%s\" is not what it is at the owner of the cluster",
					get_rel_name(table->relid)),
			 errdetail("It was altered there, or here: its columns, constraints, unique indexes, triggers, policies or the bounds of its shards differ."),
			 errhint("With cz.local_ddl DDL is done in this database alone: repeat what was done at the owner.")));
}

/* All tables that the transaction uses, after the map has changed. */
static void
check_used(void)
{
	ListCell   *lc;

	foreach(lc, used_relids)
	{
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(lc))))
			check_table(lfirst_oid(lc));
	}
}

/* What the owner says the version is. */
static void
take_version(const char *version)
{
	check_answer(version);
	asked_at = GetCurrentTimestamp();
	asked_statement = GetCurrentStatementStartTimestamp();
	AcceptInvalidationMessages();
	if (is_current(version))
		return;
	CzAttachedSync();
	check_used();
}

/* The owner can't be reached by a read. */
static void
owner_is_down(const char *why, TimestampTz since)
{
	long		took_ms = TimestampDifferenceMilliseconds(since, GetCurrentTimestamp());

	down_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											 Min(Max(took_ms * DOWN_FACTOR, DOWN_MIN_MS), DOWN_MAX_MS));
	if (!cz_read_without_owner)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to the owner of the cluster"),
				 why ? errdetail_internal("%s", why) : 0,
				 errhint("With cz.read_without_owner reads go on.")));
	if (warned)
		return;
	warned = true;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("could not connect to the owner of the cluster: reads go on as of %s",
					timestamptz_to_str(CzTxnIdentity()->synced_at)),
			 why ? errdetail_internal("%s", why) : 0,
			 errhint("What it has moved or repaired since is not known here.")));
}

static char *
version_sql(void)
{
	return psprintf("SELECT cz.coordinator_map('%s')", CzTxnIdentity()->token);
}

/* Ask for the version, outside of the transaction. */
static void
ask_version(void)
{
	CzOutsideCommand command;
	TimestampTz now = GetCurrentTimestamp();

	if (now < down_until && cz_read_without_owner)
		return;
	memset(&command, 0, sizeof(command));
	command.server_oid = CzAttachedOwner();
	command.sql = version_sql();
	CzOutsideRun(list_make1(&command), GetUserId(), false, true);
	if (!command.is_ok || command.answer == NULL)
	{
		owner_is_down(command.answer, now);
		return;
	}
	warned = false;
	down_until = 0;
	take_version(command.answer);
}

/*
 * CzAttachedUse
 *		See transaction.h.
 */
void
CzAttachedUse(List *relids)
{
	List	   *tables = NIL;
	bool		is_new = false;
	MemoryContext old;
	ListCell   *lc;

	if (relids == NIL || !CzTxnIsAttached() || IsParallelWorker())
		return;
	foreach(lc, relids)
	{
		Oid			relid = CzRootOf(lfirst_oid(lc));
		const CzTable *table;
		Oid			parent_relid;

		if (CzIsShard(relid, &parent_relid))
			relid = CzRootOf(parent_relid);
		table = CzTableGet(relid);
		if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
			continue;
		tables = list_append_unique_oid(tables, relid);
		is_new |= !list_member_oid(used_relids, relid);
	}
	if (tables == NIL)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	used_relids = list_concat_unique_oid(used_relids, tables);
	MemoryContextSwitchTo(old);
	if (asked_statement != GetCurrentStatementStartTimestamp() ||
		GetCurrentTimestamp() > TimestampTzPlusMilliseconds(asked_at, ASKED_MS))
		ask_version();
	else if (!is_new)
		return;
	foreach(lc, tables)
		check_table(lfirst_oid(lc));
}

/* ---- the proxy ------------------------------------------------------------- */

/* The locks of this transaction are lost, if it had any. */
static void
report_lost(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to the owner of the cluster was lost during the transaction"),
			 errdetail("It holds the locks of the shards that the transaction writes."),
			 errhint("Repeat the transaction.")));
}

static bool
proxy_is_lost(void)
{
	return proxy->is_failed || proxy->conn->is_broken || !CzTxnIsConnected(proxy);
}

/* The proxy's connection. */
static void
open_proxy(void)
{
	Oid			user_oid = GetUserId();

	if (proxy != NULL)
	{
		if (proxy_is_lost())
			report_lost();
		return;
	}
	proxy = CzTxnOpenEntry(user_oid, CzEndpointGet(CzAttachedOwner(), user_oid), false);
	if (proxy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to the owner of the cluster"),
				 errdetail("What is written is locked there."),
				 errhint("Reads go on. If it is dead, its standby, or this database by cz_take_over(), can become the owner.")));
	proxy_has_begun = false;
}

/*
 * ask_proxy
 *		Run a query that answers one value in the proxy's transaction.
 *
 * Errors: those of the owner; what the proxy has before stays.
 */
static char *
ask_proxy(const char *query)
{
	volatile bool was_answered = false;
	char	   *result = NULL;
	char	   *sql;

	open_proxy();
	if (proxy_has_begun)
		sql = psprintf("SAVEPOINT cz_proxy; %s", query);
	else
		sql = psprintf("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = %d; "
					   "SET LOCAL idle_in_transaction_session_timeout = 0; SAVEPOINT cz_proxy; %s",
					   LOCK_WAIT_MS, query);
	PG_TRY();
	{
		PGresult   *res = CzConnQuery(proxy->conn, sql, 1, 1, 1);

		was_answered = true;
		proxy->has_begun = true;
		proxy_has_begun = true;
		result = CzResultText(res, 0, 0);
		result = result ? pstrdup(result) : NULL;
		PQclear(res);
	}
	PG_CATCH();
	{
		/* the savepoint is there if it is the query that has failed */
		if (!was_answered && !proxy->conn->is_broken &&
			PQtransactionStatus(proxy->conn->pg) == PQTRANS_INERROR)
		{
			PGresult   *res = CzConnExecQuiet(proxy->conn, "ROLLBACK TO SAVEPOINT cz_proxy",
											  cz_worker_timeout_ms);

			proxy->has_begun = true;
			proxy_has_begun = true;
			if (res == NULL || PQresultStatus(res) != PGRES_COMMAND_OK)
				proxy->is_failed = true;
			PQclear(res);
		}
		else
			proxy->is_failed = true;
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the owner of the cluster has not answered as one")));
	return result;
}

static bool
has_entered(const CzShard *shard, CzShardLock mode)
{
	ListCell   *lc;

	foreach(lc, entered)
	{
		const Entered *one = lfirst(lc);

		if (one->shard_id == shard->shard_id &&
			(one->mode == mode || (one->mode == CZ_LOCK_EXCLUSIVE && mode == CZ_LOCK_SHARED)))
			return true;
	}
	return false;
}

/*
 * CzAttachedEnter
 *		Take the locks of shards at the owner, too; afterwards the map is that of a moment
 *		when they were held.  Does nothing but on an attached coordinator.
 */
bool
CzAttachedEnter(const CzShard *const *shards, int nshards, CzShardLock mode, bool may_wait)
{
	StringInfoData names;
	StringInfoData ids;
	MemoryContext old;
	int			n = 0;
	int			i;

	if (nshards == 0 || !CzTxnIsAttached())
		return true;
	initStringInfo(&names);
	initStringInfo(&ids);
	for (i = 0; i < nshards; i++)
	{
		if (shards[i]->is_copy || !OidIsValid(shards[i]->table_relid))
			CzAttachedRefuse();
		if (has_entered(shards[i], mode))
			continue;
		appendStringInfo(&names, "%s%s", n > 0 ? ", " : "",
						 quote_literal_cstr(CzRelationName(CzRootOf(shards[i]->table_relid))));
		appendStringInfo(&ids, "%s" INT64_FORMAT, n > 0 ? ", " : "", shards[i]->shard_id);
		n++;
	}
	if (n == 0)
		return true;
	take_version(ask_proxy(psprintf("SELECT cz.coordinator_enter('%s', ARRAY[%s]::pg_catalog.text[], ARRAY[%s]::pg_catalog.int8[], %d, %s)",
									CzTxnIdentity()->token, names.data, ids.data, (int) mode,
									may_wait ? "true" : "false")));
	old = MemoryContextSwitchTo(TopTransactionContext);
	for (i = 0; i < nshards; i++)
	{
		Entered    *one;

		if (has_entered(shards[i], mode))
			continue;
		one = palloc(sizeof(Entered));
		one->shard_id = shards[i]->shard_id;
		one->mode = mode;
		entered = lappend(entered, one);
	}
	MemoryContextSwitchTo(old);
	for (i = 0; i < nshards; i++)
		check_table(shards[i]->table_relid);
	return true;
}

/*
 * CzAttachedCheckEntered
 *		Something is about to be written on a worker: by now the owner must have been asked.
 */
void
CzAttachedCheckEntered(void)
{
	if (CzTxnIsAttached() && entered == NIL)
		CzAttachedRefuse();
}

/*
 * CzAttachedMarkLost
 *		A placement has missed this transaction: the owner makes it inactive now.
 *
 * Errors: 08006 if it can't, or the placement is the last one.
 */
void
CzAttachedMarkLost(int64 shard_id, Oid table_relid, Oid server_oid, const char *reason)
{
	CzOutsideCommand command;

	memset(&command, 0, sizeof(command));
	command.server_oid = CzAttachedOwner();
	command.sql = psprintf("SELECT cz.coordinator_lose('%s', %s, " INT64_FORMAT ", %s, %s)",
						   CzTxnIdentity()->token,
						   quote_literal_cstr(CzRelationName(table_relid)), shard_id,
						   quote_literal_cstr(GetForeignServer(server_oid)->servername),
						   quote_literal_cstr(reason));
	CzOutsideRun(list_make1(&command), GetUserId(), false, true);
	if (!command.is_ok || command.answer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the owner of the cluster could not make a placement of shard " INT64_FORMAT " inactive",
						shard_id),
				 command.answer ? errdetail_internal("%s", command.answer) : 0,
				 errhint("Repeat the transaction.")));
}

/*
 * CzAttachedBeforeCommit
 *		The last look before anything is committed on workers: are the locks still held, and
 *		are the placements that were written those that count now?
 *
 * Errors: 08006; what CzTxnCheckPlacements finds then is 40001.
 */
void
CzAttachedBeforeCommit(List *written)
{
	if (written == NIL || !CzTxnIsAttached())
		return;
	CzAttachedCheckEntered();
	CzDebugPoint("attached_check");
	take_version(ask_proxy(version_sql()));
}

/*
 * CzAttachedEnd
 *		The transaction is committed: the locks go.  Never throws.
 */
void
CzAttachedEnd(void)
{
	CzTxnCall	call;

	if (proxy == NULL || proxy->conn == NULL || proxy->is_failed || !proxy_has_begun ||
		PQtransactionStatus(proxy->conn->pg) == PQTRANS_IDLE)
		return;
	memset(&call, 0, sizeof(call));
	call.conn = proxy->conn;
	call.sql = "COMMIT";
	call.is_logged = true;
	CzTxnRunCalls(&call, 1, CZ_CALL_QUIET, cz_worker_timeout_ms);
	if (!CzTxnCallIsOk(&call))
		proxy->is_failed = true;
	PQclear(call.result);
	proxy->is_finished = true;
}

/* The transaction is over. */
void
CzAttachedForget(void)
{
	proxy = NULL;
	proxy_has_begun = false;
	entered = NIL;
	used_relids = NIL;
}
