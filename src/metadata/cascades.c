/*-------------------------------------------------------------------------
 *
 * cascades.c
 *	  The foreign keys of a table, and to it, and what workers do because of them.
 *
 * A foreign key between shards is the worker's: when rows of the referenced shard go, or
 * change, it deletes or changes rows of the referencing one by itself.  That table is
 * written all the same.
 *
 * All is read from the triggers that core makes for a key, which the relcache has: nothing
 * is looked up for a table without keys.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/dependency.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "commands/trigger.h"
#include "catalog/pg_trigger.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "cz/metadata.h"

/* Is a function one by which core changes referencing rows? */
static bool
changes_rows(Oid function)
{
	switch (function)
	{
		case F_RI_FKEY_CASCADE_DEL:
		case F_RI_FKEY_CASCADE_UPD:
		case F_RI_FKEY_SETNULL_DEL:
		case F_RI_FKEY_SETNULL_UPD:
		case F_RI_FKEY_SETDEFAULT_DEL:
		case F_RI_FKEY_SETDEFAULT_UPD:
			return true;
		default:
			return false;
	}
}

/*
 * CzKeyActionChangesRows
 *		See cz/metadata.h.
 */
bool
CzKeyActionChangesRows(char action)
{
	return action != FKCONSTR_ACTION_NOACTION && action != FKCONSTR_ACTION_RESTRICT;
}

/*
 * CzKeyIsOnShards
 *		See cz/metadata.h.
 */
bool
CzKeyIsOnShards(Oid constraint_oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	Form_pg_constraint con;
	const CzTable *from;
	const CzTable *to;
	bool		result = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	from = OidIsValid(con->confrelid) ? CzTableGet(con->conrelid) : NULL;
	to = from != NULL ? CzTableGet(con->confrelid) : NULL;
	if (from == NULL || !CzTableIsDistributed(from) || to == NULL ||
		to->kind == CZ_TABLE_FOREIGN)
		result = false;
	else if (to->kind == CZ_TABLE_REFERENCE)
		result = true;
	else if (from->kind != to->kind || from->colocation_id != to->colocation_id ||
			 from->colocation_id == 0 || from->kind == CZ_TABLE_RANGE)
		result = false;
	else if (from->kind == CZ_TABLE_SINGLE)
		result = true;
	else
	{
		AttrNumber	columns[INDEX_MAX_KEYS];
		AttrNumber	others[INDEX_MAX_KEYS];
		int			ncolumns;
		int			i;

		DeconstructFkConstraintRow(tuple, &ncolumns, columns, others, NULL, NULL, NULL, NULL,
								   NULL);
		for (i = 0; i < ncolumns; i++)
			result |= columns[i] == from->key_attno && others[i] == to->key_attno;
	}
	ReleaseSysCache(tuple);
	return result;
}

/* A question that is being answered, and those because of which it was asked. */
typedef struct Question
{
	Oid			relid;
	int16		events;
	const struct Question *outer;
} Question;

static bool fires_here(const Trigger *trigger, const Question *outer);

/*
 * Has a table triggers for these events that are the coordinator's to fire?  Tables that
 * refer to each other have none because they would have them.
 */
static bool
has_triggers_here(Oid relid, int16 events, const Question *outer)
{
	Question	question = {relid, events, outer};
	const CzTable *table = CzTableGet(relid);
	TriggerDesc *desc;
	Relation	rel;
	bool		result;
	int			i;

	for (; outer != NULL; outer = outer->outer)
	{
		if (outer->relid == relid && outer->events == events)
			return false;
	}
	rel = RelationIdGetRelation(relid);
	if (!RelationIsValid(rel))
		return false;
	/* those of its partitions */
	result = table != NULL && (table->row_triggers &
							   (events == TRIGGER_TYPE_DELETE ?
								CZ_ROW_TRIGGER(CMD_DELETE, true) | CZ_ROW_TRIGGER(CMD_DELETE, false) :
								CZ_ROW_TRIGGER(CMD_UPDATE, true) | CZ_ROW_TRIGGER(CMD_UPDATE, false))) != 0;
	/* an invalidation, which any look into a catalog may bring, frees the relation's own */
	desc = CopyTriggerDesc(rel->trigdesc);
	for (i = 0; desc != NULL && i < desc->numtriggers && !result; i++)
	{
		const Trigger *trigger = &desc->triggers[i];

		/* statement triggers, too: there is a statement when it is done here */
		result = (trigger->tgtype & events) != 0 &&
			(RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_NONE ?
			 fires_here(trigger, &question) : !trigger->tgisinternal);
	}
	RelationClose(rel);
	return result;
}

/* CzKeyActsHere, asked because of others. */
static bool
acts_here(char action, bool is_delete, Oid from_relid, AttrNumber key_attno, int nset,
		  const AttrNumber *set_attnos, const Question *outer)
{
	bool		sets_key = nset == 0;
	int			i;

	if (!CzKeyActionChangesRows(action))
		return false;
	/* columns of shards have no defaults */
	if (action == FKCONSTR_ACTION_SETDEFAULT)
		return true;
	for (i = 0; i < nset; i++)
		sets_key |= set_attnos[i] == key_attno;
	/* its row belongs into another shard then */
	if (action == FKCONSTR_ACTION_SETNULL && key_attno > 0 && (sets_key || !is_delete))
		return true;
	return has_triggers_here(from_relid, action == FKCONSTR_ACTION_CASCADE && is_delete ?
							 TRIGGER_TYPE_DELETE : TRIGGER_TYPE_UPDATE, outer);
}

/*
 * CzKeyActsHere
 *		See cz/metadata.h.
 */
bool
CzKeyActsHere(char action, bool is_delete, Oid from_relid, AttrNumber key_attno, int nset,
			  const AttrNumber *set_attnos)
{
	return acts_here(action, is_delete, from_relid, key_attno, nset, set_attnos, NULL);
}

/* CzKeyTriggerFiresHere, asked because of others. */
static bool
fires_here(const Trigger *trigger, const Question *outer)
{
	const CzTable *from;
	HeapTuple	tuple;
	Form_pg_constraint con;
	bool		is_delete = TRIGGER_FOR_DELETE(trigger->tgtype);
	bool		result;
	bool		isnull;
	Datum		datum;
	AttrNumber *set_attnos = NULL;
	int			nset = 0;

	if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_NONE)
		return false;
	if (!CzKeyIsOnShards(trigger->tgconstraint))
		return true;
	if (!changes_rows(trigger->tgfoid))
		return false;
	from = CzTableGet(trigger->tgconstrrelid);
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(trigger->tgconstraint));
	if (!HeapTupleIsValid(tuple))
		return false;
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	datum = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_confdelsetcols, &isnull);
	if (!isnull && is_delete)
	{
		set_attnos = (AttrNumber *) ARR_DATA_PTR(DatumGetArrayTypeP(datum));
		nset = ARR_DIMS(DatumGetArrayTypeP(datum))[0];
	}
	result = acts_here(is_delete ? con->confdeltype : con->confupdtype, is_delete,
					   con->conrelid, from->key_attno, nset, set_attnos, outer);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * CzKeyTriggerFiresHere, CzTriggerFiresHere
 *		See cz/metadata.h.
 */
bool
CzKeyTriggerFiresHere(const Trigger *trigger)
{
	return fires_here(trigger, NULL);
}

bool
CzTriggerFiresHere(const Trigger *trigger)
{
	return RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_NONE ?
		CzKeyTriggerFiresHere(trigger) : trigger->tgfoid != F_UNIQUE_KEY_RECHECK;
}

static List *with_key_parts(Oid relid);

/*
 * CzAllRowTriggers
 *		See cz/metadata.h.  What fires for a key changes with other tables: it is not kept.
 */
int
CzAllRowTriggers(const CzTable *table)
{
	int			result = table->row_triggers;
	ListCell   *lc;
	int			i;

	foreach(lc, table->is_partitioned ? with_key_parts(table->relid) : NIL)
	{
		Relation	rel = RelationIdGetRelation(lfirst_oid(lc));
		TriggerDesc *desc;

		if (!RelationIsValid(rel))
			continue;
		desc = CopyTriggerDesc(rel->trigdesc);
		for (i = 0; desc != NULL && i < desc->numtriggers; i++)
		{
			const Trigger *trigger = &desc->triggers[i];

			if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_NONE ||
				!CzKeyTriggerFiresHere(trigger))
				continue;
			result |= CZ_ROW_TRIGGER(TRIGGER_FOR_DELETE(trigger->tgtype) ? CMD_DELETE :
									 TRIGGER_FOR_INSERT(trigger->tgtype) ? CMD_INSERT :
									 CMD_UPDATE, false) | CZ_KEY_TRIGGERS;
		}
		RelationClose(rel);
	}
	return result;
}

/* Does core call a function when rows change that others refer to? */
static bool
is_of_referenced(Oid function)
{
	return RI_FKey_trigger_type(function) == RI_TRIGGER_PK;
}

/*
 * CzRootOf
 *		See cz/metadata.h.
 */
Oid
CzRootOf(Oid relid)
{
	const CzTable *table = CzTableGet(relid);

	return table != NULL && OidIsValid(table->root_relid) ? table->root_relid : relid;
}

/*
 * A table, and those of its partitions that have keys of their own, or are referred to by
 * themselves: all others have triggers that are like the table's.
 */
static List *
with_key_parts(Oid relid)
{
	const CzTable *table = CzTableGet(relid);

	return lcons_oid(relid, table != NULL ? list_copy(table->key_parts) : NIL);
}

/* Is a table in a list, or another one of the same root? */
static bool
has_of_root(List *relids, Oid relid)
{
	Oid			root = CzRootOf(relid);
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (CzRootOf(lfirst_oid(lc)) == root)
			return true;
	}
	return false;
}

/* add_referring of one relation. */
static List *
add_referring_one(List *relids, Oid relid, bool (*is_wanted) (Oid function))
{
	Relation	rel = RelationIdGetRelation(relid);
	int			i;

	if (!RelationIsValid(rel))
		return relids;
	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (is_wanted(trigger->tgfoid))
			relids = list_append_unique_oid(relids, trigger->tgconstrrelid);
	}
	RelationClose(rel);
	return relids;
}

/* Add to a list the tables with keys to one, those that have triggers with such functions. */
static List *
add_referring(List *relids, Oid relid, bool (*is_wanted) (Oid function))
{
	List	   *parts = with_key_parts(relid);
	ListCell   *lc;

	foreach(lc, parts)
		relids = add_referring_one(relids, lfirst_oid(lc), is_wanted);
	list_free(parts);
	return relids;
}

/* The same also by way of others; without the table itself. */
static List *
all_referring(Oid relid, bool (*is_wanted) (Oid function))
{
	List	   *relids = list_make1_oid(relid);
	int			next;

	for (next = 0; next < list_length(relids); next++)
		relids = add_referring(relids, list_nth_oid(relids, next), is_wanted);
	return list_delete_first(relids);
}

/*
 * CzCascadeTables
 *		See cz/metadata.h.
 */
List *
CzCascadeTables(Oid relid)
{
	return all_referring(relid, changes_rows);
}

/*
 * CzReferringTables
 *		See cz/metadata.h.
 */
List *
CzReferringTables(Oid relid)
{
	return all_referring(relid, is_of_referenced);
}

/*
 * CzKeysMeet
 *		See cz/metadata.h.
 */
bool
CzKeysMeet(Oid relid)
{
	List	   *relids = lcons_oid(relid, CzCascadeTables(relid));
	List	   *parts = NIL;
	bool		result = false;
	ListCell   *lc;

	foreach(lc, relids)
		parts = list_concat_unique_oid(parts, with_key_parts(lfirst_oid(lc)));
	foreach(lc, parts)
	{
		Relation	rel = RelationIdGetRelation(lfirst_oid(lc));
		TriggerDesc *desc;
		int			i;

		if (!RelationIsValid(rel))
			continue;
		desc = CopyTriggerDesc(rel->trigdesc);
		for (i = 0; desc != NULL && i < desc->numtriggers && !result; i++)
		{
			const Trigger *trigger = &desc->triggers[i];

			result = (changes_rows(trigger->tgfoid) &&
					  CzRootOf(trigger->tgconstrrelid) == CzRootOf(relid)) ||
				((trigger->tgfoid == F_RI_FKEY_RESTRICT_DEL ||
				  trigger->tgfoid == F_RI_FKEY_RESTRICT_UPD) &&
				 has_of_root(relids, trigger->tgconstrrelid));
		}
		RelationClose(rel);
	}
	list_free(relids);
	list_free(parts);
	return result;
}

/* The foreign key of a partitioned table that one of a partition belongs to. */
static Oid
key_at_top(Oid constraint_oid)
{
	for (;;)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
		Oid			parent_oid;

		if (!HeapTupleIsValid(tuple))
			return constraint_oid;
		parent_oid = ((Form_pg_constraint) GETSTRUCT(tuple))->conparentid;
		ReleaseSysCache(tuple);
		if (!OidIsValid(parent_oid))
			return constraint_oid;
		constraint_oid = parent_oid;
	}
}

/* CzTableKeys of one relation. */
static List *
add_keys(List *keys, Oid relid, int ends)
{
	Relation	rel = RelationIdGetRelation(relid);
	int			i;

	if (!RelationIsValid(rel))
		return keys;
	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];
		int			kind = RI_FKey_trigger_type(trigger->tgfoid);

		if ((kind == RI_TRIGGER_FK && (ends & CZ_KEYS_FROM)) ||
			(kind == RI_TRIGGER_PK && (ends & CZ_KEYS_TO)))
			keys = list_append_unique_oid(keys, key_at_top(trigger->tgconstraint));
	}
	RelationClose(rel);
	return keys;
}

/*
 * CzTableKeys
 *		See cz/metadata.h.
 */
List *
CzTableKeys(Oid relid, int ends)
{
	List	   *parts = with_key_parts(relid);
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, parts)
		keys = add_keys(keys, lfirst_oid(lc), ends);
	list_free(parts);
	return keys;
}

/*
 * CzDeferrableKeys
 *		See cz/metadata.h.
 */
List *
CzDeferrableKeys(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	List	   *keys = NIL;
	List	   *indexes;
	ListCell   *lc;

	if (!RelationIsValid(rel))
		return NIL;
	indexes = RelationGetIndexList(rel);
	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		bool		is_deferrable;

		if (!HeapTupleIsValid(tuple))
			continue;
		is_deferrable = !((Form_pg_index) GETSTRUCT(tuple))->indimmediate;
		ReleaseSysCache(tuple);
		if (is_deferrable)
			keys = lappend_oid(keys, get_index_constraint(lfirst_oid(lc)));
	}
	list_free(indexes);
	RelationClose(rel);
	return keys;
}

/*
 * CzRefersToItself
 *		See cz/metadata.h.
 */
bool
CzRefersToItself(Oid relid)
{
	List	   *parts = with_key_parts(relid);
	bool		result = false;
	ListCell   *lc;
	int			i;

	foreach(lc, parts)
	{
		Relation	rel = RelationIdGetRelation(lfirst_oid(lc));

		if (!RelationIsValid(rel))
			continue;
		for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers && !result; i++)
			result = RI_FKey_trigger_type(rel->trigdesc->triggers[i].tgfoid) == RI_TRIGGER_FK &&
				CzRootOf(rel->trigdesc->triggers[i].tgconstrrelid) == CzRootOf(relid);
		RelationClose(rel);
	}
	list_free(parts);
	return result;
}

/* The number that a column has in a partition, or in the partitioned table. */
static AttrNumber
attno_in(Oid relid, Oid from_relid, AttrNumber attno)
{
	char	   *name;

	if (relid == from_relid)
		return attno;
	name = get_attname(from_relid, attno, true);
	return name != NULL ? get_attnum(relid, name) : InvalidAttrNumber;
}

/*
 * CzRefersBy
 *		See cz/metadata.h.
 */
bool
CzRefersBy(Oid relid, List *attnos)
{
	bool		result = false;
	ListCell   *lc;

	foreach(lc, CzTableKeys(relid, CZ_KEYS_FROM))
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(lfirst_oid(lc)));
		int			ncolumns;
		AttrNumber	columns[INDEX_MAX_KEYS];
		AttrNumber	others[INDEX_MAX_KEYS];
		int			i;

		if (!HeapTupleIsValid(tuple))
			continue;
		DeconstructFkConstraintRow(tuple, &ncolumns, columns, others, NULL, NULL, NULL, NULL,
								   NULL);
		for (i = 0; i < ncolumns; i++)
			result |= list_member_int(attnos,
									  attno_in(relid, ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid,
											   columns[i]));
		ReleaseSysCache(tuple);
	}
	return result;
}

/*
 * CzReferencingTables
 *		See cz/metadata.h.
 */
List *
CzReferencingTables(Oid relid)
{
	return add_referring(NIL, relid, is_of_referenced);
}

/* Is a column of a key (the referring or the referenced side) among some of a table, which
 * is one of the tree that has that side?  NULL: all. */
static bool
has_column_of(HeapTuple key, bool is_referenced, Oid relid, const Bitmapset *columns)
{
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(key);
	AttrNumber	sides[2][INDEX_MAX_KEYS];
	int			ncolumns;
	int			i;

	if (columns == NULL)
		return true;
	DeconstructFkConstraintRow(key, &ncolumns, sides[0], sides[1], NULL, NULL, NULL, NULL,
							   NULL);
	for (i = 0; i < ncolumns; i++)
	{
		AttrNumber	attno = attno_in(relid, is_referenced ? con->confrelid : con->conrelid,
									 sides[is_referenced ? 1 : 0][i]);

		if (bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, columns))
			return true;
	}
	return false;
}

/*
 * CzReferenceParents
 *		See cz/metadata.h.
 */
List *
CzReferenceParents(Oid relid, const Bitmapset *columns)
{
	List	   *keys = CzTableKeys(relid, CZ_KEYS_FROM);
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, keys)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(lfirst_oid(lc)));
		const CzTable *table;

		if (!HeapTupleIsValid(tuple))
			continue;
		table = CzTableGet(((Form_pg_constraint) GETSTRUCT(tuple))->confrelid);
		if (table != NULL && table->kind == CZ_TABLE_REFERENCE &&
			has_column_of(tuple, false, relid, columns))
			relids = list_append_unique_oid(relids, table->relid);
		ReleaseSysCache(tuple);
	}
	list_free(keys);
	return relids;
}

/*
 * CzShardsReferTo
 *		See cz/metadata.h.
 */
bool
CzShardsReferTo(Oid relid, const Bitmapset *columns)
{
	List	   *keys = CzTableKeys(relid, CZ_KEYS_TO);
	bool		result = false;
	ListCell   *lc;

	foreach(lc, keys)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(lfirst_oid(lc)));
		const CzTable *table;

		if (!HeapTupleIsValid(tuple))
			continue;
		table = CzTableGet(((Form_pg_constraint) GETSTRUCT(tuple))->conrelid);
		result |= table != NULL && CzTableIsDistributed(table) &&
			has_column_of(tuple, true, relid, columns);
		ReleaseSysCache(tuple);
	}
	list_free(keys);
	return result;
}
