/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  What core's planner may know of fragments: statistics of their columns, and how
 *	  many rows a query over distributed tables returns.
 *
 * Statistics: those that statistics.c finds are handed to core by its hooks.
 *
 * Rows: a copy of the query is planned by core with each distributed table as if it
 * were a plain one of this server (its entry says so for the time of the estimate),
 * with the parent's statistics and without looking for the best join order: the number
 * of rows hardly depends on it.  Only paths are made, nothing is ever run.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/geqo.h"
#include "optimizer/joininfo.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "partitioning/partdesc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* The share of rows that a sample takes if its argument is not known yet. */
#define CZ_DEFAULT_SAMPLE 0.1

static get_relation_stats_hook_type prev_get_relation_stats_hook = NULL;
static get_relation_info_hook_type prev_get_relation_info_hook = NULL;
static get_attavgwidth_hook_type prev_get_attavgwidth_hook = NULL;
static join_search_hook_type prev_join_search_hook = NULL;

/*
 * The estimate that is being made, if one is.  A function that core evaluates for it
 * may plan queries of its own, which are none.
 */
static PlannerGlobal *estimate_glob = NULL;

static bool
is_estimating(PlannerInfo *root)
{
	return estimate_glob != NULL && root->glob == estimate_glob;
}

/* ---- tables -------------------------------------------------------------- */

/*
 * cz_relation_rows
 *		Rows of a table.
 */
double
cz_relation_rows(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		rows = CZ_DEFAULT_ROWS;

	if (HeapTupleIsValid(tup))
	{
		float4		tuples = ((Form_pg_class) GETSTRUCT(tup))->reltuples;

		/* -1: never analyzed, also where it was distributed empty */
		if (tuples >= 0)
			rows = tuples;
		ReleaseSysCache(tup);
	}
	return rows < 1 ? 1 : rows;
}

/*
 * cz_sample_fraction
 *		The share of a table's rows that its TABLESAMPLE clause takes.
 */
double
cz_sample_fraction(TableSampleClause *sample)
{
	Node	   *arg;

	if (sample == NULL)
		return 1;
	arg = sample->args == NIL ? NULL : linitial(sample->args);
	if (arg == NULL || !IsA(arg, Const) || ((Const *) arg)->constisnull ||
		((Const *) arg)->consttype != FLOAT4OID)
		return CZ_DEFAULT_SAMPLE;
	return Min(Max(DatumGetFloat4(((Const *) arg)->constvalue) / 100.0, 0), 1);
}

/* ---- hooks --------------------------------------------------------------- */

/* A distributed table in an estimate, see disguise_walker. */
static bool
is_disguised(PlannerInfo *root, RangeTblEntry *rte)
{
	return is_estimating(root) && rte->rtekind == RTE_RELATION && !rte->inh &&
		rte->relkind == RELKIND_RELATION &&
		get_rel_relkind(rte->relid) == RELKIND_PARTITIONED_TABLE;
}

static bool
cz_relation_stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno,
				  VariableStatData *vardata)
{
	CzLeaf	   *leaf;

	if (prev_get_relation_stats_hook &&
		prev_get_relation_stats_hook(root, rte, attno, vardata))
		return true;
	if (rte->rtekind == RTE_FUNCTION && (leaf = cz_leaf_of_rte(rte)) != NULL)
	{
		CzColumnSource source = cz_leaf_column_source(leaf, attno);

		source.is_hidden |= rte->securityQuals != NIL;
		cz_column_statistics(&source, vardata);
		if (leaf->source->rtekind == RTE_RELATION && OidIsValid(source.relid))
			vardata->isunique |= cz_is_unique_column(source.relid, attno);
		return true;
	}
	if (is_disguised(root, rte))
	{
		CzColumnSource source = {0};

		if (attno > 0)
		{
			source.relid = rte->relid;
			source.attno = attno;
			source.user_oid = rte_check_as_user_compat(root->parse, rte);
			source.is_hidden = rte->securityQuals != NIL;
			cz_column_statistics(&source, vardata);
			vardata->isunique |= cz_is_unique_column(rte->relid, attno);
		}
		return true;
	}
	return false;
}

static void
cz_relation_info(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	if (prev_get_relation_info_hook)
		prev_get_relation_info_hook(root, relid, inhparent, rel);
	if (is_estimating(root) && !inhparent && rel->rtekind == RTE_RELATION &&
		(get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ||
		 get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE))
	{
		rel->tuples = cz_relation_rows(relid);
		rel->pages = Min(cz_table_pages(relid), MaxBlockNumber);
		/* a partitioned index, which core lists from 16 on, has no paths */
		rel->indexlist = NIL;
		/* no joins or groups of a foreign server's */
		rel->fdwroutine = NULL;
		rel->serverid = InvalidOid;
	}
}

static int32
cz_attavgwidth(Oid relid, AttrNumber attno)
{
	int32		width = prev_get_attavgwidth_hook ? prev_get_attavgwidth_hook(relid, attno) : 0;

	if (width > 0 || estimate_glob == NULL ||
		get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return width;
	return cz_column_width(relid, attno);
}

/*
 * The rows of a join are what counts in an estimate, not the best way to it: join
 * whatever can be joined, pair by pair.
 */
static RelOptInfo *
join_somehow(PlannerInfo *root, List *initial_rels)
{
	List	   *clumps = list_copy(initial_rels);

	while (list_length(clumps) > 1)
	{
		RelOptInfo *joined = NULL;
		int			pass;

		/* with a condition if there is one */
		for (pass = 0; pass < 2 && joined == NULL; pass++)
		{
			ListCell   *la;
			ListCell   *lb;

			foreach(la, clumps)
			{
				RelOptInfo *a = lfirst(la);

				for_each_cell(lb, clumps, lnext(clumps, la))
				{
					RelOptInfo *b = lfirst(lb);

					if (pass == 0 && !have_relevant_joinclause(root, a, b) &&
						!have_join_order_restriction(root, a, b))
						continue;
					joined = make_join_rel(root, a, b);
					if (joined == NULL)
						continue;
					set_cheapest(joined);
					clumps = list_delete_ptr(clumps, a);
					clumps = list_delete_ptr(clumps, b);
					clumps = lcons(joined, clumps);
					break;
				}
				if (joined)
					break;
			}
		}
		if (joined == NULL)
			return NULL;
	}
	return linitial(clumps);
}

static RelOptInfo *
cz_join_search(PlannerInfo *root, int levels_needed, List *initial_rels)
{
	if (is_estimating(root))
	{
		int			save_length = list_length(root->join_rel_list);
		struct HTAB *save_hash = root->join_rel_hash;
		RelOptInfo *rel;

		root->join_rel_hash = NULL;
		rel = join_somehow(root, initial_rels);
		if (rel != NULL)
			return rel;
		/* a dead end: forget it, as genetic search does */
		root->join_rel_list = list_truncate(root->join_rel_list, save_length);
		root->join_rel_hash = save_hash;
	}
	if (prev_join_search_hook)
		return prev_join_search_hook(root, levels_needed, initial_rels);
	if (enable_geqo && levels_needed >= geqo_threshold)
		return geqo(root, levels_needed, initial_rels);
	return standard_join_search(root, levels_needed, initial_rels);
}

/* ---- estimates ----------------------------------------------------------- */

/* Enough for the paths of most queries. */
#define CZ_ESTIMATE_BLOCK_BYTES (128 * 1024)

/* Sub-queries that an estimate puts in place of what is outside of the query. */
#define CZ_MAX_BROUGHT_IN 64

typedef struct DisguiseContext
{
	CzPlanState *state;
	List	   *queries;		/* around, the innermost first */
	int			nbrought_in;
	bool		failed;			/* it reads what nobody knows */
} DisguiseContext;

/* Put a query in place of a range-table entry. */
static void
bring_in(RangeTblEntry *rte, Query *source, DisguiseContext *context)
{
	if (source == NULL || cz_refers_out((Node *) source) ||
		++context->nbrought_in > CZ_MAX_BROUGHT_IN)
	{
		context->failed = true;
		return;
	}
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = copyObject(source);
	rte->ctename = NULL;
}

/* A CTE that is not in the query is one of the queries that it was a part of. */
static void
bring_in_cte(RangeTblEntry *rte, DisguiseContext *context)
{
	CommonTableExpr *cte;

	if (rte->ctelevelsup < list_length(context->queries) &&
		cz_cte_of_name(((Query *) list_nth(context->queries, rte->ctelevelsup))->cteList,
					rte->ctename) != NULL)
		return;
	cte = cz_cte_of_name(context->state->known_ctes, rte->ctename);
	if (cte == NULL || cte->cterecursive || rte->self_reference ||
		!IsA(cte->ctequery, Query))
		context->failed = true;
	else
		bring_in(rte, (Query *) cte->ctequery, context);
}

/*
 * Make a copy of a query fit for an estimate: distributed tables pose as plain ones,
 * and nothing is locked.
 */
static bool
disguise_walker(Node *node, DisguiseContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;

		if (query->commandType != CMD_SELECT)
		{
			context->failed = true;
			return true;
		}
		query->rowMarks = NIL;
		query->hasForUpdate = false;
		context->queries = lcons(query, context->queries);
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);

			if (rte->rtekind == RTE_CTE)
				bring_in_cte(rte, context);
			else if (cz_ship_of_rte(rte) != NULL)
				bring_in(rte, cz_ship_of_rte(rte)->source, context);
			/* core would inline it, and find tables that pose as nothing */
			else if (rte->rtekind == RTE_FUNCTION && cz_is_inlinable(rte))
				context->failed = true;
			if (context->failed)
				return true;
			if (rte->rtekind != RTE_RELATION ||
				(rte->relkind != RELKIND_PARTITIONED_TABLE &&
				 rte->relkind != RELKIND_FOREIGN_TABLE) ||
				CzTableGet(rte->relid) == NULL)
				continue;
			rte->relkind = RELKIND_RELATION;
			rte->inh = false;
		}
		query_tree_walker(query, disguise_walker, (void *) context, 0);
		context->queries = list_delete_first(context->queries);
		return context->failed;
	}
	return expression_tree_walker(node, disguise_walker, (void *) context);
}

static bool
rows_walker(Node *node, double *rows)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && CzTableGet(rte->relid))
			*rows = Max(*rows, cz_relation_rows(rte->relid));
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, rows_walker, (void *) rows,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, rows_walker, (void *) rows);
}

/* Rows of a table with one value of its distribution key. */
static double
rows_of_key(const CzTable *table)
{
	double		rows = cz_relation_rows(table->relid);
	HeapTuple	tup = cz_statistics_tuple(table->relid, table->key_attno);
	double		ndistinct = 10.0 * table->nshards;

	if (HeapTupleIsValid(tup))
	{
		float4		stadistinct = ((Form_pg_statistic) GETSTRUCT(tup))->stadistinct;

		if (stadistinct != 0)
			ndistinct = stadistinct > 0 ? stadistinct : -stadistinct * rows;
		ReleaseSysCache(tup);
	}
	return Max(rows / Max(ndistinct, 1), 1);
}

static bool
key_rows_walker(Node *node, double *rows)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		const CzTable *table = rte->rtekind == RTE_RELATION ? CzTableGet(rte->relid) : NULL;

		if (table == NULL)
			return false;
		*rows = Max(*rows, table->key_attno > 0 ? rows_of_key(table) :
					table->kind == CZ_TABLE_FOREIGN || table->kind == CZ_TABLE_SINGLE ?
					cz_relation_rows(rte->relid) : 1);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, key_rows_walker, (void *) rows,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, key_rows_walker, (void *) rows);
}

/* What an estimate says. */
typedef struct Estimate
{
	double		rows;
	double		input_rows;		/* of FROM and WHERE */
	int			width;
	Cost		cost;
} Estimate;

/* One that was made: parts of a query are asked for again where it is cut otherwise. */
typedef struct MadeEstimate
{
	Query	   *query;
	Estimate	result;
} MadeEstimate;

/* Rows of FROM and WHERE of a planned query. */
static double
input_rows(PlannerInfo *root, double rows)
{
	RelOptInfo *rel = NULL;
	int			rti;

	if (bms_get_singleton_member(root->all_baserels, &rti))
		rel = root->simple_rel_array[rti];
	else if (bms_num_members(root->all_baserels) > 1)
		rel = find_join_rel(root, root->all_baserels);
	return rel == NULL ? rows : Max(rel->rows, rows);
}

static Estimate
make_estimate(Query *query, CzPlanState *state, bool *is_closed)
{
	Estimate	result = {1, 1, CZ_DEFAULT_WIDTH, 0};
	DisguiseContext disguise = {state, NIL, 0, false};
	MemoryContext caller;
	PlannerGlobal *save = estimate_glob;
	Query	   *copy;
	PlannerGlobal *glob;

	/* one block that is kept, for there may be many estimates */
	if (state->estimate_context == NULL)
		state->estimate_context = AllocSetContextCreate(CurrentMemoryContext,
														"cz_fdw estimate",
														0, CZ_ESTIMATE_BLOCK_BYTES,
														ALLOCSET_DEFAULT_MAXSIZE);
	caller = MemoryContextSwitchTo(state->estimate_context);
	copy = copyObject(query);

	disguise.failed = cz_refers_out((Node *) copy);
	if (!disguise.failed)
		disguise_walker((Node *) copy, &disguise);
	*is_closed = disguise.nbrought_in == 0;
	if (disguise.failed)
	{
		query_tree_walker(query, rows_walker, (void *) &result.rows, QTW_EXAMINE_RTES_BEFORE);
		result.input_rows = result.rows;
		MemoryContextSwitchTo(caller);
		MemoryContextReset(state->estimate_context);
		return result;
	}

	glob = makeNode(PlannerGlobal);
	glob->boundParams = state->bound_params;
	glob->maxParallelHazard = PROPARALLEL_UNSAFE;
	estimate_glob = glob;
	PG_TRY();
	{
		PlannerInfo *root;
		Path	   *path;

		root = subquery_planner_compat(glob, copy);
		path = fetch_upper_rel(root, UPPERREL_FINAL, NULL)->cheapest_total_path;
		result.rows = path->rows;
		result.width = path->pathtarget->width;
		result.cost = path->total_cost;
		result.input_rows = input_rows(root, path->rows);
	}
	PG_FINALLY();
	{
		estimate_glob = save;
	}
	PG_END_TRY();
	/* as standard_planner does: it holds references to partitioned tables */
	if (glob->partition_directory)
		DestroyPartitionDirectory(glob->partition_directory);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(state->estimate_context);
	return result;
}

static Estimate
estimate(Query *query, CzPlanState *state)
{
	MadeEstimate *made;
	Estimate	result;
	bool		is_closed;
	ListCell   *lc;

	foreach(lc, state->estimates)
	{
		made = lfirst(lc);
		if (equal(made->query, query))
			return made->result;
	}
	result = make_estimate(query, state, &is_closed);
	if (is_closed)
	{
		made = palloc(sizeof(MadeEstimate));
		made->query = copyObject(query);
		made->result = result;
		state->estimates = lappend(state->estimates, made);
	}
	return result;
}

/*
 * cz_estimate
 *		See planner_int.h.
 */
void
cz_estimate(Query *query, CzPlanState *state, double *rows, int *width)
{
	Estimate	result = estimate(query, state);

	*rows = result.rows;
	*width = result.width;
}

/* Rows saved from which on it is worth that a worker has one statement only. */
#define CZ_MERGE_SAVES_ROWS 10000
/* Groups from which on their hash table is spilled, where one of a shard is not. */
#define CZ_MERGE_MAX_GROUPS 100000

/* Groups by an expression that nothing is known of, as a share of the rows. */
#define CZ_GUESSED_GROUPS 0.1

/* How many workers hold first placements of a table. */
static int
count_servers(const CzTable *table)
{
	List	   *servers = NIL;
	int			i;

	for (i = 0; table != NULL && i < table->nshards; i++)
	{
		if (table->shards[i].nplacements > 0)
			servers = list_append_unique_oid(servers, table->shards[i].server_oids[0]);
	}
	return Max(list_length(servers), 1);
}

/*
 * Groups over all shards, if each shard has its own: of groups that are spread by
 * chance over the rows, how many will each shard's rows see?
 */
static double
groups_of_shards(double groups, double rows, int nshards)
{
	double		per_shard = groups * (1 - exp(-rows / nshards / groups));

	return Min(Max(per_shard, 1) * nshards, Max(rows, nshards));
}

/*
 * cz_grouped_share
 *		The share of its rows that a grouped query leaves, if every worker groups
 *		the rows of all its shards at once.
 */
double
cz_grouped_share(Query *query, const CzLocus *locus, CzPlanState *state)
{
	Estimate	result = estimate(query, state);

	return groups_of_shards(result.rows, result.input_rows, count_servers(locus->anchor)) /
		Max(result.input_rows, 1);
}

/*
 * Is a query grouped by an expression of columns?  Nothing is known of its values, and
 * core thinks of all combinations of the columns'.
 */
static bool
groups_by_expression(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->groupClause != NIL ? query->groupClause : query->distinctClause)
	{
		Node	   *expr = cz_strip(get_sortgroupclause_expr(lfirst(lc), query->targetList));

		if (!IsA(expr, Var) && contain_var_clause(expr))
			return true;
	}
	return false;
}

/* Rows that the LIMIT of a query leaves if each shard has it. */
static double
limited_rows(Query *query, double rows, int nshards)
{
	Const	   *count = (Const *) query->limitCount;

	if (count == NULL || (IsA(count, Const) && count->constisnull))
		return rows;
	if (!IsA(count, Const))
		return clamp_row_est(rows * 0.10);	/* core's guess */
	return Min(rows, Max(1, (double) DatumGetInt64(count->constvalue)) * nshards);
}

/*
 * cz_estimate_leaf
 *		Rows and costs of a query whose fragments are a leaf's.
 *
 * A statement for one shard must not pay for more than it is worth: there is
 * nothing to choose for the rest of its plan.
 */
void
cz_estimate_leaf(CzLeaf *leaf, CzPlanState *state)
{
	Query	   *query = leaf->source->subquery;
	const CzLocus *locus = &leaf->locus;
	int			nshards = locus->is_pruned ? list_length(locus->shards) :
		locus->anchor ? locus->anchor->nshards : 1;
	Estimate	result;
	Query	   *copy;

	leaf->rows = 1;
	if (locus->is_single)
	{
		if (!query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL)
			query_tree_walker(query, key_rows_walker, (void *) &leaf->rows,
							  QTW_EXAMINE_RTES_BEFORE);
		leaf->rows = limited_rows(query, leaf->rows, 1);
		return;
	}
	if (leaf->strategy != CZ_STRATEGY_TWO_PHASE)
		copy = query;
	else
	{
		copy = makeNode(Query);
		*copy = *query;
		copy->limitCount = NULL;
		copy->limitOffset = NULL;
		copy->limitOption = LIMIT_OPTION_COUNT;
	}
	result = estimate(copy, state);
	leaf->rows = result.rows;
	leaf->cost = result.cost;
	if (leaf->strategy != CZ_STRATEGY_TWO_PHASE)
		return;
	if (locus->has_whole_groups)
	{
		if (query->distinctClause != NIL)
			leaf->rows = Min(leaf->rows * Max(nshards, 1), Max(result.input_rows, 1));
	}
	else if (query->groupClause != NIL || query->distinctClause != NIL)
	{
		int			nworkers = Min(count_servers(locus->anchor), Max(nshards, 1));
		bool		is_guess = groups_by_expression(query) &&
			result.rows > result.input_rows * CZ_GUESSED_GROUPS;
		double		groups = is_guess ? Max(result.input_rows * CZ_GUESSED_GROUPS, 1) :
			result.rows;
		double		merged = groups_of_shards(groups, result.input_rows, nworkers);

		leaf->rows = groups_of_shards(groups, result.input_rows, Max(nshards, 1));
		/* one grouping of all shards of a worker returns far fewer rows */
		if (leaf->rows - merged > CZ_MERGE_SAVES_ROWS && leaf->rows > 2 * merged &&
			(is_guess || merged / nworkers < CZ_MERGE_MAX_GROUPS))
		{
			leaf->wants_merge = true;
			leaf->rows = merged;
		}
	}
	else if (query->hasAggs)
		leaf->rows = Max(nshards, 1);
	leaf->rows = limited_rows(query, leaf->rows, Max(nshards, 1));
}

/*
 * cz_set_leaf_width
 *		Average width of the columns that a relation gives, from the statistics of
 *		what they are; remembers it for joins.
 */
void
cz_set_leaf_width(RelOptInfo *rel, CzLeaf *leaf)
{
	ListCell   *lc;

	foreach(lc, rel->reltarget->exprs)
	{
		Var		   *var = lfirst(lc);
		CzColumnSource source;
		int32		width;
		int			n;

		if (!IsA(var, Var) || var->varno != rel->relid || var->varattno <= 0)
			continue;
		source = cz_leaf_column_source(leaf, var->varattno);
		width = OidIsValid(source.relid) ? cz_column_width(source.relid, source.attno) : 0;
		if (width <= 0)
			continue;
		n = var->varattno - rel->min_attr;
		rel->reltarget->width += width - rel->attr_widths[n];
		rel->attr_widths[n] = width;
	}
}

/*
 * cz_table_pages
 *		About how many pages a table would have here.
 */
double
cz_table_pages(Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	double		width = MAXALIGN(SizeofHeapTupleHeader) + sizeof(ItemIdData);
	AttrNumber	attno;

	for (attno = 1; table != NULL && attno <= table->natts; attno++)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;
		int32		column;

		if (table->column_names[attno - 1] == NULL)
			continue;
		column = cz_column_width(relid, attno);
		if (column <= 0)
		{
			get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
			column = get_typavgwidth(type, typmod);
		}
		width += column;
	}
	return ceil(cz_relation_rows(relid) * width / (BLCKSZ - SizeOfPageHeaderData));
}

/*
 * cz_estimate_init
 *		Install the hooks.
 */
void
cz_estimate_init(void)
{
	prev_get_relation_stats_hook = get_relation_stats_hook;
	get_relation_stats_hook = cz_relation_stats;
	prev_get_relation_info_hook = get_relation_info_hook;
	get_relation_info_hook = cz_relation_info;
	prev_get_attavgwidth_hook = get_attavgwidth_hook;
	get_attavgwidth_hook = cz_attavgwidth;
	prev_join_search_hook = join_search_hook;
	join_search_hook = cz_join_search;
}

PG_FUNCTION_INFO_V1(cz_fragment_support);

/*
 * cz_fragment_support
 *		Support function of cz.fragment(): how many rows it returns.
 */
Datum
cz_fragment_support(PG_FUNCTION_ARGS)
{
	SupportRequestRows *request = (SupportRequestRows *) PG_GETARG_POINTER(0);
	CzLeaf	   *leaf;

	if (!IsA(request, SupportRequestRows) ||
		(leaf = cz_leaf_of_call(request->node)) == NULL)
		PG_RETURN_POINTER(NULL);
	request->rows = leaf->rows;
	PG_RETURN_POINTER(request);
}
