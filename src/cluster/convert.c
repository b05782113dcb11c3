/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  An ordinary table becomes a partitioned parent in place, and back.
 *
 * The table keeps its OID, so whatever refers to it stays: views, policies,
 * triggers, privileges, comments, owned sequences, publications.  Only the
 * relation kind of the table and its indexes changes, and their storage goes
 * (src/ddl/moment.c).  The caller holds AccessExclusiveLock and has moved the rows.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "cz/ddl.h"
#include "distribute_int.h"

/*
 * A table's own statistics become those of a parent with its partitions, or the other
 * way round: its rows stay the same.
 */
static void
carry_statistics(Oid relid, bool to_inherited)
{
	Relation	catalog = table_open(StatisticRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_statistic_starelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, StatisticRelidAttnumInhIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		HeapTuple	copy = heap_copytuple(tuple);
		Form_pg_statistic form = (Form_pg_statistic) GETSTRUCT(copy);

		if (form->stainherit != to_inherited)
		{
			/* others of that kind can't be: it was no parent, or is none any more */
			form->stainherit = to_inherited;
			CatalogTupleUpdate(catalog, &copy->t_self, copy);
		}
		heap_freetuple(copy);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}

/* cz.single, a member of the extension. */
static Oid
single_domain(void)
{
	return typenameTypeId(NULL, makeTypeNameFromNameList(list_make2(makeString("cz"),
																	makeString("single"))));
}

/*
 * The partition key.  A table without distribution column has 0::cz.single instead, which
 * no planner folds to a constant, because the domain has a CHECK.
 */
static void
store_key(Oid relid, const CzDistribution *dist)
{
	Relation	rel = table_open(relid, NoLock);
	AttrNumber	attno = dist->key_attno;
	Oid			opclass = dist->key_opclass;
	Oid			collation = dist->key_collation;
	List	   *exprs = NIL;

	if (dist->method == PARTITION_STRATEGY_LIST)
	{
		CoerceToDomain *zero = makeNode(CoerceToDomain);

		zero->arg = (Expr *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
									   Int32GetDatum(0), false, true);
		zero->resulttype = single_domain();
		zero->resulttypmod = -1;
		zero->coercionformat = COERCE_EXPLICIT_CAST;
		zero->location = -1;
		exprs = list_make1(zero);
		attno = 0;
		opclass = GetDefaultOpClass(INT4OID, BTREE_AM_OID);
		collation = InvalidOid;
	}
	StorePartitionKey(rel, dist->method, 1, &attno, exprs, &opclass, &collation);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/*
 * CzConvertToPartitioned
 *		Make an ordinary table a partitioned one without partitions.
 *
 * reltuples: rows that the table had, for the planner.
 */
void
CzConvertToPartitioned(Oid relid, const CzDistribution *dist, double reltuples)
{
	CzMakeParent(relid, reltuples > 0 ? reltuples : -1, 0, false);
	carry_statistics(relid, true);
	CommandCounterIncrement();
	store_key(relid, dist);
}

/*
 * CzConvertToHeap
 *		Make a partitioned table without partitions an ordinary, empty one.  The
 *		caller fills it and calls reindex_relation.
 *
 * options: its storage parameters (CzTableOptions).
 */
void
CzConvertToHeap(Oid relid, Datum options)
{
	CzForgetPartitionKey(relid);
	deleteDependencyRecordsForSpecific(RelationRelationId, relid, DEPENDENCY_NORMAL,
									   TypeRelationId, single_domain());
	CzMakeHeap(relid, options);
	carry_statistics(relid, false);
	CommandCounterIncrement();
}

/* One end of a range; open: what it is called without a value. */
static Node *
range_end(const char *text, const char *open)
{
	if (text == NULL)
	{
		ColumnRef  *ref = makeNode(ColumnRef);

		ref->fields = list_make1(makeString(pstrdup(open)));
		ref->location = -1;
		return (Node *) ref;
	}
	else
	{
		A_Const    *constant = makeNode(A_Const);

		constant->val.sval.type = T_String;
		constant->val.sval.sval = pstrdup(text);
		constant->location = -1;
		return (Node *) constant;
	}
}

/*
 * CzRangeBound
 *		See distribute_int.h.
 */
PartitionBoundSpec *
CzRangeBound(const char *min, const char *max)
{
	PartitionBoundSpec *bound = makeNode(PartitionBoundSpec);

	bound->strategy = PARTITION_STRATEGY_RANGE;
	bound->location = -1;
	bound->lowerdatums = list_make1(range_end(min, "minvalue"));
	bound->upperdatums = list_make1(range_end(max, "maxvalue"));
	return bound;
}

/*
 * CzCreateShardRelation
 *		Create the coordinator's foreign table of a shard, that CzLeavesAttach makes a
 *		partition.
 *
 * min, max: bounds of a range shard, NULL: open.
 * Returns: its OID.  The catalogs are visible to the next command.
 */
Oid
CzCreateShardRelation(Oid parent_relid, const CzShard *shard, const CzDistribution *dist,
					  const char *min, const char *max)
{
	PartitionBoundSpec *bound;

	if (dist->method == PARTITION_STRATEGY_RANGE)
		return CzLeafCreate(parent_relid, shard, CzRangeBound(min, max));
	bound = makeNode(PartitionBoundSpec);
	bound->strategy = dist->method;
	bound->location = -1;
	if (dist->method == PARTITION_STRATEGY_HASH)
	{
		bound->modulus = shard->modulus;
		bound->remainder = shard->remainder;
	}
	else
		bound->is_default = true;
	return CzLeafCreate(parent_relid, shard, bound);
}
