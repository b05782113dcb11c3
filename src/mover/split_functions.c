/*-------------------------------------------------------------------------
 *
 * split_functions.c
 *	  The SQL functions that split shards.
 *
 * A hash shard of modulus M becomes p = 2^d pieces of modulus M * p.  One tenant cannot be
 * singled out of a hash, but nearly: the shard is halved, the half with the tenant is halved
 * again, and so on, until no other key is with it.  All in one split: of d + 1 pieces, whose
 * moduli are 2 M, 4 M, ... M * 2^d, and this once more.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/cluster.h"
#include "cz/gone.h"
#include "cz/move.h"
#include "cz/settings.h"
#include "mover_int.h"

PG_FUNCTION_INFO_V1(cz_split_shard);
PG_FUNCTION_INFO_V1(citus_split_shard_by_split_points);
PG_FUNCTION_INFO_V1(isolate_tenant_to_new_shard);
PG_FUNCTION_INFO_V1(alter_distributed_table_concurrently);

/* Greatest modulus: core keeps a number for each remainder, in each session */
#define MAX_MODULUS 65536
#define MAX_DEPTH 16

/* Workers by their ids, as many as there are pieces; NIL: NULL was given. */
static List *
nodes_of(ArrayType *array, int npieces)
{
	List	   *result = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			i;

	if (array == NULL)
		return NIL;
	deconstruct_array(array, INT4OID, 4, true, TYPALIGN_INT, &values, &nulls, &n);
	if (n != npieces)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node_ids has %d elements, but the shard becomes %d shards", n, npieces)));
	for (i = 0; i < n; i++)
	{
		Oid			server_oid;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("node_ids must not contain null")));
		server_oid = CzMoveNodeOfId(DatumGetInt32(values[i]));
		if (!CzNodeGet(server_oid)->is_active)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("node \"%s\" is not in use", CzNodeGet(server_oid)->name),
					 errhint("Use citus_activate_node().")));
		result = lappend_oid(result, server_oid);
	}
	return result;
}

/* The switch waits for all who have used the tables: not for who waits for the switch. */
static void
check_not_used(const CzTable *table)
{
	StringInfoData oids;
	ListCell   *lc;

	initStringInfo(&oids);
	foreach(lc, CzSplitRelids(table->colocation_id == 0 ? list_make1_oid(table->relid) :
							  CzGroupTables(table->colocation_id)))
		appendStringInfo(&oids, "%s%u", oids.len > 0 ? "," : "", lfirst_oid(lc));
	if (CzCatalogExec(psprintf("SELECT FROM pg_catalog.pg_locks l WHERE l.pid OPERATOR(pg_catalog.=) %d"
							   " AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.relation OPERATOR(pg_catalog.=) ANY ('{%s}'::pg_catalog.oid[])",
							   MyProcPid, oids.data), 0, NULL, NULL, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot split a shard of a table that the transaction has used"),
				 errdetail("The split would wait for its end.")));
}

static void
split(CzMoveSpec *spec, List *pieces, Oid mode)
{
	check_not_used(CzTableGet(spec->relid));
	spec->operation = CZ_MOVE_SPLIT;
	spec->mode = CzTransferModeOf(mode);
	spec->pieces = pieces;
	CzMoveRun(spec);
}

static CzPiece *
make_piece(int modulus, int remainder, Oid server_oid)
{
	CzPiece    *piece = palloc0(sizeof(CzPiece));

	piece->modulus = modulus;
	piece->remainder = remainder;
	piece->server_oid = server_oid;
	return piece;
}

/* The pieces of a hash shard; nodes: OIDs, NIL: where it is. */
static List *
equal_pieces(const CzShard *shard, int npieces, List *nodes)
{
	List	   *pieces = NIL;
	int			i;

	for (i = 0; i < npieces; i++)
		pieces = lappend(pieces, make_piece(shard->modulus * npieces,
											shard->remainder + shard->modulus * i,
											nodes ? list_nth_oid(nodes, i) : InvalidOid));
	return pieces;
}

/* A table whose rows are in one shard, whatever they are: what is asked for is not to be had. */
static void
refuse_without_key(const CzTable *table, const char *what)
{
	char	   *schema = get_namespace_name(get_rel_namespace(table->relid));

	if (table->kind != CZ_TABLE_SINGLE)
		return;
	if (cz_tenant_hooks.group(get_rel_namespace(table->relid)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s of table \"%s\"", what, CzNameOf(table->relid)),
				 errdetail("It belongs to schema \"%s\", which is a tenant: the shards of its tables are nobody else's.",
						   schema),
				 errhint("Use citus_schema_move() to move the schema to another worker.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot %s of table \"%s\"", what, CzNameOf(table->relid)),
			 errdetail("It has no distribution column by which rows could go to one shard or another."),
			 errhint("Use citus_move_shard_placement() to move its shard to another worker, or undistribute_table() and create_distributed_table() to distribute it by a column.")));
}

/*
 * cz_split_shard(shard_id bigint, pieces int, node_ids int[],
 *		shard_transfer_mode citus.shard_transfer_mode)
 */
Datum
cz_split_shard(PG_FUNCTION_ARGS)
{
	int			npieces = PG_ARGISNULL(1) ? 2 : PG_GETARG_INT32(1);
	List	   *pieces;
	List	   *nodes;
	CzMoveSpec	spec;
	const CzTable *table;
	const CzShard *shard;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null",
						PG_ARGISNULL(0) ? "shard_id" : "shard_transfer_mode")));
	memset(&spec, 0, sizeof(spec));
	CzMoveFindShard(PG_GETARG_INT64(0), &spec);
	table = CzTableGet(spec.relid);
	shard = &table->shards[spec.shard_index];
	refuse_without_key(table, "split the shard");
	if (table->kind != CZ_TABLE_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot split shard " INT64_FORMAT " into equal pieces", shard->shard_id),
				 errdetail("Table \"%s\" is distributed by range.", CzNameOf(table->relid)),
				 errhint("Use citus_split_shard_by_split_points().")));
	if (npieces < 2 || (npieces & (npieces - 1)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of pieces must be a power of two, from 2 on, not %d", npieces)));
	if (npieces > MAX_MODULUS / shard->modulus)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot split shard " INT64_FORMAT " into %d pieces", shard->shard_id, npieces),
				 errdetail("It has 1/%d of the hash values, the least that a shard can have is 1/%d.",
						   shard->modulus, MAX_MODULUS)));
	nodes = nodes_of(PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2), npieces);
	pieces = equal_pieces(shard, npieces, nodes);
	split(&spec, pieces, PG_GETARG_OID(3));
	PG_RETURN_VOID();
}

/*
 * citus_split_shard_by_split_points(shard_id bigint, split_points text[], node_ids int[],
 *		shard_transfer_mode citus.shard_transfer_mode)
 *		Of a range shard: each point is where a new one begins.
 */
Datum
citus_split_shard_by_split_points(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	char	   *before = NULL;
	List	   *pieces = NIL;
	List	   *nodes;
	CzMoveSpec	spec;
	const CzTable *table;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			i;

	memset(&spec, 0, sizeof(spec));
	CzMoveFindShard(PG_GETARG_INT64(0), &spec);
	table = CzTableGet(spec.relid);
	refuse_without_key(table, "split the shard");
	if (table->kind == CZ_TABLE_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot split hash shard " INT64_FORMAT " at split points", spec.shard_id),
				 errdetail("Shards of table \"%s\" have remainders of hash values, not ranges.",
						   CzNameOf(table->relid)),
				 errhint("Use cz_split_shard() or isolate_tenant_to_new_shard().")));
	CzCheckMayReadBounds(table);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("split_points must not be empty")));
	nodes = nodes_of(PG_GETARG_ARRAYTYPE_P(2), n + 1);
	for (i = 0; i <= n; i++)
	{
		CzPiece    *piece = make_piece(0, 0, list_nth_oid(nodes, i));

		if (i < n && nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("split_points must not contain null")));
		piece->lower = before;
		if (i < n)
			piece->upper = CzPieceBound(table, spec.shard_index, before,
										TextDatumGetCString(values[i]));
		before = piece->upper;
		pieces = lappend(pieces, piece);
	}
	split(&spec, pieces, PG_GETARG_OID(3));
	PG_RETURN_VOID();
}

/* A value as one of the distribution column, by its text form unless it is one. */
static Datum
key_of(const CzTable *table, Oid type, Datum value)
{
	Oid			input;
	Oid			ioparam;
	Oid			output;
	bool		is_varlena;
	char	   *text;

	if (type == table->key_type)
		return value;
	if (type == UNKNOWNOID)
		text = DatumGetCString(value);
	else
	{
		getTypeOutputInfo(type, &output, &is_varlena);
		text = OidOutputFunctionCall(output, value);
	}
	getTypeInputInfo(table->key_type, &input, &ioparam);
	return OidInputFunctionCall(input, text, ioparam, table->key_typmod);
}

static char *
key_text(const CzTable *table, Datum key)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(table->key_type, &output, &is_varlena);
	return OidOutputFunctionCall(output, key);
}

/* "k = tenant" in a query over other keys. */
static char *
is_tenant_sql(const CzTable *table, Datum key)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(table->key_eq_opr));
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", table->key_eq_opr);
	result = psprintf("k OPERATOR(%s.%s) %s::%s",
					  quote_identifier(get_namespace_name(((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace)),
					  NameStr(((Form_pg_operator) GETSTRUCT(tuple))->oprname),
					  quote_literal_cstr(key_text(table, key)),
					  format_type_extended(table->key_type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	ReleaseSysCache(tuple);
	return result;
}

/*
 * How many other keys are with a tenant if the shard is halved so many times, [0 .. depth];
 * adds the keys of an owner's tables of the group.
 */
static void
count_others(const CzTable *table, const CzShard *shard, Datum key, int remainder, int depth,
			 Oid owner, int64 *others)
{
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(shard->server_oids[0], owner));
	int			index = shard - table->shards;
	StringInfoData keys;
	StringInfoData sql;
	PGresult   *res;
	ListCell   *lc;
	int			d;

	initStringInfo(&keys);
	initStringInfo(&sql);
	foreach(lc, table->colocation_id == 0 ? list_make1_oid(table->relid) :
			CzGroupTables(table->colocation_id))
	{
		const CzTable *other = CzTableGet(lfirst_oid(lc));
		char	   *column;

		if (CzRelationOwner(lfirst_oid(lc)) != owner || other == NULL || index >= other->nshards)
			continue;
		column = pstrdup(quote_identifier(other->column_names[other->key_attno - 1]));
		if (keys.len == 0)
			appendStringInfo(&sql, "BEGIN; CREATE TEMPORARY TABLE cz_halves (LIKE %s) PARTITION BY HASH (%s)",
							 other->shards[index].remote_qualified, column);
		appendStringInfo(&keys, "%sSELECT %s AS k FROM %s", keys.len > 0 ? " UNION " : "", column,
						 other->shards[index].remote_qualified);
	}
	PQclear(CzConnExec(conn, sql.data));
	resetStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*)");
	for (d = 1; d <= depth; d++)
		appendStringInfo(&sql, ", pg_catalog.count(*) FILTER (WHERE pg_catalog.satisfies_hash_partition('pg_temp.cz_halves'::pg_catalog.regclass, %d, %d, k))",
						 shard->modulus << d, remainder & ((shard->modulus << d) - 1));
	appendStringInfo(&sql, " FROM (%s UNION SELECT NULL WHERE false) u WHERE (%s) IS NOT TRUE",
					 keys.data, is_tenant_sql(table, key));
	res = CzConnQuery(conn, sql.data, 1, 1, depth + 1);
	for (d = 0; d <= depth; d++)
		others[d] += strtoll(PQgetvalue(res, 0, d), NULL, 10);
	PQclear(res);
	PQclear(CzConnExec(conn, "ROLLBACK"));
	CzConnRelease(conn);
}

/* How often the shard is to be halved.  nleft: out: keys that stay with the tenant. */
static int
choose_depth(const CzTable *table, const CzShard *shard, Datum key, int remainder, int64 *nleft)
{
	int64		others[MAX_DEPTH + 1] = {0};
	List	   *owners = NIL;
	int			depth = 0;
	int			best = 1;
	ListCell   *lc;
	int			d;

	while (depth < MAX_DEPTH && (shard->modulus << (depth + 1)) <= MAX_MODULUS)
		depth++;
	if (depth == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot split shard " INT64_FORMAT, shard->shard_id),
				 errdetail("It has 1/%d of the hash values, the least that a shard can have.",
						   MAX_MODULUS)));
	foreach(lc, table->colocation_id == 0 ? list_make1_oid(table->relid) :
			CzGroupTables(table->colocation_id))
		owners = list_append_unique_oid(owners, CzRelationOwner(lfirst_oid(lc)));
	foreach(lc, owners)
		count_others(table, shard, key, remainder, depth, lfirst_oid(lc), others);
	if (others[0] == 0 && shard->modulus > CzGroupShardCount(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tenant %s of table \"%s\" has a shard of its own already",
						quote_literal_cstr(key_text(table, key)), CzNameOf(table->relid)),
				 errdetail("It is shard " INT64_FORMAT ".", shard->shard_id)));
	for (d = 2; d <= depth; d++)
	{
		if (others[d] < others[best])
			best = d;
	}
	*nleft = others[best];
	return best;
}

/*
 * isolate_tenant_to_new_shard(table_name regclass, tenant_id "any", cascade_option text,
 *		shard_transfer_mode citus.shard_transfer_mode)
 *		Returns: the id of the tenant's shard.
 */
Datum
isolate_tenant_to_new_shard(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *option = text_to_cstring(PG_GETARG_TEXT_PP(2));
	const CzTable *table = CzTableGet(relid);
	List	   *pieces = NIL;
	CzMoveSpec	spec;
	CzShard		shard;
	Datum		key;
	int64		nleft;
	int			remainder;
	int			depth;
	int			d;

	if (option[0] != '\0' && pg_strcasecmp(option, "cascade") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid cascade option \"%s\"", option),
				 errhint("It is '' or 'CASCADE'.")));
	if (table == NULL || !CzTableIsDistributed(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation \"%s\" is not distributed", CzNameOf(relid))));
	refuse_without_key(table, "isolate a tenant");
	if (table->kind != CZ_TABLE_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot isolate a tenant of table \"%s\"", CzNameOf(relid)),
				 errdetail("It is distributed by range."),
				 errhint("Use citus_split_shard_by_split_points().")));
	if (OidIsValid(table->root_relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot isolate a tenant of partition \"%s\"", CzNameOf(relid)),
				 errhint("Use table \"%s\", whose partitions are split with it.",
						 CzNameOf(table->root_relid))));
	if (option[0] == '\0' && table->colocation_id != 0 &&
		list_length(CzGroupTables(table->colocation_id)) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot isolate a tenant of table \"%s\": it has colocated tables",
						CzNameOf(relid)),
				 errhint("Use option 'CASCADE' to isolate the tenant of these, too.")));

	key = key_of(table, get_fn_expr_argtype(fcinfo->flinfo, 1), PG_GETARG_DATUM(1));
	memset(&spec, 0, sizeof(spec));
	CzMoveFindShard(table->shards[CzShardIndexForValue(table, key, false)].shard_id, &spec);
	/* the cache's entry may go while workers are asked */
	shard = table->shards[spec.shard_index];
	remainder = CzHashRemainder(getBaseType(table->key_type), table->key_collation, key, false,
								MAX_MODULUS);
	depth = choose_depth(table, &table->shards[spec.shard_index], key, remainder, &nleft);
	for (d = 1; d <= depth; d++)
	{
		int			modulus = shard.modulus << d;

		/* the half where the tenant is not */
		pieces = lappend(pieces, make_piece(modulus, (remainder & (modulus - 1)) ^ (modulus / 2),
											InvalidOid));
	}
	pieces = lappend(pieces, make_piece(shard.modulus << depth,
										remainder & ((shard.modulus << depth) - 1), InvalidOid));
	split(&spec, pieces, PG_GETARG_OID(3));
	table = CzTableGet(relid);
	if (nleft > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld other key shares the tenant's shard",
							   "%lld other keys share the tenant's shard", (unsigned long) nleft,
							   (long long) nleft),
				 errdetail("A shard has at least 1/%d of the hash values.", MAX_MODULUS)));
	PG_RETURN_INT64(table->shards[CzShardIndexForValue(table, key, false)].shard_id);
}

/* The first shard of a table that has another part of the hash values than 1/n; NULL: none. */
static const CzShard *
shard_to_split(const CzTable *table, int n)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].modulus != n)
			return &table->shards[i];
	}
	return NULL;
}

/* May all shards of a table be split so that it has so many of equal size?  Errors if not. */
static void
check_shard_count(const CzTable *table, int shard_count)
{
	int			i;

	if (shard_count < 1 || shard_count > CZ_MAX_SHARD_COUNT ||
		(shard_count & (shard_count - 1)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shard_count %d is not a power of two between 1 and %d", shard_count,
						CZ_MAX_SHARD_COUNT)));
	if (shard_to_split(table, shard_count) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" has %d shards already", CzNameOf(table->relid),
						shard_count)));
	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].modulus <= shard_count)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot give table \"%s\" %d shards while it is written",
						CzNameOf(table->relid), shard_count),
				 errdetail("Shard " INT64_FORMAT " has 1/%d of the hash values already, and shards are split only.",
						   table->shards[i].shard_id, table->shards[i].modulus),
				 errhint("Use alter_distributed_table(), which locks the table.")));
	}
}

/*
 * The group has shards of one size again: it is one that was made with so many, unless new
 * tables would not know which of two to join.
 */
static void
set_group_shard_count(int colocation_id, int shard_count)
{
	Oid			argtypes[2] = {INT4OID, INT4OID};
	Datum		values[2];

	values[0] = Int32GetDatum(colocation_id);
	values[1] = Int32GetDatum(shard_count);
	LockRelationOid(CzCatalogRelid("colocation"), ShareRowExclusiveLock);
	CzCatalogExec("UPDATE cz.colocation g SET shard_count = $2, is_default = g.is_default AND NOT EXISTS"
				  " (SELECT FROM cz.colocation o WHERE o.is_default AND o.colocation_id OPERATOR(pg_catalog.<>) $1"
				  " AND o.shard_count OPERATOR(pg_catalog.=) $2 AND o.replication_factor OPERATOR(pg_catalog.=) g.replication_factor"
				  " AND o.partition_method OPERATOR(pg_catalog.=) g.partition_method"
				  " AND o.key_type::pg_catalog.oid OPERATOR(pg_catalog.=) g.key_type::pg_catalog.oid"
				  " AND o.key_collation OPERATOR(pg_catalog.=) g.key_collation)"
				  " WHERE g.colocation_id OPERATOR(pg_catalog.=) $1",
				  2, argtypes, values, NULL);
}

/*
 * alter_distributed_table_concurrently(table_name regclass, shard_count int,
 *		cascade_to_colocated boolean, shard_transfer_mode citus.shard_transfer_mode)
 *		Split all shards of a table, one after the other.  What has been split stays so if it
 *		fails; called again, it goes on.
 */
Datum
alter_distributed_table_concurrently(PG_FUNCTION_ARGS)
{
	Oid			relid;
	int			shard_count;
	const CzTable *table;
	const CzShard *shard;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", PG_ARGISNULL(0) ? "table_name" :
						PG_ARGISNULL(1) ? "shard_count" : "shard_transfer_mode")));
	relid = PG_GETARG_OID(0);
	shard_count = PG_GETARG_INT32(1);
	PreventInTransactionBlock(true, "alter_distributed_table_concurrently()");
	table = CzTableGet(relid);
	if (table == NULL || !CzTableIsDistributed(table) || OidIsValid(table->root_relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", CzNameOf(relid)),
				 table != NULL && OidIsValid(table->root_relid) ?
				 errhint("Use table \"%s\", of which it is a partition.",
						 CzNameOf(table->root_relid)) : 0));
	refuse_without_key(table, "split the shard");
	if (table->kind != CZ_TABLE_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is not distributed by hash", CzNameOf(relid))));
	if (table->colocation_id != 0 && list_length(CzGroupTables(table->colocation_id)) > 1 &&
		(PG_ARGISNULL(2) || !PG_GETARG_BOOL(2)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cascade_to_colocated must be true, as other tables are colocated with this one"),
				 errdetail("Shards are split together with those that are colocated with them."),
				 errhint("alter_distributed_table() can change one table of a group, which it locks.")));
	check_shard_count(table, shard_count);
	while ((shard = shard_to_split(table, shard_count)) != NULL)
	{
		CzMoveSpec	spec;

		CHECK_FOR_INTERRUPTS();
		memset(&spec, 0, sizeof(spec));
		CzMoveFindShard(shard->shard_id, &spec);
		/* as that table has it */
		shard = &CzTableGet(spec.relid)->shards[spec.shard_index];
		split(&spec, equal_pieces(shard, shard_count / shard->modulus, NIL), PG_GETARG_OID(3));
		AcceptInvalidationMessages();
		table = CzTableGet(relid);
		if (table == NULL || !CzTableIsDistributed(table))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("the table was dropped, or is not distributed any more")));
		if (shard_to_split(table, shard_count) != NULL)
			check_shard_count(table, shard_count);
	}
	if (table->colocation_id != 0)
		set_group_shard_count(table->colocation_id, shard_count);
	PG_RETURN_VOID();
}
