/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  CREATE TRIGGER ... FOR EACH ROW with transition tables.
 *
 * Triggers of a distributed table are the coordinator's own affair and fire on the
 * user's table (executor/triggers.c).  Only what core says of partitioned tables
 * stands in the way of this kind: so it is made as a statement trigger, with all of
 * core's checks, and becomes a row trigger then.  Shards have no use for a copy.
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
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "cz/metadata.h"
#include "ddl_int.h"

static void
make_row_trigger(Oid relid, Oid trigger_oid)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
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
	((Form_pg_trigger) GETSTRUCT(tuple))->tgtype |= TRIGGER_TYPE_ROW;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relid);
}

/*
 * CzCreateTrigger
 *		Run a CREATE TRIGGER that core would refuse on a distributed table; false: it is
 *		another one.
 *
 * Errors: 0A000 with WHEN, which a statement trigger cannot have.
 */
bool
CzCreateTrigger(const CzUtility *utility, CreateTrigStmt *stmt)
{
	const CzTable *table = CzTableOfName(stmt->relation);
	CreateTrigStmt *copy;

	if (table == NULL || table->kind == CZ_TABLE_REFERENCE || !stmt->row ||
		stmt->transitionRels == NIL)
		return false;
	if (stmt->whenClause != NULL)
		CzRefuseDdl(table, "a row trigger with transition tables and WHEN",
					"Test the condition in the trigger's function.");
	copy = copyObject(stmt);
	copy->row = false;
	CzUtilityRun(utility, (Node *) copy);
	CommandCounterIncrement();
	make_row_trigger(table->relid, get_trigger_oid(table->relid, stmt->trigname, false));
	return true;
}
