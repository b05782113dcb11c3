/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  The row of a distributed table that a cursor stands on.
 *
 * Source: own work; the conditions and their messages follow execCurrentOf() of
 * src/backend/executor/execCurrent.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"

#include "cz/compat.h"
#include "cz/write.h"

PG_FUNCTION_INFO_V1(cursor_row);

/* The row that a plan gave out last. */
static TupleTableSlot *
last_slot(PlanState *state)
{
	switch (nodeTag(state))
	{
		case T_LimitState:
			return ((LimitState *) state)->subSlot;
		case T_LockRowsState:
			return last_slot(outerPlanState(state));
		case T_SubqueryScanState:
			if (state->ps_ProjInfo == NULL)
				return last_slot(((SubqueryScanState *) state)->subplan);
			return state->ps_ResultTupleSlot;
		case T_CustomScanState:
			if (state->ps_ProjInfo == NULL)
				return ((ScanState *) state)->ss_ScanTupleSlot;
			return state->ps_ResultTupleSlot;
		default:
			return state->ps_ResultTupleSlot;
	}
}

/* Which column of a plan has the rows of a table; 0: none. */
static int
find_column(const Plan *plan, Oid relid, const char *cursor)
{
	char	   *name = psprintf(CZ_CURSOR_ROW "%u", relid);
	int			column = 0;
	ListCell   *lc;

	foreach(lc, plan->targetlist)
	{
		TargetEntry *tle = lfirst(lc);

		if (!tle->resjunk || tle->resname == NULL || strcmp(tle->resname, name) != 0)
			continue;
		if (column != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_CURSOR_STATE),
					 errmsg("cursor \"%s\" has multiple FOR UPDATE/SHARE references to table \"%s\"",
							cursor, get_rel_name(relid))));
		column = tle->resno;
	}
	return column;
}

/* Does a cursor lock rows of any table? */
static bool
locks_rows(const QueryDesc *desc)
{
	ListCell   *lc;

	foreach(lc, desc->planstate->plan->targetlist)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk && tle->resname != NULL &&
			strncmp(tle->resname, CZ_CURSOR_ROW, strlen(CZ_CURSOR_ROW)) == 0)
			return true;
	}
	return desc->plannedstmt->rowMarks != NIL;
}

/* The row that was asked for last. */
static struct
{
	LocalTransactionId lxid;
	TimestampTz created;		/* the portal */
	Oid			relid;
	ItemPointerData id;
	CommandId	command;		/* that asked */
} last_row;

/*
 * Core finds the version that its own transaction has made of a row since; we would find
 * none, and change nothing without a word.
 */
static void
check_once(const char *cursor, const Portal portal, Oid relid, ItemPointer id)
{
	CommandId	command = GetCurrentCommandId(false);

	if (last_row.lxid == MyLocalTransactionId_compat() && last_row.relid == relid &&
		last_row.created == portal->creation_time && ItemPointerEquals(&last_row.id, id) &&
		last_row.command != command)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the row of cursor \"%s\" was changed before", cursor),
				 errdetail("A row of a distributed table can be changed once by WHERE CURRENT OF.")));
	last_row.lxid = MyLocalTransactionId_compat();
	last_row.created = portal->creation_time;
	last_row.relid = relid;
	last_row.id = *id;
	last_row.command = command;
}

/*
 * cursor_row
 *		The ctid of the row of a table that a cursor stands on.
 *
 * Errors:  34000, 24000 as core's; 0A000: the cursor does not lock the table's rows, or
 *		the row was asked for before.
 */
Datum
cursor_row(PG_FUNCTION_ARGS)
{
	char	   *cursor = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			relid = PG_GETARG_OID(1);
	Portal		portal = GetPortalByName(cursor);
	QueryDesc  *desc;
	TupleTableSlot *slot;
	int			column;
	Datum		row;
	bool		isnull;

	if (!PortalIsValid(portal))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_CURSOR),
				 errmsg("cursor \"%s\" does not exist", cursor)));
	if (portal->strategy != PORTAL_ONE_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("cursor \"%s\" is not a SELECT query", cursor)));
	desc = portal->queryDesc;
	if (desc == NULL || desc->estate == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("cursor \"%s\" is held from a previous transaction", cursor)));
	column = find_column(desc->planstate->plan, relid, cursor);
	if (column == 0)
		ereport(ERROR,
				(errcode(locks_rows(desc) ? ERRCODE_INVALID_CURSOR_STATE :
						 ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cursor \"%s\" does not have a FOR UPDATE/SHARE reference to table \"%s\"",
						cursor, get_rel_name(relid)),
				 locks_rows(desc) ? 0 :
				 errhint("Declare the cursor FOR UPDATE: rows of a distributed table are not found again otherwise.")));
	if (portal->atStart || portal->atEnd)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("cursor \"%s\" is not positioned on a row", cursor)));
	slot = last_slot(desc->planstate);
	if (TupIsNull(slot))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("cursor \"%s\" is not positioned on a row", cursor)));
	row = slot_getattr(slot, column, &isnull);
	/* the table is on the empty side of an outer join */
	if (isnull)
		PG_RETURN_NULL();
	check_once(cursor, portal, relid, (ItemPointer) DatumGetPointer(row));
	PG_RETURN_DATUM(row);
}
