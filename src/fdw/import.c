/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA: a CREATE FOREIGN TABLE for each remote table.
 *
 * Core filters by LIMIT TO and EXCEPT what comes from here; the lists are sent
 * all the same, so that nothing is read in vain.  Partitions are left out unless
 * LIMIT TO names them: their root gives all the rows.
 *
 * The worker's session has search_path pg_catalog, so types, defaults and
 * collations come with their schemas.
 *
 * Source: adapted from contrib/postgres_fdw/postgres_fdw.c, PostgreSQL 15,
 * Portions Copyright (c) 2012-2022, PostgreSQL Global Development Group,
 * PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"

#include "cz/remote.h"
#include "fdw_int.h"

/* Options of the statement. */
typedef struct CzImportOptions
{
	bool		collate;
	bool		defaults;
	bool		generated;
	bool		not_null;
} CzImportOptions;

/* Columns of the query. */
enum CzImportColumn
{
	CZ_IMPORT_TABLE,
	CZ_IMPORT_COLUMN,			/* NULL: the table has no columns */
	CZ_IMPORT_TYPE,
	CZ_IMPORT_NOT_NULL,
	CZ_IMPORT_DEFAULT,
	CZ_IMPORT_GENERATED,
	CZ_IMPORT_COLLATION,
	CZ_IMPORT_COLLATION_SCHEMA,
	CZ_IMPORT_COLUMNS			/* their number */
};

static CzImportOptions
read_options(List *options)
{
	CzImportOptions result = {true, false, true, true};
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "import_collate") == 0)
			result.collate = defGetBoolean(def);
		else if (strcmp(def->defname, "import_default") == 0)
			result.defaults = defGetBoolean(def);
		else if (strcmp(def->defname, "import_generated") == 0)
			result.generated = defGetBoolean(def);
		else if (strcmp(def->defname, "import_not_null") == 0)
			result.not_null = defGetBoolean(def);
		else
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", def->defname),
					 errhint("Valid options in this context are: import_collate, import_default, import_generated, import_not_null")));
	}
	return result;
}

static void
check_schema(CzConn *conn, const char *schema)
{
	PGresult   *res;
	int			nrows;

	res = CzConnQuery(conn, psprintf("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s",
									 quote_literal_cstr(schema)), 0, 1, 1);
	nrows = PQntuples(res);
	PQclear(res);
	if (nrows != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("schema \"%s\" is not present on foreign server \"%s\"",
						schema, conn->node_name)));
}

static char *
import_query(ImportForeignSchemaStmt *stmt)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT c.relname, a.attname,"
					 " pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,"
					 " pg_catalog.pg_get_expr(ad.adbin, ad.adrelid), a.attgenerated,"
					 " coll.collname, collnsp.nspname"
					 " FROM pg_catalog.pg_class c"
					 " JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid"
					 " LEFT JOIN pg_catalog.pg_attribute a"
					 " ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
					 " LEFT JOIN pg_catalog.pg_attrdef ad"
					 " ON ad.adrelid = c.oid AND ad.adnum = a.attnum"
					 " LEFT JOIN pg_catalog.pg_collation coll ON coll.oid = a.attcollation"
					 " LEFT JOIN pg_catalog.pg_namespace collnsp"
					 " ON collnsp.oid = coll.collnamespace"
					 " WHERE c.relkind IN ('r', 'v', 'f', 'm', 'p') AND n.nspname = %s",
					 quote_literal_cstr(stmt->remote_schema));

	if (stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		appendStringInfoString(&sql, " AND NOT c.relispartition");
	if (stmt->list_type != FDW_IMPORT_SCHEMA_ALL)
	{
		appendStringInfo(&sql, " AND c.relname %sIN (",
						 stmt->list_type == FDW_IMPORT_SCHEMA_EXCEPT ? "NOT " : "");
		foreach(lc, stmt->table_list)
			appendStringInfo(&sql, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
							 quote_literal_cstr(lfirst_node(RangeVar, lc)->relname));
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, " ORDER BY c.relname, a.attnum");
	return sql.data;
}

static void
append_column(StringInfo sql, PGresult *res, int row, const CzImportOptions *options)
{
	char	   *name = PQgetvalue(res, row, CZ_IMPORT_COLUMN);
	char	   *expression = PQgetvalue(res, row, CZ_IMPORT_DEFAULT);
	/* virtual ones of 18, too: whoever reads the column here is to get the remote one's values */
	bool		is_generated = PQgetvalue(res, row, CZ_IMPORT_GENERATED)[0] != '\0';

	/* With column_name a later renaming here does not break the association. */
	appendStringInfo(sql, "  %s %s OPTIONS (column_name %s)", quote_identifier(name),
					 PQgetvalue(res, row, CZ_IMPORT_TYPE), quote_literal_cstr(name));

	if (options->collate && !PQgetisnull(res, row, CZ_IMPORT_COLLATION) &&
		!PQgetisnull(res, row, CZ_IMPORT_COLLATION_SCHEMA))
		appendStringInfo(sql, " COLLATE %s",
						 quote_qualified_identifier(PQgetvalue(res, row,
															   CZ_IMPORT_COLLATION_SCHEMA),
													PQgetvalue(res, row,
															   CZ_IMPORT_COLLATION)));
	if (!PQgetisnull(res, row, CZ_IMPORT_DEFAULT))
	{
		if (is_generated && options->generated)
			appendStringInfo(sql, " GENERATED ALWAYS AS (%s) STORED", expression);
		else if (!is_generated && options->defaults)
			appendStringInfo(sql, " DEFAULT %s", expression);
	}
	if (options->not_null && PQgetvalue(res, row, CZ_IMPORT_NOT_NULL)[0] == 't')
		appendStringInfoString(sql, " NOT NULL");
}

/* The command for the table whose first column is in row *row; *row: the next
 * table's. */
static char *
table_command(PGresult *res, int *row, const char *server_name, const char *schema,
			  const CzImportOptions *options)
{
	char	   *table = PQgetvalue(res, *row, CZ_IMPORT_TABLE);
	StringInfoData sql;
	bool		is_first = true;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (\n", quote_identifier(table));
	do
	{
		if (!PQgetisnull(res, *row, CZ_IMPORT_COLUMN))
		{
			appendStringInfoString(&sql, is_first ? "" : ",\n");
			append_column(&sql, res, *row, options);
			is_first = false;
		}
	} while (++*row < PQntuples(res) &&
			 strcmp(PQgetvalue(res, *row, CZ_IMPORT_TABLE), table) == 0);

	appendStringInfo(&sql, "\n) SERVER %s\nOPTIONS (schema_name %s, table_name %s);",
					 quote_identifier(server_name), quote_literal_cstr(schema),
					 quote_literal_cstr(table));
	return sql.data;
}

static List *
czImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	CzImportOptions options = read_options(stmt->options);
	ForeignServer *server = GetForeignServer(serverOid);
	CzConn	   *conn = CzFdwReadConn(serverOid, GetUserId());
	PGresult   *volatile res = NULL;
	List	   *commands = NIL;

	PG_TRY();
	{
		int			row = 0;

		check_schema(conn, stmt->remote_schema);
		res = CzConnQuery(conn, import_query(stmt), 0, -1, CZ_IMPORT_COLUMNS);
		while (row < PQntuples(res))
			commands = lappend(commands,
							   table_command(res, &row, server->servername,
											 stmt->remote_schema, &options));
	}
	PG_FINALLY();
	{
		PQclear(res);
		CzFdwReadConnRelease(conn);
	}
	PG_END_TRY();

	return commands;
}

/*
 * CzFdwImportRoutine
 *		Fill in the callback of this file.
 */
void
CzFdwImportRoutine(FdwRoutine *routine)
{
	routine->ImportForeignSchema = czImportForeignSchema;
}
