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

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rls.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "cz/write.h"
#include "executor_int.h"

PG_FUNCTION_INFO_V1(cursor_row);
PG_FUNCTION_INFO_V1(cursor_value);

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

/* Which column of a plan has a name; 0: none. */
static int
find_column(const Plan *plan, const char *name, Oid relid, const char *cursor)
{
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

static Portal
find_portal(const char *cursor)
{
	Portal		portal = GetPortalByName(cursor);

	if (!PortalIsValid(portal))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_CURSOR),
				 errmsg("cursor \"%s\" does not exist", cursor)));
	if (portal->strategy != PORTAL_ONE_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("cursor \"%s\" is not a SELECT query", cursor)));
	if (portal->queryDesc == NULL || portal->queryDesc->estate == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("cursor \"%s\" is held from a previous transaction", cursor)));
	return portal;
}

/*
 * A hidden column of the row that a cursor stands on, in the cursor's slot.
 *
 * suffix: of its name.
 */
static Datum
current_value(Portal portal, const char *cursor, Oid relid, const char *suffix, bool *isnull)
{
	QueryDesc  *desc = portal->queryDesc;
	const char *prefix = locks_rows(desc) ? CZ_CURSOR_ROW : CZ_CURSOR_READ;
	int			column = find_column(desc->planstate->plan,
									 psprintf("%s%u%s", prefix, relid, suffix), relid, cursor);
	TupleTableSlot *slot;

	if (column == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 locks_rows(desc) ?
				 errmsg("cursor \"%s\" does not have a FOR UPDATE/SHARE reference to table \"%s\"",
						cursor, get_rel_name(relid)) :
				 errmsg("cursor \"%s\" is not a simply updatable scan of table \"%s\"",
						cursor, get_rel_name(relid))));
	if (portal->atStart || portal->atEnd)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("cursor \"%s\" is not positioned on a row", cursor)));
	slot = last_slot(desc->planstate);
	if (TupIsNull(slot))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("cursor \"%s\" is not positioned on a row", cursor)));
	return slot_getattr(slot, column, isnull);
}

/* ---- rows by a key -------------------------------------------------------- */

/* Rows of cursors whose key was assigned by WHERE CURRENT OF. */
typedef struct RekeyedRow
{
	TimestampTz created;		/* the portal */
	uint64		position;		/* in it */
	Oid			relid;
	CommandId	command;		/* that assigned it */
} RekeyedRow;

static List *rekeyed_rows = NIL;	/* in TopTransactionContext */
static LocalTransactionId rekeyed_lxid = InvalidLocalTransactionId;	/* when that is valid */

/*
 * Core finds the version that its own transaction has made of a row since; by its old key
 * we would find none, or another row that has it now.
 */
static void
check_key(Portal portal, const char *cursor, Oid relid, bool changes_key)
{
	CommandId	command = GetCurrentCommandId(false);
	MemoryContext old_context;
	RekeyedRow *row;
	ListCell   *lc;

	if (rekeyed_lxid != MyLocalTransactionId_compat())
		rekeyed_rows = NIL;
	rekeyed_lxid = MyLocalTransactionId_compat();
	foreach(lc, rekeyed_rows)
	{
		row = lfirst(lc);
		if (row->created != portal->creation_time || row->position != portal->portalPos ||
			row->relid != relid)
			continue;
		if (row->command == command)
			return;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the key of the row of cursor \"%s\" was assigned before", cursor),
				 errdetail("WHERE CURRENT OF finds a row of a distributed table by its key.")));
	}
	if (!changes_key)
		return;
	old_context = MemoryContextSwitchTo(TopTransactionContext);
	row = palloc(sizeof(RekeyedRow));
	row->created = portal->creation_time;
	row->position = portal->portalPos;
	row->relid = relid;
	row->command = command;
	rekeyed_rows = lappend(rekeyed_rows, row);
	MemoryContextSwitchTo(old_context);
}

/*
 * cursor_value
 *		A column of a key of the row of a table that a cursor stands on.
 *
 * Arguments: cursor, relation, attribute number, will the key be assigned, and a null of
 * the column's type.
 *
 * Errors:  34000, 24000 as core's; 0A000: the row's key was assigned before.
 */
Datum
cursor_value(PG_FUNCTION_ARGS)
{
	char	   *cursor;
	Oid			relid = PG_GETARG_OID(1);
	Portal		portal;
	Datum		value;
	bool		isnull;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_CURSOR),
				 errmsg("cursor name is null")));
	cursor = text_to_cstring(PG_GETARG_TEXT_PP(0));
	portal = find_portal(cursor);
	value = current_value(portal, cursor, relid, psprintf("_%d", PG_GETARG_INT32(2)),
						  &isnull);
	/* the table is on the empty side of an outer join */
	if (isnull)
		PG_RETURN_NULL();
	check_key(portal, cursor, relid, PG_GETARG_BOOL(3));
	PG_RETURN_DATUM(value);
}

/* ---- rows without a key --------------------------------------------------- */

/*
 * Is the row as the cursor has read it?
 *
 * xmin: 0: do not compare it, the cursor has locked the row.
 * lock: lock it; then policies for UPDATE may hide it.
 */
static bool
is_there(Oid relid, Datum id, TransactionId xmin, bool lock)
{
	Oid			types[2] = {TIDOID, XIDOID};
	Datum		values[2] = {id, TransactionIdGetDatum(xmin)};
	bool		result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(psprintf("SELECT 1 FROM %s WHERE ctid OPERATOR(pg_catalog.=) $1%s%s",
									   CzRelationName(relid),
									   !TransactionIdIsValid(xmin) ? "" :
									   " AND xmin OPERATOR(pg_catalog.=) $2",
									   lock ? " FOR UPDATE" : ""),
							  TransactionIdIsValid(xmin) ? 2 : 1, types, values, NULL, false,
							  1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for the row of a cursor");
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

/*
 * Is the row as the cursor has read it?  It is locked then, unless this user may read it
 * and not change it: the command finds no row of his.
 */
static bool
is_unchanged(Oid relid, Datum id, TransactionId xmin)
{
	return is_there(relid, id, xmin, true) ||
		(check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED &&
		 is_there(relid, id, xmin, false));
}

/* ---- rows that the transaction has changed -------------------------------- */

/* A column of a plan's result: the ctid of a row that it locks. */
typedef struct LockedColumn
{
	AttrNumber	attno;
	Oid			relid;
} LockedColumn;

/* A plan whose rows are looked at before they are given out. */
typedef struct WatchedPlan
{
	PlanState  *state;
	ExecProcNodeMtd next_row;	/* its own */
	List	   *columns;		/* LockedColumn */
	Oid			user_oid;		/* who has opened the cursor */
	MemoryContextCallback callback;
	struct WatchedPlan *next;
} WatchedPlan;

static WatchedPlan *watched_plans = NULL;

/* The query's memory goes away. */
static void
forget_plan(void *arg)
{
	WatchedPlan **link;

	for (link = &watched_plans; *link; link = &(*link)->next)
	{
		if (*link == (WatchedPlan *) arg)
		{
			*link = (*link)->next;
			return;
		}
	}
}

/* Has the transaction changed one of the rows that a row of the result is made of? */
static bool
is_changed(const WatchedPlan *watched, TupleTableSlot *slot)
{
	bool		result = false;
	Oid			save_user;
	int			save_context;
	ListCell   *lc;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(watched->user_oid, save_context | SECURITY_LOCAL_USERID_CHANGE);
	foreach(lc, watched->columns)
	{
		const LockedColumn *column = lfirst(lc);
		bool		isnull;
		Datum		ctid = slot_getattr(slot, column->attno, &isnull);

		result |= !isnull && !is_there(column->relid, ctid, InvalidTransactionId, false);
	}
	SetUserIdAndSecContext(save_user, save_context);
	return result;
}

/* The rows of a plan but those that their transaction has changed since they were read. */
static TupleTableSlot *
next_unchanged(PlanState *state)
{
	WatchedPlan *watched = watched_plans;

	while (watched->state != state)
		watched = watched->next;
	for (;;)
	{
		TupleTableSlot *slot = watched->next_row(state);

		if (TupIsNull(slot) || !CzMomentWasRead(state->state) || !is_changed(watched, slot))
			return slot;
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * CzCursorWatch
 *		Rows that a cursor locks are read at the latest when its transaction writes.  Core
 *		would read them when they are fetched, and leave out those that were changed meanwhile.
 */
void
CzCursorWatch(QueryDesc *query_desc)
{
	PlanState  *state = query_desc->planstate;
	MemoryContext old_context = MemoryContextSwitchTo(query_desc->estate->es_query_cxt);
	WatchedPlan *watched;
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, state->plan->targetlist)
	{
		TargetEntry *tle = lfirst(lc);
		LockedColumn *column;
		Oid			relid;
		char	   *end;

		if (!tle->resjunk || tle->resname == NULL ||
			strncmp(tle->resname, CZ_CURSOR_ROW, strlen(CZ_CURSOR_ROW)) != 0)
			continue;
		relid = strtoul(tle->resname + strlen(CZ_CURSOR_ROW), &end, 10);
		if (strcmp(end, CZ_CURSOR_CTID) != 0)
			continue;
		column = palloc(sizeof(LockedColumn));
		column->attno = tle->resno;
		column->relid = relid;
		columns = lappend(columns, column);
	}
	if (columns != NIL)
	{
		watched = palloc0(sizeof(WatchedPlan));
		watched->state = state;
		watched->columns = columns;
		watched->user_oid = GetUserId();
		watched->next_row = state->ExecProcNodeReal;
		watched->callback.func = forget_plan;
		watched->callback.arg = watched;
		MemoryContextRegisterResetCallback(query_desc->estate->es_query_cxt,
										   &watched->callback);
		watched->next = watched_plans;
		watched_plans = watched;
		ExecSetExecProcNode(state, next_unchanged);
	}
	MemoryContextSwitchTo(old_context);
}

/* ---- the row of a table without a key ------------------------------------- */

/*
 * cursor_row
 *		The ctid of the row of a table without a key that a cursor stands on.
 *
 * Errors:  34000, 24000 as core's; 0A000: the row was changed since the cursor has read
 *		it.
 */
Datum
cursor_row(PG_FUNCTION_ARGS)
{
	char	   *cursor = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			relid = PG_GETARG_OID(1);
	Portal		portal = find_portal(cursor);
	TransactionId xmin = InvalidTransactionId;
	bool		isnull;
	Datum		row;

	row = current_value(portal, cursor, relid, "", &isnull);
	/* the table is on the empty side of an outer join */
	if (isnull)
		PG_RETURN_NULL();
	row = datumCopy(row, false, sizeof(ItemPointerData));
	if (!locks_rows(portal->queryDesc))
		xmin = DatumGetTransactionId(current_value(portal, cursor, relid, "_xmin", &isnull));
	if (!is_unchanged(relid, row, xmin))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the row of cursor \"%s\" was changed since it was read", cursor),
				 errdetail("Table \"%s\" is distributed and has no key by which the row could be found again.",
						   get_rel_name(relid))));
	PG_RETURN_DATUM(row);
}
