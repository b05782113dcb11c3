/*-------------------------------------------------------------------------
 *
 * group.c
 *	  The streams of one statement share one snapshot per worker.
 *
 * Streams of the same EState form a group.  Where a worker gets more than one
 * command of the statement, its connections run a read-only transaction of level
 * REPEATABLE READ whose snapshot the first of them exported; a connection that a
 * stream no longer needs goes back to the group, still in that transaction, and
 * all are committed together when the last stream ends, or rolled back if they
 * have temporary tables.  After an error the
 * connection cache cleans up; the group's memory goes with the query's.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "executor_int.h"

/* Time for the workers' answers to COMMIT, milliseconds: nothing was written, so
 * a connection that takes longer is rather closed. */
#define COMMIT_MS 1000

static StatementGroup *groups = NULL;

/* The query's memory goes away: after an error the group is still linked. */
static void
unlink_group(void *arg)
{
	StatementGroup **link;

	for (link = &groups; *link; link = &(*link)->next)
	{
		if (*link == (StatementGroup *) arg)
		{
			*link = (*link)->next;
			return;
		}
	}
}

/*
 * CzGroupFind
 *		The group of a statement, or NULL.
 */
StatementGroup *
CzGroupFind(const EState *estate)
{
	StatementGroup *group;

	for (group = groups; group; group = group->next)
	{
		if (group->estate == estate)
			break;
	}
	return group;
}

/*
 * CzGroupJoin
 *		The group of a statement, with one more stream in it.
 */
StatementGroup *
CzGroupJoin(CzStream *stream)
{
	EState	   *estate = stream->estate;
	StatementGroup *group;

	group = CzGroupFind(estate);
	if (group == NULL)
	{
		group = MemoryContextAllocZero(estate->es_query_cxt, sizeof(StatementGroup));
		group->estate = estate;
		group->callback.func = unlink_group;
		group->callback.arg = group;
		MemoryContextRegisterResetCallback(estate->es_query_cxt, &group->callback);
		group->next = groups;
		groups = group;
	}
	group->nstreams++;
	stream->group_next = group->streams;
	group->streams = stream;
	return group;
}

/*
 * CzGroupWorkerGet
 *		The group's entry for a worker and user, made if it is new.
 */
GroupWorker *
CzGroupWorkerGet(StatementGroup *group, Oid server_oid, Oid user_oid)
{
	MemoryContext oldcontext;
	GroupWorker *gw;
	ListCell   *lc;

	foreach(lc, group->workers)
	{
		gw = lfirst(lc);
		if (gw->server_oid == server_oid && gw->user_oid == user_oid)
			return gw;
	}
	oldcontext = MemoryContextSwitchTo(group->estate->es_query_cxt);
	gw = palloc0(sizeof(GroupWorker));
	gw->server_oid = server_oid;
	gw->user_oid = user_oid;
	group->workers = lappend(group->workers, gw);
	MemoryContextSwitchTo(oldcontext);
	return gw;
}

/*
 * CzGroupForgetWorker
 *		The worker failed: its connections and its snapshot are gone.
 */
void
CzGroupForgetWorker(GroupWorker *gw)
{
	ListCell   *lc;

	foreach(lc, gw->free_conns)
		CzConnDiscard(lfirst(lc));
	list_free(gw->free_conns);
	gw->free_conns = NIL;
	gw->snapshot_id = NULL;
	gw->exporter = NULL;
	gw->exporter_conn = NULL;
}

/* Wait for the answer to COMMIT; a worker that is slow with that is left alone. */
static void
await_commit(CzConn *conn, TimestampTz deadline)
{
	PGconn	   *pg = conn->pg;

	for (;;)
	{
		int			flush = PQflush(pg);
		long		left_ms;
		CzWaitSlot	slot;

		if (flush < 0)
			break;
		if (flush == 0 && !PQisBusy(pg))
		{
			PGresult   *res = PQgetResult(pg);
			bool		is_copy = CzResultIsCopy(res);

			if (res == NULL)
				return;
			PQclear(res);
			if (is_copy || GetCurrentTimestamp() >= deadline)
				break;
			continue;
		}
		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (left_ms <= 0)
			break;
		slot.socket = PQsocket(pg);
		slot.events = WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
		(void) CzWaitSockets(&slot, 1, left_ms, true);
		if (slot.is_ready && !CzConnReceive(conn))
			break;
	}
	conn->is_broken = true;
}

/*
 * CzGroupLeave
 *		A stream ends; after the last one, end the transactions on the workers.
 */
void
CzGroupLeave(CzStream *stream)
{
	StatementGroup *group = stream->group;
	CzStream  **link;
	TimestampTz deadline;
	ListCell   *lc;
	ListCell   *lc2;

	for (link = &group->streams; *link; link = &(*link)->group_next)
	{
		if (*link == stream)
		{
			*link = stream->group_next;
			break;
		}
	}
	if (--group->nstreams > 0)
		return;

	/* nothing was written: whether the commit succeeds does not matter */
	foreach(lc, group->workers)
	{
		GroupWorker *gw = lfirst(lc);

		foreach(lc2, gw->free_conns)
		{
			CzConn	   *conn = lfirst(lc2);
			bool		has_tables = CzShipMustRollBack(group, conn);
			const char *command = has_tables ? "ROLLBACK" : "COMMIT";

			CzConnLogCommand(conn, command);
			if ((PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF &&
				 !PQexitPipelineMode(conn->pg)) || !PQsendQuery(conn->pg, command))
				conn->is_broken = true;
			else
				(void) PQflush(conn->pg);
			if (has_tables)
				CzConnForgetTxnSettings(conn);
		}
	}
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), COMMIT_MS);
	foreach(lc, group->workers)
	{
		GroupWorker *gw = lfirst(lc);

		foreach(lc2, gw->free_conns)
		{
			CzConn	   *conn = lfirst(lc2);

			if (!conn->is_broken)
				await_commit(conn, deadline);
		}
	}
	foreach(lc, group->workers)
	{
		GroupWorker *gw = lfirst(lc);

		foreach(lc2, gw->free_conns)
			CzConnRelease(lfirst(lc2));
		gw->free_conns = NIL;
	}
	group->workers = NIL;
	unlink_group(group);
	group->next = NULL;
}
