/*-------------------------------------------------------------------------
 *
 * deadlock_int.h
 *	  Shared by deadlock.c, which knows what sessions wait, and deadlock_find.c, which
 *	  knows what they wait for.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_DEADLOCK_INT_H
#define CZ_DEADLOCK_INT_H

#include "datatype/timestamp.h"
#include "storage/proc.h"

/* Steps of a deadlock that are told; a longer one is told in part. */
#define MAX_STEPS 10

/* A process in a deadlock, and where it waits for the next one. */
typedef struct DeadlockStep
{
	int			pid;			/* of a session here; 0: of a worker's process that */
	Oid			server_oid;		/* belongs to none, */
	int			remote_pid;		/* this one */
	Oid			waits_at;		/* server; InvalidOid: here */
} DeadlockStep;

/* A session that has waited for a worker for long. */
typedef struct LongWaiter
{
	int			slot;			/* number of its PGPROC */
	int			pid;
	uint64		wait;			/* number of the wait, of all that there were */
	TimestampTz xact_start;
} LongWaiter;

typedef struct Deadlock
{
	LongWaiter	victim;
	int			nsteps;
	DeadlockStep steps[MAX_STEPS];
} Deadlock;

/*
 * What a look has found.
 */
typedef struct DeadlockFinding
{
	List	   *deadlocks;		/* of Deadlock * */
	bool		is_complete;	/* every worker that is waited for has answered */
	bool		has_foreign;	/* another coordinator's session is waited for */
} DeadlockFinding;

/* deadlock.c */
extern LongWaiter *CzDeadlockWaiters(int *nwaiters);

/* deadlock_find.c */
extern void CzDeadlockFind(DeadlockFinding *finding);
extern bool CzDeadlockWaitsHere(const PGPROC *proc);

#endif							/* CZ_DEADLOCK_INT_H */
