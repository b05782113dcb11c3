/*-------------------------------------------------------------------------
 *
 * ship_units.c
 *	  The parts of FROM that stay or go as one, and what is known of each.
 *
 * What would a Query's locus be without some of them?  Their entries are made ones
 * without rows for the time of the question, or ones that go by key.
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
#include "cz/rowid.h"
#include "cz/settings.h"

#include "ship_int.h"

/* ---- FROM as a list ------------------------------------------------------ */

static void
collect_items(Node *node, Query *query, List **items, List **conjuncts)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			collect_items(lfirst(lc), query, items, conjuncts);
		*conjuncts = cz_conjuncts(((FromExpr *) node)->quals, *conjuncts);
	}
	else if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		JoinExpr   *join = (JoinExpr *) node;

		collect_items(join->larg, query, items, conjuncts);
		collect_items(join->rarg, query, items, conjuncts);
		*conjuncts = cz_conjuncts(join->quals, *conjuncts);
		if (join->rtindex > 0)
			cz_blank_rte(rt_fetch(join->rtindex, query->rtable));
	}
	else
		*items = lappend(*items, node);
}

void
cz_ship_set_conjuncts(ShipState *ss)
{
	ss->query->jointree->quals = ss->conjuncts == NIL ? NULL :
		(Node *) make_ands_explicit(list_copy(ss->conjuncts));
}

/* Inner joins become a list of items and one of conditions. */
void
cz_ship_flatten(ShipState *ss)
{
	Query	   *query = ss->query;
	List	   *items = NIL;
	ListCell   *lc;

	ss->conjuncts = NIL;
	collect_items((Node *) query->jointree, query, &items, &ss->conjuncts);
	query->jointree = makeFromExpr(items, NULL);
	cz_ship_set_conjuncts(ss);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		/* all references have been resolved */
		if (rte->rtekind == RTE_JOIN)
		{
			rte->joinaliasvars = NIL;
			rte->joinleftcols = NIL;
			rte->joinrightcols = NIL;
			rte->joinmergedcols = 0;
			rte->eref = makeAlias("unnamed_join", NIL);
		}
	}
}

/* ---- asking for a locus -------------------------------------------------- */

typedef struct SavedRte
{
	RangeTblEntry *rte;
	RangeTblEntry copy;
} SavedRte;

/* For the time of a question: an entry that goes has no rows of its own. */
static List *
set_aside(ShipState *ss, Unit *unit, const CzTable *anchor, List *saved)
{
	int			rti = -1;

	while ((rti = bms_next_member(unit->relids, rti)) >= 0)
	{
		SavedRte   *save = palloc(sizeof(SavedRte));
		RangeTblEntry *rte = rt_fetch(rti, ss->query->rtable);

		save->rte = rte;
		memcpy(&save->copy, rte, sizeof(RangeTblEntry));
		saved = lappend(saved, save);
		rte->rtekind = RTE_RESULT;
		rte->ctename = NULL;
		rte->tablesample = NULL;
		rte->securityQuals = NIL;
		rte->security_barrier = false;
		rte->lateral = false;
		if (unit->fate == UNIT_REPARTITION && unit->key->varno == rti)
		{
			CzShip	   *ship = palloc0(sizeof(CzShip));

			ship->anchor = anchor;
			ship->partition_column = unit->key->varattno;
			ship->partition_var = unit->key;
			ss->state->ships = lappend(ss->state->ships, ship);
			rte->ctename = "tried";
			rte->ctelevelsup = list_length(ss->state->ships) - 1;
		}
	}
	return saved;
}

/* The locus of FROM and WHERE, sub-queries in expressions left out, as fates are now. */
static CzLocus
locus_with_fates(ShipState *ss, const CzTable *anchor)
{
	Query	   *query = ss->query;
	bool		has_sublinks = query->hasSubLinks;
	int			nships = list_length(ss->state->ships);
	List	   *saved = NIL;
	ListCell   *lc;
	CzLocus		locus;

	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->fate != UNIT_STAYS && !unit->is_done)
			saved = set_aside(ss, unit, anchor, saved);
	}
	query->hasSubLinks = false;
	locus = cz_from_locus(query, ss->state);
	query->hasSubLinks = has_sublinks;
	foreach(lc, saved)
	{
		SavedRte   *save = lfirst(lc);

		memcpy(save->rte, &save->copy, sizeof(RangeTblEntry));
	}
	ss->state->ships = list_truncate(ss->state->ships, nships);
	return locus;
}

/* Is FROM good, for a Query or for each row of the one around it? */
bool
cz_ship_is_good(ShipState *ss, const CzTable *anchor)
{
	CzLocus		locus = locus_with_fates(ss, anchor);

	if (locus.kind != CZ_LOCUS_SHARDED)
		ss->reason = locus.reason;
	return locus.kind == CZ_LOCUS_SHARDED;
}

/* ---- units --------------------------------------------------------------- */

List *
cz_ship_quals_within(List *quals, Relids relids)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		Node	   *qual = lfirst(lc);
		Relids		used = cz_entries_of(qual, 0);

		if (!bms_is_empty(used) && bms_is_subset(used, relids) &&
			!contain_subplans(qual) && !contain_volatile_functions(qual) &&
			!cz_refers_out(qual))
			result = lappend(result, qual);
	}
	return result;
}

/*
 * What an OR says of a set of entries, whichever of its arms is true: an OR of the
 * conjuncts of each arm that only concern them; NULL if an arm has none.
 */
static Node *
implied_by_or(BoolExpr *clause, Relids relids)
{
	List	   *arms = NIL;
	ListCell   *lc;

	foreach(lc, clause->args)
	{
		List	   *quals = cz_ship_quals_within(cz_conjuncts(lfirst(lc), NIL), relids);

		if (quals == NIL)
			return NULL;
		arms = lappend(arms, make_ands_explicit(copyObject(quals)));
	}
	return (Node *) make_orclause(arms);
}

/*
 * cz_ship_or_quals
 *		The same of all conditions that concern more than the set.
 */
List *
cz_ship_or_quals(List *quals, Relids relids)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		Node	   *qual = lfirst(lc);
		Node	   *implied;

		if (!is_orclause(qual) || bms_is_subset(cz_entries_of(qual, 0), relids))
			continue;
		implied = implied_by_or((BoolExpr *) qual, relids);
		if (implied != NULL)
			result = lappend(result, implied);
	}
	return result;
}

/* Conditions that only concern a unit and may be evaluated before the join. */
List *
cz_ship_own_quals(ShipState *ss, Unit *unit)
{
	if (unit->is_inner)
		return list_concat(cz_ship_quals_within(ss->conjuncts, unit->relids),
						   cz_ship_or_quals(ss->conjuncts, unit->relids));
	if (unit->nullable_of != NULL)
		return cz_ship_quals_within(cz_conjuncts(unit->nullable_of->quals, NIL), unit->relids);
	return NIL;
}

/* Does one of the entries refer to others than these? */
static bool
is_lateral_to_others(ShipState *ss, Relids relids)
{
	int			rti = -1;

	while ((rti = bms_next_member(relids, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, ss->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY &&
			!bms_is_subset(cz_entries_of((Node *) rte->subquery, 1), relids))
			return true;
	}
	return false;
}

/*
 * cz_ship_estimate
 *		Rows and width of a set of entries with conditions of their own, as far as the
 *		rest needs their columns.  Asked once for a set.
 */
void
cz_ship_estimate(ShipState *ss, Relids relids, List *nodes, List *quals, double *rows,
				 int *width)
{
	KnownEstimate *known;
	List	   *vars;
	Query	   *query;
	ListCell   *lc;

	foreach(lc, ss->known_estimates)
	{
		known = lfirst(lc);
		if (bms_equal(known->relids, relids) && equal(known->quals, quals))
		{
			*rows = known->rows;
			*width = known->width;
			return;
		}
	}
	vars = cz_vars_of(ss->query, relids);
	if (vars == NIL)
		vars = list_make1(cz_int_const(1));
	/* what was made of a sub-query may need less of the others than it did */
	cz_ship_swap_localized(ss, relids);
	query = is_lateral_to_others(ss, relids) ? NULL :
		cz_shipment_query(ss->query, nodes, quals, vars, ss->depth);
	cz_ship_swap_localized(ss, relids);
	if (query == NULL)
		return;
	cz_estimate(query, ss->state, rows, width);
	known = palloc(sizeof(KnownEstimate));
	known->relids = relids;
	known->quals = copyObject(quals);
	known->rows = *rows;
	known->width = *width;
	ss->known_estimates = lappend(ss->known_estimates, known);
}

void
cz_ship_estimate_unit(ShipState *ss, Unit *unit)
{
	unit->rows = CZ_DEFAULT_ROWS;
	unit->width = CZ_DEFAULT_WIDTH;
	cz_ship_estimate(ss, unit->relids, list_make1(unit->node), cz_ship_own_quals(ss, unit),
					 &unit->rows, &unit->width);
}

/* Does a unit refer to something outside it (LATERAL, or an outer query)? */
bool
cz_ship_is_lateral(ShipState *ss, Unit *unit)
{
	int			rti = -1;

	while ((rti = bms_next_member(unit->relids, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, ss->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY)
		{
			if (cz_refers_out((Node *) rte->subquery))
				return true;
		}
		else if (rte->rtekind == RTE_FUNCTION || rte->rtekind == RTE_TABLEFUNC ||
				 rte->rtekind == RTE_VALUES)
		{
			if (contain_var_clause((Node *) rte->functions) ||
				contain_var_clause((Node *) rte->tablefunc) ||
				contain_var_clause((Node *) rte->values_lists) ||
				cz_refers_out((Node *) rte->functions) ||
				cz_refers_out((Node *) rte->tablefunc) ||
				cz_refers_out((Node *) rte->values_lists))
				return true;
		}
		else if (rte->tablesample != NULL &&
				 (contain_var_clause((Node *) rte->tablesample) ||
				  cz_refers_out((Node *) rte->tablesample)))
			return true;
	}
	return false;
}

/* The locus of a part of FROM by itself. */
CzLocus
cz_ship_locus_of_node(ShipState *ss, Node *node)
{
	Query	   *query = ss->query;
	FromExpr   *from = query->jointree;
	bool		has_sublinks = query->hasSubLinks;
	CzLocus		locus;

	query->jointree = makeFromExpr(list_make1(node), NULL);
	query->hasSubLinks = false;
	locus = cz_from_locus(query, ss->state);
	query->jointree = from;
	query->hasSubLinks = has_sublinks;
	return locus;
}

/* May the entries of a unit be sent as they are? */
static bool
unit_is_sendable(ShipState *ss, Unit *unit)
{
	Query	   *part = cz_shipment_query(ss->query, list_make1(unit->node), NIL,
										 list_make1(cz_int_const(1)), ss->depth);
	const char *why = NULL;

	if (part == NULL)
		return false;
	return cz_query_is_sendable(part, &why);
}

static Localized *
localized_entry(ShipState *ss, RangeTblEntry *rte)
{
	ListCell   *lc;

	foreach(lc, ss->localized)
	{
		Localized  *entry = lfirst(lc);

		if (entry->rte == rte && entry->original != NULL)
			return entry;
	}
	return NULL;
}

/*
 * cz_ship_may_look_into
 *		Are FROM and WHERE of a Query ones that parts can be shipped out of?
 */
bool
cz_ship_may_look_into(Query *query)
{
	return query->setOperations == NULL && query->rowMarks == NIL &&
		!query->hasModifyingCTE && !query->hasRecursive;
}

/*
 * cz_ship_level
 *		The state for a sub-query, of which nothing is known yet; CTEs and counts go on.
 */
ShipState
cz_ship_level(const ShipState *ss, Query *query)
{
	ShipState	inner = *ss;

	inner.query = query;
	inner.depth++;
	inner.units = NIL;
	inner.localized = NIL;
	inner.known_units = NIL;
	inner.known_estimates = NIL;
	inner.is_counted = true;
	return inner;
}

/*
 * cz_ship_correlation
 *		Does a condition compare a column of a unit with one of the Query around it?
 *
 * Returns: which argument is the outer one, and both in *var and *outer; else -1.
 */
int
cz_ship_correlation(Node *qual, Unit *unit, Var **var, Var **outer)
{
	Node	   *sides[2];
	int			side;

	if (!cz_equality_sides(qual, &sides[0], &sides[1]))
		return -1;
	for (side = 0; side < 2; side++)
	{
		*var = (Var *) sides[1 - side];
		*outer = (Var *) sides[side];
		if (IsA(*var, Var) && IsA(*outer, Var) && (*var)->varlevelsup == 0 &&
			(*outer)->varlevelsup == 1 && bms_is_member((*var)->varno, unit->relids))
			return side;
	}
	return -1;
}

/* Shipping inside a sub-query may make it good for the workers. */
static bool
localize_entry(ShipState *ss, RangeTblEntry *rte, bool is_lateral)
{
	Query	   *original = rte->subquery;
	Query	   *copy = copyObject(original);
	ShipState	inner = cz_ship_level(ss, copy);
	int			nships = list_length(ss->state->ships);
	Localized  *entry;

	if (!cz_ship_may_look_into(copy))
		return false;
	inner.outer = NULL;
	inner.ctes = NIL;
	inner.shipped = inner.fetched = inner.broadcast_rows = 0;
	if (!cz_ship_localize(&inner, is_lateral))
	{
		ss->state->ships = list_truncate(ss->state->ships, nships);
		return false;
	}
	entry = palloc0(sizeof(Localized));
	entry->rte = rte;
	entry->original = original;
	entry->ctes = inner.ctes;
	entry->shipped = inner.shipped;
	entry->fetched = inner.fetched;
	entry->broadcast_rows = inner.broadcast_rows;
	ss->localized = lappend(ss->localized, entry);
	rte->subquery = copy;
	return true;
}

/* Between two calls, sub-queries in entries are as they were written, or localized. */
void
cz_ship_swap_localized(ShipState *ss, Relids relids)
{
	int			rti = -1;

	while ((rti = bms_next_member(relids, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, ss->query->rtable);
		Localized  *entry = localized_entry(ss, rte);

		if (entry != NULL)
		{
			Query	   *query = rte->subquery;

			rte->subquery = entry->original;
			entry->original = query;
		}
	}
}

Unit *
cz_ship_add_unit(ShipState *ss, Node *node, bool is_inner, JoinExpr *nullable_of)
{
	Unit	   *unit = palloc0(sizeof(Unit));
	CzLocus		locus;
	RangeTblEntry *rte = NULL;

	if (IsA(node, RangeTblRef))
	{
		ListCell   *lc;

		foreach(lc, ss->known_units)
		{
			Unit	   *known = lfirst(lc);

			if (!equal(known->node, node))
				continue;
			*unit = *known;
			unit->node = node;
			unit->is_inner = is_inner;
			unit->nullable_of = nullable_of;
			unit->group = list_length(ss->units);
			ss->units = lappend(ss->units, unit);
			return unit;
		}
	}
	unit->node = node;
	unit->relids = cz_node_relids(node, false);
	unit->is_inner = is_inner;
	unit->nullable_of = nullable_of;
	unit->group = list_length(ss->units);
	if (IsA(node, RangeTblRef))
		rte = rt_fetch(((RangeTblRef *) node)->rtindex, ss->query->rtable);

	locus = cz_ship_locus_of_node(ss, node);
	if (locus.kind == CZ_LOCUS_NONE && rte != NULL && rte->rtekind == RTE_SUBQUERY &&
		!rte->security_barrier && rte->securityQuals == NIL)
	{
		if (localize_entry(ss, rte, cz_ship_is_lateral(ss, unit)))
			locus = cz_ship_locus_of_node(ss, node);
	}
	unit->is_sharded = locus.kind == CZ_LOCUS_SHARDED;
	unit->is_everywhere = locus.kind == CZ_LOCUS_EVERYWHERE && !locus.is_unstable;
	if (!unit_is_sendable(ss, unit) && !cz_ship_is_lateral(ss, unit))
	{
		unit->is_sharded = false;
		unit->is_everywhere = false;
	}
	unit->is_local = !unit->is_sharded && !unit->is_everywhere;
	unit->fate = unit->is_everywhere ? UNIT_STAYS : UNIT_BROADCAST;
	if (cz_ship_is_lateral(ss, unit))
		unit->fate = UNIT_STAYS;
	ss->units = lappend(ss->units, unit);
	if (rte != NULL)
	{
		Unit	   *known = palloc(sizeof(Unit));

		*known = *unit;
		ss->known_units = lappend(ss->known_units, known);
	}
	return unit;
}

/* A left join's sides, a full join's: each a unit, or again units. */
void
cz_ship_add_join_units(ShipState *ss, Node *node, bool is_inner, JoinExpr *nullable_of, int base)
{
	JoinExpr   *join;
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			cz_ship_add_join_units(ss, lfirst(lc), false, NULL, base);
		return;
	}
	if (IsA(node, RangeTblRef) ||
		(base > 0 && !bms_is_member(base, cz_node_relids(node, false))))
	{
		cz_ship_add_unit(ss, node, is_inner, nullable_of);
		return;
	}
	join = (JoinExpr *) node;
	cz_ship_add_join_units(ss, join->larg, false, join->jointype == JOIN_RIGHT ? join : NULL, base);
	cz_ship_add_join_units(ss, join->rarg, false, join->jointype == JOIN_LEFT ? join : NULL, base);
}

Unit *
cz_ship_unit_of(ShipState *ss, int rti)
{
	ListCell   *lc;

	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (IsA(unit->node, RangeTblRef) && ((RangeTblRef *) unit->node)->rtindex == rti)
			return unit;
	}
	return NULL;
}

/* ---- repartition --------------------------------------------------------- */

static bool
join_quals_walker(Node *node, List **quals)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, JoinExpr))
	{
		*quals = cz_conjuncts(((JoinExpr *) node)->quals, *quals);
		join_quals_walker(((JoinExpr *) node)->larg, quals);
		join_quals_walker(((JoinExpr *) node)->rarg, quals);
	}
	else if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			join_quals_walker(lfirst(lc), quals);
	}
	return false;
}

/*
 * The distribution columns of an entry, as Vars; its ctid, first of all, because a value
 * that is compared with it can only go by that.
 */
static List *
keys_of_entry(ShipState *ss, int rti)
{
	RangeTblEntry *rte = rt_fetch(rti, ss->query->rtable);
	List	   *attnos = NIL;
	List	   *keys = NIL;
	ListCell   *lc;

	if (rte->rtekind == RTE_RELATION && CzTableGet(rte->relid) != NULL)
		attnos = cz_table_locus(rte->relid).key_columns;
	else if (rte->rtekind == RTE_SUBQUERY)
		attnos = cz_query_locus(rte->subquery, ss->state).key_columns;
	foreach(lc, attnos)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;

		if (rte->rtekind == RTE_RELATION)
			get_atttypetypmodcoll(rte->relid, lfirst_int(lc), &type, &typmod, &collation);
		else
		{
			TargetEntry *tle = list_nth(rte->subquery->targetList, lfirst_int(lc) - 1);

			type = exprType((Node *) tle->expr);
			typmod = exprTypmod((Node *) tle->expr);
			collation = exprCollation((Node *) tle->expr);
		}
		keys = lappend(keys, makeVar(rti, lfirst_int(lc), type, typmod, collation, 0));
	}
	if (rte->rtekind == RTE_RELATION && ss->state->has_row_ids &&
		CzTableGet(rte->relid) != NULL && CzRowIdIsKey(CzTableGet(rte->relid), TIDOID))
		keys = lcons(makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0),
					 keys);
	return keys;
}

/* Vars in conditions may carry the names of joins. */
bool
cz_ship_plain_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		((Var *) node)->varnosyn = ((Var *) node)->varno;
		((Var *) node)->varattnosyn = ((Var *) node)->varattno;
		((Var *) node)->location = -1;
		return false;
	}
	return expression_tree_walker(node, cz_ship_plain_walker, context);
}

/* Columns of this level that are in an expression's class, itself included. */
static List *
vars_equal_to(Node *expr, List *classes)
{
	int			c = cz_class_of(classes, expr);
	List	   *result = NIL;
	ListCell   *lc;

	if (c < 0)
		return NIL;
	foreach(lc, (List *) list_nth(classes, c))
	{
		Var		   *var = lfirst(lc);

		if (IsA(var, Var) && var->varlevelsup == 0)
			result = lappend(result, var);
	}
	return result;
}

/*
 * cz_ship_keys
 *		The distribution columns of the base, and what always equals them.
 */
List *
cz_ship_keys(ShipState *ss, int base)
{
	List	   *keys = keys_of_entry(ss, base);
	List	   *result = list_copy(keys);
	List	   *quals = copyObject(ss->conjuncts);
	List	   *classes;
	ListCell   *lk;

	(void) cz_ship_plain_walker((Node *) quals, NULL);
	classes = cz_equality_classes(quals);
	foreach(lk, keys)
		result = list_concat(result, vars_equal_to(lfirst(lk), classes));
	return result;
}

/* A column of a unit that is compared with the distribution column of the base. */
Var *
cz_ship_partition_var(ShipState *ss, Unit *unit, int base, const CzTable *anchor)
{
	List	   *quals = copyObject(ss->conjuncts);
	List	   *keys = keys_of_entry(ss, base);
	List	   *classes;
	ListCell   *lk;
	ListCell   *lc;

	if (anchor->kind != CZ_TABLE_HASH && anchor->kind != CZ_TABLE_RANGE)
		return NULL;
	join_quals_walker((Node *) ss->query->jointree, &quals);
	quals = copyObject(quals);
	(void) cz_ship_plain_walker((Node *) quals, NULL);
	classes = cz_equality_classes(quals);
	foreach(lk, keys)
	{
		foreach(lc, vars_equal_to(lfirst(lk), classes))
		{
			Var		   *var = lfirst(lc);

			if (var->varattno > 0 &&
				bms_is_member(var->varno, unit->relids) &&
				var->vartype == ((Var *) lfirst(lk))->vartype &&
				(var->vartype == anchor->key_type || CzRowIdIsKey(anchor, var->vartype)) &&
				var->varcollid == ((Var *) lfirst(lk))->varcollid)
				return var;
		}
	}
	return NULL;
}
