-- NOT NULL constraints with names; constraints that are not enforced.
-- from: 18
CREATE TABLE t (k int CONSTRAINT k_there NOT NULL, v int CONSTRAINT v_there NOT NULL, w text, x int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t VALUES (1, 1, 'a'), (2, 2, NULL);
-- error
INSERT INTO t VALUES (3, NULL);
ALTER TABLE t DROP CONSTRAINT v_there;
INSERT INTO t VALUES (3, NULL, 'c');
-- error
ALTER TABLE t ADD CONSTRAINT v_again NOT NULL v;
ALTER TABLE t ADD CONSTRAINT v_later NOT NULL v NOT VALID;
-- error
INSERT INTO t VALUES (4, NULL);
-- error
ALTER TABLE t VALIDATE CONSTRAINT v_later;
SELECT * FROM t WHERE v IS NULL;
SELECT count(*) FROM t WHERE v IS NOT NULL;
UPDATE t SET v = 3 WHERE v IS NULL;
ALTER TABLE t VALIDATE CONSTRAINT v_later;
SELECT count(*) FROM t WHERE v IS NULL;
ALTER TABLE t RENAME CONSTRAINT v_later TO v_now;
ALTER TABLE t ALTER v DROP NOT NULL;
ALTER TABLE t ALTER v SET NOT NULL;
-- error
ALTER TABLE t ALTER w SET NOT NULL;
UPDATE t SET w = 'w' WHERE w IS NULL;
ALTER TABLE t ADD NOT NULL w;
-- error
UPDATE t SET w = NULL WHERE k = 1;
ALTER TABLE t DROP CONSTRAINT t_w_not_null;
UPDATE t SET w = NULL WHERE k = 1;
ALTER TABLE t ADD COLUMN y int CONSTRAINT y_there NOT NULL DEFAULT 3;
ALTER TABLE t DROP COLUMN y;
SELECT conname, contype, convalidated FROM pg_constraint WHERE conrelid = 't'::regclass ORDER BY 1;
SELECT count(*) FROM cz_check_shards('t');
ALTER TABLE t ADD CONSTRAINT x_big CHECK (x > 10) NOT ENFORCED;
INSERT INTO t VALUES (20, 1, 'x', 5);
ALTER TABLE t DROP CONSTRAINT x_big;
ALTER TABLE t ADD CONSTRAINT x_small CHECK (x < 10);
-- error
INSERT INTO t VALUES (21, 1, 'x', 50);
CREATE TABLE u (k int PRIMARY KEY, v int CHECK (v > 0) NOT ENFORCED, CONSTRAINT other CHECK (v < 100));
SELECT create_distributed_table('u', 'k');
INSERT INTO u VALUES (1, -1);
-- error
INSERT INTO u VALUES (2, 100);
ALTER TABLE u RENAME CONSTRAINT u_v_check TO u_v;
SELECT count(*) FROM cz_check_shards('u');
SELECT conname, conenforced, convalidated FROM pg_constraint WHERE conrelid = 'u'::regclass AND contype = 'c' ORDER BY 1;
CREATE TABLE c (k int REFERENCES u NOT ENFORCED, n int);
SELECT create_distributed_table('c', 'k');
INSERT INTO c VALUES (77, 1);
DELETE FROM u WHERE k = 1;
-- error
ALTER TABLE c ALTER CONSTRAINT c_k_fkey ENFORCED;
SELECT conname, conenforced, convalidated FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f' ORDER BY 1;
INSERT INTO u VALUES (77, 1);
ALTER TABLE c ALTER CONSTRAINT c_k_fkey ENFORCED;
-- error
INSERT INTO c VALUES (78, 1);
-- error
DELETE FROM u WHERE k = 77;
ALTER TABLE c ALTER CONSTRAINT c_k_fkey NOT ENFORCED;
INSERT INTO c VALUES (78, 1);
ALTER TABLE c DROP CONSTRAINT c_k_fkey;
-- foreign keys by period
CREATE TABLE p (id int4range, valid int4range, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
CREATE TABLE pc (id int4range, valid int4range, n int);
SELECT create_distributed_table('p', 'id');
SELECT create_distributed_table('pc', 'id', colocate_with => 'p');
INSERT INTO p VALUES ('[1,2)', '[1,10)'), ('[1,2)', '[10,20)');
ALTER TABLE pc ADD CONSTRAINT pc_p FOREIGN KEY (id, PERIOD valid) REFERENCES p (id, PERIOD valid);
INSERT INTO pc VALUES ('[1,2)', '[5,15)', 1);
-- error
INSERT INTO pc VALUES ('[1,2)', '[5,25)', 1);
-- error
DELETE FROM p WHERE valid @> 12;
UPDATE pc SET valid = '[5,8)';
DELETE FROM p WHERE valid @> 12;
SELECT count(*) FROM cz_check_shards('pc');
CREATE TABLE far (id int4range, valid int4range, n int);
SELECT create_distributed_table('far', 'n');
-- differs: no worker has all rows of both
ALTER TABLE far ADD FOREIGN KEY (id, PERIOD valid) REFERENCES p (id, PERIOD valid);
