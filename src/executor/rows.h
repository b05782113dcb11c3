/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  Writes that are done row by row: what their files share.
 *
 * A write reads its *source* (CzRowSource), locks the rows, computes what becomes of
 * each, and keeps that in a *change set* (CzRowChangeSet).  The sets of a statement are
 * applied when it ends, in the order in which they were begun.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_ROWS_H
#define CZ_ROWS_H

#include "nodes/execnodes.h"
#include "storage/itemptr.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "cz/compat.h"
#include "cz/fragment.h"
#include "cz/metadata.h"
#include "cz/write.h"
#include "triggers.h"

/* What becomes of a row. */
typedef enum CzRowAction
{
	CZ_ROW_UPDATE,				/* it stays in its shard */
	CZ_ROW_DELETE,
	CZ_ROW_MOVE,				/* an UPDATE to another shard */
	CZ_ROW_INSERT
} CzRowAction;

#define CZ_ROW_ACTIONS (CZ_ROW_INSERT + 1)

/* What names a row of a table; hashed as bytes, so zeroed first. */
typedef struct CzRowName
{
	int32		shard;			/* index */
	Oid			table;			/* the worker's tableoid; InvalidOid: shards are not
								 * partitioned */
	ItemPointerData id;			/* the worker's ctid */
} CzRowName;

/*
 * Changes of one table's rows by one statement, or by one of several that stand in
 * WITH, that wait until the statement ends.
 */
typedef struct CzRowChangeSet
{
	PlanState  *parent;
	Relation	rel;			/* the user's table */
	const CzTable *table;
	Oid			user_oid;		/* on whose behalf */
	List	   *key;			/* as CzRowWrite's */
	List	   *assigned;		/* ints, attribute numbers: what an UPDATE sends */
	CzTriggers *triggers;		/* or NULL */
	Oid		   *first_oids;		/* by shard: the server where its rows are locked */
	TupleDesc	desc;			/* of a stored change, see rows_changes.c */
	Tuplestorestate *store;
	TupleTableSlot *slot;		/* for reading a change */
	HTAB	   *names;			/* CzRowName: the rows that are changed; NULL: no other
								 * set could have the same */
	bool		has_key_moves;	/* CzKeyMovesNeeded() for those that move */
	const char *parts_qual;		/* of CzRowPartsQual for the old rows */
	int64		limit;			/* only the first changes are applied; -1: all */
	int64		nread;			/* changes since CzRowChangeSetRewind */
	int64		counts[CZ_ROW_ACTIONS];
	Bitmapset  *shards[CZ_ROW_ACTIONS]; /* indexes, where the rows are or go */
	MemoryContext context;
	MemoryContext row_context;	/* reset for each row */
} CzRowChangeSet;

/* rows_changes.c */
typedef struct CzRowChange
{
	CzRowAction action;
	CzRowName	name;			/* shard -1: INSERT */
	int			new_shard;		/* of MOVE and INSERT */
} CzRowChange;

extern CzRowChangeSet *CzRowChangeSetBegin(PlanState *parent, Relation rel, Oid user_oid,
										   List *key, List *assigned, CzTriggers *triggers);
extern bool CzRowChangeSetClaim(CzRowChangeSet *set, const CzRowName *name);
extern void CzRowChangeSetRelease(CzRowChangeSet *set, const CzRowName *name);
extern void CzRowChangeSetKeepNames(CzRowChangeSet *set);
extern bool CzRowChangeSetHas(CzRowChangeSet *set, const CzRowName *name);
extern void CzRowChangeSetPut(CzRowChangeSet *set, const CzRowChange *change,
							  TupleTableSlot *new_slot, TupleTableSlot *old_slot);
extern void CzRowChangeSetRewind(CzRowChangeSet *set);
extern bool CzRowChangeSetNext(CzRowChangeSet *set, CzRowChange *change);
extern Datum CzRowChangeNew(CzRowChangeSet *set, AttrNumber attno, bool *isnull);
extern Datum CzRowChangeOld(CzRowChangeSet *set, AttrNumber attno, bool *isnull);
extern void CzRowChangeSetRows(CzRowChangeSet *set, TupleTableSlot *new_slot,
							   TupleTableSlot *old_slot);

/*
 * key_moves.c
 *
 * CzKeyMovesNeeded: would workers do the wrong thing about rows that refer to one that goes to
 *		another shard?  0A000 if it can't be avoided.
 * CzKeyMovesFire: do the right one; rows of the set that move have been inserted, and will be
 *		deleted where they were.  23503 if others refer to them.
 */
extern bool CzKeyMovesNeeded(Relation rel, const CzTable *table);
extern void CzKeyMovesFire(CzRowChangeSet *set);

/* rows_apply.c */
extern void CzRowChangeSetApply(CzRowChangeSet *set);
pg_noreturn extern void CzRaiseOwnChange(CmdType command);

/* rows_source.c */
#define CZ_READ_NOWHERE (-1)
#define CZ_READ_APART (-2)		/* at several placements */

typedef struct CzRowParts CzRowParts;

typedef struct CzRowSource
{
	PlanState  *parent;
	const CzTable *table;
	const CzRowWrite *write;
	TupleDesc	desc;			/* of rows: the shard's index (int4, -1: none), then the
								 * source's columns, the id being the worker's */
	HTAB	   *claimed;		/* CzRowName, of the change set; or NULL */
	TupleTableSlot *own_slot;	/* of the table's shape, for one row */
	Tuplestorestate *rows;
	Bitmapset  *shards;			/* that have rows */
	CzRowParts *parts;			/* that have rows; NULL: not known, or no partitions */
	int		   *read_at;		/* by shard: the placement, as CzRowIdPlacement has it */
	int64		nrows;			/* that have a shard */
	uint64		digest;			/* of the names and versions of all rows */
} CzRowSource;

extern CzRowSource *CzRowSourceBegin(PlanState *parent, Relation rel, const CzTable *table,
									 const CzRowWrite *write);
extern void CzRowSourceRead(CzRowSource *source);
extern void CzRowSourceReadAgain(CzRowSource *source);

/* rows_parts.c */
extern CzRowParts *CzRowPartsBegin(Relation rel, const CzRowWrite *write);
extern void CzRowPartsForget(CzRowParts *parts);
extern void CzRowPartsNote(CzRowParts *parts, const Datum *values, const bool *nulls);
extern char *CzRowPartsQual(CzRowParts *parts);

/* rows_send.c */

/* Rows that go with one statement, at most */
#define CZ_MAX_SENT_ROWS 10000

typedef struct CzRowFeed CzRowFeed;
typedef bool (*CzRowFeedNext) (void *arg, TupleTableSlot *slot, int64 *nbytes);

extern CzFragmentPlan *CzRowStatement(const CzTable *table, CmdType command,
									  const char *before, const char *middle,
									  const char *after, TupleDesc desc, Bitmapset *shards);
extern int64 CzRowsSend(PlanState *parent, const CzFragmentPlan *plan, TupleDesc desc,
						CzRowFeedNext next, void *arg);
extern bool CzRowsLock(CzRowSource *source);

/* rows.c */
extern bool CzIsModifyState(PlanState *state);

#endif							/* CZ_ROWS_H */
