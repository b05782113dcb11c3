/*-------------------------------------------------------------------------
 *
 * transaction.h
 *	  The remote side of the current transaction: one connection per worker
 *	  and user, its savepoints, plain or two-phase commit, recovery.
 *
 * The rule: what was written through a connection is read through it, so a
 * transaction has at most one connection of state TXN per worker and user
 * mapping.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_TRANSACTION_H
#define CZ_TRANSACTION_H

#include "access/xlogdefs.h"
#include "cz/compat.h"
#include "cz/metadata.h"
#include "cz/remote.h"
#include "lib/stringinfo.h"
#include "utils/resowner.h"
#include "utils/snapshot.h"

extern void CzTransactionInit(void);
extern Size CzTxnShmemSize(void);
extern void CzTxnShmemInit(void);
extern Size CzDirtyShmemSize(void);
extern void CzDirtyShmemInit(void);
extern Size CzActivityShmemSize(void);
extern void CzActivityShmemInit(void);
extern Size CzDeadlockShmemSize(void);
extern void CzDeadlockShmemInit(void);
extern Size CzMoversShmemSize(void);
extern void CzMoversShmemInit(void);
extern Size CzRoomShmemSize(void);
extern void CzRoomShmemInit(void);
extern Size CzBlockShmemSize(void);
extern void CzBlockShmemInit(void);

/*
 * CzTxnConn
 *		The current transaction's connection to a worker, with BEGIN sent and
 *		savepoints in step with the current subtransaction; drained (nobody
 *		else is reading from it).  Drain errors are raised here.
 *
 * Returns: owned by the transaction, borrowed until its end.
 * Errors:  as CzConnAcquire; 25006 in a read-only transaction if for_write.
 *		for_write marks it as written: commit will include it.
 */
extern CzConn *CzTxnConn(Oid server_oid, Oid user_oid, bool for_write);

/*
 * CzTxnConnPrefix
 *		CzTxnConn without its own round trip: what has to be sent first (BEGIN,
 *		SAVEPOINT; ends in ';' when not empty) is appended to prefix, and the
 *		caller sends it in the same simple query before its command, at once.
 *		Does not run the registered flushes.
 *
 * Should it never be sent, an abort sees that from libpq's state; a ROLLBACK TO
 * that finds no savepoint fails the whole transaction.
 */
extern CzConn *CzTxnConnPrefix(Oid server_oid, Oid user_oid, bool for_write,
							   StringInfo prefix);

/*
 * CzTxnFirstConnPrefix
 *		CzTxnConnPrefix for a write to the first placement of a shard, whose others get
 *		the same by CzTxnReplicaConnPrefix.
 */
extern CzConn *CzTxnFirstConnPrefix(Oid server_oid, Oid user_oid, StringInfo prefix);

/*
 * CzTxnReplicaConnPrefix
 *		CzTxnConnPrefix for a write that another placement of the shard has got before
 *		or will get: should the connection be lost, CzTxnLoseConn may do without.
 */
extern CzConn *CzTxnReplicaConnPrefix(Oid server_oid, Oid user_oid, StringInfo prefix);
extern CzConn *CzTxnReplicaConn(Oid server_oid, Oid user_oid);

/*
 * CzTxnCanReach
 *		Has the transaction a connection to the worker, or does it get one?  False if
 *		the worker is down; a connection that was lost is forgotten first, if that may
 *		be, and the placements that were written through it are lost.
 *
 * Errors: 08006 if it may not; what a worker that lives refuses.
 */
extern bool CzTxnCanReach(Oid server_oid, Oid user_oid);

/*
 * CzTxnCanReachNow
 *		The same for whom it costs much if not: a worker that is avoided is looked at first,
 *		for it may be back.
 */
extern bool CzTxnCanReachNow(Oid server_oid, Oid user_oid);

/*
 * CzTxnLoseConn
 *		A connection of the transaction broke.  If all that was written through it is on
 *		other placements, those here are lost, and the transaction goes on without it.
 *
 * Returns: false if it can't.
 */
extern bool CzTxnLoseConn(CzConn *conn);

/*
 * CzTxnMustLoseConn
 *		CzTxnLoseConn for a connection that was written to.
 *
 * Errors: 08006 if the transaction can't go on without it.
 */
extern void CzTxnMustLoseConn(CzConn *conn);

/*
 * CzTxnLosePlacement
 *		The transaction does without a placement: it is marked inactive with its commit,
 *		and so are those of the colocated tables.  CzTxnMayLose says whether another one
 *		is left.  Warns once a worker.
 *
 * reason: not copied.
 */
extern void CzTxnLosePlacement(const CzShard *shard, Oid server_oid, const char *reason);
extern bool CzTxnMayLose(const CzShard *shard, Oid server_oid);

/*
 * CzTxnReachOrLose
 *		CzTxnCanReachNow for who writes a placement, or locks rows of it: where its worker is
 *		down, the transaction does without it (CzTxnLosePlacement).
 *
 * Errors: those of CzTxnCanReach.
 */
extern bool CzTxnReachOrLose(const CzShard *shard, Oid server_oid, Oid user_oid);

/*
 * CzTxnAwaitCopy
 *		Before a table is written that refers to a reference table: where a worker's copy of
 *		that is not used, its shards could not be checked.  Wait a while for the copy to be
 *		made whole, else do without placements beside which there is none if the shard has
 *		others.
 */
extern void CzTxnAwaitCopy(Oid relid, Oid reference_relid);

/* 40001: the placements that the transaction would go on with are inactive now. */
pg_noreturn extern void CzTxnReportChange(const CzShard *shard);

/*
 * CzTxnPlacementsDiffer, CzTxnPlacementsEqual
 *		A shard's placements have been found to differ, whatever becomes of this
 *		transaction: all but the first are inactive at once, of a reference table the copy
 *		on a server, until they are compared.  They are equal, as of this transaction's
 *		commit.
 */
extern bool CzTxnPlacementsDiffer(const CzShard *shard, Oid server_oid);
extern void CzTxnPlacementsEqual(int64 shard_id);
extern bool CzTxnIsLost(int64 shard_id, Oid server_oid);
extern bool CzTxnHasLost(void);

/* Where the writers of the shard's rows meet: its first placement that is not lost. */
extern Oid	CzTxnFirstPlacement(const CzShard *shard);

/*
 * CzTxnWritePlacements
 *		Where to write a shard: its active placements, the first of which (or with all
 *		set each) can be reached; others are lost.  To be asked after the shard is
 *		locked, of what CzShardFresh returns then.
 *
 * server_oids: out, palloc'd.
 * Returns: their number, at least one if the shard has any.
 */
extern int	CzTxnWritePlacements(const CzShard *shard, Oid user_oid, bool all,
								 Oid **server_oids);

/* The same if the transaction has one already, else NULL.  Savepoints in step. */
extern CzConn *CzTxnConnIfAny(Oid server_oid, Oid user_oid);

/*
 * CzTxnReadConn
 *		What a read must use: the transaction's connection if it has one for
 *		this worker, or if the isolation level is REPEATABLE READ or higher;
 *		NULL if the read may use any connection of the cache.  Finishes what is
 *		in doubt on the worker first, so to be called before each reading
 *		statement's first use of it.
 *
 * Errors: 0A000 if the transaction has written to this worker as another user:
 *		the read would not see it; 55000 if a committed transaction can't be
 *		finished there, 08001 if it is in doubt and can't be reached.
 */
extern CzConn *CzTxnReadConn(Oid server_oid, Oid user_oid);

/*
 * CzTxnWorkerIsClear
 *		May the worker be read, or may a committed transaction be unfinished there
 *		whose rows would be missing?  Tries to finish it.  For who has another
 *		placement to read; else CzTxnReadConn raises what is wrong.
 */
extern bool CzTxnWorkerIsClear(Oid server_oid, Oid user_oid);

/* The same with an error if not, as of CzTxnReadConn, which calls it. */
extern void CzTxnRequireClear(Oid server_oid, Oid user_oid);

/*
 * CzTxnMarkInDoubtAtCommit
 *		From this transaction's commit on another server may be the worker, where something
 *		is prepared that is to be finished before it is used.
 */
extern void CzTxnMarkInDoubtAtCommit(Oid server_oid);

/*
 * CzTxnForgetWorker
 *		A server is about to be dropped: finish there what is decided, so that the
 *		log of decisions need not wait for it.  Where that fails the log keeps them
 *		for the case that the worker comes back as another server.
 */
extern void CzTxnForgetWorker(Oid server_oid);

/* The cluster's id, 32 hexadecimal digits; borrowed until the next call.  NULL: it has none. */
extern const char *CzTxnClusterId(void);

/* The line that this coordinator gives a worker (CzMarkWrite); palloc'd. */
extern char *CzTxnMakeMark(const char *word);

/*
 * CzTxnCheckCoordinator
 *		Error if this database is a copy of the coordinator, which may only read
 *		from workers.  CzTxnConn does it before a write; who changes workers
 *		outside of the transaction calls it.
 *
 * Errors: 55000; 25006 during recovery.
 */
extern void CzTxnCheckCoordinator(void);

/*
 * CzTxnIsCoordinator
 *		Is this database the coordinator of its cluster?  Else its DDL is its own affair;
 *		but what was the coordinator until another one took over is told so: 55000.
 * CzTxnIsReplaced
 *		Has a worker told of a later coordinator?
 */
extern bool CzTxnIsCoordinator(void);
extern bool CzTxnIsReplaced(void);

/*
 * An attached coordinator (attached.c).
 *
 * CzTxnIsAttached
 *		Is this database one: may it read and write rows, and nothing else?
 * CzAttachedUse
 *		Before a statement uses tables: is what is known here of where their shards are, and
 *		of what they are, what the owner knows?  If not it is brought up to date first.
 *		Errors: 55000 a table is another one there.  Does nothing elsewhere.
 * CzAttachedRefuse
 *		55000 on an attached coordinator: what is to be done only the owner may.
 * CzAttachedOwner
 *		The foreign server that is the owner.
 */
extern bool CzTxnIsAttached(void);
extern void CzAttachedUse(List *relids);
extern void CzAttachedRefuse(void);
extern Oid	CzAttachedOwner(void);

/*
 * CzTxnPlaceValues
 *		What makes this database no copy of it, as values for cz.attached.
 * CzTxnRaiseEpoch
 *		Of the coordinator that is the owner: who knows only the former epoch is fenced on the
 *		workers, as after a take-over.  Returns: the new one.
 */
extern char *CzTxnPlaceValues(void);
extern int	CzTxnRaiseEpoch(void);

/* Does this database come from a dump, and has not taken over yet? */
extern bool CzTxnIsRestored(void);

/* Does it come from a dump, so that what was decided and noted after that is not known? */
extern bool CzTxnIsOfDump(void);

/*
 * CzTxnIsOfFormer
 *		Is a prepared transaction, by its name, one of a former coordinator of this cluster
 *		whose decision is not known here?
 */
extern bool CzTxnIsOfFormer(const char *gid);

/*
 * CzTxnCheckMayWrite
 *		Error if the current transaction must not write on a worker.  CzTxnConn does it;
 *		who writes without it calls it.
 *
 * Errors: 25006 if it is read-only, 25000 during a parallel operation; those of
 *		CzTxnCheckCoordinator.
 */
extern void CzTxnCheckMayWrite(void);

/*
 * CzTxnReadConnAt
 *		CzTxnReadConn for a scan whose snapshot has this curcid: as in core it sees what
 *		earlier commands of the transaction wrote and nothing of itself or later ones.
 *		Writes that later commands have buffered stay where they are.
 *
 * Errors: also 0A000 if the worker can't show that state any more: both earlier and
 *		later commands have written there.
 */
extern CzConn *CzTxnReadConnAt(Oid server_oid, Oid user_oid, CommandId curcid);

/* Must a scan with this curcid, begun now, read through the transaction's connection to
 * any worker?  Has the transaction one to this worker?  Neither sends anything. */
extern bool CzTxnHasWrittenBefore(CommandId curcid);
extern bool CzTxnHasConn(Oid server_oid, Oid user_oid);

/* Has the transaction sent something to the worker? */
extern bool CzTxnHasBegun(Oid server_oid, Oid user_oid);

/*
 * CzTxnGiveBack
 *		Roll back what was done on an idle connection, all of it by the command that runs
 *		in the outermost transaction: as if it had not been used.
 *
 * Errors: 08006 if it is lost, and the transaction can't go on without it.
 */
extern void CzTxnGiveBack(CzConn *conn);

/*
 * CzTxnEnterPools
 *		Connections to all of these workers are about to be needed: wait until all that
 *		the transaction does not have may be made (CzPoolEnter).
 */
extern void CzTxnEnterPools(List *server_oids, Oid user_oid);

/* CzTxnConn for a command that locks rows and changes none. */
extern CzConn *CzTxnLockConn(Oid server_oid, Oid user_oid);

/*
 * CzTxnBeforeWrite
 *		A command of the transaction is about to change something on a worker: called
 *		before its first change, also a buffered one.  Calls what CzTxnSetBeforeWrite
 *		has set: scans of earlier commands, that could not be read afterwards, are read;
 *		before DDL and its kin, whose locks they would wait for, all scans.
 *
 * Returns: the command's id.
 */
typedef void (*CzBeforeWriteCallback) (bool is_utility);
extern void CzTxnSetBeforeWrite(CzBeforeWriteCallback callback);
extern CommandId CzTxnBeforeWrite(void);

/*
 * The transaction that is one command on one worker, which commits it by itself.
 *
 * CzTxnNoteExecute: a utility statement begins.  True if it is a client's EXECUTE: to be
 *		followed by CzTxnForgetExecute when it has ended without an error.
 * CzTxnNoteExecuted: the executor starts; the first statement is that of EXECUTE.
 * CzTxnMayBeSingle: may the plan of this statement, of which the caller is the root, be
 *		carried out like that?  If it returns rows, nothing may fail that is done with
 *		them.  To be asked when everything is computed that could write or fail.
 * CzTxnSingleBegin, CzTxnSingleEnd: the command is sent; it has ended.  node_name: the
 *		worker has committed.  From there on interrupts are held until the transaction
 *		has ended, which must be at once.  NULL: it has not.
 */
struct PlannedStmt;
extern bool CzTxnNoteExecute(const struct PlannedStmt *pstmt, bool is_top_level);
extern void CzTxnNoteExecuted(const struct PlannedStmt *stmt);
extern void CzTxnForgetExecute(void);
extern bool CzTxnMayBeSingle(const struct PlannedStmt *stmt);
extern void CzTxnSingleBegin(void);
extern void CzTxnSingleEnd(const char *node_name);

/*
 * CzTxnNoteSequences
 *		What has just been computed wrote nothing here but sequences, if anything: what
 *		a sequence gives is never taken back, so that is no reason for two phases.
 *
 * had_xid, wal_before: whether there was a transaction id before, and XactLastRecEnd.
 */
extern void CzTxnNoteSequences(bool had_xid, XLogRecPtr wal_before);

/*
 * CzStatementDepth
 *		How many statements run within each other; 0: none runs.
 * CzStatementBegin, CzStatementEnd
 *		Around each statement, also those that run within another one.
 *
 * CzBracketOpen
 *		The statement that runs writes a table by several commands on a worker: from here on
 *		the foreign keys of the table, those to it, and those of tables that they change, are
 *		checked when the statement ends, and so are its DEFERRABLE unique and exclusion
 *		constraints.  Does nothing for a table without such, nor outside of a statement.
 * CzBracketClose
 *		Before the end of a statement: if it is the one that has opened the bracket, what
 *		waits is sent, and keys are checked.  Errors: those of the keys (23503, 23505).
 * CzBracketHas
 *		Is a constraint one that waits for that end?
 * CzFlushReferenced
 *		Before rows of a table are gathered for the workers: what waits to be sent goes
 *		first if the table has keys, for they may refer to it.
 */
extern void CzStatementBegin(void);
extern void CzStatementEnd(void);
extern int	CzStatementDepth(void);
extern void CzBracketOpen(Oid relid);
extern void CzBracketClose(void);
extern bool CzBracketHas(Oid constraint_oid);
extern void CzFlushReferenced(Oid relid);

/*
 * CzConstraintSet
 *		SET CONSTRAINTS has been done here, for one constraint or (InvalidOid) all.
 * CzConstraintIsDeferred
 *		As SET CONSTRAINTS has it, is a constraint that can be deferred?
 * CzTxnTellConstraints
 *		Workers that the transaction has written on are told which constraints are deferred
 *		now; those that are not any more they check.  Errors: the constraints'.
 */
extern void CzConstraintSet(Oid constraint_oid, bool deferred);
extern bool CzConstraintIsDeferred(Oid constraint_oid, bool is_initially_deferred);
extern void CzTxnTellConstraints(void);

/*
 * CzTxnCheckWritesHere
 *		A statement begins: if it changes tables of this server, can the workers that the
 *		transaction has written on agree with that at the commit?
 *
 * Errors: 55000.
 */
extern void CzTxnCheckWritesHere(const struct PlannedStmt *stmt);

/* Has the transaction written through any connection? */
extern bool CzTxnHasWritten(void);

/* Run one command that returns no rows on a worker, within the transaction. */
extern void CzTxnExec(Oid server_oid, Oid user_oid, const char *sql);

/* Run one command on every placement of a shard, within the transaction. */
extern void CzTxnExecOnShard(const CzShard *shard, Oid user_oid, const char *sql);

/*
 * CzTxnExecList
 *		Run a list of CzTxnCommand: workers in parallel, the commands of one
 *		worker in the order of the list.
 */
typedef struct CzTxnCommand
{
	Oid			server_oid;
	const char *sql;			/* returns no rows that matter */
} CzTxnCommand;

extern void CzTxnExecList(List *commands, Oid user_oid);

/*
 * CzOutsideRun
 *		Run a list of CzOutsideCommand outside of the transaction, on connections of its
 *		own: all workers at once, the commands of one worker in the order of the list.
 *
 * is_users: commands that a user has written: each worker gives them a session of their
 *		own, with its own settings.  Otherwise connections of this session are used, and
 *		come back to it.
 * is_parallel: false: one command after the other.
 *
 * Errors: none but for interrupts (57014) and those of take: that a worker cannot be
 *		reached, or refuses a command, is an answer.  A worker that is silent is probed.
 */
typedef struct CzOutsideCommand
{
	Oid			server_oid;
	const char *sql;

	/* called with the rows (borrowed) if it has worked; NULL: answer is made */
	void		(*take) (struct CzOutsideCommand *command, struct pg_result *res);
	void	   *arg;			/* the caller's */
	bool		is_ok;			/* out */
	char	   *answer;			/* out: first column of the first row, or the tag; an
								 * error's message; palloc'd, may be NULL */
} CzOutsideCommand;

extern void CzOutsideRun(List *commands, Oid user_oid, bool is_users, bool is_parallel);

/* The same, all at once, for who only looks whether workers answer: without waiting for a
 * place where they have all the connections that they may have. */
extern void CzOutsideLook(List *commands, Oid user_oid);

/*
 * CzOutsideRunScripts
 *		Run a list of CzOutsideScript on connections of this session: each command is a
 *		transaction of its own, as CREATE INDEX CONCURRENTLY must be; the commands of a
 *		script one after the other, several scripts at a time on each worker.
 *
 * per_worker: how many, if there are connections for them.
 * Errors: the first one of a worker, 08001, 08006, 57014; what runs elsewhere then is
 *		cancelled, also if the session is ended, and what has not begun is left.
 */
typedef struct CzOutsideScript
{
	Oid			server_oid;
	List	   *commands;		/* char *, one command each */
} CzOutsideScript;

extern void CzOutsideRunScripts(List *scripts, Oid user_oid, int per_worker);

/*
 * CzTxnRegisterFlush
 *		Have a function called before the transaction reads, opens a
 *		subtransaction's savepoint or commits: who buffers writes sends them then.
 *		Belongs to the current subtransaction; forgotten when that aborts.
 *		CzTxnUnregisterFlush with the same arg takes it back.
 */
typedef void (*CzFlushCallback) (void *arg);
extern void CzTxnRegisterFlush(CzFlushCallback callback, void *arg);

/* Writes of a later command, by the same registration. */
extern void CzTxnFlushGoesOn(void *arg);
extern void CzTxnUnregisterFlush(void *arg);
extern bool CzTxnIsFlushRegistered(void *arg);
extern void CzTxnFlushPending(void);

/* Only those of outer subtransactions: for who buffers writes, before he uses a
 * connection by CzTxnConnPrefix outside of his flush. */
extern void CzTxnFlushOuter(void);

/*
 * CzTxnRunAtLevel
 *		Run a flush as part of the subtransaction (nest level) that buffered the
 *		rows; what subtransactions around that one have buffered is sent first.
 *		Should it fail in a deeper one, its own can only be rolled back (40000
 *		from whatever uses a worker, and from commit).
 */
extern void CzTxnRunAtLevel(int level, CzFlushCallback callback, void *arg);

/*
 * CzCommitRoomEnter, CzCommitRoomLeave
 *		A commit that takes effect on several workers, one after the other: between the
 *		two nobody takes a snapshot over several workers.  Enter before the first of them
 *		commits (so before the local commit record, if that is the decision), where a
 *		cancel may still be honoured; leave after the last one has confirmed, or is
 *		marked in doubt, at most a second later.  Leave does nothing where the
 *		transaction is not inside; an abort has to call it, too.
 *
 * writes_here: the transaction has changed this server's own tables, but for the log of
 *		decisions.
 * Errors: 57014 while it waits for those who take snapshots (milliseconds).
 */
extern void CzCommitRoomEnter(bool writes_here);
extern void CzCommitRoomLeave(void);

/*
 * Shards, roughly: a bit for each remainder; those of a table, and of tables that were made
 * one after the other, have different ones.  Empty: all zero.
 */
#define CZ_SHARD_SET_WORDS 4

typedef struct CzShardSet
{
	uint64		words[CZ_SHARD_SET_WORDS];
} CzShardSet;

extern void CzShardSetAdd(CzShardSet *set, int64 shard_id);

/*
 * CzPlacementsEnter, CzPlacementsLeave
 *		The same for a commit on placements of one shard, the first before the others:
 *		from before the first one's COMMIT until the last has confirmed or is marked, and
 *		others can know of it: the end of the transaction leaves, in whatever way.  Two
 *		stores; nobody waits but who reads a placement in place of another one.
 *
 * CzAwaitPlacements
 *		Wait until such commits that are on their way now have come to their end, if they
 *		have written these shards: before one is read from another placement than the
 *		first.  They may change which placements are active: look at CzRoomEpoch again.
 *
 * CzPlacementsMayDiffer
 *		Before placements are looked up, to be read from: may others be the first than the
 *		ones that this session has read from last?  False: as of *epoch (CzRoomEpoch) all
 *		that has changed is known; else CzPlacementsLook is to be called.
 *
 * CzPlacementsLook
 *		CzAwaitPlacements where that has not been done since, and take notice of what has
 *		changed.  Returns CzRoomEpoch, of which what is looked up is at least.
 *
 * Errors: 55000 if a commit does not end within some timeouts.
 */
extern void CzPlacementsEnter(void);
extern void CzPlacementsLeave(void);
extern void CzAwaitPlacements(const CzShardSet *shards);
extern uint64 CzPlacementsLook(const CzShardSet *shards);
extern bool CzPlacementsMayDiffer(uint64 *epoch);

/*
 * CzRoomEpoch
 *		Grows with each commit that makes placements active or inactive, in the room, once
 *		before it takes effect and once when all can know of it: if it has not between a
 *		look at the placements and the moment of the snapshots that are taken of them
 *		(CzRoomLookState), the placements are those of the snapshots.
 */
extern uint64 CzRoomEpoch(void);

/* Committers that are in the room now have left it; see room.c. */
extern void CzRoomAwait(void);

/* The room as it was found. */
typedef struct CzRoomLookState
{
	uint64		entered;		/* committers so far */
	uint64		generation;		/* of what is in doubt */
	uint64		epoch;			/* CzRoomEpoch; stable if the room was empty and is unchanged */
} CzRoomLookState;

/*
 * CzSnapshotTake
 *		Have several workers take snapshots that have any other transaction on all of
 *		them or on none.
 *
 * look: out: for CzRoomHasStayed: would one that is taken now still agree with them?
 * together: called when all have them, for what has to agree with them; maybe more than
 *		once.  NULL: nothing.
 *
 * Returns: false: members are is_lost or is_unclear (a committed transaction is not
 *		finished there); nothing is left of what the others did.
 * Errors: those of the workers, 57014.
 */
typedef struct CzSnapshotMember
{
	CzConn	   *conn;			/* with no command in progress */
	const char *sql;			/* takes the snapshot */
	int			nparams;		/* of sql, which is one command then */
	const char *const *values;	/* like the next two as libpq takes them */
	const int  *lengths;
	const int  *formats;
	const char *undo_sql;		/* so that sql can be run again */
	char	   *answer;			/* out: the value that sql gave last, palloc'd, or NULL */
	bool		is_lost;		/* out */
	bool		is_timeout;		/* out: because it was silent */
	bool		is_unclear;		/* out */
} CzSnapshotMember;

extern bool CzSnapshotTake(CzSnapshotMember *members, int nmembers, CzRoomLookState *look,
						   void (*together) (void *arg), void *arg);
extern bool CzRoomHasStayed(const CzRoomLookState *look);

/*
 * For who takes no part in all this, as nobody commits on several workers at the moment:
 * CzRoomIsQuiet before the first snapshot, and none of the workers CzTxnIsInDoubt (which
 * sends nothing); CzRoomIsUnchanged after the last one.
 */
extern bool CzRoomIsQuiet(CzRoomLookState *look);
extern bool CzRoomIsUnchanged(const CzRoomLookState *look);
extern bool CzTxnIsInDoubt(Oid server_oid);

/*
 * CzTxnTakeSnapshots
 *		In a transaction with one snapshot for its life, before its first use of a worker:
 *		begin it on all active ones, with snapshots that agree.  Does nothing otherwise.
 *
 * server_oid: the one that is used; InvalidOid: any.
 * Errors: 40001 if this server's own snapshot is too old to agree with them; those of
 *		CzTxnConn for server_oid.
 *
 * CzTxnHasSnapshots: has that been done?  A worker that could not take part is read only
 * as long as nothing was committed since that concerns several (40001).
 */
extern void CzTxnTakeSnapshots(Oid server_oid, Oid user_oid);

/*
 * CzTxnNoteSnapshotUse
 *		Something may have been read by the transaction's own snapshot, or somebody else
 *		has the same: CzTxnTakeSnapshots can't take it anew any more.
 */
extern void CzTxnNoteSnapshotUse(void);

/*
 * CzSnapshotRefresh
 *		Take a local snapshot anew, if it is too old to show what workers would show now;
 *		nothing has been read by it yet.
 */
extern void CzSnapshotRefresh(Snapshot old);
extern bool CzTxnHasSnapshots(void);

/* Was the placement inactive as the transaction's snapshot has it?  Then its rows there
 * are not those of the snapshot. */
extern bool CzTxnWasInactive(int64 shard_id, Oid server_oid);

/* Is a local snapshot too old for what workers would show now?  See room.c. */
extern bool CzRoomSnapshotLacks(Snapshot snapshot);

typedef enum CzShardLock
{
	CZ_LOCK_SHARED,				/* rows that are given or found by a key, row locks */
	CZ_LOCK_EXCLUSIVE,			/* what placements find for themselves, TRUNCATE, ... */
	CZ_LOCK_SEVERAL				/* keeps out its like only: statements over several
								 * shards; local */
} CzShardLock;

/*
 * CzTxnLockShard
 *		Keep replicas from diverging: a transaction-level lock for the shard, here
 *		and, if exclusive, on its first placement, before any placement sees a
 *		write.  Does nothing for a shard with one placement; idempotent in a
 *		transaction.
 */
extern void CzTxnLockShard(const CzShard *shard, Oid user_oid, CzShardLock mode);
extern void CzTxnLockShards(const CzShard *const *shards, int nshards, Oid user_oid,
							CzShardLock mode);

/*
 * CzTxnEnterShard
 *		A shard with one placement is about to be written, or rows of it to be locked: while
 *		it changes its place, wait.  Until the transaction ends it cannot change it then.
 *
 * locks_rows: always, also while no shard changes its place.
 * Returns: the shard as it is now.
 */
extern const CzShard *CzTxnEnterShard(const CzShard *shard, bool locks_rows);

/*
 * CzTxnHasMoved, CzTxnCheckNotMoved
 *		Has a placement been made of a shard that was there already when the transaction
 *		took its snapshot?  In that snapshot its rows are not complete.  The latter raises
 *		40001 then.
 */
extern bool CzTxnHasMoved(const CzShard *shard, Oid server_oid);
extern void CzTxnCheckNotMoved(const CzShard *shard, Oid server_oid);

/*
 * CzTxnLockShardPrefix
 *		The same for a caller that sends the remote part itself: takes the local
 *		lock, appends the command (ends in ';') for the first placement to
 *		prefix.  Appends nothing if the transaction has the lock.
 */
extern void CzTxnLockShardPrefix(const CzShard *shard, Oid user_oid, CzShardLock mode,
								 StringInfo prefix);

/*
 * CzTxnLockShardsLocally
 *		Only the local halves, in the order of shard ids: for a caller that will
 *		call CzTxnLockShardPrefix in another order, or needs no other half.
 *
 * may_wait: false: those that others have are left out.
 */
extern void CzTxnLockShardsLocally(const CzShard *const *shards, int nshards,
								   CzShardLock mode, bool may_wait);

/*
 * CzTxnLockMoves
 *		Rows may go to other shards by an UPDATE (moves), or one statement looks for rows
 *		on several shards and changes or locks them where they are: on each shard it would
 *		miss one that leaves while it waits for it.  One kind keeps out the other, and not
 *		its like.  Of this coordinator only.
 *
 * Who moves rows has the lock until the transaction ends.  The other gives it back with
 * CzTxnLetMoves when its statement has locked all that it has found: from then on who
 * wants to move one of those rows waits for the row.
 *
 * Returns: the owner of the lock, for CzTxnLetMoves.  Errors: core's (40P01, 55P03).
 */
extern ResourceOwner CzTxnLockMoves(Oid relid, bool moves);
extern void CzTxnLetMoves(Oid relid, ResourceOwner owner);

/*
 * CzTxnLockReferred
 *		Rows of a reference table go, or change what shards may refer to; or (refers) rows
 *		come to shards that refer to it.  One kind keeps out the other until the transaction
 *		ends, and not its like: else, with a copy on each worker, the two could wait for each
 *		other on two workers, where nobody sees it.  To be taken before shards' locks.
 *
 * Errors: core's (40P01, 55P03).
 */
extern void CzTxnLockReferred(Oid relid, bool refers);

/* Keep writers of the shard out, if none is there now; until the transaction ends. */
extern bool CzTxnTryLockShard(const CzShard *shard);

/*
 * CzTxnLockMoment
 *		Keep writers of the shard out from here on (begin), or let them in again: for the
 *		moment in which snapshots of all its placements are taken.
 */
extern void CzTxnLockMoment(const CzShard *shard, bool begin);

/* Background worker that resolves what crashes left; arg: database OID, 0: launcher. */
extern PGDLLEXPORT void CzMaintenanceMain(Datum arg);

/*
 * task.c
 *
 * CzTaskSession
 *		Settings of a background worker that works for nobody: what a database or role has by
 *		default (a timeout, transactions that are read only) is meant for its users.
 * CzTaskErrorToLog
 *		In PG_CATCH: the error goes to the log, and the worker goes on, in context and in no
 *		transaction.  doing, if not NULL, is its context: which shard, which nodes.
 */
extern void CzTaskSession(void);
extern void CzTaskErrorToLog(MemoryContext context, const char *doing);

/* What the background worker that analyzes tables does, or NULL; and the one that looks
 * whether nodes answer: true: there are none. */
extern bool (*cz_analyze_task) (void);
extern bool (*cz_health_task) (void);

/*
 * CzBackgroundStart
 *		Have one of the functions cz_background called by a background worker of this
 *		database, outside of the transaction.
 *
 * name: for pg_stat_activity.
 * Returns: its handle, palloc'd; NULL: no background worker is free.
 */
typedef enum CzBackground
{
	CZ_BACKGROUND_ACTIVATE,		/* take a node into use; its server */
	CZ_BACKGROUND_JOB,			/* carry out a job; its number */
	CZ_BACKGROUND_BLOCK,		/* keep the gate closed */
	CZ_BACKGROUND_DRAIN,		/* a node is to have no shards; its server */
	CZ_BACKGROUND_SURPLUS,		/* give placements up; table and factor */
	CZ_BACKGROUND_UNSEAL,		/* remove the seal of a shard; its id */
	CZ_BACKGROUND_UNSEAL_SOON,	/* the same, without waiting for long */
	CZ_BACKGROUND_MAP,			/* an attached coordinator's map is out of date */
	CZ_NBACKGROUNDS
} CzBackground;

struct BackgroundWorkerHandle;
extern void (*cz_background[CZ_NBACKGROUNDS]) (int64 arg);
extern struct BackgroundWorkerHandle *CzBackgroundStart(CzBackground which, int64 arg,
														const char *name);

/* For who needs one: the error if none is free. */
pg_noreturn extern void CzNoBackgroundWorker(void);

/* A part of each round of the maintenance worker; true: nothing is left to be done.  NULL:
 * there is none. */
extern bool (*cz_jobs_round) (void);

/* The maintenance worker has something to do, as soon as it looks. */
extern void CzMaintenanceWake(void);

/*
 * The gate that commits on several nodes pass (gate.c).
 *
 * CzGateEnter: wait until it is open, and keep it so until the end of the transaction.
 * CzGateTryEnter: false: it is closed.
 * CzGateAwait: wait until it is open; for who is going to take locks, and would hold them
 *		while his commit waits.
 * CzGateClose, CzGateOpen: wait for those who are in it, and keep out others.
 *
 * Errors: 55P03 after lock_timeout, 57014.
 */
extern void CzGateEnter(void);
extern bool CzGateTryEnter(void);
extern void CzGateAwait(void);
extern void CzGateClose(void);
extern void CzGateOpen(void);

/*
 * cz_repair_task
 *		What a background worker does to make inactive placements whole: of a table, or
 *		InvalidOid: of all; true: none is left.  NULL: nothing.
 * CzRunRepair
 *		Have it done now by a background worker of its own, and wait for its end.
 * CzTxnRepairLock
 *		One at a time does it: waits for the others' transactions.
 *
 * Errors: 53000 no background worker is free.
 */
extern bool (*cz_repair_task) (Oid relid);
extern void CzRunRepair(Oid relid);
extern void CzTxnRepairLock(void);

/* False, and conn is broken, if a worker silent for cz.worker_timeout is dead. */
extern bool CzTxnProbeSilent(CzConn *conn);

#endif							/* CZ_TRANSACTION_H */
