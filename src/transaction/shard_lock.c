/*-------------------------------------------------------------------------
 *
 * shard_lock.c
 *	  Keep the placements of a shard from diverging.
 *
 * Two transactions that write a shard in different orders on its placements
 * leave different rows there, without any error.  Rows that are given, or found by
 * a key on the first placement, go there first: row locks and unique indexes order
 * them.  What each placement finds for itself needs the shard alone.  So a writer
 * takes an advisory lock for the shard before the second placement sees its
 * statement: shared for the former (and for rows that are locked on the first
 * placement, which a writer that has the shard alone must not wait for), exclusive
 * for the latter.
 *
 * The lock is taken here, in our own lock manager: its deadlock detector sees it, and it
 * is held until all placements have committed.  Who has the shard alone takes it on the
 * first placement as well: a text that a session of before a crash has left running there
 * has it until it ends.  Rows that are found by a key need no more than their own locks.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "cz/move.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* Fourth field of our local lock tags: core uses 1 and 2 for its own functions. */
#define CZ_LOCKTAG_KIND 25466

/* In the key of a CZ_LOCK_SEVERAL, beside the shard's id */
#define CZ_KEY_SEVERAL (INT64CONST(1) << 62)
/* The same beside a table's OID, for CzTxnLockMoves */
#define CZ_KEY_MOVES (INT64CONST(1) << 61)
/* The same for CzTxnLockReferred */
#define CZ_KEY_REFERRED (INT64CONST(1) << 60)

/* A shard lock that the transaction holds. */
typedef struct CzHeldLock
{
	int64		shard_id;
	const CzShard *shard;		/* as it was when it was locked */
	CzShardLock mode;
	int			level;			/* nest level that took it */
} CzHeldLock;

static List *held_locks = NIL;	/* in TopTransactionContext */

static void
set_local_tag(LOCKTAG *tag, int64 key, CzShardLock mode)
{
	if (mode == CZ_LOCK_SEVERAL)
		key |= CZ_KEY_SEVERAL;
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key,
						 CZ_LOCKTAG_KIND);
}

static LOCKMODE
local_lock_mode(CzShardLock mode)
{
	return mode == CZ_LOCK_SHARED ? ShareLock : ExclusiveLock;
}

/*
 * Who is to have a lock that is taken now.
 *
 * What an outer level has buffered is locked for that level: the end of the current
 * one must not give the lock back.
 */
static ResourceOwner
lock_owner(void)
{
	return CzTxnLevel() < GetCurrentTransactionNestLevel() ? TopTransactionResourceOwner :
		CurrentResourceOwner;
}

/*
 * A transaction-level lock here, released by core.  False: it is not free, and was not
 * to be waited for.
 */
static bool
acquire_tag(const LOCKTAG *tag, LOCKMODE mode, bool may_wait)
{
	ResourceOwner saved = CurrentResourceOwner;
	volatile bool is_ours = false;

	CurrentResourceOwner = lock_owner();
	PG_TRY();
	{
		is_ours = LockAcquire(tag, mode, false, !may_wait) != LOCKACQUIRE_NOT_AVAIL;
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = saved;
	}
	PG_END_TRY();
	return is_ours;
}

/* The local half of a shard's lock. */
static bool
acquire_local(int64 key, CzShardLock mode, bool may_wait)
{
	LOCKTAG		tag;

	set_local_tag(&tag, key, mode);
	return acquire_tag(&tag, local_lock_mode(mode), may_wait);
}

static void
set_moves_tag(LOCKTAG *tag, Oid relid)
{
	int64		key = CZ_KEY_MOVES | relid;

	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key,
						 CZ_LOCKTAG_KIND);
}

/*
 * CzTxnLockMoves
 *		See transaction.h.
 */
ResourceOwner
CzTxnLockMoves(Oid relid, bool moves)
{
	LOCKTAG		tag;

	if (moves)
		CzAttachedRefuse();
	set_moves_tag(&tag, relid);
	(void) acquire_tag(&tag, moves ? RowExclusiveLock : ShareLock, true);
	return lock_owner();
}

/*
 * CzTxnLetMoves
 *		See transaction.h.
 */
void
CzTxnLetMoves(Oid relid, ResourceOwner owner)
{
	ResourceOwner saved = CurrentResourceOwner;
	LOCKTAG		tag;

	set_moves_tag(&tag, relid);
	CurrentResourceOwner = owner;
	(void) LockRelease(&tag, ShareLock, false);
	CurrentResourceOwner = saved;
}

static void
set_referred_tag(LOCKTAG *tag, Oid relid)
{
	int64		key = CZ_KEY_REFERRED | relid;

	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key,
						 CZ_LOCKTAG_KIND);
}

/*
 * CzTxnLockReferred
 *		See transaction.h.
 */
void
CzTxnLockReferred(Oid relid, bool refers)
{
	LOCKTAG		tag;

	set_referred_tag(&tag, relid);
	(void) acquire_tag(&tag, refers ? ShareLock : RowExclusiveLock, true);
}

/*
 * CzTxnHoldReferred, CzTxnReleaseReferred
 *		See move.h.
 */
void
CzTxnHoldReferred(Oid relid)
{
	LOCKTAG		tag;

	set_referred_tag(&tag, relid);
	(void) LockAcquire(&tag, ShareLock, true, false);
}

void
CzTxnReleaseReferred(Oid relid)
{
	LOCKTAG		tag;

	set_referred_tag(&tag, relid);
	(void) LockRelease(&tag, ShareLock, true);
}

void
CzTxnLocalLock(int64 key, CzShardLock mode)
{
	(void) acquire_local(key, mode, true);
}

/* Give a local lock back before the transaction ends. */
void
CzTxnLocalUnlock(int64 key, CzShardLock mode)
{
	LOCKTAG		tag;

	set_local_tag(&tag, key, mode);
	LockRelease(&tag, local_lock_mode(mode), false);
}

/* Take it exclusively if that is possible at once. */
bool
CzTxnLocalLockTry(int64 key)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key,
						 CZ_LOCKTAG_KIND);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Does nobody hold the lock?  Not even this transaction's own lock counts. */
bool
CzTxnLocalLockIsFree(int64 key)
{
	LOCKTAG		tag;

	set_local_tag(&tag, key, CZ_LOCK_SHARED);
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	LockRelease(&tag, ShareLock, false);
	return true;
}

static bool
is_held(int64 shard_id, CzShardLock mode)
{
	ListCell   *lc;

	foreach(lc, held_locks)
	{
		CzHeldLock *lock = (CzHeldLock *) lfirst(lc);

		if (lock->shard_id == shard_id &&
			(lock->mode == CZ_LOCK_EXCLUSIVE || mode == CZ_LOCK_SHARED))
			return true;
	}
	return false;
}

/*
 * A shard as it can be looked at when the transaction ends: one that is being made is its
 * maker's, and gone by then.  In CurrentMemoryContext.
 */
static const CzShard *
until_commit(const CzShard *shard)
{
	CzShard    *copy;

	if (OidIsValid(shard->table_relid))
		return shard;
	copy = palloc(sizeof(CzShard));
	*copy = *shard;
	copy->remote_schema = pstrdup(shard->remote_schema);
	copy->remote_name = pstrdup(shard->remote_name);
	copy->remote_qualified = pstrdup(shard->remote_qualified);
	copy->server_oids = palloc(sizeof(Oid) * Max(shard->nplacements, 1));
	memcpy(copy->server_oids, shard->server_oids, sizeof(Oid) * shard->nplacements);
	return copy;
}

/* Tables that refer to a shard's own with keys that act: list of OIDs. */
static List *
tables_written_with(const CzShard *shard)
{
	return !shard->is_copy && OidIsValid(shard->table_relid) ?
		CzCascadeTables(shard->table_relid) : NIL;
}

/*
 * shards_written_with
 *		The shards that a worker writes when a shard is written: those of relids, which are
 *		its tables_written_with.  Their placements are the same.
 */
static List *
shards_written_with(const CzShard *shard, List *relids)
{
	const CzTable *table = relids != NIL ? CzTableGet(shard->table_relid) : NULL;
	List	   *shards = NIL;
	ListCell   *lc;
	int			index = 0;

	if (table == NULL)
		return NIL;
	while (index < table->nshards && table->shards[index].shard_id != shard->shard_id)
		index++;
	foreach(lc, relids)
	{
		const CzTable *other = CzTableGet(lfirst_oid(lc));

		if (other != NULL && other->colocation_id == table->colocation_id &&
			table->colocation_id != 0 && index < other->nshards)
			shards = lappend(shards, (void *) &other->shards[index]);
	}
	return shards;
}

/* On an attached coordinator the lock is the owner's, too: with it the shard stays there. */
static void
enter_shard(const CzShard *shard, CzShardLock mode, bool may_wait)
{
	(void) acquire_local(shard->shard_id, mode, may_wait);
	(void) CzAttachedEnter(&shard, 1, mode, may_wait);
}

/* CzTxnLockShardPrefix for the shard alone. */
static void
lock_one_prefix(const CzShard *shard, CzShardLock mode, StringInfo prefix)
{
	MemoryContext old;
	CzHeldLock *lock;

	if (!CzShardIsReplicated(shard) || is_held(shard->shard_id, mode))
		return;

	enter_shard(shard, mode, true);
	shard = CzShardFresh(shard);
	/* of a reference table this coordinator has the first placement */
	if (!shard->is_copy && mode != CZ_LOCK_SHARED)
		appendStringInfo(prefix, "SELECT pg_catalog.pg_advisory_xact_lock(%d, %d); ",
						 CZ_ADVISORY_CLASS, (int32) shard->shard_id);

	old = MemoryContextSwitchTo(TopTransactionContext);
	lock = palloc(sizeof(CzHeldLock));
	lock->shard_id = shard->shard_id;
	lock->shard = until_commit(shard);
	lock->mode = mode;
	lock->level = CzTxnLevel();
	held_locks = lappend(held_locks, lock);
	MemoryContextSwitchTo(old);
}

/*
 * CzTxnLockShardPrefix
 *		See transaction.h.
 */
void
CzTxnLockShardPrefix(const CzShard *shard, Oid user_oid, CzShardLock mode,
					 StringInfo prefix)
{
	ListCell   *lc;

	if (!CzShardIsReplicated(shard))
		return;
	lock_one_prefix(shard, mode, prefix);
	foreach(lc, shards_written_with(shard, tables_written_with(shard)))
		lock_one_prefix(lfirst(lc), mode, prefix);
}

/*
 * CzTxnLockShard, CzTxnLockShards
 *		See transaction.h.
 */
void
CzTxnLockShard(const CzShard *shard, Oid user_oid, CzShardLock mode)
{
	CzTxnLockShards(&shard, 1, user_oid, mode);
}

static int
compare_shards(const void *a, const void *b)
{
	int64		x = (*(const CzShard *const *) a)->shard_id;
	int64		y = (*(const CzShard *const *) b)->shard_id;

	return x < y ? -1 : x > y ? 1 : 0;
}

/*
 * CzTxnLockMoment
 *		See transaction.h.  A reference table's writers are kept out by its lock.
 */
void
CzTxnLockMoment(const CzShard *shard, bool begin)
{
	if (shard->is_copy && begin)
		LockRelationOid(shard->relid, ShareLock);
	else if (shard->is_copy)
		UnlockRelationOid(shard->relid, ShareLock);
	else if (begin)
		CzTxnLocalLock(shard->shard_id, CZ_LOCK_EXCLUSIVE);
	else
		CzTxnLocalUnlock(shard->shard_id, CZ_LOCK_EXCLUSIVE);
}

/*
 * CzTxnTryLockShard
 *		See transaction.h.
 */
bool
CzTxnTryLockShard(const CzShard *shard)
{
	return CzTxnLocalLockTry(shard->shard_id);
}

/*
 * CzTxnRepairLock
 *		See transaction.h.
 */
void
CzTxnRepairLock(void)
{
	CzTxnLocalLock(CZ_REPAIR_LOCK, CZ_LOCK_EXCLUSIVE);
}

/*
 * CzTxnLockShardsLocally
 *		See transaction.h.
 */
void
CzTxnLockShardsLocally(const CzShard *const *shards, int nshards, CzShardLock mode,
					   bool may_wait)
{
	List	   *others = NIL;
	List	   *relids = NIL;
	Oid			table_relid = InvalidOid;
	bool		has_relids = false;
	const CzShard **sorted;
	ListCell   *lc;
	int			n = 0;
	int			i;

	for (i = 0; i < nshards; i++)
	{
		if (!CzShardIsReplicated(shards[i]))
			continue;
		if (!has_relids || shards[i]->table_relid != table_relid)
			relids = tables_written_with(shards[i]);
		has_relids = true;
		table_relid = shards[i]->table_relid;
		others = list_concat(others, shards_written_with(shards[i], relids));
	}
	sorted = palloc(sizeof(CzShard *) * Max(nshards + list_length(others), 1));
	for (i = 0; i < nshards; i++)
	{
		if (CzShardIsReplicated(shards[i]))
			sorted[n++] = shards[i];
	}
	foreach(lc, others)
		sorted[n++] = lfirst(lc);
	qsort(sorted, n, sizeof(CzShard *), compare_shards);
	for (i = 0; i < n; i++)
	{
		if ((i == 0 || sorted[i]->shard_id != sorted[i - 1]->shard_id) &&
			!is_held(sorted[i]->shard_id, mode))
			(void) acquire_local(sorted[i]->shard_id, mode, may_wait);
	}
	(void) CzAttachedEnter(sorted, n, mode, may_wait);
	pfree(sorted);
}

void
CzTxnLockShards(const CzShard *const *shards, int nshards, Oid user_oid,
				CzShardLock mode)
{
	const CzShard **sorted;
	List	   *commands = NIL;
	int			i;

	/* In the order of ids, so that statements do not deadlock with each other. */
	sorted = palloc(sizeof(CzShard *) * Max(nshards, 1));
	memcpy(sorted, shards, sizeof(CzShard *) * nshards);
	qsort(sorted, nshards, sizeof(CzShard *), compare_shards);

	/* a first placement that is down is not waited for */
	CzTxnLockShardsLocally(shards, nshards, mode, true);
	for (i = 0; i < nshards; i++)
	{
		Oid		   *server_oids;

		sorted[i] = CzShardFresh(sorted[i]);
		if (!sorted[i]->is_copy && CzShardIsReplicated(sorted[i]))
			(void) CzTxnWritePlacements(sorted[i], user_oid, false, &server_oids);
	}

	/* All local locks, then one command per worker with its remote ones. */
	for (i = 0; i < nshards; i++)
	{
		CzTxnCommand *command = NULL;
		StringInfoData sql;
		ListCell   *lc;

		initStringInfo(&sql);
		CzTxnLockShardPrefix(sorted[i], user_oid, mode, &sql);
		if (sql.len == 0)
			continue;
		foreach(lc, commands)
		{
			if (((CzTxnCommand *) lfirst(lc))->server_oid == CzTxnFirstPlacement(sorted[i]))
				command = (CzTxnCommand *) lfirst(lc);
		}
		if (command == NULL)
		{
			command = palloc(sizeof(CzTxnCommand));
			command->server_oid = CzTxnFirstPlacement(sorted[i]);
			command->sql = "";
			commands = lappend(commands, command);
		}
		command->sql = psprintf("%s%s", command->sql, sql.data);
	}
	if (commands != NIL)
		CzTxnExecLocks(commands, user_oid);
	pfree(sorted);
}

/*
 * CzTxnLockShardsForMove
 *		See move.h.
 */
void
CzTxnLockShardsForMove(const CzShard *const *shards, int nshards, TimestampTz deadline)
{
	const CzShard **sorted = palloc(sizeof(CzShard *) * Max(nshards, 1));
	int			i;

	memcpy(sorted, shards, sizeof(CzShard *) * nshards);
	qsort(sorted, nshards, sizeof(CzShard *), compare_shards);
	for (i = 0; i < nshards; i++)
	{
		CzTxnLockUntil(deadline);
		(void) acquire_local(sorted[i]->shard_id, CZ_LOCK_EXCLUSIVE, true);
	}
	pfree(sorted);
}

/*
 * CzTxnLockUntil
 *		See move.h.
 */
void
CzTxnLockUntil(TimestampTz deadline)
{
	long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

	SetConfigOption("lock_timeout", psprintf("%ldms", Max(left_ms, 1L)), PGC_SUSET,
					PGC_S_OVERRIDE);
}

/*
 * CzTxnEnterShard
 *		See transaction.h.
 *
 * Who has the shard's rows locked already, or has written it, would wait for a move that
 * waits for him, until the move gives up.
 */
const CzShard *
CzTxnEnterShard(const CzShard *shard, bool locks_rows)
{
	if (shard->is_copy || !OidIsValid(shard->table_relid) || CzShardIsReplicated(shard))
		return shard;
	if (!locks_rows && !CzMoveIsSwitching() && !CzTxnIsAttached())
	{
		CzDebugPoint("shard_entered");
		return shard;
	}
	enter_shard(shard, CZ_LOCK_SHARED, true);
	shard = CzShardFresh(shard);
	if (CzTxnIsAttached() && CzShardIsReplicated(shard))
		CzTxnReportChange(shard);	/* it was written as if it were not */
	if (shard->nplacements > 0)
		CzTxnCheckNotMoved(shard, shard->server_oids[0]);
	return shard;
}

static bool
has_placement(const CzShard *shard, Oid server_oid)
{
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		if (shard->server_oids[i] == server_oid)
			return true;
	}
	return false;
}

/*
 * CzTxnLoseWritten
 *		All placements on a worker that the transaction has written are lost.
 *
 * Returns: false, and nothing has happened, if one of them is the last of its shard.
 */
bool
CzTxnLoseWritten(Oid server_oid)
{
	ListCell   *lc;
	int			pass;

	for (pass = 0; pass < 2; pass++)
	{
		foreach(lc, held_locks)
		{
			const CzShard *shard = ((CzHeldLock *) lfirst(lc))->shard;

			/* one that has become active since its shard was locked was written, too */
			if (!has_placement(shard, server_oid) &&
				!has_placement(CzShardFresh(shard), server_oid))
				continue;
			if (pass == 1)
				CzTxnLosePlacement(shard, server_oid, "its connection was lost");
			else if (!CzTxnMayLose(shard, server_oid))
				return false;
		}
	}
	return true;
}

/*
 * CzTxnAwaitTakeOvers
 *		Transactions that have given up first placements commit on the other ones before the
 *		marks can be seen here.  They hold the lock until they can.
 */
void
CzTxnAwaitTakeOvers(void)
{
	if (!CzTxnIsTakenOver())
		return;
	CzTxnLocalLock(CZ_STATE_LOCK, CZ_LOCK_SHARED);
	AcceptInvalidationMessages();
}

/*
 * CzTxnCheckPlacements
 *		Before the commit: are the placements that were written those that count?
 */
void
CzTxnCheckPlacements(void)
{
	ListCell   *lc;

	if (held_locks != NIL)
		CzTxnAwaitTakeOvers();

	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = (CzTxnEntry *) lfirst(lc);

		if (entry->first_level > 0 && entry->given_up != CzTxnGivenUp(entry->server_oid))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to a change of placements"),
					 errdetail("Another transaction has given up node \"%s\".",
							   entry->conn->node_name),
					 errhint("The transaction might succeed if retried.")));
	}
	foreach(lc, held_locks)
		CzTxnCheckPlacement(((CzHeldLock *) lfirst(lc))->shard);
}

/*
 * CzTxnWrittenShards
 *		The shards that the transaction has written, const CzShard *; false if one has
 *		its first placement elsewhere, or no other.
 */
bool
CzTxnWrittenShards(Oid first_oid, List **shards)
{
	ListCell   *lc;

	*shards = NIL;
	foreach(lc, held_locks)
	{
		const CzShard *shard = ((CzHeldLock *) lfirst(lc))->shard;

		if (shard->is_copy || shard->nplacements < 2 || !OidIsValid(shard->table_relid) ||
			CzTxnFirstPlacement(shard) != first_oid)
			return false;
		*shards = lappend(*shards, (void *) shard);
	}
	return *shards != NIL;
}

/*
 * CzTxnShardsWrittenAt
 *		The shards that the transaction has written, or locked rows of, with a placement on
 *		a worker, const CzShard *; false if there is none, or one that is being made.
 */
bool
CzTxnShardsWrittenAt(Oid server_oid, List **shards)
{
	ListCell   *lc;

	*shards = NIL;
	foreach(lc, held_locks)
	{
		const CzShard *shard = ((CzHeldLock *) lfirst(lc))->shard;

		/* one that has become active since its shard was locked was written, too */
		if (CzTxnIsLost(shard->shard_id, server_oid) ||
			(!has_placement(shard, server_oid) &&
			 !has_placement(CzShardFresh(shard), server_oid)))
			continue;
		if (!OidIsValid(shard->table_relid))
			return false;
		*shards = list_append_unique_ptr(*shards, (void *) shard);
	}
	return *shards != NIL;
}

/*
 * CzTxnWrittenShardSet
 *		The shards with several placements that the transaction has written.
 */
void
CzTxnWrittenShardSet(CzShardSet *set)
{
	ListCell   *lc;

	memset(set, 0, sizeof(CzShardSet));
	foreach(lc, held_locks)
		CzShardSetAdd(set, ((CzHeldLock *) lfirst(lc))->shard_id);
}

/*
 * CzTxnShardLockSubEnd
 *		Locks of a subtransaction go to its parent, or are gone on both sides.
 */
void
CzTxnShardLockSubEnd(int level, bool is_commit)
{
	ListCell   *lc;

	foreach(lc, held_locks)
	{
		CzHeldLock *lock = (CzHeldLock *) lfirst(lc);

		if (lock->level < level)
			continue;
		if (is_commit)
			lock->level = level - 1;
		else
			held_locks = foreach_delete_current(held_locks, lc);
	}
}

void
CzTxnShardLockForget(void)
{
	held_locks = NIL;
}
