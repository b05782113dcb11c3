/*-------------------------------------------------------------------------
 *
 * restore_point.c
 *	  citus_create_restore_point(): one name in the WAL of all nodes, at which no
 *	  transaction is committed on one node and not yet on another.
 *
 * The gate (cz/transaction.h) is closed for as long as the nodes take for it.  This server
 * comes last: values of its sequences that are in rows of workers are in its WAL by then.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

#include "cluster_int.h"
#include "cz/settings.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(citus_create_restore_point);

/* What a worker must be and must let us do; columns below */
#define CAN_SQL \
	"SELECT pg_catalog.has_function_privilege('pg_catalog.pg_create_restore_point(text)', 'EXECUTE'), " \
	"CURRENT_USER, pg_catalog.current_setting('wal_level'), pg_catalog.pg_is_in_recovery()"

enum
{
	CAN_EXECUTE,
	CAN_USER,
	CAN_WAL_LEVEL,
	CAN_IN_RECOVERY,
	CAN_COLUMNS
};

/* What a worker has answered. */
typedef struct Ability
{
	bool		is_known;
	bool		may_execute;
	bool		is_in_recovery;
	char	   *user_name;		/* there */
	char	   *wal_level;
} Ability;

static void
take_ability(CzOutsideCommand *command, PGresult *res)
{
	Ability    *ability = command->arg;

	if (PQntuples(res) != 1 || PQnfields(res) != CAN_COLUMNS)
		return;
	ability->may_execute = strcmp(PQgetvalue(res, 0, CAN_EXECUTE), "t") == 0;
	ability->is_in_recovery = strcmp(PQgetvalue(res, 0, CAN_IN_RECOVERY), "t") == 0;
	ability->user_name = pstrdup(PQgetvalue(res, 0, CAN_USER));
	ability->wal_level = pstrdup(PQgetvalue(res, 0, CAN_WAL_LEVEL));
	ability->is_known = true;
}

/* The same command for each node; of CzOutsideCommand. */
static List *
make_commands(List *nodes, const char *sql)
{
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, nodes)
	{
		CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

		command->server_oid = ((CzNode *) lfirst(lc))->server_oid;
		command->sql = sql;
		commands = lappend(commands, command);
	}
	return commands;
}

pg_noreturn static void
report_failure(const CzOutsideCommand *command)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not create the restore point on node \"%s\"",
					CzNodeGet(command->server_oid)->name),
			 command->answer ? errdetail_internal("%s", command->answer) : 0,
			 errhint("Other nodes may have it: use another name next time.")));
}

/* Before anything is waited for: can all of them do it? */
static void
check_nodes(List *nodes)
{
	List	   *commands = make_commands(nodes, CAN_SQL);
	ListCell   *lc;

	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		command->take = take_ability;
		command->arg = palloc0(sizeof(Ability));
	}
	CzOutsideRun(commands, GetUserId(), false, true);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);
		const Ability *ability = command->arg;
		const char *name = CzNodeGet(command->server_oid)->name;

		if (!command->is_ok || !ability->is_known)
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not ask node \"%s\"", name),
					 command->answer ? errdetail_internal("%s", command->answer) : 0,
					 errhint("A restore point is made on all nodes that are in use; citus_disable_node() takes one out of use.")));
		if (ability->is_in_recovery)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("node \"%s\" is a standby", name)));
		if (strcmp(ability->wal_level, "minimal") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("wal_level of node \"%s\" is not sufficient for a restore point", name),
					 errhint("Set it to replica, and restart the node.")));
		if (!ability->may_execute)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\" may not create restore points on node \"%s\"",
							ability->user_name, name),
					 errhint("Let a superuser run there: GRANT EXECUTE ON FUNCTION pg_catalog.pg_create_restore_point(text) TO %s",
							 quote_identifier(ability->user_name))));
	}
}

/* With the gate closed. */
static void
create_on_nodes(List *nodes, const char *name)
{
	List	   *commands = make_commands(nodes,
										 psprintf("SELECT pg_catalog.pg_create_restore_point(%s)",
												  quote_literal_cstr(name)));
	ListCell   *lc;

	CzOutsideRun(commands, GetUserId(), false, true);
	foreach(lc, commands)
	{
		if (!((CzOutsideCommand *) lfirst(lc))->is_ok)
			report_failure(lfirst(lc));
	}
}

/*
 * citus_create_restore_point(name text)
 *		SQL function: the same restore point on all nodes in use; returns this server's LSN.
 */
Datum
citus_create_restore_point(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	List	   *nodes = CzNodeList(true);
	XLogRecPtr	lsn;

	PreventCommandDuringRecovery("citus_create_restore_point()");
	CzTxnCheckCoordinator();
	if (strlen(name) >= MAXFNAMELEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("restore point name is too long: it may have %d bytes",
						MAXFNAMELEN - 1)));
	if (!XLogIsNeeded())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("wal_level of the coordinator is not sufficient for a restore point"),
				 errhint("Set it to replica, and restart the server.")));
	if (CzTxnHasWritten())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot create a restore point in a transaction that has written to workers")));
	check_nodes(nodes);
	CzGateClose();
	CzDebugPoint("gate_closed");
	create_on_nodes(nodes, name);
	lsn = XLogRestorePoint(name);
	CzGateOpen();
	PG_RETURN_LSN(lsn);
}
