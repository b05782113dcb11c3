/*-------------------------------------------------------------------------
 *
 * cluster.h
 *	  Changing the cluster: workers join and leave, tables are distributed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_CLUSTER_H
#define CZ_CLUSTER_H

/*
 * CzNodeCheck
 *		Make sure that a worker may hold shards: it can be reached, its version,
 *		encoding and collations fit, it hashes as this server does.  The first
 *		time also gives it a copy of every reference table and remembers that
 *		(server option checked), within the current transaction.
 *
 * Call it before placing anything on a worker; cheap when it passed before.
 * Errors: 08001 not reachable, 0A000 version, 22023 encoding, collation or
 *		hash, 42710 the same database as another worker.
 */
extern void CzNodeCheck(Oid server_oid);

/*
 * CzReferenceCopyToNode
 *		Create and fill a copy of every reference table on one worker, within
 *		the current transaction, with each table locked against writes.  The
 *		worker is not yet among the placements that CzTableGet gives.
 *		(src/cluster/reference.c)
 */
extern void CzReferenceCopyToNode(Oid server_oid);

/* Install what makes tables of a tenant's schema single-shard tables. */
extern void CzTenantsInit(void);

/* Install what lets ALTER TABLE give the distribution column another type. */
extern void CzRedistributeInit(void);

/* Install what carries partitions of distributed tables to the workers. */
extern void CzPartitionsInit(void);

/* Register the background worker's task that analyzes tables. */
extern void CzAutoAnalyzeInit(void);

/* The same of the one that makes placements whole. */
extern void CzRepairInit(void);

#endif							/* CZ_CLUSTER_H */
