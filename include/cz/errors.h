/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  Deferred errors, and the relay of errors that workers report.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_ERRORS_H
#define CZ_ERRORS_H

struct pg_conn;
struct pg_result;

/* Why something cannot be done; a value until somebody raises it. */
typedef struct CzDeferredError
{
	int			sqlstate;		/* MAKE_SQLSTATE form */
	const char *message;		/* errmsg, translated, never NULL */
	const char *detail;			/* or NULL */
	const char *hint;			/* or NULL */
} CzDeferredError;

/* Returns a palloc'd value in CurrentMemoryContext; the strings are borrowed. */
extern CzDeferredError *CzDeferError(int sqlstate, const char *message,
									 const char *detail, const char *hint);
extern void CzRaiseDeferred(const CzDeferredError *error) pg_attribute_noreturn();

/*
 * CzReportRemoteError
 *		Raise at elevel what a worker answered: its SQLSTATE, message, detail,
 *		hint and context, plus a context line that names the node and the SQL.
 *		The detail is left out where it holds a row that the user may not read.
 *
 * res: may be NULL (the connection broke: 08006, with libpq's message freed of
 *		connection strings).  Consumed if clear is true, also when this throws.
 * sql: the remote command, or NULL.
 */
extern void CzReportRemoteError(int elevel, struct pg_result *res,
								struct pg_conn *conn, const char *node_name,
								const char *sql, bool clear);

/* A palloc'd copy of a text without passwords; secret (may be NULL) is removed
 * wherever it stands. */
extern char *CzRedact(const char *text, const char *secret);

#endif							/* CZ_ERRORS_H */
