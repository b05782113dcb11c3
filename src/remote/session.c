/*-------------------------------------------------------------------------
 *
 * session.c
 *	  Settings of a worker's session: some pinned, so that texts mean the same
 *	  on both sides, some in step with this session, because results of pushed
 *	  expressions depend on them.
 *
 * A generation is a hash of the values that workers should have; a connection
 * remembers the one that it was brought to.  All settings travel in one
 * pipeline, one round trip.  A setting that a worker may not know (names of
 * locales and of text search configurations) is allowed to fail: by itself, or
 * within a transaction, which a failure would abort, in a block that catches it.
 * An abort on the worker undoes what was set in its transaction; the connection
 * forgets its generation then.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "commands/dbcommands.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tsearch/ts_cache.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/pg_locale.h"
#include "utils/wait_event.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "remote_int.h"

/* An empty pipeline gives no result for ever. */
#define MAX_NULLS 10

/* In step with this session; every worker accepts any of the values. */
static const char *const followed[] = {
	"TimeZone", "bytea_output"
};

/* In step where the worker knows the value. */
static const char *const followed_if_known[] = {
	"default_text_search_config", "lc_numeric", "lc_time", "timezone_abbreviations"
};

/* In step once a statement has been sent that reads them: CzSessionFollowTrigrams. */
static const char *const followed_trigrams[] = {
	"pg_trgm.similarity_threshold", "pg_trgm.word_similarity_threshold",
	"pg_trgm.strict_word_similarity_threshold"
};

static bool follows_trigrams = false;

/* Pinned: the first for unambiguous texts, as util/pins.c does here, the others, from
 * statement_timeout on, because their limits and modes are this session's business. */
static const char *const pinned[][2] = {
	{"search_path", "pg_catalog"},
	{"IntervalStyle", "postgres"},
	{"extra_float_digits", "3"},
	{"array_nulls", "on"},
	{"xmloption", "content"},
	{"lc_monetary", "C"},
	{"standard_conforming_strings", "on"},
	{"backslash_quote", "safe_encoding"},
	{"transform_null_equals", "off"},
	{"quote_all_identifiers", "off"},
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"tcp_keepalives_idle", "60"},
	{"tcp_keepalives_interval", "10"},
	{"tcp_keepalives_count", "6"},
	{"tcp_user_timeout", "120000"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"row_security", "on"}
};

/* Pinned where the worker has it: since 17. */
static const char *const pinned_if_known[][2] = {
	{"transaction_timeout", "0"}
};

/* Pinned where the worker's operating system can do it. */
static const char *const pinned_if_possible[][2] = {
	{"client_connection_check_interval", "10000"}
};

/* How many connections a worker has for users that are no superusers. */
#define CONNECTIONS_SQL \
	"pg_catalog.current_setting('max_connections')::pg_catalog.int4 OPERATOR(pg_catalog.-) " \
	"pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4"

/* Who it is: CzNodeCheck has written it there. */
#define IDENTITY_SQL \
	"coalesce(pg_catalog.obj_description(pg_catalog.to_regnamespace('cz_shards')::pg_catalog.oid, 'pg_namespace'), '')"

/* What a new connection is asked beside that, by the last columns of its first answer. */
#define FIRST_QUESTIONS \
	"pg_catalog.current_setting('max_prepared_transactions'), " CONNECTIONS_SQL ", " \
	"pg_catalog.pg_is_in_recovery(), " IDENTITY_SQL ", pg_catalog.pg_backend_pid()"

enum
{
	FIRST_MAX_PREPARED,
	FIRST_MAX_CONNECTIONS,
	FIRST_IN_RECOVERY,
	FIRST_MARK,
	FIRST_PID,
	FIRST_COLUMNS
};

static const char *
date_style(void)
{
	return DateOrder == DATEORDER_DMY ? "ISO, DMY" :
		DateOrder == DATEORDER_YMD ? "ISO, YMD" : "ISO, MDY";
}

/*
 * CzSessionFollowTrigrams
 *		See remote.h.
 */
void
CzSessionFollowTrigrams(void)
{
	follows_trigrams = true;
}

/* Settings that a worker may refuse: their number, and each with its value, NULL where
 * this session does not have it (a library that is not loaded). */
static int
uncertain_settings(void)
{
	return lengthof(followed_if_known) + (follows_trigrams ? lengthof(followed_trigrams) : 0);
}

static const char *
uncertain_setting(int i, const char **value)
{
	const char *name = i < lengthof(followed_if_known) ? followed_if_known[i] :
		followed_trigrams[i - lengthof(followed_if_known)];

	*value = GetConfigOption(name, i >= lengthof(followed_if_known), false);
	return name;
}

/* The hash of the values that a worker's session should have; never 0. */
static uint64
hash_settings(void)
{
	uint64		hash = 0;
	const char *value;
	int			i;

	value = date_style();
	hash = hash_bytes_extended((const unsigned char *) value, strlen(value), 1);
	for (i = 0; i < lengthof(followed); i++)
	{
		value = GetConfigOption(followed[i], false, false);
		hash = hash_bytes_extended((const unsigned char *) value, strlen(value), hash);
	}
	for (i = 0; i < uncertain_settings(); i++)
	{
		(void) uncertain_setting(i, &value);
		if (value != NULL)
			hash = hash_bytes_extended((const unsigned char *) value, strlen(value), hash);
	}
	return hash == 0 ? 1 : hash;
}

/* The variables behind followed_if_known. */
static const char *
followed_string(int i)
{
	static char **abbreviations = NULL;

	switch (i)
	{
		case 0:
			return TSCurrentConfig;
		case 1:
			return locale_numeric;
		case 2:
			return locale_time;
		default:
			if (abbreviations == NULL)
			{
				struct config_generic *record = find_setting_compat(followed_if_known[i]);

				if (record == NULL || record->vartype != PGC_STRING)
					elog(ERROR, "setting \"%s\" is not known", followed_if_known[i]);
				abbreviations = ((struct config_string *) record)->variable;
			}
			return *abbreviations;
	}
}

/*
 * session_generation
 *		hash_settings() now.  It is asked for several times a statement and changes
 *		hardly ever, so what it was made of is compared first.
 */
static uint64
session_generation(void)
{
	static uint64 generation = 0;	/* 0: none; the rest is what it was made of */
	static int	last_date_order;
	static int	last_bytea_output;
	static const pg_tz *last_timezone;	/* one for each name, for ever */
	static char *last_strings[lengthof(followed_if_known)];
	int			i;

	if (follows_trigrams)
		return hash_settings();
	if (generation != 0 && last_date_order == DateOrder && last_bytea_output == bytea_output &&
		last_timezone == session_timezone)
	{
		for (i = 0; i < lengthof(last_strings); i++)
		{
			const char *value = followed_string(i);

			if (strcmp(last_strings[i], value ? value : "") != 0)
				break;
		}
		if (i == lengthof(last_strings))
			return generation;
	}

	generation = 0;
	for (i = 0; i < lengthof(last_strings); i++)
	{
		const char *value = followed_string(i);
		char	   *copy = MemoryContextStrdup(TopMemoryContext, value ? value : "");

		if (last_strings[i] != NULL)
			pfree(last_strings[i]);
		last_strings[i] = copy;
	}
	last_date_order = DateOrder;
	last_bytea_output = bytea_output;
	last_timezone = session_timezone;
	generation = hash_settings();
	return generation;
}

static void
append_setting(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, "%spg_catalog.set_config(%s, %s, false)",
					 sql->len == 0 ? "SELECT " : ", ",
					 quote_literal_cstr(name), quote_literal_cstr(value));
}

/* A setting that an older worker does not know. */
static void
append_setting_if_known(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, ", CASE WHEN pg_catalog.current_setting(%s, true) IS NOT NULL "
					 "THEN pg_catalog.set_config(%s, %s, false) END",
					 quote_literal_cstr(name), quote_literal_cstr(name),
					 quote_literal_cstr(value));
}

static bool
send_in_pipeline(ConnEntry *entry, const char *sql)
{
	PGconn	   *pg = entry->pub.pg;

	CzConnLogCommand(&entry->pub, sql);
	if (!PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0) ||
		!CzConnPutSync(&entry->pub))
		return false;
	entry->pending_syncs++;
	return true;
}

/* The settings that may fail, as one statement that does not. */
static bool
send_caught(ConnEntry *entry)
{
	StringInfoData body;
	StringInfoData sql;
	const char *name;
	const char *value;
	bool		ok;
	int			i;

	initStringInfo(&body);
	appendStringInfoString(&body, "BEGIN\n");
	for (i = 0; i < uncertain_settings(); i++)
	{
		name = uncertain_setting(i, &value);
		if (value != NULL)
			appendStringInfo(&body,
							 "BEGIN PERFORM pg_catalog.set_config(%s, %s, false); "
							 "EXCEPTION WHEN OTHERS THEN END;\n",
							 quote_literal_cstr(name), quote_literal_cstr(value));
	}
	appendStringInfoString(&body, "END");
	initStringInfo(&sql);
	appendStringInfo(&sql, "DO LANGUAGE plpgsql %s", quote_literal_cstr(body.data));
	ok = send_in_pipeline(entry, sql.data);
	pfree(body.data);
	pfree(sql.data);
	return ok;
}

/*
 * On a new connection a setting whose value the worker has anyway, and so knows, is set
 * with the first command; the answer is NULL for those that must be tried one by one.
 */
static void
append_uncertain(StringInfo sql)
{
	int			i;

	for (i = 0; i < uncertain_settings(); i++)
	{
		const char *value;
		const char *name = uncertain_setting(i, &value);

		if (value == NULL)
			appendStringInfoString(sql, ", ''");
		else
			appendStringInfo(sql, ", CASE WHEN pg_catalog.current_setting(%s, true) "
							 "OPERATOR(pg_catalog.=) %s "
							 "THEN pg_catalog.set_config(%s, %s, false) END",
							 quote_literal_cstr(name), quote_literal_cstr(value),
							 quote_literal_cstr(name), quote_literal_cstr(value));
	}
}

/* The connection is not to be used. */
static void
refuse(ConnEntry *entry, const char *reason)
{
	entry->settings_failed = true;
	if (entry->connect_error == NULL)
		entry->connect_error = MemoryContextStrdup(cz_conn_context, reason);
}

/*
 * check_writable
 *		A worker that has become a standby (another one was promoted in its place) neither
 *		takes writes nor shows the newest ones: to everybody it is down.
 */
static void
check_writable(ConnEntry *entry, const char *in_recovery)
{
	if (!entry->must_be_writable || strcmp(in_recovery, "t") != 0)
		return;
	refuse(entry, CZ_HEALTH_STANDBY);
	CzHealthMarkStandby(entry->pub.server_oid);
}

/* Take the answer: what was asked beside the settings is in its last columns. */
static void
take_first_answer(ConnEntry *entry, const PGresult *res)
{
	int			own = PQnfields(res) - FIRST_COLUMNS;
	int			first = own - entry->uncertain_asked;
	const char *mark = PQgetvalue(res, 0, own + FIRST_MARK);
	int			i;

	/* another worker, or none that has our shards, has the address now? */
	if (entry->identity != NULL && strstr(mark, entry->identity) == NULL)
		refuse(entry, "The database at its address is not the one that was added as this node.");
	check_writable(entry, PQgetvalue(res, 0, own + FIRST_IN_RECOVERY));
	CzSessionTakeMark(entry, mark);
	entry->server_pid = atoi(PQgetvalue(res, 0, own + FIRST_PID));
	CzPoolSetWorkerLimit(entry->pub.server_oid,
						 atoi(PQgetvalue(res, 0, own + FIRST_MAX_CONNECTIONS)));
	entry->pub.cannot_prepare = first >= 0 &&
		atoi(PQgetvalue(res, 0, own + FIRST_MAX_PREPARED)) == 0;
	for (i = 0; i < entry->uncertain_asked; i++)
	{
		if (first < 0 || PQgetisnull(res, 0, first + i))
			entry->uncertain_left |= UINT64CONST(1) << i;
	}
}

/* Try settings that the worker may not know, each by itself; which: a set of bits. */
static bool
send_uncertain(ConnEntry *entry, uint64 which)
{
	StringInfoData sql;
	bool		ok = true;
	int			i;

	initStringInfo(&sql);
	for (i = 0; ok && i < uncertain_settings(); i++)
	{
		const char *value;
		const char *name = uncertain_setting(i, &value);

		if (value == NULL || (which & (UINT64CONST(1) << i)) == 0)
			continue;
		resetStringInfo(&sql);
		append_setting(&sql, name, value);
		ok = send_in_pipeline(entry, sql.data);
	}
	pfree(sql.data);
	return ok;
}

/*
 * CzSessionSend
 *		Send all settings in one pipeline; CzSessionPoll takes the answers.
 *		False if the connection is lost.
 *
 * in_transaction: a failure would abort the transaction.
 */
bool
CzSessionSend(ConnEntry *entry, bool in_transaction)
{
	PGconn	   *pg = entry->pub.pg;
	StringInfoData sql;
	bool		ok;
	int			i;

	entry->wanted_settings = session_generation();
	entry->wanted_lock_timeout_ms = -1;
	entry->pending_syncs = 0;
	entry->settings_failed = false;
	if (PQpipelineStatus(pg) == PQ_PIPELINE_OFF && !PQenterPipelineMode(pg))
		return false;

	initStringInfo(&sql);
	/* in a command of its own: the next one's snapshot is taken after it */
	entry->is_lock_sent = entry->server_pid == 0 && CzSessionEpochLock(&sql);
	if (entry->is_lock_sent && !send_in_pipeline(entry, sql.data))
		return false;
	resetStringInfo(&sql);
	if (entry->pub.settings_generation == 0)
	{
		for (i = 0; i < lengthof(pinned); i++)
			append_setting(&sql, pinned[i][0], pinned[i][1]);
		for (i = 0; i < lengthof(pinned_if_known); i++)
			append_setting_if_known(&sql, pinned_if_known[i][0], pinned_if_known[i][1]);
	}
	append_setting(&sql, "DateStyle", date_style());
	if (!in_transaction || entry->pub.state != CZ_CONN_TXN)
	{
		entry->wanted_lock_timeout_ms = LockTimeout;
		append_setting(&sql, "lock_timeout", GetConfigOption("lock_timeout", false, false));
	}
	for (i = 0; i < lengthof(followed); i++)
		append_setting(&sql, followed[i], GetConfigOption(followed[i], false, false));
	entry->uncertain_asked = entry->server_pid == 0 && !in_transaction ?
		uncertain_settings() : 0;
	entry->uncertain_left = 0;
	if (entry->server_pid == 0)
	{
		if (entry->uncertain_asked > 0)
			append_uncertain(&sql);
		appendStringInfoString(&sql, ", " FIRST_QUESTIONS);
	}
	ok = send_in_pipeline(entry, sql.data);

	for (i = 0; ok && !in_transaction && entry->pub.settings_generation == 0 &&
		 i < lengthof(pinned_if_possible); i++)
	{
		resetStringInfo(&sql);
		append_setting(&sql, pinned_if_possible[i][0], pinned_if_possible[i][1]);
		ok = send_in_pipeline(entry, sql.data);
	}
	if (ok && in_transaction)
		ok = send_caught(entry);
	if (ok && !in_transaction && entry->uncertain_asked == 0)
		ok = send_uncertain(entry, ~UINT64CONST(0));
	pfree(sql.data);
	entry->sent_syncs = entry->pending_syncs;
	return ok && PQflush(pg) >= 0;
}

/*
 * CzSessionPoll
 *		Take what answers to CzSessionSend are there.  0: done; -1: the connection
 *		is lost or a setting was refused that must be set; else events to wait for.
 */
int
CzSessionPoll(ConnEntry *entry)
{
	PGconn	   *pg = entry->pub.pg;
	int			flush;
	int			nulls = 0;

	flush = PQflush(pg);
	if (flush < 0 || !CzConnReceive(&entry->pub))
		return -1;

	for (;;)
	{
		PGresult   *res;
		ExecStatusType status;
		bool		is_copy;

		/* row by row, so that a worker that sends rows for ever fills no memory */
		(void) PQsetSingleRowMode(pg);
		if (entry->pending_syncs == 0 || PQisBusy(pg))
			break;
		res = PQgetResult(pg);
		if (res == NULL)
		{
			if (PQstatus(pg) != CONNECTION_OK || ++nulls > MAX_NULLS)
				return -1;
			continue;			/* between two commands of the pipeline */
		}
		nulls = 0;
		status = PQresultStatus(res);
		if (status != PGRES_SINGLE_TUPLE)
			entry->session_rows = 0;
		else if (entry->session_rows++ > 0)
		{
			/* no command of ours has two */
			PQclear(res);
			return -1;
		}
		if (status == PGRES_PIPELINE_SYNC)
			entry->pending_syncs--;
		else if (status == PGRES_SINGLE_TUPLE && entry->server_pid == 0 &&
				 PQnfields(res) >= FIRST_COLUMNS)
			take_first_answer(entry, res);
		else if (status == PGRES_FATAL_ERROR)
		{
			ereport(DEBUG1,
					(errmsg_internal("node \"%s\" refused a setting: %s",
									 entry->pub.node_name,
									 PQresultErrorMessage(res))));

			/* the first command carries what must be set, and the lock must be had */
			if (entry->sent_syncs > 0 &&
				entry->pending_syncs >= entry->sent_syncs - (entry->is_lock_sent ? 1 : 0))
			{
				refuse(entry, CzRedact(PQresultErrorMessage(res), NULL));
			}
		}
		is_copy = CzResultIsCopy(res);
		PQclear(res);
		if (PQstatus(pg) != CONNECTION_OK || is_copy)
			return -1;
	}
	if (entry->pending_syncs == 0 && entry->uncertain_left != 0 && !entry->settings_failed)
	{
		uint64		left = entry->uncertain_left;

		entry->uncertain_left = 0;
		entry->sent_syncs = 0;	/* each of these may fail */
		if (!send_uncertain(entry, left))
			return -1;
		flush = PQflush(pg);
		if (flush < 0)
			return -1;
	}
	if (entry->pending_syncs > 0)
		return WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);

	if (!PQexitPipelineMode(pg) || entry->settings_failed)
		return -1;
	entry->pub.settings_generation = entry->wanted_settings;
	if (entry->wanted_lock_timeout_ms >= 0)
	{
		entry->lock_timeout_ms = entry->wanted_lock_timeout_ms;
		entry->txn_lock_timeout_ms = entry->wanted_lock_timeout_ms;
	}
	if (PQtransactionStatus(pg) != PQTRANS_IDLE)
		entry->settings_in_txn = true;
	return 0;
}

/*
 * CzSessionIdentity
 *		See remote.h.
 */
void
CzSessionIdentity(int pid, char *name)
{
	static char database[NAMEDATALEN];
	const char *cluster = GetConfigOption("cluster_name", true, false);

	if (database[0] == '\0')
	{
		char	   *found = get_database_name(MyDatabaseId);

		strlcpy(database, found ? found : "-", sizeof(database));
	}
	if (cluster == NULL || cluster[0] == '\0')
		cluster = database;
	snprintf(name, CZ_SESSION_IDENTITY_LEN, "cz_fdw %s %d", cluster, pid);
}

/*
 * CzSessionName
 *		This session's name on the workers.  A semicolon separates commands that travel
 *		together, so it is none.  Borrowed until the next call.
 */
const char *
CzSessionName(void)
{
	static char name[NAMEDATALEN];
	char		identity[CZ_SESSION_IDENTITY_LEN];
	char		whole[NAMEDATALEN * 4];
	const char *user_name = application_name ? application_name : "";
	char	   *p;
	int			len;

	CzSessionIdentity(MyProcPid, identity);
	len = snprintf(whole, sizeof(whole), "%s %s", identity, user_name);
	len = pg_mbcliplen(whole, Min(len, (int) sizeof(whole) - 1), NAMEDATALEN - 1);
	memcpy(name, whole, len);
	name[len] = '\0';
	for (p = name; *p; p++)
	{
		if (*p == ';' || *p == '\\')
			*p = '?';
	}
	return name;
}

/* The hash of that; each statement asks, so it is kept as long as the user's part stays. */
uint32
CzSessionNameHash(void)
{
	static uint32 last_hash = 0;	/* 0: none */
	static int	last_pid;
	static char last_user_name[NAMEDATALEN];
	const char *user_name = application_name ? application_name : "";
	const char *name;

	if (last_hash != 0 && last_pid == MyProcPid && strcmp(last_user_name, user_name) == 0)
		return last_hash;
	name = CzSessionName();
	strlcpy(last_user_name, user_name, sizeof(last_user_name));
	last_pid = MyProcPid;
	last_hash = hash_bytes((const unsigned char *) name, strlen(name)) | 1;
	return last_hash;
}

/*
 * CzConnNameCommand
 *		See remote.h.
 */
const char *
CzConnNameCommand(CzConn *conn)
{
	static char command[NAMEDATALEN * 2 + 64];
	ConnEntry  *entry = ENTRY(conn);
	uint32		hash;
	char	   *quoted;

	if (entry->has_own_name)
		return NULL;
	hash = CzSessionNameHash();
	if (entry->name_hash == hash)
		return NULL;
	entry->name_hash = hash;
	entry->name_in_txn = true;
	quoted = quote_literal_cstr(CzSessionName());
	snprintf(command, sizeof(command), "SET application_name TO %s", quoted);
	pfree(quoted);
	return command;
}

/*
 * CzConnSettingsAreCurrent
 *		See remote.h.
 */
bool
CzConnSettingsAreCurrent(const CzConn *conn)
{
	return (conn->state == CZ_CONN_TXN || ENTRY(conn)->lock_timeout_ms == LockTimeout) &&
		conn->settings_generation == session_generation();
}

/*
 * CzConnLockTimeoutPrefix
 *		See remote.h.
 */
void
CzConnLockTimeoutPrefix(CzConn *conn, StringInfo prefix)
{
	if (ENTRY(conn)->txn_lock_timeout_ms == LockTimeout)
		return;
	appendStringInfo(prefix, "SET LOCAL lock_timeout = %d; ", LockTimeout);
	ENTRY(conn)->txn_lock_timeout_ms = LockTimeout;
}

/*
 * CzConnForgetLockTimeout
 *		See remote.h.
 */
void
CzConnForgetLockTimeout(CzConn *conn, bool is_over)
{
	ENTRY(conn)->txn_lock_timeout_ms = is_over ? ENTRY(conn)->lock_timeout_ms : -1;
}

/*
 * CzConnForgetTxnSettings
 *		See remote.h.
 */
void
CzConnForgetTxnSettings(CzConn *conn)
{
	if (ENTRY(conn)->name_in_txn)
		ENTRY(conn)->name_hash = 0;
	ENTRY(conn)->name_in_txn = false;
	if (ENTRY(conn)->settings_in_txn)
		conn->settings_generation = 0;
	ENTRY(conn)->settings_in_txn = false;
}

/*
 * CzConnTrySyncSettings
 *		See remote.h.
 */
bool
CzConnTrySyncSettings(CzConn *conn)
{
	ConnEntry  *entry = ENTRY(conn);
	int			events;

	if (CzConnSettingsAreCurrent(conn))
		return true;

	events = CzSessionSend(entry, PQtransactionStatus(conn->pg) != PQTRANS_IDLE) ?
		CzSessionPoll(entry) : -1;
	while (events > 0)
	{
		ConnWait	wait = CzConnAwait(conn, events);

		if (wait == CONN_WAIT_SILENT)
			return false;
		if (wait == CONN_WAIT_READY)
			events = CzSessionPoll(entry);
	}
	if (events < 0)
		conn->is_broken = true;
	return events == 0;
}

/*
 * CzConnSyncSettings
 *		See remote.h.
 */
void
CzConnSyncSettings(CzConn *conn)
{
	if (!CzConnTrySyncSettings(conn))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not set up the session on node \"%s\"", conn->node_name)));
}
