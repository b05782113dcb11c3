/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  Rows go to the placements of shards.
 *
 * A few rows are sent as INSERTs, all of one worker in one pipeline together with
 * BEGIN and the shard's lock: one round trip (writer_inserts.c).  Many are gathered
 * in batches, one for each shard, which become one COPY a placement (writer_jobs.c).
 * Once there are CZ_SEND_BYTES of them each worker that has nothing to do gets the
 * fullest batch of its shards, while the others are filled.
 *
 * Only one writer has batches on the way: two that finish each other would each need
 * connections of the other.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/tupdesc.h"
#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "cz/metadata.h"
#include "cz/transaction.h"
#include "writer_state.h"

/* Rows that are sent as INSERTs, and of each shard among them */
#define CZ_MAX_INSERT_ROWS 64
#define CZ_MAX_INSERTS_OF_SHARD 8
/* ... of rows, this long at most: the text of a long value is copied again and again */
#define CZ_MAX_INSERT_BYTES (64 * 1024)
/* Rows between two looks at what is on the way */
#define CZ_PUMP_ROWS 128
/* Bytes of a batch's buffers that are kept for another one, at most */
#define CZ_SPARE_BYTES (2 * 1024 * 1024)

static void flush_at_level(void *arg);

/* The writer's memory goes, whether it ended well or not. */
static void
writer_reset(void *arg)
{
	CzWriterForget((CzWriter *) arg);
}

/*
 * CzWriterBegin
 *		See writer.h.
 */
CzWriter *
CzWriterBegin(TupleDesc tupdesc, char **column_names, Oid user_oid)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz writer",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CzWriter   *writer = palloc0(sizeof(CzWriter));
	HASHCTL		ctl;

	writer->context = context;
	writer->row_context = AllocSetContextCreate(context, "cz writer row",
												ALLOCSET_DEFAULT_SIZES);
	writer->early_context = AllocSetContextCreate(context, "cz writer first rows",
												  ALLOCSET_DEFAULT_SIZES);
	writer->tupdesc = CreateTupleDescCopyConstr(tupdesc);
	writer->format = CzWireFormatMake(writer->tupdesc, column_names);
	writer->user_oid = user_oid;
	writer->early_slot = MakeSingleTupleTableSlot(writer->tupdesc, &TTSOpsMinimalTuple);
	dlist_init(&writer->batches);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(ShardKey);
	ctl.entrysize = sizeof(WriterShard);
	ctl.hcxt = context;
	writer->shards = hash_create("cz writer shards", 32, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	writer->callback.func = writer_reset;
	writer->callback.arg = writer;
	MemoryContextRegisterResetCallback(context, &writer->callback);
	MemoryContextSwitchTo(old);
	return writer;
}

/*
 * CzWriterSetCopy
 *		See writer.h.
 */
void
CzWriterSetCopy(CzWriter *writer, const char *table_name)
{
	writer->copy_table = MemoryContextStrdup(writer->context, table_name);
}

/* ---- batches --------------------------------------------------------------- */

static WriterShard *
find_shard(CzWriter *writer, const CzShard *shard)
{
	WriterShard **recent = &writer->recent[shard->shard_id & (CZ_RECENT_SHARDS - 1)];
	bool		found;
	ShardKey	key;

	if (*recent != NULL && (*recent)->shard == shard)
		return *recent;
	key.shard_id = shard->shard_id;
	key.relid = shard->relid;
	*recent = hash_search(writer->shards, &key, HASH_ENTER, &found);
	if (!found)
	{
		(*recent)->filling = NULL;
		(*recent)->is_locked = false;
		(*recent)->insert_sql = NULL;
	}
	/* what is known of a table may have been read again */
	(*recent)->shard = shard;
	return *recent;
}

static Batch *
make_batch(CzWriter *writer, WriterShard *shard)
{
	Batch	   *batch = writer->spare;

	writer->spare = NULL;
	if (batch == NULL)
		batch = MemoryContextAllocZero(writer->context, sizeof(Batch));
	batch->of = shard;
	batch->shard = shard->shard;
	batch->nrows = 0;
	batch->last_number = 0;
	dlist_push_tail(&writer->batches, &batch->node);
	writer->nfilling++;
	writer->has_unlocked |= !shard->is_locked;
	return batch;
}

/*
 * CzWriterRelease
 *		A batch is where it should be.
 */
void
CzWriterRelease(CzWriter *writer, Batch *batch)
{
	dlist_delete(&batch->node);
	if (batch->server_oids != NULL)
		pfree(batch->server_oids);
	batch->server_oids = NULL;
	batch->nplacements = 0;
	if (batch->data.data != NULL)
		writer->held -= batch->data.len + batch->marks.len;
	if (writer->spare == NULL && batch->data.data != NULL &&
		batch->data.maxlen + batch->marks.maxlen <= CZ_SPARE_BYTES)
	{
		resetStringInfo(&batch->data);
		resetStringInfo(&batch->marks);
		writer->spare = batch;
		return;
	}
	if (batch->data.data != NULL)
	{
		pfree(batch->data.data);
		pfree(batch->marks.data);
	}
	pfree(batch);
}

/*
 * CzBatchBegin
 *		A batch is about to get rows in COPY form.  Returns the bytes that it has.
 */
Size
CzBatchBegin(CzWriter *writer, Batch *batch)
{
	if (batch->data.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(writer->context);

		initStringInfo(&batch->data);
		initStringInfo(&batch->marks);
		MemoryContextSwitchTo(old);
	}
	return batch->data.len + batch->marks.len;
}

/* Add a row in COPY form. */
static void
append_row(CzWriter *writer, Batch *batch, TupleTableSlot *slot, int64 row_number)
{
	MemoryContext old;
	Size		before;

	before = CzBatchBegin(writer, batch);
	if (batch->data.len == 0 && writer->format->is_binary)
		appendBinaryStringInfo(&batch->data, CZ_COPY_HEADER, CZ_COPY_HEADER_BYTES);
	CzMarkRow(batch, row_number);
	old = MemoryContextSwitchTo(writer->row_context);
	CzWireAppendRow(writer->format, slot, &batch->data);
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->row_context);
	writer->held += batch->data.len + batch->marks.len - before;
}

/* More rows than INSERT is good for: bring those kept into COPY form. */
static void
early_to_copy(CzWriter *writer)
{
	ListCell   *lc;

	writer->is_copy = true;
	foreach(lc, writer->early)
	{
		EarlyRow   *row = (EarlyRow *) lfirst(lc);

		writer->held -= row->tuple->t_len;
		ExecStoreMinimalTuple(row->tuple, writer->early_slot, false);
		append_row(writer, row->batch, writer->early_slot, row->row_number);
	}
	ExecClearTuple(writer->early_slot);
	writer->early = NIL;
	MemoryContextReset(writer->early_context);
}

/* Is a row too long for INSERT? */
static bool
is_long(TupleTableSlot *slot)
{
	TupleDesc	tupdesc = slot->tts_tupleDescriptor;
	Size		nbytes = 0;
	int			i;

	slot_getallattrs(slot);
	for (i = 0; i < tupdesc->natts; i++)
	{
		if (!slot->tts_isnull[i] && TupleDescAttr(tupdesc, i)->attlen == -1)
			nbytes += toast_raw_datum_size(slot->tts_values[i]);
	}
	return nbytes > CZ_MAX_INSERT_BYTES;
}

/* ---- rows come -------------------------------------------------------------- */

/*
 * CzWriterBatch
 *		Where one more row of a shard is put; NULL: nowhere.
 */
Batch *
CzWriterBatch(CzWriter *writer, const CzShard *shard)
{
	WriterShard *found;

	if (shard->nplacements == 0)
	{
		CzCheckHasPlacement(shard);
		return NULL;			/* a reference table and no worker yet */
	}

	if (writer->level == 0 || writer->last_cid != GetCurrentCommandId(true))
	{
		/* may flush this writer's rows of an earlier command */
		writer->last_cid = CzTxnBeforeWrite();
		if (writer->level > 0)
			CzTxnFlushGoesOn(writer);
		else
		{
			/* rows of a reference table that wait may be what these refer to */
			if (OidIsValid(shard->table_relid) && !shard->is_copy &&
				CzReferenceParents(shard->table_relid, NULL) != NIL)
				CzTxnFlushPending();
			writer->level = GetCurrentTransactionNestLevel();
			CzTxnRegisterFlush(flush_at_level, writer);
		}
	}
	found = find_shard(writer, shard);
	if (found->filling == NULL)
		found->filling = make_batch(writer, found);
	return found->filling;
}

/*
 * CzWriterGoOn
 *		After each row: begin to send when there are many, and move what is on the way.
 */
void
CzWriterGoOn(CzWriter *writer, bool must_pump)
{
	CzWriterWait wait = CZ_WAIT_NOT;

	if (writer->held >= CZ_HELD_BYTES)
		wait = CZ_WAIT_ROOM;
	else if (CzWriterIsSending(writer) ? !must_pump : writer->held < CZ_SEND_BYTES)
		return;
	writer->rows_since_pump = 0;
	writer->bytes_since_pump = 0;
	if (writer->held >= CZ_SEND_BYTES)
		CzTxnFlushOuter();
	CzWriterPump(writer, writer->early != NIL ? CZ_WAIT_ALL : wait);
}

/*
 * CzWriterPut
 *		See writer.h.
 */
void
CzWriterPut(CzWriter *writer, const CzShard *shard, TupleTableSlot *slot,
			int64 row_number)
{
	Batch	   *batch = CzWriterBatch(writer, shard);

	if (batch == NULL)
		return;
	if (!writer->is_copy &&
		(writer->format->ncolumns == 0 ||
		 (list_length(writer->early) < CZ_MAX_INSERT_ROWS && !is_long(slot))))
	{
		MemoryContext old = MemoryContextSwitchTo(writer->early_context);
		EarlyRow   *row = palloc(sizeof(EarlyRow));

		row->batch = batch;
		row->tuple = ExecCopySlotMinimalTuple(slot);
		row->row_number = row_number;
		writer->early = lappend(writer->early, row);
		writer->held += row->tuple->t_len;
		MemoryContextSwitchTo(old);
	}
	else
	{
		if (!writer->is_copy)
			early_to_copy(writer);
		append_row(writer, batch, slot, row_number);
	}
	CzWriterGoOn(writer, ++writer->rows_since_pump >= CZ_PUMP_ROWS);
}

/* Everything that is held goes out and is answered. */
static void
flush_at_level(void *arg)
{
	CzWriter   *writer = (CzWriter *) arg;
	HASH_SEQ_STATUS status;
	WriterShard *shard;

	if (writer->early != NIL && writer->format->ncolumns > 0 &&
		list_length(writer->early) > CZ_MAX_INSERTS_OF_SHARD * writer->nfilling)
		early_to_copy(writer);
	if (!dlist_is_empty(&writer->batches))
		CzWriterPump(writer, CZ_WAIT_ALL);
	if (writer->level == 0)
		return;
	CzTxnUnregisterFlush(writer);
	writer->level = 0;
	writer->is_copy = false;
	hash_seq_init(&status, writer->shards);
	while ((shard = hash_seq_search(&status)) != NULL)
		shard->is_locked = false;
}

/*
 * CzWriterFlush, CzWriterEnd
 *		See writer.h.
 */
void
CzWriterFlush(CzWriter *writer)
{
	if (writer->level > 0)
		CzTxnRunAtLevel(writer->level, flush_at_level, writer);
}

void
CzWriterEnd(CzWriter *writer)
{
	CzWriterFlush(writer);
	ExecDropSingleTupleTableSlot(writer->early_slot);
	MemoryContextDelete(writer->context);
}
