/*-------------------------------------------------------------------------
 *
 * scram.c
 *	  SCRAM keys in place of passwords.
 *
 * Who has the two keys that SCRAM derives from a password and a role's salt can log in as
 * that role where its verifier is the same one, but knows no password.  libpq takes them from 18
 * on, whatever the server's version; the keys with which a client has logged in here are
 * known to the session from PostgreSQL 18 on.
 *
 * Source: own work; that a session's keys can be passed on, and that libpq must be told to
 * accept nothing but SCRAM then, follows contrib/postgres_fdw/connection.c, PostgreSQL 18,
 * PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"

#include "cz/compat.h"
#include "metadata_int.h"

/*
 * CzScramKeysAreKnown
 *		See metadata.h.
 */
bool
CzScramKeysAreKnown(void)
{
	static int	known = -1;
	PQconninfoOption *options;
	PQconninfoOption *option;

	if (known >= 0)
		return known == 1;
	options = PQconndefaults();
	if (options == NULL)
		return false;
	known = 0;
	for (option = options; option->keyword; option++)
	{
		if (strcmp(option->keyword, "scram_client_key") == 0)
			known = 1;
	}
	PQconninfoFree(options);
	return known == 1;
}

/*
 * CzScramSessionKeys
 *		See metadata.h.
 */
bool
CzScramSessionKeys(Oid user_oid, char **client_key, char **server_key)
{
	return CzScramKeysAreKnown() && authenticated_user_compat() == user_oid &&
		session_scram_keys_compat(client_key, server_key);
}

/*
 * CzScramKeysOf
 *		See metadata.h.
 */
bool
CzScramKeysOf(const char *verifier, const char *password, char **client_key, char **server_key)
{
	return CzScramKeysAreKnown() &&
		scram_keys_of_compat(verifier, password, client_key, server_key);
}
