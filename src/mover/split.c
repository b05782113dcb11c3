/*-------------------------------------------------------------------------
 *
 * split.c
 *	  A shard becomes several: what is made, and how it gets its rows.
 *
 * It is a move with several targets.  Each piece of the shard, at each node that is to have
 * a placement of it, is a *part*: a CzMove by itself as far as tables, rows and rounds are
 * concerned, whose units go to tables with other names and take the rows that a filter lets
 * pass.  Changes are logged once, for all parts.  A part says by itself of which snapshot of
 * the source it is.  The switch is of all at once (split_switch.c).
 *
 * All tables of the colocation group are split together: shards with equal numbers are
 * those of equal bounds.
 *
 * After a crash before the switch all is undone.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/* A table of the group and its pieces. */
typedef struct CzSplitTable
{
	Oid			relid;
	CzShard    *shards;			/* [pieces] */
} CzSplitTable;

/* May the shards of this table be split?  Errors if not. */
static void
check_table(const CzTable *table, const CzShard *shard)
{
	const char *name = get_rel_name(table->relid);

	if (table->is_partitioned)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot split shards of partitioned table \"%s\", or of tables colocated with it",
						name),
				 errdetail("Its partitions have their own shards on the workers.")));
	if (shard->nplacements == 0 || shard->nplacements != shard->nall)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot split shard " INT64_FORMAT " of table \"%s\"", shard->shard_id, name),
				 errdetail("Not all of its placements are active."),
				 errhint("Use cz_repair_placements() or citus_activate_node().")));
}

/* Are the placements where the pieces have been made for? */
static void
check_placements(const CzMove *move, const CzShard *shard)
{
	if (OidIsValid(move->captured_oid) && move->captured_oid != shard->server_oids[0])
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the placement that is split is not the first one any more"),
				 errhint("The split might succeed if retried.")));
}

/*
 * CzSplitRead
 *		See mover_int.h.
 */
void
CzSplitRead(CzMove *move)
{
	const CzTable *first = CzTableGet(move->relid);
	ListCell   *lc;

	if (first == NULL || (first->kind != CZ_TABLE_HASH && first->kind != CZ_TABLE_RANGE) ||
		OidIsValid(first->root_relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the table whose shard is to be split is not distributed by a column")));
	move->shard_index = CzShardIndexOf(first, move->shard_id);
	if (move->shard_index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" has no shard " INT64_FORMAT " any more",
						get_rel_name(move->relid), move->shard_id)));
	move->colocation_id = first->colocation_id;
	foreach(lc, CzMoveGroupRelids(move))
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		const CzShard *shard;

		if (table == NULL || table->nshards != first->nshards)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("table \"%s\" does not have the same number of shards as its colocation group",
							get_rel_name(lfirst_oid(lc)))));
		shard = &table->shards[move->shard_index];
		if (shard->modulus != first->shards[move->shard_index].modulus ||
			shard->remainder != first->shards[move->shard_index].remainder)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("table \"%s\" does not have the same shards as its colocation group",
							get_rel_name(lfirst_oid(lc)))));
		check_table(table, shard);
	}
	check_placements(move, &first->shards[move->shard_index]);
	CzMoveReadTables(move);
	move->from_oid = first->shards[move->shard_index].server_oids[0];
}

/*
 * The placements of a piece: those of the shard; a node that it is to be on takes the place of
 * the first one, unless it has another one.
 */
static List *
piece_servers(const CzShard *shard, Oid server_oid)
{
	List	   *servers = CzShardServers(shard->relid);

	if (!OidIsValid(server_oid))
		return servers;
	if (list_member_oid(servers, server_oid))
		servers = list_delete_oid(servers, server_oid);
	else
		servers = list_delete_first(servers);
	return lcons_oid(server_oid, servers);
}

/* Ids and names for the pieces of a table. */
static CzSplitTable *
plan_table(CzMove *move, const CzMoveTable *from)
{
	const CzShard *shard = &CzTableGet(from->relid)->shards[move->shard_index];
	CzSplitTable *table = palloc0(sizeof(CzSplitTable));
	ListCell   *lc;
	ListCell   *ls;

	table->relid = from->relid;
	table->shards = palloc0(sizeof(CzShard) * list_length(move->pieces));
	foreach(lc, move->pieces)
	{
		const CzPiece *piece = lfirst(lc);
		CzShard    *to = &table->shards[foreach_current_index(lc)];

		to->shard_id = CzNextShardId();
		CzShardSetNames(to, get_rel_name(from->relid), to->shard_id);
		to->modulus = piece->modulus;
		to->remainder = piece->remainder;
		to->server_oids = palloc(sizeof(Oid) * shard->nall);
		foreach(ls, piece_servers(shard, piece->server_oid))
			to->server_oids[to->nplacements++] = lfirst_oid(ls);
	}
	return table;
}

static char *
helper_name(const CzMove *move, int number)
{
	return psprintf("cz_shards.cz_m" INT64_FORMAT "_h%d", move->move_id, number);
}

/* A table of a part: as the source's, but for where it goes. */
static CzMoveTable *
part_table(const CzMove *part, const CzMoveTable *from, int number, const CzShard *shard,
		   const CzPiece *piece)
{
	const CzTable *entry = CzTableGet(from->relid);
	CzMoveTable *table = palloc(sizeof(CzMoveTable));
	CzMoveUnit *unit = palloc(sizeof(CzMoveUnit));

	*table = *from;
	*unit = *(CzMoveUnit *) linitial(from->units);
	table->target = shard->remote_qualified;
	table->piece = shard;
	table->units = list_make1(unit);
	unit->target = shard->remote_qualified;
	unit->target_prefix = psprintf("%s_%d", unit->prefix, part->part);
	unit->key_column = pstrdup(quote_identifier(entry->column_names[entry->key_attno - 1]));
	unit->filter = CzPieceFilter(entry, piece, helper_name(part, number));
	return table;
}

/* The parts: those at the source first. */
static void
plan_parts(CzMove *move)
{
	CzSplitTable *first = linitial(move->split_tables);
	ListCell   *lc;
	ListCell   *lt;
	int			nparts = 0;
	int			j;

	move->parts = NIL;
	foreach(lc, move->pieces)
	{
		int			index = foreach_current_index(lc);
		const CzShard *shard = &first->shards[index];

		for (j = 0; j < shard->nplacements; j++)
		{
			CzMove	   *part = palloc(sizeof(CzMove));

			*part = *move;
			part->part = ++nparts;
			part->target_oid = shard->server_oids[j];
			part->whole = move;
			part->parts = part->pieces = part->tables = NIL;
			foreach(lt, move->tables)
			{
				int			number = foreach_current_index(lt);
				CzSplitTable *table = list_nth(move->split_tables, number);

				part->tables = lappend(part->tables,
									   part_table(part, lfirst(lt), number, &table->shards[index],
												  lfirst(lc)));
			}
			if (part->target_oid == move->from_oid)
				move->parts = lcons(part, move->parts);
			else
				move->parts = lappend(move->parts, part);
		}
	}
}

/*
 * CzMovePieceIds
 *		See mover_int.h.
 */
List *
CzMovePieceIds(const CzMove *move)
{
	List	   *ids = NIL;
	ListCell   *lc;
	int			i;

	foreach(lc, move->split_tables)
	{
		for (i = 0; i < list_length(move->pieces); i++)
			ids = lappend(ids, &((CzSplitTable *) lfirst(lc))->shards[i].shard_id);
	}
	return ids;
}

/* What a crash may leave. */
static void
expect_cleanup(const CzMove *move)
{
	bool		is_online = move->mode != CZ_TRANSFER_BLOCK_WRITES;
	List	   *servers = CzShardServers(((CzMoveTable *) linitial(move->tables))->shard_relid);
	ListCell   *lc;
	ListCell   *lp;
	ListCell   *ls;

	foreach(lp, move->parts)
	{
		const CzMove *part = lfirst(lp);

		foreach(lc, part->tables)
		{
			const CzMoveTable *table = lfirst(lc);

			CzMoveExpectCleanup(move, part->target_oid, table->owner, "table", table->target, NULL,
								"on_failure", CzMoveMarker(move));
		}
		foreach(lc, is_online ? CzMoveOwners(move) : NIL)
			CzMoveExpectCleanup(move, part->target_oid, lfirst_oid(lc), "table",
								CzMoveStateName(part, foreach_current_index(lc)), NULL, "always",
								NULL);
	}
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);
		const CzMoveUnit *unit = linitial(table->units);

		foreach(ls, servers)
			CzMoveExpectCleanup(move, lfirst_oid(ls), table->owner, "table", table->qualified, NULL,
								"on_success", CzMoveDroppedMarker(move));
		if (is_online)
			CzMoveExpectCleanup(move, move->from_oid, table->owner, "capture", unit->qualified,
								unit->prefix, "always", NULL);
		if (CzTableGet(table->relid)->kind == CZ_TABLE_HASH)
			CzMoveExpectCleanup(move, move->from_oid, table->owner, "table",
								helper_name(move, foreach_current_index(lc)), NULL, "always", NULL);
	}
	foreach(ls, servers)
	{
		foreach(lc, CzMoveOwners(move))
			CzMoveExpectCleanup(move, lfirst_oid(ls), lfirst_oid(lc), "capture", "",
								psprintf("cz_m" INT64_FORMAT "_o%d", move->move_id,
										 foreach_current_index(lc)), "on_success", NULL);
	}
}

/*
 * CzSplitPrepare
 *		See mover_int.h.
 */
void
CzSplitPrepare(CzMove *move)
{
	MemoryContext old;
	ListCell   *lc;

	CzMoveBegin();
	CzGateAwait();
	CzSplitRead(move);
	CzMoveCommit();
	CzMoveLockTables(move);
	CzMoveBegin();
	CzTxnRequireClear(move->from_oid, linitial_oid(CzMoveOwners(move)));
	CzMoveCheckAlone(move);
	foreach(lc, move->pieces)
	{
		if (OidIsValid(((CzPiece *) lfirst(lc))->server_oid))
			CzNodeCheck(((CzPiece *) lfirst(lc))->server_oid);
	}
	old = MemoryContextSwitchTo(move->context);
	foreach(lc, move->tables)
		move->split_tables = lappend(move->split_tables, plan_table(move, lfirst(lc)));
	plan_parts(move);
	MemoryContextSwitchTo(old);
	CzMoveInsert(move);
	move->phase = CZ_PHASE_PREPARING;
	expect_cleanup(move);
	CzMoveCommit();
	CzMoveNoteLeft();
	CzDebugPoint("move_begun");
}

static const CzPiece *
piece_of(const CzMove *part, const CzMoveTable *table)
{
	const CzMove *move = part->whole;
	ListCell   *lc;

	foreach(lc, move->split_tables)
	{
		const CzSplitTable *split = lfirst(lc);

		if (split->relid == table->relid)
			return list_nth(move->pieces, table->piece - split->shards);
	}
	elog(ERROR, "table %u has no pieces", table->relid);
}

/* The commands that make a piece, without indexes. */
static char *
make_sql(const CzMove *part, const CzMoveTable *table, Relation rel, CzConn *from)
{
	return CzPieceSql(rel, CzTableGet(table->relid), part->whole->shard_index, table->piece,
					  piece_of(part, table), part->target_oid, from);
}

/*
 * CzSplitMakeSql, CzSplitIndexesSql
 *		See mover_int.h.
 */
char *
CzSplitMakeSql(const CzMove *part, CzMoveTable *table, Relation rel, CzConn *from)
{
	char	   *result = make_sql(part, table, rel, from);
	char	   *indexes = CzSplitIndexesSql(table, rel);

	table->made_by = MemoryContextStrdup(part->context,
										 psprintf("%s%s", result, indexes ? indexes : ""));
	return result;
}

char *
CzSplitIndexesSql(const CzMoveTable *table, Relation rel)
{
	StringInfoData sql;

	initStringInfo(&sql);
	CzShardIndexesSql(&sql, CzTableDefGet(rel), table->piece);
	return sql.len > 0 ? sql.data : NULL;
}

/*
 * CzSplitCheckDefinition
 *		See mover_int.h.
 */
void
CzSplitCheckDefinition(const CzMove *move)
{
	ListCell   *lc;
	ListCell   *lt;

	foreach(lc, move->parts)
	{
		const CzMove *part = lfirst(lc);

		foreach(lt, part->tables)
		{
			const CzMoveTable *table = lfirst(lt);
			Relation	rel = table_open(table->relid, NoLock);
			char	   *indexes = CzSplitIndexesSql(table, rel);
			char	   *sql = psprintf("%s%s",
									   make_sql(part, table, rel,
												CzTxnConn(move->from_oid, table->owner, false)),
									   indexes ? indexes : "");

			table_close(rel, NoLock);
			if (strcmp(sql, table->made_by) != 0)
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("table \"%s\" was altered while its shard was split",
								get_rel_name(table->relid)),
						 errhint("The split might succeed if retried.")));
		}
	}
}

/*
 * CzSplitMakeTables
 *		See mover_int.h.
 */
void
CzSplitMakeTables(CzMove *move)
{
	ListCell   *lc;

	CzMoveBegin();
	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		if (CzTableGet(table->relid)->kind == CZ_TABLE_HASH)
			CzTxnExec(move->from_oid, table->owner,
					  CzPieceHelperSql(CzTableGet(table->relid), table->qualified,
									   helper_name(move, foreach_current_index(lc))));
	}
	foreach(lc, move->parts)
		CzMoveMakeTables(lfirst(lc));
	CzMoveNote(move, "bytes_total", CzMoveSourceSize(move));
	CzMoveCommit();
}

/*
 * CzSplitCopyRows
 *		See mover_int.h.  Rows of a piece that stays at the source do not leave it.
 */
void
CzSplitCopyRows(CzMove *part, bool is_locked)
{
	ListCell   *lc;
	ListCell   *lu;

	if (part->target_oid != part->from_oid)
	{
		CzMoveCopyRows(part, is_locked);
		part->whole->nbytes = part->nbytes;
		return;
	}
	foreach(lc, CzMoveOwners(part))
	{
		CzConn	   *conn = CzConnAcquire(CzEndpointGet(part->target_oid, lfirst_oid(lc)));
		List	   *units = CzMoveUnitsOf(part, lfirst_oid(lc));

		PQclear(CzConnExec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = on"));
		if (!is_locked)
		{
			PGresult   *res = CzConnQuery(conn, "SELECT pg_catalog.pg_current_snapshot()", 1, 1, 1);
			char	   *snapshot = pstrdup(PQgetvalue(res, 0, 0));

			PQclear(res);
			CzMoveStateWrite(part, conn, foreach_current_index(lc), units, snapshot);
		}
		foreach(lu, units)
		{
			const CzMoveUnit *unit = lfirst(lu);

			if (unit->columns != NULL)
				PQclear(CzConnExec(conn, psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM ONLY %s WHERE %s",
												  unit->target, unit->columns, unit->columns,
												  unit->qualified,
												  CzMoveFilter(unit, "", false))));
		}
		CzDebugPoint("move_copied");
		PQclear(CzConnExec(conn, "COMMIT"));
		CzConnRelease(conn);
	}
}

static void
set_phase(CzMove *move, const char *phase)
{
	CzMoveBegin();
	CzMoveSetPhase(move, phase);
	CzMoveCommit();
}

static void
copy_step(CzMove *part)
{
	StartTransactionCommand();
	CzSplitCopyRows(part, false);
	CommitTransactionCommand();
}

/*
 * CzSplitBringOver
 *		See mover_int.h.
 */
void
CzSplitBringOver(CzMove *move)
{
	ListCell   *lc;

	CzMoveBegin();
	foreach(lc, move->parts)
		CzMoveMakeStates(lfirst(lc));
	CzMoveCommit();
	CzMoveCaptureBegin(move);
	set_phase(move, CZ_PHASE_COPYING);
	foreach(lc, move->parts)
	{
		CzMove	   *part = lfirst(lc);

		CzMoveGiveWay(move);
		part->captured_oid = move->captured_oid;
		part->nbytes = move->nbytes;
		CzMoveRepeat(part, copy_step);
	}
	set_phase(move, CZ_PHASE_INDEXING);
	CzDebugPoint("move_rows_copied");
	foreach(lc, move->parts)
	{
		CzMoveGiveWay(move);
		CzMoveMakeIndexes(lfirst(lc));
	}
	set_phase(move, CZ_PHASE_CATCHING_UP);
	CzDebugPoint("move_indexed");
}

/*
 * CzSplitCatchUp
 *		See mover_int.h.
 */
void
CzSplitCatchUp(CzMove *move)
{
	ListCell   *lc;

	foreach(lc, move->parts)
		CzMoveCatchUp(lfirst(lc));
	/* the first one is as old as it took to bring the others up to date */
	if (list_length(move->parts) > 1)
		CzMoveCatchUp(linitial(move->parts));
}

/*
 * CzSplitSetCatalogs
 *		See mover_int.h.
 */
void
CzSplitSetCatalogs(CzMove *move)
{
	ListCell   *lc;
	ListCell   *lt;

	foreach(lc, move->split_tables)
	{
		const CzSplitTable *table = lfirst(lc);

		CzPiecesAttach(table->relid, move->shard_index, table->shards, move->pieces);
	}
	/* the pieces have numbers now, by which keys find what they refer to */
	foreach(lc, move->parts)
	{
		CzMove	   *part = lfirst(lc);

		foreach(lt, part->tables)
		{
			const CzMoveTable *table = lfirst(lt);
			int			index = CzShardIndexOf(CzTableGet(table->relid), table->piece->shard_id);

			if (index < 0 || (lt != list_head(part->tables) && index != part->shard_index))
				elog(ERROR, "pieces of table \"%s\" are not in the order of its group",
					 get_rel_name(table->relid));
			part->shard_index = index;
		}
	}
}

/*
 * CzSplitFinish
 *		See mover_int.h.  By what the catalogs say.
 */
void
CzSplitFinish(CzMove *move)
{
	List	   *relids;
	List	   *piece_ids;
	ListCell   *lc;
	ListCell   *li;
	int			i;

	CzMoveReadPieces(move, &relids, &piece_ids);
	foreach(lc, relids)
	{
		const CzTable *table = SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(lc))) ?
			CzTableGet(lfirst_oid(lc)) : NULL;

		foreach(li, table != NULL ? piece_ids : NIL)
		{
			int			index = CzShardIndexOf(table, *(int64 *) lfirst(li));
			CzMove		part = *move;
			CzMoveTable target;

			for (i = 0; index >= 0 && i < table->shards[index].nplacements; i++)
			{
				memset(&target, 0, sizeof(target));
				target.relid = table->relid;
				target.owner = CzRelationOwner(table->relid);
				target.target = table->shards[index].remote_qualified;
				part.tables = list_make1(&target);
				part.shard_index = index;
				part.target_oid = table->shards[index].server_oids[i];
				CzMoveFinishTarget(&part);
			}
		}
	}
}
