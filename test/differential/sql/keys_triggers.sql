-- Triggers of tables whose rows foreign keys change: with those for events that the key causes
-- the coordinator does it, whichever comes first; with others the workers.
-- from: 15
CREATE TABLE p (k int, id int, v int, PRIMARY KEY (k, id));
CREATE TABLE c (k int, id int, pid int, w int, PRIMARY KEY (k, id), CONSTRAINT c_p FOREIGN KEY (k, pid) REFERENCES p ON DELETE CASCADE);
CREATE TABLE n (k int, id int, pid int, w int, PRIMARY KEY (k, id), CONSTRAINT n_p FOREIGN KEY (k, pid) REFERENCES p ON DELETE SET NULL (pid));
CREATE TABLE log (what text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES (TG_TABLE_NAME || ' ' || TG_NAME || ' ' || TG_OP); IF TG_OP = 'UPDATE' THEN NEW.w = NEW.w + 100; RETURN NEW; END IF; RETURN OLD; END$$;
CREATE TRIGGER first BEFORE UPDATE ON c FOR EACH ROW EXECUTE FUNCTION tell();
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('c', 'k', colocate_with => 'p');
SELECT create_distributed_table('n', 'k', colocate_with => 'p');
INSERT INTO p SELECT i, i, i FROM generate_series(1, 6) i;
INSERT INTO c SELECT i, i, i, i FROM generate_series(1, 6) i;
INSERT INTO n SELECT i, i, i, i FROM generate_series(1, 6) i;
CREATE TRIGGER second BEFORE DELETE ON n FOR EACH ROW EXECUTE FUNCTION tell();
BEGIN;
CREATE TRIGGER third BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION tell();
ROLLBACK;
BEGIN;
CREATE TRIGGER fourth BEFORE UPDATE ON n FOR EACH ROW EXECUTE FUNCTION tell();
ROLLBACK;
UPDATE c SET pid = pid WHERE k <= 2;
DELETE FROM n WHERE k = 3;
DELETE FROM p WHERE k IN (2, 4);
SELECT * FROM c ORDER BY k, id;
SELECT * FROM n ORDER BY k, id;
SELECT what, count(*) FROM log GROUP BY 1 ORDER BY 1;
ALTER TABLE c DROP CONSTRAINT c_p;
CREATE TRIGGER third BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION tell();
BEGIN;
ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (k, pid) REFERENCES p ON DELETE CASCADE;
ROLLBACK;
ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (k, pid) REFERENCES p;
DELETE FROM c WHERE k = 1;
DELETE FROM p WHERE k = 1;
SELECT what, count(*) FROM log GROUP BY 1 ORDER BY 1;
-- who does what keys do, when keys come and go that are held here
CREATE TABLE a1 (id int PRIMARY KEY);
CREATE TABLE a2 (k int, id int, PRIMARY KEY (k, id), CONSTRAINT a2_a1 FOREIGN KEY (k) REFERENCES a1 ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE a3 (k int, id int, n int, PRIMARY KEY (k, id), CONSTRAINT a3_a2 FOREIGN KEY (k, n) REFERENCES a2 ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE a4 (z int, k int, n int);
CREATE TABLE zz (id int PRIMARY KEY);
SELECT create_distributed_table('a1', 'id');
SELECT create_distributed_table('a2', 'k');
SELECT create_distributed_table('a3', 'k');
SELECT create_distributed_table('a4', 'z', colocate_with => 'none');
ALTER TABLE a4 ADD CONSTRAINT a4_a3 FOREIGN KEY (k, n) REFERENCES a3 ON DELETE CASCADE ON UPDATE CASCADE;
SELECT object, expected, found FROM cz_check_shards('a2') UNION ALL SELECT object, expected, found FROM cz_check_shards('a3');
INSERT INTO zz SELECT generate_series(1, 9);
INSERT INTO a1 SELECT generate_series(1, 9);
INSERT INTO a2 SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO a3 SELECT i, i, i FROM generate_series(1, 9) i;
INSERT INTO a4 SELECT 10 - i, i, i FROM generate_series(1, 9) i;
DELETE FROM a1 WHERE id = 1;
DELETE FROM a2 WHERE id = 2;
UPDATE a2 SET id = 30 WHERE id = 3;
SELECT * FROM a4 ORDER BY 1;
ALTER TABLE a4 DROP CONSTRAINT a4_a3;
SELECT object, expected, found FROM cz_check_shards('a2') UNION ALL SELECT object, expected, found FROM cz_check_shards('a3');
-- the check of a key that is held here
INSERT INTO zz VALUES (30);
ALTER TABLE a3 ADD CONSTRAINT a3_zz FOREIGN KEY (n) REFERENCES zz;
SELECT object, expected, found FROM cz_check_shards('a2') UNION ALL SELECT object, expected, found FROM cz_check_shards('a3');
-- error
UPDATE a2 SET id = 40 WHERE id = 4;
SELECT create_reference_table('zz');
SELECT object, expected, found FROM cz_check_shards('a2') UNION ALL SELECT object, expected, found FROM cz_check_shards('a3');
-- error
UPDATE a2 SET id = 40 WHERE id = 4;
UPDATE a2 SET id = 9 WHERE id = 4;
DROP TABLE zz CASCADE;
UPDATE a2 SET id = 50 WHERE id = 5;
SELECT object, expected, found FROM cz_check_shards('a2') UNION ALL SELECT object, expected, found FROM cz_check_shards('a3');
-- the last one of a chain is altered first
ALTER TABLE a3 ALTER k TYPE bigint;
SELECT object, expected, found FROM cz_check_shards('a2') UNION ALL SELECT object, expected, found FROM cz_check_shards('a3');
DELETE FROM a1 WHERE id = 6;
SELECT * FROM a3 ORDER BY 1;
ALTER TABLE a1 ALTER id TYPE bigint;
ALTER TABLE a2 ALTER k TYPE bigint;
SELECT object, expected, found FROM cz_check_shards('a2') UNION ALL SELECT object, expected, found FROM cz_check_shards('a3');
DELETE FROM a1 WHERE id = 7;
SELECT * FROM a3 ORDER BY 1;
-- a key to itself that is held here
ALTER TABLE a2 ADD COLUMN up int, ADD UNIQUE (id, k);
ALTER TABLE a2 ADD COLUMN up_k bigint;
ALTER TABLE a2 ADD CONSTRAINT a2_up FOREIGN KEY (up_k, up) REFERENCES a2 ON DELETE CASCADE;
SELECT object, expected, found FROM cz_check_shards('a2') UNION ALL SELECT object, expected, found FROM cz_check_shards('a3');
UPDATE a2 SET up_k = 8, up = 8 WHERE id <> 8;
DELETE FROM a1 WHERE id = 8;
SELECT * FROM a2 ORDER BY 1;
DROP TABLE a4, a3, a2, a1;
