/*-------------------------------------------------------------------------
 *
 * equality.c
 *	  Equality classes of conjuncts, and the shards that they leave.
 *
 * An equality class is a list of expressions that are equal for every row that
 * matters: columns, references to outer queries, constants, parameters.
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
#include "utils/typcache.h"

#include "cz/compat.h"

#include "planner_int.h"

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

/*
 * cz_strip
 *		Take relabelings off an expression, but none that changes what is equal
 *		(text as character(n) ignores blanks at the end).
 */
Node *
cz_strip(Node *node)
{
	while (node && IsA(node, RelabelType))
	{
		Node	   *arg = (Node *) ((RelabelType *) node)->arg;
		Oid			from = getBaseType(exprType(arg));
		Oid			to = getBaseType(((RelabelType *) node)->resulttype);

		if (from != to && lookup_type_cache(from, TYPECACHE_HASH_OPFAMILY)->hash_opf !=
			lookup_type_cache(to, TYPECACHE_HASH_OPFAMILY)->hash_opf)
			break;
		node = arg;
	}
	return node;
}

bool
cz_is_equality(Oid opno, Oid collation)
{
	RegProcedure left;
	RegProcedure right;

	if (OidIsValid(collation) && collation != DEFAULT_COLLATION_OID &&
		!get_collation_isdeterministic(collation))
		return false;
	return get_op_hash_functions(opno, &left, &right);
}

/* Conjuncts of a qualifier (implicit lists included), appended to a list. */
List *
cz_conjuncts(Node *qual, List *list)
{
	ListCell   *lc;

	if (qual == NULL)
		return list;
	if (IsA(qual, List))
	{
		foreach(lc, (List *) qual)
			list = cz_conjuncts(lfirst(lc), list);
		return list;
	}
	if (is_andclause(qual))
	{
		foreach(lc, ((BoolExpr *) qual)->args)
			list = cz_conjuncts(lfirst(lc), list);
		return list;
	}
	return lappend(list, qual);
}

int
cz_class_of(List *classes, Node *node)
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
List *
cz_equality_classes(List *quals)
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
			!cz_is_equality(op->opno, op->inputcollid))
			continue;
		l = cz_strip(linitial(op->args));
		r = cz_strip(lsecond(op->args));
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

static bool
in_same_class(List *classes, Node *a, Node *b)
{
	int			c;

	if (equal(a, b))
		return true;
	c = cz_class_of(classes, a);
	return c >= 0 && list_member((List *) list_nth(classes, c), b);
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

void
cz_restrict_to_list(CzLocus *locus, List *shards)
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
void
cz_apply_restrictions(CzJoinLocus *join, List *scope, List *classes)
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
		int			c = cz_class_of(classes, key);

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

				if (saop->useOr && cz_is_equality(saop->opno, saop->inputcollid) &&
					in_same_class(classes, cz_strip(linitial(saop->args)), key) &&
					IsA(cz_strip(lsecond(saop->args)), Const) &&
					shards_of_array((Const *) cz_strip(lsecond(saop->args)), table, &shards))
					cz_restrict_to_list(locus, shards);
			}
			else if (IsA(qual, NullTest))
			{
				NullTest   *test = (NullTest *) qual;

				if (test->nulltesttype == IS_NULL && !test->argisrow &&
					equal(cz_strip((Node *) test->arg), key))
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
