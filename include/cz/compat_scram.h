/*-------------------------------------------------------------------------
 *
 * compat_scram.h
 *	  Keys with which a client has logged in.
 *
 * A part of compat.h, which alone includes it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_COMPAT_SCRAM_H
#define CZ_COMPAT_SCRAM_H

/*
 * 18: a session keeps the keys with which its client has logged in (commit 761c79508e7f);
 * authenticated_user_compat: who that was.  scram_keys_of_compat: the keys of a password.
 */
#if CZ_PG_GE(18)
#include "common/base64.h"
#include "common/scram-common.h"
/* GSSAPI's headers are not needed to build an extension, and Port looks the same without */
#undef ENABLE_GSS
#include "libpq/libpq-be.h"
#include "libpq/scram.h"
#include "miscadmin.h"
#define CZ_HAS_SESSION_KEYS_COMPAT true
#define authenticated_user_compat() GetAuthenticatedUserId()
static inline char *
encode_key_compat(const uint8 *key)
{
	int			size = pg_b64_enc_len(SCRAM_SHA_256_KEY_LEN) + 1;
	char	   *result = palloc0(size);

	if (pg_b64_encode(key, SCRAM_SHA_256_KEY_LEN, result, size) < 0)
		elog(ERROR, "could not encode a SCRAM key");
	return result;
}

static inline bool
session_scram_keys_compat(char **client_key, char **server_key)
{
	if (MyProcPort == NULL || !MyProcPort->has_scram_keys)
		return false;
	*client_key = encode_key_compat(MyProcPort->scram_ClientKey);
	*server_key = encode_key_compat(MyProcPort->scram_ServerKey);
	return true;
}

static inline bool
scram_keys_of_compat(const char *verifier, const char *password, char **client_key,
					 char **server_key)
{
	int			iterations;
	pg_cryptohash_type hash;
	int			length;
	char	   *salt;
	uint8		salt_bytes[256];
	int			nsalt;
	uint8		stored[SCRAM_MAX_KEY_LEN];
	uint8		server[SCRAM_MAX_KEY_LEN];
	uint8		salted[SCRAM_MAX_KEY_LEN];
	uint8		client[SCRAM_MAX_KEY_LEN];
	const char *error = NULL;

	if (!parse_scram_secret(verifier, &iterations, &hash, &length, &salt, stored, server))
		return false;
	nsalt = pg_b64_decode(salt, strlen(salt), salt_bytes, sizeof(salt_bytes));
	if (nsalt < 0 ||
		scram_SaltedPassword(password, hash, length, salt_bytes, nsalt, iterations, salted,
							 &error) < 0 ||
		scram_ClientKey(salted, hash, length, client, &error) < 0)
		return false;
	*client_key = encode_key_compat(client);
	*server_key = encode_key_compat(server);
	return true;
}
#else
#define CZ_HAS_SESSION_KEYS_COMPAT false
#define authenticated_user_compat() InvalidOid
#define session_scram_keys_compat(client_key, server_key) \
	((void) (client_key), (void) (server_key), false)
#define scram_keys_of_compat(verifier, password, client_key, server_key) \
	((void) (verifier), (void) (password), (void) (client_key), (void) (server_key), false)
#endif

#endif							/* CZ_COMPAT_SCRAM_H */
