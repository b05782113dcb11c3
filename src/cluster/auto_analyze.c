/*-------------------------------------------------------------------------
 *
 * auto_analyze.c
 *	  ANALYZE of distributed tables that have changed enough, by a background worker;
 *	  and the statistics of a table that has just been distributed.
 *
 * Autovacuum analyzes the shards on their workers and sees nothing here: a parent has no
 * rows of its own.  The workers count what is written to each shard; that sum, as it was
 * when the parent was last analyzed, is in cz.analyzed_tables.  The thresholds are
 * autovacuum's.
 *
 * This must not block anyone: it takes no lock that it would have to wait
 * for, gives its own up when somebody waits (by the same mark as autovacuum's workers),
 * and passes over tables with shards that can't be reached.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cz/cluster.h"
#include "cz/fdw.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

/* What is known of a table. */
typedef struct TableState
{
	bool		has_base;		/* changes at the last ANALYZE are known */
	double		base_changes;
	bool		was_analyzed;	/* by hand, since we looked last */
	bool		has_statistics;
	double		reltuples;
} TableState;

/*
 * CzRunSql
 *		See distribute_int.h.
 */
void
CzRunSql(const char *sql)
{
	int			result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	SPI_finish();
}

/*
 * CzAnalyzeLoaded
 *		Statistics of a table that create_distributed_table or its like has filled.
 */
void
CzAnalyzeLoaded(Oid relid)
{
	if (cz_auto_analyze)
		CzRunSql(psprintf("ANALYZE %s", CzRelationName(relid)));
}

/* ---- the background worker ----------------------------------------------- */

/* Whoever waits for a lock of ours for deadlock_timeout cancels us. */
static void
mark_as_autovacuum(void)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	MyProc->statusFlags |= PROC_IS_AUTOVACUUM;
	ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
	LWLockRelease(ProcArrayLock);
}

static TableState
read_state(Oid relid)
{
	TableState	state = {0};
	Oid			argtypes[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(relid)};
	bool		isnull;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) SPI_execute_with_args("SELECT a.changes,"
								 " coalesce(pg_catalog.pg_stat_get_last_analyze_time(c.oid)"
								 "   OPERATOR(pg_catalog.>) a.checked_at, false),"
								 " EXISTS (SELECT FROM pg_catalog.pg_statistic s WHERE s.starelid"
								 "   OPERATOR(pg_catalog.=) c.oid AND s.stainherit),"
								 " c.reltuples::pg_catalog.float8"
								 " FROM pg_catalog.pg_class c LEFT JOIN cz.analyzed_tables a"
								 " ON a.relid OPERATOR(pg_catalog.=) c.oid"
								 " WHERE c.oid OPERATOR(pg_catalog.=) $1",
								 1, argtypes, values, NULL, true, 1);
	if (SPI_processed == 1)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		state.base_changes = (double) DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		state.has_base = !isnull;
		state.was_analyzed = DatumGetBool(SPI_getbinval(tuple, desc, 2, &isnull));
		state.has_statistics = DatumGetBool(SPI_getbinval(tuple, desc, 3, &isnull));
		state.reltuples = DatumGetFloat8(SPI_getbinval(tuple, desc, 4, &isnull));
	}
	SPI_finish();
	return state;
}

static void
write_state(Oid relid, double changes)
{
	Oid			argtypes[2] = {OIDOID, INT8OID};
	Datum		values[2] = {ObjectIdGetDatum(relid), Int64GetDatum((int64) changes)};

	(void) CzCatalogExec("INSERT INTO cz.analyzed_tables AS a (relid, changes, checked_at)"
						 " VALUES ($1, $2, pg_catalog.clock_timestamp())"
						 " ON CONFLICT (relid) DO UPDATE SET changes = EXCLUDED.changes,"
						 " checked_at = EXCLUDED.checked_at",
						 2, argtypes, values, NULL);
}

/* Has a table changed so much that it is to be analyzed? */
static bool
is_due(Oid relid, double *changes)
{
	const CzTable *table;
	TableState	state;
	double		rows;
	double		threshold;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	table = CzTableGet(relid);
	if (table == NULL || !CzTableIsDistributed(table) || !CzShardChanges(table, changes, &rows))
		return false;
	state = read_state(relid);
	threshold = autovacuum_anl_thresh + autovacuum_anl_scale * Max(state.reltuples, 0);
	if (!state.has_base)
	{
		if (state.has_statistics ? fabs(rows - state.reltuples) > threshold : rows > 0)
			return true;
		write_state(relid, *changes);
		return false;
	}
	if (state.was_analyzed)
	{
		write_state(relid, *changes);
		return false;
	}
	/* counters start again where a worker has crashed, or another placement answers */
	return (*changes >= state.base_changes ? *changes - state.base_changes : *changes) >
		threshold;
}

static void
see_to_table(Oid relid)
{
	double		changes;
	bool		due;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	due = is_due(relid, &changes);
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (!due)
		return;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (ConditionalLockRelationOid(relid, ShareUpdateExclusiveLock) &&
		CzTableGet(relid) != NULL)
	{
		char	   *sql = psprintf("ANALYZE (SKIP_LOCKED) %s", CzRelationName(relid));

		pgstat_report_activity(STATE_RUNNING, sql);
		CzRunSql(sql);
		write_state(relid, changes);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Tables to look at, in the caller's context; forgets those that are gone. */
static List *
list_tables(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *tables = NIL;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (CzExtensionIsThere() &&
		OidIsValid(CzCatalogRelid("analyzed_tables")))
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		tables = list_copy(CzTableList());
		MemoryContextSwitchTo(old);
		(void) CzCatalogExec("DELETE FROM cz.analyzed_tables a WHERE NOT EXISTS"
							 " (SELECT FROM pg_catalog.pg_class c WHERE c.oid"
							 " OPERATOR(pg_catalog.=) a.relid)", 0, NULL, NULL, NULL);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	return tables;
}

/*
 * CzAutoAnalyze
 *		One round in the database that this background worker is connected to.
 *		False if a table could not be seen to.
 */
static bool
auto_analyze(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "cz auto analyze",
												  ALLOCSET_DEFAULT_SIZES);
	volatile bool is_done = true;
	List	   *tables;
	ListCell   *lc;

	MemoryContextSwitchTo(context);
	mark_as_autovacuum();
	CzTaskSession();

	tables = list_tables();
	foreach(lc, tables)
	{
		PG_TRY();
		{
			see_to_table(lfirst_oid(lc));
		}
		PG_CATCH();
		{
			/* to the log; the next one may work */
			is_done = false;
			CzTaskErrorToLog(context, NULL);
		}
		PG_END_TRY();
		QueryCancelPending = false;
		MemoryContextSwitchTo(context);
	}
	return is_done;
}

/*
 * CzAutoAnalyzeInit
 *		See cluster.h.
 */
void
CzAutoAnalyzeInit(void)
{
	cz_analyze_task = auto_analyze;
}
