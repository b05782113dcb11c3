/*-------------------------------------------------------------------------
 *
 * ship_make.c
 *	  Groups of units become shipments.
 *
 * Their conditions go with them, and only the columns that the rest uses are sent.
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
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"
#include "cz/settings.h"

#include "ship_int.h"

/* Rows from which on, and the share of them up to which, DISTINCT ones are asked for. */
#define DISTINCT_ROWS 1000
#define DISTINCT_SHARE 0.5

/* Rows of a table from which on asking for the wanted ones pays. */
#define WANTED_ROWS 10000.0

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
CzShip *
cz_ship_make(ShipState *ss, Query *source, char *label, double rows)
{
	CzShip	   *ship = palloc0(sizeof(CzShip));
	CommonTableExpr *cte = makeNode(CommonTableExpr);
	ListCell   *lc;
	char	   *name = cz_free_cte_name(psprintf("cz_shipment_%d",
												   list_length(ss->state->ships) + 1),
										  ss->top->cteList, ss->ctes);
	int			n = 0;

	foreach(lc, source->targetList)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(lc))->expr;
		Oid			type = exprType(expr);

		n++;
		if (((TargetEntry *) lfirst(lc))->resjunk)
			continue;
		if (!cz_type_is_output_safe(type) || type == UNKNOWNOID ||
			!(cz_type_is_known(type, ss->top) || cz_type_is_known(type, ss->query) ||
			  cz_type_is_known(type, source)))
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
	cte->location = CZ_CTE_LOCATION;
	cte->cterefcount = 1;
	cte->ctecoltypes = ship->types;
	cte->ctecoltypmods = ship->typmods;
	cte->ctecolcollations = ship->collations;
	ss->ctes = lappend(ss->ctes, cte);
	return ship;
}

void
cz_ship_count_rows(ShipState *ss, double rows, const CzTable *anchor, bool is_broadcast)
{
	ss->fetched += rows;
	ss->shipped += is_broadcast ? rows * cz_ship_copies(anchor) : rows;
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

void
cz_ship_mark_group(ShipState *ss, int group)
{
	ListCell   *lc;

	foreach(lc, ss->units)
	{
		Unit	   *unit = lfirst(lc);

		if (unit->group == group)
			unit->is_done = true;
	}
}

/*
 * Of a correlated sub-query's table only those rows are looked at whose column equals
 * that of a row of the outer query:
 *
 *	column IN (SELECT outer column FROM outer table WHERE its own conditions)
 *
 * Returns NULL if the outer query does not filter that table.
 */
static Node *
wanted_rows(ShipState *ss, Unit *unit)
{
	ListCell   *lc;

	if (ss->outer == NULL || unit->rows < WANTED_ROWS || ss->outer->query->cteList != NIL)
		return NULL;
	foreach(lc, ss->conjuncts)
	{
		Var		   *var;
		Var		   *outer;
		RangeTblEntry *rte;
		RangeTblRef *ref = makeNode(RangeTblRef);
		List	   *quals;
		int			side = cz_ship_correlation(lfirst(lc), unit, &var, &outer);

		/* as it stands, not by way of a relabeling */
		if (side < 0 || !IsA(linitial(((OpExpr *) lfirst(lc))->args), Var) ||
			!IsA(lsecond(((OpExpr *) lfirst(lc))->args), Var))
			continue;
		rte = rt_fetch(outer->varno, ss->outer->query->rtable);
		quals = cz_ship_quals_within(ss->outer->conjuncts,
									 bms_make_singleton(outer->varno));
		/* inner-joined: what its conditions leave out must be in no row */
		ref->rtindex = outer->varno;
		if (rte->rtekind == RTE_RELATION && rte->tablesample == NULL && quals != NIL &&
			list_member(ss->outer->query->jointree->fromlist, ref))
			return cz_wanted_sublink(ss->outer->query, outer->varno, quals,
									 list_make1(lfirst(lc)), list_make1_int(side));
	}
	return NULL;
}

/* Types of which equal values are the same in every way. */
static bool
is_image_type(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == OIDOID ||
		type == DATEOID || type == UUIDOID || type == BOOLOID;
}

/*
 * Columns that conditions of the shipment make equal are sent once: the workers would
 * compare them again, and think that few rows are left.  Returns the columns; *attnos
 * says which one each of vars is.
 */
static List *
distinct_columns(List *vars, List *quals, List **attnos)
{
	List	   *plain = copyObject(quals);
	List	   *classes;
	List	   *columns = NIL;
	ListCell   *lc;
	ListCell   *lk;

	(void) cz_ship_plain_walker((Node *) plain, NULL);
	classes = cz_equality_classes(plain);
	*attnos = NIL;
	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);
		Var		   *key = makeVar(var->varno, var->varattno, var->vartype, var->vartypmod,
								  var->varcollid, 0);
		int			n = 0;
		bool		is_known = false;

		foreach(lk, columns)
		{
			Var		   *known = lfirst(lk);
			Var		   *other = makeVar(known->varno, known->varattno, known->vartype,
										known->vartypmod, known->varcollid, 0);

			n++;
			if (known->vartype == var->vartype && is_image_type(var->vartype) &&
				cz_keys_connected(classes, list_make1(key), list_make1(other)))
			{
				is_known = true;
				break;
			}
		}
		if (!is_known)
		{
			columns = lappend(columns, var);
			n = list_length(columns);
		}
		*attnos = lappend_int(*attnos, n);
	}
	return columns;
}

/* Of a shipment's only column: how many values the condition on it lets pass. */
static double
values_wanted(ShipState *ss, Query *source, Node *wanted, double most)
{
	SubLink    *sublink = (SubLink *) wanted;
	Node	   *column = (Node *) ((TargetEntry *) linitial(source->targetList))->expr;
	double		rows;
	int			width;

	if (wanted == NULL || !IsA(wanted, SubLink) || list_length(source->targetList) != 1 ||
		sublink->testexpr == NULL || !IsA(sublink->testexpr, OpExpr) ||
		!equal(linitial(((OpExpr *) sublink->testexpr)->args), column))
		return most;
	cz_estimate((Query *) sublink->subselect, ss->state, &rows, &width);
	return Min(rows, most);
}

/*
 * Send each row once where nobody counts them, if that leaves far fewer.
 *
 * wanted: what was added to its conditions, or NULL.
 * rows: what they are without it; becomes what they are.
 */
static void
send_once(ShipState *ss, Query *source, Node *wanted, double *rows)
{
	Query	   *distinct = copyObject(source);
	double		distinct_rows;
	int			width;
	ListCell   *lc;

	if (ss->is_counted || *rows < DISTINCT_ROWS)
		return;
	foreach(lc, distinct->targetList)
	{
		TargetEntry *tle = lfirst(lc);
		SortGroupClause *clause = makeNode(SortGroupClause);

		if (!IsA(tle->expr, Var) || !is_image_type(((Var *) tle->expr)->vartype))
			return;
		clause->tleSortGroupRef = assignSortGroupRef(tle, distinct->targetList);
		get_sort_group_operators(((Var *) tle->expr)->vartype, true, true, false,
								 &clause->sortop, &clause->eqop, NULL, &clause->hashable);
		distinct->distinctClause = lappend(distinct->distinctClause, clause);
	}
	cz_estimate(distinct, ss->state, &distinct_rows, &width);
	distinct_rows = values_wanted(ss, source, wanted, distinct_rows);
	if (distinct_rows > *rows * DISTINCT_SHARE)
		return;
	source->targetList = distinct->targetList;
	source->distinctClause = distinct->distinctClause;
	*rows = distinct_rows;
}

/* One group of units becomes a shipment. */
static bool
ship_group(ShipState *ss, Unit *first, const CzTable *anchor)
{
	Query	   *query = ss->query;
	List	   *nodes = NIL;
	Relids		relids = cz_ship_group_relids(ss, first->group, &nodes);
	Relids		with_joins = NULL;
	List	   *quals;
	List	   *vars;
	List	   *columns;
	ListCell   *lc;
	Query	   *source;
	CzShip	   *ship;
	RangeTblEntry *rte;
	RangeTblRef *ref = makeNode(RangeTblRef);
	Node	   *wanted = NULL;
	List	   *attnos = NIL;
	ListCell   *la;
	int			n;
	char	   *label = label_of(ss, relids);
	int			rti;

	if (first->is_inner)
	{
		quals = cz_ship_quals_within(ss->conjuncts, relids);
		ss->conjuncts = list_difference_ptr(ss->conjuncts, quals);
		quals = list_concat(quals, cz_ship_or_quals(ss->conjuncts, relids));
		if (list_length(nodes) > 1)
			quals = list_concat(quals, cz_ship_implied_quals(ss, relids));
		cz_ship_set_conjuncts(ss);
	}
	else
	{
		quals = cz_ship_own_quals(ss, first);
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
	if (list_length(nodes) == 1)
		wanted = wanted_rows(ss, first);
	if (wanted != NULL)
		quals = lappend(quals, wanted);
	cz_ship_swap_localized(ss, relids);
	source = cz_shipment_query(query, nodes, quals, NIL, ss->depth);
	if (wanted != NULL && source != NULL)
		source->hasSubLinks = true;
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
	columns = vars != NIL ? distinct_columns(vars, first->is_inner ? quals : NIL, &attnos) :
		list_make1(cz_int_const(1));
	if (source == NULL)
	{
		ss->reason = "a CTE is not visible where it is needed";
		return false;
	}
	rti = 0;
	foreach(lc, columns)
	{
		Node	   *column = copyObject(lfirst(lc));

		rti++;
		if (IsA(column, Var))
			var_keep_nulling_compat((Var *) column, with_joins);
		source->targetList = lappend(source->targetList,
									 makeTargetEntry((Expr *) column, rti,
													 psprintf("c%d", rti), false));
	}
	if (wanted != NULL)
		cz_estimate(source, ss->state, &first->rows, &first->width);
	send_once(ss, source, wanted, &first->rows);
	ship = cz_ship_make(ss, source, label, first->rows);
	if (ship == NULL)
		return false;
	if (first->fate == UNIT_REPARTITION)
	{
		ship->anchor = anchor;
		ship->partition_var = first->key;
		forboth(lc, vars, la, attnos)
		{
			ship->partition_column = lfirst_int(la);
			if (((Var *) lfirst(lc))->varno == first->key->varno &&
				((Var *) lfirst(lc))->varattno == first->key->varattno)
				break;
		}
	}
	cz_ship_count_rows(ss, first->rows, anchor, first->fate == UNIT_BROADCAST);
	rte = cz_ship_rte(ss->state, ship);
	/* by way of another number, so that no Var is taken for one that is old */
	cz_replace_vars(query, vars, attnos, list_length(query->rtable) + 1,
					bms_difference(with_joins, relids));
	n = vars != NIL ? list_length(columns) : 0;
	columns = NIL;
	for (rti = 1; rti <= n; rti++)
		columns = lappend(columns, makeVar(list_length(query->rtable) + 1, rti, INT4OID, -1,
										   InvalidOid, 0));
	cz_replace_vars(query, columns, NIL, ref->rtindex, NULL);
	lfirst(list_nth_cell(query->rtable, ref->rtindex - 1)) = rte;
	cz_ship_mark_group(ss, first->group);
	return true;
}

bool
cz_ship_units(ShipState *ss, const CzTable *anchor)
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
