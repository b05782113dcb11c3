/*-------------------------------------------------------------------------
 *
 * stream_place.c
 *	  Which placement runs a fragment, and which fragments are one statement.
 *
 * Reads choose the least loaded healthy placement; a transaction that keeps one
 * snapshot for its life keeps the placement too.
 *
 * The shards that a worker reads may be merged into one statement, which then is a
 * fragment with members.  Live fragments always share out the run's shards among
 * them, so there are never more of them than shards, and the array of fragments
 * has room for any way to merge and to split them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/*
 * Tables of one merged statement: the time to plan it grows with their square.  Where
 * the snapshot depends on it more are worth it.
 */
#define MAX_MERGED_TABLES 256
#define MAX_MERGED_FOR_SNAPSHOT 1024

/* Workers that one transaction can avoid; beyond, it takes what comes. */
#define MAX_AVOIDED 16

static StreamWorker *
get_worker(CzStream *stream, Oid server_oid)
{
	StreamWorker *worker;
	MemoryContext oldcontext;
	ListCell   *lc;

	foreach(lc, stream->workers)
	{
		worker = lfirst(lc);
		if (worker->server_oid == server_oid)
			return worker;
	}
	oldcontext = MemoryContextSwitchTo(stream->run_context);
	worker = palloc0(sizeof(StreamWorker));
	worker->server_oid = server_oid;
	worker->endpoint = CzEndpointGet(server_oid, stream->user_oid);
	if (stream->plan->has_row_locks || stream->in_transaction)
		worker->use_txn = true;
	else
		worker->use_txn = CzTxnReadConnAt(server_oid, stream->user_oid,
										  CzMomentOf(stream->estate)) != NULL;
	stream->workers = lappend(stream->workers, worker);
	MemoryContextSwitchTo(oldcontext);
	return worker;
}

/* Workers that the current transaction avoids; in its memory. */
typedef struct AvoidedServers
{
	int			count;
	Oid			server_oids[MAX_AVOIDED];
	MemoryContextCallback callback;
} AvoidedServers;

static AvoidedServers *current_avoided = NULL;

static void
forget_avoided(void *arg)
{
	current_avoided = NULL;
}

static AvoidedServers *
avoided_servers(void)
{
	if (current_avoided == NULL)
	{
		current_avoided = MemoryContextAllocZero(TopTransactionContext,
												 sizeof(AvoidedServers));
		current_avoided->callback.func = forget_avoided;
		MemoryContextRegisterResetCallback(TopTransactionContext,
										   &current_avoided->callback);
	}
	return current_avoided;
}

/*
 * Of a transaction with one snapshot for its whole life: the placement that it
 * reads a shard from must stay the same.  So it is always the first one, unless
 * its worker failed before the transaction ever read from it; such workers are
 * remembered until the transaction ends.
 */
static Oid
choose_stable_placement(CzStream *stream, Fragment *fragment)
{
	AvoidedServers *avoided;
	int			i;
	int			j;

	for (i = 0; i < fragment->nplacements && CzTxnHasSnapshots(); i++)
	{
		if (CzTxnHasConn(fragment->server_oids[i], stream->user_oid))
			return fragment->server_oids[i];
	}
	avoided = avoided_servers();

	for (i = 0; i < fragment->nplacements; i++)
	{
		Oid			server_oid = fragment->server_oids[i];
		bool		is_last = i == fragment->nplacements - 1;
		char	   *error_message;
		CzEndpoint *endpoint;
		CzConn	   *conn;

		if (CzTxnHasConn(server_oid, stream->user_oid))
			return server_oid;
		for (j = 0; j < avoided->count; j++)
		{
			if (avoided->server_oids[j] == server_oid)
				break;
		}
		if (is_last)
			return server_oid;
		if (j < avoided->count)
			continue;
		endpoint = CzEndpointGet(server_oid, stream->user_oid);
		if ((!CzHealthIsSuspect(server_oid) || CzHealthRecheck(endpoint)) &&
			CzTxnWorkerIsClear(server_oid, stream->user_oid))
		{
			/* the transaction's connection will be this one */
			conn = CzConnTryAcquire(endpoint, &error_message);
			if (conn != NULL)
			{
				CzConnRelease(conn);
				return server_oid;
			}
		}
		if (avoided->count == MAX_AVOIDED)
			return server_oid;
		avoided->server_oids[avoided->count++] = server_oid;
	}
	return InvalidOid;
}

/*
 * Of what reads through the transaction's connection: the placement where writers of
 * the rows meet, which is the next one if that worker is down.  Who locks rows does
 * without it from then on.
 */
static Oid
choose_first_placement(CzStream *stream, Fragment *fragment)
{
	int			i;

	for (i = 0; i < fragment->nplacements && !fragment->is_tried[i]; i++)
	{
		Oid			server_oid = fragment->server_oids[i];
		const CzShard *shard;

		if (i == fragment->nplacements - 1)
			return server_oid;
		shard = stream->plan->has_row_locks ?
			CzShardOfFragment(stream->plan->anchor_relid, fragment) : NULL;
		if (shard != NULL && CzTxnMayLose(shard, server_oid) ?
			CzTxnReachOrLose(shard, server_oid, stream->user_oid) :
			CzTxnCanReach(server_oid, stream->user_oid))
			return server_oid;
		fragment->is_tried[i] = true;
	}
	return InvalidOid;
}

/*
 * Choose the placement where a fragment runs next, or InvalidOid: the least
 * loaded healthy one, except where the transaction cares which.
 */
static Oid
choose_placement(CzStream *stream, Fragment *fragment)
{
	Oid			best = InvalidOid;
	int			best_load = 0;
	int			offset;
	int			i;
	bool		is_any = !stream->plan->has_row_ids &&
		(cz_read_placement == CZ_READ_ANY || !OidIsValid(stream->plan->anchor_relid));

	if (stream->plan->has_row_locks || stream->in_transaction)
		return choose_first_placement(stream, fragment);
	if (IsolationUsesXactSnapshot())
		return choose_stable_placement(stream, fragment);

	/* a single fragment: spread sessions over the placements, each with its own */
	offset = is_any && stream->nfragments == 1 ? MyProcPid % fragment->nplacements : 0;
	for (i = 0; i < fragment->nplacements; i++)
	{
		int			index = (i + offset) % fragment->nplacements;
		Oid			server_oid = fragment->server_oids[index];
		ListCell   *lc;
		int			load = 0;

		if (fragment->is_tried[index])
			continue;
		foreach(lc, stream->workers)
		{
			StreamWorker *worker = lfirst(lc);

			if (worker->server_oid == server_oid)
				load = worker->is_failed ? 1 << 29 : worker->nassigned;
		}
		if (CzHealthIsSuspect(server_oid) && fragment->nplacements > 1 &&
			!CzHealthRecheck(CzEndpointGet(server_oid, stream->user_oid)))
			load += 1 << 28;
		else if (fragment->nplacements > 1 &&
				 !CzTxnWorkerIsClear(server_oid, stream->user_oid))
			load += 1 << 28;

		/*
		 * The first one that is good: the others commit after it.  (And a write by what
		 * is read there now compares it at the first placement.)
		 */
		if (!is_any && load < 1 << 28)
		{
			best = server_oid;
			break;
		}
		if (!OidIsValid(best) || load < best_load)
		{
			best = server_oid;
			best_load = load;
		}
	}
	return best;
}

/* The shards of all tables that a run reads, merged or not. */
static void
add_shards(const CzStream *stream, CzShardSet *set)
{
	ListCell   *lc;
	int			i;

	memset(set, 0, sizeof(CzShardSet));
	foreach(lc, stream->plan->relids)
	{
		for (i = 0; i < stream->nfragments; i++)
		{
			const Fragment *fragment = &stream->fragments[i];
			const CzShard *shard = CzShardOfFragment(lfirst_oid(lc), fragment);
			ListCell   *lm;

			if (shard != NULL)
				CzShardSetAdd(set, shard->shard_id);
			foreach(lm, fragment->members)
			{
				shard = CzShardOfFragment(lfirst_oid(lc), lfirst(lm));
				if (shard != NULL)
					CzShardSetAdd(set, shard->shard_id);
			}
		}
	}
}

/* Are the placements of what a fragment reads still active on a server? */
static bool
is_still_active(const CzStream *stream, const Fragment *fragment, Oid server_oid)
{
	ListCell   *lc;

	AcceptInvalidationMessages();
	foreach(lc, stream->plan->relids)
	{
		const CzShard *shard = CzShardOfFragment(lfirst_oid(lc), fragment);
		bool		is_active = shard == NULL;
		int			i;

		for (i = 0; !is_active && i < shard->nplacements; i++)
			is_active = shard->server_oids[i] == server_oid;
		if (!is_active)
			return false;
	}
	return true;
}

/*
 * Before a shard is read from another placement than the first: what has been seen there
 * is to be seen here, too.  False: the placement is not to be read any more.
 */
static bool
await_others(CzStream *stream, Fragment *fragment, Oid server_oid)
{
	int			i;

	if (server_oid == fragment->server_oids[0] || !OidIsValid(stream->plan->anchor_relid) ||
		cz_read_placement != CZ_READ_FIRST || IsolationUsesXactSnapshot() ||
		stream->is_as_of_snapshot)
		return true;
	if (!stream->has_awaited)
	{
		CzShardSet	shards;

		stream->has_awaited = true;
		add_shards(stream, &shards);
		CzAwaitPlacements(&shards);
		CzDebugPoint("placements_awaited");
	}
	/* a run that starts looks them up anew */
	if (stream->is_starting || CzRoomEpoch() == stream->epoch ||
		is_still_active(stream, fragment, server_oid))
		return true;
	for (i = 0; i < fragment->nplacements; i++)
		fragment->is_tried[i] |= fragment->server_oids[i] == server_oid;
	return false;
}

/* Choose the worker of a fragment of one shard; false if there is none. */
static bool
choose_worker(CzStream *stream, Fragment *fragment)
{
	Oid			server_oid;

	do
	{
		server_oid = choose_placement(stream, fragment);
		if (!OidIsValid(server_oid))
			return false;
	} while (!await_others(stream, fragment, server_oid));
	fragment->worker = get_worker(stream, server_oid);
	fragment->worker->nassigned++;
	return true;
}

/*
 * CzFragmentCanMove
 *		Has each of its shards another placement?
 */
bool
CzFragmentCanMove(const Fragment *fragment)
{
	bool		can_move = fragment->nplacements > 1;
	ListCell   *lc;

	foreach(lc, fragment->members)
		can_move &= ((Fragment *) lfirst(lc))->nplacements > 1;
	return can_move;
}

/* Put a fragment that has its worker into that one's queue. */
static void
enqueue(CzStream *stream, Fragment *fragment)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	StreamWorker *worker = fragment->worker;

	CzWireCheckRowIds(stream, fragment);
	CzShipCheckRowIds(stream, fragment);
	worker->waiting = lappend(worker->waiting, fragment);
	worker->nfragments++;
	fragment->state = FRAGMENT_WAITING;

	/* who can still move must not show rows before the end */
	fragment->is_held = !worker->use_txn && CzFragmentCanMove(fragment) &&
		!fragment->is_emitted && !stream->plan->takes_duplicates;
	if (stream->nships > 0 || fragment->members != NIL)
		fragment->sql = CzShipFragmentSql(stream, fragment);
	fragment->text_hash = 0;
	if (CzShipNeedsTables(stream, worker))
		worker->in_snapshot = true;
	MemoryContextSwitchTo(oldcontext);
}

/*
 * assign_fragment
 *		Queue a fragment of one shard at its next placement; false if there is none.
 */
static bool
assign_fragment(CzStream *stream, Fragment *fragment)
{
	if (!choose_worker(stream, fragment))
		return false;
	enqueue(stream, fragment);
	return true;
}

/* Make the shards of one worker, fragments that have it chosen, one fragment. */
static void
make_merged(Fragment *merged, List *members)
{
	Fragment   *first = linitial(members);

	memset(merged, 0, sizeof(Fragment));
	merged->shard_index = first->shard_index;
	merged->shard_id = first->shard_id;
	merged->nplacements = first->nplacements;
	merged->server_oids = first->server_oids;
	merged->is_tried = first->is_tried;
	merged->worker = first->worker;
	if (list_length(members) > 1)
		merged->members = members;
	else
		merged->sql = first->sql;
}

/*
 * Group fragments of one shard each, which have their workers, by these.
 *
 * max_shards: of a group.
 * min_groups: of a worker.
 * Returns: a list of lists, no longer than the list of fragments.
 */
static List *
group_by_worker(CzStream *stream, List *singles, int max_shards, int min_groups)
{
	List	   *groups = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, stream->workers)
	{
		List	   *mine = NIL;
		int			ngroups;
		int			first;

		foreach(lc2, singles)
		{
			if (((Fragment *) lfirst(lc2))->worker == lfirst(lc))
				mine = lappend(mine, lfirst(lc2));
		}
		if (mine == NIL)
			continue;
		ngroups = (list_length(mine) + max_shards - 1) / max_shards;
		ngroups = Min(Max(ngroups, min_groups), list_length(mine));
		for (first = 0; first < ngroups; first++)
		{
			List	   *group = NIL;
			int			i;

			for (i = first; i < list_length(mine); i += ngroups)
				group = lappend(group, list_nth(mine, i));
			groups = lappend(groups, group);
		}
	}
	return groups;
}

/*
 * CzFragmentMove
 *		Queue what a fragment was to read elsewhere, as one fragment for each worker
 *		that takes part of it; false if some shard has no other placement.
 */
bool
CzFragmentMove(CzStream *stream, Fragment *fragment, int64 *stuck_shard_id)
{
	MemoryContext oldcontext;
	List	   *groups;
	ListCell   *lc;

	*stuck_shard_id = fragment->shard_id;
	if (fragment->members == NIL)
		return assign_fragment(stream, fragment);

	foreach(lc, fragment->members)
	{
		if (!choose_worker(stream, lfirst(lc)))
		{
			*stuck_shard_id = ((Fragment *) lfirst(lc))->shard_id;
			return false;
		}
	}
	oldcontext = MemoryContextSwitchTo(stream->run_context);
	groups = group_by_worker(stream, fragment->members, list_length(fragment->members), 1);
	foreach(lc, groups)
	{
		Fragment   *target = lc == list_head(groups) ? fragment :
			&stream->fragments[stream->nfragments++];

		make_merged(target, lfirst(lc));
		target->worker->nassigned -= list_length(lfirst(lc)) - 1;
	}
	foreach(lc, groups)
		enqueue(stream, lc == list_head(groups) ? fragment :
				&stream->fragments[stream->nfragments - list_length(groups) +
								   foreach_current_index(lc)]);
	MemoryContextSwitchTo(oldcontext);
	return true;
}

/*
 * Is a worker's share of the run to be one statement?  On the transaction's
 * connection each command has a snapshot of its own, unless the transaction has one.
 */
static bool
must_merge_on(const CzStream *stream, const StreamWorker *worker)
{
	return worker->use_txn && !IsolationUsesXactSnapshot() && worker->nassigned > 1 &&
		stream->plan->merge != CZ_MERGE_NEVER;
}

/* Merge fragments, all of which have their workers, where that is wanted. */
static void
merge_fragments(CzStream *stream)
{
	const CzFragmentPlan *plan = stream->plan;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	Fragment   *singles = stream->fragments;
	int			nsingles = stream->nfragments;
	bool		wants_all = (cz_merge_fragments == CZ_MERGE_SETTING_ON &&
							 plan->merge != CZ_MERGE_NEVER) ||
		(cz_merge_fragments == CZ_MERGE_SETTING_AUTO && plan->merge == CZ_MERGE_WANTED);
	bool		wants_any = CzShipChooseForm(stream, wants_all) || wants_all;
	bool		is_needed = wants_any;
	int			ntables = Max(list_length(plan->relids), 1);
	List	   *groups = NIL;
	ListCell   *lc;
	int			i;

	foreach(lc, stream->workers)
		is_needed |= must_merge_on(stream, lfirst(lc));
	if (!is_needed || nsingles <= 1)
	{
		MemoryContextSwitchTo(oldcontext);
		return;
	}
	stream->fragments = palloc0(sizeof(Fragment) * nsingles);
	stream->nfragments = 0;
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);
		bool		is_snapshot = must_merge_on(stream, worker);
		int			max_tables = is_snapshot ? MAX_MERGED_FOR_SNAPSHOT : MAX_MERGED_TABLES;
		List	   *mine = NIL;

		for (i = 0; i < nsingles; i++)
		{
			if (singles[i].worker == worker)
				mine = lappend(mine, &singles[i]);
		}
		if (!wants_any && !is_snapshot)
			max_tables = 1;
		groups = list_concat(groups,
							 group_by_worker(stream, mine,
											 Max(max_tables / ntables, 1),
											 is_snapshot ? 1 : cz_merged_fragments_per_worker));
	}
	foreach(lc, stream->workers)
		((StreamWorker *) lfirst(lc))->nassigned = 0;
	foreach(lc, groups)
	{
		Fragment   *fragment = &stream->fragments[stream->nfragments++];

		make_merged(fragment, lfirst(lc));
		fragment->worker->nassigned++;
		stream->is_merged |= fragment->members != NIL;
	}
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Rows are locked on first placements: a writer that has a shard alone would wait for
 * them with that lock in hand, which the holder of the rows may want next.
 *
 * Returns: false if a shard has moved to another place meanwhile, or may have.
 */
static bool
share_shards(CzStream *stream)
{
	bool		has_moved = false;
	List	   *relids = stream->plan->relids;
	const CzShard **shards = palloc(sizeof(CzShard *) * Max(list_length(relids), 1) *
									Max(stream->nfragments, 1));
	int			nshards = 0;
	ListCell   *lc;
	int			i;

	for (i = 0; i < stream->nfragments; i++)
	{
		foreach(lc, relids)
		{
			const CzTable *table = CzTableGet(lfirst_oid(lc));
			const CzShard *shard = CzShardOfFragment(lfirst_oid(lc), &stream->fragments[i]);

			if (shard == NULL || table->kind == CZ_TABLE_REFERENCE)
				continue;
			if (CzShardIsReplicated(shard))
				shards[nshards++] = shard;
			else
				has_moved |= CzTxnEnterShard(shard, true) != shard;
		}
	}
	CzTxnLockShardsLocally(shards, nshards, CZ_LOCK_SHARED, stream->plan->locks_wait);
	pfree(shards);
	return !has_moved;
}

/* All of a statement's first connections at once: who waits for one holds no other. */
static void
enter_pools(CzStream *stream)
{
	const CzEndpoint **endpoints = palloc(sizeof(CzEndpoint *) *
										  Max(list_length(stream->workers), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		if (worker->use_txn ? !CzTxnHasConn(worker->server_oid, stream->user_oid) :
			!worker->in_snapshot ||
			CzGroupWorkerGet(stream->group, worker->server_oid,
							 stream->user_oid)->free_conns == NIL)
			endpoints[n++] = worker->endpoint;
	}
	if (n > 1)
		CzPoolEnter(endpoints, n);
	pfree(endpoints);
}

/* Decide the fragments of a run and queue them; see CzSnapshotBegin. */
static bool
start_run(CzStream *stream)
{
	bool		has_stayed = true;
	uint64		epoch;
	ListCell   *lc;
	int			i;

	stream->is_as_of_snapshot = CzSnapshotHasTables(stream);
	if (stream->is_as_of_snapshot)
		epoch = stream->group->epoch;
	else if (CzPlacementsMayDiffer(&epoch))
	{
		CzShardSet	shards;

		/* which ones they are is known when the parameters are */
		CzFragmentsResolve(stream);
		stream->is_started = true;
		add_shards(stream, &shards);
		epoch = CzPlacementsLook(&shards);
		CzStreamRestart(stream);
		stream->nruns--;
	}
	CzFragmentsResolve(stream);
	stream->is_started = true;
	stream->epoch = epoch;
	stream->is_starting = true;
	if (stream->nfragments > 0)
		CzShipRead(stream);
	if (stream->plan->has_row_locks)
		has_stayed = share_shards(stream);
	if (stream->plan->locks_wait && stream->nfragments > 1 && !stream->is_first_only &&
		OidIsValid(stream->plan->anchor_relid))
		CzStreamLockMoves(stream);
	for (i = 0; i < stream->nfragments; i++)
	{
		if (!choose_worker(stream, &stream->fragments[i]))
			elog(ERROR, "fragment without placement");
	}
	stream->is_starting = false;
	if (!has_stayed || (stream->has_awaited && CzRoomEpoch() != epoch))
		return false;
	merge_fragments(stream);
	stream->total_fragments += stream->nfragments;

	/* more than one command of a statement on one worker: one snapshot for all */
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		worker->in_snapshot = !worker->use_txn &&
			(worker->nassigned > 1 || stream->group->nstreams > 1 ||
			 !bms_is_empty(stream->parent->plan->extParam));
	}
	for (i = 0; i < stream->nfragments; i++)
		enqueue(stream, &stream->fragments[i]);
	enter_pools(stream);
	return CzSnapshotBegin(stream, epoch);
}

/*
 * CzRunStart
 *		Decide the fragments of a run and queue them.
 */
void
CzRunStart(CzStream *stream)
{
	ListCell   *lc;

	CzTxnTakeSnapshots(InvalidOid, stream->user_oid);
	while (!start_run(stream))
	{
		/* placements have become active or inactive meanwhile */
		CzStreamRestart(stream);
		AcceptInvalidationMessages();
	}

	/*
	 * Reads of a modifying statement through its own connection: before it writes.  A
	 * subtransaction's end would lose the rows on their way to an outer one's cursor.
	 */
	if (stream->plan->command == CMD_SELECT &&
		(stream->is_modifying || GetCurrentSubTransactionId() != stream->subid))
	{
		foreach(lc, stream->workers)
		{
			if (((StreamWorker *) lfirst(lc))->use_txn)
			{
				CzRunReadAll(stream);
				break;
			}
		}
	}
}
