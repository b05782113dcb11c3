/*-------------------------------------------------------------------------
 *
 * returned_old.h
 *	  RETURNING of the old row by INSERT ... ON CONFLICT that is done row by row.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_RETURNED_OLD_H
#define CZ_RETURNED_OLD_H

#include "nodes/execnodes.h"

typedef struct CzReturnedOld CzReturnedOld;

/*
 * CzReturnedOldBegin
 *		Prepare for the rows of a ModifyTable that has been initialized.
 *
 * Returns: NULL: RETURNING has nothing of the old row, and is left to core.
 */
extern CzReturnedOld *CzReturnedOldBegin(ModifyTableState *mtstate, ResultRelInfo *rri);

/*
 * CzReturnedOldRow
 *		Have core return what RETURNING is for a row that is inserted, or in the place of
 *		an old one.
 *
 * old_row: or NULL.
 */
extern void CzReturnedOldRow(CzReturnedOld *returned, TupleTableSlot *old_row,
							 TupleTableSlot *new_row, TupleTableSlot *plan_slot);

#endif							/* CZ_RETURNED_OLD_H */
