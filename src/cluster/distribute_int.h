/*-------------------------------------------------------------------------
 *
 * distribute_int.h
 *	  Private to src/cluster: the steps of distributing a table.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_DISTRIBUTE_INT_H
#define CZ_DISTRIBUTE_INT_H

#include "cz/ddl.h"
#include "cz/remote.h"
#include "utils/rel.h"

/* How a table is (to be) distributed. */
typedef struct CzDistribution
{
	char		method;			/* PARTITION_STRATEGY_HASH or _RANGE; _LIST: no key */
	AttrNumber	key_attno;		/* 0 if there is no key, and so what follows */
	Oid			key_type;		/* the column's type, maybe a domain */
	Oid			key_base_type;	/* input type of the operator class */
	Oid			key_collation;
	Oid			key_opclass;
	Oid			key_opfamily;
	int			shard_count;	/* 0 for range */
	int			replication_factor;
	int			colocation_id;
} CzDistribution;

/* eligibility.c */
extern void CzCheckTableOwner(Oid relid);
extern void CzCheckDistributable(Relation rel, CzTableKind kind);
extern void CzCheckPartition(Relation rel, CzTableKind kind);
extern void CzCheckUniqueKeys(Relation rel, const CzDistribution *dist);
extern void CzFindKey(Relation rel, const char *column_name, char method,
					  CzDistribution *dist);

/* placement.c */
extern List *CzChooseColocation(Relation rel, CzDistribution *dist,
								const char *colocate_with, bool has_shard_count);
extern int	CzCreateSingleGroup(void);
/* The first of these tables of a group that has not been dropped meanwhile, or NULL. */
extern const CzTable *CzGroupMember(List *colocated);

extern CzShard *CzPlanHashShards(Relation rel, CzDistribution *dist, List *colocated);
extern CzShard *CzActivePlacements(const CzShard *shards, int nshards);
extern List *CzPlannedServers(const CzShard *shards, int nshards);
extern List *CzUsableNodes(void);
extern void CzRegisterTable(Oid relid, char kind, int colocation_id, int64 shard_id);

/* convert.c */
extern void CzConvertToPartitioned(Oid relid, const CzDistribution *dist,
								   double reltuples);
extern void CzConvertToHeap(Oid relid, Datum options);
extern Oid	CzCreateShardRelation(Oid parent_relid, const CzShard *shard,
								  const CzDistribution *dist, const char *min,
								  const char *max);

/* the bound of a range shard; NULL: MINVALUE, MAXVALUE */
extern PartitionBoundSpec *CzRangeBound(const char *min, const char *max);

/*
 * range.c: shards of range tables, which the caller has locked exclusively.  Bounds are
 * texts as CzRangeText makes them; NULL: MINVALUE, MAXVALUE.
 *
 * CzOpenRangeTable: a range table, the caller's own, locked; else an error.
 * CzRangeText: a bound that the user wrote, or NULL, in the form that pinned settings give
 *		it.  CzRangeValueText, CzRangeValue: a key as such a text, and back.
 * CzRangeBoundTexts: those of a shard.
 * CzPlanRangeShard: the servers of a new shard; offset: of how many that follow each other.
 * CzAddRangeShard: server_oids: where to place it; NIL: as the settings say.  Returns its id.
 * CzMoveRangeBounds: give a shard other bounds, that all of its rows are within.
 */
extern const CzTable *CzOpenRangeTable(Oid relid, const char *function);
extern char *CzRangeText(const CzTable *table, const char *text);
extern char *CzRangeValueText(const CzTable *table, Datum value);
extern Datum CzRangeValue(const CzTable *table, const char *text);
extern void CzRangeBoundTexts(const CzTable *table, int index, char **min, char **max);
extern List *CzPlanRangeShard(const CzTable *table, int offset);
extern int64 CzAddRangeShard(Oid relid, int64 shard_id, const char *min, const char *max,
							 List *server_oids);
extern void CzMoveRangeBounds(Oid relid, int64 shard_id, const char *min, const char *max);

/* append.c */
extern void CzSetAppend(Oid relid);
extern bool CzIsAppend(Oid relid);

/* statistics.c: what cz.shard_statistics has of one shard, read anew */
extern void CzUpdateShardStatistics(const CzTable *table, int index);
extern void CzShardExtremes(const CzTable *table, int index, char **min, char **max);

/*
 * seal.c
 *
 * CzSealSql: what seals a placement of a shard.
 * CzUnseal: a shard is not sealed any more, if it was; the table is locked against DDL.
 */
extern char *CzSealSql(const CzTable *table, int index, const char *min, const char *max);
extern void CzUnseal(const CzTable *table, int index);

/* shardcheck.c */
extern char *CzHashCheckSql(Relation rel, const CzDistribution *dist,
							const CzShard *shard);
extern char *CzRangeCheckSql(Relation rel, const CzDistribution *dist,
							 const char *min, const char *max);

/* What is true of the rows of a shard and not of those of others; NULL: nothing that plain
 * SQL can say.  Names columns of rel. */
extern char *CzShardRowsExpr(Relation rel, const CzTable *table, int index);
/* The CHECK that keeps other rows out of it; NULL: none. */
extern char *CzShardCheckSql(Relation rel, const CzTable *table, int index);

/* distribute_partitions.c */
extern void CzDistributeRoot(Relation rel, CzDistribution *dist, List *colocated);
extern void CzTableDistribution(const CzTable *table, CzDistribution *dist);
extern Oid	CzMapCreate(Oid root_relid, const CzDistribution *dist);
extern void CzRegisterRoot(Oid relid, char kind, int colocation_id, Oid map_relid);
extern void CzRegisterPartition(Oid relid, Oid root_relid, const char *name,
								bool is_partitioned, const int64 *shard_ids, int nshards,
								Datum options);

/* the bound of a partition as CREATE TABLE and ATTACH PARTITION write it (shard_tree.c) */
extern char *CzPartitionBoundSql(Oid relid);

/* the distribution of a partition, whose columns may have other numbers than the root's */
extern void CzPartDistribution(const CzDistribution *dist, Oid root_relid, Oid relid,
							   CzDistribution *result);

/*
 * detach_partition.c: a partition has been detached from a distributed table: it becomes one
 * of its own, in the same group, with the shards that it has.  inherited_keys:
 * CzInheritedKey *
 */
extern void CzReleasePartition(Oid relid, Oid parent_relid, List *inherited_keys);

/* the partitions of a root's shard on a worker, which is there itself; tree: of CzTreeShard * */
extern void CzPartitionsSql(StringInfo sql, const CzTable *root, const List *tree,
							Oid server_oid);

/* distribute.c */
extern void CzCreateLeaves(Oid relid, CzShard *shards, const CzDistribution *dist);
extern void CzLogReplicated(CzTableDef *def, const char *table_name, const CzShard *shards,
							int nshards);
extern void CzDistributeToGroup(Oid relid, int colocation_id);

/* undistribute.c */
extern void CzUndistribute(Oid relid);

/* tenants.c: group of a schema's tables, 0 if the schema is no tenant */
extern int	CzTenantGroup(Oid namespace_oid);
extern void CzRefuseTenant(Relation rel, const char *function);

/* reference.c */
extern void CzCreateReferenceTriggers(Oid relid);
extern bool CzReferenceCopyTable(Oid relid, Oid server_oid);

/* make_shard.c */
extern void CzMakeShard(Relation rel, const CzTable *table, int index, Oid server_oid);

/* load.c */
extern uint64 CzMoveRows(Relation rel, const CzDistribution *dist, CzShard *shards,
						 Oid owner);

/*
 * online.c: the same of a table that others write; an ordinary one in access method heap, in
 * which the caller has locked out DDL and VACUUM (ShareUpdateExclusiveLock).
 *
 * CzOnlineBegin: the shards get the rows that are there.
 * CzOnlineEnd: and those that have come meanwhile; the table is locked exclusively then.
 *		Returns: number of rows.
 *
 * Errors: 55006 if somebody waits to alter the table, 55P03 if it cannot be locked
 *		(cz.cutover_attempts).
 */
typedef struct CzOnline CzOnline;
extern CzOnline *CzOnlineBegin(Relation rel, const CzDistribution *dist, const CzShard *shards,
							   Oid owner);
extern uint64 CzOnlineEnd(CzOnline *online);

/* auto_analyze.c: the second runs a statement by SPI, whose rows nobody wants */
extern void CzAnalyzeLoaded(Oid relid);
extern void CzRunSql(const char *sql);

#endif							/* CZ_DISTRIBUTE_INT_H */
