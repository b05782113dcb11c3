/*-------------------------------------------------------------------------
 *
 * activate.c
 *	  Bring a worker that was disabled back into use.
 *
 * While it was disabled, writes and changes of tables went to the other placements
 * only, and nothing says which.  So all that the worker had is dropped, and made and
 * filled anew: what tables need (types, functions, extensions), the shards from their
 * tables' definitions here, their rows from an active placement, and the reference
 * tables.  Then the worker is active again: all in one transaction.
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
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/errors.h"
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

/* Wait until a connection's socket is ready; a worker silent for too long is probed. */
static void
wait_socket(CzConn *conn, int events)
{
	CzWaitSlot	slot;

	slot.socket = PQsocket(conn->pg);
	slot.events = events;
	if (!CzWaitSockets(&slot, 1, cz_worker_timeout_ms, true) && !CzTxnProbeSilent(conn))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("node \"%s\" does not answer", conn->node_name)));
}

static void
put_data(CzConn *conn, const char *data, int length, const char *sql)
{
	int			pending;

	while ((pending = PQputCopyData(conn->pg, data, length)) == 0)
		wait_socket(conn, WL_SOCKET_WRITEABLE);
	while (pending > 0 && (pending = PQflush(conn->pg)) > 0)
		wait_socket(conn, WL_SOCKET_WRITEABLE);
	if (pending < 0)
		CzReportRemoteError(ERROR, NULL, conn->pg, conn->node_name, sql, false);
}

/* The result that ends a COPY, and the NULL after it. */
static void
finish_copy(CzConn *conn, const char *sql)
{
	PGresult   *res;

	for (;;)
	{
		while (PQflush(conn->pg) > 0)
			wait_socket(conn, WL_SOCKET_WRITEABLE);
		while (PQisBusy(conn->pg))
		{
			wait_socket(conn, WL_SOCKET_READABLE);
			if (!CzConnReceive(conn))
				CzReportRemoteError(ERROR, NULL, conn->pg, conn->node_name, sql, false);
		}
		res = PQgetResult(conn->pg);
		if (res == NULL)
			return;
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			CzConnUnexpected(conn, res, sql);
		PQclear(res);
	}
}

/*
 * CzCopyShardRows
 *		Rows from one worker to another by COPY, through this server, in text: binary
 *		forms of composite types hold OIDs.
 */
void
CzCopyShardRows(CzConn *from, CzConn *to, const char *out_sql, const char *in_sql)
{
	StringInfoData line;
	int			length;
	char	   *data;

	initStringInfo(&line);
	CzConnStartCopy(to, in_sql, true);
	CzConnStartCopy(from, out_sql, false);
	for (;;)
	{
		length = PQgetCopyData(from->pg, &data, 1);
		if (length == 0)
		{
			wait_socket(from, WL_SOCKET_READABLE);
			if (!CzConnReceive(from))
				CzReportRemoteError(ERROR, NULL, from->pg, from->node_name, out_sql, false);
			continue;
		}
		if (length < 0)
			break;
		/* libpq's buffer must be gone before anything may throw */
		resetStringInfo(&line);
		appendBinaryStringInfo(&line, data, length);
		PQfreemem(data);
		put_data(to, line.data, line.len, in_sql);
	}
	finish_copy(from, out_sql);
	while ((length = PQputCopyEnd(to->pg, NULL)) == 0)
		wait_socket(to, WL_SOCKET_WRITEABLE);
	if (length < 0)
		CzReportRemoteError(ERROR, NULL, to->pg, to->node_name, in_sql, false);
	finish_copy(to, in_sql);
}

/*
 * CzColumnList
 *		The columns that hold data, quoted, with commas; NULL if there is none.
 */
char *
CzColumnList(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated)
			continue;
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 quote_identifier(NameStr(att->attname)));
	}
	table_close(rel, AccessShareLock);
	return buf.len > 0 ? buf.data : NULL;
}

/* The storage parameters of a placement, for another one: they are not kept here. */
static char *
storage_sql(CzConn *from, const char *qualified)
{
	PGresult   *res;
	StringInfoData sql;
	int			i;

	res = CzConnExec(from, psprintf("SELECT o.option_name, o.option_value FROM pg_catalog.pg_class c, "
									"pg_catalog.pg_options_to_table(c.reloptions) o "
									"WHERE c.oid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass",
									quote_literal_cstr(qualified)));
	initStringInfo(&sql);
	for (i = 0; PQnfields(res) == 2 && i < PQntuples(res); i++)
		appendStringInfo(&sql, "%s%s = %s", i > 0 ? ", " : "",
						 quote_identifier(PQgetvalue(res, i, 0)),
						 quote_literal_cstr(PQgetvalue(res, i, 1)));
	PQclear(res);
	return sql.len > 0 ? psprintf("ALTER TABLE %s SET (%s)", qualified, sql.data) : NULL;
}

/* What keeps other rows out of shard number index of a table; NULL: nothing. */
static char *
check_sql(Relation rel, const CzTable *table, int index)
{
	CzDistribution dist;
	char	   *lower;
	char	   *upper;
	char	   *result;
	int			nestlevel;

	if (table->key_attno == 0)
		return NULL;
	CzTableDistribution(table, &dist);
	if (table->kind == CZ_TABLE_HASH)
		return CzHashCheckSql(rel, &dist, index);

	nestlevel = CzPinTextSettings(CZ_PIN_TEXT | CZ_PIN_MONEY | CZ_PIN_DATE_ORDER);
	CzShardBounds(table, index, &lower, &upper);
	result = lower && upper ? CzRangeCheckSql(rel, &dist, lower, upper) : NULL;
	CzUnpinTextSettings(nestlevel);
	return result;
}

/* Is another placement of the shard active?  Else nothing was missed. */
static bool
is_stale(const CzShard *shard, Oid server_oid)
{
	return list_member_oid(CzShardServers(shard->relid), server_oid) &&
		shard->server_oids[0] != server_oid;
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

/*
 * CzMakeShard
 *		Make a shard on a worker, as it is elsewhere, and copy its rows.  In
 *		CurrentMemoryContext, which the caller resets.
 */
void
CzMakeShard(Relation rel, const CzTable *table, int index, Oid server_oid)
{
	const CzShard *shard = &table->shards[index];
	Oid			owner = rel->rd_rel->relowner;
	CzTableDef *def = CzTableDefGet(rel);
	char	   *columns = CzColumnList(RelationGetRelid(rel));
	CzConn	   *from = CzTxnConn(shard->server_oids[0], owner, false);
	char	   *storage = storage_sql(from, shard->remote_qualified);
	char	   *grants;
	StringInfoData sql;

	initStringInfo(&sql);
	CzShardCreateSql(&sql, def, shard, check_sql(rel, table, index));
	CzTxnExec(server_oid, owner, sql.data);
	if (storage)
		CzTxnExec(server_oid, owner, storage);
	grants = CzGrantsSql(RelationGetRelid(rel), server_oid, shard->remote_qualified);
	if (grants)
		CzTxnExec(server_oid, owner, grants);
	if (table->is_partitioned)
		CzMakePartitions(table, index, server_oid);
	if (columns)
		CzCopyShardRows(from, CzTxnConn(server_oid, owner, true),
				   psprintf("COPY (SELECT %s FROM %s) TO STDOUT", columns,
							shard->remote_qualified),
				   psprintf("COPY %s (%s) FROM STDIN", shard->remote_qualified, columns));
	resetStringInfo(&sql);
	CzShardIndexesSql(&sql, def, shard);
	if (table->is_partitioned)
		CzAttachIndexesSql(&sql, table, index);
	if (sql.len > 0)
		CzTxnExec(server_oid, owner, sql.data);
}

/* Make a table's shards again. */
static void
make_shards(Oid relid, Oid server_oid)
{
	Relation	rel = table_open(relid, AccessExclusiveLock);
	const CzTable *table = CzTableGet(relid);
	Oid			owner = rel->rd_rel->relowner;
	List	   *servers = list_make1_oid(server_oid);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz shard",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *lc;
	int			i;

	CzEnsureShardSchema(servers, owner);
	CzPropagateObjects(relid, servers, owner);
	foreach(lc, table->is_partitioned ? CzRootPartitions(relid) : NIL)
		CzPropagateObjects(lfirst_oid(lc), servers, owner);
	for (i = 0; i < table->nshards; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		if (is_stale(&table->shards[i], server_oid))
			CzMakeShard(rel, table, i, server_oid);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	table_close(rel, NoLock);
}

/* The foreign keys of a table's shards, that went with what they refer to. */
static void
make_keys(Oid relid, Oid server_oid)
{
	const CzTable *table = CzTableGet(relid);
	List	   *keys = CzKeysOnShards(relid, false);
	StringInfoData sql;
	ListCell   *lc;
	int			i;

	initStringInfo(&sql);
	for (i = 0; keys != NIL && i < table->nshards; i++)
	{
		if (!list_member_oid(CzShardServers(table->shards[i].relid), server_oid))
			continue;
		foreach(lc, keys)
		{
			CzKeyShardSql(&sql, lfirst(lc), i, true);
			CzKeyShardSql(&sql, lfirst(lc), i, false);
		}
	}
	if (sql.len > 0)
		CzTxnExec(server_oid, CzRelationOwner(relid), sql.data);
	pfree(sql.data);
}

/* Tables that the shards (list of OIDs) are of. */
static List *
parents_of(List *shards)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, shards)
	{
		Oid			parent_relid;

		if (CzIsShard(lfirst_oid(lc), &parent_relid))
			result = list_append_unique_oid(result, parent_relid);
	}
	return result;
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

		if (strcmp(server, node->name) != 0)
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

/*
 * citus_activate_node
 *		Copy what the worker should have to it, then take it into use; if it is in
 *		use, only checks it, or gives it aggregates of cz_partial that it lacks.
 *		Writers of the tables wait.
 */
Datum
citus_activate_node(PG_FUNCTION_ARGS)
{
	CzNode	   *node = CzNodeGetOwn(fcinfo);
	List	   *parents;
	ListCell   *cell;

	if (node->is_active)
	{
		/* one made by CREATE SERVER gets its reference tables here at the latest */
		if (node->is_checked)
			CzPartialsCreate(node->server_oid); /* it may let us now */
		else
			CzNodeCheck(node->server_oid);
		PG_RETURN_INT32(node->node_id);
	}

	parents = parents_of(CzShardsOnServer(node->server_oid));
	foreach(cell, parents)
		drop_shards(lfirst_oid(cell), node->server_oid);
	drop_left_over(node);

	/* copies of reference tables are made anew, as on a new worker */
	if (node->is_checked)
	{
		foreach(cell, CzReferenceTableList())
		{
			Oid			relid = lfirst_oid(cell);
			Relation	rel = table_open(relid, ShareRowExclusiveLock);
			const CzTable *table = CzTableGet(relid);

			CzTxnExec(node->server_oid, rel->rd_rel->relowner,
					  psprintf("DROP TABLE IF EXISTS %s CASCADE",
							   table->shards[0].remote_qualified));
			table_close(rel, NoLock);
		}
		CzNodeSetOption(node->server_oid, "checked", NULL);
	}
	/* the old ones are all gone, so types that have changed are in nobody's way */
	foreach(cell, parents)
		make_shards(lfirst_oid(cell), node->server_oid);
	(void) CzInactiveDelete(0, node->server_oid);
	CzNodeSetOption(node->server_oid, "state", NULL);
	CzNodeCheck(node->server_oid);
	/* when the copies are there, to which they refer */
	foreach(cell, parents)
		make_keys(lfirst_oid(cell), node->server_oid);
	PG_RETURN_INT32(node->node_id);
}
