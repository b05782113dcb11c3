/*-------------------------------------------------------------------------
 *
 * reindex.c
 *	  REINDEX and CLUSTER of distributed and reference tables.
 *
 * A parent's indexes have no storage: REINDEX is done on the shards alone, in the
 * transaction.  CLUSTER runs here in the parent's moment, which finds core's errors and
 * notes the index, then on the shards.  A reference table is core's here, and its copies
 * follow.
 *
 * Of a table that its user has partitioned it is the partitions' that are made anew, in
 * one transaction, where core takes one for each.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/cluster.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "ddl_int.h"

static void
reindex_table_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	appendStringInfo(sql, "REINDEX TABLE %s;\n", shard->remote_qualified);
}

/* arg: the index' name here */
static void
reindex_index_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	appendStringInfo(sql, "REINDEX INDEX %s;\n",
					 CzQualifiedIndex(shard, (const char *) arg));
}

static void
cluster_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	appendStringInfo(sql, "CLUSTER %s USING %s;\n", shard->remote_qualified,
					 quote_identifier(CzShardIndexName((const char *) arg, shard->name_id)));
}

/*
 * REINDEX and CLUSTER of a table that its user has partitioned, or of an index of one:
 * of all partitions.  Core does each in a transaction of its own, so none may be open.
 *
 * index_oid: or InvalidOid: the table's.
 * Returns: the partitions (or the index' own ones) that have rows, list of OIDs; locked.
 */
static List *
partitions_with_rows(const CzUtility *utility, const CzTable *table, Oid index_oid,
					 LOCKMODE lockmode, const char *command)
{
	List	   *result = NIL;
	ListCell   *lc;

	PreventInTransactionBlock(utility->context == PROCESS_UTILITY_TOPLEVEL, command);
	foreach(lc, find_all_inheritors(OidIsValid(index_oid) ? index_oid : table->relid, lockmode,
									NULL))
	{
		Oid			oid = lfirst_oid(lc);
		const CzTable *part;

		if (OidIsValid(index_oid))
			LockRelationOid(IndexGetRelation(oid, false), lockmode);
		part = CzTableGet(OidIsValid(index_oid) ? IndexGetRelation(oid, false) : oid);
		if (part != NULL && !part->is_partitioned)
			result = lappend_oid(result, oid);
	}
	return result;
}

static void
reindex_partitions(const CzUtility *utility, const CzTable *table, Oid index_oid)
{
	ListCell   *lc;

	foreach(lc, partitions_with_rows(utility, table, index_oid, ShareLock,
									 OidIsValid(index_oid) ? "REINDEX INDEX" : "REINDEX TABLE"))
	{
		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(index_oid))
			CzRunOnPlacements(CzTableGet(IndexGetRelation(lfirst_oid(lc), false)),
							  reindex_index_sql, get_rel_name(lfirst_oid(lc)));
		else
			CzRunOnPlacements(CzTableGet(lfirst_oid(lc)), reindex_table_sql, NULL);
	}
}

/* Core marks no index for it, and wants one to be named or marked by hand. */
static void
cluster_partitions(const CzUtility *utility, const CzTable *table, const ClusterStmt *stmt)
{
	Relation	rel = relation_open(table->relid, NoLock);
	Oid			index_oid = InvalidOid;
	ListCell   *lc;

	if (stmt->indexname == NULL)
	{
		foreach(lc, RelationGetIndexList(rel))
		{
			if (get_index_isclustered(lfirst_oid(lc)))
				index_oid = lfirst_oid(lc);
		}
		if (!OidIsValid(index_oid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("there is no previously clustered index for table \"%s\"",
							stmt->relation->relname)));
	}
	else
	{
		index_oid = get_relname_relid(stmt->indexname, RelationGetNamespace(rel));
		if (!OidIsValid(index_oid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("index \"%s\" for table \"%s\" does not exist",
							stmt->indexname, stmt->relation->relname)));
	}
	check_index_is_clusterable(rel, index_oid, AccessShareLock);
	relation_close(rel, NoLock);
	foreach(lc, partitions_with_rows(utility, table, index_oid, AccessExclusiveLock, "CLUSTER"))
	{
		CHECK_FOR_INTERRUPTS();
		CzRunOnPlacements(CzTableGet(IndexGetRelation(lfirst_oid(lc), false)), cluster_sql,
						  get_rel_name(lfirst_oid(lc)));
	}
}

/* Is it a table whose shards this statement must reach? */
static bool
has_shards(const CzTable *table)
{
	return CzTxnIsCoordinator() &&
		(table->kind != CZ_TABLE_REFERENCE || CzReferenceHasTriggers(table->relid));
}

/* What REINDEX may say; false: core complains about it. */
static bool
check_reindex_options(const CzTable *table, const ReindexStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->params)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "concurrently") == 0)
		{
			if (defGetBoolean(def))
				CzRefuseDdl(table, "REINDEX CONCURRENTLY",
							"Use REINDEX: all shards change in one transaction.");
		}
		else if (strcmp(def->defname, "tablespace") == 0)
		{
			Oid			oid = get_tablespace_oid(defGetString(def), true);

			if (OidIsValid(oid) && oid != MyDatabaseTableSpace)
				CzRefuseDdl(table, "REINDEX (TABLESPACE ...)", NULL);
			if (!OidIsValid(oid))
				return false;
		}
		else if (strcmp(def->defname, "verbose") != 0)
			return false;
	}
	return true;
}

/*
 * CzReindex
 *		See ddl_int.h.
 */
bool
CzReindex(const CzUtility *utility, ReindexStmt *stmt)
{
	bool		is_index = stmt->kind == REINDEX_OBJECT_INDEX;
	const CzTable *table;
	Oid			relid;
	Oid			named;
	char		relkind;

	if (!is_index && stmt->kind != REINDEX_OBJECT_TABLE)
		return false;
	named = RangeVarGetRelid(stmt->relation, NoLock, true);
	relkind = OidIsValid(named) ? get_rel_relkind(named) : '\0';
	/* a name of the wrong kind of object, or of none: core says so */
	if (is_index ? relkind != RELKIND_INDEX && relkind != RELKIND_PARTITIONED_INDEX :
		relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	relid = is_index ? IndexGetRelation(named, true) : named;
	table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		return false;
	/* check ownership before locking, so that other users cannot block the table */
	if (!class_ownercheck_compat(named, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, is_index ? OBJECT_INDEX : OBJECT_TABLE,
					   get_rel_name(named));
	if (!check_reindex_options(table, stmt))
		return false;
	LockRelationOid(relid, ShareLock);
	/* it may have become another one meanwhile */
	if (RangeVarGetRelid(stmt->relation, NoLock, true) != named ||
		(table = CzTableGet(relid)) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("relation \"%s\" has been changed by another session",
						stmt->relation->relname),
				 errhint("Repeat the statement.")));
	if (!has_shards(table))
	{
		if (table->kind == CZ_TABLE_REFERENCE)
			return false;
		CzRefuseDdl(table, "REINDEX", "This database is not the coordinator.");
	}
	if (table->is_partitioned)
	{
		reindex_partitions(utility, table, is_index ? named : InvalidOid);
		return true;
	}
	if (table->kind == CZ_TABLE_REFERENCE)
		CzUtilityRun(utility, (Node *) stmt);
	else
	{
		Relation	rel = relation_open(relid, NoLock);

		CheckTableNotInUse(rel, is_index ? "REINDEX INDEX" : "REINDEX TABLE");
		relation_close(rel, NoLock);
	}
	if (is_index)
		CzRunOnPlacements(table, reindex_index_sql, get_rel_name(named));
	else
		CzRunOnPlacements(table, reindex_table_sql, NULL);
	return true;
}

/* The index that a table is clustered by, as its name. */
static char *
clustered_index(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);
	char	   *result = NULL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		if (get_index_isclustered(lfirst_oid(lc)))
			result = get_rel_name(lfirst_oid(lc));
	}
	relation_close(rel, NoLock);
	return result;
}

/* CLUSTER of all tables: core would take a parent for a table that has rows. */
static void
check_cluster_all(void)
{
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL || table->kind == CZ_TABLE_FOREIGN ||
			!class_ownercheck_compat(table->relid, GetUserId()))
			continue;
		LockRelationOid(table->relid, AccessShareLock);
		if (clustered_index(table->relid) != NULL)
			CzRefuseDdl(table, "CLUSTER without a table's name",
						"Use CLUSTER with the name of each table.");
	}
}

/*
 * CzCluster
 *		See ddl_int.h.
 */
bool
CzCluster(const CzUtility *utility, ClusterStmt *stmt)
{
	const CzTable *table;
	char	   *index;
	Oid			relid;

	if (stmt->relation == NULL)
	{
		check_cluster_all();
		return false;
	}
	if (CzTableOfName(stmt->relation) == NULL)
		return false;
	table = CzLockTableOfName(stmt->relation, AccessExclusiveLock, true);
	if (table == NULL)
		return false;
	relid = table->relid;
	if (!has_shards(table))
	{
		if (table->kind == CZ_TABLE_REFERENCE)
			return false;
		CzRefuseDdl(table, "CLUSTER", "This database is not the coordinator.");
	}
	if (table->is_partitioned)
	{
		cluster_partitions(utility, table, stmt);
		return true;
	}

	stmt = copyObject(stmt);
	stmt->relation->schemaname = get_namespace_name(get_rel_namespace(relid));
	if (table->kind == CZ_TABLE_REFERENCE)
		CzUtilityRun(utility, (Node *) stmt);
	else
		CzMomentRun(utility, (Node *) stmt, list_make1_oid(relid), InvalidOid);
	CommandCounterIncrement();
	CzInvalidateTable(relid);
	index = clustered_index(relid);
	if (index != NULL)
		CzRunOnPlacements(CzTableGet(relid), cluster_sql, index);
	return true;
}
