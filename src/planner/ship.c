/*-------------------------------------------------------------------------
 *
 * ship.c
 *	  Joins of data that does not lie together: what stays, and what is shipped.
 *
 * Comes after the first two rules of rewrite.c have failed.  One table of the
 * Query, the base, stays on its shards with everything that is colocated with it
 * by the join or that every worker has; all else is computed first (by these same
 * rules: as a CTE that core plans) and sent along with the fragments:
 *
 *	broadcast		to every fragment: good wherever a reference table would be
 *	repartition		by the value of a column that is compared with the base's
 *					distribution column: good wherever a colocated table would be
 *
 * So what may be done is decided by the locus analysis, which takes a shipment for
 * either of these, and this file only proposes: it sets some parts aside, asks for
 * the locus of the rest, and puts back what is not in the way.  Sub-queries in
 * expressions that stand in the way are shipped as well, whole if they are not
 * correlated, else their tables.
 *
 * The largest table is proposed as the base first.  What is shipped costs its way
 * here and its way out again; it must be less than pulling everything.
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

#include "planner_int.h"

/* Bases that are tried, largest first: the search must stay cheap. */
#define MAX_BASES 3
/* Rows from which on a part goes by key rather than everywhere, if it can. */
#define REPARTITION_ROWS 500.0
/* Broadcast rows from which on one hash table a worker beats one a shard. */
#define MERGE_ROWS 500.0
/* Cost of a row on its way out, relative to its way here. */
#define SEND_COST 0.7

typedef enum UnitFate
{
	UNIT_STAYS,
	UNIT_BROADCAST,
	UNIT_REPARTITION
} UnitFate;

/* A part of FROM that stays or goes as one. */
typedef struct Unit
{
	Node	   *node;			/* RangeTblRef or JoinExpr */
	Relids		relids;			/* its entries, without those of joins */
	bool		is_inner;		/* a member of the topmost inner join */
	JoinExpr   *nullable_of;	/* the left join that it is the right side of */
	bool		is_everywhere;
	bool		is_sharded;
	bool		is_local;		/* no worker has it: it must go */
	double		rows;			/* estimate after its own conditions; not of
								 * those that are everywhere */
	int			width;
	UnitFate	fate;
	Var		   *key;			/* UNIT_REPARTITION: the column that decides */
	int			group;			/* units of one group go together */
	bool		is_done;
} Unit;

/* A sub-query in FROM that shipments have made good for the workers. */
typedef struct Localized
{
	RangeTblEntry *rte;
	Query	   *original;		/* to ship it whole after all; NULL: it was */
	List	   *ctes;
	double		shipped;
	double		fetched;
	double		broadcast_rows;
} Localized;

typedef struct ShipState
{
	CzPlanState *state;
	Query	   *top;			/* gets the CTEs */
	Query	   *query;			/* level that is worked on */
	int			depth;			/* of it, below top */
	List	   *conjuncts;		/* of its topmost inner join */
	List	   *units;
	List	   *ctes;			/* CommonTableExprs made so far */
	List	   *localized;		/* of this level */
	double		shipped;		/* rows, counted as often as they are sent */
	double		fetched;		/* rows of the same on their way here */
	double		broadcast_rows;
	const char *reason;
} ShipState;

static bool localize(ShipState *ss, bool is_correlated);
static bool unit_is_lateral(ShipState *ss, Unit *unit);
static void swap_localized(ShipState *ss, Relids relids);

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

static void
set_conjuncts(ShipState *ss)
{
	ss->query->jointree->quals = ss->conjuncts == NIL ? NULL :
		(Node *) make_ands_explicit(list_copy(ss->conjuncts));
}

/* Inner joins become a list of items and one of conditions. */
static void
flatten_from(ShipState *ss)
{
	Query	   *query = ss->query;
	List	   *items = NIL;
	ListCell   *lc;

	ss->conjuncts = NIL;
	collect_items((Node *) query->jointree, query, &items, &ss->conjuncts);
	query->jointree = makeFromExpr(items, NULL);
	set_conjuncts(ss);
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
static bool
is_good(ShipState *ss, const CzTable *anchor)
{
	CzLocus		locus = locus_with_fates(ss, anchor);

	if (locus.kind != CZ_LOCUS_SHARDED)
		ss->reason = locus.reason;
	return locus.kind == CZ_LOCUS_SHARDED;
}

/* ---- units --------------------------------------------------------------- */

static List *
quals_within(List *quals, Relids relids)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		Node	   *qual = lfirst(lc);
		Relids		used = pull_varnos(NULL, qual);

		if (!bms_is_empty(used) && bms_is_subset(used, relids) &&
			!contain_subplans(qual) && !contain_volatile_functions(qual) &&
			!cz_refers_out(qual))
			result = lappend(result, qual);
	}
	return result;
}

/* Conditions that only concern a unit and may be evaluated before the join. */
static List *
own_quals(ShipState *ss, Unit *unit)
{
	if (unit->is_inner)
		return quals_within(ss->conjuncts, unit->relids);
	if (unit->nullable_of != NULL)
		return quals_within(cz_conjuncts(unit->nullable_of->quals, NIL), unit->relids);
	return NIL;
}

static void
estimate_unit(ShipState *ss, Unit *unit)
{
	List	   *vars = cz_vars_of(ss->query, unit->relids);
	Query	   *query;

	if (vars == NIL)
		vars = list_make1(makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(1), false,
									true));
	swap_localized(ss, unit->relids);
	query = cz_shipment_query(ss->query, list_make1(unit->node), own_quals(ss, unit), vars,
							  ss->depth);
	swap_localized(ss, unit->relids);
	unit->rows = 1000;
	unit->width = 32;
	if (query != NULL && !cz_query_is_correlated(query))
		cz_estimate(query, ss->state, &unit->rows, &unit->width);
}

/* Does a unit refer to something outside it (LATERAL, or an outer query)? */
static bool
unit_is_lateral(ShipState *ss, Unit *unit)
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
		else if (rte->tablesample != NULL && contain_var_clause((Node *) rte->tablesample))
			return true;
	}
	return false;
}

/* The locus of a part of FROM by itself. */
static CzLocus
locus_of_node(ShipState *ss, Node *node)
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
										 list_make1(makeConst(INT4OID, -1, InvalidOid, 4,
															  Int32GetDatum(1), false,
															  true)), ss->depth);
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

/* Shipping inside a sub-query may make it good for the workers. */
static bool
localize_entry(ShipState *ss, RangeTblEntry *rte, bool is_lateral)
{
	Query	   *original = rte->subquery;
	Query	   *copy = copyObject(original);
	ShipState	inner = *ss;
	int			nships = list_length(ss->state->ships);
	Localized  *entry;

	if (copy->setOperations != NULL || copy->rowMarks != NIL || copy->hasModifyingCTE ||
		copy->hasRecursive)
		return false;
	inner.query = copy;
	inner.depth++;
	inner.units = NIL;
	inner.ctes = NIL;
	inner.localized = NIL;
	inner.shipped = inner.fetched = inner.broadcast_rows = 0;
	if (!localize(&inner, is_lateral))
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
static void
swap_localized(ShipState *ss, Relids relids)
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

static Unit *
add_unit(ShipState *ss, Node *node, bool is_inner, JoinExpr *nullable_of)
{
	Unit	   *unit = palloc0(sizeof(Unit));
	CzLocus		locus;
	RangeTblEntry *rte = NULL;

	unit->node = node;
	unit->relids = cz_node_relids(node, false);
	unit->is_inner = is_inner;
	unit->nullable_of = nullable_of;
	unit->group = list_length(ss->units);
	if (IsA(node, RangeTblRef))
		rte = rt_fetch(((RangeTblRef *) node)->rtindex, ss->query->rtable);

	locus = locus_of_node(ss, node);
	if (locus.kind == CZ_LOCUS_NONE && rte != NULL && rte->rtekind == RTE_SUBQUERY &&
		!rte->security_barrier && rte->securityQuals == NIL)
	{
		if (localize_entry(ss, rte, unit_is_lateral(ss, unit)))
			locus = locus_of_node(ss, node);
	}
	unit->is_sharded = locus.kind == CZ_LOCUS_SHARDED;
	unit->is_everywhere = locus.kind == CZ_LOCUS_EVERYWHERE && !locus.is_unstable;
	if (!unit_is_sendable(ss, unit) && !unit_is_lateral(ss, unit))
	{
		unit->is_sharded = false;
		unit->is_everywhere = false;
	}
	unit->is_local = !unit->is_sharded && !unit->is_everywhere;
	unit->fate = unit->is_everywhere ? UNIT_STAYS : UNIT_BROADCAST;
	if (unit_is_lateral(ss, unit))
		unit->fate = UNIT_STAYS;
	ss->units = lappend(ss->units, unit);
	return unit;
}

/* A left join's sides, a full join's: each a unit, or again units. */
static void
add_join_units(ShipState *ss, Node *node, bool is_inner, JoinExpr *nullable_of, int base)
{
	JoinExpr   *join;

	if (IsA(node, RangeTblRef) || !bms_is_member(base, cz_node_relids(node, false)))
	{
		add_unit(ss, node, is_inner, nullable_of);
		return;
	}
	join = (JoinExpr *) node;
	add_join_units(ss, join->larg, false, join->jointype == JOIN_RIGHT ? join : NULL, base);
	add_join_units(ss, join->rarg, false, join->jointype == JOIN_LEFT ? join : NULL, base);
}

static Unit *
unit_of(ShipState *ss, int rti)
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

/* The distribution columns of an entry, as Vars. */
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
	return keys;
}

/* Vars in conditions may carry the names of joins. */
static bool
plain_walker(Node *node, void *context)
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
	return expression_tree_walker(node, plain_walker, context);
}

/* A column of a unit that is compared with the distribution column of the base. */
static Var *
partition_var(ShipState *ss, Unit *unit, int base, const CzTable *anchor)
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
	(void) plain_walker((Node *) quals, NULL);
	classes = cz_equality_classes(quals);
	foreach(lk, keys)
	{
		int			c = cz_class_of(classes, lfirst(lk));

		if (c < 0)
			continue;
		foreach(lc, (List *) list_nth(classes, c))
		{
			Var		   *var = lfirst(lc);

			if (IsA(var, Var) && var->varlevelsup == 0 && var->varattno > 0 &&
				bms_is_member(var->varno, unit->relids) &&
				var->vartype == anchor->key_type &&
				var->varcollid == ((Var *) lfirst(lk))->varcollid)
				return var;
		}
	}
	return NULL;
}

/* ---- choosing ------------------------------------------------------------ */

/* Number of workers that shards of a table are on: copies of a broadcast. */
static double
copies_of(const CzTable *anchor)
{
	List	   *servers = NIL;
	int			i;

	for (i = 0; i < anchor->nshards; i++)
		servers = list_append_unique_oid(servers, anchor->shards[i].server_oids[0]);
	return Max(list_length(servers), 1);
}

static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const Unit *x = lfirst(a);
	const Unit *y = lfirst(b);

	return x->rows > y->rows ? -1 : x->rows < y->rows;
}

/*
 * Everything but one table is shipped at first; then what may stay stays.  Returns
 * false if the base cannot be one.
 */
static bool
propose(ShipState *ss, int base, const CzTable *anchor)
{
	List	   *order = list_copy(ss->units);
	ListCell   *lc;

	unit_of(ss, base)->fate = UNIT_STAYS;
	if (!is_good(ss, anchor))
	{
		/* preserved sides of outer joins can only go by key */
		foreach(lc, ss->units)
		{
			Unit	   *unit = lfirst(lc);

			if (unit->fate == UNIT_STAYS || unit->is_inner ||
				!IsA(unit->node, RangeTblRef) || !cz_enable_repartition)
				continue;
			unit->key = partition_var(ss, unit, base, anchor);
			if (unit->key != NULL)
				unit->fate = UNIT_REPARTITION;
		}
		if (!is_good(ss, anchor))
			return false;
	}
	list_sort(order, compare_rows);
	foreach(lc, order)
	{
		Unit	   *unit = lfirst(lc);
		UnitFate	fate = unit->fate;

		if (fate == UNIT_STAYS || !unit->is_sharded)
			continue;
		unit->fate = UNIT_STAYS;
		if (!is_good(ss, anchor))
			unit->fate = fate;
	}
	foreach(lc, order)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->fate != UNIT_BROADCAST || !cz_enable_repartition ||
			(cz_enable_broadcast && unit->rows < REPARTITION_ROWS))
			continue;
		unit->key = partition_var(ss, unit, base, anchor);
		if (unit->key == NULL)
			continue;
		unit->fate = UNIT_REPARTITION;
		if (!is_good(ss, anchor))
			unit->fate = UNIT_BROADCAST;
	}
	if (!cz_enable_broadcast)
	{
		foreach(lc, ss->units)
		{
			if (((Unit *) lfirst(lc))->fate == UNIT_BROADCAST)
				return false;
		}
	}
	return is_good(ss, anchor);
}

/* ---- units that go together ---------------------------------------------- */

static Relids
group_relids(ShipState *ss, int group, List **nodes)
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

		if (!IsA(op, OpExpr) || list_length(op->args) != 2 ||
			!cz_is_equality(op->opno, op->inputcollid))
			continue;
		l = cz_strip(linitial(op->args));
		r = cz_strip(lsecond(op->args));
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
static List *
implied_quals(ShipState *ss, Relids relids)
{
	List	   *quals = copyObject(ss->conjuncts);
	List	   *given;
	List	   *classes;
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *lm;

	(void) plain_walker((Node *) quals, NULL);
	classes = cz_equality_classes(quals);
	given = cz_equality_classes(quals_within(quals, relids));
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
	List	   *vars = cz_vars_of(ss->query, relids);
	Query	   *query;

	if (vars == NIL)
		vars = list_make1(makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(1), false,
									true));
	swap_localized(ss, relids);
	query = cz_shipment_query(ss->query, nodes,
							  list_concat(quals_within(ss->conjuncts, relids),
										  implied_quals(ss, relids)), vars, ss->depth);
	swap_localized(ss, relids);
	*rows = 1e9;
	*width = 32;
	if (query != NULL && !cz_query_is_correlated(query))
		cz_estimate(query, ss->state, rows, width);
}

/* Does a condition compare two sets for equality, be it by way of a third? */
static bool
are_connected(ShipState *ss, Relids a, Relids b)
{
	List	   *quals = copyObject(ss->conjuncts);
	List	   *classes;
	ListCell   *lc;
	ListCell   *lm;

	(void) plain_walker((Node *) quals, NULL);
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
static void
form_groups(ShipState *ss)
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

			if (a->fate == UNIT_STAYS || !a->is_inner || unit_is_lateral(ss, a))
				continue;
			foreach(lb, ss->units)
			{
				Unit	   *b = lfirst(lb);
				List	   *nodes = NIL;
				Relids		ra;
				Relids		rb;
				double		rows;
				int			width;

				if (b == a || b->group == a->group || !b->is_inner ||
					(b->fate == UNIT_STAYS && !b->is_everywhere) ||
					!bms_is_empty(bms_intersect(a->relids, b->relids)) ||
					unit_is_lateral(ss, b))
					continue;
				ra = group_relids(ss, a->group, &nodes);
				rb = group_relids(ss, b->group, &nodes);
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
								!unit_is_lateral(ss, e) &&
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
				if (rows > (b->fate == UNIT_STAYS ? a->rows * 0.7 :
							Max(a->rows, b->rows) * 1.1))
					continue;
				foreach(lb, ss->units)
				{
					Unit	   *unit = lfirst(lb);

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
				foreach(lb, ss->units)
				{
					Unit	   *unit = lfirst(lb);

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

/* ---- making shipments ---------------------------------------------------- */

static char *
label_of(ShipState *ss, Relids relids)
{
	StringInfoData buf;
	int			rti = -1;

	initStringInfo(&buf);
	while ((rti = bms_next_member(relids, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, ss->query->rtable);
		const char *name = rte->alias ? rte->alias->aliasname :
			rte->rtekind == RTE_RELATION ? get_rel_name(rte->relid) :
			rte->eref ? rte->eref->aliasname : "?";

		if (buf.len > 0)
			appendStringInfoString(&buf, ", ");
		appendStringInfoString(&buf, name ? name : "?");
	}
	return buf.data;
}

/* Make a CTE of a query, and the shipment of its rows; NULL if a column can't travel. */
static CzShip *
make_shipment(ShipState *ss, Query *source, char *label, double rows)
{
	CzShip	   *ship = palloc0(sizeof(CzShip));
	CommonTableExpr *cte = makeNode(CommonTableExpr);
	ListCell   *lc;
	char	   *name = psprintf("cz_shipment_%d", list_length(ss->state->ships) + 1);
	int			n = 0;

	foreach(lc, ss->top->cteList)
	{
		if (strcmp(((CommonTableExpr *) lfirst(lc))->ctename, name) == 0)
		{
			name = psprintf("%s_", name);
			lc = list_head(ss->top->cteList);
		}
	}
	foreach(lc, source->targetList)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(lc))->expr;
		Oid			type = exprType(expr);

		n++;
		if (((TargetEntry *) lfirst(lc))->resjunk)
			continue;
		if (!cz_type_is_output_safe(type) || type == UNKNOWNOID)
		{
			ss->reason = "a column cannot be sent to the workers";
			return NULL;
		}
		ship->types = lappend_oid(ship->types, type);
		ship->typmods = lappend_int(ship->typmods, exprTypmod(expr));
		ship->collations = lappend_oid(ship->collations, exprCollation(expr));
		cte->ctecolnames = lappend(cte->ctecolnames, makeString(psprintf("c%d", n)));
	}
	ship->cte_name = name;
	ship->label = label;
	ship->rows = rows;
	ship->source = copyObject(source);

	cte->ctename = pstrdup(name);
	cte->ctematerialized = CTEMaterializeAlways;
	cte->ctequery = (Node *) source;
	cte->location = -1;
	cte->cterefcount = 1;
	cte->ctecoltypes = ship->types;
	cte->ctecoltypmods = ship->typmods;
	cte->ctecolcollations = ship->collations;
	ss->ctes = lappend(ss->ctes, cte);
	return ship;
}

static void
count_rows(ShipState *ss, double rows, const CzTable *anchor, bool is_broadcast)
{
	ss->fetched += rows;
	ss->shipped += is_broadcast ? rows * copies_of(anchor) : rows;
	if (is_broadcast)
		ss->broadcast_rows += rows;
}

/* Replace a node of the join tree, at any place of it. */
static bool
replace_node(Node *tree, Node *old, Node *new)
{
	ListCell   *lc;

	if (IsA(tree, FromExpr))
	{
		foreach(lc, ((FromExpr *) tree)->fromlist)
		{
			if (lfirst(lc) == old)
			{
				if (new != NULL)
					lfirst(lc) = new;
				else
					((FromExpr *) tree)->fromlist =
						foreach_delete_current(((FromExpr *) tree)->fromlist, lc);
				return true;
			}
			if (!IsA(lfirst(lc), RangeTblRef) && replace_node(lfirst(lc), old, new))
				return true;
		}
	}
	else if (IsA(tree, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) tree;

		if (join->larg == old)
			join->larg = new;
		else if (join->rarg == old)
			join->rarg = new;
		else
			return replace_node(join->larg, old, new) || replace_node(join->rarg, old, new);
		return true;
	}
	return false;
}

static void
mark_group(ShipState *ss, int group)
{
	ListCell   *lc;

	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->group == group)
			unit->is_done = true;
	}
}

/* One group of units becomes a shipment. */
static bool
ship_group(ShipState *ss, Unit *first, const CzTable *anchor)
{
	Query	   *query = ss->query;
	List	   *nodes = NIL;
	Relids		relids = group_relids(ss, first->group, &nodes);
	Relids		with_joins = NULL;
	List	   *quals;
	List	   *vars;
	List	   *columns;
	ListCell   *lc;
	Query	   *source;
	CzShip	   *ship;
	RangeTblEntry *rte;
	RangeTblRef *ref = makeNode(RangeTblRef);
	char	   *label = label_of(ss, relids);
	int			rti;

	if (first->is_inner)
	{
		quals = quals_within(ss->conjuncts, relids);
		ss->conjuncts = list_difference_ptr(ss->conjuncts, quals);
		if (list_length(nodes) > 1)
			quals = list_concat(quals, implied_quals(ss, relids));
		set_conjuncts(ss);
	}
	else
	{
		quals = own_quals(ss, first);
		if (quals != NIL)
		{
			List	   *rest = list_difference_ptr(cz_conjuncts(first->nullable_of->quals, NIL),
												   quals);

			first->nullable_of->quals = rest == NIL ? makeBoolConst(true, false) :
				(Node *) make_ands_explicit(rest);
		}
	}

	/* take the nodes out, so that only what the rest needs is found */
	/* in an entry of its own: an input of a join must come before it */
	ref->rtindex = bms_next_member(relids, -1);
	foreach(lc, nodes)
	{
		if (!replace_node((Node *) query->jointree, lfirst(lc),
						  lc == list_head(nodes) ? (Node *) ref : NULL))
			elog(ERROR, "a part of FROM was not found");
		with_joins = bms_add_members(with_joins, cz_node_relids(lfirst(lc), true));
	}
	swap_localized(ss, relids);
	source = cz_shipment_query(query, nodes, quals, NIL, ss->depth);
	foreach(lc, ss->localized)
	{
		Localized  *entry = lfirst(lc);

		for (rti = -1; (rti = bms_next_member(relids, rti)) >= 0;)
		{
			if (entry->rte == rt_fetch(rti, query->rtable))
				entry->original = NULL;
		}
	}
	rti = -1;
	while ((rti = bms_next_member(with_joins, rti)) >= 0)
		cz_blank_rte(rt_fetch(rti, query->rtable));

	vars = cz_vars_of(query, relids);
	if (first->fate == UNIT_REPARTITION)
	{
		Var		   *key = makeVar(first->key->varno, first->key->varattno,
								  first->key->vartype, first->key->vartypmod,
								  first->key->varcollid, 0);

		foreach(lc, vars)
		{
			if (((Var *) lfirst(lc))->varno == key->varno &&
				((Var *) lfirst(lc))->varattno == key->varattno)
				break;
		}
		if (lc == NULL)
			vars = lappend(vars, key);
	}
	foreach(lc, vars)
	{
		if (((Var *) lfirst(lc))->varattno <= 0)
		{
			ss->reason = "a whole row or a system column cannot be sent to the workers";
			return false;
		}
	}
	columns = vars != NIL ? vars :
		list_make1(makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(1), false, true));
	if (source == NULL)
	{
		ss->reason = "a CTE is not visible where it is needed";
		return false;
	}
	rti = 0;
	foreach(lc, columns)
	{
		rti++;
		source->targetList = lappend(source->targetList,
									 makeTargetEntry(copyObject(lfirst(lc)), rti,
													 psprintf("c%d", rti), false));
	}
	ship = make_shipment(ss, source, label, first->rows);
	if (ship == NULL)
		return false;
	if (first->fate == UNIT_REPARTITION)
	{
		ship->anchor = anchor;
		ship->partition_var = first->key;
		foreach(lc, vars)
		{
			ship->partition_column++;
			if (((Var *) lfirst(lc))->varno == first->key->varno &&
				((Var *) lfirst(lc))->varattno == first->key->varattno)
				break;
		}
	}
	count_rows(ss, first->rows, anchor, first->fate == UNIT_BROADCAST);
	rte = cz_ship_rte(ss->state, ship);
	/* by way of another number, so that no Var is taken for one that is old */
	cz_replace_vars(query, vars, list_length(query->rtable) + 1);
	columns = NIL;
	for (rti = 1; rti <= list_length(vars); rti++)
		columns = lappend(columns, makeVar(list_length(query->rtable) + 1, rti, INT4OID, -1,
										   InvalidOid, 0));
	cz_replace_vars(query, columns, ref->rtindex);
	lfirst(list_nth_cell(query->rtable, ref->rtindex - 1)) = rte;
	mark_group(ss, first->group);
	return true;
}

static bool
ship_units(ShipState *ss, const CzTable *anchor)
{
	ListCell   *lc;

	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->fate != UNIT_STAYS && !unit->is_done && !ship_group(ss, unit, anchor))
			return false;
	}
	foreach(lc, ss->localized)
	{
		Localized  *entry = lfirst(lc);

		if (entry->original == NULL)
			continue;
		ss->ctes = list_concat(ss->ctes, entry->ctes);
		ss->shipped += entry->shipped;
		ss->fetched += entry->fetched;
		ss->broadcast_rows += entry->broadcast_rows;
	}
	return true;
}

/* ---- sub-queries in expressions ------------------------------------------ */

static bool
sublinks_walker(Node *node, List **sublinks)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		*sublinks = lappend(*sublinks, node);
		return sublinks_walker(((SubLink *) node)->testexpr, sublinks);
	}
	if (IsA(node, Query))
		return false;
	return expression_tree_walker(node, sublinks_walker, (void *) sublinks);
}

/*
 * A sub-query that is not correlated: its value, or its rows, are computed once.
 */
static bool
ship_sublink(ShipState *ss, SubLink *sublink, const CzTable *anchor)
{
	Query	   *source;
	Query	   *reader = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	CzShip	   *ship;
	ListCell   *lc;
	bool		is_value = sublink->subLinkType == EXPR_SUBLINK ||
		sublink->subLinkType == EXISTS_SUBLINK || sublink->subLinkType == ARRAY_SUBLINK;
	List	   *columns = NIL;
	double		rows = 1;
	int			width;
	int			n = 0;

	if (!is_value && sublink->subLinkType != ANY_SUBLINK &&
		sublink->subLinkType != ALL_SUBLINK)
		return false;
	if (is_value)
		columns = list_make1(sublink);
	source = cz_shipment_query(ss->query, NIL, NIL, columns, ss->depth);
	if (source == NULL)
		return false;
	if (!is_value)
	{
		/* the sub-query itself, one level up */
		RangeTblEntry *rte = makeNode(RangeTblEntry);

		cz_estimate((Query *) sublink->subselect, ss->state, &rows, &width);
		foreach(lc, ((Query *) sublink->subselect)->targetList)
		{
			TargetEntry *tle = lfirst(lc);

			if (tle->resjunk)
				continue;
			n++;
			source->targetList = lappend(source->targetList,
										 makeTargetEntry((Expr *)
														 makeVar(1, n, exprType((Node *) tle->expr),
																 exprTypmod((Node *) tle->expr),
																 exprCollation((Node *) tle->expr), 0),
														 n, psprintf("c%d", n), false));
			columns = lappend(columns, makeString(psprintf("c%d", n)));
		}
		rte->rtekind = RTE_SUBQUERY;
		rte->subquery = (Query *) cz_shipment_query(ss->query, NIL, NIL,
													list_make1(sublink), ss->depth);
		if (rte->subquery == NULL)
			return false;
		rte->subquery = (Query *)
			((SubLink *) ((TargetEntry *) linitial(rte->subquery->targetList))->expr)->subselect;
		rte->eref = makeAlias("subquery", columns);
		rte->inFromCl = true;
		source->rtable = list_make1(rte);
		query_clear_permissions_compat(source);
		ref->rtindex = 1;
		source->jointree = makeFromExpr(list_make1(ref), NULL);
	}
	source->hasSubLinks = is_value;

	ship = make_shipment(ss, source, pstrdup("sub-query"), rows);
	if (ship == NULL)
		return false;
	count_rows(ss, rows, anchor, true);
	ref = makeNode(RangeTblRef);
	ref->rtindex = 1;
	reader->commandType = CMD_SELECT;
	reader->querySource = QSRC_ORIGINAL;
	reader->canSetTag = true;
	reader->rtable = list_make1(cz_ship_rte(ss->state, ship));
	reader->jointree = makeFromExpr(list_make1(ref), NULL);
	for (n = 1; n <= list_length(ship->types); n++)
		reader->targetList = lappend(reader->targetList,
									 makeTargetEntry((Expr *)
													 makeVar(1, n, list_nth_oid(ship->types, n - 1),
															 list_nth_int(ship->typmods, n - 1),
															 list_nth_oid(ship->collations, n - 1), 0),
													 n, psprintf("c%d", n), false));
	sublink->subselect = (Node *) reader;
	if (is_value)
		sublink->subLinkType = EXPR_SUBLINK;
	return true;
}

/* A correlated sub-query: its tables are shipped. */
static bool
ship_inside(ShipState *ss, Query *sub)
{
	ShipState	inner = *ss;

	if (sub->setOperations != NULL || sub->rowMarks != NIL || sub->hasModifyingCTE ||
		sub->hasRecursive)
		return false;
	inner.query = sub;
	inner.depth++;
	inner.units = NIL;
	inner.localized = NIL;
	if (!localize(&inner, true))
	{
		ss->reason = inner.reason;
		return false;
	}
	ss->ctes = inner.ctes;
	ss->shipped = inner.shipped;
	ss->fetched = inner.fetched;
	ss->broadcast_rows = inner.broadcast_rows;
	return true;
}

static Query *
empty_query(void)
{
	Query	   *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->jointree = makeFromExpr(NIL, NULL);
	return query;
}

/* Is everything at this level good, with the sub-queries as they are now? */
static bool
level_is_good(ShipState *ss, bool is_correlated)
{
	CzLocus		locus;

	if (is_correlated)
		return true;			/* the Query around it will be asked */
	locus = cz_from_locus(ss->query, ss->state);
	ss->reason = locus.reason;
	return locus.kind == CZ_LOCUS_SHARDED;
}

static bool
ship_sublinks(ShipState *ss, const CzTable *anchor, bool is_correlated)
{
	Query	   *query = ss->query;
	List	   *sublinks = NIL;
	List	   *saved = NIL;
	ListCell   *lc;
	ListCell   *ls;

	if (!query->hasSubLinks)
		return true;
	sublinks_walker((Node *) query->jointree, &sublinks);
	sublinks_walker((Node *) query->targetList, &sublinks);
	sublinks_walker(query->havingQual, &sublinks);
	foreach(lc, sublinks)
	{
		SubLink    *sublink = lfirst(lc);

		saved = lappend(saved, sublink->subselect);
		sublink->subselect = (Node *) empty_query();
	}
	forboth(lc, sublinks, ls, saved)
	{
		SubLink    *sublink = lfirst(lc);
		Query	   *sub = lfirst(ls);
		const char *why = NULL;
		bool		is_alone = !cz_refers_out((Node *) sub);

		sublink->subselect = (Node *) sub;
		if (cz_query_is_sendable(sub, &why) && level_is_good(ss, is_correlated) &&
			!is_correlated)
			continue;
		if (is_alone)
		{
			if (!ship_sublink(ss, sublink, anchor))
				return false;
		}
		else if (!ship_inside(ss, sub))
			return false;
		if (!level_is_good(ss, is_correlated))
			return false;
	}
	return true;
}

/* ---- one level ----------------------------------------------------------- */

static bool
has_sharded_entry(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION && cz_rte_table(rte) != NULL &&
			CzTableGet(rte->relid)->kind != CZ_TABLE_REFERENCE)
			return true;
		if (rte->rtekind == RTE_SUBQUERY || rte->rtekind == RTE_CTE)
			return true;
	}
	return false;
}

static const CzTable *
anchor_of(ShipState *ss, Unit *unit)
{
	CzLocus		locus = locus_of_node(ss, unit->node);

	return locus.kind == CZ_LOCUS_SHARDED ? locus.anchor : NULL;
}

/*
 * For a correlated level there is no base: all tables that are not everywhere are
 * broadcast, or go by a column that is compared with a Var of the Query around it.
 */
static bool
localize_correlated(ShipState *ss)
{
	const CzTable *anchor = NULL;
	ListCell   *lc;

	foreach(lc, ss->query->jointree->fromlist)
		add_join_units(ss, lfirst(lc), true, NULL, -1);
	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->fate == UNIT_STAYS && unit->is_local)
			return false;
		if (unit->fate == UNIT_STAYS)
			continue;
		estimate_unit(ss, unit);
		if (unit->is_sharded)
			anchor = anchor_of(ss, unit);
	}
	/* the number of copies is that of any distributed table */
	if (!cz_enable_broadcast || anchor == NULL)
		return anchor == NULL && ship_sublinks(ss, anchor, true);
	return ship_units(ss, anchor) && ship_sublinks(ss, anchor, true);
}

/* Work on one Query until its FROM and WHERE are sharded. */
static bool
localize(ShipState *ss, bool is_correlated)
{
	Query	   *query = ss->query;
	List	   *bases = NIL;
	ListCell   *lc;
	int			rti = 0;
	int			ntried = 0;
	double		pulled = 0;
	int			chosen = 0;
	const CzTable *anchor = NULL;
	double		best = 0;

	check_stack_depth();
	if (query->jointree->fromlist == NIL || !has_sharded_entry(query))
		return false;
	flatten_from(ss);
	if (is_correlated)
		return localize_correlated(ss);
	if (ss->depth > 0 && cz_from_locus(query, ss->state).kind != CZ_LOCUS_NONE)
		return false;			/* it is not the join that is in the way */

	/* 1. every entry by itself: which could be the base, and how large they are */
	foreach(lc, query->rtable)
	{
		RangeTblRef *ref = makeNode(RangeTblRef);
		Unit	   *unit;

		ref->rtindex = ++rti;
		if (((RangeTblEntry *) lfirst(lc))->rtekind == RTE_JOIN ||
			!bms_is_member(rti, cz_node_relids((Node *) query->jointree, false)))
			continue;
		unit = add_unit(ss, (Node *) ref, list_member(query->jointree->fromlist, ref), NULL);
		if (unit->is_everywhere || unit->fate == UNIT_STAYS)
			continue;
		estimate_unit(ss, unit);
		pulled += unit->rows;
		if (unit->is_sharded)
			bases = lappend(bases, unit);
	}
	list_sort(bases, compare_rows);

	/* 2. the base that leaves least to ship */
	foreach(lc, bases)
	{
		Unit	   *base = lfirst(lc);
		const CzTable *table = anchor_of(ss, base);
		double		cost = 0;
		ListCell   *lu;

		if (ntried++ >= MAX_BASES)
			break;
		ss->units = NIL;
		rti = ((RangeTblRef *) base->node)->rtindex;
		foreach(lu, query->jointree->fromlist)
			add_join_units(ss, lfirst(lu), true, NULL, rti);
		if (table == NULL || unit_of(ss, rti) == NULL)
			continue;
		foreach(lu, ss->units)
		{
			Unit	   *unit = lfirst(lu);

			if (unit->fate != UNIT_STAYS)
				estimate_unit(ss, unit);
		}
		if (!propose(ss, rti, table))
			continue;
		form_groups(ss);
		foreach(lu, ss->units)
		{
			Unit	   *unit = lfirst(lu);

			if (unit->fate == UNIT_STAYS || unit->is_done)
				continue;
			cost += unit->rows * (1 + SEND_COST * (unit->fate == UNIT_BROADCAST ?
												   copies_of(table) : 1));
			mark_group(ss, unit->group);
		}
		if (chosen == 0 || cost < best)
		{
			chosen = rti;
			anchor = table;
			best = cost;
		}
	}
	if (chosen == 0)
		return false;
	(void) pulled;

	/* 3. do it */
	ss->units = NIL;
	foreach(lc, query->jointree->fromlist)
		add_join_units(ss, lfirst(lc), true, NULL, chosen);
	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->fate != UNIT_STAYS)
			estimate_unit(ss, unit);
	}
	if (!propose(ss, chosen, anchor))
		return false;
	form_groups(ss);
	return ship_units(ss, anchor) && ship_sublinks(ss, anchor, false);
}

/* ---- a whole query ------------------------------------------------------- */

/* The CTEs of the Query that shipments read. */
static void
keep_ctes(Query *query, List *user_ctes, List *ship_ctes, CzPlanState *state)
{
	ListCell   *lc;
	List	   *rtable = list_copy(query->rtable);

	query->cteList = list_concat(list_copy(user_ctes), ship_ctes);
	foreach(lc, ship_ctes)
	{
		RangeTblEntry *reader = makeNode(RangeTblEntry);

		/* the leaf is a reader that core does not see */
		reader->rtekind = RTE_CTE;
		reader->ctename = ((CommonTableExpr *) lfirst(lc))->ctename;
		query->rtable = lappend(query->rtable, reader);
	}
	cz_drop_unread_ctes(query);
	query->rtable = rtable;
	foreach(lc, query->cteList)
		cz_rewrite_query((Query *) ((CommonTableExpr *) lfirst(lc))->ctequery, state, false);
}

/*
 * cz_try_ship
 *		Push a Query whose data does not lie together, by shipping parts of it.
 *
 * Returns false, with the Query untouched, if nothing is gained by it.
 */
bool
cz_try_ship(Query *query, CzPlanState *state, const char **reason)
{
	ShipState	ss;
	Query	   *copy;
	List	   *user_ctes;
	const char *why = NULL;
	CzLocus		locus;
	int			nships = list_length(state->ships);
	bool		done = false;

	if ((!cz_enable_broadcast && !cz_enable_repartition) || query->setOperations != NULL ||
		query->rowMarks != NIL || query->hasModifyingCTE || query->hasRecursive ||
		state->keep_leaves || !state->is_read_only || !has_sharded_entry(query))
		return false;

	copy = copyObject(query);
	cz_unnest_aggregates(copy, state);
	cz_flatten_joins(copy);
	memset(&ss, 0, sizeof(ss));
	ss.state = state;
	ss.top = copy;
	ss.query = copy;
	if (localize(&ss, false) && ss.ctes != NIL)
	{
		user_ctes = copyObject(query->cteList);
		cz_drop_unread_ctes(copy);
		if (cz_query_is_sendable(copy, &why))
		{
			locus = cz_query_locus(copy, state);
			done = locus.kind == CZ_LOCUS_SHARDED && locus.outer_keys == NIL &&
				cz_replace_whole(copy, &locus, state);
		}
		if (!done)
			done = cz_try_split(copy, state, &why);
		if (done)
		{
			CzLeaf	   *leaf = llast(state->leaves);

			leaf->wants_merge = ss.broadcast_rows >= MERGE_ROWS;
			*query = *copy;
			keep_ctes(query, user_ctes, ss.ctes, state);
			return true;
		}
		ss.reason = why ? why : ss.reason;
	}
	state->ships = list_truncate(state->ships, nships);
	if (*reason == NULL)
		*reason = ss.reason;
	return false;
}
