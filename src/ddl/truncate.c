/*-------------------------------------------------------------------------
 *
 * truncate.c
 *	  TRUNCATE of distributed partitioned tables and of their partitions.
 *
 * Their rows are in shards of which core sees nothing below them: it would fire the
 * triggers and remove no row.  So core's second half is called from here, as its own
 * first half does, with the foreign tables of the shards behind the user's tables; the
 * FDW's callback is told what of a shard is meant (CzFdwTruncateParts).
 *
 * Source: own work; the checks of the first half are those of ExecuteTruncate() of
 * src/backend/commands/tablecmds.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/fdw.h"
#include "cz/metadata.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* Is a relation that can be truncated?  Asked before it is locked. */
static void
check_relation(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (form->relkind == RELKIND_FOREIGN_TABLE)
	{
		if (!GetFdwRoutineByServerId(GetForeignServerIdByRelId(relid))->ExecForeignTruncate)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot truncate foreign table \"%s\"", NameStr(form->relname))));
	}
	else if (form->relkind != RELKIND_RELATION && form->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", NameStr(form->relname))));
	if (!allowSystemTableMods && IsSystemClass(relid, form))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied: \"%s\" is a system catalog",
						NameStr(form->relname))));
	InvokeObjectTruncateHook(relid);
	ReleaseSysCache(tuple);
}

static void
check_named(const RangeVar *relation, Oid relid, Oid old_relid, void *arg)
{
	AclResult	result;

	if (!OidIsValid(relid))
		return;
	check_relation(relid);
	result = pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(get_rel_relkind(relid)), relation->relname);
}

/* The relations of a statement that have been locked and opened. */
typedef struct Truncated
{
	List	   *rels;
	List	   *relids;
	List	   *logged;			/* OIDs */
	List	   *parts;			/* OIDs: of roots and partitions what the statement names */
} Truncated;

static void
add_relation(Truncated *truncated, Relation rel)
{
	truncated->rels = lappend(truncated->rels, rel);
	truncated->relids = lappend_oid(truncated->relids, RelationGetRelid(rel));
	if (RelationIsLogicallyLogged(rel))
		truncated->logged = lappend_oid(truncated->logged, RelationGetRelid(rel));
}

static void
check_activity(Relation rel)
{
	if (RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot truncate temporary tables of other sessions")));
	CheckTableNotInUse(rel, "TRUNCATE");
}

/* A root or a partition of one? */
static bool
is_in_parts(Oid relid)
{
	const CzTable *table = OidIsValid(relid) ? CzTableGet(relid) : NULL;

	return table != NULL && OidIsValid(table->map_relid);
}

/* One relation that the statement names, with what is below it. */
static void
add_named(Truncated *truncated, RangeVar *name)
{
	Oid			relid = RangeVarGetRelidExtended(name, AccessExclusiveLock, 0, check_named, NULL);
	Relation	rel;
	ListCell   *lc;

	if (list_member_oid(truncated->relids, relid))
		return;
	rel = table_open(relid, NoLock);
	check_activity(rel);
	add_relation(truncated, rel);
	if (is_in_parts(relid))
		truncated->parts = lappend_oid(truncated->parts, relid);

	/* to the user a partition is an ordinary table */
	if (!name->inh && rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
		!(is_in_parts(relid) && !CzTableGet(relid)->is_partitioned))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot truncate only a partitioned table"),
				 errhint("Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly.")));
	foreach(lc, name->inh ? find_all_inheritors(relid, AccessExclusiveLock, NULL) : NIL)
	{
		Oid			child_relid = lfirst_oid(lc);

		if (list_member_oid(truncated->relids, child_relid))
			continue;
		rel = table_open(child_relid, NoLock);
		if (RELATION_IS_OTHER_TEMP(rel))
		{
			table_close(rel, AccessExclusiveLock);
			continue;
		}
		check_relation(child_relid);
		check_activity(rel);
		add_relation(truncated, rel);
	}
}

/*
 * The foreign tables of the shards.  The locks of the tables, and those of the shards that
 * the callback takes, keep others out.
 */
static void
add_shards(Truncated *truncated)
{
	ListCell   *lc;

	foreach(lc, truncated->parts)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		int			i;

		for (i = 0; i < table->nshards; i++)
		{
			if (!list_member_oid(truncated->relids, table->shards[i].relid))
				add_relation(truncated, table_open(table->shards[i].relid, RowExclusiveLock));
		}
	}
}

/*
 * CzTruncateParts
 *		TRUNCATE that names a distributed partitioned table or a partition of one; false: it
 *		does not.
 */
bool
CzTruncateParts(TruncateStmt *stmt)
{
	Truncated	truncated = {NIL, NIL, NIL, NIL};
	bool		is_ours = false;
	ListCell   *lc;

	foreach(lc, stmt->relations)
		is_ours |= is_in_parts(RangeVarGetRelid((RangeVar *) lfirst(lc), NoLock, true));
	if (!is_ours)
		return false;
	foreach(lc, stmt->relations)
		add_named(&truncated, lfirst_node(RangeVar, lc));
	if (CzTxnIsCoordinator())
		add_shards(&truncated);
	CzFdwTruncateParts(truncated.parts);
	PG_TRY();
	{
		truncate_guts_compat(truncated.rels, truncated.relids, truncated.logged,
							 stmt->behavior, stmt->restart_seqs);
	}
	PG_FINALLY();
	{
		CzFdwTruncateParts(NIL);
	}
	PG_END_TRY();
	foreach(lc, truncated.rels)
		table_close((Relation) lfirst(lc), NoLock);
	return true;
}
