/*-------------------------------------------------------------------------
 *
 * tableleaf.c
 *	  The third rule of rewrite.c: one distributed table becomes a leaf.
 *
 * The range-table entry keeps its index and its columns theirs.  What a leaf can't
 * give (a whole row, tableoid) is made by a sub-query around it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/settings.h"

#include "../planner_int.h"

typedef struct SpecialContext
{
	Index		rti;
	int			depth;
	bool		is_partitioned; /* the shards are: tableoid is the worker's own */
	Bitmapset  *system;			/* -attno of system columns used */
	bool		whole_row;
	bool		table_oid;
	/* second pass */
	bool		mutate;
	int			natts;
	List	   *columns;		/* system columns in order */
	AttrNumber	whole_row_attno;
	AttrNumber	table_oid_attno;
} SpecialContext;

/* Find, or in the second pass change in place, Vars of rti that are no columns. */
static bool
special_walker(Node *node, SpecialContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno != context->rti || var->varlevelsup != context->depth ||
			var->varattno > 0)
			return false;
		if (context->mutate)
		{
			if (var->varattno == 0)
				var->varattno = context->whole_row_attno;
			else if (var->varattno == TableOidAttributeNumber && !context->is_partitioned)
				var->varattno = context->table_oid_attno;
			else
			{
				ListCell   *lc;
				int			n = context->natts;

				foreach(lc, context->columns)
				{
					n++;
					if (lfirst_int(lc) == var->varattno)
						var->varattno = n;
				}
			}
			var_forget_syntax_compat(var);
		}
		else if (var->varattno == 0)
			context->whole_row = true;
		else if (var->varattno == TableOidAttributeNumber && !context->is_partitioned)
			context->table_oid = true;
		else
			context->system = bms_add_member(context->system, -var->varattno);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, special_walker, (void *) context, 0);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, special_walker, (void *) context);
}

static RowMarkClause *
take_row_mark(Query *query, Index rti)
{
	ListCell   *lc;

	foreach(lc, query->rowMarks)
	{
		RowMarkClause *mark = lfirst(lc);

		if (mark->rti == rti)
		{
			query->rowMarks = foreach_delete_current(query->rowMarks, lc);
			if (query->rowMarks == NIL)
				query->hasForUpdate = false;
			return mark;
		}
	}
	return NULL;
}

/*
 * cz_row_expr
 *		A row of a table, made of the columns of a leaf, which is entry rti.
 */
Node *
cz_row_expr(Oid relid, Index rti, int levelsup)
{
	Relation	rel = table_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	RowExpr    *row = makeNode(RowExpr);
	ConvertRowtypeExpr *convert;
	bool		has_dropped = false;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
		{
			row->args = lappend(row->args, makeNullConst(INT4OID, -1, InvalidOid));
			has_dropped = true;
		}
		else
			row->args = lappend(row->args, makeVar(rti, i + 1, att->atttypid, att->atttypmod,
												   att->attcollation, levelsup));
	}
	table_close(rel, NoLock);
	row->row_typeid = get_rel_type_id(relid);
	row->row_format = COERCE_IMPLICIT_CAST;
	row->location = -1;
	if (!has_dropped)
		return (Node *) row;

	/*
	 * "row IS NOT NULL" would be folded into tests of the RowExpr's fields, dropped
	 * ones too; a conversion that changes nothing keeps it whole.
	 */
	convert = makeNode(ConvertRowtypeExpr);
	convert->arg = (Expr *) row;
	convert->resulttype = row->row_typeid;
	convert->convertformat = COERCE_IMPLICIT_CAST;
	convert->location = -1;
	return (Node *) convert;
}

/*
 * The leaf between the Query and the columns that only we can make (a whole row,
 * tableoid).  With keep, core must not pull it up: ordering by a constant keeps
 * a sub-query apart and costs nothing.
 */
static void
wrap_leaf(RangeTblEntry *rte, RangeTblEntry *leaf_rte, Oid relid, TupleDesc desc,
		  SpecialContext *special, bool keep)
{
	Query	   *sub = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	RangeTblFunction *func = linitial(leaf_rte->functions);
	List	   *names = list_copy(leaf_rte->eref->colnames);
	int			n;
	ListCell   *lt;

	ref->rtindex = 1;
	sub->commandType = CMD_SELECT;
	sub->querySource = QSRC_ORIGINAL;
	sub->canSetTag = true;
	sub->rtable = list_make1(leaf_rte);
	sub->jointree = makeFromExpr(list_make1(ref), NULL);
	n = 0;
	foreach(lt, func->funccoltypes)
	{
		Oid			type = lfirst_oid(lt);
		Node	   *column;

		if (n < desc->natts && TupleDescAttr(desc, n)->attisdropped)
			column = (Node *) makeNullConst(type, -1, InvalidOid);
		else
			column = (Node *) makeVar(1, n + 1, type, list_nth_int(func->funccoltypmods, n),
									  list_nth_oid(func->funccolcollations, n), 0);
		n++;
		sub->targetList = lappend(sub->targetList,
								  makeTargetEntry((Expr *) column, n, psprintf("c%d", n),
												  false));
	}
	if (special->whole_row)
	{
		Expr	   *whole = (Expr *) cz_row_expr(relid, 1, 0);

		special->whole_row_attno = ++n;
		sub->targetList = lappend(sub->targetList,
								  makeTargetEntry(whole, n, "whole_row", false));
		names = lappend(names, makeString("whole_row"));
	}
	if (special->table_oid)
	{
		special->table_oid_attno = ++n;
		sub->targetList = lappend(sub->targetList,
								  makeTargetEntry((Expr *)
												  cz_oid_const(relid), n, "tableoid", false));
		names = lappend(names, makeString("tableoid"));
	}
	if (keep)
		cz_keep_apart(sub);
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = sub;
	rte->security_barrier = false;
	rte->eref->colnames = names;
}

/* Replace one distributed table of a Query by a leaf. */
void
cz_replace_table(Query *query, Index rti, CzPlanState *state, const char *reason)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	Oid			relid = rte->relid;
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	RangeTblEntry *leaf_rte;
	List	   *values = NIL;
	SpecialContext special;
	Relation	rel;
	TupleDesc	desc;
	List	   *names = NIL;
	List	   *types = NIL;
	List	   *typmods = NIL;
	List	   *collations = NIL;
	bool		keep;
	bool		has_dropped = false;
	int			i;

	memset(&special, 0, sizeof(special));
	special.rti = rti;
	special.is_partitioned = CzTableGet(relid)->is_partitioned;
	query_tree_walker(query, special_walker, (void *) &special, 0);

	cz_note_relation(rte, query, state);
	leaf->check_as_user = rte_check_as_user_compat(query, rte);
	leaf->source = copyObject(rte);
	leaf->row_mark = take_row_mark(query, rti);
	leaf->strategy = CZ_STRATEGY_PULL;
	leaf->locus = cz_table_locus(relid);
	leaf->rows = cz_relation_rows(relid) * cz_sample_fraction(rte->tablesample);
	leaf->reason = reason;
	leaf->takes_duplicates = state->takes_duplicates && leaf->row_mark == NULL;
	if (leaf->source->tablesample)
		values = cz_take_sample(leaf->source->tablesample, state);

	rel = table_open(relid, NoLock);
	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	table_close(rel, NoLock);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
		{
			names = lappend(names, makeString(pstrdup("")));
			types = lappend_oid(types, INT4OID);
			typmods = lappend_int(typmods, -1);
			collations = lappend_oid(collations, InvalidOid);
			has_dropped = true;
			continue;
		}
		names = lappend(names, makeString(pstrdup(NameStr(att->attname))));
		types = lappend_oid(types, att->atttypid);
		typmods = lappend_int(typmods, att->atttypmod);
		collations = lappend_oid(collations, att->attcollation);
	}
	special.natts = desc->natts;
	for (i = 1; i <= -FirstLowInvalidHeapAttributeNumber; i++)
	{
		if (!bms_is_member(i, special.system))
			continue;
		special.columns = lappend_int(special.columns, -i);
		names = lappend(names, makeString(psprintf("system%d", i)));
		types = lappend_oid(types, i == 1 ? TIDOID : i == 3 || i == 5 ? CIDOID :
							i == 6 ? OIDOID : XIDOID);
		typmods = lappend_int(typmods, -1);
		collations = lappend_oid(collations, InvalidOid);
	}
	leaf->system_columns = special.columns;
	leaf_rte = cz_make_leaf(state, leaf, names, types, typmods, collations);
	if (values != NIL)
	{
		cz_add_leaf_values(leaf_rte, values);
		leaf_rte->lateral = true;
		rte->lateral = true;
	}

	/*
	 * A row with dropped columns must stay a value: folded into its parts, it
	 * would have one NULL too many.
	 */
	keep = state->keep_leaves || (special.whole_row && has_dropped);
	rte->eref->colnames = list_copy(names);
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->tablesample = NULL;
	rte->inh = false;
	rte_clear_permissions_compat(rte);
	if (special.whole_row || special.table_oid || keep)
	{
		IncrementVarSublevelsUp((Node *) leaf_rte->functions, 1, 0);
		wrap_leaf(rte, leaf_rte, relid, desc, &special, keep);
	}
	else
	{
		rte->rtekind = RTE_FUNCTION;
		rte->functions = leaf_rte->functions;
	}
	if (special.whole_row || special.table_oid || special.columns != NIL)
	{
		special.mutate = true;
		special.depth = 0;
		query_tree_walker(query, special_walker, (void *) &special, 0);
	}

	/* policies belong to the leaf: core forgets those of a sub-query that it pulls up */
	if (rte->rtekind == RTE_SUBQUERY && rte->securityQuals != NIL)
	{
		leaf_rte->securityQuals = (List *)
			replace_vars_compat((Node *) rte->securityQuals, rti, 0, rte,
								rte->subquery->targetList, NULL);
		rte->subquery->hasSubLinks = checkExprHasSubLink((Node *) leaf_rte->securityQuals);
		rte->subquery->hasRowSecurity = true;
		rte->securityQuals = NIL;
	}
}
