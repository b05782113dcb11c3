/*-------------------------------------------------------------------------
 *
 * own_rows.h
 *	  Rows that a statement of several parts has written itself.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_OWN_ROWS_H
#define CZ_OWN_ROWS_H

#include "nodes/execnodes.h"

#include "arbiter.h"

typedef struct CzOwnRows CzOwnRows;

/*
 * CzOwnRowsRegister
 *		A part of the statement will ask whether a row in its way is one that the statement
 *		has written.  To be called at the executor's start.
 *
 * arbiter: lives as long as the statement.
 */
extern void CzOwnRowsRegister(EState *estate, Oid relid, CzArbiter *arbiter);

/*
 * CzOwnRowsFind
 *		What is known of a table's rows; NULL: nobody asks.  Not before all parts have
 *		been initialized.
 */
extern CzOwnRows *CzOwnRowsFind(const EState *estate, Oid relid);

/*
 * CzOwnRowsNote
 *		Note what a part has written, for all who ask.
 *
 * own: or NULL.
 * old_row, new_row: NULL: there was, or is, none.
 */
extern void CzOwnRowsNote(CzOwnRows *own, TupleTableSlot *old_row, TupleTableSlot *new_row);

/*
 * CzOwnRowsHas
 *		Has a part changed or removed a row that was there when the statement began?
 *
 * own: or NULL.
 */
extern bool CzOwnRowsHas(CzOwnRows *own, TupleTableSlot *row);

#endif							/* CZ_OWN_ROWS_H */
