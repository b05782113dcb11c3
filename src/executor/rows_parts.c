/*-------------------------------------------------------------------------
 *
 * rows_parts.c
 *	  In which partitions the rows of a write are, told to the workers.
 *
 * Rows that are named by tableoid and ctid are found by joining them with the shard, which
 * would plan and look into each of its partitions.  So the statement says besides what is
 * true of the rows anyway: the bounds of the partitions that they are in, or, of many
 * partitions, the least and greatest values of the columns that decide.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "cz/settings.h"
#include "rows.h"

/* Of more partitions, or for a longer text, only the span of the columns' values is told. */
#define MAX_PARTITIONS 48
#define MAX_QUAL_BYTES 4000

/* Least and greatest value of a column in the rows. */
typedef struct Span
{
	AttrNumber	attno;
	const TypeCacheEntry *type;
	Oid			operators[2];	/* >=, <= */
	bool		has_values;
	bool		has_nulls;
	Datum		values[2];
} Span;

struct CzRowParts
{
	MemoryContext context;
	List	   *spans;			/* Span *, of columns of types for which there is one */
	Oid			relid;			/* the table */
	CzPartitionFinder *finder;
	List	   *old_columns;	/* CzRowWrite's */
	TupleTableSlot *slot;		/* of the table's shape; columns that decide are filled */
	List	   *columns;		/* ints, those */
	List	   *relids;			/* partitions that have rows */
	bool		is_unknown;		/* there are too many, or one is not known */
};

/*
 * The span of a column; NULL: of its type there is none that is the same everywhere and whose
 * comparison pruning knows.
 */
static Span *
make_span(Form_pg_attribute att)
{
	const TypeCacheEntry *type = lookup_type_cache(att->atttypid,
												   TYPECACHE_BTREE_OPFAMILY | TYPECACHE_CMP_PROC_FINFO);
	Span	   *span;

	if (att->atttypid >= FirstNormalObjectId || OidIsValid(att->attcollation) ||
		!OidIsValid(type->btree_opf) || !OidIsValid(type->cmp_proc_finfo.fn_oid))
		return NULL;
	span = palloc0(sizeof(Span));
	span->attno = att->attnum;
	span->type = type;
	span->operators[0] = get_opfamily_member(type->btree_opf, att->atttypid, att->atttypid,
											 BTGreaterEqualStrategyNumber);
	span->operators[1] = get_opfamily_member(type->btree_opf, att->atttypid, att->atttypid,
											 BTLessEqualStrategyNumber);
	return OidIsValid(span->operators[0]) && OidIsValid(span->operators[1]) ? span : NULL;
}

/* One more value. */
static void
widen(Span *span, Datum value, bool isnull)
{
	const TypeCacheEntry *type = span->type;
	int			i;

	span->has_nulls |= isnull;
	for (i = 0; !span->has_nulls && i < 2; i++)
	{
		int			order = span->has_values ?
			DatumGetInt32(FunctionCall2((FmgrInfo *) &type->cmp_proc_finfo, value,
										span->values[i])) : 0;

		if (span->has_values && (i == 0 ? order >= 0 : order <= 0))
			continue;
		if (span->has_values && !type->typbyval)
			pfree(DatumGetPointer(span->values[i]));
		span->values[i] = datumCopy(value, type->typbyval, type->typlen);
	}
	span->has_values |= !isnull;
}

/*
 * CzRowPartsBegin
 *		No rows have been seen yet.  NULL: the rows' columns do not tell.
 */
CzRowParts *
CzRowPartsBegin(Relation rel, const CzRowWrite *write)
{
	CzRowParts *parts = palloc0(sizeof(CzRowParts));
	ListCell   *lc;

	parts->columns = CzPartitionColumns(RelationGetRelid(rel));
	foreach(lc, parts->columns)
	{
		if (lfirst_int(lc) <= 0 || list_nth_int(write->old_columns, lfirst_int(lc) - 1) == 0)
			return NULL;
	}
	parts->relid = RelationGetRelid(rel);
	parts->context = CurrentMemoryContext;
	foreach(lc, parts->columns)
	{
		Span	   *span = make_span(TupleDescAttr(RelationGetDescr(rel), lfirst_int(lc) - 1));

		if (span != NULL)
			parts->spans = lappend(parts->spans, span);
	}
	parts->old_columns = write->old_columns;
	parts->finder = CzPartitionFinderMake(RelationGetRelid(rel));
	parts->slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)),
										   &TTSOpsVirtual);
	return parts;
}

/*
 * CzRowPartsForget
 *		The rows are read again.
 */
void
CzRowPartsForget(CzRowParts *parts)
{
	ListCell   *lc;

	foreach(lc, parts->spans)
	{
		Span	   *span = lfirst(lc);

		span->has_values = span->has_nulls = false;
	}
	parts->relids = NIL;
	parts->is_unknown = false;
}

/*
 * CzRowPartsNote
 *		One more row, by the source's columns.
 */
void
CzRowPartsNote(CzRowParts *parts, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = parts->slot;
	MemoryContext old_context = MemoryContextSwitchTo(parts->context);
	ListCell   *lc;
	Oid			relid;

	foreach(lc, parts->spans)
	{
		Span	   *span = lfirst(lc);
		int			column = list_nth_int(parts->old_columns, span->attno - 1) - 1;

		widen(span, values[column], nulls[column]);
	}
	MemoryContextSwitchTo(old_context);
	if (parts->is_unknown)
		return;
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	foreach(lc, parts->columns)
	{
		int			column = list_nth_int(parts->old_columns, lfirst_int(lc) - 1) - 1;

		slot->tts_values[lfirst_int(lc) - 1] = values[column];
		slot->tts_isnull[lfirst_int(lc) - 1] = nulls[column];
	}
	ExecStoreVirtualTuple(slot);
	relid = CzPartitionFind(parts->finder, slot);
	if (OidIsValid(relid))
		parts->relids = list_append_unique_oid(parts->relids, relid);
	parts->is_unknown = !OidIsValid(relid) || list_length(parts->relids) > MAX_PARTITIONS;
}

static bool
is_of_user(Oid funcid, void *context)
{
	return funcid >= FirstNormalObjectId || funcid == F_SATISFIES_HASH_PARTITION;
}

/* Functions that only some servers know, or that somebody must be trusted for. */
static bool
user_function_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, is_of_user, context) ||
		expression_tree_walker(node, user_function_walker, context);
}

/* What is true of all rows of a partition, of what may be said; NULL: nothing. */
static char *
bounds_of(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *quals = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetPartitionQual(rel))
	{
		if (!user_function_walker(lfirst(lc), NULL))
			quals = lappend(quals, lfirst(lc));
	}
	table_close(rel, NoLock);
	if (quals == NIL)
		return NULL;
	return deparse_expression((Node *) make_ands_explicit(quals),
							  deparse_context_for("t", relid), true, false);
}

/* What is true of all rows whatever their partitions; NULL: nothing. */
static char *
spans_of(CzRowParts *parts)
{
	TupleDesc	desc = parts->slot->tts_tupleDescriptor;
	List	   *quals = NIL;
	ListCell   *lc;
	int			i;

	foreach(lc, parts->spans)
	{
		const Span *span = lfirst(lc);
		Form_pg_attribute att = TupleDescAttr(desc, span->attno - 1);

		for (i = 0; span->has_values && !span->has_nulls && i < 2; i++)
			quals = lappend(quals,
							make_opclause(span->operators[i], BOOLOID, false,
										  (Expr *) makeVar(1, span->attno, att->atttypid,
														   att->atttypmod, InvalidOid, 0),
										  (Expr *) makeConst(att->atttypid, -1, InvalidOid,
															 att->attlen, span->values[i], false,
															 att->attbyval),
										  InvalidOid, InvalidOid));
	}
	return quals == NIL ? NULL :
		deparse_expression((Node *) make_ands_explicit(quals),
						   deparse_context_for("t", parts->relid), true, false);
}

/* The bounds of the partitions that rows are in; NULL: too many, or nothing can be said. */
static char *
all_bounds_of(CzRowParts *parts)
{
	StringInfoData buf;
	ListCell   *lc;

	if (parts->is_unknown || parts->relids == NIL)
		return NULL;
	initStringInfo(&buf);
	foreach(lc, parts->relids)
	{
		char	   *bounds = bounds_of(lfirst_oid(lc));

		if (bounds == NULL || buf.len + strlen(bounds) > MAX_QUAL_BYTES)
			return NULL;
		appendStringInfo(&buf, "%s(%s)", buf.len == 0 ? "" : " OR ", bounds);
	}
	return buf.data;
}

/*
 * CzRowPartsQual
 *		" AND (...)" for the rows that have been seen, their table's alias being t; "" if
 *		nothing is to be said.  palloc'd.
 */
char *
CzRowPartsQual(CzRowParts *parts)
{
	char	   *qual;
	int			nest_level;

	if (parts == NULL)
		return pstrdup("");
	nest_level = CzPinTextSettings(CZ_PIN_ALL);
	qual = all_bounds_of(parts);
	if (qual == NULL)
		qual = spans_of(parts);
	CzUnpinTextSettings(nest_level);
	return qual == NULL || strlen(qual) > MAX_QUAL_BYTES ? pstrdup("") :
		psprintf(" AND (%s)", qual);
}
