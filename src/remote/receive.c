/*-------------------------------------------------------------------------
 *
 * receive.c
 *	  What a worker sends is not trusted: input, results, counts.
 *
 * A worker may be broken or hostile.  Three things keep that harmless: input is
 * read by CzConnReceive alone, which lets nothing pile up that nobody takes; a
 * result of a kind that cannot be an answer makes the connection broken, and a
 * broken one is closed without a further word (a connection in COPY state gives
 * the same result for ever to who waits for the end); and what a result must look
 * like is checked before it is used.
 *
 * What stays is libpq's own limit: one message, thus one row, may be as long as
 * PostgreSQL's longest, 1 GB, and a chunk has several.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "remote_int.h"

/*
 * CzConnReceive
 *		See remote.h.
 */
bool
CzConnReceive(CzConn *conn)
{
	PGnotify   *notify;

	/* nothing is listened to; libpq would keep them until they are asked for */
	while ((notify = PQnotifies(conn->pg)) != NULL)
		PQfreemem(notify);
	return PQconsumeInput(conn->pg) != 0;
}

/*
 * CzResultIsCopy
 *		See remote.h.
 */
bool
CzResultIsCopy(const struct pg_result *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/*
 * CzConnTakeRowsSoon, CzResultIsPart
 *		See remote.h.
 */
bool
CzConnTakeRowsSoon(CzConn *conn, int chunk_rows)
{
#ifdef LIBPQ_HAS_CHUNK_MODE
	chunk_rows = Min(chunk_rows, cz_chunk_rows);
	if (chunk_rows > 1)
		return PQsetChunkedRowsMode(conn->pg, chunk_rows) != 0;
#endif
	return PQsetSingleRowMode(conn->pg) != 0;
}

bool
CzResultIsPart(const struct pg_result *res)
{
#ifdef LIBPQ_HAS_CHUNK_MODE
	if (PQresultStatus(res) == PGRES_TUPLES_CHUNK)
		return true;
#endif
	return PQresultStatus(res) == PGRES_SINGLE_TUPLE;
}

/*
 * CzConnPutSync
 *		See remote.h.
 */
bool
CzConnPutSync(CzConn *conn)
{
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
	return PQsendPipelineSync(conn->pg) != 0;
#else
	return PQpipelineSync(conn->pg) != 0;
#endif
}

/*
 * CzConnViolated
 *		See remote.h.
 */
void
CzConnViolated(CzConn *conn, struct pg_result *res, const char *detail)
{
	conn->is_broken = true;
	PQclear(res);
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("node \"%s\" sent an answer that was not asked for", conn->node_name),
			 errdetail_internal("%s", detail)));
}

/*
 * CzConnUnexpected
 *		See remote.h.
 */
void
CzConnUnexpected(CzConn *conn, struct pg_result *res, const char *sql)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_FATAL_ERROR || status == PGRES_NONFATAL_ERROR ||
		status == PGRES_BAD_RESPONSE)
	{
		/* an error without SQLSTATE is libpq's own: it has lost its place */
		if (CzConnResultIsLoss(conn, res) ||
			PQresultErrorField(res, PG_DIAG_SQLSTATE) == NULL)
			conn->is_broken = true;
		CzReportRemoteError(ERROR, res, conn->pg, conn->node_name, sql, true);
	}
	CzConnViolated(conn, res, psprintf("It is of the kind %s.", PQresStatus(status)));
}

/*
 * CzConnCheckRows
 *		See remote.h.
 */
void
CzConnCheckRows(CzConn *conn, struct pg_result *res, int min_rows, int max_rows,
				int ncolumns)
{
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		CzConnUnexpected(conn, res, NULL);
	if (PQnfields(res) != ncolumns)
		CzConnViolated(conn, res, psprintf("It has %d columns instead of %d.",
										   PQnfields(res), ncolumns));
	if (PQntuples(res) < min_rows || (max_rows >= 0 && PQntuples(res) > max_rows))
		CzConnViolated(conn, res, psprintf("It has %d rows.", PQntuples(res)));
}

/*
 * CzResultCount
 *		See remote.h.
 */
uint64
CzResultCount(CzConn *conn, struct pg_result *res)
{
	const char *text = PQcmdTuples(res);
	char	   *end;
	uint64		count;

	errno = 0;
	count = strtou64(text, &end, 10);
	if (!isdigit((unsigned char) text[0]) || *end != '\0' || errno != 0 ||
		count > PG_INT64_MAX)
		CzConnViolated(conn, res, "Its command tag has no valid number of rows.");
	return count;
}

/*
 * CzResultFigure
 *		See remote.h.
 */
bool
CzResultFigure(const struct pg_result *res, int row, int column, double *figure)
{
	char	   *end;
	const char *text;

	if (row >= PQntuples(res) || column < 0 || column >= PQnfields(res))
		return false;
	*figure = 0;
	text = PQgetvalue(res, row, column);
	if (PQgetisnull(res, row, column))
		return true;
	*figure = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*figure) && fabs(*figure) < 1e18;
}

/*
 * CzResultText
 *		See remote.h.
 */
char *
CzResultText(const struct pg_result *res, int row, int column)
{
	char	   *text;

	if (row >= PQntuples(res) || column >= PQnfields(res) || PQgetisnull(res, row, column))
		return NULL;
	text = PQgetvalue(res, row, column);
	pg_verifymbstr(text, PQgetlength(res, row, column), false);
	return text;
}

/* An empty result for rows like this one.  libpq can't put rows without columns to one, so
 * they get a column, all NULL.  NULL: there is no memory. */
static PGresult *
make_rows(const PGresult *row)
{
	char		name[] = "";
	PGresAttDesc column = {.name = name, .typid = TEXTOID, .typlen = -1,
	.atttypmod = -1};
	PGresult   *rows;

	if (PQnfields(row) > 0)
		return PQcopyResult(row, PG_COPYRES_ATTRS);
	rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	if (rows != NULL && !PQsetResultAttrs(rows, 1, &column))
	{
		PQclear(rows);
		rows = NULL;
	}
	return rows;
}

/*
 * CzResultAddRows
 *		See remote.h.
 */
struct pg_result *
CzResultAddRows(struct pg_result *rows, struct pg_result *part, size_t max_bytes)
{
	bool		ok = true;
	int			row;

	if (rows == NULL)
	{
		rows = make_rows(part);
		ok = rows != NULL;
	}
	for (row = 0; ok && row < PQntuples(part); row++)
	{
		int			n = PQntuples(rows);
		int			i;

		ok = n == 0 || PQresultMemorySize(rows) < max_bytes;
		if (ok && PQnfields(part) == 0)
			ok = PQsetvalue(rows, n, 0, NULL, -1);
		for (i = 0; ok && i < PQnfields(part); i++)
			ok = PQsetvalue(rows, n, i,
							PQgetisnull(part, row, i) ? NULL : PQgetvalue(part, row, i),
							PQgetisnull(part, row, i) ? -1 : PQgetlength(part, row, i));
	}
	PQclear(part);
	if (!ok)
	{
		PQclear(rows);
		return NULL;
	}
	return rows;
}

/*
 * CzResultEndsRows
 *		See remote.h.
 */
bool
CzResultEndsRows(const struct pg_result *res, int64 nrows)
{
	const char *tag = PQcmdStatus(unconstify(PGresult *, res));
	const char *count = NULL;
	char		expected[32];

	if (PQresultStatus(res) != PGRES_TUPLES_OK && !CzResultIsPart(res))
		return false;
	if (strncmp(tag, "SELECT ", 7) == 0)
		count = tag + 7;
	else if (strncmp(tag, "FETCH ", 6) == 0)
		count = tag + 6;
	if (count == NULL)
		return false;
	pg_lltoa(nrows, expected);
	return strcmp(count, expected) == 0;
}
