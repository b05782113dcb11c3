-- Partitioned tables: local ones beside distributed ones, many rows, settings, transactions with DDL
CREATE TABLE lp (k int, t int, v text) PARTITION BY RANGE (t);
CREATE TABLE lp1 PARTITION OF lp FOR VALUES FROM (0) TO (50);
CREATE TABLE lp2 PARTITION OF lp FOR VALUES FROM (50) TO (200) PARTITION BY LIST (k);
CREATE TABLE lp2a PARTITION OF lp2 FOR VALUES IN (1, 2, 3);
CREATE TABLE lp2d PARTITION OF lp2 DEFAULT;
CREATE TABLE ev (k int, t int, c1 text, n numeric) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (50);
CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (50) TO (200);
SELECT create_distributed_table('ev', 'k');
CREATE TABLE d (k int PRIMARY KEY, x int);
SELECT create_distributed_table('d', 'k');
INSERT INTO lp SELECT i % 20, i, 'l' || i FROM generate_series(0, 99) i;
INSERT INTO ev SELECT i % 30, i, 'e' || i, i FROM generate_series(0, 99) i;
INSERT INTO d SELECT i, i FROM generate_series(0, 19) i;
-- a local partitioned table
SELECT count(*), sum(lp.t), sum(ev.t) FROM lp JOIN ev USING (k);
SELECT lp.k, lp.t, ev.c1 FROM lp JOIN ev ON ev.k = lp.k AND ev.t = lp.t ORDER BY 1, 2;
SELECT tableoid::regclass, count(*) FROM lp GROUP BY 1 ORDER BY 1;
SELECT l.tableoid::regclass, e.tableoid::regclass, count(*) FROM lp l JOIN ev e USING (t) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM lp LEFT JOIN d USING (k) WHERE d.k IS NULL;
SELECT * FROM lp1 WHERE k IN (SELECT k FROM ev2 WHERE t > 90) ORDER BY t;
SELECT (SELECT max(t) FROM lp2 WHERE lp2.k = d.k), (SELECT max(t) FROM ev2 WHERE ev2.k = d.k) FROM d ORDER BY d.k;
UPDATE lp SET v = ev.c1 FROM ev WHERE ev.t = lp.t AND ev.k = lp.k RETURNING lp.*, lp.tableoid::regclass;
UPDATE lp SET t = 199 - lp.t FROM d WHERE d.k = lp.k AND d.x < 3;
UPDATE ev SET n = lp.t FROM lp WHERE lp.t = ev.t AND ev.k < 5 RETURNING ev.*;
DELETE FROM lp USING ev WHERE ev.t = lp.t AND ev.k = 4 RETURNING lp.*;
DELETE FROM ev USING lp WHERE lp.t = ev.t AND lp.k = 19 RETURNING ev.*;
MERGE INTO lp USING ev ON ev.t = lp.t WHEN MATCHED AND lp.t < 10 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'm' WHEN NOT MATCHED THEN INSERT VALUES (ev.k, ev.t, 'new');
MERGE INTO ev USING (SELECT DISTINCT ON (t) * FROM lp ORDER BY t, k, v) lp ON ev.t = lp.t WHEN MATCHED AND ev.k = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET n = lp.k WHEN NOT MATCHED THEN INSERT VALUES (lp.k, lp.t, 'new', 1);
SELECT * FROM lp ORDER BY k, t, v;
SELECT * FROM ev ORDER BY k, t, c1;
INSERT INTO ev SELECT k, t, v FROM lp WHERE k = 7;
INSERT INTO lp SELECT k, t, c1 FROM ev WHERE k = 8;
SELECT * FROM lp ORDER BY k, t, v LIMIT 5 FOR UPDATE;
TRUNCATE lp, ev1;
SELECT count(*) FROM ev;
-- a local table that becomes a partition, and one that is left over
CREATE TABLE old_rows (k int, t int, c1 text, n numeric);
INSERT INTO old_rows SELECT i, 200 + i, 'old', i FROM generate_series(0, 40) i;
ALTER TABLE ev ATTACH PARTITION old_rows FOR VALUES FROM (200) TO (300);
SELECT tableoid::regclass, count(*) FROM ev GROUP BY 1 ORDER BY 1;
-- many rows, little memory
TRUNCATE ev;
INSERT INTO ev SELECT i % 1000, i % 300, 'many', i FROM generate_series(1, 20000) i;
SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
UPDATE ev SET n = n + 1 + (random() * 0)::int;
SELECT count(*), sum(n), sum(t) FROM ev;
UPDATE ev SET n = n + d.x - d.x + (random() * 0)::int FROM d, generate_series(1, 3) g WHERE d.k = ev.k % 20;
UPDATE ev SET n = ev.n + 1 + (random() * 0)::int FROM (SELECT k, g FROM d, generate_series(1, 2) g) q WHERE q.k = ev.k % 20;
SELECT count(*), sum(n), sum(t) FROM ev;
UPDATE ev SET t = 299 - t, n = n + (random() * 0)::int;
SELECT count(*), sum(n), sum(t) FROM ev;
UPDATE ev SET k = k + 1, t = 299 - t;
SELECT count(*), sum(n), sum(t), sum(k), count(DISTINCT k) FROM ev;
DELETE FROM ev WHERE n::int % 2 = 0 AND random() >= 0;
SELECT tableoid::regclass, count(*), sum(n), sum(t), sum(k) FROM ev GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM cz_verify_placements('ev') WHERE NOT ok;
RESET work_mem;
RESET hash_mem_multiplier;
-- bounds that depend on settings
CREATE TABLE ts (k int, at timestamptz, day date, n int) PARTITION BY RANGE (at);
CREATE TABLE ts1 PARTITION OF ts FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00') PARTITION BY RANGE (day);
CREATE TABLE ts1a PARTITION OF ts1 FOR VALUES FROM ('2026-01-01') TO ('2026-01-16');
CREATE TABLE ts1b PARTITION OF ts1 DEFAULT;
CREATE TABLE ts2 PARTITION OF ts FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00');
SELECT create_distributed_table('ts', 'k');
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'SQL, DMY';
SET quote_all_identifiers = on;
INSERT INTO ts SELECT i, '2026-01-01 00:30+00'::timestamptz + i * interval '1 day', '2026-01-01'::date + i, i FROM generate_series(0, 50) i;
UPDATE ts SET n = n + 1 + (random() * 0)::int WHERE day < '2026-01-20' RETURNING *, tableoid::regclass;
UPDATE ts SET at = at + interval '20 days', n = n + (random() * 0)::int WHERE k < 5 RETURNING *, tableoid::regclass;
UPDATE ts SET day = day + 14, n = n + (random() * 0)::int WHERE k < 10 RETURNING *, tableoid::regclass;
DELETE FROM ts WHERE at > '2026-02-15' AND random() >= 0 RETURNING *;
CREATE TABLE ts3 PARTITION OF ts FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-04-01 00:00+00');
INSERT INTO ts VALUES (1, '2026-03-05', '2026-03-05', 1) RETURNING *, tableoid::regclass;
RESET TimeZone;
RESET DateStyle;
RESET quote_all_identifiers;
SELECT *, tableoid::regclass FROM ts ORDER BY k, at;
CREATE TABLE fl (k int, f float8, e text) PARTITION BY LIST (e);
CREATE TABLE fl1 PARTITION OF fl FOR VALUES IN ('it''s', 'a\b', NULL);
CREATE TABLE fl2 PARTITION OF fl FOR VALUES IN ('"q"', '') PARTITION BY RANGE (f);
CREATE TABLE fl2a PARTITION OF fl2 FOR VALUES FROM (MINVALUE) TO (0.1);
CREATE TABLE fl2b PARTITION OF fl2 FOR VALUES FROM (0.1) TO (MAXVALUE);
SELECT create_distributed_table('fl', 'k');
INSERT INTO fl SELECT i, i / 30.0, (ARRAY['it''s', 'a\b', NULL, '"q"', ''])[i % 5 + 1] FROM generate_series(0, 29) i;
SET extra_float_digits = -3;
SET standard_conforming_strings = off;
UPDATE fl SET f = f + (random() * 0)::int RETURNING k, e, tableoid::regclass;
UPDATE fl SET f = 1 - f + (random() * 0)::int RETURNING k, e, tableoid::regclass;
UPDATE fl SET e = CASE WHEN e = '' THEN NULL ELSE '' END, f = f + (random() * 0)::int RETURNING k, e, tableoid::regclass;
RESET standard_conforming_strings;
RESET extra_float_digits;
SELECT k, round(f::numeric, 6), e FROM fl ORDER BY k;
-- expressions of the user's in a key
CREATE FUNCTION third(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a % 3';
CREATE TABLE ex (k int, a int, n int) PARTITION BY LIST (third(a));
CREATE TABLE ex0 PARTITION OF ex FOR VALUES IN (0);
CREATE TABLE ex12 PARTITION OF ex FOR VALUES IN (1, 2);
SELECT create_distributed_table('ex', 'k');
INSERT INTO ex SELECT i, i, i FROM generate_series(0, 29) i;
UPDATE ex SET n = n + 1 + (random() * 0)::int WHERE a < 10 RETURNING *, tableoid::regclass;
UPDATE ex SET a = a + 1, n = n + (random() * 0)::int RETURNING *, tableoid::regclass;
SELECT * FROM ex ORDER BY k;
-- identity
CREATE TABLE ident (k int, t int, i bigint GENERATED ALWAYS AS IDENTITY, s serial) PARTITION BY RANGE (t);
CREATE TABLE ident1 PARTITION OF ident FOR VALUES FROM (0) TO (10);
CREATE TABLE ident2 PARTITION OF ident FOR VALUES FROM (10) TO (20);
SELECT create_distributed_table('ident', 'k');
INSERT INTO ident (k, t) SELECT i, i FROM generate_series(0, 19) i;
INSERT INTO ident (k, t) VALUES (1, 1) RETURNING *;
-- error
INSERT INTO ident VALUES (1, 1, 1);
INSERT INTO ident OVERRIDING SYSTEM VALUE VALUES (1, 1, 100) RETURNING *;
UPDATE ident SET i = DEFAULT WHERE k = 1 RETURNING *;
SELECT count(DISTINCT i), max(i), max(s) FROM ident;
-- DDL and writes in one transaction
BEGIN;
CREATE TABLE ident3 PARTITION OF ident FOR VALUES FROM (20) TO (30);
INSERT INTO ident (k, t) SELECT i, i FROM generate_series(20, 29) i;
UPDATE ident SET t = t - 20 + (random() * 0)::int WHERE t > 25;
SELECT tableoid::regclass, count(*) FROM ident GROUP BY 1 ORDER BY 1;
SAVEPOINT a;
DROP TABLE ident1;
SELECT tableoid::regclass, count(*) FROM ident GROUP BY 1 ORDER BY 1;
-- error
INSERT INTO ident (k, t) VALUES (5, 5);
ROLLBACK TO a;
INSERT INTO ident (k, t) VALUES (5, 5);
ALTER TABLE ident DETACH PARTITION ident2;
UPDATE ident2 SET t = t + 100 + (random() * 0)::int;
SELECT count(*) FROM ident;
SELECT count(*), sum(t) FROM ident2;
ROLLBACK;
SELECT tableoid::regclass, count(*) FROM ident GROUP BY 1 ORDER BY 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE ident SET t = 19 - t + (random() * 0)::int;
SELECT sum(t), count(*) FROM ident1;
UPDATE ident SET t = 19 - t;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE ident SET t = 19 - t + (random() * 0)::int;
SELECT sum(t), count(*) FROM ident1;
COMMIT;
SELECT count(*) FROM cz_verify_placements('ident') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('ts') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('fl') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('ex') WHERE NOT ok;
-- distributed tables become partitions
CREATE TABLE at (k int NOT NULL, t int NOT NULL, v text, UNIQUE (k, t)) PARTITION BY RANGE (t);
CREATE TABLE at1 PARTITION OF at FOR VALUES FROM (0) TO (10);
CREATE TABLE atd PARTITION OF at DEFAULT;
SELECT create_distributed_table('at', 'k');
CREATE INDEX at_v ON at (v);
INSERT INTO at SELECT i, i, 'v' || i FROM generate_series(0, 29) i;
CREATE TABLE alone (v text, t int NOT NULL, k int NOT NULL);
SELECT create_distributed_table('alone', 'k');
INSERT INTO alone SELECT 'a' || i, i, i FROM generate_series(40, 49) i;
CREATE VIEW alone_v AS SELECT count(*) FROM alone;
ALTER TABLE at ATTACH PARTITION alone FOR VALUES FROM (40) TO (50);
SELECT tableoid::regclass, count(*), min(v) FROM at GROUP BY 1 ORDER BY 1;
SELECT * FROM alone_v;
INSERT INTO alone VALUES ('x', 41, 41) ON CONFLICT (k, t) DO UPDATE SET v = excluded.v RETURNING *;
ALTER TABLE at DETACH PARTITION at1;
INSERT INTO at1 VALUES (5, 55, 'far');
-- error
ALTER TABLE at ATTACH PARTITION at1 FOR VALUES FROM (0) TO (10);
DELETE FROM at1 WHERE t = 55;
INSERT INTO at VALUES (77, 7, 'default');
-- error
ALTER TABLE at ATTACH PARTITION at1 FOR VALUES FROM (0) TO (10);
DELETE FROM atd WHERE t = 7;
BEGIN;
ALTER TABLE at ATTACH PARTITION at1 FOR VALUES FROM (0) TO (10);
SELECT tableoid::regclass, count(*), min(v) FROM at GROUP BY 1 ORDER BY 1;
ROLLBACK;
SELECT count(*), min(v) FROM at1;
ALTER TABLE at ATTACH PARTITION at1 FOR VALUES FROM (0) TO (10);
SELECT tableoid::regclass, count(*), min(v) FROM at GROUP BY 1 ORDER BY 1;
-- error
ALTER TABLE at ATTACH PARTITION at1 FOR VALUES FROM (60) TO (70);
CREATE TABLE sub (k int NOT NULL, t int NOT NULL, v text) PARTITION BY LIST (t);
CREATE TABLE sub1 PARTITION OF sub FOR VALUES IN (80, 81);
CREATE TABLE sub2 PARTITION OF sub FOR VALUES IN (82, 83);
SELECT create_distributed_table('sub', 'k');
INSERT INTO sub SELECT i, i, 's' || i FROM generate_series(80, 83) i;
-- error
ALTER TABLE sub ATTACH PARTITION sub1 FOR VALUES IN (99);
-- error
ALTER TABLE sub ATTACH PARTITION sub FOR VALUES IN (99);
ALTER TABLE at ATTACH PARTITION sub FOR VALUES FROM (80) TO (90);
SELECT tableoid::regclass, count(*), min(v) FROM at GROUP BY 1 ORDER BY 1;
UPDATE at SET t = t + 1 WHERE t IN (80, 82);
UPDATE at SET v = v || (random() * 0)::int WHERE t > 40 RETURNING *, tableoid::regclass;
CREATE TABLE lone (k int NOT NULL, t int NOT NULL, v text);
INSERT INTO lone VALUES (1, 91, 'lone');
SELECT create_distributed_table('lone', NULL);
ALTER TABLE at ATTACH PARTITION lone FOR VALUES FROM (91) TO (92);
SELECT * FROM at WHERE t = 91;
CREATE TABLE other (k int NOT NULL, t int NOT NULL, v text);
SELECT create_distributed_table('other', 't', colocate_with => 'none', shard_count => 2);
INSERT INTO other VALUES (1, 92, 'other'), (2, 92, 'other');
ALTER TABLE at ATTACH PARTITION other FOR VALUES FROM (92) TO (93);
SELECT * FROM at WHERE t = 92 ORDER BY k;
SELECT object, expected, found FROM cz_check_shards('at');
SELECT count(*) FROM cz_verify_placements('at') WHERE NOT ok;
DROP VIEW alone_v;
DROP TABLE at;
-- COPY FROM, of the table and of a partition with its own order of columns
CREATE TABLE cp (k int NOT NULL, t int NOT NULL, v text DEFAULT 'root', n numeric, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE cp1 PARTITION OF cp FOR VALUES FROM (0) TO (10);
CREATE TABLE cp2 (junk int, n numeric, v text DEFAULT 'two', junk2 int, t int NOT NULL, k int NOT NULL);
ALTER TABLE cp2 DROP COLUMN junk, DROP COLUMN junk2;
ALTER TABLE cp ATTACH PARTITION cp2 FOR VALUES FROM (10) TO (20);
CREATE TABLE cp3 PARTITION OF cp FOR VALUES FROM (20) TO (30) PARTITION BY LIST (t);
CREATE TABLE cp3a PARTITION OF cp3 FOR VALUES IN (20, 21);
CREATE TABLE cp3d PARTITION OF cp3 DEFAULT;
SELECT create_distributed_table('cp', 'k');
COPY cp FROM STDIN;
1	1	a	1.5
2	12	b	\N
3	25	c	3
4	20	d	4
\.
COPY cp2 FROM STDIN;
7.5	p	13	31
\N	q	14	32
\.
COPY cp2 (k, t) FROM STDIN (FORMAT csv);
33,15
34,16
\.
COPY cp3 (t, k, n) FROM STDIN (FORMAT csv, HEADER);
t,k,n
21,41,1
29,42,2
\.
SELECT tableoid::regclass, * FROM cp ORDER BY k;
-- error
COPY cp FROM STDIN;
5	5	a	1
6	35	b	1
\.
-- error
COPY cp2 FROM STDIN;
1	p	13	51
1	p	23	52
\.
-- error
COPY cp3a FROM STDIN (FORMAT csv);
61,20,x,1
62,22,x,1
\.
-- error
COPY cp FROM STDIN;
71	5	a	1
1	1	b	1
\.
-- error
COPY cp FROM STDIN;
81	\N	a	1
\.
COPY cp FROM STDIN WHERE t > 5;
91	5	a	1
92	6	b	1
93	16	b	1
\.
COPY cp2 (n, k, t, v) FROM STDIN WHERE k = 95;
1	94	15	a
1	95	16	a
\.
SELECT tableoid::regclass, * FROM cp ORDER BY k;
COPY cp2 TO STDOUT (FORMAT csv, HEADER);
INSERT INTO cp SELECT i, i % 30, 'many', i FROM generate_series(1000, 3999) i;
SELECT tableoid::regclass, count(*), sum(n) FROM cp GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM cz_verify_placements('cp') WHERE NOT ok;
-- ONLY names none of the partitions
SELECT * FROM ONLY cp;
SELECT count(*), max(k), count(DISTINCT v) FROM ONLY cp;
SELECT c.k, o.v, o.n FROM cp c LEFT JOIN ONLY cp o USING (k) WHERE c.k < 5 ORDER BY 1;
SELECT c.k, o.v FROM ONLY cp o RIGHT JOIN cp2 c ON o.k = c.k WHERE c.k < 50 ORDER BY 1;
SELECT k FROM cp WHERE k < 5 AND NOT EXISTS (SELECT 1 FROM ONLY cp o WHERE o.k = cp.k) ORDER BY 1;
SELECT k FROM cp WHERE k IN (SELECT k FROM ONLY cp);
SELECT count(*) FROM ONLY cp3, ONLY cp3a;
SELECT count(*) FROM ONLY cp2 WHERE k < 50;
SELECT k FROM ONLY cp UNION SELECT k FROM cp1 WHERE k < 5 ORDER BY 1;
WITH w AS (SELECT * FROM ONLY cp) SELECT count(*) FROM w;
INSERT INTO cp1 (k, t) SELECT k, t FROM ONLY cp;
UPDATE ONLY cp SET n = 0;
UPDATE ONLY cp SET n = random() WHERE k = 1 RETURNING *;
DELETE FROM ONLY cp3 WHERE k = 4 RETURNING *;
DELETE FROM cp2 USING ONLY cp o WHERE o.k = cp2.k;
UPDATE cp1 SET n = 1 FROM ONLY cp o WHERE o.k <> cp1.k;
SELECT (SELECT count(*) FROM ONLY cp), count(*) FROM cp;
-- differs: refused
SELECT o FROM ONLY cp o;
-- differs: refused
SELECT k FROM ONLY cp FOR UPDATE;
-- differs: refused
MERGE INTO ONLY cp USING (SELECT 1 AS k) s ON s.k = cp.k WHEN MATCHED THEN DELETE;
PREPARE only_cp (int) AS SELECT * FROM ONLY cp WHERE k = $1;
EXECUTE only_cp (1);
SELECT count(*) FROM cp;
