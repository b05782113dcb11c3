/*-------------------------------------------------------------------------
 *
 * dirty.c
 *	  Shards whose placements may differ after a crash of this server: the table
 *	  cz.dirty_shards, and what of it this life of the server knows in shared memory.
 *
 * Where the first placement decides (chain.c) a crash between its commit and that of
 * the others leaves them behind.  So a shard is written that way only after a row that
 * says so is committed, by a transaction that still goes the other way; it carries the
 * number of this life (boot.h).  A row of an earlier one makes all placements but the
 * first inactive (tables.c), until they are compared (cluster/repair.c).
 *
 * Shards that have not been written for some rounds of the maintenance worker lose
 * their rows, so that little is to be compared after a crash.  The shard's local lock,
 * which its writers share to their end, keeps them out of that moment.
 *
 * Shards whose placements may differ now, or have been found to differ, are unsure: all
 * placements but the first are inactive at once, because shared memory says so.  The next
 * round of the maintenance worker says it in a table, and they are compared.  Of a
 * reference table it is the copy on one worker.
 *
 * Besides: how often sessions have given up a worker as the first placement of what
 * they had asked it to commit, and how many wait for a placement's worker to confirm that
 * it follows a decision.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/sinval.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "cz/boot.h"
#include "transaction_int.h"

PG_FUNCTION_INFO_V1(cz_tidy_dirty_shards);

/* Shards of all databases that can be written that way; others go the other way */
#define MAX_DIRTY 16384
/* Of these so many are for who has looked before */
#define SPARE_DIRTY 2048
/* Rows that are deleted in one round: a lock each */
#define MAX_TIDY 256
/* Counters of workers that were given up, by a hash of the server */
#define NGIVEN_UP 256

typedef struct DirtyKey
{
	int64		shard_id;
	int64		database_oid;	/* an Oid; 64 bits wide so that there is no padding */
} DirtyKey;

typedef struct DirtyEntry
{
	DirtyKey	key;			/* hash key */
	bool		is_used;		/* since the last round */
	bool		is_unsure;		/* its placements may differ now */
	Oid			unsure_oid;		/* with it: the one that may; InvalidOid: all but the first */
	uint64		mark;			/* with it: changes whenever somebody says so */
} DirtyEntry;

/* What is unsure, as it was found. */
typedef struct UnsureShard
{
	int64		shard_id;
	Oid			server_oid;
	uint64		mark;
} UnsureShard;

typedef struct DirtyTable
{
	LWLock		lock;			/* guards the hash table, and */
	uint64		nmarks;
	pg_atomic_uint32 nunsure;	/* entries that are, in all databases */
	pg_atomic_uint32 given_up[NGIVEN_UP];
	pg_atomic_uint32 late[NGIVEN_UP];
	pg_atomic_uint32 ntake_overs;	/* of workers that are given up, not at their end yet */
} DirtyTable;

static DirtyTable *dirty = NULL;
static HTAB *dirty_hash = NULL;

/* Shards whose rows the current transaction inserts; in its memory. */
static List *inserted = NIL;	/* of const CzShard * */

/* Shards that are not unsure any more, once it is committed; in its memory. */
static List *settled = NIL;		/* of UnsureShard * */

/* Has the current transaction given up a worker? */
static bool is_taking_over = false;

static List *add_unsure(List *list);

Size
CzDirtyShmemSize(void)
{
	return add_size(MAXALIGN(sizeof(DirtyTable)),
					hash_estimate_size(MAX_DIRTY, sizeof(DirtyEntry)));
}

void
CzDirtyShmemInit(void)
{
	HASHCTL		ctl;
	bool		found;
	int			i;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	dirty = ShmemInitStruct("cz_fdw given up workers", sizeof(DirtyTable), &found);
	if (!found)
	{
		LWLockInitialize(&dirty->lock, LWLockNewTrancheId());
		dirty->nmarks = 0;
		pg_atomic_init_u32(&dirty->nunsure, 0);
		pg_atomic_init_u32(&dirty->ntake_overs, 0);
		for (i = 0; i < NGIVEN_UP; i++)
		{
			pg_atomic_init_u32(&dirty->given_up[i], 0);
			pg_atomic_init_u32(&dirty->late[i], 0);
		}
	}
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(DirtyKey);
	ctl.entrysize = sizeof(DirtyEntry);
	dirty_hash = ShmemInitHash("cz_fdw dirty shards", 1024, MAX_DIRTY, &ctl,
							   HASH_ELEM | HASH_BLOBS);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(dirty->lock.tranche, "cz_fdw dirty shards");
	cz_add_unsure = add_unsure;
}

static pg_atomic_uint32 *
given_up_counter(Oid server_oid)
{
	return &dirty->given_up[murmurhash32(server_oid) % NGIVEN_UP];
}

/*
 * CzTxnGivenUp, CzTxnGiveUp
 *		How often a worker (or one of the same hash) was given up; once more, from which on
 *		the transaction takes over (CzTxnIsTakenOver) until CzTxnTakeOverEnd().
 */
uint32
CzTxnGivenUp(Oid server_oid)
{
	return dirty ? pg_atomic_read_u32(given_up_counter(server_oid)) : 0;
}

void
CzTxnGiveUp(Oid server_oid)
{
	if (!is_taking_over)
		pg_atomic_fetch_add_u32(&dirty->ntake_overs, 1);
	is_taking_over = true;
	pg_atomic_fetch_add_u32(given_up_counter(server_oid), 1);
}

/*
 * CzTxnTakeOverEnd
 *		What the transaction has marked can be seen, or it has aborted.
 */
void
CzTxnTakeOverEnd(void)
{
	if (is_taking_over)
		pg_atomic_fetch_sub_u32(&dirty->ntake_overs, 1);
	is_taking_over = false;
}

/*
 * CzTxnIsTakenOver
 *		Is there a worker that is given up by a transaction that is not at its end?
 */
bool
CzTxnIsTakenOver(void)
{
	return dirty != NULL && pg_atomic_read_u32(&dirty->ntake_overs) > 0;
}

static pg_atomic_uint32 *
late_counter(Oid server_oid)
{
	return &dirty->late[murmurhash32(server_oid) % NGIVEN_UP];
}

/*
 * CzTxnLateBegin, CzTxnLateEnd
 *		A worker has not confirmed yet that it has committed what is decided, and others
 *		do not wait any more: until it has, or its placements are marked, they count it as
 *		in doubt.
 */
void
CzTxnLateBegin(Oid server_oid)
{
	pg_atomic_fetch_add_u32(late_counter(server_oid), 1);
	CzTxnMarkInDoubt(server_oid);
}

void
CzTxnLateEnd(Oid server_oid)
{
	pg_atomic_fetch_sub_u32(late_counter(server_oid), 1);
}

/* Is somebody's commit late on a worker (or one of the same hash)? */
bool
CzTxnIsLate(Oid server_oid)
{
	return dirty != NULL && pg_atomic_read_u32(late_counter(server_oid)) > 0;
}

static void
make_key(DirtyKey *key, int64 shard_id)
{
	key->shard_id = shard_id;
	key->database_oid = MyDatabaseId;
}

/*
 * CzTxnDirtyUse
 *		Are rows for all these shards committed?  Then they are in use; the caller has
 *		the shards' local locks.
 */
bool
CzTxnDirtyUse(List *shards)
{
	bool		result = true;
	ListCell   *lc;

	if (dirty == NULL)
		return false;
	LWLockAcquire(&dirty->lock, LW_SHARED);
	foreach(lc, shards)
	{
		DirtyEntry *entry;
		DirtyKey	key;

		make_key(&key, ((const CzShard *) lfirst(lc))->shard_id);
		entry = hash_search(dirty_hash, &key, HASH_FIND, NULL);
		if (entry == NULL || entry->is_unsure)
			result = false;
		else
			entry->is_used = true;
	}
	LWLockRelease(&dirty->lock);
	return result;
}

/* Is the shard's row committed?  Then it is in use. */
static bool
is_known(int64 shard_id)
{
	DirtyEntry *entry;
	DirtyKey	key;

	make_key(&key, shard_id);
	LWLockAcquire(&dirty->lock, LW_SHARED);
	entry = hash_search(dirty_hash, &key, HASH_FIND, NULL);
	/* what is unsure may have come here without a row */
	if (entry != NULL && entry->is_unsure)
		entry = NULL;
	if (entry != NULL)
		entry->is_used = true;
	LWLockRelease(&dirty->lock);
	return entry != NULL;
}

/* Has the current transaction inserted the shard's row? */
static bool
is_inserted(int64 shard_id)
{
	ListCell   *lc;

	foreach(lc, inserted)
	{
		if (((const CzShard *) lfirst(lc))->shard_id == shard_id)
			return true;
	}
	return false;
}

/*
 * CzTxnDirtyInsert
 *		Insert the rows that are missing, with the current transaction.
 *
 * Returns: false if that can't be for one of them.
 */
bool
CzTxnDirtyInsert(List *shards)
{
	ListCell   *lc;

	if (dirty == NULL)
		return false;
	foreach(lc, shards)
	{
		const CzShard *shard = lfirst(lc);
		MemoryContext old;
		bool		is_there = is_known(shard->shard_id) || is_inserted(shard->shard_id);
		long		nentries;

		if (is_there)
			continue;
		LWLockAcquire(&dirty->lock, LW_SHARED);
		nentries = hash_get_num_entries(dirty_hash);
		LWLockRelease(&dirty->lock);
		if (nentries > MAX_DIRTY - SPARE_DIRTY ||
			!CzDirtyInsert(shard->shard_id, CzBootId()))
			return false;
		old = MemoryContextSwitchTo(TopTransactionContext);
		inserted = lappend(inserted, (void *) shard);
		MemoryContextSwitchTo(old);
		CzActivityNote(CZ_TASK_RECOVER);
	}
	return true;
}

/* An entry goes, or is sure again; lock held. */
static void
make_sure(DirtyEntry *entry)
{
	if (entry->is_unsure)
		pg_atomic_fetch_sub_u32(&dirty->nunsure, 1);
	entry->is_unsure = false;
}

/* Remove an entry, unless it has become unsure (once more) since it was looked at. */
static void
remove_entry(const UnsureShard *seen)
{
	DirtyEntry *entry;
	DirtyKey	key;

	make_key(&key, seen->shard_id);
	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	entry = hash_search(dirty_hash, &key, HASH_FIND, NULL);
	if (entry != NULL && (!entry->is_unsure || entry->mark == seen->mark))
	{
		make_sure(entry);
		(void) hash_search(dirty_hash, &key, HASH_REMOVE, NULL);
	}
	LWLockRelease(&dirty->lock);
}

/* The rows are committed: others may rely on them.  In a commit callback. */
void
CzTxnDirtyCommitted(void)
{
	ListCell   *lc;

	foreach(lc, settled)
		remove_entry(lfirst(lc));
	settled = NIL;
	if (inserted == NIL)
		return;
	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	foreach(lc, inserted)
	{
		DirtyEntry *entry;
		DirtyKey	key;
		bool		found;

		make_key(&key, ((const CzShard *) lfirst(lc))->shard_id);
		entry = hash_search(dirty_hash, &key, HASH_ENTER_NULL, &found);
		if (entry == NULL)
			continue;
		/* what is unsure stays so until it is compared */
		if (!found)
			entry->is_unsure = false;
		entry->is_used = true;
	}
	LWLockRelease(&dirty->lock);
	inserted = NIL;
}

void
CzTxnDirtyForget(void)
{
	inserted = NIL;
	settled = NIL;
}

/*
 * CzTxnInvalidateNow
 *		Other sessions forget a relation's placements now, whatever becomes of this transaction.
 */
void
CzTxnInvalidateNow(Oid relid)
{
	SharedInvalidationMessage msg;

	memset(&msg, 0, sizeof(msg));
	msg.rc.id = SHAREDINVALRELCACHE_ID;
	msg.rc.dbId = MyDatabaseId;
	msg.rc.relId = relid;
	SendSharedInvalidMessages(&msg, 1);
}

/*
 * CzTxnPlacementsDiffer
 *		See transaction.h.
 */
bool
CzTxnPlacementsDiffer(const CzShard *shard, Oid server_oid)
{
	Oid			unsure_oid;
	DirtyEntry *entry;
	DirtyKey	key;
	bool		found;

	if (dirty == NULL || RecoveryInProgress() || shard == NULL ||
		!OidIsValid(shard->table_relid))
		return false;
	unsure_oid = shard->is_copy ? server_oid : InvalidOid;
	make_key(&key, shard->shard_id);
	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	entry = hash_search(dirty_hash, &key, HASH_ENTER_NULL, &found);
	if (entry != NULL)
	{
		if (!found)
			entry->is_unsure = false;
		if (!entry->is_unsure)
			pg_atomic_fetch_add_u32(&dirty->nunsure, 1);
		else if (entry->unsure_oid != unsure_oid)
			unsure_oid = InvalidOid;
		entry->is_used = true;
		entry->is_unsure = true;
		entry->unsure_oid = unsure_oid;
		entry->mark = ++dirty->nmarks;
	}
	LWLockRelease(&dirty->lock);
	CzTxnInvalidateNow(shard->relid);
	if (OidIsValid(shard->table_relid) && shard->table_relid != shard->relid)
		CzTxnInvalidateNow(shard->table_relid);
	CzRoomPlacementsChanged();
	CzActivityNote(CZ_TASK_RECOVER);
	return entry != NULL;
}

/*
 * CzTxnDirtyUnsure
 *		It is not known whether a transaction that wrote these shards was committed, and
 *		not all placements may have it: as after a crash.
 */
void
CzTxnDirtyUnsure(List *shards)
{
	ListCell   *lc;

	foreach(lc, shards)
		(void) CzTxnPlacementsDiffer(lfirst(lc), InvalidOid);
	CzBootEnd();
}

/* With this transaction's commit a shard is not unsure any more, as it was seen. */
static void
settle(const UnsureShard *seen)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	UnsureShard *copy = palloc(sizeof(UnsureShard));

	*copy = *seen;
	settled = lappend(settled, copy);
	MemoryContextSwitchTo(old);
}

/*
 * CzTxnPlacementsEqual
 *		See transaction.h.
 */
void
CzTxnPlacementsEqual(int64 shard_id)
{
	UnsureShard seen = {0};
	DirtyEntry *entry;
	DirtyKey	key;

	if (dirty == NULL)
		return;
	make_key(&key, shard_id);
	LWLockAcquire(&dirty->lock, LW_SHARED);
	entry = hash_search(dirty_hash, &key, HASH_FIND, NULL);
	if (entry != NULL && entry->is_unsure)
	{
		seen.shard_id = shard_id;
		seen.mark = entry->mark;
	}
	LWLockRelease(&dirty->lock);
	if (seen.shard_id != 0)
		settle(&seen);
}

/* A cz_add_unsure. */
static List *
add_unsure(List *list)
{
	HASH_SEQ_STATUS status;
	DirtyEntry *entry;

	if (dirty == NULL || pg_atomic_read_u32(&dirty->nunsure) == 0)
		return list;
	LWLockAcquire(&dirty->lock, LW_SHARED);
	hash_seq_init(&status, dirty_hash);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		CzInactive *inactive;

		if (!entry->is_unsure || entry->key.database_oid != MyDatabaseId)
			continue;
		inactive = palloc(sizeof(CzInactive));
		inactive->shard_id = entry->key.shard_id;
		inactive->server_oid = entry->unsure_oid;
		list = lappend(list, inactive);
	}
	LWLockRelease(&dirty->lock);
	return list;
}

/*
 * Shards of this database that have not been used since the last call, or are unsure; of
 * UnsureShard.
 */
static List *
take_shards(bool unsure)
{
	List	   *result = NIL;
	HASH_SEQ_STATUS status;
	DirtyEntry *entry;
	UnsureShard taken[MAX_TIDY];
	int			n = 0;
	int			i;

	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	hash_seq_init(&status, dirty_hash);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->key.database_oid != MyDatabaseId)
			continue;
		if ((unsure ? entry->is_unsure : !entry->is_used && !entry->is_unsure) && n < MAX_TIDY)
		{
			taken[n].shard_id = entry->key.shard_id;
			taken[n].mark = entry->mark;
			taken[n++].server_oid = entry->unsure_oid;
		}
		if (!unsure)
			entry->is_used = false;
	}
	LWLockRelease(&dirty->lock);
	for (i = 0; i < n; i++)
	{
		UnsureShard *one = palloc(sizeof(UnsureShard));

		*one = taken[i];
		result = lappend(result, one);
	}
	return result;
}

/*
 * CzTxnDirtyTidy
 *		One round of the maintenance worker: delete the rows of shards that nobody has
 *		written since the last one.
 *
 * Returns: false if there are others.
 */
bool
CzTxnDirtyTidy(void)
{
	ListCell   *lc;
	bool		is_empty;

	if (dirty == NULL)
		return true;
	foreach(lc, take_shards(true))
	{
		UnsureShard *one = lfirst(lc);

		/* others may be about to commit on other copies: the row is theirs, too */
		if (OidIsValid(one->server_oid))
			(void) CzInactiveInsert(one->shard_id, one->server_oid, "it differs");
		else
		{
			CzDirtyDelete(one->shard_id, CZ_DIRTY_OWN);
			(void) CzDirtyInsert(one->shard_id, 0);
		}
		settle(one);
		CacheInvalidateRelcacheAll();
	}
	foreach(lc, take_shards(false))
	{
		const UnsureShard *one = lfirst(lc);

		if (!CzTxnLocalLockTry(one->shard_id))
			continue;
		remove_entry(one);
		CzDirtyDelete(one->shard_id, CZ_DIRTY_OWN);
	}
	LWLockAcquire(&dirty->lock, LW_SHARED);
	is_empty = hash_get_num_entries(dirty_hash) == 0;
	LWLockRelease(&dirty->lock);
	return is_empty;
}

/*
 * cz_tidy_dirty_shards
 *		SQL function: two rounds of that.  Returns how many shards of this database are still
 *		noted: they are being written, or there are too many for one transaction.
 */
Datum
cz_tidy_dirty_shards(PG_FUNCTION_ARGS)
{
	HASH_SEQ_STATUS status;
	DirtyEntry *entry;
	int64		result = 0;

	PreventCommandIfReadOnly("cz.tidy_dirty_shards()");
	(void) CzTxnDirtyTidy();
	(void) CzTxnDirtyTidy();
	if (dirty == NULL)
		PG_RETURN_INT64(0);
	LWLockAcquire(&dirty->lock, LW_SHARED);
	hash_seq_init(&status, dirty_hash);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->key.database_oid == MyDatabaseId && !entry->is_unsure)
			result++;
	}
	LWLockRelease(&dirty->lock);
	PG_RETURN_INT64(result);
}
