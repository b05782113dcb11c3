/*-------------------------------------------------------------------------
 *
 * buckets.c
 *	  The rows of a placement in buckets, by a hash of their primary key, or without one of
 *	  their text: two placements are equal if the sums of all buckets are, and what differs
 *	  is looked for, or copied, in the buckets that do not.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "libpq-fe.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/compat.h"

/* The columns of a table's primary key, after the alias t; NULL: it has none. */
static char *
key_columns(Relation rel)
{
	Oid			index_oid;
	Relation	index;
	StringInfoData buf;
	int			i;

	(void) RelationGetIndexList(rel);
	index_oid = RelationGetPrimaryKeyIndex_compat(rel);
	if (!OidIsValid(index_oid))
		return NULL;
	index = index_open(index_oid, AccessShareLock);
	initStringInfo(&buf);
	for (i = 0; i < index->rd_index->indnkeyatts; i++)
		appendStringInfo(&buf, "%st.%s", i > 0 ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(rel),
																index->rd_index->indkey.values[i] - 1)->attname)));
	index_close(index, AccessShareLock);
	return buf.data;
}

/*
 * CzBucketExpr
 *		See cluster_int.h.
 */
char *
CzBucketExpr(Relation rel)
{
	char	   *key = key_columns(rel);

	return psprintf("pg_catalog.hashtextextended(%s::pg_catalog.text, 0) OPERATOR(pg_catalog.&) %d",
					key ? psprintf("ROW(%s)", key) : "(t.*)", CZ_BUCKETS - 1);
}

/*
 * CzBucketsRead
 *		See cluster_int.h.
 */
void
CzBucketsRead(CzConn *conn, Relation rel, const CzShard *shard, const char *only,
			  CzBucketSums *sums)
{
	PGresult   *res;
	int			i;

	memset(sums, 0, sizeof(CzBucketSums));
	res = CzConnQuery(conn,
					  psprintf("SELECT b, pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(h)) "
							   "FROM (SELECT %s AS b, pg_catalog.hashtextextended((t.*)::pg_catalog.text, 0) AS h FROM %s%s AS t) x GROUP BY 1",
							   CzBucketExpr(rel), only, shard->remote_qualified), 0, -1, 2);
	for (i = 0; i < PQntuples(res); i++)
	{
		int			bucket = atoi(PQgetvalue(res, i, 0));

		if (bucket >= 0 && bucket < CZ_BUCKETS)
			sums->sums[bucket] = pstrdup(PQgetvalue(res, i, 1));
	}
	PQclear(res);
}

/*
 * CzBucketIsSame
 *		See cluster_int.h.
 */
bool
CzBucketIsSame(const CzBucketSums *a, const CzBucketSums *b, int bucket)
{
	const char *left = a->sums[bucket];
	const char *right = b->sums[bucket];

	return left == NULL ? right == NULL : right != NULL && strcmp(left, right) == 0;
}
