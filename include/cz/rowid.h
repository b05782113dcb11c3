/*-------------------------------------------------------------------------
 *
 * rowid.h
 *	  The ctid of a row of a distributed table: which shard, and where there.
 *
 * A worker's ctid names a row of one shard.  What the coordinator shows instead has the
 * shard's index in the upper bits of the block number, as many as the number of shards
 * needs (none with one shard), and so names one row of the whole table.  Row ids of one
 * table sort by shard, then as the worker sorts them.  All tables of a colocation group
 * count alike.  No worker ever sees such an id.
 *
 * The same ctid is another row on another placement of the shard.  So the upper bits of
 * the offset, which no page needs, say which one it was read at: its place in the list of
 * the shard's placements, whether they are active or not, and how often that has changed
 * (number_base).  Of more than eight placements, or moves, some look alike.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_ROWID_H
#define CZ_ROWID_H

#include "storage/itemptr.h"

#include "cz/metadata.h"

/* Placements that a ctid tells apart */
#define CZ_ROWID_PLACEMENTS 8

/*
 * CzRowIdIsKey
 *		Is a value of this type, which equals what rows of the table are confined to
 *		shards by, their ctid?  Else it is their distribution column, or nothing.
 */
extern bool CzRowIdIsKey(const CzTable *table, Oid type);

/*
 * CzRowIdEncode
 *		The id in the whole table of a row of one of its shards.
 *
 * server_oid: of the placement where it was read.
 * result: may be the same as local.
 *
 * Errors:  54000 if the shard has more blocks than the remaining bits can count.
 */
extern void CzRowIdEncode(const CzTable *table, int shard_index, Oid server_oid,
						  const ItemPointerData *local, ItemPointer result);

/*
 * CzRowIdDecode
 *		The shard that an id names, and the worker's ctid there.
 *
 * local: out; may be the same as id.
 *
 * Returns: the shard's index; -1 if the table has no such shard (no row has that id;
 *		local is not set).
 */
extern int	CzRowIdDecode(const CzTable *table, const ItemPointerData *id, ItemPointer local);

/*
 * CzRowIdPlacement
 *		The placement that an id was read at; -1: it is no row's.
 * CzRowIdIsAt
 *		Is that this one?
 */
extern int	CzRowIdPlacement(const ItemPointerData *id);
extern bool CzRowIdIsAt(const CzShard *shard, Oid server_oid, int placement);

/*
 * CzRowIdCheck
 *		Ids of a shard are about to be looked for at one of its placements: were they read
 *		there?
 *
 * placement: of CzRowIdPlacement; -1 is anywhere.
 *
 * Errors:  40001 if not.
 */
extern void CzRowIdCheck(const CzShard *shard, Oid server_oid, int placement);

/*
 * CzRowIdLocal
 *		What stands for an id in one shard: the worker's ctid if it is of that shard,
 *		else one that is less, or greater, than those of all rows there.  So every
 *		comparison with a ctid of that shard has the result that it has with the id.
 *
 * Returns: is it of that shard?
 */
extern bool CzRowIdLocal(const CzTable *table, int shard_index, const ItemPointerData *id,
						 ItemPointer local);

#endif							/* CZ_ROWID_H */
