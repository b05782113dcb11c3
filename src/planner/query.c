/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Questions about Query trees, and small changes of them.
 *
 * Knows nothing of loci, fragments or leaves: what the files of the planner ask of
 * a tree again and again.  Walkers return true when they have found what they look
 * for.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "cz/compat.h"

#include "planner_int.h"

/*
 * cz_int_const
 *		A constant of type integer.
 */
Node *
cz_int_const(int value)
{
	return (Node *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(value),
							  false, true);
}

/*
 * cz_oid_const
 *		A constant of type oid.
 */
Node *
cz_oid_const(Oid value)
{
	return (Node *) makeConst(OIDOID, -1, InvalidOid, sizeof(Oid), ObjectIdGetDatum(value),
							  false, true);
}

/*
 * cz_fold
 *		Constant-fold an expression, with the parameters of a custom plan.
 */
Node *
cz_fold(Node *node, CzPlanState *state)
{
	PlannerInfo *root = makeNode(PlannerInfo);
	PlannerGlobal *glob = makeNode(PlannerGlobal);

	glob->boundParams = state->bound_params;
	root->glob = glob;
	return eval_const_expressions(root, node);
}

/*
 * cz_strip
 *		Take relabelings off an expression, but none that changes what is equal
 *		(text as character(n) ignores blanks at the end).
 */
Node *
cz_strip(Node *node)
{
	while (node && IsA(node, RelabelType))
	{
		Node	   *arg = (Node *) ((RelabelType *) node)->arg;
		Oid			from = getBaseType(exprType(arg));
		Oid			to = getBaseType(((RelabelType *) node)->resulttype);

		if (from != to && lookup_type_cache(from, TYPECACHE_HASH_OPFAMILY)->hash_opf !=
			lookup_type_cache(to, TYPECACHE_HASH_OPFAMILY)->hash_opf)
			break;
		node = arg;
	}
	return node;
}

bool
cz_is_equality(Oid opno, Oid collation)
{
	RegProcedure left;
	RegProcedure right;

	if (OidIsValid(collation) && collation != DEFAULT_COLLATION_OID &&
		!get_collation_isdeterministic(collation))
		return false;
	return get_op_hash_functions(opno, &left, &right);
}

/*
 * cz_equality_sides
 *		What an equality compares, without casts that change nothing; false if the
 *		node is none.
 */
bool
cz_equality_sides(Node *node, Node **left, Node **right)
{
	OpExpr	   *op = (OpExpr *) node;

	if (!IsA(node, OpExpr) || list_length(op->args) != 2 ||
		!cz_is_equality(op->opno, op->inputcollid))
		return false;
	*left = cz_strip(linitial(op->args));
	*right = cz_strip(lsecond(op->args));
	return true;
}

/* Conjuncts of a qualifier (implicit lists included), appended to a list. */
List *
cz_conjuncts(Node *qual, List *list)
{
	ListCell   *lc;

	if (qual == NULL)
		return list;
	if (IsA(qual, List))
	{
		foreach(lc, (List *) qual)
			list = cz_conjuncts(lfirst(lc), list);
		return list;
	}
	if (is_andclause(qual))
	{
		foreach(lc, ((BoolExpr *) qual)->args)
			list = cz_conjuncts(lfirst(lc), list);
		return list;
	}
	return lappend(list, qual);
}

/*
 * cz_rte_table
 *		The table of a range-table entry, NULL if a leaf may not take its place.
 *
 * The rows of a foreign table with inheritance children are not only there: core
 * gathers them.  A reference table may have to be read here (kept_here.c).
 */
const CzTable *
cz_rte_table(RangeTblEntry *rte)
{
	const CzTable *table = CzTableGet(rte->relid);

	if (table != NULL && table->kind == CZ_TABLE_FOREIGN && rte->inh &&
		has_subclass(rte->relid))
		return NULL;
	if (table != NULL && cz_plan_state != NULL &&
		list_member_oid(cz_plan_state->kept_here, rte->relid))
		return NULL;
	return table;
}

typedef struct LevelContext
{
	int			depth;			/* queries that the walk is inside of */
} LevelContext;

static bool
correlated_walker(Node *node, LevelContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > context->depth;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup > context->depth)
		return true;
	if (IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup > context->depth)
		return true;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE && rte->ctelevelsup > context->depth;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, correlated_walker, (void *) context,
								   QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, correlated_walker, (void *) context);
}

/*
 * cz_query_is_correlated
 *		Does the Query refer to anything outside itself?
 */
bool
cz_query_is_correlated(Query *query)
{
	LevelContext context = {0};

	return query_tree_walker(query, correlated_walker, (void *) &context,
							 QTW_EXAMINE_RTES_BEFORE);
}

static bool
uses_workers_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		const CzTable *table;

		if (rte->rtekind != RTE_RELATION ||
			(rte->relkind != RELKIND_PARTITIONED_TABLE &&
			 rte->relkind != RELKIND_FOREIGN_TABLE))
			return false;
		table = cz_rte_table(rte);
		return table != NULL;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, uses_workers_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, uses_workers_walker, context);
}

/*
 * cz_query_uses_workers
 *		Does the Query, at any depth, use a distributed or foreign table?
 */
bool
cz_query_uses_workers(Query *query)
{
	return query_tree_walker(query, uses_workers_walker, NULL, QTW_EXAMINE_RTES_BEFORE);
}

/*
 * cz_ship_of_rte
 *		The shipment that a range-table entry reads, or NULL.
 */
CzShip *
cz_ship_of_rte(RangeTblEntry *rte)
{
	if (rte->rtekind != RTE_RESULT || rte->ctename == NULL)
		return NULL;
	return list_nth(cz_plan_state->ships, rte->ctelevelsup);
}

/*
 * cz_blank_rte
 *		Make an entry one of nothing: what it was is elsewhere now.
 */
void
cz_blank_rte(RangeTblEntry *rte)
{
	rte_clear_permissions_compat(rte);
	rte->rtekind = RTE_RESULT;
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	rte->tablesample = NULL;
	rte->subquery = NULL;
	rte->security_barrier = false;
	rte->joinaliasvars = NIL;
	rte->joinleftcols = NIL;
	rte->joinrightcols = NIL;
	rte->join_using_alias = NULL;
	rte->functions = NIL;
	rte->funcordinality = false;
	rte->tablefunc = NULL;
	rte->values_lists = NIL;
	rte->ctename = NULL;
	rte->coltypes = NIL;
	rte->coltypmods = NIL;
	rte->colcollations = NIL;
	rte->alias = NULL;
	rte->eref = makeAlias("nothing", NIL);
	rte->lateral = false;
	rte->securityQuals = NIL;
}

static bool flatten_walker(Node *node, void *context);

#define FLATTEN(field) \
	((field) = (void *) flatten_join_alias_vars_compat(query, (Node *) (field)))

/*
 * cz_flatten_joins
 *		No Var of a Query, at any depth, is one of a join afterwards.
 */
void
cz_flatten_joins(Query *query)
{
	ListCell   *lc;
	bool		has_join = false;

	foreach(lc, query->rtable)
	{
		if (((RangeTblEntry *) lfirst(lc))->rtekind == RTE_JOIN)
			has_join = true;
	}
	if (has_join)
	{
		FLATTEN(query->targetList);
		FLATTEN(query->returningList);
		FLATTEN(query->mergeActionList);
		FLATTEN(query->jointree);
		FLATTEN(query->havingQual);
		FLATTEN(query->windowClause);
		FLATTEN(query->limitOffset);
		FLATTEN(query->limitCount);
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);

			if (rte->rtekind == RTE_SUBQUERY && rte->lateral)
				FLATTEN(rte->subquery);
			else if (rte->rtekind == RTE_FUNCTION)
				FLATTEN(rte->functions);
			else if (rte->rtekind == RTE_TABLEFUNC)
				FLATTEN(rte->tablefunc);
			else if (rte->rtekind == RTE_VALUES)
				FLATTEN(rte->values_lists);
		}
	}
	query_tree_walker(query, flatten_walker, NULL, 0);
}

static bool
flatten_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		cz_flatten_joins((Query *) node);
		return false;
	}
	return expression_tree_walker(node, flatten_walker, context);
}

typedef struct ReadersContext
{
	const char *name;
	int			depth;
} ReadersContext;

static bool
readers_walker(Node *node, ReadersContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE && rte->ctelevelsup == context->depth &&
			strcmp(rte->ctename, context->name) == 0;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, readers_walker, (void *) context,
								   QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, readers_walker, (void *) context);
}

typedef struct RaiseContext
{
	int			depth;			/* sub-queries above */
	int			levels;
} RaiseContext;

static bool
raise_ctes_walker(Node *node, RaiseContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && (int) rte->ctelevelsup >= context->depth)
			rte->ctelevelsup += context->levels;
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, raise_ctes_walker, (void *) context,
						  QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, raise_ctes_walker, (void *) context);
}

/*
 * cz_raise_ctes
 *		A Query, or an expression, moves some levels down: change, in place, all its
 *		references to CTEs of the levels that are above it then.
 */
void
cz_raise_ctes(Node *node, int levels)
{
	RaiseContext context = {0, levels};

	if (IsA(node, Query))
		query_tree_walker((Query *) node, raise_ctes_walker, (void *) &context,
						  QTW_EXAMINE_RTES_BEFORE);
	else
		(void) raise_ctes_walker(node, &context);
}

/*
 * Core does not plan a SELECT in WITH that is read by nobody; sent to a worker it
 * would have to be good for it.  What only such a one reads goes too.
 */
void
cz_drop_unread_ctes(Query *query)
{
	bool		progress = query->cteList != NIL;

	while (progress)
	{
		ListCell   *lc;

		progress = false;
		foreach(lc, query->cteList)
		{
			CommonTableExpr *cte = lfirst(lc);
			List	   *others = list_copy(query->cteList);
			ReadersContext context = {cte->ctename, 0};
			List	   *save = query->cteList;
			bool		is_read;

			if (((Query *) cte->ctequery)->commandType != CMD_SELECT)
				continue;
			query->cteList = list_delete_ptr(others, cte);	/* it does not count as its own reader */
			is_read = query_tree_walker(query, readers_walker, (void *) &context,
										QTW_EXAMINE_RTES_BEFORE);
			query->cteList = save;
			if (is_read)
				continue;
			query->cteList = foreach_delete_current(query->cteList, lc);
			progress = true;
		}
	}
}

/* The first CTE of that name. */
CommonTableExpr *
cz_cte_of_name(List *ctes, const char *name)
{
	ListCell   *lc;

	foreach(lc, ctes)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (strcmp(cte->ctename, name) == 0)
			return cte;
	}
	return NULL;
}
