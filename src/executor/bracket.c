/*-------------------------------------------------------------------------
 *
 * bracket.c
 *	  Where statements begin and end, for foreign keys (transaction/constraints.c).
 *
 * Who writes a table by several commands opens the bracket himself.  A statement with
 * several parts that write (WITH) opens it here, before the first of them runs, for all
 * tables that it writes.
 *
 * Queries of core's foreign keys (EXEC_FLAG_SKIP_TRIGGERS) are a part of the statement
 * for which they are run: their own triggers are fired at its end, too.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "storage/lockdefs.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "cz/transaction.h"
#include "executor_int.h"
#include "triggers.h"

/* A statement that fires its triggers, and the one around it. */
typedef struct Finishing
{
	EState	   *estate;
	List	   *rels;			/* that parts of it have triggers of */
	struct Finishing *outer;
} Finishing;

static Finishing *finishing = NULL;

static ExecutorRun_hook_type prev_executor_run = NULL;
static ExecutorFinish_hook_type prev_executor_finish = NULL;

static bool
is_part(const QueryDesc *query_desc)
{
	return (query_desc->estate->es_top_eflags & EXEC_FLAG_SKIP_TRIGGERS) != 0;
}

/* May several of its parts write?  One that a worker gets as a whole has none. */
static bool
writes_in_parts(const PlannedStmt *stmt)
{
	const Plan *plan = stmt->planTree;

	return stmt->hasModifyingCTE &&
		!(stmt->subplans == NIL && IsA(plan, CustomScan) &&
		  ((const CustomScan *) plan)->methods == &cz_fragment_scan_methods);
}

/* The tables that a statement writes are those that are locked for it. */
static void
open_for_parts(const PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		const RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION && rte->rellockmode >= RowExclusiveLock)
			CzBracketOpen(rte->relid);
	}
}

/*
 * CzBracketLock
 *		Before rows of a table are written: see CzTxnLockReferred.
 *
 * perms: what is done, as ACL_INSERT, ACL_UPDATE, ACL_DELETE.
 * columns: what an UPDATE assigns.
 */
void
CzBracketLock(Oid relid, AclMode perms, const Bitmapset *columns)
{
	bool		all = (perms & (ACL_INSERT | ACL_DELETE)) != 0 || columns == NULL;
	const CzTable *table = CzTableGet(relid);
	List	   *parents = NIL;
	ListCell   *lc;

	if (table == NULL)
		return;
	if (table->kind == CZ_TABLE_REFERENCE)
	{
		if (perms != ACL_INSERT && CzShardsReferTo(relid, perms & ACL_DELETE ? NULL : columns))
			CzTxnLockReferred(relid, false);
		return;
	}
	if (perms & (ACL_INSERT | ACL_UPDATE))
		parents = CzReferenceParents(relid, all ? NULL : columns);
	/* and what workers change for keys to it */
	foreach(lc, perms != ACL_INSERT ? CzCascadeTables(relid) : NIL)
		parents = list_concat_unique_oid(parents, CzReferenceParents(lfirst_oid(lc), NULL));
	list_sort(parents, list_oid_cmp);
	foreach(lc, parents)
	{
		CzTxnAwaitCopy(relid, lfirst_oid(lc));
		CzTxnLockReferred(lfirst_oid(lc), true);
	}
}

static void
lock_referred(const PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		const RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION && rte->rellockmode >= RowExclusiveLock)
		{
			AclMode		perms = rte_required_perms_compat(stmt, rte) &
				(ACL_INSERT | ACL_UPDATE | ACL_DELETE);

			CzBracketLock(rte->relid, perms != 0 ? perms :
						  ACL_INSERT | ACL_UPDATE | ACL_DELETE,
						  rte_updated_cols_compat(stmt, rte));
		}
	}
}

/*
 * In a transaction with one snapshot core looks for rows that refer by a later one, and
 * compares (crosscheck).  Workers have only the transaction's: where they do not check the
 * key themselves, rows that others have committed meanwhile would be left behind.
 */
static void
check_isolation(const QueryDesc *query_desc)
{
	ListCell   *lc;
	ListCell   *lk;

	if (query_desc->crosscheck_snapshot == InvalidSnapshot || !is_part(query_desc))
		return;
	foreach(lc, query_desc->plannedstmt->rtable)
	{
		const RangeTblEntry *rte = lfirst(lc);
		const CzTable *table = rte->rtekind == RTE_RELATION ? CzTableGet(rte->relid) : NULL;

		if (table == NULL || !CzTableIsDistributed(table))
			continue;
		foreach(lk, CzTableKeys(table->relid, CZ_KEYS_FROM))
		{
			if (!CzKeyIsOnShards(lfirst_oid(lk)))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot look for rows of distributed table \"%s\" that refer to a row at this isolation level",
								get_rel_name(table->relid)),
						 errdetail("Workers do not check foreign key \"%s\", and show only what was committed before the transaction's snapshot.",
								   get_constraint_name(lfirst_oid(lk))),
						 errhint("Use READ COMMITTED.")));
		}
	}
}

static void
run_executor(EXECUTOR_RUN_PARAMS_COMPAT)
{
	bool		begins = !is_part(query_desc);

	if (begins)
		CzStatementBegin();
	PG_TRY();
	{
		check_isolation(query_desc);
		if (query_desc->plannedstmt->commandType != CMD_SELECT ||
			query_desc->plannedstmt->hasModifyingCTE)
			lock_referred(query_desc->plannedstmt);
		if (writes_in_parts(query_desc->plannedstmt))
			open_for_parts(query_desc->plannedstmt);
		if (prev_executor_run)
			prev_executor_run(EXECUTOR_RUN_ARGS_COMPAT);
		else
			standard_ExecutorRun(EXECUTOR_RUN_ARGS_COMPAT);
	}
	PG_FINALLY();
	{
		if (begins)
			CzStatementEnd();
	}
	PG_END_TRY();
}

/*
 * CzTriggersOfPart
 *		A query of core's foreign keys is about to queue events of a distributed table, which
 *		the statement around it fires: it must see what rel is to core, too (triggers.c).
 *
 * estate: the query's; nothing is done for another one.
 */
void
CzTriggersOfPart(EState *estate, Relation rel)
{
	MemoryContext old_context;
	ListCell   *lc;

	if ((estate->es_top_eflags & EXEC_FLAG_SKIP_TRIGGERS) == 0)
		return;
	/* whoever fires them would look for the rows in a heap: no executor of a statement */
	if (finishing == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("triggers of distributed table \"%s\" cannot be fired here",
						RelationGetRelationName(rel))));
	foreach(lc, finishing->estate->es_opened_result_relations)
	{
		const ResultRelInfo *rri = lfirst(lc);

		if (RelationGetRelid(rri->ri_RelationDesc) == RelationGetRelid(rel) &&
			rri->ri_RootResultRelInfo == NULL)
			return;
	}
	old_context = MemoryContextSwitchTo(finishing->estate->es_query_cxt);
	rel = table_open(RelationGetRelid(rel), NoLock);
	finishing->rels = lappend(finishing->rels, rel);
	finishing->estate->es_opened_result_relations =
		lappend(finishing->estate->es_opened_result_relations,
				CzTargetInit(finishing->estate, rel, NULL, 0));
	MemoryContextSwitchTo(old_context);
}

/*
 * CzTriggersRunQuery
 *		See triggers.h.
 */
void
CzTriggersRunQuery(void (*run) (void *arg), void *arg)
{
	EState	   *estate = CreateExecutorState();
	Finishing	mine = {estate, NIL, finishing};
	ListCell   *lc;

	AfterTriggerBeginQuery();
	finishing = &mine;
	PG_TRY();
	{
		run(arg);
		AfterTriggerEndQuery(estate);
	}
	PG_FINALLY();
	{
		finishing = mine.outer;
	}
	PG_END_TRY();
	foreach(lc, mine.rels)
		table_close(lfirst(lc), NoLock);
	ExecCloseResultRelations(estate);
	FreeExecutorState(estate);
}

static void
finish_executor(QueryDesc *query_desc)
{
	bool		begins = !is_part(query_desc);
	Finishing	mine = {query_desc->estate, NIL, finishing};
	ListCell   *lc;

	if (begins)
	{
		CzStatementBegin();
		finishing = &mine;
	}
	PG_TRY();
	{
		if (prev_executor_finish)
			prev_executor_finish(query_desc);
		else
			standard_ExecutorFinish(query_desc);
		if (begins)
		{
			CzKeyLooksForget(CzStatementDepth());
			CzBracketClose();
		}
	}
	PG_FINALLY();
	{
		if (begins)
		{
			finishing = mine.outer;
			CzStatementEnd();
		}
	}
	PG_END_TRY();
	foreach(lc, mine.rels)
		table_close(lfirst(lc), NoLock);
}

/*
 * CzBracketInit
 *		Have statements noticed.
 */
void
CzBracketInit(void)
{
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = run_executor;
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish_executor;
}
