-- DISABLE TRIGGER ALL of tables with foreign keys and unique constraints that are checked
-- later: workers' constraints are not checked then, either, as pg_restore --disable-triggers
-- wants it.
CREATE TABLE p (k int, id int, v int, PRIMARY KEY (k, id));
CREATE TABLE c (k int, id int, pid int, rid int, PRIMARY KEY (k, id));
CREATE TABLE r (id int PRIMARY KEY, v int);
CREATE TABLE d (k int, v int, UNIQUE (k, v) DEFERRABLE INITIALLY DEFERRED);
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('c', 'k', colocate_with => 'p');
SELECT create_reference_table('r');
SELECT create_distributed_table('d', 'k');
ALTER TABLE c ADD CONSTRAINT to_p FOREIGN KEY (k, pid) REFERENCES p;
ALTER TABLE c ADD CONSTRAINT to_r FOREIGN KEY (rid) REFERENCES r;
INSERT INTO p SELECT i, i, i FROM generate_series(1, 10) i;
INSERT INTO r SELECT i, i FROM generate_series(1, 10) i;
INSERT INTO c SELECT i, i, i, i FROM generate_series(1, 10) i;
-- error
INSERT INTO c VALUES (1, 11, 11, 1);
-- error
DELETE FROM p WHERE k = 1;
ALTER TABLE c DISABLE TRIGGER USER;
-- error
INSERT INTO c VALUES (1, 11, 11, 1);
ALTER TABLE c ENABLE TRIGGER USER;
BEGIN;
ALTER TABLE c DISABLE TRIGGER ALL;
INSERT INTO c VALUES (1, 11, 11, 1);
ROLLBACK;
-- error
INSERT INTO c VALUES (1, 11, 11, 1);
ALTER TABLE c DISABLE TRIGGER ALL;
INSERT INTO c VALUES (1, 11, 11, 1), (2, 12, 12, 2);
-- error
DELETE FROM p WHERE k = 1;
ALTER TABLE p DISABLE TRIGGER ALL;
DELETE FROM p WHERE k = 1;
ALTER TABLE r DISABLE TRIGGER ALL;
DELETE FROM r WHERE id = 1;
SELECT * FROM r JOIN c ON rid = r.id WHERE c.k IN (1, 2) ORDER BY 1, 3, 4;
ALTER TABLE c ENABLE TRIGGER ALL;
ALTER TABLE p ENABLE TRIGGER ALL;
ALTER TABLE r ENABLE TRIGGER ALL;
-- error
INSERT INTO c VALUES (1, 13, 13, 1);
-- error
DELETE FROM p WHERE k = 2;
-- error
DELETE FROM r WHERE id = 2;
SELECT * FROM c ORDER BY k, id;
SELECT * FROM p ORDER BY k;
SELECT * FROM r ORDER BY id;
SELECT tgenabled, count(*) > 0 FROM pg_trigger WHERE tgrelid IN ('p'::regclass, 'c'::regclass) GROUP BY 1;
ALTER TABLE d DISABLE TRIGGER ALL;
INSERT INTO d VALUES (1, 1), (1, 1), (2, 2);
ALTER TABLE d ENABLE TRIGGER ALL;
-- error
INSERT INTO d VALUES (2, 2);
SELECT * FROM d ORDER BY 1, 2;
ALTER TABLE c DISABLE TRIGGER ALL, ADD COLUMN x int;
INSERT INTO c VALUES (3, 14, 14, 3, 1);
ALTER TABLE c ENABLE TRIGGER ALL;
-- error
INSERT INTO c VALUES (3, 15, 15, 3, 1);
