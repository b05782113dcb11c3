/*-------------------------------------------------------------------------
 *
 * hook.c
 *	  The ProcessUtility hook.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cz/ddl.h"

int			cz_internal_ddl_depth = 0;

void
CzDdlInit(void)
{
}
