/*-------------------------------------------------------------------------
 *
 * locus.c
 *	  Where the rows of a Query are.
 *
 * The rules, by what is combined (S = sharded, E = everywhere, 1 = sharded and
 * all on one shard; "by key" = an equality class joins the two keys):
 *
 *	inner join		S,E -> S	S,S by key -> S		1,1 same shard -> 1
 *	left join		as inner, but E left of S -> none
 *	full join		S,S by key in ON -> S without key; else none
 *	sub-query in an expression: E; 1 with the same 1; S if an outer reference
 *					equals both keys, or key IN (SELECT key ...) as a conjunct
 *	GROUP BY, DISTINCT, PARTITION BY: S stays S if the key is among them
 *	UNION ALL		S,S -> S	other set operations: if the key is in the same
 *					output column of both
 *	LIMIT			only 1
 *	1 with E, in any construction -> 1
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

#include "planner_int.h"

typedef struct LocusContext
{
	CzPlanState *state;
	List	   *queries;		/* enclosing Queries, innermost first */
} LocusContext;

/* What a part of a join tree is: its locus with the keys as Vars of this level. */
typedef struct JoinLocus
{
	CzLocus		locus;
	List	   *keys;			/* Vars */
	List	   *lateral_keys;	/* Vars of siblings that equal the key: a lateral
								 * sub-query whose rows are complete on a shard
								 * only for a sibling's row with that key */
} JoinLocus;

static CzLocus query_locus(Query *query, LocusContext *context);
static JoinLocus visit_cluster(Node *node, List *scope, Query *query,
							   LocusContext *context, List **all_quals);

static CzLocus
no_locus(const char *reason)
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
	CzLocus		locus = no_locus(NULL);

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
		return no_locus("it uses a table of this server");
	if (table->kind == CZ_TABLE_REFERENCE)
		return locus;
	locus.kind = CZ_LOCUS_SHARDED;
	locus.anchor = table;
	if (table->kind == CZ_TABLE_FOREIGN)
	{
		locus.is_single = true;
		locus.shard = 0;
	}
	else
		locus.key_columns = list_make1_int(table->key_attno);
	return locus;
}

/* Do the shards of two anchors lie together, index by index? */
static bool
same_group(const CzTable *a, const CzTable *b)
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

/* ---- constants and equality classes -------------------------------------- */

/*
 * cz_fold
 *		Constant-fold an expression, with the parameters of a custom plan.
 */
Node *
cz_fold(Node *node, CzPlanState *state)
{
	PlannerInfo *root = makeNode(PlannerInfo);
	PlannerGlobal *glob = makeNode(PlannerGlobal);

	glob->boundParams = state->bound_params;
	root->glob = glob;
	return eval_const_expressions(root, node);
}

static Node *
strip(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

static bool
is_equality(Oid opno, Oid collation)
{
	RegProcedure left;
	RegProcedure right;

	if (OidIsValid(collation) && collation != DEFAULT_COLLATION_OID &&
		!get_collation_isdeterministic(collation))
		return false;
	return get_op_hash_functions(opno, &left, &right);
}

/* Conjuncts of a qualifier (implicit lists included), appended to a list. */
static List *
conjuncts(Node *qual, List *list)
{
	ListCell   *lc;

	if (qual == NULL)
		return list;
	if (IsA(qual, List))
	{
		foreach(lc, (List *) qual)
			list = conjuncts(lfirst(lc), list);
		return list;
	}
	if (is_andclause(qual))
	{
		foreach(lc, ((BoolExpr *) qual)->args)
			list = conjuncts(lfirst(lc), list);
		return list;
	}
	return lappend(list, qual);
}

static int
class_of(List *classes, Node *node)
{
	ListCell   *lc;
	int			i = 0;

	foreach(lc, classes)
	{
		if (list_member((List *) lfirst(lc), node))
			return i;
		i++;
	}
	return -1;
}

/* Equality classes, a list of lists of expressions, from conjuncts. */
static List *
equality_classes(List *quals)
{
	List	   *classes = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		OpExpr	   *op = lfirst(lc);
		Node	   *l;
		Node	   *r;
		int			cl;
		int			cr;

		if (!IsA(op, OpExpr) || list_length(op->args) != 2 ||
			!is_equality(op->opno, op->inputcollid))
			continue;
		l = strip(linitial(op->args));
		r = strip(lsecond(op->args));
		cl = class_of(classes, l);
		cr = class_of(classes, r);
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

static bool
in_same_class(List *classes, Node *a, Node *b)
{
	int			c;

	if (equal(a, b))
		return true;
	c = class_of(classes, a);
	return c >= 0 && list_member((List *) list_nth(classes, c), b);
}

/* Is any key of one list equal to any of another? */
static bool
keys_connected(List *classes, List *a, List *b)
{
	ListCell   *la;
	ListCell   *lb;

	foreach(la, a)
	{
		foreach(lb, b)
		{
			if (in_same_class(classes, lfirst(la), lfirst(lb)))
				return true;
		}
	}
	return false;
}

/* A constant as a Datum of the key's type; false if it can't be one. */
static bool
const_to_key(Const *c, const CzTable *table, Datum *value)
{
	if (c->constisnull)
		return false;
	if (c->consttype == table->key_type || IsBinaryCoercible(c->consttype, table->key_type))
	{
		*value = c->constvalue;
		return true;
	}
	if ((c->consttype == INT2OID || c->consttype == INT4OID || c->consttype == INT8OID) &&
		(table->key_type == INT2OID || table->key_type == INT4OID ||
		 table->key_type == INT8OID))
	{
		int64		v = c->consttype == INT2OID ? DatumGetInt16(c->constvalue) :
			c->consttype == INT4OID ? DatumGetInt32(c->constvalue) :
			DatumGetInt64(c->constvalue);

		if (table->key_type == INT8OID)
			*value = Int64GetDatum(v);
		else if (table->key_type == INT4OID && v >= PG_INT32_MIN && v <= PG_INT32_MAX)
			*value = Int32GetDatum((int32) v);
		else if (table->key_type == INT2OID && v >= PG_INT16_MIN && v <= PG_INT16_MAX)
			*value = Int16GetDatum((int16) v);
		else
			return false;
		return true;
	}
	return false;
}

/* An expression without columns, cast to the key's type; NULL if not possible. */
static Node *
expr_to_key(Node *expr, const CzTable *table)
{
	Oid			type = exprType(expr);

	if (type == table->key_type || IsBinaryCoercible(type, table->key_type))
		return expr;
	if ((type == INT2OID && (table->key_type == INT4OID || table->key_type == INT8OID)) ||
		(type == INT4OID && table->key_type == INT8OID))
		return coerce_to_target_type(NULL, copyObject(expr), type, table->key_type, -1,
									 COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	return NULL;
}

static void
restrict_to_shard(CzLocus *locus, int shard)
{
	locus->is_single = true;
	locus->shard = shard;
	locus->prune_expr = NULL;
	locus->is_pruned = false;
	locus->shards = NIL;
}

static void
restrict_to_list(CzLocus *locus, List *shards)
{
	if (locus->is_single)
		return;
	if (locus->is_pruned)
		shards = list_intersection_int(locus->shards, shards);
	if (list_length(shards) <= 1 && locus->anchor->nshards > 0)
	{
		/* an empty list: any shard gives the right, empty, answer */
		restrict_to_shard(locus, shards == NIL ? 0 : linitial_int(shards));
		return;
	}
	locus->is_pruned = true;
	locus->shards = shards;
}

/* Shards of the elements of key IN (constants); false if not decidable. */
static bool
shards_of_array(Const *array, const CzTable *table, List **shards)
{
	ArrayType  *arr;
	Oid			elemtype;
	int16		len;
	bool		byval;
	char		align;
	Datum	   *elems;
	bool	   *nulls;
	int			n;
	int			i;

	if (array->constisnull)
		return true;
	elemtype = get_element_type(array->consttype);
	if (!OidIsValid(elemtype))
		return false;
	arr = DatumGetArrayTypeP(array->constvalue);
	get_typlenbyvalalign(elemtype, &len, &byval, &align);
	deconstruct_array(arr, elemtype, len, byval, align, &elems, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		Const	   *c;
		Datum		value;
		int			shard;

		if (nulls[i])
			continue;
		c = makeConst(elemtype, -1, InvalidOid, len, elems[i], false, byval);
		if (!const_to_key(c, table, &value))
			return false;
		shard = CzShardIndexForValue(table, value, false);
		if (shard >= 0)
			*shards = list_append_unique_int(*shards, shard);
	}
	return true;
}

/* Confine a locus to the shards that the conjuncts in scope leave. */
static void
apply_restrictions(JoinLocus *join, List *scope, List *classes, LocusContext *context)
{
	CzLocus    *locus = &join->locus;
	const CzTable *table = locus->anchor;
	ListCell   *lk;
	ListCell   *lc;
	Node	   *prune_expr = NULL;

	if (locus->kind != CZ_LOCUS_SHARDED || locus->is_single || table->nshards == 0)
		return;
	if (table->nshards == 1)
	{
		restrict_to_shard(locus, 0);
		return;
	}
	foreach(lk, join->keys)
	{
		Node	   *key = lfirst(lk);
		int			c = class_of(classes, key);

		if (c >= 0)
		{
			foreach(lc, (List *) list_nth(classes, c))
			{
				Node	   *member = lfirst(lc);
				Datum		value;

				if (IsA(member, Const))
				{
					if (((Const *) member)->constisnull)
					{
						restrict_to_shard(locus, 0);	/* never true */
						return;
					}
					if (const_to_key((Const *) member, table, &value))
					{
						int			shard = CzShardIndexForValue(table, value, false);

						restrict_to_shard(locus, shard < 0 ? 0 : shard);
						return;
					}
				}
				else if (prune_expr == NULL && cz_is_closed_stable(member))
					prune_expr = expr_to_key(member, table);
			}
		}
		foreach(lc, scope)
		{
			Node	   *qual = lfirst(lc);
			List	   *shards = NIL;

			if (IsA(qual, ScalarArrayOpExpr))
			{
				ScalarArrayOpExpr *saop = (ScalarArrayOpExpr *) qual;

				if (saop->useOr && is_equality(saop->opno, saop->inputcollid) &&
					in_same_class(classes, strip(linitial(saop->args)), key) &&
					IsA(strip(lsecond(saop->args)), Const) &&
					shards_of_array((Const *) strip(lsecond(saop->args)), table, &shards))
					restrict_to_list(locus, shards);
			}
			else if (IsA(qual, NullTest))
			{
				NullTest   *test = (NullTest *) qual;

				if (test->nulltesttype == IS_NULL && !test->argisrow &&
					equal(strip((Node *) test->arg), key))
				{
					int			shard = CzShardIndexForValue(table, (Datum) 0, true);

					restrict_to_shard(locus, shard < 0 ? 0 : shard);
					return;
				}
			}
		}
	}
	if (!locus->is_single && prune_expr != NULL)
	{
		locus->is_single = true;
		locus->shard = -1;
		locus->prune_expr = prune_expr;
		locus->is_pruned = false;
		locus->shards = NIL;
	}
}

/* ---- combining ----------------------------------------------------------- */

static bool
same_single(const CzLocus *a, const CzLocus *b)
{
	return a->is_single && b->is_single && same_group(a->anchor, b->anchor) &&
		a->shard == b->shard && equal(a->prune_expr, b->prune_expr);
}

/* Outer references of a lateral sub-query as Vars of the level it stands in. */
static List *
lowered_outer_keys(const CzLocus *locus)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, locus->outer_keys)
	{
		Var		   *var = lfirst(lc);

		if (var->varlevelsup == 1)
		{
			var = copyObject(var);
			var->varlevelsup = 0;
			result = lappend(result, var);
		}
	}
	return result;
}

/* Outer references that point further out, seen from one level up. */
static List *
passed_outer_keys(const CzLocus *locus)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, locus->outer_keys)
	{
		Var		   *var = lfirst(lc);

		if (var->varlevelsup > 1)
		{
			var = copyObject(var);
			var->varlevelsup--;
			result = lappend(result, var);
		}
	}
	return result;
}

static JoinLocus
join_none(const char *reason)
{
	JoinLocus	result;

	result.locus = no_locus(reason);
	result.keys = NIL;
	result.lateral_keys = NIL;
	return result;
}

/*
 * combine
 *		Join two parts.  classes: what is known to be equal for matching rows.
 */
static JoinLocus
combine(JoinLocus l, JoinLocus r, JoinType type, List *classes)
{
	JoinLocus	result;

	if (l.locus.kind == CZ_LOCUS_NONE)
		return l;
	if (r.locus.kind == CZ_LOCUS_NONE)
		return r;
	if (l.locus.kind == CZ_LOCUS_EVERYWHERE && r.locus.kind == CZ_LOCUS_EVERYWHERE)
	{
		l.locus.is_unstable |= r.locus.is_unstable;
		return l;
	}
	if (l.locus.kind == CZ_LOCUS_EVERYWHERE || r.locus.kind == CZ_LOCUS_EVERYWHERE)
	{
		bool		left_sharded = l.locus.kind == CZ_LOCUS_SHARDED;
		JoinLocus	sharded = left_sharded ? l : r;
		JoinLocus	other = left_sharded ? r : l;

		if (!sharded.locus.is_single)
		{
			if (sharded.lateral_keys != NIL)
				return join_none("a lateral sub-query is not on the distribution column");
			if (other.locus.is_unstable)
				return join_none("a sub-query with LIMIT is joined with shards");
			if (type == JOIN_FULL || (type == JOIN_LEFT && !left_sharded) ||
				(type == JOIN_RIGHT && left_sharded))
				return join_none("an outer join preserves a table that every worker has");
		}
		if (type == JOIN_FULL || (type == JOIN_LEFT && !left_sharded) ||
			(type == JOIN_RIGHT && left_sharded))
			sharded.keys = NIL;
		return sharded;
	}

	if (!same_group(l.locus.anchor, r.locus.anchor))
		return join_none("tables are not colocated");
	if (same_single(&l.locus, &r.locus))
	{
		if (type == JOIN_INNER)
			l.keys = list_concat(list_copy(l.keys), r.keys);
		else if (type == JOIN_RIGHT)
			l.keys = r.keys;
		else if (type == JOIN_FULL)
			l.keys = NIL;
		return l;
	}
	if (l.lateral_keys != NIL || r.lateral_keys != NIL)
	{
		if (!keys_connected(classes, l.keys, r.lateral_keys) &&
			!keys_connected(classes, r.keys, l.lateral_keys))
			return join_none("a lateral sub-query is not on the distribution column");
	}
	else if (!keys_connected(classes, l.keys, r.keys))
		return join_none("a join does not compare the distribution columns");

	switch (type)
	{
		case JOIN_INNER:
			result = l;
			if (!l.locus.is_single && r.locus.is_single)
				result = r;
			else if (!l.locus.is_single && r.locus.is_pruned)
				restrict_to_list(&result.locus, r.locus.shards);
			result.keys = list_concat(list_copy(l.keys), r.keys);
			break;
		case JOIN_LEFT:
			result = l;
			break;
		case JOIN_RIGHT:
			result = r;
			break;
		case JOIN_FULL:
			result = l;
			result.keys = NIL;
			result.locus.is_single = false;
			result.locus.shard = -1;
			result.locus.prune_expr = NULL;
			result.locus.is_pruned = false;
			result.locus.shards = NIL;
			break;
		default:
			return join_none("an unusual kind of join");
	}
	/* a lateral part's references to this level are satisfied now */
	result.lateral_keys = NIL;
	result.locus.outer_keys = list_concat(list_copy(l.locus.outer_keys),
										  r.locus.outer_keys);
	return result;
}

/* ---- leaves of a join tree ----------------------------------------------- */

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
		return no_locus("a CTE belongs to an outer query");
	owner = list_nth(context->queries, rte->ctelevelsup);
	foreach(lc, owner->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		if (!IsA(cte->ctequery, Query) ||
			((Query *) cte->ctequery)->commandType != CMD_SELECT)
			return no_locus("a CTE modifies data");
		context->queries = list_copy_tail(save, rte->ctelevelsup);
		locus = query_locus((Query *) cte->ctequery, context);
		context->queries = save;
		if (cte->cterecursive && locus.kind == CZ_LOCUS_SHARDED && !locus.is_single)
			return no_locus("a recursive CTE spans shards");
		if (locus.outer_keys != NIL)
			return no_locus("a CTE is correlated");
		return locus;
	}
	return no_locus("a CTE was not found");
}

static JoinLocus
visit_rte(int rti, Query *query, LocusContext *context)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	JoinLocus	result;
	ListCell   *lc;

	result.keys = NIL;
	result.lateral_keys = NIL;
	if (rte->securityQuals != NIL)
		return join_none("row-level security is enforced here");
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			result.locus = cz_table_locus(rte->relid);
			break;
		case RTE_SUBQUERY:
			if (rte->security_barrier)
				return join_none("a security barrier view is enforced here");
			result.locus = query_locus(rte->subquery, context);
			result.lateral_keys = lowered_outer_keys(&result.locus);
			result.locus.outer_keys = passed_outer_keys(&result.locus);
			break;
		case RTE_CTE:
			result.locus = cte_locus(rte, context);
			break;
		case RTE_FUNCTION:
		case RTE_VALUES:
		case RTE_TABLEFUNC:
		case RTE_RESULT:
			result.locus = everywhere();
			break;
		default:
			return join_none("it uses a transition table");
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
	return result;
}

/* Vars in expressions may carry syntactic references; ours do not. */
static Node *
plain_vars_mutator(Node *node, void *context)
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
	return expression_tree_mutator(node, plain_vars_mutator, context);
}

/* Join aliases resolved, folded, ready to compare. */
static List *
prepare_quals(Node *qual, Query *query, CzPlanState *state)
{
	if (qual == NULL)
		return NIL;
	qual = flatten_join_alias_vars_compat(query, copyObject(qual));
	qual = cz_fold(qual, state);
	return conjuncts(plain_vars_mutator(qual, NULL), NIL);
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

static JoinLocus
visit_item(Node *node, List *scope, Query *query, LocusContext *context, List **all_quals)
{
	JoinLocus	result;

	if (IsA(node, RangeTblRef))
		result = visit_rte(((RangeTblRef *) node)->rtindex, query, context);
	else
	{
		JoinExpr   *join = (JoinExpr *) node;
		List	   *on = prepare_quals(join->quals, query, context->state);
		List	   *both = list_concat(list_copy(scope), on);
		bool		left_nullable = join->jointype == JOIN_RIGHT;
		bool		right_nullable = join->jointype == JOIN_LEFT;
		JoinLocus	l = visit_cluster(join->larg, left_nullable ? both : scope, query,
									  context, all_quals);
		JoinLocus	r = visit_cluster(join->rarg, right_nullable ? both : scope, query,
									  context, all_quals);

		*all_quals = list_concat(*all_quals, on);
		result = combine(l, r, join->jointype,
						 equality_classes(join->jointype == JOIN_FULL ? on : both));
	}
	apply_restrictions(&result, scope, equality_classes(scope), context);
	return result;
}

/*
 * visit_cluster
 *		The locus of a join tree node: everything that is inner-joined in it is
 *		taken apart first, then put together in an order that finds the keys.
 */
static JoinLocus
visit_cluster(Node *node, List *scope, Query *query, LocusContext *context,
			  List **all_quals)
{
	List	   *items = NIL;
	List	   *quals = NIL;
	List	   *classes;
	ListCell   *lc;
	JoinLocus  *parts;
	int			n = 0;
	int			i;
	bool		progress = true;
	JoinLocus	result;

	collect_cluster(node, query, context, &items, &quals);
	*all_quals = list_concat(*all_quals, quals);
	scope = list_concat(list_copy(scope), quals);
	classes = equality_classes(scope);

	if (items == NIL)
	{
		result = join_none(NULL);
		result.locus = everywhere();
		return result;
	}
	parts = palloc(sizeof(JoinLocus) * list_length(items));
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
			result = combine(parts[0], parts[i], JOIN_INNER, classes);
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
			JoinLocus	first = parts[0];

			parts[0] = parts[n - 1];
			parts[n - 1] = first;
			progress = parts[0].locus.kind != CZ_LOCUS_EVERYWHERE;
		}
	}
	if (n > 1)
	{
		for (i = 1; i < n; i++)
		{
			result = combine(parts[0], parts[i], JOIN_INNER, classes);
			if (result.locus.kind == CZ_LOCUS_NONE)
				return result;
		}
	}
	return parts[0];
}

/* ---- sub-queries in expressions ------------------------------------------ */

typedef struct SubLinkContext
{
	JoinLocus  *join;
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
			context->join->keys = NIL;
			return;
		}
		if (main->kind == CZ_LOCUS_SHARDED && same_group(main->anchor, sub.anchor))
		{
			if (same_single(main, &sub))
				return;
			if (keys_connected(context->classes, context->join->keys,
							   lowered_outer_keys(&sub)))
				return;
			if (is_conjunct && sublink->subLinkType == ANY_SUBLINK && sub.outer_keys == NIL)
			{
				List	   *quals = conjuncts(plain_vars_mutator(copyObject(sublink->testexpr),
																 NULL), NIL);
				ListCell   *lc;

				foreach(lc, quals)
				{
					OpExpr	   *op = lfirst(lc);
					Node	   *l;
					Node	   *r;

					if (!IsA(op, OpExpr) || list_length(op->args) != 2 ||
						!is_equality(op->opno, op->inputcollid))
						continue;
					l = strip(linitial(op->args));
					r = strip(lsecond(op->args));
					if (IsA(r, Param) && ((Param *) r)->paramkind == PARAM_SUBLINK &&
						list_member_int(sub.key_columns, ((Param *) r)->paramid) &&
						keys_connected(context->classes, context->join->keys,
									   list_make1(l)))
						return;
				}
			}
		}
		sub.reason = "a sub-query is not on the distribution column";
	}
	*main = no_locus(sub.reason);
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

static JoinLocus
from_and_where(Query *query, LocusContext *context, List **classes)
{
	List	   *all_quals = NIL;
	List	   *quals = NIL;
	List	   *items = NIL;
	JoinLocus	join;
	SubLinkContext sub;

	/* all_quals begins with the conjuncts of this very cluster */
	join = visit_cluster((Node *) query->jointree, NIL, query, context, &all_quals);
	collect_cluster((Node *) query->jointree, query, context, &items, &quals);
	*classes = equality_classes(quals);
	if (join.locus.kind == CZ_LOCUS_NONE)
		return join;
	if (join.lateral_keys != NIL && !join.locus.is_single)
		return join_none("a lateral sub-query is not on the distribution column");
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
	}
	return join;
}

/* Sub-queries outside FROM and WHERE: no conjuncts, so no semi-joins. */
static void
merge_upper_sublinks(Query *query, JoinLocus *join, List *classes, LocusContext *context)
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

static bool
clause_has_key(List *clauses, List *tlist, List *keys, List *classes, Query *query,
			   CzPlanState *state)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		Node	   *expr = get_sortgroupclause_expr(lfirst(lc), tlist);

		expr = flatten_join_alias_vars_compat(query, copyObject(expr));
		expr = strip(plain_vars_mutator(expr, NULL));
		if (keys_connected(classes, keys, list_make1(expr)))
			return true;
	}
	return false;
}

static List *
outer_vars_of_keys(List *keys, List *classes)
{
	List	   *result = NIL;
	ListCell   *lk;
	ListCell   *lc;

	foreach(lk, keys)
	{
		int			c = class_of(classes, lfirst(lk));

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
		return sharded.is_single ? sharded :
			no_locus("a set operation mixes shards with rows that every worker has");
	}
	if (!same_group(l.anchor, r.anchor))
		return no_locus("a set operation's tables are not colocated");
	if (same_single(&l, &r))
	{
		l.key_columns = list_intersection_int(l.key_columns, r.key_columns);
		return l;
	}
	if (l.outer_keys != NIL || r.outer_keys != NIL)
		return no_locus("a set operation is correlated");
	l.key_columns = list_intersection_int(l.key_columns, r.key_columns);
	if (!(op->op == SETOP_UNION && op->all) && l.key_columns == NIL)
		return no_locus("a set operation does not include the distribution column");
	/* which shards: all that either needs */
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

/* Does the query choose rows in a way that two servers may do differently? */
static bool
chooses_rows(Query *query)
{
	return query->limitCount != NULL || query->limitOffset != NULL ||
		query->hasDistinctOn || query->hasWindowFuncs;
}

static CzLocus
query_locus(Query *query, LocusContext *context)
{
	JoinLocus	join;
	List	   *classes = NIL;
	ListCell   *lc;
	CzLocus    *locus;

	context->queries = lcons(query, context->queries);
	join = join_none(NULL);
	if (query->hasModifyingCTE)
		join.locus = no_locus("a CTE modifies data");
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
		if (chooses_rows(query))
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
			Node	   *expr = (Node *) tle->expr;

			if (tle->resjunk)
				continue;
			expr = flatten_join_alias_vars_compat(query, copyObject(expr));
			expr = strip(plain_vars_mutator(expr, NULL));
			if (keys_connected(classes, join.keys, list_make1(expr)))
				locus->key_columns = lappend_int(locus->key_columns, tle->resno);
		}
	}
	/* all rows on one shard, for the statement or for each outer row */
	if (locus->is_single || locus->outer_keys != NIL)
		return *locus;

	if (query->limitCount != NULL || query->limitOffset != NULL)
		return no_locus("LIMIT applies to the rows of all shards");
	if (query->setOperations != NULL)
		return *locus;
	if (query->groupingSets != NIL)
		return no_locus("grouping sets span shards");
	if ((query->hasAggs || query->groupClause != NIL || query->havingQual != NULL) &&
		!clause_has_key(query->groupClause, query->targetList, join.keys, classes, query,
						context->state))
		return no_locus("grouping is not by the distribution column");
	if (query->hasWindowFuncs)
	{
		foreach(lc, query->windowClause)
		{
			WindowClause *wc = lfirst(lc);

			if (!clause_has_key(wc->partitionClause, query->targetList, join.keys, classes,
								query, context->state))
				return no_locus("a window is not partitioned by the distribution column");
		}
	}
	if (query->distinctClause != NIL &&
		!clause_has_key(query->distinctClause, query->targetList, join.keys, classes,
						query, context->state))
		return no_locus("DISTINCT does not include the distribution column");
	return *locus;
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
	JoinLocus	join;

	context.queries = list_make1(query);
	join = from_and_where(query, &context, &classes);
	merge_upper_sublinks(query, &join, classes, &context);
	return join.locus;
}

/* ---- may it leave this server? ------------------------------------------- */

typedef struct SendContext
{
	const char *reason;
	bool		has_user;
	Oid			user;
	Oid			foreign_server; /* of an independent foreign table */
	List	   *references;		/* CzTable of reference tables */
} SendContext;

static bool
send_walker(Node *node, SendContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;

		if (query->hasModifyingCTE || query->commandType == CMD_UTILITY)
		{
			context->reason = "a CTE modifies data";
			return true;
		}
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);
			const CzTable *table;
			Oid			user;

			if (rte->securityQuals != NIL || rte->security_barrier)
			{
				context->reason = "row-level security is enforced here";
				return true;
			}
			if (rte->rtekind == RTE_NAMEDTUPLESTORE)
			{
				context->reason = "it uses a transition table";
				return true;
			}
			if (rte->rtekind != RTE_RELATION)
				continue;
			table = CzTableGet(rte->relid);
			if (table == NULL)
				continue;		/* a view's own entry; else the locus says no */
			user = rte_check_as_user_compat(query, rte);
			if (context->has_user && user != context->user)
			{
				context->reason = "tables are read on behalf of different users";
				return true;
			}
			context->has_user = true;
			context->user = user;
			if (table->kind == CZ_TABLE_FOREIGN)
				context->foreign_server = table->shards[0].server_oids[0];
			else if (table->kind == CZ_TABLE_REFERENCE)
			{
				context->references = lappend(context->references, (void *) table);
				if (query->rowMarks != NIL)
				{
					context->reason = "rows of a reference table are locked here";
					return true;
				}
			}
		}
		return query_tree_walker(query, send_walker, (void *) context, 0);
	}
	return expression_tree_walker(node, send_walker, (void *) context);
}

/*
 * cz_query_is_sendable
 *		May a Query that has a good locus be sent as it is?
 */
bool
cz_query_is_sendable(Query *query, const char **reason)
{
	SendContext context;
	ListCell   *lc;

	memset(&context, 0, sizeof(context));
	if (send_walker((Node *) query, &context))
	{
		*reason = context.reason;
		return false;
	}
	if (OidIsValid(context.foreign_server))
	{
		foreach(lc, context.references)
		{
			const CzTable *table = lfirst(lc);
			int			i;

			for (i = 0; i < table->shards[0].nplacements; i++)
			{
				if (table->shards[0].server_oids[i] == context.foreign_server)
					break;
			}
			if (i == table->shards[0].nplacements)
			{
				*reason = "a reference table has no copy on that server";
				return false;
			}
		}
	}
	if (!cz_expr_is_shippable((Node *) query, reason))
		return false;
	foreach(lc, query->commandType == CMD_SELECT ? query->targetList : query->returningList)
	{
		TargetEntry *tle = lfirst(lc);
		Var		   *var = (Var *) tle->expr;

		if (!cz_type_is_output_safe(exprType((Node *) tle->expr)) ||
			(IsA(var, Var) && var->varattno == 0))
		{
			*reason = "a column of the result has a row type";
			return false;
		}
	}
	return true;
}

typedef struct LevelContext
{
	int			depth;
	bool		found;
} LevelContext;

static bool
correlated_walker(Node *node, LevelContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > context->depth;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup > context->depth)
		return true;
	if (IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup > context->depth)
		return true;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE && rte->ctelevelsup > context->depth;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, correlated_walker, (void *) context,
								   QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, correlated_walker, (void *) context);
}

/*
 * cz_query_is_correlated
 *		Does the Query refer to anything outside itself?
 */
bool
cz_query_is_correlated(Query *query)
{
	LevelContext context = {0, false};

	return query_tree_walker(query, correlated_walker, (void *) &context,
							 QTW_EXAMINE_RTES_BEFORE);
}

static bool
uses_workers_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		const CzTable *table;

		if (rte->rtekind != RTE_RELATION ||
			(rte->relkind != RELKIND_PARTITIONED_TABLE &&
			 rte->relkind != RELKIND_FOREIGN_TABLE))
			return false;
		table = CzTableGet(rte->relid);
		return table != NULL;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, uses_workers_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, uses_workers_walker, context);
}

/*
 * cz_query_uses_workers
 *		Does the Query, at any depth, use a distributed or foreign table?
 */
bool
cz_query_uses_workers(Query *query)
{
	return query_tree_walker(query, uses_workers_walker, NULL, QTW_EXAMINE_RTES_BEFORE);
}
