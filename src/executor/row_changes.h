/*-------------------------------------------------------------------------
 *
 * row_changes.h
 *	  UPDATEs and DELETEs of rows of a reference table, as SQL for its copies.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_ROW_CHANGES_H
#define CZ_ROW_CHANGES_H

#include "cz/metadata.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

typedef struct CzRowChanges CzRowChanges;

extern CzRowChanges *CzRowChangesBegin(Relation rel, const CzShard *shard);
extern void CzRowChangesAdd(CzRowChanges *changes, TupleTableSlot *old_slot,
							TupleTableSlot *new_slot);
extern bool CzRowChangesIsEmpty(const CzRowChanges *changes);
extern bool CzRowChangesIsFull(const CzRowChanges *changes);
extern const char *CzRowChangesSql(CzRowChanges *changes, int64 *nrows);
extern bool CzRowChangesHaveKey(const CzRowChanges *changes);
extern char *CzRowChangesSqlOfSome(const CzRowChanges *changes, const bool *is_done);
extern char *CzRowChangesShown(const CzRowChanges *changes);
extern void CzRowChangesClear(CzRowChanges *changes);

#endif							/* CZ_ROW_CHANGES_H */
