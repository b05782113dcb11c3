/*-------------------------------------------------------------------------
 *
 * truncate.c
 *	  TRUNCATE of foreign tables and of the shards of a distributed table.
 *
 * Core calls once for each server, with the tables whose (primary) server it is.
 * A shard's other placements are truncated in the same call, one command for
 * each worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/fdw.h"
#include "cz/metadata.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "fdw_int.h"

/* See CzFdwTruncateParts. */
static List *truncated_parts = NIL;

/* The tables of one worker. */
typedef struct CzTruncateTarget
{
	Oid			server_oid;
	StringInfoData names;		/* qualified, comma-separated */
} CzTruncateTarget;

static void
add_target(List **targets, Oid server_oid, const char *qualified_name)
{
	CzTruncateTarget *target = NULL;
	ListCell   *lc;

	foreach(lc, *targets)
	{
		if (((CzTruncateTarget *) lfirst(lc))->server_oid == server_oid)
			target = lfirst(lc);
	}
	if (target == NULL)
	{
		target = palloc0(sizeof(CzTruncateTarget));
		target->server_oid = server_oid;
		initStringInfo(&target->names);
		*targets = lappend(*targets, target);
	}
	appendStringInfo(&target->names, "%s%s", target->names.len > 0 ? ", " : "",
					 qualified_name);
}

static void
run_targets(List *targets, Oid user_oid, const char *suffix)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		CzTruncateTarget *target = lfirst(lc);
		char	   *sql = psprintf("TRUNCATE %s%s", target->names.data, suffix);

		CzTxnExec(target->server_oid, user_oid, sql);
	}
}

/*
 * CzFdwTruncateParts
 *		See fdw.h.
 */
void
CzFdwTruncateParts(List *relids)
{
	truncated_parts = relids;
}

/* What is to be truncated of a shard at a placement. */
static void
add_shard(List **targets, Oid server_oid, const CzShard *shard)
{
	Oid			parent_relid;
	const CzTable *parent;
	int			index = 0;
	ListCell   *lc;

	(void) CzIsShard(shard->relid, &parent_relid);
	parent = CzTableGet(parent_relid);
	if (truncated_parts == NIL || !OidIsValid(parent->map_relid) ||
		list_member_oid(truncated_parts, parent_relid))
	{
		add_target(targets, server_oid, shard->remote_qualified);
		return;
	}
	while (parent->shards[index].relid != shard->relid)
		index++;
	foreach(lc, truncated_parts)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table->root_relid == parent_relid)
			add_target(targets, server_oid, table->shards[index].remote_qualified);
	}
}

/*
 * A shard is truncated with its table, which the command has locked for that;
 * that lock tells the two apart.
 */
static void
check_shard_truncate(Relation rel, Oid parent_relid)
{
	LOCKTAG		tag;

	if (truncated_parts != NIL)
		return;
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, parent_relid);
	if (!cz_enable_shard_ddl && !LockHeldByMe_compat(&tag, AccessExclusiveLock))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot truncate shard \"%s\" directly",
						RelationGetRelationName(rel)),
				 errdetail("It is a part of distributed table \"%s\".",
						   get_rel_name(parent_relid)),
				 errhint("Truncate the distributed table.")));
}

static void
czExecForeignTruncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	Oid			user_oid = GetUserId();
	List	   *shard_targets = NIL;
	List	   *table_targets = NIL;
	const CzShard **shards = palloc(sizeof(CzShard *) * list_length(rels));
	int			nshards = 0;
	ListCell   *lc;
	int			i;

	foreach(lc, rels)
	{
		Relation	rel = lfirst(lc);
		const CzShard *shard = &CzFdwTable(rel)->shards[0];
		Oid			parent_relid;

		if (CzIsShard(RelationGetRelid(rel), &parent_relid))
		{
			check_shard_truncate(rel, parent_relid);
			shards[nshards++] = shard;
			continue;
		}

		if (!CzFdwBoolOption(GetForeignTable(RelationGetRelid(rel)), "truncatable", true))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("foreign table \"%s\" does not allow truncates",
							RelationGetRelationName(rel))));
		add_target(&table_targets, shard->server_oids[0], shard->remote_qualified);
	}

	CzTxnLockShardsLocally(shards, nshards, CZ_LOCK_EXCLUSIVE, true);
	for (i = 0; i < nshards; i++)
	{
		Oid		   *server_oids;
		int			nplacements;
		int			j;

		shards[i] = CzTxnEnterShard(CzShardFresh(shards[i]), false);
		nplacements = CzTxnWritePlacements(shards[i], user_oid, true, &server_oids);
		for (j = 0; j < nplacements; j++)
			add_shard(&shard_targets, server_oids[j], shards[i]);
	}
	if (nshards > 0)
		CzTxnLockShards(shards, nshards, user_oid, CZ_LOCK_EXCLUSIVE);

	/* Shards own no sequences, and no other table may go along with them. */
	run_targets(shard_targets, user_oid, "");
	run_targets(table_targets, user_oid,
				psprintf("%s%s",
						 restart_seqs ? " RESTART IDENTITY" : " CONTINUE IDENTITY",
						 behavior == DROP_CASCADE ? " CASCADE" : " RESTRICT"));
}

/*
 * CzFdwTruncateRoutine
 *		Fill in the callbacks of this file.
 */
void
CzFdwTruncateRoutine(FdwRoutine *routine)
{
	routine->ExecForeignTruncate = czExecForeignTruncate;
}
