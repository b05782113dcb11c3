/*-------------------------------------------------------------------------
 *
 * doubt.c
 *	  Which workers may hold a prepared transaction that is decided but not
 *	  finished?  A read there would miss committed rows.
 *
 * Shared memory knows the workers that are clear; all others are in doubt:
 * every one after a start of the server, and one whose COMMIT PREPARED was not
 * confirmed.  Who is about to use a worker in doubt runs recovery on it first.
 * A worker where that fails stays in doubt, and nobody reads or writes there:
 * other placements are read, or the statement fails.
 *
 * Clear is as of an epoch: in a new one every worker is in doubt, for a former
 * coordinator may still use it (fence.c).
 *
 * The generation counts events that put a worker in doubt: a backend looks at
 * the shared table only if the generation is new to it, and a recovery round
 * clears a worker only if none happened while it looked.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "cz/settings.h"
#include "transaction_int.h"

/* Workers of all databases that can be known as clear; more are looked at again */
#define CZ_MAX_CLEAR 8192
/* Milliseconds that a worker counts as not clear after a look in vain */
#define UNCLEAR_MS 200
/* Milliseconds between two looks of who needs it */
#define RETRY_MS 50

typedef struct ClearServer
{
	Oid			database_oid;
	Oid			server_oid;		/* so far the key of the hash table */
	int			epoch;			/* as of which it is clear */
} ClearServer;

typedef struct DoubtTable
{
	LWLock		lock;			/* guards what follows but generation's reads */
	pg_atomic_uint64 generation;
} DoubtTable;

static DoubtTable *doubt = NULL;
static HTAB *clear_servers = NULL;	/* of ClearServer */

/* What this backend knows as clear, each as of a generation */
typedef struct LocalClear
{
	Oid			server_oid;		/* hash key */
	uint64		generation;
	int			epoch;
} LocalClear;

static HTAB *local_clear = NULL;

static bool is_resolving = false;

/* What a look has just found not to be clear is not looked at again at once. */
static Oid	unclear_server = InvalidOid;
static TimestampTz unclear_until = 0;

Size
CzTxnShmemSize(void)
{
	return add_size(MAXALIGN(sizeof(DoubtTable)),
					hash_estimate_size(CZ_MAX_CLEAR, sizeof(ClearServer)));
}

void
CzTxnShmemInit(void)
{
	bool		found;
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = offsetof(ClearServer, epoch);
	ctl.entrysize = sizeof(ClearServer);
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	clear_servers = ShmemInitHash("cz_fdw clear workers", CZ_MAX_CLEAR, CZ_MAX_CLEAR, &ctl,
								  HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	doubt = ShmemInitStruct("cz_fdw workers in doubt", sizeof(DoubtTable), &found);
	if (!found)
	{
		memset(doubt, 0, sizeof(DoubtTable));
		LWLockInitialize(&doubt->lock, LWLockNewTrancheId());
		pg_atomic_init_u64(&doubt->generation, 1);
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(doubt->lock.tranche, "cz_fdw workers in doubt");
}

/* Look for a worker among those that are clear, or what is to be done; lock held. */
static ClearServer *
search_clear(Oid server_oid, HASHACTION action)
{
	ClearServer key;

	memset(&key, 0, sizeof(key));
	key.database_oid = MyDatabaseId;
	key.server_oid = server_oid;
	return hash_search(clear_servers, &key, action, NULL);
}

/* Forget any one of them, for another one. */
static void
forget_any(void)
{
	HASH_SEQ_STATUS status;
	ClearServer *any;

	hash_seq_init(&status, clear_servers);
	any = hash_seq_search(&status);
	if (any == NULL)
		return;
	hash_seq_term(&status);
	(void) hash_search(clear_servers, any, HASH_REMOVE, NULL);
}

/*
 * CzTxnMarkInDoubt
 *		A prepared transaction may be left on the worker.  Callable in commit and
 *		abort callbacks.
 */
void
CzTxnMarkInDoubt(Oid server_oid)
{
	if (doubt == NULL)
		return;
	CzActivityNote(CZ_TASK_RECOVER);
	LWLockAcquire(&doubt->lock, LW_EXCLUSIVE);
	(void) search_clear(server_oid, HASH_REMOVE);
	pg_atomic_fetch_add_u64(&doubt->generation, 1);
	LWLockRelease(&doubt->lock);
}

static List *doubt_at_commit = NIL; /* in TopTransactionContext */

static void
mark_at_commit(XactEvent event, void *arg)
{
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	foreach(lc, event == XACT_EVENT_COMMIT ? doubt_at_commit : NIL)
		CzTxnMarkInDoubt(lfirst_oid(lc));
	doubt_at_commit = NIL;
}

/*
 * CzTxnMarkInDoubtAtCommit
 *		See transaction.h.
 */
void
CzTxnMarkInDoubtAtCommit(Oid server_oid)
{
	static bool is_registered = false;
	MemoryContext old;

	if (!is_registered)
		RegisterXactCallback(mark_at_commit, NULL);
	is_registered = true;
	old = MemoryContextSwitchTo(TopTransactionContext);
	doubt_at_commit = lappend_oid(doubt_at_commit, server_oid);
	MemoryContextSwitchTo(old);
}

/* To be read before a recovery round looks at any worker. */
uint64
CzTxnDoubtGeneration(void)
{
	return doubt ? pg_atomic_read_u64(&doubt->generation) : 0;
}

/*
 * CzTxnMarkClear
 *		Recovery that began at generation found nothing left on the worker.
 */
void
CzTxnMarkClear(Oid server_oid, uint64 generation)
{
	ClearServer *clear;
	int			epoch;

	if (doubt == NULL || CzTxnIsLate(server_oid))
		return;
	epoch = CzTxnIdentity()->epoch;
	LWLockAcquire(&doubt->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&doubt->generation) == generation)
	{
		clear = search_clear(server_oid, HASH_FIND);
		/* in doubt means no more than a look */
		if (clear == NULL && hash_get_num_entries(clear_servers) >= CZ_MAX_CLEAR)
			forget_any();
		if (clear == NULL)
			clear = search_clear(server_oid, HASH_ENTER_NULL);
		if (clear != NULL)
			clear->epoch = epoch;
	}
	LWLockRelease(&doubt->lock);
}

static void
create_local(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(LocalClear);
	local_clear = hash_create("cz_fdw clear workers", 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

static bool
is_in_doubt(Oid server_oid)
{
	uint64		generation;
	ClearServer *clear;
	LocalClear *local;
	int			epoch;
	bool		found;
	bool		is_clear;

	if (doubt == NULL)
		return false;
	epoch = CzTxnIdentity()->epoch;
	generation = pg_atomic_read_u64(&doubt->generation);
	if (local_clear == NULL)
		create_local();
	local = hash_search(local_clear, &server_oid, HASH_ENTER, &found);
	if (!found)
		local->generation = 0;
	if (local->generation == generation && local->epoch == epoch)
		return false;
	LWLockAcquire(&doubt->lock, LW_SHARED);
	clear = search_clear(server_oid, HASH_FIND);
	is_clear = clear != NULL && clear->epoch == epoch;
	LWLockRelease(&doubt->lock);
	local->generation = is_clear ? generation : 0;
	local->epoch = epoch;
	return !is_clear;
}

/*
 * CzTxnIsInDoubt
 *		Is the worker in doubt, and this session to care and able to do something?  Sends
 *		nothing.
 */
bool
CzTxnIsInDoubt(Oid server_oid)
{
	if (is_resolving || !is_in_doubt(server_oid) || IsInParallelMode() ||
		!CzTxnLogExists())
		return false;
	/* Who decides nothing shows what the workers show. */
	return CzTxnDecides();
}

/* CzTxnRecoverServer, not from within itself. */
static CzRecovery
recover_server(Oid server_oid, Oid user_oid, char **error)
{
	CzRecovery	result = CZ_RECOVERY_UNREACHABLE;

	is_resolving = true;
	PG_TRY();
	{
		result = CzTxnRecoverServer(server_oid, user_oid, error);
	}
	PG_FINALLY();
	{
		is_resolving = false;
	}
	PG_END_TRY();
	if (result != CZ_RECOVERY_CLEAR)
	{
		unclear_server = server_oid;
		unclear_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), UNCLEAR_MS);
	}
	return result;
}

/*
 * CzTxnWorkerIsClear
 *		See transaction.h.
 */
bool
CzTxnWorkerIsClear(Oid server_oid, Oid user_oid)
{
	char	   *error;

	if (!CzTxnIsInDoubt(server_oid))
		return true;
	if (server_oid == unclear_server && GetCurrentTimestamp() < unclear_until)
		return false;
	/* A worker that failed is not waited for here. */
	if (CzHealthIsSuspect(server_oid) &&
		!CzHealthRecheck(CzEndpointGet(server_oid, user_oid)))
		return false;
	return recover_server(server_oid, user_oid, &error) == CZ_RECOVERY_CLEAR;
}

/*
 * CzTxnRequireClear
 *		Before a worker is used that nothing can stand in for: finish there what is
 *		decided.  Cheap if nothing is in doubt.
 *
 * Errors: 08001 if it can't be reached, 55000 if something stays unfinished.
 */
void
CzTxnRequireClear(Oid server_oid, Oid user_oid)
{
	TimestampTz deadline;

	if (!CzTxnIsInDoubt(server_oid))
		return;
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), cz_worker_timeout_ms);
	for (;;)
	{
		char	   *error = NULL;
		CzRecovery	result = recover_server(server_oid, user_oid, &error);

		if (result == CZ_RECOVERY_CLEAR)
			return;
		if (result == CZ_RECOVERY_UNREACHABLE)
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not connect to node \"%s\"", CzNodeName(server_oid)),
					 error ? errdetail_internal("%s", error) : 0));
		if (GetCurrentTimestamp() >= deadline)
			break;
		/* another session is at it */
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 RETRY_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a committed transaction is not finished on node \"%s\"",
					CzNodeName(server_oid)),
			 errdetail("Rows that it wrote would be missing."),
			 errhint("SELECT recover_prepared_transactions() tells what is in the way.")));
}
