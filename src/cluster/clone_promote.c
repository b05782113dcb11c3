/*-------------------------------------------------------------------------
 *
 * clone_promote.c
 *	  Which shards of a worker a clone of it is to take, get_snapshot_based_node_split_plan(),
 *	  and that it takes them, citus_promote_clone_and_rebalance().
 *
 * The plan is made by the session that asks, with its rights; a background worker carries it
 * out, for it commits several times (src/mover/promote.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/wait_event.h"

#include "clones_int.h"
#include "cluster_int.h"
#include "cz/move.h"
#include "cz/remote.h"
#include "cz/transaction.h"
#include "distribute_int.h"
#include "rebalance_int.h"

PG_FUNCTION_INFO_V1(get_snapshot_based_node_split_plan);
PG_FUNCTION_INFO_V1(citus_promote_clone_and_rebalance);

/* Between two looks at the promotion, and of whether the clone can be promoted */
#define WAIT_MS 50

/* Dear ones first; else in an order that is the same every time. */
static int
compare_groups(const ListCell *a, const ListCell *b)
{
	const CzGroupOnNode *x = lfirst(a);
	const CzGroupOnNode *y = lfirst(b);

	if (x->may_go != y->may_go)
		return x->may_go ? 1 : -1;
	if (x->cost != y->cost)
		return x->cost > y->cost ? -1 : 1;
	if (x->relid != y->relid)
		return x->relid < y->relid ? -1 : 1;
	return x->index - y->index;
}

/* What the two have of a colocation group, or of all. */
typedef struct Load
{
	Oid			relid;			/* its first table */
	double		stays;
	double		goes;
} Load;

static Load *
load_of(List **loads, Oid relid)
{
	Load	   *load;
	ListCell   *lc;

	foreach(lc, *loads)
	{
		if (((Load *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	}
	load = palloc0(sizeof(Load));
	load->relid = relid;
	*loads = lappend(*loads, load);
	return load;
}

/*
 * make_plan
 *		From the dearest on each group goes to whichever of the two has less of its tables, in
 *		proportion to their capacities, or, where that is the same, less of all: list of
 *		CzGroupOnNode *.
 */
static List *
make_plan(const CzNode *primary, const CzNode *clone, const char *strategy)
{
	double		capacity;
	double		clone_capacity;
	List	   *groups = CzGroupsOn(primary, clone, strategy, &capacity, &clone_capacity);
	Load		all = {0};
	List	   *loads = NIL;
	ListCell   *lc;

	list_sort(groups, compare_groups);
	foreach(lc, groups)
	{
		CzGroupOnNode *group = lfirst(lc);
		Load	   *tables = load_of(&loads, group->relid);
		double		more = (tables->stays + group->cost) / capacity -
			(tables->goes + group->cost) / clone_capacity;

		if (more == 0)
			more = (all.stays + group->cost) / capacity - (all.goes + group->cost) / clone_capacity;
		group->goes = group->may_go && more > 0;
		if (group->goes)
		{
			tables->goes += group->cost;
			all.goes += group->cost;
		}
		else
		{
			tables->stays += group->cost;
			all.stays += group->cost;
		}
	}
	return groups;
}

static CzNode *
node_at(FunctionCallInfo fcinfo, int arg)
{
	char	   *host;
	int			port;
	CzNode	   *node;

	CzGetAddress(fcinfo, arg, &host, &port);
	node = CzNodeFind(host, port, NULL);
	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node at \"%s:%d\" does not exist", host, port)));
	return node;
}

/* The worker that a clone is one of. */
static CzNode *
primary_of(const CzNode *clone)
{
	CzNode	   *primary;

	CzCloneCheckIs(clone);
	primary = CzNodeOfIdentity(clone->clone_of);
	if (primary == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the node that \"%s:%d\" is a clone of does not exist any more",
						clone->host, clone->port)));
	if (!primary->is_active)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" is not in use", primary->name)));
	return primary;
}

/*
 * get_snapshot_based_node_split_plan(primary_node_name text, primary_node_port int,
 *		replica_node_name text, replica_node_port int, rebalance_strategy name)
 *		Where the shards of a worker would be when its clone has been promoted.
 */
Datum
get_snapshot_based_node_split_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CzNode	   *primary = node_at(fcinfo, 0);
	CzNode	   *clone = node_at(fcinfo, 2);
	HTAB	   *sizes;
	ListCell   *lc;
	ListCell   *lt;

	InitMaterializedSRF(fcinfo, 0);
	if (primary_of(clone)->server_oid != primary->server_oid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node at \"%s:%d\" is not a clone of node at \"%s:%d\"", clone->host,
						clone->port, primary->host, primary->port)));
	sizes = CzShardSizesByName(list_make1_oid(primary->server_oid));
	foreach(lc, make_plan(primary, clone, PG_ARGISNULL(4) ? NULL : NameStr(*PG_GETARG_NAME(4))))
	{
		const CzGroupOnNode *group = lfirst(lc);

		foreach(lt, CzFamilyTables(group->relid))
		{
			const CzTable *table = CzTableGet(lfirst_oid(lt));
			const CzShard *shard = &table->shards[group->index];
			int64		size = CzShardSizeOf(sizes, shard, primary->server_oid);
			Datum		values[4];
			bool		nulls[4] = {0};

			values[0] = ObjectIdGetDatum(table->relid);
			values[1] = Int64GetDatum(shard->shard_id);
			values[2] = Int64GetDatum(Max(size, 0));
			values[3] = CStringGetTextDatum(group->goes ? "Clone Node" : "Primary Node");
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	hash_destroy(sizes);
	return (Datum) 0;
}

/* The plan in memory that the background worker sees, too. */
static dsm_segment *
share_plan(List *groups, int timeout_s, bool promotes)
{
	dsm_segment *segment = dsm_create(offsetof(CzPromotePlan, groups) +
									  list_length(groups) * sizeof(((CzPromotePlan *) NULL)->groups[0]),
									  0);
	CzPromotePlan *plan = dsm_segment_address(segment);
	ListCell   *lc;

	plan->timeout_s = timeout_s;
	plan->promotes = promotes;
	plan->ngroups = 0;
	foreach(lc, groups)
	{
		const CzGroupOnNode *group = lfirst(lc);

		if (!group->goes)
			continue;
		plan->groups[plan->ngroups].relid = group->relid;
		plan->groups[plan->ngroups++].index = group->index;
	}
	return segment;
}

/* Does the clone show that nobody writes any more? */
static bool
is_waiting(const CzEndpoint *endpoint, int64 move_id)
{
	char	   *message = NULL;
	char	   *name = psprintf(CZ_PROMOTE_TOKEN, move_id);
	CzConn	   *conn = CzConnTryAcquire(endpoint, &message);
	PGresult   *res;
	bool		result;

	if (conn == NULL)
		return false;
	res = CzConnTryExec(conn, psprintf("SELECT pg_catalog.to_regclass('%s') IS NOT NULL", name));
	result = res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 &&
		strcmp(PQgetvalue(res, 0, 0), "t") == 0;
	PQclear(res);
	if (result)
	{
		res = CzConnTryExec(conn, psprintf("SELECT is_locked FROM %s", name));
		result = res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 &&
			strcmp(PQgetvalue(res, 0, 0), "t") == 0;
		PQclear(res);
	}
	CzConnRelease(conn);
	return result;
}

/* Wait until the background worker has ended; tell, unless it promotes, when to do that. */
static void
await(BackgroundWorkerHandle *handle, int64 move_id, const CzNode *clone, bool promotes)
{
	bool		has_told = promotes;

	while (CzMoveIsRunning(handle))
	{
		CHECK_FOR_INTERRUPTS();
		if (!has_told &&
			is_waiting(CzEndpointGet(clone->server_oid, GetUserId()), move_id))
		{
			has_told = true;
			ereport(NOTICE,
					(errmsg("node \"%s\" can be promoted now", clone->name),
					 errdetail("Nobody writes to the shards that it takes until that is done.")));
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, WAIT_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* How long writers have waited, milliseconds; as of now, whatever the snapshot. */
static void
tell_pause(int64 move_id, const CzNode *clone, int ngroups)
{
	double		pause_ms = CzMovePause(move_id);

	ereport(NOTICE,
			(errmsg("node \"%s\" has been promoted and has taken over %d groups of shards",
					clone->name, ngroups),
			 errdetail("Their writers waited %.0f ms.", pause_ms)));
}

static void
check_call(const CzNode *clone, const CzNode *primary, bool promotes)
{
	bool		may_promote;

	CzNodeCheckOwner(clone);
	CzNodeCheckOwner(primary);
	if (CzTxnHasWritten() || TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot promote a node in a transaction that has changed something"),
				 errdetail("It is done by a background worker, which might wait for this transaction.")));
	CzCloneCheck(clone, primary, &may_promote);
	if (promotes && !may_promote)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to promote node \"%s\"", clone->name),
				 errhint("Run GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) on node \"%s\" to the role of the user mapping, or call with promote => false and promote the clone when you are told.",
						 primary->name)));
}

/*
 * citus_promote_clone_and_rebalance(clone_nodeid int, rebalance_strategy name,
 *		catchup_timeout_seconds int, promote boolean)
 *		A clone becomes a node, and takes over half of the shards of its primary.
 */
Datum
citus_promote_clone_and_rebalance(PG_FUNCTION_ARGS)
{
	CzNode	   *clone;
	CzNode	   *primary;
	bool		promotes = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
	int			timeout_s = PG_ARGISNULL(2) ? 300 : PG_GETARG_INT32(2);
	BackgroundWorkerHandle *handle;
	CzMoveSpec	spec = {0};
	List	   *groups;
	dsm_segment *segment;
	int64		move_id;
	int			ngroups;
	char	   *sqlstate;
	char	   *message;
	ListCell   *lc;

	PreventCommandIfReadOnly("citus_promote_clone_and_rebalance()");
	if (timeout_s < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("catchup_timeout_seconds must not be negative"),
				 errhint("0 waits for any time.")));
	CzTxnCheckCoordinator();
	clone = CzCloneNodeOfId(fcinfo, 0);
	primary = primary_of(clone);
	check_call(clone, primary, promotes);
	groups = make_plan(primary, clone, PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1)));
	foreach(lc, groups)
		CzCheckTableOwner(((CzGroupOnNode *) lfirst(lc))->relid);

	segment = share_plan(groups, timeout_s, promotes);
	ngroups = ((CzPromotePlan *) dsm_segment_address(segment))->ngroups;
	spec.operation = CZ_MOVE_PROMOTE;
	spec.source_oid = primary->server_oid;
	spec.target_oid = clone->server_oid;
	spec.shard_index = -1;
	spec.plan_handle = dsm_segment_handle(segment);
	move_id = CzMoveStart(&spec, &handle);
	PG_TRY();
	{
		await(handle, move_id, clone, promotes);
	}
	PG_CATCH();
	{
		CzMoveCancel(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	dsm_detach(segment);
	AcceptInvalidationMessages();
	if (!CzMoveResult(move_id, &sqlstate, &message))
		ereport(ERROR,
				(errcode(sqlstate ? MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
												  sqlstate[3], sqlstate[4]) :
						 ERRCODE_INTERNAL_ERROR),
				 errmsg("could not promote node \"%s\": %s", clone->name, message)));
	tell_pause(move_id, clone, ngroups);
	PG_RETURN_VOID();
}
