/*-------------------------------------------------------------------------
 *
 * equality.c
 *	  Equality classes of conjuncts.
 *
 * An equality class is a list of expressions that are equal for every row that
 * matters: columns, references to outer queries, constants, parameters.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "planner_int.h"

/* ---- constants and equality classes -------------------------------------- */

/*
 * equal(), but a column is the same above and below an outer join (since 16 it says where it
 * stands): where the join may make it NULL, its class is not asked for.
 */
static bool
is_same(Node *a, Node *b)
{
	if (a == NULL || b == NULL || nodeTag(a) != nodeTag(b))
		return false;
	if (IsA(a, Var))
		return ((Var *) a)->varno == ((Var *) b)->varno &&
			((Var *) a)->varattno == ((Var *) b)->varattno &&
			((Var *) a)->varlevelsup == ((Var *) b)->varlevelsup;
	return equal(a, b);
}

static bool
is_member(List *list, Node *node)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (is_same(lfirst(lc), node))
			return true;
	}
	return false;
}

int
cz_class_of(List *classes, Node *node)
{
	ListCell   *lc;
	int			i = 0;

	foreach(lc, classes)
	{
		if (is_member((List *) lfirst(lc), node))
			return i;
		i++;
	}
	return -1;
}

/* Equality classes, a list of lists of expressions, from conjuncts. */
List *
cz_equality_classes(List *quals)
{
	List	   *classes = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		Node	   *l;
		Node	   *r;
		int			cl;
		int			cr;

		if (!cz_equality_sides(lfirst(lc), &l, &r))
			continue;
		cl = cz_class_of(classes, l);
		cr = cz_class_of(classes, r);
		if (cl < 0 && cr < 0)
			classes = lappend(classes, list_make2(l, r));
		else if (cl < 0)
			lfirst(list_nth_cell(classes, cr)) = lappend(list_nth(classes, cr), l);
		else if (cr < 0)
			lfirst(list_nth_cell(classes, cl)) = lappend(list_nth(classes, cl), r);
		else if (cl != cr)
		{
			lfirst(list_nth_cell(classes, cl)) =
				list_concat(list_nth(classes, cl), list_nth(classes, cr));
			classes = list_delete_nth_cell(classes, cr);
		}
	}
	return classes;
}

bool
cz_in_same_class(List *classes, Node *a, Node *b)
{
	int			c;

	if (is_same(a, b))
		return true;
	c = cz_class_of(classes, a);
	return c >= 0 && is_member((List *) list_nth(classes, c), b);
}

/* Is any key of one list equal to any of another? */
bool
cz_keys_connected(List *classes, List *a, List *b)
{
	ListCell   *la;
	ListCell   *lb;

	foreach(la, a)
	{
		foreach(lb, b)
		{
			if (cz_in_same_class(classes, lfirst(la), lfirst(lb)))
				return true;
		}
	}
	return false;
}
