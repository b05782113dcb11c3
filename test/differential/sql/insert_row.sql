-- INSERT of one row: what is computed here and sent as parameters, and RETURNING of it.
CREATE TABLE t (gone int, k int, id int, v varchar(6) DEFAULT 'none', n numeric(8,2) DEFAULT 1.555, g int GENERATED ALWAYS AS (k * 2 + coalesce(id, 0)) STORED, a int[], at timestamptz DEFAULT now(), CHECK (n < 100), PRIMARY KEY (k, id));
ALTER TABLE t DROP COLUMN gone;
SELECT create_distributed_table('t', 'k');
ALTER TABLE t ADD COLUMN late text DEFAULT 'late';
ALTER TABLE t DROP COLUMN a;
ALTER TABLE t ADD COLUMN a int[];
INSERT INTO t (k, id) VALUES (1, 1);
INSERT INTO t (k, id, v, n, a) VALUES (1, 2, 'two', 2, ARRAY[1, 2]) RETURNING k, id, v, n, g, late, a;
INSERT INTO t (id, k, a[2], a[3], at) VALUES (3, 1, 7, 8, '2026-01-02 12:00:00+00') RETURNING *, g + 1 AS more, t.tableoid::regclass, t.v || late;
INSERT INTO t (k, id, at) VALUES (2, 1, '2026-01-01 12:00:00+00') RETURNING t;
INSERT INTO t AS x (k, id, at) VALUES (2, 2, '2026-01-01 12:00:00+00') RETURNING x, (x).g, row_to_json(x.*), x IS NULL;
INSERT INTO t (k, id) VALUES (2, 3) RETURNING (SELECT count(*) FROM pg_class WHERE relname = 'pg_class' AND t.g > 0) AS one, (SELECT t.late);
INSERT INTO t (k, id) VALUES (2, 4) RETURNING 1;
INSERT INTO t (k, id) VALUES (2, 5) RETURNING k > 1, now() = at;
-- error
INSERT INTO t (k, id) VALUES (1, 1);
-- error
INSERT INTO t (k, id, v) VALUES (3, 1, 'too long for it');
-- error
INSERT INTO t (k, id, n) VALUES (3, 1, 1000000000);
-- error
INSERT INTO t (k, id, n) VALUES (3, 1, 100);
-- error
INSERT INTO t (k) VALUES (3);
-- error
INSERT INTO t (id) VALUES (3);
-- error
INSERT INTO t (k, id, g) VALUES (3, 3, 3);
-- error
INSERT INTO t DEFAULT VALUES;
INSERT INTO t (k, id) VALUES ((SELECT max(k) + 1 FROM t), (SELECT count(*) FROM t WHERE k = 2)) RETURNING k, id;
INSERT INTO t (k, id, v) VALUES (4, (SELECT id FROM t WHERE k = 1 AND id = 2), CASE WHEN EXISTS (SELECT FROM t WHERE k = 99) THEN 'yes' ELSE 'no' END) RETURNING k, id, v;
SELECT k, id, v, n, g, late, a FROM t ORDER BY k, id;
-- defaults that are computed once
CREATE SEQUENCE s;
CREATE TABLE d (k int DEFAULT nextval('s'), r float8 DEFAULT random(), i bigint GENERATED ALWAYS AS IDENTITY, c timestamptz DEFAULT clock_timestamp(), u uuid DEFAULT gen_random_uuid());
SELECT create_distributed_table('d', 'k');
INSERT INTO d DEFAULT VALUES RETURNING k, i, r BETWEEN 0 AND 1, c <= clock_timestamp(), u IS NOT NULL;
INSERT INTO d (k) VALUES (nextval('s') * 100 + nextval('s')) RETURNING k;
INSERT INTO d (k, i) OVERRIDING SYSTEM VALUE VALUES (7, 1000) RETURNING k, i;
-- error
INSERT INTO d (k, i) VALUES (7, 1000);
INSERT INTO d (k, i) OVERRIDING USER VALUE VALUES (8, 2000) RETURNING k, i;
SELECT last_value FROM s;
SELECT k, i, (SELECT count(*) FROM d x WHERE x.k = d.k AND x.r = d.r AND x.u = d.u) FROM d ORDER BY k, i;
-- NULL as the key, domains, types
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN wanted AS text NOT NULL;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE y (k text, p positive, m mood, q pair, j jsonb, f float8, d date, b bytea, r int4range, i interval, x bool, c char(4), z inet, h text[]);
SELECT create_distributed_table('y', 'k');
INSERT INTO y (k) VALUES (NULL) RETURNING *;
INSERT INTO y VALUES ('a', 3, 'ok', (1, 'x,"y'), '{"a": [1, null]}', 1e-300, '2026-02-28', '\x00ff', '[1,5)', '1 mon -2 days', true, 'ab', '10.0.0.1/8', ARRAY['a', NULL, '"q"']) RETURNING *, (q).b, p + 1, c || '|', length(c);
INSERT INTO y (k, q.a, q.b) VALUES ('b', 5, 'five') RETURNING q, (q).a;
-- error
INSERT INTO y (k, p) VALUES ('c', -1);
SELECT * FROM y ORDER BY k;
ALTER TABLE y ADD COLUMN w wanted DEFAULT 'w';
INSERT INTO y (k) VALUES ('d') RETURNING w;
-- error
INSERT INTO y (k, w) VALUES ('e', NULL);
-- views, rules, policies
CREATE VIEW tv AS SELECT k, id, v FROM t WHERE k < 50;
INSERT INTO tv VALUES (40, 1, 'view') RETURNING *;
INSERT INTO tv VALUES (60, 1, 'view') RETURNING tv;
CREATE VIEW tc AS SELECT k, id, v FROM t WHERE k < 50 WITH CHECK OPTION;
INSERT INTO tc VALUES (41, 1, 'check') RETURNING *;
-- error
INSERT INTO tc VALUES (61, 1, 'check');
SELECT k, id, v FROM t WHERE k >= 40 ORDER BY 1, 2;
-- prepared, in functions, with savepoints
PREPARE p (int, int, text) AS INSERT INTO t (k, id, v) VALUES ($1, $2 + 1, $3 || '!') RETURNING k, id, v, g;
EXECUTE p (70, 1, 'a');
EXECUTE p (70, 2, 'b');
EXECUTE p (71, 3, 'c');
EXECUTE p (72, 4, 'd');
EXECUTE p (73, 5, 'e');
EXECUTE p (74, 6, 'f');
EXECUTE p (75, 7, NULL);
-- error
EXECUTE p (75, 7, 'again');
DO $$
DECLARE got t;
BEGIN
  FOR i IN 1..8 LOOP
    INSERT INTO t (k, id) VALUES (80 + i, i) RETURNING * INTO got;
    IF got.g <> (80 + i) * 2 + i THEN RAISE 'wrong: %', got; END IF;
    BEGIN
      INSERT INTO t (k, id) VALUES (80 + i, i);
    EXCEPTION WHEN unique_violation THEN
      INSERT INTO t (k, id, v) VALUES (80 + i, i + 100, 'caught');
    END;
  END LOOP;
END $$;
SELECT k, id, v FROM t WHERE k > 70 ORDER BY k, id;
BEGIN;
INSERT INTO t (k, id) VALUES (90, 1);
SAVEPOINT a;
INSERT INTO t (k, id) VALUES (90, 2);
-- error
INSERT INTO t (k, id) VALUES (90, 1);
ROLLBACK TO a;
INSERT INTO t (k, id) VALUES (90, 3) RETURNING (SELECT count(*) FROM pg_class WHERE relname = 'pg_class');
SELECT k, id FROM t WHERE k = 90 ORDER BY id;
COMMIT;
BEGIN;
INSERT INTO t (k, id) VALUES (91, 1);
ROLLBACK;
SELECT k, id FROM t WHERE k IN (90, 91) ORDER BY id;
WITH w AS (INSERT INTO t (k, id) VALUES (95, 1) RETURNING k, id) SELECT * FROM w;
CREATE FUNCTION ins(int) RETURNS int LANGUAGE sql AS 'INSERT INTO t (k, id) VALUES (96, $1) RETURNING g';
SELECT ins(5);
-- a dropped column is no field of the row
CREATE TABLE dropped (k int, gone int, b text);
ALTER TABLE dropped DROP COLUMN gone;
SELECT create_distributed_table('dropped', 'k');
INSERT INTO dropped VALUES (1, 'x') RETURNING dropped IS NOT NULL, dropped IS NULL, dropped, row_to_json(dropped), (SELECT dropped IS NOT NULL);
INSERT INTO dropped VALUES (NULL, NULL) RETURNING dropped IS NOT NULL, dropped IS NULL;
-- several rows: statements of one row in one pipeline, or COPY where there are many of a shard
CREATE TYPE two AS (a int, b text);
CREATE TABLE several (gone int, k int, id serial, v varchar(9) DEFAULT 'none', w two, r float8 DEFAULT random(), g bigint GENERATED ALWAYS AS (k * 10) STORED, i int GENERATED BY DEFAULT AS IDENTITY, b bytea, n numeric(6,1) CHECK (n < 100), PRIMARY KEY (k, id));
ALTER TABLE several DROP COLUMN gone;
SELECT create_distributed_table('several', 'k');
INSERT INTO several (k, v) VALUES (1, 'a'), (2, DEFAULT), (3, NULL), (4, E'b\\c\n'), (5, '''') RETURNING k, id, v, g, i;
INSERT INTO several (k, w, b, n) VALUES (6, ROW(1, 'x,"y'), '\x00ff', 1.25), (7, ROW(NULL, ''), '', 2.349), (8, NULL, NULL, -3), (1, ROW(2, E'\\')::two, '\x5c', 99.94) RETURNING k, id, v, w, g, i, b, n, tableoid::regclass = 'several'::regclass;
INSERT INTO several (k, v) SELECT i, 'v' || i FROM generate_series(1, 12) i RETURNING k, id, i;
INSERT INTO several (k, v) SELECT 5, 'v' || i FROM generate_series(1, 12) i RETURNING k, id, i;
INSERT INTO several (k, id) VALUES (20, 1000), (21, 1000), (22, 1000), (23, 1000), (24, 1000), (25, 1000), (26, 1000), (27, 1000), (28, 1000), (29, 1000), (20, 1001), (20, 1002);
BEGIN;
INSERT INTO several (k, id) VALUES (30, 1), (31, 1), (32, 1);
SAVEPOINT a;
-- error
INSERT INTO several (k, id) VALUES (33, 1), (30, 1), (34, 1);
ROLLBACK TO a;
-- error
INSERT INTO several (k, id, n) VALUES (33, 1, 5), (34, 1, 5), (35, 1, 500), (36, 1, 5), (37, 1, 5), (38, 1, 5);
ROLLBACK TO a;
INSERT INTO several (k, id) VALUES (33, 1), (34, 1), (35, 2), (36, 1), (37, 1), (38, 1) RETURNING k, id;
COMMIT;
-- error
INSERT INTO several (k, v) VALUES (40, 'fits'), (41, 'fits'), (42, 'fits'), (43, 'fits'), (44, 'does not fit');
-- error
INSERT INTO several (k, v) VALUES (40, 'fits'), (NULL, 'x');
CREATE FUNCTION ins_several(int) RETURNS SETOF int LANGUAGE plpgsql AS 'BEGIN BEGIN INSERT INTO several (k, id) VALUES ($1, 1), ($1 + 1, 1), ($1 + 2, 1), ($1 + 3, 1), ($1 + 4, 1); EXCEPTION WHEN unique_violation THEN RETURN NEXT -1; END; RETURN QUERY SELECT k FROM several WHERE id = 1 AND k >= $1; END';
SELECT * FROM ins_several(38) ORDER BY 1;
SELECT * FROM ins_several(50) ORDER BY 1;
SELECT * FROM ins_several(50) ORDER BY 1;
PREPARE several (int, text) AS INSERT INTO several (k, v) VALUES ($1, $2), ($1 + 1, $2), ($1 + 2, 'third'), ($1 + 3, NULL), ($1 + 4, DEFAULT);
EXECUTE several (60, 'a');
EXECUTE several (70, NULL);
EXECUTE several (80, 'c');
ALTER TABLE several ADD COLUMN more text DEFAULT 'more';
EXECUTE several (90, 'd');
CREATE VIEW several_v AS SELECT k, id, v FROM several WHERE k < 1000 WITH CHECK OPTION;
INSERT INTO several_v VALUES (200, 1, 'in'), (201, 1, 'in'), (202, 1, 'in') RETURNING *;
INSERT INTO several_v VALUES (203, 1, 'in');
-- error
INSERT INTO several_v VALUES (204, 1, 'in'), (1204, 1, 'out');
SELECT k, id, v, w, g, b, n, more FROM several WHERE id NOT BETWEEN 40 AND 900 ORDER BY k, id;
SELECT k, v FROM several WHERE id BETWEEN 40 AND 900 ORDER BY k, v;
SELECT count(*) FROM cz_verify_placements('several') WHERE NOT ok;
