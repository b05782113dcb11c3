/*-------------------------------------------------------------------------
 *
 * arbiter.c
 *	  The unique indexes in which a row may conflict, as conditions and as a set of rows.
 *
 * Of INSERT ... ON CONFLICT that is done row by row: which row is in the way of one is
 * said with the index's own operators and collations, over its columns and expressions,
 * for rows of its predicate, and with IS NULL where the index says NULLS NOT DISTINCT.
 * Core may infer several indexes, which differ in predicates and in that.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "arbiter.h"

/* What of the indexes is the same for all: a column or an expression of it. */
typedef struct Element
{
	Node	   *expr;			/* over relation 1 */
	ExprState  *state;
	Oid			equality;		/* operator, of the first index */
	Oid			collation;		/* the same */
	Oid			opclass;		/* InvalidOid: not the same in all */
	bool		is_text;		/* it can't be hashed: its text stands for it */
} Element;

typedef struct ArbiterIndex
{
	Node	   *predicate;		/* NULL: none */
	ExprState  *state;			/* NULL: none */
	bool		nulls_not_distinct;
} ArbiterIndex;

struct CzArbiter
{
	ExprContext *econtext;
	int			nelements;
	Element    *elements;
	int			nindexes;
	ArbiterIndex *indexes;
	bool		nulls_matter;
	TupleHashTable seen[CZ_ARBITER_ROWS];	/* rows of the statement */
	TupleTableSlot *slot;		/* what is looked for in it: elements, predicates */
};

/* ---- the indexes ---------------------------------------------------------- */

static void
read_elements(CzArbiter *arbiter, Relation rel, Relation index)
{
	List	   *exprs = RelationGetIndexExpressions(index);	/* a copy */
	int			i;

	for (i = 0; i < arbiter->nelements; i++)
	{
		Element    *element = &arbiter->elements[i];
		AttrNumber	attno = index->rd_index->indkey.values[i];
		Oid			input = index->rd_opcintype[i];

		if (attno != 0)
		{
			Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

			element->expr = (Node *) makeVar(1, attno, att->atttypid, att->atttypmod,
											 att->attcollation, 0);
		}
		else
		{
			element->expr = linitial(exprs);
			exprs = list_delete_first(exprs);
		}
		element->collation = index->rd_indcollation[i];
		element->opclass = get_index_column_opclass(RelationGetRelid(index), i + 1);
		element->equality = get_opfamily_member(index->rd_opfamily[i], input, input,
												BTEqualStrategyNumber);
		if (!OidIsValid(element->equality))
			elog(ERROR, "missing operator %d(%u,%u) in opfamily %u", BTEqualStrategyNumber,
				 input, input, index->rd_opfamily[i]);
	}
}

/* A target that names no operator class or collation may find indexes of several. */
static void
compare_elements(CzArbiter *arbiter, Relation index)
{
	int			i;

	for (i = 0; i < arbiter->nelements; i++)
	{
		Element    *element = &arbiter->elements[i];

		if (element->opclass != get_index_column_opclass(RelationGetRelid(index), i + 1) ||
			element->collation != index->rd_indcollation[i])
			element->opclass = InvalidOid;
	}
}

static void
begin_seen(CzArbiter *arbiter, ModifyTableState *mtstate)
{
	int			n = arbiter->nelements + arbiter->nindexes;
	AttrNumber *attnos = palloc(sizeof(AttrNumber) * n);
	Oid		   *operators = palloc(sizeof(Oid) * n);
	Oid		   *collations = palloc0(sizeof(Oid) * n);
	Oid		   *functions;
	FmgrInfo   *hash_functions;
	TupleDesc	desc = CreateTemplateTupleDesc(n);
	int			i;

	for (i = 0; i < n; i++)
	{
		Element    *element = i < arbiter->nelements ? &arbiter->elements[i] : NULL;
		Oid			type = element ? exprType(element->expr) : BOOLOID;

		attnos[i] = i + 1;
		operators[i] = element ? element->equality : BooleanEqualOperator;
		if (element != NULL)
		{
			element->is_text = !op_hashjoinable(element->equality, type);
			collations[i] = element->collation;
			if (element->is_text)
			{
				type = TEXTOID;
				operators[i] = TextEqualOperator;
				collations[i] = C_COLLATION_OID;
			}
		}
		TupleDescInitEntry(desc, i + 1, NULL, type, -1, 0);
		TupleDescInitEntryCollation(desc, i + 1, collations[i]);
	}
	execTuplesHashPrepare(n, operators, &functions, &hash_functions);
	arbiter->slot = ExecInitExtraTupleSlot(mtstate->ps.state, desc, &TTSOpsVirtual);
	for (i = 0; i < CZ_ARBITER_ROWS; i++)
		arbiter->seen[i] =
			BuildTupleHashTable_compat(&mtstate->ps, desc, n, attnos, functions,
									   hash_functions, collations, 256, 0,
									   CurrentMemoryContext,
									   AllocSetContextCreate(CurrentMemoryContext,
															 "cz_fdw conflict hash",
															 ALLOCSET_SMALL_SIZES),
									   false);
}

/*
 * CzArbiterBegin
 *		See arbiter.h.
 */
CzArbiter *
CzArbiterBegin(ModifyTableState *mtstate, Relation rel, List *indexes)
{
	EState	   *estate = mtstate->ps.state;
	CzArbiter  *arbiter = palloc0(sizeof(CzArbiter));
	ListCell   *lc;
	int			i;

	arbiter->econtext = CreateExprContext(estate);
	arbiter->nindexes = list_length(indexes);
	arbiter->indexes = palloc0(sizeof(ArbiterIndex) * arbiter->nindexes);
	foreach(lc, indexes)
	{
		ArbiterIndex *own = &arbiter->indexes[foreach_current_index(lc)];
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (arbiter->elements == NULL)
		{
			arbiter->nelements = index->rd_index->indnkeyatts;
			arbiter->elements = palloc0(sizeof(Element) * arbiter->nelements);
			read_elements(arbiter, rel, index);
		}
		else
			compare_elements(arbiter, index);
		if (RelationGetIndexPredicate(index) != NIL)
		{
			own->predicate = (Node *)
				make_ands_explicit(RelationGetIndexPredicate(index));
			own->state = ExecPrepareQual(RelationGetIndexPredicate(index), estate);
		}
		own->nulls_not_distinct = index->rd_index->indnullsnotdistinct;
		arbiter->nulls_matter |= own->nulls_not_distinct;
		index_close(index, NoLock);
	}
	for (i = 0; i < arbiter->nelements; i++)
		arbiter->elements[i].state =
			ExecPrepareExpr((Expr *) copyObject(arbiter->elements[i].expr), estate);
	begin_seen(arbiter, mtstate);
	return arbiter;
}

/*
 * CzArbiterTarget
 *		See arbiter.h.
 *
 * What implies all predicates implies no other than the statement's own target does.
 */
void
CzArbiterTarget(CzArbiter *arbiter, OnConflictExpr *conflict)
{
	List	   *predicates = NIL;
	int			i;

	for (i = 0; i < arbiter->nelements; i++)
	{
		Element    *element = &arbiter->elements[i];
		InferenceElem *target = makeNode(InferenceElem);

		target->expr = copyObject(element->expr);
		if (!IsA(element->expr, Var) && OidIsValid(element->opclass))
		{
			target->infercollid = element->collation;
			target->inferopclass = element->opclass;
		}
		conflict->arbiterElems = lappend(conflict->arbiterElems, target);
	}
	for (i = 0; i < arbiter->nindexes; i++)
	{
		if (arbiter->indexes[i].predicate != NULL)
			predicates = lappend(predicates, copyObject(arbiter->indexes[i].predicate));
	}
	if (predicates != NIL)
		conflict->arbiterWhere = (Node *) make_ands_explicit(predicates);
}

/* ---- conditions ----------------------------------------------------------- */

/* Columns of relation 1 become parameters. */
static Node *
param_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXTERN;
		param->paramid = var->varattno;
		param->paramtype = var->vartype;
		param->paramtypmod = -1;
		param->paramcollid = var->varcollid;
		param->location = -1;
		return (Node *) param;
	}
	return expression_tree_mutator(node, param_mutator, context);
}

static Node *
equality(Element *element)
{
	Node	   *args[2] = {copyObject(element->expr), param_mutator(element->expr, NULL)};
	Oid			type = exprType(element->expr);
	Oid			input;
	Expr	   *result;
	int			i;

	op_input_types(element->equality, &input, &input);
	for (i = 0; i < 2; i++)
	{
		if (input != type && !IsPolymorphicType(input))
			args[i] = (Node *) makeRelabelType((Expr *) args[i], input, -1,
											   exprCollation(args[i]),
											   COERCE_IMPLICIT_CAST);
	}
	result = make_opclause(element->equality, BOOLOID, false, (Expr *) args[0],
						   (Expr *) args[1], InvalidOid, element->collation);
	((OpExpr *) result)->opfuncid = get_opcode(element->equality);
	return (Node *) result;
}

/* For each index: both rows are of its predicate.  NULL: no condition. */
static Node *
predicates(CzArbiter *arbiter, bool has_nulls)
{
	List	   *result = NIL;
	int			i;

	for (i = 0; i < arbiter->nindexes; i++)
	{
		ArbiterIndex *index = &arbiter->indexes[i];

		if (has_nulls && !index->nulls_not_distinct)
			continue;
		if (index->predicate == NULL)
			return NULL;
		result = lappend(result,
						 make_andclause(list_make2(copyObject(index->predicate),
												   param_mutator(index->predicate, NULL))));
	}
	return (Node *) make_orclause(result);
}

/*
 * CzArbiterNulls
 *		See arbiter.h.
 */
Bitmapset *
CzArbiterNulls(CzArbiter *arbiter, TupleTableSlot *row)
{
	Bitmapset  *result = NULL;
	int			i;

	if (!arbiter->nulls_matter)
		return NULL;
	ResetExprContext(arbiter->econtext);
	arbiter->econtext->ecxt_scantuple = row;
	for (i = 0; i < arbiter->nelements; i++)
	{
		bool		isnull;

		(void) ExecEvalExprSwitchContext(arbiter->elements[i].state, arbiter->econtext,
										 &isnull);
		if (isnull)
			result = bms_add_member(result, i);
	}
	return result;
}

/*
 * CzArbiterQuals
 *		See arbiter.h.
 */
Node *
CzArbiterQuals(CzArbiter *arbiter, Bitmapset *nulls)
{
	List	   *quals = NIL;
	Node	   *condition;
	int			i;

	for (i = 0; i < arbiter->nelements; i++)
	{
		Element    *element = &arbiter->elements[i];

		if (bms_is_member(i, nulls))
		{
			NullTest   *test = makeNode(NullTest);

			test->arg = copyObject((Expr *) element->expr);
			test->nulltesttype = IS_NULL;
			test->argisrow = false;
			test->location = -1;
			quals = lappend(quals, test);
		}
		else
			quals = lappend(quals, equality(element));
	}
	condition = predicates(arbiter, !bms_is_empty(nulls));
	if (condition != NULL)
		quals = lappend(quals, condition);
	return (Node *) make_ands_explicit(quals);
}

/* ---- rows of the statement ------------------------------------------------ */

/*
 * What tells a row from all others that live: elements, and which predicates it has.
 * Returns false if nothing does: no index is unique for such a row.
 */
static bool
form_entry(CzArbiter *arbiter, TupleTableSlot *row)
{
	TupleTableSlot *slot = arbiter->slot;
	ExprContext *econtext = arbiter->econtext;
	MemoryContext old_context;
	bool		has_nulls = false;
	bool		is_unique = false;
	int			i;

	ResetExprContext(econtext);
	old_context = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	econtext->ecxt_scantuple = row;
	ExecClearTuple(slot);
	for (i = 0; i < arbiter->nelements; i++)
	{
		Element    *element = &arbiter->elements[i];

		slot->tts_values[i] = ExecEvalExpr(element->state, econtext, &slot->tts_isnull[i]);
		has_nulls |= slot->tts_isnull[i];
		if (element->is_text && !slot->tts_isnull[i])
		{
			Oid			output;
			bool		is_varlena;

			getTypeOutputInfo(exprType(element->expr), &output, &is_varlena);
			slot->tts_values[i] =
				CStringGetTextDatum(OidOutputFunctionCall(output, slot->tts_values[i]));
		}
	}
	for (i = 0; i < arbiter->nindexes; i++)
	{
		ArbiterIndex *index = &arbiter->indexes[i];
		int			n = arbiter->nelements + i;

		slot->tts_isnull[n] = false;
		slot->tts_values[n] = BoolGetDatum(index->state == NULL ||
										   ExecQual(index->state, econtext));
		is_unique |= DatumGetBool(slot->tts_values[n]) &&
			(!has_nulls || index->nulls_not_distinct);
	}
	ExecStoreVirtualTuple(slot);
	MemoryContextSwitchTo(old_context);
	return is_unique;
}

/*
 * CzArbiterNote
 *		See arbiter.h.
 */
void
CzArbiterNote(CzArbiter *arbiter, CzArbiterRows which, TupleTableSlot *row)
{
	bool		is_new;

	if (form_entry(arbiter, row))
		(void) LookupTupleHashEntry(arbiter->seen[which], arbiter->slot, &is_new, NULL);
}

/*
 * CzArbiterWasNoted
 *		See arbiter.h.
 */
bool
CzArbiterWasNoted(CzArbiter *arbiter, CzArbiterRows which, TupleTableSlot *row)
{
	return form_entry(arbiter, row) &&
		LookupTupleHashEntry(arbiter->seen[which], arbiter->slot, NULL, NULL) != NULL;
}
