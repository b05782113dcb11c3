/*-------------------------------------------------------------------------
 *
 * tree.c
 *	  Statements that change a distributed table which its user has partitioned, and with
 *	  it its partitions.
 *
 * Core runs them here by its own recursion: a root and its partitions have no foreign
 * tables below them, so nothing stands in its way.  The images of all of them from
 * before and after tell what the shards get.  What changes columns and CHECKs is said to
 * the root's shard alone, for the worker recurses, too; indexes are made for each
 * partition, under our names, before those of their parents, which take them.
 *
 * The root's map, and the shards' foreign tables below it, get the root's columns.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"

#include "ddl_int.h"

/* A relation of the tree. */
typedef struct TreeNode
{
	Oid			relid;
	CzImage    *before;
	const CzTable *table;		/* afterwards */
	CzOps	   *ops;			/* NULL: nothing */
} TreeNode;

struct CzTree
{
	List	   *nodes;			/* TreeNode *, parents first */
	const CzTable *table;		/* of the first one, afterwards */
};

/*
 * CzTreeBegin
 *		Look at a table and its partitions before a statement.
 */
CzTree *
CzTreeBegin(Oid relid)
{
	CzTree	   *tree = palloc0(sizeof(CzTree));
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		TreeNode   *node = palloc0(sizeof(TreeNode));

		LockRelationOid(lfirst_oid(lc), AccessShareLock);
		node->relid = lfirst_oid(lc);
		node->before = CzTableImage(lfirst_oid(lc));
		tree->nodes = lappend(tree->nodes, node);
	}
	return tree;
}

/*
 * CzTreeMoments
 *		See ddl_int.h.
 */
List *
CzTreeMoments(const CzTable *table)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, table->kind == CZ_TABLE_SINGLE ?
			find_all_inheritors(table->relid, AccessExclusiveLock, NULL) : NIL)
	{
		const CzTable *part = CzTableGet(lfirst_oid(lc));

		if (part != NULL && !part->is_partitioned)
			result = lappend_oid(result, lfirst_oid(lc));
	}
	list_sort(result, list_oid_cmp);
	return result;
}

/* The script of one shard with those of its partitions. */
static void
tree_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const CzTree *tree = arg;
	int			i = shard - tree->table->shards;
	int			n;
	TreeNode   *first = linitial(tree->nodes);

	if (first->ops)
		CzOpsScriptPart(sql, shard, first->ops, CZ_OPS_TABLE);
	for (n = list_length(tree->nodes) - 1; n >= 0; n--)
	{
		TreeNode   *node = list_nth(tree->nodes, n);

		if (node->ops)
			CzOpsScriptPart(sql, &node->table->shards[i], node->ops, CZ_OPS_INDEXES);
	}
}

/* Columns of the map. */
static void
follow_map(const CzTable *table, const CzImage *before)
{
	List	   *leaves = NIL;
	int			i;

	for (i = 0; i < table->nshards; i++)
		leaves = lappend_oid(leaves, table->shards[i].relid);
	CzMapFollow(table->relid, before, table->map_relid, leaves);
}

/*
 * CzTreeFinish
 *		Tell the shards, and the map, what the statement has done.  The first table is the
 *		one that the statement names.
 */
void
CzTreeFinish(CzTree *tree, const CzAlterHints *hints, Oid owner)
{
	TreeNode   *first = linitial(tree->nodes);
	bool		has_types = false;
	bool		has_ops = false;
	ListCell   *lc;

	CzInvalidateTable(first->relid);
	if (!OidIsValid(CzTableGet(first->relid)->root_relid))
	{
		follow_map(CzTableGet(first->relid), first->before);
		CzInvalidateTable(first->relid);
		CommandCounterIncrement();
	}
	foreach(lc, tree->nodes)
	{
		TreeNode   *node = lfirst(lc);
		CzImage    *after = CzTableImage(node->relid);

		CHECK_FOR_INTERRUPTS();
		node->table = CzTableGet(node->relid);
		if (node->table == NULL || node->table->nshards != CzTableGet(first->relid)->nshards)
			elog(ERROR, "\"%s\" is not a partition of a distributed table",
				 get_rel_name(node->relid));
		CzCheckNew(node->table, node->before, after);
		node->ops = CzDiff(node->before, after, node == first ? hints : NULL);
		if (node->ops == NULL)
			continue;
		has_ops = true;
		has_types |= node->ops->has_types;
		if (node->ops->has_new)
			CzPropagateObjects(node->relid, CzTableServers(node->table), owner);
	}
	if (!has_ops)
		return;
	tree->table = CzTableGet(first->relid);
	if (hints && hints->functions != NIL)
		CzPropagateAddresses(hints->functions, CzTableServers(tree->table), owner);
	CzRunOnPlacementsAs(tree->table, owner, has_types, tree_sql, tree);
}
