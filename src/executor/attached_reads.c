/*-------------------------------------------------------------------------
 *
 * attached_reads.c
 *	  What statements of an attached coordinator must not read: rows of reference tables
 *	  that are in this database.
 *
 * A reference table is read where it is copied to, beside shards; alone, or for what is done
 * here, its rows at the coordinator are read.  Those that an attached coordinator has are of
 * the day on which it was attached.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/transaction.h"
#include "executor_int.h"

static bool
check_scan(PlanState *state, void *context)
{
	if (state == NULL)
		return false;
	switch (nodeTag(state))
	{
		case T_SeqScanState:
		case T_SampleScanState:
		case T_IndexScanState:
		case T_IndexOnlyScanState:
		case T_BitmapHeapScanState:
		case T_TidScanState:
		case T_TidRangeScanState:
			{
				Relation	rel = ((ScanState *) state)->ss_currentRelation;
				const CzTable *table = rel ? CzTableGet(RelationGetRelid(rel)) : NULL;

				if (table != NULL && table->kind == CZ_TABLE_REFERENCE)
					ereport(ERROR,
							(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							 errmsg("cannot read reference table \"%s\" here",
									RelationGetRelationName(rel)),
							 errdetail("The rows of it that this attached coordinator has are old; those on the workers are read where the table is joined with a distributed one there."),
							 errhint("Ask the owner of the cluster: server \"%s\" says where it is.",
									 CzNodeGet(CzAttachedOwner())->name)));
				break;
			}
		default:
			break;
	}
	return planstate_tree_walker(state, check_scan, context);
}

/*
 * CzAttachedUseTables
 *		CzAttachedUse for the tables of a statement.
 */
void
CzAttachedUseTables(const PlannedStmt *stmt)
{
	List	   *relids = NIL;
	ListCell   *lc;

	if (!CzTxnIsAttached())
		return;
	foreach(lc, stmt->rtable)
	{
		const RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION)
			relids = list_append_unique_oid(relids, rte->relid);
	}
	CzAttachedUse(relids);
	list_free(relids);
}

/*
 * CzAttachedCheckPlan
 *		The executor has started a statement: 0A000 if it would read such rows.
 */
void
CzAttachedCheckPlan(PlanState *state)
{
	if (state != NULL && CzTxnIsAttached())
		(void) check_scan(state, NULL);
}
