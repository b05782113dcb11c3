/*-------------------------------------------------------------------------
 *
 * deparse.c
 *	  SQL text of the statements that change one foreign table row by row.
 *
 * Only names and parameters are printed, never an expression: what a statement
 * computes is computed here.  Parameters carry no type, so the worker takes the
 * column's.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "cz/metadata.h"
#include "fdw_int.h"

/*
 * CzFdwTable
 *		See fdw_int.h.
 */
const CzTable *
CzFdwTable(Relation rel)
{
	const CzTable *table = CzTableGet(RelationGetRelid(rel));

	if (table == NULL || table->nshards != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("foreign table \"%s\" has no shard in the metadata",
						RelationGetRelationName(rel))));
	CzCheckHasPlacement(&table->shards[0]);
	if (table->shards[0].nplacements < 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" has no active server",
						RelationGetRelationName(rel)),
				 errhint("Set the option \"state\" of its server to \"active\".")));
	return table;
}

static const char *
column_name(const CzTable *table, AttrNumber attno)
{
	return quote_identifier(table->column_names[attno - 1]);
}

/* Append RETURNING for a set of attribute numbers offset as in Bitmapsets of the
 * planner; returns the int list of what each result column is. */
static List *
append_returning(StringInfo sql, Relation rel, const CzTable *table,
				 Bitmapset *returned)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	bool		has_whole_row;
	List	   *attnos = NIL;
	int			attno;

	if (returned == NULL)
		return NIL;

	has_whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, returned);
	for (attno = 1; attno <= tupdesc->natts; attno++)
	{
		if (TupleDescAttr(tupdesc, attno - 1)->attisdropped)
			continue;
		if (!has_whole_row &&
			!bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, returned))
			continue;
		appendStringInfo(sql, "%s%s", attnos == NIL ? " RETURNING " : ", ",
						 column_name(table, attno));
		attnos = lappend_int(attnos, attno);
	}
	if (bms_is_member(SelfItemPointerAttributeNumber - FirstLowInvalidHeapAttributeNumber,
					  returned))
	{
		appendStringInfo(sql, "%sctid", attnos == NIL ? " RETURNING " : ", ");
		attnos = lappend_int(attnos, SelfItemPointerAttributeNumber);
	}
	return attnos;
}

/*
 * CzFdwInsertStatement
 *		All columns are sent, with the defaults that this table has: a row
 *		that is inserted here looks the same wherever it lands.
 */
CzFdwStatement *
CzFdwInsertStatement(Relation rel, bool do_nothing, Bitmapset *returned)
{
	const CzTable *table = CzFdwTable(rel);
	TupleDesc	tupdesc = RelationGetDescr(rel);
	CzFdwStatement *statement = palloc0(sizeof(CzFdwStatement));
	StringInfoData head;
	StringInfoData tail;
	int			attno;

	initStringInfo(&head);
	initStringInfo(&tail);
	appendStringInfo(&head, "INSERT INTO %s", table->shards[0].remote_qualified);
	for (attno = 1; attno <= tupdesc->natts; attno++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, attno - 1);

		if (attr->attisdropped || attr->attgenerated)
			continue;
		appendStringInfo(&head, "%s%s", statement->attnos == NIL ? "(" : ", ",
						 column_name(table, attno));
		statement->attnos = lappend_int(statement->attnos, attno);
	}
	appendStringInfoString(&head,
						   statement->attnos == NIL ? " DEFAULT VALUES" : ") VALUES ");
	if (do_nothing)
		appendStringInfoString(&tail, " ON CONFLICT DO NOTHING");
	statement->returned_attnos = append_returning(&tail, rel, table, returned);
	statement->head = head.data;
	statement->tail = tail.data;
	return statement;
}

char *
CzFdwInsertText(const CzFdwStatement *statement, int nrows)
{
	int			ncolumns = list_length(statement->attnos);
	StringInfoData sql;
	int			param = 0;
	int			row;
	int			column;

	initStringInfo(&sql);
	appendStringInfoString(&sql, statement->head);
	for (row = 0; row < nrows && ncolumns > 0; row++)
	{
		appendStringInfoString(&sql, row > 0 ? ", (" : "(");
		for (column = 0; column < ncolumns; column++)
			appendStringInfo(&sql, "%s$%d", column > 0 ? ", " : "", ++param);
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, statement->tail);
	return sql.data;
}

CzFdwStatement *
CzFdwUpdateStatement(Relation rel, List *attnos, Bitmapset *returned)
{
	const CzTable *table = CzFdwTable(rel);
	CzFdwStatement *statement = palloc0(sizeof(CzFdwStatement));
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s SET ", table->shards[0].remote_qualified);
	foreach(lc, attnos)
	{
		AttrNumber	attno = lfirst_int(lc);

		/* The worker computes generated columns itself. */
		if (TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated)
			continue;
		appendStringInfo(&sql, "%s%s = $%d", statement->attnos == NIL ? "" : ", ",
						 column_name(table, attno),
						 list_length(statement->attnos) + 2);
		statement->attnos = lappend_int(statement->attnos, attno);
	}
	if (statement->attnos == NIL)
	{
		/* Only generated columns are set: any column set to itself does it. */
		int			attno = 1;

		while (TupleDescAttr(RelationGetDescr(rel), attno - 1)->attisdropped ||
			   TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated)
			attno++;
		appendStringInfo(&sql, "%s = %s", column_name(table, attno),
						 column_name(table, attno));
	}
	appendStringInfoString(&sql, " WHERE ctid = $1");
	statement->returned_attnos = append_returning(&sql, rel, table, returned);
	statement->head = sql.data;
	statement->tail = "";
	return statement;
}

CzFdwStatement *
CzFdwDeleteStatement(Relation rel, Bitmapset *returned)
{
	const CzTable *table = CzFdwTable(rel);
	CzFdwStatement *statement = palloc0(sizeof(CzFdwStatement));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s WHERE ctid = $1",
					 table->shards[0].remote_qualified);
	statement->returned_attnos = append_returning(&sql, rel, table, returned);
	statement->head = sql.data;
	statement->tail = "";
	return statement;
}
