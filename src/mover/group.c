/*-------------------------------------------------------------------------
 *
 * group.c
 *	  What a move moves: the shards with one number of all tables of a colocation group,
 *	  and what they consist of on the workers.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/cluster.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/writer.h"
#include "mover_int.h"

/* The equality of a column of an index, as text; NULL: it has none. */
static char *
equality_of(Relation index, int column)
{
	Oid			operator = get_opfamily_member(index->rd_opfamily[column],
											   index->rd_opcintype[column],
											   index->rd_opcintype[column],
											   BTEqualStrategyNumber);
	HeapTuple	tuple;
	char	   *result;

	if (!OidIsValid(operator))
		return NULL;
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	result = psprintf("OPERATOR(%s.%s)",
					  quote_identifier(get_namespace_name(((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace)),
					  NameStr(((Form_pg_operator) GETSTRUCT(tuple))->oprname));
	ReleaseSysCache(tuple);
	return result;
}

/* Take an index as the key of a unit, if it can tell rows apart. */
static bool
take_key(CzMoveUnit *unit, Relation rel, Oid index_oid)
{
	Relation	index = index_open(index_oid, AccessShareLock);
	Form_pg_index form = index->rd_index;
	bool		is_key = form->indisunique && !form->indisexclusion && form->indimmediate && form->indisvalid &&
		RelationGetIndexPredicate(index) == NIL && RelationGetIndexExpressions(index) == NIL;
	int			i;

	unit->key = unit->operators = NIL;
	for (i = 0; is_key && i < form->indnkeyatts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel),
											  form->indkey.values[i] - 1);
		char	   *operator = equality_of(index, i);

		is_key = att->attnotnull && not_null_is_valid_compat(RelationGetDescr(rel), att->attnum) && !att->attgenerated && operator != NULL;
		unit->key = lappend(unit->key, pstrdup(quote_identifier(NameStr(att->attname))));
		unit->operators = lappend(unit->operators, operator);
	}
	index_close(index, AccessShareLock);
	if (!is_key)
		unit->key = unit->operators = NIL;
	return is_key;
}

/* The key: the primary one, else the first that can tell rows apart. */
static void
find_key(CzMoveUnit *unit, Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			primary = RelationGetPrimaryKeyIndex_compat(rel);
	ListCell   *lc;

	if (OidIsValid(primary) && take_key(unit, rel, primary))
		return;
	foreach(lc, indexes)
	{
		if (take_key(unit, rel, lfirst_oid(lc)))
			return;
	}
}

static CzMoveUnit *
make_unit(CzMove *move, CzMoveTable *table, Oid relid, const CzShard *shard, int *number)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	CzMoveUnit *unit = palloc0(sizeof(CzMoveUnit));
	int			i;

	unit->relid = relid;
	unit->part_relid = shard->relid;
	unit->number = ++*number;
	unit->owner = table->owner;
	unit->qualified = unit->target = pstrdup(shard->remote_qualified);
	unit->columns = CzColumnList(relid);
	unit->is_partition = relid != table->relid;
	unit->prefix = psprintf("cz_m" INT64_FORMAT "_%d", move->move_id, unit->number);
	unit->is_binary = cz_binary_protocol;
	unit->target_prefix = unit->prefix;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		char	   *name;

		if (att->attisdropped || att->attgenerated)
			continue;
		unit->is_binary &= CzWireIsSame(att->atttypid);
		name = pstrdup(quote_identifier(NameStr(att->attname)));
		unit->names = lappend(unit->names, name);
		if (OidIsValid(lookup_type_cache(att->atttypid, TYPECACHE_HASH_EXTENDED_PROC)->hash_extended_proc))
			unit->hashable = lappend(unit->hashable, name);
	}
	find_key(unit, rel);
	table_close(rel, AccessShareLock);
	return unit;
}

static CzMoveTable *
make_table(CzMove *move, const CzTable *from, int *number)
{
	const CzShard *shard = &from->shards[move->shard_index];
	CzMoveTable *table = palloc0(sizeof(CzMoveTable));
	ListCell   *lc;

	table->relid = from->relid;
	table->name = get_rel_name(from->relid);
	table->owner = CzRelationOwner(from->relid);
	table->is_partitioned = from->is_partitioned;
	table->shard_id = shard->shard_id;
	table->shard_relid = shard->relid;
	table->qualified = table->target = pstrdup(shard->remote_qualified);
	if (!from->is_partitioned)
	{
		table->relations = list_make1(table->qualified);
		table->units = list_make1(make_unit(move, table, from->relid, shard, number));
		return table;
	}
	foreach(lc, find_all_inheritors(from->relid, AccessShareLock, NULL))
	{
		const CzTable *part = CzTableGet(lfirst_oid(lc));

		if (part == NULL || move->shard_index >= part->nshards)
			continue;
		table->relations = lappend(table->relations,
								   pstrdup(part->shards[move->shard_index].remote_qualified));
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_PARTITIONED_TABLE || !part->is_partitioned)
			table->units = lappend(table->units,
								   make_unit(move, table, lfirst_oid(lc),
											 &part->shards[move->shard_index], number));
	}
	return table;
}

/*
 * CzMoveGroupRelids
 *		See mover_int.h.
 */
List *
CzMoveGroupRelids(const CzMove *move)
{
	List	   *result;

	if (move->colocation_id == 0)
		return list_make1_oid(move->relid);
	result = CzGroupTables(move->colocation_id);
	list_sort(result, list_oid_cmp);
	return result;
}

List *
CzMoveRelids(const CzMove *move)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, move->tables)
		result = lappend_oid(result, ((CzMoveTable *) lfirst(lc))->relid);
	return result;
}

List *
CzMoveOwners(const CzMove *move)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, move->tables)
		result = list_append_unique_oid(result, ((CzMoveTable *) lfirst(lc))->owner);
	return result;
}

/*
 * CzMoveUnitsOf
 *		See mover_int.h.
 */
List *
CzMoveUnitsOf(const CzMove *move, Oid owner)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, move->tables)
	{
		const CzMoveTable *table = lfirst(lc);

		if (table->owner == owner)
			result = list_concat(result, table->units);
	}
	return result;
}

/* May this shard be moved so?  Errors if not. */
static void
check_shard(const CzMove *move, const CzShard *shard)
{
	List	   *servers = CzShardServers(shard->relid);

	if (OidIsValid(move->source_oid) && !list_member_oid(servers, move->source_oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" has no placement of shard " INT64_FORMAT,
						CzNodeGet(move->source_oid)->name, shard->shard_id)));
	if (list_member_oid(servers, move->target_oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" already has a placement of shard " INT64_FORMAT,
						CzNodeGet(move->target_oid)->name, shard->shard_id)));
	if (move->operation == CZ_MOVE_COPY &&
		get_rel_persistence(shard->table_relid) == RELPERSISTENCE_UNLOGGED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot give shards of unlogged table \"%s\" more placements",
						get_rel_name(shard->table_relid)),
				 errdetail("A crash of a worker would empty one of them."),
				 errhint("Use ALTER TABLE ... SET LOGGED.")));
	CzCheckHasPlacement(shard);
}

/* The first active placement whose node can be reached. */
static Oid
choose_from(const CzShard *shard, Oid owner)
{
	int			i;

	for (i = 0; i < shard->nplacements - 1; i++)
	{
		if (CzTxnCanReach(shard->server_oids[i], owner))
			break;
	}
	return shard->server_oids[i];
}

/*
 * CzMoveReadGroup
 *		See mover_int.h.
 */
void
CzMoveReadGroup(CzMove *move)
{
	const CzTable *first;
	Oid			expected_oid = move->captured_oid;
	Oid			from_oid;
	CzNode	   *target;
	ListCell   *lc;

	if (move->operation == CZ_MOVE_SPLIT)
	{
		CzSplitRead(move);
		return;
	}
	first = CzTableGet(move->relid);

	if (first == NULL || !CzTableIsDistributed(first) || OidIsValid(first->root_relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the table whose shard is to be moved is not distributed")));
	if (move->shard_index < 0 || move->shard_index >= first->nshards)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" has no shard number %d", get_rel_name(move->relid),
						move->shard_index)));
	target = CzNodeGet(move->target_oid);
	if (!target->is_worker || !target->is_active)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" is not in use", target->name),
				 errhint("Use citus_activate_node().")));
	move->colocation_id = first->colocation_id;
	if (move->shard_id != 0 && first->shards[move->shard_index].shard_id != move->shard_id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("shards of table \"%s\" have been split meanwhile",
						get_rel_name(move->relid)),
				 errhint("The move might succeed if retried.")));
	check_shard(move, &first->shards[move->shard_index]);

	foreach(lc, CzMoveGroupRelids(move))
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL || move->shard_index >= table->nshards)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("table \"%s\" does not have the same number of shards as its colocation group",
							get_rel_name(lfirst_oid(lc)))));
		check_shard(move, &table->shards[move->shard_index]);
	}
	CzMoveReadTables(move);
	/* the clean-up has been told where changes will be logged */
	if (!OidIsValid(expected_oid) && move->phase != NULL && move->mode != CZ_TRANSFER_BLOCK_WRITES)
		expected_oid = move->from_oid;
	from_oid = choose_from(&first->shards[move->shard_index], CzRelationOwner(first->relid));
	if (OidIsValid(expected_oid) && expected_oid != from_oid)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the placement that is copied is not the first active one any more"),
				 errhint("The move might succeed if retried.")));
	move->from_oid = from_oid;
}

/*
 * CzMoveReadTables
 *		See mover_int.h.
 */
void
CzMoveReadTables(CzMove *move)
{
	MemoryContext old = MemoryContextSwitchTo(move->context);
	List	   *tables = NIL;
	int			number = 0;
	ListCell   *lc;

	foreach(lc, CzMoveGroupRelids(move))
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && move->shard_index < table->nshards)
			tables = lappend(tables, make_table(move, table, &number));
	}
	/* an error leaves what was there */
	move->tables = tables;
	MemoryContextSwitchTo(old);
}

/*
 * CzMoveCheckGroup
 *		See mover_int.h.
 */
void
CzMoveCheckGroup(const CzMove *move)
{
	AcceptInvalidationMessages();
	if (!equal(CzMoveGroupRelids(move), CzMoveRelids(move)))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 move->operation == CZ_MOVE_SPLIT ?
				 errmsg("the colocation group was changed while its shards were split") :
				 errmsg("the colocation group was changed while its shards were moved"),
				 errhint("The move might succeed if retried.")));
}
