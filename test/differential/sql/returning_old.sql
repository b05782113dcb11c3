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
-- What a view shows for a row that is not there is NULL, not what its expressions make of NULLs.
CREATE VIEW ve AS SELECT k, v, 1 AS one, coalesce(v, 0) AS c, g FROM t;
CREATE VIEW vc AS SELECT k, v, 1 AS one, coalesce(v, 0) AS c, g FROM t WHERE coalesce(v, 0) < 10000 WITH CHECK OPTION;
DELETE FROM ve WHERE k = 2 RETURNING old.one, new.one, one, old.c, new.c, c, new, old, new IS NULL;
DELETE FROM ve WHERE k IN (17, 18) RETURNING new.one, new.c, c, new, (SELECT new.one), (SELECT old.c);
DELETE FROM ve WHERE k IN (19, 20) AND random() >= 0 RETURNING new.one, new.c, c, new;
WITH d AS (DELETE FROM ve WHERE k = 25 RETURNING new.one, old.c, new.c AS nc) SELECT * FROM d;
UPDATE ve SET v = v + 1 WHERE k = 15 RETURNING old.one, new.one, old.c, new.c, new, old;
INSERT INTO ve (k, v) VALUES (401, NULL) RETURNING old.one, new.one, old.c, new.c, new, old;
MERGE INTO ve USING s ON s.k = ve.k WHEN MATCHED AND s.k = 15 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 3 WHEN NOT MATCHED AND s.k > 28 THEN INSERT (k, v) VALUES (s.k + 400, 4)
  RETURNING merge_action(), old.one, new.one, one, old.c, new.c, c, new, old;
-- The old row of ON CONFLICT, also where rows are written one by one.
INSERT INTO ve (k, v) VALUES (401, 5), (402, 6) ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING old.one, new.one, old.c, new.c, old, new;
INSERT INTO t VALUES (401, 7), (403, 6) ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING old, new, t, old.tableoid::regclass, tableoid::regclass, old IS NULL;
INSERT INTO vc (k, v) VALUES (401, 8), (404, 6) ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING old.one, new.one, old.c, new.c, old.v, old.g, new.g, old, new, (SELECT old.one + new.one);
INSERT INTO vc (k, v) VALUES (401, 9), (405, 6) ON CONFLICT (k) DO UPDATE SET v = excluded.v WHERE vc.v = 1 RETURNING old.v, new.v;
INSERT INTO vc (k, v) SELECT k + 390, k FROM s ON CONFLICT (k) DO UPDATE SET v = vc.v + 1000 RETURNING k, old.v, new.v, old.one, old.c;
WITH i AS (INSERT INTO vc (k, v) VALUES (401, 3), (406, 3) ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING old.v, new.v AS nv, old.one, new.one AS none) SELECT * FROM i ORDER BY 1;
-- error
INSERT INTO vc (k, v) VALUES (401, 9), (407, 6) ON CONFLICT (k) DO UPDATE SET v = 20000 RETURNING old.v, new.v;
CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := coalesce(NEW.v, 0) + 1000; RETURN NEW; END';
CREATE TRIGGER more BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION more();
INSERT INTO t VALUES (401, 1), (408, 2) ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING old.v, new.v, old.g, new.g, g, old, new, t, old.tableoid::regclass, new.tableoid::regclass;
PREPARE upsert(int) AS INSERT INTO t VALUES ($1, 1) ON CONFLICT (k) DO UPDATE SET v = $1 RETURNING WITH (OLD AS o) o.v, v, o, t;
EXECUTE upsert(401);
EXECUTE upsert(409);
EXECUTE upsert(409);
DROP TRIGGER more ON t;
-- The partition of the old row is not that of the new one.
CREATE TABLE p (k int, d int, v int, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
SELECT create_distributed_table('p', 'k');
INSERT INTO p SELECT i, i, i FROM generate_series(0, 19) i RETURNING old.tableoid::regclass, new.tableoid::regclass;
UPDATE p SET d = d + 10 WHERE d < 3 RETURNING old.d, new.d, old.tableoid::regclass, new.tableoid::regclass, tableoid::regclass;
UPDATE p SET d = d + 10 WHERE k = 5 RETURNING old.tableoid::regclass, new.tableoid::regclass, tableoid::regclass;
UPDATE p SET d = d + 10, k = k + 200 WHERE d = 6 RETURNING old.tableoid::regclass, new.tableoid::regclass, tableoid::regclass;
DELETE FROM p WHERE d > 17 RETURNING old.tableoid::regclass, new.tableoid::regclass, tableoid::regclass;
MERGE INTO p USING s ON s.k = p.k WHEN MATCHED AND p.d = 14 THEN DELETE WHEN MATCHED AND p.d < 15 THEN UPDATE SET d = d - 10 WHEN NOT MATCHED THEN INSERT VALUES (s.k, 3, 3)
  RETURNING merge_action(), old.d, new.d, old.tableoid::regclass, new.tableoid::regclass, p.tableoid::regclass;
MERGE INTO t USING s ON s.k = t.k WHEN MATCHED AND s.k < 15 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 3 WHEN NOT MATCHED AND s.k > 28 THEN INSERT (k, v) VALUES (s.k + 600, 4)
  RETURNING merge_action(), old.tableoid::regclass, new.tableoid::regclass, t.tableoid::regclass;
INSERT INTO p VALUES (30, 3, 4), (31, 12, 3) ON CONFLICT (k, d) DO UPDATE SET v = 7 RETURNING old.tableoid::regclass, new.tableoid::regclass, old.v;
SELECT *, tableoid::regclass FROM p ORDER BY k, d;
SELECT * FROM t ORDER BY k;
