/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Writes that are done row by row: lock, compute, apply.
 *
 * An UPDATE or DELETE that cannot be sent whole becomes
 *
 *		WITH source AS MATERIALIZED (SELECT ctid, xmin, old columns, new values, ...
 *									 FROM target, others WHERE ...)
 *		SELECT returning list FROM leaf WHERE checks
 *
 * The source is planned as any SELECT; so all that the planner can do for SELECT is
 * there for writes, too, and what is volatile is computed here, once a row.  The leaf is
 * the plan node CzModify: it reads the source's rows, locks them, and gives them out as
 * they are after the write (DELETE: before it).  RETURNING is computed above it, and so
 * are WITH CHECK conditions, by a function that raises an error.
 *
 * Two partitions have rows with the same ctid: where the shards are partitioned a row is
 * named by tableoid as well, the worker's own.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/restrictinfo.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "cz/compat.h"
#include "cz/write.h"

#include "../planner_int.h"

/* What a row costs here: it is sent twice and stored twice. */
#define CZ_WRITE_ROW_COST 0.1

PG_FUNCTION_INFO_V1(check_new_row);

/*
 * CzRaiseCheck
 *		See write.h.
 */
void
CzRaiseCheck(int kind, const char *relation, const char *policy)
{
	bool		has_policy = policy[0] != '\0';

	if (kind == WCO_VIEW_CHECK)
		ereport(ERROR,
				(errcode(ERRCODE_WITH_CHECK_OPTION_VIOLATION),
				 errmsg("new row violates check option for view \"%s\"", relation)));
	if (is_view_conflict_check_compat(kind))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("conflicting row is not visible through view \"%s\"", relation)));
	if (kind == WCO_RLS_CONFLICT_CHECK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 has_policy ?
				 errmsg("new row violates row-level security policy \"%s\" (USING expression) for table \"%s\"",
						policy, relation) :
				 errmsg("new row violates row-level security policy (USING expression) for table \"%s\"",
						relation)));
	if (kind == WCO_RLS_MERGE_UPDATE_CHECK || kind == WCO_RLS_MERGE_DELETE_CHECK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 has_policy ?
				 errmsg("target row violates row-level security policy \"%s\" (USING expression) for table \"%s\"",
						policy, relation) :
				 errmsg("target row violates row-level security policy (USING expression) for table \"%s\"",
						relation)));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 has_policy ?
			 errmsg("new row violates row-level security policy \"%s\" for table \"%s\"",
					policy, relation) :
			 errmsg("new row violates row-level security policy for table \"%s\"",
					relation)));
}

/*
 * check_new_row
 *		Raise an error if a new row does not pass a WITH CHECK condition.
 *
 * Arguments: kind of the condition (WCOKind), relation, policy or "", the result of the
 * check that comes before, and whether the row passes.
 *
 * Errors:  42501; 44000 for a view.
 */
Datum
check_new_row(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(4) && PG_GETARG_BOOL(4))
		PG_RETURN_BOOL(true);
	CzRaiseCheck(PG_GETARG_INT32(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
				 text_to_cstring(PG_GETARG_TEXT_PP(2)));
	PG_RETURN_BOOL(false);
}

/* ---- what is done with the rows ------------------------------------------ */

typedef struct ReturnContext
{
	Query	   *query;			/* the write */
	Oid			relid;
	int			natts;			/* of the target */
	int			depth;			/* sub-queries above */
	List	   *extra;			/* Vars of the write that come behind the columns */
	Bitmapset  *used;			/* columns of the row that are wanted, attribute numbers */
	bool		whole_row;		/* all of them are */
} ReturnContext;

/*
 * cz_virtual_column
 *		What a virtual generated column of a table is computed from, in terms of the columns
 *		of Var's entry; NULL if it is none.  Rows that are written here have it as core's have:
 *		as NULL.
 */
Node *
cz_virtual_column(Oid relid, const Var *var)
{
	Relation	rel;
	Node	   *expr = NULL;

	if (var->varattno <= 0)
		return NULL;
	rel = table_open(relid, NoLock);
	if (is_virtual_column_compat(TupleDescAttr(RelationGetDescr(rel), var->varattno - 1)))
	{
		expr = build_column_default(rel, var->varattno);
		ChangeVarNodes(expr, 1, var->varno, 0);
		IncrementVarSublevelsUp(expr, var->varlevelsup, 0);
	}
	table_close(rel, NoLock);
	return expr;
}

/* The column of the leaf for a column of the write that is none of the new row. */
static Node *
extra_column(Var *var, ReturnContext *context)
{
	Var		   *own = copyObject(var);
	Var		   *column;
	ListCell   *lc;
	int			n = 0;

	own->varlevelsup = 0;
	var_clear_returning_compat(own);
	foreach(lc, context->extra)
	{
		Var		   *known = lfirst(lc);

		n++;
		if (known->varno == own->varno && known->varattno == own->varattno)
			break;
	}
	if (lc == NULL)
	{
		context->extra = lappend(context->extra, own);
		n = list_length(context->extra);
	}
	column = makeVar(1, context->natts + n, own->vartype, own->vartypmod, own->varcollid,
					 context->depth);
	return (Node *) column;
}

/* Vars of the write become columns of the leaf, which is range-table entry 1. */
static Node *
returned_mutator(Node *node, ReturnContext *context)
{
	Query	   *write = context->query;

	if (node == NULL)
		return NULL;
	/* there is no new row, or the old one is known */
	if (returning_expr_compat(node) != NULL)
		return write->commandType == CMD_DELETE && !returning_expr_is_old_compat(node) ?
			(Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node)) :
			returned_mutator(returning_expr_compat(node), context);
	if (IsA(node, Var) && (int) ((Var *) node)->varlevelsup == context->depth)
	{
		Var		   *var = (Var *) node;
		Node	   *expr;

		if (var->varno != write->resultRelation || var_is_old_compat(var))
			return extra_column(var, context);
		if (var_is_new_compat(var) && write->commandType == CMD_DELETE)
			return (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
		expr = cz_virtual_column(context->relid, var);
		if (expr != NULL)
			return returned_mutator(expr, context);
		if (var->varattno == TableOidAttributeNumber)
			return cz_oid_const(context->relid);
		if (var->varattno == 0)
		{
			context->whole_row = true;
			return returned_mutator(cz_row_expr(context->relid, var->varno, context->depth), context);
		}
		context->used = var->varattno > 0 ? bms_add_member(context->used, var->varattno) :
			context->used;
		if (var->varattno > 0)
			return (Node *) makeVar(1, var->varattno, var->vartype, var->vartypmod,
									var->varcollid, context->depth);
		if (write->commandType == CMD_DELETE)
			return extra_column(var, context);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("RETURNING of the new row's system columns is not supported"),
				 errdetail("The rows of \"%s\" are written when the statement ends.",
						   get_rel_name(context->relid))));
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

static Node *
text_const(const char *text)
{
	return (Node *) makeConst(TEXTOID, -1, get_typcollation(TEXTOID), -1,
							  CStringGetTextDatum(text ? text : ""), false, false);
}

/*
 * cz_check_call
 *		A call that raises an error if a row does not pass a WITH CHECK condition.
 *
 * before: the call that is to be done before; or NULL.
 * passes: does it pass?
 */
Node *
cz_check_call(WithCheckOption *option, Node *before, Node *passes)
{
	Oid			argtypes[5] = {INT4OID, TEXTOID, TEXTOID, BOOLOID, BOOLOID};
	Oid			function = LookupFuncName(list_make2(makeString("cz"),
													 makeString("check_new_row")),
										  5, argtypes, false);

	return (Node *) makeFuncExpr(function, BOOLOID,
								 list_make5(cz_int_const(option->kind),
											text_const(option->relname),
											text_const(option->polname),
											before ? before : makeBoolConst(true, false),
											passes),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* WITH CHECK conditions as one qualifier that is true or raises an error; or NULL. */
static Node *
check_qual(List *options, ReturnContext *context)
{
	Node	   *before = NULL;
	ListCell   *lc;

	foreach(lc, options)
	{
		WithCheckOption *option = lfirst(lc);
		Node	   *qual = option->qual;

		/* a list of conjuncts in stored rules */
		if (qual != NULL && IsA(qual, List))
			qual = (Node *) make_ands_explicit((List *) qual);
		if (qual != NULL)
			before = cz_check_call(option, before, returned_mutator(qual, context));
	}
	return before;
}

/* ---- the source ---------------------------------------------------------- */

static int
add_output(Query *source, Expr *expr)
{
	int			n = list_length(source->targetList) + 1;

	source->targetList = lappend(source->targetList,
								 makeTargetEntry(expr, n, psprintf("c%d", n), false));
	return n;
}

static Var *
target_var(Index rti, TupleDesc desc, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(desc, attno - 1);

	return makeVar(rti, attno, att->atttypid, att->atttypmod, att->attcollation, 0);
}

/*
 * The source of a write: a SELECT of what CzRowWrite says, with which columns they are.
 */
static Query *
make_source(Query *query, TupleDesc desc, const ReturnContext *returned, CzRowWrite *write)
{
	Query	   *source = copyObject(query);
	Index		rti = query->resultRelation;
	List	   *junk = NIL;
	List	   *parts = NIL;
	ListCell   *lc;
	int		   *new_columns = palloc0(sizeof(int) * Max(desc->natts, 1));
	int			i;

	source->commandType = CMD_SELECT;
	source->resultRelation = 0;
	source->canSetTag = true;
	source->returningList = NIL;
	source->withCheckOptions = NIL;
	source->cteList = NIL;
	source->hasModifyingCTE = false;
	source->hasRecursive = false;
	source->targetList = NIL;
	rt_fetch(rti, source->rtable)->inFromCl = true;
	cz_raise_ctes((Node *) source, 1);

	add_output(source, (Expr *) makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1,
										InvalidOid, 0));
	add_output(source, (Expr *) makeVar(rti, MinTransactionIdAttributeNumber, XIDOID, -1,
										InvalidOid, 0));
	if (CzTableGet(write->relid)->is_partitioned)
	{
		write->table_column =
			add_output(source, (Expr *) makeVar(rti, TableOidAttributeNumber, OIDOID, -1,
												InvalidOid, 0));
		parts = CzPartitionColumns(write->relid);
	}
	for (i = 0; i < desc->natts; i++)
	{
		bool		is_needed = !TupleDescAttr(desc, i)->attisdropped &&
			(write->needs_row || returned->whole_row || list_member_int(parts, i + 1) ||
			 bms_is_member(i + 1, returned->used) || list_member_int(write->key, i + 1));

		write->old_columns = lappend_int(write->old_columns, !is_needed ? 0 :
										 add_output(source,
													(Expr *) target_var(rti, desc, i + 1)));
	}
	foreach(lc, query->commandType == CMD_UPDATE ? query->targetList : NIL)
	{
		TargetEntry *tle = copyObject(lfirst_node(TargetEntry, lc));

		cz_raise_ctes((Node *) tle, 1);
		if (tle->resjunk)
			junk = lappend(junk, tle);
		else
			new_columns[tle->resno - 1] = add_output(source, tle->expr);
	}
	for (i = 0; i < desc->natts; i++)
		write->new_columns = lappend_int(write->new_columns, new_columns[i]);
	foreach(lc, returned->extra)
		write->extra_columns = lappend_int(write->extra_columns,
										   add_output(source, copyObject(lfirst(lc))));
	foreach(lc, junk)
	{
		TargetEntry *tle = lfirst(lc);

		tle->resno = list_length(source->targetList) + 1;
		source->targetList = lappend(source->targetList, tle);
	}
	return source;
}

/*
 * cz_write_source_cte
 *		The CTE that is the source of a write.
 */
CommonTableExpr *
cz_write_source_cte(Query *source, char *name)
{
	CommonTableExpr *cte = makeNode(CommonTableExpr);
	ListCell   *lc;

	cte->ctename = name;
	cte->ctematerialized = CTEMaterializeAlways;
	cte->ctequery = (Node *) source;
	cte->cterefcount = 1;
	cte->location = CZ_CTE_LOCATION;
	foreach(lc, source->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk)
			continue;
		cte->ctecolnames = lappend(cte->ctecolnames, makeString(pstrdup(tle->resname)));
		cte->ctecoltypes = lappend_oid(cte->ctecoltypes, exprType((Node *) tle->expr));
		cte->ctecoltypmods = lappend_int(cte->ctecoltypmods, exprTypmod((Node *) tle->expr));
		cte->ctecolcollations = lappend_oid(cte->ctecolcollations,
											exprCollation((Node *) tle->expr));
	}
	return cte;
}

/* ---- the write ----------------------------------------------------------- */

/* What the executor must know of the table; columns of the source are known already. */
static void
describe_target(Query *query, Relation rel, CzRowWrite *write)
{
	Bitmapset  *key_columns = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	List	   *assigned = NIL;
	ListCell   *lc;

	write->command = query->commandType;
	write->relid = RelationGetRelid(rel);
	write->check_as_user =
		rte_check_as_user_compat(query, rt_fetch(query->resultRelation, query->rtable));
	write->locks_key = query->commandType == CMD_DELETE;
	foreach(lc, query->commandType == CMD_UPDATE ? query->targetList : NIL)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk)
			continue;
		assigned = lappend_int(assigned, tle->resno);
		write->locks_key |= bms_is_member(tle->resno - FirstLowInvalidHeapAttributeNumber,
										  key_columns);
	}
	write->assigned = assigned;
	write->key = cz_row_key(rel, assigned);
	write->may_move = query->commandType == CMD_UPDATE &&
		CzTableGet(write->relid)->key_attno != 0 &&
		(list_member_int(assigned, CzTableGet(write->relid)->key_attno) ||
		 (CzTableGet(write->relid)->row_triggers & CZ_ROW_TRIGGERS_BEFORE) != 0 ||
		 (rel->trigdesc != NULL && rel->trigdesc->trig_update_before_row));
	write->may_repeat = list_length(query->jointree->fromlist) != 1 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef);
	write->can_set_tag = query->canSetTag;
}

/*
 * Can the source itself lock the rows?  Then each worker checks again what it has waited
 * for.  It must lock no more than is changed: the target alone decides, by what workers
 * can judge.  (A table without a key has its replicated shards locked before.)
 *
 * Not where rows may go to other shards, in this write or in another one of the
 * statement: statements that lock rows on several shards keep those out, and would keep
 * out each other (CzTxnLockMoves).
 */
static bool
can_lock_source(Query *query, const CzRowWrite *write, bool in_with)
{
	RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);

	if (write->may_move || in_with)
		return false;
	return !write->may_repeat && write->key != NIL && target->securityQuals == NIL &&
		!contain_subplans(query->jointree->quals) &&
		cz_expr_is_shippable(query->jointree->quals, NULL);
}

static void
lock_source(Query *source, Index rti, CzRowWrite *write)
{
	RowMarkClause *mark = makeNode(RowMarkClause);

	mark->rti = rti;
	mark->strength = write->locks_key ? LCS_FORUPDATE : LCS_FORNOKEYUPDATE;
	mark->waitPolicy = LockWaitBlock;
	source->rowMarks = lappend(source->rowMarks, mark);
	source->hasForUpdate = true;
	write->source_locks = true;
}

/* Must all of a row be known, not only what is said to be wanted? */
static bool
needs_row(Relation rel, const CzRowWrite *write)
{
	const CzTable *table = CzTableGet(RelationGetRelid(rel));
	TupleConstr *constr = RelationGetDescr(rel)->constr;
	bool		is_replicated = false;
	int			i;

	for (i = 0; i < table->nshards; i++)
		is_replicated |= table->shards[i].nplacements > 1;
	return (write->key == NIL && is_replicated) || rel->trigdesc != NULL ||
		CzAllRowTriggers(table) != 0 ||
		(write->command == CMD_UPDATE &&
		 (write->assigned == NIL ||
		  (constr != NULL && constr->has_generated_stored) ||
		  list_member_int(write->assigned, table->key_attno)));
}

/*
 * cz_write_leaf_rte
 *		The range-table entry of the leaf: the target's columns, then the extra ones.
 */
RangeTblEntry *
cz_write_leaf_rte(TupleDesc desc, List *extra, CzLeaf *leaf, CzPlanState *state)
{
	List	   *names = NIL;
	List	   *types = NIL;
	List	   *typmods = NIL;
	List	   *collations = NIL;
	ListCell   *lc;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		names = lappend(names, makeString(pstrdup(att->attisdropped ? "" :
												  NameStr(att->attname))));
		types = lappend_oid(types, att->attisdropped ? INT4OID : att->atttypid);
		typmods = lappend_int(typmods, att->attisdropped ? -1 : att->atttypmod);
		collations = lappend_oid(collations, att->attisdropped ? InvalidOid :
								 att->attcollation);
	}
	foreach(lc, extra)
	{
		Node	   *expr = lfirst(lc);

		names = lappend(names, makeString(psprintf("x%d", foreach_current_index(lc) + 1)));
		types = lappend_oid(types, exprType(expr));
		typmods = lappend_int(typmods, exprTypmod(expr));
		collations = lappend_oid(collations, exprCollation(expr));
	}
	return cz_make_leaf(state, leaf, names, types, typmods, collations);
}

/*
 * cz_write_by_rows
 *		Make an UPDATE or DELETE of a distributed table, in place, a SELECT over a leaf
 *		that does it row by row.
 *
 * What it reads is rewritten.  In WITH the caller sees to it that core plans the SELECT.
 */
void
cz_write_by_rows(Query *query, CzPlanState *state)
{
	RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);
	Relation	rel = table_open(target->relid, NoLock);
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	CzRowWrite *write = palloc0(sizeof(CzRowWrite));
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	RangeTblRef *ref = makeNode(RangeTblRef);
	ReturnContext context = {query, target->relid, desc->natts};
	List	   *returning;
	Node	   *checks;
	Query	   *source;
	int			width;

	describe_target(query, rel, write);
	write->needs_row = needs_row(rel, write) ||
		list_member_oid(state->upserted_again, target->relid);
	table_close(rel, NoLock);
	cz_drop_unread_ctes(query);
	returning = (List *) returned_mutator((Node *) query->returningList, &context);
	checks = check_qual(query->withCheckOptions, &context);
	write->gives_rows = returning != NIL || checks != NULL;
	source = make_source(query, desc, &context, write);
	if (can_lock_source(query, write, !query->canSetTag || query->hasModifyingCTE))
		lock_source(source, query->resultRelation, write);
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
	query->targetList = returning;
	query->returningList = NIL;
	query->withCheckOptions = NIL;
	query->constraintDeps = NIL;
	query->hasSubLinks = checkExprHasSubLink((Node *) returning) || checkExprHasSubLink(checks);
	query->rtable = list_make1(cz_write_leaf_rte(desc, context.extra, leaf, state));
	query_clear_permissions_compat(query);
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref), checks);
	query->cteList = lappend(query->cteList, cz_write_source_cte(source, write->source_name));
	cz_rewrite_parts(query, state);
}

/* ---- paths and plans ----------------------------------------------------- */

static Plan *
plan_write_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist,
				List *clauses, List *custom_plans)
{
	CzRowWrite *write = linitial(best_path->custom_private);
	CustomScan *scan = makeNode(CustomScan);
	RangeTblFunction *func = linitial(planner_rt_fetch(rel->relid, root)->functions);
	int			i;

	write->plan_id = cz_plan_id_of_cte(root, write->source_name);
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->scan.scanrelid = 0;
	scan->flags = best_path->flags;
	for (i = 0; i < func->funccolcount; i++)
		scan->custom_scan_tlist =
			lappend(scan->custom_scan_tlist,
					makeTargetEntry((Expr *) makeVar(rel->relid, i + 1,
													 list_nth_oid(func->funccoltypes, i),
													 list_nth_int(func->funccoltypmods, i),
													 list_nth_oid(func->funccolcollations, i),
													 0),
									i + 1, NULL, false));
	scan->custom_private = CzRowWriteToList(write);
	scan->custom_relids = bms_copy(rel->relids);
	scan->methods = &cz_modify_methods;
	return (Plan *) scan;
}

static const CustomPathMethods write_path_methods = {
	.CustomName = "CzModify",
	.PlanCustomPath = plan_write_path
};

/*
 * cz_set_write_pathlist
 *		Give a leaf that writes its path.
 */
void
cz_set_write_pathlist(RelOptInfo *rel, CzLeaf *leaf)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.parallel_safe = false;
	path->path.rows = rel->rows;
	path->path.startup_cost = rel->rows * CZ_WRITE_ROW_COST;
	path->path.total_cost = path->path.startup_cost + rel->rows * cpu_tuple_cost;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make1(leaf->write);
	path->methods = &write_path_methods;
	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->consider_parallel = false;
	add_path(rel, (Path *) path);
}

/* ---- list form ----------------------------------------------------------- */

/* Positions in it. */
enum
{
	POS_COMMAND,
	POS_RELID,
	POS_PLAN_ID,
	POS_SOURCE_NAME,
	POS_CHECK_AS_USER,
	POS_OLD_COLUMNS,
	POS_NEW_COLUMNS,
	POS_EXTRA_COLUMNS,
	POS_TABLE_COLUMN,
	POS_KEY,
	POS_LOCKS_KEY,
	POS_SOURCE_LOCKS,
	POS_MAY_REPEAT,
	POS_GIVES_ROWS,
	POS_CAN_SET_TAG,
	POS_ASSIGNED,
	POS_ACTIONS,
	POS_ACTION_COLUMN,
	POS_COUNT
};

/*
 * CzRowWriteToList
 *		As a list that copyObject and nodeToString can walk.
 */
List *
CzRowWriteToList(const CzRowWrite *write)
{
	List	   *list = NIL;

	list = lappend(list, makeInteger(write->command));
	list = lappend(list, list_make1_oid(write->relid));
	list = lappend(list, makeInteger(write->plan_id));
	list = lappend(list, makeString(pstrdup(write->source_name)));
	list = lappend(list, list_make1_oid(write->check_as_user));
	list = lappend(list, write->old_columns);
	list = lappend(list, write->new_columns);
	list = lappend(list, write->extra_columns);
	list = lappend(list, makeInteger(write->table_column));
	list = lappend(list, write->key);
	list = lappend(list, makeInteger(write->locks_key));
	list = lappend(list, makeInteger(write->source_locks));
	list = lappend(list, makeInteger(write->may_repeat));
	list = lappend(list, makeInteger(write->gives_rows));
	list = lappend(list, makeInteger(write->can_set_tag));
	list = lappend(list, write->assigned);
	list = lappend(list, write->actions);
	list = lappend(list, makeInteger(write->action_column));
	Assert(list_length(list) == POS_COUNT);
	return list;
}

/*
 * CzRowWriteFromList
 *		The reverse; the result shares the list's members.
 */
CzRowWrite *
CzRowWriteFromList(List *list)
{
	CzRowWrite *write = palloc0(sizeof(CzRowWrite));

	Assert(list_length(list) == POS_COUNT);
	write->command = intVal(list_nth(list, POS_COMMAND));
	write->relid = linitial_oid(list_nth(list, POS_RELID));
	write->plan_id = intVal(list_nth(list, POS_PLAN_ID));
	write->source_name = strVal(list_nth(list, POS_SOURCE_NAME));
	write->check_as_user = linitial_oid(list_nth(list, POS_CHECK_AS_USER));
	write->old_columns = list_nth(list, POS_OLD_COLUMNS);
	write->new_columns = list_nth(list, POS_NEW_COLUMNS);
	write->extra_columns = list_nth(list, POS_EXTRA_COLUMNS);
	write->table_column = intVal(list_nth(list, POS_TABLE_COLUMN));
	write->key = list_nth(list, POS_KEY);
	write->locks_key = intVal(list_nth(list, POS_LOCKS_KEY));
	write->source_locks = intVal(list_nth(list, POS_SOURCE_LOCKS));
	write->may_repeat = intVal(list_nth(list, POS_MAY_REPEAT));
	write->gives_rows = intVal(list_nth(list, POS_GIVES_ROWS));
	write->can_set_tag = intVal(list_nth(list, POS_CAN_SET_TAG));
	write->assigned = list_nth(list, POS_ASSIGNED);
	write->actions = list_nth(list, POS_ACTIONS);
	write->action_column = intVal(list_nth(list, POS_ACTION_COLUMN));
	return write;
}

/*
 * CzRowWriteDoesNothing
 *		See cz/write.h.
 */
bool
CzRowWriteDoesNothing(const CzRowWrite *write)
{
	ListCell   *lc;

	foreach(lc, write->actions)
	{
		if (lfirst_int(lc) != CMD_NOTHING)
			return false;
	}
	return write->command == CMD_MERGE;
}
