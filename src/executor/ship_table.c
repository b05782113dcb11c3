/*-------------------------------------------------------------------------
 *
 * ship_table.c
 *	  Shipments as temporary tables of a read connection.
 *
 * One simple query opens the transaction, joins the statement's snapshot, and
 * creates, fills and analyzes the tables; then the transaction becomes read-only
 * for the fragments.  It ends with ROLLBACK, which leaves nothing behind (group.c).
 *
 * A broadcast table serves every fragment of the connection.  The table of a
 * repartition has the rows of one fragment, so its connection serves that alone.
 *
 * Where a worker refuses to make tables the rest of the stream takes arrays.
 *
 * Several connections are fed at once: each gets what its socket takes, from its
 * own place in the rows.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "ship_int.h"

/* Bytes given to libpq at once: it buffers without bound. */
#define CHUNK_BYTES (64 * 1024)
/* Chunks that one connection gets before the others have their turn. */
#define CHUNKS_PER_TURN 16

/* Sample 300 rows a unit: enough for the plan of one statement. */
#define SAMPLE_TARGET 20

/* A connection of the group whose transaction has a stream's tables. */
typedef struct TableConn
{
	CzConn	   *conn;
	int			pid;			/* so that another one at this place is not taken for it */
	uint32		serial;			/* the stream's */
	int			version;		/* of the rows in its tables; -1: of one fragment alone */
} TableConn;

/* Where one connection is in its shipments. */
typedef struct ShipFeed
{
	Fragment   *fragment;		/* whose rows a repartition's tables have; or NULL */
	List	   *tables;			/* ints: shipments to come, the first is being copied */
	bool		is_copying;
	int			pointer;		/* broadcast: read pointer of its chunks */
	List	   *parts;			/* repartition: parts to come, the first is being read */
	bool		is_part_begun;
	bool		is_header_sent;
	StringInfoData buf;			/* repartition: a chunk being made */
	int			nanswers;
	int64		nrows;			/* that the last COPY must have stored */
	char	   *sql;			/* for messages */
} ShipFeed;

/*
 * CzShipTableName
 *		Unique on any connection of this backend.
 */
char *
CzShipTableName(const CzStream *stream, int ship_number)
{
	return psprintf("cz_shipment_%u_%d_%d", stream->serial, ship_number + 1,
					stream->ships[ship_number].version);
}

/* Of all shipments together: it grows when any is read again. */
static int
version_of_rows(const CzStream *stream)
{
	int			version = 0;
	int			i;

	for (i = 0; i < stream->nships; i++)
		version += stream->ships[i].version;
	return version;
}

/*
 * CzShipTablesAreOn
 *		Does a connection of the group have the stream's tables?
 */
bool
CzShipTablesAreOn(const CzStream *stream, const CzConn *conn)
{
	ListCell   *lc;

	foreach(lc, stream->group->table_conns)
	{
		TableConn  *known = lfirst(lc);

		if (known->conn == conn && known->pid == PQbackendPID(conn->pg) &&
			known->serial == stream->serial && known->version == version_of_rows(stream))
			return true;
	}
	return false;
}

/*
 * CzShipMustRollBack
 *		Does a connection of the group have anybody's tables?
 */
bool
CzShipMustRollBack(const StatementGroup *group, const CzConn *conn)
{
	ListCell   *lc;

	foreach(lc, group->table_conns)
	{
		if (((TableConn *) lfirst(lc))->conn == conn)
			return true;
	}
	return false;
}

/*
 * CzShipTablesGone
 *		A connection's transaction has been rolled back.
 */
void
CzShipTablesGone(StatementGroup *group, const CzConn *conn)
{
	ListCell   *lc;

	foreach(lc, group->table_conns)
	{
		if (((TableConn *) lfirst(lc))->conn == conn)
			group->table_conns = foreach_delete_current(group->table_conns, lc);
	}
}

/* ---- rows in COPY form --------------------------------------------------- */

static void
put_chunk(Tuplestorestate *chunks, TupleDesc tupdesc, StringInfo buf)
{
	Datum		value;
	bool		isnull = false;

	SET_VARSIZE(buf->data, buf->len);
	value = PointerGetDatum(buf->data);
	tuplestore_putvalues(chunks, tupdesc, &value, &isnull);
}

/* Begin a chunk that will be a bytea value. */
static void
reset_chunk(StringInfo buf)
{
	resetStringInfo(buf);
	appendStringInfoSpaces(buf, VARHDRSZ);
}

/* A broadcast's rows are brought into COPY form once for all connections. */
static void
make_chunks(CzStream *stream, Ship *ship)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->ship_context);
	Tuplestorestate *store = ship->parts[0].store;
	TupleDesc	tupdesc = CreateTemplateTupleDesc(1);
	StringInfoData buf;

	TupleDescInitEntry(tupdesc, 1, "chunk", BYTEAOID, -1, 0);
	if (ship->chunk_slot == NULL)
		ship->chunk_slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	ship->chunks = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_set_eflags(ship->chunks, EXEC_FLAG_REWIND);
	initStringInfo(&buf);
	reset_chunk(&buf);
	if (ship->format->is_binary)
		appendBinaryStringInfo(&buf, CZ_COPY_HEADER, CZ_COPY_HEADER_BYTES);
	if (store != NULL)
	{
		tuplestore_select_read_pointer(store, 0);
		tuplestore_rescan(store);
		while (tuplestore_gettupleslot(store, true, false, ship->slot))
		{
			MemoryContextSwitchTo(stream->ship_row_context);
			CzWireAppendRow(ship->format, ship->slot, &buf);
			MemoryContextSwitchTo(stream->ship_context);
			MemoryContextReset(stream->ship_row_context);
			if (buf.len >= CHUNK_BYTES)
			{
				put_chunk(ship->chunks, tupdesc, &buf);
				reset_chunk(&buf);
			}
			CHECK_FOR_INTERRUPTS();
		}
		ExecClearTuple(ship->slot);
	}
	if (buf.len > VARHDRSZ)
		put_chunk(ship->chunks, tupdesc, &buf);
	pfree(buf.data);
	MemoryContextSwitchTo(oldcontext);
}

static void
start_ship(CzStream *stream, ShipFeed *feed, Ship *ship)
{
	feed->is_copying = true;
	feed->is_header_sent = false;
	if (ship->shipment->partition_column > 0)
	{
		feed->parts = CzShipParts(ship, feed->fragment);
		feed->is_part_begun = false;
		return;
	}
	if (ship->chunks == NULL)
		make_chunks(stream, ship);
	if (ship->free_pointers != NIL)
	{
		feed->pointer = llast_int(ship->free_pointers);
		ship->free_pointers = list_delete_last(ship->free_pointers);
	}
	else
		feed->pointer = tuplestore_alloc_read_pointer(ship->chunks, EXEC_FLAG_REWIND);
	tuplestore_select_read_pointer(ship->chunks, feed->pointer);
	tuplestore_rescan(ship->chunks);
}

/* The next bytes of a broadcast; false at the end. */
static bool
next_shared_chunk(Ship *ship, ShipFeed *feed, char **data, int *len)
{
	struct varlena *chunk;

	tuplestore_select_read_pointer(ship->chunks, feed->pointer);
	if (!tuplestore_gettupleslot(ship->chunks, true, false, ship->chunk_slot))
	{
		ExecClearTuple(ship->chunk_slot);
		return false;
	}
	slot_getallattrs(ship->chunk_slot);
	chunk = (struct varlena *) DatumGetPointer(ship->chunk_slot->tts_values[0]);
	*data = VARDATA_ANY(chunk);
	*len = VARSIZE_ANY_EXHDR(chunk);
	return true;
}

/* The same of the rows of one fragment. */
static bool
next_part_chunk(CzStream *stream, Ship *ship, ShipFeed *feed, char **data, int *len)
{
	StringInfo	buf = &feed->buf;

	resetStringInfo(buf);
	if (!feed->is_header_sent && ship->format->is_binary)
		appendBinaryStringInfo(buf, CZ_COPY_HEADER, CZ_COPY_HEADER_BYTES);
	feed->is_header_sent = true;
	while (feed->parts != NIL && buf->len < CHUNK_BYTES)
	{
		ShipPart   *part = &ship->parts[linitial_int(feed->parts)];
		Tuplestorestate *store = part->store;
		MemoryContext oldcontext;

		if (store != NULL && !feed->is_part_begun)
		{
			tuplestore_select_read_pointer(store, 0);
			tuplestore_rescan(store);
			feed->is_part_begun = true;
			part->reader = feed;
		}
		if (store != NULL && part->reader != feed)
			elog(ERROR, "two connections read one part of a shipment");
		if (store == NULL || !tuplestore_gettupleslot(store, true, false, ship->slot))
		{
			feed->parts = list_delete_first(feed->parts);
			feed->is_part_begun = false;
			continue;
		}
		oldcontext = MemoryContextSwitchTo(stream->ship_row_context);
		CzWireAppendRow(ship->format, ship->slot, buf);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(stream->ship_row_context);
	}
	ExecClearTuple(ship->slot);
	*data = buf->data;
	*len = buf->len;
	return buf->len > 0;
}

/* ---- the conversation ---------------------------------------------------- */

static void
append_table(StringInfo sql, const CzStream *stream, int ship_number)
{
	Ship	   *ship = &stream->ships[ship_number];
	char	   *name = CzShipTableName(stream, ship_number);
	int			i;

	appendStringInfo(sql, "; CREATE TEMPORARY TABLE pg_temp.%s (", name);
	for (i = 0; i < ship->ncolumns; i++)
		appendStringInfo(sql, "%sc%d %s%s", i > 0 ? ", " : "", i + 1,
						 format_type_extended(ship->columns[i].type_oid,
											  TupleDescAttr(ship->tupdesc, i)->atttypmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY),
						 CzShipmentColumnCollate(ship->shipment, i));
	appendStringInfo(sql, "); COPY pg_temp.%s FROM STDIN%s", name,
					 ship->format->is_binary ? " (FORMAT binary)" : "");
	appendStringInfo(sql, "; SET LOCAL default_statistics_target = %d; ANALYZE pg_temp.%s",
					 SAMPLE_TARGET, name);
}

/*
 * CzShipTablesStart
 *		Begin to make a stream's tables on an idle connection without transaction.
 *		False if the connection is lost.
 *
 * fragment: the one that will be run on the connection.
 * snapshot_id: of the statement on this worker; NULL: export the one that this
 *		transaction gets.
 */
bool
CzShipTablesStart(CzStream *stream, StreamConn *sc, Fragment *fragment,
				  const char *snapshot_id)
{
	PGconn	   *pg = sc->conn->pg;
	ShipFeed   *feed;
	StringInfoData sql;
	int			i;

	if (PQpipelineStatus(pg) != PQ_PIPELINE_OFF && !PQexitPipelineMode(pg))
		return false;

	feed = palloc0(sizeof(ShipFeed));
	if (CzShipTablesAreOfFragment(stream))
		feed->fragment = fragment;
	initStringInfo(&feed->buf);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ; ");
	if (snapshot_id != NULL)
		appendStringInfo(&sql, "SET TRANSACTION SNAPSHOT %s",
						 quote_literal_cstr(snapshot_id));
	else
		appendStringInfoString(&sql, "SELECT pg_catalog.pg_export_snapshot()");
	for (i = 0; i < stream->nships; i++)
	{
		if (!stream->ships[i].by_table)
			continue;
		append_table(&sql, stream, i);
		feed->tables = lappend_int(feed->tables, i);
	}
	appendStringInfoString(&sql, "; SET TRANSACTION READ ONLY");
	CzConnLogCommand(sc->conn, sql.data);
	if (!PQsendQuery(pg, sql.data) || !PQsetSingleRowMode(pg))
		return false;
	feed->sql = sql.data;
	sc->feed = feed;
	sc->tables_of = feed->fragment;
	sc->has_begun = true;
	sc->is_exporter = snapshot_id == NULL;
	(void) CzExpectPush(sc, EXPECT_SHIP, NULL);
	sc->inflight++;
	sc->last_heard = GetCurrentTimestamp();
	sc->must_write = PQflush(pg) > 0;
	return true;
}

/* Give the connection rows; false: its buffer is full, or it is lost. */
static bool
feed_rows(CzStream *stream, StreamConn *sc)
{
	PGconn	   *pg = sc->conn->pg;
	ShipFeed   *feed = sc->feed;
	Ship	   *ship = &stream->ships[linitial_int(feed->tables)];
	int			nchunks = 0;

	for (;;)
	{
		int			flush = PQflush(pg);
		char	   *data;
		int			len;

		if (flush < 0)
			return false;
		sc->must_write = flush > 0;
		if (flush > 0)
			return false;
		sc->last_heard = GetCurrentTimestamp();
		if (++nchunks > CHUNKS_PER_TURN)
		{
			/* the wait for other sockets ends at once */
			sc->must_write = true;
			return false;
		}
		if (!(ship->shipment->partition_column > 0 ?
			  next_part_chunk(stream, ship, feed, &data, &len) :
			  next_shared_chunk(ship, feed, &data, &len)))
			break;
		if (PQputCopyData(pg, data, len) != 1)
			return false;
		stream->shipped_bytes += len;
	}
	feed->is_copying = false;
	if (ship->shipment->partition_column == 0)
	{
		ship->free_pointers = lappend_int(ship->free_pointers, feed->pointer);
		feed->nrows = ship->nrows;
	}
	else
	{
		ListCell   *lc;

		feed->nrows = 0;
		foreach(lc, CzShipParts(ship, feed->fragment))
			feed->nrows += ship->parts[lfirst_int(lc)].nrows;
	}
	stream->shipped_rows += feed->nrows;
	feed->tables = list_delete_first(feed->tables);
	if (PQputCopyEnd(pg, NULL) != 1)
		return false;
	sc->must_write = PQflush(pg) > 0;
	return true;
}

static void
tables_done(CzStream *stream, StreamConn *sc)
{
	MemoryContext oldcontext;
	StreamWorker *worker = sc->worker;
	TableConn  *known;

	CzExpectPop(sc);
	sc->inflight--;
	sc->has_tables = true;
	pfree(((ShipFeed *) sc->feed)->buf.data);
	pfree(sc->feed);
	sc->feed = NULL;

	/* another connection has to wait as long as this one has been filled */
	worker->last_added = GetCurrentTimestamp();
	worker->waited_us_at_added = stream->waited_us;

	oldcontext = MemoryContextSwitchTo(stream->estate->es_query_cxt);
	known = palloc(sizeof(TableConn));
	known->conn = sc->conn;
	known->pid = PQbackendPID(sc->conn->pg);
	known->serial = stream->serial;
	known->version = sc->tables_of == NULL ? version_of_rows(stream) : -1;
	stream->group->table_conns = lappend(stream->group->table_conns, known);
	MemoryContextSwitchTo(oldcontext);
}

/* No privilege for temporary tables in the database, or a server that cannot write. */
static bool
is_refusal(const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return sqlstate != NULL &&
		(strcmp(sqlstate, "42501") == 0 || strcmp(sqlstate, "25006") == 0);
}

/* Has everything arrived? */
static void
check_count(StreamConn *sc, const ShipFeed *feed, PGresult *res)
{
	if (CzResultCount(sc->conn, res) != feed->nrows)
		CzConnViolated(sc->conn, res, "It has stored another number of rows.");
}

/*
 * CzShipTablesAdvance
 *		Go on as far as possible without waiting.
 *
 * reason: out: why the connection is lost; palloc'd.
 */
ShipProgress
CzShipTablesAdvance(CzStream *stream, StreamConn *sc, char **reason)
{
	PGconn	   *pg = sc->conn->pg;
	ShipFeed   *feed = sc->feed;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->ship_context);

	CHECK_FOR_INTERRUPTS();
	for (;;)
	{
		PGresult   *res;

		if (feed->is_copying && !feed_rows(stream, sc))
			break;
		if (PQisBusy(pg))
			break;
		res = PQgetResult(pg);
		if (res == NULL)
		{
			if (PQstatus(pg) != CONNECTION_OK)
				break;
			if (feed->tables != NIL)
				CzConnViolated(sc->conn, NULL, "It ends before what was sent is stored.");
			tables_done(stream, sc);
			MemoryContextSwitchTo(oldcontext);
			return SHIP_DONE;
		}
		sc->has_answered = true;
		switch (PQresultStatus(res))
		{
			case PGRES_COPY_IN:
				if (feed->tables == NIL || feed->is_copying)
					CzConnUnexpected(sc->conn, res, feed->sql);
				PQclear(res);
				start_ship(stream, feed, &stream->ships[linitial_int(feed->tables)]);
				break;
			case PGRES_TUPLES_OK:
				CzRunSnapshotKnown(stream, sc, res);
				PQclear(res);
				feed->nanswers++;
				break;
			case PGRES_SINGLE_TUPLE:
				CzRunSnapshotKnown(stream, sc, res);
				PQclear(res);
				break;
			case PGRES_COMMAND_OK:
				if (strncmp(PQcmdStatus(res), "COPY", 4) == 0)
					check_count(sc, feed, res);
				PQclear(res);
				feed->nanswers++;
				break;
			default:

				if (is_refusal(res))
				{
					PQclear(res);
					MemoryContextSwitchTo(oldcontext);
					return SHIP_REFUSED;
				}

				/* BEGIN and the snapshot fail when the snapshot's exporter has died */
				if (PQresultStatus(res) != PGRES_FATAL_ERROR ||
					(!CzConnResultIsLoss(sc->conn, res) && feed->nanswers >= 2))
					CzConnUnexpected(sc->conn, res, feed->sql);
				*reason = CzRedact(pchomp(PQresultErrorMessage(res)), PQpass(pg));
				PQclear(res);
				if (PQstatus(pg) == CONNECTION_OK)
					CzRunSnapshotGone(stream, sc);
				MemoryContextSwitchTo(oldcontext);
				return SHIP_LOST;
		}
	}
	MemoryContextSwitchTo(oldcontext);
	if (PQstatus(pg) != CONNECTION_OK)
	{
		*reason = CzRedact(pchomp(PQerrorMessage(pg)), PQpass(pg));
		return SHIP_LOST;
	}
	return SHIP_BLOCKED;
}
