/*-------------------------------------------------------------------------
 *
 * sizes.c
 *	  How large shards are, asked of the workers: one query a worker, all at once.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "cluster_int.h"
#include "cz/errors.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "rebalance_int.h"

PG_FUNCTION_INFO_V1(cz_shard_sizes);
PG_FUNCTION_INFO_V1(cz_shard_size);
PG_FUNCTION_INFO_V1(citus_table_size);
PG_FUNCTION_INFO_V1(citus_relation_size);
PG_FUNCTION_INFO_V1(citus_total_relation_size);

#define SIZES_SQL \
	"SELECT c.relname, pg_catalog.pg_total_relation_size(c.oid) " \
	"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " \
	"WHERE n.nspname = '" CZ_SHARD_SCHEMA "' AND c.relkind = 'r'"

/*
 * The same as their pages were counted last, which asks no file; but for tables that have
 * not been counted since they were made.
 */
#define PAGES_SQL \
	"SELECT c.relname, CASE WHEN c.relpages OPERATOR(pg_catalog.=) 0 THEN pg_catalog.pg_total_relation_size(c.oid) " \
	"ELSE (c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.+) coalesce(t.relpages, 0) OPERATOR(pg_catalog.+) coalesce(x.pages, 0)) " \
	"OPERATOR(pg_catalog.*) pg_catalog.current_setting('block_size')::pg_catalog.int8 END " \
	"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace " \
	"LEFT JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) c.reltoastrelid " \
	"LEFT JOIN (SELECT i.indrelid, pg_catalog.sum(ic.relpages) AS pages FROM pg_catalog.pg_index i " \
	"JOIN pg_catalog.pg_class ic ON ic.oid OPERATOR(pg_catalog.=) i.indexrelid GROUP BY 1) x ON x.indrelid OPERATOR(pg_catalog.=) c.oid " \
	"WHERE n.nspname OPERATOR(pg_catalog.=) '" CZ_SHARD_SCHEMA "' AND c.relkind OPERATOR(pg_catalog.=) 'r'"

/* Of all that is there: who looks at the nodes often must not have each file of each shard looked at. */
#define NODE_SIZE_SQL "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"

/* Run a command by the transaction's own connection. */
static void
take_from_transaction(CzOutsideCommand *command)
{
	CzConn	   *conn = CzTxnConnIfAny(command->server_oid, GetUserId());
	PGresult   *volatile res = CzConnQuery(conn, command->sql, 0, -1, 2);

	PG_TRY();
	{
		command->take(command, res);
	}
	PG_FINALLY();
	{
		PQclear(res);
	}
	PG_END_TRY();
}

/*
 * Run a query on some servers (NIL: all active ones), all at once; take is called with
 * the rows of each.  Those that cannot be asked, or take long to find that out, are
 * left out.
 */
static void
ask_all(List *server_oids, const char *sql,
		void (*take) (CzOutsideCommand *command, PGresult *res), void *arg, bool is_look)
{
	List	   *commands = NIL;
	ListCell   *lc;

	if (server_oids == NIL)
	{
		foreach(lc, CzNodeList(true))
			server_oids = lappend_oid(server_oids, ((CzNode *) lfirst(lc))->server_oid);
	}
	foreach(lc, server_oids)
	{
		Oid			server_oid = lfirst_oid(lc);
		CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));
		CzEndpoint *endpoint = CzEndpointTryGet(server_oid, GetUserId());

		if (endpoint == NULL || (CzHealthIsSuspect(server_oid) && !CzHealthRecheck(endpoint)))
			continue;
		command->server_oid = server_oid;
		command->sql = sql;
		command->take = take;
		command->arg = arg;
		/* shards that this transaction has made are seen through its connection */
		if (CzTxnConnIfAny(server_oid, GetUserId()) != NULL)
			take_from_transaction(command);
		else
			commands = lappend(commands, command);
	}
	if (is_look)
		CzOutsideLook(commands, GetUserId());
	else
		CzOutsideRun(commands, GetUserId(), false, true);
}

static void
put_sizes(CzOutsideCommand *command, PGresult *res)
{
	ReturnSetInfo *rsinfo = command->arg;
	int			i;

	for (i = 0; PQnfields(res) == 2 && i < PQntuples(res); i++)
	{
		char	   *name = CzResultText(res, i, 0);
		double		bytes;
		Datum		values[3];
		bool		nulls[3] = {0};

		if (name == NULL || !CzResultFigure(res, i, 1, &bytes))
			continue;
		values[0] = CStringGetTextDatum(quote_qualified_identifier(CZ_SHARD_SCHEMA, name));
		values[1] = ObjectIdGetDatum(command->server_oid);
		values[2] = Int64GetDatum((int64) bytes);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * cz_shard_sizes
 *		Every table in cz_shards on every active worker with its total size.
 *		Workers that cannot be asked are left out: views must not fail.
 */
Datum
cz_shard_sizes(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	ask_all(NIL, SIZES_SQL, put_sizes, fcinfo->resultinfo, false);
	return (Datum) 0;
}

static void
remember_sizes(CzOutsideCommand *command, PGresult *res)
{
	HTAB	   *sizes = command->arg;
	int			i;

	for (i = 0; PQnfields(res) == 2 && i < PQntuples(res); i++)
	{
		CzShardSizeKey key;
		CzShardSize *size;
		double		bytes;

		if (PQgetisnull(res, i, 0) || !CzResultFigure(res, i, 1, &bytes))
			continue;
		memset(&key, 0, sizeof(key));
		key.server_oid = command->server_oid;
		strlcpy(key.name, PQgetvalue(res, i, 0), NAMEDATALEN);
		size = hash_search(sizes, &key, HASH_ENTER, NULL);
		size->bytes = (int64) bytes;
	}
}

static HTAB *
make_shard_sizes(MemoryContext context)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(CzShardSizeKey);
	ctl.entrysize = sizeof(CzShardSize);
	ctl.hcxt = context;
	return hash_create("cz_fdw shard sizes", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * CzShardSizesByName
 *		See rebalance_int.h.
 */
HTAB *
CzShardSizesByName(List *server_oids)
{
	HTAB	   *sizes = make_shard_sizes(CurrentMemoryContext);

	ask_all(server_oids, PAGES_SQL, remember_sizes, sizes, false);
	return sizes;
}

/* What a statement that calls cz_shard_size() has learned so far */
typedef struct SizesSeen
{
	HTAB	   *sizes;
	Oid			relid;			/* of the shards of this table; InvalidOid: of all */
} SizesSeen;

/* Ask those workers in use that have placements of a table, for these alone. */
static void
ask_for_table(const CzTable *table, HTAB *sizes)
{
	List	   *server_oids = NIL;
	StringInfoData sql;
	ListCell   *lc;
	int			i;
	int			j;

	initStringInfo(&sql);
	appendStringInfoString(&sql, SIZES_SQL " AND c.relname = ANY (ARRAY[");
	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", quote_literal_cstr(shard->remote_name));
		for (j = 0; j < (shard->all_oids ? shard->nall : shard->nplacements); j++)
			server_oids = list_append_unique_oid(server_oids, shard->all_oids ? shard->all_oids[j] : shard->server_oids[j]);
	}
	appendStringInfoString(&sql, "]::pg_catalog.name[])");
	foreach(lc, server_oids)
	{
		if (!CzNodeGet(lfirst_oid(lc))->is_active)
			server_oids = foreach_delete_current(server_oids, lc);
	}
	if (server_oids != NIL)
		ask_all(server_oids, sql.data, remember_sizes, sizes, false);
}

/*
 * cz_shard_size
 *		Bytes of one placement; NULL: its worker did not answer, or has not got it.  The workers
 *		are asked for all of a table's when the statement asks for the first of them; for all
 *		that they have when it goes on to another table.
 */
Datum
cz_shard_size(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	SizesSeen  *seen = fcinfo->flinfo->fn_extra;
	const CzTable *table = CzTableGet(relid);
	CzShardSizeKey key;
	CzShardSize *size;
	List	   *name = NIL;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		PG_RETURN_NULL();
	if (seen == NULL)
	{
		seen = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(SizesSeen));
		seen->sizes = make_shard_sizes(fcinfo->flinfo->fn_mcxt);
		seen->relid = relid;
		ask_for_table(table, seen->sizes);
		fcinfo->flinfo->fn_extra = seen;
	}
	else if (OidIsValid(seen->relid) && seen->relid != relid)
	{
		ask_all(NIL, SIZES_SQL, remember_sizes, seen->sizes, false);
		seen->relid = InvalidOid;
	}
	if (!SplitIdentifierString(text_to_cstring(PG_GETARG_TEXT_PP(2)), '.', &name) || list_length(name) != 2)
		PG_RETURN_NULL();
	memset(&key, 0, sizeof(key));
	key.server_oid = PG_GETARG_OID(1);
	strlcpy(key.name, lsecond(name), NAMEDATALEN);
	size = hash_search(seen->sizes, &key, HASH_FIND, NULL);
	if (size == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(size->bytes);
}

static void
remember_sum(CzOutsideCommand *command, PGresult *res)
{
	double		bytes;
	CzNodeSize *size;

	if (PQntuples(res) != 1 || PQnfields(res) != 1 || !CzResultFigure(res, 0, 0, &bytes))
		return;
	size = hash_search((HTAB *) command->arg, &command->server_oid, HASH_ENTER, NULL);
	size->bytes = (int64) bytes;
}

static HTAB *
make_node_sizes(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(CzNodeSize);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create("cz_fdw node sizes", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * CzNodeSizes
 *		See rebalance_int.h.
 */
HTAB *
CzNodeSizes(void)
{
	HTAB	   *sizes = make_node_sizes();

	ask_all(NIL, NODE_SIZE_SQL, remember_sum, sizes, true);
	return sizes;
}

/*
 * CzShardSizeOf
 *		Bytes of a shard on a server; -1: not known.
 */
int64
CzShardSizeOf(HTAB *sizes, const CzShard *shard, Oid server_oid)
{
	CzShardSizeKey key;
	CzShardSize *size;

	memset(&key, 0, sizeof(key));
	key.server_oid = server_oid;
	strlcpy(key.name, shard->remote_name, NAMEDATALEN);
	size = hash_search(sizes, &key, HASH_FIND, NULL);
	return size == NULL ? -1 : size->bytes;
}

/* What a worker is asked for the placements that it has of a table; NULL: it has none. */
static char *
table_size_sql(const CzTable *table, Oid server_oid, const char *function)
{
	StringInfoData sql;
	bool		found = false;
	int			i;
	int			j;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT coalesce(pg_catalog.sum(pg_catalog.%s(n%s)), 0)::pg_catalog.int8 FROM pg_catalog.unnest(ARRAY[",
					 function, table->is_partitioned ? ".relid" : "");
	for (i = 0; i < table->nshards; i++)
	{
		for (j = 0; j < table->shards[i].nplacements; j++)
		{
			if (table->shards[i].server_oids[j] != server_oid)
				continue;
			appendStringInfo(&sql, "%s%s", found ? ", " : "",
							 quote_literal_cstr(table->shards[i].remote_qualified));
			found = true;
		}
	}
	/* with its partitions, if the shard has some */
	appendStringInfoString(&sql, table->is_partitioned ?
						   "]) s, pg_catalog.pg_partition_tree(pg_catalog.to_regclass(s)) n" :
						   "]) s, pg_catalog.to_regclass(s) n");
	return found ? sql.data : NULL;
}

/* The same by the transaction's own connection, which sees shards that it has made. */
static void
ask_transaction(CzOutsideCommand *command)
{
	PGresult   *res = CzConnQuery(CzTxnConnIfAny(command->server_oid, GetUserId()), command->sql,
								  1, 1, 1);

	command->answer = CzResultText(res, 0, 0);
	command->answer = command->answer ? pstrdup(command->answer) : NULL;
	command->is_ok = true;
	PQclear(res);
}

/* Commands for all workers that have placements of a table; can_ask: false if one is avoided
 * just now, and nobody insists. */
static List *
table_size_commands(const CzTable *table, const char *function, bool must_work, bool *can_ask)
{
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, CzNodeList(true))
	{
		Oid			server_oid = ((CzNode *) lfirst(lc))->server_oid;
		char	   *sql = table_size_sql(table, server_oid, function);
		CzOutsideCommand *command;

		if (sql == NULL)
			continue;
		if (!must_work && CzHealthIsSuspect(server_oid))
			*can_ask = false;
		command = palloc0(sizeof(CzOutsideCommand));
		command->server_oid = server_oid;
		command->sql = sql;
		commands = lappend(commands, command);
	}
	return commands;
}

static Datum
table_size(FunctionCallInfo fcinfo, const char *function)
{
	Oid			relid = PG_GETARG_OID(0);
	bool		must_work = PG_NARGS() < 2 || PG_GETARG_BOOL(1);
	const CzTable *table = CzTableGet(relid);
	List	   *commands;
	List	   *outside = NIL;
	bool		can_ask = true;
	int64		size = 0;
	ListCell   *lc;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot calculate the size because relation \"%s\" is not distributed",
						get_rel_name(relid) ? get_rel_name(relid) : "?")));
	commands = table_size_commands(table, function, must_work, &can_ask);
	if (!can_ask)
		PG_RETURN_NULL();
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		if (CzTxnConnIfAny(command->server_oid, GetUserId()) != NULL)
			ask_transaction(command);
		else
			outside = lappend(outside, command);
	}
	CzOutsideRun(outside, GetUserId(), false, true);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		if (command->is_ok && command->answer != NULL && strspn(command->answer, "0123456789") == strlen(command->answer))
		{
			size += strtoll(command->answer, NULL, 10);
			continue;
		}
		if (!must_work)
			PG_RETURN_NULL();
		ereport(ERROR,
				(errcode(command->is_ok ? ERRCODE_PROTOCOL_VIOLATION : ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not ask node \"%s\" for the size of table \"%s\"",
						CzNodeGet(command->server_oid)->name, get_rel_name(relid)),
				 command->answer ? errdetail_internal("%s", command->answer) : 0));
	}
	PG_RETURN_INT64(size);
}

/*
 * citus_table_size, citus_relation_size, citus_total_relation_size
 *		Bytes that a table takes on all workers, replicas included: without
 *		indexes, of the main fork only, with indexes.
 */
Datum
citus_table_size(PG_FUNCTION_ARGS)
{
	return table_size(fcinfo, "pg_table_size");
}

Datum
citus_relation_size(PG_FUNCTION_ARGS)
{
	return table_size(fcinfo, "pg_relation_size");
}

Datum
citus_total_relation_size(PG_FUNCTION_ARGS)
{
	return table_size(fcinfo, "pg_total_relation_size");
}
