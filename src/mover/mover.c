/*-------------------------------------------------------------------------
 *
 * mover.c
 *	  One move of a group of shards, from its first row in cz.move to the last clean-up.
 *
 *	  preparing		what may be left is written down, tables are made on the target
 *	  copying, indexing, catching_up	while others write; with block_writes in the switch
 *	  switching		attempts to lock the shards, see switch.c
 *	  switched		the new placement counts; keys are checked, comments go
 *	  done, failed	what is left on workers is in cz.cleanup, and goes when it is due
 *
 * Each step commits.  Who has the advisory lock of a move's number carries it on: its own
 * background worker, or after a crash the maintenance worker, which starts another one
 * where changes are logged on the source already, and else undoes it.
 *
 * The tables stay locked all the time, against DDL; but who waits for such a lock gets it
 * (give_way.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "cz/cluster.h"
#include "cz/mover.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* SQLSTATE of a move whose process has died */
#define SQLSTATE_CRASHED "57P02"

static bool
lock_move(int64 move_id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (move_id >> 32), (uint32) move_id,
						 CZ_LOCKTAG_MOVE);
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
unlock_move(int64 move_id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (move_id >> 32), (uint32) move_id,
						 CZ_LOCKTAG_MOVE);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

/*
 * CzMoveBegin, CzMoveCommit
 *		See mover_int.h.
 */
void
CzMoveBegin(void)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
CzMoveCommit(void)
{
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Locks of the session end neither with it nor, if it is in no transaction, with an error. */
static void
release_at_exit(int code, Datum arg)
{
	AbortOutOfAnyTransaction();
	LockReleaseAll(DEFAULT_LOCKMETHOD, true);
}

/* Write down the move, and what it is going to make and to leave. */
static void
begin_move(CzMove *move)
{
	ListCell   *lc;
	ListCell   *lu;

	CzMoveBegin();
	CzGateAwait();
	CzNodeCheck(move->target_oid);
	CzMoveReadGroup(move);
	CzMoveCommit();

	CzMoveLockTables(move);
	CzMoveBegin();
	CzTxnRequireClear(move->from_oid, linitial_oid(CzMoveOwners(move)));
	/* of two at the same time one meets the unique index */
	CzMoveCheckAlone(move);
	CzMoveInsert(move);
	move->phase = CZ_PHASE_PREPARING;
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		CzMoveExpectCleanup(move, move->target_oid, table->owner, "table", table->qualified, NULL,
							"on_failure", CzMoveMarker(move));
		if (OidIsValid(move->source_oid))
			CzMoveExpectCleanup(move, move->source_oid, table->owner, "table", table->qualified,
								NULL, "on_success", CzMoveDroppedMarker(move));
		foreach(lu, move->mode == CZ_TRANSFER_BLOCK_WRITES ? NIL : table->units)
		{
			const CzMoveUnit *unit = lfirst(lu);

			CzMoveExpectCleanup(move, move->from_oid, table->owner, "capture", unit->qualified,
								unit->prefix, "always", NULL);
		}
	}
	foreach(lc, move->mode == CZ_TRANSFER_BLOCK_WRITES ? NIL : CzMoveOwners(move))
		CzMoveExpectCleanup(move, move->target_oid, lfirst_oid(lc), "table",
							CzMoveStateName(move, foreach_current_index(lc)), NULL, "always", NULL);
	if (OidIsValid(move->source_oid))
	{
		foreach(lc, CzMoveOwners(move))
			CzMoveExpectCleanup(move, move->source_oid, lfirst_oid(lc), "capture", "",
								psprintf("cz_m" INT64_FORMAT "_o%d", move->move_id,
										 foreach_current_index(lc)), "on_success", NULL);
	}
	CzMoveCommit();
	CzMoveNoteLeft();
	CzDebugPoint("move_begun");
}

static void
set_phase(CzMove *move, const char *phase)
{
	CzMoveBegin();
	CzMoveSetPhase(move, phase);
	CzMoveCommit();
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("move " INT64_FORMAT ": %s", move->move_id, phase));
}

/* After the switch, also after a crash. */
static void
finish_move(CzMove *move)
{
	CzMoveBegin();
	if (move->operation == CZ_MOVE_SPLIT)
		CzSplitFinish(move);
	else
	{
		CzMoveReadTables(move);
		CzMoveFinishTarget(move);
	}
	CzMoveNote(move, "bytes_done", move->nbytes);
	CzMoveSetPhase(move, CZ_PHASE_DONE);
	CzMoveCommit();
}

/* Another process has brought it as far as the rounds. */
static void
resume_move(CzMove *move)
{
	CzMoveBegin();
	CzMoveReadGroup(move);
	CzMoveCommit();
	move->has_capture = true;
	CzMoveLockTables(move);
	CzMoveHoldCaptures(move);
	move->captured_oid = move->from_oid;
	move->log_number = -1;
	move->has_keys = true;
}

/* A split, from its beginning to before the switch. */
static void
run_split(CzMove *move)
{
	CzSplitPrepare(move);
	CzSplitMakeTables(move);
	CzDebugPoint("move_tables_made");
	if (move->mode != CZ_TRANSFER_BLOCK_WRITES)
	{
		CzSplitBringOver(move);
		CzSplitCatchUp(move);
	}
}

/*
 * leave_out_dead
 *		Placements whose node cannot be reached are given up, as a writer does, where there
 *		is another one: at the switch all that are active are locked.
 */
static void
leave_out_dead(const CzMove *move)
{
	const CzTable *table;
	const CzShard *shard;
	Oid		   *server_oids;

	CzMoveBegin();
	table = CzTableGet(move->relid);
	if (table != NULL && CzTableIsDistributed(table) && move->shard_index >= 0 &&
		move->shard_index < table->nshards)
	{
		shard = &table->shards[move->shard_index];
		LockRelationOid(shard->relid, RowExclusiveLock);
		shard = CzShardFresh(shard);
		(void) CzTxnWritePlacements(shard, CzRelationOwner(table->relid), true, &server_oids);
	}
	CzMoveCommit();
}

static void
run_move(CzMove *move)
{
	bool		is_online = move->mode != CZ_TRANSFER_BLOCK_WRITES;

	CzMoveBegin();
	move->title = CzMoveTitle(move);
	CzMoveCommit();
	if (move->operation == CZ_MOVE_PROMOTE)
	{
		CzPromoteRun(move, move->plan_handle);
		return;
	}
	if (move->phase == NULL && move->operation != CZ_MOVE_SPLIT)
		leave_out_dead(move);
	if (move->operation == CZ_MOVE_SPLIT)
		run_split(move);
	else if (move->phase != NULL)
		resume_move(move);
	else
	{
		begin_move(move);
		CzMoveDropLeftOver(move);
		CzMoveBegin();
		CzMoveMakeTables(move);
		CzMoveNote(move, "bytes_total", CzMoveSourceSize(move));
		CzMoveCommit();
		CzDebugPoint("move_tables_made");
	}
	if (is_online && move->operation != CZ_MOVE_SPLIT)
	{
		CzMoveBringOver(move);
		CzMoveCatchUp(move);
	}
	set_phase(move, CZ_PHASE_SWITCHING);
	CzMoveSwitch(move);
	CzMoveUnlockTables(move);
	CzMoveReleaseCaptures(move);
	CzMoveDropOldKeys(move);
	finish_move(move);
	CzDebugPoint("move_done");
}

/* What is to be dropped at once, is. */
static void
clean_up(int64 move_id)
{
	int			nleft;

	CzMoveBegin();
	(void) CzCleanUp(move_id, NULL, NULL, &nleft);
	CzMoveCommit();
}

/*
 * A move has failed, with this error; or (NULL) its process has died.  After the switch it
 * has not: the rest is done later.
 */
static void
fail_move(CzMove *move, const ErrorData *error)
{
	char	   *sqlstate = pstrdup(error ? unpack_sql_state(error->sqlerrcode) : SQLSTATE_CRASHED);
	const char *message = error ? error->message : move->operation == CZ_MOVE_SPLIT ?
		"the process that split the shards has died" : "the process that moved the shards has died";

	CzMoveBegin();
	if (!CzMoveRead(move) && move->phase == NULL)
	{
		if (error != NULL)
			CzMoveInsertFailed(move, sqlstate, message);
		CzMoveCommit();
		return;
	}
	if (strcmp(move->phase, CZ_PHASE_SWITCHED) == 0 || strcmp(move->phase, CZ_PHASE_DONE) == 0)
	{
		CzMoveCommit();
		return;
	}
	CzMoveFail(move, sqlstate, message);
	CzMoveCommit();
	CzMoveCaptureStop(move);
	CzMoveNoteLeft();
	CzDebugPoint("move_failed");
	clean_up(move->move_id);
}

static void
set_session(void)
{
	CzTaskSession();
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
}

static CzMove *
make_move(int64 move_id)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "cz move",
												  ALLOCSET_DEFAULT_SIZES);
	CzMove	   *move = MemoryContextAllocZero(context, sizeof(CzMove));

	move->context = context;
	move->move_id = move_id;
	CzMoveBegin();
	MemoryContextSwitchTo(context);
	move->cluster_id = CzMoveClusterId();
	CzMoveCommit();
	MemoryContextSwitchTo(context);
	return move;
}

/* Run one; errors go to the log and to cz.move. */
static void
try_move(CzMove *move)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		run_move(move);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(move->context);
		error = CopyErrorData();
		CzTaskErrorToLog(move->context, move->title);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(move->context);
	QueryCancelPending = false;
	if (error != NULL)
		fail_move(move, error);
}

/* In a background worker; see cz/move.h. */
static void
move_task(int64 move_id, const CzMoveSpec *spec)
{
	CzMove	   *move;

	set_session();
	before_shmem_exit(release_at_exit, (Datum) 0);
	if (!lock_move(move_id))
		return;
	move = make_move(move_id);
	if (spec != NULL)
	{
		move->operation = spec->operation;
		move->mode = spec->mode == CZ_TRANSFER_BLOCK_WRITES ? CZ_TRANSFER_BLOCK_WRITES :
			CZ_TRANSFER_LOGICAL;
		move->task_id = spec->task_id;
		move->relid = spec->relid;
		move->shard_index = spec->shard_index;
		move->source_oid = spec->operation == CZ_MOVE_COPY ? InvalidOid : spec->source_oid;
		move->plan_handle = spec->plan_handle;
		move->target_oid = spec->target_oid;
		move->shard_id = spec->shard_id;
		move->pieces = spec->pieces;
	}
	else
	{
		bool		is_there;

		CzMoveBegin();
		is_there = CzMoveRead(move);
		CzMoveCommit();
		if (!is_there)
			return;
	}
	try_move(move);
}

/* A move that nobody carries on.  Returns: it has ended. */
static bool
take_up(int64 move_id)
{
	CzMove	   *move = make_move(move_id);
	bool		is_whole;

	CzMoveBegin();
	is_whole = CzMoveRead(move);
	CzMoveCommit();
	MemoryContextSwitchTo(move->context);
	if (is_whole && strcmp(move->phase, CZ_PHASE_SWITCHED) == 0)
	{
		if (move->operation == CZ_MOVE_PROMOTE)
			CzPromoteFinish(move);
		else
			finish_move(move);
		return true;
	}
	/* earlier, changes are not logged yet; a split is not worth what it takes to go on with it */
	if (is_whole && move->mode != CZ_TRANSFER_BLOCK_WRITES && move->operation != CZ_MOVE_SPLIT &&
		strcmp(move->phase, CZ_PHASE_PREPARING) != 0)
	{
		unlock_move(move_id);
		(void) CzMoveResume(move_id);
		return false;
	}
	fail_move(move, NULL);
	return true;
}

/* take_up() whose errors go to the log. */
static bool
try_take_up(int64 move_id)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool result = false;

	PG_TRY();
	{
		result = take_up(move_id);
	}
	PG_CATCH();
	{
		CzTaskErrorToLog(context, NULL);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return result;
}

/* The part of a round that cleans up. */
static bool
clean_up_round(void)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool is_done = false;
	int			nleft;

	PG_TRY();
	{
		CzMoveBegin();
		(void) CzCleanUp(-1, NULL, NULL, &nleft);
		is_done = nleft == 0 && !CzMoveCleanupIsLeft();
		CzMoveCommit();
	}
	PG_CATCH();
	{
		CzTaskErrorToLog(context, NULL);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return is_done;
}

/* Of the maintenance worker; see cz/move.h. */
static bool
move_round(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "cz moves",
												  ALLOCSET_DEFAULT_SIZES);
	bool		is_done = true;
	List	   *moves;
	ListCell   *lc;

	set_session();
	CzMoveBegin();
	if (!OidIsValid(CzCatalogRelid("move")))
	{
		CzMoveCommit();
		return true;
	}
	MemoryContextSwitchTo(context);
	moves = CzMovesNotEnded();
	CzMoveCommit();
	MemoryContextSwitchTo(context);
	foreach(lc, moves)
	{
		int64		move_id = *(int64 *) lfirst(lc);

		if (!lock_move(move_id))
		{
			is_done = false;
			continue;
		}
		is_done &= try_take_up(move_id);
		unlock_move(move_id);
	}
	MemoryContextSwitchTo(context);
	is_done &= CzCleanUpEach();
	return clean_up_round() && is_done;
}

/*
 * CzMoverInit
 *		See mover.h.
 */
void
CzMoverInit(void)
{
	cz_move_task = move_task;
	cz_move_round = move_round;
}
