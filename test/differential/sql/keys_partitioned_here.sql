-- Foreign keys of and to partitioned tables that are held here: of ordinary and reference tables, SET DEFAULT, beside triggers
-- from: 15
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log (what) VALUES (TG_TABLE_NAME || ' ' || TG_NAME || ' ' || TG_OP || ' ' || coalesce(OLD::text, '') || coalesce(NEW::text, '')); RETURN NULL; END$$;
CREATE FUNCTION note_statement() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log (what) VALUES (TG_TABLE_NAME || ' ' || TG_NAME || ' ' || TG_OP); RETURN NULL; END$$;
CREATE TABLE p (k int, t int, v text, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (v text, junk int, t int NOT NULL, k int NOT NULL);
ALTER TABLE p2 DROP COLUMN junk;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES FROM (20) TO (30);
CREATE TABLE p3d PARTITION OF p3 DEFAULT;
SELECT create_distributed_table('p', 'k');
INSERT INTO p SELECT k, t FROM generate_series(1, 10) k, generate_series(0, 39, 3) t;
-- ordinary tables, partitioned ones too, and reference tables
CREATE TABLE l (k int, t int, id int, CONSTRAINT l_p FOREIGN KEY (k, t) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE lp (k int, t int, id int, CONSTRAINT lp_p FOREIGN KEY (k, t) REFERENCES p ON UPDATE SET NULL) PARTITION BY LIST (id);
CREATE TABLE lp1 PARTITION OF lp FOR VALUES IN (1);
CREATE TABLE lpd PARTITION OF lp DEFAULT;
CREATE TABLE r (id int PRIMARY KEY, k int, t int);
INSERT INTO r SELECT i, i, 3 FROM generate_series(1, 5) i;
SELECT create_reference_table('r');
ALTER TABLE r ADD CONSTRAINT r_p FOREIGN KEY (k, t) REFERENCES p DEFERRABLE;
INSERT INTO l SELECT k, t, 1 FROM p WHERE k = 1;
INSERT INTO lp SELECT k, t, t % 2 FROM p WHERE k = 2;
-- error
INSERT INTO l VALUES (1, 1, 1);
-- error
INSERT INTO lp VALUES (2, 1, 1);
-- error
INSERT INTO r VALUES (6, 6, 1);
-- error
DELETE FROM p WHERE k = 2 AND t = 3;
-- error
DELETE FROM p1 WHERE k = 4 AND t = 3;
DELETE FROM p WHERE k = 1 AND t IN (0, 12, 24);
SELECT * FROM l ORDER BY 1, 2;
UPDATE r SET k = 10 WHERE id = 1;
UPDATE p SET t = t + 1 WHERE k = 1 AND t < 39;
SELECT * FROM l ORDER BY 1, 2;
UPDATE p SET t = 36 - t WHERE k = 1 AND t < 9;
SELECT *, tableoid::regclass FROM p WHERE k = 1 ORDER BY t;
SELECT * FROM l ORDER BY 1, 2;
UPDATE p2 SET v = 'x', t = t - 1 WHERE k = 1 AND t > 12;
UPDATE p SET v = 'y' WHERE k = 2;
UPDATE p SET t = t + 1 WHERE k = 2 AND t IN (9, 15);
SELECT * FROM lp ORDER BY 1, 2, 3;
UPDATE p3 SET t = (SELECT min(x) FROM generate_series(20, 29) x WHERE NOT EXISTS (SELECT FROM p WHERE p.k = 1 AND p.t = x)) WHERE k = 1 AND t = (SELECT max(t) FROM p3 WHERE k = 1);
SELECT * FROM l ORDER BY 1, 2;
BEGIN;
SET CONSTRAINTS r_p DEFERRED;
DELETE FROM p WHERE k = 5 AND t = 3;
UPDATE p SET t = 17 WHERE k = 4 AND t = 3;
INSERT INTO p VALUES (5, 3);
-- other words
-- error
COMMIT;
BEGIN;
SET CONSTRAINTS r_p DEFERRED;
DELETE FROM p WHERE k = 5 AND t = 3;
UPDATE r SET t = 6 WHERE id = 5;
COMMIT;
MERGE INTO p USING (VALUES (1, 38), (2, 0)) s (k, t) ON p.k = s.k AND p.t = s.t WHEN MATCHED AND s.k = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'm';
SELECT * FROM l ORDER BY 1, 2;
WITH d AS (DELETE FROM p WHERE k = 1 AND t > 33 RETURNING k, t) SELECT count(*) FROM d;
SELECT * FROM l ORDER BY 1, 2;
-- a key to one partition, and to one that is partitioned
CREATE TABLE one (k int, t int, FOREIGN KEY (k, t) REFERENCES p2 ON DELETE CASCADE);
CREATE TABLE mid (k int, t int, FOREIGN KEY (k, t) REFERENCES p3 ON UPDATE CASCADE);
INSERT INTO one VALUES (7, 12), (7, 15);
INSERT INTO mid VALUES (7, 21), (7, 36);
UPDATE p SET t = 2 WHERE k = 7 AND t = 12;
SELECT * FROM one ORDER BY 1, 2;
DELETE FROM p WHERE k = 7 AND t = 15;
SELECT * FROM one ORDER BY 1, 2;
-- error
UPDATE p SET t = 5 WHERE k = 7 AND t = 21;
UPDATE p3 SET t = 35 WHERE k = 7 AND t = 21;
SELECT * FROM mid ORDER BY 1, 2;
-- error
ALTER TABLE p DETACH PARTITION p3;
DROP TABLE one, mid;
-- error
TRUNCATE p;
BEGIN;
TRUNCATE p CASCADE;
SELECT (SELECT count(*) FROM l), (SELECT count(*) FROM lp), (SELECT count(*) FROM r);
ROLLBACK;
-- they become distributed
DELETE FROM lp WHERE k IS NULL;
SELECT create_distributed_table('l', 'k');
SELECT create_distributed_table('lp', 'k');
SELECT object, expected, found FROM cz_check_shards('l');
SELECT object, expected, found FROM cz_check_shards('lp');
UPDATE p SET t = t - 1 WHERE k = 1 AND t > 12;
SELECT * FROM l ORDER BY 1, 2;
-- triggers of tables and partitions whose rows keys change
DROP TABLE lp;
ALTER TABLE r DROP CONSTRAINT r_p;
CREATE TABLE f (k int, t int, id int DEFAULT 5, CONSTRAINT f_p FOREIGN KEY (k, t) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE) PARTITION BY LIST (id);
CREATE TABLE f1 PARTITION OF f FOR VALUES IN (1);
CREATE TABLE f2 PARTITION OF f FOR VALUES IN (2);
CREATE TABLE fd PARTITION OF f DEFAULT;
SELECT create_distributed_table('f', 'k');
INSERT INTO f SELECT k, t, t % 4 FROM p WHERE k = 8;
CREATE TRIGGER del AFTER DELETE ON f1 FOR EACH ROW EXECUTE FUNCTION note();
SELECT object, expected, found FROM cz_check_shards('f');
DELETE FROM p WHERE k = 8 AND t IN (3, 9, 18);
SELECT what FROM log ORDER BY n;
TRUNCATE log;
CREATE TRIGGER upd AFTER UPDATE ON f FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER st AFTER UPDATE OR DELETE ON f FOR EACH STATEMENT EXECUTE FUNCTION note_statement();
UPDATE p SET t = t + 1 WHERE k = 8 AND t IN (0, 12);
DELETE FROM p WHERE k = 8 AND t = 13;
SELECT what FROM log ORDER BY n;
TRUNCATE log;
DROP TRIGGER del ON f1;
DROP TRIGGER upd ON f;
DROP TRIGGER st ON f;
SELECT object, expected, found FROM cz_check_shards('f');
CREATE TABLE f3 (k int, t int, id int);
CREATE TRIGGER del AFTER DELETE ON f3 FOR EACH ROW EXECUTE FUNCTION note();
DELETE FROM f WHERE id = 3;
INSERT INTO f3 VALUES (8, 6, 3), (8, 15, 3);
ALTER TABLE f ATTACH PARTITION f3 FOR VALUES IN (3);
SELECT object, expected, found FROM cz_check_shards('f');
DELETE FROM p WHERE k = 8 AND t = 6;
SELECT what FROM log ORDER BY n;
SELECT * FROM f ORDER BY 1, 2, 3;
ALTER TABLE f DETACH PARTITION f3;
SELECT object, expected, found FROM cz_check_shards('f');
SELECT object, expected, found FROM cz_check_shards('f3');
DELETE FROM f3;
DROP TRIGGER del ON f3;
INSERT INTO f3 VALUES (8, 15, 3);
DELETE FROM p WHERE k = 8 AND t IN (15, 24);
SELECT * FROM f3;
SELECT * FROM f ORDER BY 1, 2, 3;
-- SET DEFAULT, and SET NULL of the distribution column
DROP TABLE f, f3;
CREATE TABLE g (k int DEFAULT 9, t int DEFAULT 9, id int) PARTITION BY RANGE (t);
CREATE TABLE g1 PARTITION OF g FOR VALUES FROM (0) TO (10);
CREATE TABLE gd PARTITION OF g DEFAULT;
SELECT create_distributed_table('g', 'k');
ALTER TABLE g ADD CONSTRAINT g_p FOREIGN KEY (k, t) REFERENCES p ON DELETE SET DEFAULT ON UPDATE SET NULL;
INSERT INTO g SELECT k, t, t FROM p WHERE k = 9;
SELECT object, expected, found FROM cz_check_shards('g');
DELETE FROM p WHERE k = 9 AND t IN (0, 21);
SELECT * FROM g ORDER BY 3;
UPDATE p SET t = t + 1 WHERE k = 9 AND t IN (12, 36);
SELECT *, tableoid::regclass FROM g ORDER BY 3;
-- error
DELETE FROM p WHERE k = 9 AND t = 9;
SELECT count(*) FROM cz_verify_placements('g') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('p') WHERE NOT ok;
DROP TABLE g, l, p;
