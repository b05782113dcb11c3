/*-------------------------------------------------------------------------
 *
 * fence.c
 *	  Keep former coordinators from using the workers.
 *
 * A take-over raises the epoch in the mark of each worker (remote/coordinator.c), so
 * that the sessions of a former coordinator are refused when they are made, and ends
 * those that are there.  A worker that does not answer then is met later: all workers
 * are in doubt in a new epoch (doubt.c), and who uses one that is in doubt does this
 * first.  So nothing of the new epoch is done on a worker where an older one is not
 * fenced.
 *
 * Only the owner of the schema of shards may write its comment, and only a session's
 * own role, or a superuser, may end it.  Recovery tries all user mappings, so it is
 * done with whichever may.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "transaction_int.h"

/* Until sessions that were told to end have done so, milliseconds */
#define END_WAIT_MS 5000

#define MARK_SQL \
	"SELECT coalesce(pg_catalog.obj_description(pg_catalog.to_regnamespace('cz_shards')::pg_catalog.oid, 'pg_namespace'), '')"

/* Sessions of former coordinators of the cluster: %1$u, %2$d: the lock of the epoch */
#define FORMER_SQL \
	"FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid " \
	"WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.granted " \
	"AND l.objsubid OPERATOR(pg_catalog.=) 1 " \
	"AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() " \
	"AND l.database OPERATOR(pg_catalog.=) a.datid " \
	"AND l.classid::pg_catalog.int8 OPERATOR(pg_catalog.=) %1$u " \
	"AND l.objid::pg_catalog.int8 BETWEEN 1 AND %2$d - 1"

/* Those that we may end */
#define OWN_SQL \
	" AND (a.usename OPERATOR(pg_catalog.=) CURRENT_USER " \
	"OR pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on')"

/* Raise the epoch of the mark, if the worker has one; while a clone takes its worker's place
 * the mark has two lines of the cluster. */
static char *
raise_sql(const CzIdentity *self)
{
	uint64		lock = (uint64) CzEpochLockClass(self->cluster_id) << 32;
	char	   *code;

	code = psprintf("DECLARE mark text; line text; epoch int; owner text;\nBEGIN\n"
					"PERFORM pg_advisory_xact_lock(" INT64_FORMAT ");\n"
					"mark := coalesce(obj_description(to_regnamespace('cz_shards')::oid, 'pg_namespace'), '');\n"
					"line := (SELECT l FROM regexp_split_to_table(mark, E'\\n') l WHERE starts_with(l, %s) LIMIT 1);\n"
					"epoch := coalesce(nullif(split_part(line, ' ', 4), ''), '0')::int;\n"
					"owner := split_part(line, ' ', 5);\n"
					"IF line IS NULL OR epoch = %d AND owner = %s THEN RETURN; END IF;\n"
					"IF epoch >= %d THEN RAISE EXCEPTION 'a later coordinator has taken over' USING ERRCODE = '55000'; END IF;\n"
					"EXECUTE format('COMMENT ON SCHEMA cz_shards IS %%L', array_to_string(ARRAY("
					"SELECT CASE WHEN starts_with(l, %s) THEN concat_ws(' ', split_part(l, ' ', 1), split_part(l, ' ', 2), split_part(l, ' ', 3), %d, %s) ELSE l END "
					"FROM regexp_split_to_table(mark, E'\\n') l), E'\\n'));\nEND",
					(int64) lock,
					quote_literal_cstr(psprintf("cz_fdw %s ", self->cluster_id)),
					self->epoch, quote_literal_cstr(self->owner), self->epoch,
					quote_literal_cstr(psprintf("cz_fdw %s ", self->cluster_id)),
					self->epoch, quote_literal_cstr(self->owner));
	return psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(code));
}

static char *
end_sql(const CzIdentity *self, int wait_ms)
{
	return psprintf("SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(l.pid, %3$d)) "
					FORMER_SQL OWN_SQL,
					CzEpochLockClass(self->cluster_id), self->epoch, wait_ms);
}

static char *
left_sql(const CzIdentity *self)
{
	return psprintf("SELECT pg_catalog.count(*) " FORMER_SQL,
					CzEpochLockClass(self->cluster_id), self->epoch);
}

/* As of nobody: who is fenced shall hear it, too. */
static void
run_anonymously(List *commands)
{
	CzTxnBeAnonymous(true);
	PG_TRY();
	{
		CzOutsideRun(commands, GetUserId(), false, true);
	}
	PG_FINALLY();
	{
		CzTxnBeAnonymous(false);
	}
	PG_END_TRY();
}

/*
 * CzFenceLatestEpoch
 *		Ask all workers for the epoch of their marks; 0: none has told.
 *
 * here: what this database is, or would be, as owner (CzWorkerMark.owner).
 * is_other: out: the latest one is not of us, nor of whom we are a copy of.
 */
int
CzFenceLatestEpoch(const CzIdentity *self, const char *here, bool *is_other)
{
	List	   *commands = NIL;
	int			latest;
	ListCell   *lc;

	*is_other = false;
	foreach(lc, CzNodeList(false))
	{
		CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

		command->server_oid = ((CzNode *) lfirst(lc))->server_oid;
		command->sql = MARK_SQL;
		commands = lappend(commands, command);
	}
	run_anonymously(commands);

	latest = 0;
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);
		CzWorkerMark		mark;

		if (!command->is_ok || command->answer == NULL ||
			!CzMarkRead(command->answer, self->cluster_id, &mark))
			continue;
		latest = Max(latest, mark.epoch);
		if (mark.owner[0] == '\0' || strcmp(mark.owner, here) == 0)
			continue;
		if (mark.epoch > self->epoch ||
			(mark.epoch == self->epoch && self->owner[0] != '\0' &&
			 strcmp(mark.owner, self->owner) != 0))
			*is_other = true;
	}
	return latest;
}

/*
 * CzFenceAll
 *		Fence former coordinators on all workers at once, as far as they answer and as far
 *		as the current user's mapping may.
 */
void
CzFenceAll(void)
{
	const CzIdentity *self = CzTxnIdentity();
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
	{
		char	   *sql[] = {raise_sql(self), end_sql(self, 0), end_sql(self, END_WAIT_MS)};
		int			i;

		for (i = 0; i < lengthof(sql); i++)
		{
			CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

			command->server_oid = ((CzNode *) lfirst(lc))->server_oid;
			command->sql = sql[i];
			commands = lappend(commands, command);
		}
	}
	CzOutsideRun(commands, GetUserId(), false, true);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		if (!command->is_ok && foreach_current_index(lc) % 3 == 0)
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("former coordinators are not fenced on node \"%s\" yet",
							CzNodeName(command->server_oid)),
					 command->answer ? errdetail_internal("%s", command->answer) : 0,
					 errhint("They will be before this one uses it.")));
	}
	CzActivityNote(CZ_TASK_RECOVER);
}

/* The number that a query answers; -1: it has failed. */
static int
ask_number(CzConn *conn, const char *sql)
{
	PGresult   *res = CzConnTryExec(conn, sql);
	int			number = -1;

	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		number = atoi(PQgetvalue(res, 0, 0));
	PQclear(res);
	return number;
}

/*
 * CzFenceWorker
 *		Fence former coordinators on the worker of a connection.
 *
 * Returns: do they have no sessions there, and get none?  False: perhaps because the
 *		connection's role may not do all of it.
 */
bool
CzFenceWorker(CzConn *conn)
{
	const CzIdentity *self = CzTxnIdentity();
	int			left;

	if (!self->exists || !self->is_owner)
		return true;
	if (conn->is_behind)
	{
		PGresult   *res = CzConnTryExec(conn, raise_sql(self));

		if (res != NULL && PQresultStatus(res) == PGRES_COMMAND_OK)
			conn->is_behind = false;
		PQclear(res);
	}
	if (conn->is_broken)
		return false;
	left = ask_number(conn, left_sql(self));
	if (left > 0)
	{
		(void) ask_number(conn, end_sql(self, 0));
		(void) ask_number(conn, end_sql(self, END_WAIT_MS));
		left = ask_number(conn, left_sql(self));
	}
	return left == 0 && !conn->is_behind;
}
