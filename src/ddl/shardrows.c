/*-------------------------------------------------------------------------
 *
 * shardrows.c
 *	  All rows of a table's shards, for who takes them away from there: whoever makes
 *	  the table an ordinary one, or computes its rows anew here.
 *
 * They are read directly, as the owner and past row-level security, which is the
 * coordinator's, through a cursor a shard.  The shards are locked before: a row that
 * this does not see would be lost.  A writer that has committed here may not have been
 * told of on a worker yet, and a transaction with a snapshot of its own may have one
 * that is older than the table's lock here.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "executor/tuptable.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

#define FETCH_ROWS 1000			/* rows in memory at a time */

struct CzShardRows
{
	const CzShard *shards;
	const Oid  *server_oids;
	int			nshards;
	Oid			owner;
	AttInMetadata *meta;
	char	  **values;			/* [natts], NULL for dropped columns */
	int		   *attnos;			/* attribute index of each column that is read */
	int			ncolumns;
	int			index;			/* the shard that is being read */
	bool		is_last;		/* its cursor has no more */
	MemoryContext batch_context;
	HeapTuple  *tuples;			/* [FETCH_ROWS], read and not handed out */
	int			ntuples;
	int			next;
};

/* The rows' types without their domains: the workers have checked these. */
static TupleDesc
without_domains(TupleDesc desc)
{
	TupleDesc	result = CreateTupleDescCopy(desc);
	int			i;

	for (i = 0; i < result->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(result, i);

		if (!att->attisdropped)
			att->atttypid = getBaseTypeAndTypmod(att->atttypid, &att->atttypmod);
	}
	return result;
}

/* The columns to read; fills in what takes them apart. */
static char *
select_list(CzShardRows *rows, TupleDesc desc)
{
	StringInfoData columns;
	int			i;

	initStringInfo(&columns);
	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		appendStringInfo(&columns, "%s%s", rows->ncolumns > 0 ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)));
		rows->attnos[rows->ncolumns++] = i;
	}
	return columns.data;
}

/* Will a worker show all rows that are there? */
static void
check_snapshot(Oid server_oid, Oid owner)
{
	CzTxnRequireClear(server_oid, owner);
	if (IsolationUsesXactSnapshot() && CzTxnHasBegun(server_oid, owner))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot move rows in a transaction that has used node \"%s\" with a snapshot of its own",
						GetForeignServer(server_oid)->servername),
				 errdetail("Rows that others have committed since would be lost."),
				 errhint("Use isolation level READ COMMITTED.")));
}

static void
append_name(StringInfo sql, const CzShard *shard)
{
	appendStringInfo(sql, "cz_rows_" INT64_FORMAT, shard->shard_id);
}

/* What a worker is told at the beginning: lock shards, then open their cursors. */
static char *
begin_sql(const CzShardRows *rows, Oid server_oid, const char *columns)
{
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < rows->nshards; i++)
	{
		if (rows->server_oids[i] == server_oid)
			appendStringInfo(&sql, "%s%s", sql.len > 0 ? ", " : "LOCK TABLE ",
							 rows->shards[i].remote_qualified);
	}
	appendStringInfoString(&sql, " IN ACCESS EXCLUSIVE MODE");
	for (i = 0; i < rows->nshards; i++)
	{
		if (rows->server_oids[i] != server_oid)
			continue;
		appendStringInfoString(&sql, ";\nDECLARE ");
		append_name(&sql, &rows->shards[i]);
		appendStringInfo(&sql, " NO SCROLL CURSOR FOR SELECT %s FROM %s", columns,
						 rows->shards[i].remote_qualified);
	}
	return CzWithLockTimeout(sql.data);
}

static char *
end_sql(const CzShardRows *rows, Oid server_oid, const char *columns)
{
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < rows->nshards; i++)
	{
		if (rows->server_oids[i] != server_oid)
			continue;
		appendStringInfoString(&sql, sql.len > 0 ? "; CLOSE " : "CLOSE ");
		append_name(&sql, &rows->shards[i]);
	}
	return sql.data;
}

/*
 * A command for each worker that is read from.  None of them writes: whoever computes
 * something of the rows may look at other tables there.
 */
static void
tell_workers(const CzShardRows *rows, const char *columns,
			 char *(*make) (const CzShardRows *, Oid, const char *))
{
	List	   *servers = NIL;
	ListCell   *lc;
	int			i;

	for (i = 0; i < rows->nshards; i++)
		servers = list_append_unique_oid(servers, rows->server_oids[i]);
	foreach(lc, make == begin_sql ? servers : NIL)
		check_snapshot(lfirst_oid(lc), rows->owner);
	foreach(lc, servers)
	{
		CzConn	   *conn = CzTxnLockConn(lfirst_oid(lc), rows->owner);

		PQclear(CzConnExec(conn, make(rows, lfirst_oid(lc), columns)));
	}
}

/*
 * CzShardRowsBegin
 *		See ddl.h.
 */
CzShardRows *
CzShardRowsBegin(TupleDesc desc, const CzShard *shards, const Oid *server_oids, int nshards,
				 Oid owner)
{
	CzShardRows *rows = palloc0(sizeof(CzShardRows));
	char	   *columns;

	rows->shards = shards;
	rows->server_oids = server_oids;
	rows->nshards = nshards;
	rows->owner = owner;
	rows->meta = TupleDescGetAttInMetadata(without_domains(desc));
	rows->values = palloc0(sizeof(char *) * Max(desc->natts, 1));
	rows->attnos = palloc0(sizeof(int) * Max(desc->natts, 1));
	rows->tuples = palloc(sizeof(HeapTuple) * FETCH_ROWS);
	rows->batch_context = AllocSetContextCreate(CurrentMemoryContext, "cz shard rows",
												ALLOCSET_DEFAULT_SIZES);
	columns = select_list(rows, desc);
	rows->is_last = true;
	rows->index = -1;
	tell_workers(rows, columns, begin_sql);
	return rows;
}

static void
take_rows(CzShardRows *rows, struct pg_result *res)
{
	MemoryContext old = MemoryContextSwitchTo(rows->batch_context);
	int			nestlevel = CzPinTextSettings(CZ_PIN_TEXT | CZ_PIN_MONEY);
	int			i;
	int			j;

	for (i = 0; i < PQntuples(res); i++)
	{
		for (j = 0; j < rows->ncolumns; j++)
			rows->values[rows->attnos[j]] = CzResultText(res, i, j);
		rows->tuples[i] = BuildTupleFromCStrings(rows->meta, rows->values);
	}
	CzUnpinTextSettings(nestlevel);
	MemoryContextSwitchTo(old);
}

/* Some more rows of the shard. */
static void
fetch(CzShardRows *rows)
{
	const CzShard *shard = &rows->shards[rows->index];
	StringInfoData sql;
	struct pg_result *res;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(rows->batch_context);
	rows->next = 0;
	initStringInfo(&sql);
	appendStringInfo(&sql, "FETCH %d FROM ", FETCH_ROWS);
	append_name(&sql, shard);
	res = CzConnQuery(CzTxnConn(rows->server_oids[rows->index], rows->owner, false), sql.data,
					  0, FETCH_ROWS, rows->ncolumns);
	rows->ntuples = PQntuples(res);
	PG_TRY();
	{
		take_rows(rows, res);
	}
	PG_FINALLY();
	{
		PQclear(res);
	}
	PG_END_TRY();
	rows->is_last = rows->ntuples < FETCH_ROWS;
	pfree(sql.data);
}

/*
 * CzShardRowsNext
 *		See ddl.h.
 */
HeapTuple
CzShardRowsNext(CzShardRows *rows, int *index)
{
	while (rows->next >= rows->ntuples)
	{
		if (rows->is_last && ++rows->index >= rows->nshards)
			return NULL;
		fetch(rows);
	}
	*index = rows->index;
	return rows->tuples[rows->next++];
}

/*
 * CzShardRowsEnd
 *		See ddl.h.
 */
void
CzShardRowsEnd(CzShardRows *rows)
{
	tell_workers(rows, NULL, end_sql);
	MemoryContextDelete(rows->batch_context);
	pfree(rows->tuples);
	pfree(rows->attnos);
	pfree(rows->values);
	pfree(rows);
}
