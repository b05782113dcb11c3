/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Write the extension's own catalog tables, and say which workers a table
 *	  lives on.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "cz/ddl.h"

/*
 * CzCatalogExec
 *		Run a command on the tables of schema cz through SPI, whoever the user
 *		is; names in it are qualified.
 *
 * Returns: number of rows affected or returned.
 */
uint64
CzCatalogExec(const char *sql, int nargs, Oid *argtypes, Datum *values, const char *nulls)
{
	Oid			save_user;
	int			save_context;
	int			nestlevel = NewGUCNestLevel();
	int			result;
	uint64		processed;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	cz_internal_ddl_depth++;
	PG_TRY();
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		result = SPI_execute_with_args(sql, nargs, argtypes, values, nulls, false, 0);
		if (result < 0)
			elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
		processed = SPI_processed;
		SPI_finish();
	}
	PG_FINALLY();
	{
		cz_internal_ddl_depth--;
	}
	PG_END_TRY();
	AtEOXact_GUC(true, nestlevel);
	SetUserIdAndSecContext(save_user, save_context);
	return processed;
}

/*
 * CzTableServers
 *		See ddl.h.
 */
List *
CzTableServers(const CzTable *table)
{
	List	   *result = NIL;
	int			i;
	int			j;

	for (i = 0; i < table->nshards; i++)
	{
		for (j = 0; j < table->shards[i].nplacements; j++)
			result = list_append_unique_oid(result, table->shards[i].server_oids[j]);
	}
	return result;
}
