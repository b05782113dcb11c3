/*-------------------------------------------------------------------------
 *
 * endpoint.h
 *	  Where a connection goes and as whom: the value that metadata makes of
 *	  a server and a user mapping and that remote connects with.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_ENDPOINT_H
#define CZ_ENDPOINT_H

typedef struct CzEndpoint
{
	Oid			server_oid;		/* pg_foreign_server; key of caches */
	Oid			user_oid;		/* local role for whom the connection is */
	Oid			umid;			/* pg_user_mapping, InvalidOid: none exists */
	char	   *node_name;		/* server name, for messages */
	char	   *host;			/* for messages and views; may be NULL */
	int			port;			/* TCP port; 5432 if not set */
	int			pool_size;		/* connections that all sessions may have; 0: by settings */
	uint32		options_hash;	/* changes when server or mapping options do */
	int			noptions;		/* libpq keywords, NULL-terminated arrays */
	const char **keywords;
	const char **values;		/* may hold secrets: never print */
	char	   *identity;		/* what the worker must have in the comment of its schema of
								 * shards, or it is another one; NULL: not known */
	bool		must_be_writable;	/* a worker in use: a standby is not connected to */
	bool		must_use_password;	/* a non-superuser's mapping: 2F003 if the
									 * worker asked for none */
	bool		has_keys;		/* SCRAM keys, the mapping's or the session's, stand for it */
} CzEndpoint;

#endif							/* CZ_ENDPOINT_H */
