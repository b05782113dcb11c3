/*-------------------------------------------------------------------------
 *
 * make_shard.c
 *	  Shards on a node that does not have them: the commands that make one as it is
 *	  elsewhere, and its rows.
 *
 * What a shard looks like is what its table does here; its storage parameters are an
 * active placement's.  Rows go from one node to the other through this server, as text:
 * binary forms of composite types hold OIDs.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "libpq-fe.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/errors.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

/* Between two reports of how far a copy is */
#define PROGRESS_BYTES (256 * 1024)

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

/*
 * CzCopyFinish
 *		See cluster.h.
 */
void
CzCopyFinish(CzConn *conn, const char *sql, bool is_in)
{
	PGresult   *res;
	int			status = 1;

	while (is_in && (status = PQputCopyEnd(conn->pg, NULL)) == 0)
		wait_socket(conn, WL_SOCKET_WRITEABLE);
	if (status < 0)
		CzReportRemoteError(ERROR, NULL, conn->pg, conn->node_name, sql, false);
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
 *		See cluster.h.
 */
void
CzCopyShardRows(CzConn *from, CzConn *to, const char *out_sql, const char *in_sql,
				CzCopyProgress progress, void *arg)
{
	StringInfoData line;
	int64		nbytes = 0;
	int64		ntold = 0;
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
		nbytes += line.len;
		if (progress != NULL && nbytes - ntold >= PROGRESS_BYTES)
		{
			ntold = nbytes;
			progress(nbytes, arg);
		}
	}
	if (progress != NULL)
		progress(nbytes, arg);
	CzCopyFinish(from, out_sql, false);
	CzCopyFinish(to, in_sql, true);
}

/*
 * CzColumnList
 *		See cluster.h.
 */
char *
CzColumnList(Oid relid)
{
	Relation	rel = CzOpenRelation(relid, AccessShareLock);
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

/*
 * CzStorageSql
 *		See cluster_int.h.  They are not kept here.
 */
char *
CzStorageSql(CzConn *from, const char *qualified, const char *target)
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
	return sql.len > 0 ? psprintf("ALTER TABLE %s SET (%s)", target, sql.data) : NULL;
}

/*
 * CzShardStructureSql
 *		See cluster.h.  In CurrentMemoryContext, which the caller resets.
 */
char *
CzShardStructureSql(Relation rel, const CzTable *table, int index, Oid server_oid, CzConn *from)
{
	const CzShard *shard = &table->shards[index];
	char	   *storage = from ? CzStorageSql(from, shard->remote_qualified,
										  shard->remote_qualified) : NULL;
	char	   *grants;
	StringInfoData sql;

	initStringInfo(&sql);
	CzShardCreateSql(&sql, CzTableDefGet(rel), shard, CzShardCheckSql(rel, table, index));
	if (storage)
		appendStringInfo(&sql, "%s;\n", storage);
	if (table->seals != NULL && table->seals[index].min != NULL)
		appendStringInfo(&sql, "%s;\n", CzSealSql(table, index, table->seals[index].min,
												  table->seals[index].max));
	grants = CzGrantsSql(RelationGetRelid(rel), server_oid, shard->remote_qualified);
	if (grants)
		appendStringInfo(&sql, "%s;\n", grants);
	if (table->is_partitioned)
		CzPartitionsSql(&sql, table, CzShardTree(table, index), server_oid);
	return sql.data;
}

/*
 * CzShardUnchecked
 *		See cluster.h.
 */
char *
CzShardUnchecked(Relation rel, const CzTable *table, int index, bool drops)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (table->is_partitioned)
		CzTreeUncheckedSql(&sql, CzShardTree(table, index), drops);
	else
		CzShardUncheckedSql(&sql, CzTableDefGet(rel), &table->shards[index], drops);
	return sql.len > 0 ? sql.data : NULL;
}

/*
 * CzShardFinishSql
 *		See cluster.h.
 */
char *
CzShardFinishSql(Relation rel, const CzTable *table, int index)
{
	char	   *unchecked = CzShardUnchecked(rel, table, index, false);
	StringInfoData sql;

	initStringInfo(&sql);
	if (unchecked != NULL)
		appendStringInfoString(&sql, unchecked);
	CzShardIndexesSql(&sql, CzTableDefGet(rel), &table->shards[index]);
	if (table->is_partitioned)
		CzAttachIndexesSql(&sql, CzShardTree(table, index));
	return sql.len > 0 ? sql.data : NULL;
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
	char	   *columns = CzColumnList(RelationGetRelid(rel));
	CzConn	   *from = CzTxnConn(shard->server_oids[0], owner, false);
	char	   *sql;

	CzTxnExec(server_oid, owner, CzShardStructureSql(rel, table, index, server_oid, from));
	if (columns)
		CzCopyShardRows(from, CzTxnConn(server_oid, owner, true),
						psprintf("COPY (SELECT %s FROM %s) TO STDOUT", columns,
								 shard->remote_qualified),
						psprintf("COPY %s (%s) FROM STDIN", shard->remote_qualified, columns),
						NULL, NULL);
	sql = CzShardFinishSql(rel, table, index);
	if (sql)
		CzTxnExec(server_oid, owner, sql);
}
