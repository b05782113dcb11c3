/*-------------------------------------------------------------------------
 *
 * alter_ways.c
 *	  The commands of ALTER TABLE: how core runs each on a distributed table.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/tablespace.h"
#include "miscadmin.h"

#include "cz/compat.h"
#include "ddl_int.h"

/*
 * CzAlterCommandName
 *		See ddl_int.h.
 */
const char *
CzAlterCommandName(AlterTableType type)
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
			return "SET LOGGED";
		case AT_SetUnLogged:
			return "SET UNLOGGED";
		case AT_AddInherit:
		case AT_DropInherit:
			return "INHERIT";
		case AT_AddOf:
		case AT_DropOf:
			return "OF";
		case AT_SetAccessMethod:
			return "SET ACCESS METHOD";
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
			return "ENABLE or DISABLE TRIGGER of an internal trigger";
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

static CzAlterWay
constraint_way(const Constraint *constraint)
{
	switch (constraint->contype)
	{
		case CONSTR_FOREIGN:
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
		case CONSTR_EXCLUSION:
		case CONSTR_IDENTITY:
			return CZ_WAY_MOMENT;
		default:
			return CZ_WAY_DIRECT;
	}
}

static CzAlterWay
column_way(const ColumnDef *column)
{
	CzAlterWay	way = CZ_WAY_DIRECT;
	ListCell   *lc;

	foreach(lc, column->constraints)
		way = Max(way, constraint_way(lfirst_node(Constraint, lc)));
	return way;
}

/* The tablespace that a table is in without saying so, or one that core will miss. */
static bool
is_default_tablespace(const char *name)
{
	Oid			oid = get_tablespace_oid(name, true);

	return !OidIsValid(oid) || oid == MyDatabaseTableSpace;
}

/*
 * CzAlterWayOf
 *		See ddl_int.h.
 */
CzAlterWay
CzAlterWayOf(const AlterTableCmd *cmd, bool is_index)
{
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
		case AT_ColumnDefault:
		case AT_ReplicaIdentity:
		case AT_ChangeOwner:
		case AT_DropOids:
		case AT_GenericOptions:
		case AT_AlterColumnGenericOptions:
			return CZ_WAY_PARENT;
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
			return CZ_IDENTITY_RECURSES ? CZ_WAY_MOMENT : CZ_WAY_PARENT;
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
			if (cmd->name && strncmp(cmd->name, "!cz_", 4) == 0)
				return CZ_WAY_REFUSED;
			return CZ_WAY_DIRECT;
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
		case AT_EnableTrigAll:
		case AT_DisableTrigAll:
		case AT_SetNotNull:
		case AT_DropNotNull:
		case AT_DropExpression:
		case AT_DropConstraint:
		case AT_ValidateConstraint:
		case AT_AlterConstraint:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
			return CZ_WAY_DIRECT;
		case AT_SetStatistics:
			return is_index ? CZ_WAY_PARENT : CZ_WAY_DIRECT;
		case AT_AddColumn:
			return column_way(castNode(ColumnDef, cmd->def));
		case AT_AddConstraint:
			return constraint_way(castNode(Constraint, cmd->def));
		case AT_DropColumn:
		case AT_AlterColumnType:
		case AT_AddIndexConstraint:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_SetLogged:
		case AT_SetUnLogged:
		case AT_DropInherit:
		case AT_AddOf:
		case AT_DropOf:
			return CZ_WAY_MOMENT;
		case AT_SetAccessMethod:
			return strcmp(cmd->name, "heap") == 0 ? CZ_WAY_MOMENT : CZ_WAY_REFUSED;
		case AT_SetTableSpace:
			return is_default_tablespace(cmd->name) ? CZ_WAY_MOMENT : CZ_WAY_REFUSED;
		default:
			return AT_IS_SET_EXPRESSION_COMPAT(cmd->subtype) ? CZ_WAY_DIRECT : CZ_WAY_REFUSED;
	}
}

/*
 * CzAlterWayOfReference
 *		See ddl_int.h.
 */
CzAlterWay
CzAlterWayOfReference(const AlterTableCmd *cmd)
{
	CzAlterWay	way;

	switch (cmd->subtype)
	{
		case AT_SetUnLogged:
			return CZ_WAY_REFUSED;
		case AT_AddConstraint:
			/* foreign keys of reference tables hold here, where the writes are */
			return CZ_WAY_PARENT;
		default:
			way = CzAlterWayOf(cmd, false);
			return way == CZ_WAY_REFUSED ? way : CZ_WAY_PARENT;
	}
}

/*
 * CzAlterRefusalHint
 *		See ddl_int.h.
 */
const char *
CzAlterRefusalHint(const AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_SetUnLogged:
			return "A worker's crash would empty one placement of a shard and leave the others.";
		case AT_AddInherit:
			return "A query over the parent would not ask the workers.";
		case AT_SetTableSpace:
			return "Use ALTER TABLE ... SET TABLESPACE on the workers, for the tables of schema cz_shards.";
		default:
			return NULL;
	}
}
