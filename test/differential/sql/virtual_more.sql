-- Virtual generated columns with ON CONFLICT, MERGE, RETURNING old and new; constraints of 18 beside them
-- from: 18
CREATE TABLE a (k int, id int, v int, d int GENERATED ALWAYS AS (v * 2) VIRTUAL, s text STORAGE EXTERNAL DEFAULT 'x', PRIMARY KEY (k, id));
SELECT create_distributed_table('a', 'k');
INSERT INTO a (k, id, v) SELECT i, i % 4, i FROM generate_series(1, 40) i;
INSERT INTO a (k, id, v) VALUES (1, 1, 5), (100, 1, 6) ON CONFLICT (k, id) DO UPDATE SET v = excluded.v + a.v RETURNING WITH (OLD AS o, NEW AS n) o.v, o.d, n.v, n.d, k;
INSERT INTO a (k, id, v) VALUES (1, 1, 5), (101, 1, 6) ON CONFLICT (k, id) DO UPDATE SET v = excluded.v + a.v RETURNING old.v, old.d, new.v, new.d, k;
INSERT INTO a (k, id, v) VALUES (1, 1, 5), (102, 1, 6) ON CONFLICT DO NOTHING RETURNING old.*, new.*;
UPDATE a SET v = v + 1 WHERE k < 4 RETURNING old.d, new.d, old.v + new.v, old IS DISTINCT FROM new;
UPDATE a SET k = k + 500 WHERE k = 7 RETURNING old.k, new.k, old.d, new.d;
DELETE FROM a WHERE k = 8 RETURNING old.*, new.k, new IS NULL;
WITH x AS (DELETE FROM a WHERE k IN (9, 10) RETURNING old.k AS ok, old.d AS od, new.k AS nk) SELECT * FROM x ORDER BY 1;
MERGE INTO a USING (VALUES (11, 3, 70), (900, 1, 71)) s (k, id, v) ON a.k = s.k AND a.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (k, id, v) VALUES (s.k, s.id, s.v) RETURNING merge_action(), old.v, new.v, old.d, new.d, a.k;
MERGE INTO a USING (SELECT k, id FROM a WHERE k > 30) s ON a.k = s.k AND a.id = s.id WHEN NOT MATCHED BY SOURCE AND a.k < 14 THEN DELETE WHEN MATCHED AND a.k = 33 THEN UPDATE SET v = -1 WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), old.k, new.k, old.d, new.d;
SELECT count(*), sum(d), min(d), max(d) FROM a;
SELECT d % 3 AS g, count(*) FROM a GROUP BY d % 3 HAVING count(*) > 1 ORDER BY 1;
SELECT d, k FROM a WHERE d IN (60, 62) ORDER BY 1;
SELECT a.d, b.d FROM a JOIN a b ON a.k = b.k AND a.d = b.d WHERE a.k < 20 ORDER BY 1;
ALTER TABLE a ADD COLUMN e int GENERATED ALWAYS AS (v + id) VIRTUAL, ADD COLUMN f int GENERATED ALWAYS AS (v - id) STORED;
SELECT sum(e), sum(f) FROM a;
ALTER TABLE a ALTER COLUMN e SET EXPRESSION AS (v * 100);
SELECT sum(e), sum(f) FROM a;
ALTER TABLE a ALTER COLUMN f SET EXPRESSION AS (v * 1000);
SELECT sum(e), sum(f) FROM a;
-- error
ALTER TABLE a ALTER COLUMN e DROP EXPRESSION;
ALTER TABLE a ALTER COLUMN f DROP EXPRESSION;
-- error
CREATE INDEX ON a (d);
ALTER TABLE a ADD CONSTRAINT d_small CHECK (d < 100000);
-- error
INSERT INTO a (k, id, v) VALUES (2000, 1, 1000000);
ALTER TABLE a ADD CONSTRAINT vnn NOT NULL v NOT VALID;
-- error
INSERT INTO a (k, id, v) VALUES (2000, 1, NULL);
ALTER TABLE a VALIDATE CONSTRAINT vnn;
ALTER TABLE a ADD CONSTRAINT ne CHECK (v > 1000) NOT ENFORCED;
INSERT INTO a (k, id, v) VALUES (2001, 1, 3);
-- error
ALTER TABLE a ALTER CONSTRAINT ne ENFORCED;
ALTER TABLE a DROP CONSTRAINT vnn;
INSERT INTO a (k, id, v) VALUES (2002, 1, NULL);
-- error
ALTER TABLE a ALTER COLUMN d SET NOT NULL;
