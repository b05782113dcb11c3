/*-------------------------------------------------------------------------
 *
 * alter.c
 *	  ALTER TABLE on distributed and reference tables.
 *
 * ADD COLUMN and DROP COLUMN reach all placements; what concerns the coordinator
 * alone (row-level security, triggers, defaults, identity) runs here; what
 * pg_dump's script does to rebuild a parent runs here; the rest is refused.
 *
 * A new column's default is evaluated here, once, and its value is what existing
 * rows on the workers get: a stable default must not differ from shard to shard.
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
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "executor/executor.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* What an ALTER TABLE command means for the workers. */
typedef enum AlterClass
{
	ALTER_REFUSED,
	ALTER_LOCAL,				/* the coordinator's business */
	ALTER_PARENT_ONLY,			/* the same, and not for the shards' relations */
	ALTER_STRUCTURE				/* on all placements */
} AlterClass;

/* Text that follows "ALTER TABLE <shard> ", one a command. */
typedef struct AlterTexts
{
	List	   *texts;			/* char * */
} AlterTexts;

static const char *
command_name(AlterTableType type)
{
	switch (type)
	{
		case AT_AlterColumnType:
			return "ALTER COLUMN TYPE";
		case AT_SetNotNull:
			return "SET NOT NULL";
		case AT_DropNotNull:
			return "DROP NOT NULL";
		case AT_AddConstraint:
		case AT_AddIndexConstraint:
			return "ADD CONSTRAINT";
		case AT_DropConstraint:
			return "DROP CONSTRAINT";
		case AT_AttachPartition:
			return "ATTACH PARTITION";
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			return "DETACH PARTITION";
		case AT_ChangeOwner:
			return "OWNER TO";
		case AT_SetTableSpace:
			return "SET TABLESPACE";
		case AT_SetLogged:
		case AT_SetUnLogged:
			return "SET LOGGED or UNLOGGED";
		case AT_ReplicaIdentity:
			return "REPLICA IDENTITY";
		case AT_SetStatistics:
			return "ALTER COLUMN SET STATISTICS";
		case AT_SetStorage:
		case AT_SetCompression:
			return "ALTER COLUMN SET STORAGE or COMPRESSION";
		case AT_SetOptions:
		case AT_ResetOptions:
			return "ALTER COLUMN SET or RESET";
		case AT_ValidateConstraint:
		case AT_AlterConstraint:
			return "VALIDATE or ALTER CONSTRAINT";
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
			return "SET or RESET of storage parameters";
		default:
			return "SET, RESET or other change";
	}
}

/* What core would refuse for a partitioned table, in words about partitions. */
static void
check_new_column(const CzTable *table, ColumnDef *column)
{
	ListCell   *lc;

	if (table->kind == CZ_TABLE_REFERENCE)
		return;
	foreach(lc, column->constraints)
	{
		switch (lfirst_node(Constraint, lc)->contype)
		{
			case CONSTR_FOREIGN:
				CzRefuseDdl(table, "ALTER TABLE ... ADD COLUMN ... REFERENCES", NULL);
				break;
			case CONSTR_IDENTITY:
				CzRefuseDdl(table, "ALTER TABLE ... ADD COLUMN ... GENERATED AS IDENTITY",
							"Add the column NOT NULL, then use ALTER COLUMN ... ADD GENERATED ... AS IDENTITY.");
				break;
			case CONSTR_PRIMARY:
			case CONSTR_UNIQUE:
				CzRefuseDdl(table, "ALTER TABLE ... ADD COLUMN ... PRIMARY KEY or UNIQUE",
							"Use CREATE UNIQUE INDEX on columns that include the distribution column.");
				break;
			default:
				break;
		}
	}
}

static AlterClass
classify(const CzTable *table, const AlterTableStmt *stmt, const AlterTableCmd *cmd)
{
	bool		is_reference = table->kind == CZ_TABLE_REFERENCE;

	switch (cmd->subtype)
	{
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
		case AT_EnableRule:
		case AT_EnableAlwaysRule:
		case AT_EnableReplicaRule:
		case AT_DisableRule:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
		case AT_EnableTrigAll:
			return ALTER_LOCAL;
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
			return cmd->name && strncmp(cmd->name, "!cz_", 4) == 0 ? ALTER_REFUSED : ALTER_LOCAL;
		case AT_DisableTrigAll:
			/* would stop the replication of a reference table */
			return is_reference ? ALTER_REFUSED : ALTER_LOCAL;
		case AT_ColumnDefault:
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
			return is_reference ? ALTER_LOCAL : ALTER_PARENT_ONLY;
		case AT_AddColumn:
			check_new_column(table, castNode(ColumnDef, cmd->def));
			return ALTER_STRUCTURE;
		case AT_DropColumn:
			return ALTER_STRUCTURE;
		case AT_ChangeOwner:
			/* a restore's script says again who the owner is */
			return get_rolespec_oid(cmd->newowner, true) == CzRelationOwner(table->relid) ?
				ALTER_LOCAL : ALTER_REFUSED;
		case AT_AddConstraint:
			/* foreign keys of reference tables hold here, where the writes are */
			if (is_reference && castNode(Constraint, cmd->def)->contype == CONSTR_FOREIGN)
				return ALTER_LOCAL;
			/* pg_dump's ALTER TABLE ONLY ... ADD CONSTRAINT ... PRIMARY KEY */
			if (!is_reference && !stmt->relation->inh &&
				(castNode(Constraint, cmd->def)->contype == CONSTR_PRIMARY ||
				 castNode(Constraint, cmd->def)->contype == CONSTR_UNIQUE ||
				 (table->kind == CZ_TABLE_SINGLE &&
				  castNode(Constraint, cmd->def)->contype == CONSTR_EXCLUSION)))
				return ALTER_LOCAL;
			return ALTER_REFUSED;
		case AT_AttachPartition:
			{
				/* only a restore's script attaches shards; an index has none */
				PartitionCmd *partition = castNode(PartitionCmd, cmd->def);

				return partition->name->schemaname &&
					strcmp(partition->name->schemaname, CZ_SHARD_SCHEMA) == 0 ?
					ALTER_LOCAL : ALTER_REFUSED;
			}
		default:
			return ALTER_REFUSED;
	}
}

/* Names of the CHECK constraints of a table. */
static List *
check_names(Oid relid)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		if (con->contype == CONSTRAINT_CHECK)
			result = lappend(result, makeString(pstrdup(NameStr(con->conname))));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* Does the table have a row, as this transaction's connections see it? */
static bool
has_rows(const CzTable *table)
{
	int			i;

	if (table->kind == CZ_TABLE_REFERENCE)
	{
		Relation	rel = table_open(table->relid, NoLock);
		bool		result = RelationGetNumberOfBlocks(rel) > 0;

		table_close(rel, NoLock);
		return result;
	}
	for (i = 0; i < table->nshards; i++)
	{
		CzConn	   *conn = CzTxnConn(table->shards[i].server_oids[0],
									 CzRelationOwner(table->relid), false);
		struct pg_result *res;
		bool		found;

		res = CzConnExec(conn, psprintf("SELECT 1 FROM %s LIMIT 1",
										table->shards[i].remote_qualified));
		found = PQntuples(res) > 0;
		PQclear(res);
		if (found)
			return true;
	}
	return false;
}

/* The value of a new column's default as SQL, or NULL if it has none. */
static char *
default_sql(Relation rel, AttrNumber attno, const CzTable *table)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Node	   *expr = build_column_default(rel, attno);
	EState	   *estate;
	ExprState  *state;
	Datum		value;
	bool		isnull;
	char	   *result = NULL;

	if (expr == NULL || att->attgenerated)
		return NULL;
	if (contain_volatile_functions(expr))
	{
		if (has_rows(table))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot add column \"%s\" with a volatile default to table \"%s\", which has rows",
							NameStr(att->attname), RelationGetRelationName(rel)),
					 errdetail("Each placement of a row would get another value."),
					 errhint("Add the column without default, set the default with ALTER COLUMN, then update the rows.")));
		return NULL;
	}
	estate = CreateExecutorState();
	state = ExecPrepareExpr((Expr *) expr, estate);
	value = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), &isnull);
	if (!isnull)
	{
		Oid			output;
		bool		is_varlena;
		int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);

		getTypeOutputInfo(att->atttypid, &output, &is_varlena);
		result = psprintf("%s::%s", quote_literal_cstr(OidOutputFunctionCall(output, value)),
						  format_type_extended(att->atttypid, att->atttypmod,
											   FORMAT_TYPE_TYPEMOD_GIVEN |
											   FORMAT_TYPE_FORCE_QUALIFY));
		CzUnpinTextSettings(nestlevel);
	}
	FreeExecutorState(estate);
	return result;
}

static void
make_alters(StringInfo sql, const CzShard *shard, void *arg)
{
	ListCell   *lc;

	foreach(lc, ((AlterTexts *) arg)->texts)
		appendStringInfo(sql, "ALTER TABLE %s %s;\n", shard->remote_qualified,
						 (char *) lfirst(lc));
}

/*
 * Run ADD and DROP COLUMN here, see what has become of the table, and do the
 * same on the workers.  Dropped columns and constraints are drop.c's business.
 */
static void
alter_structure(const CzUtility *utility, AlterTableStmt *stmt, Oid relid)
{
	Relation	rel = relation_open(relid, AccessExclusiveLock);
	int			old_natts = RelationGetNumberOfAttributes(rel);
	List	   *old_checks = check_names(relid);
	List	   *new_checks;
	List	   *types = NIL;
	AlterTexts	texts = {NIL};
	const CzTable *table;
	ListCell   *lc;
	int			i;

	/* a column of the table's row type: the workers' copy of the type would stay behind */
	find_composite_type_dependencies(rel->rd_rel->reltype, rel, NULL);
	relation_close(rel, NoLock);
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	CzDropFlush();

	CzInvalidateTable(relid);
	table = CzTableGet(relid);
	rel = relation_open(relid, NoLock);
	for (i = old_natts + 1; i <= RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i - 1);
		ObjectAddress *address;
		char	   *value;

		if (att->attisdropped)
			continue;
		address = palloc(sizeof(ObjectAddress));
		ObjectAddressSet(*address, TypeRelationId, att->atttypid);
		types = lappend(types, address);
		if (OidIsValid(att->attcollation))
		{
			address = palloc(sizeof(ObjectAddress));
			ObjectAddressSet(*address, CollationRelationId, att->attcollation);
			types = lappend(types, address);
		}
		value = default_sql(rel, i, table);
		texts.texts = lappend(texts.texts,
							  psprintf("ADD COLUMN %s%s%s", CzColumnSql(rel, i),
									   value ? " DEFAULT " : "", value ? value : ""));
		if (value)
			texts.texts = lappend(texts.texts,
								  psprintf("ALTER COLUMN %s DROP DEFAULT",
										   quote_identifier(NameStr(att->attname))));
	}

	new_checks = check_names(relid);
	foreach(lc, new_checks)
	{
		char	   *name = strVal(lfirst(lc));

		if (!list_member(old_checks, lfirst(lc)))
			texts.texts = lappend(texts.texts,
								  psprintf("ADD CONSTRAINT %s %s", quote_identifier(name),
										   CzConstraintSql(get_relation_constraint_oid(relid, name,
																					   false))));
	}
	relation_close(rel, NoLock);

	if (texts.texts != NIL)
	{
		List	   *servers = CzTableServers(table);
		Oid			owner = CzRelationOwner(relid);

		CzPropagateAddresses(types, servers, owner);
		CzPropagateObjects(relid, servers, owner);
		CzRunOnPlacements(table, make_alters, &texts);
	}
	if (table->kind != CZ_TABLE_REFERENCE)
	{
		for (i = 0; i < table->nshards; i++)
			CzRemoveShardDefaults(table->shards[i].relid);
	}
	CzInvalidateTable(relid);
}

/* Does a statement of a restore's script add a key or an exclusion constraint? */
static bool
adds_key(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AddConstraint)
			return true;
	}
	return false;
}

/*
 * CzAlterTable
 *		Run an ALTER TABLE that concerns a table of ours.
 *
 * Returns: false if it does not, or core can run it as it is.
 */
bool
CzAlterTable(const CzUtility *utility, AlterTableStmt *stmt)
{
	Oid			relid;
	const CzTable *table;
	bool		is_structure = false;
	bool		is_parent_only = false;
	ListCell   *lc;
	char		relkind;

	if (stmt->objtype == OBJECT_VIEW || stmt->objtype == OBJECT_SEQUENCE)
		return false;
	/* core's lock first: while we waited for it the table may have become distributed */
	relid = AlterTableLookupRelation(stmt, AlterTableGetLockLevel(stmt->cmds));
	if (!OidIsValid(relid))
		return false;
	relkind = get_rel_relkind(relid);
	if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX)
		relid = IndexGetRelation(relid, true);

	table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	if (OidIsValid(relid) &&
		CzAlterForeignKeys(utility, stmt, relid, table == NULL ?
						   cz_tenant_hooks.group(get_rel_namespace(relid)) :
						   table->colocation_id))
		return true;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->def)
			CzCheckForeignKeys(cmd->def, false);
		if (cmd->subtype == AT_AddInherit && CzTableOfName((RangeVar *) cmd->def))
			CzRefuseDdl(CzTableOfName((RangeVar *) cmd->def), "inheritance", NULL);
		if (cmd->subtype == AT_AttachPartition &&
			CzTableOfName(castNode(PartitionCmd, cmd->def)->name))
			CzRefuseDdl(CzTableOfName(castNode(PartitionCmd, cmd->def)->name),
						"ATTACH PARTITION", NULL);
	}

	table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN ||
		(table->kind == CZ_TABLE_REFERENCE && !CzReferenceHasTriggers(relid)))
		return false;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (stmt->objtype == OBJECT_INDEX)
		{
			/* pg_dump attaches no indexes: shards' relations have none */
			CzRefuseDdl(table, "ALTER INDEX", NULL);
		}
		switch (classify(table, stmt, cmd))
		{
			case ALTER_REFUSED:
				CzRefuseDdl(table, psprintf("ALTER TABLE ... %s", command_name(cmd->subtype)),
							NULL);
				break;
			case ALTER_LOCAL:
				break;
			case ALTER_PARENT_ONLY:
				is_parent_only = true;
				break;
			case ALTER_STRUCTURE:
				is_structure = true;
				break;
		}
	}

	/* the name must not come to mean another table on the way */
	if (is_structure || is_parent_only)
		stmt = (AlterTableStmt *) CzQualifyRelation((Node *) stmt);
	if (is_structure && is_parent_only)
		CzRefuseDdl(table, "ALTER TABLE with ADD or DROP COLUMN and changes of defaults together",
					"Use one statement for each.");
	if (is_structure)
	{
		if (!class_ownercheck_compat(relid, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
		alter_structure(utility, stmt, relid);
		return true;
	}
	if (is_parent_only)
	{
		stmt->relation->inh = false;
		CzUtilityRun(utility, (Node *) stmt);
		return true;
	}
	if (table->kind == CZ_TABLE_SINGLE && adds_key(stmt))
	{
		CzMomentRun(utility, (Node *) stmt, list_make1_oid(relid), InvalidOid);
		return true;
	}
	return false;
}
