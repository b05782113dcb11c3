/*-------------------------------------------------------------------------
 *
 * route.c
 *	  Rows that core's tuple routing hands to foreign partitions, and those of
 *	  COPY FROM: gathered in one writer per statement.
 *
 * Core calls BeginForeignInsert for each partition that a statement meets, and
 * a writer per partition would mean a buffer, a COPY and a round trip each.  So
 * all partitions of one statement share one route, found by the statement's
 * EState and the table that it names; the route ends with its last partition.
 * It has one writer for each layout of partitions: a shard made before a
 * column was dropped and one made after are different to read.
 *
 * A statement's rows are visible to its own triggers and volatile functions:
 * the writer flushes when the transaction reads from a worker.  So there is no
 * round trip for each row of a table with triggers, which would make the common
 * trigger that only sets a column pay for the rare one that reads.
 *
 * The invariant: at the end of the statement nothing is buffered.  Should the
 * statement fail, its memory context takes the route along and the rows are
 * gone, as they must be.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/copyfrom_internal.h"
#include "executor/executor.h"
#include "lib/ilist.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "cz/metadata.h"
#include "cz/writer.h"
#include "fdw_int.h"

typedef struct CzRouteWriter
{
	TupleDesc	tupdesc;		/* layout of its partitions; a copy */
	char	  **column_names;	/* names on the worker */
	CzWriter   *writer;
} CzRouteWriter;

struct CzFdwRoute
{
	dlist_node	node;			/* in open_routes */
	EState	   *estate;			/* with root_relid, the key */
	Oid			root_relid;		/* the table that the statement names */
	Oid			user_oid;		/* on whose behalf the workers are written */
	bool		is_copy;		/* COPY FROM: its error context is on the stack */
	int			npartitions;	/* begun and not ended */
	int64		row_number;		/* of the statement, from 1; COPY FROM: line */
	List	   *writers;		/* CzRouteWriter; freed with the last partition */
	MemoryContext context;		/* es_query_cxt */
	MemoryContextCallback callback;
};

static dlist_head open_routes = DLIST_STATIC_INIT(open_routes);

/* The memory of a statement goes, whether it ended well or not. */
static void
route_reset(void *arg)
{
	CzFdwRoute *route = arg;

	dlist_delete(&route->node);
}

/*
 * CzFdwRouteBegin
 *		The statement's route, with one more partition on it.
 */
CzFdwRoute *
CzFdwRouteBegin(EState *estate, ResultRelInfo *rri, Oid user_oid, bool is_copy)
{
	ResultRelInfo *root = rri->ri_RootResultRelInfo ? rri->ri_RootResultRelInfo : rri;
	Oid			root_relid = RelationGetRelid(root->ri_RelationDesc);
	CzFdwRoute *route;
	dlist_iter	iter;

	dlist_foreach(iter, &open_routes)
	{
		route = dlist_container(CzFdwRoute, node, iter.cur);
		if (route->estate == estate && route->root_relid == root_relid &&
			route->user_oid == user_oid && route->npartitions > 0)
		{
			route->npartitions++;
			return route;
		}
	}

	route = MemoryContextAllocZero(estate->es_query_cxt, sizeof(CzFdwRoute));
	route->estate = estate;
	route->root_relid = root_relid;
	route->user_oid = user_oid;
	route->is_copy = is_copy;
	route->npartitions = 1;
	route->context = estate->es_query_cxt;
	route->callback.func = route_reset;
	route->callback.arg = route;
	dlist_push_tail(&open_routes, &route->node);
	MemoryContextRegisterResetCallback(route->context, &route->callback);
	return route;
}

static bool
same_layout(const CzRouteWriter *writer, Relation rel, const CzTable *table)
{
	TupleDesc	a = writer->tupdesc;
	TupleDesc	b = RelationGetDescr(rel);
	int			i;

	if (a->natts != b->natts)
		return false;
	for (i = 0; i < a->natts; i++)
	{
		Form_pg_attribute x = TupleDescAttr(a, i);
		Form_pg_attribute y = TupleDescAttr(b, i);

		if (x->attisdropped != y->attisdropped)
			return false;
		if (!x->attisdropped &&
			(x->atttypid != y->atttypid || x->attgenerated != y->attgenerated ||
			 strcmp(writer->column_names[i], table->column_names[i]) != 0))
			return false;
	}
	return true;
}

static CzWriter *
writer_for(CzFdwRoute *route, Relation rel, const CzTable *table)
{
	MemoryContext old_context;
	CzRouteWriter *entry;
	ListCell   *lc;
	int			i;

	foreach(lc, route->writers)
	{
		entry = lfirst(lc);
		if (same_layout(entry, rel, table))
			return entry->writer;
	}

	old_context = MemoryContextSwitchTo(route->context);
	entry = palloc0(sizeof(CzRouteWriter));
	entry->tupdesc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	entry->column_names = palloc0(sizeof(char *) * Max(table->natts, 1));
	for (i = 0; i < table->natts; i++)
	{
		if (table->column_names[i] != NULL)
			entry->column_names[i] = pstrdup(table->column_names[i]);
	}
	entry->writer = CzWriterBegin(entry->tupdesc, entry->column_names, route->user_oid);
	if (route->is_copy)
		CzWriterSetCopy(entry->writer, get_rel_name(route->root_relid));
	route->writers = lappend(route->writers, entry);
	MemoryContextSwitchTo(old_context);
	return entry->writer;
}

/*
 * CzFdwRouteWriter
 *		The writer for rows of a partition; valid until the route's end.
 */
CzWriter *
CzFdwRouteWriter(CzFdwRoute *route, Relation rel)
{
	return writer_for(route, rel, CzFdwTable(rel));
}

/*
 * CzFdwRoutePut
 *		Add one row.
 *
 * COPY's error context tells the line that is being read, which is not the
 * one that a worker complains of when a full buffer is sent: the writer is told
 * the line of each row and says it itself.
 */
void
CzFdwRoutePut(CzFdwRoute *route, CzWriter *writer, const CzShard *shard,
			  TupleTableSlot *slot)
{
	ErrorContextCallback *saved = error_context_stack;

	route->row_number++;
	if (route->is_copy && saved != NULL && saved->callback == CopyFromErrorCallback)
	{
		route->row_number = ((CopyFromState) saved->arg)->cur_lineno;
		error_context_stack = saved->previous;
	}
	CzWriterPut(writer, shard, slot, route->row_number);
	error_context_stack = saved;
}

/*
 * CzFdwRouteEnd
 *		One partition is done; with the last one everything is sent.
 */
void
CzFdwRouteEnd(CzFdwRoute *route)
{
	ListCell   *lc;

	Assert(route->npartitions > 0);
	if (--route->npartitions > 0)
		return;

	foreach(lc, route->writers)
		CzWriterEnd(((CzRouteWriter *) lfirst(lc))->writer);
	route->writers = NIL;
}
