/*-------------------------------------------------------------------------
 *
 * reference.c
 *	  Reference tables: an ordinary table here and a full copy on every worker.
 *
 * The table itself does not change.  An internal row trigger carries writes to
 * the copies (src/executor/replicate.c), an internal statement trigger carries
 * TRUNCATE, whichever statement caused it.  Both fire always, also in a session
 * that applies replicated changes.
 *
 * Adding a worker and making a reference table exclude each other by a lock on
 * cz.tables, so that no worker misses a copy.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/cluster.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(create_reference_table);
PG_FUNCTION_INFO_V1(cz_replicate_truncate);

/* An internal trigger "!cz_..." (its OID is appended) that fires always. */
static void
create_trigger(Oid relid, const char *name, const char *function, int16 events, bool is_row)
{
	CreateTrigStmt *stmt = makeNode(CreateTrigStmt);
	List	   *function_name = list_make2(makeString("cz"), makeString(pstrdup(function)));
	Oid			function_oid = LookupFuncName(function_name, 0, NULL, false);

	stmt->trigname = pstrdup(name);
	stmt->relation = makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
								  get_rel_name(relid), -1);
	stmt->funcname = function_name;
	stmt->row = is_row;
	stmt->timing = TRIGGER_TYPE_AFTER;
	stmt->events = events;
	(void) CreateTriggerFiringOn(stmt, NULL, relid, InvalidOid, InvalidOid, InvalidOid,
								 function_oid, InvalidOid, NULL, true, false,
								 TRIGGER_FIRES_ALWAYS);
}

/*
 * CzCreateReferenceTriggers
 *		What keeps the copies of a reference table equal.
 */
void
CzCreateReferenceTriggers(Oid relid)
{
	Oid			save_user;
	int			save_context;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	create_trigger(relid, "!cz_replicate", "replicate_row",
				   TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE, true);
	create_trigger(relid, "!cz_truncate", "replicate_truncate", TRIGGER_TYPE_TRUNCATE, false);
	SetUserIdAndSecContext(save_user, save_context);
	CommandCounterIncrement();
}

/* Create and fill the copy that shard describes on all its placements. */
static void
make_copy(Relation rel, CzShard *shard)
{
	Oid			owner = rel->rd_rel->relowner;
	CzTableDef *def = CzTableDefGet(rel);
	List	   *servers = CzPlannedServers(shard, 1);
	StringInfoData sql;
	int			i;

	CzEnsureShardSchema(servers, owner);
	CzPropagateObjects(RelationGetRelid(rel), servers, owner);
	initStringInfo(&sql);
	CzShardCreateSql(&sql, def, shard, NULL);
	CzTxnExecOnShard(shard, owner, sql.data);
	(void) CzMoveRows(rel, NULL, shard, owner);
	resetStringInfo(&sql);
	CzShardUncheckedSql(&sql, def, shard, false);
	CzShardIndexesSql(&sql, def, shard);
	if (sql.len > 0)
		CzTxnExecOnShard(shard, owner, sql.data);
	for (i = 0; i < shard->nplacements; i++)
	{
		char	   *grants = CzGrantsSql(RelationGetRelid(rel), shard->server_oids[i],
										 shard->remote_qualified);

		if (grants)
			CzTxnExec(shard->server_oids[i], owner, grants);
	}
}

/*
 * create_reference_table(table_name regclass)
 */
Datum
create_reference_table(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Relation	rel;
	CzKeyEnd	planned;
	CzShard		shard;
	List	   *nodes;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "table_name")));
	relid = PG_GETARG_OID(0);
	CzCheckTableOwner(relid);
	PreventCommandIfReadOnly("create_reference_table()");
	rel = CzOpenRelation(relid, AccessExclusiveLock);
	CzRefuseTenant(rel, "create_reference_table");
	CzCheckDistributable(rel, CZ_TABLE_REFERENCE);
	memset(&planned, 0, sizeof(planned));
	planned.relid = relid;
	planned.is_ours = true;
	planned.kind = CZ_TABLE_REFERENCE;
	CzCheckKeysOf(&planned);

	nodes = CzNodeList(true);
	if (nodes == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no active worker can take a copy of table \"%s\"",
						RelationGetRelationName(rel)),
				 errhint("Add one with citus_add_node(host, port) or CREATE SERVER ... FOREIGN DATA WRAPPER cz_fdw.")));
	foreach(lc, nodes)
		CzNodeCheck(((CzNode *) lfirst(lc))->server_oid);
	LockRelationOid(CzCatalogRelid("tables"), ShareRowExclusiveLock);

	memset(&shard, 0, sizeof(shard));
	shard.shard_id = CzNextShardId();
	shard.relid = relid;
	CzShardSetNames(&shard, RelationGetRelationName(rel), shard.shard_id);
	shard.server_oids = palloc(sizeof(Oid) * list_length(nodes));
	foreach(lc, nodes)
		shard.server_oids[shard.nplacements++] = ((CzNode *) lfirst(lc))->server_oid;

	make_copy(rel, &shard);
	relation_close(rel, NoLock);
	CzDebugPoint("reference-copied");

	CzCreateReferenceTriggers(relid);
	CzRegisterTable(relid, CZ_TABLE_REFERENCE, 0, shard.shard_id);
	CommandCounterIncrement();
	CzInvalidateTable(relid);
	CzKeysSettle(relid);
	CzAnalyzeLoaded(relid);
	PG_RETURN_VOID();
}

/*
 * CzReferenceCopyToNode
 *		See cluster.h.
 */
void
CzReferenceCopyToNode(Oid server_oid)
{
	ListCell   *lc;

	LockRelationOid(CzCatalogRelid("tables"), ShareRowExclusiveLock);
	foreach(lc, CzReferenceTableList())
		(void) CzReferenceCopyTable(lfirst_oid(lc), server_oid);
}

/*
 * Foreign keys (CzKey *) by which shards of a worker refer to a reference table, these
 * shards locked: who writes one needs the copy, when the copy's maker needs the shard.
 */
static List *
lock_referencing(Oid relid, Oid server_oid)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, CzKeysOnShards(relid, true))
	{
		CzKey	   *key = lfirst(lc);
		const CzTable *table = CzTableGet(key->from_relid);
		const CzShard **shards = palloc(sizeof(CzShard *) * Max(table->nshards, 1));
		int			n = 0;
		int			i;

		for (i = 0; i < table->nshards; i++)
		{
			if (CzShardIsActiveOn(&table->shards[i], server_oid))
				shards[n++] = &table->shards[i];
		}
		if (n > 0)
			CzTxnLockShardsLocally(shards, n, CZ_LOCK_EXCLUSIVE, true);
		keys = lappend(keys, key);
	}
	return keys;
}

/* Those of active placements; others get theirs with their repair. */
static void
add_keys(List *keys, Oid server_oid)
{
	ListCell   *lc;

	foreach(lc, keys)
	{
		const CzKey *key = lfirst(lc);
		const CzTable *table = CzTableGet(key->from_relid);
		StringInfoData sql;
		int			i;

		initStringInfo(&sql);
		for (i = 0; i < table->nshards; i++)
		{
			if (CzShardIsActiveOn(&table->shards[i], server_oid))
				CzKeyShardSql(&sql, key, i, false);
		}
		if (sql.len > 0)
			CzTxnExec(server_oid, CzRelationOwner(key->from_relid), sql.data);
	}
}

/*
 * CzReferenceCopyTable
 *		Make the copy of one reference table on a worker anew, while nobody writes to the
 *		table.  False if it is none any more.
 */
bool
CzReferenceCopyTable(Oid relid, Oid server_oid)
{
	Relation	rel = try_relation_open(relid, ShareRowExclusiveLock);
	const CzTable *table;
	CzShard		shard;
	List	   *keys;
	bool		is_reference;

	if (rel == NULL)
		return false;
	table = CzTableGet(relid);
	is_reference = table != NULL && table->kind == CZ_TABLE_REFERENCE;
	if (is_reference)
	{
		shard = table->shards[0];
		/* it is being made: neither locked nor left out */
		shard.table_relid = InvalidOid;
		shard.nall = 0;
		shard.nplacements = 1;
		shard.server_oids = &server_oid;
		keys = lock_referencing(relid, server_oid);
		/* one that the worker kept when it left the cluster is out of date */
		CzTxnExec(server_oid, rel->rd_rel->relowner,
				  psprintf("DROP TABLE IF EXISTS %s CASCADE", shard.remote_qualified));
		make_copy(rel, &shard);
		add_keys(keys, server_oid);
	}
	relation_close(rel, NoLock);
	return is_reference;
}

/*
 * cz_replicate_truncate
 *		Statement trigger: TRUNCATE of a reference table reaches its copies.
 */
Datum
cz_replicate_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	const CzTable *table;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"cz.replicate_truncate\" must be fired by a TRUNCATE trigger")));
	table = CzTableGet(RelationGetRelid(data->tg_relation));
	if (table != NULL && table->kind == CZ_TABLE_REFERENCE && table->shards[0].nplacements > 0)
	{
		const CzShard *shard = &table->shards[0];
		Oid			owner = data->tg_relation->rd_rel->relowner;

		CzTxnLockShard(shard, owner, CZ_LOCK_EXCLUSIVE);
		/* a worker would refuse TRUNCATE, though shards that refer to it have no rows any more */
		CzTxnExecOnShard(shard, owner,
						 psprintf("%s %s", CzShardsReferTo(table->relid, NULL) ? "DELETE FROM" :
								  "TRUNCATE", shard->remote_qualified));
	}
	return PointerGetDatum(NULL);
}
