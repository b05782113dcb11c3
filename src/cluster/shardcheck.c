/*-------------------------------------------------------------------------
 *
 * shardcheck.c
 *	  The CHECK constraint of a shard: its rows belong to it.
 *
 * Range shards have one.  Hash shards have one where cz.check_fragments is on, to find
 * our own mistakes: a worker reads and plans the expression anew in each INSERT and
 * UPDATE, which costs it a third of the whole statement.  Nothing depends on it.  Which
 * shard a row belongs to is decided by the coordinator alone, for writes as for reads,
 * and a worker whose hash functions differ is found when it is checked as a node.
 *
 * For a hash shard core's partition hash is written in plain SQL:
 *		hash = hash_combine64(0, extended_hash(key, HASH_PARTITION_SEED))
 * where hash_combine64(0, h) is h + 0x49a0f4dd15e5a8e3 modulo 2^64, so with a
 * modulus that is a power of two only the low bits matter.  A worker on which
 * the same value hashes otherwise refuses the row instead of hiding it.  A
 * NULL key makes the CHECK unknown, which passes.
 *
 * Some types' hash functions can't be called in SQL on the type (bytea's takes
 * "internal", date's takes an integer): date is written as days since
 * 2000-01-01, the others get no CHECK.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/hash.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "partitioning/partbounds.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "access/htup_details.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "distribute_int.h"

/* partbounds.c and hashfn.h: HASH_PARTITION_SEED and hash_combine64's constant */
#define PARTITION_SEED "8816678312871386365"
#define COMBINE_CONSTANT UINT64CONST(0x49a0f4dd15e5a8e3)

/* What is true of a hash shard's rows, or NULL where plain SQL can't say it. */
static char *
hash_expr(Relation rel, const CzDistribution *dist, const CzShard *shard)
{
	Oid			base = getBaseType(dist->key_type);
	Oid			function = hash_base_compat(get_opfamily_proc(dist->key_opfamily,
															  dist->key_base_type,
															  dist->key_base_type,
															  HASHEXTENDED_PROC));
	const char *column = quote_identifier(get_attname(RelationGetRelid(rel),
													  dist->key_attno, false));
	HeapTuple	tuple;
	Form_pg_proc form;
	char	   *argument;
	char	   *result = NULL;
	int			mask = shard->modulus - 1;

	if (!OidIsValid(function))
		return NULL;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);

	if (base == DATEOID)
		argument = psprintf("CASE WHEN pg_catalog.isfinite(%s) THEN %s OPERATOR(pg_catalog.-) '2000-01-01'::pg_catalog.date END",
							column, column);
	else if (form->proargtypes.values[0] != INTERNALOID &&
			 (base == form->proargtypes.values[0] ||
			  IsBinaryCoercible(base, form->proargtypes.values[0])) &&
			 can_coerce_type(1, &base, &form->proargtypes.values[0], COERCION_IMPLICIT))
		argument = psprintf("%s", column);
	else
		argument = NULL;

	if (argument)
		result = psprintf("((%s(%s, " PARTITION_SEED ") OPERATOR(pg_catalog.&) %d)"
						  " OPERATOR(pg_catalog.+) %d) OPERATOR(pg_catalog.&) %d OPERATOR(pg_catalog.=) %d",
						  quote_qualified_identifier(get_namespace_name(form->pronamespace),
													 NameStr(form->proname)),
						  argument, mask, (int) (COMBINE_CONSTANT & mask), mask,
						  shard->remainder);
	ReleaseSysCache(tuple);
	return result;
}

/* The same for the half-open range [min, max), of which NULL is no bound; NULL if it has none. */
static char *
range_expr(Relation rel, const CzDistribution *dist, const char *min, const char *max)
{
	const char *column = quote_identifier(get_attname(RelationGetRelid(rel),
													  dist->key_attno, false));
	const char *type = format_type_extended(dist->key_type, -1, FORMAT_TYPE_FORCE_QUALIFY);
	StringInfoData sql;

	if (min == NULL && max == NULL)
		return NULL;
	initStringInfo(&sql);
	if (min != NULL)
		appendStringInfo(&sql, "%s >= %s::%s", column, quote_literal_cstr(min), type);
	if (max != NULL)
		appendStringInfo(&sql, "%s%s < %s::%s", min != NULL ? " AND " : "", column,
						 quote_literal_cstr(max), type);
	return sql.data;
}

static char *
constraint_sql(const char *expr)
{
	return expr ? psprintf("CONSTRAINT " CZ_SHARD_CONSTRAINT " CHECK (%s)", expr) : NULL;
}

/*
 * CzHashCheckSql
 *		"CONSTRAINT cz_shard CHECK (...)" for a shard, or NULL where none is
 *		wanted or plain SQL can't say it.
 */
char *
CzHashCheckSql(Relation rel, const CzDistribution *dist, const CzShard *shard)
{
	return cz_check_fragments ? constraint_sql(hash_expr(rel, dist, shard)) : NULL;
}

/*
 * CzRangeCheckSql
 *		The same for the half-open range [min, max), of which NULL is no bound; NULL if it
 *		has none.
 */
char *
CzRangeCheckSql(Relation rel, const CzDistribution *dist, const char *min, const char *max)
{
	return constraint_sql(range_expr(rel, dist, min, max));
}

/*
 * CzShardRowsExpr
 *		See distribute_int.h.
 */
char *
CzShardRowsExpr(Relation rel, const CzTable *table, int index)
{
	CzDistribution dist;
	char	   *lower;
	char	   *upper;
	char	   *result;
	int			nestlevel;

	if (table->key_attno == 0)
		return NULL;
	CzTableDistribution(table, &dist);
	if (table->kind == CZ_TABLE_HASH)
		return hash_expr(rel, &dist, &table->shards[index]);
	nestlevel = CzPinTextSettings(CZ_PIN_TEXT | CZ_PIN_MONEY | CZ_PIN_DATE_ORDER);
	CzShardBounds(table, index, &lower, &upper);
	result = range_expr(rel, &dist, lower, upper);
	CzUnpinTextSettings(nestlevel);
	return result;
}

/*
 * CzShardCheckSql
 *		See distribute_int.h.
 */
char *
CzShardCheckSql(Relation rel, const CzTable *table, int index)
{
	if (table->kind == CZ_TABLE_HASH && !cz_check_fragments)
		return NULL;
	return constraint_sql(CzShardRowsExpr(rel, table, index));
}
