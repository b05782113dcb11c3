/*-------------------------------------------------------------------------
 *
 * repair.c
 *	  Placements that have missed writes are made whole: cz_repair_placements(), and
 *	  the maintenance worker where a node is back.
 *
 * The rows of a placement are put in buckets (buckets.c).  A bucket that has another sum of rows here and there is deleted on the inactive placement and copied
 * from the first active one, all of it in one snapshot there, so that afterwards the
 * two are what the one was in that snapshot; no key is needed.  That is done while
 * readers and writers go on, until little is left; then once more while nobody
 * writes the shard, and with that transaction the placement is active.  One that has
 * missed DDL too, or is not there, is made anew first.
 *
 * The tables of a colocation group get a shard's placement back together.  Each
 * group and placement is a transaction of a background worker, so that writers wait
 * for the last look at one shard only.  A copy of a reference table is made anew
 * while nobody writes to the table.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cluster_int.h"
#include "cz/cluster.h"
#include "cz/gone.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(cz_repair_placements);

/* If more buckets differ, the shard is copied */
#define MAX_BUCKETS (CZ_BUCKETS * 3 / 10)
/* Looks at a shard while others write it, at most; one that finds so few buckets was
 * the last */
#define MAX_PASSES 4
#define FEW_BUCKETS 16
/* Tries to lock a shard against writers, each as long as lock_timeout says */
#define MAX_ATTEMPTS 5
#define LOCK_TIMEOUT "1s"

/* A placement of a group of shards that is to be made whole. */
typedef struct Todo
{
	Oid			relid;			/* a table of the group, or the reference table */
	bool		is_reference;
	int			colocation_id;
	int			index;			/* of the shard */
	Oid			server_oid;
	char	   *title;			/* which placement it is, for the log */
} Todo;

/* A shard is named without what may inherit from it, but not without its partitions. */
static const char *
only_sql(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
		CzTableGet(RelationGetRelid(rel))->is_partitioned ? "" : "ONLY ";
}

/* Does a table refer to reference tables? */
static bool
has_reference_keys(Oid relid)
{
	ListCell   *lc;

	foreach(lc, CzTreeKeysOnShards(relid, false))
	{
		if (CzTableGet(((CzKey *) lfirst(lc))->to_relid)->kind == CZ_TABLE_REFERENCE)
			return true;
	}
	return false;
}

/*
 * equalize
 *		Make the placement on a worker what the shard is in the snapshot of another one.
 *
 * from: in a transaction with one snapshot.
 * Returns: number of buckets that differed.
 */
static int
equalize(Relation rel, const CzShard *shard, CzConn *from, Oid server_oid)
{
	Oid			owner = rel->rd_rel->relowner;
	const char *only = only_sql(rel);
	char	   *columns = CzColumnList(RelationGetRelid(rel));
	CzConn	   *to = CzTxnConn(server_oid, owner, true);
	bool		is_checked = has_reference_keys(RelationGetRelid(rel));
	CzBucketSums there;
	CzBucketSums here;
	StringInfoData where;
	int			ndiffer = 0;
	int			i;

	CzBucketsRead(from, rel, shard, only, &there);
	CzBucketsRead(to, rel, shard, only, &here);
	initStringInfo(&where);
	appendStringInfo(&where, "WHERE %s OPERATOR(pg_catalog.=) ANY ('{", CzBucketExpr(rel));
	for (i = 0; i < CZ_BUCKETS; i++)
	{
		if (CzBucketIsSame(&there, &here, i))
			continue;
		appendStringInfo(&where, "%s%d", ndiffer++ > 0 ? "," : "", i);
	}
	appendStringInfoString(&where, "}'::pg_catalog.int8[])");
	if (ndiffer == 0)
		return 0;
	if (ndiffer > MAX_BUCKETS)
		resetStringInfo(&where);
	/* no TRUNCATE of what rows have come to that are still to be checked */
	CzTxnExec(server_oid, owner,
			  ndiffer > MAX_BUCKETS && !is_checked ?
			  psprintf("TRUNCATE %s%s", only, shard->remote_qualified) :
			  psprintf("DELETE FROM %s%s AS t %s", only, shard->remote_qualified, where.data));
	if (columns != NULL)
		CzCopyShardRows(from, CzTxnConn(server_oid, owner, true),
				   psprintf("COPY (SELECT %s FROM %s%s AS t %s) TO STDOUT", columns, only,
							shard->remote_qualified, where.data),
				   psprintf("COPY %s (%s) FROM STDIN", shard->remote_qualified, columns),
				   NULL, NULL);
	return ndiffer;
}

/* equalize() with a snapshot of its own. */
static int
equalize_now(Relation rel, const CzShard *shard, Oid server_oid)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz repair",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CzConn	   *from = CzConnAcquire(CzEndpointGet(shard->server_oids[0],
												   rel->rd_rel->relowner));
	int			ndiffer;

	PQclear(CzConnExec(from, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
	ndiffer = equalize(rel, shard, from, server_oid);
	PQclear(CzConnExec(from, "ROLLBACK"));
	CzConnRelease(from);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return ndiffer;
}

static bool
is_equal(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Has a placement missed nothing but rows? */
static bool
looks_the_same(CzConn *from, CzConn *to, const CzTable *table, int index)
{
	return is_equal(CzShardStructure(from, table, index, true),
					CzShardStructure(to, table, index, true)) &&
		is_equal(CzShardStorage(from, table, index), CzShardStorage(to, table, index));
}

/* Constraints that are NOT VALID are away while rows come that need not fulfil them. */
static void
run_unchecked(Relation rel, int index, Oid server_oid, bool drops)
{
	char	   *sql = CzShardUnchecked(rel, CzTableGet(RelationGetRelid(rel)), index, drops);

	if (sql != NULL)
		CzTxnExec(server_oid, rel->rd_rel->relowner, sql);
}

/* While others write: the shard is there, as it must be, and little is missing. */
static void
prepare_shard(Relation rel, const CzTable *table, int index, Oid server_oid)
{
	const CzShard *shard = &table->shards[index];
	Oid			owner = rel->rd_rel->relowner;
	CzConn	   *from = CzConnAcquire(CzEndpointGet(shard->server_oids[0], owner));
	bool		is_same = looks_the_same(from, CzTxnConn(server_oid, owner, false), table, index);
	int			i;

	CzConnRelease(from);
	if (!is_same)
	{
		List	   *servers = list_make1_oid(server_oid);

		CzEnsureShardSchema(servers, owner);
		CzPropagateObjects(RelationGetRelid(rel), servers, owner);
		CzTxnExec(server_oid, owner,
				  psprintf("DROP TABLE IF EXISTS %s CASCADE", shard->remote_qualified));
		CzMakeShard(rel, table, index, server_oid);
		run_unchecked(rel, index, server_oid, true);
		return;
	}
	run_unchecked(rel, index, server_oid, true);
	for (i = 0; i < MAX_PASSES; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (equalize_now(rel, shard, server_oid) <= FEW_BUCKETS)
			break;
	}
}

/*
 * The tables of a group whose placement is inactive, opened, so that no DDL comes that
 * writers would wait for.  VACUUM and ANALYZE need not wait until rows are copied.
 */
static List *
open_tables(const Todo *todo)
{
	List	   *rels = NIL;
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		Relation	rel;

		if (table == NULL || table->colocation_id != todo->colocation_id ||
			table->kind == CZ_TABLE_REFERENCE ||
			(table->colocation_id == 0 && table->relid != todo->relid) ||
			todo->index >= table->nshards)
			continue;
		rel = try_table_open(lfirst_oid(lc), RowExclusiveLock);
		if (rel == NULL)
			continue;
		table = CzTableGet(lfirst_oid(lc));
		if (table != NULL && todo->index < table->nshards &&
			list_member_oid(CzStaleServers(table, todo->index), todo->server_oid))
			rels = lappend(rels, rel);
		else
			table_close(rel, NoLock);
	}
	return rels;
}

/* The placement is whole, with this transaction; other ones of a dirty shard are not. */
static void
make_active(const CzTable *table, int index, Oid server_oid)
{
	const CzShard *shard = &table->shards[index];
	ListCell   *lc;

	foreach(lc, CzStaleServers(table, index))
	{
		if (lfirst_oid(lc) != server_oid)
			(void) CzInactiveInsert(shard->shard_id, lfirst_oid(lc),
									"the coordinator has crashed");
	}
	CzDirtyDelete(shard->shard_id, CZ_DIRTY_OLD);
	CzTxnPlacementsEqual(shard->shard_id);
	(void) CzInactiveDelete(shard->shard_id, server_oid);
	CacheInvalidateRelcacheByRelid(shard->relid);
	if (shard->table_relid != shard->relid)
		CacheInvalidateRelcacheByRelid(shard->table_relid);
	foreach(lc, table->is_partitioned ? CzRootPartitions(table->relid) : NIL)
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
}

/* DDL that writers do not wait for (VALIDATE CONSTRAINT) may have come meanwhile. */
static void
check_structure(Relation rel, const CzShard *shard, const Todo *todo)
{
	Oid			server_oid = todo->server_oid;
	Oid			owner = rel->rd_rel->relowner;
	CzConn	   *from = CzConnAcquire(CzEndpointGet(shard->server_oids[0], owner));
	const CzTable *table = CzTableGet(RelationGetRelid(rel));
	char	   *there = CzShardStructure(from, table, todo->index, false);
	char	   *here = CzShardStructure(CzTxnConn(server_oid, owner, false), table, todo->index,
										false);

	CzConnRelease(from);
	if (!is_equal(here, there))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("table \"%s\" was altered while a placement was made whole",
						RelationGetRelationName(rel))));
}

/* The shards of a group with the number of the one that is made whole, locked. */
static void
lock_group(const Todo *todo)
{
	List	   *group = CzGroupTables(todo->colocation_id);
	const CzShard **shards = palloc(sizeof(CzShard *) * Max(list_length(group), 1));
	ListCell   *lc;
	int			n = 0;

	foreach(lc, group)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && todo->index < table->nshards)
			shards[n++] = &table->shards[todo->index];
	}
	CzTxnLockShardsLocally(shards, n, CZ_LOCK_EXCLUSIVE, true);
}

static void
run_on_key(const CzKey *key, const Todo *todo, bool drops)
{
	StringInfoData sql;

	initStringInfo(&sql);
	CzKeyShardSql(&sql, key, todo->index, drops);
	CzTxnExec(todo->server_oid, CzRelationOwner(key->from_relid), sql.data);
}

/* Is it a key to a reference table as the placement of this name should have it? */
static bool
is_reference_key(Relation rel, int index, const char *shard_name, const char *name,
				 const char *text)
{
	ListCell   *lc;

	foreach(lc, CzTreeKeysOnShards(RelationGetRelid(rel), false))
	{
		const CzKey *key = lfirst(lc);
		const CzShard *shard = &CzTableGet(key->from_relid)->shards[index];

		/* one that is NOT VALID would refuse rows that need not fulfil it */
		if (CzTableGet(key->to_relid)->kind == CZ_TABLE_REFERENCE && key->is_valid &&
			strcmp(shard->remote_name, shard_name) == 0 &&
			strcmp(CzKeyShardName(key, shard), name) == 0 &&
			strcmp(CzKeyShardText(key, index), text) == 0)
			return true;
	}
	return false;
}

/* The foreign keys of a placement and its partitions: table, name, definition.  What they
 * have of the table above them, or for partitions of what they refer to, goes with that. */
static PGresult *
keys_there(CzConn *conn, const CzShard *shard)
{
	char	   *name = psprintf("pg_catalog.to_regclass(%s)",
								quote_literal_cstr(shard->remote_qualified));

	return CzConnQuery(conn,
					   psprintf("SELECT c.relname, o.conname, pg_catalog.pg_get_constraintdef(o.oid) FROM pg_catalog.pg_constraint o "
								"JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) o.conrelid "
								"WHERE o.contype OPERATOR(pg_catalog.=) 'f' AND o.conparentid OPERATOR(pg_catalog.=) 0 AND o.conrelid IN "
								"(SELECT relid FROM pg_catalog.pg_partition_tree(%s) UNION ALL SELECT %s)",
								name, name), 0, -1, 3);
}

/* Foreign keys of a placement but those: also what has gone or changed while it was out of
 * use, and would change rows of it, or refuse them. */
static void
drop_other_keys(Relation rel, const Todo *todo)
{
	const CzShard *shard = &CzTableGet(RelationGetRelid(rel))->shards[todo->index];
	Oid			owner = rel->rd_rel->relowner;
	PGresult   *res = keys_there(CzTxnConn(todo->server_oid, owner, true), shard);
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < PQntuples(res); i++)
	{
		if (!is_reference_key(rel, todo->index, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
							  PQgetvalue(res, i, 2)))
			appendStringInfo(&sql, "ALTER TABLE %s DROP CONSTRAINT %s;\n",
							 CzQualifiedName(shard->remote_schema, PQgetvalue(res, i, 0)),
							 quote_identifier(PQgetvalue(res, i, 1)));
	}
	PQclear(res);
	if (sql.len > 0)
		CzTxnExec(todo->server_oid, owner, sql.data);
}

/*
 * Rows come in any order, and rows that go must not take others with them: the foreign
 * keys among the group's tables, of these and to them, are away meanwhile.  Others of
 * them are changed with that, so nobody may write to them.  Keys to reference tables stay,
 * for who reads the copies would wait: they are checked at the end.
 *
 * Returns: keys (CzKey *) that are to be made again.
 */
static List *
drop_keys(List *rels, const Todo *todo)
{
	List	   *oids = NIL;
	List	   *keys = NIL;
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, rels)
	{
		foreach(lk, CzTreeKeysOnShards(RelationGetRelid((Relation) lfirst(lc)), true))
		{
			CzKey	   *key = lfirst(lk);

			if (CzTableGet(key->to_relid)->kind == CZ_TABLE_REFERENCE ||
				list_member_oid(oids, key->oid))
				continue;
			oids = lappend_oid(oids, key->oid);
			keys = lappend(keys, key);
		}
	}
	if (keys != NIL)
		lock_group(todo);
	foreach(lc, rels)
		drop_other_keys(lfirst(lc), todo);
	foreach(lk, keys)
		run_on_key(lfirst(lk), todo, true);
	return keys;
}

/* All keys of the worker's connections are checked later, or now. */
static void
set_constraints(List *rels, const Todo *todo, const char *when)
{
	List	   *owners = NIL;
	ListCell   *lc;

	foreach(lc, rels)
	{
		if (has_reference_keys(RelationGetRelid((Relation) lfirst(lc))))
			owners = list_append_unique_oid(owners, ((Relation) lfirst(lc))->rd_rel->relowner);
	}
	foreach(lc, owners)
		CzTxnExec(todo->server_oid, lfirst_oid(lc), psprintf("SET CONSTRAINTS ALL %s", when));
}

/* Keys to reference tables that a placement lacks: it, or a copy, has been made anew. */
static void
add_missing_keys(Relation rel, const CzTable *table, const Todo *todo)
{
	const CzShard *shard = &table->shards[todo->index];
	List	   *names = NIL;
	ListCell   *lc;
	PGresult   *res;
	int			i;

	if (!has_reference_keys(RelationGetRelid(rel)))
		return;
	res = keys_there(CzTxnConn(todo->server_oid, rel->rd_rel->relowner, true), shard);
	for (i = 0; i < PQntuples(res); i++)
		names = lappend(names, psprintf("%s %s", PQgetvalue(res, i, 0), PQgetvalue(res, i, 1)));
	PQclear(res);
	foreach(lc, CzTreeKeysOnShards(RelationGetRelid(rel), false))
	{
		const CzKey *key = lfirst(lc);
		const CzShard *own = &CzTableGet(key->from_relid)->shards[todo->index];

		if (CzTableGet(key->to_relid)->kind == CZ_TABLE_REFERENCE &&
			!CzListHasString(names, psprintf("%s %s", own->remote_name,
											 CzKeyShardName(key, own))))
			run_on_key(key, todo, false);
	}
}

static void
repair_group(const Todo *todo)
{
	List	   *rels = open_tables(todo);
	List	   *keys = drop_keys(rels, todo);
	const CzShard **shards = palloc(sizeof(CzShard *) * Max(list_length(rels), 1));
	ListCell   *lc;
	int			i;

	set_constraints(rels, todo, "DEFERRED");
	foreach(lc, rels)
	{
		const CzTable *table = CzTableGet(RelationGetRelid((Relation) lfirst(lc)));
		const CzShard *shard = &table->shards[todo->index];

		if (shard->nplacements == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no placement of shard " INT64_FORMAT " is active",
							shard->shard_id)));
		CzTxnRequireClear(shard->server_oids[0], ((Relation) lfirst(lc))->rd_rel->relowner);
		prepare_shard(lfirst(lc), table, todo->index, todo->server_oid);
		shards[foreach_current_index(lc)] = shard;
	}
	CzDebugPoint("repair_copied");
	foreach(lc, rels)
	{
		LockRelationOid(RelationGetRelid((Relation) lfirst(lc)), ShareUpdateExclusiveLock);
		check_structure(lfirst(lc), shards[foreach_current_index(lc)], todo);
	}
	CzTxnLockShardsLocally(shards, list_length(rels), CZ_LOCK_EXCLUSIVE, true);
	CzDebugPoint("repair_locked");
	foreach(lc, rels)
	{
		i = foreach_current_index(lc);
		/* what the lock has waited for may have changed its mind of the placements */
		shards[i] = CzShardFresh(shards[i]);
		CzTxnRequireClear(shards[i]->server_oids[0], ((Relation) lfirst(lc))->rd_rel->relowner);
		(void) equalize_now(lfirst(lc), shards[i], todo->server_oid);
		make_active(CzTableGet(RelationGetRelid((Relation) lfirst(lc))), todo->index,
					todo->server_oid);
	}
	set_constraints(rels, todo, "IMMEDIATE");
	foreach(lc, rels)
	{
		run_unchecked(lfirst(lc), todo->index, todo->server_oid, false);
		add_missing_keys(lfirst(lc), CzTableGet(RelationGetRelid((Relation) lfirst(lc))), todo);
		table_close(lfirst(lc), NoLock);
	}
	foreach(lc, keys)
		run_on_key(lfirst(lc), todo, false);
}

/*
 * repair_one
 *		One placement of a group, in a transaction of its own.
 *
 * Returns: false if its node can't be reached.
 */
static bool
repair_one(const Todo *todo)
{
	bool		is_reached;
	Oid			owner;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	CzTxnRepairLock();
	owner = get_rel_relkind(todo->relid) == '\0' ? InvalidOid : CzRelationOwner(todo->relid);
	is_reached = OidIsValid(owner) && CzTxnCanReach(todo->server_oid, owner);
	if (is_reached)
	{
		pgstat_report_activity(STATE_RUNNING,
							   psprintf("cz_repair_placements: shard %d of %s", todo->index,
										CzRelationName(todo->relid)));
		CzTxnRequireClear(todo->server_oid, owner);
		if (!todo->is_reference)
			repair_group(todo);
		else if (CzReferenceCopyTable(todo->relid, todo->server_oid))
			make_active(CzTableGet(todo->relid), 0, todo->server_oid);
		ereport(LOG,
				(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
				 errmsg("%s is whole again", todo->title)));
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	return is_reached;
}

/* Is this placement of a group on the list already, by another table? */
static bool
is_listed(List *todos, const Todo *todo)
{
	ListCell   *lc;

	foreach(lc, todos)
	{
		Todo	   *other = lfirst(lc);

		if (other->colocation_id == todo->colocation_id && other->index == todo->index &&
			other->server_oid == todo->server_oid &&
			(todo->colocation_id != 0 || other->relid == todo->relid))
			return true;
	}
	return false;
}

/*
 * What is to be done, in the caller's context; copies of reference tables first: shards
 * are joined with them.  Not on disabled nodes, which citus_activate_node() fills.
 *
 * only_relid: one table (and the others of its group), or InvalidOid: all.
 */
static List *
list_todos(Oid only_relid)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *todos = NIL;
	List	   *inactive;
	int			pass;
	ListCell   *lc;
	ListCell   *lc2;
	int			i;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	inactive = CzExtensionIsThere() ? CzInactiveList() : NIL;
	for (pass = 0; inactive != NIL && pass < 2; pass++)
	{
		foreach(lc, CzTableList())
		{
			const CzTable *table = CzTableGet(lfirst_oid(lc));

			if (table == NULL || (table->kind == CZ_TABLE_REFERENCE) != (pass == 0) ||
				(OidIsValid(only_relid) && table->relid != only_relid))
				continue;
			for (i = 0; i < table->nshards; i++)
			{
				if (CzInactiveServers(inactive, table->shards[i].shard_id) == NIL)
					continue;
				foreach(lc2, CzStaleServers(table, i))
				{
					MemoryContext old = MemoryContextSwitchTo(context);
					Todo	   *todo = palloc0(sizeof(Todo));

					todo->relid = table->relid;
					todo->is_reference = pass == 0;
					todo->colocation_id = table->colocation_id;
					todo->index = i;
					todo->server_oid = lfirst_oid(lc2);
					todo->title = psprintf("placement of shard " INT64_FORMAT " of table \"%s\" on node \"%s\"",
										   table->shards[i].shard_id, CzNameOf(table->relid),
										   CzNodeGet(todo->server_oid)->name);
					if (!is_listed(todos, todo))
						todos = lappend(todos, todo);
					MemoryContextSwitchTo(old);
				}
			}
		}
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return todos;
}

/* repair_one() whose errors go to the log.  1: done, 0: not reached, -1: failed. */
static int
try_repair(const Todo *todo, MemoryContext context)
{
	volatile int result = -1;

	PG_TRY();
	{
		result = repair_one(todo) ? 1 : 0;
	}
	PG_CATCH();
	{
		CzTaskErrorToLog(context, todo->title);
	}
	PG_END_TRY();
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	return result;
}

/*
 * repair_task
 *		In the background worker: all placements whose nodes can be reached.
 *
 * Returns: true if none is left.
 */
static bool
repair_task(Oid only_relid)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "cz repair task",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *unreachable = NIL;
	bool		is_done = true;
	List	   *todos;
	ListCell   *lc;

	MemoryContextSwitchTo(context);
	CzTaskSession();
	SetConfigOption("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);

	todos = list_todos(only_relid);
	foreach(lc, todos)
	{
		Todo	   *todo = lfirst(lc);
		int			result = 0;
		int			i;

		for (i = 0; i < MAX_ATTEMPTS && !list_member_oid(unreachable, todo->server_oid); i++)
		{
			result = try_repair(todo, context);
			if (result > 0)
				break;
			if (result == 0)
				unreachable = lappend_oid(unreachable, todo->server_oid);
		}
		is_done &= result > 0;
	}
	return is_done;
}

static int
count_inactive(Oid relid)
{
	List	   *inactive = CzInactiveList();
	int			n = 0;
	int			i;
	ListCell   *lc;

	foreach(lc, inactive == NIL ? NIL : OidIsValid(relid) ? list_make1_oid(relid) : CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			if (CzInactiveServers(inactive, table->shards[i].shard_id) != NIL)
				n += list_length(CzStaleServers(table, i));
		}
	}
	return n;
}

/*
 * cz_repair_placements
 *		SQL function: make inactive placements whole now, of one table (and what is
 *		colocated with it) or of all.  Returns the number of those that are.
 *
 * A background worker does it, in a transaction for each; so this can't be done for a
 * shard that the calling transaction has written.
 */
Datum
cz_repair_placements(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	int			before;
	int			after;

	PreventCommandIfReadOnly("cz_repair_placements()");
	CzTxnCheckCoordinator();
	if (OidIsValid(relid))
	{
		const CzTable *table = CzTableGet(relid);

		if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("relation \"%s\" is not distributed", CzNameOf(relid))));
	}
	before = count_inactive(relid);
	if (before == 0)
		PG_RETURN_INT32(0);
	CzHealthRecheckNow();
	CzRunRepair(relid);
	AcceptInvalidationMessages();
	after = count_inactive(relid);
	if (after > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg_plural("%d placement is still inactive",
							   "%d placements are still inactive", after, after),
				 errhint("The server log says why those on nodes that can be reached are.")));
	PG_RETURN_INT32(Max(before - after, 0));
}

/*
 * CzRepairInit
 *		See cluster.h.
 */
void
CzRepairInit(void)
{
	cz_repair_task = repair_task;
}
