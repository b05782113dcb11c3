/*-------------------------------------------------------------------------
 *
 * answer_test.c
 *	  How answers of workers are read: a function for tests, which no SQL script declares.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "cz/metadata.h"
#include "cz/remote.h"

PG_FUNCTION_INFO_V1(cz_test_count_rows);

/*
 * cz_test_count_rows(server_name text, query text) -> int
 *		How many rows a query has that runs on a worker.
 */
Datum
cz_test_count_rows(PG_FUNCTION_ARGS)
{
	Oid			server_oid = get_foreign_server_oid(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(server_oid, GetUserId()));
	PGresult   *res = CzConnExec(conn, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	int			nrows = PQntuples(res);

	PQclear(res);
	CzConnRelease(conn);
	PG_RETURN_INT32(nrows);
}
