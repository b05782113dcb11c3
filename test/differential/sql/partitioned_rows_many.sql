-- Row by row writes of rows in more partitions than are named to the workers: the span of the partition key is
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
CREATE TABLE e (k int, t timestamptz, d numeric, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE l (k int, n int, v text) PARTITION BY LIST (n);
CREATE TABLE x (k int, v text, w text) PARTITION BY LIST (v);
DO $$BEGIN
  FOR i IN 0..69 LOOP
    EXECUTE format('CREATE TABLE e%s PARTITION OF e FOR VALUES FROM (%L) TO (%L)', i, '2026-01-01 12:00+05'::timestamptz + i * interval '1 day', '2026-01-01 12:00+05'::timestamptz + (i + 1) * interval '1 day');
    EXECUTE format('CREATE TABLE l%s PARTITION OF l FOR VALUES IN (%s)', i, CASE WHEN i = 69 THEN 'NULL' ELSE (i - 30)::text END);
    EXECUTE format('CREATE TABLE x%s PARTITION OF x FOR VALUES IN (%L)', i, 'v' || i);
  END LOOP;
END$$;
SELECT create_distributed_table('e', 'k'), create_distributed_table('l', 'k'), create_distributed_table('x', 'k');
INSERT INTO e SELECT i % 7, '2026-01-02 00:00+00'::timestamptz + i * interval '7 hours', i FROM generate_series(0, 230) i;
INSERT INTO l SELECT i % 5, i % 39 - 30, i FROM generate_series(0, 200) i;
INSERT INTO l SELECT i, i + 10, i FROM generate_series(0, 28) i;
INSERT INTO x SELECT i % 5, 'v' || i % 70, i FROM generate_series(0, 200) i;
SET TimeZone = 'America/New_York';
UPDATE e SET d = d + 1 WHERE random() < 2;
SELECT count(*), sum(d), min(t), max(t) FROM e;
UPDATE e SET d = d + 1 WHERE t > '2026-01-05' AND t < '2026-03-05' AND random() < 2;
SELECT count(*), sum(d), min(t), max(t) FROM e;
UPDATE e SET t = t + interval '30 hours', d = -d WHERE t < '2026-03-07' AND random() < 2;
SELECT count(*), sum(d), min(t), max(t) FROM e;
DELETE FROM e WHERE k = 3 AND random() < 2;
DELETE FROM e WHERE d::int % 3 = 0 AND random() < 2;
SELECT count(*), sum(d), min(t), max(t) FROM e;
MERGE INTO e USING (SELECT k, t FROM e WHERE k < 3) s ON e.k = s.k AND e.t = s.t WHEN MATCHED AND s.k = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET d = 0;
SELECT count(*), sum(d), min(t), max(t) FROM e;
UPDATE l SET v = v || '!' WHERE random() < 2;
UPDATE l SET v = v || '?' WHERE n < 20 AND random() < 2;
INSERT INTO l VALUES (1, NULL, 'null');
UPDATE l SET v = v || '+' WHERE random() < 2;
UPDATE l SET n = -n WHERE abs(n) < 29 AND random() < 2;
DELETE FROM l WHERE length(v) = 4 AND random() < 2;
SELECT count(*), sum(n), count(n), sum(length(v)) FROM l;
UPDATE x SET w = w || '!' WHERE random() < 2;
DELETE FROM x WHERE k = 2 AND random() < 2;
SELECT count(*), sum(length(w)) FROM x;
SELECT count(*) FROM cz_verify_placements('e') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('l') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('x') WHERE NOT ok;
DROP TABLE e, l, x;
