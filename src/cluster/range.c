/*-------------------------------------------------------------------------
 *
 * range.c
 *	  Shards of range-distributed tables: cz_create_range_shard, and what append.c makes.
 *
 * Bounds are texts in one form, that of pinned settings, from the moment on at which they
 * come in: the coordinator's partition and the worker's CHECK must mean the same value
 * whatever the DateStyle of either session.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/cluster.h"
#include "cz/compat.h"
#include "cz/ddl.h"
#include "cz/errors.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/trust.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(cz_create_range_shard);

#define BOUND_PINS (CZ_PIN_TEXT | CZ_PIN_MONEY | CZ_PIN_DATE_ORDER)

/*
 * CzCheckMayReadBounds
 *		See cz/cluster.h.
 */
void
CzCheckMayReadBounds(const CzTable *table)
{
	if (!superuser() && CzTypeRunsCode(table->key_type))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to create a shard whose bounds are of type %s",
						format_type_be(table->key_type)),
				 errdetail("Functions of a domain or a range are called when the bounds are read.")));
}

/*
 * CzOpenRangeTable
 *		See distribute_int.h.
 *
 * Errors: 42501, 55000 if it is none, 55006 if it is in use, 25006.
 */
const CzTable *
CzOpenRangeTable(Oid relid, const char *function)
{
	const CzTable *table;
	Relation	rel;

	/* check ownership before locking, so that other users cannot block the table */
	CzCheckTableOwner(relid);
	PreventCommandIfReadOnly(function);
	rel = CzOpenRelation(relid, AccessExclusiveLock);
	table = CzTableGet(relid);
	if (table == NULL || table->kind != CZ_TABLE_RANGE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed by range",
						RelationGetRelationName(rel))));
	CheckTableNotInUse(rel, function);
	CzCheckMayReadBounds(table);
	table_close(rel, NoLock);
	return table;
}

/* A new shard of a table gets its foreign keys. */
static void
send_keys(Oid relid, int64 shard_id)
{
	const CzTable *table = CzTableGet(relid);
	List	   *keys = CzKeysOnShards(relid, false);
	StringInfoData sql;
	ListCell   *lc;
	int			index = 0;

	while (index < table->nshards && table->shards[index].shard_id != shard_id)
		index++;
	initStringInfo(&sql);
	foreach(lc, index < table->nshards ? keys : NIL)
		CzKeyShardSql(&sql, lfirst(lc), index, false);
	if (sql.len > 0)
		CzTxnExecOnShard(&table->shards[index], CzRelationOwner(relid), sql.data);
}

/*
 * CzPlanRangeShard
 *		The servers of a new shard, OIDs: one after the other, from the one on that follows
 *		from how many shards there are and offset.
 */
List *
CzPlanRangeShard(const CzTable *table, int offset)
{
	List	   *nodes = CzUsableNodes();
	int			n = CzReplicationFactor() > 0 ? CzReplicationFactor() : 2;
	List	   *result = NIL;
	int			i;

	n = Min(n, list_length(nodes));
	for (i = 0; i < n; i++)
		result = lappend_oid(result,
							 ((CzNode *) list_nth(nodes, (table->nshards + offset + i) %
												  list_length(nodes)))->server_oid);
	return result;
}

/*
 * CzRangeText
 *		See distribute_int.h.
 */
char *
CzRangeText(const CzTable *table, const char *text)
{
	Oid			function;
	Oid			ioparam;

	if (text == NULL)
		return NULL;
	getTypeInputInfo(table->key_type, &function, &ioparam);
	return CzRangeValueText(table, OidInputFunctionCall(function, (char *) text, ioparam,
														table->key_typmod));
}

/*
 * CzRangeValueText
 *		See distribute_int.h.
 */
char *
CzRangeValueText(const CzTable *table, Datum value)
{
	int			nestlevel = CzPinTextSettings(BOUND_PINS);
	Oid			function;
	bool		is_varlena;
	char	   *result;

	getTypeOutputInfo(table->key_type, &function, &is_varlena);
	result = OidOutputFunctionCall(function, value);
	CzUnpinTextSettings(nestlevel);
	return result;
}

/*
 * CzRangeValue
 *		See distribute_int.h.
 */
Datum
CzRangeValue(const CzTable *table, const char *text)
{
	int			nestlevel = CzPinTextSettings(BOUND_PINS);
	Oid			function;
	Oid			ioparam;
	Datum		result;

	getTypeInputInfo(table->key_type, &function, &ioparam);
	result = OidInputFunctionCall(function, (char *) text, ioparam, table->key_typmod);
	CzUnpinTextSettings(nestlevel);
	return result;
}

/*
 * CzRangeBoundTexts
 *		See distribute_int.h.
 */
void
CzRangeBoundTexts(const CzTable *table, int index, char **min, char **max)
{
	int			nestlevel = CzPinTextSettings(BOUND_PINS);

	CzShardBounds(table, index, min, max);
	CzUnpinTextSettings(nestlevel);
}

/*
 * CzAddRangeShard
 *		See distribute_int.h.  Errors: core's of bounds that are wrong or overlap.
 */
int64
CzAddRangeShard(Oid relid, int64 shard_id, const char *min, const char *max, List *server_oids)
{
	const CzTable *table = CzTableGet(relid);
	Relation	rel = table_open(relid, NoLock);
	Oid			owner = CzRelationOwner(relid);
	CzDistribution dist;
	CzShard		shard;
	CzTableDef *def;
	StringInfoData sql;
	ListCell   *lc;
	int			nestlevel;
	Oid			leaf;

	memset(&dist, 0, sizeof(dist));
	dist.method = PARTITION_STRATEGY_RANGE;
	dist.key_attno = table->key_attno;
	dist.key_type = table->key_type;
	dist.key_collation = table->key_collation;
	if (server_oids == NIL)
		server_oids = CzPlanRangeShard(table, 0);

	memset(&shard, 0, sizeof(shard));
	shard.shard_id = shard_id;
	CzShardSetNames(&shard, RelationGetRelationName(rel), shard.shard_id);
	shard.server_oids = palloc(sizeof(Oid) * list_length(server_oids));
	foreach(lc, server_oids)
		shard.server_oids[shard.nplacements++] = lfirst_oid(lc);

	/* core checks the bounds: do that before the workers hear of it */
	def = CzTableDefGet(rel);
	CzLogReplicated(def, RelationGetRelationName(rel), &shard, 1);
	nestlevel = CzPinTextSettings(BOUND_PINS);
	initStringInfo(&sql);
	CzShardCreateSql(&sql, def, &shard, CzRangeCheckSql(rel, &dist, min, max));
	CzShardUncheckedSql(&sql, def, &shard, false);
	CzShardIndexesSql(&sql, def, &shard);
	table_close(rel, NoLock);
	leaf = CzCreateShardRelation(relid, &shard, &dist, min, max);
	CzUnpinTextSettings(nestlevel);
	CzLeavesAttach(relid, list_make1_oid(leaf));

	CzEnsureShardSchema(server_oids, owner);
	CzPropagateObjects(relid, server_oids, owner);
	CzTxnExecOnShard(&shard, owner, sql.data);
	CzInvalidateTable(relid);
	send_keys(relid, shard.shard_id);
	CzPropagatePrivileges(relid, InvalidOid);
	return shard.shard_id;
}

/*
 * CzMoveRangeBounds
 *		See distribute_int.h.  The workers check the rows.
 */
void
CzMoveRangeBounds(Oid relid, int64 shard_id, const char *min, const char *max)
{
	const CzTable *table = CzTableGet(relid);
	Relation	rel = table_open(relid, NoLock);
	const CzShard *shard = NULL;
	CzDistribution dist;
	char	   *check;
	int			nestlevel;
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].shard_id == shard_id)
			shard = &table->shards[i];
	}
	if (shard == NULL)
		elog(ERROR, "table %u has no shard " INT64_FORMAT, relid, shard_id);
	CzTableDistribution(table, &dist);
	nestlevel = CzPinTextSettings(BOUND_PINS);
	check = CzRangeCheckSql(rel, &dist, min, max);
	table_close(rel, NoLock);
	CzLeafSetBound(relid, shard->relid, CzRangeBound(min, max));
	CzUnpinTextSettings(nestlevel);
	CzTxnExecOnShard(shard, CzRelationOwner(relid),
					 psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS " CZ_SHARD_CONSTRAINT "%s%s",
							  shard->remote_qualified, check ? ", ADD " : "",
							  check ? check : ""));
	CzInvalidateTable(relid);
}

/*
 * cz_create_range_shard(table_name regclass, min text, max text)
 *		Add a shard for [min, max) to a range-distributed table; returns its id.  NULL:
 *		no bound.
 */
Datum
cz_create_range_shard(PG_FUNCTION_ARGS)
{
	const CzTable *table;
	Oid			relid;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "table_name")));
	relid = PG_GETARG_OID(0);
	table = CzOpenRangeTable(relid, "cz_create_range_shard()");
	PG_RETURN_INT64(CzAddRangeShard(relid, CzNextShardId(),
									CzRangeText(table, PG_ARGISNULL(1) ? NULL :
												text_to_cstring(PG_GETARG_TEXT_PP(1))),
									CzRangeText(table, PG_ARGISNULL(2) ? NULL :
												text_to_cstring(PG_GETARG_TEXT_PP(2))),
									NIL));
}
