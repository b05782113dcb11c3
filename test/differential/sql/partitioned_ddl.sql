-- Partitioned tables: owners, schemas, names, privileges, policies, forms of ALTER TABLE
CREATE SCHEMA other_place;
CREATE TABLE ev (junk int, k int NOT NULL, t int NOT NULL, v text DEFAULT 'root', n numeric, CONSTRAINT ev_pk PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
ALTER TABLE ev DROP COLUMN junk;
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (n numeric, v text, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE TABLE evd PARTITION OF ev DEFAULT;
SELECT create_distributed_table('ev', 'k');
INSERT INTO ev SELECT i % 20, i % 40, 'v' || i % 4, i FROM generate_series(0, 29) i;
-- columns
ALTER TABLE ev ADD COLUMN c1 int;
ALTER TABLE ev ADD COLUMN c2 int DEFAULT 7, ADD COLUMN c3 text NOT NULL DEFAULT 'x';
ALTER TABLE ev ADD COLUMN IF NOT EXISTS c1 text;
-- error
ALTER TABLE ev1 ADD COLUMN c4 int;
-- error
ALTER TABLE ONLY ev ADD COLUMN c4 int;
ALTER TABLE ev ALTER c1 SET DEFAULT 5;
ALTER TABLE ev2 ALTER c1 SET DEFAULT 6;
INSERT INTO ev (k, t) VALUES (50, 5), (51, 15) RETURNING *;
INSERT INTO ev2 (k, t) VALUES (52, 15) RETURNING *;
ALTER TABLE ev ALTER c1 DROP DEFAULT;
INSERT INTO ev2 (k, t) VALUES (53, 15) RETURNING *;
ALTER TABLE ev ALTER c2 SET NOT NULL;
-- error
ALTER TABLE ev2 ALTER c2 DROP NOT NULL;
-- error
ALTER TABLE ev2 ALTER n SET NOT NULL;
-- error
-- may differ: which of several partitions complains first
ALTER TABLE ev ALTER c1 SET NOT NULL;
ALTER TABLE ev ALTER c2 DROP NOT NULL;
-- error
INSERT INTO ev (k, t, c3) VALUES (54, 5, NULL);
ALTER TABLE ev ALTER c2 TYPE bigint;
ALTER TABLE ev ALTER c1 TYPE text USING 'c' || c1;
-- error
ALTER TABLE ev ALTER v TYPE int USING v::int;
-- error
ALTER TABLE ev ALTER t TYPE bigint;
-- error
ALTER TABLE ev1 ALTER c1 TYPE varchar;
ALTER TABLE ev RENAME COLUMN c1 TO renamed;
-- error
ALTER TABLE ev1 RENAME COLUMN renamed TO again;
SELECT renamed, c2, c3 FROM ev ORDER BY k, t LIMIT 3;
ALTER TABLE ev DROP COLUMN renamed;
-- error
ALTER TABLE ev DROP COLUMN t;
-- error
ALTER TABLE ev1 DROP COLUMN c2;
ALTER TABLE ev DROP COLUMN IF EXISTS nope;
ALTER TABLE ev ALTER v SET STATISTICS 50, ALTER v SET STORAGE EXTERNAL, ALTER n SET (n_distinct_inherited = -0.5);
ALTER TABLE ev1 ALTER v SET STATISTICS 60, ALTER v SET STORAGE MAIN;
ALTER TABLE ev ALTER v SET COMPRESSION pglz;
SELECT attrelid::regclass, attstattarget, attstorage, attcompression FROM pg_attribute WHERE attname = 'v' AND attrelid IN ('ev'::regclass, 'ev1'::regclass, 'ev2'::regclass, 'ev3a'::regclass) ORDER BY 1;
-- constraints
ALTER TABLE ev ADD CONSTRAINT ck CHECK (n IS NULL OR n >= 0);
-- error
ALTER TABLE ev ADD CONSTRAINT ck2 CHECK (t <> 3);
-- error
ALTER TABLE ev ADD CONSTRAINT ck4 CHECK (k > 0) NO INHERIT;
ALTER TABLE ev ADD CONSTRAINT ck3 CHECK (t <> 3) NOT VALID;
-- error
ALTER TABLE ev VALIDATE CONSTRAINT ck3;
ALTER TABLE ev1 ADD CONSTRAINT ck1 CHECK (t < 100);
-- error
ALTER TABLE ev1 DROP CONSTRAINT ck;
ALTER TABLE ev RENAME CONSTRAINT ck TO ck_renamed;
-- error
INSERT INTO ev (k, t, n) VALUES (1, 9, -1);
ALTER TABLE ev DROP CONSTRAINT ck3, DROP CONSTRAINT ck_renamed;
ALTER TABLE ev1 DROP CONSTRAINT ck1;
INSERT INTO ev (k, t, n) VALUES (1, 9, -1);
ALTER TABLE ev ADD CONSTRAINT u UNIQUE (k, t, v);
-- error
ALTER TABLE ev ADD CONSTRAINT u2 UNIQUE (k);
ALTER TABLE ev2 ADD CONSTRAINT u3 UNIQUE (k, n);
-- error
ALTER TABLE ev2 DROP CONSTRAINT ev2_k_t_v_key;
ALTER TABLE ev DROP CONSTRAINT u;
ALTER TABLE ev2 DROP CONSTRAINT u3;
ALTER TABLE ev DROP CONSTRAINT ev_pk;
INSERT INTO ev (k, t) VALUES (50, 5);
DELETE FROM ev WHERE k = 50;
ALTER TABLE ev ADD PRIMARY KEY (t, k);
-- error
INSERT INTO ev (k, t, n) VALUES (1, 9, 1);
-- indexes
CREATE INDEX ix ON ev (v);
CREATE INDEX ix2 ON ev2 (n) WHERE n > 5;
CREATE UNIQUE INDEX ux ON ev (k, t, n);
CREATE INDEX ixe ON ev (lower(v));
ALTER INDEX ix RENAME TO ix_renamed;
ALTER INDEX ev2_v_idx RENAME TO ev2_ix;
-- error
DROP INDEX ev1_v_idx;
CREATE INDEX io ON ONLY ev (n);
CREATE INDEX io1 ON ev1 (n);
ALTER INDEX io ATTACH PARTITION io1;
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid IN ('ev'::regclass, 'ev1'::regclass) ORDER BY 1;
DROP INDEX ix_renamed, ix2, ux, ixe, io;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid IN ('ev'::regclass, 'ev1'::regclass, 'ev2'::regclass) ORDER BY 1;
-- names and schemas
ALTER TABLE ev RENAME TO "Ev ents";
SELECT count(*) FROM "Ev ents";
ALTER TABLE "Ev ents" RENAME TO ev;
ALTER TABLE ev2 RENAME TO ev_two;
INSERT INTO ev_two (k, t, n) VALUES (60, 11, 1) RETURNING tableoid::regclass, *;
ALTER TABLE ev_two RENAME TO ev2;
ALTER TABLE ev2 SET SCHEMA other_place;
INSERT INTO other_place.ev2 (k, t, n) VALUES (61, 11, 1);
SELECT tableoid = 'other_place.ev2'::regclass, k FROM ev WHERE k = 61;
ALTER TABLE ev SET SCHEMA other_place;
SELECT count(*) FROM other_place.ev;
SELECT count(*) FROM ev1;
ALTER TABLE other_place.ev SET SCHEMA public;
SELECT count(*) FROM public.ev;
INSERT INTO public.ev (k, t, n) VALUES (62, 12, 1), (63, 2, 2);
ALTER TABLE public.ev RENAME TO ev_moved;
ALTER TABLE public.ev_moved SET SCHEMA other_place;
ALTER TABLE other_place.ev_moved RENAME TO ev;
SELECT count(*) FROM other_place.ev;
COMMENT ON TABLE other_place.ev IS 'root';
COMMENT ON TABLE ev1 IS 'part';
COMMENT ON COLUMN other_place.ev.v IS 'col';
SELECT obj_description('other_place.ev'::regclass), obj_description('ev1'::regclass), col_description('other_place.ev'::regclass, 4);
-- transactions
BEGIN;
ALTER TABLE other_place.ev ADD COLUMN tx int DEFAULT 1;
SAVEPOINT s;
ALTER TABLE other_place.ev RENAME COLUMN tx TO txx;
CREATE TABLE ev4 PARTITION OF other_place.ev FOR VALUES FROM (100) TO (110);
INSERT INTO other_place.ev (k, t, n) VALUES (1, 105, 1) RETURNING tableoid::regclass, txx;
ROLLBACK TO s;
SELECT sum(tx) > 0 FROM other_place.ev;
DROP TABLE ev3a;
SELECT count(*) FROM other_place.ev;
ROLLBACK;
SELECT count(*) FROM other_place.ev;
SELECT count(*) FROM cz_check_shards('other_place.ev');
-- storage parameters, replica identity, others
-- error
ALTER TABLE other_place.ev SET (fillfactor = 50);
-- error
ALTER TABLE other_place.ev SET LOGGED, SET (nope = 1);
ALTER TABLE ev1 SET (fillfactor = 50, autovacuum_enabled = false);
ALTER TABLE ev1 RESET (fillfactor);
ALTER TABLE other_place.ev ENABLE ROW LEVEL SECURITY;
ALTER TABLE other_place.ev DISABLE ROW LEVEL SECURITY;
ALTER TABLE ev1 DISABLE TRIGGER ALL;
ALTER TABLE ev1 ENABLE TRIGGER USER;
-- detached, attached
ALTER TABLE other_place.ev DETACH PARTITION ev1;
SELECT count(*) FROM ev1;
ALTER TABLE ev1 ADD COLUMN own int DEFAULT 3;
UPDATE ev1 SET own = 4 WHERE k < 5;
ALTER TABLE ev1 DROP COLUMN own;
SELECT count(*) FROM other_place.ev;
DROP TABLE ev1;
DROP TABLE other_place.ev CASCADE;
