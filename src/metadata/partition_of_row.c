/*-------------------------------------------------------------------------
 *
 * partition_of_row.c
 *	  Which partition of a distributed partitioned table holds a row.
 *
 * Rows of a root come from the workers, which route and prune by themselves.  Who needs
 * a row's partition here (tableoid) finds it by the bounds, as core's tuple routing does.
 * No partition is opened for it but those that are partitioned in turn, whose keys are
 * computed from the root's columns of the same names.
 *
 * Source: the cases of find_index() are those of get_partition_for_tuple() in PostgreSQL
 * 15's src/backend/executor/execPartition.c (PostgreSQL License); the rest is own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "metadata_int.h"

/* A relation that is partitioned: the root, or one below it. */
typedef struct Level
{
	Oid			relid;
	int			nkeys;
	AttrNumber *attnos;			/* [nkeys] of the root; 0: an expression */
	List	   *states;			/* ExprState of each expression */
} Level;

struct CzPartitionFinder
{
	Oid			root_relid;
	MemoryContext context;		/* it lives there */
	ExprContext *econtext;
	List	   *levels;			/* Level *, those that rows have come to */
};

/* Numbers that the columns of a partition have in the root. */
static AttrMap *
map_to_root(Relation rel, Oid root_relid)
{
	TupleDesc	desc = RelationGetDescr(rel);
	AttrMap    *map = make_attrmap(desc->natts);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		map->attnums[i] = att->attisdropped ? InvalidAttrNumber :
			RelationGetRelid(rel) == root_relid ? i + 1 :
			get_attnum(root_relid, NameStr(att->attname));
	}
	return map;
}

/* The expressions of a partition key in terms of the root's columns. */
static List *
key_expressions(PartitionKey key, const AttrMap *map)
{
	bool		found_whole_row;

	return (List *) map_variable_attnos((Node *) copyObject(key->partexprs), 1, 0, map,
										InvalidOid, &found_whole_row);
}

static void
add_columns(Relation rel, Oid root_relid, Bitmapset **columns)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	AttrMap    *map = map_to_root(rel, root_relid);
	int			i;

	for (i = 0; i < key->partnatts; i++)
	{
		if (key->partattrs[i] != 0)
			*columns = bms_add_member(*columns, map->attnums[key->partattrs[i] - 1] -
									  FirstLowInvalidHeapAttributeNumber);
	}
	pull_varattnos((Node *) key_expressions(key, map), 1, columns);
	for (i = 0; i < desc->nparts; i++)
	{
		Relation	child;
		const CzTable *table = CzTableGet(desc->oids[i]);

		if (table == NULL || !table->is_partitioned)
			continue;
		child = try_relation_open(desc->oids[i], AccessShareLock);
		if (child == NULL)
			continue;
		add_columns(child, root_relid, columns);
		relation_close(child, NoLock);
	}
}

/*
 * CzPartitionColumns
 *		See metadata.h.
 */
List *
CzPartitionColumns(Oid root_relid)
{
	Relation	rel = relation_open(root_relid, AccessShareLock);
	Bitmapset  *columns = NULL;
	List	   *result = NIL;
	int			x = -1;

	add_columns(rel, root_relid, &columns);
	relation_close(rel, NoLock);
	while ((x = bms_next_member(columns, x)) >= 0)
		result = lappend_int(result, x + FirstLowInvalidHeapAttributeNumber);
	return result;
}

/*
 * CzPartitionFinderMake
 *		See metadata.h.
 */
CzPartitionFinder *
CzPartitionFinderMake(Oid root_relid)
{
	CzPartitionFinder *finder = palloc0(sizeof(CzPartitionFinder));

	finder->root_relid = root_relid;
	finder->context = CurrentMemoryContext;
	finder->econtext = CreateStandaloneExprContext();
	return finder;
}

static Level *
make_level(CzPartitionFinder *finder, Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	MemoryContext old = MemoryContextSwitchTo(finder->context);
	AttrMap    *map = map_to_root(rel, finder->root_relid);
	Level	   *level = palloc0(sizeof(Level));
	ListCell   *lc;
	int			i;

	level->relid = RelationGetRelid(rel);
	level->nkeys = key->partnatts;
	level->attnos = palloc0(sizeof(AttrNumber) * key->partnatts);
	for (i = 0; i < key->partnatts; i++)
	{
		if (key->partattrs[i] != 0)
			level->attnos[i] = map->attnums[key->partattrs[i] - 1];
	}
	foreach(lc, key_expressions(key, map))
		level->states = lappend(level->states,
								ExecInitExpr(expression_planner(lfirst(lc)), NULL));
	finder->levels = lappend(finder->levels, level);
	MemoryContextSwitchTo(old);
	return level;
}

/* The number of the partition that takes a key's values; -1: none. */
static int
find_index(PartitionKey key, PartitionBoundInfo bounds, Datum *values, bool *isnull)
{
	bool		is_equal = false;
	int			index = -1;
	int			offset;
	int			i;

	switch (key->strategy)
	{
		case PARTITION_STRATEGY_HASH:
			return bounds->indexes[compute_partition_hash_value(key->partnatts, key->partsupfunc,
																key->partcollation, values,
																isnull) % bounds->nindexes];
		case PARTITION_STRATEGY_LIST:
			if (isnull[0])
			{
				if (partition_bound_accepts_nulls(bounds))
					index = bounds->null_index;
				break;
			}
			offset = partition_list_bsearch(key->partsupfunc, key->partcollation, bounds,
											values[0], &is_equal);
			if (offset >= 0 && is_equal)
				index = bounds->indexes[offset];
			break;
		case PARTITION_STRATEGY_RANGE:
			/* no range includes NULL */
			for (i = 0; i < key->partnatts; i++)
			{
				if (isnull[i])
					return bounds->default_index;
			}
			offset = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds,
												   key->partnatts, values, &is_equal);
			index = bounds->indexes[offset + 1];
			break;
		default:
			elog(ERROR, "unexpected partition strategy: %d", (int) key->strategy);
	}
	return index >= 0 ? index : bounds->default_index;
}

/* One level down: the partition that takes a row; InvalidOid: none. */
static Oid
find_below(CzPartitionFinder *finder, Relation rel, TupleTableSlot *slot)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionDesc desc = RelationGetPartitionDesc(rel, true);
	Level	   *level = NULL;
	Datum		values[PARTITION_MAX_KEYS];
	bool		isnull[PARTITION_MAX_KEYS];
	ListCell   *lc;
	int			index;
	int			i;

	if (desc->nparts == 0)
		return InvalidOid;
	foreach(lc, finder->levels)
	{
		if (((Level *) lfirst(lc))->relid == RelationGetRelid(rel))
			level = lfirst(lc);
	}
	if (level == NULL)
		level = make_level(finder, rel);
	lc = list_head(level->states);
	for (i = 0; i < level->nkeys; i++)
	{
		if (level->attnos[i] != 0)
			values[i] = slot_getattr(slot, level->attnos[i], &isnull[i]);
		else
		{
			values[i] = ExecEvalExprSwitchContext(lfirst(lc), finder->econtext, &isnull[i]);
			lc = lnext(level->states, lc);
		}
	}
	index = find_index(key, desc->boundinfo, values, isnull);
	return index >= 0 ? desc->oids[index] : InvalidOid;
}

/*
 * CzPartitionFind
 *		See metadata.h.
 */
Oid
CzPartitionFind(CzPartitionFinder *finder, TupleTableSlot *slot)
{
	Oid			relid = finder->root_relid;

	ResetExprContext(finder->econtext);
	finder->econtext->ecxt_scantuple = slot;
	for (;;)
	{
		Relation	rel = try_relation_open(relid, AccessShareLock);
		Oid			child;

		if (rel == NULL)
			return InvalidOid;
		child = find_below(finder, rel, slot);
		relation_close(rel, NoLock);
		if (!OidIsValid(child) || get_rel_relkind(child) != RELKIND_PARTITIONED_TABLE)
			return child;
		/* a partition that is not partitioned by its user has no partitions here */
		if (!CzTableGet(child) || !CzTableGet(child)->is_partitioned)
			return child;
		relid = child;
	}
}
