/*-------------------------------------------------------------------------
 *
 * stream_place.c
 *	  Which placement runs a fragment.
 *
 * Reads choose the least loaded healthy placement; a transaction that keeps one
 * snapshot for its life keeps the placement too.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "executor_int.h"

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
	if (stream->plan->has_row_locks)
		worker->use_txn = true;
	else if (stream->is_modifying && !IsolationUsesXactSnapshot())
		worker->use_txn = list_member_oid(stream->begin_txn_servers, server_oid);
	else
		worker->use_txn = CzTxnReadConn(server_oid, stream->user_oid) != NULL;
	stream->workers = lappend(stream->workers, worker);
	MemoryContextSwitchTo(oldcontext);
	return worker;
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
	static TimestampTz transaction_start = 0;
	static Oid	avoided[MAX_AVOIDED];
	static int	navoided = 0;
	int			i;
	int			j;

	if (transaction_start != GetCurrentTransactionStartTimestamp())
	{
		transaction_start = GetCurrentTransactionStartTimestamp();
		navoided = 0;
	}
	for (i = 0; i < fragment->nplacements; i++)
	{
		Oid			server_oid = fragment->server_oids[i];
		bool		is_last = i == fragment->nplacements - 1;
		char	   *error_message;
		CzEndpoint *endpoint;
		CzConn	   *conn;

		if (CzTxnConnIfAny(server_oid, stream->user_oid) != NULL)
			return server_oid;
		for (j = 0; j < navoided; j++)
		{
			if (avoided[j] == server_oid)
				break;
		}
		if (is_last)
			return server_oid;
		if (j < navoided)
			continue;
		endpoint = CzEndpointGet(server_oid, stream->user_oid);
		if (!CzHealthIsSuspect(server_oid) || CzHealthRecheck(endpoint))
		{
			/* the transaction's connection will be this one */
			conn = CzConnTryAcquire(endpoint, &error_message);
			if (conn != NULL)
			{
				CzConnRelease(conn);
				return server_oid;
			}
		}
		if (navoided == MAX_AVOIDED)
			return server_oid;
		avoided[navoided++] = server_oid;
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

	if (stream->plan->has_row_locks)
		return fragment->is_tried[0] ? InvalidOid : fragment->server_oids[0];
	if (IsolationUsesXactSnapshot())
		return choose_stable_placement(stream, fragment);

	/* a single fragment: spread sessions over the placements, each with its own */
	offset = stream->nfragments == 1 ? MyProcPid % fragment->nplacements : 0;
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
		if (!OidIsValid(best) || load < best_load)
		{
			best = server_oid;
			best_load = load;
		}
	}
	return best;
}

/* Queue a fragment at its next placement; false if there is none. */
bool
CzFragmentAssign(CzStream *stream, Fragment *fragment)
{
	MemoryContext oldcontext;
	StreamWorker *worker;
	Oid			server_oid = choose_placement(stream, fragment);

	if (!OidIsValid(server_oid))
		return false;
	worker = get_worker(stream, server_oid);
	oldcontext = MemoryContextSwitchTo(stream->run_context);
	worker->waiting = lappend(worker->waiting, fragment);
	MemoryContextSwitchTo(oldcontext);
	worker->nassigned++;
	worker->nfragments++;
	fragment->worker = worker;
	fragment->state = FRAGMENT_WAITING;

	/* who can still move must not show rows before the end */
	fragment->is_held = !worker->use_txn && fragment->nplacements > 1 &&
		!fragment->is_emitted;
	return true;
}

/*
 * CzRunStart
 *		Decide the fragments of a run and queue them.
 */
void
CzRunStart(CzStream *stream)
{
	ListCell   *lc;
	int			i;

	CzFragmentsResolve(stream);
	stream->is_started = true;
	for (i = 0; i < stream->nfragments; i++)
	{
		if (!CzFragmentAssign(stream, &stream->fragments[i]))
			elog(ERROR, "fragment without placement");
	}

	/* more than one command of a statement on one worker: one snapshot for all */
	foreach(lc, stream->workers)
	{
		StreamWorker *worker = lfirst(lc);

		worker->in_snapshot = !worker->use_txn &&
			(worker->nassigned > 1 || stream->group->nstreams > 1 ||
			 !bms_is_empty(stream->parent->plan->extParam));
	}

	/* reads of a modifying statement through its own connection: before it writes */
	if (stream->is_modifying && stream->plan->command == CMD_SELECT)
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
