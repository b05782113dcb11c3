-- Partitioned tables: owners, privileges and policies are those of the table that a statement names
DROP ROLE IF EXISTS diff_ann, diff_bob;
CREATE ROLE diff_ann;
CREATE ROLE diff_bob;
GRANT ALL ON SCHEMA t_partitioned_roles TO diff_ann, diff_bob;
SET ROLE diff_ann;
CREATE TABLE ev (k int NOT NULL, t int NOT NULL, who text, secret text, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (secret text, who text, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
SELECT create_distributed_table('ev', 'k');
INSERT INTO ev SELECT i, i % 30, CASE WHEN i % 3 = 0 THEN 'diff_bob' ELSE 'diff_ann' END, 's' || i FROM generate_series(0, 59) i;
SET ROLE diff_bob;
-- error
SELECT count(*) FROM ev;
-- error
SELECT count(*) FROM ev1;
-- error
ALTER TABLE ev ADD COLUMN x int;
-- error
CREATE TABLE ev9 PARTITION OF ev FOR VALUES FROM (90) TO (99);
-- error
DROP TABLE ev1;
-- error
ALTER TABLE ev DETACH PARTITION ev1;
-- error
TRUNCATE ev;
-- privileges on the root are not on partitions, and the reverse
SET ROLE diff_ann;
GRANT SELECT, INSERT ON ev TO diff_bob;
GRANT SELECT (k, t), UPDATE (who) ON ev2 TO diff_bob;
SET ROLE diff_bob;
SELECT count(*) FROM ev;
INSERT INTO ev VALUES (100, 1, 'diff_bob', 'x'), (101, 11, 'diff_bob', 'x'), (102, 21, 'diff_bob', 'x') RETURNING tableoid::regclass, k;
-- error
SELECT count(*) FROM ev1;
-- error
INSERT INTO ev2 (k, t) VALUES (103, 11);
SELECT k, t FROM ev2 WHERE k < 25 ORDER BY k;
-- error
SELECT secret FROM ev2;
UPDATE ev2 SET who = 'bob' WHERE k = 101;
-- error
UPDATE ev2 SET secret = 'bob' WHERE k = 101;
-- error
UPDATE ev SET who = 'bob' WHERE k = 101;
-- error
DELETE FROM ev WHERE k = 101;
-- error
COPY ev2 TO STDOUT;
COPY (SELECT k FROM ev2 WHERE k = 101) TO STDOUT;
COPY ev (k, t) FROM STDIN;
104	4
\.
ANALYZE ev;
SET ROLE diff_ann;
REVOKE INSERT ON ev FROM diff_bob;
SET ROLE diff_bob;
-- error
INSERT INTO ev VALUES (105, 1);
RESET ROLE;
SELECT relname, relowner::regrole, relacl FROM pg_class WHERE relname IN ('ev', 'ev1', 'ev2', 'ev3a') AND relnamespace = 't_partitioned_roles'::regnamespace ORDER BY 1;
-- policies
SET ROLE diff_ann;
GRANT SELECT, INSERT, UPDATE, DELETE ON ev, ev1, ev2, ev3a TO diff_bob;
ALTER TABLE ev ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON ev USING (who = current_user) WITH CHECK (who = current_user AND secret <> 'no');
ALTER TABLE ev2 ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON ev2 USING (k % 2 = 0);
SET ROLE diff_bob;
SELECT tableoid::regclass, count(*), min(k), max(k) FROM ev GROUP BY 1 ORDER BY 1;
SELECT count(*), sum(k) FROM ev2;
SELECT count(*), sum(k) FROM ev1;
SELECT count(*) FROM ev WHERE tableoid = 'ev2'::regclass;
INSERT INTO ev VALUES (110, 11, 'diff_bob', 'yes');
-- error
INSERT INTO ev VALUES (111, 11, 'diff_bob', 'no');
-- error
INSERT INTO ev VALUES (111, 1, 'diff_ann', 'yes');
-- error
INSERT INTO ev2 (k, t) VALUES (111, 11);
INSERT INTO ev2 (k, t) VALUES (112, 11);
INSERT INTO ev1 VALUES (113, 1, 'nobody', 'no');
UPDATE ev SET secret = 'mine' WHERE k IN (0, 1, 3) RETURNING tableoid::regclass, *;
-- error
UPDATE ev SET secret = 'no' WHERE k = 3;
UPDATE ev SET secret = secret || random()::int % 1 WHERE k IN (0, 1, 3) RETURNING tableoid::regclass, k;
UPDATE ev2 SET secret = 'mine' WHERE k IN (12, 13) RETURNING k;
DELETE FROM ev2 WHERE k IN (13, 14) RETURNING k;
DELETE FROM ev WHERE k BETWEEN 20 AND 30 RETURNING k, t;
-- error
TRUNCATE ev2;
-- differs: plain PostgreSQL copies no rows of ONLY the table without a word
COPY ev TO STDOUT (FORMAT csv, HEADER);
-- error
COPY ev FROM STDIN;
114	1	diff_bob	x
\.
RESET ROLE;
SELECT * FROM ev ORDER BY k, t;
-- owners
SET ROLE diff_ann;
-- error
ALTER TABLE ev OWNER TO diff_bob;
RESET ROLE;
ALTER TABLE ev OWNER TO diff_bob;
SELECT relname, relowner::regrole FROM pg_class WHERE relname IN ('ev', 'ev1', 'ev2') AND relnamespace = 't_partitioned_roles'::regnamespace ORDER BY 1;
SET ROLE diff_bob;
SELECT count(*) FROM ev;
INSERT INTO ev VALUES (200, 2, 'x', 'x'), (201, 12, 'x', 'y');
-- error
ALTER TABLE ev ADD COLUMN more int DEFAULT 3;
-- error
ALTER TABLE ev1 ADD CONSTRAINT c CHECK (k > 0);
RESET ROLE;
ALTER TABLE ev1 OWNER TO diff_bob;
ALTER TABLE ev2 OWNER TO diff_bob;
ALTER TABLE ev3 OWNER TO diff_bob;
ALTER TABLE ev3a OWNER TO diff_bob;
SET ROLE diff_bob;
ALTER TABLE ev ADD COLUMN more int DEFAULT 3;
CREATE TABLE ev4 PARTITION OF ev FOR VALUES FROM (40) TO (50);
INSERT INTO ev VALUES (300, 44, 'x', 'x');
ANALYZE ev;
ANALYZE ev4;
CREATE INDEX evi ON ev (who);
SELECT count(*), sum(more) FROM ev;
TRUNCATE ev4;
ALTER TABLE ev DETACH PARTITION ev2;
SELECT count(*) FROM ev2;
ALTER TABLE ev2 ADD COLUMN own int DEFAULT 1;
DROP TABLE ev4;
RESET ROLE;
SET ROLE diff_ann;
-- error
SELECT count(*) FROM ev3a;
RESET ROLE;
REASSIGN OWNED BY diff_bob TO diff_ann;
SELECT relname, relowner::regrole FROM pg_class WHERE relname IN ('ev', 'ev1', 'ev2', 'ev3', 'ev3a') AND relnamespace = 't_partitioned_roles'::regnamespace ORDER BY 1;
SET ROLE diff_ann;
INSERT INTO ev VALUES (400, 4, 'x', 'x');
SELECT count(*) FROM ev;
RESET ROLE;
DROP TABLE ev, ev2;
DROP OWNED BY diff_ann, diff_bob;
DROP ROLE diff_ann, diff_bob;
