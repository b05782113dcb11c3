/*-------------------------------------------------------------------------
 *
 * split_plan.c
 *	  A shard becomes several: which ones, where they go, and what is written down first.
 *
 * All tables of the colocation group are split together: shards with equal numbers are
 * those of equal bounds.  A table that its user has partitioned has a piece of its own for
 * each partition, too, under a number of its own.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "mover_int.h"

/*
 * CzSplitRelids
 *		See mover_int.h.
 */
List *
CzSplitRelids(List *relids)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, relids)
	{
		result = lappend_oid(result, lfirst_oid(lc));
		result = list_concat(result, CzRootPartitions(lfirst_oid(lc)));
	}
	return result;
}

/* May the shards of this table be split?  Errors if not. */
static void
check_table(const CzTable *table, const CzShard *shard)
{
	if (shard->nplacements == 0 || shard->nplacements != shard->nall)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot split shard " INT64_FORMAT " of table \"%s\"", shard->shard_id,
						get_rel_name(table->relid)),
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

/* Ids and names for the pieces of a root, or of a partition of one. */
static CzPieceTable *
name_pieces(CzMove *move, Oid relid)
{
	const CzShard *shard = &CzTableGet(relid)->shards[move->shard_index];
	CzPieceTable *table = palloc0(sizeof(CzPieceTable));
	ListCell   *lc;
	ListCell   *ls;

	table->relid = relid;
	table->shards = palloc0(sizeof(CzShard) * list_length(move->pieces));
	foreach(lc, move->pieces)
	{
		const CzPiece *piece = lfirst(lc);
		CzShard    *to = &table->shards[foreach_current_index(lc)];

		to->shard_id = CzNextShardId();
		CzShardSetNames(to, get_rel_name(relid), to->shard_id);
		to->modulus = piece->modulus;
		to->remainder = piece->remainder;
		to->server_oids = palloc(sizeof(Oid) * shard->nall);
		foreach(ls, piece_servers(shard, piece->server_oid))
			to->server_oids[to->nplacements++] = lfirst_oid(ls);
	}
	return table;
}

/* The pieces of a table of the group, and of its partitions. */
static CzPieceTable *
plan_table(CzMove *move, const CzMoveTable *from)
{
	CzPieceTable *table = name_pieces(move, from->relid);
	ListCell   *lc;

	foreach(lc, from->is_partitioned ?
			find_all_inheritors(from->relid, AccessShareLock, NULL) : NIL)
	{
		if (lfirst_oid(lc) != from->relid)
			table->partitions = lappend(table->partitions, name_pieces(move, lfirst_oid(lc)));
	}
	return table;
}

/*
 * CzSplitHelperName
 *		See mover_int.h.
 */
char *
CzSplitHelperName(const CzMove *move, int number)
{
	return psprintf("cz_shards.cz_m" INT64_FORMAT "_h%d", move->move_id, number);
}

/* Piece number index of a table and of its partitions: CzTreeShard *. */
static List *
tree_of_piece(const CzPieceTable *table, int index)
{
	List	   *tree = NIL;
	CzTreeShard *node = palloc(sizeof(CzTreeShard));
	ListCell   *lc;

	node->relid = table->relid;
	node->shard = &table->shards[index];
	tree = lappend(tree, node);
	foreach(lc, table->partitions)
		tree = list_concat(tree, tree_of_piece(lfirst(lc), index));
	return tree;
}

/* What is copied of a table, or of a partition, to the piece that it has in a tree. */
static CzMoveUnit *
part_unit(const CzMove *part, const CzMoveUnit *from, const List *tree)
{
	const CzTable *entry = CzTableGet(from->relid);
	CzMoveUnit *unit = palloc(sizeof(CzMoveUnit));

	*unit = *from;
	unit->target = CzTreeShardOf(tree, from->relid)->remote_qualified;
	unit->target_prefix = psprintf("%s_%d", unit->prefix, part->part);
	unit->key_column = pstrdup(quote_identifier(entry->column_names[entry->key_attno - 1]));
	return unit;
}

/* A table of a part: as the source's, but for where it goes. */
static CzMoveTable *
part_table(const CzMove *part, const CzMoveTable *from, int number, const CzPieceTable *split,
		   int index)
{
	CzMoveTable *table = palloc(sizeof(CzMoveTable));
	ListCell   *lc;

	*table = *from;
	table->piece_tree = tree_of_piece(split, index);
	table->piece = &split->shards[index];
	table->target = table->piece->remote_qualified;
	table->units = NIL;
	foreach(lc, from->units)
	{
		CzMoveUnit *unit = part_unit(part, lfirst(lc), table->piece_tree);

		unit->filter = CzPieceFilter(CzTableGet(from->relid), list_nth(part->whole->pieces, index),
									 CzSplitHelperName(part, number));
		table->units = lappend(table->units, unit);
	}
	return table;
}

/* The parts: those at the source first. */
static void
plan_parts(CzMove *move)
{
	CzPieceTable *first = linitial(move->split_tables);
	ListCell   *lt;
	int			nparts = 0;
	int			index;
	int			j;

	move->parts = NIL;
	for (index = 0; index < list_length(move->pieces); index++)
	{
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

				part->tables = lappend(part->tables,
									   part_table(part, lfirst(lt), number,
												  list_nth(move->split_tables, number), index));
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
			ids = lappend(ids, &((CzPieceTable *) lfirst(lc))->shards[i].shard_id);
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
	ListCell   *lu;

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

		foreach(ls, servers)
			CzMoveExpectCleanup(move, lfirst_oid(ls), table->owner, "table", table->qualified, NULL,
								"on_success", CzMoveDroppedMarker(move));
		foreach(lu, is_online ? table->units : NIL)
		{
			const CzMoveUnit *unit = lfirst(lu);

			CzMoveExpectCleanup(move, move->from_oid, table->owner, "capture", unit->qualified,
								unit->prefix, "always", NULL);
		}
		if (CzTableGet(table->relid)->kind == CZ_TABLE_HASH)
			CzMoveExpectCleanup(move, move->from_oid, table->owner, "table",
								CzSplitHelperName(move, foreach_current_index(lc)), NULL, "always", NULL);
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
