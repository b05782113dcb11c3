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

/*
 * The template: a list of pieces.  A String is SQL text; an Integer i stands for
 * the quoted, qualified name of the shard of relation i (an index in relids).
 */
typedef struct CzFragmentPlan
{
	CzStrategy	strategy;
	CmdType		command;		/* CMD_SELECT, CMD_UPDATE, CMD_DELETE */
	List	   *pieces;			/* String and Integer nodes */
	List	   *relids;			/* OIDs of parents, reference and foreign tables */
	Oid			anchor_relid;	/* the table whose shard list decides: all others
								 * are colocated with it or reference tables;
								 * InvalidOid: only reference tables (any worker) */
	bool		is_pruned;		/* shard_indexes is the list; else all shards */
	List	   *shard_indexes;	/* int list, static pruning */
	int			prune_param;	/* >= 0 (then it is nparams): one more expression
								 * follows the parameters, not sent, of the type of the
								 * distribution column, whose value decides the
								 * one shard at execution; -1: none */
	int			nparams;		/* number of parameters $1.. in the text; their
								 * expressions are the node's custom_exprs (or
								 * fdw_exprs) in order, sent as text */
	Oid			check_as_user;	/* run as this role; InvalidOid: current user */
	List	   *function_oids;	/* EXECUTE is checked on these at start */
	bool		has_row_locks;	/* FOR UPDATE/SHARE: needs the transaction's
								 * connection of the first placement */
	bool		has_returning;	/* of a modifying command */
	bool		is_ordered;		/* each fragment's rows are sorted (by what the
								 * query says): one fragment's order must be kept */
	List	   *column_types;	/* OIDs of the columns that fragments return */
	List	   *column_typmods; /* ints */
	char	   *reason;			/* EXPLAIN: why not a better strategy, or NULL */
} CzFragmentPlan;

extern List *CzFragmentPlanToList(const CzFragmentPlan *plan);
extern CzFragmentPlan *CzFragmentPlanFromList(List *list);

/* The SQL text for shard number shard_index of the anchor; palloc'd. */
extern char *CzFragmentSql(const CzFragmentPlan *plan, int shard_index);

/* CustomScan "CzFragmentScan" (executor): custom_private is CzFragmentPlanToList(). */
extern const struct CustomScanMethods cz_fragment_scan_methods;

#endif							/* CZ_FRAGMENT_H */
