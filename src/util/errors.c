/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  Deferred errors, and the relay of errors that workers report.
 *
 * The one rule: no password and no connection string reaches a message or the
 * log.  Messages of libpq and SQL texts pass through redact() first.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "cz/errors.h"

/* Longest SQL shown in a context line, bytes; more only hides the message. */
#define MAX_CONTEXT_SQL_BYTES 2000

/*
 * CzDeferError
 *		See errors.h.
 */
CzDeferredError *
CzDeferError(int sqlstate, const char *message, const char *detail, const char *hint)
{
	CzDeferredError *error = palloc0(sizeof(CzDeferredError));

	Assert(message != NULL);
	error->sqlstate = sqlstate;
	error->message = message;
	error->detail = detail;
	error->hint = hint;
	return error;
}

/*
 * CzRaiseDeferred
 *		See errors.h.
 */
void
CzRaiseDeferred(const CzDeferredError *error)
{
	ereport(ERROR,
			(errcode(error->sqlstate),
			 errmsg_internal("%s", error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
	pg_unreachable();
}

/*
 * CzRedact
 *		A copy of a text without what follows "password" (as an option of a
 *		connection string or a clause of SQL), without credentials in a URI, and
 *		without the given secret wherever it stands.
 *
 * secret: may be NULL; one of fewer than four bytes is not searched for, it would
 *		only mangle the text.
 */
char *
CzRedact(const char *text, const char *secret)
{
	StringInfoData buf;
	const char *p = text;
	size_t		secret_len = secret ? strlen(secret) : 0;

	initStringInfo(&buf);
	while (*p)
	{
		if (secret_len >= 4 && strncmp(p, secret, secret_len) == 0)
		{
			appendStringInfoString(&buf, "***");
			p += secret_len;
			continue;
		}
		if (pg_strncasecmp(p, "password", 8) == 0)
		{
			const char *q = p + 8;
			char		quote;

			while (*q == ' ' || *q == '=')
				q++;
			quote = *q;
			if (q > p + 8 && quote == '\'')
			{
				q++;
				while (*q && (*q != quote || q[1] == quote))
					q += (*q == quote) ? 2 : (*q == '\\' && q[1]) ? 2 : 1;
				if (*q)
					q++;
				appendStringInfoString(&buf, "password ***");
				p = q;
				continue;
			}
			if (memchr(p + 8, '=', q - (p + 8)) != NULL)
			{
				while (*q && !isspace((unsigned char) *q) && *q != '"' && *q != '&')
					q++;
				appendStringInfoString(&buf, "password=***");
				p = q;
				continue;
			}
			appendBinaryStringInfo(&buf, p, 8);
			p += 8;
			continue;
		}
		if (strncmp(p, "://", 3) == 0)
		{
			size_t		span = strcspn(p + 3, "/ \t\n\"");
			const char *at = memchr(p + 3, '@', span);

			appendStringInfoString(&buf, "://");
			p += 3;
			if (at != NULL)
			{
				appendStringInfoString(&buf, "***");
				p = at;
			}
			continue;
		}
		appendStringInfoChar(&buf, *p++);
	}
	return buf.data;
}

static char *
result_field(const PGresult *res, int code)
{
	char	   *value = res ? PQresultErrorField(res, code) : NULL;

	return value ? pstrdup(value) : NULL;
}

/*
 * may_show_detail
 *		May the current user see what a violated constraint of a shard complains of?
 *
 * The detail holds a row or a key as the worker's role sees it, columns too that
 * the user here may not read; core hides those likewise.
 */
static bool
may_show_detail(const PGresult *res)
{
	const char *sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	const char *schema = res ? PQresultErrorField(res, PG_DIAG_SCHEMA_NAME) : NULL;
	const char *table = res ? PQresultErrorField(res, PG_DIAG_TABLE_NAME) : NULL;
	Oid			relid;

	if (sqlstate == NULL || strncmp(sqlstate, "23", 2) != 0 || schema == NULL ||
		table == NULL || strcmp(schema, "cz_shards") != 0)
		return true;
	if (!IsTransactionState())
		return false;
	if (superuser())
		return true;
	relid = get_namespace_oid("cz_shards", true);
	if (OidIsValid(relid))
		relid = get_relname_relid(table, relid);
	if (!OidIsValid(relid) || !get_rel_relispartition(relid))
		return false;
	relid = get_partition_parent(relid, true);
	return OidIsValid(relid) &&
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED;
}

/* The parts of a remote error, palloc'd. */
typedef struct RemoteError
{
	int			sqlstate;
	char	   *message;
	char	   *detail;			/* this and the others may be NULL */
	char	   *hint;
	char	   *context;
	char	   *sql;			/* shortened and redacted */
} RemoteError;

static void
collect(RemoteError *error, PGresult *res, PGconn *conn, const char *node_name,
		const char *sql)
{
	const char *secret = conn ? PQpass(conn) : NULL;
	const char *sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	const char *raw = NULL;

	error->sqlstate = ERRCODE_CONNECTION_FAILURE;
	if (sqlstate != NULL && strlen(sqlstate) == 5)
		error->sqlstate = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
										sqlstate[3], sqlstate[4]);
	error->message = result_field(res, PG_DIAG_MESSAGE_PRIMARY);
	if (may_show_detail(res))
		error->detail = result_field(res, PG_DIAG_MESSAGE_DETAIL);
	error->hint = result_field(res, PG_DIAG_MESSAGE_HINT);
	error->context = result_field(res, PG_DIAG_CONTEXT);

	if (error->message == NULL)
	{
		if (res != NULL)
			raw = PQresultErrorMessage(res);
		if ((raw == NULL || raw[0] == '\0') && conn != NULL)
			raw = PQerrorMessage(conn);
		if (raw != NULL && raw[0] != '\0')
			error->message = CzRedact(pchomp(raw), secret);
		else
			error->message = psprintf("connection to node \"%s\" was lost",
									  node_name ? node_name : "?");
	}
	if (sql != NULL)
	{
		error->sql = CzRedact(sql, secret);
		if (strlen(error->sql) > MAX_CONTEXT_SQL_BYTES)
		{
			error->sql[pg_mbcliplen(error->sql, strlen(error->sql),
									MAX_CONTEXT_SQL_BYTES)] = '\0';
			error->sql = psprintf("%s ...", error->sql);
		}
	}
}

/*
 * CzReportRemoteError
 *		See errors.h.
 */
void
CzReportRemoteError(int elevel, struct pg_result *res, struct pg_conn *conn,
					const char *node_name, const char *sql, bool clear)
{
	RemoteError error;

	memset(&error, 0, sizeof(error));
	PG_TRY();
	{
		collect(&error, res, conn, node_name, sql);
	}
	PG_CATCH();
	{
		if (clear)
			PQclear(res);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (clear)
		PQclear(res);

	ereport(elevel,
			(errcode(error.sqlstate),
			 errmsg_internal("%s", error.message),
			 error.detail ? errdetail_internal("%s", error.detail) : 0,
			 error.hint ? errhint("%s", error.hint) : 0,
			 error.context ? errcontext("%s", error.context) : 0,
			 error.sql ? errcontext("remote SQL command: %s", error.sql) : 0,
			 node_name ? errcontext("on node \"%s\"", node_name) : 0));
}
