/*-------------------------------------------------------------------------
 *
 * index_concurrently.c
 *	  CREATE INDEX and DROP INDEX CONCURRENTLY of distributed and reference tables; how
 *	  they work is told in concurrently.c.
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
#include "commands/event_trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "concurrently_int.h"

static List *
create_commands(const CzPlacement *placement, void *arg)
{
	return CzMendCommands(placement, (CzIndexDef *) arg, false);
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
drop_here(const CzWork *work, Oid index_oid, Node *stmt)
{
	ObjectAddress address;
	bool		needs_cleanup;

	index_concurrently_set_dead(work->relid, index_oid);
	CzNextTransaction();
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
create_reference(const CzUtility *utility, IndexStmt *stmt, const CzWork *work)
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
	CzSetIndexValidLate(index_oid, false);
	CzNextTransaction();

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
		CzNextTransaction();
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
create_parent(const CzUtility *utility, IndexStmt *stmt, const CzWork *work)
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
	CzLockInTurns(list_make1_oid(work->relid), ShareLock);
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
	CzWork	   *work;
	Oid			index_oid;

	PreventInTransactionBlock(utility->context == PROCESS_UTILITY_TOPLEVEL,
							  "CREATE INDEX CONCURRENTLY");
	if (stmt->nulls_not_distinct)
		CzRequireMajor(15, "an index with NULLS NOT DISTINCT");
	/* before anything is done: are they all there? */
	(void) CzLookAtPlacements(CzTableGet(relid));
	work = CzWorkBegin(relid);
	if (CzTableGet(relid)->kind == CZ_TABLE_REFERENCE)
		index_oid = create_reference(utility, stmt, work);
	else
		index_oid = create_parent(utility, stmt, work);
	if (OidIsValid(index_oid))
	{
		CzIndexDef *def;

		CzWorkLockAlso(work, index_oid);
		CzNextTransaction();
		CzDebugPoint("index_created");
		PushActiveSnapshot(GetTransactionSnapshot());
		def = CzIndexDefGet(index_oid);
		PopActiveSnapshot();
		CzRunConcurrently(relid, create_commands, def,
						  def->is_unique ? CZ_ORDER_FIRST_FIRST : CZ_ORDER_ANY, false);
		CzDebugPoint("index_built");
		CzSetIndexValidLate(index_oid, true);
	}
	CzWorkEnd(work);
}

static List *
drop_commands(const CzPlacement *placement, void *arg)
{
	char	   *name = CzShardIndexName((const char *) arg, placement->shard->name_id);
	List	   *commands = CzLeftoverCommands(placement);

	if (CzRemoteIndexOf(placement, name) != NULL)
		commands = lappend(commands, CzDropConcurrentlySql(placement, name));
	return commands;
}

/* Is there something that would go with an index, or would not let it go? */
static bool
is_needed(Oid index_oid)
{
	Relation	catalog;
	ScanKeyData keys[2];
	SysScanDesc scan;
	bool		result;

	if (OidIsValid(get_index_constraint(index_oid)))
		return true;
	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(index_oid));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 2, keys);
	result = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

static bool
is_unique_index(Oid index_oid)
{
	Relation	index = index_open(index_oid, AccessShareLock);
	bool		is_unique = index->rd_index->indisunique;

	index_close(index, AccessShareLock);
	return is_unique;
}

/* The index of a table of ours that the statement drops, or InvalidOid: it is core's. */
static Oid
index_to_drop(const DropStmt *stmt, Oid *relid)
{
	RangeVar   *name;
	Oid			index_oid;
	const CzTable *table;

	if (stmt->removeType != OBJECT_INDEX || !stmt->concurrent ||
		list_length(stmt->objects) != 1 || stmt->behavior == DROP_CASCADE)
		return InvalidOid;
	name = makeRangeVarFromNameList(linitial(stmt->objects));
	index_oid = RangeVarGetRelid(name, NoLock, true);
	if (!OidIsValid(index_oid) || (get_rel_relkind(index_oid) != RELKIND_INDEX &&
								   get_rel_relkind(index_oid) != RELKIND_PARTITIONED_INDEX) ||
		get_rel_relispartition(index_oid))
		return InvalidOid;
	*relid = IndexGetRelation(index_oid, true);
	table = OidIsValid(*relid) ? CzTableGet(*relid) : NULL;
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || table->is_partitioned ||
		!CzTxnIsCoordinator() ||
		(table->kind == CZ_TABLE_REFERENCE && !CzReferenceHasTriggers(*relid)))
		return InvalidOid;
	return index_oid;
}

/*
 * CzDropIndexConcurrently
 *		See ddl_int.h.
 */
bool
CzDropIndexConcurrently(const CzUtility *utility, DropStmt *stmt)
{
	CzWork	   *work;
	Oid			relid;
	Oid			index_oid = index_to_drop(stmt, &relid);
	bool		is_unique;
	char	   *name;

	if (!OidIsValid(index_oid))
		return false;
	PreventInTransactionBlock(utility->context == PROCESS_UTILITY_TOPLEVEL,
							  "DROP INDEX CONCURRENTLY");
	/* check ownership before locking, so that other users cannot block the table */
	if (!class_ownercheck_compat(index_oid, GetUserId()) &&
		!namespace_ownercheck_compat(get_rel_namespace(index_oid), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, get_rel_name(index_oid));
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	if (index_to_drop(stmt, &relid) != index_oid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("index has been changed by another session"),
				 errhint("Repeat the statement.")));
	if (is_needed(index_oid))
	{
		DropStmt   *copy = copyObject(stmt);

		/* core says by whom */
		copy->concurrent = false;
		CzUtilityRun(utility, (Node *) copy);
		return true;
	}
	/* before anything is done: are they all there? */
	(void) CzLookAtPlacements(CzTableGet(relid));
	EventTriggerDDLCommandStart((Node *) stmt);
	work = CzWorkBegin(relid);
	CzWorkLockAlso(work, index_oid);
	name = MemoryContextStrdup(work->context, get_rel_name(index_oid));
	is_unique = is_unique_index(index_oid);
	index_set_state_flags(index_oid, INDEX_DROP_CLEAR_VALID);
	CacheInvalidateRelcacheByRelid(relid);
	CzNextTransaction();
	CzDebugPoint("index_invalid");

	/* who has planned with it before */
	WaitForLockers(work->tag, AccessExclusiveLock, false);
	CzRunConcurrently(relid, drop_commands, name,
					  is_unique ? CZ_ORDER_FIRST_LAST : CZ_ORDER_ANY, false);
	CzDebugPoint("index_dropped");
	drop_here(work, index_oid, (Node *) stmt);
	CzWorkEnd(work);
	return true;
}
