/*-------------------------------------------------------------------------
 *
 * attached_owner.c
 *	  The owner's side of attached coordinators (attached.c): the map of the cluster, as text
 *	  that they take over, with its version; locks for their transactions.
 *
 * The map is made of the caches that this session's own statements go by, when something
 * has invalidated what it was made of.  So it changes for an attached coordinator with the
 * commit that changes it for the sessions here, and not before.
 *
 * Who asks must know the token that an attached coordinator was given when it was attached.
 * Locks of shards are not a privilege to be granted by table: who has the token may write
 * them by himself.
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
#include "common/hashfn.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/uuid.h"
#include "utils/varlena.h"

#include "transaction_int.h"

PG_FUNCTION_INFO_V1(cz_coordinator_map);
PG_FUNCTION_INFO_V1(cz_coordinator_shards);
PG_FUNCTION_INFO_V1(cz_coordinator_enter);
PG_FUNCTION_INFO_V1(cz_coordinator_lose);

/* One line of the map; text, not NULL. */
typedef struct MapLine
{
	const char *what;			/* "node", "table", "shard" */
	char	   *name;			/* of the server, or the table */
	int64		shard_id;
	char	   *value;			/* options; fingerprint; all placements */
	char	   *active;			/* of a shard: the placements that are active, in order */
} MapLine;

/* The fingerprint of a table as it was read with this serial number. */
typedef struct Fingerprint
{
	Oid			relid;			/* key */
	uint64		serial;
	char		text[33];
} Fingerprint;

static MemoryContext map_context = NULL;
static List *map_lines = NIL;	/* in map_context */
static uint64 map_hash = 0;
static bool map_is_known = false;
static HTAB *fingerprints = NULL;

static void
relation_changed(Datum arg, Oid relid)
{
	map_is_known = false;
}

static void
server_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	map_is_known = false;
}

/*
 * CzMapInit
 *		Register the callbacks that keep the map right.
 */
void
CzMapInit(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, server_changed, (Datum) 0);
}

/* The first value of the only row of a query with one parameter, in the caller's context. */
static char *
ask_here(const char *sql, Oid type, Datum value)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[] = {type};
	Datum		values[] = {value};
	char	   *result = NULL;
	Oid			user_oid;
	int			sec_context;

	/* the catalogs as they are now, as the caches are; whoever asks */
	GetUserIdAndSecContext(&user_oid, &sec_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look at the catalogs");
	if (SPI_processed == 1)
		result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (result != NULL)
		result = MemoryContextStrdup(context, result);
	SPI_finish();
	PopActiveSnapshot();
	SetUserIdAndSecContext(user_oid, sec_context);
	return result;
}

/*
 * CzTableFingerprint
 *		What tells a table from one of another shape, here and at the owner; borrowed until
 *		the next call.
 */
const char *
CzTableFingerprint(const CzTable *table)
{
	Fingerprint *entry;
	uint64		serial = table->serial;
	Oid			relid = table->relid;
	char	   *text;
	bool		found;

	if (fingerprints == NULL)
	{
		HASHCTL		ctl;

		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(Fingerprint);
		fingerprints = hash_create("cz_fdw fingerprints", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(fingerprints, &relid, HASH_FIND, NULL);
	if (entry != NULL && entry->serial == serial)
		return entry->text;
	text = ask_here("SELECT cz.table_fingerprint($1)", OIDOID, ObjectIdGetDatum(relid));
	entry = hash_search(fingerprints, &relid, HASH_ENTER, &found);
	entry->serial = serial;
	strlcpy(entry->text, text ? text : "", sizeof(entry->text));
	return entry->text;
}

/*
 * CzAttachedFingerprint
 *		The same as the owner has it, by the map that was taken over; NULL: it has no such
 *		table.
 */
char *
CzAttachedFingerprint(Oid relid)
{
	return ask_here("SELECT t.fingerprint FROM cz.attached_tables t WHERE t.relid OPERATOR(pg_catalog.=) $1",
					OIDOID, ObjectIdGetDatum(relid));
}

/* ---- the map --------------------------------------------------------------- */

static void
add_line(const char *what, const char *name, int64 shard_id, const char *value,
		 const char *active)
{
	MemoryContext old = MemoryContextSwitchTo(map_context);
	MapLine    *line = palloc(sizeof(MapLine));

	line->what = what;
	line->name = pstrdup(name);
	line->shard_id = shard_id;
	line->value = pstrdup(value);
	line->active = pstrdup(active);
	map_lines = lappend(map_lines, line);
	MemoryContextSwitchTo(old);
}

static int
compare_lines(const ListCell *a, const ListCell *b)
{
	const MapLine *x = lfirst(a);
	const MapLine *y = lfirst(b);
	int			result = strcmp(x->what, y->what);

	if (result == 0)
		result = strcmp(x->name, y->name);
	if (result == 0)
		result = x->shard_id < y->shard_id ? -1 : x->shard_id > y->shard_id;
	return result;
}

/* Names of the servers of active placements. */
static char *
active_names(const CzShard *shard)
{
	List	   *servers = NIL;
	int			i;

	for (i = 0; i < shard->nplacements; i++)
		servers = lappend_oid(servers, shard->server_oids[i]);
	return CzFormatServerNames(servers);
}

static void
add_table(Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	char	   *name;
	int			i;

	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		return;
	name = CzRelationName(relid);
	add_line("table", name, 0, CzTableFingerprint(table), "");
	/* reading may have processed invalidations */
	table = CzTableGet(relid);
	for (i = 0; table != NULL && i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		add_line("shard", name, shard->shard_id,
				 shard->is_copy ? "" : CzFormatServerNames(CzShardServers(shard->relid)),
				 active_names(shard));
	}
}

static void
add_node(const CzNode *node)
{
	char	   *options = ask_here("SELECT srvoptions FROM pg_catalog.pg_foreign_server WHERE oid OPERATOR(pg_catalog.=) $1",
								   OIDOID, ObjectIdGetDatum(node->server_oid));

	add_line("node", node->name, node->node_id, options ? options : "{}", "");
}

static uint64
hash_text(uint64 seed, const char *text)
{
	return hash_bytes_extended((const unsigned char *) text, strlen(text) + 1, seed);
}

/* All lines. */
static void
read_map(void)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "cz_fdw map lines",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	ListCell   *lc;

	foreach(lc, CzNodeList(false))
		add_node(lfirst(lc));
	foreach(lc, CzTableList())
		add_table(lfirst_oid(lc));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

static void
try_read_map(void)
{
	PG_TRY();
	{
		read_map();
	}
	PG_CATCH();
	{
		map_is_known = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Make it, if it may have changed. */
static void
make_map(void)
{
	int			nturns;
	ListCell   *lc;

	AcceptInvalidationMessages();
	/* where it changes all the time, what has been read last is looked at again next time */
	for (nturns = 0; !map_is_known && nturns < 4; nturns++)
	{
		if (map_context == NULL)
			map_context = AllocSetContextCreate(CacheMemoryContext, "cz_fdw map",
												ALLOCSET_DEFAULT_SIZES);
		map_lines = NIL;
		MemoryContextReset(map_context);
		/* claim first, then look: reading processes invalidations */
		map_is_known = true;
		try_read_map();
		list_sort(map_lines, compare_lines);
		map_hash = 0;
		foreach(lc, map_lines)
		{
			const MapLine *line = lfirst(lc);

			map_hash = hash_text(map_hash, line->what);
			map_hash = hash_text(map_hash, line->name);
			map_hash = hash_combine64(map_hash, (uint64) line->shard_id);
			map_hash = hash_text(map_hash, line->value);
			map_hash = hash_text(map_hash, line->active);
		}
	}
}

/* The version as it is sent; palloc'd. */
static char *
map_version(void)
{
	const CzIdentity *self;

	make_map();
	self = CzTxnIdentity();
	return psprintf("%d %s %016llx", self->epoch, self->owner, (unsigned long long) map_hash);
}

/* What is wrong with who asks; NULL: nothing. */
static const char *
wrong_with(Datum token)
{
	if (!CzTxnIdentity()->is_owner)
		return "replaced";
	return ask_here("SELECT 1 FROM cz.coordinators c WHERE c.token OPERATOR(pg_catalog.=) $1",
					UUIDOID, token) != NULL ? NULL : "unknown";
}

/* As an error, for who wants more than a version. */
static void
check_token(Datum token)
{
	CzTxnCheckCoordinator();
	if (wrong_with(token) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no such coordinator is attached")));
}

/*
 * cz_coordinator_map(token uuid)
 *		The version of the map; "unknown": the coordinator is not attached; "replaced": this
 *		is not the owner.
 */
Datum
cz_coordinator_map(PG_FUNCTION_ARGS)
{
	const char *wrong = wrong_with(PG_GETARG_DATUM(0));

	/* the transaction that asks is about to commit */
	if (wrong == NULL && IsTransactionBlock())
		CzTxnAwaitTakeOvers();
	PG_RETURN_TEXT_P(cstring_to_text(wrong ? wrong : map_version()));
}

/*
 * cz_coordinator_shards(token uuid)
 *		The map itself: lines of it, and one with its version.
 */
Datum
cz_coordinator_shards(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *version;
	Datum		values[5];
	bool		nulls[5] = {false};
	ListCell   *lc;

	check_token(PG_GETARG_DATUM(0));
	InitMaterializedSRF(fcinfo, 0);
	version = map_version();
	values[0] = CStringGetTextDatum("version");
	values[1] = CStringGetTextDatum("");
	values[2] = Int64GetDatum(0);
	values[3] = CStringGetTextDatum(version);
	values[4] = CStringGetTextDatum("");
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	foreach(lc, map_lines)
	{
		const MapLine *line = lfirst(lc);

		values[0] = CStringGetTextDatum(line->what);
		values[1] = CStringGetTextDatum(line->name);
		values[2] = Int64GetDatum(line->shard_id);
		values[3] = CStringGetTextDatum(line->value);
		values[4] = CStringGetTextDatum(line->active);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- locks ----------------------------------------------------------------- */

static Oid
table_of_name(const char *name)
{
	return RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name))),
							NoLock, true);
}

/* What keeps DDL, and rows that rows of the table refer to, as they are. */
static void
lock_table(Oid relid)
{
	List	   *parents = CzReferenceParents(relid, NULL);
	ListCell   *lc;

	foreach(lc, CzCascadeTables(relid))
		parents = list_concat_unique_oid(parents, CzReferenceParents(lfirst_oid(lc), NULL));
	list_sort(parents, list_oid_cmp);
	foreach(lc, CzRootPartitions(relid))
		LockRelationOid(lfirst_oid(lc), RowExclusiveLock);
	foreach(lc, parents)
		CzTxnLockReferred(lfirst_oid(lc), true);
}

/* The shard of this id, with its relation locked. */
static const CzShard *
lock_shard_relation(const char *name, int64 shard_id)
{
	Oid			relid = table_of_name(name);
	const CzTable *table = NULL;
	int			index = -1;

	if (OidIsValid(relid))
	{
		LockRelationOid(relid, RowExclusiveLock);
		table = CzTableGet(relid);
		index = table ? CzShardIndexOf(table, shard_id) : -1;
	}
	if (index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shard " INT64_FORMAT " of table %s is not there", shard_id, name),
				 errhint("Repeat the statement.")));
	lock_table(relid);
	LockRelationOid(table->shards[index].relid, RowExclusiveLock);
	return CzShardFresh(&table->shards[index]);
}

/*
 * cz_coordinator_enter(token uuid, table_names text[], shard_ids bigint[], mode int, may_wait)
 *		Take the locks of shards for an attached coordinator's transaction, until the end of
 *		this one.  Returns: the version of the map, now that they are held.
 */
Datum
cz_coordinator_enter(PG_FUNCTION_ARGS)
{
	Datum	   *names;
	Datum	   *ids;
	bool	   *nulls;
	int			n;
	int			nids;
	int			nreplicated = 0;
	const CzShard **shards;
	CzShardLock mode = (CzShardLock) PG_GETARG_INT32(3);
	int			i;

	check_token(PG_GETARG_DATUM(0));
	if (mode != CZ_LOCK_SHARED && mode != CZ_LOCK_EXCLUSIVE && mode != CZ_LOCK_SEVERAL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no lock %d of shards", (int) mode)));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &ids, &nulls, &nids);
	if (n != nids)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are %d tables and %d shards", n, nids)));
	CzGateEnter();
	shards = palloc(sizeof(CzShard *) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		const CzShard *shard = lock_shard_relation(TextDatumGetCString(names[i]),
												   DatumGetInt64(ids[i]));

		if (CzShardIsReplicated(shard))
			shards[nreplicated++] = shard;
		else
			(void) CzTxnEnterShard(shard, true);
	}
	CzTxnLockShardsLocally(shards, nreplicated, mode, PG_GETARG_BOOL(4));
	PG_RETURN_TEXT_P(cstring_to_text(map_version()));
}

/*
 * cz_coordinator_lose(token uuid, table_name text, shard_id bigint, server_name text,
 *					   reason text)
 *		An attached coordinator's transaction does without a placement: it is inactive from
 *		this one's commit on.
 */
Datum
cz_coordinator_lose(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *server_name = text_to_cstring(PG_GETARG_TEXT_PP(3));
	Oid			relid;
	Oid			server_oid;

	check_token(PG_GETARG_DATUM(0));
	relid = table_of_name(name);
	server_oid = get_foreign_server_oid(server_name, true);
	if (OidIsValid(relid) && OidIsValid(server_oid))
		CzTxnMarkOne(relid, PG_GETARG_INT64(2), server_oid,
					 text_to_cstring(PG_GETARG_TEXT_PP(4)));
	PG_RETURN_BOOL(true);
}
