/*-------------------------------------------------------------------------
 *
 * conflict.c
 *	  INSERT ... ON CONFLICT that is done row by row: on tables with triggers, or where
 *	  SET or WHERE can only be computed here.
 *
 * A row is inserted with ON CONFLICT DO NOTHING.  If it was not, the row in its way is
 * read and locked, what SET makes of it is computed as core's ModifyTable does it, with
 * triggers, and the row is updated; if it has gone in between, all begins again.
 *
 * These three are statements of their own on the distributed table, which go the way of
 * any router statement, with the placements, the locks and the transaction of one; only
 * triggers, privileges and policies have been seen to already.
 *
 * Source: own work; the order of steps is that of ExecOnConflictUpdate(),
 * executor/nodeModifyTable.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "arbiter.h"
#include "conflict.h"
#include "executor_int.h"
#include "own_rows.h"
#include "rows.h"
#include "triggers.h"

/* Rows that vanish one after another, after which somebody is in the way all the time. */
#define MAX_ATTEMPTS 1000

struct CzConflict
{
	ModifyTableState *mtstate;
	ResultRelInfo *rri;
	Relation	rel;
	Oid			user_oid;
	AttrNumber	key_attno;
	List	   *columns;		/* ints: attribute numbers of what is inserted */
	List	   *assigned;		/* what an update sends, the key apart */
	CzArbiter  *arbiter;		/* NULL: DO NOTHING on any conflict, or one with this: */
	Oid			exclusion;		/* exclusion constraint, or InvalidOid */
	bool		updates;		/* DO UPDATE */
	CzOwnRows  *own;			/* after the first row; NULL: no part of the statement asks */
	CommandId	read_cid;		/* first command after the row in the way was read */
	CzPartitionFinder *finder;	/* NULL: the table is not partitioned */
	CzRoutes   *routes;			/* NULL: it has no row triggers that are its partitions' */
	PlannedStmt *insert;		/* parameters: the row, by attribute numbers */
	List	   *plans;			/* ConflictPlans, made when they are needed */
	MemoryContext row_context;	/* reset for each row */
};

/*
 * What is done to rows in the way of those that have these nulls.  Parameters: a row, by
 * attribute numbers; for updates the old one and, behind it, the new one.
 */
typedef struct ConflictPlans
{
	Bitmapset  *nulls;			/* CzArbiterNulls() */
	PlannedStmt *read;			/* gives all columns of the table */
	PlannedStmt *update;		/* NULL: none yet, or no column is assigned */
	PlannedStmt *move;			/* when the key changes; NULL: none yet */
} ConflictPlans;

/* ---- statements ----------------------------------------------------------- */

static char *
column_name(CzConflict *conflict, AttrNumber attno)
{
	return pstrdup(quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(conflict->rel),
														  attno - 1)->attname)));
}

/*
 * Plan a statement on the table, which is the first relation of it.  Rules and policies
 * are the rewriter's, which it does not meet; its privileges were checked.
 *
 * quals: NULL: those of the text.
 */
static PlannedStmt *
plan_statement(CzConflict *conflict, const char *sql, Node *quals)
{
	MemoryContext old_context = MemoryContextSwitchTo(conflict->mtstate->ps.state->es_query_cxt);
	TupleDesc	desc = RelationGetDescr(conflict->rel);
	Oid		   *types = palloc(sizeof(Oid) * 2 * desc->natts);
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	PlannedStmt *plan;
	Query	   *query;
	ListCell   *lc;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		types[i] = types[i + desc->natts] = att->attisdropped ? INT4OID : att->atttypid;
	}
	query = parse_analyze_fixedparams(raw, sql, types, 2 * desc->natts, NULL);
	if (quals != NULL)
		query->jointree->quals = quals;
	if (query->commandType == CMD_INSERT && conflict->arbiter != NULL)
		CzArbiterTarget(conflict->arbiter, query->onConflict);
	if (query->commandType == CMD_INSERT)
		query->onConflict->constraint = conflict->exclusion;
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION)
			query_set_user_compat(query, rte, conflict->user_oid);
	}
	cz_triggers_are_suspended = true;
	PG_TRY();
	{
		plan = pg_plan_query(query, sql, CURSOR_OPT_GENERIC_PLAN, NULL);
	}
	PG_FINALLY();
	{
		cz_triggers_are_suspended = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old_context);
	return plan;
}

static PlannedStmt *
plan_insert(CzConflict *conflict)
{
	StringInfoData sql;
	StringInfoData values;
	ListCell   *lc;

	initStringInfo(&sql);
	initStringInfo(&values);
	appendStringInfo(&sql, "INSERT INTO %s (", CzRelationName(RelationGetRelid(conflict->rel)));
	foreach(lc, conflict->columns)
	{
		const char *comma = lc == list_head(conflict->columns) ? "" : ", ";

		appendStringInfo(&sql, "%s%s", comma, column_name(conflict, lfirst_int(lc)));
		appendStringInfo(&values, "%s$%d", comma, lfirst_int(lc));
	}
	appendStringInfo(&sql, ") VALUES (%s) ON CONFLICT DO NOTHING", values.data);
	return plan_statement(conflict, sql.data, NULL);
}

/* A virtual column is an expression to those that use it, and NULL to triggers. */
static bool
is_read(Form_pg_attribute att)
{
	return !att->attisdropped && !is_virtual_column_compat(att);
}

static PlannedStmt *
plan_read(CzConflict *conflict, Bitmapset *nulls)
{
	StringInfoData sql;
	TupleDesc	desc = RelationGetDescr(conflict->rel);
	const char *comma = "";
	int			i;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (i = 0; i < desc->natts; i++)
	{
		if (!is_read(TupleDescAttr(desc, i)))
			continue;
		appendStringInfo(&sql, "%s%s", comma, column_name(conflict, i + 1));
		comma = ", ";
	}
	appendStringInfo(&sql, " FROM %s FOR UPDATE",
					 CzRelationName(RelationGetRelid(conflict->rel)));
	return plan_statement(conflict, sql.data, CzArbiterQuals(conflict->arbiter, nulls));
}

static PlannedStmt *
plan_update(CzConflict *conflict, Bitmapset *nulls, bool with_key)
{
	StringInfoData sql;
	List	   *columns = list_copy(conflict->assigned);
	ListCell   *lc;

	if (with_key)
		columns = list_append_unique_int(columns, conflict->key_attno);
	if (columns == NIL)
		return NULL;
	list_sort(columns, list_int_cmp);
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s SET ", CzRelationName(RelationGetRelid(conflict->rel)));
	foreach(lc, columns)
		appendStringInfo(&sql, "%s%s = $%d", lc == list_head(columns) ? "" : ", ",
						 column_name(conflict, lfirst_int(lc)),
						 lfirst_int(lc) + RelationGetDescr(conflict->rel)->natts);
	return plan_statement(conflict, sql.data, CzArbiterQuals(conflict->arbiter, nulls));
}

/* The statements for rows in the way of a row. */
static ConflictPlans *
plans_for_row(CzConflict *conflict, TupleTableSlot *row)
{
	Bitmapset  *nulls = CzArbiterNulls(conflict->arbiter, row);
	ConflictPlans *plans;
	MemoryContext old_context;
	ListCell   *lc;

	foreach(lc, conflict->plans)
	{
		plans = lfirst(lc);
		if (bms_equal(plans->nulls, nulls))
			return plans;
	}
	old_context = MemoryContextSwitchTo(conflict->mtstate->ps.state->es_query_cxt);
	plans = palloc0(sizeof(ConflictPlans));
	plans->nulls = bms_copy(nulls);
	plans->read = plan_read(conflict, nulls);
	plans->update = plan_update(conflict, nulls, false);
	conflict->plans = lappend(conflict->plans, plans);
	MemoryContextSwitchTo(old_context);
	return plans;
}

static ParamListInfo
row_params(CzConflict *conflict, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	TupleDesc	desc = RelationGetDescr(conflict->rel);
	ParamListInfo params = makeParamList(2 * desc->natts);
	int			i;

	for (i = 0; i < 2 * desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i % desc->natts);
		TupleTableSlot *row = i < desc->natts ? old_row : new_row;
		ParamExternData *param = &params->params[i];

		param->ptype = att->attisdropped ? INT4OID : att->atttypid;
		param->isnull = true;
		if (row != NULL && !att->attisdropped)
			param->value = slot_getattr(row, att->attnum, &param->isnull);
	}
	return params;
}

/* What plan_read gives, as a row of the table. */
typedef struct RowReceiver
{
	DestReceiver pub;			/* first */
	TupleTableSlot *slot;		/* gets the row */
	bool		has_row;
} RowReceiver;

static bool
receive_row(TupleTableSlot *row, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	TupleTableSlot *slot = receiver->slot;
	TupleDesc	desc = slot->tts_tupleDescriptor;
	int			n = 0;
	int			i;

	slot_getallattrs(row);
	ExecClearTuple(slot);
	for (i = 0; i < desc->natts; i++)
	{
		bool		is_there = is_read(TupleDescAttr(desc, i));

		slot->tts_isnull[i] = !is_there || row->tts_isnull[n];
		slot->tts_values[i] = is_there ? row->tts_values[n] : (Datum) 0;
		n += is_there;
	}
	ExecStoreVirtualTuple(slot);
	ExecMaterializeSlot(slot);
	receiver->has_row = true;
	return true;
}

static void
receive_start(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receive_end(DestReceiver *self)
{
}

/* Run a statement; returns the rows that it has changed, or read into slot. */
static uint64
run_statement(CzConflict *conflict, PlannedStmt *plan, ParamListInfo params,
			  TupleTableSlot *slot)
{
	RowReceiver receiver = {{receive_row, receive_start, receive_end, receive_end, DestNone},
	slot, false};
	QueryDesc  *desc;
	uint64		processed;

	/* it sees what has been done so far, as a statement of a function does */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	desc = CreateQueryDesc(plan, "", GetActiveSnapshot(), InvalidSnapshot,
						   slot != NULL ? (DestReceiver *) &receiver : None_Receiver, params,
						   NULL, 0);
	cz_triggers_are_suspended = true;
	PG_TRY();
	{
		ExecutorStart(desc, EXEC_FLAG_SKIP_TRIGGERS);
		executor_run_compat(desc, ForwardScanDirection, 0);
		ExecutorFinish(desc);
		processed = slot != NULL ? receiver.has_row : desc->estate->es_processed;
		ExecutorEnd(desc);
	}
	PG_FINALLY();
	{
		cz_triggers_are_suspended = false;
	}
	PG_END_TRY();
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	return processed;
}

/* ---- begin ---------------------------------------------------------------- */

/* What rows are in the way of; core asks of a deferrable constraint for each row. */
static void
begin_arbiter(CzConflict *conflict, List *index_oids)
{
	ListCell   *lc;

	foreach(lc, index_oids)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (!index->rd_index->indimmediate)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters"),
					 errtableconstraint(conflict->rel, RelationGetRelationName(index))));
		if (index->rd_index->indisexclusion)
			conflict->exclusion = get_index_constraint(RelationGetRelid(index));
		index_close(index, AccessShareLock);
	}
	if (index_oids != NIL && !OidIsValid(conflict->exclusion))
		conflict->arbiter = CzArbiterBegin(conflict->mtstate, conflict->rel, index_oids);
	if (conflict->updates && conflict->arbiter != NULL)
		CzOwnRowsRegister(conflict->mtstate->ps.state, RelationGetRelid(conflict->rel),
						  conflict->arbiter);
}

/*
 * CzConflictBegin
 *		See conflict.h.
 */
CzConflict *
CzConflictBegin(ModifyTableState *mtstate, ResultRelInfo *rri, Relation rel, Oid user_oid)
{
	EState	   *estate = mtstate->ps.state;
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);
	CzConflict *conflict = palloc0(sizeof(CzConflict));
	TupleDesc	desc = RelationGetDescr(rel);
	bool		all = (rri->ri_TrigDesc != NULL && rri->ri_TrigDesc->trig_update_before_row) ||
		(CzRowTriggers(rel) & CZ_ROW_TRIGGER(CMD_UPDATE, true)) != 0;
	int			i;

	conflict->mtstate = mtstate;
	conflict->rri = rri;
	conflict->rel = rel;
	conflict->user_oid = user_oid;
	conflict->key_attno = CzTableGet(RelationGetRelid(rel))->key_attno;
	conflict->updates = plan->onConflictAction == ONCONFLICT_UPDATE;
	if (conflict->updates && CzTableGet(RelationGetRelid(rel))->is_partitioned)
		conflict->finder = CzPartitionFinderMake(RelationGetRelid(rel));
	for (i = 1; i <= desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i - 1);

		if (att->attisdropped || att->attgenerated)
			continue;
		conflict->columns = lappend_int(conflict->columns, i);
		if (i != conflict->key_attno && (all || list_member_int(plan->onConflictCols, i)))
			conflict->assigned = lappend_int(conflict->assigned, i);
	}
	conflict->row_context = AllocSetContextCreate(estate->es_query_cxt, "cz_fdw conflict row",
												  ALLOCSET_DEFAULT_SIZES);
	begin_arbiter(conflict, plan->arbiterIndexes);
	conflict->insert = plan_insert(conflict);
	MemoryContextSwitchTo(old_context);
	return conflict;
}

/* ---- rows ----------------------------------------------------------------- */

static bool
same_value(Form_pg_attribute att, TupleTableSlot *a, TupleTableSlot *b)
{
	bool		isnull[2];
	Datum		values[2];

	values[0] = slot_getattr(a, att->attnum, &isnull[0]);
	values[1] = slot_getattr(b, att->attnum, &isnull[1]);
	if (isnull[0] || isnull[1])
		return isnull[0] && isnull[1];
	return datum_image_eq(values[0], values[1], att->attbyval, att->attlen);
}

static bool
same_key(CzConflict *conflict, TupleTableSlot *a, TupleTableSlot *b)
{
	return conflict->key_attno == 0 ||
		same_value(TupleDescAttr(RelationGetDescr(conflict->rel), conflict->key_attno - 1), a, b);
}

/* Write what SET and triggers have made of a row. */
static void
store_update(CzConflict *conflict, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	bool		moves = !same_key(conflict, old_row, new_row);
	ConflictPlans *plans = plans_for_row(conflict, old_row);
	PlannedStmt *plan = plans->update;

	if (moves && plans->move == NULL)
		plans->move = plan_update(conflict, plans->nulls, true);
	if (moves)
		plan = plans->move;
	if (plan == NULL)
		return;
	if (run_statement(conflict, plan, row_params(conflict, old_row, new_row), NULL) != 1)
		CzRaiseOwnChange(CMD_UPDATE);
}

/* AFTER triggers and transition tables of an update; see target.c about the routine. */
static void
queue_update(CzConflict *conflict, EState *estate, HeapTuple old_tuple,
			 TupleTableSlot *new_row)
{
	ResultRelInfo *rri = conflict->rri;
	struct FdwRoutine *routine = rri->ri_FdwRoutine;

	if (conflict->routes != NULL)
	{
		CzRoutesAfterRow(conflict->routes, CMD_UPDATE, old_tuple, new_row,
						 conflict->mtstate->mt_oc_transition_capture);
		return;
	}
	rri->ri_FdwRoutine = NULL;
	ExecARUpdateTriggers(estate, rri, NULL, NULL, NULL, old_tuple, new_row, NIL,
						 conflict->mtstate->mt_oc_transition_capture, false);
	rri->ri_FdwRoutine = routine;
}

/* A row may not go to another partition, as core has it. */
static void
check_partition(CzConflict *conflict, EState *estate, TupleTableSlot *old_row,
				TupleTableSlot *new_row)
{
	bool		stays = true;

	if (conflict->finder != NULL)
		stays = CzPartitionFind(conflict->finder, old_row) ==
			CzPartitionFind(conflict->finder, new_row);
	else if (OidIsValid(CzTableGet(RelationGetRelid(conflict->rel))->root_relid))
	{
		ResultRelInfo *rri = makeNode(ResultRelInfo);

		InitResultRelInfo(rri, conflict->rel, 0, NULL, 0);
		stays = ExecPartitionCheck(rri, new_row, estate, false);
	}
	if (!stays)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("invalid ON UPDATE specification"),
				 errdetail("The result tuple would appear in a different partition than the original tuple.")));
}

static bool
same_row(CzConflict *conflict, TupleTableSlot *a, TupleTableSlot *b)
{
	TupleDesc	desc = RelationGetDescr(conflict->rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (is_read(att) && !same_value(att, a, b))
			return false;
	}
	return true;
}

/*
 * Functions and triggers may have changed the row that is to be updated, or removed it: an
 * error, for the update would undo that.  Without commands meanwhile they have not.
 */
static void
check_unchanged(CzConflict *conflict, TupleTableSlot *existing)
{
	TupleTableSlot *now;

	CommandCounterIncrement();
	if (GetCurrentCommandId(false) == conflict->read_cid)
		return;
	now = MakeSingleTupleTableSlot(RelationGetDescr(conflict->rel), &TTSOpsVirtual);
	if (run_statement(conflict, plans_for_row(conflict, existing)->read,
					  row_params(conflict, existing, NULL), now) == 0 ||
		!same_row(conflict, existing, now))
		CzRaiseOwnChange(CMD_UPDATE);
	ExecDropSingleTupleTableSlot(now);
	CommandCounterIncrement();
	conflict->read_cid = GetCurrentCommandId(false);
}

/* What SET, or a trigger, reads may be a part of the statement that has changed the row. */
static bool
was_changed_meanwhile(CzConflict *conflict, TupleTableSlot *existing)
{
	CzRowChangesApplyKnown(conflict->mtstate->ps.state, RelationGetRelid(conflict->rel));
	if (CzOwnRowsHas(conflict->own, existing))
		return true;
	check_unchanged(conflict, existing);
	return false;
}

/* DO UPDATE of a row that is locked. */
static CzConflictResult
update_row(CzConflict *conflict, TupleTableSlot *excluded, TupleTableSlot **row)
{
	EState	   *estate = conflict->mtstate->ps.state;
	ResultRelInfo *rri = conflict->rri;
	OnConflictSetState *set = rri->ri_onConflict;
	TupleTableSlot *existing = set->oc_Existing;
	TupleTableSlot *new_row = set->oc_ProjSlot;
	ExprContext *econtext = conflict->mtstate->ps.ps_ExprContext;
	HeapTuple	old_tuple;
	TM_FailureData failure;

	ResetExprContext(econtext);
	existing->tts_tableOid = RelationGetRelid(conflict->rel);
	econtext->ecxt_scantuple = existing;
	econtext->ecxt_innertuple = excluded;
	econtext->ecxt_outertuple = NULL;
	if (!ExecQual(set->oc_WhereClause, econtext))
		return CZ_CONFLICT_NOTHING;
	if (rri->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(WCO_RLS_CONFLICT_CHECK, rri, existing, estate);
	ExecProject(set->oc_ProjInfo);
	ExecMaterializeSlot(new_row);
	new_row->tts_tableOid = RelationGetRelid(conflict->rel);
	if (was_changed_meanwhile(conflict, existing))
		return CZ_CONFLICT_NOTHING;

	old_tuple = ExecCopySlotHeapTuple(existing);
	old_tuple->t_tableOid = RelationGetRelid(conflict->rel);
	if (conflict->routes != NULL)
	{
		if (!CzRoutesBeforeRow(conflict->routes, CMD_UPDATE, old_tuple, new_row))
			return CZ_CONFLICT_NOTHING;
	}
	else if (rri->ri_TrigDesc != NULL && rri->ri_TrigDesc->trig_update_before_row)
	{
		if (!exec_br_update_triggers_compat(estate, rri, old_tuple, new_row, &failure))
			return CZ_CONFLICT_NOTHING;
		ExecMaterializeSlot(new_row);
	}
	if (RelationGetDescr(conflict->rel)->constr != NULL &&
		RelationGetDescr(conflict->rel)->constr->has_generated_stored)
		ExecComputeStoredGenerated(rri, estate, new_row, CMD_UPDATE);
	if (rri->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(WCO_RLS_UPDATE_CHECK, rri, new_row, estate);
	check_partition(conflict, estate, existing, new_row);
	if (was_changed_meanwhile(conflict, existing))
		return CZ_CONFLICT_NOTHING;
	store_update(conflict, existing, new_row);
	CzOwnRowsNote(conflict->own, existing, new_row);
	queue_update(conflict, estate, old_tuple, new_row);
	*row = new_row;
	return CZ_CONFLICT_UPDATED;
}

/*
 * CzConflictSetRoutes
 *		See conflict.h.
 */
void
CzConflictSetRoutes(CzConflict *conflict, CzRoutes *routes)
{
	conflict->routes = routes;
}

/*
 * CzConflictRow
 *		See conflict.h.
 */
CzConflictResult
CzConflictRow(CzConflict *conflict, TupleTableSlot **row)
{
	TupleTableSlot *new_row = *row;
	MemoryContext old_context;
	CzConflictResult result = CZ_CONFLICT_NOTHING;
	int			attempt;

	MemoryContextReset(conflict->row_context);
	conflict->own = CzOwnRowsFind(conflict->mtstate->ps.state, RelationGetRelid(conflict->rel));
	CzRowChangesApplyKnown(conflict->mtstate->ps.state, RelationGetRelid(conflict->rel));
	old_context = MemoryContextSwitchTo(conflict->row_context);
	for (attempt = 0;; attempt++)
	{
		CHECK_FOR_INTERRUPTS();
		if (run_statement(conflict, conflict->insert, row_params(conflict, new_row, NULL),
						  NULL) > 0)
		{
			CzOwnRowsNote(conflict->own, NULL, new_row);
			result = CZ_CONFLICT_INSERTED;
			break;
		}
		if (!conflict->updates)
			break;
		if (run_statement(conflict, plans_for_row(conflict, new_row)->read,
						  row_params(conflict, new_row, NULL),
						  conflict->rri->ri_onConflict->oc_Existing) > 0)
		{
			if (CzArbiterWasNoted(conflict->arbiter, CZ_ARBITER_NEW,
								  conflict->rri->ri_onConflict->oc_Existing))
				ereport(ERROR,
						(errcode(ERRCODE_CARDINALITY_VIOLATION),
						 errmsg("ON CONFLICT DO UPDATE command cannot affect row a second time"),
						 errhint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")));
			CommandCounterIncrement();
			conflict->read_cid = GetCurrentCommandId(false);
			result = update_row(conflict, new_row, row);
			break;
		}
		if (IsolationUsesXactSnapshot() || attempt >= MAX_ATTEMPTS)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update")));
	}
	MemoryContextSwitchTo(old_context);
	return result;
}
