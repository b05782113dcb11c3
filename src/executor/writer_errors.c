/*-------------------------------------------------------------------------
 *
 * writer_errors.c
 *	  Which row of a statement, or line of COPY FROM, a worker complains of.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "mb/pg_wchar.h"

#include "cz/errors.h"
#include "writer_int.h"

/* Where a worker's error came from. */
typedef struct RowContext
{
	const char *copy_table;		/* or NULL */
	int64		row_number;
	char	   *line;			/* or NULL */
} RowContext;

/* Bytes of a line that are shown, as core's COPY does */
#define MAX_SHOWN 100

/* As core says it of COPY FROM a file. */
static void
row_error_callback(void *arg)
{
	RowContext *context = arg;

	if (context->line != NULL)
		errcontext("COPY %s, line " INT64_FORMAT ": \"%s\"", context->copy_table,
				   context->row_number, context->line);
	else if (context->copy_table != NULL)
		errcontext("COPY %s, line " INT64_FORMAT, context->copy_table, context->row_number);
	else
		errcontext("row " INT64_FORMAT, context->row_number);
}

/*
 * CzCopyErrorLine
 *		The line of a COPY that failed on a worker, from 1; 0 if it does not say.
 *
 * COPY's context is "COPY <table>, line <n>...", in the worker's language: the
 * number is the first one after the table's name.
 */
long
CzCopyErrorLine(const PGresult *res, const char *table_name)
{
	const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);
	const char *p = context ? strstr(context, table_name) : NULL;

	if (p == NULL)
		return 0;
	p += strlen(table_name);
	while (*p && *p != '\n' && !(*p >= '0' && *p <= '9'))
		p++;
	return strtol(p, NULL, 10);
}

/*
 * CzReportRowError
 *		Raise a worker's error, which is freed, with the row in the context.
 *
 * copy_table: the row is a line of COPY FROM into this table; NULL: of another
 *		statement.
 * row_number: from 1; 0: not known.
 * line: its text, data NULL: not known.  Shown where core shows it: violations of unique
 *		indexes and the like come when it has read on.
 */
void
CzReportRowError(PGresult *res, CzConn *conn, const char *sql, const char *copy_table,
				 int64 row_number, const CzLine *line)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	ErrorContextCallback callback;
	RowContext	context;

	context.copy_table = copy_table;
	context.row_number = row_number;
	context.line = NULL;
	if (line->data != NULL && sqlstate != NULL && strcmp(sqlstate, "23505") != 0 &&
		strcmp(sqlstate, "23P01") != 0)
	{
		int			len = line->len <= MAX_SHOWN ? line->len :
			pg_mbcliplen(line->data, line->len, MAX_SHOWN);

		context.line = psprintf("%.*s%s", len, line->data, len < line->len ? "..." : "");
	}
	if (row_number > 0)
	{
		callback.callback = row_error_callback;
		callback.arg = &context;
		callback.previous = error_context_stack;
		error_context_stack = &callback;
	}
	CzReportRemoteError(ERROR, res, conn->pg, conn->node_name, sql, true);
}
