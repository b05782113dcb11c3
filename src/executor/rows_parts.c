/*-------------------------------------------------------------------------
 *
 * rows_parts.c
 *	  In which partitions the rows of a write are, told to the workers.
 *
 * Rows that are named by tableoid and ctid are found by joining them with the shard, which
 * would plan and look into each of its partitions.  So the statement says besides what is
 * true of the rows anyway: the bounds of the partitions that they are in.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "cz/settings.h"
#include "rows.h"

/* More partitions, or a longer text, are not told. */
#define MAX_PARTITIONS 48
#define MAX_QUAL_BYTES 4000

struct CzRowParts
{
	CzPartitionFinder *finder;
	List	   *old_columns;	/* CzRowWrite's */
	TupleTableSlot *slot;		/* of the table's shape; columns that decide are filled */
	List	   *columns;		/* ints, those */
	List	   *relids;			/* partitions that have rows */
	bool		is_unknown;		/* there are too many, or one is not known */
};

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
	ListCell   *lc;
	Oid			relid;

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

/*
 * CzRowPartsQual
 *		" AND (...)" for the rows that have been seen, their table's alias being t; "" if
 *		nothing is to be said.  palloc'd.
 */
char *
CzRowPartsQual(CzRowParts *parts)
{
	StringInfoData buf;
	ListCell   *lc;
	int			nest_level;

	initStringInfo(&buf);
	if (parts == NULL || parts->is_unknown || parts->relids == NIL)
		return buf.data;
	nest_level = CzPinTextSettings(CZ_PIN_ALL);
	foreach(lc, parts->relids)
	{
		char	   *bounds = bounds_of(lfirst_oid(lc));

		if (bounds == NULL || buf.len + strlen(bounds) > MAX_QUAL_BYTES)
		{
			resetStringInfo(&buf);
			break;
		}
		appendStringInfo(&buf, "%s(%s)", buf.len == 0 ? " AND (" : " OR ", bounds);
	}
	if (buf.len > 0)
		appendStringInfoChar(&buf, ')');
	CzUnpinTextSettings(nest_level);
	return buf.data;
}
