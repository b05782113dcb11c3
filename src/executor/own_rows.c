/*-------------------------------------------------------------------------
 *
 * own_rows.c
 *	  Rows that a statement of several parts has written itself.
 *
 * Parts of a statement (WITH) do not see each other's writes, but INSERT ... ON CONFLICT
 * DO UPDATE meets them: a row that another part has inserted or updated is an error, and
 * one that it has updated itself is not changed again by another part.  Where several
 * parts write the table of such an INSERT, all of them are done row by row
 * (cz_find_upserted_again) and note their rows here, by the values of the indexes in which
 * they may conflict.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "own_rows.h"

struct CzOwnRows
{
	const EState *estate;
	Oid			relid;
	List	   *arbiters;		/* of the parts that ask */
	MemoryContextCallback callback;
	CzOwnRows  *next;
};

static CzOwnRows *all = NULL;

/* The query's memory goes away. */
static void
forget(void *arg)
{
	CzOwnRows **link;

	for (link = &all; *link; link = &(*link)->next)
	{
		if (*link == (CzOwnRows *) arg)
		{
			*link = (*link)->next;
			return;
		}
	}
}

/*
 * CzOwnRowsFind
 *		See own_rows.h.
 */
CzOwnRows *
CzOwnRowsFind(const EState *estate, Oid relid)
{
	CzOwnRows  *own;

	for (own = all; own; own = own->next)
	{
		if (own->estate == estate && own->relid == relid)
			break;
	}
	return own;
}

/*
 * CzOwnRowsRegister
 *		See own_rows.h.
 */
void
CzOwnRowsRegister(EState *estate, Oid relid, CzArbiter *arbiter)
{
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	CzOwnRows  *own = CzOwnRowsFind(estate, relid);

	if (own == NULL)
	{
		own = palloc0(sizeof(CzOwnRows));
		own->estate = estate;
		own->relid = relid;
		own->callback.func = forget;
		own->callback.arg = own;
		MemoryContextRegisterResetCallback(estate->es_query_cxt, &own->callback);
		own->next = all;
		all = own;
	}
	own->arbiters = lappend(own->arbiters, arbiter);
	MemoryContextSwitchTo(old_context);
}

/*
 * CzOwnRowsNote
 *		See own_rows.h.
 */
void
CzOwnRowsNote(CzOwnRows *own, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	ListCell   *lc;

	foreach(lc, own ? own->arbiters : NIL)
	{
		if (old_row != NULL)
			CzArbiterNote(lfirst(lc), CZ_ARBITER_OLD, old_row);
		if (new_row != NULL)
			CzArbiterNote(lfirst(lc), CZ_ARBITER_NEW, new_row);
	}
}

/*
 * CzOwnRowsHas
 *		See own_rows.h.
 */
bool
CzOwnRowsHas(CzOwnRows *own, TupleTableSlot *row)
{
	ListCell   *lc;

	foreach(lc, own ? own->arbiters : NIL)
	{
		if (CzArbiterWasNoted(lfirst(lc), CZ_ARBITER_OLD, row))
			return true;
	}
	return false;
}
