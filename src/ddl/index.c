/*-------------------------------------------------------------------------
 *
 * index.c
 *	  CREATE INDEX on distributed and reference tables.
 *
 * The parent's index is only a description (partitioned, without storage, marked
 * valid); each shard has its own.  A unique index must contain the
 * distribution column, so that every shard can check its own rows alone.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/*
 * CzSetIndexValid
 *		See ddl_int.h.
 */
void
CzSetIndexValid(Oid index_oid, bool is_valid)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(index_oid));
	Form_pg_index form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index_oid);
	form = (Form_pg_index) GETSTRUCT(tuple);
	if (form->indisvalid != is_valid || (is_valid && !form->indislive))
	{
		form->indisvalid = is_valid;
		/* DROP INDEX CONCURRENTLY that has failed has left it so */
		if (is_valid)
			form->indisready = form->indislive = true;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		CacheInvalidateRelcacheByRelid(form->indrelid);
	}
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * CzIndexClauses
 *		See ddl_int.h.  The relcache's getters would evaluate calls of immutable functions
 *		as the current user, whoever owns the table.
 */
List *
CzIndexClauses(Relation index)
{
	static const AttrNumber columns[] = {Anum_pg_index_indexprs, Anum_pg_index_indpred};
	List	   *clauses = NIL;
	int			i;

	for (i = 0; i < lengthof(columns); i++)
	{
		bool		isnull;
		Datum		string = SysCacheGetAttr(INDEXRELID, index->rd_indextuple, columns[i], &isnull);

		if (!isnull)
			clauses = lappend(clauses, stringToNode(TextDatumGetCString(string)));
	}
	return clauses;
}

/*
 * CzMarkIndexValid
 *		See ddl.h.
 */
void
CzMarkIndexValid(Oid index_oid)
{
	CzSetIndexValid(index_oid, true);
}

static void
make_index(StringInfo sql, const CzShard *shard, void *arg)
{
	CzShardIndexSql(sql, (CzIndexDef *) arg, shard);
}

static void
refuse_without_key(const CzTable *table, const char *what, const char *must)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot create %s on distributed table \"%s\" without the distribution column",
					what, get_rel_name(table->relid)),
			 errdetail("Each shard checks its own rows only, so %s column \"%s\".", must,
					   table->column_names[table->key_attno - 1])));
}

/* Are rows that this part of an index calls equal always on the same shard? */
static bool
is_key_part(Relation index, int part, Oid exclusion_opr, Oid key_opfamily, bool is_range)
{
	Oid			collation = index->rd_indcollation[part];
	Oid			opr = OidIsValid(exclusion_opr) ? exclusion_opr :
		get_opfamily_member(index->rd_opfamily[part], index->rd_opcintype[part],
							index->rd_opcintype[part], BTEqualStrategyNumber);
	int			equality = is_range ? BTEqualStrategyNumber : HTEqualStrategyNumber;

	return (!OidIsValid(collation) || get_collation_isdeterministic(collation)) &&
		OidIsValid(opr) && get_op_opfamily_strategy(opr, key_opfamily) == equality;
}

/*
 * CzShardsCanCheck
 *		See cz/ddl.h.
 */
bool
CzShardsCanCheck(Relation index, AttrNumber key_attno, Oid key_opfamily, bool is_range)
{
	Form_pg_index form = index->rd_index;
	Oid		   *oprs = NULL;
	Oid		   *procs;
	uint16	   *strategies;
	int			i;

	if (!form->indisunique && !form->indisexclusion)
		return true;
	if (form->indisexclusion)
		RelationGetExclusionInfo(index, &oprs, &procs, &strategies);
	for (i = 0; i < form->indnkeyatts; i++)
	{
		if (form->indkey.values[i] == key_attno &&
			is_key_part(index, i, oprs ? oprs[i] : InvalidOid, key_opfamily, is_range))
			return true;
	}
	return false;
}

/*
 * CzCheckIndexKey
 *		See ddl_int.h.  Core's rule for partitioned tables is not asked in a moment.
 */
void
CzCheckIndexKey(const CzTable *table, Oid index_oid)
{
	Relation	index;

	if (table->key_attno <= 0)
		return;
	index = index_open(index_oid, AccessShareLock);
	if (!CzShardsCanCheck(index, table->key_attno, table->key_opfamily,
						  table->kind == CZ_TABLE_RANGE))
	{
		if (index->rd_index->indisexclusion)
			refuse_without_key(table, "an exclusion constraint",
							   "the constraint must compare for equality");
		refuse_without_key(table, "a unique index", "uniqueness must include");
	}
	index_close(index, AccessShareLock);
}

/* Say it in our words before core speaks of partitions. */
static void
check_unique(const CzTable *table, const IndexStmt *stmt)
{
	const char *key = table->key_attno > 0 ? table->column_names[table->key_attno - 1] : NULL;
	ListCell   *lc;

	if (!stmt->unique || key == NULL)
		return;
	foreach(lc, stmt->indexParams)
	{
		IndexElem  *element = lfirst_node(IndexElem, lc);

		if (element->name && strcmp(element->name, key) == 0)
			return;
	}
	refuse_without_key(table, "a unique index", "uniqueness must include");
}

/* Core's, but for what is done in a moment. */
static LOCKMODE
lock_level(const IndexStmt *stmt)
{
	const CzTable *table = CzTableOfName(stmt->relation);

	if (stmt->concurrent)
		return ShareUpdateExclusiveLock;
	return table != NULL && table->kind == CZ_TABLE_SINGLE && stmt->unique ?
		AccessExclusiveLock : ShareLock;
}

/*
 * CzCreateIndex
 *		CREATE INDEX here and on all placements.
 *
 * Returns: false if the table is none of ours, or the database is not the coordinator:
 *		core runs it.
 */
bool
CzCreateIndex(const CzUtility *utility, IndexStmt *stmt)
{
	const CzTable *table = CzLockTableOfName(stmt->relation, lock_level(stmt), true);
	Relation	rel;
	List	   *before;
	List	   *after;
	ListCell   *lc;
	Oid			relid;

	if (table == NULL)
		return false;
	relid = table->relid;
	/* in a restore, or in another database than the coordinator, it stays here */
	if (!CzTxnIsCoordinator() ||
		(table->kind == CZ_TABLE_REFERENCE && !CzReferenceHasTriggers(relid)))
	{
		if (table->kind != CZ_TABLE_SINGLE || !stmt->unique)
			return false;
		stmt = (IndexStmt *) CzQualifyRelation((Node *) stmt);
		CzMomentRun(utility, (Node *) stmt, list_make1_oid(relid), NIL);
		return true;
	}
	if (stmt->tableSpace)
		CzRefuseDdl(table, "CREATE INDEX ... TABLESPACE", NULL);

	if (table->kind != CZ_TABLE_REFERENCE)
		check_unique(table, stmt);
	/* of one that its user has partitioned core says that it can't */
	if (stmt->concurrent && !table->is_partitioned)
	{
		CzCreateIndexConcurrently(utility, stmt, relid);
		return true;
	}
	if (table->is_partitioned)
	{
		CzTree	   *tree;
		List	   *moments;

		(void) find_all_inheritors(relid, ShareLock, NULL);
		moments = stmt->unique && !stmt->concurrent ? CzTreeMoments(table) : NIL;
		tree = CzTreeBegin(relid);
		CzMomentRun(utility, CzQualifyRelation((Node *) stmt), moments, NIL);
		CommandCounterIncrement();
		CzTreeFinish(tree, NULL, CzRelationOwner(relid), NULL, NIL);
		return true;
	}

	rel = relation_open(relid, NoLock);
	before = list_copy(RelationGetIndexList(rel));
	relation_close(rel, NoLock);

	stmt = (IndexStmt *) CzQualifyRelation((Node *) stmt);
	/* core would refuse a unique index over foreign partitions */
	if (table->kind != CZ_TABLE_REFERENCE)
		stmt->relation->inh = false;
	/* and any on a table whose partition key is an expression */
	if (table->kind == CZ_TABLE_SINGLE && stmt->unique)
		CzMomentRun(utility, (Node *) stmt, list_make1_oid(relid), NIL);
	else
		CzUtilityRun(utility, (Node *) stmt);
	CommandCounterIncrement();

	rel = relation_open(relid, NoLock);
	after = list_copy(RelationGetIndexList(rel));
	relation_close(rel, NoLock);
	foreach(lc, list_difference_oid(after, before))
	{
		Oid			index_oid = lfirst_oid(lc);
		ObjectAddress *address = palloc(sizeof(ObjectAddress));

		CzMarkIndexValid(index_oid);
		table = CzTableGet(relid);
		if (table->kind != CZ_TABLE_REFERENCE)
			CzCheckIndexKey(table, index_oid);
		ObjectAddressSet(*address, RelationRelationId, index_oid);
		CzPropagateAddresses(list_make1(address), CzTableServers(table),
							 CzRelationOwner(relid));
		CzRunOnPlacements(table, make_index, CzIndexDefGet(index_oid));
	}
	return true;
}
