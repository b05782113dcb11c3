-- Virtual generated columns: computed wherever they are read.
-- from: 18
CREATE TABLE items (id int PRIMARY KEY, price numeric NOT NULL, n int, total numeric GENERATED ALWAYS AS (price * n) VIRTUAL,
  label text GENERATED ALWAYS AS ('item ' || id), CHECK (total < 100000));
SELECT create_distributed_table('items', 'id');
INSERT INTO items VALUES (1, 2.5, 3), (2, 10, NULL), (3, 7, 7), (4, 0.5, 100);
INSERT INTO items (id, price, n) SELECT i, i * 1.5, i % 5 FROM generate_series(5, 40) i;
SELECT * FROM items ORDER BY id;
SELECT id, total FROM items WHERE id = 3;
SELECT count(*), sum(total) FROM items WHERE total > 20;
SELECT label, sum(total) OVER (ORDER BY id) FROM items WHERE id < 8 ORDER BY id;
SELECT n, sum(total), min(label) FROM items GROUP BY n ORDER BY n;
SELECT total, count(*) FROM items GROUP BY total ORDER BY total LIMIT 5;
SELECT i.id, i.total, j.total FROM items i JOIN items j ON j.id = i.id AND j.total = i.total ORDER BY i.id LIMIT 4;
SELECT i.id, j.id FROM items i JOIN items j ON j.total = i.total + 1.5 ORDER BY 1, 2;
SELECT i.id, j.total, j.label FROM items i LEFT JOIN items j ON j.id = i.id + 100 ORDER BY i.id LIMIT 3;
SELECT items FROM items WHERE id = 1;
SELECT (SELECT max(total) FROM items), id FROM items WHERE id = 1;
INSERT INTO items VALUES (50, 4, 4) RETURNING *;
INSERT INTO items VALUES (51, 4, 4), (52, 5, 5) RETURNING id, total, label;
INSERT INTO items SELECT id + 100, price, n FROM items WHERE id < 4 RETURNING id, total;
UPDATE items SET n = n + 1 WHERE id = 1 RETURNING total;
UPDATE items SET price = price + 1 WHERE total > 400 RETURNING id, total, label;
UPDATE items SET price = total WHERE id = 4 RETURNING *;
UPDATE items i SET n = j.n + 1 FROM items j WHERE j.id = i.id + 100 RETURNING i.id, i.total, j.total;
DELETE FROM items WHERE id = 50 RETURNING *;
DELETE FROM items WHERE total > 200 RETURNING id, total;
INSERT INTO items VALUES (1, 9, 9) ON CONFLICT (id) DO UPDATE SET price = excluded.price, n = excluded.n WHERE items.total < 1000 RETURNING *;
-- error
INSERT INTO items VALUES (60, 1000, 1000);
-- error
UPDATE items SET price = 1000000 WHERE id = 3;
-- error
INSERT INTO items (id, price, total) VALUES (61, 1, 1);
-- error
UPDATE items SET total = 3;
UPDATE items SET total = DEFAULT WHERE id = 2;
COPY items (id, price, n) FROM STDIN;
70	3	3
71	4	\N
\.
COPY items FROM STDIN;
72	3	4
\.
COPY (SELECT * FROM items ORDER BY id) TO STDOUT;
SELECT * FROM items WHERE id >= 70 ORDER BY id;
ALTER TABLE items ADD COLUMN half numeric GENERATED ALWAYS AS (price / 2);
SELECT id, half FROM items WHERE id < 10 ORDER BY id;
SELECT sum(half) FROM items;
ALTER TABLE items ADD COLUMN stored numeric GENERATED ALWAYS AS (price + 1) STORED;
SELECT sum(stored - half) FROM items;
-- error
ALTER TABLE items ALTER COLUMN half SET EXPRESSION AS (price / 4);
-- cluster: SET cz.check_fragments = off
CREATE TABLE plain (id int, price int, half int GENERATED ALWAYS AS (price / 2) VIRTUAL);
SELECT create_distributed_table('plain', 'id');
INSERT INTO plain SELECT i, i * 10 FROM generate_series(1, 9) i;
ALTER TABLE plain ALTER COLUMN half SET EXPRESSION AS (price / 5);
SELECT id, half FROM plain WHERE half > 3 ORDER BY id;
SELECT count(*) FROM cz_check_shards('plain');
-- error
ALTER TABLE items ALTER COLUMN half DROP EXPRESSION;
ALTER TABLE items ALTER COLUMN stored DROP EXPRESSION;
INSERT INTO items (id, price, stored) VALUES (90, 1, 1) RETURNING *;
ALTER TABLE items DROP COLUMN half;
SELECT sum(total) FROM items;
SELECT attname, attgenerated FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT count(*) FROM cz_check_shards('items');
SELECT count(*) FROM cz_verify_placements('items') WHERE NOT ok;
-- rows that are written from here
CREATE TABLE other (k int, total numeric);
INSERT INTO other SELECT i, i FROM generate_series(1, 10) i;
UPDATE items SET n = o.k FROM other o WHERE o.k = items.id RETURNING items.id, items.total, o.total;
MERGE INTO items i USING other o ON i.id = o.k WHEN MATCHED AND i.total > 10 THEN UPDATE SET n = 1 WHEN MATCHED THEN DELETE;
SELECT id, total FROM items ORDER BY id;
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% % %', TG_OP, new.id, new.total; RETURN new; END $$;
CREATE TRIGGER seen_after AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION seen();
-- notices
INSERT INTO items VALUES (200, 3, 3) RETURNING total;
-- notices
UPDATE items SET n = 4 WHERE id = 200 RETURNING total;
-- a reference table
CREATE TABLE ref (id int PRIMARY KEY, v int, w int GENERATED ALWAYS AS (v * 2));
SELECT create_reference_table('ref');
INSERT INTO ref VALUES (1, 1), (2, 2), (3, NULL) RETURNING *;
SELECT i.id, r.w FROM items i JOIN ref r ON r.id = i.id ORDER BY 1;
UPDATE ref SET v = 10 WHERE w = 4 RETURNING *;
SELECT * FROM ref ORDER BY id;
-- partitions
CREATE TABLE log (id int, at date, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL) PARTITION BY RANGE (at);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
SELECT create_distributed_table('log', 'id');
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO log SELECT i, date '2026-01-01' + i, i FROM generate_series(1, 50) i;
SELECT sum(twice), count(*) FROM log WHERE twice > 20;
SELECT * FROM log_2 WHERE id = 40;
UPDATE log SET at = at + 30 WHERE twice < 10 RETURNING id, at, twice;
SELECT * FROM log ORDER BY id LIMIT 8;
-- error
CREATE TABLE bad (id int, v int GENERATED ALWAYS AS (id + 1) VIRTUAL PRIMARY KEY);
-- Triggers see no virtual columns, of a row that is in the way of another one neither.
CREATE TABLE seen (k int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2));
SELECT create_distributed_table('seen', 'k');
INSERT INTO seen (k, v) VALUES (1, 3), (2, 4);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% % % % %', TG_OP, TG_WHEN, OLD.g, NEW.g, NEW.v; RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON seen FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON seen FOR EACH ROW EXECUTE FUNCTION tell();
-- notices
INSERT INTO seen (k, v) VALUES (1, 5), (3, 6) ON CONFLICT (k) DO UPDATE SET v = excluded.g + seen.g WHERE seen.g > 2 RETURNING *;
-- notices
UPDATE seen SET v = g WHERE g > 8 RETURNING *;
-- notices
DELETE FROM seen WHERE g = 8 RETURNING *;
