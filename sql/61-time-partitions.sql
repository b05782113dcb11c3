-- Partitions by time, under Citus' names, of distributed partitioned tables and of ordinary
-- ones: tables that are partitioned by the range of one column.

CREATE FUNCTION cz.bound_value(bound text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
SELECT CASE WHEN bound IN ('MINVALUE', 'MAXVALUE') THEN NULL
            WHEN bound LIKE '''%''' THEN replace(substr(bound, 2, length(bound) - 2), '''''', '''')
            ELSE bound END
$$;
COMMENT ON FUNCTION cz.bound_value(text) IS 'value of a bound as pg_get_expr() prints it; NULL: there is none';

CREATE FUNCTION pg_catalog.time_partition_range(table_name regclass,
        OUT lower_bound text, OUT upper_bound text)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    parts text[];
BEGIN
    SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \((.*)\) TO \((.*)\)$')
      INTO parts
      FROM pg_class c
           JOIN pg_inherits i ON i.inhrelid = c.oid
           JOIN pg_partitioned_table p ON p.partrelid = i.inhparent
     WHERE c.oid = table_name AND c.relispartition AND p.partstrat = 'r' AND p.partnatts = 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('"%s" is not a partition of a table that is partitioned by the range of one column', table_name);
    END IF;
    lower_bound := cz.bound_value(parts[1]);
    upper_bound := cz.bound_value(parts[2]);
END
$$;
COMMENT ON FUNCTION pg_catalog.time_partition_range(regclass)
    IS 'bounds of a partition by range; NULL where it is open, and of the default partition';

CREATE VIEW cz.time_partitions AS
SELECT p.partrelid::regclass AS parent_table,
       a.attname AS partition_column,
       c.oid::regclass AS partition,
       r.lower_bound AS from_value,
       r.upper_bound AS to_value,
       coalesce(m.amname, 'heap'::name) AS access_method
  FROM pg_partitioned_table p
       JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
       JOIN pg_inherits i ON i.inhparent = p.partrelid
       JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
       LEFT JOIN pg_am m ON m.oid = c.relam
       CROSS JOIN LATERAL pg_catalog.time_partition_range(c.oid) r
 WHERE p.partstrat = 'r' AND p.partnatts = 1
   -- shards by range are no partitions of the user's
   AND NOT EXISTS (SELECT FROM cz.tables t WHERE t.relid = p.partrelid AND t.map_relid IS NULL);
COMMENT ON VIEW cz.time_partitions IS 'partitions of tables that are partitioned by the range of one column';
GRANT SELECT ON cz.time_partitions TO PUBLIC;
ALTER VIEW cz.time_partitions SET SCHEMA pg_catalog;

CREATE FUNCTION cz.time_column_type(table_name regclass) RETURNS regtype
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    type regtype;
BEGIN
    SELECT a.atttypid INTO type
      FROM pg_partitioned_table p
           JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
     WHERE p.partrelid = table_name AND p.partstrat = 'r' AND p.partnatts = 1;
    IF NOT FOUND OR EXISTS (SELECT FROM cz.tables t WHERE t.relid = table_name AND t.map_relid IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('"%s" is not partitioned by the range of one column', table_name);
    END IF;
    IF type NOT IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) THEN
        RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
            MESSAGE = format('"%s" is partitioned by a column of type %s', table_name, type),
            DETAIL = 'Partitions are made for columns of type date, timestamp and timestamp with time zone.';
    END IF;
    RETURN type;
END
$$;
COMMENT ON FUNCTION cz.time_column_type(regclass)
    IS 'type of the column that a table is partitioned by, if it is a time; else an error';

-- What a value is on the clock of this session's time zone, by which ranges begin and end.
CREATE FUNCTION cz.local_time(value text, type regtype) RETURNS timestamp
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
SELECT CASE WHEN type = 'timestamptz'::regtype THEN value::timestamptz::timestamp
            ELSE value::timestamp END
$$;
COMMENT ON FUNCTION cz.local_time(text, regtype) IS 'a time of that type by the clock of the session''s time zone';

-- The least time from which on ranges of an interval are counted that has a range with this
-- time in it: whole years, quarters, months, weeks, days, else multiples since midnight.
CREATE FUNCTION cz.first_range_start(partition_interval interval, value timestamp) RETURNS timestamp
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
SELECT CASE WHEN partition_interval >= '1 year' THEN date_trunc('year', value)
            WHEN partition_interval = '3 months' THEN date_trunc('quarter', value)
            WHEN partition_interval >= '1 month' THEN date_trunc('month', value)
            WHEN partition_interval = '7 days' THEN date_trunc('week', value)
            WHEN partition_interval >= '1 day' THEN date_trunc('day', value)
            ELSE date_bin(partition_interval, value, date_trunc('day', value)) END
$$;
COMMENT ON FUNCTION cz.first_range_start(interval, timestamp) IS 'where the range of a first partition begins that holds a time';

CREATE FUNCTION pg_catalog.get_missing_time_partition_ranges(table_name regclass,
        partition_interval interval, to_value timestamptz, from_value timestamptz DEFAULT now())
    RETURNS TABLE (partition_name text, range_from_value text, range_to_value text)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    type CONSTANT regtype := cz.time_column_type(table_name);
    base text;
    form text;
    names regclass[];
    lowers timestamp[];
    uppers timestamp[];
    start timestamp;
    lower timestamp;
    upper timestamp;
    n int := 0;
    other regclass;
BEGIN
    IF partition_interval <= '0' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'partition_interval must be more than zero';
    END IF;
    IF type = 'date'::regtype AND date_trunc('day', partition_interval) <> partition_interval THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('"%s" is partitioned by a date: partition_interval must be whole days', table_name);
    END IF;
    SELECT relname INTO base FROM pg_class WHERE oid = table_name;
    form := CASE WHEN partition_interval = '3 months' THEN 'YYYY"q"Q'
                 WHEN partition_interval = '7 days' THEN 'IYYY"w"IW'
                 ELSE 'YYYY' || CASE WHEN partition_interval < '1 year' THEN '_MM' ELSE '' END
                             || CASE WHEN partition_interval < '1 month' THEN '_DD' ELSE '' END
                             || CASE WHEN partition_interval < '1 day' THEN '_HH24MI' ELSE '' END
                             || CASE WHEN partition_interval < '1 minute' THEN 'SS' ELSE '' END END;
    SELECT array_agg(p.partition), array_agg(cz.local_time(p.from_value, type)),
           array_agg(cz.local_time(p.to_value, type))
      INTO names, lowers, uppers
      FROM time_partitions p
     WHERE p.parent_table = table_name AND (p.from_value IS NOT NULL OR p.to_value IS NOT NULL);

    -- ranges go on where those begin that are there
    SELECT min(p.l) INTO start FROM unnest(lowers, uppers) p(l, u) WHERE p.l IS NOT NULL AND p.u IS NOT NULL;
    IF start IS NULL THEN
        start := cz.first_range_start(partition_interval, from_value::timestamp);
    END IF;
    WHILE start + (n + 1) * partition_interval <= from_value::timestamp LOOP
        n := n + 1;
    END LOOP;
    WHILE start + n * partition_interval > from_value::timestamp LOOP
        n := n - 1;
    END LOOP;
    LOOP
        lower := start + n * partition_interval;
        upper := start + (n + 1) * partition_interval;
        n := n + 1;
        EXIT WHEN lower >= to_value::timestamp;
        CONTINUE WHEN EXISTS (SELECT FROM unnest(lowers, uppers) p(l, u) WHERE p.l = lower AND p.u = upper);
        -- an hour that the clock leaves out
        CONTINUE WHEN type = 'timestamptz'::regtype AND lower::timestamptz >= upper::timestamptz;
        SELECT p.n INTO other FROM unnest(names, lowers, uppers) p(n, l, u)
         WHERE coalesce(p.l, '-infinity') < upper AND coalesce(p.u, 'infinity') > lower LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('range from %s to %s overlaps that of partition "%s"', lower, upper, other),
                HINT = 'Use the interval of the partitions that are there.';
        END IF;
        partition_name := base || '_p' || to_char(lower, form);
        IF octet_length(partition_name) > 63 THEN
            RAISE EXCEPTION USING ERRCODE = 'name_too_long',
                MESSAGE = format('name of partition "%s" is too long', partition_name);
        END IF;
        range_from_value := CASE type WHEN 'date'::regtype THEN lower::date::text
            WHEN 'timestamp'::regtype THEN lower::text ELSE lower::timestamptz::text END;
        range_to_value := CASE type WHEN 'date'::regtype THEN upper::date::text
            WHEN 'timestamp'::regtype THEN upper::text ELSE upper::timestamptz::text END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pg_catalog.get_missing_time_partition_ranges(regclass, interval, timestamptz, timestamptz)
    IS 'names and ranges of the partitions that a table lacks between two times';

CREATE FUNCTION pg_catalog.create_time_partitions(table_name regclass,
        partition_interval interval, end_at timestamptz, start_from timestamptz DEFAULT now())
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    parent record;
    missing record;
    made boolean := false;
BEGIN
    SELECT n.nspname, c.relname INTO parent
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = table_name;
    FOR missing IN
        SELECT * FROM get_missing_time_partition_ranges(table_name, partition_interval, end_at, start_from)
    LOOP
        EXECUTE format('CREATE TABLE %I.%I PARTITION OF %I.%I FOR VALUES FROM (%L) TO (%L)',
                       parent.nspname, missing.partition_name, parent.nspname, parent.relname,
                       missing.range_from_value, missing.range_to_value);
        made := true;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION pg_catalog.create_time_partitions(regclass, interval, timestamptz, timestamptz)
    IS 'makes the partitions that a table lacks between two times; true if there were any';

CREATE PROCEDURE pg_catalog.drop_old_time_partitions(table_name regclass, older_than timestamptz)
    LANGUAGE plpgsql
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    type CONSTANT regtype := cz.time_column_type(table_name);
    old record;
BEGIN
    FOR old IN
        SELECT n.nspname, c.relname, p.from_value, p.to_value
          FROM time_partitions p
               JOIN pg_class c ON c.oid = p.partition
               JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE p.parent_table = table_name
           AND cz.local_time(p.to_value, type) <= older_than::timestamp
         ORDER BY cz.local_time(p.to_value, type)
    LOOP
        RAISE NOTICE 'dropping partition % with the range from % to %', format('%I.%I', old.nspname, old.relname),
            coalesce(old.from_value, 'MINVALUE'), old.to_value;
        EXECUTE format('DROP TABLE %I.%I', old.nspname, old.relname);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE pg_catalog.drop_old_time_partitions(regclass, timestamptz)
    IS 'drops the partitions whose ranges end at a time or before';

CREATE PROCEDURE pg_catalog.alter_old_partitions_set_access_method(parent_table_name regclass,
        older_than timestamptz, new_access_method name)
    LANGUAGE plpgsql
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    type CONSTANT regtype := cz.time_column_type(parent_table_name);
    old record;
BEGIN
    FOR old IN
        SELECT n.nspname, c.relname
          FROM time_partitions p
               JOIN pg_class c ON c.oid = p.partition
               JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE p.parent_table = parent_table_name
           AND p.access_method <> new_access_method
           AND cz.local_time(p.to_value, type) <= older_than::timestamp
         ORDER BY cz.local_time(p.to_value, type)
    LOOP
        EXECUTE format('ALTER TABLE %I.%I SET ACCESS METHOD %I', old.nspname, old.relname, new_access_method);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE pg_catalog.alter_old_partitions_set_access_method(regclass, timestamptz, name)
    IS 'gives the partitions whose ranges end at a time or before another access method; those of distributed tables have heap';
