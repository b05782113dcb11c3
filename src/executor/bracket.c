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

#include "executor/executor.h"
#include "storage/lockdefs.h"
#include "utils/acl.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "cz/transaction.h"
#include "executor_int.h"

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

static void
run_executor(EXECUTOR_RUN_PARAMS_COMPAT)
{
	bool		begins = !is_part(query_desc);

	if (begins)
		CzStatementBegin();
	PG_TRY();
	{
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

static void
finish_executor(QueryDesc *query_desc)
{
	bool		begins = !is_part(query_desc);

	if (begins)
		CzStatementBegin();
	PG_TRY();
	{
		if (prev_executor_finish)
			prev_executor_finish(query_desc);
		else
			standard_ExecutorFinish(query_desc);
		if (begins)
			CzBracketClose();
	}
	PG_FINALLY();
	{
		if (begins)
			CzStatementEnd();
	}
	PG_END_TRY();
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
