-- ALTER COLUMN ... SET EXPRESSION.
-- from: 17
CREATE TABLE items (id int, price int, half int GENERATED ALWAYS AS (price / 2) STORED, note text);
SELECT create_distributed_table('items', 'id');
INSERT INTO items SELECT i, i * 10 FROM generate_series(1, 20) i;
ALTER TABLE items ALTER COLUMN half SET EXPRESSION AS (price / 5);
SELECT * FROM items WHERE half > 9 ORDER BY id;
INSERT INTO items VALUES (30, 100) RETURNING *;
UPDATE items SET price = 7 WHERE id = 30 RETURNING half;
ALTER TABLE items ALTER COLUMN half TYPE numeric, ALTER COLUMN half SET EXPRESSION AS (price / 4.0);
SELECT sum(half) FROM items;
-- error
ALTER TABLE items ALTER COLUMN half SET EXPRESSION AS (random());
-- error
ALTER TABLE items ALTER COLUMN note SET EXPRESSION AS ('x');
-- error
ALTER TABLE items ALTER COLUMN half SET EXPRESSION AS (half + 1);
-- differs: a shard has another OID
ALTER TABLE items ALTER COLUMN half SET EXPRESSION AS (tableoid::int8);
CREATE FUNCTION quarter(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 4';
ALTER TABLE items ALTER COLUMN half SET EXPRESSION AS (quarter(price)), ADD COLUMN more int GENERATED ALWAYS AS (price + 1) STORED;
SELECT sum(half), sum(more) FROM items;
SELECT count(*) FROM cz_check_shards('items');
SELECT count(*) FROM cz_verify_placements('items') WHERE NOT ok;
CREATE TABLE ref (id int PRIMARY KEY, v int, w int GENERATED ALWAYS AS (v * 2) STORED);
SELECT create_reference_table('ref');
INSERT INTO ref VALUES (1, 1), (2, 2);
ALTER TABLE ref ALTER COLUMN w SET EXPRESSION AS (v * 3);
SELECT r.w, i.half FROM ref r JOIN items i USING (id) ORDER BY 1;
CREATE TABLE log (id int, at date, n int, twice int GENERATED ALWAYS AS (n * 2) STORED) PARTITION BY RANGE (at);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT create_distributed_table('log', 'id');
INSERT INTO log SELECT i, date '2026-01-01' + i, i FROM generate_series(1, 50) i;
ALTER TABLE log ALTER COLUMN twice SET EXPRESSION AS (n * 3);
SELECT sum(twice), count(*) FROM log WHERE twice > 20;
ALTER TABLE log_2 ALTER COLUMN twice SET EXPRESSION AS (n * 4);
SELECT sum(twice), count(*) FROM log WHERE twice > 20;
