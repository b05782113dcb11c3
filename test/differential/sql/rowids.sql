-- ctid, xmin and their kin: right within a shard, refused where values of several places would meet.
CREATE TABLE q (id int PRIMARY KEY, v int, done bool);
SELECT create_distributed_table('q', 'id');
INSERT INTO q SELECT i, i, i % 4 = 0 FROM generate_series(1, 60) i;
CREATE TABLE d (k int, v text, n int);
SELECT create_distributed_table('d', 'k');
INSERT INTO d SELECT i % 5, 'v' || i % 5, i FROM generate_series(1, 40) i;
CREATE TABLE r (k int, v text);
SELECT create_reference_table('r');
INSERT INTO r SELECT i % 5, 'v' || i % 5 FROM generate_series(1, 15) i;
CREATE TABLE loc (k int);
INSERT INTO loc SELECT generate_series(1, 3);
-- batches
BEGIN;
-- differs: a ctid is a shard's
DELETE FROM q WHERE ctid IN (SELECT ctid FROM q WHERE done ORDER BY id LIMIT 10) RETURNING id;
ROLLBACK;
BEGIN;
-- differs: a ctid is a shard's
DELETE FROM q WHERE ctid = ANY (ARRAY(SELECT ctid FROM q WHERE done ORDER BY id LIMIT 5)) RETURNING id;
ROLLBACK;
BEGIN;
-- differs: a ctid is a shard's
WITH b AS (SELECT ctid FROM q WHERE NOT done ORDER BY id LIMIT 5) DELETE FROM q USING b WHERE q.ctid = b.ctid RETURNING id;
ROLLBACK;
BEGIN;
-- differs: a ctid is a shard's
UPDATE q SET v = -1 WHERE ctid = (SELECT ctid FROM q WHERE NOT done ORDER BY id DESC LIMIT 1) RETURNING id;
ROLLBACK;
BEGIN;
-- differs: a ctid is a shard's
UPDATE q SET v = -2 WHERE ctid IN (SELECT min(ctid) FROM q GROUP BY id % 3);
ROLLBACK;
BEGIN;
-- differs: a ctid is a shard's
UPDATE q SET v = 0 WHERE ctid = '(0,1)';
ROLLBACK;
BEGIN;
-- differs: an xmin is a worker's
UPDATE q SET v = 0 WHERE xmin IS DISTINCT FROM '3'::xid;
ROLLBACK;
BEGIN;
-- differs: copies have other ctids
DELETE FROM q USING r WHERE q.id = r.k AND r.ctid > '(0,1)';
ROLLBACK;
-- reads
-- differs: a ctid is a shard's
SELECT count(*) FROM q a JOIN q b ON a.ctid = b.ctid;
-- differs: a ctid is a shard's
SELECT count(*) FROM q a WHERE a.ctid IN (SELECT b.ctid FROM q b WHERE b.id IN (1, 2, 3));
-- differs: a ctid is a shard's
SELECT count(*) FROM (SELECT DISTINCT ctid FROM q) x;
-- differs: a ctid is a shard's
SELECT count(DISTINCT ctid) FROM q;
-- differs: a ctid is a shard's
SELECT ctid IS NULL, count(*) FROM q GROUP BY ctid;
-- differs: a ctid is a shard's
SELECT count(*) FROM (SELECT ctid AS c, id FROM q) x, (SELECT ctid AS c, id FROM q) y WHERE x.c = y.c AND x.id <> y.id;
-- differs: a ctid is a shard's
WITH x AS MATERIALIZED (SELECT ctid AS c FROM q), y AS MATERIALIZED (SELECT ctid AS c FROM q) SELECT count(*) FROM x JOIN y USING (c);
-- differs: a ctid is a shard's
SELECT count(*) FROM (SELECT ctid AS c FROM q INTERSECT SELECT ctid FROM q) x;
-- what is right
-- may differ: if nothing is pushed down
SELECT count(*) FROM q a JOIN q b ON a.id = b.id AND a.ctid = b.ctid AND a.xmin = b.xmin;
-- may differ: if nothing is pushed down
SELECT count(*) FROM (SELECT DISTINCT id, ctid FROM q) x;
SELECT count(*) FROM q WHERE ctid IS NOT NULL AND xmin IS NOT NULL;
SELECT count(ctid), count(xmin) FROM q;
-- may differ: if nothing is pushed down
SELECT id FROM q WHERE id = 7 AND ctid = (SELECT ctid FROM q WHERE id = 7);
SELECT count(*) FROM loc JOIN (SELECT id, ctid FROM q) x ON x.id = loc.k WHERE x.ctid IS NOT NULL;
SELECT count(*) FROM r a JOIN r b ON a.ctid = b.ctid;
BEGIN;
-- may differ: if nothing is pushed down
UPDATE q SET v = 70 WHERE id = 7 AND ctid = (SELECT ctid FROM q WHERE id = 7) RETURNING id, v, ctid IS NULL, tableoid::regclass;
ROLLBACK;
DELETE FROM q WHERE id = 8 RETURNING id, ctid IS NULL;
-- the version of a row
DO $$ DECLARE x xid; y xid; n int; BEGIN
  SELECT xmin INTO x FROM q WHERE id = 9;
  UPDATE q SET v = v + 1 WHERE id = 9 AND xmin = x;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n <> 1 THEN RAISE 'not updated'; END IF;
END $$;
DO $$ DECLARE x xid; n int; BEGIN
  SELECT xmin INTO x FROM q WHERE id = 9;
  PERFORM 1;
  UPDATE q SET v = v + 1 WHERE id = 9 AND xmin = x;
  DELETE FROM q WHERE id = 9 AND xmin = x AND v < 0;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n <> 0 THEN RAISE 'deleted'; END IF;
END $$;
SELECT id, v FROM q WHERE id IN (7, 9) ORDER BY id;
-- duplicates, in tables without a key: right with one placement
BEGIN;
-- may differ: placements have other ctids
DELETE FROM d a USING d b WHERE a.ctid < b.ctid AND a.k = b.k AND a.v = b.v;
ROLLBACK;
BEGIN;
-- may differ: placements have other ctids
DELETE FROM d WHERE k = 1 AND ctid = ANY (ARRAY(SELECT ctid FROM d WHERE k = 1 LIMIT 1));
ROLLBACK;
SELECT k, count(*) FROM d GROUP BY 1 ORDER BY 1;
-- reference tables are read here
DELETE FROM r a USING r b WHERE a.ctid < b.ctid AND a.k = b.k AND a.v = b.v;
SELECT * FROM r ORDER BY 1;
DELETE FROM r WHERE ctid IN (SELECT ctid FROM r ORDER BY k LIMIT 1);
SELECT q.id, r.k FROM q JOIN r ON r.k = q.id ORDER BY 1;
BEGIN;
-- differs: not by a worker's ctids
DELETE FROM r WHERE ctid IN (SELECT r.ctid FROM r JOIN q ON r.k = q.id WHERE q.v > 0);
ROLLBACK;
