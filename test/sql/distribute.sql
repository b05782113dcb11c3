-- create_distributed_table: an ordinary table, empty or filled, becomes a partitioned
-- parent in place; what depends on it survives; what can't be distributed is refused
-- with its reason and nothing has changed.
\set dbname cz_distribute
\i sql/include/worker_database.inc
\i sql/include/workers.inc

-- everything that a table may have, with rows and a dropped column before
CREATE SCHEMA "App Data";
CREATE TYPE "App Data".mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE DOMAIN "App Data".positive AS int CHECK (VALUE > 0);
CREATE TYPE "App Data".pair AS (x int, m "App Data".mood);
CREATE COLLATION "App Data".plain (PROVIDER = libc, LOCALE = 'C');
CREATE FUNCTION "App Data".twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION "App Data".stamp() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN NEW.note := coalesce(NEW.note, '''') || ''!''; RETURN NEW; END';
CREATE TABLE "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" (
	gone int,
	id bigserial,
	"Tenant Id" text COLLATE "App Data".plain NOT NULL,
	seq int GENERATED ALWAYS AS IDENTITY,
	m "App Data".mood DEFAULT 'happy',
	p "App Data".positive CHECK ("App Data".twice(p) < 1000),
	pr "App Data".pair,
	ms "App Data".mood[],
	g int GENERATED ALWAYS AS ("App Data".twice(p)) STORED,
	j jsonb DEFAULT '{}',
	note varchar(20),
	at timestamptz DEFAULT now(),
	amount numeric(10,2),
	PRIMARY KEY ("Tenant Id", id));
ALTER TABLE "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" DROP COLUMN gone;
ALTER TABLE "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" ALTER j SET STORAGE EXTERNAL, ALTER note SET STATISTICS 50;
ALTER TABLE "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" SET (fillfactor = 80);
CREATE INDEX "Orders lower" ON "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" (lower(note)) WHERE m = 'happy';
CREATE UNIQUE INDEX "Orders unique with a name as long as names may be, 63 bytes öö" ON "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" (id, "Tenant Id") INCLUDE (p);
CREATE INDEX ON "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" USING gin (j);
INSERT INTO "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" ("Tenant Id", m, p, pr, ms, j, amount)
  SELECT 'tenant ' || i % 20, 'it''s ok', i, ROW(i, 'sad')::"App Data".pair, '{sad,happy}', jsonb_build_object('i', i), i / 3.0
    FROM generate_series(1, 200) i;
CREATE VIEW orders_view AS SELECT "Tenant Id" AS tenant, count(*) AS n, sum(g) AS g, sum(amount) AS amount
  FROM "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" GROUP BY "Tenant Id";
CREATE TABLE before AS SELECT * FROM "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä";
CREATE FUNCTION how_many() RETURNS bigint LANGUAGE sql
  BEGIN ATOMIC SELECT count(*) FROM "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä"; END;
CREATE TRIGGER stamp BEFORE INSERT ON "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" FOR EACH ROW EXECUTE FUNCTION "App Data".stamp();
COMMENT ON TABLE "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" IS 'comment stays';
SET client_min_messages = error;
DROP ROLE IF EXISTS cz_distribute_reader;
CREATE ROLE cz_distribute_reader;
GRANT SELECT ON orders_view TO cz_distribute_reader;
GRANT SELECT ON "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" TO cz_distribute_reader;
CREATE PUBLICATION orders_pub FOR TABLE "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä";
RESET client_min_messages;
SELECT '"App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä"'::regclass::oid AS old_oid \gset
SELECT create_distributed_table('"App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä"', 'Tenant Id', shard_count => 8);
SELECT :old_oid = '"App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä"'::regclass::oid AS same_oid;
\d "App Data"."Orders ""big"""*
SELECT count(*), sum(n), sum(g), sum(amount) FROM orders_view;
SELECT how_many();
TABLE before EXCEPT TABLE "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä";
INSERT INTO "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" ("Tenant Id", p) VALUES ('new', 7) RETURNING id, seq, m, g, j, note;
SELECT "Tenant Id", id, count(*), max(note) FROM "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" WHERE "Tenant Id" = 'new' GROUP BY "Tenant Id", id;
INSERT INTO "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" ("Tenant Id", p, at) VALUES ('new', 501, '2024-01-01');
SELECT obj_description('"App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä"'::regclass);
SELECT count(*) AS published FROM pg_publication_rel WHERE prrelid = :old_oid;
SET ROLE cz_distribute_reader;
SELECT sum(n) FROM orders_view;
RESET ROLE;
-- nobody but the owner may look past the parent
SELECT count(*) FILTER (WHERE relacl IS NOT NULL) AS granted, count(*) AS shards FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'f';
-- names on workers fit and are told apart by their ids
SELECT max(octet_length(relname)) <= 63 AS fits FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace;
-- shards have no defaults, but are generated
SELECT DISTINCT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'cz_shards'::regnamespace AND a.atthasdef;

-- and back again
SELECT undistribute_table('"App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä"');
SELECT :old_oid = '"App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä"'::regclass::oid AS same_oid;
\d "App Data"."Orders ""big"""*
TABLE before EXCEPT TABLE "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä";
SELECT how_many();
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" WHERE "Tenant Id" = 'new' ORDER BY id;
SELECT p FROM "App Data"."Orders ""big"" with a name as long as names may be, 63 bytes ä" WHERE "Tenant Id" = 'new' ORDER BY id;
RESET enable_seqscan;
SELECT count(*) FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace;

-- key types: the CHECK of every shard proves that the worker hashes as we do
CREATE FUNCTION try_key(type text, vals text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE n int; d int;
BEGIN
  EXECUTE format('CREATE TABLE kt (k %s, v int)', type);
  EXECUTE format('INSERT INTO kt SELECT x::%s, 1 FROM (%s) q(x)', split_part(type, ' collate', 1), vals);
  PERFORM create_distributed_table('kt', 'k', shard_count => 4, colocate_with => 'none');
  EXECUTE format('INSERT INTO kt SELECT x::%s, 1 FROM (%s) q(x)', split_part(type, ' collate', 1), vals);
  EXECUTE 'INSERT INTO kt VALUES (NULL, 0)';
  EXECUTE 'SELECT count(*), count(DISTINCT k) FROM kt' INTO n, d;
  DROP TABLE kt;
  RETURN format('%s rows, %s keys', n, d);
EXCEPTION WHEN feature_not_supported THEN
  GET STACKED DIAGNOSTICS type = PG_EXCEPTION_DETAIL;
  RETURN sqlerrm || ': ' || type;
END $$;
CREATE TYPE plain_enum AS ENUM ('a', 'b');
CREATE TYPE row_type AS (a int);
CREATE DOMAIN int_domain AS int;
CREATE DOMAIN enum_domain AS plain_enum;
CREATE COLLATION no_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
SELECT t, try_key(t, v) FROM (VALUES
  ('int2', 'SELECT generate_series(-20, 20)'), ('int4', 'SELECT generate_series(-20, 20)'),
  ('int8', 'SELECT generate_series(-20, 20) * 10000000000'), ('text', $$SELECT 'v' || generate_series(1, 20)$$),
  ('text collate "C"', $$SELECT 'v' || generate_series(1, 20)$$), ('varchar(9)', $$SELECT 'v' || generate_series(1, 20)$$),
  ('char(9)', $$SELECT 'v' || generate_series(1, 20)$$), ('bytea', $$SELECT ('v' || generate_series(1, 20))::bytea$$),
  ('uuid', 'SELECT md5(generate_series(1, 20)::text)::uuid'), ('bool', 'SELECT true UNION ALL SELECT false'),
  ('date', $$SELECT date '1999-12-25' + generate_series(1, 20) UNION ALL SELECT 'infinity'$$),
  ('timestamp', $$SELECT timestamp '2000-01-01' + generate_series(1, 20) * interval '1 hour'$$),
  ('timestamptz', $$SELECT timestamptz '2000-01-01' + generate_series(1, 20) * interval '1 hour'$$),
  ('time', $$SELECT time '10:00' + generate_series(1, 20) * interval '1 minute'$$),
  ('interval', $$SELECT generate_series(1, 20) * interval '1 hour'$$),
  ('numeric', $$SELECT generate_series(1, 20) / 7.0 UNION ALL SELECT 'NaN' UNION ALL SELECT 1.0 UNION ALL SELECT 1.00$$),
  ('float4', $$SELECT generate_series(1, 20) / 7.0 UNION ALL SELECT '-0' UNION ALL SELECT '0'$$),
  ('float8', $$SELECT generate_series(1, 20) / 7.0 UNION ALL SELECT '-0' UNION ALL SELECT 'NaN'$$),
  ('inet', $$SELECT inet '10.0.0.0' + generate_series(1, 20)$$), ('jsonb', 'SELECT to_jsonb(generate_series(1, 20))'),
  ('int[]', 'SELECT ARRAY[generate_series(1, 20)]'), ('int4range', 'SELECT int4range(1, generate_series(2, 21))'),
  ('int_domain', 'SELECT generate_series(1, 20)'),
  ('plain_enum', $$SELECT 'a'$$), ('enum_domain', $$SELECT 'a'$$), ('plain_enum[]', $$SELECT '{a}'$$),
  ('row_type', $$SELECT '(1)'$$), ('regclass', $$SELECT 'pg_class'$$), ('money', 'SELECT 5'), ('json', $$SELECT '{}'$$),
  ('text collate no_case', $$SELECT 'v'$$)) AS types(t, v);

-- placements and colocation
SET cz.shard_count = 4;
CREATE TABLE c1 (k int, v int); SELECT create_distributed_table('c1', 'k');
CREATE TABLE c2 (k int, v int); SELECT create_distributed_table('c2', 'k');
CREATE TABLE c3 (k int, v int); SELECT create_distributed_table('c3', 'k', colocate_with => 'none');
CREATE TABLE c4 (k int, v int); SELECT create_distributed_table('c4', 'k', colocate_with => 'c3');
CREATE TABLE c5 (k bigint, v int); SELECT create_distributed_table('c5', 'k');
CREATE TABLE c6 (k int, v int); SELECT create_distributed_table('c6', 'K');
CREATE TABLE c7 (k int, v int); SELECT create_distributed_table('c7', 'k', shard_count => 2);
SELECT array_agg(logicalrelid::text ORDER BY logicalrelid::text) AS together FROM pg_dist_partition GROUP BY colocationid ORDER BY 1;
SELECT bool_and(a.nodeport = b.nodeport) AS equal_placements
  FROM (SELECT row_number() OVER (ORDER BY shardid, nodeport) i, nodeport FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'c1'::regclass) a
  JOIN (SELECT row_number() OVER (ORDER BY shardid, nodeport) i, nodeport FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'c2'::regclass) b USING (i);
SET cz.shard_replication_factor = 4;
CREATE TABLE c8 (k int); SELECT create_distributed_table('c8', 'k');
SET cz.shard_replication_factor = 3;
SELECT create_distributed_table('c8', 'k');
SELECT DISTINCT count(DISTINCT nodeport) FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'c8'::regclass GROUP BY shardid;
RESET cz.shard_replication_factor;

-- range
CREATE TABLE r1 (d date, v int, PRIMARY KEY (d, v));
SELECT create_distributed_table('r1', 'd', 'range');
INSERT INTO r1 VALUES ('2020-05-05', 1);
SELECT cz_create_range_shard('r1', '2020-01-01', '2021-01-01') > 0 AS made;
SELECT cz_create_range_shard('r1', '2021-01-01', '2022-01-01') > 0 AS made;
SELECT cz_create_range_shard('r1', '2020-06-01', '2020-07-01');
SELECT cz_create_range_shard('c1', '1', '2');
-- a domain's CHECK is the owner's, and must not run as a superuser
GRANT CREATE ON SCHEMA public TO cz_distribute_reader;
SET ROLE cz_distribute_reader;
CREATE FUNCTION public.told(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'checked by %', current_user; RETURN true; END $$;
CREATE DOMAIN public.checked AS int CHECK (public.told(VALUE));
CREATE TABLE public.by_domain (k public.checked);
CREATE TABLE public.by_array (k public.checked[]);
SELECT create_distributed_table('public.by_domain', 'k', 'range');
SELECT cz_create_range_shard('public.by_domain', '0', '10');
SELECT create_distributed_table('public.by_array', 'k', 'range');
SELECT cz_create_range_shard('public.by_array', '{0}', '{10}');
DROP TABLE public.by_domain, public.by_array;
DROP DOMAIN public.checked;
DROP FUNCTION public.told;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM cz_distribute_reader;
INSERT INTO r1 VALUES ('2020-01-01', 1), ('2020-12-31', 2), ('2021-01-01', 3);
INSERT INTO r1 VALUES ('2020-01-01', 1);
INSERT INTO r1 VALUES ('2022-01-01', 1);
SELECT * FROM r1 ORDER BY d;

-- refusals: message and SQLSTATE
CREATE TABLE x (k int, u int UNIQUE, g int GENERATED ALWAYS AS (k + 1) STORED);
CREATE TABLE y (k int, g int GENERATED ALWAYS AS (k + 1) STORED);
\set SHOW_CONTEXT never
CREATE FUNCTION refused(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; h text;
BEGIN
  EXECUTE sql;
  RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RETURN concat_ws(' | ', sqlstate, sqlerrm, nullif(d, ''), nullif(h, ''));
END $$;
CREATE TEMP TABLE tmp (k int);
CREATE UNLOGGED TABLE unl (k int);
SELECT create_distributed_table('unl', 'k');
DROP TABLE unl;
CREATE TABLE par (k int) PARTITION BY HASH (k);
CREATE TABLE par0 PARTITION OF par FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE inh (k int); CREATE TABLE inh_child () INHERITS (inh);
CREATE VIEW vw AS SELECT 1 AS k;
CREATE TABLE target (k int PRIMARY KEY); CREATE TABLE refers (k int REFERENCES target);
CREATE TABLE excl (k int, r int4range, EXCLUDE USING gist (r WITH &&));
CREATE TABLE noinh (k int, CHECK (k > 0) NO INHERIT);
CREATE TABLE trans (k int);
CREATE TRIGGER trans AFTER INSERT ON trans REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TABLE filled (k int); INSERT INTO filled VALUES (1);
\a
\t on
SELECT refused(format('SELECT create_distributed_table(%s)', a)) FROM (VALUES
  ($$'x', 'k'$$), ($$'y', 'g'$$), ($$'y', 'nothing'$$), ($$'y', 'ctid'$$), ($$NULL, 'k'$$), ($$'x', 'k', NULL$$), ($$'y', NULL, 'range'$$),
  ($$'filled', 'k', 'append'$$), ($$'trans', 'k', 'other'$$), ($$'c8', 'k'$$), ($$0, 'k'$$),
  ($$'filled', 'k', shard_count => 3$$), ($$'filled', 'k', shard_count => 0$$), ($$'filled', 'k', 'range'$$), ($$'filled', 'k', 'range', shard_count => 4$$),
  ($$'filled', 'k', colocate_with => 'missing'$$), ($$'filled', 'k', colocate_with => 'trans'$$), ($$'filled', 'k', colocate_with => 'c5'$$),
  ($$'filled', 'k', colocate_with => 'c1', shard_count => 8$$), ($$'filled', 'k', colocate_with => 'r1'$$),
  ($$'pg_class', 'oid'$$), ($$'cz.tables', 'relid'$$), ($$'tmp', 'k'$$), ($$'par0', 'k'$$), ($$'inh', 'k'$$), ($$'inh_child', 'k'$$),
  ($$'vw', 'k'$$), ($$'excl', 'k'$$), ($$'noinh', 'k'$$)) AS args(a);
\a
\t off
SET ROLE cz_distribute_reader;
SELECT create_distributed_table('filled', 'k');
SELECT undistribute_table('c1');
RESET ROLE;
SELECT undistribute_table('filled');
-- nothing has changed
SELECT count(*) FROM cz.tables WHERE relid = 'filled'::regclass;
SELECT * FROM filled;

-- within transactions
BEGIN;
SELECT create_distributed_table('filled', 'k');
INSERT INTO filled VALUES (2);
SELECT count(*) FROM filled;
ROLLBACK;
SELECT * FROM filled;
BEGIN;
CREATE TABLE fresh (k int PRIMARY KEY, v text);
INSERT INTO fresh VALUES (1, 'before');
SAVEPOINT s;
SELECT create_distributed_table('fresh', 'k');
ROLLBACK TO s;
SELECT create_distributed_table('fresh', 'k');
INSERT INTO fresh VALUES (2, 'after');
COMMIT;
SELECT * FROM fresh ORDER BY k;
-- an error after the shards were made
CREATE TABLE broken (k int, v int); INSERT INTO broken SELECT i, i FROM generate_series(1, 100) i;
SET cz.debug_point = 'distribute-loaded';
SELECT create_distributed_table('broken', 'k');
SET cz.debug_point = 'distribute-converted';
SELECT create_distributed_table('broken', 'k');
RESET cz.debug_point;
SELECT count(*) FROM broken;
SELECT create_distributed_table('broken', 'k');
SELECT count(*) FROM broken;

-- partition keys that workers may compare otherwise
CREATE TABLE by_text (k int, v text COLLATE "en-x-icu") PARTITION BY RANGE (v);
SELECT create_distributed_table('by_text', 'k');
DROP TABLE by_text;
CREATE TABLE by_text (k int, v text COLLATE "en-x-icu") PARTITION BY RANGE (v COLLATE "C");
CREATE TABLE by_text1 PARTITION OF by_text FOR VALUES FROM ('A') TO ('a') PARTITION BY RANGE (v);
SELECT create_distributed_table('by_text', 'k');
DROP TABLE by_text1;
SELECT create_distributed_table('by_text', 'k');
CREATE TABLE by_text1 PARTITION OF by_text FOR VALUES FROM ('A') TO ('a') PARTITION BY RANGE (v);
CREATE TABLE by_text1 PARTITION OF by_text FOR VALUES FROM ('A') TO ('a') PARTITION BY LIST (v);
DROP TABLE by_text;

-- statistics
SELECT citus_update_table_statistics('broken');
SELECT sum(row_count), min(min_value::int), max(max_value::int), bool_and(size_bytes >= 0) FROM cz.shard_statistics;
SET client_min_messages = warning;
DROP SCHEMA "App Data" CASCADE;
DROP TABLE c1, c2, c3, c4, c5, c6, c7, c8, r1, fresh, broken;
SELECT count(*) FROM cz.tables;
SELECT count(*) FROM cz.colocation;
SELECT count(*) FROM cz.shard_statistics;
DROP OWNED BY cz_distribute_reader;
DROP ROLE cz_distribute_reader;
\c cz_distribute postgres 127.0.0.1 :worker1_port
SELECT count(*) AS left_on_worker FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'r' AND relname <> 'cz_object';
SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database();
