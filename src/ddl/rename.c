/*-------------------------------------------------------------------------
 *
 * rename.c
 *	  RENAME of distributed and reference tables and their parts.
 *
 * A table's name and schema are the coordinator's: its shards keep their names.  Those of
 * columns and CHECKs are the same on the shards, those of indexes and keys have the
 * shard's id behind them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* The table of ours, locked as core will, that a statement here is about; NULL: none, or
 * the statement stays here. */
static const CzTable *
table_of(const RangeVar *name, LOCKMODE lockmode)
{
	Oid			relid = RangeVarGetRelidExtended(name, lockmode, RVR_MISSING_OK,
												 RangeVarCallbackOwnsRelation, NULL);
	const CzTable *table;
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX)
		relid = IndexGetRelation(relid, true);
	table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || !CzTxnIsCoordinator() ||
		(table->kind == CZ_TABLE_REFERENCE && !CzReferenceHasTriggers(relid)))
		return NULL;
	return table;
}

/* What the shards are told of a constraint's new name; NULL: nothing. */
static CzOps *
rename_constraint(const CzTable *table, const RenameStmt *stmt)
{
	Oid			oid = get_relation_constraint_oid(table->relid, stmt->subname, true);
	HeapTuple	tuple;
	char		contype;
	bool		is_inherited;

	if (!OidIsValid(oid))
		return NULL;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", oid);
	/* one that nobody is to check the shards have not */
	if (!constraint_is_enforced_compat((Form_pg_constraint) GETSTRUCT(tuple)))
	{
		ReleaseSysCache(tuple);
		return NULL;
	}
	contype = ((Form_pg_constraint) GETSTRUCT(tuple))->contype;
	is_inherited = OidIsValid(((Form_pg_constraint) GETSTRUCT(tuple))->conparentid);
	ReleaseSysCache(tuple);
	switch (contype)
	{
		case CONSTRAINT_CHECK:
			/* core's recursion would name a leaf */
			if (OidIsValid(get_relation_constraint_oid(table->relid, stmt->newname, true)))
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_OBJECT),
						 errmsg("constraint \"%s\" for relation \"%s\" already exists",
								stmt->newname, get_rel_name(table->relid))));
			return CzOpsRename("CONSTRAINT", stmt->subname, stmt->newname);
		case CONSTRAINT_PRIMARY:
		case CONSTRAINT_UNIQUE:
		case CONSTRAINT_EXCLUSION:
			return CzOpsRenameIndex(true, stmt->subname, stmt->newname);
		case CONSTRAINT_FOREIGN:
			/* a partition's is called there as the one of the table at the top */
			if (table->kind != CZ_TABLE_REFERENCE && !is_inherited && CzKeyIsOnShards(oid))
				return CzOpsRenameIndex(true, stmt->subname, stmt->newname);
			return NULL;
		default:
			/* constraint triggers: the coordinator's */
			return NULL;
	}
}

/* A foreign key of a partitioned table has a new name. */
typedef struct BelowArg
{
	const CzTable *root;
	List	   *relids;			/* its partitions */
	const RenameStmt *stmt;
} BelowArg;

static void
rename_below_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	const BelowArg *below = arg;
	ListCell   *lc;

	foreach(lc, below->relids)
		CzRenameKeySql(sql, &CzTableGet(lfirst_oid(lc))->shards[shard - below->root->shards],
					   CzShardIndexName(below->stmt->subname, shard->name_id),
					   CzShardIndexName(below->stmt->newname, shard->name_id));
}

static void
rename_below(Oid relid, const RenameStmt *stmt)
{
	BelowArg	below = {CzTableGet(relid), NIL, stmt};
	Oid			oid = get_relation_constraint_oid(relid, stmt->newname, false);

	if (!list_member_oid(CzForeignKeys(relid, false), oid) || !CzKeyIsOnShards(oid))
		return;
	below.relids = list_delete_oid(find_all_inheritors(relid, AccessExclusiveLock, NULL), relid);
	CzRunOnPlacements(below.root, rename_below_sql, &below);
}

/*
 * CzRenameKeySql
 *		See cz/ddl.h.
 */
void
CzRenameKeySql(StringInfo sql, const CzShard *shard, const char *name, const char *new_name)
{
	appendStringInfo(sql, "ALTER TABLE %s RENAME CONSTRAINT %s TO %s;\n",
					 shard->remote_qualified, quote_identifier(name),
					 quote_identifier(new_name));
}

/* The copies of a reference table keep the name that they have. */
static void
keep_remote_name(const CzTable *table)
{
	Oid			argtypes[2] = {OIDOID, TEXTOID};
	Datum		values[2];

	values[0] = ObjectIdGetDatum(table->relid);
	values[1] = CStringGetTextDatum(table->shards[0].remote_name);
	(void) CzCatalogExec("UPDATE cz.tables SET remote_name = $2 WHERE relid OPERATOR(pg_catalog.=) $1"
						 " AND remote_name IS NULL", 2, argtypes, values, NULL);
	CommandCounterIncrement();
}

/* A column of a root is called the same in the map of its shards, which is in a schema
 * that need not be open to the root's owner. */
static void
rename_in_map(const RenameStmt *stmt, Oid map_relid)
{
	RenameStmt *copy = copyObject((RenameStmt *) stmt);
	Oid			save_user;
	int			save_context;

	copy->relation = makeRangeVar(CZ_SHARD_SCHEMA, get_rel_name(map_relid), -1);
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	(void) renameatt(copy);
	SetUserIdAndSecContext(save_user, save_context);
	CommandCounterIncrement();
}

/*
 * CzColumnRenamed
 *		See ddl_int.h.
 */
void
CzColumnRenamed(Oid relid, const RenameStmt *stmt)
{
	const CzTable *table = CzTableGet(relid);

	if (OidIsValid(table->map_relid) && !OidIsValid(table->root_relid))
		rename_in_map(stmt, table->map_relid);
	CzInvalidateTable(relid);
	CzRunOnPlacements(CzTableGet(relid), CzOpsScript,
					  CzOpsRename("COLUMN", stmt->subname, stmt->newname));
}

/*
 * CzRename
 *		RENAME of a table of ours, or of a column, constraint or index of one.
 *
 * Returns: false if core can run it as it is.
 */
bool
CzRename(const CzUtility *utility, RenameStmt *stmt)
{
	CzRowType  *row_type;
	const CzTable *table;
	CzOps	   *ops = NULL;
	Oid			relid;
	Oid			named_relid;
	Oid			map_relid;
	char		relkind;

	switch (stmt->renameType)
	{
		case OBJECT_TABLE:
		case OBJECT_INDEX:
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
			break;
		default:
			return false;
	}
	if (stmt->renameType == OBJECT_COLUMN && stmt->relationType != OBJECT_TABLE)
		return false;
	table = table_of(stmt->relation, stmt->renameType == OBJECT_INDEX ?
					 ShareUpdateExclusiveLock : AccessExclusiveLock);
	if (table == NULL)
		return false;
	relid = table->relid;
	named_relid = RangeVarGetRelid(stmt->relation, NoLock, false);
	relkind = get_rel_relkind(named_relid);

	if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX)
	{
		if (stmt->renameType == OBJECT_TABLE || stmt->renameType == OBJECT_INDEX)
			ops = CzOpsRenameIndex(false, get_rel_name(named_relid), stmt->newname);
	}
	else if (stmt->renameType == OBJECT_COLUMN)
	{
		/* core's recursion would name a leaf */
		if (get_attnum(relid, stmt->subname) > 0 && get_attnum(relid, stmt->newname) > 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" already exists",
							stmt->newname, get_rel_name(relid))));
		ops = CzOpsRename("COLUMN", stmt->subname, stmt->newname);
	}
	else if (stmt->renameType == OBJECT_TABCONSTRAINT)
		ops = rename_constraint(table, stmt);
	else if (table->kind == CZ_TABLE_REFERENCE)
		keep_remote_name(table);

	/* ONLY is the whole table, unless its user has partitioned it */
	stmt = copyObject(stmt);
	if (!table->is_partitioned)
		stmt->relation->inh = true;
	map_relid = !OidIsValid(table->root_relid) && stmt->renameType == OBJECT_COLUMN ?
		table->map_relid : InvalidOid;
	row_type = CzRowTypeBefore(relid);
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	CzRowTypeAfter(row_type);
	if (OidIsValid(map_relid))
		rename_in_map(stmt, map_relid);
	CzInvalidateTable(relid);
	if (ops)
		CzRunOnPlacements(CzTableGet(relid), CzOpsScript, ops);
	if (stmt->renameType == OBJECT_TABCONSTRAINT && ops != NULL &&
		CzTableGet(relid)->is_partitioned)
		rename_below(relid, stmt);
	return true;
}
