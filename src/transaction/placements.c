/*-------------------------------------------------------------------------
 *
 * placements.c
 *	  Placements that the current transaction gives up, so that a worker that is
 *	  down does not stop writes to shards that have another placement.
 *
 * A placement that can't be written is lost for this transaction: it is neither
 * written nor read by it any more, whatever savepoint it goes back to, and before
 * the commit it is marked inactive in cz.placement_state, by the transaction itself.
 * So what is committed is on all placements that are active then, and what is
 * acknowledged is never on a lost one only.
 *
 * The first placement orders the writers of a row.  Who finds it unreachable before
 * he has written there takes the next active one as the first; others may still
 * write at the old one.  They meet on the next one: whoever changed a row there
 * second has waited for the other's end, and finds before his commit that his first
 * placement is inactive (CzTxnCheckPlacements): the mark is there for all before a
 * worker commits (CzTxnTellMarked), or else it is waited for (CzTxnAwaitTakeOvers).
 * The last active placement of a shard is never given up, however many sessions try at
 * a time: they meet at a lock.
 *
 * The tables of a colocation group are joined on their workers, so they lose a
 * shard's placement together.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cz/settings.h"
#include "transaction_int.h"

/*
 * Waiting for a copy of a reference table, ms: how much of cz.recovery_interval at most, how
 * long beside it, how long at a time, and for how long it is not waited for again that was
 * not made whole.
 */
#define AWAIT_COPY_INTERVAL_MS 30000
#define AWAIT_COPY_MS 5000
#define AWAIT_COPY_TURN_MS 50
#define AWAIT_COPY_AGAIN_MS 60000

/* A placement that is lost; its shard may belong to a table that was not written. */
typedef struct LostPlacement
{
	int64		shard_id;
	Oid			shard_relid;
	Oid			table_relid;
	Oid			server_oid;
	const char *reason;
} LostPlacement;

static List *lost = NIL;		/* in TopTransactionContext */

/* Relations of which this transaction has marked placements; in TopTransactionContext */
static List *marked = NIL;

/*
 * CzTxnIsLost, CzTxnHasLost
 *		See transaction.h.
 */
bool
CzTxnIsLost(int64 shard_id, Oid server_oid)
{
	ListCell   *lc;

	foreach(lc, lost)
	{
		LostPlacement *one = lfirst(lc);

		if (one->shard_id == shard_id && one->server_oid == server_oid)
			return true;
	}
	return false;
}

bool
CzTxnHasLost(void)
{
	return lost != NIL;
}

/*
 * CzTxnFirstPlacement
 *		See transaction.h.
 */
Oid
CzTxnFirstPlacement(const CzShard *shard)
{
	int			i;

	for (i = 0; lost != NIL && i < shard->nplacements; i++)
	{
		if (!CzTxnIsLost(shard->shard_id, shard->server_oids[i]))
			return shard->server_oids[i];
	}
	return shard->nplacements > 0 ? shard->server_oids[0] : InvalidOid;
}

/*
 * CzTxnMayLose
 *		May a shard lose a placement: has it another one that is left?
 */
bool
CzTxnMayLose(const CzShard *shard, Oid server_oid)
{
	int			i;

	if (shard->is_copy)
		return true;			/* the coordinator has the table */
	if (!OidIsValid(shard->table_relid))
		return false;
	for (i = 0; i < shard->nplacements; i++)
	{
		if (shard->server_oids[i] != server_oid &&
			!CzTxnIsLost(shard->shard_id, shard->server_oids[i]))
			return true;
	}
	return false;
}

static void
add_lost(const CzShard *shard, Oid table_relid, Oid server_oid, const char *reason)
{
	MemoryContext old;
	LostPlacement *one;

	if (CzTxnIsLost(shard->shard_id, server_oid))
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	one = palloc(sizeof(LostPlacement));
	one->shard_id = shard->shard_id;
	one->shard_relid = shard->relid;
	one->table_relid = table_relid;
	one->server_oid = server_oid;
	one->reason = reason;
	lost = lappend(lost, one);
	MemoryContextSwitchTo(old);
}

/*
 * A copy of a reference table will lack rows that shards of the same worker refer to, and
 * these would not be accepted there: the shards are lost, too, if they have others.
 */
static void
lose_referencing(Oid relid, Oid server_oid)
{
	ListCell   *lc;
	int			i;
	int			j;

	foreach(lc, CzReferencingTables(relid))
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && CzTableIsDistributed(table) && i < table->nshards; i++)
		{
			const CzShard *shard = &table->shards[i];

			for (j = 0; j < shard->nplacements; j++)
			{
				if (shard->server_oids[j] == server_oid && CzTxnMayLose(shard, server_oid))
					CzTxnLosePlacement(shard, server_oid,
									   "a reference table that it refers to has missed writes there");
			}
		}
	}
}

/* Is a worker one that this transaction has left out already, somewhere? */
static bool
has_lost_on(Oid server_oid)
{
	ListCell   *lc;

	foreach(lc, lost)
	{
		if (((LostPlacement *) lfirst(lc))->server_oid == server_oid)
			return true;
	}
	return false;
}

/*
 * CzTxnLosePlacement
 *		See transaction.h.
 */
void
CzTxnLosePlacement(const CzShard *shard, Oid server_oid, const char *reason)
{
	Oid			table_relid = shard->table_relid;
	const CzTable *table;
	int			index;
	ListCell   *lc;

	if (CzTxnIsLost(shard->shard_id, server_oid))
		return;
	if (!has_lost_on(server_oid))
		ereport(WARNING,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("placements on node \"%s\" are left out: %s",
						CzNodeName(server_oid), reason),
				 errdetail("Shards that this transaction writes are inactive there from its commit on."),
				 errhint("They are made whole when the node is back, or by cz_repair_placements().")));
	if (table_relid == shard->relid && !shard->is_copy)
		(void) CzIsShard(shard->relid, &table_relid);
	table = CzTableGet(table_relid);
	index = table ? CzShardIndexOf(table, shard->shard_id) : -1;
	add_lost(shard, table_relid, server_oid, reason);
	if (shard->is_copy)
		lose_referencing(table_relid, server_oid);
	if (index < 0 || table->colocation_id == 0)
		return;
	foreach(lc, CzTableList())
	{
		const CzTable *other = CzTableGet(lfirst_oid(lc));

		if (other != NULL && other->relid != table->relid &&
			other->colocation_id == table->colocation_id && index < other->nshards)
			add_lost(&other->shards[index], other->relid, server_oid, reason);
	}
}

/*
 * CzTxnReachOrLose
 *		See transaction.h.
 */
bool
CzTxnReachOrLose(const CzShard *shard, Oid server_oid, Oid user_oid)
{
	/* what is left out must be made whole later: one look for each transaction costs less */
	if (has_lost_on(server_oid) ? CzTxnCanReach(server_oid, user_oid) :
		CzTxnCanReachNow(server_oid, user_oid))
		return true;
	CzTxnLosePlacement(shard, server_oid, "it cannot be reached");
	return false;
}

/* ---- copies of reference tables that are not used ----------------------------- */

/* A copy that was waited for in vain, for some time not again; of this session. */
static Oid	vain_relid = InvalidOid;
static TimestampTz vain_until = 0;

/* Is a shard's placement used by this transaction? */
static bool
is_used(const CzShard *shard, Oid server_oid)
{
	return CzShardIsActiveOn(shard, server_oid) && !CzTxnIsLost(shard->shard_id, server_oid);
}

/*
 * A worker that has shards of a table that may be written, but no copy of a reference
 * table that is used; InvalidOid: there is none.
 */
static Oid
server_without_copy(const CzTable *table, const CzTable *reference)
{
	int			i;
	ListCell   *lc;

	if (reference->shards[0].nplacements >= reference->shards[0].nall)
		return InvalidOid;
	foreach(lc, CzStaleServers(reference, 0))
	{
		for (i = 0; i < table->nshards; i++)
		{
			if (is_used(&table->shards[i], lfirst_oid(lc)))
				return lfirst_oid(lc);
		}
	}
	return InvalidOid;
}

/* Do without placements that have no copy beside them, where another one has. */
static void
lose_without_copy(const CzTable *table, const CzTable *reference)
{
	int			i;
	int			j;
	ListCell   *lc;

	foreach(lc, CzStaleServers(reference, 0))
	{
		for (i = 0; i < table->nshards; i++)
		{
			const CzShard *shard = &table->shards[i];

			if (!is_used(shard, lfirst_oid(lc)) || !CzTxnMayLose(shard, lfirst_oid(lc)))
				continue;
			for (j = 0; j < reference->shards[0].nplacements; j++)
			{
				if (is_used(shard, reference->shards[0].server_oids[j]))
					break;
			}
			if (j < reference->shards[0].nplacements)
				CzTxnLosePlacement(shard, lfirst_oid(lc),
								   "a reference table that it refers to has missed writes there");
		}
	}
}

/* Wait for the maintenance worker to make a copy whole; false: it has not. */
static bool
await_copy(Oid relid, Oid reference_relid)
{
	TimestampTz now = GetCurrentTimestamp();
	int			interval_ms = Min(cz_recovery_interval_ms, AWAIT_COPY_INTERVAL_MS);
	TimestampTz deadline = TimestampTzPlusMilliseconds(now, interval_ms + AWAIT_COPY_MS);

	/* it would wait for what this transaction has locked */
	if (cz_recovery_interval_ms < 0 || CzTxnHasWritten() ||
		TransactionIdIsValid(GetTopTransactionIdIfAny()) ||
		(vain_relid == reference_relid && now < vain_until))
		return false;
	CzActivityNote(CZ_TASK_RECOVER);
	for (;;)
	{
		const CzTable *table;
		const CzTable *reference;

		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 AWAIT_COPY_TURN_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		AcceptInvalidationMessages();
		table = CzTableGet(relid);
		reference = CzTableGet(reference_relid);
		if (table == NULL || reference == NULL || reference->kind != CZ_TABLE_REFERENCE ||
			!OidIsValid(server_without_copy(table, reference)))
			return true;
		if (GetCurrentTimestamp() >= deadline)
			break;
	}
	vain_relid = reference_relid;
	vain_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), AWAIT_COPY_AGAIN_MS);
	return false;
}

/*
 * CzTxnAwaitCopy
 *		See transaction.h.
 */
void
CzTxnAwaitCopy(Oid relid, Oid reference_relid)
{
	const CzTable *table = CzTableGet(relid);
	const CzTable *reference = CzTableGet(reference_relid);
	Oid			server_oid;

	if (table == NULL || reference == NULL || reference->kind != CZ_TABLE_REFERENCE)
		return;
	server_oid = server_without_copy(table, reference);
	if (!OidIsValid(server_oid) ||
		(CzTxnCanReachNow(server_oid, CzRelationOwner(relid)) &&
		 await_copy(relid, reference_relid)))
		return;
	table = CzTableGet(relid);
	reference = CzTableGet(reference_relid);
	if (table != NULL && reference != NULL)
		lose_without_copy(table, reference);
}

/*
 * CzTxnReportChange
 *		See transaction.h.
 */
void
CzTxnReportChange(const CzShard *shard)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to a change of placements of shard " INT64_FORMAT,
					shard->shard_id),
			 errdetail("Another transaction could not reach one of its nodes."),
			 errhint("The transaction might succeed if retried.")));
}

/*
 * CzTxnWritePlacements
 *		See transaction.h.
 */
int
CzTxnWritePlacements(const CzShard *shard, Oid user_oid, bool all, Oid **server_oids)
{
	int			n = 0;
	int			i;

	*server_oids = palloc0(sizeof(Oid) * Max(shard->nplacements, 1));
	for (i = 0; i < shard->nplacements; i++)
	{
		Oid			server_oid = shard->server_oids[i];

		if (lost != NIL && CzTxnIsLost(shard->shard_id, server_oid))
			continue;
		if ((n == 0 || all) && (shard->nplacements > 1 || shard->is_copy) &&
			CzTxnMayLose(shard, server_oid) && !CzTxnReachOrLose(shard, server_oid, user_oid))
			continue;
		CzTxnCheckNotMoved(shard, server_oid);
		(*server_oids)[n++] = server_oid;
	}
	/* others have made inactive what this transaction would go on with */
	if (n == 0 && shard->nplacements > 0 && !shard->is_copy)
		CzTxnReportChange(shard);
	return n;
}

/* Has the shard lost a placement that is active now, or another one the first rank? */
static bool
is_outdated(const CzShard *used, const CzShard *now)
{
	int			i;
	int			j;

	if (CzTxnFirstPlacement(used) != CzTxnFirstPlacement(now))
		return true;
	for (i = 0; i < now->nplacements; i++)
	{
		for (j = 0; j < used->nplacements; j++)
		{
			if (used->server_oids[j] == now->server_oids[i])
				break;
		}
		if (j == used->nplacements)
			return true;
	}
	return false;
}

/*
 * CzTxnCheckPlacement
 *		Before the commit: is what was written of a shard what is to be written now?
 *
 * Errors: 40001.
 */
void
CzTxnCheckPlacement(const CzShard *shard)
{
	const CzShard *now;

	if (shard->is_copy)
		return;
	now = CzShardFresh(shard);
	if (now != shard && is_outdated(shard, now))
		CzTxnReportChange(shard);
}

/* Sessions are to look again at a relation's placements once this transaction is committed. */
static void
look_again(Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	CacheInvalidateRelcacheByRelid(relid);
	marked = list_append_unique_oid(marked, relid);
	MemoryContextSwitchTo(old);
}

/*
 * CzTxnTellMarked
 *		After the local commit, before a worker hears of it: whoever meets this transaction on
 *		another placement finds before his own commit what is inactive.  Core tells other
 *		sessions later, when all callbacks of the commit have returned.  Never throws.
 */
void
CzTxnTellMarked(void)
{
	ListCell   *lc;

	foreach(lc, marked)
		CzTxnInvalidateNow(lfirst_oid(lc));
}

/*
 * What a single-shard table has missed, the tables of its group are taken to have missed,
 * too: a worker must not see the rows of today in one and of yesterday in another, between
 * which there is a foreign key.  The repair makes all of them whole at once.
 */
static List *
lose_group(const CzTable *table, Oid server_oid, List *tables)
{
	ListCell   *lc;

	foreach(lc, table->kind == CZ_TABLE_SINGLE ? CzGroupTables(table->colocation_id) : NIL)
	{
		const CzTable *other = CzTableGet(lfirst_oid(lc));

		if (other == NULL || other->nshards != 1 ||
			!CzTxnMayLose(&other->shards[0], server_oid) ||
			!CzInactiveInsert(other->shards[0].shard_id, server_oid,
							  "a placement of a colocated table has missed writes"))
			continue;
		look_again(other->shards[0].relid);
		tables = list_append_unique_oid(tables, other->relid);
	}
	return tables;
}

/*
 * CzTxnCheckReplaced
 *		Before the commit: were sessions lost because another coordinator has taken over?
 *
 * Errors: 55000.
 */
void
CzTxnCheckReplaced(void)
{
	List	   *asked = NIL;
	ListCell   *lc;

	foreach(lc, lost)
	{
		Oid			server_oid = ((LostPlacement *) lfirst(lc))->server_oid;
		CzEndpoint *endpoint;

		if (list_member_oid(asked, server_oid))
			continue;
		asked = lappend_oid(asked, server_oid);
		endpoint = CzEndpointTryGet(server_oid, GetUserId());
		if (endpoint != NULL)
			(void) CzProbeFenced(endpoint, true);
	}
	list_free(asked);
}

/*
 * The shard of a table with that number, if the worker still has a placement of it; -1:
 * the table was dropped meanwhile, or the placement forgotten with its worker, so that
 * nobody will read what it has missed.
 */
static int
index_if_placed(const CzTable *table, int64 shard_id, Oid server_oid)
{
	int			index = table ? CzShardIndexOf(table, shard_id) : -1;
	const CzShard *shard = index >= 0 ? &table->shards[index] : NULL;
	int			i;

	if (shard == NULL || shard->all_oids == NULL)
		return index;
	for (i = 0; i < shard->nall; i++)
	{
		if (shard->all_oids[i] == server_oid)
			return index;
	}
	return -1;
}

/*
 * mark_inactive
 *		Make one placement inactive, with CZ_STATE_LOCK held; the tables that are to be
 *		looked at again are appended.
 *
 * Errors: 08006 if it is the last one.
 */
static List *
mark_inactive(const CzTable *table, int index, Oid server_oid, const char *reason, List *tables)
{
	const CzShard *shard = &table->shards[index];

	if (!CzTxnMayLose(shard, server_oid))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("no active placement of shard " INT64_FORMAT " could be written",
						shard->shard_id)));
	if (!CzInactiveInsert(shard->shard_id, server_oid, reason))
		return tables;
	look_again(shard->relid);
	return lose_group(table, server_oid, list_append_unique_oid(tables, table->relid));
}

static void
end_marking(List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
		look_again(lfirst_oid(lc));
	CzActivityNote(CZ_TASK_RECOVER);
}

/*
 * CzTxnMarkOne
 *		Make a placement inactive that an attached coordinator could not write.
 */
void
CzTxnMarkOne(Oid table_relid, int64 shard_id, Oid server_oid, const char *reason)
{
	const CzTable *table;
	int			index;

	CzTxnLocalLock(CZ_STATE_LOCK, CZ_LOCK_EXCLUSIVE);
	AcceptInvalidationMessages();
	table = CzTableGet(table_relid);
	index = index_if_placed(table, shard_id, server_oid);
	if (index >= 0)
		end_marking(mark_inactive(table, index, server_oid, reason, NIL));
}

/*
 * CzTxnMarkLost
 *		Before the commit: make known which placements have missed this transaction.
 *
 * Errors: 08006 if others have given up the ones that it has written; 40001.
 */
void
CzTxnMarkLost(void)
{
	List	   *tables = NIL;
	ListCell   *lc;

	if (lost == NIL)
		return;
	CzDebugPoint("before_mark");
	CzTxnLocalLock(CZ_STATE_LOCK, CZ_LOCK_EXCLUSIVE);
	AcceptInvalidationMessages();
	foreach(lc, lost)
	{
		LostPlacement *one = lfirst(lc);
		const CzTable *table = CzTableGet(one->table_relid);
		int			index = index_if_placed(table, one->shard_id, one->server_oid);

		if (index < 0)
			continue;
		if (CzTxnIsAttached())
		{
			CzAttachedMarkLost(one->shard_id, table->relid, one->server_oid, one->reason);
			continue;
		}
		tables = mark_inactive(table, index, one->server_oid, one->reason, tables);
	}
	end_marking(tables);
}

void
CzTxnForgetLost(void)
{
	lost = NIL;
	marked = NIL;
	CzTxnTakeOverEnd();
}
