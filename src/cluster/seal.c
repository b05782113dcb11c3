/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  Sealed shards: cz_seal_shard, cz_unseal_shard.
 *
 * The least and the greatest key of a shard become a CHECK of all its placements, cz_seal,
 * and a row of cz.sealed_shards.  As the workers enforce the one, for whoever writes, the
 * planner may leave out the shard by the other (planner/locus/prune.c).  The two change in
 * one distributed transaction.  The row is not dumped: a restored coordinator would believe
 * what may have been broken since.
 *
 * Who writes a row outside does not know of the seal, so it is removed first
 * (executor/admit.c): by a background worker, which commits; or in the transaction, where
 * that has used the shard's nodes and a background worker might wait for it.  Rows that are
 * computed on the workers, and what comes while the seal is made, are refused there: that is
 * 40001, and a background worker removes the seal, so that the transaction succeeds when it
 * is retried.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "cz/cluster.h"
#include "cz/ddl.h"
#include "cz/errors.h"
#include "cz/gone.h"
#include "cz/seal.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/trust.h"
#include "distribute_int.h"

/* How long a session that writes outside of a seal waits for who has locks of the shard */
#define UNSEAL_TIMEOUT_MS 1000
/* And a transaction that does so itself, with locks of its own */
#define UNSEAL_HERE_TIMEOUT_MS 200

PG_FUNCTION_INFO_V1(cz_seal_shard);
PG_FUNCTION_INFO_V1(cz_unseal_shard);

static int
index_of(const CzTable *table, int64 shard_id)
{
	int			i;

	for (i = 0; table != NULL && i < table->nshards; i++)
	{
		if (table->shards[i].shard_id == shard_id)
			return i;
	}
	return -1;
}

/* The table of a shard, InvalidOid: there is none. */
static Oid
table_of(int64 shard_id)
{
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		if (index_of(CzTableGet(lfirst_oid(lc)), shard_id) >= 0)
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

static void
refuse(const CzTable *table, int sqlstate, const char *detail)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("cannot seal a shard of table \"%s\"", CzNameOf(table->relid)),
			 errdetail("%s", detail)));
}

/* The caller's own shard, its table locked against DDL; else an error. */
static const CzTable *
open_shard(int64 shard_id, const char *function, int *index)
{
	Oid			relid = table_of(shard_id);
	const CzTable *table;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("shard " INT64_FORMAT " does not exist", shard_id)));
	CzCheckTableOwner(relid);
	PreventCommandIfReadOnly(function);
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	table = CzTableGet(relid);
	*index = index_of(table, shard_id);
	if (*index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("shard " INT64_FORMAT " does not exist", shard_id)));
	return table;
}

/* Can what a worker compares be compared here, with the same result? */
static void
check_key(const CzTable *table)
{
	if ((table->kind != CZ_TABLE_HASH && table->kind != CZ_TABLE_RANGE) || table->key_attno <= 0)
		refuse(table, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "It has no distribution column.");
	if (OidIsValid(table->map_relid))
		refuse(table, ERRCODE_FEATURE_NOT_SUPPORTED, "It is partitioned.");
	if (!OidIsValid(lookup_type_cache(table->key_type, TYPECACHE_LT_OPR)->lt_opr))
		refuse(table, ERRCODE_FEATURE_NOT_SUPPORTED, "The type of its distribution column has no order.");
	if (CzTypeRunsCode(table->key_type))
		refuse(table, ERRCODE_FEATURE_NOT_SUPPORTED,
			   "Reading values of its distribution column runs functions of a domain or a range.");
	if (OidIsValid(table->key_collation) && !collate_is_c_compat(table->key_collation))
		refuse(table, ERRCODE_FEATURE_NOT_SUPPORTED,
			   "Its distribution column has another collation than C, by which a worker may sort otherwise.");
}

/*
 * CzSealSql
 *		See distribute_int.h.
 */
char *
CzSealSql(const CzTable *table, int index, const char *min, const char *max)
{
	const char *column = quote_identifier(table->column_names[table->key_attno - 1]);
	const char *type = format_type_extended(table->key_type, -1, FORMAT_TYPE_FORCE_QUALIFY);

	return psprintf("ALTER TABLE %s ADD CONSTRAINT " CZ_SEAL_CONSTRAINT " CHECK (%s >= %s::%s AND %s <= %s::%s)",
					table->shards[index].remote_qualified, column, quote_literal_cstr(min), type,
					column, quote_literal_cstr(max), type);
}

/* Forget that a shard is sealed; false: it was not. */
static bool
delete_row(int64 shard_id)
{
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(shard_id)};

	return CzCatalogExec("DELETE FROM cz.sealed_shards WHERE shard_id OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, NULL) > 0;
}

/*
 * CzUnseal
 *		See distribute_int.h.
 */
void
CzUnseal(const CzTable *table, int index)
{
	const CzShard *shard = &table->shards[index];

	/* writers begin with the first placement, too */
	if (shard->nplacements > 1)
		CzTxnExec(shard->server_oids[0], CzRelationOwner(table->relid),
				  psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", shard->remote_qualified));
	CzTxnExecOnShard(shard, CzRelationOwner(table->relid),
					 psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS cz_seal",
							  shard->remote_qualified));
	(void) delete_row(shard->shard_id);
	CommandCounterIncrement();
	CzInvalidateTable(table->relid);
}

/*
 * cz_seal_shard(shard_id bigint)
 */
Datum
cz_seal_shard(PG_FUNCTION_ARGS)
{
	int64		shard_id = PG_GETARG_INT64(0);
	Oid			argtypes[4] = {INT8OID, OIDOID, TEXTOID, TEXTOID};
	Datum		values[4];
	int			index;
	const CzTable *table = open_shard(shard_id, "cz_seal_shard()", &index);
	Oid			owner = CzRelationOwner(table->relid);
	const CzShard *shard = &table->shards[index];
	char	   *min;
	char	   *max;

	check_key(table);
	/* one that is made whole later would not have the constraint */
	if (shard->nplacements < shard->nall)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot seal shard " INT64_FORMAT ": a placement is not active", shard_id),
				 errhint("Use cz_repair_placements() or citus_activate_node() first.")));
	/* nobody writes between the look at the keys and the constraint */
	CzTxnExecOnShard(shard, owner, psprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
											shard->remote_qualified));
	CzShardExtremes(table, index, &min, &max);
	if (min == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shard " INT64_FORMAT " has no keys by which it could be sealed", shard_id)));
	CzUnseal(table, index);
	table = CzTableGet(table->relid);
	CzTxnExecOnShard(shard, owner, CzSealSql(table, index, min, max));
	values[0] = Int64GetDatum(shard_id);
	values[1] = ObjectIdGetDatum(table->relid);
	values[2] = CStringGetTextDatum(min);
	values[3] = CStringGetTextDatum(max);
	CzCatalogExec("INSERT INTO cz.sealed_shards (shard_id, relid, min_value, max_value) VALUES ($1, $2, $3, $4)",
				  4, argtypes, values, NULL);
	CommandCounterIncrement();
	CzUpdateShardStatistics(table, index);
	CzInvalidateTable(table->relid);
	PG_RETURN_VOID();
}

/*
 * cz_unseal_shard(shard_id bigint)
 */
Datum
cz_unseal_shard(PG_FUNCTION_ARGS)
{
	int			index;
	const CzTable *table = open_shard(PG_GETARG_INT64(0), "cz_unseal_shard()", &index);

	CzUnseal(table, index);
	PG_RETURN_VOID();
}

/* ---- a row outside ---------------------------------------------------------- */

/* In a background worker: a seal has been met by a row outside. */
static void
unseal_after(int64 shard_id, int lock_timeout_ms)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *title = psprintf("seal of shard " INT64_FORMAT, shard_id);

	CzTaskSession();
	SetConfigOption("lock_timeout", psprintf("%dms", lock_timeout_ms), PGC_SUSET, PGC_S_OVERRIDE);
	PG_TRY();
	{
		Oid			relid;
		int			index;

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		relid = table_of(shard_id);
		if (OidIsValid(relid))
		{
			const CzTable *table;

			LockRelationOid(relid, ShareUpdateExclusiveLock);
			table = CzTableGet(relid);
			index = index_of(table, shard_id);
			if (index >= 0)
				CzUnseal(table, index);
		}
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		CzTaskErrorToLog(context, title);
	}
	PG_END_TRY();
}

static void
unseal_task(int64 shard_id)
{
	unseal_after(shard_id, 0);
}

/* The same while a session waits, which others may wait for. */
static void
unseal_soon_task(int64 shard_id)
{
	unseal_after(shard_id, UNSEAL_TIMEOUT_MS);
}

/* Has the transaction, as a role, sent something to a node that has the shard? */
static bool
is_used(const CzShard *shard, Oid user_oid)
{
	int			i;

	for (i = 0; i < shard->nplacements; i++)
	{
		if (CzTxnHasBegun(shard->server_oids[i], user_oid))
			return true;
	}
	return false;
}

/*
 * Remove a seal in the transaction, unless others have locks of the shard: who writes must
 * not wait for them, and they may be this transaction's own, by other connections.  Where a
 * placement keeps its seal it refuses the row, and all that is undone.
 */
static void
unseal_here(const CzTable *table, int index, Oid owner)
{
	const CzShard *shard = &table->shards[index];
	char	   *name = quote_literal_cstr(shard->remote_qualified);
	char	   *body = psprintf("DECLARE t text := pg_catalog.current_setting('lock_timeout'); BEGIN"
								" PERFORM pg_catalog.set_config('lock_timeout', '%d', true);"
								" ALTER TABLE %s DROP CONSTRAINT IF EXISTS " CZ_SEAL_CONSTRAINT ";"
								" PERFORM pg_catalog.set_config('lock_timeout', t, true);"
								" EXCEPTION WHEN lock_not_available THEN NULL; END",
								UNSEAL_HERE_TIMEOUT_MS, shard->remote_qualified);
	bool		is_done = true;
	int			i;

	CzTxnExecOnShard(shard, owner, psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(body)));
	for (i = 0; i < shard->nplacements; i++)
	{
		PGresult   *res = CzConnQuery(CzTxnConn(shard->server_oids[i], owner, true),
									  psprintf("SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass AND conname OPERATOR(pg_catalog.=) '" CZ_SEAL_CONSTRAINT "')",
											   name), 1, 1, 1);

		is_done &= strcmp(PQgetvalue(res, 0, 0), "f") == 0;
		PQclear(res);
	}
	if (!is_done)
		return;
	(void) delete_row(shard->shard_id);
	CommandCounterIncrement();
	CzInvalidateTable(table->relid);
	CommandCounterIncrement();
}

/* See cz/seal.h. */
static void
unseal_before(const CzTable *table, int index)
{
	const CzShard *shard = &table->shards[index];
	Oid			owner = CzRelationOwner(table->relid);
	BackgroundWorkerHandle *handle;

	if (is_used(shard, owner) && GetUserId() == owner)
	{
		if (ConditionalLockRelationOid(table->relid, ShareUpdateExclusiveLock))
			unseal_here(table, index, owner);
		return;
	}
	if (!IsUnderPostmaster)
		return;
	handle = CzBackgroundStart(CZ_BACKGROUND_UNSEAL_SOON, shard->shard_id, "unsealing");
	if (handle == NULL)
		return;
	(void) WaitForBackgroundWorkerShutdown(handle);
	pfree(handle);
	AcceptInvalidationMessages();
}

/* A worker has refused a row of a table in cz_shards by its seal. */
static bool
note_broken(const char *remote_table)
{
	const char *number = remote_table ? strrchr(remote_table, '_') : NULL;
	int64		shard_id = number ? strtoll(number + 1, NULL, 10) : 0;

	return shard_id > 0 && IsUnderPostmaster &&
		CzBackgroundStart(CZ_BACKGROUND_UNSEAL, shard_id, "unsealing") != NULL;
}

/*
 * CzSealInit
 *		See cz/cluster.h.
 */
void
CzSealInit(void)
{
	cz_background[CZ_BACKGROUND_UNSEAL] = unseal_task;
	cz_background[CZ_BACKGROUND_UNSEAL_SOON] = unseal_soon_task;
	cz_unseal_hook = unseal_before;
	cz_seal_hook = note_broken;
}
