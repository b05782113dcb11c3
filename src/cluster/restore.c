/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  After pg_dump's script has rebuilt the catalogs: cz_finish_restore() makes
 *	  good what no SQL command could say, and
 *	  citus_cleanup_orphaned_resources() works off the clean-up list.
 *
 * The script creates foreign tables, attaches them, and adds keys and indexes to
 * the parent alone.  What is missing then: indexes of parents count as invalid,
 * secondary servers could be dropped, reference tables have no triggers.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/transaction.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(cz_finish_restore);
PG_FUNCTION_INFO_V1(citus_cleanup_orphaned_resources);

/* Does every shard have an index by the name that ours would get? */
static bool
shards_have_index(const CzTable *table, const char *name)
{
	Oid			owner = CzRelationOwner(table->relid);
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];
		CzConn	   *conn = CzTxnConn(shard->server_oids[0], owner, false);
		char	   *qualified = CzQualifiedIndex(shard, name);
		struct pg_result *res;
		bool		is_there;

		res = CzConnQuery(conn, psprintf("SELECT i.indisvalid FROM pg_catalog.pg_index i"
										" WHERE i.indexrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%s)"
										" AND i.indrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%s)",
										quote_literal_cstr(qualified),
										quote_literal_cstr(shard->remote_qualified)), 0, 1, 1);
		is_there = PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), "t") == 0;
		PQclear(res);
		if (!is_there)
			return false;
	}
	return true;
}

static void
finish_parent(const CzTable *table)
{
	Relation	rel = relation_open(table->relid, AccessExclusiveLock);
	List	   *indexes = list_copy(RelationGetIndexList(rel));
	ListCell   *lc;
	int			i;

	relation_close(rel, NoLock);
	for (i = 0; i < table->nshards; i++)
		CzShardSetPlacements(table->shards[i].relid, CzShardServers(table->shards[i].relid));
	foreach(lc, indexes)
	{
		Oid			index_oid = lfirst_oid(lc);

		if (get_index_isvalid(index_oid))
			continue;
		if (shards_have_index(table, get_rel_name(index_oid)))
			CzMarkIndexValid(index_oid);
		else
			ereport(WARNING,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index \"%s\" stays invalid: not all shards of table \"%s\" have it",
							get_rel_name(index_oid), get_rel_name(table->relid))));
	}
}

/*
 * cz_finish_restore()
 */
Datum
cz_finish_restore(PG_FUNCTION_ARGS)
{
	ListCell   *lc;
	int			count = 0;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to finish a restore")));
	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL)
			continue;
		if (table->kind == CZ_TABLE_REFERENCE)
		{
			if (!CzReferenceHasTriggers(table->relid))
				CzCreateReferenceTriggers(table->relid);
		}
		else
			finish_parent(table);
		/* what the workers have of types and functions is noted again */
		CzPropagateObjects(table->relid, NIL, CzRelationOwner(table->relid));
		CzInvalidateTable(lfirst_oid(lc));
		count++;
	}
	PG_RETURN_INT32(count);
}

/* One entry of the list; true if it is done with. */
static bool
clean_up(const char *server, const char *sql, const char *user)
{
	Oid			server_oid = get_foreign_server_oid(server, true);
	Oid			user_oid = get_role_oid(user, true);
	char	   *message = NULL;
	CzConn	   *conn;

	if (!OidIsValid(server_oid) || sql == NULL)
		return true;			/* the worker is gone, and what it had with it */
	if (!OidIsValid(user_oid))
		user_oid = GetUserId();
	conn = CzConnTryAcquire(CzEndpointGet(server_oid, user_oid), &message);
	if (conn == NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not clean up node \"%s\"", server),
				 message ? errdetail_internal("%s", message) : 0));
		return false;
	}
	PQclear(CzConnExec(conn, sql));
	CzConnRelease(conn);
	return true;
}

/*
 * citus_cleanup_orphaned_resources()
 *		Drop on the workers what could not be dropped when its table went.
 */
Datum
citus_cleanup_orphaned_resources(PG_FUNCTION_ARGS)
{
	int			ndone = 0;
	uint64		i;
	uint64		nrows;
	SPITupleTable *rows;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to clean up workers")));
	CzTxnCheckCoordinator();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT c.cleanup_id, c.server_name, c.user_name, c.object_kind, c.object_schema, c.object_name, c.object_args FROM cz.cleanup c"
					" ORDER BY c.cleanup_id FOR UPDATE SKIP LOCKED", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.cleanup");
	nrows = SPI_processed;
	rows = SPI_tuptable;
	for (i = 0; i < nrows; i++)
	{
		HeapTuple	tuple = rows->vals[i];
		Oid			argtypes[1] = {INT8OID};
		Datum		values[1];
		bool		isnull;

		if (!clean_up(SPI_getvalue(tuple, rows->tupdesc, 2),
					  CzCleanupSql(SPI_getvalue(tuple, rows->tupdesc, 4),
								   SPI_getvalue(tuple, rows->tupdesc, 5),
								   SPI_getvalue(tuple, rows->tupdesc, 6),
								   SPI_getvalue(tuple, rows->tupdesc, 7)),
					  SPI_getvalue(tuple, rows->tupdesc, 3)))
			continue;
		values[0] = SPI_getbinval(tuple, rows->tupdesc, 1, &isnull);
		(void) SPI_execute_with_args("DELETE FROM cz.cleanup WHERE cleanup_id OPERATOR(pg_catalog.=) $1",
									 1, argtypes, values, NULL, false, 0);
		ndone++;
	}
	SPI_finish();
	ereport(NOTICE, (errmsg("cleaned up %d orphaned resources", ndone)));
	PG_RETURN_VOID();
}
