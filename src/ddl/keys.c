/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Foreign keys between single-shard tables of one colocation group.
 *
 * Core makes the constraint's rows and triggers here, as it would on ordinary tables
 * (both ends are that for a moment, moment.c), so that \d, pg_dump and introspection
 * show it.  Each shard has the same constraint, DEFERRABLE, which its worker checks and
 * whose actions it does; core's triggers on our tables never fire (executor/deferred.c
 * leaves them out).
 *
 * A table that is made or moved here with keys to ordinary tables cannot be distributed,
 * unless these are distributed in the same statement (cz_distributed_together).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "ddl_int.h"

List	   *cz_distributed_together = NIL;

/* ---- which there are ------------------------------------------------------- */

/*
 * CzForeignKeys
 *		Foreign keys of a table, and, if both_ends, to it from others: list of OIDs.
 */
List *
CzForeignKeys(Oid relid, bool both_ends)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	/* by confrelid there is no index */
	scan = systable_beginscan(catalog, both_ends ? InvalidOid : ConstraintRelidTypidNameIndexId,
							  !both_ends, NULL, both_ends ? 0 : 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		if (con->contype == CONSTRAINT_FOREIGN &&
			(con->conrelid == relid || (both_ends && con->confrelid == relid)))
			result = lappend_oid(result, con->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

static HeapTuple
constraint_tuple(Oid constraint_oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
	return tuple;
}

/*
 * CzForeignKeyTable
 *		The table that has a foreign key.
 */
Oid
CzForeignKeyTable(Oid constraint_oid)
{
	HeapTuple	tuple = constraint_tuple(constraint_oid);
	Oid			relid = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;

	ReleaseSysCache(tuple);
	return relid;
}

/* Does a worker change rows of the referencing table when referenced ones change? */
static bool
has_action(Form_pg_constraint con)
{
	return (con->confdeltype != FKCONSTR_ACTION_NOACTION &&
			con->confdeltype != FKCONSTR_ACTION_RESTRICT) ||
		(con->confupdtype != FKCONSTR_ACTION_NOACTION &&
		 con->confupdtype != FKCONSTR_ACTION_RESTRICT);
}

/* A trigger of the user's that would have to be fired by what a worker does. */
static const char *
missed_trigger(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	const char *name = NULL;
	int			i;

	for (i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers && name == NULL; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (!trigger->tgisinternal &&
			(TRIGGER_FOR_UPDATE(trigger->tgtype) || TRIGGER_FOR_DELETE(trigger->tgtype)))
			name = pstrdup(trigger->tgname);
	}
	table_close(rel, NoLock);
	return name;
}

/*
 * CzCheckForeignKey
 *		Raise why a foreign key can't be kept by the shard of a single-shard table, if so.
 *		Its referenced table is looked at by the caller.
 */
void
CzCheckForeignKey(Oid constraint_oid)
{
	HeapTuple	tuple = constraint_tuple(constraint_oid);
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
	const char *trigger = has_action(con) ? missed_trigger(con->conrelid) : NULL;

	if (con->confdeltype == FKCONSTR_ACTION_SETDEFAULT ||
		con->confupdtype == FKCONSTR_ACTION_SETDEFAULT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" of table \"%s\" cannot be distributed",
						NameStr(con->conname), get_rel_name(con->conrelid)),
				 errdetail("SET DEFAULT would be done by the worker, where columns have no defaults.")));
	if (trigger != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" of table \"%s\" cannot be distributed",
						NameStr(con->conname), get_rel_name(con->conrelid)),
				 errdetail("What it does is done by the worker, and trigger \"%s\" would not fire.",
						   trigger)));
	ReleaseSysCache(tuple);
}

/*
 * CzCheckKeyTrigger
 *		Raise why a trigger can't be made on a table of ours whose rows workers change.
 */
void
CzCheckKeyTrigger(const CzTable *table, const CreateTrigStmt *stmt)
{
	ListCell   *lc;

	if (table->kind != CZ_TABLE_SINGLE ||
		!((stmt->events & (TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)) != 0))
		return;
	foreach(lc, CzForeignKeys(table->relid, false))
	{
		HeapTuple	tuple = constraint_tuple(lfirst_oid(lc));
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		if (has_action(con))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("trigger \"%s\" is not supported on distributed table \"%s\"",
							stmt->trigname, get_rel_name(table->relid)),
					 errdetail("What foreign key \"%s\" does is done by the worker, and the trigger would not fire.",
							   NameStr(con->conname))));
		ReleaseSysCache(tuple);
	}
}

/* ---- on shards -------------------------------------------------------------- */

static void
append_columns(StringInfo sql, HeapTuple tuple, AttrNumber attno, Oid relid)
{
	bool		isnull;
	Datum		datum = SysCacheGetAttr(CONSTROID, tuple, attno, &isnull);
	Datum	   *columns;
	int			ncolumns;
	int			i;

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(datum), INT2OID, sizeof(int16), true, TYPALIGN_SHORT,
					  &columns, NULL, &ncolumns);
	for (i = 0; i < ncolumns; i++)
		appendStringInfo(sql, "%s%s", i > 0 ? ", " : "(",
						 quote_identifier(get_attname(relid, DatumGetInt16(columns[i]), false)));
	if (ncolumns > 0)
		appendStringInfoChar(sql, ')');
}

static const char *
action_words(char action)
{
	switch (action)
	{
		case FKCONSTR_ACTION_RESTRICT:
			return "RESTRICT";
		case FKCONSTR_ACTION_CASCADE:
			return "CASCADE";
		case FKCONSTR_ACTION_SETNULL:
			return "SET NULL";
		default:
			return "NO ACTION";
	}
}

/* ALTER TABLE shard ADD a foreign key of its table, or DROP it. */
static void
append_key(StringInfo sql, Oid constraint_oid, bool drops)
{
	HeapTuple	tuple = constraint_tuple(constraint_oid);
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
	const CzTable *from = CzTableGet(con->conrelid);
	const CzTable *to = CzTableGet(con->confrelid);
	const char *name;

	if (from == NULL || to == NULL || from->nshards != 1 || to->nshards != 1)
		elog(ERROR, "foreign key \"%s\" is not one of single-shard tables",
			 NameStr(con->conname));
	name = quote_identifier(CzShardIndexName(NameStr(con->conname), from->shards[0].name_id));
	if (drops)
		appendStringInfo(sql, "ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %s;\n",
						 from->shards[0].remote_qualified, name);
	else
	{
		appendStringInfo(sql, "ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY ",
						 from->shards[0].remote_qualified, name);
		append_columns(sql, tuple, Anum_pg_constraint_conkey, con->conrelid);
		appendStringInfo(sql, " REFERENCES %s ", to->shards[0].remote_qualified);
		append_columns(sql, tuple, Anum_pg_constraint_confkey, con->confrelid);
		if (con->confmatchtype == FKCONSTR_MATCH_FULL)
			appendStringInfoString(sql, " MATCH FULL");
		appendStringInfo(sql, " ON UPDATE %s ON DELETE %s ", action_words(con->confupdtype),
						 action_words(con->confdeltype));
		append_columns(sql, tuple, Anum_pg_constraint_confdelsetcols, con->conrelid);
		appendStringInfo(sql, " DEFERRABLE INITIALLY %s%s;\n",
						 con->condeferred ? "DEFERRED" : "IMMEDIATE",
						 con->convalidated ? "" : " NOT VALID");
	}
	ReleaseSysCache(tuple);
}

/*
 * CzForeignKeysSql
 *		The foreign keys of some single-shard tables (list of OIDs), as a worker gets them,
 *		or what takes them away from it; NULL: none.
 */
char *
CzForeignKeysSql(List *relids, bool drops)
{
	StringInfoData sql;
	ListCell   *lc;
	ListCell   *lk;

	initStringInfo(&sql);
	foreach(lc, relids)
	{
		foreach(lk, CzForeignKeys(lfirst_oid(lc), false))
			append_key(&sql, lfirst_oid(lk), drops);
	}
	return sql.len > 0 ? sql.data : NULL;
}

static void
make_keys(StringInfo sql, const CzShard *shard, void *arg)
{
	ListCell   *lc;

	foreach(lc, (List *) arg)
		append_key(sql, lfirst_oid(lc), false);
}

/*
 * CzForeignKeysToShards
 *		The shard of a single-shard table gets foreign keys of it: all, or (list of OIDs)
 *		some.
 */
void
CzForeignKeysToShards(Oid relid, List *keys)
{
	ListCell   *lc;

	foreach(lc, keys)
		CzCheckForeignKey(lfirst_oid(lc));
	if (keys != NIL)
		CzRunOnPlacements(CzTableGet(relid), make_keys, keys);
}

/* ---- statements -------------------------------------------------------------- */

/* The single-shard table that a constraint refers to; errors if it is another one's. */
static Oid
target_of(const Constraint *constraint, int colocation_id, Oid relid)
{
	Oid			target = RangeVarGetRelid(constraint->pktable, NoLock, false);
	const CzTable *table = CzTableGet(target);

	if (target == relid)
		return InvalidOid;
	if (table != NULL && table->kind == CZ_TABLE_SINGLE &&
		table->colocation_id == colocation_id && colocation_id != 0)
	{
		/* before it is locked */
		if (pg_class_aclcheck(target, GetUserId(), ACL_REFERENCES) != ACLCHECK_OK &&
			pg_attribute_aclcheck_all(target, GetUserId(), ACL_REFERENCES,
									  ACLMASK_ANY) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(target));
		return target;
	}
	if (table != NULL || colocation_id != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create a foreign key from table \"%s\" to table \"%s\"",
						get_rel_name(relid), get_rel_name(target)),
				 errdetail("Only tables of one group of single-shard tables can refer to each other.")));
	return InvalidOid;
}

/* VALIDATE and ALTER CONSTRAINT of a key, on its shard. */
static void
change_on_shard(StringInfo sql, const CzShard *shard, void *arg)
{
	Oid			constraint_oid = *(Oid *) arg;
	HeapTuple	tuple = constraint_tuple(constraint_oid);
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
	const char *name = quote_identifier(CzShardIndexName(NameStr(con->conname),
														 shard->shard_id));

	appendStringInfo(sql, "ALTER TABLE %s ALTER CONSTRAINT %s DEFERRABLE INITIALLY %s;\n",
					 shard->remote_qualified, name, con->condeferred ? "DEFERRED" : "IMMEDIATE");
	if (con->convalidated)
		appendStringInfo(sql, "ALTER TABLE %s VALIDATE CONSTRAINT %s;\n",
						 shard->remote_qualified, name);
	ReleaseSysCache(tuple);
}

/* Is it VALIDATE or ALTER CONSTRAINT of a foreign key?  Then it is done. */
static bool
change_key(const CzUtility *utility, AlterTableStmt *stmt, AlterTableCmd *cmd,
		   const CzTable *table)
{
	Oid			relid = table->relid;
	const char *name = cmd->subtype == AT_ValidateConstraint ? cmd->name :
		cmd->subtype == AT_AlterConstraint ? castNode(Constraint, cmd->def)->conname : NULL;
	Oid			constraint_oid = name ? get_relation_constraint_oid(relid, name, true) :
		InvalidOid;

	if (!OidIsValid(constraint_oid) ||
		!list_member_oid(CzForeignKeys(relid, false), constraint_oid))
		return false;
	if (list_length(stmt->cmds) != 1)
		CzRefuseDdl(table, "VALIDATE or ALTER CONSTRAINT of a foreign key with other changes",
					"Use one statement for each.");
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	CzInvalidateTable(relid);
	if (CzTxnIsCoordinator())
		CzRunOnPlacements(CzTableGet(relid), change_on_shard, &constraint_oid);
	return true;
}

/*
 * CzAlterForeignKeys
 *		Run an ALTER TABLE that adds foreign keys to a single-shard table, or to one that
 *		becomes that at the end of its CREATE TABLE, or drops them; false: it is another
 *		statement.
 *
 * colocation_id: the group that the table is in or will be in, 0: none.
 */
bool
CzAlterForeignKeys(const CzUtility *utility, AlterTableStmt *stmt, Oid relid,
				   int colocation_id)
{
	const CzTable *table = CzTableGet(relid);
	bool		is_ours = table != NULL && table->kind == CZ_TABLE_SINGLE;
	bool		adds = false;
	List	   *relids = is_ours ? list_make1_oid(relid) : NIL;
	List	   *before;
	ListCell   *lc;

	if (colocation_id == 0 || (table != NULL && !is_ours))
		return false;
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (is_ours && change_key(utility, stmt, cmd, table))
			return true;
		if (cmd->subtype == AT_DropConstraint && is_ours && list_length(stmt->cmds) == 1)
		{
			Oid			constraint_oid = get_relation_constraint_oid(relid, cmd->name, true);

			return OidIsValid(constraint_oid) &&
				list_member_oid(CzForeignKeys(relid, false), constraint_oid) ?
				(CzUtilityRun(utility, (Node *) stmt), true) : false;
		}
		if (cmd->subtype == AT_AddConstraint &&
			castNode(Constraint, cmd->def)->contype == CONSTR_FOREIGN)
		{
			Oid			target = target_of(castNode(Constraint, cmd->def), colocation_id, relid);

			if (OidIsValid(target))
				relids = list_append_unique_oid(relids, target);
			adds = true;
		}
		else
			return false;
	}
	if (!adds)
		return false;

	/* the name must not come to mean another table on the way */
	stmt = (AlterTableStmt *) CzQualifyRelation((Node *) stmt);
	stmt->relation->inh = true;
	/* the worker looks at the rows */
	foreach(lc, stmt->cmds)
		castNode(Constraint, lfirst_node(AlterTableCmd, lc)->def)->skip_validation = true;
	list_sort(relids, list_oid_cmp);
	foreach(lc, relids)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	before = CzForeignKeys(relid, false);
	CzMomentRun(utility, (Node *) stmt, relids, InvalidOid);
	CommandCounterIncrement();
	foreach(lc, relids)
		CzInvalidateTable(lfirst_oid(lc));
	if (is_ours && CzTxnIsCoordinator())
		CzForeignKeysToShards(relid, list_difference_oid(CzForeignKeys(relid, false), before));
	return true;
}

/*
 * CzTruncate
 *		TRUNCATE ... CASCADE of single-shard tables: core would forget the shards of tables
 *		that it adds, so they are named; false: core runs the statement as it is.
 */
bool
CzTruncate(const CzUtility *utility, TruncateStmt *stmt)
{
	List	   *relids = NIL;
	List	   *more;
	bool		is_ours = false;
	ListCell   *lc;

	if (stmt->behavior != DROP_CASCADE)
		return false;
	foreach(lc, stmt->relations)
	{
		Oid			relid = RangeVarGetRelid((RangeVar *) lfirst(lc), NoLock, true);
		const CzTable *table = OidIsValid(relid) ? CzTableGet(relid) : NULL;

		/* core says it, and does not lock the table for who may not truncate it */
		if (!OidIsValid(relid) ||
			pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
			return false;
		relids = list_append_unique_oid(relids, relid);
		is_ours |= table != NULL && table->kind == CZ_TABLE_SINGLE;
	}
	if (!is_ours)
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
	CzUtilityRun(utility, (Node *) stmt);
	return true;
}
