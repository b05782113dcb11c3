/*-------------------------------------------------------------------------
 *
 * aggregate_int.h
 *	  What aggregate.c (the split of a query) and aggparts.c (the split of one
 *	  aggregate) share.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_AGGREGATE_INT_H
#define CZ_AGGREGATE_INT_H

#include "nodes/primnodes.h"

#include "../planner_int.h"

/*
 * What an aggregate(DISTINCT ...) needs its fragments to group by, besides the groups
 * of the query.
 */
typedef struct CzDistinctSet
{
	List	   *exprs;			/* expressions of the original query */
	int			mask;			/* GROUPING() of the set; with grouping sets only */
} CzDistinctSet;

/* The state of splitting one query. */
typedef struct CzSplitContext
{
	Query	   *query;			/* becomes the outer query */
	Query	   *inner;			/* what the fragments compute */
	CzPlanState *state;
	bool		keys_known;		/* are the next two set? */
	List	   *keys;			/* Vars of the inner query that are the distribution
								 * column, and its equality classes */
	List	   *classes;
	const CzTable *anchor;		/* a table whose workers the fragments go to; or NULL */
	List	   *groups;			/* expressions grouped by, of the original query */
	List	   *group_columns;	/* int list: their columns in the inner query */
	List	   *extra_groups;	/* Vars of the leaf that depend on the groups */
	int			depth;			/* sub-queries that the mutator is inside of */
	List	   *sets;			/* CzDistinctSets */
	bool		has_plain;		/* an aggregate is not in any set */
	bool		uses_sets;		/* the fragments group by grouping sets, one for
								 * each of sets, one without */
	Var		   *set_column;		/* uses_sets: GROUPING() of the row, in the outer query;
								 * NULL: all rows are of one set */
	int			plain_mask;		/* its value in rows of the set of plain aggregates */
	List	   *distinct;		/* while one aggregate is split: its partial ones are
								 * DISTINCT (its argument has the distribution column) */
	List	   *functions;		/* OIDs of the aggregates */
	bool		has_weighted;	/* an ordered-set aggregate reads values with counts */
	const char *reason;			/* not NULL: it can't be split */
} CzSplitContext;

/* aggregate.c */
extern Var *cz_split_column(CzSplitContext *context, Node *expr);
extern Node *cz_split_filter(CzSplitContext *context);

/* aggparts.c */
extern Node *cz_split_one(CzSplitContext *context, Aggref *agg);
extern Node *cz_split_partial(CzSplitContext *context, Oid aggfn, Oid rettype, List *args,
							  Node *filter, Oid input_collation);

/* weighted.c */
extern Node *cz_weighted_value(Aggref *agg, CzPlanState *state);
extern Node *cz_make_weighted(Aggref *agg, Node *value, Node *weight, Node *filter,
							  CzPlanState *state);

/* aggstate.c */
extern Node *cz_split_by_state(CzSplitContext *context, Aggref *agg, List *args);

#endif							/* CZ_AGGREGATE_INT_H */
