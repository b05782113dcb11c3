/*-------------------------------------------------------------------------
 *
 * roots.c
 *	  What a statement may not, or cannot simply, say of distributed tables that their
 *	  users have partitioned.
 *
 * The shards of such a table hold the rows of its partitions.  ONLY names none of these
 * and must not reach them: an empty sub-query stands for it.  tableoid is the partition's
 * on plain PostgreSQL; workers know that by an OID of theirs, so it is found here, by the
 * columns that decide it.  That is a function over columns like any other that stays
 * here: all that is planned behind this needs to know nothing of it.
 *
 * The tableoid that is an argument of that function only tells whether there is a row:
 * an outer join makes one of NULLs.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"

#include "planner_int.h"

/* ---- ONLY ----------------------------------------------------------------- */

/* The partitioned table of ours that an entry is; NULL: another thing. */
static const CzTable *
partitioned_table(RangeTblEntry *rte)
{
	const CzTable *table;

	if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_PARTITIONED_TABLE)
		return NULL;
	table = CzTableGet(rte->relid);
	return table != NULL && table->is_partitioned ? table : NULL;
}

/* Is an entry in a join tree? */
static bool
is_joined(Node *node, Index rti)
{
	List	   *items = NIL;
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		return ((RangeTblRef *) node)->rtindex == rti;
	if (IsA(node, FromExpr))
		items = ((FromExpr *) node)->fromlist;
	else if (IsA(node, JoinExpr))
		items = list_make2(((JoinExpr *) node)->larg, ((JoinExpr *) node)->rarg);
	foreach(lc, items)
	{
		if (is_joined(lfirst(lc), rti))
			return true;
	}
	return false;
}

/*
 * Are rows of an entry read, or changed?  The target of an INSERT never says ONLY, and what
 * rules call OLD and NEW always does.
 */
static bool
is_read(Query *query, Index rti)
{
	return (rti == query->resultRelation && query->commandType != CMD_INSERT) ||
		is_joined((Node *) query->jointree, rti);
}

typedef struct SpecialVarContext
{
	Index		rti;
	int			depth;
} SpecialVarContext;

/* Is a whole row, or a system column, of an entry used? */
static bool
special_var_walker(Node *node, SpecialVarContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varno == context->rti && ((Var *) node)->varattno <= 0 &&
			(int) ((Var *) node)->varlevelsup == context->depth;
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, special_var_walker, (void *) context, 0);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, special_var_walker, (void *) context);
}

static void
refuse_only(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("ONLY is not supported for distributed partitioned table \"%s\" here",
					get_rel_name(relid)),
			 errdetail("The table has no rows of its own: all are in its partitions."),
			 errhint("Leave out ONLY, or name a partition.")));
}

/* SELECT columns of a table, of no row. */
static Query *
select_nothing(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	Query	   *query = makeNode(Query);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Const	   *value = att->attisdropped ? makeNullConst(INT4OID, -1, InvalidOid) :
			makeNullConst(att->atttypid, att->atttypmod, att->attcollation);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) value, i + 1,
													pstrdup(NameStr(att->attname)), false));
	}
	table_close(rel, NoLock);
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, makeBoolConst(false, false));
	return query;
}

/*
 * ONLY of an entry: the table without its partitions has no rows.  An entry that nobody
 * reads keeps its privileges and locks.
 */
static void
leave_only(Query *query, Index rti)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	SpecialVarContext context = {rti, 0};
	RangeTblEntry *unread;

	if (rti == query->resultRelation)
	{
		if (query->commandType != CMD_UPDATE && query->commandType != CMD_DELETE)
			refuse_only(rte->relid);
		rte->inh = true;
		query->jointree->quals =
			(Node *) make_and_qual(query->jointree->quals, makeBoolConst(false, false));
		return;
	}
	if (query->rowMarks != NIL ||
		query_tree_walker(query, special_var_walker, (void *) &context, 0))
		refuse_only(rte->relid);
	unread = copyObject(rte);
	unread->inFromCl = false;
	unread->securityQuals = NIL;
	unread->tablesample = NULL;
	query->rtable = lappend(query->rtable, unread);
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = select_nothing(rte->relid);
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->tablesample = NULL;
	rte->securityQuals = NIL;
	rte_clear_permissions_compat(rte);
}

/* Leave out what ONLY names.  has_roots: is there such a table? */
static bool
roots_walker(Node *node, bool *has_roots)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		int			nentries = list_length(query->rtable);
		int			rti;

		for (rti = 1; rti <= nentries; rti++)
		{
			RangeTblEntry *rte = rt_fetch(rti, query->rtable);

			if (partitioned_table(rte) == NULL)
				continue;
			*has_roots = true;
			/* triggers of foreign keys do not see that the table is partitioned
			 * (executor/triggers.c) */
			if (InNoForceRLSOperation())
				rte->inh = true;
			if (!rte->inh && is_read(query, rti))
				leave_only(query, rti);
		}
		return query_tree_walker(query, roots_walker, (void *) has_roots, 0);
	}
	return expression_tree_walker(node, roots_walker, (void *) has_roots);
}

/* ---- tableoid ------------------------------------------------------------- */

typedef struct TableOidContext
{
	List	   *queries;		/* innermost first */
	Oid			funcid;			/* cz.row_partition, once it was looked up */
} TableOidContext;

static Oid
row_partition_oid(void)
{
	Oid			argtypes[4] = {OIDOID, OIDOID, INT4ARRAYOID, ANYOID};

	return LookupFuncName(list_make2(makeString("cz"), makeString("row_partition")), 4,
						  argtypes, false);
}

/* cz.row_partition(root, tableoid, attnos, columns) */
static Node *
partition_of_row(Var *var, Oid relid, TableOidContext *context)
{
	List	   *columns = CzPartitionColumns(relid);
	Datum	   *attnos = palloc(sizeof(Datum) * Max(list_length(columns), 1));
	List	   *args;
	ListCell   *lc;
	ArrayType  *array;

	foreach(lc, columns)
		attnos[foreach_current_index(lc)] = Int32GetDatum(lfirst_int(lc));
	array = construct_array(attnos, list_length(columns), INT4OID, 4, true, TYPALIGN_INT);
	args = list_make3(cz_oid_const(relid), copyObject(var),
					  makeConst(INT4ARRAYOID, -1, InvalidOid, -1, PointerGetDatum(array), false,
								false));
	foreach(lc, columns)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;
		Var		   *column;

		get_atttypetypmodcoll(relid, lfirst_int(lc), &type, &typmod, &collation);
		column = makeVar(var->varno, lfirst_int(lc), type, typmod, collation,
						 var->varlevelsup);
		var_copy_returning_compat(column, var);
		var_copy_nulling_compat(column, var);
		args = lappend(args, column);
	}
	if (!OidIsValid(context->funcid))
		context->funcid = row_partition_oid();
	return (Node *) makeFuncExpr(context->funcid, OIDOID, args, InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

static Node *
tableoid_mutator(Node *node, TableOidContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;

		if (var->varattno == TableOidAttributeNumber &&
			var->varlevelsup < list_length(context->queries))
		{
			rte = rt_fetch(var->varno,
						   ((Query *) list_nth(context->queries, var->varlevelsup))->rtable);
			if (partitioned_table(rte) != NULL)
				return partition_of_row(var, rte->relid, context);
		}
		return node;
	}
	if (IsA(node, Query))
	{
		context->queries = lcons(node, context->queries);
		(void) query_tree_mutator((Query *) node, tableoid_mutator, (void *) context,
								  QTW_DONT_COPY_QUERY);
		context->queries = list_delete_first(context->queries);
		return node;
	}
	return expression_tree_mutator(node, tableoid_mutator, (void *) context);
}

/*
 * cz_prepare_roots
 *		See planner_int.h.
 */
void
cz_prepare_roots(Query *query)
{
	TableOidContext context = {NIL, InvalidOid};
	bool		has_roots = false;

	(void) roots_walker((Node *) query, &has_roots);
	if (has_roots)
		(void) tableoid_mutator((Node *) query, &context);
}
