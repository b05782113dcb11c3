-- What foreign keys to reference tables do when their rows go or change.
CREATE TABLE r (id int PRIMARY KEY, code text UNIQUE, v text);
CREATE TABLE r2 (id int PRIMARY KEY, r_id int REFERENCES r ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE a (k int PRIMARY KEY, r_id int, code text, v text);
CREATE TABLE b (k int, id int, r_id int DEFAULT 1, PRIMARY KEY (k, id));
CREATE TABLE d (k int, r_id int, r2_id int);
CREATE TABLE e (k int PRIMARY KEY, a_k int, r_id int);
INSERT INTO r SELECT i, 'c' || i, 'r' FROM generate_series(1, 30) i;
INSERT INTO r2 SELECT i, i FROM generate_series(1, 30) i;
SELECT create_reference_table('r');
SELECT create_reference_table('r2');
SELECT create_distributed_table('a', 'k');
SELECT create_distributed_table('b', 'k');
SELECT create_distributed_table('d', 'k');
SELECT create_distributed_table('e', 'k', colocate_with => 'a');
ALTER TABLE a ADD CONSTRAINT a_r FOREIGN KEY (r_id) REFERENCES r ON DELETE CASCADE ON UPDATE CASCADE, ADD CONSTRAINT a_code FOREIGN KEY (code) REFERENCES r (code) ON DELETE SET NULL ON UPDATE SET NULL;
ALTER TABLE b ADD CONSTRAINT b_r FOREIGN KEY (r_id) REFERENCES r ON DELETE SET DEFAULT ON UPDATE RESTRICT;
ALTER TABLE d ADD CONSTRAINT d_r FOREIGN KEY (r_id) REFERENCES r ON DELETE NO ACTION DEFERRABLE, ADD CONSTRAINT d_r2 FOREIGN KEY (r2_id) REFERENCES r2 ON DELETE CASCADE;
ALTER TABLE e ADD CONSTRAINT e_a FOREIGN KEY (k) REFERENCES a ON DELETE CASCADE, ADD CONSTRAINT e_r FOREIGN KEY (r_id) REFERENCES r;
INSERT INTO a SELECT i, 1 + i % 30, 'c' || 1 + (i + 1) % 30, 'a' FROM generate_series(1, 90) i;
INSERT INTO b SELECT i % 7, i, 1 + i % 30 FROM generate_series(1, 90) i;
INSERT INTO d SELECT i, 20 + i % 10, 1 + i % 30 FROM generate_series(1, 90) i;
INSERT INTO e SELECT k, k, 30 FROM a;
-- rows of the reference table go
DELETE FROM r WHERE id = 2;
SELECT count(*), count(code), sum(k) FROM a;
SELECT r_id, count(*) FROM b GROUP BY 1 ORDER BY 1;
SELECT (SELECT count(*) FROM r2), (SELECT count(*) FROM d), (SELECT count(*) FROM e);
-- error
DELETE FROM r WHERE id = 25;
-- error
DELETE FROM r WHERE id = 30;
-- error
DELETE FROM r WHERE id = 1;
DELETE FROM r WHERE id IN (3, 4, 5);
SELECT k, r_id, code FROM a ORDER BY 1;
SELECT k, id, r_id FROM b ORDER BY 1, 2;
SELECT k, r2_id FROM d ORDER BY 1, 2;
SELECT count(*) FROM e;
BEGIN;
DELETE FROM d;
DELETE FROM r WHERE id BETWEEN 20 AND 29;
SELECT count(*), count(code) FROM a;
SAVEPOINT s;
-- error
DELETE FROM r WHERE id = 30;
ROLLBACK TO s;
DELETE FROM r2;
SELECT (SELECT count(*) FROM r2), (SELECT count(*) FROM d), (SELECT count(*) FROM e);
ROLLBACK;
-- they change
-- error
UPDATE r SET id = id + 100 WHERE id = 7;
DELETE FROM b WHERE r_id <> 1;
UPDATE r SET id = id + 100 WHERE id = 7;
-- error
UPDATE r SET id = id + 100 WHERE id = 1;
UPDATE r SET code = code || 'x' WHERE id IN (8, 9);
UPDATE r SET v = 'changed';
UPDATE r SET id = id + 200, code = code || 'y', v = 'all' WHERE id IN (10, 11, 12);
SELECT k, r_id, code FROM a ORDER BY 1;
SELECT id, r_id FROM r2 ORDER BY 1;
-- deferred
BEGIN;
SET CONSTRAINTS d_r DEFERRED;
DELETE FROM r WHERE id = 25;
INSERT INTO r VALUES (25, 'again');
COMMIT;
BEGIN;
SET CONSTRAINTS d_r DEFERRED;
UPDATE r SET id = 1025 WHERE id = 25;
UPDATE d SET r_id = 1025 WHERE r_id = 25;
COMMIT;
BEGIN;
SET CONSTRAINTS d_r DEFERRED;
INSERT INTO d VALUES (1, 5000);
INSERT INTO r VALUES (5000);
SET CONSTRAINTS d_r IMMEDIATE;
DELETE FROM d WHERE r_id = 5000;
DELETE FROM r WHERE id = 5000;
COMMIT;
BEGIN;
SET CONSTRAINTS d_r DEFERRED;
DELETE FROM r WHERE id = 26;
-- error
COMMIT;
-- parts of one statement, and rows that wait here
WITH x AS (INSERT INTO r SELECT i, 'n' || i FROM generate_series(300, 320) i RETURNING id) INSERT INTO a SELECT id, id FROM x;
WITH x AS (INSERT INTO a VALUES (400, 400)) INSERT INTO r VALUES (400, 'later');
-- error
WITH x AS (INSERT INTO a VALUES (401, 402)) INSERT INTO r VALUES (401, 'other');
WITH x AS (DELETE FROM r WHERE id = 320 RETURNING id) INSERT INTO r SELECT id + 1000 FROM x;
WITH x AS (DELETE FROM a WHERE r_id = 319 RETURNING r_id) DELETE FROM r USING x WHERE r.id = x.r_id;
BEGIN;
INSERT INTO r SELECT i, 'w' || i FROM generate_series(500, 520) i;
INSERT INTO a SELECT i, i, 'w' || i FROM generate_series(500, 520) i;
DELETE FROM r WHERE id > 510 AND id < 600;
INSERT INTO r SELECT i, 'w' || i FROM generate_series(600, 620) i;
COPY a (k, r_id) FROM STDIN;
600	600
601	601
602	602
603	603
604	604
605	605
606	606
\.
COMMIT;
SELECT k, r_id, code FROM a WHERE k >= 300 ORDER BY 1;
MERGE INTO r USING (VALUES (600, 1), (601, 2), (999, 3)) s (id, n) ON r.id = s.id WHEN MATCHED AND n = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET id = 1601 WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id);
INSERT INTO r VALUES (602, 'w602') ON CONFLICT (id) DO UPDATE SET id = 1602;
SELECT k, r_id, code FROM a WHERE k >= 600 ORDER BY 1;
-- triggers of the user on what is changed
CREATE TABLE log (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_OP || ' ' || TG_TABLE_NAME || ' ' || OLD.k); RETURN NULL; END $$;
CREATE TRIGGER noted AFTER UPDATE OR DELETE ON a FOR EACH ROW EXECUTE FUNCTION note();
DROP FUNCTION note CASCADE;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_OP || ' ' || TG_TABLE_NAME || ' ' || NEW.k); RETURN NULL; END $$;
CREATE TRIGGER noted AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION note();
DELETE FROM r WHERE id = 605;
INSERT INTO a VALUES (5000, 606), (5001, 606);
SELECT * FROM log ORDER BY 1;
SELECT count(*) FROM cz_verify_placements('r') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('r2') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('a') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('b') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('d') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('e') WHERE NOT ok;
DROP TABLE r, r2 CASCADE;
