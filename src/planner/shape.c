/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  Statements by key that differ in their values only have one plan.
 *
 * A client that does not prepare its statements sends the same few of them again and
 * again, with other constants.  To cut each into fragments costs more than to run it.
 * So what is left of such a statement without its values, its shape, is written down as
 * bytes; a shape that comes again is planned once, with parameters in place of the values,
 * as a prepared statement would be, and that plan is given the values of each statement.
 * (The worker has it prepared, too.)
 *
 * The bytes say all that planning depends on, so equal bytes are the same statement; what
 * this file does not know has no shape.  Only a plan that is one fragment on one shard is
 * shared: nothing in it depends on values, statistics or core's settings.  Nor should the
 * worker's plan depend on values: it looks for one row by a unique index.  A shared plan is
 * forgotten with the entry of its table in the cache of tables, and when functions, types,
 * operators or collations change.
 *
 * With cz.check_fragments each shared plan is compared with the one that the statement
 * would have had.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "common/hashfn.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/planner.h"
#include "cz/settings.h"

#include "planner_int.h"

/* What is longer is not worth the time of writing it down. */
#define MAX_SHAPE_BYTES 2048
#define MAX_VALUES 64
/* Columns that are compared with values. */
#define MAX_EQUAL 16

/* Plans that a session keeps; a shape has one place among them. */
#define KEPT_PLANS 256
/* Shapes that were seen once: those of statements that never come again need no plan. */
#define SEEN_SHAPES 1024

typedef struct Shape
{
	char		bytes[MAX_SHAPE_BYTES];
	int			len;
	bool		failed;			/* the statement has none */
	AttrNumber	key_attno;		/* of its table; 0: it has one shard */
	int			nkeys;			/* values that it is compared with, or given */
	int			nequal;
	OpExpr	   *equal_ops[MAX_EQUAL];	/* column = value, or some other operator */
	AttrNumber	equal_attnos[MAX_EQUAL];
	int			nvalues;
	Node	  **values[MAX_VALUES];	/* where the values are in the Query: Consts, Params */
} Shape;

typedef struct KeptPlan
{
	MemoryContext context;		/* holds this struct and all it points to */
	char	   *bytes;
	int			len;
	Oid			relid;
	uint64		table_serial;	/* of the CzTable when it was made */
	PlannedStmt *stmt;			/* NULL: statements of this shape share none */
	int			npins;			/* statements that use parts of it */
	bool		is_dropped;		/* gone when these are */
} KeptPlan;

/* A statement's hold on the plan, in the memory of the statement. */
typedef struct PlanPin
{
	MemoryContextCallback callback;
	KeptPlan   *kept;
} PlanPin;

static KeptPlan *kept_plans[KEPT_PLANS];
static uint64 seen_shapes[SEEN_SHAPES];

/* ---- the shape ----------------------------------------------------------- */

static void
put_bytes(Shape *shape, const void *data, int len)
{
	if (len > MAX_SHAPE_BYTES - shape->len)
	{
		shape->failed = true;
		return;
	}
	memcpy(shape->bytes + shape->len, data, len);
	shape->len += len;
}

static void
put_int(Shape *shape, int value)
{
	put_bytes(shape, &value, sizeof(value));
}

#define PUT_INTS(shape, ...) \
	do { \
		int			ints_[] = {__VA_ARGS__}; \
		put_bytes((shape), ints_, sizeof(ints_)); \
	} while (0)

static void
put_string(Shape *shape, const char *string)
{
	int			len = string ? strlen(string) : -1;

	put_int(shape, len);
	if (len > 0)
		put_bytes(shape, string, len);
}

static void
put_set(Shape *shape, const Bitmapset *set)
{
	int			nwords = set ? set->nwords : 0;

	put_int(shape, nwords);
	if (nwords > 0)
		put_bytes(shape, set->words, nwords * sizeof(bitmapword));
}

static void
put_value(Shape *shape, Node **place, Oid type, int32 typmod, Oid collation)
{
	if (shape->nvalues == MAX_VALUES)
	{
		shape->failed = true;
		return;
	}
	shape->values[shape->nvalues++] = place;
	PUT_INTS(shape, T_Param, type, typmod, collation);
}

/*
 * A constant that the user wrote, where a parameter could stand, is a value.  Others (a
 * length that core has added to a cast, ...) are parts of the shape.
 */
static void
put_const(Shape *shape, Node **place, bool may_be_value)
{
	Const	   *value = (Const *) *place;

	if (may_be_value && !value->constisnull && value->location >= 0)
	{
		put_value(shape, place, value->consttype, value->consttypmod, value->constcollid);
		return;
	}
	PUT_INTS(shape, T_Const, value->consttype, value->consttypmod, value->constcollid,
			 value->constisnull);
	if (value->constisnull)
		return;
	if (value->constbyval)
		put_bytes(shape, &value->constvalue, sizeof(Datum));
	else
	{
		Size		size = datumGetSize(value->constvalue, false, value->constlen);

		if (size > MAX_SHAPE_BYTES)
		{
			shape->failed = true;
			return;
		}
		put_int(shape, size);
		put_bytes(shape, DatumGetPointer(value->constvalue), size);
	}
}

static void put_expr(Shape *shape, Node **place, bool may_be_value);

static void
put_exprs(Shape *shape, List *exprs, bool may_be_value)
{
	ListCell   *lc;

	put_int(shape, list_length(exprs));
	foreach(lc, exprs)
		put_expr(shape, (Node **) &lfirst(lc), may_be_value);
}

static void
put_targets(Shape *shape, List *targets, bool may_be_value)
{
	ListCell   *lc;

	put_int(shape, list_length(targets));
	foreach(lc, targets)
	{
		TargetEntry *tle = lfirst(lc);

		PUT_INTS(shape, tle->resno, tle->ressortgroupref, tle->resorigtbl, tle->resorigcol,
				 tle->resjunk);
		put_string(shape, tle->resname);
		put_expr(shape, (Node **) &tle->expr, may_be_value);
	}
}

static void
put_aggregate(Shape *shape, Aggref *agg)
{
	ListCell   *lc;

	if (agg->aggdirectargs != NIL || agg->aggorder != NIL || agg->aggdistinct != NIL ||
		agg->agglevelsup != 0)
	{
		shape->failed = true;
		return;
	}
	PUT_INTS(shape, agg->aggfnoid, agg->aggtype, agg->aggcollid, agg->inputcollid,
			 agg->aggstar, agg->aggvariadic, agg->aggkind, list_length(agg->aggargtypes));
	foreach(lc, agg->aggargtypes)
		put_int(shape, lfirst_oid(lc));
	put_targets(shape, agg->args, false);
	put_expr(shape, (Node **) &agg->aggfilter, false);
}

static void
put_function(Shape *shape, FuncExpr *func, bool may_be_value)
{
	bool		is_cast = func->funcformat == COERCE_EXPLICIT_CAST ||
		func->funcformat == COERCE_IMPLICIT_CAST;
	ListCell   *lc;

	if (func->funcretset)
	{
		shape->failed = true;
		return;
	}
	PUT_INTS(shape, func->funcid, func->funcresulttype, func->funcvariadic,
			 func->funcformat, func->funccollid, func->inputcollid, list_length(func->args));
	/* the syntax of some calls wants constants */
	foreach(lc, func->args)
		put_expr(shape, (Node **) &lfirst(lc),
				 may_be_value && is_cast && lc == list_head(func->args));
}

/* Is it a value, maybe of another type? */
static bool
is_value(Node *node)
{
	for (;;)
	{
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, FuncExpr) && ((FuncExpr *) node)->args != NIL)
			node = linitial(((FuncExpr *) node)->args);
		else
			return IsA(node, Const) || IsA(node, Param);
	}
}

/* What has no column is computed when it is planned, and fails then. */
static bool
has_only_values(OpExpr *op)
{
	ListCell   *lc;

	foreach(lc, op->args)
	{
		if (!is_value(lfirst(lc)))
			return false;
	}
	return true;
}

/* An expression; a node that is not known here ends it all. */
static void
put_expr(Shape *shape, Node **place, bool may_be_value)
{
	Node	   *node = *place;

	if (shape->failed)
		return;
	if (node == NULL)
	{
		put_int(shape, T_Invalid);
		return;
	}
	if (!IsA(node, Const) && !IsA(node, Param))
		put_int(shape, nodeTag(node));
	switch (nodeTag(node))
	{
		case T_Var:
			{
				Var		   *var = (Var *) node;

				if (var->varno != 1 || var->varlevelsup != 0 || var->varattno <= 0)
					shape->failed = true;
				PUT_INTS(shape, var->varattno, var->vartype, var->vartypmod, var->varcollid,
						 var_returning_compat(var));
				break;
			}
		case T_Const:
			put_const(shape, place, may_be_value);
			break;
		case T_Param:
			{
				Param	   *param = (Param *) node;

				if (!may_be_value || param->paramkind != PARAM_EXTERN)
					shape->failed = true;
				else
					put_value(shape, place, param->paramtype, param->paramtypmod,
							  param->paramcollid);
				break;
			}
		case T_OpExpr:
			{
				OpExpr	   *op = (OpExpr *) node;

				if (op->opretset || has_only_values(op))
					shape->failed = true;
				PUT_INTS(shape, op->opno, op->opresulttype, op->opcollid, op->inputcollid);
				put_exprs(shape, op->args, may_be_value);
				break;
			}
		case T_FuncExpr:
			put_function(shape, (FuncExpr *) node, may_be_value);
			break;
		case T_RelabelType:
			{
				RelabelType *relabel = (RelabelType *) node;

				PUT_INTS(shape, relabel->resulttype, relabel->resulttypmod,
						 relabel->resultcollid, relabel->relabelformat);
				put_expr(shape, (Node **) &relabel->arg, may_be_value);
				break;
			}
		case T_BoolExpr:
			put_int(shape, ((BoolExpr *) node)->boolop);
			put_exprs(shape, ((BoolExpr *) node)->args, false);
			break;
		case T_NullTest:
			PUT_INTS(shape, ((NullTest *) node)->nulltesttype, ((NullTest *) node)->argisrow);
			put_expr(shape, (Node **) &((NullTest *) node)->arg, false);
			break;
		case T_Aggref:
			put_aggregate(shape, (Aggref *) node);
			break;
		default:
			shape->failed = true;
			break;
	}
}

/* The column that an expression is, or 0. */
static AttrNumber
column_of(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return IsA(node, Var) ? ((Var *) node)->varattno : 0;
}

/* A part of WHERE that must be true. */
static void
put_condition(Shape *shape, Node **place)
{
	Node	   *node = *place;
	ListCell   *lc;

	if (node != NULL && is_andclause(node))
	{
		PUT_INTS(shape, T_BoolExpr, list_length(((BoolExpr *) node)->args));
		foreach(lc, ((BoolExpr *) node)->args)
			put_condition(shape, (Node **) &lfirst(lc));
		return;
	}
	if (node != NULL && IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		Node	   *left = linitial(((OpExpr *) node)->args);
		Node	   *right = lsecond(((OpExpr *) node)->args);

		AttrNumber	attno = is_value(right) ? column_of(left) :
			is_value(left) ? column_of(right) : 0;

		if (attno != 0 && shape->nequal == MAX_EQUAL)
			shape->failed = true;
		else if (attno != 0)
		{
			shape->equal_ops[shape->nequal] = (OpExpr *) node;
			shape->equal_attnos[shape->nequal++] = attno;
		}
		if (attno != 0 && attno == shape->key_attno)
			shape->nkeys++;
	}
	/* true and false: nothing that planning leaves as it is */
	if (node != NULL && IsA(node, Const))
		shape->failed = true;
	put_expr(shape, place, true);
}

static void
put_sort_clauses(Shape *shape, List *clauses)
{
	ListCell   *lc;

	put_int(shape, list_length(clauses));
	foreach(lc, clauses)
	{
		SortGroupClause *clause = lfirst(lc);

		PUT_INTS(shape, clause->tleSortGroupRef, clause->eqop, clause->sortop,
				 clause->nulls_first, clause->hashable);
	}
}

/* Who reads or writes which columns. */
static void
put_permissions(Shape *shape, Query *query, RangeTblEntry *rte)
{
	CzPermissions_compat *permissions = query_permissions_compat(query, rte);

	PUT_INTS(shape, rte->relid, rte->rellockmode, rte->inh, permissions->requiredPerms,
			 permissions->checkAsUser);
	put_string(shape, rte->eref->aliasname);
	put_set(shape, permissions->selectedCols);
	put_set(shape, permissions->insertedCols);
	put_set(shape, permissions->updatedCols);
}

/* Has the statement anything that has no place in a shape? */
static bool
is_plain(Query *query)
{
	return query->querySource == QSRC_ORIGINAL && query->canSetTag && !query->isReturn &&
		!query->hasWindowFuncs && !query->hasTargetSRFs && !query->hasSubLinks &&
		!query->hasDistinctOn && !query->hasRecursive && !query->hasModifyingCTE &&
		!query->hasRowSecurity && query->cteList == NIL && query->mergeActionList == NIL &&
		query->onConflict == NULL && query->groupingSets == NIL &&
		query->havingQual == NULL && query->windowClause == NIL &&
		query->distinctClause == NIL && query->setOperations == NULL &&
		query->constraintDeps == NIL && query->withCheckOptions == NIL &&
		query->limitOption == LIMIT_OPTION_COUNT;
}

/* The one table, if it is a distributed one, and no part or sample of it. */
static const CzTable *
only_table(Query *query, RangeTblEntry *rte)
{
	ListCell   *lc;
	const CzTable *table;

	if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_PARTITIONED_TABLE ||
		rte->securityQuals != NIL || rte->security_barrier || rte->tablesample != NULL ||
		rte->lateral || (rte->alias != NULL && rte->alias->colnames != NIL) ||
		list_length(query->jointree->fromlist) > 1)
		return NULL;
	foreach(lc, query->jointree->fromlist)
	{
		if (!IsA(lfirst(lc), RangeTblRef))
			return NULL;
	}
	table = CzTableGet(rte->relid);
	if (table == NULL || table->nshards == 0 || !CzTableIsDistributed(table))
		return NULL;
	if ((query->commandType == CMD_INSERT) !=
		(query->jointree->fromlist == NIL && query->resultRelation == 1) ||
		(query->commandType != CMD_INSERT && !rte->inh) ||
		(query->commandType == CMD_INSERT && query->jointree->quals != NULL))
		return NULL;
	return table;
}

/* Is the key among the columns that a statement assigns? */
static bool
assigns_key(const Shape *shape, Query *query)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		if (((TargetEntry *) lfirst(lc))->resno == shape->key_attno)
			return true;
	}
	return false;
}

/* Is a column assigned that is compared with a value?  Maybe it is the same value. */
static bool
assigns_compared(const Shape *shape, Query *query)
{
	ListCell   *lc;
	int			i;

	foreach(lc, query->targetList)
	{
		for (i = 0; i < shape->nequal; i++)
		{
			if (((TargetEntry *) lfirst(lc))->resno == shape->equal_attnos[i])
				return true;
		}
	}
	return false;
}

/*
 * Write down a statement's shape.
 *
 * Returns: its table, or NULL: it has no shape.
 */
static const CzTable *
find_shape(Query *query, Shape *shape)
{
	RangeTblEntry *rte;
	const CzTable *table;
	ListCell   *lc;
	bool		is_select = query->commandType == CMD_SELECT;

	/* one table and GROUP BY */
	if (list_length(query->rtable) == 2 && is_plain(query))
		cz_remove_group_entries(query);
	if (list_length(query->rtable) != 1 ||
		(!is_select && query->commandType != CMD_INSERT &&
		 query->commandType != CMD_UPDATE && query->commandType != CMD_DELETE) ||
		!is_plain(query))
		return NULL;
	rte = linitial(query->rtable);
	table = only_table(query, rte);
	if (table == NULL)
		return NULL;

	shape->len = 0;
	shape->failed = false;
	shape->nvalues = 0;
	shape->key_attno = table->key_attno;
	shape->nequal = 0;
	shape->nkeys = table->kind == CZ_TABLE_SINGLE ||
		(query->commandType == CMD_INSERT && assigns_key(shape, query));
	PUT_INTS(shape, query->commandType, query->resultRelation, query->hasAggs,
			 query->hasForUpdate, query->override, query->groupDistinct,
			 list_length(query->rowMarks));
	put_permissions(shape, query, rte);
	put_condition(shape, &query->jointree->quals);
	put_targets(shape, query->targetList, !is_select);
	put_targets(shape, query->returningList, false);
	put_sort_clauses(shape, query->groupClause);
	put_sort_clauses(shape, query->sortClause);
	put_expr(shape, &query->limitOffset, false);
	put_expr(shape, &query->limitCount, false);
	foreach(lc, query->rowMarks)
	{
		RowMarkClause *mark = lfirst(lc);

		PUT_INTS(shape, mark->rti, mark->strength, mark->waitPolicy, mark->pushedDown);
	}
	if (query->commandType == CMD_UPDATE && assigns_compared(shape, query))
		return NULL;
	return shape->failed || shape->nkeys == 0 ? NULL : table;
}

/* ---- plans that are kept ------------------------------------------------- */

static void
drop_plan(KeptPlan *kept)
{
	kept->is_dropped = true;
	if (kept->npins == 0)
		MemoryContextDelete(kept->context);
}

static void
unpin(void *arg)
{
	KeptPlan   *kept = ((PlanPin *) arg)->kept;

	if (--kept->npins == 0 && kept->is_dropped)
		MemoryContextDelete(kept->context);
}

static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	int			i;

	for (i = 0; i < KEPT_PLANS; i++)
	{
		if (kept_plans[i] != NULL)
			drop_plan(kept_plans[i]);
		kept_plans[i] = NULL;
	}
}

/* Types whose values are the same as parameters and as constants, whoever reads them. */
static bool
are_plain_values(const Shape *shape)
{
	int			i;

	for (i = 0; i < shape->nvalues; i++)
	{
		Oid			type = exprType(*shape->values[i]);

		if (type >= FirstGenbkiObjectId || !cz_type_is_output_safe(type))
			return false;
	}
	return true;
}

/* Is a column equal to a value? */
static bool
is_fixed(const Shape *shape, AttrNumber attno)
{
	int			i;

	for (i = 0; i < shape->nequal; i++)
	{
		if (shape->equal_attnos[i] == attno &&
			cz_is_equality(shape->equal_ops[i]->opno, shape->equal_ops[i]->inputcollid))
			return true;
	}
	return false;
}

/* Do the values leave one row at most, by a unique index? */
static bool
finds_one_row(const Shape *shape, Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	bool		found = false;
	ListCell   *lc;

	table_close(rel, NoLock);
	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index index;
		int			i;

		if (!HeapTupleIsValid(tuple))
			continue;
		index = (Form_pg_index) GETSTRUCT(tuple);
		found = index->indisunique && index->indisvalid &&
			heap_attisnull(tuple, Anum_pg_index_indpred, NULL);
		for (i = 0; found && i < index->indnkeyatts; i++)
			found = is_fixed(shape, index->indkey.values[i]);
		ReleaseSysCache(tuple);
		if (found)
			break;
	}
	list_free(indexes);
	return found;
}

static bool
has_extern_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return true;
	return expression_tree_walker(node, has_extern_walker, context);
}

/* Is a plan one fragment, to which the values are nothing but parameters? */
static bool
is_sharable(const PlannedStmt *stmt)
{
	CustomScan *scan = (CustomScan *) stmt->planTree;
	CzFragmentPlan *plan;

	if (!IsA(scan, CustomScan) || scan->methods != &cz_fragment_scan_methods ||
		stmt->subplans != NIL || stmt->rowMarks != NIL || stmt->resultRelations != NIL ||
		stmt->appendRelations != NIL || stmt->paramExecTypes != NIL ||
		stmt->dependsOnRole || stmt->transientPlan || stmt->parallelModeNeeded ||
		stmt->jitFlags != 0 || scan->scan.plan.lefttree != NULL ||
		scan->scan.plan.qual != NIL || scan->custom_plans != NIL ||
		has_extern_walker((Node *) scan->scan.plan.targetlist, NULL))
		return false;
	plan = CzFragmentPlanFromList(scan->custom_private);
	if (plan->strategy != CZ_STRATEGY_ROUTER || plan->locks != NULL ||
		plan->shipments != NIL || plan->lazy_pieces != NIL || plan->has_row_ids)
		return false;
	if (plan->command == CMD_INSERT)
		return plan->insert_attnos != NIL;
	return plan->prune_param >= 0 ? plan->prune_kind == CZ_PRUNE_VALUE :
		plan->is_pruned && list_length(plan->shard_indexes) == 1;
}

/* Plan a statement with parameters 1.. in place of its values. */
static PlannedStmt *
plan_without_values(Query *query, const char *query_string, int cursor_options)
{
	Shape		shape;
	int			i;

	query = copyObject(query);
	(void) find_shape(query, &shape);
	for (i = 0; i < shape.nvalues; i++)
	{
		Node	   *value = *shape.values[i];
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXTERN;
		param->paramid = i + 1;
		param->paramtype = exprType(value);
		param->paramtypmod = exprTypmod(value);
		param->paramcollid = exprCollation(value);
		param->location = -1;
		*shape.values[i] = (Node *) param;
	}
	return cz_plan_anew(query, query_string, cursor_options, NULL);
}

/* Make the plan of a shape, and keep it in its place. */
static KeptPlan *
make_plan(Query *query, const char *query_string, int cursor_options, const Shape *shape,
		  const CzTable *table, KeptPlan **place)
{
	PlannedStmt *stmt = NULL;
	MemoryContext context;
	MemoryContext oldcontext;
	KeptPlan   *kept;
	uint64		serial = table->serial;
	Oid			relid = table->relid;

	if (are_plain_values(shape) &&
		(query->commandType == CMD_INSERT || finds_one_row(shape, relid)))
		stmt = plan_without_values(query, query_string, cursor_options);
	if (stmt != NULL && !is_sharable(stmt))
		stmt = NULL;

	context = AllocSetContextCreate(CurrentMemoryContext, "cz_fdw shared plan",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	kept = palloc0(sizeof(KeptPlan));
	kept->context = context;
	kept->bytes = palloc(shape->len);
	memcpy(kept->bytes, shape->bytes, shape->len);
	kept->len = shape->len;
	kept->relid = relid;
	kept->table_serial = serial;
	kept->stmt = copyObject(stmt);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextSetParent(context, CacheMemoryContext);
	if (*place != NULL)
		drop_plan(*place);
	*place = kept;
	return kept;
}

/* ---- the plan of a statement --------------------------------------------- */

typedef struct ValuesContext
{
	const Shape *shape;
} ValuesContext;

static Node *
values_mutator(Node *node, ValuesContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		return copyObject(*context->shape->values[((Param *) node)->paramid - 1]);
	return expression_tree_mutator(node, values_mutator, (void *) context);
}

/*
 * The kept plan with a statement's values.  All other parts of it are shared: nobody
 * changes a plan, and it stays as long as the memory of this one.
 */
static PlannedStmt *
with_values(KeptPlan *kept, Query *query, const Shape *shape)
{
	ValuesContext context = {shape};
	PlannedStmt *stmt = palloc(sizeof(PlannedStmt));
	CustomScan *scan = palloc(sizeof(CustomScan));
	PlanPin    *pin = palloc(sizeof(PlanPin));
	List	   *values = NIL;
	ListCell   *lc;

	memcpy(stmt, kept->stmt, sizeof(PlannedStmt));
	memcpy(scan, kept->stmt->planTree, sizeof(CustomScan));
	stmt->planTree = (Plan *) scan;
	stmt->queryId = query->queryId;
	stmt->stmt_location = query->stmt_location;
	stmt->stmt_len = query->stmt_len;

	pin->kept = kept;
	pin->callback.func = unpin;
	pin->callback.arg = pin;
	kept->npins++;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &pin->callback);

	/* from here on it may be dropped */
	foreach(lc, scan->custom_exprs)
	{
		Node	   *value = values_mutator(lfirst(lc), &context);

		if (!IsA(value, Const) && !IsA(value, Param))
			value = eval_const_expressions(NULL, value);
		values = lappend(values, value);
	}
	scan->custom_exprs = values;
	return stmt;
}

/* The shard that a plan's key leads to; -1: not known, or none. */
static int
shard_of_plan(const CzFragmentPlan *plan, const CustomScan *scan, const CzTable *table)
{
	ListCell   *lc;
	Const	   *value = NULL;
	Datum		key;

	if (plan->is_pruned)
		return list_length(plan->shard_indexes) == 1 ? linitial_int(plan->shard_indexes) : -1;
	if (plan->prune_param >= 0)
		value = list_nth(scan->custom_exprs, plan->prune_param);
	foreach(lc, plan->insert_attnos)
	{
		if (lfirst_int(lc) == table->key_attno)
			value = list_nth(scan->custom_exprs, foreach_current_index(lc));
	}
	if (value == NULL || !IsA(value, Const) || value->constisnull ||
		!CzKeyConvert(table, value->consttype, value->constvalue, &key))
		return -1;
	return CzShardIndexForValue(table, key, false);
}

/* For developers: is a shared plan what the statement would have without sharing? */
static void
check_plan(const PlannedStmt *shared, const PlannedStmt *own, const Shape *shape,
		   const CzTable *table)
{
	CustomScan *a = (CustomScan *) shared->planTree;
	CustomScan *b = (CustomScan *) own->planTree;
	CzFragmentPlan *pa = CzFragmentPlanFromList(a->custom_private);
	CzFragmentPlan *pb;
	int			shard_a;
	int			shard_b;

	if (!IsA(b, CustomScan))
		return;
	pb = CzFragmentPlanFromList(b->custom_private);
	/* where conditions contradict each other any shard gives the right answer */
	if (pb->strategy != CZ_STRATEGY_ROUTER || shape->nkeys > 1)
		return;
	shard_a = shard_of_plan(pa, a, table);
	shard_b = shard_of_plan(pb, b, table);
	if ((shard_a >= 0 && shard_b >= 0 && shard_a != shard_b) ||
		shared->commandType != own->commandType ||
		shared->hasReturning != own->hasReturning ||
		shared->canSetTag != own->canSetTag ||
		!equal(a->scan.plan.targetlist, b->scan.plan.targetlist) ||
		!equal(shared->rtable, own->rtable) ||
		!equal(shared->relationOids, own->relationOids) ||
		pa->strategy != pb->strategy || pa->command != pb->command ||
		!equal(pa->relids, pb->relids) || pa->check_as_user != pb->check_as_user ||
		list_difference_oid(pb->function_oids, pa->function_oids) != NIL ||
		pa->has_row_locks != pb->has_row_locks || pa->locks_wait != pb->locks_wait ||
		pa->has_returning != pb->has_returning || pa->gives_rows != pb->gives_rows ||
		!equal(pa->replica_keys, pb->replica_keys) ||
		!equal(pa->replica_sets, pb->replica_sets) ||
		pa->finds_one_row != pb->finds_one_row ||
		!equal(pa->insert_attnos, pb->insert_attnos) ||
		pa->insert_is_quiet != pb->insert_is_quiet ||
		!equal(pa->column_types, pb->column_types) ||
		!equal(pa->column_typmods, pb->column_typmods))
		elog(ERROR, "the shared plan of a statement differs from its own");
}

/*
 * cz_shared_plan
 *		The plan that statements of a Query's shape share, with its values.
 *
 * Returns: NULL: it has to be planned by itself; the Query has not changed.
 */
PlannedStmt *
cz_shared_plan(Query *query, const char *query_string, int cursor_options,
			   ParamListInfo bound_params)
{
	Shape		shape;
	const CzTable *table;
	PlannedStmt *stmt;
	KeptPlan  **place;
	KeptPlan   *kept;
	uint64		hash;

	if (!cz_share_plans || !cz_enable_pushdown || cz_plan_is_shown ||
		cz_plan_state != NULL || cz_triggers_are_suspended || (cursor_options & ~CURSOR_OPT_PARALLEL_OK) != 0)
		return NULL;
	table = find_shape(query, &shape);
	if (table == NULL)
		return NULL;

	hash = hash_bytes_extended((unsigned char *) shape.bytes, shape.len, 0);
	place = &kept_plans[hash % KEPT_PLANS];
	kept = *place;
	if (kept == NULL || kept->table_serial != table->serial || kept->relid != table->relid ||
		kept->len != shape.len || memcmp(kept->bytes, shape.bytes, shape.len) != 0)
	{
		uint64	   *seen = &seen_shapes[hash % SEEN_SHAPES];

		if (*seen != hash && !cz_check_fragments)
		{
			*seen = hash;
			return NULL;
		}
		kept = make_plan(query, query_string, cursor_options, &shape, table, place);
	}
	if (kept->stmt == NULL)
		return NULL;
	stmt = with_values(kept, query, &shape);
	if (cz_check_fragments)
		check_plan(stmt, cz_plan_anew(copyObject(query), query_string, cursor_options,
									  bound_params), &shape, table);
	return stmt;
}

/*
 * cz_shape_init
 *		Watch what plans depend on beside tables.
 */
void
cz_shape_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(OPEROID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AMOPOPID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(COLLOID, catalog_changed, (Datum) 0);
}
