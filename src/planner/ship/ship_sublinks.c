/*-------------------------------------------------------------------------
 *
 * ship_sublinks.c
 *	  Sub-queries in expressions that stand in the way of pushing a Query.
 *
 * One that is not correlated is computed once and its value or its rows are sent; of
 * a correlated one, the tables are.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
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

/* ---- sub-queries in expressions ------------------------------------------ */

typedef struct SublinksContext
{
	List	  **sublinks;
	ShipState  *ss;
	int			depth;			/* of CASE and COALESCE */
} SublinksContext;

static bool
sublinks_walker(Node *node, SublinksContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		*context->sublinks = lappend(*context->sublinks, node);
		if (context->depth > 0)
			context->ss->conditional = lappend(context->ss->conditional, node);
		return sublinks_walker(((SubLink *) node)->testexpr, context);
	}
	if (IsA(node, Query))
		return false;
	if (IsA(node, CaseExpr) || IsA(node, CoalesceExpr))
	{
		context->depth++;
		expression_tree_walker(node, sublinks_walker, (void *) context);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, sublinks_walker, (void *) context);
}

static void
collect_sublinks(ShipState *ss, Node *node, List **sublinks)
{
	SublinksContext context = {sublinks, ss, 0};

	sublinks_walker(node, &context);
}

static bool
may_fail_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, may_fail_walker, context, 0);
		case T_OpExpr:
		case T_DistinctExpr:
		case T_ScalarArrayOpExpr:
			/* comparisons do not fail */
			if (get_op_btree_interpretation_compat(IsA(node, ScalarArrayOpExpr) ?
											((ScalarArrayOpExpr *) node)->opno :
											((OpExpr *) node)->opno) == NIL)
				return true;
			break;
		case T_Aggref:
			if (((Aggref *) node)->aggfnoid >= FirstGenbkiObjectId)
				return true;
			break;
		case T_FuncExpr:
		case T_CoerceViaIO:
		case T_CoerceToDomain:
		case T_ArrayCoerceExpr:
		case T_SubscriptingRef:
		case T_WindowFunc:
		case T_XmlExpr:
			return true;
		case T_SubLink:
			if (((SubLink *) node)->subLinkType == EXPR_SUBLINK)
				return true;
			break;
		default:
			break;
	}
	return expression_tree_walker(node, may_fail_walker, context);
}

/* May computing a sub-query end in an error, also that it has several rows? */
static bool
may_fail(SubLink *sublink)
{
	Query	   *sub = (Query *) sublink->subselect;

	return (sublink->subLinkType == EXPR_SUBLINK &&
			(!sub->hasAggs || sub->groupClause != NIL || sub->groupingSets != NIL ||
			 sub->hasTargetSRFs)) ||
		may_fail_walker((Node *) sub, NULL);
}

/*
 * key IN (SELECT ...): the rows may go by what the key is compared with.
 *
 * may_stay: only where they must, because it is a ctid.
 */
static void
send_by_key(ShipState *ss, SubLink *sublink, CzShip *ship, const CzTable *anchor,
			bool may_stay)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, cz_conjuncts(sublink->testexpr, NIL))
	{
		Var		   *var;
		Param	   *param;

		if (!cz_equality_sides(lfirst(lc), (Node **) &var, (Node **) &param))
			continue;
		if (!IsA(var, Var) || !IsA(param, Param) || param->paramkind != PARAM_SUBLINK ||
			(param->paramtype != anchor->key_type &&
			 !CzRowIdIsKey(anchor, param->paramtype)) ||
			(may_stay && !CzRowIdIsKey(anchor, param->paramtype)) ||
			var->varcollid != param->paramcollid)
			continue;
		foreach(lk, ss->outer_keys)
		{
			Var		   *key = lfirst(lk);

			if (key->varno != var->varno || key->varattno != var->varattno)
				continue;
			ship->anchor = anchor;
			ship->partition_column = param->paramid;
			ship->partition_var = makeVar(1, param->paramid, param->paramtype,
										  param->paramtypmod, param->paramcollid, 0);
			return;
		}
	}
}

/*
 * cz_ship_simplify_exists
 *		The same everywhere, before it is asked which parts refer to which.
 */
bool
cz_ship_simplify_exists(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		cz_simplify_exists((SubLink *) node);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, cz_ship_simplify_exists, context, 0);
	return expression_tree_walker(node, cz_ship_simplify_exists, context);
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
	if (list_member_ptr(ss->conditional, sublink) && may_fail(sublink))
	{
		ss->reason = "an expression must only be evaluated under its condition";
		return false;
	}
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

	ship = cz_ship_make(ss, source, pstrdup("sub-query"), rows);
	if (ship == NULL)
		return false;
	if (sublink->subLinkType == ANY_SUBLINK && cz_enable_repartition &&
		list_member_ptr(ss->conjuncts, sublink))
		send_by_key(ss, sublink, ship, anchor, rows < REPARTITION_ROWS);
	ss->pulled += rows;
	cz_ship_count_rows(ss, rows, anchor, ship->anchor == NULL);
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
ship_inside(ShipState *ss, SubLink *sublink)
{
	Query	   *sub = (Query *) sublink->subselect;
	ShipState	inner = cz_ship_level(ss, sub);

	if (!cz_ship_may_look_into(sub))
		return false;
	inner.outer = ss;
	inner.is_counted = (sublink->subLinkType != EXISTS_SUBLINK &&
						sublink->subLinkType != ANY_SUBLINK &&
						sublink->subLinkType != ALL_SUBLINK) || cz_query_counts_rows(sub);
	if (!cz_ship_localize(&inner, true))
	{
		ss->reason = inner.reason;
		return false;
	}
	ss->ctes = inner.ctes;
	ss->shipped = inner.shipped;
	ss->fetched = inner.fetched;
	ss->broadcast_rows = inner.broadcast_rows;
	ss->pulled = inner.pulled;
	return true;
}

/* A Query without FROM whose columns are NULLs of the types of another one's. */
static Query *
empty_query(Query *like)
{
	Query	   *query = makeNode(Query);
	ListCell   *lc;

	query->commandType = CMD_SELECT;
	query->jointree = makeFromExpr(NIL, NULL);
	foreach(lc, like->targetList)
	{
		TargetEntry *tle = flatCopyTargetEntry(lfirst(lc));

		if (tle->resjunk)
			continue;
		tle->expr = (Expr *) makeNullConst(exprType((Node *) tle->expr),
										   exprTypmod((Node *) tle->expr),
										   exprCollation((Node *) tle->expr));
		tle->ressortgroupref = 0;
		query->targetList = lappend(query->targetList, tle);
	}
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

/* Empty sub-queries for the time of a question; returns what they were. */
static List *
take_subselects(List *sublinks)
{
	List	   *saved = NIL;
	ListCell   *lc;

	foreach(lc, sublinks)
	{
		SubLink    *sublink = lfirst(lc);

		saved = lappend(saved, sublink->subselect);
		sublink->subselect = (Node *) empty_query((Query *) sublink->subselect);
	}
	return saved;
}

/* Put sub-queries back one after another, shipped where they are in the way. */
static bool
ship_each(ShipState *ss, List *sublinks, List *saved, const CzTable *anchor,
		  bool is_correlated)
{
	ListCell   *lc;
	ListCell   *ls;

	forboth(lc, sublinks, ls, saved)
	{
		SubLink    *sublink = lfirst(lc);
		Query	   *sub = lfirst(ls);
		const char *why = NULL;
		bool		is_alone = !cz_refers_out((Node *) sub);

		sublink->subselect = (Node *) sub;
		cz_simplify_exists(sublink);
		if (cz_query_is_sendable(sub, &why) && level_is_good(ss, is_correlated) &&
			!is_correlated)
			continue;
		if (is_alone)
		{
			if (!ship_sublink(ss, sublink, anchor))
				return false;
		}
		else if (!ship_inside(ss, sublink))
			return false;
		if (!level_is_good(ss, is_correlated))
			return false;
	}
	return true;
}

bool
cz_ship_sublinks(ShipState *ss, const CzTable *anchor, bool is_correlated)
{
	Query	   *query = ss->query;
	List	   *sublinks = NIL;
	List	   *upper = NIL;
	List	   *saved;
	List	   *saved_upper;
	bool		has_grouping;
	bool		done;
	ListCell   *lc;
	ListCell   *ls;

	if (!query->hasSubLinks)
		return true;
	has_grouping = query->hasAggs || query->groupClause != NIL ||
		query->groupingSets != NIL || query->havingQual != NULL;
	ss->conditional = NIL;
	collect_sublinks(ss, (Node *) query->jointree, &sublinks);
	/* beside aggregates they may stay here: splitting the aggregates decides */
	collect_sublinks(ss, (Node *) query->targetList, has_grouping ? &upper : &sublinks);
	collect_sublinks(ss, query->havingQual, has_grouping ? &upper : &sublinks);
	saved_upper = take_subselects(upper);
	saved = take_subselects(sublinks);
	done = ship_each(ss, sublinks, saved, anchor, is_correlated);
	forboth(lc, upper, ls, saved_upper)
		((SubLink *) lfirst(lc))->subselect = lfirst(ls);
	return done;
}
