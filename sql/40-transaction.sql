-- Two-phase commit: the log of decisions, recovery, and the trigger that
-- replicates reference tables.

-- A row exists from the commit of a transaction on several nodes until all of
-- them have finished it.  State of this server: not dumped.
CREATE TABLE cz.transaction_log (
    gid_prefix  text COLLATE "C" PRIMARY KEY,
    server_oids oid[] NOT NULL,
    created_at  timestamptz NOT NULL
);
COMMENT ON TABLE cz.transaction_log IS 'decisions of two-phase commits that workers may still have to carry out';
COMMENT ON COLUMN cz.transaction_log.gid_prefix IS 'what the names of its prepared transactions begin with';
COMMENT ON COLUMN cz.transaction_log.server_oids IS 'foreign servers that took part';
COMMENT ON COLUMN cz.transaction_log.created_at IS 'when the coordinator committed, about';
REVOKE ALL ON TABLE cz.transaction_log FROM PUBLIC;

CREATE FUNCTION recover_prepared_transactions() RETURNS int
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'recover_prepared_transactions';
COMMENT ON FUNCTION recover_prepared_transactions() IS 'commit or roll back what crashes left prepared on workers; returns how many';
REVOKE ALL ON FUNCTION recover_prepared_transactions() FROM PUBLIC;

CREATE FUNCTION cz.replicate_row() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'cz_replicate_row';
COMMENT ON FUNCTION cz.replicate_row() IS 'row trigger that carries writes on a reference table to its copies';
REVOKE ALL ON FUNCTION cz.replicate_row() FROM PUBLIC;
