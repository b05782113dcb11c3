-- Stable expressions without columns: their errors come if a row needs the value, and only then.
CREATE TABLE a (x int, b bool, ts timestamptz, d date);
SELECT create_distributed_table('a', 'x');
CREATE TABLE e (x int, ts timestamptz);
SELECT create_distributed_table('e', 'x', colocate_with => 'a');
CREATE TABLE r (x int PRIMARY KEY, v int);
SELECT create_reference_table('r');
INSERT INTO a VALUES (1, true, now() - interval '3 days', current_date), (2, false, now() + interval '3 days', current_date + 5);
INSERT INTO r VALUES (1, 1), (2, 2);
SELECT 1 / (extract(year FROM now())::int - extract(year FROM now())::int) FROM a WHERE x = 99;
SELECT upper('a') ~ ('(' || current_schema) FROM a WHERE x = 99;
SELECT count(*) FROM a WHERE x > 100 OR b IS NULL AND 1 / (extract(year FROM now())::int - extract(year FROM now())::int) > 0;
DELETE FROM a WHERE x > 100 AND (x + ('x' || current_schema)::int) IS NULL;
UPDATE a SET d = d + 1 WHERE x > 100 AND (x + ('x' || current_schema)::int) IS NULL;
UPDATE a SET d = current_date + 1 / (extract(year FROM now())::int - extract(year FROM now())::int) WHERE x > 100;
SELECT k FROM (SELECT x AS k, v FROM r) q WHERE v > 100 AND (v + (now()::date - 'infinity'::date)) IS NULL;
SELECT x FROM a WHERE x > 100 AND (x + (now()::date - 'infinity'::date)) IS NULL;
-- a condition without columns is decided first
-- error
SELECT x FROM a WHERE x > 100 AND (now()::date - 'infinity'::date) > 3;
-- error
DELETE FROM a WHERE x > 100 AND ('x' || current_schema)::int > 0;
SELECT a.x FROM a JOIN e ON e.x = a.x AND (e.ts - date_trunc('no such unit', now())) IS NOT NULL;
SELECT x, count(*) FROM e WHERE (ts - timezone('No/Where', now()::timestamp)) IS NOT NULL GROUP BY x;
SELECT x FROM e ORDER BY 1 / (extract(year FROM now())::int - extract(year FROM now())::int), x;
SELECT DISTINCT 1 / (extract(year FROM now())::int - extract(year FROM now())::int) FROM e;
SELECT max(x) FROM e GROUP BY 1 / (extract(year FROM now())::int - extract(year FROM now())::int);
SELECT x, (SELECT max(e.x) FROM e WHERE e.x = a.x AND (e.ts - date_trunc(current_user || 'q', now())) IS NOT NULL) FROM a ORDER BY x;
INSERT INTO e (x, ts) SELECT x, ts FROM a WHERE x > 100 AND (ts - date_trunc('none', now())) IS NOT NULL;
-- with such a row it is an error
-- error
SELECT 1 / (extract(year FROM now())::int - extract(year FROM now())::int) FROM a WHERE x = 1;
-- error
SELECT upper('a') ~ ('(' || current_schema) FROM a;
-- error
SELECT count(*) FROM a WHERE x = 1 AND (ts - date_trunc('no such unit', now())) IS NOT NULL;
-- error
DELETE FROM a WHERE x < 100 AND ('x' || current_schema)::int > 0;
-- error
UPDATE a SET d = current_date + 1 / (extract(year FROM now())::int - extract(year FROM now())::int) WHERE x = 2;
SELECT x, d - current_date FROM a ORDER BY x;
-- the same statement with and without
PREPARE p (text, int) AS SELECT count(*) FROM a WHERE x > $2 AND (ts - date_trunc($1, now())) > interval '0';
EXECUTE p ('day', 0);
EXECUTE p ('none', 100);
EXECUTE p ('day', 0);
-- error
EXECUTE p ('none', 0);
EXECUTE p ('day', 1);
PREPARE q (text, int) AS UPDATE a SET b = b WHERE x = $2 AND ($1 || current_schema)::text <> to_char(now(), $1) AND (ts - date_trunc($1, now())) IS NOT NULL;
EXECUTE q ('day', 1);
EXECUTE q ('none', 100);
EXECUTE q ('day', 2);
BEGIN;
UPDATE a SET b = true WHERE x = 2;
SELECT count(*) FROM e WHERE (ts - date_trunc('none', now())) IS NOT NULL;
SAVEPOINT s;
SELECT count(*) FROM a WHERE b AND x > 7 AND (ts - date_trunc('none', now())) IS NOT NULL;
DECLARE c CURSOR FOR SELECT x FROM e WHERE (ts - date_trunc('none', now())) IS NOT NULL ORDER BY x;
FETCH ALL FROM c;
ROLLBACK TO s;
SELECT x, b FROM a ORDER BY x;
COMMIT;
SELECT v.m, (SELECT count(*) FROM a WHERE a.x > v.m AND (a.ts - date_trunc(v.u, now())) > interval '0') FROM (VALUES (100, 'none'), (0, 'day'), (100, 'never')) v (m, u) ORDER BY 1, v.u;
-- what cannot fail, or does not
SELECT x FROM a WHERE ts > now() - interval '1 day' AND d >= current_date ORDER BY x;
SELECT x FROM a WHERE ts > date_trunc('day', now()) - '1 day'::interval AND ts::date > to_date('2020', 'YYYY') ORDER BY x;
SELECT x FROM a WHERE d > date_trunc('month', current_date)::date - 40 ORDER BY x;
SELECT x, CASE WHEN x > 100 THEN 1 / (extract(year FROM now())::int - extract(year FROM now())::int) ELSE 0 END FROM a ORDER BY x;
-- beside a function that reads the tables itself, in a transaction that has written
CREATE FUNCTION rows_of_a() RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT count(*) FROM a); END $$;
BEGIN;
UPDATE a SET b = NOT b WHERE x = 1;
SELECT x FROM a WHERE x < rows_of_a() AND b IS NULL AND (ts - date_trunc('none', now())) IS NOT NULL;
SELECT x FROM a WHERE x < rows_of_a() AND (ts - date_trunc('day', now())) IS NOT NULL ORDER BY x;
SAVEPOINT s;
UPDATE a SET b = NOT b WHERE x = 2;
SELECT x FROM a WHERE x < rows_of_a() AND b IS NULL AND (ts - date_trunc('none', now())) IS NOT NULL;
-- error
SELECT x FROM a WHERE x < rows_of_a() AND (ts - date_trunc('none', now())) IS NOT NULL ORDER BY x;
ROLLBACK TO s;
SELECT x, b FROM a ORDER BY x;
UPDATE a SET b = NULL WHERE x <= rows_of_a() AND (ts - date_trunc('day', now())) IS NOT NULL;
COMMIT;
SELECT x, b FROM a ORDER BY x;
-- beside what the statement computes first
CREATE TABLE beside (k int, x int, y numeric);
SELECT create_distributed_table('beside', 'k');
CREATE TABLE there (k int, s text);
INSERT INTO beside SELECT i, i, i FROM generate_series(1, 20) i;
INSERT INTO there SELECT i, i::text FROM generate_series(1, 3) i;
UPDATE beside SET x = extract(hour FROM timestamptz '2026-03-29 00:00+00') FROM (SELECT t.k FROM there t) q RETURNING *;
UPDATE beside SET x = extract(hour FROM timestamptz '2026-03-29 05:00+00') FROM (SELECT t.k FROM there t WHERE EXISTS (SELECT 1 FROM there)) q WHERE q.k = beside.k RETURNING *;
UPDATE beside SET x = extract(hour FROM timestamptz '2026-03-29 05:00+00'), y = (SELECT max(k) FROM there) WHERE k IN (SELECT k FROM there) RETURNING *;
SELECT k, extract(hour FROM timestamptz '2026-03-29 05:00+00') + (SELECT count(*) FROM there) FROM beside WHERE k IN (SELECT k FROM there) ORDER BY k;
SELECT k, CASE WHEN x > 3 THEN (SELECT max(s) FROM there) || to_char(date '2026-03-29', 'Day') END FROM beside ORDER BY k;
SELECT k, coalesce(nullif(x, 5), (SELECT max(k) FROM there)) + extract(hour FROM timestamptz '2026-03-29 05:00+00') FROM beside ORDER BY k;
DELETE FROM beside WHERE x < extract(hour FROM timestamptz '2026-03-29 05:00+00') AND k IN (SELECT k + 3 FROM there) RETURNING *;
SELECT * FROM beside ORDER BY k;
