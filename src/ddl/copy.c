/*-------------------------------------------------------------------------
 *
 * copy.c
 *	  COPY of distributed tables.
 *
 * COPY TO is COPY of a query.  COPY FROM reads core's way and writes its own
 * (executor/copy.c): core's loop would route each row to a partition before a trigger
 * has seen it.
 *
 * Source: own work; what DoCopy() checks follows commands/copy.c, PostgreSQL 15,
 * PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/copy.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "tcop/cmdtag.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "cz/compat.h"
#include "cz/executor.h"
#include "ddl_int.h"

/*
 * CzCopyTo
 *		COPY of a distributed table to a file or the client is COPY of a query:
 *		core copies no partitioned table.
 */
bool
CzCopyTo(const CzUtility *utility, CopyStmt *stmt)
{
	const CzTable *table;
	CopyStmt   *copy;
	StringInfoData sql;
	ListCell   *lc;
	int			i;

	if (stmt->is_from || stmt->relation == NULL)
		return false;
	table = CzTableOfName(stmt->relation);
	if (table == NULL || table->kind == CZ_TABLE_REFERENCE)
		return false;

	if (stmt->attlist != NIL)
	{
		Relation	rel = relation_open(table->relid, AccessShareLock);

		/* what COPY says of its column list */
		(void) CopyGetAttnums(RelationGetDescr(rel), rel, stmt->attlist);
		relation_close(rel, AccessShareLock);
	}
	/* as core says it; with policies it copies ONLY the table there: nothing */
	if (table->is_partitioned)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot copy from partitioned table \"%s\"", get_rel_name(table->relid)),
				 errhint("Try the COPY (SELECT ...) TO variant.")));
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	if (stmt->attlist != NIL)
	{
		foreach(lc, stmt->attlist)
			appendStringInfo(&sql, "%s%s", lc == list_head(stmt->attlist) ? "" : ", ",
							 quote_identifier(strVal(lfirst(lc))));
	}
	else
	{
		Relation	rel = relation_open(table->relid, AccessShareLock);
		TupleDesc	desc = RelationGetDescr(rel);
		bool		is_first = true;

		/* as COPY does: generated columns are left out */
		for (i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);

			if (att->attisdropped || att->attgenerated)
				continue;
			appendStringInfo(&sql, "%s%s", is_first ? "" : ", ",
							 quote_identifier(NameStr(att->attname)));
			is_first = false;
		}
		relation_close(rel, AccessShareLock);
	}
	appendStringInfo(&sql, " FROM %s",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(table->relid)),
												get_rel_name(table->relid)));

	copy = copyObject(stmt);
	copy->query = linitial_node(RawStmt, raw_parser(sql.data, RAW_PARSE_DEFAULT))->stmt;
	copy->relation = NULL;
	copy->attlist = NIL;
	CzUtilityRun(utility, (Node *) copy);
	return true;
}

/* May this role read the file or run the program? */
static void
check_source(const CopyStmt *stmt)
{
	const char *hint = "Anyone can COPY to stdout or from stdin. "
		"psql's \\copy command also works for anyone.";

	if (stmt->filename == NULL)
		return;
	if (stmt->is_program)
	{
		if (!has_privs_of_role(GetUserId(), ROLE_PG_EXECUTE_SERVER_PROGRAM))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be superuser or have privileges of the pg_execute_server_program role to COPY to or from an external program"),
					 errhint("%s", hint)));
	}
	else if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser or have privileges of the pg_read_server_files role to COPY from a file"),
				 errhint("%s", hint)));
}

/* The WHERE clause as a list of conjuncts. */
static Node *
where_clause(ParseState *pstate, const CopyStmt *stmt, Relation rel,
			 ParseNamespaceItem *nsitem)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Node	   *clause;
	Bitmapset  *columns = NULL;
	int			i;

	if (stmt->whereClause == NULL)
		return NULL;
	addNSItemToQuery(pstate, nsitem, false, true, true);
	clause = transformExpr(pstate, copyObject(stmt->whereClause), EXPR_KIND_COPY_WHERE);
	clause = coerce_to_boolean(pstate, clause, "WHERE");
	assign_expr_collations(pstate, clause);

	pull_varattnos(clause, 1, &columns);
	for (i = 0; i < desc->natts; i++)
	{
		/* they are not computed yet when the condition is looked at */
		if (TupleDescAttr(desc, i)->attgenerated &&
			(bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, columns) ||
			 bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("generated columns are not supported in COPY FROM WHERE conditions"),
					 errdetail("Column \"%s\" is a generated column.",
							   NameStr(TupleDescAttr(desc, i)->attname))));
	}
	clause = eval_const_expressions(NULL, clause);
	clause = (Node *) canonicalize_qual((Expr *) clause, false);
	return (Node *) make_ands_implicit((Expr *) clause);
}

/*
 * CzCopyFrom
 *		COPY into a distributed table; false if it is none.
 *
 * Errors: as core's; 0A000 with FREEZE and with row-level security.
 */
bool
CzCopyFrom(const CzUtility *utility, CopyStmt *stmt)
{
	const CzTable *table;
	ParseState *pstate;
	ParseNamespaceItem *nsitem;
	Relation	rel;
	Node	   *where;
	Bitmapset  *columns = NULL;
	ListCell   *lc;
	CopyFromState cstate;
	uint64		processed;

	if (!stmt->is_from || stmt->relation == NULL)
		return false;
	table = CzTableOfName(stmt->relation);
	if (table == NULL || table->kind == CZ_TABLE_REFERENCE)
		return false;

	PreventCommandDuringRecovery("COPY");
	check_source(stmt);
	pstate = make_parsestate(NULL);
	pstate->p_sourcetext = utility->query_string;
	pstate->p_queryEnv = utility->query_env;
	rel = table_openrv(stmt->relation, RowExclusiveLock);
	if (RelationGetRelid(rel) != table->relid || CzTableGet(table->relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" was changed concurrently", stmt->relation->relname)));
	nsitem = addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL, false, false);
	where = where_clause(pstate, stmt, rel, nsitem);
	foreach(lc, CopyGetAttnums(RelationGetDescr(rel), rel, stmt->attlist))
		columns = bms_add_member(columns, lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber);
	(void) check_insert_privileges_compat(pstate, nsitem, columns);
	if (check_enable_rls(table->relid, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FROM not supported with row-level security"),
				 errhint("Use INSERT statements instead.")));
	if (XactReadOnly)
		PreventCommandIfReadOnly("COPY FROM");

	cstate = BeginCopyFrom(pstate, rel, where, stmt->filename, stmt->is_program, NULL,
						   stmt->attlist, stmt->options);
	processed = CzCopyRows(cstate, stmt);
	EndCopyFrom(cstate);
	table_close(rel, NoLock);
	free_parsestate(pstate);
	if (utility->completion != NULL)
		SetQueryCompletion(utility->completion, CMDTAG_COPY, processed);
	return true;
}
