/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  The stream of rows as its consumer sees it: begin, next row, again, end.
 *
 * Which shards and placements a run has is decided here; stream_run.c talks to
 * the workers.  Rows reach the consumer in one of two ways: directly from a
 * result, or, for fragments that could still move to another placement, from a
 * tuplestore after the fragment has completed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "executor/nodeSubplan.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "cz/compat.h"
#include "cz/rowid.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* Rows handed out from stores between two looks at the sockets. */
#define ROWS_BETWEEN_POLLS 64
/* Rows after which a scan is no small one, whatever was expected. */
#define MAX_SMALL_ROWS 10000
/* Least memory of one fragment's store, kB. */
#define MIN_STORE_KB 64

/*
 * CzStreamEnd is not called after an error; this reset callback of the stream's memory
 * frees the PGresult.
 */
static void
release_result(void *arg)
{
	CzStream   *stream = arg;

	CzMomentLeave(&stream->moment);
	PQclear(stream->res);
	stream->res = NULL;
}

static void
check_functions(const CzFragmentPlan *plan, Oid user_oid)
{
	ListCell   *lc;

	foreach(lc, plan->function_oids)
	{
		AclResult	result = function_aclcheck_compat(lfirst_oid(lc), user_oid);

		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_FUNCTION, get_func_name(lfirst_oid(lc)));
	}
}

static bool
is_begun(void *arg)
{
	return ((CzStream *) arg)->is_started;
}

/* Rows that could not be read after a write of the transaction. */
static void
read_ahead(void *arg)
{
	CzStream   *stream = arg;

	if (stream->is_started)
		CzRunDrainTxn(stream);
	else
		CzRunReadAll(stream);
}

/*
 * Keep the relations of a plan open, as a scan of them would: TRUNCATE and DDL in the
 * middle of it are then refused, instead of waiting for this session's own locks.
 */
static void
open_relations(CzStream *stream)
{
	ListCell   *lc;

	foreach(lc, stream->plan->relids)
		stream->relations = lappend(stream->relations,
									table_open(lfirst_oid(lc), AccessShareLock));
}

static void
close_relations(CzStream *stream)
{
	ListCell   *lc;

	foreach(lc, stream->relations)
		table_close((Relation) lfirst(lc), NoLock);
	list_free(stream->relations);
	stream->relations = NIL;
}

static CzStream *
create_stream(const CzFragmentPlan *plan, List *param_exprs, PlanState *parent,
			  TupleDesc tupdesc)
{
	static uint32 serial = 0;
	EState	   *estate = parent->state;
	MemoryContext context;
	CzStream   *stream;

	context = AllocSetContextCreate(estate->es_query_cxt, "cz_fdw stream",
									ALLOCSET_DEFAULT_SIZES);
	stream = MemoryContextAllocZero(context, sizeof(CzStream));
	stream->plan = plan;
	stream->parent = parent;
	stream->estate = estate;
	stream->tupdesc = tupdesc;
	stream->user_oid = OidIsValid(plan->check_as_user) ? plan->check_as_user : GetUserId();
	stream->subid = GetCurrentSubTransactionId();
	stream->owner = CurrentResourceOwner;
	stream->context = context;
	stream->run_context = AllocSetContextCreate(context, "cz_fdw stream run",
												ALLOCSET_DEFAULT_SIZES);
	stream->row_context = AllocSetContextCreate(context, "cz_fdw stream row",
												ALLOCSET_DEFAULT_SIZES);
	stream->callback.func = release_result;
	stream->callback.arg = stream;
	MemoryContextRegisterResetCallback(context, &stream->callback);
	stream->param_exprs = param_exprs;
	stream->is_modifying = estate->es_plannedstmt != NULL &&
		(estate->es_plannedstmt->commandType != CMD_SELECT ||
		 estate->es_plannedstmt->hasModifyingCTE);

	/* it will be scanned again, and the workers would say the same again */
	stream->must_keep = plan->nparams == 0 && plan->command == CMD_SELECT &&
		!bms_is_empty(parent->plan->extParam);

	/* who asks, also where a view is read on behalf of its owner */
	check_functions(plan, GetUserId());
	stream->group = CzGroupJoin(stream);
	stream->serial = ++serial;
	CzShipInit(stream);
	stream->only_shard = -1;
	return stream;
}

/*
 * CzStreamBegin
 *		See executor.h.
 */
CzStream *
CzStreamBegin(const CzFragmentPlan *plan, List *param_exprs, PlanState *parent,
			  TupleDesc tupdesc)
{
	CzStream   *stream = create_stream(plan, param_exprs, parent, tupdesc);
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->context);

	open_relations(stream);
	MemoryContextSwitchTo(oldcontext);
	if (plan->command == CMD_SELECT)
	{
		stream->moment.locks_rows = plan->has_row_locks;
		stream->moment.is_begun = is_begun;
		stream->moment.read = read_ahead;
		stream->moment.arg = stream;
		CzMomentEnter(&stream->moment, parent, param_exprs);
	}
	return stream;
}

/*
 * CzStreamBeginParts
 *		A stream that is run again and again by CzStreamRestart, through the
 *		transaction's connections, with parameters set by CzStreamFixParam.
 */
CzStream *
CzStreamBeginParts(const CzFragmentPlan *plan, List *param_exprs, PlanState *parent,
				   TupleDesc tupdesc)
{
	CzStream   *stream = create_stream(plan, param_exprs, parent, tupdesc);

	stream->must_keep = false;
	stream->in_transaction = true;
	stream->fixed_params = MemoryContextAllocZero(stream->context,
												  sizeof(char *) * Max(plan->nparams, 1));
	return stream;
}

/*
 * CzStreamFixParam
 *		Send this text as a parameter from the next run on; NULL: what its
 *		expression says.
 */
void
CzStreamFixParam(CzStream *stream, int index, const char *text)
{
	if (stream->fixed_params[index] != NULL)
		pfree(stream->fixed_params[index]);
	stream->fixed_params[index] = text ? MemoryContextStrdup(stream->context, text) : NULL;
}

/*
 * CzStreamSetRewind
 *		See executor.h.
 */
void
CzStreamSetRewind(CzStream *stream)
{
	stream->must_keep = true;
}

/* The active placements of a shard that the transaction has not lost, and may read. */
static List *
placements_of(const CzShard *shard)
{
	List	   *result = NIL;
	Oid			moved = InvalidOid;
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		if (CzTxnHasMoved(shard, shard->server_oids[i]))
			moved = shard->server_oids[i];
		else if (!CzTxnIsLost(shard->shard_id, shard->server_oids[i]) &&
				 !CzTxnWasInactive(shard->shard_id, shard->server_oids[i]))
			result = lappend_oid(result, shard->server_oids[i]);
	}
	if (result == NIL && OidIsValid(moved))
		CzTxnCheckNotMoved(shard, moved);
	return result;
}

/* Have two shards the same placements, as those of colocated tables have? */
static bool
have_same_placements(const CzShard *a, const CzShard *b)
{
	return a->nplacements == b->nplacements &&
		memcmp(a->server_oids, b->server_oids, sizeof(Oid) * a->nplacements) == 0;
}

/*
 * A table as it was when the statement's snapshots were taken, if that is known, else as it
 * is now.  Placements that have become inactive since have missed nothing of the snapshots.
 */
static const CzTable *
table_of_run(const CzStream *stream, Oid relid)
{
	ListCell   *lc;

	foreach(lc, stream->is_as_of_snapshot ? stream->group->tables : NIL)
	{
		const CzTable *table = lfirst(lc);

		if (table->relid == relid)
			return table;
	}
	return CzTableGet(relid);
}

/*
 * Servers that have all tables of the plan, out of candidates, which have the anchor's
 * shard; their order is kept: the first one is the primary.
 */
static List *
with_other_tables(const CzStream *stream, const CzShard *anchor,
				  const Fragment *fragment, List *candidates)
{
	const CzFragmentPlan *plan = stream->plan;
	ListCell   *lc;

	foreach(lc, plan->relids)
	{
		const CzTable *table;
		const CzShard *shard;
		List	   *placements;
		List	   *both = NIL;
		ListCell   *lc2;

		if (lfirst_oid(lc) == plan->anchor_relid)
			continue;
		table = table_of_run(stream, lfirst_oid(lc));
		if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
			continue;
		shard = CzShardOf(table, fragment);
		if (shard == NULL || (anchor != NULL && have_same_placements(anchor, shard)))
			continue;
		placements = placements_of(shard);
		if (candidates == NIL && !OidIsValid(plan->anchor_relid) && lc == list_head(plan->relids))
		{
			candidates = placements;
			continue;
		}
		foreach(lc2, candidates)
		{
			if (list_member_oid(placements, lfirst_oid(lc2)))
				both = lappend_oid(both, lfirst_oid(lc2));
		}
		candidates = both;
	}
	return candidates;
}

/* Errors if a shard of the statement's tables has no active placement at all. */
static void
check_placements(const CzFragmentPlan *plan, const CzShard *shard, int shard_index)
{
	ListCell   *lc;

	CzCheckHasPlacement(shard);
	foreach(lc, plan->relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && CzTableIsDistributed(table) && shard_index >= 0 &&
			shard_index < table->nshards)
			CzCheckHasPlacement(&table->shards[shard_index]);
	}
}

/*
 * CzFragmentInit
 *		Make the fragment of a shard, or of any worker (shard NULL), in
 *		CurrentMemoryContext.
 */
void
CzFragmentInit(CzStream *stream, Fragment *fragment, const CzShard *shard, int shard_index)
{
	const CzFragmentPlan *plan = stream->plan;
	List	   *candidates = NIL;
	ListCell   *lc;
	int			i;

	fragment->shard_index = shard_index;
	fragment->shard_id = shard ? shard->shard_id : 0;
	if (stream->nships == 0)
		fragment->sql = CzFragmentSql(plan, shard_index);
	if (shard != NULL)
		candidates = placements_of(shard);
	if (plan->relids == NIL)
	{
		foreach(lc, CzNodeList(true))
			candidates = lappend_oid(candidates, ((CzNode *) lfirst(lc))->server_oid);
	}
	else if (plan->command == CMD_SELECT || shard == NULL)
		candidates = with_other_tables(stream, shard, fragment, candidates);
	if (candidates == NIL && shard != NULL && shard->nplacements > 0 && CzTxnHasLost())
		CzTxnReportChange(shard);
	if (candidates == NIL && shard != NULL)
		check_placements(plan, shard, shard_index);
	if (candidates == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no active node has all tables of this statement")));

	fragment->nplacements = list_length(candidates);
	fragment->server_oids = palloc(sizeof(Oid) * fragment->nplacements);
	fragment->is_tried = palloc0(sizeof(bool) * fragment->nplacements);
	i = 0;
	foreach(lc, candidates)
		fragment->server_oids[i++] = lfirst_oid(lc);
	fragment->state = FRAGMENT_WAITING;
}

/*
 * CzFragmentPlace
 *		Where a fragment writes, now that its shard is locked; the first placement, or
 *		with all set each of them, can be reached, and has the other tables that the
 *		statement reads.
 */
void
CzFragmentPlace(CzStream *stream, Fragment *fragment, bool all)
{
	const CzFragmentPlan *plan = stream->plan;
	const CzShard *shard = CzShardOfFragment(plan->anchor_relid, fragment);
	List	   *servers = NIL;
	int			i;

	if (CzShardIsReplicated(shard))
	{
		shard = CzShardFresh(shard);
		fragment->nplacements = CzTxnWritePlacements(shard, stream->user_oid, all,
													 &fragment->server_oids);
	}
	else
	{
		const CzShard *now = CzTxnEnterShard(shard, false);

		if (now != shard)
		{
			shard = now;
			fragment->nplacements = shard->nplacements;
			fragment->server_oids = shard->server_oids;
		}
	}
	for (i = 0; i < (all ? fragment->nplacements : 1); i++)
		servers = lappend_oid(servers, fragment->server_oids[i]);
	if (list_length(plan->relids) > 1 &&
		list_length(with_other_tables(stream, shard, fragment, servers)) < list_length(servers))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a placement's node lacks another table of this statement"),
				 errhint("SELECT cz_repair_placements() makes its placement whole.")));
	list_free(servers);
}

/* Indexes of the shards that the value which decides them leaves; never none. */
static List *
shards_by_value(const CzFragmentPlan *plan, const CzTable *table, Oid type, Datum value,
				bool isnull)
{
	List	   *indexes = NIL;
	Bitmapset  *shards = NULL;
	Oid			elemtype = plan->prune_kind == CZ_PRUNE_VALUE ? type : get_element_type(type);
	Datum	   *values = &value;
	bool	   *nulls = &isnull;
	Datum		key;
	int			n = 1;
	int			i;

	if (plan->prune_kind != CZ_PRUNE_VALUE)
	{
		int16		len;
		bool		byval;
		char		align;

		n = 0;
		get_typlenbyvalalign(elemtype, &len, &byval, &align);
		if (!isnull)
			deconstruct_array(DatumGetArrayTypeP(value), elemtype, len, byval, align, &values,
							  &nulls, &n);
	}
	if (plan->prune_kind == CZ_PRUNE_RANGE)
	{
		Datum		keys[2];
		bool		has[2];

		if (n != 2)
			elog(ERROR, "a range of keys has %d bounds", n);
		for (i = 0; i < 2; i++)
			has[i] = !nulls[i] && CzKeyConvert(table, elemtype, values[i], &keys[i]);
		shards = CzShardsInRange(table, has[0] ? &keys[0] : NULL, has[1] ? &keys[1] : NULL,
								 true);
	}
	else
	{
		/* the key is equal to the value, so it is none that is NULL */
		for (i = 0; i < n; i++)
		{
			int			index = -1;
			ItemPointerData local;

			if (nulls[i])
				continue;
			if (CzRowIdIsKey(table, elemtype))
				index = CzRowIdDecode(table, (ItemPointer) DatumGetPointer(values[i]), &local);
			else if (CzKeyConvert(table, elemtype, values[i], &key))
				index = CzShardIndexForValue(table, key, false);
			if (index >= 0)
				shards = bms_add_member(shards, index);
		}
	}
	i = -1;
	while ((i = bms_next_member(shards, i)) >= 0)
	{
		if (!plan->is_pruned || list_member_int(plan->shard_indexes, i))
			indexes = lappend_int(indexes, i);
	}
	/* no shard can hold a value: any gives the right, empty, answer */
	if (indexes == NIL && table->nshards > 0)
		indexes = list_make1_int(0);
	return indexes;
}

/* From now on what may fail is left to the workers. */
static void
become_lazy(CzStream *stream)
{
	const CzFragmentPlan *plan = stream->plan;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->context);
	CzFragmentPlan *lazy = palloc(sizeof(CzFragmentPlan));
	List	   *exprs = NIL;
	int			first = plan->nparams + (plan->prune_param >= 0);
	int			i;

	*lazy = *plan;
	lazy->pieces = plan->lazy_pieces;
	lazy->nparams = plan->lazy_nparams;
	lazy->lazy_pieces = NIL;
	for (i = 0; i < lazy->nparams; i++)
		exprs = lappend(exprs, list_nth(stream->param_exprs, first + i));
	if (plan->prune_param >= 0)
	{
		lazy->prune_param = lazy->nparams;
		exprs = lappend(exprs, list_nth(stream->param_exprs, plan->prune_param));
	}
	stream->plan = lazy;
	stream->param_exprs = exprs;
	MemoryContextSwitchTo(oldcontext);
}

typedef struct PlansContext
{
	Bitmapset  *params;			/* ids of the executor's parameters that are read */
	int			depth;			/* expressions around that may leave out their arguments */
} PlansContext;

/*
 * Find the sub-plans that an expression runs.  True: one that is run for each value, or
 * maybe not at all.
 */
static bool
plans_walker(Node *node, PlansContext *context)
{
	bool		is_conditional;
	bool		result;

	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return true;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
	{
		context->params = bms_add_member(context->params, ((Param *) node)->paramid);
		return context->depth > 0;
	}
	is_conditional = IsA(node, CaseExpr) || IsA(node, CoalesceExpr) || IsA(node, BoolExpr);
	context->depth += is_conditional;
	result = expression_tree_walker(node, plans_walker, (void *) context);
	context->depth -= is_conditional;
	return result;
}

/*
 * Sub-plans are the statement's, and go on after a subtransaction in which they were begun:
 * run those that the parameters read before it.  False: that cannot be said of all.
 */
static bool
run_plans(CzStream *stream)
{
	PlansContext context = {NULL, 0};
	int			nexprs = stream->plan->nparams + (stream->plan->prune_param >= 0);
	int			i;

	for (i = 0; i < nexprs; i++)
	{
		ExprState  *state = list_nth(stream->param_exprs, i);

		if (plans_walker((Node *) state->expr, &context))
			return false;
	}
	if (context.params != NULL)
		ExecSetParamPlanMulti(context.params, stream->parent->ps_ExprContext);
	return true;
}

/*
 * Evaluate the parameters of a run, before any row is known to need them.  If one
 * fails that the workers can compute, they do: the error is theirs then, if a row
 * brings it about.
 */
static void
evaluate_params(CzStream *stream, Datum *prune_value, bool *prune_isnull)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	volatile bool failed = false;

	/* there are no subtransactions in a parallel plan */
	if (stream->plan->lazy_pieces != NIL && (IsInParallelMode() || !run_plans(stream)))
		become_lazy(stream);
	if (stream->plan->lazy_pieces == NIL)
	{
		stream->param_values = CzWireParams(stream, prune_value, prune_isnull);
		return;
	}
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(oldcontext);
	PG_TRY();
	{
		stream->param_values = CzWireParams(stream, prune_value, prune_isnull);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *edata;
		int			category;

		MemoryContextSwitchTo(oldcontext);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;
		category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);
		if (category == ERRCODE_OPERATOR_INTERVENTION ||
			category == ERRCODE_INSUFFICIENT_RESOURCES ||
			category == ERRCODE_SYSTEM_ERROR || category == ERRCODE_INTERNAL_ERROR)
			ReThrowError(edata);
		FreeErrorData(edata);
		failed = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(oldcontext);
	CurrentResourceOwner = oldowner;
	if (failed)
	{
		become_lazy(stream);
		stream->param_values = CzWireParams(stream, prune_value, prune_isnull);
	}
}

/*
 * CzFragmentsResolve
 *		Evaluate parameters and decide the fragments of a run, in run_context.
 */
void
CzFragmentsResolve(CzStream *stream)
{
	const CzFragmentPlan *plan;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	Datum		prune_value = (Datum) 0;
	bool		prune_isnull = true;
	int			i;

	CzWireInit(stream);
	evaluate_params(stream, &prune_value, &prune_isnull);
	plan = stream->plan;
	for (i = 0; i < plan->nparams && stream->fixed_params != NULL; i++)
	{
		if (stream->fixed_params[i] != NULL)
			stream->param_values[i] = stream->fixed_params[i];
	}

	if (!OidIsValid(plan->anchor_relid))
	{
		stream->nfragments = 1;
		stream->total_shards = 1;
		stream->fragments = palloc0(sizeof(Fragment));
		CzFragmentInit(stream, &stream->fragments[0], NULL, 0);
	}
	else
	{
		const CzTable *table = table_of_run(stream, plan->anchor_relid);
		List	   *indexes = NIL;
		ListCell   *lc;

		if (table == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("relation with OID %u is no longer distributed",
							plan->anchor_relid)));
		stream->total_shards = table->nshards;
		stream->anchor = table;
		if (stream->only_shard >= 0)
			indexes = list_make1_int(stream->only_shard);
		else if (plan->prune_param >= 0)
			indexes = shards_by_value(plan, table,
									  exprType((Node *) ((ExprState *)
														 list_nth(stream->param_exprs,
																  plan->prune_param))->expr),
									  prune_value, prune_isnull);
		else if (plan->is_pruned)
			indexes = plan->shard_indexes;
		else
		{
			for (i = 0; i < table->nshards; i++)
				indexes = lappend_int(indexes, i);
		}

		stream->nfragments = list_length(indexes);
		stream->fragments = palloc0(sizeof(Fragment) * Max(stream->nfragments, 1));
		i = 0;
		foreach(lc, indexes)
		{
			int			index = lfirst_int(lc);

			if (index < 0 || index >= table->nshards)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("distributed table \"%s\" has no shard number %d",
								get_rel_name(plan->anchor_relid), index)));
			CzFragmentInit(stream, &stream->fragments[i++], &table->shards[index], index);
		}
	}
	stream->max_fragments = stream->nfragments;
	stream->ndone = 0;
	stream->nruns++;
	MemoryContextSwitchTo(oldcontext);
}

/*
 * CzFragmentStoreRow
 *		Keep one row of a fragment.
 */
void
CzFragmentStoreRow(CzStream *stream, Fragment *fragment, const PGresult *res, int row)
{
	int			natts = stream->tupdesc->natts;
	MemoryContext oldcontext;
	Datum	   *values;
	bool	   *isnull;

	if (fragment->store == NULL)
	{
		int			kb = work_mem / Max(stream->nfragments, 1);

		ResourceOwner oldowner = CurrentResourceOwner;

		/* its file is the statement's, also if a later one makes the rows come */
		oldcontext = MemoryContextSwitchTo(stream->run_context);
		CurrentResourceOwner = stream->owner;
		fragment->store = tuplestore_begin_heap(false, false, Max(kb, MIN_STORE_KB));
		CurrentResourceOwner = oldowner;
		MemoryContextSwitchTo(oldcontext);
	}
	/* not row_context: the consumer may still hold the row that is in there */
	if (stream->store_context == NULL)
		stream->store_context = AllocSetContextCreate(stream->context, "cz_fdw stream store",
													  ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(stream->store_context);
	values = palloc(sizeof(Datum) * Max(natts, 1));
	isnull = palloc(sizeof(bool) * Max(natts, 1));
	CzWireDecode(stream, res, row, fragment, values, isnull);
	tuplestore_putvalues(fragment->store, stream->tupdesc, values, isnull);
	fragment->nstored++;
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(stream->store_context);
}

/*
 * Hand out a row that was kept; false at the end of the store.  Not a copy: nothing
 * is put into the store as long as the consumer has the row.
 */
static bool
fetch_stored(CzStream *stream, Tuplestorestate *store, TupleTableSlot *slot)
{
	int			natts = stream->tupdesc->natts;
	MemoryContext oldcontext;
	bool		found;

	if (stream->store_slot == NULL)
	{
		oldcontext = MemoryContextSwitchTo(stream->context);
		stream->store_slot = MakeSingleTupleTableSlot(stream->tupdesc,
													  &TTSOpsMinimalTuple);
		MemoryContextSwitchTo(oldcontext);
	}
	/* a row read back from disk belongs to the slot until the next one */
	oldcontext = MemoryContextSwitchTo(stream->context);
	found = tuplestore_gettupleslot(store, true, false, stream->store_slot);
	MemoryContextSwitchTo(oldcontext);
	if (!found)
		return false;
	slot_getallattrs(stream->store_slot);
	memcpy(slot->tts_values, stream->store_slot->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, stream->store_slot->tts_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	return true;
}

/*
 * Read a small scan to its end, so that its connections are free for the other scans of
 * the statement.  One that was thought small and is not goes on as others do.
 */
static void
read_small(CzStream *stream)
{
	Bitmapset  *streamed = NULL;
	int64		nrows = 0;
	int			i;

	for (i = 0; i < stream->nfragments; i++)
	{
		if (!stream->fragments[i].is_held)
			streamed = bms_add_member(streamed, i);
		stream->fragments[i].is_held = true;
	}
	while (stream->ndone < stream->nfragments && nrows <= MAX_SMALL_ROWS)
	{
		CzRunPump(stream, NULL, true);
		nrows = 0;
		for (i = 0; i < stream->nfragments; i++)
			nrows += stream->fragments[i].nstored;
	}
	i = -1;
	while ((i = bms_next_member(streamed, i)) >= 0)
	{
		if (stream->fragments[i].state == FRAGMENT_WAITING)
			stream->fragments[i].is_held = false;
	}
	bms_free(streamed);
	CzRunPutBackIdle(stream);
}

/* The next row of this run, in any fragment. */
static bool
next_row(CzStream *stream, TupleTableSlot *slot)
{
	if (!stream->is_started)
	{
		CzRunStart(stream);
		if (stream->plan->is_small && stream->group->nstreams > 1)
			read_small(stream);
	}
	if (stream->plan->sort_columns != NIL && stream->nfragments > 1)
		return CzMergeNext(stream, slot);

	for (;;)
	{
		/* 1. a store that is being read */
		if (stream->reading != NULL)
		{
			if (fetch_stored(stream, stream->reading->store, slot))
			{
				stream->row_fragment = stream->reading;
				/* meanwhile the workers should not wait for us */
				if (++stream->rows_since_poll >= ROWS_BETWEEN_POLLS)
				{
					stream->rows_since_poll = 0;
					if (stream->ndone < stream->nfragments)
						CzRunPump(stream, NULL, false);
				}
				return true;
			}
			if (stream->store_slot)
				ExecClearTuple(stream->store_slot);
			tuplestore_end(stream->reading->store);
			stream->reading->store = NULL;
			stream->reading = NULL;
		}

		/* 2. rows that came straight from a worker */
		if (stream->res != NULL)
		{
			if (stream->res_row < PQntuples(stream->res))
			{
				MemoryContext oldcontext;

				stream->row_fragment = stream->res_fragment;
				MemoryContextReset(stream->row_context);
				oldcontext = MemoryContextSwitchTo(stream->row_context);
				CzWireDecode(stream, stream->res, stream->res_row++, stream->res_fragment,
							 slot->tts_values, slot->tts_isnull);
				MemoryContextSwitchTo(oldcontext);
				ExecStoreVirtualTuple(slot);
				return true;
			}
			PQclear(stream->res);
			stream->res = NULL;
			stream->res_fragment = NULL;
			continue;
		}

		/* 3. a fragment that has completed */
		if (stream->ready != NIL)
		{
			stream->reading = linitial(stream->ready);
			stream->ready = list_delete_first(stream->ready);
			continue;
		}

		if (stream->ndone >= stream->nfragments)
			return false;
		CzRunPump(stream, NULL, true);
	}
}

/*
 * CzStreamNext
 *		See executor.h.
 */
bool
CzStreamNext(CzStream *stream, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	CzMomentCheck(&stream->moment);

	if (stream->is_reading_kept)
	{
		if (fetch_stored(stream, stream->kept, slot))
			return true;
		if (stream->is_kept_complete)
			return false;
		stream->is_reading_kept = false;
	}
	if (!next_row(stream, slot))
	{
		CzRunPutBackIdle(stream);
		stream->is_kept_complete = true;
		return false;
	}
	if (stream->must_keep)
	{
		MemoryContext oldcontext;

		if (stream->kept == NULL)
		{
			oldcontext = MemoryContextSwitchTo(stream->context);
			stream->kept = tuplestore_begin_heap(false, false, work_mem);
			tuplestore_set_eflags(stream->kept, EXEC_FLAG_REWIND);
			MemoryContextSwitchTo(oldcontext);
		}
		tuplestore_putvalues(stream->kept, stream->tupdesc, slot->tts_values,
							 slot->tts_isnull);
	}
	return true;
}

/*
 * CzStreamLockMoves
 *		Keep rows of the anchor's table in their shards until CzStreamLetMoves, or the end
 *		of the run.
 */
void
CzStreamLockMoves(CzStream *stream)
{
	if (stream->moves_owner == NULL)
		stream->moves_owner = CzTxnLockMoves(stream->plan->anchor_relid, false);
}

void
CzStreamLetMoves(CzStream *stream)
{
	if (stream->moves_owner != NULL)
		CzTxnLetMoves(stream->plan->anchor_relid, stream->moves_owner);
	stream->moves_owner = NULL;
}

/* Throw the current run away. */
static void
reset_run(CzStream *stream)
{
	int			i;

	CzRunStop(stream);
	CzStreamLetMoves(stream);
	CzMergeEnd(stream);
	if (stream->estate->es_instrument != 0)
		CzExplainKeepRun(stream);
	PQclear(stream->res);
	stream->res = NULL;
	stream->res_fragment = NULL;
	if (stream->store_slot)
		ExecClearTuple(stream->store_slot);
	for (i = 0; i < stream->nfragments; i++)
	{
		if (stream->fragments[i].store)
			tuplestore_end(stream->fragments[i].store);
	}
	stream->ready = NIL;
	stream->reading = NULL;
	stream->workers = NIL;
	stream->fragments = NULL;
	stream->nfragments = 0;
	stream->ndone = 0;
	stream->param_values = NULL;
	stream->row_values = NULL;
	stream->is_started = stream->has_awaited = false;
	MemoryContextReset(stream->run_context);
}

/*
 * CzStreamRestart
 *		Forget the current run and its rows; the next row begins a new one.
 */
void
CzStreamRestart(CzStream *stream)
{
	if (stream->is_started)
		reset_run(stream);
}

/*
 * CzStreamRescan
 *		See executor.h.
 */
void
CzStreamRescan(CzStream *stream, bool params_changed)
{
	/* parameters of the node's own filter do not reach the workers */
	if (stream->plan->nparams == 0)
		params_changed = false;

	if (!params_changed && stream->must_keep &&
		(stream->kept != NULL || stream->is_kept_complete))
	{
		/* what has come already comes from the store, then the run goes on */
		if (stream->kept != NULL)
		{
			tuplestore_rescan(stream->kept);
			stream->is_reading_kept = true;
		}
		return;
	}
	if (!stream->is_started)
		return;

	reset_run(stream);
	if (stream->kept)
		tuplestore_end(stream->kept);
	stream->kept = NULL;
	stream->is_kept_complete = false;
	stream->is_reading_kept = false;
	/* the same rows wanted twice (a correlated sub-plan's): a third time is likely */
	if (!params_changed)
		stream->must_keep = true;
}

/*
 * CzStreamEnd
 *		See executor.h.
 */
void
CzStreamEnd(CzStream *stream)
{
	CzMomentLeave(&stream->moment);
	reset_run(stream);
	CzShipEnd(stream);
	close_relations(stream);
	if (stream->kept)
		tuplestore_end(stream->kept);
	stream->kept = NULL;
	if (stream->store_slot)
		ExecDropSingleTupleTableSlot(stream->store_slot);
	stream->store_slot = NULL;
	CzGroupLeave(stream);
	stream->group = NULL;
}
