-- MERGE: every action and source, triggers, policies, errors.
CREATE TABLE target (gone int, tid int PRIMARY KEY, balance int, note text DEFAULT 'new', gone2 text, twice int GENERATED ALWAYS AS (balance * 2) STORED, CONSTRAINT small CHECK (balance < 1500));
ALTER TABLE target DROP COLUMN gone, DROP COLUMN gone2;
SELECT create_distributed_table('target', 'tid');
CREATE TABLE source (sid int, gone int, delta int, PRIMARY KEY (sid));
ALTER TABLE source DROP COLUMN gone;
SELECT create_distributed_table('source', 'sid');
CREATE TABLE other (k int, sid int, delta int);
SELECT create_distributed_table('other', 'k');
CREATE TABLE ref (sid int PRIMARY KEY, delta int);
SELECT create_reference_table('ref');
CREATE TABLE loc (sid int, delta int);
CREATE TABLE nokey (k int, gone text, v int, w text);
ALTER TABLE nokey DROP COLUMN gone;
SELECT create_distributed_table('nokey', 'k');
INSERT INTO target (tid, balance) SELECT i, i * 10 FROM generate_series(1, 20) i;
INSERT INTO source SELECT i, i FROM generate_series(11, 30) i;
INSERT INTO other SELECT i * 7, i, i FROM generate_series(16, 25) i;
INSERT INTO ref SELECT i, -i FROM generate_series(1, 40, 3) i;
INSERT INTO loc SELECT i, 100 FROM generate_series(18, 24) i;
INSERT INTO nokey SELECT i % 6, i % 3, 'x' FROM generate_series(1, 12) i;
-- errors of the parser
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN INSERT DEFAULT VALUES;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN NOT MATCHED THEN UPDATE SET balance = 0;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (t.tid, s.delta);
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET twice = 0;
-- single actions
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET balance = t.balance + s.delta;
SELECT * FROM target ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN DELETE;
SELECT * FROM target ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN NOT MATCHED THEN INSERT VALUES (s.sid, s.delta);
SELECT * FROM target ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN DO NOTHING;
SELECT count(*) FROM target;
ROLLBACK;
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN NOT MATCHED AND s.sid > 25 THEN INSERT (balance, tid) VALUES (s.delta, s.sid) WHEN NOT MATCHED THEN DO NOTHING;
SELECT * FROM target WHERE tid > 18 ORDER BY tid;
ROLLBACK;
-- several clauses and conditions
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid
  WHEN MATCHED AND t.balance % 20 = 0 AND s.delta > 15 THEN DELETE
  WHEN MATCHED AND t.balance > 140 THEN UPDATE SET balance = s.delta, note = t.note || s.sid
  WHEN MATCHED AND t.tid = 13 THEN DO NOTHING
  WHEN MATCHED THEN UPDATE SET note = 'rest'
  WHEN NOT MATCHED AND s.sid = 22 THEN DO NOTHING
  WHEN NOT MATCHED AND s.sid % 2 = 0 THEN INSERT (tid, balance, note) VALUES (s.sid, -s.delta, 'even')
  WHEN NOT MATCHED AND s.sid < 28 THEN INSERT (tid, note) VALUES (sid, DEFAULT)
  WHEN NOT MATCHED THEN DO NOTHING;
SELECT * FROM target ORDER BY tid;
ROLLBACK;
-- sources: alias, sub-query, VALUES, reference, local, not colocated, CTE, join, function
BEGIN;
MERGE INTO target USING (SELECT sid AS x, sum(delta) AS d FROM source GROUP BY sid) AS s ON tid = x WHEN MATCHED THEN UPDATE SET balance = balance + d WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (x, d);
SELECT sum(balance), count(*), sum(twice) FROM target;
ROLLBACK;
BEGIN;
MERGE INTO target t USING (VALUES (1, 'one'), (2, NULL), (99, 'new one')) AS s (a, b) ON t.tid = s.a WHEN MATCHED AND b IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET note = b WHEN NOT MATCHED THEN INSERT (tid, note) VALUES (a, b);
SELECT * FROM target WHERE tid < 4 OR tid > 20 ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING ref r ON t.tid = r.sid WHEN MATCHED THEN UPDATE SET balance = r.delta WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (r.sid, r.delta);
SELECT * FROM target ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING loc s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET balance = s.delta WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (s.sid, s.delta);
SELECT * FROM target WHERE tid > 16 ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING other o ON t.tid = o.sid WHEN MATCHED AND o.k % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET balance = o.k WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (o.sid, o.k);
SELECT * FROM target WHERE tid > 14 ORDER BY tid;
ROLLBACK;
BEGIN;
WITH w AS (SELECT sid, delta FROM source WHERE sid < 24), x AS (SELECT * FROM loc)
MERGE INTO target t USING (SELECT w.sid, w.delta + COALESCE(x.delta, 0) AS d FROM w LEFT JOIN x USING (sid)) s ON t.tid = s.sid AND EXISTS (SELECT FROM w WHERE w.sid = t.tid)
  WHEN MATCHED AND d > (SELECT min(delta) FROM x) THEN UPDATE SET balance = (SELECT count(*) FROM w WHERE w.sid <= t.tid)
  WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (s.sid, (SELECT max(delta) FROM x WHERE x.sid <= s.sid));
SELECT * FROM target WHERE tid > 10 ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING source s JOIN ref USING (sid) ON t.tid = sid WHEN MATCHED THEN UPDATE SET balance = ref.delta * s.delta WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (sid, s.delta);
SELECT * FROM target WHERE tid > 10 ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING generate_series(19, 22) g ON t.tid = g WHEN MATCHED THEN UPDATE SET note = 'g' || g WHEN NOT MATCHED THEN INSERT (tid, note) VALUES (g, 'ins' || g);
SELECT * FROM target WHERE tid > 18 ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING target s ON t.tid = s.tid + 10 WHEN MATCHED THEN UPDATE SET balance = s.balance WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (s.tid + 10, s.balance);
SELECT * FROM target ORDER BY tid;
ROLLBACK;
BEGIN;
MERGE INTO target t USING (SELECT sid AS x, delta FROM source WHERE sid > 25) s FULL JOIN (SELECT sid AS y FROM ref WHERE sid > 28) r ON s.x = r.y ON t.tid = s.x WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (COALESCE(s.x, -r.y), s.delta);
MERGE INTO target t USING loc LEFT JOIN source s ON s.sid = loc.sid + 8 ON t.tid = s.sid WHEN NOT MATCHED THEN INSERT (tid, note) VALUES (loc.sid + 200, s.delta::text);
SELECT * FROM target WHERE tid > 20 OR tid < 0 ORDER BY tid;
MERGE INTO loc USING (SELECT sid AS x FROM source WHERE sid > 27) s FULL JOIN (SELECT sid AS y FROM ref WHERE sid > 28) r ON s.x = r.y ON loc.sid = s.x WHEN NOT MATCHED THEN INSERT VALUES (s.x, r.y);
SELECT * FROM loc ORDER BY 1, 2;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET (balance, note) = (SELECT sum(o.delta) + t.tid, max(o.k) || 'o' FROM other o WHERE o.sid = s.sid), tid = s.sid;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED AND t.tid = 12 THEN UPDATE SET (note, balance) = (SELECT t.note || x, x FROM (SELECT delta AS x FROM ref WHERE ref.sid = s.sid + 1 UNION ALL SELECT 5 WHERE t.tid < 0) y) WHEN MATCHED AND t.tid = 14 THEN UPDATE SET (note, balance) = ROW (DEFAULT, 7);
SELECT * FROM target ORDER BY tid;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET (note, balance) = (SELECT 'x', sid FROM source);
ROLLBACK;
-- conditions that are no equality, or constant
BEGIN;
MERGE INTO target t USING (SELECT 3 AS a) s ON t.tid > 18 WHEN MATCHED THEN UPDATE SET balance = a WHEN NOT MATCHED THEN INSERT (tid) VALUES (a);
MERGE INTO target t USING (SELECT 30 AS a) s ON false WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (a, a);
MERGE INTO target t USING (SELECT 1) s ON t.tid < 3 WHEN MATCHED THEN DELETE;
SELECT * FROM target WHERE tid < 4 OR tid > 17 ORDER BY tid;
ROLLBACK;
-- a row twice
-- error
MERGE INTO target t USING (VALUES (1), (1)) s (a) ON t.tid = a WHEN MATCHED THEN UPDATE SET balance = 0;
-- error
MERGE INTO target t USING (VALUES (1, 1), (1, 2)) s (a, b) ON t.tid = a WHEN MATCHED AND b = 1 THEN UPDATE SET balance = 0 WHEN MATCHED THEN DELETE;
BEGIN;
MERGE INTO target t USING (VALUES (1, 1), (1, 2)) s (a, b) ON t.tid = a WHEN MATCHED AND b = 1 THEN UPDATE SET balance = 0 WHEN MATCHED THEN DO NOTHING;
SELECT * FROM target WHERE tid = 1;
ROLLBACK;
-- error
MERGE INTO target t USING (VALUES (50), (50)) s (a) ON t.tid = a WHEN NOT MATCHED THEN INSERT (tid) VALUES (a);
-- error
MERGE INTO target t USING (VALUES (50)) s (a) ON t.tid = a WHEN NOT MATCHED THEN INSERT (tid) VALUES (NULL);
-- the distribution column
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED AND t.tid < 15 THEN UPDATE SET tid = t.tid + 100, balance = 1 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (tid) VALUES (-s.sid);
SELECT * FROM target ORDER BY tid;
ROLLBACK;
-- defaults, whole rows, sub-queries, volatile functions, system columns
CREATE SEQUENCE sq;
CREATE TABLE d (id int, n int GENERATED BY DEFAULT AS IDENTITY, s int DEFAULT nextval('sq'), t text DEFAULT 'dt', at timestamptz DEFAULT '2020-01-01', PRIMARY KEY (id));
SELECT create_distributed_table('d', 'id');
MERGE INTO d USING (VALUES (1), (2)) v (a) ON d.id = a WHEN NOT MATCHED THEN INSERT (id) VALUES (a);
MERGE INTO d USING (VALUES (2), (3)) v (a) ON d.id = a WHEN MATCHED THEN UPDATE SET t = DEFAULT, s = -1 WHEN NOT MATCHED THEN INSERT (id, n, t) VALUES (a, 77, DEFAULT);
MERGE INTO d USING (VALUES (3)) v (a) ON d.id = a WHEN MATCHED AND d.tableoid = 'd'::regclass AND (d).n = 77 THEN UPDATE SET t = d::text || d.tableoid::regclass || v::text;
SELECT id, n > 0 AS n, s > 0 AS s, t, at FROM d ORDER BY id;
-- error
MERGE INTO d USING (VALUES (5)) v (a) ON d.id = a WHEN NOT MATCHED THEN INSERT DEFAULT VALUES;
BEGIN;
MERGE INTO d USING source s ON d.id = s.sid - 10 WHEN MATCHED AND random() < 2 THEN UPDATE SET at = clock_timestamp() WHEN NOT MATCHED THEN INSERT (id, t) VALUES (s.sid - 10, gen_random_uuid()::text);
SELECT count(*), count(DISTINCT t), count(*) FILTER (WHERE at > '2021-01-01') FROM d;
MERGE INTO d USING source s ON d.id = s.sid - 10 WHEN MATCHED AND d.id > 4 THEN DELETE WHEN MATCHED THEN UPDATE SET (t, s) = ROW ('two', s.sid);
SELECT id, t, s FROM d ORDER BY id;
ROLLBACK;
-- a table without a key, NULLs as keys
BEGIN;
MERGE INTO nokey t USING (SELECT generate_series(0, 8) AS g) s ON t.k = g AND t.v <> 1 WHEN MATCHED AND g = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET w = w || g WHEN NOT MATCHED THEN INSERT VALUES (g, NULL, 'i');
SELECT * FROM nokey ORDER BY k, v, w;
MERGE INTO nokey t USING (VALUES (NULL::int), (1)) s (g) ON t.k = g WHEN NOT MATCHED THEN INSERT (k, w) VALUES (g, 'null');
MERGE INTO nokey t USING (VALUES (NULL::int)) s (g) ON t.k IS NOT DISTINCT FROM g WHEN MATCHED THEN UPDATE SET w = 'was null';
SELECT * FROM nokey WHERE k IS NULL;
ROLLBACK;
-- constraints
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET balance = 2000;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (s.sid, 2000);
SELECT count(*) FROM target;
-- triggers
CREATE TABLE log (n serial, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO log (what) VALUES (TG_WHEN || ' ' || TG_OP || ' ' || TG_LEVEL || ' ' || TG_TABLE_NAME || CASE WHEN TG_LEVEL = 'ROW' THEN ' ' || COALESCE(CASE WHEN TG_OP <> 'INSERT' THEN OLD::text END, '-') || COALESCE(CASE WHEN TG_OP <> 'DELETE' THEN NEW::text END, '-') ELSE '' END);
  IF TG_LEVEL = 'ROW' AND TG_WHEN = 'BEFORE' AND TG_OP <> 'DELETE' THEN
    IF NEW.tid = 14 THEN RETURN NULL; END IF;
    NEW.note := NEW.note || '!';
    RETURN NEW;
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON target FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER b AFTER INSERT OR UPDATE OR DELETE ON target FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER c BEFORE INSERT OR UPDATE OR DELETE ON target FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER e AFTER INSERT OR UPDATE OR DELETE ON target FOR EACH STATEMENT EXECUTE FUNCTION note();
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED AND t.tid > 18 THEN DELETE WHEN MATCHED AND t.tid < 15 THEN UPDATE SET balance = 5 WHEN NOT MATCHED AND sid < 23 THEN INSERT (tid, balance) VALUES (sid, delta);
SELECT what FROM log WHERE what LIKE '%STATEMENT%' ORDER BY n;
SELECT what, count(*) FROM log GROUP BY 1 ORDER BY 1;
SELECT * FROM target ORDER BY tid;
TRUNCATE log;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED AND false THEN DELETE WHEN NOT MATCHED AND false THEN INSERT (tid) VALUES (1);
SELECT what FROM log ORDER BY n;
ROLLBACK;
CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN INSERT INTO log (what) SELECT 'new ' || count(*) || ' ' || sum(tid) FROM nt;
  ELSIF TG_OP = 'DELETE' THEN INSERT INTO log (what) SELECT 'old ' || count(*) || ' ' || sum(tid) FROM ot;
  ELSE INSERT INTO log (what) SELECT 'both ' || count(*) || ' ' || sum(nt.balance - ot.balance) FROM nt JOIN ot USING (tid); END IF;
  RETURN NULL;
END $$;
DROP TRIGGER b ON target;
CREATE TRIGGER f AFTER INSERT ON target REFERENCING NEW TABLE AS nt FOR EACH STATEMENT EXECUTE FUNCTION counts();
CREATE TRIGGER g AFTER UPDATE ON target REFERENCING NEW TABLE AS nt OLD TABLE AS ot FOR EACH STATEMENT EXECUTE FUNCTION counts();
CREATE TRIGGER h AFTER DELETE ON target REFERENCING OLD TABLE AS ot FOR EACH STATEMENT EXECUTE FUNCTION counts();
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED AND t.tid > 18 THEN DELETE WHEN MATCHED THEN UPDATE SET balance = 5 WHEN NOT MATCHED AND sid < 23 THEN INSERT (tid, balance) VALUES (sid, delta);
SELECT what FROM log WHERE what ~ '^(new|old|both)' ORDER BY 1;
ROLLBACK;
DROP TRIGGER a ON target; DROP TRIGGER c ON target; DROP TRIGGER e ON target; DROP TRIGGER f ON target; DROP TRIGGER g ON target; DROP TRIGGER h ON target;
-- policies
CREATE ROLE merger; GRANT USAGE ON SCHEMA t_merge TO merger;
GRANT ALL ON target, source, log TO merger;
ALTER TABLE target ENABLE ROW LEVEL SECURITY;
CREATE POLICY s ON target FOR SELECT USING (tid < 19);
CREATE POLICY u ON target FOR UPDATE USING (tid < 17) WITH CHECK (balance <> 7);
CREATE POLICY i ON target FOR INSERT WITH CHECK (tid < 25);
CREATE POLICY d ON target FOR DELETE USING (tid > 12);
SET ROLE merger;
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED AND tid < 17 THEN UPDATE SET balance = 6;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED AND tid > 12 THEN DELETE WHEN NOT MATCHED AND sid > 22 AND sid < 25 THEN INSERT (tid) VALUES (sid);
SELECT tid, balance FROM target ORDER BY 1;
RESET ROLE;
SELECT tid, balance FROM target ORDER BY 1;
ROLLBACK;
RESET ROLE;
SET ROLE merger;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET balance = 6;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED AND tid < 17 THEN UPDATE SET balance = 7;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN DELETE;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN NOT MATCHED AND sid > 22 THEN INSERT (tid) VALUES (sid);
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN NOT MATCHED AND sid < 21 THEN INSERT (tid) VALUES (sid);
RESET ROLE;
ALTER TABLE target DISABLE ROW LEVEL SECURITY;
REVOKE UPDATE, DELETE ON target FROM merger;
GRANT UPDATE (note) ON target TO merger;
SET ROLE merger;
BEGIN;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET note = 'may' WHEN NOT MATCHED AND sid < 23 THEN INSERT (tid) VALUES (sid);
ROLLBACK;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET balance = 1;
-- error
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN DELETE;
RESET ROLE;
DROP OWNED BY merger;
DROP ROLE merger;
-- prepared, and in PL/pgSQL
PREPARE m(int, int) AS MERGE INTO target t USING (SELECT $1 AS a, $2 AS b) s ON t.tid = a WHEN MATCHED THEN UPDATE SET balance = balance + b WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (a, b);
EXECUTE m(60, 1);
EXECUTE m(60, 2);
EXECUTE m(61, 3);
EXECUTE m(60, 4);
-- notices
DO $$ DECLARE n int; BEGIN
  FOR i IN 58 .. 66 LOOP
    MERGE INTO target t USING (SELECT i AS a) s ON t.tid = a WHEN MATCHED THEN UPDATE SET balance = i WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (a, -i);
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> 1 THEN RAISE 'wrong count'; END IF;
  END LOOP;
  MERGE INTO target t USING source s ON t.tid = s.sid + 40 WHEN MATCHED THEN DELETE;
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'deleted %', n;
END $$;
SELECT tid, balance FROM target WHERE tid > 40 ORDER BY 1;
-- what was written before in the transaction
BEGIN;
UPDATE source SET delta = 1000 - sid;
INSERT INTO source VALUES (1, 1);
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN UPDATE SET balance = s.delta;
SAVEPOINT a;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN MATCHED THEN DELETE;
ROLLBACK TO a;
MERGE INTO target t USING source s ON t.tid = s.sid WHEN NOT MATCHED THEN INSERT (tid, balance) VALUES (s.sid, s.sid);
SELECT count(*), sum(balance) FROM target;
ROLLBACK;
-- other targets
BEGIN;
MERGE INTO loc USING source s ON loc.sid = s.sid WHEN MATCHED THEN UPDATE SET delta = loc.delta + s.delta WHEN NOT MATCHED THEN INSERT VALUES (s.sid, s.delta);
SELECT * FROM loc ORDER BY sid;
ROLLBACK;
BEGIN;
MERGE INTO ref r USING source s ON r.sid = s.sid WHEN MATCHED AND s.sid < 20 THEN DELETE WHEN MATCHED THEN UPDATE SET delta = s.delta WHEN NOT MATCHED AND s.sid < 16 THEN INSERT VALUES (s.sid, 5);
SELECT * FROM ref ORDER BY sid;
SELECT count(*), sum(r.delta) FROM ref r JOIN source s ON r.sid = s.sid;
ROLLBACK;
BEGIN;
MERGE INTO ref r USING loc s ON r.sid = s.sid WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.sid, 5);
SELECT count(*), sum(r.delta) FROM ref r LEFT JOIN source s ON r.sid = s.sid;
ROLLBACK;
SELECT count(*), sum(balance) FROM target;
-- sources that are everywhere, beside shards
SELECT t.*, s.* FROM target t RIGHT JOIN (VALUES (1), (2), (NULL), (-7), (2)) s (x) ON t.tid = s.x ORDER BY x, tid;
SELECT count(*), sum(t.tid), sum(s.sid) FROM target t RIGHT JOIN ref s ON t.tid = s.sid;
SELECT t.tid, g FROM generate_series(18, 23) g LEFT JOIN target t ON t.tid = g AND t.balance > 0 ORDER BY g;
SELECT count(*), sum(t.tid) FROM ref r LEFT JOIN target t ON t.tid = r.sid LEFT JOIN source s ON s.sid = t.tid;
SELECT count(*), sum(t.tid) FROM (SELECT sid, delta FROM ref WHERE sid > 3) r FULL JOIN target t ON t.tid = r.sid;
-- where nothing is done all is read all the same
-- error
MERGE INTO target t USING source s ON t.tid = s.sid AND 1 / (s.sid - s.sid) > 0 WHEN MATCHED THEN DO NOTHING;
-- error
MERGE INTO target t USING (SELECT sid, delta FROM source ORDER BY 1 LIMIT 9) s ON t.tid = s.sid AND 1 / (s.sid - s.sid) > 0 WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN DO NOTHING;
MERGE INTO target t USING (SELECT sid, delta + random() AS d FROM source) s ON t.tid = s.sid WHEN MATCHED AND s.d > 0 THEN DO NOTHING;
WITH a AS (UPDATE ref SET delta = delta + 1 RETURNING sid, delta), b AS (DELETE FROM ref) MERGE INTO target t USING a ON t.tid = a.sid WHEN MATCHED THEN DO NOTHING;
SELECT count(*), sum(delta) FROM ref;
