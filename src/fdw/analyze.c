/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  ANALYZE of a foreign table or shard by itself: a sample drawn on the worker.
 *	  (Shards as parts of their parent: shards.c.)
 *
 * The worker knows how many rows it has (pg_class.reltuples), so it is asked for
 * about as many as ANALYZE wants, and a reservoir here takes care of the rest.
 * Where it does not know, the size in pages gives a first guess; the number of
 * rows is then what came divided by the fraction that was asked for.
 *
 * Source: own work; the reservoir follows contrib/postgres_fdw/postgres_fdw.c,
 * PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "commands/vacuum.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "cz/metadata.h"
#include "cz/remote.h"
#include "fdw_int.h"

/* More rows than wanted are asked for, because the fraction is random. */
#define CZ_SAMPLE_MARGIN 1.1

/* A fraction above this is not worth drawing. */
#define CZ_SAMPLE_MAX_FRACTION 0.9

/* Rows in a page of a table that was never analyzed; few, so as to get enough. */
#define CZ_GUESSED_ROWS_PER_PAGE 20.0

/* Rows fetched at a time unless an option says otherwise. */
#define CZ_ANALYZE_FETCH_ROWS 1000

/* What the worker says of the table. */
typedef struct CzRemoteSize
{
	bool		takes_tablesample;
	double		rows;			/* < 0: unknown */
	double		pages;			/* of our block size */
} CzRemoteSize;

/*
 * How big the remote table is.  That of a partitioned one is the sum of its
 * leaves.
 */
static CzRemoteSize
remote_size(CzConn *conn, const char *qualified_name)
{
	CzRemoteSize size = {0};
	StringInfoData sql;
	PGresult   *res;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT c.relkind IN ('r', 'm', 'p'),"
					 " coalesce(sum(l.reltuples), 0),"
					 " coalesce(bool_or(l.reltuples < 0), false),"
					 " coalesce(sum(pg_catalog.pg_relation_size(l.oid)), 0)"
					 " FROM pg_catalog.pg_class c"
					 " LEFT JOIN LATERAL (SELECT c.oid AS relid WHERE c.relkind <> 'p'"
					 " UNION ALL SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) t"
					 " WHERE c.relkind = 'p' AND t.isleaf) x ON true"
					 " LEFT JOIN pg_catalog.pg_class l ON l.oid = x.relid"
					 " WHERE c.oid = %s::pg_catalog.regclass GROUP BY c.relkind",
					 quote_literal_cstr(qualified_name));
	res = CzConnQuery(conn, sql.data, 0, 1, 4);
	if (PQntuples(res) == 1)
	{
		double		bytes;

		size.takes_tablesample = PQgetvalue(res, 0, 0)[0] == 't';
		if (!CzResultFigure(res, 0, 1, &size.rows) || !CzResultFigure(res, 0, 3, &bytes))
			CzConnViolated(conn, res, "It has no valid size of the table.");
		size.pages = ceil(bytes / BLCKSZ);
		if (PQgetvalue(res, 0, 2)[0] == 't' || (size.rows == 0 && size.pages > 0))
			size.rows = -1;
	}
	PQclear(res);
	pfree(sql.data);
	return size;
}

/*
 * The query for a sample; *fraction: of the rows that it draws, 1 for all.
 */
static char *
sample_query(Relation rel, const CzTable *table, const CzRemoteSize *size,
			 int target_rows, double *fraction, List **attnos)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	const char *method = CzFdwOption(GetForeignTable(RelationGetRelid(rel))->options,
									 "analyze_sampling");
	double		rows = size->rows >= 0 ? size->rows : size->pages * CZ_GUESSED_ROWS_PER_PAGE;
	StringInfoData sql;
	int			attno;

	if (method == NULL)
		method = CzFdwOption(GetForeignServer(GetForeignTable(RelationGetRelid(rel))->serverid)->options,
							 "analyze_sampling");
	if (method == NULL || strcmp(method, "auto") == 0)
		method = "bernoulli";

	*fraction = rows > 0 ? target_rows * CZ_SAMPLE_MARGIN / rows : 1;
	if (*fraction > CZ_SAMPLE_MAX_FRACTION || strcmp(method, "off") == 0)
		*fraction = 1;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	*attnos = NIL;
	for (attno = 1; attno <= tupdesc->natts; attno++)
	{
		if (TupleDescAttr(tupdesc, attno - 1)->attisdropped)
			continue;
		appendStringInfo(&sql, "%s%s", *attnos == NIL ? "" : ", ",
						 quote_identifier(table->column_names[attno - 1]));
		*attnos = lappend_int(*attnos, attno);
	}
	appendStringInfo(&sql, " FROM %s", table->shards[0].remote_qualified);
	if (*fraction < 1)
	{
		if (strcmp(method, "random") == 0 || !size->takes_tablesample)
			appendStringInfo(&sql, " WHERE pg_catalog.random() < %.15g", *fraction);
		else
			appendStringInfo(&sql, " TABLESAMPLE %s (%.15g)", method, *fraction * 100);
	}
	return sql.data;
}

void
CzReservoirInit(CzReservoir *reservoir, int target_rows)
{
	memset(reservoir, 0, sizeof(CzReservoir));
	reservoir->rows = palloc(sizeof(HeapTuple) * Max(target_rows, 1));
	reservoir->target_rows = target_rows;
	reservoir->skip_rows = -1;
	reservoir_init_selection_state(&reservoir->state, target_rows);
}

int
CzReservoirPosition(CzReservoir *reservoir)
{
	int			position = -1;

	reservoir->seen_rows += 1;
	if (reservoir->nrows < reservoir->target_rows)
		return reservoir->nrows++;

	if (reservoir->skip_rows < 0)
		reservoir->skip_rows = reservoir_get_next_S(&reservoir->state,
													reservoir->seen_rows,
													reservoir->target_rows);
	if (reservoir->skip_rows <= 0)
	{
		position = (int) (reservoir->target_rows *
						  sampler_random_fract(&reservoir->state.randstate));
		heap_freetuple(reservoir->rows[position]);
	}
	reservoir->skip_rows -= 1;
	return position;
}

/* Offer the rows of a result to the reservoir and free it; returns their number. */
static int
take_rows(CzFdwRowReader *reader, PGresult *res, CzReservoir *reservoir)
{
	volatile int nrows = PQntuples(res);

	PG_TRY();
	{
		int			row;

		for (row = 0; row < nrows; row++)
		{
			int			position = CzReservoirPosition(reservoir);

			if (position >= 0)
				reservoir->rows[position] = CzFdwRowReaderGet(reader, res, row);
		}
	}
	PG_FINALLY();
	{
		PQclear(res);
	}
	PG_END_TRY();
	return nrows;
}

/*
 * Read the sample through a cursor: a table of unknown size may be large.  Rows
 * go to CurrentMemoryContext.
 */
static void
read_sample(CzConn *conn, Relation rel, const char *query, List *attnos,
			CzReservoir *reservoir)
{
	CzFdwRowReader *reader = CzFdwRowReaderCreate(rel, attnos);
	int			fetch_rows = CzFdwIntOption(GetForeignTable(RelationGetRelid(rel)),
											"fetch_size", CZ_ANALYZE_FETCH_ROWS);
	bool		own_transaction = conn->state == CZ_CONN_READ;
	char	   *fetch = psprintf("FETCH %d FROM cz_analyze", fetch_rows);
	int			nrows;

	if (own_transaction)
		PQclear(CzConnExec(conn, "START TRANSACTION READ ONLY"));
	PQclear(CzConnExec(conn, psprintf("DECLARE cz_analyze CURSOR FOR %s", query)));

	do
	{
		CHECK_FOR_INTERRUPTS();
		nrows = take_rows(reader, CzConnExec(conn, fetch), reservoir);
	} while (nrows == fetch_rows);

	PQclear(CzConnExec(conn, "CLOSE cz_analyze"));
	if (own_transaction)
		PQclear(CzConnExec(conn, "COMMIT"));
}

static int
czAcquireSampleRows(Relation relation, int elevel, HeapTuple *rows, int targrows,
					double *totalrows, double *totaldeadrows)
{
	const CzTable *table = CzFdwTable(relation);
	CzConn	   *conn = CzFdwReadConnOfShard(&table->shards[0],
											relation->rd_rel->relowner);
	CzReservoir reservoir;
	volatile double fraction = 1;

	CzReservoirInit(&reservoir, targrows);
	reservoir.rows = rows;

	PG_TRY();
	{
		CzRemoteSize size = remote_size(conn, table->shards[0].remote_qualified);
		double		sample_fraction;
		List	   *attnos;
		char	   *query = sample_query(relation, table, &size, targrows,
										 &sample_fraction, &attnos);

		fraction = sample_fraction;
		if (attnos != NIL)
			read_sample(conn, relation, query, attnos, &reservoir);
		*totalrows = fraction < 1 && size.rows >= 0 ? size.rows :
			reservoir.seen_rows / fraction;
	}
	PG_FINALLY();
	{
		CzFdwReadConnRelease(conn);
	}
	PG_END_TRY();

	*totaldeadrows = 0;
	ereport(elevel,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("\"%s\": table contains %.0f rows, %d rows in sample",
					RelationGetRelationName(relation), *totalrows, reservoir.nrows)));
	return reservoir.nrows;
}

/*
 * The remote access is the owner's, whoever runs ANALYZE: the statistics are
 * everybody's.
 */
static bool
czAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
					  BlockNumber *totalpages)
{
	const CzTable *table = CzFdwTable(relation);
	CzConn	   *conn;
	double		size;

	if (CzFdwSampleSize(relation, &size))
	{
		*totalpages = (BlockNumber) size;
		*func = CzFdwSampleRows;
		return true;
	}

	conn = CzFdwReadConnOfShard(&table->shards[0], relation->rd_rel->relowner);
	PG_TRY();
	{
		*totalpages = (BlockNumber) Min(remote_size(conn, table->shards[0].remote_qualified).pages,
										(double) MaxBlockNumber);
	}
	PG_FINALLY();
	{
		CzFdwReadConnRelease(conn);
	}
	PG_END_TRY();

	*func = czAcquireSampleRows;
	return true;
}

/*
 * CzFdwAnalyzeRoutine
 *		Fill in the callback of this file.
 */
void
CzFdwAnalyzeRoutine(FdwRoutine *routine)
{
	routine->AnalyzeForeignTable = czAnalyzeForeignTable;
}
