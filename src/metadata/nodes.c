/*-------------------------------------------------------------------------
 *
 * nodes.c
 *	  Workers: the foreign servers of cz_fdw and the options that they carry.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "metadata_int.h"

#define DEFAULT_PORT 5432

/* A malformed boolean option was refused by the validator: take the default. */
static bool
option_bool(const char *value, bool otherwise)
{
	bool		result;

	return parse_bool(value, &result) ? result : otherwise;
}

static CzNode *
make_node(Oid server_oid, const char *name, Oid owner, List *options)
{
	CzNode	   *node = palloc0(sizeof(CzNode));
	char	   *hostaddr = NULL;
	ListCell   *cell;

	node->server_oid = server_oid;
	/* OIDs beyond 2^31 would be negative node ids */
	node->node_id = (int) (server_oid & 0x7FFFFFFF);
	node->name = pstrdup(name);
	node->port = DEFAULT_PORT;
	node->weight = 1.0;
	node->is_active = true;
	node->should_have_shards = true;
	node->is_worker = superuser_arg(owner);

	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);
		char	   *value = defGetString(def);

		if (strcmp(def->defname, "host") == 0)
			node->host = value;
		else if (strcmp(def->defname, "hostaddr") == 0)
			hostaddr = value;
		else if (strcmp(def->defname, "port") == 0)
			node->port = atoi(value);
		else if (strcmp(def->defname, "dbname") == 0)
			node->dbname = value;
		else if (strcmp(def->defname, "node_id") == 0)
		{
			node->node_id = atoi(value);
			node->is_worker = true;
		}
		else if (strcmp(def->defname, "zone") == 0)
			node->zone = value;
		else if (strcmp(def->defname, "weight") == 0)
			node->weight = strtod(value, NULL);
		else if (strcmp(def->defname, "state") == 0)
			node->is_active = strcmp(value, "disabled") != 0;
		else if (strcmp(def->defname, "should_have_shards") == 0)
			node->should_have_shards = option_bool(value, true);
		else if (strcmp(def->defname, "checked") == 0)
			node->is_checked = option_bool(value, false);
		else if (strcmp(def->defname, "collation_differs") == 0)
			node->collation_differs = option_bool(value, false);
		else if (strcmp(def->defname, "server_version") == 0)
			node->major = atoi(value);
		else if (strcmp(def->defname, "coordinator") == 0)
			node->is_coordinator = option_bool(value, false);
		else if (strcmp(def->defname, "clone_of") == 0)
			node->clone_of = value;
	}
	if (node->is_checked)
		node->is_worker = true;
	if (node->is_coordinator)
		node->is_worker = false;
	if (node->host == NULL)
		node->host = hostaddr ? hostaddr : pstrdup("localhost");
	return node;
}

static int
compare_nodes(const ListCell *a, const ListCell *b)
{
	const CzNode *node_a = (const CzNode *) lfirst(a);
	const CzNode *node_b = (const CzNode *) lfirst(b);

	if (node_a->node_id != node_b->node_id)
		return node_a->node_id < node_b->node_id ? -1 : 1;
	if (node_a->server_oid != node_b->server_oid)
		return node_a->server_oid < node_b->server_oid ? -1 : 1;
	return 0;
}

/* Servers of cz_fdw, ordered: all, or those that are workers and maybe active. */
static List *
list_servers(bool only_workers, bool only_active)
{
	List	   *nodes = NIL;
	Oid			fdw_oid = CzFdwOid();
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(fdw_oid))
		return NIL;

	rel = table_open(ForeignServerRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		CzNode	   *node;
		Datum		options;
		bool		isnull;

		if (form->srvfdw != fdw_oid)
			continue;
		options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions,
							   RelationGetDescr(rel), &isnull);
		node = make_node(form->oid, NameStr(form->srvname), form->srvowner,
						 isnull ? NIL : untransformRelOptions(options));
		if ((node->is_worker || !only_workers) && (node->is_active || !only_active))
			nodes = lappend(nodes, node);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	list_sort(nodes, compare_nodes);
	return nodes;
}

/*
 * CzNodeList
 *		See metadata.h.
 */
List *
CzNodeList(bool only_active)
{
	CzCheckVersion();
	return list_servers(true, only_active);
}

/*
 * CzServerList
 *		See metadata.h.
 */
List *
CzServerList(void)
{
	return list_servers(false, false);
}

/*
 * CzNodeGet
 *		See metadata.h.
 */
CzNode *
CzNodeGet(Oid server_oid)
{
	ForeignServer *server = GetForeignServerExtended(server_oid, FSV_MISSING_OK);

	/* whoever has its OID knew it when it began */
	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("a node has been removed while it was in use"),
				 errhint("Run the transaction again.")));
	if (server->fdwid != CzFdwOid())
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a worker", server->servername),
				 errdetail("Its foreign-data wrapper is not cz_fdw.")));
	return make_node(server->serverid, server->servername, server->owner, server->options);
}

/*
 * CzNodeName
 *		See metadata.h.
 */
char *
CzNodeName(Oid server_oid)
{
	ForeignServer *server = GetForeignServerExtended(server_oid, FSV_MISSING_OK);

	return server ? server->servername : pstrdup("?");
}

/* What is remembered of all workers; forgotten when any server changes. */
static bool cache_registered = false;
static int	collation_is_shared = -1;	/* not known */

/* What CzNodePartials has found, by server. */
typedef struct PartialsEntry
{
	Oid			server_oid;
	CzPartials	partials;
} PartialsEntry;

static PartialsEntry *partials_cache = NULL;
static int	partials_used = 0;
static int	partials_size = 0;

static void
servers_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	partials_used = 0;
	collation_is_shared = -1;
}

static void
register_cache(void)
{
	if (cache_registered)
		return;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, servers_changed, (Datum) 0);
	cache_registered = true;
}

/*
 * CzDefaultCollationIsShared
 *		See metadata.h.
 */
bool
CzDefaultCollationIsShared(void)
{
	if (collation_is_shared < 0)
	{
		ListCell   *lc;
		int			result = 1;

		register_cache();
		foreach(lc, CzNodeList(false))
		{
			if (((CzNode *) lfirst(lc))->collation_differs)
				result = 0;
		}
		collation_is_shared = result;
	}
	return collation_is_shared == 1;
}

/*
 * CzNodePartials
 *		See metadata.h.
 */
CzPartials
CzNodePartials(Oid server_oid)
{
	ForeignServer *server;
	const char *value;
	CzPartials	result = CZ_PARTIALS_NONE;
	int			i;

	for (i = 0; i < partials_used; i++)
	{
		if (partials_cache[i].server_oid == server_oid)
			return partials_cache[i].partials;
	}
	register_cache();
	server = GetForeignServerExtended(server_oid, FSV_MISSING_OK);
	value = server ? CzFindOption(server->options, "partial_aggregates") : NULL;
	if (value && strcmp(value, "all") == 0)
		result = CZ_PARTIALS_ALL;
	else if (value && strcmp(value, "plain") == 0)
		result = CZ_PARTIALS_PLAIN;

	if (partials_cache == NULL)
	{
		partials_size = 16;
		partials_cache = MemoryContextAlloc(TopMemoryContext,
											partials_size * sizeof(PartialsEntry));
	}
	else if (partials_used == partials_size)
	{
		partials_cache = repalloc(partials_cache,
								  2 * partials_size * sizeof(PartialsEntry));
		partials_size *= 2;
	}
	partials_cache[partials_used].server_oid = server_oid;
	partials_cache[partials_used++].partials = result;
	return result;
}

/*
 * CzNodeFind
 *		See metadata.h.
 */
CzNode *
CzNodeFind(const char *host, int port, const char *dbname)
{
	ListCell   *cell;
	CzNode	   *found = NULL;

	foreach(cell, CzNodeList(false))
	{
		CzNode	   *node = (CzNode *) lfirst(cell);

		if (node->port != port || pg_strcasecmp(node->host, host) != 0 ||
			(dbname && node->dbname && strcmp(node->dbname, dbname) != 0))
			continue;
		if (found)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("node at \"%s:%d\" is ambiguous: both server \"%s\" and server \"%s\" are there",
							host, port, found->name, node->name),
					 errhint("Use ALTER SERVER or DROP SERVER.")));
		found = node;
	}
	return found;
}

/*
 * CzNodeOfId, CzNodeOfIdentity
 *		See metadata.h.
 */
CzNode *
CzNodeOfId(int node_id)
{
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
	{
		if (((CzNode *) lfirst(lc))->node_id == node_id)
			return lfirst(lc);
	}
	return NULL;
}

CzNode *
CzNodeOfIdentity(const char *identity)
{
	ListCell   *lc;

	foreach(lc, identity == NULL ? NIL : CzNodeList(false))
	{
		CzNode	   *node = lfirst(lc);
		const char *its = CzFindOption(GetForeignServer(node->server_oid)->options, "identity");

		if (node->clone_of == NULL && its != NULL && strcmp(its, identity) == 0)
			return node;
	}
	return NULL;
}

/*
 * CzNodeSetOption
 *		See metadata.h.  The server's owner does it: whoever distributes a
 *		table has checked the worker for all.
 */
void
CzNodeSetOption(Oid server_oid, const char *name, const char *value)
{
	ForeignServer *server = GetForeignServer(server_oid);
	AlterForeignServerStmt *stmt = makeNode(AlterForeignServerStmt);
	DefElem    *change;
	ListCell   *cell;
	bool		is_set = false;
	Oid			user_oid;
	int			sec_context;

	foreach(cell, server->options)
	{
		if (strcmp(((DefElem *) lfirst(cell))->defname, name) == 0)
			is_set = true;
	}
	if (value == NULL && !is_set)
		return;
	change = makeDefElem(pstrdup(name),
						 value ? (Node *) makeString(pstrdup(value)) : NULL, -1);
	change->defaction = value == NULL ? DEFELEM_DROP : is_set ? DEFELEM_SET : DEFELEM_ADD;
	stmt->servername = server->servername;
	stmt->options = list_make1(change);

	GetUserIdAndSecContext(&user_oid, &sec_context);
	SetUserIdAndSecContext(server->owner, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	(void) AlterForeignServer(stmt);
	SetUserIdAndSecContext(user_oid, sec_context);
	CommandCounterIncrement();
}

/*
 * CzParseServerNames
 *		See metadata.h.
 */
List *
CzParseServerNames(const char *value)
{
	char	   *copy = pstrdup(value);
	List	   *names;
	List	   *server_oids = NIL;
	ListCell   *cell;

	if (!SplitIdentifierString(copy, ',', &names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid list of server names: \"%s\"", value)));
	foreach(cell, names)
		server_oids = lappend_oid(server_oids,
								  get_foreign_server_oid((char *) lfirst(cell), false));
	list_free(names);
	pfree(copy);
	return server_oids;
}

/*
 * CzFormatServerNames
 *		See metadata.h.
 */
char *
CzFormatServerNames(List *server_oids)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, server_oids)
	{
		ForeignServer *server = GetForeignServer(lfirst_oid(cell));

		if (buf.len > 0)
			appendStringInfoChar(&buf, ',');
		appendStringInfoString(&buf, quote_identifier(server->servername));
	}
	return buf.data;
}
