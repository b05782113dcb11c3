/*-------------------------------------------------------------------------
 *
 * sizes.c
 *	  How large shards are, asked of the workers: one query a worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "cluster_int.h"
#include "cz/errors.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(cz_shard_sizes);
PG_FUNCTION_INFO_V1(citus_table_size);
PG_FUNCTION_INFO_V1(citus_relation_size);
PG_FUNCTION_INFO_V1(citus_total_relation_size);

#define SIZES_SQL \
	"SELECT c.relname, pg_catalog.pg_total_relation_size(c.oid) " \
	"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " \
	"WHERE n.nspname = '" CZ_SHARD_SCHEMA "' AND c.relkind = 'r'"

/*
 * Run a query on a worker; NULL if it can't be reached or fails, unless
 * must_work.  The caller frees the result with PQclear.
 */
static PGresult *
ask_worker(Oid server_oid, const char *sql, int ncolumns, bool must_work)
{
	CzEndpoint *endpoint = must_work ? CzEndpointGet(server_oid, GetUserId())
		: CzEndpointTryGet(server_oid, GetUserId());
	CzConn	   *conn;
	char	   *message;
	PGresult   *res;

	if (endpoint == NULL || (!must_work && CzHealthIsSuspect(server_oid)))
		return NULL;
	/* shards that this transaction has made are seen through its connection */
	conn = CzTxnConnIfAny(server_oid, GetUserId());
	if (conn != NULL)
		return CzConnQuery(conn, sql, 0, -1, ncolumns);

	conn = must_work ? CzConnAcquire(endpoint) : CzConnTryAcquire(endpoint, &message);
	if (conn == NULL)
		return NULL;
	if (must_work)
		res = CzConnQuery(conn, sql, 0, -1, ncolumns);
	else
	{
		res = CzConnTryExec(conn, sql);
		if (res != NULL && (PQresultStatus(res) != PGRES_TUPLES_OK ||
							PQnfields(res) != ncolumns))
		{
			PQclear(res);
			res = NULL;
		}
	}
	CzConnRelease(conn);
	return res;
}

/* Not inlined, nor is its caller: gcc would warn of setjmp near a loop. */
static pg_noinline void
put_rows(ReturnSetInfo *rsinfo, Oid server_oid, PGresult *res)
{
	int			i;

	for (i = 0; i < PQntuples(res); i++)
	{
		Datum		values[3];
		bool		nulls[3] = {0};

		values[0] = CStringGetTextDatum(quote_qualified_identifier(CZ_SHARD_SCHEMA,
																   PQgetvalue(res, i, 0)));
		values[1] = ObjectIdGetDatum(server_oid);
		values[2] = Int64GetDatum(pg_strtoint64(PQgetvalue(res, i, 1)));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* Rows of one worker; consumes res. */
static pg_noinline void
add_sizes(ReturnSetInfo *rsinfo, Oid server_oid, PGresult *res)
{
	PG_TRY();
	{
		put_rows(rsinfo, server_oid, res);
	}
	PG_CATCH();
	{
		PQclear(res);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQclear(res);
}

/*
 * cz_shard_sizes
 *		Every table in cz_shards on every active worker with its total size.
 *		Workers that cannot be asked are left out: views must not fail.
 */
Datum
cz_shard_sizes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, CzNodeList(true))
	{
		CzNode	   *node = (CzNode *) lfirst(cell);
		PGresult   *res = ask_worker(node->server_oid, SIZES_SQL, 2, false);

		if (res == NULL)
			continue;
		add_sizes(rsinfo, node->server_oid, res);
	}
	return (Datum) 0;
}

/* Sum of a size function over the placements that a worker has of a table. */
static bool
worker_size(const CzTable *table, Oid server_oid, const char *function, bool must_work,
			int64 *size)
{
	StringInfoData sql;
	PGresult   *res;
	double		bytes;
	bool		found = false;
	int			i;
	int			j;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT coalesce(sum(pg_catalog.%s(n%s)), 0)::bigint FROM unnest(ARRAY[",
					 function, table->is_partitioned ? ".relid" : "");
	for (i = 0; i < table->nshards; i++)
	{
		for (j = 0; j < table->shards[i].nplacements; j++)
		{
			if (table->shards[i].server_oids[j] != server_oid)
				continue;
			appendStringInfo(&sql, "%s%s", found ? ", " : "",
							 quote_literal_cstr(table->shards[i].remote_qualified));
			found = true;
		}
	}
	if (!found)
		return true;
	/* with its partitions, if the shard has some */
	appendStringInfoString(&sql, table->is_partitioned ?
						   "]) s, pg_catalog.pg_partition_tree(pg_catalog.to_regclass(s)) n" :
						   "]) s, pg_catalog.to_regclass(s) n");
	res = ask_worker(server_oid, sql.data, 1, must_work);
	if (res == NULL)
		return false;
	found = CzResultFigure(res, 0, 0, &bytes);
	PQclear(res);
	if (!found && must_work)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("a node returned no valid size of table \"%s\"",
						get_rel_name(table->relid))));
	if (found)
		*size += (int64) bytes;
	return found;
}

static Datum
table_size(FunctionCallInfo fcinfo, const char *function)
{
	Oid			relid = PG_GETARG_OID(0);
	bool		must_work = PG_NARGS() < 2 || PG_GETARG_BOOL(1);
	const CzTable *table = CzTableGet(relid);
	int64		size = 0;
	ListCell   *cell;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot calculate the size because relation \"%s\" is not distributed",
						get_rel_name(relid) ? get_rel_name(relid) : "?")));
	foreach(cell, CzNodeList(true))
	{
		CHECK_FOR_INTERRUPTS();
		if (!worker_size(table, ((CzNode *) lfirst(cell))->server_oid, function, must_work,
						 &size))
			PG_RETURN_NULL();
	}
	PG_RETURN_INT64(size);
}

/*
 * citus_table_size, citus_relation_size, citus_total_relation_size
 *		Bytes that a table takes on all workers, replicas included: without
 *		indexes, of the main fork only, with indexes.
 */
Datum
citus_table_size(PG_FUNCTION_ARGS)
{
	return table_size(fcinfo, "pg_table_size");
}

Datum
citus_relation_size(PG_FUNCTION_ARGS)
{
	return table_size(fcinfo, "pg_relation_size");
}

Datum
citus_total_relation_size(PG_FUNCTION_ARGS)
{
	return table_size(fcinfo, "pg_total_relation_size");
}
