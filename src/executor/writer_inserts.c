/*-------------------------------------------------------------------------
 *
 * writer_inserts.c
 *	  A few rows for one worker, as INSERTs of prepared statements.
 *
 * All that a worker gets of them is one pipeline: BEGIN and locks, the statements it
 * does not know yet, one for each shard, then the rows in their order.  The statements
 * are those of an INSERT of one row that is sent by itself.
 *
 * An error waits for the end of the pipeline, so that the connection is good for what
 * comes after it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "utils/memutils.h"

#include "cz/transaction.h"
#include "executor_int.h"
#include "writer_int.h"

/* A statement, and its name on the connection. */
typedef struct Statement
{
	const char *sql;
	const char *name;
	bool		is_new;			/* prepared in this pipeline */
} Statement;

typedef struct Row
{
	Statement  *statement;
	int			nparams;
	const char **values;
} Row;

struct CzInserts
{
	List	   *statements;		/* of Statement */
	List	   *rows;			/* of Row */
	int			npreceding;		/* results to come before those of rows */
	int			ninserted;
	PGresult   *error;			/* the first one */
	MemoryContextCallback callback; /* frees it after another error */
};

static void
release_error(void *arg)
{
	CzInserts  *inserts = arg;

	PQclear(inserts->error);
	inserts->error = NULL;
}

/*
 * CzInsertsMake
 *		No rows as yet, in CurrentMemoryContext.
 */
CzInserts *
CzInsertsMake(void)
{
	CzInserts  *inserts = palloc0(sizeof(CzInserts));

	inserts->callback.func = release_error;
	inserts->callback.arg = inserts;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &inserts->callback);
	return inserts;
}

/*
 * CzInsertsAdd
 *		One more row.
 *
 * sql: the INSERT; values: its parameters, texts.  Borrowed until the end.
 */
void
CzInsertsAdd(CzInserts *inserts, const char *sql, int nparams, const char **values)
{
	Row		   *row = palloc0(sizeof(Row));
	ListCell   *lc;

	foreach(lc, inserts->statements)
	{
		if (strcmp(((Statement *) lfirst(lc))->sql, sql) == 0)
			row->statement = lfirst(lc);
	}
	if (row->statement == NULL)
	{
		row->statement = palloc0(sizeof(Statement));
		row->statement->sql = sql;
		inserts->statements = lappend(inserts->statements, row->statement);
	}
	row->nparams = nparams;
	row->values = values;
	inserts->rows = lappend(inserts->rows, row);
}

/*
 * CzInsertsSend
 *		Send all rows, with what has to be done before them.
 *
 * prefix: as of CzTxnConnPrefix; emptied.
 * Returns: false if the connection is lost.
 */
bool
CzInsertsSend(CzInserts *inserts, CzConn *conn, StringInfo prefix)
{
	PGconn	   *pg = conn->pg;
	ListCell   *lc;

	if (!PQenterPipelineMode(pg))
		return false;
	inserts->npreceding = CzSendPrefix(conn, prefix);
	if (inserts->npreceding < 0)
		return false;
	foreach(lc, inserts->statements)
	{
		Statement  *statement = lfirst(lc);

		CzConnLogCommand(conn, statement->sql);
		statement->name = CzConnPrepared(conn, statement->sql);
		if (statement->name != NULL)
		{
			/* the connection may forget it when it remembers others */
			statement->name = pstrdup(statement->name);
			continue;
		}
		statement->name = CzConnNewStatementName(conn);
		statement->is_new = true;
		if (!PQsendPrepare(pg, statement->name, statement->sql, 0, NULL))
			return false;
		inserts->npreceding++;
	}
	foreach(lc, inserts->rows)
	{
		Row		   *row = lfirst(lc);

		if (!PQsendQueryPrepared(pg, row->statement->name, row->nparams, row->values, NULL,
								 NULL, 0))
			return false;
	}
	return PQpipelineSync(pg) != 0;
}

/* The pipeline has ended. */
static CzInsertsState
end_pipeline(CzInserts *inserts, CzConn *conn)
{
	ListCell   *lc;

	if (!PQexitPipelineMode(conn->pg))
		conn->is_broken = true;
	if (inserts->error != NULL)
		return CZ_INSERTS_FAILED;
	if (inserts->npreceding > 0 || inserts->ninserted != list_length(inserts->rows))
		CzConnViolated(conn, NULL, "It ends before what was sent is stored.");
	foreach(lc, inserts->statements)
	{
		Statement  *statement = lfirst(lc);

		if (statement->is_new)
			CzConnRememberPrepared(conn, statement->sql, statement->name);
	}
	return CZ_INSERTS_DONE;
}

/*
 * CzInsertsTake
 *		Take what has arrived, without waiting.
 *
 * Returns: CZ_INSERTS_FAILED: CzInsertsError has the reason.
 */
CzInsertsState
CzInsertsTake(CzInserts *inserts, CzConn *conn)
{
	PGconn	   *pg = conn->pg;
	int			nulls = 0;

	while (!PQisBusy(pg))
	{
		PGresult   *res = PQgetResult(pg);

		if (res == NULL)
		{
			/* between two commands; an empty queue has no end */
			if (PQstatus(pg) != CONNECTION_OK)
				return CZ_INSERTS_LOST;
			if (++nulls > MAX_NULLS)
				CzConnViolated(conn, NULL, "It has no end.");
			continue;
		}
		nulls = 0;
		switch (CzResultIsPart(res) ? PGRES_SINGLE_TUPLE : PQresultStatus(res))
		{
			case PGRES_PIPELINE_SYNC:
				PQclear(res);
				return end_pipeline(inserts, conn);
			case PGRES_PIPELINE_ABORTED:
				PQclear(res);
				break;
			case PGRES_SINGLE_TUPLE:
			case PGRES_TUPLES_OK:
				/* a lock's one row, which may come by itself before its end */
				if (inserts->npreceding == 0)
					CzConnUnexpected(conn, res, NULL);
				if (PQresultStatus(res) == PGRES_TUPLES_OK)
					inserts->npreceding--;
				PQclear(res);
				break;
			case PGRES_COMMAND_OK:
				if (inserts->npreceding > 0)
					inserts->npreceding--;
				else if (inserts->ninserted == list_length(inserts->rows) ||
						 strcmp(PQcmdStatus(res), "INSERT 0 1") != 0)
					CzConnViolated(conn, res, "It has stored another number of rows.");
				else
					inserts->ninserted++;
				PQclear(res);
				break;
			default:
				if (PQresultStatus(res) != PGRES_FATAL_ERROR || inserts->error != NULL)
					CzConnUnexpected(conn, res, NULL);
				if (CzConnResultIsLoss(conn, res))
				{
					PQclear(res);
					return CZ_INSERTS_LOST;
				}
				inserts->error = res;
		}
	}
	return PQstatus(pg) == CONNECTION_OK ? CZ_INSERTS_RUN : CZ_INSERTS_LOST;
}

/*
 * CzInsertsError
 *		What has failed, after CZ_INSERTS_FAILED; consumed by the caller.
 */
PGresult *
CzInsertsError(CzInserts *inserts)
{
	PGresult   *res = inserts->error;

	inserts->error = NULL;
	return res;
}

/*
 * CzInsertsCount
 *		How many rows have been inserted; the next one is that of an error.
 */
int
CzInsertsCount(const CzInserts *inserts)
{
	return inserts->ninserted;
}
