/*-------------------------------------------------------------------------
 *
 * recheck.c
 *	  Does a fragment's text mean what its Query meant?
 *
 * With the setting cz.check_fragments (on in DEV builds) every template is made
 * the text of the first shard, parsed and analysed here, where the shards are
 * foreign tables of the same names, and compared with the Query it was made of:
 *
 *	- types, typmods and collations of the result's columns,
 *	- the columns, by name, that are used of each relation,
 *	- the operators, functions, aggregates and sort operators, with the
 *	  collations that they work under: an implicit cast that a worker would
 *	  resolve otherwise shows as another function,
 *	- what is sorted, grouped and made distinct by, in its order: the columns and
 *	  operations of each item,
 *	- the types that parameters get.
 *
 * What differs is an error XX000.  Not checked: fragments with TABLESAMPLE (a
 * foreign table has none), tables whose columns have other names on the worker, and
 * GROUP BY a primary key (a foreign table has none).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "cz/compat.h"
#include "cz/settings.h"

#include "../planner_int.h"

typedef struct CollectContext
{
	List	   *levels;			/* rtables, innermost first */
	List	   *found;			/* Strings */
	bool		wants_columns;	/* columns of relations, else operations */
} CollectContext;

/* ---- what a Query uses --------------------------------------------------- */

static void
note(CollectContext *context, char *text)
{
	context->found = lappend(context->found, makeString(text));
}

/* A table goes by its parent's OID. */
static Oid
parent_of(Oid relid)
{
	Oid			parent;

	return CzIsShard(relid, &parent) ? parent : relid;
}

static void
note_column(CollectContext *context, Oid relid, AttrNumber attno)
{
	if (attno == 0)
		note(context, psprintf("%u.*", parent_of(relid)));
	else if (attno > 0)
		note(context, psprintf("%u.%s", parent_of(relid), get_attname(relid, attno, false)));
}

static void
note_operation(CollectContext *context, Oid oid, Oid collation, const char *kind)
{
	note(context, psprintf("%s %u collation %u", kind, oid, collation));
}

/* Does an expression depend on rows?  What does not may be computed by the parser. */
static bool
depends_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, Aggref) || IsA(node, WindowFunc) ||
		IsA(node, GroupingFunc) || IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, depends_walker, context);
}

typedef struct ItemContext
{
	StringInfo	buf;
	List	   *levels;			/* rtables, innermost first */
} ItemContext;

/* A column: by name if it is a table's or its stand-in's, by number otherwise. */
static const char *
column_name(Var *var, List *rtable)
{
	RangeTblEntry *rte;

	if (rtable == NIL || var->varattno == 0)
		return "*";
	rte = rt_fetch(var->varno, rtable);
	if (rte->rtekind == RTE_RELATION)
		return get_attname(rte->relid, var->varattno, false);
	/* a table's stand-in ends in system columns */
	if (rte->rtekind == RTE_CTE && strcmp(strVal(llast(rte->eref->colnames)), "tableoid") == 0)
		return strVal(list_nth(rte->eref->colnames, var->varattno - 1));
	return psprintf("%d", var->varattno);
}

/* Append the columns and operations of an item, in the order of the text. */
static bool
item_walker(Node *node, ItemContext *context)
{
	if (node == NULL || IsA(node, Query) || !depends_walker(node, NULL))
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
			{
				Var		   *var = (Var *) node;
				List	   *rtable = var->varlevelsup < list_length(context->levels) ?
					list_nth(context->levels, var->varlevelsup) : NIL;

				appendStringInfo(context->buf, " %s", column_name(var, rtable));
				return false;
			}
		case T_OpExpr:
			appendStringInfo(context->buf, " operator %u", ((OpExpr *) node)->opno);
			break;
		case T_FuncExpr:
			/* casts are the list of operations' business: an implicit one may print */
			if (((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CALL)
				appendStringInfo(context->buf, " function %u", ((FuncExpr *) node)->funcid);
			break;
		case T_Aggref:
			appendStringInfo(context->buf, " aggregate %u", ((Aggref *) node)->aggfnoid);
			break;
		case T_CoerceViaIO:
			appendStringInfo(context->buf, " to %u", ((CoerceViaIO *) node)->resulttype);
			break;
		default:
			break;
	}
	return expression_tree_walker(node, item_walker, (void *) context);
}

/* Note a list of SortGroupClauses, by their places; what is there twice counts once. */
static void
note_items(CollectContext *context, Query *query, const char *kind, List *clauses,
		   bool is_sorted)
{
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		SortGroupClause *item = lfirst(lc);
		Node	   *expr = get_sortgroupclause_expr(item, query->targetList);
		StringInfoData buf;
		ItemContext description;

		/* the same once more orders nothing, and the parser drops it */
		if (list_member(seen, expr))
			continue;
		seen = lappend(seen, expr);
		initStringInfo(&buf);
		appendStringInfo(&buf, "%s %d:", kind, list_length(seen));
		if (is_sorted)
			appendStringInfo(&buf, " sort %u nulls first %d", item->sortop,
							 item->nulls_first);
		else
			appendStringInfo(&buf, " equal %u", item->eqop);
		appendStringInfo(&buf, " collation %u by", exprCollation(expr));
		description.buf = &buf;
		description.levels = context->levels;
		(void) item_walker(expr, &description);
		note(context, buf.data);
	}
}

static void
note_operations(CollectContext *context, Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			/* the parser takes a sign into the number */
			if (cz_prints_as_number(node))
				break;
			note_operation(context, ((OpExpr *) node)->opno,
						   ((OpExpr *) node)->inputcollid, "operator");
			break;
		case T_ScalarArrayOpExpr:
			note_operation(context, ((ScalarArrayOpExpr *) node)->opno,
						   ((ScalarArrayOpExpr *) node)->inputcollid, "operator");
			break;
		case T_FuncExpr:
			/* a literal's cast to its length is done, or is still to be done */
			if ((((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CAST ||
				 ((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST) &&
				(IsA(linitial(((FuncExpr *) node)->args), Const) ||
				 cz_prints_as_number(linitial(((FuncExpr *) node)->args))))
				break;
			/* to a length: a value that was computed here has it, and gets it again */
			if (((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST &&
				exprType(linitial(((FuncExpr *) node)->args)) ==
				((FuncExpr *) node)->funcresulttype)
				break;
			note_operation(context, ((FuncExpr *) node)->funcid,
						   ((FuncExpr *) node)->inputcollid, "function");
			break;
		case T_Aggref:
			/* count() works under no collation, and has none where we made it */
			note_operation(context, ((Aggref *) node)->aggfnoid,
						   ((Aggref *) node)->aggfnoid == F_COUNT_ANY ? InvalidOid :
						   ((Aggref *) node)->inputcollid, "aggregate");
			break;
		case T_WindowFunc:
			note_operation(context, ((WindowFunc *) node)->winfnoid,
						   ((WindowFunc *) node)->inputcollid, "window function");
			break;
		case T_CoerceViaIO:
			note_operation(context, ((CoerceViaIO *) node)->resulttype, InvalidOid,
						   "conversion to");
			break;
		case T_MinMaxExpr:
			note_operation(context, ((MinMaxExpr *) node)->minmaxtype,
						   ((MinMaxExpr *) node)->inputcollid, "greatest or least of");
			break;
		case T_RowCompareExpr:
			{
				RowCompareExpr *compare = (RowCompareExpr *) node;
				ListCell   *lo;
				ListCell   *lc;

				forboth(lo, compare->opnos, lc, compare->inputcollids)
					note_operation(context, lfirst_oid(lo), lfirst_oid(lc), "operator");
				break;
			}
		default:
			break;
	}
}

/* An array that is a literal, or ARRAY[...] of literals, whose cast the parser moves to them? */
static bool
is_literal_array(Node *node)
{
	ListCell   *lc;

	if (!IsA(node, ArrayExpr))
		return IsA(node, Const);
	foreach(lc, ((ArrayExpr *) node)->elements)
	{
		if (!IsA(lfirst(lc), Const) && !cz_prints_as_number(lfirst(lc)))
			return false;
	}
	return true;
}

static bool
collect_walker(Node *node, CollectContext *context)
{
	Node	   *json_table;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;

		context->levels = lcons(query->rtable, context->levels);
		if (!context->wants_columns)
		{
			note_items(context, query, "order by", query->sortClause, true);
			note_items(context, query, "group by", query->groupClause, false);
			if (query->hasDistinctOn)
				note_items(context, query, "distinct on", query->distinctClause, false);
		}
		else if (query->commandType == CMD_UPDATE)
		{
			RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);

			foreach(lc, query->targetList)
			{
				if (!((TargetEntry *) lfirst(lc))->resjunk)
					note_column(context, rte->relid, ((TargetEntry *) lfirst(lc))->resno);
			}
		}
		query_tree_walker(query, collect_walker, (void *) context, QTW_IGNORE_JOINALIASES);
		context->levels = list_delete_first(context->levels);
		return false;
	}
	if (IsA(node, Var) && context->wants_columns)
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;

		if (var->varlevelsup >= list_length(context->levels))
			return false;
		rte = rt_fetch(var->varno, (List *) list_nth(context->levels, var->varlevelsup));
		if (rte->rtekind == RTE_RELATION)
			note_column(context, rte->relid, var->varattno);
		return false;
	}
	/* a literal's cast, element by element: as a FuncExpr's in note_operations */
	if (IsA(node, ArrayCoerceExpr) && is_literal_array((Node *) ((ArrayCoerceExpr *) node)->arg))
		return false;
	if (!context->wants_columns)
		note_operations(context, node);
	/* what JSON_TABLE is passed is printed once, and analysed for each column */
	json_table = json_table_compat(node);
	return expression_tree_walker(json_table != NULL ? json_table : node, collect_walker,
								  (void *) context);
}

static int
compare_strings(const ListCell *a, const ListCell *b)
{
	return strcmp(strVal(lfirst(a)), strVal(lfirst(b)));
}

static List *
collect(Query *query, bool wants_columns)
{
	CollectContext context = {NIL, NIL, wants_columns};

	collect_walker((Node *) query, &context);
	list_sort(context.found, compare_strings);
	return context.found;
}

/*
 * The texts are read as a superuser, and reading a literal may run a function of the
 * user's (a domain's CHECK in a composite type): others' are not checked.
 */
static bool
is_on(void)
{
	return cz_check_fragments && superuser();
}

/*
 * cz_recheck_columns, cz_recheck_operations
 *		What a Query that is being deparsed uses; the first before, the second
 *		after its relations became stand-ins.  NIL unless it will be checked.
 */
List *
cz_recheck_columns(Query *query)
{
	return is_on() ? collect(query, true) : NIL;
}

List *
cz_recheck_operations(Query *query)
{
	return is_on() ? collect(query, false) : NIL;
}

/* ---- the text ------------------------------------------------------------ */

/* A sub-query with the columns of a shipment. */
static void
append_shipment(StringInfo buf, const CzShipment *shipment)
{
	ListCell   *lt;
	ListCell   *lm;
	ListCell   *lc;
	int			n = 0;

	appendStringInfoString(buf, "(SELECT ");
	forthree(lt, shipment->column_types, lm, shipment->column_typmods,
			 lc, shipment->column_collations)
	{
		Oid			collation = lfirst_oid(lc);

		appendStringInfo(buf, "%sNULL::%s", n > 0 ? ", " : "",
						 format_type_extended(lfirst_oid(lt), lfirst_int(lm),
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY));
		if (OidIsValid(collation) && collation != get_typcollation(lfirst_oid(lt)))
			appendStringInfo(buf, " COLLATE %s",
							 generate_collation_name(collation));
		appendStringInfo(buf, " AS c%d", ++n);
	}
	appendStringInfoChar(buf, ')');
}

/* The text for the first shards as they are called here, or NULL if it can't be had. */
static char *
local_text(const CzFragmentPlan *plan)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, plan->pieces)
	{
		Node	   *piece = lfirst(lc);
		const CzTable *table;
		Oid			shard;

		if (IsA(piece, String))
		{
			if (strstr(strVal(piece), " TABLESAMPLE ") != NULL)
				return NULL;
			appendStringInfoString(&buf, strVal(piece));
			continue;
		}
		if (IsA(piece, List))
		{
			appendStringInfoString(&buf, strVal(lsecond((List *) piece)));
			append_shipment(&buf, list_nth(plan->shipments,
										   intVal(linitial((List *) piece))));
			appendStringInfoString(&buf, strVal(lthird((List *) piece)));
			continue;
		}
		if (intVal(piece) < 0)
		{
			if (-1 - intVal(piece) >= list_length(plan->shipments))
				return NULL;
			append_shipment(&buf, list_nth(plan->shipments, -1 - intVal(piece)));
			continue;
		}
		table = CzTableGet(list_nth_oid(plan->relids, intVal(piece)));
		if (table == NULL || table->kind == CZ_TABLE_FOREIGN || table->nshards == 0)
			return NULL;
		/* a partition has no shards here: its own columns stand for theirs */
		shard = OidIsValid(table->root_relid) ? table->relid : table->shards[0].relid;
		appendStringInfoString(&buf,
							   quote_qualified_identifier(get_namespace_name(get_rel_namespace(shard)),
														  get_rel_name(shard)));
	}
	return buf.data;
}

static bool
unlock_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		/* EXCLUDED is a second entry of the target, under its one lock */
		if (rte->rtekind == RTE_RELATION && rte->relkind != RELKIND_COMPOSITE_TYPE)
			UnlockRelationOid(rte->relid, rte->rellockmode);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, unlock_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, unlock_walker, context);
}

/* Parse and analyse as a worker would, which trusts nothing that is set here. */
static Query *
analyse(const char *text, Oid **types, int *ntypes)
{
	Query	   *volatile query = NULL;
	Oid			user;
	int			security;
	int			level = CzPinTextSettings(CZ_PIN_ALL);

	/* shards' schema is not everybody's */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, security | SECURITY_LOCAL_USERID_CHANGE);
	PG_TRY();
	{
		List	   *raw = raw_parser(text, RAW_PARSE_DEFAULT);

		query = parse_analyze_varparams(linitial(raw), text, types, ntypes, NULL);
		unlock_walker((Node *) query, NULL);
		cz_remove_group_entries(query);
	}
	PG_FINALLY();
	{
		SetUserIdAndSecContext(user, security);
	}
	PG_END_TRY();
	CzUnpinTextSettings(level);
	return query;
}

/* ---- the comparison ------------------------------------------------------ */

static void
complain(const char *what, const char *expected, const char *got, const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("deparsed fragment does not match its query: %s", what),
			 errdetail("Query: %s. Text: %s. Fragment: %s", expected, got, text)));
}

static void
compare_sets(const char *what, List *expected, List *got, const char *text)
{
	ListCell   *le = list_head(expected);
	ListCell   *lg = list_head(got);

	while (le != NULL && lg != NULL &&
		   strcmp(strVal(lfirst(le)), strVal(lfirst(lg))) == 0)
	{
		le = lnext(expected, le);
		lg = lnext(got, lg);
	}
	if (le != NULL || lg != NULL)
		complain(what, le ? strVal(lfirst(le)) : "no more", lg ? strVal(lfirst(lg)) : "no more",
				 text);
}

static void
compare_columns(List *expected, List *got, const char *text)
{
	ListCell   *lg = list_head(got);
	ListCell   *le;

	foreach(le, expected)
	{
		TargetEntry *tle = lfirst(le);
		Node	   *a = (Node *) tle->expr;
		Node	   *b;

		if (tle->resjunk)
			continue;
		while (lg != NULL && ((TargetEntry *) lfirst(lg))->resjunk)
			lg = lnext(got, lg);
		if (lg == NULL)
			complain("number of columns", "more", "no more", text);
		b = (Node *) ((TargetEntry *) lfirst(lg))->expr;
		if (exprType(a) != exprType(b) || exprTypmod(a) != exprTypmod(b) ||
			exprCollation(a) != exprCollation(b))
			complain("column",
					 psprintf("%s collation %u", format_type_with_typemod(exprType(a), exprTypmod(a)),
							  exprCollation(a)),
					 psprintf("%s collation %u", format_type_with_typemod(exprType(b), exprTypmod(b)),
							  exprCollation(b)), text);
		lg = lnext(got, lg);
	}
	while (lg != NULL && ((TargetEntry *) lfirst(lg))->resjunk)
		lg = lnext(got, lg);
	if (lg != NULL)
		complain("number of columns", "no more", "more", text);
}

/* Lists of strings without repetitions. */
static List *
distinct(List *list)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, list)
	{
		if (result == NIL || strcmp(strVal(llast(result)), strVal(lfirst(lc))) != 0)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/* GROUP BY a primary key makes all columns known; the shards here have none. */
static bool
needs_key_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return ((Query *) node)->constraintDeps != NIL ||
			query_tree_walker((Query *) node, needs_key_walker, context, 0);
	return expression_tree_walker(node, needs_key_walker, context);
}

/*
 * cz_recheck
 *		Compare a finished fragment plan with the Query it was made of.
 *
 * query: as it was deparsed.
 * columns, operations: of cz_recheck_columns() and cz_recheck_operations().
 *
 * Errors: XX000 if they differ; whatever the parser says of a text that is none.
 */
void
cz_recheck(const CzFragmentPlan *plan, Query *query, List *params, List *columns,
		   List *operations)
{
	Oid		   *types = NULL;
	int			ntypes = 0;
	char	   *text;
	Query	   *again;
	ListCell   *lc;
	int			n = 0;

	/* MERGE takes no foreign table as its target */
	if (!is_on() || needs_key_walker((Node *) query, NULL) || query->commandType == CMD_MERGE)
		return;
	text = local_text(plan);
	if (text == NULL)
		return;
	again = analyse(text, &types, &ntypes);

	if (again->commandType != query->commandType)
		complain("command", "another", "one", text);
	if (query->commandType == CMD_SELECT)
		compare_columns(query->targetList, again->targetList, text);
	else
		compare_columns(query->returningList, again->returningList, text);
	/* an INSERT's text is analysed with conversions and all columns of EXCLUDED */
	if (query->commandType == CMD_INSERT)
		return;
	compare_sets("used column", distinct(columns), distinct(collect(again, true)), text);
	compare_sets("operation", distinct(operations), distinct(collect(again, false)), text);
	foreach(lc, params)
	{
		if (n < ntypes && OidIsValid(types[n]) && types[n] != exprType(lfirst(lc)))
			complain("parameter", format_type_be(exprType(lfirst(lc))),
					 format_type_be(types[n]), text);
		n++;
	}
}
