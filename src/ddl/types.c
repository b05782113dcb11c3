/*-------------------------------------------------------------------------
 *
 * types.c
 *	  The types that users make, on the workers as they are here.
 *
 * A type's definition is a CREATE statement that one query reads from the catalogs,
 * here and on the worker.  Where a worker has the type with another definition, it was
 * dropped and made again here, or changed while no distributed table used it.  Then the
 * worker's type is dropped, with the types and our functions there that use it and that
 * are made again when a table needs them, and created anew.  If a table uses it, that is
 * an error: two databases here have types of one name, or somebody changed the worker's.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/settings.h"

#include "ddl_int.h"

/* " COLLATE x" if a collation (1) is not that of the type (2). */
#define COLLATE_SQL(before, collation, type) \
	"CASE WHEN " collation " <> 0 AND " collation " <> (SELECT b.typcollation FROM pg_type b WHERE b.oid = " type ") THEN " \
	"(SELECT " before " || quote_ident(cn.nspname) || '.' || quote_ident(c.collname) FROM pg_collation c " \
	"JOIN pg_namespace cn ON cn.oid = c.collnamespace WHERE c.oid = " collation ") ELSE '' END"

/* The definition of type %s, an OID, with the search_path pg_catalog alone. */
#define DEFINITION_SQL \
	"SELECT 'CREATE ' || CASE WHEN t.typtype = 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || " \
	"quote_ident(n.nspname) || '.' || quote_ident(t.typname) || ' AS ' || CASE t.typtype " \
	"WHEN 'e' THEN 'ENUM (' || coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) " \
	"FROM pg_enum e WHERE e.enumtypid = t.oid), '') || ')' " \
	"WHEN 'c' THEN '(' || coalesce((SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) || " \
	COLLATE_SQL("' COLLATE '", "a.attcollation", "a.atttypid") ", ', ' ORDER BY a.attnum) " \
	"FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')' " \
	"WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) || " COLLATE_SQL("' COLLATE '", "t.typcollation", "t.typbasetype") " || " \
	"CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END || coalesce((SELECT string_agg(' CONSTRAINT ' || quote_ident(k.conname) || ' ' || " \
	"pg_get_constraintdef(k.oid), '' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'), '') " \
	"WHEN 'r' THEN (SELECT 'RANGE (SUBTYPE = ' || format_type(g.rngsubtype, NULL) || " COLLATE_SQL("', COLLATION = '", "g.rngcollation", "g.rngsubtype") " || ')' " \
	"FROM pg_range g WHERE g.rngtypid = t.oid) END " \
	"FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = %s"

/* The type cz_type and those that contain it: domains, ranges, composite types. */
#define USERS_SQL \
	"WITH RECURSIVE users(oid) AS (SELECT cz_type UNION SELECT coalesce(c.reltype, d.objid) FROM users u JOIN pg_type t ON t.oid = u.oid " \
	"JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n' " \
	"LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'c' " \
	"WHERE c.oid IS NOT NULL OR d.classid = 'pg_type'::regclass) "

/* Functions of ours whose arguments or results these are; somebody else's keep the type. */
#define FUNCTIONS_SQL \
	USERS_SQL "SELECT DISTINCT p.oid::regprocedure::text AS name FROM users u JOIN pg_type t ON t.oid = u.oid " \
	"JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n' " \
	"JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid AND p.prokind <> 'a' " \
	"WHERE obj_description(p.oid, 'pg_proc') = '" CZ_FUNCTION_MARK "'"

/*
 * CzTypeDefinition
 *		The CREATE statement of an enum, a composite type, a domain or a range.
 *
 * Returns: palloc'd in CurrentMemoryContext.
 */
char *
CzTypeDefinition(Oid type)
{
	MemoryContext context = CurrentMemoryContext;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	char	   *result = NULL;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf(DEFINITION_SQL, psprintf("%u", type)), false, 1) == SPI_OK_SELECT &&
		SPI_processed == 1)
		result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (result == NULL)
		elog(ERROR, "no definition of type %u", type);
	result = MemoryContextStrdup(context, result);
	SPI_finish();
	CzUnpinTextSettings(nestlevel);
	return result;
}

/*
 * CzTypeScript
 *		Append to a block of PL/pgSQL what makes a worker's type that of here.
 */
void
CzTypeScript(StringInfo script, Oid type)
{
	char	   *definition = CzTypeDefinition(type);
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	char	   *schema;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	schema = get_namespace_name(form->typnamespace);
	name = pstrdup(NameStr(form->typname));
	ReleaseSysCache(tuple);

	/* an array type of that name makes room for it, as it has done here */
	appendStringInfo(script,
					 "DECLARE cz_type oid := (SELECT t.oid FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
					 "WHERE n.nspname = %s AND t.typname = %s AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)); "
					 "cz_row record; BEGIN\n",
					 quote_literal_cstr(schema), quote_literal_cstr(name));
	appendStringInfo(script,
					 "IF cz_type IS NOT NULL AND (" DEFINITION_SQL ") IS DISTINCT FROM %s THEN\n",
					 "cz_type", quote_literal_cstr(definition));
	appendStringInfo(script,
					 "BEGIN FOR cz_row IN " FUNCTIONS_SQL " LOOP EXECUTE 'DROP FUNCTION ' || cz_row.name; END LOOP;\n"
					 "EXECUTE (" USERS_SQL "SELECT 'DROP TYPE ' || string_agg(format_type(u.oid, NULL), ', ') FROM users u);\n"
					 "EXCEPTION WHEN dependent_objects_still_exist THEN "
					 "RAISE EXCEPTION 'type %% exists with another definition and is in use', %s USING ERRCODE = 'duplicate_object'; END;\n"
					 "cz_type := NULL;\nEND IF;\n",
					 quote_literal_cstr(quote_qualified_identifier(schema, name)));
	appendStringInfo(script, "IF cz_type IS NULL THEN EXECUTE %s; END IF;\nEND;\n",
					 quote_literal_cstr(definition));
}
