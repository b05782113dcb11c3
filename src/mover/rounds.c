/*-------------------------------------------------------------------------
 *
 * rounds.c
 *	  What was changed on the source since it was copied, or since the last round, is
 *	  brought to the target.
 *
 * The claim is "a table of the target is what the source's is in snapshot s", where s, of each
 * table, is on the target, written in the same transaction as the rows.  A round takes the
 * next snapshot s' of the source.  A row that differs between the two was changed by a
 * transaction that s' shows and s does not, and that has logged it.  So, of a table with a
 * key: keys that such transactions have logged get the rows that they have in s', or none.
 * Without a key: for each row as a text, so many go or come as the log says.  The order of
 * transactions does not matter, a round that is repeated changes nothing, and a crash
 * between any two commands neither.  In the last round the source is locked: then both are
 * equal.
 *
 * What a table without a key has lost must be found on the target: if it is not, the move
 * fails, and nothing is hidden.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* A round with so little to do, in so little time, is followed by the switch */
#define FEW_CHANGES 1000
#define SHORT_ROUND_MS 50
/* So many rounds with so little to do are enough, too: they do not get shorter any more */
#define ENOUGH_ROUNDS 4
/* Changes that are worth an ANALYZE of what was brought over */
#define MANY_CHANGES 2000

/* Of a log: what is new since a snapshot. */
static char *
is_new(const char *snapshot)
{
	char	   *literal = quote_literal_cstr(snapshot);

	return psprintf("cz_x OPERATOR(pg_catalog.>=) pg_catalog.pg_snapshot_xmin(%s::pg_catalog.pg_snapshot)"
					" AND NOT pg_catalog.pg_visible_in_snapshot(cz_x, %s::pg_catalog.pg_snapshot)",
					literal, literal);
}

/* Name of the table on the target's connection that takes what comes. */
static char *
stage_name(const CzMoveUnit *unit)
{
	return psprintf("pg_temp.cz_stage_%d", unit->number);
}

/* Make it if it is not there; each transaction leaves it empty. */
static void
prepare_stage(CzConn *to, const CzMoveUnit *unit)
{
	char	   *name = stage_name(unit);
	PGresult   *res = CzConnQuery(to, psprintf("SELECT pg_catalog.to_regclass(%s)",
											   quote_literal_cstr(name)), 1, 1, 1);
	bool		is_there = !PQgetisnull(res, 0, 0);
	StringInfoData sql;
	ListCell   *lc;

	PQclear(res);
	if (is_there)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ON COMMIT DELETE ROWS AS SELECT ", strchr(name, '.') + 1);
	if (unit->key != NIL)
	{
		appendStringInfoString(&sql, "false AS cz_p");
		foreach(lc, unit->key)
			appendStringInfo(&sql, ", %s AS c%d", (char *) lfirst(lc), foreach_current_index(lc) + 1);
	}
	else
		appendStringInfoString(&sql, "0::pg_catalog.int2 AS cz_s");
	foreach(lc, unit->names)
		appendStringInfo(&sql, ", %s AS v%d", (char *) lfirst(lc), foreach_current_index(lc) + 1);
	appendStringInfo(&sql, " FROM %s WITH NO DATA", unit->target);
	PQclear(CzConnExec(to, sql.data));
}

/* v1, v2, ..., each after a prefix. */
static char *
values_of(const CzMoveUnit *unit, const char *prefix)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 1; i <= list_length(unit->names); i++)
		appendStringInfo(&buf, "%s%sv%d", i > 1 ? ", " : "", prefix, i);
	return buf.data;
}

/* Comparison of a key, column by column. */
static char *
key_equals(const CzMoveUnit *unit, const char *table, const char *stage)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, unit->key)
		appendStringInfo(&buf, "%s%s%s %s %sc%d", buf.len > 0 ? " AND " : "", table,
						 (char *) lfirst(lc),
						 (char *) list_nth(unit->operators, foreach_current_index(lc)), stage,
						 foreach_current_index(lc) + 1);
	return buf.data;
}

/* The same of what a log has of rows: columns. */
static char *
logged_filter(const CzMoveUnit *unit, List *columns)
{
	ListCell   *lc;

	if (unit->filter == NULL)
		return NULL;
	foreach(lc, columns)
	{
		if (strcmp(lfirst(lc), unit->key_column) == 0)
			return CzMoveFilter(unit, psprintf("c%d", foreach_current_index(lc) + 1), true);
	}
	elog(ERROR, "column %s is not logged of %s", unit->key_column, unit->qualified);
}

/* The rows of changed keys. */
static void
bring_keys(CzConn *from, CzConn *to, const CzMoveUnit *unit, const char *prev, bool is_many)
{
	char	   *stage = stage_name(unit);
	int			nkeys = list_length(unit->key);
	char	   *filter = logged_filter(unit, unit->key);

	prepare_stage(to, unit);
	CzCopyShardRows(from, to,
					psprintf("COPY (SELECT t.%s IS NOT NULL, %s, %s FROM (SELECT DISTINCT %s FROM %s WHERE %s AND NOT cz_t%s%s) k LEFT JOIN ONLY %s t ON %s) TO STDOUT",
							 (char *) linitial(unit->key), CzNumberedColumns(nkeys, "k."),
							 CzMoveColumns(unit->names, "t."), CzNumberedColumns(nkeys, ""), CzMoveLogRows(unit),
							 is_new(prev), filter ? " AND " : "", filter ? filter : "",
							 unit->qualified, key_equals(unit, "t.", "k.")),
					psprintf("COPY %s FROM STDIN", stage), NULL, NULL);
	if (is_many)
		PQclear(CzConnExec(to, psprintf("ANALYZE %s", stage)));
	/* writers may wait for the answer */
	PQclear(CzConnExec(to, psprintf("DELETE FROM ONLY %s t USING %s s WHERE %s;\n"
									"INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s WHERE cz_p",
									unit->target, stage, key_equals(unit, "t.", "s."),
									unit->target, unit->columns, values_of(unit, ""), stage)));
}

/* A table's rows as texts, by which those of a table without a key are told apart. */
static char *
image(const CzMoveUnit *unit, const char *prefix, bool is_stage)
{
	return psprintf("ROW(%s)::pg_catalog.text", is_stage ? values_of(unit, prefix) :
					CzMoveColumns(unit->names, prefix));
}

/* The hash by which they are found; NULL: by nothing. */
static char *
bag_hash(const CzMoveUnit *unit, const char *prefix, bool is_stage)
{
	StringInfoData buf;
	ListCell   *lc;

	if (unit->hashable == NIL)
		return NULL;
	initStringInfo(&buf);
	foreach(lc, unit->names)
	{
		if (!list_member_ptr(unit->hashable, lfirst(lc)))
			continue;
		if (is_stage)
			appendStringInfo(&buf, "%s%sv%d", buf.len > 0 ? ", " : "", prefix,
							 foreach_current_index(lc) + 1);
		else
			appendStringInfo(&buf, "%s%s%s", buf.len > 0 ? ", " : "", prefix,
							 (char *) lfirst(lc));
	}
	return psprintf("pg_catalog.hash_record_extended(ROW(%s), 0)", buf.data);
}

static char *
bag_index(const CzMoveUnit *unit)
{
	return psprintf("%s_h", unit->target_prefix);
}

/*
 * CzMoveMakeBagIndexes
 *		See mover_int.h.
 */
void
CzMoveMakeBagIndexes(CzMove *move)
{
	ListCell   *lc;
	ListCell   *lu;

	foreach(lc, CzMoveOwners(move))
	{
		CzConn	   *to = CzConnAcquire(CzEndpointGet(move->target_oid, lfirst_oid(lc)));

		foreach(lu, CzMoveUnitsOf(move, lfirst_oid(lc)))
		{
			const CzMoveUnit *unit = lfirst(lu);
			char	   *hash = bag_hash(unit, "", false);

			if (unit->key == NIL && hash != NULL)
				PQclear(CzConnExec(to, psprintf("CREATE INDEX IF NOT EXISTS %s ON %s ((%s))", bag_index(unit),
												unit->target, hash)));
		}
		CzConnRelease(to);
	}
}

/* The columns of a unit, in parentheses; a table that has none is named without. */
static char *
column_list(const CzMoveUnit *unit)
{
	return unit->columns != NULL ? psprintf(" (%s)", unit->columns) : "";
}

/* While the rows of a table are brought. */
static void
brought(int64 bytes, void *arg)
{
	CzMoveGiveWay(arg);
}

/* Rows that have come and gone. */
static void
bring_bag(CzConn *from, CzConn *to, const CzMoveUnit *unit, const char *prev, bool is_many)
{
	char	   *stage = stage_name(unit);
	char	   *hash = bag_hash(unit, "t.", false);
	char	   *filter = logged_filter(unit, unit->names);
	char	   *net;
	PGresult   *res;

	prepare_stage(to, unit);
	CzCopyShardRows(from, to,
					psprintf("COPY (SELECT cz_s%s%s FROM %s WHERE %s AND NOT cz_t%s%s) TO STDOUT",
							 unit->names != NIL ? ", " : "", CzNumberedColumns(list_length(unit->names), ""),
							 CzMoveLogRows(unit), is_new(prev), filter ? " AND " : "",
							 filter ? filter : ""),
					psprintf("COPY %s FROM STDIN", stage), NULL, NULL);
	if (is_many)
		PQclear(CzConnExec(to, psprintf("ANALYZE %s", stage)));
	net = psprintf("net AS MATERIALIZED (SELECT %s AS img, pg_catalog.sum(cz_s) AS n, pg_catalog.min(ctid) AS c FROM %s GROUP BY 1 HAVING pg_catalog.sum(cz_s) OPERATOR(pg_catalog.<>) 0)",
				   image(unit, "", true), stage);
	res = CzConnQuery(to,
					  psprintf("WITH %s, gone AS (DELETE FROM ONLY %s WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT q.c FROM "
							   "(SELECT t.ctid AS c, net.n, pg_catalog.row_number() OVER (PARTITION BY net.img) AS rn "
							   "FROM net JOIN %s s ON s.ctid OPERATOR(pg_catalog.=) net.c JOIN ONLY %s t ON %s%s%s%s OPERATOR(pg_catalog.=) net.img "
							   "WHERE net.n OPERATOR(pg_catalog.<) 0) q WHERE q.rn OPERATOR(pg_catalog.<=) (OPERATOR(pg_catalog.-) q.n))) RETURNING 1) "
							   "SELECT (SELECT pg_catalog.count(*) FROM gone) OPERATOR(pg_catalog.=) coalesce((SELECT pg_catalog.sum(OPERATOR(pg_catalog.-) n) FROM net WHERE n OPERATOR(pg_catalog.<) 0), 0)",
							   net, unit->target, stage, unit->target,
							   hash ? hash : "", hash ? " OPERATOR(pg_catalog.=) " : "",
							   hash ? psprintf("%s AND ", bag_hash(unit, "s.", true)) : "",
							   image(unit, "t.", false)), 1, 1, 1);
	if (strcmp(PQgetvalue(res, 0, 0), "t") != 0)
	{
		PQclear(res);
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("rows that were deleted from %s are not on node \"%s\"", unit->target,
						to->node_name)));
	}
	PQclear(res);
	PQclear(CzConnExec(to, psprintf("WITH %s INSERT INTO %s%s OVERRIDING SYSTEM VALUE SELECT %s FROM net JOIN %s s ON s.ctid OPERATOR(pg_catalog.=) net.c,"
									" pg_catalog.generate_series(1, net.n::pg_catalog.int8) WHERE net.n OPERATOR(pg_catalog.>) 0",
									net, unit->target, column_list(unit), values_of(unit, "s."), stage)));
}

/* A table was emptied: what it has now. */
static void
bring_all(CzMove *move, CzConn *from, CzConn *to, const CzMoveUnit *unit)
{
	char	   *filter = CzMoveFilter(unit, "", false);

	PQclear(CzConnExec(to, psprintf("TRUNCATE %s", unit->target)));
	CzCopyShardRows(from, to,
					psprintf("COPY (SELECT %s FROM ONLY %s%s%s) TO STDOUT",
							 unit->columns ? unit->columns : "", unit->qualified,
							 filter ? " WHERE " : "", filter ? filter : ""),
					psprintf("COPY %s%s FROM STDIN", unit->target, column_list(unit)), brought, move);
}

/* The snapshots that an owner's units on the target are of: char *, in order. */
static List *
read_states(const CzMove *move, CzConn *to, int owner_number, List *units)
{
	PGresult   *res = CzConnQuery(to, psprintf("SELECT unit, snapshot FROM %s",
											   CzMoveStateName(move, owner_number)), 0, -1, 2);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, units)
	{
		const CzMoveUnit *unit = lfirst(lc);
		char	   *snapshot = NULL;
		int			i;

		for (i = 0; i < PQntuples(res); i++)
		{
			if (atoi(PQgetvalue(res, i, 0)) == unit->number)
				snapshot = pstrdup(PQgetvalue(res, i, 1));
		}
		if (snapshot == NULL)
		{
			PQclear(res);
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("it is not known which rows of %s node \"%s\" has",
							unit->qualified, to->node_name)));
		}
		result = lappend(result, snapshot);
	}
	PQclear(res);
	return result;
}

/* A round of one owner's tables; returns changes. */
static int64
round_of_owner(CzMove *move, Oid owner, int owner_number, bool is_last)
{
	List	   *units = CzMoveUnitsOf(move, owner);
	CzConn	   *to = CzConnAcquire(CzEndpointGet(move->target_oid, owner));
	List	   *prev = read_states(move, to, owner_number, units);
	char	   *snapshot = NULL;
	int64		nchanges = 0;
	StringInfoData sql;
	CzConn	   *from;
	PGresult   *res;
	ListCell   *lc;

	if (is_last)
	{
		from = CzTxnConn(move->from_oid, owner, true);
		res = CzConnQuery(from, "SELECT pg_catalog.pg_current_snapshot()", 1, 1, 1);
		snapshot = pstrdup(PQgetvalue(res, 0, 0));
		PQclear(res);
	}
	else
	{
		from = CzConnAcquire(CzEndpointGet(move->from_oid, owner));
		snapshot = CzMoveSnapshotBegin(from);
	}

	/* of each log: is it whole, how much is new, was the table emptied */
	initStringInfo(&sql);
	foreach(lc, units)
	{
		const CzMoveUnit *unit = lfirst(lc);

		appendStringInfo(&sql, "%sSELECT %s, pg_catalog.count(*), coalesce(pg_catalog.bool_or(cz_t), false), %d FROM %s WHERE %s",
						 foreach_current_index(lc) > 0 ? " UNION ALL " : "",
						 CzMoveLogIsWhole(unit), foreach_current_index(lc), CzMoveLogRows(unit),
						 is_new(list_nth(prev, foreach_current_index(lc))));
	}
	appendStringInfoString(&sql, " ORDER BY 4");
	res = CzConnQuery(from, sql.data, list_length(units), list_length(units), 4);
	PQclear(CzConnExec(to, CZ_MOVE_BEGIN));
	foreach(lc, units)
	{
		const CzMoveUnit *unit = lfirst(lc);
		int			row = foreach_current_index(lc);
		int64		n = strtoll(PQgetvalue(res, row, 1), NULL, 10);

		if (strcmp(PQgetvalue(res, row, 0), "t") != 0)
		{
			PQclear(res);
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("node \"%s\" has lost what was logged of changes: it has crashed",
							from->node_name),
					 errhint("The move might succeed if retried.")));
		}
		nchanges += n;
		if (n == 0)
			continue;
		if (strcmp(PQgetvalue(res, row, 2), "t") == 0)
			bring_all(move, from, to, unit);
		else if (unit->key != NIL)
			bring_keys(from, to, unit, list_nth(prev, row), n > MANY_CHANGES);
		else
			bring_bag(from, to, unit, list_nth(prev, row), n > MANY_CHANGES);
	}
	PQclear(res);
	CzMoveStateWrite(move, to, owner_number, units, snapshot);
	foreach(lc, is_last ? units : NIL)
	{
		const CzMoveUnit *unit = lfirst(lc);

		if (unit->key == NIL && unit->hashable != NIL)
			PQclear(CzConnExec(to, psprintf("DROP INDEX IF EXISTS cz_shards.%s", bag_index(unit))));
	}
	PQclear(CzConnExec(to, "COMMIT"));
	CzConnRelease(to);
	if (!is_last)
	{
		PQclear(CzConnExec(from, "ROLLBACK"));
		CzConnRelease(from);
	}
	return nchanges;
}

/*
 * CzMoveRound
 *		See mover_int.h.
 */
int64
CzMoveRound(CzMove *move, bool is_last)
{
	int64		nchanges = 0;
	ListCell   *lc;

	foreach(lc, CzMoveOwners(move))
		nchanges += round_of_owner(move, lfirst_oid(lc), foreach_current_index(lc), is_last);
	return nchanges;
}

/* A round of its own, in a transaction. */
static void
round_step(CzMove *move)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (move->has_keys)
		CzMoveDropKeys(move);
	CzMoveMakeBagIndexes(move);
	move->nchanges = CzMoveRound(move, false);
	CzMoveNoteRound(move, move->nchanges);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * CzMoveCatchUp
 *		See mover_int.h.
 */
void
CzMoveCatchUp(CzMove *move)
{
	int			nfew = 0;

	for (;;)
	{
		instr_time	begin;
		instr_time	end;

		CzMoveGiveWay(move);
		CzMoveLogTurn(move->whole ? move->whole : move);
		INSTR_TIME_SET_CURRENT(begin);
		CzMoveRepeat(move, round_step);
		CzDebugPoint("move_round");
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, begin);
		if (move->nchanges < FEW_CHANGES &&
			(INSTR_TIME_GET_MILLISEC(end) < SHORT_ROUND_MS || ++nfew >= ENOUGH_ROUNDS))
			return;
		if (move->nchanges == 0)
			return;
	}
}

static void
set_phase(CzMove *move, const char *phase)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	CzMoveSetPhase(move, phase);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static void
copy_step(CzMove *move)
{
	StartTransactionCommand();
	CzMoveCopyRows(move, false);
	CommitTransactionCommand();
}

/*
 * CzMoveBringOver
 *		See mover_int.h.  In transactions of its own; one that has been resumed goes on.
 */
void
CzMoveBringOver(CzMove *move)
{
	if (strcmp(move->phase, CZ_PHASE_PREPARING) == 0)
	{
		CzMoveCaptureBegin(move);
		set_phase(move, CZ_PHASE_COPYING);
	}
	if (strcmp(move->phase, CZ_PHASE_COPYING) == 0)
	{
		CzMoveRepeat(move, copy_step);
		set_phase(move, CZ_PHASE_INDEXING);
		CzDebugPoint("move_rows_copied");
	}
	if (strcmp(move->phase, CZ_PHASE_INDEXING) == 0)
	{
		CzMoveMakeIndexes(move);
		set_phase(move, CZ_PHASE_CATCHING_UP);
		CzDebugPoint("move_indexed");
	}
}
