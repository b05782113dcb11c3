/*-------------------------------------------------------------------------
 *
 * triggers.h
 *	  The triggers of a distributed table, fired as those of the user's table.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_TRIGGERS_H
#define CZ_TRIGGERS_H

#include "access/htup.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

typedef struct CzTriggers CzTriggers;

/* Kinds of actions, to be combined. */
#define CZ_ACTION(command) (1 << (int) (command))

/*
 * CzForeignCopy
 *		A relation as core's executor is to see it: one whose rows are elsewhere.
 *
 * Returns: palloc'd in CurrentMemoryContext, never to be closed; valid while rel is
 *		open.
 */
extern Relation CzForeignCopy(Relation rel);

/*
 * CzTargetInit
 *		A ResultRelInfo of a distributed table that core's functions take: triggers,
 *		ExecComputeStoredGenerated(), ExecWithCheckOptions().
 *
 * parent: stays open until the executor's end.
 * assigned: columns that an UPDATE assigns, numbered as in RangeTblEntry.updatedCols;
 *		used if rti is 0.
 * rti: the statement's range-table entry of the table; 0: one is made.
 * Returns: palloc'd in es_query_cxt; ri_FdwRoutine is NULL.
 */
extern ResultRelInfo *CzTargetInit(EState *estate, Relation parent, Bitmapset *assigned,
								   Index rti);

/*
 * CzDeferTriggers
 *		Have a ResultRelInfo's triggers of a distributed table fire when the statement ends,
 *		those that may be deferred by way of deferred.c.
 *
 * desc: a copy of the relation's; NULL: none.
 */
extern void CzDeferTriggers(TriggerDesc *desc);

/*
 * CzTriggersOfPart
 *		Have the statement around a query of core's foreign keys fire what it queues for
 *		a distributed table.
 *
 * Errors:  0A000 if there is no statement around it (logical replication).
 */
extern void CzTriggersOfPart(EState *estate, Relation rel);

/*
 * CzTriggersRunQuery
 *		Call functions of core's foreign keys within a statement, and fire at once the triggers
 *		that what they do queues.
 */
extern void CzTriggersRunQuery(void (*run) (void *arg), void *arg);

/*
 * CzKeyLooksMake
 *		Which foreign keys of a relation, and to it, whose triggers fire here can be looked at
 *		for many rows at once: palloc'd; NULL: none.  deferred: those that are now, or not.
 * CzKeyLooksNote
 *		A row of the relation has been written; its AFTER triggers are about to be queued.
 * CzKeyLookRow
 *		A trigger of a key (its own function is given) is to be called for a row, the new one if
 *		there is one: need it be?
 * CzKeyLooksForget
 *		A statement of this depth has fired its triggers.
 */
typedef struct CzKeyLooks CzKeyLooks;

typedef enum CzKeyLooked
{
	CZ_KEY_NOT_LOOKED,			/* nothing is known */
	CZ_KEY_PASSES,				/* there is nothing to do for it (any more) */
	CZ_KEY_HAS_TO_ACT			/* there was something to do */
} CzKeyLooked;

extern CzKeyLooks *CzKeyLooksMake(Relation rel, bool deferred);
extern void CzKeyLooksNote(CzKeyLooks *looks, Relation rel, CmdType command,
						   HeapTuple old_tuple, TupleTableSlot *new_slot);
extern CzKeyLooked CzKeyLookRow(Oid constraint_oid, Oid function, TupleTableSlot *slot);
extern void CzKeyLooksForget(int depth);

/* Has a table triggers that some of the actions (CZ_ACTION) may fire? */
extern bool CzTriggersExist(Relation rel, int actions);

/*
 * CzTriggersBegin
 *		Prepare to fire the triggers of one statement (or of one of several that stand
 *		in WITH) on a table.
 *
 * command: the statement's; CMD_MERGE: actions has what it may do, else it is not used.
 * parent, assigned, rti: as for CzTargetInit.
 * Context: the executor's start, not for EXPLAIN alone.
 * Returns: palloc'd in es_query_cxt; NULL, which all functions below take: no triggers.
 */
extern CzTriggers *CzTriggersBegin(EState *estate, Relation parent, CmdType command,
								   int actions, Bitmapset *assigned, Index rti);

/* Fire BEFORE STATEMENT; before the first row is read. */
extern void CzTriggersBeforeStatement(CzTriggers *triggers);

/* Fires BEFORE ROW something for a command?  Else CzTriggersBeforeRow does nothing. */
extern bool CzTriggersHasBeforeRow(CzTriggers *triggers, CmdType command);

/* Needs CzTriggersAfterRow the rows of a command?  Else it does nothing. */
extern bool CzTriggersHasAfterRow(CzTriggers *triggers, CmdType command);

/*
 * CzTriggersBeforeRow
 *		Fire BEFORE ROW for one row.
 *
 * old_tuple: of UPDATE and DELETE, all columns of the parent; borrowed.
 * new_slot: of INSERT and UPDATE, all columns; what triggers make of the row is put
 *		into it, and owned by it.
 * Returns: false if a trigger says that the row is to be left out.
 */
extern bool CzTriggersBeforeRow(CzTriggers *triggers, CmdType command,
								HeapTuple old_tuple, TupleTableSlot *new_slot);

/* Queue AFTER ROW of a row that has been applied, and keep it for transition tables. */
extern void CzTriggersAfterRow(CzTriggers *triggers, CmdType command,
							   HeapTuple old_tuple, TupleTableSlot *new_slot);

/* Queue AFTER STATEMENT; after the last row. */
extern void CzTriggersAfterStatement(CzTriggers *triggers);

/* Close what rows have opened; at the executor's end. */
extern void CzTriggersEnd(CzTriggers *triggers);

/* ---- routes.c: row triggers of tables that their users have partitioned ---- */

typedef struct CzRoutes CzRoutes;

/* CzTable.row_triggers of a table that its user has partitioned, else 0. */
extern int	CzRowTriggers(Relation rel);

/* May rows of a command fire some of them?  CMD_UPDATE: also what moves rows. */
extern bool CzRoutesHave(CzRoutes *routes, CmdType command, bool is_before);

/*
 * CzRoutesBegin
 *		Prepare to fire them.
 *
 * root: as it is; root_rri: by CzTargetInit or ModifyTable's, with the columns that the
 *		statement assigns.
 * Returns: palloc'd in es_query_cxt; NULL: the table has none.
 */
extern CzRoutes *CzRoutesBegin(EState *estate, Relation root, ResultRelInfo *root_rri);
extern void CzRoutesEnd(CzRoutes *routes);

/*
 * CzRoutesBeforeRow
 * CzRoutesAfterRow
 *		As CzTriggersBeforeRow and CzTriggersAfterRow; rows are the root's.
 *
 * capture: transition tables of the root's statement triggers; or NULL.
 */
extern bool CzRoutesBeforeRow(CzRoutes *routes, CmdType command, HeapTuple old_tuple,
							  TupleTableSlot *new_slot);
extern void CzRoutesAfterRow(CzRoutes *routes, CmdType command, HeapTuple old_tuple,
							 TupleTableSlot *new_slot, struct TransitionCaptureState *capture);

/*
 * CzRoutesCheckBetween
 *		A row leaves a partition of a root: refuse it if a key refers to a partitioned one between
 *		them.  Core can't hold that, either.
 *
 * held_here: only keys for which core's triggers fire here, for workers see the others.
 */
extern void CzRoutesCheckBetween(Relation root, Oid part_relid, bool held_here);

#endif							/* CZ_TRIGGERS_H */
