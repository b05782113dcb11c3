/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  WHERE CURRENT OF a cursor over distributed tables.
 *
 * A cursor that locks rows of a distributed table returns their ids to the top of its
 * plan, as a column that its result has not; "WHERE CURRENT OF c" is then
 * "ctid = cz.cursor_row('c', table)", a value like others (executor's cursor.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"

#include "cz/compat.h"
#include "cz/write.h"

#include "../planner_int.h"

static bool
is_distributed(RangeTblEntry *rte)
{
	const CzTable *table = rte->rtekind == RTE_RELATION ? CzTableGet(rte->relid) : NULL;

	return table != NULL && (table->kind == CZ_TABLE_HASH || table->kind == CZ_TABLE_RANGE);
}

/*
 * cz_replace_current_of
 *		Make WHERE CURRENT OF of a write on a distributed table a comparison of ctids.
 */
void
cz_replace_current_of(Query *query)
{
	CurrentOfExpr *current = (CurrentOfExpr *) query->jointree->quals;
	Oid			argtypes[2] = {REFCURSOROID, OIDOID};
	RangeTblEntry *target;
	Node	   *cursor;
	Node	   *row;

	if (current == NULL || !IsA(current, CurrentOfExpr))
		return;
	target = rt_fetch(query->resultRelation, query->rtable);
	if (!is_distributed(target))
		return;
	if (current->cursor_name != NULL)
		cursor = (Node *) makeConst(REFCURSOROID, -1, InvalidOid, -1,
									CStringGetTextDatum(current->cursor_name), false, false);
	else
	{
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXTERN;
		param->paramid = current->cursor_param;
		param->paramtype = REFCURSOROID;
		param->paramtypmod = -1;
		param->location = -1;
		cursor = (Node *) param;
	}
	row = (Node *)
		makeFuncExpr(LookupFuncName(list_make2(makeString("cz"), makeString("cursor_row")), 2,
									argtypes, false),
					 TIDOID,
					 list_make2(cursor, cz_oid_const(target->relid)),
					 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	query->jointree->quals = (Node *)
		make_opclause(TIDEqualOperator, BOOLOID, false,
					  (Expr *) makeVar(query->resultRelation, SelfItemPointerAttributeNumber,
									   TIDOID, -1, InvalidOid, 0),
					  (Expr *) row, InvalidOid, InvalidOid);
}

/*
 * cz_take_cursor_rows
 *		Have a query that locks rows of distributed tables, and is a cursor's, return
 *		their ids as its last columns.
 *
 * Returns: the number of these columns.
 */
int
cz_take_cursor_rows(Query *query, int cursor_options)
{
	ListCell   *lc;
	int			n = 0;

	if (!(cursor_options & CURSOR_OPT_FAST_PLAN) || query->commandType != CMD_SELECT ||
		query->hasModifyingCTE || query->setOperations != NULL)
		return 0;
	foreach(lc, query->rowMarks)
	{
		RowMarkClause *mark = lfirst(lc);
		RangeTblEntry *rte = rt_fetch(mark->rti, query->rtable);
		ListCell   *lt;
		TargetEntry *tle;
		int			resno = 0;

		if (mark->pushedDown || !is_distributed(rte))
			continue;
		/* before what is sorted by only */
		foreach(lt, query->targetList)
		{
			if (((TargetEntry *) lfirst(lt))->resjunk)
				break;
			resno++;
		}
		tle = makeTargetEntry((Expr *) makeVar(mark->rti, SelfItemPointerAttributeNumber,
											   TIDOID, -1, InvalidOid, 0),
							  resno + 1, psprintf(CZ_CURSOR_ROW "%u", rte->relid), false);
		query->targetList = list_insert_nth(query->targetList, resno, tle);
		for_each_from(lt, query->targetList, resno + 1)
			((TargetEntry *) lfirst(lt))->resno++;
		n++;
	}
	return n;
}

/*
 * cz_hide_cursor_rows
 *		A query around one that has been rewritten: the last columns of its result
 *		are not shown.
 *
 * n: of cz_take_cursor_rows.
 */
Query *
cz_hide_cursor_rows(Query *query, int n)
{
	Query	   *outer = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *names = NIL;
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk)
			continue;
		names = lappend(names, makeString(pstrdup(tle->resname ? tle->resname : "?column?")));
		columns = lappend(columns, tle);
	}
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->eref = makeAlias("cursor", names);
	rte->inFromCl = true;
	ref->rtindex = 1;
	outer->commandType = CMD_SELECT;
	outer->querySource = query->querySource;
	outer->queryId = query->queryId;
	outer->canSetTag = query->canSetTag;
	outer->stmt_location = query->stmt_location;
	outer->stmt_len = query->stmt_len;
	outer->hasRowSecurity = query->hasRowSecurity;
	outer->rtable = list_make1(rte);
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	foreach(lc, columns)
	{
		TargetEntry *tle = flatCopyTargetEntry(lfirst(lc));
		int			i = foreach_current_index(lc) + 1;

		tle->expr = (Expr *) makeVar(1, i, exprType((Node *) tle->expr),
									 exprTypmod((Node *) tle->expr),
									 exprCollation((Node *) tle->expr), 0);
		tle->resno = i;
		tle->ressortgroupref = 0;
		tle->resjunk = i > list_length(columns) - n;
		outer->targetList = lappend(outer->targetList, tle);
	}
	return outer;
}
