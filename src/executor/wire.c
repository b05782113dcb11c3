/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  Values on their way: rows from a worker's binary or text form to Datums,
 *	  parameters to text.
 *
 * A worker is not trusted: the number of columns, every length and the encoding
 * are checked, so that a worker that lies gets an error.  Binary form is used
 * where OIDs and binary format are fixed by PostgreSQL itself.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"
#include "cz/rowid.h"
#include "cz/settings.h"
#include "executor_int.h"
#include "writer_int.h"

/* Rows that have no more bytes, whatever they hold, may be taken in chunks unseen. */
#define NARROW_ROW_BYTES 4096

static bool
is_binary_safe(Oid type_oid)
{
	switch (type_oid)
	{
		case BOOLOID:
		case BYTEAOID:
		case CHAROID:
		case NAMEOID:
		case INT8OID:
		case INT2OID:
		case INT4OID:
		case TEXTOID:
		case OIDOID:
		case JSONOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case BPCHAROID:
		case VARCHAROID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case NUMERICOID:
		case UUIDOID:
		case JSONBOID:
		case BOOLARRAYOID:
		case BYTEAARRAYOID:
		case CHARARRAYOID:
		case NAMEARRAYOID:
		case INT8ARRAYOID:
		case INT2ARRAYOID:
		case INT4ARRAYOID:
		case TEXTARRAYOID:
		case OIDARRAYOID:
		case JSONARRAYOID:
		case FLOAT4ARRAYOID:
		case FLOAT8ARRAYOID:
		case BPCHARARRAYOID:
		case VARCHARARRAYOID:
		case DATEARRAYOID:
		case TIMEARRAYOID:
		case TIMESTAMPARRAYOID:
		case TIMESTAMPTZARRAYOID:
		case INTERVALARRAYOID:
		case NUMERICARRAYOID:
		case UUIDARRAYOID:
		case JSONBARRAYOID:
			return true;
		default:
			return false;
	}
}

/*
 * rows_are_binary_safe
 *		May rows of this shape travel in binary form?
 *
 * Receive functions convert texts from this session's client encoding, while the
 * connection to the worker uses the database's: so only if these are the same.
 */
static bool
rows_are_binary_safe(TupleDesc tupdesc)
{
	int			i;

	if (!cz_binary_protocol || pg_get_client_encoding() != GetDatabaseEncoding())
		return false;
	for (i = 0; i < tupdesc->natts; i++)
	{
		if (!is_binary_safe(TupleDescAttr(tupdesc, i)->atttypid))
			return false;
	}
	return true;
}

/* Shards are made by us; an independent foreign table may declare other types. */
static bool
has_foreign_alone(const CzFragmentPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && table->kind == CZ_TABLE_FOREIGN &&
			table->shards[0].shard_id == 0)
			return true;
	}
	return false;
}

/* The most bytes that a value of a type may have; -1: it may have any number. */
static int64
most_bytes(Oid type_oid, int32 typmod)
{
	int16		length = get_typlen(type_oid);
	int			most = length > 0 ? length : type_maximum_size(type_oid, typmod);

	return most > 0 ? most : -1;
}

/*
 * CzWireInit
 *		Look up input functions for a run.
 */
void
CzWireInit(CzStream *stream)
{
	TupleDesc	tupdesc = stream->tupdesc;
	bool		is_binary = rows_are_binary_safe(tupdesc) && !has_foreign_alone(stream->plan);
	MemoryContext oldcontext;
	int64		most = 0;
	int			i;

	if (stream->columns != NULL && stream->is_binary == is_binary)
		return;
	stream->is_binary = is_binary;
	stream->pins = 0;
	stream->is_narrow = true;
	oldcontext = MemoryContextSwitchTo(stream->context);
	stream->columns = palloc0(sizeof(ColumnIO) * Max(tupdesc->natts, 1));
	for (i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		ColumnIO   *column = &stream->columns[i];
		Oid			function_oid;

		/*
		 * The worker has checked what a domain demands.  NULLs of outer joins and of
		 * missing fields are none of its business, and reading runs no CHECK.
		 */
		column->typmod = att->atttypmod;
		column->type_oid = getBaseTypeAndTypmod(att->atttypid, &column->typmod);
		most += most_bytes(column->type_oid, column->typmod);
		stream->is_narrow &= most_bytes(column->type_oid, column->typmod) >= 0 &&
			most <= NARROW_ROW_BYTES;
		if (is_binary)
			getTypeBinaryInputInfo(column->type_oid, &function_oid, &column->ioparam);
		else
		{
			getTypeInputInfo(column->type_oid, &function_oid, &column->ioparam);
			/* workers say names in full, and a field's CHECK sees search_path */
			stream->pins |= CzPinsOfType(column->type_oid) & ~CZ_PIN_PATH;
		}
		fmgr_info(function_oid, &column->input);
	}
	MemoryContextSwitchTo(oldcontext);
}

/* Names and texts look alike on the wire. */
static bool
is_text_like(Oid type_oid)
{
	return type_oid == TEXTOID || type_oid == VARCHAROID || type_oid == BPCHAROID ||
		type_oid == NAMEOID || type_oid == UNKNOWNOID;
}

static void
report_lie(const char *node_name, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("unexpected row from node \"%s\"", node_name),
			 errdetail_internal("%s", detail)));
}

typedef struct DecodePosition
{
	const char *node_name;
	int			column;			/* from 0 */
} DecodePosition;

static void
decode_error_callback(void *arg)
{
	DecodePosition *position = arg;

	errcontext("value of column %d from node \"%s\"", position->column + 1,
			   position->node_name);
}

/*
 * CzWireDecode
 *		One row of a result to values and nulls, in CurrentMemoryContext.
 */
void
CzWireDecode(CzStream *stream, const PGresult *res, int row, const Fragment *fragment,
			 Datum *values, bool *isnull)
{
	const char *node_name = fragment->worker->endpoint->node_name;
	int			natts = stream->tupdesc->natts;
	int			save_nestlevel = -1;
	int			nfields = PQnfields(res);
	DecodePosition position;
	ErrorContextCallback callback;
	ListCell   *lc;
	int			i;

	/* a fragment that selects nothing returns one column all the same */
	if (nfields != natts && !(natts == 0 && nfields == 1))
		report_lie(node_name,
				   psprintf("It has %d columns instead of %d.", nfields, natts));

	if (stream->pins != 0)
		save_nestlevel = CzPinTextSettings(stream->pins);

	position.node_name = node_name;
	callback.callback = decode_error_callback;
	callback.arg = &position;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	for (i = 0; i < natts; i++)
	{
		ColumnIO   *column = &stream->columns[i];

		position.column = i;
		isnull[i] = PQgetisnull(res, row, i);
		if (stream->is_binary)
		{
			if (PQfformat(res, i) != 1 ||
				(PQftype(res, i) != column->type_oid &&
				 !(is_text_like(PQftype(res, i)) && is_text_like(column->type_oid))))
				report_lie(node_name,
						   psprintf("Column %d is of the type with OID %u instead of %u.",
									i + 1, PQftype(res, i), column->type_oid));
			if (isnull[i])
				values[i] = ReceiveFunctionCall(&column->input, NULL, column->ioparam,
												column->typmod);
			else
			{
				StringInfoData buf;

				buf.data = PQgetvalue(res, row, i);
				buf.len = PQgetlength(res, row, i);
				buf.maxlen = buf.len + 1;
				buf.cursor = 0;
				values[i] = ReceiveFunctionCall(&column->input, &buf, column->ioparam,
												column->typmod);
				if (buf.cursor != buf.len)
					report_lie(node_name,
							   psprintf("Column %d has a malformed binary value.", i + 1));
			}
		}
		else
		{
			char	   *text = isnull[i] ? NULL : PQgetvalue(res, row, i);

			if (text != NULL)
				pg_verifymbstr(text, PQgetlength(res, row, i), false);
			values[i] = InputFunctionCall(&column->input, text, column->ioparam,
										  column->typmod);
		}
	}

	error_context_stack = callback.previous;
	CzUnpinTextSettings(save_nestlevel);
	foreach(lc, stream->plan->row_id_columns)
	{
		ItemPointer id = (ItemPointer) DatumGetPointer(values[lfirst_int(lc) - 1]);

		if (!isnull[lfirst_int(lc) - 1])
			CzRowIdEncode(stream->anchor, fragment->shard_index, fragment->worker->server_oid,
						  id, id);
	}
}

/* Bytes of a row's values. */
int64
CzWireRowBytes(const PGresult *res, int row)
{
	int64		bytes = 0;
	int			nfields = PQnfields(res);
	int			i;

	for (i = 0; i < nfields; i++)
		bytes += PQgetlength(res, row, i);
	return bytes;
}

/* A copy of a parameter that is decoded for each shard; 0 if it is none. */
static Datum
value_of_row_id(const CzFragmentPlan *plan, int number, Oid type_oid, Datum value)
{
	int16		typlen;
	bool		typbyval;

	if (!list_member_int(plan->row_id_params, number) &&
		!list_member_int(plan->row_id_lists, number))
		return (Datum) 0;
	get_typlenbyval(type_oid, &typlen, &typbyval);
	return datumCopy(value, typbyval, typlen);
}

static char *
row_id_text(const CzStream *stream, const Fragment *fragment, Datum id)
{
	ItemPointerData local;

	(void) CzRowIdLocal(stream->anchor, fragment->shard_index,
						(ItemPointer) DatumGetPointer(id), &local);
	return psprintf("(%u,%u)", ItemPointerGetBlockNumberNoCheck(&local),
					ItemPointerGetOffsetNumberNoCheck(&local));
}

/* An array of ids, each as it is in one shard; of_shard: only those of the shard. */
static char *
row_ids_text(const CzStream *stream, const Fragment *fragment, Datum array, bool of_shard)
{
	StringInfoData buf;
	Datum	   *ids;
	bool	   *nulls;
	int			n;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(array), TIDOID, sizeof(ItemPointerData), false,
					  TYPALIGN_SHORT, &ids, &nulls, &n);
	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (i = 0; i < n; i++)
	{
		ItemPointerData local;

		if (of_shard && !nulls[i] &&
			CzRowIdDecode(stream->anchor, (ItemPointer) DatumGetPointer(ids[i]),
						  &local) != fragment->shard_index)
			continue;
		if (buf.len > 1)
			appendStringInfoChar(&buf, ',');
		if (nulls[i])
			appendStringInfoString(&buf, "NULL");
		else
			appendStringInfo(&buf, "\"%s\"", row_id_text(stream, fragment, ids[i]));
	}
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

static void
check_row_id(const CzStream *stream, const Fragment *fragment, Datum id)
{
	ItemPointer value = (ItemPointer) DatumGetPointer(id);
	ItemPointerData local;

	if (CzRowIdDecode(stream->anchor, value, &local) == fragment->shard_index)
		CzRowIdCheck(&stream->anchor->shards[fragment->shard_index],
					 fragment->worker != NULL ? fragment->worker->server_oid :
					 fragment->server_oids[0], CzRowIdPlacement(value));
}

/*
 * CzWireCheckRowIds
 *		A fragment of one shard has its placement: were ctids that it looks for read there?
 *
 * Errors: 40001.
 */
void
CzWireCheckRowIds(const CzStream *stream, const Fragment *fragment)
{
	int			i;

	if (stream->row_ids == NULL)
		return;
	for (i = 0; i < stream->plan->nparams; i++)
	{
		ExprState  *state = list_nth(stream->param_exprs, i);
		Datum	   *ids;
		bool	   *nulls;
		int			n;
		int			j;

		if (stream->row_ids[i] == (Datum) 0)
			continue;
		if (exprType((Node *) state->expr) == TIDOID)
		{
			check_row_id(stream, fragment, stream->row_ids[i]);
			continue;
		}
		deconstruct_array(DatumGetArrayTypeP(stream->row_ids[i]), TIDOID,
						  sizeof(ItemPointerData), false, TYPALIGN_SHORT, &ids, &nulls, &n);
		for (j = 0; j < n; j++)
		{
			if (!nulls[j])
				check_row_id(stream, fragment, ids[j]);
		}
		pfree(ids);
		pfree(nulls);
	}
}

/*
 * CzWireRowIdParams
 *		Replace the texts of parameters that are ctids by those of a fragment's shard.
 *
 * texts: [nparams], changed.
 */
void
CzWireRowIdParams(const CzStream *stream, const Fragment *fragment, const char **texts)
{
	const CzFragmentPlan *plan = stream->plan;
	ListCell   *lc;

	if (stream->row_ids == NULL)
		return;
	foreach(lc, plan->row_id_params)
	{
		int			i = lfirst_int(lc);
		ExprState  *state = list_nth(stream->param_exprs, i);

		if (texts[i] == NULL)
			continue;
		texts[i] = exprType((Node *) state->expr) == TIDOID ?
			row_id_text(stream, fragment, stream->row_ids[i]) :
			row_ids_text(stream, fragment, stream->row_ids[i], false);
	}
	foreach(lc, plan->row_id_lists)
	{
		int			i = lfirst_int(lc);

		if (texts[i] != NULL)
			texts[i] = row_ids_text(stream, fragment, stream->row_ids[i], true);
	}
}

/*
 * CzWireText
 *		A value as text for the workers, in CurrentMemoryContext.
 */
const char *
CzWireText(Oid type_oid, Datum value)
{
	Oid			output_oid;
	bool		is_varlena;
	int			pins;
	int			nestlevel;
	char	   *result;

	switch (type_oid)
	{
		case INT4OID:
			result = palloc(12);
			pg_ltoa(DatumGetInt32(value), result);
			return result;
		case INT8OID:
			result = palloc(24);
			pg_lltoa(DatumGetInt64(value), result);
			return result;
		case TEXTOID:
		case VARCHAROID:
			return TextDatumGetCString(value);
		default:
			break;
	}
	getTypeOutputInfo(type_oid, &output_oid, &is_varlena);
	pins = CzPinsOfType(type_oid);
	nestlevel = pins != 0 ? CzPinTextSettings(pins) : -1;
	result = OidOutputFunctionCall(output_oid, value);
	CzUnpinTextSettings(nestlevel);
	return result;
}

/*
 * CzWireParams
 *		Evaluate the parameters of a run, as texts in formats that mean the same
 *		everywhere; also the value that decides the shard, if one does.
 *
 * Returns: in CurrentMemoryContext; NULL entries are NULLs.
 */
const char **
CzWireParams(CzStream *stream, Datum *prune_value, bool *prune_isnull)
{
	ExprContext *econtext = stream->parent->ps_ExprContext;
	MemoryContext result_context = CurrentMemoryContext;
	const char **texts;
	int			nexprs = stream->plan->nparams + (stream->plan->prune_param >= 0);
	int			i;

	if (nexprs == 0)
		return NULL;
	texts = palloc0(sizeof(char *) * nexprs);
	stream->row_ids = NULL;
	if (stream->plan->row_id_params != NIL || stream->plan->row_id_lists != NIL)
		stream->row_ids = palloc0(sizeof(Datum) * nexprs);

	for (i = 0; i < nexprs; i++)
	{
		ExprState  *state = list_nth(stream->param_exprs, i);
		Oid			type_oid = exprType((Node *) state->expr);
		bool		isnull;
		Datum		value = ExecEvalExpr(state, econtext, &isnull);

		/* the expression itself sees the session's formats, its text does not */
		if (!isnull && i != stream->plan->prune_param)
		{
			texts[i] = CzWireText(type_oid, value);
			if (stream->row_ids != NULL)
				stream->row_ids[i] = value_of_row_id(stream->plan, i, type_oid, value);
		}
		if (i == stream->plan->prune_param)
		{
			int16		typlen;
			bool		typbyval;

			MemoryContextSwitchTo(result_context);
			get_typlenbyval(type_oid, &typlen, &typbyval);
			*prune_isnull = isnull;
			*prune_value = isnull ? (Datum) 0 : datumCopy(value, typbyval, typlen);
		}
	}
	MemoryContextSwitchTo(result_context);
	return texts;
}
