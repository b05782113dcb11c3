/*-------------------------------------------------------------------------
 *
 * ledger_sql.h
 *	  The SQL of ledger.c: what an object is called and how it is defined, read from
 *	  the catalogs by the same text here and on a worker, with the search_path
 *	  pg_catalog (and here pg_temp after it); and the blocks of PL/pgSQL that make, change and drop objects on
 *	  a worker.
 *
 * An object is known by kind, schema, name and, of a function, the types of its
 * arguments, of an operator class its access method.  Kinds: type (domains among them),
 * function (procedures among them), collation, operator class, schema, extension.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_LEDGER_SQL_H
#define CZ_LEDGER_SQL_H

/* Types of a function's arguments; what else is called so has not the same OID */
#define ARGS_OF(function) \
	"coalesce((SELECT string_agg(format_type(y.t, NULL), ',' ORDER BY y.o) FROM unnest(" function ".proargtypes) WITH ORDINALITY y(t, o)), '')"

/* OID of an object that is named by the fields of r; an array type of that name is none */
#define OID_SQL \
	"CASE r.kind " \
	"WHEN 'type' THEN (SELECT t.oid FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace " \
	"WHERE n.nspname = r.schema AND t.typname = r.name AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)) " \
	"WHEN 'function' THEN (SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace " \
	"WHERE n.nspname = r.schema AND p.proname = r.name AND " ARGS_OF("p") " = r.args) " \
	"WHEN 'collation' THEN (SELECT c.oid FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace " \
	"WHERE n.nspname = r.schema AND c.collname = r.name AND c.collencoding IN (-1, (SELECT d.encoding FROM pg_database d WHERE d.datname = current_database())) LIMIT 1) " \
	"WHEN 'operator class' THEN (SELECT c.oid FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_am m ON m.oid = c.opcmethod " \
	"WHERE n.nspname = r.schema AND c.opcname = r.name AND m.amname = r.args) " \
	"WHEN 'schema' THEN (SELECT n.oid FROM pg_namespace n WHERE n.nspname = r.name) " \
	"WHEN 'extension' THEN (SELECT e.oid FROM pg_extension e WHERE e.extname = r.name) END"

/* " COLLATE x" if a collation (1) is not that of the type (2). */
#define COLLATE_SQL(before, collation, type) \
	"CASE WHEN " collation " <> 0 AND " collation " <> (SELECT b.typcollation FROM pg_type b WHERE b.oid = " type ") THEN " \
	"(SELECT " before " || quote_ident(cn.nspname) || '.' || quote_ident(c.collname) FROM pg_collation c " \
	"JOIN pg_namespace cn ON cn.oid = c.collnamespace WHERE c.oid = " collation ") ELSE '' END"

/* CHECKs of domain t, in the order of their names */
#define DOMAIN_CHECKS_SQL(before, is_valid) \
	"coalesce((SELECT string_agg(" before " || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), '' ORDER BY k.conname) " \
	"FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c' AND " is_valid " k.convalidated), '') "

/* The definition of a type; domains' defaults are the coordinator's alone */
#define TYPE_SQL(oid) \
	"SELECT 'CREATE ' || CASE WHEN t.typtype = 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || " \
	"quote_ident(n.nspname) || '.' || quote_ident(t.typname) || ' AS ' || CASE t.typtype " \
	"WHEN 'e' THEN 'ENUM (' || coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) " \
	"FROM pg_enum e WHERE e.enumtypid = t.oid), '') || ')' " \
	"WHEN 'c' THEN '(' || coalesce((SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) || " \
	COLLATE_SQL("' COLLATE '", "a.attcollation", "a.atttypid") ", ', ' ORDER BY a.attnum) " \
	"FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')' " \
	"WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) || " COLLATE_SQL("' COLLATE '", "t.typcollation", "t.typbasetype") " || " \
	"CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END || " DOMAIN_CHECKS_SQL("' CONSTRAINT '", "") " || " \
	DOMAIN_CHECKS_SQL("'; ALTER DOMAIN ' || quote_ident(n.nspname) || '.' || quote_ident(t.typname) || ' ADD CONSTRAINT '", "NOT") \
	"WHEN 'r' THEN (SELECT 'RANGE (SUBTYPE = ' || format_type(g.rngsubtype, NULL) || " COLLATE_SQL("', COLLATION = '", "g.rngcollation", "g.rngsubtype") " || " \
	"', MULTIRANGE_TYPE_NAME = ' || format_type(g.rngmultitypid, NULL) || ')' FROM pg_range g WHERE g.rngtypid = t.oid) " \
	"ELSE 'something else' END " \
	"FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = " oid

/* The definition of a collation; releases call the column of its locale by several names */
#define COLLATION_SQL(oid) \
	"SELECT 'CREATE COLLATION ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname) || ' (PROVIDER = ' || " \
	"CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' ELSE 'builtin' END || " \
	"', DETERMINISTIC = ' || CASE WHEN c.collisdeterministic THEN 'true' ELSE 'false' END || CASE WHEN c.collprovider = 'c' THEN " \
	"coalesce(', LC_COLLATE = ' || quote_literal(c.collcollate), '') || coalesce(', LC_CTYPE = ' || quote_literal(c.collctype), '') ELSE " \
	"coalesce(', LOCALE = ' || quote_literal(coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', c.collcollate)), '') || " \
	"coalesce(', RULES = ' || quote_literal(to_jsonb(c) ->> 'collicurules'), '') END || ')' " \
	"FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = " oid

#define FUNCTION_SQL(oid) \
	"SELECT CASE WHEN p.prokind = 'a' THEN 'an aggregate' ELSE pg_get_functiondef(p.oid) END FROM pg_proc p WHERE p.oid = " oid

/* The definition of an operator class, with what it has of its family for its own type */
#define OPCLASS_SQL(oid) \
	"SELECT 'CREATE OPERATOR CLASS ' || quote_ident(n.nspname) || '.' || quote_ident(c.opcname) || CASE WHEN c.opcdefault THEN ' DEFAULT' ELSE '' END || " \
	"' FOR TYPE ' || format_type(c.opcintype, NULL) || ' USING ' || quote_ident(m.amname) || ' AS ' || concat_ws(', ', " \
	"(SELECT string_agg('OPERATOR ' || o.amopstrategy || ' ' || o.amopopr::regoperator, ', ' ORDER BY o.amopstrategy) FROM pg_amop o " \
	"WHERE o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype AND o.amoprighttype = c.opcintype), " \
	"(SELECT string_agg('FUNCTION ' || f.amprocnum || ' ' || f.amproc::oid::regprocedure, ', ' ORDER BY f.amprocnum) FROM pg_amproc f " \
	"WHERE f.amprocfamily = c.opcfamily AND f.amproclefttype = c.opcintype AND f.amprocrighttype = c.opcintype), " \
	"'STORAGE ' || format_type(nullif(c.opckeytype, 0), NULL)) " \
	"FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_am m ON m.oid = c.opcmethod WHERE c.oid = " oid

/* The definition of an object of a kind; extensions are compared by version elsewhere */
#define DEFINITION_SQL(kind, oid) \
	"(CASE " kind " WHEN 'type' THEN (" TYPE_SQL(oid) ") WHEN 'collation' THEN (" COLLATION_SQL(oid) ") " \
	"WHEN 'function' THEN (" FUNCTION_SQL(oid) ") WHEN 'operator class' THEN (" OPCLASS_SQL(oid) ") " \
	"WHEN 'schema' THEN (SELECT 'CREATE SCHEMA ' || quote_ident(n.nspname) FROM pg_namespace n WHERE n.oid = " oid ") " \
	"WHEN 'extension' THEN (SELECT e.extversion FROM pg_extension e WHERE e.oid = " oid ") END)"

/* What follows DROP or ALTER for the object r */
#define NAMED_SQL(r) \
	"CASE " r ".kind WHEN 'schema' THEN format('SCHEMA %I', " r ".name) WHEN 'extension' THEN format('EXTENSION %I', " r ".name) " \
	"WHEN 'operator class' THEN format('OPERATOR CLASS %I.%I USING %I', " r ".schema, " r ".name, " r ".args) " \
	"WHEN 'collation' THEN format('COLLATION %I.%I', " r ".schema, " r ".name) WHEN 'type' THEN format('TYPE %I.%I', " r ".schema, " r ".name) " \
	"ELSE format('ROUTINE %I.%I(%s)', " r ".schema, " r ".name, " r ".args) END"

/* The same without the words before its name. */
#define TITLE_SQL(r) "regexp_replace(" NAMED_SQL(r) ", '^(OPERATOR CLASS|[A-Z]+) ', '')"

/*
 * Everybody may create shards there: users may have roles of their own on the workers;
 * each shard is its owner's, and the schema is in no search_path.  CREATE SCHEMA IF NOT
 * EXISTS would ask for a right that only the first needs.
 */
#define CZ_SHARD_SCHEMA_SQL \
	"IF to_regnamespace('" CZ_SHARD_SCHEMA "') IS NULL THEN CREATE SCHEMA " CZ_SHARD_SCHEMA \
	"; GRANT USAGE, CREATE ON SCHEMA " CZ_SHARD_SCHEMA " TO PUBLIC; END IF;\n"

/*
 * The ledger of the role that runs this: a table of its own, because nobody else's would
 * be safe to write to.  Its name is no shard's: those end in "_" and digits.  Another
 * session may make it at the same time; one that this transaction does not see yet is
 * not made twice.  Or somebody else has taken the name, for everybody may create tables
 * there: then it gets digits that nobody can know before.
 */
#define FIND_LEDGER_SQL \
	"SELECT 'cz_shards.' || quote_ident(c.relname) INTO ledger FROM pg_class c " \
	"WHERE c.relnamespace = to_regnamespace('cz_shards') AND c.relkind = 'r' AND c.relname ~ '^cz_object(@[0-9]+)*$' " \
	"AND c.relowner = (SELECT a.oid FROM pg_roles a WHERE a.rolname = current_user);\n"

#define MAKE_LEDGER_SQL \
	"FOR i IN 1..3 LOOP EXIT WHEN ledger IS NOT NULL;\n" \
	"taken := CASE WHEN to_regclass('cz_shards.cz_object') IS NULL THEN 'cz_object' " \
	"ELSE 'cz_object@' || (SELECT a.oid FROM pg_roles a WHERE a.rolname = current_user) || " \
	"CASE WHEN i = 1 THEN '' ELSE '@' || (random() * 1000000000)::int END END;\n" \
	"BEGIN\n" \
	"ledger := format('cz_shards.%I', taken);\n" \
	"EXECUTE 'CREATE TABLE ' || ledger || ' (kind text, schema text, name text, args text, fingerprint text NOT NULL, " \
	"owner_object oid NOT NULL, PRIMARY KEY (kind, schema, name, args))';\n" \
	"EXECUTE format('COMMENT ON TABLE %s IS %L', ledger, 'what the coordinator has made in this database besides shards');\n" \
	"EXCEPTION WHEN unique_violation OR duplicate_table OR duplicate_object THEN\n" FIND_LEDGER_SQL \
	"IF ledger IS NULL AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace('cz_shards') AND c.relname = taken) " \
	"AND NOT EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = to_regnamespace('cz_shards') AND t.typname = taken) THEN " \
	"RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = format('table %I.%I has been created by another transaction', 'cz_shards', taken); END IF;\n" \
	"END; END LOOP;\n" \
	"IF ledger IS NULL THEN RAISE EXCEPTION USING ERRCODE = 'duplicate_table', " \
	"MESSAGE = 'could not create a table for what is made in this database besides shards', " \
	"DETAIL = format('Other roles have relations or types of its name in schema %I.', 'cz_shards'), HINT = 'Drop them there.'; END IF;\n"

/* Is r in the ledger? */
#define IS_MINE_SQL(r) \
	"EXECUTE 'SELECT EXISTS (SELECT FROM ' || ledger || ' o WHERE o.kind = $1 AND o.schema = $2 AND o.name = $3 AND o.args = $4)' " \
	"INTO is_mine USING " r ".kind, " r ".schema, " r ".name, " r ".args;\n"

#define FORGET_SQL(r) \
	"EXECUTE 'DELETE FROM ' || ledger || ' o WHERE o.kind = $1 AND o.schema = $2 AND o.name = $3 AND o.args = $4' " \
	"USING " r ".kind, " r ".schema, " r ".name, " r ".args;\n"

/* Type id and those that contain it: domains, ranges, composite types; then functions. */
#define USERS_SQL \
	"WITH RECURSIVE users(oid) AS (SELECT id UNION SELECT coalesce(c.reltype, d.objid) FROM users w JOIN pg_type t ON t.oid = w.oid " \
	"JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n' " \
	"LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'c' " \
	"WHERE c.oid IS NOT NULL OR d.classid = 'pg_type'::regclass) " \
	"SELECT 'function' AS kind, n.nspname AS schema, p.proname AS name, " ARGS_OF("p") " AS args FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace " \
	"WHERE p.prokind <> 'a' AND p.oid IN (SELECT d.objid FROM users w JOIN pg_type t ON t.oid = w.oid " \
	"JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n' AND d.classid = 'pg_proc'::regclass) " \
	"UNION ALL SELECT 'type', n.nspname, t.typname, '' FROM users w JOIN pg_type t ON t.oid = w.oid JOIN pg_namespace n ON n.oid = t.typnamespace"

/*
 * Make what is missing.  The objects stand between the two halves as rows of
 * (no, kind, schema, name, args, definition).  What is there and equal is left alone;
 * what is another one is made anew if it is in the ledger and nothing else uses it.
 * Another collation of somebody else is no obstacle: the planner asks no worker for what
 * depends on one (send/collation.c).
 */
#define MAKE_HEAD_SQL \
	"DECLARE r record; u record; id oid; ledger text; taken text; is_mine boolean; types text; used text;\nBEGIN\n" \
	CZ_SHARD_SCHEMA_SQL FIND_LEDGER_SQL MAKE_LEDGER_SQL \
	"FOR r IN SELECT * FROM (VALUES\n"

#define MAKE_TAIL_SQL \
	") v(no, kind, schema, name, args, definition) ORDER BY no LOOP\n" \
	"id := " OID_SQL ";\n" \
	"CONTINUE WHEN id IS NOT NULL AND (r.kind IN ('schema', 'extension') OR " DEFINITION_SQL("r.kind", "id") " = r.definition);\n" \
	"IF id IS NOT NULL THEN\n" \
	IS_MINE_SQL("r") \
	"CONTINUE WHEN NOT is_mine AND r.kind = 'collation';\n" \
	"IF NOT is_mine THEN RAISE EXCEPTION USING ERRCODE = 'duplicate_object', " \
	"MESSAGE = format('%s %s exists with another definition', r.kind, " TITLE_SQL("r") "), " \
	"DETAIL = 'The coordinator has not made it.', HINT = 'Drop it there, or make it what it is on the coordinator.'; END IF;\n" \
	"BEGIN\n" \
	"IF r.kind = 'function' THEN BEGIN EXECUTE r.definition; EXCEPTION WHEN invalid_function_definition THEN " \
	"EXECUTE 'DROP ' || " NAMED_SQL("r") "; EXECUTE r.definition; END;\n" \
	"ELSIF r.kind = 'type' THEN\n" \
	"types := NULL;\n" \
	"FOR u IN " USERS_SQL " LOOP\n" \
	IS_MINE_SQL("u") \
	"IF NOT is_mine THEN RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist', DETAIL = " NAMED_SQL("u") " || ' uses it.'; END IF;\n" \
	FORGET_SQL("u") \
	"IF u.kind = 'function' THEN EXECUTE 'DROP ' || " NAMED_SQL("u") ";\n" \
	"ELSE types := concat_ws(', ', types, format('%I.%I', u.schema, u.name)); END IF;\nEND LOOP;\n" \
	"EXECUTE 'DROP TYPE ' || types;\n" \
	"ELSE EXECUTE 'DROP ' || " NAMED_SQL("r") "; END IF;\n" \
	"EXCEPTION WHEN dependent_objects_still_exist THEN\n" \
	"GET STACKED DIAGNOSTICS used = PG_EXCEPTION_DETAIL;\n" \
	"RAISE EXCEPTION USING ERRCODE = 'object_in_use', " \
	"MESSAGE = format('%s %s exists with another definition and is in use', r.kind, " TITLE_SQL("r") "), DETAIL = used, " \
	"HINT = 'If these are shards of tables that were dropped, run citus_cleanup_orphaned_resources().';\n" \
	"END;\n" \
	"END IF;\n" \
	FORGET_SQL("r") \
	"IF r.kind = 'extension' THEN\n" \
	"BEGIN EXECUTE format('CREATE EXTENSION %I SCHEMA %I VERSION %L CASCADE', r.name, r.schema, r.definition); " \
	"EXCEPTION WHEN undefined_file OR invalid_parameter_value OR feature_not_supported THEN " \
	"EXECUTE format('CREATE EXTENSION %I SCHEMA %I CASCADE', r.name, r.schema); END;\n" \
	"ELSIF id IS NULL OR r.kind <> 'function' THEN EXECUTE r.definition; END IF;\n" \
	"IF r.kind = 'schema' THEN EXECUTE 'GRANT USAGE ON ' || " NAMED_SQL("r") " || ' TO PUBLIC'; END IF;\n" \
	"id := " OID_SQL ";\n" \
	"EXECUTE 'INSERT INTO ' || ledger || ' VALUES ($1, $2, $3, $4, $5, $6)' USING r.kind, r.schema, r.name, r.args, CASE r.kind WHEN 'extension' THEN r.definition ELSE md5(r.definition) END, id;\n" \
	"END LOOP;\nEND"

/*
 * Change or drop what is in the ledger: rows of (no, kind, schema, name, args, command),
 * without a command it is dropped, and stays in the ledger if somebody uses it there.
 * Something is written after each command: ALTER DOMAIN may leave an invalidation behind
 * that the subtransaction of the next DROP would not allow.
 * Then what the ledger says is what the objects are called now.
 */
#define CHANGE_HEAD_SQL \
	"DECLARE r record; u record; id oid; ledger text; is_mine boolean; is_changed boolean := false;\nBEGIN\n" \
	FIND_LEDGER_SQL \
	"IF ledger IS NULL THEN RETURN; END IF;\n" \
	"FOR u IN EXECUTE 'SELECT * FROM ' || ledger LOOP r := u; id := " OID_SQL ";\n" \
	"IF id <> u.owner_object THEN EXECUTE 'UPDATE ' || ledger || ' o SET owner_object = $5 WHERE o.kind = $1 AND o.schema = $2 AND o.name = $3 AND o.args = $4' " \
	"USING u.kind, u.schema, u.name, u.args, id; END IF; END LOOP;\n" \
	"FOR r IN SELECT * FROM (VALUES\n"

#define CHANGE_TAIL_SQL \
	") v(no, kind, schema, name, args, command) ORDER BY no LOOP\n" \
	IS_MINE_SQL("r") \
	"CONTINUE WHEN NOT is_mine;\n" \
	"id := " OID_SQL ";\n" \
	"IF r.command IS NOT NULL THEN is_changed := true;\n" \
	"IF id IS NOT NULL THEN EXECUTE r.command; END IF;\n" \
	"EXECUTE 'UPDATE ' || ledger || ' o SET args = o.args WHERE o.kind = $1 AND o.schema = $2 AND o.name = $3 AND o.args = $4' " \
	"USING r.kind, r.schema, r.name, r.args;\n" \
	"ELSE BEGIN EXECUTE format('DROP %s', regexp_replace(" NAMED_SQL("r") ", '^(OPERATOR CLASS|[A-Z]+) ', '\\1 IF EXISTS '));\n" \
	"IF r.kind = 'operator class' AND NOT EXISTS (SELECT FROM pg_opclass c JOIN pg_opfamily f ON f.oid = c.opcfamily JOIN pg_namespace n ON n.oid = f.opfnamespace " \
	"JOIN pg_am m ON m.oid = f.opfmethod WHERE n.nspname = r.schema AND f.opfname = r.name AND m.amname = r.args) THEN " \
	"EXECUTE format('DROP OPERATOR FAMILY IF EXISTS %I.%I USING %I', r.schema, r.name, r.args); END IF;\n" \
	FORGET_SQL("r") \
	"EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END; END IF;\n" \
	"END LOOP;\n" \
	"FOR u IN EXECUTE 'SELECT * FROM ' || CASE WHEN is_changed THEN ledger ELSE ledger || ' WHERE false' END LOOP\n" \
	"SELECT x.*, CASE u.kind WHEN 'extension' THEN x.version ELSE md5(" DEFINITION_SQL("u.kind", "u.owner_object") ") END AS fingerprint INTO r FROM (" \
	"SELECT n.nspname, t.typname, '', '' FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE u.kind = 'type' AND t.oid = u.owner_object " \
	"UNION ALL SELECT n.nspname, p.proname, " ARGS_OF("p") ", '' FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE u.kind = 'function' AND p.oid = u.owner_object " \
	"UNION ALL SELECT n.nspname, c.collname, '', '' FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE u.kind = 'collation' AND c.oid = u.owner_object " \
	"UNION ALL SELECT n.nspname, c.opcname, m.amname::text, '' FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_am m ON m.oid = c.opcmethod " \
	"WHERE u.kind = 'operator class' AND c.oid = u.owner_object " \
	"UNION ALL SELECT '', n.nspname, '', '' FROM pg_namespace n WHERE u.kind = 'schema' AND n.oid = u.owner_object " \
	"UNION ALL SELECT n.nspname, e.extname, '', e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE u.kind = 'extension' AND e.oid = u.owner_object" \
	") x(schema, name, args, version);\n" \
	"CONTINUE WHEN NOT FOUND OR (r.schema, r.name, r.args, r.fingerprint) = (u.schema, u.name, u.args, u.fingerprint);\n" \
	"EXECUTE 'UPDATE ' || ledger || ' o SET schema = $5, name = $6, args = $7, fingerprint = $8 WHERE o.kind = $1 AND o.schema = $2 AND o.name = $3 AND o.args = $4' " \
	"USING u.kind, u.schema, u.name, u.args, r.schema, r.name, r.args, r.fingerprint;\n" \
	"END LOOP;\nEND"

/*
 * Nobody's object may be left that should have changed: rows of (no, kind, schema, name,
 * args, definition).  What another role has made that we are there, too, that one has
 * changed, in a transaction of its own that is not seen here.
 */
#define VERIFY_HEAD_SQL \
	"DECLARE r record; id oid; owner oid;\nBEGIN\nFOR r IN SELECT * FROM (VALUES\n"

#define VERIFY_TAIL_SQL \
	") v(no, kind, schema, name, args, definition) LOOP\n" \
	"id := " OID_SQL ";\n" \
	"CONTINUE WHEN id IS NULL OR r.kind = 'collation' OR " DEFINITION_SQL("r.kind", "id") " = r.definition;\n" \
	"owner := CASE r.kind WHEN 'type' THEN (SELECT t.typowner FROM pg_type t WHERE t.oid = id) " \
	"WHEN 'function' THEN (SELECT p.proowner FROM pg_proc p WHERE p.oid = id) " \
	"WHEN 'collation' THEN (SELECT c.collowner FROM pg_collation c WHERE c.oid = id) " \
	"WHEN 'operator class' THEN (SELECT c.opcowner FROM pg_opclass c WHERE c.oid = id) " \
	"WHEN 'schema' THEN (SELECT n.nspowner FROM pg_namespace n WHERE n.oid = id) ELSE (SELECT e.extowner FROM pg_extension e WHERE e.oid = id) END;\n" \
	"CONTINUE WHEN owner <> (SELECT a.oid FROM pg_roles a WHERE a.rolname = current_user) AND EXISTS (SELECT FROM pg_class c " \
	"WHERE c.relnamespace = to_regnamespace('cz_shards') AND c.relkind = 'r' AND c.relname ~ '^cz_object(@[0-9]+)*$' AND c.relowner = owner);\n" \
	"RAISE EXCEPTION USING ERRCODE = 'duplicate_object', " \
	"MESSAGE = format('%s %s exists with another definition', r.kind, " TITLE_SQL("r") "), " \
	"DETAIL = 'The coordinator has not made it.', HINT = 'Change it there first.';\n" \
	"END LOOP;\nEND"

/* The name of the ledger of the role that runs this, if it has one; its rows, as JSON */
#define LEDGER_NAME_SQL \
	"SELECT pg_catalog.format('cz_shards.%I', c.relname) FROM pg_catalog.pg_class c WHERE c.relnamespace = pg_catalog.to_regnamespace('cz_shards') " \
	"AND c.relkind = 'r' AND c.relname ~ '^cz_object(@[0-9]+)*$' AND c.relowner = (SELECT a.oid FROM pg_catalog.pg_roles a WHERE a.rolname = current_user)"
#define LEDGER_ROWS_SQL \
	"SELECT pg_catalog.json_agg(pg_catalog.json_build_array(o.kind, o.schema, o.name, o.args)) FROM %s o"

/* What of such rows ($1) is here, as sent in the name of a role ($2) */
#define LEARN_SQL \
	"INSERT INTO cz.objects SELECT s.classid, s.objid, $2 FROM (SELECT CASE r.kind WHEN 'type' THEN 'pg_type'::regclass " \
	"WHEN 'function' THEN 'pg_proc'::regclass WHEN 'collation' THEN 'pg_collation'::regclass WHEN 'operator class' THEN 'pg_opclass'::regclass " \
	"WHEN 'schema' THEN 'pg_namespace'::regclass ELSE 'pg_extension'::regclass END AS classid, " OID_SQL " AS objid " \
	"FROM (SELECT e.o ->> 0 AS kind, e.o ->> 1 AS schema, e.o ->> 2 AS name, e.o ->> 3 AS args FROM json_array_elements($1::json) e(o)) r) s " \
	"WHERE s.objid IS NOT NULL ON CONFLICT DO NOTHING"

#endif							/* CZ_LEDGER_SQL_H */
