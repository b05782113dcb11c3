/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  What is counted for monitoring: per database, and per worker of a database.
 *
 * Counting is callable anywhere, also in commit and abort callbacks; it never fails.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_COUNTERS_H
#define CZ_COUNTERS_H

#include "datatype/timestamp.h"

typedef enum CzCounter
{
	CZ_COUNT_COMMIT_SINGLE,		/* the transaction was one command, which the worker
								 * committed by itself */
	CZ_COUNT_COMMIT_ONE,		/* one worker: COMMIT */
	CZ_COUNT_COMMIT_CHAIN,		/* the first placements' COMMIT decided for the others */
	CZ_COUNT_COMMIT_TWO_PHASE,
	CZ_COUNT_COMMIT_UNPREPARED, /* several workers, cz.one_phase_commit */
	CZ_COUNT_IN_DOUBT,			/* the user was told 08007 */
	CZ_COUNT_DEADLOCK,			/* over several servers, broken */
	CZ_COUNT_RECOVERED,			/* prepared transactions that recovery has ended */
	CZ_NCOUNTERS
} CzCounter;

/* The last run of cz_verify_placements() */
typedef struct CzVerified
{
	TimestampTz at;				/* 0: there was none */
	int64		nshards;
	int64		ndiffering;		/* shards whose placements are not all there and equal */
} CzVerified;

typedef struct CzNodeCounters
{
	int64		failovers;		/* statements that went on with other placements */
	int64		fragments;		/* of queries, that have ended */
	int64		fragment_us;	/* all together: from when they were sent to their last row,
								 * microseconds */
	int64		slowest_us;		/* of the last 5 to 10 minutes; 0: none */
	int64		slowest_shard_id;	/* valid with slowest_us, like the next one */
	TimestampTz slowest_at;
} CzNodeCounters;

extern void CzCount(CzCounter counter);
extern void CzCountFailover(Oid server_oid);
extern void CzCountFragment(Oid server_oid, int64 shard_id, int64 us, TimestampTz now);
extern void CzCountVerified(int64 nshards, int64 ndiffering);

/*
 * CzCountersRead, CzNodeCountersRead: of this database, since the server started or, where
 * *reset_at is not 0, since then.
 */
extern void CzCountersRead(int64 counts[CZ_NCOUNTERS], CzVerified *verified,
						   TimestampTz *reset_at);
extern void CzNodeCountersRead(Oid server_oid, CzNodeCounters *counters);

/*
 * CzCountersReset
 *		All counters of this database are 0; what was verified stays known.
 */
extern void CzCountersReset(void);

extern Size CzCountersShmemSize(void);
extern void CzCountersShmemInit(void);

#endif							/* CZ_COUNTERS_H */
