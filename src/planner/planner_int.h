/*-------------------------------------------------------------------------
 *
 * planner_int.h
 *	  What the files of the planner share.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_PLANNER_INT_H
#define CZ_PLANNER_INT_H

#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "utils/relcache.h"
#include "utils/selfuncs.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/fragment.h"
#include "cz/metadata.h"
#include "cz/planner.h"

/* Rows of a table whose number is unknown. */
#define CZ_DEFAULT_ROWS 1000.0

/* Width of a row that nobody knows, bytes. */
#define CZ_DEFAULT_WIDTH 32

/* Where a Query's rows are. */
typedef enum CzLocusKind
{
	CZ_LOCUS_EVERYWHERE,		/* the same on each worker and here */
	CZ_LOCUS_SHARDED,			/* spread by the key over the anchor's shards */
	CZ_LOCUS_NONE				/* not computable on the workers */
} CzLocusKind;

typedef struct CzLocus
{
	CzLocusKind kind;
	const CzTable *anchor;		/* SHARDED: any table of the group */
	bool		is_single;		/* SHARDED: all its rows come from one shard */
	int			shard;			/* is_single: its index, or -1: prune_expr says */
	Node	   *prune_expr;		/* expression without columns whose value leaves
								 * one shard (is_single) or some (else); or NULL */
	CzPruneKind prune_kind;		/* what prune_expr is */
	List	   *shards;			/* SHARDED, not single: int list of the shards that
								 * can have rows; NIL with is_pruned false: all */
	bool		is_pruned;
	List	   *key_columns;	/* SHARDED: int list of output columns (or, for a
								 * range-table entry, attribute numbers) that
								 * equal the distribution key */
	List	   *outer_keys;		/* SHARDED: Vars of outer queries (varlevelsup >= 1)
								 * that equal the key: for one outer row all rows
								 * are on one shard */
	bool		is_confined;	/* is_single, and must run on its one shard: on any
								 * other shard it would return wrong rows instead of
								 * none, as "SELECT 1 WHERE NOT EXISTS (SELECT FROM t
								 * WHERE key = 5)" would */
	bool		has_whole_groups;	/* SHARDED: no group of the query is on two shards */
	bool		is_unstable;	/* EVERYWHERE, but each worker may choose other rows
								 * (LIMIT): only good together with one shard */
	const char *reason;			/* NONE, or why it is not better: for EXPLAIN */
} CzLocus;

/* What a part of a join tree is: its locus with the keys as Vars of this level. */
typedef struct CzJoinLocus
{
	CzLocus		locus;
	List	   *keys;			/* Vars */
	List	   *lateral_keys;	/* Vars of siblings that equal the key: a lateral
								 * sub-query whose rows are complete on a shard
								 * only for a sibling's row with that key */
} CzJoinLocus;

/*
 * The location of CTEs that we make: no text has it.  Which of two CTEs of one name in
 * the levels above a leaf is the one that it reads is told by it.
 */
#define CZ_CTE_LOCATION (-1000)

/*
 * Rows that are computed here and sent along with the fragments.  In a Query that goes
 * to the workers they are read through an RTE_RESULT whose ctename is set and whose
 * ctelevelsup is an index of CzPlanState.ships.
 */
typedef struct CzShip
{
	char	   *cte_name;		/* of the CTE that computes them; NULL: only tried */
	char	   *label;			/* for EXPLAIN */
	List	   *types;			/* OIDs of the columns */
	List	   *typmods;		/* ints */
	List	   *collations;		/* OIDs */
	const CzTable *anchor;		/* rows go to its shards by a column's value; NULL:
								 * everywhere */
	AttrNumber	partition_column;	/* valid with anchor */
	Var		   *partition_var;	/* its type; valid with anchor */
	double		rows;			/* estimate */
	Query	   *source;			/* what computes them, as it was before it was
								 * rewritten; for estimates; borrowed */
} CzShip;

/* What lock_scan.c must know of a leaf that locks no more rows than it returns. */
typedef struct CzLockLeaf
{
	Query	   *candidates;		/* sort keys and ids of the rows that might be next */
	Node	   *limit;			/* rows wanted; int8 */
	int			nids;			/* tables in FROM */
	List	   *in_parts;		/* ints by table, 1: its shards are partitioned, and a row
								 * is named by tableoid, too */
	bool		may_wait;		/* of any of the locks */
	bool		may_skip;
	bool		is_single;		/* a row of the tables may be several of the result */
	bool		is_sorted;		/* the workers sort as we do */
	List	   *sort_operators; /* OIDs */
	List	   *sort_collations;	/* OIDs */
	List	   *sort_nulls_first;	/* ints */
} CzLockLeaf;

/* What is computed before a pushed write, and sent with it. */
typedef struct CzValues
{
	List	   *exprs;			/* SubLinks */
	List	   *ctes;			/* CommonTableExprs that they read */
	bool		has_recursive;
	Bitmapset  *items;			/* entries of FROM that were made of values */
} CzValues;

/* One fragment leaf of the plan that is being made. */
typedef struct CzLeaf
{
	RangeTblEntry *source;		/* RTE_RELATION, or RTE_SUBQUERY of any Query */
	CzLocus		locus;
	CzStrategy	strategy;
	double		rows;			/* estimate, before qualifiers pushed later */
	double		cost;			/* of a RTE_SUBQUERY source: of all its fragments
								 * together, or 0 where nothing depends on it */
	Oid			check_as_user;	/* of a RTE_RELATION source */
	RowMarkClause *row_mark;	/* of a RTE_RELATION source, or NULL */
	List	   *system_columns; /* int list: attnos natts+1.. of the leaf are these
								 * system columns of the source */
	Oid			target_shard;	/* an UPDATE or DELETE: see cz_deparse */
	List	   *checks;			/* of the same: see CzFragmentPlan */
	List	   *replica_keys;	/* of the same */
	List	   *replica_sets;
	bool		finds_one_row;
	bool		is_uncounted;
	List	   *insert_attnos;	/* of an INSERT: see CzFragmentPlan */
	List	   *conflict_checks;
	List	   *insert_checks;
	bool		insert_is_quiet;
	bool		replica_upserts;
	CzFragmentPlan *insert;		/* an INSERT of one row: the plan that is ready; what is
								 * computed is the arguments of the leaf's function */
	const char *reason;			/* why it is not part of a larger fragment, or NULL */
	List	   *functions;		/* OIDs: EXECUTE is checked on these too, that stand
								 * neither in the fragments nor above them */
	bool		wants_merge;	/* one fragment a worker is better than one a shard */
	bool		takes_duplicates;	/* nobody counts its rows: see CzFragmentPlan */
	CzLockLeaf *lock;			/* source is the statement that locks; or NULL */
	struct CzRowWrite *write;	/* it has no fragments: rows.c; source is empty; or NULL */
} CzLeaf;

/* State of one call of the planner hook. */
typedef struct CzPlanState
{
	ParamListInfo bound_params;
	List	   *leaves;			/* CzLeaf pointers; a leaf function's argument is
								 * an index of this list */
	Oid			fragment_function;	/* cz.fragment(), once there is a leaf */
	List	   *ships;			/* CzShip pointers */
	List	   *estimates;		/* of estimate.c: those made already */
	MemoryContext estimate_context;	/* of the same, empty between two of them */
	List	   *known_ctes;		/* of all Queries that were rewritten, the last first;
								 * for estimates of parts of them; borrowed */
	bool		keep_leaves;	/* rows are locked or written at a level of the query:
								 * core must not pull leaves up into it, where it
								 * would ask for their whole rows */
	List	   *relation_rtes;	/* copies of RTEs taken out of the query, for
								 * permission checks, locks and invalidation */
	List	   *relation_perms; /* their permission infos, or NULLs before 16 */
	bool		depends_on_role;	/* the plan is good for the current user only */
	bool		has_row_ids;	/* it mentions system columns, see rowids.c */
	bool		is_read_only;	/* the statement writes nothing */
	bool		is_select;		/* it writes nothing while it reads */
	bool		takes_duplicates;	/* who reads the query that is rewritten asks only
									 * whether there are such rows */
	List	   *returning;		/* of a pushed write: target list over the leaf; NIL: its
								 * columns */
	bool		takes_exec_params;	/* values of other parts of the plan may now
									 * become parameters of a fragment */
	List	   *kept_here;		/* OIDs of reference tables that are local ones to it */
	List	   *upserted_again;	/* OIDs of tables of ON CONFLICT DO UPDATE that another part
								 * of the statement writes, too */
	struct CzPlanState *outer;
} CzPlanState;

/* What the rows of a leaf's fragments are sorted by. */
typedef struct CzOrderKey
{
	Expr	   *expr;			/* a Var of the leaf, maybe with RelabelTypes around */
	AttrNumber	attno;			/* of that Var */
	Oid			sortop;
	Oid			collation;
	bool		nulls_first;
} CzOrderKey;

extern CzPlanState *cz_plan_state;

/* Parameters that no statement has; where there are several, the others follow downwards. */
#define CZ_PARAM_LIMIT 65535	/* lock_scan.c fills these in */
#define CZ_PARAM_IDS 65534
#define CZ_PARAM_TABLES 65300
#define CZ_PARAM_VALUES 65000	/* values.c */
#define CZ_PARAM_ROW_ID 63000	/* ctids.c */

#define CZ_IS_LOCK_PARAM(param) \
	((param)->paramkind == PARAM_EXTERN && (param)->paramid > CZ_PARAM_VALUES)

/* collation.c */
extern bool cz_sorts_unsurely(Query *query);
extern bool cz_collation_decides(Node *node, bool is_outermost);

/* stable.c */
extern bool cz_reads_search_config(Oid funcid);

/* shippable.c */
extern bool cz_expr_is_shippable(Node *expr, const char **reason);
extern bool cz_type_is_output_safe(Oid type);
extern bool cz_type_is_known(Oid type, Query *query);
extern bool cz_is_closed_stable(Node *expr);
extern bool cz_is_closed(Node *expr);
extern bool cz_may_be_lazy(Node *expr);

/* deparse.c; in the plan that it makes the plan_id of a shipment is its index in
 * CzPlanState.ships */
extern CzFragmentPlan *cz_deparse(Query *query, CzPlanState *state, Oid target_shard,
								  List **params);
extern void cz_fragment_set_locus(CzFragmentPlan *plan, const CzLocus *locus,
								  List **params);

/* from_items.c */
extern void cz_mark_from(Node *node, Query *query);
extern void cz_order_from(Query *query);

/* in_list.c */
typedef struct CzInList
{
	RangeTblEntry *rte;			/* of the shipment */
	int			most;			/* elements that an index may serve */
} CzInList;

extern void cz_note_in_lists(Query *query, List **in_lists);
extern CzInList *cz_in_list_of(List *in_lists, RangeTblEntry *rte);
extern List *cz_cut_in_list(const CzInList *in_list, const char *text, size_t before,
							int ship, char **rest);

/* fence.c */
extern bool cz_query_has_barriers(Query *query);
extern Query *cz_fence_query(Query *query);
extern List *cz_guard_target(List *policies, List *quals);

/* outputs.c */
extern void cz_drop_unused_outputs(Query *query);

/* reduce.c */
extern void cz_reduce_full_joins(Query *query);

/* unread.c */
extern bool cz_is_never_true(Node *quals, Query *query, CzPlanState *state);
extern void cz_settle_unread(Query *query, CzPlanState *state);

/* printable.c */
extern void cz_make_printable(Query *query);
extern Node *cz_value_of_param(Node *param);
extern bool cz_prints_as_number(Node *expr);

/* kept_here.c */
extern List *cz_find_kept_here(Query *query, const CzPlanState *state);

/*
 * roots.c
 *
 * cz_prepare_roots
 *		Refuse ONLY with distributed partitioned tables, and make their tableoid a function
 *		of columns; in place.
 *
 * Errors:  0A000.
 */
extern void cz_prepare_roots(Query *query);

/* inline.c */
extern List *cz_inline_functions(Query *query, ParamListInfo bound_params,
								 PlannerGlobal *glob);
extern List *cz_keep_functions(List *funcids);
extern void cz_inline_init(void);
extern void cz_inline_calls(Query *query, PlannerGlobal *glob);
extern bool cz_is_inlinable(RangeTblEntry *rte);

/* recheck.c */
extern List *cz_recheck_columns(Query *query);
extern List *cz_recheck_operations(Query *query);
extern void cz_recheck(const CzFragmentPlan *plan, Query *query, List *params,
					   List *columns, List *operations);

/* query.c */
extern Node *cz_int_const(int value);
extern Node *cz_oid_const(Oid value);
extern void cz_raise_ctes(Node *node, int levels);
extern Node *cz_fold(Node *node, CzPlanState *state);
extern Node *cz_strip(Node *node);
extern bool cz_is_equality(Oid opno, Oid collation);
extern bool cz_equality_sides(Node *node, Node **left, Node **right);
extern List *cz_conjuncts(Node *qual, List *list);
extern const CzTable *cz_rte_table(RangeTblEntry *rte);
extern bool cz_query_is_correlated(Query *query);
extern bool cz_query_uses_workers(Query *query);
extern CzShip *cz_ship_of_rte(RangeTblEntry *rte);
extern void cz_blank_rte(RangeTblEntry *rte);
extern void cz_flatten_joins(Query *query);
extern void cz_drop_unread_ctes(Query *query);
extern CommonTableExpr *cz_cte_of_name(List *ctes, const char *name);

/* vars.c */
extern Relids cz_node_relids(Node *node, bool with_joins);
extern Relids cz_entries_of(Node *node, int levels);
extern List *cz_vars_of(Query *query, Relids relids);
extern void cz_replace_vars(Query *query, List *vars, List *attnos, Index rti, Relids gone);
extern bool cz_refers_out(Node *node);
extern Bitmapset *cz_used_columns(Node *node, Index rti);
extern void cz_renumber_columns(Node *node, Index rti, List *columns);

/* queryleaf.c */
extern void cz_collect_relations(Query *query, CzPlanState *state);
extern void cz_note_relation(RangeTblEntry *rte, Query *query, CzPlanState *state);
extern void cz_keep_apart(Query *query);
extern void cz_query_over_leaf(Query *query, RangeTblEntry *leaf_rte, CzPlanState *state);
extern RangeTblEntry *cz_leaf_rte_of_query(Query *inner, CzLocus *locus,
										   CzStrategy strategy, const char *reason,
										   CzPlanState *state);
extern bool cz_replace_whole(Query *query, CzLocus *locus, CzPlanState *state);

/* entry.c */
extern RangeTblEntry *cz_make_leaf(CzPlanState *state, CzLeaf *leaf, List *names,
								   List *types, List *typmods, List *collations);
extern CzLeaf *cz_leaf_of_call(Node *node);
extern CzLeaf *cz_leaf_of_rte(RangeTblEntry *rte);

/* locus.c */
extern CzLocus cz_query_locus(Query *query, CzPlanState *state);
extern CzLocus cz_from_locus(Query *query, CzPlanState *state);
extern CzLocus cz_table_locus(Oid relid);
extern List *cz_from_keys(Query *query, CzPlanState *state, List **classes);
extern Node *cz_plain_vars(Node *node, void *context);

/* whole.c */
extern bool cz_is_key_expr(Node *expr, Query *query, List *keys, List *classes);
extern bool cz_is_key_target(TargetEntry *tle, Query *query, List *keys, List *classes);
extern const char *cz_spans_shards(Query *query, List *keys, List *classes);

/* combine.c */
extern bool cz_same_single(const CzLocus *a, const CzLocus *b);
extern List *cz_lowered_outer_keys(const CzLocus *locus);
extern List *cz_passed_outer_keys(const CzLocus *locus);
extern CzJoinLocus cz_join_none(const char *reason);
extern CzJoinLocus cz_combine(CzJoinLocus l, CzJoinLocus r, JoinType type, List *classes);
extern CzLocus cz_no_locus(const char *reason);
extern bool cz_same_group(const CzTable *a, const CzTable *b);

/* equality.c */
extern List *cz_equality_classes(List *quals);
extern int	cz_class_of(List *classes, Node *node);
extern bool cz_keys_connected(List *classes, List *a, List *b);
extern bool cz_in_same_class(List *classes, Node *a, Node *b);

/* prune.c */
extern void cz_restrict_to_list(CzLocus *locus, List *shards);
extern void cz_apply_restrictions(CzJoinLocus *join, List *scope, List *classes);
extern void cz_apply_seals(CzJoinLocus *join, Index varno, List *scope);

/* sendable.c */
extern bool cz_query_is_sendable(Query *query, const char **reason);
extern List *cz_row_names(Var *var, RangeTblEntry *rte);

/* leaf.c */
extern void cz_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti,
								RangeTblEntry *rte);
extern int	cz_plan_id_of_cte(PlannerInfo *root, const char *name);

/* order.c */
extern bool cz_order_is_sure(Oid type, Oid sortop, Oid collation);
extern List *cz_leaf_order(PlannerInfo *root, RelOptInfo *rel, CzLeaf *leaf);
extern bool cz_query_has_order(Query *query, List *keys);
extern bool cz_query_takes_order(Query *query, List *keys);
extern void cz_add_order(Query *query, List *keys, List *exprs);
extern void cz_fragment_set_order(CzFragmentPlan *plan, List *keys, List *vars,
								  double rows);
extern Cost cz_order_cost(RelOptInfo *rel, CzLeaf *leaf, List *keys);

/* lockleaf.c */
extern bool cz_try_lock_split(Query *query, CzLocus *locus, CzPlanState *state, Node *limit,
							  Query *(*from_part) (Query *), const char **reason);
extern void cz_plan_lock_leaf(CzFragmentPlan *plan, CzLeaf *leaf, List **params);

/* values.c */
extern CzValues *cz_take_values(Query *query, AttrNumber key, CzPlanState *state);
extern bool cz_take_conflict(Query *query, CzValues *values, CzPlanState *state);
extern Param *cz_take_expr(CzValues *values, Node *expr);
extern CzValues *cz_take_items(Query *query, CzPlanState *state);
extern CzValues *cz_take_limit(Query *query, CzPlanState *state);
extern List *cz_take_sample(TableSampleClause *sample, CzPlanState *state);
extern List *cz_take_outer_vars(Query *query);
extern void cz_add_leaf_values(RangeTblEntry *leaf_rte, List *values);
extern void cz_attach_values(Query *outer, CzValues *values, CzPlanState *state);
extern List *cz_planned_values(List *params, RangeTblEntry *leaf_rte);
extern List *cz_leaf_values(RangeTblEntry *leaf_rte);

/* rewrite.c */
extern void cz_rewrite_query(Query *query, CzPlanState *state, bool is_top);
extern void cz_rewrite_sublinks(Query *query, CzPlanState *state);
extern void cz_rewrite_parts(Query *query, CzPlanState *state);

extern void cz_simplify_exists(SubLink *sublink);
extern bool cz_query_counts_rows(Query *query);

/* ship.c */
extern bool cz_try_ship(Query *query, CzPlanState *state, const char **reason);

/* shipment.c */
extern Query *cz_shipment_query(Query *query, List *nodes, List *quals, List *vars,
								int depth);
extern RangeTblEntry *cz_ship_rte(CzPlanState *state, CzShip *ship);
extern char *cz_free_cte_name(char *name, List *ctes, List *more);
extern Node *cz_wanted_sublink(Query *outer, Index rti, List *quals, List *ops,
							   List *sides);
extern bool cz_group_dependents(Query *query);

/* split.c */
extern bool cz_try_split(Query *query, CzPlanState *state, const char **reason);

/* tableleaf.c */
extern Node *cz_row_expr(Oid relid, Index rti, int levelsup);
extern void cz_replace_table(Query *query, Index rti, CzPlanState *state,
							 const char *reason);

/* unnest.c */
extern void cz_unnest_aggregates(Query *query, CzPlanState *state);

/* Where the values of a column come from. */
typedef struct CzColumnSource
{
	Oid			relid;			/* InvalidOid: not known; then only is_unique is valid */
	AttrNumber	attno;
	Oid			user_oid;		/* whose rights count; InvalidOid: the current user's */
	bool		is_hidden;		/* behind a security barrier */
	bool		is_grouped;		/* each value about once */
	bool		is_unique;		/* each value at most once */
} CzColumnSource;

/* statistics.c */
extern HeapTuple cz_statistics_tuple(Oid relid, AttrNumber attno);
extern int32 cz_column_width(Oid relid, AttrNumber attno);
extern bool cz_is_unique_column(Oid relid, AttrNumber attno);
extern CzColumnSource cz_leaf_column_source(CzLeaf *leaf, AttrNumber attno);
extern void cz_column_statistics(const CzColumnSource *source, VariableStatData *vardata);

/*
 * estimate.c
 *
 * cz_estimate: how many rows, and bytes a row, core's planner expects of a SELECT
 * whose distributed tables have the statistics of their parents.  The Query is not
 * changed, and nothing is remembered of it; of a correlated one it is a rough guess.
 */
extern double cz_grouped_share(Query *query, const CzLocus *locus, CzPlanState *state);
extern void cz_estimate(Query *query, CzPlanState *state, double *rows, int *width);
extern void cz_estimate_leaf(CzLeaf *leaf, CzPlanState *state);
extern void cz_set_leaf_width(RelOptInfo *rel, CzLeaf *leaf);
extern double cz_relation_rows(Oid relid);
extern double cz_table_pages(Oid relid);
extern double cz_sample_fraction(TableSampleClause *sample);
extern void cz_estimate_init(void);

/* aggregate.c */
extern bool cz_split_aggregates(Query *query, Query *inner, const CzTable *anchor,
								CzPlanState *state, bool *is_weighted,
								List **functions, const char **reason);

/* replicas.c */
extern List *cz_row_key(Relation rel, List *assigned);
extern bool cz_finds_one_row(Query *query, List *keys);
extern bool cz_return_for_replicas(Query *query, CzPlanState *state, List **keys,
								   List **sets);
extern bool cz_return_for_copies(Query *query, CzPlanState *state, List **keys,
								 List **sets);
extern bool cz_is_better_as_text(Query *query, CzPlanState *state);
extern const char *cz_replicas_may_differ(Query *query, Bitmapset *sent);
extern bool cz_equal_looks_same(Oid type, Oid collation);

/* ctids.c */
#define CZ_CTID_REASON "a ctid is used as only the coordinator can"
extern bool cz_ctids_are_sendable(Query *query, const char **reason);
extern List *cz_mark_row_ids(Query *query);
extern List *cz_row_id_columns(Query *query);

/* returning.c */
extern List *cz_take_returning(Query **query);
extern void cz_settle_returning(Query *query);

/* rowids.c */
#define CZ_ROW_ID_REASON "xmin and its kin name transactions of one worker only"
extern bool cz_mentions_row_ids(Query *query);
extern bool cz_compares_row_ids(Query *query);
pg_noreturn extern void cz_refuse_row_ids(void);
extern const char *cz_row_ids_of_write(Query *query, bool is_single, bool is_replicated,
									   bool by_key);

/* insert.c */
extern List *cz_find_upserted_again(Query *query);
extern bool cz_insert_as_leaf(Query *query, CzPlanState *state);
extern bool cz_is_conflict(Query *query);

extern bool cz_over_written(Node **node, Index rti, Relation rel, Node **columns);
extern bool cz_writes_nothing(List *exprs);
extern void cz_insert_values(Query *query, Relation rel, AttrNumber key_attno,
							 List **exprs, List **attnos);
extern void cz_select_over_leaf(Query *query, CzPlanState *state, RangeTblEntry *leaf_rte,
								List *targets, CzValues *values);

/* conflict.c */
extern const char *cz_conflict_as_leaf(Query *query, CzPlanState *state,
									   const CzTable *table, Relation rel);

extern bool cz_push_insert(Query *query, CzPlanState *state, const CzTable *table,
						   Relation rel);

/* conflict_checks.c */
extern bool cz_guard_conflict(Query *remote, Relation rel, List **checks);

/* rows.c */
extern bool cz_is_write_by_rows(Query *query);
extern void cz_write_by_rows(Query *query, CzPlanState *state);
extern void cz_set_write_pathlist(RelOptInfo *rel, CzLeaf *leaf);
extern Node *cz_virtual_column(Oid relid, const Var *var);
extern Node *cz_check_call(WithCheckOption *option, Node *before, Node *passes);
extern CommonTableExpr *cz_write_source_cte(Query *source, char *name);
extern RangeTblEntry *cz_write_leaf_rte(TupleDesc desc, List *extra, CzLeaf *leaf,
										CzPlanState *state);

/* merge.c */
extern void cz_merge_by_rows(Query *query, CzPlanState *state);

/* merge_sent.c */
extern bool cz_merge_is_sent(Query *query, const CzTable *table, CzPlanState *state,
							 CzLocus *locus);

/* cursor.c */
extern void cz_replace_current_of(Query *query);
extern int	cz_take_cursor_rows(Query *query, int cursor_options);
extern Query *cz_hide_cursor_rows(Query *query, int n);

/* modify.c */
pg_noreturn extern void cz_refuse_write(Query *query, Oid relid,
							const char *reason);
extern bool cz_has_triggers(Relation rel, CmdType command);
extern void cz_add_checks(Query *query);
extern void cz_drop_empty_checks(Query *query);
extern List *cz_check_list(List *options);
extern bool cz_keeps_value(Query *query, Node *value, AttrNumber attno, CzPlanState *state);
extern PlannedStmt *cz_plan_modify(Query *query, const char *query_string,
								   int cursor_options, CzPlanState *state);

/* shape.c */
extern PlannedStmt *cz_shared_plan(Query *query, const char *query_string,
								   int cursor_options, ParamListInfo bound_params);
extern void cz_shape_init(void);

/* hook.c */
extern PlannedStmt *cz_plan_anew(Query *query, const char *query_string,
								 int cursor_options, ParamListInfo bound_params);

/*
 * group_entries.c: take the range-table entries of GROUP BY from a Query, at all depths, and
 * give them back to those with grouping sets (18; before there are none).  In place.
 */
extern void cz_remove_group_entries(Query *query);
extern void cz_restore_group_entries(Query *query);

/* target.c */
extern void cz_show_targets(PlannedStmt *stmt);

extern PlannedStmt *cz_call_planner(Query *query, const char *query_string,
									int cursor_options, ParamListInfo bound_params);

#endif							/* CZ_PLANNER_INT_H */
