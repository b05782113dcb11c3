/*-------------------------------------------------------------------------
 *
 * stream_unique.c
 *	  Unique and exclusion constraints that hold when a statement ends.
 *
 * A deferrable constraint that is immediate is checked after each statement, so
 * UPDATE ... SET n = n + 1 may give a row the value that another one has until its turn.
 * Where such a statement is done row by row on a placement each row is a statement of its
 * own: the constraint waits there for the last one.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/metadata.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* Has an index one of these columns, or an expression? */
static bool
index_has_column(const FormData_pg_index *index, List *attnos)
{
	int			i;

	for (i = 0; i < index->indnkeyatts; i++)
	{
		if (index->indkey.values[i] == 0 ||
			list_member_int(attnos, index->indkey.values[i]))
			return true;
	}
	return false;
}

/* The name of an index's constraint if it can be deferred and is checked after each
 * statement now, else NULL. */
static char *
constraint_of_statement(Oid index_oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(get_index_constraint(index_oid)));
	Form_pg_constraint con;
	char	   *name = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	if (con->condeferrable && !CzConstraintIsDeferred(con->oid, con->condeferred) &&
		!CzBracketHas(con->oid))
		name = pstrdup(NameStr(con->conname));
	ReleaseSysCache(tuple);
	return name;
}

/*
 * CzStatementConstraints
 *		The constraints of a table that are checked after each statement, and that have a
 *		column of a list.
 *
 * Returns: names, palloc'd; NIL if there are none.
 */
List *
CzStatementConstraints(Oid relid, List *attnos)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		char	   *name = NULL;

		if (!index->rd_index->indimmediate && index_has_column(index->rd_index, attnos))
			name = constraint_of_statement(lfirst_oid(lc));
		if (name != NULL)
			names = lappend(names, name);
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	table_close(rel, NoLock);
	return names;
}

/*
 * CzShardConstraintsSql
 *		The SET CONSTRAINTS of a shard's constraints, but for DEFERRED or IMMEDIATE.
 *
 * names: what they are called here.
 * Returns: palloc'd.
 */
char *
CzShardConstraintsSql(const CzShard *shard, List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SET CONSTRAINTS ");
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_qualified_identifier(shard->remote_schema,
													CzShardIndexName(lfirst(lc),
																	 shard->shard_id)));
	return buf.data;
}
