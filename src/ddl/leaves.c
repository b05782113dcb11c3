/*-------------------------------------------------------------------------
 *
 * leaves.c
 *	  The foreign tables of a parent's shards, here: made, attached and kept in step
 *	  with the parent by their catalog rows.
 *
 * Core's ATTACH PARTITION and CREATE ... PARTITION OF refuse a foreign table under a
 * unique index and clone triggers and keys; a leaf has neither indexes nor keys nor
 * triggers, nor defaults, which are the coordinator's.  And what core does by recursion
 * for an ALTER costs a relation at a time what here is a row.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/attmap.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/toast_compression.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_utilcmd.h"
#include "partitioning/partbounds.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "ddl_int.h"

/*
 * CzRemovePrivileges
 *		See ddl.h.
 */
void
CzRemovePrivileges(Oid relid, Oid owner)
{
	Relation	catalog = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
	Datum		datum;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &isnull);
	if (!isnull)
	{
		Datum		values[Natts_pg_class] = {0};
		bool		nulls[Natts_pg_class] = {0};
		bool		replaces[Natts_pg_class] = {0};
		HeapTuple	new_tuple;
		Oid		   *members;
		int			nmembers = aclmembers(DatumGetAclP(datum), &members);

		replaces[Anum_pg_class_relacl - 1] = true;
		nulls[Anum_pg_class_relacl - 1] = true;
		new_tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls,
									  replaces);
		CatalogTupleUpdate(catalog, &new_tuple->t_self, new_tuple);
		updateAclDependencies(RelationRelationId, relid, 0, owner, nmembers, members, 0, NULL);
	}
	table_close(catalog, RowExclusiveLock);
}

/* The expression of a generated column of the parent. */
static Node *
generated_expression(Relation rel, AttrNumber attno)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;
	int			i;

	for (i = 0; constr && i < constr->num_defval; i++)
	{
		if (constr->defval[i].adnum == attno)
			return stringToNode(constr->defval[i].adbin);
	}
	elog(ERROR, "generated column %d of relation \"%s\" has no expression",
		 attno, RelationGetRelationName(rel));
	return NULL;
}

/* The columns of a leaf that is to be made: the parent's without the dropped ones. */
static List *
leaf_columns(Relation parent)
{
	TupleDesc	desc = RelationGetDescr(parent);
	AttrMap    *map = make_attrmap(desc->natts);
	List	   *columns = NIL;
	AttrNumber	attno = 0;
	int			i;

	for (i = 0; i < desc->natts; i++)
		map->attnums[i] = TupleDescAttr(desc, i)->attisdropped ? 0 : ++attno;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		ColumnDef  *def;
		bool		whole_row;

		if (att->attisdropped)
			continue;
		def = makeColumnDef(NameStr(att->attname), att->atttypid, att->atttypmod,
							att->attcollation);
		def->colname = pstrdup(def->colname);
		def->inhcount = 1;
		def->is_local = false;
		def->is_not_null = att->attnotnull;
		def->storage = att->attstorage;
		def->generated = att->attgenerated;
		if (CompressionMethodIsValid(att->attcompression))
			def->compression = pstrdup(GetCompressionMethodName(att->attcompression));
		if (att->attgenerated)
			def->cooked_default = map_variable_attnos(generated_expression(parent, i + 1), 1, 0,
													  map, InvalidOid, &whole_row);
		columns = lappend(columns, def);
	}
	return columns;
}

/* Give a leaf the parent's CHECKs. */
static void
add_checks(Relation parent, Relation leaf)
{
	TupleConstr *constr = RelationGetDescr(parent)->constr;
	List	   *checks = NIL;
	int			i;

	for (i = 0; constr && i < constr->num_check; i++)
	{
		const ConstrCheck *check = &constr->check[i];
		Constraint *constraint = makeNode(Constraint);
		List	   *expr = list_make1(stringToNode(check->ccbin));

		expr = map_partition_varattnos(expr, 1, leaf, parent);
		constraint->contype = CONSTR_CHECK;
		constraint->conname = pstrdup(check->ccname);
		constraint->cooked_expr = nodeToString(linitial(expr));
		constraint->skip_validation = true;
		constraint->initially_valid = check->ccvalid;
		constraint_set_enforced_compat(constraint, check);
		constraint->location = -1;
		checks = lappend(checks, constraint);
	}
	if (checks == NIL)
		return;
	(void) AddRelationNewConstraints(leaf, NIL, checks, false, false, true, NULL);
	CommandCounterIncrement();
}

/* Give a leaf the parent's NOT NULL constraints, which core looks for when the parent's go. */
static void
add_not_nulls(Relation parent, Relation leaf)
{
	List	   *cooked = NIL;
	ListCell   *lc;

	foreach(lc, not_null_constraints_compat(RelationGetRelid(parent)))
	{
		CookedConstraint *constraint = lfirst(lc);

		constraint->attnum = get_attnum(RelationGetRelid(leaf),
										get_attname(RelationGetRelid(parent), constraint->attnum,
													false));
		cooked = lappend(cooked, constraint);
	}
	if (cooked == NIL)
		return;
	add_not_null_constraints_compat(leaf, cooked);
	CommandCounterIncrement();
}

/*
 * CzLeafCreate
 *		See ddl.h.
 */
Oid
CzLeafCreate(Oid parent_relid, const CzShard *shard, PartitionBoundSpec *bound)
{
	CreateForeignTableStmt *stmt = makeNode(CreateForeignTableStmt);
	ParseState *pstate = make_parsestate(NULL);
	Oid			owner = CzRelationOwner(parent_relid);
	Relation	parent = table_open(parent_relid, NoLock);
	Relation	leaf;
	ObjectAddress address;
	ObjectAddress referenced;
	List	   *others = NIL;
	Oid			save_user;
	int			save_context;
	int			i;

	for (i = 1; i < shard->nplacements; i++)
		others = lappend_oid(others, shard->server_oids[i]);
	stmt->base.relation = makeRangeVar(pstrdup(CZ_SHARD_SCHEMA), shard->remote_name, -1);
	stmt->base.tableElts = leaf_columns(parent);
	stmt->base.oncommit = ONCOMMIT_NOOP;
	stmt->servername = GetForeignServer(shard->server_oids[0])->servername;
	stmt->options =
		list_make1(makeDefElem("shard_id",
							   (Node *) makeString(psprintf(INT64_FORMAT, shard->shard_id)), -1));
	if (others != NIL)
		stmt->options = lappend(stmt->options,
								makeDefElem("placements",
											(Node *) makeString(CzFormatServerNames(others)), -1));

	/* schema cz_shards and the servers need not be open to the table's owner */
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	cz_internal_ddl_depth++;
	PG_TRY();
	{
		address = DefineRelation(&stmt->base, RELKIND_FOREIGN_TABLE, owner, NULL, "");
		CreateForeignTable(stmt, address.objectId);
		bound = transformPartitionBound(pstate, parent, bound);
	}
	PG_FINALLY();
	{
		cz_internal_ddl_depth--;
	}
	PG_END_TRY();
	SetUserIdAndSecContext(save_user, save_context);
	CommandCounterIncrement();

	leaf = table_open(address.objectId, AccessExclusiveLock);
	add_checks(parent, leaf);
	add_not_nulls(parent, leaf);
	check_new_partition_bound(RelationGetRelationName(leaf), parent, bound, pstate);
	StorePartitionBound(leaf, parent, bound);
	table_close(leaf, NoLock);
	table_close(parent, NoLock);
	free_parsestate(pstate);

	/* it goes with its parent; DROP SERVER must see the other placements too */
	ObjectAddressSet(referenced, RelationRelationId, parent_relid);
	recordDependencyOn(&address, &referenced, DEPENDENCY_AUTO);
	for (i = 1; i < shard->nplacements; i++)
	{
		ObjectAddressSet(referenced, ForeignServerRelationId, shard->server_oids[i]);
		recordDependencyOn(&address, &referenced, DEPENDENCY_NORMAL);
	}
	CzRemovePrivileges(address.objectId, owner);
	CommandCounterIncrement();
	CzLeafSetOwner(address.objectId, owner);
	CzLeavesTie(parent_relid, list_make1_oid(address.objectId));
	return address.objectId;
}

/*
 * CzLeavesAttach
 *		See ddl.h.
 */
void
CzLeavesAttach(Oid parent_relid, List *leaves)
{
	ListCell   *lc;

	foreach(lc, leaves)
		StoreSingleInheritance(lfirst_oid(lc), parent_relid, 1);
	SetRelationHasSubclass(parent_relid, true);
	CacheInvalidateRelcacheByRelid(parent_relid);
	CommandCounterIncrement();
}

/* What has become of the parent's columns and CHECKs. */
typedef struct Changes
{
	List	   *dropped;		/* char *: names that the leaf's columns have */
	List	   *changed;		/* AttrNumber of the parent */
	List	   *expressions;	/* the same, of those whose expression is another one */
	List	   *added;
	bool		is_map;			/* columns only: not what they are generated from */
	bool		checks;			/* the leaves' CHECKs are to be made again */
	bool		not_nulls;		/* the same, NOT NULL */
} Changes;

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_checks(List *before, List *after)
{
	ListCell   *lc;
	ListCell   *lc2;

	if (list_length(before) != list_length(after))
		return false;
	forboth(lc, before, lc2, after)
	{
		const CzObjectImage *a = lfirst(lc);
		const CzObjectImage *b = lfirst(lc2);

		if (strcmp(a->name, b->name) != 0 || strcmp(a->text, b->text) != 0)
			return false;
	}
	return true;
}

static bool
find_changes(const CzImage *before, const CzImage *after, Changes *changes)
{
	int			i;

	memset(changes, 0, sizeof(*changes));
	changes->checks = !same_checks(before->checks, after->checks);
	for (i = 0; i < after->ncolumns; i++)
	{
		const CzColumnImage *b = &after->columns[i];
		const CzColumnImage *a = i < before->ncolumns ? &before->columns[i] : NULL;

		if (a == NULL)
		{
			if (!b->is_dropped)
				changes->added = lappend_int(changes->added, i + 1);
			changes->not_nulls |= !b->is_dropped && b->is_not_null;
			continue;
		}
		if (a->is_dropped)
			continue;
		if (b->is_dropped)
		{
			changes->dropped = lappend(changes->dropped, a->name);
			continue;
		}
		changes->not_nulls |= a->is_not_null != b->is_not_null;
		if (a->type != b->type || a->typmod != b->typmod || a->collation != b->collation)
			changes->checks = true;
		else if (a->is_not_null == b->is_not_null && a->generated == b->generated &&
				 a->storage == b->storage && a->compression == b->compression &&
				 same_text(a->expression, b->expression))
			continue;
		changes->changed = lappend_int(changes->changed, i + 1);
		if (!same_text(a->expression, b->expression) ||
			(b->generated && (a->type != b->type || a->typmod != b->typmod)))
			changes->expressions = lappend_int(changes->expressions, i + 1);
	}
	return changes->dropped != NIL || changes->changed != NIL || changes->added != NIL ||
		changes->checks;
}

/* CHECKs or NOT NULL constraints of a leaf, as objects to be dropped. */
static void
collect_constraints(Oid leaf, char contype, ObjectAddresses *objects)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(leaf));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		ObjectAddress address;

		if (form->contype != contype)
			continue;
		ObjectAddressSet(address, ConstraintRelationId, form->oid);
		add_exact_object_address(&address, objects);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* What has gone from the parent goes from the leaf, and CHECKs that are made again. */
static void
drop_parts(Oid leaf, const Changes *changes)
{
	ObjectAddresses *objects = new_object_addresses();
	ListCell   *lc;

	if (changes->checks)
		collect_constraints(leaf, CONSTRAINT_CHECK, objects);
	if (changes->not_nulls)
		collect_constraints(leaf, CONSTRAINT_NOTNULL_COMPAT, objects);
	foreach(lc, changes->dropped)
	{
		AttrNumber	attno = get_attnum(leaf, (char *) lfirst(lc));
		ObjectAddress address;

		if (attno == InvalidAttrNumber)
			continue;
		ObjectAddressSubSet(address, RelationRelationId, leaf, attno);
		add_exact_object_address(&address, objects);
	}
	/* a generated column goes with its base here, too */
	performMultipleDeletions(objects, DROP_CASCADE,
							 PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
	free_object_addresses(objects);
	CommandCounterIncrement();
}

static void
add_type_dependencies(Oid leaf, Form_pg_attribute att)
{
	ObjectAddress column;
	ObjectAddress referenced;

	ObjectAddressSubSet(column, RelationRelationId, leaf, att->attnum);
	ObjectAddressSet(referenced, TypeRelationId, att->atttypid);
	recordDependencyOn(&column, &referenced, DEPENDENCY_NORMAL);
	if (OidIsValid(att->attcollation) && att->attcollation != DEFAULT_COLLATION_OID)
	{
		ObjectAddressSet(referenced, CollationRelationId, att->attcollation);
		recordDependencyOn(&column, &referenced, DEPENDENCY_NORMAL);
	}
}

/* A column does not depend on its old type and collation any more. */
static void
remove_type_dependencies(Oid leaf, AttrNumber attno)
{
	Relation	catalog = table_open(DependRelationId, RowExclusiveLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(leaf));
	ScanKeyInit(&keys[2], Anum_pg_depend_objsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum((int32) attno));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL, 3, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->refclassid == TypeRelationId || form->refclassid == CollationRelationId)
			CatalogTupleDelete(catalog, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}

/* A generated column's expression, which core does not let go without its column. */
static void
remove_expression(Oid leaf, AttrNumber attno)
{
	Oid			oid = GetAttrDefaultOid(leaf, attno);

	if (!OidIsValid(oid))
		return;
	(void) deleteDependencyRecordsFor(AttrDefaultRelationId, oid, false);
	CommandCounterIncrement();
	RemoveAttrDefault(leaf, attno, DROP_RESTRICT, false, true);
	CommandCounterIncrement();
}

/* The row of a leaf's column gets what the parent's has. */
static void
change_column(Relation catalog, Oid leaf, Form_pg_attribute from, bool is_map)
{
	HeapTuple	tuple = SearchSysCacheCopyAttName(leaf, NameStr(from->attname));
	Form_pg_attribute to;
	bool		is_other_type;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "shard %u has no column \"%s\"", leaf, NameStr(from->attname));
	to = (Form_pg_attribute) GETSTRUCT(tuple);
	is_other_type = to->atttypid != from->atttypid || to->attcollation != from->attcollation;
	if (!is_map && to->atthasdef && !from->attgenerated)
	{
		/* that writes the row */
		remove_expression(leaf, to->attnum);
		heap_freetuple(tuple);
		tuple = SearchSysCacheCopyAttName(leaf, NameStr(from->attname));
		to = (Form_pg_attribute) GETSTRUCT(tuple);
	}
	to->atttypid = from->atttypid;
	to->atttypmod = from->atttypmod;
	to->attlen = from->attlen;
	to->attbyval = from->attbyval;
	to->attalign = from->attalign;
	to->attstorage = from->attstorage;
	to->attcompression = from->attcompression;
	to->attcollation = from->attcollation;
	to->attndims = from->attndims;
	to->attnotnull = from->attnotnull;
	to->attgenerated = is_map ? '\0' : from->attgenerated;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	if (is_other_type)
	{
		remove_type_dependencies(leaf, to->attnum);
		CommandCounterIncrement();
		add_type_dependencies(leaf, to);
	}
	heap_freetuple(tuple);
}

/* Columns that the parent has got. */
static void
add_columns(Relation catalog, Relation parent, Oid leaf, List *attnos, bool is_map)
{
	Relation	classes = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(leaf));
	TupleDesc	desc = CreateTemplateTupleDesc(list_length(attnos));
	Form_pg_class form;
	ListCell   *lc;
	int			i = 0;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", leaf);
	form = (Form_pg_class) GETSTRUCT(tuple);
	foreach(lc, attnos)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i++);

		memcpy(att, TupleDescAttr(RelationGetDescr(parent), lfirst_int(lc) - 1),
			   ATTRIBUTE_FIXED_PART_SIZE);
		att->attrelid = leaf;
		att->attnum = form->relnatts + i;
		att->atthasdef = false;
		att->atthasmissing = false;
		att->attidentity = '\0';
		att->attislocal = is_map && get_rel_relkind(leaf) == RELKIND_PARTITIONED_TABLE;
		att->attinhcount = att->attislocal ? 0 : 1;
		if (is_map)
			att->attgenerated = '\0';
		/* filled in with the expression, or a generated column without one */
		add_type_dependencies(leaf, att);
	}
	insert_attributes_compat(catalog, desc, leaf);
	form->relnatts += list_length(attnos);
	CatalogTupleUpdate(classes, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(classes, RowExclusiveLock);
}

/* Expressions of generated columns, by the parent's attribute numbers. */
static void
set_expressions(Relation parent, Oid leaf_relid, List *attnos)
{
	Relation	leaf = relation_open(leaf_relid, NoLock);
	ListCell   *lc;

	foreach(lc, attnos)
	{
		Form_pg_attribute from = TupleDescAttr(RelationGetDescr(parent), lfirst_int(lc) - 1);
		AttrNumber	attno = get_attnum(leaf_relid, NameStr(from->attname));
		List	   *expr;

		if (!from->attgenerated)
			continue;
		if (TupleDescAttr(RelationGetDescr(leaf), attno - 1)->atthasdef)
			remove_expression(leaf_relid, attno);
		expr = map_partition_varattnos(list_make1(generated_expression(parent, from->attnum)),
									   1, leaf, parent);
		(void) store_attr_default_compat(leaf, attno, linitial(expr));
		CommandCounterIncrement();
	}
	relation_close(leaf, NoLock);
}

/*
 * The minors of 2026 keep in attoptions when a column got its type, to tell rows of
 * another one; 0 where there is none.
 */
static uint64
column_version(HeapTuple tuple)
{
	bool		isnull;
	Datum		datum = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attoptions, &isnull);
	Datum	   *elems;
	int			nelems;
	int			i;

	if (isnull)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(datum), TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL,
					  &nelems);
	for (i = 0; i < nelems; i++)
	{
		char	   *option = TextDatumGetCString(elems[i]);

		if (strncmp(option, CZ_VERSION_OPTION, strlen(CZ_VERSION_OPTION)) == 0)
			return strtou64(option + strlen(CZ_VERSION_OPTION), NULL, 10);
	}
	return 0;
}

/*
 * A leaf's columns are not older than the parent's, nor than those before them.  Whoever
 * opens the leaf would complain, so it is not opened before.
 */
static void
follow_versions(Relation catalog, Oid parent_relid, Oid leaf)
{
	uint64		version = 0;
	AttrNumber	attno = 0;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(leaf),
														Int16GetDatum(++attno))))
	{
		Form_pg_attribute att = (Form_pg_attribute) GETSTRUCT(tuple);
		uint64		own;
		Datum		values[Natts_pg_attribute] = {0};
		bool		nulls[Natts_pg_attribute] = {0};
		bool		replaces[Natts_pg_attribute] = {0};
		Datum		option;

		own = column_version(tuple);
		version = Max(version, own);
		if (!att->attisdropped)
		{
			HeapTuple	from = SearchSysCache2(ATTNUM, ObjectIdGetDatum(parent_relid),
											   Int16GetDatum(get_attnum(parent_relid,
																		NameStr(att->attname))));

			if (HeapTupleIsValid(from))
			{
				version = Max(version, column_version(from));
				ReleaseSysCache(from);
			}
		}
		if (own == version)
			continue;
		option = CStringGetTextDatum(psprintf(CZ_VERSION_OPTION UINT64_FORMAT, version));
		replaces[Anum_pg_attribute_attoptions - 1] = true;
		values[Anum_pg_attribute_attoptions - 1] =
			PointerGetDatum(construct_array(&option, 1, TEXTOID, -1, false, TYPALIGN_INT));
		tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	}
}

static void
follow(Relation parent, Oid leaf_relid, const Changes *changes)
{
	Relation	catalog;
	Relation	leaf;
	ListCell   *lc;

	LockRelationOid(leaf_relid, AccessExclusiveLock);
	if (changes->checks || changes->not_nulls || changes->dropped != NIL)
		drop_parts(leaf_relid, changes);
	catalog = table_open(AttributeRelationId, RowExclusiveLock);
	foreach(lc, changes->changed)
		change_column(catalog, leaf_relid,
					  TupleDescAttr(RelationGetDescr(parent), lfirst_int(lc) - 1),
					  changes->is_map);
	if (changes->added != NIL)
		add_columns(catalog, parent, leaf_relid, changes->added, changes->is_map);
	CacheInvalidateRelcacheByRelid(leaf_relid);
	CommandCounterIncrement();
	follow_versions(catalog, RelationGetRelid(parent), leaf_relid);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();

	if (changes->is_map)
		return;
	set_expressions(parent, leaf_relid, changes->expressions);
	set_expressions(parent, leaf_relid, changes->added);
	if (changes->checks || changes->not_nulls)
	{
		leaf = relation_open(leaf_relid, NoLock);
		if (changes->checks)
			add_checks(parent, leaf);
		if (changes->not_nulls)
			add_not_nulls(parent, leaf);
		relation_close(leaf, NoLock);
	}
}

/*
 * CzLeavesFollow
 *		Bring a parent's leaves in step with it.
 *
 * before: columns and CHECKs of the parent as the leaves have them now.
 */
void
CzLeavesFollow(Oid parent_relid, const CzImage *before, List *leaves)
{
	CzImage    *after;
	Changes		changes;
	Relation	parent;
	ListCell   *lc;

	if (leaves == NIL)
		return;
	after = CzColumnsImage(parent_relid);
	if (!find_changes(before, after, &changes))
		return;
	parent = table_open(parent_relid, NoLock);
	foreach(lc, leaves)
	{
		CHECK_FOR_INTERRUPTS();
		follow(parent, lfirst_oid(lc), &changes);
	}
	table_close(parent, NoLock);
}

/*
 * CzMapFollow
 *		See ddl_int.h.
 */
void
CzMapFollow(Oid root_relid, const CzImage *before, Oid map_relid, List *leaves)
{
	Changes		changes;
	Relation	root;
	ListCell   *lc;

	if (!find_changes(before, CzColumnsImage(root_relid), &changes))
		return;
	changes.is_map = true;
	changes.checks = changes.not_nulls = false;
	changes.expressions = NIL;
	root = table_open(root_relid, NoLock);
	follow(root, map_relid, &changes);
	foreach(lc, leaves)
	{
		CHECK_FOR_INTERRUPTS();
		follow(root, lfirst_oid(lc), &changes);
	}
	table_close(root, NoLock);
	CzLeavesTie(root_relid, list_make1_oid(map_relid));
	CzLeavesTie(map_relid, leaves);
}
