/*-------------------------------------------------------------------------
 *
 * leaf_depends.c
 *	  What the foreign tables of shards depend on.
 *
 * Columns and CHECKs of a leaf depend on the same types, collations and functions as
 * those of its parent, so that core would name all of them to who drops a type.  They
 * depend on the parent's column or CHECK, too, as parts of it: what goes with something
 * else by itself is not told of.  That nothing but the parent's part holds on to a type
 * is right, since the leaves follow it.
 *
 * Core's ALTER COLUMN TYPE raises an error for a dependent that it does not know, and
 * takes CHECKs away and makes them anew: the ties are undone while ALTER TABLE runs.
 *
 * In the same way the role that owns a table would be told to own its leaves.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "ddl_int.h"

/* The next row of what an object depends on; scan: of find_dependencies. */
static Form_pg_depend
next_dependency(SysScanDesc scan)
{
	HeapTuple	tuple = systable_getnext(scan);

	return HeapTupleIsValid(tuple) ? (Form_pg_depend) GETSTRUCT(tuple) : NULL;
}

static SysScanDesc
find_dependencies(Relation catalog, const ObjectAddress *object)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->objectId));
	ScanKeyInit(&keys[2], Anum_pg_depend_objsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(object->objectSubId));
	return systable_beginscan(catalog, DependDependerIndexId, true, NULL, 3, keys);
}

/* Does a part of a relation depend on what a user has made, besides the relation? */
static bool
uses_user_object(const ObjectAddress *part, Oid relid)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	SysScanDesc scan = find_dependencies(catalog, part);
	Form_pg_depend row;
	bool		found = false;

	while (!found && (row = next_dependency(scan)) != NULL)
		found = row->refobjid >= FirstNormalObjectId && row->refobjid != relid;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* part of a leaf -> the same part of its parent */
static void
tie(const ObjectAddress *part, const ObjectAddress *whole)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	SysScanDesc scan = find_dependencies(catalog, part);
	Form_pg_depend row;
	bool		found = false;

	while (!found && (row = next_dependency(scan)) != NULL)
		found = row->refclassid == whole->classId && row->refobjid == whole->objectId &&
			row->refobjsubid == whole->objectSubId;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	if (!found)
		recordDependencyOn(part, whole, DEPENDENCY_AUTO);
}

/* CHECKs of a relation that use something of a user: their OIDs */
static List *
find_checks(Oid relid)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *oids = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		ObjectAddress check;

		ObjectAddressSet(check, ConstraintRelationId, form->oid);
		if (form->contype == CONSTRAINT_CHECK && uses_user_object(&check, relid))
			oids = lappend_oid(oids, form->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return oids;
}

/* Columns of a relation that may use something of a user: attribute numbers */
static List *
find_columns(Relation rel)
{
	List	   *attnos = NIL;
	int			i;

	for (i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);
		ObjectAddress column;

		if (att->attisdropped)
			continue;
		ObjectAddressSubSet(column, RelationRelationId, RelationGetRelid(rel), i + 1);
		if (att->attgenerated || uses_user_object(&column, RelationGetRelid(rel)))
			attnos = lappend_int(attnos, i + 1);
	}
	return attnos;
}

/*
 * CzLeavesTie
 *		See ddl.h.
 */
void
CzLeavesTie(Oid parent_relid, List *leaves)
{
	Relation	parent = relation_open(parent_relid, NoLock);
	List	   *attnos = find_columns(parent);
	List	   *checks = find_checks(parent_relid);
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, leaves)
	{
		Oid			leaf = lfirst_oid(lc);
		ObjectAddress part;
		ObjectAddress whole;

		foreach(lc2, attnos)
		{
			AttrNumber	attno = get_attnum(leaf,
										   NameStr(TupleDescAttr(RelationGetDescr(parent),
																 lfirst_int(lc2) - 1)->attname));

			ObjectAddressSubSet(whole, RelationRelationId, parent_relid, lfirst_int(lc2));
			ObjectAddressSubSet(part, RelationRelationId, leaf, attno);
			if (attno != InvalidAttrNumber)
				tie(&part, &whole);
		}
		foreach(lc2, checks)
		{
			ObjectAddressSet(whole, ConstraintRelationId, lfirst_oid(lc2));
			ObjectAddressSet(part, ConstraintRelationId,
							 get_relation_constraint_oid(leaf,
														 get_constraint_name(lfirst_oid(lc2)),
														 true));
			if (OidIsValid(part.objectId))
				tie(&part, &whole);
		}
	}
	relation_close(parent, NoLock);
	CommandCounterIncrement();
}

/* What depends on an object as a part of a leaf does: no more. */
static void
untie(Relation catalog, const ObjectAddress *whole)
{
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(whole->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(whole->objectId));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(whole->objectSubId));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 3, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		/* a column's dependents of these kinds are leaves' columns only, a CHECK's leaves' CHECKs */
		if (form->deptype == DEPENDENCY_AUTO && form->classid == whole->classId &&
			(form->objsubid != 0) == (whole->objectSubId != 0) &&
			form->objid != whole->objectId)
			CatalogTupleDelete(catalog, &tuple->t_self);
	}
	systable_endscan(scan);
}

/*
 * CzLeavesUntie
 *		See ddl.h.
 */
void
CzLeavesUntie(Oid parent_relid)
{
	Relation	parent = relation_open(parent_relid, NoLock);
	List	   *attnos = find_columns(parent);
	List	   *checks = find_checks(parent_relid);
	Relation	catalog = table_open(DependRelationId, RowExclusiveLock);
	ObjectAddress whole;
	ListCell   *lc;

	foreach(lc, attnos)
	{
		ObjectAddressSubSet(whole, RelationRelationId, parent_relid, lfirst_int(lc));
		untie(catalog, &whole);
	}
	foreach(lc, checks)
	{
		ObjectAddressSet(whole, ConstraintRelationId, lfirst_oid(lc));
		untie(catalog, &whole);
	}
	table_close(catalog, RowExclusiveLock);
	relation_close(parent, NoLock);
	CommandCounterIncrement();
}

/*
 * CzLeafSetOwner
 *		See ddl.h.
 */
void
CzLeafSetOwner(Oid leaf, Oid owner)
{
	if (CzRelationOwner(leaf) != owner)
		ATExecChangeOwner(leaf, owner, true, AccessExclusiveLock);
	CommandCounterIncrement();
	deleteSharedDependencyRecordsFor(RelationRelationId, leaf, 0);
}

/*
 * CzLeavesSetOwner
 *		See ddl.h.
 */
void
CzLeavesSetOwner(const CzTable *table)
{
	Oid			owner = CzRelationOwner(table->relid);
	Oid			parent = OidIsValid(table->map_relid) ? table->map_relid : table->relid;
	ListCell   *lc;

	/* a partition has no leaves: they are its root's */
	if (table->kind == CZ_TABLE_REFERENCE || OidIsValid(table->root_relid))
		return;
	if (OidIsValid(table->map_relid))
		CzLeafSetOwner(parent, owner);
	foreach(lc, find_inheritance_children(parent, AccessExclusiveLock))
		CzLeafSetOwner(lfirst_oid(lc), owner);
	CommandCounterIncrement();
}
