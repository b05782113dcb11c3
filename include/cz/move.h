/*-------------------------------------------------------------------------
 *
 * move.h
 *	  Have shards moved or copied to other nodes: requests to the engine of src/mover.
 *
 * A move commits several times, so a background worker carries it out: one process for
 * one group of shards (those of all tables of a colocation group with one number).  It
 * writes a row of cz.move, which says how far it is, and what became of it.  What a
 * crash leaves is resumed or cleaned up by the maintenance worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_MOVE_H
#define CZ_MOVE_H

#include "cz/metadata.h"
#include "postmaster/bgworker.h"

/*
 * Fourth fields of the lock tags of moves' numbers, of jobs' numbers, and of tables whose
 * changes may be logged (CzMoveAwaitCaptures); core uses 1 and 2, shard_lock.c 25466, room.c
 * 25467.
 */
#define CZ_LOCKTAG_MOVE 25468
#define CZ_LOCKTAG_JOB 25469
#define CZ_LOCKTAG_CAPTURE 25470

typedef enum CzMoveOperation
{
	CZ_MOVE_MOVE,				/* the target takes the source's place */
	CZ_MOVE_COPY,				/* the target is one placement more */
	CZ_MOVE_PROMOTE,			/* the target, a clone of the source, becomes a node, and takes
								 * the source's place for many shards */
	CZ_MOVE_SPLIT				/* the shard becomes several */
} CzMoveOperation;

typedef enum CzTransferMode
{
	CZ_TRANSFER_AUTO,			/* writers wait for the switch only */
	CZ_TRANSFER_LOGICAL,		/* the same */
	CZ_TRANSFER_BLOCK_WRITES	/* writers wait for the copy */
} CzTransferMode;

/* What CZ_MOVE_PROMOTE is to do: in dynamic shared memory. */
typedef struct CzPromotePlan
{
	int			timeout_s;		/* for the clone to catch up; 0: none */
	bool		promotes;		/* false: somebody else does that, when he is told */
	int			ngroups;
	struct
	{
		Oid			relid;		/* a table of the colocation group */
		int			index;		/* number of the shard */
	}			groups[FLEXIBLE_ARRAY_MEMBER];	/* that the clone takes */
} CzPromotePlan;

/*
 * Until the clone has been promoted a table on the primary, and so on the clone, tells how
 * far that is: a row (number int8, is_locked boolean); is_locked: nobody writes to the
 * primary's shards any more.
 */
#define CZ_PROMOTE_TOKEN "cz_shards.cz_m" INT64_FORMAT "_token"

/* A shard that another one is to be split into. */
typedef struct CzPiece
{
	int			modulus;		/* of a hash shard, with remainder */
	int			remainder;
	char	   *lower;			/* bounds of a range shard, as text; NULL: the other's own */
	char	   *upper;
	Oid			server_oid;		/* where its first placement is to be; InvalidOid: as the
								 * other's.  The others are where the other's are. */
} CzPiece;

typedef struct CzMoveSpec
{
	Oid			relid;			/* a distributed table of the group; CZ_MOVE_PROMOTE: none */
	int			shard_index;	/* number of the shard */
	int64		shard_id;		/* of this table */
	Oid			source_oid;		/* the placement that leaves; else InvalidOid */
	Oid			target_oid;		/* CZ_MOVE_SPLIT: InvalidOid */
	List	   *pieces;			/* CZ_MOVE_SPLIT: CzPiece * */
	CzMoveOperation operation;
	CzTransferMode mode;
	int64		task_id;		/* of cz.task, 0: none */
	uint32		plan_handle;	/* CZ_MOVE_PROMOTE: of the plan's memory; CZ_MOVE_SPLIT: of
								 * the pieces', filled in by CzMoveStart */
	bool		is_again;		/* debug points are for the first time */
} CzMoveSpec;

/*
 * CzMoveStart
 *		Begin to move: outside of the transaction, whatever becomes of it.
 *
 * handle: out: of the background worker; palloc'd.
 * Returns: the move's number, by which its row will be found.
 * Errors:  53000 no background worker is free.
 */
extern int64 CzMoveStart(const CzMoveSpec *spec, BackgroundWorkerHandle **handle);

/* Is its background worker there? */
extern bool CzMoveIsRunning(BackgroundWorkerHandle *handle);

/*
 * CzMoveResult
 *		What became of a move whose background worker has ended.
 *
 * sqlstate, message: out: why it has failed; palloc'd.
 * Returns: true if it is done.
 */
extern bool CzMoveResult(int64 move_id, char **sqlstate, char **message);

/* Milliseconds that writers had to wait for the switch; 0: it is not known yet. */
extern double CzMovePause(int64 move_id);

/*
 * CzMoveRun
 *		CzMoveStart, wait, and raise the move's error if it has failed.  A cancel is
 *		passed on to the move.  One that gave way to other sessions is begun again.
 *
 * Errors: also 25001 if this transaction has written to workers: the move would wait for it.
 */
extern void CzMoveRun(const CzMoveSpec *spec);

/* Has a move with this SQLSTATE given way to others?  Then it is begun again, any number of
 * times. */
extern bool CzMoveGaveWay(const char *sqlstate);

/* Stop a move that runs: it is undone, unless the switch has been decided. */
extern void CzMoveCancel(BackgroundWorkerHandle *handle);

/* A value of type citus.shard_transfer_mode. */
extern CzTransferMode CzTransferModeOf(Oid value);

/*
 * For the engine.
 *
 * cz_move_task: carry out a move in its background worker; spec: NULL: one that has a row
 *		in cz.move is taken up again.
 * cz_move_round: part of the maintenance worker's round: true if nothing is left to do.
 * CzMoveResume: start a background worker for a move of which there is a row; false: none is
 *		free.
 * CzMoveNoteLeft: something has been committed that the maintenance worker must look after.
 */
extern void (*cz_move_task) (int64 move_id, const CzMoveSpec *spec);
extern bool (*cz_move_round) (void);
extern bool CzMoveResume(int64 move_id);
extern void CzMoveNoteLeft(void);

/*
 * Shards that change their placements.  Writers look whether any does; then they wait for
 * the one that they write.
 *
 * CzMoveSwitchBegin, CzMoveSwitchEnd: from here to there writers of shards look; the latter
 *		does nothing where the former was not called.  An error of the transaction ends it,
 *		too.
 * CzMoveProgress: the move of this process has copied so many bytes.
 * CzMoveAwaitCaptures: the columns of a table, or of a part of one, are about to change in this
 *		transaction: moves that log its changes by their names give way first, and none begins.
 * CzMoveHoldCapture: for the session of a move; false: such a transaction is there.
 * CzTxnHoldReferred, CzTxnReleaseReferred: no rows go from a reference table that shards
 *		may refer to, until they are released or the session ends.
 * CzTxnLockUntil: in a process of a move: locks, here and on workers, are waited for no longer
 *		than until then.
 * CzTxnLockShardsForMove: nobody of this server writes these shards, or locks rows of them,
 *		until the transaction ends.
 */
extern void CzMoveProgress(int64 move_id, int64 bytes);
extern void CzMoveAwaitCaptures(Oid relid);
extern bool CzMoveHoldCapture(Oid relid);
extern void CzMoveReleaseCapture(Oid relid);
extern void CzMoveSwitchBegin(void);
extern void CzMoveSwitchEnd(void);
extern bool CzMoveIsSwitching(void);
extern void CzTxnHoldReferred(Oid relid);
extern void CzTxnReleaseReferred(Oid relid);
extern void CzTxnLockUntil(TimestampTz deadline);
extern void CzTxnLockShardsForMove(const CzShard *const *shards, int nshards,
								   TimestampTz deadline);

#endif							/* CZ_MOVE_H */
