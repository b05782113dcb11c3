/*-------------------------------------------------------------------------
 *
 * fdw.h
 *	  The foreign data wrapper: handler, validator, options.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_FDW_H
#define CZ_FDW_H

extern void CzFdwInit(void);

#endif							/* CZ_FDW_H */
