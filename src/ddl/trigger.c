/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  CREATE TRIGGER ... FOR EACH ROW with transition tables, CREATE CONSTRAINT TRIGGER.
 *
 * Triggers of a distributed table are the coordinator's own affair and fire on the
 * user's table (executor/triggers.c).  Only what core says of partitioned tables and of
 * their partitions, which are foreign tables, stands in the way of these kinds.  So they
 * are made as a statement trigger, with all of core's checks, that becomes a row
 * trigger then; or, where a statement trigger cannot be that (WHEN, constraints), is
 * replaced by an internal one, of which core makes no copies for partitions, and that
 * becomes the user's.  Shards have no use for a copy.
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
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "ddl_int.h"

/* A copy of a trigger's tuple, to be changed. */
static HeapTuple
find_trigger(Relation catalog, Oid trigger_oid)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger_oid));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find tuple for trigger %u", trigger_oid);
	tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

static void
make_row_trigger(Oid relid, Oid trigger_oid)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	HeapTuple	tuple = find_trigger(catalog, trigger_oid);

	((Form_pg_trigger) GETSTRUCT(tuple))->tgtype |= TRIGGER_TYPE_ROW;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relid);
}

/* The constraint of a trigger, which goes with it. */
static Oid
make_constraint(CreateTrigStmt *stmt, Oid relid, Oid trigger_oid)
{
	Oid			constraint_oid = create_trigger_constraint_compat(stmt->trigname,
																  get_rel_namespace(relid),
																  stmt->deferrable,
																  stmt->initdeferred, relid);
	ObjectAddress trigger;
	ObjectAddress constraint;

	ObjectAddressSet(trigger, TriggerRelationId, trigger_oid);
	ObjectAddressSet(constraint, ConstraintRelationId, constraint_oid);
	recordDependencyOn(&constraint, &trigger, DEPENDENCY_INTERNAL);
	return constraint_oid;
}

/* FROM another table: the trigger goes with that, too. */
static Oid
refer_to_table(CreateTrigStmt *stmt, Oid trigger_oid)
{
	ObjectAddress trigger;
	ObjectAddress table;
	Oid			relid;

	if (stmt->constrrel == NULL)
		return InvalidOid;
	relid = RangeVarGetRelid(stmt->constrrel, AccessShareLock, false);
	ObjectAddressSet(trigger, TriggerRelationId, trigger_oid);
	ObjectAddressSet(table, RelationRelationId, relid);
	recordDependencyOn(&trigger, &table, DEPENDENCY_AUTO);
	return relid;
}

/* Make an internal trigger what the statement says, which core has checked. */
static void
make_trigger(const CzUtility *utility, CreateTrigStmt *stmt, Oid relid)
{
	CreateTrigStmt *copy = copyObject(stmt);
	Relation	catalog;
	HeapTuple	tuple;
	Datum		values[Natts_pg_trigger] = {0};
	bool		nulls[Natts_pg_trigger] = {0};
	bool		replaces[Natts_pg_trigger] = {0};
	NameData	names[3];
	Oid			trigger_oid;
	ListCell   *lc;

	copy->isconstraint = copy->deferrable = copy->initdeferred = copy->replace = false;
	copy->transitionRels = NIL;
	copy->constrrel = NULL;
	trigger_oid = CreateTriggerFiringOn(copy, utility->query_string, relid, InvalidOid,
										InvalidOid, InvalidOid, InvalidOid, InvalidOid, NULL,
										true, false, TRIGGER_FIRES_ON_ORIGIN).objectId;
	CommandCounterIncrement();

#define SET_COLUMN(attno, value) \
	(values[(attno) - 1] = (value), replaces[(attno) - 1] = true)
	namestrcpy(&names[0], stmt->trigname);
	SET_COLUMN(Anum_pg_trigger_tgname, NameGetDatum(&names[0]));
	SET_COLUMN(Anum_pg_trigger_tgisinternal, BoolGetDatum(false));
	if (stmt->isconstraint)
	{
		SET_COLUMN(Anum_pg_trigger_tgconstraint,
				   ObjectIdGetDatum(make_constraint(stmt, relid, trigger_oid)));
		SET_COLUMN(Anum_pg_trigger_tgdeferrable, BoolGetDatum(stmt->deferrable));
		SET_COLUMN(Anum_pg_trigger_tginitdeferred, BoolGetDatum(stmt->initdeferred));
		SET_COLUMN(Anum_pg_trigger_tgconstrrelid,
				   ObjectIdGetDatum(refer_to_table(stmt, trigger_oid)));
	}
	foreach(lc, stmt->transitionRels)
	{
		TriggerTransition *transition = lfirst_node(TriggerTransition, lc);
		NameData   *name = &names[transition->isNew ? 2 : 1];

		namestrcpy(name, transition->name);
		SET_COLUMN(transition->isNew ? Anum_pg_trigger_tgnewtable :
				   Anum_pg_trigger_tgoldtable, NameGetDatum(name));
	}
#undef SET_COLUMN
	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	tuple = find_trigger(catalog, trigger_oid);
	tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relid);
}

/*
 * CzCreateTrigger
 *		Run a CREATE TRIGGER that core would refuse on a distributed table; false: it is
 *		another one.
 */
bool
CzCreateTrigger(const CzUtility *utility, CreateTrigStmt *stmt)
{
	const CzTable *table = CzTableOfName(stmt->relation);
	CreateTrigStmt *copy;
	ObjectAddress address;

	if (table != NULL)
		CzKeyActorsNote(table->relid);
	/* tables above a partition must know that it has row triggers */
	if (table != NULL && OidIsValid(table->root_relid) && stmt->row)
	{
		List	   *ancestors = get_partition_ancestors(table->relid);
		ListCell   *lc;

		CzUtilityRun(utility, (Node *) stmt);
		foreach(lc, ancestors)
			CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
		return true;
	}
	/* core says what partitioned tables cannot have, and makes copies for partitions */
	if (table == NULL || table->kind == CZ_TABLE_REFERENCE || !stmt->row ||
		OidIsValid(table->map_relid) ||
		(stmt->transitionRels == NIL && !stmt->isconstraint))
		return false;
	copy = copyObject(stmt);
	copy->row = copy->isconstraint = copy->deferrable = copy->initdeferred = false;
	copy->whenClause = NULL;
	copy->constrrel = NULL;
	CzUtilityRun(utility, (Node *) copy);
	CommandCounterIncrement();
	ObjectAddressSet(address, TriggerRelationId,
					 get_trigger_oid(table->relid, stmt->trigname, false));
	if (!stmt->isconstraint && stmt->whenClause == NULL)
	{
		make_row_trigger(table->relid, address.objectId);
		return true;
	}
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	make_trigger(utility, stmt, table->relid);
	return true;
}
