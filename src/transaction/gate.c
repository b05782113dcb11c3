/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  Times in which nothing is committed on several nodes: for restore points, and while
 *	  each node takes its backup.
 *
 * Whoever commits on more than one node (workers, or a worker and this server), changes
 * which placements are in use, or tidies up the log of decisions, passes the gate before
 * he prepares anything, and is through when all of it is done.  Who closes the gate waits
 * for those who are in it and keeps out the others.  So what is done on one node is done
 * on all while it is closed, whatever the moment at which each of them is copied.
 *
 * Not the room (room.c), though the modes are the same: those who read from several
 * workers enter that one behind committers who wait, and must not stand still with them.
 *
 * A transaction on one worker alone does not pass: its node has all of it or nothing.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/resowner.h"

#include "transaction_int.h"

/* Fourth field of the gate's lock tag; shard_lock.c 25466, room.c 25467 */
#define CZ_LOCKTAG_GATE 25468

static void
set_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0, 0, CZ_LOCKTAG_GATE);
}

/* The lock as the whole transaction's; false: it is not free, and is not waited for. */
static bool
lock_gate(bool may_wait)
{
	ResourceOwner saved = CurrentResourceOwner;
	LockAcquireResult result = LOCKACQUIRE_NOT_AVAIL;
	LOCKTAG		tag;

	set_tag(&tag);
	CurrentResourceOwner = TopTransactionResourceOwner;
	PG_TRY();
	{
		result = LockAcquire(&tag, RowExclusiveLock, false, !may_wait);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = saved;
	}
	PG_END_TRY();
	return result != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * CzGateEnter
 *		See transaction.h.
 */
void
CzGateEnter(void)
{
	(void) lock_gate(true);
}

/*
 * CzGateTryEnter
 *		See transaction.h.
 */
bool
CzGateTryEnter(void)
{
	return lock_gate(false);
}

/*
 * CzGateAwait
 *		See transaction.h.
 */
void
CzGateAwait(void)
{
	LOCKTAG		tag;

	set_tag(&tag);
	if (LockAcquire(&tag, RowExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		ereport(NOTICE,
				(errmsg("changes of the cluster are blocked: waiting"),
				 errhint("citus_cluster_changes_block_status() says until when.")));
		(void) LockAcquire(&tag, RowExclusiveLock, false, false);
	}
	LockRelease(&tag, RowExclusiveLock, false);
}

/*
 * CzGateClose, CzGateOpen
 *		See transaction.h.
 */
void
CzGateClose(void)
{
	LOCKTAG		tag;

	set_tag(&tag);
	(void) LockAcquire(&tag, ShareLock, false, false);
}

void
CzGateOpen(void)
{
	LOCKTAG		tag;

	set_tag(&tag);
	LockRelease(&tag, ShareLock, false);
}
