-- Many rows of keys that are held here are looked for at once: what refers, and what nothing refers to.
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
CREATE TABLE p (k int PRIMARY KEY, v text);
CREATE TABLE pt (k text PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, k int CONSTRAINT c_p REFERENCES p ON DELETE CASCADE, t text CONSTRAINT c_pt REFERENCES pt);
CREATE TABLE big (id int PRIMARY KEY, k bigint CONSTRAINT big_p REFERENCES p ON DELETE SET NULL);
CREATE TABLE d (id int, k int CONSTRAINT d_p REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE d1 PARTITION OF d FOR VALUES FROM (0) TO (5000);
CREATE TABLE d2 (k int, id int);
ALTER TABLE d ATTACH PARTITION d2 FOR VALUES FROM (5000) TO (20000);
CREATE TABLE e (id int, k int CONSTRAINT e_p REFERENCES p DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE s (id int PRIMARY KEY, up int CONSTRAINT s_up REFERENCES s ON DELETE CASCADE, z int);
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('pt', 'k');
SELECT create_distributed_table('c', 'id', colocate_with => 'none');
SELECT create_distributed_table('big', 'id', colocate_with => 'none');
SELECT create_distributed_table('d', 'id', colocate_with => 'none');
SELECT create_distributed_table('e', 'id', colocate_with => 'none');
SELECT create_distributed_table('s', 'id', colocate_with => 'none');
INSERT INTO p SELECT i, i FROM generate_series(1, 12000) i;
INSERT INTO pt SELECT 't' || i FROM generate_series(1, 200) i;
INSERT INTO c SELECT i, i, 't' || 1 + i % 200 FROM generate_series(1, 11000) i;
INSERT INTO c SELECT 20000 + i, i % 50, CASE WHEN i % 3 > 0 THEN 't' || i % 7 + 1 END FROM generate_series(1, 300) i WHERE i % 50 > 0;
-- error
INSERT INTO c SELECT 30000 + i, 11990 + i, NULL FROM generate_series(1, 20) i;
-- error
INSERT INTO c SELECT 30000 + i, i, 't' || i FROM generate_series(190, 202) i;
-- error
INSERT INTO c SELECT 30000 + i, CASE WHEN i = 10999 THEN 100000 ELSE i END FROM generate_series(1, 11000) i;
INSERT INTO big SELECT i, i FROM generate_series(1, 100) i;
-- error
INSERT INTO big SELECT 100 + i, CASE WHEN i = 50 THEN 10000000000 ELSE i END FROM generate_series(1, 100) i;
INSERT INTO d SELECT 3 * i, i FROM generate_series(1, 4000) i;
-- error
INSERT INTO d SELECT i, i + 11950 FROM generate_series(1, 100) i;
-- error
INSERT INTO d2 (id, k) SELECT 6000 + i, i + 11950 FROM generate_series(1, 100) i;
COPY c FROM STDIN;
40001	1	t1
40002	2	t2
40003	3	t3
40004	4	t4
40005	5	t5
40006	6	t6
40007	7	t7
40008	8	t8
40009	9	t9
40010	1	t1
\.
-- error
COPY c FROM STDIN;
40011	1	t1
40012	2	t2
40013	3	t3
40014	4	t4
40015	5	t5
40016	6	t6
40017	7	t7
40018	8	t8
40019	9	t900
40020	1	t1
\.
UPDATE c SET k = k + 1 WHERE id BETWEEN 100 AND 200;
-- error
UPDATE c SET k = k + 2000 WHERE id BETWEEN 10900 AND 11000 AND k % 3 = 0 OR id = 10999;
UPDATE d SET k = k + 1, id = id + 1 WHERE id BETWEEN 4900 AND 5100;
-- error
UPDATE d SET k = k + 12000 WHERE id BETWEEN 4900 AND 5100;
SELECT count(*), sum(id), sum(k) FROM c;
SELECT count(*), sum(id), sum(k), min(tableoid::regclass::text) FROM d;
-- rows that are deleted
-- error
DELETE FROM p WHERE k BETWEEN 11000 AND 11999 OR k = 30;
DELETE FROM p WHERE k BETWEEN 11500 AND 11990;
-- error
DELETE FROM pt WHERE k > 't5';
DELETE FROM d WHERE k BETWEEN 300 AND 500;
DELETE FROM p WHERE k BETWEEN 310 AND 350;
SELECT count(*), sum(id), sum(k) FROM c;
DELETE FROM d WHERE k < 100;
DELETE FROM p WHERE k BETWEEN 40 AND 70;
SELECT count(*), count(k), sum(k) FROM big;
-- a row's parent goes while others are looked at
CREATE FUNCTION del() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 50001 THEN DELETE FROM p WHERE k = 4020; ELSIF NEW.id = 50003 THEN INSERT INTO c SELECT 51000 + i, 4030 + i FROM generate_series(1, 10) i; END IF; RETURN NULL; END$$;
CREATE TRIGGER a_del AFTER INSERT ON c FOR EACH ROW EXECUTE FUNCTION del();
DELETE FROM d WHERE k = 4020 OR k > 4020;
INSERT INTO c SELECT 50000 + i, 4000 + i FROM generate_series(1, 30) i;
SELECT count(*) FROM c WHERE id > 50000;
SELECT count(*) FROM c WHERE k = 4020;
DROP TRIGGER a_del ON c;
-- one statement after the other, and within
DO $$BEGIN
  FOR i IN 1..3 LOOP
    INSERT INTO c SELECT 60000 + 100 * i + j, 5000 + j FROM generate_series(1, 20) j;
    DELETE FROM c WHERE k BETWEEN 5000 AND 5020;
    DELETE FROM d WHERE k BETWEEN 5000 AND 5020;
    DELETE FROM p WHERE k BETWEEN 5000 AND 5020;
    BEGIN
      INSERT INTO c SELECT 60000 + 100 * i + j, 5000 + j FROM generate_series(1, 30) j;
      RAISE 'not reached';
    EXCEPTION WHEN foreign_key_violation THEN
      INSERT INTO p SELECT 5000 + j FROM generate_series(1, 20) j;
    END;
  END LOOP;
END$$;
SELECT count(*) FROM c WHERE k BETWEEN 5000 AND 5020;
BEGIN;
INSERT INTO e SELECT i, i + 11490 FROM generate_series(1, 100) i;
INSERT INTO p SELECT i FROM generate_series(11500, 11590) i;
COMMIT;
BEGIN;
INSERT INTO e SELECT i, i + 11600 FROM generate_series(1, 100) i;
-- error
COMMIT;
-- to itself
INSERT INTO s SELECT i, NULLIF(i / 2, 0) FROM generate_series(1, 1000) i;
-- error
INSERT INTO s SELECT i, i + 1 FROM generate_series(1001, 1020) i;
DELETE FROM s WHERE id BETWEEN 300 AND 320;
DELETE FROM s WHERE id BETWEEN 990 AND 1000;
DELETE FROM s WHERE id BETWEEN 3 AND 12;
SELECT count(*), sum(id) FROM s;
WITH i AS (INSERT INTO p SELECT i FROM generate_series(20001, 20020) i RETURNING k) INSERT INTO c SELECT 70000 + k, k FROM i;
-- two parts
WITH a AS (INSERT INTO c SELECT 70000 + i, i FROM generate_series(100, 120) i) INSERT INTO c SELECT 71000 + i, i FROM generate_series(105, 130) i;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO c SELECT 80000 + i, i FROM generate_series(100, 120) i;
ROLLBACK;
SELECT count(*) FROM cz_verify_placements('c') WHERE NOT ok;
DROP TABLE c, big, d, e, s, p, pt;
