/*-------------------------------------------------------------------------
 *
 * routing.c
 *	  Which shard holds a key: PostgreSQL's own partition bounds decide.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/hash.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "partitioning/partbounds.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "metadata_int.h"

/*
 * CzShardIndexForValue
 *		See metadata.h.
 */
int
CzShardIndexForValue(const CzTable *table, Datum value, bool isnull)
{
	const CzTableEntry *entry = (const CzTableEntry *) table;
	Oid			collation = entry->collation;

	if (entry->bounds == NULL)
	{
		Assert(table->kind == CZ_TABLE_REFERENCE || table->kind == CZ_TABLE_FOREIGN ||
			   table->kind == CZ_TABLE_SINGLE || table->nshards == 0);
		return table->nshards == 0 ? -1 : 0;
	}

	if (table->kind == CZ_TABLE_HASH)
	{
		uint64		hash;

		/* COPY asks for each line */
		if (entry->support[0].fn_addr == hashint4extended && !isnull)
		{
			hash = hash_combine64(0, hash_bytes_uint32_extended((uint32) DatumGetInt32(value),
																HASH_PARTITION_SEED));
			Assert(hash == compute_partition_hash_value(1, entry->support, &collation,
														&value, &isnull));
		}
		else
			hash = compute_partition_hash_value(1, entry->support, &collation, &value,
												&isnull);
		return entry->bounds->indexes[hash % entry->bounds->nindexes];
	}
	else
	{
		int			index = -1;

		/* as get_partition_for_tuple(): NULL has no range, only a default */
		if (!isnull)
		{
			bool		is_equal;
			int			offset = partition_range_datum_bsearch(entry->support,
															   &collation,
															   entry->bounds, 1,
															   &value, &is_equal);

			index = entry->bounds->indexes[offset + 1];
		}
		return index >= 0 ? index : entry->bounds->default_index;
	}
}

/*
 * CzRangeGap
 *		See metadata.h.
 */
int
CzRangeGap(const CzTable *table, Datum value)
{
	const CzTableEntry *entry = (const CzTableEntry *) table;
	Oid			collation = entry->collation;
	bool		is_equal;
	int			place;

	Assert(table->kind == CZ_TABLE_RANGE);
	if (entry->bounds == NULL || table->nshards == 0)
		return 0;
	place = partition_range_datum_bsearch(entry->support, &collation, entry->bounds, 1, &value,
										  &is_equal) + 1;
	return entry->bounds->indexes[place] >= 0 || entry->bounds->default_index >= 0 ? -1 : place;
}

/*
 * CzRangeGapNeighbours
 *		See metadata.h.
 */
void
CzRangeGapNeighbours(const CzTable *table, int gap, int *before, int *after)
{
	PartitionBoundInfo bounds = ((const CzTableEntry *) table)->bounds;

	*before = *after = -1;
	if (bounds == NULL || table->nshards == 0)
		return;
	if (gap > 0)
		*before = bounds->indexes[gap - 1];
	if (gap < bounds->ndatums)
		*after = bounds->indexes[gap + 1];
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/*
 * CzKeyTypeConverts
 *		See metadata.h.
 */
bool
CzKeyTypeConverts(const CzTable *table, Oid type)
{
	Oid			key_type = table->key_type;

	if (type == key_type)
		return true;
	/* domains on both sides are stored as their base types */
	type = getBaseType(type);
	key_type = getBaseType(key_type);
	return (is_integer(type) && is_integer(key_type)) || IsBinaryCoercible(type, key_type);
}

/*
 * CzKeyConvert
 *		See metadata.h.
 */
bool
CzKeyConvert(const CzTable *table, Oid type, Datum value, Datum *key)
{
	Oid			key_type = table->key_type;
	int64		v;

	if (type != key_type)
	{
		type = getBaseType(type);
		key_type = getBaseType(key_type);
	}
	if (type == key_type || !is_integer(type) || !is_integer(key_type))
	{
		*key = value;
		return true;
	}
	v = type == INT2OID ? DatumGetInt16(value) :
		type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value);
	if (key_type == INT8OID)
		*key = Int64GetDatum(v);
	else if (key_type == INT4OID && v >= PG_INT32_MIN && v <= PG_INT32_MAX)
		*key = Int32GetDatum((int32) v);
	else if (key_type == INT2OID && v >= PG_INT16_MIN && v <= PG_INT16_MAX)
		*key = Int16GetDatum((int16) v);
	else
		return false;
	return true;
}

/*
 * CzShardsInRange
 *		See metadata.h.
 */
Bitmapset *
CzShardsInRange(const CzTable *table, const Datum *lower, const Datum *upper,
				bool with_upper)
{
	const CzTableEntry *entry = (const CzTableEntry *) table;
	PartitionBoundInfo bounds = entry->bounds;
	Oid			collation = entry->collation;
	Bitmapset  *result = NULL;
	int			i;

	Assert(table->kind == CZ_TABLE_RANGE);
	/* partition i lies between bounds i - 1, which belongs to it, and i */
	for (i = 0; i <= bounds->ndatums; i++)
	{
		if (bounds->indexes[i] < 0)
			continue;
		if (upper != NULL && i > 0)
		{
			Datum		value = *upper;
			int32		cmp = partition_rbound_datum_cmp(entry->support, &collation,
														 bounds->datums[i - 1],
														 bounds->kind[i - 1], &value, 1);

			if (cmp > 0 || (cmp == 0 && !with_upper))
				break;
		}
		if (lower != NULL && i < bounds->ndatums)
		{
			Datum		value = *lower;

			if (partition_rbound_datum_cmp(entry->support, &collation, bounds->datums[i],
										   bounds->kind[i], &value, 1) <= 0)
				continue;
		}
		result = bms_add_member(result, bounds->indexes[i]);
	}
	if (bounds->default_index >= 0)
		result = bms_add_member(result, bounds->default_index);
	return result;
}

/*
 * CzHashRemainders
 *		See metadata.h.
 */
int *
CzHashRemainders(const CzShard *shards, int nshards, int *modulus)
{
	int		   *result;
	int			i;
	int			j;

	*modulus = 1;
	for (i = 0; i < nshards; i++)
		*modulus = Max(*modulus, shards[i].modulus);
	result = palloc(sizeof(int) * *modulus);
	for (i = 0; i < nshards; i++)
	{
		for (j = shards[i].remainder; j < *modulus; j += shards[i].modulus)
			result[j] = i;
	}
	return result;
}

/*
 * CzHashRemainder
 *		See metadata.h.
 */
int
CzHashRemainder(Oid key_type, Oid collation, Datum value, bool isnull, int modulus)
{
	TypeCacheEntry *type = lookup_type_cache(key_type,
											 TYPECACHE_HASH_EXTENDED_PROC_FINFO);

	if (!OidIsValid(type->hash_extended_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an extended hash function for type %u",
						key_type)));
	return compute_partition_hash_value(1, &type->hash_extended_proc_finfo, &collation,
										&value, &isnull) % modulus;
}
