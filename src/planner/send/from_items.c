/*-------------------------------------------------------------------------
 *
 * from_items.c
 *	  FROM as it can be printed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "../planner_int.h"

/*
 * cz_mark_from
 *		What a rule brought into FROM is not marked as written there, and would not print.
 */
void
cz_mark_from(Node *node, Query *query)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, RangeTblRef))
	{
		int			rti = ((RangeTblRef *) node)->rtindex;

		if (rti != query->resultRelation)
			rt_fetch(rti, query->rtable)->inFromCl = true;
	}
	else if (IsA(node, JoinExpr))
	{
		cz_mark_from(((JoinExpr *) node)->larg, query);
		cz_mark_from(((JoinExpr *) node)->rarg, query);
	}
	else if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			cz_mark_from(lfirst(lc), query);
	}
}

static Relids
item_relids(Node *item)
{
	if (IsA(item, RangeTblRef))
		return bms_make_singleton(((RangeTblRef *) item)->rtindex);
	return bms_union(item_relids(((JoinExpr *) item)->larg),
					 item_relids(((JoinExpr *) item)->rarg));
}

/*
 * cz_order_from
 *		A rule may put a lateral item before what it refers to; SQL text may not.  Items
 *		of FROM are an inner join, so their order is ours to choose.
 */
void
cz_order_from(Query *query)
{
	List	   *items = query->jointree->fromlist;
	int			moves = list_length(items) * list_length(items);
	int			i = 0;

	while (i < list_length(items) && moves > 0)
	{
		Node	   *item = list_nth(items, i);
		RangeTblEntry *rte = IsA(item, RangeTblRef) ?
			rt_fetch(((RangeTblRef *) item)->rtindex, query->rtable) : NULL;
		Relids		refs = NULL;
		int			last = i;
		int			j;

		if (rte != NULL && rte->lateral)
			refs = bms_union(cz_entries_of((Node *) rte->subquery, 1),
							 bms_union(cz_entries_of((Node *) rte->functions, 0),
									   cz_entries_of((Node *) rte->values_lists, 0)));
		for (j = i + 1; j < list_length(items) && refs != NULL; j++)
		{
			if (bms_overlap(item_relids(list_nth(items, j)), refs))
				last = j;
		}
		if (last == i)
		{
			i++;
			continue;
		}
		items = list_insert_nth(items, last + 1, item);
		items = list_delete_nth_cell(items, i);
		moves--;
	}
	query->jointree->fromlist = items;
}
