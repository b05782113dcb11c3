/*-------------------------------------------------------------------------
 *
 * fragment.c
 *	  The fragment plan as a List, and its SQL for shards.
 *
 * The list has the members of CzFragmentPlan at fixed positions; only this
 * file knows them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/fragment.h"
#include "cz/gone.h"
#include "cz/metadata.h"

/* Positions in the list form. */
enum
{
	POS_NUMBERS,
	POS_PIECES,
	POS_RELIDS,
	POS_ANCHOR,
	POS_SHARDS,
	POS_CHECK_AS_USER,
	POS_FUNCTIONS,
	POS_CHECKS,
	POS_REPLICA_KEYS,
	POS_REPLICA_SETS,
	POS_INSERT_ATTNOS,
	POS_CONFLICT_CHECKS,
	POS_INSERT_CHECKS,
	POS_TYPES,
	POS_TYPMODS,
	POS_REASON,
	POS_RELATION_COLUMNS,
	POS_SHIPMENTS,
	POS_SORT_COLUMNS,
	POS_SORT_OPERATORS,
	POS_SORT_COLLATIONS,
	POS_SORT_NULLS_FIRST,
	POS_LOCKS,
	POS_ROW_ID_COLUMNS,
	POS_ROW_ID_PARAMS,
	POS_ROW_ID_LISTS,
	POS_COST,
	POS_LAZY_PIECES,
	POS_COUNT
};

/* Positions in its list of numbers: made and copied with every plan, they are no Nodes. */
enum
{
	NUM_STRATEGY,
	NUM_COMMAND,
	NUM_IS_PRUNED,
	NUM_PRUNE_PARAM,
	NUM_PRUNE_KIND,
	NUM_NPARAMS,
	NUM_ROW_LOCKS,
	NUM_RETURNING,
	NUM_FINDS_ONE_ROW,
	NUM_REPLICA_UPSERTS,
	NUM_ROWS_GIVEN,
	NUM_GIVES_ROWS,
	NUM_UNCOUNTED,
	NUM_INSERT_QUIET,
	NUM_ORDERED,
	NUM_MERGE,
	NUM_LOCKS_WAIT,
	NUM_TAKES_DUPLICATES,
	NUM_IS_SMALL,
	NUM_ROW_IDS,
	NUM_LAZY_NPARAMS,
	NUM_COUNT
};

/* A double as a Node that needs no text. */
static Node *
float_node(double value)
{
	return (Node *) makeConst(FLOAT8OID, -1, InvalidOid, sizeof(float8),
							  Float8GetDatum(value), false, FLOAT8PASSBYVAL);
}

static double
float_value(const Node *node)
{
	return DatumGetFloat8(((const Const *) node)->constvalue);
}

static List *
shipment_to_list(const CzShipment *shipment)
{
	List	   *list = NIL;

	list = lappend(list, makeInteger(shipment->plan_id));
	list = lappend(list, makeString(shipment->label ? pstrdup(shipment->label) :
									pstrdup("")));
	list = lappend(list, makeInteger(shipment->partition_column));
	list = lappend(list, shipment->column_types);
	list = lappend(list, shipment->column_typmods);
	list = lappend(list, shipment->column_collations);
	list = lappend(list, float_node(shipment->rows));
	return list;
}

static CzShipment *
shipment_from_list(List *list)
{
	CzShipment *shipment = palloc0(sizeof(CzShipment));

	shipment->plan_id = intVal(list_nth(list, 0));
	shipment->label = strVal(list_nth(list, 1));
	shipment->partition_column = intVal(list_nth(list, 2));
	shipment->column_types = list_nth(list, 3);
	shipment->column_typmods = list_nth(list, 4);
	shipment->column_collations = list_nth(list, 5);
	shipment->rows = float_value(list_nth(list, 6));
	return shipment;
}

static List *
locks_to_list(const CzLocks *locks)
{
	List	   *list = NIL;

	if (locks == NULL)
		return NIL;
	list = lappend(list, CzFragmentPlanToList(locks->candidates));
	list = lappend(list, makeInteger(locks->limit_param));
	list = lappend(list, locks->id_params);
	list = lappend(list, makeInteger(locks->may_wait));
	list = lappend(list, makeInteger(locks->may_skip));
	list = lappend(list, makeInteger(locks->is_sorted));
	list = lappend(list, locks->sort_operators);
	list = lappend(list, locks->sort_collations);
	list = lappend(list, locks->sort_nulls_first);
	list = lappend(list, makeInteger(locks->is_single));
	list = lappend(list, locks->table_params);
	return list;
}

static CzLocks *
locks_from_list(List *list)
{
	CzLocks    *locks;

	if (list == NIL)
		return NULL;
	locks = palloc0(sizeof(CzLocks));
	locks->candidates = CzFragmentPlanFromList(list_nth(list, 0));
	locks->limit_param = intVal(list_nth(list, 1));
	locks->id_params = list_nth(list, 2);
	locks->may_wait = intVal(list_nth(list, 3));
	locks->may_skip = intVal(list_nth(list, 4));
	locks->is_sorted = intVal(list_nth(list, 5));
	locks->sort_operators = list_nth(list, 6);
	locks->sort_collations = list_nth(list, 7);
	locks->sort_nulls_first = list_nth(list, 8);
	locks->is_single = intVal(list_nth(list, 9));
	locks->table_params = list_nth(list, 10);
	return locks;
}

/*
 * CzFragmentPlanToList
 *		The plan as a list that copyObject and nodeToString can walk.
 */
List *
CzFragmentPlanToList(const CzFragmentPlan *plan)
{
	List	   *list = NIL;
	List	   *numbers = NIL;
	List	   *shipments = NIL;
	ListCell   *lc;

	foreach(lc, plan->shipments)
		shipments = lappend(shipments, shipment_to_list(lfirst(lc)));
	numbers = lappend_int(numbers, plan->strategy);
	numbers = lappend_int(numbers, plan->command);
	numbers = lappend_int(numbers, plan->is_pruned);
	numbers = lappend_int(numbers, plan->prune_param);
	numbers = lappend_int(numbers, plan->prune_kind);
	numbers = lappend_int(numbers, plan->nparams);
	numbers = lappend_int(numbers, plan->has_row_locks);
	numbers = lappend_int(numbers, plan->has_returning);
	numbers = lappend_int(numbers, plan->finds_one_row);
	numbers = lappend_int(numbers, plan->replica_upserts);
	numbers = lappend_int(numbers, plan->rows_are_given);
	numbers = lappend_int(numbers, plan->gives_rows);
	numbers = lappend_int(numbers, plan->is_uncounted);
	numbers = lappend_int(numbers, plan->insert_is_quiet);
	numbers = lappend_int(numbers, plan->is_ordered);
	numbers = lappend_int(numbers, plan->merge);
	numbers = lappend_int(numbers, plan->locks_wait);
	numbers = lappend_int(numbers, plan->takes_duplicates);
	numbers = lappend_int(numbers, plan->is_small);
	numbers = lappend_int(numbers, plan->has_row_ids);
	numbers = lappend_int(numbers, plan->lazy_nparams);
	Assert(list_length(numbers) == NUM_COUNT);

	list = lappend(list, numbers);
	list = lappend(list, plan->pieces);
	list = lappend(list, plan->relids);
	list = lappend(list, list_make1_oid(plan->anchor_relid));
	list = lappend(list, plan->shard_indexes);
	list = lappend(list, list_make1_oid(plan->check_as_user));
	list = lappend(list, plan->function_oids);
	list = lappend(list, plan->checks);
	list = lappend(list, plan->replica_keys);
	list = lappend(list, plan->replica_sets);
	list = lappend(list, plan->insert_attnos);
	list = lappend(list, plan->conflict_checks);
	list = lappend(list, plan->insert_checks);
	list = lappend(list, plan->column_types);
	list = lappend(list, plan->column_typmods);
	list = lappend(list, makeString(plan->reason ? pstrdup(plan->reason) : pstrdup("")));
	list = lappend(list, plan->relation_columns);
	list = lappend(list, shipments);
	list = lappend(list, plan->sort_columns);
	list = lappend(list, plan->sort_operators);
	list = lappend(list, plan->sort_collations);
	list = lappend(list, plan->sort_nulls_first);
	list = lappend(list, locks_to_list(plan->locks));
	list = lappend(list, plan->row_id_columns);
	list = lappend(list, plan->row_id_params);
	list = lappend(list, plan->row_id_lists);
	list = lappend(list, float_node(plan->cost));
	list = lappend(list, plan->lazy_pieces);
	Assert(list_length(list) == POS_COUNT);
	return list;
}

/*
 * CzFragmentPlanFromList
 *		The reverse; the result shares the list's members.
 */
CzFragmentPlan *
CzFragmentPlanFromList(List *list)
{
	CzFragmentPlan *plan = palloc0(sizeof(CzFragmentPlan));
	const List *numbers = list_nth(list, POS_NUMBERS);
	ListCell   *lc;

	Assert(list_length(list) == POS_COUNT);
	plan->strategy = list_nth_int(numbers, NUM_STRATEGY);
	plan->command = list_nth_int(numbers, NUM_COMMAND);
	plan->pieces = list_nth(list, POS_PIECES);
	plan->lazy_pieces = list_nth(list, POS_LAZY_PIECES);
	plan->lazy_nparams = list_nth_int(numbers, NUM_LAZY_NPARAMS);
	plan->relids = list_nth(list, POS_RELIDS);
	plan->anchor_relid = linitial_oid(list_nth(list, POS_ANCHOR));
	plan->is_pruned = list_nth_int(numbers, NUM_IS_PRUNED);
	plan->shard_indexes = list_nth(list, POS_SHARDS);
	plan->prune_param = list_nth_int(numbers, NUM_PRUNE_PARAM);
	plan->prune_kind = list_nth_int(numbers, NUM_PRUNE_KIND);
	plan->nparams = list_nth_int(numbers, NUM_NPARAMS);
	plan->check_as_user = linitial_oid(list_nth(list, POS_CHECK_AS_USER));
	plan->function_oids = list_nth(list, POS_FUNCTIONS);
	plan->has_row_locks = list_nth_int(numbers, NUM_ROW_LOCKS);
	plan->has_returning = list_nth_int(numbers, NUM_RETURNING);
	plan->checks = list_nth(list, POS_CHECKS);
	plan->replica_keys = list_nth(list, POS_REPLICA_KEYS);
	plan->replica_sets = list_nth(list, POS_REPLICA_SETS);
	plan->finds_one_row = list_nth_int(numbers, NUM_FINDS_ONE_ROW);
	plan->replica_upserts = list_nth_int(numbers, NUM_REPLICA_UPSERTS);
	plan->gives_rows = list_nth_int(numbers, NUM_GIVES_ROWS);
	plan->is_uncounted = list_nth_int(numbers, NUM_UNCOUNTED);
	plan->rows_are_given = list_nth_int(numbers, NUM_ROWS_GIVEN);
	plan->insert_attnos = list_nth(list, POS_INSERT_ATTNOS);
	plan->conflict_checks = list_nth(list, POS_CONFLICT_CHECKS);
	plan->insert_checks = list_nth(list, POS_INSERT_CHECKS);
	plan->insert_is_quiet = list_nth_int(numbers, NUM_INSERT_QUIET);
	plan->is_ordered = list_nth_int(numbers, NUM_ORDERED);
	plan->column_types = list_nth(list, POS_TYPES);
	plan->column_typmods = list_nth(list, POS_TYPMODS);
	plan->reason = strVal(list_nth(list, POS_REASON));
	if (plan->reason[0] == '\0')
		plan->reason = NULL;
	plan->merge = list_nth_int(numbers, NUM_MERGE);
	plan->relation_columns = list_nth(list, POS_RELATION_COLUMNS);
	foreach(lc, (List *) list_nth(list, POS_SHIPMENTS))
		plan->shipments = lappend(plan->shipments, shipment_from_list(lfirst(lc)));
	plan->sort_columns = list_nth(list, POS_SORT_COLUMNS);
	plan->sort_operators = list_nth(list, POS_SORT_OPERATORS);
	plan->sort_collations = list_nth(list, POS_SORT_COLLATIONS);
	plan->sort_nulls_first = list_nth(list, POS_SORT_NULLS_FIRST);
	plan->locks_wait = list_nth_int(numbers, NUM_LOCKS_WAIT);
	plan->locks = locks_from_list(list_nth(list, POS_LOCKS));
	plan->takes_duplicates = list_nth_int(numbers, NUM_TAKES_DUPLICATES);
	plan->is_small = list_nth_int(numbers, NUM_IS_SMALL);
	plan->has_row_ids = list_nth_int(numbers, NUM_ROW_IDS);
	plan->row_id_columns = list_nth(list, POS_ROW_ID_COLUMNS);
	plan->row_id_params = list_nth(list, POS_ROW_ID_PARAMS);
	plan->row_id_lists = list_nth(list, POS_ROW_ID_LISTS);
	plan->cost = float_value(list_nth(list, POS_COST));
	return plan;
}

/*
 * CzShipmentColumnIsText
 *		See fragment.h.
 */
bool
CzShipmentColumnIsText(Oid type_oid)
{
	/* there are no arrays of arrays, and unnest() takes composite values apart */
	return !OidIsValid(get_array_type(type_oid)) ||
		OidIsValid(get_base_element_type(type_oid)) ||
		type_is_rowtype(type_oid);
}

/*
 * CzShipmentColumnCollate
 *		See fragment.h.
 */
char *
CzShipmentColumnCollate(const CzShipment *shipment, int column)
{
	Oid			type_oid = list_nth_oid(shipment->column_types, column);
	Oid			collation_oid = list_nth_oid(shipment->column_collations, column);
	HeapTuple	tuple;
	Form_pg_collation collation;
	char	   *result;

	if (!OidIsValid(collation_oid) || collation_oid == get_typcollation(type_oid))
		return pstrdup("");
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation_oid));
	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("collation", collation_oid);
	collation = (Form_pg_collation) GETSTRUCT(tuple);
	result = psprintf(" COLLATE %s",
					  quote_qualified_identifier(get_namespace_name(collation->collnamespace),
												 NameStr(collation->collname)));
	ReleaseSysCache(tuple);
	return result;
}

/*
 * CzShipmentSql
 *		See fragment.h.
 *
 * All arrays have the same length.  Set-returning functions of a SELECT list give
 * their rows one by one; in FROM each would be stored first.
 */
char *
CzShipmentSql(const CzShipment *shipment, int first_param)
{
	StringInfoData buf;
	int			ncolumns = list_length(shipment->column_types);
	int			i;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "(SELECT ");
	for (i = 0; i < ncolumns; i++)
	{
		Oid			type_oid = list_nth_oid(shipment->column_types, i);
		char	   *type_name = format_type_extended(type_oid, -1,
													 FORMAT_TYPE_TYPEMOD_GIVEN |
													 FORMAT_TYPE_FORCE_QUALIFY);
		bool		is_text = CzShipmentColumnIsText(type_oid);

		appendStringInfo(&buf, "%spg_catalog.unnest($%d::%s[])%s%s%s AS c%d",
						 i > 0 ? ", " : "", first_param + i, is_text ? "text" : type_name,
						 is_text ? "::" : "", is_text ? type_name : "",
						 CzShipmentColumnCollate(shipment, i), i + 1);
	}
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

static const CzShard *
shard_of_relation(const CzTable *table, int shard_index)
{
	if (table->kind == CZ_TABLE_REFERENCE || table->kind == CZ_TABLE_FOREIGN)
		shard_index = 0;
	if (shard_index < 0 || shard_index >= table->nshards)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("distributed table with OID %u has no shard number %d",
						table->relid, shard_index)));
	return &table->shards[shard_index];
}

/* A relation of the template: the name of a shard, or the UNION ALL of several. */
static void
append_relation(StringInfo buf, const CzFragmentPlan *plan, int relation,
				List *shard_indexes)
{
	Oid			relid = list_nth_oid(plan->relids, relation);
	const CzTable *table = CzTableGet(relid);
	ListCell   *lc;

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation with OID %u is no longer distributed", relid)));
	if (list_length(shard_indexes) == 1 || table->kind == CZ_TABLE_REFERENCE ||
		table->kind == CZ_TABLE_FOREIGN)
	{
		appendStringInfoString(buf, shard_of_relation(table, linitial_int(shard_indexes))->remote_qualified);
		return;
	}
	foreach(lc, shard_indexes)
	{
		List	   *columns = list_nth(plan->relation_columns, relation);
		const char *separator = " ";
		ListCell   *lc2;

		appendStringInfoString(buf, lc == list_head(shard_indexes) ? "(SELECT" :
							   " UNION ALL SELECT");
		foreach(lc2, columns)
		{
			AttrNumber	attno = lfirst_int(lc2);

			if (attno < 1 || attno > table->natts || table->column_names[attno - 1] == NULL)
				elog(ERROR, "distributed table with OID %u has no column %d", relid, attno);
			appendStringInfo(buf, "%s%s", separator,
							 quote_identifier(table->column_names[attno - 1]));
			separator = ", ";
		}
		appendStringInfo(buf, " FROM %s",
						 shard_of_relation(table, lfirst_int(lc))->remote_qualified);
	}
	appendStringInfoChar(buf, ')');
}

/* What reads shipment number i. */
static char *
shipment_text(const CzFragmentPlan *plan, int ship, char **shipment_texts)
{
	int			first_param = plan->nparams + 1;
	int			i;

	if (shipment_texts != NULL)
		return shipment_texts[ship];
	for (i = 0; i < ship; i++)
		first_param += list_length(((CzShipment *) list_nth(plan->shipments, i))->column_types);
	return CzShipmentSql(list_nth(plan->shipments, ship), first_param);
}

/*
 * CzFragmentSqlOfShards
 *		See fragment.h.
 *
 * Errors:  55000 if a relation is no longer ours or has fewer shards (the plan
 *		is older than the metadata; the plan cache replans on the next use).
 */
char *
CzFragmentSqlOfShards(const CzFragmentPlan *plan, List *shard_indexes,
					  char **shipment_texts, char **shipment_arrays,
					  const int64 *shipment_rows)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, plan->pieces)
	{
		Node	   *piece = lfirst(lc);

		if (IsA(piece, String))
			appendStringInfoString(&buf, strVal(piece));
		else if (IsA(piece, List))
		{
			int			ship = intVal(linitial((List *) piece));

			if (shipment_arrays != NULL && shipment_arrays[ship] != NULL)
				appendStringInfo(&buf, " = ANY (%s)%s", shipment_arrays[ship],
								 shipment_rows[ship] > intVal(lfourth((List *) piece)) ?
								 " IS NOT DISTINCT FROM true" : "");
			else
				appendStringInfo(&buf, "%s%s%s", strVal(lsecond((List *) piece)),
								 shipment_text(plan, ship, shipment_texts),
								 strVal(lthird((List *) piece)));
		}
		else if (intVal(piece) >= 0)
			append_relation(&buf, plan, intVal(piece), shard_indexes);
		else
			appendStringInfoString(&buf, shipment_text(plan, -1 - intVal(piece),
													   shipment_texts));
	}
	return buf.data;
}

/*
 * CzFragmentSql
 *		The SQL text for shard number shard_index of the anchor.
 *
 * Returns: palloc'd in CurrentMemoryContext.
 */
char *
CzFragmentSql(const CzFragmentPlan *plan, int shard_index)
{
	return CzFragmentSqlOfShards(plan, list_make1_int(shard_index), NULL, NULL,
								 NULL);
}
