/*-------------------------------------------------------------------------
 *
 * hook.c
 *	  The planner hooks, and what a finished plan must know of relations that
 *	  were taken out of its query.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/planner.h"

#include "planner_int.h"

CzPlanState *cz_plan_state = NULL;
bool		cz_plan_is_shown = false;

static planner_hook_type prev_planner_hook = NULL;
static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

/*
 * cz_call_planner
 *		Call the previous planner_hook, or the standard planner.  The query gets back what
 *		was taken from it in plan_inlined().
 */
PlannedStmt *
cz_call_planner(Query *query, const char *query_string, int cursor_options,
				ParamListInfo bound_params)
{
	if (cz_plan_state != NULL)
		cz_restore_group_entries(query);
	if (prev_planner_hook)
		return prev_planner_hook(query, query_string, cursor_options, bound_params);
	return standard_planner(query, query_string, cursor_options, bound_params);
}

/*
 * Relations that became leaves get their places in the plan's range table: there
 * the executor checks privileges, the plan cache takes its locks, and invalidation
 * finds them.
 */
static void
add_relations(PlannedStmt *stmt, CzPlanState *state)
{
	ListCell   *lr;
	ListCell   *lp;

	forboth(lr, state->relation_rtes, lp, state->relation_perms)
	{
		RangeTblEntry *rte = lfirst(lr);

		plan_add_rte_compat(stmt, rte, lfirst(lp));
		stmt->relationOids = list_append_unique_oid(stmt->relationOids, rte->relid);
	}
}

/*
 * A cursor declared without a word about scrolling scrolls if its plan can do it
 * for free.  Ours never can, so do it at a cost where core's plan could: users
 * have come to rely on it.
 */
static bool
scrolls_elsewhere(Query *query, int cursor_options)
{
	ListCell   *lc;

	if (!(cursor_options & CURSOR_OPT_FAST_PLAN) ||
		(cursor_options & (CURSOR_OPT_SCROLL | CURSOR_OPT_NO_SCROLL)) ||
		query->commandType != CMD_SELECT || query->rowMarks != NIL ||
		query->hasTargetSRFs || query->hasModifyingCTE)
		return false;
	if (query->sortClause != NIL)
		return true;
	if (query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
		query->havingQual != NULL || query->hasWindowFuncs ||
		query->distinctClause != NIL || query->setOperations != NULL ||
		list_length(query->jointree->fromlist) != 1)
		return false;
	foreach(lc, query->jointree->fromlist)
	{
		RangeTblRef *ref = lfirst(lc);

		if (!IsA(ref, RangeTblRef) ||
			rt_fetch(ref->rtindex, query->rtable)->rtekind != RTE_RELATION)
			return false;
	}
	return true;
}

/*
 * Is it core's own look for rows that a foreign key which it makes again, while both its
 * ends are altered, does not allow?  They have none here: the workers look at theirs.  (Of an
 * ordinary table that refers to one in its moment they are looked at afterwards.)
 */
static bool
is_key_check(const Query *query, const char *query_string)
{
	const RangeTblEntry *from;
	const RangeTblEntry *to;

	if (query->commandType != CMD_SELECT || query_string == NULL ||
		strncmp(query_string, "SELECT fk.", 10) != 0 || list_length(query->rtable) != 3)
		return false;
	from = linitial(query->rtable);
	to = lsecond(query->rtable);
	return from->rtekind == RTE_RELATION && !from->inh &&
		strcmp(from->eref->aliasname, "fk") == 0 &&
		(list_member_oid(cz_moment_relids, from->relid) ||
		 list_member_oid(cz_moment_relids, to->relid)) &&
		to->rtekind == RTE_RELATION && !to->inh && strcmp(to->eref->aliasname, "pk") == 0;
}

/* Tables that are altered this very moment are not there for anybody. */
static bool
check_moments_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_RELATION)
			CzCheckMoment(((RangeTblEntry *) node)->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, check_moments_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, check_moments_walker, context);
}

/* Plan a statement whose functions have been inlined. */
static PlannedStmt *
plan_inlined(Query *query, const char *query_string, int cursor_options,
			 ParamListInfo bound_params, PlannerGlobal *glob)
{
	CzPlanState state;
	CzPlanState *save = cz_plan_state;
	PlannedStmt *stmt = NULL;
	int			ncursor_rows;

	if (!cz_query_uses_workers(query))
		return cz_call_planner(query, query_string, cursor_options, bound_params);

	if (query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE)
		cz_inline_calls(query, glob);
	cz_remove_group_entries(query);
	cz_settle_returning(query);
	cz_prepare_roots(query);
	/* the conditions of a MERGE are not those of all its rows */
	if (query->commandType != CMD_MERGE)
		cz_reduce_full_joins(query);
	if (query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE)
		cz_replace_current_of(query);
	ncursor_rows = cz_take_cursor_rows(query, cursor_options);
	memset(&state, 0, sizeof(state));
	state.bound_params = bound_params;
	cz_settle_unread(query, &state);
	state.has_row_ids = cz_mentions_row_ids(query);
	state.is_select = query->commandType == CMD_SELECT && !query->hasModifyingCTE;
	state.is_read_only = state.is_select &&
		!contain_volatile_functions((Node *) query);
	state.kept_here = cz_find_kept_here(query, &state);
	state.upserted_again = cz_find_upserted_again(query);
	state.outer = save;
	cz_plan_state = &state;
	PG_TRY();
	{
		if (query->commandType == CMD_SELECT)
		{
			int			options = cursor_options;

			if (scrolls_elsewhere(query, options))
				options |= CURSOR_OPT_SCROLL;
			cz_rewrite_query(query, &state, true);
			stmt = cz_call_planner(ncursor_rows > 0 ?
								   cz_hide_cursor_rows(query, ncursor_rows) : query,
								   query_string, options, bound_params);
		}
		else
			stmt = cz_plan_modify(query, query_string, cursor_options, &state);
		add_relations(stmt, &state);
		cz_show_targets(stmt);
		stmt->dependsOnRole |= state.depends_on_role || glob->dependsOnRole;
		stmt->invalItems = list_concat(stmt->invalItems, glob->invalItems);
		if (state.estimate_context)
			MemoryContextDelete(state.estimate_context);
	}
	PG_FINALLY();
	{
		cz_plan_state = save;
	}
	PG_END_TRY();
	return stmt;
}

/*
 * cz_plan_anew
 *		Plan a statement in a database that has the extension.
 */
PlannedStmt *
cz_plan_anew(Query *query, const char *query_string, int cursor_options,
			 ParamListInfo bound_params)
{
	PlannerGlobal *glob = makeNode(PlannerGlobal);
	List	   *kept = cz_inline_functions(query, bound_params, glob);
	List	   *before = cz_keep_functions(kept);
	PlannedStmt *stmt = NULL;

	/* planning may run functions, whose statements are planned as others are */
	if (kept == NIL && before == NIL)
		return plan_inlined(query, query_string, cursor_options, bound_params, glob);
	PG_TRY();
	{
		stmt = plan_inlined(query, query_string, cursor_options, bound_params, glob);
	}
	PG_FINALLY();
	{
		(void) cz_keep_functions(before);
	}
	PG_END_TRY();
	return stmt;
}

static PlannedStmt *
cz_planner(Query *query, const char *query_string, int cursor_options,
		   ParamListInfo bound_params)
{
	PlannedStmt *stmt;

	if (query->commandType == CMD_UTILITY || !OidIsValid(CzFdwOid()))
		return cz_call_planner(query, query_string, cursor_options, bound_params);
	if (cz_moment_relids != NIL && is_key_check(query, query_string))
	{
		/* rows that refer may be there, what they refer to is not */
		query->jointree->quals = makeBoolConst(false, false);
		return cz_call_planner(query, query_string, cursor_options, bound_params);
	}
	if (cz_moment_relids != NIL)
		(void) check_moments_walker((Node *) query, NULL);
	stmt = cz_shared_plan(query, query_string, cursor_options, bound_params);
	if (stmt != NULL)
		return stmt;
	return cz_plan_anew(query, query_string, cursor_options, bound_params);
}

/*
 * To core a distributed partitioned table, and a partition of one, is a partitioned table
 * without partitions, which has no rows: it must never come to plan one.
 */
static void
check_is_leaf(RangeTblEntry *rte)
{
	const CzTable *table;

	if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	table = CzTableGet(rte->relid);
	if (table != NULL && OidIsValid(table->map_relid))
		elog(ERROR, "distributed partitioned table \"%s\" was left to the standard planner",
			 get_rel_name(rte->relid));
}

static void
cz_pathlist_hook(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	check_is_leaf(rte);
	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);
	cz_set_rel_pathlist(root, rel, rti, rte);
}

/*
 * CzPlannerInit
 *		Install the hooks.
 */
void
CzPlannerInit(void)
{
	prev_planner_hook = planner_hook;
	planner_hook = cz_planner;
	prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = cz_pathlist_hook;
	cz_estimate_init();
	cz_inline_init();
	cz_shape_init();
}
