/*-------------------------------------------------------------------------
 *
 * deferred.c
 *	  Deferrable constraint triggers of distributed tables.
 *
 * Core would keep a deferred event as the ctid of a row, and open the partitioned parent
 * at commit.  So it takes these triggers for ones that can't be deferred, and calls
 * defer_trigger() for them when the statement ends: which calls the trigger's function, or
 * keeps the rows until SET CONSTRAINTS or the end of the transaction.  Which triggers
 * fire (WHEN, UPDATE OF) and in which order is core's to say; and it is core that
 * calls them in the end, in a query of its own for each event.
 *
 * SET CONSTRAINTS is core's too; what it says is noted besides (CzDeferredSet), for core's
 * state is its own, and workers have to know of it (transaction/constraints.c).
 *
 * At commit these triggers fire before workers are told to commit, which the transaction's
 * own callback does: callbacks are called last registered first, and ours is
 * registered when it is needed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "parser/parse_func.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/executor.h"
#include "cz/metadata.h"
#include "cz/transaction.h"
#include "triggers.h"

PG_FUNCTION_INFO_V1(defer_trigger);

/* A trigger that is to fire later. */
typedef struct DeferredEvent
{
	Oid			relid;
	Oid			trigger_oid;
	Oid			constraint_oid;
	bool		is_initially_deferred;
	CmdType		command;
	HeapTuple	old_tuple;		/* NULL: INSERT */
	HeapTuple	new_tuple;		/* NULL: DELETE */
	Bitmapset  *updated;		/* columns, as in RangeTblEntry.updatedCols */
	SubTransactionId subid;		/* that the event is of */
	SubTransactionId fired_subid;	/* in which it has fired; invalid: it has not */
} DeferredEvent;

/* Of the transaction, in TopTransactionContext. */
static List *events = NIL;

static void fire_events(bool all);

/* ---- the transaction ------------------------------------------------------ */

static bool
has_pending(void)
{
	ListCell   *lc;

	foreach(lc, events)
	{
		if (((DeferredEvent *) lfirst(lc))->fired_subid == InvalidSubTransactionId)
			return true;
	}
	return false;
}

static void
deferred_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			/* these may queue events of core's, and the reverse */
			while (has_pending())
			{
				PushActiveSnapshot(GetTransactionSnapshot());
				fire_events(true);
				PopActiveSnapshot();
				do
				{
					AfterTriggerFireDeferred();
				} while (PreCommit_Portals(event == XACT_EVENT_PRE_PREPARE));
			}
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			events = NIL;
			break;
		default:
			break;
	}
}

static void
deferred_subxact_callback(SubXactEvent event, SubTransactionId id, SubTransactionId parent,
						  void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, events)
	{
		DeferredEvent *deferred = lfirst(lc);

		if (event == SUBXACT_EVENT_ABORT_SUB)
		{
			if (deferred->fired_subid == id)
				deferred->fired_subid = InvalidSubTransactionId;
			if (deferred->subid == id)
				events = foreach_delete_current(events, lc);
			continue;
		}
		if (deferred->fired_subid == id)
			deferred->fired_subid = parent;
		if (deferred->subid == id)
			deferred->subid = parent;
	}
}

static void
watch_transaction(void)
{
	static bool is_watching = false;

	if (is_watching)
		return;
	RegisterXactCallback(deferred_xact_callback, NULL);
	RegisterSubXactCallback(deferred_subxact_callback, NULL);
	is_watching = true;
}

/* ---- firing --------------------------------------------------------------- */

/* A trigger of a table, as it is in the catalogs; NULL: it was dropped. */
static const Trigger *
find_trigger(Relation rel, Oid trigger_oid)
{
	int			i;

	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		if (rel->trigdesc->triggers[i].tgoid == trigger_oid)
			return &rel->trigdesc->triggers[i];
	}
	return NULL;
}

/* The columns of a key in the table that refers. */
static int
referring_columns(Oid constraint_oid, AttrNumber *columns, Oid *operators)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	AttrNumber	others[INDEX_MAX_KEYS];
	int			ncolumns;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
	DeconstructFkConstraintRow(tuple, &ncolumns, columns, others, NULL, NULL, operators, NULL,
							   NULL);
	ReleaseSysCache(tuple);
	return ncolumns;
}

/*
 * Is there still a row that refers to what one referred to when its event was put off?  Core
 * does not check rows that have gone, or that are others now.
 */
static bool
still_refers(Relation rel, const Trigger *trigger, HeapTuple tuple)
{
	AttrNumber	columns[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];
	Oid			types[INDEX_MAX_KEYS];
	Datum		values[INDEX_MAX_KEYS];
	int			ncolumns = referring_columns(trigger->tgconstraint, columns, operators);
	StringInfoData sql;
	int			nvalues = 0;
	bool		result;
	int			i;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT 1 FROM %s WHERE ", CzRelationName(RelationGetRelid(rel)));
	for (i = 0; i < ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), columns[i] - 1);
		const char *name = quote_identifier(NameStr(att->attname));
		bool		isnull;
		Datum		value = heap_getattr(tuple, columns[i], RelationGetDescr(rel), &isnull);

		appendStringInfoString(&sql, i > 0 ? " AND " : "");
		if (isnull)
		{
			appendStringInfo(&sql, "%s IS NULL", name);
			continue;
		}
		types[nvalues] = att->atttypid;
		values[nvalues++] = value;
		appendStringInfo(&sql, "%s OPERATOR(%s.%s) $%d", name,
						 quote_identifier(get_namespace_name(get_func_namespace(get_opcode(operators[i])))),
						 get_opname(operators[i]), nvalues);
	}
	appendStringInfoString(&sql, " LIMIT 1");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql.data, nvalues, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for rows that refer");
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

/* Was it found with others?  Then it matters not whether the row is still there. */
static bool
has_what_it_refers_to(Relation rel, const Trigger *trigger, HeapTuple tuple)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
	bool		result;

	ExecStoreHeapTuple(tuple, slot, false);
	result = CzKeyLookRow(trigger->tgconstraint, trigger->tgfoid, slot) == CZ_KEY_PASSES;
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

static bool
is_to_fire(const DeferredEvent *event, bool all)
{
	return event->fired_subid == InvalidSubTransactionId &&
		(all || !CzConstraintIsDeferred(event->constraint_oid, event->is_initially_deferred));
}

/* Keys of a relation, rows of which are noted to be looked for. */
typedef struct NotedRelation
{
	Oid			relid;
	Relation	rel;
	CzKeyLooks *key_looks;
	TupleTableSlot *slot;
} NotedRelation;

static bool
is_foreign_key(Oid constraint_oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_FOREIGN;
	ReleaseSysCache(tuple);
	return result;
}

/* Rows of keys that are about to be checked are looked for together. */
static void
note_events(bool all)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz deferred keys",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	List	   *noted = NIL;
	ListCell   *lc;
	ListCell   *ln;

	foreach(lc, events)
	{
		const DeferredEvent *event = lfirst(lc);
		NotedRelation *relation = NULL;

		if (event->new_tuple == NULL || !is_to_fire(event, all) ||
			!is_foreign_key(event->constraint_oid))
			continue;
		foreach(ln, noted)
		{
			if (((NotedRelation *) lfirst(ln))->relid == event->relid)
				relation = lfirst(ln);
		}
		if (relation == NULL)
		{
			relation = palloc0(sizeof(NotedRelation));
			relation->relid = event->relid;
			relation->rel = try_table_open(event->relid, RowExclusiveLock);
			if (relation->rel != NULL)
			{
				relation->key_looks = CzKeyLooksMake(relation->rel, all);
				relation->slot = MakeSingleTupleTableSlot(RelationGetDescr(relation->rel),
														  &TTSOpsHeapTuple);
			}
			noted = lappend(noted, relation);
		}
		if (relation->key_looks == NULL)
			continue;
		ExecStoreHeapTuple(event->new_tuple, relation->slot, false);
		CzKeyLooksNote(relation->key_looks, relation->rel, event->command, event->old_tuple,
					   relation->slot);
	}
	foreach(ln, noted)
	{
		NotedRelation *relation = lfirst(ln);

		if (relation->slot != NULL)
			ExecDropSingleTupleTableSlot(relation->slot);
		if (relation->rel != NULL)
			table_close(relation->rel, NoLock);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/* Have core call one trigger for an event, which has met its conditions already. */
static void
fire_event(DeferredEvent *event)
{
	Relation	rel = try_table_open(event->relid, RowExclusiveLock);
	const Trigger *trigger = rel ? find_trigger(rel, event->trigger_oid) : NULL;
	EState	   *estate;
	MemoryContext old_context;
	ResultRelInfo *rri;
	TriggerDesc *desc;
	TupleTableSlot *slot;

	/* dropped since */
	if (trigger == NULL)
	{
		if (rel != NULL)
			table_close(rel, NoLock);
		return;
	}
	if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_FK &&
		(has_what_it_refers_to(rel, trigger, event->new_tuple) ||
		 !still_refers(rel, trigger, event->new_tuple)))
	{
		table_close(rel, NoLock);
		return;
	}
	estate = CreateExecutorState();
	old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	rri = CzTargetInit(estate, rel, event->updated, 0);
	estate->es_opened_result_relations = list_make1(rri);
	desc = palloc0(sizeof(TriggerDesc));
	desc->triggers = palloc(sizeof(Trigger));
	desc->triggers[0] = *trigger;
	desc->triggers[0].tgenabled = TRIGGER_FIRES_ALWAYS;
	desc->triggers[0].tgdeferrable = false;
	desc->triggers[0].tgnattr = 0;
	desc->triggers[0].tgqual = NULL;
	desc->numtriggers = 1;
	desc->trig_insert_after_row = desc->trig_update_after_row = desc->trig_delete_after_row = true;
	rri->ri_TrigDesc = CopyTriggerDesc(desc);
	slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
	if (event->new_tuple != NULL)
		ExecStoreHeapTuple(event->new_tuple, slot, false);

	AfterTriggerBeginQuery();
	if (event->command == CMD_INSERT)
		ExecARInsertTriggers(estate, rri, slot, NIL, NULL);
	else if (event->command == CMD_UPDATE)
		ExecARUpdateTriggers(estate, rri, NULL, NULL, NULL, event->old_tuple, slot, NIL, NULL,
							 false);
	else
		ExecARDeleteTriggers(estate, rri, NULL, event->old_tuple, NULL, false);
	AfterTriggerEndQuery(estate);

	ExecDropSingleTupleTableSlot(slot);
	MemoryContextSwitchTo(old_context);
	ExecResetTupleTable(estate->es_tupleTable, false);
	FreeExecutorState(estate);
	table_close(rel, NoLock);
}

/* Fire what is not to be deferred, or all; also what comes meanwhile. */
static void
fire_events(bool all)
{
	bool		has_fired;

	do
	{
		int			i;

		has_fired = false;
		note_events(all);
		/* a subtransaction of a trigger may shorten the list again */
		for (i = 0; i < list_length(events); i++)
		{
			DeferredEvent *event = list_nth(events, i);

			if (!is_to_fire(event, all))
				continue;
			event->fired_subid = GetCurrentSubTransactionId();
			has_fired = true;
			fire_event(event);
			CommandCounterIncrement();
		}
		CzKeyLooksForget(CzStatementDepth());
	} while (has_fired);
}

/* ---- what core calls ------------------------------------------------------ */

/* The function of a trigger for which defer_trigger() was called; can it be deferred? */
static Oid
function_of(const TriggerData *data, bool *is_deferrable)
{
	Relation	rel = table_open(RelationGetRelid(data->tg_relation), NoLock);
	const Trigger *trigger = find_trigger(rel, data->tg_trigger->tgoid);
	Oid			result;

	if (trigger == NULL)
		elog(ERROR, "could not find trigger %u", data->tg_trigger->tgoid);
	result = trigger->tgfoid;
	*is_deferrable = trigger->tgdeferrable;
	table_close(rel, NoLock);
	return result;
}

/* Does an UPDATE leave what a row refers to? */
static bool
refers_to_same(const TriggerData *data)
{
	AttrNumber	columns[INDEX_MAX_KEYS];
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	int			ncolumns = referring_columns(data->tg_trigger->tgconstraint, columns, NULL);
	bool		result = true;
	int			i;

	for (i = 0; i < ncolumns && result; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, columns[i] - 1);
		bool		old_null;
		bool		new_null;
		Datum		old_value = slot_getattr(data->tg_trigslot, columns[i], &old_null);
		Datum		new_value = slot_getattr(data->tg_newslot, columns[i], &new_null);

		result = old_null == new_null &&
			(old_null || datum_image_eq(old_value, new_value, att->attbyval, att->attlen));
	}
	return result;
}

/*
 * Core does not call those of foreign keys for an UPDATE that leaves what is referred to.  It
 * does not queue them, but has counted the row that it keeps for them by then.
 */
static bool
is_needless(const TriggerData *data, Oid function)
{
	switch (RI_FKey_trigger_type(function))
	{
		case RI_TRIGGER_PK:
			return !RI_FKey_pk_upd_check_required(data->tg_trigger, data->tg_relation,
												  data->tg_trigslot,
												  TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
												  data->tg_newslot : NULL);
		case RI_TRIGGER_FK:
			return TRIGGER_FIRED_BY_UPDATE(data->tg_event) && refers_to_same(data);
		default:
			return false;
	}
}

/* Call the function of a trigger now, in place of defer_trigger(). */
static Datum
call_trigger(const TriggerData *data, Oid function_oid)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	function;
	TriggerData own = *data;
	Trigger		own_trigger = *data->tg_trigger;
	PgStat_FunctionCallUsage usage;
	Datum		result;

	own_trigger.tgfoid = function_oid;
	own_trigger.tgdeferrable = true;
	own.tg_trigger = &own_trigger;
	fmgr_info(own_trigger.tgfoid, &function);
	InitFunctionCallInfoData(*fcinfo, &function, 0, InvalidOid, (Node *) &own, NULL);
	pgstat_init_function_usage(fcinfo, &usage);
	result = FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);
	if (fcinfo->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger function %u returned null value", own_trigger.tgfoid)));
	return result;
}

/*
 * Need a trigger not be called, as rows of many have been looked for at once?  A row that does
 * not have what it refers to may have gone by now, as core would see.
 */
static bool
is_spared(const TriggerData *data, Oid function)
{
	switch (CzKeyLookRow(data->tg_trigger->tgconstraint, function,
						 TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newslot :
						 data->tg_trigslot))
	{
		case CZ_KEY_PASSES:
			return true;
		case CZ_KEY_HAS_TO_ACT:
			return RI_FKey_trigger_type(function) == RI_TRIGGER_FK &&
				!still_refers(data->tg_relation, data->tg_trigger,
							  TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple :
							  data->tg_trigtuple);
		default:
			return false;
	}
}

/*
 * defer_trigger
 *		Stands for the function of a deferrable trigger of a distributed table.
 *
 * Errors:  39P01 if it is not called for one; those of the trigger's function.
 */
Datum
defer_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	MemoryContext old_context;
	DeferredEvent *event;
	bool		is_deferrable;
	Oid			function;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!TRIGGER_FIRED_AFTER(data->tg_event) || !OidIsValid(data->tg_trigger->tgconstraint))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"cz.defer_trigger\" must stand for that of a constraint trigger")));
	function = function_of(data, &is_deferrable);
	if (is_needless(data, function))
		PG_RETURN_POINTER(NULL);
	/* what a key does, but a check, is never put off */
	if (!is_deferrable ||
		!CzConstraintIsDeferred(data->tg_trigger->tgconstraint,
								data->tg_trigger->tginitdeferred))
	{
		if (is_spared(data, function))
			PG_RETURN_POINTER(NULL);
		PG_RETURN_DATUM(call_trigger(data, function));
	}

	watch_transaction();
	old_context = MemoryContextSwitchTo(TopTransactionContext);
	event = palloc0(sizeof(DeferredEvent));
	event->relid = RelationGetRelid(data->tg_relation);
	event->trigger_oid = data->tg_trigger->tgoid;
	event->constraint_oid = data->tg_trigger->tgconstraint;
	event->is_initially_deferred = data->tg_trigger->tginitdeferred;
	event->subid = GetCurrentSubTransactionId();
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		event->command = CMD_INSERT;
		event->new_tuple = heap_copytuple(data->tg_trigtuple);
	}
	else
	{
		event->command = CMD_DELETE;
		event->old_tuple = heap_copytuple(data->tg_trigtuple);
	}
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		event->command = CMD_UPDATE;
		event->new_tuple = heap_copytuple(data->tg_newtuple);
		event->updated = bms_copy(data->tg_updatedcols);
	}
	events = lappend(events, event);
	MemoryContextSwitchTo(old_context);
	PG_RETURN_POINTER(NULL);
}

/*
 * The triggers of constraints go from a copy of a distributed table's, where workers check
 * them, and do what keys do.
 */
static void
drop_others_triggers(TriggerDesc *desc)
{
	int			n = 0;
	int			i;

	for (i = 0; i < desc->numtriggers; i++)
	{
		if (CzTriggerFiresHere(&desc->triggers[i]))
			desc->triggers[n++] = desc->triggers[i];
	}
	if (n == desc->numtriggers)
		return;
	desc->numtriggers = n;
	desc->trig_insert_after_row = desc->trig_update_after_row =
		desc->trig_delete_after_row = false;
	for (i = 0; i < n; i++)
	{
		int16		type = desc->triggers[i].tgtype;

		if (!TRIGGER_FOR_AFTER(type) || !TRIGGER_FOR_ROW(type))
			continue;
		desc->trig_insert_after_row |= TRIGGER_FOR_INSERT(type) != 0;
		desc->trig_update_after_row |= TRIGGER_FOR_UPDATE(type) != 0;
		desc->trig_delete_after_row |= TRIGGER_FOR_DELETE(type) != 0;
	}
}

/*
 * CzDeferTriggers
 *		See triggers.h.
 */
void
CzDeferTriggers(TriggerDesc *desc)
{
	Oid			function = InvalidOid;
	int			i;

	if (desc != NULL)
		drop_others_triggers(desc);
	for (i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		Trigger    *trigger = &desc->triggers[i];

		/* none of foreign keys is left to core, see is_needless() */
		if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_NONE && !trigger->tgdeferrable)
			continue;
		if (!OidIsValid(function))
			function = LookupFuncName(list_make2(makeString("cz"),
												 makeString("defer_trigger")),
									  0, NULL, false);
		trigger->tgfoid = function;
		trigger->tgdeferrable = false;
	}
}

/* ---- SET CONSTRAINTS ------------------------------------------------------ */

/* Note the constraints of one name in a schema; false: there is none. */
static bool
set_in_schema(Oid namespace_oid, const char *name, bool deferred)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	ScanKeyInit(&keys[1], Anum_pg_constraint_connamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(namespace_oid));
	scan = systable_beginscan(catalog, ConstraintNameNspIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CzConstraintSet(((Form_pg_constraint) GETSTRUCT(tuple))->oid, deferred);
		found = true;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/*
 * CzDeferredSet
 *		See cz/executor.h.
 */
void
CzDeferredSet(ConstraintsSetStmt *stmt)
{
	ListCell   *lc;

	/* what waits was written before */
	CzTxnFlushPending();
	watch_transaction();
	if (stmt->constraints == NIL)
		CzConstraintSet(InvalidOid, stmt->deferred);
	foreach(lc, stmt->constraints)
	{
		RangeVar   *name = lfirst(lc);
		ListCell   *ln;

		if (name->schemaname != NULL)
		{
			(void) set_in_schema(LookupExplicitNamespace(name->schemaname, false),
								 name->relname, stmt->deferred);
			continue;
		}
		foreach(ln, fetch_search_path(true))
		{
			if (set_in_schema(lfirst_oid(ln), name->relname, stmt->deferred))
				break;
		}
	}
	if (!stmt->deferred)
		CzTxnTellConstraints();
	if (!stmt->deferred && has_pending())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		fire_events(false);
		PopActiveSnapshot();
	}
}

/* ---- DDL ------------------------------------------------------------------ */

/*
 * CzDeferredCheck
 *		See cz/executor.h.
 */
void
CzDeferredCheck(Oid relid, const char *command)
{
	ListCell   *lc;

	foreach(lc, events)
	{
		const DeferredEvent *event = lfirst(lc);

		if (event->relid == relid && event->fired_subid == InvalidSubTransactionId)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("cannot %s \"%s\" because it has pending trigger events",
							command, get_rel_name(relid))));
	}
}
