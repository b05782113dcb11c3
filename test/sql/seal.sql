-- Sealed shards: queries leave them out, workers keep rows outside away, and what changes the
-- shards keeps the seal right or removes it.
\set dbname cz_seal
\i sql/include/worker_database.inc
\i sql/include/workers.inc
\set VERBOSITY terse
SET cz.shard_count = 4;
SET cz.shard_replication_factor = 2;
CREATE FUNCTION fragments(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line LIKE '%Fragments:%' THEN RETURN trim(line); END IF;
  END LOOP;
  RETURN 'none';
END $$;
CREATE TABLE h (k int PRIMARY KEY, v text);
SELECT create_distributed_table('h', 'k');
INSERT INTO h SELECT i, 'v' || i FROM generate_series(1, 400) i;
SELECT count(cz_seal_shard(shardid)) FROM pg_dist_shard WHERE logicalrelid = 'h'::regclass;
SELECT min_value::int < 20 AS low, max_value::int > 380 AS high, sealed, row_count > 50 AS filled FROM cz_shard_ranges WHERE table_name = 'h'::regclass;
-- no worker is asked for what is outside of all of them; what is inside is
SELECT condition, fragments('SELECT * FROM h WHERE ' || condition) FROM unnest(ARRAY[
  'k > 1000', 'k < 0', 'k BETWEEN 500 AND 600', 'k = 700', 'k IN (700, 800)', 'k > 300', 'k > 1000 OR k < 0', 'k > 1000 OR v = ''v1''',
  'k IS NULL', 'k > 1000 IS NOT TRUE', 'k::bigint > 100000000000', 'k > 1000 AND v = ''x''']) condition;
SELECT count(*), sum(k) FROM h WHERE k > 1000;
SELECT count(*) FROM h WHERE k > 390;
SELECT count(*) FROM h a LEFT JOIN h b ON a.k = b.k AND b.k > 1000;
SELECT count(*) FROM h a JOIN h b USING (k) WHERE a.k > 1000;
SELECT count(*) FROM h a FULL JOIN h b ON a.k = b.k AND b.k > 1000;
SELECT (SELECT count(*) FROM h WHERE k > 1000), EXISTS (SELECT FROM h WHERE k > 1000);
UPDATE h SET v = 'x' WHERE k > 1000;
DELETE FROM h WHERE k > 1000;
SELECT fragments('UPDATE h SET v = ''x'' WHERE k > 1000');
PREPARE p AS SELECT count(*) FROM h WHERE k > 1000;
EXECUTE p;
-- a snapshot of before the seal may show others
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT fragments('SELECT * FROM h WHERE k > 1000');
COMMIT;
-- writes inside are as always
INSERT INTO h VALUES (100, 'again') ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING *;
-- one outside removes the seal first
INSERT INTO h VALUES (5000, 'far');
SELECT count(*) AS sealed FROM cz_shard_ranges WHERE sealed;
SELECT * FROM h WHERE k > 1000;
EXECUTE p;
SELECT fragments('SELECT * FROM h WHERE k > 1000');
SELECT * FROM cz_check_shards();
-- in whichever way it is written
CREATE FUNCTION reseal() RETURNS bigint LANGUAGE sql AS
  $$ SELECT count(cz_seal_shard(shardid)) FROM pg_dist_shard WHERE logicalrelid = 'h'::regclass $$;
CREATE FUNCTION seals() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM cz.sealed_shards';
SELECT reseal();
INSERT INTO h SELECT i, 'several' FROM generate_series(6001, 6040) i;
SELECT seals(), reseal();
COPY h FROM STDIN (FORMAT csv);
7001,a
7002,a
7003,a
7004,a
7005,a
7006,a
7007,a
7008,a
\.
SELECT seals(), reseal();
INSERT INTO h SELECT i, 'conflict' FROM generate_series(8001, 8040) i ON CONFLICT (k) DO UPDATE SET v = 'twice';
SELECT seals(), reseal();
UPDATE h SET k = 9001 WHERE k = 8001;
SELECT seals() < 4 AS unsealed, reseal();
PREPARE one(int) AS INSERT INTO h VALUES ($1, 'prepared') RETURNING k;
EXECUTE one(10001);
SELECT seals(), reseal();
CREATE TABLE g (k int, v text);
SELECT create_distributed_table('g', 'k', colocate_with => 'h');
INSERT INTO g SELECT i, 'other table' FROM generate_series(11001, 11040) i;
INSERT INTO h SELECT * FROM g;
SELECT seals(), reseal();
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := ''trigger''; RETURN NEW; END';
CREATE TRIGGER tr BEFORE INSERT ON h FOR EACH ROW EXECUTE FUNCTION f();
INSERT INTO h SELECT i FROM generate_series(12001, 12040) i;
SELECT seals(), reseal();
DROP TRIGGER tr ON h;
-- a transaction that has written there removes them by itself, and has not if it is rolled back
BEGIN;
INSERT INTO h SELECT i, 'in' FROM generate_series(401, 440) i;
INSERT INTO h SELECT i, 'out' FROM generate_series(13001, 13040) i;
SELECT seals(), count(*) FROM h WHERE k > 13000;
COPY h FROM STDIN;
14001	a
14002	a
\.
ROLLBACK;
SELECT seals(), count(*) FROM h WHERE k > 13000;
SELECT fragments('SELECT * FROM h WHERE k > 13000');
-- rows that other rows of the table become, or that a MERGE makes of them, are refused once;
-- a background worker removes the seal then
CREATE PROCEDURE try(command text) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 600 LOOP
    BEGIN
      EXECUTE command;
      EXIT;
    EXCEPTION WHEN serialization_failure OR deadlock_detected THEN
      PERFORM pg_sleep(0.1);
    END;
    COMMIT;
  END LOOP;
END $$;
CALL try('UPDATE h SET k = k + 15000 WHERE k BETWEEN 8002 AND 8012');
CALL try('MERGE INTO h USING (SELECT k + 20000 AS k FROM g) x ON h.k = x.k WHEN NOT MATCHED THEN INSERT VALUES (x.k, ''merged'')');
SELECT count(*) FROM h WHERE k > 15000;
SELECT seals(), reseal();
-- who is not the owner removes them, too
CREATE ROLE cz_seal_writer;
GRANT INSERT ON h TO cz_seal_writer;
SET ROLE cz_seal_writer;
INSERT INTO h SELECT i, 'not the owner' FROM generate_series(50001, 50040) i;
RESET ROLE;
REVOKE ALL ON h FROM cz_seal_writer;
DROP ROLE cz_seal_writer;
SELECT seals(), count(*) FROM h WHERE k > 50000;
-- a split removes the seal of the shard
SELECT reseal();
SELECT cz_split_shard(min(shardid)) FROM pg_dist_shard WHERE logicalrelid = 'h'::regclass;
SELECT seals();
SELECT * FROM cz_check_shards();
DROP TABLE g;
SELECT alter_distributed_table('h', shard_count => 4);
DELETE FROM h WHERE k > 1000;
SELECT count(cz_seal_shard(shardid)) FROM pg_dist_shard WHERE logicalrelid = 'h'::regclass;
SELECT cz_unseal_shard(min(shardid)) FROM pg_dist_shard WHERE logicalrelid = 'h'::regclass;
-- TRUNCATE leaves it; the column may get another name
TRUNCATE h;
INSERT INTO h SELECT i, 'v' || i FROM generate_series(200, 300) i;
ALTER TABLE h RENAME COLUMN k TO kk;
SELECT fragments('SELECT * FROM h WHERE kk > 1000');
-- copies have it, too
SELECT shardid AS s, nodeport AS source FROM pg_dist_shard_placement JOIN cz.sealed_shards ON shard_id = shardid ORDER BY 1, 2 LIMIT 1 \gset
SELECT nodeport AS target FROM pg_dist_node WHERE nodeport NOT IN (SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = :s) LIMIT 1 \gset
SELECT citus_move_shard_placement(:s, '127.0.0.1', :source, '127.0.0.1', :target, 'block_writes');
\c cz_seal postgres 127.0.0.1 :target
SET client_min_messages = warning;
SELECT count(*) FROM pg_constraint WHERE conname = 'cz_seal' AND conrelid = ('cz_shards.h_' || :s)::regclass;
\c cz_seal postgres 127.0.0.1 :coordinator_port
\set VERBOSITY terse
SELECT cz_unseal_shard(:s);
SELECT count(*) FROM cz.sealed_shards;
SELECT count(cz_unseal_shard(shard_id)) FROM cz.sealed_shards;
SELECT cz_unseal_shard(:s);
-- within a transaction, rolled back
BEGIN;
SELECT cz_seal_shard(:s);
SELECT fragments('SELECT * FROM h WHERE kk > 1000');
ROLLBACK;
SELECT fragments('SELECT * FROM h WHERE kk > 1000');
-- another type of the column: other shards, no seal
SELECT cz_seal_shard(:s);
ALTER TABLE h ALTER COLUMN kk TYPE bigint;
SELECT count(*) FROM cz.sealed_shards;

-- append: what is appended to a sealed shard removes its seal
SET cz.shard_replication_factor = 2;
CREATE TABLE a (d date, v int);
SELECT create_distributed_table('a', 'd', 'append');
CREATE TABLE stage (d date, v int);
INSERT INTO stage VALUES ('2024-01-05', 1), ('2024-01-10', 2);
SELECT cz_append_table('a', 'stage') AS s1 \gset
UPDATE stage SET d = d + 31;
SELECT cz_append_table('a', 'stage') AS s2 \gset
SELECT cz_seal_shard(:s1), cz_seal_shard(:s2);
SELECT fragments('SELECT * FROM a WHERE d = ''2024-01-12'''), fragments('SELECT * FROM a WHERE d > ''2024-01-06''');
UPDATE stage SET d = '2024-01-07';
SELECT cz_append_table('a', 'stage');
SELECT lower_bound, upper_bound, row_count, sealed FROM cz_shard_ranges WHERE table_name = 'a'::regclass;
DROP TABLE a;
SELECT count(*) FROM cz.sealed_shards;

-- refusals
CREATE TABLE t (k text COLLATE "en-x-icu");
SELECT create_distributed_table('t', 'k');
CREATE TABLE c (k text COLLATE "C");
SELECT create_distributed_table('c', 'k');
INSERT INTO t VALUES ('a');
INSERT INTO c SELECT i::text FROM generate_series(1, 100) i;
SELECT cz_seal_shard(get_shard_id_for_distribution_column('t', 'a'));
SELECT count(cz_seal_shard(shardid)) FROM pg_dist_shard WHERE logicalrelid = 'c'::regclass;
SELECT fragments('SELECT * FROM c WHERE k > ''zzz''');
CREATE TABLE e (k int);
SELECT create_distributed_table('e', 'k');
SELECT cz_seal_shard(get_shard_id_for_distribution_column('e', 1));
SELECT cz_seal_shard(1);
CREATE ROLE cz_seal_other;
SET ROLE cz_seal_other;
SELECT cz_seal_shard(min(shardid)) FROM cz_shard_ranges WHERE sealed;
SELECT cz_unseal_shard(min(shardid)) FROM cz_shard_ranges WHERE sealed;
RESET ROLE;
DROP ROLE cz_seal_other;
\c postgres
DROP DATABASE cz_seal WITH (FORCE);
