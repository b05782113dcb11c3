/*-------------------------------------------------------------------------
 *
 * rebalance_int.h
 *	  Private to src/cluster: plans of moves, and who carries them out.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_REBALANCE_INT_H
#define CZ_REBALANCE_INT_H

#include "cz/metadata.h"
#include "cz/move.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/hsearch.h"

/* How shards are to be spread: a row of pg_dist_rebalance_strategy. */
typedef struct CzStrategy
{
	char	   *name;
	Oid			cost_function;	/* of a shard's id; one shard stands for its group */
	Oid			capacity_function;	/* of a node's id */
	Oid			allowed_function;	/* of a shard's id and a node's */
	double		default_threshold;
	double		minimum_threshold;
	double		improvement_threshold;
} CzStrategy;

/*
 * CzStrategyGet
 *		A strategy by its name; NULL: the default one.
 *
 * Errors: 22023 no such strategy, 42883 a function of it is gone.
 */
extern CzStrategy *CzStrategyGet(const char *name);

/* Functions whose answers are known without calling them. */
extern bool CzIsCostBySize(Oid function);
extern bool CzIsCostByCount(Oid function);
extern bool CzIsCapacityByWeight(Oid function);
extern bool CzIsAlwaysAllowed(Oid function);

/* What somebody wants moved. */
typedef struct CzRebalanceRequest
{
	Oid			relid;			/* only its group of tables; InvalidOid: all */
	double		threshold;		/* < 0: the strategy's */
	double		improvement;	/* < 0: the strategy's */
	int			max_moves;
	List	   *excluded;		/* int64 *: shards that stay where they are */
	bool		only_needed;	/* only what must leave its node */
	const char *strategy;		/* NULL: the default one */

	/* copies: as many active placements as this, 0: none are made, -1: as many as the
	 * group of tables was made with; placements on the nodes of lost (OIDs of servers)
	 * don't count */
	int			factor;
	List	   *lost;
	bool		counts_inactive;	/* those that will be repaired count as active, too */
} CzRebalanceRequest;

/* A move, or a copy, of all tables of a colocation group with a shard's number. */
typedef struct CzRebalanceMove
{
	Oid			relid;			/* one of the tables */
	int			colocation_id;
	int			index;
	Oid			source_oid;		/* server; InvalidOid: one placement more */
	Oid			target_oid;
	double		bytes;			/* of all tables, about */
	int			nactive;		/* placements that are used now */
} CzRebalanceMove;

/*
 * CzRebalancePlan
 *		What is to be done: list of CzRebalanceMove, in order, palloc'd.
 *
 * nstranded, if not NULL: placements for which there is no node.
 */
extern List *CzRebalancePlan(const CzRebalanceRequest *request, int *nstranded);

/* A group on a node that is to be halved. */
typedef struct CzGroupOnNode
{
	Oid			relid;			/* one of the tables */
	int			index;
	double		cost;
	bool		may_go;			/* to the clone: it has all rows, and the strategy allows it */
	bool		goes;			/* for who plans */
} CzGroupOnNode;

/*
 * CzGroupsOn
 *		The groups with a placement on a node, and the capacities that a strategy gives it and
 *		a clone of it: list of CzGroupOnNode *, palloc'd.
 */
extern List *CzGroupsOn(const CzNode *node, const CzNode *clone, const char *strategy,
						double *capacity, double *clone_capacity);

/*
 * CzShardSizesByName
 *		Bytes of all tables in cz_shards on some servers (NIL: all in use), all asked at
 *		once, as their pages were counted last: hash table of CzShardSize by server and
 *		name.  Nodes that don't answer have none.
 */
typedef struct CzShardSizeKey
{
	Oid			server_oid;
	char		name[NAMEDATALEN];
} CzShardSizeKey;

typedef struct CzShardSize
{
	CzShardSizeKey key;
	int64		bytes;
} CzShardSize;

/* int64 *: the elements of an array of bigint. */
extern List *CzShardIdList(ArrayType *array);

/* The tables that move together with one, itself among them: list of OIDs, ascending. */
extern List *CzFamilyTables(Oid relid);

/* Placements that the shards of a colocation group were made with. */
extern int	CzGroupFactor(int colocation_id);

extern HTAB *CzShardSizesByName(List *server_oids);
extern int64 CzShardSizeOf(HTAB *sizes, const CzShard *shard, Oid server_oid);

/*
 * CzJobCreate
 *		Have moves carried out by a job, which begins when this transaction has committed.
 * CzJobRunning
 *		The number of a job of a type that is not over; 0: there is none.
 */
extern int64 CzJobCreate(const char *type, const char *description, CzTransferMode mode,
						 List *moves);
extern int64 CzJobRunning(const char *type);

/* Has the last job of a type failed, not so many seconds ago? */
extern bool CzJobFailedLately(const char *type, int seconds);

/* Has a job made one more placement of a shard, which has not been given up since? */
extern bool CzJobHasCopied(int64 shard_id);

/*
 * Placements that are too many.
 *
 * relid: of its group, or InvalidOid: of all.  factor: so many stay; 0: what each group should
 *		have, and only where a job has made others in their place.
 * CzSurplusCount: how many could go now.
 * CzSurplusGiveUp: have a background worker do it; NULL: none is free.
 */
extern int	CzSurplusCount(Oid relid, int factor);
extern struct BackgroundWorkerHandle *CzSurplusGiveUp(Oid relid, int factor);

/* Bytes of the database of each node that could be asked, in a hash table by server. */
typedef struct CzNodeSize
{
	Oid			server_oid;		/* key */
	int64		bytes;
} CzNodeSize;

extern HTAB *CzNodeSizes(void);

/* Servers that have not answered for so long, as far as is known: list of OIDs. */
extern List *CzHealthDownServers(int down_ms);

/* Is it worth another try after this error of a move? */
extern bool CzMoveMayBeRepeated(const char *sqlstate);

/*
 * CzReplicateAgain
 *		In the maintenance worker: have placements made that have been missing for
 *		cz.rereplication_delay.  True: none are.
 */
extern bool CzReplicateAgain(void);

#endif							/* CZ_REBALANCE_INT_H */
