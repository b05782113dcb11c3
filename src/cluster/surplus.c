/*-------------------------------------------------------------------------
 *
 * surplus.c
 *	  Shards that have more placements than they should have lose some: where
 *	  replicate_table_shards() is given a smaller factor, and where a node is back whose
 *	  placements were made elsewhere meanwhile.
 *
 * One transaction for a group of shards and a node, in a background worker: writers of
 * these shards wait for it, not longer than cz.cutover_lock_timeout; then it is tried again
 * later.  Nothing is copied.  Readers go on with what they have looked up: the table is
 * dropped by the clean-up, as one that a move has left, when nobody can know it any more.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "cluster_int.h"
#include "cz/ddl.h"
#include "cz/move.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"
#include "rebalance_int.h"

/* Attempts to lock a group of shards, and the pause after one; doubled with each */
#define MAX_ATTEMPTS 20
#define FIRST_PAUSE_MS 50
#define MAX_PAUSE_MS 1000

/* A placement of a group of shards that is to go. */
typedef struct Surplus
{
	Oid			relid;			/* a table of the group */
	int			index;			/* of the shards */
	Oid			server_oid;
	char	   *title;			/* which placement it is, for the log */
} Surplus;

/* How many placements a node has, to take from those that have most. */
typedef struct Load
{
	Oid			server_oid;
	int			nplacements;
} Load;

static Load *
load_of(List **loads, Oid server_oid)
{
	ListCell   *lc;
	Load	   *load;

	foreach(lc, *loads)
	{
		load = lfirst(lc);
		if (load->server_oid == server_oid)
			return load;
	}
	load = palloc0(sizeof(Load));
	load->server_oid = server_oid;
	*loads = lappend(*loads, load);
	return load;
}

/*
 * How gladly a placement is given up: what is not in use; what should not be on its node;
 * one of two in a zone.
 */
static int
rank(const CzShard *shard, Oid server_oid, List *kept)
{
	CzNode	   *node = CzNodeGet(server_oid);
	ListCell   *lc;

	if (!CzShardIsActiveOn(shard, server_oid))
		return 3;
	if (!node->should_have_shards)
		return 2;
	foreach(lc, kept)
	{
		CzNode	   *other = CzNodeGet(lfirst_oid(lc));

		if (other->server_oid != server_oid && node->zone != NULL && other->zone != NULL &&
			strcmp(node->zone, other->zone) == 0)
			return 1;
	}
	return 0;
}

/* The placements of a shard, which are more than factor, without those that are to go. */
static List *
choose(const CzShard *shard, int factor, List **loads, List *surplus, Oid relid, int index)
{
	List	   *kept = NIL;
	int			i;

	for (i = 0; i < shard->nall; i++)
		kept = lappend_oid(kept, shard->all_oids[i]);
	while (list_length(kept) > factor)
	{
		Oid			worst = InvalidOid;
		int			worst_rank = -1;
		Surplus    *one = palloc(sizeof(Surplus));
		ListCell   *lc;

		/* of equal ones that on the fullest node; the first placement last */
		foreach(lc, kept)
		{
			int			this_rank = rank(shard, lfirst_oid(lc), kept);

			if (this_rank > worst_rank ||
				(this_rank == worst_rank && load_of(loads, lfirst_oid(lc))->nplacements >=
				 load_of(loads, worst)->nplacements))
			{
				worst = lfirst_oid(lc);
				worst_rank = this_rank;
			}
		}
		kept = list_delete_oid(kept, worst);
		load_of(loads, worst)->nplacements--;
		one->relid = relid;
		one->index = index;
		one->server_oid = worst;
		one->title = psprintf("placement of shard " INT64_FORMAT " on node \"%s\", which is one too many",
							  shard->shard_id, CzNodeGet(worst)->name);
		surplus = lappend(surplus, one);
	}
	return surplus;
}

/* Have so many placements that are in use stayed? */
static bool
may_choose(const CzShard *shard, int factor)
{
	return shard->nplacements >= factor && shard->nall > factor;
}

/*
 * List of Surplus.  factor: of all groups, or that of relid's; 0: what each group should have,
 * and only what re-replication has made too much of.
 */
static List *
list_surplus(Oid relid, int factor)
{
	List	   *loads = NIL;
	List	   *surplus = NIL;
	List	   *done = NIL;
	ListCell   *lc;
	int			i;
	int			j;

	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && CzTableIsDistributed(table) && i < table->nshards; i++)
		{
			for (j = 0; j < table->shards[i].nall; j++)
				load_of(&loads, table->shards[i].all_oids[j])->nplacements++;
		}
	}
	foreach(lc, OidIsValid(relid) ? list_make1_oid(relid) : CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		int			wanted;

		if (table == NULL || !CzTableIsDistributed(table) || OidIsValid(table->root_relid) ||
			(table->colocation_id != 0 && list_member_int(done, table->colocation_id)))
			continue;
		done = lappend_int(done, table->colocation_id);
		wanted = factor > 0 ? factor : CzGroupFactor(table->colocation_id);
		for (i = 0; i < table->nshards; i++)
		{
			if (may_choose(&table->shards[i], wanted) &&
				(factor > 0 || CzJobHasCopied(table->shards[i].shard_id)))
				surplus = choose(&table->shards[i], wanted, &loads, surplus, table->relid, i);
		}
	}
	return surplus;
}

/* Tables of the group whose shards leave, and their shards; locked against DDL and moves. */
static List *
lock_tables(const Surplus *surplus)
{
	const CzTable *table = CzTableGet(surplus->relid);
	List	   *relids = NIL;
	ListCell   *lc;

	if (table == NULL)
		return NIL;
	LockRelationOid(CzCatalogRelid("colocation"), ShareLock);
	foreach(lc, CzFamilyTables(surplus->relid))
	{
		table = CzTableGet(lfirst_oid(lc));
		if (table == NULL || OidIsValid(table->root_relid))
			continue;
		LockRelationOid(lfirst_oid(lc), ShareUpdateExclusiveLock);
		/* it may have been dropped meanwhile */
		if (CzTableGet(lfirst_oid(lc)) != NULL)
			relids = lappend_oid(relids, lfirst_oid(lc));
	}
	AcceptInvalidationMessages();
	return relids;
}

/* Is a move of these shards on its way? */
static bool
is_moving(const CzTable *table, int index)
{
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(table->shards[index].shard_id)};

	if (SPI_execute_with_args("SELECT FROM cz.move m WHERE $1 OPERATOR(pg_catalog.=) ANY (m.shard_ids)"
							  " AND m.phase OPERATOR(pg_catalog.<>) ALL ('{switched,done,failed}'::pg_catalog.text[])",
							  1, argtypes, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.move");
	return SPI_processed > 0;
}

static char *
cluster_id(void)
{
	if (SPI_execute("SELECT c.cluster_id::pg_catalog.text FROM cz.cluster c", true, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the cluster's id is missing in cz.cluster"),
				 errhint("Restore the row from a backup: workers know the cluster by it.")));
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* A row of cz.move, by which the clean-up knows whom it must wait for. */
static int64
note_move(const CzTable *table, const Surplus *surplus, List *relids)
{
	Oid			argtypes[6] = {INT4OID, INT4OID, OIDARRAYOID, INT8ARRAYOID, TEXTOID, TEXTOID};
	Datum	   *oids = palloc(sizeof(Datum) * list_length(relids));
	Datum	   *ids = palloc(sizeof(Datum) * list_length(relids));
	Datum		values[6];
	bool		isnull;
	ListCell   *lc;

	foreach(lc, relids)
	{
		oids[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
		ids[foreach_current_index(lc)] =
			Int64GetDatum(CzTableGet(lfirst_oid(lc))->shards[surplus->index].shard_id);
	}
	values[0] = Int32GetDatum(table->colocation_id);
	values[1] = Int32GetDatum(surplus->index);
	values[2] = PointerGetDatum(construct_array(oids, list_length(relids), OIDOID, sizeof(Oid), true,
												TYPALIGN_INT));
	values[3] = PointerGetDatum(construct_array(ids, list_length(relids), INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[4] = CStringGetTextDatum(CzNodeGet(surplus->server_oid)->name);
	values[5] = CStringGetTextDatum(CzNodeGet(table->shards[surplus->index].server_oids[0])->name);
	if (SPI_execute_with_args("INSERT INTO cz.move (move_id, operation, mode, colocation_id, shard_index, tables, shard_ids, phase, source_name, target_name, started_at, updated_at, switched_at)"
							  " VALUES (pg_catalog.nextval('cz.move_id_seq'), 'drop', 'block_writes', $1, $2, $3, $4, 'done', $5::pg_catalog.name, $6::pg_catalog.name,"
							  " pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp()) RETURNING move_id",
							  6, argtypes, values, NULL, false, 1) != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write cz.move");
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* The table on the node that is given up is marked, and goes when nobody reads it; on one
 * that can't be reached whatever has its name. */
static void
expect_drop(const CzShard *shard, const Surplus *surplus, Oid owner, int64 move_id,
			const char *marker)
{
	Oid			argtypes[6] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID};
	Datum		values[6];
	char		nulls[7] = "      ";
	bool		can_reach = CzTxnCanReach(surplus->server_oid, owner);

	values[0] = Int64GetDatum(move_id);
	values[1] = CStringGetTextDatum(CzNodeGet(surplus->server_oid)->name);
	values[2] = CStringGetTextDatum(shard->remote_qualified);
	values[3] = CStringGetTextDatum(GetUserNameFromId(owner, false));
	values[4] = can_reach ? CStringGetTextDatum(marker) : (Datum) 0;
	nulls[4] = can_reach ? ' ' : 'n';
	values[5] = Float8GetDatum(cz_drop_delay_ms / 1000.0);
	if (SPI_execute_with_args("INSERT INTO cz.cleanup (move_id, server_name, object_kind, object_name, user_name, policy, marker, not_before)"
							  " VALUES ($1, $2::pg_catalog.name, 'table', $3, $4::pg_catalog.name, 'on_success', $5,"
							  " pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $6))",
							  6, argtypes, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write cz.cleanup");
	if (can_reach)
		CzTxnExec(surplus->server_oid, owner,
				  psprintf("COMMENT ON TABLE %s IS %s", shard->remote_qualified,
						   quote_literal_cstr(marker)));
}

/*
 * Rows of reference tables that the old placement refers to must not go until its keys have:
 * these reference tables, in held.
 */
static void
hold_references(List *relids, List **held)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	List	   *parents = NIL;
	ListCell   *lc;

	foreach(lc, relids)
		parents = list_concat_unique_oid(parents, CzReferenceParents(lfirst_oid(lc), NULL));
	list_sort(parents, list_oid_cmp);
	foreach(lc, parents)
	{
		CzTxnHoldReferred(lfirst_oid(lc));
		*held = lappend_oid(*held, lfirst_oid(lc));
	}
	MemoryContextSwitchTo(old);
}

/* After give_up(); if readers go on for long, the keys go with the table. */
static void
drop_old_keys(const Surplus *surplus, MemoryContext context)
{
	List	   *old_keys;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	old_keys = CzOldKeysOf(CzFamilyTables(surplus->relid), surplus->index, surplus->server_oid);
	PopActiveSnapshot();
	CommitTransactionCommand();
	CzOldKeysDrop(old_keys);
}

static void
release_references(List **held)
{
	ListCell   *lc;

	foreach(lc, *held)
		CzTxnReleaseReferred(lfirst_oid(lc));
	list_free(*held);
	*held = NIL;
}

static void
set_lock_timeout(void)
{
	SetConfigOption("lock_timeout", psprintf("%dms", cz_cutover_lock_timeout_ms), PGC_SUSET,
					PGC_S_OVERRIDE);
}

/* In a transaction: one placement of a group leaves; false: it is not what it was. */
static bool
give_up(const Surplus *surplus, int factor, List **held)
{
	List	   *relids = lock_tables(surplus);
	const CzTable *table = CzTableGet(surplus->relid);
	const CzShard **shards = palloc(sizeof(CzShard *) * Max(list_length(relids), 1));
	const CzShard *first;
	int64		move_id;
	char	   *marker;
	ListCell   *lc;

	if (table == NULL || !list_member_oid(relids, surplus->relid) ||
		surplus->index >= table->nshards || is_moving(table, surplus->index))
		return false;
	foreach(lc, relids)
		shards[foreach_current_index(lc)] = &CzTableGet(lfirst_oid(lc))->shards[surplus->index];
	hold_references(relids, held);
	CzTxnLockShardsForMove(shards, list_length(relids),
						   TimestampTzPlusMilliseconds(GetCurrentTimestamp(), cz_cutover_lock_timeout_ms));
	set_lock_timeout();
	AcceptInvalidationMessages();
	table = CzTableGet(surplus->relid);
	first = &table->shards[surplus->index];
	if (!may_choose(first, factor) ||
		!list_member_oid(CzShardServers(first->relid), surplus->server_oid) ||
		(CzShardIsActiveOn(first, surplus->server_oid) && first->nplacements <= factor))
		return false;
	move_id = note_move(table, surplus, relids);
	marker = psprintf("cz_fdw dropped %s " INT64_FORMAT, cluster_id(), move_id);
	foreach(lc, relids)
	{
		const CzTable *one = CzTableGet(lfirst_oid(lc));
		const CzShard *shard = &one->shards[surplus->index];

		expect_drop(shard, surplus, CzRelationOwner(one->relid), move_id, marker);
		(void) CzInactiveDelete(shard->shard_id, surplus->server_oid);
		CzShardSetPlacements(shard->relid, list_delete_oid(CzShardServers(shard->relid),
														   surplus->server_oid));
	}
	ereport(LOG,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("shard " INT64_FORMAT " has given up its placement on node \"%s\"",
					first->shard_id, CzNodeGet(surplus->server_oid)->name)));
	return true;
}

/* give_up() in a transaction of its own; false: somebody has a lock. */
static bool
try_give_up(const Surplus *surplus, int factor, MemoryContext context, List **held)
{
	volatile bool is_done = true;

	set_lock_timeout();
	PG_TRY();
	{
		bool		has_left;

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		has_left = give_up(surplus, factor, held);
		SPI_finish();
		PopActiveSnapshot();
		CommitTransactionCommand();
		CzMoveNoteLeft();
		if (has_left && *held != NIL)
			drop_old_keys(surplus, context);
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		if (code == ERRCODE_LOCK_NOT_AVAILABLE || code == ERRCODE_T_R_DEADLOCK_DETECTED)
		{
			HOLD_INTERRUPTS();
			AbortOutOfAnyTransaction();
			FlushErrorState();
			RESUME_INTERRUPTS();
			is_done = false;
		}
		else
			CzTaskErrorToLog(context, surplus->title);
	}
	PG_END_TRY();
	release_references(held);
	MemoryContextSwitchTo(context);
	return is_done;
}

/* What a group's new tables get, and re-replication makes; of all groups if there is no table. */
static void
set_factor(Oid relid, int factor)
{
	Oid			argtypes[2] = {INT4OID, INT4OID};
	Datum		values[2];
	char		nulls[3] = "  ";
	const CzTable *table = OidIsValid(relid) ? CzTableGet(relid) : NULL;

	/* dropped meanwhile */
	if (OidIsValid(relid) && table == NULL)
		return;
	values[0] = Int32GetDatum(table ? table->colocation_id : 0);
	nulls[0] = OidIsValid(relid) ? ' ' : 'n';
	values[1] = Int32GetDatum(factor);
	CzCatalogExec("UPDATE cz.colocation SET replication_factor = $2 WHERE replication_factor OPERATOR(pg_catalog.<>) $2"
				  " AND (colocation_id OPERATOR(pg_catalog.=) $1 OR $1 IS NULL AND colocation_id IN (SELECT t.colocation_id FROM cz.tables t WHERE t.kind OPERATOR(pg_catalog.<>) 'n'))",
				  2, argtypes, values, nulls);
}

/*
 * give_up_all
 *		In a background worker.  arg: the table, or none, and the factor.
 */
static void
give_up_all(int64 arg)
{
	Oid			relid = (Oid) (arg >> 32);
	int			factor = (int) (arg & 0xffff);
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "cz surplus",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *held = NIL;
	List	   *surplus;
	ListCell   *lc;

	CzTaskSession();
	set_lock_timeout();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "placements that are too many");
	/* before placements go, so that they are not made again */
	if (factor > 0)
		set_factor(relid, factor);
	MemoryContextSwitchTo(context);
	surplus = list_surplus(relid, factor);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	foreach(lc, surplus)
	{
		Surplus    *one = lfirst(lc);
		int			wanted = factor;
		int			wait_ms = FIRST_PAUSE_MS;
		int			i;

		if (wanted == 0)
		{
			const CzTable *table;

			StartTransactionCommand();
			PushActiveSnapshot(GetTransactionSnapshot());
			table = CzTableGet(one->relid);
			if (table != NULL)
				wanted = CzGroupFactor(table->colocation_id);
			PopActiveSnapshot();
			CommitTransactionCommand();
			MemoryContextSwitchTo(context);
			if (wanted == 0)
				continue;
		}
		for (i = 0; i < MAX_ATTEMPTS && !try_give_up(one, wanted, context, &held); i++)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_ms,
							 PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			wait_ms = Min(wait_ms * 2, MAX_PAUSE_MS);
		}
	}
}

/*
 * CzSurplusCount
 *		See rebalance_int.h.
 */
int
CzSurplusCount(Oid relid, int factor)
{
	return list_length(list_surplus(relid, factor));
}

/*
 * CzSurplusGiveUp
 *		See rebalance_int.h.
 */
BackgroundWorkerHandle *
CzSurplusGiveUp(Oid relid, int factor)
{
	return CzBackgroundStart(CZ_BACKGROUND_SURPLUS, ((int64) relid << 32) | factor, "surplus");
}

/*
 * CzSurplusInit
 *		See cluster.h.
 */
void
CzSurplusInit(void)
{
	cz_background[CZ_BACKGROUND_SURPLUS] = give_up_all;
}
