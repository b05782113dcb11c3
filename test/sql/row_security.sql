-- Row-level security and security barriers are pushed, as barriers: strategy, fragments,
-- and what the worker is sent.  That users see the right rows is in the differential test.
-- Coordinator, workers 1, 2, 3; database cz_row_security on each.
\set dbname cz_row_security
\i sql/include/worker_database.inc
\i sql/include/workers.inc
SET client_min_messages = warning;
SET cz.shard_count = 4;
SET cz.shard_replication_factor = 1;
DROP ROLE IF EXISTS cz_reader;
CREATE ROLE cz_reader;
CREATE TABLE docs (id int PRIMARY KEY, tenant int, owner text, body text, price numeric);
CREATE TABLE parts (id int, no int, label text, PRIMARY KEY (id, no));
CREATE TABLE bills (tenant int, no int, note text);
SELECT create_distributed_table('docs', 'id'), create_distributed_table('parts', 'id'), create_distributed_table('bills', 'tenant');
INSERT INTO docs SELECT i, i % 5, CASE i % 2 WHEN 0 THEN 'cz_reader' ELSE 'other' END, 'body ' || i, i FROM generate_series(1, 20) i;
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON docs USING (owner = current_user);
ALTER TABLE bills ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON bills USING (tenant = current_setting('app.tenant')::int);
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, body, price FROM docs WHERE tenant = 2;
GRANT ALL ON docs, parts, bills, barrier TO cz_reader;
SET app.tenant = 3;
CREATE FUNCTION pushed(query text, OUT strategy text, OUT fragments text, OUT sql text) LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON, COSTS OFF) ' || query INTO plan;
  strategy := jsonb_path_query_array(plan, 'strict $.**."Strategy"');
  fragments := jsonb_path_query_array(plan, 'strict $.**."Fragments"');
  sql := regexp_replace(regexp_replace(plan #>> '{}', '.*"Remote SQL": "([^"]*)".*', '\1'), '(\\n|\s)+', ' ', 'g');
  sql := regexp_replace(regexp_replace(sql, '_\d{6}\M', '_N', 'g'), '^SELECT.* FROM', 'FROM');
END $$;
SET ROLE cz_reader;
\x
-- the barrier stays: a fence, or no condition that could tell of hidden rows
SELECT * FROM pushed($$SELECT * FROM docs WHERE id = 4$$);
SELECT * FROM pushed($$SELECT * FROM docs WHERE id = 4 AND 1 / (price - 3) > 0$$);
SELECT * FROM pushed($$SELECT count(*) FROM docs WHERE body LIKE 'b%'$$);
SELECT * FROM pushed($$SELECT d.body, p.label FROM docs d JOIN parts p USING (id) WHERE p.label LIKE 'x%'$$);
SELECT * FROM pushed($$SELECT d.body, p.label FROM docs d JOIN parts p USING (id) WHERE p.label LIKE d.body$$);
SELECT * FROM pushed($$SELECT (SELECT d.body FROM docs d WHERE d.id = p.id AND d.body LIKE 'x%') FROM parts p WHERE p.no = 1$$);
SELECT * FROM pushed($$SELECT p.label, d.body FROM parts p LEFT JOIN docs d USING (id) WHERE p.no = 1$$);
SELECT * FROM pushed($$SELECT * FROM (SELECT * FROM docs WHERE tenant = 1) d WHERE 1 / (price - 3) > 0$$);
SELECT * FROM pushed($$SELECT * FROM barrier WHERE id = 7 AND price > 3$$);
SELECT * FROM pushed($$SELECT owner FROM docs GROUP BY owner, id HAVING 1 / (id - 3) > 0$$);
SELECT * FROM pushed($$SELECT count(*) FROM bills$$);
SELECT * FROM pushed($$SELECT * FROM bills WHERE tenant = 3 AND note LIKE 'x%'$$);
\x
-- a policy with the table's whole row and a whole row of the table
SELECT row_to_json(d), tableoid::regclass FROM docs d WHERE id < 5 ORDER BY id;
RESET ROLE;
DROP OWNED BY cz_reader;
DROP ROLE cz_reader;
