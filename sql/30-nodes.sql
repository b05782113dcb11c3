-- Workers by function, under Citus' names.

CREATE TYPE pg_catalog.noderole AS ENUM ('primary', 'secondary', 'unavailable');
COMMENT ON TYPE pg_catalog.noderole IS 'role of a worker; primary is the only one supported';
