-- What --tables parts runs on both sides before a table is distributed: the same table, partitioned.
-- By a column that all its unique keys have, another one than the distribution column if there is
-- one; false, and nothing is changed, where it cannot be (or what it has would get lost).
CREATE FUNCTION pg_catalog.cz_test_parts(rel regclass, key_column text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  name text := (SELECT relname FROM pg_class WHERE oid = rel);
  schema text := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = rel);
  old text := schema || '.' || quote_ident(name);
  new text := schema || '.cz_test_parts_new';
  column_name text;
  column_type regtype;
  constraints text[];
  indexes text[];
  sequences text[];
  columns text;
  command text;
BEGIN
  IF (SELECT relkind <> 'r' OR relrowsecurity OR relacl IS NOT NULL OR relhasrules OR relpersistence <> 'p' OR relispartition
        OR reloptions IS NOT NULL OR reloftype <> 0 OR relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
      FROM pg_class WHERE oid = rel)
    OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = rel)
    OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = rel OR inhparent = rel)
    OR EXISTS (SELECT FROM pg_constraint WHERE conrelid = rel AND (contype IN ('f', 'x') OR connoinherit AND contype = 'c'))
    OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = rel AND attidentity <> '')
    OR EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = rel) THEN
    RETURN false;
  END IF;
  SELECT a.attname, a.atttypid INTO column_name, column_type
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND t.typname IN ('int2', 'int4', 'int8', 'text', 'date', 'timestamptz', 'timestamp', 'numeric', 'bool', 'uuid', 'varchar', 'bpchar')
      AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = rel AND i.indisunique
        AND NOT a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))
    ORDER BY a.attname = key_column, t.typname NOT IN ('int4', 'int8'), a.attnum LIMIT 1;
  IF column_name IS NULL THEN
    RETURN false;
  END IF;
  SELECT array_agg(format('ALTER TABLE %s ADD CONSTRAINT %I %s', old, conname, pg_get_constraintdef(oid)) ORDER BY oid) INTO constraints
    FROM pg_constraint WHERE conrelid = rel AND contype IN ('p', 'u');
  SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY indexrelid) INTO indexes
    FROM pg_index WHERE indrelid = rel AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid);
  SELECT array_agg(format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, old, a.attname)) INTO sequences
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = rel;
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
  BEGIN
    SET LOCAL client_min_messages = warning;
    EXECUTE format('ALTER TABLE %s RENAME TO cz_test_parts_old', old);
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL EXCLUDING INDEXES) PARTITION BY %s (%I)', new, rel,
                   CASE WHEN column_type IN ('int4'::regtype, 'int8'::regtype) THEN 'RANGE' ELSE 'HASH' END, column_name);
    EXECUTE format('ALTER TABLE %s RENAME TO %I', new, name);
    IF column_type IN ('int4'::regtype, 'int8'::regtype) THEN
      EXECUTE format('CREATE TABLE %s.%I PARTITION OF %s FOR VALUES FROM (MINVALUE) TO (4)', schema, left(name, 50) || '_p1', old);
      EXECUTE format('CREATE TABLE %s.%I PARTITION OF %s FOR VALUES FROM (4) TO (30) PARTITION BY HASH (%I)', schema, left(name, 50) || '_p2', old, column_name);
      EXECUTE format('CREATE TABLE %s.%I PARTITION OF %s.%I FOR VALUES WITH (MODULUS 2, REMAINDER 0)', schema, left(name, 50) || '_p2a', schema, left(name, 50) || '_p2');
      EXECUTE format('CREATE TABLE %s.%I PARTITION OF %s.%I FOR VALUES WITH (MODULUS 2, REMAINDER 1)', schema, left(name, 50) || '_p2b', schema, left(name, 50) || '_p2');
      EXECUTE format('CREATE TABLE %s.%I PARTITION OF %s DEFAULT', schema, left(name, 50) || '_pd', old);
    ELSE
      FOR i IN 0 .. 2 LOOP
        EXECUTE format('CREATE TABLE %s.%I PARTITION OF %s FOR VALUES WITH (MODULUS 3, REMAINDER %s)', schema, left(name, 50) || '_p' || i, old, i);
      END LOOP;
    END IF;
    EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM %s.cz_test_parts_old', old, columns, columns, schema);
    FOREACH command IN ARRAY coalesce(sequences, '{}') LOOP
      EXECUTE command;
    END LOOP;
    EXECUTE format('DROP TABLE %s.cz_test_parts_old', schema);
    FOREACH command IN ARRAY coalesce(constraints, '{}') || coalesce(indexes, '{}') LOOP
      EXECUTE command;
    END LOOP;
    RETURN true;
  EXCEPTION WHEN OTHERS THEN
    RETURN false;
  END;
END $$;
