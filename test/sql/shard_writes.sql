-- Rows that core's tuple routing gives to shards: INSERT and COPY through the
-- distributed table, with everything that looks at rows on the way; and what
-- nobody may do to a shard directly.
\i sql/include/workers.inc
CREATE SCHEMA shard_writes;
SET search_path TO shard_writes;
SET cz.shard_count = 4;
SET client_min_messages TO warning;
CREATE TABLE events (
	id bigserial,
	gone int,
	tenant int NOT NULL,
	kind text DEFAULT 'none',
	doubled int GENERATED ALWAYS AS (tenant * 2) STORED,
	CHECK (tenant < 1000)
);
ALTER TABLE events DROP COLUMN gone;
SELECT create_distributed_table('events', 'tenant');
RESET client_min_messages;

-- INSERT
INSERT INTO events (tenant) VALUES (1), (2), (3)
	RETURNING id, tenant, kind, doubled, tableoid::regclass, (SELECT tableoid::regclass::text || relname FROM pg_class c WHERE oid = events.tableoid);
INSERT INTO events (tenant, kind) SELECT i, 'many' FROM generate_series(4, 500) i;
INSERT INTO events (tenant, kind) SELECT tenant, 'again' FROM events WHERE tenant <= 3;
SELECT count(*), count(DISTINCT id), sum(doubled) FROM events;
SELECT tenant, kind, doubled FROM events WHERE tenant = 2 ORDER BY kind;

-- an error names the row, and nothing of the statement stays
\set VERBOSITY terse
INSERT INTO events (tenant) VALUES (600), (601), (1602);
COPY events (tenant, kind) FROM stdin;
600	a
601	b
1602	c
603	d
\.
INSERT INTO events (tenant) VALUES (NULL);
\set VERBOSITY sqlstate
INSERT INTO events (tenant) VALUES (600), (601), (1602);
INSERT INTO events (tenant) VALUES (600), (NULL);
\set VERBOSITY default
SELECT count(*) FROM events WHERE tenant >= 600 OR tenant IS NULL;

-- COPY in its formats; defaults and WHERE are evaluated here
COPY events (tenant) FROM stdin;
700
701
\.
COPY events (tenant, kind) FROM stdin (FORMAT csv, HEADER, NULL '-');
tenant,kind
702,"a,b"
703,-
\.
COPY events (tenant, kind) FROM stdin WHERE tenant % 2 = 0;
704	even
705	odd
\.
SELECT id > 0 AS has_id, tenant, kind, doubled FROM events WHERE tenant >= 700 ORDER BY tenant;

-- savepoints and exception blocks
BEGIN;
INSERT INTO events (tenant, kind) VALUES (800, 'kept');
SAVEPOINT a;
INSERT INTO events (tenant, kind) VALUES (800, 'lost');
ROLLBACK TO a;
DO $$BEGIN
	INSERT INTO shard_writes.events (tenant) VALUES (801), (1801);
EXCEPTION WHEN check_violation THEN RAISE NOTICE '%', SQLSTATE;
END$$;
SELECT tenant, kind FROM events WHERE tenant >= 800;
COMMIT;
SELECT tenant, kind FROM events WHERE tenant >= 800;

-- what triggers and volatile functions see of their own statement
CREATE FUNCTION rows_so_far() RETURNS bigint LANGUAGE plpgsql VOLATILE AS
	'BEGIN RETURN (SELECT count(*) FROM shard_writes.events WHERE tenant >= 900); END';
INSERT INTO events (tenant, kind) SELECT i, rows_so_far() FROM generate_series(900, 903) i;
SELECT tenant, kind FROM events WHERE tenant >= 900 ORDER BY tenant;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % %: %, % rows', TG_WHEN, TG_OP, TG_LEVEL,
		CASE WHEN TG_LEVEL = 'ROW' THEN NEW.tenant END, shard_writes.rows_so_far();
	IF TG_LEVEL = 'ROW' AND NEW.tenant = 912 THEN
		RETURN NULL;
	END IF;
	RETURN NEW;
END$$;
CREATE TRIGGER t1 BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER t2 AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER t3 AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION note();
INSERT INTO events (tenant) VALUES (910), (911), (912);
COPY events (tenant) FROM stdin;
912
913
914
\.
DROP TRIGGER t1 ON events;
DROP TRIGGER t2 ON events;
DROP TRIGGER t3 ON events;

-- policies of the table hold for rows that go to workers
CREATE ROLE shard_writer;
GRANT USAGE ON SCHEMA shard_writes TO shard_writer;
GRANT SELECT, INSERT ON events TO shard_writer;
GRANT USAGE ON SEQUENCE events_id_seq TO shard_writer;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON events USING (true) WITH CHECK (kind <> 'secret');
SET ROLE shard_writer;
INSERT INTO events (tenant, kind) VALUES (950, 'public'), (951, 'secret');
INSERT INTO events (tenant, kind) VALUES (950, 'public');
SELECT tenant, kind FROM events WHERE tenant >= 950;
RESET ROLE;
ALTER TABLE events DISABLE ROW LEVEL SECURITY;

-- through a view, with its check
CREATE VIEW low AS SELECT tenant, kind FROM events WHERE tenant < 980 WITH CHECK OPTION;
INSERT INTO low VALUES (970, 'by view');
INSERT INTO low VALUES (985, 'by view');
SELECT tenant FROM events WHERE kind = 'by view';

-- refused: anything on a shard itself
SELECT inhrelid::regclass AS shard FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY inhrelid LIMIT 1 \gset
INSERT INTO :shard (tenant) VALUES (1);
UPDATE :shard SET kind = 'x';
DELETE FROM :shard;
TRUNCATE :shard;
COPY :shard (tenant) FROM stdin;
1
\.
\set VERBOSITY sqlstate
INSERT INTO :shard (tenant) VALUES (1);
UPDATE :shard SET kind = 'x';
TRUNCATE :shard;
SET cz.enable_shard_ddl TO on;
-- one placement only would be changed
UPDATE :shard SET kind = 'x' || random();
DELETE FROM :shard WHERE random() < 2;
RESET cz.enable_shard_ddl;
\set VERBOSITY default

-- TRUNCATE reaches every placement of every shard, or none
BEGIN;
TRUNCATE events RESTART IDENTITY;
SELECT count(*) FROM events;
ROLLBACK;
SELECT count(*) > 0 AS has_rows FROM events;
TRUNCATE events;
SELECT count(*) FROM events;

-- what a violated constraint says of a row is for those who may read it
CREATE TABLE secrets (k int PRIMARY KEY, secret text, v int CHECK (v > 0));
SELECT create_distributed_table('secrets', 'k');
INSERT INTO secrets VALUES (1, 'hidden', 1);
GRANT INSERT, UPDATE (v) ON secrets TO shard_writer;
\set SHOW_CONTEXT never
SET ROLE shard_writer;
UPDATE secrets SET v = -1;
INSERT INTO secrets VALUES (1, 'other', 1);
RESET ROLE;
GRANT SELECT ON secrets TO shard_writer;
SET ROLE shard_writer;
UPDATE secrets SET v = -1;
RESET ROLE;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY writes ON secrets FOR INSERT WITH CHECK (true);
SET ROLE shard_writer;
INSERT INTO secrets VALUES (1, 'other', 1);
RESET ROLE;
UPDATE secrets SET v = -1;
\set SHOW_CONTEXT errors

-- rows with a key go to the other placement by key; very many, by the same text
CREATE TABLE many (k int PRIMARY KEY, v int);
SELECT create_distributed_table('many', 'k', shard_count => 2, colocate_with => 'none');
INSERT INTO many SELECT i, 0 FROM generate_series(1, 3000) i;
EXPLAIN (COSTS OFF) UPDATE many SET v = v + 1;
ANALYZE many;
EXPLAIN (COSTS OFF) UPDATE many SET v = v + 1;
EXPLAIN (COSTS OFF) UPDATE many SET v = v + 1 WHERE k < 50;
EXPLAIN (COSTS OFF) DELETE FROM many WHERE k > 1000 RETURNING k;
EXPLAIN (COSTS OFF) UPDATE many SET v = (SELECT count(*) FROM many m WHERE m.k = many.k);
UPDATE many SET v = v + 1;
SELECT count(*), sum(v) FROM many;
DROP TABLE many;

SET client_min_messages TO warning;
DROP SCHEMA shard_writes CASCADE;
DROP ROLE shard_writer;
