/*-------------------------------------------------------------------------
 *
 * copy.c
 *	  The rows of a COPY FROM into a distributed table.
 *
 * Where no row is looked at here, lines go to the workers as they are (copy_lines.c).
 * Else core reads and converts the lines; each row then meets the triggers of the user's
 * table, gets its shard and goes to a CzWriter.  COPY's error context tells the line
 * that is being read, which is not the one that a worker complains of when a full
 * buffer is sent: the writer is told the line of each row and says it itself.
 *
 * Source: own work; the order of steps is that of CopyFrom(), commands/copyfrom.c,
 * PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/copyfrom_internal.h"
#include "commands/progress.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "cz/seal.h"
#include "cz/transaction.h"
#include "cz/writer.h"

#include "executor_int.h"
#include "triggers.h"

/* Rows before lines are sent as they are: so many are INSERTs of one message */
#define ROWS_BEFORE_LINES 4

typedef struct CopyTarget
{
	CopyFromState cstate;
	EState	   *estate;
	const CzTable *table;
	CzTriggers *triggers;		/* NULL: none */
	bool		has_after_row;
	bool		can_send_lines;
	ResultRelInfo *rri;			/* for generated columns; NULL: nobody looks at them */
	CzWriter   *writer;
	TupleTableSlot *slot;
	ExprContext *econtext;		/* a row's values, defaults and WHERE */
	ExprState  *where;			/* NULL: none */
	ErrorContextCallback errors;
} CopyTarget;

static void
begin_target(CopyTarget *target, CopyFromState cstate)
{
	EState	   *estate = CreateExecutorState();
	Relation	rel = cstate->rel;
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);

	target->cstate = cstate;
	target->estate = estate;
	target->table = CzTableGet(RelationGetRelid(rel));
	estate->es_output_cid = GetCurrentCommandId(true);
	exec_init_copy_range_table_compat(estate, cstate);
	target->triggers = CzTriggersBegin(estate, rel, CMD_INSERT, 0, NULL, 1);
	target->has_after_row = CzTriggersHasAfterRow(target->triggers, CMD_INSERT);
	if (target->has_after_row && RelationGetDescr(rel)->constr != NULL &&
		RelationGetDescr(rel)->constr->has_generated_stored)
		target->rri = CzTargetInit(estate, rel, NULL, 1);
	target->can_send_lines = !target->has_after_row &&
		!CzTriggersHasBeforeRow(target->triggers, CMD_INSERT) &&
		CzCopyLinesCanBeSent(cstate, target->table);
	target->writer = CzWriterBegin(RelationGetDescr(rel), target->table->column_names,
								   GetUserId());
	CzWriterSetCopy(target->writer, RelationGetRelationName(rel));
	target->slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(rel), &TTSOpsVirtual);
	target->econtext = CreateExprContext(estate);
	if (cstate->whereClause != NULL)
		target->where = ExecInitQual(castNode(List, cstate->whereClause), NULL);
	MemoryContextSwitchTo(old_context);
}

/* Read one row into the slot; false: it was the last one. */
static bool
read_row(CopyTarget *target)
{
	TupleTableSlot *slot = target->slot;
	MemoryContext old_context;
	bool		found;

	ResetExprContext(target->econtext);
	ExecClearTuple(slot);
	old_context = MemoryContextSwitchTo(target->econtext->ecxt_per_tuple_memory);
	found = NextCopyFrom(target->cstate, target->econtext, slot->tts_values,
						 slot->tts_isnull);
	MemoryContextSwitchTo(old_context);
	if (!found)
		return false;
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(target->cstate->rel);
	return true;
}

/* A row that cannot be read is left out, if there are not too many of them (REJECT_LIMIT). */
static void
leave_row_out(CopyFromState cstate)
{
	int64		nfailed = copy_failed_rows_compat(cstate);
	int64		limit = copy_reject_limit_compat(cstate);

	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_SKIPPED, nfailed);
	if (limit > 0 && nfailed > limit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("skipped more than REJECT_LIMIT (%lld) rows due to data type incompatibility",
						(long long) limit)));
}

static bool
passes_where(CopyTarget *target)
{
	if (target->where == NULL)
		return true;
	target->econtext->ecxt_scantuple = target->slot;
	return ExecQual(target->where, target->econtext);
}

/* Triggers, routing, and the way to the workers; false: a trigger has left the row out. */
static bool
store_row(CopyTarget *target)
{
	TupleTableSlot *slot = target->slot;
	const CzShard *shard;

	if (!CzTriggersBeforeRow(target->triggers, CMD_INSERT, NULL, slot))
		return false;
	slot->tts_tableOid = RelationGetRelid(target->cstate->rel);
	if (target->rri != NULL)
	{
		ResetPerTupleExprContext(target->estate);
		ExecComputeStoredGenerated(target->rri, target->estate, slot, CMD_INSERT);
	}
	shard = CzShardForRow(target->estate, target->cstate->rel, target->table, slot);
	CzSealAdmitSlot(target->table, shard, slot);
	error_context_stack = target->errors.previous;
	CzWriterPut(target->writer, shard, slot, target->cstate->cur_lineno);
	error_context_stack = &target->errors;
	if (target->has_after_row)
		CzTriggersAfterRow(target->triggers, CMD_INSERT, NULL, slot);
	return true;
}

static void
end_target(CopyTarget *target)
{
	EState	   *estate = target->estate;

	if (target->writer != NULL)
		CzWriterEnd(target->writer);
	CzBracketClose();
	CzTriggersAfterStatement(target->triggers);
	AfterTriggerEndQuery(estate);
	CzKeyLooksForget(CzStatementDepth());
	CzTriggersEnd(target->triggers);
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseResultRelations(estate);
	ExecCloseRangeTableRelations(estate);
	FreeExecutorState(estate);
}

/* CzCopyRows within its statement. */
static uint64
copy_rows(CopyFromState cstate, const CopyStmt *stmt)
{
	CopyTarget	target = {0};
	int64		processed = 0;
	int64		excluded = 0;

	if (cstate->opts.freeze)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot perform COPY FREEZE on a distributed table"),
				 errdetail("Rows are frozen by the command that stores them, in a table that its transaction has made; the shards were there before.")));

	CzBracketLock(RelationGetRelid(cstate->rel), ACL_INSERT, NULL);
	AfterTriggerBeginQuery();
	begin_target(&target, cstate);
	CzFlushReferenced(RelationGetRelid(cstate->rel));
	if (CzRefersToItself(RelationGetRelid(cstate->rel)))
		CzBracketOpen(RelationGetRelid(cstate->rel));
	CzTriggersBeforeStatement(target.triggers);

	target.errors.callback = CopyFromErrorCallback;
	target.errors.arg = (void *) cstate;
	target.errors.previous = error_context_stack;
	error_context_stack = &target.errors;
	while (!target.can_send_lines || processed < ROWS_BEFORE_LINES)
	{
		CHECK_FOR_INTERRUPTS();
		if (!read_row(&target))
			break;
		if (copy_row_failed_compat(cstate))
		{
			leave_row_out(cstate);
			continue;
		}
		if (!passes_where(&target))
			pgstat_progress_update_param(PROGRESS_COPY_TUPLES_EXCLUDED, ++excluded);
		else if (store_row(&target))
			pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, ++processed);
	}
	error_context_stack = target.errors.previous;
	if (target.can_send_lines && processed == ROWS_BEFORE_LINES)
	{
		CzWriterEnd(target.writer);
		target.writer = NULL;
		processed = CzCopyLines(cstate, stmt, target.estate, target.table, processed);
	}
	if (copy_failed_rows_compat(cstate) > 0 && copy_tells_failed_compat(cstate))
		ereport(NOTICE,
				errmsg_plural("%llu row was skipped due to data type incompatibility",
							  "%llu rows were skipped due to data type incompatibility",
							  (unsigned long long) copy_failed_rows_compat(cstate),
							  (unsigned long long) copy_failed_rows_compat(cstate)));
	end_target(&target);
	return processed;
}

/*
 * CzCopyRows
 *		See cz/executor.h.
 */
uint64
CzCopyRows(struct CopyFromStateData *cstate, const CopyStmt *stmt)
{
	volatile uint64 processed = 0;

	CzStatementBegin();
	PG_TRY();
	{
		processed = copy_rows(cstate, stmt);
	}
	PG_FINALLY();
	{
		CzStatementEnd();
	}
	PG_END_TRY();
	return processed;
}
