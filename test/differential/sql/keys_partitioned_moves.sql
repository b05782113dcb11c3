-- Rows of partitioned tables that UPDATE moves to another shard while keys with actions refer to them.
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
-- from: 15
CREATE TABLE p (k int, t int, v text, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (v text, junk int, t int NOT NULL, k int NOT NULL);
ALTER TABLE p2 DROP COLUMN junk;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES FROM (20) TO (30);
CREATE TABLE p3d PARTITION OF p3 DEFAULT;
CREATE TABLE cc (k int, t int, n int, CONSTRAINT cc_p FOREIGN KEY (k, t) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE) PARTITION BY HASH (n);
CREATE TABLE cc0 PARTITION OF cc FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE cc1 PARTITION OF cc FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE cn (k int, t int, n int, CONSTRAINT cn_p FOREIGN KEY (k, t) REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL);
CREATE TABLE cr (k int, t int, n int, CONSTRAINT cr_p FOREIGN KEY (k, t) REFERENCES p ON DELETE CASCADE ON UPDATE RESTRICT);
CREATE TABLE ca (k int, t int, n int, CONSTRAINT ca_p FOREIGN KEY (k, t) REFERENCES p ON DELETE CASCADE DEFERRABLE);
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('cc', 'k');
SELECT create_distributed_table('cn', 'k');
SELECT create_distributed_table('cr', 'k');
SELECT create_distributed_table('ca', 'k');
INSERT INTO p SELECT k, t FROM generate_series(1, 10) k, generate_series(0, 39, 3) t;
INSERT INTO cc SELECT k, t, k + t FROM p WHERE k IN (1, 2, 3);
INSERT INTO cn SELECT k, t, k + t FROM p WHERE k IN (3, 4);
INSERT INTO cr SELECT k, t, k + t FROM p WHERE k IN (5);
INSERT INTO ca SELECT k, t, k + t FROM p WHERE k IN (6);
UPDATE p SET k = k + 100 WHERE k = 1 AND t < 12;
UPDATE p SET k = k + 100, t = 40 - t WHERE k = 1 AND t > 10;
UPDATE p1 SET k = k + 100 WHERE k = 2;
UPDATE p2 SET k = k + 200 WHERE k IN (2, 3);
UPDATE p3 SET k = k + 300, t = t + 1 WHERE k IN (2, 3) AND t < 35;
SELECT *, tableoid::regclass FROM p WHERE k < 4 OR k > 100 ORDER BY 1, 2;
SELECT *, tableoid::regclass FROM cc ORDER BY 1, 2, 3;
UPDATE p SET k = k + 100 WHERE k = 4;
SELECT * FROM cn ORDER BY 3, 1, 2;
-- error
UPDATE p SET k = k + 100 WHERE k = 5 AND t = 3;
-- error
UPDATE p1 SET k = k + 100 WHERE k = 5;
-- error
UPDATE p SET k = k + 100 WHERE k = 6;
-- error
UPDATE p2 SET k = k + 100 WHERE k = 6;
WITH a AS (DELETE FROM ca WHERE t = 3 RETURNING k, t) SELECT count(*) FROM a;
UPDATE p SET k = k + 100 WHERE k = 6 AND t = 3;
BEGIN;
SET CONSTRAINTS ca_p DEFERRED;
-- may differ: the key's action is the workers'
UPDATE p SET k = k + 100 WHERE k = 6 AND t = 6;
ROLLBACK;
SELECT * FROM ca ORDER BY 1, 2;
-- rows that refer by a key that is held here follow as well
CREATE TABLE h (id int PRIMARY KEY, k int, t int, CONSTRAINT h_p FOREIGN KEY (k, t) REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE hp (id int, k int, t int, CONSTRAINT hp_p FOREIGN KEY (k, t) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE) PARTITION BY LIST (id);
CREATE TABLE hp1 PARTITION OF hp FOR VALUES IN (1, 2, 3);
CREATE TABLE hpd PARTITION OF hp DEFAULT;
SELECT create_distributed_table('h', 'id', colocate_with => 'none');
SELECT create_distributed_table('hp', 'id', colocate_with => 'none');
INSERT INTO h SELECT t, k, t FROM p WHERE k = 7;
INSERT INTO hp SELECT t, k, t FROM p WHERE k = 7;
UPDATE p SET k = k + 100 WHERE k = 7 AND t < 20;
UPDATE p SET k = k + 200, t = (t + 1) % 40 WHERE k = 7;
DELETE FROM p WHERE k = 207 AND t > 33;
DELETE FROM p WHERE k = 107 AND t < 5;
SELECT * FROM h ORDER BY 1;
SELECT *, tableoid::regclass FROM hp ORDER BY 1;
-- a key to one partition alone
CREATE TABLE one (k int, t int, FOREIGN KEY (k, t) REFERENCES p2 ON DELETE CASCADE ON UPDATE CASCADE);
SELECT create_distributed_table('one', 'k');
INSERT INTO one SELECT k, t FROM p2 WHERE k = 8;
UPDATE p2 SET k = k + 100 WHERE k = 8;
SELECT * FROM one ORDER BY 1, 2;
INSERT INTO one SELECT k, t FROM p2 WHERE k = 9;
UPDATE p SET k = k + 100 WHERE k = 9;
UPDATE p SET k = k + 100, t = (t + 6) % 20 WHERE k = 109 AND t < 20;
SELECT *, tableoid::regclass FROM p WHERE k > 100 ORDER BY 1, 2;
SELECT * FROM one ORDER BY 1, 2;
CREATE TABLE mid (k int, t int, FOREIGN KEY (k, t) REFERENCES p3 ON DELETE CASCADE ON UPDATE CASCADE);
SELECT create_distributed_table('mid', 'k');
INSERT INTO mid SELECT k, t FROM p3 WHERE k = 10;
UPDATE p SET k = k + 100 WHERE k = 10;
-- error
UPDATE p SET k = k + 100, t = 31 WHERE k = 110 AND t = 21;
-- error
UPDATE p SET k = k + 100, t = 1 WHERE k = 110 AND t = 21;
UPDATE p3 SET k = k + 100, t = 31 WHERE k = 110 AND t = 21;
SELECT * FROM mid ORDER BY 1, 2;
SELECT count(*) FROM cz_verify_placements('p') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('cc') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('cn') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('hp') WHERE NOT ok;
DROP TABLE one, mid, h, hp, cc, cn, cr, ca, p;
