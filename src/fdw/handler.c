/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  The foreign data wrapper's entry: its routine.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "fdw_int.h"

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
