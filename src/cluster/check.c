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

#define MIN_WORKER_VERSION 140000

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
	"pg_catalog.hash_numeric_extended(1234.50, 8816678312871386365)) " \
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
	PROBE_IDENTITY,
	PROBE_HASH,
	PROBE_COLUMNS
};

static void
probe_worker(Oid server_oid, char **answer)
{
	CzEndpoint *endpoint = CzEndpointGet(server_oid, GetUserId());
	CzConn	   *conn = CzConnAcquire(endpoint);
	PGresult   *volatile res = NULL;

	PG_TRY();
	{
		int			i;

		res = CzConnQuery(conn, PROBE_SQL, 1, 1, PROBE_COLUMNS);
		for (i = 0; i < PROBE_COLUMNS; i++)
			answer[i] = pstrdup(PQgetvalue(res, 0, i));
	}
	PG_FINALLY();
	{
		PQclear(res);
		CzConnRelease(conn);
	}
	PG_END_TRY();
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
	if (abs(theirs / 10000 - ours / 10000) > 1)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("node \"%s\" runs PostgreSQL %d, the coordinator %d",
						node->name, theirs / 10000, ours / 10000),
				 errdetail("Majors that are more than one apart are not tested together.")));
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

	if (strcmp(theirs[PROBE_IDENTITY], ours[PROBE_IDENTITY]) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node \"%s\" is the coordinator's own database", node->name),
				 errhint("Create another database, or another server, for the node.")));
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

/*
 * CzNodeCheck
 *		See cluster.h.
 */
void
CzNodeCheck(Oid server_oid)
{
	CzNode	   *node = CzNodeGet(server_oid);
	char	   *theirs[PROBE_COLUMNS];
	char	   *ours[PROBE_COLUMNS];

	if (node->is_checked)
		return;

	/* one session at a time gives the worker its reference tables */
	LockDatabaseObject(ForeignServerRelationId, server_oid, 0, ShareUpdateExclusiveLock);
	node = CzNodeGet(server_oid);
	if (node->is_checked)
		return;

	check_duplicate(node);
	probe_worker(server_oid, theirs);
	probe_self(ours);
	compare_probes(node, theirs, ours);

	CzNodeSetOption(server_oid, "collation_differs",
					collation_differs(theirs, ours) ? "true" : NULL);
	CzPartialsCreate(server_oid);
	CzReferenceCopyToNode(server_oid);
	CzExtensionsGive(server_oid, GetUserId());
	CzNodeSetOption(server_oid, "checked", "true");
}
