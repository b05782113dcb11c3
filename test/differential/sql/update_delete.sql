-- UPDATE and DELETE that one shard or every shard can do by itself, and what is refused.
CREATE TABLE t (k int, id int, v text, n numeric NOT NULL DEFAULT 0 CHECK (n >= 0), f float8, PRIMARY KEY (k, id));
SELECT create_distributed_table('t', 'k');
CREATE TABLE u (k int PRIMARY KEY, w text);
CREATE TABLE many (k int, w text);

SELECT create_distributed_table('u', 'k', colocate_with => 't');
SELECT create_distributed_table('many', 'k', colocate_with => 't');
CREATE TABLE o (id int, w text);
SELECT create_distributed_table('o', 'id', shard_count => 4);
CREATE TABLE r (id int PRIMARY KEY, label text);
SELECT create_reference_table('r');
CREATE TABLE l (id int);
INSERT INTO t SELECT i % 10, i, 'v' || i, i, CASE WHEN i % 3 = 0 THEN NULL ELSE i / 7.0 END FROM generate_series(1, 100) i;
INSERT INTO u SELECT i, 'w' || i FROM generate_series(1, 8) i;
INSERT INTO many SELECT i % 3, 'm' || i FROM generate_series(1, 9) i;
INSERT INTO o SELECT i, 'o' || i FROM generate_series(1, 20) i;
INSERT INTO r VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO l VALUES (1), (2);
UPDATE t SET v = 'changed' WHERE k = 3 AND id = 3;
UPDATE t SET v = v || '+', n = n + 1 WHERE k = 3;
UPDATE t SET n = n * 2 WHERE k = 4 RETURNING id, n;
UPDATE t SET n = n + 1;
UPDATE t SET v = upper(v) WHERE id % 7 = 0;
UPDATE t SET f = NULL, v = DEFAULT WHERE k IN (5, 6) AND id < 30;
UPDATE t SET n = 1 WHERE k = 999;
UPDATE t SET n = 1 WHERE false;
UPDATE t SET (v, n) = ('row', 5) WHERE k = 1 AND id < 30;
UPDATE t SET v = CASE WHEN n > 50 THEN 'big' ELSE v END WHERE k = 2;
UPDATE t SET n = n + 1 WHERE id > 90 RETURNING k, id, v, n;
SELECT * FROM t ORDER BY id;
UPDATE t SET v = u.w FROM u WHERE u.k = t.k AND t.id < 20;
UPDATE t SET v = t.v || u.w FROM u WHERE u.k = t.k AND t.k = 7;
UPDATE t SET v = r.label FROM r WHERE r.id = t.id;
UPDATE t SET v = x.label FROM (SELECT id, label FROM r WHERE id < 3) x WHERE x.id = t.id;
UPDATE t SET n = 0 WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.w = 'w8');
UPDATE t SET n = (SELECT count(*) FROM u WHERE u.k = t.k) WHERE id > 80;
UPDATE t AS x SET v = 'alias' WHERE x.k = 9 AND x.id = 9;
SELECT * FROM t ORDER BY id;
DELETE FROM t WHERE k = 3 AND id = 13;
DELETE FROM t WHERE k = 4 AND id > 60 RETURNING *;
DELETE FROM t WHERE v LIKE '%7%';
DELETE FROM t USING u WHERE u.k = t.k AND u.w = 'w1';
DELETE FROM t USING r WHERE r.id = t.id;
DELETE FROM t WHERE k IN (SELECT k FROM u WHERE w = 'w2');
DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k);
SELECT count(*), sum(n), count(v), sum(id) FROM t;
SELECT * FROM t ORDER BY id;
-- error
UPDATE t SET n = -1 WHERE k = 5;
-- error
UPDATE t SET n = -1;
-- error
UPDATE t SET n = NULL WHERE k = 5;
-- error
UPDATE t SET id = 5 WHERE k = 5;
-- error
UPDATE t SET n = 1 / (k - 5) WHERE k = 5;
SELECT count(*), sum(n), count(v), sum(id) FROM t;
UPDATE t SET k = k WHERE id = 5;
UPDATE t SET v = now()::date::text = current_date::text WHERE k = 5;
BEGIN;
UPDATE t SET (n, v) = (SELECT 6, 'sub') WHERE k = 5;
ROLLBACK;
BEGIN;
-- may differ: several rows of "many" match; with more than one placement replicas might choose differently
UPDATE t SET v = many.w FROM many WHERE many.k = t.k AND t.id = 0;
ROLLBACK;
BEGIN;
WITH c AS (UPDATE t SET n = n + 1 WHERE k = 5 RETURNING id) SELECT count(*) FROM c;
ROLLBACK;
BEGIN;
UPDATE t SET k = k + 1 WHERE id = 5;
ROLLBACK;
BEGIN;
UPDATE t SET f = random() * 0;
ROLLBACK;
BEGIN;
UPDATE t SET v = o.w FROM o WHERE o.id = t.id;
ROLLBACK;
BEGIN;
DELETE FROM t USING l WHERE l.id = t.id;
ROLLBACK;
BEGIN;
INSERT INTO t VALUES (5, 5, 'conflict') ON CONFLICT (k, id) DO UPDATE SET v = excluded.v;
ROLLBACK;
BEGIN;
MERGE INTO t USING u ON u.k = t.k WHEN MATCHED THEN UPDATE SET v = u.w;
ROLLBACK;
SELECT * FROM t ORDER BY id;
UPDATE r SET label = label || '!' WHERE id = 1;
UPDATE r SET label = x.c::text FROM (SELECT count(*) c FROM t) x;
DELETE FROM r WHERE id = 3;
SELECT r.label, count(*) FROM t, r GROUP BY 1;
UPDATE l SET id = id + 1 WHERE id IN (SELECT k FROM t);
DELETE FROM l WHERE id > (SELECT min(k) FROM t);
SELECT * FROM l ORDER BY 1;
DELETE FROM t;
SELECT count(*) FROM t;
-- through rules: the FROM entries of the rule, and the key assigned the value that it has
CREATE TABLE ruled (a int PRIMARY KEY, b int);
SELECT create_distributed_table('ruled', 'a');
CREATE VIEW ruled_view AS SELECT * FROM ruled;
CREATE RULE ins AS ON INSERT TO ruled_view DO INSTEAD INSERT INTO ruled VALUES (NEW.a, NEW.b);
CREATE RULE upd AS ON UPDATE TO ruled_view DO INSTEAD UPDATE ruled SET a = NEW.a, b = NEW.b WHERE a = OLD.a;
CREATE RULE del AS ON DELETE TO ruled_view DO INSTEAD DELETE FROM ruled WHERE a = OLD.a;
INSERT INTO ruled_view VALUES (1, 11), (2, 12), (3, 13), (4, 14);
DELETE FROM ruled_view WHERE a = 1;
DELETE FROM ruled_view WHERE b = 12;
UPDATE ruled_view SET b = 40 WHERE a = 4;
UPDATE ruled_view SET b = 30 WHERE b = 13;
SELECT * FROM ruled ORDER BY a;
UPDATE ruled SET a = 3, b = 33 WHERE a = 3;
UPDATE ruled SET a = o.a, b = o.b + 1 FROM ruled o WHERE o.a = ruled.a AND o.b > 35;
SELECT * FROM ruled ORDER BY a;
-- a rule whose VALUES refer to what stands behind them in FROM
CREATE TABLE logged (f1 int, f2 int);
SELECT create_distributed_table('logged', 'f1');
CREATE RULE log AS ON UPDATE TO logged DO VALUES (OLD.f1, OLD.f2, 'old'), (NEW.f1, NEW.f2, 'new');
INSERT INTO logged VALUES (1, 2), (11, 12);
UPDATE logged SET f2 = f2 / 10;
SELECT * FROM logged ORDER BY 1;
-- a value computed here, for a column with a length
CREATE TABLE lengthy (k int, n numeric(10,2), v varchar(5));
SELECT create_distributed_table('lengthy', 'k');
INSERT INTO lengthy SELECT i, i, i FROM generate_series(1, 5) i;
UPDATE lengthy SET n = CASE WHEN now() > '2000-01-01' THEN (SELECT max(f2) + 0.127 FROM logged) ELSE 0 END;
UPDATE lengthy SET v = (SELECT max(f1)::varchar(9) FROM logged) WHERE k < 3;
-- error
UPDATE lengthy SET v = (SELECT max(f1)::varchar(9) || 'too long' FROM logged) WHERE k < 3;
SELECT * FROM lengthy ORDER BY k;
-- a constraint that is checked when the statement ends: a row takes the value of one that comes later
CREATE TABLE places (k int NOT NULL, id int NOT NULL, at int, UNIQUE (k, id), UNIQUE (k, at) DEFERRABLE);
SELECT create_distributed_table('places', 'k');
INSERT INTO places SELECT k, i, i FROM generate_series(1, 3) k, generate_series(1, 25) i;
UPDATE places SET at = at + 1 WHERE k = 1;
UPDATE places SET at = at + 1 WHERE k = 2 AND id < 4 OR k = 2 AND id > 3;
UPDATE places SET at = 26 - at;
UPDATE places SET at = at + (random() * 0)::int + 1 WHERE k = 3 AND id <= 25;
MERGE INTO places USING (SELECT 1 AS n, i FROM generate_series(1, 25) i) s ON k = n AND id = i WHEN MATCHED THEN UPDATE SET at = at + 1;
INSERT INTO places VALUES (1, 1, 25), (1, 2, 26) ON CONFLICT (k, id) DO UPDATE SET at = excluded.at;
-- error
UPDATE places SET at = 7 WHERE k = 1 AND id < 3;
-- error
UPDATE places SET at = greatest(at, 3) WHERE k = 1;
BEGIN;
UPDATE places SET at = at + 1 WHERE k = 1;
SAVEPOINT a;
-- error
UPDATE places SET at = at / 2 WHERE k = 2;
ROLLBACK TO a;
UPDATE places SET at = at + 1 WHERE k = 2;
-- error
UPDATE places SET at = (SELECT max(at) FROM places WHERE k = 2) WHERE k = 2 AND id = 3;
COMMIT;
UPDATE places SET at = at - 1;
SELECT * FROM places ORDER BY 1, 2;
