/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  The rows of a group of shards go to the target, and are committed there.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* The units of an owner's tables, CzMoveUnit *. */
List *
CzMoveUnitsOf(const CzMove *move, Oid owner)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		if (table->owner == owner)
			result = list_concat(result, table->units);
	}
	return result;
}

/* The move gives way to what would wait for its locks of the tables: DDL. */
static void
copied(int64 bytes, void *arg)
{
	CzMove	   *move = arg;

	CzMoveProgress(move->move_id, move->nbytes + bytes);
	move->ncopying = bytes;
	CzMoveGiveWay(move);
}

/*
 * CzMoveCopyRows
 *		See mover_int.h.
 *
 * is_locked: this transaction has locked the source's tables; else each owner's tables are
 *		read in one snapshot, which is noted with the rows.
 */
void
CzMoveCopyRows(CzMove *move, bool is_locked)
{
	ListCell   *lc;
	ListCell   *lu;

	foreach(lc, CzMoveOwners(move))
	{
		Oid			owner = lfirst_oid(lc);
		List	   *units = CzMoveUnitsOf(move, owner);
		CzConn	   *from = is_locked ? CzTxnConn(move->from_oid, owner, true) :
			CzConnAcquire(CzEndpointGet(move->from_oid, owner));
		CzConn	   *to = CzConnAcquire(CzEndpointGet(move->target_oid, owner));
		char	   *snapshot = NULL;

		if (!is_locked)
			snapshot = CzMoveSnapshotBegin(from);
		PQclear(CzConnExec(to, CZ_MOVE_BEGIN));
		foreach(lu, units)
		{
			const CzMoveUnit *unit = lfirst(lu);

			if (unit->columns == NULL)
				continue;
			/* in the transaction that has emptied it rows can be frozen */
			PQclear(CzConnExec(to, psprintf("TRUNCATE %s", unit->qualified)));
			CzCopyShardRows(from, to,
							psprintf("COPY (SELECT %s FROM ONLY %s) TO STDOUT", unit->columns,
									 unit->qualified),
							psprintf("COPY %s (%s) FROM STDIN (FREEZE)", unit->qualified,
									 unit->columns),
							copied, move);
			move->nbytes += move->ncopying;
			move->ncopying = 0;
		}
		if (snapshot != NULL)
			CzMoveStateWrite(move, to, foreach_current_index(lc), snapshot);
		CzDebugPoint("move_copied");
		PQclear(CzConnExec(to, "COMMIT"));
		CzConnRelease(to);
		if (!is_locked)
		{
			PQclear(CzConnExec(from, "ROLLBACK"));
			CzConnRelease(from);
		}
	}
}
