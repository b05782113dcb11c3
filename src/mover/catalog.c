/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Rows of cz.move, and those of cz.cleanup that a move writes.
 *
 * What is going to be made on a worker is written down, and committed, before it is made:
 * whoever finds the rows after a crash knows what there may be.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "mover_int.h"

/*
 * CzMoveClusterId
 *		The identity of this cluster; palloc'd.
 */
char *
CzMoveClusterId(void)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT cluster_id::text FROM cz.cluster", true, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the cluster's id is missing in cz.cluster"),
				 errhint("Restore the row from a backup: workers know the cluster by it.")));
	result = MemoryContextStrdup(context, SPI_getvalue(SPI_tuptable->vals[0],
													   SPI_tuptable->tupdesc, 1));
	SPI_finish();
	return result;
}

/*
 * CzMoveMarker, CzMoveDroppedMarker
 *		Comments of tables on the target, and of an old placement.
 */
char *
CzMoveMarker(const CzMove *move)
{
	return psprintf("cz_fdw move %s " INT64_FORMAT, move->cluster_id, move->move_id);
}

char *
CzMoveDroppedMarker(const CzMove *move)
{
	return psprintf("cz_fdw dropped %s " INT64_FORMAT, move->cluster_id, move->move_id);
}

/*
 * CzMoveOidArray
 *		See mover_int.h.
 */
Datum
CzMoveOidArray(List *oids)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(oids), 1));
	ListCell   *lc;

	foreach(lc, oids)
		values[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	return PointerGetDatum(construct_array(values, list_length(oids), OIDOID, sizeof(Oid), true,
										   TYPALIGN_INT));
}

/* ids: int64 *. */
static Datum
int8_array(List *ids)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(ids), 1));
	ListCell   *lc;

	foreach(lc, ids)
		values[foreach_current_index(lc)] = Int64GetDatum(*(int64 *) lfirst(lc));
	return PointerGetDatum(construct_array(values, list_length(ids), INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Datum
shard_ids(const CzMove *move)
{
	List	   *ids = NIL;
	ListCell   *lc;

	foreach(lc, move->tables)
		ids = lappend(ids, &((CzMoveTable *) lfirst(lc))->shard_id);
	return int8_array(ids);
}

static const char *const operations[] = {"move", "copy", "promote", "split"};

static Datum
server_name(Oid server_oid)
{
	return CStringGetTextDatum(GetForeignServer(server_oid)->servername);
}

/*
 * CzMoveCheckAlone
 *		55006 if another move of the group's shards is on its way.  A split gives the others
 *		other numbers: while one is on its way no shard of the group moves.
 */
void
CzMoveCheckAlone(const CzMove *move)
{
	Oid			argtypes[4] = {INT4OID, INT4OID, OIDOID, BOOLOID};
	Datum		values[4];
	bool		is_alone;

	values[0] = Int32GetDatum(move->colocation_id);
	values[1] = Int32GetDatum(move->shard_index);
	values[2] = ObjectIdGetDatum(linitial_oid(CzMoveRelids(move)));
	values[3] = BoolGetDatum(move->operation == CZ_MOVE_SPLIT);
	/* of two that begin at the same time, one sees the other */
	LockRelationOid(CzCatalogRelid("move"), ShareUpdateExclusiveLock);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT FROM cz.move WHERE colocation_id OPERATOR(pg_catalog.=) $1 AND ($1 OPERATOR(pg_catalog.<>) 0 OR tables[1] OPERATOR(pg_catalog.=) $3)"
							  " AND (shard_index OPERATOR(pg_catalog.=) $2 OR operation OPERATOR(pg_catalog.=) 'split' OR $4)"
							  " AND phase OPERATOR(pg_catalog.<>) '" CZ_PHASE_DONE "' AND phase OPERATOR(pg_catalog.<>) '" CZ_PHASE_FAILED "'",
							  4, argtypes, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.move");
	is_alone = SPI_processed == 0;
	SPI_finish();
	if (!is_alone)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("shard %d of table \"%s\" is being moved already, or one of the group is being split",
						move->shard_index, get_rel_name(linitial_oid(CzMoveRelids(move))))));
}

/*
 * CzMoveInsert
 *		A move begins.
 */
void
CzMoveInsert(const CzMove *move)
{
	Oid			argtypes[12] = {INT8OID, TEXTOID, TEXTOID, INT4OID, INT4OID, OIDARRAYOID,
	INT8ARRAYOID, TEXTOID, TEXTOID, INT4OID, INT8OID, INT8ARRAYOID};
	char		nulls[13] = "            ";
	Datum		values[12];
	Oid			source_oid;

	values[0] = Int64GetDatum(move->move_id);
	values[1] = CStringGetTextDatum(operations[move->operation]);
	values[2] = CStringGetTextDatum(move->mode == CZ_TRANSFER_BLOCK_WRITES ? "block_writes" :
									"logical");
	values[3] = Int32GetDatum(move->colocation_id);
	values[4] = Int32GetDatum(move->shard_index);
	values[5] = CzMoveOidArray(CzMoveRelids(move));
	values[6] = shard_ids(move);
	/* of a split: who reads the catalog should see where it is */
	source_oid = move->operation == CZ_MOVE_SPLIT ? move->from_oid : move->source_oid;
	values[7] = OidIsValid(source_oid) ? server_name(source_oid) : (Datum) 0;
	if (!OidIsValid(source_oid))
		nulls[7] = 'n';
	values[8] = OidIsValid(move->target_oid) ? server_name(move->target_oid) : (Datum) 0;
	if (!OidIsValid(move->target_oid))
		nulls[8] = 'n';
	values[9] = Int32GetDatum(MyProcPid);
	values[10] = Int64GetDatum(move->task_id);
	if (move->task_id == 0)
		nulls[10] = 'n';
	values[11] = int8_array(CzMovePieceIds(move));
	if (move->operation != CZ_MOVE_SPLIT)
		nulls[11] = 'n';
	CzCatalogExec("INSERT INTO cz.move (move_id, operation, mode, colocation_id, shard_index, tables, shard_ids, source_name, target_name, phase, pid, task_id, piece_ids, started_at, updated_at)"
				  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::pg_catalog.name, $9::pg_catalog.name, '" CZ_PHASE_PREPARING "', $10, $11, $12, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp())",
				  12, argtypes, values, nulls);
}

/*
 * CzMoveInsertFailed
 *		A move that could not begin: why.
 */
void
CzMoveInsertFailed(const CzMove *move, const char *sqlstate, const char *message)
{
	Oid			argtypes[10] = {INT8OID, TEXTOID, TEXTOID, INT4OID, INT4OID, TEXTOID, INT8OID,
	TEXTOID, TEXTOID, OIDOID};
	char		nulls[11] = "          ";
	Datum		values[10];
	ForeignServer *target = OidIsValid(move->target_oid) ?
		GetForeignServerExtended(move->target_oid, FSV_MISSING_OK) : NULL;

	values[0] = Int64GetDatum(move->move_id);
	values[1] = CStringGetTextDatum(operations[move->operation]);
	values[2] = CStringGetTextDatum(move->mode == CZ_TRANSFER_BLOCK_WRITES ? "block_writes" :
									"logical");
	values[3] = Int32GetDatum(move->colocation_id);
	values[4] = Int32GetDatum(move->shard_index);
	values[5] = target ? CStringGetTextDatum(target->servername) : (Datum) 0;
	nulls[5] = target ? ' ' : 'n';
	values[6] = Int64GetDatum(move->task_id);
	if (move->task_id == 0)
		nulls[6] = 'n';
	values[7] = CStringGetTextDatum(sqlstate);
	values[8] = CStringGetTextDatum(message);
	values[9] = ObjectIdGetDatum(move->relid);
	CzCatalogExec("INSERT INTO cz.move (move_id, operation, mode, colocation_id, shard_index, tables, shard_ids, target_name, phase, task_id, started_at, updated_at, sqlstate, error)"
				  " VALUES ($1, $2, $3, $4, $5, ARRAY[$10], '{}', $6::pg_catalog.name, '" CZ_PHASE_FAILED "', $7, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(), $8, $9)",
				  10, argtypes, values, nulls);
}

/*
 * CzMoveCleanupIsLeft
 *		Is there something of moves on the clean-up list, due or not?
 */
bool
CzMoveCleanupIsLeft(void)
{
	bool		result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT FROM cz.cleanup WHERE move_id IS NOT NULL LIMIT 1", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.cleanup");
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

static int64
int_column(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/*
 * CzMoveRead
 *		Fill a move of which only move_id and context are set; false if it has no row, or
 *		one of its nodes is gone.
 */
bool
CzMoveRead(CzMove *move)
{
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1];
	int			operation = 0;
	bool		found = false;

	values[0] = Int64GetDatum(move->move_id);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT operation, mode, colocation_id::int8, shard_index::int8, tables[1]::int8, source_name, target_name, phase, task_id "
							  "FROM cz.move WHERE move_id OPERATOR(pg_catalog.=) $1", 1, argtypes, values, NULL,
							  true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.move");
	if (SPI_processed == 1)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *source = SPI_getvalue(tuple, desc, 6);
		char	   *target = SPI_getvalue(tuple, desc, 7);

		for (operation = lengthof(operations) - 1; operation > 0; operation--)
		{
			if (strcmp(SPI_getvalue(tuple, desc, 1), operations[operation]) == 0)
				break;
		}
		move->operation = operation;
		move->mode = strcmp(SPI_getvalue(tuple, desc, 2), "block_writes") == 0 ?
			CZ_TRANSFER_BLOCK_WRITES : CZ_TRANSFER_LOGICAL;
		move->colocation_id = (int) int_column(tuple, desc, 3);
		move->shard_index = (int) int_column(tuple, desc, 4);
		move->relid = (Oid) int_column(tuple, desc, 5);
		move->source_oid = source ? get_foreign_server_oid(source, true) : InvalidOid;
		move->target_oid = target ? get_foreign_server_oid(target, true) : InvalidOid;
		move->phase = MemoryContextStrdup(move->context, SPI_getvalue(tuple, desc, 8));
		move->task_id = int_column(tuple, desc, 9);
		found = (target == NULL || OidIsValid(move->target_oid)) &&
			(source == NULL || OidIsValid(move->source_oid));
		if (move->operation == CZ_MOVE_SPLIT)
			move->source_oid = InvalidOid;
	}
	SPI_finish();
	return found;
}

/*
 * CzMoveSetPhase
 *		How far it is.
 */
void
CzMoveSetPhase(CzMove *move, const char *phase)
{
	Oid			argtypes[3] = {INT8OID, TEXTOID, INT4OID};
	Datum		values[3];

	values[0] = Int64GetDatum(move->move_id);
	values[1] = CStringGetTextDatum(phase);
	values[2] = Int32GetDatum(MyProcPid);
	CzCatalogExec("UPDATE cz.move SET phase = $2, pid = $3, updated_at = pg_catalog.clock_timestamp(),"
				  " switched_at = CASE WHEN $2 OPERATOR(pg_catalog.=) '" CZ_PHASE_SWITCHED "' THEN pg_catalog.clock_timestamp() ELSE switched_at END"
				  " WHERE move_id OPERATOR(pg_catalog.=) $1", 3, argtypes, values, NULL);
	move->phase = MemoryContextStrdup(move->context, phase);
}

/*
 * CzMoveNote
 *		A number about it: one of the columns.
 */
void
CzMoveNote(const CzMove *move, const char *what, double value)
{
	Oid			argtypes[2] = {INT8OID, FLOAT8OID};
	Datum		values[2];

	values[0] = Int64GetDatum(move->move_id);
	values[1] = Float8GetDatum(value);
	CzCatalogExec(psprintf("UPDATE cz.move SET %s = $2, updated_at = pg_catalog.clock_timestamp() WHERE move_id OPERATOR(pg_catalog.=) $1",
						   quote_identifier(what)), 2, argtypes, values, NULL);
}

/*
 * CzMoveTitle
 *		See mover_int.h.
 */
char *
CzMoveTitle(const CzMove *move)
{
	ForeignServer *source = GetForeignServerExtended(move->source_oid, FSV_MISSING_OK);
	ForeignServer *target = GetForeignServerExtended(move->target_oid, FSV_MISSING_OK);
	int64		shard_id = move->shard_id;
	ListCell   *lc;
	StringInfoData buf;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		if (shard_id == 0 && table->relid == move->relid)
			shard_id = table->shard_id;
	}
	/* the tables are read later */
	if (shard_id == 0 && move->tables == NIL && OidIsValid(move->relid))
	{
		const CzTable *table = CzTableGet(move->relid);

		if (table != NULL && move->shard_index >= 0 && move->shard_index < table->nshards)
			shard_id = table->shards[move->shard_index].shard_id;
	}
	initStringInfo(&buf);
	appendStringInfo(&buf, "%s " INT64_FORMAT,
					 move->operation == CZ_MOVE_PROMOTE ? "promotion" :
					 move->operation == CZ_MOVE_SPLIT ? "split" :
					 move->operation == CZ_MOVE_COPY ? "copy" : "move", move->move_id);
	if (move->operation != CZ_MOVE_PROMOTE && shard_id != 0)
		appendStringInfo(&buf, " of shard " INT64_FORMAT, shard_id);
	if (source != NULL && move->operation != CZ_MOVE_SPLIT)
		appendStringInfo(&buf, " from node \"%s\"", source->servername);
	if (target != NULL && move->operation != CZ_MOVE_SPLIT)
		appendStringInfo(&buf, " to node \"%s\"", target->servername);
	return MemoryContextStrdup(move->context, buf.data);
}

static bool
has_waits_for(void)
{
	return get_attnum(CzCatalogRelid("move"), "waits_for") != InvalidAttrNumber;
}

/*
 * CzMoveNoteWaits
 *		Attempts to lock the shards, and who has been in the way (NULL: nobody any more).
 */
void
CzMoveNoteWaits(const CzMove *move, int nattempts, const char *waits_for)
{
	Oid			argtypes[3] = {INT8OID, INT4OID, TEXTOID};
	char		nulls[4] = "   ";
	Datum		values[3];

	/* the extension may not have been updated yet */
	if (!has_waits_for())
	{
		CzMoveNote(move, "attempts", nattempts);
		return;
	}
	values[0] = Int64GetDatum(move->move_id);
	values[1] = Int32GetDatum(nattempts);
	values[2] = waits_for ? CStringGetTextDatum(waits_for) : (Datum) 0;
	nulls[2] = waits_for ? ' ' : 'n';
	CzCatalogExec("UPDATE cz.move SET attempts = $2, waits_for = $3, updated_at = pg_catalog.clock_timestamp()"
				  " WHERE move_id OPERATOR(pg_catalog.=) $1", 3, argtypes, values, nulls);
}

/*
 * CzMoveNoteRound
 *		A round has brought so many changes over.
 */
void
CzMoveNoteRound(const CzMove *move, int64 nchanges)
{
	Oid			argtypes[2] = {INT8OID, INT8OID};
	Datum		values[2];

	values[0] = Int64GetDatum(move->move_id);
	values[1] = Int64GetDatum(nchanges);
	CzCatalogExec("UPDATE cz.move SET lag_changes = $2, rows_applied = rows_applied OPERATOR(pg_catalog.+) $2, updated_at = pg_catalog.clock_timestamp()"
				  " WHERE move_id OPERATOR(pg_catalog.=) $1", 2, argtypes, values, NULL);
}

/*
 * CzMoveFail
 *		It has failed; what it has made is to go, and what it would have left stays.
 */
void
CzMoveFail(const CzMove *move, const char *sqlstate, const char *message)
{
	Oid			argtypes[3] = {INT8OID, TEXTOID, TEXTOID};
	Datum		values[3];

	values[0] = Int64GetDatum(move->move_id);
	values[1] = CStringGetTextDatum(sqlstate);
	values[2] = CStringGetTextDatum(message);
	CzCatalogExec("UPDATE cz.move SET phase = '" CZ_PHASE_FAILED "', pid = NULL, updated_at = pg_catalog.clock_timestamp(), sqlstate = $2, error = $3"
				  " WHERE move_id OPERATOR(pg_catalog.=) $1", 3, argtypes, values, NULL);
	if (has_waits_for())
		CzCatalogExec("UPDATE cz.move SET waits_for = NULL WHERE move_id OPERATOR(pg_catalog.=) $1", 1,
					  argtypes, values, NULL);
	CzMoveForgetCleanup(move, "on_success");
}

/*
 * CzMoveExpectCleanup
 *		Something that is about to be made, or left.
 */
void
CzMoveExpectCleanup(const CzMove *move, Oid server_oid, Oid owner, const char *kind,
					const char *name, const char *args, const char *policy, const char *marker)
{
	Oid			argtypes[8] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID};
	char		nulls[9] = "        ";
	Datum		values[8];

	values[0] = Int64GetDatum(move->move_id);
	values[1] = server_name(server_oid);
	values[2] = CStringGetTextDatum(kind);
	values[3] = CStringGetTextDatum(name);
	values[4] = args ? CStringGetTextDatum(args) : (Datum) 0;
	nulls[4] = args ? ' ' : 'n';
	values[5] = CStringGetTextDatum(GetUserNameFromId(owner, false));
	values[6] = CStringGetTextDatum(policy);
	values[7] = marker ? CStringGetTextDatum(marker) : (Datum) 0;
	nulls[7] = marker ? ' ' : 'n';
	CzCatalogExec("INSERT INTO cz.cleanup (move_id, server_name, object_kind, object_name, object_args, user_name, policy, marker)"
				  " VALUES ($1, $2::pg_catalog.name, $3, $4, $5, $6::pg_catalog.name, $7, $8)",
				  8, argtypes, values, nulls);
}

/*
 * CzMoveForgetCleanup
 *		What is kept: the move has ended in the other way.
 */
void
CzMoveForgetCleanup(const CzMove *move, const char *policy)
{
	Oid			argtypes[2] = {INT8OID, TEXTOID};
	Datum		values[2];

	values[0] = Int64GetDatum(move->move_id);
	values[1] = CStringGetTextDatum(policy);
	CzCatalogExec("DELETE FROM cz.cleanup WHERE move_id OPERATOR(pg_catalog.=) $1 AND policy OPERATOR(pg_catalog.=) $2",
				  2, argtypes, values, NULL);
}

/*
 * CzMoveDelayCleanup
 *		The old placement is to be dropped after this time.
 */
void
CzMoveDelayCleanup(const CzMove *move, int delay_ms)
{
	Oid			argtypes[2] = {INT8OID, FLOAT8OID};
	Datum		values[2];

	values[0] = Int64GetDatum(move->move_id);
	values[1] = Float8GetDatum(delay_ms / 1000.0);
	CzCatalogExec("UPDATE cz.cleanup SET not_before = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $2)"
				  " WHERE move_id OPERATOR(pg_catalog.=) $1 AND policy OPERATOR(pg_catalog.=) 'on_success'",
				  2, argtypes, values, NULL);
}

/*
 * CzMoveReadPieces
 *		The tables of a split, list of OIDs, and the ids of their shards that it has made.
 */
void
CzMoveReadPieces(const CzMove *move, List **relids, List **piece_ids)
{
	MemoryContext context = CurrentMemoryContext;
	uint64		i;

	*relids = *piece_ids = NIL;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf("SELECT t::int8, NULL FROM cz.move, pg_catalog.unnest(tables) t WHERE move_id OPERATOR(pg_catalog.=) " INT64_FORMAT
							 " UNION ALL SELECT NULL, p FROM cz.move, pg_catalog.unnest(piece_ids) p WHERE move_id OPERATOR(pg_catalog.=) " INT64_FORMAT,
							 move->move_id, move->move_id), true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.move");
	for (i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		int64	   *id = palloc(sizeof(int64));

		*id = int_column(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
		if (*id != 0)
			*piece_ids = lappend(*piece_ids, id);
		else
			*relids = lappend_oid(*relids, (Oid) int_column(SPI_tuptable->vals[i],
															SPI_tuptable->tupdesc, 1));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
}

/*
 * CzMovesNotEnded
 *		Numbers of those, also of who waits for nothing but its clean-up; palloc'd int64s.
 */
List *
CzMovesNotEnded(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;
	uint64		i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT move_id FROM cz.move WHERE phase OPERATOR(pg_catalog.<>) '" CZ_PHASE_DONE "' AND phase OPERATOR(pg_catalog.<>) '" CZ_PHASE_FAILED "' ORDER BY 1",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.move");
	for (i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		int64	   *id = palloc(sizeof(int64));

		*id = int_column(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		result = lappend(result, id);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return result;
}
