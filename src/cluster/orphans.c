/*-------------------------------------------------------------------------
 *
 * orphans.c
 *	  What stands on workers and belongs to nothing: cz_list_orphans(), and
 *	  citus_cleanup_orphaned_resources(), which drops what is surely ours.
 *
 * That is what bears the mark of a move of this cluster which does not run any more, and
 * what has the number of a shard that was given out here and that no table has.  Other
 * things are listed only: somebody has made them.
 *
 * What a statement makes while we look is not taken for an orphan: the gate is closed
 * (cz/transaction.h), so that nothing is committed on a worker and not yet here, and the
 * catalogs are read after the workers.  Moves make their tables without a transaction
 * that is one with this server's, and have a row in cz.move before.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "cluster_int.h"
#include "cz/cluster.h"
#include "cz/ddl.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "survey_int.h"

PG_FUNCTION_INFO_V1(cz_list_orphans);
PG_FUNCTION_INFO_V1(citus_cleanup_orphaned_resources);

/* How long a drop waits for who uses the table */
#define DROP_LOCK_TIMEOUT "500ms"

typedef struct Orphan
{
	const CzSurvey *survey;
	const char *kind;			/* table, function, prepared transaction */
	const char *name;			/* as it is written */
	int64		shard_id;		/* 0: none */
	const char *reason;
	const char *comment;		/* of a table, which it must have still; NULL: none */
	bool		is_ours;		/* and so may be dropped */
} Orphan;

/* ---- what is accounted for -------------------------------------------------- */

/* A number, in a hash table of them. */
typedef struct Known
{
	HTAB	   *shard_ids;		/* of placements and of partitions' */
	HTAB	   *moves;			/* that run */
	HTAB	   *cleanup;		/* names in the clean-up list, with the node before them */
	int64		last_id;		/* the greatest number of a shard that was given out */
	int			nranges;		/* numbers that were given out after the dump */
	int64	   *first_ids;		/* [nranges] */
	int64	   *last_ids;		/* [nranges] */
} Known;

static HTAB *
make_set(Size keysize, bool is_text)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = keysize;
	control.entrysize = keysize;
	control.hcxt = CurrentMemoryContext;
	return hash_create("cz known", 256, &control,
					   HASH_ELEM | HASH_CONTEXT | (is_text ? HASH_STRINGS : HASH_BLOBS));
}

static void
add_number(HTAB *set, int64 number)
{
	(void) hash_search(set, &number, HASH_ENTER, NULL);
}

static bool
has_number(HTAB *set, int64 number)
{
	return hash_search(set, &number, HASH_FIND, NULL) != NULL;
}

/* Numbers, the first column of a query. */
static void
add_numbers(HTAB *set, const char *sql)
{
	uint64		i;

	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "query has failed: %s", sql);
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		if (!isnull)
			add_number(set, DatumGetInt64(value));
	}
}

/* What the clean-up list has is no orphan: "<node> <name>". */
#define MAX_ENTRY (2 * NAMEDATALEN + 16)

static void
add_cleanup(HTAB *set)
{
	uint64		i;

	/* a log has two tables */
	if (SPI_execute("SELECT c.server_name::text || ' ' || CASE c.object_kind WHEN 'capture' THEN c.object_args ELSE c.object_name END FROM cz.cleanup c"
					" UNION ALL SELECT c.server_name::text || ' ' || c.object_args || 'b' FROM cz.cleanup c WHERE c.object_kind = 'capture'",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.cleanup");
	for (i = 0; i < SPI_processed; i++)
	{
		char		key[MAX_ENTRY] = {0};
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		if (value == NULL)
			continue;
		strlcpy(key, value, sizeof(key));
		(void) hash_search(set, key, HASH_ENTER, NULL);
	}
}

static bool
is_in_cleanup(const Known *known, const CzSurvey *survey, const char *name)
{
	char		key[MAX_ENTRY] = {0};

	snprintf(key, sizeof(key), "%s %s", survey->node_name, name);
	return hash_search(known->cleanup, key, HASH_FIND, NULL) != NULL;
}

/* What tables have got since the dump, nobody here knows. */
static void
read_ranges(Known *known, MemoryContext context)
{
	uint64		i;

	if (SPI_execute("SELECT r.first_id, r.last_id FROM cz.restored_ids r", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.restored_ids");
	known->nranges = (int) SPI_processed;
	known->first_ids = MemoryContextAlloc(context, sizeof(int64) * (SPI_processed + 1));
	known->last_ids = MemoryContextAlloc(context, sizeof(int64) * (SPI_processed + 1));
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;

		known->first_ids[i] = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		known->last_ids[i] = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));
	}
}

static bool
is_of_later(const Known *known, int64 shard_id)
{
	int			i;

	for (i = 0; i < known->nranges; i++)
	{
		if (shard_id >= known->first_ids[i] && shard_id <= known->last_ids[i])
			return true;
	}
	return false;
}

/* As of now. */
static Known *
read_known(void)
{
	MemoryContext context = CurrentMemoryContext;
	Known	   *known = palloc0(sizeof(Known));
	bool		isnull;
	ListCell   *lc;
	int			i;

	AcceptInvalidationMessages();
	known->shard_ids = make_set(sizeof(int64), false);
	known->moves = make_set(sizeof(int64), false);
	known->cleanup = make_set(MAX_ENTRY, true);
	foreach(lc, CzTableListAll())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			add_number(known->shard_ids, table->shards[i].shard_id);
			add_number(known->shard_ids, table->shards[i].name_id);
		}
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	add_numbers(known->shard_ids, "SELECT pg_catalog.unnest(p.shard_ids) FROM cz.partitions p");
	if (OidIsValid(CzCatalogRelid("pending_shards")))
		add_numbers(known->shard_ids, "SELECT p.shard_id FROM cz.pending_shards p");
	read_ranges(known, context);
	add_numbers(known->moves, "SELECT m.move_id FROM cz.move m WHERE m.phase OPERATOR(pg_catalog.<>) ALL ('{done,failed}'::text[])");
	add_cleanup(known->cleanup);
	if (SPI_execute("SELECT last_value FROM cz.shard_id_seq", false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not read cz.shard_id_seq");
	known->last_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
												 &isnull));
	SPI_finish();
	return known;
}

/* The names by which a node has placements; of char[NAMEDATALEN]. */
static HTAB *
placements_of(Oid server_oid)
{
	HTAB	   *set = make_set(NAMEDATALEN, true);
	ListCell   *lc;
	int			i;

	foreach(lc, CzTableListAll())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			const CzShard *shard = &table->shards[i];
			char		key[NAMEDATALEN] = {0};

			if (!shard->is_copy && !list_member_oid(CzShardServers(shard->relid), server_oid))
				continue;
			strlcpy(key, shard->remote_name, NAMEDATALEN);
			(void) hash_search(set, key, HASH_ENTER, NULL);
		}
	}
	return set;
}

/* ---- looking ---------------------------------------------------------------- */

static Orphan *
make_orphan(const CzSurvey *survey, const char *kind, const char *name, const char *reason)
{
	Orphan	   *orphan = palloc0(sizeof(Orphan));

	orphan->survey = survey;
	orphan->kind = kind;
	orphan->name = name;
	orphan->reason = reason;
	return orphan;
}

/* NULL: the table is accounted for. */
static Orphan *
look_at_table(const Known *known, const CzSurvey *survey, const CzFoundTable *found, HTAB *placements)
{
	char	   *qualified = CzQualifiedName("cz_shards", found->name);
	Orphan	   *orphan = make_orphan(survey, "table", qualified, NULL);

	orphan->shard_id = found->shard_id;
	orphan->comment = found->comment;
	if (is_in_cleanup(known, survey, qualified) || is_in_cleanup(known, survey, found->name))
		return NULL;
	switch (found->mark)
	{
		case CZ_MARK_MOVE:
		case CZ_MARK_DROPPED:
			if (has_number(known->moves, found->move_id))
				return NULL;
			orphan->is_ours = true;
			orphan->reason = psprintf("left by move " INT64_FORMAT, found->move_id);
			return orphan;
		case CZ_MARK_OTHER:
			orphan->reason = "marked by another cluster";
			return orphan;
		case CZ_MARK_NONE:
			break;
	}
	/* partitions go with their table */
	if (found->is_partition || hash_search(placements, found->name, HASH_FIND, NULL) != NULL)
		return NULL;
	if (found->shard_id == 0 || found->shard_id > known->last_id)
		orphan->reason = "not made by this cluster";
	else if (is_of_later(known, found->shard_id))
		orphan->reason = "made after the dump from which this database was restored";
	else if (has_number(known->shard_ids, found->shard_id))
		orphan->reason = "its shard is on other nodes";
	else
	{
		orphan->is_ours = true;
		orphan->reason = "no table has this shard";
	}
	return orphan;
}

static List *
look_at_node(const Known *known, const CzSurvey *survey, List *orphans)
{
	HTAB	   *placements = placements_of(survey->server_oid);
	HASH_SEQ_STATUS status;
	CzFoundTable *found;
	ListCell   *lc;

	hash_seq_init(&status, survey->tables);
	while ((found = hash_seq_search(&status)) != NULL)
	{
		Orphan	   *orphan = strcmp(found->name, "cz_node") == 0 ? NULL :
			look_at_table(known, survey, found, placements);

		if (orphan != NULL)
			orphans = lappend(orphans, orphan);
	}
	foreach(lc, survey->functions)
	{
		const CzFoundFunction *function = lfirst(lc);
		Orphan	   *orphan;
		char	   *prefix = pnstrdup(function->name, strcspn(function->name, "("));

		/* the last letter says what it is for */
		prefix[Max((int) strlen(prefix) - 1, 0)] = '\0';
		if (has_number(known->moves, function->move_id) || is_in_cleanup(known, survey, prefix))
			continue;
		orphan = make_orphan(survey, "function", psprintf("cz_shards.%s", function->name),
							 psprintf("left by move " INT64_FORMAT, function->move_id));
		orphan->is_ours = true;
		orphans = lappend(orphans, orphan);
	}
	foreach(lc, survey->prepared)
	{
		const CzFoundPrepared *prepared = lfirst(lc);

		if (CzTxnIsOfFormer(prepared->gid))
			orphans = lappend(orphans,
							  make_orphan(survey, "prepared transaction", prepared->gid,
										  psprintf("of a former coordinator, since %s",
												   prepared->prepared_at)));
	}
	return orphans;
}

/*
 * Close the gate, and lock all tables so that looking at them waits for nobody: who holds
 * one exclusively is going to wait at the gate before he commits.
 */
static void
close_gate(void)
{
	for (;;)
	{
		List	   *locked = NIL;
		Oid			held = InvalidOid;
		ListCell   *lc;

		CzGateClose();
		foreach(lc, CzTableListAll())
		{
			if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			{
				held = lfirst_oid(lc);
				break;
			}
			locked = lappend_oid(locked, lfirst_oid(lc));
		}
		if (!OidIsValid(held))
			return;
		CzGateOpen();
		foreach(lc, locked)
			UnlockRelationOid(lfirst_oid(lc), AccessShareLock);
		LockRelationOid(held, AccessShareLock);
		UnlockRelationOid(held, AccessShareLock);
	}
}

/* All orphans; list of Orphan *.  Nodes that have not answered: a warning. */
static List *
find_orphans(void)
{
	List	   *surveys;
	List	   *orphans = NIL;
	Known	   *known;
	ListCell   *lc;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot look for orphans in a transaction of isolation level REPEATABLE READ or higher"),
				 errdetail("It would not see what others have made since it began.")));
	close_gate();
	surveys = CzSurveyTake(CzNodeList(true));
	CzDebugPoint("orphans_surveyed");
	known = read_known();
	foreach(lc, surveys)
	{
		const CzSurvey *survey = lfirst(lc);

		if (survey->is_known)
			orphans = look_at_node(known, survey, orphans);
		else
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("node \"%s\" could not be asked", survey->node_name),
					 survey->error ? errdetail_internal("%s", survey->error) : 0));
	}
	CzGateOpen();
	return orphans;
}

/*
 * cz_list_orphans()
 *		SQL function: a row for each.
 */
Datum
cz_list_orphans(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, find_orphans())
	{
		const Orphan *orphan = lfirst(lc);
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = CStringGetTextDatum(orphan->survey->node_name);
		values[1] = CStringGetTextDatum(orphan->kind);
		values[2] = CStringGetTextDatum(orphan->name);
		nulls[3] = orphan->shard_id == 0;
		values[3] = Int64GetDatum(orphan->shard_id);
		values[4] = CStringGetTextDatum(orphan->reason);
		values[5] = BoolGetDatum(orphan->is_ours);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- dropping --------------------------------------------------------------- */

/* Drop a table if it has the comment still that it had; names come back, comments don't. */
static char *
drop_table_sql(const Orphan *orphan)
{
	char	   *code = psprintf("BEGIN\n"
								"IF to_regclass(%1$s) IS NULL THEN RETURN; END IF;\n"
								"LOCK TABLE %2$s IN ACCESS EXCLUSIVE MODE;\n"
								"IF obj_description(to_regclass(%1$s), 'pg_class') IS NOT DISTINCT FROM %3$s THEN\n"
								"DROP TABLE %2$s CASCADE;\nEND IF;\nEND",
								quote_literal_cstr(orphan->name), orphan->name,
								orphan->comment ? quote_literal_cstr(orphan->comment) : "NULL");

	return psprintf("SET LOCAL lock_timeout = '" DROP_LOCK_TIMEOUT "'; DO LANGUAGE plpgsql %s",
					quote_literal_cstr(code));
}

/*
 * drop_orphans
 *		Each in a transaction of its own on its node, all nodes at once.
 *
 * Returns: how many are gone.
 */
static int
drop_orphans(List *orphans)
{
	List	   *commands = NIL;
	int			ndone = 0;
	ListCell   *lc;

	foreach(lc, orphans)
	{
		Orphan	   *orphan = lfirst(lc);
		CzOutsideCommand *command;

		if (!orphan->is_ours)
			continue;
		command = palloc0(sizeof(CzOutsideCommand));
		command->server_oid = orphan->survey->server_oid;
		command->sql = strcmp(orphan->kind, "table") == 0 ? drop_table_sql(orphan) :
			psprintf("SET LOCAL lock_timeout = '" DROP_LOCK_TIMEOUT "'; DROP FUNCTION IF EXISTS %s CASCADE",
					 orphan->name);
		command->arg = orphan;
		commands = lappend(commands, command);
	}
	CzOutsideRun(commands, GetUserId(), false, true);
	foreach(lc, commands)
	{
		const CzOutsideCommand *command = lfirst(lc);
		const Orphan *orphan = command->arg;

		if (command->is_ok)
			ndone++;
		else
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("could not drop %s on node \"%s\"", orphan->name,
							orphan->survey->node_name),
					 command->answer ? errdetail_internal("%s", command->answer) : 0));
	}
	return ndone;
}

/*
 * citus_cleanup_orphaned_resources()
 *		Work off the clean-up list, and drop orphans that are surely ours.
 */
Datum
citus_cleanup_orphaned_resources(PG_FUNCTION_ARGS)
{
	int			ndone;
	int			nleft;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to clean up workers")));
	CzTxnCheckCoordinator();
	ndone = CzCleanUp(0, NULL, NULL, &nleft);
	ndone += drop_orphans(find_orphans());
	ereport(NOTICE, (errmsg("cleaned up %d orphaned resources", ndone)));
	PG_RETURN_VOID();
}
