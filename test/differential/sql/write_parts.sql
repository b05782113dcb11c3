-- Elements and fields are assigned, several of one column in one statement, below domains, too.
CREATE TYPE xy AS (x int, y text);
CREATE DOMAIN three AS int[] CHECK (array_length(VALUE, 1) < 6);
CREATE DOMAIN pair AS xy CHECK ((VALUE).x < 1000);
CREATE TABLE t (gone int, k int PRIMARY KEY, a int[], d three, p xy, dp pair, many xy[], j jsonb);
ALTER TABLE t DROP COLUMN gone;
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, ARRAY[i, i + 1, i + 2], ARRAY[i, i + 1, i + 2], (i, 'y' || i)::xy, (i, 'd' || i)::xy, ARRAY[(i, 'm')::xy, (i + 1, 'n')::xy], '{"a": 1}' FROM generate_series(1, 12) i;
INSERT INTO t (k) VALUES (13);
INSERT INTO t (k, d[1], d[3]) VALUES (14, 11, 33);
UPDATE t SET d[1] = 0 WHERE k = 1 RETURNING *;
UPDATE t SET d[1] = d[3], d[3] = d[1] WHERE k < 4 RETURNING *;
UPDATE t SET d[1] = d[1] + 1, d[3] = d[3] - 1, a[2] = 9;
UPDATE t SET a[1] = 5, a[2:3] = '{6,7}', d[2] = 8 WHERE k % 2 = 0;
SELECT * FROM t ORDER BY k;
-- error
UPDATE t SET d[1] = 0, d[7] = 1 WHERE k = 2;
UPDATE t SET p.x = 5, dp.x = 6 WHERE k = 3;
UPDATE t SET dp.x = 6, dp.y = 'z' WHERE k > 10 RETURNING dp;
UPDATE t SET many[1].x = 3, many[2].y = 'q' WHERE k = 4 RETURNING many;
UPDATE t SET many[1].x = 3 WHERE k = 5 RETURNING many;
UPDATE t SET j['a'] = '2', j['b'] = '3' WHERE k < 3 RETURNING j;
-- error
UPDATE t SET dp.x = 6, dp.x = 1000 WHERE k = 3;
INSERT INTO t (k) VALUES (1), (2) ON CONFLICT (k) DO UPDATE SET d[1] = 50 RETURNING *;
INSERT INTO t (k) VALUES (1), (2) ON CONFLICT (k) DO UPDATE SET d[1] = 51, d[2] = t.d[3] RETURNING *;
INSERT INTO t (k) VALUES (1), (2), (99) ON CONFLICT (k) DO UPDATE SET a[1] = 51, a[2] = t.a[3] RETURNING *;
INSERT INTO t (k) VALUES (3) ON CONFLICT (k) DO UPDATE SET dp.y = 'c', dp.x = 7 RETURNING *;
INSERT INTO t (k) SELECT i FROM generate_series(5, 6) i ON CONFLICT (k) DO UPDATE SET j['a'] = '5', j['c'] = '6', a[1] = 1, a[3] = 3;
MERGE INTO t USING (VALUES (7), (8)) v (k) ON t.k = v.k WHEN MATCHED THEN UPDATE SET d[1] = 60, d[2] = 61, a[1] = 62, a[3] = 63;
PREPARE u (int, int, int) AS UPDATE t SET d[$2] = $3, d[$2 + 1] = $3 + 1 WHERE k = $1;
EXECUTE u (9, 1, 70);
EXECUTE u (10, 2, 80);
SELECT * FROM t ORDER BY k;
