/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  The row of an INSERT that is sent as a statement.
 *
 * The parameters of its plan are the columns of one row.  They are computed once, and
 * the key among them decides the shard; all placements get the same values.  What
 * the node returns is the row, for RETURNING above it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cz/compat.h"
#include "cz/seal.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "ship_int.h"

/* Bytes of a value that an error shows, as core does. */
#define MAX_SHOWN_BYTES 64

/*
 * CzInsertNoShard
 *		No shard takes the key: raise the error of core's tuple routing.
 */
void
CzInsertNoShard(const CzTable *table, Datum value, bool isnull)
{
	char	   *text = NULL;

	if (pg_class_aclcheck(table->relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck(table->relid, table->key_attno, GetUserId(),
							  ACL_SELECT) == ACLCHECK_OK)
	{
		Oid			output_oid;
		bool		is_varlena;

		getTypeOutputInfo(table->key_type, &output_oid, &is_varlena);
		text = isnull ? "null" : OidOutputFunctionCall(output_oid, value);
		if (strlen(text) > MAX_SHOWN_BYTES)
			text = psprintf("%.*s...", pg_mbcliplen(text, strlen(text), MAX_SHOWN_BYTES),
							text);
	}
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("no partition of relation \"%s\" found for row",
					get_rel_name(table->relid)),
			 text ? errdetail("Partition key of the failing row contains (%s) = (%s).",
							  quote_identifier(get_attname(table->relid, table->key_attno,
														   false)), text) : 0));
}

/*
 * CzInsertResolve
 *		Compute the row and decide its shard: the run's parameters and its one fragment,
 *		in run_context.
 *
 * Errors: 23514 if no shard takes the key; those of the expressions.
 */
void
CzInsertResolve(CzStream *stream)
{
	const CzFragmentPlan *plan = stream->plan;
	const CzTable *table = CzTableGet(plan->anchor_relid);
	ExprContext *econtext = stream->parent->ps_ExprContext;
	MemoryContext oldcontext = MemoryContextSwitchTo(stream->run_context);
	bool		had_xid = TransactionIdIsValid(GetTopTransactionIdIfAny());
	XLogRecPtr	wal_before = XactLastRecEnd;
	Datum		key = (Datum) 0;
	bool		key_isnull = true;
	int			nrow = list_length(plan->insert_attnos);
	int			index;
	int			i = 0;
	ListCell   *lc;

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation with OID %u is no longer distributed",
						plan->anchor_relid)));
	if (plan->has_returning)
		CzWireInit(stream);
	stream->row_values = palloc(sizeof(Datum) * Max(plan->nparams, 1));
	stream->row_isnull = palloc(sizeof(bool) * Max(plan->nparams, 1));
	stream->param_values = palloc0(sizeof(char *) * Max(plan->nparams, 1));
	foreach(lc, stream->param_exprs)
	{
		stream->row_values[i] = ExecEvalExpr((ExprState *) lfirst(lc), econtext,
											 &stream->row_isnull[i]);
		if (i < nrow && list_nth_int(plan->insert_attnos, i) == table->key_attno)
		{
			key = stream->row_values[i];
			key_isnull = stream->row_isnull[i];
		}
		i++;
	}
	if (plan->insert_is_quiet)
		CzTxnNoteSequences(had_xid, wal_before);
	foreach(lc, stream->param_exprs)
	{
		i = foreach_current_index(lc);
		if (!stream->row_isnull[i])
			stream->param_values[i] =
				CzWireText(exprType((Node *) ((ExprState *) lfirst(lc))->expr),
						   stream->row_values[i]);
	}

	index = CzShardIndexForValue(table, key, key_isnull);
	if (index < 0)
		CzInsertNoShard(table, key, key_isnull);
	CzSealAdmit(table, index, key, key_isnull);
	stream->total_shards = table->nshards;
	stream->anchor = table;
	stream->nfragments = stream->max_fragments = 1;
	stream->fragments = palloc0(sizeof(Fragment));
	CzFragmentInit(stream, stream->fragments, &table->shards[index], index);
	stream->ndone = 0;
	stream->nruns++;
	MemoryContextSwitchTo(oldcontext);
}

/*
 * CzInsertNext
 *		Give the row out, once; false (slot cleared) afterwards.
 */
bool
CzInsertNext(CzStream *stream, TupleTableSlot *slot)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	if (stream->row_values == NULL)
		return false;
	Assert(natts <= stream->plan->nparams);
	memcpy(slot->tts_values, stream->row_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, stream->row_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	stream->row_values = NULL;
	return true;
}

/*
 * CzInsertSkipEmpty
 *		Drop the fragments that no row of the shipment goes to.
 */
void
CzInsertSkipEmpty(CzStream *stream)
{
	const Ship *ship = &stream->ships[0];
	int			n = 0;
	int			i;

	for (i = 0; i < stream->nfragments; i++)
	{
		if (ship->parts[stream->fragments[i].shard_index].nrows > 0)
			stream->fragments[n++] = stream->fragments[i];
	}
	stream->nfragments = stream->max_fragments = n;
}

/*
 * CzInsertCheckRow
 *		WITH CHECK conditions of a row that is to be inserted: columns of the row from
 *		number first on.
 */
void
CzInsertCheckRow(CzStream *stream, TupleTableSlot *slot, int first)
{
	ListCell   *lc;

	foreach(lc, stream->plan->insert_checks)
	{
		int			column = first + foreach_current_index(lc);

		if (slot->tts_isnull[column] || !DatumGetBool(slot->tts_values[column]))
			CzCheckViolated(lfirst(lc));
	}
}
