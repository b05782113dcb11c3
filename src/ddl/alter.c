/*-------------------------------------------------------------------------
 *
 * alter.c
 *	  ALTER TABLE on distributed and reference tables.
 *
 * Core runs the statement here, on the parent as it is where it can, else in the
 * parent's moment (moment.c).  Then the table's images from before and after tell what
 * the shards get (image.c, diff.c): one script a worker, all workers at once, in the
 * transaction.  Core goes first, so nearly every refusal comes before a worker hears of
 * the statement; an error of a worker undoes core's part.
 *
 * In a database that is not the coordinator (a restored dump, a copy), and while a
 * dump's script rebuilds a parent, statements stay here.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/*
 * ENABLE and DISABLE TRIGGER ALL of a reference table are for triggers of the user's and
 * core's.  The internal ones that keep the copies equal are left out where core's are not
 * there, whose change takes a superuser; else they are set again afterwards.
 */
static bool
spare_triggers(AlterTableStmt *stmt, Oid relid)
{
	bool		has_others = CzHasCoresTriggers(relid);
	bool		is_all = false;
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype != AT_EnableTrigAll && cmd->subtype != AT_DisableTrigAll)
			continue;
		is_all = true;
		if (!has_others)
			cmd->subtype = cmd->subtype == AT_EnableTrigAll ? AT_EnableTrigUser :
				AT_DisableTrigUser;
	}
	return is_all && has_others;
}

static void
make_trigger_sql(StringInfo sql, const CzShard *shard, void *arg)
{
	appendStringInfo(sql, "ALTER TABLE %s %s TRIGGER ALL;\n", shard->remote_qualified,
					 (const char *) arg);
}

/*
 * ENABLE and DISABLE TRIGGER ALL: what core checks by triggers, workers check by those of
 * the shards.  Which takes a superuser there, as it does here.
 */
static void
alter_shard_triggers(const AlterTableStmt *stmt, Oid relid)
{
	ListCell   *lc;

	if (!CzHasCoresTriggers(relid))
		return;
	foreach(lc, stmt->cmds)
	{
		AlterTableType subtype = lfirst_node(AlterTableCmd, lc)->subtype;

		if (subtype == AT_EnableTrigAll || subtype == AT_DisableTrigAll)
			CzRunOnPlacements(CzTableGet(relid), make_trigger_sql,
							  subtype == AT_EnableTrigAll ? "ENABLE" : "DISABLE");
	}
}

/*
 * CzCheckNew
 *		What has come is for the shards to hold each alone: refuse what they cannot.
 */
void
CzCheckNew(const CzTable *table, const CzImage *before, const CzImage *after)
{
	ListCell   *lc;
	ListCell   *lc2;
	int			i;

	foreach(lc, after->indexes)
	{
		const CzObjectImage *index = lfirst(lc);
		bool		is_old = false;

		foreach(lc2, before->indexes)
			is_old |= ((const CzObjectImage *) lfirst(lc2))->oid == index->oid;
		if (!is_old && table->kind != CZ_TABLE_REFERENCE)
			CzCheckIndexKey(table, index->oid);
	}
	foreach(lc, after->checks)
	{
		const CzObjectImage *check = lfirst(lc);
		bool		is_old = false;

		foreach(lc2, before->checks)
			is_old |= ((const CzObjectImage *) lfirst(lc2))->oid == check->oid;
		if (!is_old && CzConstraintUsesSystemColumn(check->oid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("CHECK constraint \"%s\" uses a system column or a whole row",
							check->name),
					 errdetail("A shard has others.")));
	}
	for (i = 0; i < after->ncolumns; i++)
	{
		const CzColumnImage *column = &after->columns[i];

		if (!column->is_dropped && column->generated &&
			(i >= before->ncolumns || before->columns[i].generated == '\0' ||
			 strcmp(column->expression, before->columns[i].expression) != 0) &&
			CzGeneratedUsesSystemColumn(after->relid, i + 1))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("generated column \"%s\" uses a system column", column->name),
					 errdetail("It would have another value on a shard.")));
	}
}

/* NO INHERIT is dropped: leaves have the CHECK, and a dump could not say it. */
static void
drop_no_inherit(AlterTableStmt *stmt)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AddConstraint)
			castNode(Constraint, cmd->def)->is_no_inherit = false;
		else if (cmd->subtype == AT_AddColumn)
		{
			foreach(lc2, castNode(ColumnDef, cmd->def)->constraints)
				lfirst_node(Constraint, lc2)->is_no_inherit = false;
		}
	}
}

/* The role on a worker that a local one is, NULL: libpq's default. */
static const char *
remote_role(Oid server_oid, Oid user_oid)
{
	const CzEndpoint *endpoint = CzEndpointGet(server_oid, user_oid);
	int			i;

	for (i = 0; i < endpoint->noptions; i++)
	{
		if (strcmp(endpoint->keywords[i], "user") == 0)
			return endpoint->values[i];
	}
	return NULL;
}

/*
 * CzChangeOwner
 *		A table has another owner: the leaves are his, too, and on the workers the shards
 *		if he has another role there.
 */
void
CzChangeOwner(const CzTable *table, Oid old_owner)
{
	Oid			owner = CzRelationOwner(table->relid);
	int			i;
	int			j;

	CzLeavesSetOwner(table);
	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		for (j = 0; j < shard->nplacements; j++)
		{
			const char *from = remote_role(shard->server_oids[j], old_owner);
			const char *to = remote_role(shard->server_oids[j], owner);

			if (from == NULL || to == NULL || strcmp(from, to) == 0)
				continue;
			CzTxnExec(shard->server_oids[j], old_owner,
					  psprintf("ALTER TABLE %s OWNER TO %s", shard->remote_qualified,
							   quote_identifier(to)));
		}
	}
}

/*
 * CzAlterShardsOps
 *		See ddl_int.h.
 */
CzOps *
CzAlterShardsOps(const CzTable *table, const CzImage *before, const CzImage *after,
				 const CzAlterHints *hints, Oid owner)
{
	List	   *servers = CzTableServers(table);
	CzOps	   *ops = CzDiff(before, after, hints);

	if (ops == NULL)
		return NULL;
	if (hints && hints->functions != NIL && !hints->is_rewritten)
		CzPropagateAddresses(hints->functions, servers, owner);
	if (ops->has_new)
		CzPropagateObjects(table->relid, servers, owner);
	return ops;
}

/*
 * CzAlterShards
 *		Tell the shards of a table what a statement has made of it.
 *
 * owner: as whom; hints: what the statement says besides, or NULL.
 */
void
CzAlterShards(const CzTable *table, const CzImage *before, const CzImage *after,
			  const CzAlterHints *hints, Oid owner)
{
	CzOps	   *ops = CzAlterShardsOps(table, before, after, hints, owner);

	if (ops != NULL)
		CzRunOnPlacementsAs(table, owner, ops->has_types, CzOpsScript, ops);
}

/* Leaves have no defaults; core's recursion has given them some. */
static void
remove_leaf_defaults(const CzTable *table)
{
	int			i;

	for (i = 0; table->kind != CZ_TABLE_REFERENCE && i < table->nshards; i++)
		CzRemoveShardDefaults(table->shards[i].relid);
}

/* Has the statement given a column another type, or made one (after attno) with a value? */
static bool
alters_rows(const AlterTableStmt *stmt, Oid relid, int attno)
{
	Relation	rel = relation_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	bool		result = false;
	ListCell   *lc;
	int			i;

	foreach(lc, stmt->cmds)
		result |= lfirst_node(AlterTableCmd, lc)->subtype == AT_AlterColumnType;
	for (i = attno; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		result |= !att->attisdropped &&
			(att->atthasdef || att->attidentity || get_typdefault(att->atttypid) != NULL ||
			 DomainHasConstraints(att->atttypid));
	}
	relation_close(rel, NoLock);
	return result;
}

/* Number of columns of a table, dropped ones too. */
static int
count_columns(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);
	int			result = RelationGetDescr(rel)->natts;

	relation_close(rel, NoLock);
	return result;
}

/*
 * CzTieLeaves
 *		See ddl_int.h.
 */
void
CzTieLeaves(const CzTable *table)
{
	List	   *leaves = NIL;
	int			i;

	if (OidIsValid(table->map_relid))
		leaves = list_make1_oid(table->map_relid);
	for (i = 0; !OidIsValid(table->map_relid) && i < table->nshards; i++)
		leaves = lappend_oid(leaves, table->shards[i].relid);
	CzLeavesTie(table->relid, leaves);
}

/*
 * CzHasLeaves
 *		See ddl_int.h.
 */
bool
CzHasLeaves(const CzTable *table)
{
	return table->kind != CZ_TABLE_REFERENCE && !OidIsValid(table->root_relid);
}

/*
 * Core's part of the statement, in the moment of some parents or on the table as it is;
 * what is known of the tables is new afterwards.
 *
 * key_moments: those of the parents whose partition key changes its type.
 */
static void
run_core(const CzUtility *utility, AlterTableStmt *stmt, const CzTable *table, List *moments,
		 List *key_moments, CzRewrite *rewrite)
{
	Oid			relid = table->relid;
	Oid			save_altered = cz_altered_relid;
	List	   *parents = list_copy(moments);
	CzRowType  *row_type = CzRowTypeBefore(relid);
	int			ncolumns = count_columns(relid);
	ListCell   *lc;

	if (CzHasLeaves(table))
		parents = list_append_unique_oid(parents, relid);
	foreach(lc, parents)
		CzLeavesUntie(lfirst_oid(lc));
	PG_TRY();
	{
		cz_altered_relid = relid;
		CzRewriteEnter(rewrite);
		if (moments != NIL)
			CzMomentRun(utility, (Node *) stmt, moments, key_moments);
		else
			CzUtilityRun(utility, (Node *) stmt);
	}
	PG_FINALLY();
	{
		CzRewriteLeave(rewrite);
		cz_altered_relid = save_altered;
	}
	PG_END_TRY();
	CommandCounterIncrement();
	if (alters_rows(stmt, relid, ncolumns))
	{
		/* core looks only where rows are computed anew; workers cannot change their copy of
		 * the type while a column has it */
		Relation	rel = relation_open(relid, NoLock);

		find_composite_type_dependencies(rel->rd_rel->reltype, rel, NULL);
		relation_close(rel, NoLock);
	}
	CzDropFlush();
	CzRowTypeAfter(row_type);
	CzInvalidateTable(relid);
	foreach(lc, moments)
		CzInvalidateTable(lfirst_oid(lc));
	foreach(lc, parents)
		CzTieLeaves(CzTableGet(lfirst_oid(lc)));
}

/* SET ACCESS METHOD heap says what the table has, but for its moment. */
static void
drop_access_method(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		if (lfirst_node(AlterTableCmd, lc)->subtype == AT_SetAccessMethod)
			stmt->cmds = foreach_delete_current(stmt->cmds, lc);
	}
}

/* Can the shards have the foreign keys that have come? */
static void
check_new_keys(List *keys)
{
	ListCell   *lc;

	foreach(lc, keys)
		CzCheckForeignKey(lfirst_oid(lc));
}

/*
 * The statement here, then on the shards.
 *
 * moments: the parents, in order of OID and locked, in whose moment core runs it.
 */
static void
alter(const CzUtility *utility, AlterTableStmt *stmt, Oid relid, CzAlterWay way, List *moments)
{
	const CzTable *table = CzTableGet(relid);
	Oid			owner = CzRelationOwner(relid);
	CzImage    *before = CzTableImage(relid);
	CzImage    *after;
	CzAlterHints *hints = CzAlterHintsGet(stmt, table, utility->query_string);
	CzRewrite  *rewrite = hints->needs_rewrite ?
		CzRewriteMake(table, list_make1_oid(relid)) : NULL;
	List	   *old_keys = CzForeignKeys(relid, true);
	List	   *new_keys;
	Relation	rel;

	if (rewrite != NULL)
	{
		way = CZ_WAY_MOMENT;
		if (table->kind != CZ_TABLE_REFERENCE && !list_member_oid(moments, relid))
			moments = CzWithTable(moments, relid);
		drop_access_method(stmt);
	}
	run_core(utility, stmt, table, moments,
			 CzAlterTouchesKey(table, stmt) ? list_make1_oid(relid) : NIL, rewrite);
	table = CzTableGet(relid);
	after = CzTableImage(relid);
	CzCheckNew(table, before, after);
	new_keys = CzNewForeignKeys(before, after, hints);
	check_new_keys(new_keys);
	if (way == CZ_WAY_DIRECT)
		remove_leaf_defaults(table);
	if (CzRewriteIsDone(rewrite))
		CzRewriteShards(rewrite, table, before, after, hints, new_keys);
	else
	{
		rel = relation_open(relid, NoLock);
		CzAlterHintsValues(hints, before, rel, stmt);
		relation_close(rel, NoLock);
		CzAlterShards(table, before, after, hints, owner);
		if (table->kind != CZ_TABLE_REFERENCE)
			CzRenewKeysTo(relid, old_keys, before, after);
	}
	if (table->kind != CZ_TABLE_REFERENCE)
		CzForeignKeysToShards(relid, new_keys);
	if (CzRelationOwner(relid) != owner)
		CzChangeOwner(table, owner);
	CzInvalidateTable(relid);
}

/* Other tables that core changes with this one, locked. */
static List *
lock_partners(const AlterTableStmt *stmt, Oid relid)
{
	List	   *partners = CzKeyPartners(stmt, relid);
	ListCell   *lc;

	foreach(lc, partners)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	return partners;
}

static bool
is_unique_key(const Constraint *constraint)
{
	return constraint->contype == CONSTR_UNIQUE || constraint->contype == CONSTR_PRIMARY;
}

/* Does the statement make a unique index? */
static bool
adds_unique_key(const AlterTableStmt *stmt)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AddConstraint && is_unique_key(castNode(Constraint, cmd->def)))
			return true;
		foreach(lc2, cmd->subtype == AT_AddColumn ?
				castNode(ColumnDef, cmd->def)->constraints : NIL)
		{
			if (is_unique_key(lfirst_node(Constraint, lc2)))
				return true;
		}
	}
	return false;
}

/*
 * The statement on a table with the user's partitions, as core runs it.  Partitions with
 * rows have a moment where core is to compute these, or as their distribution column changes.
 */
static void
alter_tree(const CzUtility *utility, AlterTableStmt *stmt, Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	Oid			owner = CzRelationOwner(relid);
	CzTree	   *tree = CzTreeBegin(relid);
	CzImage    *before = CzTableImage(relid);
	CzAlterHints *hints = CzAlterHintsGet(stmt, table, utility->query_string);
	bool		is_key = CzAlterTouchesKey(table, stmt);
	CzRewrite  *rewrite = NULL;
	List	   *moments = lock_partners(stmt, relid);
	List	   *heaps = NIL;
	List	   *old_keys = CzTreeForeignKeys(relid, true);
	List	   *new_keys;
	Relation	rel;

	if (adds_unique_key(stmt))
	{
		moments = list_concat_unique_oid(moments, CzTreeMoments(table));
		list_sort(moments, list_oid_cmp);
	}
	hints->is_only = !stmt->relation->inh;
	CzLeaveKeysToShards(stmt);
	if (hints->needs_rewrite || is_key)
	{
		heaps = CzTreeHeaps(tree);
		moments = list_concat_unique_oid(moments, heaps);
		list_sort(moments, list_oid_cmp);
	}
	if (hints->needs_rewrite)
		rewrite = CzRewriteMake(table, heaps);
	run_core(utility, stmt, table, moments, is_key ? heaps : NIL, rewrite);
	new_keys = CzNewForeignKeys(before, CzTableImage(relid), hints);
	check_new_keys(new_keys);
	if (!CzRewriteIsDone(rewrite))
	{
		rel = relation_open(relid, NoLock);
		CzAlterHintsValues(hints, before, rel, stmt);
		relation_close(rel, NoLock);
	}
	CzTreeFinish(tree, hints, owner, rewrite, new_keys);
	if (!CzRewriteIsDone(rewrite))
		CzRenewKeysTo(relid, old_keys, before, CzTableImage(relid));
	CzForeignKeysToShards(relid, new_keys);
	if (CzRelationOwner(relid) != owner)
		CzChangeOwner(CzTableGet(relid), owner);
	CzInvalidateTable(relid);
}

/*
 * A parent of a restore, or of a database that is not the coordinator: nothing of it
 * reaches the workers, which have it already, or have another's.
 */
static bool
alter_here(const CzUtility *utility, AlterTableStmt *stmt, Oid relid)
{
	CzAlterWay	way = CZ_WAY_PARENT;
	List	   *moments;
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AttachPartition || cmd->subtype == AT_DetachPartition ||
			cmd->subtype == AT_DetachPartitionFinalize)
			return false;
		way = Max(way, CzAlterWayOf(cmd, stmt->objtype == OBJECT_INDEX));
	}
	if (way < CZ_WAY_MOMENT)
		return false;
	stmt = (AlterTableStmt *) CzQualifyRelation((Node *) stmt);
	drop_no_inherit(stmt);
	CzLeaveKeysToShards(stmt);
	LockRelationOid(relid, AccessExclusiveLock);
	moments = lock_partners(stmt, relid);
	CzMomentRun(utility, (Node *) stmt, CzWithTable(moments, relid), NIL);
	return true;
}

/* Table of a relation that an ALTER TABLE or ALTER INDEX names. */
static Oid
table_of(Oid relid)
{
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX)
		return IndexGetRelation(relid, true);
	return relid;
}

/* What no table of ours may be referred to by, whatever is altered. */
static void
check_references(const CzUtility *utility, const AlterTableStmt *stmt, Oid relid)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		const CzTable *table = NULL;

		if (cmd->subtype == AT_AddInherit)
			table = CzTableOfName((RangeVar *) cmd->def);
		else if (cmd->subtype == AT_AttachPartition)
			table = CzTableOfName(castNode(PartitionCmd, cmd->def)->name);
		if (table)
			CzRefuseAlter(utility, stmt, relid, table->relid, table,
						  cmd->subtype == AT_AddInherit ? "inheritance" : "ATTACH PARTITION", NULL);
	}
}

/* A dump's script attaches the leaves of a parent. */
static bool
attaches_shards(const AlterTableStmt *stmt)
{
	AlterTableCmd *cmd = linitial_node(AlterTableCmd, stmt->cmds);
	RangeVar   *name;

	if (cmd->subtype != AT_AttachPartition)
		return false;
	name = castNode(PartitionCmd, cmd->def)->name;
	return name->schemaname && strcmp(name->schemaname, CZ_SHARD_SCHEMA) == 0;
}

/*
 * CzCheckKeysAgain
 *		See ddl_int.h.
 */
void
CzCheckKeysAgain(Oid relid, List *known)
{
	ListCell   *lc;

	foreach(lc, CzTreeForeignKeys(relid, true))
	{
		if (!list_member_oid(known, lfirst_oid(lc)) && !CzKeyIsOnShards(lfirst_oid(lc)) &&
			CzRootOf(CzKeyGet(lfirst_oid(lc))->from_relid) != relid)
			CzKeyCheckRows(lfirst_oid(lc));
	}
}

/*
 * CzAlterTable
 *		Run an ALTER TABLE or ALTER INDEX that concerns a table of ours.
 *
 * Returns: false if it does not, or core can run it as it is.
 */
bool
CzAlterTable(const CzUtility *utility, AlterTableStmt *stmt)
{
	LOCKMODE	lockmode = AlterTableGetLockLevel(stmt->cmds);
	CzAlterWay	way = CZ_WAY_PARENT;
	const CzTable *table;
	List	   *moments;
	bool		is_reference;
	bool		is_index;
	bool		has_to_set;
	List	   *keys_before = NIL;
	List	   *all_keys;
	bool		is_unlogged_here = false;
	Oid			relid;
	ListCell   *lc;

	if (stmt->objtype != OBJECT_TABLE && stmt->objtype != OBJECT_INDEX)
		return false;
	relid = table_of(RangeVarGetRelid(stmt->relation, NoLock, true));
	/* core's lock, or the moment's, before any weaker one: a lock that is raised is a
	 * deadlock with the next one who does that */
	if (OidIsValid(relid) && CzIsParent(relid))
	{
		foreach(lc, stmt->cmds)
		{
			way = CzAlterWayOf(lfirst_node(AlterTableCmd, lc), stmt->objtype == OBJECT_INDEX);
			if (way == CZ_WAY_MOMENT || (way == CZ_WAY_DIRECT && list_length(stmt->cmds) > 1))
				lockmode = AccessExclusiveLock;
		}
		way = CZ_WAY_PARENT;
		if (lockmode == AccessExclusiveLock && stmt->objtype == OBJECT_INDEX &&
			class_ownercheck_compat(relid, GetUserId()))
			LockRelationOid(relid, AccessExclusiveLock);
	}
	relid = AlterTableLookupRelation(stmt, CzAttachLock(stmt, relid, lockmode));
	if (!OidIsValid(relid))
		return false;
	is_index = table_of(relid) != relid;
	relid = table_of(relid);

	table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	if (table != NULL && OidIsValid(table->map_relid))
	{
		if (CzPartitionCommand(utility, stmt, relid, is_index))
			return true;
		if (!CzTxnIsCoordinator() && table->is_partitioned)
			return CzAlterLocalKeys(utility, stmt, relid);
	}
	if (table == NULL && !is_index && !CzIsParent(relid) &&
		CzAlterLocalKeys(utility, stmt, relid))
		return true;
	check_references(utility, stmt, relid);
	if (table == NULL ? CzIsParent(relid) :
		table->kind != CZ_TABLE_FOREIGN && table->kind != CZ_TABLE_REFERENCE &&
		!CzTxnIsCoordinator())
		return alter_here(utility, stmt, relid);
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN ||
		(table->kind == CZ_TABLE_REFERENCE &&
		 (!CzReferenceHasTriggers(relid) || !CzTxnIsCoordinator())) ||
		attaches_shards(stmt))
		return false;

	is_reference = table->kind == CZ_TABLE_REFERENCE;
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		CzAlterWay	this_way = is_reference && !is_index ? CzAlterWayOfReference(cmd) :
			CzAlterWayOf(cmd, is_index);

		/* the leaves are no partitions of the user's */
		if (!is_index && !table->is_partitioned)
			CzCheckPartitioned(relid, cmd->subtype);
		if (cmd->subtype == AT_SetUnLogged && !is_reference && CzTableIsReplicated(table))
		{
			if (OidIsValid(table->map_relid))
				this_way = CZ_WAY_REFUSED;
			else
				is_unlogged_here = true;
		}
		if (this_way == CZ_WAY_REFUSED)
			CzRefuseAlter(utility, stmt, relid, InvalidOid, table,
						  psprintf("%s ... %s", is_index ? "ALTER INDEX" : "ALTER TABLE",
								   CzAlterCommandName(cmd->subtype)),
						  CzAlterRefusalHint(cmd));
		way = Max(way, this_way);
	}
	if (table->is_partitioned)
	{
		bool		moves = CzAlterMovesRows(utility, table, stmt);

		stmt = (AlterTableStmt *) CzQualifyRelation((Node *) stmt);
		CzKeyTargetsNote(stmt, relid);
		if (moves)
			CzAlterRedistributed(utility, stmt, table);
		else
			alter_tree(utility, stmt, relid);
		return true;
	}
	/* core's recursion does not see what an earlier command of the statement has made */
	if (way == CZ_WAY_DIRECT && list_length(stmt->cmds) > 1)
		way = CZ_WAY_MOMENT;
	if (way == CZ_WAY_MOMENT && !is_reference)
		LockRelationOid(relid, AccessExclusiveLock);
	/* core says that a partition's columns are its parent's */
	if (!is_reference && !OidIsValid(table->root_relid) && CzAlterMovesRows(utility, table, stmt))
	{
		CzAlterRedistributed(utility, (AlterTableStmt *) CzQualifyRelation((Node *) stmt), table);
		return true;
	}
	moments = is_index ? NIL : lock_partners(stmt, relid);
	if (way == CZ_WAY_MOMENT && !is_reference)
		moments = CzWithTable(moments, relid);

	/* the name must not come to mean another table on the way */
	stmt = (AlterTableStmt *) CzQualifyRelation((Node *) stmt);
	if (!is_reference)
	{
		/* the whole table, and no leaf where it would only have to be undone */
		if (!is_index)
			stmt->relation->inh = way != CZ_WAY_PARENT;
		drop_no_inherit(stmt);
		CzLeaveKeysToShards(stmt);
	}
	else
		keys_before = CzLocalKeysBegin(stmt, relid, moments);
	has_to_set = is_reference && !is_index && spare_triggers(stmt, relid);
	all_keys = CzTreeForeignKeys(relid, true);
	if (!is_reference)
		CzKeyTargetsNote(stmt, relid);
	alter(utility, stmt, relid, way, moments);
	CzCheckKeysAgain(relid, all_keys);
	if (has_to_set)
		CzReferenceSetTriggers(relid);
	if (is_reference)
		CzLocalKeysEnd(relid, moments, keys_before);
	if (is_unlogged_here)
		CzNoticeLogged(get_rel_name(relid));
	if (!is_index)
		alter_shard_triggers(stmt, relid);
	return true;
}
