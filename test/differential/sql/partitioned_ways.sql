-- Partitioned tables: every way by which a statement can reach a root or a partition
CREATE TABLE ev (k int NOT NULL, t int NOT NULL, v text DEFAULT 'root', n numeric, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (junk int, n numeric, v text DEFAULT 'two', junk2 int, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev2 DROP COLUMN junk, DROP COLUMN junk2;
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE TABLE ev3d PARTITION OF ev3 DEFAULT;
SELECT create_distributed_table('ev', 'k');
CREATE TABLE d (k int PRIMARY KEY, x int);
SELECT create_distributed_table('d', 'k');
CREATE TABLE r (t int PRIMARY KEY, name text);
SELECT create_reference_table('r');
CREATE TABLE loc (k int, w text);
INSERT INTO ev SELECT i % 20, i % 40, (ARRAY['a','b','c','d'])[i % 4 + 1], i FROM generate_series(0, 39) i;
INSERT INTO d SELECT i, i * 10 FROM generate_series(0, 25) i;
INSERT INTO r SELECT i, 'r' || i FROM generate_series(0, 30) i;
INSERT INTO loc SELECT i, 'l' || i FROM generate_series(5, 9) i;
-- functions of each language
CREATE FUNCTION f_sql(a int) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM ev WHERE k < a';
CREATE FUNCTION f_sql_atomic(a int) RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM ev3 WHERE k < a);
CREATE FUNCTION f_stable(a int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM ev2 WHERE k < a';
CREATE FUNCTION f_rows(a int) RETURNS SETOF ev LANGUAGE sql STABLE AS 'SELECT * FROM ev WHERE k = a';
CREATE FUNCTION f_rows2(a int) RETURNS TABLE (k int, t int) LANGUAGE sql STABLE AS 'SELECT k, t FROM ev2 WHERE k > a';
CREATE FUNCTION f_pl(a int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE s bigint := 0; x ev; y ev2%ROWTYPE;
BEGIN
  FOR x IN SELECT * FROM ev WHERE k < a ORDER BY k, t LOOP s := s + x.t; END LOOP;
  FOR y IN SELECT * FROM ev2 WHERE k < a ORDER BY k, t LOOP s := s + y.t * 1000; END LOOP;
  SELECT * INTO x FROM ev WHERE k = 3 AND t = 3;
  IF FOUND THEN s := s + 1000000; END IF;
  PERFORM 1 FROM ev3 WHERE t = 25;
  IF FOUND THEN s := s + 10000000; END IF;
  RETURN s;
END $$;
CREATE FUNCTION f_exec(t text) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE r bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || t INTO r; RETURN r; END $$;
CREATE FUNCTION f_write() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE c bigint;
BEGIN
  INSERT INTO ev (k, t, v) VALUES (900, 5, 'f'), (901, 15, 'f'), (902, 25, 'f');
  UPDATE ev SET n = 1 WHERE v = 'f';
  GET DIAGNOSTICS c = ROW_COUNT;
  UPDATE ev2 SET n = 2 WHERE v = 'f';
  DELETE FROM ev3 WHERE v = 'f';
  RETURN c + (SELECT sum(n) FROM ev WHERE v = 'f');
END $$;
SELECT f_sql(10), f_sql_atomic(10), f_stable(15), f_pl(12);
SELECT f_exec(x) FROM unnest(ARRAY['ev', 'ev1', 'ev2', 'ev3', 'ev3a', 'ev3d']) x;
SELECT * FROM f_rows(3) ORDER BY t;
SELECT * FROM f_rows2(12) ORDER BY k;
SELECT k, f_stable(k) FROM d ORDER BY k;
SELECT (SELECT sum(t) FROM f_rows(d.k)) FROM d ORDER BY k;
SELECT count(*) FROM ev WHERE f_sql(k) > 10;
SELECT f_write();
SELECT * FROM ev WHERE k >= 900 ORDER BY k;
DELETE FROM ev WHERE k >= 900;
-- views
CREATE VIEW v_ev AS SELECT * FROM ev;
CREATE VIEW v_ev2 AS SELECT k, t, n FROM ev2 WHERE k < 18 WITH CHECK OPTION;
CREATE VIEW v_agg AS SELECT v, count(*) c, sum(n) s FROM ev GROUP BY v;
CREATE VIEW v_join AS SELECT e.k, e.t, d.x, r.name FROM ev e JOIN d USING (k) LEFT JOIN r USING (t);
CREATE MATERIALIZED VIEW m AS SELECT t / 10 AS decade, count(*) c FROM ev GROUP BY 1;
SELECT * FROM v_ev ORDER BY k, t;
SELECT * FROM v_ev2 ORDER BY k, t;
SELECT * FROM v_agg ORDER BY v;
SELECT * FROM v_join ORDER BY k, t;
SELECT * FROM m ORDER BY 1;
INSERT INTO v_ev (k, t) VALUES (800, 1), (801, 11) RETURNING *;
INSERT INTO v_ev2 (k, t) VALUES (8, 11) RETURNING *;
-- error
INSERT INTO v_ev2 (k, t) VALUES (80, 11);
-- error
INSERT INTO v_ev2 (k, t) VALUES (8, 1);
UPDATE v_ev SET n = 5 WHERE k >= 800 RETURNING *;
UPDATE v_ev2 SET n = 6 WHERE k = 8 RETURNING *;
-- error
UPDATE v_ev2 SET k = 80 WHERE k = 8;
DELETE FROM v_ev WHERE k >= 800 RETURNING *;
DELETE FROM v_ev2 WHERE n = 6 RETURNING *;
REFRESH MATERIALIZED VIEW m;
CREATE VIEW v_sec WITH (security_barrier) AS SELECT * FROM ev WHERE v <> 'b';
SELECT * FROM v_sec WHERE t < 12 ORDER BY k, t;
UPDATE v_sec SET n = 77 WHERE t < 3 RETURNING *;
-- rules
CREATE TABLE rt (k int, t int);
CREATE RULE ru AS ON INSERT TO rt DO INSTEAD INSERT INTO ev (k, t, v) VALUES (new.k, new.t, 'rule');
CREATE RULE ru2 AS ON DELETE TO rt DO INSTEAD DELETE FROM ev WHERE k = old.k AND v = 'rule';
INSERT INTO rt VALUES (700, 7), (701, 17);
SELECT * FROM ev WHERE v = 'rule' ORDER BY k;
CREATE RULE ru3 AS ON UPDATE TO rt DO INSTEAD UPDATE ev SET n = new.t WHERE v = 'rule';
DELETE FROM ev WHERE v = 'rule';
CREATE TABLE rlog (what text, k int, t int);
CREATE RULE ro AS ON UPDATE TO ev DO ALSO INSERT INTO rlog VALUES ('update', old.k, new.t);
CREATE RULE ri AS ON INSERT TO ev DO ALSO INSERT INTO rlog VALUES ('insert', new.k, new.t);
CREATE RULE rd AS ON DELETE TO ev DO ALSO INSERT INTO rlog SELECT 'delete', old.k, ev1.t FROM ev1 WHERE ev1.k = old.k;
CREATE RULE r2 AS ON DELETE TO ev2 DO INSTEAD UPDATE ev SET v = 'kept' WHERE k = old.k AND t = old.t;
INSERT INTO ev (k, t, v) VALUES (710, 7, 'r');
UPDATE ev SET t = t + 11 WHERE v = 'r';
DELETE FROM ev WHERE k = 5;
DELETE FROM ev2 WHERE k = 710;
SELECT * FROM rlog ORDER BY 1, 2, 3;
SELECT * FROM ev WHERE v = 'kept';
DROP RULE ro ON ev;
DROP RULE ri ON ev;
DROP RULE rd ON ev;
DROP RULE r2 ON ev2;
-- triggers of other tables
CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ev (k, t, v) VALUES (new.k, 3, 'tr') ON CONFLICT (k, t) DO UPDATE SET n = ev.n + 1; RETURN new; END $$;
CREATE TRIGGER tr BEFORE INSERT ON loc FOR EACH ROW EXECUTE FUNCTION tr();
INSERT INTO loc VALUES (3, 'x'), (600, 'x');
SELECT * FROM ev WHERE t = 3 ORDER BY k;
-- prepared
PREPARE p1 (int) AS SELECT * FROM ev WHERE k = $1 ORDER BY t;
EXECUTE p1 (3);
EXECUTE p1 (4);
EXECUTE p1 (5);
EXECUTE p1 (6);
EXECUTE p1 (7);
EXECUTE p1 (8);
EXECUTE p1 (NULL);
PREPARE p2 (int, int) AS SELECT count(*) FROM ev WHERE t BETWEEN $1 AND $2;
EXECUTE p2 (3, 14);
EXECUTE p2 (3, 14);
EXECUTE p2 (3, 14);
EXECUTE p2 (3, 14);
EXECUTE p2 (3, 14);
EXECUTE p2 (3, 24);
EXECUTE p2 (3, 34);
PREPARE p3 (int, int) AS UPDATE ev SET n = $2 WHERE k = $1 RETURNING *;
EXECUTE p3 (3, 14);
EXECUTE p3 (4, 14);
EXECUTE p3 (5, 14);
EXECUTE p3 (6, 14);
EXECUTE p3 (7, 14);
EXECUTE p3 (8, 14);
PREPARE p4 (int, int) AS INSERT INTO ev (k, t) VALUES ($1, $2) ON CONFLICT (k, t) DO UPDATE SET n = coalesce(ev.n, 0) + 1 RETURNING *;
EXECUTE p4 (3, 3);
EXECUTE p4 (3, 4);
EXECUTE p4 (3, 14);
EXECUTE p4 (3, 14);
EXECUTE p4 (4, 24);
EXECUTE p4 (4, 34);
-- error
EXECUTE p4 (4, 44);
PREPARE p5 (int) AS DELETE FROM ev2 WHERE k = $1 RETURNING *;
EXECUTE p5 (3);
EXECUTE p5 (4);
PREPARE p6 AS SELECT count(*) FROM ev, d WHERE ev.k = d.k;
EXECUTE p6;
ALTER TABLE ev ADD COLUMN extra int DEFAULT 4;
EXECUTE p6;
SELECT count(*), sum(extra) FROM ev;
ALTER TABLE ev DROP COLUMN extra;
EXECUTE p3 (8, 15);
-- partitions come and go under a prepared plan
CREATE TABLE ev4 PARTITION OF ev FOR VALUES FROM (40) TO (50);
EXECUTE p4 (4, 44);
EXECUTE p2 (30, 50);
EXECUTE p1 (4);
ALTER TABLE ev DETACH PARTITION ev4;
EXECUTE p2 (30, 50);
EXECUTE p1 (4);
SELECT * FROM ev4;
-- error
EXECUTE p4 (4, 45);
DROP TABLE ev4;
EXECUTE p2 (30, 50);
-- cursors
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT * FROM ev ORDER BY k, t;
FETCH 3 FROM c;
FETCH LAST FROM c;
FETCH PRIOR FROM c;
MOVE ABSOLUTE 5 FROM c;
FETCH c;
DECLARE d CURSOR FOR SELECT * FROM ev2 ORDER BY k, t FOR UPDATE;
FETCH 2 FROM d;
DECLARE h CURSOR WITH HOLD FOR SELECT k, t FROM ev3 ORDER BY k, t;
COMMIT;
FETCH 3 FROM h;
CLOSE h;
-- copy
COPY (SELECT k, t, v FROM ev WHERE k < 3 ORDER BY k, t) TO STDOUT;
COPY (SELECT k, t, v FROM ev2 ORDER BY k, t) TO STDOUT;
COPY ev1 TO STDOUT;
COPY ev2 (k, t, v) TO STDOUT;
COPY (DELETE FROM ev WHERE v = 'tr' RETURNING k, t) TO STDOUT;
-- locks, samples
BEGIN;
LOCK TABLE ev;
LOCK TABLE ev2 IN SHARE MODE;
LOCK TABLE ONLY ev3a IN ROW EXCLUSIVE MODE;
SELECT count(*) FROM ev;
COMMIT;
SELECT count(*) FROM ev TABLESAMPLE BERNOULLI (100);
SELECT count(*) FROM ev2 TABLESAMPLE SYSTEM (100);
SELECT count(*) FROM ev TABLESAMPLE BERNOULLI (0);
SELECT count(*) > 0, count(*) < 1000 FROM ev TABLESAMPLE BERNOULLI (50) REPEATABLE (3);
SELECT count(*) FROM ev3 TABLESAMPLE SYSTEM (100) JOIN d USING (k);
BEGIN;
SELECT * FROM ev WHERE t = 13 FOR UPDATE NOWAIT;
SELECT * FROM ev2 WHERE k < 15 ORDER BY k FOR KEY SHARE SKIP LOCKED;
SELECT e.*, d.* FROM ev e JOIN d USING (k) WHERE k < 3 ORDER BY e.k, e.t FOR UPDATE OF e;
SELECT e.*, r.* FROM ev3 e JOIN r USING (t) WHERE k < 6 ORDER BY e.k, e.t FOR SHARE;
COMMIT;
-- sub-queries, WITH, set operations, windows, lateral, recursion
WITH RECURSIVE w AS (SELECT 0 AS t UNION ALL SELECT ev.t FROM w JOIN ev ON ev.t = w.t + 1) SELECT count(*), max(t) FROM w;
WITH w AS MATERIALIZED (SELECT * FROM ev WHERE k < 10) SELECT count(*) FROM w a JOIN w b ON a.k = b.k;
SELECT k, t FROM ev1 UNION ALL SELECT k, t FROM ev2 EXCEPT SELECT k, t FROM ev WHERE t > 5 ORDER BY 1, 2;
SELECT t FROM ev INTERSECT SELECT t FROM r ORDER BY 1;
SELECT k, t, row_number() OVER (PARTITION BY k ORDER BY t), sum(t) OVER (ORDER BY t, k) FROM ev ORDER BY k, t;
SELECT d.k, l.* FROM d, LATERAL (SELECT t FROM ev WHERE ev.k = d.k ORDER BY t DESC LIMIT 1) l ORDER BY d.k;
SELECT r.t, l.* FROM r, LATERAL (SELECT count(*) FROM ev WHERE ev.t <= r.t) l ORDER BY r.t;
SELECT loc.k, (SELECT string_agg(t::text, ',' ORDER BY t) FROM ev WHERE ev.k = loc.k) FROM loc ORDER BY loc.k, w;
SELECT * FROM loc WHERE EXISTS (SELECT 1 FROM ev2 WHERE ev2.k = loc.k + 5) ORDER BY k, w;
SELECT * FROM loc WHERE k NOT IN (SELECT k FROM ev2) ORDER BY k, w;
SELECT min(t), max(t) FROM ev;
SELECT min(k) FROM ev3;
SELECT DISTINCT ON (v) v, k, t FROM ev ORDER BY v, t DESC, k;
SELECT grouping(v), v, count(*) FROM ev GROUP BY ROLLUP (v) ORDER BY 1, 2;
SELECT count(*) FROM ev WHERE false;
SELECT count(*) FROM ev WHERE k = 3 AND k = 4;
SELECT count(*) FROM ev WHERE t = 3 AND t = 14;
SELECT * FROM ev a LEFT JOIN ev b ON a.k = b.k AND b.t = a.t + 20 WHERE a.k < 4 ORDER BY a.k, a.t;
SELECT * FROM ev1 a FULL JOIN ev2 b ON a.k + 10 = b.k ORDER BY a.k, a.t, b.k;
-- keys
-- differs: the rows of the key are on the workers
CREATE TABLE lk (k int, t int, FOREIGN KEY (k, t) REFERENCES ev);
-- tables made of them
DROP TABLE IF EXISTS lk;
CREATE TABLE c1 AS SELECT * FROM ev;
SELECT count(*) FROM c1;
SELECT * INTO c2 FROM ev2;
SELECT * FROM c2 ORDER BY k;
CREATE TABLE c3 (LIKE ev INCLUDING ALL);
INSERT INTO c3 SELECT * FROM ev;
SELECT count(*) FROM c3;
CREATE TEMP TABLE tt AS SELECT * FROM ev3;
SELECT count(*) FROM tt;
-- policies
ALTER TABLE ev ENABLE ROW LEVEL SECURITY;
ALTER TABLE ev FORCE ROW LEVEL SECURITY;
CREATE POLICY po ON ev USING (t < 15);
SELECT count(*) FROM ev;
SELECT count(*) FROM ev2;
UPDATE ev SET n = 3 WHERE k = 3;
DROP POLICY po ON ev;
ALTER TABLE ev DISABLE ROW LEVEL SECURITY;
-- do
DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM ev ORDER BY k, t LOOP UPDATE ev SET n = r.t WHERE k = r.k AND t = r.t; END LOOP; END $$;
SELECT count(*), sum(n), sum(t) FROM ev;
DO $$ BEGIN EXECUTE 'DELETE FROM ev3d'; EXCEPTION WHEN OTHERS THEN RAISE; END $$;
SELECT count(*) FROM ev;
