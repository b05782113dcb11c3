COMMENT ON FUNCTION cz.node_health() IS 'what is known of each worker, and how many bytes its database takes';
