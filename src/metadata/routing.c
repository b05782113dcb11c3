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
#include "nodes/parsenodes.h"
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
			   table->nshards == 0);
		return table->nshards == 0 ? -1 : 0;
	}

	if (table->kind == CZ_TABLE_HASH)
	{
		uint64		hash = compute_partition_hash_value(1, entry->support, &collation,
														&value, &isnull);

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
 * CzHashShardIndex
 *		See metadata.h.
 */
int
CzHashShardIndex(Oid key_type, Oid collation, Datum value, bool isnull, int nshards)
{
	TypeCacheEntry *type = lookup_type_cache(key_type,
											 TYPECACHE_HASH_EXTENDED_PROC_FINFO);

	if (!OidIsValid(type->hash_extended_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an extended hash function for type %u",
						key_type)));
	return compute_partition_hash_value(1, &type->hash_extended_proc_finfo, &collation,
										&value, &isnull) % nshards;
}
