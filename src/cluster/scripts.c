/*-------------------------------------------------------------------------
 *
 * scripts.c
 *	  Functions that scripts made for Citus call and that have little or nothing to do
 *	  here: they work, or a NOTICE says why nothing is needed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/gone.h"
#include "cluster_int.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(cz_distributed_table);
PG_FUNCTION_INFO_V1(cz_colocated_table);
PG_FUNCTION_INFO_V1(citus_version);
PG_FUNCTION_INFO_V1(create_distributed_function);
PG_FUNCTION_INFO_V1(truncate_local_data_after_distributing_table);
PG_FUNCTION_INFO_V1(alter_table_set_access_method);
PG_FUNCTION_INFO_V1(fix_partition_shard_index_names);
PG_FUNCTION_INFO_V1(fix_all_partition_shard_index_names);
PG_FUNCTION_INFO_V1(citus_set_coordinator_host);
PG_FUNCTION_INFO_V1(start_metadata_sync_to_all_nodes);
PG_FUNCTION_INFO_V1(citus_stat_tenants);
PG_FUNCTION_INFO_V1(citus_stat_tenants_reset);
PG_FUNCTION_INFO_V1(citus_stat_statements);
PG_FUNCTION_INFO_V1(citus_stat_statements_reset);

static void
nothing_to_do(const char *function, const char *why)
{
	ereport(NOTICE,
			(errmsg("%s does nothing", function),
			 errdetail("%s", why)));
}

/*
 * CzCheckDistributed
 *		See cluster_int.h.
 */
const CzTable *
CzCheckDistributed(Oid relid)
{
	const CzTable *table = CzTableGet(relid);

	if (get_rel_relkind(relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", CzNameOf(relid))));
	return table;
}

/*
 * cz_distributed_table(relation regclass)
 *		The same; 55000 if it is not distributed.
 */
Datum
cz_distributed_table(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(CzCheckDistributed(PG_GETARG_OID(0))->relid);
}

/*
 * cz_colocated_table(relation regclass, other regclass)
 *		The other one; 22023 if the two are not colocated.
 */
Datum
cz_colocated_table(PG_FUNCTION_ARGS)
{
	const CzTable *table = CzCheckDistributed(PG_GETARG_OID(0));
	const CzTable *other = CzCheckDistributed(PG_GETARG_OID(1));

	if (table->kind != other->kind || table->colocation_id != other->colocation_id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tables \"%s\" and \"%s\" are not colocated",
						CzNameOf(table->relid), CzNameOf(other->relid))));
	PG_RETURN_OID(other->relid);
}

/*
 * citus_version
 */
Datum
citus_version(PG_FUNCTION_ARGS)
{
	Oid			extension = get_extension_oid("cz_fdw", true);
	char	   *name = NULL;
	char	   *key = OidIsValid(extension) ? CzExtensionOwnKey(extension, &name) : NULL;
	char	   *version = key ? strrchr(key, '/') : NULL;

	PG_RETURN_TEXT_P(cstring_to_text(psprintf("cz_fdw %s on PostgreSQL %s",
											  version ? version + 1 : "", PG_VERSION)));
}

/* Does a function have an argument of that name, or "$n"? */
static bool
has_argument(Oid function, const char *name)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			nargs;
	bool		found = false;
	int			i;

	if (!HeapTupleIsValid(tup))
		CzObjectIsGone("function", function);
	nargs = get_func_arg_info(tup, &types, &names, &modes);
	if (name[0] == '$')
		found = atoi(name + 1) >= 1 && atoi(name + 1) <= ((Form_pg_proc) GETSTRUCT(tup))->pronargs;
	for (i = 0; names != NULL && i < nargs && !found; i++)
		found = strcmp(names[i], name) == 0 && (modes == NULL || modes[i] != PROARGMODE_TABLE);
	ReleaseSysCache(tup);
	return found;
}

/* Workers that a function can be created on. */
static List *
usable_servers(void)
{
	List	   *servers = NIL;
	ListCell   *lc;

	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);

		if (node->is_checked)
			servers = lappend_oid(servers, node->server_oid);
	}
	return servers;
}

/* Create it there; why it cannot be, if that is a matter of the function. */
static char *
propagate_function(Oid function)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ObjectAddress address;
	char	   *volatile why = NULL;

	ObjectAddressSet(address, ProcedureRelationId, function);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		CzPropagateAddresses(list_make1(&address), usable_servers(), GetUserId());
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED &&
			error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
			ReThrowError(error);
		why = error->detail ? error->detail : error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return why;
}

/*
 * create_distributed_function(function_name regprocedure, distribution_arg_name text,
 *		colocate_with text, force_delegation boolean)
 *		Create it on the workers, so that it can be used there.  Calls run here.
 */
Datum
create_distributed_function(PG_FUNCTION_ARGS)
{
	Oid			function;
	char	   *why;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "function_name")));
	function = PG_GETARG_OID(0);
	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	if (!function_ownercheck_compat(function, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, get_func_name(function));
	if (!PG_ARGISNULL(1) && !has_argument(function, text_to_cstring(PG_GETARG_TEXT_PP(1))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function \"%s\" has no argument \"%s\"", get_func_name(function),
						text_to_cstring(PG_GETARG_TEXT_PP(1)))));
	PreventCommandIfReadOnly("create_distributed_function()");

	why = propagate_function(function);
	if (why != NULL)
		ereport(NOTICE,
				(errmsg("function \"%s\" stays on the coordinator", get_func_name(function)),
				 errdetail("%s", why)));
	else
		ereport(NOTICE,
				(errmsg("function \"%s\" has been created on the workers", get_func_name(function)),
				 errdetail("Calls of it run on the coordinator; its statements go to the workers.")));
	PG_RETURN_VOID();
}

/*
 * truncate_local_data_after_distributing_table(function_name regclass)
 */
Datum
truncate_local_data_after_distributing_table(PG_FUNCTION_ARGS)
{
	const CzTable *table = CzCheckDistributed(PG_GETARG_OID(0));

	nothing_to_do("truncate_local_data_after_distributing_table()",
				  table->kind == CZ_TABLE_REFERENCE ?
				  "A reference table's rows on the coordinator are in use." :
				  "A distributed table has no rows on the coordinator.");
	PG_RETURN_VOID();
}

/*
 * fix_partition_shard_index_names(table_name regclass)
 */
Datum
fix_partition_shard_index_names(PG_FUNCTION_ARGS)
{
	(void) CzCheckDistributed(PG_GETARG_OID(0));
	nothing_to_do("fix_partition_shard_index_names()", "Names of indexes of shards do not meet.");
	PG_RETURN_VOID();
}

/*
 * fix_all_partition_shard_index_names
 */
Datum
fix_all_partition_shard_index_names(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	nothing_to_do("fix_all_partition_shard_index_names()", "Names of indexes of shards do not meet.");
	return (Datum) 0;
}

/*
 * citus_set_coordinator_host(host text, port int, node_role noderole, node_cluster name)
 */
Datum
citus_set_coordinator_host(PG_FUNCTION_ARGS)
{
	nothing_to_do("citus_set_coordinator_host()", "Workers do not connect to the coordinator.");
	PG_RETURN_VOID();
}

/*
 * start_metadata_sync_to_all_nodes
 */
Datum
start_metadata_sync_to_all_nodes(PG_FUNCTION_ARGS)
{
	nothing_to_do("start_metadata_sync_to_all_nodes()", "Workers have no metadata.");
	PG_RETURN_BOOL(true);
}

/*
 * citus_stat_tenants(return_all_tenants boolean)
 */
Datum
citus_stat_tenants(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	ereport(NOTICE,
			(errmsg("statements are not counted by tenant"),
			 errhint("pg_stat_statements has them without the values of their parameters.")));
	return (Datum) 0;
}

/*
 * citus_stat_tenants_reset
 */
Datum
citus_stat_tenants_reset(PG_FUNCTION_ARGS)
{
	nothing_to_do("citus_stat_tenants_reset()", "Statements are not counted by tenant.");
	PG_RETURN_VOID();
}

/*
 * alter_table_set_access_method(table_name regclass, access_method text)
 */
Datum
alter_table_set_access_method(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *method = text_to_cstring(PG_GETARG_TEXT_PP(1));
	const CzTable *table;

	CzCheckTableOwner(relid);
	table = CzTableGet(relid);
	/* a parent has none; its shards are made with the workers' default */
	if (table != NULL && table->key_attno > 0 && strcmp(method, "heap") == 0)
		nothing_to_do("alter_table_set_access_method()", "The shards are of access method heap.");
	else
		CzRunSql(psprintf("ALTER TABLE %s SET ACCESS METHOD %s", CzRelationName(relid),
						 quote_identifier(method)));
	PG_RETURN_VOID();
}

/* The schema of pg_stat_statements, quoted; NULL: it is not in this database. */
static const char *
statements_schema(void)
{
	Oid			extension = get_extension_oid("pg_stat_statements", true);
	char	   *schema = NULL;

	if (OidIsValid(extension))
		(void) CzExtensionOwnKey(extension, &schema);
	return schema ? quote_identifier(schema) : NULL;
}

static void
no_statements(void)
{
	ereport(NOTICE,
			(errmsg("extension \"pg_stat_statements\" is not installed"),
			 errdetail("What statements there have been is its knowledge.")));
}

/*
 * citus_stat_statements
 *		Statements of this database, as the caller may see them in pg_stat_statements.
 */
Datum
citus_stat_statements(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *schema = statements_schema();
	uint64		i;

	InitMaterializedSRF(fcinfo, 0);
	if (schema == NULL)
	{
		no_statements();
		return (Datum) 0;
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf("SELECT s.queryid, s.userid, s.dbid, s.query, NULL::pg_catalog.int8,"
							 " NULL::pg_catalog.text, s.calls FROM %s.pg_stat_statements s"
							 " WHERE s.dbid OPERATOR(pg_catalog.=) %u::pg_catalog.oid",
							 schema, MyDatabaseId), true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_stat_statements");
	for (i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	return (Datum) 0;
}

/*
 * citus_stat_statements_reset
 */
Datum
citus_stat_statements_reset(PG_FUNCTION_ARGS)
{
	const char *schema = statements_schema();

	if (schema == NULL)
		no_statements();
	else
		CzRunSql(psprintf("SELECT %s.pg_stat_statements_reset(0, %u, 0)", schema, MyDatabaseId));
	PG_RETURN_VOID();
}
