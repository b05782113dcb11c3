/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Read one foreign table or shard: the ForeignScan.
 *
 * planner_hook puts fragments in the place of foreign tables wherever it can, so
 * what arrives here are the targets of UPDATE and DELETE that run row by row,
 * and whatever another planner hook made of the query.  The scan is therefore
 * the plain one: columns and qualifiers are sent, everything else is done here.
 *
 * A row comes as a stream's virtual tuple of the wanted columns and is put in
 * the slot of the relation; only if a system column is wanted does it become a
 * heap tuple, because only that can carry a ctid.
 *
 * Source: own work; the handling of system columns follows
 * contrib/postgres_fdw/postgres_fdw.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/cost.h"
#include "optimizer/inherit.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/executor.h"
#include "cz/fragment.h"
#include "cz/planner.h"
#include "fdw_int.h"

/* As postgres_fdw: what a round trip and a row cost unless options say so. */
#define CZ_DEFAULT_STARTUP_COST 100.0
#define CZ_DEFAULT_TUPLE_COST 0.01

/* Positions in ForeignScan.fdw_private. */
enum CzScanPrivate
{
	CZ_SCAN_PRIVATE_PLAN,		/* CzFragmentPlanToList() */
	CZ_SCAN_PRIVATE_ATTNOS		/* int list: what each column of a row is */
};

typedef struct CzFdwScanState
{
	CzFragmentPlan *plan;
	CzStream   *stream;
	TupleTableSlot *row;		/* one row of the stream */
	int			nattnos;
	AttrNumber *attnos;			/* [nattnos] of the relation; ctid is -1 */
	bool		needs_heap_tuple;	/* a system column or whole row is wanted */
	Datum	   *values;			/* [natts] of the relation */
	bool	   *nulls;
	MemoryContext row_context;	/* holds the current heap tuple */
} CzFdwScanState;

static void
czGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	/* Never analyzed: ten pages, as for a local table of unknown size. */
	if (baserel->tuples < 0)
	{
		baserel->pages = 10;
		baserel->tuples = (10.0 * BLCKSZ) /
			(baserel->reltarget->width + MAXALIGN(SizeofHeapTupleHeader));
	}
	set_baserel_size_estimates(root, baserel);
}

static void
czGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	ForeignTable *table = GetForeignTable(foreigntableid);
	Cost		startup_cost;
	Cost		total_cost;
	ForeignPath *path;

	startup_cost = CzFdwRealOption(table, "fdw_startup_cost", CZ_DEFAULT_STARTUP_COST);
	total_cost = startup_cost + seq_page_cost * baserel->pages +
		(cpu_tuple_cost + baserel->baserestrictcost.per_tuple) * baserel->tuples +
		(cpu_tuple_cost + CzFdwRealOption(table, "fdw_tuple_cost", CZ_DEFAULT_TUPLE_COST)) *
		baserel->rows;

	path = CreateForeignScanPath_compat(root, baserel, baserel->rows,
										startup_cost, total_cost,
										baserel->lateral_relids);
	add_path(baserel, (Path *) path);
}

/*
 * The rows that a writing statement looks at are locked on the worker, as the
 * statement would lock them if it ran there: else a row could change between
 * the read and the write by ctid.
 */
static bool
scan_must_lock(PlannerInfo *root, RelOptInfo *baserel)
{
	PlanRowMark *mark;

	if (bms_is_member(baserel->relid, root->all_result_relids))
		return root->parse->commandType != CMD_INSERT;

	mark = get_plan_rowmark(root->rowMarks, baserel->relid);
	return mark != NULL && mark->strength != LCS_NONE;
}

/* Attribute numbers that the scan must return, in an order of our own. */
static List *
wanted_attnos(RelOptInfo *baserel, Oid relid, List *clauses)
{
	Relation	rel = table_open(relid, NoLock);
	TupleDesc	tupdesc = RelationGetDescr(rel);
	Bitmapset  *used = NULL;
	List	   *attnos = NIL;
	bool		has_whole_row;
	ListCell   *lc;
	int			attno;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &used);
	foreach(lc, clauses)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause,
					   baserel->relid, &used);

	has_whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	for (attno = 1; attno <= tupdesc->natts; attno++)
	{
		if (TupleDescAttr(tupdesc, attno - 1)->attisdropped)
			continue;
		if (has_whole_row ||
			bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, used))
			attnos = lappend_int(attnos, attno);
	}
	if (bms_is_member(SelfItemPointerAttributeNumber - FirstLowInvalidHeapAttributeNumber,
					  used))
		attnos = lappend_int(attnos, SelfItemPointerAttributeNumber);

	/* Something must be read, if only to count rows. */
	for (attno = 1; attnos == NIL && attno <= tupdesc->natts; attno++)
	{
		if (!TupleDescAttr(tupdesc, attno - 1)->attisdropped)
			attnos = list_make1_int(attno);
	}

	table_close(rel, NoLock);
	return attnos;
}

static ForeignScan *
czGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
				 ForeignPath *best_path, List *tlist, List *scan_clauses,
				 Plan *outer_plan)
{
	List	   *clauses = NIL;
	List	   *local_quals = NIL;
	List	   *remote_quals = NIL;
	List	   *params = NIL;
	List	   *attnos;
	CzFragmentPlan *plan;
	ListCell   *lc;

	/* Pseudoconstant clauses are evaluated by a node above. */
	foreach(lc, scan_clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (!rinfo->pseudoconstant)
			clauses = lappend(clauses, rinfo);
	}

	attnos = wanted_attnos(baserel, foreigntableid, clauses);
	plan = CzPlanRelScan(root, baserel, foreigntableid, attnos, clauses,
						 scan_must_lock(root, baserel), &local_quals, &params);
	plan->check_as_user = baserel->userid;

	/* What the worker has checked is checked again in an EvalPlanQual recheck. */
	foreach(lc, clauses)
	{
		if (!list_member_ptr(local_quals, lfirst(lc)))
			remote_quals = lappend(remote_quals, lfirst(lc));
	}

	return make_foreignscan(tlist,
							extract_actual_clauses(local_quals, false),
							baserel->relid,
							params,
							list_make2(CzFragmentPlanToList(plan), attnos),
							NIL,
							extract_actual_clauses(remote_quals, false),
							outer_plan);
}

static void
czBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *fscan = (ForeignScan *) node->ss.ps.plan;
	TupleDesc	rel_desc = RelationGetDescr(node->ss.ss_currentRelation);
	List	   *attnos = (List *) list_nth(fscan->fdw_private, CZ_SCAN_PRIVATE_ATTNOS);
	CzFdwScanState *state = palloc0(sizeof(CzFdwScanState));
	TupleDesc	row_desc;
	ListCell   *lc;

	state->plan = CzFragmentPlanFromList(list_nth(fscan->fdw_private,
												  CZ_SCAN_PRIVATE_PLAN));
	node->fdw_state = state;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state->attnos = palloc(sizeof(AttrNumber) * Max(list_length(attnos), 1));
	state->needs_heap_tuple = fscan->fsSystemCol;
	row_desc = CreateTemplateTupleDesc(list_length(attnos));
	foreach(lc, attnos)
	{
		AttrNumber	attno = lfirst_int(lc);
		AttrNumber	column = ++state->nattnos;

		state->attnos[column - 1] = attno;
		if (attno > 0)
			TupleDescCopyEntry(row_desc, column, rel_desc, attno);
		else
		{
			TupleDescInitEntry(row_desc, column, "ctid", TIDOID, -1, 0);
			state->needs_heap_tuple = true;
		}
	}

	state->row = ExecInitExtraTupleSlot(node->ss.ps.state, row_desc, &TTSOpsVirtual);
	state->values = palloc(sizeof(Datum) * Max(rel_desc->natts, 1));
	state->nulls = palloc(sizeof(bool) * Max(rel_desc->natts, 1));
	if (state->needs_heap_tuple)
		state->row_context = AllocSetContextCreate(CurrentMemoryContext,
												   "cz_fdw row",
												   ALLOCSET_DEFAULT_SIZES);
	state->stream = CzStreamBegin(state->plan,
								  ExecInitExprList(fscan->fdw_exprs, &node->ss.ps),
								  &node->ss.ps, row_desc);
}

/*
 * A heap tuple of the relation with the ctid that the row has on the worker.
 * xmin, xmax and cmin mean nothing here and are made invalid: heap_form_tuple
 * leaves the fields of a composite datum in their place.  t_ctid keeps the ctid
 * alive when an EvalPlanQual recheck turns the tuple into such a datum.
 */
static HeapTuple
form_heap_tuple(CzFdwScanState *state, Relation rel, ItemPointer ctid)
{
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(rel), state->values,
										state->nulls);

	tuple->t_tableOid = RelationGetRelid(rel);
	if (ctid != NULL)
		tuple->t_self = tuple->t_data->t_ctid = *ctid;
	HeapTupleHeaderSetXmax(tuple->t_data, InvalidTransactionId);
	HeapTupleHeaderSetXmin(tuple->t_data, InvalidTransactionId);
	HeapTupleHeaderSetCmin(tuple->t_data, InvalidTransactionId);
	return tuple;
}

static TupleTableSlot *
czIterateForeignScan(ForeignScanState *node)
{
	CzFdwScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	TupleTableSlot *row = state->row;
	int			natts = slot->tts_tupleDescriptor->natts;
	ItemPointer ctid = NULL;
	MemoryContext old_context;
	HeapTuple	tuple;
	int			i;

	ExecClearTuple(slot);
	if (!CzStreamNext(state->stream, row))
		return slot;
	slot_getallattrs(row);

	memset(state->nulls, true, sizeof(bool) * natts);
	for (i = 0; i < state->nattnos; i++)
	{
		AttrNumber	attno = state->attnos[i];

		if (attno > 0)
		{
			state->values[attno - 1] = row->tts_values[i];
			state->nulls[attno - 1] = row->tts_isnull[i];
		}
		else if (!row->tts_isnull[i])
			ctid = (ItemPointer) DatumGetPointer(row->tts_values[i]);
	}

	if (!state->needs_heap_tuple)
	{
		/* The values live as long as the stream's row: until the next one. */
		memcpy(slot->tts_values, state->values, sizeof(Datum) * natts);
		memcpy(slot->tts_isnull, state->nulls, sizeof(bool) * natts);
		return ExecStoreVirtualTuple(slot);
	}

	MemoryContextReset(state->row_context);
	old_context = MemoryContextSwitchTo(state->row_context);
	tuple = form_heap_tuple(state, node->ss.ss_currentRelation, ctid);
	MemoryContextSwitchTo(old_context);
	return ExecStoreHeapTuple(tuple, slot, false);
}

static void
czReScanForeignScan(ForeignScanState *node)
{
	CzFdwScanState *state = node->fdw_state;

	ExecClearTuple(node->ss.ss_ScanTupleSlot);
	CzStreamRescan(state->stream, node->ss.ps.chgParam != NULL);
}

static void
czEndForeignScan(ForeignScanState *node)
{
	CzFdwScanState *state = node->fdw_state;

	if (state != NULL && state->stream != NULL)
		CzStreamEnd(state->stream);
}

static void
czExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	CzFdwScanState *state = node->fdw_state;

	CzStreamExplain(state->stream, state->plan, &node->ss.ps, NIL, es);
}

/*
 * CzFdwScanRoutine
 *		Fill in the callbacks of this file.
 */
void
CzFdwScanRoutine(FdwRoutine *routine)
{
	routine->GetForeignRelSize = czGetForeignRelSize;
	routine->GetForeignPaths = czGetForeignPaths;
	routine->GetForeignPlan = czGetForeignPlan;
	routine->BeginForeignScan = czBeginForeignScan;
	routine->IterateForeignScan = czIterateForeignScan;
	routine->ReScanForeignScan = czReScanForeignScan;
	routine->EndForeignScan = czEndForeignScan;
	routine->ExplainForeignScan = czExplainForeignScan;
}
