/*-------------------------------------------------------------------------
 *
 * locus.c
 *	  Where the rows of a Query are.
 *
 * The rules, by what is combined (S = sharded, E = everywhere, 1 = sharded and
 * all on one shard; "by key" = an equality class joins the two keys):
 *
 *	distributed table		S, key: its distribution column; 1 if conditions leave one
 *					shard, a list of shards if they leave several
 *	reference table, VALUES, immutable function		E
 *	shipment		E if broadcast, S by the column that it goes by (ship.c)
 *	local table, modifying CTE, transition table		none
 *	inner join		S,E -> S	S,S by key -> S		1,1 same shard -> 1
 *	left join		as inner, but E left of S -> none
 *	full join		S,S by key in ON -> S without key; else none
 *	sub-query in an expression: E; 1 with the same 1; S if an outer reference
 *					equals both keys, or key IN (SELECT key ...) as a conjunct
 *	GROUP BY, DISTINCT, PARTITION BY: S stays S if the key is among them
 *	UNION ALL		S,S -> S	other set operations: if the key is in the same
 *					output column of both
 *	LIMIT			only 1
 *	CTE				as its query at each reference; recursive: E or 1
 *	LATERAL			as a sub-query whose outer reference equals both keys
 *	fence			as what it fences (row-level security, barrier views; fence.c)
 *	1 with E, in any construction -> 1
 *
 * An outer join above which a condition is not true of the rows that it makes up counts
 * as an inner one.
 *
 * A relation is confined to a shard by equality classes made of the conjuncts
 * that hold for every row in which the relation matters: WHERE and inner joins'
 * conditions, and for the nullable side of an outer join its ON condition too.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"
#include "cz/rowid.h"

#include "../planner_int.h"

typedef struct LocusContext
{
	CzPlanState *state;
	List	   *queries;		/* enclosing Queries, innermost first */
} LocusContext;

static CzLocus query_locus(Query *query, LocusContext *context);
static CzJoinLocus visit_cluster(Node *node, List *scope, Query *query,
							   LocusContext *context, List **all_quals);

CzLocus
cz_no_locus(const char *reason)
{
	CzLocus		locus;

	memset(&locus, 0, sizeof(locus));
	locus.kind = CZ_LOCUS_NONE;
	locus.shard = -1;
	locus.reason = reason;
	return locus;
}

static CzLocus
everywhere(void)
{
	CzLocus		locus = cz_no_locus(NULL);

	locus.kind = CZ_LOCUS_EVERYWHERE;
	return locus;
}

/*
 * cz_table_locus
 *		The locus of a relation by itself.
 */
CzLocus
cz_table_locus(Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	CzLocus		locus = everywhere();

	if (table == NULL)
		return cz_no_locus("it uses a table that is local to the coordinator");
	if (table->kind == CZ_TABLE_REFERENCE)
		return locus;
	locus.kind = CZ_LOCUS_SHARDED;
	locus.anchor = table;
	if (table->kind == CZ_TABLE_FOREIGN || table->kind == CZ_TABLE_SINGLE)
	{
		locus.is_single = true;
		locus.shard = 0;
	}
	else
		locus.key_columns = list_make1_int(table->key_attno);
	return locus;
}

/* Do the shards of two anchors lie together, index by index? */
bool
cz_same_group(const CzTable *a, const CzTable *b)
{
	if (a->relid == b->relid)
		return true;
	if (a->kind == CZ_TABLE_FOREIGN && b->kind == CZ_TABLE_FOREIGN)
		return a->shards[0].server_oids[0] == b->shards[0].server_oids[0];
	if (a->kind == CZ_TABLE_FOREIGN || b->kind == CZ_TABLE_FOREIGN)
		return false;
	return a->colocation_id == b->colocation_id && a->colocation_id != 0 &&
		a->nshards == b->nshards;
}
/* ---- leaves of a join tree ----------------------------------------------- */

/*
 * The rows of an ordered sub-query come in order, and aggregates and windows above
 * it show that; over several shards they would not.
 */
static bool
loses_order(Query *query, const CzLocus *locus)
{
	return query->sortClause != NIL && locus->kind == CZ_LOCUS_SHARDED &&
		!locus->is_single && locus->outer_keys == NIL;
}

static CzLocus
cte_locus(RangeTblEntry *rte, LocusContext *context)
{
	Query	   *owner;
	ListCell   *lc;
	CzLocus		locus;
	List	   *save = context->queries;

	if (rte->self_reference)
		return everywhere();
	if (rte->ctelevelsup >= list_length(context->queries))
		return cz_no_locus("a CTE belongs to an outer query");
	owner = list_nth(context->queries, rte->ctelevelsup);
	foreach(lc, owner->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		if (!IsA(cte->ctequery, Query) ||
			((Query *) cte->ctequery)->commandType != CMD_SELECT)
			return cz_no_locus("a CTE modifies data");
		context->queries = list_copy_tail(save, rte->ctelevelsup);
		locus = query_locus((Query *) cte->ctequery, context);
		context->queries = save;
		if (cte->cterecursive)
			locus.is_confined = locus.is_single;
		if (cte->cterecursive && locus.kind == CZ_LOCUS_SHARDED && !locus.is_single)
			return cz_no_locus("a recursive CTE spans shards");
		if (locus.outer_keys != NIL)
			return cz_no_locus("a CTE is correlated");
		if (loses_order((Query *) cte->ctequery, &locus))
			return cz_no_locus("the order of a CTE spans shards");
		return locus;
	}
	return cz_no_locus("a CTE was not found");
}

/* A shipment lies where it is sent; an entry without columns is everywhere. */
static CzJoinLocus
ship_locus(int rti, RangeTblEntry *rte)
{
	CzJoinLocus	result = cz_join_none(NULL);
	CzShip	   *ship = cz_ship_of_rte(rte);

	result.locus = everywhere();
	if (ship != NULL && ship->anchor != NULL)
	{
		result.locus.kind = CZ_LOCUS_SHARDED;
		result.locus.anchor = ship->anchor;
		result.locus.key_columns = list_make1_int(ship->partition_column);
		result.keys = list_make1(makeVar(rti, ship->partition_column,
										 ship->partition_var->vartype,
										 ship->partition_var->vartypmod,
										 ship->partition_var->varcollid, 0));
	}
	return result;
}

static CzJoinLocus
visit_rte(int rti, Query *query, LocusContext *context)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	CzJoinLocus	result;
	ListCell   *lc;

	result.keys = NIL;
	result.lateral_keys = NIL;
	if (rte->securityQuals != NIL)
		return cz_join_none("row-level security is enforced on the coordinator");
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			if (cz_rte_table(rte) == NULL)
				return cz_join_none("it uses a table that is local to the coordinator");
			result.locus = cz_table_locus(rte->relid);
			break;
		case RTE_SUBQUERY:
			result.locus = query_locus(rte->subquery, context);
			result.lateral_keys = cz_lowered_outer_keys(&result.locus);
			result.locus.outer_keys = cz_passed_outer_keys(&result.locus);
			if (result.lateral_keys == NIL && loses_order(rte->subquery, &result.locus))
				return cz_join_none("the order of a sub-query spans shards");
			break;
		case RTE_CTE:
			result.locus = cte_locus(rte, context);
			break;
		case RTE_FUNCTION:
		case RTE_VALUES:
		case RTE_TABLEFUNC:
			result.locus = everywhere();
			break;
		case RTE_RESULT:
			return ship_locus(rti, rte);
		default:
			return cz_join_none("it uses a transition table");
	}
	if (rte->tablesample != NULL && result.locus.kind == CZ_LOCUS_EVERYWHERE)
		result.locus.is_unstable = true;
	foreach(lc, result.locus.key_columns)
	{
		int			attno = lfirst_int(lc);
		Oid			type;
		int32		typmod;
		Oid			collation;

		if (rte->rtekind == RTE_RELATION)
			get_atttypetypmodcoll(rte->relid, attno, &type, &typmod, &collation);
		else
		{
			List	   *tlist = NIL;
			TargetEntry *tle;

			if (rte->rtekind == RTE_SUBQUERY)
				tlist = rte->subquery->targetList;
			tle = tlist ? get_tle_by_resno(tlist, attno) : NULL;
			if (tle)
			{
				type = exprType((Node *) tle->expr);
				typmod = exprTypmod((Node *) tle->expr);
				collation = exprCollation((Node *) tle->expr);
			}
			else if (rte->rtekind == RTE_CTE && attno <= list_length(rte->coltypes))
			{
				type = list_nth_oid(rte->coltypes, attno - 1);
				typmod = list_nth_int(rte->coltypmods, attno - 1);
				collation = list_nth_oid(rte->colcollations, attno - 1);
			}
			else
				continue;
		}
		result.keys = lappend(result.keys, makeVar(rti, attno, type, typmod, collation, 0));
	}
	/* rows with equal ctids are on one shard, too */
	if (rte->rtekind == RTE_RELATION && context->state->has_row_ids &&
		result.locus.kind == CZ_LOCUS_SHARDED &&
		CzRowIdIsKey(result.locus.anchor, TIDOID))
		result.keys = lappend(result.keys, makeVar(rti, SelfItemPointerAttributeNumber,
												   TIDOID, -1, InvalidOid, 0));
	return result;
}

/*
 * cz_plain_vars
 *		Vars in expressions may carry syntactic references; ours do not.
 */
Node *
cz_plain_vars(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = copyObject((Var *) node);

		var->varnosyn = var->varno;
		var->varattnosyn = var->varattno;
		var->location = -1;
		return (Node *) var;
	}
	if (IsA(node, Query))
		return node;
	return expression_tree_mutator(node, cz_plain_vars, context);
}

static bool
count_sublinks_walker(Node *node, int *n)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		(*n)++;
	if (IsA(node, Query))
		return false;
	return expression_tree_walker(node, count_sublinks_walker, (void *) n);
}

/*
 * Join aliases resolved, folded, ready to compare.  A sub-query must not be folded
 * away: the fragment will have it.
 */
static List *
prepare_quals(Node *qual, Query *query, CzPlanState *state)
{
	Node	   *folded;
	int			before = 0;
	int			after = 0;

	if (qual == NULL)
		return NIL;
	qual = flatten_join_alias_vars_compat(query, copyObject(qual));
	folded = cz_fold(qual, state);
	if (query->hasSubLinks)
	{
		(void) count_sublinks_walker(qual, &before);
		(void) count_sublinks_walker(folded, &after);
	}
	if (before == after)
		qual = folded;
	return cz_conjuncts(cz_plain_vars(qual, NULL), NIL);
}

static void
collect_cluster(Node *node, Query *query, LocusContext *context, List **items, List **quals)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		foreach(lc, from->fromlist)
			collect_cluster(lfirst(lc), query, context, items, quals);
		*quals = list_concat(*quals, prepare_quals(from->quals, query, context->state));
	}
	else if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		JoinExpr   *join = (JoinExpr *) node;

		collect_cluster(join->larg, query, context, items, quals);
		collect_cluster(join->rarg, query, context, items, quals);
		*quals = list_concat(*quals, prepare_quals(join->quals, query, context->state));
	}
	else
		*items = lappend(*items, node);
}

static bool
null_test_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NullTest) || IsA(node, BooleanTest))
		return true;
	return expression_tree_walker(node, null_test_walker, context);
}

/*
 * What holds for joined rows, less IS NULL: above an outer join that is true of the
 * rows that it made, too.  (Equalities are strict.)
 */
static List *
without_null_tests(List *scope)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, scope)
	{
		if (!null_test_walker(lfirst(lc), NULL))
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * The kind of join that is left of an outer one when conditions above it are not true
 * of rows that it makes up.
 */
static JoinType
reduced_jointype(JoinExpr *join, List *scope)
{
	Relids		nonnull;
	bool		keeps_left;
	bool		keeps_right;

	if (scope == NIL)
		return join->jointype;
	nonnull = find_nonnullable_rels((Node *) scope);
	if (nonnull == NULL)
		return join->jointype;
	/* does it make rows without a right, a left side that are of interest? */
	keeps_left = (join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL) &&
		!bms_overlap(nonnull, cz_node_relids(join->rarg, false));
	keeps_right = (join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL) &&
		!bms_overlap(nonnull, cz_node_relids(join->larg, false));
	return keeps_left ? (keeps_right ? JOIN_FULL : JOIN_LEFT) :
		keeps_right ? JOIN_RIGHT : JOIN_INNER;
}

static CzJoinLocus
visit_item(Node *node, List *scope, Query *query, LocusContext *context, List **all_quals)
{
	CzJoinLocus	result;

	if (IsA(node, RangeTblRef))
	{
		Index		varno = ((RangeTblRef *) node)->rtindex;

		result = visit_rte(varno, query, context);
		if (rt_fetch(varno, query->rtable)->rtekind == RTE_RELATION)
			cz_apply_seals(&result, varno, scope);
	}
	else
	{
		JoinExpr   *join = (JoinExpr *) node;
		JoinType	type = reduced_jointype(join, scope);
		List	   *on = prepare_quals(join->quals, query, context->state);
		List	   *both = list_concat(list_copy(scope), on);
		List	   *strict = without_null_tests(scope);
		List	   *inside = list_concat(list_copy(strict), on);
		List	   *of_left = type == JOIN_RIGHT ? inside : type == JOIN_FULL ? strict :
			type == JOIN_INNER ? both : scope;
		List	   *of_right = type == JOIN_LEFT ? inside : type == JOIN_FULL ? strict :
			type == JOIN_INNER ? both : scope;
		CzJoinLocus	l = visit_cluster(join->larg, of_left, query, context, all_quals);
		CzJoinLocus	r = visit_cluster(join->rarg, of_right, query, context, all_quals);

		*all_quals = list_concat(*all_quals, on);
		result = cz_combine(l, r, type, cz_equality_classes(type == JOIN_FULL ? on : both));
		if (type == JOIN_INNER)
			scope = both;
	}
	cz_apply_restrictions(&result, scope, cz_equality_classes(scope));
	return result;
}

/*
 * visit_cluster
 *		The locus of a join tree node: everything that is inner-joined in it is
 *		taken apart first, then put together in an order that finds the keys.
 */
static CzJoinLocus
visit_cluster(Node *node, List *scope, Query *query, LocusContext *context,
			  List **all_quals)
{
	List	   *items = NIL;
	List	   *quals = NIL;
	List	   *classes;
	ListCell   *lc;
	CzJoinLocus  *parts;
	int			n = 0;
	int			i;
	bool		progress = true;
	CzJoinLocus	result;

	collect_cluster(node, query, context, &items, &quals);
	*all_quals = list_concat(*all_quals, quals);
	scope = list_concat(list_copy(scope), quals);
	classes = cz_equality_classes(scope);

	if (items == NIL)
	{
		result = cz_join_none(NULL);
		result.locus = everywhere();
		return result;
	}
	parts = palloc(sizeof(CzJoinLocus) * list_length(items));
	foreach(lc, items)
	{
		parts[n] = visit_item(lfirst(lc), scope, query, context, all_quals);
		if (parts[n].locus.kind == CZ_LOCUS_NONE)
			return parts[n];
		n++;
	}
	while (n > 1 && progress)
	{
		progress = false;
		for (i = 1; i < n; i++)
		{
			result = cz_combine(parts[0], parts[i], JOIN_INNER, classes);
			if (result.locus.kind == CZ_LOCUS_NONE)
				continue;
			parts[0] = result;
			parts[i] = parts[--n];
			progress = true;
			break;
		}
		/* maybe two others go together first */
		if (!progress && n > 2 && parts[0].locus.kind == CZ_LOCUS_EVERYWHERE)
		{
			CzJoinLocus	first = parts[0];

			parts[0] = parts[n - 1];
			parts[n - 1] = first;
			progress = parts[0].locus.kind != CZ_LOCUS_EVERYWHERE;
		}
	}
	if (n > 1)
	{
		for (i = 1; i < n; i++)
		{
			result = cz_combine(parts[0], parts[i], JOIN_INNER, classes);
			if (result.locus.kind == CZ_LOCUS_NONE)
				return result;
		}
	}
	return parts[0];
}

/* ---- sub-queries in expressions ------------------------------------------ */

typedef struct SubLinkContext
{
	CzJoinLocus  *join;
	List	   *classes;
	LocusContext *locus;
	bool		failed;
} SubLinkContext;

static void
merge_sublink(SubLink *sublink, SubLinkContext *context, bool is_conjunct)
{
	CzLocus		sub = query_locus((Query *) sublink->subselect, context->locus);
	CzLocus    *main = &context->join->locus;

	if (sub.kind == CZ_LOCUS_EVERYWHERE)
	{
		if (sub.is_unstable && main->is_single)
			main->is_confined = true;
		if (!sub.is_unstable || main->is_single)
			return;
		if (main->kind == CZ_LOCUS_EVERYWHERE)
		{
			main->is_unstable = true;
			return;
		}
		sub.reason = "a sub-query with LIMIT is evaluated with shards";
	}
	else if (sub.kind == CZ_LOCUS_SHARDED)
	{
		if (main->kind == CZ_LOCUS_EVERYWHERE && sub.is_single && sub.outer_keys == NIL)
		{
			*main = sub;
			main->key_columns = NIL;
			main->is_confined = true;
			context->join->keys = NIL;
			return;
		}
		if (main->kind == CZ_LOCUS_SHARDED && cz_same_group(main->anchor, sub.anchor))
		{
			if (cz_same_single(main, &sub))
			{
				main->is_confined = true;
				return;
			}
			if (!sub.is_confined && cz_keys_connected(context->classes, context->join->keys,
							   cz_lowered_outer_keys(&sub)))
				return;
			if (is_conjunct && sublink->subLinkType == ANY_SUBLINK && sub.outer_keys == NIL &&
				!sub.is_confined)
			{
				List	   *quals = cz_conjuncts(cz_plain_vars(copyObject(sublink->testexpr),
																 NULL), NIL);
				ListCell   *lc;

				foreach(lc, quals)
				{
					Node	   *l;
					Node	   *r;

					if (!cz_equality_sides(lfirst(lc), &l, &r))
						continue;
					if (IsA(r, Param) && ((Param *) r)->paramkind == PARAM_SUBLINK &&
						list_member_int(sub.key_columns, ((Param *) r)->paramid) &&
						cz_keys_connected(context->classes, context->join->keys,
									   list_make1(l)))
						return;
				}
			}
		}
		sub.reason = "a sub-query is not on the distribution column";
	}
	*main = cz_no_locus(sub.reason);
	context->failed = true;
}

static bool
sublink_walker(Node *node, SubLinkContext *context)
{
	if (node == NULL || context->failed)
		return false;
	if (IsA(node, SubLink))
	{
		merge_sublink((SubLink *) node, context, false);
		return sublink_walker(((SubLink *) node)->testexpr, context);
	}
	if (IsA(node, Query))
		return false;
	return expression_tree_walker(node, sublink_walker, (void *) context);
}

static void
merge_conjunct_sublinks(List *quals, SubLinkContext *context)
{
	ListCell   *lc;

	foreach(lc, quals)
	{
		Node	   *qual = lfirst(lc);

		if (context->failed)
			return;
		if (IsA(qual, SubLink))
		{
			merge_sublink((SubLink *) qual, context, true);
			sublink_walker(((SubLink *) qual)->testexpr, context);
		}
		else
			sublink_walker(qual, context);
	}
}

/* ---- a whole query level ------------------------------------------------- */

static CzJoinLocus
from_and_where(Query *query, LocusContext *context, List **classes)
{
	List	   *all_quals = NIL;
	List	   *quals = NIL;
	List	   *items = NIL;
	CzJoinLocus	join;
	ListCell   *lc;
	int			folded = 0;
	int			unfolded = 0;
	SubLinkContext sub;

	/* all_quals begins with the conjuncts of this very cluster */
	join = visit_cluster((Node *) query->jointree, NIL, query, context, &all_quals);
	collect_cluster((Node *) query->jointree, query, context, &items, &quals);
	*classes = cz_equality_classes(quals);
	if (join.locus.kind == CZ_LOCUS_NONE)
		return join;
	if (join.lateral_keys != NIL && !join.locus.is_single)
		return cz_join_none("a lateral sub-query is not on the distribution column");
	if (join.lateral_keys != NIL)
		join.locus.is_confined = true;
	if (query->hasSubLinks)
	{
		sub.join = &join;
		sub.classes = *classes;
		sub.locus = context;
		sub.failed = false;
		merge_conjunct_sublinks(quals, &sub);
		/* conditions of outer joins: nothing may depend on being a conjunct */
		if (!sub.failed)
			sublink_walker((Node *) list_copy_tail(all_quals, list_length(quals)), &sub);
		/* what folding has removed is sent all the same */
		(void) count_sublinks_walker((Node *) all_quals, &folded);
		(void) count_sublinks_walker((Node *) query->jointree, &unfolded);
		if (folded != unfolded)
			sublink_walker((Node *) query->jointree, &sub);
		/* neither in FROM itself */
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);

			sublink_walker((Node *) rte->functions, &sub);
			sublink_walker((Node *) rte->values_lists, &sub);
			sublink_walker((Node *) rte->tablefunc, &sub);
			sublink_walker((Node *) rte->tablesample, &sub);
		}
	}
	return join;
}

/* Sub-queries outside FROM and WHERE: no conjuncts, so no semi-joins. */
static void
merge_upper_sublinks(Query *query, CzJoinLocus *join, List *classes, LocusContext *context)
{
	SubLinkContext sub;

	if (join->locus.kind == CZ_LOCUS_NONE || !query->hasSubLinks)
		return;
	sub.join = join;
	sub.classes = classes;
	sub.locus = context;
	sub.failed = false;
	sublink_walker((Node *) query->targetList, &sub);
	sublink_walker((Node *) query->returningList, &sub);
	sublink_walker(query->havingQual, &sub);
	sublink_walker(query->limitCount, &sub);
	sublink_walker(query->limitOffset, &sub);
}

static List *
outer_vars_of_keys(List *keys, List *classes)
{
	List	   *result = NIL;
	ListCell   *lk;
	ListCell   *lc;

	foreach(lk, keys)
	{
		int			c = cz_class_of(classes, lfirst(lk));

		if (c < 0)
			continue;
		foreach(lc, (List *) list_nth(classes, c))
		{
			Node	   *member = lfirst(lc);

			if (IsA(member, Var) && ((Var *) member)->varlevelsup > 0)
				result = lappend(result, member);
		}
	}
	return result;
}

static CzLocus setop_locus(Node *node, Query *query, LocusContext *context);

static CzLocus
setop_locus(Node *node, Query *query, LocusContext *context)
{
	SetOperationStmt *op;
	CzLocus		l;
	CzLocus		r;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable);

		return query_locus(rte->subquery, context);
	}
	op = (SetOperationStmt *) node;
	l = setop_locus(op->larg, query, context);
	r = setop_locus(op->rarg, query, context);
	if (l.kind == CZ_LOCUS_NONE)
		return l;
	if (r.kind == CZ_LOCUS_NONE)
		return r;
	if (l.kind == CZ_LOCUS_EVERYWHERE && r.kind == CZ_LOCUS_EVERYWHERE)
	{
		l.is_unstable |= r.is_unstable;
		return l;
	}
	if (l.kind == CZ_LOCUS_EVERYWHERE || r.kind == CZ_LOCUS_EVERYWHERE)
	{
		CzLocus		sharded = l.kind == CZ_LOCUS_SHARDED ? l : r;

		sharded.key_columns = NIL;
		sharded.is_confined = true;
		return sharded.is_single ? sharded :
			cz_no_locus("a set operation combines distributed and reference tables");
	}
	if (!cz_same_group(l.anchor, r.anchor))
		return cz_no_locus("a set operation's tables are not colocated");
	if (cz_same_single(&l, &r))
	{
		l.key_columns = list_intersection_int(l.key_columns, r.key_columns);
		l.is_confined |= r.is_confined;
		if (!(op->op == SETOP_UNION && op->all) && l.key_columns == NIL)
			l.is_confined = true;
		return l;
	}
	if (l.is_confined || r.is_confined)
		return cz_no_locus("a part of a set operation belongs to another shard");
	if (l.outer_keys != NIL || r.outer_keys != NIL)
		return cz_no_locus("a set operation is correlated");
	l.key_columns = list_intersection_int(l.key_columns, r.key_columns);
	if (!(op->op == SETOP_UNION && op->all) && l.key_columns == NIL)
		return cz_no_locus("a set operation does not include the distribution column");
	/* which shards: all that either needs */
	if (!l.is_single)
		l.prune_expr = NULL;
	if (l.is_single || l.is_pruned || r.is_single || r.is_pruned)
	{
		if ((l.is_single && l.shard < 0) || (r.is_single && r.shard < 0) ||
			!(l.is_single || l.is_pruned) || !(r.is_single || r.is_pruned))
		{
			l.is_single = false;
			l.is_pruned = false;
			l.shards = NIL;
			l.prune_expr = NULL;
			l.shard = -1;
		}
		else
		{
			List	   *a = l.is_single ? list_make1_int(l.shard) : l.shards;
			List	   *b = r.is_single ? list_make1_int(r.shard) : r.shards;

			l.is_single = false;
			l.is_pruned = true;
			l.shards = list_union_int(a, b);
			l.shard = -1;
		}
	}
	return l;
}

static CzLocus
query_locus(Query *query, LocusContext *context)
{
	CzJoinLocus	join;
	List	   *classes = NIL;
	ListCell   *lc;
	CzLocus    *locus;
	const char *reason;

	context->queries = lcons(query, context->queries);
	join = cz_join_none(NULL);
	if (query->hasModifyingCTE)
		join.locus = cz_no_locus("a CTE modifies data");
	else if (query->setOperations)
		join.locus = setop_locus(query->setOperations, query, context);
	else
	{
		join = from_and_where(query, context, &classes);
		merge_upper_sublinks(query, &join, classes, context);
	}
	context->queries = list_delete_first(context->queries);

	locus = &join.locus;
	if (locus->kind == CZ_LOCUS_NONE)
		return *locus;
	if (locus->kind == CZ_LOCUS_EVERYWHERE)
	{
		if (query->limitCount != NULL || query->limitOffset != NULL ||
			query->hasDistinctOn || query->hasWindowFuncs)
			locus->is_unstable = true;
		return *locus;
	}
	if (query->setOperations == NULL)
	{
		locus->key_columns = NIL;
		locus->outer_keys = list_concat(list_copy(locus->outer_keys),
										outer_vars_of_keys(join.keys, classes));
		foreach(lc, query->targetList)
		{
			TargetEntry *tle = lfirst(lc);

			if (!tle->resjunk && cz_is_key_target(tle, query, join.keys, classes))
				locus->key_columns = lappend_int(locus->key_columns, tle->resno);
		}
	}
	/* all rows on one shard, for the statement or for each outer row */
	reason = cz_spans_shards(query, join.keys, classes);
	if (reason == NULL)
		return *locus;

	/*
	 * An aggregate has a row for every outer row, also for one whose key is not what
	 * confines the rows here: it is as good on the outer row's shard.
	 */
	if (locus->is_single && !locus->is_confined && locus->outer_keys != NIL &&
		locus->anchor->nshards > 1)
	{
		locus->is_single = false;
		locus->shard = -1;
		locus->prune_expr = NULL;
		return *locus;
	}
	if (locus->is_single)
		locus->is_confined = true;
	if (locus->is_single || locus->outer_keys != NIL)
		return *locus;
	return cz_no_locus(reason);
}

/*
 * cz_query_locus
 *		The locus of a Query that is not correlated.
 */
CzLocus
cz_query_locus(Query *query, CzPlanState *state)
{
	LocusContext context = {state, NIL};

	return query_locus(query, &context);
}

/*
 * cz_from_locus
 *		The locus of a Query's FROM and WHERE, with what sub-queries in its
 *		target list and HAVING need, but without grouping, LIMIT and the like.
 */
CzLocus
cz_from_locus(Query *query, CzPlanState *state)
{
	LocusContext context = {state, NIL};
	List	   *classes = NIL;
	CzJoinLocus	join;

	context.queries = list_make1(query);
	join = from_and_where(query, &context, &classes);
	merge_upper_sublinks(query, &join, classes, &context);
	return join.locus;
}

/*
 * cz_from_keys
 *		The Vars that equal the distribution column in a Query's FROM and WHERE, and
 *		the equality classes there; NIL if its locus is not sharded.
 */
List *
cz_from_keys(Query *query, CzPlanState *state, List **classes)
{
	LocusContext context = {state, NIL};
	CzJoinLocus	join;

	*classes = NIL;
	context.queries = list_make1(query);
	join = from_and_where(query, &context, classes);
	return join.locus.kind == CZ_LOCUS_SHARDED ? join.keys : NIL;
}
