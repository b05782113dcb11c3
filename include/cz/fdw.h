/*-------------------------------------------------------------------------
 *
 * fdw.h
 *	  What other modules need of the foreign data wrapper: VACUUM and ANALYZE of
 *	  the shards of a table.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_FDW_H
#define CZ_FDW_H

#include "cz/metadata.h"

/*
 * CzMaintainShards
 *		Run a command that takes a list of tables on all placements of all shards,
 *		on all workers at once, and wait for it.
 *
 * command: "VACUUM" or "ANALYZE" with its options; columns: " (...)" or "".
 *		ANALYZE runs at a statistics target scaled to the number of shards.
 * missing_ok: a worker that can't be reached is only a WARNING.
 * Errors: 08001 if it has the only placement of a shard.
 */
extern void CzMaintainShards(const CzTable *table, const char *command, const char *columns,
							 bool is_vacuum, bool missing_ok);

/*
 * CzAnalyzeShardsLater, CzAnalyzeShardsFinish
 *		The same for an ANALYZE of the shards that shall go on while this server
 *		makes statistics of the parent from the sample: it starts as soon as the
 *		sample is drawn, at the latest in CzAnalyzeShardsFinish, which waits for it.
 *		CzAnalyzeShardsForget after an error.
 */
extern void CzAnalyzeShardsLater(const CzTable *table, const char *command,
								 const char *columns);
extern void CzAnalyzeShardsFinish(void);
extern void CzAnalyzeShardsForget(void);

/*
 * CzShardChanges
 *		How many rows have ever been written to the shards of a table, as the workers
 *		count, and how many there are.
 *
 * Returns: false if a shard can't be reached.
 */
extern bool CzShardChanges(const CzTable *table, double *changes, double *rows);

/*
 * CzFdwTruncateParts
 *		The shards' foreign tables that are truncated from now on stand for these roots or
 *		partitions (OIDs, not copied); NIL: for what they are.
 */
extern void CzFdwTruncateParts(List *relids);

/*
 * CzAnalyzeMapFor
 *		Core's ANALYZE that follows is of the map of a root's shards, and draws the rows of
 *		this table, the root or a partition of it.  CzAnalyzeShardsForget ends it.
 */
extern void CzAnalyzeMapFor(Oid relid);

/*
 * CzTableRows
 *		How many rows a table has by the sizes of its shards, about.
 *
 * Errors: 08001 if a shard can't be reached.
 */
extern double CzTableRows(const CzTable *table);

/*
 * CzStatisticsFetch, CzStatisticsStore
 *		After the ANALYZE of a table's only shard, before that of the table by core: the
 *		statistics that the worker has made of its columns (or of those that are named, as
 *		ANALYZE has them), with which core draws no rows; and, after it, give them to the
 *		table.  palloc'd.
 *
 * Returns: NULL where they cannot be those of the table, or before 18: core draws rows.
 */
typedef struct CzStatistics CzStatistics;
extern CzStatistics *CzStatisticsFetch(const CzTable *table, List *columns);
extern void CzStatisticsStore(CzStatistics *statistics);

/* Core's ANALYZE of this parent that follows draws no rows; it has so many. */
extern void CzAnalyzeWithoutRows(Oid relid, double rows);

/* Core's ANALYZE of this parent follows a VACUUM: the workers know their rows. */
extern void CzAnalyzeRowsAreKnown(bool are_known);

#endif							/* CZ_FDW_H */
