-- Functions that came with 18: over distributed rows, and volatile ones in writes.
-- from: 18
CREATE TABLE t (k int PRIMARY KEY, v int, s text COLLATE "C", a int[], b bytea, u uuid DEFAULT uuidv7(), d timestamptz, j jsonb);
SELECT create_distributed_table('t', 'k');
CREATE TABLE r (k int PRIMARY KEY, v int, u uuid);
SELECT create_reference_table('r');
INSERT INTO t (k, v, s, a, b, d, j) SELECT i, i % 7, chr(65 + i % 5) || chr(97 + i % 3), ARRAY[i % 3, 5, NULL, i], decode(lpad(to_hex(i * 4096 + 65536), 8, '0'), 'hex'), timestamptz '2026-01-01 00:00:00+00' + i * interval '7 hours', jsonb_build_object('a', NULL, 'b', i) FROM generate_series(16, 75) i;
INSERT INTO r SELECT i, i, NULL FROM generate_series(1, 5) i;
-- composites and bytea have a greatest and a least
SELECT max((v, k)), min((v, s, k)), max(ROW(s, k)) FROM t;
SELECT v, max((s, k)), min((s, k)) FROM t GROUP BY v ORDER BY v;
SELECT v, (SELECT max((s, k)) FROM t x WHERE x.k < t.k) FROM t WHERE k < 22 ORDER BY k;
SELECT max(ROW(t.k, t.a, t.j)) FROM t WHERE k < 20;
SELECT max(b), min(b) FROM t;
SELECT v, max(b), min(b) FROM t GROUP BY v ORDER BY v;
SELECT max((v, k)) FILTER (WHERE k > 1000), max((v, k)) OVER (PARTITION BY v) FROM t GROUP BY v, k ORDER BY v, k LIMIT 3;
SELECT max((k, r.v)) FROM t JOIN r USING (k);
-- error
SELECT max((1, '1'::xml)) FROM t;
-- error
SELECT max(CASE WHEN k > 20 THEN ROW(1, 1) ELSE ROW(1) END) FROM t;
SELECT k, array_sort(a), array_sort(a, true), array_sort(a, true, false), array_reverse(a) FROM t WHERE k < 20 ORDER BY k;
SELECT array_sort(ARRAY[s, 'Zz', 'aa']), array_sort(ARRAY[s, 'Zz', 'aa'] COLLATE pg_unicode_fast) FROM t WHERE k < 20 ORDER BY k;
SELECT array_sort(a) AS x, count(*) FROM t GROUP BY 1 ORDER BY 1 LIMIT 5;
SELECT array_sort(array_agg(k)) FROM t WHERE k < 30;
SELECT k FROM t WHERE (array_sort(a))[1] = 1 ORDER BY k LIMIT 5;
-- error
SELECT array_sort(ARRAY[j::text::json, '1']) FROM t;
SELECT crc32(b), crc32c(b), crc32(convert_to(s, 'UTF8')) FROM t WHERE k < 20 ORDER BY k;
SELECT crc32(b) % 3 AS g, count(*), sum(crc32c(b)) FROM t GROUP BY 1 ORDER BY 1;
SELECT k FROM t WHERE crc32(b) < 1000000000 ORDER BY k;
SELECT reverse(b), b::int4, k::bytea AS four, (k::bigint)::bytea AS eight FROM t WHERE k < 19 ORDER BY k;
-- error
SELECT ('\x0102030405060708090a'::bytea || b)::bigint FROM t;
SELECT casefold(s COLLATE pg_unicode_fast), casefold('STRASSE ß' COLLATE pg_c_utf8) FROM t WHERE k < 19 ORDER BY k;
SELECT casefold(s COLLATE pg_unicode_fast) AS f, count(*) FROM t GROUP BY 1 ORDER BY 1;
SELECT k FROM t WHERE casefold(s COLLATE pg_c_utf8) = 'aa' ORDER BY k;
SELECT gamma(k / 10.0::float8) > 0, round(lgamma(k::float8)::numeric, 6) FROM t WHERE k < 19 ORDER BY k;
-- error
SELECT gamma((k * 1000)::float8) FROM t;
SELECT json_strip_nulls(j::json, true), jsonb_strip_nulls(jsonb_build_array(j, NULL), true) FROM t WHERE k < 19 ORDER BY k;
SELECT k, (j -> 'a')::int, (j -> 'b')::int FROM t WHERE k < 19 ORDER BY k;
SELECT date_trunc('week', d) AS w, count(*) FROM t GROUP BY 1 ORDER BY 1;
-- error
SELECT date_trunc('week', k * interval '1 day') FROM t;
SELECT to_number(to_char(k, 'RN'), 'RN') = k FROM t WHERE k < 19;
SELECT regexp_replace(string => s, pattern => 'A', replacement => 'x'), regexp_substr(string => s, pattern => '[a-c]') FROM t WHERE k < 25 ORDER BY k;
-- volatile: each row has its own, and each placement the same
SELECT count(DISTINCT u), min(uuid_extract_version(u)), max(uuid_extract_version(u)) FROM t;
SELECT count(DISTINCT uuidv7()), count(DISTINCT uuidv4()), min(uuid_extract_version(uuidv4())) FROM t;
SELECT uuid_extract_timestamp(uuidv7()) BETWEEN now() - interval '1 hour' AND now() + interval '1 hour' AS near, count(*) FROM t GROUP BY 1;
SELECT bool_and(uuid_extract_timestamp(uuidv7(interval '-10 years')) < now() - interval '9 years') FROM t;
SELECT count(*) FROM t WHERE u < uuidv7();
UPDATE t SET u = uuidv7() WHERE k % 2 = 0;
SELECT count(DISTINCT u) FROM t;
UPDATE t SET u = uuidv7(k * interval '1 day') WHERE k < 30 RETURNING k, uuid_extract_timestamp(u) > now();
UPDATE t SET u = uuidv4() WHERE u IN (SELECT u FROM t ORDER BY u LIMIT 1) RETURNING k < 76, uuid_extract_version(u);
INSERT INTO t (k, v) SELECT i, i FROM generate_series(101, 140) i RETURNING k, uuid_extract_version(u);
INSERT INTO t (k, v, u) SELECT k + 1000, v, uuidv7() FROM t WHERE k > 100;
SELECT count(DISTINCT u), count(*) FROM t;
INSERT INTO t (k, v) VALUES (16, 1), (17, 1) ON CONFLICT (k) DO UPDATE SET u = uuidv7() RETURNING k, uuid_extract_version(u);
COPY t (k, v) FROM STDIN;
2001	1
2002	2
\.
SELECT count(DISTINCT u) FROM t WHERE k > 2000;
UPDATE r SET u = uuidv7();
SELECT count(DISTINCT u) FROM r;
SELECT count(DISTINCT r.u) FROM t JOIN r ON t.k % 5 + 1 = r.k;
MERGE INTO t USING r ON t.k = r.k + 15 WHEN MATCHED THEN UPDATE SET u = uuidv7() WHEN NOT MATCHED THEN INSERT (k) VALUES (r.k);
SELECT count(DISTINCT u), count(*) FROM t;
ALTER TABLE t ADD COLUMN w uuid DEFAULT uuidv7();
SELECT count(DISTINCT w) = count(*) FROM t;
CREATE INDEX ON t (crc32(b));
CREATE INDEX ON t (array_sort(a));
-- error
CREATE INDEX ON t (uuidv7());
SELECT k FROM t WHERE array_sort(a) = ARRAY[1, 5, 16, NULL] ORDER BY k;
ALTER TABLE t ADD CHECK (crc32(b) >= 0);
ALTER TABLE t ADD COLUMN g text GENERATED ALWAYS AS (casefold(s COLLATE pg_c_utf8)) STORED;
SELECT k, g FROM t WHERE k < 20 ORDER BY k;
