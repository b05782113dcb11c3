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
 * sent as it is (merge_sent.c).
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
#include "merge_int.h"

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
 * cz_merge_join
 *		* The join of target and source, without columns.
 *
 * join_rti: out: its range-table entry.
 */
Query *
cz_merge_join(Query *query, JoinType type, Index *join_rti)
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

/*
 * cz_merge_join_type
 *		With an INSERT, what has no partner counts, of the target with BY SOURCE.
 */
JoinType
cz_merge_join_type(Query *query)
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
	JoinType	type = cz_merge_join_type(context->query);
	Query	   *joined = cz_merge_join(context->query, type, &join_rti);
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

/*
 * cz_merge_select_from
 *		SELECT FROM a sub-query, without columns as yet.
 */
Query *
cz_merge_select_from(Query *sub)
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

/*
 * cz_merge_add_column
 *		Append a column; gives its number.
 */
int
cz_merge_add_column(Query *query, Node *expr)
{
	int			n = list_length(query->targetList) + 1;

	query->targetList = lappend(query->targetList,
								makeTargetEntry((Expr *) expr, n, psprintf("c%d", n), false));
	return n;
}

/*
 * cz_merge_column
 *		A column of entry 1 as it stands in a target list.
 */
Var *
cz_merge_column(List *targets, AttrNumber n)
{
	Node	   *expr = (Node *) ((TargetEntry *) list_nth(targets, n - 1))->expr;

	return makeVar(1, n, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
}

/*
 * cz_merge_when
 *		WHEN condition THEN result.
 */
CaseWhen *
cz_merge_when(Node *condition, Node *result)
{
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = (Expr *) condition;
	when->result = (Expr *) result;
	when->location = -1;
	return when;
}

/*
 * cz_merge_case
 *		CASE whens ELSE otherwise END.
 */
CaseExpr *
cz_merge_case(Oid type, Oid collation, List *whens, Node *otherwise)
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
		whens = lappend(whens, cz_merge_when(over_joined(qual, context->multis != NIL ? 3 : 2,
													 context),
										 cz_int_const(number)));
	}
	if (whens == NIL)
		return otherwise;
	return (Node *) cz_merge_case(INT4OID, InvalidOid, whens, otherwise);
}

/* A number if an expression is not NULL, else another one. */
static Node *
if_there(Node *expr, Node *number, Node *otherwise)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) expr;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return (Node *) cz_merge_case(INT4OID, InvalidOid, list_make1(cz_merge_when((Node *) test, number)),
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

/*
 * cz_merge_is_number
 *		value <opno> number
 */
Node *
cz_merge_is_number(Node *value, int number, Oid opno)
{
	OpExpr	   *op = (OpExpr *) make_opclause(opno, BOOLOID, false, copyObject((Expr *) value),
											  (Expr *) cz_int_const(number), InvalidOid,
											  InvalidOid);

	set_opfuncid(op);
	return (Node *) op;
}

/*
 * cz_merge_assignment
 *		What an action assigns to a column; NULL if nothing.
 */
TargetEntry *
cz_merge_assignment(MergeAction *action, AttrNumber attno)
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
		tle = cz_merge_assignment(action, att->attnum);
		is_assigned |= tle != NULL;
		if (tle != NULL)
			value = over_joined((Node *) tle->expr, 1, context);
		else if (action->commandType == CMD_INSERT)
			continue;
		else
			value = (Node *) makeVar(1, TARGET_COLUMN(att->attnum), att->atttypid,
									 att->atttypmod, att->attcollation, 0);
		whens = lappend(whens,
						cz_merge_when(cz_merge_is_number(number, foreach_current_index(lc) + 1,
											Int4EqualOperator), value));
	}
	if (!is_assigned)
		return NULL;
	return (Node *) cz_merge_case(att->atttypid, att->attcollation, whens,
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
		rows = lappend(rows, over_joined(cz_merge_multi_row(((MergeMulti *) lfirst(lc))->sublink),
										 2, context));
	decided = cz_merge_select_from(make_joined(context));
	foreach(lc, context->joined)
		cz_merge_add_column(decided, (Node *) cz_merge_column(context->joined, foreach_current_index(lc) + 1));
	decided->hasSubLinks = checkExprHasSubLink(action);
	number->varattno = cz_merge_add_column(decided, action);
	if (context->multis != NIL)
	{
		decided = cz_merge_compute_multis(decided, rows, (Node *) number, context);
		values = cz_merge_set_multis(values, context);
	}

	source = cz_merge_select_from(decided);
	/* where nothing is ever done, all is read all the same: it may fail, or be another part's */
	if (!CzRowWriteDoesNothing(write))
		source->jointree->quals = cz_merge_is_number((Node *) number, 0,
													 get_negator(Int4EqualOperator));
	cz_merge_add_column(source, (Node *) cz_merge_column(context->joined, CZ_SOURCE_ID));
	cz_merge_add_column(source, (Node *) cz_merge_column(context->joined, CZ_SOURCE_XMIN));
	for (i = 0; i < desc->natts; i++)
		write->old_columns =
			lappend_int(write->old_columns, TupleDescAttr(desc, i)->attisdropped ? 0 :
						cz_merge_add_column(source, (Node *) cz_merge_column(context->joined,
															  TARGET_COLUMN(i + 1))));
	if (CzTableGet(context->relid)->is_partitioned)
		write->table_column =
			cz_merge_add_column(source, (Node *) cz_merge_column(context->joined,
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
		write->new_columns = lappend_int(write->new_columns, cz_merge_add_column(source, value));
		source->hasSubLinks |= checkExprHasSubLink(value);
	}
	write->action_column = cz_merge_add_column(source, copyObject((Node *) number));
	foreach(lc, returned)
		context->returned_columns =
			lappend_int(context->returned_columns,
						cz_merge_add_column(source, (Node *) cz_merge_column(context->joined, lfirst_int(lc))));
	return source;
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
	cz_merge_split_assignments(query, &context);
	cz_merge_collect_returned(&context);
	describe_target(query, rel, write);
	table_close(rel, NoLock);
	source = make_source(&context, desc, write);
	checks = cz_merge_check_qual(&context);
	returning = cz_merge_returning(&context);
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
