-- What may be sent in a SELECT may be sent in a write; what a worker can't return is computed here.
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE o (id int, gone text, v text, n int, d date, c text[], j jsonb, f float8, m mood, PRIMARY KEY (id));
ALTER TABLE o DROP COLUMN gone;
SELECT create_distributed_table('o', 'id');
CREATE TABLE nokey (k int, gone int, v text, n int);
ALTER TABLE nokey DROP COLUMN gone;
SELECT create_distributed_table('nokey', 'k');
CREATE TABLE r (id int PRIMARY KEY, name text);
SELECT create_reference_table('r');
CREATE TABLE loc (x int, y text);
INSERT INTO o SELECT i, 'v' || i, i * 3, date '2024-01-31' + i, ARRAY['a', NULL, 'b' || i], jsonb_build_object('k', i), i / 4.0, CASE WHEN i % 2 = 0 THEN 'ok'::mood END FROM generate_series(1, 12) i;
INSERT INTO nokey SELECT i % 4, 'v', i % 3 FROM generate_series(1, 12) i;
INSERT INTO r SELECT i, 'r' || i FROM generate_series(1, 5) i;
INSERT INTO loc SELECT i, 'l' || i FROM generate_series(1, 3) i;
CREATE FUNCTION uf(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION uff(t text, a int) RETURNS text STABLE LANGUAGE sql RETURN t || uf(a);
-- text of other types
UPDATE o SET v = 'x' || n || m WHERE id < 4;
UPDATE o SET v = n || 'y' || f WHERE id = 4;
UPDATE o SET v = concat('x', n, NULL, m, id > 3, j, f) WHERE id IN (5, 6);
UPDATE o SET v = concat_ws('-', v, n, id) WHERE id = 7;
UPDATE o SET v = format('%s:%L:%5s', v, n, m) WHERE id = 8;
BEGIN;
UPDATE o SET v = format('%I', v) WHERE id = 8;
ROLLBACK;
UPDATE o SET v = array_to_string(c, ',', '*') WHERE id = 9;
UPDATE o SET v = concat(VARIADIC c) || array_to_string(ARRAY[n, id], '/') WHERE id = 10;
DELETE FROM o WHERE 'x' || n = 'x36' RETURNING id, v;
DELETE FROM nokey WHERE concat(k, n) = '12' RETURNING k;
UPDATE nokey SET v = v || n WHERE k = 2;
SELECT * FROM o ORDER BY id;
-- own functions
UPDATE o SET v = uff(v, n), n = uf(uf(n)) WHERE uf(n) > 30 RETURNING id, v, n, uf(n);
DELETE FROM o WHERE uf(id) = 12 AND uff('a', id) = 'a12' RETURNING uff(v, id);
PREPARE pf(int) AS UPDATE o SET n = uf($1) WHERE id = uf($1) RETURNING uf(n), $1;
EXECUTE pf(2);
EXECUTE pf(3);
SELECT id, n, v FROM o ORDER BY id;
SELECT k, v, n FROM nokey ORDER BY 1, 2, 3;
-- RETURNING
UPDATE o SET n = n + 1 WHERE id = 1 RETURNING tableoid::regclass, id;
UPDATE o SET n = n + 1 WHERE id = 2 RETURNING o, o.*, (o).n;
UPDATE o AS x SET n = n + 1 WHERE id = 2 RETURNING row_to_json(x), x IS NULL, ROW (x, 1), d::text, f::text;
UPDATE o SET n = n + 1 WHERE id = 3 RETURNING clock_timestamp() IS NOT NULL, random() < 2;
UPDATE o SET n = n + 1 WHERE id = 3 RETURNING id, (SELECT y FROM loc WHERE x = o.id), (SELECT name FROM r WHERE r.id = o.id), (SELECT max(y) FROM loc);
UPDATE o SET n = n + 1 WHERE id = 3 RETURNING (SELECT array_agg(y || q ORDER BY y) FROM loc, LATERAL (SELECT o.v || loc.x AS q) z);
UPDATE o SET n = -n WHERE id < 6 RETURNING (SELECT count(*) FROM loc WHERE x <= o.id);
UPDATE o SET n = r.id FROM r WHERE r.id = o.id AND o.id = 4 RETURNING o.tableoid::regclass, name, r.name || d, to_char(o.d, 'YYYY');
DELETE FROM o WHERE id = 5 RETURNING o, d, ctid::text IS NOT NULL, xmin::text IS NOT NULL;
DELETE FROM o USING r WHERE r.id = o.id AND o.id = 4 RETURNING o.tableoid::regclass::text, r.name, o;
UPDATE nokey SET n = n + 1 WHERE k = 1 RETURNING nokey, tableoid::regclass;
DELETE FROM nokey WHERE k = 3 AND n = 0 RETURNING nokey, now() IS NOT NULL;
SELECT id, n FROM o ORDER BY id;
BEGIN;
DECLARE k CURSOR FOR SELECT 1;
SET LOCAL datestyle = 'German';
UPDATE o SET n = 0 WHERE id = 6 RETURNING d, d::text, o;
ROLLBACK;
DO $$ DECLARE a o; t text; BEGIN
  FOR i IN 1 .. 7 LOOP
    UPDATE o SET n = i WHERE id = 7 RETURNING o.* INTO a;
    UPDATE o SET n = a.n + 1 WHERE id = 7 RETURNING o::text || tableoid::regclass INTO t;
    IF t NOT LIKE '(7,%' OR t NOT LIKE '%)o' THEN RAISE 'wrong: %', t; END IF;
  END LOOP;
END $$;
SELECT id, n FROM o WHERE id = 7;
