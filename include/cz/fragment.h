/*-------------------------------------------------------------------------
 *
 * fragment.h
 *	  The value between planner and executor: what to send to which shards.
 *
 * A fragment plan is one SQL template.  It travels inside a plan node as a List
 * (CzFragmentPlanToList), so copyObject, EXPLAIN and the plan cache can walk it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_FRAGMENT_H
#define CZ_FRAGMENT_H

#include "nodes/nodes.h"
#include "nodes/pg_list.h"

typedef enum CzStrategy
{
	CZ_STRATEGY_ROUTER = 1,		/* one shard answers the whole statement */
	CZ_STRATEGY_PUSHDOWN,		/* every shard answers for its rows */
	CZ_STRATEGY_TWO_PHASE,		/* partial aggregates, finished here */
	CZ_STRATEGY_PULL			/* columns and qualifiers of one table */
} CzStrategy;

/* May the fragments of several shards of one worker be one statement? */
typedef enum CzMerge
{
	CZ_MERGE_NEVER,				/* no: locks rows, uses ctid, samples, or one shard only */
	CZ_MERGE_MAY,				/* yes, but a fragment a shard is thought to be better */
	CZ_MERGE_WANTED				/* yes, one fragment a worker is thought to be better */
} CzMerge;

/* What the value that decides the shards at execution is. */
typedef enum CzPruneKind
{
	CZ_PRUNE_VALUE,				/* the key of one shard */
	CZ_PRUNE_ARRAY,				/* an array of keys of several shards */
	CZ_PRUNE_RANGE				/* an array of the least and the greatest key that
								 * can have rows; NULL: no such bound */
} CzPruneKind;

/* What the text of an error on a worker has where a condition of a policy or a view in ON
 * CONFLICT does not hold; its number in conflict_checks follows. */
#define CZ_CHECK_TEXT "cz~check~"

/* A WITH CHECK condition: positions in its list. */
enum CzCheckPos
{
	CZ_CHECK_KIND,				/* Integer, WCOKind */
	CZ_CHECK_RELATION,			/* String, table or view */
	CZ_CHECK_POLICY				/* String, "": not known */
};

/*
 * A shipment: rows that are computed on the coordinator first and sent along, where
 * fragments read them like a table with the columns c1, c2, ...
 *
 * Broadcast: every fragment gets all rows.  Repartition: a row goes to the fragment of
 * the anchor's shard that its value in partition_column belongs to (NULL has a shard,
 * too).
 */
typedef struct CzShipment
{
	int			plan_id;		/* 1-based index in PlannedStmt.subplans: the plan
								 * whose rows are shipped; not correlated */
	char	   *label;			/* EXPLAIN: what it is, for people */
	int			partition_column;	/* 1-based; 0: broadcast */
	bool		by_index;		/* it has the index of the shard (int4), not a key; only
								 * at execution */
	List	   *column_types;	/* OIDs; never empty */
	List	   *column_typmods; /* ints */
	List	   *column_collations;	/* OIDs */
	double		rows;			/* estimate */
} CzShipment;

/*
 * Rows are locked one after another until there are enough: the plan's own text reads
 * and locks the rows with given ids (a row of FROM is named by the ctids of its
 * tables, which are the last columns of the text), and the candidates tell which ids
 * might be next.  See lock_scan.c.
 *
 * Behind the plan's own parameters follow those of the candidates and the number of
 * rows wanted (int8, NULL: all).
 */
typedef struct CzLocks
{
	struct CzFragmentPlan *candidates;	/* its columns: sort keys, ids, tables */
	int			limit_param;	/* parameter of candidates: the most rows of each
								 * shard; -1: none */
	List	   *id_params;		/* ints: parameters of the plan; one is tid[], several
								 * are tid each */
	List	   *table_params;	/* ints by id: parameters of the plan, oid: the worker's
								 * tableoid of the row; -1: the table has no partitions */
	bool		may_wait;		/* a lock may be waited for */
	bool		may_skip;		/* SKIP LOCKED */
	bool		is_single;		/* ids may give several rows: they are locked one by
								 * one */
	bool		is_sorted;		/* the candidates of a shard come sorted */
	List	   *sort_operators; /* OIDs, of the first columns of candidates */
	List	   *sort_collations;	/* OIDs */
	List	   *sort_nulls_first;	/* ints, 0 or 1 */
} CzLocks;

/*
 * The template: a list of pieces.  A String is SQL text; an Integer i stands for
 * the quoted, qualified name of the shard of relation i (an index in relids); a
 * negative one, -1 - i, for what reads shipment i.  Behind each name an alias follows.
 * A List (i, before, after, most) stands for "IN (SELECT c1 FROM shipment i)", before and
 * after being the texts around the shipment, or for "= ANY (array)"; the worker's planner
 * is not to look into an array of more than most elements.
 * In a merged fragment the name of a relation is a sub-query in parentheses, the
 * UNION ALL of several shards.
 */
typedef struct CzFragmentPlan
{
	CzStrategy	strategy;
	CmdType		command;		/* CMD_SELECT, CMD_INSERT, CMD_UPDATE, CMD_DELETE */
	List	   *pieces;			/* String and Integer nodes */
	List	   *relids;			/* OIDs of parents, reference and foreign tables */
	Oid			anchor_relid;	/* the table whose shard list decides: all others
								 * are colocated with it or reference tables;
								 * InvalidOid: only reference tables (any worker) */
	bool		is_pruned;		/* shard_indexes is the list; else all shards */
	List	   *shard_indexes;	/* int list, static pruning */
	int			prune_param;	/* >= 0 (then it is nparams): one more expression
								 * follows the parameters, not sent, whose value
								 * decides the shards at execution (out of
								 * shard_indexes if is_pruned); -1: none */
	CzPruneKind prune_kind;		/* valid if prune_param >= 0; its elements are of a
								 * type that CzKeyConvert takes */
	int			nparams;		/* number of parameters $1.. in the text; their
								 * expressions are the node's custom_exprs (or
								 * fdw_exprs) in order, sent as text */
	List	   *lazy_pieces;	/* the template if a parameter's value cannot be
								 * computed: what may fail is left to the workers,
								 * which do it if a row needs it; NIL: none */
	int			lazy_nparams;	/* of it; their expressions are the last ones */
	List	   *lazy_params;	/* these, while the plan is made */
	Oid			check_as_user;	/* run as this role; InvalidOid: current user */
	List	   *function_oids;	/* EXECUTE is checked on these at start */
	bool		has_row_locks;	/* FOR UPDATE/SHARE: needs the transaction's
								 * connection of the first placement */
	bool		has_returning;	/* of a modifying command */
	List	   *checks;			/* of a modifying command, CzCheckPos lists: columns
								 * behind those that it returns to the statement say
								 * whether a new row passes each */
	List	   *replica_keys;	/* ints, attribute numbers of the anchor: the last
								 * columns are these of the rows that were changed, */
	List	   *replica_sets;	/* and these, that were assigned.  NIL: the text goes to
								 * all placements, else to the first only */
	bool		finds_one_row;	/* with replica_keys: by all of them */
	bool		replica_upserts;	/* of an INSERT: the rows may be there already; else the
									 * columns are all in replica_keys */
	bool		rows_are_given;	/* of an INSERT: whatever a placement has, it gets these
								 * rows; they are also what the node returns */
	bool		gives_rows;		/* of the same: somebody wants them */
	bool		is_uncounted;	/* rows don't count for the command tag */
	List	   *insert_attnos;	/* ints, attribute numbers of the anchor: the first
								 * parameters are these columns of the one row that is
								 * inserted, which decides the shard; NIL: no such
								 * INSERT */
	List	   *conflict_checks;	/* of ON CONFLICT, CzCheckPos lists: a worker's error
									 * tells which one failed */
	List	   *insert_checks;	/* of an INSERT of shipped rows, CzCheckPos lists: columns
								 * behind the shipment's say whether a row passes each */
	bool		insert_is_quiet;	/* to compute its parameters writes nothing but
									 * sequences */
	bool		is_ordered;		/* each fragment's rows are sorted (by what the
								 * query says): one fragment's order must be kept */
	List	   *column_types;	/* OIDs of the columns that fragments return */
	List	   *column_typmods; /* ints */
	char	   *reason;			/* EXPLAIN: why not a better strategy, or NULL */
	CzMerge		merge;
	List	   *relation_columns;	/* by relids: int lists, the parents' attribute
								 * numbers that the text uses (> 0) */
	List	   *shipments;		/* CzShipments */
	/* with merge sort keys rows come in this order over all fragments: */
	List	   *sort_columns;	/* ints, 1-based columns of the fragment; NIL: none */
	List	   *sort_operators; /* OIDs of btree < or > operators */
	List	   *sort_collations;	/* OIDs */
	List	   *sort_nulls_first;	/* ints, 0 or 1 */
	bool		locks_wait;		/* has_row_locks, and a lock may be waited for: the
								 * fragments run one after another, in one order */
	CzLocks    *locks;			/* or NULL */
	bool		takes_duplicates;	/* who reads the rows asks only whether there are such:
									 * a fragment that has shown some may start again */
	bool		is_small;		/* few rows and little work: best read at once */
	bool		has_row_ids;	/* it reads ctids, xmins, ...: at the first placements */
	List	   *row_id_columns;	/* ints, from 1: columns that are workers' ctids, to be
								 * encoded (rowid.h) with the fragment's shard */
	List	   *row_id_params;	/* ints, from 0: parameters, of type tid or tid[], that
								 * are decoded for each shard */
	List	   *row_id_lists;	/* the same, arrays: only the elements of the shard */
	double		cost;			/* estimated work of all fragments, in units of
								 * seq_page_cost; 0: not known */
} CzFragmentPlan;

extern List *CzFragmentPlanToList(const CzFragmentPlan *plan);
extern CzFragmentPlan *CzFragmentPlanFromList(List *list);

/* The SQL text for shard number shard_index of the anchor; palloc'd. */
extern char *CzFragmentSql(const CzFragmentPlan *plan, int shard_index);

/*
 * The same for several shards (int list) in one statement.
 *
 * shipment_texts: what stands for each shipment; NULL: CzShipmentSql of each, the
 * parameters counted on from plan->nparams.
 * shipment_arrays: by shipment: its first column as an array, to be put into "= ANY ()"
 * where the template allows; NULL, or NULL in it: none.
 * shipment_rows: with shipment_arrays, how many elements they have.
 */
extern char *CzFragmentSqlOfShards(const CzFragmentPlan *plan, List *shard_indexes,
								   char **shipment_texts, char **shipment_arrays,
								   const int64 *shipment_rows);

/* A shipment as a FROM item over array parameters from number first_param on; palloc'd. */
extern char *CzShipmentSql(const CzShipment *shipment, int first_param);

/* Do a column's values travel in an array of text, as their type has no array? */
extern bool CzShipmentColumnIsText(Oid type_oid);

/* " COLLATE x" where a column needs it, else "". */
extern char *CzShipmentColumnCollate(const CzShipment *shipment, int column);

/* While it is so, no distributed table has triggers: for statements whose triggers are fired
 * by who runs them (executor/conflict.c). */
extern bool cz_triggers_are_suspended;

/* CustomScan "CzFragmentScan" (executor): custom_private is CzFragmentPlanToList(). */
extern const struct CustomScanMethods cz_fragment_scan_methods;

/* CustomScan "CzInsertSource" (executor), between a ModifyTable and its sub-plan, which is
 * its lefttree: custom_private is an Integer, the target's range-table index. */
extern const struct CustomScanMethods cz_insert_source_methods;

#endif							/* CZ_FRAGMENT_H */
