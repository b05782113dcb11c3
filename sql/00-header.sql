-- cz_fdw: distributed PostgreSQL with vanilla workers.  Made from the files
-- sql/NN-*.sql; run by CREATE EXTENSION.
\echo Use "CREATE EXTENSION cz_fdw" to load this file. \quit

-- Fails with 55000 unless the library is in shared_preload_libraries.
LOAD 'MODULE_PATHNAME';

SET LOCAL search_path TO pg_catalog, pg_temp;

-- A server that has not been restarted since the package came goes on with the older library.
DO $$
BEGIN
    IF current_setting('cz.version', true) IS DISTINCT FROM '1.1' THEN
        RAISE EXCEPTION 'the library of cz_fdw that this server has loaded is of version %, these scripts of 1.1',
            coalesce(current_setting('cz.version', true), '1.0')
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Restart the server.';
    END IF;
END
$$;

CREATE SCHEMA cz;
COMMENT ON SCHEMA cz IS 'catalog tables and internal functions of cz_fdw';
GRANT USAGE ON SCHEMA cz TO PUBLIC;

CREATE SCHEMA cz_shards;
COMMENT ON SCHEMA cz_shards IS 'shards of distributed tables: one foreign table each';
