-- Run once, by the image's entry point, when the coordinator's data is made.
CREATE EXTENSION cz_fdw;
SELECT * FROM cz_import_cluster_file('/etc/cz_fdw/cluster.json');
