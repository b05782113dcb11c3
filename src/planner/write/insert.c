/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  INSERT of one row, as a statement with parameters.
 *
 * The values (defaults, identities, volatile functions) are computed here, once;
 * which shard they go to is known when the key is.  So the plan is SELECT
 * returning-columns FROM leaf, as that of a pushed UPDATE, whose leaf sends
 *
 *	INSERT INTO shard (columns) VALUES ($1, ...)
 *
 * to all placements and then gives the row that it has sent: RETURNING is computed
 * here.  A stored generated column is what its expression makes of the row.
 *
 * Other INSERTs (several rows, triggers, WITH CHECK conditions) are core's
 * ModifyTable's (target.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "optimizer/prep.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* ---- what a row that was written looks like -------------------------------- */

typedef struct WrittenContext
{
	Index		rti;			/* the target */
	Relation	rel;
	Node	  **columns;		/* [natts] what each live column is */
	int			depth;			/* sub-queries above */
	bool		failed;			/* a system column is used */
} WrittenContext;

static Node *
written_mutator(Node *node, WrittenContext *context)
{
	if (node == NULL)
		return NULL;
	/* what is inserted has no old row */
	if (returning_expr_compat(node) != NULL)
		return returning_expr_is_old_compat(node) ?
			(Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node)) :
			written_mutator(returning_expr_compat(node), context);
	if (IsA(node, Var) && ((Var *) node)->varno == context->rti &&
		((Var *) node)->varlevelsup == context->depth)
	{
		AttrNumber	attno = ((Var *) node)->varattno;
		Node	   *value;

		if (var_is_old_compat((Var *) node))
			return (Node *) makeNullConst(((Var *) node)->vartype, ((Var *) node)->vartypmod,
										  ((Var *) node)->varcollid);
		if (attno == TableOidAttributeNumber)
			return cz_oid_const(RelationGetRelid(context->rel));
		if (attno < 0)
		{
			context->failed = true;
			return node;
		}
		if (attno == 0)
			return written_mutator(cz_row_expr(RelationGetRelid(context->rel), context->rti,
											   context->depth), context);
		value = copyObject(context->columns[attno - 1]);
		if (context->depth > 0)
			IncrementVarSublevelsUp(value, context->depth, 0);
		return value;
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, written_mutator, (void *) context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, written_mutator, (void *) context);
}

/*
 * cz_over_written
 *		An expression over the target's columns as one over what was written.
 *
 * columns: [natts] what each column is; those of generated ones are set here if NULL.
 * Returns: false if it uses a system column but tableoid.
 */
bool
cz_over_written(Node **node, Index rti, Relation rel, Node **columns)
{
	WrittenContext context = {rti, rel, columns, 0, false};
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	/* an expression of a generated column has the table as number 1 */
	context.rti = 1;
	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attgenerated && columns[i] == NULL)
			columns[i] = written_mutator(build_column_default(rel, i + 1), &context);
	}
	context.rti = rti;
	*node = written_mutator(*node, &context);
	return !context.failed;
}

/* ---- its values ------------------------------------------------------------ */

static bool
is_writing_function(Oid function, void *context)
{
	switch (function)
	{
		case F_NEXTVAL:
		case F_CURRVAL:
		case F_LASTVAL:
		case F_RANDOM_compat:
		case F_GEN_RANDOM_UUID:
		case F_CLOCK_TIMESTAMP:
		case F_TIMEOFDAY:
			return false;
		default:
			return func_volatile(function) == PROVOLATILE_VOLATILE;
	}
}

static bool
writes_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_writing_function, NULL) || IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, writes_walker, context);
}

/*
 * cz_writes_nothing
 *		Can computing this write nothing but sequences?
 */
bool
cz_writes_nothing(List *exprs)
{
	return !writes_walker((Node *) exprs, NULL);
}

/* NULL, as a column of a domain that forbids it must not have it. */
static Node *
null_of_column(Form_pg_attribute att)
{
	Node	   *value = (Node *) makeNullConst(att->atttypid, -1, att->attcollation);
	Oid			base = getBaseType(att->atttypid);

	if (base == att->atttypid)
		return value;
	return coerce_to_domain((Node *) makeNullConst(base, -1, att->attcollation), base, -1,
							att->atttypid, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1,
							false);
}

/*
 * cz_insert_values
 *		What is inserted: expressions, and the attribute numbers that they are for.  A
 *		column that the statement does not name is left out unless it is the key or its
 *		type has a say.
 */
void
cz_insert_values(Query *query, Relation rel, AttrNumber key_attno, List **exprs,
				 List **attnos)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	*exprs = *attnos = NIL;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Node	   *value = NULL;
		ListCell   *lc;

		if (att->attisdropped || att->attgenerated)
			continue;
		foreach(lc, query->targetList)
		{
			TargetEntry *tle = lfirst(lc);

			if (tle->resno == att->attnum && !tle->resjunk)
				value = (Node *) tle->expr;
		}
		if (value == NULL && (att->attnum == key_attno ||
							  get_typtype(att->atttypid) == TYPTYPE_DOMAIN))
			value = null_of_column(att);
		if (value == NULL)
			continue;
		*exprs = lappend(*exprs, value);
		*attnos = lappend_int(*attnos, att->attnum);
	}
}

/* The shard, where the key is a constant. */
static void
prune_by_constant(CzFragmentPlan *plan, const CzTable *table, List *exprs, List *attnos,
				  CzPlanState *state)
{
	Const	   *key;
	ListCell   *le;
	ListCell   *la;
	int			index;

	if (table->key_attno == 0)
	{
		plan->is_pruned = true;
		plan->shard_indexes = list_make1_int(0);
		return;
	}
	key = makeNullConst(table->key_type, -1, InvalidOid);
	forboth(le, exprs, la, attnos)
	{
		if (lfirst_int(la) == table->key_attno)
			key = (Const *) cz_fold(copyObject(lfirst(le)), state);
	}
	if (!IsA(key, Const))
		return;
	index = CzShardIndexForValue(table, key->constvalue, key->constisnull);
	if (index < 0)
		return;					/* an error, when it is run */
	plan->is_pruned = true;
	plan->shard_indexes = list_make1_int(index);
}

/* The fragment plan without its parameters. */
static CzFragmentPlan *
insert_plan(Query *query, const CzTable *table, List *exprs, List *attnos,
			CzPlanState *state)
{
	CzFragmentPlan *plan = palloc0(sizeof(CzFragmentPlan));
	StringInfoData buf;
	ListCell   *lc;
	int			i;

	initStringInfo(&buf);
	foreach(lc, attnos)
		appendStringInfo(&buf, "%s%s", foreach_current_index(lc) > 0 ? ", " : " (",
						 quote_identifier(table->column_names[lfirst_int(lc) - 1]));
	for (i = 1; i <= list_length(attnos); i++)
		appendStringInfo(&buf, "%s$%d", i > 1 ? ", " : ") VALUES (", i);
	appendStringInfoString(&buf, attnos == NIL ? " DEFAULT VALUES" : ")");

	plan->strategy = CZ_STRATEGY_ROUTER;
	plan->command = CMD_INSERT;
	plan->pieces = list_make3(makeString("INSERT INTO "), makeInteger(0),
							  makeString(buf.data));
	plan->relids = list_make1_oid(table->relid);
	plan->relation_columns = list_make1(NIL);
	plan->anchor_relid = table->relid;
	plan->merge = CZ_MERGE_NEVER;
	plan->prune_param = -1;
	plan->nparams = list_length(attnos);
	plan->rows_are_given = true;
	plan->insert_attnos = attnos;
	plan->insert_is_quiet = cz_writes_nothing(exprs);
	plan->check_as_user =
		rte_check_as_user_compat(query, rt_fetch(query->resultRelation, query->rtable));
	prune_by_constant(plan, table, exprs, attnos, state);
	return plan;
}

/*
 * cz_select_over_leaf
 *		Turn a query that inserts into SELECT targets FROM the leaf that does it.
 *
 * values: what is computed first, and goes to the leaf.
 */
void
cz_select_over_leaf(Query *query, CzPlanState *state, RangeTblEntry *leaf_rte,
					List *targets, CzValues *values)
{
	FuncExpr   *call = (FuncExpr *)
		((RangeTblFunction *) linitial(leaf_rte->functions))->funcexpr;
	RangeTblRef *ref = makeNode(RangeTblRef);

	call->args = list_concat(call->args, values->exprs);
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->resultRelation = 0;
	query->override = OVERRIDING_NOT_SET;
	query->onConflict = NULL;
	query->withCheckOptions = NIL;
	query->returningList = NIL;
	query->constraintDeps = NIL;
	query->hasTargetSRFs = false;
	query->targetList = targets;
	query->rtable = list_make1(leaf_rte);
	query_clear_permissions_compat(query);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->cteList = list_concat(query->cteList, values->ctes);
	query->hasSubLinks = checkExprHasSubLink((Node *) targets) ||
		checkExprHasSubLink((Node *) values->exprs);
	if (query->hasSubLinks || query->cteList != NIL)
		cz_rewrite_parts(query, state);
}

/* false: the query has not changed. */
static bool
row_as_leaf(Query *query, CzPlanState *state, const CzTable *table, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Node	  **columns = palloc0(sizeof(Node *) * desc->natts);
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	CzValues   *values = palloc0(sizeof(CzValues));
	RangeTblEntry *leaf_rte;
	List	   *names = NIL;
	List	   *types = NIL;
	List	   *typmods = NIL;
	List	   *collations = NIL;
	List	   *exprs;
	List	   *attnos;
	List	   *targets = query->returningList;
	ListCell   *lc;
	int			i;

	cz_insert_values(query, rel, table->key_attno, &exprs, &attnos);
	foreach(lc, query->returningList != NIL ? attnos : NIL)
	{
		Form_pg_attribute att = TupleDescAttr(desc, lfirst_int(lc) - 1);
		int			n = foreach_current_index(lc) + 1;

		columns[att->attnum - 1] = (Node *) makeVar(1, n, att->atttypid, att->atttypmod,
													att->attcollation, 0);
		names = lappend(names, makeString(psprintf("c%d", n)));
		types = lappend_oid(types, att->atttypid);
		typmods = lappend_int(typmods, att->atttypmod);
		collations = lappend_oid(collations, att->attcollation);
	}
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !att->attgenerated && columns[i] == NULL)
			columns[i] = (Node *) makeNullConst(att->atttypid, att->atttypmod,
												att->attcollation);
	}
	if (targets != NIL &&
		!cz_over_written((Node **) &targets, query->resultRelation, rel, columns))
		return false;

	leaf->source = makeNode(RangeTblEntry);
	leaf->source->rtekind = RTE_SUBQUERY;
	leaf->source->subquery = makeNode(Query);
	leaf->source->subquery->commandType = CMD_INSERT;
	leaf->source->eref = makeAlias("leaf", copyObject(names));
	leaf->locus.kind = CZ_LOCUS_SHARDED;
	leaf->locus.is_single = true;
	leaf->locus.shard = -1;
	leaf->locus.anchor = table;
	leaf->strategy = CZ_STRATEGY_ROUTER;
	leaf->rows = 1;
	leaf->target_shard = table->shards[0].relid;
	leaf->insert = insert_plan(query, table, exprs, attnos, state);
	leaf->insert->column_types = types;
	leaf->insert->column_typmods = typmods;
	leaf->insert->gives_rows = query->returningList != NIL;
	leaf->insert->is_uncounted = !query->canSetTag;
	cz_collect_relations(query, state);
	leaf_rte = cz_make_leaf(state, leaf, names, types, typmods, collations);
	values->exprs = exprs;
	cz_select_over_leaf(query, state, leaf_rte, targets, values);
	return true;
}

/* Is a system column of the target returned, but tableoid? */
static bool
system_walker(Node *node, Query *query)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varno == query->resultRelation &&
			((Var *) node)->varlevelsup == 0 && ((Var *) node)->varattno < 0 &&
			((Var *) node)->varattno != TableOidAttributeNumber;
	return expression_tree_walker(node, system_walker, (void *) query);
}

/*
 * cz_is_conflict
 *		Is it an INSERT into a distributed table that core's ModifyTable cannot do: with ON
 *		CONFLICT, or one that returns system columns?
 */
bool
cz_is_conflict(Query *query)
{
	RangeTblEntry *rte;
	const CzTable *table;

	if (query->commandType != CMD_INSERT ||
		(query->onConflict == NULL &&
		 !system_walker((Node *) query->returningList, query)))
		return false;
	rte = rt_fetch(query->resultRelation, query->rtable);
	table = rte->rtekind == RTE_RELATION ? CzTableGet(rte->relid) : NULL;
	return table != NULL &&
		CzTableIsDistributed(table);
}

/*
 * Core looks for the indexes of a conflict target when it plans, so EXPLAIN, and a statement
 * that finds no rows, say that there are none; the workers would only say so when they have
 * something to do.
 *
 * Errors: 42P10, and others of infer_arbiter_indexes().
 */
static void
check_arbiters(const Query *query)
{
	PlannerInfo *root = makeNode(PlannerInfo);
	OnConflictExpr *conflict = copyObject(query->onConflict);
	Query	   *parse = makeNode(Query);

	if (conflict->arbiterElems == NIL && !OidIsValid(conflict->constraint))
		return;
	conflict->arbiterElems = (List *)
		eval_const_expressions(NULL, (Node *) conflict->arbiterElems);
	if (conflict->arbiterWhere != NULL)
		conflict->arbiterWhere = (Node *)
			make_ands_implicit(canonicalize_qual((Expr *)
												 eval_const_expressions(NULL, conflict->arbiterWhere),
												 false));
	parse->commandType = CMD_INSERT;
	parse->rtable = query->rtable;
	parse->resultRelation = query->resultRelation;
	parse->onConflict = conflict;
	root->parse = parse;
	list_free(infer_arbiter_indexes(root));
}

/*
 * cz_find_upserted_again
 *		The tables of INSERT ... ON CONFLICT DO UPDATE that another part of the statement
 *		writes, too: there each row must be asked for by itself (executor/own_rows.c).
 */
List *
cz_find_upserted_again(Query *query)
{
	List	   *parts = NIL;
	List	   *upserted = NIL;
	List	   *written = NIL;
	List	   *again = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	if (!query->hasModifyingCTE)
		return NIL;
	foreach(lc, query->cteList)
		parts = lappend(parts, lfirst_node(CommonTableExpr, lc)->ctequery);
	parts = lappend(parts, query);
	foreach(lc, parts)
	{
		Query	   *part = lfirst_node(Query, lc);
		Oid			relid;

		if (part->commandType == CMD_SELECT)
			continue;
		relid = rt_fetch(part->resultRelation, part->rtable)->relid;
		if (list_member_oid(written, relid))
			again = list_append_unique_oid(again, relid);
		written = list_append_unique_oid(written, relid);
		if (part->onConflict != NULL && part->onConflict->action == ONCONFLICT_UPDATE)
			upserted = list_append_unique_oid(upserted, relid);
	}
	foreach(lc, again)
	{
		if (list_member_oid(upserted, lfirst_oid(lc)))
			result = lappend_oid(result, lfirst_oid(lc));
	}
	return result;
}

/*
 * cz_insert_as_leaf
 *		Turn an INSERT into a distributed table into a SELECT over the leaf that does
 *		it, if there is such a leaf.
 *
 * Returns: false, and the query has not changed, if core's ModifyTable is to do it.
 * Errors:  0A000 if it can't be done.
 */
bool
cz_insert_as_leaf(Query *query, CzPlanState *state)
{
	const CzTable *table = CzTableGet(rt_fetch(query->resultRelation, query->rtable)->relid);
	Relation	rel = table_open(table->relid, NoLock);
	const char *reason = NULL;
	bool		is_done = false;
	bool		returns_system = system_walker((Node *) query->returningList, query);

	if (query->onConflict != NULL)
		check_arbiters(query);
	if (table->nshards == 0)
		reason = "the table has no shards";
	else if (cz_has_triggers(rel, CMD_INSERT) ||
			 (query->onConflict != NULL && cz_has_triggers(rel, CMD_UPDATE) &&
			  query->onConflict->action == ONCONFLICT_UPDATE))
		reason = "the table has triggers";
	else if (list_member_oid(state->upserted_again, table->relid))
		reason = "another part of the statement writes the table";
	else if (query->onConflict != NULL)
	{
		reason = cz_conflict_as_leaf(query, state, table, rel);
		is_done = reason == NULL;
	}
	else if (returns_system)
	{
		reason = query->withCheckOptions != NIL ? "it returns a system column" :
			cz_conflict_as_leaf(query, state, table, rel);
		is_done = reason == NULL;
	}
	else if (query->jointree->fromlist == NIL &&
			 query->jointree->quals == NULL &&	/* a rule's condition */
			 query->cteList == NIL && query->withCheckOptions == NIL && !query->hasTargetSRFs)
		is_done = row_as_leaf(query, state, table, rel);
	else if (query->jointree->fromlist != NIL)
		is_done = cz_push_insert(query, state, table, rel);
	table_close(rel, NoLock);
	/* core's ModifyTable does not know system columns */
	if ((cz_triggers_are_suspended || returns_system) && !is_done)
		cz_refuse_write(query, table->relid, reason);
	return is_done;
}
