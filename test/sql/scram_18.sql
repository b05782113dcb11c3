-- Options of SCRAM keys, and of OAuth, which nobody could use.  Nothing connects; test 085 does.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS cz_fdw;
RESET client_min_messages;
CREATE SERVER scram FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', use_scram_passthrough 'true');
CREATE USER MAPPING FOR PUBLIC SERVER scram OPTIONS (user 'u', use_scram_passthrough 'false',
	scram_client_key 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
	scram_server_key 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=');
ALTER USER MAPPING FOR PUBLIC SERVER scram OPTIONS (DROP scram_server_key);
ALTER USER MAPPING FOR PUBLIC SERVER scram OPTIONS (DROP scram_server_key, DROP scram_client_key);
-- keys are secrets: of mappings, and not shown when they are wrong
ALTER SERVER scram OPTIONS (ADD scram_client_key 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=');
ALTER USER MAPPING FOR PUBLIC SERVER scram OPTIONS (ADD scram_client_key 'not a key', ADD scram_server_key 'x');
ALTER SERVER scram OPTIONS (SET use_scram_passthrough 'perhaps');
-- nobody can log in at an identity provider
ALTER SERVER scram OPTIONS (ADD oauth_issuer 'https://example.com');
ALTER SERVER scram OPTIONS (ADD oauth_client_id 'c');
ALTER USER MAPPING FOR PUBLIC SERVER scram OPTIONS (ADD oauth_client_secret 's');
ALTER SERVER scram OPTIONS (ADD oauth_scope 's');
DROP SERVER scram CASCADE;
