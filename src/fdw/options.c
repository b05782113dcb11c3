/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of servers, user mappings, foreign tables and columns: which
 *	  exist, which values they take, and who may set them.
 *
 * All options of libpq are accepted, those that postgres_fdw has (so that a
 * script made for it needs nothing but the other wrapper's name), and our own.
 * Secrets are accepted in user mappings only: pg_foreign_server is readable
 * by everybody.  What the value means is decided where it is used; here it
 * only must be well-formed, so that a mistake is found when it is made.
 *
 * Source: own work; the split of libpq's options between server and user
 * mapping, and the options reserved to superusers, follow
 * contrib/postgres_fdw/option.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "fdw_int.h"

/* A name further than this from every valid one gets the list, not a guess. */
#define CZ_MAX_OPTION_DISTANCE 4

typedef void (*CzOptionCheck) (const char *name, const char *value);

typedef struct CzOption
{
	const char *name;
	Oid			catalog;		/* where it may appear */
	CzOptionCheck check;		/* NULL: any text */
} CzOption;

static void check_bool(const char *name, const char *value);
static void check_cost(const char *name, const char *value);
static void check_count(const char *name, const char *value);
static void check_extensions(const char *name, const char *value);
static void check_identifier(const char *name, const char *value);
static void check_integer(const char *name, const char *value);
static void check_placements(const char *name, const char *value);
static void check_port(const char *name, const char *value);
static void check_scram_key(const char *name, const char *value);
static void check_sampling(const char *name, const char *value);
static void check_shard_id(const char *name, const char *value);
static void check_sslmode(const char *name, const char *value);
static void check_state(const char *name, const char *value);
static void check_target_session(const char *name, const char *value);
static void check_weight(const char *name, const char *value);

/* Options that libpq does not know. */
static const CzOption own_options[] = {
	{"analyze_sampling", ForeignServerRelationId, check_sampling},
	{"analyze_sampling", ForeignTableRelationId, check_sampling},
	{"async_capable", ForeignServerRelationId, check_bool},
	{"async_capable", ForeignTableRelationId, check_bool},
	{"batch_size", ForeignServerRelationId, check_count},
	{"batch_size", ForeignTableRelationId, check_count},
	{"checked", ForeignServerRelationId, check_bool},
	{"clone_of", ForeignServerRelationId, check_identifier},
	{"collation_differs", ForeignServerRelationId, check_bool},
	{"column_name", AttributeRelationId, check_identifier},
	{"coordinator", ForeignServerRelationId, check_bool},
	{"extensions", ForeignServerRelationId, check_extensions},
	{"fdw_startup_cost", ForeignServerRelationId, check_cost},
	{"fdw_tuple_cost", ForeignServerRelationId, check_cost},
	{"fetch_size", ForeignServerRelationId, check_count},
	{"fetch_size", ForeignTableRelationId, check_count},
	{"identity", ForeignServerRelationId, check_identifier},
	{"installed_extensions", ForeignServerRelationId, NULL},
	{"keep_connections", ForeignServerRelationId, check_bool},
	{"node_id", ForeignServerRelationId, check_count},
	{"number_base", ForeignTableRelationId, check_integer},
	{"parallel_abort", ForeignServerRelationId, check_bool},
	{"parallel_commit", ForeignServerRelationId, check_bool},
	{"partial_aggregates", ForeignServerRelationId, check_identifier},
	{"password_required", UserMappingRelationId, check_bool},
	{"placements", ForeignTableRelationId, check_placements},
	{"pool_size", ForeignServerRelationId, check_count},
	{"schema_name", ForeignTableRelationId, check_identifier},
	{"shard_id", ForeignTableRelationId, check_shard_id},
	{"server_version", ForeignServerRelationId, check_count},
	{"should_have_shards", ForeignServerRelationId, check_bool},
	{"sslcert", UserMappingRelationId, NULL},
	{"sslkey", UserMappingRelationId, NULL},
	{"state", ForeignServerRelationId, check_state},
	{"table_name", ForeignTableRelationId, check_identifier},
	{"truncatable", ForeignServerRelationId, check_bool},
	{"truncatable", ForeignTableRelationId, check_bool},
	{"updatable", ForeignServerRelationId, check_bool},
	{"updatable", ForeignTableRelationId, check_bool},
	{"use_remote_estimate", ForeignServerRelationId, check_bool},
	{"use_remote_estimate", ForeignTableRelationId, check_bool},
	{"weight", ForeignServerRelationId, check_weight},
	{"zone", ForeignServerRelationId, check_identifier},
};

/* For a libpq that knows SCRAM keys, and those of a session for a server that does. */
static const CzOption scram_options[] = {
	{"scram_client_key", UserMappingRelationId, check_scram_key},
	{"scram_server_key", UserMappingRelationId, check_scram_key},
	{"use_scram_passthrough", ForeignServerRelationId, check_bool},
	{"use_scram_passthrough", UserMappingRelationId, check_bool},
};

/* Options of libpq whose values are checked. */
static const CzOption libpq_checks[] = {
	{"connect_timeout", InvalidOid, check_integer},
	{"keepalives", InvalidOid, check_integer},
	{"keepalives_count", InvalidOid, check_integer},
	{"keepalives_idle", InvalidOid, check_integer},
	{"keepalives_interval", InvalidOid, check_integer},
	{"port", InvalidOid, check_port},
	{"sslmode", InvalidOid, check_sslmode},
	{"target_session_attrs", InvalidOid, check_target_session},
	{"tcp_user_timeout", InvalidOid, check_integer},
};

/* All of them; made at first use, backend lifetime. */
static CzOption *all_options = NULL;
static int	n_all_options = 0;

static void
init_options(void)
{
	PQconninfoOption *defaults;
	CzOption   *options;
	int			n = 0;
	int			i;

	if (all_options != NULL)
		return;

	/* Kept for the backend's life: the names are borrowed from it. */
	defaults = PQconndefaults();
	if (defaults == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Could not get libpq's default connection options.")));

	while (defaults[n].keyword != NULL)
		n++;
	options = malloc(sizeof(CzOption) * (n + lengthof(own_options) + lengthof(scram_options)));
	if (options == NULL)
	{
		PQconninfoFree(defaults);
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}

	n = 0;
	for (i = 0; defaults[i].keyword != NULL; i++)
	{
		const char *name = defaults[i].keyword;
		int			j;

		/* Debug options are hidden; the encoding and the name are ours to set; nobody could
		 * log in at an identity provider. */
		if (strchr(defaults[i].dispchar, 'D') || strncmp(name, "oauth_", 6) == 0 ||
			strcmp(name, "fallback_application_name") == 0 ||
			strcmp(name, "client_encoding") == 0)
			continue;

		options[n].name = name;
		options[n].catalog = (strcmp(name, "user") == 0 ||
							  strchr(defaults[i].dispchar, '*')) ?
			UserMappingRelationId : ForeignServerRelationId;
		options[n].check = NULL;
		for (j = 0; j < lengthof(libpq_checks); j++)
		{
			if (strcmp(libpq_checks[j].name, name) == 0)
				options[n].check = libpq_checks[j].check;
		}
		n++;
	}
	memcpy(options + n, own_options, sizeof(own_options));
	n_all_options = n + lengthof(own_options);
	/* what neither libpq nor the server knows is refused, not ignored */
	for (i = 0; i < lengthof(scram_options); i++)
	{
		if (scram_options[i].check == check_bool ? CzScramKeysAreKnown() && CZ_HAS_SESSION_KEYS_COMPAT :
			CzScramKeysAreKnown())
			options[n_all_options++] = scram_options[i];
	}
	all_options = options;
}

static const char *
catalog_noun(Oid catalog)
{
	switch (catalog)
	{
		case ForeignServerRelationId:
			return "a server";
		case UserMappingRelationId:
			return "a user mapping";
		case ForeignTableRelationId:
			return "a foreign table";
		case AttributeRelationId:
			return "a column";
		default:
			return "a foreign-data wrapper";
	}
}

/*
 * Refuse an option, with the most useful hint that we have: the object that it
 * belongs to, the name that was meant, or the list of names.
 */
static void
refuse_option(const char *name, Oid catalog)
{
	const char *nearest = NULL;
	int			nearest_distance = CZ_MAX_OPTION_DISTANCE + 1;
	int			len = strlen(name);
	StringInfoData names;
	char	   *hint;
	int			i;

	if (strncmp(name, "oauth_", 6) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", name),
				 errdetail("A session has nobody who could log in to a worker at an identity provider."),
				 errhint("Use a password, SCRAM keys or a certificate.")));
	for (i = 0; i < lengthof(scram_options); i++)
	{
		if (strcmp(scram_options[i].name, name) == 0 &&
			(!CzScramKeysAreKnown() || scram_options[i].check == check_bool) &&
			!(CzScramKeysAreKnown() && CZ_HAS_SESSION_KEYS_COMPAT))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", name),
					 scram_options[i].check == check_bool ?
					 errdetail("It takes a coordinator of PostgreSQL 18, and its libpq.") :
					 errdetail("It takes libpq 18.")));
	}

	initStringInfo(&names);
	for (i = 0; i < n_all_options; i++)
	{
		const CzOption *option = &all_options[i];
		int			distance;

		if (option->catalog != catalog)
			continue;
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", option->name);

		if (len >= NAMEDATALEN)
			continue;			/* the distance is computed for short texts only */
		distance = varstr_levenshtein_less_equal(name, len, option->name,
												 strlen(option->name), 1, 1, 1,
												 CZ_MAX_OPTION_DISTANCE, true);
		if (distance < nearest_distance && distance <= len / 2)
		{
			nearest = option->name;
			nearest_distance = distance;
		}
	}

	hint = NULL;
	for (i = 0; i < n_all_options && hint == NULL; i++)
	{
		if (strcmp(all_options[i].name, name) == 0)
			hint = psprintf(_("The option \"%s\" is set on %s."), name,
							catalog_noun(all_options[i].catalog));
	}
	if (hint == NULL && nearest != NULL)
		hint = psprintf(_("Perhaps you meant the option \"%s\"."), nearest);
	if (hint == NULL && names.len > 0)
		hint = psprintf(_("Valid options in this context are: %s"), names.data);
	if (hint == NULL)
		hint = pstrdup(_("There are no valid options in this context."));

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 errhint("%s", hint)));
}

/* One key alone opens nothing: libpq would take the other one from a password. */
static void
check_key_pair(List *options)
{
	const char *client_key = CzFdwOption(options, "scram_client_key");
	const char *server_key = CzFdwOption(options, "scram_server_key");

	if ((client_key == NULL) != (server_key == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"scram_client_key\" and \"scram_server_key\" must be set together")));
}

/*
 * cz_fdw_validator
 *		Validate the options of an object that uses the wrapper.
 *
 * Errors:  HV00D no such option here, 22023 malformed value, 42501 reserved to
 *		superusers.
 */
PG_FUNCTION_INFO_V1(cz_fdw_validator);

Datum
cz_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options_list = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	ListCell   *lc;

	init_options();

	foreach(lc, options_list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const CzOption *option = NULL;
		const char *value;
		int			i;

		for (i = 0; i < n_all_options && option == NULL; i++)
		{
			if (all_options[i].catalog == catalog &&
				strcmp(all_options[i].name, def->defname) == 0)
				option = &all_options[i];
		}
		if (option == NULL)
			refuse_option(def->defname, catalog);

		value = defGetString(def);
		if (option->check != NULL)
			option->check(def->defname, value);

		if (catalog != UserMappingRelationId || superuser())
			continue;

		/*
		 * An ALTER USER MAPPING gives all options to the validator, so nobody
		 * else can change a mapping that has one of these; dropping it is
		 * harmless, as is dropping and creating the mapping.
		 */
		if (strcmp(def->defname, "password_required") == 0 &&
			(pg_strcasecmp(value, "false") == 0 || pg_strcasecmp(value, "off") == 0))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("password_required=false is superuser-only"),
					 errhint("User mappings with the password_required option set to false may only be created or modified by the superuser.")));
		if (strcmp(def->defname, "sslcert") == 0 ||
			strcmp(def->defname, "sslkey") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("sslcert and sslkey are superuser-only"),
					 errhint("User mappings with the sslcert or sslkey options set may only be created or modified by the superuser.")));
	}

	check_key_pair(options_list);
	PG_RETURN_VOID();
}

static void
refuse_value(const char *name, const char *value, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errdetail("%s", expected)));
}

static void
check_one_of(const char *name, const char *value, const char *const *words)
{
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	for (i = 0; words[i] != NULL; i++)
	{
		if (strcmp(words[i], value) == 0)
			return;
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	refuse_value(name, value, psprintf(_("Valid values are: %s."), list.data));
}

/* The words that defGetBoolean() takes, so that every reader understands them. */
static void
check_bool(const char *name, const char *value)
{
	if (pg_strcasecmp(value, "true") != 0 && pg_strcasecmp(value, "false") != 0 &&
		pg_strcasecmp(value, "on") != 0 && pg_strcasecmp(value, "off") != 0)
		refuse_value(name, value, _("The value must be true, false, on or off."));
}

static void
check_cost(const char *name, const char *value)
{
	double		number;

	if (!parse_real(value, &number, 0, NULL) || isnan(number) || isinf(number) ||
		number < 0)
		refuse_value(name, value,
					 _("The value must be a number greater than or equal to zero."));
}

static void
check_weight(const char *name, const char *value)
{
	double		number;

	if (!parse_real(value, &number, 0, NULL) || isnan(number) || isinf(number) ||
		number <= 0)
		refuse_value(name, value, _("The value must be a number greater than zero."));
}

/* parse_int() would round "1.5" and take units. */
static bool
parse_integer(const char *value, int *number)
{
	char	   *end;
	long		parsed;

	errno = 0;
	parsed = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || parsed < INT_MIN || parsed > INT_MAX)
		return false;
	*number = (int) parsed;
	return true;
}

static void
check_count(const char *name, const char *value)
{
	int			number;

	if (!parse_integer(value, &number) || number <= 0)
		refuse_value(name, value, _("The value must be an integer greater than zero."));
}

/* libpq has its own ideas of the range: zero and below have meanings. */
static void
check_integer(const char *name, const char *value)
{
	int			number;

	if (value[0] != '\0' && !parse_integer(value, &number))
		refuse_value(name, value, _("The value must be an integer."));
}

/* As libpq: one port for every host of the host list, empty ones are 5432. */
static void
check_port(const char *name, const char *value)
{
	const char *p = value;

	for (;;)
	{
		char	   *end;
		long		port;

		while (*p == ' ')
			p++;
		if (*p != ',' && *p != '\0')
		{
			if (!isdigit((unsigned char) *p))
				break;
			errno = 0;
			port = strtol(p, &end, 10);
			if (errno != 0 || port < 1 || port > 65535)
				break;
			p = end;
			while (*p == ' ')
				p++;
		}
		if (*p == '\0')
			return;
		if (*p != ',')
			break;
		p++;
	}
	refuse_value(name, value, _("The value must be a port number between 1 and 65535."));
}

static void
check_sslmode(const char *name, const char *value)
{
	static const char *const words[] =
	{"disable", "allow", "prefer", "require", "verify-ca", "verify-full", NULL};

	check_one_of(name, value, words);
}

static void
check_target_session(const char *name, const char *value)
{
	static const char *const words[] =
	{"any", "read-write", "read-only", "primary", "standby", "prefer-standby", NULL};

	check_one_of(name, value, words);
}

/* 32 bytes in base64; not shown. */
static void
check_scram_key(const char *name, const char *value)
{
	if (strlen(value) != 44 || value[43] != '=' ||
		strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") != 43)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errdetail("The value must be 32 bytes in base64.")));
}

static void
check_sampling(const char *name, const char *value)
{
	static const char *const words[] =
	{"off", "auto", "random", "system", "bernoulli", NULL};

	check_one_of(name, value, words);
}

static void
check_state(const char *name, const char *value)
{
	static const char *const words[] = {"active", "disabled", NULL};

	check_one_of(name, value, words);
}

static void
check_identifier(const char *name, const char *value)
{
	if (value[0] == '\0')
		refuse_value(name, value, _("The value must not be empty."));
}

static void
check_shard_id(const char *name, const char *value)
{
	char	   *end;
	int64		shard_id;

	errno = 0;
	shard_id = strtoi64(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || shard_id <= 0)
		refuse_value(name, value, _("The value must be an integer greater than zero."));
}

static void
check_placements(const char *name, const char *value)
{
	List	   *servers;

	if (!SplitIdentifierString(pstrdup(value), ',', &servers) || servers == NIL)
		refuse_value(name, value,
					 _("The value must be a comma-separated list of server names."));
}

static void
check_extensions(const char *name, const char *value)
{
	List	   *extensions;
	ListCell   *lc;

	if (!SplitIdentifierString(pstrdup(value), ',', &extensions))
		refuse_value(name, value,
					 _("The value must be a comma-separated list of extension names."));

	foreach(lc, extensions)
	{
		const char *extension = lfirst(lc);

		if (!OidIsValid(get_extension_oid(extension, true)))
			ereport(WARNING,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("extension \"%s\" is not installed", extension)));
	}
}

/*
 * CzFdwOption
 *		See fdw_int.h.
 */
const char *
CzFdwOption(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

static const char *
table_or_server_option(ForeignTable *table, const char *name)
{
	const char *value = CzFdwOption(table->options, name);

	if (value == NULL)
		value = CzFdwOption(GetForeignServer(table->serverid)->options, name);
	return value;
}

bool
CzFdwBoolOption(ForeignTable *table, const char *name, bool default_value)
{
	const char *value = table_or_server_option(table, name);

	if (value == NULL)
		return default_value;
	return pg_strcasecmp(value, "true") == 0 || pg_strcasecmp(value, "on") == 0;
}

int
CzFdwIntOption(ForeignTable *table, const char *name, int default_value)
{
	const char *value = table_or_server_option(table, name);
	int			number;

	if (value == NULL || !parse_integer(value, &number))
		return default_value;
	return number;
}

double
CzFdwRealOption(ForeignTable *table, const char *name, double default_value)
{
	const char *value = table_or_server_option(table, name);
	double		number;

	if (value == NULL || !parse_real(value, &number, 0, NULL))
		return default_value;
	return number;
}
