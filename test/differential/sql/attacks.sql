-- What a careful attacker would try: keys and types, names, settings, policies, privileges, cursors.
CREATE TABLE kc (k char(5), v int); SELECT create_distributed_table('kc', 'k');
CREATE TABLE kv (k varchar(9), v int); SELECT create_distributed_table('kv', 'k');
CREATE TABLE kt (k text, v int); SELECT create_distributed_table('kt', 'k');
CREATE TABLE kn (k numeric, v int); SELECT create_distributed_table('kn', 'k');
CREATE TABLE kn2 (k numeric(6,2), v int); SELECT create_distributed_table('kn2', 'k');
CREATE TABLE k2 (k smallint, v int); SELECT create_distributed_table('k2', 'k');
CREATE TABLE k4 (k int, v int); SELECT create_distributed_table('k4', 'k');
CREATE TABLE k8 (k bigint, v int); SELECT create_distributed_table('k8', 'k');
CREATE TABLE kf (k float8, v int); SELECT create_distributed_table('kf', 'k');
CREATE TABLE kb (k bool, v int); SELECT create_distributed_table('kb', 'k');
CREATE TABLE kname (k name, v int); SELECT create_distributed_table('kname', 'k');
INSERT INTO kc VALUES ('a', 1), ('a ', 2), ('b', 3), ('', 4), (NULL, 5), ('ab  c', 6);
INSERT INTO kv VALUES ('a', 1), ('a ', 2), ('b', 3), ('', 4), (NULL, 5), ('ab  c', 6);
INSERT INTO kt VALUES ('a', 1), ('a ', 2), ('b', 3), ('', 4), (NULL, 5), ('ab  c', 6);
INSERT INTO kname VALUES ('a', 1), ('a ', 2), ('b', 3), ('', 4), (NULL, 5), ('ab  c', 6);
INSERT INTO kn VALUES (1, 1), (1.0, 2), (1.000, 3), (0, 4), (-0.0, 5), ('NaN', 6), (NULL, 7), (100000000000000000000, 8), ('Infinity', 9);
INSERT INTO kn2 VALUES (1, 1), (1.0, 2), (1.004, 3), (0, 4), (NULL, 7);
INSERT INTO k2 SELECT i, i FROM generate_series(-3, 9) i;
INSERT INTO k4 SELECT i, i FROM generate_series(-3, 9) i;
INSERT INTO k8 SELECT i, i FROM generate_series(-3, 9) i;
INSERT INTO kf VALUES (0, 1), ('-0', 2), ('NaN', 3), (1.5, 4), ('-Infinity', 5), (NULL, 6);
INSERT INTO kb VALUES (true, 1), (false, 2), (NULL, 3), (true, 4);
SELECT * FROM kc WHERE k = 'a'; SELECT * FROM kc WHERE k = 'a   '::text; SELECT * FROM kc WHERE k = 'a '::varchar; SELECT * FROM kc WHERE k = ''; SELECT * FROM kc WHERE k IN ('a    ', 'b');
SELECT * FROM kv WHERE k = 'a'; SELECT * FROM kv WHERE k = 'a '; SELECT * FROM kv WHERE k = 'a '::char(4); SELECT * FROM kv WHERE k = 'a'::text; SELECT * FROM kv WHERE k::char(4) = 'a';
SELECT * FROM kt WHERE k = 'a'; SELECT * FROM kt WHERE k = 'a '::char(4); SELECT * FROM kt WHERE k = 'a '::name; SELECT * FROM kt WHERE k COLLATE "C" = 'a';
SELECT * FROM kname WHERE k = 'a'; SELECT * FROM kname WHERE k = 'a'::text; SELECT * FROM kname WHERE k = 'a'::name;
SELECT a.v, b.v FROM kc a JOIN kt b ON a.k = b.k; SELECT a.v, b.v FROM kv a JOIN kt b ON a.k = b.k; SELECT a.v, b.v FROM kv a JOIN kc b ON a.k = b.k; SELECT a.v, b.v FROM kname a JOIN kt b ON a.k = b.k;
SELECT * FROM kn WHERE k = 1; SELECT * FROM kn WHERE k = 1.00; SELECT * FROM kn WHERE k = 1::smallint; SELECT * FROM kn WHERE k = 0; SELECT * FROM kn WHERE k = 'NaN'; SELECT * FROM kn WHERE k = 1e20; SELECT * FROM kn WHERE k = 1::float8;
SELECT count(*) FROM kn GROUP BY k; SELECT count(*) FROM (SELECT DISTINCT k FROM kn) s; SELECT * FROM kn2 WHERE k = 1.004; SELECT * FROM kn2 WHERE k = 1;
SELECT a.v, b.v FROM kn a JOIN kn2 b ON a.k = b.k; SELECT a.v, b.v FROM kn a JOIN k4 b ON a.k = b.k;
SELECT a.v, b.v FROM k2 a JOIN k4 b ON a.k = b.k; SELECT a.v, b.v FROM k2 a JOIN k8 b ON a.k = b.k; SELECT a.v, b.v, c.v FROM k2 a JOIN k4 b USING (k) JOIN k8 c USING (k); SELECT a.v, b.v FROM k4 a FULL JOIN k8 b ON a.k = b.k + 1;
SELECT * FROM k2 WHERE k = 3::bigint; SELECT * FROM k2 WHERE k = 99999999; SELECT * FROM k4 WHERE k = 99999999999; SELECT * FROM k4 WHERE k = -3::bigint; SELECT * FROM k4 WHERE k = ANY ('{1,99999999999,-2}'::bigint[]); SELECT * FROM k8 WHERE k IN (1::smallint, 2::smallint);
SELECT * FROM k4 WHERE k = 3 AND k = 4; SELECT * FROM k4 WHERE k IN (1, 2) AND k IN (2, 3); SELECT * FROM k4 WHERE k = 3 AND k IS NULL; SELECT * FROM k4 WHERE k IN (NULL); SELECT count(*) FROM k4 WHERE k NOT IN (1, NULL); SELECT * FROM k4 WHERE k = ANY (NULL::int[]); SELECT * FROM k4 WHERE k = ALL (ARRAY[3, 3]); SELECT count(*) FROM k4 WHERE k = ALL ('{}'); SELECT * FROM k4 WHERE k = ANY ('{{1,2},{3,4}}');
SELECT * FROM kf WHERE k = 0; SELECT * FROM kf WHERE k = '-0'; SELECT * FROM kf WHERE k = 'NaN'; SELECT * FROM kf WHERE k = 1.5; SELECT * FROM kf WHERE k = 1.5::float4; SELECT count(*) FROM kf GROUP BY k;
SELECT * FROM kb WHERE k; SELECT * FROM kb WHERE NOT k; SELECT * FROM kb WHERE k IS NOT TRUE; SELECT * FROM kb WHERE k = (1 = 1); SELECT * FROM kb WHERE k IS UNKNOWN;
-- error
INSERT INTO kv VALUES ('0123456789', 1);
INSERT INTO kv VALUES ('012345678   ', 9);
SELECT v FROM kv WHERE k = '012345678';
PREPARE p4 (bigint) AS SELECT v FROM k4 WHERE k = $1; EXECUTE p4 (3); EXECUTE p4 (99999999999); EXECUTE p4 (NULL); EXECUTE p4 (3); EXECUTE p4 (4); EXECUTE p4 (5); EXECUTE p4 (6); EXECUTE p4 (99999999999);
PREPARE pt (text) AS SELECT v FROM kc WHERE k = $1; EXECUTE pt ('a'); EXECUTE pt ('a '); EXECUTE pt (NULL);
PREPARE pc (char) AS SELECT v FROM kt WHERE k = $1; EXECUTE pc ('a'); EXECUTE pc (' ');
PREPARE pn (numeric) AS SELECT v FROM k4 WHERE k = $1; EXECUTE pn (3.0); EXECUTE pn (3.5);
PREPARE pd AS DELETE FROM k4 WHERE k = $1 RETURNING v; BEGIN; EXECUTE pd (3); EXECUTE pd (3); ROLLBACK;
PREPARE pl (int, int) AS SELECT v FROM k4 ORDER BY k LIMIT $1 OFFSET $2; EXECUTE pl (2, 1); EXECUTE pl (NULL, NULL); EXECUTE pl (2, NULL); EXECUTE pl (0, 3);
-- error
EXECUTE pl (-1, 0);
DEALLOCATE ALL;
-- names
CREATE TABLE "We ird ""T""ä;--" ("Kéy $1" int, "select" text, "a.b" int, """" int, "cz~0~0~" int); SELECT create_distributed_table('"We ird ""T""ä;--"', 'Kéy $1');
INSERT INTO "We ird ""T""ä;--" VALUES (1, 'x''y\', 2, 3, 4), (2, E'a\nb\\', NULL, 5, 6), (NULL, '$1', 7, 8, 9);
SELECT *, w FROM "We ird ""T""ä;--" w ORDER BY 1; SELECT U&"K\00e9y $1", "select" AS "x""y" FROM "We ird ""T""ä;--" AS "FROM" WHERE "FROM"."a.b" = 2 OR "FROM"."""" = 5;
SELECT a."cz~0~0~", 'cz~0~0~ "cz~0~1~" r1' FROM "We ird ""T""ä;--" a JOIN "We ird ""T""ä;--" b USING ("Kéy $1");
UPDATE "We ird ""T""ä;--" "x y" SET "select" = "x y"."select" || '"', "cz~0~0~" = 1 WHERE "Kéy $1" = 1 RETURNING *;
CREATE TABLE a_table_with_a_name_as_long_as_any_name_can_be_in_a_database_ää (one_column_with_a_name_as_long_as_any_name_can_be_in_postgresql int, two_column_with_a_name_as_long_as_any_name_can_be_in_postgresql int);
SELECT create_distributed_table('a_table_with_a_name_as_long_as_any_name_can_be_in_a_database_ää', 'one_column_with_a_name_as_long_as_any_name_can_be_in_postgresql');
INSERT INTO a_table_with_a_name_as_long_as_any_name_can_be_in_a_database_ää SELECT i, -i FROM generate_series(1, 5) i;
SELECT * FROM a_table_with_a_name_as_long_as_any_name_can_be_in_a_database_ää ORDER BY 1; DELETE FROM a_table_with_a_name_as_long_as_any_name_can_be_in_a_database_ää WHERE two_column_with_a_name_as_long_as_any_name_can_be_in_postgresql < -3 RETURNING *;
-- operators and functions of the user's in front of the built-in ones
CREATE SCHEMA evil;
CREATE FUNCTION evil.never(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.never, HASHES, MERGES);
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'evil'$$;
CREATE FUNCTION evil.count() RETURNS int LANGUAGE sql AS 'SELECT -1';
SELECT v FROM k4 WHERE k OPERATOR(evil.=) 3; SELECT k, count(*) FROM k4 a WHERE k OPERATOR(pg_catalog.=) 3 GROUP BY k; SELECT evil.lower(k) FROM kt; SELECT a.v FROM k4 a JOIN k4 b ON a.k OPERATOR(evil.=) b.k;
SET search_path = evil, t_attacks, pg_catalog;
SELECT v FROM k4 WHERE k = 3; SELECT lower(k) FROM kt ORDER BY 1; SELECT count(a.v) FROM k4 a JOIN k4 b ON a.k = b.k; SELECT v FROM k4 WHERE k IN (3, 4);
SELECT a.k FROM k4 a WHERE EXISTS (SELECT 1 FROM k4 b WHERE b.k = a.k);
SET search_path = t_attacks, public;
-- settings of the session
CREATE TABLE times (k int, d date, t timestamptz, ts timestamp, i interval, f float8, n numeric, m money, b bytea, a date[], x xml); SELECT create_distributed_table('times', 'k');
INSERT INTO times SELECT i, date '2026-01-31' + i * 40, timestamptz '2026-03-29 00:30+00' + i * interval '30 minutes', timestamp '2026-10-25 01:30' + i * interval '1 hour', make_interval(months => i, secs => i * 1.5), i / 3.0, i / 7.0, (i * 3)::numeric::money, decode(md5(i::text), 'hex'), ARRAY[date '2026-01-02' + i, NULL], xmlparse(content '<a/>') FROM generate_series(1, 6) i;
SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'America/St_Johns'; SET extra_float_digits = -5; SET bytea_output = 'escape';
SELECT k, d, t, ts, i, f, n, m, b, a FROM times ORDER BY 1; SELECT d::text, t::text, ts::text, i::text, f::text, a::text FROM times; SELECT max(d::text), min(i::text), max(f::text), string_agg(t::text, ',' ORDER BY k) FROM times; SELECT d::text, count(*) FROM times GROUP BY 1; SELECT times FROM times; SELECT row_to_json(times) FROM times; SELECT to_json(i) FROM times; SELECT json_build_object('f', f, 'i', i) FROM times; SELECT f::text FROM times; SELECT jsonb_agg(f ORDER BY k) FROM times; SELECT f || 'x' FROM times; SELECT array_to_json(ARRAY[i]) FROM times; SELECT to_jsonb(d), to_json(t) FROM times; SELECT concat(f, 1) FROM times; SELECT json_object_agg(k, i) FROM times WHERE k = 2; SELECT f::text FROM times WHERE k = 1; SELECT array_agg(f)::text FROM times WHERE k = 1; SELECT quote_literal(f), format('%s', f) FROM times WHERE k = 1; SELECT to_char(f, '9.99'), to_char(n, 'L9.99') FROM times; SELECT m::text FROM times; SELECT m::numeric FROM times; SELECT to_jsonb(t) FROM times; SELECT json_agg(d ORDER BY k) FROM times; SELECT concat(d, i), format('%s %s', t, f), d || ' ' FROM times; SELECT k FROM times WHERE d = '12/03/2026'; SELECT k FROM times WHERE d::text = '12/03/2026'; SELECT k FROM times WHERE t::text LIKE '%29/03%' AND i::text LIKE 'P%';
SELECT to_char(t, 'HH24:MI TZ'), date_trunc('day', t), extract(hour FROM t), t::date, d::timestamptz, date_part('timezone', t) FROM times; SELECT t::date AS x, count(*) FROM times GROUP BY 1; SELECT encode(b, 'escape'), b::text FROM times; SELECT make_timestamptz(2026, 1, k, 1, 1, 1) FROM times; SELECT k FROM times WHERE t < '2026-03-29 02:00'; SELECT ('01/02/2026'::text)::date + k FROM times; SELECT CASE WHEN k > 3 THEN d::text END FROM times; SELECT t AT TIME ZONE 'UTC', ts AT TIME ZONE 'Europe/Berlin', ts::timestamptz FROM times;
PREPARE pz AS SELECT t::text, t::date, extract(hour FROM t) FROM times WHERE k = 3; EXECUTE pz; SET TimeZone = 'Asia/Kolkata'; EXECUTE pz; SET DateStyle = 'Postgres, MDY'; EXECUTE pz; RESET DateStyle; RESET IntervalStyle; RESET TimeZone; RESET extra_float_digits; RESET bytea_output; EXECUTE pz; DEALLOCATE ALL;
SET lc_monetary = 'C'; SET standard_conforming_strings = off; SELECT k, 'a\\b' FROM times WHERE k < 3; SELECT v FROM kt WHERE k <> 'x\\y'; RESET standard_conforming_strings; SET quote_all_identifiers = on; SELECT k, d FROM times WHERE k = 2; SELECT count(*) FROM times a JOIN times b USING (k); RESET quote_all_identifiers; SET transform_null_equals = on; SELECT count(*) FROM kt WHERE k = NULL; RESET transform_null_equals;
SET enable_hashjoin = off; SET work_mem = '64kB'; SET constraint_exclusion = on; SET enable_partition_pruning = off; SELECT count(*) FROM k4 a JOIN k8 b ON a.k = b.k; RESET ALL; SET search_path = t_attacks, public;
-- cursors
BEGIN;
DECLARE c1 SCROLL CURSOR FOR SELECT v FROM k4 ORDER BY k; FETCH 3 FROM c1; FETCH BACKWARD 2 FROM c1; FETCH ABSOLUTE 5 FROM c1; FETCH RELATIVE -2 FROM c1; FETCH LAST FROM c1; FETCH PRIOR FROM c1; MOVE FIRST IN c1; FETCH ALL FROM c1; FETCH BACKWARD ALL FROM c1;
DECLARE c2 CURSOR WITH HOLD FOR SELECT v, count(*) FROM k8 GROUP BY v ORDER BY v; FETCH 2 FROM c2;
DECLARE c3 NO SCROLL CURSOR FOR SELECT a.v FROM k4 a JOIN k8 b ON a.k = b.k ORDER BY 1; FETCH 1 FROM c3; FETCH 1 FROM c1; INSERT INTO k4 VALUES (100, 100); FETCH 20 FROM c3; SELECT count(*) FROM k4;
COMMIT;
FETCH ALL FROM c2; CLOSE c2; DELETE FROM k4 WHERE k = 100;
BEGIN; DECLARE c CURSOR FOR SELECT * FROM k4 WHERE k > 0 ORDER BY k; FETCH 2 FROM c; SAVEPOINT s;
-- error
SELECT 1 / (k - 3) FROM k4;
ROLLBACK TO s; FETCH 2 FROM c; COMMIT;
-- PL/pgSQL
CREATE FUNCTION tries(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r record; t int := 0; caught text := '';
BEGIN
  FOR r IN SELECT k, v FROM k4 ORDER BY k LOOP
    BEGIN
      SELECT t + 10 / (v - n) INTO t FROM k4 WHERE k = r.k;
    EXCEPTION WHEN division_by_zero THEN caught := caught || r.k || ' ';
    END;
    BEGIN
      INSERT INTO k8 VALUES (r.k + 1000, r.v);
      IF r.k % 2 = 0 THEN RAISE EXCEPTION 'no'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
  RETURN caught || t || ' ' || (SELECT count(*) FROM k8 WHERE k >= 990);
END $$;
SELECT tries(3); SELECT tries(3); SELECT count(*) FROM k8 WHERE k >= 990; DELETE FROM k8 WHERE k >= 990;
CREATE FUNCTION many() RETURNS SETOF int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY SELECT v FROM k4 WHERE k > 5 ORDER BY k; RETURN QUERY EXECUTE 'SELECT v FROM k8 WHERE k = $1' USING 3; END $$;
SELECT * FROM many(); SELECT k, many() FROM k2 WHERE k < -1; SELECT a.v, m FROM k4 a, LATERAL (SELECT * FROM many() m WHERE m = a.v) x;
CREATE FUNCTION inlined(int) RETURNS SETOF k4 LANGUAGE sql STABLE AS 'SELECT * FROM k4 WHERE k = $1'; SELECT * FROM inlined(3); SELECT i, x FROM generate_series(1, 3) i, inlined(i) x; SELECT (inlined(3)).v;
DO $$ BEGIN PERFORM 1 / (k - 3) FROM k4; RAISE 'not reached'; EXCEPTION WHEN division_by_zero THEN PERFORM count(*) FROM k4; END $$;
-- policies and privileges
CREATE ROLE attack_reader; CREATE ROLE attack_owner; GRANT USAGE ON SCHEMA t_attacks TO attack_reader, attack_owner; GRANT CREATE ON SCHEMA t_attacks TO attack_owner;
CREATE TABLE secrets (k int, owner text, v int, hidden text); SELECT create_distributed_table('secrets', 'k');
INSERT INTO secrets SELECT i, CASE WHEN i % 2 = 0 THEN 'attack_reader' ELSE 'other' END, i, 'h' || i FROM generate_series(1, 10) i;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON secrets USING (owner = current_user);
GRANT SELECT (k, owner, v), UPDATE (v), DELETE ON secrets TO attack_reader;
CREATE FUNCTION leak(int) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE WARNING 'leaked %', $1; RETURN true; END $$;
PREPARE prls AS SELECT k, v FROM secrets ORDER BY k; EXECUTE prls;
SET ROLE attack_reader;
EXECUTE prls; SELECT k, v FROM secrets WHERE leak(v) ORDER BY 1; SELECT count(*) FROM secrets; SELECT k FROM secrets WHERE k = 1; SELECT k FROM secrets WHERE k = 2; SELECT k FROM secrets WHERE 10 / (v - 3) > 0 ORDER BY 1; SELECT a.k, b.v FROM secrets a JOIN secrets b USING (k) ORDER BY 1; SELECT (SELECT max(v) FROM secrets), (SELECT count(*) FROM secrets s WHERE s.k = 3);
-- error
SELECT hidden FROM secrets;
-- error
SELECT * FROM secrets WHERE k = 2;
-- error
SELECT k FROM secrets WHERE hidden = 'h2';
-- error
SELECT s FROM secrets s WHERE k = 2;
-- error
SELECT k FROM secrets ORDER BY hidden;
-- error
SELECT count(*) FROM k4;
-- error
SELECT 1 FROM k4 WHERE k = 1;
-- error
DELETE FROM k4 WHERE k = 1;
-- error
UPDATE secrets SET v = 0, hidden = 'x' WHERE k = 2;
-- error
UPDATE secrets SET v = length(hidden) WHERE k = 2;
BEGIN; DELETE FROM secrets WHERE k IN (1, 2); SELECT count(*) FROM secrets; ROLLBACK;
BEGIN;
UPDATE secrets SET v = -v;
ROLLBACK; BEGIN; SELECT k, v FROM secrets ORDER BY 1; ROLLBACK;
RESET ROLE;
EXECUTE prls; DEALLOCATE ALL;
CREATE VIEW secret_view AS SELECT k, hidden FROM secrets WHERE v > 3; ALTER VIEW secret_view OWNER TO attack_owner; GRANT SELECT ON secret_view TO attack_reader;
SET ROLE attack_reader;
-- error
SELECT * FROM secret_view;
RESET ROLE; GRANT SELECT ON secrets TO attack_owner;
SET ROLE attack_reader; SELECT * FROM secret_view; SELECT s.k FROM secrets s JOIN secret_view w USING (k); RESET ROLE;
CREATE POLICY more ON secrets TO attack_owner USING (k < 6); SET ROLE attack_reader; SELECT * FROM secret_view ORDER BY 1; SELECT s.k, w.hidden FROM secrets s LEFT JOIN secret_view w USING (k) ORDER BY 1; RESET ROLE;
CREATE VIEW barrier WITH (security_barrier) AS SELECT k, v FROM k4 WHERE v > 2; CREATE VIEW no_barrier AS SELECT k, v FROM k4 WHERE v > 2; GRANT SELECT ON barrier, no_barrier TO attack_reader;
SET ROLE attack_reader; SELECT * FROM barrier WHERE leak(v) AND k < 5 ORDER BY 1; SELECT * FROM barrier WHERE 1 / v >= 0 ORDER BY 1; SELECT k FROM barrier WHERE k = 4; SELECT count(*) FROM barrier a JOIN no_barrier b USING (k);
-- error
SELECT k4.v FROM barrier JOIN k4 USING (k);
RESET ROLE;
CREATE VIEW invoker WITH (security_invoker) AS SELECT k, v FROM k4 WHERE v > 2; GRANT SELECT ON invoker TO attack_reader; SET ROLE attack_reader;
-- error
SELECT * FROM invoker;
RESET ROLE; REVOKE EXECUTE ON FUNCTION leak(int) FROM PUBLIC; SET ROLE attack_reader;
-- error
SELECT k FROM secrets WHERE leak(v);
RESET ROLE; REVOKE EXECUTE ON FUNCTION pg_catalog.md5(text) FROM PUBLIC; SET ROLE attack_reader;
-- error
SELECT md5(owner) FROM secrets;
RESET ROLE; GRANT EXECUTE ON FUNCTION pg_catalog.md5(text) TO PUBLIC;
CREATE FUNCTION definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM t_attacks.secrets'; SET ROLE attack_reader; SELECT definer(), (SELECT count(*) FROM secrets); SET row_security = off;
-- error
SELECT count(*) FROM secrets;
RESET row_security; RESET ROLE;
BEGIN; SET LOCAL ROLE attack_reader; SELECT count(*) FROM secrets; ROLLBACK; SELECT count(*) FROM secrets;
DROP VIEW secret_view; DROP TABLE secrets; DROP VIEW invoker, barrier, no_barrier; DROP OWNED BY attack_reader, attack_owner; DROP ROLE attack_reader, attack_owner;
