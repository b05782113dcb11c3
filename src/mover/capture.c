/*-------------------------------------------------------------------------
 *
 * capture.c
 *	  Changes of the source are logged while it is copied: triggers on the shards write
 *	  into tables beside them (log.c).
 *
 * Triggers of statements take the rows that INSERT and COPY bring together, triggers of
 * rows what UPDATE and DELETE do.  A partition has the latter only, for statements may name
 * the table above.  The functions are the owner's, and name everything with its schema,
 * operators too, for other roles' changes run them.  Triggers name no columns (no UPDATE OF):
 * those could not be altered or dropped.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

#define FIRST_PAUSE_MS 50
#define MAX_PAUSE_MS 1000

/*
 * CzMoveColumns
 *		See mover_int.h.
 */
char *
CzMoveColumns(List *names, const char *prefix)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s%s", buf.len > 0 ? ", " : "", prefix, (char *) lfirst(lc));
	return buf.data;
}

static void
trigger_sql(StringInfo sql, const CzMoveUnit *unit, const char *letter, const char *event,
			const char *each)
{
	appendStringInfo(sql, "CREATE TRIGGER %s%s AFTER %s ON %s %s EXECUTE FUNCTION cz_shards.%s%s();\n"
					 "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s%s;\n",
					 unit->prefix, letter, event, unit->qualified, each, unit->prefix, letter,
					 unit->qualified, unit->prefix, letter);
}

static void
triggers_sql(StringInfo sql, const CzMoveUnit *unit)
{
	trigger_sql(sql, unit, "i", "INSERT", unit->is_partition ? "FOR EACH ROW" :
				"REFERENCING NEW TABLE AS cz_n FOR EACH STATEMENT");
	trigger_sql(sql, unit, "u", "UPDATE", "FOR EACH ROW");
	trigger_sql(sql, unit, "d", "DELETE", "FOR EACH ROW");
	trigger_sql(sql, unit, "t", "TRUNCATE", "FOR EACH STATEMENT");
}

/*
 * CzMoveStateName
 *		The table on the target that says of which snapshot of the source an owner's rows
 *		are.
 */
char *
CzMoveStateName(const CzMove *move, int owner_number)
{
	if (move->part > 0)
		return psprintf("cz_shards.cz_m" INT64_FORMAT "_p%d_s%d", move->move_id, move->part,
						owner_number);
	return psprintf("cz_shards.cz_m" INT64_FORMAT "_s%d", move->move_id, owner_number);
}

/*
 * CzMoveSnapshotBegin
 *		See mover_int.h.
 */
char *
CzMoveSnapshotBegin(CzConn *conn)
{
	PGresult   *res;
	char	   *result;

	PQclear(CzConnExec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
	res = CzConnQuery(conn, "SELECT pg_catalog.pg_current_snapshot()", 1, 1, 1);
	result = pstrdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	return result;
}

/*
 * CzMoveStateWrite
 *		See mover_int.h.
 */
void
CzMoveStateWrite(const CzMove *move, CzConn *conn, int owner_number, List *units,
				 const char *snapshot)
{
	char	   *name = CzMoveStateName(move, owner_number);
	StringInfoData numbers;
	ListCell   *lc;

	initStringInfo(&numbers);
	foreach(lc, units)
		appendStringInfo(&numbers, "%s%d", numbers.len > 0 ? "," : "",
						 ((CzMoveUnit *) lfirst(lc))->number);
	PQclear(CzConnExec(conn, psprintf("DELETE FROM %s WHERE unit OPERATOR(pg_catalog.=) ANY ('{%s}'::int[]);"
									  " INSERT INTO %s SELECT u, %s FROM pg_catalog.unnest('{%s}'::int[]) u",
									  name, numbers.data, name, quote_literal_cstr(snapshot),
									  numbers.data)));
}

/*
 * CzMoveStateRead
 *		See mover_int.h.
 */
char *
CzMoveStateRead(const CzMove *move, CzConn *conn, int owner_number, const CzMoveUnit *unit)
{
	PGresult   *res = CzConnQuery(conn, psprintf("SELECT snapshot FROM %s WHERE unit OPERATOR(pg_catalog.=) %d",
												 CzMoveStateName(move, owner_number),
												 unit->number), 0, 1, 1);
	char	   *result = PQntuples(res) == 1 ? pstrdup(PQgetvalue(res, 0, 0)) : NULL;

	PQclear(res);
	return result;
}

/* Logs and functions of an owner's units, which nobody uses yet. */
static void
make_logs(CzMove *move, Oid owner)
{
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->from_oid, owner));
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "BEGIN;\n");
	foreach(lc, CzMoveUnitsOf(move, owner))
		CzMoveLogSql(&sql, lfirst(lc));
	appendStringInfoString(&sql, "COMMIT");
	PQclear(CzConnExec(conn, sql.data));
	CzConnRelease(conn);
}

/*
 * CzMoveMakeStates
 *		See mover_int.h.
 */
void
CzMoveMakeStates(const CzMove *move)
{
	ListCell   *lc;

	foreach(lc, CzMoveOwners(move))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->target_oid, lfirst_oid(lc)));

		PQclear(CzConnExec(conn, psprintf("CREATE TABLE %s (unit int, snapshot pg_catalog.text)",
										  CzMoveStateName(move, foreach_current_index(lc)))));
		CzConnRelease(conn);
	}
}

/*
 * CzMoveTryLock
 *		See mover_int.h.
 */
bool
CzMoveTryLock(CzConn *conn, const char *sql)
{
	PGresult   *res = CzConnTryExec(conn, sql);
	bool		is_done = res != NULL && PQresultStatus(res) == PGRES_COMMAND_OK;
	char	   *sqlstate = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	if (res == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to node \"%s\" was lost", conn->node_name)));
	if (!is_done && (sqlstate == NULL || strcmp(sqlstate, "55P03") != 0))
		CzConnUnexpected(conn, res, sql);
	PQclear(res);
	if (!is_done)
		PQclear(CzConnExec(conn, "ROLLBACK"));
	return is_done;
}

/*
 * Put triggers on an owner's units; false: a writer is in the way.  The lock waits for all
 * who have written before, whoever they are.
 */
static bool
put_triggers(CzMove *move, Oid owner)
{
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->from_oid, owner));
	StringInfoData names;
	StringInfoData sql;
	bool		is_done;
	ListCell   *lc;

	initStringInfo(&names);
	initStringInfo(&sql);
	foreach(lc, CzMoveUnitsOf(move, owner))
	{
		const CzMoveUnit *unit = lfirst(lc);

		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", unit->qualified);
		triggers_sql(&sql, unit);
	}
	is_done = CzMoveTryLock(conn, psprintf("BEGIN; LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE;\n%sCOMMIT",
										   names.data, sql.data));
	CzConnRelease(conn);
	return is_done;
}

/*
 * CzMoveCaptureBegin
 *		See mover_int.h.  In transactions of its own.
 */
void
CzMoveCaptureBegin(CzMove *move)
{
	ListCell   *lc;

	CzMoveHoldCaptures(move);
	move->has_capture = true;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach(lc, CzMoveOwners(move))
		make_logs(move, lfirst_oid(lc));
	if (move->operation != CZ_MOVE_SPLIT)
		CzMoveMakeStates(move);
	PopActiveSnapshot();
	CommitTransactionCommand();
	CzDebugPoint("move_logs_made");

	foreach(lc, CzMoveOwners(move))
	{
		int			wait_ms = FIRST_PAUSE_MS;
		TimestampTz begin = GetCurrentTimestamp();
		int			nattempts;

		for (nattempts = 1;; nattempts++)
		{
			bool		has_tried;
			bool		is_done = false;

			StartTransactionCommand();
			PushActiveSnapshot(GetTransactionSnapshot());
			/* prepared transactions that nobody finishes would be in the way for ever */
			CzTxnRequireClear(move->from_oid, lfirst_oid(lc));
			has_tried = CzMoveAwaitMoment(move, false);
			CzTxnLockUntil(CzMoveDeadline());
			if (has_tried)
				is_done = put_triggers(move, lfirst_oid(lc));
			PopActiveSnapshot();
			CommitTransactionCommand();
			SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
			if (is_done)
				break;
			CzMoveNoteHolders(move, nattempts, begin);
			if (has_tried)
			{
				CzMoveSleep(wait_ms);
				wait_ms = Min(wait_ms * 2, MAX_PAUSE_MS);
			}
			CzMoveGiveWay(move);
		}
	}
	move->captured_oid = move->from_oid;
	CzMoveBegin();
	CzMoveNoteWaits(move, 0, NULL);
	CzMoveCommit();
	CzDebugPoint("move_captured");
}

/*
 * CzMoveCaptureOff
 *		See mover_int.h.
 */
void
CzMoveCaptureOff(CzMove *move)
{
	ListCell   *lc;
	ListCell   *lu;
	const char *letter;

	if (move->from_oid == move->source_oid)
		return;
	foreach(lc, CzMoveOwners(move))
	{
		StringInfoData sql;

		initStringInfo(&sql);
		foreach(lu, CzMoveUnitsOf(move, lfirst_oid(lc)))
		{
			const CzMoveUnit *unit = lfirst(lu);

			for (letter = CZ_MOVE_LETTERS; *letter != '\0'; letter++)
				appendStringInfo(&sql, "ALTER TABLE %s DISABLE TRIGGER %s%c;\n", unit->qualified,
								 unit->prefix, *letter);
		}
		CzTxnExec(move->from_oid, lfirst_oid(lc), sql.data);
	}
}

/*
 * CzMoveHoldCaptures, CzMoveReleaseCaptures
 *		See mover_int.h.
 */
void
CzMoveHoldCaptures(CzMove *move)
{
	List	   *relids = CzMoveRelids(move);

	while (list_length(move->captures) < list_length(relids))
	{
		Oid			relid = list_nth_oid(relids, list_length(move->captures));

		if (CzMoveHoldCapture(relid))
		{
			MemoryContext old = MemoryContextSwitchTo(move->context);

			move->captures = lappend_oid(move->captures, relid);
			MemoryContextSwitchTo(old);
			continue;
		}
		CzMoveGiveWay(move);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 FIRST_PAUSE_MS, WAIT_EVENT_BGWORKER_SHUTDOWN);
		ResetLatch(MyLatch);
	}
}

void
CzMoveReleaseCaptures(CzMove *move)
{
	while (move->captures != NIL)
	{
		CzMoveReleaseCapture(llast_oid(move->captures));
		move->captures = list_delete_last(move->captures);
	}
	move->has_capture = false;
}

/* Functions of an owner's units that do nothing. */
static void
empty_functions(CzMove *move, Oid owner)
{
	char	   *message = NULL;
	CzConn	   *conn = CzConnTryAcquire(CzEndpointGet(move->from_oid, owner), &message);
	StringInfoData sql;
	PGresult   *res;
	ListCell   *lu;
	const char *letter;

	/* nobody writes there then */
	if (conn == NULL)
		return;
	initStringInfo(&sql);
	foreach(lu, CzMoveUnitsOf(move, owner))
	{
		for (letter = CZ_MOVE_LETTERS; *letter != '\0'; letter++)
			appendStringInfo(&sql, "CREATE OR REPLACE FUNCTION cz_shards.%s%c() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END';\n",
							 ((CzMoveUnit *) lfirst(lu))->prefix, *letter);
	}
	res = CzConnTryExec(conn, sql.data);
	message = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	if (res != NULL && PQresultStatus(res) != PGRES_COMMAND_OK)
		ereport(LOG,
				(errcode(ERRCODE_WARNING),
				 errmsg("could not end the log of changes on node \"%s\"", conn->node_name),
				 message ? errdetail_internal("%s", message) : 0,
				 errcontext("%s", CzMoveTitle(move))));
	PQclear(res);
	CzConnRelease(conn);
}

/*
 * CzMoveCaptureStop
 *		See mover_int.h.
 */
void
CzMoveCaptureStop(CzMove *move)
{
	bool		is_in_transaction = IsTransactionState();
	ListCell   *lc;

	if (!move->has_capture)
		return;
	if (!is_in_transaction)
		StartTransactionCommand();
	foreach(lc, CzMoveOwners(move))
		empty_functions(move, lfirst_oid(lc));
	if (!is_in_transaction)
		CommitTransactionCommand();
	CzMoveReleaseCaptures(move);
}
