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
RESET ROLE;
DROP TABLE t, u;
DROP OWNED BY unread_reader; DROP ROLE unread_reader;
