/*-------------------------------------------------------------------------
 *
 * old_keys.c
 *	  Foreign keys of a placement that is given up to reference tables: they would keep rows
 *	  of those until it is dropped.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "cz/cluster.h"
#include "cz/ddl.h"
#include "cz/transaction.h"

/* Looks whether readers of the old placement let its keys be dropped, and how long each
 * makes readers of reference tables wait at most */
#define OLD_KEYS_ATTEMPTS 20
#define OLD_KEYS_TIMEOUT_MS 25

typedef struct OldKeys
{
	Oid			server_oid;
	Oid			owner;
	char	   *sql;			/* drops those of a table */
} OldKeys;

/*
 * CzOldKeysOf
 *		See cluster.h.
 */
List *
CzOldKeysOf(List *relids, int shard_index, Oid server_oid)
{
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, relids)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		foreach(lk, CzTreeKeysOnShards(lfirst_oid(lc), false))
		{
			const CzKey *key = lfirst(lk);

			if (CzTableGet(key->to_relid)->kind == CZ_TABLE_REFERENCE)
				CzKeyShardSql(&sql, key, shard_index, true);
		}
		if (sql.len > 0)
		{
			OldKeys    *keys = palloc(sizeof(OldKeys));

			keys->server_oid = server_oid;
			keys->owner = CzRelationOwner(lfirst_oid(lc));
			keys->sql = sql.data;
			result = lappend(result, keys);
		}
	}
	return result;
}

/* Drop those of a table; false: not yet. */
static bool
drop_keys(const OldKeys *keys)
{
	char	   *message = NULL;
	CzConn	   *conn;
	PGresult   *res;
	bool		result;

	conn = CzConnTryAcquire(CzEndpointGet(keys->server_oid, keys->owner), &message);
	if (conn == NULL)
		return true;			/* nobody changes copies there */
	res = CzConnTryExec(conn, keys->sql);
	result = res == NULL || PQresultStatus(res) == PGRES_COMMAND_OK;
	PQclear(res);
	CzConnRelease(conn);
	return result;
}

/*
 * CzOldKeysDrop
 *		See cluster.h.
 */
void
CzOldKeysDrop(List *old_keys)
{
	bool		is_done = old_keys == NIL;
	int			i;

	SetConfigOption("lock_timeout", psprintf("%dms", OLD_KEYS_TIMEOUT_MS), PGC_SUSET,
					PGC_S_OVERRIDE);
	for (i = 0; !is_done && i < OLD_KEYS_ATTEMPTS; i++)
	{
		ListCell   *lc;

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		is_done = true;
		foreach(lc, old_keys)
			is_done &= drop_keys(lfirst(lc));
		PopActiveSnapshot();
		CommitTransactionCommand();
		if (!is_done)
			pg_usleep(OLD_KEYS_TIMEOUT_MS * 1000L);
	}
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
}
