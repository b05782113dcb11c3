/*-------------------------------------------------------------------------
 *
 * prune.c
 *	  The shards that conjuncts leave.
 *
 * A condition on the distribution column is turned into the set of shards that can
 * have rows for which it is true: equality with constants, IN lists, IS NULL,
 * boolean columns, for range tables comparisons too, under AND and OR.  What a
 * condition says of anything else leaves all shards.
 *
 * Values that are known at execution only (parameters, stable functions) make an
 * expression instead, which the executor evaluates: a value, an array of values, or
 * the two ends of a range (CzPruneKind).
 *
 * Quals in a scope that an outer join can feed with NULLs must be false for them:
 * the caller drops those that test for NULL (locus.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"
#include "cz/rowid.h"
#include "cz/settings.h"

#include "../planner_int.h"

typedef struct PruneContext
{
	const CzTable *table;
	List	   *keys;			/* Vars that equal the distribution column */
	List	   *classes;		/* equality classes that hold for all rows */
} PruneContext;

static void
restrict_to_shard(CzLocus *locus, int shard)
{
	locus->is_single = true;
	locus->shard = shard;
	locus->prune_expr = NULL;
	locus->prune_kind = CZ_PRUNE_VALUE;
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

/* ---- keys and values ----------------------------------------------------- */

/* Is the expression the distribution column, or it as a wider integer? */
static bool
is_key(Node *node, PruneContext *context)
{
	ListCell   *lc;

	node = cz_strip(node);
	while (IsA(node, FuncExpr) &&
		   (((FuncExpr *) node)->funcid == F_INT8_INT4 ||
			((FuncExpr *) node)->funcid == F_INT8_INT2 ||
			((FuncExpr *) node)->funcid == F_INT4_INT2))
		node = cz_strip(linitial(((FuncExpr *) node)->args));
	foreach(lc, context->keys)
	{
		if (cz_in_same_class(context->classes, lfirst(lc), node))
			return true;
	}
	return false;
}

/* Do values of a type tell the shard of a row with that key, or ctid? */
static bool
type_decides(Oid type, PruneContext *context)
{
	return CzKeyTypeConverts(context->table, type) || CzRowIdIsKey(context->table, type);
}

/* Could the value of an expression be the key, and is it known once, here? */
static bool
is_value(Node *node, PruneContext *context)
{
	return type_decides(exprType(node), context) && (IsA(node, Const) || cz_is_closed(node));
}

/* Add the shard of one value; none if no key is equal to it. */
static Bitmapset *
add_shard_of_value(Bitmapset *shards, Oid type, Datum value, bool isnull,
				   PruneContext *context)
{
	int			shard;
	ItemPointerData local;

	if (isnull)
		return shards;
	if (CzRowIdIsKey(context->table, type))
		shard = CzRowIdDecode(context->table, (ItemPointer) DatumGetPointer(value), &local);
	else if (CzKeyConvert(context->table, type, value, &value))
		shard = CzShardIndexForValue(context->table, value, false);
	else
		return shards;
	return shard < 0 ? shards : bms_add_member(shards, shard);
}

static Bitmapset *
shard_of_const(Const *c, PruneContext *context)
{
	return add_shard_of_value(NULL, c->consttype, c->constvalue, c->constisnull, context);
}

/* The shards of all elements of an array; long IN lists are arrays. */
static Bitmapset *
shards_of_array(Const *array, PruneContext *context)
{
	Oid			elemtype = get_element_type(array->consttype);
	Bitmapset  *shards = NULL;
	int16		len;
	bool		byval;
	char		align;
	Datum	   *elems;
	bool	   *nulls;
	int			n;
	int			i;

	if (array->constisnull)
		return NULL;
	get_typlenbyvalalign(elemtype, &len, &byval, &align);
	deconstruct_array(DatumGetArrayTypeP(array->constvalue), elemtype, len, byval, align,
					  &elems, &nulls, &n);
	for (i = 0; i < n; i++)
		shards = add_shard_of_value(shards, elemtype, elems[i], nulls[i], context);
	pfree(elems);
	pfree(nulls);
	return shards;
}

/* The other side of "key op other" or "other op key"; *commuted tells which. */
static Node *
other_side(OpExpr *op, PruneContext *context, bool *commuted)
{
	if (list_length(op->args) != 2)
		return NULL;
	*commuted = false;
	if (is_key(linitial(op->args), context))
		return cz_strip(lsecond(op->args));
	*commuted = true;
	if (is_key(lsecond(op->args), context))
		return cz_strip(linitial(op->args));
	return NULL;
}

/* The values of an array, or of the elements of ARRAY[...], as a list; or NIL. */
static List *
array_values(Node *array)
{
	ArrayType  *arr;
	Oid			elemtype;
	int16		len;
	bool		byval;
	char		align;
	Datum	   *elems;
	bool	   *nulls;
	List	   *result = NIL;
	int			n;
	int			i;

	if (IsA(array, ArrayExpr) && !((ArrayExpr *) array)->multidims)
		return ((ArrayExpr *) array)->elements;
	if (!IsA(array, Const) || ((Const *) array)->constisnull)
		return NIL;
	elemtype = get_element_type(((Const *) array)->consttype);
	if (!OidIsValid(elemtype))
		return NIL;
	arr = DatumGetArrayTypeP(((Const *) array)->constvalue);
	get_typlenbyvalalign(elemtype, &len, &byval, &align);
	deconstruct_array(arr, elemtype, len, byval, align, &elems, &nulls, &n);
	for (i = 0; i < n; i++)
		result = lappend(result, makeConst(elemtype, -1, InvalidOid, len, elems[i],
										   nulls[i], byval));
	return result;
}

/* The array of "key = ANY (array)", or NULL. */
static Node *
any_array(Node *qual, PruneContext *context)
{
	ScalarArrayOpExpr *saop = (ScalarArrayOpExpr *) qual;

	if (!IsA(qual, ScalarArrayOpExpr) || !saop->useOr ||
		!cz_is_equality(saop->opno, saop->inputcollid) ||
		!is_key(linitial(saop->args), context))
		return NULL;
	return cz_strip(lsecond(saop->args));
}

/* ---- constants ----------------------------------------------------------- */

/* The strategy in the key's btree operator family of "key op value", or 0. */
static int
range_strategy(Oid opno, Oid collation, bool commuted, PruneContext *context)
{
	const CzTable *table = context->table;
	int			strategy;

	if (table->kind != CZ_TABLE_RANGE || collation != table->key_collation)
		return 0;
	strategy = get_op_opfamily_strategy(opno, table->key_opfamily);
	return strategy == 0 || !commuted ? strategy : BTMaxStrategyNumber + 1 - strategy;
}

/* false: the type of the value tells nothing */
static bool
shards_of_comparison(int strategy, Const *c, PruneContext *context, Bitmapset **shards)
{
	Datum		value;

	if (strategy == 0 || !CzKeyTypeConverts(context->table, c->consttype))
		return false;
	*shards = NULL;
	if (c->constisnull)
		return true;
	if (!CzKeyConvert(context->table, c->consttype, c->constvalue, &value))
		return false;
	switch (strategy)
	{
		case BTLessStrategyNumber:
		case BTLessEqualStrategyNumber:
			*shards = CzShardsInRange(context->table, NULL, &value,
									  strategy == BTLessEqualStrategyNumber);
			return true;
		case BTGreaterStrategyNumber:
		case BTGreaterEqualStrategyNumber:
			*shards = CzShardsInRange(context->table, &value, NULL, false);
			return true;
		default:
			return false;
	}
}

/* Shards where the boolean key, or NULL, is one of those that are asked for. */
static bool
shards_of_boolean(bool with_true, bool with_false, bool with_null, PruneContext *context,
				  Bitmapset **shards)
{
	int			i;

	*shards = NULL;
	for (i = 0; i < 3; i++)
	{
		int			shard;

		if (!(i == 0 ? with_true : i == 1 ? with_false : with_null))
			continue;
		shard = CzShardIndexForValue(context->table, BoolGetDatum(i == 0), i == 2);
		if (shard >= 0)
			*shards = bms_add_member(*shards, shard);
	}
	return true;
}

static bool
is_boolean_key(Node *node, PruneContext *context)
{
	return context->table->key_type == BOOLOID && exprType(node) == BOOLOID &&
		is_key(node, context);
}

/*
 * shards_of_qual
 *		The shards that can have rows for which a qualifier is true; false if it
 *		says nothing of the key.
 */
static bool
shards_of_qual(Node *qual, PruneContext *context, Bitmapset **shards)
{
	ListCell   *lc;
	Node	   *array;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	if (IsA(qual, Const) && ((Const *) qual)->consttype == BOOLOID)
	{
		*shards = NULL;
		return ((Const *) qual)->constisnull || !DatumGetBool(((Const *) qual)->constvalue);
	}
	if (is_boolean_key(qual, context))
		return shards_of_boolean(true, false, false, context, shards);
	if (IsA(qual, BooleanTest) && is_boolean_key((Node *) ((BooleanTest *) qual)->arg, context))
	{
		BoolTestType test = ((BooleanTest *) qual)->booltesttype;

		return shards_of_boolean(test == IS_TRUE || test == IS_NOT_FALSE || test == IS_NOT_UNKNOWN,
								 test == IS_FALSE || test == IS_NOT_TRUE || test == IS_NOT_UNKNOWN,
								 test == IS_UNKNOWN || test == IS_NOT_TRUE || test == IS_NOT_FALSE,
								 context, shards);
	}
	if (IsA(qual, NullTest))
	{
		NullTest   *test = (NullTest *) qual;

		if (test->nulltesttype != IS_NULL || test->argisrow ||
			CzRowIdIsKey(context->table, exprType((Node *) test->arg)) ||
			!list_member(context->keys, cz_strip((Node *) test->arg)))
			return false;
		*shards = NULL;
		if (CzShardIndexForValue(context->table, (Datum) 0, true) >= 0)
			*shards = bms_make_singleton(CzShardIndexForValue(context->table, (Datum) 0, true));
		return true;
	}
	if (IsA(qual, BoolExpr))
	{
		BoolExpr   *expr = (BoolExpr *) qual;
		bool		is_known = expr->boolop == OR_EXPR;

		*shards = NULL;
		if (expr->boolop == NOT_EXPR)
		{
			OpExpr	   *op = linitial(expr->args);
			Node	   *other;
			bool		commuted;

			if (is_boolean_key((Node *) op, context))
				return shards_of_boolean(false, true, false, context, shards);
			/* key IS NOT DISTINCT FROM value */
			if (!IsA(op, DistinctExpr) || !cz_is_equality(op->opno, op->inputcollid))
				return false;
			other = other_side(op, context, &commuted);
			if (other == NULL || !IsA(other, Const) || ((Const *) other)->constisnull ||
				!is_value(other, context))
				return false;
			*shards = shard_of_const((Const *) other, context);
			return true;
		}
		foreach(lc, expr->args)
		{
			Bitmapset  *some;
			bool		is_some = shards_of_qual(lfirst(lc), context, &some);

			if (expr->boolop == OR_EXPR && !is_some)
				return false;
			if (expr->boolop == OR_EXPR)
				*shards = bms_join(*shards, some);
			else if (is_some)
				*shards = is_known ? bms_int_members(*shards, some) : some;
			is_known |= is_some;
		}
		return is_known;
	}
	if (IsA(qual, OpExpr))
	{
		OpExpr	   *op = (OpExpr *) qual;
		bool		commuted;
		Node	   *other = other_side(op, context, &commuted);

		if (other == NULL || !IsA(other, Const))
			return false;
		if (cz_is_equality(op->opno, op->inputcollid) && is_value(other, context))
		{
			*shards = shard_of_const((Const *) other, context);
			return true;
		}
		return shards_of_comparison(range_strategy(op->opno, op->inputcollid, commuted,
												   context),
									(Const *) other, context, shards);
	}
	if (IsA(qual, RowCompareExpr))
	{
		RowCompareExpr *row = (RowCompareExpr *) qual;
		bool		commuted = is_key(linitial(row->rargs), context);
		Node	   *other = cz_strip(linitial(commuted ? row->largs : row->rargs));
		int			strategy;

		if (!IsA(other, Const) || (!commuted && !is_key(linitial(row->largs), context)))
			return false;
		strategy = range_strategy(linitial_oid(row->opnos), linitial_oid(row->inputcollids),
								  commuted, context);
		/* the first columns may be equal */
		if (strategy == BTLessStrategyNumber)
			strategy = BTLessEqualStrategyNumber;
		return shards_of_comparison(strategy, (Const *) other, context, shards);
	}
	array = any_array(qual, context);
	if (array != NULL && (IsA(array, Const) || IsA(array, ArrayExpr)))
	{
		Oid			elemtype = get_element_type(exprType(array));

		if (!OidIsValid(elemtype) || !type_decides(elemtype, context))
			return false;
		*shards = NULL;
		if (IsA(array, Const))
		{
			*shards = shards_of_array((Const *) array, context);
			return true;
		}
		foreach(lc, array_values(array))
		{
			Const	   *c = (Const *) cz_strip(lfirst(lc));

			if (!IsA(c, Const) || !is_value((Node *) c, context))
				return false;
			*shards = bms_join(*shards, shard_of_const(c, context));
		}
		return true;
	}
	return false;
}

/* ---- values that are known at execution ---------------------------------- */

/*
 * The values that the key must be one of for a qualifier to be true, as
 * expressions of one type; NIL if not known.
 */
static List *
values_of_qual(Node *qual, PruneContext *context)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (IsA(qual, OpExpr) && cz_is_equality(((OpExpr *) qual)->opno, ((OpExpr *) qual)->inputcollid))
	{
		bool		commuted;
		Node	   *other = other_side((OpExpr *) qual, context, &commuted);

		if (other != NULL && is_value(other, context))
			result = list_make1(other);
	}
	else if (any_array(qual, context) != NULL)
		result = list_copy(array_values(any_array(qual, context)));
	else if (is_andclause(qual))
	{
		foreach(lc, ((BoolExpr *) qual)->args)
		{
			result = values_of_qual(lfirst(lc), context);
			if (result != NIL)
				break;
		}
	}
	else if (is_orclause(qual))
	{
		foreach(lc, ((BoolExpr *) qual)->args)
		{
			List	   *values = values_of_qual(lfirst(lc), context);

			if (values == NIL)
				return NIL;
			result = list_concat(result, values);
		}
	}
	foreach(lc, result)
	{
		if (!is_value(lfirst(lc), context) ||
			exprType(lfirst(lc)) != exprType(linitial(result)))
			return NIL;
	}
	return result;
}

static Node *
make_array(List *elements)
{
	Oid			type = exprType(linitial(elements));
	ArrayExpr  *array = makeNode(ArrayExpr);

	array->array_typeid = get_array_type(type);
	array->array_collid = exprCollation(linitial(elements));
	array->element_typeid = type;
	array->elements = copyObject(elements);
	array->location = -1;
	return OidIsValid(array->array_typeid) ? (Node *) array : NULL;
}

/* An array whose elements are the values that the key must be one of, or NULL. */
static Node *
array_for_execution(Node *qual, PruneContext *context)
{
	Node	   *array = any_array(qual, context);
	List	   *values;

	if (array != NULL && !IsA(array, ArrayExpr))
	{
		Oid			elemtype = get_element_type(exprType(array));

		return OidIsValid(elemtype) && type_decides(elemtype, context) &&
			cz_is_closed(array) ? array : NULL;
	}
	values = values_of_qual(qual, context);
	return values != NIL ? make_array(values) : NULL;
}

/* ARRAY[lower, upper] of what the conjuncts of a range table's key say; or NULL. */
static Node *
range_for_execution(List *scope, PruneContext *context)
{
	Node	   *bounds[2] = {NULL, NULL};
	bool		is_variable = false;
	ListCell   *lc;
	int			i;

	foreach(lc, scope)
	{
		OpExpr	   *op = lfirst(lc);
		Node	   *other;
		bool		commuted;
		int			strategy;

		if (!IsA(op, OpExpr))
			continue;
		other = other_side(op, context, &commuted);
		if (other == NULL || exprType(other) != context->table->key_type ||
			!is_value(other, context))
			continue;
		strategy = range_strategy(op->opno, op->inputcollid, commuted, context);
		if (strategy == 0 || strategy == BTEqualStrategyNumber)
			continue;
		i = strategy < BTEqualStrategyNumber ? 1 : 0;
		/* a constant has had its effect */
		if (bounds[i] == NULL || IsA(bounds[i], Const))
			bounds[i] = other;
		is_variable |= !IsA(other, Const);
	}
	if (!is_variable)
		return NULL;
	for (i = 0; i < 2; i++)
	{
		if (bounds[i] == NULL)
			bounds[i] = (Node *) makeNullConst(context->table->key_type, -1,
											   context->table->key_collation);
	}
	return make_array(list_make2(bounds[0], bounds[1]));
}

/* ---- all conjuncts ------------------------------------------------------- */

/*
 * cz_apply_restrictions
 *		Confine a locus to the shards that the conjuncts in scope leave.
 */
void
cz_apply_restrictions(CzJoinLocus *join, List *scope, List *classes)
{
	CzLocus    *locus = &join->locus;
	const CzTable *table = locus->anchor;
	PruneContext context;
	Bitmapset  *shards = NULL;
	List	   *undecided = NIL;	/* quals that constants do not decide */
	bool		is_known = false;
	Node	   *value = NULL;
	Node	   *array = NULL;
	ListCell   *lc;
	ListCell   *lm;

	if (locus->kind != CZ_LOCUS_SHARDED || locus->is_single || table->nshards == 0)
		return;
	if (table->nshards == 1)
	{
		restrict_to_shard(locus, 0);
		return;
	}
	if (join->keys == NIL || scope == NIL)
		return;
	context.table = table;
	context.keys = join->keys;
	context.classes = classes;

	/* what the key is equal to, also by way of others */
	foreach(lc, classes)
	{
		List	   *members = lfirst(lc);
		bool		has_key = false;

		foreach(lm, members)
			has_key |= is_key(lfirst(lm), &context);
		if (!has_key)
			continue;
		foreach(lm, members)
		{
			Node	   *member = lfirst(lm);
			Bitmapset  *some;

			if (!is_value(member, &context))
				continue;
			if (!IsA(member, Const))
			{
				if (value == NULL)
					value = member;
				continue;
			}
			some = shard_of_const((Const *) member, &context);
			shards = is_known ? bms_int_members(shards, some) : some;
			is_known = true;
		}
	}
	foreach(lc, scope)
	{
		Bitmapset  *some;

		if (shards_of_qual(lfirst(lc), &context, &some))
		{
			shards = is_known ? bms_int_members(shards, some) : some;
			is_known = true;
		}
		else
			undecided = lappend(undecided, lfirst(lc));
	}
	if (is_known)
	{
		List	   *list = NIL;
		int			i = -1;

		while ((i = bms_next_member(shards, i)) >= 0)
			list = lappend_int(list, i);
		if (list_length(list) < table->nshards)
			cz_restrict_to_list(locus, list);

		/*
		 * Never true: any shard gives that answer.  But an aggregate over no rows
		 * returns one, on a shard that has nothing to do with what the key should be.
		 */
		if (list == NIL)
			join->keys = NIL;
	}
	if (locus->is_single)
		return;
	if (value != NULL)
	{
		locus->is_single = true;
		locus->shard = -1;
		locus->prune_expr = value;
		locus->prune_kind = CZ_PRUNE_VALUE;
		locus->is_pruned = false;
		locus->shards = NIL;
		return;
	}
	if (locus->prune_expr != NULL)
		return;
	foreach(lc, undecided)
	{
		array = array_for_execution(lfirst(lc), &context);
		if (array != NULL)
			break;
	}
	locus->prune_kind = CZ_PRUNE_ARRAY;
	if (array == NULL && table->kind == CZ_TABLE_RANGE)
	{
		array = range_for_execution(scope, &context);
		locus->prune_kind = CZ_PRUNE_RANGE;
	}
	locus->prune_expr = array;
}

/* ---- sealed shards -------------------------------------------------------- */

/* "key strategy value", as the key's type has it; NULL: it has no such operator. */
static Node *
seal_comparison(const CzTable *table, Var *var, const char *text, int strategy)
{
	Oid			opclass = GetDefaultOpClass(table->key_type, BTREE_AM_OID);
	Oid			type = OidIsValid(opclass) ? get_opclass_input_type(opclass) : InvalidOid;
	Oid			operator = OidIsValid(type) ?
		get_opfamily_member(get_opclass_family(opclass), type, type, strategy) : InvalidOid;
	Node	   *key = (Node *) var;
	Oid			input;
	Oid			ioparam;
	int16		length;
	bool		by_value;
	Const	   *value;
	int			nestlevel;

	if (!OidIsValid(operator) || IsPolymorphicType(type))
		return NULL;
	nestlevel = CzPinTextSettings(CZ_PIN_TEXT | CZ_PIN_MONEY | CZ_PIN_DATE_ORDER);
	getTypeInputInfo(type, &input, &ioparam);
	get_typlenbyval(type, &length, &by_value);
	value = makeConst(type, -1, table->key_collation, length,
					  OidInputFunctionCall(input, (char *) text, ioparam, -1), false, by_value);
	CzUnpinTextSettings(nestlevel);
	if (type != table->key_type)
		key = (Node *) makeRelabelType((Expr *) var, type, -1, table->key_collation,
									   COERCE_IMPLICIT_CAST);
	return (Node *) make_opclause(operator, BOOLOID, false, (Expr *) key, (Expr *) value, InvalidOid,
								  table->key_collation);
}

/*
 * cz_apply_seals
 *		Leave out sealed shards of a table that have no row for which the conjuncts in scope
 *		are true, as core does it with CHECKs: they refute what the workers enforce.
 */
void
cz_apply_seals(CzJoinLocus *join, Index varno, List *scope)
{
	CzLocus    *locus = &join->locus;
	const CzTable *table = locus->anchor;
	List	   *left = NIL;
	int			nout = 0;
	int			i;

	if (locus->kind != CZ_LOCUS_SHARDED || table->seals == NULL || locus->is_single ||
		scope == NIL || table->key_attno <= 0)
		return;
	/* its snapshot may show rows that went before the shard was sealed */
	if (IsolationUsesXactSnapshot())
		return;
	for (i = 0; i < table->nshards; i++)
	{
		const CzSeal *seal = &table->seals[i];

		if (locus->is_pruned && !list_member_int(locus->shards, i))
			continue;
		if (seal->min != NULL)
		{
			Var		   *var = makeVar(varno, table->key_attno, table->key_type, table->key_typmod,
									  table->key_collation, 0);
			Node	   *lower = seal_comparison(table, var, seal->min, BTGreaterEqualStrategyNumber);
			Node	   *upper = seal_comparison(table, var, seal->max, BTLessEqualStrategyNumber);

			if (lower != NULL && upper != NULL &&
				predicate_refuted_by(list_make2(lower, upper), scope, false))
			{
				nout++;
				continue;
			}
		}
		left = lappend_int(left, i);
	}
	if (nout == 0)
		return;
	cz_restrict_to_list(locus, left);
	/* as in cz_apply_restrictions: any shard says that there are none */
	if (left == NIL)
		join->keys = NIL;
}
