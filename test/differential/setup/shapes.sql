-- Small tables of awkward shapes.  Keys of events are skewed (tenant 1 has half of the rows),
-- NULLs are everywhere, some tables are empty or live on one shard.
--
--   events, accounts, empty_events  distributed on tenant_id, colocated
--   items                           distributed on id (bigint): colocated with nothing above
--   names                           distributed on a text column
--   solo                            all rows on one shard
--   nothing                         empty
--   regions                         reference table
--   locals                          not distributed
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE spot AS (x int, y numeric);
CREATE TABLE events (
  event_id bigint NOT NULL, tenant_id int, kind text, amount numeric(12,3), score float8, small smallint,
  at timestamptz, day date, span interval, flag bool, bits bit(8), data jsonb, tags text[], how mood,
  share percent, place spot, raw bytea, ident uuid);
CREATE TABLE accounts (tenant_id int PRIMARY KEY, name text NOT NULL, region_id int, credit numeric,
  opened date, parent_id int);
CREATE TABLE empty_events (tenant_id int, event_id bigint, kind text, amount numeric);
CREATE TABLE items (id bigint, tenant_id int, label text, price numeric(10,2), qty int);
CREATE TABLE names (name text COLLATE "C", n int, note text);
CREATE TABLE solo (tenant_id int, seq int, v text);
CREATE TABLE nothing (id int, v text);
CREATE TABLE regions (region_id int PRIMARY KEY, region text, factor numeric);
CREATE TABLE locals (id int PRIMARY KEY, tenant_id int, remark text);
CREATE TABLE numbers (k int, v int);
INSERT INTO events
  SELECT i, CASE WHEN i % 37 = 0 THEN NULL WHEN i % 2 = 0 THEN 1 ELSE (i % 23) + 1 END,
         CASE WHEN i % 11 = 0 THEN NULL ELSE (ARRAY['click', 'view', 'buy', 'Refund', ''])[i % 5 + 1] END,
         CASE WHEN i % 7 = 0 THEN NULL ELSE round(i * 17.3337 % 1000, 3) END,
         CASE WHEN i % 13 = 0 THEN NULL WHEN i % 101 = 0 THEN 'NaN' WHEN i % 103 = 0 THEN '-Infinity'
              ELSE sin(i) * 100 END,
         CASE WHEN i % 5 = 0 THEN NULL ELSE i % 100 - 50 END,
         CASE WHEN i % 17 = 0 THEN NULL ELSE timestamptz '2026-03-28 20:00+00' + i * interval '17 minutes' END,
         CASE WHEN i % 19 = 0 THEN NULL ELSE date '2024-02-27' + i % 40 END,
         CASE WHEN i % 6 = 0 THEN NULL ELSE make_interval(months => i % 14, days => i % 33, secs => i % 97) END,
         CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END,
         CASE WHEN i % 9 = 0 THEN NULL ELSE (i % 256)::bit(8) END,
         CASE WHEN i % 4 = 0 THEN NULL
              ELSE jsonb_build_object('n', i % 12, 's', 'v' || i % 5, 'a', jsonb_build_array(i % 3, i % 2)) END,
         CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}' WHEN 2 THEN ARRAY['a', NULL]
              ELSE ARRAY['t' || i % 3, 'with "quote"', 'x,y'] END,
         CASE WHEN i % 8 = 0 THEN NULL ELSE (ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood END,
         CASE WHEN i % 10 = 0 THEN NULL ELSE i % 101 END,
         CASE WHEN i % 14 = 0 THEN NULL ELSE row(i % 10, (i % 50) / 4.0)::spot END,
         CASE WHEN i % 12 = 0 THEN NULL ELSE decode(md5(i::text), 'hex') END,
         CASE WHEN i % 15 = 0 THEN NULL ELSE md5((i % 300)::text)::uuid END
    FROM generate_series(1, 600) i;
SELECT create_distributed_table('accounts', 'tenant_id');
SELECT create_distributed_table('events', 'tenant_id', colocate_with => 'accounts');
SELECT create_distributed_table('empty_events', 'tenant_id', colocate_with => 'accounts');
SELECT create_distributed_table('items', 'id');
SELECT create_distributed_table('names', 'name');
SELECT create_distributed_table('solo', 'tenant_id');
SELECT create_distributed_table('nothing', 'id');
SELECT create_distributed_table('numbers', 'k');
INSERT INTO regions VALUES (1, 'north', 1.5), (2, 'south', 0), (3, NULL, -2), (4, 'nowhere', NULL);
SELECT create_reference_table('regions');
INSERT INTO accounts
  SELECT i, 'Account ' || chr(65 + i), CASE WHEN i % 5 = 0 THEN NULL ELSE i % 4 + 1 END,
         CASE WHEN i % 6 = 0 THEN NULL ELSE i * 100.5 END, date '2020-01-01' + i * 40, nullif(i / 3, 0)
    FROM generate_series(1, 30) i WHERE i <> 7;
INSERT INTO items
  SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE i % 26 END, CASE WHEN i % 9 = 0 THEN NULL ELSE 'item ' || i % 40 END,
         round(i * 3.7, 2), CASE WHEN i % 4 = 0 THEN NULL ELSE i % 15 END
    FROM generate_series(1, 200) i;
INSERT INTO names
  SELECT (ARRAY['alpha', 'Beta', 'gamma ', '', 'Ärger', 'x''y', 'a\b', '日本'])[i % 8 + 1] || CASE WHEN i > 40 THEN i::text ELSE '' END,
         i, CASE WHEN i % 3 = 0 THEN NULL ELSE repeat('z', i) END
    FROM generate_series(1, 60) i;
INSERT INTO solo SELECT 5, i, CASE WHEN i % 4 = 0 THEN NULL ELSE 'v' || i END FROM generate_series(1, 50) i;
INSERT INTO locals SELECT i, CASE WHEN i % 8 = 0 THEN NULL ELSE i % 12 END, 'remark ' || i FROM generate_series(1, 40) i;
INSERT INTO numbers SELECT i % 50, i FROM generate_series(1, 300) i;
