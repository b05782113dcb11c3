/*-------------------------------------------------------------------------
 *
 * rows_changes.c
 *	  What becomes of the rows of a statement, kept until it is applied.
 *
 * A change is stored as a tuple: action, shard, table, id, the new row's shard; behind these the
 * columns of the new row (of the old one in a DELETE), and those of the old row that
 * are wanted when it is applied: a key, or with AFTER triggers all.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cz/metadata.h"
#include "cz/transaction.h"
#include "executor_int.h"
#include "own_rows.h"
#include "rows.h"

/* Columns before the new row. */
enum
{
	CHANGE_ACTION,				/* int4 */
	CHANGE_SHARD,				/* int4, -1: none */
	CHANGE_TABLE,				/* oid */
	CHANGE_ID,					/* tid */
	CHANGE_NEW_SHARD,			/* int4, -1: none */
	CHANGE_FIRST
};

/* A node that runs when the plan has ended, and applies the sets of its statement. */
typedef struct ApplyState
{
	PlanState	ps;				/* first */
	List	   *sets;			/* CzRowChangeSet */
} ApplyState;

/*
 * The set to be applied next.  What foreign keys do about rows of one table must not meet
 * rows of another one that the statement changes itself: so tables that refer to others
 * come first.
 */
static CzRowChangeSet *
next_set(List *sets)
{
	ListCell   *lc;
	ListCell   *lo;

	foreach(lc, sets)
	{
		CzRowChangeSet *set = lfirst(lc);
		List	   *children;
		bool		has_child = false;

		if (list_length(sets) == 1)
			return set;
		children = NIL;
		foreach(lo, CzReferringTables(RelationGetRelid(set->rel)))
			children = lappend_oid(children, CzRootOf(lfirst_oid(lo)));
		foreach(lo, sets)
			has_child |= lfirst(lo) != set &&
				list_member_oid(children,
								CzRootOf(RelationGetRelid(((CzRowChangeSet *) lfirst(lo))->rel)));
		list_free(children);
		if (!has_child)
			return set;
	}
	/* they refer to each other */
	return linitial(sets);
}

/* Run by ExecPostprocessPlan. */
static TupleTableSlot *
apply_sets(PlanState *state)
{
	ApplyState *apply = (ApplyState *) state;

	while (apply->sets != NIL)
	{
		CzRowChangeSet *set = next_set(apply->sets);

		apply->sets = list_delete_ptr(apply->sets, set);
		CzRowChangeSetApply(set);
	}
	return NULL;
}

/* Have two tables the same shards?  A table and its partitions have. */
static bool
has_same_rows(const CzTable *table, const CzTable *other)
{
	return table->relid == other->relid || table->relid == other->root_relid ||
		table->root_relid == other->relid ||
		(OidIsValid(table->root_relid) && table->root_relid == other->root_relid);
}

/*
 * CzRowChangesApplyKnown
 *		Apply what nodes of a statement that have run want to be applied to a table: what
 *		comes into it now, before the statement's end, must meet rows as they have left them.
 *
 * Changes of other tables wait: what foreign keys do about them is done when the statement
 * ends, to rows that have come meanwhile as well.
 */
void
CzRowChangesApplyKnown(EState *estate, Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	ListCell   *lc;

	foreach(lc, estate->es_auxmodifytables)
	{
		ApplyState *apply = lfirst(lc);
		ListCell   *ls;

		if (apply->ps.ExecProcNode != apply_sets)
			continue;
		foreach(ls, apply->sets)
		{
			CzRowChangeSet *set = lfirst(ls);

			/* one without changes may still get some */
			if (set->store == NULL || (table != NULL && !has_same_rows(table, set->table)))
				continue;
			apply->sets = foreach_delete_current(apply->sets, ls);
			/* it stands in WITH, and runs to its end whoever asks for rows */
			set->limit = -1;
			CzRowChangeSetApply(set);
		}
	}
}

/* The statement's apply node. */
static ApplyState *
find_apply(EState *estate)
{
	ApplyState *apply;
	ListCell   *lc;

	foreach(lc, estate->es_auxmodifytables)
	{
		if (((PlanState *) lfirst(lc))->ExecProcNode == apply_sets)
			return lfirst(lc);
	}
	apply = (ApplyState *) newNode(sizeof(ApplyState), T_ResultState);
	apply->ps.state = estate;
	apply->ps.ExecProcNode = apply_sets;
	/* behind all nodes that write: those put themselves to the front */
	estate->es_auxmodifytables = lappend(estate->es_auxmodifytables, apply);
	return apply;
}

static HTAB *
make_names(MemoryContext context)
{
	HASHCTL		ctl;

	ctl.keysize = sizeof(CzRowName);
	ctl.entrysize = sizeof(CzRowName);
	ctl.hcxt = context;
	return hash_create("cz_fdw changed rows", 256, &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * CzRowChangeSetBegin
 *		A set of changes, empty.  To be called at the executor's start.
 *
 * assigned: columns that an UPDATE sends (ints); with BEFORE triggers all that are not
 *		generated.
 */
CzRowChangeSet *
CzRowChangeSetBegin(PlanState *parent, Relation rel, Oid user_oid, List *key, List *assigned,
					CzTriggers *triggers)
{
	EState	   *estate = parent->state;
	MemoryContext oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	CzRowChangeSet *set = palloc0(sizeof(CzRowChangeSet));
	ApplyState *apply = find_apply(estate);
	int			natts = RelationGetDescr(rel)->natts;
	ListCell   *lc;
	int			i;

	set->parent = parent;
	set->rel = rel;
	set->table = CzTableGet(RelationGetRelid(rel));
	set->user_oid = user_oid;
	set->key = key;
	set->assigned = assigned;
	set->triggers = triggers;
	set->limit = -1;
	set->context = AllocSetContextCreate(estate->es_query_cxt, "cz_fdw row changes",
										 ALLOCSET_DEFAULT_SIZES);
	set->row_context = AllocSetContextCreate(set->context, "cz_fdw row change",
											 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(set->context);
	set->first_oids = palloc0(sizeof(Oid) * Max(set->table->nshards, 1));
	set->desc = CreateTemplateTupleDesc(CHANGE_FIRST + 2 * natts);
	TupleDescInitEntry(set->desc, CHANGE_ACTION + 1, "action", INT4OID, -1, 0);
	TupleDescInitEntry(set->desc, CHANGE_SHARD + 1, "shard", INT4OID, -1, 0);
	TupleDescInitEntry(set->desc, CHANGE_TABLE + 1, "table", OIDOID, -1, 0);
	TupleDescInitEntry(set->desc, CHANGE_ID + 1, "id", TIDOID, -1, 0);
	TupleDescInitEntry(set->desc, CHANGE_NEW_SHARD + 1, "new_shard", INT4OID, -1, 0);
	for (i = 1; i <= natts; i++)
	{
		TupleDescCopyEntry(set->desc, CHANGE_FIRST + i, RelationGetDescr(rel), i);
		TupleDescCopyEntry(set->desc, CHANGE_FIRST + natts + i, RelationGetDescr(rel), i);
	}
	set->slot = MakeSingleTupleTableSlot(set->desc, &TTSOpsMinimalTuple);

	/* two sets of one table: a row is changed by the first that has it */
	foreach(lc, apply->sets)
	{
		CzRowChangeSet *other = lfirst(lc);

		if (RelationGetRelid(other->rel) != RelationGetRelid(rel))
			continue;
		if (other->names == NULL)
			other->names = make_names(estate->es_query_cxt);
		set->names = other->names;
	}
	MemoryContextSwitchTo(estate->es_query_cxt);
	apply->sets = lappend(apply->sets, set);
	MemoryContextSwitchTo(oldcontext);
	return set;
}

/*
 * CzRowChangeSetClaim
 *		Is this set the first of the statement that changes a row?
 */
bool
CzRowChangeSetClaim(CzRowChangeSet *set, const CzRowName *name)
{
	bool		found = false;

	if (set->names != NULL)
		(void) hash_search(set->names, name, HASH_ENTER, &found);
	return !found;
}

/*
 * CzRowChangeSetRelease
 *		A row that was claimed is not changed.
 */
void
CzRowChangeSetRelease(CzRowChangeSet *set, const CzRowName *name)
{
	if (set->names != NULL)
		(void) hash_search(set->names, name, HASH_REMOVE, NULL);
}

/*
 * CzRowChangeSetKeepNames, CzRowChangeSetHas
 *		From now on, know which rows were claimed.  Was one?
 */
void
CzRowChangeSetKeepNames(CzRowChangeSet *set)
{
	if (set->names == NULL)
		set->names = make_names(set->parent->state->es_query_cxt);
}

bool
CzRowChangeSetHas(CzRowChangeSet *set, const CzRowName *name)
{
	return hash_search(set->names, name, HASH_FIND, NULL) != NULL;
}

/*
 * CzRowChangeSetPut
 *		Add a change.
 *
 * new_slot, old_slot: rows of the table's shape; NULL: none.
 */
void
CzRowChangeSetPut(CzRowChangeSet *set, const CzRowChange *change, TupleTableSlot *new_slot,
				  TupleTableSlot *old_slot)
{
	int			natts = RelationGetDescr(set->rel)->natts;
	MemoryContext oldcontext;
	CzOwnRows  *own = CzOwnRowsFind(set->parent->state, RelationGetRelid(set->rel));
	CzRowName	name = change->name;
	Datum	   *values;
	bool	   *nulls;
	CmdType		command = change->action == CZ_ROW_DELETE ? CMD_DELETE :
		change->action == CZ_ROW_INSERT ? CMD_INSERT : CMD_UPDATE;
	ListCell   *lc;

	if (set->store == NULL)
	{
		oldcontext = MemoryContextSwitchTo(set->context);
		set->store = tuplestore_begin_heap(false, false, work_mem);
		tuplestore_set_eflags(set->store, EXEC_FLAG_REWIND);
		MemoryContextSwitchTo(oldcontext);
	}
	oldcontext = MemoryContextSwitchTo(set->row_context);
	values = palloc0(sizeof(Datum) * set->desc->natts);
	nulls = palloc(sizeof(bool) * set->desc->natts);
	memset(nulls, true, sizeof(bool) * set->desc->natts);
	values[CHANGE_ACTION] = Int32GetDatum(change->action);
	values[CHANGE_SHARD] = Int32GetDatum(name.shard);
	values[CHANGE_TABLE] = ObjectIdGetDatum(name.table);
	values[CHANGE_ID] = PointerGetDatum(&name.id);
	values[CHANGE_NEW_SHARD] = Int32GetDatum(change->new_shard);
	memset(nulls, false, sizeof(bool) * CHANGE_FIRST);
	nulls[CHANGE_ID] = name.shard < 0;
	if (new_slot != NULL)
	{
		slot_getallattrs(new_slot);
		memcpy(&values[CHANGE_FIRST], new_slot->tts_values, sizeof(Datum) * natts);
		memcpy(&nulls[CHANGE_FIRST], new_slot->tts_isnull, sizeof(bool) * natts);
	}
	if (old_slot != NULL)
	{
		bool		wants_all = CzTriggersHasAfterRow(set->triggers, command) ||
			set->key == NIL;

		slot_getallattrs(old_slot);
		if (wants_all)
		{
			memcpy(&values[CHANGE_FIRST + natts], old_slot->tts_values,
				   sizeof(Datum) * natts);
			memcpy(&nulls[CHANGE_FIRST + natts], old_slot->tts_isnull, sizeof(bool) * natts);
		}
		foreach(lc, wants_all ? NIL : set->key)
		{
			int			i = lfirst_int(lc) - 1;

			values[CHANGE_FIRST + natts + i] = old_slot->tts_values[i];
			nulls[CHANGE_FIRST + natts + i] = old_slot->tts_isnull[i];
		}
	}
	tuplestore_putvalues(set->store, set->desc, values, nulls);
	CzOwnRowsNote(own, old_slot, change->action == CZ_ROW_DELETE ? NULL : new_slot);
	MemoryContextSwitchTo(set->context);
	set->counts[change->action]++;
	set->shards[change->action] =
		bms_add_member(set->shards[change->action],
					   name.shard >= 0 ? name.shard : change->new_shard);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(set->row_context);
}

/* From the first change on. */
void
CzRowChangeSetRewind(CzRowChangeSet *set)
{
	set->nread = 0;
	if (set->store != NULL)
		tuplestore_rescan(set->store);
}

/*
 * CzRowChangeSetNext
 *		The next change; its columns are those of CzRowChangeNew and CzRowChangeOld.
 */
bool
CzRowChangeSetNext(CzRowChangeSet *set, CzRowChange *change)
{
	TupleTableSlot *slot = set->slot;

	if (set->store == NULL || set->nread == set->limit ||
		!tuplestore_gettupleslot(set->store, true, false, slot))
		return false;
	set->nread++;
	slot_getallattrs(slot);
	memset(change, 0, sizeof(CzRowChange));
	change->action = DatumGetInt32(slot->tts_values[CHANGE_ACTION]);
	change->name.shard = DatumGetInt32(slot->tts_values[CHANGE_SHARD]);
	change->name.table = DatumGetObjectId(slot->tts_values[CHANGE_TABLE]);
	if (!slot->tts_isnull[CHANGE_ID])
		ItemPointerCopy((ItemPointer) DatumGetPointer(slot->tts_values[CHANGE_ID]),
						&change->name.id);
	change->new_shard = DatumGetInt32(slot->tts_values[CHANGE_NEW_SHARD]);
	return true;
}

/* A column of the new row of the change that was read last. */
Datum
CzRowChangeNew(CzRowChangeSet *set, AttrNumber attno, bool *isnull)
{
	return slot_getattr(set->slot, CHANGE_FIRST + attno, isnull);
}

/* A column of its old row, if it was kept. */
Datum
CzRowChangeOld(CzRowChangeSet *set, AttrNumber attno, bool *isnull)
{
	return slot_getattr(set->slot, CHANGE_FIRST + RelationGetDescr(set->rel)->natts + attno,
						isnull);
}

/*
 * CzRowChangeSetRows
 *		Both rows of the change that was read last, as virtual tuples that are good until
 *		the next one; old_slot may be NULL.
 */
void
CzRowChangeSetRows(CzRowChangeSet *set, TupleTableSlot *new_slot, TupleTableSlot *old_slot)
{
	int			natts = RelationGetDescr(set->rel)->natts;
	Datum	   *values = &set->slot->tts_values[CHANGE_FIRST];
	bool	   *nulls = &set->slot->tts_isnull[CHANGE_FIRST];

	ExecClearTuple(new_slot);
	memcpy(new_slot->tts_values, values, sizeof(Datum) * natts);
	memcpy(new_slot->tts_isnull, nulls, sizeof(bool) * natts);
	ExecStoreVirtualTuple(new_slot);
	if (old_slot == NULL)
		return;
	ExecClearTuple(old_slot);
	memcpy(old_slot->tts_values, &values[natts], sizeof(Datum) * natts);
	memcpy(old_slot->tts_isnull, &nulls[natts], sizeof(bool) * natts);
	ExecStoreVirtualTuple(old_slot);
}
