/*-------------------------------------------------------------------------
 *
 * merge_int.h
 *	  Private to the files of MERGE: what they know of a statement.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_MERGE_INT_H
#define CZ_MERGE_INT_H

#include "../planner_int.h"

/* Columns of the joined rows: id and xmin, as of every source, then the target's. */
#define TARGET_COLUMN(attno) (CZ_SOURCE_FIRST - 1 + (attno))

/* A sub-query that assigns several columns and must be computed once: it is volatile. */
typedef struct MergeMulti
{
	SubLink    *sublink;
	int			action;			/* that it is of, from 1 */
	AttrNumber	column;			/* of the level that computes it; 0: not known yet */
} MergeMulti;

/* Vars of it are columns of the MergeMultis, until it is known which columns these are. */
#define RTI_MULTI 60004

typedef struct MergeContext
{
	Query	   *query;			/* the MERGE */
	Oid			relid;
	int			natts;			/* of the target */
	List	   *joined;			/* TargetEntries of the joined rows */
	int			depth;			/* sub-queries around */
	List	   *multis;			/* MergeMultis; they take a level of their own */
	List	   *returned;		/* Vars of the source that RETURNING has */
	List	   *returned_columns;	/* ints: columns of what make_source() gives, for each */
} MergeContext;

/* merge.c */
extern Query *cz_merge_join(Query *query, JoinType type, Index *join_rti);
extern JoinType cz_merge_join_type(Query *query);
extern Query *cz_merge_select_from(Query *sub);
extern int	cz_merge_add_column(Query *query, Node *expr);
extern Var *cz_merge_column(List *targets, AttrNumber n);
extern CaseWhen *cz_merge_when(Node *condition, Node *result);
extern CaseExpr *cz_merge_case(Oid type, Oid collation, List *whens, Node *otherwise);
extern Node *cz_merge_is_number(Node *value, int number, Oid opno);
extern TargetEntry *cz_merge_assignment(MergeAction *action, AttrNumber attno);

/* merge_multi.c */
extern void cz_merge_split_assignments(Query *query, MergeContext *context);
extern Node *cz_merge_multi_row(SubLink *multi);
extern Query *cz_merge_compute_multis(Query *decided, List *rows, Node *number,
									  MergeContext *context);
extern List *cz_merge_set_multis(List *values, MergeContext *context);

/* merge_returning.c */
extern Node *cz_merge_check_qual(MergeContext *context);
extern List *cz_merge_returning(MergeContext *context);
extern void cz_merge_collect_returned(MergeContext *context);

#endif							/* CZ_MERGE_INT_H */
