/*-------------------------------------------------------------------------
 *
 * placement_state.c
 *	  Placements that are not to be used: the table cz.placement_state.
 *
 * A placement without a row is active.  A transaction that could not write to one
 * inserts the row, so that it commits with what the other placements got; whoever
 * makes the placement whole again deletes it.  All tables of a colocation group
 * have the same active placements for a shard number: they are read together.
 *
 * Workers are named, as in the option placements: a dump takes the rows along.
 *
 * And shards that were being written when the server crashed (cz.dirty_shards): until
 * they are compared, only the first of their active placements counts.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "cz/boot.h"
#include "metadata_int.h"

PG_FUNCTION_INFO_V1(cz_placement_state_changed);

bool		cz_inactive_changed = false;
uint64		cz_inactive_commands = 0;
CzAddUnsure cz_add_unsure = NULL;

/* Columns of cz.placement_state; sql/20-metadata.sql */
enum
{
	ANUM_STATE_SHARD_ID = 1,
	ANUM_STATE_SERVER_NAME,
	ANUM_STATE_STATE,
	ANUM_STATE_SINCE,
	ANUM_STATE_REASON
};
#define STATE_NATTS ANUM_STATE_REASON

/* Columns of cz.dirty_shards */
enum
{
	ANUM_DIRTY_SHARD_ID = 1,
	ANUM_DIRTY_BOOT_ID
};
#define DIRTY_NATTS ANUM_DIRTY_BOOT_ID

/* Not written any more, so not to be read; gone for good. */
#define STATE_INACTIVE 'i'
#define STATE_LOST 'l'

static Oid
state_relid(void)
{
	return CzCatalogRelid("placement_state");
}

static CzInactive *
make_inactive(Relation rel, HeapTuple tuple)
{
	CzInactive *inactive = palloc0(sizeof(CzInactive));
	TupleDesc	desc = RelationGetDescr(rel);
	bool		isnull;

	inactive->shard_id = DatumGetInt64(heap_getattr(tuple, ANUM_STATE_SHARD_ID, desc, &isnull));
	inactive->server_oid =
		get_foreign_server_oid(NameStr(*DatumGetName(heap_getattr(tuple, ANUM_STATE_SERVER_NAME,
																  desc, &isnull))), true);
	return inactive;
}

static int
compare_inactive(const ListCell *a, const ListCell *b)
{
	int64		x = ((const CzInactive *) lfirst(a))->shard_id;
	int64		y = ((const CzInactive *) lfirst(b))->shard_id;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* What is unsure.  To be read before the tables, for it goes there. */
static List *
read_unsure(void)
{
	return cz_add_unsure != NULL ? cz_add_unsure(NIL) : NIL;
}

/* The dirty shards of an earlier life, with no server, and all of it in order. */
static List *
add_dirty(List *list, List *unsure)
{
	Oid			relid = CzCatalogRelid("dirty_shards");
	int64		boot_id = CzBootId();
	int			nbefore = list_length(list);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(relid))
		return list;
	list = list_concat(list, unsure);
	rel = table_open(relid, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		CzInactive *inactive;
		bool		isnull;

		if (DatumGetInt64(heap_getattr(tuple, ANUM_DIRTY_BOOT_ID, desc, &isnull)) == boot_id)
			continue;
		inactive = palloc0(sizeof(CzInactive));
		inactive->shard_id = DatumGetInt64(heap_getattr(tuple, ANUM_DIRTY_SHARD_ID, desc,
														&isnull));
		list = lappend(list, inactive);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (list_length(list) > nbefore)
		list_sort(list, compare_inactive);
	return list;
}

/*
 * CzDirtyInsert
 *		Note that a shard's placements may differ after a crash of this life of the
 *		server; 0: that they may differ now.  False if the extension's script is older.
 */
bool
CzDirtyInsert(int64 shard_id, int64 boot_id)
{
	Oid			relid = CzCatalogRelid("dirty_shards");
	Relation	rel;
	Datum		values[DIRTY_NATTS];
	bool		nulls[DIRTY_NATTS] = {false};
	HeapTuple	tuple;

	if (!OidIsValid(relid))
		return false;
	rel = table_open(relid, RowExclusiveLock);
	values[ANUM_DIRTY_SHARD_ID - 1] = Int64GetDatum(shard_id);
	values[ANUM_DIRTY_BOOT_ID - 1] = Int64GetDatum(boot_id);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
	return true;
}

/*
 * CzDirtyDelete
 *		A shard's placements are equal, or gone.
 */
void
CzDirtyDelete(int64 shard_id, CzDirtyRows which)
{
	Oid			relid = CzCatalogRelid("dirty_shards");
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(relid))
		return;
	rel = table_open(relid, RowExclusiveLock);
	ScanKeyInit(&key, ANUM_DIRTY_SHARD_ID, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(shard_id));
	/* by a plain scan: the index may be gone already in DROP EXTENSION */
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int64		boot_id = DatumGetInt64(heap_getattr(tuple, ANUM_DIRTY_BOOT_ID,
														 RelationGetDescr(rel), &isnull));

		if (which == CZ_DIRTY_ALL || (which == CZ_DIRTY_OWN) == (boot_id == CzBootId()))
			CatalogTupleDelete(rel, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
	if (which == CZ_DIRTY_OLD)
		cz_inactive_changed = true;
}

/*
 * CzStaleServers
 *		See metadata.h.
 */
List *
CzStaleServers(const CzTable *table, int index)
{
	const CzShard *shard = &table->shards[index];
	List	   *result = NIL;
	List	   *all = NIL;
	ListCell   *lc;
	int			i;

	if (table->kind != CZ_TABLE_REFERENCE)
		all = CzShardServers(shard->relid);
	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);
		bool		is_active = false;

		if (table->kind == CZ_TABLE_REFERENCE ? !node->is_checked :
			!list_member_oid(all, node->server_oid))
			continue;
		for (i = 0; i < shard->nplacements; i++)
			is_active |= shard->server_oids[i] == node->server_oid;
		if (!is_active)
			result = lappend_oid(result, node->server_oid);
	}
	return result;
}

/* The rows of cz.placement_state, in order. */
static List *
read_inactive(Snapshot snapshot)
{
	Oid			relid = state_relid();
	List	   *result = NIL;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(relid))
		return NIL;
	rel = table_open(relid, AccessShareLock);
	scan = systable_beginscan(rel, CzCatalogRelid("placement_state_pkey"), true, snapshot, 0,
							  NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CzInactive *inactive = make_inactive(rel, tuple);

		if (OidIsValid(inactive->server_oid))
			result = lappend(result, inactive);
		else
			pfree(inactive);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * CzInactiveList, CzInactiveListAsOf
 *		See metadata.h.
 */
List *
CzInactiveList(void)
{
	return CzInactiveListAsOf(NULL);
}

List *
CzInactiveListAsOf(Snapshot snapshot)
{
	List	   *unsure = read_unsure();

	return add_dirty(read_inactive(snapshot), unsure);
}

/*
 * CzInactiveServers
 *		See metadata.h.
 */
List *
CzInactiveServers(List *inactive, int64 shard_id)
{
	List	   *result = NIL;
	int			low = 0;
	int			high = list_length(inactive);

	/* the first one of the shard */
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (((CzInactive *) list_nth(inactive, middle))->shard_id < shard_id)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < list_length(inactive); low++)
	{
		CzInactive *one = list_nth(inactive, low);

		if (one->shard_id != shard_id)
			break;
		result = lappend_oid(result, one->server_oid);
	}
	return result;
}

/* A shard's rows of cz.placement_state, for people; is_lost: out: one is lost. */
static char *
describe_states(int64 shard_id, bool *is_lost)
{
	Relation	rel = table_open(state_relid(), AccessShareLock);
	StringInfoData buf;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	*is_lost = false;
	initStringInfo(&buf);
	ScanKeyInit(&key, ANUM_STATE_SHARD_ID, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(shard_id));
	scan = systable_beginscan(rel, CzCatalogRelid("placement_state_pkey"), true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;
		Datum		name = heap_getattr(tuple, ANUM_STATE_SERVER_NAME, desc, &isnull);
		bool		lost = DatumGetChar(heap_getattr(tuple, ANUM_STATE_STATE, desc, &isnull)) == STATE_LOST;
		Datum		reason = heap_getattr(tuple, ANUM_STATE_REASON, desc, &isnull);

		appendStringInfo(&buf, "%s\"%s\" (%s%s%s)", buf.len > 0 ? ", " : "",
						 NameStr(*DatumGetName(name)), lost ? "lost" : "inactive",
						 isnull ? "" : ": ", isnull ? "" : TextDatumGetCString(reason));
		*is_lost |= lost;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return buf.data;
}

/*
 * CzCheckHasPlacement
 *		See metadata.h.
 */
void
CzCheckHasPlacement(const CzShard *shard)
{
	char	   *states;
	bool		is_lost;

	if (shard->nplacements > 0 || shard->is_copy || shard->shard_id == 0 ||
		!OidIsValid(state_relid()))
		return;
	states = describe_states(shard->shard_id, &is_lost);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("no placement of shard " INT64_FORMAT " is active", shard->shard_id),
			 states[0] != '\0' ? errdetail("Its placements are on %s.", states) : 0,
			 is_lost ? errhint("If the node is back, citus_activate_node() makes its shards whole; else drop the table.") :
			 errhint("Rows of these placements may be missing or out of date, so they are not used; see cz.placement_state.")));
}

static bool
insert_state(int64 shard_id, Oid server_oid, char state, const char *reason)
{
	ForeignServer *server = GetForeignServerExtended(server_oid, FSV_MISSING_OK);
	Relation	rel;
	Datum		values[STATE_NATTS];
	bool		nulls[STATE_NATTS] = {false};
	NameData	name;
	HeapTuple	tuple;

	/* of a worker that has been removed there are no placements any more */
	if (server == NULL ||
		list_member_oid(CzInactiveServers(read_inactive(NULL), shard_id), server_oid))
		return false;
	rel = table_open(state_relid(), RowExclusiveLock);
	namestrcpy(&name, server->servername);
	values[ANUM_STATE_SHARD_ID - 1] = Int64GetDatum(shard_id);
	values[ANUM_STATE_SERVER_NAME - 1] = NameGetDatum(&name);
	values[ANUM_STATE_STATE - 1] = CharGetDatum(state);
	values[ANUM_STATE_SINCE - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[ANUM_STATE_REASON - 1] = CStringGetTextDatum(reason);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	cz_inactive_commands++;
	cz_inactive_changed = true;
	return true;
}

/*
 * CzInactiveInsert, CzLostInsert
 *		See metadata.h.
 */
bool
CzInactiveInsert(int64 shard_id, Oid server_oid, const char *reason)
{
	return insert_state(shard_id, server_oid, STATE_INACTIVE, reason);
}

bool
CzLostInsert(int64 shard_id, Oid server_oid, const char *reason)
{
	return insert_state(shard_id, server_oid, STATE_LOST, reason);
}

/*
 * CzInactiveDelete
 *		See metadata.h.
 */
int
CzInactiveDelete(int64 shard_id, Oid server_oid)
{
	Oid			relid = state_relid();
	int			ndeleted = 0;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(relid))
		return 0;
	rel = table_open(relid, RowExclusiveLock);
	/* by a plain scan: the index may be gone already in DROP EXTENSION */
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CzInactive *inactive = make_inactive(rel, tuple);

		if ((shard_id == 0 || inactive->shard_id == shard_id) &&
			(!OidIsValid(server_oid) || inactive->server_oid == server_oid))
		{
			CatalogTupleDelete(rel, &tuple->t_self);
			ndeleted++;
		}
		pfree(inactive);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
	if (ndeleted > 0)
	{
		CommandCounterIncrement();
		cz_inactive_commands++;
		cz_inactive_changed = true;
	}
	return ndeleted;
}

/*
 * CzInactiveRename
 *		The rows of a server that gets another name.
 */
void
CzInactiveRename(const char *old_name, const char *new_name)
{
	Relation	rel = table_open(state_relid(), RowExclusiveLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	NameData	name;
	HeapTuple	tuple;

	namestrcpy(&name, new_name);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[STATE_NATTS] = {0};
		bool		nulls[STATE_NATTS] = {false};
		bool		replaces[STATE_NATTS] = {false};
		bool		isnull;
		Datum		value = heap_getattr(tuple, ANUM_STATE_SERVER_NAME, RelationGetDescr(rel),
										 &isnull);

		if (strcmp(NameStr(*DatumGetName(value)), old_name) != 0)
			continue;
		values[ANUM_STATE_SERVER_NAME - 1] = NameGetDatum(&name);
		replaces[ANUM_STATE_SERVER_NAME - 1] = true;
		CatalogTupleUpdate(rel, &tuple->t_self,
						   heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls,
											 replaces));
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
}

/*
 * cz_placement_state_changed
 *		Statement trigger of cz.placement_state: somebody changes it by hand, or a
 *		restore fills it.
 */
Datum
cz_placement_state_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"cz.placement_state_changed")));
	CacheInvalidateRelcacheAll();
	cz_inactive_changed = true;
	return PointerGetDatum(NULL);
}
