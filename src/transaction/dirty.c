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
 * they had asked it to commit.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
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
	bool		is_unsure;		/* its placements may differ now */
	Oid			unsure_oid;		/* with it: the one that may; InvalidOid: all but the first */
} DirtyEntry;

/* What is unsure, as the maintenance worker takes it. */
typedef struct UnsureShard
{
	int64		shard_id;
	Oid			server_oid;
} UnsureShard;

typedef struct DirtyTable
{
	LWLock		lock;			/* guards the hash table */
	pg_atomic_uint32 nunsure;	/* entries that are, in all databases */
	pg_atomic_uint32 given_up[NGIVEN_UP];
} DirtyTable;

static DirtyTable *dirty = NULL;
static HTAB *dirty_hash = NULL;

/* Shards whose rows the current transaction inserts; in its memory. */
static List *inserted = NIL;	/* of const CzShard * */

/* Shards that are not unsure any more, once it is committed; in its memory. */
static List *settled = NIL;		/* of int64 * */

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
		pg_atomic_init_u32(&dirty->nunsure, 0);
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
	cz_add_unsure = add_unsure;
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

/* An entry goes, or is sure again; lock held. */
static void
make_sure(DirtyEntry *entry)
{
	if (entry->is_unsure)
		pg_atomic_fetch_sub_u32(&dirty->nunsure, 1);
	entry->is_unsure = false;
}

static void
remove_entry(int64 shard_id)
{
	DirtyEntry *entry;
	DirtyKey	key;

	make_key(&key, shard_id);
	LWLockAcquire(&dirty->lock, LW_EXCLUSIVE);
	entry = hash_search(dirty_hash, &key, HASH_FIND, NULL);
	if (entry != NULL)
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
		remove_entry(*(int64 *) lfirst(lc));
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

/* Other sessions forget a relation's placements now, whatever becomes of this transaction. */
static void
invalidate_now(Oid relid)
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
void
CzTxnPlacementsDiffer(const CzShard *shard, Oid server_oid)
{
	Oid			unsure_oid;
	DirtyEntry *entry;
	DirtyKey	key;
	bool		found;

	if (dirty == NULL || RecoveryInProgress() || shard == NULL ||
		!OidIsValid(shard->table_relid))
		return;
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
	}
	LWLockRelease(&dirty->lock);
	invalidate_now(shard->relid);
	if (OidIsValid(shard->table_relid) && shard->table_relid != shard->relid)
		invalidate_now(shard->table_relid);
	CzRoomPlacementsChanged();
	CzActivityNote(CZ_TASK_RECOVER);
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
		CzTxnPlacementsDiffer(lfirst(lc), InvalidOid);
}

/*
 * CzTxnPlacementsEqual
 *		See transaction.h.
 */
void
CzTxnPlacementsEqual(int64 shard_id)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	int64	   *id = palloc(sizeof(int64));

	*id = shard_id;
	settled = lappend(settled, id);
	MemoryContextSwitchTo(old);
}

/* A cz_add_unsure. */
static List *
add_unsure(List *list)
{
	HASH_SEQ_STATUS status;
	DirtyEntry *entry;
	CzInactive	found[MAX_TIDY];
	int			n = 0;
	int			i;

	if (dirty == NULL || pg_atomic_read_u32(&dirty->nunsure) == 0)
		return list;
	LWLockAcquire(&dirty->lock, LW_SHARED);
	hash_seq_init(&status, dirty_hash);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!entry->is_unsure || entry->key.database_oid != MyDatabaseId)
			continue;
		found[n].shard_id = entry->key.shard_id;
		found[n++].server_oid = entry->unsure_oid;
		if (n == MAX_TIDY)
		{
			hash_seq_term(&status);
			break;
		}
	}
	LWLockRelease(&dirty->lock);
	for (i = 0; i < n; i++)
	{
		CzInactive *inactive = palloc(sizeof(CzInactive));

		*inactive = found[i];
		list = lappend(list, inactive);
	}
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

		CzDirtyDelete(one->shard_id, CZ_DIRTY_OWN);
		if (OidIsValid(one->server_oid))
			(void) CzInactiveInsert(one->shard_id, one->server_oid, "it differs");
		else
			(void) CzDirtyInsert(one->shard_id, 0);
		CzTxnPlacementsEqual(one->shard_id);
		CacheInvalidateRelcacheAll();
	}
	foreach(lc, take_shards(false))
	{
		int64		shard_id = ((UnsureShard *) lfirst(lc))->shard_id;

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
