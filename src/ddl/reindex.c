/*-------------------------------------------------------------------------
 *
 * reindex.c
 *	  REINDEX and CLUSTER of distributed and reference tables.
 *
 * A parent's indexes have no storage: REINDEX is done on the shards alone, in the
 * transaction (CONCURRENTLY: reindex_concurrently.c), and of a schema or the database a
 * table at a time, as core does.  It also makes what a CONCURRENTLY form that has failed
 * has left unfinished.  CLUSTER runs here in the parent's moment, which finds core's errors and
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
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
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
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "concurrently_int.h"

/* What the shards get. */
typedef struct Reindex
{
	List	   *defs;			/* CzIndexDef *: those of the table, or the one that is named */
	bool		is_index;
} Reindex;

/* Drop the remains of a REINDEX CONCURRENTLY. */
static void
leftovers_sql(StringInfo sql, const CzShard *shard)
{
	appendStringInfo(sql, "FOR r IN SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
					 "WHERE i.indrelid = %s::regclass AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' LOOP "
					 "EXECUTE format('DROP INDEX %%I.%%I', %s, r.relname); END LOOP;\n",
					 quote_literal_cstr(shard->remote_qualified),
					 quote_literal_cstr(shard->remote_schema));
}

/* Make an index that is not there, or invalid.  is_index: build it again if it is good. */
static void
mend_sql(StringInfo sql, const CzShard *shard, const CzIndexDef *def, bool is_index)
{
	char	   *qualified = CzQualifiedIndex(shard, def->name);
	StringInfoData create;

	if (def->is_constraint)
	{
		if (is_index)
			appendStringInfo(sql, "REINDEX INDEX %s;\n", qualified);
		return;
	}
	initStringInfo(&create);
	CzShardIndexSql(&create, def, shard);
	appendStringInfo(sql, "IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = to_regclass(%s) AND i.indisvalid) THEN "
					 "DROP INDEX IF EXISTS %s;\n%s%s%s END IF;\n",
					 quote_literal_cstr(qualified), qualified, create.data,
					 is_index ? "ELSE REINDEX INDEX " : "",
					 is_index ? psprintf("%s;", qualified) : "");
}

static void
reindex_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const Reindex *reindex = arg;
	StringInfoData body;
	ListCell   *lc;

	initStringInfo(&body);
	appendStringInfoString(&body, "DECLARE r record; BEGIN\n");
	leftovers_sql(&body, shard);
	if (!reindex->is_index)
		appendStringInfo(&body, "REINDEX TABLE %s;\n", shard->remote_qualified);
	foreach(lc, reindex->defs)
		mend_sql(&body, shard, lfirst(lc), reindex->is_index);
	appendStringInfoString(&body, "END");
	appendStringInfo(sql, "DO LANGUAGE plpgsql %s;\n", quote_literal_cstr(body.data));
}

/* arg: the index' name here */
static void
cluster_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	appendStringInfo(sql, "CLUSTER %s USING %s;\n", shard->remote_qualified,
					 quote_identifier(CzShardIndexName((const char *) arg, shard->name_id)));
}

/*
 * reindex_shards
 *		Build the indexes of a locked table's shards again, or one of them, in the
 *		transaction; what is invalid here is not any more.
 *
 * utility, stmt: NULL: a reference table's are built here already.
 */
static void
reindex_shards(const CzUtility *utility, ReindexStmt *stmt, const CzTable *table, Oid index_oid)
{
	Reindex		reindex;
	Relation	rel = relation_open(table->relid, NoLock);
	List	   *indexes = OidIsValid(index_oid) ? list_make1_oid(index_oid) :
		list_copy(RelationGetIndexList(rel));
	ListCell   *lc;

	relation_close(rel, NoLock);
	reindex.is_index = OidIsValid(index_oid);
	reindex.defs = NIL;
	foreach(lc, indexes)
		reindex.defs = lappend(reindex.defs, CzIndexDefGet(lfirst_oid(lc)));
	if (table->kind == CZ_TABLE_REFERENCE && stmt != NULL)
		CzUtilityRun(utility, (Node *) stmt);
	CzRunOnPlacements(table, reindex_sql, &reindex);
	foreach(lc, table->kind == CZ_TABLE_REFERENCE ? NIL : indexes)
		CzMarkIndexValid(lfirst_oid(lc));
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
			reindex_shards(NULL, NULL, CzTableGet(IndexGetRelation(lfirst_oid(lc), false)),
						   lfirst_oid(lc));
		else
			reindex_shards(NULL, NULL, CzTableGet(lfirst_oid(lc)), InvalidOid);
	}
}

/* Is it a table whose shards this statement must reach? */
static bool
has_shards(const CzTable *table)
{
	return CzTxnIsCoordinator() &&
		(table->kind != CZ_TABLE_REFERENCE || CzReferenceHasTriggers(table->relid));
}

/*
 * A table of several, or an index of it, in a transaction of its own; it may be gone.
 */
static void
reindex_next(Oid relid, Oid index_oid, bool concurrently)
{
	const CzTable *table;

	CzNextTransaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	LockRelationOid(relid, concurrently ? ShareUpdateExclusiveLock : ShareLock);
	table = get_rel_relkind(relid) != '\0' ? CzTableGet(relid) : NULL;
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || !has_shards(table) ||
		(OidIsValid(index_oid) && IndexGetRelation(index_oid, true) != relid))
		return;
	if (concurrently)
		CzReindexConcurrently(NULL, NULL, relid, index_oid);
	else
		reindex_shards(NULL, NULL, table, InvalidOid);
	while (ActiveSnapshotSet())
		PopActiveSnapshot();
}

/*
 * The same CONCURRENTLY: each in transactions of its own, and if it is still there when its
 * turn comes.  Exclusion constraints cannot be on a partitioned table.
 */
static void
reindex_partitions_concurrently(const CzUtility *utility, const CzTable *table, Oid index_oid)
{
	List	   *oids;
	List	   *relids = NIL;
	MemoryContext old;
	ListCell   *lc;

	oids = partitions_with_rows(utility, table, index_oid, ShareUpdateExclusiveLock,
								OidIsValid(index_oid) ? "REINDEX INDEX" : "REINDEX TABLE");
	/* they outlive the transaction */
	old = MemoryContextSwitchTo(PortalContext);
	oids = list_copy(oids);
	foreach(lc, oids)
		relids = lappend_oid(relids, OidIsValid(index_oid) ?
							 IndexGetRelation(lfirst_oid(lc), false) : lfirst_oid(lc));
	MemoryContextSwitchTo(old);
	foreach(lc, oids)
		reindex_next(list_nth_oid(relids, foreach_current_index(lc)),
					 OidIsValid(index_oid) ? lfirst_oid(lc) : InvalidOid, true);
}

/* A partition is clustered by an index; core refuses to mark one that it takes for partitioned. */
static void
mark_clustered(Oid index_oid)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	Relation	rel = relation_open(IndexGetRelation(index_oid, false), NoLock);
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index form;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		form = (Form_pg_index) GETSTRUCT(tuple);
		if (form->indisclustered != (lfirst_oid(lc) == index_oid))
		{
			form->indisclustered = !form->indisclustered;
			CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		}
		heap_freetuple(tuple);
	}
	CacheInvalidateRelcache(rel);
	relation_close(rel, NoLock);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/* Core marks no index of the table for it, and wants one to be named or marked by hand. */
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
		mark_clustered(lfirst_oid(lc));
	}
}

/* What REINDEX may say; false: core complains about it.  *concurrently: said so. */
static bool
check_reindex_options(const CzTable *table, const ReindexStmt *stmt, bool *concurrently)
{
	ListCell   *lc;

	*concurrently = false;
	foreach(lc, stmt->params)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "concurrently") == 0)
			*concurrently = defGetBoolean(def);
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

/* What the statement names, or InvalidOid: none of ours, or of the wrong kind. */
static Oid
reindexed_object(const ReindexStmt *stmt, Oid *relid)
{
	Oid			named = RangeVarGetRelid(stmt->relation, NoLock, true);
	bool		is_index = stmt->kind == REINDEX_OBJECT_INDEX;
	char		relkind = OidIsValid(named) ? get_rel_relkind(named) : '\0';
	const CzTable *table;

	if (is_index ? relkind != RELKIND_INDEX && relkind != RELKIND_PARTITIONED_INDEX :
		relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		return InvalidOid;
	*relid = is_index ? IndexGetRelation(named, true) : named;
	table = OidIsValid(*relid) ? CzTableGet(*relid) : NULL;
	return table != NULL && table->kind != CZ_TABLE_FOREIGN ? named : InvalidOid;
}

/* Of a table or an index. */
static bool
reindex_one(const CzUtility *utility, ReindexStmt *stmt)
{
	bool		is_index = stmt->kind == REINDEX_OBJECT_INDEX;
	bool		concurrently;
	const CzTable *table;
	Oid			relid;
	Oid			named = reindexed_object(stmt, &relid);

	if (!OidIsValid(named) ||
		!check_reindex_options(CzTableGet(relid), stmt, &concurrently))
		return false;
	if (concurrently)
		PreventInTransactionBlock(utility->context == PROCESS_UTILITY_TOPLEVEL,
								  "REINDEX CONCURRENTLY");
	/* check ownership before locking, so that other users cannot block the table */
	if (!may_maintain_compat(relid))
		aclcheck_error(ACLCHECK_NOT_MAINTAINER_COMPAT, is_index ? OBJECT_INDEX : OBJECT_TABLE,
					   get_rel_name(named));
	LockRelationOid(relid, concurrently ? ShareUpdateExclusiveLock : ShareLock);
	/* it may have become another one meanwhile */
	if (reindexed_object(stmt, &relid) != named)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("relation \"%s\" has been changed by another session",
						stmt->relation->relname),
				 errhint("Repeat the statement.")));
	table = CzTableGet(relid);
	if (!has_shards(table))
	{
		if (table->kind == CZ_TABLE_REFERENCE)
			return false;
		CzRefuseDdl(table, "REINDEX", "This database is not the coordinator.");
	}
	if (table->is_partitioned && concurrently)
	{
		reindex_partitions_concurrently(utility, table, is_index ? named : InvalidOid);
		return true;
	}
	if (table->is_partitioned)
	{
		reindex_partitions(utility, table, is_index ? named : InvalidOid);
		return true;
	}
	if (concurrently)
	{
		CzReindexConcurrently(utility, stmt, relid, is_index ? named : InvalidOid);
		return true;
	}
	if (table->kind != CZ_TABLE_REFERENCE)
	{
		Relation	rel = relation_open(relid, NoLock);

		CheckTableNotInUse(rel, is_index ? "REINDEX INDEX" : "REINDEX TABLE");
		relation_close(rel, NoLock);
	}
	reindex_shards(utility, stmt, table, is_index ? named : InvalidOid);
	return true;
}

/* Of a schema or the database: what is not ours is core's, which also says who may. */
static bool
reindex_several(const CzUtility *utility, ReindexStmt *stmt)
{
	Oid			schema_oid = stmt->kind == REINDEX_OBJECT_SCHEMA ?
		get_namespace_oid(stmt->name, true) : InvalidOid;
	List	   *relids = NIL;
	bool		concurrently = false;
	MemoryContext old;
	ListCell   *lc;

	if ((stmt->kind == REINDEX_OBJECT_SCHEMA && !OidIsValid(schema_oid)) ||
		!CzTxnIsCoordinator())
		return false;
	foreach(lc, CzTableListAll())
	{
		Oid			relid = lfirst_oid(lc);
		const CzTable *table = CzTableGet(relid);

		if (table == NULL || table->kind == CZ_TABLE_FOREIGN || !has_shards(table) ||
			table->is_partitioned ||
			(OidIsValid(schema_oid) && get_rel_namespace(relid) != schema_oid))
			continue;
		if (!check_reindex_options(table, stmt, &concurrently))
			return false;
		old = MemoryContextSwitchTo(PortalContext);
		relids = lappend_oid(relids, relid);
		MemoryContextSwitchTo(old);
	}
	CzUtilityRun(utility, (Node *) stmt);
	foreach(lc, relids)
		reindex_next(lfirst_oid(lc), InvalidOid, concurrently);
	return true;
}

/*
 * CzReindex
 *		See ddl_int.h.
 */
bool
CzReindex(const CzUtility *utility, ReindexStmt *stmt)
{
	switch (stmt->kind)
	{
		case REINDEX_OBJECT_INDEX:
		case REINDEX_OBJECT_TABLE:
			return reindex_one(utility, stmt);
		case REINDEX_OBJECT_SCHEMA:
		case REINDEX_OBJECT_DATABASE:
			return reindex_several(utility, stmt);
		default:
			/* only of catalogs */
			return false;
	}
}

static List *
invalid_indexes(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		if (!get_index_isvalid(lfirst_oid(lc)))
			result = lappend_oid(result, lfirst_oid(lc));
	}
	relation_close(rel, NoLock);
	return result;
}

/* Those that were invalid and are not any more: core has built them again. */
static void
mend_indexes(Oid relid, List *were_invalid)
{
	Reindex		reindex = {0};
	ListCell   *lc;

	reindex.is_index = true;
	foreach(lc, were_invalid)
	{
		if (get_index_isvalid(lfirst_oid(lc)))
			reindex.defs = lappend(reindex.defs, CzIndexDefGet(lfirst_oid(lc)));
	}
	if (reindex.defs != NIL)
		CzRunOnPlacements(CzTableGet(relid), reindex_sql, &reindex);
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
			!may_maintain_compat(table->relid))
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
	List	   *were_invalid;

	if (stmt->relation == NULL)
	{
		check_cluster_all();
		return false;
	}
	if (CzTableOfName(stmt->relation) == NULL)
		return false;
	(void) RangeVarGetRelidExtended(stmt->relation, AccessExclusiveLock, RVR_MISSING_OK,
									cluster_callback_compat, NULL);
	table = CzTableOfName(stmt->relation);
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
	were_invalid = invalid_indexes(relid);

	stmt = copyObject(stmt);
	stmt->relation->schemaname = get_namespace_name(get_rel_namespace(relid));
	if (table->kind == CZ_TABLE_REFERENCE)
		CzUtilityRun(utility, (Node *) stmt);
	else
		CzMomentRun(utility, (Node *) stmt, list_make1_oid(relid), NIL);
	CommandCounterIncrement();
	CzInvalidateTable(relid);
	index = clustered_index(relid);
	if (index != NULL)
		CzRunOnPlacements(CzTableGet(relid), cluster_sql, index);
	mend_indexes(relid, were_invalid);
	return true;
}
