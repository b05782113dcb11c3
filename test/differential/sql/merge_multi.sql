-- MERGE that assigns several columns from one volatile sub-query, which is computed once.
CREATE TYPE pair AS (x int, y int);
CREATE TABLE t (gone int, k int PRIMARY KEY, a int, b int, c pair, arr int[]);
ALTER TABLE t DROP COLUMN gone;
CREATE TABLE s (k int PRIMARY KEY, a int, b int);
CREATE TABLE calls (n int);
SELECT create_distributed_table('t', 'k', shard_count => 4);
SELECT create_distributed_table('s', 'k', shard_count => 4);
INSERT INTO t SELECT i, i, i, ROW(i, i)::pair, ARRAY[i, i] FROM generate_series(1, 5) i;
INSERT INTO s SELECT i, i * 10, i * 100 FROM generate_series(1, 8) i;
CREATE SEQUENCE q;
CREATE FUNCTION vol(int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO calls VALUES ($1); RETURN $1; END $$;
MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN UPDATE SET (a, b) = (SELECT vol(s.a), vol(t.b));
SELECT * FROM t ORDER BY k;
SELECT count(*), sum(n) FROM calls;
TRUNCATE calls;
MERGE INTO t USING s ON t.k = s.k
  WHEN MATCHED AND t.k < 2 THEN UPDATE SET a = s.a + 1, b = s.b
  WHEN MATCHED AND t.k < 3 THEN UPDATE SET (b, a) = (SELECT vol(1), vol(2)), (c, arr) = (SELECT ROW(vol(7), 8)::pair, ARRAY[vol(9), t.a])
  WHEN MATCHED AND t.k < 4 THEN DELETE
  WHEN MATCHED THEN UPDATE SET c.x = vol(s.a), arr[2] = s.b, a = -1
  WHEN NOT MATCHED THEN INSERT (k, a, b) VALUES (s.k, s.a, vol(s.b));
SELECT * FROM t ORDER BY k;
SELECT count(*), sum(n) FROM calls;
MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN UPDATE SET (c.x, arr[2]) = (SELECT vol(s.a), s.b WHERE s.k <> 4), a = -1;
SELECT * FROM t ORDER BY k;
-- one value for both columns, another one for each row
MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN UPDATE SET (a, b) = (SELECT n, n FROM (SELECT nextval('q')::int AS n) x);
SELECT count(*), count(DISTINCT a), bool_and(a = b) FROM t;
-- the sub-query reads tables, WITH above, a policy's and a view's kind of source
WITH w AS (SELECT k, a FROM s WHERE k < 3) MERGE INTO t USING s ON t.k = s.k
  WHEN MATCHED THEN UPDATE SET (a, b) = (SELECT w.a, vol(w.k) FROM w WHERE w.k = s.k);
SELECT * FROM t ORDER BY k;
MERGE INTO t USING (SELECT b, count(*)::int AS n FROM s GROUP BY b) x ON t.k = x.b / 100
  WHEN MATCHED THEN UPDATE SET (a, b) = (SELECT count(*) + x.n, vol(5) FROM s o WHERE o.k <= t.k);
SELECT * FROM t ORDER BY k;
-- the key, too
MERGE INTO t USING s ON t.k = s.k WHEN MATCHED AND s.k = 5 THEN UPDATE SET (k, a) = (SELECT vol(50), vol(t.a));
SELECT * FROM t WHERE k > 8 ORDER BY k;
-- error
MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN UPDATE SET (a, b) = (SELECT vol(o.a), o.b FROM s o);
PREPARE m (int) AS MERGE INTO t USING s ON t.k = s.k WHEN MATCHED AND s.k = $1 THEN UPDATE SET (a, b) = (SELECT vol($1), s.b);
EXECUTE m (1);
EXECUTE m (2);
EXECUTE m (3);
SELECT * FROM t ORDER BY k;
-- the same in ON CONFLICT, and its kin
INSERT INTO t VALUES (1, 0, 0, (7, 8), '{7,8}') ON CONFLICT (k) DO UPDATE SET c.x = EXCLUDED.a + 100;
INSERT INTO t VALUES (1, 0, 0, (7, 8), '{7,8}') ON CONFLICT (k) DO UPDATE SET c.x = (EXCLUDED.c).y + 100, c.y = (t.c).x + 1, arr[1] = EXCLUDED.arr[2], arr[2] = t.arr[1] RETURNING *;
INSERT INTO t VALUES (2, 0, 0, (7, 8), '{7,8}') ON CONFLICT (k) DO UPDATE SET c.x = vol((EXCLUDED.c).y) + 100, c.y = (t.c).y + 1, arr[1] = vol(EXCLUDED.arr[2]), arr[2] = t.arr[1] RETURNING *;
INSERT INTO t VALUES (2, 0, 0, (7, 8), '{7,8}') ON CONFLICT (k) DO UPDATE SET (a, b) = (SELECT vol(EXCLUDED.k), vol(t.a)) RETURNING *;
INSERT INTO t VALUES (4, 0, 0, (7, 8), '{7,8}') ON CONFLICT (k) DO UPDATE SET (a, c.x) = (SELECT EXCLUDED.k, 5) RETURNING *;
INSERT INTO t VALUES (4, 0, 0, (7, 8), '{7,8}') ON CONFLICT (k) DO UPDATE SET (a, b) = (SELECT s.a, s.b FROM s WHERE s.k = EXCLUDED.k ORDER BY s.a LIMIT 1) RETURNING *;
