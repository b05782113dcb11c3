-- Another type of the distribution column of tables that foreign keys join: one table after the other, the keys
-- hold at any time, and the workers hold them again when both ends lie together.
-- from: 15
CREATE TABLE account (id int PRIMARY KEY, name text);
CREATE TABLE project (account_id int REFERENCES account ON DELETE CASCADE, id int, name text, PRIMARY KEY (account_id, id));
CREATE TABLE task (account_id int, id int, project_id int, up int, CONSTRAINT task_pk PRIMARY KEY (account_id, id), CONSTRAINT task_project FOREIGN KEY (account_id, project_id) REFERENCES project ON DELETE SET NULL (project_id) ON UPDATE CASCADE, CONSTRAINT task_up FOREIGN KEY (account_id, up) REFERENCES task DEFERRABLE);
CREATE TABLE event (account_id int, t int, CONSTRAINT event_account FOREIGN KEY (account_id) REFERENCES account ON DELETE CASCADE) PARTITION BY RANGE (t);
CREATE TABLE event1 PARTITION OF event FOR VALUES FROM (0) TO (10);
CREATE TABLE event2 PARTITION OF event DEFAULT;
CREATE TABLE kind (id int PRIMARY KEY);
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
SELECT create_reference_table('kind');
SELECT create_distributed_table('account', 'id');
SELECT create_distributed_table('project', 'account_id');
SELECT create_distributed_table('task', 'account_id');
SELECT create_distributed_table('event', 'account_id');
ALTER TABLE task ADD COLUMN kind int CONSTRAINT task_kind REFERENCES kind ON DELETE SET NULL;
COMMENT ON CONSTRAINT task_project ON task IS 'remarkable';
INSERT INTO kind SELECT generate_series(1, 3);
INSERT INTO account SELECT i, 'a' || i FROM generate_series(1, 40) i;
INSERT INTO project SELECT a, p, 'p' FROM generate_series(1, 40) a, generate_series(1, 3) p;
INSERT INTO task SELECT a, t, 1 + t % 3, NULLIF(t / 2, 0), 1 + t % 3 FROM generate_series(1, 40) a, generate_series(1, 6) t;
INSERT INTO event SELECT a, a FROM generate_series(1, 20) a;
-- while one end has the new type
BEGIN;
ALTER TABLE account ALTER id TYPE bigint;
-- error
INSERT INTO project VALUES (41, 1);
ROLLBACK;
BEGIN;
ALTER TABLE project ALTER account_id TYPE bigint;
SAVEPOINT a;
-- error
DELETE FROM task WHERE (SELECT 1 / (count(*) - count(*)) FROM project) = 1;
ROLLBACK TO a;
DELETE FROM account WHERE id = 3;
SELECT (SELECT count(*) FROM project), (SELECT count(project_id) FROM task), (SELECT count(*) FROM event);
ROLLBACK;
-- error
ALTER TABLE account ALTER id TYPE inet USING '::1'::inet;
-- error
ALTER TABLE account ALTER id TYPE bigint USING -id;
-- error
ALTER TABLE project ALTER account_id TYPE bigint USING account_id + 1000;
ALTER TABLE account ALTER id TYPE bigint, ADD COLUMN n int DEFAULT 5;
-- error
INSERT INTO project VALUES (41, 1);
-- error
INSERT INTO event VALUES (41, 1);
INSERT INTO account VALUES (10000000000, 'big');
DELETE FROM account WHERE id = 4;
SELECT (SELECT count(*) FROM project), (SELECT count(project_id) FROM task), (SELECT count(*) FROM event);
SELECT object, expected, found FROM cz_check_shards('account');
SELECT object, expected, found FROM cz_check_shards('project');
ALTER TABLE project ALTER account_id TYPE bigint;
SELECT object, expected, found FROM cz_check_shards('project');
SELECT object, expected, found FROM cz_check_shards('task');
INSERT INTO project VALUES (10000000000, 1);
-- error
INSERT INTO project VALUES (10000000001, 1);
-- error
INSERT INTO task VALUES (41, 1, 1);
DELETE FROM account WHERE id = 5;
UPDATE project SET id = 7 WHERE account_id = 6 AND id = 1;
DELETE FROM project WHERE account_id = 6 AND id = 2;
SELECT * FROM task WHERE account_id BETWEEN 4 AND 6 ORDER BY 1, 2;
ALTER TABLE task ALTER account_id TYPE bigint, ALTER id TYPE bigint;
ALTER TABLE event ALTER account_id TYPE bigint;
SELECT object, expected, found FROM cz_check_shards('task');
SELECT object, expected, found FROM cz_check_shards('event');
-- they lie together again, and workers hold the keys
-- cluster: SELECT 1 / (count(DISTINCT colocation_id) = 1 AND count(*) = 4)::int FROM cz.tables WHERE relid::text IN ('account', 'project', 'task', 'event')
INSERT INTO task VALUES (10000000000, 10000000000, 1, NULL, 2);
INSERT INTO event VALUES (10000000000, 1);
-- error
INSERT INTO event VALUES (10000000001, 1);
DELETE FROM kind WHERE id = 2;
DELETE FROM account WHERE id IN (6, 7, 10000000000);
SELECT (SELECT count(*) FROM project), (SELECT count(project_id) FROM task), (SELECT count(kind) FROM task), (SELECT count(*) FROM event);
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), obj_description(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'account'::regclass) ORDER BY 1, 2;
-- the column goes, with the keys that have it
-- error
ALTER TABLE account DROP COLUMN id;
ALTER TABLE task DROP COLUMN account_id;
SELECT * FROM task ORDER BY 1, 2, 3, 4 LIMIT 5;
-- error
INSERT INTO task (kind) VALUES (77);
ALTER TABLE project DROP CONSTRAINT project_account_id_fkey, ALTER account_id TYPE text, ADD CONSTRAINT project_name CHECK (name <> '');
INSERT INTO project VALUES ('none', 1, 'x');
SELECT object, expected, found FROM cz_check_shards('project');
SELECT object, expected, found FROM cz_check_shards('task');
SELECT count(*) FROM cz_verify_placements('task') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('event') WHERE NOT ok;
