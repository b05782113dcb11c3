/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  How many connections all sessions together have to a worker, and who gets the next.
 *
 * Each connection counts from its begin to its end, also while it is kept for the session's
 * next statement.  Who needs one where the limit is reached waits in a queue, for all that
 * his statement needs at once: who waits holds nothing of what he waits for, so nobody
 * waits in a ring.  Who would only like one more gets none then.  A place is given to the
 * first in the queue; others do not overtake him at the workers that he waits for.
 *
 * Three things keep the queue moving.  A session that ends a transaction gives connections
 * back that others wait for, when it has had them for a while (a turn: making a connection
 * costs more than many transactions; in its turn it comes before those that have nothing).
 * Who waits for his turn waits for all workers that he has used lately, and is connected to
 * them in it: sessions that each have a part of what they need, and wait for each other's
 * turn to end, would get little done.  One that sits idle is woken by an interrupt for invalidations, at which it runs an empty
 * transaction, and the same happens; one that waits itself gives back what it does not use,
 * in the queue to those that come before it.  And one that waits while
 * it holds what others may be waiting for (connections, locks here) goes ahead of the
 * others, and after deadlock_timeout, or when all who have connections wait in this queue
 * themselves, beyond the limit; the first in a queue also does when a session does not give
 * back what it does not use.  The limit is a worker's comfort, a deadlock an error.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procsignal.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "remote_int.h"

/* Workers of all databases that are counted; there is no limit for others. */
#define MAX_POOLS 1024
/* Workers that one statement waits for at a time. */
#define MAX_WANTED 64
/* The first in a queue looks so often for connections that are not in use, milliseconds. */
#define LOOK_MS 5
/* Others look so often whether they have to go ahead. */
#define SLOW_LOOK_MS 100
/* One that has not been in use for so long is asked for, milliseconds. */
#define UNUSED_MS 5
/* Sessions that are asked at a time. */
#define MAX_ASKED 4
/* A turn: times the time that a connect takes; at least, and at most, milliseconds. */
#define TURN_CONNECTS 40
#define MIN_TURN_MS 100
#define MAX_TURN_MS 2000

typedef struct Pool
{
	Oid			database_oid;
	Oid			server_oid;
	int			nopen;			/* connections, and places that were given */
	int			nwaiting;		/* sessions */
	int			limit;			/* as the last one knew it who asked */
	int			worker_limit;	/* what the worker can take; 0: not known */
	uint64		claimed_at;		/* see give_places() */
} Pool;

/* Who comes before whom. */
typedef enum PoolRank
{
	RANK_URGENT,				/* others may wait for it */
	RANK_TURN,					/* its turn is not over: it gets what it lacks */
	RANK_NEW
} PoolRank;

/* A session that waits. */
typedef struct PoolWait
{
	uint64		ticket;			/* 0: it does not wait */
	PoolRank	rank;
	bool		is_given;
	bool		is_first;		/* of those that wait for one of its workers */
	int			nwanted;
	int			wanted[MAX_WANTED]; /* indexes of pools */
} PoolWait;

typedef struct PoolTable
{
	LWLock		lock;
	pg_atomic_uint32 nwaiting;	/* sessions; read without the lock */
	uint64		last_ticket;
	uint64		last_pass;
	int			npools;
	Pool		pools[MAX_POOLS];
	PoolWait	waits[FLEXIBLE_ARRAY_MEMBER];
} PoolTable;

/* Places that this session was given and has not used. */
typedef struct Given
{
	Oid			server_oid;
	int			pool;			/* index */
	int			count;
} Given;

static PoolTable *table = NULL;
static PoolWait *my_wait = NULL;
static Given given[MAX_WANTED];
static int	ngiven = 0;
static TimestampTz turn_began = 0;

Size
CzPoolShmemSize(void)
{
	return add_size(offsetof(PoolTable, waits), mul_size(MaxBackends, sizeof(PoolWait)));
}

void
CzPoolShmemInit(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct("cz_fdw connections to workers", CzPoolShmemSize(), &found);
	if (!found)
	{
		memset(table, 0, CzPoolShmemSize());
		pg_atomic_init_u32(&table->nwaiting, 0);
		LWLockInitialize(&table->lock, LWLockNewTrancheId());
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(table->lock.tranche, "cz_fdw connections to workers");
}

/* A worker's pool, lock held; NULL: none is free. */
static Pool *
find_pool(Oid server_oid)
{
	Pool	   *unused = NULL;
	int			i;

	for (i = 0; i < table->npools; i++)
	{
		Pool	   *pool = &table->pools[i];

		if (pool->server_oid == server_oid && pool->database_oid == MyDatabaseId)
			return pool;
		if (pool->nopen == 0 && pool->nwaiting == 0)
			unused = pool;
	}
	if (table->npools < MAX_POOLS)
		unused = &table->pools[table->npools++];
	if (unused != NULL)
	{
		memset(unused, 0, sizeof(Pool));
		unused->database_oid = MyDatabaseId;
		unused->server_oid = server_oid;
		unused->limit = INT_MAX;
	}
	return unused;
}

/* The limit for a worker by its option, the setting, or what it says of itself. */
static int
limit_of(const CzEndpoint *endpoint, const Pool *pool)
{
	if (endpoint->pool_size > 0)
		return endpoint->pool_size;
	if (cz_max_shared_connections != 0)
		return cz_max_shared_connections > 0 ? cz_max_shared_connections : INT_MAX;
	return pool->worker_limit > 0 ? Max(pool->worker_limit - pool->worker_limit / 10, 1) :
		MaxConnections;
}

/* Does one session come before another? */
static bool
is_before(const PoolWait *a, const PoolWait *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->ticket < b->ticket;
}

/*
 * give_places
 *		Give what is free to those that wait, in their order; lock held.
 */
static void
give_places(void)
{
	PoolWait   *order[64];		/* the first ones: more are not given a place at once */
	uint64		pass = ++table->last_pass;
	int			n = 0;
	int			i;
	int			j;

	for (i = 0; i < MaxBackends; i++)
	{
		PoolWait   *wait = &table->waits[i];

		if (wait->ticket == 0 || wait->is_given)
			continue;
		if (n == lengthof(order) && !is_before(wait, order[n - 1]))
			continue;
		if (n < lengthof(order))
			n++;
		for (j = n - 1; j > 0 && is_before(wait, order[j - 1]); j--)
			order[j] = order[j - 1];
		order[j] = wait;
	}
	for (i = 0; i < n; i++)
	{
		PoolWait   *wait = order[i];
		PGPROC	   *proc = &ProcGlobal->allProcs[wait - table->waits];
		bool		is_free = true;
		bool		is_first = false;

		for (j = 0; j < wait->nwanted; j++)
		{
			Pool	   *pool = &table->pools[wait->wanted[j]];

			if (pool->claimed_at == pass)
				is_free = false;
			else
				is_first = true;
			if (pool->nopen >= pool->limit)
				is_free = false;
		}
		for (j = 0; j < wait->nwanted; j++)
		{
			Pool	   *pool = &table->pools[wait->wanted[j]];

			if (is_free)
				pool->nopen++;
			else
				pool->claimed_at = pass;
		}
		wait->is_given = is_free;
		if (is_free || (is_first && !wait->is_first))
			SetLatch(&proc->procLatch);
		wait->is_first = is_first;
	}
}

static Given *
find_given(Oid server_oid)
{
	int			i;

	for (i = 0; i < ngiven; i++)
	{
		if (given[i].server_oid == server_oid)
			return &given[i];
	}
	return NULL;
}

static void
note_given(int pool)
{
	Oid			server_oid = table->pools[pool].server_oid;
	Given	   *entry = find_given(server_oid);

	if (entry == NULL)
	{
		Assert(ngiven < MAX_WANTED);
		entry = &given[ngiven++];
		entry->server_oid = server_oid;
		entry->pool = pool;
		entry->count = 0;
	}
	entry->count++;
}

/*
 * CzPoolForgetGiven
 *		Places that were given and are not wanted any more.
 */
void
CzPoolForgetGiven(void)
{
	int			i;

	if (ngiven == 0)
		return;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (i = 0; i < ngiven; i++)
	{
		while (given[i].count-- > 0)
			table->pools[given[i].pool].nopen--;
	}
	ngiven = 0;
	give_places();
	LWLockRelease(&table->lock);
}

/*
 * CzPoolOpened, CzPoolClosed
 *		A connection is begun, in a place that was given or beyond the limit; it is closed.
 */
void
CzPoolOpened(ConnEntry *entry)
{
	Given	   *place = find_given(entry->pub.server_oid);
	Pool	   *pool;

	/* it is on the list already */
	if (entry->pub.next == NULL)
		turn_began = GetCurrentTimestamp();
	entry->pool = -1;
	if (my_wait == NULL)
		return;
	if (place != NULL && place->count > 0)
	{
		place->count--;
		entry->pool = place->pool;
		return;
	}
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	pool = find_pool(entry->pub.server_oid);
	if (pool != NULL)
	{
		pool->nopen++;
		entry->pool = pool - table->pools;
	}
	LWLockRelease(&table->lock);
}

void
CzPoolClosed(ConnEntry *entry)
{
	if (entry->pool < 0)
		return;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	table->pools[entry->pool].nopen--;
	if (pg_atomic_read_u32(&table->nwaiting) > 0)
		give_places();
	LWLockRelease(&table->lock);
	entry->pool = -1;
}

/*
 * CzPoolSetWorkerLimit
 *		How many connections a worker can take, as it has said.
 */
void
CzPoolSetWorkerLimit(Oid server_oid, int limit)
{
	Pool	   *pool;

	if (table == NULL || limit <= 0)
		return;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	pool = find_pool(server_oid);
	if (pool != NULL)
		pool->worker_limit = limit;
	LWLockRelease(&table->lock);
}

/*
 * CzPoolRead
 *		See remote.h.
 */
void
CzPoolRead(Oid server_oid, CzPoolState *state)
{
	int			i;

	memset(state, 0, sizeof(CzPoolState));
	state->limit = INT_MAX;
	if (table == NULL)
		return;
	LWLockAcquire(&table->lock, LW_SHARED);
	for (i = 0; i < table->npools; i++)
	{
		const Pool *pool = &table->pools[i];

		if (pool->server_oid != server_oid || pool->database_oid != MyDatabaseId)
			continue;
		state->nopen = pool->nopen;
		state->nwaiting = pool->nwaiting;
		state->limit = pool->limit;
		break;
	}
	LWLockRelease(&table->lock);
}

/* Stop waiting; lock held. */
static void
end_wait(void)
{
	int			i;

	if (my_wait->ticket == 0)
		return;
	for (i = 0; i < my_wait->nwanted; i++)
		table->pools[my_wait->wanted[i]].nwaiting--;
	my_wait->ticket = 0;
	pg_atomic_fetch_sub_u32(&table->nwaiting, 1);
}

/* Stop waiting because of an error. */
static void
give_up_wait(void)
{
	int			i;

	if (my_wait->ticket == 0)
		return;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (i = 0; i < my_wait->nwanted && my_wait->is_given; i++)
		table->pools[my_wait->wanted[i]].nopen--;
	end_wait();
	give_places();
	LWLockRelease(&table->lock);
}

/* The session ends, with all its connections; perhaps in the middle of a wait. */
static void
leave_all(int code, Datum arg)
{
	ConnEntry  *entry;

	for (entry = cz_conn_list; entry; entry = (ConnEntry *) entry->pub.next)
		CzPoolClosed(entry);
	give_up_wait();
	CzPoolForgetGiven();
	my_wait = NULL;
}

/*
 * CzPoolInit
 *		Before the session's first connection.
 */
void
CzPoolInit(void)
{
	int			number = MyProc - ProcGlobal->allProcs;

	if (table == NULL || number < 0 || number >= MaxBackends)
		return;
	my_wait = &table->waits[number];
	my_wait->ticket = 0;
	before_shmem_exit(leave_all, (Datum) 0);
}

/*
 * CzConnHasUnused
 *		See remote.h.
 */
bool
CzConnHasUnused(Oid server_oid, Oid user_oid)
{
	ConnEntry  *entry;

	for (entry = cz_conn_list; entry; entry = (ConnEntry *) entry->pub.next)
	{
		if (entry->pub.server_oid == server_oid && entry->pub.user_oid == user_oid &&
			(entry->pub.state == CZ_CONN_IDLE || entry->is_parked))
			return true;
	}
	return false;
}

/* May others wait for something that this session holds? */
static bool
holds_something(void)
{
	ConnEntry  *entry;

	for (entry = cz_conn_list; entry; entry = (ConnEntry *) entry->pub.next)
	{
		if (entry->pub.state != CZ_CONN_IDLE && !entry->is_parked)
			return true;
	}
	return TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/* Does somebody wait for a lock that this session has here? */
static bool
is_in_the_way(void)
{
	int			i;

	for (i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		ArrayType  *array;
		int32	   *pids;
		int			j;

		if (proc->pid == 0 || proc->waitLock == NULL)
			continue;
		array = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids,
													   Int32GetDatum(proc->pid)));
		pids = (int32 *) ARR_DATA_PTR(array);
		for (j = 0; ARR_NDIM(array) > 0 && j < ARR_DIMS(array)[0]; j++)
		{
			if (pids[j] == MyProcPid)
				return true;
		}
	}
	return false;
}

/* Of a full pool: do all who have connections wait for others, as this session does? */
static bool
is_stuck(Oid server_oid)
{
	int			nlinks;
	CzLink	   *links = CzLinksRead(&nlinks);
	bool		is_stuck = true;
	int			i;

	for (i = 0; i < nlinks && is_stuck; i++)
	{
		if (links[i].server_oid == server_oid && table->waits[links[i].slot].ticket == 0)
			is_stuck = false;
	}
	pfree(links);
	return is_stuck;
}

/*
 * ask_for_unused
 *		Wake sessions that keep a connection to a worker and do not use it.  True if one
 *		does not give it back: it does something else for long.
 *
 * They look at invalidations then, which there may be or not, in a transaction; see
 * CzPoolShed().
 */
static bool
ask_for_unused(Oid server_oid, bool is_long)
{
	static uint32 turn = 0;
	TimestampTz now = GetCurrentTimestamp();
	int			nlinks;
	CzLink	   *links = CzLinksRead(&nlinks);
	bool	   *is_active = palloc0(sizeof(bool) * MaxBackends);
	bool		is_kept = false;
	int			nasked = 0;
	int			i;

	/* one that uses another connection keeps this one in its turn */
	for (i = 0; i < nlinks; i++)
	{
		if (links[i].idle_since == 0 ||
			!TimestampDifferenceExceeds(links[i].idle_since, now, UNUSED_MS))
			is_active[links[i].slot] = true;
	}
	turn++;
	for (i = 0; i < nlinks && nasked < MAX_ASKED; i++)
	{
		CzLink	   *link = &links[(i + turn * MAX_ASKED) % nlinks];

		if (link->server_oid != server_oid || link->idle_since == 0 || link->pid == MyProcPid ||
			(is_active[link->slot] &&
			 !TimestampDifferenceExceeds(link->idle_since, now, MAX_TURN_MS)))
			continue;
		(void) SendProcSignal_compat(link->pid, PROCSIG_CATCHUP_INTERRUPT,
									 &ProcGlobal->allProcs[link->slot]);
		nasked++;
		if (is_long && TimestampDifferenceExceeds(link->idle_since, now, DeadlockTimeout))
			is_kept = true;
	}
	pfree(links);
	pfree(is_active);
	return is_kept;
}

/* Does this session wait for a pool? */
static bool
is_wanted(int pool)
{
	int			i;

	for (i = 0; i < my_wait->nwanted; i++)
	{
		if (my_wait->wanted[i] == pool)
			return true;
	}
	return false;
}

/*
 * want
 *		Add to what this session wants the workers to which it has neither a place nor an
 *		unused connection; lock held.  False: nothing is new.
 *
 * is_free: out: there is a place at each, and nobody waits there.
 */
static bool
want(const CzEndpoint *const *endpoints, int nendpoints, bool *is_free)
{
	int			before = my_wait->nwanted;
	int			i;

	*is_free = true;
	for (i = 0; i < nendpoints && my_wait->nwanted + ngiven < MAX_WANTED; i++)
	{
		Oid			server_oid = endpoints[i]->server_oid;
		Given	   *place = find_given(server_oid);
		Pool	   *pool = find_pool(server_oid);

		if (pool == NULL || is_wanted(pool - table->pools) || (place != NULL && place->count > 0) ||
			CzConnHasUnused(server_oid, endpoints[i]->user_oid))
			continue;
		pool->limit = limit_of(endpoints[i], pool);
		if (pool->nopen >= pool->limit || pool->nwaiting > 0)
			*is_free = false;
		pool->nwaiting++;
		my_wait->wanted[my_wait->nwanted++] = pool - table->pools;
	}
	return my_wait->nwanted > before;
}

/* Is the time over in which a session keeps what it has? */
static bool
is_turn_over(Oid server_oid)
{
	double		turn_ms = CzConnConnectMs(server_oid) * TURN_CONNECTS;

	turn_ms = Min(Max(turn_ms, MIN_TURN_MS), MAX_TURN_MS);
	return TimestampDifferenceExceeds(turn_began, GetCurrentTimestamp(), (int) turn_ms);
}

/* Do more sessions that come before this one wait for a pool than it has free places? */
static bool
is_wanted_before(int pool)
{
	int			nmissing;
	int			i;
	int			j;

	LWLockAcquire(&table->lock, LW_SHARED);
	nmissing = table->pools[pool].nopen - table->pools[pool].limit;
	for (i = 0; i < MaxBackends; i++)
	{
		const PoolWait *wait = &table->waits[i];

		if (wait->ticket == 0 || wait->is_given || wait == my_wait || !is_before(wait, my_wait))
			continue;
		for (j = 0; j < wait->nwanted; j++)
		{
			if (wait->wanted[j] == pool)
				nmissing++;
		}
	}
	LWLockRelease(&table->lock);
	return nmissing > 0;
}

/*
 * shed_for_others
 *		While this session waits in the queue: close what it does not use and others want
 *		that come before it.  So the first one gets all that it wants.
 */
static void
shed_for_others(void)
{
	CzConn	   *conn;
	CzConn	   *next;

	if (my_wait->rank == RANK_TURN &&
		is_turn_over(table->pools[my_wait->wanted[0]].server_oid))
		my_wait->rank = RANK_NEW;
	for (conn = (CzConn *) cz_conn_list; conn; conn = next)
	{
		int			pool = ENTRY(conn)->pool;

		next = conn->next;
		if ((conn->state == CZ_CONN_IDLE || ENTRY(conn)->is_parked) && pool >= 0 &&
			table->pools[pool].nwaiting > 0 && is_wanted_before(pool))
			CzConnDiscard(conn);
	}
}

/*
 * must_go_on
 *		One look of a session that waits: connections that nobody uses are asked for; must
 *		it go on without a place?
 */
static bool
must_go_on(TimestampTz begin)
{
	static TimestampTz looked_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	Oid			full[MAX_WANTED];
	int			nfull = 0;
	bool		is_long = TimestampDifferenceExceeds(begin, now, DeadlockTimeout);
	int			i;

	LWLockAcquire(&table->lock, LW_SHARED);
	for (i = 0; i < my_wait->nwanted; i++)
	{
		Pool	   *pool = &table->pools[my_wait->wanted[i]];

		if (pool->nopen >= pool->limit)
			full[nfull++] = pool->server_oid;
	}
	LWLockRelease(&table->lock);

	if (is_long && my_wait->rank != RANK_URGENT &&
		TimestampDifferenceExceeds(looked_at, now, DeadlockTimeout))
	{
		looked_at = now;
		if (is_in_the_way())
			my_wait->rank = RANK_URGENT;
	}
	if (is_long && my_wait->rank == RANK_URGENT)
		return true;
	for (i = 0; i < nfull; i++)
	{
		if (my_wait->is_first && ask_for_unused(full[i], is_long))
			return true;
		if (my_wait->rank == RANK_URGENT && is_stuck(full[i]))
			return true;
	}
	return false;
}

/* Take the places that are wanted, be they free or not. */
static void
take_places(void)
{
	int			i;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (i = 0; i < my_wait->nwanted && !my_wait->is_given; i++)
		table->pools[my_wait->wanted[i]].nopen++;
	my_wait->is_given = true;
	LWLockRelease(&table->lock);
}

/* Wait until the places are given that my_wait wants, and perhaps more in the end. */
static void
await_places(const CzEndpoint *const *endpoints, int nendpoints)
{
	TimestampTz begin = GetCurrentTimestamp();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz pool",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	PG_TRY();
	{
		for (;;)
		{
			bool		is_free;
			bool		is_given;

			/* what others wait for is wanted together with the rest then */
			if (!my_wait->is_given)
				shed_for_others();
			LWLockAcquire(&table->lock, LW_EXCLUSIVE);
			if (!my_wait->is_given && want(endpoints, nendpoints, &is_free))
				give_places();
			is_given = my_wait->is_given;
			LWLockRelease(&table->lock);
			if (is_given)
				break;
			if (must_go_on(begin))
			{
				take_places();
				break;
			}
			MemoryContextReset(context);
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 my_wait->is_first ? LOOK_MS : SLOW_LOOK_MS,
							 PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
	PG_CATCH();
	{
		give_up_wait();
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Want nothing any more; lock held. */
static void
unwant(void)
{
	int			i;

	for (i = 0; i < my_wait->nwanted; i++)
		table->pools[my_wait->wanted[i]].nwaiting--;
	my_wait->nwanted = 0;
}

/* Begin to connect to workers at which this session was given a place and has nothing. */
static void
connect_usual(const CzEndpoint *const *endpoints, int nendpoints)
{
	int			i;

	for (i = 0; i < nendpoints; i++)
	{
		Given	   *place = find_given(endpoints[i]->server_oid);

		if (place != NULL && place->count > 0)
			CzConnRelease(CzConnStart(endpoints[i]));
	}
}

/* What a session is that needs a place. */
static PoolRank
rank_of(const CzEndpoint *endpoint)
{
	if (holds_something())
		return RANK_URGENT;
	return cz_conn_list != NULL && !is_turn_over(endpoint->server_oid) ? RANK_TURN : RANK_NEW;
}

/*
 * enter
 *		Get a place at each worker that this session has no connection to; false if that
 *		is not possible at once and must_have is not set.
 */
static bool
enter(const CzEndpoint *const *endpoints, int nendpoints, bool must_have)
{
	const CzEndpoint *const *all = endpoints;
	int			nall = nendpoints;
	PoolRank	rank;
	bool		is_free;
	int			i;

	CzConnInitBackend();
	if (my_wait == NULL)
		return true;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	my_wait->nwanted = 0;
	(void) want(endpoints, nendpoints, &is_free);
	if (is_free || !must_have)
	{
		for (i = 0; i < my_wait->nwanted; i++)
		{
			table->pools[my_wait->wanted[i]].nwaiting--;
			if (is_free)
				table->pools[my_wait->wanted[i]].nopen++;
		}
	}
	else
		unwant();
	LWLockRelease(&table->lock);

	if (!is_free && must_have)
	{
		rank = rank_of(endpoints[0]);
		if (rank == RANK_NEW)
			all = CzPoolWithUsual(endpoints, nendpoints, &nall);
		LWLockAcquire(&table->lock, LW_EXCLUSIVE);
		(void) want(all, nall, &is_free);
		my_wait->rank = rank;
		my_wait->is_given = my_wait->is_first = false;
		my_wait->ticket = ++table->last_ticket;
		pg_atomic_fetch_add_u32(&table->nwaiting, 1);
		give_places();
		LWLockRelease(&table->lock);

		await_places(all, nall);
		LWLockAcquire(&table->lock, LW_EXCLUSIVE);
		end_wait();
		if (pg_atomic_read_u32(&table->nwaiting) > 0)
			give_places();
		LWLockRelease(&table->lock);
		if (rank == RANK_NEW)
			turn_began = GetCurrentTimestamp();
		is_free = true;
	}
	for (i = 0; i < my_wait->nwanted && is_free; i++)
		note_given(my_wait->wanted[i]);
	connect_usual(all + nendpoints, nall - nendpoints);
	return is_free;
}

/*
 * CzPoolEnter
 *		See remote.h.
 */
void
CzPoolEnter(const CzEndpoint *const *endpoints, int nendpoints)
{
	(void) enter(endpoints, nendpoints, true);
}

/*
 * CzPoolTryEnter
 *		See remote.h.
 */
bool
CzPoolTryEnter(const CzEndpoint *endpoint)
{
	return enter(&endpoint, 1, false);
}

/* Has this session used none of its connections for a while? */
static bool
is_unused(void)
{
	TimestampTz last = 0;
	ConnEntry  *entry;

	for (entry = cz_conn_list; entry; entry = (ConnEntry *) entry->pub.next)
	{
		if (entry->pub.state != CZ_CONN_IDLE && !entry->is_parked)
			return false;
		last = Max(last, entry->idle_since);
	}
	return TimestampDifferenceExceeds(last, GetCurrentTimestamp(), UNUSED_MS);
}

/*
 * CzPoolWants
 *		Does somebody wait for a connection that this session does not use (any more)?
 */
bool
CzPoolWants(const ConnEntry *entry)
{
	const Pool *pool = entry->pool >= 0 ? &table->pools[entry->pool] : NULL;

	/* looked at without the lock: one that waits looks again */
	if (pool == NULL)
		return false;
	/* in a transaction block nobody can ask for it later */
	if (IsTransactionBlock() && IsTransactionState())
		return (pool->nwaiting > 0 || pool->nopen > pool->limit - pool->limit / 4) &&
			is_turn_over(entry->pub.server_oid);
	if (pool->nwaiting == 0)
		return false;
	return is_turn_over(entry->pub.server_oid) || is_unused();
}

/*
 * CzPoolShed
 *		At the end of a transaction, or while this session waits for a worker: close what
 *		it does not use and others wait for.
 */
void
CzPoolShed(void)
{
	CzConn	   *conn;
	CzConn	   *next;

	if (table == NULL || pg_atomic_read_u32(&table->nwaiting) == 0)
		return;
	for (conn = (CzConn *) cz_conn_list; conn; conn = next)
	{
		next = conn->next;
		if ((conn->state == CZ_CONN_IDLE || ENTRY(conn)->is_parked) && CzPoolWants(ENTRY(conn)))
			CzConnDiscard(conn);
	}
}
