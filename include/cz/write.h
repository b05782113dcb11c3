/*-------------------------------------------------------------------------
 *
 * write.h
 *	  The value between planner and executor of a write that is done row by row:
 *	  lock, compute, apply.
 *
 * The rows come from the *source*, a sub-plan that reads the target and whatever it is
 * joined with, as a SELECT.  Its columns: the row's id (ctid of the whole table) and
 * xmin, the columns of the target's row that are needed, the new value of each assigned
 * column, and what RETURNING needs of other tables.  In a MERGE it is a join that keeps
 * rows of the other side, and says what is to be done with each row.
 *
 * It travels inside a plan node as a List (CzRowWriteToList), as CzFragmentPlan does.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_WRITE_H
#define CZ_WRITE_H

#include "cz/compat.h"
#include "nodes/nodes.h"
#include "nodes/pg_list.h"

/* Columns of every source, from 1. */
#define CZ_SOURCE_ID 1			/* tid */
#define CZ_SOURCE_XMIN 2		/* xid */
#define CZ_SOURCE_FIRST 3		/* the first one that is not fixed */

typedef struct CzRowWrite
{
	CmdType		command;		/* CMD_UPDATE, CMD_DELETE or CMD_MERGE */
	Oid			relid;			/* the distributed table */
	int			plan_id;		/* 1-based index in PlannedStmt.subplans: the source */
	char	   *source_name;	/* of its CTE, while the plan is made and for EXPLAIN */
	Oid			check_as_user;	/* write as this role; InvalidOid: current user */
	List	   *old_columns;	/* ints by attnum - 1: the source's column with the value
								 * that the row has; 0: dropped, or not needed */
	List	   *new_columns;	/* the same for the value that it is assigned; 0: none */
	List	   *extra_columns;	/* ints: columns of the source that the node gives out
								 * behind the columns of the row */
	int			table_column;	/* of the source, oid: the partition on the worker that has
								 * the row; 0: shards are not partitioned */
	List	   *key;			/* ints, attribute numbers: finds a row on the other
								 * placements of its shard; NIL: there is no such key */
	bool		may_move;		/* while the plan is made: rows may change their shard */
	bool		needs_row;		/* while the plan is made: all old columns are needed */
	bool		locks_key;		/* rows are locked FOR UPDATE, else FOR NO KEY UPDATE */
	bool		source_locks;	/* the source does that */
	bool		may_repeat;		/* the source may have a row several times: the first
								 * time counts */
	bool		gives_rows;		/* somebody reads the rows that the node gives out */
	bool		can_set_tag;	/* rows count for the command tag */
	List	   *assigned;		/* ints, attribute numbers that an UPDATE assigns */
	/* of a MERGE: */
	List	   *actions;		/* ints, CmdTypes: what the action with a number, from 1,
								 * does */
	int			action_column;	/* of the source, int4: that number; the id of a row that
								 * is to be inserted is NULL */
} CzRowWrite;

extern List *CzRowWriteToList(const CzRowWrite *write);
extern CzRowWrite *CzRowWriteFromList(List *list);

/* Is it a MERGE that has DO NOTHING alone?  Its rows are read and left. */
extern bool CzRowWriteDoesNothing(const CzRowWrite *write);

/*
 * Columns of a cursor's plan by which rows of a distributed table are found again: this, the
 * table's OID and, of a key, "_" and the attribute number; without a key nothing, for ctid,
 * and "_xmin".  Besides the ctid, where nobody else can change the row.
 */
#define CZ_CURSOR_ROW "cz_row_"	/* the cursor locks the rows */
#define CZ_CURSOR_READ "cz_read_"	/* it does not */
#define CZ_CURSOR_CTID "_ctid"

/* CustomScan "CzModify" (executor): custom_private is CzRowWriteToList(). */
extern const struct CustomScanMethods cz_modify_methods;

/*
 * CzRaiseCheck
 *		Raise what a row that does not pass a condition of a view or a policy deserves, as
 *		core does.
 *
 * kind: a WCOKind; policy: "" if it is not known.
 */
pg_noreturn extern void CzRaiseCheck(int kind, const char *relation,
						 const char *policy);

#endif							/* CZ_WRITE_H */
