/*-------------------------------------------------------------------------
 *
 * holders.c
 *	  When to try a switch: transactions that have written the shards, or locked rows of
 *	  them, must end within cz.cutover_lock_timeout, while new ones wait.
 *
 * That is so when a switch locks them, and when triggers are put on them before the copy.  So
 * who has locks is looked at before anybody is made to wait, again and again.  How long
 * such transactions last is learned from those that were seen to end; from that comes the
 * chance that all that are there now end in time.  An attempt is made when that is good, and
 * the longer none was made, the less good it must be: there is always one after a while.
 *
 * Where transactions that last long follow upon each other all the time, without an end, no
 * attempt can succeed.  cz_moves says who is in the way, and after cz.cutover_timeout the
 * move is given up.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* Between two looks */
#define LOOK_INTERVAL_MS 15
/* So long it is looked for a good moment; then what has changed meanwhile is brought over */
#define PATIENCE_MS 150
/* An attempt is made at this chance; it halves in so many milliseconds without one */
#define GOOD_CHANCE 0.5
#define HALF_LIFE_MS 2000.0
/* The part of the lock timeout in which they should end */
#define WINDOW_PART 0.75
/* Transactions that are watched; of more than these there is no hope */
#define MAX_HOLDERS 64
/* Ends that are remembered */
#define MAX_ENDS 64
/* Between two reports in cz.move */
#define NOTE_INTERVAL_MS 1000
/* Transactions of a report, of each server */
#define MAX_NAMED 3

typedef struct Holder
{
	char		transaction[32];	/* its virtual id there */
	Oid			server_oid;
	double		age_ms;
	TimestampTz first_seen;		/* where the age is not shown */
	bool		is_there;		/* at the last look */
} Holder;

/* Of the move of this process. */
static Holder holders[MAX_HOLDERS];
static int	nholders = 0;
static bool has_more = false;	/* than were room for */
static double ends_ms[MAX_ENDS];	/* how long transactions have lasted; a ring */
static int	nends = 0;			/* all that were seen */
static TimestampTz looked_at = 0;
static TimestampTz tried_at = 0;	/* the last attempt, or the first look */
static StringInfo report = NULL;

/* A transaction with a lock, at this look. */
static void
note_holder(Oid server_oid, const char *transaction, const char *age, TimestampTz now)
{
	Holder	   *holder = NULL;
	int			i;

	for (i = 0; i < nholders && holder == NULL; i++)
	{
		if (holders[i].server_oid == server_oid &&
			strcmp(holders[i].transaction, transaction) == 0)
			holder = &holders[i];
	}
	if (holder == NULL)
	{
		if (nholders == MAX_HOLDERS)
		{
			has_more = true;
			return;
		}
		holder = &holders[nholders++];
		strlcpy(holder->transaction, transaction, sizeof(holder->transaction));
		holder->server_oid = server_oid;
		holder->first_seen = now;
	}
	holder->is_there = true;
	holder->age_ms = age != NULL ? strtod(age, NULL) :
		(double) TimestampDifferenceMilliseconds(holder->first_seen, now);
}

/* Those that have ended since the last look. */
static void
forget_ended(bool has_just_looked)
{
	int			i;

	for (i = nholders - 1; i >= 0; i--)
	{
		if (holders[i].is_there)
			continue;
		/* of one that has ended at some other time nobody knows how long it took */
		if (has_just_looked)
			ends_ms[nends++ % MAX_ENDS] = holders[i].age_ms + LOOK_INTERVAL_MS / 2.0;
		holders[i] = holders[--nholders];
	}
}

/* Rows of look_at_source(), the oldest first. */
static void
add_to_report(const CzConn *conn, PGresult *res)
{
	int			n = PQntuples(res);
	int			i;

	if (n == 0)
		return;
	appendStringInfo(report, "%snode \"%s\": ", report->len > 0 ? "; " : "", conn->node_name);
	for (i = 0; i < Min(n, MAX_NAMED); i++)
	{
		appendStringInfoString(report, i > 0 ? ", " : "");
		if (PQgetisnull(res, i, 1))
			appendStringInfoString(report, "a prepared transaction");
		else
			appendStringInfo(report, "pid %s", PQgetvalue(res, i, 1));
		if (PQgetvalue(res, i, 3)[0] != '\0')
			appendStringInfo(report, " (%s)", PQgetvalue(res, i, 3));
		if (!PQgetisnull(res, i, 2))
			appendStringInfo(report, " for %.1f s", strtod(PQgetvalue(res, i, 2), NULL) / 1000);
	}
	if (n > MAX_NAMED)
		appendStringInfo(report, " and %d more", n - MAX_NAMED);
}

/* Whom an owner's tables on the source show. */
static void
look_at_source(const CzMove *move, Oid owner, TimestampTz now)
{
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->from_oid, owner));
	StringInfoData names;
	PGresult   *res;
	ListCell   *lc;
	int			i;

	initStringInfo(&names);
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		if (table->owner == owner)
			appendStringInfo(&names, "%s%s::pg_catalog.regclass", names.len > 0 ? ", " : "",
							 quote_literal_cstr(table->qualified));
	}
	res = CzConnQuery(conn, psprintf("SELECT DISTINCT l.virtualtransaction, l.pid,"
									 " pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) coalesce(a.xact_start, p.prepared)) OPERATOR(pg_catalog.*) 1000 AS age,"
									 " coalesce(a.application_name, '')"
									 " FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid"
									 " LEFT JOIN pg_catalog.pg_prepared_xacts p ON l.virtualtransaction OPERATOR(pg_catalog.=) ('-1/' OPERATOR(pg_catalog.||) p.transaction::pg_catalog.text)"
									 " WHERE l.granted AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.relation OPERATOR(pg_catalog.=) ANY (ARRAY[%s]::pg_catalog.oid[])"
									 " AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())"
									 " AND l.mode OPERATOR(pg_catalog.<>) 'AccessShareLock' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()"
									 " ORDER BY age DESC NULLS LAST", names.data), 0, -1, 4);
	for (i = 0; i < PQntuples(res); i++)
		note_holder(move->from_oid, PQgetvalue(res, i, 0),
					PQgetisnull(res, i, 2) ? NULL : PQgetvalue(res, i, 2), now);
	add_to_report(conn, res);
	PQclear(res);
	CzConnRelease(conn);
}

/* Where readers are excluded, too: who has used the tables, whom the locks here show. */
static void
look_here(const CzMove *move, TimestampTz now)
{
	Oid			argtypes[1] = {OIDARRAYOID};
	Datum		values[1];
	uint64		i;

	values[0] = CzMoveOidArray(CzSplitRelids(CzMoveRelids(move)));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT pg_catalog.pg_stat_clear_snapshot()", false, 1) != SPI_OK_SELECT ||
		SPI_execute_with_args("SELECT DISTINCT l.virtualtransaction, l.pid::pg_catalog.text,"
							  " (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) a.xact_start) OPERATOR(pg_catalog.*) 1000)::pg_catalog.text AS age"
							  " FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid"
							  " WHERE l.granted AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.relation OPERATOR(pg_catalog.=) ANY ($1)"
							  " AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())"
							  " AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()",
							  1, argtypes, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for transactions that have used tables");
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *pid = SPI_getvalue(tuple, desc, 2);

		note_holder(InvalidOid, SPI_getvalue(tuple, desc, 1), SPI_getvalue(tuple, desc, 3), now);
		if (i < MAX_NAMED)
			appendStringInfo(report, "%s%s%s", report->len == 0 ? "the coordinator: " : ", ",
							 pid ? "pid " : "a prepared transaction", pid ? pid : "");
	}
	if (SPI_processed > MAX_NAMED)
		appendStringInfo(report, " and %d more", (int) SPI_processed - MAX_NAMED);
	SPI_finish();
}

/* One look at all who have locks. */
static void
look(const CzMove *move, bool excludes_readers)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		has_just_looked = !TimestampDifferenceExceeds(looked_at, now, 4 * LOOK_INTERVAL_MS);
	List	   *owners = CzMoveOwners(move);
	ListCell   *lc;
	int			i;

	if (report == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		report = makeStringInfo();
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(report);
	has_more = false;
	for (i = 0; i < nholders; i++)
		holders[i].is_there = false;
	if (excludes_readers)
		look_here(move, now);
	foreach(lc, owners)
		look_at_source(move, lfirst_oid(lc), now);
	forget_ended(has_just_looked);
	looked_at = now;
}

/*
 * The chance that a transaction of this age ends within the window: as of those that were
 * seen to end later than at this age, and as of one of which nothing is known: it lasts
 * as long again as it has lasted.
 */
static double
chance_of(double age_ms, double window_ms)
{
	int			n = Min(nends, MAX_ENDS);
	int			nlater = 0;
	int			nin = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		nlater += ends_ms[i] > age_ms;
		nin += ends_ms[i] > age_ms && ends_ms[i] <= age_ms + window_ms;
	}
	return (nin + window_ms / (age_ms + window_ms)) / (nlater + 1);
}

static double
chance(void)
{
	double		window_ms = Max(cz_cutover_lock_timeout_ms * WINDOW_PART, 1);
	double		result = has_more ? 0 : 1;
	int			i;

	for (i = 0; i < nholders; i++)
		result *= chance_of(holders[i].age_ms, window_ms);
	return result;
}

/*
 * CzMoveAwaitMoment
 *		See mover_int.h.
 */
bool
CzMoveAwaitMoment(const CzMove *move, bool excludes_readers)
{
	TimestampTz begin = GetCurrentTimestamp();

	if (tried_at == 0)
		tried_at = begin;
	for (;;)
	{
		TimestampTz now;
		double		needed;

		look(move, excludes_readers);
		now = GetCurrentTimestamp();
		needed = GOOD_CHANCE * pow(0.5, (now - tried_at) / 1000.0 / HALF_LIFE_MS);
		if (chance() >= needed)
		{
			tried_at = now;
			return true;
		}
		if (TimestampDifferenceExceeds(begin, now, PATIENCE_MS))
			return false;
		CzMoveSleep(LOOK_INTERVAL_MS);
	}
}

/*
 * CzMoveNoteHolders
 *		See mover_int.h.
 */
void
CzMoveNoteHolders(const CzMove *move, int nattempts, TimestampTz since)
{
	static TimestampTz noted_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	const char *who = report != NULL && report->len > 0 ? report->data :
		"transactions that have ended since";

	if (TimestampDifferenceExceeds(noted_at, now, NOTE_INTERVAL_MS))
	{
		CzMoveBegin();
		CzMoveNoteWaits(move, nattempts, who);
		CzMoveCommit();
		noted_at = now;
	}
	if (cz_cutover_timeout_ms > 0 &&
		TimestampDifferenceExceeds(since, now, cz_cutover_timeout_ms))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not lock the shards against writers within cz.cutover_timeout because of %s",
						who),
				 errhint("All transactions that have written to the shards must end within cz.cutover_lock_timeout once.")));
}

/*
 * CzMoveDeadline
 *		See mover_int.h.
 */
TimestampTz
CzMoveDeadline(void)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), cz_cutover_lock_timeout_ms);
}
