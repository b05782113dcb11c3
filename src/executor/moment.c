/*-------------------------------------------------------------------------
 *
 * moment.c
 *	  A statement sees what was there when it began.
 *
 * A scan belongs to the command whose snapshot its statement has.  A cursor that has
 * been opened and not fetched, or that is fetched in part, must not see what its
 * transaction writes afterwards.  A scan that goes through connections of its own does
 * not: nobody sees another session's transaction.  What goes through the connection that
 * will be written to must be read first; whoever writes says so in time
 * (CzTxnBeforeWrite), and the scans that are alive then are looked at here.  Rows that
 * are already on their way on that connection are kept by whoever uses it next
 * (CzConnDrain).
 *
 * A scan that can't be read yet, as its parameters come from a row of another one, may
 * find later that its worker can't show the old state any more (CzTxnReadConnAt).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/nodeFuncs.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "cz/transaction.h"
#include "executor_int.h"

static dlist_head scans = DLIST_STATIC_INIT(scans);

/* Whether scans are being read: what they run may come to read_earlier_scans() again. */
static bool is_reading = false;

/*
 * CzMomentOf
 *		The command id below which a statement sees its transaction's writes.
 */
CommandId
CzMomentOf(const EState *estate)
{
	return estate->es_snapshot != NULL ? estate->es_snapshot->curcid : InvalidCommandId;
}

/* Is a value missing that a row of some other scan will give? */
static bool
lacks_param_walker(Node *node, EState *estate)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return estate->es_param_exec_vals[((Param *) node)->paramid].execPlan == NULL;
	return expression_tree_walker(node, lacks_param_walker, (void *) estate);
}

static bool
lacks_params(const CzScanMoment *scan)
{
	ListCell   *lc;

	if (bms_is_empty(scan->parent->plan->extParam))
		return false;
	foreach(lc, scan->param_exprs)
	{
		if (lacks_param_walker((Node *) ((ExprState *) lfirst(lc))->expr,
							   scan->parent->state))
			return true;
	}
	return false;
}

/* Have a scan read what it must, as if its statement asked for the rows now. */
static void
read_scan(CzScanMoment *scan)
{
	ResourceOwner oldowner = CurrentResourceOwner;

	/* after an error its rows are not known any more */
	scan->is_lost = true;
	CurrentResourceOwner = scan->owner;
	PushActiveSnapshot(scan->parent->state->es_snapshot);
	scan->read(scan->arg);
	PopActiveSnapshot();
	CurrentResourceOwner = oldowner;
	scan->is_lost = false;
	scan->was_read = true;
}

static void
read_scans(List *all)
{
	is_reading = true;
	PG_TRY();
	{
		ListCell   *lc;

		foreach(lc, all)
		{
			CzScanMoment *scan = lfirst(lc);

			if (scan->is_begun(scan->arg) || !lacks_params(scan))
				read_scan(scan);
		}
	}
	PG_FINALLY();
	{
		is_reading = false;
	}
	PG_END_TRY();
}

/* Before a command of the transaction writes; see CzTxnBeforeWrite. */
static void
read_earlier_scans(bool is_utility)
{
	List	   *all = NIL;
	dlist_iter	iter;

	if (is_reading || dlist_is_empty(&scans))
		return;
	dlist_foreach(iter, &scans)
	{
		CzScanMoment *scan = dlist_container(CzScanMoment, node, iter.cur);

		if (scan->is_lost || scan->parent->state->es_snapshot == NULL)
			continue;
		if (scan->is_begun(scan->arg) || scan->locks_rows || is_utility ||
			IsolationUsesXactSnapshot() ||
			CzTxnHasWrittenBefore(CzMomentOf(scan->parent->state)))
			all = lappend(all, scan);
	}
	read_scans(all);
	list_free(all);
}

/*
 * CzMomentEnter
 *		A scan is alive from now on; the caller has filled in locks_rows, is_begun, read
 *		and arg.
 */
void
CzMomentEnter(CzScanMoment *scan, PlanState *parent, List *param_exprs)
{
	scan->parent = parent;
	scan->param_exprs = param_exprs;
	scan->owner = CurrentResourceOwner;
	scan->is_lost = scan->was_read = false;
	dlist_push_tail(&scans, &scan->node);
}

/*
 * CzMomentLeave
 *		It has ended, or its memory goes away.
 */
void
CzMomentLeave(CzScanMoment *scan)
{
	if (scan->parent != NULL)
		dlist_delete(&scan->node);
	scan->parent = NULL;
}

/*
 * CzMomentWasRead
 *		Have rows that a statement locks been read before they were asked for?
 */
bool
CzMomentWasRead(const EState *estate)
{
	dlist_iter	iter;

	dlist_foreach(iter, &scans)
	{
		CzScanMoment *scan = dlist_container(CzScanMoment, node, iter.cur);

		if (scan->parent->state == estate && scan->locks_rows && scan->was_read)
			return true;
	}
	return false;
}

/*
 * CzMomentCheck
 *		Before rows are handed out.
 */
void
CzMomentCheck(const CzScanMoment *scan)
{
	if (scan->is_lost)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows still to come from the nodes were lost"),
				 errdetail("They could not be read before the transaction wrote.")));
}

/*
 * CzMomentInit
 *		Have earlier scans read before anything is written.
 */
void
CzMomentInit(void)
{
	CzTxnSetBeforeWrite(read_earlier_scans);
}
