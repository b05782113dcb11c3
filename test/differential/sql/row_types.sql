-- Row types of distributed tables as types of columns elsewhere: what ALTER TABLE makes of them.
CREATE TABLE point_of (f1 int, d int);
CREATE TABLE uses (k int, f2 point_of, many point_of[]);
-- cluster: SET cz.shard_count = 4
SELECT create_distributed_table('point_of', 'f1'), create_distributed_table('uses', 'k');
INSERT INTO uses VALUES (1, ROW(1, 2), ARRAY[ROW(3, 4)::point_of]), (2, NULL, NULL);
-- error
ALTER TABLE point_of ADD COLUMN f2 point_of;
-- error
ALTER TABLE point_of ADD COLUMN f2 uses;
-- error
ALTER TABLE point_of ADD COLUMN with_value int DEFAULT 1;
-- error
ALTER TABLE point_of ADD COLUMN with_value int GENERATED ALWAYS AS (1) STORED;
-- error
ALTER TABLE point_of ALTER d TYPE uses;
-- error
ALTER TABLE point_of ALTER d TYPE bigint;
ALTER TABLE point_of RENAME f1 TO g;
SELECT (f2).g FROM uses ORDER BY 1;
SELECT k FROM uses WHERE (f2).g = 1;
SELECT (many[1]).* FROM uses ORDER BY k;
-- error
SELECT (f2).f1 FROM uses;
ALTER TABLE point_of DROP COLUMN d;
SELECT (f2).* FROM uses ORDER BY 1;
ALTER TABLE point_of ADD COLUMN x int, ADD COLUMN y text;
INSERT INTO uses VALUES (3, ROW(1, 2, 'y'), ARRAY[ROW(3, 4, 'yy')::point_of]) RETURNING *;
SELECT * FROM uses ORDER BY k;
UPDATE uses SET f2.x = 7 WHERE k = 1 RETURNING f2;
SELECT k FROM uses WHERE (f2).x > 1 ORDER BY k;
ALTER TABLE point_of RENAME TO renamed;
SELECT (f2).y FROM uses WHERE (f2).x IS NOT NULL ORDER BY k;
INSERT INTO uses VALUES (4, ROW(1, 2, 'z')::renamed, NULL);
BEGIN;
ALTER TABLE renamed RENAME g TO h;
SELECT max((f2).h) FROM uses;
SAVEPOINT a;
ALTER TABLE renamed ADD COLUMN more int;
INSERT INTO uses VALUES (5, ROW(1, 2, 'z', 9), NULL);
SELECT (f2).more FROM uses WHERE k = 5;
ROLLBACK TO a;
SELECT max((f2).h) FROM uses;
ROLLBACK;
SELECT max((f2).g) FROM uses;
CREATE SCHEMA row_types_other;
ALTER TABLE renamed SET SCHEMA row_types_other;
SELECT (f2).y FROM uses WHERE (f2).x IS NOT NULL ORDER BY k;
INSERT INTO uses VALUES (6, ROW(1, 2, 'z')::row_types_other.renamed, NULL);
-- error
ALTER TABLE row_types_other.renamed ALTER x TYPE bigint;
-- error
ALTER TABLE row_types_other.renamed ALTER g TYPE bigint;
-- error
ALTER TABLE row_types_other.renamed ADD COLUMN s serial;
ALTER TABLE row_types_other.renamed DROP COLUMN x, ADD COLUMN z varchar(10);
INSERT INTO uses VALUES (7, ROW(1, 'y', 'abc'), NULL);
ALTER TABLE uses ADD COLUMN another row_types_other.renamed;
CREATE TABLE uses2 (k int, c row_types_other.renamed);
SELECT create_distributed_table('uses2', 'k');
INSERT INTO uses2 SELECT k, f2 FROM uses;
SELECT k, (c).z FROM uses2 ORDER BY k;
-- the distribution column of the table whose rows they are
ALTER TABLE row_types_other.renamed DROP COLUMN g;
SELECT * FROM uses ORDER BY k;
SELECT object, expected, found FROM cz_check_shards('uses');
-- a partitioned one, and a reference table
CREATE TABLE parted (k int, d int) PARTITION BY RANGE (d);
CREATE TABLE ref (id int, v text);
CREATE TABLE uses3 (k int, p parted, r ref);
SELECT create_distributed_table('parted', 'k'), create_reference_table('ref'), create_distributed_table('uses3', 'k');
INSERT INTO uses3 VALUES (1, ROW(1, 2), ROW(1, 'a'));
ALTER TABLE parted ADD COLUMN e text;
ALTER TABLE parted RENAME COLUMN d TO dd;
ALTER TABLE ref ADD COLUMN w int;
ALTER TABLE ref RENAME COLUMN v TO vv;
INSERT INTO uses3 VALUES (2, ROW(1, 2, 'e'), ROW(1, 'a', 5));
SELECT (p).dd, (p).e, (r).vv, (r).w FROM uses3 ORDER BY k;
ALTER TABLE ref RENAME TO ref2;
ALTER TABLE parted RENAME TO parted2;
SELECT (p).dd, (p).e, (r).vv, (r).w FROM uses3 ORDER BY k;
SELECT object, expected, found FROM cz_check_shards('uses3');
DROP TABLE uses, uses2;
DROP SCHEMA row_types_other CASCADE;
