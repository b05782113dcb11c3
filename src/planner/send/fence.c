/*-------------------------------------------------------------------------
 *
 * fence.c
 *	  Row-level security and security-barrier views of a Query that is to be sent.
 *
 * A worker knows neither: what reaches it is plain SQL.  So in the copy of a Query
 * that becomes a fragment every relation with policies turns into a sub-query
 *
 *	(SELECT columns FROM t WHERE policies AND leakproof qualifiers OFFSET 0) t
 *
 * which the worker cannot flatten and into which it pushes nothing; qualifiers
 * that might tell of hidden rows stay outside.  A policy that is not leakproof and
 * comes after another one stands outside a fence of its own.  A security-barrier
 * view is such a sub-query already.
 *
 * In the copy a fence is a sub-query entry with security_barrier set and without
 * OFFSET, so that the rules of locus.c see through it; deparse.c prints the OFFSET.
 *
 * At the top of a Query a relation of which every qualifier is leakproof needs no
 * fence: the policies join the other conjuncts and the relation's entry keeps the mark
 * security_barrier.  A leaf made of such a Query is itself fenced (rewrite.c), for
 * what is around it might not be leakproof.
 *
 * Permission checks stay with the entries of the relations, wherever they go.
 *
 * Source: own work; what may pass a barrier is decided as PostgreSQL's planner does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "cz/compat.h"

#include "../planner_int.h"

static bool fence_level(Query *query, bool may_merge);

/* ---- is there anything to do? -------------------------------------------- */

static bool
barrier_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->securityQuals != NIL ||
			((RangeTblEntry *) node)->security_barrier;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, barrier_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, barrier_walker, context);
}

/*
 * cz_query_has_barriers
 *		Is there a policy or a security-barrier view at any depth of a Query?
 */
bool
cz_query_has_barriers(Query *query)
{
	return query_tree_walker(query, barrier_walker, NULL, QTW_EXAMINE_RTES_BEFORE);
}

/* ---- a fence around a relation ------------------------------------------- */

static Var *
relation_column(Oid relid, AttrNumber attno)
{
	Oid			type;
	int32		typmod = -1;
	Oid			collation = InvalidOid;

	switch (attno)
	{
		case SelfItemPointerAttributeNumber:
			type = TIDOID;
			break;
		case TableOidAttributeNumber:
			type = OIDOID;
			break;
		case MinCommandIdAttributeNumber:
		case MaxCommandIdAttributeNumber:
			type = CIDOID;
			break;
		case MinTransactionIdAttributeNumber:
		case MaxTransactionIdAttributeNumber:
			type = XIDOID;
			break;
		default:
			get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
	}
	return makeVar(1, attno, type, typmod, collation, 0);
}

static Query *
select_from(RangeTblEntry *rte, List *tlist, List *quals)
{
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->targetList = tlist;
	query->jointree = makeFromExpr(list_make1(ref), quals == NIL ? NULL :
								   (Node *) make_ands_explicit(quals));
	query->hasSubLinks = checkExprHasSubLink((Node *) quals);
	query->hasRowSecurity = true;
	return query;
}

/* A relation as it is, for the inside of its fence. */
static RangeTblEntry *
bare_relation(RangeTblEntry *rte)
{
	RangeTblEntry *copy = copyObject(rte);

	copy->securityQuals = NIL;
	copy->lateral = false;
	copy->inFromCl = true;
	return copy;
}

static int
number_of_columns(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	int			natts = RelationGetNumberOfAttributes(rel);

	table_close(rel, NoLock);
	return natts;
}

/*
 * fence_relation
 *		Make a relation with policies a fenced sub-query; false if its columns
 *		can't go through one.
 */
static bool
fence_relation(Query *query, Index rti)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	List	   *levels = rte->securityQuals;
	RangeTblEntry *inner = bare_relation(rte);
	Bitmapset  *attrs;
	Query	   *sub;
	List	   *columns = NIL;
	List	   *names = NIL;
	List	   *tlist = NIL;
	List	   *quals = NIL;
	ListCell   *lc;
	int			x = -1;

	rte->securityQuals = NIL;
	rte->tablesample = NULL;
	attrs = bms_union(cz_used_columns((Node *) query, rti),
					  cz_used_columns((Node *) levels, rti));

	/* a whole row is made of all columns, and of no others */
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs))
	{
		while ((x = bms_next_member(attrs, x)) >= 0)
		{
			if (x + FirstLowInvalidHeapAttributeNumber < 0)
				return false;
		}
		for (x = 1; x <= number_of_columns(rte->relid); x++)
		{
			if (get_attname(rte->relid, x, true) == NULL)
				return false;
			columns = lappend_int(columns, x);
		}
	}
	else
	{
		while ((x = bms_next_member(attrs, x)) >= 0)
			columns = lappend_int(columns, x + FirstLowInvalidHeapAttributeNumber);
	}
	foreach(lc, columns)
	{
		AttrNumber	attno = lfirst_int(lc);
		char	   *name = attno > 0 ? get_attname(rte->relid, attno, false) :
			psprintf("system%d", -attno);

		names = lappend(names, makeString(name));
		tlist = lappend(tlist, makeTargetEntry((Expr *) relation_column(rte->relid, attno),
											   list_length(names), name, false));
	}
	if (tlist == NIL)			/* count(*) */
	{
		names = list_make1(makeString(pstrdup("c1")));
		tlist = list_make1(makeTargetEntry((Expr *) cz_int_const(1),
										   1, "c1", false));
	}
	cz_renumber_columns((Node *) query, rti, columns);

	/* levels that can tell nothing join the one before them */
	ChangeVarNodes((Node *) levels, rti, 1, 0);
	quals = list_make1(linitial(levels));
	levels = list_delete_first(levels);
	while (levels != NIL && !contain_leaked_vars(linitial(levels)))
	{
		quals = lappend(quals, linitial(levels));
		levels = list_delete_first(levels);
	}
	sub = select_from(inner, tlist, quals);
	query_take_permission_compat(sub, inner, query);
	for (; levels != NIL; levels = list_delete_first(levels))
	{
		RangeTblEntry *outer = makeNode(RangeTblEntry);
		List	   *outer_tlist = NIL;

		outer->rtekind = RTE_SUBQUERY;
		outer->subquery = sub;
		outer->security_barrier = true;
		outer->eref = makeAlias("fence", copyObject(names));
		outer->inFromCl = true;
		foreach(lc, sub->targetList)
		{
			TargetEntry *tle = lfirst(lc);

			outer_tlist = lappend(outer_tlist,
								  makeTargetEntry((Expr *) makeVarFromTargetEntry(1, tle),
												  tle->resno, tle->resname, false));
		}
		cz_renumber_columns(linitial(levels), 1, columns);
		sub = select_from(outer, outer_tlist, list_make1(linitial(levels)));
	}

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = sub;
	rte->security_barrier = true;
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	rte->eref->colnames = names;
	rte_clear_permissions_compat(rte);
	return true;
}

/* ---- leakproof qualifiers go inside -------------------------------------- */

typedef struct InsideContext
{
	Index		rti;
	List	   *tlist;
	bool		failed;
} InsideContext;

/* Vars of the fenced entry become what they stand for inside. */
static Node *
inside_mutator(Node *node, InsideContext *context)
{
	if (node == NULL || context->failed)
		return node;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		TargetEntry *tle = NULL;

		if (var->varlevelsup > 0)
		{
			var = copyObject(var);
			var->varlevelsup++;
			return (Node *) var;
		}
		if (var->varno == context->rti && var->varattno > 0 &&
			var->varattno <= list_length(context->tlist))
			tle = list_nth(context->tlist, var->varattno - 1);
		if (tle == NULL || tle->resjunk || tle->resno != var->varattno)
		{
			context->failed = true;
			return node;
		}
		return copyObject((Node *) tle->expr);
	}
	return expression_tree_mutator(node, inside_mutator, (void *) context);
}

/* Does the sub-query merely select and filter? */
static bool
takes_qualifiers(Query *sub)
{
	return sub->commandType == CMD_SELECT && sub->setOperations == NULL &&
		sub->groupClause == NIL && sub->groupingSets == NIL && !sub->hasAggs &&
		sub->havingQual == NULL && !sub->hasWindowFuncs && sub->distinctClause == NIL &&
		sub->limitCount == NULL && sub->limitOffset == NULL && !sub->hasTargetSRFs &&
		sub->rowMarks == NIL && !sub->hasModifyingCTE;
}

/* Give a fenced entry those of the conjuncts in scope that concern it alone. */
static void
pass_qualifiers(Query *query, Index rti, List *scope)
{
	Query	   *sub = rt_fetch(rti, query->rtable)->subquery;
	ListCell   *lc;

	if (!takes_qualifiers(sub))
		return;
	foreach(lc, scope)
	{
		Node	   *qual = lfirst(lc);
		InsideContext context = {rti, sub->targetList, false};

		if (contain_leaked_vars(qual) || contain_volatile_functions(qual) ||
			!bms_is_member(rti, cz_entries_of(qual, 0)))
			continue;
		qual = inside_mutator(qual, &context);
		if (context.failed || contain_leaked_vars(qual) || contain_volatile_functions(qual))
			continue;
		sub->jointree->quals = (Node *)
			make_ands_explicit(lappend(make_ands_implicit((Expr *) sub->jointree->quals),
									   qual));
	}
}

/* "column = constant" for the columns of rti that others in scope are equal to. */
static List *
implied_equalities(List *scope, Index rti)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, cz_equality_classes(scope))
	{
		List	   *members = lfirst(lc);
		ListCell   *lv;
		ListCell   *lm;

		foreach(lv, members)
		{
			Var		   *var = lfirst(lv);

			if (!IsA(var, Var) || var->varno != rti || var->varlevelsup != 0)
				continue;
			foreach(lm, members)
			{
				Node	   *member = lfirst(lm);
				Oid			eq;

				if (exprType(member) != var->vartype ||
					!(IsA(member, Const) || cz_is_closed_stable(member)))
					continue;
				eq = lookup_type_cache(var->vartype, TYPECACHE_EQ_OPR)->eq_opr;
				if (OidIsValid(eq))
				{
					OpExpr	   *op = (OpExpr *)
						make_opclause(eq, BOOLOID, false, copyObject((Expr *) var),
									  copyObject((Expr *) member), InvalidOid,
									  var->varcollid);

					set_opfuncid(op);
					if (!list_member(scope, op))
						result = lappend(result, op);
				}
				break;
			}
		}
	}
	return result;
}

/*
 * scope: conjuncts that hold for every row of node that matters.
 */
static void
pass_to_node(Node *node, List *scope, Query *query)
{
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
	{
		Index		rti = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		if (rte->rtekind == RTE_SUBQUERY && rte->security_barrier && scope != NIL)
			pass_qualifiers(query, rti,
							list_concat(implied_equalities(scope, rti), scope));
	}
	else if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		scope = cz_conjuncts(from->quals, list_copy(scope));
		foreach(lc, from->fromlist)
			pass_to_node(lfirst(lc), scope, query);
	}
	else
	{
		JoinExpr   *join = (JoinExpr *) node;
		List	   *on = cz_conjuncts(join->quals, NIL);
		List	   *both = list_concat(list_copy(scope), on);

		switch (join->jointype)
		{
			case JOIN_INNER:
				pass_to_node(join->larg, both, query);
				pass_to_node(join->rarg, both, query);
				break;
			case JOIN_LEFT:
				pass_to_node(join->larg, scope, query);
				pass_to_node(join->rarg, on, query);
				break;
			case JOIN_RIGHT:
				pass_to_node(join->larg, on, query);
				pass_to_node(join->rarg, scope, query);
				break;
			default:
				pass_to_node(join->larg, NIL, query);
				pass_to_node(join->rarg, NIL, query);
		}
	}
}

/* ---- no fence where nothing can leak ------------------------------------- */

/* Entries of FROM that only inner joins put together, as a set of indexes. */
static Relids
inner_relids(Node *node)
{
	Relids		result = NULL;
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		return bms_make_singleton(((RangeTblRef *) node)->rtindex);
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			result = bms_join(result, inner_relids(lfirst(lc)));
	}
	else if (((JoinExpr *) node)->jointype == JOIN_INNER)
		result = bms_join(inner_relids(((JoinExpr *) node)->larg),
						  inner_relids(((JoinExpr *) node)->rarg));
	return result;
}

static Relids
leaky_relids_of_quals(Node *quals)
{
	Relids		result = NULL;
	ListCell   *lc;

	foreach(lc, cz_conjuncts(quals, NIL))
	{
		if (contain_leaked_vars(lfirst(lc)))
			result = bms_join(result, cz_entries_of(lfirst(lc), 0));
	}
	return result;
}

static Relids
leaky_relids_of_node(Node *node)
{
	Relids		result = NULL;
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			result = bms_join(result, leaky_relids_of_node(lfirst(lc)));
		return bms_join(result, leaky_relids_of_quals(((FromExpr *) node)->quals));
	}
	if (IsA(node, JoinExpr))
	{
		result = bms_join(leaky_relids_of_node(((JoinExpr *) node)->larg),
						  leaky_relids_of_node(((JoinExpr *) node)->rarg));
		return bms_join(result, leaky_relids_of_quals(((JoinExpr *) node)->quals));
	}
	return NULL;
}

/*
 * Entries of a Query level of whose rows something there might tell before FROM and
 * WHERE have hidden them.
 */
static Relids
leaky_relids(Query *query)
{
	Relids		result = leaky_relids_of_node((Node *) query->jointree);
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (!rte->lateral)
			continue;
		result = bms_join(result, cz_entries_of((Node *) rte->subquery, 1));
		result = bms_join(result, cz_entries_of((Node *) rte->functions, 0));
		result = bms_join(result, cz_entries_of((Node *) rte->tablefunc, 0));
		result = bms_join(result, cz_entries_of((Node *) rte->values_lists, 0));
	}
	/* a condition of HAVING without aggregates may be taken for one of WHERE */
	foreach(lc, cz_conjuncts(query->havingQual, NIL))
	{
		if (!contain_aggs_of_level(lfirst(lc), 0) && contain_leaked_vars(lfirst(lc)))
			result = bms_join(result, cz_entries_of(lfirst(lc), 0));
	}
	return result;
}

/* The policies of a relation as conjuncts of the Query; false if they can't be. */
static bool
merge_policies(Query *query, Index rti)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	ListCell   *lc;
	bool		is_first = true;

	foreach(lc, rte->securityQuals)
	{
		if (checkExprHasSubLink(lfirst(lc)) ||
			(!is_first && contain_leaked_vars(lfirst(lc))))
			return false;
		is_first = false;
	}
	query->jointree->quals = (Node *)
		make_ands_explicit(list_concat(rte->securityQuals,
									   make_ands_implicit((Expr *) query->jointree->quals)));
	rte->securityQuals = NIL;
	rte->security_barrier = true;
	return true;
}

/* CASE WHEN conditions THEN qualifiers ELSE false END */
static Node *
guarded(List *conditions, List *quals)
{
	CaseExpr   *expr = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = copyObject(make_ands_explicit(list_copy(conditions)));
	when->result = make_ands_explicit(list_copy(quals));
	when->location = -1;
	expr->casetype = BOOLOID;
	expr->args = list_make1(when);
	expr->defresult = (Expr *) makeBoolConst(false, false);
	expr->location = -1;
	return (Node *) expr;
}

/*
 * cz_guard_target
 *		The conjuncts of an UPDATE or DELETE whose target, which cannot be a
 *		sub-query, has policies: what might tell of rows that they hide is
 *		evaluated under the condition that they do not.
 */
List *
cz_guard_target(List *policies, List *quals)
{
	List	   *result = NIL;
	List	   *passed = NIL;
	List	   *leaky = NIL;
	ListCell   *lc;

	foreach(lc, policies)
	{
		Node	   *policy = lfirst(lc);

		if (passed != NIL && contain_leaked_vars(policy))
			result = lappend(result, guarded(passed, list_make1(policy)));
		else
			result = lappend(result, policy);
		passed = lappend(passed, policy);
	}
	foreach(lc, quals)
	{
		if (contain_leaked_vars(lfirst(lc)))
			leaky = lappend(leaky, lfirst(lc));
		else
			result = lappend(result, lfirst(lc));
	}
	if (leaky != NIL)
		result = lappend(result, guarded(passed, leaky));
	return result;
}

/* ---- all levels ---------------------------------------------------------- */

typedef struct LevelsContext
{
	bool		failed;
} LevelsContext;

static bool
levels_walker(Node *node, LevelsContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		context->failed |= !fence_level((Query *) node, false);
		return context->failed;
	}
	return expression_tree_walker(node, levels_walker, (void *) context);
}

static bool
is_locked(Query *query, Index rti)
{
	ListCell   *lc;

	foreach(lc, query->rowMarks)
	{
		if (((RowMarkClause *) lfirst(lc))->rti == rti)
			return true;
	}
	return false;
}

static bool
fence_level(Query *query, bool may_merge)
{
	LevelsContext context = {false};
	Relids		inner = NULL;
	bool		has_fences = false;
	ListCell   *lc;
	Index		rti = 0;

	if (may_merge)
		inner = bms_del_members(inner_relids((Node *) query->jointree),
								leaky_relids(query));
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		rti++;
		if (rti == query->resultRelation)
			continue;
		if (rte->rtekind == RTE_SUBQUERY && rte->security_barrier)
		{
			if (is_locked(query, rti))
				return false;
			has_fences = true;
		}
		if (rte->securityQuals == NIL)
			continue;
		if (rte->rtekind != RTE_RELATION)
			return false;
		if (bms_is_member(rti, inner) && merge_policies(query, rti))
			continue;
		if (is_locked(query, rti) || !fence_relation(query, rti))
			return false;
		has_fences = true;
	}
	if (has_fences)
		pass_to_node((Node *) query->jointree, NIL, query);
	query_tree_walker(query, levels_walker, (void *) &context, 0);
	return !context.failed;
}

/*
 * cz_fence_query
 *		A copy of a Query in which all barriers are sub-queries marked
 *		security_barrier; the relation that it writes to is left alone.
 *
 * Returns: NULL if that can't be done.
 */
Query *
cz_fence_query(Query *query)
{
	Query	   *copy = copyObject(query);

	cz_flatten_joins(copy);
	if (!fence_level(copy, copy->commandType == CMD_SELECT))
		return NULL;
	return copy;
}
