-- What workers do for foreign keys: every placement the same, and the transaction sees it.
CREATE TABLE p (id int PRIMARY KEY, code text UNIQUE, v text);
CREATE TABLE c (id int PRIMARY KEY, p_id int, code text, v text);
CREATE TABLE g (id int PRIMARY KEY, c_id int, p_id int, v text);
CREATE TABLE t (id int PRIMARY KEY, up int, v text);
CREATE TABLE r (id int PRIMARY KEY, up int, v text);
CREATE TABLE n (id int, up int, v text);
SELECT create_distributed_table('p', NULL);
SELECT create_distributed_table('c', NULL);
SELECT create_distributed_table('g', NULL);
SELECT create_distributed_table('t', NULL);
SELECT create_distributed_table('r', NULL);
SELECT create_distributed_table('n', NULL);
ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p_id) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, ADD CONSTRAINT c_code FOREIGN KEY (code) REFERENCES p (code) ON DELETE SET NULL ON UPDATE SET NULL;
ALTER TABLE g ADD CONSTRAINT g_c FOREIGN KEY (c_id) REFERENCES c, ADD CONSTRAINT g_p FOREIGN KEY (p_id) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE t ADD CONSTRAINT t_up FOREIGN KEY (up) REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE r ADD CONSTRAINT r_up FOREIGN KEY (up) REFERENCES r ON DELETE RESTRICT ON UPDATE RESTRICT;
ALTER TABLE n ADD CONSTRAINT n_up FOREIGN KEY (up) REFERENCES t ON DELETE SET NULL ON UPDATE CASCADE;
INSERT INTO p SELECT i, 'code' || i, 'p' FROM generate_series(1, 40) i;
INSERT INTO c SELECT i, 1 + i % 40, 'code' || 1 + (i + 1) % 40, 'c' FROM generate_series(1, 120) i;
INSERT INTO g SELECT i, i, 1 + (i + 1) % 40, 'g' FROM generate_series(1, 120) i;
-- the row that refers goes for another reason than the one that is referred to
-- error
DELETE FROM p WHERE id = 3;
BEGIN;
-- error
DELETE FROM p WHERE id BETWEEN 1 AND 40 AND id % 2 < 2 AND id NOT IN (1, 2);
ROLLBACK;
BEGIN;
DELETE FROM p WHERE id BETWEEN 1 AND 40 AND id % 2 < 2;
ROLLBACK;
SELECT count(*), sum(id), count(code) FROM c;
SELECT count(*), sum(id) FROM g;
DELETE FROM p WHERE random() < 2;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM g);
INSERT INTO p SELECT i, 'code' || i, 'p' FROM generate_series(1, 40) i;
INSERT INTO c SELECT i, 1 + i % 40, 'code' || 1 + (i + 1) % 40, 'c' FROM generate_series(1, 120) i;
INSERT INTO g SELECT i, i, 1 + (i + 1) % 40, 'g' FROM generate_series(1, 120) i;
UPDATE p SET id = id + 100 WHERE id < 5;
UPDATE p SET code = code || 'x' WHERE id % 3 = 0;
SELECT id, p_id, code FROM c ORDER BY 1;
SELECT id, c_id, p_id FROM g ORDER BY 1;
UPDATE p SET id = id + 1000, v = 'q' WHERE id < 20 AND random() < 2;
SELECT p_id, count(*) FROM c GROUP BY 1 ORDER BY 1;
BEGIN;
DELETE FROM g WHERE id > 60;
SAVEPOINT a;
DELETE FROM g;
DELETE FROM p WHERE id > 1000;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM g);
ROLLBACK TO a;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM g);
-- error
DELETE FROM c WHERE id < 50;
ROLLBACK TO a;
DELETE FROM g;
UPDATE p SET id = id - 1000 WHERE id > 1000;
SELECT min(p_id), max(p_id), count(*) FROM c;
UPDATE c SET v = 'seen' WHERE p_id < 10;
COMMIT;
SELECT v, count(*) FROM c GROUP BY 1 ORDER BY 1;
-- parts of one statement
WITH d AS (DELETE FROM p WHERE id = 21 RETURNING id) DELETE FROM c USING d WHERE c.p_id = d.id;
WITH d AS (DELETE FROM c WHERE p_id = 22 RETURNING p_id) DELETE FROM p USING d WHERE p.id = d.p_id;
WITH d AS (DELETE FROM p WHERE id IN (23, 24)) UPDATE c SET v = 'too late' WHERE p_id = 25;
BEGIN;
-- differs: rows that an INSERT is made of are deleted before it, and what keys do then is too early
WITH d AS (DELETE FROM p WHERE id IN (26, 27) RETURNING *), e AS (INSERT INTO p SELECT id + 500, code || 'y', v FROM d RETURNING id) UPDATE c SET p_id = 30 WHERE p_id IN (26, 27);
ROLLBACK;
WITH d AS (DELETE FROM p WHERE id = 28 AND random() < 2 RETURNING id) DELETE FROM c WHERE p_id = 28 AND random() < 2;
WITH d AS (DELETE FROM p WHERE id = 29 AND random() < 2 RETURNING id) UPDATE c SET p_id = 30, code = NULL WHERE p_id = 29 AND random() < 2;
SELECT id, p_id, code, v FROM c ORDER BY 1;
SELECT id, code FROM p ORDER BY 1;
MERGE INTO p USING (VALUES (30, 31), (32, 33), (600, 601)) s (a, b) ON p.id = s.a WHEN MATCHED AND s.a = 30 THEN DELETE WHEN MATCHED THEN UPDATE SET id = s.b + 1000 WHEN NOT MATCHED THEN INSERT (id) VALUES (s.b);
SELECT p_id, count(*) FROM c GROUP BY 1 ORDER BY 1;
INSERT INTO p VALUES (34, 'code34', 'again') ON CONFLICT (id) DO UPDATE SET id = 2034, v = excluded.v;
SELECT count(*) FROM c WHERE p_id = 2034;
-- a table that refers to itself
CREATE INDEX t_by_up ON t (up);
CREATE INDEX n_by_up ON n (up);
CREATE INDEX r_by_up ON r (up);
INSERT INTO t SELECT i, CASE WHEN i > 1 THEN i / 2 END, 't' FROM generate_series(1, 3000) i;
INSERT INTO n SELECT i, i, 'n' FROM generate_series(1, 3000) i;
DELETE FROM t WHERE id IN (4, 8, 9, 17, 19);
SELECT count(*), sum(id) FROM t;
SELECT count(*), count(up), sum(up) FROM n;
DELETE FROM t WHERE id IN (5, 10, 11, 23) AND random() < 2;
SELECT count(*), sum(id) FROM t;
UPDATE t SET id = id + 10000 WHERE id IN (3, 6, 7);
UPDATE t SET id = id + 30000, up = CASE WHEN id IN (12, 13) THEN up ELSE up + 30000 END, v = 'both' WHERE id IN (12, 13, 24, 25);
SELECT * FROM t WHERE id < 40 OR up > 10000 OR id > 10000 ORDER BY 1;
UPDATE t SET id = id + 20000, v = 'rows' WHERE id < 40 AND random() < 2;
SELECT * FROM t WHERE up > 10000 OR id > 10000 ORDER BY 1;
-- error
UPDATE t SET up = 99999 WHERE id = 10003;
DELETE FROM t WHERE id % 2 = 0;
SELECT count(*), sum(id), sum(up) FROM t;
SELECT count(*), count(up), sum(up) FROM n;
BEGIN;
DELETE FROM t WHERE up IS NULL;
SELECT count(*) FROM t;
SELECT count(up) FROM n;
ROLLBACK;
DELETE FROM t;
SELECT count(*) FROM t;
-- RESTRICT
INSERT INTO r SELECT i, CASE WHEN i > 1 THEN i / 2 END, 'r' FROM generate_series(1, 3000) i;
-- error
DELETE FROM r WHERE id = 5;
-- error
DELETE FROM r WHERE id IN (750, 1500, 1501);
DELETE FROM r WHERE id IN (750, 1500, 1501, 3000);
DELETE FROM r WHERE id IN (700, 1400, 1401, 2800, 2801, 2802, 2803) AND random() < 2;
-- error
UPDATE r SET id = id + 10000 WHERE id = 5;
UPDATE r SET id = id + 10000 WHERE id = 2999;
UPDATE r SET id = id + 10000, up = CASE WHEN up = 1499 THEN 11499 ELSE up END WHERE id IN (1499, 2998, 12999);
SELECT * FROM r WHERE id > 10000 ORDER BY 1;
BEGIN;
-- differs: a command each
WITH d AS (DELETE FROM r WHERE id = 1350 RETURNING id) DELETE FROM r USING d WHERE r.up = d.id;
ROLLBACK;
DELETE FROM r WHERE id > 1000;
SELECT count(*), sum(id), sum(up) FROM r;
DELETE FROM r;
-- tables that refer to each other
ALTER TABLE p ADD c_id int;
ALTER TABLE p ADD CONSTRAINT p_c FOREIGN KEY (c_id) REFERENCES c ON DELETE CASCADE ON UPDATE CASCADE;
DELETE FROM c;
DELETE FROM g;
INSERT INTO p (id, code) SELECT i, 'new' || i FROM generate_series(5001, 5020) i;
INSERT INTO c SELECT i, i FROM generate_series(5001, 5020) i;
UPDATE p SET c_id = CASE WHEN id = 5020 THEN 5001 ELSE id + 1 END WHERE id > 5000;
DELETE FROM p WHERE id = 5007 OR id = 5009;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c);
WITH a AS (INSERT INTO p (id, c_id) VALUES (6000, 6000)) INSERT INTO c VALUES (6000, 6000);
WITH a AS (INSERT INTO c VALUES (6001, 6001)) INSERT INTO p (id, c_id) VALUES (6001, 6001);
UPDATE c SET id = id + 10 WHERE id > 5999;
SELECT id, c_id FROM p WHERE id > 5000 ORDER BY 1;
BEGIN;
-- differs: a command each, and each table refers to the other
WITH a AS (DELETE FROM c WHERE id = 6010) DELETE FROM p WHERE id IN (6000, 6001);
ROLLBACK;
SELECT id, p_id FROM c WHERE id > 5000 ORDER BY 1;
SELECT count(*) FROM cz_verify_placements('p') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('c') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('g') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('t') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('r') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('n') WHERE NOT ok;
