/*-------------------------------------------------------------------------
 *
 * detach_concurrently.c
 *	  DETACH PARTITION CONCURRENTLY of a distributed table.
 *
 * Core marks the partition as one that is about to go, commits, and waits until nobody can
 * know it any more.  Shards cannot be marked all at the same moment, so somebody would see
 * the partition's rows on some of them and not on others.  Here the partition is detached in
 * one transaction, as without CONCURRENTLY, and what that takes long for is done before:
 * locks are asked for in short turns, so that nobody waits long behind us, and the CHECK
 * that takes the place of the partition's bounds is made NOT VALID and then validated while
 * readers and writers go on.
 *
 * So a failure leaves the partition attached, at most with that CHECK, and FINALIZE never
 * has anything to do.
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
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parser.h"
#include "partitioning/partbounds.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "concurrently_int.h"

/*
 * bounds_sql
 *		What the bounds of a partition say of its rows, as SQL; NULL: nothing that a CHECK of
 *		the partition's does not say, or that one can (as core has it, which leaves out hashes).
 */
static char *
bounds_sql(Oid parent_relid, Oid relid)
{
	Relation	parent = relation_open(parent_relid, NoLock);
	char		strategy = RelationGetPartitionKey(parent)->strategy;
	Relation	rel;
	List	   *bounds;
	char	   *result = NULL;
	int			nest_level;

	relation_close(parent, NoLock);
	if (strategy == PARTITION_STRATEGY_HASH)
		return NULL;
	rel = relation_open(relid, NoLock);
	bounds = (List *) eval_const_expressions(NULL, (Node *) RelationGetPartitionQual(rel));
	if (bounds != NIL && !PartConstraintImpliedByRelConstraint(rel, bounds))
	{
		nest_level = CzPinTextSettings(CZ_PIN_ALL);
		result = deparse_expression((Node *) make_ands_explicit(bounds),
									deparse_context_for(RelationGetRelationName(rel), relid),
									false, false);
		CzUnpinTextSettings(nest_level);
	}
	relation_close(rel, NoLock);
	return result;
}

/* A CHECK of these words that is NOT VALID, by name; NULL: there is none. */
static char *
find_check(Oid relid, const char *bounds)
{
	char	   *text = psprintf("CHECK (%s) NOT VALID", bounds);
	ListCell   *lc;

	foreach(lc, CzUnfulfilledChecks(CzTableImage(relid)))
	{
		const CzObjectImage *check = lfirst(lc);

		if (strcmp(check->text, text) == 0)
			return check->name;
	}
	return NULL;
}

/* Everybody who may read the partition: through what is above it, and below. */
static void
lock_in_turns(Oid parent_relid, Oid relid)
{
	List	   *relids = list_concat(list_make1_oid(parent_relid),
									 find_all_inheritors(relid, NoLock, NULL));

	while (get_rel_relispartition(linitial_oid(relids)))
		relids = lcons_oid(get_partition_parent(linitial_oid(relids), false), relids);
	CzLockInTurns(relids, AccessExclusiveLock);
}

/* A part of the statement, of which event triggers shall not know. */
static void
run_part(const CzUtility *utility, const char *sql)
{
	RawStmt    *raw;
	CzUtility	part = *utility;
	int			nest_level = CzPinTextSettings(CZ_PIN_ALL);

	raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	part.query_string = sql;
	part.context = PROCESS_UTILITY_SUBCOMMAND;
	if (!CzAlterTable(&part, castNode(AlterTableStmt, raw->stmt)))
		elog(ERROR, "not a statement of a distributed table: %s", sql);
	CzUnpinTextSettings(nest_level);
}

static void
next_transaction(void)
{
	CzNextTransaction();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* A CHECK in place of the bounds.  The partition is locked for the session. */
static void
add_check(const CzUtility *utility, Oid parent_relid, Oid relid, const char *bounds)
{
	char	   *name = find_check(relid, bounds);

	if (name == NULL)
	{
		lock_in_turns(parent_relid, relid);
		run_part(utility, psprintf("ALTER TABLE %s ADD CHECK (%s) NOT VALID",
								   CzRelationName(relid), bounds));
		CommandCounterIncrement();
		name = find_check(relid, bounds);
		if (name == NULL)
			elog(ERROR, "relation %u has not got a CHECK of its bounds", relid);
	}
	name = MemoryContextStrdup(PortalContext, name);
	next_transaction();
	CzDebugPoint("detach-check");
	run_part(utility, psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s",
							   CzRelationName(relid), quote_identifier(name)));
}

/*
 * CzDetachConcurrently
 *		See ddl_int.h.
 */
void
CzDetachConcurrently(const CzUtility *utility, AlterTableStmt *stmt, Oid parent_relid)
{
	AlterTableStmt *plain;
	PartitionCmd *cmd = castNode(PartitionCmd, linitial_node(AlterTableCmd, stmt->cmds)->def);
	Oid			relid;
	CzWork	   *work;
	char	   *bounds;

	PreventInTransactionBlock(utility->context == PROCESS_UTILITY_TOPLEVEL,
							  "ALTER TABLE ... DETACH CONCURRENTLY");
	relid = RangeVarGetRelid(cmd->name, ShareUpdateExclusiveLock, false);
	if (OidIsValid(get_default_partition_oid(parent_relid)) || !get_rel_relispartition(relid) ||
		get_partition_parent(relid, false) != parent_relid)
	{
		/* in core's words */
		CzUtilityRun(utility, (Node *) stmt);
		elog(ERROR, "\"%s\" was detached here alone", cmd->name->relname);
	}
	work = CzWorkBegin(parent_relid);
	CzWorkLockAlso(work, relid);
	bounds = bounds_sql(parent_relid, relid);
	if (bounds != NULL)
	{
		bounds = MemoryContextStrdup(work->context, bounds);
		next_transaction();
		add_check(utility, parent_relid, relid, bounds);
	}
	next_transaction();
	CzDebugPoint("detach-begun");
	lock_in_turns(parent_relid, relid);

	plain = copyObject(stmt);
	plain->relation = makeRangeVar(get_namespace_name(get_rel_namespace(parent_relid)),
								   get_rel_name(parent_relid), -1);
	cmd = castNode(PartitionCmd, linitial_node(AlterTableCmd, plain->cmds)->def);
	cmd->concurrent = false;
	cmd->name = makeRangeVar(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid),
							 -1);
	CzDetachPartition(utility, plain, parent_relid);
	while (ActiveSnapshotSet())
		PopActiveSnapshot();
	CzWorkEnd(work);
}
