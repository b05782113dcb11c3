-- Partitioned tables: writes that are done row by row, and rows that are named by ctid
CREATE TABLE ev (k int NOT NULL, t int NOT NULL, v text DEFAULT 'root', n numeric, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (junk int, n numeric, v text DEFAULT 'two', junk2 int, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev2 DROP COLUMN junk, DROP COLUMN junk2;
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE TABLE ev3d PARTITION OF ev3 DEFAULT;
SELECT create_distributed_table('ev', 'k');
-- without a key, with equal rows
CREATE TABLE li (k int, c text, z int) PARTITION BY LIST (c);
CREATE TABLE li_a PARTITION OF li FOR VALUES IN ('a');
CREATE TABLE li_n PARTITION OF li FOR VALUES IN (NULL, 'n');
CREATE TABLE li_d PARTITION OF li DEFAULT;
SELECT create_distributed_table('li', 'k');
CREATE TABLE d (k int PRIMARY KEY, x int);
SELECT create_distributed_table('d', 'k');
CREATE TABLE r (t int PRIMARY KEY, name text);
SELECT create_reference_table('r');
CREATE TABLE loc (k int, w text);
CREATE SEQUENCE s;
INSERT INTO ev SELECT i % 20, i % 40, (ARRAY['a','b','c','d'])[i % 4 + 1], i FROM generate_series(0, 39) i;
INSERT INTO d SELECT i, i * 10 FROM generate_series(0, 25) i;
INSERT INTO r SELECT i, 'r' || i FROM generate_series(0, 30) i;
INSERT INTO loc SELECT i, 'l' || i FROM generate_series(5, 9) i;
INSERT INTO li SELECT i % 12, (ARRAY['a', NULL, 'n', 'q'])[i % 4 + 1], i % 6 FROM generate_series(1, 60) i;
-- volatile values: done row by row
UPDATE ev SET n = (random() * 0)::int + t;
SELECT * FROM ev ORDER BY k, t;
UPDATE ev SET n = n + (random() * 0)::int RETURNING *;
UPDATE ev1 SET n = n + 1 + (random() * 0)::int RETURNING *;
UPDATE ev2 SET n = n + 1 + (random() * 0)::int RETURNING *;
UPDATE ev3 SET n = n + 1 + (random() * 0)::int RETURNING *;
UPDATE ev SET n = -1 WHERE random() < 2 AND t % 3 = 0 RETURNING k, t, n;
UPDATE ev SET n = nextval('s') * 0 WHERE k = 3 RETURNING *;
SELECT * FROM ev ORDER BY k, t;
DELETE FROM ev WHERE random() >= 0 AND t % 7 = 1 RETURNING *;
DELETE FROM ev2 WHERE random() >= 0 AND t % 7 = 3 RETURNING *;
SELECT * FROM ev ORDER BY k, t;
-- the partition key changes: rows move between partitions
UPDATE ev SET t = 39 - t + (random() * 0)::int WHERE k % 2 = 0 RETURNING *;
UPDATE ev SET t = 39 - t WHERE k % 2 = 0 RETURNING *;
UPDATE ev SET t = t + 10 WHERE k = 5 AND t = 5 RETURNING *;
-- error
UPDATE ev SET t = t + 100 + (random() * 0)::int WHERE k = 5;
-- error
UPDATE ev2 SET t = 1 + (random() * 0)::int WHERE k = 12;
-- error
UPDATE ev SET t = 1 + (random() * 0)::int WHERE k = 12;
SELECT * FROM ev ORDER BY k, t;
-- the distribution column changes: rows move between shards
UPDATE ev SET k = k + 100 WHERE k < 5 RETURNING *;
UPDATE ev SET k = k - 100, t = 39 - t WHERE k >= 100 RETURNING *;
UPDATE ev2 SET k = k + 1000 WHERE k < 15 RETURNING *;
UPDATE ev3a SET k = k + 1000 WHERE k < 15 RETURNING *;
-- error
UPDATE ev2 SET k = k + 1000, t = 3 WHERE k < 1000;
-- error
UPDATE ev SET k = k + 1000, t = 300 WHERE k < 1000;
UPDATE ev SET k = d.k + 200, v = d.x::text FROM d WHERE d.k = ev.k AND d.k > 15 RETURNING ev.*, d.*;
UPDATE ev SET k = ev.k + 1, n = loc.k FROM loc WHERE loc.k = ev.k AND ev.t > 20 RETURNING ev.*, loc.*;
SELECT * FROM ev ORDER BY k, t;
-- error
UPDATE ev SET k = NULL WHERE k = 7;
-- keyless
UPDATE li SET z = z + 1 RETURNING *;
UPDATE li SET z = z + (random() * 0)::int + 1 RETURNING *;
UPDATE li SET c = 'a' WHERE z = 3 RETURNING *;
UPDATE li SET c = NULL WHERE z = 3 AND random() >= 0 RETURNING *;
UPDATE li SET c = 'n' WHERE k IN (SELECT k FROM loc) AND c IS NULL RETURNING *;
UPDATE li SET k = k + 20 WHERE k < 4 RETURNING *;
UPDATE li_n SET k = k + 20 WHERE k < 4 RETURNING *;
DELETE FROM li WHERE z = 4 AND random() >= 0 RETURNING *;
DELETE FROM li_d WHERE z = 5 AND random() >= 0 RETURNING *;
UPDATE li SET z = 50 WHERE c = 'a' RETURNING *;
UPDATE li_a SET z = 51 + (random() * 0)::int RETURNING *;
SELECT * FROM li ORDER BY k, c, z;
SELECT count(*) FROM cz_verify_placements('li') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('ev') WHERE NOT ok;
-- writes in WITH
WITH a AS (UPDATE ev SET n = 5 + (random() * 0)::int WHERE k = 7 RETURNING *), b AS (UPDATE ev SET n = 6 + (random() * 0)::int WHERE k = 8 RETURNING *) SELECT k, t, n FROM a UNION ALL SELECT k, t, n FROM b;
WITH a AS (DELETE FROM ev WHERE k = 9 AND random() >= 0 RETURNING *) INSERT INTO ev SELECT k, 39 - t, v, n FROM a RETURNING *;
WITH a AS (DELETE FROM ev2 WHERE random() >= 0 RETURNING *) SELECT count(*), sum(n) FROM a;
WITH a AS (UPDATE ev SET v = 'w' WHERE t > 30 RETURNING k, t) UPDATE d SET x = a.t FROM a WHERE a.k = d.k;
SELECT * FROM d ORDER BY k;
SELECT * FROM ev ORDER BY k, t;
-- from other tables
UPDATE ev SET n = loc.k FROM loc WHERE loc.k = ev.k RETURNING ev.*;
UPDATE ev SET n = e.n + 1 FROM ev e WHERE e.k = ev.k AND e.t < ev.t RETURNING ev.k, ev.t;
UPDATE ev SET n = r.t + random() * 0, v = r.name FROM r WHERE r.t = ev.t RETURNING ev.*;
UPDATE ev SET t = 39 - r.t FROM r WHERE r.t = ev.t AND r.t = 20 RETURNING ev.*;
DELETE FROM ev USING loc WHERE loc.k = ev.k AND ev.t < 10 RETURNING *;
DELETE FROM ev USING r WHERE r.t = ev.t AND random() >= 0 AND r.t IN (3, 12, 22) RETURNING ev.*;
SELECT * FROM ev ORDER BY k, t;
-- merge
MERGE INTO ev USING (SELECT k, w FROM loc) l ON l.k = ev.k AND ev.t < 20 WHEN MATCHED THEN UPDATE SET n = 70 + (random() * 0)::int WHEN NOT MATCHED THEN INSERT (k, t, v) VALUES (l.k, 34, w);
SELECT * FROM ev ORDER BY k, t;
MERGE INTO ev USING (SELECT k, w FROM loc) l ON l.k = ev.k AND ev.t = 34 WHEN MATCHED THEN UPDATE SET t = 7 WHEN NOT MATCHED THEN INSERT (k, t, v) VALUES (l.k, 31, w);
SELECT * FROM ev ORDER BY k, t;
MERGE INTO ev USING d ON d.k = ev.k WHEN MATCHED AND t < 10 AND random() >= 0 THEN DELETE WHEN MATCHED THEN UPDATE SET n = d.x, t = 39 - t WHEN NOT MATCHED THEN INSERT (k, t) VALUES (d.k, d.k % 40);
SELECT * FROM ev ORDER BY k, t;
MERGE INTO ev USING d ON d.k = ev.k AND ev.t < 15 WHEN MATCHED THEN UPDATE SET k = ev.k + 3000;
SELECT * FROM ev ORDER BY k, t;
MERGE INTO ev2 USING (SELECT 500 AS k, 11 AS t UNION ALL SELECT 501, 12) q ON q.k = ev2.k WHEN NOT MATCHED THEN INSERT (k, t) VALUES (q.k, q.t);
-- error
MERGE INTO ev2 USING (SELECT 502 AS k, 31 AS t) q ON q.k = ev2.k WHEN NOT MATCHED THEN INSERT (k, t) VALUES (q.k, q.t);
MERGE INTO li USING (SELECT DISTINCT k FROM loc) l ON l.k = li.k WHEN MATCHED AND c = 'a' THEN DELETE WHEN MATCHED THEN UPDATE SET c = 'a', z = z + (random() * 0)::int WHEN NOT MATCHED THEN INSERT VALUES (l.k, 'new', 1);
SELECT * FROM li ORDER BY k, c, z;
-- locks
BEGIN;
SELECT * FROM ev WHERE t > 10 ORDER BY k, t FOR UPDATE;
SELECT * FROM ev ORDER BY k, t LIMIT 5 FOR UPDATE;
SELECT * FROM ev WHERE n IS NOT NULL ORDER BY n, k, t LIMIT 3 FOR NO KEY UPDATE;
SELECT * FROM ev3 ORDER BY k, t LIMIT 3 FOR SHARE;
SELECT * FROM ev2 ORDER BY k, t LIMIT 3 FOR UPDATE SKIP LOCKED;
SELECT li.* FROM li ORDER BY k, c, z LIMIT 6 FOR KEY SHARE;
SELECT ev.*, w FROM ev JOIN loc USING (k) ORDER BY k, t LIMIT 2 FOR UPDATE OF ev;
SELECT ev.*, d.x FROM ev JOIN d USING (k) ORDER BY k, t LIMIT 7 FOR UPDATE;
SELECT d.*, li.* FROM d LEFT JOIN li USING (k) ORDER BY d.k, c, z LIMIT 9 FOR UPDATE OF d;
SELECT ev.k, e.t FROM ev JOIN ev e USING (k) ORDER BY 1, 2, ev.t LIMIT 9 FOR UPDATE;
SELECT * FROM (SELECT * FROM ev FOR UPDATE) q ORDER BY k, t LIMIT 4;
COMMIT;
-- conflicts
INSERT INTO ev SELECT k, t, 'c', 1 FROM ev WHERE t < 20 ON CONFLICT (k, t) DO UPDATE SET n = ev.n + excluded.n + (random() * 0)::int RETURNING *;
INSERT INTO ev VALUES (1, 1, 'c', 7), (2, 22, 'c', 7) ON CONFLICT (k, t) DO UPDATE SET n = nextval('s') * 0 RETURNING *;
INSERT INTO ev (k, t) SELECT k, 25 FROM loc ON CONFLICT (k, t) DO UPDATE SET v = 'con' RETURNING *;
INSERT INTO ev (k, t) SELECT k, 25 FROM loc ON CONFLICT (k, t) DO UPDATE SET v = 'con' WHERE ev.k > 6 RETURNING *;
INSERT INTO ev2 (k, t) SELECT k, 15 FROM loc ON CONFLICT (k, t) DO UPDATE SET v = 'con' RETURNING *;
INSERT INTO ev2 (k, t) SELECT k, 15 FROM loc ON CONFLICT (k, t) DO UPDATE SET v = 'con' RETURNING *;
INSERT INTO ev AS e (k, t) SELECT k, 15 FROM loc ON CONFLICT (k, t) DO UPDATE SET v = e.v || excluded.k WHERE random() >= 0 RETURNING *;
-- error
INSERT INTO ev (k, t) VALUES (5, 15) ON CONFLICT (k, t) DO UPDATE SET t = 35;
INSERT INTO ev (k, t) VALUES (5, 15) ON CONFLICT (k, t) DO UPDATE SET k = 6, t = 19 RETURNING *;
-- error
INSERT INTO ev (k, t) VALUES (6, 15) ON CONFLICT (k, t) DO UPDATE SET k = 6, t = 5;
-- error
INSERT INTO ev (k, t) VALUES (6, 15) ON CONFLICT (k, t) DO UPDATE SET t = ev.t + 10 + (random() * 0)::int;
-- error
INSERT INTO ev2 (k, t) VALUES (6, 15) ON CONFLICT (k, t) DO UPDATE SET t = ev2.t + 10 + (random() * 0)::int;
-- error
INSERT INTO ev3 (k, t) SELECT k, 25 FROM loc ON CONFLICT (k, t) DO UPDATE SET t = ev3.t + 10 + (random() * 0)::int;
INSERT INTO ev3 (k, t) SELECT k, 25 FROM loc ON CONFLICT (k, t) DO UPDATE SET t = ev3.t + 1 + (random() * 0)::int RETURNING *;
SELECT * FROM ev ORDER BY k, t;
-- generated columns
CREATE TABLE g (k int, t int, a int, b int GENERATED ALWAYS AS (a * 2) STORED) PARTITION BY RANGE (t);
CREATE TABLE g1 PARTITION OF g FOR VALUES FROM (0) TO (10);
CREATE TABLE g2 PARTITION OF g FOR VALUES FROM (10) TO (20);
SELECT create_distributed_table('g', 'k');
INSERT INTO g SELECT i, i, i FROM generate_series(0, 19) i;
UPDATE g SET a = a + 1 + (random() * 0)::int, t = (t + 10) % 20 RETURNING *;
UPDATE g SET k = k + 1 RETURNING *;
SELECT * FROM g ORDER BY k;
SELECT count(*) FROM cz_verify_placements('li') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('ev') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('g') WHERE NOT ok;
