-- Triggers of tables whose rows foreign keys change: with those for events that the key causes
-- the coordinator does it, whichever comes first; with others the workers.
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
