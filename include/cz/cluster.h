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

#include "cz/metadata.h"
#include "cz/remote.h"
#include "utils/array.h"
#include "utils/relcache.h"

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

/* Install what removes seals of shards that rows outside of them have met. */
extern void CzSealInit(void);

/* Of attached coordinators, see attach.c. */
extern void CzAttachInit(void);

/* Install what carries partitions of distributed tables to the workers. */
extern void CzPartitionsInit(void);

/* Register the background worker's task that analyzes tables. */
extern void CzAutoAnalyzeInit(void);

/* The same of those that make placements whole, take nodes into use, and carry out jobs. */
extern void CzRepairInit(void);
extern void CzActivateInit(void);
extern void CzJobsInit(void);
extern void CzRebalanceInit(void);
extern void CzSurplusInit(void);

/* The same of the one that looks whether nodes answer. */
extern void CzNodeHealthInit(void);

/*
 * CzCleanUp
 *		Work off entries of the clean-up list, in this transaction: what can be dropped now.
 *
 * move_id: a move, all of whose entries are wanted; 0: all that are due; -1: those of moves.
 * server_name, names: of a node, of objects; NULL: all.
 * nleft: out: entries that could not be.
 * Returns: those that are done.
 *
 * CzCleanUpEach: of the maintenance worker: entries that no move has written, each in a
 *		transaction of its own.  True: none is left.
 * CzCleanupIsLeft: how many entries of such objects of a node are left, due or not, of moves
 *		that have ended.
 */
extern bool CzCleanUpEach(void);
extern int	CzCleanupIsLeft(const char *server_name, ArrayType *names);
extern int	CzCleanUp(int64 move_id, const char *server_name, ArrayType *names, int *nleft);

/*
 * What the mover makes of shards on a node that does not have them (make_shard.c,
 * structure.c).
 *
 * CzShardStructureSql: the commands that make shard number index of a table on a node, as
 *		the owner, without its indexes, but with its partitions.  from: a connection to an
 *		active placement, whose storage parameters it gets; NULL: those of the table.
 * CzShardFinishSql: those that make its indexes, and constraints that are NOT VALID; NULL: it
 *		has none.
 * CzShardUnchecked: those that drop constraints that are NOT VALID, or make them; NULL: it has
 *		none.
 * CzShardStructure: what a placement looks like, as text; NULL: it is not there.  The same
 *		for placements that are equal, foreign keys apart.  has_unchecked: with constraints
 *		that are NOT VALID.
 * CzShardStorage: how a placement is stored, replicated and analyzed, in the same way.
 * CzShardTree: shard number index of a root and those of its partitions, CzTreeShard *, parents
 *		first; the partitions are locked so that they stay.
 * CzTreeShardOf: the shard of a relation in such a tree.  Errors: 40001 it is not there.
 * CzTreeUncheckedSql: the commands that make the constraints of such shards that are NOT VALID,
 *		or (drops) drop them.
 * CzAttachIndexesSql: the commands that attach indexes of partitions to those of parents that
 *		not all partitions have.
 * CzPieceSql: the commands that make a piece of shard number index of a table on a node,
 *		without its indexes, but with its partitions.  tree: the piece, and those of partitions.
 * CzPieceFilter: which rows go to the piece: a condition in which the distribution column is
 *		CZ_PIECE_COLUMN.  helper: name of a table on the node that is read, that is partitioned
 *		by hash of the column.
 * CzPieceBound: a bound of a piece of a range shard, above the one before it (or NULL), in the
 *		form that pinned settings give it.  Errors: 22023 it is not within the shard's.
 * CzPieceHelperSql: the command that makes such a table.
 * CzPiecesAttach: the pieces take the place of shard number index in the catalogs; nobody uses
 *		the table or its partitions.
 * CzCheckMayReadBounds: 42501 if the user may not name bounds of the table's shards: their
 *		relations are made as a superuser, who reads the bounds then.
 * CzColumnList: the columns that hold data, quoted, with commas; NULL: there is none.
 * CzCopyShardRows: rows from one node to another by two COPY commands.
 * CzCopyFinish: the end of a COPY all of whose data has been read, or (is_in) sent.
 *
 * copied: out: bytes so far, with a call of progress now and then; NULL: nobody asks.
 */
extern char *CzShardStructureSql(Relation rel, const CzTable *table, int index, Oid server_oid,
								 CzConn *from);
extern char *CzShardFinishSql(Relation rel, const CzTable *table, int index);
extern char *CzShardUnchecked(Relation rel, const CzTable *table, int index, bool drops);
extern char *CzShardStructure(CzConn *conn, const CzTable *table, int index, bool has_unchecked);
extern char *CzShardStorage(CzConn *conn, const CzTable *table, int index);
/*
 * CzGroupShardCount
 *		How many shards the tables of a table's group were made with: they may have been split
 *		since.  (placement.c)
 */
extern int	CzGroupShardCount(const CzTable *table);

/* A root or a partition, and a shard of it. */
typedef struct CzTreeShard
{
	Oid			relid;
	const CzShard *shard;
} CzTreeShard;

/* What becomes of a shard of a table that is split. */
typedef struct CzPieceTable
{
	Oid			relid;
	CzShard    *shards;			/* as many as there are pieces */
	List	   *partitions;		/* CzPieceTable * of all partitions, parents first */
} CzPieceTable;

extern List *CzShardTree(const CzTable *root, int index);
extern const CzShard *CzTreeShardOf(const List *tree, Oid relid);
extern void CzTreeUncheckedSql(StringInfo sql, const List *tree, bool drops);
extern void CzAttachIndexesSql(StringInfo sql, const List *tree);

#define CZ_PIECE_COLUMN '\001'
struct CzPiece;
extern char *CzPieceSql(Relation rel, const CzTable *table, int index, const List *tree,
						const struct CzPiece *piece, Oid server_oid, CzConn *from);
extern char *CzPieceFilter(const CzTable *table, const struct CzPiece *piece,
						   const char *helper);
extern char *CzPieceBound(const CzTable *table, int index, const char *before,
						  const char *text);
extern char *CzPieceHelperSql(const CzTable *table, const char *qualified, const char *helper);
extern void CzPiecesAttach(const CzPieceTable *split, int index, List *pieces);
extern void CzCheckMayReadBounds(const CzTable *table);
extern char *CzColumnList(Oid relid);
typedef void (*CzCopyProgress) (int64 bytes, void *arg);
extern void CzCopyShardRows(CzConn *from, CzConn *to, const char *out_sql, const char *in_sql,
							CzCopyProgress progress, void *arg);
extern void CzCopyFinish(CzConn *conn, const char *sql, bool is_in);

/*
 * old_keys.c: foreign keys of a placement that is given up to reference tables.
 *
 * CzOldKeysOf: those of the shards with an index of some tables, on a worker; palloc'd.
 * CzOldKeysDrop: drop these, if its readers let them; in transactions of its own.  Sets
 *		lock_timeout, to 0 in the end.
 */
extern List *CzOldKeysOf(List *relids, int shard_index, Oid server_oid);
extern void CzOldKeysDrop(List *old_keys);

#endif							/* CZ_CLUSTER_H */
