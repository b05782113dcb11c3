/*-------------------------------------------------------------------------
 *
 * utility.c
 *	  What the files of DDL share: running a statement as core would, names, refusals.
 *
 * The hook (hook.c) calls the files for statements, these call what is here.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/tablecmds.h"
#include "utils/lsyscache.h"

#include "ddl_int.h"

ProcessUtility_hook_type cz_prev_utility_hook = NULL;

/*
 * CzUtilityRun
 *		Run a statement as if there were no hook of ours.
 */
void
CzUtilityRun(const CzUtility *utility, Node *stmt)
{
	PlannedStmt *pstmt = utility->pstmt;

	if (stmt != utility->pstmt->utilityStmt)
	{
		pstmt = copyObject(utility->pstmt);
		pstmt->utilityStmt = stmt;
	}
	if (cz_prev_utility_hook)
		cz_prev_utility_hook(pstmt, utility->query_string, utility->read_only_tree,
							 utility->context, utility->params, utility->query_env,
							 utility->dest, utility->completion);
	else
		standard_ProcessUtility(pstmt, utility->query_string, utility->read_only_tree,
								utility->context, utility->params, utility->query_env,
								utility->dest, utility->completion);
}

/*
 * CzLockTableOfName
 *		See ddl_int.h.
 */
const CzTable *
CzLockTableOfName(const RangeVar *name, LOCKMODE lockmode, bool must_own)
{
	if (name != NULL)
		(void) RangeVarGetRelidExtended(name, lockmode, RVR_MISSING_OK,
										must_own ? RangeVarCallbackOwnsRelation : NULL, NULL);
	return CzTableOfName(name);
}

/*
 * CzQualifyRelation
 *		See ddl_int.h.
 */
Node *
CzQualifyRelation(Node *stmt)
{
	Node	   *copy = copyObject(stmt);
	RangeVar   *name = IsA(copy, IndexStmt) ? ((IndexStmt *) copy)->relation :
		castNode(AlterTableStmt, copy)->relation;
	Oid			relid = RangeVarGetRelid(name, NoLock, false);

	name->schemaname = get_namespace_name(get_rel_namespace(relid));
	return copy;
}

/*
 * CzTableOfName
 *		See ddl_int.h.  Does not lock.
 */
const CzTable *
CzTableOfName(const RangeVar *name)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
	const CzTable *table = OidIsValid(relid) ? CzTableGet(relid) : NULL;

	return table && table->kind != CZ_TABLE_FOREIGN ? table : NULL;
}

/*
 * CzNoticeLogged
 *		See ddl.h.
 */
void
CzNoticeLogged(const char *table_name)
{
	ereport(NOTICE,
			(errmsg("shards of unlogged table \"%s\" are logged", table_name),
			 errdetail("A worker's crash would empty one placement of a shard and leave the others.")));
}

/*
 * CzRefuseDdl
 *		Raise 0A000 for a statement that cannot be carried to the workers.
 */
void
CzRefuseDdl(const CzTable *table, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported on %s table \"%s\"", what,
					table->kind == CZ_TABLE_REFERENCE ? "reference" : "distributed",
					get_rel_name(table->relid)),
			 hint ? errhint("%s", hint) : 0));
	pg_unreachable();
}
