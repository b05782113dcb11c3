-- Rows that a statement of several parts has written itself, in the way of ON CONFLICT DO UPDATE.
CREATE TABLE zw (k int primary key, v text);
SELECT create_distributed_table('zw','k');
INSERT INTO zw VALUES (1,'a'),(2,'b');
WITH simpletup AS (
  SELECT 2 k, 'Green' v),
upsert_cte AS (
  INSERT INTO zw VALUES(2, 'Blue') ON CONFLICT (k) DO
    UPDATE SET (k, v) = (SELECT k, v FROM simpletup WHERE simpletup.k = zw.k)
    RETURNING k, v)
INSERT INTO zw VALUES(2, 'Red') ON CONFLICT (k) DO
UPDATE SET (k, v) = (SELECT k, v FROM upsert_cte WHERE upsert_cte.k = zw.k)
RETURNING k, v;
SELECT * FROM zw ORDER BY 1;
WITH u AS (UPDATE zw SET v='u' WHERE k=1 RETURNING *) INSERT INTO zw VALUES (1,'i') ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *;
SELECT * FROM zw ORDER BY 1;
-- error
WITH u AS (INSERT INTO zw VALUES (1,'x') ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *) INSERT INTO zw VALUES (1,'i') ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *;
SELECT * FROM zw ORDER BY 1;
-- error
WITH u AS (INSERT INTO zw VALUES (1,'y') ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *) INSERT INTO zw SELECT k, v||'i' FROM u ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *;
SELECT * FROM zw ORDER BY 1;
-- error
WITH u AS (INSERT INTO zw VALUES (3,'y') RETURNING *) INSERT INTO zw VALUES (3,'i') ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *;
SELECT * FROM zw ORDER BY 1;
-- error
WITH u AS (INSERT INTO zw VALUES (4,'y') RETURNING *) INSERT INTO zw SELECT k, v||'i' FROM u ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *;
SELECT * FROM zw ORDER BY 1;
WITH u AS (INSERT INTO zw VALUES (5,'y') RETURNING *) INSERT INTO zw SELECT k, v||'i' FROM u ON CONFLICT (k) DO NOTHING RETURNING *;
WITH u AS (DELETE FROM zw WHERE k=1 RETURNING *) INSERT INTO zw VALUES (1,'i') ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *;
SELECT * FROM zw ORDER BY 1;
WITH u AS (DELETE FROM zw WHERE k=2 RETURNING *) INSERT INTO zw SELECT k, v||'i' FROM u ON CONFLICT (k) DO UPDATE SET v=zw.v||excluded.v RETURNING *;
SELECT * FROM zw ORDER BY 1;
WITH u AS (DELETE FROM zw WHERE k=2 RETURNING *) INSERT INTO zw SELECT k, v||'i' FROM u ON CONFLICT (k) DO NOTHING RETURNING *;
SELECT * FROM zw ORDER BY 1;
WITH u AS (UPDATE zw SET v='u1' WHERE k=3 RETURNING *) UPDATE zw SET v='u2' FROM u WHERE zw.k=u.k RETURNING *;
WITH u AS (UPDATE zw SET v='u1' WHERE k=3 RETURNING *) DELETE FROM zw USING u WHERE zw.k=u.k RETURNING *;
WITH u AS (UPDATE zw SET v='u1' WHERE k=3 RETURNING *) MERGE INTO zw USING u ON zw.k=u.k WHEN MATCHED THEN UPDATE SET v='m' WHEN NOT MATCHED THEN DO NOTHING;
SELECT * FROM zw ORDER BY 1;
WITH u AS (INSERT INTO zw VALUES (3,'ins') ON CONFLICT (k) DO UPDATE SET v=excluded.v RETURNING *) UPDATE zw SET v='u2' FROM u WHERE zw.k=u.k RETURNING *;
SELECT * FROM zw ORDER BY 1;
CREATE TABLE zt (k int, id int, v text, primary key (k, id));
SELECT create_distributed_table('zt','k');
CREATE TABLE zo (k int, id int, v text);
SELECT create_distributed_table('zo','k');
INSERT INTO zo SELECT i%3, i, 'o'||i FROM generate_series(1,12) i;
INSERT INTO zt SELECT i%3, i, 't'||i FROM generate_series(1,9) i;
WITH u AS (UPDATE zt SET v = v||'u' WHERE id < 5) INSERT INTO zt SELECT * FROM zo WHERE id > 3 ON CONFLICT (k, id) DO UPDATE SET v = zt.v||excluded.v RETURNING k, id, v;
SELECT * FROM zt ORDER BY 1,2;
-- error
WITH u AS (UPDATE zt SET v = v||'w' WHERE id < 5 RETURNING *) INSERT INTO zt SELECT zo.* FROM zo, (SELECT count(*) c FROM u) x WHERE id > 3 + c*0 ON CONFLICT (k, id) DO UPDATE SET v = zt.v||excluded.v RETURNING k, id, v;
WITH u AS (UPDATE zt SET v = v||'w' WHERE id < 5 RETURNING *) INSERT INTO zt SELECT zo.* FROM zo, (SELECT count(*) c FROM u) x WHERE id > 4 + c*0 ON CONFLICT (k, id) DO UPDATE SET v = zt.v||excluded.v RETURNING k, id, v;
SELECT * FROM zt ORDER BY 1,2;
WITH d AS (DELETE FROM zt WHERE id < 5 RETURNING *) INSERT INTO zt SELECT k, id, v||'d' FROM d ON CONFLICT (k, id) DO UPDATE SET v = zt.v||excluded.v RETURNING k, id, v;
WITH d AS (DELETE FROM zt WHERE id < 5 RETURNING *) INSERT INTO zt VALUES (1,1,'x'),(2,2,'y'),(2,20,'z') ON CONFLICT (k, id) DO UPDATE SET v = zt.v||excluded.v RETURNING k, id, v;
SELECT * FROM zt ORDER BY 1,2;
INSERT INTO zt VALUES (0,3,'a'),(1,4,'b') ON CONFLICT DO NOTHING;
WITH d AS (DELETE FROM zt WHERE id = 1 RETURNING *) INSERT INTO zt VALUES (1,1,'q') ON CONFLICT (k,id) DO UPDATE SET v = (SELECT count(*)::text FROM d) RETURNING *;
SELECT * FROM zt ORDER BY 1,2;
INSERT INTO zt VALUES (1,1,'again') ON CONFLICT DO NOTHING;
-- error
WITH d AS (UPDATE zt SET v = v||'!' WHERE id IN (1, 2) RETURNING *) INSERT INTO zt VALUES (1,1,'q'), (2,2,'q'), (1,4,'r') ON CONFLICT (k,id) DO UPDATE SET v = (SELECT count(*)::text FROM d) RETURNING *;
SELECT * FROM zt ORDER BY 1,2;
WITH d AS (UPDATE zt SET v = v||'!' WHERE id IN (1) RETURNING *) INSERT INTO zt VALUES (1,1,'q') ON CONFLICT (k,id) DO UPDATE SET v = 'W' WHERE (SELECT count(*) FROM d) > 0 RETURNING *;
WITH d AS (UPDATE zt SET v = v||'!' WHERE id IN (1) RETURNING *) INSERT INTO zt VALUES (1,1,'q') ON CONFLICT (k,id) DO UPDATE SET v = 'W' WHERE (SELECT count(*) FROM d) > 1 RETURNING *;
SELECT * FROM zt ORDER BY 1,2;
WITH a AS (INSERT INTO zt VALUES (1,1,'k') ON CONFLICT (k,id) DO UPDATE SET id = 100 RETURNING *), b AS (INSERT INTO zt SELECT 1,1,'new' FROM a ON CONFLICT (k,id) DO UPDATE SET v = 'no' RETURNING *) SELECT * FROM b;
SELECT * FROM zt ORDER BY 1,2;
WITH a AS (INSERT INTO zt VALUES (1,1,'k') ON CONFLICT (k,id) DO UPDATE SET id = 101 RETURNING *) UPDATE zt SET v = 'u' WHERE (SELECT count(*) FROM a) = 1 AND k = 1 RETURNING *;
WITH a AS (INSERT INTO zt VALUES (1,4,'k') ON CONFLICT (k,id) DO UPDATE SET id = 102 RETURNING *) DELETE FROM zt WHERE (SELECT count(*) FROM a) = 1 AND k = 1 RETURNING *;
SELECT * FROM zt ORDER BY 1,2;
-- error
WITH a AS (INSERT INTO zt VALUES (2,2,'k') ON CONFLICT (k,id) DO UPDATE SET v = 'A' RETURNING *) MERGE INTO zt USING zo ON zt.k = zo.k AND zt.id = zo.id WHEN MATCHED AND (SELECT count(*) FROM a) > 0 THEN UPDATE SET v = 'm' WHEN NOT MATCHED THEN INSERT VALUES (zo.k, zo.id, 'ins');
WITH a AS (INSERT INTO zt VALUES (2,200,'k') ON CONFLICT (k,id) DO UPDATE SET v = 'A' RETURNING *) MERGE INTO zt USING zo ON zt.k = zo.k AND zt.id = zo.id WHEN MATCHED AND (SELECT count(*) FROM a) > 0 THEN UPDATE SET v = 'm' WHEN NOT MATCHED THEN INSERT VALUES (zo.k, zo.id, 'ins');
SELECT * FROM zt ORDER BY 1,2;
WITH a AS (INSERT INTO zt VALUES (2,2,'k'),(2,5,'k') ON CONFLICT (k,id) DO UPDATE SET v = 'A' RETURNING *), b AS (INSERT INTO zt VALUES (2,2,'k'),(2,77,'') ON CONFLICT (k,id) DO NOTHING RETURNING *), c AS (UPDATE zt SET v = 'c' WHERE k = 2 RETURNING *) SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT string_agg(id::text, ',' ORDER BY id) FROM c);
SELECT * FROM zt ORDER BY 1,2;
SELECT count(*) FROM cz_verify_placements('zt') WHERE NOT ok;
-- what one part has changed is applied before another part finds it
CREATE TABLE za (k int, id int, v int, PRIMARY KEY (k, id));
CREATE TABLE zb (k int, id int, v int, PRIMARY KEY (k, id));
SELECT create_distributed_table('za', 'k');
SELECT create_distributed_table('zb', 'k');
INSERT INTO za SELECT i % 4, i, i FROM generate_series(1, 20) i;
WITH a AS (UPDATE za SET v = v * 2 WHERE id > 1 AND random() < 2), b AS (UPDATE za SET v = 7 WHERE id % 2 = 1 RETURNING *) INSERT INTO zb SELECT * FROM b ON CONFLICT (k, id) DO UPDATE SET v = excluded.v + zb.v;
SELECT * FROM za ORDER BY id;
SELECT * FROM zb ORDER BY id;
WITH a AS (DELETE FROM za WHERE id > 1 AND random() < 2), b AS (UPDATE za SET v = 8 WHERE id % 4 = 1 RETURNING *), c AS (INSERT INTO zb SELECT * FROM b ON CONFLICT (k, id) DO UPDATE SET v = excluded.v + zb.v RETURNING *) MERGE INTO zb USING za ON zb.k = za.k AND zb.id = za.id WHEN MATCHED AND za.id % 4 = 3 THEN DELETE;
SELECT * FROM za ORDER BY id;
SELECT * FROM zb ORDER BY id;
-- error
WITH b AS (UPDATE za SET v = 8 WHERE id % 4 = 1 RETURNING *), c AS (INSERT INTO zb SELECT * FROM b ON CONFLICT (k, id) DO UPDATE SET v = excluded.v + zb.v RETURNING *) MERGE INTO za USING c ON c.k = za.k AND c.id = za.id WHEN MATCHED THEN DELETE;
SELECT count(*) FROM cz_verify_placements('za') WHERE NOT ok;
-- a row that a trigger leaves out of one part is changed by another
CREATE TABLE zn (k int, id int, v int);
CREATE TABLE zu (k int, id int, v int);
SELECT create_distributed_table('zn', 'k');
SELECT create_distributed_table('zu', 'k');
CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v % 7 = 5 THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER leaves_out BEFORE UPDATE ON zn FOR EACH ROW EXECUTE FUNCTION leave_out();
INSERT INTO zn VALUES (1, 2, 15), (2, 2, 25), (3, 2, 35), (1, 4, 14);
WITH a AS (DELETE FROM zn), b AS (UPDATE zn SET v = v + 1 WHERE id = 2) INSERT INTO zu VALUES (1, 1, 1);
SELECT * FROM zn ORDER BY k, id;
-- a row that SET itself has another part change: its triggers see nothing of an update
CREATE TABLE zset (k int, id int, v int, PRIMARY KEY (k, id));
SELECT create_distributed_table('zset', 'k');
CREATE TABLE zlog (what text, k int, v int);
CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO zlog VALUES (TG_WHEN || TG_OP, coalesce(NEW.k, OLD.k), coalesce(NEW.v, OLD.v)); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER logs BEFORE INSERT OR UPDATE OR DELETE ON zset FOR EACH ROW EXECUTE FUNCTION log_row();
INSERT INTO zset VALUES (1, 1, 11), (2, 2, 22), (3, 3, 33);
WITH a AS (DELETE FROM zset RETURNING *) INSERT INTO zset VALUES (2, 2, 5), (4, 4, 44) ON CONFLICT (k, id) DO UPDATE SET v = zset.v + (SELECT count(*) FROM a)::int;
SELECT * FROM zset ORDER BY k, id;
SELECT * FROM zlog ORDER BY what, k, v;
