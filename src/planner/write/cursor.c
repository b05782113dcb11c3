/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  WHERE CURRENT OF a cursor over distributed tables.
 *
 * A cursor that locks rows of a distributed table, or is a plain SELECT from one, returns
 * what finds them again to the top of its plan, as columns that its result has not:
 * those of a key, and ctid (with xmin, where rows are not locked).  "WHERE CURRENT OF c" is
 * then "key = cz.cursor_value('c', table, key column ...)", a value like others
 * (executor's cursor.c): core follows a row through its later versions, and a key does.
 * Without a key it is "ctid = cz.cursor_row('c', table)", which finds rows that have not
 * changed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/write.h"

#include "../planner_int.h"

static bool
is_distributed(RangeTblEntry *rte)
{
	const CzTable *table = rte->rtekind == RTE_RELATION ? CzTableGet(rte->relid) : NULL;

	return table != NULL && CzTableIsDistributed(table);
}

/* A function of the executor's cursor.c. */
static Node *
cursor_call(const char *name, int nargs, Oid *argtypes, Oid type, List *args, Oid collation)
{
	Oid			function = LookupFuncName(list_make2(makeString("cz"),
													 makeString(pstrdup(name))),
										  nargs, argtypes, false);

	return (Node *) makeFuncExpr(function, type, args, collation, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* column = the value that the cursor's row has there */
static Node *
key_qual(Query *query, Relation rel, AttrNumber attno, Node *cursor, bool changes_key)
{
	Oid			argtypes[5] = {REFCURSOROID, OIDOID, INT4OID, BOOLOID, ANYELEMENTOID};
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Oid			operator = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR)->eq_opr;
	Node	   *args[2];
	Oid			input;
	int			i;

	args[0] = (Node *) makeVar(query->resultRelation, attno, att->atttypid, att->atttypmod,
							   att->attcollation, 0);
	args[1] = cursor_call("cursor_value", 5, argtypes, att->atttypid,
						  list_make5(copyObject(cursor), cz_oid_const(RelationGetRelid(rel)),
									 cz_int_const(attno), makeBoolConst(changes_key, false),
									 makeNullConst(att->atttypid, -1, att->attcollation)),
						  att->attcollation);
	op_input_types(operator, &input, &input);
	for (i = 0; i < 2; i++)
	{
		if (input != att->atttypid && !IsPolymorphicType(input))
			args[i] = (Node *) makeRelabelType((Expr *) args[i], input, -1,
											   att->attcollation, COERCE_IMPLICIT_CAST);
	}
	return (Node *) make_opclause(operator, BOOLOID, false, (Expr *) args[0],
								  (Expr *) args[1], InvalidOid, att->attcollation);
}

/* The condition of being the row of a cursor. */
static Node *
row_qual(Query *query, Oid relid, Node *cursor)
{
	Oid			argtypes[2] = {REFCURSOROID, OIDOID};
	Relation	rel = table_open(relid, NoLock);
	List	   *key = cz_row_key(rel, NIL);
	List	   *quals = NIL;
	bool		changes_key = false;
	ListCell   *lc;

	foreach(lc, query->commandType == CMD_UPDATE ? query->targetList : NIL)
	{
		TargetEntry *tle = lfirst(lc);

		changes_key |= !tle->resjunk && list_member_int(key, tle->resno);
	}
	foreach(lc, key)
		quals = lappend(quals, key_qual(query, rel, lfirst_int(lc), cursor, changes_key));
	table_close(rel, NoLock);
	if (quals != NIL)
		return (Node *) make_ands_explicit(quals);
	/* a ctid is one of each partition there */
	if (CzTableGet(relid)->is_partitioned)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("WHERE CURRENT OF is not supported for distributed partitioned table \"%s\", which has no key",
						get_rel_name(relid)),
				 errhint("Add a primary key to the table, or name the partition in the cursor's query and in the statement.")));
	return (Node *)
		make_opclause(TIDEqualOperator, BOOLOID, false,
					  (Expr *) makeVar(query->resultRelation, SelfItemPointerAttributeNumber,
									   TIDOID, -1, InvalidOid, 0),
					  (Expr *) cursor_call("cursor_row", 2, argtypes, TIDOID,
										   list_make2(cursor, cz_oid_const(relid)),
										   InvalidOid),
					  InvalidOid, InvalidOid);
}

/*
 * cz_replace_current_of
 *		Make WHERE CURRENT OF of a write on a distributed table a condition on its row.
 */
void
cz_replace_current_of(Query *query)
{
	CurrentOfExpr *current = (CurrentOfExpr *) query->jointree->quals;
	RangeTblEntry *target;
	Node	   *cursor;

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
	query->jointree->quals = row_qual(query, target->relid, cursor);
}

/* Add a column to a query's result, before what is sorted by only. */
static void
add_column(Query *query, Node *expr, char *name)
{
	ListCell   *lc;
	int			resno = 0;

	foreach(lc, query->targetList)
	{
		if (((TargetEntry *) lfirst(lc))->resjunk)
			break;
		resno++;
	}
	query->targetList = list_insert_nth(query->targetList, resno,
										makeTargetEntry((Expr *) expr, resno + 1, name,
														false));
	for_each_from(lc, query->targetList, resno + 1)
		((TargetEntry *) lfirst(lc))->resno++;
}

/*
 * is_exclusive: nobody else can change the row once it is locked: where the cursor reads it
 *		before it is fetched, it is asked for again by its ctid (executor's scan.c).
 *
 * Returns the number of columns that were added for a table.
 */
static int
take_row(Query *query, Index rti, bool is_locked, bool is_exclusive)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	Relation	rel = table_open(rte->relid, NoLock);
	List	   *key = cz_row_key(rel, NIL);
	const char *prefix = is_locked ? CZ_CURSOR_ROW : CZ_CURSOR_READ;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, key)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), lfirst_int(lc) - 1);

		add_column(query, (Node *) makeVar(rti, att->attnum, att->atttypid, att->atttypmod,
										   att->attcollation, 0),
				   psprintf("%s%u_%d", prefix, rte->relid, att->attnum));
		n++;
	}
	table_close(rel, NoLock);
	if (is_locked && is_exclusive)
	{
		add_column(query, (Node *) makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1,
										   InvalidOid, 0),
				   psprintf("%s%u%s", prefix, rte->relid, CZ_CURSOR_CTID));
		n++;
	}
	if (key != NIL)
		return n;
	add_column(query, (Node *) makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1,
									   InvalidOid, 0),
			   psprintf("%s%u", prefix, rte->relid));
	if (is_locked)
		return n + 1;
	add_column(query, (Node *) makeVar(rti, MinTransactionIdAttributeNumber, XIDOID, -1,
									   InvalidOid, 0),
			   psprintf("%s%u_xmin", prefix, rte->relid));
	return 2;
}

/*
 * cz_take_cursor_rows
 *		Have a query that is a cursor's, and locks rows of distributed tables or reads
 *		nothing but one, return what finds these rows as its last columns.
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

		if (!mark->pushedDown && is_distributed(rt_fetch(mark->rti, query->rtable)))
			n += take_row(query, mark->rti, true, mark->strength != LCS_FORKEYSHARE);
	}
	if (query->rowMarks == NIL && list_length(query->jointree->fromlist) == 1 &&
		IsA(linitial(query->jointree->fromlist), RangeTblRef) &&
		!query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs &&
		query->distinctClause == NIL && query->groupClause == NIL &&
		query->groupingSets == NIL && query->havingQual == NULL)
	{
		Index		rti = linitial_node(RangeTblRef, query->jointree->fromlist)->rtindex;

		if (is_distributed(rt_fetch(rti, query->rtable)))
			n = take_row(query, rti, false, false);
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
