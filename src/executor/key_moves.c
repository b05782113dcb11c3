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
#include "access/relation.h"
#include "access/table.h"
#include "access/tupconvert.h"
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
#include "triggers.h"

/* What a worker does for a key. */
typedef struct KeyActions
{
	bool		on_delete;		/* it changes rows, or deletes them */
	bool		on_update;
	bool		may_wait;		/* ON UPDATE is a check that is deferred now */
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
	actions.may_wait = con->condeferrable && con->confupdtype == FKCONSTR_ACTION_NOACTION &&
		CzConstraintIsDeferred(con->oid, con->condeferred);
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

pg_noreturn static void refuse(Relation rel, const CzTable *table, const Trigger *trigger);

static void
refuse(Relation rel, const CzTable *table, const Trigger *trigger)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot move a row of table \"%s\" to another shard",
					RelationGetRelationName(rel)),
			 errdetail("Rows that refer to it by foreign key \"%s\" of table \"%s\" would have to follow.",
					   get_constraint_name(trigger->tgconstraint),
					   get_rel_name(trigger->tgconstrrelid)),
			 errhint("Insert a row with the new value of \"%s\", change the rows that refer to the old one, and delete that.",
					 get_attname(table->relid, table->key_attno, false))));
}

/*
 * Do workers do anything for keys to a relation?  Not for those that a partition has from the
 * table above, if only_own.
 */
static bool
is_needed_for(Relation rel, const CzTable *table, bool only_own)
{
	/* an invalidation, which any look into a catalog may bring, frees the relation's own */
	TriggerDesc *desc = CopyTriggerDesc(rel->trigdesc);
	bool		result = false;
	int			i;

	for (i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];
		KeyActions	actions;

		if (!is_for_update(trigger) || (only_own && trigger->tgisclone))
			continue;
		actions = actions_of(desc, trigger);
		if (!actions.on_delete && !actions.on_update)
			continue;
		if (actions.may_wait)
			refuse(rel, table, trigger);
		result = true;
	}
	return result;
}

/*
 * CzKeyMovesNeeded
 *		See rows.h.
 */
bool
CzKeyMovesNeeded(Relation rel, const CzTable *table)
{
	bool		result = is_needed_for(rel, table, false);
	ListCell   *lc;

	foreach(lc, table->is_partitioned ? table->key_parts : NIL)
	{
		Relation	part = relation_open(lfirst_oid(lc), AccessShareLock);

		result |= is_needed_for(part, table, true);
		relation_close(part, NoLock);
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
	if (all == NULL)
		return NULL;
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

/* A relation whose triggers are called: the table, or a partition that rows stay in. */
typedef struct MovePart
{
	Oid			relid;
	Relation	rel;
	TriggerDesc *triggers;
	TupleConversionMap *map;	/* from the table's rows; NULL: the columns have the same numbers */
	TupleTableSlot *new_slot;
	TupleTableSlot *old_slot;
} MovePart;

/* Rows of a set that move. */
typedef struct Moves
{
	Relation	rel;
	CzPartitionFinder *finder;	/* NULL: the table is not partitioned */
	List	   *parts;			/* MovePart *, the first one is the table */
} Moves;

static MovePart *
add_part(Moves *moves, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	MovePart   *part = palloc(sizeof(MovePart));

	part->relid = RelationGetRelid(rel);
	part->rel = rel;
	part->triggers = triggers_of_moves(rel);
	part->map = rel == moves->rel ? NULL :
		convert_tuples_by_name(RelationGetDescr(moves->rel), desc);
	part->new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	part->old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	moves->parts = lappend(moves->parts, part);
	return part;
}

/*
 * Whose triggers are to be called for a row.  For keys to the whole one that comes to another
 * partition is updated; for a key to that partition alone it is deleted, which workers see.
 */
static MovePart *
part_of(Moves *moves, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	MovePart   *whole = linitial(moves->parts);
	MemoryContext old_context;
	MovePart   *part;
	Oid			relid;
	ListCell   *lc;

	if (moves->finder == NULL)
		return whole;
	relid = CzPartitionFind(moves->finder, old_slot);
	if (!OidIsValid(relid) || relid != CzPartitionFind(moves->finder, new_slot))
	{
		if (OidIsValid(relid))
			CzRoutesCheckBetween(moves->rel, relid, false);
		return whole;
	}
	foreach(lc, moves->parts)
	{
		if (((MovePart *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	}
	old_context = MemoryContextSwitchTo(GetMemoryChunkContext(whole));
	part = add_part(moves, table_open(relid, RowExclusiveLock));
	MemoryContextSwitchTo(old_context);
	return part;
}

/* A row of the table as the part's. */
static TupleTableSlot *
as_of_part(const MovePart *part, TupleTableSlot *slot, TupleTableSlot *part_slot)
{
	if (part->map != NULL)
		return execute_attr_map_slot(part->map->attrMap, slot, part_slot);
	return slot;
}

/* Call the triggers of keys for all rows of a set that move. */
static void
call_triggers(CzRowChangeSet *set, Moves *moves)
{
	const MovePart *whole = linitial(moves->parts);
	CzRowChange change;
	int			i;

	CzRowChangeSetRewind(set);
	while (CzRowChangeSetNext(set, &change))
	{
		MemoryContext old_context;
		MovePart   *part;

		CHECK_FOR_INTERRUPTS();
		if (change.action != CZ_ROW_MOVE)
			continue;
		old_context = MemoryContextSwitchTo(set->row_context);
		CzRowChangeSetRows(set, whole->new_slot, whole->old_slot);
		part = part_of(moves, whole->old_slot, whole->new_slot);
		for (i = 0; part->triggers != NULL && i < part->triggers->numtriggers; i++)
			call_trigger(part->rel, &part->triggers->triggers[i],
						 as_of_part(part, whole->old_slot, part->old_slot),
						 as_of_part(part, whole->new_slot, part->new_slot));
		MemoryContextSwitchTo(old_context);
		ExecClearTuple(whole->new_slot);
		ExecClearTuple(whole->old_slot);
		ExecClearTuple(part->new_slot);
		ExecClearTuple(part->old_slot);
		MemoryContextReset(set->row_context);
	}
}

static void
fire(void *arg)
{
	CzRowChangeSet *set = arg;
	Moves		moves = {set->rel, NULL, NIL};
	ListCell   *lc;

	if (set->table->is_partitioned)
		moves.finder = CzPartitionFinderMake(RelationGetRelid(set->rel));
	(void) add_part(&moves, set->rel);
	call_triggers(set, &moves);
	foreach(lc, moves.parts)
	{
		MovePart   *part = lfirst(lc);

		ExecDropSingleTupleTableSlot(part->new_slot);
		ExecDropSingleTupleTableSlot(part->old_slot);
		if (part->rel != set->rel)
			table_close(part->rel, NoLock);
	}
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
