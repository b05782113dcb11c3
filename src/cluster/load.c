/*-------------------------------------------------------------------------
 *
 * load.c
 *	  The rows that a table has when it is distributed go to its shards.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/partition.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cz/settings.h"
#include "cz/writer.h"
#include "distribute_int.h"

/*
 * CzMoveRows
 *		Send every row of a local table to its shard, or to shards[0] if dist is
 *		NULL (a reference table) or has no key.  The local rows stay.
 *
 * Returns: number of rows.
 */
uint64
CzMoveRows(Relation rel, const CzDistribution *dist, CzShard *shards, Oid owner)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	CzWriter   *writer = NULL;
	Oid			key_type = dist && OidIsValid(dist->key_type) ? getBaseType(dist->key_type) :
		InvalidOid;
	int			modulus = 1;
	int		   *indexes = dist && dist->method == PARTITION_STRATEGY_HASH ?
		CzHashRemainders(shards, dist->shard_count, &modulus) : NULL;
	uint64		nrows = 0;

	PushActiveSnapshot(snapshot);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		int			index = 0;

		CHECK_FOR_INTERRUPTS();
		if (writer == NULL)
			writer = CzWriterBegin(RelationGetDescr(rel), NULL, owner);
		if (indexes != NULL)
		{
			bool		isnull;
			Datum		value = slot_getattr(slot, dist->key_attno, &isnull);

			index = indexes[CzHashRemainder(key_type, dist->key_collation, value, isnull,
											modulus)];
		}
		nrows++;
		CzWriterPut(writer, &shards[index], slot, (int64) nrows);
		if (nrows == 1)
			CzDebugPoint("distribute-first-row");
	}
	if (writer)
		CzWriterEnd(writer);
	PopActiveSnapshot();
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	return nrows;
}
