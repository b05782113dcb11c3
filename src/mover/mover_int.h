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

/* What the trigger does that keeps writers away from where a shard was. */
#define CZ_MOVE_FENCE_BODY \
	"BEGIN RAISE EXCEPTION 'could not serialize access because the shard was moved' " \
	"USING ERRCODE = '40001', HINT = 'The transaction might succeed if retried.'; END"

/* How the names of a unit's triggers on the source, and of their functions, end, and that of
 * the second table of its log. */
#define CZ_MOVE_LETTERS "iudt"
#define CZ_MOVE_SECOND_LOG "b"

/* A relation on the workers that holds rows: a shard, or a partition of one. */
typedef struct CzMoveUnit
{
	Oid			relid;			/* the table, or the partition, here */
	Oid			part_relid;		/* the foreign table here that stands for its rows */
	int			number;			/* within the move */
	Oid			owner;			/* as whom it is copied */
	char	   *qualified;		/* name on the workers, on the source */
	char	   *target;			/* and on the target: another one where it is a piece */
	char	   *target_prefix;	/* how names of what is made there begin; no schema */
	char	   *filter;			/* which rows go there: a condition, with %s for the
								 * distribution column; NULL: all */
	char	   *key_column;		/* that column, quoted; set with filter */
	char	   *columns;		/* those that hold data, quoted, with commas; NULL: none */
	bool		is_binary;		/* all of them have a binary form that is the same everywhere */
	List	   *names;			/* char *: the same one by one */
	List	   *hashable;		/* those of them whose types have a hash */
	List	   *key;			/* char *: columns of a key by which rows are told apart,
								 * quoted; NIL: it has none */
	List	   *operators;		/* char *: OPERATOR(...), the equality of each */
	bool		is_partition;	/* also changed by statements that name the table above */
	char	   *prefix;			/* name of its log, and how those of all that belongs to it begin */
} CzMoveUnit;

/* A table of the group. */
typedef struct CzMoveTable
{
	Oid			relid;
	char	   *name;			/* without its schema, for messages */
	Oid			owner;
	bool		is_partitioned;
	int64		shard_id;
	Oid			shard_relid;	/* the foreign table here */
	char	   *qualified;		/* name of the shard on the workers */
	char	   *target;			/* and on the target */
	const CzShard *piece;		/* that is made there of it; NULL: it is the same shard */
	List	   *piece_tree;		/* CzTreeShard *: the piece, and those of partitions */
	char	   *made_by;		/* the commands that have made the piece */
	char	   *drop_keys;		/* those that drop its foreign keys; NULL: it has none */
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
	char	   *title;			/* of CzMoveTitle(), to begin with; NULL: not known */
	char	   *phase;
	List	   *tables;			/* CzMoveTable *, by OID */
	Oid			captured_oid;	/* where changes are logged; InvalidOid: nowhere */
	int			log_number;		/* into which tables: 0 or 1; -1: not known */
	bool		has_left_log;	/* the other ones are to be emptied */
	bool		has_keys;		/* the target may have foreign keys already */
	bool		is_locked;		/* the tables are, for the session */
	bool		has_capture;	/* functions that name columns may be on the source */
	List	   *captures;		/* tables (OIDs) whose lock keeps those waiting who alter them */
	bool		must_let_go;	/* the error that is on its way is one of CzMoveGiveWay */
	char	   *fingerprint;	/* what the tables looked like when they were locked first */
	bool		has_tried;		/* the last attempt has made writers wait */
	bool		is_awaited;		/* writers without locks: their statements are waited for */
	bool		has_copied;		/* with block_writes: rows are on the target */
	bool		has_copied_one; /* rows of a first table, or of a part of one */
	int64		nbytes;			/* copied */
	int64		nchanges;		/* of the last round */
	int64		shard_id;		/* of relid's; 0: whatever number shard_index is */
	int			part;			/* a part of a split: from 1 on; else 0 */
	List	   *pieces;			/* of a split: CzPiece *; its parts are not whole moves */
	List	   *split_tables;	/* of a split: CzPieceTable *, as tables */
	struct CzMove *whole;		/* of a part: the split */
	List	   *parts;			/* of a split: CzMove *, a part for each piece and each of its
								 * placements */
	List	   *old_keys;		/* of CzOldKeysOf() */
	List	   *held;			/* reference tables whose rows must not go; OIDs */
	int			nheld;			/* of them are held */
	uint32		plan_handle;	/* of a promotion */
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

/* A transaction of the mover's own, with a snapshot; it may have been popped at the end. */
extern void CzMoveBegin(void);
extern void CzMoveCommit(void);
/* CzMoveNote() in one. */
extern void CzMoveNoteNow(const CzMove *move, const char *what, double value);
/* For some milliseconds, or until somebody wants something of this process. */
extern void CzMoveSleep(int ms);
/* In PG_CATCH: a lock that an attempt was not given in time is no error, unless the move
 * can't be repeated any more; all else is thrown again. */
extern void CzMoveForgiveLock(const CzMove *move, MemoryContext context);
/* A list of OIDs as an oid[]. */
extern Datum CzMoveOidArray(List *oids);

/* Tables of the group, list of OIDs, ascending; all tables of a list of CzMoveTable. */
extern List *CzMoveGroupRelids(const CzMove *move);
extern List *CzMoveRelids(const CzMove *move);
/* Are these the same still?  40001; the tables are locked. */
extern void CzMoveCheckGroup(const CzMove *move);
/* Roles that own tables of the group: list of OIDs. */
extern List *CzMoveOwners(const CzMove *move);

/*
 * catalog.c: rows of cz.move and cz.cleanup; each in the current transaction.
 */
extern void CzMoveCheckAlone(const CzMove *move);
extern void CzMoveInsert(const CzMove *move);
extern bool CzMoveRead(CzMove *move);

/* What the log calls it, with its shard and nodes; in move->context. */
extern char *CzMoveTitle(const CzMove *move);
extern void CzMoveInsertFailed(const CzMove *move, const char *sqlstate, const char *message);
extern bool CzMoveCleanupIsLeft(void);
extern void CzMoveSetPhase(CzMove *move, const char *phase);
extern void CzMoveNoteRound(const CzMove *move, int64 nchanges);
extern void CzMoveNote(const CzMove *move, const char *what, double value);
extern void CzMoveNoteWaits(const CzMove *move, int nattempts, const char *waits_for);
extern void CzMoveFail(const CzMove *move, const char *sqlstate, const char *message);
extern void CzMoveExpectCleanup(const CzMove *move, Oid server_oid, Oid owner, const char *kind,
								const char *name, const char *args, const char *policy,
								const char *marker);
extern void CzMoveForgetCleanup(const CzMove *move, const char *policy);
extern void CzMoveDelayCleanup(const CzMove *move, int delay_ms);
extern void CzMoveReadPieces(const CzMove *move, List **relids, List **piece_ids);
extern List *CzMovesNotEnded(void);
extern char *CzMoveClusterId(void);

/*
 * target.c: what is made on the target.
 *
 * CzMoveDropLeftOver: wait until an old placement of an earlier move is gone there; in
 *		transactions of its own.
 * CzMoveMakeTables: the tables, empty, without indexes.
 * CzMoveSourceSize: bytes of the rows on the source, without indexes.
 * CzMoveMakeIndexes: those that are not there yet, a few at a time; in transactions of its own.
 * CzMoveMakeIndexesLocked: all, while writers wait.
 * CzMoveMakeKeys: foreign keys, unchecked where that can be done later.
 * CzMoveFinishTarget: after the switch: keys are checked, comments go.
 * CzMoveCheckStructure: 40001 if a table looks otherwise than on the source: it has been
 *		altered meanwhile.
 */
extern void CzMoveDropLeftOver(CzMove *move);
extern void CzMoveMakeTables(CzMove *move);
extern int64 CzMoveSourceSize(CzMove *move);
extern void CzMoveMakeIndexes(CzMove *move);
extern void CzMoveMakeIndexesLocked(CzMove *move);
extern void CzMoveMakeKeys(CzMove *move);
extern void CzMoveDropKeys(CzMove *move);
extern void CzMoveFinishTarget(CzMove *move);
extern void CzMoveCheckStructure(CzMove *move);

/*
 * copy.c
 *
 * CzMoveCopyRows: the rows to the target, where they are committed, each unit by itself;
 *		those that are there already are not copied again.  is_locked: nobody writes the
 *		source; nothing is noted.
 */
extern void CzMoveCopyRows(CzMove *move, bool is_locked);

/* The units of the tables of an owner, CzMoveUnit *. */
extern List *CzMoveUnitsOf(const CzMove *move, Oid owner);

/*
 * CzMoveFilter
 *		The rows of a unit that go to the target: a condition over its distribution column,
 *		which has this prefix, or is (is_whole) this; palloc'd.  NULL: all rows.
 */
extern char *CzMoveFilter(const CzMoveUnit *unit, const char *column, bool is_whole);

/*
 * parallel.c
 *
 * CzMoveRunCommands: commands on the target, CzMoveCommand *, a few at a time, without
 *		transactions of the caller.
 */
typedef struct CzMoveCommand
{
	Oid			owner;
	char	   *sql;
	CzConn	   *conn;			/* while it runs */
} CzMoveCommand;

extern void CzMoveRunCommands(CzMove *move, List *commands);

/*
 * CzMoveWait
 *		Wait until one of the sockets is ready, or for a moment: the caller looks around.
 *
 * conns: whose they are; one that is silent for too long is probed.
 * silent_ms: how long none has been ready; to be kept between the calls.
 */
extern void CzMoveWait(CzWaitSlot *slots, CzConn **conns, int n, int *silent_ms);

/*
 * give_way.c: users' statements that need the tables for themselves.
 *
 * CzMoveLockTables: they are neither altered nor dropped from here on; outside of
 *		transactions.
 * CzMoveUnlockTables: who waits goes on.
 * CzMoveLetGo: unlock, and lock again when those who had to wait are through.  40001 if the
 *		tables look otherwise then.
 * CzMoveGiveWay: to be called all the time.  Does somebody wait?  Then in no transaction:
 *		CzMoveLetGo; in one: an error, after which CzMoveRepeat goes on.  40001 if the tables
 *		are about to be altered: then nothing of the source logs by columns' names any more.
 * CzMoveLookAside: the same for a step that reads nothing from the source: the tables are
 *		unlocked, and locked at its end by CzMoveLetGo.
 * CzMoveRepeat: a step of the move, again if it had to give way.
 */
extern void CzMoveLockTables(CzMove *move);
extern void CzMoveUnlockTables(CzMove *move);
extern void CzMoveLetGo(CzMove *move);
extern void CzMoveGiveWay(CzMove *move);
extern void CzMoveLookAside(CzMove *move);
extern void CzMoveRepeat(CzMove *move, void (*step) (CzMove *move));

/*
 * await.c: wait for statements that write the tables now; the transaction must be over.
 *
 * gives_way: CzMoveGiveWay meanwhile.
 * Returns: true if there were some.
 */
extern bool CzMoveAwaitStatements(CzMove *move, bool gives_way);

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
 * CzMoveRelationsOf: the names of what a role's tables are on workers, with commas.
 */
extern char *CzMoveRelationsOf(const CzMove *move, Oid owner);
extern void CzMoveReleaseReferences(CzMove *move);

/*
 * promote.c
 *
 * CzPromoteRun: a clone becomes a node (cz/move.h); plan_handle: of a CzPromotePlan.
 * CzPromoteFinish: after the switch, also after a crash.
 */
extern void CzPromoteRun(CzMove *move, uint32 plan_handle);
extern void CzPromoteFinish(CzMove *move);

/*
 * functions.c
 *
 * CzMoveFindShard: relid, shard_index and shard_id of a shard, if the user may move it.
 * CzMoveNodeOfId: the server of a worker.
 *
 * Errors:  42704 there is no such shard or worker, 42501, 0A000.
 */
extern void CzMoveFindShard(int64 shard_id, CzMoveSpec *spec);
extern Oid	CzMoveNodeOfId(int node_id);

/*
 * The steps of a switch that splits have, too; in its transaction.
 *
 * CzMoveLockWriters: keep out writers and who locks rows: of this server, then of all others;
 *		deadline: for all locks together.
 * CzMovePutFence: where shards leave: nobody writes there any more, and it is marked.
 * CzMoveHoldReferences: rows that old placements may refer to stay; CzMoveDropOldKeys lets
 *		them go.
 */
extern void CzMoveLockWriters(CzMove *move, TimestampTz deadline);
extern void CzMovePutFence(const CzMove *move, Oid server_oid);
extern void CzMoveHoldReferences(CzMove *move, List *server_oids);

/*
 * holders.c: who would be waited for.
 *
 * CzMoveAwaitMoment: look for a moment in which locks are likely to be given in time, for a
 *		while; in the transaction that wants them; false: there was none.  excludes_readers:
 *		so will the locks.
 * CzMoveNoteHolders: after an attempt that has failed, this one since a moment: cz_moves says
 *		who has locks; 55P03 after cz.cutover_timeout.
 * CzMoveDeadline: when an attempt that begins now has to have its locks.
 */
extern bool CzMoveAwaitMoment(const CzMove *move, bool excludes_readers);
extern void CzMoveNoteHolders(const CzMove *move, int nattempts, TimestampTz since);
extern TimestampTz CzMoveDeadline(void);

/*
 * split_plan.c, split.c: a shard becomes several.
 *
 * CzSplitRead: fill a move from the catalogs; its parts are kept.
 * CzSplitPrepare: write down what it is going to make and to leave; in transactions of its
 *		own.
 * CzSplitMakeTables, CzSplitBringOver, CzSplitCatchUp: the steps before the switch, for each
 *		part.
 * CzSplitCopyRows: CzMoveCopyRows of a part.
 * CzSplitMakeSql, CzSplitIndexesSql: the commands that make a piece without its indexes (and
 *		are remembered), and those.
 * CzSplitRelids: tables, list of OIDs, and their partitions.
 * CzSplitHelperName: the table on the source by which rows of table number n of the group are
 *		told apart.
 * CzSplitCheckDefinition: 40001 if a table has been altered since.
 * CzSplitSetCatalogs: the pieces in the shard's place, in this transaction.
 * CzSplitAttempt: to switch; false: somebody has a lock (split_switch.c).
 * CzSplitFinish: after the switch, also after a crash.
 */
extern void CzSplitRead(CzMove *move);
extern void CzSplitPrepare(CzMove *move);
extern void CzSplitMakeTables(CzMove *move);
extern void CzSplitBringOver(CzMove *move);
extern void CzSplitCopyRows(CzMove *part, bool is_locked);
extern void CzSplitCatchUp(CzMove *move);
extern void CzSplitCheckDefinition(const CzMove *move);
extern char *CzSplitMakeSql(const CzMove *part, CzMoveTable *table, Relation rel,
							CzConn *from);
extern char *CzSplitIndexesSql(const CzMoveTable *table, Relation rel);
extern List *CzSplitRelids(List *relids);
extern char *CzSplitHelperName(const CzMove *move, int number);
extern void CzSplitSetCatalogs(CzMove *move);
extern bool CzSplitAttempt(CzMove *move, double *pause_ms);
extern void CzSplitFinish(CzMove *move);

/* A table's shards that were made by a split: their ids. */
extern List *CzMovePieceIds(const CzMove *move);

/*
 * capture.c, rounds.c: while others write.
 *
 * CzMoveBringOver: log changes, copy, build indexes.
 * CzMoveCatchUp: rounds, until little is missing.
 * CzMoveRound: one; is_last: the source is locked by this transaction.  Returns changes.
 * CzMoveCaptureOff: the source stays: it logs no more, as of this transaction.
 * CzMoveCaptureStop: the move is given up: it logs no more from now on, without locks of
 *		tables; errors go to the log.  And who alters the tables needn't wait.
 * CzMoveHoldCaptures, CzMoveReleaseCaptures: from here to there those wait, and the move gives
 *		way to them.
 * CzMoveMakeBagIndexes: by which rows of tables without a key are found on the target.
 * CzMoveColumns: a list of columns, each after a prefix, with commas.
 */
extern char *CzMoveColumns(List *names, const char *prefix);
extern void CzMoveCaptureBegin(CzMove *move);
extern void CzMoveBringOver(CzMove *move);
extern void CzMoveCatchUp(CzMove *move);
extern int64 CzMoveRound(CzMove *move, bool is_last);
extern void CzMoveCaptureOff(CzMove *move);
extern void CzMoveCaptureStop(CzMove *move);
extern void CzMoveHoldCaptures(CzMove *move);
extern void CzMoveReleaseCaptures(CzMove *move);
extern void CzMoveMakeBagIndexes(CzMove *move);
extern char *CzMoveStateName(const CzMove *move, int owner_number);

/*
 * log.c: what the triggers write into.
 *
 * CzMoveLogSql: commands that make it, and the triggers' functions.
 * CzMoveLogName: one of its tables, 0 or 1, with schema; palloc'd.
 * CzMoveLogRows: its rows, for a FROM clause; palloc'd.
 * CzMoveLogIsWhole: a condition: no crash has emptied it; palloc'd.
 * CzMoveLogCheck: to be called all the time; 53400 if it is larger than cz.move_log_limit.
 * CzMoveLogTurn: of a whole move, after its copy: what has grown large is left, and emptied
 *		later; in no transaction.
 */
extern void CzMoveLogSql(StringInfo sql, const CzMoveUnit *unit);
extern char *CzMoveLogName(const CzMoveUnit *unit, int which);
extern char *CzMoveLogRows(const CzMoveUnit *unit);
extern char *CzMoveLogIsWhole(const CzMoveUnit *unit);
extern void CzMoveLogCheck(CzMove *move);
extern void CzMoveLogTurn(CzMove *move);

/*
 * CzMoveTryLock
 *		Commands that lock tables in a transaction that they begin; false: a lock was not given
 *		in time, and it is rolled back.
 */
extern bool CzMoveTryLock(CzConn *conn, const char *sql);

/* The tables on the target that say of which snapshots of the source its tables are. */
extern void CzMoveMakeStates(const CzMove *move);

/*
 * CzMoveSnapshotBegin: a transaction with one snapshot, whose text is returned.
 * CzMoveStateWrite: in the transaction of a connection to the target: which snapshot of the
 *		source some units of an owner (of which these are) are as of.
 * CzMoveStateRead: of a unit; palloc'd.  NULL: it has not been copied.
 */
extern char *CzMoveSnapshotBegin(CzConn *conn);
extern void CzMoveStateWrite(const CzMove *move, CzConn *conn, int owner_number, List *units,
							 const char *snapshot);
extern char *CzMoveStateRead(const CzMove *move, CzConn *conn, int owner_number,
							 const CzMoveUnit *unit);

#endif							/* CZ_MOVER_INT_H */
