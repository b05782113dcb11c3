/*-------------------------------------------------------------------------
 *
 * check.c
 *	  May a worker hold shards?  CzNodeCheck.
 *
 * One query is asked of the worker and of this server, and the answers are
 * compared: what would give wrong answers later (another encoding, another
 * order of text, another hash) is refused, what only may be a nuisance is
 * warned of.  Asking ourselves the same query avoids a second description of
 * what we are.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "cluster_int.h"
#include "cz/ddl.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"

#define MIN_WORKER_VERSION (CZ_FIRST_MAJOR * 10000)

/*
 * Columns of pg_database come and go between 14 and 18, so they are looked up
 * in the row's JSON form.  The start time to the microsecond names an instance
 * (its system identifier is copied with the data directory, and a managed
 * service may not tell it), the database's OID the rest.
 * The seed is that of hash partitioning.
 */
#define PROBE_SQL \
	"SELECT pg_catalog.current_setting('server_version_num'), " \
	"pg_catalog.current_setting('server_encoding'), " \
	"d.datcollate::pg_catalog.text, d.datctype::pg_catalog.text, " \
	"coalesce(pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(d), 'datlocprovider'), 'c'), " \
	"coalesce(pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(d), 'datlocale'), " \
	"pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(d), 'daticulocale'), ''), " \
	"coalesce(pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(d), 'datcollversion'), ''), " \
	"pg_catalog.current_setting('max_prepared_transactions'), " \
	"pg_catalog.pg_is_in_recovery()::pg_catalog.text, " \
	"pg_catalog.format('%s/%s', pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()), d.oid), " \
	"pg_catalog.format('%s %s %s %s', " \
	"pg_catalog.hashint4extended(20240229, 8816678312871386365), " \
	"pg_catalog.hashint8extended(-4611686018427387904, 8816678312871386365), " \
	"pg_catalog.hashtextextended('cz_fdw'::pg_catalog.text COLLATE \"C\", 8816678312871386365), " \
	"pg_catalog.hash_numeric_extended(1234.50, 8816678312871386365)), " \
	"coalesce(pg_catalog.obj_description(pg_catalog.to_regnamespace('" CZ_SHARD_SCHEMA "')::pg_catalog.oid, 'pg_namespace'), '') " \
	"FROM pg_catalog.pg_database d " \
	"WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()"

/* Columns of the probe, all text */
enum
{
	PROBE_VERSION,
	PROBE_ENCODING,
	PROBE_COLLATE,
	PROBE_CTYPE,
	PROBE_PROVIDER,
	PROBE_LOCALE,
	PROBE_COLLVERSION,
	PROBE_MAX_PREPARED,
	PROBE_IN_RECOVERY,
	PROBE_INSTANCE,
	PROBE_HASH,
	PROBE_MARK,
	PROBE_COLUMNS
};

static pg_noinline void
copy_answer(const PGresult *res, char **answer)
{
	int			i;

	for (i = 0; i < PROBE_COLUMNS; i++)
		answer[i] = pstrdup(PQgetvalue(res, 0, i));
}

/* The worker's answer; gives the connection back. */
static pg_noinline void
read_probe(CzConn *conn, char **answer)
{
	PGresult   *res = CzConnQuery(conn, PROBE_SQL, 1, 1, PROBE_COLUMNS);

	PG_TRY();
	{
		copy_answer(res, answer);
	}
	PG_CATCH();
	{
		PQclear(res);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQclear(res);
	CzConnRelease(conn);
}

static void
probe_self(char **answer)
{
	MemoryContext context = CurrentMemoryContext;
	int			nest_level = CzPinTextSettings(CZ_PIN_TEXT);
	int			i;

	/* as the worker's session: date_part()'s value must be printed alike */
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(PROBE_SQL, true, 2) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "probe of the own database returned no row");
	for (i = 0; i < PROBE_COLUMNS; i++)
		answer[i] = MemoryContextStrdup(context,
										SPI_getvalue(SPI_tuptable->vals[0],
													 SPI_tuptable->tupdesc, i + 1));
	SPI_finish();
	CzUnpinTextSettings(nest_level);
}

/* "en_US.UTF-8" and "en_US.utf8" are one locale, and so are C and POSIX. */
static char *
normalize_locale(const char *name)
{
	char	   *result = pstrdup(name);
	char	   *from;
	char	   *to;

	if (strcmp(name, "POSIX") == 0)
		return pstrdup("C");
	from = to = strchr(result, '.');
	for (; from && *from; from++)
	{
		if (*from != '-')
			*to++ = pg_ascii_tolower((unsigned char) *from);
	}
	if (to)
		*to = '\0';
	return result;
}

static bool
same_locale(const char *a, const char *b)
{
	return strcmp(normalize_locale(a), normalize_locale(b)) == 0;
}

static void
refuse(const CzNode *node, const char *what, const char *theirs, const char *ours)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s of node \"%s\" differs from the coordinator's",
					what, node->name),
			 errdetail("The node has \"%s\", the coordinator \"%s\".", theirs, ours),
			 errhint("Create the node's database with the same encoding and locale.")));
}

static void
refuse_coordinator(const CzNode *node)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("node \"%s\" is the coordinator's own database", node->name),
			 errhint("Create another database, or another server, for the node.")));
}

/* Same address and database as another worker. */
static void
check_duplicate(const CzNode *node)
{
	ListCell   *cell;

	foreach(cell, CzNodeList(false))
	{
		CzNode	   *other = (CzNode *) lfirst(cell);

		if (other->server_oid != node->server_oid && other->port == node->port &&
			pg_strcasecmp(other->host, node->host) == 0 &&
			strcmp(other->dbname ? other->dbname : "",
				   node->dbname ? node->dbname : "") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("node \"%s\" is the same database as node \"%s\"",
							node->name, other->name),
					 errdetail("Both are at host %s, port %d.", node->host, node->port)));
	}
}

static void
check_version(const CzNode *node, int theirs, int ours)
{
	if (theirs < MIN_WORKER_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("node \"%s\" runs PostgreSQL %d, which is too old",
						node->name, theirs / 10000),
				 errdetail("Workers must run PostgreSQL %d or newer.",
						   MIN_WORKER_VERSION / 10000)));
	if (theirs / 10000 < ours / 10000)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("node \"%s\" runs PostgreSQL %d, the coordinator %d",
						node->name, theirs / 10000, ours / 10000),
				 errdetail("Functions and SQL that came after PostgreSQL %d are evaluated on the coordinator for all nodes, which takes longer, tables cannot have features that came after it, and stddev and variance of numeric are not computed in parts.",
						   theirs / 10000),
				 errhint("Upgrade the node. Nodes may be newer than the coordinator.")));
	else if (theirs / 10000 > ours / 10000)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("node \"%s\" runs PostgreSQL %d, the coordinator %d",
						node->name, theirs / 10000, ours / 10000),
				 errdetail("Until the coordinator is of that version, stddev and variance of numeric are not computed in parts on the node, which takes longer; nothing else is lost."),
				 errhint("Upgrade the coordinator after all nodes.")));
}

/* Keep of which major a worker is, for CzOldestMajor. */
static void
set_version(Oid server_oid, int version)
{
	CzNodeSetOption(server_oid, "server_version", psprintf("%d", version / 10000));
}

/*
 * CzNodeNoteVersion
 *		See cluster_int.h.
 */
void
CzNodeNoteVersion(Oid server_oid, int version)
{
	const CzNode *node;

	LockDatabaseObject(ForeignServerRelationId, server_oid, 0, ShareUpdateExclusiveLock);
	node = CzNodeGet(server_oid);
	if (!node->is_checked || node->major == version / 10000)
		return;
	ereport(LOG,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("node \"%s\" runs PostgreSQL %d now", node->name, version / 10000)));
	set_version(server_oid, version);
	/* the form of transition states is its major's */
	CzPartialsCreate(server_oid);
}

/* C has no version, and 14 does not tell that of others. */
static bool
collation_differs(char **theirs, char **ours)
{
	return strcmp(theirs[PROBE_COLLVERSION], ours[PROBE_COLLVERSION]) != 0;
}

/*
 * Compare what the worker is with what this server is.
 */
static void
compare_probes(const CzNode *node, char **theirs, char **ours)
{
	check_version(node, atoi(theirs[PROBE_VERSION]), atoi(ours[PROBE_VERSION]));

	if (strcmp(theirs[PROBE_INSTANCE], ours[PROBE_INSTANCE]) == 0)
		refuse_coordinator(node);
	if (strcmp(theirs[PROBE_IN_RECOVERY], "true") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" is a standby", node->name),
				 errdetail("It is in recovery and cannot be written.")));

	if (strcmp(theirs[PROBE_ENCODING], ours[PROBE_ENCODING]) != 0)
		refuse(node, "encoding", theirs[PROBE_ENCODING], ours[PROBE_ENCODING]);
	if (strcmp(theirs[PROBE_PROVIDER], ours[PROBE_PROVIDER]) != 0)
		refuse(node, "locale provider", theirs[PROBE_PROVIDER], ours[PROBE_PROVIDER]);
	if (!same_locale(theirs[PROBE_LOCALE], ours[PROBE_LOCALE]))
		refuse(node, "locale", theirs[PROBE_LOCALE], ours[PROBE_LOCALE]);
	if (!same_locale(theirs[PROBE_COLLATE], ours[PROBE_COLLATE]))
		refuse(node, "collation", theirs[PROBE_COLLATE], ours[PROBE_COLLATE]);
	if (!same_locale(theirs[PROBE_CTYPE], ours[PROBE_CTYPE]))
		refuse(node, "character classification", theirs[PROBE_CTYPE], ours[PROBE_CTYPE]);
	if (collation_differs(theirs, ours))
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("collation version of node \"%s\" differs from the coordinator's",
						node->name),
				 errdetail("The node has \"%s\", the coordinator \"%s\": they may sort text differently, so workers are not asked to.",
						   theirs[PROBE_COLLVERSION], ours[PROBE_COLLVERSION])));
	if (strcmp(theirs[PROBE_HASH], ours[PROBE_HASH]) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node \"%s\" does not hash as the coordinator does", node->name),
				 errdetail("The node's hashes are %s, the coordinator's %s.",
						   theirs[PROBE_HASH], ours[PROBE_HASH]),
				 errhint("Both must run on machines of the same byte order.")));

	if (atoi(theirs[PROBE_MAX_PREPARED]) == 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("node \"%s\" cannot prepare transactions", node->name),
				 errdetail("Transactions that write on more than one worker will fail."),
				 errhint("Set max_prepared_transactions on the node to at least its max_connections and restart it.")));
}

/* Which instance and which database it is; the probe's column of that name, by itself. */
#define INSTANCE_SQL \
	"SELECT pg_catalog.format('%s/%s', pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()), d.oid) " \
	"FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()"

/* Is the database that of another worker, by another name?  Those that don't answer are not. */
static void
check_instance(const CzNode *node, const char *instance)
{
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
	{
		CzNode	   *other = lfirst(lc);
		CzOutsideCommand *command;

		if (other->server_oid == node->server_oid || CzHealthIsSuspect(other->server_oid))
			continue;
		command = palloc0(sizeof(CzOutsideCommand));
		command->server_oid = other->server_oid;
		command->sql = INSTANCE_SQL;
		commands = lappend(commands, command);
	}
	CzOutsideRun(commands, GetUserId(), false, true);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		if (command->is_ok && command->answer != NULL && strcmp(command->answer, instance) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("node \"%s\" is the same database as node \"%s\"",
							node->name, CzNodeGet(command->server_oid)->name),
					 errdetail("Another name of its host leads there, too.")));
	}
}

/*
 * A worker carries a mark (remote/coordinator.c): a line for each cluster that it belongs,
 * or belonged, to, with a random word that the server's option identity has, too.
 */
static char *
mark_prefix(void)
{
	const char *cluster_id = CzTxnClusterId();

	return psprintf("cz_fdw %s ", cluster_id ? cluster_id : "-");
}

/*
 * CzMarkIdentity
 *		See cluster_int.h.
 */
char *
CzMarkIdentity(const char *text)
{
	const char *cluster_id = CzTxnClusterId();
	CzWorkerMark mark;

	return CzMarkRead(text, cluster_id ? cluster_id : "-", &mark) ? pstrdup(mark.word) : NULL;
}

static char *
new_identity(void)
{
	uint64		random[2];

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	return psprintf("%016llx%016llx", (unsigned long long) random[0],
					(unsigned long long) random[1]);
}

/* Drop shards of an earlier life in this cluster: nobody else knows them. */
#define DROP_LEFT_OVER_SQL \
	"FOR r IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = to_regnamespace('" CZ_SHARD_SCHEMA "') " \
	"AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname !~ '^cz_object' LOOP\n" \
	"EXECUTE 'DROP TABLE IF EXISTS ' || r.name || ' CASCADE';\nEND LOOP;\n"

/*
 * mark_worker
 *		Give a worker its mark, and take from it what it has of an earlier life.  At once,
 *		whatever becomes of this transaction.
 *
 * Returns: the word; NULL if the worker does not let us.
 */
static char *
mark_worker(const CzNode *node, const char *mark)
{
	char	   *old = CzMarkIdentity(mark);
	char	   *identity = new_identity();
	/* another cluster has shards there, which may have the same names */
	bool		is_ours_alone = old != NULL && strchr(mark, '\n') == NULL;
	CzOutsideCommand command = {0};
	char	   *code;
	ListCell   *lc;

	foreach(lc, old == NULL ? NIL : CzNodeList(false))
	{
		CzNode	   *other = lfirst(lc);
		const char *theirs = CzFindOption(GetForeignServer(other->server_oid)->options,
										  "identity");

		if (theirs == NULL || strcmp(theirs, old) != 0)
			continue;
		if (other->server_oid == node->server_oid)
			return old;
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("node \"%s\" is node \"%s\" at another address",
						node->name, other->name),
				 errhint("Use citus_update_node().")));
	}

	code = psprintf("DECLARE r record; BEGIN\n"
					"IF to_regnamespace('%1$s') IS NULL THEN CREATE SCHEMA %1$s; GRANT USAGE, CREATE ON SCHEMA %1$s TO PUBLIC; END IF;\n"
					"%2$s"
					"EXECUTE format('COMMENT ON SCHEMA %1$s IS %%L', array_to_string(ARRAY(SELECT l FROM "
					"regexp_split_to_table(coalesce(obj_description(to_regnamespace('%1$s')::oid, 'pg_namespace'), ''), E'\\n') l "
					"WHERE l <> '' AND NOT starts_with(l, %3$s)) || %4$s::text, E'\\n'));\nEND",
					CZ_SHARD_SCHEMA, is_ours_alone ? DROP_LEFT_OVER_SQL : "",
					quote_literal_cstr(mark_prefix()),
					quote_literal_cstr(CzTxnMakeMark(identity)));
	command.server_oid = node->server_oid;
	command.sql = psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(code));
	CzOutsideRun(list_make1(&command), GetUserId(), false, true);
	if (!command.is_ok)
	{
		ereport(DEBUG1,
				(errmsg_internal("could not mark node \"%s\": %s", node->name,
								 command.answer ? command.answer : "")));
		return NULL;
	}
	return identity;
}

/*
 * CzNodeVerify
 *		See cluster_int.h.
 */
void
CzNodeVerify(Oid server_oid)
{
	CzNode	   *node = CzNodeGet(server_oid);
	const char *identity = CzFindOption(GetForeignServer(server_oid)->options, "identity");
	char	   *theirs[PROBE_COLUMNS];
	char	   *ours[PROBE_COLUMNS];
	CzEndpoint	endpoint = *CzEndpointGet(server_oid, GetUserId());
	char	   *message = NULL;
	char	   *found;
	CzConn	   *conn;

	check_duplicate(node);
	/* a standby that has been promoted has what was prepared on the worker */
	CzTxnMarkInDoubtAtCommit(server_oid);
	/* who it is, and whether it is a standby, is asked here */
	endpoint.identity = NULL;
	endpoint.must_be_writable = false;
	conn = CzConnTryAcquire(&endpoint, &message);
	if (conn == NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("node \"%s\" cannot be reached at its new address", node->name),
				 message ? errdetail_internal("%s", message) : 0));
		return;
	}
	read_probe(conn, theirs);
	probe_self(ours);
	if (strcmp(theirs[PROBE_INSTANCE], ours[PROBE_INSTANCE]) == 0)
		refuse_coordinator(node);
	check_instance(node, theirs[PROBE_INSTANCE]);
	found = CzMarkIdentity(theirs[PROBE_MARK]);
	if (identity != NULL && found == NULL && CzTxnIsRestored())
	{
		/* a dump is restored on other workers */
		CzNodeSetOption(server_oid, "identity", NULL);
		CzNodeSetOption(server_oid, "checked", NULL);
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("node \"%s\" is another worker now", node->name),
				 errdetail("The database at host %s, port %d does not have the shards of this cluster.",
						   node->host, node->port),
				 errhint("After cz_take_over(), cz_finish_restore(missing => 'create') makes them there, empty.")));
	}
	else if (identity != NULL && (found == NULL || strcmp(found, identity) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" is not the worker it was", node->name),
				 errdetail("The database at host %s, port %d does not have its shards.",
						   node->host, node->port),
				 errhint("If the worker is lost, use cz_lose_node() and add the other one as a new node.")));
	if (CzNodeGet(server_oid)->is_checked)
		set_version(server_oid, atoi(theirs[PROBE_VERSION]));
	if (strcmp(theirs[PROBE_IN_RECOVERY], "true") == 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("node \"%s\" is a standby", node->name),
				 errdetail("It is in recovery, and cannot be written until it is promoted.")));
}

/*
 * CzNodeCheck
 *		See cluster.h.
 */
void
CzNodeCheck(Oid server_oid)
{
	char	   *identity;
	CzNode	   *node = CzNodeGet(server_oid);
	char	   *theirs[PROBE_COLUMNS];
	char	   *ours[PROBE_COLUMNS];

	if (node->is_checked)
		return;

	/* what is left there of an earlier life is dropped: a copy must not do that */
	CzTxnCheckCoordinator();
	/* one session at a time gives the worker its reference tables */
	LockDatabaseObject(ForeignServerRelationId, server_oid, 0, ShareUpdateExclusiveLock);
	node = CzNodeGet(server_oid);
	if (node->is_checked)
		return;

	check_duplicate(node);
	read_probe(CzConnAcquire(CzEndpointGet(server_oid, GetUserId())), theirs);
	probe_self(ours);
	compare_probes(node, theirs, ours);
	check_instance(node, theirs[PROBE_INSTANCE]);
	identity = mark_worker(node, theirs[PROBE_MARK]);

	CzNodeSetOption(server_oid, "identity", identity);
	set_version(server_oid, atoi(theirs[PROBE_VERSION]));
	CzNodeSetOption(server_oid, "collation_differs",
					collation_differs(theirs, ours) ? "true" : NULL);
	CzPartialsCreate(server_oid);
	CzReferenceCopyToNode(server_oid);
	CzExtensionsGive(server_oid, GetUserId());
	CzNodeSetOption(server_oid, "checked", "true");
	CzMaintenanceWake();
}
