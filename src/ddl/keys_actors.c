/*-------------------------------------------------------------------------
 *
 * keys_actors.c
 *	  Who changes the rows that refer by a foreign key: the worker, or the coordinator?
 *
 * CzKeyActsHere() says it from what there is: the triggers of the referencing table among
 * others.  When such a trigger comes or goes, the keys of shards have to be made again, with
 * the action or without it; so do keys of the tables that this table refers to, if what
 * they do is done here now and was not before, and so on.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cz/transaction.h"
#include "ddl_int.h"

/* Who did what, before something changes. */
typedef struct Actor
{
	Oid			constraint_oid;
	bool		on_update_here;
	bool		on_delete_here;
	int			level;			/* nest level that has noted it */
} Actor;

/* Of the statement, in TopTransactionContext. */
static List *actors = NIL;

static AttrNumber
key_of(Oid relid)
{
	return CzTableGet(relid)->key_attno;
}

/* Does a worker check a key between distributed tables? */
static bool
is_between_shards(const CzKey *key)
{
	const CzTable *to = CzTableGet(key->to_relid);

	return CzKeyIsOnShards(key->oid) && to != NULL && CzTableIsDistributed(to);
}

static bool
is_noted(Oid constraint_oid)
{
	ListCell   *lc;

	foreach(lc, actors)
	{
		if (((Actor *) lfirst(lc))->constraint_oid == constraint_oid)
			return true;
	}
	return false;
}

/*
 * CzKeyActorsNote
 *		See ddl_int.h.
 */
void
CzKeyActorsNote(Oid relid)
{
	ListCell   *lc;

	if (CzTableGet(relid) == NULL || !CzTableIsDistributed(CzTableGet(relid)))
		return;
	/* also those that a partition has from its parent, and partitions by themselves */
	foreach(lc, CzTableKeys(relid, CZ_KEYS_FROM))
	{
		const CzKey *key;
		MemoryContext old;
		Actor	   *actor;

		if (is_noted(lfirst_oid(lc)))
			continue;
		key = CzKeyGet(lfirst_oid(lc));
		if (!is_between_shards(key))
			continue;
		old = MemoryContextSwitchTo(TopTransactionContext);
		actor = palloc(sizeof(Actor));
		actor->constraint_oid = key->oid;
		actor->on_update_here = CzKeyActs(key, key_of(key->from_relid), false);
		actor->on_delete_here = CzKeyActs(key, key_of(key->from_relid), true);
		actor->level = GetCurrentTransactionNestLevel();
		actors = lappend(actors, actor);
		MemoryContextSwitchTo(old);
		CzKeyActorsNote(key->to_relid);
	}
}

/*
 * CzKeyActorsNoteOthers
 *		See cz/ddl.h.
 */
void
CzKeyActorsNoteOthers(Oid relid)
{
	ListCell   *lc;

	foreach(lc, CzTreeForeignKeys(relid, true))
	{
		const CzKey *key = CzKeyGet(lfirst_oid(lc));

		CzKeyActorsNote(CzRootOf(key->from_relid));
		CzKeyActorsNote(CzRootOf(key->to_relid));
	}
}

/* What a shard's key is made again for. */
static void
make_key_again(StringInfo sql, const CzShard *shard, void *arg)
{
	const CzKey *key = arg;
	int			index = shard - CzTableGet(key->from_relid)->shards;

	CzKeyShardSql(sql, key, index, true);
	CzKeyShardSql(sql, key, index, false);
}

/*
 * CzKeyActorsSettle
 *		See ddl_int.h.
 */
void
CzKeyActorsSettle(void)
{
	ListCell   *lc;

	/* triggers of partitions count for the whole, too */
	foreach(lc, actors)
	{
		Oid			oid = ((Actor *) lfirst(lc))->constraint_oid;

		if (SearchSysCacheExists1(CONSTROID, ObjectIdGetDatum(oid)))
			CzInvalidateTable(CzRootOf(CzKeyGet(oid)->from_relid));
	}
	if (actors != NIL)
		CommandCounterIncrement();
	while (actors != NIL)
	{
		const Actor *actor = linitial(actors);
		CzKey	   *key;

		if (actor->level < GetCurrentTransactionNestLevel())
			break;
		actors = list_delete_first(actors);
		if (!SearchSysCacheExists1(CONSTROID, ObjectIdGetDatum(actor->constraint_oid)))
			continue;
		key = CzKeyGet(actor->constraint_oid);
		if (is_between_shards(key) &&
			(actor->on_update_here != CzKeyActs(key, key_of(key->from_relid), false) ||
			 actor->on_delete_here != CzKeyActs(key, key_of(key->from_relid), true)))
			CzRunOnPlacements(CzTableGet(key->from_relid), make_key_again, key);
	}
}

/*
 * CzKeyActorsForget
 *		A (sub)transaction of this level is rolled back, or all has ended (level 0).
 */
void
CzKeyActorsForget(int level)
{
	ListCell   *lc;

	foreach(lc, actors)
	{
		if (((Actor *) lfirst(lc))->level >= level)
			actors = foreach_delete_current(actors, lc);
	}
}
