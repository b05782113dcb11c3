-- What core never plans fails nowhere
CREATE TABLE t (k int, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i % 5 FROM generate_series(1, 40) i;
SELECT * FROM (SELECT count(*) FROM t WHERE k = 1 / 0) x WHERE false;
SELECT * FROM (SELECT count(*) FROM t WHERE v = 1 / 0) x WHERE 1 = 0;
SELECT * FROM (SELECT count(*), 1 / 0 FROM t) x WHERE NULL;
SELECT * FROM t WHERE false AND k = 1 / 0;
SELECT count(*) FROM t HAVING false AND 1 / 0 > 0;
SELECT 1 WHERE false AND EXISTS (SELECT 1 FROM t WHERE k = 1 / 0);
SELECT k FROM t WHERE k = 3 AND (true OR v IN (SELECT v FROM t WHERE k = 1 / 0));
SELECT k, CASE WHEN true THEN v ELSE (SELECT 1 FROM t WHERE k = 1 / 0) END FROM t WHERE k = 4;
SELECT CASE WHEN false THEN (SELECT 1 FROM t WHERE k = 1 / 0) END, count(*) FROM t;
SELECT * FROM (SELECT count(*) FROM t WHERE k = 1 / 0 UNION ALL SELECT 1) x WHERE false;
SELECT * FROM (SELECT v, count(*) FROM t WHERE k = 1 / 0 GROUP BY v) x (v, n) WHERE false AND n > 1;
SELECT count(*), sum(n) FROM (SELECT v, count(*) n FROM t WHERE k = 1 / 0 GROUP BY v) x WHERE false;
WITH x AS (SELECT count(*) FROM t WHERE k = 1 / 0) SELECT * FROM x WHERE false;
WITH x AS MATERIALIZED (SELECT count(*) FROM t WHERE k = 1 / 0) SELECT 1;
INSERT INTO t SELECT * FROM (SELECT k, max(v) FROM t WHERE v = 1 / 0 GROUP BY k) x WHERE false;
UPDATE t SET v = 7 WHERE false AND k > (SELECT max(k) FROM t WHERE v = 1 / 0);
DELETE FROM t WHERE CASE WHEN true THEN k = 3 ELSE k IN (SELECT k FROM t WHERE v = 1 / 0) END;
PREPARE p (boolean) AS SELECT * FROM (SELECT count(*) FROM t WHERE k = 1 / 0) x WHERE $1;
SET plan_cache_mode = force_custom_plan;
EXECUTE p(false);
-- error
EXECUTE p(true);
RESET plan_cache_mode;
-- error
WITH x AS MATERIALIZED (SELECT count(*) FROM t WHERE k = 1 / 0) SELECT * FROM x WHERE false;
-- error
SELECT * FROM (SELECT count(*) FROM t WHERE k = 1 / 0) x LIMIT 0;
-- error
SELECT * FROM t JOIN (SELECT v, count(*) c FROM t WHERE v = 1 / 0 GROUP BY v) x ON false;
MERGE INTO t USING (SELECT v, max(k) AS k FROM t GROUP BY v) s ON t.k = s.k AND 1 = 0 WHEN NOT MATCHED THEN INSERT VALUES (s.k + 100, s.v) WHEN MATCHED THEN DELETE;
MERGE INTO t USING (SELECT max(k) AS k FROM t) s ON false WHEN NOT MATCHED THEN INSERT VALUES (s.k + 1000, 1);
SELECT count(*), sum(k), sum(v) FROM t;
-- wherever an expression stands
SELECT v, count(*) FROM t GROUP BY v HAVING CASE WHEN true THEN v > 1 ELSE (SELECT 1 FROM t WHERE k = 1 / 0) = 1 END;
SELECT count(*) FROM t HAVING false AND (SELECT 1 FROM t WHERE k = 1 / 0) = 1;
SELECT a.k, b.k FROM t a LEFT JOIN t b ON a.k = b.k AND (false AND (SELECT 1 FROM t WHERE k = 1 / 0) = 2) WHERE a.k < 4;
SELECT a.k, b.k FROM t a LEFT JOIN t b ON a.k = b.k AND false AND EXISTS (SELECT 1 FROM t c WHERE k = 1 / 0 AND c.v = a.v) WHERE a.k < 4;
-- error
SELECT a.k, b.k FROM t a LEFT JOIN t b ON a.k = b.k AND false AND EXISTS (SELECT 1 FROM t c WHERE k = 1 / 0 AND c.v = b.v) WHERE a.k < 4;
SELECT a.k, b.k FROM t a FULL JOIN t b ON a.k = b.k AND COALESCE(true, (SELECT true FROM t WHERE k = 1 / 0)) WHERE a.k < 4;
SELECT k FROM t ORDER BY k LIMIT COALESCE(2, (SELECT k FROM t WHERE k = 1 / 0));
SELECT k FROM t ORDER BY k OFFSET CASE WHEN true THEN 37 ELSE (SELECT k FROM t WHERE k = 1 / 0) END;
SELECT k FROM t ORDER BY CASE WHEN true THEN k ELSE (SELECT k FROM t WHERE k = 1 / 0) END LIMIT 3;
SELECT CASE WHEN true THEN v ELSE (SELECT k FROM t WHERE k = 1 / 0) END, count(*) FROM t GROUP BY 1;
SELECT CASE WHEN true THEN v ELSE (SELECT k FROM t WHERE k = 1 / 0) END, count(*) FROM t GROUP BY ROLLUP (1);
SELECT CASE WHEN false THEN COALESCE(v, (SELECT 1 FROM t LIMIT 1)) ELSE 0 END, count(*) FROM t GROUP BY COALESCE(v, (SELECT 1 FROM t LIMIT 1));
SELECT DISTINCT CASE WHEN true THEN v ELSE (SELECT k FROM t WHERE k = 1 / 0) END FROM t;
SELECT DISTINCT ON (COALESCE(1, (SELECT k FROM t WHERE k = 1 / 0)), v) v, k FROM t ORDER BY COALESCE(1, (SELECT k FROM t WHERE k = 1 / 0)), v, k;
SELECT k, sum(k) OVER (ORDER BY k ROWS CASE WHEN true THEN 1 ELSE (SELECT k FROM t WHERE k = 1 / 0) END PRECEDING) FROM t;
SELECT k, sum(k) OVER (PARTITION BY CASE WHEN true THEN v ELSE (SELECT k FROM t WHERE k = 1 / 0) END) FROM t;
VALUES (1), (CASE WHEN true THEN 2 ELSE (SELECT k FROM t WHERE k = 1 / 0) END);
SELECT g FROM generate_series(1, CASE WHEN true THEN 3 ELSE (SELECT k FROM t WHERE k = 1 / 0) END) g, t WHERE t.k = g;
SELECT k FROM t WHERE false AND k NOT IN (SELECT k FROM t WHERE k = 1 / 0);
SELECT k FROM t WHERE false AND EXISTS (SELECT k FROM t WHERE k = 1 / 0);
SELECT k FROM t WHERE false AND EXISTS (SELECT count(*) FROM t x WHERE k = 1 / 0 AND x.v = t.v);
UPDATE t SET v = v WHERE k = 3 RETURNING CASE WHEN true THEN v ELSE (SELECT k FROM t WHERE k = 1 / 0) END;
MERGE INTO t USING (SELECT 3 AS k) s ON t.k = s.k WHEN MATCHED AND false AND t.v = (SELECT k FROM t WHERE k = 1 / 0) THEN DELETE WHEN MATCHED THEN UPDATE SET v = CASE WHEN true THEN t.v ELSE (SELECT k FROM t WHERE k = 1 / 0) END;
MERGE INTO t USING (SELECT max(k) AS k FROM t) s ON false AND t.v = (SELECT k FROM t WHERE k = 1 / 0) WHEN MATCHED THEN DELETE;
-- error
MERGE INTO t USING (SELECT max(k) AS k FROM t) s ON t.k = s.k AND false AND t.v IN (SELECT k FROM t WHERE k = 1 / 0) WHEN MATCHED THEN DELETE;
PREPARE h (text) AS SELECT v, count(*) FROM t GROUP BY v HAVING $1 = '' OR v = (SELECT v FROM t WHERE k = $1::int);
EXECUTE h('');
EXECUTE h('3');
PREPARE j (text) AS SELECT a.k FROM t a LEFT JOIN t b ON a.k = b.k AND CASE WHEN $1 = '' THEN true ELSE b.v = (SELECT v FROM t WHERE k = $1::int) END WHERE a.k < 4;
EXECUTE j('');
EXECUTE j('3');
-- columns that nobody reads
SELECT x FROM (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) q WHERE x < 3;
SELECT x FROM (SELECT k AS x, CASE WHEN true THEN 1 / 0 ELSE (SELECT 1) END AS y FROM t OFFSET 0) q WHERE x < 3;
SELECT x FROM (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t GROUP BY k) q WHERE x < 3;
SELECT x FROM (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) q WHERE x < 3 OR false AND y > 3;
SELECT count(*) FROM (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) q;
SELECT max(x) FROM (SELECT * FROM (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) p) q;
SELECT max(x) FROM (SELECT *, y + 1 AS z FROM (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) p OFFSET 0) q;
SELECT t.k FROM t LEFT JOIN (SELECT k, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) q USING (k) WHERE k < 3;
SELECT x FROM (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) q WHERE x < 3 FOR UPDATE;
SELECT k FROM t WHERE k = 3 AND EXISTS (SELECT CASE WHEN true THEN 1 / 0 ELSE (SELECT max(k) FROM t) END FROM t x WHERE x.k = t.k);
WITH q AS (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) SELECT count(x) FROM q;
-- error
WITH q AS MATERIALIZED (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) SELECT count(x) FROM q;
-- error
SELECT x FROM (SELECT DISTINCT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t) q;
-- error
SELECT x FROM (SELECT k AS x, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t UNION ALL SELECT 1, 2) q;
-- error
UPDATE t SET v = t.v FROM (SELECT k, (SELECT k FROM t WHERE k = 1 / 0) AS y FROM t GROUP BY k) q WHERE t.k = q.k AND t.k < 3;
-- what IN reads is joined first
-- error
UPDATE t SET v = 7 WHERE false AND k IN (SELECT k FROM t WHERE v = 1 / 0);
-- who may not read what is in there is told so
CREATE ROLE unread_reader;
GRANT USAGE ON SCHEMA t_unread TO unread_reader;
CREATE TABLE u (k int); GRANT SELECT ON u TO unread_reader;
SELECT create_distributed_table('u', 'k');
SET ROLE unread_reader;
-- error
SELECT * FROM (SELECT count(*) FROM t) x WHERE false;
-- error
SELECT * FROM (SELECT count(*) FROM (SELECT max(v) FROM t) y) x WHERE false;
-- error
SELECT * FROM u WHERE false AND k IN (SELECT k FROM t);
SELECT * FROM u WHERE false AND k > (SELECT max(k) FROM t);
SELECT * FROM u WHERE false AND k NOT IN (SELECT k FROM t);
SELECT count(*) FROM u HAVING false AND (SELECT max(k) FROM t) > 1;
SELECT x FROM (SELECT k AS x, (SELECT max(k) FROM t) AS y FROM u) q;
SELECT x FROM (SELECT k AS x, (SELECT max(k) FROM t) AS y FROM u OFFSET 0) q;
WITH x AS (SELECT k FROM t), y AS (SELECT * FROM x) SELECT count(*) FROM u;
-- error
WITH x AS MATERIALIZED (SELECT k FROM t), y AS (SELECT * FROM x) SELECT count(*) FROM u;
-- error
WITH x AS (SELECT k FROM t) SELECT * FROM (SELECT * FROM x OFFSET 0) y WHERE false;
-- error
WITH x AS MATERIALIZED (SELECT k FROM t) SELECT * FROM (SELECT * FROM x OFFSET 0) y WHERE false;
WITH x AS (SELECT max(k) FROM t) SELECT CASE WHEN false THEN (SELECT * FROM x) END, count(*) FROM u;
-- error
WITH x AS MATERIALIZED (SELECT max(k) FROM t) SELECT CASE WHEN false THEN (SELECT * FROM x) END, count(*) FROM u;
-- error
SELECT * FROM (SELECT count(*), (SELECT max(k) FROM t) FROM u) x WHERE false;
RESET ROLE;
DROP TABLE t, u;
DROP OWNED BY unread_reader; DROP ROLE unread_reader;
