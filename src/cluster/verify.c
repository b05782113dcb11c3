/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Are the placements of shards equal?  cz_verify_placements().
 *
 * Writers of a shard are kept out for the moment in which a snapshot is taken on
 * each placement; the rows are summed up outside of it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/counters.h"
#include "cz/ddl.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(cz_verify_placements);

/* Number of rows, a sum of them that does not depend on their order, and the number of those
 * that are not as all must be (NULL: anything). */
static char *
sum_sql(const char *qualified, const char *only, const char *expected)
{
	return psprintf("SELECT pg_catalog.count(*)::pg_catalog.text, coalesce(pg_catalog.sum(pg_catalog.hashtextextended((t.*)::pg_catalog.text, 0)), 0)::pg_catalog.text, %s FROM %s%s AS t",
					expected ? psprintf("pg_catalog.count(*) FILTER (WHERE NOT (%s))", expected) : "NULL",
					only, qualified);
}

/* Nodes that could not be reached, and as which owners of tables. */
typedef struct LostNodes
{
	MemoryContext context;
	List	   *server_oids;
	List	   *owners;			/* in the same order */
} LostNodes;

static bool
is_lost(const LostNodes *lost, Oid server_oid, Oid owner)
{
	ListCell   *lc;
	ListCell   *lc2;

	forboth(lc, lost->server_oids, lc2, lost->owners)
	{
		if (lfirst_oid(lc) == server_oid && lfirst_oid(lc2) == owner)
			return true;
	}
	return false;
}

static void
note_lost(LostNodes *lost, Oid server_oid, Oid owner)
{
	MemoryContext old = MemoryContextSwitchTo(lost->context);

	lost->server_oids = lappend_oid(lost->server_oids, server_oid);
	lost->owners = lappend_oid(lost->owners, owner);
	MemoryContextSwitchTo(old);
}

/*
 * A connection with a snapshot, or NULL, and a warning for the first shard of a node that
 * cannot be reached; it is asked no more then, for that may take a timeout each time.
 */
static CzConn *
take_snapshot(Oid server_oid, Oid owner, LostNodes *lost)
{
	char	   *message = NULL;
	CzConn	   *conn = NULL;

	if (is_lost(lost, server_oid, owner))
		return NULL;
	if (CzTxnWorkerIsClear(server_oid, owner))
		conn = CzConnTryAcquire(CzEndpointGet(server_oid, owner), &message);
	if (conn == NULL)
	{
		note_lost(lost, server_oid, owner);
		ereport(WARNING,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("placements on node \"%s\" could not be looked at",
						CzNodeGet(server_oid)->name),
				 message ? errdetail_internal("%s", message) : 0));
		return NULL;
	}
	PQclear(CzConnExec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
	PQclear(CzConnExec(conn, "SELECT 1"));
	return conn;
}

/* The coordinator's own rows of a reference table. */
static void
sum_own_rows(Oid relid, char **rows, char **sum)
{
	MemoryContext context = CurrentMemoryContext;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);

	SPI_connect();
	if (SPI_execute(sum_sql(CzRelationName(relid), "ONLY ", NULL), false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not sum the rows of relation %u", relid);
	*rows = MemoryContextStrdup(context, SPI_getvalue(SPI_tuptable->vals[0],
													  SPI_tuptable->tupdesc, 1));
	*sum = MemoryContextStrdup(context, SPI_getvalue(SPI_tuptable->vals[0],
													 SPI_tuptable->tupdesc, 2));
	SPI_finish();
	CzUnpinTextSettings(nestlevel);
}

/* In how many buckets two placements differ, as their connections see them. */
static int
count_buckets(CzConn *a, CzConn *b, Relation rel, const CzShard *shard, const char *only)
{
	CzBucketSums *left = palloc(sizeof(CzBucketSums));
	CzBucketSums *right = palloc(sizeof(CzBucketSums));
	int			n = 0;
	int			i;

	CzBucketsRead(a, rel, shard, only, left);
	CzBucketsRead(b, rel, shard, only, right);
	for (i = 0; i < CZ_BUCKETS; i++)
		n += !CzBucketIsSame(left, right, i);
	return n;
}

/* One shard: a row of the result; true: its placements are all there and equal. */
static bool
verify_shard(ReturnSetInfo *rsinfo, const CzTable *table, int index, Relation rel,
			 LostNodes *lost)
{
	const CzShard *shard = &table->shards[index];
	Oid			relid = RelationGetRelid(rel);
	Oid			owner = rel->rd_rel->relowner;
	const char *only = table->is_partitioned ? "" : "ONLY ";
	char	   *expected = CzShardRowsExpr(rel, table, index);
	CzConn	  **conns;
	char	   *rows = NULL;
	char	   *sum = NULL;
	Datum		values[8];
	bool		nulls[8] = {0};
	bool		is_ok;
	int			nseen = 0;
	int			first = -1;
	int			ndiffer = 0;
	int64		nmisplaced = 0;
	int			i;

	CzTxnLockMoment(shard, true);
	shard = CzShardFresh(shard);
	conns = palloc0(sizeof(CzConn *) * Max(shard->nplacements, 1));
	for (i = 0; i < shard->nplacements; i++)
		conns[i] = take_snapshot(shard->server_oids[i], owner, lost);
	if (shard->is_copy)
		sum_own_rows(relid, &rows, &sum);
	CzTxnLockMoment(shard, false);

	is_ok = shard->nplacements > 0 && shard->nplacements == shard->nall;
	if (shard->is_copy)
		is_ok = shard->nplacements == shard->nall;
	for (i = 0; i < shard->nplacements; i++)
	{
		PGresult   *res;

		if (conns[i] == NULL)
		{
			is_ok = false;
			continue;
		}
		res = CzConnQuery(conns[i], sum_sql(shard->remote_qualified, only, expected), 1, 1, 3);
		nseen++;
		first = first < 0 ? i : first;
		if (expected != NULL)
			nmisplaced = Max(nmisplaced, strtoll(PQgetvalue(res, 0, 2), NULL, 10));
		if (rows == NULL)
		{
			rows = pstrdup(PQgetvalue(res, 0, 0));
			sum = pstrdup(PQgetvalue(res, 0, 1));
		}
		else if (strcmp(rows, PQgetvalue(res, 0, 0)) != 0 ||
				 strcmp(sum, PQgetvalue(res, 0, 1)) != 0)
		{
			is_ok = false;
			CzTxnPlacementsDiffer(shard, shard->server_oids[i]);
			if (!shard->is_copy)
				ndiffer = Max(ndiffer, count_buckets(conns[first], conns[i], rel, shard, only));
		}
		PQclear(res);
	}
	for (i = 0; i < shard->nplacements; i++)
	{
		if (conns[i] == NULL)
			continue;
		PQclear(CzConnExec(conns[i], "ROLLBACK"));
		CzConnRelease(conns[i]);
	}
	values[0] = ObjectIdGetDatum(relid);
	values[1] = Int64GetDatum(shard->shard_id);
	values[2] = Int32GetDatum(nseen);
	nulls[3] = nulls[4] = rows == NULL;
	if (rows != NULL)
	{
		values[3] = Int64GetDatum(strtoll(rows, NULL, 10));
		values[4] = DirectFunctionCall3(numeric_in, CStringGetDatum(sum),
										ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	}
	values[5] = BoolGetDatum(is_ok && nmisplaced == 0);
	nulls[6] = shard->is_copy || nseen < 2;
	values[6] = Int32GetDatum(ndiffer);
	nulls[7] = expected == NULL || nseen == 0;
	values[7] = Int64GetDatum(nmisplaced);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return is_ok;
}

/*
 * cz_verify_placements
 *		SQL function: a row a shard, of one table or of all.  What the calling
 *		transaction itself has written is not seen, on no placement.  Placements that
 *		differ are read no more, until they are made whole.
 */
Datum
cz_verify_placements(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			only_relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	const CzTable *table = OidIsValid(only_relid) ? CzTableGet(only_relid) : NULL;
	MemoryContext context;
	LostNodes	lost = {CurrentMemoryContext, NIL, NIL};
	ListCell   *lc;
	int64		nshards = 0;
	int64		ndiffering = 0;
	int			i;

	if (OidIsValid(only_relid) && (table == NULL || table->kind == CZ_TABLE_FOREIGN))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" is not distributed", CzNameOf(only_relid))));
	InitMaterializedSRF(fcinfo, 0);
	context = AllocSetContextCreate(CurrentMemoryContext, "cz verify", ALLOCSET_DEFAULT_SIZES);
	foreach(lc, OidIsValid(only_relid) ? list_make1_oid(only_relid) : CzTableList())
	{
		Oid			relid = lfirst_oid(lc);

		Relation	rel = try_table_open(relid, AccessShareLock);

		table = rel ? CzTableGet(relid) : NULL;
		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			CHECK_FOR_INTERRUPTS();
			nshards++;
			if (!verify_shard(rsinfo, table, i, rel, &lost))
				ndiffering++;
			MemoryContextSwitchTo(old);
			MemoryContextReset(context);
		}
		if (rel != NULL)
			table_close(rel, NoLock);
	}
	CzCountVerified(nshards, ndiffering);
	return (Datum) 0;
}
