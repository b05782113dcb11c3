/*-------------------------------------------------------------------------
 *
 * boot.h
 *	  One life of this server is told from the next.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_BOOT_H
#define CZ_BOOT_H

/* The number of this life, which a clean shutdown does not end; never 0 but without
 * shared memory. */
extern int64 CzBootId(void);

/* From now on this life ends with a clean shutdown, too.  Callable in commit callbacks. */
extern void CzBootEnd(void);

extern Size CzBootShmemSize(void);
extern void CzBootShmemInit(void);

#endif							/* CZ_BOOT_H */
