/*-------------------------------------------------------------------------
 *
 * give_way.c
 *	  A move gives way to users' statements that need its tables for themselves.
 *
 * A move locks its tables, so that they are not altered or dropped under it: but nobody
 * shall wait for it for long.  Who waits for such a lock, or has one of a partition's that
 * the copy reads, gets what he wants: the move ends its transactions on the source, unlocks
 * the tables, waits until they are free again, and goes on if they look as before.  That is
 * so after TRUNCATE, which is logged as any change is.
 *
 * ALTER TABLE may change names that the functions on the source log by: the next write of
 * anybody would fail there.  So it asks first, by a lock of its own (CzMoveAwaitCaptures),
 * which the move gives when the functions do nothing any more.  Then the move fails with
 * 40001, and whoever wanted it begins it again.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "cz/cluster.h"
#include "mover_int.h"

/* Between two looks whether somebody waits for the tables */
#define LOOK_INTERVAL_MS 250

/* A step waits so long for a lock on a worker: who has it may wait for the tables here */
#define STEP_LOCK_TIMEOUT_MS 500

/* Between two attempts to lock them again */
#define RELOCK_PAUSE_MS 20

typedef enum Waiter
{
	NOBODY,
	NEEDS_TABLES,				/* for themselves, for a while */
	ALTERS						/* the names of columns */
} Waiter;

/* The tables are locked, and looked after, for all parts of a split together. */
static CzMove *
whole_of(CzMove *move)
{
	return move->whole ? move->whole : move;
}

/* The relations here whose locks keep, or show, who needs them for himself. */
static List *
locked_relids(const CzMove *move)
{
	List	   *result = CzMoveRelids(move);
	ListCell   *lc;
	ListCell   *lu;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		result = lappend_oid(result, table->shard_relid);
		foreach(lu, table->units)
		{
			result = list_append_unique_oid(result, ((CzMoveUnit *) lfirst(lu))->relid);
			result = list_append_unique_oid(result, ((CzMoveUnit *) lfirst(lu))->part_relid);
		}
	}
	return result;
}

/* Who is in the move's way, or the move in his? */
static Waiter
find_waiter(const CzMove *move)
{
	List	   *tables = CzMoveRelids(move);
	List	   *relids = locked_relids(move);
	LockData   *locks = GetLockStatusData();
	Waiter		result = NOBODY;
	int			i;

	for (i = 0; i < locks->nelements && result != ALTERS; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];
		const LOCKTAG *tag = &lock->locktag;

		if (lock->pid == MyProcPid || tag->locktag_field1 != MyDatabaseId)
			continue;
		if (tag->locktag_type == LOCKTAG_ADVISORY && tag->locktag_field4 == CZ_LOCKTAG_CAPTURE)
		{
			/* other moves have ShareLock */
			if ((lock->waitLockMode == RowExclusiveLock ||
				 (lock->holdMask & LOCKBIT_ON(RowExclusiveLock)) != 0) &&
				list_member_oid(tables, tag->locktag_field3))
				result = ALTERS;
			continue;
		}
		if (tag->locktag_type != LOCKTAG_RELATION)
			continue;
		/* what RowExclusiveLock is in the way of; and whom a read on the source may block */
		if ((lock->waitLockMode >= ShareLock && list_member_oid(tables, tag->locktag_field2)) ||
			((lock->holdMask & LOCKBIT_ON(AccessExclusiveLock)) != 0 &&
			 list_member_oid(relids, tag->locktag_field2)))
			result = NEEDS_TABLES;
	}
	pfree(locks->locks);
	pfree(locks);
	list_free(tables);
	list_free(relids);
	return result;
}

static char *
table_names(const CzMove *move)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, move->tables)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 quote_identifier(((CzMoveTable *) lfirst(lc))->name));
	return buf.data;
}

pg_noreturn static void
give_up(CzMove *move)
{
	CzMoveCaptureStop(move);
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("another session alters a table whose shard is being moved"),
			 errdetail("The tables are %s.", table_names(move)),
			 errhint("The move might succeed if retried.")));
}

/*
 * What the tables look like, as far as the move depends on it before the switch; in a
 * transaction.
 */
static char *
fingerprint(const CzMove *move)
{
	StringInfoData buf;
	ListCell   *lc;
	ListCell   *lu;

	initStringInfo(&buf);
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);
		Relation	rel = table_open(table->relid, AccessShareLock);
		char	   *sql = CzShardFinishSql(rel, CzTableGet(table->relid), move->shard_index);
		const CzTableDef *def = CzTableDefGet(rel);
		ListCell   *la;

		appendStringInfo(&buf, "%u %u %s\n%s%s\n%s\n", table->relid, table->owner,
						 table->qualified, def->columns, def->with, sql ? sql : "");
		foreach(la, def->alters)
			appendStringInfo(&buf, "%s\n", (const char *) lfirst(la));
		foreach(lu, table->units)
		{
			const CzMoveUnit *unit = lfirst(lu);

			appendStringInfo(&buf, "%s %s (%s)\n", unit->qualified,
							 unit->columns ? unit->columns : "", CzMoveColumns(unit->key, ""));
		}
		table_close(rel, AccessShareLock);
	}
	return buf.data;
}

/* Read the group again; 40001 if it looks otherwise than at the first time. */
static void
check_fingerprint(CzMove *move)
{
	MemoryContext context = CurrentMemoryContext;
	bool		is_same;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	AcceptInvalidationMessages();
	CzMoveReadGroup(move);
	if (move->fingerprint == NULL)
		move->fingerprint = MemoryContextStrdup(move->context, fingerprint(move));
	is_same = strcmp(move->fingerprint, fingerprint(move)) == 0;
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (!is_same)
		give_up(move);
}

static bool
lock_one(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	return LockAcquire(&tag, RowExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
unlock_one(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	(void) LockRelease(&tag, RowExclusiveLock, true);
}

/* All tables, or none: who waits for one must not stand behind who waits for another. */
static bool
try_lock(CzMove *move)
{
	List	   *relids = CzMoveRelids(move);
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (!lock_one(lfirst_oid(lc)))
		{
			int			i;

			for (i = 0; i < foreach_current_index(lc); i++)
				unlock_one(list_nth_oid(relids, i));
			return false;
		}
	}
	move->is_locked = true;
	return true;
}

/*
 * CzMoveSleep
 *		See mover_int.h.
 */
void
CzMoveSleep(int ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * CzMoveLockTables
 *		See mover_int.h.
 */
void
CzMoveLockTables(CzMove *move)
{
	move = whole_of(move);
	for (;;)
	{
		Waiter		waiter = find_waiter(move);

		/* who alters is waited for only where nothing logs by what he alters */
		if (waiter == ALTERS && move->has_capture)
			give_up(move);
		if (waiter == NOBODY && try_lock(move))
			break;
		CzMoveSleep(RELOCK_PAUSE_MS);
	}
	check_fingerprint(move);
}

/*
 * CzMoveUnlockTables
 *		See mover_int.h.
 */
void
CzMoveUnlockTables(CzMove *move)
{
	ListCell   *lc;

	move = whole_of(move);
	foreach(lc, move->is_locked ? CzMoveRelids(move) : NIL)
		unlock_one(lfirst_oid(lc));
	move->is_locked = false;
}

/*
 * CzMoveLetGo
 *		See mover_int.h.
 */
void
CzMoveLetGo(CzMove *move)
{
	CzMoveUnlockTables(move);
	CzMoveLockTables(move);
}

/* find_waiter(), not too often: it looks at all locks. */
static Waiter
look(const CzMove *move)
{
	static TimestampTz looked_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	CHECK_FOR_INTERRUPTS();
	if (!TimestampDifferenceExceeds(looked_at, now, LOOK_INTERVAL_MS))
		return NOBODY;
	looked_at = now;
	return find_waiter(move);
}

/*
 * CzMoveGiveWay
 *		See mover_int.h.
 */
void
CzMoveGiveWay(CzMove *move)
{
	Waiter		waiter;

	move = whole_of(move);
	CzMoveLogCheck(move);
	waiter = look(move);
	if (waiter == NOBODY)
		return;
	if (waiter == ALTERS)
		give_up(move);
	if (!IsTransactionState())
	{
		CzMoveLetGo(move);
		return;
	}
	move->must_let_go = true;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("another session needs a table whose shard is being moved"),
			 errdetail("The tables are %s.", table_names(move)),
			 errhint("The move might succeed if retried.")));
}

/*
 * CzMoveLookAside
 *		See mover_int.h.
 */
void
CzMoveLookAside(CzMove *move)
{
	Waiter		waiter;

	move = whole_of(move);
	CzMoveLogCheck(move);
	waiter = look(move);
	if (waiter == ALTERS && move->has_capture)
		give_up(move);
	if (waiter != NOBODY)
		CzMoveUnlockTables(move);
}

/* The error of CzMoveGiveWay has served its purpose. */
static void
forget_error(CzMove *move, MemoryContext context)
{
	HOLD_INTERRUPTS();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	FlushErrorState();
	RESUME_INTERRUPTS();
	move->must_let_go = false;
	/* the abort has released them */
	move->is_locked = false;
}

static void
set_lock_timeout(int ms)
{
	SetConfigOption("lock_timeout", psprintf("%d", ms), PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * CzMoveRepeat
 *		See mover_int.h.
 *
 * A TRUNCATE that has a shard's lock on the source, and waits for its table here, gets it,
 * too: the step waits for the shard no longer than a moment.
 */
void
CzMoveRepeat(CzMove *move, void (*step) (CzMove *move))
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool is_done = false;

	while (!is_done)
	{
		whole_of(move)->must_let_go = false;
		set_lock_timeout(STEP_LOCK_TIMEOUT_MS);
		PG_TRY();
		{
			step(move);
			is_done = true;
		}
		PG_CATCH();
		{
			if (!whole_of(move)->must_let_go && geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
				PG_RE_THROW();
			forget_error(whole_of(move), context);
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
		set_lock_timeout(0);
		if (!is_done)
			CzMoveLockTables(move);
	}
}
