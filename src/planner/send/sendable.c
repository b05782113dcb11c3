/*-------------------------------------------------------------------------
 *
 * sendable.c
 *	  May a Query leave this server as it is, and what does it refer to?
 *
 * The locus says where a Query could run; here is asked whether another server
 * would understand it, may see it, and computes the same.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/typcache.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* ---- may it leave this server? ------------------------------------------- */

typedef struct SendContext
{
	const char *reason;
	bool		has_user;
	Oid			user;
	Oid			foreign_server; /* of an independent foreign table */
	List	   *references;		/* CzTable of reference tables */
} SendContext;

static bool
var_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, var_walker, context);
}

static bool
send_walker(Node *node, SendContext *context)
{
	if (node == NULL)
		return false;
	CHECK_FOR_INTERRUPTS();
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;

		if (query->hasModifyingCTE || query->commandType == CMD_UTILITY)
		{
			context->reason = "a CTE modifies data";
			return true;
		}
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);
			const CzTable *table;
			Oid			user;

			if (rte->securityQuals != NIL)
			{
				context->reason = "row-level security is enforced on the coordinator";
				return true;
			}
			if (rte->tablesample != NULL && var_walker((Node *) rte->tablesample, NULL))
			{
				context->reason = "the arguments of TABLESAMPLE are not constant";
				return true;
			}
			if (rte->rtekind == RTE_NAMEDTUPLESTORE)
			{
				context->reason = "it uses a transition table";
				return true;
			}
			if (rte->rtekind != RTE_RELATION)
				continue;
			table = CzTableGet(rte->relid);
			if (table == NULL)
				continue;		/* a view's own entry; else the locus says no */
			user = rte_check_as_user_compat(query, rte);
			if (context->has_user && user != context->user)
			{
				/* the owner of a view may be who runs the plan, if always the same */
				if ((OidIsValid(user) ? user : GetUserId()) !=
					(OidIsValid(context->user) ? context->user : GetUserId()))
				{
					context->reason = "tables are read on behalf of different users";
					return true;
				}
				cz_plan_state->depends_on_role = true;
			}
			context->has_user = true;
			context->user = user;
			if (table->kind == CZ_TABLE_FOREIGN)
				context->foreign_server = table->shards[0].server_oids[0];
			else if (table->kind == CZ_TABLE_REFERENCE)
			{
				context->references = lappend(context->references, (void *) table);
				if (get_parse_rowmark(query, foreach_current_index(lc) + 1) != NULL)
				{
					context->reason = "rows of a reference table are locked here";
					return true;
				}
			}
		}
		return query_tree_walker(query, send_walker, (void *) context, 0);
	}
	return expression_tree_walker(node, send_walker, (void *) context);
}

/* ---- whole rows ---------------------------------------------------------- */

/*
 * cz_row_names
 *		The field names that a whole-row Var of a sub-query shows (to row_to_json,
 *		say), as a list of Strings; NIL if a column alias list cannot say them.
 */
List *
cz_row_names(Var *var, RangeTblEntry *rte)
{
	List	   *names = NIL;
	List	   *seen = NIL;
	ListCell   *lc;
	int			n = 0;

	if (var->vartype == RECORDOID)
		names = copyObject(rte->eref->colnames);
	else
	{
		TupleDesc	desc = lookup_rowtype_tupdesc(var->vartype, -1);

		for (n = 0; n < desc->natts; n++)
			names = lappend(names,
							makeString(pstrdup(NameStr(TupleDescAttr(desc, n)->attname))));
		ReleaseTupleDesc(desc);
	}
	n = 0;
	foreach(lc, rte->subquery->targetList)
	{
		if (!((TargetEntry *) lfirst(lc))->resjunk)
			n++;
	}
	if (n != list_length(names))
		return NIL;
	foreach(lc, names)
	{
		if (strVal(lfirst(lc))[0] == '\0' || list_member(seen, lfirst(lc)))
			return NIL;
		seen = lappend(seen, lfirst(lc));
	}
	return names;
}

typedef struct RowContext
{
	List	   *levels;			/* rtables of the enclosing queries, innermost first */
	const char *reason;
} RowContext;

static bool
is_named_row(Node *node)
{
	return node != NULL && IsA(node, Var) && ((Var *) node)->varattno == 0 &&
		((Var *) node)->vartype != RECORDOID;
}

static bool
has_named_row(List *list)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (is_named_row(lfirst(lc)))
			return true;
	}
	return false;
}

/* true if a row has a shape or prints a type name that workers do not know */
static bool
row_walker(Node *node, RowContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno == 0)
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;

		if (var->varlevelsup >= list_length(context->levels))
			return false;
		rte = rt_fetch(var->varno, (List *) list_nth(context->levels, var->varlevelsup));
		if (rte->rtekind == RTE_JOIN ||
			(rte->rtekind == RTE_SUBQUERY && cz_row_names(var, rte) == NIL))
		{
			context->reason = "the field names of a row cannot be sent";
			return true;
		}
		if (rte->rtekind == RTE_RELATION)
		{
			const CzTable *table = CzTableGet(rte->relid);

			if (table != NULL && table->kind == CZ_TABLE_FOREIGN)
			{
				context->reason = "a row of a foreign table may have another shape there";
				return true;
			}
		}
		return false;
	}
	/* here a whole row is printed with the name of its type */
	if ((IsA(node, RowExpr) && has_named_row(((RowExpr *) node)->args)) ||
		(IsA(node, RowCompareExpr) && (has_named_row(((RowCompareExpr *) node)->largs) ||
									   has_named_row(((RowCompareExpr *) node)->rargs))))
	{
		context->reason = "a row inside a row";
		return true;
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;
		bool		result;

		foreach(lc, query->targetList)
		{
			if (is_named_row((Node *) ((TargetEntry *) lfirst(lc))->expr))
			{
				context->reason = "a column of a sub-query has a row type";
				return true;
			}
		}
		foreach(lc, query->rtable)
		{
			ListCell   *lv;

			foreach(lv, ((RangeTblEntry *) lfirst(lc))->values_lists)
			{
				if (has_named_row(lfirst(lv)))
				{
					context->reason = "a column of VALUES has a row type";
					return true;
				}
			}
		}
		context->levels = lcons(query->rtable, context->levels);
		result = query_tree_walker(query, row_walker, (void *) context, 0);
		context->levels = list_delete_first(context->levels);
		return result;
	}
	return expression_tree_walker(node, row_walker, (void *) context);
}

/*
 * cz_query_is_sendable
 *		May a Query that has a good locus be sent as it is?
 */
bool
cz_query_is_sendable(Query *query, const char **reason)
{
	SendContext context;
	RowContext	row_context = {NIL, NULL};
	ListCell   *lc;

	memset(&context, 0, sizeof(context));
	if (send_walker((Node *) query, &context))
	{
		*reason = context.reason;
		return false;
	}
	if (OidIsValid(context.foreign_server))
	{
		foreach(lc, context.references)
		{
			const CzTable *table = lfirst(lc);
			int			i;

			for (i = 0; i < table->shards[0].nplacements; i++)
			{
				if (table->shards[0].server_oids[i] == context.foreign_server)
					break;
			}
			if (i == table->shards[0].nplacements)
			{
				*reason = "a reference table has no copy on that server";
				return false;
			}
		}
	}
	if (row_walker((Node *) query, &row_context))
	{
		*reason = row_context.reason;
		return false;
	}
	if (!cz_expr_is_shippable((Node *) query, reason))
		return false;
	if (cz_plan_state->has_row_ids && !cz_ctids_are_sendable(query, reason))
		return false;
	foreach(lc, query->commandType == CMD_SELECT ? query->targetList : query->returningList)
	{
		TargetEntry *tle = lfirst(lc);
		Var		   *var = (Var *) tle->expr;

		if (!cz_type_is_output_safe(exprType((Node *) tle->expr)) ||
			(IsA(var, Var) && var->varattno == 0))
		{
			*reason = "a column of the result has a row type";
			return false;
		}
	}
	return true;
}
