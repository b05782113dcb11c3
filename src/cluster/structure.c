/*-------------------------------------------------------------------------
 *
 * structure.c
 *	  What a placement looks like, so that two can be compared.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "libpq-fe.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/cluster.h"
#include "cz/gone.h"
#include "distribute_int.h"

/* The relation %1$s with its partitions */
#define TREE_SQL \
	"WITH RECURSIVE t(o) AS (SELECT %1$s UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN t ON i.inhparent OPERATOR(pg_catalog.=) t.o) "

/*
 * What placements in order have in common, as one text a line; with their partitions.  %2$s:
 * indexes that are left out; %3$s: NULL: with constraints that are NOT VALID, else false.
 */
#define STRUCTURE_SQL TREE_SQL \
	"SELECT pg_catalog.string_agg(d, E'\\n' ORDER BY d COLLATE \"C\") FROM (" \
	"SELECT 'column ' OPERATOR(pg_catalog.||) pg_catalog.concat_ws(' ', attrelid::pg_catalog.regclass, pg_catalog.row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attname, " \
	"pg_catalog.format_type(atttypid, atttypmod), CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint n WHERE n.conrelid OPERATOR(pg_catalog.=) attrelid AND n.contype OPERATOR(pg_catalog.=) 'n' AND NOT n.convalidated AND attnum OPERATOR(pg_catalog.=) ANY (n.conkey)) " \
"THEN %3$s ELSE attnotnull END, attgenerated, attcollation::pg_catalog.regcollation) AS d " \
	"FROM t JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) t.o WHERE attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped " \
	"UNION ALL SELECT pg_catalog.pg_get_indexdef(indexrelid) FROM t JOIN pg_catalog.pg_index ON indrelid OPERATOR(pg_catalog.=) t.o " \
	"JOIN pg_catalog.pg_class i ON i.oid OPERATOR(pg_catalog.=) indexrelid " \
	"WHERE (indisvalid OR i.relkind OPERATOR(pg_catalog.<>) 'i') AND i.relname OPERATOR(pg_catalog.<>) ALL (%2$s::pg_catalog.name[]) AND i.relname OPERATOR(pg_catalog.!~) '^cz_m[0-9]+_' " \
	"UNION ALL SELECT pg_catalog.concat_ws(' ', conrelid::pg_catalog.regclass, conname, pg_catalog.pg_get_constraintdef(oid)) FROM t JOIN pg_catalog.pg_constraint " \
	"ON conrelid OPERATOR(pg_catalog.=) t.o WHERE contype OPERATOR(pg_catalog.<>) 'n' AND contype OPERATOR(pg_catalog.<>) 'f' AND (convalidated OR %3$s IS NULL) " \
	"UNION ALL SELECT pg_catalog.concat_ws(' ', oid::pg_catalog.regclass, pg_catalog.pg_get_expr(relpartbound, oid)) FROM t JOIN pg_catalog.pg_class " \
	"ON oid OPERATOR(pg_catalog.=) t.o WHERE relispartition) x"

/* What has nothing to do with rows. */
#define STORAGE_SQL TREE_SQL \
	"SELECT pg_catalog.string_agg(d, E'\\n' ORDER BY d COLLATE \"C\") FROM (" \
	"SELECT pg_catalog.concat_ws(' ', attrelid::pg_catalog.regclass, attname, attstorage, attcompression, coalesce(attstattarget::pg_catalog.int4, -1), attoptions) AS d " \
	"FROM t JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) t.o WHERE attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped " \
	"UNION ALL SELECT pg_catalog.concat_ws(' ', indexrelid::pg_catalog.regclass, indisclustered, indisreplident, coalesce(attstattarget::pg_catalog.int4, -1)) " \
	"FROM t JOIN pg_catalog.pg_index ON indrelid OPERATOR(pg_catalog.=) t.o JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) indexrelid WHERE indisvalid " \
	"UNION ALL SELECT pg_catalog.concat_ws(' ', c.oid::pg_catalog.regclass, c.relreplident, c.reloptions, s.reloptions) " \
	"FROM t JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.o LEFT JOIN pg_catalog.pg_class s ON s.oid OPERATOR(pg_catalog.=) c.reltoastrelid) x"

/*
 * The names, on a shard and its partitions, of indexes that are invalid here, as an array:
 * some placements have them and some have not (ddl/concurrently.c).
 */
static char *
invalid_indexes_sql(Oid relid, int index)
{
	StringInfoData buf;
	ListCell   *lc;
	ListCell   *li;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "ARRAY[");
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		Relation	rel;

		if (table == NULL || table->kind == CZ_TABLE_FOREIGN || table->is_partitioned ||
			index >= table->nshards)
			continue;
		rel = CzOpenRelation(lfirst_oid(lc), AccessShareLock);
		foreach(li, RelationGetIndexList(rel))
		{
			if (get_index_isvalid(lfirst_oid(li)))
				continue;
			appendStringInfo(&buf, "%s%s", buf.data[buf.len - 1] == '[' ? "" : ", ",
							 quote_literal_cstr(CzShardIndexName(get_rel_name(lfirst_oid(li)),
																 table->shards[index].name_id)));
		}
		table_close(rel, AccessShareLock);
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

/* Ask about a placement, if it is there: %1$s: its OID, %2$s, %3$s as given. */
static char *
ask(CzConn *conn, const CzTable *table, int index, const char *format, const char *second,
	const char *third)
{
	char	   *name = quote_literal_cstr(table->shards[index].remote_qualified);
	PGresult   *res = CzConnQuery(conn, psprintf("SELECT pg_catalog.to_regclass(%s)::pg_catalog.oid",
												 name), 1, 1, 1);
	char	   *relid = PQgetisnull(res, 0, 0) ? NULL : pstrdup(PQgetvalue(res, 0, 0));
	char	   *result;

	PQclear(res);
	if (relid == NULL)
		return NULL;
	/* it is a number, but who knows */
	relid = psprintf("%s::pg_catalog.oid", quote_literal_cstr(relid));
	res = CzConnQuery(conn, psprintf(format, relid, second, third), 1, 1, 1);
	result = pstrdup(PQgetisnull(res, 0, 0) ? "" : PQgetvalue(res, 0, 0));
	PQclear(res);
	return result;
}

/*
 * CzShardStructure, CzShardStorage
 *		See cluster.h.
 */
char *
CzShardStructure(CzConn *conn, const CzTable *table, int index, bool has_unchecked)
{
	return ask(conn, table, index, STRUCTURE_SQL, invalid_indexes_sql(table->relid, index),
			   has_unchecked ? "NULL::pg_catalog.bool" : "false");
}

char *
CzShardStorage(CzConn *conn, const CzTable *table, int index)
{
	return ask(conn, table, index, STORAGE_SQL, "", "");
}
