/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  Placements that commit in one phase after a decision which is made elsewhere.
 *
 * Where the local commit record is the decision, only first placements are prepared: what
 * the other ones have is there as well, and can be copied from there.  Of a reference table
 * the first placement is the table here, so that none of its copies is prepared.  A
 * connection follows if nothing was written through it that a first placement has not
 * got.  Its shards are dirty (dirty.c) from the same local commit on at the latest.
 *
 *	  1. PREPARE on first placements' workers
 *	  2. the local commit: decided
 *	  3. COMMIT PREPARED on those, COMMIT on the followers, at once
 *	  4. told to the user
 *
 * What fails when:
 *	  before 2		all is rolled back, as ever; followers had nothing but an open
 *					transaction
 *	  2 to 4, a crash or the backend's death
 *					The user was not told.  Recovery commits what is prepared.  What
 *					followers have done nobody knows: their shards are dirty, with the
 *					decision, and only the first placement is used until they are compared.
 *	  in 3, a first placement
 *					it is in doubt until recovery has finished it there (doubt.c)
 *	  in 3, a follower
 *					Core is past the point where something could be written here.  Its
 *					placements are marked in shared memory (CzTxnPlacementsDiffer) before
 *					the user is told: inactive for everybody at once, and with the next
 *					round of the maintenance worker in a table.  Should the server end
 *					before, cleanly or not, the shards are dirty.
 *
 * While the committer is in the room nobody takes snapshots; one that takes longer is in
 * doubt for the others (CzTxnLateBegin) until it has confirmed or is marked.
 *
 * Who can't reach a first placement marks it inactive, and another one becomes the first.
 * That one has to have what was decided before: the mark waits for committers who have
 * followers (CZ_STATE_LOCK), and who comes after it starts again (CzTxnCheckPlacements).
 *
 * A writer who comes next finds a row at its first placement committed and at another one
 * not yet: there he waits for the row's lock, or looks for it again.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "cz/boot.h"
#include "cz/settings.h"
#include "transaction_int.h"

/* What is to be marked if a worker does not commit. */
typedef struct Following
{
	Oid			server_oid;
	int			nshards;
	CzShard    *shards;			/* copies without what they point to */
} Following;

static List *followings = NIL;	/* in TopTransactionContext */

static void
add_following(Oid server_oid, List *shards)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Following  *following = palloc(sizeof(Following));
	ListCell   *lc;

	following->server_oid = server_oid;
	following->nshards = list_length(shards);
	following->shards = palloc(sizeof(CzShard) * list_length(shards));
	foreach(lc, shards)
		following->shards[foreach_current_index(lc)] = *(const CzShard *) lfirst(lc);
	followings = lappend(followings, following);
	MemoryContextSwitchTo(old);
}

/*
 * CzTxnFollowersChoose
 *		Decide which connections follow, and have the local transaction note that their
 *		shards may differ after a crash.
 *
 * written: entries that wrote.
 * Returns: do all of them follow?
 * Errors: 40001 if the placements that were written are not those that count.
 */
bool
CzTxnFollowersChoose(List *written)
{
	bool		is_all = true;
	ListCell   *lc;

	/* what a crash leaves behind must be known to the owner */
	if (CzTxnIsAttached())
		return false;
	foreach(lc, written)
	{
		CzTxnEntry *entry = lfirst(lc);
		List	   *shards = NIL;

		/* that of a serializable transaction may still fail */
		if (entry->first_level == 0 && !IsolationIsSerializable() &&
			CzTxnShardsWrittenAt(entry->server_oid, &shards) && CzTxnDirtyInsert(shards))
		{
			add_following(entry->server_oid, shards);
			entry->follows = true;
		}
		else
			is_all = false;
		list_free(shards);
	}
	if (followings != NIL)
	{
		/* nobody gives up a first placement while others may still miss the decision */
		CzTxnLocalLock(CZ_STATE_LOCK, CZ_LOCK_SHARED);
		AcceptInvalidationMessages();
		CzTxnCheckPlacements();
	}
	return is_all;
}

/* Is a COMMIT what was answered? */
bool
CzTxnFollowerHasCommitted(const CzTxnCall *call)
{
	return CzTxnCallIsOk(call) && strcmp(PQcmdStatus(call->result), "COMMIT") == 0;
}

/*
 * CzTxnFollowerLost
 *		A worker has not committed what is decided: its placements are left out.  In a
 *		commit callback.
 */
void
CzTxnFollowerLost(const CzTxnEntry *entry)
{
	ListCell   *lc;
	int			i;

	foreach(lc, followings)
	{
		Following  *following = lfirst(lc);

		for (i = 0; following->server_oid == entry->server_oid && i < following->nshards; i++)
		{
			if (!CzTxnPlacementsDiffer(&following->shards[i], following->server_oid))
				elog(PANIC, "could not mark placements that have missed a committed transaction");
		}
	}
	CzBootEnd();
	ereport(WARNING,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("placements on node \"%s\" are left out: %s", entry->conn->node_name,
					"it has not confirmed a commit"),
			 errdetail("Shards that this transaction has written are inactive there from its commit on."),
			 errhint("They are made whole when the node is back, or by cz_repair_placements().")));
}

void
CzTxnFollowersForget(void)
{
	followings = NIL;
}
