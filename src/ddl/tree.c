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
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "ddl_int.h"

/* A relation of the tree. */
typedef struct TreeNode
{
	Oid			relid;
	CzImage    *before;
	const CzTable *table;		/* afterwards */
	CzOps	   *ops;			/* NULL: nothing */
	List	   *checks;			/* CzObjectImage *: CHECKs that rows need not fulfil */
	List	   *own_checks;		/* those that are not its parent's */
	List	   *made_again;		/* NamePair *: indexes that core has made anew, and so will workers */
} TreeNode;

/* An index of a partition and the one of its parent that it belongs to. */
typedef struct NamePair
{
	char	   *name;
	char	   *parent_name;
	int			parent;			/* number of the node that this one is of */
} NamePair;

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

/*
 * CzTreeHeaps
 *		See ddl_int.h.
 */
List *
CzTreeHeaps(const CzTree *tree)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, tree->nodes)
	{
		Oid			relid = ((const TreeNode *) lfirst(lc))->relid;
		const CzTable *table = CzTableGet(relid);

		if (table == NULL || table->is_partitioned)
			continue;
		LockRelationOid(relid, AccessExclusiveLock);
		result = lappend_oid(result, relid);
	}
	list_sort(result, list_oid_cmp);
	return result;
}

/*
 * Indexes that a worker has made again for a column's new type, with those of the parent,
 * have names that it has chosen itself.
 */
static void
rename_sql(StringInfo sql, const CzTree *tree, int i)
{
	StringInfoData values;
	StringInfoData body;
	int			n = 0;
	ListCell   *lc;
	ListCell   *lp;

	initStringInfo(&values);
	foreach(lc, tree->nodes)
	{
		const TreeNode *node = lfirst(lc);

		foreach(lp, node->made_again)
		{
			const NamePair *pair = lfirst(lp);
			const TreeNode *parent = list_nth(tree->nodes, pair->parent);

			appendStringInfo(&values, "%s(%d, %s, %s, %s)", n > 0 ? ", " : "", n,
							 quote_literal_cstr(CzQualifiedIndex(&parent->table->shards[i],
																 pair->parent_name)),
							 quote_literal_cstr(node->table->shards[i].remote_qualified),
							 quote_literal_cstr(CzShardIndexName(pair->name,
																 node->table->shards[i].name_id)));
			n++;
		}
	}
	if (n == 0)
		return;
	initStringInfo(&body);
	appendStringInfo(&body, "DECLARE v record; old oid; BEGIN "
					 "FOR v IN SELECT * FROM (VALUES %s) AS x(n, parent, tab, name) ORDER BY n LOOP "
					 "SELECT x.indexrelid INTO old FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid "
					 "JOIN pg_class c ON c.oid = x.indexrelid "
					 "WHERE i.inhparent = to_regclass(v.parent) AND x.indrelid = to_regclass(v.tab) AND c.relname <> v.name; "
					 "IF FOUND THEN EXECUTE format('ALTER INDEX %%s RENAME TO %%I', old::regclass, v.name); END IF; "
					 "END LOOP; END", values.data);
	appendStringInfo(sql, "DO LANGUAGE plpgsql %s;\n", quote_literal_cstr(body.data));
}

/* Of one shard; its partitions lose what they have alone, when the rest has gone with its own. */
static void
table_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const CzTree *tree = arg;
	int			i = shard - tree->table->shards;
	ListCell   *lc;

	foreach(lc, tree->nodes)
	{
		const TreeNode *node = lfirst(lc);

		if (node->ops)
			CzOpsScriptPart(sql, &node->table->shards[i], node->ops,
							node == linitial(tree->nodes) ? CZ_OPS_TABLE : CZ_OPS_DROPPED_INDEXES);
	}
	rename_sql(sql, tree, i);
}

/* Of one shard and its partitions. */
static void
indexes_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const CzTree *tree = arg;
	int			i = shard - tree->table->shards;
	int			n;

	for (n = list_length(tree->nodes) - 1; n >= 0; n--)
	{
		TreeNode   *node = list_nth(tree->nodes, n);

		if (node->ops)
			CzOpsScriptPart(sql, &node->table->shards[i], node->ops, CZ_OPS_INDEXES);
	}
}

static void
tree_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	table_sql(sql, shard, arg);
	indexes_sql(sql, shard, arg);
}

/* A partition's go when they have gone from its parent. */
static void
drop_checks_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const CzTree *tree = arg;
	ListCell   *lc;

	foreach(lc, tree->nodes)
	{
		const TreeNode *node = lfirst(lc);

		CzDropChecksSql(sql, &node->table->shards[shard - tree->table->shards], node->checks);
	}
}

static void
add_checks_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const CzTree *tree = arg;
	ListCell   *lc;

	foreach(lc, tree->nodes)
	{
		const TreeNode *node = lfirst(lc);

		CzAddChecksSql(sql, &node->table->shards[shard - tree->table->shards], node->own_checks);
	}
}

/* Which node is a relation's; -1: it is above the first one. */
static int
find_node(const CzTree *tree, Oid relid)
{
	ListCell   *lc;

	foreach(lc, tree->nodes)
	{
		if (((const TreeNode *) lfirst(lc))->relid == relid)
			return foreach_current_index(lc);
	}
	return -1;
}

static int
parent_of(const CzTree *tree, const TreeNode *node)
{
	return get_rel_relispartition(node->relid) ?
		find_node(tree, get_partition_parent(node->relid, false)) : -1;
}

/* Will a worker make an index again, by its name: of the first node, or of one below? */
static bool
is_made_again(const CzTree *tree, int number, const char *name)
{
	const TreeNode *node = list_nth(tree->nodes, number);
	ListCell   *lc;

	foreach(lc, number == 0 ? node->before->indexes : NIL)
	{
		if (strcmp(((const CzObjectImage *) lfirst(lc))->name, name) == 0)
			return true;
	}
	foreach(lc, node->made_again)
	{
		if (strcmp(((const NamePair *) lfirst(lc))->name, name) == 0)
			return true;
	}
	return false;
}

/*
 * Fills in indexes of a node, not the first one, that have another OID than before, and need
 * not be made.
 */
static void
find_made_again(const CzTree *tree, TreeNode *node, const CzImage *after)
{
	int			parent = parent_of(tree, node);
	ListCell   *lc;

	foreach(lc, parent < 0 ? NIL : after->indexes)
	{
		const CzObjectImage *index = lfirst(lc);
		NamePair   *pair;

		if (CzHasObject(node->before->indexes, index->oid) || !get_rel_relispartition(index->oid))
			continue;
		pair = palloc(sizeof(NamePair));
		pair->name = index->name;
		pair->parent_name = get_rel_name(get_partition_parent(index->oid, false));
		pair->parent = parent;
		if (!is_made_again(tree, parent, pair->parent_name))
			continue;
		node->made_again = lappend(node->made_again, pair);
		CzOpsLeaveOutIndex(node->ops, index->name);
	}
}

static bool
has_check(const List *checks, const char *name)
{
	ListCell   *lc;

	foreach(lc, checks)
	{
		if (strcmp(((const CzObjectImage *) lfirst(lc))->name, name) == 0)
			return true;
	}
	return false;
}

/* Fills in the CHECKs of a node; its parent has its own. */
static void
find_checks(const CzTree *tree, TreeNode *node, const CzImage *after)
{
	int			parent = parent_of(tree, node);
	ListCell   *lc;

	node->checks = CzUnfulfilledChecks(after);
	foreach(lc, node->checks)
	{
		if (parent < 0 ||
			!has_check(((const TreeNode *) list_nth(tree->nodes, parent))->checks,
					   ((const CzObjectImage *) lfirst(lc))->name))
			node->own_checks = lappend(node->own_checks, lfirst(lc));
	}
}

/* The shards get that, and the rows that core has computed. */
static void
run_rewrite(CzTree *tree, CzRewrite *rewrite, bool has_ops, List *new_keys)
{
	CzRewriteSql sql = {0};

	sql.arg = tree;
	sql.drop_checks = drop_checks_sql;
	sql.add_checks = add_checks_sql;
	if (has_ops)
	{
		sql.table = table_sql;
		sql.indexes = indexes_sql;
	}
	CzRewriteRun(rewrite, tree->table, &sql, new_keys);
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
 *
 * rewrite: of the rows, or NULL; new_keys: as CzRewriteShards takes them.
 */
void
CzTreeFinish(CzTree *tree, CzAlterHints *hints, Oid owner, CzRewrite *rewrite, List *new_keys)
{
	TreeNode   *first = linitial(tree->nodes);
	bool		has_types = false;
	bool		has_ops = false;
	bool		is_rewritten = CzRewriteIsDone(rewrite);
	ListCell   *lc;

	if (is_rewritten)
		hints->is_rewritten = true;
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
		if (is_rewritten)
			find_checks(tree, node, after);
		if (node->ops && node->ops->has_types)
			find_made_again(tree, node, after);
		if (node->ops == NULL)
			continue;
		has_ops = true;
		has_types |= node->ops->has_types;
		if (node->ops->has_new)
			CzPropagateObjects(node->relid, CzTableServers(node->table), owner);
	}
	tree->table = CzTableGet(first->relid);
	if (is_rewritten)
	{
		run_rewrite(tree, rewrite, has_ops, new_keys);
		return;
	}
	if (!has_ops)
		return;
	if (hints && hints->functions != NIL)
		CzPropagateAddresses(hints->functions, CzTableServers(tree->table), owner);
	CzRunOnPlacementsAs(tree->table, owner, has_types, tree_sql, tree);
}
