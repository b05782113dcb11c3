/*-------------------------------------------------------------------------
 *
 * stream_snapshot.c
 *	  One snapshot over the workers of a statement.
 *
 * Before the first command of a statement that reads from several workers, each of them
 * begins a transaction with a snapshot, all of which agree (transaction/snapshot.c).
 * From then on the statement's streams find connections in those snapshots in their
 * group, as if another stream had left them there.  Where nobody commits on several
 * workers, a run does without these messages (run_unguarded).
 *
 * The workers are those of the run that starts, and those where the statement's other
 * streams will presumably read.  One that turns out later to be wanted, too, takes its
 * own snapshot, which is good if no commit on several workers has come between
 * (CzSnapshotCheckLate).
 *
 * In a transaction that has written, reads go through its connections, where each
 * command has a snapshot of its own in READ COMMITTED.  There a cursor is declared, which
 * takes the snapshot and answers at once; its rows are fetched afterwards.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "storage/latch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

#define BEGIN_READ_SQL "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
/* Cost of a plan beyond which it may take longer than a few messages. */
#define COST_OF_SHORT 1000.0
/* What a worker gets to roll back a transaction that has only read, milliseconds. */
#define STOP_MS 2000

#define EXPORT_SQL "SELECT pg_catalog.pg_export_snapshot()"

/* A worker that takes part, with the connection that it takes its snapshot on. */
typedef struct Taker
{
	Oid			server_oid;
	Oid			user_oid;
	StreamWorker *worker;		/* of the run that starts; NULL: other streams' only */
	CzEndpoint *endpoint;
	CzConn	   *conn;			/* NULL: none yet */
	bool		is_cached;		/* and may have died unseen */
	bool		is_connecting;
	Fragment   *fragment;		/* on the transaction's connection: the cursor's */
	FragmentParams params;
} Taker;

/* What a stream may need: a snapshot that agrees with those of others. */
static bool
wants_snapshot(const CzStream *stream)
{
	return stream->plan->command == CMD_SELECT && !stream->plan->has_row_locks &&
		!stream->in_transaction;
}

/* Will it be run with other values, and other shards? */
static bool
is_run_again(const CzStream *stream)
{
	return !bms_is_empty(stream->parent->plan->extParam);
}

static Taker *
find_taker(List *takers, Oid server_oid, Oid user_oid)
{
	ListCell   *lc;

	foreach(lc, takers)
	{
		Taker	   *taker = lfirst(lc);

		if (taker->server_oid == server_oid && taker->user_oid == user_oid)
			return taker;
	}
	return NULL;
}

static List *
add_taker(List *takers, Oid server_oid, Oid user_oid, StreamWorker *worker)
{
	Taker	   *taker = find_taker(takers, server_oid, user_oid);

	if (taker == NULL)
	{
		taker = palloc0(sizeof(Taker));
		taker->server_oid = server_oid;
		taker->user_oid = user_oid;
		takers = lappend(takers, taker);
	}
	if (worker != NULL)
		taker->worker = worker;
	return takers;
}

/* The workers that a stream which has not started will read from if none fails. */
static List *
add_presumed(List *takers, const CzStream *stream)
{
	const CzFragmentPlan *plan = stream->plan;
	const CzTable *table;
	int			nshards;
	int			i;

	table = OidIsValid(plan->anchor_relid) ? CzTableGet(plan->anchor_relid) : NULL;
	if (table == NULL)
		return takers;
	nshards = plan->is_pruned ? list_length(plan->shard_indexes) : table->nshards;
	for (i = 0; i < nshards; i++)
	{
		int			index = plan->is_pruned ? list_nth_int(plan->shard_indexes, i) : i;
		Oid			server_oid;

		if (index < 0 || index >= table->nshards || table->shards[index].nplacements == 0)
			continue;
		server_oid = table->shards[index].server_oids[0];

		/* what is read on the transaction's connection has no snapshot to share */
		if (!CzHealthIsSuspect(server_oid) && !CzTxnHasConn(server_oid, stream->user_oid))
			takers = add_taker(takers, server_oid, stream->user_oid, NULL);
	}
	return takers;
}

/* Workers of the statement, at most one taker each; old: those of an earlier attempt. */
static List *
collect_takers(CzStream *stream, List *old)
{
	bool		has_snapshot = stream->group->has_snapshot;
	List	   *takers = NIL;
	CzStream   *other;
	ListCell   *lc;

	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		/* what is not the transaction's has its snapshot already */
		if (worker->waiting != NIL && !worker->is_failed &&
			(worker->use_txn || !has_snapshot))
			takers = add_taker(takers, worker->server_oid, stream->user_oid, worker);
	}
	for (other = stream->group->streams; other && !has_snapshot; other = other->group_next)
	{
		if ((!other->is_started || (other == stream && is_run_again(stream))) &&
			wants_snapshot(other))
			takers = add_presumed(takers, other);
	}
	foreach(lc, takers)
	{
		Taker	   *taker = lfirst(lc);
		Taker	   *before = find_taker(old, taker->server_oid, taker->user_oid);

		if (before != NULL && before->fragment == NULL)
		{
			taker->conn = before->conn;
			taker->endpoint = before->endpoint;
			taker->is_cached = before->is_cached;
			taker->is_connecting = before->is_connecting;
			before->conn = NULL;
		}
	}
	foreach(lc, old)
	{
		if (((Taker *) lfirst(lc))->conn != NULL && ((Taker *) lfirst(lc))->fragment == NULL)
			CzConnRelease(((Taker *) lfirst(lc))->conn);
	}
	return takers;
}

/* A taker can't take part: its fragments go elsewhere. */
static List *
lose_taker(CzStream *stream, List *takers, Taker *taker, const char *reason, bool is_connect,
		   bool mark)
{
	if (taker->conn != NULL && taker->fragment == NULL)
		CzConnDiscard(taker->conn);
	taker->conn = NULL;
	takers = list_delete_ptr(takers, taker);
	if (mark)
		CzHealthMarkFailed(taker->server_oid);
	if (taker->worker != NULL)
		CzRunWorkerLost(stream, taker->worker, reason, is_connect, mark);
	else
		CzRunWarn(CzGroupWorkerGet(stream->group, taker->server_oid, taker->user_oid),
				  CzNodeName(taker->server_oid),
				  CzRedact(pnstrdup(reason, strcspn(reason, "\n")), NULL));
	return takers;
}

/* Begin to get a connection for a taker. */
static void
start_connect(CzStream *stream, Taker *taker)
{
	taker->conn = CzConnAcquireCached(taker->endpoint, false);
	taker->is_cached = taker->conn != NULL;
	if (taker->conn == NULL)
	{
		taker->conn = CzConnStartOrResume(taker->endpoint);
		taker->is_connecting = true;
	}
	CzConnSetSubxact(taker->conn, stream->subid);
}

/*
 * Give each taker a connection; false if one could not have any, and is gone from the
 * list.
 */
static bool
connect_takers(CzStream *stream, List **takers)
{
	const CzEndpoint **endpoints = palloc(sizeof(CzEndpoint *) * Max(list_length(*takers), 1));
	int			nendpoints = 0;
	ListCell   *lc;

	foreach(lc, *takers)
	{
		Taker	   *taker = lfirst(lc);

		if (taker->conn != NULL || (taker->worker != NULL && taker->worker->use_txn))
			continue;
		if (taker->endpoint == NULL)
			taker->endpoint = CzEndpointGet(taker->server_oid, taker->user_oid);
		endpoints[nendpoints++] = taker->endpoint;
	}
	CzPoolEnter(endpoints, nendpoints);
	pfree(endpoints);
	foreach(lc, *takers)
	{
		Taker	   *taker = lfirst(lc);

		if (taker->conn == NULL && (taker->worker == NULL || !taker->worker->use_txn))
			start_connect(stream, taker);
	}
	for (;;)
	{
		CzWaitSlot *slots = palloc0(sizeof(CzWaitSlot) * list_length(*takers));
		TimestampTz now = GetCurrentTimestamp();
		long		wait_ms = cz_worker_timeout_ms;
		int			nslots = 0;

		foreach(lc, *takers)
		{
			Taker	   *taker = lfirst(lc);
			int			events;

			if (!taker->is_connecting)
				continue;
			events = CzConnPollConnect(taker->conn, taker->endpoint);
			if (events < 0)
			{
				CzConnCheckFenced(taker->conn);
				*takers = lose_taker(stream, *takers, taker,
									 pstrdup(CzConnConnectError(taker->conn)), true,
									 !CzConnPeerAnswered(taker->conn));
				return false;
			}
			taker->is_connecting = events > 0;
			if (events == 0)
				continue;
			slots[nslots].socket = PQsocket(taker->conn->pg);
			slots[nslots++].events = events;
			wait_ms = Min(wait_ms, TimestampDifferenceMilliseconds(now,
																   CzConnConnectDeadline(taker->conn)) + 1);
		}
		if (nslots == 0)
			return true;
		(void) CzWaitSockets(slots, nslots, wait_ms, true);
		pfree(slots);
	}
}

/* The transaction's connection takes the snapshot by a cursor for the rows. */
static void
prepare_cursor(CzStream *stream, Taker *taker, CzSnapshotMember *member)
{
	static uint32 serial = 0;
	StreamWorker *worker = taker->worker;
	Fragment   *fragment = linitial(worker->waiting);

	taker->conn = CzTxnReadConnAt(worker->server_oid, stream->user_oid,
								  CzMomentOf(stream->estate));
	if (taker->conn == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the transaction's connection to node \"%s\" is gone",
						worker->endpoint->node_name)));
	CzConnDrain(taker->conn);
	CzConnSyncSettings(taker->conn);
	taker->fragment = fragment;
	fragment->cursor = MemoryContextStrdup(stream->run_context,
										   psprintf("cz_cursor_%u", ++serial));
	CzFragmentParams(stream, fragment, &taker->params);
	member->sql = psprintf("DECLARE %s NO SCROLL CURSOR FOR %s", fragment->cursor,
						   fragment->sql);
	member->nparams = taker->params.nparams;
	member->values = taker->params.values;
	member->lengths = taker->params.lengths;
	member->formats = taker->params.formats;
	member->undo_sql = psprintf("CLOSE %s", fragment->cursor);
}

/* A connection of our own takes it by a transaction. */
static void
prepare_read(Taker *taker, CzSnapshotMember *member)
{
	const char *name;

	if (!CzConnTrySyncSettings(taker->conn))
		taker->conn->is_broken = true;
	name = CzConnNameCommand(taker->conn);
	member->sql = psprintf("%s%s%s%s", BEGIN_READ_SQL, name ? name : "", name ? "; " : "",
						   EXPORT_SQL);
	member->undo_sql = "ROLLBACK";
}

/* Let the streams know what is there for them. */
static void
give_to_group(CzStream *stream, List *takers, const CzSnapshotMember *members)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->estate->es_query_cxt);
	ListCell   *lc;

	foreach(lc, takers)
	{
		Taker	   *taker = lfirst(lc);
		const char *id = members[foreach_current_index(lc)].answer;
		GroupWorker *gw;

		if (taker->fragment != NULL)
			continue;
		gw = CzGroupWorkerGet(stream->group, taker->server_oid, taker->user_oid);
		gw->snapshot_id = id ? pstrdup(id) : NULL;
		gw->exporter = NULL;
		gw->exporter_conn = taker->conn;
		gw->free_conns = lappend(gw->free_conns, taker->conn);
		if (taker->worker != NULL)
			taker->worker->in_snapshot = true;
	}
	MemoryContextSwitchTo(oldcontext);
}

/* What has kept takers from taking their snapshots is dealt with. */
static List *
after_failure(CzStream *stream, List *takers, const CzSnapshotMember *members)
{
	List	   *all = list_copy(takers);
	ListCell   *lc;

	foreach(lc, all)
	{
		Taker	   *taker = lfirst(lc);
		const CzSnapshotMember *member = &members[foreach_current_index(lc)];

		if (taker->fragment != NULL)
		{
			pfree(taker->fragment->cursor);
			taker->fragment->cursor = NULL;
		}
		if (member->is_lost && taker->is_cached && !member->is_timeout)
		{
			/* it may have died long ago: that says nothing */
			CzConnDiscard(taker->conn);
			taker->conn = NULL;
			taker->is_cached = false;
		}
		else if (member->is_lost)
			takers = lose_taker(stream, takers, taker, _("It did not answer."), false,
								member->is_timeout);
		else if (member->is_unclear &&
				 !CzTxnWorkerIsClear(taker->server_oid, taker->user_oid))
		{
			bool		can_move = true;
			ListCell   *lc2;

			if (taker->worker != NULL)
			{
				foreach(lc2, taker->worker->waiting)
					can_move &= CzFragmentCanMove(lfirst(lc2));
			}
			if (can_move)
				takers = lose_taker(stream, takers, taker,
									_("A committed transaction is not finished there."),
									false, false);
			else
				CzTxnRequireClear(taker->server_oid, taker->user_oid);
		}
	}
	return takers;
}

/* This server's snapshot of the statement agrees with those of the workers. */
static void
refresh_local(void *arg)
{
	CzSnapshotRefresh(arg);
}

/*
 * True when they have been taken; else takers have changed.
 *
 * local: this server's snapshot, that has to agree with them; or NULL.
 */
static bool
try_to_take(CzStream *stream, List **takers, Snapshot local)
{
	CzSnapshotMember *members = palloc0(sizeof(CzSnapshotMember) * list_length(*takers));
	ListCell   *lc;

	if (!connect_takers(stream, takers))
		return false;
	foreach(lc, *takers)
	{
		Taker	   *taker = lfirst(lc);
		CzSnapshotMember *member = &members[foreach_current_index(lc)];

		if (taker->worker != NULL && taker->worker->use_txn)
			prepare_cursor(stream, taker, member);
		else
			prepare_read(taker, member);
		member->conn = taker->conn;
	}
	if (CzSnapshotTake(members, list_length(*takers), &stream->group->look,
					   local != NULL ? refresh_local : NULL, local))
	{
		give_to_group(stream, *takers, members);
		return true;
	}
	*takers = after_failure(stream, *takers, members);
	return false;
}

/* Does a run read through the transaction's connection what one cursor can't give? */
static bool
has_several_commands(const CzStream *stream)
{
	ListCell   *lc;

	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		if (worker->use_txn && list_length(worker->waiting) > 1)
			return true;
	}
	return false;
}

/*
 * Take them, on at least so many workers.
 *
 * stream: the one that starts, or any if none does.
 */
static void
take_snapshots(CzStream *stream, int min_takers, Snapshot local)
{
	StatementGroup *group = stream->group;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->context);
	MemoryContext context = AllocSetContextCreate(stream->context, "cz_fdw snapshots",
												  ALLOCSET_SMALL_SIZES);
	List	   *takers = NIL;
	ListCell   *lc;
	bool		is_taken = false;

	MemoryContextSwitchTo(context);
	for (;;)
	{
		takers = collect_takers(stream, takers);
		if (list_length(takers) < min_takers)
			break;
		is_taken = try_to_take(stream, &takers, local);
		if (is_taken)
			break;
	}
	group->has_snapshot |= is_taken;
	foreach(lc, takers)
	{
		Taker	   *taker = lfirst(lc);

		if (!is_taken && taker->conn != NULL && taker->fragment == NULL)
			CzConnRelease(taker->conn);
	}
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
}

/* Does a plan read tables of which workers have copies, beside the one with shards? */
static bool
reads_copies(const CzFragmentPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->relids)
	{
		const CzTable *table;

		if (lfirst_oid(lc) == plan->anchor_relid)
			continue;
		table = CzTableGet(lfirst_oid(lc));
		if (table != NULL && table->kind == CZ_TABLE_REFERENCE)
			return true;
	}
	return false;
}

/* Has each worker of a run taken its snapshot, as far as its answers tell? */
static bool
have_answered(CzStream *stream)
{
	int			i;

	for (i = 0; i < stream->nfragments; i++)
	{
		Fragment   *fragment = &stream->fragments[i];
		StreamWorker *worker = fragment->worker;

		if (worker->in_snapshot &&
			CzGroupWorkerGet(stream->group, worker->server_oid,
							 stream->user_oid)->snapshot_id == NULL)
			return false;
		if (!worker->in_snapshot && fragment->nrows == 0 && fragment->state != FRAGMENT_DONE)
			return false;
	}
	return true;
}

/*
 * Bring a run back to where its fragments were queued, and nothing is sent; the statement
 * has no snapshots.
 */
static void
queue_again(CzStream *stream)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	ListCell   *lc;
	int			i;

	CzRunStop(stream);
	foreach(lc, stream->group->workers)
	{
		GroupWorker *gw = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, gw->free_conns)
		{
			PQclear(CzConnExecQuiet(lfirst(lc2), "ROLLBACK", STOP_MS));
			CzConnRelease(lfirst(lc2));
		}
		gw->free_conns = NIL;
		CzGroupForgetWorker(gw);
	}
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		list_free(worker->waiting);
		worker->waiting = NIL;
		worker->in_snapshot = false;
	}
	for (i = 0; i < stream->nfragments; i++)
	{
		Fragment   *fragment = &stream->fragments[i];

		if (fragment->cursor != NULL)
			PQclear(CzConnExec(CzTxnConn(fragment->worker->server_oid, stream->user_oid,
										 false),
							   psprintf("CLOSE %s", fragment->cursor)));
		fragment->cursor = NULL;
		CzFragmentCount(stream, fragment, -fragment->nrows, -fragment->nbytes);
		if (fragment->store != NULL)
			tuplestore_end(fragment->store);
		fragment->store = NULL;
		fragment->nstored = 0;
		fragment->conn = NULL;
		fragment->state = FRAGMENT_WAITING;
		fragment->worker->waiting = lappend(fragment->worker->waiting, fragment);
	}
	stream->ready = NIL;
	stream->ndone = 0;
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Where nobody commits on several workers, and so presumably nobody will in the next
 * moment, each worker just begins, which costs nothing, and in the end nobody has.  What
 * takes long says by a command before it that it has its snapshot.  No row is given out
 * before all have.
 *
 * False: nothing is sent, or not any more.
 */
static bool
run_unguarded(CzStream *stream)
{
	StatementGroup *group = stream->group;
	Bitmapset  *streamed = NULL;
	CzRoomLookState look;
	ListCell   *lc;
	int			i;

	if (cz_distributed_snapshot == CZ_SNAPSHOT_CLUSTER ||
		group->nstreams > 1 || stream->nships > 0 || list_length(stream->workers) < 2 ||
		is_run_again(stream) || stream->plan->takes_duplicates || !CzRoomIsQuiet(&look))
		return false;
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		if (worker->use_txn || CzTxnIsInDoubt(worker->server_oid))
			return false;
	}

	/* 1. rows are not read yet, or, of short fragments, stored */
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		worker->in_snapshot |= stream->plan->cost > COST_OF_SHORT ||
			stream->plan->cost <= 0;
		worker->awaits_others = worker->in_snapshot;
	}
	for (i = 0; i < stream->nfragments; i++)
	{
		Fragment   *fragment = &stream->fragments[i];

		if (!fragment->is_held && !fragment->worker->in_snapshot)
		{
			streamed = bms_add_member(streamed, i);
			fragment->is_held = true;
		}
	}

	/* 2. run until all have begun */
	while (!have_answered(stream))
		CzRunPump(stream, NULL, true);
	CzDebugPoint("run_begun");
	foreach(lc, stream->workers)
		((StreamWorker *) lfirst(lc))->awaits_others = false;
	i = -1;
	while ((i = bms_next_member(streamed, i)) >= 0)
	{
		if (stream->fragments[i].state == FRAGMENT_WAITING)
			stream->fragments[i].is_held = false;
	}

	/* 3. was anybody in the room? */
	if (!CzRoomIsUnchanged(&look))
	{
		queue_again(stream);
		for (i = -1; (i = bms_next_member(streamed, i)) >= 0;)
			stream->fragments[i].is_held = false;
		return false;
	}
	group->look = look;
	group->has_snapshot = true;
	return true;
}

/* Commits on the way have come to all copies; false: or to none of a worker's. */
static bool
await_copies(uint64 epoch)
{
	CzRoomAwait();
	return CzRoomEpoch() == epoch;
}

/*
 * CzSnapshotAwaitCopies
 *		Before a write that reads copies has its placements looked up: they have what
 *		others have seen here.
 */
void
CzSnapshotAwaitCopies(const CzStream *stream)
{
	if (cz_distributed_snapshot == CZ_SNAPSHOT_OFF || IsolationUsesXactSnapshot() ||
		list_length(stream->plan->relids) < 2 || !reads_copies(stream->plan))
		return;
	CzRoomAwait();
	AcceptInvalidationMessages();
}

/*
 * Remember the statement's tables as they are: its other streams, which begin later, read
 * by the same snapshots from the same placements.  False if they have changed since the
 * snapshots were taken.
 */
static bool
keep_tables(StatementGroup *group)
{
	MemoryContext oldcontext;
	CzStream   *stream;
	ListCell   *lc;

	list_free(group->tables);
	group->tables = NIL;
	if (CzRoomEpoch() != group->epoch)
		return false;
	AcceptInvalidationMessages();
	oldcontext = MemoryContextSwitchTo(group->estate->es_query_cxt);
	for (stream = group->streams; stream; stream = stream->group_next)
	{
		foreach(lc, stream->plan->relids)
		{
			const CzTable *table = CzTableGet(lfirst_oid(lc));

			if (table != NULL)
				group->tables = list_append_unique_ptr(group->tables, (void *) table);
		}
	}
	MemoryContextSwitchTo(oldcontext);
	if (CzRoomEpoch() == group->epoch)
		return true;
	list_free(group->tables);
	group->tables = NIL;
	return false;
}

/*
 * CzSnapshotHasTables
 *		Is a run to read from the placements as of the statement's snapshots?
 */
bool
CzSnapshotHasTables(const CzStream *stream)
{
	return stream->group->has_snapshot && stream->group->tables != NIL &&
		!IsolationUsesXactSnapshot() && wants_snapshot(stream);
}

/*
 * CzSnapshotBegin
 *		A run has its fragments queued and nothing is sent yet: take the statement's
 *		snapshots, if it reads from several workers and has none.
 *
 * epoch: CzRoomEpoch before its placements were looked up.
 * Returns: false: they have changed since; nothing is sent, and the run is to be queued
 *		anew.
 */
bool
CzSnapshotBegin(CzStream *stream, uint64 epoch)
{
	StatementGroup *group = stream->group;
	ListCell   *lc;
	bool		has_txn = false;
	bool		had_snapshot = group->has_snapshot;

	if (cz_distributed_snapshot == CZ_SNAPSHOT_OFF || IsolationUsesXactSnapshot())
		return true;
	/* a write that reads copies, or locks rows, sees no older ones than others have seen */
	if (!wants_snapshot(stream))
		return !reads_copies(stream->plan) || await_copies(epoch);
	/* one command sees what it sees */
	if (stream->nfragments == 1 && group->nstreams == 1 &&
		list_length(stream->plan->relids) == 1 && OidIsValid(stream->plan->anchor_relid))
		return true;
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		has_txn |= worker->use_txn;
		worker->in_snapshot |= group->has_snapshot && !worker->use_txn;
	}
	/* a command of the transaction's own sees what is there now */
	if (had_snapshot &&
		group->epoch != (stream->is_as_of_snapshot && has_txn ? CzRoomEpoch() : epoch))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("placements of the statement's tables have changed since it began"),
				 errhint("The statement might succeed if retried.")));
	if ((!group->has_snapshot || has_txn) && !has_several_commands(stream) &&
		(group->has_snapshot || !run_unguarded(stream)))
		take_snapshots(stream, 2, NULL);
	if (group->has_snapshot && !had_snapshot)
	{
		group->epoch = group->look.epoch;
		if (group->epoch != epoch || (group->nstreams > 1 && !keep_tables(group)))
		{
			queue_again(stream);
			group->has_snapshot = false;
			return false;
		}
	}

	/* who has seen a new row here or in one copy sees it in the others, too */
	return group->has_snapshot || !reads_copies(stream->plan) || await_copies(epoch);
}

/* Does a statement read tables of this server?  Its scans have opened them. */
static bool
reads_local_tables(const EState *estate)
{
	int			i;

	for (i = 0; i < estate->es_range_table_size; i++)
	{
		Relation	rel = estate->es_relations[i];

		if (rel != NULL && RelationGetRelid(rel) >= FirstNormalObjectId &&
			(rel->rd_rel->relkind == RELKIND_RELATION ||
			 rel->rd_rel->relkind == RELKIND_MATVIEW))
			return true;
	}
	return false;
}

/* Does a statement write to workers by way of core's ModifyTable? */
static bool
writes_there(const PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->resultRelations)
	{
		if (CzTableGet(rt_fetch(lfirst_int(lc), stmt->rtable)->relid) != NULL)
			return true;
	}
	return false;
}

/*
 * CzSnapshotBeginStatement
 *		A statement has been initialised: if it reads from workers and here, its snapshot
 *		here and those there agree.  A transaction with one snapshot for its life takes
 *		it now: a cursor's first row may be asked for much later.
 */
void
CzSnapshotBeginStatement(QueryDesc *query_desc)
{
	StatementGroup *group = CzGroupFind(query_desc->estate);
	CzStream   *stream;

	if (cz_distributed_snapshot == CZ_SNAPSHOT_OFF)
		return;
	if (IsolationUsesXactSnapshot())
	{
		if (group != NULL)
			CzTxnTakeSnapshots(InvalidOid, group->streams->user_oid);
		else if (writes_there(query_desc->plannedstmt))
			CzTxnTakeSnapshots(InvalidOid, GetUserId());
		return;
	}
	if (group == NULL || query_desc->snapshot == NULL ||
		!reads_local_tables(query_desc->estate))
		return;
	for (stream = group->streams; stream; stream = stream->group_next)
	{
		if (wants_snapshot(stream))
		{
			take_snapshots(stream, 1, query_desc->snapshot);
			group->epoch = group->look.epoch;
			if (group->has_snapshot)
				(void) keep_tables(group);
			return;
		}
	}
}

/*
 * CzSnapshotCheckLate
 *		A worker has taken a snapshot for the statement by itself: does it agree with
 *		those of the others?
 */
void
CzSnapshotCheckLate(const CzStream *stream, const char *node_name)
{
	if (!stream->group->has_snapshot || CzRoomHasStayed(&stream->group->look))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not read from node \"%s\" in the statement's snapshot", node_name),
			 errdetail("Another transaction has committed on several nodes since the statement began."),
			 errhint("The statement might succeed if retried.")));
}
