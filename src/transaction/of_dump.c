/*-------------------------------------------------------------------------
 *
 * of_dump.c
 *	  Does this database come from a dump of the coordinator?
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "transaction_int.h"

/*
 * CzTxnIsRestored
 *		See transaction.h.
 */
bool
CzTxnIsRestored(void)
{
	return CzTxnIdentity()->is_restored;
}

/*
 * CzTxnIsOfDump
 *		See transaction.h.
 */
bool
CzTxnIsOfDump(void)
{
	return CzTxnIdentity()->is_restored || CzTxnIdentity()->first_epoch > 1;
}
