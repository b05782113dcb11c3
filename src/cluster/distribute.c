/*-------------------------------------------------------------------------
 *
 * distribute.c
 *	  create_distributed_table.
 *
 * The order of steps: everything that can be refused is refused first; then the
 * workers get what the table needs, its shards and its rows, within the
 * distributed transaction; then the local table loses its storage and becomes
 * a partitioned parent, keeping its OID (convert.c), and its shards are attached
 * as foreign tables.  An error anywhere leaves all as it was.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/ddl.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/trust.h"
#include "distribute_int.h"


/* Shards in one command to a worker. */
#define SHARDS_AT_A_TIME 512

PG_FUNCTION_INFO_V1(create_distributed_table);
PG_FUNCTION_INFO_V1(create_distributed_table_concurrently);

static void
must_not_be_null(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

/* is_append: out: a range table whose shards are made by what is appended (append.c) */
static char
parse_method(const char *type, bool *is_append)
{
	*is_append = pg_strcasecmp(type, "append") == 0;
	if (*is_append || pg_strcasecmp(type, "range") == 0)
		return PARTITION_STRATEGY_RANGE;
	if (pg_strcasecmp(type, "hash") == 0)
		return PARTITION_STRATEGY_HASH;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid distribution type \"%s\"", type),
			 errhint("Valid types are \"hash\", \"range\" and \"append\".")));
	return 0;
}

/* Send each worker one command that concerns all its shards from one index to another. */
static void
run_for_some(const CzShard *shards, int from, int to, Oid owner, Relation rel,
			 const CzTableDef *def, const CzDistribution *dist, bool indexes)
{
	List	   *servers = CzPlannedServers(shards + from, to - from);
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, servers)
	{
		StringInfoData sql;
		int			i;
		int			j;

		initStringInfo(&sql);
		for (i = from; i < to; i++)
		{
			for (j = 0; j < shards[i].nplacements; j++)
			{
				if (shards[i].server_oids[j] != lfirst_oid(lc))
					continue;
				if (indexes)
				{
					CzShardUncheckedSql(&sql, def, &shards[i], false);
					CzShardIndexesSql(&sql, def, &shards[i]);
				}
				else
					CzShardCreateSql(&sql, def, &shards[i],
									 dist->method == PARTITION_STRATEGY_HASH ?
									 CzHashCheckSql(rel, dist, &shards[i]) : NULL);
			}
		}
		if (sql.len > 0)
		{
			CzTxnCommand *command = palloc(sizeof(CzTxnCommand));

			command->server_oid = lfirst_oid(lc);
			command->sql = sql.data;
			commands = lappend(commands, command);
		}
	}
	if (commands != NIL)
		CzTxnExecList(commands, owner);
}

/* The same for all shards, in portions that neither side must hold at once. */
static void
run_for_shards(const CzShard *shards, int nshards, Oid owner, Relation rel,
			   const CzTableDef *def, const CzDistribution *dist, bool indexes)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz shards",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			i;

	for (i = 0; i < nshards; i += SHARDS_AT_A_TIME)
	{
		CHECK_FOR_INTERRUPTS();
		run_for_some(shards, i, Min(i + SHARDS_AT_A_TIME, nshards), owner, rel, def, dist,
					 indexes);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * CzCreateLeaves
 *		Create the relations of all shards below a parent.
 */
void
CzCreateLeaves(Oid relid, CzShard *shards, const CzDistribution *dist)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz shard",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *leaves = NIL;
	int			i;

	for (i = 0; i < dist->shard_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		shards[i].relid = CzCreateShardRelation(relid, &shards[i], dist, NULL, NULL);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	for (i = 0; i < dist->shard_count; i++)
		leaves = lappend_oid(leaves, shards[i].relid);
	CzLeavesAttach(relid, leaves);
}

/* What its foreign keys must know of a table that is to be distributed. */
static void
check_keys(Relation rel, const CzDistribution *dist)
{
	CzKeyEnd	planned;

	memset(&planned, 0, sizeof(planned));
	planned.relid = RelationGetRelid(rel);
	planned.is_ours = true;
	planned.kind = dist->method == PARTITION_STRATEGY_HASH ? CZ_TABLE_HASH :
		dist->method == PARTITION_STRATEGY_RANGE ? CZ_TABLE_RANGE : CZ_TABLE_SINGLE;
	planned.colocation_id = dist->colocation_id;
	planned.key_attno = dist->key_attno;
	CzCheckKeysOf(&planned);
}

/*
 * CzLogReplicated
 *		An unlogged table's shards are logged where they have several placements: a worker's
 *		crash would empty one of these and leave the others.
 */
void
CzLogReplicated(CzTableDef *def, const char *table_name, const CzShard *shards, int nshards)
{
	int			i;

	for (i = 0; def->is_unlogged && i < nshards; i++)
	{
		if (shards[i].nplacements == 1)
			continue;
		def->is_unlogged = false;
		CzNoticeLogged(table_name);
	}
}

/* Have the tables of the group the placements that the new shards were made for? */
static void
check_placements(Relation rel, const CzShard *shards, int nshards, List *colocated)
{
	const CzTable *other = CzGroupMember(colocated);
	bool		is_same = other != NULL && other->nshards == nshards;
	int			i;
	int			j;

	for (i = 0; is_same && i < nshards; i++)
	{
		List	   *servers = CzShardServers(other->shards[i].relid);

		is_same = list_length(servers) == shards[i].nplacements;
		for (j = 0; is_same && j < shards[i].nplacements; j++)
			is_same = list_nth_oid(servers, j) == shards[i].server_oids[j];
	}
	if (colocated != NIL && !is_same)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("cannot distribute table \"%s\": shards of its colocation group have been moved meanwhile",
						RelationGetRelationName(rel)),
				 errhint("The command might succeed if retried.")));
}

/*
 * All of create_distributed_table for a hash or single-shard table after the checks.
 *
 * is_online: others write the table meanwhile; it is not locked exclusively yet.
 */
static void
distribute_hash(Relation rel, CzDistribution *dist, List *colocated, bool is_online)
{
	Oid			relid = RelationGetRelid(rel);
	Oid			owner = rel->rd_rel->relowner;
	CzShard    *shards;
	CzShard    *active;
	List	   *servers;
	CzTableDef *def;
	CzOnline   *online = NULL;
	Datum		options;
	uint64		nrows = 0;

	check_keys(rel, dist);
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		CzDistributeRoot(rel, dist, colocated);
		CzKeysSettle(relid);
		return;
	}
	shards = CzPlanHashShards(rel, dist, colocated);
	active = CzActivePlacements(shards, dist->shard_count);
	servers = CzPlannedServers(active, dist->shard_count);
	def = CzTableDefGet(rel);
	CzLogReplicated(def, RelationGetRelationName(rel), shards, dist->shard_count);
	options = CzTableOptions(relid);

	/* 1. the workers */
	CzEnsureShardSchema(servers, owner);
	CzPropagateObjects(relid, servers, owner);
	run_for_shards(active, dist->shard_count, owner, rel, def, dist, false);
	CzDebugPoint("distribute-created");
	if (is_online)
		online = CzOnlineBegin(rel, dist, active, owner);
	else
		nrows = CzMoveRows(rel, dist, active, owner);
	if (def->indexes != NIL || def->unchecked != NIL)
		run_for_shards(active, dist->shard_count, owner, rel, def, dist, true);
	if (is_online)
	{
		nrows = CzOnlineEnd(online);
		check_placements(rel, shards, dist->shard_count, colocated);
	}
	CzDebugPoint("distribute-loaded");

	/* 2. the catalogs here; the reference must not outlive the old form */
	table_close(rel, NoLock);
	CzConvertToPartitioned(relid, dist, (double) nrows);
	CzWarnIfPublished(relid);
	CzCreateLeaves(relid, shards, dist);
	CzRegisterTable(relid, dist->method == PARTITION_STRATEGY_HASH ? CZ_TABLE_HASH :
					CZ_TABLE_SINGLE, dist->colocation_id, 0);
	CommandCounterIncrement();
	CzCatalogSetOptions(relid, options);
	CzInvalidateTable(relid);
	CzPropagatePrivileges(relid, InvalidOid);
	CzKeysSettle(relid);
	/* others wait for what is online: the background worker analyzes it */
	if (nrows > 0 && !is_online)
		CzAnalyzeLoaded(relid);
	CzDebugPoint("distribute-converted");
}

/* A range table starts without shards. */
static void
distribute_range(Relation rel, CzDistribution *dist, bool is_append)
{
	Oid			relid = RelationGetRelid(rel);
	Datum		options;

	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute table \"%s\" by range: it is partitioned",
						RelationGetRelationName(rel)),
				 errhint("Distribute it by hash.")));
	check_keys(rel, dist);
	if (RelationGetNumberOfBlocks(rel) > 0)
	{
		TupleTableSlot *slot = table_slot_create(rel, NULL);
		TableScanDesc scan = table_beginscan_strat(rel, GetTransactionSnapshot(), 0, NULL,
												   true, false);
		bool		is_filled = table_scan_getnextslot(scan, ForwardScanDirection, slot);

		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
		if (is_filled)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot distribute table \"%s\" by range: it has rows",
							RelationGetRelationName(rel)),
					 is_append ? errhint("Distribute an empty table, then use cz_append_table().") :
					 errhint("Distribute an empty table, add shards with cz_create_range_shard(), then load the rows.")));
	}
	table_close(rel, NoLock);
	options = CzTableOptions(relid);
	CzConvertToPartitioned(relid, dist, 0);
	CzWarnIfPublished(relid);
	CzRegisterTable(relid, CZ_TABLE_RANGE, dist->colocation_id, 0);
	CommandCounterIncrement();
	if (is_append)
		CzSetAppend(relid);
	CzCatalogSetOptions(relid, options);
	CzInvalidateTable(relid);
}

/*
 * Make a table a single-shard table of a group, or (0) of the one that colocate_with says.
 * rel, locked, is closed.
 */
static void
distribute_single(Relation rel, int colocation_id, const char *colocate_with, bool is_online)
{
	CzDistribution dist;
	List	   *colocated;

	memset(&dist, 0, sizeof(dist));
	dist.method = PARTITION_STRATEGY_LIST;
	dist.shard_count = 1;
	dist.colocation_id = colocation_id;
	CzCheckDistributable(rel, CZ_TABLE_SINGLE);
	colocated = CzChooseColocation(rel, &dist, colocate_with, false);
	distribute_hash(rel, &dist, colocated, is_online);
}

/*
 * CzDistributeToGroup
 *		Make a table of a tenant's schema a single-shard table of the schema's group.
 */
void
CzDistributeToGroup(Oid relid, int colocation_id)
{
	distribute_single(CzOpenRelation(relid, AccessExclusiveLock), colocation_id, "none", false);
}

/*
 * Open a table that is to be distributed, which the user owns.
 *
 * is_online: in: others shall write it meanwhile; out: they can.
 */
static Relation
open_table(Oid relid, const char *function, bool *is_online)
{
	Relation	rel;

	/* check ownership before locking, so that other users cannot block the table */
	CzCheckTableOwner(relid);
	PreventCommandIfReadOnly(psprintf("%s()", function));
	rel = CzOpenRelation(relid, *is_online ? ShareUpdateExclusiveLock : AccessExclusiveLock);
	CzRefuseTenant(rel, function);
	if (*is_online && rel->rd_tableam != GetHeapamTableAmRoutine())
	{
		ereport(NOTICE,
				(errmsg("writers of table \"%s\" wait while it is distributed",
						RelationGetRelationName(rel)),
				 errdetail("It is %s.", rel->rd_rel->relkind == RELKIND_RELATION ?
						   "in an access method of its own" : "partitioned")));
		LockRelationOid(relid, AccessExclusiveLock);
		*is_online = false;
	}
	return rel;
}

/* Another session may choose a group meanwhile; one that is made is locked to the end. */
static void
unlock_groups(List *colocated)
{
	if (colocated != NIL)
		UnlockRelationOid(CzCatalogRelid("colocation"), ShareRowExclusiveLock);
}

/* create_distributed_table without a distribution column. */
static void
distribute_without_key(Oid relid, char method, bool has_shard_count, const char *colocate_with,
					   const char *function, bool is_online)
{
	Relation	rel;

	if (method != PARTITION_STRATEGY_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a table without distribution column has no distribution type")));
	if (has_shard_count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shard_count cannot be given for a table without distribution column"),
				 errdetail("Such a table has one shard.")));
	rel = open_table(relid, function, &is_online);
	distribute_single(rel, 0, colocate_with, is_online);
}

/* Both functions, of which these are the arguments. */
static void
create(FunctionCallInfo fcinfo, const char *function, bool is_online)
{
	CzDistribution dist;
	Relation	rel;
	char	   *column;
	char	   *colocate_with;
	char		method;
	bool		has_shard_count = !PG_ARGISNULL(4);
	bool		is_append = false;
	List	   *colocated;
	Oid			relid;

	must_not_be_null(fcinfo, 0, "table_name");
	column = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (column != NULL)
		must_not_be_null(fcinfo, 2, "distribution_type");
	relid = PG_GETARG_OID(0);
	method = PG_ARGISNULL(2) ? PARTITION_STRATEGY_HASH :
		parse_method(text_to_cstring(PG_GETARG_TEXT_PP(2)), &is_append);
	colocate_with = PG_ARGISNULL(3) ? "default" : text_to_cstring(PG_GETARG_TEXT_PP(3));

	memset(&dist, 0, sizeof(dist));
	if (column == NULL)
	{
		distribute_without_key(relid, method, has_shard_count, colocate_with, function, is_online);
		return;
	}
	dist.shard_count = has_shard_count ? PG_GETARG_INT32(4) : CzShardCount();
	if (dist.shard_count < 1 || dist.shard_count > CZ_MAX_SHARD_COUNT ||
		(dist.shard_count & (dist.shard_count - 1)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shard_count %d is not a power of two between 1 and %d",
						dist.shard_count, CZ_MAX_SHARD_COUNT)));
	if (method == PARTITION_STRATEGY_RANGE)
	{
		if (has_shard_count)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("shard_count cannot be given for a range-distributed table")));
		dist.shard_count = 0;
	}

	/* a range table is empty, and there is nothing to wait for */
	is_online = is_online && method == PARTITION_STRATEGY_HASH;
	rel = open_table(relid, function, &is_online);
	CzCheckDistributable(rel, CZ_TABLE_HASH);
	CzFindKey(rel, column, method, &dist);
	CzCheckUniqueKeys(rel, &dist);

	colocated = CzChooseColocation(rel, &dist, colocate_with, has_shard_count);
	if (is_online)
		unlock_groups(colocated);
	if (method == PARTITION_STRATEGY_HASH)
		distribute_hash(rel, &dist, colocated, is_online);
	else
		distribute_range(rel, &dist, is_append);
}

/*
 * create_distributed_table(table_name regclass, distribution_column text,
 *		distribution_type text, colocate_with text, shard_count int)
 */
Datum
create_distributed_table(PG_FUNCTION_ARGS)
{
	create(fcinfo, "create_distributed_table", false);
	PG_RETURN_VOID();
}

/*
 * create_distributed_table_concurrently
 *		The same; the table is read and written until the shards have its rows.
 */
Datum
create_distributed_table_concurrently(PG_FUNCTION_ARGS)
{
	/* the lock of the switch would be kept to the end of the block */
	PreventInTransactionBlock(true, "create_distributed_table_concurrently()");
	create(fcinfo, "create_distributed_table_concurrently", true);
	PG_RETURN_VOID();
}
