/*-------------------------------------------------------------------------
 *
 * await.c
 *	  Statements that have looked up a shard's only placement, and write it later, when a
 *	  second one has come.
 *
 * Writers of a shard with one placement take no lock, but look whether some shard is being
 * switched (CzTxnEnterShard).  Where a shard leaves, a fence stops those who have looked
 * before; where one more placement is made, the old one stays, and a fence would stop
 * everybody.  So those statements are waited for: from the moment on in which everybody
 * sees that a shard is being switched, before anything is locked; and once more when the
 * catalogs say so, for who has looked them up before that.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cz/metadata.h"
#include "mover_int.h"

/* Between two looks at who is still there */
#define FIRST_PAUSE_MS 2
#define MAX_PAUSE_MS 100

/* The tables by which statements may write the shards: OIDs. */
static Datum
relations(const CzMove *move)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		relids = lappend_oid(relids, table->relid);
		relids = lappend_oid(relids, table->shard_relid);
		if (CzTableGet(table->relid)->is_partitioned)
			relids = list_concat(relids, CzRootPartitions(table->relid));
	}
	return CzMoveOidArray(relids);
}

/* Is a statement still there that writes one of the tables, and began before that? */
static bool
is_any_left(const CzMove *move, TimestampTz began_before)
{
	Oid			argtypes[2] = {TIMESTAMPTZOID, OIDARRAYOID};
	Datum		values[2];
	bool		result;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	values[0] = TimestampTzGetDatum(began_before);
	values[1] = relations(move);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* of one whose activity is not tracked nobody knows when it began */
	if (SPI_execute_with_args("SELECT FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_locks l USING (pid)"
							  " WHERE a.datid OPERATOR(pg_catalog.=) l.database AND l.locktype OPERATOR(pg_catalog.=) 'relation'"
							  " AND l.granted AND l.mode OPERATOR(pg_catalog.=) 'RowExclusiveLock' AND l.relation OPERATOR(pg_catalog.=) ANY ($2)"
							  " AND a.datid OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())"
							  " AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() AND a.backend_type NOT LIKE 'cz_fdw %'"
							  " AND (a.state IS NULL OR a.state NOT LIKE 'idle%')"
							  " AND (a.query_start OPERATOR(pg_catalog.<=) $1 OR a.query_start IS NULL OR a.state OPERATOR(pg_catalog.=) 'disabled')",
							  2, argtypes, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for statements that write shards");
	result = SPI_processed > 0;
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return result;
}

/*
 * CzMoveAwaitStatements
 *		See mover_int.h.
 */
bool
CzMoveAwaitStatements(CzMove *move, bool gives_way)
{
	TimestampTz began_before = GetCurrentTimestamp();
	int			wait_ms = FIRST_PAUSE_MS;
	bool		has_waited = false;

	while (is_any_left(move, began_before))
	{
		has_waited = true;
		CzMoveSleep(wait_ms);
		if (gives_way)
			CzMoveGiveWay(move);
		wait_ms = Min(wait_ms * 2, MAX_PAUSE_MS);
	}
	return has_waited;
}
