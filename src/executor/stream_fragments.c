/*-------------------------------------------------------------------------
 *
 * stream_fragments.c
 *	  The fragments of a run: the values of its parameters, the shards that they leave, and
 *	  the placements that each may be read from.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/nodeSubplan.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"

#include "cz/compat.h"
#include "cz/rowid.h"
#include "cz/transaction.h"
#include "executor_int.h"

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

	CzAttachedUse(stream->plan->relids);
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
