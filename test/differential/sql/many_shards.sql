-- More fragments on a worker than are worth a prepared statement each.

CREATE TABLE wide (k int PRIMARY KEY, v int);
SELECT create_distributed_table('wide', 'k', shard_count => 512);
INSERT INTO wide SELECT i, i % 7 FROM generate_series(1, 2000) i;
SELECT count(*), sum(v) FROM wide;
PREPARE filtered (int) AS SELECT count(*), sum(k) FROM wide WHERE v = $1;
EXECUTE filtered(1);
EXECUTE filtered(2);
EXECUTE filtered(3);
EXECUTE filtered(NULL);
SELECT x, (SELECT count(*) FROM wide WHERE v < x) FROM generate_series(0, 3) x ORDER BY 1;
DROP TABLE wide;
