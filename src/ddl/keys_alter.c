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

#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

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
		const CzTable *from = CzTableGet(key->from_relid);

		if (other == relid || !has_column(key, relid, attno))
			continue;
		/* core would look for the rows that it refers to where there are none */
		if (from == NULL && CzIsParent(key->to_relid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot alter type of column \"%s\" of table \"%s\"",
							column, get_rel_name(relid)),
					 errdetail("Foreign key \"%s\" of table \"%s\", which is not distributed, refers to distributed table \"%s\".",
							   key->name, get_rel_name(key->from_relid),
							   get_rel_name(key->to_relid)),
					 errhint("Distribute that table, or drop the foreign key first.")));
		if (needs_moment(other))
			partners = list_append_unique_oid(partners, other);
	}
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
	}
	list_sort(partners, list_oid_cmp);
	return partners;
}

/*
 * CzRefuseKeyTo
 *		An ordinary or reference table can't refer to a distributed one.
 */
void
CzRefuseKeyTo(Oid relid, Oid target)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot create a foreign key from table \"%s\" to table \"%s\"",
					get_rel_name(relid), get_rel_name(target)),
			 errdetail("The rows of distributed table \"%s\" are on the workers, those of \"%s\" are here.",
					   get_rel_name(target), get_rel_name(relid)),
			 CzTableGet(relid) == NULL &&
			 cz_tenant_hooks.group(get_rel_namespace(target)) == 0 ?
			 errhint("Distribute table \"%s\" first, colocated with \"%s\", then add the foreign key with ALTER TABLE.",
					 get_rel_name(relid), get_rel_name(target)) : 0));
}

/* A table that is made in a tenant's schema and will be in its group. */
static void
check_tenant_partner(Oid relid, Oid partner, int colocation_id)
{
	const CzTable *table = CzTableGet(partner);

	if (table != NULL && (colocation_id == 0 || table->kind != CZ_TABLE_SINGLE ||
						  table->colocation_id != colocation_id))
		CzRefuseKeyTo(relid, partner);
}

/*
 * CzAlterLocalKeys
 *		Run an ALTER TABLE of an ordinary table that adds foreign keys to distributed ones:
 *		at the end of its CREATE TABLE in a tenant's schema, or in a restore.  False: it is
 *		another statement.
 */
bool
CzAlterLocalKeys(const CzUtility *utility, AlterTableStmt *stmt, Oid relid)
{
	List	   *targets = CzKeyTargets(stmt, relid);
	List	   *partners = CzKeyPartners(stmt, relid);
	ListCell   *lc;

	if (partners == NIL && targets == NIL)
		return false;
	foreach(lc, CzTxnIsCoordinator() ? list_concat_unique_oid(targets, partners) : NIL)
		check_tenant_partner(relid, lfirst_oid(lc),
							 cz_tenant_hooks.group(get_rel_namespace(relid)));
	/* the name must not come to mean another table on the way */
	stmt = (AlterTableStmt *) CzQualifyRelation((Node *) stmt);
	CzLeaveKeysToShards(stmt);
	foreach(lc, partners)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	CzMomentRun(utility, (Node *) stmt, partners, InvalidOid);
	CommandCounterIncrement();
	foreach(lc, partners)
		CzInvalidateTable(lfirst_oid(lc));
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
