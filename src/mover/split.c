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
#include "catalog/pg_inherits.h"
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

static const CzPiece *
piece_of(const CzMove *part, const CzMoveTable *table)
{
	const CzMove *move = part->whole;
	ListCell   *lc;

	foreach(lc, move->split_tables)
	{
		const CzPieceTable *split = lfirst(lc);

		if (split->relid == table->relid)
			return list_nth(move->pieces, table->piece - split->shards);
	}
	elog(ERROR, "table %u has no pieces", table->relid);
}

/* The commands that make a piece, without indexes. */
static char *
make_sql(const CzMove *part, const CzMoveTable *table, Relation rel, CzConn *from)
{
	return CzPieceSql(rel, CzTableGet(table->relid), part->whole->shard_index, table->piece_tree,
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
	if (table->is_partitioned)
		CzTreeUncheckedSql(&sql, table->piece_tree, false);
	else
		CzShardUncheckedSql(&sql, CzTableDefGet(rel), table->piece, false);
	CzShardIndexesSql(&sql, CzTableDefGet(rel), table->piece);
	if (table->is_partitioned)
		CzAttachIndexesSql(&sql, table->piece_tree);
	return sql.len > 0 ? sql.data : NULL;
}

/* Has a table other partitions than there are pieces for? */
static bool
has_other_partitions(const CzMoveTable *table)
{
	List	   *relids = table->is_partitioned ?
		find_all_inheritors(table->relid, NoLock, NULL) : list_make1_oid(table->relid);
	ListCell   *lc;

	if (list_length(relids) != list_length(table->piece_tree))
		return true;
	foreach(lc, table->piece_tree)
	{
		if (!list_member_oid(relids, ((const CzTreeShard *) lfirst(lc))->relid))
			return true;
	}
	return false;
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
			char	   *indexes;
			char	   *sql = NULL;

			if (!has_other_partitions(table))
			{
				indexes = CzSplitIndexesSql(table, rel);
				sql = psprintf("%s%s",
							   make_sql(part, table, rel,
										CzTxnConn(move->from_oid, table->owner, false)),
							   indexes ? indexes : "");
			}
			table_close(rel, NoLock);
			if (sql == NULL || strcmp(sql, table->made_by) != 0)
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
									   CzSplitHelperName(move, foreach_current_index(lc))));
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
		CzPiecesAttach(lfirst(lc), move->shard_index, move->pieces);
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
