/*-------------------------------------------------------------------------
 *
 * triggers.c
 *	  The triggers of a distributed table, fired as those of the user's table.
 *
 * All of it is core's own: WHEN, UPDATE OF, TG_ variables, order, the queue of
 * AFTER triggers and transition tables.  Core only has to be shown a relation that
 * is the user's table (name, OID, columns, triggers) and whose rows it does not
 * look for in a heap: a copy of the parent's relcache entry that says it were a
 * foreign table.  Row triggers of a foreign table are given their rows, and those of
 * AFTER triggers wait in a tuplestore.
 *
 * The copy has no FDW: core takes a foreign table with one for a partition where it
 * collects transition tables, and refuses.
 *
 * Nothing here knows of workers or shards.  What is deferred does not go to core's
 * queue (deferred.c): at commit core would open the partitioned parent itself.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/memutils.h"
#include "utils/reltrigger.h"

#include "cz/compat.h"
#include "cz/fragment.h"
#include "cz/metadata.h"
#include "cz/transaction.h"
#include "triggers.h"

struct CzTriggers
{
	EState	   *estate;
	ResultRelInfo *rri;
	int			actions;		/* CZ_ACTION: what the statement may do */
	bool		has_keys;		/* some are of foreign keys */
	CzKeyLooks *key_looks;		/* of the table itself; or NULL */
	TransitionCaptureState *capture;	/* NULL: no transition tables */
	CzRoutes   *routes;			/* NULL: row triggers are those of the table itself */
};

/* A row that a trigger is given is there, as far as is known here. */
static bool
is_there(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	return true;
}

/* As table_slot_callbacks() has it for a foreign table. */
static const TupleTableSlotOps *
slots_of(Relation rel)
{
	return &TTSOpsHeapTuple;
}

static const TableAmRoutine access_method = {
	.type = T_TableAmRoutine,
	.slot_callbacks = slots_of,
	.tuple_satisfies_snapshot = is_there
};

/*
 * CzForeignCopy
 *		See triggers.h.
 */
Relation
CzForeignCopy(Relation rel)
{
	Relation	copy = palloc(sizeof(RelationData));

	memcpy(copy, rel, sizeof(RelationData));
	copy->rd_rel = palloc(CLASS_TUPLE_SIZE);
	memcpy(copy->rd_rel, rel->rd_rel, CLASS_TUPLE_SIZE);
	copy->rd_rel->relkind = RELKIND_FOREIGN_TABLE;
	/* of which core asks only whether a row that it has queued is still there */
	copy->rd_tableam = &access_method;
	/* nor is there an index: else core would open it, and keep lists of them in the copy
	 * in place of those that the relcache owns */
	copy->rd_rel->relhasindex = false;
	copy->rd_indexlist = NIL;
	copy->rd_indexvalid = false;
	relation_forget_index_attrs_compat(copy);
	/* the relcache may free its own one */
	copy->trigdesc = CopyTriggerDesc(rel->trigdesc);
	return copy;
}

/*
 * CzTargetInit
 *		See triggers.h.
 *
 * The entry made for rti = 0 is one that core reaches by its number only: what loops
 * over the range table ends where the statement's own one does, which is what
 * es_range_table_size and es_relations are made for.
 */
ResultRelInfo *
CzTargetInit(EState *estate, Relation parent, Bitmapset *assigned, Index rti)
{
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	ResultRelInfo *rri = makeNode(ResultRelInfo);

	if (rti == 0)
	{
		RangeTblEntry *rte = makeNode(RangeTblEntry);

		rte->rtekind = RTE_RELATION;
		rte->relid = RelationGetRelid(parent);
		rte->relkind = RELKIND_FOREIGN_TABLE;
		rte->rellockmode = RowExclusiveLock;
		estate->es_range_table = lappend(list_copy(estate->es_range_table), rte);
		rti = list_length(estate->es_range_table);
		estate_set_updated_columns_compat(estate, rte, bms_copy(assigned));
	}
	InitResultRelInfo(rri, parent, rti, NULL, estate->es_instrument);
	rri->ri_RelationDesc = CzForeignCopy(parent);
	CzDeferTriggers(rri->ri_TrigDesc);
	MemoryContextSwitchTo(old_context);
	return rri;
}

bool		cz_triggers_are_suspended = false;

static bool
is_of_action(const Trigger *trigger, int actions)
{
	return ((actions & CZ_ACTION(CMD_INSERT)) && TRIGGER_FOR_INSERT(trigger->tgtype)) ||
		((actions & CZ_ACTION(CMD_UPDATE)) && TRIGGER_FOR_UPDATE(trigger->tgtype)) ||
		((actions & CZ_ACTION(CMD_DELETE)) && TRIGGER_FOR_DELETE(trigger->tgtype));
}

/*
 * CzTriggersExist
 *		See triggers.h.  session_replication_role is core's to look at, when it fires.
 */
bool
CzTriggersExist(Relation rel, int actions)
{
	/* an invalidation, which any look into a catalog may bring, frees the relation's own */
	TriggerDesc *desc = CopyTriggerDesc(rel->trigdesc);
	int			i;

	/* an UPDATE may be an INSERT and a DELETE */
	if (!cz_triggers_are_suspended && CzRowTriggers(rel) != 0)
		return true;
	for (i = 0; desc != NULL && !cz_triggers_are_suspended && i < desc->numtriggers; i++)
	{
		if (desc->triggers[i].tgenabled != TRIGGER_DISABLED &&
			is_of_action(&desc->triggers[i], actions) &&
			CzTriggerFiresHere(&desc->triggers[i]))
			return true;
	}
	return false;
}

/* Are there triggers of foreign keys that fire? */
static bool
acts_for_keys(Relation rel)
{
	TriggerDesc *desc = CopyTriggerDesc(rel->trigdesc);
	bool		result = false;
	int			i;

	if (CzRowTriggers(rel) & CZ_KEY_TRIGGERS)
		return true;
	for (i = 0; desc != NULL && i < desc->numtriggers && !result; i++)
		result = CzKeyTriggerFiresHere(&desc->triggers[i]);
	return result;
}

/*
 * CzTriggersBegin
 *		See triggers.h.
 */
CzTriggers *
CzTriggersBegin(EState *estate, Relation parent, CmdType command, int actions,
				Bitmapset *assigned, Index rti)
{
	MemoryContext old_context;
	CzTriggers *triggers;

	Assert((estate->es_top_eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0);
	if (command != CMD_MERGE)
		actions = CZ_ACTION(command);
	if (!CzTriggersExist(parent, actions))
		return NULL;

	old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	triggers = palloc0(sizeof(CzTriggers));
	triggers->estate = estate;
	triggers->actions = actions;
	triggers->rri = CzTargetInit(estate, parent, assigned, rti);
	/* there AFTER triggers look for it */
	estate->es_opened_result_relations =
		lappend(estate->es_opened_result_relations, triggers->rri);
	triggers->has_keys = acts_for_keys(parent);
	CzTriggersOfPart(estate, parent);
	triggers->capture = MakeTransitionCaptureState(triggers->rri->ri_TrigDesc,
												   RelationGetRelid(parent), command);
	triggers->routes = CzRoutesBegin(estate, parent, triggers->rri);
	if (triggers->has_keys && triggers->routes == NULL)
		triggers->key_looks = CzKeyLooksMake(parent, false);
	MemoryContextSwitchTo(old_context);
	return triggers;
}

/*
 * CzTriggersEnd
 *		See triggers.h.
 */
void
CzTriggersEnd(CzTriggers *triggers)
{
	if (triggers != NULL)
		CzRoutesEnd(triggers->routes);
}

/*
 * CzTriggersBeforeStatement
 *		See triggers.h.
 */
void
CzTriggersBeforeStatement(CzTriggers *triggers)
{
	if (triggers == NULL)
		return;
	/* workers do not look for rows that refer before these have been seen to */
	if (triggers->has_keys)
		CzBracketOpen(RelationGetRelid(triggers->rri->ri_RelationDesc));
	/* in the order of core's fireBSTriggers() */
	if (triggers->actions & CZ_ACTION(CMD_INSERT))
		ExecBSInsertTriggers(triggers->estate, triggers->rri);
	if (triggers->actions & CZ_ACTION(CMD_UPDATE))
		ExecBSUpdateTriggers(triggers->estate, triggers->rri);
	if (triggers->actions & CZ_ACTION(CMD_DELETE))
		ExecBSDeleteTriggers(triggers->estate, triggers->rri);
}

/*
 * CzTriggersHasBeforeRow
 *		See triggers.h.
 */
bool
CzTriggersHasBeforeRow(CzTriggers *triggers, CmdType command)
{
	TriggerDesc *desc = triggers ? triggers->rri->ri_TrigDesc : NULL;

	if (triggers != NULL && triggers->routes != NULL)
		return CzRoutesHave(triggers->routes, command, true);
	return desc != NULL && (command == CMD_INSERT ? desc->trig_insert_before_row :
							command == CMD_UPDATE ? desc->trig_update_before_row :
							desc->trig_delete_before_row);
}

/*
 * CzTriggersHasAfterRow
 *		See triggers.h.
 */
bool
CzTriggersHasAfterRow(CzTriggers *triggers, CmdType command)
{
	TriggerDesc *desc;
	TransitionCaptureState *capture;

	if (triggers == NULL)
		return false;
	desc = triggers->rri->ri_TrigDesc;
	capture = triggers->capture;
	if (triggers->routes != NULL && CzRoutesHave(triggers->routes, command, false))
		return true;
	if (desc == NULL)
		return false;
	if (command == CMD_INSERT)
		return desc->trig_insert_after_row ||
			(capture != NULL && capture->tcs_insert_new_table);
	if (command == CMD_UPDATE)
		return desc->trig_update_after_row ||
			(capture != NULL &&
			 (capture->tcs_update_old_table || capture->tcs_update_new_table));
	return desc->trig_delete_after_row ||
		(capture != NULL && capture->tcs_delete_old_table);
}

/*
 * CzTriggersBeforeRow
 *		See triggers.h.
 */
bool
CzTriggersBeforeRow(CzTriggers *triggers, CmdType command, HeapTuple old_tuple,
					TupleTableSlot *new_slot)
{
	TM_FailureData failure;
	bool		result;

	if (!CzTriggersHasBeforeRow(triggers, command))
		return true;
	if (triggers->routes != NULL)
		return CzRoutesBeforeRow(triggers->routes, command, old_tuple, new_slot);
	ResetPerTupleExprContext(triggers->estate);
	if (command == CMD_INSERT)
		result = ExecBRInsertTriggers(triggers->estate, triggers->rri, new_slot);
	else if (command == CMD_UPDATE)
		result = exec_br_update_triggers_compat(triggers->estate, triggers->rri,
												old_tuple, new_slot, &failure);
	else
		result = exec_br_delete_triggers_compat(triggers->estate, triggers->rri,
												old_tuple);
	/* what a trigger returned is in a context that the next row resets */
	if (result && new_slot != NULL)
		ExecMaterializeSlot(new_slot);
	return result;
}

/*
 * CzTriggersAfterRow
 *		See triggers.h.
 */
void
CzTriggersAfterRow(CzTriggers *triggers, CmdType command, HeapTuple old_tuple,
				   TupleTableSlot *new_slot)
{
	if (!CzTriggersHasAfterRow(triggers, command))
		return;
	if (triggers->routes != NULL)
	{
		CzRoutesAfterRow(triggers->routes, command, old_tuple, new_slot, triggers->capture);
		return;
	}
	CzKeyLooksNote(triggers->key_looks, triggers->rri->ri_RelationDesc, command, old_tuple,
				   new_slot);
	ResetPerTupleExprContext(triggers->estate);
	if (command == CMD_INSERT)
		ExecARInsertTriggers(triggers->estate, triggers->rri, new_slot, NIL,
							 triggers->capture);
	else if (command == CMD_UPDATE)
		ExecARUpdateTriggers(triggers->estate, triggers->rri, NULL, NULL, NULL, old_tuple,
							 new_slot, NIL, triggers->capture, false);
	else
		ExecARDeleteTriggers(triggers->estate, triggers->rri, NULL, old_tuple,
							 triggers->capture, false);
}

/*
 * CzTriggersAfterStatement
 *		See triggers.h.
 */
void
CzTriggersAfterStatement(CzTriggers *triggers)
{
	if (triggers == NULL)
		return;
	/* in the order of core's fireASTriggers() */
	if (triggers->actions & CZ_ACTION(CMD_DELETE))
		ExecASDeleteTriggers(triggers->estate, triggers->rri, triggers->capture);
	if (triggers->actions & CZ_ACTION(CMD_UPDATE))
		ExecASUpdateTriggers(triggers->estate, triggers->rri, triggers->capture);
	if (triggers->actions & CZ_ACTION(CMD_INSERT))
		ExecASInsertTriggers(triggers->estate, triggers->rri, triggers->capture);
}
