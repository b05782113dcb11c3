/*-------------------------------------------------------------------------
 *
 * key_moves.c
 *	  Foreign keys to rows that go to another shard.
 *
 * For the workers such a row is deleted in one shard and inserted into another, so that they
 * would do what a key does ON DELETE, and nothing of what it does ON UPDATE.  So the rows are
 * inserted first, then this does what the keys do ON UPDATE, by core's triggers for it, and
 * looks whether rows that refer to the old ones are left; then the old ones are deleted,
 * to which nothing refers any more.  They are locked, so that none comes meanwhile.
 *
 * Keys for which the workers do nothing need none of that: when the statement ends workers
 * check what is left, and triggers that fire here fire as others do.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/transaction.h"
#include "executor_int.h"
#include "rows.h"

/* What a worker does for a key. */
typedef struct KeyActions
{
	bool		on_delete;		/* it changes rows, or deletes them */
	bool		on_update;
	bool		may_wait;		/* ON UPDATE is a check that can be deferred */
} KeyActions;

/* Of the key of a trigger on the referenced table. */
static KeyActions
actions_of(const TriggerDesc *desc, const Trigger *trigger)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(trigger->tgconstraint));
	KeyActions	actions = {false, false, false};
	Form_pg_constraint con;
	int			i;

	if (!HeapTupleIsValid(tuple))
		return actions;
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	actions.on_delete = CzKeyActionChangesRows(con->confdeltype);
	actions.on_update = CzKeyActionChangesRows(con->confupdtype);
	actions.may_wait = con->condeferrable && con->confupdtype == FKCONSTR_ACTION_NOACTION;
	ReleaseSysCache(tuple);
	for (i = 0; i < desc->numtriggers; i++)
	{
		const Trigger *other = &desc->triggers[i];

		if (other->tgconstraint != trigger->tgconstraint || !CzKeyTriggerFiresHere(other))
			continue;
		if (TRIGGER_FOR_DELETE(other->tgtype))
			actions.on_delete = false;
		else
			actions.on_update = false;
	}
	return actions;
}

static bool
is_for_update(const Trigger *trigger)
{
	return RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
		TRIGGER_FOR_UPDATE(trigger->tgtype);
}

/*
 * CzKeyMovesNeeded
 *		See rows.h.
 */
bool
CzKeyMovesNeeded(Relation rel, const CzTable *table)
{
	/* an invalidation, which any look into a catalog may bring, frees the relation's own */
	TriggerDesc *desc = CopyTriggerDesc(rel->trigdesc);
	bool		result = false;
	int			i;

	for (i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];
		KeyActions	actions;

		if (!is_for_update(trigger))
			continue;
		actions = actions_of(desc, trigger);
		if (!actions.on_delete && !actions.on_update)
			continue;
		if (actions.may_wait || OidIsValid(table->map_relid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot move a row of table \"%s\" to another shard",
							RelationGetRelationName(rel)),
					 errdetail("Rows that refer to it by foreign key \"%s\" of table \"%s\" would have to follow.",
							   get_constraint_name(trigger->tgconstraint),
							   get_rel_name(trigger->tgconstrrelid)),
					 errhint("Insert a row with the new value of \"%s\", change the rows that refer to the old one, and delete that.",
							 get_attname(RelationGetRelid(rel), table->key_attno, false))));
		result = true;
	}
	return result;
}

/*
 * What is to fire: for each key its own trigger ON UPDATE, then one that raises if a row
 * refers to the old one, whatever others there are.
 */
static TriggerDesc *
triggers_of_moves(Relation rel)
{
	const TriggerDesc *all = CopyTriggerDesc(rel->trigdesc);
	TriggerDesc desc;
	int			i;

	memset(&desc, 0, sizeof(desc));
	desc.triggers = palloc0(sizeof(Trigger) * 2 * all->numtriggers);
	desc.trig_update_after_row = true;
	for (i = 0; i < all->numtriggers; i++)
	{
		const Trigger *trigger = &all->triggers[i];
		KeyActions	actions;
		int			first = desc.numtriggers;
		int			k;

		if (!is_for_update(trigger))
			continue;
		actions = actions_of(all, trigger);
		if (!actions.on_delete && !actions.on_update)
			continue;
		if (trigger->tgfoid != F_RI_FKEY_NOACTION_UPD &&
			trigger->tgfoid != F_RI_FKEY_RESTRICT_UPD)
			desc.triggers[desc.numtriggers++] = *trigger;
		desc.triggers[desc.numtriggers] = *trigger;
		desc.triggers[desc.numtriggers++].tgfoid = F_RI_FKEY_RESTRICT_UPD;
		for (k = first; k < desc.numtriggers; k++)
			desc.triggers[k].tgdeferrable = desc.triggers[k].tginitdeferred = false;
	}
	return CopyTriggerDesc(&desc);
}

/* Call the function of a trigger for an UPDATE. */
static void
call_trigger(Relation rel, Trigger *trigger, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	function;
	TriggerData data;
	bool		free_old;
	bool		free_new;

	if (!RI_FKey_pk_upd_check_required(trigger, rel, old_slot, new_slot))
		return;
	memset(&data, 0, sizeof(data));
	data.type = T_TriggerData;
	data.tg_event = TRIGGER_EVENT_UPDATE | TRIGGER_EVENT_ROW | TRIGGER_EVENT_AFTER;
	data.tg_relation = rel;
	data.tg_trigtuple = ExecFetchSlotHeapTuple(old_slot, true, &free_old);
	data.tg_newtuple = ExecFetchSlotHeapTuple(new_slot, true, &free_new);
	data.tg_trigslot = old_slot;
	data.tg_newslot = new_slot;
	data.tg_trigger = trigger;
	fmgr_info(trigger->tgfoid, &function);
	InitFunctionCallInfoData(*fcinfo, &function, 0, InvalidOid, (Node *) &data, NULL);
	(void) FunctionCallInvoke(fcinfo);
}

/* Call the triggers of keys for all rows of a set that move. */
static void
call_triggers(CzRowChangeSet *set, TriggerDesc *triggers)
{
	TupleDesc	desc = RelationGetDescr(set->rel);
	TupleTableSlot *new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	TupleTableSlot *old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	CzRowChange change;
	int			i;

	CzRowChangeSetRewind(set);
	while (CzRowChangeSetNext(set, &change))
	{
		MemoryContext old_context;

		CHECK_FOR_INTERRUPTS();
		if (change.action != CZ_ROW_MOVE)
			continue;
		old_context = MemoryContextSwitchTo(set->row_context);
		CzRowChangeSetRows(set, new_slot, old_slot);
		for (i = 0; i < triggers->numtriggers; i++)
			call_trigger(set->rel, &triggers->triggers[i], old_slot, new_slot);
		MemoryContextSwitchTo(old_context);
		ExecClearTuple(new_slot);
		ExecClearTuple(old_slot);
		MemoryContextReset(set->row_context);
	}
	ExecDropSingleTupleTableSlot(new_slot);
	ExecDropSingleTupleTableSlot(old_slot);
}

static void
fire(void *arg)
{
	CzRowChangeSet *set = arg;

	call_triggers(set, triggers_of_moves(set->rel));
}

/*
 * CzKeyMovesFire
 *		See rows.h.
 */
void
CzKeyMovesFire(CzRowChangeSet *set)
{
	CommandCounterIncrement();
	CzTriggersRunQuery(fire, set);
}
