-- ALTER TABLE gives the distribution column another type or other values: the rows belong to
-- other shards, and all that the table has stays.
CREATE TABLE t (k int PRIMARY KEY, v text, w int DEFAULT 1, gone int);
ALTER TABLE t DROP COLUMN gone;
CREATE INDEX t_v ON t (v);
CREATE UNIQUE INDEX t_kw ON t (w, k) WHERE w > 0;
CREATE TABLE u (k bigint PRIMARY KEY, x text);
-- cluster: SET cz.shard_count = 4
SELECT create_distributed_table('t', 'k'), create_distributed_table('u', 'k');
INSERT INTO t SELECT i, 'v' || i % 7, i % 3 FROM generate_series(1, 60) i;
INSERT INTO u SELECT i, 'x' || i FROM generate_series(1, 60) i;
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END $$;
CREATE TRIGGER seen BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION seen();
CREATE VIEW t_view AS SELECT v FROM t;
CREATE STATISTICS t_stat ON v, w FROM t;
COMMENT ON COLUMN t.k IS 'the key';
PREPARE p(int) AS SELECT * FROM t WHERE k = $1;
EXECUTE p(7);
BEGIN;
INSERT INTO t VALUES (100, 'new', 2);
SAVEPOINT a;
ALTER TABLE t ALTER k TYPE bigint;
SELECT * FROM t ORDER BY k;
INSERT INTO t VALUES (10000000000, 'large', 1);
UPDATE t SET w = 5 WHERE k = 10000000000 RETURNING *;
ROLLBACK TO a;
SELECT count(*), max(k) FROM t;
-- error
INSERT INTO t VALUES (10000000000, 'large', 1);
ROLLBACK;
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'k';
ALTER TABLE t ALTER k TYPE bigint;
SELECT object, expected, found FROM cz_check_shards('t');
-- error
EXECUTE p(7);
SELECT * FROM t WHERE k = 7;
SELECT t.v, u.x FROM t JOIN u USING (k) WHERE w = 1 ORDER BY 1, 2;
SELECT * FROM t_view ORDER BY 1;
SELECT col_description('t'::regclass, 1), (SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = 't'::regclass);
-- error
INSERT INTO t VALUES (7, 'again', 1);
UPDATE t SET w = w + 1 WHERE k < 4 RETURNING *;
-- several at once, also with values that are made here
ALTER TABLE t ALTER k TYPE text USING 'k' || lpad(k::text, 3, '0'), ADD CHECK (w < 100), ADD n serial, ALTER w TYPE bigint, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (k, n);
SELECT k, v, w, n > 0 FROM t ORDER BY k;
SELECT count(DISTINCT n) FROM t;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('t');
SELECT v FROM t WHERE k = 'k007';
-- the same type, other values
ALTER TABLE t ALTER k TYPE text USING upper(k);
SELECT count(*) FROM t WHERE k = 'K007';
SELECT count(*) FROM t WHERE k = 'k007';
ALTER TABLE t ALTER k TYPE varchar(10) COLLATE "C";
SELECT k FROM t WHERE k BETWEEN 'K010' AND 'K015' ORDER BY 1;
-- error
ALTER TABLE t ALTER k TYPE varchar(2);
-- error
ALTER TABLE t ALTER k TYPE int;
-- error
ALTER TABLE t ALTER k TYPE int USING substr(k, 3)::int / 0;
-- error
ALTER TABLE t ALTER k TYPE int USING 1, ADD UNIQUE (k);
SELECT count(*), min(k) FROM t;
CREATE VIEW t_keys AS SELECT k FROM t;
-- error
ALTER TABLE t ALTER k TYPE text;
DROP VIEW t_keys;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
-- error
ALTER TABLE t ALTER k TYPE positive USING substr(k, 2)::int - 5;
ALTER TABLE t ALTER k TYPE positive USING substr(k, 2)::int;
SELECT v FROM t WHERE k = 8;
-- error
INSERT INTO t (k, v) VALUES (-1, 'no');
-- error
ALTER TABLE t ALTER COLUMN nothing TYPE int, ALTER k TYPE bigint;
BEGIN;
-- differs: no hash of its own
ALTER TABLE t ALTER k TYPE point USING point(k, k), DROP CONSTRAINT t_pkey, DROP COLUMN w;
ROLLBACK;
-- only its owner
CREATE ROLE diff_alter_key;
GRANT ALL ON t TO diff_alter_key;
SET ROLE diff_alter_key;
-- error
ALTER TABLE t ALTER k TYPE bigint;
RESET ROLE;
DROP OWNED BY diff_alter_key;
DROP ROLE diff_alter_key;
-- an open cursor
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM t;
FETCH 0 FROM c;
-- error
ALTER TABLE t ALTER k TYPE bigint;
ROLLBACK;
-- policies of a table that its owner is subject to
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
ALTER TABLE t FORCE ROW LEVEL SECURITY;
CREATE POLICY visible ON t USING (w > 1);
ALTER TABLE t ALTER k TYPE bigint;
SELECT count(*) FROM t;
-- identity, generated columns
CREATE TABLE i (a smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b int, c int GENERATED ALWAYS AS (b * 2) STORED);
SELECT create_distributed_table('i', 'a');
INSERT INTO i (b) SELECT j FROM generate_series(1, 20) j;
ALTER TABLE i ALTER a TYPE int;
INSERT INTO i (b) VALUES (21) RETURNING *;
SELECT seqtypid::regtype FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('i', 'a')::regclass;
-- error
ALTER TABLE i ALTER a TYPE text;
SELECT * FROM i ORDER BY a;
DROP TABLE t, u, i CASCADE;
DROP DOMAIN positive;
