/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  The foreign data wrapper's entry: its routine, and the check that the
 *	  library was loaded at server start.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "cz/fdw.h"
#include "fdw_int.h"

/* Set by CzFdwInit, which runs only in shared_preload_libraries. */
static bool is_preloaded = false;

/*
 * CzFdwInit
 *		Called by _PG_init when the server starts.
 */
void
CzFdwInit(void)
{
	is_preloaded = true;
}

/*
 * cz_check_preload
 *		Stop CREATE EXTENSION where hooks and shared memory are missing.
 */
PG_FUNCTION_INFO_V1(cz_check_preload);

Datum
cz_check_preload(PG_FUNCTION_ARGS)
{
	if (!is_preloaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cz_fdw must be loaded via shared_preload_libraries"),
				 errhint("Add the line shared_preload_libraries = 'cz_fdw' to postgresql.conf and restart the server; names that are in the list already stay, separated by commas.")));
	PG_RETURN_VOID();
}

/*
 * cz_fdw_handler
 *		The callbacks of the wrapper.
 */
PG_FUNCTION_INFO_V1(cz_fdw_handler);

Datum
cz_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	CzFdwScanRoutine(routine);
	CzFdwModifyRoutine(routine);
	CzFdwTruncateRoutine(routine);
	CzFdwAnalyzeRoutine(routine);
	CzFdwImportRoutine(routine);

	PG_RETURN_POINTER(routine);
}
