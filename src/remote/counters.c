/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  What monitoring asks for and no catalog knows: how transactions were committed, what
 *	  was broken or lost, and how long the fragments of queries took on each worker.
 *
 * In shared memory, from the start of the server on or since a superuser has begun anew.
 * Counting takes no lock but when a fragment is the slowest of its time; what finds no slot
 * is not counted.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cz/counters.h"

/* Databases, and workers of all of them; those beyond are not counted. */
#define MAX_DATABASES 64
#define MAX_NODES 1024
/* The slowest fragment is that of the last one or two times of this length, microseconds. */
#define WINDOW_US INT64CONST(300000000)
/* Slots of workers that a session remembers */
#define NREMEMBERED 64

typedef struct DatabaseSlot
{
	Oid			database_oid;	/* InvalidOid: free */
	pg_atomic_uint64 counts[CZ_NCOUNTERS];
	CzVerified	verified;		/* under the lock, like the next one */
	TimestampTz reset_at;		/* 0: never */
} DatabaseSlot;

typedef struct Slowest
{
	int64		us;				/* 0: none */
	int64		shard_id;
	TimestampTz at;				/* when it ended */
} Slowest;

typedef struct NodeSlot
{
	Oid			database_oid;	/* InvalidOid: free */
	Oid			server_oid;
	pg_atomic_uint64 failovers;
	pg_atomic_uint64 fragments;
	pg_atomic_uint64 fragment_us;
	pg_atomic_uint64 window;	/* number of the time that slowest[0] is of */
	pg_atomic_uint64 slowest_us;	/* of slowest[0], to be read without the lock */
	Slowest		slowest[2];		/* of that time and the one before; under the lock */
} NodeSlot;

typedef struct CounterTable
{
	LWLock		lock;
	DatabaseSlot databases[MAX_DATABASES];
	NodeSlot	nodes[MAX_NODES];
} CounterTable;

static CounterTable *table = NULL;
static DatabaseSlot *my_database = NULL;
static NodeSlot *remembered[NREMEMBERED];

Size
CzCountersShmemSize(void)
{
	return MAXALIGN(sizeof(CounterTable));
}

void
CzCountersShmemInit(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct("cz_fdw counters", CzCountersShmemSize(), &found);
	if (!found)
	{
		memset(table, 0, CzCountersShmemSize());
		LWLockInitialize(&table->lock, LWLockNewTrancheId());
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(table->lock.tranche, "cz_fdw counters");
}

/* This database's slot; NULL: there is none left. */
static DatabaseSlot *
database_slot(void)
{
	int			i;
	int			j;

	if (my_database != NULL || table == NULL || !OidIsValid(MyDatabaseId))
		return my_database;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (i = 0; i < MAX_DATABASES && OidIsValid(table->databases[i].database_oid) &&
		 table->databases[i].database_oid != MyDatabaseId; i++)
		;
	if (i < MAX_DATABASES)
	{
		my_database = &table->databases[i];
		if (!OidIsValid(my_database->database_oid))
		{
			for (j = 0; j < CZ_NCOUNTERS; j++)
				pg_atomic_init_u64(&my_database->counts[j], 0);
			my_database->database_oid = MyDatabaseId;
		}
	}
	LWLockRelease(&table->lock);
	return my_database;
}

/* A worker's slot, made if need be; NULL: there is none left. */
static NodeSlot *
node_slot(Oid server_oid)
{
	NodeSlot   *slot = remembered[server_oid % NREMEMBERED];
	int			i;

	if (slot != NULL && slot->server_oid == server_oid)
		return slot;
	if (table == NULL)
		return NULL;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (i = 0; i < MAX_NODES && OidIsValid(table->nodes[i].database_oid) &&
		 (table->nodes[i].server_oid != server_oid ||
		  table->nodes[i].database_oid != MyDatabaseId); i++)
		;
	slot = i < MAX_NODES ? &table->nodes[i] : NULL;
	if (slot != NULL && !OidIsValid(slot->database_oid))
	{
		pg_atomic_init_u64(&slot->failovers, 0);
		pg_atomic_init_u64(&slot->fragments, 0);
		pg_atomic_init_u64(&slot->fragment_us, 0);
		pg_atomic_init_u64(&slot->window, 0);
		pg_atomic_init_u64(&slot->slowest_us, 0);
		slot->server_oid = server_oid;
		slot->database_oid = MyDatabaseId;
	}
	LWLockRelease(&table->lock);
	if (slot != NULL)
		remembered[server_oid % NREMEMBERED] = slot;
	return slot;
}

void
CzCount(CzCounter counter)
{
	DatabaseSlot *slot = database_slot();

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->counts[counter], 1);
}

void
CzCountFailover(Oid server_oid)
{
	NodeSlot   *slot = node_slot(server_oid);

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->failovers, 1);
}

/* slowest[0] is of this time from here on; lock held. */
static void
enter_window(NodeSlot *slot, uint64 window)
{
	uint64		last = pg_atomic_read_u64(&slot->window);

	if (last == window)
		return;
	if (last + 1 == window)
		slot->slowest[1] = slot->slowest[0];
	else
		memset(&slot->slowest[1], 0, sizeof(Slowest));
	memset(&slot->slowest[0], 0, sizeof(Slowest));
	pg_atomic_write_u64(&slot->slowest_us, 0);
	pg_atomic_write_u64(&slot->window, window);
}

void
CzCountFragment(Oid server_oid, int64 shard_id, int64 us, TimestampTz now)
{
	NodeSlot   *slot = node_slot(server_oid);
	uint64		window = now / WINDOW_US;

	if (slot == NULL)
		return;
	us = Max(us, 0);
	pg_atomic_fetch_add_u64(&slot->fragments, 1);
	pg_atomic_fetch_add_u64(&slot->fragment_us, us);
	if (pg_atomic_read_u64(&slot->window) == window &&
		pg_atomic_read_u64(&slot->slowest_us) >= us)
		return;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	enter_window(slot, window);
	if (us > slot->slowest[0].us)
	{
		slot->slowest[0].us = us;
		slot->slowest[0].shard_id = shard_id;
		slot->slowest[0].at = now;
		pg_atomic_write_u64(&slot->slowest_us, us);
	}
	LWLockRelease(&table->lock);
}

void
CzCountVerified(int64 nshards, int64 ndiffering)
{
	DatabaseSlot *slot = database_slot();

	if (slot == NULL)
		return;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	slot->verified.at = GetCurrentTimestamp();
	slot->verified.nshards = nshards;
	slot->verified.ndiffering = ndiffering;
	LWLockRelease(&table->lock);
}

/*
 * CzCountersRead
 *		See counters.h.
 */
void
CzCountersRead(int64 counts[CZ_NCOUNTERS], CzVerified *verified, TimestampTz *reset_at)
{
	DatabaseSlot *slot = database_slot();
	int			i;

	memset(counts, 0, sizeof(int64) * CZ_NCOUNTERS);
	memset(verified, 0, sizeof(CzVerified));
	*reset_at = 0;
	if (slot == NULL)
		return;
	for (i = 0; i < CZ_NCOUNTERS; i++)
		counts[i] = pg_atomic_read_u64(&slot->counts[i]);
	LWLockAcquire(&table->lock, LW_SHARED);
	*verified = slot->verified;
	*reset_at = slot->reset_at;
	LWLockRelease(&table->lock);
}

/*
 * CzNodeCountersRead
 *		See counters.h.
 */
void
CzNodeCountersRead(Oid server_oid, CzNodeCounters *counters)
{
	NodeSlot   *slot = node_slot(server_oid);
	Slowest    *slowest;

	memset(counters, 0, sizeof(CzNodeCounters));
	if (slot == NULL)
		return;
	counters->failovers = pg_atomic_read_u64(&slot->failovers);
	counters->fragments = pg_atomic_read_u64(&slot->fragments);
	counters->fragment_us = pg_atomic_read_u64(&slot->fragment_us);
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	enter_window(slot, GetCurrentTimestamp() / WINDOW_US);
	slowest = &slot->slowest[slot->slowest[1].us > slot->slowest[0].us ? 1 : 0];
	counters->slowest_us = slowest->us;
	counters->slowest_shard_id = slowest->shard_id;
	counters->slowest_at = slowest->at;
	LWLockRelease(&table->lock);
}

/*
 * CzCountersReset
 *		See counters.h.
 */
void
CzCountersReset(void)
{
	DatabaseSlot *database = database_slot();
	int			i;

	if (database == NULL)
		return;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (i = 0; i < CZ_NCOUNTERS; i++)
		pg_atomic_write_u64(&database->counts[i], 0);
	for (i = 0; i < MAX_NODES && OidIsValid(table->nodes[i].database_oid); i++)
	{
		NodeSlot   *slot = &table->nodes[i];

		if (slot->database_oid != MyDatabaseId)
			continue;
		pg_atomic_write_u64(&slot->failovers, 0);
		pg_atomic_write_u64(&slot->fragments, 0);
		pg_atomic_write_u64(&slot->fragment_us, 0);
		pg_atomic_write_u64(&slot->slowest_us, 0);
		memset(slot->slowest, 0, sizeof(slot->slowest));
	}
	database->reset_at = GetCurrentTimestamp();
	LWLockRelease(&table->lock);
}
