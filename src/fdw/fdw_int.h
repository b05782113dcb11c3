/*-------------------------------------------------------------------------
 *
 * fdw_int.h
 *	  Private to src/fdw: the parts of the FdwRoutine and the readers of
 *	  options.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_FDW_INT_H
#define CZ_FDW_INT_H

#include "foreign/fdwapi.h"
#include "foreign/foreign.h"

/* in options.c */

/* The value of an option, or NULL; borrowed from the list. */
extern const char *CzFdwOption(List *options, const char *name);

/* The table's value if set, else the server's, else the default. */
extern bool CzFdwBoolOption(ForeignTable *table, const char *name, bool default_value);
extern int	CzFdwIntOption(ForeignTable *table, const char *name, int default_value);
extern double CzFdwRealOption(ForeignTable *table, const char *name, double default_value);

#endif							/* CZ_FDW_INT_H */
