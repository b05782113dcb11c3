-- Functions that came with 17: over distributed rows, and volatile ones in writes.
-- from: 17
CREATE TABLE t (k int PRIMARY KEY, v int, n numeric, i interval, u uuid, s text);
SELECT create_distributed_table('t', 'k');
CREATE TABLE r (k int PRIMARY KEY, v int);
SELECT create_reference_table('r');
INSERT INTO t SELECT i, i % 7, i / 3.0, i * interval '1 hour', NULL, chr(64 + i % 20) FROM generate_series(1, 60) i;
INSERT INTO r SELECT i, i FROM generate_series(1, 5) i;
SELECT to_bin(k), to_oct(v), to_hex(k) FROM t WHERE k IN (5, 17, 33) ORDER BY k;
SELECT to_bin(v) AS b, count(*) FROM t GROUP BY 1 HAVING to_bin(v) LIKE '1%' ORDER BY 1;
SELECT max(CASE WHEN k = 5 THEN interval 'infinity' ELSE i END), min(i) FROM t;
SELECT k, i + interval 'infinity', isfinite(i - interval 'infinity') FROM t WHERE i < '3 hours' ORDER BY k;
SELECT sum(i), avg(i) FROM t WHERE k < 10;
SELECT sum(CASE WHEN k = 3 THEN interval '-infinity' ELSE i END), avg(CASE WHEN k = 3 THEN interval 'infinity' ELSE i END) FROM t;
-- error
SELECT sum(CASE WHEN k = 3 THEN interval '-infinity' WHEN k = 4 THEN interval 'infinity' END) FROM t;
-- error
SELECT k FROM t WHERE i / 0 > '1 hour';
SELECT v, min(i), max(i) FROM t GROUP BY v HAVING max(i) < interval 'infinity' ORDER BY v;
UPDATE t SET i = '-infinity' WHERE k = 7 RETURNING k, i, -i;
SELECT k FROM t WHERE i = interval '-infinity' OR i > interval '58 hours' ORDER BY i, k;
SELECT unicode_assigned(s), count(*) FROM t GROUP BY 1;
SELECT k, timestamptz '2026-01-02 03:04:05+00' AT LOCAL, (timestamp '2026-01-02 03:04:05' + i) AT LOCAL FROM t WHERE k < 4 ORDER BY k;
SET TimeZone = 'Asia/Tokyo';
SELECT k, (timestamptz '2026-01-02 03:04:05+00' + i) AT LOCAL FROM t WHERE k < 4 ORDER BY k;
SELECT k FROM t WHERE (timestamptz '2026-01-02 03:04:05+00' + i) AT LOCAL > timestamp '2026-01-04 20:00:00' ORDER BY k LIMIT 3;
RESET TimeZone;
SELECT k, pg_basetype('int'::regtype), to_regtypemod('numeric(5,2)') FROM t WHERE k = 1;
SELECT jsonb_path_query(to_jsonb(n), '$.bigint()'), jsonb_path_query(to_jsonb(k::text), '$.number()') FROM t WHERE k IN (3, 6) ORDER BY k;
SELECT uuid_extract_version(u), uuid_extract_timestamp(u) FROM t WHERE k = 1;
-- volatile: each row has its own, and each placement the same
SELECT random(1, 1), random(5, 6) BETWEEN 5 AND 6, random(0.5, 0.75) BETWEEN 0.5 AND 0.75, random(1::bigint, 3::bigint) < 4 FROM t WHERE k = 1;
SELECT count(*), count(DISTINCT random(1, 1000000000)) > 50 FROM t;
SELECT count(*) FROM t WHERE random(1, 2) < 3;
SELECT random(4, 4) AS x, count(*) FROM t GROUP BY 1;
SELECT k FROM t WHERE v = random(3, 3) AND k < 20 ORDER BY k;
SELECT sum(v * random(2, 2)) FROM t;
SELECT count(*) FROM t JOIN r ON r.k = random(2, 2) WHERE t.k < 10;
-- error
SELECT random(2, 1) FROM t;
-- error
SELECT k FROM t WHERE random(k, 1) = 0;
UPDATE t SET n = random(0.0000000001, 0.9999999999);
SELECT count(DISTINCT n) > 50, bool_and(n > 0 AND n < 1) FROM t;
UPDATE t SET u = gen_random_uuid(), v = random(1, 1000000) WHERE k > 30;
SELECT count(DISTINCT u), count(DISTINCT v) > 20, min(uuid_extract_version(u)), bool_or(uuid_extract_timestamp(u) IS NULL) FROM t WHERE k > 30;
INSERT INTO t (k, v, u) SELECT i, random(1, 1000000000), gen_random_uuid() FROM generate_series(101, 140) i RETURNING uuid_extract_version(u), v > 0;
INSERT INTO t (k, v) SELECT k + 1000, random(1, 1000000000) FROM t WHERE k > 100;
SELECT count(DISTINCT v) > 35, count(*) FROM t WHERE k > 1000;
INSERT INTO t (k, v) VALUES (1, 1), (2, 1) ON CONFLICT (k) DO UPDATE SET v = random(7, 7) RETURNING k, v;
DELETE FROM t WHERE k > 1000 AND random(1, 2) > 0;
MERGE INTO t USING r ON t.k = r.k WHEN MATCHED THEN UPDATE SET v = random(8, 8) WHEN NOT MATCHED THEN INSERT (k, v) VALUES (r.k, random(9, 9));
SELECT k, v FROM t WHERE v IN (7, 8, 9) ORDER BY k;
UPDATE r SET v = random(1, 1000000000);
SELECT count(DISTINCT v) > 3 FROM r;
SELECT count(DISTINCT r.v) FROM t JOIN r ON t.k % 5 + 1 = r.k;
ALTER TABLE t ADD COLUMN w int DEFAULT random(1, 1000000000);
SELECT count(DISTINCT w) > 50 FROM t;
PREPARE p (int, int) AS SELECT count(*) FROM t WHERE k < $1 AND random($2, $2) = $2;
EXECUTE p(10, 3);
EXECUTE p(20, 4);
SELECT k, w, u, v FROM t EXCEPT SELECT k, w, u, v FROM t;
