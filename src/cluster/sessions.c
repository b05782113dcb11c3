/*-------------------------------------------------------------------------
 *
 * sessions.c
 *	  What goes on on the workers: their sessions, their locks, who waits for whom, how
 *	  much tables change.  Under the views citus_stat_activity, citus_locks,
 *	  citus_lock_waits and cz_table_activity.
 *
 * A worker's process that works for a session of this server is known by that session's
 * links (remote/links.c).  What core's pg_stat_activity hides from a role is hidden here,
 * too: the connection is mostly that of a role that sees all.
 *
 * Workers that cannot be asked are left out: views must not fail.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "cluster_int.h"
#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(cz_worker_sessions);
PG_FUNCTION_INFO_V1(cz_worker_locks);
PG_FUNCTION_INFO_V1(cz_worker_waits);
PG_FUNCTION_INFO_V1(cz_shard_activity);
PG_FUNCTION_INFO_V1(cz_cancel_backend);
PG_FUNCTION_INFO_V1(cz_terminate_backend);

/* A global process id is the node's times this, and the process */
#define GPID_OF_NODE INT64CONST(10000000000)

/* The first column is the process, of which the second one here is made, the session that
 * it works for; then come the columns of the SQL functions. */
#define SESSIONS_SQL \
	"SELECT a.pid, a.datid, a.datname, a.pid, a.leader_pid, a.usesysid, a.usename, " \
	"a.application_name, a.client_addr, a.client_hostname, a.client_port, a.backend_start, a.xact_start, " \
	"a.query_start, a.state_change, a.wait_event_type, a.wait_event, a.state, a.backend_xid, " \
	"a.backend_xmin, a.query_id, a.query, a.backend_type FROM pg_catalog.pg_stat_activity a " \
	"WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() " \
	"AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()"
/* Columns of the result from here on are for those only who may see the session. */
#define FIRST_HIDDEN_COLUMN 9
#define QUERY_COLUMN 22

#define LOCKS_SQL \
	"SELECT l.pid, l.locktype, CASE WHEN l.relation IS NOT NULL THEN " \
	"coalesce(pg_catalog.format('%I.%I', n.nspname, c.relname), l.relation::pg_catalog.text) END, " \
	"l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid, " \
	"l.virtualtransaction, l.pid, l.mode, l.granted, l.fastpath, l.waitstart " \
	"FROM pg_catalog.pg_locks l " \
	"LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation " \
	"LEFT JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace " \
	"WHERE (l.database IS NULL OR l.database OPERATOR(pg_catalog.=) (SELECT d.oid " \
	"FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())) " \
	"AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()"

#define WAITS_SQL \
	"SELECT l.pid, l.pid, b.pid FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks " \
	"WHERE NOT granted) l, LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) AS b(pid)"

#define ACTIVITY_SQL \
	"SELECT NULL::pg_catalog.int4, s.relname, s.n_live_tup, s.n_dead_tup, s.n_tup_ins, s.n_tup_upd, " \
	"s.n_tup_del, s.seq_scan, coalesce(s.idx_scan, 0), " \
	"pg_catalog.pg_total_relation_size(s.relid), greatest(s.last_vacuum, s.last_autovacuum), " \
	"greatest(s.last_analyze, s.last_autoanalyze) FROM pg_catalog.pg_stat_all_tables s " \
	"WHERE s.schemaname OPERATOR(pg_catalog.=) '" CZ_SHARD_SCHEMA "'"

/* What take_rows works with. */
typedef struct Relay
{
	ReturnSetInfo *rsinfo;
	AttInMetadata *meta;
	int			ncolumns;		/* that the workers give */
	bool		is_sessions;	/* some are hidden */
	bool		sees_all;		/* the current role */
	CzLink	   *links;			/* connections of this database's sessions */
	int			nlinks;
} Relay;

/* The session here that a worker's process works for; 0: none. */
static int
session_of(const Relay *relay, Oid server_oid, const char *remote_pid)
{
	int			pid = remote_pid ? atoi(remote_pid) : 0;
	int			i;

	for (i = 0; pid != 0 && i < relay->nlinks; i++)
	{
		if (relay->links[i].server_oid == server_oid && relay->links[i].remote_pid == pid)
			return relay->links[i].pid;
	}
	return 0;
}

/* May the current role see what a session of this server does? */
static bool
may_see(const Relay *relay, int pid)
{
	PGPROC	   *proc;

	if (relay->sees_all)
		return true;
	proc = pid > 0 ? BackendPidGetProc(pid) : NULL;
	return proc != NULL && OidIsValid(proc->roleId) &&
		has_privs_of_role(GetUserId(), proc->roleId);
}

static void
take_row(const Relay *relay, const CzNode *node, const PGresult *res, int row)
{
	int			pid = session_of(relay, node->server_oid, CzResultText(res, row, 0));
	bool		is_hidden = relay->is_sessions && !may_see(relay, pid);
	char	  **values = palloc0(sizeof(char *) * (relay->ncolumns + 1));
	int			i;

	values[0] = psprintf("%d", node->node_id);
	values[1] = pid > 0 ? psprintf("%d", pid) : NULL;
	for (i = 1; i < relay->ncolumns; i++)
	{
		values[i + 1] = CzResultText(res, row, i);
		if (is_hidden && i + 1 >= FIRST_HIDDEN_COLUMN)
			values[i + 1] = i + 1 == QUERY_COLUMN ? "<insufficient privilege>" : NULL;
	}
	tuplestore_puttuple(relay->rsinfo->setResult, BuildTupleFromCStrings(relay->meta, values));
}

static void
take_rows(CzOutsideCommand *command, struct pg_result *res)
{
	Relay	   *relay = command->arg;
	CzNode	   *node = CzNodeGet(command->server_oid);
	int			i;

	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQnfields(res) != relay->ncolumns)
		return;
	for (i = 0; i < PQntuples(res); i++)
	{
		CHECK_FOR_INTERRUPTS();
		take_row(relay, node, res, i);
	}
}

/* Rows of a query on every worker in use: its id, our session, the query's columns. */
static Datum
relay_rows(FunctionCallInfo fcinfo, const char *sql, bool is_sessions)
{
	Relay		relay;
	List	   *commands = NIL;
	ListCell   *lc;
	int			nest_level;

	InitMaterializedSRF(fcinfo, 0);
	relay.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	relay.meta = TupleDescGetAttInMetadata(relay.rsinfo->setDesc);
	relay.ncolumns = relay.rsinfo->setDesc->natts - 1;
	relay.is_sessions = is_sessions;
	relay.sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	relay.links = CzLinksRead(&relay.nlinks);

	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);
		CzOutsideCommand *command;

		if (CzHealthIsSuspect(node->server_oid))
			continue;
		command = palloc0(sizeof(CzOutsideCommand));
		command->server_oid = node->server_oid;
		command->sql = sql;
		command->take = take_rows;
		command->arg = &relay;
		commands = lappend(commands, command);
	}
	nest_level = CzPinTextSettings(CZ_PIN_TEXT);
	CzOutsideRun(commands, GetUserId(), false, true);
	CzUnpinTextSettings(nest_level);
	return (Datum) 0;
}

/*
 * cz_worker_sessions
 *		Processes of the workers, with the session here that they work for.
 */
Datum
cz_worker_sessions(PG_FUNCTION_ARGS)
{
	return relay_rows(fcinfo, SESSIONS_SQL, true);
}

/*
 * cz_worker_locks
 *		Locks on the workers.
 */
Datum
cz_worker_locks(PG_FUNCTION_ARGS)
{
	return relay_rows(fcinfo, LOCKS_SQL, false);
}

/*
 * cz_worker_waits
 *		Processes on the workers that wait for others.
 */
Datum
cz_worker_waits(PG_FUNCTION_ARGS)
{
	return relay_rows(fcinfo, WAITS_SQL, false);
}

/*
 * cz_shard_activity
 *		Statistics of every table in cz_shards on the workers.
 */
Datum
cz_shard_activity(PG_FUNCTION_ARGS)
{
	return relay_rows(fcinfo, ACTIVITY_SQL, false);
}

/* The worker of a global process id. */
static const CzNode *
node_of_gpid(int64 gpid)
{
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
	{
		CzNode	   *node = lfirst(lc);

		if (node->node_id == gpid / GPID_OF_NODE)
			return node;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("global process id " INT64_FORMAT " is of no node", gpid)));
	return NULL;
}

/* Run a function on the worker of a process, which it gets as %d. */
static bool
signal_there(int64 gpid, const char *sql)
{
	const CzNode *node = node_of_gpid(gpid);
	char	   *message = NULL;
	CzConn	   *conn;
	PGresult   *res;
	bool		result;

	/* there it would be the user mapping's role that asks, whoever is behind the session */
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to signal processes of other nodes"),
				 errhint("Signal the session of this server that the process works for.")));
	conn = CzConnTryAcquire(CzEndpointGet(node->server_oid, GetUserId()), &message);
	if (conn == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not connect to node \"%s\"", node->name),
				 message ? errdetail_internal("%s", message) : 0));
	res = CzConnQuery(conn, sql, 1, 1, 1);
	result = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	CzConnRelease(conn);
	return result;
}

static int64
check_gpid(int64 gpid)
{
	if (gpid <= 0 || gpid % GPID_OF_NODE > PG_INT32_MAX || gpid / GPID_OF_NODE > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid global process id " INT64_FORMAT, gpid)));
	return gpid;
}

/*
 * cz_cancel_backend(global_pid bigint), cz_terminate_backend(global_pid bigint, timeout bigint)
 *		SQL functions: core's, of a process of any node.  Core says who may end which session
 *		here; on workers only superusers may.  timeout: as core's, milliseconds.
 */
Datum
cz_cancel_backend(PG_FUNCTION_ARGS)
{
	int64		gpid = check_gpid(PG_GETARG_INT64(0));

	if (gpid < GPID_OF_NODE)
		return DirectFunctionCall1(pg_cancel_backend, Int32GetDatum((int32) gpid));
	PG_RETURN_BOOL(signal_there(gpid, psprintf("SELECT pg_catalog.pg_cancel_backend(%d)",
											   (int) (gpid % GPID_OF_NODE))));
}

Datum
cz_terminate_backend(PG_FUNCTION_ARGS)
{
	int64		gpid = check_gpid(PG_GETARG_INT64(0));
	int64		timeout_ms = PG_GETARG_INT64(1);

	if (gpid < GPID_OF_NODE)
		return DirectFunctionCall2(pg_terminate_backend, Int32GetDatum((int32) gpid),
								   Int64GetDatum(timeout_ms));
	PG_RETURN_BOOL(signal_there(gpid,
								psprintf("SELECT pg_catalog.pg_terminate_backend(%d, " INT64_FORMAT ")",
										 (int) (gpid % GPID_OF_NODE), timeout_ms)));
}
