/*-------------------------------------------------------------------------
 *
 * ship.c
 *	  Joins of non-colocated tables: which side stays on its shards, which is sent.
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
#include "cz/rowid.h"
#include "cz/settings.h"

#include "ship_int.h"

/* Bases that are tried, largest first: the search must stay cheap. */
#define MAX_BASES 3
/* Broadcast rows from which on one hash table a worker beats one a shard. */
#define MERGE_ROWS 20000.0
/* What a row costs beside its columns, bytes. */
#define ROW_BYTES 24
/* Bytes that may be shipped without looking for another base. */
#define CHEAP_BYTES 65536.0
/* Rows that may be moved without a thought. */
#define CHEAP_ROWS 50000.0
/* What is done with a pulled row here is done by one process instead of many. */
#define PULL_FACTOR 1.5
/* Cost of a row on its way out, relative to its way here. */
#define SEND_COST 0.7

/* So many shards show on how many workers a table is. */
#define MAX_COUNTED_SHARDS 256

/* ---- choosing ------------------------------------------------------------ */

/* Number of workers that shards of a table (NULL: none) are on: copies of a broadcast. */
double
cz_ship_copies(const CzTable *anchor)
{
	List	   *servers = NIL;
	int			i;

	if (anchor == NULL)
		return 1;
	for (i = 0; i < Min(anchor->nshards, MAX_COUNTED_SHARDS); i++)
		servers = list_append_unique_oid(servers, anchor->shards[i].server_oids[0]);
	return Max(list_length(servers), 1);
}

int
cz_ship_compare_rows(const ListCell *a, const ListCell *b)
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

	CHECK_FOR_INTERRUPTS();
	cz_ship_unit_of(ss, base)->fate = UNIT_STAYS;
	if (!cz_ship_is_good(ss, anchor))
	{
		/* preserved sides of outer joins can only go by key, be they everywhere */
		foreach(lc, ss->units)
		{
			Unit	   *unit = lfirst(lc);

			if ((unit->fate == UNIT_STAYS && !unit->is_everywhere) || unit->is_inner ||
				!IsA(unit->node, RangeTblRef) || !cz_enable_repartition)
				continue;
			unit->key = cz_ship_partition_var(ss, unit, base, anchor);
			if (unit->key == NULL)
				continue;
			if (unit->fate == UNIT_STAYS)
				cz_ship_estimate_unit(ss, unit);
			unit->fate = UNIT_REPARTITION;
		}
		if (!cz_ship_is_good(ss, anchor))
			return false;
		foreach(lc, ss->units)
		{
			Unit	   *unit = lfirst(lc);

			if (!unit->is_everywhere || unit->fate != UNIT_REPARTITION)
				continue;
			unit->fate = UNIT_STAYS;
			if (!cz_ship_is_good(ss, anchor))
				unit->fate = UNIT_REPARTITION;
		}
	}
	list_sort(order, cz_ship_compare_rows);
	foreach(lc, order)
	{
		Unit	   *unit = lfirst(lc);
		UnitFate	fate = unit->fate;

		if (fate == UNIT_STAYS || !unit->is_sharded)
			continue;
		unit->fate = UNIT_STAYS;
		if (!cz_ship_is_good(ss, anchor))
			unit->fate = fate;
	}
	foreach(lc, order)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->fate != UNIT_BROADCAST || !cz_enable_repartition)
			continue;
		unit->key = cz_ship_partition_var(ss, unit, base, anchor);
		if (unit->key == NULL ||
			(cz_enable_broadcast && unit->rows < REPARTITION_ROWS &&
			 !CzRowIdIsKey(anchor, unit->key->vartype)))
			continue;
		unit->fate = UNIT_REPARTITION;
		if (!cz_ship_is_good(ss, anchor))
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
	return cz_ship_is_good(ss, anchor);
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
	CzLocus		locus = cz_ship_locus_of_node(ss, unit->node);

	return locus.kind == CZ_LOCUS_SHARDED ? locus.anchor : NULL;
}

/*
 * Is a table compared with the distribution column of the Query around it?  Returns the
 * column, or NULL.
 */
static Var *
correlating_var(ShipState *ss, Unit *unit)
{
	ListCell   *lc;

	if (!IsA(unit->node, RangeTblRef) || ss->outer_keys == NIL)
		return NULL;
	foreach(lc, ss->conjuncts)
	{
		Var		   *var;
		Var		   *outer;
		ListCell   *lk;

		if (cz_ship_correlation(lfirst(lc), unit, &var, &outer) < 0 || var->varattno <= 0 ||
			var->vartype != ss->outer_anchor->key_type)
			continue;
		foreach(lk, ss->outer_keys)
		{
			Var		   *key = lfirst(lk);

			if (key->varno == outer->varno && key->varattno == outer->varattno &&
				key->varcollid == var->varcollid)
				return var;
		}
	}
	return NULL;
}

/*
 * For a correlated level there is no base: all tables that are not everywhere are
 * broadcast, or go by a column that is compared with a Var of the Query around it.
 */
static bool
localize_correlated(ShipState *ss)
{
	const CzTable *anchor = ss->outer_anchor;
	ListCell   *lc;

	foreach(lc, ss->query->jointree->fromlist)
		cz_ship_add_join_units(ss, lfirst(lc), true, NULL, -1);
	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->fate == UNIT_STAYS && unit->is_local)
			return false;
		if (unit->fate == UNIT_STAYS)
			continue;
		cz_ship_estimate_unit(ss, unit);
		ss->pulled += unit->rows;
		/* the number of copies is that of any distributed table */
		if (anchor == NULL && unit->is_sharded)
			anchor = anchor_of(ss, unit);
		if (list_length(ss->units) == 1 && cz_enable_repartition &&
			(unit->rows >= REPARTITION_ROWS || !cz_enable_broadcast))
		{
			unit->key = correlating_var(ss, unit);
			if (unit->key != NULL)
				unit->fate = UNIT_REPARTITION;
		}
		if (unit->fate == UNIT_BROADCAST && !cz_enable_broadcast)
			return false;
	}
	ss->outer_keys = NIL;
	if (anchor == NULL)
		return false;
	return cz_ship_units(ss, anchor) && cz_ship_sublinks(ss, anchor, true);
}

/* Work on one Query until its FROM and WHERE are sharded. */
bool
cz_ship_localize(ShipState *ss, bool is_correlated)
{
	Query	   *query = ss->query;
	List	   *bases = NIL;
	ListCell   *lc;
	int			rti = 0;
	int			ntried = 0;
	List	   *best_units = NIL;
	int			chosen = 0;
	const CzTable *anchor = NULL;
	double		best = 0;

	check_stack_depth();
	if (query->jointree->fromlist == NIL || !has_sharded_entry(query))
		return false;
	cz_ship_flatten(ss);
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
		unit = cz_ship_add_unit(ss, (Node *) ref, list_member(query->jointree->fromlist, ref), NULL);
		if (unit->is_everywhere || unit->fate == UNIT_STAYS)
			continue;
		cz_ship_estimate_unit(ss, unit);
		ss->pulled += unit->rows;
		if (unit->is_sharded)
			bases = lappend(bases, unit);
	}
	list_sort(bases, cz_ship_compare_rows);

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
			cz_ship_add_join_units(ss, lfirst(lu), true, NULL, rti);
		if (table == NULL || cz_ship_unit_of(ss, rti) == NULL)
			continue;
		foreach(lu, ss->units)
		{
			Unit	   *unit = lfirst(lu);

			if (unit->fate != UNIT_STAYS)
				cz_ship_estimate_unit(ss, unit);
		}
		if (!propose(ss, rti, table))
			continue;
		cz_ship_form_groups(ss);
		foreach(lu, ss->units)
		{
			Unit	   *unit = lfirst(lu);

			if (unit->fate == UNIT_STAYS || unit->is_done)
				continue;
			cost += unit->rows * (unit->width + ROW_BYTES) *
				(1 + SEND_COST * (unit->fate == UNIT_BROADCAST ?
								  cz_ship_copies(table) : 1));
			cz_ship_mark_group(ss, unit->group);
		}
		if (chosen == 0 || cost < best)
		{
			chosen = rti;
			anchor = table;
			best = cost;
			best_units = ss->units;
		}
		if (best <= CHEAP_BYTES)
			break;
	}
	if (chosen == 0)
		return false;

	/* 3. do it */
	ss->units = best_units;
	foreach(lc, ss->units)
		((Unit *) lfirst(lc))->is_done = false;
	ss->outer_anchor = anchor;
	ss->outer_keys = cz_ship_keys(ss, chosen);
	return cz_ship_units(ss, anchor) && cz_ship_sublinks(ss, anchor, false);
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
 * Would it be less work to pull every table?  Where little is moved the round trips
 * count, and there are as many.
 */
static bool
is_too_dear(ShipState *ss, CzLeaf *leaf)
{
	double		moved = ss->fetched + SEND_COST * ss->shipped + leaf->rows;

	return moved > CHEAP_ROWS && moved > PULL_FACTOR * ss->pulled;
}

/* Does something that stays here read a shipment? */
static bool
reads_shipments_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return cz_ship_of_rte((RangeTblEntry *) node) != NULL;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_shipments_walker, NULL,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, reads_shipments_walker, NULL);
}

/*
 * The leaf whose fragments read shipments, of those made since there were so many; NULL
 * if it turned out that nobody uses what was shipped.
 */
static CzLeaf *
leaf_of_shipments(CzPlanState *state, int nbefore)
{
	int			i;

	for (i = nbefore; i < list_length(state->leaves); i++)
	{
		CzLeaf	   *leaf = list_nth(state->leaves, i);

		if (leaf->source->rtekind == RTE_SUBQUERY &&
			reads_shipments_walker((Node *) leaf->source->subquery, NULL))
			return leaf;
	}
	return NULL;
}

/* Does a condition leave no row whatever the tables have?  Then core reads none of them. */
static bool
has_no_rows(Node *node, Query *query, CzPlanState *state)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
		{
			if (has_no_rows(lfirst(lc), query, state))
				return true;
		}
		return cz_is_never_true(((FromExpr *) node)->quals, query, state);
	}
	if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_LEFT)
		return has_no_rows(((JoinExpr *) node)->larg, query, state);
	if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER)
		return has_no_rows(((JoinExpr *) node)->larg, query, state) ||
			has_no_rows(((JoinExpr *) node)->rarg, query, state) ||
			cz_is_never_true(((JoinExpr *) node)->quals, query, state);
	return false;
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
	CzLeaf	   *leaf;
	int			nships = list_length(state->ships);
	int			nleaves = list_length(state->leaves);
	bool		done = false;

	if ((!cz_enable_broadcast && !cz_enable_repartition) || !cz_ship_may_look_into(query) ||
		state->keep_leaves || !state->is_select || !has_sharded_entry(query) ||
		has_no_rows((Node *) query->jointree, query, state))
		return false;

	copy = copyObject(query);
	(void) cz_ship_simplify_exists((Node *) copy, NULL);
	cz_unnest_aggregates(copy, state);
	cz_flatten_joins(copy);
	memset(&ss, 0, sizeof(ss));
	ss.state = state;
	ss.top = copy;
	ss.query = copy;
	ss.is_counted = true;
	if (cz_group_dependents(copy) && cz_ship_localize(&ss, false) && ss.ctes != NIL)
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
		leaf = done ? leaf_of_shipments(state, nleaves) : NULL;
		if (leaf != NULL && is_too_dear(&ss, leaf))
		{
			why = "sending parts of it would cost more";
			done = false;
		}
		if (done && reads_shipments_walker((Node *) copy, NULL))
		{
			why = "a shipment is needed outside the fragments";
			done = false;
		}
		if (done)
		{
			if (leaf != NULL)
				leaf->wants_merge |= ss.broadcast_rows >= MERGE_ROWS;
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
