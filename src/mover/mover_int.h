/*-------------------------------------------------------------------------
 *
 * mover_int.h
 *	  Private to src/mover: a move, and its steps.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_MOVER_INT_H
#define CZ_MOVER_INT_H

#include "cz/ddl.h"
#include "cz/move.h"
#include "cz/remote.h"

/* Phases, as cz.move has them. */
#define CZ_PHASE_PREPARING "preparing"
#define CZ_PHASE_COPYING "copying"
#define CZ_PHASE_INDEXING "indexing"
#define CZ_PHASE_CATCHING_UP "catching_up"
#define CZ_PHASE_SWITCHING "switching"
#define CZ_PHASE_SWITCHED "switched"
#define CZ_PHASE_DONE "done"
#define CZ_PHASE_FAILED "failed"

/* What is committed on the target must be there when the shards have switched, and the
 * target has crashed. */
#define CZ_MOVE_BEGIN "BEGIN; SET LOCAL synchronous_commit = on"

/* A relation on the workers that holds rows: a shard, or a partition of one. */
typedef struct CzMoveUnit
{
	Oid			relid;			/* the table, or the partition, here */
	int			number;			/* within the move */
	Oid			owner;			/* as whom it is copied */
	char	   *qualified;		/* name on the workers */
	char	   *columns;		/* those that hold data, quoted, with commas; NULL: none */
	List	   *names;			/* char *: the same one by one */
	List	   *hashable;		/* those of them whose types have a hash */
	List	   *key;			/* char *: columns of a key by which rows are told apart,
								 * quoted; NIL: it has none */
	List	   *operators;		/* char *: OPERATOR(...), the equality of each */
	bool		is_partition;	/* also changed by statements that name the table above */
	char	   *prefix;			/* name of its log, and how those of its functions begin */
} CzMoveUnit;

/* A table of the group. */
typedef struct CzMoveTable
{
	Oid			relid;
	Oid			owner;
	bool		is_partitioned;
	int64		shard_id;
	Oid			shard_relid;	/* the foreign table here */
	char	   *qualified;		/* name of the shard on the workers */
	List	   *relations;		/* char *: it and its partitions on the workers */
	List	   *units;			/* CzMoveUnit * */
} CzMoveTable;

/* A move, in a context of its own; what is read in a transaction is read anew in the next. */
typedef struct CzMove
{
	MemoryContext context;
	int64		move_id;
	CzMoveOperation operation;
	CzTransferMode mode;
	int64		task_id;
	Oid			relid;			/* a table of the group */
	int			colocation_id;
	int			shard_index;
	Oid			source_oid;		/* the placement that leaves; InvalidOid: none */
	Oid			target_oid;
	Oid			from_oid;		/* the placement that is copied */
	char	   *cluster_id;
	char	   *phase;
	List	   *tables;			/* CzMoveTable *, by OID */
	Oid			captured_oid;	/* where changes are logged; InvalidOid: nowhere */
	bool		has_keys;		/* the target may have foreign keys already */
	bool		has_copied;		/* with block_writes: rows are on the target */
	int64		nbytes;			/* copied: of units that are complete */
	int64		ncopying;		/* and of the one that is being copied */
	List	   *held;			/* reference tables whose rows must not go; OIDs */
	int			nheld;			/* of them are held */
} CzMove;

/* The comments of what a move makes and leaves on workers; palloc'd. */
extern char *CzMoveMarker(const CzMove *move);
extern char *CzMoveDroppedMarker(const CzMove *move);

/*
 * group.c
 *
 * CzMoveReadGroup
 *		Fill tables and from_oid of a move: what the catalogs say now.
 *
 * Errors:  55000 if the move cannot be made.
 */
extern void CzMoveReadGroup(CzMove *move);

/* tables alone, also when the shards have been moved already. */
extern void CzMoveReadTables(CzMove *move);

/* Tables of the group, list of OIDs, ascending; all tables of a list of CzMoveTable. */
extern List *CzMoveGroupRelids(const CzMove *move);
extern List *CzMoveRelids(const CzMove *move);
/* Roles that own tables of the group: list of OIDs. */
extern List *CzMoveOwners(const CzMove *move);

/*
 * catalog.c: rows of cz.move and cz.cleanup; each in the current transaction.
 */
extern void CzMoveCheckAlone(const CzMove *move);
extern void CzMoveInsert(const CzMove *move);
extern bool CzMoveRead(CzMove *move);
extern void CzMoveInsertFailed(const CzMove *move, const char *sqlstate, const char *message);
extern bool CzMoveCleanupIsLeft(void);
extern void CzMoveSetPhase(CzMove *move, const char *phase);
extern void CzMoveNoteRound(const CzMove *move, int64 nchanges);
extern void CzMoveNote(const CzMove *move, const char *what, double value);
extern void CzMoveFail(const CzMove *move, const char *sqlstate, const char *message);
extern void CzMoveExpectCleanup(const CzMove *move, Oid server_oid, Oid owner, const char *kind,
								const char *name, const char *args, const char *policy,
								const char *marker);
extern void CzMoveForgetCleanup(const CzMove *move, const char *policy);
extern void CzMoveDelayCleanup(const CzMove *move, int delay_ms);
extern List *CzMovesNotEnded(void);
extern char *CzMoveClusterId(void);

/*
 * target.c: what is made on the target.
 *
 * CzMoveDropLeftOver: wait until an old placement of an earlier move is gone there; in
 *		transactions of its own.
 * CzMoveMakeTables: the tables, empty, without indexes.
 * CzMoveSourceSize: bytes of the rows on the source, without indexes.
 * CzMoveMakeIndexes, CzMoveMakeKeys: those; keys are not checked where that can be done
 *		later.
 * CzMoveFinishTarget: after the switch: keys are checked, comments go.
 * CzMoveCheckStructure: 40001 if a table looks otherwise than on the source: it has been
 *		altered meanwhile.
 */
extern void CzMoveDropLeftOver(const CzMove *move);
extern void CzMoveMakeTables(CzMove *move);
extern int64 CzMoveSourceSize(CzMove *move);
extern void CzMoveMakeIndexes(CzMove *move);
extern void CzMoveMakeKeys(CzMove *move);
extern void CzMoveDropKeys(CzMove *move);
extern void CzMoveFinishTarget(CzMove *move);
extern void CzMoveCheckStructure(CzMove *move);

/*
 * rows.c
 *
 * CzMoveCopyRows: the rows to the target, where they are committed.
 * CzMoveUnitsOf: the units of the tables of an owner.
 */
extern void CzMoveCopyRows(CzMove *move, bool is_locked);
extern List *CzMoveUnitsOf(const CzMove *move, Oid owner);

/* mover.c: 55006 if somebody waits for what the move keeps: the tables' locks. */
extern void CzMoveGiveWay(const CzMove *move);

/* The tables are neither altered nor dropped from here on. */
extern void CzMoveLockTables(const CzMove *move);

/*
 * switch.c
 *
 * CzMoveSwitch: in as many attempts as it takes.
 * CzMoveDropOldKeys: foreign keys of the old placement to reference tables, which would
 *		keep rows of those.
 */
extern void CzMoveSwitch(CzMove *move);
extern void CzMoveDropOldKeys(CzMove *move);

/*
 * capture.c, rounds.c: while others write.
 *
 * CzMoveBringOver: log changes, copy, build indexes.
 * CzMoveCatchUp: rounds, until little is missing.
 * CzMoveRound: one; is_last: the source is locked by this transaction.  Returns changes.
 * CzMoveCaptureOff: the source stays: it logs no more, as of this transaction.
 * CzMoveMakeBagIndexes: by which rows of tables without a key are found on the target.
 * CzMoveColumns: a list of columns, each after a prefix, with commas.
 */
extern char *CzMoveColumns(List *names, const char *prefix);
extern void CzMoveCaptureBegin(CzMove *move);
extern void CzMoveBringOver(CzMove *move);
extern void CzMoveCatchUp(CzMove *move);
extern int64 CzMoveRound(CzMove *move, bool is_last);
extern void CzMoveCaptureOff(CzMove *move);
extern void CzMoveMakeBagIndexes(CzMove *move);
extern char *CzMoveStateName(const CzMove *move, int owner_number);

/*
 * CzMoveSnapshotBegin: a transaction with one snapshot, whose text is returned.
 * CzMoveStateWrite: in the transaction of a connection to the target: which snapshot of the
 *		source the tables of an owner are as of.
 */
extern char *CzMoveSnapshotBegin(CzConn *conn);
extern void CzMoveStateWrite(const CzMove *move, CzConn *conn, int owner_number,
							 const char *snapshot);

#endif							/* CZ_MOVER_INT_H */
