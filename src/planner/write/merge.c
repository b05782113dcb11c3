/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  MERGE into a distributed table, row by row.
 *
 * The source of the write (rows.c) is made in three levels:
 *
 *		SELECT id, xmin, old columns, CASE action WHEN 1 THEN .. END new columns, action
 *		  FROM (SELECT *, CASE WHEN id IS NOT NULL THEN CASE WHEN condition THEN 1 ..
 *				  FROM (SELECT target.ctid id, target.xmin, target.*, columns of source
 *						  FROM target RIGHT JOIN source ON condition) joined) decided
 *		 WHERE action <> 0
 *
 * so each condition is computed once for a row, and values for the action that is taken
 * only.  The planner makes of that what it makes of any SELECT: all of it, or just the
 * join, is done on the shards where it can be.
 *
 * Where each shard has one placement and the whole statement is good on each of them, it is
 * sent as it is.
 *
 * Source: own work; what a MERGE means follows src/backend/optimizer/prep/prepjointree.c
 * and src/backend/executor/nodeModifyTable.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/write.h"

#include "../planner_int.h"

/* Columns of the joined rows: id and xmin, as of every source, then the target's. */
#define TARGET_COLUMN(attno) (CZ_SOURCE_FIRST - 1 + (attno))

/* A sub-query that assigns several columns and must be computed once: it is volatile. */
typedef struct MergeMulti
{
	SubLink    *sublink;
	int			action;			/* that it is of, from 1 */
	AttrNumber	column;			/* of the level that computes it; 0: not known yet */
} MergeMulti;

/* Vars of it are columns of the MergeMultis, until it is known which columns these are. */
#define RTI_MULTI 60004

typedef struct MergeContext
{
	Query	   *query;			/* the MERGE */
	Oid			relid;
	int			natts;			/* of the target */
	List	   *joined;			/* TargetEntries of the joined rows */
	int			depth;			/* sub-queries around */
	List	   *multis;			/* MergeMultis; they take a level of their own */
	List	   *returned;		/* Vars of the source that RETURNING has */
	List	   *returned_columns;	/* ints: columns of what make_source() gives, for each */
} MergeContext;

/* ---- the joined rows ----------------------------------------------------- */

/* Which column of the joined rows a Var of the statement is. */
static AttrNumber
joined_column(Var *var, MergeContext *context)
{
	Var		   *own;
	TargetEntry *tle;
	AttrNumber	resno;

	if (var->varno == context->query->resultRelation && var->varattno > 0)
		return TARGET_COLUMN(var->varattno);
	own = copyObject(var);
	own->varlevelsup = 0;
	own->location = -1;
	own->varnosyn = own->varno;
	own->varattnosyn = own->varattno;
	tle = tlist_member((Expr *) own, context->joined);
	if (tle != NULL)
		return tle->resno;
	resno = list_length(context->joined) + 1;
	context->joined = lappend(context->joined,
							  makeTargetEntry((Expr *) own, resno, psprintf("c%d", resno),
											  false));
	return resno;
}

/* Vars of the statement become columns of the joined rows, range-table entry 1. */
static Node *
joined_mutator(Node *node, MergeContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && (int) ((Var *) node)->varlevelsup == context->depth)
	{
		Var		   *var = (Var *) node;

		if (var->varno == RTI_MULTI)
			return node;
		if (var->varno == context->query->resultRelation)
		{
			if (var->varattno == TableOidAttributeNumber)
				return cz_oid_const(context->relid);
			if (var->varattno == 0)
				return joined_mutator(cz_row_expr(context->relid, var->varno, context->depth),
									  context);
		}
		return (Node *) makeVar(1, joined_column(var, context), var->vartype, var->vartypmod,
								var->varcollid, context->depth);
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, joined_mutator, context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, joined_mutator, (void *) context);
}

/* An expression of the statement over the joined rows, n levels below the statement. */
static Node *
over_joined(Node *expr, int levels, MergeContext *context)
{
	expr = joined_mutator(copyObject(expr), context);
	cz_raise_ctes(expr, levels);
	return expr;
}

/*
 * The join of target and source, without columns.
 *
 * join_rti: out: its range-table entry.
 */
static Query *
join_of(Query *query, JoinType type, Index *join_rti)
{
	Query	   *joined = copyObject(query);
	Index		rti = query->resultRelation;
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	JoinExpr   *join = makeNode(JoinExpr);
	RangeTblRef *ref = makeNode(RangeTblRef);

	joined->commandType = CMD_SELECT;
	joined->resultRelation = 0;
	joined->canSetTag = true;
	joined->withCheckOptions = NIL;
	joined->returningList = NIL;
	joined->cteList = NIL;
	joined->hasModifyingCTE = false;
	joined->hasRecursive = false;
	joined->mergeActionList = NIL;
	rt_fetch(rti, joined->rtable)->inFromCl = true;

	rte->rtekind = RTE_JOIN;
	rte->jointype = type;
	rte->eref = makeAlias("unnamed_join", NIL);
	rte->inFromCl = true;
	joined->rtable = lappend(joined->rtable, rte);
	ref->rtindex = rti;
	join->jointype = type;
	join->larg = (Node *) ref;
	join->rarg = linitial(joined->jointree->fromlist);
	join->quals = merge_condition_compat(joined);
	join->rtindex = *join_rti = list_length(joined->rtable);
	joined->jointree = makeFromExpr(list_make1(join), NULL);
	joined->targetList = NIL;
	merge_forget_compat(joined);
	return joined;
}

/* With an INSERT, what has no partner counts, of the target with BY SOURCE. */
static JoinType
type_of_join(Query *query)
{
	bool		by_source = !merge_is_of_15_compat(query);
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		if (((MergeAction *) lfirst(lc))->commandType == CMD_INSERT)
			return by_source ? JOIN_FULL : JOIN_RIGHT;
	}
	return by_source ? JOIN_LEFT : JOIN_INNER;
}

/*
 * A column of the source that is not NULL in what matches: it tells whether there is a row
 * of the source.  NULL if the condition lets none be found.
 */
static Var *
proof_of_source(Query *query)
{
	Node	   *condition = flatten_join_alias_vars_compat(query, copyObject(merge_condition_compat(query)));
	ListCell   *lc;

	foreach(lc, pull_vars_of_level(condition, 0))
	{
		Var		   *var = lfirst(lc);

		if (var->varno != query->resultRelation && var->varattno > 0 &&
			forces_nonnullable_var_compat(list_make1(condition), var->varno, var->varattno))
			return var;
	}
	return NULL;
}

/* The joined rows, as the sub-query of a sub-query of the source. */
static Query *
make_joined(MergeContext *context)
{
	Index		rti = context->query->resultRelation;
	Index		join_rti;
	JoinType	type = type_of_join(context->query);
	Query	   *joined = join_of(context->query, type, &join_rti);
	ListCell   *lc;

	joined->targetList = context->joined;
	foreach(lc, joined->targetList)
	{
		Var		   *var = (Var *) ((TargetEntry *) lfirst(lc))->expr;

		if (!IsA(var, Var))
			continue;
		if (var->varno == rti ? type == JOIN_RIGHT || type == JOIN_FULL :
			type == JOIN_LEFT || type == JOIN_FULL)
			var_add_nulling_join_compat(var, join_rti);
	}
	cz_reduce_full_joins(joined);
	cz_raise_ctes((Node *) joined, context->multis != NIL ? 4 : 3);
	return joined;
}

/* ---- levels above -------------------------------------------------------- */

/* SELECT FROM a sub-query, without columns as yet. */
static Query *
select_from(Query *sub)
{
	Query	   *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, sub->targetList)
		names = lappend(names, makeString(pstrdup(((TargetEntry *) lfirst(lc))->resname)));
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = sub;
	rte->eref = makeAlias("joined", names);
	rte->alias = makeAlias("joined", NIL);
	rte->inFromCl = true;
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->hasRowSecurity = sub->hasRowSecurity;
	return query;
}

static int
add_column(Query *query, Node *expr)
{
	int			n = list_length(query->targetList) + 1;

	query->targetList = lappend(query->targetList,
								makeTargetEntry((Expr *) expr, n, psprintf("c%d", n), false));
	return n;
}

/* A column of entry 1 as it stands in a target list. */
static Var *
column_of(List *targets, AttrNumber n)
{
	Node	   *expr = (Node *) ((TargetEntry *) list_nth(targets, n - 1))->expr;

	return makeVar(1, n, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
}

static CaseWhen *
make_when(Node *condition, Node *result)
{
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = (Expr *) condition;
	when->result = (Expr *) result;
	when->location = -1;
	return when;
}

static CaseExpr *
make_case(Oid type, Oid collation, List *whens, Node *otherwise)
{
	CaseExpr   *expr = makeNode(CaseExpr);

	expr->casetype = type;
	expr->casecollid = collation;
	expr->args = whens;
	expr->defresult = (Expr *) otherwise;
	expr->location = -1;
	return expr;
}

/*
 * The number of the action for joined rows that have both rows (is_matched), or only the
 * target's (by_source), or only the source's.
 */
static Node *
first_action(bool is_matched, bool by_source, MergeContext *context)
{
	List	   *whens = NIL;
	Node	   *otherwise = cz_int_const(0);
	ListCell   *lc;

	foreach(lc, context->query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);
		int			number = foreach_current_index(lc) + 1;
		Node	   *qual = action->qual;

		if (merge_action_is_matched_compat(action) != is_matched ||
			merge_action_is_by_source_compat(action) != by_source)
			continue;
		if (action->commandType == CMD_NOTHING)
			number = 0;
		if (qual != NULL && IsA(qual, List))
			qual = (Node *) make_ands_explicit((List *) qual);
		if (qual == NULL)
		{
			otherwise = cz_int_const(number);
			break;
		}
		whens = lappend(whens, make_when(over_joined(qual, context->multis != NIL ? 3 : 2,
													 context),
										 cz_int_const(number)));
	}
	if (whens == NIL)
		return otherwise;
	return (Node *) make_case(INT4OID, InvalidOid, whens, otherwise);
}

/* A number if an expression is not NULL, else another one. */
static Node *
if_there(Node *expr, Node *number, Node *otherwise)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) expr;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return (Node *) make_case(INT4OID, InvalidOid, list_make1(make_when((Node *) test, number)),
							  otherwise);
}

static Node *
choose_action(MergeContext *context)
{
	Node	   *number = first_action(true, false, context);

	if (!merge_is_of_15_compat(context->query))
		number = if_there(over_joined((Node *) proof_of_source(context->query),
									  context->multis != NIL ? 3 : 2, context),
						  number, first_action(false, true, context));
	return if_there((Node *) makeVar(1, CZ_SOURCE_ID, TIDOID, -1, InvalidOid, 0), number,
					first_action(false, false, context));
}

static Node *
is_number(Node *value, int number, Oid opno)
{
	OpExpr	   *op = (OpExpr *) make_opclause(opno, BOOLOID, false, copyObject((Expr *) value),
											  (Expr *) cz_int_const(number), InvalidOid,
											  InvalidOid);

	set_opfuncid(op);
	return (Node *) op;
}

static TargetEntry *
assignment_of(MergeAction *action, AttrNumber attno)
{
	ListCell   *lc;

	foreach(lc, action->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		if (!tle->resjunk && tle->resno == attno)
			return tle;
	}
	return NULL;
}

/* What the actions make of a column of the target; NULL if none assigns it. */
static Node *
new_value(Form_pg_attribute att, Node *number, MergeContext *context)
{
	List	   *whens = NIL;
	bool		is_assigned = false;
	ListCell   *lc;

	foreach(lc, context->query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);
		TargetEntry *tle;
		Node	   *value;

		if (action->commandType != CMD_INSERT && action->commandType != CMD_UPDATE)
			continue;
		tle = assignment_of(action, att->attnum);
		is_assigned |= tle != NULL;
		if (tle != NULL)
			value = over_joined((Node *) tle->expr, 1, context);
		else if (action->commandType == CMD_INSERT)
			continue;
		else
			value = (Node *) makeVar(1, TARGET_COLUMN(att->attnum), att->atttypid,
									 att->atttypmod, att->attcollation, 0);
		whens = lappend(whens,
						make_when(is_number(number, foreach_current_index(lc) + 1,
											Int4EqualOperator), value));
	}
	if (!is_assigned)
		return NULL;
	return (Node *) make_case(att->atttypid, att->attcollation, whens,
							  (Node *) makeNullConst(att->atttypid, -1, att->attcollation));
}

/* The target's part of the joined rows. */
static List *
target_columns(Index rti, TupleDesc desc, bool is_partitioned)
{
	List	   *columns = NIL;
	Node	   *expr;
	int			i;

	expr = (Node *) makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);
	columns = lappend(columns, makeTargetEntry((Expr *) expr, CZ_SOURCE_ID, "id", false));
	expr = (Node *) makeVar(rti, MinTransactionIdAttributeNumber, XIDOID, -1, InvalidOid, 0);
	columns = lappend(columns, makeTargetEntry((Expr *) expr, CZ_SOURCE_XMIN, "xmin1", false));
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			expr = (Node *) makeNullConst(INT4OID, -1, InvalidOid);
		else
			expr = (Node *) makeVar(rti, i + 1, att->atttypid, att->atttypmod,
									att->attcollation, 0);
		columns = lappend(columns, makeTargetEntry((Expr *) expr, TARGET_COLUMN(i + 1),
												   psprintf("c%d", TARGET_COLUMN(i + 1)),
												   false));
	}
	if (is_partitioned)
	{
		expr = (Node *) makeVar(rti, TableOidAttributeNumber, OIDOID, -1, InvalidOid, 0);
		columns = lappend(columns, makeTargetEntry((Expr *) expr,
												   TARGET_COLUMN(desc->natts + 1), "table",
												   false));
	}
	return columns;
}

/* ---- sub-queries that assign several columns ------------------------------ */

/* (SELECT value FROM what the query reads) */
static SubLink *
value_of_sublink(Node *value, Query *query)
{
	SubLink    *result = makeNode(SubLink);

	add_column(query, value);
	result->subLinkType = EXPR_SUBLINK;
	result->subselect = (Node *) query;
	result->location = -1;
	return result;
}

/* All of them as a row. */
static Node *
row_of_sublink(SubLink *multi)
{
	Query	   *sub = (Query *) copyObject(multi->subselect);
	RowExpr    *row = makeNode(RowExpr);
	Query	   *query;
	ListCell   *lc;

	IncrementVarSublevelsUp((Node *) sub, 1, 1);
	query = select_from(sub);
	foreach(lc, sub->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk)
			continue;
		row->args = lappend(row->args, (Node *) column_of(sub->targetList, tle->resno));
		row->colnames = lappend(row->colnames, makeString(psprintf("f%d", tle->resno)));
	}
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_EXPLICIT_CALL;
	row->location = -1;
	return (Node *) value_of_sublink((Node *) row, query);
}

static Node *
multi_column_mutator(Node *node, MergeContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == RTI_MULTI)
	{
		MergeMulti *multi = list_nth(context->multis, ((Var *) node)->varattno - 1);

		return (Node *) makeVar(1, multi->column, RECORDOID, -1, InvalidOid, 0);
	}
	return expression_tree_mutator(node, multi_column_mutator, (void *) context);
}

/*
 * A level above the rows whose action is known: the same columns, and for each of the
 * sub-queries a row, where its action is done.
 *
 * rows: what row_of_sublink() gives, over the joined rows.
 */
static Query *
compute_multis(Query *decided, List *rows, Node *number, MergeContext *context)
{
	Query	   *computed = select_from(decided);
	ListCell   *lc;
	ListCell   *lr;

	foreach(lc, decided->targetList)
		add_column(computed, (Node *) column_of(decided->targetList,
												foreach_current_index(lc) + 1));
	forboth(lc, context->multis, lr, rows)
	{
		MergeMulti *multi = lfirst(lc);
		Node	   *test = is_number(number, multi->action, Int4EqualOperator);

		multi->column =
			add_column(computed, (Node *)
					   make_case(RECORDOID, InvalidOid,
								 list_make1(make_when(test, lfirst(lr))),
								 (Node *) makeNullConst(RECORDOID, -1, InvalidOid)));
	}
	computed->hasSubLinks = true;
	return computed;
}

/*
 * The source of a MERGE; write gets what is known of its columns.
 */
static Query *
make_source(MergeContext *context, TupleDesc desc, CzRowWrite *write)
{
	Query	   *decided;
	Query	   *source;
	Node	   *action;
	List	   *values = NIL;
	List	   *rows = NIL;
	List	   *returned = NIL;
	Var		   *number;
	ListCell   *lc;
	int			i;

	foreach(lc, context->query->mergeActionList)
		write->actions = lappend_int(write->actions,
									 ((MergeAction *) lfirst(lc))->commandType);

	/* expressions first: they say which columns of the other side are needed */
	context->joined = target_columns(context->query->resultRelation, desc,
									 CzTableGet(context->relid)->is_partitioned);
	action = choose_action(context);
	number = makeVar(1, 0, INT4OID, -1, InvalidOid, 0);
	for (i = 0; i < desc->natts; i++)
		values = lappend(values, TupleDescAttr(desc, i)->attisdropped ? NULL :
						 new_value(TupleDescAttr(desc, i), (Node *) number, context));
	foreach(lc, context->returned)
		returned = lappend_int(returned, joined_column(lfirst(lc), context));
	foreach(lc, context->multis)
		rows = lappend(rows, over_joined(row_of_sublink(((MergeMulti *) lfirst(lc))->sublink),
										 2, context));
	decided = select_from(make_joined(context));
	foreach(lc, context->joined)
		add_column(decided, (Node *) column_of(context->joined, foreach_current_index(lc) + 1));
	decided->hasSubLinks = checkExprHasSubLink(action);
	number->varattno = add_column(decided, action);
	if (context->multis != NIL)
	{
		decided = compute_multis(decided, rows, (Node *) number, context);
		values = (List *) multi_column_mutator((Node *) values, context);
	}

	source = select_from(decided);
	source->jointree->quals = is_number((Node *) number, 0,
										get_negator(Int4EqualOperator));
	add_column(source, (Node *) column_of(context->joined, CZ_SOURCE_ID));
	add_column(source, (Node *) column_of(context->joined, CZ_SOURCE_XMIN));
	for (i = 0; i < desc->natts; i++)
		write->old_columns =
			lappend_int(write->old_columns, TupleDescAttr(desc, i)->attisdropped ? 0 :
						add_column(source, (Node *) column_of(context->joined,
															  TARGET_COLUMN(i + 1))));
	if (CzTableGet(context->relid)->is_partitioned)
		write->table_column =
			add_column(source, (Node *) column_of(context->joined,
												  TARGET_COLUMN(desc->natts + 1)));
	foreach(lc, values)
	{
		Node	   *value = lfirst(lc);
		ListCell   *lw;

		if (value == NULL)
		{
			write->new_columns = lappend_int(write->new_columns, 0);
			continue;
		}
		/* now it is known which column the number is */
		foreach(lw, ((CaseExpr *) value)->args)
			linitial(((OpExpr *) ((CaseWhen *) lfirst(lw))->expr)->args) = copyObject(number);
		write->new_columns = lappend_int(write->new_columns, add_column(source, value));
		source->hasSubLinks |= checkExprHasSubLink(value);
	}
	write->action_column = add_column(source, copyObject((Node *) number));
	foreach(lc, returned)
		context->returned_columns =
			lappend_int(context->returned_columns,
						add_column(source, (Node *) column_of(context->joined, lfirst_int(lc))));
	return source;
}

/* ---- WITH CHECK conditions ----------------------------------------------- */

typedef struct CheckContext
{
	Query	   *query;
	Oid			relid;
	int			offset;			/* added to the target's attribute numbers */
	int			depth;
} CheckContext;

static Node *
check_mutator(Node *node, CheckContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && (int) ((Var *) node)->varlevelsup == context->depth)
	{
		Var		   *var = (Var *) node;
		Node	   *expr;

		if (var->varattno == TableOidAttributeNumber)
			return cz_oid_const(context->relid);
		if (var->varattno == 0)
			return check_mutator(cz_row_expr(context->relid, var->varno, context->depth),
								 context);
		expr = cz_virtual_column(context->relid, var);
		if (expr != NULL)
			return check_mutator(expr, context);
		return (Node *) makeVar(1, context->offset + var->varattno, var->vartype,
								var->vartypmod, var->varcollid, context->depth);
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, check_mutator, context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, check_mutator, (void *) context);
}

/* Is the action of a row, whose number is a column of the leaf, a command? */
static Node *
is_command(CmdType command, AttrNumber column, MergeContext *context)
{
	Node	   *number = (Node *) makeVar(1, column, INT4OID, -1, InvalidOid, 0);
	List	   *tests = NIL;
	ListCell   *lc;

	foreach(lc, context->query->mergeActionList)
	{
		if (((MergeAction *) lfirst(lc))->commandType == command)
			tests = lappend(tests, is_number(number, foreach_current_index(lc) + 1,
											 Int4EqualOperator));
	}
	return tests == NIL ? NULL : (Node *) make_orclause(tests);
}

/*
 * WITH CHECK conditions as one qualifier of the rows that the leaf gives out: the new
 * row, the number of the action, the old row.
 */
static Node *
check_qual(MergeContext *context)
{
	CheckContext check = {context->query, context->relid, 0, 0};
	Node	   *before = NULL;
	ListCell   *lc;

	foreach(lc, context->query->withCheckOptions)
	{
		WithCheckOption *option = lfirst(lc);
		bool		is_old = option->kind == WCO_RLS_MERGE_UPDATE_CHECK ||
			option->kind == WCO_RLS_MERGE_DELETE_CHECK;
		CmdType		command = option->kind == WCO_RLS_MERGE_DELETE_CHECK ? CMD_DELETE :
			option->kind == WCO_RLS_INSERT_CHECK ? CMD_INSERT : CMD_UPDATE;
		Node	   *qual = option->qual;
		Node	   *applies = is_command(command, context->natts + 1, context);

		if (qual != NULL && IsA(qual, List))
			qual = (Node *) make_ands_explicit((List *) qual);
		if (qual == NULL || applies == NULL)
			continue;
		check.offset = is_old ? context->natts + 1 : 0;
		qual = (Node *) make_case(BOOLOID, InvalidOid,
								  list_make1(make_when(applies, check_mutator(qual, &check))),
								  makeBoolConst(true, false));
		before = cz_check_call(option, before, qual);
	}
	return before;
}

/* ---- RETURNING ------------------------------------------------------------ */

typedef struct MergeReturnContext
{
	MergeContext *merge;
	int			depth;
} MergeReturnContext;

/* The words of merge_action(). */
static Node *
action_words(MergeContext *context)
{
	Node	   *number = (Node *) makeVar(1, context->natts + 1, INT4OID, -1, InvalidOid, 0);
	List	   *whens = NIL;
	ListCell   *lc;

	foreach(lc, context->query->mergeActionList)
	{
		CmdType		command = ((MergeAction *) lfirst(lc))->commandType;
		const char *word = command == CMD_INSERT ? "INSERT" : command == CMD_UPDATE ? "UPDATE" :
			"DELETE";

		if (command == CMD_NOTHING)
			continue;
		whens = lappend(whens,
						make_when(is_number(number, foreach_current_index(lc) + 1, Int4EqualOperator),
								  (Node *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
													 CStringGetTextDatum(word), false, false)));
	}
	return whens == NIL ? (Node *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID) :
		(Node *) make_case(TEXTOID, DEFAULT_COLLATION_OID, whens,
						   (Node *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID));
}

/* NULL where the action is a command, which leaves no row of the kind. */
static Node *
unless_command(CmdType command, Node *value, MergeReturnContext *context)
{
	Node	   *test = is_command(command, context->merge->natts + 1, context->merge);

	if (test == NULL)
		return value;
	IncrementVarSublevelsUp(test, context->depth, 0);
	return (Node *) make_case(exprType(value), exprCollation(value),
							  list_make1(make_when(test, (Node *) makeNullConst(exprType(value),
																				exprTypmod(value),
																				exprCollation(value)))),
							  value);
}

/* A Var of RETURNING over the leaf: the row, the number of the action, the old row, the source's. */
static Node *
returned_var(Var *var, MergeReturnContext *context)
{
	MergeContext *merge = context->merge;
	int			natts = merge->natts;
	ListCell   *lc;

	if (var->varno == merge->query->resultRelation)
	{
		Node	   *column;

		if (var->varattno == TableOidAttributeNumber)
			return cz_oid_const(merge->relid);
		if (var->varattno < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("RETURNING of the new row's system columns is not supported"),
					 errdetail("The rows of \"%s\" are written when the statement ends.",
							   get_rel_name(merge->relid))));
		column = (Node *) makeVar(1, var_is_old_compat(var) ? natts + 1 + var->varattno : var->varattno,
								  var->vartype, var->vartypmod, var->varcollid, context->depth);
		return var_is_new_compat(var) ? unless_command(CMD_DELETE, column, context) : column;
	}
	foreach(lc, merge->returned)
	{
		Var		   *known = lfirst(lc);

		if (known->varno == var->varno && known->varattno == var->varattno)
			return (Node *) makeVar(1, 2 * natts + 2 + foreach_current_index(lc), var->vartype,
									var->vartypmod, var->varcollid, context->depth);
	}
	elog(ERROR, "a column of MERGE's RETURNING is missing");
	return NULL;
}

static Node *
returned_mutator(Node *node, MergeReturnContext *context)
{
	if (node == NULL)
		return NULL;
	if (is_merge_action_compat(node))
	{
		Node	   *words = action_words(context->merge);

		IncrementVarSublevelsUp(words, context->depth, 0);
		return words;
	}
	if (returning_expr_compat(node) != NULL)
		return unless_command(returning_expr_is_old_compat(node) ? CMD_INSERT : CMD_DELETE,
							  returned_mutator(returning_expr_compat(node), context), context);
	if (IsA(node, Var) && (int) ((Var *) node)->varlevelsup == context->depth)
	{
		Var		   *var = (Var *) node;
		bool		is_target = var->varno == context->merge->query->resultRelation;
		Node	   *expr = NULL;

		if (is_target && var->varattno == 0)
			expr = cz_row_expr(context->merge->relid, var->varno, context->depth);
		else if (is_target && !var_is_old_compat(var))
			expr = cz_virtual_column(context->merge->relid, var);
		if (expr == NULL)
			return returned_var(var, context);
		if (var_is_old_compat(var))
		{
			CheckContext old = {context->merge->query, context->merge->relid,
				context->merge->natts + 1, context->depth};

			return unless_command(CMD_INSERT, check_mutator(expr, &old), context);
		}
		expr = returned_mutator(expr, context);
		return var_is_new_compat(var) ? unless_command(CMD_DELETE, expr, context) : expr;
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, returned_mutator, context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, returned_mutator, (void *) context);
}

/* Note which of the source's columns RETURNING wants. */
static void
collect_returned(MergeContext *context)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, pull_vars_of_level((Node *) context->query->returningList, 0))
	{
		Var		   *var = copyObject(lfirst(lc));

		var->varlevelsup = 0;
		if (var->varno == context->query->resultRelation)
			continue;
		foreach(lk, context->returned)
		{
			Var		   *known = lfirst(lk);

			if (known->varno == var->varno && known->varattno == var->varattno)
				break;
		}
		if (lk == NULL)
			context->returned = lappend(context->returned, var);
	}
}

/* ---- the write ----------------------------------------------------------- */

typedef struct SplitContext
{
	MergeContext *context;
	int			action;			/* number, from 1 */
	List	   *junk;			/* its TargetEntries of sub-queries */
} SplitContext;

/* One column of a sub-query that assigns several. */
static Node *
column_of_sublink(SubLink *multi, int column)
{
	Query	   *sub = (Query *) copyObject(multi->subselect);
	Query	   *query;

	IncrementVarSublevelsUp((Node *) sub, 1, 1);
	query = select_from(sub);
	return (Node *) value_of_sublink((Node *) column_of(sub->targetList, column), query);
}

/* A column of a sub-query that is computed once, as a row. */
static Node *
field_of_multi(SubLink *multi, int column, SplitContext *split)
{
	TargetEntry *tle = get_tle_by_resno(((Query *) multi->subselect)->targetList, column);
	MergeMulti *known = NULL;
	FieldSelect *field = makeNode(FieldSelect);
	ListCell   *lc;
	int			n = 0;

	foreach(lc, split->context->multis)
	{
		known = lfirst(lc);
		n++;
		if (known->sublink == multi)
			break;
	}
	if (lc == NULL)
	{
		known = palloc0(sizeof(MergeMulti));
		known->sublink = multi;
		known->action = split->action;
		split->context->multis = lappend(split->context->multis, known);
		n = list_length(split->context->multis);
	}
	field->arg = (Expr *) makeVar(RTI_MULTI, n, RECORDOID, -1, InvalidOid, 0);
	field->fieldnum = column;
	field->resulttype = exprType((Node *) tle->expr);
	field->resulttypmod = exprTypmod((Node *) tle->expr);
	field->resultcollid = exprCollation((Node *) tle->expr);
	return (Node *) field;
}

/*
 * Values of a sub-query that assigns several columns become sub-queries of their own; if
 * it is volatile, fields of the row that it gives.
 */
static Node *
multi_mutator(Node *node, SplitContext *split)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
	{
		int			id = ((Param *) node)->paramid;
		ListCell   *lc;

		foreach(lc, split->junk)
		{
			SubLink    *multi = (SubLink *) ((TargetEntry *) lfirst(lc))->expr;

			if (!IsA(multi, SubLink) || multi->subLinkId != id >> 16)
				continue;
			return contain_volatile_functions(multi->subselect) ?
				field_of_multi(multi, id & 0xFFFF, split) :
				column_of_sublink(multi, id & 0xFFFF);
		}
		elog(ERROR, "a sub-query that assigns several columns is missing");
	}
	return expression_tree_mutator(node, multi_mutator, (void *) split);
}

static void
split_assignments(Query *query, MergeContext *context)
{
	ListCell   *lc;
	ListCell   *lt;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);
		SplitContext split = {context, foreach_current_index(lc) + 1, NIL};

		foreach(lt, action->targetList)
		{
			if (!((TargetEntry *) lfirst(lt))->resjunk)
				continue;
			split.junk = lappend(split.junk, lfirst(lt));
			action->targetList = foreach_delete_current(action->targetList, lt);
		}
		if (split.junk != NIL)
			action->targetList = (List *) multi_mutator((Node *) action->targetList, &split);
	}
}

/* What the executor must know of the table and of what is done to it. */
static void
describe_target(Query *query, Relation rel, CzRowWrite *write)
{
	Bitmapset  *key_columns = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	ListCell   *lc;
	ListCell   *lt;

	write->command = CMD_MERGE;
	write->relid = RelationGetRelid(rel);
	write->check_as_user =
		rte_check_as_user_compat(query, rt_fetch(query->resultRelation, query->rtable));
	write->can_set_tag = query->canSetTag;
	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);

		write->locks_key |= action->commandType == CMD_DELETE;
		foreach(lt, action->commandType == CMD_UPDATE ? action->targetList : NIL)
		{
			TargetEntry *tle = lfirst(lt);

			write->assigned = list_append_unique_int(write->assigned, tle->resno);
			write->locks_key |= bms_is_member(tle->resno - FirstLowInvalidHeapAttributeNumber,
											  key_columns);
		}
	}
	write->key = cz_row_key(rel, write->assigned);
}

/*
 * cz_merge_by_rows
 *		Make a MERGE into a distributed table, in place, a SELECT over a leaf that does
 *		it row by row.
 */
void
cz_merge_by_rows(Query *query, CzPlanState *state)
{
	RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);
	Relation	rel = table_open(target->relid, NoLock);
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	CzRowWrite *write = palloc0(sizeof(CzRowWrite));
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	RangeTblRef *ref = makeNode(RangeTblRef);
	MergeContext context = {query, target->relid, desc->natts};
	List	   *extra = NIL;
	MergeReturnContext returned = {&context, 0};
	List	   *returning;
	Node	   *checks;
	Query	   *source;
	int			width;

	if (!merge_is_of_15_compat(query) && proof_of_source(query) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("MERGE with WHEN NOT MATCHED BY SOURCE is not supported on distributed table \"%s\" with this condition",
						RelationGetRelationName(rel)),
				 errdetail("No column of the source has to be set for its rows to match."),
				 errhint("Join by a column of the source, as in ON target.id = source.id.")));
	cz_drop_unread_ctes(query);
	split_assignments(query, &context);
	collect_returned(&context);
	describe_target(query, rel, write);
	table_close(rel, NoLock);
	source = make_source(&context, desc, write);
	checks = check_qual(&context);
	returning = (List *) returned_mutator((Node *) query->returningList, &returned);
	if (checks != NULL || returning != NIL)
	{
		ListCell   *lc;

		write->extra_columns = lappend_int(NIL, write->action_column);
		extra = list_make1(cz_int_const(0));
		foreach(lc, write->old_columns)
		{
			int			n = lfirst_int(lc);

			/* any column does for a dropped one */
			if (n == 0)
				n = write->action_column;
			write->extra_columns = lappend_int(write->extra_columns, n);
			extra = lappend(extra, ((TargetEntry *) list_nth(source->targetList, n - 1))->expr);
		}
		foreach(lc, context.returned_columns)
		{
			write->extra_columns = lappend_int(write->extra_columns, lfirst_int(lc));
			extra = lappend(extra, ((TargetEntry *) list_nth(source->targetList,
															 lfirst_int(lc) - 1))->expr);
		}
	}
	write->gives_rows = checks != NULL || returning != NIL;
	write->source_name = cz_free_cte_name(pstrdup("cz_write_source"), query->cteList, NIL);

	leaf->write = write;
	leaf->source = makeNode(RangeTblEntry);
	leaf->source->rtekind = RTE_SUBQUERY;
	leaf->source->subquery = makeNode(Query);
	leaf->source->subquery->commandType = CMD_SELECT;
	state->has_row_ids = true;
	cz_estimate(source, state, &leaf->rows, &width);

	query->commandType = CMD_SELECT;
	query->resultRelation = 0;
	query->mergeActionList = NIL;
	merge_forget_compat(query);
	query->targetList = returning;
	query->returningList = NIL;
	query->withCheckOptions = NIL;
	query->constraintDeps = NIL;
	query->hasSubLinks = checkExprHasSubLink((Node *) returning) || checkExprHasSubLink(checks);
	query->rtable = list_make1(cz_write_leaf_rte(desc, extra, leaf, state));
	query_clear_permissions_compat(query);
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref), checks);
	query->cteList = lappend(query->cteList, cz_write_source_cte(source, write->source_name));
	cz_rewrite_parts(query, state);
}

/* ---- sent as it is ------------------------------------------------------- */

/* Has each shard one placement? */
static bool
has_single_placements(const CzTable *table)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].nplacements != 1)
			return false;
	}
	return table->nshards > 0;
}

/*
 * Say of each column that an INSERT leaves out that it is NULL: what the shard's default
 * is does not count.
 */
static void
assign_nulls(MergeAction *action, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated || assignment_of(action, i + 1) != NULL)
			continue;
		action->targetList =
			lappend(action->targetList,
					makeTargetEntry((Expr *) makeNullConst(att->atttypid, att->atttypmod,
														   att->attcollation),
									i + 1, pstrdup(NameStr(att->attname)), false));
	}
}

/*
 * Do the actions leave rows in the shard where they find them?  keys, classes: of the
 * joined rows.
 */
static bool
actions_stay(Query *query, Relation rel, const CzTable *table, Query *joined, List *keys,
			 List *classes)
{
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);
		TargetEntry *tle = assignment_of(action, table->key_attno);
		ListCell   *lt;

		if (cz_has_triggers(rel, action->commandType))
			return false;
		foreach(lt, action->targetList)
		{
			if (((TargetEntry *) lfirst(lt))->resjunk)
				return false;
		}
		if (action->commandType == CMD_INSERT)
		{
			if (table->key_attno != 0 &&
				(tle == NULL || !cz_is_key_expr((Node *) tle->expr, joined, keys, classes)))
				return false;
			assign_nulls(action, rel);
		}
		else if (tle != NULL && table->key_attno != 0 && !(IsA(tle->expr, Var) &&
								  ((Var *) tle->expr)->varno == query->resultRelation &&
								  ((Var *) tle->expr)->varattno == table->key_attno))
			return false;
	}
	return true;
}

/*
 * cz_merge_is_sent
 *		May a MERGE be sent to the shards as it is?
 *
 * query: changed.
 * locus: out, where to.
 */
bool
cz_merge_is_sent(Query *query, const CzTable *table, CzPlanState *state, CzLocus *locus)
{
	Relation	rel;
	Query	   *joined;
	List	   *keys;
	List	   *classes;
	Index		join_rti;
	const char *reason;
	bool		stays;

	if (!cz_enable_pushdown || query->withCheckOptions != NIL || query->cteList != NIL ||
		query->returningList != NIL || query->hasSubLinks || state->has_row_ids ||
		cz_query_has_barriers(query) || !merge_is_of_15_compat(query) ||
		!has_single_placements(table) || contain_volatile_functions((Node *) query))
		return false;
	joined = join_of(query, type_of_join(query), &join_rti);
	*locus = cz_query_locus(joined, state);
	if (locus->kind != CZ_LOCUS_SHARDED || locus->outer_keys != NIL)
		return false;
	keys = cz_from_keys(joined, state, &classes);
	rel = table_open(table->relid, NoLock);
	stays = actions_stay(query, rel, table, joined, keys, classes);
	table_close(rel, NoLock);
	return stays && cz_query_is_sendable(query, &reason);
}
