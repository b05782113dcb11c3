/*-------------------------------------------------------------------------
 *
 * shard_tree.c
 *	  The shard of a table that its user has partitioned, with those of its partitions: how
 *	  they are made on a node.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cluster_int.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "distribute_int.h"

/*
 * CzPartitionBoundSql
 *		See distribute_int.h.
 */
char *
CzPartitionBoundSql(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	Datum		bound;
	bool		isnull;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("relation", relid);
	bound = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);
	if (isnull)
		elog(ERROR, "relation %u is no partition", relid);
	result = TextDatumGetCString(DirectFunctionCall2(pg_get_expr, bound,
													 ObjectIdGetDatum(relid)));
	ReleaseSysCache(tuple);
	CzUnpinTextSettings(nestlevel);
	return result;
}

/*
 * CzPartDistribution
 *		See distribute_int.h.
 */
void
CzPartDistribution(const CzDistribution *dist, Oid root_relid, Oid relid,
				   CzDistribution *result)
{
	*result = *dist;
	if (dist->key_attno > 0 && relid != root_relid)
	{
		result->key_attno = get_attnum(relid, get_attname(root_relid, dist->key_attno, false));
		if (result->key_attno <= 0)
			elog(ERROR, "partition %u has no distribution column", relid);
	}
}

/*
 * CzShardTree
 *		See cz/cluster.h.
 */
List *
CzShardTree(const CzTable *root, int index)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(root->relid, AccessShareLock, NULL))
	{
		CzTreeShard *node = palloc(sizeof(CzTreeShard));

		node->relid = lfirst_oid(lc);
		node->shard = &CzTableGet(lfirst_oid(lc))->shards[index];
		result = lappend(result, node);
	}
	return result;
}

/*
 * CzTreeShardOf
 *		See cz/cluster.h.
 */
const CzShard *
CzTreeShardOf(const List *tree, Oid relid)
{
	ListCell   *lc;

	foreach(lc, tree)
	{
		if (((const CzTreeShard *) lfirst(lc))->relid == relid)
			return ((const CzTreeShard *) lfirst(lc))->shard;
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("partition \"%s\" was attached meanwhile", get_rel_name(relid))));
}

/*
 * CzPartitionsSql
 *		See distribute_int.h.
 */
void
CzPartitionsSql(StringInfo sql, const CzTable *root, const List *tree, Oid server_oid)
{
	CzDistribution dist;
	int			n;

	CzTableDistribution(root, &dist);
	for (n = 1; n < list_length(tree); n++)
	{
		const CzTreeShard *node = list_nth(tree, n);
		Relation	rel = relation_open(node->relid, NoLock);
		CzDistribution own;
		char	   *grants;

		CzPartDistribution(&dist, root->relid, node->relid, &own);
		CzShardCreateSql(sql, CzTableDefGet(rel), node->shard,
						 own.method == PARTITION_STRATEGY_HASH ?
						 CzHashCheckSql(rel, &own, node->shard) : NULL);
		grants = CzGrantsSql(node->relid, server_oid, node->shard->remote_qualified);
		if (grants)
			appendStringInfo(sql, "%s;\n", grants);
		relation_close(rel, NoLock);
	}
	/* children before their parents, and default partitions last */
	for (n = list_length(tree) - 1; n > 0; n--)
	{
		const CzTreeShard *node = list_nth(tree, n);
		const CzShard *parent = CzTreeShardOf(tree, get_partition_parent(node->relid, false));
		Relation	rel = relation_open(node->relid, NoLock);

		CzShardIndexesSql(sql, CzTableDefGet(rel), node->shard);
		relation_close(rel, NoLock);
		appendStringInfo(sql, "ALTER TABLE %s ATTACH PARTITION %s %s;\n",
						 parent->remote_qualified, node->shard->remote_qualified,
						 CzPartitionBoundSql(node->relid));
	}
}

/*
 * CzTreeUncheckedSql
 *		See cz/cluster.h.  What a partition has of its parent comes and goes with the parent's.
 */
void
CzTreeUncheckedSql(StringInfo sql, const List *tree, bool drops)
{
	int			n;

	for (n = 0; n < list_length(tree); n++)
	{
		const CzTreeShard *node = list_nth(tree, n);
		Relation	rel = relation_open(node->relid, NoLock);
		CzTableDef *def = CzTableDefGet(rel);
		ListCell   *lc;

		foreach(lc, def->unchecked)
		{
			if (n > 0 && ((const CzUncheckedDef *) lfirst(lc))->is_inherited)
				def->unchecked = foreach_delete_current(def->unchecked, lc);
		}
		CzShardUncheckedSql(sql, def, node->shard, drops);
		relation_close(rel, NoLock);
	}
}

/*
 * CzAttachIndexesSql
 *		See cz/cluster.h.
 */
void
CzAttachIndexesSql(StringInfo sql, const List *tree)
{
	ListCell   *li;
	int			n;

	for (n = 1; n < list_length(tree); n++)
	{
		const CzTreeShard *node = list_nth(tree, n);
		Relation	rel = relation_open(node->relid, NoLock);

		foreach(li, RelationGetIndexList(rel))
		{
			Oid			parent_index = get_rel_relispartition(lfirst_oid(li)) ?
				get_partition_parent(lfirst_oid(li), false) : InvalidOid;
			const CzShard *parent;

			if (!OidIsValid(parent_index) || get_index_isvalid(parent_index))
				continue;
			parent = CzTreeShardOf(tree, IndexGetRelation(parent_index, false));
			appendStringInfo(sql, "ALTER INDEX %s ATTACH PARTITION %s;\n",
							 CzQualifiedIndex(parent, get_rel_name(parent_index)),
							 CzQualifiedIndex(node->shard, get_rel_name(lfirst_oid(li))));
		}
		relation_close(rel, NoLock);
	}
}
