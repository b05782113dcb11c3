-- Partitioned tables: writes
CREATE TABLE ev (k int NOT NULL, t int NOT NULL, v text DEFAULT 'root', n numeric, UNIQUE (k, t)) PARTITION BY RANGE (t);
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
-- insert
INSERT INTO ev (k, t) VALUES (200, 1), (201, 11), (202, 21) RETURNING *;
INSERT INTO ev1 (k, t) VALUES (210, 1) RETURNING *;
INSERT INTO ev2 (k, t) VALUES (210, 11) RETURNING *;
INSERT INTO ev2 (k, t) VALUES (211, 11), (212, 12) RETURNING *;
INSERT INTO ev2 VALUES (5, 'w', 13, 213), (5, 'w', 14, 214) RETURNING ev2, tableoid::regclass;
INSERT INTO ev3 (k, t) VALUES (210, 31) RETURNING *;
-- error
INSERT INTO ev3a (k, t, v) VALUES (211, 31, 'a') RETURNING *;
-- error
INSERT INTO ev3a (k, t, v) VALUES (212, 31, 'z') RETURNING *;
-- error
INSERT INTO ev3a (k, t) VALUES (212, 31) RETURNING *;
-- error
INSERT INTO ev2 (k, t) VALUES (214, 31);
-- error
INSERT INTO ev2 (k, t) VALUES (214, 31), (215, 31);
-- error
INSERT INTO ev (k, t) VALUES (214, 41);
-- error
INSERT INTO ev (k, t) VALUES (214, 41), (215, 1), (216, 2);
-- error
INSERT INTO ev SELECT k + 1000, t + 100, v FROM ev WHERE k = 9 AND t = 9;
-- error
INSERT INTO ev VALUES (1, 1), (1, 21);
-- error
INSERT INTO ev VALUES (1, NULL);
-- error
INSERT INTO ev VALUES (NULL, 1);
INSERT INTO ev SELECT k + 300, t, v, n FROM ev WHERE t < 30;
INSERT INTO ev SELECT k, t + 5, v, n FROM ev WHERE t > 30 AND t < 35 AND k < 16 ON CONFLICT DO NOTHING;
INSERT INTO ev2 (k, t, v, n) SELECT k + 400, t, v, n FROM ev2 WHERE t < 30;
INSERT INTO ev2 (k, t, n) SELECT k, 19, n FROM ev1 WHERE k < 300 RETURNING *;
-- error
INSERT INTO ev3 (k, t, v) SELECT k, 25, w FROM loc RETURNING *;
INSERT INTO loc SELECT k, v FROM ev2 WHERE k < 20;
INSERT INTO d SELECT DISTINCT k + 1000, 1 FROM ev3;
INSERT INTO r SELECT DISTINCT t + 1000, 'q' FROM ev2;
SELECT count(*), sum(k) FROM d;
SELECT count(*), sum(t) FROM r;
SELECT count(*), sum(k) FROM loc;
-- error
INSERT INTO ev2 (k, t, n) SELECT k, t, n FROM ev1;
SELECT * FROM ev ORDER BY k, t;
-- conflict
INSERT INTO ev VALUES (1, 1, 'c', 7) ON CONFLICT (k, t) DO UPDATE SET n = ev.n + excluded.n, v = excluded.v RETURNING *;
INSERT INTO ev2 (k, t, v, n) VALUES (11, 11, 'c', 7) ON CONFLICT (k, t) DO UPDATE SET n = ev2.n + excluded.n, v = excluded.v RETURNING *;
INSERT INTO ev2 (k, t, v, n) VALUES (11, 11, 'c', 7), (12, 12, 'c', 7) ON CONFLICT (k, t) DO UPDATE SET n = ev2.n + excluded.n RETURNING *;
INSERT INTO ev VALUES (1, 1, 'c', 7), (500, 12, 'c', 7) ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO ev SELECT k, t, v, n FROM ev ON CONFLICT (k, t) DO UPDATE SET n = excluded.n + 1;
INSERT INTO ev SELECT k, t, v, n FROM ev2 ON CONFLICT (k, t) DO UPDATE SET n = excluded.n + 1 WHERE ev.k < 15 RETURNING *;
-- error
INSERT INTO ev2 (k, t, n) SELECT k, 12, 0 FROM loc ON CONFLICT (k, t) DO UPDATE SET n = 1;
-- error
INSERT INTO ev VALUES (1, 1, 'c', 7) ON CONFLICT (k) DO NOTHING;
-- error
INSERT INTO ev VALUES (12, 12, 'c', 7) ON CONFLICT (k, t) DO UPDATE SET t = 1;
INSERT INTO ev VALUES (12, 12, 'c', 7) ON CONFLICT (k, t) DO UPDATE SET t = 18 RETURNING *;
-- error
INSERT INTO ev VALUES (1, 1), (1, 1) ON CONFLICT (k, t) DO UPDATE SET n = 1;
INSERT INTO ev VALUES (1, 1, 'c', 7) ON CONFLICT ON CONSTRAINT ev_k_t_key DO UPDATE SET n = 99 RETURNING *;
INSERT INTO ev1 VALUES (1, 1, 'c', 7) ON CONFLICT ON CONSTRAINT ev1_k_t_key DO UPDATE SET n = 98 RETURNING *;
-- error
INSERT INTO ev1 VALUES (1, 1, 'c', 7);
SELECT * FROM ev ORDER BY k, t;
-- update, moving
UPDATE ev SET n = n + 1 WHERE k = 3 RETURNING *;
UPDATE ev SET n = n + 1 WHERE t = 13 RETURNING *;
UPDATE ev2 SET n = n + 1 WHERE k = 13 RETURNING *;
UPDATE ev2 SET n = n + 1 RETURNING *, ev2, tableoid::regclass;
UPDATE ev3 SET v = 'zz' WHERE v = 'a' RETURNING *;
UPDATE ev3 SET v = 'a' WHERE v = 'd' RETURNING *;
-- error
UPDATE ev SET t = t + 10 WHERE t BETWEEN 5 AND 9 AND k < 10 RETURNING *;
UPDATE ev SET t = 39 - t WHERE k > 300 RETURNING k, t, v, n;
-- error
UPDATE ev SET t = 50 WHERE k = 3;
-- error
UPDATE ev SET t = t + 100 WHERE k = 5 AND t = 5;
-- error
UPDATE ev2 SET t = 1 WHERE k = 13;
-- error
UPDATE ev2 SET t = 30;
UPDATE ev3a SET v = 'z';
UPDATE ev3 SET v = 'z' WHERE k = 11 RETURNING *;
UPDATE ev2 SET t = 13 WHERE t = 14 RETURNING *;
UPDATE ev SET n = d.x FROM d WHERE d.k = ev.k AND d.k < 5 RETURNING ev.*, d.*;
UPDATE ev2 SET n = d.x FROM d WHERE d.k = ev2.k RETURNING ev2.*, d.*;
UPDATE ev SET n = r.t, v = r.name FROM r WHERE r.t = ev.t AND r.t > 20 RETURNING ev.*;
UPDATE ev2 SET n = e.n FROM ev1 e WHERE e.k = ev2.k RETURNING ev2.*;
UPDATE ev1 SET n = e.n FROM ev e WHERE e.k = ev1.k AND e.t = 19 RETURNING ev1.*;
UPDATE ev SET n = (SELECT max(t) FROM ev2) WHERE k = 4 RETURNING *;
UPDATE ev SET n = (SELECT count(*) FROM ev2 WHERE ev2.k = ev.k) RETURNING *;
UPDATE ev2 SET (n, v) = (SELECT x, 'sub' FROM d WHERE d.k = ev2.k) WHERE k < 20 RETURNING *;
UPDATE ONLY ev SET n = 0;
UPDATE ONLY ev1 SET n = 0 WHERE k = 1 RETURNING *;
UPDATE d SET x = (SELECT count(*) FROM ev2 WHERE ev2.k = d.k);
UPDATE d SET x = x + ev2.t FROM ev2 WHERE ev2.k = d.k;
UPDATE loc SET w = ev2.v FROM ev2 WHERE ev2.k = loc.k;
UPDATE loc SET w = 'in' WHERE k IN (SELECT k FROM ev);
SELECT * FROM d ORDER BY k;
SELECT * FROM loc ORDER BY k, w;
SELECT * FROM ev ORDER BY k, t;
-- delete
DELETE FROM ev WHERE k = 3 RETURNING *;
DELETE FROM ev2 WHERE k = 13 RETURNING *;
DELETE FROM ev2 WHERE t = 11 RETURNING *, ev2;
DELETE FROM ev3a RETURNING *;
DELETE FROM ev USING d WHERE d.k = ev.k AND d.x > 20 RETURNING *;
DELETE FROM ev2 USING loc WHERE loc.k = ev2.k RETURNING *;
DELETE FROM ONLY ev;
DELETE FROM ONLY ev3;
DELETE FROM ONLY ev1 WHERE k = 1;
WITH x AS (DELETE FROM ev2 WHERE k > 400 RETURNING *) SELECT count(*), sum(t) FROM x;
WITH x AS (DELETE FROM ev WHERE t < 5 RETURNING *) INSERT INTO loc SELECT k, v FROM x;
WITH x AS (UPDATE ev1 SET n = 3 RETURNING *) INSERT INTO ev2 (k, t) SELECT k + 5000, t + 10 FROM x RETURNING k, t;
SELECT * FROM loc ORDER BY k, w;
SELECT * FROM ev ORDER BY k, t;
-- merge
MERGE INTO ev USING d ON d.k = ev.k WHEN MATCHED AND t < 10 THEN DELETE WHEN MATCHED THEN UPDATE SET n = d.x WHEN NOT MATCHED THEN INSERT (k, t) VALUES (d.k, 15);
SELECT * FROM ev ORDER BY k, t;
MERGE INTO ev2 USING d ON d.k = ev2.k WHEN MATCHED THEN UPDATE SET n = 77, v = 'm' WHEN NOT MATCHED THEN INSERT (k, t) VALUES (d.k, 15);
SELECT * FROM ev ORDER BY k, t;
-- error
MERGE INTO ev USING loc ON loc.k = ev.k AND ev.t = 15 WHEN MATCHED THEN UPDATE SET n = 78, t = 39 WHEN NOT MATCHED THEN DO NOTHING;
SELECT * FROM ev ORDER BY k, t;
MERGE INTO ev2 USING (SELECT DISTINCT ON (k) * FROM loc ORDER BY k, w) loc ON loc.k = ev2.k WHEN MATCHED THEN UPDATE SET n = 79 WHEN NOT MATCHED THEN INSERT (k, t) VALUES (k, 16);
SELECT * FROM ev ORDER BY k, t;
-- error
MERGE INTO ev2 USING d ON d.k = ev2.k AND d.k = 1 WHEN NOT MATCHED THEN INSERT (k, t) VALUES (d.k, 35);
-- error
MERGE INTO ev USING d ON d.k = ev.k AND d.k = 10 WHEN MATCHED AND d.k = 10 THEN UPDATE SET t = ev.t + 10;
SELECT * FROM ev ORDER BY k, t;
