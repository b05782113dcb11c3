/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  citus_update_table_statistics: size, rows, least and greatest key of every
 *	  shard, as cz.shard_statistics keeps them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/transaction.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(citus_update_table_statistics);

/* One shard's figures from its first placement that answers. */
static struct pg_result *
ask_shard(const CzShard *shard, Oid user_oid, const char *sql)
{
	char	   *message = NULL;
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		CzConn	   *conn;
		struct pg_result *res;

		if (i < shard->nplacements - 1 &&
			!CzTxnWorkerIsClear(shard->server_oids[i], user_oid))
			continue;
		conn = CzTxnReadConn(shard->server_oids[i], user_oid);
		if (conn)
			return CzConnQuery(conn, sql, 1, 1, 4);
		conn = CzConnTryAcquire(CzEndpointGet(shard->server_oids[i], user_oid), &message);
		if (conn == NULL)
			continue;
		res = CzConnQuery(conn, sql, 1, 1, 4);
		CzConnRelease(conn);
		return res;
	}
	ereport(WARNING,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not reach any placement of shard " INT64_FORMAT, shard->shard_id),
			 message ? errdetail_internal("%s", message) : 0));
	return NULL;
}

/*
 * The least and the greatest key of a shard as two expressions of a worker's query, NULLs
 * for a table without key.  ORDER BY rather than min(): not every type that has an order
 * has min().
 */
static char *
extremes_sql(const CzTable *table, const CzShard *shard)
{
	const char *key;
	const char *from = shard->remote_qualified;

	if (table->key_attno <= 0 ||
		!OidIsValid(lookup_type_cache(table->key_type, TYPECACHE_LT_OPR)->lt_opr))
		return "NULL::pg_catalog.text, NULL::pg_catalog.text";
	key = quote_identifier(table->column_names[table->key_attno - 1]);
	return psprintf("(SELECT s.%s::pg_catalog.text FROM %s s WHERE s.%s IS NOT NULL ORDER BY s.%s LIMIT 1),"
					" (SELECT s.%s::pg_catalog.text FROM %s s WHERE s.%s IS NOT NULL ORDER BY s.%s DESC LIMIT 1)",
					key, from, key, key, key, from, key, key);
}

/*
 * CzShardExtremes
 *		The least and the greatest key of a shard as its worker prints them; NULL, NULL: it
 *		has none.
 *
 * Errors: 08001 if no placement can be reached.
 */
void
CzShardExtremes(const CzTable *table, int index, char **min, char **max)
{
	const CzShard *shard = &table->shards[index];
	struct pg_result *res = ask_shard(shard, CzRelationOwner(table->relid),
									  psprintf("SELECT NULL, NULL, %s", extremes_sql(table, shard)));

	if (res == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not reach any placement of shard " INT64_FORMAT, shard->shard_id)));
	*min = PQgetisnull(res, 0, 2) ? NULL : pstrdup(PQgetvalue(res, 0, 2));
	*max = PQgetisnull(res, 0, 3) ? NULL : pstrdup(PQgetvalue(res, 0, 3));
	PQclear(res);
}

/*
 * CzUpdateShardStatistics
 *		See distribute_int.h.  Warns if no placement can be reached.
 */
void
CzUpdateShardStatistics(const CzTable *table, int index)
{
	const CzShard *shard = &table->shards[index];
	struct pg_result *res;
	char	   *figures[4];
	Oid			argtypes[5] = {INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID};
	Datum		values[5];
	char		nulls[6] = "     ";
	int			j;

	res = ask_shard(shard, CzRelationOwner(table->relid),
					psprintf("SELECT pg_catalog.pg_total_relation_size(%s::pg_catalog.regclass), (SELECT pg_catalog.count(*) FROM %s), %s",
							 quote_literal_cstr(shard->remote_qualified),
							 shard->remote_qualified, extremes_sql(table, shard)));
	if (res == NULL)
		return;
	for (j = 0; j < 4; j++)
		figures[j] = PQgetisnull(res, 0, j) ? NULL : pstrdup(PQgetvalue(res, 0, j));
	PQclear(res);

	values[0] = Int64GetDatum(shard->shard_id);
	values[1] = Int64GetDatum(pg_strtoint64(figures[0]));
	values[2] = Int64GetDatum(pg_strtoint64(figures[1]));
	for (j = 2; j < 4; j++)
	{
		if (figures[j])
			values[j + 1] = CStringGetTextDatum(figures[j]);
		else
			nulls[j + 1] = 'n';
	}
	CzCatalogExec("INSERT INTO cz.shard_statistics AS s (shard_id, size_bytes, row_count, min_value, max_value, updated_at)"
				  " VALUES ($1, $2, $3, $4, $5, now())"
				  " ON CONFLICT (shard_id) DO UPDATE SET size_bytes = EXCLUDED.size_bytes,"
				  " row_count = EXCLUDED.row_count, min_value = EXCLUDED.min_value,"
				  " max_value = EXCLUDED.max_value, updated_at = EXCLUDED.updated_at",
				  5, argtypes, values, nulls);
}

/*
 * citus_update_table_statistics(relation regclass)
 */
Datum
citus_update_table_statistics(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	const CzTable *table;
	int			i;

	CzCheckTableOwner(relid);
	table = CzTableGet(relid);
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", CzNameOf(relid))));
	for (i = 0; i < table->nshards; i++)
		CzUpdateShardStatistics(table, i);
	PG_RETURN_VOID();
}
