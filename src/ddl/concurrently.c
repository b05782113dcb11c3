/*-------------------------------------------------------------------------
 *
 * concurrently.c
 *	  CREATE INDEX, DROP INDEX and REINDEX CONCURRENTLY of distributed and reference
 *	  tables.
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
 * Source: own work; the order of steps after DefineIndex and index_drop, PostgreSQL 15,
 * PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* The first turn of waiting for a lock that writers wait behind, and the longest, ms */
#define FIRST_TURN_MS 100
#define LONGEST_TURN_MS 1000

/* What is kept over the transactions of a statement. */
typedef struct Work
{
	Oid			relid;
	LockRelId	lock_id;
	LOCKTAG		tag;
	MemoryContext context;		/* goes with the portal */
} Work;

/* An index that a placement has. */
typedef struct RemoteIndex
{
	char	   *name;
	bool		is_valid;
} RemoteIndex;

/* A placement of a shard. */
typedef struct Placement
{
	const CzShard *shard;
	Oid			server_oid;
	List	   *indexes;		/* RemoteIndex * */
} Placement;

/* What one worker is asked. */
typedef struct Question
{
	Oid			server_oid;
	List	   *placements;
	StringInfoData values;
} Question;

/* Commands that one placement gets, list of char *; NIL: none. */
typedef List *(*MakeCommands) (const Placement *placement, void *arg);

/* The lock that the transaction has becomes one of the session, too. */
static Work *
begin_work(Oid relid)
{
	Work	   *work;
	Relation	rel;
	MemoryContext context = AllocSetContextCreate(PortalContext, "cz concurrently",
												  ALLOCSET_SMALL_SIZES);

	work = MemoryContextAllocZero(context, sizeof(Work));
	work->context = context;
	work->relid = relid;
	rel = relation_open(relid, NoLock);
	work->lock_id = rel->rd_lockInfo.lockRelId;
	relation_close(rel, NoLock);
	SET_LOCKTAG_RELATION(work->tag, work->lock_id.dbId, work->lock_id.relId);
	LockRelationIdForSession(&work->lock_id, ShareUpdateExclusiveLock);
	return work;
}

/* An error before it gives the lock back, too. */
static void
end_work(Work *work)
{
	UnlockRelationIdForSession(&work->lock_id, ShareUpdateExclusiveLock);
	MemoryContextDelete(work->context);
}

static void
next_transaction(void)
{
	while (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
}

/* CzSetIndexValid in a transaction that has no snapshot. */
static void
set_valid(Oid index_oid, bool is_valid)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	CzSetIndexValid(index_oid, is_valid);
	PopActiveSnapshot();
}

/* Take a lock for which others may have to wait behind us, for some time. */
static bool
try_lock(Oid relid, LOCKMODE mode, int timeout_ms, bool is_last)
{
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
		LockRelationOid(relid, mode);
		AtEOXact_GUC(true, nestlevel);
		ReleaseCurrentSubTransaction();
		is_locked = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE || is_last)
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

/*
 * lock_in_turns
 *		Take a lock on the table, but let nobody wait behind us for longer than a turn.
 *		Between two turns those are waited for who have it from before.
 *
 * Errors: 55P03 after the user's lock_timeout.
 */
static void
lock_in_turns(const Work *work, LOCKMODE mode)
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
		if (try_lock(work->relid, mode, timeout_ms, is_last))
			return;
		turn_ms = Min(turn_ms * 2, LONGEST_TURN_MS);
		CHECK_FOR_INTERRUPTS();
		WaitForLockers(work->tag, mode, false);
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
		RemoteIndex *index;
		Placement  *placement;

		if (n < 0 || n >= list_length(placements))
			continue;
		placement = list_nth(placements, n);
		index = palloc(sizeof(RemoteIndex));
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
 * look_at_placements
 *		Which indexes have the active placements of a table?
 *
 * Returns: list of Placement *.
 * Errors: 08001 if a worker cannot be asked.
 */
static List *
look_at_placements(const CzTable *table)
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
			Placement  *placement = palloc0(sizeof(Placement));

			placement->shard = shard;
			placement->server_oid = shard->server_oids[j];
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

static const RemoteIndex *
find_index(const Placement *placement, const char *name)
{
	ListCell   *lc;

	foreach(lc, placement->indexes)
	{
		const RemoteIndex *index = lfirst(lc);

		if (strcmp(index->name, name) == 0)
			return index;
	}
	return NULL;
}

static char *
drop_sql(const Placement *placement, const char *name)
{
	return psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s",
					CzQualifiedName(placement->shard->remote_schema, name));
}

/* What makes an index on a placement that has none, or only the remains of one.  keeps: a
 * valid one of that name is the index, too. */
static List *
mend_commands(const Placement *placement, const CzIndexDef *def, bool keeps)
{
	char	   *name = CzShardIndexName(def->name, placement->shard->name_id);
	char	   *qualified = CzQualifiedName(placement->shard->remote_schema, name);
	const RemoteIndex *index = find_index(placement, name);
	List	   *commands = NIL;
	ListCell   *lc;

	if (index != NULL && index->is_valid && keeps)
		return NIL;
	if (def->is_constraint)
		return list_make1(psprintf("REINDEX INDEX CONCURRENTLY %s", qualified));
	if (index != NULL)
		commands = lappend(commands, drop_sql(placement, name));
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
 * run_on_placements
 *		Each placement's commands, each a transaction of its own there.
 */
static void
run_on_placements(Oid relid, MakeCommands make, void *arg)
{
	List	   *scripts = NIL;
	ListCell   *lc;

	foreach(lc, look_at_placements(CzTableGet(relid)))
	{
		const Placement *placement = lfirst(lc);
		CzOutsideScript *script = palloc(sizeof(CzOutsideScript));

		script->server_oid = placement->server_oid;
		script->commands = make(placement, arg);
		scripts = lappend(scripts, script);
	}
	/* nobody shall wait for a snapshot of ours */
	InvalidateCatalogSnapshot();
	CzOutsideRunScripts(scripts, CzRelationOwner(relid), cz_max_parallel_index_builds);
}

static List *
create_commands(const Placement *placement, void *arg)
{
	return mend_commands(placement, (CzIndexDef *) arg, false);
}

/* The indexes of a table, in a context. */
static List *
index_list(Oid relid, MemoryContext context)
{
	Relation	rel = relation_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	MemoryContext old = MemoryContextSwitchTo(context);

	indexes = list_copy(indexes);
	MemoryContextSwitchTo(old);
	relation_close(rel, NoLock);
	return indexes;
}

/* The one that is not in a list; InvalidOid: there is none. */
static Oid
new_index(Oid relid, List *before)
{
	List	   *fresh = list_difference_oid(index_list(relid, CurrentMemoryContext), before);

	return fresh != NIL ? linitial_oid(fresh) : InvalidOid;
}

/* Functions and the like that an index needs on the workers. */
static void
propagate(Oid relid, Oid index_oid)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSet(*address, RelationRelationId, index_oid);
	CzPropagateAddresses(list_make1(address), CzTableServers(CzTableGet(relid)),
						 CzRelationOwner(relid));
}

/*
 * drop_here
 *		Drop an index that is invalid, and that no transaction uses any more, here alone.
 *
 * stmt: for event triggers; NULL: none are called.
 */
static void
drop_here(const Work *work, Oid index_oid, Node *stmt)
{
	ObjectAddress address;
	bool		needs_cleanup;

	index_concurrently_set_dead(work->relid, index_oid);
	next_transaction();
	WaitForLockers(work->tag, AccessExclusiveLock, false);

	PushActiveSnapshot(GetTransactionSnapshot());
	needs_cleanup = stmt != NULL && EventTriggerBeginCompleteQuery();
	cz_drop_is_local++;
	PG_TRY();
	{
		ObjectAddressSet(address, RelationRelationId, index_oid);
		performDeletion(&address, DROP_RESTRICT,
						PERFORM_DELETION_CONCURRENT_LOCK |
						(stmt == NULL ? PERFORM_DELETION_INTERNAL : 0));
		if (stmt != NULL)
		{
			EventTriggerSQLDrop(stmt);
			EventTriggerDDLCommandEnd(stmt);
		}
	}
	PG_FINALLY();
	{
		cz_drop_is_local--;
		if (needs_cleanup)
			EventTriggerEndCompleteQuery();
	}
	PG_END_TRY();
	PopActiveSnapshot();
}

/*
 * create_reference
 *		Core builds the index of a reference table here, then its copies follow.
 *
 * Returns: the index, invalid; InvalidOid: it was there.
 */
static Oid
create_reference(const CzUtility *utility, IndexStmt *stmt, const Work *work)
{
	List	   *before = index_list(work->relid, work->context);
	MemoryContext context;
	ResourceOwner owner;
	Oid			index_oid;
	ErrorData  *volatile error = NULL;

	CzUtilityRun(utility, (Node *) stmt);
	index_oid = new_index(work->relid, before);
	if (!OidIsValid(index_oid))
		return InvalidOid;
	set_valid(index_oid, false);
	next_transaction();

	/* what is refused leaves nothing */
	PushActiveSnapshot(GetTransactionSnapshot());
	context = CurrentMemoryContext;
	owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		propagate(work->relid, index_oid);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(work->context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	PopActiveSnapshot();
	if (error != NULL)
	{
		drop_here(work, index_oid, NULL);
		next_transaction();
		ReThrowError(error);
	}
	return index_oid;
}

/* Core asks that only of unique ones. */
static void
check_can_be_unique(const IndexStmt *stmt)
{
	HeapTuple	tuple = SearchSysCache1(AMNAME, PointerGetDatum(stmt->accessMethod));
	bool		can_be_unique = true;

	if (HeapTupleIsValid(tuple))
	{
		can_be_unique = GetIndexAmRoutine(((Form_pg_am) GETSTRUCT(tuple))->amhandler)->amcanunique;
		ReleaseSysCache(tuple);
	}
	if (!can_be_unique)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method \"%s\" does not support unique indexes",
						stmt->accessMethod)));
}

/* An index that core would not make as a unique one becomes that. */
static void
make_unique(Oid index_oid, const IndexStmt *stmt)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(index_oid));
	Form_pg_index form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index_oid);
	form = (Form_pg_index) GETSTRUCT(tuple);
	form->indisunique = true;
	form->indnullsnotdistinct = stmt->nulls_not_distinct;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(index_oid);
	CommandCounterIncrement();
}

/*
 * create_parent
 *		The parent's index, invalid; InvalidOid: it was there.
 */
static Oid
create_parent(const CzUtility *utility, IndexStmt *stmt, const Work *work)
{
	const CzTable *table = CzTableGet(work->relid);
	List	   *before = index_list(work->relid, CurrentMemoryContext);
	bool		makes_unique = stmt->unique && table->kind == CZ_TABLE_SINGLE;
	IndexStmt  *copy = castNode(IndexStmt, CzQualifyRelation((Node *) stmt));
	Oid			index_oid;

	/* nobody need wait to hear that */
	if (stmt->if_not_exists && stmt->idxname != NULL &&
		OidIsValid(get_relname_relid(stmt->idxname, get_rel_namespace(work->relid))))
	{
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists, skipping", stmt->idxname)));
		return InvalidOid;
	}
	copy->concurrent = false;
	copy->relation->inh = false;
	if (makes_unique)
	{
		/* the partition key of such a table is an expression */
		check_can_be_unique(stmt);
		copy->unique = copy->nulls_not_distinct = false;
	}
	lock_in_turns(work, ShareLock);
	CzUtilityRun(utility, (Node *) copy);
	CommandCounterIncrement();
	index_oid = new_index(work->relid, before);
	if (!OidIsValid(index_oid))
		return InvalidOid;
	if (makes_unique)
		make_unique(index_oid, stmt);
	CzSetIndexValid(index_oid, false);
	CzCheckIndexKey(CzTableGet(work->relid), index_oid);
	propagate(work->relid, index_oid);
	return index_oid;
}

/*
 * CzCreateIndexConcurrently
 *		See ddl_int.h.
 */
void
CzCreateIndexConcurrently(const CzUtility *utility, IndexStmt *stmt, Oid relid)
{
	Work	   *work;
	Oid			index_oid;

	PreventInTransactionBlock(utility->context == PROCESS_UTILITY_TOPLEVEL,
							  "CREATE INDEX CONCURRENTLY");
	/* before anything is done: are they all there? */
	(void) look_at_placements(CzTableGet(relid));
	work = begin_work(relid);
	if (CzTableGet(relid)->kind == CZ_TABLE_REFERENCE)
		index_oid = create_reference(utility, stmt, work);
	else
		index_oid = create_parent(utility, stmt, work);
	if (OidIsValid(index_oid))
	{
		next_transaction();
		CzDebugPoint("index_created");
		run_on_placements(relid, create_commands, CzIndexDefGet(index_oid));
		CzDebugPoint("index_built");
		set_valid(index_oid, true);
	}
	end_work(work);
}
