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

/*
 * A distributed or reference table.  (scripts.c)
 * Errors: 42P01 no such relation, 55000 not distributed.
 */
extern const CzTable *CzCheckDistributed(Oid relid);

#endif							/* CZ_CLUSTER_INT_H */
