-- Tables without distribution column, and schemas whose tables are on one worker.
-- What statements give is test/differential's affair (shapes "single" and "tenant").
\set dbname cz_tenants
\i sql/include/worker_database.inc
\i sql/include/workers.inc
SET client_min_messages = warning;
\set SHOW_CONTEXT never

-- a filled table with keys that contain no common column
CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text UNIQUE, w json,
	during int4range, EXCLUDE USING gist (during WITH &&));
INSERT INTO a (v, during) SELECT 'v' || i, int4range(i, i + 1) FROM generate_series(1, 20) i;
SELECT create_distributed_table('a', NULL);
\d a
SELECT relname, pg_get_expr(relpartbound, oid), pg_get_partition_constraintdef(oid) IS NULL AS takes_all
  FROM pg_class WHERE relispartition AND oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'a'::regclass)
   AND relname ~ '^a_\d+$' \gset shard_
SELECT :'shard_pg_get_expr' AS bound, :'shard_takes_all' AS takes_all;
INSERT INTO a (v) VALUES ('v1');
INSERT INTO a (v, during) VALUES ('other', '[5,6)');
SELECT count(*), sum(id) FROM a;

-- groups
CREATE TABLE b (x int, y int);
CREATE TABLE c (x int);
CREATE TABLE d (x int);
CREATE TABLE h (k int);
SELECT create_distributed_table('b', NULL);
SELECT create_distributed_table('c', NULL, colocate_with => 'none');
SELECT create_distributed_table('d', NULL, colocate_with => 'c');
SELECT create_distributed_table('h', 'k', colocate_with => 'c');
SELECT create_distributed_table('h', 'k', shard_count => 1);
CREATE TABLE e (x int);
SELECT create_distributed_table('e', NULL, colocate_with => 'h');
SELECT create_distributed_table('e', NULL, 'range');
SELECT create_distributed_table('e', NULL, shard_count => 4);
SELECT create_distributed_table('a', NULL);
SELECT dense_rank() OVER (ORDER BY colocation_id) AS "group", table_name, citus_table_type, distribution_column, shard_count
  FROM citus_tables ORDER BY 1, 2;
SELECT count(DISTINCT nodeport) AS nodes, count(*) FROM citus_shards WHERE table_name IN ('a'::regclass, 'b'::regclass);
SELECT logicalrelid, partmethod, partkey, repmodel FROM pg_dist_partition WHERE logicalrelid = 'a'::regclass;
SELECT partition_method, shard_count, key_type FROM cz.colocation WHERE partition_method = 's' ORDER BY colocation_id;
SELECT get_shard_id_for_distribution_column('a', 'anything') = get_shard_id_for_distribution_column('a') AS same;
SELECT type, "column", position('column' IN t::text) > 0 AS has_column
  FROM jsonb_to_recordset(cz_export_cluster()::jsonb -> 'tables') AS t (name text, type text, "column" text) WHERE name = 'public.a';

-- one statement, one worker, whatever it is
EXPLAIN (COSTS OFF) WITH n AS (SELECT x, count(*) FROM b GROUP BY x)
SELECT a.id, sum(a.id) OVER (ORDER BY a.v), (SELECT max(y) FROM b WHERE y < a.id)
  FROM a JOIN n ON n.x = a.id WHERE a.id IN (SELECT y FROM b) ORDER BY 1 LIMIT 3;
EXPLAIN (COSTS OFF) UPDATE a SET v = b.y FROM b WHERE b.x = a.id AND EXISTS (SELECT FROM b z WHERE z.y = a.id);
SELECT count(*), bool_and(ok) FROM cz_verify_placements();

-- new groups are spread over the workers
SET cz.shard_replication_factor = 1;
CREATE TABLE s1 (); CREATE TABLE s2 (); CREATE TABLE s3 (); CREATE TABLE s4 ();
DROP TABLE a, b, c, d, h, e;
SELECT create_distributed_table(t, NULL, colocate_with => 'none') FROM unnest('{s1,s2,s3}'::regclass[]) t;
SELECT count(DISTINCT nodeport) FROM citus_shards;
INSERT INTO s1 DEFAULT VALUES;
SELECT count(*) FROM s1;
DROP TABLE s2;
SELECT nodeport AS free_port FROM pg_dist_node WHERE nodeport NOT IN (SELECT nodeport FROM citus_shards) \gset
SELECT create_distributed_table('s4', NULL, colocate_with => 'none');
SELECT nodeport = :free_port AS fewest FROM citus_shards WHERE table_name = 's4'::regclass;
RESET cz.shard_replication_factor;
DROP TABLE s1, s3, s4;
SELECT count(*) FROM cz.colocation;

-- a schema, named so that it needs quotes, with tables
CREATE SCHEMA "Tenant's 1";
CREATE TABLE "Tenant's 1"."Big ""t""" (id serial PRIMARY KEY, v text UNIQUE);
CREATE TABLE "Tenant's 1".lines (id int, line int, note text, UNIQUE (note));
INSERT INTO "Tenant's 1"."Big ""t""" (v) SELECT i FROM generate_series(1, 5) i;
CREATE VIEW "Tenant's 1".v AS SELECT id FROM "Tenant's 1"."Big ""t""";
SELECT citus_schema_distribute('"Tenant''s 1"');
SELECT citus_schema_distribute('"Tenant''s 1"');
SET client_min_messages = notice;
SELECT citus_schema_distribute('"Tenant''s 1"');
SET client_min_messages = warning;
SELECT schema_name, schema_size IS NOT NULL AS has_size, schema_owner FROM citus_schemas;
SELECT s.schemaid::regnamespace, count(*) FROM pg_dist_schema s JOIN citus_tables t ON t.colocation_id = s.colocationid GROUP BY 1;
SET search_path = "Tenant's 1";
CREATE TABLE made (LIKE "Big ""t""" INCLUDING ALL);
CREATE TABLE selected AS SELECT * FROM "Big ""t""";
CREATE TABLE IF NOT EXISTS selected AS SELECT 1;
CREATE TABLE IF NOT EXISTS made (x int);
SELECT id INTO into_it FROM "Big ""t""" WHERE id < 3;
CREATE TEMPORARY TABLE made (x int);
CREATE TABLE here (x int);
PREPARE p AS SELECT 1 AS one;
CREATE TABLE executed AS EXECUTE p;
DO 'BEGIN EXECUTE ''EXPLAIN CREATE TABLE explained AS SELECT 1 AS x''; EXECUTE ''EXPLAIN (ANALYZE, BUFFERS OFF) CREATE TABLE explained AS SELECT 1 AS x''; END';
CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM lines;
CREATE SEQUENCE seq;
SELECT table_name, citus_table_type, distribution_column FROM citus_tables;
SELECT relname, relkind FROM pg_class WHERE relnamespace = '"Tenant''s 1"'::regnamespace AND relkind NOT IN ('i', 'I', 'p') ORDER BY 1;
-- refused there, nothing is left
CREATE UNLOGGED TABLE fast (x int);
CREATE FOREIGN TABLE far (x int) SERVER node_1;
CREATE TABLE child () INHERITS (lines);
SELECT create_distributed_table('lines', 'id');
SELECT create_reference_table('lines');
SELECT undistribute_table('lines');
CREATE TABLE public.outside (x int);
SELECT create_distributed_table('public.outside', NULL, colocate_with => 'lines');
SELECT relname FROM pg_class WHERE relname IN ('parts', 'fast', 'far', 'child');
-- partitioned tables
CREATE TABLE parts (x int, y int, PRIMARY KEY (x)) PARTITION BY RANGE (x);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 (y int, x int NOT NULL);
INSERT INTO parts_2 SELECT i, i FROM generate_series(10, 14) i;
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20);
INSERT INTO parts VALUES (1, 1), (15, 15);
SELECT tableoid::regclass, count(*), sum(y) FROM parts GROUP BY 1 ORDER BY 1;
SELECT table_name, citus_table_type FROM citus_tables WHERE table_name::text LIKE 'parts%';
ALTER TABLE parts SET SCHEMA public;
ALTER TABLE parts_1 SET SCHEMA public;
CREATE TABLE public.outer_parts (x int) PARTITION BY RANGE (x);
CREATE TABLE inner_part PARTITION OF public.outer_parts DEFAULT;
DROP TABLE public.outer_parts;
ALTER TABLE parts DETACH PARTITION parts_2;
SELECT table_name, citus_table_type FROM citus_tables WHERE table_name::text LIKE 'parts%';
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20);
-- in and out
INSERT INTO public.outside VALUES (1), (2);
ALTER TABLE public.outside SET SCHEMA "Tenant's 1";
SELECT count(*) FROM citus_tables WHERE table_name = 'outside'::regclass;
SELECT sum(x) FROM outside;
ALTER TABLE outside SET SCHEMA public;
SELECT relkind FROM pg_class WHERE oid = 'public.outside'::regclass;
SELECT sum(x) FROM public.outside;
ALTER TABLE public.outside SET SCHEMA nowhere;
CREATE SCHEMA two;
SELECT citus_schema_distribute('two');
ALTER TABLE public.outside SET SCHEMA two;
ALTER TABLE two.outside SET SCHEMA "Tenant's 1";
SELECT s.schema_name, t.table_name FROM citus_tables t JOIN citus_schemas s USING (colocation_id) WHERE t.table_name = 'outside'::regclass;
DROP TABLE outside;
-- all or nothing
BEGIN;
CREATE TABLE gone (x int);
INSERT INTO gone VALUES (1);
SAVEPOINT s;
CREATE TABLE gone_too AS SELECT * FROM gone;
ROLLBACK TO s;
SELECT count(*) FROM gone;
ROLLBACK;
SELECT count(*) FROM cz.tables t WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relid);
RESET search_path;
ALTER SCHEMA "Tenant's 1" RENAME TO one;
CREATE TABLE one.later (x int);
SELECT citus_table_type FROM citus_tables WHERE table_name = 'one.later'::regclass;
DROP TABLE two.outside;
DROP SCHEMA two;
SELECT schema_name FROM citus_schemas;
SELECT citus_schema_undistribute('one');
SELECT citus_schema_undistribute('one');
SELECT count(*) FROM citus_tables;
SELECT count(*) FROM cz.colocation;
SELECT v FROM one."Big ""t""" ORDER BY id;
SELECT tableoid::regclass, count(*), sum(y) FROM one.parts GROUP BY 1 ORDER BY 1;
INSERT INTO one."Big ""t""" (v) VALUES ('6') RETURNING id;

-- a schema with something that can't be: nothing is distributed
CREATE UNLOGGED TABLE one.z (x int);
SELECT citus_schema_distribute('one');
SELECT count(*) FROM citus_tables;
SELECT count(*) FROM citus_schemas;
ALTER TABLE one.z SET LOGGED;
SELECT create_reference_table('one.z');
SELECT citus_schema_distribute('one');
SELECT undistribute_table('one.z');
SELECT citus_schema_distribute('one');
DROP SCHEMA one CASCADE;
SELECT count(*) FROM cz.tables;
SELECT count(*) FROM cz.colocation;
SELECT citus_schema_distribute('pg_catalog');
SELECT citus_schema_distribute('cz');
SELECT citus_schema_distribute('cz_shards');
SELECT citus_schema_distribute('nowhere');

-- foreign keys; what they do is in test/differential, too
CREATE SCHEMA fk;
CREATE TABLE fk.child (id int, up int);
CREATE TABLE fk.parent (id int PRIMARY KEY, self int REFERENCES fk.parent ON DELETE SET NULL, up int);
ALTER TABLE fk.child ADD CONSTRAINT "to parent" FOREIGN KEY (up) REFERENCES fk.parent ON DELETE CASCADE;
CREATE TABLE outside (id int PRIMARY KEY, up int);
INSERT INTO fk.parent VALUES (1, 1), (2, 1);
INSERT INTO fk.child VALUES (1, 1), (2, 2);
BEGIN;
SELECT create_distributed_table('fk.child', NULL);
ROLLBACK;
SELECT citus_schema_distribute('fk');
CREATE TABLE fk.made (id int PRIMARY KEY, up int REFERENCES fk.parent, self int, FOREIGN KEY (self) REFERENCES fk.made);
ALTER TABLE fk.child ADD CONSTRAINT more FOREIGN KEY (id) REFERENCES fk.made NOT VALID, ADD CONSTRAINT later FOREIGN KEY (up) REFERENCES fk.made DEFERRABLE INITIALLY DEFERRED NOT VALID;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'fk'::regnamespace ORDER BY 2;
INSERT INTO fk.made VALUES (1, 3);
DELETE FROM fk.parent WHERE id = 2 RETURNING *;
SELECT * FROM fk.child;
-- not among tables of one group, or not by the worker
CREATE TABLE fk.bad (x int REFERENCES outside);
CREATE TABLE bad (x int REFERENCES fk.parent);
ALTER TABLE outside ADD FOREIGN KEY (up) REFERENCES fk.parent;
ALTER TABLE fk.child ADD FOREIGN KEY (up) REFERENCES outside;
ALTER TABLE fk.child ADD COLUMN w int REFERENCES fk.parent;
ALTER TABLE fk.child ADD CONSTRAINT d FOREIGN KEY (up) REFERENCES fk.parent ON DELETE SET DEFAULT;
ALTER TABLE fk.child DROP CONSTRAINT d;
ALTER TABLE fk.parent ADD FOREIGN KEY (up) REFERENCES fk.parent ON DELETE CASCADE;
CREATE FUNCTION fk.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT OR DELETE ON fk.child FOR EACH ROW EXECUTE FUNCTION fk.f();
SELECT count(*) FROM cz_check_shards('fk.child');
DROP TRIGGER t ON fk.child;
CREATE TRIGGER t BEFORE INSERT ON fk.child FOR EACH ROW EXECUTE FUNCTION fk.f();
CREATE TRIGGER t BEFORE UPDATE ON fk.made FOR EACH ROW EXECUTE FUNCTION fk.f();
ALTER TABLE fk.made ADD FOREIGN KEY (up) REFERENCES fk.parent ON UPDATE CASCADE;
ALTER TABLE fk.made DROP CONSTRAINT made_up_fkey1;
ALTER TABLE fk.parent SET SCHEMA public;
SELECT to_regclass('fk.bad') IS NULL AND to_regclass('bad') IS NULL AS none;
-- privileges
CREATE ROLE cz_tenant_other;
GRANT USAGE, CREATE ON SCHEMA fk TO cz_tenant_other;
SET ROLE cz_tenant_other;
CREATE TABLE fk.others (x int REFERENCES fk.parent);
TRUNCATE fk.parent CASCADE;
ALTER TABLE fk.child DROP CONSTRAINT later;
RESET ROLE;
DROP OWNED BY cz_tenant_other;
DROP ROLE cz_tenant_other;
-- gone here and there
ALTER TABLE fk.child DROP CONSTRAINT later;
ALTER TABLE fk.child DROP CONSTRAINT more;
TRUNCATE fk.parent;
TRUNCATE fk.parent CASCADE;
SELECT (SELECT count(*) FROM fk.parent), (SELECT count(*) FROM fk.child), (SELECT count(*) FROM fk.made);
INSERT INTO fk.child VALUES (1, 1);
DROP TABLE fk.parent;
DROP TABLE fk.parent CASCADE;
INSERT INTO fk.child VALUES (1, 1);
SELECT citus_schema_undistribute('fk');
SELECT conrelid::regclass, conname FROM pg_constraint WHERE contype = 'f' AND connamespace = 'fk'::regnamespace;
INSERT INTO fk.made VALUES (1, 1, 2);
DROP SCHEMA fk CASCADE;

-- CREATE SCHEMA
SET cz.enable_schema_based_sharding = on;
CREATE ROLE cz_tenant;
CREATE SCHEMA AUTHORIZATION cz_tenant;
CREATE SCHEMA s CREATE TABLE t (id int PRIMARY KEY, v serial) CREATE INDEX ON t (v) CREATE VIEW w AS SELECT * FROM t;
CREATE SCHEMA IF NOT EXISTS one;
RESET cz.enable_schema_based_sharding;
CREATE SCHEMA plain;
CREATE SCHEMA IF NOT EXISTS plain;
SELECT schema_name, schema_owner FROM citus_schemas;
INSERT INTO s.t VALUES (1), (2);
SELECT * FROM s.w ORDER BY 1;
SET cz.enable_schema_based_sharding = on;
CREATE SCHEMA IF NOT EXISTS plain;
CREATE TEMPORARY TABLE temporary (x int);
RESET cz.enable_schema_based_sharding;
SELECT schema_name FROM citus_schemas;

-- privileges
SET ROLE cz_tenant;
SELECT citus_schema_distribute('plain');
SELECT citus_schema_undistribute('s');
SELECT schema_name, schema_size IS NULL AS hidden FROM citus_schemas;
RESET ROLE;
GRANT USAGE, CREATE ON SCHEMA plain TO cz_tenant;
ALTER SCHEMA plain OWNER TO cz_tenant;
CREATE TABLE plain.not_his (x int);
SET ROLE cz_tenant;
SELECT citus_schema_distribute('plain');
RESET ROLE;
SELECT count(*) FROM citus_tables WHERE table_name = 'plain.not_his'::regclass;

\c postgres
DROP DATABASE cz_tenants WITH (FORCE);
DROP ROLE cz_tenant;
