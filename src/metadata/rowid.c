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

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "cz/rowid.h"

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

/*
 * CzRowIdEncode
 *		See rowid.h.
 */
void
CzRowIdEncode(const CzTable *table, int shard_index, const ItemPointerData *local,
			  ItemPointer result)
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
	ItemPointerSet(result, (BlockNumber) whole, offset);
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
	ItemPointerSet(local, (BlockNumber) (whole & (((uint64) 1 << bits) - 1)), offset);
	return shard_index;
}

/*
 * CzRowIdLocal
 *		See rowid.h.
 */
void
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
}
