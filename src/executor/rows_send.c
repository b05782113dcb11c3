/*-------------------------------------------------------------------------
 *
 * rows_send.c
 *	  Statements that get rows of the coordinator with them: the row locks of a write
 *	  that is done row by row, and what it changes.
 *
 * Such a statement is a fragment plan made here, and its rows are a shipment, each
 * going to its shard; so connections, locks, parallel workers, other placements and
 * errors are the affair of streams.  Rows go in batches, which bound what is in memory.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cz/executor.h"
#include "cz/transaction.h"
#include "executor_int.h"
#include "rows.h"

/* Rows, and bytes of rows, of one batch at most (but one row whatever its size). */
#define MAX_BATCH_ROWS CZ_MAX_SENT_ROWS
#define MAX_BATCH_BYTES (8 * 1024 * 1024)
/* ... where all rows have to go with one statement */
#define MAX_WHOLE_BYTES (256 * 1024 * 1024)

/* ---- rows that are sent -------------------------------------------------- */

/* Rows that a stream reads as it reads those of a sub-plan. */
struct CzRowFeed
{
	PlanState	ps;				/* first */
	CzRowFeedNext next;
	void	   *arg;
	TupleTableSlot *slot;
	bool		has_row;		/* the slot has the first row of the batch */
	int64		nrows;			/* of the batch so far */
	int64		nbytes;
	int64		max_rows;		/* of a batch */
	int64		max_bytes;
	Oid			written_relid;	/* InvalidOid: rows are only locked */
};

static TupleTableSlot *
feed_next(PlanState *state)
{
	CzRowFeed  *feed = (CzRowFeed *) state;

	if (!feed->has_row &&
		(feed->nrows >= feed->max_rows || feed->nbytes >= feed->max_bytes))
	{
		/* the batch is not sent before all of its rows are here: more may follow */
		if (OidIsValid(feed->written_relid))
			CzBracketOpen(feed->written_relid);
		return NULL;
	}
	if (!feed->has_row && !feed->next(feed->arg, feed->slot, &feed->nbytes))
		return NULL;
	feed->has_row = false;
	feed->nrows++;
	return feed->slot;
}

static CzRowFeed *
make_feed(EState *estate, TupleDesc desc, CzRowFeedNext next, void *arg)
{
	CzRowFeed  *feed = (CzRowFeed *) newNode(sizeof(CzRowFeed), T_ResultState);

	feed->ps.state = estate;
	feed->ps.ExecProcNode = feed_next;
	feed->ps.ps_ResultTupleDesc = desc;
	feed->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	feed->next = next;
	feed->arg = arg;
	feed->max_rows = MAX_BATCH_ROWS;
	feed->max_bytes = MAX_BATCH_BYTES;
	return feed;
}

/* ---- statements ---------------------------------------------------------- */

/*
 * CzRowStatement
 *		A fragment plan for rows of a feed: before, the shard's name, middle, the rows
 *		as c1, c2, ..., after.
 *
 * desc: of the feed's rows; the last column is the index of the shard.
 * shards: indexes of those that can have rows.
 */
CzFragmentPlan *
CzRowStatement(const CzTable *table, CmdType command, const char *before, const char *middle,
			   const char *after, TupleDesc desc, Bitmapset *shards)
{
	CzFragmentPlan *plan = palloc0(sizeof(CzFragmentPlan));
	CzShipment *shipment = palloc0(sizeof(CzShipment));
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		shipment->column_types = lappend_oid(shipment->column_types, att->atttypid);
		shipment->column_typmods = lappend_int(shipment->column_typmods, att->atttypmod);
		shipment->column_collations = lappend_oid(shipment->column_collations,
												  att->attcollation);
	}
	shipment->label = "";
	shipment->partition_column = desc->natts;
	shipment->by_index = true;

	plan->strategy = CZ_STRATEGY_PUSHDOWN;
	plan->command = command;
	plan->pieces = list_make5(makeString(pstrdup(before)), makeInteger(0),
							  makeString(pstrdup(middle)), makeInteger(-1),
							  makeString(pstrdup(after)));
	plan->relids = list_make1_oid(table->relid);
	plan->relation_columns = list_make1(NIL);
	plan->anchor_relid = table->relid;
	plan->is_pruned = true;
	i = -1;
	while ((i = bms_next_member(shards, i)) >= 0)
		plan->shard_indexes = lappend_int(plan->shard_indexes, i);
	plan->prune_param = -1;
	plan->merge = CZ_MERGE_NEVER;
	plan->shipments = list_make1(shipment);
	return plan;
}

/*
 * CzRowsSend
 *		Run a statement of CzRowStatement with rows.
 *
 * desc: of the rows.
 * next: stores the next row, which stays as it is until the next call, and adds its
 *		size to *nbytes; false: there is none.
 * Returns: the number of rows that were locked or changed.
 */
int64
CzRowsSend(PlanState *parent, const CzFragmentPlan *plan, TupleDesc desc, CzRowFeedNext next,
		   void *arg)
{
	CzRowFeed  *feed = make_feed(parent->state, desc, next, arg);
	TupleDesc	outdesc = CreateTemplateTupleDesc(list_length(plan->column_types));
	TupleTableSlot *slot;
	ListCell   *lt;
	ListCell   *lm;
	int64		nrows = 0;
	int			n = 0;

	if (plan->command != CMD_SELECT)
		feed->written_relid = plan->anchor_relid;
	/* what foreign keys do about one row must not come before another row's change */
	if (plan->command != CMD_SELECT && CzKeysMeet(plan->anchor_relid))
	{
		feed->max_rows = PG_INT32_MAX;
		feed->max_bytes = MAX_WHOLE_BYTES;
	}
	forboth(lt, plan->column_types, lm, plan->column_typmods)
		TupleDescInitEntry(outdesc, ++n, NULL, lfirst_oid(lt), lfirst_int(lm), 0);
	slot = MakeSingleTupleTableSlot(outdesc, &TTSOpsVirtual);
	for (;;)
	{
		CzStream   *stream;
		MemoryContext context;

		feed->nrows = feed->nbytes = 0;
		feed->has_row = feed->next(feed->arg, feed->slot, &feed->nbytes);
		if (!feed->has_row)
			break;
		CHECK_FOR_INTERRUPTS();
		stream = CzStreamBegin(plan, NIL, parent, outdesc);
		context = stream->context;
		stream->ship_source = &feed->ps;
		stream->is_first_only = true;
		if (plan->command != CMD_SELECT)
			nrows += CzStreamRunModify(stream);
		else
		{
			while (CzStreamNext(stream, slot))
				nrows++;
		}
		CzStreamEnd(stream);
		MemoryContextDelete(context);
	}
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(feed->slot);
	pfree(feed);
	return nrows;
}

/* ---- row locks ----------------------------------------------------------- */

typedef struct LockFeed
{
	const CzRowSource *source;
	TupleTableSlot *slot;		/* a row of it */
} LockFeed;

/* ctid and xmin of the next row of a source, its partition if there are any, its shard. */
static bool
next_lock(void *arg, TupleTableSlot *slot, int64 *nbytes)
{
	LockFeed   *lock = arg;
	int			table_column = lock->source->write->table_column;
	int			n = 0;
	bool		isnull;

	ExecClearTuple(slot);
	do
	{
		if (!tuplestore_gettupleslot(lock->source->rows, true, false, lock->slot))
			return false;
	} while (DatumGetInt32(slot_getattr(lock->slot, 1, &isnull)) < 0);
	slot->tts_values[n] = slot_getattr(lock->slot, 1 + CZ_SOURCE_ID, &slot->tts_isnull[n]);
	n++;
	slot->tts_values[n] = slot_getattr(lock->slot, 1 + CZ_SOURCE_XMIN, &slot->tts_isnull[n]);
	n++;
	if (table_column > 0)
	{
		slot->tts_values[n] = slot_getattr(lock->slot, 1 + table_column, &slot->tts_isnull[n]);
		n++;
	}
	slot->tts_values[n] = slot_getattr(lock->slot, 1, &slot->tts_isnull[n]);
	ExecStoreVirtualTuple(slot);
	*nbytes += sizeof(CzRowName) + sizeof(TransactionId);
	return true;
}

/*
 * Rows of a table without a key are found on the other placements by what is in them:
 * then nobody else may write to the shard.
 */
static void
lock_replicas(const CzRowSource *source)
{
	const CzTable *table = source->table;
	const CzShard **shards = palloc(sizeof(CzShard *) * Max(table->nshards, 1));
	Oid			user_oid = source->write->check_as_user;
	int			nshards = 0;
	int			i = -1;

	while ((i = bms_next_member(source->shards, i)) >= 0)
	{
		if (CzShardIsReplicated(&table->shards[i]))
			shards[nshards++] = &table->shards[i];
	}
	if (nshards > 0)
		CzTxnLockShards(shards, nshards, OidIsValid(user_oid) ? user_oid : GetUserId(),
						CZ_LOCK_EXCLUSIVE);
	pfree(shards);
}

/*
 * CzRowsLock
 *		Lock the rows of a source at the first placements of their shards, as they were
 *		read.
 *
 * Returns: false if some have changed since; the others are locked then.
 */
bool
CzRowsLock(CzRowSource *source)
{
	bool		has_table = source->write->table_column > 0;
	TupleDesc	desc = CreateTemplateTupleDesc(has_table ? 4 : 3);
	CzFragmentPlan *plan;
	LockFeed	lock;
	int64		nlocked;

	if (source->nrows == 0)
		return true;
	if (source->write->key == NIL)
		lock_replicas(source);
	TupleDescInitEntry(desc, 1, "id", TIDOID, -1, 0);
	TupleDescInitEntry(desc, 2, "xmin", XIDOID, -1, 0);
	if (has_table)
		TupleDescInitEntry(desc, 3, "table", OIDOID, -1, 0);
	TupleDescInitEntry(desc, desc->natts, "shard", INT4OID, -1, 0);
	plan = CzRowStatement(source->table, CMD_SELECT, "SELECT 1 FROM ", " AS t, ",
						  psprintf(" AS v WHERE t.ctid OPERATOR(pg_catalog.=) v.c1 AND t.xmin OPERATOR(pg_catalog.=) v.c2%s%s FOR %s OF t",
								   has_table ? " AND t.tableoid OPERATOR(pg_catalog.=) v.c3" : "",
								   CzRowPartsQual(source->parts),
								   source->write->locks_key ? "UPDATE" : "NO KEY UPDATE"),
						  desc, source->shards);
	plan->column_types = list_make1_oid(INT4OID);
	plan->column_typmods = list_make1_int(-1);
	plan->check_as_user = source->write->check_as_user;
	plan->has_row_locks = true;
	plan->locks_wait = true;

	lock.source = source;
	lock.slot = MakeSingleTupleTableSlot(source->desc, &TTSOpsMinimalTuple);
	tuplestore_rescan(source->rows);
	nlocked = CzRowsSend(source->parent, plan, desc, next_lock, &lock);
	ExecDropSingleTupleTableSlot(lock.slot);
	return nlocked == source->nrows;
}
