COMMENT ON FUNCTION cz_check_shards(regclass)
    IS 'what placements of shards have otherwise than their table: columns, CHECKs, indexes, storage parameters; and what bounds shards have otherwise than their group';
