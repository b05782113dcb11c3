/*-------------------------------------------------------------------------
 *
 * task.c
 *	  What the background workers that work for nobody have in common.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "cz/transaction.h"

/*
 * CzTaskSession
 *		See cz/transaction.h.
 */
void
CzTaskSession(void)
{
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET,
					PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * CzTaskErrorToLog
 *		See cz/transaction.h.
 */
void
CzTaskErrorToLog(MemoryContext context, const char *doing)
{
	HOLD_INTERRUPTS();
	if (doing != NULL)
		errcontext("%s", doing);
	EmitErrorReport();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	FlushErrorState();
	RESUME_INTERRUPTS();
}
