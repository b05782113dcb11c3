/*-------------------------------------------------------------------------
 *
 * redistribute.c
 *	  Tables that are distributed already, otherwise: alter_distributed_table,
 *	  update_distributed_table_colocation and another type of the distribution column.
 *
 * alter_distributed_table makes the table an ordinary one and distributes that, in one
 * transaction: the table keeps its OID, and with it all that hangs on it, and what can be
 * distributed afterwards is what create_distributed_table says.  The rows pass through
 * the table's storage here, so there must be room for them once.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "cz/cluster.h"
#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(alter_distributed_table);
PG_FUNCTION_INFO_V1(update_distributed_table_colocation);

/* in distribute.c and undistribute.c */
extern Datum create_distributed_table(PG_FUNCTION_ARGS);
extern Datum undistribute_table(PG_FUNCTION_ARGS);

/* What alter_distributed_table is to make. */
typedef struct Change
{
	char	   *column;			/* distribution column */
	int			shard_count;
	char	   *colocate_with;	/* as create_distributed_table's */
	int			replication_factor;
	bool		is_cascaded;	/* to all tables of the group */
} Change;

/* A hash-distributed table, the caller's own, locked; else an error. */
static const CzTable *
open_own_table(Oid relid, const char *function)
{
	const CzTable *table;
	Relation	rel;

	CzCheckTableOwner(relid);
	PreventCommandIfReadOnly(function);
	rel = CzOpenRelation(relid, AccessExclusiveLock);
	table = CzTableGet(relid);
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN || table->kind == CZ_TABLE_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", RelationGetRelationName(rel)),
				 table != NULL && table->kind == CZ_TABLE_REFERENCE ?
				 errdetail("It is a reference table.") : 0));
	if (table->kind != CZ_TABLE_HASH || table->key_attno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is not distributed by hash", RelationGetRelationName(rel))));
	CheckTableNotInUse(rel, function);
	relation_close(rel, NoLock);
	return table;
}

/* The group of a table: default tables join it, other tables are in it (OIDs). */
static bool
group_is_default(int colocation_id)
{
	Oid			argtypes[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(colocation_id)};

	return CzCatalogExec("SELECT FROM cz.colocation WHERE colocation_id OPERATOR(pg_catalog.=) $1"
						 " AND is_default", 1, argtypes, values, NULL) > 0;
}

static List *
others_of_group(const CzTable *table)
{
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		const CzTable *other = CzTableGet(lfirst_oid(lc));

		if (other != NULL && other->kind == table->kind && other->relid != table->relid &&
			other->colocation_id == table->colocation_id)
			others = lappend_oid(others, other->relid);
	}
	return others;
}

/* The replication factor of tables that are made, until AtEOXact_GUC(true, result). */
static int
set_replication_factor(int replication_factor)
{
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("citus.shard_replication_factor", psprintf("%d", replication_factor),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

static int
replication_factor_of(const CzTable *table)
{
	return table->nshards > 0 ? Max(list_length(CzShardServers(table->shards[0].relid)), 1) : 1;
}

static void
undistribute(Oid relid)
{
	(void) DirectFunctionCall2(undistribute_table, ObjectIdGetDatum(relid), BoolGetDatum(false));
	CommandCounterIncrement();
}

static void
distribute(Oid relid, const char *column, const char *colocate_with, int shard_count)
{
	(void) DirectFunctionCall5(create_distributed_table, ObjectIdGetDatum(relid),
							   CStringGetTextDatum(column), CStringGetTextDatum("hash"),
							   CStringGetTextDatum(colocate_with), Int32GetDatum(shard_count));
	CommandCounterIncrement();
}

static char *
key_name(const CzTable *table)
{
	return pstrdup(table->column_names[table->key_attno - 1]);
}

/*
 * Distribute a table, and those of its group if that is wanted, anew.  The first one makes
 * or finds the group, the others join it.
 */
static void
redistribute(Oid relid, List *others, const Change *change)
{
	List	   *save = cz_distributed_together;

	PG_TRY();
	{
		List	   *keys = NIL;
		ListCell   *lc;
		ListCell   *lc2;
		int			nest_level;

		foreach(lc, others)
			keys = lappend(keys, key_name(open_own_table(lfirst_oid(lc), "alter_distributed_table()")));
		cz_distributed_together = lcons_oid(relid, list_copy(others));
		undistribute(relid);
		foreach(lc, others)
			undistribute(lfirst_oid(lc));

		nest_level = set_replication_factor(change->replication_factor);
		distribute(relid, change->column, change->colocate_with, change->shard_count);
		forboth(lc, others, lc2, keys)
			distribute(lfirst_oid(lc), lfirst(lc2), CzRelationName(relid), change->shard_count);
		AtEOXact_GUC(true, nest_level);
	}
	PG_FINALLY();
	{
		cz_distributed_together = save;
	}
	PG_END_TRY();
}

/* The table with which a key joins one that is to be distributed by a column; or NULL. */
static const CzTable *
joined_by_key(Oid relid, AttrNumber attno)
{
	CzKeyEnd	planned;
	Oid			type;
	Oid			collation;
	int32		typmod;

	memset(&planned, 0, sizeof(planned));
	planned.relid = relid;
	planned.is_ours = true;
	planned.kind = CZ_TABLE_HASH;
	planned.key_attno = attno;
	get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
	return CzKeyColocation(&planned, type, collation);
}

/*
 * What the hook for statements that move the rows to other shards does: the table is
 * afterwards in the group of one that a key joins it with by columns of the same type, else,
 * if it was in the default group, in that of its column's new type, else in one of its own.
 * One whose column is gone has a single shard.
 */
static void
redistribute_around(Oid relid, void (*run) (void *arg), void *arg)
{
	const CzTable *table = open_own_table(relid, "ALTER TABLE");
	AttrNumber	attno = table->key_attno;
	int			shard_count = CzGroupShardCount(table);
	const char *colocate_with = group_is_default(table->colocation_id) ? "default" : "none";
	int			nest_level = set_replication_factor(replication_factor_of(table));

	undistribute(relid);
	run(arg);
	CommandCounterIncrement();
	if (OidIsValid(get_atttype(relid, attno)))
	{
		const CzTable *other = joined_by_key(relid, attno);

		if (other != NULL)
			distribute(relid, get_attname(relid, attno, false), CzRelationName(other->relid),
					   other->nshards);
		else
			distribute(relid, get_attname(relid, attno, false), colocate_with, shard_count);
	}
	else
	{
		CzDistributeToGroup(relid, 0);
		ereport(NOTICE,
				(errmsg("table \"%s\" has no distribution column any more", CzNameOf(relid)),
				 errdetail("All its rows are in one shard now."),
				 errhint("Use undistribute_table() and distribute the table by another column.")));
	}
	AtEOXact_GUC(true, nest_level);
}

/*
 * CzRedistributeInit
 *		See cz/cluster.h.
 */
void
CzRedistributeInit(void)
{
	cz_redistribute_hook = redistribute_around;
}

static void
bad_argument(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 hint ? errhint("%s", hint) : 0));
}

/*
 * alter_distributed_table(table_name regclass, distribution_column text, shard_count int,
 *		colocate_with text, cascade_to_colocated boolean)
 *		What is NULL stays as it is.
 *
 * colocate_with: if NULL, the table goes to where create_distributed_table would have it:
 *		to the default group, or (was it in one of its own) to one of its own.
 * cascade_to_colocated: true: the tables that are colocated with it change with it; false:
 *		they stay.  Must be given where there are such and only the number of shards changes.
 */
Datum
alter_distributed_table(PG_FUNCTION_ARGS)
{
	const CzTable *table;
	Change		change;
	List	   *others;
	bool		is_changed;
	Oid			relid;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "table_name")));
	if (PG_ARGISNULL(1) && PG_ARGISNULL(2) && PG_ARGISNULL(3))
		bad_argument("at least one of distribution_column, shard_count and colocate_with must be given", NULL);
	relid = PG_GETARG_OID(0);
	change.is_cascaded = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	if (change.is_cascaded && !PG_ARGISNULL(1))
		bad_argument("cascade_to_colocated cannot be used with distribution_column", NULL);

	table = open_own_table(relid, "alter_distributed_table()");
	others = others_of_group(table);
	change.column = PG_ARGISNULL(1) ? key_name(table) : text_to_cstring(PG_GETARG_TEXT_PP(1));
	change.shard_count = PG_ARGISNULL(2) ? CzGroupShardCount(table) : PG_GETARG_INT32(2);
	change.replication_factor = replication_factor_of(table);
	is_changed = strcmp(change.column, key_name(table)) != 0 ||
		(!PG_ARGISNULL(2) && change.shard_count != table->nshards) || !PG_ARGISNULL(3);
	if (!is_changed)
		bad_argument("the table is already distributed in this way", NULL);
	if (!PG_ARGISNULL(2) && change.shard_count != table->nshards && others != NIL && PG_ARGISNULL(4) &&
		PG_ARGISNULL(1) && PG_ARGISNULL(3))
		bad_argument("cascade_to_colocated must be given, as other tables are colocated with this one",
					 "With true these change with it, with false they are not colocated with it afterwards.");
	if (!PG_ARGISNULL(3))
	{
		change.colocate_with = text_to_cstring(PG_GETARG_TEXT_PP(3));
		/* a named table's number of shards is the one */
		if (PG_ARGISNULL(2) && pg_strcasecmp(change.colocate_with, "default") != 0 &&
			pg_strcasecmp(change.colocate_with, "none") != 0)
		{
			RangeVar   *name = makeRangeVarFromNameList(stringToQualifiedNameList_compat(change.colocate_with));
			const CzTable *other = CzTableGet(RangeVarGetRelid(name, AccessShareLock, false));

			if (other != NULL && other->kind == CZ_TABLE_HASH)
			{
				change.shard_count = CzGroupShardCount(other);
				change.replication_factor = replication_factor_of(other);
			}
		}
	}
	else if (!change.is_cascaded && CzGroupShardCount(table) != table->nshards &&
			 strcmp(change.column, key_name(table)) == 0)
		change.colocate_with = "none";	/* the default group has shards that were split */
	else
		change.colocate_with = group_is_default(table->colocation_id) ? "default" : "none";
	redistribute(relid, change.is_cascaded ? others : NIL, &change);
	PG_RETURN_VOID();
}

/* Are the shards of two tables at the same workers, each with the first one first? */
static void
check_same_placements(const CzTable *table, const CzTable *other)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (other->nshards == table->nshards &&
			other->shards[i].modulus == table->shards[i].modulus &&
			other->shards[i].remainder == table->shards[i].remainder &&
			equal(CzShardServers(table->shards[i].relid), CzShardServers(other->shards[i].relid)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot colocate tables \"%s\" and \"%s\"",
						CzNameOf(table->relid), CzNameOf(other->relid)),
				 other->nshards != table->nshards ? errdetail("They have %d and %d shards.",
															  table->nshards, other->nshards) :
				 errdetail("Shards " INT64_FORMAT " and " INT64_FORMAT " are not on the same workers.",
						   table->shards[i].shard_id, other->shards[i].shard_id),
				 errhint("Use alter_distributed_table() with colocate_with, which moves the rows.")));
	}
}

/* Constraints between distributed tables hold within a group only. */
static void
check_no_foreign_keys(const CzTable *table)
{
	Oid			argtypes[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(table->relid)};

	if (CzCatalogExec("SELECT FROM pg_catalog.pg_constraint c JOIN cz.tables t ON t.relid::pg_catalog.oid"
					  " OPERATOR(pg_catalog.=) CASE WHEN c.conrelid OPERATOR(pg_catalog.=) $1"
					  " THEN c.confrelid ELSE c.conrelid END"
					  " WHERE c.contype OPERATOR(pg_catalog.=) 'f' AND t.kind OPERATOR(pg_catalog.<>) 'n'"
					  " AND (c.conrelid OPERATOR(pg_catalog.=) $1 OR c.confrelid OPERATOR(pg_catalog.=) $1)"
					  " AND c.conrelid OPERATOR(pg_catalog.<>) c.confrelid",
					  1, argtypes, values, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change the colocation group of table \"%s\"",
						CzNameOf(table->relid)),
				 errdetail("A foreign key joins it with another table of the group.")));
}

/*
 * update_distributed_table_colocation(table_name regclass, colocate_with text)
 *		Changes what is known of a table and moves nothing: for tables whose shards are
 *		at the same places.
 */
Datum
update_distributed_table_colocation(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *colocate_with = text_to_cstring(PG_GETARG_TEXT_PP(1));
	const CzTable *table = open_own_table(relid, "update_distributed_table_colocation()");
	CzDistribution dist;
	Relation	rel;
	List	   *members;
	const CzTable *member;
	int			nest_level;

	memset(&dist, 0, sizeof(dist));
	dist.method = PARTITION_STRATEGY_HASH;
	dist.key_attno = table->key_attno;
	dist.key_type = table->key_type;
	dist.key_collation = table->key_collation;
	dist.shard_count = table->nshards;

	nest_level = set_replication_factor(replication_factor_of(table));
	rel = table_open(relid, NoLock);
	members = CzChooseColocation(rel, &dist, colocate_with, false);
	table_close(rel, NoLock);
	AtEOXact_GUC(true, nest_level);
	if (dist.colocation_id == table->colocation_id)
		PG_RETURN_VOID();
	check_no_foreign_keys(table);
	member = CzGroupMember(members);
	if (member != NULL)
		check_same_placements(table, member);

	/* backends look again at both groups */
	CzInvalidateTable(relid);
	CzForgetTable(relid);
	CzRegisterTable(relid, CZ_TABLE_HASH, dist.colocation_id, 0);
	CommandCounterIncrement();
	CzInvalidateTable(relid);
	PG_RETURN_VOID();
}
