-- RETURNING OLD and NEW.
-- from: 18
CREATE TABLE t (k int PRIMARY KEY, v int, w text, g int GENERATED ALWAYS AS (v * 2) VIRTUAL);
CREATE TABLE s (k int, v int, note text);
SELECT create_distributed_table('t', 'k');
SELECT create_distributed_table('s', 'k');
INSERT INTO t SELECT i, i, 't' || i FROM generate_series(1, 20) i;
INSERT INTO s SELECT i, i * 10, 's' || i FROM generate_series(10, 30) i;
INSERT INTO t VALUES (21, 21) RETURNING old.k, new.k, old.v IS NULL, new.g, old, new;
INSERT INTO t SELECT i, i FROM generate_series(22, 25) i RETURNING old.k, new.k, g;
UPDATE t SET v = v + 1 WHERE k = 3 RETURNING old.v, new.v, v, old.g, new.g, g;
UPDATE t SET v = v + 1 WHERE k < 6 RETURNING k, new.v - old.v;
UPDATE t SET v = v + 1 WHERE k = 5 RETURNING WITH (OLD AS o, NEW AS n) o.v, n.v, o, n;
UPDATE t SET v = s.v FROM s WHERE s.k = t.k AND s.k < 13 RETURNING old.v, new.v, s.note;
UPDATE t SET v = x.v FROM (VALUES (7, 70), (8, 80)) x(k, v) WHERE x.k = t.k RETURNING old.v, new.v, old.g, new.g;
UPDATE t SET k = k + 1000 WHERE k = 9 RETURNING old.k, new.k, old.g, g, new;
UPDATE t SET w = w || random()::int / 10 WHERE k BETWEEN 9 AND 12 RETURNING old.w, new.w IS NULL, old, new.g;
DELETE FROM t WHERE k = 10 RETURNING old.v, new.v, old, new, v;
DELETE FROM t USING s WHERE s.k = t.k AND s.k IN (11, 12) RETURNING old.g, new.g, s.note;
DELETE FROM t WHERE k < 14 AND random() >= 0 RETURNING old.v, new.v, old.g, new.g, g;
INSERT INTO t VALUES (15, 150), (300, 300) ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING old.v, new.v, old.k IS NULL AS is_new;
INSERT INTO t VALUES (15, 151) ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING old.v, new.v, old.g, new.g;
INSERT INTO t VALUES (15, 151) ON CONFLICT (k) DO NOTHING RETURNING old.v, new.v;
MERGE INTO t USING s ON t.k = s.k WHEN MATCHED AND s.v > 190 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED AND s.k < 28 THEN INSERT VALUES (s.k, s.v, s.note)
  RETURNING merge_action(), old.k, new.k, old.v, new.v, t.v, old.g, new.g, old, new, s.note;
CREATE VIEW tv AS SELECT k, v + 1 AS more, v FROM t;
UPDATE tv SET v = v + 5 WHERE k = 16 RETURNING old.more, new.more, old.v, new.v;
DELETE FROM tv WHERE k = 16 RETURNING old.more, new.more;
INSERT INTO tv (k, v) VALUES (16, 16) RETURNING old.more, new.more;
WITH u AS (UPDATE t SET v = v + 1 WHERE k < 20 RETURNING old.v AS a, new.v AS b) SELECT sum(b - a), count(*) FROM u;
CREATE TABLE r (k int PRIMARY KEY, v int);
SELECT create_reference_table('r');
INSERT INTO r VALUES (1, 1) RETURNING old.v, new.v;
UPDATE r SET v = 2 RETURNING old.v, new.v;
SELECT * FROM t ORDER BY k;
