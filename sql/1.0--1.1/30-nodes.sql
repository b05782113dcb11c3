-- It says in how many buckets placements differ, and how many rows are another shard's.

DROP FUNCTION cz_verify_placements(regclass);

CREATE FUNCTION cz_verify_placements(relation regclass DEFAULT NULL,
        OUT table_name regclass, OUT shardid bigint, OUT placements int, OUT rows bigint,
        OUT checksum numeric, OUT ok boolean, OUT differing_buckets int, OUT misplaced bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_verify_placements';
COMMENT ON FUNCTION cz_verify_placements(regclass)
    IS 'compares the placements of each shard; ok: all of them were seen and are equal';
REVOKE ALL ON FUNCTION cz_verify_placements(regclass) FROM PUBLIC;
