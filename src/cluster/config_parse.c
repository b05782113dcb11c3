/*-------------------------------------------------------------------------
 *
 * config_parse.c
 *	  From the text of a cluster file to values; everything that can be
 *	  refused without looking at the catalogs is refused here.
 *
 * The file is JSON:
 *	  defaults		shard_count, replication_factor
 *	  workers		name, host, port, dbname, zone, weight, options, and
 *					user_mappings of this worker
 *	  user_mappings worker, role, user, password_file, password_env,
 *					password_required, options
 *	  tables		name, type, column, colocate_with, shard_count,
 *					replication_factor, ranges (each with from and to)
 * or the membership file of old: a line "host port" for each worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"

#include "cluster_int.h"
#include "config_int.h"
#include "cz/compat.h"
#include "cz/settings.h"

/* A file larger or deeper than any real cluster needs is an attack or a mistake. */
#define MAX_CONFIG_BYTES (16 * 1024 * 1024)
#define MAX_CONFIG_DEPTH 16

#define MAX_PORT 65535
#define MAX_REPLICATION_FACTOR 64
#define DEFAULT_PORT 5432

static const char *const top_keys[] = {"defaults", "workers", "user_mappings", "tables", NULL};
static const char *const default_keys[] = {"shard_count", "replication_factor", NULL};
static const char *const worker_keys[] = {"name", "host", "port", "dbname", "zone", "weight",
"options", "user_mappings", NULL};
static const char *const mapping_keys[] = {"worker", "role", "user", "password_file",
"password_env", "password_required", "password_omitted", "options", NULL};
static const char *const table_keys[] = {"name", "type", "column", "colocate_with",
"shard_count", "replication_factor", "ranges", NULL};
static const char *const range_keys[] = {"from", "to", NULL};

pg_noreturn static void refuse(const CzJson *json, const char *message);

static void
refuse(const CzJson *json, const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid " CONFIG_WHAT ": %s", message),
			 errdetail("At %s.", CzJsonWhere(json))));
}

static void
expect_type(const CzJson *json, CzJsonType type)
{
	if (json->type != type)
		refuse(json, psprintf("expected %s, not %s", CzJsonTypeName(type),
							  CzJsonTypeName(json->type)));
}

/* An object with keys of the list only. */
static void
expect_object(const CzJson *json, const char *const *keys)
{
	int			i;
	int			j;

	expect_type(json, CZ_JSON_OBJECT);
	for (i = 0; i < json->nitems; i++)
	{
		StringInfoData valid;

		initStringInfo(&valid);
		for (j = 0; keys[j] != NULL; j++)
		{
			if (strcmp(keys[j], json->items[i]->key) == 0)
				break;
			appendStringInfo(&valid, "%s%s", j > 0 ? ", " : "", keys[j]);
		}
		if (keys[j] != NULL)
			continue;
		if (strcmp(json->items[i]->key, "password") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid " CONFIG_WHAT ": passwords do not belong into it"),
					 errdetail("At %s.", CzJsonWhere(json->items[i])),
					 errhint("Use \"password_file\" or \"password_env\".")));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid " CONFIG_WHAT ": unrecognized key \"%s\"",
						json->items[i]->key),
				 errdetail("At %s.", CzJsonWhere(json->items[i])),
				 errhint("Valid keys here are: %s.", valid.data)));
	}
}

/* A string member that is not empty; NULL if it is absent and not required. */
static char *
get_string(const CzJson *object, const char *key, bool required)
{
	const CzJson *member = CzJsonMember(object, key);

	if (member == NULL)
	{
		if (required)
			refuse(object, psprintf("key \"%s\" is missing", key));
		return NULL;
	}
	expect_type(member, CZ_JSON_STRING);
	if (member->string[0] == '\0')
		refuse(member, "the string must not be empty");
	return member->string;
}

/* A name of PostgreSQL's: no longer than that. */
static char *
get_name(const CzJson *object, const char *key, bool required)
{
	char	   *name = get_string(object, key, required);

	if (name != NULL && strlen(name) >= NAMEDATALEN)
		refuse(CzJsonMember(object, key),
			   psprintf("the name is longer than %d bytes", NAMEDATALEN - 1));
	return name;
}

/* An integer member within bounds, or 0 if it is absent. */
static int
get_integer(const CzJson *object, const char *key, int min, int max)
{
	const CzJson *member = CzJsonMember(object, key);

	if (member == NULL)
		return 0;
	expect_type(member, CZ_JSON_INTEGER);
	if (member->integer < min || member->integer > max)
		refuse(member, psprintf("the number must be between %d and %d", min, max));
	return (int) member->integer;
}

static int
get_shard_count(const CzJson *object)
{
	int			count = get_integer(object, "shard_count", 1, CZ_MAX_SHARD_COUNT);

	if ((count & (count - 1)) != 0)
		refuse(CzJsonMember(object, "shard_count"),
			   "the number of shards must be a power of two");
	return count;
}

static DefElem *
make_option(const char *name, const char *value)
{
	return makeDefElem(pstrdup(name), (Node *) makeString(pstrdup(value)), -1);
}

/* Members of the object "options" as further options; none twice. */
static List *
add_options(const CzJson *object, List *options)
{
	const CzJson *member = CzJsonMember(object, "options");
	int			i;

	if (member == NULL)
		return options;
	expect_type(member, CZ_JSON_OBJECT);
	for (i = 0; i < member->nitems; i++)
	{
		const CzJson *item = member->items[i];
		ListCell   *cell;
		char	   *value = NULL;

		foreach(cell, options)
		{
			if (strcmp(((DefElem *) lfirst(cell))->defname, item->key) == 0)
				refuse(item, psprintf("option \"%s\" is given twice", item->key));
		}
		/* what the extension itself keeps there, and what must not be in a file */
		if (strcmp(item->key, "checked") == 0 ||
			strcmp(item->key, "collation_differs") == 0 ||
			strcmp(item->key, "identity") == 0 ||
			strcmp(item->key, "installed_extensions") == 0 ||
			strcmp(item->key, "partial_aggregates") == 0 || strcmp(item->key, "node_id") == 0 ||
			strcmp(item->key, "server_version") == 0 || strcmp(item->key, "state") == 0)
			refuse(item, psprintf("option \"%s\" cannot be set here", item->key));
		if (strcmp(item->key, "password") == 0 || strcmp(item->key, "sslpassword") == 0)
			refuse(item, "passwords do not belong into it");
		if (strcmp(item->key, "scram_client_key") == 0 || strcmp(item->key, "scram_server_key") == 0)
			refuse(item, "SCRAM keys do not belong into it");
		if (item->type == CZ_JSON_STRING)
			value = item->string;
		else if (item->type == CZ_JSON_BOOL)
			value = item->boolean ? "true" : "false";
		else if (item->type == CZ_JSON_INTEGER)
			value = psprintf(INT64_FORMAT, item->integer);
		else if (item->type == CZ_JSON_REAL)
			value = psprintf("%.15g", item->real);
		else
			refuse(item, psprintf("an option cannot be %s", CzJsonTypeName(item->type)));
		options = lappend(options, make_option(item->key, value));
	}
	return options;
}

static void
parse_mapping(CzConfig *config, const CzJson *json, const char *worker)
{
	CzConfigMapping *mapping = palloc0(sizeof(CzConfigMapping));
	const CzJson *member;
	char	   *value;
	ListCell   *cell;

	expect_object(json, mapping_keys);
	mapping->where = CzJsonWhere(json);
	if (worker != NULL && CzJsonMember(json, "worker") != NULL)
		refuse(CzJsonMember(json, "worker"), "the mapping stands in its worker already");
	mapping->worker = worker ? pstrdup(worker) : get_name(json, "worker", true);
	mapping->role = get_name(json, "role", true);
	if (pg_strcasecmp(mapping->role, "public") == 0)
		mapping->role = NULL;
	value = get_string(json, "user", false);
	if (value)
		mapping->options = lappend(mapping->options, make_option("user", value));
	member = CzJsonMember(json, "password_required");
	if (member)
	{
		expect_type(member, CZ_JSON_BOOL);
		mapping->options = lappend(mapping->options,
								   make_option("password_required",
											   member->boolean ? "true" : "false"));
	}
	mapping->options = add_options(json, mapping->options);
	mapping->password_file = get_string(json, "password_file", false);
	mapping->password_env = get_string(json, "password_env", false);
	if (mapping->password_file && mapping->password_env)
		refuse(CzJsonMember(json, "password_env"),
			   "both \"password_file\" and \"password_env\" are given");
	member = CzJsonMember(json, "password_omitted");
	if (member)
	{
		expect_type(member, CZ_JSON_BOOL);
		mapping->password_omitted = member->boolean;
	}

	foreach(cell, config->mappings)
	{
		CzConfigMapping *other = (CzConfigMapping *) lfirst(cell);

		if (strcmp(other->worker, mapping->worker) == 0 &&
			(other->role ? mapping->role && strcmp(other->role, mapping->role) == 0
			 : mapping->role == NULL))
			refuse(json, "the user mapping is given twice");
	}
	config->mappings = lappend(config->mappings, mapping);
}

static void
parse_mappings(CzConfig *config, const CzJson *json, const char *worker)
{
	int			i;

	if (json == NULL)
		return;
	expect_type(json, CZ_JSON_ARRAY);
	for (i = 0; i < json->nitems; i++)
		parse_mapping(config, json->items[i], worker);
}

static void
parse_worker(CzConfig *config, const CzJson *json)
{
	CzConfigWorker *worker = palloc0(sizeof(CzConfigWorker));
	const CzJson *member;
	char	   *value;
	ListCell   *cell;

	expect_object(json, worker_keys);
	worker->where = CzJsonWhere(json);
	worker->name = get_name(json, "name", true);
	foreach(cell, config->workers)
	{
		if (strcmp(((CzConfigWorker *) lfirst(cell))->name, worker->name) == 0)
			refuse(CzJsonMember(json, "name"),
				   psprintf("node \"%s\" is given twice", worker->name));
	}
	worker->host = get_string(json, "host", false);
	if (worker->host)
		worker->options = lappend(worker->options, make_option("host", worker->host));
	worker->port = get_integer(json, "port", 1, MAX_PORT);
	if (worker->port)
		worker->options = lappend(worker->options,
								  make_option("port", psprintf("%d", worker->port)));
	value = get_string(json, "dbname", false);
	if (value)
		worker->options = lappend(worker->options, make_option("dbname", value));
	value = get_string(json, "zone", false);
	if (value)
		worker->options = lappend(worker->options, make_option("zone", value));
	member = CzJsonMember(json, "weight");
	if (member)
	{
		if (member->type != CZ_JSON_INTEGER)
			expect_type(member, CZ_JSON_REAL);
		if (!(member->real > 0) || isinf(member->real))
			refuse(member, "the weight must be greater than 0");
		worker->options = lappend(worker->options,
								  make_option("weight", psprintf("%.15g", member->real)));
	}
	worker->options = add_options(json, worker->options);
	config->workers = lappend(config->workers, worker);
	parse_mappings(config, CzJsonMember(json, "user_mappings"), worker->name);
}

/* The shards of a range table. */
static void
parse_ranges(CzConfigTable *table, const CzJson *json)
{
	const CzJson *member = CzJsonMember(json, "ranges");
	int			i;

	if (table->kind == CZ_TABLE_RANGE && table->shard_count != 0)
		refuse(CzJsonMember(json, "shard_count"),
			   "a range table has \"ranges\" instead of \"shard_count\"");
	if (member == NULL)
		return;
	if (table->kind != CZ_TABLE_RANGE)
		refuse(member, "only a range table has \"ranges\"");
	expect_type(member, CZ_JSON_ARRAY);
	for (i = 0; i < member->nitems; i++)
	{
		expect_object(member->items[i], range_keys);
		table->ranges = lappend(table->ranges,
								list_make2(get_string(member->items[i], "from", false),
										   get_string(member->items[i], "to", false)));
	}
}

static void
parse_table(CzConfig *config, const CzJson *json)
{
	CzConfigTable *table = palloc0(sizeof(CzConfigTable));
	const CzJson *member;
	char	   *type;

	expect_object(json, table_keys);
	table->where = CzJsonWhere(json);
	table->name = get_string(json, "name", true);
	type = get_string(json, "type", false);
	if (type == NULL || strcmp(type, "hash") == 0)
		table->kind = CZ_TABLE_HASH;
	else if (strcmp(type, "range") == 0 || strcmp(type, "append") == 0)
	{
		table->kind = CZ_TABLE_RANGE;
		table->is_append = strcmp(type, "append") == 0;
	}
	else if (strcmp(type, "single") == 0)
		table->kind = CZ_TABLE_SINGLE;
	else if (strcmp(type, "reference") == 0)
		table->kind = CZ_TABLE_REFERENCE;
	else
		refuse(CzJsonMember(json, "type"),
			   "the type must be \"hash\", \"range\", \"append\", \"single\" or \"reference\"");

	if (table->kind == CZ_TABLE_REFERENCE)
	{
		static const char *const forbidden[] = {"column", "colocate_with", "shard_count",
		"replication_factor", "ranges", NULL};
		int			i;

		for (i = 0; forbidden[i]; i++)
		{
			member = CzJsonMember(json, forbidden[i]);
			if (member)
				refuse(member, psprintf("a reference table has no \"%s\"", forbidden[i]));
		}
	}
	else
	{
		member = CzJsonMember(json, "column");
		if (table->kind == CZ_TABLE_SINGLE && member)
			refuse(member, "a single-shard table has no \"column\"");
		member = CzJsonMember(json, "shard_count");
		if (table->kind == CZ_TABLE_SINGLE && member)
			refuse(member, "a single-shard table has no \"shard_count\"");
		table->column = get_name(json, "column", table->kind != CZ_TABLE_SINGLE);
		table->colocate_with = get_string(json, "colocate_with", false);
		table->shard_count = get_shard_count(json);
		table->replication_factor = get_integer(json, "replication_factor", 1,
												MAX_REPLICATION_FACTOR);
		parse_ranges(table, json);
	}
	config->tables = lappend(config->tables, table);
}

static void
parse_json(CzConfig *config, const char *text, size_t length)
{
	CzJson	   *root = CzJsonParse(text, length, CONFIG_WHAT, MAX_CONFIG_BYTES,
								   MAX_CONFIG_DEPTH);
	CzJson	   *member;
	int			i;

	expect_object(root, top_keys);
	member = CzJsonMember(root, "defaults");
	if (member)
	{
		expect_object(member, default_keys);
		config->shard_count = get_shard_count(member);
		config->replication_factor = get_integer(member, "replication_factor", 1,
												 MAX_REPLICATION_FACTOR);
	}
	member = CzJsonMember(root, "workers");
	if (member)
	{
		expect_type(member, CZ_JSON_ARRAY);
		for (i = 0; i < member->nitems; i++)
			parse_worker(config, member->items[i]);
	}
	parse_mappings(config, CzJsonMember(root, "user_mappings"), NULL);
	member = CzJsonMember(root, "tables");
	if (member)
	{
		expect_type(member, CZ_JSON_ARRAY);
		for (i = 0; i < member->nitems; i++)
			parse_table(config, member->items[i]);
	}
}

static void
refuse_line(int line, int column, const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid membership file: %s", message),
			 errdetail("At line %d, column %d.", line, column)));
}

/* One line of a membership file: "host [port]", "#" begins a comment. */
static void
parse_line(CzConfig *config, char *line, int line_number)
{
	char	   *words[3];
	int			nwords = 0;
	char	   *comment = strchr(line, '#');
	char	   *at = line;
	CzConfigWorker *worker;
	int			port = DEFAULT_PORT;
	ListCell   *cell;

	if (comment)
		*comment = '\0';
	while (*at)
	{
		while (*at && isspace((unsigned char) *at))
			*at++ = '\0';
		if (*at == '\0')
			break;
		if (nwords == 2)
			refuse_line(line_number, (int) (at - line) + 1,
						"expected \"host port\" and nothing more");
		words[nwords++] = at;
		while (*at && !isspace((unsigned char) *at))
			at++;
	}
	if (nwords == 0)
		return;
	if (nwords == 2)
	{
		char	   *end;
		long		value;

		errno = 0;
		value = strtol(words[1], &end, 10);
		if (errno != 0 || end == words[1] || *end != '\0' || value < 1 || value > MAX_PORT)
			refuse_line(line_number, (int) (words[1] - line) + 1,
						psprintf("the port must be between 1 and %d", MAX_PORT));
		port = (int) value;
	}
	foreach(cell, config->workers)
	{
		CzConfigWorker *other = (CzConfigWorker *) lfirst(cell);

		if (other->port == port && pg_strcasecmp(other->host, words[0]) == 0)
			refuse_line(line_number, (int) (words[0] - line) + 1,
						"the worker is given twice");
	}
	worker = palloc0(sizeof(CzConfigWorker));
	worker->where = psprintf("line %d", line_number);
	worker->host = pg_any_to_server(words[0], strlen(words[0]), PG_UTF8);
	worker->port = port;
	config->workers = lappend(config->workers, worker);
}

static void
parse_membership(CzConfig *config, const char *text, size_t length)
{
	const char *at = text;
	const char *end = text + length;
	int			line_number = 1;
	int			valid;

	if (length > MAX_CONFIG_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("membership file is too large"),
				 errdetail("It has %zu bytes, the limit is %d.", length, MAX_CONFIG_BYTES)));
	valid = pg_encoding_verifymbstr(PG_UTF8, text, (int) length);
	if (valid != (int) length || memchr(text, '\0', length) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("membership file is not text in UTF-8")));

	while (at < end)
	{
		const char *newline = memchr(at, '\n', end - at);
		const char *line_end = newline ? newline : end;

		parse_line(config, pnstrdup(at, line_end - at), line_number++);
		at = newline ? newline + 1 : end;
	}
}

/*
 * CzConfigParse
 *		See config_int.h.  A membership file is what begins with anything but
 *		a bracket or a quote.
 */
CzConfig *
CzConfigParse(const char *text, size_t length)
{
	CzConfig   *config = palloc0(sizeof(CzConfig));
	size_t		i = 0;

	/* a byte order mark */
	if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
	{
		text += 3;
		length -= 3;
	}
	while (i < length && strchr(" \t\r\n", text[i]) != NULL && text[i] != '\0')
		i++;
	if (i < length && (isalnum((unsigned char) text[i]) || text[i] == '#') &&
		strncmp(text + i, "true", 4) != 0 && strncmp(text + i, "null", 4) != 0)
		parse_membership(config, text, length);
	else
		parse_json(config, text, length);
	return config;
}
