/*-------------------------------------------------------------------------
 *
 * keys_rows.c
 *	  Have rows what they refer to by a foreign key that workers do not check?
 *
 * Core's own query looks at all of them, as when a key is added to an ordinary table.  For
 * a partitioned table core asks for each partition, and names that one; here the whole is
 * asked first, by one query, and partitions only if a row is in the way.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "ddl_int.h"

/* Look at the rows of a relation by a key of its own. */
static void
check_relation(const CzKey *key)
{
	Relation	from = table_open(key->from_relid, AccessShareLock);
	Relation	to = table_open(key->to_relid, RowShareLock);
	Trigger		trigger;

	memset(&trigger, 0, sizeof(trigger));
	trigger.tgname = key->name;
	trigger.tgenabled = TRIGGER_FIRES_ON_ORIGIN;
	trigger.tgisinternal = true;
	trigger.tgconstrrelid = key->to_relid;
	trigger.tgconstraint = key->oid;
	/* it is to see what workers have been told */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	/* core would look row by row at what the user may not read as a whole */
	if (!RI_Initial_Check(&trigger, from, to))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot check foreign key \"%s\" of table \"%s\"", key->name,
						RelationGetRelationName(from)),
				 errdetail("It takes the privilege to read all rows of both tables.")));
	PopActiveSnapshot();
	table_close(to, NoLock);
	table_close(from, NoLock);
}

/* The same, but a row that is in the way is returned as an error; NULL: there is none. */
static ErrorData *
try_relation(const CzKey *key)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		check_relation(key);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_FOREIGN_KEY_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/* The key that a partition has for one of a table above; InvalidOid: none. */
static Oid
key_of_partition(Oid relid, Oid top_oid)
{
	ListCell   *lc;

	foreach(lc, CzInheritedKeys(relid))
	{
		const CzInheritedKey *key = lfirst(lc);

		if (key->top_oid == top_oid)
			return key->oid;
	}
	return InvalidOid;
}

/*
 * CzKeyCheckRows
 *		See cz/ddl.h.
 */
void
CzKeyCheckRows(Oid constraint_oid)
{
	const CzKey *key = CzKeyGet(constraint_oid);
	const CzTable *table = CzTableGet(key->from_relid);
	ErrorData  *error;
	ListCell   *lc;

	if (!key->is_valid)
		return;
	if (table == NULL || !table->is_partitioned)
	{
		check_relation(key);
		return;
	}
	error = try_relation(key);
	if (error == NULL)
		return;
	foreach(lc, find_all_inheritors(key->from_relid, NoLock, NULL))
	{
		Oid			own_oid;

		table = CzTableGet(lfirst_oid(lc));
		own_oid = table != NULL && !table->is_partitioned ?
			key_of_partition(lfirst_oid(lc), constraint_oid) : InvalidOid;
		if (OidIsValid(own_oid))
			check_relation(CzKeyGet(own_oid));
	}
	ReThrowError(error);
}
