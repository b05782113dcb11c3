-- Two-phase commit: the log of decisions, recovery, and the trigger that
-- replicates reference tables.

-- Whose cluster this is: the id survives a dump, who its coordinator is does not.
CREATE TABLE cz.cluster (
    cluster_id uuid NOT NULL,
    epoch      int NOT NULL CHECK (epoch > 0)
);
COMMENT ON TABLE cz.cluster IS 'identity of the cluster: one row';
COMMENT ON COLUMN cz.cluster.cluster_id IS 'drawn by CREATE EXTENSION; names of prepared transactions on workers contain it';
COMMENT ON COLUMN cz.cluster.epoch IS 'how often a coordinator has taken over';
CREATE TABLE cz.cluster_owner (
    cluster_id        uuid NOT NULL,
    first_epoch       int NOT NULL,
    system_identifier bigint NOT NULL,
    database_oid      oid NOT NULL,
    timeline          int NOT NULL,
    control_file      bigint NOT NULL
);
COMMENT ON TABLE cz.cluster_owner IS 'the coordinator, as it saw itself when it became that: one row; a copy of it finds itself another';
COMMENT ON COLUMN cz.cluster_owner.cluster_id IS 'cluster whose decisions are in cz.transaction_log; another than in cz.cluster after a restore of a dump';
COMMENT ON COLUMN cz.cluster_owner.first_epoch IS 'from which epoch on they are';
COMMENT ON COLUMN cz.cluster_owner.system_identifier IS 'of the server, as in pg_control_system()';
COMMENT ON COLUMN cz.cluster_owner.database_oid IS 'of this database';
COMMENT ON COLUMN cz.cluster_owner.timeline IS 'of the server';
COMMENT ON COLUMN cz.cluster_owner.control_file IS 'file number of global/pg_control';
GRANT SELECT ON cz.cluster, cz.cluster_owner TO PUBLIC;
SELECT pg_extension_config_dump('cz.cluster', '');

CREATE FUNCTION cz.cluster_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'cz_cluster_changed';
COMMENT ON FUNCTION cz.cluster_changed() IS 'makes backends look at the identity again; one row replaces the other';
REVOKE ALL ON FUNCTION cz.cluster_changed() FROM PUBLIC;
CREATE TRIGGER cluster_replaced BEFORE INSERT ON cz.cluster
    FOR EACH ROW EXECUTE FUNCTION cz.cluster_changed();
COMMENT ON TRIGGER cluster_replaced ON cz.cluster IS 'a row that is inserted replaces the one that is there';
CREATE TRIGGER cluster_changed AFTER INSERT OR UPDATE OR DELETE ON cz.cluster
    FOR EACH STATEMENT EXECUTE FUNCTION cz.cluster_changed();
COMMENT ON TRIGGER cluster_changed ON cz.cluster IS 'makes backends look at the identity again';
CREATE TRIGGER cluster_changed AFTER INSERT OR UPDATE OR DELETE ON cz.cluster_owner
    FOR EACH STATEMENT EXECUTE FUNCTION cz.cluster_changed();
COMMENT ON TRIGGER cluster_changed ON cz.cluster_owner IS 'makes backends look at the identity again';

CREATE FUNCTION cz_take_over(force boolean DEFAULT false) RETURNS int
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_take_over';
COMMENT ON FUNCTION cz_take_over(boolean)
    IS 'makes this copy of the coordinator, whose original is stopped for good, the coordinator; returns the epoch';
REVOKE ALL ON FUNCTION cz_take_over(boolean) FROM PUBLIC;

-- A parallel restore may fill cz.tables before cz.cluster, and go on with DDL between them.
CREATE FUNCTION cz.tables_restored() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'cz_tables_restored';
COMMENT ON FUNCTION cz.tables_restored() IS 'a database whose tables come from a dump is not the coordinator of their shards';
REVOKE ALL ON FUNCTION cz.tables_restored() FROM PUBLIC;
CREATE TRIGGER tables_restored AFTER INSERT ON cz.tables
    FOR EACH STATEMENT EXECUTE FUNCTION cz.tables_restored();
COMMENT ON TRIGGER tables_restored ON cz.tables IS 'a database whose tables come from a dump is not the coordinator of their shards';

INSERT INTO cz.cluster VALUES (gen_random_uuid(), 1);
SELECT cz_take_over();

-- A row exists from the commit of a transaction on several nodes until all of
-- them have finished it.  State of this server: not dumped.
CREATE TABLE cz.transaction_log (
    gid_prefix   text COLLATE "C" PRIMARY KEY,
    server_names text[] NOT NULL,
    created_at   timestamptz NOT NULL
);
COMMENT ON TABLE cz.transaction_log IS 'decisions of two-phase commits that workers may still have to carry out';
COMMENT ON COLUMN cz.transaction_log.gid_prefix IS 'what the names of its prepared transactions begin with';
COMMENT ON COLUMN cz.transaction_log.server_names IS 'foreign servers that took part, and may have a part to finish';
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
