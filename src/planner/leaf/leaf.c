/*-------------------------------------------------------------------------
 *
 * leaf.c
 *	  Fragments as leaves of an ordinary plan.
 *
 * A leaf stands in the Query as RTE_FUNCTION of cz.fragment(n): a range-table
 * entry that core plans around without knowing more.  When its paths are made,
 * set_rel_pathlist_hook replaces them by one CustomPath; by then core has worked
 * out which columns are needed and which qualifiers belong to this relation
 * alone, outer joins and security barriers considered, and those that are
 * shippable go into the fragment.
 *
 * (Keeping the parent as RTE_RELATION would expand and lock every shard or make
 * it a dummy; a CustomScan with a scanrelid must open a relation.)
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"
#include "cz/planner.h"

#include "../planner_int.h"

/* Cost of starting a fragment and of one row from the network, in units of
 * seq_page_cost; like the defaults of postgres_fdw, a local connection assumed. */
#define CZ_STARTUP_COST 25.0
#define CZ_TUPLE_COST 0.02

/* What is read to its end at once, lest it keep connections from others. */
#define CZ_SMALL_ROWS 1000.0
#define CZ_SMALL_COST 2500.0

/* What the path hands to the plan. */
typedef struct LeafPath
{
	CzLeaf	   *leaf;
	List	   *pushed;			/* RestrictInfos that the workers evaluate */
	bool		takes_exec_params;	/* they use values of other parts of the plan */
	List	   *order;			/* CzOrderKeys: the fragments sort; or NIL */
} LeafPath;

/* ---- the fragment's query ------------------------------------------------ */

typedef struct MapContext
{
	Index		rti;
	int			natts;
	List	   *system_columns;
} MapContext;

/* Vars of the leaf become Vars of its source, which is range-table entry 1. */
static Node *
map_mutator(Node *node, MapContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == context->rti &&
		((Var *) node)->varlevelsup == 0)
	{
		Var		   *var = copyObject((Var *) node);

		var->varno = 1;
		if (context->system_columns != NIL && var->varattno > context->natts)
			var->varattno = list_nth_int(context->system_columns,
										 var->varattno - context->natts - 1);
		var_forget_syntax_compat(var);
		return (Node *) var;
	}
	return expression_tree_mutator(node, map_mutator, (void *) context);
}

/*
 * fragment_query
 *		SELECT vars FROM source WHERE quals, as a Query.
 *
 * vars: Vars of rti, or Consts.
 */
static Query *
fragment_query(CzLeaf *leaf, Index rti, List *vars, List *quals)
{
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	RangeTblEntry *source = copyObject(leaf->source);
	MapContext	context;
	const CzTable *table = NULL;
	List	   *conditions = NIL;
	ListCell   *lc;
	int			resno = 0;

	context.rti = rti;
	context.natts = 0;
	context.system_columns = leaf->system_columns;
	if (source->rtekind == RTE_RELATION)
	{
		table = CzTableGet(source->relid);
		context.natts = table->natts;
		source->inh = true;
		source->securityQuals = NIL;
	}

	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(source);
	ref->rtindex = 1;
	foreach(lc, quals)
	{
		RestrictInfo *ri = lfirst_node(RestrictInfo, lc);

		conditions = lappend(conditions, map_mutator((Node *) ri->clause, &context));
	}
	query->jointree = makeFromExpr(list_make1(ref), conditions == NIL ? NULL :
								   (Node *) make_ands_explicit(conditions));
	foreach(lc, vars)
	{
		Node	   *expr = map_mutator(lfirst(lc), &context);
		Var		   *var = (Var *) expr;

		/* a dropped column, as part of a whole row */
		if (table != NULL && IsA(var, Var) && var->varattno > 0 &&
			var->varattno <= table->natts && table->column_names[var->varattno - 1] == NULL)
			expr = (Node *) makeNullConst(INT4OID, -1, InvalidOid);
		resno++;
		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) expr, resno,
													psprintf("c%d", resno), false));
	}
	query->hasSubLinks = false;
	if (leaf->row_mark)
	{
		RowMarkClause *mark = copyObject(leaf->row_mark);

		mark->rti = 1;
		mark->pushedDown = false;
		query->rowMarks = list_make1(mark);
		query->hasForUpdate = true;
	}
	carry_permissions_compat(query, leaf->source);
	return query;
}

/* Can the leaf's own query be sent as it stands? */
static bool
takes_all_columns(CzLeaf *leaf, List *vars, List *quals)
{
	ListCell   *lc;
	int			n = 0;
	int			ncols = 0;

	if (leaf->source->rtekind != RTE_SUBQUERY || quals != NIL)
		return false;
	foreach(lc, leaf->source->subquery->targetList)
	{
		if (!((TargetEntry *) lfirst(lc))->resjunk)
			ncols++;
	}
	if (ncols != list_length(vars))
		return false;
	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);

		if (!IsA(var, Var) || var->varattno != ++n)
			return false;
	}
	return true;
}

/* Add ORDER BY to what fragment_query has made. */
static void
order_fragment(Query *query, CzLeaf *leaf, Index rti, List *order)
{
	MapContext	context;
	List	   *exprs = NIL;
	ListCell   *lc;

	context.rti = rti;
	context.natts = leaf->source->rtekind == RTE_RELATION ?
		CzTableGet(leaf->source->relid)->natts : 0;
	context.system_columns = leaf->system_columns;
	foreach(lc, order)
		exprs = lappend(exprs, map_mutator((Node *) ((CzOrderKey *) lfirst(lc))->expr,
										   &context));
	cz_add_order(query, order, exprs);
}

/* How often a fragment reads tables that have shards. */
static int
sharded_tables(const CzFragmentPlan *plan)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, plan->relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && table->kind != CZ_TABLE_REFERENCE)
			n++;
	}
	return n;
}

static CzFragmentPlan *
plan_leaf(CzLeaf *leaf, Index rti, List *vars, List *quals, List *order, List **params)
{
	Query	   *query;
	CzFragmentPlan *plan;
	CzLocus		locus = leaf->locus;

	if (OidIsValid(leaf->target_shard) || leaf->lock != NULL ||
		(takes_all_columns(leaf, vars, quals) &&
		 (order == NIL || cz_query_has_order(leaf->source->subquery, order) ||
		  cz_query_takes_order(leaf->source->subquery, order))))
	{
		query = copyObject(leaf->source->subquery);
		if (order != NIL && query->sortClause == NIL)
			cz_add_order(query, order, NIL);
	}
	else
	{
		query = fragment_query(leaf, rti, vars, quals);
		if (order != NIL)
			order_fragment(query, leaf, rti, order);
	}
	if (leaf->source->rtekind == RTE_RELATION ||
		(quals != NIL && locus.kind == CZ_LOCUS_SHARDED && !locus.is_single))
	{
		/* the qualifiers may leave fewer shards */
		locus = cz_from_locus(query, cz_plan_state);
		if (locus.kind != CZ_LOCUS_SHARDED || locus.outer_keys != NIL)
			locus = leaf->locus;
	}
	plan = cz_deparse(query, cz_plan_state, leaf->target_shard, params);
	if (leaf->source->rtekind == RTE_RELATION)
		plan->check_as_user = leaf->check_as_user;
	plan->strategy = leaf->strategy;
	plan->checks = leaf->checks;
	plan->replica_keys = leaf->replica_keys;
	plan->replica_sets = leaf->replica_sets;
	plan->finds_one_row = leaf->finds_one_row;
	plan->replica_upserts = leaf->replica_upserts;
	plan->is_uncounted = leaf->is_uncounted;
	plan->insert_attnos = leaf->insert_attnos;
	plan->conflict_checks = leaf->conflict_checks;
	plan->insert_checks = leaf->insert_checks;
	plan->insert_is_quiet = leaf->insert_is_quiet;
	plan->function_oids = list_concat_unique_oid(plan->function_oids, leaf->functions);
	plan->reason = leaf->reason ? pstrdup(leaf->reason) : NULL;
	/* a worker's planner knows nothing of the columns of a UNION ALL: joins of two go wrong */
	if (plan->merge == CZ_MERGE_MAY && leaf->wants_merge && sharded_tables(plan) == 1)
		plan->merge = CZ_MERGE_WANTED;
	cz_fragment_set_locus(plan, &locus, params);
	/* what locks rows counts its parameters, and a row is computed once */
	if (leaf->lock != NULL || leaf->insert_attnos != NIL)
		plan->lazy_pieces = NIL;
	else
		*params = list_concat(*params, plan->lazy_params);
	if (order != NIL)
		cz_fragment_set_order(plan, order, vars, leaf->rows);
	return plan;
}

/* ---- qualifiers ---------------------------------------------------------- */

/* May a qualifier be part of the fragment, as of ctids? */
static bool
ctids_are_sendable(RelOptInfo *rel, CzLeaf *leaf, RestrictInfo *ri)
{
	Query	   *query;

	if (leaf == NULL || !cz_plan_state->has_row_ids)
		return true;
	query = fragment_query(leaf, rel->relid, list_make1(cz_int_const(1)), list_make1(ri));
	return cz_ctids_are_sendable(query, NULL);
}

/*
 * Split a relation's qualifiers into those for the workers and the rest.
 *
 * leaf: NULL: a foreign table that core scans.
 */
static void
split_quals(RelOptInfo *rel, CzLeaf *leaf, List *quals, List **remote, List **local)
{
	ListCell   *lc;

	*remote = NIL;
	*local = NIL;
	foreach(lc, quals)
	{
		RestrictInfo *ri = lfirst_node(RestrictInfo, lc);

		/*
		 * A qualifier behind a security barrier may see rows that the barrier
		 * hides only if it cannot tell anyone.
		 */
		if (!ri->pseudoconstant && bms_is_subset(ri->clause_relids, rel->relids) &&
			(ri->security_level <= rel->baserestrict_min_security || ri->leakproof) &&
			cz_expr_is_shippable((Node *) ri->clause, NULL) &&
			ctids_are_sendable(rel, leaf, ri))
			*remote = lappend(*remote, ri);
		else
			*local = lappend(*local, ri);
	}
}

/* The columns of a leaf that the rest of the plan needs, as Vars in order. */
static List *
needed_vars(PlannerInfo *root, RelOptInfo *rel, PathTarget *target, Index rti,
			List *local_quals, List *order)
{
	Bitmapset  *attrs = NULL;
	List	   *vars = NIL;
	RangeTblEntry *rte = planner_rt_fetch(rti, root);
	RangeTblFunction *func = linitial(rte->functions);
	ListCell   *lc;
	int			x = -1;

	/* the path's target is older than the relation's if a projection was put on top */
	pull_varattnos((Node *) rel->reltarget->exprs, rti, &attrs);
	pull_varattnos((Node *) target->exprs, rti, &attrs);
	foreach(lc, local_quals)
		pull_varattnos((Node *) ((RestrictInfo *) lfirst(lc))->clause, rti, &attrs);
	foreach(lc, order)
		pull_varattnos((Node *) ((CzOrderKey *) lfirst(lc))->expr, rti, &attrs);
	while ((x = bms_next_member(attrs, x)) >= 0)
	{
		AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;

		if (attno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("this use of a whole row of a distributed table is not supported")));
		vars = lappend(vars,
					   makeVar(rti, attno, list_nth_oid(func->funccoltypes, attno - 1),
							   list_nth_int(func->funccoltypmods, attno - 1),
							   list_nth_oid(func->funccolcollations, attno - 1), 0));
	}
	return vars;
}

/* All columns of a leaf. */
static List *
all_vars(PlannerInfo *root, Index rti)
{
	RangeTblFunction *func = linitial(planner_rt_fetch(rti, root)->functions);
	List	   *vars = NIL;
	int			i;

	for (i = 0; i < func->funccolcount; i++)
		vars = lappend(vars, makeVar(rti, i + 1, list_nth_oid(func->funccoltypes, i),
									 list_nth_int(func->funccoltypmods, i),
									 list_nth_oid(func->funccolcollations, i), 0));
	return vars;
}

/* ---- paths and plans ----------------------------------------------------- */

/*
 * cz_plan_id_of_cte
 *		The sub-plan of our CTE of a name, which computes a shipment or a write's rows.
 */
int
cz_plan_id_of_cte(PlannerInfo *root, const char *name)
{
	for (; root != NULL; root = root->parent_root)
	{
		ListCell   *lc;
		ListCell   *lp;

		forboth(lc, root->parse->cteList, lp, root->cte_plan_ids)
		{
			CommonTableExpr *cte = lfirst(lc);

			if (cte->location == CZ_CTE_LOCATION && strcmp(cte->ctename, name) == 0)
				return lfirst_int(lp);
		}
	}
	elog(ERROR, "no plan for CTE \"%s\"", name);
	return 0;
}

/* Does a leaf give less than all that its fragments could? */
static bool
is_limited(CzLeaf *leaf)
{
	return leaf->lock != NULL || leaf->row_mark != NULL ||
		(leaf->source->rtekind == RTE_SUBQUERY &&
		 (leaf->source->subquery->limitCount != NULL ||
		  leaf->source->subquery->limitOffset != NULL ||
		  leaf->source->subquery->rowMarks != NIL));
}

static Plan *
plan_leaf_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist,
			   List *clauses, List *custom_plans)
{
	LeafPath   *path = linitial(best_path->custom_private);
	CustomScan *scan = makeNode(CustomScan);
	CzFragmentPlan *plan;
	List	   *local = NIL;
	List	   *vars;
	List	   *params;
	ListCell   *lc;
	int			resno = 0;

	foreach(lc, clauses)
	{
		if (!list_member_ptr(path->pushed, lfirst(lc)))
			local = lappend(local, lfirst(lc));
	}
	if (OidIsValid(path->leaf->target_shard) || path->leaf->lock != NULL)
		vars = all_vars(root, rel->relid);
	else
		vars = needed_vars(root, rel, best_path->path.pathtarget, rel->relid, local,
						   path->order);
	if (vars == NIL && !OidIsValid(path->leaf->target_shard))			/* count(*) over this leaf: any column will do */
		vars = list_make1(cz_int_const(1));
	cz_plan_state->takes_exec_params = path->takes_exec_params;
	if (path->leaf->insert != NULL)
	{
		plan = path->leaf->insert;
		params = cz_leaf_values(planner_rt_fetch(rel->relid, root));
	}
	else
		plan = plan_leaf(path->leaf, rel->relid, vars, path->pushed, path->order, &params);
	if (path->leaf->lock != NULL)
		cz_plan_lock_leaf(plan, path->leaf, &params);
	cz_plan_state->takes_exec_params = false;
	plan->takes_duplicates = path->leaf->takes_duplicates && plan->sort_columns == NIL;
	plan->cost = best_path->path.total_cost;
	plan->is_small = plan->command == CMD_SELECT && !is_limited(path->leaf) &&
		best_path->path.rows <= CZ_SMALL_ROWS && plan->cost <= CZ_SMALL_COST;
	foreach(lc, plan->shipments)
	{
		CzShipment *shipment = lfirst(lc);
		CzShip	   *ship = list_nth(cz_plan_state->ships, shipment->plan_id);

		shipment->plan_id = cz_plan_id_of_cte(root, ship->cte_name);
	}

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(local, false);
	scan->scan.scanrelid = 0;
	scan->flags = best_path->flags;
	foreach(lc, vars)
	{
		resno++;
		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry(copyObject(lfirst(lc)), resno,
														  NULL, false));
	}
	params = cz_planned_values(params, planner_rt_fetch(rel->relid, root));
	foreach(lc, params)
		lfirst(lc) = eval_const_expressions(root, lfirst(lc));
	scan->custom_exprs = params;
	scan->custom_private = CzFragmentPlanToList(plan);
	scan->custom_relids = bms_copy(rel->relids);
	scan->methods = &cz_fragment_scan_methods;
	return (Plan *) scan;
}

static const CustomPathMethods leaf_path_methods = {
	.CustomName = "CzFragmentScan",
	.PlanCustomPath = plan_leaf_path
};

/*
 * A value of an outer row, or of a sub-query that has run before, is worth sending
 * where it leaves one shard.  Where it does not, one fetch of the rows for all
 * values is the better choice.
 */
static void
push_exec_params(RelOptInfo *rel, Index rti, LeafPath *info)
{
	CzLeaf	   *leaf = info->leaf;
	List	   *remote;
	List	   *local;

	if (leaf->source->rtekind != RTE_RELATION || !cz_plan_state->is_read_only ||
		leaf->locus.kind != CZ_LOCUS_SHARDED || leaf->locus.is_single)
		return;
	cz_plan_state->takes_exec_params = true;
	split_quals(rel, leaf, rel->baserestrictinfo, &remote, &local);
	if (list_length(remote) > list_length(info->pushed))
	{
		List	   *one = list_make1(cz_int_const(1));
		CzLocus		before = cz_from_locus(fragment_query(leaf, rti, one, info->pushed),
										   cz_plan_state);
		CzLocus		after = cz_from_locus(fragment_query(leaf, rti, one, remote),
										  cz_plan_state);

		if (!before.is_single && after.kind == CZ_LOCUS_SHARDED && after.is_single)
		{
			info->pushed = remote;
			info->takes_exec_params = true;
		}
	}
	cz_plan_state->takes_exec_params = false;
}

/* What the workers do for a leaf's rows, as if it were done here. */
static Cost
leaf_cost(PlannerInfo *root, RelOptInfo *rel, CzLeaf *leaf, List *quals)
{
	QualCost	qual_cost;
	double		tuples = rel->tuples;
	Cost		cost = leaf->cost;

	cost_qual_eval(&qual_cost, quals, root);
	if (leaf->source->rtekind == RTE_RELATION)
		cost += cz_table_pages(leaf->source->relid) * seq_page_cost + tuples * cpu_tuple_cost;
	return cost + qual_cost.startup + tuples * qual_cost.per_tuple;
}

/*
 * cz_set_rel_pathlist
 *		Give a leaf its paths: one, or two where sorted rows are wanted.
 */
void
cz_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	CzLeaf	   *leaf = cz_leaf_of_rte(rte);
	CustomPath *path;
	LeafPath   *info;
	List	   *local;

	if (leaf == NULL)
		return;
	if (leaf->write != NULL)
	{
		cz_set_write_pathlist(rel, leaf);
		return;
	}

	info = palloc0(sizeof(LeafPath));
	info->leaf = leaf;
	split_quals(rel, leaf, rel->baserestrictinfo, &info->pushed, &local);
	if (local != NIL)
		push_exec_params(rel, rti, info);
	/* a leaf that limits or locks must not be filtered before it does */
	if (leaf->source->rtekind == RTE_SUBQUERY && is_limited(leaf))
		info->pushed = NIL;

	/* rel->tuples and rel->rows are core's, see cz_fragment_support */
	cz_set_leaf_width(rel, leaf);
	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	path->path.parallel_safe = false;
	path->path.rows = rel->rows;
	path->path.startup_cost = CZ_STARTUP_COST;
	path->path.total_cost = CZ_STARTUP_COST + leaf_cost(root, rel, leaf, info->pushed) +
		rel->rows * (CZ_TUPLE_COST + cpu_tuple_cost);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make1(info);
	path->methods = &leaf_path_methods;

	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->consider_parallel = false;
	add_path(rel, (Path *) path);

	info = memcpy(palloc(sizeof(LeafPath)), info, sizeof(LeafPath));
	info->order = cz_leaf_order(root, rel, leaf);
	if (info->order != NIL)
	{
		Cost		cost = cz_order_cost(rel, leaf, info->order);
		CustomPath *sorted = makeNode(CustomPath);

		memcpy(sorted, path, sizeof(CustomPath));
		sorted->path.pathkeys = root->query_pathkeys;
		sorted->path.startup_cost += cost;
		sorted->path.total_cost += cost;
		sorted->custom_private = list_make1(info);
		add_path(rel, (Path *) sorted);
	}
}

/*
 * CzPlanRelScan
 *		See planner.h.
 */
CzFragmentPlan *
CzPlanRelScan(PlannerInfo *root, RelOptInfo *rel, Oid relid, List *attnos, List *quals,
			  bool lock_rows, List **local_quals, List **params)
{
	CzPlanState state;
	CzPlanState *save = cz_plan_state;
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	CzFragmentPlan *plan;
	List	   *remote;
	List	   *vars = NIL;
	ListCell   *lc;

	memset(&state, 0, sizeof(state));
	state.bound_params = root->glob->boundParams;
	state.outer = save;
	leaf->source = copyObject(planner_rt_fetch(rel->relid, root));
	leaf->source->relid = relid;
	leaf->locus = cz_table_locus(relid);
	leaf->check_as_user =
		rte_check_as_user_compat(root->parse, planner_rt_fetch(rel->relid, root));
	leaf->strategy = CZ_STRATEGY_PULL;
	if (lock_rows)
	{
		leaf->row_mark = makeNode(RowMarkClause);
		leaf->row_mark->rti = 1;
		leaf->row_mark->strength = LCS_FORUPDATE;
		leaf->row_mark->waitPolicy = LockWaitBlock;
	}
	split_quals(rel, NULL, quals, &remote, local_quals);
	foreach(lc, attnos)
	{
		AttrNumber	attno = lfirst_int(lc);
		Oid			type;
		int32		typmod;
		Oid			collation;

		if (attno < 0)
		{
			type = attno == SelfItemPointerAttributeNumber ? TIDOID :
				attno == TableOidAttributeNumber ? OIDOID :
				attno == MinCommandIdAttributeNumber ||
				attno == MaxCommandIdAttributeNumber ? CIDOID : XIDOID;
			typmod = -1;
			collation = InvalidOid;
		}
		else
			get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
		vars = lappend(vars, makeVar(rel->relid, attno, type, typmod, collation, 0));
	}
	if (vars == NIL)
		vars = list_make1(cz_int_const(1));

	cz_plan_state = &state;
	PG_TRY();
	{
		plan = plan_leaf(leaf, rel->relid, vars, remote, NIL, params);
	}
	PG_FINALLY();
	{
		cz_plan_state = save;
	}
	PG_END_TRY();
	return plan;
}
