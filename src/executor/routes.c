/*-------------------------------------------------------------------------
 *
 * routes.c
 *	  Row triggers of a distributed table that its user has partitioned.
 *
 * Core gives a copy of such a trigger to each partition, which may have some of its own.
 * It is a row's partition whose triggers fire, under its name and with rows of its
 * columns.  The workers route rows by themselves; so the partition is found here first
 * (CzPartitionFind).
 *
 * An UPDATE that gives a row to another partition is a DELETE there and an INSERT here
 * for triggers, but one of both for transition tables, as core has it.
 *
 * Source: own work; what fires when a row changes its partition is as in
 * ExecCrossPartitionUpdate() of PostgreSQL 15's nodeModifyTable.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tupconvert.h"
#include "catalog/pg_class.h"
#include "catalog/partition.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/metadata.h"

#include "triggers.h"

/* A partition that rows have come to. */
typedef struct Part
{
	Oid			relid;
	Relation	rel;
	ResultRelInfo *rri;			/* as core's functions of triggers want it */
	ResultRelInfo *move_rri;	/* for rows that go to another partition: without triggers of
								 * keys to the whole; NULL: it has no other ones */
	TupleConversionMap *to_part;	/* NULL: the columns have the same numbers */
	TupleConversionMap *to_root;
	TupleTableSlot *slot;		/* a new row */
	CzKeyLooks *key_looks;		/* or NULL */
} Part;

struct CzRoutes
{
	EState	   *estate;
	Relation	root;
	ResultRelInfo *root_rri;
	ResultRelInfo *keys_rri;	/* of the root, with its triggers for foreign keys that fire
								 * here; NULL: there are none */
	int			triggers;		/* CzAllRowTriggers */
	CzPartitionFinder *finder;
	TupleTableSlot *old_slot;	/* an old row of the root */
	List	   *parts;			/* Part * */
};

/*
 * CzRowTriggers
 *		See triggers.h.
 */
int
CzRowTriggers(Relation rel)
{
	const CzTable *table = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
		CzTableGet(RelationGetRelid(rel)) : NULL;

	return table != NULL ? CzAllRowTriggers(table) : 0;
}

/*
 * CzRoutesHave
 *		See triggers.h.  An UPDATE may be a DELETE and an INSERT.
 */
bool
CzRoutesHave(CzRoutes *routes, CmdType command, bool is_before)
{
	int			bits = CZ_ROW_TRIGGER(command, is_before);

	if (command == CMD_UPDATE)
		bits |= CZ_ROW_TRIGGER(CMD_INSERT, is_before) | CZ_ROW_TRIGGER(CMD_DELETE, is_before);
	return (routes->triggers & bits) != 0;
}

/*
 * What core has a trigger for: RI_TRIGGER_NONE if it is not for a foreign key.  In the copy it
 * has another function.
 */
static int
trigger_type(Relation rel, const Trigger *trigger)
{
	int			i;

	for (i = 0; i < rel->trigdesc->numtriggers; i++)
	{
		if (rel->trigdesc->triggers[i].tgoid == trigger->tgoid)
			return RI_FKey_trigger_type(rel->trigdesc->triggers[i].tgfoid);
	}
	return RI_TRIGGER_NONE;
}

static bool
is_for_moves_of_root(Relation rel, const Trigger *trigger)
{
	return trigger_type(rel, trigger) == RI_TRIGGER_PK;
}

static bool
is_for_moves_of_part(Relation rel, const Trigger *trigger)
{
	return !trigger->tgisclone || trigger_type(rel, trigger) == RI_TRIGGER_NONE;
}

/* A relation with some of its triggers only; NULL: none. */
static ResultRelInfo *
with_triggers(const ResultRelInfo *from, Relation rel,
			  bool (*is_wanted) (Relation rel, const Trigger *trigger))
{
	ResultRelInfo *rri = makeNode(ResultRelInfo);
	TriggerDesc *desc;
	int			n = 0;
	int			i;

	*rri = *from;
	/* NULL: a copy of none */
	desc = CopyTriggerDesc(rri->ri_TrigDesc);
	for (i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		if (is_wanted(rel, &desc->triggers[i]))
			desc->triggers[n++] = desc->triggers[i];
	}
	if (n == 0)
		return NULL;
	desc->numtriggers = n;
	rri->ri_TrigDesc = desc;
	rri->ri_TrigFunctions = palloc0(sizeof(FmgrInfo) * n);
	rri->ri_TrigWhenExprs = palloc0(sizeof(ExprState *) * n);
	return rri;
}

/*
 * CzRoutesBegin
 *		See triggers.h.
 */
CzRoutes *
CzRoutesBegin(EState *estate, Relation root, ResultRelInfo *root_rri)
{
	MemoryContext old_context;
	CzRoutes   *routes;

	if (CzRowTriggers(root) == 0)
		return NULL;
	old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	routes = palloc0(sizeof(CzRoutes));
	routes->estate = estate;
	routes->root = root;
	routes->root_rri = root_rri;
	routes->triggers = CzRowTriggers(root);
	if (routes->triggers & CZ_KEY_TRIGGERS)
		routes->keys_rri = with_triggers(root_rri, root, is_for_moves_of_root);
	routes->finder = CzPartitionFinderMake(RelationGetRelid(root));
	routes->old_slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(root), &TTSOpsVirtual);
	MemoryContextSwitchTo(old_context);
	return routes;
}

/*
 * CzRoutesEnd
 *		See triggers.h.
 */
void
CzRoutesEnd(CzRoutes *routes)
{
	ListCell   *lc;

	foreach(lc, routes ? routes->parts : NIL)
		table_close(((Part *) lfirst(lc))->rel, NoLock);
	if (routes != NULL)
		routes->parts = NIL;
}

static Part *
make_part(CzRoutes *routes, Oid relid)
{
	EState	   *estate = routes->estate;
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	Part	   *part = palloc0(sizeof(Part));
	ResultRelInfo *fired;

	part->relid = relid;
	part->rel = table_open(relid, RowExclusiveLock);
	part->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(part->rri, part->rel, 0, routes->root_rri, estate->es_instrument);
	part->rri->ri_RelationDesc = CzForeignCopy(part->rel);
	CzDeferTriggers(part->rri->ri_TrigDesc);
	part->to_part = convert_tuples_by_name(RelationGetDescr(routes->root),
										   RelationGetDescr(part->rel));
	part->to_root = convert_tuples_by_name(RelationGetDescr(part->rel),
										   RelationGetDescr(routes->root));
	rri_set_root_map_compat(part->rri, part->to_part);
	part->key_looks = CzKeyLooksMake(part->rel, false);
	part->move_rri = with_triggers(part->rri, part->rel, is_for_moves_of_part);
	part->slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(part->rel), &TTSOpsVirtual);
	/* there AFTER triggers look for it when they fire, as for one without a root */
	fired = makeNode(ResultRelInfo);
	*fired = *part->rri;
	fired->ri_RootResultRelInfo = NULL;
	estate->es_opened_result_relations = lappend(estate->es_opened_result_relations, fired);
	routes->parts = lappend(routes->parts, part);
	MemoryContextSwitchTo(old_context);
	CzTriggersOfPart(estate, part->rel);
	return part;
}

/* The partition of a row of the root; NULL: none takes it, which the worker says. */
static Part *
part_of(CzRoutes *routes, TupleTableSlot *slot)
{
	Oid			relid = CzPartitionFind(routes->finder, slot);
	ListCell   *lc;

	if (!OidIsValid(relid))
		return NULL;
	foreach(lc, routes->parts)
	{
		if (((Part *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	}
	return make_part(routes, relid);
}

static Part *
part_of_old(CzRoutes *routes, HeapTuple old_tuple)
{
	ExecForceStoreHeapTuple(old_tuple, routes->old_slot, false);
	return part_of(routes, routes->old_slot);
}

/* A row of the root as the partition's, in its slot. */
static TupleTableSlot *
new_of_part(Part *part, TupleTableSlot *slot)
{
	if (part->to_part != NULL)
		(void) execute_attr_map_slot(part->to_part->attrMap, slot, part->slot);
	else
		(void) ExecCopySlot(part->slot, slot);
	/* the root's slot gets it back */
	ExecMaterializeSlot(part->slot);
	part->slot->tts_tableOid = part->relid;
	return part->slot;
}

static void
give_back(Part *part, TupleTableSlot *slot)
{
	Oid			table_oid = slot->tts_tableOid;

	/* what a trigger has returned is in a context that the next row resets */
	ExecMaterializeSlot(part->slot);
	if (part->to_root != NULL)
		(void) execute_attr_map_slot(part->to_root->attrMap, part->slot, slot);
	else
		(void) ExecCopySlot(slot, part->slot);
	ExecMaterializeSlot(slot);
	slot->tts_tableOid = table_oid;
}

static HeapTuple
old_of_part(Part *part, HeapTuple old_tuple)
{
	HeapTuple	result = part->to_part != NULL ?
		execute_attr_map_tuple(old_tuple, part->to_part) : heap_copytuple(old_tuple);

	result->t_tableOid = part->relid;
	return result;
}

static bool
before_insert(CzRoutes *routes, TupleTableSlot *slot)
{
	Part	   *part = part_of(routes, slot);

	if (part == NULL || part->rri->ri_TrigDesc == NULL ||
		!part->rri->ri_TrigDesc->trig_insert_before_row)
		return true;
	(void) new_of_part(part, slot);
	ResetPerTupleExprContext(routes->estate);
	if (!ExecBRInsertTriggers(routes->estate, part->rri, part->slot))
		return false;
	give_back(part, slot);
	return true;
}

static bool
before_delete(CzRoutes *routes, Part *part, HeapTuple old_tuple)
{
	HeapTuple	tuple;
	bool		result;

	if (part == NULL || part->rri->ri_TrigDesc == NULL ||
		!part->rri->ri_TrigDesc->trig_delete_before_row)
		return true;
	tuple = old_of_part(part, old_tuple);
	ResetPerTupleExprContext(routes->estate);
	result = exec_br_delete_triggers_compat(routes->estate, part->rri, tuple);
	heap_freetuple(tuple);
	return result;
}

static bool
before_update(CzRoutes *routes, HeapTuple old_tuple, TupleTableSlot *slot)
{
	Part	   *part = part_of_old(routes, old_tuple);
	Part	   *new_part;

	if (part != NULL && part->rri->ri_TrigDesc != NULL &&
		part->rri->ri_TrigDesc->trig_update_before_row)
	{
		HeapTuple	tuple = old_of_part(part, old_tuple);
		TM_FailureData failure;
		bool		result;

		(void) new_of_part(part, slot);
		ResetPerTupleExprContext(routes->estate);
		result = exec_br_update_triggers_compat(routes->estate, part->rri, tuple, part->slot,
												&failure);
		heap_freetuple(tuple);
		if (!result)
			return false;
		give_back(part, slot);
	}
	new_part = part_of(routes, slot);
	if (new_part == NULL || new_part == part)
		return true;
	if (!before_delete(routes, part, old_tuple))
		return false;
	/* triggers of the INSERT see what the UPDATE has made */
	if (RelationGetDescr(routes->root)->constr != NULL &&
		RelationGetDescr(routes->root)->constr->has_generated_stored)
		ExecComputeStoredGenerated(routes->root_rri, routes->estate, slot, CMD_INSERT);
	if (!before_insert(routes, slot))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a BEFORE INSERT trigger cannot leave out a row that UPDATE moves to another partition"),
				 errdetail("The row is to go from partition \"%s\" to \"%s\" of distributed table \"%s\".",
						   get_rel_name(part->relid), get_rel_name(new_part->relid),
						   RelationGetRelationName(routes->root))));
	return true;
}

/*
 * CzRoutesBeforeRow
 *		See triggers.h.
 */
bool
CzRoutesBeforeRow(CzRoutes *routes, CmdType command, HeapTuple old_tuple,
				  TupleTableSlot *new_slot)
{
	if (command == CMD_INSERT)
		return before_insert(routes, new_slot);
	if (command == CMD_UPDATE)
		return before_update(routes, old_tuple, new_slot);
	return before_delete(routes, part_of_old(routes, old_tuple), old_tuple);
}

/*
 * CzRoutesCheckBetween
 *		See triggers.h.
 */
void
CzRoutesCheckBetween(Relation root, Oid part_relid, bool held_here)
{
	List	   *key_parts = CzTableGet(RelationGetRelid(root))->key_parts;
	ListCell   *lc;
	int			i;

	foreach(lc, get_partition_ancestors(part_relid))
	{
		TriggerDesc *desc;
		Relation	rel;

		if (lfirst_oid(lc) == RelationGetRelid(root))
			break;
		if (!list_member_oid(key_parts, lfirst_oid(lc)))
			continue;
		rel = relation_open(lfirst_oid(lc), AccessShareLock);
		desc = CopyTriggerDesc(rel->trigdesc);
		for (i = 0; desc != NULL && i < desc->numtriggers; i++)
		{
			const Trigger *trigger = &desc->triggers[i];

			if (trigger->tgisclone ||
				RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_PK ||
				(held_here && !CzKeyTriggerFiresHere(trigger)))
				continue;
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot move tuple across partitions when a non-root ancestor of the source partition is directly referenced in a foreign key"),
					 errdetail("A foreign key points to ancestor \"%s\" but not the root ancestor \"%s\".",
							   RelationGetRelationName(rel), RelationGetRelationName(root)),
					 errhint("Consider defining the foreign key on table \"%s\".",
							 RelationGetRelationName(root))));
		}
		relation_close(rel, NoLock);
	}
}

/*
 * AFTER triggers of an UPDATE that has given a row to another partition.  For foreign keys to
 * the whole it is an UPDATE of the root.
 */
static void
after_move(CzRoutes *routes, Part *old_part, HeapTuple old_tuple, Part *new_part,
		   TupleTableSlot *slot, TransitionCaptureState *capture)
{
	EState	   *estate = routes->estate;

	if (routes->triggers & CZ_KEY_TRIGGERS)
		CzRoutesCheckBetween(routes->root, old_part->relid, true);

	if (capture != NULL && capture->tcs_update_old_table)
		ExecARUpdateTriggers(estate, old_part->rri, NULL, NULL, NULL, old_tuple, NULL, NIL,
							 capture, false);
	if (old_part->move_rri != NULL)
		ExecARDeleteTriggers(estate, old_part->move_rri, NULL, old_tuple, NULL, false);
	if (capture != NULL && capture->tcs_update_new_table)
		ExecARUpdateTriggers(estate, new_part->rri, NULL, NULL, NULL, NULL, slot, NIL, capture,
							 false);
	ExecARInsertTriggers(estate, new_part->rri, slot, NIL, NULL);
}

/*
 * CzRoutesAfterRow
 *		See triggers.h.
 */
void
CzRoutesAfterRow(CzRoutes *routes, CmdType command, HeapTuple old_tuple,
				 TupleTableSlot *new_slot, TransitionCaptureState *capture)
{
	EState	   *estate = routes->estate;
	Part	   *old_part = NULL;
	Part	   *new_part = NULL;
	HeapTuple	tuple = NULL;
	TupleTableSlot *slot = NULL;

	if (command != CMD_INSERT)
		old_part = part_of_old(routes, old_tuple);
	if (command != CMD_DELETE)
		new_part = part_of(routes, new_slot);
	/* the worker's error is still to come */
	if (command == CMD_INSERT && new_part == NULL)
		return;
	if ((command != CMD_INSERT && old_part == NULL) || (command != CMD_DELETE && new_part == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("partition of a row of table \"%s\" was detached or dropped",
						RelationGetRelationName(routes->root))));
	if (old_part != NULL)
		tuple = old_of_part(old_part, old_tuple);
	if (new_part != NULL)
		slot = new_of_part(new_part, new_slot);
	if (old_part == NULL || new_part == NULL || old_part == new_part)
		CzKeyLooksNote(new_part ? new_part->key_looks : old_part->key_looks,
					   new_part ? new_part->rel : old_part->rel, command, tuple, slot);
	else
		CzKeyLooksNote(new_part->key_looks, new_part->rel, CMD_INSERT, NULL, slot);
	ResetPerTupleExprContext(estate);
	if (command == CMD_INSERT)
		ExecARInsertTriggers(estate, new_part->rri, slot, NIL, capture);
	else if (command == CMD_DELETE)
		ExecARDeleteTriggers(estate, old_part->rri, NULL, tuple, capture, false);
	else if (old_part == new_part)
		ExecARUpdateTriggers(estate, new_part->rri, NULL, NULL, NULL, tuple, slot, NIL, capture,
							 false);
	else
	{
		after_move(routes, old_part, tuple, new_part, slot, capture);
		if (routes->keys_rri != NULL)
			ExecARUpdateTriggers(estate, routes->keys_rri, NULL, NULL, NULL, old_tuple, new_slot,
								 NIL, NULL, false);
	}
	if (tuple != NULL)
		heap_freetuple(tuple);
}
