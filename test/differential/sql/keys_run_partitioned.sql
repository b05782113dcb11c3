-- Actions of keys from a partitioned table to a reference table.
CREATE TABLE r (id int PRIMARY KEY, code int UNIQUE);
CREATE TABLE e (k int, at int, r_id int, code int, also int, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE e1 PARTITION OF e FOR VALUES FROM (0) TO (10);
CREATE TABLE e2 PARTITION OF e FOR VALUES FROM (10) TO (20);
INSERT INTO r SELECT i, i FROM generate_series(1, 30) i;
SELECT create_reference_table('r');
SELECT create_distributed_table('e', 'k');
ALTER TABLE e ADD CONSTRAINT e_r FOREIGN KEY (r_id) REFERENCES r ON DELETE CASCADE ON UPDATE CASCADE, ADD CONSTRAINT e_code FOREIGN KEY (code) REFERENCES r (code) ON DELETE SET NULL ON UPDATE SET NULL, ADD CONSTRAINT e_also FOREIGN KEY (also) REFERENCES r DEFERRABLE;
INSERT INTO e SELECT k, a, 1 + (k + a) % 30, 1 + (k * a) % 30 FROM generate_series(1, 10) k, generate_series(0, 19) a;
INSERT INTO e1 VALUES (100, 1, 30, 30, 29), (101, 1, 30, 30, 29);
-- error
INSERT INTO e2 VALUES (100, 11, 31);
-- error
DELETE FROM r WHERE id = 29;
DELETE FROM r WHERE id IN (3, 4);
SELECT k, at, r_id, code FROM e ORDER BY 1, 2;
UPDATE r SET id = id + 100, code = code + 100 WHERE id IN (5, 6, 7);
SELECT k, at, r_id, code FROM e ORDER BY 1, 2;
SELECT count(*), count(code) FROM e1;
BEGIN;
SET CONSTRAINTS e_also DEFERRED;
DELETE FROM r WHERE id = 29;
INSERT INTO e VALUES (200, 12, NULL, NULL, 500);
INSERT INTO r VALUES (29, 29), (500, 500);
COMMIT;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO e1 VALUES (201, 3, NULL, NULL, 501);
-- error
COMMIT;
WITH a AS (INSERT INTO r VALUES (600, 600) RETURNING id) INSERT INTO e SELECT 300, i, id, id, id FROM a, generate_series(5, 14) i;
WITH a AS (DELETE FROM r WHERE id = 10) UPDATE e2 SET code = NULL WHERE k = 3;
SELECT k, at, r_id, code, also FROM e ORDER BY 1, 2;
DELETE FROM e2;
UPDATE e SET at = at + 10, also = 600 WHERE at < 3;
UPDATE r SET id = 601 WHERE id = 1 OR false;
SELECT count(*) FROM e2;
SELECT count(*) FROM cz_verify_placements('e') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('r') WHERE NOT ok;
