/*-------------------------------------------------------------------------
 *
 * conflict_checks.c
 *	  Policies and views in ON CONFLICT DO UPDATE.
 *
 * What the row that is there, and what will be made of it, must be like is known on the
 * shard only, and RETURNING does not show the former.  So the conditions go into WHERE,
 * those of the former before the user's own and those of the latter behind it:
 *
 *	WHERE CASE WHEN
 *		CASE WHEN condition THEN true ELSE ('cz~check~0~' || ...)::boolean END AND ...
 *	THEN CASE WHEN user's condition THEN the like ELSE false END ELSE false END
 *
 * A row that fails one is an error on the worker, whose text tells which one; it is
 * replaced by core's (executor's stream_modify.c).  What will be made of the row is what
 * DO UPDATE assigns, in place of the columns.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* Any column of the target whose test for NULL is one of a value. */
static Var *
some_column(Relation rel)
{
	int			i;

	for (i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		if (!att->attisdropped && !type_is_rowtype(att->atttypid))
			return makeVar(1, att->attnum, att->atttypid, att->atttypmod, att->attcollation, 0);
	}
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("ON CONFLICT with policies is not supported on table \"%s\", all of whose columns are rows",
					RelationGetRelationName(rel))));
	return NULL;
}

/* An expression of type boolean that fails, and that no planner computes early. */
static Node *
failing_condition(int n, Relation rel)
{
	NullTest   *test = makeNode(NullTest);
	CoerceViaIO *cast = makeNode(CoerceViaIO);
	FuncExpr   *text;
	Const	   *prefix;

	test->arg = (Expr *) some_column(rel);
	test->nulltesttype = IS_NULL;
	test->location = -1;
	text = makeFuncExpr(F_TEXT_BOOL, TEXTOID, list_make1(test), DEFAULT_COLLATION_OID,
						InvalidOid, COERCE_EXPLICIT_CAST);
	prefix = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
					   CStringGetTextDatum(psprintf(CZ_CHECK_TEXT "%d~", n)), false, false);
	cast->arg = (Expr *) makeFuncExpr(F_TEXTCAT, TEXTOID, list_make2(prefix, text),
									  DEFAULT_COLLATION_OID, DEFAULT_COLLATION_OID,
									  COERCE_EXPLICIT_CALL);
	cast->resulttype = BOOLOID;
	cast->coerceformat = COERCE_EXPLICIT_CAST;
	cast->location = -1;
	return (Node *) cast;
}

static Node *
make_case(Node *condition, Node *value, Node *otherwise)
{
	CaseExpr   *expr = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = (Expr *) condition;
	when->result = (Expr *) value;
	when->location = -1;
	expr->casetype = BOOLOID;
	expr->args = list_make1(when);
	expr->defresult = (Expr *) otherwise;
	expr->location = -1;
	return (Node *) expr;
}

/* The target's columns as DO UPDATE will leave them. */
static Node **
new_columns(Query *remote, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Node	  **columns = palloc0(sizeof(Node *) * desc->natts);
	ListCell   *lc;
	int			i;

	foreach(lc, remote->onConflict->onConflictSet)
	{
		TargetEntry *tle = lfirst(lc);

		/* parts of a column are assigned to the column that there is */
		columns[tle->resno - 1] = (Node *) tle->expr;
	}
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (columns[i] == NULL && !att->attisdropped && !att->attgenerated)
			columns[i] = (Node *) makeVar(1, i + 1, att->atttypid, att->atttypmod,
										  att->attcollation, 0);
	}
	return columns;
}

static bool
is_of_conflict(const WithCheckOption *option)
{
	return option->kind == WCO_RLS_CONFLICT_CHECK || option->kind == WCO_RLS_UPDATE_CHECK ||
		is_view_conflict_check_compat(option->kind);
}

/*
 * cz_guard_conflict
 *		Put the conditions of policies and views into DO UPDATE's WHERE.
 *
 * remote: the INSERT for the shards, its target number 1; those options are taken out.
 * checks: out, as CzFragmentPlan.conflict_checks.
 * Returns: false if one uses a system column.
 */
bool
cz_guard_conflict(Query *remote, Relation rel, List **checks)
{
	List	   *rest = NIL;
	List	   *guarded = NIL;
	List	   *of_old = NIL;
	List	   *of_new = NIL;
	Node	   *condition = makeBoolConst(true, false);
	int			pass;
	ListCell   *lc;

	/* the row that is there first, as core does */
	for (pass = 0; pass < 2; pass++)
	{
		foreach(lc, remote->withCheckOptions)
		{
			WithCheckOption *option = lfirst(lc);
			Node	   *qual = option->qual;
			bool		is_of_new = option->kind == WCO_RLS_UPDATE_CHECK;

			if (!is_of_conflict(option))
			{
				if (pass == 0)
					rest = lappend(rest, option);
				continue;
			}
			if (is_of_new != (pass == 1))
				continue;
			if (is_of_new && !cz_over_written(&qual, 1, rel, new_columns(remote, rel)))
				return false;
			qual = make_case(copyObject(qual), makeBoolConst(true, false),
							 failing_condition(list_length(guarded), rel));
			if (is_of_new)
				of_new = lappend(of_new, qual);
			else
				of_old = lappend(of_old, qual);
			guarded = lappend(guarded, option);
		}
	}
	*checks = cz_check_list(guarded);
	remote->withCheckOptions = rest;
	if (guarded == NIL)
		return true;
	/* nested, because AND has no order */
	if (remote->onConflict->onConflictWhere != NULL)
		condition = remote->onConflict->onConflictWhere;
	if (of_new != NIL)
		condition = make_case(condition, (Node *) make_ands_explicit(of_new),
							  makeBoolConst(false, false));
	if (of_old != NIL)
		condition = make_case((Node *) make_ands_explicit(of_old), condition,
							  makeBoolConst(false, false));
	remote->onConflict->onConflictWhere = condition;
	return true;
}
