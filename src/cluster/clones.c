/*-------------------------------------------------------------------------
 *
 * clones.c
 *	  Standbys of workers that are to become workers themselves: citus_add_clone_node(),
 *	  citus_remove_clone_node().
 *
 * A clone is a server of cz_fdw that is not in use, with the options and user mappings of
 * its primary; its option clone_of says whose clone it is, by the primary's identity, which
 * a standby has, too.  How it is promoted: src/mover/promote.c.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "commands/sequence.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "clones_int.h"
#include "cluster_int.h"
#include "cz/remote.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(citus_add_clone_node);
PG_FUNCTION_INFO_V1(citus_add_clone_node_with_nodeid);
PG_FUNCTION_INFO_V1(citus_remove_clone_node);
PG_FUNCTION_INFO_V1(citus_remove_clone_node_with_nodeid);

/* What a clone is asked; who may not see the receiver's state gets NULL. */
#define CLONE_SQL \
	"SELECT pg_catalog.pg_is_in_recovery(), " \
	"coalesce(pg_catalog.obj_description(pg_catalog.to_regnamespace('" CZ_SHARD_SCHEMA "')::pg_catalog.oid, 'pg_namespace'), ''), " \
	"(SELECT coalesce(pg_catalog.max(coalesce(r.status, 'hidden')), 'none') FROM pg_catalog.pg_stat_wal_receiver r), " \
	"coalesce((SELECT pg_catalog.substring(r.conninfo, '(?:^|\\s)application_name=''?([^\\s'']+)') FROM pg_catalog.pg_stat_wal_receiver r), " \
	"nullif(pg_catalog.current_setting('cluster_name'), ''), 'walreceiver'), " \
	"pg_catalog.has_function_privilege('pg_catalog.pg_promote(boolean, integer)', 'EXECUTE')"

enum
{
	CLONE_IN_RECOVERY,
	CLONE_MARK,
	CLONE_RECEIVER,
	CLONE_APPLICATION,
	CLONE_MAY_PROMOTE,
	CLONE_COLUMNS
};

/* What a standby has from its primary: it must be the same; not everybody may ask. */
#define SYSTEM_SQL "SELECT system_identifier FROM pg_catalog.pg_control_system()"

/* And what it has from its own C library. */
#define COLLATION_SQL \
	"SELECT coalesce(pg_catalog.pg_database_collation_actual_version(d.oid), '') " \
	"FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()"

/* Would the primary wait for it for ever? */
#define SYNCHRONOUS_SQL \
	"SELECT pg_catalog.bool_and(r.sync_state OPERATOR(pg_catalog.=) ANY ('{sync,quorum}'::text[])) FROM pg_catalog.pg_stat_replication r " \
	"WHERE r.application_name OPERATOR(pg_catalog.=) %s"

/* Both nodes' answers to a question, if they may be had, must be the same. */
static void
compare(CzConn *primary, CzConn *clone, const char *sql, const char *what)
{
	char	   *theirs = CzConnAsk(primary, sql);
	char	   *its = CzConnAsk(clone, sql);

	if (theirs != NULL && its != NULL && strcmp(theirs, its) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s of node \"%s\" differs from that of node \"%s\"", what,
						clone->node_name, primary->node_name),
				 errdetail("They are %s and %s.", its, theirs)));
}

static void
check_answers(char **answers, const CzNode *clone, const CzNode *primary)
{
	char	   *identity = CzMarkIdentity(answers[CLONE_MARK]);

	if (identity == NULL || strcmp(identity, clone->clone_of) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the server at \"%s:%d\" is not a copy of node \"%s\"", clone->host,
						clone->port, primary->name),
				 errdetail("It does not have the mark of that node.")));
	if (strcmp(answers[CLONE_IN_RECOVERY], "t") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the server at \"%s:%d\" is not in recovery", clone->host, clone->port),
				 errdetail("It is no standby, or it has been promoted already, and may lack what has been written to node \"%s\" since.",
						   primary->name),
				 errhint("Make another standby, and add it as a clone.")));
	if (strcmp(answers[CLONE_RECEIVER], "hidden") != 0 &&
		strcmp(answers[CLONE_RECEIVER], "streaming") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the server at \"%s:%d\" does not stream from node \"%s\"", clone->host,
						clone->port, primary->name),
				 errdetail("The state of its WAL receiver is \"%s\".", answers[CLONE_RECEIVER])));
}

/*
 * CzCloneCheck
 *		See clones_int.h.
 */
void
CzCloneCheck(const CzNode *clone, const CzNode *primary, bool *may_promote)
{
	CzEndpoint	endpoint = *CzEndpointGet(clone->server_oid, GetUserId());
	CzConn	   *to_primary = CzConnAcquire(CzEndpointGet(primary->server_oid, GetUserId()));
	CzConn	   *conn;
	PGresult   *res;
	char	   *answers[CLONE_COLUMNS];
	char	   *is_synchronous;
	int			i;

	/* who it is, is asked here */
	endpoint.identity = NULL;
	conn = CzConnAcquire(&endpoint);
	res = CzConnQuery(conn, CLONE_SQL, 1, 1, CLONE_COLUMNS);
	for (i = 0; i < CLONE_COLUMNS; i++)
		answers[i] = pstrdup(PQgetvalue(res, 0, i));
	PQclear(res);
	check_answers(answers, clone, primary);
	compare(to_primary, conn, SYSTEM_SQL, "system identifier");
	compare(to_primary, conn, COLLATION_SQL, "collation version");
	is_synchronous = CzConnAsk(to_primary, psprintf(SYNCHRONOUS_SQL,
											  quote_literal_cstr(answers[CLONE_APPLICATION])));
	if (is_synchronous != NULL && strcmp(is_synchronous, "t") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the server at \"%s:%d\" is a synchronous standby", clone->host,
						clone->port),
				 errdetail("When it is promoted, commits on node \"%s\" would wait for it for ever.",
						   primary->name),
				 errhint("Take it out of synchronous_standby_names there.")));
	if (may_promote != NULL)
		*may_promote = strcmp(answers[CLONE_MAY_PROMOTE], "t") == 0;
	CzConnRelease(conn);
	CzConnRelease(to_primary);
}

static DefElem *
make_option(const char *name, const char *value)
{
	return makeDefElem(pstrdup(name), (Node *) makeString(pstrdup(value)), -1);
}

/* Options of the primary's server that the clone's has not. */
static bool
is_own_option(const char *name)
{
	static const char *const own[] = {"host", "hostaddr", "port", "node_id", "state", "checked",
	"should_have_shards", "clone_of"};
	int			i;

	for (i = 0; i < lengthof(own); i++)
	{
		if (strcmp(name, own[i]) == 0)
			return true;
	}
	return false;
}

static Oid
create_server(const CzNode *primary, const char *identity, const char *host, int port)
{
	CreateForeignServerStmt *stmt = makeNode(CreateForeignServerStmt);
	ObjectAddress address;
	int			node_id;
	ListCell   *lc;

	do
	{
		node_id = (int) nextval_internal(CzCatalogRelid("node_id_seq"), true);
		stmt->servername = psprintf("node_%d", node_id);
	} while (OidIsValid(get_foreign_server_oid(stmt->servername, true)));
	stmt->fdwname = pstrdup("cz_fdw");
	stmt->options = list_make5(make_option("host", host),
							   make_option("port", psprintf("%d", port)),
							   make_option("node_id", psprintf("%d", node_id)),
							   make_option("state", "disabled"),
							   make_option("should_have_shards", "false"));
	stmt->options = lappend(stmt->options, make_option("clone_of", identity));
	foreach(lc, GetForeignServer(primary->server_oid)->options)
	{
		DefElem    *def = lfirst(lc);

		if (!is_own_option(def->defname))
			stmt->options = lappend(stmt->options, make_option(def->defname, defGetString(def)));
	}
	address = CreateForeignServer(stmt);
	CommandCounterIncrement();
	return address.objectId;
}

/* Roles get there as they get to the primary. */
static void
copy_mappings(Oid from_oid, const char *to_name)
{
	Relation	rel = table_open(UserMappingRelationId, AccessShareLock);
	List	   *stmts = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	ScanKeyInit(&key, Anum_pg_user_mapping_umserver, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(from_oid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			user_oid = ((Form_pg_user_mapping) GETSTRUCT(tuple))->umuser;
		CreateUserMappingStmt *stmt = makeNode(CreateUserMappingStmt);
		RoleSpec   *role = makeNode(RoleSpec);
		bool		isnull;
		Datum		options = heap_getattr(tuple, Anum_pg_user_mapping_umoptions,
										   RelationGetDescr(rel), &isnull);

		role->roletype = OidIsValid(user_oid) ? ROLESPEC_CSTRING : ROLESPEC_PUBLIC;
		role->rolename = OidIsValid(user_oid) ? GetUserNameFromId(user_oid, false) : NULL;
		role->location = -1;
		stmt->user = role;
		stmt->servername = pstrdup(to_name);
		stmt->options = isnull ? NIL : untransformRelOptions(options);
		stmts = lappend(stmts, stmt);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	foreach(lc, stmts)
		(void) CreateUserMapping(lfirst(lc));
	CommandCounterIncrement();
}

static int
add_clone(const char *host, int port, const CzNode *primary)
{
	const char *identity = CzFindOption(GetForeignServer(primary->server_oid)->options,
										"identity");
	CzNode	   *node;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to add a node")));
	CzTxnCheckCoordinator();
	CzNodesLock();
	if (primary->clone_of != NULL || !primary->is_active || !primary->is_checked)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node at \"%s:%d\" is not a worker in use", primary->host,
						primary->port)));
	if (identity == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" has no identity", primary->name),
				 errdetail("Its user mapping's role must own the schema " CZ_SHARD_SCHEMA " there.")));
	node = CzNodeFind(host, port, primary->dbname);
	if (node != NULL && node->clone_of != NULL && strcmp(node->clone_of, identity) == 0)
	{
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("node at \"%s:%d\" already exists, skipping", host, port)));
		return node->node_id;
	}
	if (node != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("there is a node at \"%s:%d\" already", host, port)));
	node = CzNodeGet(create_server(primary, identity, host, port));
	copy_mappings(primary->server_oid, node->name);
	CzCloneCheck(node, primary, NULL);
	return node->node_id;
}

/*
 * citus_add_clone_node(replica_hostname text, replica_port int, primary_hostname text,
 *		primary_port int)
 *		Register a standby of a worker.
 */
Datum
citus_add_clone_node(PG_FUNCTION_ARGS)
{
	char	   *host;
	char	   *primary_host;
	int			port;
	int			primary_port;
	CzNode	   *primary;

	CzGetAddress(fcinfo, 0, &host, &port);
	CzGetAddress(fcinfo, 2, &primary_host, &primary_port);
	primary = CzNodeFind(primary_host, primary_port, NULL);
	if (primary == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node at \"%s:%d\" does not exist", primary_host, primary_port)));
	PG_RETURN_INT32(add_clone(host, port, primary));
}

/*
 * CzCloneNodeOfId
 *		See clones_int.h.
 */
CzNode *
CzCloneNodeOfId(FunctionCallInfo fcinfo, int arg)
{
	CzNode	   *node;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("node id cannot be NULL")));
	node = CzNodeOfId(PG_GETARG_INT32(arg));
	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node %d does not exist", PG_GETARG_INT32(arg))));
	return node;
}

/*
 * citus_add_clone_node_with_nodeid(replica_hostname text, replica_port int, primary_nodeid int)
 */
Datum
citus_add_clone_node_with_nodeid(PG_FUNCTION_ARGS)
{
	char	   *host;
	int			port;

	CzGetAddress(fcinfo, 0, &host, &port);
	PG_RETURN_INT32(add_clone(host, port, CzCloneNodeOfId(fcinfo, 2)));
}

/*
 * CzCloneCheckIs
 *		See clones_int.h.
 */
void
CzCloneCheckIs(const CzNode *node)
{
	if (node->clone_of == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node at \"%s:%d\" is not a clone", node->host, node->port)));
}

/*
 * citus_remove_clone_node(nodename text, nodeport int)
 *		Forget a clone; the standby is not touched.
 */
Datum
citus_remove_clone_node(PG_FUNCTION_ARGS)
{
	CzNode	   *node = CzNodeGetOwn(fcinfo, true);

	CzCloneCheckIs(node);
	CzNodeDropServer(node->server_oid);
	PG_RETURN_VOID();
}

/*
 * citus_remove_clone_node_with_nodeid(clone_nodeid int)
 */
Datum
citus_remove_clone_node_with_nodeid(PG_FUNCTION_ARGS)
{
	CzNode	   *node = CzCloneNodeOfId(fcinfo, 0);

	CzNodeCheckOwner(node);
	CzNodesLock();
	CzCloneCheckIs(node);
	CzNodeDropServer(node->server_oid);
	PG_RETURN_VOID();
}

/*
 * CzCloneRefuse
 *		See cluster_int.h.
 */
void
CzCloneRefuse(const CzNode *node, const char *verb)
{
	const char *identity = CzFindOption(GetForeignServer(node->server_oid)->options, "identity");
	ListCell   *lc;

	if (node->clone_of != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot %s node at \"%s:%d\": it is a clone", verb, node->host,
						node->port),
				 errhint("Use citus_remove_clone_node().")));
	foreach(lc, identity == NULL ? NIL : CzNodeList(false))
	{
		CzNode	   *clone = lfirst(lc);

		if (clone->clone_of != NULL && strcmp(clone->clone_of, identity) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot %s node at \"%s:%d\": the node at \"%s:%d\" is a clone of it",
							verb, node->host, node->port, clone->host, clone->port),
					 errhint("Use citus_remove_clone_node() first.")));
	}
}

/*
 * CzCloneTakePlace
 *		See cluster_int.h.
 */
void
CzCloneTakePlace(const CzNode *node, const char *host, int port)
{
	const char *identity = CzFindOption(GetForeignServer(node->server_oid)->options, "identity");
	CzNode	   *clone = CzNodeFind(host, port, node->dbname);

	if (clone != NULL && clone->clone_of != NULL && identity != NULL &&
		strcmp(clone->clone_of, identity) == 0)
		CzNodeDropServer(clone->server_oid);
}
