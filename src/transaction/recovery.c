/*-------------------------------------------------------------------------
 *
 * recovery.c
 *	  Finish prepared transactions that a crash or a lost connection left on
 *	  workers; the table cz.transaction_log.
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
 * Everybody sees all prepared transactions, but only the role that made one and
 * superusers may finish it: so each user mapping of a worker is tried.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "transaction_int.h"

PG_FUNCTION_INFO_V1(recover_prepared_transactions);

/* Columns of cz.transaction_log */
#define LOG_NATTS 3
#define LOG_GID_PREFIX 1
#define LOG_SERVER_OIDS 2
#define LOG_CREATED_AT 3

/* Local lock that one recovery at a time holds (keys of shards are positive) */
#define CZ_RECOVERY_LOCK (-1)

/* A row of the log. */
typedef struct LogRow
{
	char	   *gid_prefix;
	List	   *server_oids;
	bool		is_in_use;		/* a prepared transaction of it is left */
} LogRow;

/* A worker as one role sees it. */
typedef struct RecoveryTarget
{
	Oid			server_oid;
	Oid			user_oid;
	bool		is_worker;		/* false: somebody's own server */
} RecoveryTarget;

static Oid
log_relid(void)
{
	return CzCatalogRelid("transaction_log");
}

/* False while the extension is being dropped. */
bool
CzTxnLogExists(void)
{
	return OidIsValid(log_relid());
}

/*
 * CzTxnLogInsert
 *		Write the decision row, as part of the current transaction.
 */
void
CzTxnLogInsert(const char *gid_prefix, List *server_oids)
{
	Relation	rel = table_open(log_relid(), RowExclusiveLock);
	Datum		values[LOG_NATTS];
	bool		nulls[LOG_NATTS] = {false};
	Datum	   *oids = palloc(sizeof(Datum) * Max(list_length(server_oids), 1));
	HeapTuple	tuple;
	ListCell   *lc;

	foreach(lc, server_oids)
		oids[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	values[LOG_GID_PREFIX - 1] = CStringGetTextDatum(gid_prefix);
	values[LOG_SERVER_OIDS - 1] =
		PointerGetDatum(construct_array(oids, list_length(server_oids), OIDOID,
										sizeof(Oid), true, TYPALIGN_INT));
	values[LOG_CREATED_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

/*
 * read_log
 *		Committed rows of the log; is_delete: remove those of the list instead that
 *		are not in use, returning NIL.
 */
static List *
read_log(List *delete_rows)
{
	Relation	rel = table_open(log_relid(), RowExclusiveLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	List	   *rows = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		char	   *gid_prefix = TextDatumGetCString(heap_getattr(tuple, LOG_GID_PREFIX,
																  RelationGetDescr(rel),
																  &isnull));
		LogRow	   *row;
		ListCell   *lc;

		if (delete_rows != NIL)
		{
			foreach(lc, delete_rows)
			{
				row = (LogRow *) lfirst(lc);
				if (!row->is_in_use && strcmp(row->gid_prefix, gid_prefix) == 0)
				{
					CatalogTupleDelete(rel, &tuple->t_self);
					delete_rows = foreach_delete_current(delete_rows, lc);
					break;
				}
			}
			if (delete_rows == NIL)
				break;
		}
		else
		{
			Datum		servers = heap_getattr(tuple, LOG_SERVER_OIDS,
											   RelationGetDescr(rel), &isnull);
			Datum	   *oids;
			int			noids;
			int			i;

			row = palloc0(sizeof(LogRow));
			row->gid_prefix = gid_prefix;
			deconstruct_array(DatumGetArrayTypeP(servers), OIDOID, sizeof(Oid), true,
							  TYPALIGN_INT, &oids, NULL, &noids);
			for (i = 0; i < noids; i++)
				row->server_oids = lappend_oid(row->server_oids, DatumGetObjectId(oids[i]));
			rows = lappend(rows, row);
		}
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return rows;
}

/* Is the decision row of a prefix committed now? */
static bool
is_in_log(const char *gid_prefix)
{
	Relation	rel = table_open(log_relid(), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	bool		is_found;

	ScanKeyInit(&key, LOG_GID_PREFIX, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(gid_prefix));
	scan = systable_beginscan(rel, RelationGetPrimaryKeyIndex_compat(rel), true, snapshot, 1,
							  &key);
	is_found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return is_found;
}

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
	List	   *servers = CzServerList();
	List	   *targets = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	*server_oids = NIL;
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
 * resolve
 *		Decide one prepared transaction and carry that out.
 *
 * Returns: 1 if it was resolved, 0 if it is in good hands, -1 if that failed.
 */
static int
resolve(CzConn *conn, const char *gid, const char *base, int elevel)
{
	const char *p = gid + strlen(base);
	const char *last = strrchr(gid, '_');
	char	   *gid_prefix;
	char	   *end;
	uint64		fxid;
	uint32		nonce;
	const char *sqlstate;
	PGresult   *res;
	bool		is_ok;
	bool		is_commit;

	fxid = strtou64(p, &end, 10);
	if (end == p || *end != '_' || last == NULL || last <= end)
		return 0;				/* not a name that we make */
	if (is_running(fxid))
		return 0;

	/*
	 * Committed already, but its backend is about to send COMMIT PREPARED
	 * itself: no need to get into its way.
	 */
	nonce = (uint32) strtoul(end + 1, NULL, 16);
	if (!CzTxnLocalLockIsFree(CZ_GID_LOCK(nonce)))
		return 0;
	gid_prefix = pnstrdup(gid, last - gid);
	is_commit = is_in_log(gid_prefix);

	res = CzConnExecQuiet(conn, psprintf("%s PREPARED %s",
									   is_commit ? "COMMIT" : "ROLLBACK",
									   quote_literal_cstr(gid)),
						  cz_worker_timeout_ms);
	is_ok = res != NULL && PQresultStatus(res) == PGRES_COMMAND_OK;
	sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	if (sqlstate != NULL && strcmp(sqlstate, "42704") == 0)
	{
		PQclear(res);			/* its own backend was faster */
		return 0;
	}
	if (!is_ok)
		ereport(elevel,
				(errcode(ERRCODE_WARNING),
				 errmsg("could not %s prepared transaction \"%s\" on node \"%s\"",
						is_commit ? "commit" : "roll back", gid, conn->node_name),
				 res != NULL && PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) ?
				 errdetail_internal("%s", PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)) : 0));
	else
		ereport(LOG,
				(errmsg("%s prepared transaction \"%s\" on node \"%s\"",
						is_commit ? "committed" : "rolled back", gid, conn->node_name)));
	PQclear(res);
	return is_ok ? 1 : -1;
}

/*
 * recover_target
 *		Look at one worker as one role.
 *
 * Returns: number resolved, -1 if the worker did not answer.  Marks the rows of
 *		log that have a prepared transaction there.
 * is_clear: out: nothing that is decided is left there.
 */
static int
recover_target(RecoveryTarget *target, const char *base, List *log, int elevel,
			   bool *is_clear)
{
	CzEndpoint *endpoint;
	CzConn	   *conn;
	char	   *error = NULL;
	PGresult   *res;
	List	   *gids = NIL;
	int			nresolved = 0;
	int			i;
	ListCell   *lc;

	endpoint = CzEndpointGet(target->server_oid, target->user_oid);
	conn = CzConnTryAcquire(endpoint, &error);
	if (conn == NULL)
	{
		ereport(elevel,
				(errcode(ERRCODE_WARNING),
				 errmsg("could not look for prepared transactions on node \"%s\"",
						endpoint->node_name),
				 error ? errdetail_internal("%s", error) : 0));
		return -1;
	}

	*is_clear = true;
	res = CzConnExecQuiet(conn,
						  psprintf("SELECT gid, owner = CURRENT_USER OR "
								 "pg_catalog.current_setting('is_superuser') = 'on' "
								 "FROM pg_catalog.pg_prepared_xacts "
								 "WHERE database = pg_catalog.current_database() "
								 "AND pg_catalog.left(gid, %d) = %s",
								 (int) strlen(base), quote_literal_cstr(base)),
						  cz_worker_timeout_ms);
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
	{
		PQclear(res);
		CzConnDiscard(conn);
		return -1;
	}
	for (i = 0; i < PQntuples(res); i++)
	{
		const char *gid = PQgetvalue(res, i, 0);
		ListCell   *lc2;

		if (PQgetvalue(res, i, 1)[0] == 't')
			gids = lappend(gids, pstrdup(gid));
		else
			*is_clear = false;

		foreach(lc2, log)
		{
			LogRow	   *row = (LogRow *) lfirst(lc2);
			size_t		len = strlen(row->gid_prefix);

			if (strncmp(gid, row->gid_prefix, len) == 0 && gid[len] == '_')
				row->is_in_use = true;
		}
	}
	PQclear(res);

	foreach(lc, gids)
	{
		int			n = resolve(conn, (const char *) lfirst(lc), base, elevel);

		if (n < 0)
			*is_clear = false;
		else
			nresolved += n;
	}
	CzConnRelease(conn);
	return nresolved;
}

/*
 * recover_target_safely
 *		recover_target in a subtransaction: CzEndpointGet refuses roles without
 *		credentials, and one such mapping must not stop the others' recovery.
 */
static int
recover_target_safely(RecoveryTarget *target, const char *base, List *log, int elevel,
					  bool *is_clear)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int n = -1;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		n = recover_target(target, base, log, elevel, is_clear);
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
		ereport(elevel,
				(errcode(ERRCODE_WARNING),
				 errmsg("could not look for prepared transactions: %s", error->message)));
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
	ListCell   *lc;

	foreach(lc, log)
	{
		if (list_member_oid(((LogRow *) lfirst(lc))->server_oids, server_oid))
			return true;
	}
	return false;
}

/*
 * CzTxnRecover
 *		One round over all workers of this database, or a look at one of them that
 *		is in doubt (the log is left as it is then).
 *
 * elevel: of messages about workers that cannot be reached; below ERROR.
 * Returns: number of prepared transactions finished.
 */
int
CzTxnRecover(Oid only_server_oid, int elevel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz recovery",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	char	   *base = CzTxnGidPrefix();
	List	   *log = NIL;
	List	   *servers;
	List	   *targets;
	List	   *answered = NIL; /* servers whose list is known */
	List	   *failed = NIL;	/* and those that could not be asked once */
	bool		has_garbage = false;
	uint64		generation;
	int			nresolved = 0;
	ListCell   *lc;

	CzTxnLocalLock(CZ_RECOVERY_LOCK, CZ_LOCK_EXCLUSIVE);
	generation = CzTxnDoubtGeneration();
	if (!OidIsValid(only_server_oid))
		log = read_log(NIL);
	targets = find_targets(&servers);

	foreach(lc, targets)
	{
		RecoveryTarget *target = (RecoveryTarget *) lfirst(lc);
		bool		is_clear = false;
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
		n = recover_target_safely(target, base, log, elevel, &is_clear);
		if (n < 0)
		{
			failed = lappend_oid(failed, target->server_oid);
			continue;
		}
		answered = lappend_oid(answered, target->server_oid);
		nresolved += n;
		if (is_clear)
			CzTxnMarkClear(target->server_oid, generation);
	}

	foreach(lc, log)
	{
		LogRow	   *row = (LogRow *) lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, row->server_oids)
		{
			/* A server that was dropped has nothing to wait for. */
			if (list_member_oid(servers, lfirst_oid(lc2)) &&
				!list_member_oid(answered, lfirst_oid(lc2)))
				row->is_in_use = true;
		}
		has_garbage = has_garbage || !row->is_in_use;
	}
	if (has_garbage)
		read_log(log);
	if (OidIsValid(only_server_oid))
		CzTxnLocalUnlock(CZ_RECOVERY_LOCK, CZ_LOCK_EXCLUSIVE);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return nresolved;
}

/*
 * recover_prepared_transactions
 *		SQL function: one round now; returns the number of transactions finished.
 */
Datum
recover_prepared_transactions(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("recover_prepared_transactions()");
	PG_RETURN_INT32(CzTxnRecover(InvalidOid, WARNING));
}
