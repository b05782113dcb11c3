/*-------------------------------------------------------------------------
 *
 * endpoint.c
 *	  From a server and a local role to libpq's connection parameters.
 *
 * The rules are postgres_fdw's: a role that is no superuser must bring a
 * password in its user mapping, or else it could borrow the server process's
 * identity (a .pgpass file, peer authentication); only a superuser can lift
 * that with password_required 'false'.  SCRAM keys are as good: those in the mapping, or
 * (use_scram_passthrough) those with which the client has logged in here, as that role.
 * libpq is then told to take part in SCRAM and in nothing else.
 *
 * Each statement asks several times, so the answers are kept until a server, a user
 * mapping or a role changes.  Who has one may keep it until the end of the
 * transaction: what was dropped meanwhile is freed by a later one.
 *
 * Source: own work; the rules follow contrib/postgres_fdw/connection.c,
 * PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_user_mapping.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "metadata_int.h"
#include "cz/settings.h"

/* Connection parameters that we add: the last one of a name wins in libpq. */
#define MAX_EXTRA_PARAMETERS 13

void		(*cz_before_connect) (void) = NULL;

static const char **libpq_keywords = NULL;	/* NULL-terminated; backend lifetime */

typedef struct EndpointKey
{
	Oid			server_oid;
	Oid			user_oid;
} EndpointKey;

typedef struct CachedEndpoint
{
	EndpointKey key;			/* first */
	CzEndpoint *endpoint;		/* NULL: none; in a context of its own */
	MemoryContext context;		/* that one; a child of endpoint_context */
	int			connect_timeout_ms; /* the setting that it was made with */
} CachedEndpoint;

/* An endpoint that somebody may still have. */
typedef struct RetiredEndpoint
{
	MemoryContext context;
	LocalTransactionId lxid;	/* of the transaction that saw it dropped */
	struct RetiredEndpoint *next;	/* all in their contexts */
} RetiredEndpoint;

static HTAB *endpoint_cache = NULL;
static MemoryContext endpoint_context = NULL;
static RetiredEndpoint *retired = NULL;
static bool must_drop = false;	/* something has changed since the last look */

/*
 * Names of libpq's connection options, less those for debugging (SCRAM keys are among them,
 * and stay), those that need a person, and those that we set ourselves.
 */
static const char **
get_libpq_keywords(void)
{
	PQconninfoOption *defaults;
	PQconninfoOption *option;
	const char **keywords;
	int			n = 0;

	if (libpq_keywords != NULL)
		return libpq_keywords;

	defaults = PQconndefaults();
	if (defaults == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Could not get libpq's default connection options.")));
	for (option = defaults; option->keyword; option++)
		n++;
	keywords = MemoryContextAllocExtended(TopMemoryContext, sizeof(char *) * (n + 1),
										  MCXT_ALLOC_NO_OOM);
	n = 0;
	for (option = defaults; keywords != NULL && option->keyword; option++)
	{
		char	   *copy;

		if ((strchr(option->dispchar, 'D') && strncmp(option->keyword, "scram_", 6) != 0) ||
			strncmp(option->keyword, "oauth_", 6) == 0 ||
			strcmp(option->keyword, "fallback_application_name") == 0 ||
			strcmp(option->keyword, "client_encoding") == 0)
			continue;
		copy = MemoryContextAllocExtended(TopMemoryContext, strlen(option->keyword) + 1,
										  MCXT_ALLOC_NO_OOM);
		if (copy == NULL)
		{
			keywords = NULL;
			break;
		}
		strcpy(copy, option->keyword);
		keywords[n++] = copy;
	}
	PQconninfoFree(defaults);
	if (keywords == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	keywords[n] = NULL;
	libpq_keywords = keywords;
	return libpq_keywords;
}

static void
add_parameter(CzEndpoint *endpoint, const char *keyword, const char *value)
{
	endpoint->keywords[endpoint->noptions] = keyword;
	endpoint->values[endpoint->noptions] = value;
	endpoint->noptions++;
	endpoint->keywords[endpoint->noptions] = NULL;
	endpoint->values[endpoint->noptions] = NULL;
}

static bool
has_parameter(const CzEndpoint *endpoint, const char *keyword)
{
	int			i;

	for (i = 0; i < endpoint->noptions; i++)
		if (strcmp(endpoint->keywords[i], keyword) == 0)
			return true;
	return false;
}

static void
add_default(CzEndpoint *endpoint, const char *keyword, const char *value)
{
	if (!has_parameter(endpoint, keyword))
		add_parameter(endpoint, keyword, value);
}

/* Take those options that are libpq's. */
static void
add_options(CzEndpoint *endpoint, List *options)
{
	const char **known = get_libpq_keywords();
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);
		const char **keyword;

		for (keyword = known; *keyword; keyword++)
			if (strcmp(*keyword, def->defname) == 0)
			{
				add_parameter(endpoint, *keyword, defGetString(def));
				break;
			}
	}
}

/* The role's mapping, else PUBLIC's; false if there is neither. */
static bool
find_mapping(Oid user_oid, Oid server_oid, Oid *umid, List **options)
{
	HeapTuple	tuple;
	Datum		datum;
	bool		isnull;

	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user_oid),
							ObjectIdGetDatum(server_oid));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server_oid));
	if (!HeapTupleIsValid(tuple))
		return false;
	*umid = ((Form_pg_user_mapping) GETSTRUCT(tuple))->oid;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions,
							&isnull);
	*options = isnull ? NIL : untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return true;
}

static bool
is_passed_through(List *options, bool *is_set)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (strcmp(def->defname, "use_scram_passthrough") != 0)
			continue;
		*is_set = true;
		return defGetBoolean(def);
	}
	return false;
}

/*
 * SCRAM keys, and that nothing but SCRAM will do; after the options, so that no option of
 * that name has a say.  The session's own come first.
 */
static void
add_keys(CzEndpoint *endpoint, List *server_options, List *mapping_options)
{
	char	   *client_key;
	char	   *server_key;
	bool		is_set = false;
	bool		is_passed = is_passed_through(server_options, &is_set);

	if (!is_set)
		is_passed = is_passed_through(mapping_options, &is_set);
	if (is_passed && CzScramSessionKeys(endpoint->user_oid, &client_key, &server_key))
	{
		add_parameter(endpoint, "scram_client_key", client_key);
		add_parameter(endpoint, "scram_server_key", server_key);
		endpoint->has_keys = true;
	}
	else
		endpoint->has_keys = has_parameter(endpoint, "scram_client_key") &&
			has_parameter(endpoint, "scram_server_key");
	if (endpoint->has_keys)
		add_parameter(endpoint, "require_auth", "scram-sha-256");
}

/*
 * May the role use what the mapping leaves to the server process?  Sets
 * must_use_password.
 */
static bool
check_password(CzEndpoint *endpoint, List *mapping_options)
{
	ListCell   *cell;
	bool		has_password = endpoint->has_keys;

	if (superuser_arg(endpoint->user_oid))
		return true;
	foreach(cell, mapping_options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (strcmp(def->defname, "password_required") == 0 && !defGetBoolean(def))
			return true;
		if (strcmp(def->defname, "password") == 0 && defGetString(def)[0] != '\0')
			has_password = true;
	}
	endpoint->must_use_password = has_password;
	return has_password;
}

static uint32
hash_parameters(const CzEndpoint *endpoint)
{
	uint32		hash = endpoint->must_use_password ? 1 : 0;
	int			i;

	for (i = 0; i < endpoint->noptions; i++)
	{
		hash = hash_combine(hash, string_hash(endpoint->keywords[i], NAMEDATALEN));
		hash = hash_combine(hash,
							hash_bytes((const unsigned char *) endpoint->values[i],
									   strlen(endpoint->values[i])));
	}
	return hash;
}

/* The endpoint, all of it in CurrentMemoryContext. */
static CzEndpoint *
make_endpoint(Oid server_oid, Oid user_oid, bool missing_ok)
{
	ForeignServer *server = GetForeignServerExtended(server_oid, FSV_MISSING_OK);
	CzNode	   *node;
	CzEndpoint *endpoint = palloc0(sizeof(CzEndpoint));
	List	   *mapping_options = NIL;
	ListCell   *cell;
	int			max_parameters;

	if (server == NULL && missing_ok)
		return NULL;
	node = CzNodeGet(server_oid);
	endpoint->server_oid = server_oid;
	endpoint->user_oid = user_oid;
	endpoint->node_name = node->name;
	endpoint->host = node->host;
	endpoint->port = node->port;
	/* clones are standbys, and what was never a worker may be one */
	endpoint->must_be_writable = node->is_checked && node->clone_of == NULL;
	foreach(cell, server->options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (strcmp(def->defname, "pool_size") == 0)
			endpoint->pool_size = (int) strtol(defGetString(def), NULL, 10);
		else if (strcmp(def->defname, "identity") == 0)
			endpoint->identity = pstrdup(defGetString(def));
	}

	if (!find_mapping(user_oid, server_oid, &endpoint->umid, &mapping_options) &&
		!(superuser_arg(user_oid) && node->is_worker))
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user mapping not found for role \"%s\" on server \"%s\"",
						GetUserNameFromId(user_oid, false), node->name),
				 errhint("Use CREATE USER MAPPING to say how the role connects.")));
	}

	max_parameters = list_length(server->options) + list_length(mapping_options) +
		MAX_EXTRA_PARAMETERS + 1;
	endpoint->keywords = palloc0(sizeof(char *) * max_parameters);
	endpoint->values = palloc0(sizeof(char *) * max_parameters);
	add_options(endpoint, server->options);
	add_options(endpoint, mapping_options);
	add_keys(endpoint, server->options, mapping_options);
	if (!check_password(endpoint, mapping_options))
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("password is required to connect to server \"%s\"",
						endpoint->node_name),
				 errdetail("Non-superusers must provide a password in the user mapping."),
				 CzFindOption(server->options, "use_scram_passthrough") ||
				 CzFindOption(mapping_options, "use_scram_passthrough") ?
				 errhint("SCRAM keys are passed on in sessions of a client that has logged in by SCRAM as the role itself.") : 0));
	}

	if (!has_parameter(endpoint, "hostaddr"))
		add_default(endpoint, "host", node->host);
	add_default(endpoint, "dbname", get_database_name(MyDatabaseId));
	add_default(endpoint, "user", GetUserNameFromId(user_oid, false));
	/* whole seconds, and libpq takes 1 as 2 */
	add_default(endpoint, "connect_timeout",
				psprintf("%d", Max(2, (cz_connect_timeout_ms + 999) / 1000)));
	/* a worker that vanished without a word is noticed within 25 seconds */
	add_default(endpoint, "keepalives_idle", "10");
	add_default(endpoint, "keepalives_interval", "5");
	add_default(endpoint, "keepalives_count", "3");
	add_parameter(endpoint, "client_encoding", GetDatabaseEncodingName());

	endpoint->options_hash = hash_parameters(endpoint);
	return endpoint;
}

/* A server, a user mapping or a role has changed: which one does not matter. */
static void
endpoint_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	must_drop = true;
}

static void
init_cache(void)
{
	HASHCTL		ctl;

	ctl.keysize = sizeof(EndpointKey);
	ctl.entrysize = sizeof(CachedEndpoint);
	endpoint_context = AllocSetContextCreate(TopMemoryContext, "cz_fdw endpoints",
											 ALLOCSET_SMALL_SIZES);
	ctl.hcxt = endpoint_context;
	endpoint_cache = hash_create("cz_fdw endpoints", 16, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, endpoint_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, endpoint_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, endpoint_changed, (Datum) 0);
}

/* Take an endpoint out of the cache; its memory stays until the transaction is over. */
static void
retire(CachedEndpoint *cached)
{
	RetiredEndpoint *entry;

	if (cached->endpoint == NULL)
		return;
	entry = MemoryContextAlloc(cached->context, sizeof(RetiredEndpoint));
	entry->context = cached->context;
	entry->lxid = MyLocalTransactionId_compat();
	entry->next = retired;
	retired = entry;
	cached->endpoint = NULL;
	cached->context = NULL;
}

static void
drop_changed(void)
{
	HASH_SEQ_STATUS scan;
	CachedEndpoint *cached;

	must_drop = false;
	hash_seq_init(&scan, endpoint_cache);
	while ((cached = hash_seq_search(&scan)) != NULL)
		retire(cached);
}

/* Free what was dropped in transactions that are over. */
static void
free_retired(void)
{
	RetiredEndpoint **link = &retired;

	while (*link != NULL)
	{
		MemoryContext context = (*link)->context;

		if ((*link)->lxid == MyLocalTransactionId_compat())
		{
			link = &(*link)->next;
			continue;
		}
		*link = (*link)->next;
		MemoryContextDelete(context);
	}
}

static CzEndpoint *
find_endpoint(Oid server_oid, Oid user_oid, bool missing_ok)
{
	EndpointKey key = {server_oid, user_oid};
	CachedEndpoint *cached;
	CzEndpoint *endpoint;
	MemoryContext context;
	MemoryContext oldcontext;
	bool		found;

	if (cz_before_connect != NULL)
		cz_before_connect();
	if (endpoint_cache == NULL)
		init_cache();
	if (must_drop)
		drop_changed();
	cached = hash_search(endpoint_cache, &key, HASH_FIND, NULL);
	if (cached != NULL && cached->endpoint != NULL &&
		cached->connect_timeout_ms == cz_connect_timeout_ms)
		return cached->endpoint;

	free_retired();
	context = AllocSetContextCreate(CurrentMemoryContext, "cz_fdw endpoint",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	endpoint = make_endpoint(server_oid, user_oid, missing_ok);
	MemoryContextSwitchTo(oldcontext);
	if (endpoint == NULL)
	{
		MemoryContextDelete(context);
		return NULL;
	}

	/* what has changed while the catalogs were read is seen at the next call */
	cached = hash_search(endpoint_cache, &key, HASH_ENTER, &found);
	if (found)
		retire(cached);
	MemoryContextSetParent(context, endpoint_context);
	cached->endpoint = endpoint;
	cached->context = context;
	cached->connect_timeout_ms = cz_connect_timeout_ms;
	return endpoint;
}

/*
 * CzEndpointGet
 *		See metadata.h.
 */
CzEndpoint *
CzEndpointGet(Oid server_oid, Oid user_oid)
{
	return find_endpoint(server_oid, user_oid, false);
}

/*
 * CzEndpointTryGet
 *		See metadata.h.
 */
CzEndpoint *
CzEndpointTryGet(Oid server_oid, Oid user_oid)
{
	return find_endpoint(server_oid, user_oid, true);
}
