/*-------------------------------------------------------------------------
 *
 * cluster_int.h
 *	  Private to src/cluster, the part of workers and the cluster file.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_CLUSTER_INT_H
#define CZ_CLUSTER_INT_H

#include "cz/cluster.h"
#include "cz/metadata.h"
#include "fmgr.h"

/*
 * CzPartialsCreate
 *		Give a worker the aggregates of schema cz_partial, as far as it lets us, and
 *		remember which it has (server option partial_aggregates).  (partial.c)
 */
extern void CzPartialsCreate(Oid server_oid);

/*
 * CzNodeNoteVersion
 *		A worker runs this version (PQserverVersion's form): remember its major if it is
 *		another one now, and give it the aggregates that go with it.  (check.c)
 */
extern void CzNodeNoteVersion(Oid server_oid, int version);

/*
 * CzNodeAdd
 *		Create a server for a worker with a mapping for PUBLIC, and check it;
 *		false if there is one at that address already.
 *
 * Errors: 42501 not a superuser; as CzNodeCheck.
 */
extern bool CzNodeAdd(const char *host, int port, int *node_id);

/*
 * The worker that the arguments nodename and nodeport (0 and 1) of an SQL
 * function name, with lock: locked against others that change it.
 * Errors: 42704 no such worker, 42501 not the server's owner, 22004, 22023.
 */
extern CzNode *CzNodeGetOwn(FunctionCallInfo fcinfo, bool lock);
extern void CzNodeCheckOwner(const CzNode *node);

/* Until the end of the transaction nobody else changes which nodes are in use. */
extern void CzNodesLock(void);

/* A node's name and port from the arguments arg and arg + 1, checked. */
extern void CzGetAddress(FunctionCallInfo fcinfo, int arg, char **host, int *port);

/*
 * CzNodeVerify
 *		A worker has another address: is what is there still the worker?  A WARNING if it
 *		can't be reached.
 *
 * Errors: 55000 another worker, another cluster's, the coordinator itself, or its shards
 *		are not there.
 */
extern void CzNodeVerify(Oid server_oid);

/* DROP USER MAPPING for all, then DROP SERVER ... RESTRICT. */
extern void CzNodeDropServer(Oid server_oid);

/*
 * What a worker's mark says of its identity in this cluster: the first word of ours; NULL:
 * there is none.  mark: the comment of its schema of shards.
 */
extern char *CzMarkIdentity(const char *mark);

/*
 * CzCloneRefuse
 *		55000 if there are clones of a node, or it is one: verb says what is not to be done.
 * CzCloneTakePlace
 *		A node gets the address of its own clone, which has been promoted as it is dead: the
 *		clone is no node of its own any more.  (clones.c)
 */
extern void CzCloneRefuse(const CzNode *node, const char *verb);
extern void CzCloneTakePlace(const CzNode *node, const char *host, int port);

/*
 * A distributed or reference table.  (scripts.c)
 * Errors: 42P01 no such relation, 55000 not distributed.
 */
extern const CzTable *CzCheckDistributed(Oid relid);

/* The storage parameters of a placement, for another one; NULL: it has none. */
extern char *CzStorageSql(CzConn *from, const char *qualified, const char *target);

/* node_health.c: what views show of a node first: its server, state, since when, the last
 * contact, failures; values, nulls: five of each. */
extern void CzNodeHealthColumns(const CzNode *node, const CzHealth *health, Datum *values,
								bool *nulls);

/*
 * buckets.c
 *
 * CzBucketExpr: the number of a row's bucket; the table has the alias t.
 * CzBucketsRead: of a placement, as the connection sees it; sums are palloc'd.
 * only: "ONLY ", or nothing if the shard is partitioned.
 */
#define CZ_BUCKETS 4096

/* How many rows a bucket has, and their sum, as text; NULL: none. */
typedef struct CzBucketSums
{
	char	   *sums[CZ_BUCKETS];
} CzBucketSums;

extern char *CzBucketExpr(Relation rel);
extern void CzBucketsRead(CzConn *conn, Relation rel, const CzShard *shard, const char *only,
						  CzBucketSums *sums);
extern bool CzBucketIsSame(const CzBucketSums *a, const CzBucketSums *b, int bucket);

#endif							/* CZ_CLUSTER_INT_H */
