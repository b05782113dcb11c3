/*-------------------------------------------------------------------------
 *
 * mover.h
 *	  Moving shards between workers, see src/mover.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_MOVER_H
#define CZ_MOVER_H

/* Install what the background workers of cz/move.h do. */
extern void CzMoverInit(void);

#endif							/* CZ_MOVER_H */
