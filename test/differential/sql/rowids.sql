-- ctid names one row of the whole table; xmin and its kin are right within a shard, refused where values of several workers would meet.
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
DELETE FROM q WHERE ctid IN (SELECT ctid FROM q WHERE done ORDER BY id LIMIT 10) RETURNING id;
ROLLBACK;
BEGIN;
DELETE FROM q WHERE ctid = ANY (ARRAY(SELECT ctid FROM q WHERE done ORDER BY id LIMIT 5)) RETURNING id;
ROLLBACK;
BEGIN;
-- may differ: a row path is wanted
WITH b AS (SELECT ctid FROM q WHERE NOT done ORDER BY id LIMIT 5) DELETE FROM q USING b WHERE q.ctid = b.ctid RETURNING id;
ROLLBACK;
BEGIN;
UPDATE q SET v = -1 WHERE ctid = (SELECT ctid FROM q WHERE NOT done ORDER BY id DESC LIMIT 1) RETURNING id;
ROLLBACK;
BEGIN;
UPDATE q SET v = -2 WHERE ctid IN (SELECT min(ctid) FROM q GROUP BY id % 3);
ROLLBACK;
BEGIN;
UPDATE q SET v = 0 WHERE ctid = (SELECT min(ctid) FROM q);
ROLLBACK;
BEGIN;
UPDATE q SET v = 0 WHERE xmin IS DISTINCT FROM '3'::xid;
ROLLBACK;
BEGIN;
-- may differ: a row path is wanted
DELETE FROM q USING r WHERE q.id = r.k AND r.ctid > '(0,1)';
ROLLBACK;
-- reads
SELECT count(*) FROM q a JOIN q b ON a.ctid = b.ctid;
SELECT count(*) FROM q a WHERE a.ctid IN (SELECT b.ctid FROM q b WHERE b.id IN (1, 2, 3));
SELECT count(*) FROM (SELECT DISTINCT ctid FROM q) x;
SELECT count(DISTINCT ctid) FROM q;
SELECT ctid IS NULL, count(*) FROM q GROUP BY ctid;
SELECT count(*) FROM (SELECT ctid AS c, id FROM q) x, (SELECT ctid AS c, id FROM q) y WHERE x.c = y.c AND x.id <> y.id;
WITH x AS MATERIALIZED (SELECT ctid AS c FROM q), y AS MATERIALIZED (SELECT ctid AS c FROM q) SELECT count(*) FROM x JOIN y USING (c);
SELECT count(*) FROM (SELECT ctid AS c FROM q INTERSECT SELECT ctid FROM q) x;
SELECT count(DISTINCT ctid), min(ctid) < max(ctid) FROM q;
SELECT array_length(array_agg(DISTINCT ctid), 1) FROM q;
SELECT a.id, b.id FROM q a FULL JOIN q b ON a.ctid = b.ctid AND a.id > 10 AND b.id > 10 WHERE a.id < 12 OR b.id < 12 ORDER BY 1, 2;
SELECT a.ctid IS NULL, b.id FROM q a RIGHT JOIN q b ON a.id = b.id + 1 ORDER BY 2;
SELECT count(*) FROM (SELECT ctid AS c FROM q UNION ALL SELECT '(7,7)') z WHERE c = '(7,7)';
SELECT count(*) FROM q a, LATERAL (SELECT b.ctid c FROM q b WHERE b.ctid = a.ctid) l;
SELECT (SELECT ctid FROM q b WHERE b.id = a.id) = a.ctid FROM q a WHERE a.id = 5;
SELECT count(*) FROM q a WHERE a.ctid = (SELECT max(ctid) FROM q b WHERE b.id = a.id);
SELECT count(*) FROM q WHERE ctid >= '(0,0)' AND ctid < (SELECT max(ctid) FROM q);
SELECT id FROM q WHERE ctid IN (SELECT ctid FROM q ORDER BY v DESC LIMIT 4) ORDER BY id;
SELECT id FROM q, (SELECT ctid AS c FROM q ORDER BY v LIMIT 4) x WHERE ctid = c ORDER BY id;
SELECT id FROM q WHERE ctid NOT IN (SELECT ctid FROM q WHERE v > 3) ORDER BY id;
SELECT count(*) FROM q JOIN (SELECT ctid AS c, row_number() OVER (ORDER BY v) AS n FROM q) x ON ctid = c AND id = n;
SELECT count(*) FROM q WHERE ctid::text IN (SELECT ctid::text FROM q WHERE id < 4);
SELECT COALESCE(ctid, '(0,0)') = ctid, cardinality(ARRAY(SELECT ctid FROM q WHERE id < 5)) FROM q WHERE id = 5;
SELECT id, lag(ctid) OVER (ORDER BY id) = ctid, row_number() OVER (PARTITION BY ctid ORDER BY id) FROM q ORDER BY id LIMIT 2;
SELECT id FROM q WHERE ctid IN (SELECT ctid FROM q ORDER BY id LIMIT 2) ORDER BY id FOR UPDATE;
WITH RECURSIVE x(c, n) AS (SELECT ctid, 1 FROM q WHERE id = 3 UNION ALL SELECT q.ctid, n + 1 FROM x JOIN q ON q.ctid = x.c WHERE n < 4) SELECT count(*) FROM x;
-- values that were read before
CREATE TABLE saved (c tid, id int);
INSERT INTO saved SELECT ctid, id FROM q;
SELECT count(*) FROM q JOIN saved s ON q.ctid = s.c AND q.id = s.id;
SELECT count(*) FROM q WHERE NOT EXISTS (SELECT FROM saved s WHERE s.c = q.ctid);
SELECT create_distributed_table('saved', 'id', colocate_with => 'q');
SELECT count(*), count(*) FILTER (WHERE q.ctid = s.c) FROM q JOIN saved s USING (id);
SELECT count(*) FROM q JOIN saved s ON q.ctid = s.c;
BEGIN;
UPDATE saved SET c = NULL WHERE id = 1;
-- may differ: a row path is wanted
UPDATE saved s SET c = q.ctid FROM q WHERE q.id = s.id;
ROLLBACK;
DO $$ DECLARE c tid; cs tid[]; n int; BEGIN
  SELECT ctid INTO c FROM q WHERE id = 7;
  SELECT array_agg(ctid ORDER BY id) || NULL::tid || '(0,9999)'::tid INTO cs FROM q WHERE id IN (7, 8, 9, 10);
  FOR i IN 1 .. 7 LOOP
    SELECT sum(id) INTO n FROM q WHERE ctid = c;
    IF n <> 7 THEN RAISE 'wrong row %', n; END IF;
    SELECT sum(id) INTO n FROM q WHERE ctid = ANY (cs);
    IF n <> 34 THEN RAISE 'wrong rows %', n; END IF;
    SELECT count(*) INTO n FROM q WHERE ctid <> ALL (cs[1:4]);
    IF n <> 56 THEN RAISE 'wrong others %', n; END IF;
    SELECT count(*) INTO n FROM q WHERE ctid < ANY (cs[1:4]) OR ctid >= (SELECT max(x) FROM unnest(cs[1:4]) x);
    IF n <> 60 THEN RAISE 'wrong order %', n; END IF;
    SELECT count(*) INTO n FROM q WHERE ctid < c OR ctid > c OR ctid IS NOT DISTINCT FROM c OR (ctid, id) < (c, 7);
    IF n <> 60 THEN RAISE 'wrong comparisons %', n; END IF;
    UPDATE q SET v = v + 0 WHERE ctid = c;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> 1 THEN RAISE 'not updated'; END IF;
    SELECT ctid INTO c FROM q WHERE id = 7;
    cs[1] := c;
  END LOOP;
END $$;
-- what is right
-- may differ: if nothing is pushed down
SELECT count(*) FROM q a JOIN q b ON a.id = b.id AND a.ctid = b.ctid AND a.xmin = b.xmin;
SELECT count(*) FROM (SELECT DISTINCT id, ctid FROM q) x;
SELECT count(*) FROM q WHERE ctid IS NOT NULL AND xmin IS NOT NULL;
SELECT count(ctid), count(xmin) FROM q;
SELECT id FROM q WHERE id = 7 AND ctid = (SELECT ctid FROM q WHERE id = 7);
SELECT count(*) FROM loc JOIN (SELECT id, ctid FROM q) x ON x.id = loc.k WHERE x.ctid IS NOT NULL;
SELECT count(*) FROM r a JOIN r b ON a.ctid = b.ctid;
BEGIN;
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
DELETE FROM r WHERE ctid IN (SELECT r.ctid FROM r JOIN q ON r.k = q.id WHERE q.v > 0);
ROLLBACK;
