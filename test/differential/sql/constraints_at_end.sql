-- DEFERRABLE unique constraints, and foreign keys, hold when a statement ends, whatever number of commands it is on a worker.
-- from: 15
CREATE TABLE d (k int, id int, v int, w int, PRIMARY KEY (k, id), UNIQUE (k, v) DEFERRABLE);
SELECT create_distributed_table('d', 'k');
CREATE TABLE e (a int, k int, id int, v int);
SELECT create_distributed_table('e', 'a');
INSERT INTO d SELECT 1, i, i, 0 FROM generate_series(1, 20) i;
INSERT INTO e SELECT i, 1, i, 21 - i FROM generate_series(1, 20) i;
INSERT INTO d SELECT k, id, v FROM e ON CONFLICT (k, id) DO UPDATE SET v = excluded.v;
SELECT * FROM d ORDER BY id;
INSERT INTO d SELECT k, id, v FROM d ON CONFLICT (k, id) DO UPDATE SET v = 21 - excluded.v, w = 1;
INSERT INTO d SELECT k, id, v FROM d ON CONFLICT (k, id) DO UPDATE SET v = 21 - excluded.v, w = random();
INSERT INTO d SELECT 1, i, i FROM generate_series(1, 20) i ON CONFLICT (k, id) DO UPDATE SET v = 21 - excluded.v, w = random();
-- error
INSERT INTO d VALUES (1, 1, 2), (1, 2, 1) ON CONFLICT (k, id) DO UPDATE SET v = 100, w = random();
-- error
INSERT INTO d VALUES (1, 1, 2), (1, 2, 1) ON CONFLICT (k, id) DO UPDATE SET v = excluded.v, w = random();
SELECT count(DISTINCT v), min(v), max(v) FROM d;
UPDATE d SET v = 21 - v;
UPDATE d SET v = v + 1 WHERE random() < 2;
WITH a AS (UPDATE d SET v = v + 1 WHERE id % 2 = 0 RETURNING 1) UPDATE d SET v = v + 1 WHERE id % 2 = 1;
-- error
WITH a AS (UPDATE d SET v = 500 WHERE id = 2 RETURNING 1) UPDATE d SET v = 500 WHERE id = 1;
SELECT count(DISTINCT v), min(v), max(v) FROM d;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
WITH a AS (UPDATE d SET v = 500 WHERE id = 2 RETURNING 1) UPDATE d SET v = 500 WHERE id = 1;
UPDATE d SET v = 501 WHERE id = 1 AND random() < 2;
SET CONSTRAINTS ALL IMMEDIATE;
-- error
WITH a AS (UPDATE d SET v = 500 WHERE id = 3 RETURNING 1) UPDATE d SET v = v + 1 WHERE id = 1;
ROLLBACK;
SELECT count(*) FROM cz_verify_placements('d') WHERE NOT ok;
-- what keys do about one part is done to rows that another part inserts
CREATE TABLE xp (k int, id int, v int, PRIMARY KEY (k, id));
CREATE TABLE xc (k int, id int, pid int, PRIMARY KEY (k, id));
SELECT create_distributed_table('xp','k');
SELECT create_distributed_table('xc','k', colocate_with => 'xp');
ALTER TABLE xc ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES xp ON DELETE SET NULL (pid) ON UPDATE CASCADE;
INSERT INTO xp SELECT 1, i, i FROM generate_series(1,20) i;
INSERT INTO xc SELECT 1, i, i FROM generate_series(1,5) i;
WITH d AS (DELETE FROM xp WHERE id = 1 RETURNING *) INSERT INTO xc SELECT k, id + 100, id FROM d;
SELECT * FROM xc ORDER BY id;
WITH i AS (INSERT INTO xc VALUES (1, 103, 3)) DELETE FROM xp WHERE id = 3;
-- error
WITH i AS (INSERT INTO xc VALUES (1, 104, 3) RETURNING *) DELETE FROM xp WHERE id = 3 AND (SELECT count(*) FROM i) = 1;
WITH d AS (UPDATE xp SET id = id + 100 WHERE id = 4 RETURNING *) INSERT INTO xc SELECT k, id + 100, id FROM d;
WITH d AS (UPDATE xp SET id = id + 100 WHERE id = 5 RETURNING *) INSERT INTO xc SELECT k, id + 100, id - 100 FROM d;
SELECT * FROM xc ORDER BY id;
ALTER TABLE xc DROP CONSTRAINT fk; 
ALTER TABLE xc ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES xp ON DELETE CASCADE ON UPDATE CASCADE;
WITH d AS (DELETE FROM xp WHERE id = 10 RETURNING *) INSERT INTO xc SELECT k, id + 100, id FROM d;
WITH d AS (DELETE FROM xp WHERE id = 11 RETURNING *), i AS (INSERT INTO xc SELECT k, id + 100, id FROM d RETURNING *) SELECT * FROM i;
WITH d AS (DELETE FROM xp WHERE id = 12 RETURNING *), n AS (INSERT INTO xp SELECT k, id + 1000, v FROM d RETURNING *) INSERT INTO xc SELECT k, id + 100, id FROM n;
WITH d AS (DELETE FROM xc WHERE pid > 100 RETURNING *), n AS (DELETE FROM xp WHERE id > 1000 RETURNING *) SELECT (SELECT count(*) FROM d), (SELECT count(*) FROM n);
SELECT * FROM xc ORDER BY id;
SELECT * FROM xp ORDER BY id;
CREATE TABLE yp (k int, id int, v int, PRIMARY KEY (k, id));
CREATE TABLE yc (k int, id int, pid int, PRIMARY KEY (k, id));
CREATE TABLE ya (k int, id int, pid int, PRIMARY KEY (k, id));
SELECT create_distributed_table('yp','k');
SELECT create_distributed_table('yc','k', colocate_with => 'yp');
SELECT create_distributed_table('ya','k');
ALTER TABLE yc ADD FOREIGN KEY (k, pid) REFERENCES yp ON DELETE CASCADE ON UPDATE CASCADE;
INSERT INTO yp SELECT 1, i, i FROM generate_series(1,20) i;
INSERT INTO yc SELECT 1, i, i FROM generate_series(1,20) i;
WITH d AS (DELETE FROM yc WHERE id < 5 RETURNING *), e AS (INSERT INTO ya SELECT * FROM d RETURNING *) UPDATE yp SET id = id + 100 WHERE id IN (SELECT pid FROM e);
WITH d AS (DELETE FROM yc WHERE id = 5 RETURNING *), e AS (INSERT INTO ya SELECT * FROM d RETURNING *) DELETE FROM yp WHERE id IN (SELECT pid FROM e);
WITH d AS (DELETE FROM yp WHERE id = 6 RETURNING *), e AS (INSERT INTO ya SELECT k, id, v FROM d RETURNING *) DELETE FROM yc WHERE id IN (SELECT pid FROM e);
WITH d AS (DELETE FROM yp WHERE id = 7 RETURNING *), e AS (INSERT INTO ya SELECT k, id, v FROM d RETURNING *) UPDATE yc SET pid = 8 WHERE id IN (SELECT pid FROM e);
WITH d AS (UPDATE yp SET id = id + 100 WHERE id = 9 RETURNING *), e AS (INSERT INTO ya SELECT k, id, v FROM d RETURNING *) UPDATE yc SET pid = 8 WHERE id IN (SELECT pid FROM e);
SELECT * FROM ya ORDER BY id;
SELECT * FROM yc ORDER BY id;
SELECT * FROM yp ORDER BY id;
-- rows of more bytes than one command takes
CREATE TABLE wide (k int, id int, up int, pad text, PRIMARY KEY (k, id));
CREATE TABLE wide_unique (k int, id int, pad text, PRIMARY KEY (k, id) DEFERRABLE);
ALTER TABLE wide ALTER pad SET STORAGE EXTERNAL;
ALTER TABLE wide_unique ALTER pad SET STORAGE EXTERNAL;
SELECT create_distributed_table('wide', 'k');
SELECT create_distributed_table('wide_unique', 'k');
ALTER TABLE wide ADD FOREIGN KEY (k, up) REFERENCES wide;
INSERT INTO wide SELECT 1, i, 61 - i, repeat('x', 150000) FROM generate_series(1, 60) i;
INSERT INTO wide_unique SELECT k, id, pad FROM wide;
UPDATE wide SET id = id + 1000, up = up + 1000, pad = pad || 'y' WHERE random() < 2;
SELECT count(*), sum(id), sum(up), sum(length(pad)) FROM wide;
UPDATE wide_unique SET id = id + 1, pad = pad || 'y' WHERE random() < 2;
SELECT count(*), sum(id), sum(length(pad)) FROM wide_unique;
