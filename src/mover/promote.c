/*-------------------------------------------------------------------------
 *
 * promote.c
 *	  A clone, a standby of a worker, becomes a node and takes over a part of the worker's
 *	  shards; no row is copied.
 *
 *	  preparing		what may be left is written down
 *	  catching_up	until the clone is close behind the primary, while others write
 *	  switching		attempts: writers of the shards that the clone takes, and of reference
 *					tables, are kept out, here and on the primary; the clone sees what they
 *					have written, and is promoted; then as in a move (switch.c) a fence is put
 *					up on the primary, and the catalogs say where the shards are
 *	  switched		the clone counts
 *
 * Shards that stay with the primary are written all the time: nobody will ever ask the clone
 * for them.  Until the clone is promoted everything can be given up and repeated.  If
 * something fails afterwards, the primary goes on as before, and the clone is of no use.
 *
 * The switch commits in two phases on the primary and here; the clone takes no part in it,
 * as what is done there is not used before.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_type.h"
#include "executor/instrument.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/dsm.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "promote_int.h"

/* How long writers are kept out for the clone to see what they have written, and how fast it
 * must be before that is tried */
#define LOCKED_MS 2000
#define CLOSE_MS 500
/* Pause after an attempt that has failed; doubled with each */
#define FIRST_PAUSE_MS 50
#define MAX_PAUSE_MS 1000
/* Writers that have not seen that a switch begins are on their way to a worker */
#define ARRIVAL_MS 5

/* Columns of cz.objects */
#define OBJECTS_CLASSID 1
#define OBJECTS_OBJID 2

static void
set_phase(CzPromotion *p, const char *phase)
{
	CzMoveBegin();
	CzMoveSetPhase(p->move, phase);
	CzMoveCommit();
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("promotion " INT64_FORMAT ": %s", p->move->move_id, phase));
}

/* The plan out of the memory of the session that asks. */
static CzPromotePlan *
take_plan(CzMove *move, uint32 handle)
{
	dsm_segment *segment = dsm_attach(handle);
	CzPromotePlan *plan;
	Size		size;

	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the session that wanted the clone to be promoted has ended")));
	plan = dsm_segment_address(segment);
	size = offsetof(CzPromotePlan, groups) + plan->ngroups * sizeof(plan->groups[0]);
	plan = memcpy(MemoryContextAlloc(move->context, size), plan, size);
	dsm_detach(segment);
	return plan;
}

/* Its row of cz.move, with what it will have moved. */
static void
insert_row(const CzPromotion *p)
{
	Oid			argtypes[6] = {INT8OID, OIDARRAYOID, INT8ARRAYOID, TEXTOID, TEXTOID, INT4OID};
	Datum		values[6];
	Datum	   *ids = palloc(sizeof(Datum) * Max(list_length(p->all.tables), 1));
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, p->all.tables)
	{
		const CzMoveTable *table = lfirst(lc);

		relids = list_append_unique_oid(relids, table->relid);
		ids[foreach_current_index(lc)] = Int64GetDatum(table->shard_id);
	}
	values[0] = Int64GetDatum(p->move->move_id);
	values[1] = CzMoveOidArray(relids);
	values[2] = PointerGetDatum(construct_array(ids, list_length(p->all.tables), INT8OID,
												sizeof(int64), FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[3] = CStringGetTextDatum(CzNodeGet(p->move->source_oid)->name);
	values[4] = CStringGetTextDatum(CzNodeGet(p->move->target_oid)->name);
	values[5] = Int32GetDatum(MyProcPid);
	CzCatalogExec("INSERT INTO cz.move (move_id, operation, mode, colocation_id, shard_index, tables, shard_ids, source_name, target_name, phase, pid, started_at, updated_at)"
				  " VALUES ($1, 'promote', 'block_writes', 0, -1, $2, $3, $4::pg_catalog.name, $5::pg_catalog.name, '" CZ_PHASE_PREPARING "', $6, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp())",
				  6, argtypes, values, NULL);
}

/* Has the clone all rows of the shard, and may it take it? */
static void
check_shard(const CzPromotion *p, const CzTable *table, int index)
{
	const CzShard *shard = index < table->nshards ? &table->shards[index] : NULL;

	if (shard == NULL ||
		!CzShardIsActiveOn(shard, p->move->source_oid) ||
		list_member_oid(CzShardServers(shard->relid), p->move->target_oid) ||
		get_rel_persistence(table->relid) == RELPERSISTENCE_UNLOGGED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("shards of table \"%s\" were changed while the clone was to be promoted",
						get_rel_name(table->relid)),
				 errhint("Call citus_promote_clone_and_rebalance() again.")));
}

/* A group of the plan, as it is now. */
static CzMove *
read_group(CzPromotion *p, Oid relid, int index)
{
	const CzTable *table = CzTableGet(relid);
	CzMove	   *group = palloc0(sizeof(CzMove));
	ListCell   *lc;

	if (table == NULL || !CzTableIsDistributed(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a table was changed while the clone was to be promoted"),
				 errhint("Call citus_promote_clone_and_rebalance() again.")));
	*group = *p->move;
	group->context = p->context;
	group->relid = relid;
	group->colocation_id = table->colocation_id;
	group->shard_index = index;
	group->from_oid = group->source_oid;
	CzMoveReadTables(group);
	foreach(lc, CzMoveGroupRelids(group))
		check_shard(p, CzTableGet(lfirst_oid(lc)), index);
	return group;
}

/* All groups of the plan, anew. */
static void
read_groups(CzPromotion *p)
{
	MemoryContext old;
	int			i;

	if (p->context == NULL)
		p->context = AllocSetContextCreate(p->move->context, "cz promotion",
										   ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(p->context);
	old = MemoryContextSwitchTo(p->context);
	p->groups = NIL;
	p->all = *p->move;
	p->all.context = p->context;
	p->all.from_oid = p->move->source_oid;
	p->all.tables = NIL;
	for (i = 0; i < p->plan->ngroups; i++)
	{
		CzMove	   *group = read_group(p, p->plan->groups[i].relid, p->plan->groups[i].index);

		p->groups = lappend(p->groups, group);
		p->all.tables = list_concat(p->all.tables, group->tables);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Nodes, colocation groups, reference tables, and tables of the groups stay as they are, and
 * so do types and functions that workers have; nobody writes to reference tables.
 */
static void
lock_here(CzPromotion *p)
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *relids = NIL;
	ListCell   *lc;

	LockDatabaseObject(ForeignDataWrapperRelationId, CzFdwOid(), 0, ShareUpdateExclusiveLock);
	LockRelationOid(CzCatalogRelid("colocation"), ShareLock);
	LockRelationOid(CzCatalogRelid("tables"), ShareRowExclusiveLock);
	foreach(lc, p->all.tables)
		relids = list_append_unique_oid(relids, ((CzMoveTable *) lfirst(lc))->relid);
	list_sort(relids, list_oid_cmp);
	foreach(lc, relids)
		LockRelationOid(lfirst_oid(lc), ShareUpdateExclusiveLock);
	foreach(lc, CzReferenceTableList())
		LockRelationOid(lfirst_oid(lc), ShareRowExclusiveLock);

	rel = table_open(CzCatalogRelid("objects"), AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			classid = DatumGetObjectId(heap_getattr(tuple, OBJECTS_CLASSID,
															RelationGetDescr(rel), &isnull));
		Oid			objid = DatumGetObjectId(heap_getattr(tuple, OBJECTS_OBJID,
														  RelationGetDescr(rel), &isnull));

		LockDatabaseObject(classid, objid, 0, ShareUpdateExclusiveLock);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	AcceptInvalidationMessages();
	if (!CzNodeGet(p->move->source_oid)->is_active ||
		CzNodeGet(p->move->target_oid)->clone_of == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("nodes were changed while the clone was to be promoted")));
	read_groups(p);
}

/* Names of copies of reference tables on the primary that are in use, of an owner. */
static void
append_copies(const CzPromotion *p, Oid owner, StringInfo buf)
{
	ListCell   *lc;

	foreach(lc, CzReferenceTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && CzRelationOwner(lfirst_oid(lc)) == owner &&
			CzShardIsActiveOn(&table->shards[0], p->move->source_oid))
			appendStringInfo(buf, "%s%s", buf->len > 0 ? ", " : "",
							 table->shards[0].remote_qualified);
	}
}

/*
 * Keep out who writes what the clone takes over: of this server, then, by locks on the
 * primary, other coordinators, and what is prepared there.
 */
static void
lock_writers(CzPromotion *p)
{
	List	   *owners = CzMoveOwners(&p->all);
	const CzShard **shards = palloc(sizeof(CzShard *) * Max(list_length(p->all.tables), 1));
	TimestampTz deadline = CzMoveDeadline();
	int			nshards = 0;
	ListCell   *lc;
	ListCell   *lt;

	CzMoveSwitchBegin();
	foreach(lc, p->groups)
	{
		const CzMove *group = lfirst(lc);

		foreach(lt, group->tables)
			shards[nshards++] =
				&CzTableGet(((CzMoveTable *) lfirst(lt))->relid)->shards[group->shard_index];
	}
	CzTxnLockShardsForMove(shards, nshards, deadline);
	/* what the locks have waited for may have given up a placement */
	AcceptInvalidationMessages();
	read_groups(p);
	pg_usleep(ARRIVAL_MS * 1000L);
	CzTxnLockUntil(deadline);
	foreach(lc, CzReferenceTableList())
		owners = list_append_unique_oid(owners, CzRelationOwner(lfirst_oid(lc)));
	foreach(lc, owners)
	{
		StringInfoData names;

		initStringInfo(&names);
		appendStringInfoString(&names, CzMoveRelationsOf(&p->all, lfirst_oid(lc)));
		append_copies(p, lfirst_oid(lc), &names);
		if (names.len > 0)
			CzTxnExec(p->move->source_oid, lfirst_oid(lc),
					  psprintf("LOCK TABLE %s IN EXCLUSIVE MODE", names.data));
	}
	CzTxnLockUntil(CzMoveDeadline());
	CzTxnRequireClear(p->move->source_oid, GetForeignServer(p->move->source_oid)->owner);
}

/* Moves that run make and drop things on the primary, which the clone would have. */
static void
check_alone(const CzPromotion *p)
{
	Oid			argtypes[2] = {INT8OID, TEXTOID};
	Datum		values[2];
	bool		is_alone;

	values[0] = Int64GetDatum(p->move->move_id);
	values[1] = CStringGetTextDatum(CzNodeGet(p->move->source_oid)->name);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT FROM cz.move m WHERE m.move_id OPERATOR(pg_catalog.<>) $1"
							  " AND m.phase OPERATOR(pg_catalog.<>) '" CZ_PHASE_DONE "' AND m.phase OPERATOR(pg_catalog.<>) '" CZ_PHASE_FAILED "'"
							  " AND (m.source_name OPERATOR(pg_catalog.=) $2::pg_catalog.name OR m.target_name OPERATOR(pg_catalog.=) $2::pg_catalog.name"
							  " OR EXISTS (SELECT FROM cz.cleanup c WHERE c.move_id OPERATOR(pg_catalog.=) m.move_id AND c.server_name OPERATOR(pg_catalog.=) $2::pg_catalog.name))",
							  2, argtypes, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.move");
	is_alone = SPI_processed == 0;
	SPI_finish();
	if (!is_alone)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("shards of node \"%s\" are being moved",
						CzNodeGet(p->move->source_oid)->name),
				 errhint("Wait until that is done, or stop it.")));
}

/* Nobody writes any more where the shards were; see switch.c. */
static void
put_fence(const CzPromotion *p)
{
	const char *marker = CzMoveDroppedMarker(p->move);
	ListCell   *lc;

	foreach(lc, CzMoveOwners(&p->all))
	{
		char	   *prefix = psprintf("cz_m" INT64_FORMAT "_o%d", p->move->move_id,
									  foreach_current_index(lc));
		char	   *function = psprintf("cz_shards.%s", quote_identifier(psprintf("%sf", prefix)));
		StringInfoData sql;
		ListCell   *lt;
		ListCell   *ln;

		initStringInfo(&sql);
		appendStringInfo(&sql, "CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS %s;\n",
						 function, quote_literal_cstr(CZ_MOVE_FENCE_BODY));
		foreach(lt, p->all.tables)
		{
			const CzMoveTable *table = lfirst(lt);

			if (table->owner != lfirst_oid(lc))
				continue;
			foreach(ln, table->relations)
				appendStringInfo(&sql, "CREATE TRIGGER aa_cz_fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s();\n"
								 "ALTER TABLE %s ENABLE ALWAYS TRIGGER aa_cz_fence;\n",
								 (char *) lfirst(ln), function, (char *) lfirst(ln));
			appendStringInfo(&sql, "COMMENT ON TABLE %s IS %s;\n", table->qualified,
							 quote_literal_cstr(marker));
			CzMoveExpectCleanup(p->move, p->move->source_oid, table->owner, "table",
								table->qualified, NULL, "on_success", marker);
		}
		CzTxnExec(p->move->source_oid, lfirst_oid(lc), sql.data);
		CzMoveExpectCleanup(p->move, p->move->source_oid, lfirst_oid(lc), "capture", "", prefix,
							"on_success", NULL);
	}
}

/* The catalogs: the clone in the primary's place for what it takes. */
static void
set_placements(const CzPromotion *p)
{
	ListCell   *lc;
	ListCell   *ls;

	foreach(lc, p->all.tables)
	{
		const CzMoveTable *table = lfirst(lc);
		List	   *servers = CzShardServers(table->shard_relid);

		foreach(ls, servers)
		{
			if (lfirst_oid(ls) == p->move->source_oid)
				lfirst_oid(ls) = p->move->target_oid;
		}
		CzShardSetPlacements(table->shard_relid, servers);
	}
	/* what a standby has of unlogged tables is empty, and of copies not in use no better than
	 * the primary's */
	foreach(lc, CzReferenceTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		const CzShard *shard = table ? &table->shards[0] : NULL;

		if (shard == NULL)
			continue;
		if (get_rel_persistence(lfirst_oid(lc)) == RELPERSISTENCE_UNLOGGED ||
			!CzShardIsActiveOn(shard, p->move->source_oid))
			(void) CzInactiveInsert(shard->shard_id, p->move->target_oid,
									"the clone did not have its rows");
		CzInvalidateTable(lfirst_oid(lc));
	}
	/* who takes snapshots of several workers must see the one or the other */
	cz_inactive_changed = true;
}

/* The clone is a node like its primary. */
static void
set_node(const CzPromotion *p, const char *identity)
{
	static const char *const same[] = {"partial_aggregates", "installed_extensions",
	"collation_differs", "server_version"};
	List	   *options = GetForeignServer(p->move->source_oid)->options;
	Oid			clone_oid = p->move->target_oid;
	int			i;

	for (i = 0; i < lengthof(same); i++)
		CzNodeSetOption(clone_oid, same[i], CzFindOption(options, same[i]));
	CzNodeSetOption(clone_oid, "clone_of", NULL);
	CzNodeSetOption(clone_oid, "should_have_shards", NULL);
	CzNodeSetOption(clone_oid, "checked", "true");
	CzNodeSetOption(clone_oid, "identity", identity);
	CzNodeSetOption(clone_oid, "state", NULL);
}

/* What is to go from the primary has to go from the clone, too. */
static void
copy_cleanup(const CzPromotion *p)
{
	Oid			argtypes[3] = {INT8OID, TEXTOID, TEXTOID};
	Datum		values[3];

	values[0] = Int64GetDatum(p->move->move_id);
	values[1] = CStringGetTextDatum(CzNodeGet(p->move->source_oid)->name);
	values[2] = CStringGetTextDatum(CzNodeGet(p->move->target_oid)->name);
	CzCatalogExec("INSERT INTO cz.cleanup (server_name, object_kind, object_schema, object_name, object_args, user_name, move_id, policy, marker, not_before)"
				  " SELECT $3::pg_catalog.name, object_kind, object_schema, object_name, object_args, user_name, move_id, policy, marker, not_before"
				  " FROM cz.cleanup WHERE server_name OPERATOR(pg_catalog.=) $2::pg_catalog.name AND move_id IS DISTINCT FROM $1",
				  3, argtypes, values, NULL);
	CzMoveExpectCleanup(p->move, p->move->target_oid,
						GetForeignServer(p->move->target_oid)->owner, "table",
						psprintf(CZ_PROMOTE_TOKEN, p->move->move_id), NULL, "always", NULL);
}

/* From here on the clone is no standby any more. */
static void
switch_over(CzPromotion *p)
{
	char	   *identity;

	CzDebugPoint("clone_caught_up");
	p->move->has_copied = true; /* not to be repeated */
	CzClonePromote(p);
	HOLD_CANCEL_INTERRUPTS();
	CzDebugPoint("clone_promoted");
	identity = CzCloneIdentify(p);
	CzCloneForgetPrepared(p);
	CzCloneMarkLeftOver(p);
	copy_cleanup(p);
	put_fence(p);
	set_placements(p);
	set_node(p, identity);
	CzMoveSetPhase(p->move, CZ_PHASE_SWITCHED);
	CzMoveForgetCleanup(p->move, "on_failure");
	CzMoveDelayCleanup(p->move, cz_drop_delay_ms);
	CzDebugPoint("clone_switching");
	PopActiveSnapshot();
	CommitTransactionCommand();
	CzMoveSwitchEnd();
	RESUME_CANCEL_INTERRUPTS();
}

static void
give_up(CzPromotion *p)
{
	ListCell   *lc;

	CzMoveSwitchEnd();
	foreach(lc, p->groups)
		CzMoveReleaseReferences(lfirst(lc));
}

/* One attempt; false: somebody has a lock, or the clone is too far behind. */
static bool
attempt(CzPromotion *p, double *pause_ms)
{
	instr_time	start;
	instr_time	end;
	bool		is_close;
	ListCell   *lc;

	CzMoveBegin();
	/* before anybody waits for its locks */
	CzGateEnter();
	lock_here(p);
	p->all.has_tried = CzMoveAwaitMoment(&p->all, false);
	if (!p->all.has_tried)
	{
		PopActiveSnapshot();
		AbortCurrentTransaction();
		return false;
	}
	INSTR_TIME_SET_CURRENT(start);
	lock_writers(p);
	foreach(lc, p->groups)
		CzMoveHoldReferences(lfirst(lc), list_make1_oid(((CzMove *) lfirst(lc))->source_oid));
	CzDebugPoint("clone_locked");
	check_alone(p);
	is_close = CzCloneSees(p, true, LOCKED_MS);
	if (is_close)
		switch_over(p);
	else
	{
		PopActiveSnapshot();
		AbortCurrentTransaction();
		give_up(p);
	}
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	*pause_ms = INSTR_TIME_GET_MILLISEC(end);
	return is_close;
}

/* attempt() that returns false, too, if a lock is not given in time. */
static bool
try_attempt(CzPromotion *p, double *pause_ms)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool result = false;

	PG_TRY();
	{
		result = attempt(p, pause_ms);
	}
	PG_CATCH();
	{
		give_up(p);
		CzMoveForgiveLock(p->move, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return result;
}

/* While others write: until the clone is close behind. */
static void
catch_up(CzPromotion *p)
{
	bool		is_close = false;

	while (!is_close)
	{
		CzMoveBegin();
		is_close = CzCloneSees(p, false, CLOSE_MS);
		CzCloneCheckTime(p);
		CzMoveCommit();
	}
}

static void
set_lock_timeout(int ms)
{
	SetConfigOption("lock_timeout", psprintf("%dms", ms), PGC_SUSET, PGC_S_OVERRIDE);
}

static void
switch_in_attempts(CzPromotion *p)
{
	int			wait_ms = FIRST_PAUSE_MS;
	double		pause_ms = 0;
	char	   *what;
	TimestampTz begin = GetCurrentTimestamp();
	int			nattempts;

	set_lock_timeout(cz_cutover_lock_timeout_ms);
	for (nattempts = 1; !try_attempt(p, &pause_ms); nattempts++)
	{
		set_lock_timeout(0);
		CzMoveNoteHolders(p->move, nattempts, begin);
		if (cz_cutover_attempts > 0 && nattempts >= cz_cutover_attempts)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not lock the shards against writers in %d attempts",
							nattempts),
					 errhint("Transactions that have written to the shards must end first; see cz.cutover_attempts.")));
		CzMoveSleep(wait_ms);
		wait_ms = Min(wait_ms * 2, MAX_PAUSE_MS);
		catch_up(p);
		set_lock_timeout(cz_cutover_lock_timeout_ms);
	}
	set_lock_timeout(0);
	CzDebugPoint("clone_switched");
	CzMoveBegin();
	CzMoveNoteWaits(p->move, nattempts, NULL);
	CzMoveNote(p->move, "pause_ms", pause_ms);
	what = CzMoveTitle(p->move);
	CzMoveCommit();
	ereport(LOG,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("%s: switched in attempt %d, writers waited %.0f ms", what, nattempts, pause_ms)));
}

/*
 * CzPromoteFinish
 *		See mover_int.h.
 */
void
CzPromoteFinish(CzMove *move)
{
	CzMoveBegin();
	CzCloneForgetPrimary(move->target_oid);
	CzMoveSetPhase(move, CZ_PHASE_DONE);
	CzMoveCommit();
}

/*
 * CzPromoteRun
 *		See mover_int.h.
 */
void
CzPromoteRun(CzMove *move, uint32 plan_handle)
{
	CzPromotion promotion = {0};
	CzPromotion *p = &promotion;
	ListCell   *lc;

	p->move = move;
	p->started_at = GetCurrentTimestamp();
	move->mode = CZ_TRANSFER_BLOCK_WRITES;
	CzMoveBegin();
	CzGateAwait();
	p->plan = take_plan(move, plan_handle);
	read_groups(p);
	check_alone(p);
	insert_row(p);
	CzMoveExpectCleanup(move, move->source_oid, GetForeignServer(move->source_oid)->owner, "table",
						psprintf(CZ_PROMOTE_TOKEN, move->move_id), NULL, "always", NULL);
	CzMoveCommit();
	move->phase = CZ_PHASE_PREPARING;
	CzMoveNoteLeft();
	CzDebugPoint("clone_begun");
	CzMoveBegin();
	CzCloneTokenMake(p);
	CzMoveCommit();
	set_phase(p, CZ_PHASE_CATCHING_UP);
	catch_up(p);
	set_phase(p, CZ_PHASE_SWITCHING);
	switch_in_attempts(p);
	foreach(lc, p->groups)
		CzMoveDropOldKeys(lfirst(lc));
	CzPromoteFinish(move);
	CzDebugPoint("clone_done");
}
