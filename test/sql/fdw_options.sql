-- Options of servers, user mappings, foreign tables and columns: which are
-- accepted, which values they take, who may set them.  Nothing connects.
CREATE SCHEMA fdw_options;
SET search_path TO fdw_options;
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS cz_fdw;
RESET client_min_messages;

-- everything that a server takes
CREATE SERVER opt_all FOREIGN DATA WRAPPER cz_fdw OPTIONS (
	host 'h1,h2', port '5432,5433', dbname 'd', application_name 'a', connect_timeout '3',
	keepalives '1', sslmode 'prefer', target_session_attrs 'any', passfile '/x', options '-c a=b',
	node_id '99001', state 'disabled', weight '0.5', zone 'a', pool_size '5',
	should_have_shards 'false', extensions 'plpgsql',
	use_remote_estimate 'false', fdw_startup_cost '10', fdw_tuple_cost '0.5', fetch_size '50',
	batch_size '10', async_capable 'on', updatable 'true', truncatable 'off',
	keep_connections 'true', parallel_commit 'true', parallel_abort 'true',
	analyze_sampling 'auto', sslcert 'c', sslkey 'k');
CREATE USER MAPPING FOR PUBLIC SERVER opt_all OPTIONS (
	user 'u', password 'p', password_required 'false', sslcert 'c', sslkey 'k', sslpassword 's');
CREATE FOREIGN TABLE opt_table (a int OPTIONS (column_name 'b')) SERVER opt_all OPTIONS (
	schema_name 's', table_name 't', updatable 'true', truncatable 'true', fetch_size '10',
	batch_size '10', async_capable 'true', use_remote_estimate 'true',
	analyze_sampling 'bernoulli');
ALTER SERVER opt_all OPTIONS (SET weight '2', DROP zone);
DROP SERVER opt_all CASCADE;

-- names
\set VERBOSITY default
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (hots 'h');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (db_name 'd');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (user 'u');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (password 'p');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (sslpassword 'p');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (table_name 't');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS ("Host" 'h');
ALTER FOREIGN DATA WRAPPER cz_fdw OPTIONS (ADD host 'h');
ALTER FOREIGN DATA WRAPPER cz_fdw OPTIONS (ADD something_else 'h');
-- (their lists depend on libpq's version)
\set VERBOSITY terse
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (client_encoding 'UTF8');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (fallback_application_name 'x');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (replication 'true');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 'h');
\set VERBOSITY sqlstate
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (hots 'h');
\set VERBOSITY default

-- values
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (port '0');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (port '65536');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (port '5432x');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (port '5432;5433');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (connect_timeout 'soon');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (sslmode 'maybe');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (target_session_attrs 'x');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (node_id '-1');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (state 'down');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (weight '0');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (weight 'NaN');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (zone '');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (pool_size '0');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (should_have_shards '2');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (extensions 'a b');
CREATE SERVER opt_warn FOREIGN DATA WRAPPER cz_fdw OPTIONS (extensions 'no_such_extension');
DROP SERVER opt_warn;
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (fdw_tuple_cost '-1');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (fetch_size '1.5');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (batch_size '99999999999');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (updatable 'perhaps');
CREATE SERVER opt_bad FOREIGN DATA WRAPPER cz_fdw OPTIONS (analyze_sampling 'some');
CREATE SERVER opt FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1');
CREATE FOREIGN TABLE opt_bad (a int) SERVER opt OPTIONS (tabel_name 'x');
CREATE FOREIGN TABLE opt_bad (a int) SERVER opt OPTIONS (shard_id '0');
CREATE FOREIGN TABLE opt_bad (a int) SERVER opt OPTIONS (shard_id '1e3');
CREATE FOREIGN TABLE opt_bad (a int) SERVER opt OPTIONS (placements ',');
CREATE FOREIGN TABLE opt_bad (a int OPTIONS (columnname 'b')) SERVER opt;
CREATE FOREIGN TABLE opt_bad (a int OPTIONS (column_name '')) SERVER opt;
\set VERBOSITY sqlstate
ALTER SERVER opt OPTIONS (ADD port 'x');
\set VERBOSITY default

-- who: only a superuser may do without a password or name key files
CREATE ROLE fdw_options_user;
GRANT USAGE ON FOREIGN SERVER opt TO fdw_options_user;
GRANT USAGE ON SCHEMA fdw_options TO fdw_options_user;
SET ROLE fdw_options_user;
CREATE USER MAPPING FOR fdw_options_user SERVER opt OPTIONS (user 'u', password_required 'false');
CREATE USER MAPPING FOR fdw_options_user SERVER opt OPTIONS (user 'u', sslkey '/etc/key');
CREATE USER MAPPING FOR fdw_options_user SERVER opt OPTIONS (user 'u', sslcert '/etc/cert');
CREATE USER MAPPING FOR fdw_options_user SERVER opt OPTIONS (user 'u', password 'p', password_required 'true');
ALTER USER MAPPING FOR fdw_options_user SERVER opt OPTIONS (SET password_required 'off');
SELECT cz.fdw_validator('{}', 0);
RESET ROLE;
ALTER USER MAPPING FOR fdw_options_user SERVER opt OPTIONS (SET password_required 'false');
SET ROLE fdw_options_user;
ALTER USER MAPPING FOR fdw_options_user SERVER opt OPTIONS (SET user 'v');
ALTER USER MAPPING FOR fdw_options_user SERVER opt OPTIONS (DROP password_required);
RESET ROLE;

DROP SERVER opt CASCADE;
DROP SCHEMA fdw_options CASCADE;
DROP ROLE fdw_options_user;
