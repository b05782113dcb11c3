/*-------------------------------------------------------------------------
 *
 * collation.c
 *	  Where a collation that may differ on a worker would decide something.
 *
 * A collation of the same name may sort otherwise on another server: its version
 * may be another, or it may be defined differently there.  So orders, minima and
 * comparisons by it are never left to a worker, and under a nondeterministic one not
 * even equality; a deterministic one finds equal what has the same bytes.
 *
 * Sure are C and its like everywhere, and the databases' own collation while
 * CzNodeCheck has found no other version of it on a worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/compat.h"

#include "../planner_int.h"

/* Providers of collations that compare bytes: libc's C, and what core itself has. */
static bool
compares_bytes(char provider, Datum collate, bool isnull)
{
	char	   *name;

	if (provider == 'b')		/* COLLPROVIDER_BUILTIN, since 17 */
		return true;
	if (provider != COLLPROVIDER_LIBC || isnull)
		return false;
	name = TextDatumGetCString(collate);
	return strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0;
}

/*
 * Is it C or its like?  (pg_locale.h could tell, but wants ICU's headers.)
 */
static bool
is_c(Oid collation)
{
	static int	default_is_c = -1;	/* not known; a database keeps its collation */
	bool		is_default = collation == DEFAULT_COLLATION_OID;
	HeapTuple	tup;
	Datum		collate;
	bool		isnull;
	bool		result;

	if (is_default && default_is_c >= 0)
		return default_is_c == 1;
	tup = is_default ? SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId)) :
		SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tup))
		return false;
	if (is_default)
	{
		collate = SysCacheGetAttr(DATABASEOID, tup, Anum_pg_database_datcollate, &isnull);
		result = compares_bytes(((Form_pg_database) GETSTRUCT(tup))->datlocprovider, collate,
								isnull);
		default_is_c = result ? 1 : 0;
	}
	else
	{
		collate = SysCacheGetAttr(COLLOID, tup, Anum_pg_collation_collcollate, &isnull);
		result = compares_bytes(((Form_pg_collation) GETSTRUCT(tup))->collprovider, collate,
								isnull);
	}
	ReleaseSysCache(tup);
	return result;
}

/*
 * cz_collation_is_sure
 *		See cz/planner.h.
 */
bool
cz_collation_is_sure(Oid collation)
{
	if (!OidIsValid(collation) || collation == C_COLLATION_OID ||
		collation == POSIX_COLLATION_OID_compat)
		return true;
	return is_c(collation) ||
		(collation == DEFAULT_COLLATION_OID && CzDefaultCollationIsShared());
}

/* Does a collation make equal what has other bytes? */
static bool
is_loose(Oid collation)
{
	return !cz_collation_is_sure(collation) && collation != DEFAULT_COLLATION_OID &&
		!get_collation_isdeterministic(collation);
}

/* Is it an operator that says what comes first? */
static bool
is_ordering_operator(Oid opno)
{
	ListCell   *lc;

	foreach(lc, get_op_interpretation_compat(opno))
	{
		if (interpretation_orders_compat(lfirst(lc)))
			return true;
	}
	return false;
}

static bool
is_ordering_function(Oid funcid)
{
	switch (funcid)
	{
		case F_TEXT_LT:
		case F_TEXT_LE:
		case F_TEXT_GT:
		case F_TEXT_GE:
		case F_BTTEXTCMP:
		case F_TEXT_LARGER:
		case F_TEXT_SMALLER:
		case F_BPCHARLT:
		case F_BPCHARLE:
		case F_BPCHARGT:
		case F_BPCHARGE:
		case F_BPCHARCMP:
		case F_BPCHAR_LARGER:
		case F_BPCHAR_SMALLER:
		case F_BTARRAYCMP:
		case F_ARRAY_LT:
		case F_ARRAY_LE:
		case F_ARRAY_GT:
		case F_ARRAY_GE:
		case F_ARRAY_LARGER:
		case F_ARRAY_SMALLER:
		case F_WIDTH_BUCKET_ANYCOMPATIBLE_ANYCOMPATIBLEARRAY:
			return true;
		default:
			return false;
	}
}

/* min, max, and aggregates that sort themselves. */
static bool
is_ordering_aggregate(Oid aggfnoid)
{
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));
	Form_pg_aggregate form;
	bool		result;

	if (!HeapTupleIsValid(tup))
		return false;			/* a window function */
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	result = OidIsValid(form->aggsortop) || form->aggkind != AGGKIND_NORMAL;
	ReleaseSysCache(tup);
	return result;
}

/* Do the sort or group clauses use a collation that is not sure, or is loose? */
static bool
clauses_use(List *clauses, List *tlist, bool (*is_bad) (Oid))
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (is_bad(exprCollation(get_sortgroupclause_expr(lfirst(lc), tlist))))
			return true;
	}
	return false;
}

static bool
is_not_sure(Oid collation)
{
	return !cz_collation_is_sure(collation);
}

/*
 * cz_sorts_unsurely
 *		Does the ORDER BY of a query use a collation that may differ on a worker?
 */
bool
cz_sorts_unsurely(Query *query)
{
	return clauses_use(query->sortClause, query->targetList, is_not_sure);
}

static bool
set_operation_is_loose(Node *node)
{
	SetOperationStmt *op = (SetOperationStmt *) node;
	ListCell   *lc;

	if (node == NULL || !IsA(node, SetOperationStmt))
		return false;
	if (!(op->op == SETOP_UNION && op->all))
	{
		foreach(lc, op->colCollations)
		{
			if (is_loose(lfirst_oid(lc)))
				return true;
		}
	}
	return set_operation_is_loose(op->larg) || set_operation_is_loose(op->rarg);
}

static bool
query_decides(Query *query, bool is_outermost)
{
	ListCell   *lc;

	/* the outermost order, where nothing depends on it, can be made again here */
	if ((!is_outermost || query->limitCount != NULL || query->limitOffset != NULL ||
		 query->hasDistinctOn) && cz_sorts_unsurely(query))
		return true;
	if (clauses_use(query->groupClause, query->targetList, is_loose) ||
		clauses_use(query->distinctClause, query->targetList, is_loose) ||
		set_operation_is_loose(query->setOperations))
		return true;
	foreach(lc, query->windowClause)
	{
		WindowClause *window = lfirst(lc);

		if (clauses_use(window->orderClause, query->targetList, is_not_sure) ||
			clauses_use(window->partitionClause, query->targetList, is_loose))
			return true;
	}
	return false;
}

/*
 * cz_collation_decides
 *		Does what a node does (not what is below it) depend on a collation that may
 *		differ on a worker?  is_outermost: a Query that is no sub-query.
 */
bool
cz_collation_decides(Node *node, bool is_outermost)
{
	ListCell   *lc;

	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			{
				OpExpr	   *op = (OpExpr *) node;

				return !cz_collation_is_sure(op->inputcollid) &&
					(is_loose(op->inputcollid) || is_ordering_operator(op->opno));
			}
		case T_ScalarArrayOpExpr:
			{
				ScalarArrayOpExpr *op = (ScalarArrayOpExpr *) node;

				return !cz_collation_is_sure(op->inputcollid) &&
					(is_loose(op->inputcollid) || is_ordering_operator(op->opno));
			}
		case T_RowCompareExpr:
			foreach(lc, ((RowCompareExpr *) node)->inputcollids)
			{
				if (!cz_collation_is_sure(lfirst_oid(lc)))
					return true;
			}
			return false;
		case T_MinMaxExpr:
			return !cz_collation_is_sure(((MinMaxExpr *) node)->inputcollid);
		case T_FuncExpr:
			{
				FuncExpr   *func = (FuncExpr *) node;

				return !cz_collation_is_sure(func->inputcollid) &&
					(is_loose(func->inputcollid) || is_ordering_function(func->funcid));
			}
		case T_Aggref:
			{
				Aggref	   *agg = (Aggref *) node;

				return (!cz_collation_is_sure(agg->inputcollid) &&
						(is_loose(agg->inputcollid) || is_ordering_aggregate(agg->aggfnoid))) ||
					clauses_use(agg->aggorder, agg->args, is_not_sure) ||
					clauses_use(agg->aggdistinct, agg->args, is_loose);
			}
		case T_WindowFunc:
			{
				WindowFunc *func = (WindowFunc *) node;

				return !cz_collation_is_sure(func->inputcollid) &&
					(is_loose(func->inputcollid) || is_ordering_aggregate(func->winfnoid));
			}
		case T_Query:
			return query_decides((Query *) node, is_outermost);
		default:
			return false;
	}
}
