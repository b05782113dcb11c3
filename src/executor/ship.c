/*-------------------------------------------------------------------------
 *
 * ship.c
 *	  Shipments: rows of sub-plans that are sent along with fragments.
 *
 * The rows of each sub-plan are read once, before the stream's first fragment is
 * sent, into tuplestores: one, or with a repartition one for each shard of the
 * anchor, so that a fragment that moves or runs again is sent them again.
 *
 * A fragment reads a shipment as array parameters, or, where that would be large,
 * as a temporary table of the connection (ship_table.c).  The transaction's own
 * connection never gets temporary tables.  Which of the two is decided once.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/rowid.h"
#include "cz/seal.h"
#include "cz/settings.h"
#include "ship_int.h"

/* Least memory of one part's store, kB. */
#define MIN_PART_KB 64
/* A worker that would get more arrays than these of full size gets a table. */
#define STATEMENTS_PER_WORKER 8
/* Arrays of one column end here: a message has less than 1 GB. */
#define MAX_ARRAY_BYTES (512 * 1024 * 1024)

static void
ship_columns_init(Ship *ship)
{
	const CzShipment *shipment = ship->shipment;
	int			i;

	ship->ncolumns = list_length(shipment->column_types);
	ship->columns = palloc0(sizeof(ShipColumn) * ship->ncolumns);
	ship->tupdesc = CreateTemplateTupleDesc(ship->ncolumns);
	for (i = 0; i < ship->ncolumns; i++)
	{
		ShipColumn *column = &ship->columns[i];
		Oid			type_oid = list_nth_oid(shipment->column_types, i);

		if (get_typtype(type_oid) == TYPTYPE_PSEUDO)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot send values of type %s to workers",
							format_type_be(type_oid))));
		TupleDescInitEntry(ship->tupdesc, i + 1, psprintf("c%d", i + 1), type_oid,
						   list_nth_int(shipment->column_typmods, i), 0);
		TupleDescInitEntryCollation(ship->tupdesc, i + 1,
									list_nth_oid(shipment->column_collations, i));
		column->type_oid = type_oid;
		get_typlenbyval(type_oid, &column->typlen, &column->typbyval);
		column->is_binary = CzWireColumnInit(&column->wire, type_oid) &&
			type_oid < FirstUnpinnedObjectId && !CzShipmentColumnIsText(type_oid);
		column->pins = column->is_binary ? 0 : CzPinsOfType(type_oid);
	}
	ship->format = CzWireFormatMake(ship->tupdesc, NULL);
}

/*
 * CzShipInit
 *		Make the stream's shipments known; reads nothing.
 */
void
CzShipInit(CzStream *stream)
{
	MemoryContext oldcontext;
	ListCell   *lc;
	int			i = 0;

	if (stream->plan->shipments == NIL)
		return;
	stream->ship_context = AllocSetContextCreate(stream->context, "cz_fdw shipments",
												 ALLOCSET_DEFAULT_SIZES);
	stream->ship_row_context = AllocSetContextCreate(stream->context,
													 "cz_fdw shipment row",
													 ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(stream->ship_context);
	stream->nships = list_length(stream->plan->shipments);
	stream->ships = palloc0(sizeof(Ship) * stream->nships);
	foreach(lc, stream->plan->shipments)
	{
		Ship	   *ship = &stream->ships[i++];

		ship->shipment = lfirst(lc);
		ship_columns_init(ship);
	}
	MemoryContextSwitchTo(oldcontext);
	stream->group->has_shipments = true;
}

static void
forget_rows(CzStream *stream, Ship *ship)
{
	int			i;

	for (i = 0; i < ship->nparts; i++)
	{
		if (ship->parts[i].store != NULL)
			tuplestore_end(ship->parts[i].store);
	}
	if (ship->chunks != NULL)
		tuplestore_end(ship->chunks);
	ship->chunks = NULL;
	ship->free_pointers = NIL;
	if (ship->arrays != NULL)
		MemoryContextDelete(ship->arrays_context);
	ship->arrays = NULL;
	ship->nparts = 0;
	ship->parts = NULL;
	ship->nrows = 0;
	ship->nbytes = 0;
	ship->is_read = false;
}

/*
 * CzShipEnd
 *		The stream ends.
 */
void
CzShipEnd(CzStream *stream)
{
	int			i;

	for (i = 0; i < stream->nships; i++)
	{
		forget_rows(stream, &stream->ships[i]);
		if (stream->ships[i].slot != NULL)
			ExecDropSingleTupleTableSlot(stream->ships[i].slot);
		if (stream->ships[i].chunk_slot != NULL)
			ExecDropSingleTupleTableSlot(stream->ships[i].chunk_slot);
	}
	stream->nships = 0;
}

/*
 * Which part a row belongs to; -1: to none, as no fragment of the run would show
 * anything for it.
 */
static int
part_of_row(CzStream *stream, Ship *ship, TupleTableSlot *slot)
{
	int			column = ship->shipment->partition_column;
	int			index;

	if (column == 0)
		return 0;
	if (ship->shipment->by_index)
		return DatumGetInt32(slot->tts_values[column - 1]);
	if (CzRowIdIsKey(ship->anchor, ship->columns[column - 1].type_oid))
	{
		ItemPointerData local;

		index = slot->tts_isnull[column - 1] ? -1 :
			CzRowIdDecode(ship->anchor,
						  (ItemPointer) DatumGetPointer(slot->tts_values[column - 1]), &local);
	}
	else
		index = CzShardIndexForValue(ship->anchor, slot->tts_values[column - 1],
									 slot->tts_isnull[column - 1]);
	if (index < 0 && stream->plan->command == CMD_INSERT)
		CzInsertNoShard(ship->anchor, slot->tts_values[column - 1],
						slot->tts_isnull[column - 1]);
	if (index >= 0 && stream->plan->command == CMD_INSERT)
		CzSealAdmit(ship->anchor, index, slot->tts_values[column - 1],
					slot->tts_isnull[column - 1]);
	/* no shard's: it may go anywhere, but once */
	if (index < 0)
		return stream->fragments[0].shard_index;
	return ship->is_wanted[index] ? index : -1;
}

static int64
value_bytes(const ShipColumn *column, Datum value)
{
	if (column->typlen == -1)
		return toast_raw_datum_size(value);
	if (column->typlen == -2)
		return strlen(DatumGetCString(value)) + 1;
	return column->typlen;
}

/* Keep one row. */
static void
store_row(CzStream *stream, Ship *ship, TupleDesc rowdesc, TupleTableSlot *slot)
{
	MemoryContext oldcontext;
	ShipPart   *part;
	Datum	   *values;
	int64		nbytes = 0;
	int			index;
	int			i;

	slot_getallattrs(slot);
	if (stream->plan->insert_checks != NIL)
		CzInsertCheckRow(stream, slot, ship->ncolumns);
	index = part_of_row(stream, ship, slot);
	if (index < 0)
		return;
	part = &ship->parts[index];
	if (part->store == NULL)
	{
		oldcontext = MemoryContextSwitchTo(stream->ship_context);
		part->store = tuplestore_begin_heap(false, false,
											Max(work_mem / ship->nparts, MIN_PART_KB));
		tuplestore_set_eflags(part->store, EXEC_FLAG_REWIND);
		MemoryContextSwitchTo(oldcontext);
	}

	/* what lies outside of the row counts, too */
	oldcontext = MemoryContextSwitchTo(stream->ship_row_context);
	values = palloc(sizeof(Datum) * rowdesc->natts);
	for (i = 0; i < ship->ncolumns; i++)
	{
		ShipColumn *column = &ship->columns[i];

		values[i] = slot->tts_values[i];
		if (slot->tts_isnull[i])
			continue;
		if (column->typlen == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			values[i] = PointerGetDatum(detoast_external_attr((struct varlena *)
															  DatumGetPointer(values[i])));
		nbytes += value_bytes(column, values[i]);
		if (i == ship->shipment->partition_column - 1 &&
			CzRowIdIsKey(ship->anchor, column->type_oid))
		{
			ItemPointer id = (ItemPointer) DatumGetPointer(values[i]);
			ItemPointer local = palloc(sizeof(ItemPointerData));

			if (CzRowIdLocal(ship->anchor, index, id, local) && CzRowIdPlacement(id) >= 0)
			{
				MemoryContextSwitchTo(stream->ship_context);
				part->read_at = bms_add_member(part->read_at, CzRowIdPlacement(id));
				MemoryContextSwitchTo(stream->ship_row_context);
			}
			values[i] = PointerGetDatum(local);
		}
	}
	tuplestore_putvalues(part->store, ship->tupdesc, values, slot->tts_isnull);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(stream->ship_row_context);

	/* a length goes with each value */
	nbytes += sizeof(int32) * ship->ncolumns;
	part->nrows++;
	part->nbytes += nbytes;
	ship->nrows++;
	ship->nbytes += nbytes;
	if (stream->ship_source == NULL && stream->plan->command != CMD_INSERT &&
		ship->nbytes > (int64) cz_max_shipment_kb * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the statement sends more than %d kB of rows along with its fragments",
						cz_max_shipment_kb),
				 ship->shipment->label != NULL && ship->shipment->label[0] != '\0' ?
				 errdetail("They are the rows of %s.", ship->shipment->label) : 0,
				 errhint("Raise \"cz.max_shipment_size\", or analyze the tables of the statement.")));
}

static void
read_ship(CzStream *stream, Ship *ship, PlanState *source)
{
	EState	   *estate = stream->estate;
	ScanDirection direction = estate->es_direction;
	MemoryContext oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	TupleDesc	rowdesc = ExecGetResultType(source);
	int			i;

	if (rowdesc->natts < ship->ncolumns)
		elog(ERROR, "a shipment's plan has %d columns instead of %d", rowdesc->natts,
			 ship->ncolumns);
	for (i = 0; i < ship->ncolumns; i++)
	{
		if (TupleDescAttr(rowdesc, i)->atttypid != ship->columns[i].type_oid)
			elog(ERROR, "column %d of a shipment has type %u instead of %u", i + 1,
				 TupleDescAttr(rowdesc, i)->atttypid, ship->columns[i].type_oid);
	}

	/* somebody else may have read it: it was one fragment's alone when planned */
	if (stream->ship_source == NULL)
	{
		if (list_member_int(stream->group->read_plans, ship->shipment->plan_id) &&
			source->chgParam == NULL)
			ExecReScan(source);
		stream->group->read_plans = list_append_unique_int(stream->group->read_plans,
														   ship->shipment->plan_id);
	}
	estate->es_direction = ForwardScanDirection;
	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(source);

		if (TupIsNull(slot))
			break;
		store_row(stream, ship, rowdesc, slot);
		CHECK_FOR_INTERRUPTS();
	}
	estate->es_direction = direction;
	MemoryContextSwitchTo(oldcontext);
	ship->is_read = true;
}

/*
 * CzShipRead
 *		Have the rows of all shipments, before a run of fragments; these are known.
 */
void
CzShipRead(CzStream *stream)
{
	const CzFragmentPlan *plan = stream->plan;
	int			i;
	int			j;

	for (i = 0; i < stream->nships; i++)
	{
		Ship	   *ship = &stream->ships[i];
		PlanState  *source = stream->ship_source != NULL ? stream->ship_source :
			list_nth(stream->estate->es_subplanstates, ship->shipment->plan_id - 1);
		MemoryContext oldcontext;

		if (ship->is_read && source->chgParam == NULL)
			continue;
		forget_rows(stream, ship);
		oldcontext = MemoryContextSwitchTo(stream->ship_context);
		ship->nparts = 1;
		ship->version++;
		if (ship->shipment->partition_column > 0)
		{
			ship->anchor = CzTableGet(plan->anchor_relid);
			if (ship->anchor == NULL)
				elog(ERROR, "a shipment is split by a table that is not distributed");
			ship->nparts = ship->anchor->nshards;
			ship->is_wanted = palloc(sizeof(bool) * ship->nparts);

			/* another run may have another shard, if a parameter decides it */
			memset(ship->is_wanted, !plan->is_pruned || plan->prune_param >= 0,
				   sizeof(bool) * ship->nparts);
			for (j = 0; j < stream->nfragments; j++)
				ship->is_wanted[stream->fragments[j].shard_index] = true;
		}
		ship->parts = palloc0(sizeof(ShipPart) * ship->nparts);
		if (ship->slot == NULL)
			ship->slot = MakeSingleTupleTableSlot(ship->tupdesc, &TTSOpsMinimalTuple);
		MemoryContextSwitchTo(oldcontext);
		read_ship(stream, ship, source);
	}
}

/* Bytes that a statement over some shards carries as arrays of a shipment. */
static int64
bytes_of_fragment(const Ship *ship, const Fragment *fragment)
{
	int64		nbytes = 0;
	ListCell   *lc;

	if (ship->shipment->partition_column == 0)
		return ship->nbytes;
	if (fragment->members == NIL)
		return ship->parts[fragment->shard_index].nbytes;
	foreach(lc, fragment->members)
		nbytes += ship->parts[((Fragment *) lfirst(lc))->shard_index].nbytes;
	return nbytes;
}

/* The same of all shards of one worker. */
static int64
bytes_of_worker(const CzStream *stream, const Ship *ship, const StreamWorker *worker)
{
	int64		nbytes = 0;
	int			i;

	for (i = 0; i < stream->nfragments; i++)
	{
		if (stream->fragments[i].worker == worker)
			nbytes += bytes_of_fragment(ship, &stream->fragments[i]);
	}
	return nbytes;
}

/*
 * CzShipChooseForm
 *		Arrays or temporary tables?  Fragments are of one shard each and have their
 *		workers.
 *
 * is_merged: those of a worker will be merged.
 * Returns: true if they have to be merged because a repartition goes by tables.
 */
bool
CzShipChooseForm(CzStream *stream, bool is_merged)
{
	int64		limit = (int64) cz_max_array_shipment_kb * 1024;
	bool		can_merge = stream->plan->merge != CZ_MERGE_NEVER;
	bool		must_merge = false;
	int			i;
	int			j;

	for (i = 0; i < stream->nships; i++)
	{
		Ship	   *ship = &stream->ships[i];
		bool		is_split = ship->shipment->partition_column > 0;
		int64		most = 0;	/* bytes that a statement would get */
		int64		worker_most = 0;	/* bytes that a worker would get */
		ListCell   *lc;

		if (ship->is_form_known)
		{
			must_merge |= ship->by_table && is_split;
			continue;
		}
		foreach(lc, stream->workers)
		{
			StreamWorker *worker = lfirst(lc);

			/* each of a worker's statements carries all of a broadcast */
			if (worker->use_txn)
				continue;
			if (!is_split)
			{
				most = ship->nbytes;
				worker_most = Max(worker_most, ship->nbytes *
								  (is_merged ? 1 : worker->nassigned));
			}
			else if (is_merged)
				most = Max(most, bytes_of_worker(stream, ship, worker));
		}
		for (j = 0; is_split && !is_merged && j < stream->nfragments; j++)
		{
			if (!stream->fragments[j].worker->use_txn)
				most = Max(most, bytes_of_fragment(ship, &stream->fragments[j]));
		}
		ship->by_table = (most > limit || worker_most > limit * STATEMENTS_PER_WORKER) &&
			(!is_split || can_merge);
		ship->is_form_known = true;
		must_merge |= ship->by_table && is_split;
	}
	return must_merge;
}

/*
 * CzShipUseArrays
 *		A worker makes no temporary tables: whatever is still to be sent takes arrays.
 */
void
CzShipUseArrays(CzStream *stream)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	int			i;

	for (i = 0; i < stream->nships; i++)
		stream->ships[i].by_table = false;
	for (i = 0; i < stream->nfragments; i++)
	{
		Fragment   *fragment = &stream->fragments[i];

		if (fragment->state == FRAGMENT_WAITING)
			fragment->sql = CzShipFragmentSql(stream, fragment);
	}
	MemoryContextSwitchTo(oldcontext);
}

/* True if a worker's connections get temporary tables. */
bool
CzShipNeedsTables(const CzStream *stream, const StreamWorker *worker)
{
	int			i;

	if (worker->use_txn)
		return false;
	for (i = 0; i < stream->nships; i++)
	{
		if (stream->ships[i].by_table)
			return true;
	}
	return false;
}

/* True if a temporary table holds the rows of one fragment only. */
bool
CzShipTablesAreOfFragment(const CzStream *stream)
{
	int			i;

	for (i = 0; i < stream->nships; i++)
	{
		if (stream->ships[i].by_table && stream->ships[i].shipment->partition_column > 0)
			return true;
	}
	return false;
}

static bool
is_array(const Ship *ship, const StreamWorker *worker)
{
	return !ship->by_table || (worker != NULL && worker->use_txn);
}

/*
 * CzShipFragmentSql
 *		The text of a fragment as the worker that it is assigned to gets it.
 */
char *
CzShipFragmentSql(const CzStream *stream, const Fragment *fragment)
{
	const CzFragmentPlan *plan = stream->plan;
	char	  **texts = palloc(sizeof(char *) * Max(stream->nships, 1));
	char	  **arrays = palloc0(sizeof(char *) * Max(stream->nships, 1));
	int64	   *rows = palloc0(sizeof(int64) * Max(stream->nships, 1));
	int			param = plan->nparams + 1;
	List	   *shard_indexes = NIL;
	ListCell   *lc;
	int			i;

	for (i = 0; i < stream->nships; i++)
	{
		Ship	   *ship = &stream->ships[i];

		if (is_array(ship, fragment->worker))
		{
			texts[i] = CzShipmentSql(ship->shipment, param);
			arrays[i] = psprintf("$%d::%s[]", param,
								 format_type_extended(linitial_oid(ship->shipment->column_types),
													  -1, FORMAT_TYPE_TYPEMOD_GIVEN |
													  FORMAT_TYPE_FORCE_QUALIFY));
			rows[i] = ship->nrows / Max(ship->nparts, 1);
			param += ship->ncolumns;
		}
		else
			texts[i] = psprintf("pg_temp.%s", CzShipTableName(stream, i));
	}
	if (fragment->members == NIL)
		shard_indexes = list_make1_int(fragment->shard_index);
	foreach(lc, fragment->members)
		shard_indexes = lappend_int(shard_indexes, ((Fragment *) lfirst(lc))->shard_index);
	return CzFragmentSqlOfShards(plan, shard_indexes, texts, arrays, rows);
}

/* ---- arrays -------------------------------------------------------------- */

static void
start_array(const ShipColumn *column, StringInfo buf)
{
	initStringInfo(buf);
	if (!column->is_binary)
	{
		appendStringInfoChar(buf, '{');
		return;
	}
	/* dimensions, has NULLs, type of elements, number of elements, first index */
	pq_sendint32(buf, 1);
	pq_sendint32(buf, 0);
	pq_sendint32(buf, column->type_oid);
	pq_sendint32(buf, 0);
	pq_sendint32(buf, 1);
}

static void
append_quoted(StringInfo buf, const char *text)
{
	const char *p;

	appendStringInfoCharMacro(buf, '"');
	for (p = text; *p; p++)
	{
		if (*p == '"' || *p == '\\')
			appendStringInfoCharMacro(buf, '\\');
		appendStringInfoCharMacro(buf, *p);
	}
	appendStringInfoCharMacro(buf, '"');
}

static void
append_element(ShipColumn *column, Datum value, bool isnull, bool is_first, StringInfo buf)
{
	int			nest_level = -1;

	if (buf->len > MAX_ARRAY_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows for the parameters of one statement"),
				 errdetail("On the connection of a transaction that has written, or that keeps one snapshot, rows cannot be sent as a temporary table.")));
	if (column->is_binary)
	{
		if (isnull)
			pq_sendint32(buf, (uint32) -1);
		else
			CzWireAppendBinary(&column->wire, value, buf);
		return;
	}
	if (!is_first)
		appendStringInfoChar(buf, column->delimiter);
	if (isnull)
	{
		appendStringInfoString(buf, "NULL");
		return;
	}
	if (column->pins != 0)
		nest_level = CzPinTextSettings(column->pins);
	append_quoted(buf, OutputFunctionCall(&column->wire.out, value));
	CzUnpinTextSettings(nest_level);
}

static void
end_array(const ShipColumn *column, int64 nrows, bool has_nulls, StringInfo buf)
{
	uint32		word;

	if (!column->is_binary)
	{
		appendStringInfoChar(buf, '}');
		return;
	}
	if (nrows == 0)
	{
		word = 0;
		memcpy(buf->data, &word, sizeof(word));
		buf->len = 3 * sizeof(int32);
		return;
	}
	word = pg_hton32(has_nulls ? 1 : 0);
	memcpy(buf->data + sizeof(word), &word, sizeof(word));
	word = pg_hton32((uint32) nrows);
	memcpy(buf->data + 3 * sizeof(word), &word, sizeof(word));
}

/* Arrays of the rows of some parts; palloc'd in CurrentMemoryContext. */
static StringInfoData *
build_arrays(CzStream *stream, Ship *ship, List *parts)
{
	StringInfoData *arrays = palloc(sizeof(StringInfoData) * ship->ncolumns);
	bool	   *has_nulls = palloc0(sizeof(bool) * ship->ncolumns);
	int64		nrows = 0;
	ListCell   *lc;
	int			i;

	for (i = 0; i < ship->ncolumns; i++)
	{
		ShipColumn *column = &ship->columns[i];

		if (!column->is_binary && column->delimiter == '\0')
		{
			int16		typlen;
			bool		typbyval;
			char		typalign;
			Oid			ioparam;
			Oid			function;

			if (CzShipmentColumnIsText(column->type_oid))
				column->delimiter = ',';
			else
				get_type_io_data(column->type_oid, IOFunc_output, &typlen, &typbyval,
								 &typalign, &column->delimiter, &ioparam, &function);
		}
		start_array(column, &arrays[i]);
	}
	foreach(lc, parts)
	{
		ShipPart   *part = &ship->parts[lfirst_int(lc)];

		if (part->store == NULL)
			continue;
		tuplestore_select_read_pointer(part->store, 0);
		tuplestore_rescan(part->store);
		part->reader = NULL;
		while (tuplestore_gettupleslot(part->store, true, false, ship->slot))
		{
			MemoryContext oldcontext;

			slot_getallattrs(ship->slot);
			oldcontext = MemoryContextSwitchTo(stream->ship_row_context);
			for (i = 0; i < ship->ncolumns; i++)
			{
				if (ship->slot->tts_isnull[i])
					has_nulls[i] = true;
				append_element(&ship->columns[i], ship->slot->tts_values[i],
							   ship->slot->tts_isnull[i], nrows == 0, &arrays[i]);
			}
			MemoryContextSwitchTo(oldcontext);
			MemoryContextReset(stream->ship_row_context);
			nrows++;
			CHECK_FOR_INTERRUPTS();
		}
		ExecClearTuple(ship->slot);
	}
	for (i = 0; i < ship->ncolumns; i++)
		end_array(&ship->columns[i], nrows, has_nulls[i], &arrays[i]);
	return arrays;
}

/* The shards of a fragment that a repartition has parts for. */
List *
CzShipParts(const Ship *ship, const Fragment *fragment)
{
	List	   *parts = NIL;
	ListCell   *lc;

	if (ship->shipment->partition_column == 0)
		return list_make1_int(0);
	if (fragment->members == NIL)
		return list_make1_int(fragment->shard_index);
	foreach(lc, fragment->members)
		parts = lappend_int(parts, ((Fragment *) lfirst(lc))->shard_index);
	return parts;
}

/* Arrays of all rows are the same for every fragment. */
static StringInfoData *
arrays_of_fragment(CzStream *stream, Ship *ship, const Fragment *fragment)
{
	MemoryContext oldcontext;

	if (ship->shipment->partition_column > 0)
		return build_arrays(stream, ship, CzShipParts(ship, fragment));
	if (ship->arrays == NULL)
	{
		ship->arrays_context = AllocSetContextCreate(stream->ship_context,
													 "cz_fdw shipment arrays",
													 ALLOCSET_DEFAULT_SIZES);
		oldcontext = MemoryContextSwitchTo(ship->arrays_context);
		ship->arrays = build_arrays(stream, ship, list_make1_int(0));
		MemoryContextSwitchTo(oldcontext);
	}
	return ship->arrays;
}

/*
 * CzShipCheckRowIds
 *		CzWireCheckRowIds for ctids that are shipped.
 */
void
CzShipCheckRowIds(const CzStream *stream, const Fragment *fragment)
{
	int			i;

	for (i = 0; i < stream->nships; i++)
	{
		const Ship *ship = &stream->ships[i];
		ListCell   *lc;

		if (ship->anchor == NULL || ship->shipment->partition_column == 0)
			continue;
		foreach(lc, CzShipParts(ship, fragment))
		{
			Bitmapset  *read_at = ship->parts[lfirst_int(lc)].read_at;
			int			placement = -1;

			while ((placement = bms_next_member(read_at, placement)) >= 0)
				CzRowIdCheck(&ship->anchor->shards[lfirst_int(lc)],
							 fragment->worker != NULL ? fragment->worker->server_oid :
							 fragment->server_oids[0], placement);
		}
	}
}

/*
 * CzFragmentParams
 *		The parameters of a fragment: those of the plan, then the arrays of
 *		shipments.  Allocates in CurrentMemoryContext, which should be short-lived.
 */
void
CzFragmentParams(CzStream *stream, const Fragment *fragment, FragmentParams *params)
{
	int			nparams = stream->plan->nparams;
	int			i;
	int			j;

	params->nparams = nparams;
	params->values = stream->param_values;
	params->lengths = NULL;
	params->formats = NULL;
	if (stream->nships == 0 && stream->row_ids == NULL)
		return;

	for (i = 0; i < stream->nships; i++)
		params->nparams += stream->ships[i].ncolumns;
	params->values = palloc0(sizeof(char *) * params->nparams);
	params->lengths = palloc0(sizeof(int) * params->nparams);
	params->formats = palloc0(sizeof(int) * params->nparams);
	for (i = 0; i < nparams; i++)
		params->values[i] = stream->param_values[i];
	CzWireRowIdParams(stream, fragment, params->values);
	params->nparams = nparams;
	for (i = 0; i < stream->nships; i++)
	{
		Ship	   *ship = &stream->ships[i];
		StringInfoData *arrays;

		if (!is_array(ship, fragment->worker))
			continue;
		arrays = arrays_of_fragment(stream, ship, fragment);
		for (j = 0; j < ship->ncolumns; j++)
		{
			params->values[params->nparams] = arrays[j].data;
			params->lengths[params->nparams] = arrays[j].len;
			params->formats[params->nparams] = ship->columns[j].is_binary ? 1 : 0;
			params->nparams++;
			stream->shipped_bytes += arrays[j].len;
		}
		if (ship->shipment->partition_column == 0)
			stream->shipped_rows += ship->nrows;
		else
		{
			ListCell   *lc;

			foreach(lc, CzShipParts(ship, fragment))
				stream->shipped_rows += ship->parts[lfirst_int(lc)].nrows;
		}
	}
}
