/*-------------------------------------------------------------------------
 *
 * conflict.h
 *	  INSERT ... ON CONFLICT that is done row by row.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_CONFLICT_H
#define CZ_CONFLICT_H

#include "nodes/execnodes.h"
#include "utils/rel.h"

#include "triggers.h"

typedef struct CzConflict CzConflict;

/*
 * CzConflictBegin
 *		Prepare for the rows of a ModifyTable.
 *
 * rel: the parent as it is.
 * user_oid: on whose behalf workers are written.
 */
extern CzConflict *CzConflictBegin(ModifyTableState *mtstate, ResultRelInfo *rri,
								   Relation rel, Oid user_oid);

/* Row triggers of DO UPDATE are those of partitions. */
extern void CzConflictSetRoutes(CzConflict *conflict, CzRoutes *routes);

/* What became of a row. */
typedef enum CzConflictResult
{
	CZ_CONFLICT_INSERTED,
	CZ_CONFLICT_UPDATED,
	CZ_CONFLICT_NOTHING
} CzConflictResult;

/*
 * CzConflictRow
 *		Insert a row, or do what is to be done where it conflicts.
 *
 * *row: in: the row as BEFORE triggers have left it; out: the row that is stored.
 * Errors: 21000 if the statement has inserted or updated the row before; 40001.
 */
extern CzConflictResult CzConflictRow(CzConflict *conflict, TupleTableSlot **row);

#endif							/* CZ_CONFLICT_H */
