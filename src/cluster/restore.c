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

#include "cz/cluster.h"
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

/*
 * citus_cleanup_orphaned_resources()
 *		Work off the clean-up list.
 */
Datum
citus_cleanup_orphaned_resources(PG_FUNCTION_ARGS)
{
	int			ndone;
	int			nleft;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to clean up workers")));
	CzTxnCheckCoordinator();
	ndone = CzCleanUp(0, NULL, NULL, &nleft);
	ereport(NOTICE, (errmsg("cleaned up %d orphaned resources", ndone)));
	PG_RETURN_VOID();
}
