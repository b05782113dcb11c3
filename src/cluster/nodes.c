/*-------------------------------------------------------------------------
 *
 * nodes.c
 *	  Workers join and leave by function, under Citus' names.
 *
 * A worker is a foreign server, so these do what CREATE SERVER, CREATE USER
 * MAPPING, ALTER SERVER and DROP SERVER do.  citus_add_node maps every local
 * role to the role that calls it: that is what Citus' users expect, and it
 * takes a superuser.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/sequence.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "postmaster/postmaster.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/settings.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(citus_add_node);
PG_FUNCTION_INFO_V1(citus_set_node_property);
PG_FUNCTION_INFO_V1(citus_get_active_worker_nodes);
PG_FUNCTION_INFO_V1(citus_check_cluster_node_health);

#define MAX_PORT 65535

/*
 * CzGetAddress
 *		See cluster_int.h.
 */
void
CzGetAddress(FunctionCallInfo fcinfo, int arg, char **host, int *port)
{
	if (PG_ARGISNULL(arg) || PG_ARGISNULL(arg + 1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("node name and port cannot be NULL")));
	*host = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	*port = PG_GETARG_INT32(arg + 1);
	if ((*host)[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node name cannot be empty")));
	if (*port < 1 || *port > MAX_PORT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("port %d is out of range", *port),
				 errdetail("Ports are between 1 and %d.", MAX_PORT)));
}

/*
 * CzNodeGetOwn
 *		See cluster_int.h.
 */
CzNode *
CzNodeGetOwn(FunctionCallInfo fcinfo, bool lock)
{
	char	   *host;
	int			port;
	CzNode	   *node;

	PreventCommandIfReadOnly(psprintf("%s()", get_func_name(fcinfo->flinfo->fn_oid)));
	CzGetAddress(fcinfo, 0, &host, &port);
	node = CzNodeFind(host, port, NULL);
	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node at \"%s:%d\" does not exist", host, port)));
	CzNodeCheckOwner(node);
	if (lock)
		CzNodesLock();
	return CzNodeGet(node->server_oid);
}

/*
 * CzNodeCheckOwner
 *		See cluster_int.h.
 */
void
CzNodeCheckOwner(const CzNode *node)
{
	if (!has_privs_of_role(GetUserId(), GetForeignServer(node->server_oid)->owner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, node->name);
}

/*
 * CzNodesLock
 *		See cluster_int.h.
 */
void
CzNodesLock(void)
{
	LockDatabaseObject(ForeignDataWrapperRelationId, CzFdwOid(), 0,
					   ShareUpdateExclusiveLock);
}

static DefElem *
make_option(const char *name, const char *value)
{
	return makeDefElem(pstrdup(name), (Node *) makeString(pstrdup(value)), -1);
}

/* CREATE SERVER node_<id> and its mapping for PUBLIC. */
static Oid
create_server(const char *host, int port, int *node_id)
{
	CreateForeignServerStmt *server = makeNode(CreateForeignServerStmt);
	CreateUserMappingStmt *mapping = makeNode(CreateUserMappingStmt);
	RoleSpec   *everybody = makeNode(RoleSpec);
	Oid			sequence_oid = CzCatalogRelid("node_id_seq");
	ObjectAddress address;
	char	   *name;

	do
	{
		*node_id = (int) nextval_internal(sequence_oid, true);
		name = psprintf("node_%d", *node_id);
	} while (OidIsValid(get_foreign_server_oid(name, true)));

	server->servername = name;
	server->fdwname = pstrdup("cz_fdw");
	server->options = list_make4(make_option("host", host),
								 make_option("port", psprintf("%d", port)),
								 make_option("dbname", get_database_name(MyDatabaseId)),
								 make_option("node_id", psprintf("%d", *node_id)));
	address = CreateForeignServer(server);
	CommandCounterIncrement();

	everybody->roletype = ROLESPEC_PUBLIC;
	everybody->location = -1;
	mapping->user = everybody;
	mapping->servername = name;
	mapping->options = list_make2(make_option("user",
											  GetUserNameFromId(GetUserId(), false)),
								  make_option("password_required", "false"));
	(void) CreateUserMapping(mapping);
	CommandCounterIncrement();
	return address.objectId;
}

/*
 * CzNodeAdd
 *		See cluster_int.h.
 */
bool
CzNodeAdd(const char *host, int port, int *node_id)
{
	CzNode	   *node;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to add a node"),
				 errhint("Use CREATE SERVER and CREATE USER MAPPING.")));

	/* two sessions that add the same node make one */
	CzNodesLock();
	node = CzNodeFind(host, port, get_database_name(MyDatabaseId));
	if (node != NULL)
	{
		*node_id = node->node_id;
		return false;
	}
	CzNodeCheck(create_server(host, port, node_id));
	return true;
}

/*
 * citus_add_node
 *		Make a worker of a database server; its database has the name of ours.
 *		One that is there already is left alone, as Citus does.
 */
Datum
citus_add_node(PG_FUNCTION_ARGS)
{
	char	   *host;
	int			port;
	int			node_id;

	PreventCommandIfReadOnly("citus_add_node()");
	CzGetAddress(fcinfo, 0, &host, &port);
	if (!PG_ARGISNULL(2) && PG_GETARG_INT32(2) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the coordinator cannot be added as a node"),
				 errdetail("It holds metadata and reference tables only.")));
	if (!PG_ARGISNULL(3))
	{
		char	   *role = DatumGetCString(DirectFunctionCall1(enum_out, PG_GETARG_DATUM(3)));

		if (strcmp(role, "primary") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("node role \"%s\" is not supported", role)));
	}
	if (!PG_ARGISNULL(4) && strcmp(NameStr(*PG_GETARG_NAME(4)), "default") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("node cluster \"%s\" is not supported",
						NameStr(*PG_GETARG_NAME(4)))));
	if (!CzNodeAdd(host, port, &node_id))
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("node at \"%s:%d\" already exists, skipping", host, port)));
	PG_RETURN_INT32(node_id);
}

/*
 * citus_set_node_property
 *		shouldhaveshards: whether new shards are placed on the worker.
 */
Datum
citus_set_node_property(PG_FUNCTION_ARGS)
{
	CzNode	   *node = CzNodeGetOwn(fcinfo, true);
	char	   *property;

	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("property and value cannot be NULL")));
	property = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (strcmp(property, "shouldhaveshards") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node property \"%s\" does not exist", property),
				 errhint("The only property is \"shouldhaveshards\".")));
	CzNodeSetOption(node->server_oid, "should_have_shards",
					PG_GETARG_BOOL(3) ? NULL : "false");
	PG_RETURN_VOID();
}

/*
 * citus_get_active_worker_nodes
 *		Name and port of every worker that is not disabled.
 */
Datum
citus_get_active_worker_nodes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, CzNodeList(true))
	{
		CzNode	   *node = (CzNode *) lfirst(cell);
		Datum		values[2];
		bool		nulls[2] = {0};

		values[0] = CStringGetTextDatum(node->host);
		values[1] = Int64GetDatum(node->port);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * citus_check_cluster_node_health
 *		Can this server connect to each worker?  Vanilla workers don't connect
 *		to each other, so there is one row a worker.
 */
Datum
citus_check_cluster_node_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *nodes = CzNodeList(true);
	List	   *commands = NIL;
	ListCell   *cell;
	ListCell   *cell2;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, nodes)
	{
		CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

		command->server_oid = ((CzNode *) lfirst(cell))->server_oid;
		command->sql = "SELECT 1";
		/* without a user mapping nobody knows */
		(void) CzEndpointGet(command->server_oid, GetUserId());
		commands = lappend(commands, command);
	}
	CzOutsideLook(commands, GetUserId());
	forboth(cell, nodes, cell2, commands)
	{
		CzNode	   *node = (CzNode *) lfirst(cell);
		Datum		values[5];
		bool		nulls[5] = {0};

		values[0] = CStringGetTextDatum("localhost");
		values[1] = Int32GetDatum(PostPortNumber);
		values[2] = CStringGetTextDatum(node->host);
		values[3] = Int32GetDatum(node->port);
		values[4] = BoolGetDatum(((CzOutsideCommand *) lfirst(cell2))->is_ok);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
