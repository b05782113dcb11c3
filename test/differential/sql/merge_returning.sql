-- MERGE ... RETURNING and merge_action().
-- from: 17
CREATE TABLE t (k int PRIMARY KEY, v int, w text, g int GENERATED ALWAYS AS (v * 2) STORED);
CREATE TABLE s (k int, v int, note text);
SELECT create_distributed_table('t', 'k');
SELECT create_distributed_table('s', 'k');
INSERT INTO t SELECT i, i, 't' || i FROM generate_series(1, 20) i;
INSERT INTO s SELECT i, i * 10, 's' || i FROM generate_series(10, 30) i;
MERGE INTO t USING s ON t.k = s.k WHEN MATCHED AND s.v > 150 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED AND s.k < 28 THEN INSERT VALUES (s.k, s.v, s.note)
  RETURNING merge_action(), t.*, s.note;
SELECT * FROM t ORDER BY k;
MERGE INTO t USING (SELECT k + 1 AS k, v FROM s) x ON t.k = x.k AND x.v < 200 WHEN MATCHED THEN UPDATE SET w = w || x.v
  RETURNING t.k + x.v AS sum, upper(w), merge_action() || '!', t, x.k;
MERGE INTO t USING (VALUES (1, 5), (2, 6), (100, 7)) x(k, v) ON t.k = x.k WHEN MATCHED THEN UPDATE SET v = x.v WHEN NOT MATCHED THEN INSERT (k, v) VALUES (x.k, x.v)
  RETURNING (SELECT count(*) FROM s WHERE s.v > t.v), t.g, merge_action();
MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN DO NOTHING RETURNING t.k;
MERGE INTO t USING s ON t.k = s.k AND false WHEN MATCHED THEN DELETE RETURNING 1;
WITH m AS (MERGE INTO t USING s ON t.k = s.k AND s.k < 12 WHEN MATCHED THEN UPDATE SET v = t.v + 1 RETURNING merge_action() AS a, t.k, t.v)
  SELECT a, count(*), sum(v) FROM m GROUP BY a;
-- error
SELECT merge_action();
MERGE INTO t USING s ON t.k = s.k AND s.k < 12 WHEN MATCHED THEN DELETE RETURNING t.tableoid::regclass, t.k;
-- a view, policies
CREATE VIEW tv AS SELECT k, v FROM t WHERE v < 1000 WITH CHECK OPTION;
MERGE INTO tv USING s ON tv.k = s.k AND s.k BETWEEN 12 AND 14 WHEN MATCHED THEN UPDATE SET v = s.v + 1 RETURNING tv.*;
-- error
MERGE INTO tv USING s ON tv.k = s.k AND s.k BETWEEN 12 AND 14 WHEN MATCHED THEN UPDATE SET v = s.v + 1000 RETURNING tv.*;
-- triggers
CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.v := new.v + 1000; RETURN new; END $$;
CREATE TRIGGER more BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION more();
MERGE INTO t USING s ON t.k = s.k AND s.k BETWEEN 15 AND 32 WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k + 100, s.v) RETURNING merge_action(), t.v, t.g;
SELECT count(*), sum(v), sum(g) FROM t;
PREPARE m(int) AS MERGE INTO t USING s ON t.k = s.k AND s.k = $1 WHEN MATCHED THEN UPDATE SET v = $1 RETURNING t.k, t.v, merge_action();
EXECUTE m(16);
EXECUTE m(17);
SELECT count(*) FROM cz_verify_placements('t') WHERE NOT ok;
