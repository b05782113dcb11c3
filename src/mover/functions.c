/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  The SQL functions that move and copy shards.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "cz/gone.h"
#include "cz/move.h"
#include "mover_int.h"

PG_FUNCTION_INFO_V1(citus_move_shard_placement);
PG_FUNCTION_INFO_V1(citus_move_shard_placement_with_nodeid);
PG_FUNCTION_INFO_V1(citus_copy_shard_placement);
PG_FUNCTION_INFO_V1(citus_copy_shard_placement_with_nodeid);

/*
 * CzMoveFindShard
 *		See mover_int.h.
 */
void
CzMoveFindShard(int64 shard_id, CzMoveSpec *spec)
{
	ListCell   *lc;
	ListCell   *lg;
	int			i;

	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			if (table->shards[i].shard_id != shard_id)
				continue;
			if (table->kind == CZ_TABLE_REFERENCE)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot move or split a copy of reference table \"%s\"",
								CzNameOf(table->relid)),
						 errdetail("Every worker has one.")));
			foreach(lg, table->colocation_id == 0 ? list_make1_oid(table->relid) :
					CzGroupTables(table->colocation_id))
			{
				if (!class_ownercheck_compat(lfirst_oid(lg), GetUserId()))
					aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, CzNameOf(lfirst_oid(lg)));
			}
			spec->relid = table->relid;
			spec->shard_index = i;
			spec->shard_id = shard_id;
			return;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("shard " INT64_FORMAT " does not exist", shard_id)));
}

static Oid
node_at(text *host, int port)
{
	CzNode	   *node = CzNodeFind(text_to_cstring(host), port, NULL);

	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no worker at \"%s:%d\"", text_to_cstring(host), port)));
	return node->server_oid;
}

/*
 * CzMoveNodeOfId
 *		See mover_int.h.
 */
Oid
CzMoveNodeOfId(int node_id)
{
	CzNode	   *node = CzNodeOfId(node_id);

	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no worker with id %d", node_id)));
	return node->server_oid;
}

/* source_oid: for a copy a node that has the shard. */
static void
transfer(int64 shard_id, Oid source_oid, Oid target_oid, Oid mode, CzMoveOperation operation)
{
	CzMoveSpec	spec;

	memset(&spec, 0, sizeof(spec));
	CzMoveFindShard(shard_id, &spec);
	if (operation == CZ_MOVE_COPY &&
		!list_member_oid(CzShardServers(CzTableGet(spec.relid)->shards[spec.shard_index].relid),
						 source_oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" has no placement of shard " INT64_FORMAT,
						CzNodeGet(source_oid)->name, shard_id)));
	spec.source_oid = source_oid;
	spec.target_oid = target_oid;
	spec.operation = operation;
	spec.mode = CzTransferModeOf(mode);
	CzMoveRun(&spec);
}

/*
 * citus_move_shard_placement
 */
Datum
citus_move_shard_placement(PG_FUNCTION_ARGS)
{
	transfer(PG_GETARG_INT64(0), node_at(PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2)),
			 node_at(PG_GETARG_TEXT_PP(3), PG_GETARG_INT32(4)), PG_GETARG_OID(5), CZ_MOVE_MOVE);
	PG_RETURN_VOID();
}

Datum
citus_move_shard_placement_with_nodeid(PG_FUNCTION_ARGS)
{
	transfer(PG_GETARG_INT64(0), CzMoveNodeOfId(PG_GETARG_INT32(1)), CzMoveNodeOfId(PG_GETARG_INT32(2)),
			 PG_GETARG_OID(3), CZ_MOVE_MOVE);
	PG_RETURN_VOID();
}

/*
 * citus_copy_shard_placement
 */
Datum
citus_copy_shard_placement(PG_FUNCTION_ARGS)
{
	transfer(PG_GETARG_INT64(0), node_at(PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2)),
			 node_at(PG_GETARG_TEXT_PP(3), PG_GETARG_INT32(4)), PG_GETARG_OID(5), CZ_MOVE_COPY);
	PG_RETURN_VOID();
}

Datum
citus_copy_shard_placement_with_nodeid(PG_FUNCTION_ARGS)
{
	transfer(PG_GETARG_INT64(0), CzMoveNodeOfId(PG_GETARG_INT32(1)), CzMoveNodeOfId(PG_GETARG_INT32(2)),
			 PG_GETARG_OID(3), CZ_MOVE_COPY);
	PG_RETURN_VOID();
}
