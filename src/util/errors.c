/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  The relay of errors that workers report.
 *
 * Two rules.  No password and no connection string reaches a message or the
 * log: messages of libpq and SQL texts pass through CzRedact() first.  And what a
 * worker says of a shard is told with the names that the user has given, in the
 * message and in the fields that drivers read; which they are, the hook knows.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/errors.h"

CzUserNamesHook cz_user_names_hook = NULL;
CzSealHook	cz_seal_hook = NULL;
CzKeyNameHook cz_key_name_hook = NULL;

/* Longest remote SQL that is shown, bytes; more only hides the message. */
#define MAX_SHOWN_SQL_BYTES 2000

/* A worker's text goes to clients: bytes that are no characters become '?'. */
static void
make_valid(char *text)
{
	int			encoding = GetDatabaseEncoding();
	int			left = strlen(text);

	if (pg_verify_mbstr(encoding, text, left, true))
		return;
	while (left > 0)
	{
		int			len = pg_encoding_verifymbchar(encoding, text, left);

		if (len < 0)
		{
			*text = '?';
			len = 1;
		}
		text += len;
		left -= len;
	}
}

/* Of base64, which SCRAM keys are in. */
#define KEY_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

/*
 * CzRedact
 *		A copy of a text without what follows "password" (as an option of a
 *		connection string or a clause of SQL) or names SCRAM keys, without credentials in a URI, and
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
		if (pg_strncasecmp(p, "scram_client_key", 16) == 0 ||
			pg_strncasecmp(p, "scram_server_key", 16) == 0)
		{
			const char *q = p + 16;

			appendBinaryStringInfo(&buf, p, 16);
			while (*q == ' ' || *q == '=' || *q == '\'' || *q == '"')
				q++;
			if (q > p + 16 && strspn(q, KEY_CHARACTERS) > 0)
			{
				appendStringInfoString(&buf, " ***");
				q += strspn(q, KEY_CHARACTERS);
				q += *q == '\'';
			}
			else
				q = p + 16;
			p = q;
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
	make_valid(buf.data);
	return buf.data;
}

static char *
result_field(const PGresult *res, int code)
{
	char	   *value = res ? PQresultErrorField(res, code) : NULL;

	if (value != NULL)
	{
		value = pstrdup(value);
		make_valid(value);
	}
	return value;
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
	char	   *schema;			/* the user's, of the table or type */
	char	   *table;
	char	   *column;
	char	   *datatype;
	char	   *constraint;
} RemoteError;

static bool
is_name_char(char c)
{
	return c == '_' || c == '$' || IS_HIGHBIT_SET(c) || isalnum((unsigned char) c);
}

/*
 * replace_name
 *		A text with each whole word "from" replaced; the text itself if there is none.
 */
static char *
replace_name(char *text, const char *from, const char *to)
{
	StringInfoData buf;
	const char *p = text;
	const char *found;
	size_t		len = strlen(from);

	if (text == NULL || len == 0 || strstr(text, from) == NULL)
		return text;
	initStringInfo(&buf);
	while ((found = strstr(p, from)) != NULL)
	{
		bool		is_word = (found == text || !is_name_char(found[-1])) &&
			!is_name_char(found[len]);

		appendBinaryStringInfo(&buf, p, found - p);
		appendStringInfoString(&buf, is_word ? to : from);
		p = found + len;
	}
	appendStringInfoString(&buf, p);
	return buf.data;
}

/* Replace a shard's name, with and without its schema. */
static char *
replace_table(char *text, const char *remote, const CzUserNames *names)
{
	const char *quoted = quote_qualified_identifier(names->schema, names->table);

	text = replace_name(text, psprintf("\"cz_shards\".\"%s\"", remote),
						psprintf("\"%s\".\"%s\"", names->schema, names->table));
	text = replace_name(text, psprintf("cz_shards.%s", quote_identifier(remote)), quoted);
	return replace_name(text, remote, names->table);
}

/*
 * replace_quoted
 *		Replace shards' names in double quotes that no field of the error names:
 *		the other table of a foreign key, a relation whose row is locked.
 */
static char *
replace_quoted(char *text)
{
	const char *p = text;

	while (p != NULL && (p = strchr(p, '"')) != NULL)
	{
		const char *end = strchr(p + 1, '"');
		char	   *name;
		CzUserNames names;

		if (end == NULL)
			break;
		name = pnstrdup(p + 1, end - p - 1);
		if (strlen(name) < NAMEDATALEN && cz_user_names_hook(name, NULL, &names))
		{
			size_t		offset = p - text;

			text = replace_name(text, psprintf("\"%s\"", name), psprintf("\"%s\"", names.table));
			p = text + offset + strlen(names.table) + 2;
		}
		else
			p = end + 1;
	}
	return text;
}

/*
 * replace_qualified
 *		Replace shards' names that stand without quotes behind the schema's, as in the
 *		list of what depends on an object.
 */
static char *
replace_qualified(char *text)
{
	static const char schema[] = "cz_shards.";
	const char *p = text;

	while (p != NULL && (p = strstr(p, schema)) != NULL)
	{
		const char *begin = p + strlen(schema);
		bool		is_quoted = *begin == '"';
		const char *end = begin + (is_quoted ? 1 : 0);
		char	   *name;
		CzUserNames names;

		while (is_quoted ? *end != '"' && *end != '\0' : is_name_char(*end))
			end++;
		name = pnstrdup(begin + (is_quoted ? 1 : 0), end - begin - (is_quoted ? 1 : 0));
		if (strlen(name) < NAMEDATALEN && cz_user_names_hook(name, NULL, &names))
		{
			const char *quoted = quote_qualified_identifier(names.schema, names.table);
			size_t		offset = p - text;

			text = psprintf("%.*s%s%s", (int) offset, text, quoted,
							end + (is_quoted && *end == '"' ? 1 : 0));
			p = text + offset + strlen(quoted);
		}
		else
			p = begin;
	}
	return text;
}

/*
 * name_type
 *		A type in a message as this session would write it: workers' search_path
 *		is not the user's.
 */
static void
name_type(RemoteError *error)
{
	Oid			namespace_oid;
	Oid			type_oid;

	if (error->datatype == NULL || error->schema == NULL || !IsTransactionState())
		return;
	namespace_oid = get_namespace_oid(error->schema, true);
	if (!OidIsValid(namespace_oid))
		return;
	type_oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
							   CStringGetDatum(error->datatype),
							   ObjectIdGetDatum(namespace_oid));
	if (OidIsValid(type_oid))
		error->message = replace_name(error->message,
									  quote_qualified_identifier(error->schema, error->datatype),
									  format_type_be(type_oid));
}

/*
 * drop_copy_context
 *		A worker's context without what it says about our own COPY into a shard: that is
 *		the last of it, and has several lines where the line shown has.
 */
static char *
drop_copy_context(char *context, const char *remote_table)
{
	const char *p = context;
	char	   *prefix = psprintf("COPY %s", remote_table);

	while (*p)
	{
		if (strncmp(p, prefix, strlen(prefix)) == 0 && !is_name_char(p[strlen(prefix)]))
			return p > context ? pnstrdup(context, p - context - 1) : NULL;
		p += strcspn(p, "\n");
		if (*p == '\n')
			p++;
	}
	return context;
}

/*
 * A role of its own on the worker may not do there what a statement takes: core names the
 * relation at the end, without quotes.
 */
static void
name_denied(RemoteError *error)
{
	char	   *word = strrchr(error->message, ' ');
	CzUserNames names;

	if (word == NULL || !cz_user_names_hook(word + 1, NULL, &names))
		return;
	error->message = psprintf("%.*s %s", (int) (word - error->message), error->message,
							  names.table);
	if (error->hint == NULL)
		error->hint = pstrdup(_("A statement may take privileges on more columns on the node than here. If the user mapping was made by hand, call cz_propagate_privileges()."));
}

/*
 * key_name
 *		The user's name of a foreign key that is violated; NULL: it is not known.
 *
 * Of a referenced row that goes, the message names its table first, and that of the key
 * last.
 */
static char *
key_name(const RemoteError *error)
{
	const char *begin = strchr(error->message, '"');
	const char *end = begin ? strchr(begin + 1, '"') : NULL;
	char	   *other = end ? pnstrdup(begin + 1, end - begin - 1) : NULL;
	char	   *columns = NULL;

	if (other != NULL && strcmp(other, error->table) == 0)
		other = NULL;
	begin = error->detail ? strchr(error->detail, '(') : NULL;
	end = begin ? strstr(begin, ")=(") : NULL;
	if (end != NULL)
		columns = pnstrdup(begin + 1, end - begin - 1);
	return cz_key_name_hook(error->table, error->constraint, other, columns);
}

/*
 * use_user_names
 *		Replace names of shards, their indexes and constraints by the user's.
 *
 * DETAIL's values are the user's data and stay as they are: names stand behind
 * the last parenthesis.  Messages about data (class 22) and those that a user's
 * function raises (P0) have names of ours only in the fields.
 */
static void
use_user_names(RemoteError *error)
{
	bool		is_shard = error->schema && strcmp(error->schema, "cz_shards") == 0;
	int			category = ERRCODE_TO_CATEGORY(error->sqlstate);
	char	   *behind = error->detail ? strrchr(error->detail, ')') : NULL;
	CzUserNames names;

	if (cz_user_names_hook == NULL)
		return;
	if (is_shard && error->table != NULL &&
		cz_user_names_hook(error->table, error->constraint, &names))
	{
		char	   *remote = error->table;

		if ((error->sqlstate == ERRCODE_FOREIGN_KEY_VIOLATION ||
			 error->sqlstate == ERRCODE_RESTRICT_VIOLATION) && error->constraint)
		{
			char	   *key = key_name(error);

			names.constraint = key ? key : names.constraint;
		}
		if (error->context)
			error->context = drop_copy_context(error->context, remote);
		if (error->constraint && names.constraint)
			error->message = replace_name(error->message, error->constraint, names.constraint);
		error->message = replace_table(error->message, remote, &names);
		if (error->context)
			error->context = replace_table(error->context, remote, &names);
		error->schema = pstrdup(names.schema);
		error->table = pstrdup(names.table);
		if (names.constraint)
			error->constraint = pstrdup(names.constraint);
		/* the row as the worker's role sees it, columns too that this user may not read */
		if (!names.may_see_rows && category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
			error->detail = NULL;
	}
	else if (is_shard && category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION && !superuser())
		error->detail = NULL;
	else if (error->sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
		name_denied(error);
	else
		name_type(error);

	if (category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_PLPGSQL_ERROR)
		return;
	error->message = replace_qualified(replace_quoted(error->message));
	if (error->detail && behind)
	{
		size_t		offset = behind - error->detail;
		char	   *tail = replace_quoted(pstrdup(behind));

		error->detail = psprintf("%.*s%s", (int) offset, error->detail, tail);
	}
	/* of objects that are in the way, not of rows: those have values in parentheses */
	else if (error->detail)
		error->detail = replace_qualified(replace_quoted(error->detail));
	if (error->hint)
		error->hint = replace_qualified(replace_quoted(error->hint));
	if (error->context)
		error->context = replace_qualified(replace_quoted(error->context));
}

/*
 * The connection has ended: say so, with the worker's or libpq's words as the detail.
 * libpq adds lines of advice, and of every later call on the dead socket.
 */
static void
collect_loss(RemoteError *error, const PGresult *res, const PGconn *conn,
			 const char *node_name)
{
	const char *raw = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;

	if (raw == NULL && res != NULL)
		raw = PQresultErrorMessage(res);
	if ((raw == NULL || raw[0] == '\0') && conn != NULL)
		raw = PQerrorMessage(conn);
	error->sqlstate = ERRCODE_CONNECTION_FAILURE;
	error->message = psprintf("connection to node \"%s\" was lost",
							  node_name ? node_name : "?");
	if (raw != NULL && raw[0] != '\0')
	{
		char	   *clean = CzRedact(raw, conn ? PQpass(conn) : NULL);

		clean[strcspn(clean, "\n")] = '\0';
		error->detail = clean;
	}
}

/* A row is outside of the keys that a shard is sealed with: nothing that the user has done. */
static void
name_seal(RemoteError *error)
{
	if (error->sqlstate != ERRCODE_CHECK_VIOLATION || error->constraint == NULL ||
		strcmp(error->constraint, CZ_SEAL_CONSTRAINT) != 0 || cz_seal_hook == NULL)
		return;
	error->message = "a row is outside of the keys that its shard is sealed with";
	error->hint = cz_seal_hook(error->table) ?
		"The seal is being removed: the transaction might succeed if retried." :
		"Use cz_unseal_shard(), and retry the transaction.";
	error->sqlstate = ERRCODE_T_R_SERIALIZATION_FAILURE;
	error->constraint = NULL;
}

/*
 * A key with RESTRICT has an SQLSTATE and words of its own from 18 on: where this server is older,
 * what it would say.
 */
static void
name_restrict(RemoteError *error)
{
	static const char new_words[] = " violates RESTRICT setting of foreign key constraint ";
	char	   *found;

	if (RESTRICT_ERRCODE_COMPAT == ERRCODE_RESTRICT_VIOLATION ||
		error->sqlstate != ERRCODE_RESTRICT_VIOLATION || error->message == NULL ||
		(found = strstr(error->message, new_words)) == NULL)
		return;
	error->sqlstate = ERRCODE_FOREIGN_KEY_VIOLATION;
	error->message = psprintf("%.*s violates foreign key constraint %s",
							  (int) (found - error->message), error->message,
							  found + strlen(new_words));
	/* behind the values, which are the user's */
	found = error->detail ? strrchr(error->detail, ')') : NULL;
	if (found == NULL)
		found = error->detail;
	found = found ? strstr(found, " is referenced from table ") : NULL;
	if (found != NULL)
		error->detail = psprintf("%.*s is still%s", (int) (found - error->detail),
								 error->detail, found + strlen(" is"));
}

static void
collect(RemoteError *error, PGresult *res, PGconn *conn, const char *node_name,
		const char *sql)
{
	const char *secret = conn ? PQpass(conn) : NULL;
	const char *sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	error->sqlstate = ERRCODE_CONNECTION_FAILURE;
	if (sqlstate != NULL && strlen(sqlstate) == 5)
		error->sqlstate = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
										sqlstate[3], sqlstate[4]);
	/* an error with the code of a success or a warning is none of PostgreSQL's */
	if (sqlstate != NULL && sqlstate[0] == '0' && sqlstate[1] >= '0' && sqlstate[1] <= '2')
		error->sqlstate = ERRCODE_PROTOCOL_VIOLATION;
	error->message = result_field(res, PG_DIAG_MESSAGE_PRIMARY);
	error->detail = result_field(res, PG_DIAG_MESSAGE_DETAIL);
	error->hint = result_field(res, PG_DIAG_MESSAGE_HINT);
	error->context = result_field(res, PG_DIAG_CONTEXT);
	error->schema = result_field(res, PG_DIAG_SCHEMA_NAME);
	error->table = result_field(res, PG_DIAG_TABLE_NAME);
	error->column = result_field(res, PG_DIAG_COLUMN_NAME);
	error->datatype = result_field(res, PG_DIAG_DATATYPE_NAME);
	error->constraint = result_field(res, PG_DIAG_CONSTRAINT_NAME);
	name_seal(error);
	name_restrict(error);

	/* no answer, or the end of the worker's session (57P0x) and not of this one */
	if (error->message == NULL || strncmp(sqlstate ? sqlstate : "", "57P0", 4) == 0)
		collect_loss(error, res, conn, node_name);
	if (sql != NULL)
	{
		error->sql = CzRedact(sql, secret);
		if (strlen(error->sql) > MAX_SHOWN_SQL_BYTES)
		{
			error->sql[pg_mbcliplen(error->sql, strlen(error->sql),
									MAX_SHOWN_SQL_BYTES)] = '\0';
			error->sql = psprintf("%s ...", error->sql);
		}
	}
	use_user_names(error);
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

	/* its literals are the user's data: nothing for CONTEXT, which applications log */
	if (error.sql && message_level_is_interesting(DEBUG1))
		ereport(DEBUG1,
				(errmsg_internal("node \"%s\" reported an error", node_name ? node_name : "?"),
				 errdetail_internal("Remote SQL command: %s", error.sql)));

	ereport(elevel,
			(errcode(error.sqlstate),
			 errmsg_internal("%s", error.message),
			 error.detail ? errdetail_internal("%s", error.detail) : 0,
			 error.hint ? errhint("%s", error.hint) : 0,
			 error.context ? errcontext("%s", error.context) : 0,
			 node_name ? errcontext("on node \"%s\"", node_name) : 0,
			 error.schema ? err_generic_string(PG_DIAG_SCHEMA_NAME, error.schema) : 0,
			 error.table ? err_generic_string(PG_DIAG_TABLE_NAME, error.table) : 0,
			 error.column ? err_generic_string(PG_DIAG_COLUMN_NAME, error.column) : 0,
			 error.datatype ? err_generic_string(PG_DIAG_DATATYPE_NAME, error.datatype) : 0,
			 error.constraint ? err_generic_string(PG_DIAG_CONSTRAINT_NAME, error.constraint) : 0));
}
