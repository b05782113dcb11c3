/*-------------------------------------------------------------------------
 *
 * seal.h
 *	  Rows that are outside of the keys that their shard is sealed with.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_SEAL_H
#define CZ_SEAL_H

#include "executor/tuptable.h"
#include "utils/relcache.h"

#include "cz/metadata.h"

/*
 * CzSealAdmit
 *		A row with this key is about to be written to shard number index of a table: if the
 *		shard is sealed and the key is outside, the seal is removed first.  Where that cannot
 *		be done, the worker refuses the row (40001).
 * CzSealAdmitSlot
 *		The same of a row of the table, and one of its shards.
 * CzSealAdmitRow
 *		The same of a row that has a leaf's columns.
 */
extern void CzSealAdmit(const CzTable *table, int index, Datum key, bool isnull);
extern void CzSealAdmitSlot(const CzTable *table, const CzShard *shard, TupleTableSlot *slot);
extern void CzSealAdmitRow(const CzShard *shard, Relation leaf, TupleTableSlot *slot);

/*
 * What removes the seal of shard number index (cluster/seal.c): in this transaction if it has
 * used the shard's nodes already, else outside of it.
 */
extern void (*cz_unseal_hook) (const CzTable *table, int index);

#endif							/* CZ_SEAL_H */
