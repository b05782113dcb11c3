/*-------------------------------------------------------------------------
 *
 * split_switch.c
 *	  The moment in which the pieces take a shard's place.
 *
 * As when a shard moves (switch.c), but plans hold the numbers of shards, and these change:
 * all tables of the group are locked against everybody, so that whoever uses them looks at
 * the catalogs again.  Transactions that have used them are waited for, no longer than
 * cz.cutover_lock_timeout at a time: the attempt is given up then, and repeated.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* Nobody uses the tables, and they are what they were when the split began. */
static void
lock_here(CzMove *move, TimestampTz deadline)
{
	ListCell   *lc;

	LockRelationOid(CzCatalogRelid("colocation"), ShareLock);
	foreach(lc, move->parts)
		LockDatabaseObject(ForeignServerRelationId, ((CzMove *) lfirst(lc))->target_oid, 0,
						   AccessShareLock);
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		CzTxnLockUntil(deadline);
		LockRelationOid(table->relid, AccessExclusiveLock);
		/* plans may name partitions alone, and new ones may be on their way */
		if (table->is_partitioned)
			(void) find_all_inheritors(table->relid, AccessExclusiveLock, NULL);
	}
	CzMoveCheckGroup(move);
	CzSplitRead(move);
	CzSplitCheckDefinition(move);
}

/*
 * CzSplitAttempt
 *		See mover_int.h.
 */
bool
CzSplitAttempt(CzMove *move, double *pause_ms)
{
	bool		is_online = move->mode != CZ_TRANSFER_BLOCK_WRITES;
	List	   *servers;
	TimestampTz deadline;
	instr_time	begin;
	instr_time	end;
	ListCell   *lc;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	move->has_tried = CzMoveAwaitMoment(move, true);
	if (!move->has_tried)
	{
		PopActiveSnapshot();
		AbortCurrentTransaction();
		return false;
	}
	INSTR_TIME_SET_CURRENT(begin);
	deadline = CzMoveDeadline();
	lock_here(move, deadline);
	servers = CzShardServers(((CzMoveTable *) linitial(move->tables))->shard_relid);
	CzMoveHoldReferences(move, servers);
	CzMoveLockWriters(move, deadline);
	CzDebugPoint("move_locked");
	foreach(lc, move->parts)
	{
		CzMove	   *part = lfirst(lc);

		if (is_online)
		{
			(void) CzMoveRound(part, true);
			continue;
		}
		move->has_copied = true;
		CzSplitCopyRows(part, true);
		CzMoveMakeIndexesLocked(part);
	}
	CzDebugPoint("move_copied_all");
	foreach(lc, servers)
		CzMovePutFence(move, lfirst_oid(lc));
	CzSplitSetCatalogs(move);
	foreach(lc, move->parts)
		CzMoveMakeKeys(lfirst(lc));
	/* who takes snapshots of several workers must see the shard or its pieces */
	cz_inactive_changed = true;
	CzMoveSetPhase(move, CZ_PHASE_SWITCHED);
	CzMoveForgetCleanup(move, "on_failure");
	CzMoveDelayCleanup(move, cz_drop_delay_ms);
	CzDebugPoint("move_switching");
	PopActiveSnapshot();
	CommitTransactionCommand();
	CzMoveSwitchEnd();
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, begin);
	*pause_ms = INSTR_TIME_GET_MILLISEC(end);
	return true;
}
