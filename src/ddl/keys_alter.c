/*-------------------------------------------------------------------------
 *
 * keys_alter.c
 *	  Statements that make foreign keys, or make them again.
 *
 * Core adds a key to both ends, and does so again when a column of it changes its type.
 * So the other end has to be an ordinary table for the moment, too.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* The foreign keys that a command of ALTER TABLE adds, as the parser has them. */
static List *
keys_of_command(const AlterTableCmd *cmd)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (cmd->subtype == AT_AddConstraint &&
		castNode(Constraint, cmd->def)->contype == CONSTR_FOREIGN)
		return list_make1(cmd->def);
	foreach(lc, cmd->subtype == AT_AddColumn ? castNode(ColumnDef, cmd->def)->constraints : NIL)
	{
		if (lfirst_node(Constraint, lc)->contype == CONSTR_FOREIGN)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * CzLeaveKeysToShards
 *		Core is not to look at rows for the foreign keys that a statement adds: it would
 *		see none.  The workers look at theirs.  stmt is changed.
 */
void
CzLeaveKeysToShards(AlterTableStmt *stmt)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, stmt->cmds)
	{
		foreach(lk, keys_of_command(lfirst_node(AlterTableCmd, lc)))
			lfirst_node(Constraint, lk)->skip_validation = true;
	}
}

/* CzIsParent(), or distributed by range and still without shards. */
static bool
is_parent(Oid relid)
{
	const CzTable *table = CzTableGet(relid);

	return (table != NULL && CzTableIsDistributed(table)) || CzIsParent(relid);
}

/* Must it be an ordinary table while core makes a key of it, or to it?  What its user has
 * partitioned has no foreign tables below it, and need not. */
static bool
needs_moment(Oid relid)
{
	const CzTable *table = CzTableGet(relid);

	return table != NULL && OidIsValid(table->map_relid) ? false : is_parent(relid);
}

/* Who may not refer to a table must not lock it either. */
static void
check_privilege(Oid relid)
{
	if (pg_class_aclcheck(relid, GetUserId(), ACL_REFERENCES) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_REFERENCES,
								  ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/* Has a column of the table an end of the key? */
static bool
has_column(const CzKey *key, Oid relid, AttrNumber attno)
{
	int			i;

	for (i = 0; i < key->ncolumns; i++)
	{
		if ((key->from_relid == relid && key->from_attnos[i] == attno) ||
			(key->to_relid == relid && key->to_attnos[i] == attno))
			return true;
	}
	return false;
}

/* The other ends of keys that core makes again for a column's new type. */
static List *
partners_of_column(List *partners, Oid relid, const char *column)
{
	AttrNumber	attno = get_attnum(relid, column);
	ListCell   *lc;

	foreach(lc, attno > 0 ? CzForeignKeys(relid, true) : NIL)
	{
		const CzKey *key = CzKeyGet(lfirst_oid(lc));
		Oid			other = key->from_relid == relid ? key->to_relid : key->from_relid;

		if (other == relid || !has_column(key, relid, attno))
			continue;
		if (needs_moment(other))
			partners = list_append_unique_oid(partners, other);
	}
	return partners;
}

/*
 * The distributed tables to which an ordinary table refers that a partition is taken from: its
 * keys become the partition's own, with triggers on these tables.
 */
static List *
partners_of_partition(List *partners, Oid relid, const AlterTableCmd *cmd)
{
	Relation	rel;
	ListCell   *lc;

	if (CzTableGet(relid) != NULL || CzIsParent(relid))
		return partners;
	rel = table_open(relid, NoLock);
	foreach(lc, RelationGetFKeyList(rel))
	{
		const ForeignKeyCacheInfo *key = lfirst_node(ForeignKeyCacheInfo, lc);

		if (!is_parent(key->confrelid))
			continue;
		if (cmd->subtype == AT_DetachPartition && castNode(PartitionCmd, cmd->def)->concurrent)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot detach a partition of table \"%s\" concurrently",
							RelationGetRelationName(rel)),
					 errdetail("Foreign key \"%s\" refers to distributed table \"%s\".",
							   get_constraint_name(key->conoid),
							   get_rel_name(key->confrelid)),
					 errhint("Use DETACH PARTITION without CONCURRENTLY.")));
		if (needs_moment(key->confrelid))
			partners = list_append_unique_oid(partners, key->confrelid);
	}
	table_close(rel, NoLock);
	return partners;
}

/*
 * CzKeyTargets
 *		Other distributed tables that foreign keys of a statement refer to: list of OIDs.
 */
List *
CzKeyTargets(const AlterTableStmt *stmt, Oid relid)
{
	List	   *targets = NIL;
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, stmt->cmds)
	{
		foreach(lk, keys_of_command(lfirst_node(AlterTableCmd, lc)))
		{
			Oid			target = RangeVarGetRelid(lfirst_node(Constraint, lk)->pktable, NoLock,
												  false);

			if (target == relid || !is_parent(target))
				continue;
			check_privilege(target);
			targets = list_append_unique_oid(targets, target);
		}
	}
	return targets;
}

/*
 * CzKeyTargetsNote
 *		A statement may add keys to a distributed table that are held here: who does what
 *		others do depends on them.
 */
void
CzKeyTargetsNote(const AlterTableStmt *stmt, Oid relid)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		if (keys_of_command(lfirst_node(AlterTableCmd, lc)) != NIL)
			CzKeyActorsNote(CzRootOf(relid));
	}
	foreach(lc, CzKeyTargets(stmt, relid))
		CzKeyActorsNote(CzRootOf(lfirst_oid(lc)));
}

/*
 * CzKeyPartners
 *		Parents, but the table itself, that must be ordinary tables while core runs an
 *		ALTER TABLE: list of OIDs, in order.
 */
List *
CzKeyPartners(const AlterTableStmt *stmt, Oid relid)
{
	List	   *partners = NIL;
	ListCell   *lc;

	foreach(lc, CzKeyTargets(stmt, relid))
	{
		if (needs_moment(lfirst_oid(lc)))
			partners = lappend_oid(partners, lfirst_oid(lc));
	}
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AlterColumnType)
			partners = partners_of_column(partners, relid, cmd->name);
		else if (cmd->subtype == AT_DetachPartition ||
				 cmd->subtype == AT_DetachPartitionFinalize)
			partners = partners_of_partition(partners, relid, cmd);
	}
	list_sort(partners, list_oid_cmp);
	return partners;
}

/*
 * CzRefuseKeyTo
 *		A table can't refer to another one.
 */
void
CzRefuseKeyTo(Oid relid, Oid target, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot create a foreign key from table \"%s\" to table \"%s\"",
					get_rel_name(relid), get_rel_name(target)),
			 errdetail_internal("%s", detail)));
}

/*
 * An ordinary table may refer to a distributed one, and is checked here; but a tenant's
 * table goes with its tenant, and nothing outside of the schema to it.
 */
static void
check_local_partner(Oid relid, Oid partner)
{
	int			group = cz_tenant_hooks.group(get_rel_namespace(relid));
	const CzTable *table = CzTableGet(partner);

	if (table == NULL)
		return;
	if (group != 0 ? table->kind != CZ_TABLE_SINGLE || table->colocation_id != group :
		cz_tenant_hooks.group(get_rel_namespace(partner)) != 0)
		CzRefuseKeyTo(relid, partner,
					  _("Tables of a schema that is a tenant and others cannot refer to each other."));
}

/*
 * A key of an ordinary table that core has made without a look at the rows: it is one that is
 * not valid, until core has had that look.
 */
static void
validate_key(Oid relid, Oid constraint_oid)
{
	Relation	catalog = table_open(ConstraintRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	Form_pg_constraint con;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	con->convalidated = false;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
	(void) CzCatalogExec(psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s",
								  CzRelationName(relid),
								  quote_identifier(NameStr(con->conname))), 0, NULL, NULL, NULL);
	heap_freetuple(tuple);
}

/* The key that a partition's comes from, and whether it is taken for valid. */
static Oid
top_of_key(Oid constraint_oid, bool *is_valid)
{
	for (;;)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
		Form_pg_constraint con;
		Oid			parent_oid;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
		con = (Form_pg_constraint) GETSTRUCT(tuple);
		*is_valid = con->convalidated;
		parent_oid = con->conparentid;
		ReleaseSysCache(tuple);
		if (!OidIsValid(parent_oid))
			return constraint_oid;
		constraint_oid = parent_oid;
	}
}

/* The same of all new keys of a table, and of its partitions'; known: those that are not new. */
static void
validate_keys(Oid relid, List *known)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		List	   *keys = NIL;

		if (rel->rd_rel->relkind == RELKIND_RELATION && RelationGetNumberOfBlocks(rel) > 0)
		{
			foreach(lk, RelationGetFKeyList(rel))
				keys = lappend_oid(keys, lfirst_node(ForeignKeyCacheInfo, lk)->conoid);
		}
		table_close(rel, NoLock);
		foreach(lk, keys)
		{
			bool		is_valid;

			if (!list_member_oid(known, top_of_key(lfirst_oid(lk), &is_valid)) && is_valid)
				validate_key(lfirst_oid(lc), lfirst_oid(lk));
		}
	}
}

/*
 * CzLocalKeysBegin
 *		An ALTER TABLE of an ordinary or a reference table is about to run while partners, to
 *		which it adds foreign keys, are ordinary tables: as they have no rows then, core is not
 *		to look for them.
 *
 * Returns: the keys that the table has, for CzLocalKeysEnd.
 */
List *
CzLocalKeysBegin(AlterTableStmt *stmt, Oid relid, List *partners)
{
	ListCell   *lc;

	foreach(lc, CzKeyTargets(stmt, relid))
	{
		if (!list_member_oid(partners, lfirst_oid(lc)))
			CzKeyActorsNote(lfirst_oid(lc));
	}
	if (partners != NIL)
		CzLeaveKeysToShards(stmt);
	foreach(lc, partners)
	{
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
		CzKeyActorsNote(lfirst_oid(lc));
	}
	return CzForeignKeys(relid, false);
}

/*
 * CzLocalKeysEnd
 *		It has run.
 *
 * Errors:  0A000 if a table must not refer to another; 23503.
 */
void
CzLocalKeysEnd(Oid relid, List *partners, List *known)
{
	ListCell   *lc;

	CommandCounterIncrement();
	foreach(lc, partners)
		CzInvalidateTable(lfirst_oid(lc));
	if (!CzTxnIsCoordinator())
		return;
	/* core's errors first */
	foreach(lc, CzForeignKeys(relid, false))
	{
		Oid			to_relid;

		if (list_member_oid(known, lfirst_oid(lc)))
			continue;
		to_relid = CzKeyGet(lfirst_oid(lc))->to_relid;
		check_local_partner(relid, to_relid);
		CzInvalidateTable(CzRootOf(to_relid));
	}
	if (partners != NIL)
		validate_keys(relid, known);
}

/*
 * CzAlterLocalKeys
 *		Run an ALTER TABLE of an ordinary table that adds foreign keys to distributed ones,
 *		which CREATE TABLE ends with, too.  False: it is another statement.
 *
 * Core's triggers hold them: that of the table looks for the referenced rows by a query,
 * and those of the distributed one, which fire here (CzTriggerFiresHere), for the referring
 * ones.
 */
bool
CzAlterLocalKeys(const CzUtility *utility, AlterTableStmt *stmt, Oid relid)
{
	List	   *targets = CzKeyTargets(stmt, relid);
	List	   *partners = CzKeyPartners(stmt, relid);
	List	   *known;

	if (partners == NIL && targets == NIL)
		return false;
	/* the name must not come to mean another table on the way */
	stmt = (AlterTableStmt *) CzQualifyRelation((Node *) stmt);
	known = CzLocalKeysBegin(stmt, relid, partners);
	CzMomentRun(utility, (Node *) stmt, partners, NIL);
	CzLocalKeysEnd(relid, partners, known);
	return true;
}

/* Is one of these tables ours? */
static bool
has_our_table(List *relids)
{
	ListCell   *lc;

	foreach(lc, relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && table->kind != CZ_TABLE_FOREIGN)
			return true;
	}
	return false;
}

/*
 * CzTruncate
 *		TRUNCATE ... CASCADE that comes to distributed tables: core would forget the shards of
 *		tables that it adds, so they are named; false: core runs the statement as it is.
 */
bool
CzTruncate(const CzUtility *utility, TruncateStmt *stmt)
{
	List	   *relids = NIL;
	List	   *all;
	List	   *more;
	ListCell   *lc;

	if (stmt->behavior != DROP_CASCADE)
		return false;
	foreach(lc, stmt->relations)
	{
		Oid			relid = RangeVarGetRelid((RangeVar *) lfirst(lc), NoLock, true);

		/* core says it, and does not lock the table for who may not truncate it */
		if (!OidIsValid(relid) ||
			pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
			return false;
		relids = list_append_unique_oid(relids, relid);
	}
	/* an ordinary table may be referred to by a reference table, and that by others */
	all = list_copy(relids);
	while ((more = heap_truncate_find_FKs(all)) != NIL)
		all = list_concat(all, more);
	if (!has_our_table(all))
		return false;
	foreach(lc, relids)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	stmt = copyObject(stmt);
	while ((more = heap_truncate_find_FKs(relids)) != NIL)
	{
		foreach(lc, more)
		{
			ereport(NOTICE,
					(errmsg("truncate cascades to table \"%s\"",
							get_rel_name(lfirst_oid(lc)))));
			stmt->relations =
				lappend(stmt->relations,
						makeRangeVar(get_namespace_name(get_rel_namespace(lfirst_oid(lc))),
									 get_rel_name(lfirst_oid(lc)), -1));
		}
		relids = list_concat(relids, more);
	}
	if (!CzTruncateParts(stmt))
		CzUtilityRun(utility, (Node *) stmt);
	return true;
}

/*
 * CzRenewKeysTo
 *		See ddl_int.h.
 */
void
CzRenewKeysTo(Oid relid, List *old, const CzImage *before, const CzImage *after)
{
	List	   *keys = NIL;
	List	   *relids = NIL;
	List	   *own = find_all_inheritors(relid, NoLock, NULL);
	ListCell   *lc;
	ListCell   *lk;
	int			i;

	for (i = 0; i < before->ncolumns; i++)
	{
		const CzColumnImage *a = &before->columns[i];
		const CzColumnImage *b = &after->columns[i];

		if (!a->is_dropped && !b->is_dropped &&
			(a->type != b->type || a->typmod != b->typmod || a->collation != b->collation))
			return;
	}
	foreach(lc, CzTreeKeysOnShards(relid, true))
	{
		const CzKey *key = lfirst(lc);

		if (list_member_oid(old, key->oid) || list_member_oid(own, key->from_relid))
			continue;
		keys = lappend(keys, lfirst(lc));
		relids = list_append_unique_oid(relids, key->from_relid);
	}
	CzKeysTakeOff(keys);
	foreach(lc, relids)
	{
		List	   *oids = NIL;

		foreach(lk, keys)
		{
			const CzKey *key = lfirst(lk);

			if (key->from_relid == lfirst_oid(lc))
				oids = lappend_oid(oids, key->oid);
		}
		CzForeignKeysToShards(lfirst_oid(lc), oids);
	}
}
