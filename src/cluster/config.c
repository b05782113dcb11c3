/*-------------------------------------------------------------------------
 *
 * config.c
 *	  Make the cluster what a cluster file says.
 *
 * Declared things are created or changed, others are left alone: a file never
 * removes anything.  What is so already gives no row, so a second import of a
 * file gives none.  The rows of the plan and the doing come from one walk, and
 * with dry_run the walk only looks.  All of it is in the caller's transaction,
 * with the caller's rights.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_user_mapping.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "cluster_int.h"
#include "config_int.h"
#include "cz/settings.h"

PG_FUNCTION_INFO_V1(cz_import_cluster);
PG_FUNCTION_INFO_V1(cz_import_cluster_file);

#define MAX_FILE_BYTES (32 * 1024 * 1024)
#define MAX_PASSWORD_BYTES 4096

/* One import. */
typedef struct Import
{
	CzConfig   *config;
	bool		dry_run;
	ReturnSetInfo *rsinfo;		/* the plan's rows go there */
	const char *where;			/* part of the file being worked on, for errors */
} Import;

static void
add_row(Import *import, const char *action, char *object, char *detail)
{
	Datum		values[3];
	bool		nulls[3] = {0};

	values[0] = CStringGetTextDatum(action);
	values[1] = CStringGetTextDatum(object);
	values[2] = CStringGetTextDatum(detail);
	tuplestore_putvalues(import->rsinfo->setResult, import->rsinfo->setDesc, values, nulls);
}

static void
import_error_context(void *arg)
{
	Import	   *import = (Import *) arg;

	if (import->where)
		errcontext("cluster file, %s", import->where);
}

/*
 * Those options of wanted that existing has not or has otherwise, ready for an
 * ALTER (DEFELEM_ADD, DEFELEM_SET).
 */
static List *
changed_options(List *wanted, List *existing)
{
	List	   *changes = NIL;
	ListCell   *cell;

	foreach(cell, wanted)
	{
		DefElem    *def = (DefElem *) lfirst(cell);
		const char *old = CzFindOption(existing, def->defname);
		DefElem    *change;

		if (old != NULL && strcmp(old, defGetString(def)) == 0)
			continue;
		change = makeDefElem(def->defname, def->arg, -1);
		change->defaction = old ? DEFELEM_SET : DEFELEM_ADD;
		changes = lappend(changes, change);
	}
	return changes;
}

/* "host 'a', port '1'"; a password's value is never shown. */
static char *
describe_options(List *options)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (buf.len > 0)
			appendStringInfoString(&buf, ", ");
		if (strcmp(def->defname, "password") == 0)
			appendStringInfoString(&buf, "password");
		else
			appendStringInfo(&buf, "%s %s", def->defname,
							 quote_literal_cstr(defGetString(def)));
	}
	return buf.data;
}

/* ------------------------------------------------------------------------
 * Defaults
 * ------------------------------------------------------------------------
 */

static void
run_sql(const char *sql)
{
	int			result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	SPI_finish();
}

/* A setting of the database, for this session at once. */
static void
import_default(Import *import, const char *name, int wanted, int current)
{
	if (wanted == 0 || wanted == current)
		return;
	add_row(import, "set", psprintf("setting %s", name), psprintf("%d", wanted));
	if (import->dry_run)
		return;
	run_sql(psprintf("ALTER DATABASE %s SET %s = %d",
					 quote_identifier(get_database_name(MyDatabaseId)), name, wanted));
	run_sql(psprintf("SELECT pg_catalog.set_config('%s', '%d', false)", name, wanted));
}

/* ------------------------------------------------------------------------
 * Workers
 * ------------------------------------------------------------------------
 */

static void
import_named_worker(Import *import, CzConfigWorker *worker)
{
	Oid			server_oid = get_foreign_server_oid(worker->name, true);
	char	   *object = psprintf("server %s", quote_identifier(worker->name));

	if (!OidIsValid(server_oid))
	{
		CreateForeignServerStmt *stmt = makeNode(CreateForeignServerStmt);

		add_row(import, "create", object, describe_options(worker->options));
		if (import->dry_run)
			return;
		stmt->servername = worker->name;
		stmt->fdwname = pstrdup("cz_fdw");
		stmt->options = worker->options;
		(void) CreateForeignServer(stmt);
	}
	else
	{
		AlterForeignServerStmt *stmt = makeNode(AlterForeignServerStmt);

		(void) CzNodeGet(server_oid);	/* 42809 if it is another wrapper's */
		stmt->servername = worker->name;
		stmt->options = changed_options(worker->options,
										GetForeignServer(server_oid)->options);
		if (stmt->options == NIL)
			return;
		add_row(import, "alter", object, describe_options(stmt->options));
		if (import->dry_run)
			return;
		(void) AlterForeignServer(stmt);
	}
	CommandCounterIncrement();
}

/* A line of a membership file does what citus_add_node does. */
static void
import_listed_worker(Import *import, CzConfigWorker *worker)
{
	int			node_id;

	if (CzNodeFind(worker->host, worker->port, get_database_name(MyDatabaseId)) != NULL)
		return;
	add_row(import, "create", psprintf("server at %s:%d", worker->host, worker->port),
			psprintf("host %s, port '%d', dbname %s", quote_literal_cstr(worker->host),
					 worker->port, quote_literal_cstr(get_database_name(MyDatabaseId))));
	if (!import->dry_run)
		(void) CzNodeAdd(worker->host, worker->port, &node_id);
}

/* ------------------------------------------------------------------------
 * User mappings
 * ------------------------------------------------------------------------
 */

static void
require_file_access(const char *what)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser or have privileges of the pg_read_server_files role to read %s",
						what)));
}

/*
 * A whole file, NUL-terminated.  Only regular ones: a device or a pipe may
 * never end.
 */
static char *
read_file(const char *path, size_t max_bytes, size_t *length)
{
	struct stat st;
	int			fd;
	ssize_t		n;
	char	   *data;

	/* what is looked at is what is read; to open a pipe must not wait for a writer */
	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\" for reading: %m", path)));
	if (fstat(fd, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	if (!S_ISREG(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", path)));
	if ((uint64) st.st_size > max_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file \"%s\" is too large", path),
				 errdetail("It has %lld bytes, the limit is %zu.",
						   (long long) st.st_size, max_bytes)));
	data = palloc(st.st_size + 1);
	*length = 0;
	while (*length < (size_t) st.st_size)
	{
		n = read(fd, data + *length, st.st_size - *length);
		if (n < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", path)));
		if (n == 0)
			break;				/* it has become shorter */
		*length += n;
	}
	if (CloseTransientFile(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", path)));
	data[*length] = '\0';
	return data;
}

/* The password of a mapping, or NULL; *source says where it is from. */
static char *
read_password(const CzConfigMapping *mapping, char **source)
{
	char	   *password;
	size_t		length;

	if (mapping->password_file)
	{
		require_file_access("a password file");
		password = read_file(mapping->password_file, MAX_PASSWORD_BYTES, &length);
		password[strcspn(password, "\r\n")] = '\0';
		*source = psprintf("password from file %s",
						   quote_literal_cstr(mapping->password_file));
	}
	else if (mapping->password_env)
	{
		if (!superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be superuser to read a password from the server's environment")));
		password = getenv(mapping->password_env);
		if (password == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("environment variable \"%s\" is not set",
							mapping->password_env),
					 errdetail("The variable must be set where the server was started.")));
		password = pstrdup(password);
		*source = psprintf("password from environment variable %s",
						   quote_literal_cstr(mapping->password_env));
	}
	else
		return NULL;
	if (password[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("password is empty")));
	return password;
}

/* Options of an existing mapping; false if there is none. */
static bool
mapping_options(Oid server_oid, Oid role_oid, List **options)
{
	HeapTuple	tuple;
	Datum		datum;
	bool		isnull;

	*options = NIL;
	if (!OidIsValid(server_oid))
		return false;
	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role_oid),
							ObjectIdGetDatum(server_oid));
	if (!HeapTupleIsValid(tuple))
		return false;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions,
							&isnull);
	if (!isnull)
		*options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return true;
}

/* Is there a worker of this name, in the catalogs or in the file? */
static bool
worker_is_known(const Import *import, const char *name)
{
	ListCell   *cell;

	if (OidIsValid(get_foreign_server_oid(name, true)))
		return true;
	foreach(cell, import->config->workers)
	{
		CzConfigWorker *worker = (CzConfigWorker *) lfirst(cell);

		if (worker->name && strcmp(worker->name, name) == 0)
			return true;
	}
	return false;
}

static RoleSpec *
make_role(const char *name)
{
	RoleSpec   *role = makeNode(RoleSpec);

	role->roletype = name ? ROLESPEC_CSTRING : ROLESPEC_PUBLIC;
	role->rolename = name ? pstrdup(name) : NULL;
	role->location = -1;
	return role;
}

static char *
describe_mapping(List *options, const char *password_source)
{
	List	   *shown = NIL;
	ListCell   *cell;
	char	   *text;

	foreach(cell, options)
	{
		if (strcmp(((DefElem *) lfirst(cell))->defname, "password") != 0)
			shown = lappend(shown, lfirst(cell));
	}
	text = describe_options(shown);
	if (list_length(shown) == list_length(options))
		return text;
	return psprintf("%s%s%s", text, text[0] ? ", " : "", password_source);
}

static void
import_mapping(Import *import, CzConfigMapping *mapping)
{
	Oid			server_oid = get_foreign_server_oid(mapping->worker, true);
	Oid			role_oid = mapping->role ? get_role_oid(mapping->role, false) : InvalidOid;
	List	   *wanted = mapping->options;
	List	   *existing;
	List	   *changes;
	char	   *source = NULL;
	char	   *password;
	bool		exists;
	char	   *object;

	if (!worker_is_known(import, mapping->worker))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s\" does not exist", mapping->worker)));
	password = read_password(mapping, &source);
	if (password)
		wanted = lappend(list_copy(wanted),
						 makeDefElem(pstrdup("password"), (Node *) makeString(password), -1));

	exists = mapping_options(server_oid, role_oid, &existing);
	/* as for ALTER USER MAPPING; a plan must not tell what another's holds */
	if (exists && !(role_oid == GetUserId() ||
					has_privs_of_role(GetUserId(), GetForeignServer(server_oid)->owner)))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, mapping->worker);
	if (mapping->password_omitted && password == NULL &&
		CzFindOption(existing, "password") == NULL &&
		CzFindOption(existing, "scram_client_key") == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("the password of the user mapping for %s on node \"%s\" is not in the cluster file",
						mapping->role ? quote_identifier(mapping->role) : "PUBLIC",
						mapping->worker),
				 errhint("Use \"password_file\" or \"password_env\", or ALTER USER MAPPING.")));
	changes = changed_options(wanted, existing);
	if (exists && changes == NIL)
		return;

	object = psprintf("user mapping for %s on server %s",
					  mapping->role ? quote_identifier(mapping->role) : "PUBLIC",
					  quote_identifier(mapping->worker));
	add_row(import, exists ? "alter" : "create", object,
			describe_mapping(exists ? changes : wanted, source));
	if (import->dry_run)
		return;
	if (exists)
	{
		AlterUserMappingStmt *stmt = makeNode(AlterUserMappingStmt);

		stmt->user = make_role(mapping->role);
		stmt->servername = mapping->worker;
		stmt->options = changes;
		(void) AlterUserMapping(stmt);
	}
	else
	{
		CreateUserMappingStmt *stmt = makeNode(CreateUserMappingStmt);

		stmt->user = make_role(mapping->role);
		stmt->servername = mapping->worker;
		stmt->options = wanted;
		(void) CreateUserMapping(stmt);
	}
	CommandCounterIncrement();
}

/* ------------------------------------------------------------------------
 * Tables
 * ------------------------------------------------------------------------
 */

static Oid
resolve_table(const char *name)
{
	RangeVar   *range_var =
	makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));

	return RangeVarGetRelid(range_var, AccessShareLock, false);
}

static bool
is_word(const char *colocate_with)
{
	return colocate_with == NULL || strcmp(colocate_with, "default") == 0 ||
		strcmp(colocate_with, "none") == 0;
}

static void
refuse_difference(const CzConfigTable *table, const char *what, const char *is,
				  const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("table \"%s\" is already distributed differently", table->name),
			 errdetail("Its %s is %s, the cluster file says %s.", what, is, wanted),
			 errhint("Undistribute the table first, or change the cluster file.")));
}

static const char *
kind_name(char kind)
{
	return kind == CZ_TABLE_REFERENCE ? "reference" : kind == CZ_TABLE_RANGE ? "range" :
		kind == CZ_TABLE_SINGLE ? "single" : "hash";
}

/* A table that is distributed already must be what the file says. */
static void
compare_table(const CzConfigTable *table, const CzTable *actual)
{
	if (actual->kind != (CzTableKind) table->kind)
		refuse_difference(table, "type", kind_name(actual->kind), kind_name(table->kind));
	if (table->kind == CZ_TABLE_REFERENCE)
		return;
	if (table->column != NULL &&
		strcmp(actual->column_names[actual->key_attno - 1], table->column) != 0)
		refuse_difference(table, "distribution column",
						  actual->column_names[actual->key_attno - 1], table->column);
	if (table->shard_count != 0 && table->shard_count != actual->nshards &&
		table->shard_count != CzGroupShardCount(actual))
		refuse_difference(table, "number of shards", psprintf("%d", actual->nshards),
						  psprintf("%d", table->shard_count));
	if (table->replication_factor != 0 && actual->nshards > 0)
	{
		int			factor = list_length(CzShardServers(actual->shards[0].relid));

		if (factor != table->replication_factor)
			refuse_difference(table, "replication factor", psprintf("%d", factor),
							  psprintf("%d", table->replication_factor));
	}
	if (!is_word(table->colocate_with))
	{
		const CzTable *other = CzTableGet(resolve_table(table->colocate_with));

		if (other == NULL || other->colocation_id != actual->colocation_id)
			refuse_difference(table, "colocation group", "another one",
							  psprintf("that of \"%s\"", table->colocate_with));
	}
}

static char *
describe_table(const CzConfigTable *table)
{
	StringInfoData buf;

	if (table->kind == CZ_TABLE_REFERENCE)
		return pstrdup("reference table");
	initStringInfo(&buf);
	if (table->column)
		appendStringInfo(&buf, "%s by %s", table->is_append ? "append" : kind_name(table->kind),
						 quote_identifier(table->column));
	else
		appendStringInfoString(&buf, "single shard");
	if (table->colocate_with)
		appendStringInfo(&buf, ", colocated with %s", table->colocate_with);
	if (table->shard_count)
		appendStringInfo(&buf, ", %d shards", table->shard_count);
	if (table->replication_factor)
		appendStringInfo(&buf, ", replication factor %d", table->replication_factor);
	return buf.data;
}

/* The table's replication factor until AtEOXact_GUC(true, result). */
static int
set_replication_factor(const CzConfigTable *table)
{
	int			nest_level = NewGUCNestLevel();

	/* the one that comes first (CzReplicationFactor) */
	if (table->replication_factor)
		(void) set_config_option("citus.shard_replication_factor",
								 psprintf("%d", table->replication_factor),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

static void
distribute(const CzConfigTable *table)
{
	int			nest_level = set_replication_factor(table);
	char	   *name = quote_literal_cstr(CzRelationName(table->relid));
	StringInfoData sql;

	initStringInfo(&sql);
	if (table->kind == CZ_TABLE_REFERENCE)
		appendStringInfo(&sql, "SELECT pg_catalog.create_reference_table(%s)", name);
	else
	{
		appendStringInfo(&sql, "SELECT pg_catalog.create_distributed_table(%s, %s, %s",
						 name, table->column ? quote_literal_cstr(table->column) : "NULL",
						 table->column == NULL ? "NULL" : table->is_append ? "'append'" :
						 quote_literal_cstr(kind_name(table->kind)));
		if (table->colocate_with)
			appendStringInfo(&sql, ", colocate_with => %s",
							 quote_literal_cstr(is_word(table->colocate_with) ?
												table->colocate_with :
												CzRelationName(resolve_table(table->colocate_with))));
		if (table->shard_count)
			appendStringInfo(&sql, ", shard_count => %d", table->shard_count);
		appendStringInfoChar(&sql, ')');
	}
	run_sql(sql.data);
	AtEOXact_GUC(true, nest_level);
	CommandCounterIncrement();
}

/* A value as its type prints it: '2024-1-1' and '2024-01-01' are one date. */
static char *
canonical_value(Oid type, int32 typmod, char *value)
{
	Oid			input;
	Oid			ioparam;
	Oid			output;
	bool		is_varlena;

	if (value == NULL)
		return NULL;
	getTypeInputInfo(type, &input, &ioparam);
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, OidInputFunctionCall(input, value, ioparam, typmod));
}

static bool
same_bound(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
has_range(const CzTable *table, const char *from, const char *to)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		char	   *lower;
		char	   *upper;

		CzShardBounds(table, i, &lower, &upper);
		if (same_bound(lower, from) && same_bound(upper, to))
			return true;
	}
	return false;
}

/* Shards of a range table that it has not yet. */
static void
import_ranges(Import *import, const CzConfigTable *table)
{
	AttrNumber	attno = get_attnum(table->relid, table->column);
	Oid			type;
	int32		typmod;
	Oid			collation;
	ListCell   *cell;

	if (attno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist",
						table->column, table->name)));
	get_atttypetypmodcoll(table->relid, attno, &type, &typmod, &collation);
	foreach(cell, table->ranges)
	{
		List	   *range = (List *) lfirst(cell);
		char	   *from = canonical_value(type, typmod, linitial(range));
		char	   *to = canonical_value(type, typmod, lsecond(range));
		const CzTable *actual = CzTableGet(table->relid);
		int			nest_level;

		if (actual != NULL && actual->kind == CZ_TABLE_RANGE && has_range(actual, from, to))
			continue;
		add_row(import, "create", psprintf("shard of table %s", CzRelationName(table->relid)),
				psprintf("%s%s%s%s%s", from ? quote_literal_cstr(from) : "",
						 from ? " <= " : "", quote_identifier(table->column),
						 to ? " < " : "", to ? quote_literal_cstr(to) : ""));
		if (import->dry_run)
			continue;
		nest_level = set_replication_factor(table);
		run_sql(psprintf("SELECT pg_catalog.cz_create_range_shard(%s, %s, %s)",
						 quote_literal_cstr(CzRelationName(table->relid)),
						 from ? quote_literal_cstr(from) : "NULL",
						 to ? quote_literal_cstr(to) : "NULL"));
		AtEOXact_GUC(true, nest_level);
		CommandCounterIncrement();
	}
}

static void
import_table(Import *import, CzConfigTable *table)
{
	const CzTable *actual = CzTableGet(table->relid);

	if (actual != NULL && actual->kind != CZ_TABLE_FOREIGN)
		compare_table(table, actual);
	else
	{
		add_row(import, "distribute", psprintf("table %s", CzRelationName(table->relid)),
				describe_table(table));
		if (!import->dry_run)
			distribute(table);
	}
	if (table->ranges != NIL)
		import_ranges(import, table);
}

/* Must this table wait for another of the list that it is colocated with? */
static bool
must_wait(const CzConfigTable *table, List *waiting)
{
	ListCell   *cell;
	Oid			other_relid;

	if (is_word(table->colocate_with))
		return false;
	other_relid = resolve_table(table->colocate_with);
	if (other_relid == table->relid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" cannot be colocated with itself", table->name)));
	foreach(cell, waiting)
	{
		CzConfigTable *other = (CzConfigTable *) lfirst(cell);

		if (other->relid == other_relid && !other->is_done)
			return true;
	}
	return false;
}

/*
 * In the file's order, but a table after the one that it is colocated with.
 */
static void
import_tables(Import *import)
{
	List	   *waiting = NIL;
	ListCell   *cell;

	foreach(cell, import->config->tables)
	{
		CzConfigTable *table = (CzConfigTable *) lfirst(cell);
		ListCell   *other;

		import->where = table->where;
		table->relid = resolve_table(table->name);
		foreach(other, waiting)
		{
			if (((CzConfigTable *) lfirst(other))->relid == table->relid)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("table \"%s\" is given twice", table->name)));
		}
		waiting = lappend(waiting, table);
	}

	while (waiting != NIL)
	{
		List	   *next = NIL;

		foreach(cell, waiting)
		{
			CzConfigTable *table = (CzConfigTable *) lfirst(cell);

			import->where = table->where;
			if (must_wait(table, waiting))
				next = lappend(next, table);
			else
			{
				import_table(import, table);
				table->is_done = true;
			}
		}
		if (list_length(next) == list_length(waiting))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("circular colocation in cluster file")));
		waiting = next;
	}
	import->where = NULL;
}

/* ------------------------------------------------------------------------
 * SQL functions
 * ------------------------------------------------------------------------
 */

/*
 * 1. defaults, which distributing uses; 2. workers; 3. user mappings; 4. checks
 * of the workers, now that they can be connected to; 5. tables.
 */
static void
run_import(FunctionCallInfo fcinfo, const char *text, size_t length, bool dry_run)
{
	Import		import = {0};
	ErrorContextCallback callback;
	ListCell   *cell;
	int			nest_level;

	InitMaterializedSRF(fcinfo, 0);
	if (!OidIsValid(CzFdwOid()))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("foreign-data wrapper \"cz_fdw\" does not exist"),
				 errdetail("It is the extension's, and has been renamed."),
				 errhint("Rename it back.")));
	import.config = CzConfigParse(text, length);
	import.dry_run = dry_run;
	import.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	callback.callback = import_error_context;
	callback.arg = &import;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	import_default(&import, "cz.shard_count", import.config->shard_count, cz_shard_count);
	import_default(&import, "cz.shard_replication_factor", import.config->replication_factor,
				   cz_shard_replication_factor);
	foreach(cell, import.config->workers)
	{
		CzConfigWorker *worker = (CzConfigWorker *) lfirst(cell);

		import.where = worker->where;
		if (worker->name)
			import_named_worker(&import, worker);
		else
			import_listed_worker(&import, worker);
	}
	foreach(cell, import.config->mappings)
	{
		CzConfigMapping *mapping = (CzConfigMapping *) lfirst(cell);

		import.where = mapping->where;
		import_mapping(&import, mapping);
	}
	foreach(cell, import.config->workers)
	{
		CzConfigWorker *worker = (CzConfigWorker *) lfirst(cell);

		import.where = worker->where;
		if (!dry_run && worker->name)
			CzNodeCheck(get_foreign_server_oid(worker->name, false));
	}
	import.where = NULL;

	/* bounds of shards mean the same whoever imports the file */
	nest_level = CzPinTextSettings(CZ_PIN_TEXT | CZ_PIN_MONEY | CZ_PIN_DATE_ORDER);
	import_tables(&import);
	CzUnpinTextSettings(nest_level);
	error_context_stack = callback.previous;
}

/*
 * cz_import_cluster
 *		Make the cluster what a JSON text says; returns what was (dry_run: would
 *		be) done.
 */
Datum
cz_import_cluster(PG_FUNCTION_ARGS)
{
	char	   *config;
	char	   *utf8;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("config cannot be NULL")));
	config = text_to_cstring(PG_GETARG_TEXT_PP(0));
	utf8 = pg_server_to_any(config, strlen(config), PG_UTF8);
	run_import(fcinfo, utf8, strlen(utf8), !PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	return (Datum) 0;
}

/*
 * cz_import_cluster_file
 *		The same for a file on the server.
 */
Datum
cz_import_cluster_file(PG_FUNCTION_ARGS)
{
	char	   *path;
	char	   *config;
	size_t		length;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("path cannot be NULL")));
	require_file_access("a cluster file");
	path = text_to_cstring(PG_GETARG_TEXT_PP(0));
	config = read_file(path, MAX_FILE_BYTES, &length);
	run_import(fcinfo, config, length, !PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	return (Datum) 0;
}
