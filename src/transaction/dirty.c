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
 * Besides: how often sessions have given up a worker as the first placement of what
 * they had asked it to commit.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "cz/boot.h"
#include "transaction_int.h"

/* Shards of all databases that can be written that way; others go the other way */
#define MAX_DIRTY 16384
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
	bool		is_unsure;		/* the outcome of a transaction is not known */
} DirtyEntry;

typedef struct DirtyTable
{
	LWLock		lock;			/* guards the hash table */
	pg_atomic_uint32 given_up[NGIVEN_UP];
} DirtyTable;

static DirtyTable *dirty = NULL;
static HTAB *dirty_hash = NULL;

/* Shards whose rows the current transaction inserts; in its memory. */
static List *inserted = NIL;	/* of const CzShard * */

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
		for (i = 0; i < NGIVEN_UP; i++)
			pg_atomic_init_u32(&dirty->given_up[i], 0);
	}
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(DirtyKey);
	ctl.entrysize = sizeof(DirtyEntry);
	dirty_hash = ShmemInitHash("cz_fdw dirty shards", 1024, MAX_DIRTY, &ctl,
							   HASH_ELEM | HASH_BLOBS);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(dirty->lock.tranche, "cz_fdw dirty shards");
}

static pg_atomic_uint32 *
given_up_counter(Oid server_oid)
{
	return &dirty->given_up[murmurhash32(server_oid) % NGIVEN_UP];
}

/*
 * CzTxnGivenUp, CzTxnGiveUp
 *		How often a worker (or one of the same hash) was given up; once more.
 */
uint32
CzTxnGivenUp(Oid server_oid)
{
	return dirty ? pg_atomic_read_u32(given_up_counter(server_oid)) : 0;
}

void
CzTxnGiveUp(Oid server_oid)
{
	pg_atomic_fetch_add_u32(given_up_counter(server_oid), 1);
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

/*
 * CzTxnDirtyInsert
 *		Insert the rows that are missing, with the current transaction.
 */
void
CzTxnDirtyInsert(List *shards)
{
	ListCell   *lc;

	foreach(lc, shards)
	{
		const CzShard *shard = lfirst(lc);
		MemoryContext old;

		if (CzTxnDirtyUse(list_make1((void *) shard)) ||
			!CzDirtyInsert(shard->shard_id, CzBootId()))
			continue;
		old = MemoryContextSwitchTo(TopTransactionContext);
		inserted = lappend(inserted, (void *) shard);
		MemoryContextSwitchTo(old);
	}
}

/* The rows are committed: others may rely on them.  In a commit callback. */
void
CzTxnDirtyCommitted(void)
{
	ListCell   *lc;

	if (inserted == NIL)
		return;
	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	foreach(lc, inserted)
	{
		DirtyEntry *entry;
		DirtyKey	key;

		make_key(&key, ((const CzShard *) lfirst(lc))->shard_id);
		entry = hash_search(dirty_hash, &key, HASH_ENTER_NULL, NULL);
		if (entry != NULL)
		{
			entry->is_used = true;
			entry->is_unsure = false;
		}
	}
	LWLockRelease(&dirty->lock);
	inserted = NIL;
}

void
CzTxnDirtyForget(void)
{
	inserted = NIL;
}

/*
 * CzTxnDirtyUnsure
 *		It is not known whether a transaction that wrote these shards was committed, and
 *		not all placements may have it: as after a crash.  The next round sees to it.
 */
void
CzTxnDirtyUnsure(List *shards)
{
	ListCell   *lc;

	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	foreach(lc, shards)
	{
		DirtyEntry *entry;
		DirtyKey	key;

		make_key(&key, ((const CzShard *) lfirst(lc))->shard_id);
		entry = hash_search(dirty_hash, &key, HASH_FIND, NULL);
		if (entry != NULL)
			entry->is_unsure = true;
	}
	LWLockRelease(&dirty->lock);
	CzActivityNote(CZ_TASK_RECOVER);
}

/* Shards of this database that have not been used since the last call, or are unsure. */
static List *
take_shards(bool unsure)
{
	List	   *result = NIL;
	HASH_SEQ_STATUS status;
	DirtyEntry *entry;
	int64		ids[MAX_TIDY];
	int			n = 0;
	int			i;

	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	hash_seq_init(&status, dirty_hash);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->key.database_oid != MyDatabaseId)
			continue;
		if ((unsure ? entry->is_unsure : !entry->is_used) && n < MAX_TIDY)
			ids[n++] = entry->key.shard_id;
		if (!unsure)
			entry->is_used = false;
	}
	LWLockRelease(&dirty->lock);
	for (i = 0; i < n; i++)
	{
		int64	   *id = palloc(sizeof(int64));

		*id = ids[i];
		result = lappend(result, id);
	}
	return result;
}

static void
remove_entry(int64 shard_id)
{
	DirtyKey	key;

	make_key(&key, shard_id);
	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	(void) hash_search(dirty_hash, &key, HASH_REMOVE, NULL);
	LWLockRelease(&dirty->lock);
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
		int64		shard_id = *(int64 *) lfirst(lc);

		CzDirtyDelete(shard_id, CZ_DIRTY_OWN);
		(void) CzDirtyInsert(shard_id, 0);
		remove_entry(shard_id);
		CacheInvalidateRelcacheAll();
	}
	foreach(lc, take_shards(false))
	{
		int64		shard_id = *(int64 *) lfirst(lc);

		if (!CzTxnLocalLockTry(shard_id))
			continue;
		remove_entry(shard_id);
		CzDirtyDelete(shard_id, CZ_DIRTY_OWN);
	}
	LWLockAcquire(&dirty->lock, LW_SHARED);
	is_empty = hash_get_num_entries(dirty_hash) == 0;
	LWLockRelease(&dirty->lock);
	return is_empty;
}
