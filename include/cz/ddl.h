/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  ProcessUtility hook: DDL on distributed tables reaches all placements
 *	  or is refused.  And the SQL text that defines a shard on its workers.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_DDL_H
#define CZ_DDL_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "cz/metadata.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

extern void CzDdlInit(void);

/* While > 0, DDL is our own: the utility hook passes it on untouched. */
extern int	cz_internal_ddl_depth;

/* Does an expression over a table use a system column or a whole row?  A shard has others. */
extern bool CzUsesSystemColumn(Node *expr);

/* One index of a table, as its shards get it. */
typedef struct CzIndexDef
{
	char	   *name;			/* on the coordinator, unquoted */
	bool		is_constraint;	/* PRIMARY KEY or UNIQUE constraint */
	bool		is_unique;
	bool		is_only;		/* without those of partitions, for not all have it */
	char	   *text;			/* constraint: its definition; else what follows
								 * "CREATE INDEX name ON table " */
	List	   *alters;			/* char *: what follows "ALTER INDEX name " */
	bool		is_clustered;	/* CLUSTER ON names it */
	bool		is_identity;	/* REPLICA IDENTITY USING INDEX names it */
} CzIndexDef;

/* A CHECK or NOT NULL constraint that is NOT VALID: rows need not fulfil it. */
typedef struct CzUncheckedDef
{
	bool		is_inherited;	/* a partition's, that comes with its parent's */
	char	   *drop;			/* what follows "ALTER TABLE name "; it need not be there */
	char	   *add;			/* the same */
} CzUncheckedDef;

/* What the shards of a table look like; names and bounds are added per shard. */
typedef struct CzTableDef
{
	bool		is_unlogged;
	char	   *columns;		/* column and CHECK list, without parentheses; what is NOT VALID
								 * is in unchecked */
	char	   *partition_by;	/* " PARTITION BY ..." or "" */
	char	   *with;			/* " WITH (...)" or "" */
	List	   *alters;			/* char *: what follows "ALTER TABLE name " */
	List	   *indexes;		/* CzIndexDef * */
	List	   *unchecked;		/* CzUncheckedDef * */
} CzTableDef;

/*
 * CzTableDefGet
 *		Read the definition of a table from the catalogs; names qualified.
 *
 * Returns: palloc'd in CurrentMemoryContext.
 */
extern CzTableDef *CzTableDefGet(Relation rel);
extern CzIndexDef *CzIndexDefGet(Oid index_oid);

/*
 * SQL that makes one shard, in this order:
 *
 * CzShardCreateSql: the table; check: extra CHECK constraint (with its name) or NULL.
 * CzShardUncheckedSql: when its rows are there, the constraints that are NOT VALID; drops: they
 *		go, so that such rows can come.
 * CzShardIndexesSql: its indexes, and which of them CLUSTER ON and REPLICA IDENTITY name.
 * CzShardIndexSql, CzShardRolesSql: the two, one index by itself.
 */
extern void CzShardCreateSql(StringInfo sql, const CzTableDef *def,
							 const CzShard *shard, const char *check);
extern void CzShardUncheckedSql(StringInfo sql, const CzTableDef *def, const CzShard *shard,
								bool drops);
extern void CzShardIndexesSql(StringInfo sql, const CzTableDef *def,
							  const CzShard *shard);
extern void CzShardIndexSql(StringInfo sql, const CzIndexDef *index,
							const CzShard *shard);
extern void CzShardRolesSql(StringInfo sql, const CzTableDef *def, const CzShard *shard);

/* One column as CREATE TABLE and ADD COLUMN write it, without default. */
extern char *CzColumnSql(Relation rel, AttrNumber attno);

/* Name of a shard as remote_qualified has it. */
extern char *CzQualifiedName(const char *schema, const char *name);

/* The same of a shard's index, by the name that it has here; palloc'd. */
extern char *CzQualifiedIndex(const CzShard *shard, const char *name);

/*
 * CzPropagateObjects
 *		Create on the workers what a relation's columns, CHECKs, generated
 *		columns and indexes need and that is missing there: schemas,
 *		extensions, types, collations, functions.
 *
 * server_oids: workers; user_oid: local role that runs it there.
 * Errors: 0A000 for an object that cannot be recreated (a C function or a base
 *		type that belongs to no extension, ...).
 */
extern void CzPropagateObjects(Oid relid, List *server_oids, Oid user_oid);
/* The same for some objects only: a list of ObjectAddress *. */
extern void CzPropagateAddresses(List *addresses, List *server_oids, Oid user_oid);

/*
 * CzLedgerLearn
 *		Note anew what workers have of types, functions and the like, by names: after
 *		pg_upgrade most have other OIDs, after a restore nothing is known.  What workers do
 *		not tell is to be noted by CzPropagateObjects.
 */
extern void CzLedgerLearn(void);

/*
 * CzExtensionsGive
 *		A worker that is taken into use: try to create what extensions the others
 *		have, and remember which it has as the coordinator has them.  WARNING for
 *		each that it has not.
 */
extern void CzExtensionsGive(Oid server_oid, Oid user_oid);

/* Make sure that the schema cz_shards exists on these workers. */
extern void CzEnsureShardSchema(List *server_oids, Oid user_oid);

/* Workers that hold a placement of any shard of a table: list of OIDs. */
extern List *CzTableServers(const CzTable *table);

/*
 * CzDropRemoteTables
 *		Drop tables on a worker within the transaction; one that can't be
 *		reached gets rows in cz.cleanup, with a WARNING.
 */
extern void CzDropRemoteTables(Oid server_oid, Oid user_oid, List *qualified_names);

/*
 * CzPropagatePrivileges
 *		Grant on the shards of a table, or of all (InvalidOid), what roles with user mappings
 *		of their own may do to it: they are themselves on the workers.  sender: as whom;
 *		InvalidOid: as the owner.
 *
 * CzGrantsSql
 *		The same for one shard that has been made on a worker, to be run as the owner;
 *		NULL: nothing is to be granted.
 *
 * CzRemoteRole
 *		The name of a local role on a worker; NULL: it has no user mapping.
 */
extern void CzPropagatePrivileges(Oid relid, Oid sender);
extern char *CzGrantsSql(Oid relid, Oid server_oid, const char *qualified);
extern char *CzRemoteRole(Oid server_oid, Oid user_oid);

/* The command that does what a row of cz.cleanup asks for; NULL: nothing is to be done. */
extern char *CzCleanupSql(char *kind, char *schema, char *name, char *args);

/* Run what make writes for each shard on all its placements, in the transaction. */
typedef void (*CzMakeSql) (StringInfo sql, const CzShard *shard, void *arg);
extern void CzRunOnPlacements(const CzTable *table, CzMakeSql make, void *arg);

/*
 * Schemas that are tenants (src/cluster/tenants.c, which sets these): before a statement
 * is run, and after it, with what the former has returned.
 */
typedef struct CzTenantHooks
{
	Oid			(*before) (Node *stmt);
	void		(*after) (Node *stmt, Oid object);
	int			(*group) (Oid namespace_oid);	/* of a schema's tables, 0: none */
} CzTenantHooks;

extern CzTenantHooks cz_tenant_hooks;

/*
 * A statement that gives the distribution column values of another hash: the table is an
 * ordinary one while run(arg) runs it, and is distributed anew afterwards, in the same
 * number of shards (src/cluster/redistribute.c, which sets it).
 */
typedef void (*CzRedistributeHook) (Oid relid, void (*run) (void *arg), void *arg);

extern CzRedistributeHook cz_redistribute_hook;

/*
 * Partitions of distributed tables (src/cluster sets these).
 *
 * adopt: a local table has become a partition; release: a partition has been detached
 * from that parent, with keys that were CzInheritedKeys, and becomes a distributed table
 * of its own; localize: a distributed
 * table becomes a local one, with its rows.
 */
typedef struct CzPartitionHooks
{
	void		(*adopt) (Oid relid);
	void		(*release) (Oid relid, Oid parent_relid, List *inherited_keys);
	void		(*localize) (Oid relid);
} CzPartitionHooks;

extern CzPartitionHooks cz_partition_hooks;

/* Run SQL as the bootstrap superuser through SPI (own catalogs only). */
extern uint64 CzCatalogExec(const char *sql, int nargs, Oid *argtypes, Datum *values,
							const char *nulls);

/* Send to the workers what the current statement has dropped. */
extern void CzDropFlush(void);

/*
 * CzMakeHeap, CzMakeParent
 *		A partitioned parent becomes an ordinary, empty table, and an ordinary table a
 *		partitioned parent: relation kinds and storage of the table and its indexes, not
 *		the partition key (CzForgetPartitionKey, core's StorePartitionKey) nor pg_inherits.
 *
 * The caller holds AccessExclusiveLock, and no reference to the relation is open.
 * After CzMakeHeap indexes have storage but nothing in it: reindex_relation().
 * reltuples, relpages: of pg_class, -1: not known.  options: of CzTableOptions.
 */
extern void CzMakeHeap(Oid relid, Datum options);
extern void CzMakeParent(Oid relid, float4 reltuples, int32 relpages, bool has_leaves);
extern void CzForgetPartitionKey(Oid relid);

/*
 * CzLeafCreate
 *		Make the coordinator's foreign table of a shard and store its bound; it is no
 *		partition before CzLeavesAttach, so that to make many is not quadratic.
 *
 * bound: raw, as the parser makes it.  Returns: its OID, visible to the next command.
 * Errors: core's of a bound that is wrong or overlaps.
 */
extern Oid	CzLeafCreate(Oid parent_relid, const CzShard *shard, PartitionBoundSpec *bound);

/*
 * CzLeafSetBound
 *		Give a partition of a parent, which the caller has locked exclusively, another bound,
 *		raw, that all its rows are within and that meets no other partition's.
 */
extern void CzLeafSetBound(Oid parent_relid, Oid leaf_relid, PartitionBoundSpec *bound);

/*
 * CzLeavesTie
 *		Columns and CHECKs of leaves that use something of a user (a type, a collation, a
 *		function) are parts of the parent's, so that nobody is told of them when that is
 *		dropped.  A leaf without one of them, and one that is tied already, is passed over.
 * CzLeavesUntie
 *		The opposite, for the time of an ALTER TABLE of the parent.
 * CzLeafSetOwner
 *		A leaf's owner is its parent's; the role is not told of it.
 * CzLeavesSetOwner
 *		The same for a root's map and for all leaves of a table that has another owner now.
 */
extern void CzLeavesTie(Oid parent_relid, List *leaves);
extern void CzLeavesUntie(Oid parent_relid);
extern void CzLeafSetOwner(Oid leaf, Oid owner);
extern void CzLeavesSetOwner(const CzTable *table);
extern void CzLeavesAttach(Oid parent_relid, List *leaves);

/*
 * CzLeafDrop
 *		Drop the coordinator's foreign table of a shard, with what is known of the shard; not
 *		the shard.  The caller has AccessExclusiveLock of the parent.
 */
extern void CzLeafDrop(Oid leaf);

/* Nobody but the owner may touch a shard's relation, whatever default privileges say. */
extern void CzRemovePrivileges(Oid relid, Oid owner);

/* A partitioned table whose partitions are shards, also one that is not (yet) in
 * cz.tables. */
extern bool CzIsParent(Oid relid);

/* Storage parameters of a table, "toast." ones too: text[], 0: none; a parent's are in
 * cz.tables. */
extern Datum CzTableOptions(Oid relid);
extern void CzCatalogSetOptions(Oid relid, Datum options);

/*
 * CzShardRowsBegin, CzShardRowsNext, CzShardRowsEnd
 *		All rows of shards, for who is about to take them away from there (shardrows.c).
 *		The shards stay locked (ACCESS EXCLUSIVE) where they are read.
 *
 * desc: shape of the rows; columns go by name, dropped ones are NULL.
 * shards, server_oids: the placement of each that is read; borrowed until the end.
 * index: out: the shard that the row is of; they come in the order of the array.
 * Returns: of Next: NULL at the end, else valid until the next call; domains are unchecked.
 * Errors: 0A000 if the transaction's own snapshot might not show all rows; 55P03, 55000 if
 *		a worker does not let us have them.
 */
typedef struct CzShardRows CzShardRows;

extern CzShardRows *CzShardRowsBegin(TupleDesc desc, const CzShard *shards,
									 const Oid *server_oids, int nshards, Oid owner);
extern HeapTuple CzShardRowsNext(CzShardRows *rows, int *index);
extern void CzShardRowsEnd(CzShardRows *rows);

/*
 * CzNoticeLogged
 *		An unlogged table's shards have several placements, so they are logged: a NOTICE.
 */
extern void CzNoticeLogged(const char *table_name);

/* Take a table out of cz.tables. */
extern void CzForgetTable(Oid relid);

/* Take a schema out of cz.tenant_schemas. */
extern void CzForgetTenant(const char *schema);

/* Remove the column defaults of a shard: they are the parent's business. */
extern void CzRemoveShardDefaults(Oid shard_relid);

/*
 * Foreign keys (keys.c).
 *
 * cz_distributed_together: tables that a statement distributes, or makes ordinary ones,
 *		together: keys among them stay, and are looked at with the last one.
 * CzForeignKeys: OIDs of those of a table; both_ends: and of those to it.
 * CzTreeForeignKeys: and of its partitions', if its user has partitioned it.
 */
extern List *cz_distributed_together;
extern List *CzForeignKeys(Oid relid, bool both_ends);
extern List *CzTreeForeignKeys(Oid relid, bool both_ends);

/* A foreign key of a partition that is one of a partitioned table above. */
typedef struct CzInheritedKey
{
	Oid			oid;			/* the partition's */
	char	   *name;
	Oid			top_oid;		/* that of the table at the top that has it */
	char	   *top_name;
	Oid			top_relid;		/* this table */
	Oid			to_relid;		/* the referenced one */
	bool		is_on_shards;	/* CzKeyIsOnShards */
} CzInheritedKey;

/* Those of a partition: CzInheritedKey *, palloc'd. */
extern List *CzInheritedKeys(Oid relid);

/* A foreign key as pg_constraint has it. */
typedef struct CzKey
{
	Oid			oid;
	char	   *name;
	Oid			from_relid;		/* the referencing table */
	Oid			to_relid;		/* the referenced one */
	char		match;
	char		on_update;
	char		on_delete;
	bool		is_deferred;	/* initially */
	bool		is_valid;
	bool		has_period;		/* the last columns are compared by overlapping */
	int			ncolumns;
	AttrNumber *from_attnos;	/* [ncolumns] */
	AttrNumber *to_attnos;		/* [ncolumns] */
	int			nset;			/* 0: ON DELETE SET sets them all */
	AttrNumber *set_attnos;		/* [nset] */
} CzKey;

/* Palloc'd. */
extern CzKey *CzKeyGet(Oid constraint_oid);

/*
 * CzKeyActs
 *		CzKeyActsHere() of a key between distributed tables: key_attno is the distribution
 *		column of the referencing one.
 */
extern bool CzKeyActs(const CzKey *key, AttrNumber key_attno, bool is_delete);

/* The command that renames a key of a shard; names are those on the worker. */
extern void CzRenameKeySql(StringInfo sql, const CzShard *shard, const char *name,
						   const char *new_name);

/* One end of a key: how a table is distributed, or is about to be. */
typedef struct CzKeyEnd
{
	Oid			relid;
	bool		is_ours;		/* false: an ordinary table, and nothing else is set */
	CzTableKind kind;
	int			colocation_id;
	AttrNumber	key_attno;		/* 0: none */
} CzKeyEnd;

/*
 * CzCheckForeignKey, CzCheckKeysOf
 *		Raise why a foreign key can't be kept by shards, or one of a table that is to be
 *		distributed so, of both ends.
 *
 * Errors: 0A000, with the way out.
 */
extern void CzCheckForeignKey(Oid constraint_oid);
extern void CzCheckKeysOf(const CzKeyEnd *planned);

/*
 * CzKeyColocation
 *		A hash-distributed table with which a new one must be colocated because a foreign
 *		key joins them by their distribution columns; NULL: there is none.
 */
extern const CzTable *CzKeyColocation(const CzKeyEnd *planned, Oid key_type, Oid key_collation);

/*
 * Keys of shards (keys_shards.c).
 *
 * CzKeysOnShards: those of a table, both_ends: and to it, that workers have: CzKey *.
 * CzTreeKeysOnShards: and of its partitions.
 * CzKeyShardName, CzKeyShardText: name and definition of a key of shard number index, the
 *		latter as the worker's pg_get_constraintdef() writes it.
 * CzKeyShardSql: the command that adds it, or drops it if it is there.
 * CzForeignKeysToShards: all placements of a table get some of its keys (OIDs).
 * CzKeysSettle: a table has been distributed: keys that have both ends now, of it and to
 *		it, come to the shards.  23503 if a row is in their way.
 */
extern List *CzKeysOnShards(Oid relid, bool both_ends);
extern List *CzTreeKeysOnShards(Oid relid, bool both_ends);
extern char *CzKeyShardName(const CzKey *key, const CzShard *shard);
extern char *CzKeyShardText(const CzKey *key, int index);
extern void CzKeyShardSql(StringInfo sql, const CzKey *key, int index, bool drops);
extern void CzForeignKeysToShards(Oid relid, List *constraint_oids);

/* A table will be distributed, or an ordinary one: who does what its keys, and others of the
 * tables that they join it with, do may change (keys_actors.c). */
extern void CzKeyActorsNoteOthers(Oid relid);

/* Have rows of a distributed table what they refer to by a key that workers do not check?
 * 23503; nothing is looked at if the key is NOT VALID. */
extern void CzKeyCheckRows(Oid constraint_oid);
extern void CzKeysSettle(Oid relid);

/*
 * CzShardsCanCheck
 *		Can shards check a unique index or an exclusion constraint each alone: does it
 *		contain the distribution column, compared as its operator family does?  true for
 *		other indexes.
 */
extern bool CzShardsCanCheck(Relation index, AttrNumber key_attno, Oid key_opfamily,
							 bool is_range);

/* Every shard has this index of a parent. */
extern void CzMarkIndexValid(Oid index_oid);

/* false: a reference table that pg_dump's script has rebuilt and cz_finish_restore
 * not yet completed; DDL on it is local. */
extern bool CzReferenceHasTriggers(Oid relid);

/* A table that becomes a distributed one: warn if publications have it, its rows will
 * not be in this server's WAL any more. */
extern void CzWarnIfPublished(Oid relid);

/* Called when a worker has got another address: error if it is another one there. */
extern void (*cz_server_moved) (Oid server_oid);

/* "c1, c2, ...", n of them, each after a prefix; palloc'd. */
extern char *CzNumberedColumns(int n, const char *prefix);

/*
 * CzRequireMajor
 *		Error 0A000 if a worker is older than this: what (it is to be created there) came
 *		with that major.
 */
extern void CzRequireMajor(int major, const char *what);

/*
 * CzTryLock
 *		Lock relations, or none: those who have them are waited for no longer than for each,
 *		and who comes later waits meanwhile.  False: they were not gone in time.
 *
 * forgives_deadlock: false, too, if it is a deadlock.
 */
extern bool CzTryLock(List *relids, LOCKMODE mode, int timeout_ms, bool forgives_deadlock);

#endif							/* CZ_DDL_H */
