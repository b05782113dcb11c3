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

#include "commands/trigger.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/relcache.h"

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
 * CzCascadeTables
 *		See cz/metadata.h.
 */
List *
CzCascadeTables(Oid relid)
{
	List	   *relids = list_make1_oid(relid);
	int			next;
	int			i;

	for (next = 0; next < list_length(relids); next++)
	{
		Relation	rel = RelationIdGetRelation(list_nth_oid(relids, next));

		if (!RelationIsValid(rel))
			continue;
		for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		{
			const Trigger *trigger = &rel->trigdesc->triggers[i];

			if (changes_rows(trigger->tgfoid))
				relids = list_append_unique_oid(relids, trigger->tgconstrrelid);
		}
		RelationClose(rel);
	}
	return list_delete_first(relids);
}

/*
 * CzTableKeys
 *		See cz/metadata.h.
 */
List *
CzTableKeys(Oid relid, int ends)
{
	Relation	rel = RelationIdGetRelation(relid);
	List	   *keys = NIL;
	int			i;

	if (!RelationIsValid(rel))
		return NIL;
	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];
		int			kind = RI_FKey_trigger_type(trigger->tgfoid);

		if ((kind == RI_TRIGGER_FK && (ends & CZ_KEYS_FROM)) ||
			(kind == RI_TRIGGER_PK && (ends & CZ_KEYS_TO)))
			keys = list_append_unique_oid(keys, trigger->tgconstraint);
	}
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
	Relation	rel = RelationIdGetRelation(relid);
	bool		result = false;
	int			i;

	if (!RelationIsValid(rel))
		return false;
	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers && !result; i++)
		result = rel->trigdesc->triggers[i].tgconstrrelid == relid &&
			RI_FKey_trigger_type(rel->trigdesc->triggers[i].tgfoid) == RI_TRIGGER_FK;
	RelationClose(rel);
	return result;
}
