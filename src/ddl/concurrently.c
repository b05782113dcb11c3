/*-------------------------------------------------------------------------
 *
 * concurrently.c
 *	  What the CONCURRENTLY forms of CREATE INDEX, DROP INDEX and REINDEX share; locks for
 *	  that of DETACH PARTITION.
 *
 * The statement is several transactions, as in core.  The parent's index is made, and
 * committed, as an invalid one; then each worker builds those of its shards by the same
 * command, which lets writers go on; when all are there, the parent's becomes valid.
 * DROP goes the other way.  Whatever ends it in between leaves an invalid index, and
 * shards of which some have it and some have not: REINDEX INDEX looks what each has.
 *
 * A lock of the session, ShareUpdateExclusive on the table as core takes it, keeps other
 * DDL out over all transactions.  An index of a partitioned table needs ShareLock to be
 * made: it is asked for in short turns, so that no writer waits long behind us.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cz/settings.h"
#include "cz/transaction.h"
#include "concurrently_int.h"

/* The first turn of waiting for a lock that writers wait behind, and the longest, ms */
#define FIRST_TURN_MS 100
#define LONGEST_TURN_MS 1000

/* What one worker is asked. */
typedef struct Question
{
	Oid			server_oid;
	List	   *placements;
	StringInfoData values;
} Question;

/*
 * CzWorkBegin, CzWorkLockAlso, CzWorkEnd, CzNextTransaction, CzSetIndexValidLate
 *		See concurrently_int.h.
 */
CzWork *
CzWorkBegin(Oid relid)
{
	CzWork	   *work;
	Relation	rel;
	MemoryContext context = AllocSetContextCreate(PortalContext, "cz concurrently",
												  ALLOCSET_SMALL_SIZES);

	work = MemoryContextAllocZero(context, sizeof(CzWork));
	work->context = context;
	work->relid = relid;
	rel = relation_open(relid, NoLock);
	work->lock_id = rel->rd_lockInfo.lockRelId;
	relation_close(rel, NoLock);
	SET_LOCKTAG_RELATION(work->tag, work->lock_id.dbId, work->lock_id.relId);
	LockRelationIdForSession(&work->lock_id, ShareUpdateExclusiveLock);
	return work;
}

void
CzWorkLockAlso(CzWork *work, Oid oid)
{
	Relation	rel = relation_open(oid, ShareUpdateExclusiveLock);

	work->other_lock_id = rel->rd_lockInfo.lockRelId;
	relation_close(rel, NoLock);
	LockRelationIdForSession(&work->other_lock_id, ShareUpdateExclusiveLock);
}

void
CzWorkEnd(CzWork *work)
{
	if (OidIsValid(work->other_lock_id.relId))
		UnlockRelationIdForSession(&work->other_lock_id, ShareUpdateExclusiveLock);
	UnlockRelationIdForSession(&work->lock_id, ShareUpdateExclusiveLock);
	MemoryContextDelete(work->context);
}

void
CzNextTransaction(void)
{
	while (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
}

void
CzSetIndexValidLate(Oid index_oid, bool is_valid)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	CzSetIndexValid(index_oid, is_valid);
	PopActiveSnapshot();
}

/*
 * CzTryLock
 *		See ddl.h.
 */
bool
CzTryLock(List *relids, LOCKMODE mode, int timeout_ms, bool forgives_deadlock)
{
	ListCell   *lc;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool is_locked = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int			nestlevel = NewGUCNestLevel();

		(void) set_config_option("lock_timeout", psprintf("%d", timeout_ms), PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		foreach(lc, relids)
			LockRelationOid(lfirst_oid(lc), mode);
		AtEOXact_GUC(true, nestlevel);
		ReleaseCurrentSubTransaction();
		is_locked = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
			!(forgives_deadlock && error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return is_locked;
}

static List *
lock_tags(List *relids)
{
	List	   *tags = NIL;
	ListCell   *lc;

	foreach(lc, relids)
	{
		LOCKTAG    *tag = palloc(sizeof(LOCKTAG));

		SET_LOCKTAG_RELATION(*tag, MyDatabaseId, lfirst_oid(lc));
		tags = lappend(tags, tag);
	}
	return tags;
}

/*
 * CzLockInTurns
 *		See concurrently_int.h.
 */
void
CzLockInTurns(List *relids, LOCKMODE mode)
{
	TimestampTz start = GetCurrentTimestamp();
	int			turn_ms = FIRST_TURN_MS;

	for (;;)
	{
		int			timeout_ms = turn_ms;
		bool		is_last = false;

		if (LockTimeout > 0)
		{
			long		left_ms = LockTimeout -
				TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());

			is_last = left_ms <= turn_ms;
			timeout_ms = is_last ? Max(left_ms, 1) : turn_ms;
		}
		if (CzTryLock(relids, mode, timeout_ms, false))
			return;
		if (is_last)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("canceling statement due to lock timeout")));
		turn_ms = Min(turn_ms * 2, LONGEST_TURN_MS);
		CHECK_FOR_INTERRUPTS();
		WaitForLockersMultiple(lock_tags(relids), mode, false);
	}
}

/* Rows of a worker's answer: number of the placement, an index' name, is it valid. */
static void
take_indexes(CzOutsideCommand *command, PGresult *res)
{
	List	   *placements = ((Question *) command->arg)->placements;
	int			i;

	for (i = 0; PQnfields(res) == 3 && i < PQntuples(res); i++)
	{
		int			n = atoi(PQgetvalue(res, i, 0));
		CzRemoteIndex *index;
		CzPlacement  *placement;

		if (n < 0 || n >= list_length(placements))
			continue;
		placement = list_nth(placements, n);
		index = palloc(sizeof(CzRemoteIndex));
		index->name = pstrdup(PQgetvalue(res, i, 1));
		index->is_valid = strcmp(PQgetvalue(res, i, 2), "t") == 0;
		placement->indexes = lappend(placement->indexes, index);
	}
}

static Question *
question_to(List **questions, Oid server_oid)
{
	Question   *question;
	ListCell   *lc;

	foreach(lc, *questions)
	{
		question = lfirst(lc);
		if (question->server_oid == server_oid)
			return question;
	}
	question = palloc0(sizeof(Question));
	question->server_oid = server_oid;
	initStringInfo(&question->values);
	*questions = lappend(*questions, question);
	return question;
}

/*
 * CzLookAtPlacements
 *		See concurrently_int.h.
 */
List *
CzLookAtPlacements(const CzTable *table)
{
	List	   *questions = NIL;
	List	   *commands = NIL;
	List	   *result = NIL;
	ListCell   *lc;
	int			i;
	int			j;

	CzTxnCheckMayWrite();
	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		for (j = 0; j < shard->nplacements; j++)
		{
			Question   *question = question_to(&questions, shard->server_oids[j]);
			CzPlacement  *placement = palloc0(sizeof(CzPlacement));

			placement->shard = shard;
			placement->server_oid = shard->server_oids[j];
			placement->is_first = j == 0;
			appendStringInfo(&question->values, "%s(%d, %s)", question->values.len > 0 ? ", " : "",
							 list_length(question->placements),
							 quote_literal_cstr(shard->remote_qualified));
			question->placements = lappend(question->placements, placement);
			result = lappend(result, placement);
		}
	}
	foreach(lc, questions)
	{
		Question   *question = lfirst(lc);
		CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

		command->server_oid = question->server_oid;
		command->sql =
			psprintf("SELECT x.n, c.relname, i.indisvalid FROM (VALUES %s) AS x(n, name) "
					 "JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(x.name) "
					 "JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid",
					 question->values.data);
		command->take = take_indexes;
		command->arg = question;
		commands = lappend(commands, command);
	}
	CzOutsideRun(commands, CzRelationOwner(table->relid), false, true);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		if (!command->is_ok)
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("node \"%s\" could not be asked for the indexes of its shards",
							CzNodeGet(command->server_oid)->name),
					 command->answer ? errdetail_internal("%s", command->answer) : 0));
	}
	return result;
}

const CzRemoteIndex *
CzRemoteIndexOf(const CzPlacement *placement, const char *name)
{
	ListCell   *lc;

	foreach(lc, placement->indexes)
	{
		const CzRemoteIndex *index = lfirst(lc);

		if (strcmp(index->name, name) == 0)
			return index;
	}
	return NULL;
}

char *
CzDropConcurrentlySql(const CzPlacement *placement, const char *name)
{
	return psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s",
					CzQualifiedName(placement->shard->remote_schema, name));
}

/*
 * CzMendCommands
 *		See concurrently_int.h.
 */
List *
CzMendCommands(const CzPlacement *placement, const CzIndexDef *def, bool keeps)
{
	char	   *name = CzShardIndexName(def->name, placement->shard->name_id);
	char	   *qualified = CzQualifiedName(placement->shard->remote_schema, name);
	const CzRemoteIndex *index = CzRemoteIndexOf(placement, name);
	List	   *commands = NIL;
	ListCell   *lc;

	if (index != NULL && index->is_valid && keeps)
		return NIL;
	if (def->is_constraint)
		return list_make1(psprintf("REINDEX INDEX CONCURRENTLY %s", qualified));
	if (index != NULL)
		commands = lappend(commands, CzDropConcurrentlySql(placement, name));
	commands = lappend(commands,
					   psprintf("CREATE %sINDEX CONCURRENTLY %s ON %s %s",
								def->is_unique ? "UNIQUE " : "", quote_identifier(name),
								placement->shard->remote_qualified, def->text));
	foreach(lc, def->alters)
		commands = lappend(commands, psprintf("ALTER INDEX %s %s", qualified,
											  (char *) lfirst(lc)));
	return commands;
}

/*
 * CzRunConcurrently
 *		See concurrently_int.h.
 */
void
CzRunConcurrently(Oid relid, CzMakeCommands make, void *arg, CzPlacementOrder order,
				  bool one_by_one)
{
	List	   *waves[2] = {NIL, NIL};
	Oid			owner_oid = CzRelationOwner(relid);
	ListCell   *lc;
	int			i;

	foreach(lc, CzLookAtPlacements(CzTableGet(relid)))
	{
		const CzPlacement *placement = lfirst(lc);
		CzOutsideScript *script = palloc(sizeof(CzOutsideScript));
		bool		is_late = order == CZ_ORDER_FIRST_FIRST ? !placement->is_first :
			order == CZ_ORDER_FIRST_LAST && placement->is_first;

		script->server_oid = placement->server_oid;
		script->commands = make(placement, arg);
		waves[is_late] = lappend(waves[is_late], script);
	}
	for (i = 0; i < lengthof(waves); i++)
	{
		/* nobody shall wait for a snapshot of ours */
		InvalidateCatalogSnapshot();
		if (waves[i] != NIL)
			CzOutsideRunScripts(waves[i], owner_oid,
								one_by_one ? 1 : cz_max_parallel_index_builds);
	}
}

/*
 * CzLeftoverCommands
 *		See concurrently_int.h.  The names are core's; those of shards' indexes end in the
 *		shard's number.
 */
List *
CzLeftoverCommands(const CzPlacement *placement)
{
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, placement->indexes)
	{
		const CzRemoteIndex *index = lfirst(lc);
		int			len = strlen(index->name);

		while (len > 0 && index->name[len - 1] >= '0' && index->name[len - 1] <= '9')
			len--;
		if (!index->is_valid && len > 6 &&
			(strncmp(index->name + len - 6, "_ccnew", 6) == 0 ||
			 strncmp(index->name + len - 6, "_ccold", 6) == 0))
			commands = lappend(commands, CzDropConcurrentlySql(placement, index->name));
	}
	return commands;
}
