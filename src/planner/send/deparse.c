/*-------------------------------------------------------------------------
 *
 * deparse.c
 *	  The one door to core's deparser: a Query becomes a fragment template.
 *
 * pg_get_querydef() is sound for what the parser makes.  What reaches the
 * planner hook has been rewritten, so the Query is normalised first:
 *
 *	1. Join alias variables are replaced by what they stand for; joins keep no
 *	   USING and no alias.
 *	2. Every relation of the cluster becomes a stand-in: an RTE_CTE that prints
 *	   as a quoted token and whose column names are those of the shards.  Column
 *	   *names* decide, never attribute numbers, so a column dropped here before
 *	   the shard was made does no harm.  The token is cut out of the text after
 *	   deparsing and gives way to each shard's name.
 *	3. Vars lose their syntactic referents; system columns are addressed by name;
 *	   tableoid becomes the parent's OID (but see fix_relation_var).
 *	4. Parameters and stable expressions without columns become parameters of
 *	   the fragment, each printed with an explicit cast.  They are computed here,
 *	   early; where that fails a second template is used, in which the workers
 *	   compute what may fail, if a row needs it.
 *
 * The result relation of a command that writes must stay an RTE_RELATION: it is
 * made that of one shard, with attribute numbers mapped by name, and the text
 * up to its name, which is known, is cut off.  So is EXCLUDED.
 *
 * Where the text of a tree could mean something else to a worker's parser:
 *
 *	- In ORDER BY, GROUP BY and DISTINCT ON a number is the position of a column,
 *	  and the parser takes the sign of (- (- 2)) into the number: what prints as
 *	  a number there is cast to its own type (printable.c).
 *	- A bare name in ORDER BY and DISTINCT ON is an output column before it is one
 *	  of FROM, and an expression without AS is called after its function or type:
 *	  such columns get names, and sort columns their table's (printable.c).
 *	- Aliases and columns of ours beside the user's: core makes names unique that
 *	  it prints, so what is cut out of the text must expect a number behind them
 *	  (cut_template).  CTEs of ours take free names (cz_free_cte_name) and are told
 *	  by their location.
 *	- unnest() of composite values in FROM gives their fields (values.c).
 *	- Operators, functions, types: by their bare names, which search_path finds;
 *	  it is pg_catalog here and there, and no other operator is shippable.
 *	  IS DISTINCT FROM, NULLIF, IN and CASE x WHEN print none: the same holds.
 *	- An implicit cast does not print: the parser must find it again.  Those that
 *	  core makes of constants, to a length, are said explicitly or done.
 *	- Literals: their types are printed with typmods (a bit or bpchar without length
 *	  in quotes: the bare word means a length of one), and their collations; how
 *	  values print is pinned (CzPinTextSettings).  A relabelling is the only
 *	  trace of COLLATE after core's planner: fix_relabel.  Parameters carry a cast
 *	  and their collation.
 *	- Keywords and odd names are quoted by core; quote_all_identifiers is pinned,
 *	  since texts are taken apart here.
 *	- What was true of the table is not of a sub-query in its place: keys (GROUP BY
 *	  a primary key), system columns, whole rows (must_not_merge).
 *
 * cz.check_fragments (recheck.c) parses each text again and compares.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "cz/compat.h"
#include "cz/settings.h"

#include "../planner_int.h"

/* System columns that a stand-in offers behind its own columns, by -attno - 1. */
static const char *const system_names[] = {"ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"};

#define N_SYSTEM_NAMES lengthof(system_names)

typedef struct DeparseContext
{
	char		token[32];		/* what every stand-in's name starts with */
	int			ntokens;		/* stand-ins made */
	int			nalias;			/* aliases given */
	int			sublink_alias;	/* after which those of a sub-query in an expression begin,
								 * or -1: after what was given last */
	List	   *numbers;		/* ints, by stand-in number: an index in relids, or
								 * -1 - an index in ships */
	List	   *relids;			/* OIDs */
	List	   *columns;		/* by relids: int lists of attribute numbers used */
	List	   *ships;			/* ints, indexes in the planner state's ships */
	List	   *in_lists;		/* CzInLists */
	List	   *in_list_of;		/* by stand-in number: the one that reads it, or NULL */
	bool		must_not_merge; /* a relation must be one table */
	bool		has_row_ids;	/* system columns are read */
	List	   *row_ids;		/* of cz_mark_row_ids */
	List	   *samples;		/* TableSampleClause or NULL, by stand-in number */
	List	   *aliases;		/* alias names, by stand-in number */
	List	   *params;			/* expressions, by parameter number - 1 */
	bool		is_lazy;		/* what may fail is left to the workers */
	int			lazy_depth;		/* expressions around that are left to them */
	bool		may_be_lazy;	/* out: a parameter's expression could have been */
	List	   *functions;		/* OIDs */
	List	   *levels;			/* rtables of the enclosing queries, innermost first */
	List	   *targets;		/* per level: the result relation's map or NULL */
	AttrNumber *target_map;		/* parent attno - 1 -> shard attno, top level only */
	Index		target_rti;
	Index		excluded_rti;	/* EXCLUDED of an INSERT, or 0 */
	Oid			target_parent;
	Oid			check_as_user;
	bool		has_row_locks;
	bool		locks_wait;		/* one of them may be waited for */
	List	   *named;			/* sub-query RTEs of which a whole row is used */
	List	   *names;			/* their column names, lists of Strings */
	List	   *nullable;		/* stand-ins that an outer join may fill with NULLs */
} DeparseContext;

/* ---- step 2: stand-ins --------------------------------------------------- */

static Node *fix_mutator(Node *node, DeparseContext *context);

static char *
next_alias(DeparseContext *context)
{
	return psprintf("r%d", ++context->nalias);
}

static void
become_stand_in(RangeTblEntry *rte, char *alias, List *names, DeparseContext *context)
{
	context->aliases = lappend(context->aliases, makeString(alias));
	rte->rtekind = RTE_CTE;
	rte->ctename = psprintf("%s%d~", context->token, context->ntokens++);
	rte->ctelevelsup = 0;
	rte->self_reference = false;
	rte->alias = makeAlias(alias, NIL);
	rte->eref = makeAlias(alias, names);
	rte->relid = InvalidOid;
	rte->tablesample = NULL;
	rte->inFromCl = true;
	rte->securityQuals = NIL;
}

static void
make_stand_in(RangeTblEntry *rte, const CzTable *table, DeparseContext *context,
			  Oid check_as_user)
{
	List	   *names = NIL;
	char	   *alias = next_alias(context);
	int			i;

	for (i = 0; i < table->natts; i++)
		names = lappend(names, makeString(table->column_names[i] ?
										  pstrdup(table->column_names[i]) : pstrdup("")));
	for (i = 0; i < N_SYSTEM_NAMES; i++)
		names = lappend(names, makeString(pstrdup(system_names[i])));

	context->in_list_of = lappend(context->in_list_of, NULL);
	context->numbers = lappend_int(context->numbers, list_length(context->relids));
	context->relids = lappend_oid(context->relids, rte->relid);
	context->columns = lappend(context->columns, NIL);
	if (rte->tablesample != NULL)
		context->must_not_merge = true;
	context->samples = lappend(context->samples,
							   fix_mutator((Node *) rte->tablesample, context));
	context->check_as_user = check_as_user;
	become_stand_in(rte, alias, names, context);
}

/* The same for an entry that reads a shipment. */
static void
make_ship_stand_in(RangeTblEntry *rte, CzShip *ship, DeparseContext *context)
{
	List	   *names = NIL;
	int			i;

	for (i = 1; i <= list_length(ship->types); i++)
		names = lappend(names, makeString(psprintf("c%d", i)));
	context->in_list_of = lappend(context->in_list_of, cz_in_list_of(context->in_lists, rte));
	context->numbers = lappend_int(context->numbers, -1 - list_length(context->ships));
	context->ships = lappend_int(context->ships, rte->ctelevelsup);
	context->samples = lappend(context->samples, NULL);
	become_stand_in(rte, next_alias(context), names, context);
}

/* Find the sub-queries whose column names show, because a whole row is used. */
static bool
named_walker(Node *node, DeparseContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;

		if (var->varattno != 0 || var->varlevelsup >= list_length(context->levels))
			return false;
		rte = rt_fetch(var->varno, (List *) list_nth(context->levels, var->varlevelsup));
		if (rte->rtekind == RTE_SUBQUERY && !list_member_ptr(context->named, rte))
		{
			context->named = lappend(context->named, rte);
			context->names = lappend(context->names, cz_row_names(var, rte));
		}
		return false;
	}
	if (IsA(node, Query))
	{
		context->levels = lcons(((Query *) node)->rtable, context->levels);
		query_tree_walker((Query *) node, named_walker, (void *) context, 0);
		context->levels = list_delete_first(context->levels);
		return false;
	}
	return expression_tree_walker(node, named_walker, (void *) context);
}

/*
 * Subqueries get generated column names (a view's may have been renamed), except
 * where a whole row shows them.
 */
static void
rename_columns(RangeTblEntry *rte, DeparseContext *context)
{
	List	   *names = NIL;
	ListCell   *lc;
	int			n = 0;
	char	   *alias = next_alias(context);

	for (n = 0; n < list_length(context->named); n++)
	{
		if (list_nth(context->named, n) == rte)
			names = list_nth(context->names, n);
	}
	n = 0;
	foreach(lc, rte->subquery->targetList)
	{
		if (!((TargetEntry *) lfirst(lc))->resjunk && n++ >= list_length(names))
			names = lappend(names, makeString(psprintf("c%d", n)));
	}
	rte->eref = makeAlias(alias, names);
	rte->alias = makeAlias(alias, copyObject(names));
}

static void stand_ins_query(Query *query, DeparseContext *context);

static bool
stand_in_walker(Node *node, DeparseContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		stand_ins_query((Query *) node, context);
		return false;
	}
	if (IsA(node, SubLink) && context->sublink_alias >= 0)
	{
		int			nalias = context->nalias;

		context->nalias = context->sublink_alias;
		(void) expression_tree_walker(node, stand_in_walker, (void *) context);
		context->nalias = Max(nalias, context->nalias);
		return false;
	}
	return expression_tree_walker(node, stand_in_walker, (void *) context);
}

/* Note the range-table entries whose columns an outer join of this level may make NULL. */
static void
note_nullable(Node *node, Query *query, bool is_nullable, DeparseContext *context)
{
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
	{
		if (is_nullable)
			context->nullable = lappend(context->nullable,
										rt_fetch(((RangeTblRef *) node)->rtindex,
												 query->rtable));
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		note_nullable(join->larg, query, is_nullable || join->jointype == JOIN_RIGHT ||
					  join->jointype == JOIN_FULL, context);
		note_nullable(join->rarg, query, is_nullable || join->jointype == JOIN_LEFT ||
					  join->jointype == JOIN_FULL, context);
	}
	else
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			note_nullable(lfirst(lc), query, is_nullable, context);
	}
}

static void
stand_ins_query(Query *query, DeparseContext *context)
{
	ListCell   *lc;
	Index		rti = 0;
	int			sublink_alias = context->sublink_alias;

	if (query->rowMarks != NIL)
		context->has_row_locks = true;
	if (query->constraintDeps != NIL)
		context->must_not_merge = true; /* a sub-query has no primary key */
	foreach(lc, query->rowMarks)
	{
		if (((RowMarkClause *) lfirst(lc))->waitPolicy == LockWaitBlock)
			context->locks_wait = true;
	}
	cz_note_in_lists(query, &context->in_lists);
	cz_mark_from((Node *) query->jointree, query);
	note_nullable((Node *) query->jointree, query, false, context);
	if (list_length(query->jointree->fromlist) > 1)
		cz_order_from(query);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		rti++;
		if (rte->rtekind == RTE_RELATION && rti != query->resultRelation &&
			(query->onConflict == NULL || rti != query->onConflict->exclRelIndex))
		{
			const CzTable *table = CzTableGet(rte->relid);

			if (table)
				make_stand_in(rte, table, context, rte_check_as_user_compat(query, rte));
		}
		else if (rte->rtekind == RTE_SUBQUERY)
		{
			rename_columns(rte, context);
			/* what fence.c marked: a barrier that the worker can't remove */
			if (rte->security_barrier && rte->subquery->limitOffset == NULL)
				rte->subquery->limitOffset = (Node *)
					makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(0),
							  false, FLOAT8PASSBYVAL);
		}
		else if (cz_ship_of_rte(rte) != NULL)
			make_ship_stand_in(rte, cz_ship_of_rte(rte), context);
	}
	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (cte->aliascolnames == NIL)
			cte->aliascolnames = copyObject(cte->ctecolnames);
	}
	/* what is grouped by prints the same wherever it is */
	context->sublink_alias = query->groupClause != NIL ? context->nalias : -1;
	query_tree_walker(query, stand_in_walker, (void *) context, 0);
	context->sublink_alias = sublink_alias;
}

/* ---- steps 3 and 4: Vars and parameters ---------------------------------- */

static Query *
fix_query(Query *query, DeparseContext *context)
{
	Query	   *result;

	context->levels = lcons(query->rtable, context->levels);
	result = query_tree_mutator(query, fix_mutator, (void *) context,
								QTW_DONT_COPY_QUERY);
	context->levels = list_delete_first(context->levels);
	return result;
}

/* An expression under a collation: print COLLATE where it differs from the type's default. */
static Node *
collate(Node *expr, Oid collation)
{
	CollateExpr *result;

	if (!OidIsValid(collation) || collation == exprCollation(expr))
		return expr;
	result = makeNode(CollateExpr);
	result->arg = (Expr *) expr;
	result->collOid = collation;
	result->location = -1;
	return (Node *) result;
}

/*
 * Core's planner makes COLLATE a relabelling, which does not print: the collation
 * would be lost.
 */
static Node *
fix_relabel(RelabelType *relabel)
{
	Node	   *arg = (Node *) relabel->arg;
	Oid			collation = relabel->resultcollid;

	if (exprType(arg) == relabel->resulttype &&
		(relabel->resulttypmod < 0 || relabel->resulttypmod == exprTypmod(arg)) &&
		OidIsValid(collation) && collation != exprCollation(arg))
		return collate(arg, collation);
	relabel->resultcollid = OidIsValid(exprCollation(arg)) && OidIsValid(collation) ?
		exprCollation(arg) : get_typcollation(relabel->resulttype);
	return collate((Node *) relabel, collation);
}

static Node *
make_param(Node *expr, DeparseContext *context)
{
	Param	   *param;
	ListCell   *lc;
	int			n = 0;
	Oid			type = exprType(expr);

	foreach(lc, context->params)
	{
		n++;
		if (equal(lfirst(lc), expr))
			break;
	}
	if (lc == NULL)
	{
		context->params = lappend(context->params, copyObject(expr));
		n = list_length(context->params);
	}
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = n;
	param->paramtype = type;
	param->paramtypmod = -1;
	param->paramcollid = exprCollation(expr);
	param->location = -1;
	return collate((Node *) makeRelabelType((Expr *) param, type, -1, get_typcollation(type),
											COERCE_EXPLICIT_CAST), exprCollation(expr));
}

/* tableoid of a row that an outer join may have made up: NULL then, as ctid is. */
static Node *
tableoid_or_null(Var *var, RangeTblEntry *rte, Node *oid)
{
	CaseExpr   *expr = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);
	NullTest   *test = makeNode(NullTest);

	var->varattno = list_length(rte->eref->colnames) - N_SYSTEM_NAMES + 1;
	var->vartype = TIDOID;
	test->arg = (Expr *) var;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	when->expr = (Expr *) test;
	when->result = (Expr *) oid;
	when->location = -1;
	expr->casetype = OIDOID;
	expr->args = list_make1(when);
	expr->defresult = (Expr *) makeNullConst(OIDOID, -1, InvalidOid);
	expr->location = -1;
	return (Node *) expr;
}

/* A Var of the stand-in of relation n. */
static Node *
fix_relation_var(Var *var, RangeTblEntry *rte, int n, DeparseContext *context)
{
	ListCell   *columns = list_nth_cell(context->columns, n);
	int			natts = list_length(rte->eref->colnames) - N_SYSTEM_NAMES;
	int			i;

	/* of a table with partitions it is the worker's own: nobody but we ask for it */
	if (var->varattno == TableOidAttributeNumber &&
		!CzTableGet(list_nth_oid(context->relids, n))->is_partitioned)
	{
		Node	   *oid = cz_oid_const(list_nth_oid(context->relids, n));

		if (!list_member_ptr(context->nullable, rte))
			return oid;
		context->must_not_merge = true;
		return tableoid_or_null(var, rte, oid);
	}
	if (var->varattno > 0)
		lfirst(columns) = list_append_unique_int(lfirst(columns), var->varattno);
	else if (var->varattno == 0)
	{
		/* the row of a sub-query would have other fields */
		context->must_not_merge = true;
		for (i = 1; i <= natts; i++)
			lfirst(columns) = list_append_unique_int(lfirst(columns), i);
	}
	else
	{
		context->must_not_merge = true;
		context->has_row_ids = true;
		var->varattno = natts - var->varattno;
	}
	return (Node *) var;
}

static Node *
fix_var(Var *var, DeparseContext *context)
{
	List	   *rtable = list_nth(context->levels, var->varlevelsup);
	RangeTblEntry *rte = rt_fetch(var->varno, rtable);
	Var		   *result = copyObject(var);
	bool		is_target = context->target_map != NULL &&
		(var->varno == context->target_rti || var->varno == context->excluded_rti) &&
		var->varlevelsup == list_length(context->levels) - 1;

	var_forget_syntax_compat(result);
	if (is_target)
	{
		if (var->varattno > 0)
			result->varattno = context->target_map[var->varattno - 1];
		else if (var->varattno == TableOidAttributeNumber)
			return cz_oid_const(context->target_parent);
		return (Node *) result;
	}
	if (rte->rtekind == RTE_CTE &&
		strncmp(rte->ctename, context->token, strlen(context->token)) == 0)
	{
		int			n = list_nth_int(context->numbers,
									 atoi(rte->ctename + strlen(context->token)));

		if (n >= 0)
			return fix_relation_var(result, rte, n, context);
	}
	return (Node *) result;
}

static bool
note_function(Oid funcid, void *arg)
{
	DeparseContext *context = (DeparseContext *) arg;

	context->functions = list_append_unique_oid(context->functions, funcid);
	return false;
}

static Node *
fix_mutator(Node *node, DeparseContext *context)
{
	Node	   *json_table;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) fix_query((Query *) node, context);
	if (IsA(node, Var))
		return fix_var((Var *) node, context);
	if (cz_is_closed_stable(node))
	{
		Node	   *param;

		if (!cz_may_be_lazy(node))
		{
			param = make_param(node, context);
			return context->lazy_depth > 0 ? cz_value_of_param(param) : param;
		}
		context->may_be_lazy = true;
		if (!context->is_lazy)
			return make_param(node, context);
		context->lazy_depth++;
		check_functions_in_node(node, note_function, context);
		node = expression_tree_mutator(node, fix_mutator, (void *) context);
		context->lazy_depth--;
		return node;
	}
	check_functions_in_node(node, note_function, context);
	json_table = json_table_compat(node);
	if (json_table != NULL)
	{
		bool		save = context->is_lazy;

		/* core does not read a sub-query in its PASSING */
		context->is_lazy = false;
		node = expression_tree_mutator(json_table, fix_mutator, (void *) context);
		context->is_lazy = save;
		return node;
	}
	if (IsA(node, RelabelType))
		return fix_relabel((RelabelType *) expression_tree_mutator(node, fix_mutator,
																   (void *) context));
	return expression_tree_mutator(node, fix_mutator, (void *) context);
}

/* ---- the template -------------------------------------------------------- */

static char *
deparse_text(Query *query)
{
	int			level = CzPinTextSettings(CZ_PIN_ALL);
	char	   *text;
	size_t		len;

	/* the body of an SQL function may be "RETURN expression", which is no statement */
	query->isReturn = false;
	text = pg_get_querydef(query, false);
	CzUnpinTextSettings(level);
	/* the statement alone: no leading blank, trailing semicolon or newline */
	while (*text == ' ' || *text == '\n')
		text++;
	len = strlen(text);
	while (len > 0 && (text[len - 1] == ';' || text[len - 1] == '\n'))
		text[--len] = '\0';
	return text;
}

/* TABLESAMPLE method(args) [REPEATABLE (seed)] as text. */
static char *
sample_text(TableSampleClause *sample)
{
	StringInfoData buf;
	ListCell   *lc;
	int			level = CzPinTextSettings(CZ_PIN_ALL);
	const char *sep = "";

	initStringInfo(&buf);
	appendStringInfo(&buf, " TABLESAMPLE %s (",
					 quote_identifier(get_func_name(sample->tsmhandler)));
	foreach(lc, sample->args)
	{
		appendStringInfo(&buf, "%s%s", sep,
						 deparse_expression(lfirst(lc), NIL, false, false));
		sep = ", ";
	}
	appendStringInfoChar(&buf, ')');
	if (sample->repeatable)
		appendStringInfo(&buf, " REPEATABLE (%s)",
						 deparse_expression((Node *) sample->repeatable, NIL, false,
											false));
	CzUnpinTextSettings(level);
	return buf.data;
}

static int
count_tokens(const char *text, const char *token)
{
	int			n = 0;

	while ((text = strstr(text, token)) != NULL)
	{
		n++;
		text += strlen(token);
	}
	return n;
}

/* Cut the text at its tokens: "<token><n>~" in double quotes. */
static List *
cut_template(char *text, DeparseContext *context)
{
	List	   *pieces = NIL;
	char		quoted[40];
	char	   *hit;

	snprintf(quoted, sizeof(quoted), "\"%s", context->token);
	while ((hit = strstr(text, quoted)) != NULL)
	{
		int			n = atoi(hit + strlen(quoted));
		char	   *rest = strchr(hit + 1, '"') + 1;
		TableSampleClause *sample = list_nth(context->samples, n);
		List	   *in_list = cz_cut_in_list(list_nth(context->in_list_of, n), text, hit - text,
											 -1 - list_nth_int(context->numbers, n), &rest);

		if (in_list != NIL)
		{
			pieces = list_concat(pieces, in_list);
			text = rest;
			continue;
		}
		pieces = lappend(pieces, makeString(pnstrdup(text, hit - text)));
		pieces = lappend(pieces, makeInteger(list_nth_int(context->numbers, n)));
		if (sample)
		{
			char	   *alias = strVal(list_nth(context->aliases, n));
			size_t		skip = 1 + strlen(alias);

			/*
			 * The text goes on with " alias", to which core may have added a number;
			 * the clause comes after it.
			 */
			if (rest[0] != ' ' || strncmp(rest + 1, alias, strlen(alias)) != 0)
				elog(ERROR, "unexpected text after a relation with TABLESAMPLE");
			skip += strspn(rest + skip, "_0123456789");
			pieces = lappend(pieces, makeString(psprintf("%.*s%s", (int) skip, rest,
														 sample_text(sample))));
			rest += skip;
		}
		text = rest;
	}
	return lappend(pieces, makeString(pstrdup(text)));
}

/* Attribute numbers of a shard by those of its parent, by name. */
static AttrNumber *
map_by_name(const CzTable *table, Oid shard)
{
	AttrNumber *map = palloc0(sizeof(AttrNumber) * (table->natts + 1));
	int			i;

	for (i = 0; i < table->natts; i++)
	{
		if (table->column_names[i])
			map[i] = get_attnum(shard, table->column_names[i]);
	}
	return map;
}

/* Parameters that were marked get their expressions back; the plan says which they are. */
static void
take_row_ids(CzFragmentPlan *plan, DeparseContext *context)
{
	ListCell   *lc;

	foreach(lc, context->row_ids == NIL ? NIL : context->params)
	{
		Param	   *mark = lfirst(lc);
		int			n = foreach_current_index(lc);
		List	   *value;

		if (!IsA(mark, Param) || mark->paramkind != PARAM_EXTERN ||
			mark->paramid > CZ_PARAM_ROW_ID ||
			mark->paramid <= CZ_PARAM_ROW_ID - list_length(context->row_ids))
			continue;
		value = list_nth(context->row_ids, CZ_PARAM_ROW_ID - mark->paramid);
		lfirst(lc) = linitial(value);
		if (intVal(lsecond(value)))
			plan->row_id_lists = lappend_int(plan->row_id_lists, n);
		else
			plan->row_id_params = lappend_int(plan->row_id_params, n);
	}
}

static void
map_assigned(List *targets, const AttrNumber *map)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		TargetEntry *tle = lfirst(lc);

		tle->resno = map[tle->resno - 1];
	}
}

/* Make the result relation that of one shard. */
static void
become_shard(Query *query, Oid target_shard, DeparseContext *context)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	ListCell   *lc;

	rte->relid = target_shard;
	rte->relkind = RELKIND_FOREIGN_TABLE;
	rte->inh = true;
	rte->alias = makeAlias("r0", NIL);
	rte->eref = makeAlias("r0", NIL);
	rte->inFromCl = false;
	if (query->commandType != CMD_DELETE)
		map_assigned(query->targetList, context->target_map);
	foreach(lc, query->mergeActionList)
		map_assigned(((MergeAction *) lfirst(lc))->targetList, context->target_map);
	if (query->onConflict == NULL)
		return;
	map_assigned(query->onConflict->onConflictSet, context->target_map);
	if (context->excluded_rti == 0)
		return;
	rte = rt_fetch(context->excluded_rti, query->rtable);
	rte->relid = target_shard;
	rte->relkind = RELKIND_FOREIGN_TABLE;
	rte->alias = makeAlias("excluded", NIL);
	rte->eref = makeAlias("excluded", NIL);
	rte->inFromCl = false;
}

/*
 * The work of cz_deparse.
 *
 * is_lazy: in: leave to the workers what may fail; out: could something be?
 */
static CzFragmentPlan *
deparse(Query *query, CzPlanState *state, Oid target_shard, List **params, bool *is_lazy)
{
	DeparseContext context;
	CzFragmentPlan *plan = palloc0(sizeof(CzFragmentPlan));
	char	   *text;
	char		quoted[40];
	int			tries = 0;
	Query	   *original = query;
	List	   *used_columns;
	List	   *used_operations;
	List	   *row_id_columns = NIL;
	ListCell   *lc;

	for (;;)
	{
		query = copyObject(original);
		memset(&context, 0, sizeof(context));
		context.is_lazy = *is_lazy;
		snprintf(context.token, sizeof(context.token), "cz~%016llx~",
				 (unsigned long long) pg_prng_uint64(&pg_global_prng_state));

		if (OidIsValid(target_shard))
		{
			RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
			const CzTable *table = CzTableGet(rte->relid);

			context.target_rti = query->resultRelation;
			if (query->onConflict != NULL)
				context.excluded_rti = query->onConflict->exclRelIndex;
			context.target_parent = rte->relid;
			context.check_as_user = rte_check_as_user_compat(query, rte);
			context.target_map = map_by_name(table, target_shard);
			context.numbers = list_make1_int(0);
			context.relids = lappend_oid(context.relids, rte->relid);
			context.columns = list_make1(NIL);
			context.samples = lappend(context.samples, NULL);
			context.in_list_of = lappend(context.in_list_of, NULL);
			context.aliases = lappend(context.aliases, NULL);
			context.ntokens = 1;
		}

		cz_flatten_joins(query);
		cz_drop_unused_outputs(query);
		if (state->has_row_ids)
		{
			row_id_columns = cz_row_id_columns(query);
			context.row_ids = cz_mark_row_ids(query);
		}
		used_columns = cz_recheck_columns(query);
		named_walker((Node *) query, &context);
		stand_ins_query(query, &context);
		query = fix_query(query, &context);
		if (OidIsValid(target_shard))
			become_shard(query, target_shard, &context);
		used_operations = cz_recheck_operations(query);
		cz_make_printable(query);
		text = deparse_text(query);

		/*
		 * A stand-in may print twice (an expression of the target list that is
		 * sorted by), but always in quotes.  What else is there is a constant
		 * that looks like a token: take another.
		 */
		snprintf(quoted, sizeof(quoted), "\"%s", context.token);
		if (count_tokens(text, context.token) == count_tokens(text, quoted))
			break;
		if (++tries > 10)
			elog(ERROR, "could not find a name for stand-ins");
	}

	if (OidIsValid(target_shard))
	{
		int			level = CzPinTextSettings(CZ_PIN_ALL);
		char	   *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(target_shard)),
													  get_rel_name(target_shard));
		const char *verb = query->commandType == CMD_INSERT ? "INSERT INTO " :
			query->commandType == CMD_MERGE ? "MERGE INTO " :
			query->commandType == CMD_UPDATE ? "UPDATE " : "DELETE FROM ";
		size_t		skip = strlen(verb) + strlen(name);

		CzUnpinTextSettings(level);
		while (*text == ' ')
			text++;				/* pretty printing starts with an indentation */
		if (strncmp(text, verb, strlen(verb)) != 0 ||
			strncmp(text + strlen(verb), name, strlen(name)) != 0)
			elog(ERROR, "unexpected text of a modifying fragment");
		plan->pieces = list_make2(makeString(pstrdup(verb)), makeInteger(0));
		plan->pieces = list_concat(plan->pieces, cut_template(text + skip, &context));
	}
	else
		plan->pieces = cut_template(text, &context);

	plan->command = query->commandType;
	plan->relids = context.relids;
	plan->nparams = list_length(context.params);
	plan->check_as_user = context.check_as_user;
	plan->function_oids = context.functions;
	plan->has_row_locks = context.has_row_locks;
	plan->locks_wait = context.locks_wait;
	plan->has_returning = query->returningList != NIL;
	plan->is_ordered = query->sortClause != NIL;
	plan->has_row_ids = context.has_row_ids;
	plan->row_id_columns = row_id_columns;
	plan->relation_columns = context.columns;
	plan->merge = context.must_not_merge || context.has_row_locks ||
		query->commandType != CMD_SELECT ? CZ_MERGE_NEVER : CZ_MERGE_MAY;
	foreach(lc, context.ships)
	{
		CzShip	   *ship = list_nth(state->ships, lfirst_int(lc));
		CzShipment *shipment = palloc0(sizeof(CzShipment));

		shipment->plan_id = lfirst_int(lc);
		shipment->label = ship->label;
		shipment->partition_column = ship->anchor ? ship->partition_column : 0;
		shipment->column_types = ship->types;
		shipment->column_typmods = ship->typmods;
		shipment->column_collations = ship->collations;
		shipment->rows = ship->rows;
		plan->shipments = lappend(plan->shipments, shipment);
	}
	foreach(lc, query->commandType == CMD_SELECT ? query->targetList : query->returningList)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk)
			continue;
		plan->column_types = lappend_oid(plan->column_types,
										 exprType((Node *) tle->expr));
		plan->column_typmods = lappend_int(plan->column_typmods,
										   exprTypmod((Node *) tle->expr));
	}
	cz_recheck(plan, query, context.params, used_columns, used_operations);
	take_row_ids(plan, &context);
	*params = context.params;
	/* what is decoded is so before it is sent */
	*is_lazy = context.may_be_lazy && context.row_ids == NIL;
	return plan;
}

/*
 * cz_deparse
 *		Make the fragment plan of a Query that is known to be sendable.
 *
 * query: consumed.
 * target_shard: for UPDATE and DELETE, a foreign table that stands for the
 *		result relation (any shard); else InvalidOid.
 * params: out: expressions of the parameters.
 *
 * Pieces, relids, nparams, function_oids, check_as_user, column types are set;
 * which shards it goes to is the caller's part, and so are lazy_params.
 */
CzFragmentPlan *
cz_deparse(Query *query, CzPlanState *state, Oid target_shard, List **params)
{
	bool		is_lazy = false;
	CzFragmentPlan *plan = deparse(query, state, target_shard, params, &is_lazy);
	CzFragmentPlan *lazy;

	if (!is_lazy)
		return plan;
	lazy = deparse(query, state, target_shard, &plan->lazy_params, &is_lazy);
	Assert(equal(lazy->relids, plan->relids));
	plan->lazy_pieces = lazy->pieces;
	plan->lazy_nparams = lazy->nparams;
	plan->function_oids = list_concat_unique_oid(plan->function_oids, lazy->function_oids);
	return plan;
}

/*
 * cz_fragment_set_locus
 *		Say which shards the fragments go to.  A shard that is decided at
 *		execution adds the deciding expression behind the parameters.
 */
void
cz_fragment_set_locus(CzFragmentPlan *plan, const CzLocus *locus, List **params)
{
	plan->anchor_relid = locus->anchor ? locus->anchor->relid : InvalidOid;
	if (locus->anchor == NULL || locus->is_single)
		plan->merge = CZ_MERGE_NEVER;
	plan->prune_param = -1;
	plan->is_pruned = false;
	plan->shard_indexes = NIL;
	if (locus->anchor == NULL)
		return;
	if (locus->prune_expr != NULL)
	{
		plan->prune_param = plan->nparams;
		plan->prune_kind = locus->prune_kind;
		*params = lappend(*params, copyObject(locus->prune_expr));
	}
	if (locus->is_single && locus->prune_expr == NULL)
	{
		plan->is_pruned = true;
		plan->shard_indexes = list_make1_int(locus->shard);
	}
	else if (locus->is_pruned)
	{
		plan->is_pruned = true;
		plan->shard_indexes = list_copy(locus->shards);
	}
}
