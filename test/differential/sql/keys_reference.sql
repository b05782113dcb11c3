-- Foreign keys from distributed to reference tables.
CREATE TABLE country (code text PRIMARY KEY, name text);
CREATE TABLE city (id int PRIMARY KEY, country text REFERENCES country, name text, UNIQUE (id, country));
CREATE TABLE person (k int PRIMARY KEY, city int REFERENCES city, country text, also int,
    CONSTRAINT both_fkey FOREIGN KEY (city, country) REFERENCES city (id, country) MATCH FULL,
    CONSTRAINT later_fkey FOREIGN KEY (also) REFERENCES city DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE by_city (city int REFERENCES city ON DELETE RESTRICT, n int);
INSERT INTO country VALUES ('A', 'aa'), ('B', 'bb'), ('C', 'cc');
INSERT INTO city SELECT i, chr(65 + i % 3), 'c' || i FROM generate_series(1, 12) i;
INSERT INTO person SELECT i, id, city.country FROM generate_series(1, 40) i JOIN city ON id = 1 + i % 10;
INSERT INTO by_city SELECT 1 + i % 6, i FROM generate_series(1, 12) i;
SELECT create_reference_table('country');
SELECT create_reference_table('city');
SELECT create_distributed_table('person', 'k');
SELECT create_distributed_table('by_city', 'city');
SELECT object, expected, found FROM cz_check_shards('person');
SELECT conname, conrelid::regclass, confrelid::regclass, condeferrable, condeferred, confdeltype, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'f' AND conrelid IN ('person'::regclass, 'city'::regclass, 'by_city'::regclass) ORDER BY 1, 2;
-- rows that refer to nothing
-- error
INSERT INTO person VALUES (100, 77, 'A');
-- error
INSERT INTO person VALUES (100, 1, 'A');
-- error
INSERT INTO person VALUES (100, 1, NULL);
-- error
INSERT INTO person SELECT k + 100, k + 100, country FROM person;
INSERT INTO person SELECT k + 100, city, country FROM person;
-- error
UPDATE person SET city = 99;
-- error
UPDATE by_city SET city = 99 WHERE city = 2;
UPDATE by_city SET city = 3 WHERE city = 2 AND n < 3;
-- error
COPY by_city FROM STDIN;
1	1
50	2
\.
COPY by_city FROM STDIN;
1	1
2	2
\.
-- rows that others refer to
-- error
DELETE FROM city WHERE id = 3;
-- error
DELETE FROM city WHERE id = 10;
DELETE FROM city WHERE id = 11;
-- error
UPDATE city SET id = 99 WHERE id = 3;
UPDATE city SET id = 98 WHERE id = 12;
UPDATE city SET name = name || '!';
-- error
UPDATE city SET country = 'C' WHERE id = 3;
-- error
DELETE FROM country WHERE code = 'A';
SELECT * FROM city ORDER BY id;
SELECT city.name, count(*) FROM person JOIN city ON person.city = city.id GROUP BY 1 ORDER BY 1;
-- transactions
BEGIN;
INSERT INTO city VALUES (200, 'A', 'new');
INSERT INTO person VALUES (200, 200, 'A');
INSERT INTO by_city VALUES (200, 1);
SAVEPOINT a;
-- error
DELETE FROM city WHERE id = 200;
ROLLBACK TO a;
DELETE FROM person WHERE k = 200;
SAVEPOINT b;
-- error
DELETE FROM city WHERE id = 200;
ROLLBACK TO b;
DELETE FROM by_city WHERE city = 200;
DELETE FROM city WHERE id = 200;
SAVEPOINT c;
-- error
INSERT INTO person VALUES (200, 200, 'A');
ROLLBACK TO c;
COMMIT;
BEGIN;
INSERT INTO person (k, also) VALUES (300, 300);
INSERT INTO city VALUES (300, 'B', 'deferred');
COMMIT;
BEGIN;
INSERT INTO person (k, also) VALUES (301, 301);
-- error
COMMIT;
BEGIN;
DELETE FROM city WHERE id = 300;
UPDATE person SET also = NULL WHERE k = 300;
COMMIT;
SELECT k, also FROM person WHERE k >= 300;
-- error
DROP TABLE city;
-- error
TRUNCATE city;
DROP TABLE by_city;
BEGIN;
DROP TABLE city CASCADE;
INSERT INTO person VALUES (400, 400, 'A', 400);
ROLLBACK;
-- error
INSERT INTO person VALUES (400, 400, 'A', 400);
ALTER TABLE person DROP CONSTRAINT both_fkey;
DROP TABLE country CASCADE;
DELETE FROM person WHERE city = 5;
UPDATE city SET id = 500 WHERE id = 5;
DROP TABLE city CASCADE;
INSERT INTO person VALUES (400, 400, 'A', 400);
SELECT count(*) FROM person;
-- rows of a reference table that wait to be sent go before those that refer to them
CREATE TABLE waits_ref (id int PRIMARY KEY);
SELECT create_reference_table('waits_ref');
CREATE TABLE waits (k int, r int REFERENCES waits_ref);
SELECT create_distributed_table('waits', 'k');
BEGIN;
INSERT INTO waits_ref VALUES (1), (2);
INSERT INTO waits VALUES (1, 1), (2, 2);
INSERT INTO waits_ref VALUES (3);
COPY waits FROM STDIN;
3	3
4	1
\.
INSERT INTO waits_ref VALUES (4);
UPDATE waits SET k = k + 10, r = 4 + (random() * 0)::int;
COMMIT;
SELECT * FROM waits ORDER BY k;
