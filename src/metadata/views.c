/*-------------------------------------------------------------------------
 *
 * views.c
 *	  Set-returning functions under the views citus_tables, pg_dist_shard and
 *	  the like: the cached metadata as rows.  sql/60-views.sql gives them the
 *	  shapes that Citus' users know.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "metadata_int.h"
#include "cz/gone.h"

PG_FUNCTION_INFO_V1(cz_worker_list);
PG_FUNCTION_INFO_V1(cz_table_list);
PG_FUNCTION_INFO_V1(cz_shard_list);
PG_FUNCTION_INFO_V1(cz_placement_list);
PG_FUNCTION_INFO_V1(get_shard_id_for_distribution_column);
PG_FUNCTION_INFO_V1(column_to_column_name);

/* Placement ids are made up: shard id * this + position. */
#define PLACEMENTS_PER_SHARD 1000

#define SHARDSTATE_ACTIVE 1
#define SHARDSTATE_INACTIVE 3

/*
 * cz_worker_list
 *		One row a worker.
 */
Datum
cz_worker_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, CzNodeList(false))
	{
		CzNode	   *node = (CzNode *) lfirst(cell);
		CzNode	   *primary = CzNodeOfIdentity(node->clone_of);
		Datum		values[13];
		bool		nulls[13] = {0};

		values[0] = Int32GetDatum(node->node_id);
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(node->name));
		values[2] = ObjectIdGetDatum(node->server_oid);
		values[3] = CStringGetTextDatum(node->host);
		values[4] = Int32GetDatum(node->port);
		nulls[5] = node->dbname == NULL;
		values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(node->dbname);
		nulls[6] = node->zone == NULL;
		values[6] = nulls[6] ? (Datum) 0 : CStringGetTextDatum(node->zone);
		values[7] = Float8GetDatum(node->weight);
		values[8] = BoolGetDatum(node->is_active);
		values[9] = BoolGetDatum(node->should_have_shards);
		values[10] = BoolGetDatum(node->is_checked);
		values[11] = BoolGetDatum(node->clone_of != NULL);
		nulls[12] = primary == NULL;
		values[12] = Int32GetDatum(primary ? primary->node_id : 0);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The distribution column as Citus keeps it: the text of a Var. */
static char *
key_as_var(const CzTable *table)
{
	return nodeToString(makeVar(1, table->key_attno, table->key_type,
								table->key_typmod, table->key_collation, 0));
}

/*
 * The tables that a function lists: the one that is its argument, or all.  Nobody who asks
 * for one has to wait until all are looked at.
 */
static List *
tables_asked_for(FunctionCallInfo fcinfo)
{
	return PG_NARGS() > 0 ? list_make1_oid(PG_GETARG_OID(0)) : CzTableListAll();
}

/* NULL: it is not there any more, or not one to be listed. */
static const CzTable *
listed_table(Oid relid)
{
	const CzTable *table = CzTableGet(relid);

	return table != NULL && table->kind != CZ_TABLE_FOREIGN ? table : NULL;
}

/*
 * cz_table_list
 *		One row a distributed or reference table.
 */
Datum
cz_table_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, tables_asked_for(fcinfo))
	{
		const CzTable *table = listed_table(lfirst_oid(cell));
		Datum		values[7];
		bool		nulls[7] = {0};

		if (table == NULL)
			continue;
		values[0] = ObjectIdGetDatum(table->relid);
		values[1] = CharGetDatum(table->kind);
		values[2] = Int32GetDatum(table->colocation_id);
		values[3] = Int32GetDatum(table->nshards);
		if (table->key_attno != 0)
		{
			values[4] = Int16GetDatum(table->key_attno);
			values[5] = DirectFunctionCall1(namein,
											CStringGetDatum(table->column_names[table->key_attno - 1]));
			values[6] = CStringGetTextDatum(key_as_var(table));
		}
		else
			nulls[4] = nulls[5] = nulls[6] = true;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * CzShardBounds
 *		See metadata.h.
 */
void
CzShardBounds(const CzTable *table, int index, char **lower, char **upper)
{
	PartitionBoundInfo bounds = ((const CzTableEntry *) table)->bounds;
	Oid			output;
	bool		is_varlena;
	int			i;

	*lower = *upper = NULL;
	if (table->kind != CZ_TABLE_RANGE || bounds == NULL)
		return;
	getTypeOutputInfo(table->key_type, &output, &is_varlena);
	for (i = 0; i < bounds->nindexes; i++)
	{
		if (bounds->indexes[i] != index)
			continue;
		if (i > 0 && bounds->kind[i - 1][0] == PARTITION_RANGE_DATUM_VALUE)
			*lower = OidOutputFunctionCall(output, bounds->datums[i - 1][0]);
		if (i < bounds->ndatums && bounds->kind[i][0] == PARTITION_RANGE_DATUM_VALUE)
			*upper = OidOutputFunctionCall(output, bounds->datums[i][0]);
		break;
	}
}

/*
 * cz_shard_list
 *		One row a shard.
 */
Datum
cz_shard_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, tables_asked_for(fcinfo))
	{
		const CzTable *table = listed_table(lfirst_oid(cell));
		int			i;

		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			const CzShard *shard = &table->shards[i];
			char	   *lower;
			char	   *upper;
			Datum		values[7];
			bool		nulls[7] = {0};

			CzShardBounds(table, i, &lower, &upper);
			values[0] = ObjectIdGetDatum(table->relid);
			values[1] = Int64GetDatum(shard->name_id);
			values[2] = Int32GetDatum(i);
			values[3] = ObjectIdGetDatum(shard->relid);
			values[4] = CStringGetTextDatum(shard->remote_qualified);
			nulls[5] = lower == NULL;
			values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(lower);
			nulls[6] = upper == NULL;
			values[6] = nulls[6] ? (Datum) 0 : CStringGetTextDatum(upper);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/* A reference table is on every worker that has been checked. */
static List *
reference_servers(void)
{
	List	   *server_oids = NIL;
	ListCell   *cell;

	foreach(cell, CzNodeList(false))
	{
		CzNode	   *node = (CzNode *) lfirst(cell);

		if (node->is_checked)
			server_oids = lappend_oid(server_oids, node->server_oid);
	}
	return server_oids;
}

/*
 * cz_placement_list
 *		One row a placement, also of those that are not in use: nodes that are disabled,
 *		placements that have missed writes, and all but the first of a shard that has to be
 *		compared, because it was being written when the server crashed.
 */
Datum
cz_placement_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, tables_asked_for(fcinfo))
	{
		const CzTable *table = listed_table(lfirst_oid(cell));
		int			i;

		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			const CzShard *shard = &table->shards[i];
			List	   *server_oids;
			ListCell   *server;

			server_oids = table->kind == CZ_TABLE_REFERENCE ? reference_servers()
				: CzShardServers(shard->relid);
			foreach(server, server_oids)
			{
				CzNode	   *node = CzNodeGet(lfirst_oid(server));
				int			position = foreach_current_index(server);
				Datum		values[7];
				bool		nulls[7] = {0};

				values[0] = Int64GetDatum(shard->name_id * PLACEMENTS_PER_SHARD + position);
				values[1] = Int64GetDatum(shard->name_id);
				values[2] = Int32GetDatum(position);
				values[3] = ObjectIdGetDatum(node->server_oid);
				values[4] = Int32GetDatum(node->is_active && CzShardIsActiveOn(shard, node->server_oid) ?
										  SHARDSTATE_ACTIVE : SHARDSTATE_INACTIVE);
				/* of one table only, else behind the end */
				values[5] = Int32GetDatum(i);
				values[6] = CStringGetTextDatum(shard->remote_qualified);
				tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
			}
		}
	}
	return (Datum) 0;
}

static const CzTable *
get_distributed(Oid relid)
{
	const CzTable *table;

	if (get_rel_relkind(relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	table = CzTableGet(relid);
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation \"%s\" is not distributed", CzNameOf(relid))));
	return table;
}

/*
 * get_shard_id_for_distribution_column
 *		Id of the shard that holds a value of the distribution column; NULL if a
 *		range table has no shard for it.  A value of another type is converted
 *		by its text form, as an untyped literal would be.
 */
Datum
get_shard_id_for_distribution_column(PG_FUNCTION_ARGS)
{
	const CzTable *table;
	Oid			value_type;
	Datum		value = (Datum) 0;
	int			index;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation cannot be NULL")));
	table = get_distributed(PG_GETARG_OID(0));
	if (table->key_attno == 0)
	{
		if (table->nshards == 0)
			PG_RETURN_NULL();
		PG_RETURN_INT64(table->shards[0].name_id);
	}

	if (!PG_ARGISNULL(1))
	{
		value_type = get_fn_expr_argtype(fcinfo->flinfo, 1);
		value = PG_GETARG_DATUM(1);
		if (value_type != table->key_type)
		{
			Oid			input;
			Oid			ioparam;
			char	   *text;

			if (value_type == UNKNOWNOID)
				text = DatumGetCString(value);
			else
			{
				Oid			output;
				bool		is_varlena;

				getTypeOutputInfo(value_type, &output, &is_varlena);
				text = OidOutputFunctionCall(output, value);
			}
			getTypeInputInfo(table->key_type, &input, &ioparam);
			value = OidInputFunctionCall(input, text, ioparam, table->key_typmod);
		}
	}
	index = CzShardIndexForValue(table, value, PG_ARGISNULL(1));
	if (index < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(table->shards[index].name_id);
}

/*
 * column_to_column_name
 *		Name of the column that pg_dist_partition.partkey means.  The text is
 *		searched, not read as a node tree: it may come from anybody.
 */
Datum
column_to_column_name(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *column = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *position = strstr(column, ":varattno ");
	int			attno;
	char	   *name;

	attno = position ? atoi(position + strlen(":varattno ")) : 0;
	if (attno <= 0 || attno > MaxAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("not a valid column")));
	name = get_attname(relid, attno, true);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("attribute %d of relation \"%s\" does not exist", attno,
						get_rel_name(relid) ? get_rel_name(relid) : "?")));
	PG_RETURN_TEXT_P(cstring_to_text(name));
}
