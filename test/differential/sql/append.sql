-- Tables of distribution type append, and range tables that are appended to: all kinds of
-- statements on shards that are made by what is appended, before, between, behind and over
-- the ones that are there.
CREATE TABLE ev (id int GENERATED ALWAYS AS IDENTITY, k int NOT NULL, v text, n numeric DEFAULT 7, twice int GENERATED ALWAYS AS (k * 2) STORED, CHECK (n < 1000), PRIMARY KEY (k, id));
CREATE TABLE days (d date, v int);
CREATE TABLE moments (t timestamptz(0), v int);
CREATE TABLE words (w text COLLATE "C", v int);
CREATE TABLE rest (k int, v text);
CREATE TABLE kinds (v text PRIMARY KEY, what text);
CREATE INDEX ON ev (v);
SELECT create_reference_table('kinds');
SELECT create_distributed_table('ev', 'k', 'append');
SELECT create_distributed_table('days', 'd', 'append');
SELECT create_distributed_table('moments', 't', 'append');
SELECT create_distributed_table('words', 'w', 'append');
SELECT create_distributed_table('rest', 'k', 'range');
SELECT count(*), sum(k) FROM ev;
INSERT INTO kinds VALUES ('a', 'first'), ('b', 'second'), ('c', NULL);
CREATE TABLE stage (id int, k int, v text, n numeric);
INSERT INTO stage SELECT i, i, chr(97 + i % 3), i FROM generate_series(100, 199) i;
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
TRUNCATE stage;
INSERT INTO stage SELECT i, i, chr(97 + i % 3), i % 50 FROM generate_series(300, 340) i;
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
-- before, over, between and behind
TRUNCATE stage;
INSERT INTO stage SELECT 1000 + i, i, chr(97 + abs(i) % 4), abs(i) % 50 FROM generate_series(-50, 400, 7) i;
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
SELECT count(*), count(DISTINCT k), sum(k), sum(twice), min(k), max(k), avg(n) FROM ev;
SELECT k, v, n, twice FROM ev WHERE k BETWEEN 195 AND 310 ORDER BY k, v, id;
SELECT v, count(*), sum(n) FROM ev GROUP BY v ORDER BY v;
SELECT e.v, k.what, count(*) FROM ev e LEFT JOIN kinds k USING (v) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT a.k, b.k FROM ev a JOIN ev b ON a.k = b.k + 7 WHERE a.k > 350 ORDER BY 1, 2;
SELECT k FROM ev WHERE k IN (100, 250, 399, 5000) ORDER BY k;
SELECT k, row_number() OVER (PARTITION BY v ORDER BY k, id) FROM ev WHERE k < 0 ORDER BY 1, 2;
-- errors leave nothing: a key that is there, a CHECK, a column that is missing
-- error
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
TRUNCATE stage;
INSERT INTO stage VALUES (1, 9000, 'a', 1), (2, 9001, 'b', 5000);
-- error
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
SELECT count(*) FROM ev WHERE k >= 9000;
BEGIN;
UPDATE stage SET n = 1;
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
SELECT k, v FROM ev WHERE k >= 9000 ORDER BY k;
UPDATE ev SET v = 'changed' WHERE k >= 9000;
SAVEPOINT s;
DELETE FROM ev WHERE k = 9001;
ROLLBACK TO s;
SELECT k, v FROM ev WHERE k >= 9000 ORDER BY k;
ROLLBACK;
SELECT count(*) FROM ev WHERE k >= 9000;
-- writes
INSERT INTO ev (k, v) VALUES (120, 'new'), (-44, 'new') RETURNING k, v, n, twice;
INSERT INTO ev (id, k, v) OVERRIDING SYSTEM VALUE VALUES (100, 100, 'again') ON CONFLICT (k, id) DO UPDATE SET v = excluded.v || '!' RETURNING k, v;
UPDATE ev SET n = n + 1 WHERE k BETWEEN 150 AND 320;
UPDATE ev SET k = k + 1 WHERE k = 305;
UPDATE ev e SET v = k.what FROM kinds k WHERE k.v = e.v AND e.k > 330;
DELETE FROM ev WHERE k % 10 = 3;
WITH gone AS (DELETE FROM ev WHERE k < -30 RETURNING *) SELECT count(*), min(k) FROM gone;
MERGE INTO ev e USING (VALUES (101, 1), (102, 2)) s (k, n) ON e.k = s.k AND e.k = 101 WHEN MATCHED THEN UPDATE SET n = s.n;
SELECT count(*), sum(k), sum(n), sum(twice), count(v) FROM ev;
COPY ev (k, v) FROM STDIN;
130	copied
-20	copied
\.
COPY (SELECT k, v FROM ev WHERE v = 'copied' ORDER BY k) TO STDOUT;
PREPARE q (int, int) AS SELECT count(*), sum(k) FROM ev WHERE k BETWEEN $1 AND $2;
EXECUTE q (100, 110);
EXECUTE q (190, 310);
EXECUTE q (500, 600);
-- the same plan meets a new shard
TRUNCATE stage;
INSERT INTO stage SELECT i, i, 'z', 1 FROM generate_series(500, 560) i;
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
EXECUTE q (500, 600);
EXECUTE q (100, 110);
SELECT k FROM ev WHERE k > 550 ORDER BY k LIMIT 3 FOR UPDATE;
-- DDL, and appends afterwards
ALTER TABLE ev ADD COLUMN extra text DEFAULT 'x';
ALTER TABLE ev ADD CONSTRAINT positive CHECK (n >= 0);
CREATE UNIQUE INDEX ON ev (k, v, id);
ALTER TABLE stage ADD COLUMN extra text;
TRUNCATE stage;
INSERT INTO stage SELECT i, i, 'y', 1, 'given' FROM generate_series(700, 710) i;
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
SELECT extra, count(*) FROM ev GROUP BY 1 ORDER BY 1;
UPDATE stage SET n = -1, k = k + 100;
-- error
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
SELECT count(*) FROM ev WHERE k >= 800;
-- dates: the next day
CREATE TABLE day_stage (v int, d date);
INSERT INTO day_stage SELECT i, date '2024-01-01' + i FROM generate_series(0, 30) i;
SELECT coalesce(cz_append_table('days', 'day_stage'), 0) >= 0;
UPDATE day_stage SET d = d + 31;
SELECT coalesce(cz_append_table('days', 'day_stage'), 0) >= 0;
UPDATE day_stage SET d = d - 100, v = v + 100;
SELECT coalesce(cz_append_table('days', 'day_stage'), 0) >= 0;
SELECT date_trunc('month', d), count(*), sum(v) FROM days GROUP BY 1 ORDER BY 1;
INSERT INTO days VALUES ('2024-01-15', 0), ('2024-02-02', 0);
SELECT count(*) FROM days WHERE d >= '2024-02-01';
-- timestamps without fractions: the next second
CREATE TABLE moment_stage (t timestamptz, v int);
INSERT INTO moment_stage SELECT timestamptz '2024-01-01 00:00:00+00' + i * interval '0.5 s', i FROM generate_series(0, 9) i;
SELECT coalesce(cz_append_table('moments', 'moment_stage'), 0) >= 0;
SELECT count(*), count(DISTINCT t), max(v) FROM moments;
UPDATE moment_stage SET t = t + interval '5 s';
SELECT coalesce(cz_append_table('moments', 'moment_stage'), 0) >= 0;
SELECT count(*), count(DISTINCT t), sum(v) FROM moments;
-- text: the last shard is open, and closed by the next append
CREATE TABLE word_stage (w text, v int);
INSERT INTO word_stage VALUES ('b', 1), ('bb', 2), ('c', 3);
SELECT coalesce(cz_append_table('words', 'word_stage'), 0) >= 0;
INSERT INTO words VALUES ('cc', 4);
UPDATE word_stage SET w = 'd' || w;
SELECT coalesce(cz_append_table('words', 'word_stage'), 0) >= 0;
INSERT INTO word_stage VALUES ('a', 5), ('ca', 6), ('cd', 7), ('z', 8);
SELECT coalesce(cz_append_table('words', 'word_stage'), 0) >= 0;
SELECT * FROM words ORDER BY w, v;
SELECT count(*) FROM words WHERE w > 'cc';
SELECT * FROM words WHERE w = 'dc';
TRUNCATE words;
SELECT coalesce(cz_append_table('words', 'word_stage'), 0) >= 0;
SELECT count(*), min(w COLLATE "C"), max(w COLLATE "C") FROM words;
-- a range table: shards that the user made, and appended ones
-- cluster: SELECT cz_create_range_shard('t_append.rest', NULL, '0')
SELECT 1;
-- cluster: SELECT cz_create_range_shard('t_append.rest', '100', '200')
SELECT 1;
CREATE VIEW rest_source AS SELECT k, 'view' AS v FROM generate_series(-10, 250, 10) k;
SELECT coalesce(cz_append_table('rest', 'rest_source'), 0) >= 0;
SELECT count(*), sum(k) FROM rest;
INSERT INTO rest VALUES (-100000, 'low'), (150, 'mid');
SELECT * FROM rest WHERE k < 0 OR k = 150 ORDER BY k, v;
-- a distributed table as the source, and a reference table
CREATE TABLE hashed (v text, k int);
SELECT create_distributed_table('hashed', 'v');
INSERT INTO hashed SELECT 'h' || i, 1000 + i FROM generate_series(1, 50) i;
SELECT coalesce(cz_append_table('rest', 'hashed'), 0) >= 0;
SELECT count(*), sum(k) FROM rest WHERE k > 1000;
INSERT INTO rest SELECT k, v FROM rest WHERE k BETWEEN 1000 AND 1010;
SELECT count(*), sum(k) FROM rest;
-- triggers fire
CREATE TABLE audit (line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (TG_OP || ' ' || NEW.k); NEW.v := NEW.v || '+'; RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON rest FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE few AS SELECT i AS k, 'few' AS v FROM generate_series(5000, 5003) i;
SELECT coalesce(cz_append_table('rest', 'few'), 0) >= 0;
SELECT * FROM rest WHERE k >= 5000 ORDER BY k;
SELECT line FROM audit ORDER BY line;
UPDATE stage SET n = 1;
TRUNCATE ev;
SELECT count(*) FROM ev;
SELECT coalesce(cz_append_table('ev', 'stage'), 0) >= 0;
DROP TABLE ev;
