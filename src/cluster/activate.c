/*-------------------------------------------------------------------------
 *
 * activate.c
 *	  Bring a worker that was disabled back into use.
 *
 * While it was disabled, writes and changes of tables went to the other placements
 * only, and nothing says which.  So all that the worker had is dropped, copies of
 * reference tables are made anew, and the worker is active again, in one transaction.
 * Its placements are inactive then, and are made whole as others that have missed writes
 * (repair.c), one after the other: nobody waits for all of them.  A background worker
 * does that, for it commits in between.
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
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cluster_int.h"
#include "cz/errors.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(citus_activate_node);

/* Columns of cz.cleanup */
#define CLEANUP_SERVER 2
#define CLEANUP_KIND 3
#define CLEANUP_SCHEMA 4
#define CLEANUP_OBJECT 5
#define CLEANUP_ARGS 6
#define CLEANUP_USER 7
#define CLEANUP_MOVE 9

/* Is another placement of the shard active?  Else nothing was missed. */
static bool
is_stale(const CzShard *shard, Oid server_oid)
{
	return list_member_oid(CzShardServers(shard->relid), server_oid) &&
		shard->nplacements > 0 && shard->server_oids[0] != server_oid;
}

/* Drop the worker's shards of a table. */
static void
drop_shards(Oid relid, Oid server_oid)
{
	const CzTable *table = CzTableGet(relid);
	StringInfoData names;
	int			i;

	initStringInfo(&names);
	for (i = 0; i < table->nshards; i++)
	{
		if (is_stale(&table->shards[i], server_oid))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 table->shards[i].remote_qualified);
	}
	if (names.len > 0)
		CzTxnExec(server_oid, CzRelationOwner(relid),
				  psprintf("DROP TABLE IF EXISTS %s CASCADE", names.data));
	pfree(names.data);
}

static char *
text_of(HeapTuple tuple, AttrNumber attno, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attno, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* Drop what was dropped here while the worker could not be reached. */
static void
drop_left_over(const CzNode *node)
{
	Relation	rel = table_open(CzCatalogRelid("cleanup"), RowExclusiveLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;
		char	   *server = NameStr(*DatumGetName(heap_getattr(tuple, CLEANUP_SERVER, desc, &isnull)));
		char	   *user = NameStr(*DatumGetName(heap_getattr(tuple, CLEANUP_USER, desc, &isnull)));
		Oid			user_oid = get_role_oid(user, true);

		char	   *sql;

		/* what moves have left is theirs, and has marks that are looked at first */
		(void) heap_getattr(tuple, CLEANUP_MOVE, desc, &isnull);
		if (strcmp(server, node->name) != 0 || !isnull)
			continue;
		sql = CzCleanupSql(text_of(tuple, CLEANUP_KIND, desc),
						   text_of(tuple, CLEANUP_SCHEMA, desc),
						   text_of(tuple, CLEANUP_OBJECT, desc),
						   text_of(tuple, CLEANUP_ARGS, desc));
		if (sql != NULL)
			CzTxnExec(node->server_oid, OidIsValid(user_oid) ? user_oid : GetUserId(), sql);
		CatalogTupleDelete(rel, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
}

/* What the worker has is not to be used, and of no use. */
static void
make_inactive(Oid server_oid)
{
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		int			i;

		if (table == NULL || !CzTableIsDistributed(table))
			continue;
		drop_shards(table->relid, server_oid);
		for (i = 0; i < table->nshards; i++)
		{
			/* lost with it, and so not written since */
			if (table->shards[i].nplacements == 0)
				(void) CzInactiveDelete(table->shards[i].shard_id, server_oid);
			else if (is_stale(&table->shards[i], server_oid))
				(void) CzInactiveInsert(table->shards[i].shard_id, server_oid,
										"the node was disabled");
		}
		CzInvalidateTable(table->relid);
	}
}

/* Drop what the worker has of placements that were forgotten, when it was taken for lost. */
static void
drop_forgotten(Oid server_oid)
{
	ListCell   *lc;
	int			i;

	foreach(lc, CzTableListAll())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		StringInfoData sql;

		if (table == NULL || !CzTableIsDistributed(table) || OidIsValid(table->root_relid))
			continue;
		initStringInfo(&sql);
		for (i = 0; i < table->nshards; i++)
		{
			if (!list_member_oid(CzShardServers(table->shards[i].relid), server_oid))
				appendStringInfo(&sql, "%s%s", sql.len > 0 ? ", " : "",
								 table->shards[i].remote_qualified);
		}
		if (sql.len > 0)
			CzTxnExec(server_oid, CzRelationOwner(table->relid),
					  psprintf("DROP TABLE IF EXISTS %s CASCADE", sql.data));
		pfree(sql.data);
	}
}

/* Copies of reference tables are made anew, as on a new worker. */
static void
drop_copies(const CzNode *node)
{
	ListCell   *lc;

	if (!node->is_checked)
		return;
	foreach(lc, CzReferenceTableList())
	{
		Relation	rel = CzOpenRelation(lfirst_oid(lc), ShareRowExclusiveLock);
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		CzTxnExec(node->server_oid, rel->rd_rel->relowner,
				  psprintf("DROP TABLE IF EXISTS %s CASCADE", table->shards[0].remote_qualified));
		(void) CzInactiveDelete(table->shards[0].shard_id, node->server_oid);
		table_close(rel, NoLock);
	}
	CzNodeSetOption(node->server_oid, "checked", NULL);
}

/*
 * activate
 *		In the background worker.  What fails before the commit is in the log, and the
 *		worker is disabled still.
 */
static void
activate(int64 arg)
{
	Oid			server_oid = (Oid) arg;
	CzNode	   *node;

	CzTaskSession();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "citus_activate_node");
	CzNodesLock();
	node = CzNodeGet(server_oid);
	if (!node->is_active)
	{
		make_inactive(server_oid);
		drop_forgotten(server_oid);
		drop_left_over(node);
		drop_copies(node);
		CzNodeSetOption(server_oid, "state", NULL);
		/* the old ones are all gone, so types that have changed are in nobody's way */
		CzNodeCheck(server_oid);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) cz_repair_task(InvalidOid);
}

/*
 * CzActivateInit
 *		See cluster.h.
 */
void
CzActivateInit(void)
{
	cz_background[CZ_BACKGROUND_ACTIVATE] = activate;
	cz_server_moved = CzNodeVerify;
}

/* Error 08001, or why we may not, if a worker can't be reached.  Returns its version. */
static int
reach(Oid server_oid)
{
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(server_oid, GetUserId()));
	int			version = conn->server_version;

	PQclear(CzConnExec(conn, "SELECT 1"));
	CzConnRelease(conn);
	return version;
}

/* How many placements of a worker are not in use. */
static int
count_inactive_on(Oid server_oid)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, CzInactiveList())
	{
		if (((CzInactive *) lfirst(lc))->server_oid == server_oid)
			n++;
	}
	return n;
}

/*
 * citus_activate_node
 *		Take a worker into use and copy what it should have to it; if it is in use, only
 *		check it, or give it aggregates of cz_partial that it lacks.
 */
Datum
citus_activate_node(PG_FUNCTION_ARGS)
{
	CzNode	   *node = CzNodeGetOwn(fcinfo, false);
	BackgroundWorkerHandle *handle;
	int			ninactive;

	if (node->is_active)
	{
		/* one made by CREATE SERVER gets its reference tables here at the latest */
		if (node->is_checked)
		{
			CzNodeNoteVersion(node->server_oid, reach(node->server_oid));
			CzPartialsCreate(node->server_oid); /* it may let us now */
		}
		else
			CzNodeCheck(node->server_oid);
		PG_RETURN_INT32(node->node_id);
	}

	CzTxnCheckCoordinator();
	if (node->clone_of != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node at \"%s:%d\" is a clone", node->host, node->port),
				 errhint("Use citus_promote_clone_and_rebalance().")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot activate a node in a transaction that has changed something"),
				 errdetail("It is done by a background worker, which might wait for this transaction.")));
	reach(node->server_oid);
	handle = CzBackgroundStart(CZ_BACKGROUND_ACTIVATE, node->server_oid, "activation");
	if (handle == NULL)
		CzNoBackgroundWorker();
	/* a cancel of this session leaves it to work on */
	(void) WaitForBackgroundWorkerShutdown(handle);
	AcceptInvalidationMessages();
	if (!CzNodeGet(node->server_oid)->is_active)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" could not be activated", node->name),
				 errhint("The server log says why.")));
	ninactive = count_inactive_on(node->server_oid);
	if (ninactive > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg_plural("%d placement on node \"%s\" is still inactive",
							   "%d placements on node \"%s\" are still inactive",
							   ninactive, ninactive, node->name),
				 errdetail("The background worker goes on."),
				 errhint("The server log says what has failed.")));
	PG_RETURN_INT32(node->node_id);
}
