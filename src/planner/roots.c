/*-------------------------------------------------------------------------
 *
 * roots.c
 *	  What a statement may not, or cannot simply, say of distributed tables that their
 *	  users have partitioned.
 *
 * The shards of such a table hold the rows of its partitions.  ONLY names none of these
 * and must not reach them.  tableoid is the partition's on plain PostgreSQL; workers know
 * that by an OID of theirs, so it is found here, by the columns that decide it.  That is
 * a function over columns like any other that stays here: all that is planned behind this
 * needs to know nothing of it.
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
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

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

/* Refuse ONLY.  has_roots: is there such a table? */
static bool
roots_walker(Node *node, bool *has_roots)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		int			rti = 0;
		ListCell   *lc;

		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);

			rti++;
			if (partitioned_table(rte) == NULL)
				continue;
			*has_roots = true;
			if (rte->inh || !is_read(query, rti))
				continue;
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("ONLY is not supported for distributed partitioned table \"%s\"",
							get_rel_name(rte->relid)),
					 errdetail("The table has no rows of its own: all are in its partitions."),
					 errhint("Leave out ONLY, or name a partition.")));
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

		get_atttypetypmodcoll(relid, lfirst_int(lc), &type, &typmod, &collation);
		args = lappend(args, makeVar(var->varno, lfirst_int(lc), type, typmod, collation,
									 var->varlevelsup));
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
