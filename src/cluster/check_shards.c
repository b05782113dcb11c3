/*-------------------------------------------------------------------------
 *
 * check_shards.c
 *	  Do shards look like their table?  cz_check_shards().
 *
 * Columns, CHECKs, foreign keys, indexes with their constraints and storage parameters, of
 * every active placement, by the transaction's own connections; one query, here and there.
 * And whether the shards of a colocation group have the same bounds.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cluster_int.h"
#include "cz/compat.h"
#include "cz/ddl.h"
#include "cz/errors.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(cz_check_shards);

/*
 * %1$s: the relation as a literal, %2$s: its storage parameters; search_path is pinned.
 * Columns that not all majors have are looked up in the row's JSON form.
 */
#define LOOK_SQL \
	"SELECT 'column', a.attname::text, concat_ws(' ', format_type(a.atttypid, a.atttypmod), " \
	" CASE WHEN a.attnotnull THEN 'NOT NULL' END, " \
	" CASE WHEN a.attgenerated <> '' THEN 'GENERATED (' || (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) || ') ' || a.attgenerated::text END, " \
	" CASE WHEN a.attcollation <> 0 THEN 'COLLATE ' || (SELECT n.nspname || '.' || l.collname FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation) END, " \
	" 'storage ' || a.attstorage::text, CASE WHEN a.attcompression <> '' THEN 'compression ' || a.attcompression::text END, " \
	" CASE WHEN a.attstattarget >= 0 THEN 'statistics ' || a.attstattarget END, " \
	" (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg_attver=%%')) " \
	"FROM pg_attribute a WHERE a.attrelid = %1$s::regclass AND a.attnum > 0 AND NOT a.attisdropped " \
	"UNION ALL SELECT 'check', o.conname::text, pg_get_constraintdef(o.oid) " \
	"FROM pg_constraint o WHERE o.conrelid = %1$s::regclass AND o.contype = 'c' AND o.conname NOT IN ('" CZ_SHARD_CONSTRAINT "', '" CZ_SEAL_CONSTRAINT "') AND pg_get_constraintdef(o.oid) NOT LIKE '%% NOT ENFORCED' " \
	"UNION ALL SELECT 'index', c.relname::text, concat_ws(' ', m.amname, " \
	" CASE WHEN i.indisunique THEN 'unique' END, CASE WHEN i.indisprimary THEN 'primary' END, " \
	" CASE WHEN i.indisexclusion THEN 'exclusion' END, CASE WHEN NOT i.indisvalid THEN 'invalid' END, " \
	" CASE WHEN to_jsonb(i) ->> 'indnullsnotdistinct' = 'true' THEN 'nulls not distinct' END, CASE WHEN i.indisclustered THEN 'clustered' END, " \
	" CASE WHEN i.indisreplident THEN 'identity' END, " \
	" (SELECT concat_ws(' ', o.contype, o.condeferrable, o.condeferred, (SELECT string_agg(p.oprname, ',' ORDER BY x.n) FROM unnest(o.conexclop) WITH ORDINALITY x(op, n) JOIN pg_operator p ON p.oid = x.op)) " \
	"  FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x')), " \
	" (SELECT string_agg(concat_ws(' ', pg_get_indexdef(i.indexrelid, k.n::int, false), (SELECT opcname FROM pg_opclass WHERE oid = i.indclass[k.n - 1]), " \
	"   (SELECT collname FROM pg_collation WHERE oid = i.indcollation[k.n - 1]), i.indoption[k.n - 1], " \
	"   CASE WHEN s.attstattarget >= 0 THEN 'statistics ' || s.attstattarget END), ', ' ORDER BY k.n) " \
	"  FROM generate_series(1, i.indnatts) AS k(n) LEFT JOIN pg_attribute s ON s.attrelid = i.indexrelid AND s.attnum = k.n), " \
	" 'where ' || pg_get_expr(i.indpred, i.indrelid), (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(c.reloptions) o)) " \
	"FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam WHERE i.indrelid = %1$s::regclass " \
	"UNION ALL SELECT 'table', '', concat_ws(' ', 'identity ' || c.relreplident::text, " \
	" (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(%2$s) o)) " \
	"FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = %1$s::regclass"

/*
 * Foreign keys; those of a table are compared by what its shards are told.  A partition's
 * are its parent's.
 */
#define KEYS_SQL \
	" UNION ALL SELECT 'foreign key', o.conname::text, pg_get_constraintdef(o.oid) " \
	"FROM pg_constraint o WHERE o.conrelid = %1$s::regclass AND o.contype = 'f' AND o.conparentid = 0"

/* An ordinary table's parameters, and those of its TOAST table. */
#define OPTIONS_SQL \
	"c.reloptions || (SELECT array_agg('toast.' || x) FROM unnest(t.reloptions) x)"

/* One thing that a table or a shard has. */
typedef struct Part
{
	char	   *kind;
	char	   *name;
	char	   *definition;
	bool		is_seen;
} Part;

static Part *
make_part(const char *kind, const char *name, const char *definition)
{
	Part	   *part = palloc0(sizeof(Part));

	part->kind = pstrdup(kind);
	part->name = pstrdup(name);
	part->definition = pstrdup(definition);
	return part;
}

/* The parts of the table here. */
static List *
own_parts(const CzTable *table)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *parts = NIL;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	char	   *relation = quote_literal_cstr(CzRelationName(table->relid));
	uint64		i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf(LOOK_SQL, relation,
							 table->kind == CZ_TABLE_REFERENCE ? OPTIONS_SQL :
							 "coalesce((SELECT z.reloptions FROM cz.tables z WHERE z.relid = c.oid),"
							 " (SELECT z.reloptions FROM cz.partitions z WHERE z.relid = c.oid))"),
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look at relation %u", table->relid);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(context);

		parts = lappend(parts, make_part(SPI_getvalue(tuple, desc, 1),
										 SPI_getvalue(tuple, desc, 2),
										 SPI_getvalue(tuple, desc, 3)));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	CzUnpinTextSettings(nestlevel);
	return parts;
}

/* server_oid: invalid: of no worker */
static void
tell(ReturnSetInfo *rsinfo, const CzTable *table, const CzShard *shard, Oid server_oid,
	 const Part *part, const char *expected, const char *found)
{
	Datum		values[6];
	bool		nulls[6] = {0};

	values[0] = ObjectIdGetDatum(table->relid);
	values[1] = Int64GetDatum(shard->name_id);
	nulls[2] = !OidIsValid(server_oid);
	values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(CzNodeGet(server_oid)->name);
	values[3] = CStringGetTextDatum(part->name[0] ?
									psprintf("%s %s", part->kind, quote_identifier(part->name)) :
									part->kind);
	nulls[4] = expected == NULL;
	values[4] = expected ? CStringGetTextDatum(expected) : (Datum) 0;
	nulls[5] = found == NULL;
	values[5] = found ? CStringGetTextDatum(found) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* A list of parts with the foreign keys of shard number index. */
static List *
with_keys(List *parts, const CzTable *table, int index)
{
	ListCell   *lc;

	parts = list_copy(parts);
	foreach(lc, CzKeysOnShards(table->relid, false))
	{
		const CzKey *key = lfirst(lc);

		parts = lappend(parts, make_part("foreign key", key->name, CzKeyShardText(key, index)));
	}
	return parts;
}

/* The parts of a placement, compared with those that the table has. */
static void
check_placement(ReturnSetInfo *rsinfo, const CzTable *table, const CzShard *shard,
				Oid server_oid, List *expected)
{
	CzConn	   *conn = CzTxnConn(server_oid, CzRelationOwner(table->relid), false);
	struct pg_result *res;
	List	   *found = NIL;
	ListCell   *lc;
	ListCell   *lc2;
	int			i;

	expected = with_keys(expected, table, shard - table->shards);
	res = CzConnExec(conn, psprintf(LOOK_SQL KEYS_SQL, quote_literal_cstr(shard->remote_qualified),
									OPTIONS_SQL));
	for (i = 0; i < PQntuples(res); i++)
		found = lappend(found, make_part(PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
										 PQgetvalue(res, i, 2)));
	PQclear(res);
	foreach(lc, expected)
	{
		const Part *part = lfirst(lc);
		const char *name = strcmp(part->kind, "index") == 0 ||
			strcmp(part->kind, "foreign key") == 0 ?
			CzShardIndexName(part->name, shard->name_id) : part->name;
		Part	   *match = NULL;

		foreach(lc2, found)
		{
			Part	   *other = lfirst(lc2);

			if (strcmp(other->kind, part->kind) == 0 && strcmp(other->name, name) == 0)
				match = other;
		}
		if (match)
			match->is_seen = true;
		if (match == NULL || strcmp(match->definition, part->definition) != 0)
			tell(rsinfo, table, shard, server_oid, part, part->definition,
				 match ? match->definition : NULL);
	}
	foreach(lc, found)
	{
		const Part *part = lfirst(lc);

		if (!part->is_seen)
			tell(rsinfo, table, shard, server_oid, part, NULL, part->definition);
	}
}

static char *
bounds_text(const CzTable *table, int index)
{
	if (index >= table->nshards)
		return NULL;
	return psprintf("modulus %d, remainder %d", table->shards[index].modulus,
					table->shards[index].remainder);
}

/* Shards with one number have the same keys in all tables of a colocation group. */
static void
check_bounds(ReturnSetInfo *rsinfo, const CzTable *table)
{
	Part	   *part = make_part("bounds", "", "");
	const CzTable *first;
	List	   *group;
	int			i;

	if (table->kind != CZ_TABLE_HASH || table->colocation_id == 0 ||
		OidIsValid(table->root_relid))
		return;
	group = CzGroupTables(table->colocation_id);
	list_sort(group, list_oid_cmp);
	first = CzTableGet(linitial_oid(group));
	for (i = 0; first != NULL && i < table->nshards; i++)
	{
		char	   *expected = bounds_text(first, i);
		char	   *found = bounds_text(table, i);

		if (expected == NULL || strcmp(expected, found) != 0)
			tell(rsinfo, table, &table->shards[i], InvalidOid, part, expected, found);
	}
}

/* A table, with its partitions if its user has partitioned it. */
static List *
with_partitions(const CzTable *table)
{
	return table->is_partitioned ? find_all_inheritors(table->relid, AccessShareLock, NULL) :
		list_make1_oid(table->relid);
}

/*
 * cz_check_shards(table_name regclass)
 *		SQL function: a row for each thing that a placement of a shard has otherwise
 *		than its table, of one table and its partitions or of all that the user owns; as the
 *		calling transaction sees it.
 */
Datum
cz_check_shards(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			only_relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	const CzTable *table = OidIsValid(only_relid) ? CzTableGet(only_relid) : NULL;
	MemoryContext context;
	ListCell   *lc;

	if (OidIsValid(only_relid) && get_rel_relkind(only_relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", only_relid)));
	if (OidIsValid(only_relid) && (table == NULL || table->kind == CZ_TABLE_FOREIGN))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" is not distributed", CzNameOf(only_relid))));
	if (OidIsValid(only_relid) && !class_ownercheck_compat(only_relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, CzNameOf(only_relid));
	InitMaterializedSRF(fcinfo, 0);
	context = AllocSetContextCreate(CurrentMemoryContext, "cz check", ALLOCSET_DEFAULT_SIZES);
	foreach(lc, OidIsValid(only_relid) ? with_partitions(table) : CzTableListAll())
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		List	   *expected;
		int			i;
		int			j;

		if (class_ownercheck_compat(lfirst_oid(lc), GetUserId()))
		{
			LockRelationOid(lfirst_oid(lc), AccessShareLock);
			table = CzTableGet(lfirst_oid(lc));
			expected = table ? own_parts(table) : NIL;
			if (table != NULL)
				check_bounds(rsinfo, table);
			for (i = 0; table != NULL && i < table->nshards; i++)
			{
				CHECK_FOR_INTERRUPTS();
				for (j = 0; j < table->shards[i].nplacements; j++)
					check_placement(rsinfo, table, &table->shards[i],
									table->shards[i].server_oids[j], expected);
			}
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	return (Datum) 0;
}
