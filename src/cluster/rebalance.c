/*-------------------------------------------------------------------------
 *
 * rebalance.c
 *	  Carry plans of moves out: rebalance_table_shards(), citus_drain_node(),
 *	  replicate_table_shards() in this session, citus_rebalance_start() as a job; and what
 *	  the maintenance worker does when placements are missing for long.
 *
 * Each move is a process and commits by itself (cz/move.h); here they are started, a few
 * at a time, and awaited.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cluster_int.h"
#include "cz/move.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"
#include "rebalance_int.h"

PG_FUNCTION_INFO_V1(rebalance_table_shards);
PG_FUNCTION_INFO_V1(citus_rebalance_start);
PG_FUNCTION_INFO_V1(citus_drain_node);
PG_FUNCTION_INFO_V1(replicate_table_shards);

/* Between two looks at the moves that run */
#define WAIT_MS 100

/* After a job that has failed, until missing placements are tried again */
#define AGAIN_S 10

/* The default of max_shard_copies: as many as are needed */
#define ALL_MOVES 1000000

/* A move is repeated so often, but if it gave way any number of times; and the pause before
 * is doubled so often */
#define MAX_RETRIES 3
#define MAX_DOUBLINGS 5

/* A move of a plan that is carried out. */
typedef struct Run
{
	CzRebalanceMove *move;
	BackgroundWorkerHandle *handle; /* NULL: it does not run */
	int64		move_id;
	int			retries;
	TimestampTz not_before;
	bool		is_done;
} Run;

/* Moves in the order of the plan, and the first error. */
typedef struct Runs
{
	List	   *runs;
	CzTransferMode mode;
	char	   *sqlstate;
	char	   *message;
	int			nfailed;
} Runs;

static int
count_runs(const Runs *runs, Oid server_oid)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, runs->runs)
	{
		Run		   *run = lfirst(lc);

		if (run->handle != NULL && (!OidIsValid(server_oid) || run->move->source_oid == server_oid ||
									run->move->target_oid == server_oid))
			n++;
	}
	return n;
}

/* Two copies of a shard are made one after the other. */
static bool
is_group_running(const Runs *runs, const Run *run)
{
	ListCell   *lc;

	foreach(lc, runs->runs)
	{
		Run		   *other = lfirst(lc);

		if (other->handle != NULL && other->move->relid == run->move->relid &&
			other->move->index == run->move->index)
			return true;
	}
	return false;
}

static void
start_run(Run *run, CzTransferMode mode)
{
	const CzTable *table = CzTableGet(run->move->relid);
	CzNode	   *target = CzNodeGet(run->move->target_oid);
	CzMoveSpec	spec = {0};

	spec.relid = run->move->relid;
	spec.shard_index = run->move->index;
	spec.source_oid = run->move->source_oid;
	spec.target_oid = run->move->target_oid;
	spec.operation = OidIsValid(spec.source_oid) ? CZ_MOVE_MOVE : CZ_MOVE_COPY;
	spec.mode = mode;
	if (run->retries == 0 && OidIsValid(spec.source_oid))
	{
		CzNode	   *source = CzNodeGet(spec.source_oid);

		ereport(NOTICE,
				(errmsg("moving shard " INT64_FORMAT " from %s:%d to %s:%d ...",
						table->shards[run->move->index].shard_id, source->host, source->port,
						target->host, target->port)));
	}
	else if (run->retries == 0)
		ereport(NOTICE,
				(errmsg("copying shard " INT64_FORMAT " to %s:%d ...",
						table->shards[run->move->index].shard_id, target->host, target->port)));
	run->move_id = CzMoveStart(&spec, &run->handle);
}

/* A run's process has ended. */
static void
end_run(Runs *runs, Run *run)
{
	char	   *sqlstate;
	char	   *message;

	run->handle = NULL;
	AcceptInvalidationMessages();
	if (CzMoveResult(run->move_id, &sqlstate, &message))
	{
		run->is_done = true;
		return;
	}
	if (CzMoveGaveWay(sqlstate) ||
		(run->retries < MAX_RETRIES && CzMoveMayBeRepeated(sqlstate)))
	{
		ereport(NOTICE,
				(errmsg("the move begins again: %s", message),
				 errdetail("It is move " INT64_FORMAT ", to node \"%s\".", run->move_id,
						   CzNodeGet(run->move->target_oid)->name)));
		run->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  500 << Min(run->retries, MAX_DOUBLINGS));
		run->retries++;
		return;
	}
	run->is_done = true;
	runs->nfailed++;
	if (runs->message == NULL)
	{
		runs->sqlstate = sqlstate;
		runs->message = message;
	}
}

/* Is the target of a run to give something away itself?  Then that goes first. */
static bool
is_to_be_freed(const Runs *runs, const Run *run)
{
	ListCell   *lc;

	foreach(lc, runs->runs)
	{
		const Run  *other = lfirst(lc);

		if (!other->is_done && other->move->source_oid == run->move->target_oid)
			return true;
	}
	return false;
}

/*
 * Start runs, as many as there may be at a time.  What comes to a node waits for what leaves
 * it, so that disks don't fill; where that is a circle, one begins.
 */
static void
start_runs(Runs *runs, bool in_circle)
{
	int			limit = in_circle ? 1 : cz_max_parallel_moves;
	ListCell   *lc;

	foreach(lc, runs->runs)
	{
		Run		   *run = lfirst(lc);

		if (!run->is_done && run->handle == NULL && run->not_before <= GetCurrentTimestamp() &&
			!is_group_running(runs, run) && (in_circle || !is_to_be_freed(runs, run)) &&
			count_runs(runs, InvalidOid) < limit &&
			count_runs(runs, run->move->source_oid) < cz_max_moves_per_node &&
			count_runs(runs, run->move->target_oid) < cz_max_moves_per_node)
			start_run(run, runs->mode);
	}
}

/* One look; true: something is left to be done. */
static bool
step(Runs *runs)
{
	bool		is_left = false;
	ListCell   *lc;

	foreach(lc, runs->runs)
	{
		Run		   *run = lfirst(lc);

		if (run->handle != NULL && !CzMoveIsRunning(run->handle))
			end_run(runs, run);
	}
	/* after an error nothing is begun any more */
	if (runs->nfailed == 0)
	{
		start_runs(runs, false);
		start_runs(runs, true);
	}
	foreach(lc, runs->runs)
	{
		Run		   *run = lfirst(lc);

		if (!run->is_done)
			is_left |= run->handle != NULL || runs->nfailed == 0;
	}
	return is_left;
}

static void
cancel_runs(const Runs *runs)
{
	ListCell   *lc;

	foreach(lc, runs->runs)
	{
		Run		   *run = lfirst(lc);

		if (run->handle != NULL)
			CzMoveCancel(run->handle);
	}
}

static pg_noinline void
await_runs(Runs *runs)
{
	PG_TRY();
	{
		while (step(runs))
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, WAIT_MS,
							 PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
	PG_CATCH();
	{
		cancel_runs(runs);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Carry a plan out, and raise the first error when all that was begun has ended. */
static void
carry_out(List *moves, CzTransferMode mode)
{
	Runs		runs = {0};
	ListCell   *lc;

	runs.mode = mode;
	foreach(lc, moves)
	{
		Run		   *run = palloc0(sizeof(Run));

		run->move = lfirst(lc);
		runs.runs = lappend(runs.runs, run);
	}
	await_runs(&runs);
	AcceptInvalidationMessages();
	if (runs.nfailed > 0)
		ereport(ERROR,
				(errcode(runs.sqlstate ?
						 MAKE_SQLSTATE(runs.sqlstate[0], runs.sqlstate[1], runs.sqlstate[2],
									   runs.sqlstate[3], runs.sqlstate[4]) : ERRCODE_INTERNAL_ERROR),
				 errmsg("could not move shards: %s", runs.message),
				 errdetail("Moves that are done stay done.")));
}

/* May the role move the shards of this table, or of all? */
static void
check_privileges(Oid relid)
{
	ListCell   *lc;

	CzTxnCheckCoordinator();
	if (CzTxnHasWritten())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot move shards in a transaction that has written to workers"),
				 errdetail("The moves would wait for its end.")));
	if (OidIsValid(relid))
	{
		(void) CzCheckDistributed(relid);
		foreach(lc, CzFamilyTables(relid))
			CzCheckTableOwner(lfirst_oid(lc));
		return;
	}
	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && CzTableIsDistributed(table))
			CzCheckTableOwner(table->relid);
	}
}

/* Nodes that CREATE SERVER has made are looked at before they get shards. */
static void
check_new_nodes(void)
{
	ListCell   *lc;

	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);
		BackgroundWorkerHandle *handle;

		if (node->is_checked || !node->should_have_shards)
			continue;
		handle = CzBackgroundStart(CZ_BACKGROUND_ACTIVATE, node->server_oid, "activation");
		if (handle != NULL)
			(void) WaitForBackgroundWorkerShutdown(handle);
	}
	AcceptInvalidationMessages();
}

static CzTransferMode
mode_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? CZ_TRANSFER_AUTO : CzTransferModeOf(PG_GETARG_OID(arg));
}

static void
warn_of_stranded(int nstranded)
{
	if (nstranded > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg_plural("there is no other node for %d placement",
							   "there is no other node for %d placements", nstranded, nstranded)));
}

/*
 * rebalance_table_shards(relation regclass, threshold float4, max_shard_moves int,
 *		excluded_shard_list bigint[], shard_transfer_mode, drain_only boolean,
 *		rebalance_strategy name)
 */
Datum
rebalance_table_shards(PG_FUNCTION_ARGS)
{
	CzRebalanceRequest request = {0};
	List	   *moves;
	int			nstranded;

	PreventCommandIfReadOnly("rebalance_table_shards()");
	request.relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	request.threshold = PG_ARGISNULL(1) ? -1 : PG_GETARG_FLOAT4(1);
	request.improvement = -1;
	request.max_moves = PG_ARGISNULL(2) ? INT_MAX : PG_GETARG_INT32(2);
	request.excluded = PG_ARGISNULL(3) ? NIL : CzShardIdList(PG_GETARG_ARRAYTYPE_P(3));
	request.only_needed = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
	request.strategy = PG_ARGISNULL(6) ? NULL : NameStr(*PG_GETARG_NAME(6));
	check_privileges(request.relid);
	check_new_nodes();
	moves = CzRebalancePlan(&request, &nstranded);
	carry_out(moves, mode_argument(fcinfo, 4));
	warn_of_stranded(nstranded);
	PG_RETURN_VOID();
}

/*
 * citus_rebalance_start(rebalance_strategy name, drain_only boolean, shard_transfer_mode,
 *		parallel_transfer_reference_tables boolean, parallel_transfer_colocated_shards boolean)
 *		The same for all tables, as a job.  Shards of different groups are moved at the
 *		same time in any case.
 */
Datum
citus_rebalance_start(PG_FUNCTION_ARGS)
{
	CzRebalanceRequest request = {0};
	List	   *moves;
	int64		job_id;

	PreventCommandIfReadOnly("citus_rebalance_start()");
	request.strategy = PG_ARGISNULL(0) ? NULL : NameStr(*PG_GETARG_NAME(0));
	request.only_needed = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	request.threshold = -1;
	request.improvement = -1;
	request.max_moves = INT_MAX;
	check_privileges(InvalidOid);
	check_new_nodes();
	job_id = CzJobRunning("rebalance");
	if (job_id != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a rebalance is already running as job " INT64_FORMAT, job_id),
				 errhint("Wait for it with citus_rebalance_wait(), or stop it with citus_rebalance_stop().")));
	moves = CzRebalancePlan(&request, NULL);
	if (moves == NIL)
	{
		ereport(NOTICE, (errmsg("no moves are needed")));
		PG_RETURN_NULL();
	}
	job_id = CzJobCreate("rebalance", "Rebalance all colocation groups",
						 mode_argument(fcinfo, 2), moves);
	ereport(NOTICE,
			(errmsg("scheduled %d moves as job " INT64_FORMAT, list_length(moves), job_id),
			 errhint("SELECT * FROM citus_rebalance_status(); shows how far it is.")));
	PG_RETURN_INT64(job_id);
}

/* In a background worker: the node is to have no shards. */
static void
end_shards(int64 arg)
{
	CzTaskSession();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	CzNodesLock();
	CzNodeSetOption((Oid) arg, "should_have_shards", "false");
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * The same, committed: a transaction that has changed the server until all moves are done
 * would be in the way of who takes the node out of use, and he, with the locks that he
 * has, in the way of the moves.  It is done here if this transaction has changed something:
 * that may be the server.
 */
static void
no_more_shards(const CzNode *node)
{
	BackgroundWorkerHandle *handle = NULL;

	if (!node->should_have_shards)
		return;
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		handle = CzBackgroundStart(CZ_BACKGROUND_DRAIN, node->server_oid, "drain");
	if (handle != NULL)
		(void) WaitForBackgroundWorkerShutdown(handle);
	AcceptInvalidationMessages();
	if (CzNodeGet(node->server_oid)->should_have_shards)
		CzNodeSetOption(node->server_oid, "should_have_shards", "false");
}

/*
 * CzRebalanceInit
 *		See cluster.h.
 */
void
CzRebalanceInit(void)
{
	cz_background[CZ_BACKGROUND_DRAIN] = end_shards;
}

/*
 * citus_drain_node(nodename text, nodeport int, shard_transfer_mode, rebalance_strategy name)
 *		The node should have no shards: those that it has go to others.
 */
Datum
citus_drain_node(PG_FUNCTION_ARGS)
{
	CzRebalanceRequest request = {0};
	CzNode	   *node;
	List	   *moves = NIL;
	int			nstranded;
	ListCell   *lc;

	PreventCommandIfReadOnly("citus_drain_node()");
	check_privileges(InvalidOid);
	check_new_nodes();
	node = CzNodeGetOwn(fcinfo, false);
	no_more_shards(node);
	request.threshold = -1;
	request.improvement = -1;
	request.max_moves = INT_MAX;
	request.only_needed = true;
	request.strategy = PG_ARGISNULL(3) ? NULL : NameStr(*PG_GETARG_NAME(3));
	/* what should leave other nodes is not asked for */
	foreach(lc, CzRebalancePlan(&request, &nstranded))
	{
		if (((CzRebalanceMove *) lfirst(lc))->source_oid == node->server_oid)
			moves = lappend(moves, lfirst(lc));
	}
	carry_out(moves, mode_argument(fcinfo, 2));
	warn_of_stranded(nstranded);
	PG_RETURN_VOID();
}

/* Shards that have few placements left come first. */
static int
compare_danger(const ListCell *a, const ListCell *b)
{
	return ((const CzRebalanceMove *) lfirst(a))->nactive -
		((const CzRebalanceMove *) lfirst(b))->nactive;
}

/* Placements that are too many go; a factor that is given is the groups' from now on. */
static void
give_up_surplus(Oid relid, int factor)
{
	BackgroundWorkerHandle *handle;
	int			n;

	if (factor == 0 && CzSurplusCount(relid, factor) == 0)
		return;
	handle = CzSurplusGiveUp(relid, factor);
	if (handle == NULL)
		CzNoBackgroundWorker();
	(void) WaitForBackgroundWorkerShutdown(handle);
	AcceptInvalidationMessages();
	n = CzSurplusCount(relid, factor);
	if (n > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg_plural("%d placement that is too many could not be given up",
							   "%d placements that are too many could not be given up", n, n),
				 errdetail("Their shards were written, or moved, all the time."),
				 errhint("Call replicate_table_shards() again.")));
}

/*
 * replicate_table_shards(relation regclass, shard_replication_factor int, max_shard_copies int,
 *		excluded_shard_list bigint[], shard_transfer_mode)
 *		Make the placements that are missing, and give up those that are too many.
 */
Datum
replicate_table_shards(PG_FUNCTION_ARGS)
{
	CzRebalanceRequest request = {0};
	List	   *moves;
	int			nstranded;

	PreventCommandIfReadOnly("replicate_table_shards()");
	request.relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	request.factor = PG_ARGISNULL(1) ? -1 : PG_GETARG_INT32(1);
	if (request.factor == 0 || request.factor < -1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shard_replication_factor must be positive")));
	request.threshold = -1;
	request.improvement = -1;
	request.max_moves = PG_ARGISNULL(2) ? INT_MAX : PG_GETARG_INT32(2);
	request.excluded = PG_ARGISNULL(3) ? NIL : CzShardIdList(PG_GETARG_ARRAYTYPE_P(3));
	request.strategy = "by_disk_size";
	request.lost = CzHealthDownServers(0);
	check_privileges(request.relid);
	check_new_nodes();
	moves = CzRebalancePlan(&request, &nstranded);
	list_sort(moves, compare_danger);
	carry_out(moves, mode_argument(fcinfo, 4));
	warn_of_stranded(nstranded);
	/* of a part of the shards nothing is said but that they have so many at least */
	if (request.excluded == NIL && request.max_moves >= ALL_MOVES && nstranded == 0)
		give_up_surplus(request.relid, Max(request.factor, 0));
	PG_RETURN_VOID();
}

/*
 * Placements on nodes that are down are neither written nor read any more, so that others
 * can be made without them; they are made whole when their node is back.
 */
static void
make_inactive(List *moves, List *lost)
{
	ListCell   *lm;
	ListCell   *lt;
	int			i;

	foreach(lm, moves)
	{
		CzRebalanceMove *move = lfirst(lm);

		foreach(lt, CzFamilyTables(move->relid))
		{
			const CzTable *table = CzTableGet(lfirst_oid(lt));
			const CzShard *shard = &table->shards[move->index];
			bool		has_other = false;

			for (i = 0; i < shard->nplacements; i++)
				has_other |= !list_member_oid(lost, shard->server_oids[i]);
			for (i = 0; has_other && i < shard->nplacements; i++)
			{
				if (list_member_oid(lost, shard->server_oids[i]))
					(void) CzInactiveInsert(shard->shard_id, shard->server_oids[i],
											"its node is down");
			}
			CzInvalidateTable(table->relid);
		}
	}
}

/*
 * CzReplicateAgain
 *		See rebalance_int.h.
 */
bool
CzReplicateAgain(void)
{
	CzRebalanceRequest request = {0};
	List	   *moves;
	int64		job_id;

	if (cz_rereplication_delay_ms < 0)
		return true;
	request.lost = CzHealthDownServers(cz_rereplication_delay_ms);
	request.counts_inactive = true;
	if (CzJobRunning("replicate") != 0 || CzJobFailedLately("replicate", AGAIN_S))
		return false;
	request.factor = -1;
	request.threshold = -1;
	request.improvement = -1;
	request.max_moves = INT_MAX;
	request.strategy = "by_disk_size";
	moves = CzRebalancePlan(&request, NULL);
	/* nodes that are back have what was made elsewhere meanwhile */
	if (moves == NIL && request.lost == NIL && CzSurplusCount(InvalidOid, 0) > 0)
	{
		(void) CzSurplusGiveUp(InvalidOid, 0);
		return false;
	}
	if (moves == NIL)
		return CzHealthDownServers(0) == NIL;
	list_sort(moves, compare_danger);
	make_inactive(moves, request.lost);
	job_id = CzJobCreate("replicate", "Make placements that are missing", CZ_TRANSFER_AUTO, moves);
	ereport(LOG,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("job " INT64_FORMAT " makes %d placements that are missing", job_id,
					list_length(moves)),
			 errdetail("cz_moves says of which shards, and on which nodes.")));
	return false;
}
