/*-------------------------------------------------------------------------
 *
 * executor.h
 *	  Running fragments: a stream of rows from many workers, and the plan
 *	  nodes over it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_EXECUTOR_H
#define CZ_EXECUTOR_H

#include "commands/explain.h"
#include "cz/fragment.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/parsenodes.h"

typedef struct CzStream CzStream;

/*
 * CzStreamBegin
 *		Prepare to run a fragment plan; sends nothing before the first
 *		CzStreamNext (or CzStreamRunModify).
 *
 * param_exprs: ExprStates of plan->nparams expressions, evaluated in econtext
 *		at (re)start.
 * tupdesc: shape of the rows that fragments return (column_types).
 * Errors:  42501 where EXECUTE on a function is missing.
 */
extern CzStream *CzStreamBegin(const CzFragmentPlan *plan, List *param_exprs,
							   PlanState *parent, TupleDesc tupdesc);

/* Keep all rows, so that a rescan without changed parameters returns the same
 * ones: for EXEC_FLAG_REWIND.  Call before the first row. */
extern void CzStreamSetRewind(CzStream *stream);

/* Store the next row as a virtual tuple; false (slot cleared) at the end. */
extern bool CzStreamNext(CzStream *stream, TupleTableSlot *slot);

/* Run an UPDATE or DELETE on all placements of all its shards; returns rows
 * affected (counted once per shard); RETURNING rows come with CzStreamNext. */
extern uint64 CzStreamRunModify(CzStream *stream);

/* Start again; params_changed false: rows may come from the store. */
extern void CzStreamRescan(CzStream *stream, bool params_changed);
extern void CzStreamEnd(CzStream *stream);

/* What EXPLAIN shows of a fragment plan and, stream not NULL, of its run. */
extern void CzStreamExplain(CzStream *stream, const CzFragmentPlan *plan,
							PlanState *node, List *ancestors, ExplainState *es);

/*
 * CzCopyRows
 *		COPY FROM into a distributed table: all rows that a CopyFromState, begun for
 *		stmt, gives.
 *
 * Returns: rows stored.
 * Errors: 0A000 with FREEZE.
 */
struct CopyFromStateData;
extern uint64 CzCopyRows(struct CopyFromStateData *cstate, const CopyStmt *stmt);

/*
 * CzDeferredSet
 *		Follow a SET CONSTRAINTS that core has done: deferrable triggers of distributed tables.
 *
 * Errors: those of triggers that are fired.
 */
extern void CzDeferredSet(ConstraintsSetStmt *stmt);

/*
 * CzDeferredCheck
 *		A command is about to change or drop a table.
 *
 * Errors: 55006 if deferred triggers of the table are still to fire.
 */
extern void CzDeferredCheck(Oid relid, const char *command);

extern void CzExecutorInit(void);

#endif							/* CZ_EXECUTOR_H */
