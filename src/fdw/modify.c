/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  INSERT, UPDATE and DELETE that core's ModifyTable runs row by row on a
 *	  foreign table.
 *
 * Two ways lead to a worker.  A *statement* is an INSERT of one or some rows, or
 * an UPDATE or DELETE by ctid, with RETURNING where somebody needs what the
 * worker made of the row: that is the way of a foreign table by itself, whose
 * remote side may have triggers, rules and defaults of its own.  A *route* gives
 * the rows to a writer (route.c), which sends them to all placements of a shard
 * in bulk: that is the way of shards, whose remote side has nothing that changes
 * a row, and of COPY.
 *
 * A shard belongs to its distributed table: users write through the parent, whose rows
 * do not come here (executor/target.c, executor/copy.c).
 * An UPDATE or DELETE never comes here for a shard with two placements, since a
 * ctid names a row on one of them only.
 *
 * Core checks neither policies nor partition bounds before it hands a row to a
 * foreign partition (it does for a local one), so that is done here.
 *
 * Source: own work; which columns an UPDATE sends and RETURNING fetches follows
 * contrib/postgres_fdw/postgres_fdw.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/metadata.h"
#include "cz/seal.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "fdw_int.h"

/* Rows of one INSERT statement unless an option says otherwise. */
#define CZ_DEFAULT_BATCH_ROWS 100

/* The protocol's limit of parameters in a statement. */
#define CZ_MAX_PARAMETERS 65535

/* Positions in the fdw_private of a ModifyTable's relation. */
enum CzModifyPrivate
{
	CZ_MODIFY_PRIVATE_HEAD,		/* String: CzFdwStatement.head */
	CZ_MODIFY_PRIVATE_TAIL,		/* String */
	CZ_MODIFY_PRIVATE_ATTNOS,	/* int list */
	CZ_MODIFY_PRIVATE_RETURNED, /* int list */
	CZ_MODIFY_PRIVATE_SINGLE	/* Boolean: rows must not wait for a batch */
};

typedef struct CzFdwModifyState
{
	Oid			user_oid;		/* on whose behalf */
	CzFdwRoute *route;			/* the rows go this way; NULL: by statements */
	CzWriter   *writer;			/* of the route; NULL: no row yet */
	const CzShard *shard;		/* where to; valid with writer */

	/* The rest is for statements only. */
	Relation	rel;
	CmdType		operation;
	Oid			server_oid;
	CzFdwStatement *statement;
	int			batch_rows;		/* rows of one INSERT at most */
	char	   *sql;			/* text for nrows rows */
	int			nrows;
	AttrNumber	ctid_attno;		/* junk column of the subplan; UPDATE, DELETE */
	FmgrInfo   *output;			/* [list_length(statement->attnos)] */
	int			pins;			/* CZ_PIN_*: what the parameters' texts depend on */
	CzFdwRowReader *reader;		/* NULL: no RETURNING */
	MemoryContext temp_context; /* parameters of one execution */
} CzFdwModifyState;

/* Columns that somebody here needs as the worker made them: what RETURNING fetches.
 * A failing check shows the whole row. */
static Bitmapset *
returned_columns(Relation rel, CmdType operation, Index rtindex, List *returning_list,
				 List *check_options)
{
	TriggerDesc *triggers = rel->trigdesc;
	Bitmapset  *columns = NULL;

	if (check_options != NIL ||
		(triggers != NULL &&
		 ((operation == CMD_INSERT && triggers->trig_insert_after_row) ||
		  (operation == CMD_UPDATE && triggers->trig_update_after_row) ||
		  (operation == CMD_DELETE && triggers->trig_delete_after_row))))
		columns = bms_add_member(columns, 0 - FirstLowInvalidHeapAttributeNumber);
	pull_varattnos((Node *) returning_list, rtindex, &columns);
	return columns;
}

/*
 * Refuse what a user may not do to a shard.  name_is_parent: the statement
 * names the distributed table.
 */
static void
check_shard_write(Relation rel, CmdType operation, bool name_is_parent)
{
	const CzTable *table;
	Oid			parent_relid;

	if (!CzIsShard(RelationGetRelid(rel), &parent_relid))
		return;

	if (operation == CMD_INSERT && name_is_parent)
		return;
	if (name_is_parent)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot update or delete rows of distributed table \"%s\" one by one",
						get_rel_name(parent_relid))));
	if (!cz_enable_shard_ddl)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot write to shard \"%s\" directly",
						RelationGetRelationName(rel)),
				 errdetail("It is a part of distributed table \"%s\".",
						   get_rel_name(parent_relid)),
				 errhint("Write to the distributed table.")));

	table = CzFdwTable(rel);
	if (operation != CMD_INSERT && list_length(CzShardServers(RelationGetRelid(rel))) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot update or delete rows of shard \"%s\" directly",
						RelationGetRelationName(rel)),
				 errdetail("Shard %lld has more than one placement.",
						   (long long) table->shards[0].shard_id)));
}

static bool
user_volatile_function(Oid function_oid, void *context)
{
	return function_oid >= FirstNormalObjectId &&
		func_volatile(function_oid) == PROVOLATILE_VOLATILE;
}

/*
 * Does a statement call a volatile function that may look at the table, where the
 * rows before the current one have to be?  Those of the system don't.
 */
static bool
may_look_at_table(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, user_volatile_function, NULL))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, may_look_at_table, NULL, 0);
	return expression_tree_walker(node, may_look_at_table, NULL);
}

static void
czAddForeignUpdateTargets(PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte,
						  Relation target_relation)
{
	Var		   *var = makeVar(rtindex, SelfItemPointerAttributeNumber, TIDOID, -1,
							  InvalidOid, 0);

	add_row_identity_var(root, var, rtindex, "ctid");
}

static List *
czPlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
					int subplan_index)
{
	RangeTblEntry *rte = planner_rt_fetch(resultRelation, root);
	Relation	rel = table_open(rte->relid, NoLock);
	Bitmapset  *returned;
	CzFdwStatement *statement = NULL;

	if (plan->onConflictAction == ONCONFLICT_UPDATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT DO UPDATE is not supported on foreign table \"%s\"",
						RelationGetRelationName(rel))));
	check_shard_write(rel, plan->operation,
					  plan->rootRelation != 0 && plan->rootRelation != resultRelation);

	returned = returned_columns(rel, plan->operation, resultRelation,
								plan->returningLists ?
								list_nth(plan->returningLists, subplan_index) : NIL,
								plan->withCheckOptionLists ?
								list_nth(plan->withCheckOptionLists, subplan_index) : NIL);

	if (plan->operation == CMD_INSERT)
		statement = CzFdwInsertStatement(rel, plan->onConflictAction == ONCONFLICT_NOTHING,
										 returned);
	else if (plan->operation == CMD_DELETE)
		statement = CzFdwDeleteStatement(rel, returned);
	else if (plan->operation == CMD_UPDATE)
	{
		List	   *attnos = NIL;
		int			attno;

		/* A BEFORE trigger may change columns that the statement does not. */
		if (rel->trigdesc && rel->trigdesc->trig_update_before_row)
		{
			for (attno = 1; attno <= RelationGetDescr(rel)->natts; attno++)
			{
				if (!TupleDescAttr(RelationGetDescr(rel), attno - 1)->attisdropped)
					attnos = lappend_int(attnos, attno);
			}
		}
		else
		{
			Bitmapset  *updated = get_rel_all_updated_cols(root,
												  find_base_rel(root, resultRelation));
			int			bit = -1;

			while ((bit = bms_next_member(updated, bit)) >= 0)
			{
				attno = bit + FirstLowInvalidHeapAttributeNumber;
				if (attno > 0)
					attnos = lappend_int(attnos, attno);
			}
		}
		statement = CzFdwUpdateStatement(rel, attnos, returned);
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("MERGE is not supported on foreign table \"%s\"",
						RelationGetRelationName(rel))));

	table_close(rel, NoLock);
	return list_make5(makeString(statement->head), makeString(statement->tail),
					  statement->attnos, statement->returned_attnos,
					  makeBoolean(plan->operation == CMD_INSERT &&
								  may_look_at_table((Node *) root->parse, NULL)));
}

static CzFdwModifyState *
create_state(EState *estate, ResultRelInfo *rri)
{
	CzFdwModifyState *state = palloc0(sizeof(CzFdwModifyState));

	state->rel = rri->ri_RelationDesc;
	state->user_oid = ResultRelUser_compat(rri, estate);
	return state;
}

/* Make a state ready to run a statement.  subplan: of an UPDATE or DELETE. */
static void
prepare_statement(CzFdwModifyState *state, CmdType operation, CzFdwStatement *statement,
				  Plan *subplan)
{
	const CzTable *table = CzFdwTable(state->rel);
	const CzShard *shard = &table->shards[0];
	int			ncolumns = list_length(statement->attnos);
	int			i = 0;
	ListCell   *lc;

	state->operation = operation;
	state->statement = statement;
	state->server_oid = shard->server_oids[0];
	state->temp_context = AllocSetContextCreate(CurrentMemoryContext,
												"cz_fdw statement parameters",
												ALLOCSET_SMALL_SIZES);
	state->output = palloc0(sizeof(FmgrInfo) * Max(ncolumns, 1));
	foreach(lc, statement->attnos)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(state->rel),
											   lfirst_int(lc) - 1);
		Oid			output_oid;
		bool		is_varlena;

		getTypeOutputInfo(attr->atttypid, &output_oid, &is_varlena);
		fmgr_info(output_oid, &state->output[i++]);
		state->pins |= CzPinsOfType(attr->atttypid);
	}
	if (statement->returned_attnos != NIL)
		state->reader = CzFdwRowReaderCreate(state->rel, statement->returned_attnos);

	if (operation == CMD_INSERT)
	{
		state->batch_rows = CzFdwIntOption(GetForeignTable(RelationGetRelid(state->rel)),
										   "batch_size", CZ_DEFAULT_BATCH_ROWS);
		if (ncolumns == 0)
			state->batch_rows = 1;
		else
			state->batch_rows = Min(state->batch_rows, CZ_MAX_PARAMETERS / ncolumns);
	}
	else
	{
		CzFdwRemoteKind kind;

		state->ctid_attno = ExecFindJunkAttributeInTlist(subplan->targetlist, "ctid");
		if (!AttributeNumberIsValid(state->ctid_attno))
			elog(ERROR, "junk column ctid is missing in the plan of foreign table \"%s\"",
				 RelationGetRelationName(state->rel));

		/*
		 * Two rows of partitions or children may have the same ctid, and a
		 * row would be changed that nobody meant.
		 */
		kind = CzFdwRemoteKindGet(CzTxnConn(state->server_oid, state->user_oid, true),
								  shard->remote_qualified);
		if (kind.has_children)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot update or delete rows of foreign table \"%s\" one by one",
							RelationGetRelationName(state->rel)),
					 errdetail("The remote table %s has partitions or children, where a row's ctid is not unique.",
							   shard->remote_qualified),
					 errhint("Write a statement that can be sent whole: without volatile functions, triggers and local tables.")));
	}
}

static void
czBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
					 int subplan_index, int eflags)
{
	CzFdwStatement *statement;
	CzFdwModifyState *state;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state = create_state(mtstate->ps.state, rri);
	rri->ri_FdwState = state;
	if (mtstate->operation == CMD_INSERT &&
		CzIsShard(RelationGetRelid(rri->ri_RelationDesc), NULL))
	{
		state->route = CzFdwRouteBegin(mtstate->ps.state, rri, state->user_oid, false);
		return;
	}

	statement = palloc0(sizeof(CzFdwStatement));
	statement->head = strVal(list_nth(fdw_private, CZ_MODIFY_PRIVATE_HEAD));
	statement->tail = strVal(list_nth(fdw_private, CZ_MODIFY_PRIVATE_TAIL));
	statement->attnos = list_nth(fdw_private, CZ_MODIFY_PRIVATE_ATTNOS);
	statement->returned_attnos = list_nth(fdw_private, CZ_MODIFY_PRIVATE_RETURNED);
	prepare_statement(state, mtstate->operation, statement,
					  outerPlanState(mtstate)->plan);
	if (boolVal(list_nth(fdw_private, CZ_MODIFY_PRIVATE_SINGLE)))
		state->batch_rows = 1;
}

/*
 * BeginForeignInsert: rows come by tuple routing, or by COPY (then the
 * ModifyTableState is a dummy without a plan).
 */
static void
czBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rri)
{
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);
	EState	   *estate = mtstate->ps.state;
	Relation	rel = rri->ri_RelationDesc;
	bool		is_copy = (plan == NULL);
	OnConflictAction on_conflict = plan ? plan->onConflictAction : ONCONFLICT_NONE;
	CzFdwModifyState *state;
	MemoryContext old_context;
	bool		use_route;

	/* The UPDATE would meet the row again, which it has just moved there. */
	if (plan && plan->operation == CMD_UPDATE &&
		(rri->ri_usesFdwDirectModify || rri->ri_FdwState))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot route tuples into foreign table to be updated \"%s\"",
						RelationGetRelationName(rel))));
	check_shard_write(rel, CMD_INSERT, rri->ri_RootResultRelInfo != NULL);
	if (on_conflict != ONCONFLICT_NONE &&
		(on_conflict == ONCONFLICT_UPDATE || CzIsShard(RelationGetRelid(rel), NULL)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT is not supported on partition \"%s\"",
						RelationGetRelationName(rel))));

	old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	state = create_state(estate, rri);

	use_route = CzIsShard(RelationGetRelid(rel), NULL);
	if (!use_route && rri->ri_returningList == NIL && rri->ri_WithCheckOptions == NIL &&
		on_conflict == ONCONFLICT_NONE &&
		!(rri->ri_TrigDesc && rri->ri_TrigDesc->trig_insert_after_row))
	{
		const CzShard *shard = &CzFdwTable(rel)->shards[0];

		use_route = CzFdwRemoteKindGet(CzTxnConn(shard->server_oids[0], state->user_oid, true),
									   shard->remote_qualified).takes_copy;
	}

	if (use_route)
		state->route = CzFdwRouteBegin(estate, rri, state->user_oid, is_copy);
	else
	{
		ResultRelInfo *root = rri->ri_RootResultRelInfo;
		Index		rtindex = rri->ri_RangeTableIndex;

		/* A partition without an entry of its own speaks with another's number:
		 * the first target's of an UPDATE, else the root's. */
		if (rtindex == 0 && plan && plan->operation == CMD_UPDATE &&
			root->ri_RangeTableIndex == plan->rootRelation)
			rtindex = mtstate->resultRelInfo[0].ri_RangeTableIndex;
		else if (rtindex == 0)
			rtindex = root->ri_RangeTableIndex;
		prepare_statement(state, CMD_INSERT,
						  CzFdwInsertStatement(rel, on_conflict == ONCONFLICT_NOTHING,
											   returned_columns(rel, CMD_INSERT, rtindex,
																rri->ri_returningList,
																rri->ri_WithCheckOptions)),
						  NULL);
	}
	MemoryContextSwitchTo(old_context);
	rri->ri_FdwState = state;
}

static int
czGetForeignModifyBatchSize(ResultRelInfo *rri)
{
	CzFdwModifyState *state = rri->ri_FdwState;

	/* A writer has a buffer of its own. */
	if (state != NULL && state->route != NULL)
		return 1;

	/*
	 * Triggers may look at the table, and what RETURNING and WITH CHECK
	 * OPTION need comes with each row.
	 */
	if (rri->ri_projectReturning != NULL || rri->ri_WithCheckOptions != NIL ||
		(rri->ri_TrigDesc && (rri->ri_TrigDesc->trig_insert_before_row ||
							  rri->ri_TrigDesc->trig_insert_after_row)))
		return 1;
	if (state != NULL)
		return state->batch_rows;
	return CzFdwIntOption(GetForeignTable(RelationGetRelid(rri->ri_RelationDesc)),
						  "batch_size", CZ_DEFAULT_BATCH_ROWS);
}

/* The parameters of an execution, in temp_context. */
static const char **
statement_parameters(CzFdwModifyState *state, ItemPointer ctid, TupleTableSlot **slots,
					 int nrows)
{
	List	   *attnos = state->statement->attnos;
	int			nparams = nrows * list_length(attnos) + 1;
	const char **values = palloc(sizeof(char *) * nparams);
	int			nest_level = CzPinTextSettings(state->pins);
	int			n = 0;
	int			row;

	if (ctid != NULL)
		values[n++] = DatumGetCString(DirectFunctionCall1(tidout, PointerGetDatum(ctid)));
	for (row = 0; row < nrows; row++)
	{
		int			column = 0;
		ListCell   *lc;

		foreach(lc, attnos)
		{
			bool		isnull;
			Datum		value = slot_getattr(slots[row], lfirst_int(lc), &isnull);

			values[n++] = isnull ? NULL :
				OutputFunctionCall(&state->output[column], value);
			column++;
		}
	}
	CzUnpinTextSettings(nest_level);
	return values;
}

/*
 * Run the statement for some rows (more than one: INSERT only).
 *
 * Returns: rows that the worker changed.  With RETURNING slots[0] then holds
 *		what the worker made of the row.
 */
static int
run_statement(CzFdwModifyState *state, TupleTableSlot **slots, TupleTableSlot *planSlot,
			  int nrows)
{
	MemoryContext old_context;
	CzConn	   *conn;
	const char **values;
	ItemPointer ctid = NULL;
	PGresult   *res;
	volatile int nchanged = 0;

	if (state->operation != CMD_INSERT)
	{
		bool		isnull;
		Datum		datum = ExecGetJunkAttribute(planSlot, state->ctid_attno, &isnull);

		if (isnull)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("a row of foreign table \"%s\" has no ctid",
							RelationGetRelationName(state->rel)),
					 errhint("Only rows of a table of the remote server can be changed.")));
		ctid = (ItemPointer) DatumGetPointer(datum);
	}
	if (state->sql == NULL || state->nrows != nrows)
	{
		old_context = MemoryContextSwitchTo(GetMemoryChunkContext(state));
		if (state->sql != NULL && state->operation == CMD_INSERT)
			pfree(state->sql);
		state->sql = state->operation == CMD_INSERT ?
			CzFdwInsertText(state->statement, nrows) : state->statement->head;
		state->nrows = nrows;
		MemoryContextSwitchTo(old_context);
	}

	old_context = MemoryContextSwitchTo(state->temp_context);
	values = statement_parameters(state, ctid, slots, nrows);
	MemoryContextSwitchTo(old_context);

	conn = CzTxnConn(state->server_oid, state->user_oid, true);
	res = CzConnExecPrepared(conn, state->sql,
							 nrows * list_length(state->statement->attnos) + (ctid != NULL),
							 values);
	PG_TRY();
	{
		if (state->reader == NULL)
			nchanged = CzResultCount(conn, res);
		else
		{
			nchanged = PQntuples(res);
			if (nchanged > 0)
				ExecForceStoreHeapTuple(CzFdwRowReaderGet(state->reader, res, 0),
										slots[0], true);
		}
	}
	PG_FINALLY();
	{
		PQclear(res);
	}
	PG_END_TRY();

	MemoryContextReset(state->temp_context);
	return nchanged;
}

/*
 * What core checks before it writes a local row, but leaves to the wrapper for a
 * foreign one: policies, and the bounds of a partition (unless the row was
 * just routed by them).  The table's own constraints are the worker's.
 */
static void
check_row(EState *estate, ResultRelInfo *rri, CmdType operation, TupleTableSlot *slot)
{
	if (rri->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(operation == CMD_INSERT ? WCO_RLS_INSERT_CHECK :
							 WCO_RLS_UPDATE_CHECK, rri, slot, estate);
	if (rri->ri_RelationDesc->rd_rel->relispartition &&
		(operation == CMD_UPDATE || rri->ri_RootResultRelInfo == NULL))
		ExecPartitionCheck(rri, slot, estate, true);
}

static TupleTableSlot *
czExecForeignInsert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
					TupleTableSlot *planSlot)
{
	CzFdwModifyState *state = rri->ri_FdwState;

	check_row(estate, rri, CMD_INSERT, slot);
	if (state->route != NULL)
	{
		if (state->writer == NULL)
		{
			state->writer = CzFdwRouteWriter(state->route, rri->ri_RelationDesc);
			state->shard = &CzFdwTable(rri->ri_RelationDesc)->shards[0];
		}
		CzSealAdmitRow(state->shard, rri->ri_RelationDesc, slot);
		CzFdwRoutePut(state->route, state->writer, state->shard, slot);
		return slot;
	}
	return run_statement(state, &slot, planSlot, 1) > 0 ? slot : NULL;
}

static TupleTableSlot **
czExecForeignBatchInsert(EState *estate, ResultRelInfo *rri, TupleTableSlot **slots,
						 TupleTableSlot **planSlots, int *numSlots)
{
	int			i;

	for (i = 0; i < *numSlots; i++)
		check_row(estate, rri, CMD_INSERT, slots[i]);
	*numSlots = run_statement(rri->ri_FdwState, slots, NULL, *numSlots);
	return *numSlots > 0 ? slots : NULL;
}

static TupleTableSlot *
czExecForeignUpdate(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
					TupleTableSlot *planSlot)
{
	check_row(estate, rri, CMD_UPDATE, slot);
	return run_statement(rri->ri_FdwState, &slot, planSlot, 1) > 0 ? slot : NULL;
}

static TupleTableSlot *
czExecForeignDelete(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
					TupleTableSlot *planSlot)
{
	return run_statement(rri->ri_FdwState, &slot, planSlot, 1) > 0 ? slot : NULL;
}

/* For EndForeignModify and EndForeignInsert. */
static void
czEndForeignModify(EState *estate, ResultRelInfo *rri)
{
	CzFdwModifyState *state = rri->ri_FdwState;

	if (state == NULL || state->route == NULL)
		return;
	CzFdwRouteEnd(state->route);
	state->route = NULL;
}

/* A shard is always updatable to core: inserts into the parent arrive in it. */
static int
czIsForeignRelUpdatable(Relation rel)
{
	ForeignTable *table = GetForeignTable(RelationGetRelid(rel));

	if (CzFdwBoolOption(table, "updatable", true) ||
		CzIsShard(RelationGetRelid(rel), NULL))
		return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
	return 0;
}

static void
czExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
					   int subplan_index, ExplainState *es)
{
	CzFdwStatement statement;

	if (!es->verbose)
		return;

	statement.head = strVal(list_nth(fdw_private, CZ_MODIFY_PRIVATE_HEAD));
	statement.tail = strVal(list_nth(fdw_private, CZ_MODIFY_PRIVATE_TAIL));
	statement.attnos = list_nth(fdw_private, CZ_MODIFY_PRIVATE_ATTNOS);
	if (mtstate->operation == CMD_INSERT)
	{
		ExplainPropertyText("Remote SQL", CzFdwInsertText(&statement, 1), es);
		if (rri->ri_BatchSize > 0)
			ExplainPropertyInteger("Batch Size", NULL, rri->ri_BatchSize, es);
	}
	else
		ExplainPropertyText("Remote SQL", statement.head, es);
}

/*
 * CzFdwModifyRoutine
 *		Fill in the callbacks of this file.
 */
void
CzFdwModifyRoutine(FdwRoutine *routine)
{
	routine->AddForeignUpdateTargets = czAddForeignUpdateTargets;
	routine->PlanForeignModify = czPlanForeignModify;
	routine->BeginForeignModify = czBeginForeignModify;
	routine->BeginForeignInsert = czBeginForeignInsert;
	routine->GetForeignModifyBatchSize = czGetForeignModifyBatchSize;
	routine->ExecForeignInsert = czExecForeignInsert;
	routine->ExecForeignBatchInsert = czExecForeignBatchInsert;
	routine->ExecForeignUpdate = czExecForeignUpdate;
	routine->ExecForeignDelete = czExecForeignDelete;
	routine->EndForeignModify = czEndForeignModify;
	routine->EndForeignInsert = czEndForeignModify;
	routine->IsForeignRelUpdatable = czIsForeignRelUpdatable;
	routine->ExplainForeignModify = czExplainForeignModify;
}
