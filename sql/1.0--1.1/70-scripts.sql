CREATE OR REPLACE FUNCTION pg_catalog.run_command_on_shards(table_name regclass, command text,
        parallel boolean DEFAULT true,
        OUT shardid bigint, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        WITH p AS MATERIALIZED (
            SELECT DISTINCT ON (shard_id) shard_id, server_oid
              FROM cz.placement_list((SELECT cz.distributed_table(run_command_on_shards.table_name)))
             WHERE shard_state = 1 ORDER BY shard_id, "position"),
        s AS MATERIALIZED (
            SELECT l.shard_id, p.server_oid,
                   format(run_command_on_shards.command, l.shard_name) AS text,
                   row_number() OVER (ORDER BY l.shard_index) AS ordinal
              FROM cz.shard_list((SELECT cz.distributed_table(run_command_on_shards.table_name))) l
                   LEFT JOIN p USING (shard_id))
        SELECT s.shard_id, r.success, r.result
          FROM s JOIN cz.run_on_workers((SELECT array_agg(s2.server_oid ORDER BY s2.ordinal) FROM s s2),
                                        (SELECT array_agg(s2.text ORDER BY s2.ordinal) FROM s s2),
                                        run_command_on_shards.parallel) r ON r.ordinal = s.ordinal
         ORDER BY s.ordinal;
    END;

CREATE OR REPLACE FUNCTION pg_catalog.run_command_on_placements(table_name regclass, command text,
        parallel boolean DEFAULT true,
        OUT nodename text, OUT nodeport int, OUT shardid bigint, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        WITH s AS MATERIALIZED (
            SELECT p.shard_id, p.server_oid, w.nodename, w.nodeport,
                   format(run_command_on_placements.command, p.shard_name) AS text,
                   row_number() OVER (ORDER BY p.shard_index, p."position") AS ordinal
              FROM cz.placement_list((SELECT cz.distributed_table(run_command_on_placements.table_name))) p
                   JOIN cz.worker_list() w USING (server_oid)
             WHERE p.shard_state = 1)
        SELECT s.nodename, s.nodeport, s.shard_id, r.success, r.result
          FROM s JOIN cz.run_on_workers((SELECT array_agg(s2.server_oid ORDER BY s2.ordinal) FROM s s2),
                                        (SELECT array_agg(s2.text ORDER BY s2.ordinal) FROM s s2),
                                        run_command_on_placements.parallel) r ON r.ordinal = s.ordinal
         ORDER BY s.ordinal;
    END;

CREATE OR REPLACE FUNCTION pg_catalog.run_command_on_colocated_placements(table_name1 regclass,
        table_name2 regclass, command text, parallel boolean DEFAULT true,
        OUT nodename text, OUT nodeport int, OUT shardid1 bigint, OUT shardid2 bigint,
        OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        WITH s AS MATERIALIZED (
            SELECT p1.shard_id AS id1, p2.shard_id AS id2, p1.server_oid, w.nodename, w.nodeport,
                   format(run_command_on_colocated_placements.command, p1.shard_name, p2.shard_name) AS text,
                   row_number() OVER (ORDER BY p1.shard_index, p1."position") AS ordinal
              FROM cz.placement_list((SELECT cz.distributed_table(run_command_on_colocated_placements.table_name1))) p1
                   JOIN cz.worker_list() w USING (server_oid)
                   JOIN cz.placement_list((SELECT cz.colocated_table(run_command_on_colocated_placements.table_name1,
                                                                     run_command_on_colocated_placements.table_name2))) p2
                        ON p2.shard_index = p1.shard_index AND p2.server_oid = p1.server_oid
             WHERE p1.shard_state = 1 AND p2.shard_state = 1)
        SELECT s.nodename, s.nodeport, s.id1, s.id2, r.success, r.result
          FROM s JOIN cz.run_on_workers((SELECT array_agg(s2.server_oid ORDER BY s2.ordinal) FROM s s2),
                                        (SELECT array_agg(s2.text ORDER BY s2.ordinal) FROM s s2),
                                        run_command_on_colocated_placements.parallel) r ON r.ordinal = s.ordinal
         ORDER BY s.ordinal;
    END;
