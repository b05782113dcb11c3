-- TRUNCATE of tables that foreign keys join.
CREATE TABLE l (id int PRIMARY KEY);
CREATE TABLE r (id int PRIMARY KEY, l_id int REFERENCES l);
CREATE TABLE p (k int, id int, r_id int, PRIMARY KEY (k, id));
CREATE TABLE c (k int, id int, p_id int, PRIMARY KEY (k, id));
CREATE TABLE d (k int PRIMARY KEY, r_id int);
INSERT INTO l SELECT generate_series(1, 5);
INSERT INTO r SELECT i, i FROM generate_series(1, 5) i;
SELECT create_reference_table('r');
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('c', 'k', colocate_with => 'p');
SELECT create_distributed_table('d', 'k');
ALTER TABLE p ADD FOREIGN KEY (r_id) REFERENCES r;
ALTER TABLE c ADD FOREIGN KEY (k, p_id) REFERENCES p;
ALTER TABLE d ADD FOREIGN KEY (r_id) REFERENCES r;
INSERT INTO p SELECT k, i, i FROM generate_series(1, 20) k, generate_series(1, 5) i;
INSERT INTO c SELECT k, id, id FROM p;
INSERT INTO d SELECT i, 1 + i % 5 FROM generate_series(1, 20) i;
-- error
TRUNCATE p;
-- error
TRUNCATE r;
-- error
TRUNCATE r, p, c;
-- error
TRUNCATE l;
BEGIN;
TRUNCATE p, c;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM d), (SELECT count(*) FROM r);
ROLLBACK;
BEGIN;
TRUNCATE c, d, p, r;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM d), (SELECT count(*) FROM r);
-- error
INSERT INTO d VALUES (1, 1);
ROLLBACK;
BEGIN;
-- notices
TRUNCATE p CASCADE;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM d), (SELECT count(*) FROM r);
ROLLBACK;
BEGIN;
-- notices
TRUNCATE r CASCADE;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM d), (SELECT count(*) FROM r);
ROLLBACK;
-- notices
TRUNCATE l CASCADE;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM d), (SELECT count(*) FROM r), (SELECT count(*) FROM l);
INSERT INTO l VALUES (1);
INSERT INTO r VALUES (1, 1);
INSERT INTO d VALUES (1, 1);
-- error
INSERT INTO d VALUES (2, 2);
SELECT count(*) FROM cz_verify_placements('r') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('p') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('d') WHERE NOT ok;
