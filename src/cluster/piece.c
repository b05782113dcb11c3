/*-------------------------------------------------------------------------
 *
 * piece.c
 *	  What a shard is split into: how its pieces are made, which rows they take, and how they
 *	  take its place in the catalogs.
 *
 * A piece of a hash shard has a multiple of its modulus.  Core takes any set of moduli where
 * each divides the next greater one, and finds rows by the greatest.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cluster_int.h"
#include "cz/move.h"
#include "cz/settings.h"
#include "distribute_int.h"

/* A piece of a range shard has the shard's own bounds where it has none. */
static void
piece_bounds(const CzTable *table, int index, const CzPiece *piece, char **lower, char **upper)
{
	CzRangeBoundTexts(table, index, lower, upper);
	if (piece->lower != NULL)
		*lower = piece->lower;
	if (piece->upper != NULL)
		*upper = piece->upper;
}

/* The CHECK that a piece gets; NULL: none. */
static char *
check_sql(Relation rel, const CzTable *table, int index, const CzShard *shard,
		  const CzPiece *piece)
{
	CzDistribution dist;
	char	   *lower;
	char	   *upper;

	CzTableDistribution(table, &dist);
	if (table->kind == CZ_TABLE_HASH)
		return CzHashCheckSql(rel, &dist, shard);
	piece_bounds(table, index, piece, &lower, &upper);
	return CzRangeCheckSql(rel, &dist, lower, upper);
}

/* Is a bound, as text, below another one?  NULL: there is none. */
static bool
is_below(const CzTable *table, const char *a, const char *b)
{
	TypeCacheEntry *type = lookup_type_cache(table->key_type, TYPECACHE_CMP_PROC_FINFO);

	if (a == NULL || b == NULL)
		return true;
	if (!OidIsValid(type->cmp_proc))
		elog(ERROR, "type %s of a range-distributed table has no comparison",
			 format_type_be(table->key_type));
	return DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, table->key_collation,
										   CzRangeValue(table, a), CzRangeValue(table, b))) < 0;
}

/*
 * CzPieceBound
 *		See cluster.h.
 */
char *
CzPieceBound(const CzTable *table, int index, const char *before, const char *text)
{
	char	   *result = CzRangeText(table, text);
	char	   *lower;
	char	   *upper;

	CzRangeBoundTexts(table, index, &lower, &upper);
	if (before != NULL)
		lower = (char *) before;
	if (!is_below(table, lower, result) || !is_below(table, result, upper))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("split point %s is not between %s and %s", quote_literal_cstr(result),
						lower ? quote_literal_cstr(lower) : "MINVALUE",
						upper ? quote_literal_cstr(upper) : "MAXVALUE"),
				 errdetail("Split points ascend, and lie within the bounds of the shard.")));
	return result;
}

/*
 * CzPieceSql
 *		See cluster.h.
 */
char *
CzPieceSql(Relation rel, const CzTable *table, int index, const List *tree,
		   const CzPiece *piece, Oid server_oid, CzConn *from)
{
	const CzShard *shard = ((const CzTreeShard *) linitial(tree))->shard;
	CzTableDef *def = CzTableDefGet(rel);
	char	   *storage = CzStorageSql(from, table->shards[index].remote_qualified,
									   shard->remote_qualified);
	char	   *grants = CzGrantsSql(RelationGetRelid(rel), server_oid, shard->remote_qualified);
	StringInfoData sql;

	/* a worker's crash would empty one placement and leave the others */
	def->is_unlogged &= shard->nplacements == 1;
	initStringInfo(&sql);
	CzShardCreateSql(&sql, def, shard, check_sql(rel, table, index, shard, piece));
	if (storage)
		appendStringInfo(&sql, "%s;\n", storage);
	if (grants)
		appendStringInfo(&sql, "%s;\n", grants);
	if (table->is_partitioned)
		CzPartitionsSql(&sql, table, tree, server_oid);
	return sql.data;
}

/* The distribution column compared with a bound. */
static void
append_comparison(StringInfo sql, const CzTable *table, int strategy, const char *bound)
{
	Oid			operator = get_opfamily_member(table->key_opfamily, getBaseType(table->key_type),
											   getBaseType(table->key_type), strategy);
	HeapTuple	tuple;

	if (!OidIsValid(operator))
	{
		Oid			left;
		Oid			right;

		/* of another type that is stored alike */
		op_input_types(table->key_eq_opr, &left, &right);
		operator = get_opfamily_member(table->key_opfamily, left, right, strategy);
	}
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "operator family %u has no operator %d", table->key_opfamily, strategy);
	appendStringInfo(sql, "%s%c OPERATOR(%s.%s) %s::%s", sql->len > 0 ? " AND " : "",
					 CZ_PIECE_COLUMN,
					 quote_identifier(get_namespace_name(((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace)),
					 NameStr(((Form_pg_operator) GETSTRUCT(tuple))->oprname),
					 quote_literal_cstr(bound),
					 format_type_extended(table->key_type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	ReleaseSysCache(tuple);
}

/*
 * CzPieceFilter
 *		See cluster.h.
 */
char *
CzPieceFilter(const CzTable *table, const CzPiece *piece, const char *helper)
{
	StringInfoData sql;

	if (table->kind == CZ_TABLE_HASH)
		return psprintf("pg_catalog.satisfies_hash_partition(%s::pg_catalog.regclass, %d, %d, %c)",
						quote_literal_cstr(helper), piece->modulus, piece->remainder,
						CZ_PIECE_COLUMN);
	initStringInfo(&sql);
	if (piece->lower != NULL)
		append_comparison(&sql, table, BTGreaterEqualStrategyNumber, piece->lower);
	if (piece->upper != NULL)
		append_comparison(&sql, table, BTLessStrategyNumber, piece->upper);
	return sql.data;
}

/*
 * CzPieceHelperSql
 *		See cluster.h.
 */
char *
CzPieceHelperSql(const CzTable *table, const char *qualified, const char *helper)
{
	return psprintf("CREATE TABLE %s (LIKE %s) PARTITION BY HASH (%s)", helper, qualified,
					quote_identifier(table->column_names[table->key_attno - 1]));
}

/*
 * Of which number a partition's shards are, in the order of its root's, now that pieces have
 * taken the place of one.  before: the root as it was; names_before: the partition's then.
 */
static void
set_partition_names(const CzPieceTable *partition, const CzPieceTable *root, int npieces,
					const CzTable *before, const int64 *names_before)
{
	const CzTable *after = CzTableGet(root->relid);
	Datum	   *ids = palloc(sizeof(Datum) * after->nshards);
	Oid			argtypes[2] = {OIDOID, INT8ARRAYOID};
	Datum		values[2];
	int			i;
	int			j;

	for (i = 0; i < after->nshards; i++)
	{
		int64		id = 0;

		for (j = 0; j < before->nshards; j++)
		{
			if (before->shards[j].shard_id == after->shards[i].shard_id)
				id = names_before[j];
		}
		for (j = 0; j < npieces; j++)
		{
			if (root->shards[j].shard_id == after->shards[i].shard_id)
				id = partition->shards[j].name_id;
		}
		if (id == 0)
			elog(ERROR, "shard %d of table \"%s\" is none of those that it had", i,
				 get_rel_name(root->relid));
		ids[i] = Int64GetDatum(id);
	}
	values[0] = ObjectIdGetDatum(partition->relid);
	values[1] = PointerGetDatum(construct_array(ids, after->nshards, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	if (CzCatalogExec("UPDATE cz.partitions SET shard_ids = $2 WHERE relid OPERATOR(pg_catalog.=) $1",
					  2, argtypes, values, NULL) != 1)
		elog(ERROR, "table \"%s\" is not in cz.partitions", get_rel_name(partition->relid));
}

/* The numbers of a partition's shards. */
static int64 *
names_of(Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	int64	   *result = palloc(sizeof(int64) * table->nshards);
	int			i;

	for (i = 0; i < table->nshards; i++)
		result[i] = table->shards[i].name_id;
	return result;
}

/*
 * CzPiecesAttach
 *		See cluster.h.
 */
void
CzPiecesAttach(const CzPieceTable *split, int index, List *pieces)
{
	/* stays what it is now */
	const CzTable *table = CzTableGet(split->relid);
	Oid			parent_relid = OidIsValid(table->map_relid) ? table->map_relid : split->relid;
	List	   *names = NIL;
	List	   *bounds = NIL;
	List	   *leaves = NIL;
	CzDistribution dist;
	ListCell   *lc;
	ListCell   *lb;
	int			nestlevel;

	foreach(lc, split->partitions)
		names = lappend(names, names_of(((const CzPieceTable *) lfirst(lc))->relid));
	CzTableDistribution(table, &dist);
	foreach(lc, table->kind == CZ_TABLE_HASH ? NIL : pieces)
	{
		char	   *lower;
		char	   *upper;

		piece_bounds(table, index, lfirst(lc), &lower, &upper);
		bounds = lappend(bounds, list_make2(lower, upper));
	}
	CzLeafDrop(table->shards[index].relid);
	nestlevel = CzPinTextSettings(CZ_PIN_TEXT | CZ_PIN_MONEY | CZ_PIN_DATE_ORDER);
	/* of a hash table the bounds are in the shards */
	lb = list_head(bounds);
	foreach(lc, pieces)
	{
		List	   *both = lb ? lfirst(lb) : NIL;

		leaves = lappend_oid(leaves,
							 CzCreateShardRelation(parent_relid,
												   &split->shards[foreach_current_index(lc)],
												   &dist, both ? linitial(both) : NULL,
												   both ? lsecond(both) : NULL));
		lb = lb ? lnext(bounds, lb) : NULL;
	}
	CzUnpinTextSettings(nestlevel);
	CzLeavesAttach(parent_relid, leaves);
	CzInvalidateTable(split->relid);
	CommandCounterIncrement();
	foreach(lc, split->partitions)
		set_partition_names(lfirst(lc), split, list_length(pieces), table,
							list_nth(names, foreach_current_index(lc)));
	if (split->partitions != NIL)
	{
		CzInvalidateTable(split->relid);
		CommandCounterIncrement();
	}
}
