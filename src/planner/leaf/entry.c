/*-------------------------------------------------------------------------
 *
 * entry.c
 *	  The range-table entry that a leaf is.
 *
 * A leaf is an RTE_FUNCTION that calls cz.fragment(), whose arguments are the
 * leaf's number and what its fragments are to be given.  The function itself is never
 * executed: the entry's path is a CustomPath (leaf.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "parser/parse_func.h"

#include "../planner_int.h"

PG_FUNCTION_INFO_V1(cz_fragment);

/*
 * cz_fragment
 *		The function of leaf RTEs.  It is planned away; to call it is an error.
 */
Datum
cz_fragment(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cz.fragment() cannot be called directly")));
	PG_RETURN_NULL();
}

static Oid
fragment_function(CzPlanState *state)
{
	Oid			argtypes[1] = {INT4OID};

	if (!OidIsValid(state->fragment_function))
		state->fragment_function =
			LookupFuncName(list_make2(makeString("cz"), makeString("fragment")), 1,
						   argtypes, false);
	return state->fragment_function;
}

/*
 * cz_make_leaf
 *		Register a leaf and make the range-table entry that stands for it.
 */
RangeTblEntry *
cz_make_leaf(CzPlanState *state, CzLeaf *leaf, List *names, List *types, List *typmods,
			 List *collations)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblFunction *func = makeNode(RangeTblFunction);

	state->leaves = lappend(state->leaves, leaf);
	func->funcexpr = (Node *)
		makeFuncExpr(fragment_function(state), RECORDOID,
					 list_make1(cz_int_const(list_length(state->leaves) - 1)),
					 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	((FuncExpr *) func->funcexpr)->funcretset = true;
	func->funccolcount = list_length(names);
	func->funccolnames = names;
	func->funccoltypes = types;
	func->funccoltypmods = typmods;
	func->funccolcollations = collations;

	rte->rtekind = RTE_FUNCTION;
	rte->functions = list_make1(func);
	rte->alias = NULL;
	rte->eref = makeAlias("fragment", copyObject(names));
	rte->inh = false;
	rte->inFromCl = true;
	return rte;
}

/*
 * cz_leaf_of_call
 *		The leaf that a call of cz.fragment() stands for, or NULL.
 */
CzLeaf *
cz_leaf_of_call(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;
	int			n;

	if (cz_plan_state == NULL || cz_plan_state->leaves == NIL || !IsA(call, FuncExpr) ||
		call->funcresulttype != RECORDOID ||
		call->funcid != cz_plan_state->fragment_function ||
		!IsA(linitial(call->args), Const))
		return NULL;
	n = DatumGetInt32(((Const *) linitial(call->args))->constvalue);
	if (n < 0 || n >= list_length(cz_plan_state->leaves))
		return NULL;
	return list_nth(cz_plan_state->leaves, n);
}

/*
 * cz_leaf_of_rte
 *		The leaf that a range-table entry stands for, or NULL.
 */
CzLeaf *
cz_leaf_of_rte(RangeTblEntry *rte)
{
	if (rte->rtekind != RTE_FUNCTION || list_length(rte->functions) != 1)
		return NULL;
	return cz_leaf_of_call(((RangeTblFunction *) linitial(rte->functions))->funcexpr);
}
