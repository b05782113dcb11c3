CREATE TABLE ev (k int NOT NULL, t int NOT NULL, v text, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (v text, t int not null, k int not null);
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
SELECT create_distributed_table('ev', 'k');
INSERT INTO ev SELECT i, i % 30, 'v' || i FROM generate_series(1, 60) i;
-- error
COPY ev TO STDOUT;
-- error
COPY ev3 TO STDOUT;
-- error
COPY ev (k, t) TO STDOUT;
-- error
COPY ev TO STDOUT (FORMAT csv);
-- unordered
COPY ev3a TO STDOUT;
-- unordered
COPY ev2 TO STDOUT;
-- unordered
COPY ev2 (t, k) TO STDOUT (FORMAT csv, HEADER);
COPY (SELECT tableoid::regclass, * FROM ev ORDER BY k) TO STDOUT;
COPY (TABLE ev2 ORDER BY k) TO STDOUT;
COPY ev FROM STDIN (FORMAT csv);
100,1,a
101,11,b
102,21,c
\.
COPY ev2 FROM STDIN (FORMAT csv);
a,12,103
\.
-- error
COPY ev2 FROM STDIN (FORMAT csv);
a,2,103
\.
-- error
COPY ev3 FROM STDIN (FORMAT csv);
103,35,a
\.
-- error
COPY ev FROM STDIN (FORMAT csv);
103,1,a
103,50,a
\.
COPY ev3 FROM STDIN (FORMAT csv);
103,25,a
\.
COPY ev FROM STDIN WHERE t > 10 AND tableoid = 'ev'::regclass;
110	1	x
111	11	x
\.
SELECT tableoid::regclass, * FROM ev WHERE k > 60 ORDER BY k, t;
-- cursors
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM ev WHERE k = 5 FOR UPDATE;
FETCH c;
UPDATE ev SET v = 'cur' WHERE CURRENT OF c RETURNING *;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM ev ORDER BY k, t;
FETCH c;
-- differs: core does not look through its plan of an order over partitions
-- error
DELETE FROM ev WHERE CURRENT OF c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT k + 1 FROM ev WHERE k IN (2, 3) ORDER BY k FOR UPDATE;
FETCH c;
DELETE FROM ev WHERE CURRENT OF c;
FETCH c;
UPDATE ev SET v = 'both' WHERE CURRENT OF c;
SELECT * FROM ev WHERE k < 4 ORDER BY k;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM ev WHERE k = 5;
FETCH c;
UPDATE ev SET v = 'cur' WHERE CURRENT OF c;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM ev2 WHERE k = 12 FOR UPDATE;
FETCH c;
UPDATE ev2 SET v = 'cur' WHERE CURRENT OF c RETURNING *;
FETCH c;
-- error
DELETE FROM ev2 WHERE CURRENT OF c;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM ev2 ORDER BY k FOR UPDATE;
FETCH c;
UPDATE ev2 SET v = 'cur2' WHERE CURRENT OF c RETURNING *;
DELETE FROM ev2 WHERE CURRENT OF c;
FETCH c;
DELETE FROM ev2 WHERE CURRENT OF c RETURNING *;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM ev WHERE t = 12 AND k = 12 FOR UPDATE;
FETCH c;
-- differs: the cursor's query names the partitioned table
UPDATE ev2 SET v = 'cur3' WHERE CURRENT OF c RETURNING *;
ROLLBACK;
SELECT * FROM ev ORDER BY k, t;
-- locks
BEGIN;
LOCK TABLE ev IN ACCESS EXCLUSIVE MODE;
LOCK TABLE ev2 IN SHARE MODE;
LOCK TABLE ONLY ev IN ROW SHARE MODE;
SELECT relation::regclass::text, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('ev'::regclass, 'ev1'::regclass, 'ev2'::regclass, 'ev3a'::regclass) ORDER BY 1, 2;
SELECT count(*) FROM ev;
COMMIT;
REINDEX TABLE ev2;
REINDEX TABLE ev3a;
CREATE INDEX evi ON ev (t);
REINDEX TABLE ev;
REINDEX INDEX evi;
REINDEX INDEX ev2_t_idx;
CLUSTER ev USING evi;
-- error
CLUSTER ev USING nope;
-- error
CLUSTER ev;
CLUSTER ev2 USING ev2_t_idx;
CLUSTER ev2;
BEGIN;
REINDEX TABLE ev2;
-- error
REINDEX TABLE ev;
ROLLBACK;
BEGIN;
-- error
REINDEX INDEX evi;
ROLLBACK;
BEGIN;
-- error
CLUSTER ev USING evi;
ROLLBACK;
BEGIN;
CLUSTER ev3a USING ev3a_t_idx;
REINDEX INDEX ev3a_pkey;
COMMIT;
SELECT indexrelid::regclass, indisclustered FROM pg_index WHERE indrelid IN ('ev'::regclass, 'ev1'::regclass, 'ev2'::regclass, 'ev3a'::regclass) ORDER BY 1;
SELECT count(*) FROM cz_check_shards('ev');
SELECT count(*) FROM ev WHERE t = 11;
-- without a key a root's rows cannot be found again
CREATE TABLE nokey (k int, t int) PARTITION BY RANGE (t);
CREATE TABLE nokey1 PARTITION OF nokey FOR VALUES FROM (0) TO (10);
SELECT create_distributed_table('nokey', 'k');
INSERT INTO nokey VALUES (1, 1), (2, 2), (3, 3);
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM nokey WHERE k = 1 FOR UPDATE;
FETCH c;
-- differs: a partitioned table without a key
UPDATE nokey SET t = 5 WHERE CURRENT OF c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM nokey1 WHERE k = 1 FOR UPDATE;
FETCH c;
UPDATE nokey1 SET t = 5 WHERE CURRENT OF c;
COMMIT;
SELECT * FROM nokey ORDER BY k;
