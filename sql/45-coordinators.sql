-- More coordinators: databases of other servers that are attached to the owner of the
-- cluster, and read and write rows of the same shards.

-- At the owner
CREATE TABLE cz.coordinators (
    coordinator_id uuid PRIMARY KEY,
    name           text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
    number         int NOT NULL UNIQUE CHECK (number BETWEEN 1 AND 16383),
    token          uuid NOT NULL UNIQUE,
    place          text NOT NULL,
    attached_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cz.coordinators IS 'coordinators that are attached to this one, which owns the cluster';
COMMENT ON COLUMN cz.coordinators.coordinator_id IS 'names of its prepared transactions on workers contain it';
COMMENT ON COLUMN cz.coordinators.name IS 'given by cz_attach_coordinator()';
COMMENT ON COLUMN cz.coordinators.number IS 'which part of a sequence''s values it has';
COMMENT ON COLUMN cz.coordinators.token IS 'by which it is known here';
COMMENT ON COLUMN cz.coordinators.place IS 'server and database, as it sees itself';
COMMENT ON COLUMN cz.coordinators.attached_at IS 'when that was done';
REVOKE ALL ON TABLE cz.coordinators FROM PUBLIC;
SELECT pg_extension_config_dump('cz.coordinators', '');

-- At an attached coordinator; state of this database of this server: not dumped
CREATE TABLE cz.attached (
    coordinator_id    uuid NOT NULL,
    token             uuid NOT NULL,
    name              text NOT NULL,
    server_name       name NOT NULL,
    owner_mark        text NOT NULL,
    map_version       text NOT NULL,
    synced_at         timestamptz NOT NULL,
    system_identifier bigint NOT NULL,
    database_oid      oid NOT NULL,
    timeline          int NOT NULL,
    control_file      bigint NOT NULL
);
COMMENT ON TABLE cz.attached IS 'to which coordinator this database is attached: one row, or none';
COMMENT ON COLUMN cz.attached.coordinator_id IS 'names of its prepared transactions on workers contain it';
COMMENT ON COLUMN cz.attached.token IS 'by which the owner of the cluster knows it';
COMMENT ON COLUMN cz.attached.name IS 'its name there';
COMMENT ON COLUMN cz.attached.server_name IS 'foreign server that is the owner';
COMMENT ON COLUMN cz.attached.owner_mark IS 'what tells the owner from others of the same epoch';
COMMENT ON COLUMN cz.attached.map_version IS 'of the map of shards that is here';
COMMENT ON COLUMN cz.attached.synced_at IS 'when it was compared with the owner''s last';
COMMENT ON COLUMN cz.attached.system_identifier IS 'of the server, as in pg_control_system()';
COMMENT ON COLUMN cz.attached.database_oid IS 'of this database';
COMMENT ON COLUMN cz.attached.timeline IS 'of the server';
COMMENT ON COLUMN cz.attached.control_file IS 'file number of global/pg_control';
REVOKE ALL ON TABLE cz.attached FROM PUBLIC;
CREATE TRIGGER cluster_changed AFTER INSERT OR UPDATE OR DELETE ON cz.attached
    FOR EACH STATEMENT EXECUTE FUNCTION cz.cluster_changed();
COMMENT ON TRIGGER cluster_changed ON cz.attached IS 'makes backends look at the identity again';

CREATE TABLE cz.attached_tables (
    relid       oid PRIMARY KEY,
    fingerprint text NOT NULL
);
COMMENT ON TABLE cz.attached_tables IS 'of an attached coordinator: what tables are at the owner';
COMMENT ON COLUMN cz.attached_tables.relid IS 'the table here';
COMMENT ON COLUMN cz.attached_tables.fingerprint IS 'cz.table_fingerprint() at the owner';
GRANT SELECT ON cz.attached_tables TO PUBLIC;

CREATE FUNCTION cz.table_fingerprint(relid oid) RETURNS text
    LANGUAGE sql STABLE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
SELECT md5(concat_ws(E'\n',
    (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull,
                                 a.attgenerated, a.attidentity, (SELECT quote_ident(collname) FROM pg_collation c WHERE c.oid = a.attcollation)),
                       ', ' ORDER BY a.attnum)
     FROM pg_attribute a WHERE a.attrelid = relid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT string_agg(pg_get_indexdef(i.indexrelid), ', ' ORDER BY pg_get_indexdef(i.indexrelid))
     FROM pg_index i WHERE i.indrelid = relid AND i.indisunique),
    (SELECT string_agg(quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid), ', ' ORDER BY c.conname, pg_get_constraintdef(c.oid))
     FROM pg_constraint c WHERE c.conrelid = relid AND c.contype IN ('c', 'f', 'p', 'u', 'x')),
    (SELECT string_agg(quote_ident(k.relname) || ' ' || pg_get_expr(k.relpartbound, k.oid), ', ' ORDER BY k.relname)
     FROM pg_inherits h JOIN pg_class k ON k.oid = h.inhrelid WHERE h.inhparent = relid),
    (SELECT string_agg(pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text, ', ' ORDER BY t.tgname)
     FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE t.tgrelid = relid AND NOT t.tgisinternal AND p.pronamespace <> 'cz'::regnamespace),
    (SELECT concat_ws(' ', c.relkind, c.relrowsecurity, c.relforcerowsecurity, pg_get_partkeydef(c.oid)) FROM pg_class c WHERE c.oid = relid),
    (SELECT string_agg(concat_ws(' ', quote_ident(p.polname), p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
                                 (SELECT string_agg(pg_get_userbyid(r), ' ' ORDER BY pg_get_userbyid(r)) FROM unnest(p.polroles) r)), ', ' ORDER BY p.polname)
     FROM pg_policy p WHERE p.polrelid = relid),
    (SELECT string_agg(pg_get_ruledef(r.oid), ', ' ORDER BY r.rulename) FROM pg_rewrite r WHERE r.ev_class = relid),
    (SELECT concat_ws(' ', t.kind, t.colocation_id, t.shard_id) FROM cz.tables t WHERE t.relid = table_fingerprint.relid)))
$$;
COMMENT ON FUNCTION cz.table_fingerprint(oid) IS 'what of a table has to be the same on all coordinators of a cluster, as a hash';

CREATE FUNCTION cz.coordinator_map(token uuid) RETURNS text
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_coordinator_map';
COMMENT ON FUNCTION cz.coordinator_map(uuid) IS 'the version of the map of shards, for an attached coordinator';
CREATE FUNCTION cz.coordinator_shards(token uuid, OUT what text, OUT name text, OUT shard_id bigint, OUT value text, OUT active text) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_coordinator_shards';
COMMENT ON FUNCTION cz.coordinator_shards(uuid) IS 'the map of shards, for an attached coordinator';
CREATE FUNCTION cz.coordinator_enter(token uuid, table_names text[], shard_ids bigint[], mode int, may_wait boolean) RETURNS text
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_coordinator_enter';
COMMENT ON FUNCTION cz.coordinator_enter(uuid, text[], bigint[], int, boolean)
    IS 'takes locks of shards for a transaction of an attached coordinator; returns the version of the map';
CREATE FUNCTION cz.coordinator_lose(token uuid, table_name text, shard_id bigint, server_name text, reason text) RETURNS boolean
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_coordinator_lose';
COMMENT ON FUNCTION cz.coordinator_lose(uuid, text, bigint, text, text)
    IS 'makes a placement inactive that an attached coordinator could not write';
-- returns the number
CREATE FUNCTION cz.register_coordinator(cluster uuid, id uuid, new_token uuid, coordinator_name text, place text) RETURNS text
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_register_coordinator';
COMMENT ON FUNCTION cz.register_coordinator(uuid, uuid, uuid, text, text) IS 'attaches a coordinator to this one, which owns the cluster';
REVOKE ALL ON FUNCTION cz.register_coordinator(uuid, uuid, uuid, text, text) FROM PUBLIC;
CREATE FUNCTION cz.unregister_coordinator(old_token uuid) RETURNS boolean
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_unregister_coordinator';
COMMENT ON FUNCTION cz.unregister_coordinator(uuid) IS 'what cz_detach_coordinator() of an attached coordinator does at the owner';

CREATE FUNCTION cz_attach_coordinator(conninfo text, coordinator_name text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_attach_coordinator';
COMMENT ON FUNCTION cz_attach_coordinator(text, text)
    IS 'makes this copy of a coordinator (a clone, or a restored dump) another coordinator beside it, for reads and writes of rows; returns its name';
REVOKE ALL ON FUNCTION cz_attach_coordinator(text, text) FROM PUBLIC;

CREATE FUNCTION cz_detach_coordinator(coordinator_name text DEFAULT NULL, force boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_detach_coordinator';
COMMENT ON FUNCTION cz_detach_coordinator(text, boolean)
    IS 'ends what cz_attach_coordinator() has begun: at the owner for a coordinator of that name, there for itself';
REVOKE ALL ON FUNCTION cz_detach_coordinator(text, boolean) FROM PUBLIC;

CREATE VIEW cz.cz_coordinators AS
    SELECT 'owner'::text AS role, NULL::text AS name, NULL::int AS number, NULL::timestamptz AS since, true AS is_here
    WHERE NOT EXISTS (SELECT FROM cz.attached)
    UNION ALL
    SELECT 'attached', c.name, c.number, c.attached_at, false FROM cz.coordinators c
    UNION ALL
    SELECT 'attached', a.name, NULL, a.synced_at, true FROM cz.attached a;
ALTER VIEW cz.cz_coordinators SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.cz_coordinators IS 'coordinators of the cluster, as this one knows them; since: attached, or (here) compared with the owner';
GRANT SELECT ON pg_catalog.cz_coordinators TO PUBLIC;
