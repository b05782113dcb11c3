/*-------------------------------------------------------------------------
 *
 * replicas.c
 *	  How the placements of a shard stay equal under UPDATE and DELETE.
 *
 * A table with a unique key: the statement runs on the first placement only.  It
 * returns the keys of the rows that it changed and the new values of the columns
 * that it assigned, and the other placements get just these (executor's
 * stream_replicas.c).  So nothing is computed twice: it does not matter what the
 * statement reads, or in which order.
 *
 * Else, and where one table alone decides and very many rows are expected, for which
 * that costs much less, the same text runs on every placement.  That is allowed if what it computes
 * depends on values alone: the placements have the same rows, but in another order,
 * and of values that are equal and look different (1.0 and 1.00) each may meet
 * another one first.  What is allowed is listed by OID.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* ---- tables with a key --------------------------------------------------- */

/*
 * Can the other placements find a row by this column of an index, with = of
 * pg_catalog, whatever their search_path is?
 */
static bool
column_finds_row(Relation rel, Relation index, int i)
{
	AttrNumber	attno = index->rd_index->indkey.values[i];
	Form_pg_attribute att;
	Oid			eqop;

	/* a key of ranges that do not overlap has another operator for "=" */
	if (attno <= 0 || index->rd_index->indisexclusion ||
		!not_null_is_valid_compat(RelationGetDescr(rel), attno))
		return false;
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	if (!att->attnotnull || !cz_type_is_output_safe(att->atttypid) ||
		type_is_rowtype(getBaseType(att->atttypid)))
		return false;
	if (OidIsValid(att->attcollation) && !get_collation_isdeterministic(att->attcollation))
		return false;
	eqop = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
							   index->rd_opcintype[i], BTEqualStrategyNumber);
	return OidIsValid(eqop) && eqop < FirstGenbkiObjectId &&
		strcmp(get_opname(eqop), "=") == 0;
}

/* The columns of an index if they find every row, else NIL. */
static List *
columns_that_find(Relation rel, Relation index)
{
	List	   *columns = NIL;
	int			i;

	if (!index->rd_index->indisunique || !index->rd_index->indimmediate ||
		!index->rd_index->indisvalid || RelationGetIndexPredicate(index) != NIL)
		return NIL;
	for (i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		if (!column_finds_row(rel, index, i))
			return NIL;
		columns = lappend_int(columns, index->rd_index->indkey.values[i]);
	}
	return columns;
}

/*
 * cz_row_key
 *		The columns of a key that finds every row by the values that it had, or NIL:
 *		one that is not assigned if there is such a key, the primary key if possible.
 */
List *
cz_row_key(Relation rel, List *assigned)
{
	List	   *indexes = RelationGetIndexList(rel);
	List	   *best = NIL;
	int			best_rank = 0;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		List	   *columns = columns_that_find(rel, index);
		int			rank = 1;

		if (list_intersection_int(columns, assigned) == NIL)
			rank += 2;
		if (index->rd_index->indisprimary)
			rank++;
		if (columns != NIL && rank > best_rank)
		{
			best = columns;
			best_rank = rank;
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return best;
}

/* Is a column of the key assigned what it is already?  As an arbiter says of EXCLUDED. */
static bool
keeps_column(Query *query, TargetEntry *tle, CzPlanState *state)
{
	Var		   *value = (Var *) tle->expr;
	ListCell   *lc;

	if (query->commandType == CMD_UPDATE)
		return cz_keeps_value(query, (Node *) value, tle->resno, state);
	if (!IsA(value, Var) || value->varattno != tle->resno || value->varlevelsup != 0)
		return false;
	if (value->varno == query->resultRelation)
		return true;
	foreach(lc, query->onConflict->arbiterElems)
	{
		Var		   *column = (Var *) ((InferenceElem *) lfirst(lc))->expr;

		if (IsA(column, Var) && column->varattno == tle->resno)
			return true;
	}
	return false;
}

/* The columns of a key that finds every row and that the statement keeps, or NIL. */
static List *
kept_key(Query *query, Relation rel, CzPlanState *state)
{
	List	   *assigned = query->commandType == CMD_UPDATE ? query->targetList :
		query->commandType == CMD_INSERT ? query->onConflict->onConflictSet : NIL;
	List	   *indexes = RelationGetIndexList(rel);
	List	   *best = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		List	   *columns = columns_that_find(rel, index);
		bool		is_good = columns != NIL;
		ListCell   *lt;

		foreach(lt, is_good ? assigned : NIL)
		{
			TargetEntry *tle = lfirst(lt);

			if (list_member_int(columns, tle->resno) && !keeps_column(query, tle, state))
				is_good = false;
		}
		if (is_good && (best == NIL || index->rd_index->indisprimary))
			best = columns;
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return best;
}

/* Is a qualifier column = value, the value one that no row has a part in? */
static bool
gives_column(const Node *qual, Index varno, AttrNumber attno)
{
	const OpExpr *op = (const OpExpr *) qual;
	int			i;

	if (!IsA(qual, OpExpr) || list_length(op->args) != 2 ||
		!cz_is_equality(op->opno, op->inputcollid))
		return false;
	for (i = 0; i < 2; i++)
	{
		const Node *var = strip_implicit_coercions(list_nth(op->args, i));
		Node	   *value = list_nth(op->args, 1 - i);

		if (IsA(var, Var) && ((const Var *) var)->varno == varno &&
			((const Var *) var)->varattno == attno && ((const Var *) var)->varlevelsup == 0 &&
			!contain_var_clause(value) && !checkExprHasSubLink(value))
			return true;
	}
	return false;
}

/*
 * cz_finds_one_row
 *		Does an UPDATE or DELETE give all columns of a key?
 */
bool
cz_finds_one_row(Query *query, List *keys)
{
	List	   *quals = cz_conjuncts(query->jointree->quals, NIL);
	ListCell   *lc;

	foreach(lc, keys)
	{
		ListCell   *lq;
		bool		is_given = false;

		foreach(lq, quals)
			is_given |= gives_column(lfirst(lq), query->resultRelation, lfirst_int(lc));
		if (!is_given)
			return false;
	}
	return keys != NIL;
}

static bool
return_column(Query *query, Relation rel, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Var		   *var;

	if (!cz_type_is_output_safe(att->atttypid))
		return false;
	var = makeVar(query->resultRelation, attno, att->atttypid, att->atttypmod,
				  att->attcollation, 0);
	query->returningList = lappend(query->returningList,
								   makeTargetEntry((Expr *) var,
												   list_length(query->returningList) + 1,
												   "replica", false));
	return true;
}

/*
 * cz_return_for_replicas
 *		Have an UPDATE or DELETE return what the other placements need: behind what
 *		it returns already the columns of a key, then those that it assigns.
 *
 * keys, sets: out, attribute numbers of the parent in that order.
 * Returns: false, and nothing has changed, if rows can't be found by a key.
 */
bool
cz_return_for_replicas(Query *query, CzPlanState *state, List **keys, List **sets)
{
	Relation	rel = table_open(rt_fetch(query->resultRelation, query->rtable)->relid,
								 NoLock);
	List	   *saved = list_copy(query->returningList);
	bool		is_good;
	ListCell   *lc;

	*sets = NIL;
	*keys = kept_key(query, rel, state);
	is_good = *keys != NIL;
	foreach(lc, *keys)
		is_good = is_good && return_column(query, rel, lfirst_int(lc));
	foreach(lc, query->commandType == CMD_UPDATE && is_good ? query->targetList : NIL)
	{
		TargetEntry *tle = lfirst(lc);

		*sets = lappend_int(*sets, tle->resno);
		is_good = is_good && return_column(query, rel, tle->resno);
	}
	table_close(rel, NoLock);
	if (!is_good)
	{
		query->returningList = saved;
		*keys = *sets = NIL;
	}
	return is_good;
}

/*
 * cz_return_for_copies
 *		Have an INSERT ... ON CONFLICT return what the other placements need: the rows
 *		as it has left them, those of a key first if it can have updated some.
 *
 * Returns: false, and nothing has changed, if rows can't be found by a key.
 */
bool
cz_return_for_copies(Query *query, CzPlanState *state, List **keys, List **sets)
{
	Relation	rel = table_open(rt_fetch(query->resultRelation, query->rtable)->relid,
								 NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *saved = list_copy(query->returningList);
	bool		updates = query->onConflict != NULL &&
		query->onConflict->action == ONCONFLICT_UPDATE;
	bool		is_good;
	ListCell   *lc;
	int			i;

	*keys = updates ? kept_key(query, rel, state) : NIL;
	*sets = NIL;
	is_good = *keys != NIL || !updates;
	foreach(lc, *keys)
		is_good = is_good && return_column(query, rel, lfirst_int(lc));
	for (i = 1; is_good && i <= desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i - 1);

		if (att->attisdropped || att->attgenerated || list_member_int(*keys, i))
			continue;
		if (updates)
			*sets = lappend_int(*sets, i);
		else
			*keys = lappend_int(*keys, i);
		is_good = return_column(query, rel, i);
	}
	table_close(rel, NoLock);
	if (!is_good)
	{
		query->returningList = saved;
		*keys = *sets = NIL;
	}
	return is_good;
}

/* ---- tables without one: may placements choose differently? -------------- */

/* Do equal values look the same? */
bool
cz_equal_looks_same(Oid type, Oid collation)
{
	switch (getBaseType(type))
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case UUIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case MONEYOID:
		case BYTEAOID:
			return true;
		case TEXTOID:
		case VARCHAROID:
			return get_collation_isdeterministic(collation);
		default:
			return get_typtype(type) == TYPTYPE_ENUM;
	}
}

/* Built-in aggregates whose result is that of a set of values, in whatever order and
 * whichever of equal ones is met. */
static const Oid value_aggregates[] = {
	F_COUNT_, F_COUNT_ANY,
	F_SUM_INT2, F_SUM_INT4, F_SUM_INT8, F_SUM_NUMERIC, F_SUM_MONEY,
	F_AVG_INT2, F_AVG_INT4, F_AVG_INT8, F_AVG_NUMERIC,
	F_MAX_INT2, F_MAX_INT4, F_MAX_INT8, F_MAX_OID, F_MAX_DATE, F_MAX_TIME, F_MAX_TIMESTAMP,
	F_MAX_TIMESTAMPTZ, F_MAX_MONEY, F_MAX_TEXT, F_MAX_ANYENUM,
	F_MIN_INT2, F_MIN_INT4, F_MIN_INT8, F_MIN_OID, F_MIN_DATE, F_MIN_TIME, F_MIN_TIMESTAMP,
	F_MIN_TIMESTAMPTZ, F_MIN_MONEY, F_MIN_TEXT, F_MIN_ANYENUM,
	F_BOOL_AND, F_BOOL_OR, F_EVERY,
	F_BIT_AND_INT2, F_BIT_AND_INT4, F_BIT_AND_INT8, F_BIT_OR_INT2, F_BIT_OR_INT4,
	F_BIT_OR_INT8, F_BIT_XOR_INT2, F_BIT_XOR_INT4, F_BIT_XOR_INT8,
	F_VARIANCE_INT2, F_VARIANCE_INT4, F_VARIANCE_INT8, F_VARIANCE_NUMERIC,
	F_STDDEV_INT2, F_STDDEV_INT4, F_STDDEV_INT8, F_STDDEV_NUMERIC,
	F_VAR_SAMP_INT2, F_VAR_SAMP_INT4, F_VAR_SAMP_INT8, F_VAR_SAMP_NUMERIC,
	F_STDDEV_SAMP_INT2, F_STDDEV_SAMP_INT4, F_STDDEV_SAMP_INT8, F_STDDEV_SAMP_NUMERIC,
	F_VAR_POP_INT2, F_VAR_POP_INT4, F_VAR_POP_INT8, F_VAR_POP_NUMERIC,
	F_STDDEV_POP_INT2, F_STDDEV_POP_INT4, F_STDDEV_POP_INT8, F_STDDEV_POP_NUMERIC
};

static bool
aggregate_is_of_values(const Aggref *agg)
{
	ListCell   *lc;
	int			i;

	for (i = 0; i < lengthof(value_aggregates); i++)
	{
		if (value_aggregates[i] == agg->aggfnoid)
			break;
	}
	if (i == lengthof(value_aggregates))
		return false;
	/* max() of texts that are equal by a nondeterministic collation */
	if (OidIsValid(agg->inputcollid) && agg->aggfnoid != F_COUNT_ANY &&
		!get_collation_isdeterministic(agg->inputcollid))
		return false;
	/* DISTINCT keeps one of equal values */
	foreach(lc, agg->aggdistinct != NIL && agg->aggfnoid != F_COUNT_ANY ? agg->args : NIL)
	{
		Node	   *arg = (Node *) ((TargetEntry *) lfirst(lc))->expr;

		if (!cz_equal_looks_same(exprType(arg), exprCollation(arg)))
			return false;
	}
	return true;
}

/* Does a level of a query show one of several values that are equal? */
static bool
shows_representative(Query *query)
{
	List	   *clauses = list_concat_copy(query->groupClause, query->distinctClause);
	ListCell   *lc;

	foreach(lc, clauses)
	{
		Node	   *expr = get_sortgroupclause_expr(lfirst(lc), query->targetList);

		if (!cz_equal_looks_same(exprType(expr), exprCollation(expr)))
			return true;
	}
	foreach(lc, query->setOperations != NULL ? query->targetList : NIL)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(lc))->expr;

		if (!cz_equal_looks_same(exprType(expr), exprCollation(expr)))
			return true;
	}
	return false;
}

static bool
choice_walker(Node *node, const char **reason)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->limitCount || query->limitOffset || query->hasDistinctOn ||
			query->hasWindowFuncs || query->rowMarks != NIL)
		{
			*reason = "a sub-query chooses or orders rows, which replicas may do differently";
			return true;
		}
		if (shows_representative(query))
		{
			*reason = "a sub-query keeps one of several equal values, and replicas may keep different ones";
			return true;
		}
		return query_tree_walker(query, choice_walker, (void *) reason,
								 QTW_EXAMINE_RTES_BEFORE);
	}
	if (IsA(node, Aggref) && !aggregate_is_of_values((Aggref *) node))
	{
		*reason = "the result of an aggregate may depend on the order of rows, which may differ between replicas";
		return true;
	}
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == ARRAY_SUBLINK)
	{
		*reason = "an array of a sub-query's rows has their order, which may differ between replicas";
		return true;
	}
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->tablesample == NULL)
			return false;		/* the caller looks into it */
		*reason = "TABLESAMPLE may choose other rows on a replica";
		return true;
	}
	return expression_tree_walker(node, choice_walker, (void *) reason);
}

/* Columns of rti that a conjunct equates with something that is not of rti. */
static Bitmapset *
equated_columns(Query *query, Index rti)
{
	Bitmapset  *columns = NULL;
	List	   *quals = make_ands_implicit((Expr *) query->jointree->quals);
	ListCell   *lc;

	foreach(lc, quals)
	{
		Node	   *qual = lfirst(lc);
		ListCell   *la;

		if (is_andclause(qual))
		{
			foreach(la, ((BoolExpr *) qual)->args)
				quals = list_append_unique_ptr(quals, lfirst(la));
			continue;
		}
		if (IsA(qual, OpExpr) && list_length(((OpExpr *) qual)->args) == 2)
		{
			int			i;

			for (i = 0; i < 2; i++)
			{
				Node	   *side = list_nth(((OpExpr *) qual)->args, i);
				Node	   *other = list_nth(((OpExpr *) qual)->args, 1 - i);

				while (IsA(side, RelabelType))
					side = (Node *) ((RelabelType *) side)->arg;
				if (IsA(side, Var) && ((Var *) side)->varno == rti &&
					((Var *) side)->varattno > 0 && ((Var *) side)->varlevelsup == 0 &&
					op_hashjoinable(((OpExpr *) qual)->opno, exprType(side)) &&
					!bms_is_member(rti, cz_entries_of(other, 0)))
					columns = bms_add_member(columns, ((Var *) side)->varattno);
			}
		}
	}
	return columns;
}

/* Is at most one row of the relation left when these columns are fixed? */
static bool
relation_is_unique(Oid relid, Bitmapset *fixed)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;
	bool		found = false;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		int			i;

		if (index->rd_index->indisunique && index->rd_index->indimmediate &&
			index->rd_index->indisvalid && RelationGetIndexPredicate(index) == NIL)
		{
			found = true;
			for (i = 0; i < index->rd_index->indnkeyatts; i++)
			{
				if (!bms_is_member(index->rd_index->indkey.values[i], fixed))
					found = false;
			}
		}
		index_close(index, AccessShareLock);
		if (found)
			break;
	}
	table_close(rel, AccessShareLock);
	return found;
}

/* The same of a FROM item; a sub-query qualifies if it merely filters one item. */
static bool
item_is_unique(Query *query, Index rti, Bitmapset *fixed)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	Query	   *sub;
	RangeTblRef *ref;
	Bitmapset  *inner = NULL;
	ListCell   *lc;

	if (rte->rtekind == RTE_RELATION)
		return relation_is_unique(rte->relid, fixed);
	if (rte->rtekind != RTE_SUBQUERY)
		return false;
	sub = rte->subquery;
	if (sub->setOperations != NULL || sub->hasTargetSRFs || sub->groupClause != NIL ||
		sub->hasAggs || list_length(sub->jointree->fromlist) != 1)
		return false;
	ref = linitial(sub->jointree->fromlist);
	if (!IsA(ref, RangeTblRef))
		return false;
	foreach(lc, sub->targetList)
	{
		TargetEntry *tle = lfirst(lc);
		Var		   *var = (Var *) tle->expr;

		if (bms_is_member(tle->resno, fixed) && IsA(var, Var) &&
			var->varno == ref->rtindex && var->varlevelsup == 0 && var->varattno > 0)
			inner = bms_add_member(inner, var->varattno);
	}
	return item_is_unique(sub, ref->rtindex, inner);
}

/*
 * Does it not matter which row of a FROM item is met, because the statement uses of it
 * only what the target's row has, too?
 */
static bool
item_does_not_show(Query *query, Index rti)
{
	Bitmapset  *equated = equated_columns(query, rti);
	List	   *vars = pull_vars_of_level((Node *) query->targetList, 0);
	ListCell   *lc;

	vars = list_concat(vars, pull_vars_of_level((Node *) query->returningList, 0));
	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);

		if (var->varno != rti)
			continue;
		if (!bms_is_member(var->varattno, equated))
			return false;
		/* equal must mean the same */
		if (var->vartype != INT2OID && var->vartype != INT4OID && var->vartype != INT8OID &&
			var->vartype != UUIDOID && var->vartype != DATEOID &&
			!(var->vartype == TEXTOID && get_collation_isdeterministic(var->varcollid)))
			return false;
	}
	return true;
}

/* Does each row of the target meet at most one row of every other table? */
static bool
joins_are_unique(Query *query, Bitmapset *sent)
{
	ListCell   *lc;

	foreach(lc, query->jointree->fromlist)
	{
		RangeTblRef *ref = lfirst(lc);

		if (!IsA(ref, RangeTblRef))
			return false;
		if (bms_is_member(ref->rtindex, sent) && item_does_not_show(query, ref->rtindex))
			continue;
		if (ref->rtindex != query->resultRelation &&
			!item_is_unique(query, ref->rtindex, equated_columns(query, ref->rtindex)))
			return false;
	}
	return true;
}

/*
 * cz_replicas_may_differ
 *		Why the text of an UPDATE or DELETE may do different things on two placements
 *		that have the same rows; NULL: it can't.
 *
 * sent: entries of FROM that were made of values.
 */
const char *
cz_replicas_may_differ(Query *query, Bitmapset *sent)
{
	const char *reason = NULL;

	if (query_tree_walker(query, choice_walker, (void *) &reason, QTW_EXAMINE_RTES_BEFORE))
		return reason;
	if (list_length(query->jointree->fromlist) > 1 &&
		(query->commandType == CMD_UPDATE || query->returningList != NIL) &&
		!joins_are_unique(query, sent))
		return "a row may match several rows of another table, and replicas may choose differently";
	return NULL;
}

/* With more rows the shards are locked and each placement gets the text.  Two sessions
 * that have written to one of these shards before would deadlock, so a table of unknown
 * size is not taken for a large one. */
#define CZ_TEXT_MODE_ROWS 1000.0

/*
 * cz_is_better_as_text
 *		Should an UPDATE or DELETE of a table with a key run as text on each placement
 *		all the same?  It must read its target only, and may not be chosen
 *		differently by replicas.
 */
bool
cz_is_better_as_text(Query *query, CzPlanState *state)
{
	Query	   *select;
	double		rows = 0;
	int			width;

	if (query->hasSubLinks || query->cteList != NIL || list_length(query->rtable) != 1 ||
		cz_replicas_may_differ(query, NULL) != NULL)
		return false;
	select = copyObject(query);
	select->commandType = CMD_SELECT;
	select->resultRelation = 0;
	select->targetList = list_make1(makeTargetEntry((Expr *) cz_int_const(1), 1, "c", false));
	select->returningList = NIL;
	select->withCheckOptions = NIL;
	cz_estimate(select, state, &rows, &width);
	return rows > CZ_TEXT_MODE_ROWS;
}
