/*-------------------------------------------------------------------------
 *
 * attach.c
 *	  cz_attach_coordinator(): a copy of the cluster's coordinator (a clone of its files, or
 *	  a restored dump) becomes another coordinator beside it.  And taking over the owner's
 *	  map of shards, whenever a session finds that it has changed (transaction/attached.c
 *	  says what that is for).
 *
 * The copy brings the structure along: tables, types, functions, policies.  What the map
 * changes here is where things are: servers with their options, placements of shards and
 * which of them are active, and what tables are at the owner (cz.attached_tables), which is
 * compared before they are used.  Servers have no secrets; a new one gets user mappings like
 * those that another worker has here.
 *
 * No lock of a table is needed for that: writers have the owner's locks of the shards that
 * they use, and readers may go on where they are.
 *
 * Sequences: default values of distributed tables take values of a block of their own, of
 * 2^48 for each coordinator; those that are too small for that give none here.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "cluster_int.h"
#include "cz/cluster.h"
#include "cz/remote.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(cz_attach_coordinator);
PG_FUNCTION_INFO_V1(cz_detach_coordinator);
PG_FUNCTION_INFO_V1(cz_register_coordinator);
PG_FUNCTION_INFO_V1(cz_unregister_coordinator);

/* Name of the server that is the owner */
#define OWNER_SERVER "cz_owner"

/* A line of the map, as cz.coordinator_shards() gives it. */
typedef struct MapLine
{
	char	   *what;
	char	   *name;
	int64		shard_id;
	char	   *value;
	char	   *active;
} MapLine;

/* ---- SQL here -------------------------------------------------------------- */

/* Run a command within SPI. */
static void
run(const char *sql)
{
	int			result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
}

/* The first value of a query's first row, within SPI; NULL: there is none. */
static char *
ask(const char *sql)
{
	run(sql);
	return SPI_processed > 0 && SPI_tuptable != NULL ?
		SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : NULL;
}

static void
begin_spi(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
drop_owner_server(void)
{
	if (OidIsValid(get_foreign_server_oid(OWNER_SERVER, true)))
		run("DROP SERVER " OWNER_SERVER " CASCADE");
}

/* ---- the map --------------------------------------------------------------- */

static void
take_lines(CzOutsideCommand *command, PGresult *res)
{
	List	  **lines = command->arg;
	int			i;

	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQnfields(res) != 5)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("the owner of the cluster has not given its map of shards")));
	for (i = 0; i < PQntuples(res); i++)
	{
		MapLine    *line = palloc(sizeof(MapLine));

		line->what = pstrdup(CzResultText(res, i, 0));
		line->name = pstrdup(CzResultText(res, i, 1));
		line->shard_id = strtoll(CzResultText(res, i, 2), NULL, 10);
		line->value = pstrdup(CzResultText(res, i, 3));
		line->active = pstrdup(CzResultText(res, i, 4));
		*lines = lappend(*lines, line);
	}
}

/* One command at the owner, outside of the transaction; its answer.  Errors: 08001 */
static char *
ask_owner(const char *sql, List **lines)
{
	Oid			server_oid = get_foreign_server_oid(OWNER_SERVER, false);
	CzOutsideCommand command;

	memset(&command, 0, sizeof(command));
	command.server_oid = server_oid;
	command.sql = sql;
	command.take = lines ? take_lines : NULL;
	command.arg = lines;
	CzOutsideRun(list_make1(&command), GetForeignServer(server_oid)->owner, false, true);
	if (!command.is_ok)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("the owner of the cluster could not be asked"),
				 command.answer ? errdetail_internal("%s", command.answer) : 0));
	return command.answer;
}

/* The options of the owner's server: list of DefElem. */
static List *
parse_options(const char *array)
{
	List	   *result = NIL;
	uint64		i;

	run(psprintf("SELECT option_name, option_value FROM pg_catalog.pg_options_to_table(%s::pg_catalog.text[])",
				 quote_literal_cstr(array)));
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		char	   *value = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);

		result = lappend(result,
						 makeDefElem(SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1),
									 (Node *) makeString(value ? value : pstrdup("")), -1));
	}
	return result;
}

/* A worker that the owner has got. */
static void
create_server(const char *name, List *options)
{
	const char *model = ask("SELECT s.srvname FROM pg_catalog.pg_foreign_server s, pg_catalog.pg_options_to_table(s.srvoptions) o "
							"WHERE o.option_name OPERATOR(pg_catalog.=) 'checked' AND o.option_value OPERATOR(pg_catalog.=) 'true' "
							"ORDER BY s.oid LIMIT 1");
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE SERVER %s FOREIGN DATA WRAPPER cz_fdw", quote_identifier(name));
	foreach(lc, options)
	{
		DefElem    *option = lfirst(lc);

		appendStringInfo(&sql, "%s%s %s", lc == list_head(options) ? " OPTIONS (" : ", ",
						 quote_identifier(option->defname), quote_literal_cstr(defGetString(option)));
	}
	if (options != NIL)
		appendStringInfoChar(&sql, ')');
	run(sql.data);
	if (model == NULL)
		return;
	run(psprintf("SELECT pg_catalog.format('CREATE USER MAPPING FOR %%s SERVER %%I%%s', "
				 "CASE WHEN m.umuser OPERATOR(pg_catalog.=) 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(m.usename) END, %s::pg_catalog.text, "
				 "(SELECT ' OPTIONS (' OPERATOR(pg_catalog.||) pg_catalog.string_agg(pg_catalog.format('%%I %%L', o.option_name, o.option_value), ', ') OPERATOR(pg_catalog.||) ')' "
				 "FROM pg_catalog.pg_options_to_table(m.umoptions) o)) "
				 "FROM pg_catalog.pg_user_mappings m WHERE m.srvname OPERATOR(pg_catalog.=) %s",
				 quote_literal_cstr(name), quote_literal_cstr(model)));
	{
		List	   *commands = NIL;
		uint64		i;

		for (i = 0; i < SPI_processed; i++)
			commands = lappend(commands, SPI_getvalue(SPI_tuptable->vals[i],
													  SPI_tuptable->tupdesc, 1));
		foreach(lc, commands)
			run(lfirst(lc));
	}
}

/* A worker's options become those that it has at the owner. */
static void
apply_node(const MapLine *line)
{
	Oid			server_oid = get_foreign_server_oid(line->name, true);
	List	   *options = parse_options(line->value);
	List	   *here;
	ListCell   *lc;

	if (!OidIsValid(server_oid))
	{
		create_server(line->name, options);
		CommandCounterIncrement();
		return;
	}
	here = GetForeignServer(server_oid)->options;
	foreach(lc, here)
	{
		const char *name = ((DefElem *) lfirst(lc))->defname;

		if (CzFindOption(options, name) == NULL)
			CzNodeSetOption(server_oid, name, NULL);
	}
	foreach(lc, options)
	{
		DefElem    *option = lfirst(lc);
		const char *now = CzFindOption(here, option->defname);

		if (now == NULL || strcmp(now, defGetString(option)) != 0)
			CzNodeSetOption(server_oid, option->defname, defGetString(option));
	}
}

/* Workers that the owner has no more are not used. */
static void
retire_nodes(List *names)
{
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
	{
		CzNode	   *node = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, names)
		{
			if (strcmp(lfirst(lc2), node->name) == 0)
				break;
		}
		if (lc2 != NULL)
			continue;
		CzNodeSetOption(node->server_oid, "checked", NULL);
		CzNodeSetOption(node->server_oid, "state", "disabled");
	}
}

static Oid
table_of(const char *name)
{
	return RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name))),
							NoLock, true);
}

static List *
parse_servers(const char *names)
{
	return names[0] == '\0' ? NIL : CzParseServerNames(names);
}

/* Where a shard's placements are, and which are active. */
static void
apply_shard(const MapLine *line, List *inactive)
{
	Oid			relid = table_of(line->name);
	const CzTable *table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	int			index = table ? CzShardIndexOf(table, line->shard_id) : -1;
	const CzShard *shard;
	List	   *all;
	List	   *active = parse_servers(line->active);
	List	   *before = CzInactiveServers(inactive, line->shard_id);
	bool		is_changed = false;
	Oid			shard_relid;
	ListCell   *lc;

	if (index < 0)
		return;					/* its table is not that of the owner */
	shard = &table->shards[index];
	shard_relid = shard->relid;
	if (shard->is_copy)
	{
		all = NIL;
		foreach(lc, CzNodeList(true))
		{
			if (((CzNode *) lfirst(lc))->is_checked)
				all = lappend_oid(all, ((CzNode *) lfirst(lc))->server_oid);
		}
	}
	else
	{
		all = parse_servers(line->value);
		if (all != NIL && !equal(all, CzShardServers(shard_relid)))
			CzShardSetPlacements(shard_relid, all);
	}
	foreach(lc, before)
	{
		if (list_member_oid(active, lfirst_oid(lc)) || !list_member_oid(all, lfirst_oid(lc)))
			is_changed |= CzInactiveDelete(line->shard_id, lfirst_oid(lc)) > 0;
	}
	foreach(lc, all)
	{
		if (!list_member_oid(active, lfirst_oid(lc)))
			is_changed |= CzInactiveInsert(line->shard_id, lfirst_oid(lc),
										   "it is not active at the owner of the cluster");
	}
	if (is_changed)
	{
		CacheInvalidateRelcacheByRelid(shard_relid);
		CacheInvalidateRelcacheByRelid(relid);
	}
}

static void
apply_table(const MapLine *line)
{
	Oid			relid = table_of(line->name);

	if (!OidIsValid(relid) || CzTableGet(relid) == NULL)
	{
		ereport(DEBUG1,
				(errmsg_internal("table %s of the cluster's owner is not known to this coordinator",
						line->name)));
		return;
	}
	run(psprintf("INSERT INTO cz.attached_tables VALUES (%u, %s)", relid,
				 quote_literal_cstr(line->value)));
}

/*
 * apply_map
 *		Take over the owner's map as it is now.
 */
static void
apply_map(void)
{
	List	   *lines = NIL;
	List	   *names = NIL;
	List	   *inactive;
	const char *version = NULL;
	char		mark[NAMEDATALEN] = "";
	int			epoch = 0;
	ListCell   *lc;

	begin_spi();
	run("LOCK TABLE cz.attached IN SHARE ROW EXCLUSIVE MODE");
	(void) ask_owner(psprintf("SELECT what, name, shard_id, value, active FROM cz.coordinator_shards('%s')",
							  ask("SELECT token FROM cz.attached")), &lines);
	foreach(lc, lines)
	{
		const MapLine *line = lfirst(lc);

		if (strcmp(line->what, "version") == 0)
			version = line->value;
		if (strcmp(line->what, "node") == 0)
		{
			apply_node(line);
			names = lappend(names, line->name);
		}
	}
	if (version == NULL || sscanf(version, "%d %63s", &epoch, mark) != 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("the owner of the cluster has not given its map of shards")));
	retire_nodes(names);
	CommandCounterIncrement();
	inactive = CzInactiveList();
	run("DELETE FROM cz.attached_tables");
	foreach(lc, lines)
	{
		const MapLine *line = lfirst(lc);

		if (strcmp(line->what, "table") == 0)
			apply_table(line);
		if (strcmp(line->what, "shard") == 0)
			apply_shard(line, inactive);
	}
	run(psprintf("UPDATE cz.cluster SET epoch = %d WHERE epoch OPERATOR(pg_catalog.<>) %d",
				 epoch, epoch));
	run(psprintf("UPDATE cz.attached SET map_version = %s, owner_mark = %s, synced_at = pg_catalog.clock_timestamp()",
				 quote_literal_cstr(version), quote_literal_cstr(mark)));
	SPI_finish();
}

/* In a background worker: a session has found that the map has changed. */
static void
map_task(int64 arg)
{
	MemoryContext context = CurrentMemoryContext;

	CzTaskSession();
	PG_TRY();
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (CzTxnIsAttached())
			apply_map();
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		CzTaskErrorToLog(context, NULL);
	}
	PG_END_TRY();
}

/*
 * CzAttachInit
 *		See cz/cluster.h.
 */
void
CzAttachInit(void)
{
	cz_background[CZ_BACKGROUND_MAP] = map_task;
}

/* ---- attach ---------------------------------------------------------------- */

static void
check_superuser(const char *what)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to %s a coordinator", what)));
}

/* The server that is the owner, with a mapping for all, or for who has given a password. */
static void
create_owner_server(const char *conninfo)
{
	char	   *message = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo, &message);
	PQconninfoOption *option;
	StringInfoData server;
	StringInfoData mapping;
	const char *user = NULL;
	bool		has_password = false;

	if (options == NULL)
	{
		char	   *copy = message ? pstrdup(message) : NULL;

		PQfreemem(message);
		/* libpq's words may have parts of it, a password among them */
		(void) copy;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid connection string"),
				 errhint("It is written as for psql: \"host=... dbname=...\".")));
	}
	initStringInfo(&server);
	initStringInfo(&mapping);
	appendStringInfoString(&server, "CREATE SERVER " OWNER_SERVER " FOREIGN DATA WRAPPER cz_fdw OPTIONS (coordinator 'true'");
	for (option = options; option->keyword != NULL; option++)
	{
		bool		is_secret = strchr(option->dispchar, '*') != NULL;

		if (option->val == NULL)
			continue;
		if (strcmp(option->keyword, "user") == 0)
			user = pstrdup(option->val);
		else if (is_secret)
		{
			has_password = true;
			appendStringInfo(&mapping, ", %s %s", quote_identifier(option->keyword),
							 quote_literal_cstr(option->val));
		}
		else
			appendStringInfo(&server, ", %s %s", quote_identifier(option->keyword),
							 quote_literal_cstr(option->val));
	}
	PQconninfoFree(options);
	appendStringInfoChar(&server, ')');
	run(server.data);
	run(psprintf("CREATE USER MAPPING FOR %s SERVER " OWNER_SERVER " OPTIONS (user %s, password_required 'false'%s)",
				 has_password ? "CURRENT_USER" : "PUBLIC",
				 quote_literal_cstr(user ? user : GetUserNameFromId(GetUserId(), false)),
				 mapping.data));
	CommandCounterIncrement();
}

/* Sequences whose values go into distributed tables get a block of their own. */
static void
divide_sequences(int number)
{
	List	   *commands = NIL;
	ListCell   *lc;
	uint64		i;

	run(psprintf("SELECT CASE WHEN s.seqtypid OPERATOR(pg_catalog.=) 'pg_catalog.int8'::pg_catalog.regtype THEN "
				 "pg_catalog.format('ALTER SEQUENCE %%s MINVALUE %%s MAXVALUE %%s START %%s RESTART NO CYCLE', "
				 "s.seqrelid::pg_catalog.regclass, (%1$d::pg_catalog.int8 OPERATOR(pg_catalog.<<) 48) OPERATOR(pg_catalog.+) 1, "
				 "(%2$d::pg_catalog.int8 OPERATOR(pg_catalog.<<) 48), (%1$d::pg_catalog.int8 OPERATOR(pg_catalog.<<) 48) OPERATOR(pg_catalog.+) 1) "
				 "ELSE pg_catalog.format('ALTER SEQUENCE %%s MINVALUE 1 MAXVALUE 2 START 1 INCREMENT 1 RESTART NO CYCLE; SELECT pg_catalog.setval(%%L, 2, true)', "
				 "s.seqrelid::pg_catalog.regclass, s.seqrelid::pg_catalog.regclass) END "
				 "FROM pg_catalog.pg_sequence s WHERE s.seqincrement OPERATOR(pg_catalog.>) 0 AND EXISTS (SELECT FROM pg_catalog.pg_depend d "
				 "LEFT JOIN pg_catalog.pg_attrdef a ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid OPERATOR(pg_catalog.=) d.objid "
				 "JOIN cz.tables t ON t.relid::pg_catalog.oid OPERATOR(pg_catalog.=) coalesce(a.adrelid, CASE WHEN d.objid OPERATOR(pg_catalog.=) s.seqrelid THEN d.refobjid END) "
				 "WHERE (d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) s.seqrelid) "
				 "OR (d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) s.seqrelid AND d.deptype IN ('a', 'i')))",
				 number, number + 1));
	for (i = 0; i < SPI_processed; i++)
		commands = lappend(commands, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	foreach(lc, commands)
		run(lfirst(lc));
}

/*
 * cz_attach_coordinator(conninfo text, coordinator_name text)
 *		1. the server that is the owner; 2. the owner takes this one down; 3. what only an
 *		owner has is forgotten; 4. the map.
 */
Datum
cz_attach_coordinator(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *id;
	char	   *token;
	char	   *cluster_id;
	char	   *number;

	PreventCommandIfReadOnly("cz_attach_coordinator()");
	PreventCommandDuringRecovery("cz_attach_coordinator()");
	check_superuser("attach");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a connection string is needed")));
	if (CzTxnIsAttached())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is attached already"),
				 errhint("SELECT cz_detach_coordinator() ends that.")));
	if (CzTxnIsCoordinator())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is the coordinator of a cluster of its own"),
				 errhint("Attach a copy of the owner's database: a clone of its server, or its dump, restored.")));
	begin_spi();
	run("DELETE FROM cz.attached");
	drop_owner_server();
	create_owner_server(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	id = ask("SELECT pg_catalog.gen_random_uuid()");
	token = ask("SELECT pg_catalog.gen_random_uuid()");
	cluster_id = ask("SELECT cluster_id FROM cz.cluster");
	name = PG_ARGISNULL(1) ? psprintf("coordinator_%.8s", id) :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	number = ask_owner(psprintf("SELECT cz.register_coordinator('%s', '%s', '%s', %s, '%s')",
								cluster_id, id, token, quote_literal_cstr(name),
								CzTxnPlaceValues()), NULL);
	run(psprintf("INSERT INTO cz.attached SELECT '%s', '%s', %s, '" OWNER_SERVER "', '', '', pg_catalog.now(), %s",
				 id, token, quote_literal_cstr(name), CzTxnPlaceValues()));
	run("DELETE FROM cz.coordinators");
	run("DELETE FROM cz.transaction_log");
	run("DELETE FROM cz.dirty_shards");
	/* what the owner unseals would not be known here */
	run("DELETE FROM cz.sealed_shards");
	CacheInvalidateRelcacheAll();
	divide_sequences(number ? atoi(number) : 0);
	CommandCounterIncrement();
	apply_map();
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

static char *
uuid_text(Datum value)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, value));
}

/*
 * cz_register_coordinator(cluster uuid, id uuid, new_token uuid, coordinator_name text,
 *						   place text)
 *		At the owner.  Returns: the number.  An attempt that has failed is forgotten.
 */
Datum
cz_register_coordinator(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(3));
	char	   *number;
	char	   *values[3];
	int			i;

	CzTxnCheckCoordinator();
	for (i = 0; i < 3; i++)
		values[i] = quote_literal_cstr(uuid_text(PG_GETARG_DATUM(i)));
	begin_spi();
	run("LOCK TABLE cz.coordinators IN SHARE ROW EXCLUSIVE MODE");
	if (ask(psprintf("SELECT 1 FROM cz.cluster WHERE cluster_id OPERATOR(pg_catalog.=) %s", values[0])) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the database is not a copy of this cluster's coordinator"),
				 errhint("Attach a clone of its server, or its dump, restored.")));
	run(psprintf("DELETE FROM cz.coordinators c WHERE c.place OPERATOR(pg_catalog.=) %s",
				 quote_literal_cstr(text_to_cstring(PG_GETARG_TEXT_PP(4)))));
	if (ask(psprintf("SELECT 1 FROM cz.coordinators WHERE name OPERATOR(pg_catalog.=) %s",
					 quote_literal_cstr(name))) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("coordinator \"%s\" is attached already", name),
				 errhint("SELECT cz_detach_coordinator() at the owner forgets one that is gone.")));
	number = ask(psprintf("INSERT INTO cz.coordinators SELECT %s, %s, n, %s, %s FROM pg_catalog.generate_series(1, 16383) n "
						  "WHERE NOT EXISTS (SELECT FROM cz.coordinators c WHERE c.number OPERATOR(pg_catalog.=) n) "
						  "ORDER BY n LIMIT 1 RETURNING number",
						  values[1], quote_literal_cstr(name), values[2],
						  quote_literal_cstr(text_to_cstring(PG_GETARG_TEXT_PP(4)))));
	if (number == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many coordinators are attached")));
	i = atoi(number);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%d", i)));
}

/*
 * cz_unregister_coordinator(old_token uuid)
 *		At the owner, by the coordinator itself.
 */
Datum
cz_unregister_coordinator(PG_FUNCTION_ARGS)
{
	Oid			user_oid;
	int			sec_context;
	bool		is_known;

	CzTxnCheckCoordinator();
	/* the token is what gives the right */
	GetUserIdAndSecContext(&user_oid, &sec_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	begin_spi();
	is_known = ask(psprintf("DELETE FROM cz.coordinators WHERE token OPERATOR(pg_catalog.=) %s RETURNING 'yes'",
							quote_literal_cstr(uuid_text(PG_GETARG_DATUM(0))))) != NULL;
	SPI_finish();
	SetUserIdAndSecContext(user_oid, sec_context);
	PG_RETURN_BOOL(is_known);
}

/* ---- detach ---------------------------------------------------------------- */

/* An attached coordinator leaves. */
static void
detach_self(bool force)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *sql;

	begin_spi();
	sql = psprintf("SELECT cz.unregister_coordinator('%s')", ask("SELECT token FROM cz.attached"));
	PG_TRY();
	{
		(void) ask_owner(sql, NULL);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (!force || geterrcode() != ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ereport(WARNING,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("the owner of the cluster could not be told"),
				 errdetail_internal("%s", error->message),
				 errhint("There, too, run cz_detach_coordinator(), with this one's name.")));
	}
	PG_END_TRY();
	run("DELETE FROM cz.attached_tables");
	run("DELETE FROM cz.attached");
	drop_owner_server();
	SPI_finish();
}

/*
 * cz_detach_coordinator(coordinator_name text, force boolean)
 *		At an attached coordinator without a name; at the owner with one, where force means
 *		that it can't be reached, and is to be fenced on the workers.
 */
Datum
cz_detach_coordinator(PG_FUNCTION_ARGS)
{
	bool		force = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	char	   *name;

	PreventCommandIfReadOnly("cz_detach_coordinator()");
	check_superuser("detach");
	if (PG_ARGISNULL(0))
	{
		if (!CzTxnIsAttached())
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("this database is not attached"),
					 errhint("At the owner of the cluster the coordinator's name is needed.")));
		detach_self(force);
		PG_RETURN_VOID();
	}
	CzTxnCheckCoordinator();
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	begin_spi();
	if (ask(psprintf("DELETE FROM cz.coordinators WHERE name OPERATOR(pg_catalog.=) %s RETURNING 'yes'",
					 quote_literal_cstr(name))) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no coordinator \"%s\" is attached", name),
				 errhint("See cz_coordinators.")));
	SPI_finish();
	if (force)
		(void) CzTxnRaiseEpoch();
	PG_RETURN_VOID();
}
