/*-------------------------------------------------------------------------
 *
 * hook.c
 *	  The ProcessUtility hook: which statement goes where.
 *
 * Whatever a statement would change on a distributed or reference table is
 * either done on all placements too, or is the coordinator's business alone
 * (privileges, policies, triggers, defaults, comments), or refused.  Nothing is
 * applied only here that should be on the workers.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "cz/executor.h"
#include "cz/move.h"
#include "cz/planner.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

int			cz_internal_ddl_depth = 0;
CzTenantHooks cz_tenant_hooks = {NULL, NULL, NULL};
CzRedistributeHook cz_redistribute_hook = NULL;

/* RENAME SERVER: the options of shards, and cz.placement_state, name their placements. */
static void
rename_server(const CzUtility *utility, RenameStmt *stmt)
{
	Oid			server_oid = get_foreign_server_oid(strVal(stmt->object), true);
	List	   *shards = NIL;
	List	   *placements = NIL;
	ListCell   *lc;
	ListCell   *lc2;
	int			i;

	foreach(lc, OidIsValid(server_oid) ? CzTableList() : NIL)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL || !CzTableIsDistributed(table))
			continue;
		for (i = 0; i < table->nshards; i++)
		{
			List	   *servers = CzShardServers(table->shards[i].relid);

			if (list_member_oid(servers, server_oid))
			{
				shards = lappend_oid(shards, table->shards[i].relid);
				placements = lappend(placements, servers);
			}
		}
	}
	CzUtilityRun(utility, (Node *) stmt);
	CzInactiveRename(strVal(stmt->object), stmt->newname);
	CommandCounterIncrement();
	forboth(lc, shards, lc2, placements)
		CzShardSetPlacements(lfirst_oid(lc), (List *) lfirst(lc2));
}

/* As core does for events of its own: have tables no deferred triggers that are to fire? */
static void
check_deferred(Node *stmt)
{
	ListCell   *lc;

	if (IsA(stmt, AlterTableStmt))
		CzDeferredCheck(RangeVarGetRelid(((AlterTableStmt *) stmt)->relation, NoLock, true),
						"ALTER TABLE");
	foreach(lc, IsA(stmt, TruncateStmt) ? ((TruncateStmt *) stmt)->relations : NIL)
		CzDeferredCheck(RangeVarGetRelid(lfirst(lc), NoLock, true), "TRUNCATE");
	foreach(lc, IsA(stmt, DropStmt) && ((DropStmt *) stmt)->removeType == OBJECT_TABLE ?
			((DropStmt *) stmt)->objects : NIL)
		CzDeferredCheck(RangeVarGetRelid(makeRangeVarFromNameList(lfirst(lc)), NoLock, true),
						"DROP TABLE");
}

/* What may change columns of a table: moves of its shards give way first. */
static void
await_captures(Node *stmt)
{
	RangeVar   *relation = IsA(stmt, AlterTableStmt) ? ((AlterTableStmt *) stmt)->relation :
		IsA(stmt, RenameStmt) ? ((RenameStmt *) stmt)->relation : NULL;
	Oid			relid = relation ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid;

	/* who may not alter it shall stop nothing */
	if (OidIsValid(relid) && class_ownercheck_compat(relid, GetUserId()))
		CzMoveAwaitCaptures(relid);
}

/* The tables, or what belongs to them, that a statement names and locks; of RangeVar *. */
static List *
named_relations(Node *stmt)
{
	List	   *names = NIL;
	ListCell   *lc;

	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			return list_make1(((AlterTableStmt *) stmt)->relation);
		case T_IndexStmt:
			return list_make1(((IndexStmt *) stmt)->relation);
		case T_CreateTrigStmt:
			return list_make1(((CreateTrigStmt *) stmt)->relation);
		case T_RenameStmt:
			return list_make1(((RenameStmt *) stmt)->relation);
		case T_AlterObjectSchemaStmt:
			return list_make1(((AlterObjectSchemaStmt *) stmt)->relation);
		case T_CreateStmt:
			return ((CreateStmt *) stmt)->inhRelations;
		case T_TruncateStmt:
			return ((TruncateStmt *) stmt)->relations;
		case T_DropStmt:
			if (((DropStmt *) stmt)->removeType != OBJECT_TABLE &&
				((DropStmt *) stmt)->removeType != OBJECT_INDEX)
				return NIL;
			foreach(lc, ((DropStmt *) stmt)->objects)
				names = lappend(names, makeRangeVarFromNameList(lfirst(lc)));
			return names;
		default:
			return NIL;
	}
}

/* Does a name mean a table of the cluster, or an index of one? */
static bool
is_cluster_table(const RangeVar *name)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
	const CzTable *table;

	if (OidIsValid(relid) && (get_rel_relkind(relid) == RELKIND_INDEX ||
							  get_rel_relkind(relid) == RELKIND_PARTITIONED_INDEX))
		relid = IndexGetRelation(relid, true);
	table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	return table != NULL && table->kind != CZ_TABLE_FOREIGN;
}

/* An attached coordinator leaves DDL to the owner; see cz.local_ddl. */
static void
check_attached(Node *stmt)
{
	ListCell   *lc;

	if (!CzTxnIsAttached())
		return;
	if (IsA(stmt, CopyStmt) && ((CopyStmt *) stmt)->relation != NULL)
	{
		Oid			relid = RangeVarGetRelid(((CopyStmt *) stmt)->relation, NoLock, true);

		if (OidIsValid(relid))
			CzAttachedUse(list_make1_oid(relid));
	}
	foreach(lc, named_relations(stmt))
	{
		if (is_cluster_table(lfirst(lc)) && (!cz_local_ddl || IsA(stmt, TruncateStmt)))
			CzAttachedRefuse();
	}
}

/* Who changes distributed tables waits for the gate now, not with their locks. */
static void
await_gate(Node *stmt)
{
	ListCell   *lc;

	foreach(lc, named_relations(stmt))
	{
		if (is_cluster_table(lfirst(lc)) && CzTxnIsCoordinator())
		{
			CzGateAwait();
			return;
		}
	}
}

/* What core refuses in read-only transactions is refused before we lock something for it. */
static void
check_read_only(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
		case T_CreateStmt:
		case T_IndexStmt:
		case T_DropStmt:
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
		case T_TruncateStmt:
		case T_CreateTrigStmt:
		case T_AlterEnumStmt:
		case T_AlterDomainStmt:
		case T_CreateFunctionStmt:
		case T_AlterFunctionStmt:
		case T_AlterObjectSchemaStmt:
		case T_AlterOwnerStmt:
		case T_ReassignOwnedStmt:
		case T_DropOwnedStmt:
		case T_CreateExtensionStmt:
		case T_AlterExtensionStmt:
		case T_RenameStmt:
			PreventCommandIfReadOnly(CreateCommandName(stmt));
			break;
		case T_ReindexStmt:
		case T_ClusterStmt:
		case T_VacuumStmt:
			PreventCommandDuringRecovery(CreateCommandName(stmt));
			break;
		default:
			break;
	}
}

/* Run a statement with what our tables need besides. */
static void
run_statement(const CzUtility *utility)
{
	Node	   *stmt = utility->pstmt->utilityStmt;

	if (XactReadOnly)
		check_read_only(stmt);
	check_attached(stmt);
	await_gate(stmt);
	check_deferred(stmt);
	await_captures(stmt);
	CzCheckStatement(stmt);
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			if (CzAlterTyped(utility, stmt) || CzAlterObject(utility, stmt))
				return;
			if (CzAlterTable(utility, castNode(AlterTableStmt, stmt)))
			{
				CzAfterKey(stmt);
				return;
			}
			break;
		case T_CreateStmt:
			if (CzCreatePartition(utility, castNode(CreateStmt, stmt)))
				return;
			break;
		case T_IndexStmt:
			if (CzCreateIndex(utility, castNode(IndexStmt, stmt)))
			{
				CzAfterKey(stmt);
				return;
			}
			break;
		case T_DropStmt:
			if (CzDropIndexConcurrently(utility, castNode(DropStmt, stmt)))
				return;
			break;
		case T_ReindexStmt:
			if (CzReindex(utility, castNode(ReindexStmt, stmt)))
				return;
			break;
		case T_ClusterStmt:
			if (CzCluster(utility, castNode(ClusterStmt, stmt)))
				return;
			break;
		case T_VacuumStmt:
			if (CzVacuum(utility, castNode(VacuumStmt, stmt)))
				return;
			break;
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
			CzCheckPublication(stmt);
			break;
		case T_CopyStmt:
			if (CzCopyTo(utility, castNode(CopyStmt, stmt)) ||
				CzCopyFrom(utility, castNode(CopyStmt, stmt)))
				return;
			break;
		case T_TruncateStmt:
			if (CzTruncate(utility, castNode(TruncateStmt, stmt)) ||
				CzTruncateParts(castNode(TruncateStmt, stmt)))
				return;
			break;
		case T_CreateTrigStmt:
			if (CzCreateTrigger(utility, castNode(CreateTrigStmt, stmt)))
				return;
			break;
		case T_AlterEnumStmt:
		case T_AlterDomainStmt:
		case T_CreateFunctionStmt:
		case T_AlterFunctionStmt:
		case T_AlterObjectSchemaStmt:
		case T_AlterOwnerStmt:
			if (CzAlterObject(utility, stmt))
				return;
			break;
		case T_ReassignOwnedStmt:
			CzReassignOwned(utility, castNode(ReassignOwnedStmt, stmt));
			return;
		case T_DropOwnedStmt:
			CzDropOwned(utility, castNode(DropOwnedStmt, stmt));
			return;
		case T_CreateExtensionStmt:
		case T_AlterExtensionStmt:
			if (CzExtensionStatement(utility, stmt))
				return;
			break;
		case T_RenameStmt:
			if (castNode(RenameStmt, stmt)->renameType == OBJECT_FOREIGN_SERVER)
			{
				rename_server(utility, castNode(RenameStmt, stmt));
				return;
			}
			if (CzAlterTyped(utility, stmt) || CzAlterObject(utility, stmt))
				return;
			if (CzRename(utility, castNode(RenameStmt, stmt)))
				return;
			break;
		default:
			break;
	}
	CzUtilityRun(utility, stmt);
	if (IsA(stmt, GrantStmt) || IsA(stmt, GrantRoleStmt))
		CzAfterGrant(stmt);
	if (IsA(stmt, ConstraintsSetStmt))
		CzDeferredSet(castNode(ConstraintsSetStmt, stmt));
	if (IsA(stmt, AlterForeignServerStmt))
		CzAfterAlterServer(castNode(AlterForeignServerStmt, stmt));
	if (IsA(stmt, AlterForeignServerStmt))
		CzExtensionsCompare(castNode(AlterForeignServerStmt, stmt)->servername,
							castNode(AlterForeignServerStmt, stmt)->options);
}

/* Statements that neither need a transaction nor concern tables. */
static bool
is_plain_statement(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_TransactionStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_DiscardStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_PrepareStmt:
		case T_DeallocateStmt:
		case T_ExecuteStmt:
		case T_ExplainStmt:
		case T_DeclareCursorStmt:
		case T_ListenStmt:
		case T_NotifyStmt:
		case T_UnlistenStmt:
		case T_LoadStmt:
		case T_CallStmt:
		case T_DoStmt:
		case T_CheckPointStmt:
			return true;
		default:
			return false;
	}
}

/* Is an expression of EXECUTE's list a literal? */
static bool
is_literal(Node *node)
{
	while (IsA(node, TypeCast))
		node = ((TypeCast *) node)->arg;
	return IsA(node, A_Const);
}

/*
 * May a statement read something by the transaction's snapshot, or give it to others,
 * before the executor starts?
 */
static bool
uses_snapshot(Node *stmt)
{
	ListCell   *lc;

	switch (nodeTag(stmt))
	{
		case T_VariableSetStmt:
			return ((VariableSetStmt *) stmt)->kind == VAR_SET_MULTI &&
				strcmp(((VariableSetStmt *) stmt)->name, "TRANSACTION SNAPSHOT") == 0;
		case T_ExecuteStmt:
			foreach(lc, ((ExecuteStmt *) stmt)->params)
			{
				if (!is_literal(lfirst(lc)))
					return true;
			}
			return false;
		case T_TransactionStmt:
		case T_VariableShowStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_PrepareStmt:
		case T_DeallocateStmt:
		case T_ExplainStmt:
		case T_DeclareCursorStmt:
		case T_LockStmt:
			return false;
		default:
			return true;
	}
}

/* What EXPLAIN shows is the plan of the statement as it stands. */
static void
run_explain(const CzUtility *utility)
{
	bool		save = cz_plan_is_shown;

	cz_plan_is_shown = true;
	PG_TRY();
	{
		CzUtilityRun(utility, utility->pstmt->utilityStmt);
	}
	PG_FINALLY();
	{
		cz_plan_is_shown = save;
	}
	PG_END_TRY();
}

/* The table that EXPLAIN ANALYZE has made, in the schema of a tenant. */
static void
after_explain(ExplainStmt *stmt)
{
	Query	   *query = castNode(Query, stmt->query);

	if (query->utilityStmt == NULL || !IsA(query->utilityStmt, CreateTableAsStmt) ||
		cz_internal_ddl_depth > 0 || creating_extension || !OidIsValid(CzFdwOid()))
		return;
	cz_tenant_hooks.after(query->utilityStmt, InvalidOid);
	CzDropFlush();
}

static void
czProcessUtility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				 ProcessUtilityContext context, ParamListInfo params,
				 QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	CzUtility	utility;
	Oid			tenant_object;
	CzStoredNames *names;
	bool		is_execute = CzTxnNoteExecute(pstmt, context == PROCESS_UTILITY_TOPLEVEL);

	utility.pstmt = pstmt;
	utility.query_string = queryString;
	utility.read_only_tree = readOnlyTree;
	utility.context = context;
	utility.params = params;
	utility.query_env = queryEnv;
	utility.dest = dest;
	utility.completion = qc;

	if (IsTransactionState() && uses_snapshot(pstmt->utilityStmt))
		CzTxnNoteSnapshotUse();
	if (IsA(pstmt->utilityStmt, ExplainStmt))
	{
		run_explain(&utility);
		after_explain((ExplainStmt *) pstmt->utilityStmt);
		return;
	}
	if (cz_internal_ddl_depth > 0 || is_plain_statement(pstmt->utilityStmt) ||
		!IsTransactionState() || creating_extension || !OidIsValid(CzFdwOid()))
	{
		CzUtilityRun(&utility, pstmt->utilityStmt);
		if (is_execute)
			CzTxnForgetExecute();
		return;
	}
	tenant_object = cz_tenant_hooks.before(pstmt->utilityStmt);
	names = CzStoredNamesBefore(pstmt->utilityStmt);
	run_statement(&utility);
	if (IsTransactionState())
	{
		CzStoredNamesAfter(pstmt->utilityStmt, names);
		cz_tenant_hooks.after(pstmt->utilityStmt, tenant_object);
		CzDropFlush();
		CzKeyActorsSettle();
	}
}

/*
 * CzDdlInit
 *		Install the hooks of this module.
 */
void
CzDdlInit(void)
{
	cz_prev_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = czProcessUtility;
	CzDropInit();
}
