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
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "conflict.h"
#include "executor_int.h"
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
	List	   *arbiter;		/* the same of the index; NIL: DO NOTHING on any */
	List	   *assigned;		/* what an update sends, the key apart */
	PlannedStmt *insert;		/* parameters: columns */
	PlannedStmt *read;			/* columns; gives all columns of the table; NULL: DO NOTHING */
	PlannedStmt *update;		/* columns, then columns again: the old row, the new one */
	PlannedStmt *move;			/* the same, when the key changes */
	TupleHashTable seen;		/* rows of the statement, by arbiter; NULL: DO NOTHING */
	TupleTableSlot *seen_slot;	/* what is looked for in it */
	MemoryContext row_context;	/* reset for each row */
};

/* ---- statements ----------------------------------------------------------- */

static char *
column_name(CzConflict *conflict, AttrNumber attno)
{
	return pstrdup(quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(conflict->rel),
														  attno - 1)->attname)));
}

/* The number of a column's parameter; the new row's follow the old one's. */
static int
param_number(CzConflict *conflict, AttrNumber attno, bool is_new)
{
	ListCell   *lc;

	foreach(lc, conflict->columns)
	{
		if (lfirst_int(lc) == attno)
			return foreach_current_index(lc) + 1 +
				(is_new ? list_length(conflict->columns) : 0);
	}
	elog(ERROR, "column %d of relation \"%s\" is not inserted", attno,
		 RelationGetRelationName(conflict->rel));
	return 0;
}

/* column = parameter, for each of the index, by the types' own equality. */
static Node *
arbiter_quals(CzConflict *conflict)
{
	List	   *quals = NIL;
	ListCell   *lc;

	foreach(lc, conflict->arbiter)
	{
		AttrNumber	attno = lfirst_int(lc);
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(conflict->rel), attno - 1);
		Oid			operator = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR)->eq_opr;
		Oid			input;
		Node	   *args[2];
		Param	   *param = makeNode(Param);
		int			i;

		op_input_types(operator, &input, &input);
		param->paramkind = PARAM_EXTERN;
		param->paramid = param_number(conflict, attno, false);
		param->paramtype = att->atttypid;
		param->paramtypmod = -1;
		param->paramcollid = att->attcollation;
		param->location = -1;
		args[0] = (Node *) makeVar(1, attno, att->atttypid, att->atttypmod,
								   att->attcollation, 0);
		args[1] = (Node *) param;
		for (i = 0; i < 2; i++)
		{
			if (input != att->atttypid && !IsPolymorphicType(input))
				args[i] = (Node *) makeRelabelType((Expr *) args[i], input, -1,
												   att->attcollation, COERCE_IMPLICIT_CAST);
		}
		quals = lappend(quals, make_opclause(operator, BOOLOID, false, (Expr *) args[0],
											 (Expr *) args[1], InvalidOid,
											 att->attcollation));
		((OpExpr *) llast(quals))->opfuncid = get_opcode(operator);
	}
	return (Node *) make_ands_explicit(quals);
}

/*
 * Plan a statement on the table, which is the first relation of it.  Rules and policies
 * are the rewriter's, which it does not meet; its privileges were checked.
 */
static PlannedStmt *
plan_statement(CzConflict *conflict, const char *sql, bool with_quals)
{
	TupleDesc	desc = RelationGetDescr(conflict->rel);
	int			ncolumns = list_length(conflict->columns);
	Oid		   *types = palloc(sizeof(Oid) * 2 * ncolumns);
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	Query	   *query;
	ListCell   *lc;

	foreach(lc, conflict->columns)
	{
		int			i = foreach_current_index(lc);

		types[i] = types[i + ncolumns] = TupleDescAttr(desc, lfirst_int(lc) - 1)->atttypid;
	}
	query = parse_analyze_fixedparams(raw, sql, types, 2 * ncolumns, NULL);
	if (with_quals)
		query->jointree->quals = arbiter_quals(conflict);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION)
			query_set_user_compat(query, rte, conflict->user_oid);
	}
	return pg_plan_query(query, sql, CURSOR_OPT_GENERIC_PLAN, NULL);
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
		appendStringInfo(&values, "%s$%d", comma, foreach_current_index(lc) + 1);
	}
	appendStringInfo(&sql, ") VALUES (%s) ON CONFLICT ", values.data);
	foreach(lc, conflict->arbiter)
		appendStringInfo(&sql, "%s%s", lc == list_head(conflict->arbiter) ? "(" : ", ",
						 column_name(conflict, lfirst_int(lc)));
	appendStringInfo(&sql, "%s DO NOTHING", conflict->arbiter != NIL ? ")" : "");
	return plan_statement(conflict, sql.data, false);
}

static PlannedStmt *
plan_read(CzConflict *conflict)
{
	StringInfoData sql;
	TupleDesc	desc = RelationGetDescr(conflict->rel);
	const char *comma = "";
	int			i;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		appendStringInfo(&sql, "%s%s", comma, column_name(conflict, i + 1));
		comma = ", ";
	}
	appendStringInfo(&sql, " FROM %s FOR UPDATE",
					 CzRelationName(RelationGetRelid(conflict->rel)));
	return plan_statement(conflict, sql.data, true);
}

static PlannedStmt *
plan_update(CzConflict *conflict, bool with_key)
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
						 param_number(conflict, lfirst_int(lc), true));
	return plan_statement(conflict, sql.data, true);
}

static ParamListInfo
row_params(CzConflict *conflict, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	int			ncolumns = list_length(conflict->columns);
	ParamListInfo params = makeParamList(2 * ncolumns);
	ListCell   *lc;
	int			n;

	for (n = 0; n < 2; n++)
	{
		TupleTableSlot *row = n == 0 ? old_row : new_row;

		foreach(lc, conflict->columns)
		{
			ParamExternData *param = &params->params[foreach_current_index(lc) + n * ncolumns];
			AttrNumber	attno = lfirst_int(lc);

			param->ptype = TupleDescAttr(RelationGetDescr(conflict->rel), attno - 1)->atttypid;
			param->isnull = true;
			if (row != NULL)
				param->value = slot_getattr(row, attno, &param->isnull);
		}
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
		bool		is_dropped = TupleDescAttr(desc, i)->attisdropped;

		slot->tts_isnull[i] = is_dropped || row->tts_isnull[n];
		slot->tts_values[i] = is_dropped ? (Datum) 0 : row->tts_values[n];
		n += !is_dropped;
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

/* The columns of the index that rows may conflict in. */
static List *
arbiter_columns(ModifyTable *plan, Relation rel)
{
	List	   *columns = NIL;
	Relation	index;
	int			i;

	if (plan->arbiterIndexes == NIL)
		return NIL;
	index = index_open(linitial_oid(plan->arbiterIndexes), AccessShareLock);
	if (RelationGetIndexExpressions(index) != NIL ||
		RelationGetIndexPredicate(index) != NIL || index->rd_index->indnullsnotdistinct)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT is not supported for index \"%s\" of distributed table \"%s\"",
						RelationGetRelationName(index), RelationGetRelationName(rel)),
				 errdetail("The statement is done row by row, and the index has expressions, a predicate or NULLS NOT DISTINCT.")));
	for (i = 0; i < index->rd_index->indnkeyatts; i++)
		columns = lappend_int(columns, index->rd_index->indkey.values[i]);
	index_close(index, NoLock);
	return columns;
}

static void
begin_seen(CzConflict *conflict)
{
	TupleDesc	desc = RelationGetDescr(conflict->rel);
	int			n = list_length(conflict->arbiter);
	AttrNumber *attnos = palloc(sizeof(AttrNumber) * n);
	Oid		   *operators = palloc(sizeof(Oid) * n);
	Oid		   *collations = palloc(sizeof(Oid) * n);
	Oid		   *functions;
	FmgrInfo   *hash_functions;
	ListCell   *lc;

	foreach(lc, conflict->arbiter)
	{
		int			i = foreach_current_index(lc);
		Form_pg_attribute att = TupleDescAttr(desc, lfirst_int(lc) - 1);

		attnos[i] = lfirst_int(lc);
		operators[i] = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR)->eq_opr;
		collations[i] = att->attcollation;
	}
	execTuplesHashPrepare(n, operators, &functions, &hash_functions);
	conflict->seen_slot = ExecInitExtraTupleSlot(conflict->mtstate->ps.state, desc,
												 &TTSOpsMinimalTuple);
	conflict->seen = BuildTupleHashTable(&conflict->mtstate->ps, desc, n, attnos, functions,
										 hash_functions, collations, 256, 0,
										 CurrentMemoryContext,
										 AllocSetContextCreate(CurrentMemoryContext,
															   "cz_fdw conflict hash",
															   ALLOCSET_SMALL_SIZES),
										 false);
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
	bool		all = rri->ri_TrigDesc != NULL && rri->ri_TrigDesc->trig_update_before_row;
	int			i;

	conflict->mtstate = mtstate;
	conflict->rri = rri;
	conflict->rel = rel;
	conflict->user_oid = user_oid;
	conflict->key_attno = CzTableGet(RelationGetRelid(rel))->key_attno;
	conflict->arbiter = arbiter_columns(plan, rel);
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
	cz_triggers_are_suspended = true;
	PG_TRY();
	{
		conflict->insert = plan_insert(conflict);
		if (plan->onConflictAction == ONCONFLICT_UPDATE)
		{
			conflict->read = plan_read(conflict);
			conflict->update = plan_update(conflict, false);
		}
	}
	PG_FINALLY();
	{
		cz_triggers_are_suspended = false;
	}
	PG_END_TRY();
	if (conflict->read != NULL)
		begin_seen(conflict);
	MemoryContextSwitchTo(old_context);
	return conflict;
}

/* ---- rows ----------------------------------------------------------------- */

/* Note a row that the statement has written.  Was one noted? */
static void
note_row(CzConflict *conflict, TupleTableSlot *row)
{
	bool		is_new;

	if (conflict->seen == NULL)
		return;
	ExecCopySlot(conflict->seen_slot, row);
	(void) LookupTupleHashEntry(conflict->seen, conflict->seen_slot, &is_new, NULL);
}

static bool
was_noted(CzConflict *conflict, TupleTableSlot *row)
{
	ExecCopySlot(conflict->seen_slot, row);
	return LookupTupleHashEntry(conflict->seen, conflict->seen_slot, NULL, NULL) != NULL;
}

static bool
same_key(CzConflict *conflict, TupleTableSlot *a, TupleTableSlot *b)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(conflict->rel),
										  conflict->key_attno - 1);
	bool		isnull[2];
	Datum		values[2];

	values[0] = slot_getattr(a, conflict->key_attno, &isnull[0]);
	values[1] = slot_getattr(b, conflict->key_attno, &isnull[1]);
	if (isnull[0] || isnull[1])
		return isnull[0] && isnull[1];
	return datum_image_eq(values[0], values[1], att->attbyval, att->attlen);
}

/* Write what SET and triggers have made of a row. */
static void
store_update(CzConflict *conflict, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	bool		moves = !same_key(conflict, old_row, new_row);
	PlannedStmt *plan = conflict->update;

	if (moves && conflict->move == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(conflict->mtstate->ps.state->es_query_cxt);

		cz_triggers_are_suspended = true;
		PG_TRY();
		{
			conflict->move = plan_update(conflict, true);
		}
		PG_FINALLY();
		{
			cz_triggers_are_suspended = false;
		}
		PG_END_TRY();
		MemoryContextSwitchTo(old_context);
	}
	if (moves)
		plan = conflict->move;
	if (plan == NULL)
		return;
	if (run_statement(conflict, plan, row_params(conflict, old_row, new_row), NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("tuple to be updated was already modified by an operation triggered by the current command")));
}

/* AFTER triggers and transition tables of an update; see target.c about the routine. */
static void
queue_update(CzConflict *conflict, EState *estate, HeapTuple old_tuple,
			 TupleTableSlot *new_row)
{
	ResultRelInfo *rri = conflict->rri;
	struct FdwRoutine *routine = rri->ri_FdwRoutine;

	rri->ri_FdwRoutine = NULL;
	ExecARUpdateTriggers(estate, rri, NULL, NULL, NULL, old_tuple, new_row, NIL,
						 conflict->mtstate->mt_oc_transition_capture, false);
	rri->ri_FdwRoutine = routine;
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

	old_tuple = ExecCopySlotHeapTuple(existing);
	old_tuple->t_tableOid = RelationGetRelid(conflict->rel);
	if (rri->ri_TrigDesc != NULL && rri->ri_TrigDesc->trig_update_before_row)
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
	store_update(conflict, existing, new_row);
	note_row(conflict, new_row);
	queue_update(conflict, estate, old_tuple, new_row);
	*row = new_row;
	return CZ_CONFLICT_UPDATED;
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
	old_context = MemoryContextSwitchTo(conflict->row_context);
	for (attempt = 0;; attempt++)
	{
		CHECK_FOR_INTERRUPTS();
		if (run_statement(conflict, conflict->insert, row_params(conflict, new_row, NULL),
						  NULL) > 0)
		{
			note_row(conflict, new_row);
			result = CZ_CONFLICT_INSERTED;
			break;
		}
		if (conflict->read == NULL)
			break;
		if (run_statement(conflict, conflict->read, row_params(conflict, new_row, NULL),
						  conflict->rri->ri_onConflict->oc_Existing) > 0)
		{
			if (was_noted(conflict, conflict->rri->ri_onConflict->oc_Existing))
				ereport(ERROR,
						(errcode(ERRCODE_CARDINALITY_VIOLATION),
						 errmsg("ON CONFLICT DO UPDATE command cannot affect row a second time"),
						 errhint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")));
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
