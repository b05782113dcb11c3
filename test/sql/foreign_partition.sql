-- A local table with foreign partitions, against a heap table with the same rows:
-- the ForeignScan with everything that asks something of it, parameters, rescans,
-- cursors, row locks, joins that change it.
--
--   p0 (coordinator)   f1 (worker 1)   f2 (worker 2)
\getenv worker1_port CZ_WORKER1_PORT
\getenv worker2_port CZ_WORKER2_PORT
\getenv coordinator_port PGPORT
\set ECHO none
\set QUIET on
SELECT current_database() AS dbname \gset
\c :dbname postgres 127.0.0.1 :worker1_port
\set ECHO all
SET client_min_messages TO warning;
DROP SCHEMA IF EXISTS foreign_partition CASCADE;
CREATE SCHEMA foreign_partition;
CREATE TABLE foreign_partition.f1 (k int, v text, d timestamptz);
\set ECHO none
\c :dbname postgres 127.0.0.1 :worker2_port
\set ECHO all
SET client_min_messages TO warning;
DROP SCHEMA IF EXISTS foreign_partition CASCADE;
CREATE SCHEMA foreign_partition;
CREATE TABLE foreign_partition.f2 (k int, v text, d timestamptz);
\set ECHO none
\c :dbname postgres 127.0.0.1 :coordinator_port
\set ECHO all
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS cz_fdw;
RESET client_min_messages;
CREATE SCHEMA foreign_partition;
SET search_path TO foreign_partition;
SET timezone TO 'UTC';
SELECT format('CREATE SERVER fp_w%s FOREIGN DATA WRAPPER cz_fdw OPTIONS (host %L, port %L, dbname %L, should_have_shards %L)',
              i, '127.0.0.1', port, current_database(), 'false')
  FROM (VALUES (1, :'worker1_port'), (2, :'worker2_port')) s(i, port) \gexec
CREATE USER MAPPING FOR CURRENT_USER SERVER fp_w1 OPTIONS (user 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER fp_w2 OPTIONS (user 'postgres');
CREATE TABLE h (k int, v text, d timestamptz);
INSERT INTO h SELECT i, 'v' || i % 7, '2024-01-01 00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(0, 199) i;
CREATE TABLE p (k int, v text, d timestamptz) PARTITION BY RANGE (k);
CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (60);
CREATE FOREIGN TABLE f1 PARTITION OF p FOR VALUES FROM (60) TO (120) SERVER fp_w1;
CREATE FOREIGN TABLE f2 PARTITION OF p FOR VALUES FROM (120) TO (1000) SERVER fp_w2;
INSERT INTO p SELECT * FROM h;
ANALYZE p, h;

-- the same query on the heap table and here
CREATE FUNCTION same(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	expected text;
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(x::text, chr(10) ORDER BY x::text) FROM (%s) x', replace(query, '@', 'h')) INTO expected;
	EXECUTE format('SELECT string_agg(x::text, chr(10) ORDER BY x::text) FROM (%s) x', replace(query, '@', 'p')) INTO result;
	RETURN expected = result;
END$$;
SELECT same('SELECT * FROM @');
SELECT same('select count(*) from @');
SELECT same('select v, count(*), max(d) from @ where k > 30 group by v');
SELECT same('select * from @ where k = (select max(k)-70 from @)');
SELECT same('select a.k, (select count(*) from @ b where b.k < a.k and b.v = a.v) from @ a where a.k % 10 = 3');
SELECT same('select a.k, b.k from @ a join @ b on a.k = b.k + 60 where a.v = b.v or a.k < 100');
SELECT same('select * from @ where d > ''2024-01-05''::timestamptz + interval ''1 hour'' and d < now()');
SELECT same('select * from @ where d::date = ''2024-01-05''');
SELECT same('select a.k, l.* from @ a, lateral (select b.k as bk from @ b where b.k > a.k order by b.k limit 2) l where a.k between 55 and 130');
SELECT same('select * from @ where exists (select 1 from generate_series(1,199,13) g where g = k)');
SELECT same('select k from @ order by d desc limit 5 offset 70');
SELECT same('select k, row_number() over (partition by v order by k) from @');
SELECT same('select * from @ where (k, v) in (select k, v from @ where k between 100 and 140)');
SELECT same('select x, @ from @ , (select 1 x) x where k in (1,61,121)');
SELECT same('with recursive r as (select 1 k union all select k*2 from r where k < 150) select * from r join @ using (k)');
SELECT same('select k from @ where v like ''v%'' and random() >= 0 and k between 50 and 70');
SELECT same('select k from @ a where k not in (select k from @ where k > 65) and k > 60');
SELECT same('select k from @ where v = any(array[''v1'',''v2'']) and k > 110');
SELECT same('select k from @ where k > length(current_setting(''search_path'')) * 7');
SELECT same('select * from @ full join (select k+100 as k, v as v2 from @) z using (k)');
-- parameters, rescans
set plan_cache_mode=force_generic_plan;
prepare q(int,text) as select count(*), min(k) from p where k > $1 and v = $2;
execute q(50,'v1');
execute q(130,'v2');
execute q(500,'v2');
execute q(null,'v2');
set enable_hashjoin=off;
set enable_mergejoin=off;
set enable_material=off;
SELECT same('select a.k, b.k from @ a join @ b on a.k = b.k + 60 where a.v = b.v or a.k < 100');
SELECT same('select a.k, b.k from @ a left join @ b on a.k = b.k + 60 and b.v = ''v3'' where a.k < 90');
RESET ALL;
SET search_path TO foreign_partition;
SET timezone TO 'UTC';

-- cursors
begin;
declare c scroll cursor for select k from p order by k;
fetch 3 from c;
fetch last from c;
fetch backward 2 from c;
move 0 in c;
fetch absolute 100 from c;
commit;
begin;
declare c scroll cursor for select k from p where k > 55;
fetch 10 from c;
fetch backward 3 from c;
fetch 3 from c;
update p set v = v || '!' where k = 62;
fetch 2 from c;
select v from p where k = 62;
rollback;

-- writes and row locks
update p set v = h.v || 'u' from h where h.k = p.k and h.k % 50 = 0 returning p.*;
update p set k = k where k in (select k from p where v like '%u');
delete from p using p p2 where p.k = p2.k + 1 and p2.v like '%u' returning p.k, p2.k, p.tableoid::regclass;
select count(*) from p;
do $$ declare r record; n int := 0;
begin for r in select * from p where k > 58 order by k loop n := n + 1; exit when n > 20;
update p set v = 'loop' where k = r.k; end loop; end $$;
select count(*) from p where v = 'loop';
select * from p where k between 59 and 62 for update;
select * from p where k between 59 and 62 order by k for share;
explain (costs off) select * from p a where k = 70;
set default_transaction_isolation='repeatable read';
begin;
select count(*) from p;
update p set v='rr' where k=130;
select v from p where k=130;
commit;

SET client_min_messages TO warning;
DROP SCHEMA foreign_partition CASCADE;
DROP SERVER fp_w1 CASCADE;
DROP SERVER fp_w2 CASCADE;
