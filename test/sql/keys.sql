-- Foreign keys of distributed tables: what is refused and how it is said, in which order tables can be distributed,
-- what shards have, what becomes of keys when tables are ordinary ones again.  What keys do is in test/differential.
\set dbname cz_keys
\i sql/include/worker_database.inc
\i sql/include/workers.inc
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET cz.shard_count = 4;
SET cz.shard_replication_factor = 2;
CREATE VIEW keys AS SELECT conrelid::regclass AS of, conname, pg_get_constraintdef(oid) AS def FROM pg_constraint
  WHERE contype = 'f' AND connamespace = 'public'::regnamespace;
-- keys of the shards on a worker
CREATE FUNCTION shard_keys() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT result FROM run_command_on_workers($q$SELECT string_agg(k, E'\n' ORDER BY k) FROM (SELECT DISTINCT
    regexp_replace(concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)), '_1\d+', '_N', 'g') AS k
    FROM pg_constraint WHERE contype = 'f' AND NOT EXISTS (SELECT FROM pg_constraint p
     WHERE p.oid = pg_constraint.conparentid AND p.conrelid = pg_constraint.conrelid)) x$q$) ORDER BY nodeport LIMIT 1 $$;
CREATE TABLE parent (k int, id int, v text, PRIMARY KEY (k, id));
CREATE TABLE child (k int, pid int, self int, PRIMARY KEY (k, pid), FOREIGN KEY (k, pid) REFERENCES parent, FOREIGN KEY (k, self) REFERENCES child);
CREATE TABLE ref (id int PRIMARY KEY, v text);
INSERT INTO parent SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO child SELECT i, i, i FROM generate_series(1, 20) i;

-- any table comes first
BEGIN;
SELECT create_distributed_table('child', 'k');
SELECT create_distributed_table('parent', 'k');
SELECT count(DISTINCT colocation_id) FROM cz.tables;
SELECT count(*) FROM cz_check_shards('child');
ROLLBACK;
SELECT create_distributed_table('parent', 'k');
-- meanwhile both are checked here
INSERT INTO parent VALUES (21, 21);
INSERT INTO child VALUES (21, 22);
INSERT INTO child VALUES (21, 21);
DELETE FROM parent WHERE k = 1;
UPDATE parent SET v = '' WHERE k = 1;
INSERT INTO parent VALUES (1, 1) ON CONFLICT (k, id) DO NOTHING;
INSERT INTO parent VALUES (1, 1) ON CONFLICT (k, id) DO UPDATE SET v = 'x';
WITH d AS (DELETE FROM parent WHERE k = 1 RETURNING *) SELECT * FROM d;
MERGE INTO parent USING (SELECT 1 AS k) s ON parent.k = s.k WHEN MATCHED THEN DELETE;
BEGIN;
ALTER TABLE parent ALTER id TYPE bigint;
ALTER TABLE child ALTER pid TYPE bigint;
SELECT pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conname = 'child_k_pid_fkey';
ALTER TABLE child ALTER pid TYPE int USING pid + 1;
ROLLBACK;
BEGIN;
ALTER TABLE parent ALTER id TYPE bigint USING CASE WHEN k = 5 THEN 99 ELSE id END;
ROLLBACK;
-- by another column or elsewhere it is checked here, too
BEGIN;
SELECT create_distributed_table('child', 'pid');
SELECT count(*) FROM cz_check_shards('child');
INSERT INTO child VALUES (21, 22);
ROLLBACK;
BEGIN;
SELECT create_distributed_table('child', 'k', colocate_with => 'none');
DELETE FROM parent WHERE k = 21;
ROLLBACK;
BEGIN;
SELECT create_distributed_table('child', 'k', shard_count => 8);
INSERT INTO child VALUES (21, 22);
ROLLBACK;
SET cz.shard_count = 8;
SELECT create_distributed_table('child', 'k');
RESET cz.shard_count;
SELECT count(DISTINCT colocation_id) FROM cz.tables;
SELECT * FROM keys ORDER BY 1, 2;
SELECT shard_keys();
DELETE FROM parent WHERE k = 21;

-- a reference table may refer to it
CREATE TABLE rparent (k int PRIMARY KEY); CREATE TABLE rchild (k int REFERENCES rparent ON DELETE CASCADE);
INSERT INTO rparent VALUES (1), (2);
INSERT INTO rchild VALUES (1), (2), (2);
SELECT create_reference_table('rchild');
SELECT create_distributed_table('rparent', 'k');
INSERT INTO rchild VALUES (3);
DELETE FROM rparent WHERE k = 2;
SELECT * FROM rchild;
SELECT result FROM run_command_on_placements('rchild', 'SELECT count(*) FROM %s');
DROP TABLE rchild, rparent;

-- keys that shards can't have, and such as are checked here
CREATE TABLE a (k int, id int, v int DEFAULT 1, w int, PRIMARY KEY (k, id));
CREATE TABLE other (k bigint PRIMARY KEY);
CREATE TABLE local (id int PRIMARY KEY);
CREATE TABLE ranged (k int PRIMARY KEY);
SELECT create_distributed_table('a', 'k', colocate_with => 'parent');
SELECT create_distributed_table('other', 'k');
SELECT create_distributed_table('ranged', 'k', 'range');
SELECT create_reference_table('ref');
BEGIN;
ALTER TABLE a ADD FOREIGN KEY (v) REFERENCES local;
ALTER TABLE a ADD FOREIGN KEY (k) REFERENCES other;
ALTER TABLE a ADD FOREIGN KEY (k) REFERENCES ranged;
ALTER TABLE ranged ADD FOREIGN KEY (k) REFERENCES other;
ALTER TABLE a ADD FOREIGN KEY (v, w) REFERENCES parent;
ALTER TABLE a ADD FOREIGN KEY (id, k) REFERENCES parent (k, id);
ALTER TABLE a ADD COLUMN p int REFERENCES local;
SELECT * FROM keys WHERE of IN ('a'::regclass, 'ranged'::regclass) ORDER BY 1, 2;
SELECT count(*) FROM cz_check_shards('a');
INSERT INTO a VALUES (1, 1, 5);
ROLLBACK;
ALTER TABLE local ADD FOREIGN KEY (id) REFERENCES other;
ALTER TABLE ref ADD FOREIGN KEY (id) REFERENCES other;
ALTER TABLE ref ADD COLUMN o bigint REFERENCES other;
INSERT INTO ref VALUES (1);
INSERT INTO ref VALUES (1, '', 1);
CREATE TABLE late (k bigint REFERENCES other);
SELECT create_distributed_table('late', 'k');
SELECT shard_keys();
DROP TABLE late;
ALTER TABLE a ADD FOREIGN KEY (k, v) REFERENCES parent ON DELETE SET DEFAULT;
ALTER TABLE a ADD FOREIGN KEY (k, v) REFERENCES parent ON DELETE SET NULL;
ALTER TABLE a ADD FOREIGN KEY (k, v) REFERENCES parent ON DELETE SET NULL (k, v);
ALTER TABLE a ADD FOREIGN KEY (k, v) REFERENCES parent ON UPDATE SET NULL;
-- as on any table
ALTER TABLE a ADD FOREIGN KEY (k, nothing) REFERENCES parent;
ALTER TABLE a ADD FOREIGN KEY (k, v) REFERENCES nowhere;
ALTER TABLE a ADD FOREIGN KEY (k, v) REFERENCES parent (k, v);
SELECT * FROM keys WHERE of IN ('a'::regclass, 'local'::regclass, 'ref'::regclass, 'ranged'::regclass) ORDER BY 1, 2;
SELECT shard_keys();
ALTER TABLE a DROP CONSTRAINT a_k_v_fkey, DROP CONSTRAINT a_k_v_fkey1, DROP CONSTRAINT a_k_v_fkey2, DROP CONSTRAINT a_k_v_fkey3;
ALTER TABLE local DROP CONSTRAINT local_id_fkey;
ALTER TABLE ref DROP CONSTRAINT ref_id_fkey, DROP COLUMN o;
-- privileges
CREATE ROLE cz_keys_other;
GRANT CREATE ON SCHEMA public TO cz_keys_other;
SET ROLE cz_keys_other;
CREATE TABLE mine (k int);
ALTER TABLE mine ADD FOREIGN KEY (k) REFERENCES ranged;
RESET ROLE;
DROP OWNED BY cz_keys_other;
DROP ROLE cz_keys_other;

-- shards that come later have them
CREATE TABLE ranged_child (k int, r int REFERENCES ref);
SELECT create_distributed_table('ranged_child', 'k', 'range');
SELECT cz_create_range_shard('ranged_child', '0', '100') > 0;
INSERT INTO ranged_child VALUES (1, 1);
DROP TABLE ranged_child;

-- ordinary tables again
SELECT undistribute_table('parent');
SELECT undistribute_table('child');
ALTER TABLE child ADD COLUMN r int REFERENCES ref;
SELECT undistribute_table('ref');
SELECT undistribute_table('child', cascade_via_foreign_keys => true);
SELECT relid FROM cz.tables ORDER BY 1;
INSERT INTO child VALUES (1, 2);
DELETE FROM parent WHERE k = 2;
INSERT INTO child VALUES (30, 30, NULL, 7);
-- in one transaction, and with tables of the group
SELECT create_reference_table('ref');
SELECT create_distributed_table('parent', 'k');
SELECT create_distributed_table('child', 'k');
SELECT alter_distributed_table('parent', shard_count => 2);
SELECT alter_distributed_table('parent', shard_count => 2, cascade_to_colocated => false);
SELECT alter_distributed_table('parent', shard_count => 2, cascade_to_colocated => true);
SELECT update_distributed_table_colocation('parent', 'none');
INSERT INTO child VALUES (1, 2);
INSERT INTO child VALUES (3, 3, 4, 7) ON CONFLICT (k, pid) DO UPDATE SET self = 4;
INSERT INTO child VALUES (3, 3, 3, 7) ON CONFLICT (k, pid) DO UPDATE SET r = 7;
SELECT shard_keys();
-- a shard whose key somebody has changed
SELECT success, result FROM run_command_on_shards('child', $$ALTER TABLE %1$s DROP CONSTRAINT IF EXISTS child_r_fkey_$$ || (SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = 'child'::regclass)) ORDER BY shardid LIMIT 1;
SELECT logical_table, object, regexp_replace(expected, '_1\d+', '_N') AS expected, found FROM cz_check_shards('child');
SELECT undistribute_table('child', cascade_via_foreign_keys => true);
SELECT create_reference_table('ref');
SELECT create_distributed_table('parent', 'k');
SELECT create_distributed_table('child', 'k');
-- one that is undistributed alone, because core can check its keys
CREATE TABLE alone (k int, r int REFERENCES ref);
SELECT create_distributed_table('alone', 'k');
INSERT INTO alone VALUES (1, 1);
SELECT undistribute_table('alone');
INSERT INTO alone VALUES (1, 1);
INSERT INTO ref VALUES (1);
INSERT INTO alone VALUES (1, 1);
DELETE FROM ref;
SELECT count(*) FROM cz_check_shards();
DROP TABLE parent, child, ref, alone, a, other, local, ranged;
SELECT count(*) FROM cz.tables;
SELECT shard_keys();

-- of and to partitioned tables and partitions
CREATE TABLE keys_parts (k int, t int, r int, UNIQUE (k, t)) PARTITION BY RANGE (t);
CREATE TABLE keys_parts_1 PARTITION OF keys_parts FOR VALUES FROM (0) TO (10);
SELECT create_distributed_table('keys_parts', 'k');
CREATE TABLE keys_to_parts (k int, t int);
SELECT create_distributed_table('keys_to_parts', 'k', colocate_with => 'keys_parts');
CREATE TABLE keys_of_parts (id int PRIMARY KEY);
SELECT create_reference_table('keys_of_parts');
CREATE TABLE keys_alone (k int PRIMARY KEY);
SELECT create_distributed_table('keys_alone', 'k', colocate_with => 'keys_parts');
CREATE TABLE keys_local (k int PRIMARY KEY);
ALTER TABLE keys_to_parts ADD FOREIGN KEY (k, t) REFERENCES keys_parts (k, t);
ALTER TABLE keys_to_parts ADD CONSTRAINT keys_to_parts_1 FOREIGN KEY (k, t) REFERENCES keys_parts_1 (k, t);
ALTER TABLE keys_parts ADD COLUMN r2 int REFERENCES keys_of_parts;
ALTER TABLE keys_parts ADD FOREIGN KEY (k) REFERENCES keys_alone;
ALTER TABLE keys_parts ADD FOREIGN KEY (k) REFERENCES keys_local;
ALTER TABLE keys_parts ADD FOREIGN KEY (r) REFERENCES keys_of_parts;
ALTER TABLE keys_parts_1 ADD FOREIGN KEY (r) REFERENCES keys_of_parts;
CREATE TABLE keys_parts_2 PARTITION OF keys_parts (FOREIGN KEY (r) REFERENCES keys_of_parts) FOR VALUES FROM (10) TO (20);
CREATE TABLE keys_parts_2 (k int NOT NULL, t int NOT NULL, r int REFERENCES keys_of_parts);
ALTER TABLE keys_parts ATTACH PARTITION keys_parts_2 FOR VALUES FROM (10) TO (20);
SELECT conrelid::regclass, conname FROM pg_constraint c WHERE contype = 'f' AND conrelid::regclass::text LIKE 'keys%parts%'
   AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.conrelid = c.conrelid) ORDER BY 1, 2;
SELECT shard_keys();
INSERT INTO keys_parts VALUES (1, 1, 1);
SELECT * FROM cz_check_shards();
-- what they can't is checked here
CREATE TABLE keys_far (k int, t int);
SELECT create_distributed_table('keys_far', 'k', colocate_with => 'none');
ALTER TABLE keys_far ADD FOREIGN KEY (k, t) REFERENCES keys_parts (k, t);
ALTER TABLE keys_parts ADD FOREIGN KEY (t, k) REFERENCES keys_parts (k, t);
ALTER TABLE keys_parts_1 ADD FOREIGN KEY (r, t) REFERENCES keys_parts (k, t);
-- of an ordinary one
ALTER TABLE keys_local ADD t int, ADD FOREIGN KEY (k, t) REFERENCES keys_parts (k, t);
INSERT INTO keys_local VALUES (1, 1);
SELECT undistribute_table('keys_parts');
DROP TABLE keys_far;
DROP TABLE keys_to_parts, keys_local, keys_parts, keys_of_parts, keys_alone;
SET client_min_messages = notice;
-- a key that the coordinator checks because two tables are not colocated says so, once
CREATE TABLE na (k int PRIMARY KEY); CREATE TABLE nb (k int, id int, CONSTRAINT nb_k FOREIGN KEY (k) REFERENCES na);
CREATE TABLE nc (k bigint REFERENCES na, id int REFERENCES na);
SELECT create_distributed_table('na', 'k', shard_count => 4);
SELECT create_distributed_table('nb', 'k', colocate_with => 'none');
SELECT create_distributed_table('nc', 'k');
INSERT INTO na VALUES (1); INSERT INTO nb VALUES (1, 1);
SELECT alter_distributed_table('nb', colocate_with => 'na');
SELECT count(*) FROM cz_check_shards('nb');
ALTER TABLE nb DROP CONSTRAINT nb_k, ADD FOREIGN KEY (id) REFERENCES na;
ALTER TABLE nc ALTER k TYPE int;
SELECT update_distributed_table_colocation('nb', 'none');
ALTER TABLE nb ADD FOREIGN KEY (k) REFERENCES na;
DROP TABLE na, nb, nc;
