/*-------------------------------------------------------------------------
 *
 * admit.c
 *	  Rows that are about to be written to a sealed shard: are they within its keys?
 *
 * The seal is a CHECK of the shard on the workers, by which queries leave it out.  Who
 * writes outside of it does not know of it, so it goes before his row comes.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "cz/seal.h"
#include "cz/settings.h"

void		(*cz_unseal_hook) (const CzTable *table, int index) = NULL;

/* The keys that a shard is sealed with, of the table's entry that was asked for last. */
typedef struct SealKeys
{
	bool		is_known;
	Datum		min;
	Datum		max;
} SealKeys;

static MemoryContext keys_context = NULL;
static SealKeys *keys = NULL;	/* [nshards] */
static uint64 keys_serial = 0;

static Datum
read_key(Oid type, const char *text)
{
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(type, &input, &ioparam);
	return OidInputFunctionCall(input, unconstify(char *, text), ioparam, -1);
}

static const SealKeys *
keys_of(const CzTable *table, int index)
{
	SealKeys   *result;

	if (keys_context == NULL)
		keys_context = AllocSetContextCreate(CacheMemoryContext, "cz seals",
											 ALLOCSET_SMALL_SIZES);
	if (keys_serial != table->serial || keys == NULL)
	{
		keys = NULL;
		MemoryContextReset(keys_context);
		keys = MemoryContextAllocZero(keys_context, sizeof(SealKeys) * table->nshards);
		keys_serial = table->serial;
	}
	result = &keys[index];
	if (!result->is_known)
	{
		MemoryContext old = MemoryContextSwitchTo(keys_context);
		int			nestlevel = CzPinTextSettings(CZ_PIN_TEXT | CZ_PIN_MONEY | CZ_PIN_DATE_ORDER);

		result->min = read_key(table->key_type, table->seals[index].min);
		result->max = read_key(table->key_type, table->seals[index].max);
		CzUnpinTextSettings(nestlevel);
		MemoryContextSwitchTo(old);
		result->is_known = true;
	}
	return result;
}

/*
 * CzSealAdmit
 *		See cz/seal.h.
 */
void
CzSealAdmit(const CzTable *table, int index, Datum key, bool isnull)
{
	TypeCacheEntry *type;
	const SealKeys *sealed;

	/* a CHECK does not mind nulls */
	if (table->seals == NULL || isnull || cz_unseal_hook == NULL)
		return;
	/* the seal may have gone for an earlier row of the statement */
	table = CzTableGet(table->relid);
	if (table == NULL || table->seals == NULL || table->seals[index].min == NULL)
		return;
	type = lookup_type_cache(table->key_type, TYPECACHE_CMP_PROC_FINFO);
	if (!OidIsValid(type->cmp_proc))
		return;
	sealed = keys_of(table, index);
	if (DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, table->key_collation, key,
										sealed->min)) >= 0 &&
		DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, table->key_collation, key,
										sealed->max)) <= 0)
		return;
	cz_unseal_hook(table, index);
}

/*
 * CzSealAdmitSlot
 *		See cz/seal.h.
 */
void
CzSealAdmitSlot(const CzTable *table, const CzShard *shard, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		key;

	if (table->seals == NULL)
		return;
	key = slot_getattr(slot, table->key_attno, &isnull);
	CzSealAdmit(table, shard - table->shards, key, isnull);
}

/*
 * CzSealAdmitRow
 *		See cz/seal.h.
 */
void
CzSealAdmitRow(const CzShard *shard, Relation leaf, TupleTableSlot *slot)
{
	const CzTable *table = OidIsValid(shard->table_relid) ? CzTableGet(shard->table_relid) : NULL;
	AttrNumber	attno;
	bool		isnull;
	Datum		key;
	int			index;

	if (table == NULL || table->seals == NULL)
		return;
	index = CzShardIndexOf(table, shard->shard_id);
	attno = get_attnum(RelationGetRelid(leaf), get_attname(table->relid, table->key_attno, false));
	if (index < 0 || attno <= 0)
		return;
	key = slot_getattr(slot, attno, &isnull);
	CzSealAdmit(table, index, key, isnull);
}
