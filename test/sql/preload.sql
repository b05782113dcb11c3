-- The library answers without being asked for more than it has: the settings
-- are there, the extension can be created because the library was preloaded.
SHOW cz.shard_count;
SET cz.shard_count = 3;
SET cz.no_such_setting = 1;
SELECT count(*) FROM pg_available_extensions WHERE name = 'cz_fdw';
