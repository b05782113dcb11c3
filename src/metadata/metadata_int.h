/*-------------------------------------------------------------------------
 *
 * metadata_int.h
 *	  Private to src/metadata.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_METADATA_INT_H
#define CZ_METADATA_INT_H

#include "cz/metadata.h"
#include "partitioning/partbounds.h"

/*
 * What the cache holds of a relation.  The public part comes first: a CzTable
 * pointer from CzTableGet is a CzTableEntry pointer.
 */
typedef struct CzTableEntry
{
	CzTable		table;
	bool		is_ours;		/* false while it is being filled */
	MemoryContext context;		/* holds this struct and all it points to */
	MemoryContext scratch;		/* while it is being filled: for what is not kept */
	struct CzTableEntry *next_retired;	/* list of those that are replaced but
										 * may be borrowed yet */

	/* Routing; valid for CZ_TABLE_HASH and CZ_TABLE_RANGE */
	PartitionBoundInfo bounds;
	FmgrInfo   *support;		/* hash: extended hash; range: comparison */
	Oid			collation;
} CzTableEntry;

/* One row of cz.tables. */
typedef struct CzTableRow
{
	char		kind;
	int			colocation_id;
	int64		shard_id;		/* 0 if NULL */
	char	   *remote_name;	/* palloc'd; NULL: by the table's name */
	Oid			map_relid;		/* InvalidOid if NULL */
} CzTableRow;

/* catalog.c */
extern bool CzCatalogReadTable(Oid relid, CzTableRow *row);

/* Fill seals of a table, whose shards are known. */
extern void CzCatalogReadSeals(CzTable *table);

/* partitions.c: the partition of a shard by its number; the table whose shard a foreign
 * table is, the root of a map's */
extern Oid	CzPartitionOfShard(int64 id);
extern Oid	CzTableOfLeaf(Oid leaf_relid);

/* CzTable.row_triggers of a table that its user has partitioned, and its key_parts. */
extern int	CzTreeTriggers(Oid relid, List **key_parts);

/* tables.c */
extern void CzTableCacheInit(void);

/* usernames.c */
extern void CzUserNamesInit(void);

#endif							/* CZ_METADATA_INT_H */
