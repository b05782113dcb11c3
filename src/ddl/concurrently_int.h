/*-------------------------------------------------------------------------
 *
 * concurrently_int.h
 *	  Shared by the files of the CONCURRENTLY forms: concurrently.c,
 *	  detach_concurrently.c, index_concurrently.c, reindex_concurrently.c.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_CONCURRENTLY_INT_H
#define CZ_CONCURRENTLY_INT_H

#include "ddl_int.h"
#include "storage/lock.h"
#include "storage/lmgr.h"

/* What is kept over the transactions of a statement. */
typedef struct CzWork
{
	Oid			relid;
	LockRelId	lock_id;
	LockRelId	other_lock_id;	/* relId InvalidOid: no other one is locked */
	LOCKTAG		tag;
	MemoryContext context;		/* goes with the portal */
} CzWork;

/* An index that a placement has. */
typedef struct CzRemoteIndex
{
	char	   *name;
	bool		is_valid;
} CzRemoteIndex;

/* A placement of a shard. */
typedef struct CzPlacement
{
	const CzShard *shard;
	Oid			server_oid;
	bool		is_first;		/* of its shard: what it takes, the others must take */
	List	   *indexes;		/* CzRemoteIndex * */
} CzPlacement;

/*
 * In which order placements of a shard get their commands.  While one is built, a unique
 * index must not be where rows are only copied to, but where they are judged: so it comes to
 * the first placement first, and goes from there last.
 */
typedef enum CzPlacementOrder
{
	CZ_ORDER_ANY,
	CZ_ORDER_FIRST_FIRST,
	CZ_ORDER_FIRST_LAST
} CzPlacementOrder;

/* Commands that one placement gets, list of char *; NIL: none. */
typedef List *(*CzMakeCommands) (const CzPlacement *placement, void *arg);

/*
 * CzWorkBegin, CzWorkEnd
 *		ShareUpdateExclusiveLock on a table for the session, which the transaction has.  An
 *		error before the end gives it back, too.
 * CzWorkLockAlso
 *		The same of an index or a partition, which is not to be altered meanwhile.
 * CzNextTransaction
 *		Commit, and begin another one, which has no snapshot.
 * CzSetIndexValidLate
 *		CzSetIndexValid in a transaction that has none.
 */
extern CzWork *CzWorkBegin(Oid relid);
extern void CzWorkEnd(CzWork *work);
extern void CzWorkLockAlso(CzWork *work, Oid oid);
extern void CzNextTransaction(void);
extern void CzSetIndexValidLate(Oid index_oid, bool is_valid);

/*
 * CzLockInTurns
 *		Take locks on tables, all or none, but let nobody wait behind us for longer than a
 *		turn.  Between two turns those are waited for who have them from before.
 *
 * Errors: 55P03 after the user's lock_timeout.
 */
extern void CzLockInTurns(List *relids, LOCKMODE mode);

/*
 * CzLookAtPlacements
 *		Which indexes have the active placements of a table?
 *
 * Returns: list of CzPlacement *.
 * Errors: 08001 if a worker cannot be asked.
 */
extern List *CzLookAtPlacements(const CzTable *table);
extern const CzRemoteIndex *CzRemoteIndexOf(const CzPlacement *placement, const char *name);

/*
 * CzMendCommands
 *		What makes an index on a placement that has none, or only the remains of one.
 *
 * keeps: a valid one of that name is the index, too.
 * Returns: list of char *.
 */
extern List *CzMendCommands(const CzPlacement *placement, const CzIndexDef *def, bool keeps);
extern char *CzDropConcurrentlySql(const CzPlacement *placement, const char *name);

/* What drops the remains of a REINDEX CONCURRENTLY that has failed; list of char *. */
extern List *CzLeftoverCommands(const CzPlacement *placement);

/* Each placement's commands, each a transaction of its own there; workers in parallel, and
 * unless one_by_one several placements of each. */
extern void CzRunConcurrently(Oid relid, CzMakeCommands make, void *arg,
							  CzPlacementOrder order, bool one_by_one);

#endif							/* CZ_CONCURRENTLY_INT_H */
