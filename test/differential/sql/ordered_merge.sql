-- Rows of several sorted fragments merged in one order, without a sort here.
CREATE TABLE sorted (id int, v int, w bigint, t text, f float8, r real, d date, ts timestamptz, n numeric(12,4),
  b boolean, u uuid, by bytea, iv interval, c char(5), vc varchar(20), nm name, a int[], bits bit(6), ip inet, j jsonb, wide text);
SELECT create_distributed_table('sorted', 'id', shard_count => 8);
INSERT INTO sorted SELECT i, CASE WHEN i % 17 = 0 THEN NULL ELSE (i * 7919) % 100 END, (i::bigint * 7919 * 104729) % 100003,
  CASE WHEN i % 23 = 0 THEN NULL ELSE 'X' || chr(60 + i * 31 % 60) || (i * 31 % 77) END,
  CASE WHEN i % 13 = 0 THEN 'NaN' WHEN i % 11 = 0 THEN NULL WHEN i % 7 = 0 THEN '-Infinity' ELSE i * 0.37 END,
  CASE WHEN i % 5 = 0 THEN NULL ELSE (i % 40) / 7.0 END, '2020-01-01'::date + (i % 100), '2020-01-01 00:00+00'::timestamptz + i * interval '17 hours' / 3,
  CASE WHEN i % 19 = 0 THEN 'NaN' ELSE (i % 97) / 3.0 END, i % 3 = 0, md5((i % 50)::text)::uuid, decode(md5((i % 60)::text), 'hex'),
  (i % 30) * interval '1 day' + (i % 7) * interval '5 hours', chr(97 + i % 26), chr(65 + i % 26) || chr(97 + i % 24), 'n' || (i % 44),
  ARRAY[i % 5, NULL, i % 3], (i % 64)::bit(6), ('10.0.' || i % 200 || '.1')::inet, jsonb_build_object('k', i % 9), repeat('wide ', 40)
  FROM generate_series(1, 3000) i;
ANALYZE sorted;
SELECT id, v FROM sorted ORDER BY v, id;
SELECT id, v FROM sorted ORDER BY v DESC, id DESC;
SELECT id, v FROM sorted ORDER BY v NULLS FIRST, id;
SELECT id, v FROM sorted ORDER BY v DESC NULLS LAST, w, id;
SELECT id FROM sorted ORDER BY v USING >, id USING <;
SELECT id, f FROM sorted ORDER BY f, id;
SELECT id, f FROM sorted ORDER BY f DESC, id;
SELECT id, r FROM sorted ORDER BY r NULLS FIRST, id DESC;
SELECT id, t FROM sorted ORDER BY t, id;
SELECT id, t FROM sorted ORDER BY t COLLATE "C" DESC, id;
SELECT id FROM sorted ORDER BY t COLLATE "POSIX", id LIMIT 100;
SELECT id, c, vc FROM sorted ORDER BY c COLLATE "C", vc COLLATE "C" DESC, id;
SELECT id, nm FROM sorted ORDER BY nm, id;
SELECT id FROM sorted ORDER BY d DESC, ts;
SELECT id FROM sorted ORDER BY n DESC, ts DESC;
SELECT id FROM sorted ORDER BY b, u, id;
SELECT id FROM sorted ORDER BY by DESC, id;
SELECT id FROM sorted ORDER BY iv, id;
SELECT id FROM sorted ORDER BY a DESC, bits, id;
SELECT id FROM sorted ORDER BY ip, id;
SELECT id FROM sorted ORDER BY j, id;
SELECT id, wide FROM sorted ORDER BY w, id LIMIT 700 OFFSET 100;
SELECT wide FROM sorted WHERE id % 7 = 3 ORDER BY w, id;
SELECT id + v AS x FROM sorted ORDER BY x NULLS FIRST, id;
SELECT id FROM sorted ORDER BY abs(v - 50), id LIMIT 50;
SELECT id, random() < 2 FROM sorted ORDER BY v, id LIMIT 20;
SELECT id AS v, v AS id FROM sorted ORDER BY v, id LIMIT 50;
SELECT id AS v, v AS id FROM sorted ORDER BY sorted.v, sorted.id LIMIT 50;
SELECT v FROM sorted ORDER BY v FETCH FIRST 3 ROWS WITH TIES;
SELECT v, id FROM (SELECT v, id FROM sorted ORDER BY v DESC NULLS LAST FETCH FIRST 40 ROWS WITH TIES) s ORDER BY 2;
SELECT v FROM sorted ORDER BY v OFFSET 5 FETCH FIRST 30 ROWS WITH TIES;
SELECT DISTINCT v FROM sorted ORDER BY v DESC LIMIT 10;
SELECT DISTINCT v, b FROM sorted ORDER BY v DESC, b;
SELECT DISTINCT ON (v) v, id FROM sorted ORDER BY v, id DESC;
SELECT DISTINCT ON (v) v, id FROM sorted ORDER BY v DESC, id DESC LIMIT 7;
SELECT v, count(*), sum(w) FROM sorted GROUP BY v ORDER BY v;
SELECT v, count(DISTINCT t) FROM sorted GROUP BY v ORDER BY v LIMIT 5;
SELECT id, count(*) FROM sorted GROUP BY id ORDER BY id DESC LIMIT 5;
SELECT array_agg(id) FROM (SELECT id FROM sorted ORDER BY w, id) s;
SELECT string_agg(t, ',') FROM (SELECT t FROM sorted WHERE v < 5 ORDER BY id DESC) s;
SELECT array_agg(x) FROM (SELECT id AS x FROM sorted ORDER BY f DESC, id LIMIT 40) s;
SELECT id, row_number() OVER (ORDER BY w, id), sum(v) OVER (ORDER BY w, id) FROM sorted;
SELECT id, lag(id) OVER (PARTITION BY v ORDER BY w, id) FROM sorted ORDER BY id;
SELECT id, rank() OVER (ORDER BY v), ntile(7) OVER (ORDER BY v, id) FROM sorted ORDER BY v, id LIMIT 30;
SELECT percentile_cont(ARRAY[0.1, 0.5, 0.99]) WITHIN GROUP (ORDER BY f), percentile_disc(0.3) WITHIN GROUP (ORDER BY w) FROM sorted;
SELECT array_agg(id ORDER BY t, id), array_agg(v ORDER BY id DESC) FROM sorted WHERE id < 100;
SELECT * FROM (SELECT id, v FROM sorted ORDER BY v, id LIMIT 30) a JOIN (SELECT id, w FROM sorted ORDER BY w, id LIMIT 900) b USING (id) ORDER BY v, id;
SELECT g, (SELECT id FROM sorted WHERE v > g ORDER BY v, id LIMIT 1) FROM generate_series(0, 90, 30) g ORDER BY g;
SELECT g, s.id FROM generate_series(1, 3) g, LATERAL (SELECT id FROM sorted ORDER BY (v + g) % 11, id LIMIT 3) s ORDER BY g, s.id;
SELECT a.id, b.id FROM (SELECT id, w FROM sorted ORDER BY w, id LIMIT 5) a CROSS JOIN (SELECT id, w FROM sorted ORDER BY w DESC, id LIMIT 4) b ORDER BY a.w, b.w;
SELECT id FROM sorted WHERE v = 7 UNION ALL SELECT id FROM sorted WHERE v = 8 ORDER BY 1 LIMIT 30;
SELECT id FROM sorted ORDER BY v, id LIMIT 0;
SELECT id FROM sorted WHERE false ORDER BY v, id;
SELECT id FROM sorted WHERE id IN (5, 900, 17) ORDER BY v, id;
SELECT id FROM sorted WHERE id = 77 ORDER BY v, id;
SELECT id FROM sorted ORDER BY v, id LIMIT NULL;
SELECT id FROM sorted ORDER BY v, id LIMIT ALL OFFSET 2990;
SELECT id FROM sorted ORDER BY v, id OFFSET 2995;
SELECT id FROM sorted ORDER BY v, id LIMIT (SELECT 3 + count(*) FROM generate_series(1, 4)) OFFSET (SELECT 2);
SELECT id FROM sorted ORDER BY v, id LIMIT (SELECT min(id) FROM sorted WHERE id > 4);
SELECT id FROM sorted ORDER BY v, id LIMIT (SELECT NULL::int) OFFSET 2990;
-- error
SELECT id FROM sorted ORDER BY v, id LIMIT (SELECT -1);
SELECT id FROM (SELECT id, v FROM sorted ORDER BY v, id LIMIT 20) s WHERE id % 2 = 0;
SELECT count(*) FROM (SELECT id FROM sorted ORDER BY w, id LIMIT 1000) s;
-- error
SELECT id, v FROM sorted ORDER BY 2, 1 LIMIT 1 / 0;
-- error
SELECT 10 / (v - 50) FROM sorted ORDER BY v, id;
PREPARE top (int, int) AS SELECT id, v FROM sorted ORDER BY v DESC NULLS LAST, id LIMIT $1 OFFSET $2;
EXECUTE top(3, 1);
EXECUTE top(300, 0);
EXECUTE top(NULL, 2995);
EXECUTE top(0, 0);
EXECUTE top(5, NULL);
-- error
EXECUTE top(-1, 0);
BEGIN;
DECLARE fwd CURSOR FOR SELECT id, v, wide FROM sorted ORDER BY v, id;
FETCH 5 FROM fwd;
UPDATE sorted SET v = v + 1 WHERE id < 20;
FETCH 5 FROM fwd;
SELECT count(*), sum(v) FROM sorted;
FETCH 200 FROM fwd;
CLOSE fwd;
DECLARE back SCROLL CURSOR FOR SELECT id, v FROM sorted ORDER BY w DESC, id;
FETCH 10 FROM back;
FETCH BACKWARD 4 FROM back;
FETCH LAST FROM back;
FETCH FIRST FROM back;
FETCH ABSOLUTE 1500 FROM back;
FETCH RELATIVE -700 FROM back;
FETCH BACKWARD ALL FROM back;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM sorted ORDER BY f DESC NULLS LAST, id LIMIT 60;
FETCH 3 FROM held;
COMMIT;
FETCH 100 FROM held;
CLOSE held;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT id FROM sorted ORDER BY v, id LIMIT 12;
INSERT INTO sorted (id, v) VALUES (5001, -1), (5002, -2), (5003, -3);
SELECT id FROM sorted ORDER BY v, id LIMIT 12;
SELECT id, v FROM sorted ORDER BY v, id LIMIT 5000;
ROLLBACK;
WITH few AS (SELECT id FROM sorted ORDER BY w, id LIMIT 8) SELECT a.id, b.id FROM few a JOIN few b ON a.id < b.id ORDER BY 1, 2;
CREATE TABLE copied AS SELECT id, v, row_number() OVER () AS place FROM (SELECT id, v FROM sorted ORDER BY v DESC, id) s;
SELECT * FROM copied ORDER BY place;
DROP TABLE copied;
DROP TABLE sorted;
