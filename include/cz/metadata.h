/*-------------------------------------------------------------------------
 *
 * metadata.h
 *	  Workers, distributed tables, shards and placements, as the catalogs
 *	  have them; cached per backend, dropped by invalidation messages.
 *
 * Never opens a socket.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_METADATA_H
#define CZ_METADATA_H

#include "access/attnum.h"
#include "cz/endpoint.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#define CZ_SHARD_SCHEMA "cz_shards"

/* Schema, here and on workers, of aggregates that return transition states. */
#define CZ_PARTIAL_SCHEMA "cz_partial"

/* Which of them a worker has. */
typedef enum CzPartials
{
	CZ_PARTIALS_NONE,
	CZ_PARTIALS_PLAIN,			/* those whose state is no internal one */
	CZ_PARTIALS_ALL
} CzPartials;

typedef enum CzTableKind
{
	CZ_TABLE_HASH = 'h',		/* partitioned parent, hash shards */
	CZ_TABLE_RANGE = 'r',		/* partitioned parent, range shards */
	CZ_TABLE_SINGLE = 's',		/* partitioned parent, one shard, no key */
	CZ_TABLE_REFERENCE = 'n',	/* local table, a copy on every worker */
	CZ_TABLE_FOREIGN = 'f'		/* any foreign table of cz_fdw by itself: an
								 * independent one, or one shard named directly */
} CzTableKind;

/* Is it a table whose rows are in shards of its own: a partitioned parent? */
#define CzTableIsDistributed(table) \
	((table)->kind == CZ_TABLE_HASH || (table)->kind == CZ_TABLE_RANGE || \
	 (table)->kind == CZ_TABLE_SINGLE)

/* One shard.  For CZ_TABLE_REFERENCE, CZ_TABLE_FOREIGN and CZ_TABLE_SINGLE there is
 * exactly one. */
typedef struct CzShard
{
	int64		shard_id;		/* cluster-wide; 0 for an independent foreign table */
	Oid			relid;			/* the coordinator's foreign table; the table
								 * itself for a reference table */
	char	   *remote_schema;	/* names on every worker, unquoted */
	char	   *remote_name;
	char	   *remote_qualified;	/* both, quoted, with a dot */
	int64		name_id;		/* the number in the names of it and its indexes: shard_id,
								 * but for a partition one of its own */
	Oid			table_relid;	/* for CzTableGet: the parent, the reference table, the
								 * foreign table; InvalidOid while it is being made */
	int			number_base;	/* of the numbers that placements have in ctids; see rowid.h */
	int			modulus;		/* of a hash shard: it has the rows whose keys' hashes leave */
	int			remainder;		/* this, divided by that; else 0 */
	bool		is_copy;		/* of a reference table: its placements are copies */
	int			nall;			/* placements, also those that are not active; 0 while
								 * it is being made */
	Oid		   *all_oids;		/* [nall] their servers, of a shard of a distributed table;
								 * else NULL */
	int			nplacements;	/* >= 1, except a reference table on no worker, and a
								 * shard all of whose placements have missed writes */
	Oid		   *server_oids;	/* [nplacements], active placements only;
								 * element 0 is the primary one */
} CzShard;

typedef struct CzTable
{
	Oid			relid;
	uint64		serial;			/* another one whenever it was read anew */
	CzTableKind kind;
	int			colocation_id;	/* cz.colocation; for CZ_TABLE_REFERENCE and
								 * CZ_TABLE_FOREIGN 0 */
	AttrNumber	key_attno;		/* distribution column on the parent; 0: none */
	Oid			key_type;
	int32		key_typmod;
	Oid			key_collation;	/* partition collation */
	Oid			key_opfamily;	/* hash or btree operator family of the key */
	Oid			key_eq_opr;		/* its equality operator, key_type = key_type */
	int			nshards;		/* order: by partition bound, so that index i
								 * means the same key range in every table of
								 * the colocation group; of a hash table not all need have
								 * the same modulus, for they can be split */
	CzShard    *shards;
	Oid			root_relid;		/* a partition: the distributed table at the top, whose
								 * shards it has by other names; else InvalidOid */
	Oid			map_relid;		/* of a root and its partitions: the parent of the shards'
								 * foreign tables; else InvalidOid */
	bool		is_partitioned; /* by its user: on the workers the shards are, too */
	int			row_triggers;	/* is_partitioned: CZ_ROW_TRIGGER of all that it and its
								 * partitions have, enabled or not */
	List	   *key_parts;		/* is_partitioned: OIDs of partitions that have foreign keys
								 * of their own, or are referred to by themselves */
	char	  **column_names;	/* [natts] names on the worker by attnum-1 of the
								 * parent; NULL: dropped */
	int			natts;
	struct CzSeal *seals;		/* [nshards]; NULL: no shard is sealed */
} CzTable;

/* What keys a shard is known to have, if any: as texts, by pinned settings (seal.c). */
typedef struct CzSeal
{
	char	   *min;			/* NULL: it is not sealed */
	char	   *max;
} CzSeal;

/* A row trigger of a command, in CzTable.row_triggers. */
#define CZ_ROW_TRIGGER(command, is_before) (1 << ((int) (command) * 2 + (is_before)))

/* And among them core's for foreign keys, of CzAllRowTriggers. */
#define CZ_KEY_TRIGGERS (1 << 30)

#define CZ_ROW_TRIGGERS_BEFORE \
	(CZ_ROW_TRIGGER(CMD_INSERT, true) | CZ_ROW_TRIGGER(CMD_UPDATE, true) | \
	 CZ_ROW_TRIGGER(CMD_DELETE, true))

/* A worker. */
typedef struct CzNode
{
	Oid			server_oid;
	int			node_id;		/* server option node_id, else from the OID */
	char	   *name;			/* server name */
	char	   *host;
	int			port;
	char	   *dbname;
	char	   *zone;			/* or NULL */
	double		weight;			/* capacity weight, default 1 */
	bool		is_active;		/* server option state: active (default) or disabled */
	bool		should_have_shards; /* server option should_have_shards, default true */
	bool		collation_differs;	/* server option collation_differs: CzNodeCheck has found
									 * another version of the default collation */
	bool		is_checked;		/* server option checked: CzNodeCheck passed, and
								 * the worker has a copy of every reference table */
	bool		is_worker;		/* false: somebody's own server, for foreign tables */
	int			major;			/* server option server_version: of PostgreSQL, as CzNodeCheck
								 * and later looks have found; 0: not known */
	bool		is_coordinator; /* server option coordinator: the owner of the cluster, to
								 * which this database is attached; no worker */
	char	   *clone_of;		/* server option clone_of: a standby of the worker with this
								 * identity, not in use; else NULL */
} CzNode;

extern void CzMetadataInit(void);

/*
 * CzTableGet
 *		What the cluster knows of a relation, or NULL if it is none of ours
 *		(also when the extension is not installed in this database).
 *
 * Returns: borrowed until the end of the transaction; it does not change, a
 *		later call may return a newer one.
 * Errors:  XX001 if the catalogs contradict each other.
 */
extern const CzTable *CzTableGet(Oid relid);

/* Parents that are ordinary, empty tables while a statement alters them (src/ddl/moment.c):
 * nobody reads or writes them then. */
extern List *cz_moment_relids;

/* Error 55000 if the relation is one of them. */
extern void CzCheckMoment(Oid relid);

/*
 * CzRootPartitions
 *		Partitions of a distributed root, at all levels: list of OIDs, oldest first.
 * CzRootOfMap
 *		The root whose shards are below a map; InvalidOid: it is no map.
 */
extern List *CzRootPartitions(Oid root_relid);
extern Oid	CzRootOfMap(Oid map_relid);

/*
 * CzPartitionColumns
 *		The columns of a partitioned root (or partition) by which its rows, or those of
 *		partitions of it, are partitioned: int list of attribute numbers, ascending.
 * CzPartitionFinderMake
 *		Prepare to find the partitions of rows; in the current context.
 * CzPartitionFind
 *		The lowest partition that takes a row, of which these columns are read;
 *		InvalidOid: none.  Partitioned relations on the way stay locked (AccessShareLock).
 *
 * Errors:  those of a partition key's expressions.
 */
typedef struct CzPartitionFinder CzPartitionFinder;
extern List *CzPartitionColumns(Oid root_relid);
extern CzPartitionFinder *CzPartitionFinderMake(Oid root_relid);
extern Oid	CzPartitionFind(CzPartitionFinder *finder, TupleTableSlot *slot);

/* A partition in cz.partitions. */
typedef struct CzPartitionRow
{
	Oid			root;
	char	   *name;
	bool		is_partitioned;
	int			nshards;
	int64	   *shard_ids;
} CzPartitionRow;

/* False if the relation is no partition of a distributed table. */
extern bool CzCatalogReadPartition(Oid relid, CzPartitionRow *row);

/* OIDs of all reference tables, of all distributed and reference tables. */
extern List *CzReferenceTableList(void);
extern List *CzTableList(void);

/* The second list with the partitions of roots behind these, which have their shards. */
extern List *CzTableListAll(void);

/* Tables of a colocation group, list of OIDs. */
extern List *CzGroupTables(int colocation_id);

/* Of a partition of a distributed table that table, else the relation itself. */
extern Oid	CzRootOf(Oid relid);

/*
 * CzCascadeTables
 *		The other tables whose rows foreign keys change when rows of this one change, also
 *		at second hand: list of OIDs, palloc'd.
 */
extern List *CzCascadeTables(Oid relid);

/* Does an action of a key (confdeltype, confupdtype) change rows that refer? */
extern bool CzKeyActionChangesRows(char action);

/*
 * CzKeyIsOnShards
 *		Is a foreign key one of a distributed table that its workers check, as what a row
 *		refers to is with it: in a shard of the same number, or in a copy of a reference table?
 *		All others are checked here.
 */
extern bool CzKeyIsOnShards(Oid constraint_oid);

/*
 * CzKeyActsHere
 *		Is it the coordinator that changes the rows of a distributed table when rows of another
 *		distributed one that they refer to go, or change?  Else the worker does: it can't
 *		where it has not got the defaults, where rows go to other shards by it, and where
 *		triggers of the referencing table are to be fired.
 *
 * action: confdeltype (is_delete) or confupdtype of the key.
 * key_attno: distribution column of the referencing table.
 * set_attnos, nset: columns of ON DELETE SET; none: all of the key.
 */
extern bool CzKeyActsHere(char action, bool is_delete, Oid from_relid, AttrNumber key_attno,
						  int nset, const AttrNumber *set_attnos);

/*
 * CzKeyTriggerFiresHere
 *		Is a trigger of a distributed table one of core's for a foreign key that has to fire?
 *		The workers do not check the key (CzKeyIsOnShards), or it does what they can't
 *		(CzKeyActsHere).  The others are the workers' affair.
 * CzTriggerFiresHere
 *		Is it such a one, or any other but those of constraints?
 */
struct Trigger;
extern bool CzKeyTriggerFiresHere(const struct Trigger *trigger);
extern bool CzTriggerFiresHere(const struct Trigger *trigger);

/*
 * CzAllRowTriggers
 *		CzTable.row_triggers of a table that its user has partitioned, with those of foreign
 *		keys that fire here.
 */
extern int	CzAllRowTriggers(const CzTable *table);

/*
 * CzReferringTables
 *		The other tables that refer to a table, also by way of others: list of OIDs, palloc'd.
 */
extern List *CzReferringTables(Oid relid);

/*
 * CzTableKeys
 *		Foreign keys of a table (CZ_KEYS_FROM), to it (CZ_KEYS_TO), or both: list of the
 *		OIDs of constraints, palloc'd.
 * CzDeferrableKeys
 *		Its DEFERRABLE unique, primary key and exclusion constraints: list of OIDs, palloc'd.
 * CzRefersToItself
 *		Has a table a foreign key to itself?
 * CzRefersBy
 *		Has it one with a column of a list (of ints)?
 * CzKeysMeet
 *		When rows of a table go or change, may what keys do about one of them (CASCADE, ...),
 *		or forbid (RESTRICT), concern another one of the same statement?  Then the rows have
 *		to go to a worker by one command.
 */
#define CZ_KEYS_FROM 1
#define CZ_KEYS_TO 2
extern List *CzTableKeys(Oid relid, int ends);
extern List *CzDeferrableKeys(Oid relid);
extern bool CzRefersToItself(Oid relid);
extern bool CzRefersBy(Oid relid, List *attnos);
extern bool CzKeysMeet(Oid relid);

/*
 * CzReferenceParents
 *		The reference tables that shards of a table refer to: list of OIDs, palloc'd.
 * CzShardsReferTo
 *		Do shards of any table refer to a (reference) table?
 *
 * columns: only by keys with a column of the table among these (numbers less
 *		FirstLowInvalidHeapAttributeNumber); NULL: by any key.
 */
extern List *CzReferenceParents(Oid relid, const Bitmapset *columns);
extern bool CzShardsReferTo(Oid relid, const Bitmapset *columns);

/* Tables with foreign keys to this one, perhaps itself: list of OIDs, palloc'd. */
extern List *CzReferencingTables(Oid relid);

/* True if relid is a foreign table of cz_fdw that is a shard of a distributed table. */
extern bool CzIsShard(Oid relid, Oid *parent_relid);

/* A relation's qualified name, quoted; palloc'd. */
extern char *CzRelationName(Oid relid);

/* Owner of a relation. */
extern Oid	CzRelationOwner(Oid relid);

/* Is a placement of a shard on that worker in use? */
extern bool CzShardIsActiveOn(const CzShard *shard, Oid server_oid);

/* The number of the shard of a table with this id, or -1. */
extern int	CzShardIndexOf(const CzTable *table, int64 shard_id);

/*
 * CzShardServers
 *		Every placement of a shard by its foreign table, also those on disabled
 *		workers; element 0 is the primary one.
 */
extern List *CzShardServers(Oid shard_relid);

/* The same as a snapshot shows it; NIL: the shard was not there. */
extern List *CzShardServersAsOf(Oid shard_relid, Snapshot snapshot);

/* Does a snapshot show that a table was distributed already? */
extern bool CzTableWasThere(Oid relid, Snapshot snapshot);

/*
 * CzShardBounds
 *		Bounds of a range shard as text, NULL where open, of the default partition
 *		and of other tables.  The lower one belongs to the shard, the upper one
 *		does not.
 */
extern void CzShardBounds(const CzTable *table, int index, char **lower, char **upper);

/* Must writers of the shard keep several placements equal, now or when one that is
 * inactive comes back? */
#define CzShardIsReplicated(shard) \
	((shard)->is_copy || (shard)->nall > 1 || (shard)->nplacements > 1)

/* The same of any shard of a table. */
extern bool CzTableIsReplicated(const CzTable *table);

/* A placement that has missed writes (a row of cz.placement_state). */
typedef struct CzInactive
{
	int64		shard_id;
	Oid			server_oid;		/* InvalidOid: all but the first of those that have none:
								 * the shard is dirty, and the server has crashed, or is
								 * unsure */
} CzInactive;

/* Appends those that have no row yet, palloc'd in CurrentMemoryContext. */
typedef List *(*CzAddUnsure) (List *list);
extern CzAddUnsure cz_add_unsure;

/* All of them, in the order of shard ids: CzInactive, palloc'd in CurrentMemoryContext. */
extern List *CzInactiveList(void);
/* The same as a snapshot shows them; NULL: now. */
extern List *CzInactiveListAsOf(Snapshot snapshot);
/* Has the transaction changed which there are?  Whoever commits resets it. */
extern bool cz_inactive_changed;

/* Commands of this session's transactions that were changes of cz.placement_state. */
extern uint64 cz_inactive_commands;
/* The servers of one shard among them, InvalidOid if it is dirty. */
extern List *CzInactiveServers(List *inactive, int64 shard_id);

/*
 * CzCheckHasPlacement
 *		A shard of a distributed table must have a placement that may be used: 55000 with all
 *		that it has, and why they may not.  Others pass.
 */
extern void CzCheckHasPlacement(const CzShard *shard);

/* Servers in use that have a placement of a shard which is not active. */
extern List *CzStaleServers(const CzTable *table, int index);

/* Rows of cz.dirty_shards. */
extern bool CzDirtyInsert(int64 shard_id, int64 boot_id);
typedef enum CzDirtyRows
{
	CZ_DIRTY_ALL,
	CZ_DIRTY_OWN,				/* of this life of the server */
	CZ_DIRTY_OLD				/* of earlier ones */
} CzDirtyRows;

extern void CzDirtyDelete(int64 shard_id, CzDirtyRows which);

/*
 * CzInactiveInsert, CzInactiveDelete
 *		Note that a placement has missed writes, or that it is whole or gone (shard_id
 *		0: all of a server; no server: all of a shard).  The caller tells backends by
 *		CzInvalidateTable.
 *
 * Returns: whether it is news; rows deleted.
 */
extern bool CzInactiveInsert(int64 shard_id, Oid server_oid, const char *reason);
/* The same of one whose rows are gone for good. */
extern bool CzLostInsert(int64 shard_id, Oid server_oid, const char *reason);
extern int	CzInactiveDelete(int64 shard_id, Oid server_oid);
extern void CzInactiveRename(const char *old_name, const char *new_name);

/*
 * CzShardFresh
 *		What is known now of a shard that was looked up earlier; after a lock that
 *		others hold while they change its placements.  The same if nothing is new, or
 *		if it is being made.
 */
extern const CzShard *CzShardFresh(const CzShard *shard);

/*
 * CzShardSetPlacements
 *		Rewrite where a shard is: the foreign table's server (the first one), the
 *		option placements (the others) and the dependencies on all of them; tells
 *		every backend.  Moves no data.  Placements whose place in the list is another one
 *		than before get other numbers in ctids.
 */
extern void CzShardSetPlacements(Oid shard_relid, List *server_oids);

/*
 * CzShardIndexForValue
 *		Index in table->shards of the shard that holds a key, or -1 (range
 *		table without a partition for it).  value is of type key_type.
 */
extern int	CzShardIndexForValue(const CzTable *table, Datum value, bool isnull);

/*
 * CzKeyTypeConverts, CzKeyConvert
 *		Can values of a type be compared with the key by converting them to the
 *		key's type?  One value as a key: false if no key is equal to it.
 */
extern bool CzKeyTypeConverts(const CzTable *table, Oid type);
extern bool CzKeyConvert(const CzTable *table, Oid type, Datum value, Datum *key);

/*
 * CzShardsInRange
 *		Indexes of the shards of a range table that can have keys from *lower on
 *		up to, or including, *upper; NULL: no such bound.
 */
extern Bitmapset *CzShardsInRange(const CzTable *table, const Datum *lower,
								  const Datum *upper, bool with_upper);

/*
 * CzRangeGap
 *		The number of the gap between, before or behind the shards of a range table that a
 *		key is in; -1: a shard takes it.
 * CzRangeGapNeighbours
 *		The indexes of the shards before and behind a gap; -1: there is none.
 */
extern int	CzRangeGap(const CzTable *table, Datum value);
extern void CzRangeGapNeighbours(const CzTable *table, int gap, int *before, int *after);

/*
 * CzHashRemainders
 *		Which hash shard has which remainder of the greatest modulus among them: an array
 *		[modulus] of indexes, palloc'd.
 * CzHashRemainder
 *		A key's hash, divided by a modulus.  Needs no distributed table yet.
 */
extern int *CzHashRemainders(const CzShard *shards, int nshards, int *modulus);
extern int	CzHashRemainder(Oid key_type, Oid collation, Datum value, bool isnull,
							int modulus);

/*
 * Workers, ordered by node_id; CzNode palloc'd in CurrentMemoryContext.
 *
 * A server of cz_fdw is a worker if a superuser owns it, or if it was one when it got its
 * number or passed the checks: options that only functions and superusers set.  Any
 * other is its owner's affair, as with postgres_fdw: nothing is placed there and nobody
 * connects to it but for its foreign tables.
 */
extern List *CzNodeList(bool only_active);
/* All servers of cz_fdw. */
extern List *CzServerList(void);
/* A server of cz_fdw, worker or not; errors 40001: dropped; 42809: of another wrapper */
extern CzNode *CzNodeGet(Oid server_oid);
/* Its name, for messages; "?" if it was dropped meanwhile.  palloc'd. */
extern char *CzNodeName(Oid server_oid);

/*
 * Which aggregates of cz_partial a worker has (server option partial_aggregates);
 * cached.
 */
extern CzPartials CzNodePartials(Oid server_oid);

/* The oldest PostgreSQL that workers may be of. */
#define CZ_FIRST_MAJOR 14

/*
 * CzOldestMajor
 *		The major of the oldest worker, ours if none is older; cached.
 *
 * node_name: out, if not NULL: the worker's, "" if none is older than we are.
 * CzFunctionMajor: the first one that has a function, 14 if it is not built in.
 * CzTypmodMajor: the first one that has a type with this modifier.
 * CzNodeIsTooNew: does the oldest worker not know this node of an expression or Query?
 *		Not what is below it.
 *	reason: out, then: palloc'd, a clause.
 * CzExprIsTooNew: the same of an expression with all that is below.
 */
extern int	CzOldestMajor(const char **node_name);
extern int	CzFunctionMajor(Oid function);
extern int	CzTypmodMajor(Oid type, int32 typmod);
extern bool CzNodeIsTooNew(Node *node, const char **reason);
extern bool CzExprIsTooNew(Node *expr, const char **reason);

/* No worker's default collation is known to have another version than ours; cached. */
extern bool CzDefaultCollationIsShared(void);

/*
 * CzExtensionIsShared
 *		Do all workers in use have an extension exactly as the coordinator has it:
 *		schema and version?  Cached; InvalidOid: no.
 */
extern bool CzExtensionIsShared(Oid extension_oid);

/* Is it an operator's function of pg_trgm, which reads a threshold of the session? */
extern bool CzReadsTrigramSettings(Oid function);

/* What is compared: "name/schema/version", palloc'd; of an own extension, NULL if
 * there is none of that OID (schema, if not NULL, gets its schema's name). */
extern char *CzExtensionKey(const char *name, const char *schema, const char *version);
extern char *CzExtensionOwnKey(Oid extension_oid, char **schema);

/* Is a string in a list of char *? */
extern bool CzListHasString(List *strings, const char *string);

/* Keys that have been seen on a worker (option installed_extensions): list of char *. */
extern List *CzNodeExtensions(Oid server_oid);

/*
 * CzNodeSetOption
 *		Set an option that the extension keeps of a server, NULL: remove it.
 *		As the server's owner, with command counter increment.
 */
extern void CzNodeSetOption(Oid server_oid, const char *name, const char *value);

/*
 * Worker by host and port as the views show them, and by database unless dbname
 * is NULL; NULL if there is none.  Errors: 22023 if there are several.
 */
extern CzNode *CzNodeFind(const char *host, int port, const char *dbname);

/*
 * CzNodeOfId, CzNodeOfIdentity
 *		Worker by its id; by its server option identity, clones apart (NULL: none).  NULL if
 *		there is none.
 */
extern CzNode *CzNodeOfId(int node_id);
extern CzNode *CzNodeOfIdentity(const char *identity);

/*
 * CzEndpointGet
 *		How to connect to a worker on behalf of a local role.
 *
 * Without a user mapping: the mapping for PUBLIC, else none; then libpq's user
 * is the local role's name and only a superuser may connect.
 * Returns: borrowed until the end of the transaction; not to be changed.
 * Errors:  40001 the server was dropped; 42704 no user mapping for a role that is no
 *		superuser; 2F003 if such a role's mapping brings no password (and has not
 *		password_required 'false').
 */
extern CzEndpoint *CzEndpointGet(Oid server_oid, Oid user_oid);

/* Called by both: what a connection must know besides can be looked up in catalogs. */
extern void (*cz_before_connect) (void);

/* The same, but NULL if the role may not connect, or the server was dropped. */
extern CzEndpoint *CzEndpointTryGet(Oid server_oid, Oid user_oid);

/*
 * CzScramKeysAreKnown
 *		Does libpq, as it runs, take SCRAM keys (18 does)?
 */
extern bool CzScramKeysAreKnown(void);

/*
 * CzScramSessionKeys
 *		The keys with which the client has logged in, if it did so by SCRAM as that role;
 *		base64, palloc'd.
 */
extern bool CzScramSessionKeys(Oid user_oid, char **client_key, char **server_key);

/*
 * CzScramKeysOf
 *		The keys of a password for a SCRAM verifier; false: they cannot be used here.
 */
extern bool CzScramKeysOf(const char *verifier, const char *password, char **client_key,
						  char **server_key);

/* OID of the foreign data wrapper cz_fdw in this database, InvalidOid if none. */
extern Oid	CzFdwOid(void);

/*
 * Raise 55000 if the SQL objects of this database are of another version than this
 * library: before anything of ours is used.  Nothing without the extension.
 */
extern void CzCheckVersion(void);

/* Is the extension in this database, of this library's version?  For background
 * workers, which leave a database alone where users are told by CzCheckVersion. */
extern bool CzExtensionIsThere(void);

/* OID of a relation of schema cz ("tables", "colocation", ...); InvalidOid if none. */
extern Oid	CzCatalogRelid(const char *name);

/* Tell every backend that relid and the tables of its colocation group changed. */
extern void CzInvalidateTable(Oid relid);

/*
 * CzShardName
 *		<table>_<shard_id>, the table's name cut at a character so that the whole
 *		fits a name; palloc'd.
 */
extern char *CzShardName(const char *table_name, int64 shard_id);

/*
 * CzShardSetNames, CzShardSetRemote
 *		Fill name_id and remote_* of a shard of a table of that name; or remote_* alone.
 *		Strings are palloc'd in CurrentMemoryContext.
 */
extern void CzShardSetNames(CzShard *shard, const char *table_name, int64 name_id);
extern void CzShardSetRemote(CzShard *shard, const char *schema, const char *name);

/* The same for an index of a shard; one that must be cut gets a hash of the whole,
 * so that two indexes of a table never meet. */
extern char *CzShardIndexName(const char *name, int64 shard_id);

/*
 * CzParseServerNames, CzFormatServerNames
 *		The value of the option placements: server names, each quoted as an
 *		identifier where needed, separated by commas <-> list of OIDs.
 *
 * Errors: 42704 no such server, 22023 malformed.
 */
extern List *CzParseServerNames(const char *value);
extern char *CzFormatServerNames(List *server_oids);

/* The value of an option in a list of DefElem, borrowed from it, or NULL. */
extern const char *CzFindOption(List *options, const char *name);

/* Next cluster-wide shard id (sequence cz.shard_id_seq). */
extern int64 CzNextShardId(void);

#endif							/* CZ_METADATA_H */
