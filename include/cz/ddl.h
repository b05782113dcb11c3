/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  ProcessUtility hook: DDL on distributed tables reaches all placements
 *	  or is refused.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_DDL_H
#define CZ_DDL_H

extern void CzDdlInit(void);

/* While > 0, DDL is our own: the utility hook passes it on untouched. */
extern int	cz_internal_ddl_depth;

#endif							/* CZ_DDL_H */
