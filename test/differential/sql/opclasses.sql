-- Operator classes of users: in partition keys and indexes of distributed tables.
CREATE FUNCTION hash_plain(value int4, seed int8) RETURNS int8 LANGUAGE sql STRICT IMMUTABLE PARALLEL SAFE AS $$ SELECT value + seed $$;
CREATE OPERATOR CLASS plain_ops FOR TYPE int4 USING hash AS OPERATOR 1 =, FUNCTION 2 hash_plain(int4, int8);
CREATE FUNCTION hash_length(value text, seed int8) RETURNS int8 LANGUAGE sql IMMUTABLE AS $$ SELECT length(coalesce(value, ''))::int8 $$;
CREATE OPERATOR CLASS "length ops" FOR TYPE text USING hash AS OPERATOR 1 =, FUNCTION 2 hash_length(text, int8);
CREATE TABLE hp (a int, b text, c int) PARTITION BY HASH (a plain_ops, b "length ops");
CREATE TABLE hp0 PARTITION OF hp FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE hp1 PARTITION OF hp FOR VALUES WITH (MODULUS 4, REMAINDER 1);
-- cluster: SET cz.shard_count = 4
SELECT create_distributed_table('hp', 'c');
CREATE TABLE hp2 PARTITION OF hp FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE hp3 (c int, b text, a int);
INSERT INTO hp3 VALUES (4, 'xxx', 2);
ALTER TABLE hp ATTACH PARTITION hp3 FOR VALUES WITH (MODULUS 4, REMAINDER 3);
INSERT INTO hp VALUES (NULL, NULL, 0), (1, NULL, 1), (1, 'xxx', 2), (NULL, 'xxx', 3), (1, 'abcde', 5);
SELECT tableoid::regclass, * FROM hp ORDER BY c;
SELECT * FROM hp WHERE a = 1 AND b = 'abcde';
UPDATE hp SET a = a + 1 WHERE c = 5 RETURNING tableoid::regclass, *;
SELECT tableoid::regclass, * FROM hp ORDER BY c;
-- indexes, whose order is another one
CREATE FUNCTION cmp_rev(int4, int4) RETURNS int4 LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)';
CREATE OPERATOR CLASS rev FOR TYPE int4 USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 cmp_rev(int4, int4);
CREATE TABLE t (k int, v int);
CREATE TABLE r (id int, v int);
CREATE INDEX r_v ON r (v rev);
SELECT create_distributed_table('t', 'k'), create_reference_table('r');
INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO r SELECT i, i FROM generate_series(1, 100) i;
CREATE INDEX t_v ON t (v rev);
CREATE UNIQUE INDEX t_k ON t (k, v rev);
-- error
INSERT INTO t VALUES (5, 5);
SELECT count(*) FROM t WHERE v > 50;
SELECT v FROM t WHERE k = 7 ORDER BY v USING > LIMIT 1;
SELECT object, expected, found FROM cz_check_shards('t');
BEGIN;
DROP OPERATOR CLASS rev USING btree CASCADE;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass;
SELECT object, expected, found FROM cz_check_shards('t');
ROLLBACK;
ALTER OPERATOR CLASS rev USING btree RENAME TO rev2;
CREATE TABLE t2 (k int, v int);
CREATE INDEX t2_v ON t2 (v rev2);
SELECT create_distributed_table('t2', 'k');
-- error
DROP OPERATOR CLASS rev2 USING btree;
DROP OPERATOR CLASS rev2 USING btree CASCADE;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid IN ('t'::regclass, 't2'::regclass, 'r'::regclass);
SELECT object, expected, found FROM cz_check_shards('t');
-- made again, another one
CREATE FUNCTION cmp_same(int4, int4) RETURNS int4 LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($1, $2)';
CREATE OPERATOR CLASS rev2 FOR TYPE int4 USING btree FAMILY rev AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 cmp_same(int4, int4);
CREATE INDEX t_v ON t (v rev2);
SELECT v FROM t WHERE v < 4 ORDER BY v;
-- those that have operators of users stay here
CREATE FUNCTION less(int4, int4) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 < $2';
CREATE OPERATOR <<< (LEFTARG = int4, RIGHTARG = int4, FUNCTION = less);
CREATE OPERATOR CLASS own FOR TYPE int4 USING btree AS OPERATOR 1 <<<, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 cmp_same(int4, int4);
-- differs: an operator of a user
CREATE INDEX t_own ON t (v own);
SELECT object, expected, found FROM cz_check_shards('t');
