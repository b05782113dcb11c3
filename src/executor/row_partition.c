/*-------------------------------------------------------------------------
 *
 * row_partition.c
 *	  tableoid of the rows of a distributed table that its user has partitioned.
 *
 * Workers know a row's partition under an OID of their own.  The planner replaces
 * tableoid by a call of this function (planner/roots.c), which finds the partition by
 * the columns that decide it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/metadata.h"

PG_FUNCTION_INFO_V1(row_partition);

/* Of one call's place in a plan; kept with its FmgrInfo. */
typedef struct RowPartition
{
	Oid			root_relid;
	int			ncolumns;
	AttrNumber *attnos;			/* [ncolumns] of the root */
	TupleTableSlot *slot;		/* of its columns; others are NULL */
	CzPartitionFinder *finder;
} RowPartition;

static void
refuse_call(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("cz.row_partition() is for plans of distributed partitioned tables only")));
}

/* Anybody may call it by hand: nothing is believed. */
static RowPartition *
make_state(FunctionCallInfo fcinfo)
{
	RowPartition *state = palloc0(sizeof(RowPartition));
	ArrayType  *attnos = PG_GETARG_ARRAYTYPE_P(2);
	Relation	rel = try_table_open(PG_GETARG_OID(0), AccessShareLock);
	const CzTable *table = rel ? CzTableGet(RelationGetRelid(rel)) : NULL;
	TupleDesc	desc;
	List	   *needed;
	Datum	   *values;
	int			i;

	if (table == NULL || !table->is_partitioned || ARR_NDIM(attnos) != 1 ||
		array_contains_nulls(attnos) || ARR_ELEMTYPE(attnos) != INT4OID)
		refuse_call();
	deconstruct_array(attnos, INT4OID, 4, true, TYPALIGN_INT, &values, NULL, &state->ncolumns);
	if (state->ncolumns != PG_NARGS() - 3 || get_fn_expr_variadic(fcinfo->flinfo))
		refuse_call();
	desc = RelationGetDescr(rel);
	needed = CzPartitionColumns(RelationGetRelid(rel));
	state->root_relid = RelationGetRelid(rel);
	state->attnos = palloc(sizeof(AttrNumber) * state->ncolumns);
	for (i = 0; i < state->ncolumns; i++)
	{
		int			attno = DatumGetInt32(values[i]);

		if (attno < 1 || attno > desc->natts || TupleDescAttr(desc, attno - 1)->attisdropped ||
			TupleDescAttr(desc, attno - 1)->atttypid != get_fn_expr_argtype(fcinfo->flinfo, i + 3))
			refuse_call();
		state->attnos[i] = attno;
		needed = list_delete_int(needed, attno);
	}
	/* partitions of another key than when it was planned */
	if (needed != NIL)
		refuse_call();
	state->slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(desc), &TTSOpsVirtual);
	state->finder = CzPartitionFinderMake(state->root_relid);
	table_close(rel, NoLock);
	return state;
}

/*
 * row_partition(root oid, marker oid, attnos int[], VARIADIC "any") RETURNS oid
 *		The partition that holds a row with these values of these columns; NULL if marker
 *		is, for an outer join has made up the row then.
 *
 * Errors: 40001 no partition takes the row any more.
 */
Datum
row_partition(PG_FUNCTION_ARGS)
{
	RowPartition *state = fcinfo->flinfo->fn_extra;
	Oid			relid;
	int			i;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		refuse_call();
	if (state == NULL || state->root_relid != PG_GETARG_OID(0))
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		state = fcinfo->flinfo->fn_extra = make_state(fcinfo);
		MemoryContextSwitchTo(old);
	}
	ExecClearTuple(state->slot);
	memset(state->slot->tts_isnull, true,
		   sizeof(bool) * state->slot->tts_tupleDescriptor->natts);
	for (i = 0; i < state->ncolumns; i++)
	{
		state->slot->tts_values[state->attnos[i] - 1] = PG_GETARG_DATUM(i + 3);
		state->slot->tts_isnull[state->attnos[i] - 1] = PG_ARGISNULL(i + 3);
	}
	ExecStoreVirtualTuple(state->slot);
	relid = CzPartitionFind(state->finder, state->slot);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("partition of a row of table \"%s\" was detached or dropped",
						get_rel_name(state->root_relid))));
	PG_RETURN_OID(relid);
}
