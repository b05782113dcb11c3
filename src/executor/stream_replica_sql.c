/*-------------------------------------------------------------------------
 *
 * stream_replica_sql.c
 *	  The commands by which what was done on the first placement of a shard is done on
 *	  the others (stream_replicas.c): for one row, and for many as arrays.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "executor_int.h"

/*
 * CzReplicaShardAndColumns
 *		See executor_int.h.
 */
char *
CzReplicaShardAndColumns(const CzFragmentPlan *plan, const CzTable *table, const CzShard *shard)
{
	List	   *attnos = list_concat_copy(plan->replica_keys, plan->replica_sets);
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s (", shard->remote_qualified);
	foreach(lc, attnos)
		appendStringInfo(&buf, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(table->column_names[lfirst_int(lc) - 1]));
	appendStringInfoChar(&buf, ')');
	list_free(attnos);
	return buf.data;
}

/* The same for what INSERT has left on the first placement. */
static char *
insert_sql(const CzFragmentPlan *plan, const CzTable *table, const CzShard *shard)
{
	List	   *attnos = list_concat_copy(plan->replica_keys, plan->replica_sets);
	StringInfoData buf;
	ListCell   *lc;
	int			i;

	initStringInfo(&buf);
	appendStringInfo(&buf, "INSERT INTO %s", CzReplicaShardAndColumns(plan, table, shard));
	for (i = 1; i <= list_length(attnos); i++)
		appendStringInfo(&buf, "%s$%d", i > 1 ? ", " : " VALUES (", i);
	appendStringInfoChar(&buf, ')');
	if (plan->replica_upserts)
	{
		foreach(lc, plan->replica_keys)
			appendStringInfo(&buf, "%s%s", foreach_current_index(lc) > 0 ? ", " :
							 " ON CONFLICT (",
							 quote_identifier(table->column_names[lfirst_int(lc) - 1]));
		foreach(lc, attnos)
		{
			const char *name = quote_identifier(table->column_names[lfirst_int(lc) - 1]);

			appendStringInfo(&buf, "%s%s = excluded.%s", foreach_current_index(lc) > 0 ?
							 ", " : ") DO UPDATE SET ", name, name);
		}
	}
	list_free(attnos);
	return buf.data;
}

/*
 * CzReplicaSql
 *		See executor_int.h.
 */
char *
CzReplicaSql(const CzFragmentPlan *plan, const CzTable *table, const CzShard *shard)
{
	StringInfoData buf;
	int			nkeys = list_length(plan->replica_keys);
	ListCell   *lc;

	initStringInfo(&buf);
	if (plan->command == CMD_INSERT)
		return insert_sql(plan, table, shard);
	if (plan->command == CMD_DELETE)
		appendStringInfo(&buf, "DELETE FROM %s", shard->remote_qualified);
	else
		appendStringInfo(&buf, "UPDATE %s SET", shard->remote_qualified);
	foreach(lc, plan->replica_sets)
		appendStringInfo(&buf, "%s %s = $%d", foreach_current_index(lc) > 0 ? "," : "",
						 quote_identifier(table->column_names[lfirst_int(lc) - 1]),
						 nkeys + foreach_current_index(lc) + 1);
	foreach(lc, plan->replica_keys)
		appendStringInfo(&buf, "%s %s OPERATOR(pg_catalog.=) $%d",
						 foreach_current_index(lc) > 0 ? " AND" : " WHERE",
						 quote_identifier(table->column_names[lfirst_int(lc) - 1]),
						 foreach_current_index(lc) + 1);
	return buf.data;
}

/* A column of rows as an element of arrays. */
static CzReplicaColumn
multi_column(const CzFragmentPlan *plan, AttrNumber attno)
{
	CzReplicaColumn column;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Oid			ioparam;
	Oid			function;

	column.type_oid = getBaseType(get_atttype(plan->anchor_relid, attno));
	get_type_io_data(column.type_oid, IOFunc_output, &typlen, &typbyval, &typalign,
					 &column.delimiter, &ioparam, &function);
	column.is_text = CzShipmentColumnIsText(column.type_oid);
	if (column.is_text)
		column.delimiter = ',';
	return column;
}

/*
 * CzReplicaMultiSql
 *		The same for many rows, whose columns are arrays; NULL if a column can't be one.
 *
 * An UPDATE that does not find all of them may have changed some; since it gives them
 * their new values, that does no harm when each is sent by itself afterwards.  A DELETE
 * would not find those again: it says which it has found.
 */
char *
CzReplicaMultiSql(const CzFragmentPlan *plan, const CzTable *table, const CzShard *shard,
				  bool is_binary, CzReplicaColumn **columns)
{
	StringInfoData buf;
	List	   *attnos = list_concat_copy(plan->replica_keys, plan->replica_sets);
	int			nkeys = list_length(plan->replica_keys);
	bool		is_delete = plan->command == CMD_DELETE;
	ListCell   *lc;

	initStringInfo(&buf);
	*columns = palloc(sizeof(CzReplicaColumn) * list_length(attnos));
	appendStringInfo(&buf, is_delete ? "DELETE FROM %s AS t USING (SELECT " :
					 "UPDATE %s AS t SET", shard->remote_qualified);
	foreach(lc, plan->replica_sets)
		appendStringInfo(&buf, "%s %s = u.c%d", foreach_current_index(lc) > 0 ? "," : "",
						 quote_identifier(table->column_names[lfirst_int(lc) - 1]),
						 nkeys + foreach_current_index(lc) + 1);
	if (!is_delete)
		appendStringInfoString(&buf, " FROM (SELECT ");
	foreach(lc, attnos)
	{
		int			n = foreach_current_index(lc) + 1;
		CzReplicaColumn *column = &(*columns)[n - 1];
		char	   *type;

		*column = multi_column(plan, lfirst_int(lc));
		if (column->is_text && is_binary)
			return NULL;
		type = format_type_extended(column->type_oid, -1,
									FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
		if (n == 1 && is_delete)
			appendStringInfo(&buf, "pg_catalog.generate_subscripts($1::%s[], 1) AS n, ",
							 column->is_text ? "pg_catalog.text" : type);
		appendStringInfo(&buf, "%spg_catalog.unnest($%d::%s[])%s%s AS c%d",
						 n > 1 ? ", " : "", n, column->is_text ? "pg_catalog.text" : type,
						 column->is_text ? "::" : "", column->is_text ? type : "", n);
	}
	appendStringInfoString(&buf, ") AS u");
	foreach(lc, plan->replica_keys)
		appendStringInfo(&buf, "%s t.%s OPERATOR(pg_catalog.=) u.c%d",
						 foreach_current_index(lc) > 0 ? " AND" : " WHERE",
						 quote_identifier(table->column_names[lfirst_int(lc) - 1]),
						 foreach_current_index(lc) + 1);
	if (is_delete)
		appendStringInfoString(&buf, " RETURNING u.n");
	list_free(attnos);
	return buf.data;
}

/*
 * CzReplicaOrderIsFree
 *		May several rows be changed in any order?  Not if a unique index or an exclusion
 * constraint that does not wait for the last of them has a column that is assigned: the
 * order of the first placement was good.
 */
bool
CzReplicaOrderIsFree(const CzFragmentPlan *plan)
{
	Relation	rel = table_open(plan->anchor_relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	bool		is_free = true;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		int			i;

		for (i = 0; i < index->rd_index->indnkeyatts; i++)
		{
			AttrNumber	attno = index->rd_index->indkey.values[i];

			if ((index->rd_index->indisunique || index->rd_index->indisexclusion) &&
				index->rd_index->indimmediate &&
				(attno == 0 || list_member_int(plan->replica_sets, attno)))
				is_free = false;
		}
		index_close(index, AccessShareLock);
	}
	table_close(rel, NoLock);
	return is_free;
}
