-- What a DROP tells names objects of the user: not the shards, nor the map, of a table
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE COLLATION plain (provider = libc, locale = 'C');
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION is_fine(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0';
CREATE TABLE t (k int PRIMARY KEY, s kind, l kind[], p positive, c text COLLATE plain, g int GENERATED ALWAYS AS (twice(k)) STORED, CHECK (is_fine(k)));
CREATE TABLE r (k int, at date, s kind, g int GENERATED ALWAYS AS (twice(k)) STORED, CONSTRAINT fine CHECK (is_fine(k)), PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE r1 PARTITION OF r FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE r2 PARTITION OF r DEFAULT;
SELECT create_distributed_table('t', 'k');
SELECT create_distributed_table('r', 'k');
INSERT INTO t SELECT i, 'a', '{b}', i, i FROM generate_series(1, 9) i;
INSERT INTO r SELECT i, '2026-01-28'::date + i, 'a' FROM generate_series(1, 9) i;
CREATE VIEW v AS SELECT k, s FROM t;
-- error
DROP TYPE kind;
-- error
DROP DOMAIN positive;
-- error
DROP COLLATION plain;
-- error
DROP FUNCTION twice(int);
-- error
DROP FUNCTION is_fine(int);
-- all ways to alter a column that something hangs on
ALTER TABLE t ALTER l TYPE kind[] USING l || l;
ALTER TABLE t ALTER p TYPE int USING p * 10;
ALTER TABLE t ALTER p TYPE positive, ADD s2 kind DEFAULT 'b', ADD CONSTRAINT odd CHECK (is_fine(p));
ALTER TABLE t DROP CONSTRAINT odd, ADD CONSTRAINT odd CHECK (is_fine(p));
ALTER TABLE t RENAME CONSTRAINT odd TO "Odd";
ALTER TABLE t RENAME s2 TO "S 2";
-- error
ALTER TABLE t ALTER s TYPE text;
ALTER TABLE t ALTER l TYPE text[] USING l::text[], ALTER c TYPE varchar(20) COLLATE plain;
ALTER TABLE r ALTER s TYPE text, ADD s2 kind;
ALTER TABLE r ALTER s TYPE kind USING s::kind;
-- error
DROP TYPE kind;
-- error
DROP FUNCTION is_fine(int);
SELECT count(*) FROM cz_check_shards('t');
SELECT count(*) FROM cz_check_shards('r');
BEGIN;
-- notices
DROP FUNCTION is_fine(int) CASCADE;
INSERT INTO t (k) VALUES (-1);
INSERT INTO r (k, at) VALUES (-1, '2026-01-01');
SELECT count(*) FROM cz_check_shards('t');
SELECT count(*) FROM cz_check_shards('r');
-- notices
DROP TYPE kind CASCADE;
SELECT * FROM t ORDER BY k;
SELECT * FROM r ORDER BY k;
-- notices
DROP FUNCTION twice(int) CASCADE;
-- notices
DROP COLLATION plain CASCADE;
-- notices
DROP DOMAIN positive CASCADE;
SELECT * FROM t ORDER BY k;
SELECT * FROM r ORDER BY k;
SELECT count(*) FROM cz_check_shards('t');
SELECT count(*) FROM cz_check_shards('r');
ROLLBACK;
SELECT * FROM t ORDER BY k;
SELECT * FROM r ORDER BY k;
-- the owner of a table is not told to own its shards
CREATE ROLE cz_drop_messages_a;
CREATE ROLE cz_drop_messages_b;
GRANT CREATE ON SCHEMA t_drop_messages TO cz_drop_messages_a, cz_drop_messages_b;
ALTER TABLE t OWNER TO cz_drop_messages_a;
ALTER TABLE r OWNER TO cz_drop_messages_a;
-- error
DROP ROLE cz_drop_messages_a;
REASSIGN OWNED BY cz_drop_messages_a TO cz_drop_messages_b;
REVOKE CREATE ON SCHEMA t_drop_messages FROM cz_drop_messages_a;
DROP ROLE cz_drop_messages_a;
-- error
DROP ROLE cz_drop_messages_b;
BEGIN;
GRANT USAGE ON SCHEMA t_drop_messages TO cz_drop_messages_b;
SET LOCAL ROLE cz_drop_messages_b;
INSERT INTO t (k) VALUES (100) RETURNING g;
TRUNCATE r;
COMMIT;
-- notices
DROP OWNED BY cz_drop_messages_b CASCADE;
DROP ROLE cz_drop_messages_b;
-- notices
DROP TYPE kind CASCADE;
