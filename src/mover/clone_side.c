/*-------------------------------------------------------------------------
 *
 * clone_side.c
 *	  A clone that becomes a node: what is asked of it, and done on it.
 *
 * Before its promotion: a row that is written on the primary tells how far it is.  Who sees
 * a row there that was written while nobody wrote to the shards, sees all of the shards; no
 * privilege is needed for that, and a standby that has left the primary's history never
 * gets there.
 *
 * Afterwards: transactions that were prepared on the primary are prepared on the clone, too.
 * None of them is about a shard that the clone takes, so they are rolled back, whatever
 * becomes of them on the primary.  The clone gets an identity of its own beside the
 * primary's, so that until the switch it can stand in for the primary, as any standby.
 * Tables that stay with the primary are marked with a comment, by which the clean-up knows
 * them: on the primary, where they have the same names, they have none.
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
#include "utils/timestamp.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "promote_int.h"

/* Between two looks at the clone; at one that somebody else promotes */
#define POLL_MS 2
#define PROMOTED_POLL_MS 100

static CzEndpoint *
endpoint_of(Oid server_oid)
{
	return CzEndpointGet(server_oid, GetForeignServer(server_oid)->owner);
}

/* Run commands on a node, outside of the transaction. */
static void
exec_on(Oid server_oid, const char *sql)
{
	CzConn	   *conn = CzConnAcquire(endpoint_of(server_oid));

	PQclear(CzConnExec(conn, sql));
	CzConnRelease(conn);
}

/* Milliseconds that are left of the caller's time; -1: no limit. */
static long
left_ms(const CzPromotion *p)
{
	if (p->plan->timeout_s == 0)
		return -1;
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
										   TimestampTzPlusMilliseconds(p->started_at,
																	   p->plan->timeout_s * INT64CONST(1000)));
}

/*
 * CzCloneCheckTime
 *		See promote_int.h.
 */
void
CzCloneCheckTime(const CzPromotion *p)
{
	if (left_ms(p) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("node \"%s\" did not catch up with node \"%s\" within %d seconds",
						CzNodeGet(p->move->target_oid)->name,
						CzNodeGet(p->move->source_oid)->name, p->plan->timeout_s),
				 errhint("Give a longer catchup_timeout_seconds.")));
}

/*
 * CzCloneTokenMake
 *		See promote_int.h.
 */
void
CzCloneTokenMake(const CzPromotion *p)
{
	char	   *name = psprintf(CZ_PROMOTE_TOKEN, p->move->move_id);

	exec_on(p->move->source_oid,
			psprintf("CREATE TABLE %s AS SELECT 0::pg_catalog.int8 AS number, false AS is_locked", name));
}

/*
 * CzCloneSees
 *		See promote_int.h.
 */
bool
CzCloneSees(CzPromotion *p, bool is_locked, int limit_ms)
{
	char	   *name = psprintf(CZ_PROMOTE_TOKEN, p->move->move_id);
	char	   *wanted = psprintf(INT64_FORMAT, ++p->token);
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), limit_ms);
	bool		result = false;
	CzConn	   *conn;

	/* flushed, so that it is sent; a synchronous standby need not have it */
	exec_on(p->move->source_oid,
			psprintf("BEGIN; SET LOCAL synchronous_commit = local; UPDATE %s SET number = %s, is_locked = %s; COMMIT",
					 name, wanted, is_locked ? "true" : "false"));
	conn = CzConnAcquire(endpoint_of(p->move->target_oid));
	while (!result)
	{
		char	   *number;

		if (!p->has_token)
			p->has_token = CzConnAsk(conn, psprintf("SELECT pg_catalog.to_regclass('%s')", name)) != NULL;
		number = p->has_token ? CzConnAsk(conn, psprintf("SELECT number FROM %s", name)) : NULL;
		result = number != NULL && strcmp(number, wanted) == 0;
		if (!result && conn->is_broken)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("connection to node \"%s\" was lost",
							CzNodeGet(p->move->target_oid)->name)));
		if (!result && GetCurrentTimestamp() >= end)
			break;
		if (!result)
			CzMoveSleep(POLL_MS);
	}
	if (!result)
	{
		char	   *in_recovery = CzConnAsk(conn, "SELECT pg_catalog.pg_is_in_recovery()");

		if (in_recovery != NULL && strcmp(in_recovery, "f") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("node \"%s\" was promoted too early",
							CzNodeGet(p->move->target_oid)->name),
					 errdetail("It may lack what has been written to node \"%s\" since.",
							   CzNodeGet(p->move->source_oid)->name),
					 errhint("Make another standby, and add it as a clone.")));
	}
	CzConnRelease(conn);
	return result;
}

/* Is it out of recovery?  It may be restarted for that. */
static bool
is_promoted(Oid server_oid)
{
	char	   *message = NULL;
	CzConn	   *conn = CzConnTryAcquire(endpoint_of(server_oid), &message);
	char	   *answer;

	if (conn == NULL)
		return false;
	answer = CzConnAsk(conn, "SELECT pg_catalog.pg_is_in_recovery()");
	CzConnRelease(conn);
	return answer != NULL && strcmp(answer, "f") == 0;
}

/*
 * CzClonePromote
 *		See promote_int.h.
 */
void
CzClonePromote(CzPromotion *p)
{
	Oid			clone_oid = p->move->target_oid;

	if (p->plan->promotes)
	{
		/* pg_promote() itself would wait in steps of 100 milliseconds */
		CzConn	   *conn = CzConnAcquire(endpoint_of(clone_oid));

		PQclear(CzConnQuery(conn, "SELECT pg_catalog.pg_promote(false)", 1, 1, 1));
		CzConnRelease(conn);
	}
	while (!is_promoted(clone_oid))
	{
		CzCloneCheckTime(p);
		CzMoveSleep(p->plan->promotes ? POLL_MS : PROMOTED_POLL_MS);
	}
}

/* Whose connections do something on the clone: list of OIDs of roles. */
static List *
users_of(const CzPromotion *p)
{
	List	   *users = list_make1_oid(GetForeignServer(p->move->target_oid)->owner);
	ListCell   *lc;

	foreach(lc, CzTableList())
		users = list_append_unique_oid(users, CzRelationOwner(lfirst_oid(lc)));
	return users;
}

/*
 * CzCloneForgetPrepared
 *		See promote_int.h.
 */
void
CzCloneForgetPrepared(const CzPromotion *p)
{
	ListCell   *lc;

	foreach(lc, users_of(p))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(p->move->target_oid, lfirst_oid(lc)));
		PGresult   *res = CzConnQuery(conn, psprintf("SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() "
													 "AND pg_catalog.starts_with(gid, 'cz_%s_') AND (owner = CURRENT_USER OR pg_catalog.current_setting('is_superuser') = 'on')",
													 CzTxnClusterId()), 0, -1, 1);
		int			i;

		for (i = 0; i < PQntuples(res); i++)
			PQclear(CzConnTryExec(conn, psprintf("ROLLBACK PREPARED %s",
												 quote_literal_cstr(PQgetvalue(res, i, 0)))));
		PQclear(res);
		CzConnRelease(conn);
	}
}

/* The comment by which a node is known; its lines of this cluster begin so, and with its
 * identity. */
#define MARK_OF "pg_catalog.obj_description('" CZ_SHARD_SCHEMA "'::pg_catalog.regnamespace::pg_catalog.oid, 'pg_namespace')"

static char *
mark_prefix(void)
{
	return psprintf("cz_fdw %s ", CzTxnClusterId());
}

/*
 * CzCloneIdentify
 *		See promote_int.h.
 */
char *
CzCloneIdentify(const CzPromotion *p)
{
	const char *old = CzFindOption(GetForeignServer(p->move->target_oid)->options, "identity");
	uint64		random[2];
	char	   *identity;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	identity = psprintf("%016llx%016llx", (unsigned long long) random[0],
						(unsigned long long) random[1]);
	exec_on(p->move->target_oid,
			psprintf("DO LANGUAGE plpgsql %s",
					 quote_literal_cstr(psprintf("DECLARE mark text := " MARK_OF "; BEGIN EXECUTE pg_catalog.format('COMMENT ON SCHEMA " CZ_SHARD_SCHEMA " IS %%L', mark || E'\n' || "
												 "(SELECT pg_catalog.replace(l, %s, %s) FROM pg_catalog.regexp_split_to_table(mark, E'\n') l WHERE pg_catalog.starts_with(l, %s))); END",
												 quote_literal_cstr(old), quote_literal_cstr(identity),
												 quote_literal_cstr(psprintf("%s%s", mark_prefix(), old))))));
	return identity;
}

/*
 * CzCloneForgetPrimary
 *		See promote_int.h.
 */
void
CzCloneForgetPrimary(Oid clone_oid)
{
	const char *identity = CzFindOption(GetForeignServer(clone_oid)->options, "identity");

	exec_on(clone_oid,
			psprintf("DO LANGUAGE plpgsql %s",
					 quote_literal_cstr(psprintf("BEGIN EXECUTE pg_catalog.format('COMMENT ON SCHEMA " CZ_SHARD_SCHEMA " IS %%L', (SELECT pg_catalog.string_agg(l, E'\n') FROM "
												 "pg_catalog.regexp_split_to_table(" MARK_OF ", E'\n') l "
												 "WHERE NOT pg_catalog.starts_with(l, %s) OR pg_catalog.starts_with(l, %s))); END",
												 quote_literal_cstr(mark_prefix()),
												 quote_literal_cstr(psprintf("%s%s", mark_prefix(), identity ? identity : ""))))));
}

/* An array of names, as a literal. */
static char *
names_literal(List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "ARRAY[");
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoString(&buf, "]::pg_catalog.name[]");
	return buf.data;
}

/* Names on workers: of the tables that the clone keeps, or (all) of all that we know of. */
static List *
table_names(const CzPromotion *p, bool all)
{
	List	   *names = NIL;
	ListCell   *lc;
	ListCell   *lt;
	int			i;

	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL || (!all && table->kind != CZ_TABLE_REFERENCE))
			continue;
		for (i = 0; i < table->nshards; i++)
			names = lappend(names, table->shards[i].remote_name);
	}
	foreach(lc, all ? NIL : p->groups)
	{
		const CzMove *group = lfirst(lc);

		foreach(lt, group->tables)
			names = lappend(names,
							CzTableGet(((CzMoveTable *) lfirst(lt))->relid)->shards[group->shard_index].remote_name);
	}
	return names;
}

/* Tables of the schema of shards that have nothing to do with the clone any more.  Where
 * another cluster has tables, too, only those that we know. */
#define LEFT_OVER_SQL \
	"FROM pg_catalog.pg_class c WHERE c.relnamespace = pg_catalog.to_regnamespace('" CZ_SHARD_SCHEMA "')::pg_catalog.oid " \
	"AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname !~ '^cz_(object|node)' AND c.relname <> ALL (%s) " \
	"AND pg_catalog.pg_has_role(c.relowner, 'USAGE') AND (c.relname = ANY (%s) OR NOT EXISTS (SELECT FROM " \
	"pg_catalog.regexp_split_to_table(pg_catalog.obj_description('" CZ_SHARD_SCHEMA "'::pg_catalog.regnamespace::pg_catalog.oid, 'pg_namespace'), E'\\n') l " \
	"WHERE pg_catalog.starts_with(l, 'cz_fdw ') AND NOT pg_catalog.starts_with(l, %s)))"

/* They must not keep rows of reference tables either, as of now. */
#define MARK_SQL \
	"DECLARE r record; k record; BEGIN PERFORM pg_catalog.set_config('lock_timeout', '2s', true); " \
	"FOR r IN SELECT c.oid, c.oid::pg_catalog.regclass::text AS name %s LOOP BEGIN " \
	"FOR k IN SELECT conname FROM pg_catalog.pg_constraint WHERE conrelid = r.oid AND contype = 'f' AND conparentid = 0 LOOP " \
	"EXECUTE pg_catalog.format('ALTER TABLE %%s DROP CONSTRAINT %%I', r.name, k.conname); END LOOP; " \
	"EXECUTE pg_catalog.format('COMMENT ON TABLE %%s IS %%L', r.name, %s::text); " \
	"EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN NULL; END; END LOOP; END"

/*
 * CzCloneMarkLeftOver
 *		See promote_int.h.
 */
void
CzCloneMarkLeftOver(const CzPromotion *p)
{
	const char *marker = CzMoveDroppedMarker(p->move);
	char	   *from = psprintf(LEFT_OVER_SQL, names_literal(table_names(p, false)),
								names_literal(table_names(p, true)),
								quote_literal_cstr(mark_prefix()));
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, users_of(p))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(p->move->target_oid, lfirst_oid(lc)));
		PGresult   *res;
		int			i;

		PQclear(CzConnExec(conn, psprintf("DO LANGUAGE plpgsql %s",
										  quote_literal_cstr(psprintf(MARK_SQL, from,
																	  quote_literal_cstr(marker))))));
		res = CzConnQuery(conn, psprintf("SELECT c.relname %s AND pg_catalog.obj_description(c.oid, 'pg_class') = %s",
										 from, quote_literal_cstr(marker)), 0, -1, 1);
		for (i = 0; i < PQntuples(res); i++)
		{
			char	   *name = pstrdup(PQgetvalue(res, i, 0));

			if (CzListHasString(seen, name))
				continue;
			seen = lappend(seen, name);
			CzMoveExpectCleanup(p->move, p->move->target_oid, lfirst_oid(lc), "table",
								quote_qualified_identifier(CZ_SHARD_SCHEMA, name), NULL,
								"on_success", marker);
		}
		PQclear(res);
		CzConnRelease(conn);
	}
}
