/*-------------------------------------------------------------------------
 *
 * ddl_int.h
 *	  Private to src/ddl.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_DDL_INT_H
#define CZ_DDL_INT_H

#include "cz/compat.h"
#include "cz/ddl.h"
#include "cz/trust.h"
#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"
#include "tcop/utility.h"
#include "utils/relcache.h"

/* What the hook must hand on. */
typedef struct CzUtility
{
	PlannedStmt *pstmt;
	const char *query_string;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *query_env;
	DestReceiver *dest;
	QueryCompletion *completion;
} CzUtility;

/* Run stmt (or a changed copy of it) as core would. */
extern void CzUtilityRun(const CzUtility *utility, Node *stmt);

/* Whom the hook was installed before; NULL: nobody. */
extern ProcessUtility_hook_type cz_prev_utility_hook;

extern char *CzWithLockTimeout(const char *sql);

/* One column as the shards have it, too. */
typedef struct CzColumnImage
{
	bool		is_dropped;		/* then nothing else is set */
	char	   *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		is_not_null;
	bool		is_not_valid;	/* NOT NULL has not been checked of rows that were there */
	char		generated;
	char		storage;
	char		compression;
	char	   *expression;		/* of a generated column, else NULL */
	int			statistics;		/* -1: the default */
	Datum		options;		/* text[], 0: none */
} CzColumnImage;

/* A CHECK, a foreign key, an index (a constraint's, too). */
typedef struct CzObjectImage
{
	Oid			oid;
	char	   *name;
	char	   *text;			/* definition without the name */
	bool		is_valid;
	bool		is_clustered;
	bool		is_identity;	/* the replica identity */
	bool		is_primary;
	bool		is_deferrable;
	bool		is_deferred;	/* initially */
	bool		is_kept_here;	/* a foreign key that shards have not got */
	Datum		options;		/* of an index: text[], 0: none */
	Bitmapset  *columns;		/* of a CHECK or index, as pull_varattnos() numbers them */
	CzIndexDef *index;
} CzObjectImage;

/* A column option that core keeps for itself. */
#define CZ_VERSION_OPTION "pg_attver="

/* What a table looks like; image.c. */
typedef struct CzImage
{
	Oid			relid;
	int			ncolumns;
	CzColumnImage *columns;		/* by attribute number - 1 */
	List	   *checks;			/* CzObjectImage *, by name */
	List	   *indexes;		/* by name */
	List	   *foreign_keys;
	Datum		options;		/* text[], 0: none */
	char		replica_identity;
	char		persistence;
} CzImage;

extern CzImage *CzColumnsImage(Oid relid);
extern CzImage *CzTableImage(Oid relid);

/*
 * CzStoredNamesBefore, CzStoredNamesAfter: around a statement that may rename what the
 *		extension's tables name (stored_names.c); NULL: it does not.
 */
typedef struct CzStoredNames CzStoredNames;
extern CzStoredNames *CzStoredNamesBefore(Node *stmt);
extern void CzStoredNamesAfter(Node *stmt, const CzStoredNames *names);

/*
 * CzOptionsSql: text of an option list, "(a = '1', b = '2')", or "".
 * CzIsInternalOption: of a column, that the extension keeps there for itself.
 */
extern char *CzOptionsSql(Datum options);
extern bool CzIsInternalOption(const char *name);
extern char *CzGeneratedSql(Relation rel, AttrNumber attno);
extern int	CzStatisticsTarget(Oid relid, AttrNumber attno);
extern char *CzCollationSql(Oid collation);

/* What an ALTER TABLE says that no image shows; hints.c. */
typedef struct CzAlterHints
{
	List	   *dropped;		/* char *: constraints that it drops by name */
	List	   *expressions;	/* String: generated columns that get another expression */
	List	   *usings;			/* pairs of char *: column, expression of USING */
	List	   *values;			/* the same: values of new columns for rows that are there */
	List	   *functions;		/* ObjectAddress *: what workers need to run USING */
	bool		needs_rewrite;	/* workers cannot compute values, or would not alike */
	bool		is_rewritten;	/* the shards are empty: nothing is to be computed there */
	bool		is_only;		/* not for partitions of the user's */
} CzAlterHints;

extern CzAlterHints *CzAlterHintsGet(const AlterTableStmt *stmt, const CzTable *table,
									 const char *query_string);
extern void CzAlterHintsValues(CzAlterHints *hints, const CzImage *before, Relation rel,
							   const AlterTableStmt *stmt);
extern const char *CzUsingOf(const CzAlterHints *hints, const char *column);
extern const char *CzNewValueOf(const CzAlterHints *hints, const char *column);
extern bool CzIsDroppedByName(const CzAlterHints *hints, const char *constraint);

/*
 * A table's rows are computed anew here; rewrite.c.
 *
 * CzRewriteMake: core is about to run a statement that may do so.  table: locked (ACCESS
 *		EXCLUSIVE).  relids: the relations whose rows it would compute, itself or those of
 *		its partitions that its user has not partitioned; they will have a moment.
 *		Returns: palloc'd.  55000 if a shard has no active placement.
 * CzRewriteEnter, CzRewriteLeave: around core's part, the latter after an error, too.
 * CzRewriteMethod: the access method of a table in its moment.
 * CzRewriteIsDone: has core done so?  Not for NULL.
 * CzRewriteShards: carry that to the shards.  table: as it is now, with its images from
 *		before and after the statement; new_keys: OIDs of foreign keys that have come.
 * CzRewriteRun: the same, by these scripts.
 * CzKeysTakeOff: foreign keys (CzKey *) go from the shards, if they are there.
 */
typedef struct CzRewrite CzRewrite;

/* What the shards get while they are empty, and when the rows are there. */
typedef struct CzRewriteSql
{
	CzMakeSql	table;			/* columns, CHECKs, and all that goes; NULL: nothing */
	CzMakeSql	drop_checks;	/* those that rows need not fulfil */
	CzMakeSql	indexes;		/* what comes of indexes */
	CzMakeSql	add_checks;
	void	   *arg;
} CzRewriteSql;

extern CzRewrite *CzRewriteMake(const CzTable *table, List *relids);
extern void CzRewriteEnter(CzRewrite *rewrite);
extern void CzRewriteLeave(CzRewrite *rewrite);
extern Oid	CzRewriteMethod(Oid relid);
extern bool CzRewriteIsDone(const CzRewrite *rewrite);
extern void CzRewriteShards(CzRewrite *rewrite, const CzTable *table, const CzImage *before,
							const CzImage *after, CzAlterHints *hints, List *new_keys);
extern void CzKeysTakeOff(List *keys);
extern void CzRewriteRun(CzRewrite *rewrite, const CzTable *table, const CzRewriteSql *sql,
						 List *new_keys);

/*
 * CzUnfulfilledChecks
 *		The CHECKs of a table that are NOT VALID: CzObjectImage *.
 * CzDropChecksSql, CzAddChecksSql
 *		Take them off a shard, if they are there, and put them back.
 */
extern List *CzUnfulfilledChecks(const CzImage *image);
extern void CzDropChecksSql(StringInfo sql, const CzShard *shard, List *checks);
extern void CzAddChecksSql(StringInfo sql, const CzShard *shard, List *checks);

/* Commands that all shards get; diff.c. */
typedef struct CzOps
{
	List	   *list;
	bool		has_new;		/* objects that the workers may need others for */
	bool		has_types;		/* columns change their type: values are converted */
	bool		is_only;		/* not for partitions */
	bool		without_checks; /* PostgreSQL does it where a table has no CHECK: ours go and
								 * come back */
} CzOps;

extern CzOps *CzDiff(const CzImage *before, const CzImage *after, const CzAlterHints *hints);

/* Is an object of that OID among these (CzObjectImage *)? */
extern bool CzHasObject(const List *objects, Oid oid);

/* An index of that name need not be made. */
extern void CzOpsLeaveOutIndex(CzOps *ops, const char *name);

/* Foreign keys that a statement has added, or put in the place of others: OIDs. */
extern List *CzNewForeignKeys(const CzImage *before, const CzImage *after,
							  const CzAlterHints *hints);
extern CzOps *CzOpsRename(const char *what, const char *old_name, const char *new_name);
extern CzOps *CzOpsRenameIndex(bool is_key, char *old_name, char *new_name);
extern CzOps *CzOpsTable(char *text);
extern void CzOpsScript(StringInfo sql, const CzShard *shard, void *ops);

/* A part of it. */
typedef enum CzOpsPart
{
	CZ_OPS_TABLE,				/* what goes and what is a table's */
	CZ_OPS_DROPPED_INDEXES,		/* the indexes of that alone, with their constraints */
	CZ_OPS_INDEXES				/* what comes or changes of indexes */
} CzOpsPart;

extern void CzOpsScriptPart(StringInfo sql, const CzShard *shard, const CzOps *ops,
							CzOpsPart part);

/* A table that its user has partitioned, with its partitions; tree.c. */
typedef struct CzTree CzTree;

extern CzTree *CzTreeBegin(Oid relid);

/*
 * Partitions of a table without distribution column that must be ordinary tables while core
 * makes a unique index of all: theirs is partitioned by an expression, which core refuses.
 * Locked; list of OIDs, in order.
 */
extern List *CzTreeMoments(const CzTable *table);
extern void CzTreeFinish(CzTree *tree, CzAlterHints *hints, Oid owner, CzRewrite *rewrite,
						 List *new_keys);

/* Its relations that have rows, in order of OID. */
extern List *CzTreeHeaps(const CzTree *tree);

/* partitions.c */
extern bool CzCreatePartition(const CzUtility *utility, CreateStmt *stmt);
extern bool CzPartitionCommand(const CzUtility *utility, AlterTableStmt *stmt, Oid relid,
							   bool is_index);

/* Is the command of ALTER TABLE one of partitions?  An error, in core's words: the table has
 * none that the user has made, but leaves or shards that core would take for them. */
extern void CzCheckPartitioned(Oid relid, AlterTableType type);

/* The lock that a statement needs on its table: lockmode, or a stronger one for ATTACH
 * PARTITION beside a default partition; the tables above have it then already. */
extern LOCKMODE CzAttachLock(const AlterTableStmt *stmt, Oid relid, LOCKMODE lockmode);

/*
 * CzDetachPartition
 *		DETACH PARTITION of a distributed table, whose owner the user is, in the transaction.
 * CzDetachConcurrently (detach_concurrently.c)
 *		The same CONCURRENTLY: 25001 in a transaction block.
 */
extern void CzDetachPartition(const CzUtility *utility, AlterTableStmt *stmt, Oid parent_relid);
extern void CzDetachConcurrently(const CzUtility *utility, AlterTableStmt *stmt,
								 Oid parent_relid);

/* A parent that is an ordinary table for a moment; moment.c. */
typedef struct CzMoment
{
	Oid			relid;
	float4		reltuples;		/* pg_class of the parent */
	int32		relpages;
	List	   *leaves;			/* OIDs */
	CzImage    *before;			/* columns and CHECKs that the leaves have */
	AttrNumber	key_attno;		/* 0: the key keeps its type */
	char		key_strategy;
	Oid			default_relid;	/* default partition */
} CzMoment;

extern CzMoment *CzMomentBegin(Oid relid, bool key_type_changes);
extern void CzMomentEnd(CzMoment *moment);
extern void CzMomentRun(const CzUtility *utility, Node *stmt, List *relids, List *key_relids);
extern void CzMomentRunAsked(const CzUtility *utility, Node *stmt, List *relids,
							 List *asked_relids);

/*
 * For a statement that is refused afterwards: core's own error, if it has one, comes first.
 * As CzMomentRun, but the parents stay ordinary tables: the caller must raise an error.
 */
extern void CzMomentTry(const CzUtility *utility, Node *stmt, List *relids, List *key_relids);
extern void CzLeavesFollow(Oid parent_relid, const CzImage *before, List *leaves);

/* The same for a root's map and the leaves below it, which have the columns alone. */
extern void CzMapFollow(Oid root_relid, const CzImage *before, Oid map_relid, List *leaves);

/* catalog.c: the storage parameters of a parent, which its pg_class row may not have
 * (a dump could not restore it): text[], 0: none */
extern Datum CzCatalogOptions(Oid relid);

/* drop.c */
extern int	cz_drop_is_local;	/* > 0: drops are not told to the workers */
extern Oid	cz_altered_relid;	/* nor are those of parts of this table */
extern List *cz_typed_relids;	/* or of these, which change with their type */
extern void CzDropInit(void);

/*
 * drop_send.c: what is to be dropped on a worker as a role, when the statement ends.
 *
 * CzDropAddTable: qualified: of a shard; on a worker that isn't reached it is left to the
 *		clean-up.
 * CzDropAddCommand, CzDropAddKey: of a table that stays; the key's, of from_relid to
 *		to_relid, only if both stay.  08001 at the end if the worker isn't reached and the
 *		table has stayed.
 * CzDropMustReach: the same error then without a command; false: it isn't reached.
 * CzDropChangeObject: an object that workers may have goes, or a part of it; command: makes
 *		the change, NULL: a DROP.  Also on workers that are disabled now, of what goes.
 */
extern void CzDropAddTable(Oid server_oid, Oid user_oid, const char *qualified);
extern void CzDropAddCommand(Oid server_oid, Oid user_oid, Oid relid, const char *command);
extern void CzDropAddKey(Oid server_oid, Oid user_oid, Oid from_relid, Oid to_relid,
						 const char *command);
extern bool CzDropMustReach(Oid server_oid, Oid user_oid, Oid relid);
extern void CzDropChangeObject(Oid classid, Oid objid, const char *command);
extern void CzDropSendInit(void);

/* alter.c, copy.c, index.c, maintain.c, reindex.c, trigger.c: true if they have run the statement */
extern bool CzAlterTable(const CzUtility *utility, AlterTableStmt *stmt);
extern bool CzCreateIndex(const CzUtility *utility, IndexStmt *stmt);
extern bool CzDropIndexConcurrently(const CzUtility *utility, DropStmt *stmt);
extern bool CzReindex(const CzUtility *utility, ReindexStmt *stmt);
extern bool CzCluster(const CzUtility *utility, ClusterStmt *stmt);
extern bool CzVacuum(const CzUtility *utility, VacuumStmt *stmt);

/*
 * analyze_tree.c
 *
 * CzAnalyzeTree
 *		ANALYZE of a distributed table that its user has partitioned, with the rows of its
 *		partitions, or of a partition.
 *
 * stmt: the user's; command, columns_sql: for the shards, as CzMaintainShards takes them.
 * rows_are_known: a VACUUM went before.
 * is_only: what is known of its partitions stays.
 * Errors: 42703, 42701 column list; 08001.
 */
extern void CzAnalyzeTree(const CzUtility *utility, const VacuumStmt *stmt, Oid relid,
						  List *columns, const char *command, const char *columns_sql,
						  bool rows_are_known, bool is_only);
extern bool CzCopyTo(const CzUtility *utility, CopyStmt *stmt);
extern bool CzCopyFrom(const CzUtility *utility, CopyStmt *stmt);
extern bool CzAlterLocalKeys(const CzUtility *utility, AlterTableStmt *stmt, Oid relid);
extern bool CzTruncate(const CzUtility *utility, TruncateStmt *stmt);

/* truncate.c */
extern bool CzTruncateParts(TruncateStmt *stmt);

extern bool CzCreateTrigger(const CzUtility *utility, CreateTrigStmt *stmt);

/*
 * keys_alter.c
 *
 * CzRenewKeysTo
 *		Keys that refer to a table, or a partition of it, from others, and that core has made
 *		again with the index which they need.  Shards have lost them with theirs, unless they
 *		too make indexes again for another type of a column.
 *
 * old: OIDs of the keys of the table and its partitions, and of those to them, from before.
 */
extern void CzRenewKeysTo(Oid relid, List *old, const CzImage *before, const CzImage *after);
extern void CzLeaveKeysToShards(AlterTableStmt *stmt);
extern List *CzKeyTargets(const AlterTableStmt *stmt, Oid relid);
extern void CzKeyTargetsNote(const AlterTableStmt *stmt, Oid relid);
extern List *CzKeyPartners(const AlterTableStmt *stmt, Oid relid);
extern List *CzLocalKeysBegin(AlterTableStmt *stmt, Oid relid, List *partners);
extern void CzLocalKeysEnd(Oid relid, List *partners, List *known);
pg_noreturn extern void CzRefuseKeyTo(Oid relid, Oid target, const char *detail);

/*
 * keys_actors.c
 *
 * CzKeyActorsNote: triggers of a table are about to come or go: who acts for its foreign
 *		keys now?
 * CzKeyActorsSettle: that has happened: shards' keys with another actor are made again.
 */
extern void CzKeyActorsNote(Oid relid);
extern void CzKeyActorsSettle(void);
extern void CzKeyActorsForget(int level);

/*
 * extensions.c
 *
 * CzExtensionsNote: which of these extensions (names) a worker has as the
 * coordinator has them, into its option installed_extensions.
 */
extern void CzExtensionsNote(Oid server_oid, Oid user_oid, List *names, bool must_warn);
extern void CzExtensionsCompare(const char *server_name, List *options);
extern void CzExtensionsRefresh(List *names);
extern bool CzExtensionStatement(const CzUtility *utility, Node *stmt);

/* check.c: raise what may not be done */
extern void CzAfterAlterServer(AlterForeignServerStmt *stmt);
extern void CzCheckStatement(Node *stmt);

extern char *CzConstraintSql(Oid constraint_oid);

/* A CHECK, a generated column: does it use a system column or a whole row? */
extern bool CzConstraintUsesSystemColumn(Oid constraint_oid);
extern bool CzGeneratedUsesSystemColumn(Oid relid, AttrNumber attno);

/*
 * concurrently.c, index_concurrently.c, reindex_concurrently.c: of a table that is locked as core does; 25001 in a transaction block.
 * What a failure leaves is an invalid index here, which REINDEX INDEX and DROP INDEX mend.
 */
extern void CzCreateIndexConcurrently(const CzUtility *utility, IndexStmt *stmt, Oid relid);

/* index_oid: InvalidOid: all of the table; stmt: NULL: a reference table's are built here
 * already. */
extern void CzReindexConcurrently(const CzUtility *utility, ReindexStmt *stmt, Oid relid,
								  Oid index_oid);

/* index.c: pg_index.indisvalid: every shard has the index, or not all may have it */
extern void CzSetIndexValid(Oid index_oid, bool is_valid);

/* index.c: 0A000 unless the shards can hold a unique index or an exclusion constraint,
 * each alone */
extern void CzCheckIndexKey(const CzTable *table, Oid index_oid);

/*
 * majors.c: 0A000 if the oldest worker does not know
 *	CzRequireKnown: something in an expression; what: the object that has it
 *	CzTypeSql: a column's type, whose text it returns
 *	CzRequireOption: a storage parameter
 */
extern void CzRequireKnown(Node *expr, const char *what);
extern char *CzTypeSql(Oid type, int32 typmod);
extern void CzRequireOption(const char *name);

/* Expressions and predicate of an index as they stand in the catalog (a list of lists),
 * without running anything of them: their functions are the table owner's to run. */
extern List *CzIndexClauses(Relation index);

/* alter_ways.c */

/* How core runs a command. */
typedef enum CzAlterWay
{
	CZ_WAY_PARENT,					/* on the parent alone: leaves have nothing of it */
	CZ_WAY_DIRECT,					/* on the parent, and by recursion on the leaves */
	CZ_WAY_MOMENT,					/* in the parent's moment */
	CZ_WAY_REFUSED
} CzAlterWay;

/*
 * CzAlterCommandName
 *		What a command is called in errors.
 * CzAlterWayOf
 *		How core runs a command on a distributed table or its index.
 * CzAlterWayOfReference
 *		The same for a reference table, which core alters as the ordinary table that it is.
 * CzAlterRefusalHint
 *		Why a command is refused, or what to do instead; NULL: nothing to say.
 */
extern const char *CzAlterCommandName(AlterTableType type);
extern CzAlterWay CzAlterWayOf(const AlterTableCmd *cmd, bool is_index);
extern CzAlterWay CzAlterWayOfReference(const AlterTableCmd *cmd);
extern const char *CzAlterRefusalHint(const AlterTableCmd *cmd);

/*
 * alter_key.c
 *
 * CzWithTable
 *		A list of OIDs with one more, in order.
 * CzRefuseAlter
 *		Refuse a statement that the workers cannot be told.  Where plain PostgreSQL has an
 *		error of its own, that one is raised.  partner: another table of ours that core
 *		needs in its moment, or InvalidOid.
 * CzAlterMovesRows
 *		Does the statement give the distribution column values that belong to other shards,
 *		or drop it?  Refused where that cannot be done.
 * CzAlterTouchesKey
 *		Is the distribution column about to get another type modifier?
 * CzAlterRedistributed
 *		Run such a statement: all rows come here, core alters the table, and it is
 *		distributed again.
 */
extern List *CzWithTable(List *relids, Oid relid);
pg_noreturn extern void CzRefuseAlter(const CzUtility *utility, const AlterTableStmt *stmt,
									  Oid relid, Oid partner, const CzTable *table,
									  const char *what, const char *hint);
extern bool CzAlterMovesRows(const CzUtility *utility, const CzTable *table,
							 const AlterTableStmt *stmt);
extern bool CzAlterTouchesKey(const CzTable *table, const AlterTableStmt *stmt);
extern void CzAlterRedistributed(const CzUtility *utility, AlterTableStmt *stmt,
								 const CzTable *table);

/*
 * CzCheckKeysAgain
 *		Keys of other tables to one that core has made again (they are not among the known)
 *		have not been looked at where they are held here.
 */
extern void CzCheckKeysAgain(Oid relid, List *known);

/* alter.c */
extern void CzAlterShards(const CzTable *table, const CzImage *before, const CzImage *after,
						  const CzAlterHints *hints, Oid owner);

/* The commands for that, NULL: none; what they need is on the workers then. */
extern CzOps *CzAlterShardsOps(const CzTable *table, const CzImage *before,
							   const CzImage *after, const CzAlterHints *hints, Oid owner);

/*
 * CzTieLeaves: the leaves of a table, or the map of a root, are parts of it (again).
 * CzHasLeaves: has a table leaves, or a map, of its own?
 */
extern void CzTieLeaves(const CzTable *table);
extern bool CzHasLeaves(const CzTable *table);

extern void CzCheckNew(const CzTable *table, const CzImage *before, const CzImage *after);
extern void CzChangeOwner(const CzTable *table, Oid old_owner);

/*
 * catalog.c
 *
 * CzHasCoresTriggers: has a table internal triggers of constraints?
 * CzReferenceSetTriggers: those that keep its copies equal fire always again.
 */
extern bool CzHasCoresTriggers(Oid relid);
extern void CzReferenceSetTriggers(Oid relid);

/* rename.c */
extern bool CzRename(const CzUtility *utility, RenameStmt *stmt);

/* Core has renamed a column of a table of ours: tell the map and the shards. */
extern void CzColumnRenamed(Oid relid, const RenameStmt *stmt);

/*
 * objectddl.c: the row type of a table of ours, as columns elsewhere have it.
 *
 * CzRowTypeBefore: before a statement that may change it, NULL: no worker has it.
 * CzRowTypeAfter: after it: the workers' type follows.  Takes NULL.
 */
typedef struct CzRowType CzRowType;

extern CzRowType *CzRowTypeBefore(Oid relid);
extern void CzRowTypeAfter(const CzRowType *before);

/*
 * typed.c
 *
 * CzAlterTyped
 *		Run an ALTER TYPE ... CASCADE of the type that tables of ours have (OF).
 *
 * Returns: false if it is none, or core refuses it.
 */
extern bool CzAlterTyped(const CzUtility *utility, Node *stmt);

/* CzRunOnPlacements as a role; as_user: values are written and read as the user's
 * settings say. */
extern void CzRunOnPlacementsAs(const CzTable *table, Oid user_oid, bool as_user,
								CzMakeSql make, void *arg);

/*
 * ledger.c: what stands on workers besides shards.
 */

/* An object, by which its definition here and the one on a worker are found. */
typedef struct CzObject
{
	Oid			classid;
	Oid			objid;
	const char *kind;			/* as in the ledger: type, function, collation, schema, extension */
	char	   *schema;			/* empty for a schema */
	char	   *name;
	char	   *args;			/* of a function: the types of its arguments */
	char	   *definition;		/* what makes it on a worker; an extension's version; or NULL */
} CzObject;

/* What becomes of an object on the workers. */
typedef struct CzObjectChange
{
	const char *kind;			/* these four: what the worker calls it */
	const char *schema;
	const char *name;
	const char *args;
	char	   *command;		/* NULL: it is dropped, unless somebody else uses it there */
} CzObjectChange;

/*
 * CzObjectGet: what an object is called; NULL if it is none that workers have.
 * CzObjectName: its name in SQL, qualified, with the types of arguments.
 * CzObjectDefinition: the command that makes it on a worker, from the catalogs.
 */
extern CzObject *CzObjectGet(Oid classid, Oid objid);
extern char *CzObjectName(const CzObject *object);
extern char *CzObjectDefinition(Oid classid, Oid objid);

/*
 * CzLedgerMake
 *		Have workers make what is missing of some objects (CzObject *, in an order in which
 *		they can be made), and remember that they have been sent as user_oid.
 *
 * Errors: 42710 if there is another object of that name that we have not made, 55006 if
 *		there is one of ours that differs and is in use.
 */
extern void CzLedgerMake(List *objects, List *server_oids, Oid user_oid);

/*
 * CzLedgerUsers: as which local roles an object has been sent, list of OIDs; NIL: never.
 * CzLedgerFunctions: functions that have been sent as any role: list of OIDs.
 * CzLedgerForget: it has been dropped here.
 * CzLedgerServers: workers that may have it: list of OIDs.
 */
extern List *CzLedgerUsers(Oid classid, Oid objid);
extern List *CzLedgerFunctions(void);
extern void CzLedgerForget(Oid classid, Oid objid);
extern List *CzLedgerServers(void);

/*
 * CzLedgerChange
 *		Carry out changes (CzObjectChange *) on all workers, of what has been made there as
 *		these roles.  Then the object must be there what it is here now, if it is there.
 *
 * Errors: 42710 if it is not: somebody else has made it.
 */
extern void CzLedgerChange(List *changes, List *user_oids, Oid classid, Oid objid);
extern CzObjectChange *CzObjectChangeMake(const CzObject *object, char *command);

/* Has a role a user mapping for a worker? */
extern bool CzLedgerCanAsk(Oid server_oid, Oid user_oid);

/* The command that does so for one role on one worker. */
extern char *CzLedgerChangeSql(List *changes);

/* Is there an object of that name here? */
extern bool CzLedgerIsHere(const CzObjectChange *object);

/*
 * CzCheckTrust
 *		0A000 if workers may not be made to run a function of the sender's (trust.h).
 */
extern void CzCheckTrust(Oid function, const CzSender *sender);

/* objects.c: what an object depends on, list of ObjectAddress * */
extern List *CzDependencies(Oid classid, Oid objid);

/*
 * privileges.c
 *
 * CzShardsChangeOwner: a table has another owner here; on the workers, too, where that is
 *		another role.  42704 if the new owner has no user mapping for one.
 * CzGrantExecute: workers have made functions (OIDs) as a role: who may execute them here,
 *		and nobody else, may it there.
 * CzFunctionPrivilegesChanged: who may execute a function, or its owner, has changed here.
 *		0A000 if it is SECURITY DEFINER and workers that have it may not run it any more.
 */
extern void CzGrantExecute(List *functions, List *server_oids, Oid user_oid);
extern void CzFunctionPrivilegesChanged(Oid function);
extern void CzAfterGrant(Node *stmt);
extern void CzAfterKey(Node *stmt);
extern void CzShardsChangeOwner(Oid relid, Oid old_owner);
extern void CzReassignOwned(const CzUtility *utility, ReassignOwnedStmt *stmt);
extern void CzDropOwned(const CzUtility *utility, DropOwnedStmt *stmt);

/* drop.c: what a role has there may be about to be dropped, with its user mapping */
extern void CzDropExpect(Oid server_oid, Oid user_oid);

/* objectddl.c: changes of what the workers have too; true if it has run the statement */
extern bool CzAlterObject(const CzUtility *utility, Node *stmt);

/* Our table that a name means, or NULL; also when the name means nothing. */
extern const CzTable *CzTableOfName(const RangeVar *name);

/*
 * CzLockTableOfName
 *		The same with the lock that the statement will take: what is then asked about the
 *		table holds when it runs.  Without, a table that another session is about to
 *		distribute would pass as an ordinary one, and be changed here alone.
 *
 * must_own: check ownership before locking, as the statement would: 42501.
 */
extern const CzTable *CzLockTableOfName(const RangeVar *name, LOCKMODE lockmode, bool must_own);

/* A copy of an ALTER TABLE or CREATE INDEX that names its relation with the schema. */
extern Node *CzQualifyRelation(Node *stmt);
pg_noreturn extern void CzRefuseDdl(const CzTable *table, const char *what, const char *hint);

/*
 * CzCheckPublication
 *		CREATE and ALTER PUBLICATION: 0A000 if it names a distributed table, a warning if
 *		it contains one among others.
 */
extern void CzCheckPublication(Node *stmt);

#endif							/* CZ_DDL_INT_H */
