/*-------------------------------------------------------------------------
 *
 * leaf_bound.c
 *	  Another bound for a shard that is a partition already.
 *
 * Core would detach and attach it, which checks every row; here the caller knows that all
 * rows are within the new bound, and holds AccessExclusiveLock on the parent.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "parser/parse_utilcmd.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl_int.h"

/*
 * CzLeafSetBound
 *		See ddl.h.
 */
void
CzLeafSetBound(Oid parent_relid, Oid leaf_relid, PartitionBoundSpec *bound)
{
	Relation	catalog = table_open(RelationRelationId, RowExclusiveLock);
	Relation	parent = table_open(parent_relid, NoLock);
	ParseState *pstate = make_parsestate(NULL);
	HeapTuple	tuple;
	HeapTuple	new_tuple;
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};
	Oid			save_user;
	int			save_context;

	LockRelationOid(leaf_relid, AccessExclusiveLock);
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	bound = transformPartitionBound(pstate, parent, bound);
	SetUserIdAndSecContext(save_user, save_context);
	free_parsestate(pstate);
	table_close(parent, NoLock);

	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(leaf_relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", leaf_relid);
	values[Anum_pg_class_relpartbound - 1] = CStringGetTextDatum(nodeToString(bound));
	replaces[Anum_pg_class_relpartbound - 1] = true;
	new_tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
	CatalogTupleUpdate(catalog, &new_tuple->t_self, new_tuple);
	heap_freetuple(new_tuple);
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
	CacheInvalidateRelcacheByRelid(leaf_relid);
	CacheInvalidateRelcacheByRelid(parent_relid);
	CommandCounterIncrement();
}
