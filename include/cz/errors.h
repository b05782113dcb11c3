/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  The relay of errors that workers report.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_ERRORS_H
#define CZ_ERRORS_H

struct pg_conn;
struct pg_result;

/* What the user calls a shard; palloc'd. */
typedef struct CzUserNames
{
	char	   *schema;
	char	   *table;
	char	   *constraint;		/* or NULL: none was asked for, or it is not known */
	bool		may_see_rows;	/* the current user may read every row and column */
} CzUserNames;

/*
 * CzUserNamesHook
 *		What the user calls "remote_table" of schema cz_shards and a constraint or
 *		index of it; without one (NULL) "remote_table" may be an index itself.  False, and names is undefined, if it is no shard or
 *		copy that is known, or there is no transaction in which to look.
 */
typedef bool (*CzUserNamesHook) (const char *remote_table, const char *remote_constraint,
								 CzUserNames *names);

/*
 * CzKeyNameHook
 *		What the user calls a foreign key that a row of a worker violates: workers choose
 *		names themselves for what is below a key from or to a partitioned table.
 *
 * remote_other: the table that refers or is referred to, if the error is about its rows;
 * else NULL.  columns: of the key there, as DETAIL has them; NULL: not known.
 * Returns: palloc'd; NULL: it is not known.
 */
typedef char *(*CzKeyNameHook) (const char *remote_table, const char *remote_constraint,
								const char *remote_other, const char *columns);

/* Constraints of shards that are ours: which keys belong to it, which it has. */
#define CZ_SHARD_CONSTRAINT "cz_shard"
#define CZ_SEAL_CONSTRAINT "cz_seal"

/*
 * CzSealHook
 *		A worker's table refuses a row by its constraint cz_seal.  Returns: whether that is
 *		going to be removed.
 */
typedef bool (*CzSealHook) (const char *remote_table);
extern CzSealHook cz_seal_hook;

/* Set by the module that knows the tables. */
extern CzUserNamesHook cz_user_names_hook;
extern CzKeyNameHook cz_key_name_hook;

/*
 * CzReportRemoteError
 *		Raise at elevel what a worker answered: its SQLSTATE, message, detail,
 *		hint, context and names of schema, table, column, type and constraint, in
 *		the user's names, plus a context line that names the node.
 *		The detail is left out where it holds a row that the user may not read.
 *
 * res: may be NULL (the connection broke: 08006, with libpq's message freed of
 *		connection strings).  Consumed if clear is true, also when this throws.
 * sql: the remote command, or NULL; shown as the detail of a message at DEBUG1.
 */
extern void CzReportRemoteError(int elevel, struct pg_result *res,
								struct pg_conn *conn, const char *node_name,
								const char *sql, bool clear);

/* A palloc'd copy of a text without passwords; secret (may be NULL) is removed
 * wherever it stands. */
extern char *CzRedact(const char *text, const char *secret);

#endif							/* CZ_ERRORS_H */
