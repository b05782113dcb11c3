/*-------------------------------------------------------------------------
 *
 * recovery.c
 *	  Finish prepared transactions that a crash or a lost connection left on
 *	  workers.
 *
 * A prepared transaction of this coordinator and database is committed if its
 * row in the log is committed, and rolled back if it is not and never will be.
 * The order of looking is what makes that safe:
 *
 *	  1. log rows, for clearing up only
 *	  2. the workers' lists of prepared transactions
 *	  3. for each: is its local transaction still running?  Then leave it alone
 *	  4. else the log again: the row is there for ever or will never be
 *
 * (A transaction that is not running in 3 ended before 4, and it was prepared
 * before it ended.)  A row of 1 may be deleted when every worker that it names
 * answered in 2 without a prepared transaction of its: all of them were
 * prepared before the row was committed, so none can appear later.
 *
 * Only the coordinator decides: a standby sees the log late, a copy does not see
 * it at all (identity.c).
 *
 * Everybody sees all prepared transactions, but only the role that made one and
 * superusers may finish it: so each user mapping of a worker is tried.
 *
 * A session that needs a worker looks through its own user mapping first, and
 * without a lock: mostly there is nothing to finish.  Two that finish the same
 * transaction do no harm, one of them is told that it is gone; the lock of a
 * worker only saves the work.  No lock is held while a connection is made.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/counters.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "transaction_int.h"

PG_FUNCTION_INFO_V1(recover_prepared_transactions);

/* Milliseconds that who wants a worker waits for another one's recovery of it */
#define RECOVERY_WAIT_MS 100
#define RECOVERY_WAIT_STEP_MS 10

/* The prepared transactions of all coordinators, and whether we may finish them. */
#define LIST_SQL \
	"SELECT gid, owner = CURRENT_USER OR " \
	"pg_catalog.current_setting('is_superuser') = 'on' " \
	"FROM pg_catalog.pg_prepared_xacts " \
	"WHERE database = pg_catalog.current_database() " \
	"AND pg_catalog.left(gid, 3) = 'cz_'"

/* A worker as one role sees it. */
typedef struct RecoveryTarget
{
	Oid			server_oid;
	Oid			user_oid;
	bool		is_worker;		/* false: somebody's own server */
} RecoveryTarget;

/* What is to become of a prepared transaction. */
typedef enum Decision
{
	NOT_OURS,
	NOT_YET,					/* runs, or its backend is about to finish it */
	COMMIT_IT,
	ROLL_IT_BACK,
	NOT_KNOWN					/* ours, but the decision is not in our log */
} Decision;

/* What a look at a worker has left there; from good to bad. */
typedef enum Resolved
{
	RESOLVED_ALL,
	LEFT_ABORTED,				/* holds locks, but hides nothing */
	LEFT_COMMITTED				/* who reads there misses rows */
} Resolved;

/*
 * is_running
 *		Does a transaction with this full xid run here?  One that was given out
 *		again after a crash only delays the decision.
 */
static bool
is_running(uint64 fxid)
{
	FullTransactionId next = ReadNextFullTransactionId();

	if (fxid >= U64FromFullTransactionId(next))
		return false;
	if (U64FromFullTransactionId(next) - fxid > PG_INT32_MAX)
		return false;
	return TransactionIdIsInProgress((TransactionId) fxid);
}

static RecoveryTarget *
make_target(const CzNode *node, Oid user_oid)
{
	RecoveryTarget *target = palloc(sizeof(RecoveryTarget));

	target->server_oid = node->server_oid;
	target->is_worker = node->is_worker;
	target->user_oid = user_oid;
	return target;
}

/*
 * find_targets
 *		Each worker once per user mapping; the mapping for PUBLIC, and a worker
 *		without one, as the bootstrap superuser.
 *
 * Somebody's own server gets nothing from a superuser: its mapping for PUBLIC is tried
 * as its owner, and without a mapping nobody can have prepared anything there.
 * server_oids: out: the servers that are to be heard of.
 */
static List *
find_targets(List **server_oids)
{
	Relation	rel = table_open(UserMappingRelationId, AccessShareLock);
	List	   *servers = NIL;
	List	   *targets = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	*server_oids = NIL;
	/* what a standby has prepared its primary has, too */
	foreach(lc, CzServerList())
	{
		if (((CzNode *) lfirst(lc))->clone_of == NULL)
			servers = lappend(servers, lfirst(lc));
	}
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_user_mapping mapping = (Form_pg_user_mapping) GETSTRUCT(tuple);
		Oid			user_oid = mapping->umuser;

		foreach(lc, servers)
		{
			CzNode	   *node = lfirst(lc);

			if (node->server_oid != mapping->umserver)
				continue;
			if (!OidIsValid(user_oid))
				user_oid = node->is_worker ? BOOTSTRAP_SUPERUSERID :
					GetForeignServer(node->server_oid)->owner;
			targets = lappend(targets, make_target(node, user_oid));
			*server_oids = list_append_unique_oid(*server_oids, node->server_oid);
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	foreach(lc, servers)
	{
		CzNode	   *node = lfirst(lc);

		if (!node->is_worker || list_member_oid(*server_oids, node->server_oid))
			continue;
		targets = lappend(targets, make_target(node, BOOTSTRAP_SUPERUSERID));
		*server_oids = lappend_oid(*server_oids, node->server_oid);
	}
	return targets;
}

/*
 * decide
 *		Steps 3 and 4 of the head comment.
 */
static Decision
decide(const char *gid)
{
	CzGidName	name;

	if (!CzTxnGidParse(gid, &name))
		return NOT_OURS;		/* not a name that we make */
	if (name.whose == CZ_GID_OF_OTHER || name.whose == CZ_GID_OF_UNKNOWN_EPOCH)
	{
		/* in our log it may be all the same: from before an upgrade */
		if (CzTxnLogContains(name.prefix))
			return COMMIT_IT;
		return name.whose == CZ_GID_OF_OTHER ? NOT_OURS : NOT_KNOWN;
	}
	if (is_running(name.fxid))
		return NOT_YET;

	/*
	 * Committed already, but its backend is about to send COMMIT PREPARED
	 * itself: no need to get into its way.
	 */
	if (!CzTxnLocalLockIsFree(CZ_GID_LOCK(name.nonce)))
		return NOT_YET;
	return CzTxnLogContains(name.prefix) ? COMMIT_IT : ROLL_IT_BACK;
}

/* One command; NULL if the connection broke.  The caller frees the result. */
static PGresult *
run_command(CzConn *conn, const char *sql)
{
	CzTxnCall	call;

	memset(&call, 0, sizeof(call));
	call.conn = conn;
	call.sql = sql;
	call.is_logged = true;
	CzTxnRunCalls(&call, 1, CZ_CALL_INTERRUPTIBLE, -1);
	return call.result;
}

/*
 * carry_out
 *		COMMIT PREPARED or ROLLBACK PREPARED.
 *
 * Returns: 1 if that worked, 0 if somebody else was faster, -1 if it failed.
 */
static int
carry_out(CzConn *conn, const char *gid, bool is_commit, int elevel)
{
	PGresult   *res = run_command(conn, psprintf("%s PREPARED %s",
												 is_commit ? "COMMIT" : "ROLLBACK",
												 quote_literal_cstr(gid)));
	const char *sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	const char *message = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	int			n = -1;

	if (res != NULL && PQresultStatus(res) == PGRES_COMMAND_OK)
	{
		n = 1;
		CzCount(CZ_COUNT_RECOVERED);
		ereport(LOG,
				(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
				 errmsg("%s prepared transaction \"%s\" on node \"%s\"",
						is_commit ? "committed" : "rolled back", gid, conn->node_name)));
	}
	else if (sqlstate != NULL && strcmp(sqlstate, CZ_SQLSTATE_UNDEFINED_OBJECT) == 0)
		n = 0;
	else
		ereport(elevel,
				(errcode(ERRCODE_WARNING),
				 errmsg("could not %s prepared transaction \"%s\" on node \"%s\"",
						is_commit ? "commit" : "roll back", gid, conn->node_name),
				 message ? errdetail_internal("%s", CzRedact(message, NULL)) : 0));
	PQclear(res);
	return n;
}

/* The rows of the log whose transactions have a part among gids stay. */
static void
mark_in_use(List *log, List *gids)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, log)
	{
		CzLogRow   *row = (CzLogRow *) lfirst(lc);
		size_t		len = strlen(row->gid_prefix);

		foreach(lc2, gids)
		{
			const char *gid = (const char *) lfirst(lc2);

			if (strncmp(gid, row->gid_prefix, len) == 0 && gid[len] == '_')
				row->is_in_use = true;
		}
	}
}

/*
 * list_prepared
 *		What is prepared on a worker; false if it did not answer.
 *
 * all, mine: out: lists of gids, those that the connection's role may finish in
 *		mine too.
 */
static bool
list_prepared(CzConn *conn, List **all, List **mine)
{
	PGresult   *res = run_command(conn, LIST_SQL);
	int			i;

	*all = NIL;
	*mine = NIL;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK || PQnfields(res) != 2)
	{
		PQclear(res);
		return false;
	}
	for (i = 0; i < PQntuples(res); i++)
	{
		char	   *gid = pstrdup(PQgetvalue(res, i, 0));

		*all = lappend(*all, gid);
		if (PQgetvalue(res, i, 1)[0] == 't')
			*mine = lappend(*mine, gid);
	}
	PQclear(res);
	return true;
}

/*
 * resolve_prepared
 *		Finish what can be finished through a connection.
 *
 * may_finish: else only look.
 * nresolved: counted up.
 * Returns: what is left: RESOLVED_ALL, or LEFT_ABORTED if it is of transactions that
 *		failed, or LEFT_COMMITTED if some of it is committed here.
 */
static Resolved
resolve_prepared(CzConn *conn, List *all, List *mine, bool may_finish, int elevel,
				 int *nresolved)
{
	Resolved	resolved = RESOLVED_ALL;
	ListCell   *lc;

	foreach(lc, all)
	{
		const char *gid = (const char *) lfirst(lc);
		Decision	decision = decide(gid);
		int			n = -1;

		if (decision == NOT_KNOWN)
			ereport(elevel,
					(errcode(ERRCODE_WARNING),
					 errmsg("prepared transaction \"%s\" on node \"%s\" is left alone",
							gid, conn->node_name),
					 errdetail("It was made before this database took over from a coordinator whose decisions are not known here."),
					 errhint("Finish it with COMMIT PREPARED or ROLLBACK PREPARED on that node.")));
		if (decision != COMMIT_IT && decision != ROLL_IT_BACK)
			continue;
		if (may_finish && list_member_ptr(mine, gid))
			n = carry_out(conn, gid, decision == COMMIT_IT, elevel);
		if (n > 0)
			*nresolved += n;
		if (n < 0)
			resolved = Max(resolved, decision == COMMIT_IT ? LEFT_COMMITTED : LEFT_ABORTED);
	}
	return resolved;
}

/* A connection that only recovery needs is not kept. */
static void
end_connection(CzConn *conn, bool is_kept)
{
	if (is_kept)
		CzConnRelease(conn);
	else
		CzConnDiscard(conn);
}

/*
 * connect_and_list
 *		A connection and what is prepared on its worker; NULL and *error if it did
 *		not answer.  A cached connection that is dead says nothing about the
 *		worker: it is replaced once.
 *
 * is_fenced: out: former coordinators are, and were before the worker was asked.
 */
static CzConn *
connect_and_list(const CzEndpoint *endpoint, List **all, List **mine, bool *is_fenced,
				 char **error)
{
	CzConn	   *conn;
	int			i;

	*error = NULL;
	for (i = 0; i < 2; i++)
	{
		conn = CzConnTryAcquire(endpoint, error);
		if (conn == NULL)
			return NULL;
		*is_fenced = CzFenceWorker(conn);
		if (!conn->is_broken && list_prepared(conn, all, mine))
			return conn;
		CzConnDiscard(conn);
		if (CzHealthIsSuspect(endpoint->server_oid))
			break;
	}
	return NULL;
}

/*
 * recover_target
 *		Look at one worker as one role, and finish what is left there.
 *
 * Returns: number resolved, -1 if the worker did not answer.  Marks the rows of
 *		log that have a prepared transaction there.
 * is_clear: out: nothing that is decided is left there; is_done: nothing at all.
 */
static int
recover_target(RecoveryTarget *target, List *log, int elevel, bool *is_clear,
			   bool *is_done)
{
	bool		is_kept = target->user_oid == GetUserId() ||
		CzConnCount(target->server_oid, target->user_oid) > 0;
	CzEndpoint *endpoint = CzEndpointGet(target->server_oid, target->user_oid);
	CzConn	   *conn;
	char	   *error;
	List	   *all;
	List	   *mine;
	Resolved	resolved;
	bool		is_fenced;
	int			nresolved = 0;

	conn = connect_and_list(endpoint, &all, &mine, &is_fenced, &error);
	if (conn == NULL)
	{
		ereport(elevel,
				(errcode(ERRCODE_WARNING),
				 errmsg("could not look for prepared transactions on node \"%s\"",
						endpoint->node_name),
				 error ? errdetail_internal("%s", error) : 0));
		return -1;
	}
	mark_in_use(log, all);
	resolved = resolve_prepared(conn, all, mine, true, elevel, &nresolved);
	*is_clear = resolved != LEFT_COMMITTED;
	*is_done = resolved == RESOLVED_ALL;
	end_connection(conn, is_kept);
	return nresolved;
}

/*
 * recover_target_safely
 *		recover_target in a subtransaction: CzEndpointGet refuses roles without
 *		credentials, and one such mapping must not stop the others' recovery.
 */
static int
recover_target_safely(RecoveryTarget *target, List *log, int elevel, bool *is_clear,
					  bool *is_done)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int n = -1;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		n = recover_target(target, log, elevel, is_clear, is_done);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		/* of no worker there is anything to expect then */
		if (CzTxnIsReplaced())
			CzTxnReportReplaced(CzTxnIdentity(), NULL);
		ereport(elevel,
				(errcode(error->sqlerrcode),
				 errmsg("could not look for prepared transactions: %s", error->message),
				 error->context ? errcontext("%s", error->context) : 0));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return n;
}

/* Does a decision name the server? */
static bool
is_named(List *log, Oid server_oid)
{
	const char *name = CzNodeName(server_oid);
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, log)
	{
		foreach(lc2, ((CzLogRow *) lfirst(lc))->server_names)
		{
			if (strcmp((char *) lfirst(lc2), name) == 0)
				return true;
		}
	}
	return false;
}

/*
 * recover_targets
 *		Go through the targets of one server, or of all.
 *
 * answered: servers whose list is known are appended.
 * is_done: out, if not NULL: all have answered, and nothing is left.
 */
static int
recover_targets(List *targets, Oid only_server_oid, List *log, int elevel,
				List **answered, bool *is_done)
{
	uint64		generation = CzTxnDoubtGeneration();
	List	   *failed = NIL;	/* servers that could not be asked once */
	int			nresolved = 0;
	ListCell   *lc;

	foreach(lc, targets)
	{
		RecoveryTarget *target = (RecoveryTarget *) lfirst(lc);
		bool		is_clear = false;
		bool		is_empty = false;
		int			n;

		if (OidIsValid(only_server_oid) && target->server_oid != only_server_oid)
			continue;
		/* somebody's own server is left alone unless there is a decision for it */
		if (!target->is_worker && !OidIsValid(only_server_oid) &&
			!is_named(log, target->server_oid))
			continue;
		/* One time-out is enough, if it was one */
		if (list_member_oid(failed, target->server_oid) &&
			CzHealthIsSuspect(target->server_oid))
			continue;
		CHECK_FOR_INTERRUPTS();
		n = recover_target_safely(target, log, elevel, &is_clear, &is_empty);
		if (is_done != NULL && (n < 0 || !is_empty))
			*is_done = false;
		if (n < 0)
		{
			failed = lappend_oid(failed, target->server_oid);
			continue;
		}
		*answered = lappend_oid(*answered, target->server_oid);
		nresolved += n;
		if (is_clear)
			CzTxnMarkClear(target->server_oid, generation);
	}
	return nresolved;
}

/* The rows that name a worker of which it is not known that it is done stay. */
static void
mark_unanswered(List *log, List *answered)
{
	List	   *names = NIL;
	ListCell   *lc;
	ListCell   *lc2;
	ListCell   *lc3;

	foreach(lc, answered)
		names = lappend(names, CzNodeName(lfirst_oid(lc)));
	foreach(lc, log)
	{
		CzLogRow   *row = (CzLogRow *) lfirst(lc);

		foreach(lc2, row->server_names)
		{
			bool		has_answered = false;

			foreach(lc3, names)
				has_answered |= strcmp((char *) lfirst(lc3), (char *) lfirst(lc2)) == 0;
			if (!has_answered)
				row->is_in_use = true;
		}
	}
}

/*
 * CzTxnRecover
 *		One round over all workers of this database.
 *
 * elevel: of messages about workers that cannot be reached; below ERROR.
 * is_done: out, if not NULL: false if there is more to do.
 * Returns: number of prepared transactions finished.
 */
int
CzTxnRecover(int elevel, bool *is_done)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz recovery",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *answered = NIL;
	List	   *log;
	List	   *servers;
	List	   *targets;
	ListCell   *lc;
	int			nresolved;

	if (is_done != NULL)
		*is_done = true;
	/* until commit: who tidies the log next must see what we have deleted */
	CzTxnLocalLock(CZ_RECOVERY_LOCK, CZ_LOCK_EXCLUSIVE);
	log = CzTxnLogRead();
	targets = find_targets(&servers);
	nresolved = recover_targets(targets, InvalidOid, log, elevel, &answered, is_done);
	mark_unanswered(log, answered);
	/* one whose backend is finishing it, too */
	foreach(lc, log)
	{
		if (is_done != NULL && ((CzLogRow *) lfirst(lc))->is_in_use)
			*is_done = false;
	}
	/* the backup of a worker may have what is finished there now, and this server's has not */
	if (CzGateTryEnter())
		CzTxnLogTidy(log, NULL);
	else if (is_done != NULL)
		*is_done = false;

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return nresolved;
}

/*
 * CzTxnForgetWorker
 *		See transaction.h.
 */
void
CzTxnForgetWorker(Oid server_oid)
{
	MemoryContext context;
	MemoryContext old;
	List	   *answered = NIL;
	List	   *log;
	List	   *servers;
	List	   *targets;

	if (!CzTxnLogExists() || !CzTxnDecides())
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "cz recovery",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	CzTxnLocalLock(CZ_RECOVERY_LOCK, CZ_LOCK_EXCLUSIVE);
	log = CzTxnLogRead();
	if (is_named(log, server_oid))
	{
		targets = find_targets(&servers);
		(void) recover_targets(targets, server_oid, log, DEBUG1, &answered, NULL);
		if (answered != NIL && CzGateTryEnter())
			CzTxnLogTidy(log, CzNodeName(server_oid));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * wait_for_lock
 *		Become the one who recovers a worker; false if another one is at it and has
 *		not come to an end in time.
 */
static bool
wait_for_lock(Oid server_oid)
{
	int			waited_ms;

	for (waited_ms = 0;; waited_ms += RECOVERY_WAIT_STEP_MS)
	{
		if (CzTxnLocalLockTry(CZ_SERVER_LOCK(server_oid)))
			return true;
		if (waited_ms >= RECOVERY_WAIT_MS)
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 RECOVERY_WAIT_STEP_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * CzTxnRecoverServer
 *		A session needs a worker that is in doubt: see whether something is left
 *		there, and finish it.
 *
 * error: out, if it can't be reached: why.
 */
CzRecovery
CzTxnRecoverServer(Oid server_oid, Oid user_oid, char **error)
{
	uint64		generation = CzTxnDoubtGeneration();
	Resolved	resolved;
	int			nresolved = 0;
	List	   *answered = NIL;
	List	   *servers;
	List	   *all;
	List	   *mine;
	bool		is_fenced;
	CzConn	   *conn;

	conn = connect_and_list(CzEndpointGet(server_oid, user_oid), &all, &mine, &is_fenced,
							error);
	if (conn == NULL)
		return CZ_RECOVERY_UNREACHABLE;
	resolved = resolve_prepared(conn, all, mine, false, DEBUG1, &nresolved);
	if ((resolved != RESOLVED_ALL || !is_fenced) && wait_for_lock(server_oid))
	{
		/* through the own mapping first, then through the others */
		if (list_prepared(conn, &all, &mine))
			resolved = resolve_prepared(conn, all, mine, true, DEBUG1, &nresolved);
		if ((resolved != RESOLVED_ALL || !is_fenced) && !conn->is_broken)
		{
			(void) recover_targets(find_targets(&servers), server_oid, NIL, DEBUG1,
								   &answered, NULL);
			if (!is_fenced && !CzFenceWorker(conn))
				ereport(LOG,
						(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						 errmsg("former coordinators are not fenced on node \"%s\"",
								conn->node_name),
						 errdetail("No user mapping may write the comment of its schema of shards and end their sessions.")));
			if (list_prepared(conn, &all, &mine))
				resolved = resolve_prepared(conn, all, mine, false, DEBUG1, &nresolved);
		}
		CzTxnLocalUnlock(CZ_SERVER_LOCK(server_oid), CZ_LOCK_EXCLUSIVE);
	}
	CzConnRelease(conn);
	if (resolved == LEFT_COMMITTED || CzTxnIsLate(server_oid))
		return CZ_RECOVERY_LEFT;
	CzTxnMarkClear(server_oid, generation);
	return CZ_RECOVERY_CLEAR;
}

/*
 * recover_prepared_transactions
 *		SQL function: one round now; returns the number of transactions finished.
 */
Datum
recover_prepared_transactions(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("recover_prepared_transactions()");
	if (!CzTxnIsAttached())
		CzTxnCheckCoordinator();
	PG_RETURN_INT32(CzTxnRecover(WARNING, NULL));
}
