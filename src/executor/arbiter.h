/*-------------------------------------------------------------------------
 *
 * arbiter.h
 *	  The unique indexes in which a row may conflict, as conditions and as a set of rows.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_ARBITER_H
#define CZ_ARBITER_H

#include "nodes/execnodes.h"
#include "utils/rel.h"

typedef struct CzArbiter CzArbiter;

/*
 * CzArbiterBegin
 *		Look at the indexes that core has inferred from a conflict target, one at least.
 *
 * indexes: of the parent; all have the same columns and expressions.
 * Returns: in es_query_cxt, which is the current context.
 */
extern CzArbiter *CzArbiterBegin(ModifyTableState *mtstate, Relation rel, List *indexes);

/*
 * CzArbiterTarget
 *		Make the conflict target from which the same indexes are inferred again.
 *
 * conflict: of a query whose target is relation 1.
 */
extern void CzArbiterTarget(CzArbiter *arbiter, OnConflictExpr *conflict);

/*
 * CzArbiterNulls
 *		Which of the columns and expressions are null in a row, where one null is no other
 *		null for an index: NULL.
 *
 * Returns: in the current context; for CzArbiterQuals.
 */
extern Bitmapset *CzArbiterNulls(CzArbiter *arbiter, TupleTableSlot *row);

/*
 * CzArbiterQuals
 *		The condition of being in the way of a row, over relation 1; the columns of that
 *		row are the parameters of their attribute numbers.
 */
extern Node *CzArbiterQuals(CzArbiter *arbiter, Bitmapset *nulls);

/* Rows of a statement: as it has found them, as it has left them. */
typedef enum CzArbiterRows
{
	CZ_ARBITER_OLD,
	CZ_ARBITER_NEW
} CzArbiterRows;

#define CZ_ARBITER_ROWS (CZ_ARBITER_NEW + 1)

/*
 * CzArbiterNote
 *		Note a row that the statement has written.
 */
extern void CzArbiterNote(CzArbiter *arbiter, CzArbiterRows which, TupleTableSlot *row);

/*
 * CzArbiterWasNoted
 *		Was it, or one that is in its way?
 */
extern bool CzArbiterWasNoted(CzArbiter *arbiter, CzArbiterRows which, TupleTableSlot *row);

#endif							/* CZ_ARBITER_H */
