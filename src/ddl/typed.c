/*-------------------------------------------------------------------------
 *
 * typed.c
 *	  Tables of composite types (CREATE TABLE ... OF, ALTER TABLE ... OF): what ALTER TYPE
 *	  ... CASCADE makes of them reaches their shards.
 *
 * Core alters the type and its tables in one statement, the tables in their moment; their
 * images from before and after tell what the shards get, as with ALTER TABLE (alter.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* A table that the statement changes with its type. */
typedef struct Typed
{
	Oid			relid;
	Oid			owner;
	Node	   *stmt;			/* what ALTER TABLE would say */
	CzImage    *before;
	CzAlterHints *hints;
	CzTree	   *tree;			/* of one that its user has partitioned, else NULL */
	CzMoment   *moment;			/* NULL: core alters it as it is */
	const char *refusal;		/* what cannot be done, NULL: nothing */
} Typed;

static Oid
type_of_table(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			result;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	result = ((Form_pg_class) GETSTRUCT(tuple))->reloftype;
	ReleaseSysCache(tuple);
	return result;
}

/* The distributed and reference tables of a composite type: OIDs, in order. */
static List *
tables_of_type(Oid type)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		const CzTable *table;

		if (type_of_table(lfirst_oid(lc)) != type)
			continue;
		table = CzTableGet(lfirst_oid(lc));
		if (table && table->kind != CZ_TABLE_FOREIGN && !OidIsValid(table->root_relid))
			result = lappend_oid(result, lfirst_oid(lc));
	}
	list_sort(result, list_oid_cmp);
	return result;
}

/* The composite type that a statement alters, and CASCADE?  Else InvalidOid. */
static Oid
altered_type(Node *stmt)
{
	RangeVar   *name = NULL;
	Oid			relid;
	ListCell   *lc;

	if (IsA(stmt, RenameStmt) && ((RenameStmt *) stmt)->renameType == OBJECT_ATTRIBUTE &&
		((RenameStmt *) stmt)->behavior == DROP_CASCADE)
		name = ((RenameStmt *) stmt)->relation;
	else if (IsA(stmt, AlterTableStmt) && ((AlterTableStmt *) stmt)->objtype == OBJECT_TYPE)
	{
		name = ((AlterTableStmt *) stmt)->relation;
		/* without it core says that the type has tables */
		foreach(lc, ((AlterTableStmt *) stmt)->cmds)
		{
			if (lfirst_node(AlterTableCmd, lc)->behavior != DROP_CASCADE)
				return InvalidOid;
		}
	}
	relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_COMPOSITE_TYPE ||
		!class_ownercheck_compat(relid, GetUserId()))
		return InvalidOid;
	return get_rel_type_id(relid);
}

/* The statement as if it were ALTER TABLE. */
static Node *
for_table(Node *stmt, Oid relid)
{
	Node	   *copy = copyObject(stmt);
	RangeVar   *name = makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
									get_rel_name(relid), -1);

	if (IsA(copy, RenameStmt))
	{
		((RenameStmt *) copy)->renameType = OBJECT_COLUMN;
		((RenameStmt *) copy)->relationType = OBJECT_TABLE;
		((RenameStmt *) copy)->relation = name;
	}
	else
	{
		((AlterTableStmt *) copy)->objtype = OBJECT_TABLE;
		((AlterTableStmt *) copy)->relation = name;
	}
	return copy;
}

/* The distribution column keeps its place and its type.  Returns: what would change it. */
static char *
change_of_key(const CzTable *table, const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, table->key_attno > 0 ? stmt->cmds : NIL)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid			type;
		int32		typmod;

		if (cmd->name == NULL ||
			strcmp(cmd->name, table->column_names[table->key_attno - 1]) != 0)
			continue;
		if (cmd->subtype == AT_AlterColumnType)
		{
			typenameTypeIdAndMod(NULL, castNode(ColumnDef, cmd->def)->typeName, &type, &typmod);
			if (type == table->key_type && typmod == table->key_typmod)
				continue;
		}
		return psprintf("ALTER TYPE ... CASCADE of attribute \"%s\", the distribution column,",
						cmd->name);
	}
	return NULL;
}

/* A table before the statement, locked. */
static Typed *
look_at(const CzUtility *utility, Node *stmt, Oid relid)
{
	Typed	   *typed = palloc0(sizeof(Typed));
	const CzTable *table;

	LockRelationOid(relid, AccessExclusiveLock);
	table = CzTableGet(relid);
	typed->relid = relid;
	typed->owner = CzRelationOwner(relid);
	typed->stmt = for_table(stmt, relid);
	if (IsA(stmt, RenameStmt))
		return typed;
	typed->refusal = change_of_key(table, (AlterTableStmt *) typed->stmt);
	typed->hints = CzAlterHintsGet((AlterTableStmt *) typed->stmt, table, utility->query_string);
	if (typed->refusal == NULL && typed->hints->needs_rewrite)
		typed->refusal = "ALTER TYPE ... CASCADE with values that workers cannot compute";
	if (table->is_partitioned)
		typed->tree = CzTreeBegin(relid);
	typed->before = CzTableImage(relid);
	if (CzHasLeaves(table))
		CzLeavesUntie(relid);
	return typed;
}

/* Tell the shards of a table. */
static void
follow(const Typed *typed)
{
	CzInvalidateTable(typed->relid);
	if (IsA(typed->stmt, RenameStmt))
		CzColumnRenamed(typed->relid, (RenameStmt *) typed->stmt);
	else if (typed->tree)
		CzTreeFinish(typed->tree, typed->hints, typed->owner, NULL, NIL);
	else
	{
		const CzTable *table = CzTableGet(typed->relid);
		CzImage    *after = CzTableImage(typed->relid);

		CzCheckNew(table, typed->before, after);
		CzAlterShards(table, typed->before, after, typed->hints, typed->owner);
	}
	CzInvalidateTable(typed->relid);
	if (typed->before && CzHasLeaves(CzTableGet(typed->relid)))
		CzTieLeaves(CzTableGet(typed->relid));
}

/* Core's own error, if it has one, else ours. */
pg_noreturn static void
run_refused(const CzUtility *utility, Node *stmt, const Typed *typed)
{
	CzTable		refused = {.relid = typed->relid};	/* the catalogs show an ordinary one now */

	cz_drop_is_local++;
	PG_TRY();
	{
		CzUtilityRun(utility, stmt);
	}
	PG_FINALLY();
	{
		cz_drop_is_local--;
	}
	PG_END_TRY();
	CzRefuseDdl(&refused, typed->refusal,
				"Use ALTER TABLE ... NOT OF first, or undistribute_table().");
}

/* Tables become ordinary ones for core.  Returns: one that cannot follow its type, or NULL. */
static const Typed *
begin_moments(List *tables)
{
	const Typed *refused = NULL;
	ListCell   *lc;

	foreach(lc, tables)
	{
		Typed	   *typed = lfirst(lc);
		const CzTable *table = CzTableGet(typed->relid);

		if (CzTableIsDistributed(table) && !OidIsValid(table->map_relid))
			typed->moment = CzMomentBegin(typed->relid, typed->refusal != NULL);
		if (refused == NULL && typed->refusal)
			refused = typed;
	}
	return refused;
}

/* Core's part, and what workers have of the type itself. */
static void
run(const CzUtility *utility, Node *stmt, List *tables)
{
	List	   *save = cz_moment_relids;
	List	   *save_typed = cz_typed_relids;
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, tables)
		relids = lappend_oid(relids, ((Typed *) lfirst(lc))->relid);
	PG_TRY();
	{
		cz_moment_relids = list_copy(save);
		cz_typed_relids = relids;
		if (!IsA(stmt, RenameStmt))
		{
			const Typed *refused = begin_moments(tables);

			if (refused)
				run_refused(utility, stmt, refused);
		}
		if (!CzAlterObject(utility, stmt))
			CzUtilityRun(utility, stmt);
		foreach(lc, tables)
		{
			if (((Typed *) lfirst(lc))->moment)
				CzMomentEnd(((Typed *) lfirst(lc))->moment);
		}
	}
	PG_FINALLY();
	{
		cz_moment_relids = save;
		cz_typed_relids = save_typed;
	}
	PG_END_TRY();
	CommandCounterIncrement();
}

/*
 * CzAlterTyped
 *		See ddl_int.h.
 */
bool
CzAlterTyped(const CzUtility *utility, Node *stmt)
{
	Oid			type = OidIsValid(CzCatalogRelid("tables")) && CzTxnIsCoordinator() ?
		altered_type(stmt) : InvalidOid;
	List	   *relids = OidIsValid(type) ? tables_of_type(type) : NIL;
	List	   *tables = NIL;
	ListCell   *lc;

	/* core says whose it is, before anybody has to wait */
	foreach(lc, relids)
	{
		if (!class_ownercheck_compat(lfirst_oid(lc), GetUserId()))
			return false;
	}
	foreach(lc, relids)
		tables = lappend(tables, look_at(utility, stmt, lfirst_oid(lc)));
	if (tables == NIL)
		return false;
	run(utility, stmt, tables);
	foreach(lc, tables)
		follow(lfirst(lc));
	return true;
}
