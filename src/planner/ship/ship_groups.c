/*-------------------------------------------------------------------------
 *
 * ship_groups.c
 *	  What goes together: joins that are made before the rows are sent.
 *
 * Worth it where the join has fewer rows than its largest part.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"
#include "cz/settings.h"

#include "ship_int.h"

/* Rows of a join that can't be estimated: so many that it is not made. */
#define CZ_UNKNOWN_JOIN_ROWS 1e9
/* A join with what stays pays if it leaves this part of the rows that are shipped. */
#define CZ_REDUCES 0.7
/* One of two things that are both shipped, if it makes no more rows than these times one. */
#define CZ_GROWS_LITTLE 1.1

/* ---- units that go together ---------------------------------------------- */

Relids
cz_ship_group_relids(ShipState *ss, int group, List **nodes)
{
	Relids		relids = NULL;
	ListCell   *lc;

	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->group != group)
			continue;
		relids = bms_add_members(relids, unit->relids);
		*nodes = lappend(*nodes, unit->node);
	}
	return relids;
}

/* a = b, by the operator of a condition that has one of them; NULL if there is none. */
static Node *
equality_like(List *quals, Var *a, Var *b)
{
	ListCell   *lc;

	foreach(lc, quals)
	{
		OpExpr	   *op = lfirst(lc);
		Node	   *l;
		Node	   *r;

		if (!cz_equality_sides((Node *) op, &l, &r))
			continue;
		if (exprType(linitial(op->args)) == a->vartype &&
			exprType(lsecond(op->args)) == a->vartype &&
			(equal(l, a) || equal(r, a) || equal(l, b) || equal(r, b)))
		{
			op = copyObject(op);
			op->args = list_make2(copyObject(a), copyObject(b));
			return (Node *) op;
		}
	}
	return NULL;
}

/* Equalities of the classes between members of a set that no condition says. */
List *
cz_ship_implied_quals(ShipState *ss, Relids relids)
{
	List	   *quals = copyObject(ss->conjuncts);
	List	   *given;
	List	   *classes;
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *lm;

	(void) cz_ship_plain_walker((Node *) quals, NULL);
	classes = cz_equality_classes(quals);
	given = cz_equality_classes(cz_ship_quals_within(quals, relids));
	foreach(lc, classes)
	{
		Var		   *first = NULL;

		foreach(lm, (List *) lfirst(lc))
		{
			Var		   *var = lfirst(lm);
			Node	   *qual;

			if (!IsA(var, Var) || var->varlevelsup != 0 ||
				!bms_is_member(var->varno, relids))
				continue;
			if (first == NULL)
			{
				first = var;
				continue;
			}
			if (first->vartype != var->vartype || first->varcollid != var->varcollid ||
				cz_keys_connected(given, list_make1(first), list_make1(var)))
				continue;
			qual = equality_like(quals, first, var);
			if (qual != NULL)
				result = lappend(result, qual);
		}
	}
	return result;
}

static void
estimate_nodes(ShipState *ss, Relids relids, List *nodes, double *rows, int *width)
{
	*rows = CZ_UNKNOWN_JOIN_ROWS;
	*width = CZ_DEFAULT_WIDTH;
	cz_ship_estimate(ss, relids, nodes,
					 list_concat(list_concat(cz_ship_quals_within(ss->conjuncts, relids),
											 cz_ship_or_quals(ss->conjuncts, relids)),
								 cz_ship_implied_quals(ss, relids)), rows, width);
}

/* Does a condition compare two sets for equality, be it by way of a third? */
static bool
are_connected(ShipState *ss, Relids a, Relids b)
{
	List	   *quals = copyObject(ss->conjuncts);
	List	   *classes;
	ListCell   *lc;
	ListCell   *lm;

	(void) cz_ship_plain_walker((Node *) quals, NULL);
	classes = cz_equality_classes(quals);
	foreach(lc, classes)
	{
		bool		in_a = false;
		bool		in_b = false;

		foreach(lm, (List *) lfirst(lc))
		{
			Var		   *var = lfirst(lm);

			if (!IsA(var, Var) || var->varlevelsup != 0)
				continue;
			in_a |= bms_is_member(var->varno, a);
			in_b |= bms_is_member(var->varno, b);
		}
		if (in_a && in_b)
			return true;
	}
	return false;
}

/*
 * Join what goes before it goes, where that makes it less: parts with each other,
 * then parts with tables that are everywhere (a filter on a small one thins out a
 * large one).
 */
void
cz_ship_form_groups(ShipState *ss)
{
	bool		progress = true;
	ListCell   *la;
	ListCell   *lb;

	while (progress)
	{
		progress = false;
		foreach(la, ss->units)
		{
			Unit	   *a = lfirst(la);

			if (a->fate == UNIT_STAYS || !a->is_inner || cz_ship_is_lateral(ss, a))
				continue;
			foreach(lb, ss->units)
			{
				Unit	   *b = lfirst(lb);
				List	   *nodes = NIL;
				ListCell   *lu;
				Relids		ra;
				Relids		rb;
				double		rows;
				int			width;

				if (b == a || b->group == a->group || !b->is_inner ||
					(b->fate == UNIT_STAYS && !b->is_everywhere) ||
					!bms_is_empty(bms_intersect(a->relids, b->relids)) ||
					cz_ship_is_lateral(ss, b))
					continue;
				ra = cz_ship_group_relids(ss, a->group, &nodes);
				rb = cz_ship_group_relids(ss, b->group, &nodes);
				if (!are_connected(ss, ra, rb))
					continue;
				if (b->fate == UNIT_STAYS)
				{
					/* and all tables that are everywhere behind it */
					bool		more = true;

					while (more)
					{
						ListCell   *le;

						more = false;
						foreach(le, ss->units)
						{
							Unit	   *e = lfirst(le);

							if (e->fate == UNIT_STAYS && e->is_everywhere && e->is_inner &&
								!cz_ship_is_lateral(ss, e) &&
								!bms_overlap(e->relids, bms_union(ra, rb)) &&
								are_connected(ss, rb, e->relids) &&
								!are_connected(ss, ra, e->relids))
							{
								rb = bms_union(rb, e->relids);
								nodes = lappend(nodes, e->node);
								more = true;
							}
						}
					}
				}
				estimate_nodes(ss, bms_union(ra, rb), nodes, &rows, &width);
				if (rows > (b->fate == UNIT_STAYS ? a->rows * CZ_REDUCES :
							Max(a->rows, b->rows) * CZ_GROWS_LITTLE))
					continue;
				foreach(lu, ss->units)
				{
					Unit	   *unit = lfirst(lu);

					if (!bms_overlap(unit->relids, bms_union(ra, rb)))
						continue;
					if (a->fate == UNIT_REPARTITION || unit->fate == UNIT_REPARTITION)
					{
						if (a->key == NULL)
							a->key = unit->key;
						a->fate = UNIT_REPARTITION;
					}
					unit->group = a->group;
					unit->rows = rows;
					unit->width = width;
				}
				foreach(lu, ss->units)
				{
					Unit	   *unit = lfirst(lu);

					if (unit->group != a->group)
						continue;
					unit->fate = a->fate;
					unit->key = a->key;
					unit->rows = rows;
				}
				progress = true;
				break;
			}
			if (progress)
				break;
		}
	}
}
