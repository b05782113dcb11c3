-- cz_fdw: distributed PostgreSQL with vanilla workers.  Made from the files
-- sql/NN-*.sql; run by CREATE EXTENSION.
\echo Use "CREATE EXTENSION cz_fdw" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA cz;
COMMENT ON SCHEMA cz IS 'catalog tables and internal functions of cz_fdw';
GRANT USAGE ON SCHEMA cz TO PUBLIC;

CREATE SCHEMA cz_shards;
COMMENT ON SCHEMA cz_shards IS 'shards of distributed tables: one foreign table each';

-- Raises 55000 unless the library is in shared_preload_libraries.
CREATE FUNCTION cz.check_preload() RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_check_preload';
SELECT cz.check_preload();
DROP FUNCTION cz.check_preload();
