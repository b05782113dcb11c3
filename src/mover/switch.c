/*-------------------------------------------------------------------------
 *
 * switch.c
 *	  The moment in which a group of shards changes its place.
 *
 * One transaction, which commits in two phases: writers of these shards are kept out, here
 * by the shards' locks and on the workers by table locks, which other coordinators and
 * prepared transactions have, too; what the target lacks is brought to it, and committed
 * there; a fence is put up where the shards leave; the catalogs say where they are.  Readers
 * go on all the time: what they have looked up stays for them until the clean-up.
 *
 * Nothing is waited for longer than cz.cutover_lock_timeout: the attempt is given up then
 * and repeated, so that writers never stand behind one who waits for a long transaction.
 *
 * The fence is a trigger that raises 40001, for who has looked up the old place and writes
 * too late.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_foreign_server.h"
#include "executor/instrument.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* Pause after an attempt that has failed; doubled with each */
#define FIRST_PAUSE_MS 50
#define MAX_PAUSE_MS 1000
/* Writers that have not seen that a switch begins are on their way to a worker */
#define ARRIVAL_MS 5

/*
 * CzMoveRelationsOf
 *		See mover_int.h.
 */
char *
CzMoveRelationsOf(const CzMove *move, Oid owner)
{
	StringInfoData buf;
	ListCell   *lc;
	ListCell   *ln;

	initStringInfo(&buf);
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		if (table->owner != owner)
			continue;
		foreach(ln, table->relations)
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", (char *) lfirst(ln));
	}
	return buf.data;
}

/*
 * Is it the group that was prepared, at the places where it was?  The locks keep it so:
 * those of tables keep out who alters them or builds indexes, that of cz.colocation new
 * tables of the group.
 */
static void
lock_here(CzMove *move)
{
	ListCell   *lc;

	LockRelationOid(CzCatalogRelid("colocation"), ShareLock);
	LockDatabaseObject(ForeignServerRelationId, move->target_oid, 0, AccessShareLock);
	foreach(lc, move->tables)
		LockRelationOid(((CzMoveTable *) lfirst(lc))->relid, ShareUpdateExclusiveLock);
	CzMoveCheckGroup(move);
	/* as what is on the target was made by; check_structure() compares */
	CzMoveReadGroup(move);
}

static const CzShard **
shards_of(const CzMove *move, int *nshards)
{
	const CzShard **shards = palloc(sizeof(CzShard *) * list_length(move->tables));
	ListCell   *lc;

	*nshards = 0;
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		shards[(*nshards)++] = &CzTableGet(table->relid)->shards[move->shard_index];
	}
	return shards;
}

/*
 * CzMoveLockWriters
 *		See mover_int.h.
 */
void
CzMoveLockWriters(CzMove *move, TimestampTz deadline)
{
	int			nshards;
	const CzShard **shards = shards_of(move, &nshards);
	const CzShard *first;
	ListCell   *lc;
	int			i;

	CzMoveSwitchBegin();
	CzTxnLockShardsForMove(shards, nshards, deadline);
	/* what the locks have waited for may have given up a placement */
	AcceptInvalidationMessages();
	CzMoveReadGroup(move);
	pg_usleep(ARRIVAL_MS * 1000L);
	first = &CzTableGet(linitial_oid(CzMoveRelids(move)))->shards[move->shard_index];
	CzTxnLockUntil(deadline);
	foreach(lc, CzMoveOwners(move))
	{
		List	   *commands = NIL;
		const char *sql = psprintf("LOCK TABLE %s IN EXCLUSIVE MODE",
								   CzMoveRelationsOf(move, lfirst_oid(lc)));

		for (i = 0; i < first->nplacements; i++)
		{
			CzTxnCommand *command = palloc(sizeof(CzTxnCommand));

			if (!CzTxnCanReachNow(first->server_oids[i], lfirst_oid(lc)))
				ereport(ERROR,
						(errcode(ERRCODE_CONNECTION_FAILURE),
						 errmsg("node \"%s\", which has an active placement, cannot be reached",
								CzNodeGet(first->server_oids[i])->name)));
			command->server_oid = first->server_oids[i];
			command->sql = sql;
			commands = lappend(commands, command);
		}
		CzTxnExecList(commands, lfirst_oid(lc));
	}
	CzTxnLockUntil(CzMoveDeadline());
	for (i = 0; i < first->nplacements; i++)
		CzTxnRequireClear(first->server_oids[i], linitial_oid(CzMoveOwners(move)));
}

/*
 * CzMovePutFence
 *		See mover_int.h.
 */
void
CzMovePutFence(const CzMove *move, Oid server_oid)
{
	const CzShard *first = &CzTableGet(linitial_oid(CzMoveRelids(move)))->shards[move->shard_index];
	bool		is_active = false;
	ListCell   *lc;
	int			i;

	for (i = 0; i < first->nplacements; i++)
		is_active |= first->server_oids[i] == server_oid;
	/* one that is not active has got no writes for long, and may not be reached */
	if (!is_active)
		return;
	foreach(lc, CzMoveOwners(move))
	{
		StringInfoData sql;
		ListCell   *lt;
		ListCell   *ln;
		char	   *function = psprintf("cz_shards.%s",
										quote_identifier(psprintf("cz_m" INT64_FORMAT "_o%df", move->move_id,
																  foreach_current_index(lc))));

		initStringInfo(&sql);
		appendStringInfo(&sql, "CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS %s;\n", function,
						 quote_literal_cstr(CZ_MOVE_FENCE_BODY));
		foreach(lt, move->tables)
		{
			const CzMoveTable *table = lfirst(lt);

			if (table->owner != lfirst_oid(lc))
				continue;
			foreach(ln, table->relations)
				appendStringInfo(&sql, "CREATE TRIGGER aa_cz_fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s();\n"
								 "ALTER TABLE %s ENABLE ALWAYS TRIGGER aa_cz_fence;\n",
								 (char *) lfirst(ln), function, (char *) lfirst(ln));
			appendStringInfo(&sql, "COMMENT ON TABLE %s IS %s;\n", table->qualified,
							 quote_literal_cstr(CzMoveDroppedMarker(move)));
		}
		CzTxnExec(server_oid, lfirst_oid(lc), sql.data);
	}
}

/* The catalogs: the target in the source's place, or one more. */
static void
set_placements(const CzMove *move)
{
	ListCell   *lc;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);
		List	   *servers = CzShardServers(table->shard_relid);
		ListCell   *ls;

		if (OidIsValid(move->source_oid))
		{
			foreach(ls, servers)
			{
				if (lfirst_oid(ls) == move->source_oid)
					lfirst_oid(ls) = move->target_oid;
			}
			(void) CzInactiveDelete(table->shard_id, move->source_oid);
		}
		else
			servers = lappend_oid(servers, move->target_oid);
		CzShardSetPlacements(table->shard_relid, servers);
	}
	/* who takes snapshots of several workers must see the one or the other */
	cz_inactive_changed = true;
}

/*
 * CzMoveHoldReferences
 *		See mover_int.h.
 *
 * An old placement refers to reference tables until it is dropped, or at least its keys are
 * (CzMoveDropOldKeys): until then no row that it refers to may go.
 */
void
CzMoveHoldReferences(CzMove *move, List *server_oids)
{
	MemoryContext old = MemoryContextSwitchTo(move->context);
	ListCell   *lc;

	move->old_keys = NIL;
	foreach(lc, server_oids)
		move->old_keys = list_concat(move->old_keys,
									 CzOldKeysOf(CzMoveRelids(move), move->shard_index, lfirst_oid(lc)));
	foreach(lc, CzMoveRelids(move))
		move->held = list_concat_unique_oid(move->held, CzReferenceParents(lfirst_oid(lc), NULL));
	list_sort(move->held, list_oid_cmp);
	MemoryContextSwitchTo(old);
	foreach(lc, move->held)
	{
		CzTxnHoldReferred(lfirst_oid(lc));
		move->nheld++;
	}
}

/*
 * CzMoveReleaseReferences
 *		See mover_int.h.
 */
void
CzMoveReleaseReferences(CzMove *move)
{
	while (move->nheld > 0)
		CzTxnReleaseReferred(list_nth_oid(move->held, --move->nheld));
	list_free(move->held);
	move->held = NIL;
}

/*
 * Autovacuum of the source gives way to who waits for it longer than deadlock_timeout; that
 * is not to be done with writers behind.
 */
static void
end_autovacuum(CzMove *move)
{
	ListCell   *lc;

	SetConfigOption("lock_timeout", "3s", PGC_SUSET, PGC_S_OVERRIDE);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach(lc, CzMoveOwners(move))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(move->from_oid, lfirst_oid(lc)));

		PQclear(CzConnTryExec(conn, psprintf("BEGIN; LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE; COMMIT",
											 CzMoveRelationsOf(move, lfirst_oid(lc)))));
		if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
			PQclear(CzConnTryExec(conn, "ROLLBACK"));
		CzConnRelease(conn);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* What the pause of the last attempt consisted of, for the log; milliseconds. */
typedef struct PauseParts
{
	bool		is_known;
	double		lock_ms;
	double		changes_ms;		/* the last round */
	double		fence_ms;		/* keys, fence, catalogs */
	double		commit_ms;
} PauseParts;

static PauseParts parts;

/* Milliseconds since then, which becomes now. */
static double
lap(instr_time *since)
{
	instr_time	now;
	instr_time	passed;

	INSTR_TIME_SET_CURRENT(now);
	passed = now;
	INSTR_TIME_SUBTRACT(passed, *since);
	*since = now;
	return INSTR_TIME_GET_MILLISEC(passed);
}

/* One attempt; false: somebody has a lock. */
static bool
attempt(CzMove *move, double *pause_ms)
{
	bool		is_online = move->mode != CZ_TRANSFER_BLOCK_WRITES;
	instr_time	begin;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	/* before anybody waits for its locks */
	CzGateEnter();
	lock_here(move);
	if (is_online)
		CzMoveCheckStructure(move);
	move->has_tried = CzMoveAwaitMoment(move, false);
	if (!move->has_tried)
	{
		PopActiveSnapshot();
		AbortCurrentTransaction();
		return false;
	}
	if (OidIsValid(move->source_oid))
		CzMoveHoldReferences(move, list_make1_oid(move->source_oid));
	INSTR_TIME_SET_CURRENT(begin);
	CzMoveLockWriters(move, CzMoveDeadline());
	CzDebugPoint("move_locked");
	parts.lock_ms = lap(&begin);
	if (is_online)
		(void) CzMoveRound(move, true);
	else
	{
		move->has_copied = true;
		CzMoveCopyRows(move, true);
		CzMoveMakeIndexesLocked(move);
		CzMoveCheckStructure(move);
	}
	parts.changes_ms = lap(&begin);
	CzMoveMakeKeys(move);
	CzDebugPoint("move_copied_all");
	if (OidIsValid(move->source_oid))
		CzMovePutFence(move, move->source_oid);
	if (is_online)
		CzMoveCaptureOff(move);
	set_placements(move);
	CzMoveSetPhase(move, CZ_PHASE_SWITCHED);
	CzMoveForgetCleanup(move, "on_failure");
	CzMoveDelayCleanup(move, cz_drop_delay_ms);
	CzDebugPoint("move_switching");
	parts.fence_ms = lap(&begin);
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (!move->is_awaited)
		CzMoveSwitchEnd();
	parts.commit_ms = lap(&begin);
	parts.is_known = true;
	*pause_ms = parts.lock_ms + parts.changes_ms + parts.fence_ms + parts.commit_ms;
	return true;
}

/*
 * CzMoveForgiveLock
 *		See mover_int.h.
 */
void
CzMoveForgiveLock(const CzMove *move, MemoryContext context)
{
	int			code = geterrcode();

	/* also a deadlock: writers hold what it wants, and want what it holds */
	if (move->has_copied ||
		(code != ERRCODE_LOCK_NOT_AVAILABLE && code != ERRCODE_T_R_DEADLOCK_DETECTED))
		PG_RE_THROW();
	HOLD_INTERRUPTS();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	FlushErrorState();
	RESUME_INTERRUPTS();
}

/* attempt() that returns false, too, if a lock is not given in time. */
static bool
try_attempt(CzMove *move, double *pause_ms)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool result = false;

	PG_TRY();
	{
		result = move->operation == CZ_MOVE_SPLIT ? CzSplitAttempt(move, pause_ms) :
			attempt(move, pause_ms);
	}
	PG_CATCH();
	{
		if (!move->is_awaited)
			CzMoveSwitchEnd();
		CzMoveReleaseReferences(move);
		CzMoveForgiveLock(move, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	/* an abort has unlocked them; whoever has them meanwhile is waited for */
	if (!result)
	{
		SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
		move->is_locked = false;
		CzMoveLockTables(move);
	}
	return result;
}

/*
 * CzMoveNoteNow
 *		See mover_int.h.
 */
void
CzMoveNoteNow(const CzMove *move, const char *what, double value)
{
	CzMoveBegin();
	CzMoveNote(move, what, value);
	CzMoveCommit();
}

/*
 * CzMoveDropOldKeys
 *		See mover_int.h.  Readers of the old placement may be in the way: then the rest is
 *		the clean-up's.
 */
void
CzMoveDropOldKeys(CzMove *move)
{
	CzOldKeysDrop(move->nheld > 0 ? move->old_keys : NIL);
	CzMoveReleaseReferences(move);
}

/* One placement more of shards whose writers take no locks (await.c)? */
static bool
must_await(const CzMove *move)
{
	bool		result;

	/* a split locks the tables themselves */
	if (OidIsValid(move->source_oid) || move->operation == CZ_MOVE_SPLIT)
		return false;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	result = !CzShardIsReplicated(&CzTableGet(linitial_oid(CzMoveRelids(move)))->shards[move->shard_index]);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return result;
}

/* Writers look whether there is a switch from here on until it is over, all attempts long. */
static void
await_before(CzMove *move)
{
	move->is_awaited = must_await(move);
	if (!move->is_awaited)
		return;
	CzMoveSwitchBegin();
	if (CzMoveAwaitStatements(move, true) && move->mode != CZ_TRANSFER_BLOCK_WRITES)
		CzMoveCatchUp(move);
}

static void
await_after(CzMove *move)
{
	if (!move->is_awaited)
		return;
	(void) CzMoveAwaitStatements(move, false);
	CzMoveSwitchEnd();
}

/*
 * CzMoveSwitch
 *		See mover_int.h.
 */
void
CzMoveSwitch(CzMove *move)
{
	int			wait_ms = FIRST_PAUSE_MS;
	double		pause_ms = 0;
	char	   *what;
	TimestampTz begin = GetCurrentTimestamp();
	int			nattempts;

	CzMoveGiveWay(move);
	await_before(move);
	CzTxnLockUntil(CzMoveDeadline());
	for (nattempts = 1; !try_attempt(move, &pause_ms); nattempts++)
	{
		CzMoveNoteHolders(move, nattempts, begin);
		if (cz_cutover_attempts > 0 && nattempts >= cz_cutover_attempts)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not lock the shards against writers in %d attempts",
							nattempts),
					 errhint("Transactions that have written to the shards must end first; see cz.cutover_attempts.")));
		/* who has made writers wait lets them go on for a while */
		if (move->has_tried)
		{
			CzMoveSleep(wait_ms);
			wait_ms = Min(wait_ms * 2, MAX_PAUSE_MS);
		}
		CzMoveGiveWay(move);
		end_autovacuum(move);
		SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
		if (move->mode != CZ_TRANSFER_BLOCK_WRITES)
		{
			if (move->operation == CZ_MOVE_SPLIT)
				CzSplitCatchUp(move);
			else
				CzMoveCatchUp(move);
		}
		CzTxnLockUntil(CzMoveDeadline());
	}
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	CzDebugPoint("move_switched");
	await_after(move);
	CzMoveBegin();
	CzMoveNoteWaits(move, nattempts, NULL);
	CzMoveNote(move, "pause_ms", pause_ms);
	what = CzMoveTitle(move);
	CzMoveCommit();
	ereport(LOG,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("%s: switched in attempt %d, writers waited %.0f ms", what, nattempts, pause_ms),
			 parts.is_known ?
			 errdetail("Locks took %.0f ms, the last changes %.0f ms, keys and fence %.0f ms, the commit %.0f ms.",
					   parts.lock_ms, parts.changes_ms, parts.fence_ms, parts.commit_ms) : 0));
}
