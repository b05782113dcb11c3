/*-------------------------------------------------------------------------
 *
 * rowid.c
 *	  The ctid of a row of a distributed table: which shard, and where there.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "cz/rowid.h"

/*
 * Bits of an offset that are left for the worker's own.  A page has at most
 * MaxHeapTuplesPerPage rows, less than 1,200 if it is of 32 kB; greater offsets, as in the
 * upper end of a range, are no rows' (or those of a worker that has larger pages than this
 * server, which are not told apart).
 */
#define OFFSET_BITS 13
#define OFFSET_MASK ((1 << OFFSET_BITS) - 1)
#define MAX_TOLD_APART CZ_ROWID_PLACEMENTS

/* Bits of a block number that are left for the worker's own. */
static int
block_bits(const CzTable *table)
{
	int			bits = 32;
	int			nshards;

	for (nshards = table->nshards - 1; nshards > 0; nshards >>= 1)
		bits--;
	return bits;
}

/*
 * CzRowIdIsKey
 *		See rowid.h.
 */
bool
CzRowIdIsKey(const CzTable *table, Oid type)
{
	return type == TIDOID &&
		(table->kind == CZ_TABLE_HASH || table->kind == CZ_TABLE_RANGE) &&
		getBaseType(table->key_type) != TIDOID;
}

/* What an id says of the placement that it was read at. */
static int
number_of_placement(const CzShard *shard, Oid server_oid)
{
	int			i;

	for (i = 0; shard->all_oids != NULL && i < shard->nall; i++)
	{
		if (shard->all_oids[i] == server_oid)
			return (shard->number_base + i) % MAX_TOLD_APART;
	}
	return 0;
}

/*
 * CzRowIdEncode
 *		See rowid.h.
 */
void
CzRowIdEncode(const CzTable *table, int shard_index, Oid server_oid,
			  const ItemPointerData *local, ItemPointer result)
{
	int			bits = block_bits(table);
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(local);
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(local);
	uint64		whole = ((uint64) shard_index << bits) | block;

	Assert(shard_index >= 0 && shard_index < Max(table->nshards, 1));
	if ((uint64) block >> bits != 0 || (bits < 32 && whole == InvalidBlockNumber))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("shard %lld has too many blocks for a ctid of its table",
						(long long) table->shards[shard_index].shard_id),
				 errdetail("With %d shards, a ctid can name the first %llu blocks of each.",
						   table->nshards, (unsigned long long) 1 << bits)));
	if (offset > 0 && offset <= MaxHeapTuplesPerPage)
		offset |= number_of_placement(&table->shards[shard_index], server_oid) << OFFSET_BITS;
	ItemPointerSet(result, (BlockNumber) whole, offset);
}

/*
 * CzRowIdPlacement
 *		See rowid.h.
 */
int
CzRowIdPlacement(const ItemPointerData *id)
{
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(id);

	if ((offset & OFFSET_MASK) == 0 || (offset & OFFSET_MASK) > MaxHeapTuplesPerPage)
		return -1;
	return offset >> OFFSET_BITS;
}

/*
 * CzRowIdIsAt
 *		See rowid.h.
 */
bool
CzRowIdIsAt(const CzShard *shard, Oid server_oid, int placement)
{
	return number_of_placement(shard, server_oid) == placement;
}

/*
 * CzRowIdCheck
 *		See rowid.h.
 */
void
CzRowIdCheck(const CzShard *shard, Oid server_oid, int placement)
{
	if (placement < 0 || CzRowIdIsAt(shard, server_oid, placement))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to a change of placements of shard %lld",
					(long long) shard->shard_id),
			 errdetail("A ctid was read at another placement than the one that is used now, where another row may have it."),
			 errhint("Read the row again.")));
}

/*
 * CzRowIdDecode
 *		See rowid.h.
 */
int
CzRowIdDecode(const CzTable *table, const ItemPointerData *id, ItemPointer local)
{
	int			bits = block_bits(table);
	uint64		whole = ItemPointerGetBlockNumberNoCheck(id);
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(id);
	int			shard_index = (int) (whole >> bits);

	if (shard_index >= table->nshards)
		return -1;
	if (CzRowIdPlacement(id) >= 0)
		offset &= OFFSET_MASK;
	ItemPointerSet(local, (BlockNumber) (whole & (((uint64) 1 << bits) - 1)), offset);
	return shard_index;
}

/*
 * CzRowIdLocal
 *		See rowid.h.
 */
bool
CzRowIdLocal(const CzTable *table, int shard_index, const ItemPointerData *id,
			 ItemPointer local)
{
	ItemPointerData found;
	int			shard = CzRowIdDecode(table, id, &found);

	if (shard == shard_index)
		ItemPointerCopy(&found, local);
	else if (shard >= 0 && shard < shard_index)
		ItemPointerSet(local, 0, InvalidOffsetNumber);
	else
		ItemPointerSet(local, InvalidBlockNumber, PG_UINT16_MAX);
	return shard == shard_index;
}
