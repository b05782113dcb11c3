-- cz_fdw: what has changed from 1.0 to 1.1.  Made from the files of this directory, one a
-- topic as in sql/; run by ALTER EXTENSION cz_fdw UPDATE.  Test 083 compares what it
-- leaves with what CREATE EXTENSION makes.
\echo Use "ALTER EXTENSION cz_fdw UPDATE" to load this file. \quit

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
