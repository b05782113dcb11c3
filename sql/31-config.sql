-- The cluster file.

CREATE FUNCTION pg_catalog.cz_import_cluster(config text, dry_run boolean DEFAULT false,
        OUT action text, OUT object text, OUT detail text)
    RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'cz_import_cluster';
COMMENT ON FUNCTION pg_catalog.cz_import_cluster(text, boolean)
    IS 'makes the cluster what a JSON text says, and returns what was done or (dry_run) would be';
REVOKE ALL ON FUNCTION pg_catalog.cz_import_cluster(text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.cz_import_cluster_file(path text, dry_run boolean DEFAULT false,
        OUT action text, OUT object text, OUT detail text)
    RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'cz_import_cluster_file';
COMMENT ON FUNCTION pg_catalog.cz_import_cluster_file(text, boolean)
    IS 'makes the cluster what a file on the server says, and returns what was done or (dry_run) would be';
REVOKE ALL ON FUNCTION pg_catalog.cz_import_cluster_file(text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.cz_export_cluster() RETURNS text
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_export_cluster';
COMMENT ON FUNCTION pg_catalog.cz_export_cluster()
    IS 'the cluster as JSON text that cz_import_cluster reads; without passwords';
REVOKE ALL ON FUNCTION pg_catalog.cz_export_cluster() FROM PUBLIC;
