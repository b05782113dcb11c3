/*-------------------------------------------------------------------------
 *
 * partitions.c
 *	  Partitions of distributed tables: CREATE TABLE ... PARTITION OF, ATTACH and DETACH
 *	  PARTITION, of tables and of indexes.
 *
 * Core runs the statement here, with all of its checks and all that a partition gets from
 * its parent; what it has made of the table is then carried to the workers.  A default
 * partition has nothing here that core could look through: the worker does it when it
 * attaches a partition to the shard.
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
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "ddl_int.h"

CzPartitionHooks cz_partition_hooks = {NULL, NULL, NULL};

/* A relation by a statement's name; NULL: no partition nor root of ours. */
static const CzTable *
tree_of_name(const RangeVar *name)
{
	const CzTable *table = CzTableOfName(name);

	return table != NULL && OidIsValid(table->map_relid) ? table : NULL;
}

/*
 * CzAttachLock
 *		See ddl_int.h.  Who reads and writes through a partitioned table has no lock of its
 *		default partition here, as on plain PostgreSQL, but of its shards on some workers:
 *		those would be waited for there, with the shards of other workers locked already.
 */
LOCKMODE
CzAttachLock(const AlterTableStmt *stmt, Oid relid, LOCKMODE lockmode)
{
	const CzTable *table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	List	   *above;
	int			i;

	if (stmt->objtype != OBJECT_TABLE || table == NULL || !table->is_partitioned ||
		linitial_node(AlterTableCmd, stmt->cmds)->subtype != AT_AttachPartition ||
		!CzTxnIsCoordinator() || !OidIsValid(get_default_partition_oid(relid)) ||
		!class_ownercheck_compat(relid, GetUserId()))
		return lockmode;
	above = get_rel_relispartition(relid) ? get_partition_ancestors(relid) : NIL;
	for (i = list_length(above) - 1; i >= 0; i--)
		LockRelationOid(list_nth_oid(above, i), AccessExclusiveLock);
	return AccessExclusiveLock;
}

/*
 * CzCreatePartition
 *		CREATE TABLE ... PARTITION OF a distributed table; false: it is another statement.
 */
bool
CzCreatePartition(const CzUtility *utility, CreateStmt *stmt)
{
	const CzTable *parent;
	Oid			namespace_oid;
	Oid			before;
	Oid			relid;

	if (stmt->partbound == NULL || list_length(stmt->inhRelations) != 1)
		return false;
	parent = tree_of_name(linitial_node(RangeVar, stmt->inhRelations));
	if (parent == NULL || !CzTxnIsCoordinator())
		return false;
	if (!parent->is_partitioned)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not partitioned", get_rel_name(parent->relid))));
	namespace_oid = RangeVarGetCreationNamespace(stmt->relation);
	before = get_relname_relid(stmt->relation->relname, namespace_oid);
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	relid = get_relname_relid(stmt->relation->relname, namespace_oid);
	if (OidIsValid(relid) && relid != before)
		cz_partition_hooks.adopt(relid);
	return true;
}

/*
 * A distributed table becomes a local one, to be distributed again at once: it may have keys
 * from and to others.
 */
static void
localize(Oid relid)
{
	List	   *save = cz_distributed_together;
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, CzTreeForeignKeys(relid, true))
	{
		const CzKey *key = CzKeyGet(lfirst_oid(lc));

		others = list_append_unique_oid(others, CzRootOf(key->from_relid));
		others = list_append_unique_oid(others, CzRootOf(key->to_relid));
	}
	PG_TRY();
	{
		cz_distributed_together = others;
		cz_partition_hooks.localize(relid);
	}
	PG_FINALLY();
	{
		cz_distributed_together = save;
	}
	PG_END_TRY();
	CommandCounterIncrement();
}

static void
attach(const CzUtility *utility, AlterTableStmt *stmt, const CzTable *parent)
{
	RangeVar   *name = castNode(PartitionCmd, linitial_node(AlterTableCmd, stmt->cmds)->def)->name;
	Oid			relid;
	const CzTable *child;

	relid = RangeVarGetRelidExtended(name, AccessExclusiveLock, 0, RangeVarCallbackOwnsRelation,
									 NULL);
	child = CzTableGet(relid);
	if (child != NULL && child->kind == CZ_TABLE_REFERENCE)
		CzRefuseDdl(child, "ATTACH PARTITION",
					"Use undistribute_table() first: the rows are distributed when it is attached.");

	/* core's part of the statement then looks through its rows, too */
	if (child != NULL && CzTableIsDistributed(child) && !OidIsValid(child->root_relid) &&
		relid != parent->relid)
		localize(relid);
	/* its triggers are ones more that keys may have to fire */
	CzKeyActorsNote(CzRootOf(parent->relid));
	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	cz_partition_hooks.adopt(relid);
}

/*
 * Parents that keys of a partition refer to, locked: core makes triggers of its own for it
 * on what is referred to, and on what is below that.
 */
static List *
detach_partners(Oid relid, List *inherited)
{
	List	   *partners = NIL;
	ListCell   *lc;

	foreach(lc, inherited)
	{
		Oid			target = ((CzInheritedKey *) lfirst(lc))->to_relid;

		if (CzIsParent(target))
			partners = list_append_unique_oid(partners, target);
	}
	list_sort(partners, list_oid_cmp);
	foreach(lc, partners)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	return partners;
}

/* Core's check of one key (a row of pg_constraint) to a partition that is about to go. */
static void
check_rows_of_key(Form_pg_constraint con)
{
	Relation	from = table_open(con->conrelid, ShareLock);
	Relation	partition = table_open(con->confrelid, NoLock);
	Trigger		trigger;

	memset(&trigger, 0, sizeof(trigger));
	trigger.tgname = NameStr(con->conname);
	trigger.tgenabled = TRIGGER_FIRES_ON_ORIGIN;
	trigger.tgisinternal = true;
	trigger.tgconstrrelid = con->confrelid;
	trigger.tgconstrindid = con->conindid;
	trigger.tgconstraint = con->oid;
	RI_PartitionRemove_Check(&trigger, from, partition);
	table_close(partition, NoLock);
	table_close(from, NoLock);
}

/*
 * Tables that refer to a partition by keys to a table above it, and are among those that will
 * be in their moment, where core would find no rows of theirs: it looks for them now.
 *
 * Errors: 23503, as core has it.
 */
static List *
check_rows(Oid relid, List *moments)
{
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	if (moments == NIL)
		return NIL;
	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_confrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		if (con->contype != CONSTRAINT_FOREIGN || !OidIsValid(con->conparentid) ||
			!list_member_oid(moments, con->conrelid))
			continue;
		check_rows_of_key(con);
		result = list_append_unique_oid(result, con->conrelid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * CzDetachPartition
 *		See ddl_int.h.
 */
void
CzDetachPartition(const CzUtility *utility, AlterTableStmt *stmt, Oid parent_relid)
{
	PartitionCmd *cmd = castNode(PartitionCmd, linitial_node(AlterTableCmd, stmt->cmds)->def);
	List	   *keys;
	List	   *partners;
	ListCell   *lc;
	Oid			relid;

	relid = RangeVarGetRelid(cmd->name, AccessExclusiveLock, false);
	CzKeyActorsNote(CzRootOf(parent_relid));
	keys = CzInheritedKeys(relid);
	partners = detach_partners(relid, keys);
	if (partners == NIL)
		CzUtilityRun(utility, (Node *) stmt);
	else
		CzMomentRunAsked(utility, CzQualifyRelation((Node *) stmt), partners,
						 check_rows(relid, partners));
	CommandCounterIncrement();
	foreach(lc, partners)
		CzInvalidateTable(lfirst_oid(lc));
	cz_partition_hooks.release(relid, parent_relid, keys);
}

typedef struct IndexPair
{
	const CzTable *parent;
	const CzTable *child;
	char	   *parent_name;
	char	   *child_name;
} IndexPair;

static void
attach_index_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	IndexPair  *pair = arg;

	appendStringInfo(sql, "ALTER INDEX %s ATTACH PARTITION %s;\n",
					 CzQualifiedIndex(shard, pair->parent_name),
					 CzQualifiedIndex(&pair->child->shards[shard - pair->parent->shards],
									  pair->child_name));
}

/* ALTER INDEX ... ATTACH PARTITION */
static void
attach_index(const CzUtility *utility, AlterTableStmt *stmt, Oid relid)
{
	RangeVar   *name = castNode(PartitionCmd, linitial_node(AlterTableCmd, stmt->cmds)->def)->name;
	Oid			parent_index = RangeVarGetRelid(stmt->relation, NoLock, false);
	Oid			child_index = RangeVarGetRelid(name, NoLock, true);
	bool		was_attached = OidIsValid(child_index) && get_rel_relispartition(child_index);
	Oid			child_relid;
	IndexPair	pair;

	CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();
	if (was_attached || !get_rel_relispartition(child_index))
		return;
	child_relid = IndexGetRelation(child_index, false);
	pair.parent = CzTableGet(relid);
	pair.child = CzTableGet(child_relid);
	if (pair.child == NULL || pair.child->nshards != pair.parent->nshards)
		elog(ERROR, "index \"%s\" is not of a partition", name->relname);
	pair.parent_name = get_rel_name(parent_index);
	pair.child_name = get_rel_name(child_index);
	CzRunOnPlacements(pair.parent, attach_index_sql, &pair);
}

/*
 * CzCheckPartitioned
 *		See ddl_int.h.
 */
void
CzCheckPartitioned(Oid relid, AlterTableType type)
{
	const char *action = type == AT_AttachPartition ? "ATTACH PARTITION" :
		type == AT_DetachPartition ? "DETACH PARTITION" :
		type == AT_DetachPartitionFinalize ? "DETACH PARTITION ... FINALIZE" : NULL;

	if (action != NULL)
		ereport(ERROR,
				errcode(ERRCODE_NOT_PARTITIONED_COMPAT),
				errmsg_not_partitioned_compat(relid, action));
}

/*
 * CzPartitionCommand
 *		ATTACH or DETACH PARTITION of a distributed table, or of an index of one; false: the
 *		statement is another one, or stays here.
 *
 * relid: the table.
 */
bool
CzPartitionCommand(const CzUtility *utility, AlterTableStmt *stmt, Oid relid, bool is_index)
{
	AlterTableCmd *cmd = linitial_node(AlterTableCmd, stmt->cmds);
	const CzTable *table = CzTableGet(relid);

	if (table == NULL || !OidIsValid(table->map_relid) || !CzTxnIsCoordinator())
		return false;
	/* a partition with rows, which core would take for a partitioned one */
	if (!table->is_partitioned && !is_index)
		CzCheckPartitioned(relid, cmd->subtype);
	switch (cmd->subtype)
	{
		case AT_AttachPartition:
			if (is_index)
				attach_index(utility, stmt, relid);
			else
				attach(utility, stmt, table);
			return true;
		case AT_DetachPartition:
			if (castNode(PartitionCmd, cmd->def)->concurrent)
				CzDetachConcurrently(utility, stmt, relid);
			else
				CzDetachPartition(utility, stmt, relid);
			return true;
		case AT_DetachPartitionFinalize:
			/* what core has to say: nothing is left to be finished */
			CzUtilityRun(utility, (Node *) stmt);
			return true;
		default:
			return false;
	}
}
