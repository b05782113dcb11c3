-- The foreign data wrapper.

CREATE FUNCTION cz.fdw_handler() RETURNS fdw_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_fdw_handler';
COMMENT ON FUNCTION cz.fdw_handler() IS 'foreign-data wrapper handler of cz_fdw';
REVOKE ALL ON FUNCTION cz.fdw_handler() FROM PUBLIC;

CREATE FUNCTION cz.fdw_validator(text[], oid) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_fdw_validator';
COMMENT ON FUNCTION cz.fdw_validator(text[], oid) IS 'validates options of objects of cz_fdw';
REVOKE ALL ON FUNCTION cz.fdw_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER cz_fdw HANDLER cz.fdw_handler VALIDATOR cz.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER cz_fdw IS 'servers are workers, their foreign tables are shards or stand alone';
