/*-------------------------------------------------------------------------
 *
 * remote_rows.c
 *	  Rows between this server and a worker as text, for the statements that
 *	  run row by row, and what must be known of a remote relation first.
 *
 * Source: own work; the conversion of result rows follows
 * contrib/postgres_fdw/postgres_fdw.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "fdw_int.h"

struct CzFdwRowReader
{
	Relation	rel;
	List	   *attnos;			/* int list: what each result column is */
	AttInMetadata *input;		/* of all columns of rel */
	int			pins;			/* CZ_PIN_*: what the columns' texts depend on */
	MemoryContext temp_context; /* reset for every row */
	AttrNumber	current_attno;	/* for the error context; 0: none */
};

CzConn *
CzFdwReadConn(Oid server_oid, Oid user_oid)
{
	CzConn	   *conn = CzTxnReadConn(server_oid, user_oid);

	return conn ? conn : CzConnAcquire(CzEndpointGet(server_oid, user_oid));
}

CzConn *
CzFdwReadConnOfShard(const CzShard *shard, Oid user_oid)
{
	int			i;

	for (i = 0; i < shard->nplacements - 1; i++)
	{
		CzConn	   *conn;
		char	   *message;

		if (CzTxnIsLost(shard->shard_id, shard->server_oids[i]) ||
			CzHealthIsSuspect(shard->server_oids[i]) ||
			!CzTxnWorkerIsClear(shard->server_oids[i], user_oid))
			continue;
		conn = CzTxnReadConn(shard->server_oids[i], user_oid);
		if (conn == NULL)
			conn = CzConnTryAcquire(CzEndpointGet(shard->server_oids[i], user_oid), &message);
		if (conn != NULL)
			return conn;
	}
	return CzFdwReadConn(shard->server_oids[i], user_oid);
}

void
CzFdwReadConnRelease(CzConn *conn)
{
	if (conn->state == CZ_CONN_READ)
		CzConnRelease(conn);
}

/*
 * CzFdwRemoteKindGet
 *		See fdw_int.h.  One round trip; a relation that does not exist is the
 *		worker's error.
 */
CzFdwRemoteKind
CzFdwRemoteKindGet(CzConn *conn, const char *qualified_name)
{
	CzFdwRemoteKind kind = {0};
	StringInfoData sql;
	PGresult   *res;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT c.relkind,"
					 " c.relkind = 'p' OR (c.relhassubclass AND EXISTS"
					 " (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)),"
					 " c.relkind IN ('r', 'p', 'f') AND NOT c.relhasrules"
					 " AND NOT c.relrowsecurity"
					 " FROM pg_catalog.pg_class c"
					 " WHERE c.oid = %s::pg_catalog.regclass",
					 quote_literal_cstr(qualified_name));
	res = CzConnQuery(conn, sql.data, 0, 1, 3);
	if (PQntuples(res) == 1)
	{
		kind.relkind = PQgetvalue(res, 0, 0)[0];
		kind.has_children = PQgetvalue(res, 0, 1)[0] == 't';
		kind.takes_copy = PQgetvalue(res, 0, 2)[0] == 't';
	}
	PQclear(res);
	pfree(sql.data);
	return kind;
}

/*
 * CzFdwRowReaderCreate
 *		Returns: palloc'd in CurrentMemoryContext, with a context below it.
 */
CzFdwRowReader *
CzFdwRowReaderCreate(Relation rel, List *attnos)
{
	CzFdwRowReader *reader = palloc0(sizeof(CzFdwRowReader));
	ListCell   *lc;

	reader->rel = rel;
	reader->attnos = attnos;
	reader->input = TupleDescGetAttInMetadata(RelationGetDescr(rel));
	foreach(lc, attnos)
	{
		if (lfirst_int(lc) > 0)
			reader->pins |= CzPinsOfType(TupleDescAttr(RelationGetDescr(rel),
													   lfirst_int(lc) - 1)->atttypid) &
				~CZ_PIN_PATH;
	}
	reader->temp_context = AllocSetContextCreate(CurrentMemoryContext,
												 "cz_fdw remote row",
												 ALLOCSET_SMALL_SIZES);
	return reader;
}

static void
conversion_error(void *arg)
{
	CzFdwRowReader *reader = arg;
	TupleDesc	tupdesc = RelationGetDescr(reader->rel);

	if (reader->current_attno > 0)
		errcontext("column \"%s\" of foreign table \"%s\"",
				   NameStr(TupleDescAttr(tupdesc, reader->current_attno - 1)->attname),
				   RelationGetRelationName(reader->rel));
}

HeapTuple
CzFdwRowReaderGet(CzFdwRowReader *reader, struct pg_result *res, int row)
{
	TupleDesc	tupdesc = RelationGetDescr(reader->rel);
	MemoryContext old_context = MemoryContextSwitchTo(reader->temp_context);
	Datum	   *values = palloc0(sizeof(Datum) * Max(tupdesc->natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(tupdesc->natts, 1));
	ItemPointer ctid = NULL;
	ErrorContextCallback callback;
	HeapTuple	tuple;
	ListCell   *lc;
	int			column = 0;
	int			nest_level;

	if (PQnfields(res) != list_length(reader->attnos))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INCONSISTENT_DESCRIPTOR_INFORMATION),
				 errmsg("remote query result does not match the foreign table \"%s\"",
						RelationGetRelationName(reader->rel))));

	memset(nulls, true, sizeof(bool) * tupdesc->natts);
	callback.callback = conversion_error;
	callback.arg = reader;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	nest_level = reader->pins != 0 ? CzPinTextSettings(reader->pins) : -1;

	foreach(lc, reader->attnos)
	{
		AttrNumber	attno = lfirst_int(lc);
		char	   *text = CzResultText(res, row, column++);

		if (attno > 0)
		{
			/* Called for NULL too: a domain may forbid it. */
			reader->current_attno = attno;
			nulls[attno - 1] = (text == NULL);
			values[attno - 1] =
				InputFunctionCall(&reader->input->attinfuncs[attno - 1], text,
								  reader->input->attioparams[attno - 1],
								  reader->input->atttypmods[attno - 1]);
			reader->current_attno = 0;
		}
		else if (attno == SelfItemPointerAttributeNumber && text != NULL)
			ctid = (ItemPointer) DatumGetPointer(DirectFunctionCall1(tidin,
																	 CStringGetDatum(text)));
	}
	CzUnpinTextSettings(nest_level);
	error_context_stack = callback.previous;

	/* The system columns mean nothing here, except ctid: see scan.c. */
	MemoryContextSwitchTo(old_context);
	tuple = heap_form_tuple(tupdesc, values, nulls);
	tuple->t_tableOid = RelationGetRelid(reader->rel);
	if (ctid != NULL)
		tuple->t_self = tuple->t_data->t_ctid = *ctid;
	HeapTupleHeaderSetXmax(tuple->t_data, InvalidTransactionId);
	HeapTupleHeaderSetXmin(tuple->t_data, InvalidTransactionId);
	HeapTupleHeaderSetCmin(tuple->t_data, InvalidTransactionId);
	MemoryContextReset(reader->temp_context);
	return tuple;
}
