-- A FULL JOIN on a condition that can be neither merged nor hashed is allowed where a condition
-- above it makes it a left, right or inner join; and what it is made is right.
CREATE TABLE a (k int, v int);
CREATE TABLE b (k int, v int);
CREATE TABLE o (x int, v int);
CREATE TABLE l (k int, v int);
SELECT create_distributed_table('a', 'k');
SELECT create_distributed_table('b', 'k', colocate_with => 'a');
SELECT create_distributed_table('o', 'x');
INSERT INTO a VALUES (1, 1), (2, 2), (4, NULL), (NULL, 3);
INSERT INTO b VALUES (1, 3), (3, 1), (4, 4), (NULL, 2);
INSERT INTO o VALUES (1, 2), (2, 4), (3, NULL), (5, 0);
INSERT INTO l VALUES (1, 1), (2, 5), (9, 9);
SELECT a.k, b.k FROM a FULL JOIN b ON a.v < b.v WHERE a.k IS NOT NULL ORDER BY 1, 2;
SELECT a.k, b.k FROM a FULL JOIN b ON a.v < b.v WHERE a.k = 1 AND b.k > 0 ORDER BY 1, 2;
SELECT a.k, b.k FROM a FULL JOIN b ON a.v < b.v WHERE b.v BETWEEN 1 AND 3 ORDER BY 1, 2;
SELECT c.k, a.k, b.k FROM a c LEFT JOIN (a FULL JOIN b ON a.v < b.v) ON c.k = a.k ORDER BY 1, 2, 3;
SELECT c.k, a.k, b.k FROM a c JOIN (a FULL JOIN b ON a.v < b.v) ON c.k = a.k ORDER BY 1, 2, 3;
SELECT c.k, a.k, b.k FROM a c LEFT JOIN (a FULL JOIN b ON a.v < b.v) ON c.k = b.k ORDER BY 1, 2, 3;
SELECT c.k, a.k, b.k FROM a c LEFT JOIN (a FULL JOIN b ON a.v < b.v) ON c.k = b.k AND a.v > 0 ORDER BY 1, 2, 3;
SELECT c.x, a.k, b.k FROM o c LEFT JOIN (a FULL JOIN b ON a.v < b.v) ON c.v = a.v ORDER BY 1, 2, 3;
SELECT c.x, a.k, b.k FROM (a FULL JOIN b ON a.v <> b.v) RIGHT JOIN o c ON c.x = b.k ORDER BY 1, 2, 3;
SELECT l.k, a.k, o.x FROM l LEFT JOIN (a FULL JOIN o ON a.v < o.v) ON l.k = o.x ORDER BY 1, 2, 3;
SELECT l.k, q.ak, q.bk FROM l JOIN (SELECT a.k AS ak, b.k AS bk FROM a FULL JOIN b ON a.v < b.v) q ON q.ak = l.k ORDER BY 1, 2, 3;
SELECT q.ak, q.s FROM (SELECT a.k AS ak, a.k + b.v AS s FROM a FULL JOIN b ON a.v < b.v) q WHERE q.s > 0 ORDER BY 1, 2;
SELECT a.k, b.k, o.x FROM (a FULL JOIN b ON a.v < b.v) FULL JOIN o ON o.x = b.k WHERE b.v > 0 ORDER BY 1, 2, 3;
SELECT a.k, b.k, o.x FROM a FULL JOIN (b FULL JOIN o ON b.v > o.v) ON o.x > a.k WHERE a.v IS NOT NULL AND o.v IS NOT NULL AND b.v > 0 ORDER BY 1, 2, 3;
SELECT count(*), count(a.k), count(b.k), sum(b.v) FROM a FULL JOIN b ON a.v < b.v WHERE a.v > 0;
SELECT x, (SELECT count(*) FROM a FULL JOIN b ON a.v < b.v WHERE a.k = o.x) FROM o ORDER BY x;
SELECT x FROM o WHERE EXISTS (SELECT FROM a FULL JOIN b ON a.v < b.v WHERE b.k = o.x AND a.k > 0) ORDER BY x;
WITH w AS MATERIALIZED (SELECT a.k, b.v FROM a FULL JOIN b ON a.v < b.v WHERE a.k < 3) SELECT o.x, w.v FROM o JOIN w ON w.k = o.x ORDER BY 1, 2;
SELECT k FROM a FULL JOIN b USING (k) WHERE k > 1 ORDER BY 1;
SELECT k, a.v, b.v FROM a FULL JOIN b USING (k) WHERE a.v > 0 ORDER BY 1, 2, 3;
SELECT k, a.v, b.v FROM a FULL JOIN b USING (k) WHERE b.v > 0 ORDER BY 1, 2, 3;
SELECT k, a.v, b.v, o.v FROM (a FULL JOIN b USING (k)) FULL JOIN o ON o.x = k WHERE o.v > 0 OR a.v > 0 AND o.v < 9 ORDER BY 1, 2, 3, 4;
SELECT j.k, j.v FROM (a FULL JOIN b USING (k, v)) j WHERE j.v IS NOT NULL ORDER BY 1, 2;
SELECT a.k, b.k FROM a FULL JOIN b ON a.k = b.k AND a.v < 2 WHERE coalesce(a.v, 5) > 1 ORDER BY 1, 2;
SELECT a.k, b.k FROM a FULL JOIN b ON a.k = b.k WHERE a.v IS NULL OR a.v > 1 ORDER BY 1, 2;
SELECT a.k, b.k FROM a FULL JOIN b ON a.k = b.k WHERE a.v > 1 OR b.v > 1 ORDER BY 1, 2;
SELECT a.k, b.k FROM a FULL JOIN b ON a.k = b.k WHERE a.v IS NULL ORDER BY 1, 2;
BEGIN;
DELETE FROM l USING a FULL JOIN b ON a.v < b.v WHERE a.k = l.k;
SELECT * FROM l ORDER BY 1;
ROLLBACK;
-- not reduced: refused, by both
-- error
SELECT a.k, b.k FROM a FULL JOIN b ON a.v < b.v ORDER BY 1, 2;
-- error
SELECT a.k, b.k FROM a FULL JOIN b ON a.v < b.v WHERE a.v IS NULL OR b.v > 0;
-- error
SELECT c.x, a.k FROM o c LEFT JOIN (a FULL JOIN b ON a.v < b.v) ON coalesce(a.k, 1) = c.x;
