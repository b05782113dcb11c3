/*-------------------------------------------------------------------------
 *
 * activate.c
 *	  Bring a worker that was disabled back into use.
 *
 * While it was disabled, writes went to the other placements only.  Nothing
 * says which shards were written, so every placement of the worker is copied
 * again from an active one, and the reference tables too, before the worker is
 * active again: all in one transaction.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/errors.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(citus_activate_node);

/* Wait until a connection's socket is ready. */
static void
wait_socket(CzConn *conn, int events)
{
	int			rc = WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | events,
									   PQsocket(conn->pg), -1, PG_WAIT_EXTENSION);

	if (rc & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
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
 * Rows of a table from one worker to another, through this server, in text:
 * binary forms of composite types hold OIDs.
 */
static void
copy_rows(CzConn *from, CzConn *to, const char *qualified, const char *columns)
{
	char	   *out_sql = psprintf("COPY %s (%s) TO STDOUT", qualified, columns);
	char	   *in_sql = psprintf("COPY %s (%s) FROM STDIN", qualified, columns);
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

/* The columns that hold data, quoted, with commas; NULL if there is none. */
static char *
column_list(Oid relid)
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

/*
 * Copy a shard to the worker from its first active placement.
 */
static void
refresh_shard(Oid shard_relid, Oid server_oid)
{
	/* owner and server list before the worker counts as active */
	const CzTable *table = CzTableGet(shard_relid);
	const CzShard *shard = &table->shards[0];
	char	   *columns = column_list(shard_relid);
	Relation	rel = table_open(shard_relid, NoLock);
	Oid			user_oid = rel->rd_rel->relowner;
	CzConn	   *to;

	table_close(rel, NoLock);
	if (shard->server_oids[0] == server_oid)
		return;					/* no other one was active: nothing was missed */
	CzTxnExec(server_oid, user_oid, psprintf("TRUNCATE %s", shard->remote_qualified));
	if (columns == NULL)
		return;
	to = CzTxnConn(server_oid, user_oid, true);
	copy_rows(CzTxnConn(shard->server_oids[0], user_oid, false), to,
			  shard->remote_qualified, columns);
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
	List	   *shards;
	List	   *references = NIL;
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

	shards = CzShardsOnServer(node->server_oid);
	foreach(cell, shards)
		refresh_shard(lfirst_oid(cell), node->server_oid);

	/* copies of reference tables are made anew, as on a new worker */
	if (node->is_checked)
	{
		references = CzReferenceTableList();
		foreach(cell, references)
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
	CzNodeSetOption(node->server_oid, "state", NULL);
	CzNodeCheck(node->server_oid);
	PG_RETURN_INT32(node->node_id);
}
