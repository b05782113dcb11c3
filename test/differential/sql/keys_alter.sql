-- Foreign keys of distributed tables that come, change and go by ALTER TABLE.
CREATE TABLE p (k int, id int, u text, PRIMARY KEY (k, id), UNIQUE (id, k), UNIQUE (k, u));
CREATE TABLE c (k int, pid int, u varchar(10), n int, PRIMARY KEY (k, n));
CREATE TABLE r (id int PRIMARY KEY, code varchar(10) UNIQUE);
CREATE TABLE loc (id int PRIMARY KEY);
INSERT INTO p SELECT i % 5, i, 'u' || i FROM generate_series(1, 20) i;
INSERT INTO c SELECT k, id, u, id FROM p;
INSERT INTO r SELECT i, 'u' || i FROM generate_series(1, 20) i;
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('c', 'k');
SELECT create_reference_table('r');
-- by the rows that are there
ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (k, pid) REFERENCES p;
-- error
ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (k, pid) REFERENCES p;
INSERT INTO c VALUES (1, NULL, 'none', 100);
-- error
ALTER TABLE c ADD FOREIGN KEY (u) REFERENCES r (code);
-- error
ALTER TABLE c ADD FOREIGN KEY (k, u) REFERENCES p (k, u);
ALTER TABLE c ADD CONSTRAINT c_r FOREIGN KEY (u) REFERENCES r (code) NOT VALID;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f' ORDER BY 1;
-- error
INSERT INTO c VALUES (1, NULL, 'other', 101);
-- error
ALTER TABLE c VALIDATE CONSTRAINT c_r;
SELECT object, expected, found FROM cz_check_shards('c');
DELETE FROM c WHERE n = 100;
ALTER TABLE c VALIDATE CONSTRAINT c_r;
ALTER TABLE c VALIDATE CONSTRAINT c_r;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f' ORDER BY 1;
-- several, and other changes, in one statement
ALTER TABLE c ADD COLUMN rid int DEFAULT 3 REFERENCES r, ADD COLUMN rid2 int CONSTRAINT "c r 2" REFERENCES r (id) DEFERRABLE INITIALLY DEFERRED, ADD CHECK (n > 0), ADD FOREIGN KEY (k, u) REFERENCES p (k, u), ADD UNIQUE (k, pid), DROP CONSTRAINT c_p;
SELECT conname, condeferrable, condeferred, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f' ORDER BY 1;
-- error
INSERT INTO c VALUES (1, NULL, 'u1', 103, 77);
-- error
INSERT INTO c VALUES (1, NULL, 'u2', 103, 7);
INSERT INTO c VALUES (1, 500, 'u1', 103, 7);
-- error
INSERT INTO c VALUES (1, 501, 'u1', 104, 7, 99);
-- error
UPDATE c SET rid = 99 WHERE k = 2;
-- error
ALTER TABLE c ADD COLUMN bad int DEFAULT 99 REFERENCES r;
SELECT count(*) FROM pg_attribute WHERE attrelid = 'c'::regclass AND attname = 'bad';
-- a name that goes and comes
ALTER TABLE c DROP CONSTRAINT c_r, ADD CONSTRAINT c_r FOREIGN KEY (rid) REFERENCES r;
ALTER TABLE c DROP CONSTRAINT c_rid_fkey;
INSERT INTO c VALUES (2, 502, NULL, 105, 8);
SELECT object, expected, found FROM cz_check_shards('c');
-- to itself
ALTER TABLE p ADD COLUMN up int, ADD CONSTRAINT p_up FOREIGN KEY (k, up) REFERENCES p (k, id);
-- error
UPDATE p SET up = id + 1;
UPDATE p SET up = id;
-- names
ALTER TABLE c RENAME CONSTRAINT c_r TO "a long name of a constraint that is as long as a name can be ok";
ALTER TABLE c RENAME CONSTRAINT "a long name of a constraint that is as long as a name can be ok" TO c_again;
ALTER TABLE c RENAME COLUMN rid TO "the rid";
ALTER TABLE r RENAME COLUMN id TO "the id";
ALTER TABLE r RENAME TO rr;
ALTER TABLE p RENAME TO pp;
ALTER TABLE c RENAME TO cc;
-- error
INSERT INTO cc VALUES (1, 503, 'u1', 106, 70);
-- error
ALTER TABLE cc DROP CONSTRAINT c_r;
ALTER TABLE cc DROP CONSTRAINT IF EXISTS c_r;
SELECT object, expected, found FROM cz_check_shards('cc');
-- when they are checked
ALTER TABLE cc ALTER CONSTRAINT c_again DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO cc VALUES (1, 504, 'u1', 107, 70);
INSERT INTO rr VALUES (70, 'seventy');
COMMIT;
BEGIN;
INSERT INTO cc VALUES (1, 505, 'u1', 108, 71);
-- error
COMMIT;
ALTER TABLE cc ALTER CONSTRAINT c_again DEFERRABLE;
-- error
INSERT INTO cc VALUES (1, 505, 'u1', 108, 71);
ALTER TABLE cc ALTER CONSTRAINT c_again NOT DEFERRABLE;
SELECT conname, condeferrable, condeferred FROM pg_constraint WHERE conrelid = 'cc'::regclass AND contype = 'f' ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('cc');
-- types of columns of keys, at either end
ALTER TABLE cc ALTER "the rid" TYPE bigint;
ALTER TABLE rr ALTER "the id" TYPE bigint;
ALTER TABLE cc ALTER u TYPE text;
ALTER TABLE pp ALTER u TYPE varchar(30), ALTER up TYPE bigint;
ALTER TABLE pp ALTER id TYPE bigint USING id + 0;
-- error
ALTER TABLE pp ALTER id TYPE int USING id + 1;
-- error
ALTER TABLE rr ALTER "the id" TYPE text;
SELECT object, expected, found FROM cz_check_shards('cc');
SELECT object, expected, found FROM cz_check_shards('pp');
SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN ('cc'::regclass, 'pp'::regclass) AND contype = 'f' ORDER BY 1, 2;
-- error
INSERT INTO cc VALUES (1, 505, 'u1', 108, 71);
-- error
UPDATE pp SET up = 10000;
-- error
DELETE FROM rr WHERE "the id" = 3;
-- columns and unique constraints go
-- error
ALTER TABLE pp DROP CONSTRAINT p_k_u_key;
-- error
ALTER TABLE pp DROP COLUMN u;
-- error
ALTER TABLE rr DROP CONSTRAINT r_pkey;
ALTER TABLE pp DROP CONSTRAINT p_k_u_key CASCADE;
INSERT INTO cc VALUES (1, 506, 'u2', 109, 7);
BEGIN;
ALTER TABLE rr DROP COLUMN "the id" CASCADE;
INSERT INTO cc VALUES (1, 507, 'u2', 110, 777);
ROLLBACK;
-- error
INSERT INTO cc VALUES (1, 507, 'u2', 110, 777);
ALTER TABLE rr DROP CONSTRAINT r_pkey CASCADE;
INSERT INTO cc VALUES (1, 507, 'u2', 110, 777);
ALTER TABLE cc DROP COLUMN pid;
SELECT conrelid::regclass, conname FROM pg_constraint WHERE conrelid IN ('cc'::regclass, 'pp'::regclass) AND contype = 'f' ORDER BY 1, 2;
-- transactions
BEGIN;
ALTER TABLE cc ADD CONSTRAINT again FOREIGN KEY (k, n) REFERENCES pp (k, id) NOT VALID;
ROLLBACK;
BEGIN;
ALTER TABLE pp ADD COLUMN num int, ADD UNIQUE (k, num);
SAVEPOINT a;
ALTER TABLE cc ADD CONSTRAINT again FOREIGN KEY (k, n) REFERENCES pp (k, num) NOT VALID;
SAVEPOINT b;
-- error
INSERT INTO cc (k, n) VALUES (1, 200);
ROLLBACK TO a;
INSERT INTO cc (k, n) VALUES (1, 200);
ALTER TABLE cc ADD CONSTRAINT again FOREIGN KEY (k, n) REFERENCES pp (k, num) NOT VALID;
COMMIT;
-- error
INSERT INTO cc (k, n) VALUES (1, 201);
DO $$ BEGIN ALTER TABLE cc VALIDATE CONSTRAINT again; EXCEPTION WHEN foreign_key_violation THEN ALTER TABLE cc DROP CONSTRAINT again; END $$;
INSERT INTO cc (k, n) VALUES (1, 201);
SELECT object, expected, found FROM cz_check_shards('cc');
-- core's own keys, of reference and ordinary tables
ALTER TABLE rr ADD PRIMARY KEY ("the id");
ALTER TABLE loc ADD FOREIGN KEY (id) REFERENCES rr;
-- error
INSERT INTO loc VALUES (1000);
ALTER TABLE rr ADD COLUMN l int REFERENCES loc, ADD COLUMN self bigint REFERENCES rr;
-- error
UPDATE rr SET l = 5;
-- error
UPDATE rr SET self = 99;
UPDATE rr SET self = "the id";
SELECT object, expected, found FROM cz_check_shards('rr');
DROP TABLE pp, cc, rr, loc;
-- keys whose index core makes again, without another type
CREATE TABLE renewed (k int, id int, PRIMARY KEY (k, id));
CREATE TABLE renewing (k int, id int, up int, CONSTRAINT renewing_key FOREIGN KEY (k, id) REFERENCES renewed ON DELETE CASCADE, PRIMARY KEY (k, id), CONSTRAINT renewing_self FOREIGN KEY (k, up) REFERENCES renewing);
SELECT create_distributed_table('renewed', 'k');
SELECT create_distributed_table('renewing', 'k');
INSERT INTO renewed SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO renewing SELECT i, i, i FROM generate_series(1, 9) i;
ALTER TABLE renewed ALTER id TYPE int USING id + 0;
ALTER TABLE renewing ALTER id TYPE int USING id + 0;
-- error
INSERT INTO renewing VALUES (1, 5, NULL);
-- error
INSERT INTO renewing VALUES (1, 1, 7);
SELECT object, expected, found FROM cz_check_shards('renewed');
SELECT object, expected, found FROM cz_check_shards('renewing');
DELETE FROM renewing WHERE k > 3;
DELETE FROM renewed WHERE k = 4;
SELECT count(*) FROM renewing;
