/*-------------------------------------------------------------------------
 *
 * alter_key.c
 *	  ALTER TABLE of the distribution column, and what is refused of ALTER TABLE.
 *
 * A type that keeps the values' hashes is like any other column's.  With another one, and
 * without the column, rows belong to other shards: all of them come here, core alters an
 * ordinary table, and it is distributed again.
 *
 * What is refused is tried first, by core in the table's moment, so that plain
 * PostgreSQL's own errors come before ours.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl_int.h"

/*
 * CzWithTable
 *		See ddl_int.h.
 */
List *
CzWithTable(List *relids, Oid relid)
{
	relids = lappend_oid(relids, relid);
	list_sort(relids, list_oid_cmp);
	return relids;
}

/* Is a table one that core can alter in its moment only?  (A range table may lack shards.) */
static bool
has_moment(Oid relid)
{
	const CzTable *table = CzTableGet(relid);

	return table && CzTableIsDistributed(table) && !OidIsValid(table->map_relid);
}

/*
 * CzRefuseAlter
 *		See ddl_int.h.
 */
void
CzRefuseAlter(const CzUtility *utility, const AlterTableStmt *stmt, Oid relid, Oid partner,
			  const CzTable *table, const char *what, const char *hint)
{
	AlterTableStmt *own = (AlterTableStmt *) CzQualifyRelation((Node *) copyObject(stmt));
	const CzTable *altered = CzTableGet(relid);
	CzTable		refused = *table;	/* the catalogs show an ordinary one in its moment */
	List	   *relids = NIL;
	List	   *key_relids = NIL;
	ListCell   *lc;

	if (own->objtype == OBJECT_TABLE)
		relids = CzKeyPartners(own, relid);
	if (has_moment(relid))
		relids = CzWithTable(relids, relid);
	else if (altered && altered->is_partitioned)
	{
		relids = list_concat_unique_oid(relids, CzTreeHeaps(CzTreeBegin(relid)));
		list_sort(relids, list_oid_cmp);
	}
	if (OidIsValid(partner) && partner != relid && has_moment(partner))
		relids = CzWithTable(relids, partner);
	/* core makes keys again, at both ends, when columns of theirs get another type */
	foreach(lc, altered != NULL ? CzForeignKeys(relid, true) : NIL)
	{
		const CzKey *key = CzKeyGet(lfirst_oid(lc));
		Oid			other = key->from_relid == relid ? key->to_relid : key->from_relid;

		if (has_moment(other) && !list_member_oid(relids, other))
			relids = CzWithTable(relids, other);
	}
	foreach(lc, relids)
	{
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
		CzLeavesUntie(lfirst_oid(lc));
	}
	/* core drops no column of a partition key, and alters none */
	foreach(lc, altered && altered->key_attno > 0 ? own->cmds : NIL)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if ((cmd->subtype == AT_DropColumn || cmd->subtype == AT_AlterColumnType) &&
			strcmp(cmd->name, altered->column_names[altered->key_attno - 1]) == 0)
			key_relids = altered->is_partitioned ? CzTreeHeaps(CzTreeBegin(relid)) :
				list_make1_oid(relid);
	}
	/* a partition is an ordinary table to its user, and has no moment to be one here */
	if (altered == NULL || !OidIsValid(altered->root_relid) || altered->is_partitioned)
		CzMomentTry(utility, (Node *) own, relids, key_relids);
	CzRefuseDdl(&refused, what, hint);
}

/* May the distribution column get this type?  Its values must keep their shards. */
static bool
keeps_hash(Oid old_type, int32 old_typmod, Oid new_type, int32 new_typmod)
{
	if (old_type != new_type)
		return false;
	switch (getBaseType(old_type))
	{
		case VARCHAROID:
		case VARBITOID:
			return new_typmod < 0 || (old_typmod >= 0 && new_typmod >= old_typmod);
		case NUMERICOID:
			/* the same scale, and not less precision */
			return new_typmod < 0 ||
				(old_typmod >= 0 && new_typmod >= old_typmod &&
				 ((new_typmod ^ old_typmod) & 0xffff) == 0);
		default:
			return old_typmod == new_typmod;
	}
}

/* Do keys of others refer to a column of a table, which core does not drop then? */
static bool
is_referred_to(Oid relid, AttrNumber attno)
{
	ListCell   *lc;
	int			i;

	foreach(lc, CzTreeForeignKeys(relid, true))
	{
		const CzKey *key = CzKeyGet(lfirst_oid(lc));

		for (i = 0; key->to_relid == relid && i < key->ncolumns; i++)
		{
			if (key->to_attnos[i] == attno && CzRootOf(key->from_relid) != relid)
				return true;
		}
	}
	return false;
}

/*
 * CzAlterMovesRows
 *		See ddl_int.h.
 */
bool
CzAlterMovesRows(const CzUtility *utility, const CzTable *table, const AlterTableStmt *stmt)
{
	const char *key = table->key_attno > 0 ? table->column_names[table->key_attno - 1] : NULL;
	bool		moves = false;
	bool		is_dropped = false;
	bool		cascades = false;
	ListCell   *lc;

	foreach(lc, key ? stmt->cmds : NIL)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		ColumnDef  *def;
		Oid			type;
		int32		typmod;

		if (cmd->name == NULL || strcmp(cmd->name, key) != 0)
			continue;
		is_dropped |= cmd->subtype == AT_DropColumn;
		cascades |= cmd->behavior == DROP_CASCADE;
		if (cmd->subtype != AT_AlterColumnType)
			continue;
		def = castNode(ColumnDef, cmd->def);
		typenameTypeIdAndMod(NULL, def->typeName, &type, &typmod);
		if (def->raw_default != NULL ||
			!keeps_hash(table->key_type, table->key_typmod, type, typmod) ||
			GetColumnDefCollation(NULL, def, type) != table->key_collation)
			moves = true;
	}
	if (!moves && !is_dropped)
		return false;
	if (table->kind == CZ_TABLE_HASH && !OidIsValid(table->root_relid) &&
		!(is_dropped && !cascades && is_referred_to(table->relid, table->key_attno)))
		return true;
	CzRefuseAlter(utility, stmt, table->relid, InvalidOid, table,
				  psprintf("ALTER TABLE ... %s of the distribution column",
						   is_dropped ? "DROP COLUMN" : "ALTER COLUMN TYPE"),
				  "Use undistribute_table(), alter the table, and distribute it again.");
}

/*
 * CzAlterTouchesKey
 *		See ddl_int.h.
 */
bool
CzAlterTouchesKey(const CzTable *table, const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, table->key_attno > 0 ? stmt->cmds : NIL)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AlterColumnType &&
			strcmp(cmd->name, table->column_names[table->key_attno - 1]) == 0)
			return true;
	}
	return false;
}

/* A statement as core runs it, while its table is an ordinary one. */
typedef struct PlainRun
{
	const CzUtility *utility;
	AlterTableStmt *stmt;
	Oid			relid;
} PlainRun;

static void
run_plain(void *arg)
{
	PlainRun   *run = arg;
	CzRowType  *row_type = CzRowTypeBefore(run->relid);

	/* the other ends of keys are distributed ones */
	if (!CzAlterLocalKeys(run->utility, run->stmt, run->relid))
		CzUtilityRun(run->utility, (Node *) run->stmt);
	CommandCounterIncrement();
	CzDropFlush();
	CzRowTypeAfter(row_type);
}

/* A table, and those that foreign keys join with it. */
static List *
joined_tables(Oid relid)
{
	List	   *relids = list_make1_oid(relid);
	ListCell   *lc;

	foreach(lc, CzTreeForeignKeys(relid, true))
	{
		const CzKey *key = CzKeyGet(lfirst_oid(lc));

		relids = list_append_unique_oid(relids, CzRootOf(key->from_relid));
		relids = list_append_unique_oid(relids, CzRootOf(key->to_relid));
	}
	return relids;
}

/*
 * CzAlterRedistributed
 *		See ddl_int.h.
 */
void
CzAlterRedistributed(const CzUtility *utility, AlterTableStmt *stmt, const CzTable *table)
{
	PlainRun	run = {utility, stmt, table->relid};
	List	   *known = CzTreeForeignKeys(table->relid, true);
	List	   *save = cz_distributed_together;

	/* keys stay, and are the workers' again if the table and the other one lie together then */
	PG_TRY();
	{
		cz_distributed_together = list_concat(joined_tables(table->relid), save);
		cz_redistribute_hook(table->relid, run_plain, &run);
	}
	PG_FINALLY();
	{
		cz_distributed_together = save;
	}
	PG_END_TRY();
	CzCheckKeysAgain(run.relid, known);
}
