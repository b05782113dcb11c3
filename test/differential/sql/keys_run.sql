-- Foreign keys are checked when a statement has ended, also one that is several commands on a worker.
CREATE TABLE p (id int PRIMARY KEY, v text);
CREATE TABLE c (id int PRIMARY KEY, p_id int, w int);
CREATE TABLE s (id int PRIMARY KEY, up int, v text);
SELECT create_distributed_table('p', NULL);
SELECT create_distributed_table('c', NULL);
SELECT create_distributed_table('s', NULL);
ALTER TABLE c ADD CONSTRAINT "c to; p" FOREIGN KEY (p_id) REFERENCES p;
ALTER TABLE s ADD CONSTRAINT s_up FOREIGN KEY (up) REFERENCES s;
-- several parts that write
WITH a AS (INSERT INTO p SELECT i, 'p' || i FROM generate_series(1, 5) i RETURNING id) INSERT INTO c SELECT id * 10, id FROM a;
SELECT * FROM c ORDER BY 1;
WITH a AS (INSERT INTO p VALUES (6, 'six') RETURNING id) INSERT INTO c SELECT id * 10, id FROM a RETURNING *;
WITH a AS (INSERT INTO c VALUES (70, 7) RETURNING p_id) INSERT INTO p SELECT p_id, 'after' FROM a;
-- error
WITH a AS (INSERT INTO p VALUES (8, 'eight') RETURNING id) INSERT INTO c SELECT id * 10, id + 100 FROM a;
SELECT count(*) FROM p;
WITH a AS (DELETE FROM c WHERE p_id = 7 RETURNING p_id) DELETE FROM p USING a WHERE p.id = a.p_id;
WITH a AS (DELETE FROM p WHERE id = 6 RETURNING id) DELETE FROM c USING a WHERE c.p_id = a.id;
SELECT count(*) FROM p;
SELECT count(*) FROM c;
-- error
WITH a AS (DELETE FROM c WHERE p_id = 5 RETURNING p_id) DELETE FROM p WHERE id IN (4, 5);
WITH a AS (UPDATE c SET p_id = 100 WHERE p_id = 1 RETURNING id) INSERT INTO p VALUES (100, 'hundred');
WITH a AS (UPDATE p SET id = 101 WHERE id = 100 RETURNING id) UPDATE c SET p_id = 101 WHERE p_id = 100;
SELECT * FROM p ORDER BY 1;
SELECT * FROM c ORDER BY 1;
WITH a AS (INSERT INTO p VALUES (200, 'x')), b AS (INSERT INTO c VALUES (2000, 200)), d AS (INSERT INTO c VALUES (2001, 200)) SELECT count(*) FROM p;
SELECT count(*) FROM c WHERE p_id = 200;
-- within a transaction, and undone
BEGIN;
WITH a AS (INSERT INTO p VALUES (300, 'x') RETURNING id) INSERT INTO c SELECT 3000, id FROM a;
SAVEPOINT one;
-- error
WITH a AS (INSERT INTO p VALUES (301, 'x') RETURNING id) INSERT INTO c SELECT 3010, id + 1 FROM a;
ROLLBACK TO one;
-- each statement is checked at its own end again
-- error
INSERT INTO c VALUES (3020, 302);
ROLLBACK TO one;
WITH a AS (INSERT INTO p VALUES (303, 'x') RETURNING id) INSERT INTO c SELECT 3030, id FROM a;
RELEASE one;
SELECT p.id, c.id FROM p JOIN c ON c.p_id = p.id WHERE p.id >= 300 ORDER BY 1;
COMMIT;
-- error
INSERT INTO c VALUES (3020, 302);
-- a table that refers to itself
INSERT INTO s VALUES (1, 2), (2, 3), (3, NULL);
-- error
INSERT INTO s VALUES (4, 5), (5, 6), (6, 99);
INSERT INTO s VALUES (4, 5), (5, 6), (6, 4) RETURNING *;
INSERT INTO s SELECT i, CASE WHEN i < 200 THEN i + 1 END FROM generate_series(100, 200) i;
-- error
INSERT INTO s SELECT i, i + 1 FROM generate_series(300, 400) i;
COPY s (id, up) FROM STDIN;
7	8
8	9
9	7
\.
-- error
COPY s (id, up) FROM STDIN;
17	18
18	19
19	1700
\.
COPY s (id, up) FROM STDIN;
21	22
22	23
23	24
24	25
25	26
26	27
27	28
28	21
\.
SELECT count(*), sum(id), sum(up) FROM s;
UPDATE s SET id = id + 1000, up = up + 1000 WHERE id BETWEEN 21 AND 28;
-- error
UPDATE s SET id = id + 1000 WHERE id BETWEEN 7 AND 9;
UPDATE s SET up = CASE WHEN up = 8 THEN 7 ELSE 9 END WHERE id IN (7, 8, 9) AND random() < 2;
UPDATE s SET v = 'x', id = CASE WHEN id IN (7, 9) THEN 16 - id ELSE id END WHERE id = 8 AND random() < 2;
SELECT * FROM s WHERE id < 100 OR id > 1000 ORDER BY 1;
DELETE FROM s WHERE id BETWEEN 1021 AND 1028;
-- error
DELETE FROM s WHERE id BETWEEN 150 AND 170;
DELETE FROM s WHERE id BETWEEN 100 AND 170;
DELETE FROM s WHERE id > 170 AND random() < 2;
DELETE FROM s WHERE id IN (4, 5, 6);
INSERT INTO s VALUES (1, 1, 'again') ON CONFLICT (id) DO UPDATE SET v = excluded.v, up = 3;
-- the last row refers to none
-- error
INSERT INTO s VALUES (50, 51), (51, 52) ON CONFLICT (id) DO NOTHING;
INSERT INTO s VALUES (50, 51), (51, 50) ON CONFLICT (id) DO NOTHING;
INSERT INTO s VALUES (60, 61), (61, 60), (50, 61) ON CONFLICT (id) DO UPDATE SET up = excluded.up;
MERGE INTO s USING (VALUES (70, 71), (71, 70), (60, 70)) v (id, up) ON s.id = v.id WHEN MATCHED THEN UPDATE SET up = v.up WHEN NOT MATCHED THEN INSERT (id, up) VALUES (v.id, v.up);
-- error
MERGE INTO s USING (VALUES (70, 0), (71, 1), (60, 2)) v (id, up) ON s.id = v.id WHEN MATCHED THEN DELETE;
MERGE INTO s USING (VALUES (70, 0), (71, 1), (60, 2), (61, 3), (50, 4), (51, 5)) v (id, up) ON s.id = v.id WHEN MATCHED THEN DELETE;
SELECT * FROM s ORDER BY 1;
SELECT count(*) FROM cz_verify_placements('s') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('c') WHERE NOT ok;
