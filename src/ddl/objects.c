/*-------------------------------------------------------------------------
 *
 * objects.c
 *	  What a distributed table needs on its workers besides the shards:
 *	  schemas, extensions, types, collations and functions.
 *
 * The dependencies are walked in pg_depend, from the columns' types, CHECKs,
 * generated columns and indexes; ledger.c makes what is missing.
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
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_language.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/trust.h"
#include "ddl_int.h"
#include "libpq-fe.h"

/* The walk: objects seen, and those to be made so far. */
typedef struct Walk
{
	ObjectAddresses *seen;
	List	   *objects;		/* CzObject *, what they depend on first */
	List	   *extensions;		/* names of those that are needed */
	Oid			home_relid;		/* the relation itself: not to be created */
	CzSender	sender;			/* whose objects these are */
} Walk;

static void walk_object(Walk *walk, Oid classid, Oid objid);

/* An object that workers need: as it is from now on, until the end of the transaction. */
static void
add_object(Walk *walk, Oid classid, Oid objid)
{
	CzObject   *object;

	/* neither made by another session at the same time, nor changed or dropped */
	LockDatabaseObject(classid, objid, 0, ShareUpdateExclusiveLock);
	object = CzObjectGet(classid, objid);
	if (object == NULL)
		CzObjectIsGone("object", objid);
	object->definition = CzObjectDefinition(classid, objid);
	walk->objects = lappend(walk->objects, object);
}

static void
refuse(Oid classid, Oid objid, const char *reason)
{
	ObjectAddress address;

	ObjectAddressSet(address, classid, objid);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot create %s on the workers: %s",
					getObjectDescription(&address, false), reason),
			 errhint("Make it part of an extension that the workers have, or remove what depends on it.")));
}

/*
 * CzDependencies
 *		What an object depends on in pg_depend, list of ObjectAddress *.
 */
List *
CzDependencies(Oid classid, Oid objid)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *found = NIL;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *address;

		if (form->deptype != DEPENDENCY_NORMAL && form->deptype != DEPENDENCY_AUTO)
			continue;
		address = palloc(sizeof(ObjectAddress));
		ObjectAddressSet(*address, form->refclassid, form->refobjid);
		found = lappend(found, address);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}

/* Everything that an object depends on, first. */
static void
walk_dependencies(Walk *walk, Oid classid, Oid objid)
{
	ListCell   *lc;

	foreach(lc, CzDependencies(classid, objid))
	{
		ObjectAddress *address = lfirst(lc);

		walk_object(walk, address->classId, address->objectId);
	}
}

static void
create_extension(Walk *walk, Oid oid)
{
	char	   *name = get_extension_name(oid);
	char	   *schema;

	if (name == NULL || strcmp(name, "cz_fdw") == 0 || CzExtensionOwnKey(oid, &schema) == NULL)
		refuse(ExtensionRelationId, oid, "only the coordinator has it");
	walk_object(walk, NamespaceRelationId, get_namespace_oid(schema, false));
	walk_dependencies(walk, ExtensionRelationId, oid);
	walk->extensions = lappend(walk->extensions, name);
	add_object(walk, ExtensionRelationId, oid);
}

/*
 * CzCheckTrust
 *		See ddl_int.h.
 */
void
CzCheckTrust(Oid function, const CzSender *sender)
{
	const char *reason;

	if (!CzFunctionIsTrusted(function, sender, &reason))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function %s cannot be run on the workers", format_procedure(function)),
				 errdetail_internal("%s", _(reason)),
				 errhint("%s", CzTrustHint())));
}

/* Who or where the session is: a worker's answer is its own. */
static bool
session_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
	{
		switch (((SQLValueFunction *) node)->op)
		{
			case SVFOP_CURRENT_ROLE:
			case SVFOP_CURRENT_USER:
			case SVFOP_USER:
			case SVFOP_SESSION_USER:
			case SVFOP_CURRENT_CATALOG:
			case SVFOP_CURRENT_SCHEMA:
				return true;
			default:
				return false;
		}
	}
	return expression_tree_walker(node, session_walker, context);
}

/* The functions of an expression; what: the object that has it, for the message. */
static void
check_expression(Walk *walk, Node *expr, const char *what)
{
	const char *reason;
	Oid			function;

	if (session_walker(expr, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create %s on the workers: it depends on the session's role, database or schema",
						what),
				 errdetail("A worker's session has others.")));
	function = CzUntrustedFunction(expr, &walk->sender, &reason);
	if (OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create %s on the workers: function %s cannot be run there",
						what, format_procedure(function)),
				 errdetail_internal("%s", _(reason)),
				 errhint("%s", CzTrustHint())));
	CzRequireKnown(expr, what);
}

/* A CHECK of a table or a domain. */
static void
check_constraint(Walk *walk, HeapTuple tuple)
{
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
	Datum		bin;
	bool		isnull;

	if (con->contype != CONSTRAINT_CHECK)
		return;
	bin = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conbin, &isnull);
	if (!isnull)
		check_expression(walk, stringToNode(TextDatumGetCString(bin)),
						 psprintf("CHECK constraint \"%s\"", NameStr(con->conname)));
}

/* An index: what it depends on, its expressions and its predicate. */
static void
walk_index(Walk *walk, Oid index_oid)
{
	Relation	index = index_open(index_oid, AccessShareLock);
	char	   *what = psprintf("index \"%s\"", RelationGetRelationName(index));

	check_expression(walk, (Node *) CzIndexClauses(index), what);
	index_close(index, NoLock);
	walk_dependencies(walk, RelationRelationId, index_oid);
}

/* Functions that a partition key calls are sent as those of an index are. */
static bool
walk_called(Oid function, void *arg)
{
	walk_object((Walk *) arg, ProcedureRelationId, function);
	return false;
}

static bool
called_walker(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, walk_called, walk);
	return expression_tree_walker(node, called_walker, (void *) walk);
}

/*
 * The expressions of a partition key: workers' partitioned tables have them, too.  What a
 * table depends on includes its parent, which is no object of theirs, so that functions
 * are looked for in the expressions, as the catalog has them: the relation's entry has
 * inlined SQL functions, which workers call by name.
 */
static void
walk_partition_key(Walk *walk, Relation rel)
{
	HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(RelationGetRelid(rel)));
	oidvector  *classes;
	Datum		key_text;
	bool		isnull;
	Node	   *exprs;
	int			i;

	if (!HeapTupleIsValid(tuple))
		return;
	key_text = SysCacheGetAttr(PARTRELID, tuple, Anum_pg_partitioned_table_partexprs, &isnull);
	exprs = isnull ? NULL : stringToNode(TextDatumGetCString(key_text));
	classes = (oidvector *) DatumGetPointer(SysCacheGetAttr(PARTRELID, tuple,
															Anum_pg_partitioned_table_partclass,
															&isnull));
	for (i = 0; i < classes->dim1; i++)
		walk_object(walk, OperatorClassRelationId, classes->values[i]);
	ReleaseSysCache(tuple);
	if (exprs == NULL)
		return;
	check_expression(walk, exprs,
					 psprintf("partition key of table \"%s\"", RelationGetRelationName(rel)));
	(void) called_walker(exprs, walk);
}

/* Domains' CHECKs depend on functions through their own pg_constraint entries. */
static void
walk_constraints_of(Walk *walk, AttrNumber column, Oid index_id, Oid objid, bool only_checks)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *oids = NIL;
	ListCell   *lc;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objid));
	scan = systable_beginscan(catalog, index_id, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		check_constraint(walk, tuple);
		if (con->contype == CONSTRAINT_CHECK || !only_checks)
			oids = lappend_oid(oids, con->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	foreach(lc, oids)
		walk_dependencies(walk, ConstraintRelationId, lfirst_oid(lc));
}

/* What the fields of a composite type need. */
static void
walk_fields(Walk *walk, Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		walk_object(walk, TypeRelationId, att->atttypid);
		walk_object(walk, CollationRelationId, att->attcollation);
	}
}

/* What a range needs.  How its values are compared and written must not be its own. */
static void
walk_range(Walk *walk, Oid type)
{
	HeapTuple	tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	Form_pg_range range;
	bool		is_plain;

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("range type", type);
	range = (Form_pg_range) GETSTRUCT(tuple);
	walk_object(walk, TypeRelationId, range->rngsubtype);
	walk_object(walk, CollationRelationId, range->rngcollation);
	is_plain = !OidIsValid(range->rngcanonical) &&
		range->rngsubopc == GetDefaultOpClass(range->rngsubtype, BTREE_AM_OID);
	ReleaseSysCache(tuple);
	if (!is_plain)
		refuse(TypeRelationId, type, "it has a canonical function or an operator class that is not the default");
}

/* What a type needs that has parts of its own. */
static void
walk_type(Walk *walk, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	FormData_pg_type form;

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("type", oid);
	form = *(Form_pg_type) GETSTRUCT(tuple);
	ReleaseSysCache(tuple);

	walk_object(walk, NamespaceRelationId, form.typnamespace);
	switch (form.typtype)
	{
		case TYPTYPE_ENUM:
			break;
		case TYPTYPE_DOMAIN:
			walk_object(walk, TypeRelationId, form.typbasetype);
			walk_object(walk, CollationRelationId, form.typcollation);
			walk_constraints_of(walk, Anum_pg_constraint_contypid, ConstraintTypidIndexId,
								oid, true);
			break;
		case TYPTYPE_COMPOSITE:
			walk_fields(walk, oid);
			break;
		case TYPTYPE_RANGE:
			walk_range(walk, oid);
			break;
		default:
			refuse(TypeRelationId, oid, "a base type is made of C functions");
	}
}

static void
walk_collation(Walk *walk, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(oid));

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("collation", oid);
	walk_object(walk, NamespaceRelationId, ((Form_pg_collation) GETSTRUCT(tuple))->collnamespace);
	ReleaseSysCache(tuple);
}

/* Members of a family that a type's operator class has, for they are made with it. */
static void
walk_members(Walk *walk, Oid catalog_oid, Oid index_oid, AttrNumber family_attno, Oid family,
			 Oid type, void (*walk_member) (Walk *walk, HeapTuple member, Oid type))
{
	Relation	catalog = table_open(catalog_oid, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, family_attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(family));
	scan = systable_beginscan(catalog, index_oid, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		walk_member(walk, tuple, type);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
walk_member_operator(Walk *walk, HeapTuple member, Oid type)
{
	Form_pg_amop form = (Form_pg_amop) GETSTRUCT(member);

	if (form->amoplefttype != type || form->amoprighttype != type)
		return;
	if (form->amoppurpose != AMOP_SEARCH)
		refuse(OperatorRelationId, form->amopopr, "it is for ORDER BY in an operator class");
	walk_object(walk, OperatorRelationId, form->amopopr);
}

static void
walk_member_function(Walk *walk, HeapTuple member, Oid type)
{
	Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(member);

	if (form->amproclefttype == type && form->amprocrighttype == type)
		walk_object(walk, ProcedureRelationId, form->amproc);
}

/* What an operator class needs.  Operators of users are not sent. */
static void
walk_opclass(Walk *walk, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(oid));
	FormData_pg_opclass form;

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("operator class", oid);
	form = *(Form_pg_opclass) GETSTRUCT(tuple);
	ReleaseSysCache(tuple);

	walk_object(walk, NamespaceRelationId, form.opcnamespace);
	walk_object(walk, TypeRelationId, form.opcintype);
	walk_object(walk, TypeRelationId, form.opckeytype);
	walk_members(walk, AccessMethodOperatorRelationId, AccessMethodStrategyIndexId,
				 Anum_pg_amop_amopfamily, form.opcfamily, form.opcintype, walk_member_operator);
	walk_members(walk, AccessMethodProcedureRelationId, AccessMethodProcedureIndexId,
				 Anum_pg_amproc_amprocfamily, form.opcfamily, form.opcintype,
				 walk_member_function);
}

static void
walk_function(Walk *walk, Oid oid)
{
	HeapTuple	tuple;
	Form_pg_proc form;
	int			i;

	CzCheckTrust(oid, &walk->sender);
	walk_dependencies(walk, ProcedureRelationId, oid);
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("function", oid);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->prolang == ClanguageId || form->prolang == INTERNALlanguageId)
	{
		ReleaseSysCache(tuple);
		refuse(ProcedureRelationId, oid, "it is written in C and belongs to no extension");
	}
	if (form->prokind == PROKIND_AGGREGATE)
	{
		ReleaseSysCache(tuple);
		refuse(ProcedureRelationId, oid, "it is an aggregate");
	}
	walk_object(walk, NamespaceRelationId, form->pronamespace);
	walk_object(walk, TypeRelationId, form->prorettype);
	for (i = 0; i < form->pronargs; i++)
		walk_object(walk, TypeRelationId, form->proargtypes.values[i]);
	ReleaseSysCache(tuple);
}

/*
 * An object with what it needs.  Until it is locked others may change it, and wait for
 * that: what is sent must have been looked at afterwards.
 */
static void
create_object(Walk *walk, Oid classid, Oid objid,
			  void (*walk_parts) (Walk *walk, Oid objid))
{
	walk_parts(walk, objid);
	LockDatabaseObject(classid, objid, 0, ShareUpdateExclusiveLock);
	walk_parts(walk, objid);
	add_object(walk, classid, objid);
}

static void
create_type(Walk *walk, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	Form_pg_type form;
	Oid			element;

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("type", oid);
	form = (Form_pg_type) GETSTRUCT(tuple);
	element = form->typcategory == TYPCATEGORY_ARRAY ? form->typelem : InvalidOid;
	ReleaseSysCache(tuple);

	/* an array comes with its element, a multirange with its range */
	if (OidIsValid(element))
		walk_object(walk, TypeRelationId, element);
	else if (get_typtype(oid) == TYPTYPE_MULTIRANGE)
		walk_object(walk, TypeRelationId, get_multirange_range(oid));
	else
		create_object(walk, TypeRelationId, oid, walk_type);
}

/* Create one object, what it depends on first; each object once. */
static void
walk_object(Walk *walk, Oid classid, Oid objid)
{
	ObjectAddress address;
	Oid			extension;

	if (!OidIsValid(objid))
		return;
	if (classid == ProcedureRelationId)
		CzCheckTrust(objid, &walk->sender);
	if (objid < FirstNormalObjectId)
		return;
	if (classid == RelationRelationId && objid == walk->home_relid)
		return;
	ObjectAddressSet(address, classid, objid);
	if (object_address_present(&address, walk->seen))
		return;
	add_exact_object_address(&address, walk->seen);
	check_stack_depth();

	if (classid == ExtensionRelationId)
	{
		create_extension(walk, objid);
		return;
	}
	extension = getExtensionOfObject(classid, objid);
	if (OidIsValid(extension))
	{
		walk_object(walk, ExtensionRelationId, extension);
		return;
	}

	switch (classid)
	{
		case NamespaceRelationId:
			add_object(walk, classid, objid);
			break;
		case TypeRelationId:
			create_type(walk, objid);
			break;
		case CollationRelationId:
			create_object(walk, classid, objid, walk_collation);
			break;
		case OperatorClassRelationId:
			create_object(walk, classid, objid, walk_opclass);
			break;
		case ProcedureRelationId:
			create_object(walk, classid, objid, walk_function);
			break;
		case RelationRelationId:
			if (get_rel_relkind(objid) == RELKIND_COMPOSITE_TYPE)
				walk_object(walk, TypeRelationId, get_rel_type_id(objid));
			else
				refuse(classid, objid, "an expression of the table depends on it");
			break;
		case ConstraintRelationId:
		case AttrDefaultRelationId:
			walk_dependencies(walk, classid, objid);
			break;
		default:
			refuse(classid, objid, "such objects are not created there yet");
	}
}

static void
walk_begin(Walk *walk, List *server_oids, Oid user_oid)
{
	walk->sender = CzSenderOf(user_oid, server_oids);
	walk->seen = new_object_addresses();
	walk->home_relid = InvalidOid;
	walk->extensions = NIL;
	walk->objects = NIL;
}

/* Have the workers make what they lack. */
static void
walk_send(Walk *walk, List *server_oids, Oid user_oid)
{
	List	   *functions = NIL;
	ListCell   *lc;

	CzLedgerMake(walk->objects, server_oids, user_oid);
	foreach(lc, walk->objects)
	{
		CzObject   *object = lfirst(lc);

		if (object->classid == ProcedureRelationId)
			functions = lappend_oid(functions, object->objid);
	}
	CzGrantExecute(functions, server_oids, user_oid);
	foreach(lc, walk->extensions != NIL ? server_oids : NIL)
		CzExtensionsNote(lfirst_oid(lc), user_oid, walk->extensions, false);
}

/*
 * CzPropagateObjects
 *		See ddl.h.
 */
void
CzPropagateObjects(Oid relid, List *server_oids, Oid user_oid)
{
	Walk		walk;
	Relation	rel = relation_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *indexes;
	ListCell   *lc;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	int			i;

	walk_begin(&walk, server_oids, user_oid);
	walk.home_relid = relid;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		walk_object(&walk, TypeRelationId, att->atttypid);
		walk_object(&walk, CollationRelationId, att->attcollation);
		if (att->attgenerated)
		{
			check_expression(&walk, build_column_default(rel, att->attnum),
							 psprintf("generated column \"%s\"", NameStr(att->attname)));
			walk_dependencies(&walk, AttrDefaultRelationId,
							  GetAttrDefaultOid(relid, att->attnum));
		}
	}
	walk_constraints_of(&walk, Anum_pg_constraint_conrelid, ConstraintRelidTypidNameIndexId,
						relid, true);
	walk_partition_key(&walk, rel);
	indexes = RelationGetIndexList(rel);
	foreach(lc, indexes)
		walk_index(&walk, lfirst_oid(lc));
	relation_close(rel, NoLock);
	CzUnpinTextSettings(nestlevel);
	walk_send(&walk, server_oids, user_oid);
}

/* A CHECK that a domain gets, of which the workers have the rest already. */
static void
walk_new_check(Walk *walk, Oid constraint_oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	ObjectAddress domain;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
	check_constraint(walk, tuple);
	ObjectAddressSet(domain, TypeRelationId, ((Form_pg_constraint) GETSTRUCT(tuple))->contypid);
	add_exact_object_address(&domain, walk->seen);
	ReleaseSysCache(tuple);
	walk_dependencies(walk, ConstraintRelationId, constraint_oid);
}

/*
 * CzPropagateAddresses
 *		See ddl.h.
 */
void
CzPropagateAddresses(List *addresses, List *server_oids, Oid user_oid)
{
	Walk		walk;
	ListCell   *lc;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);

	walk_begin(&walk, server_oids, user_oid);
	foreach(lc, addresses)
	{
		ObjectAddress *address = lfirst(lc);

		if (address->classId == RelationRelationId &&
			(get_rel_relkind(address->objectId) == RELKIND_INDEX ||
			 get_rel_relkind(address->objectId) == RELKIND_PARTITIONED_INDEX))
		{
			walk.home_relid = IndexGetRelation(address->objectId, true);
			walk_index(&walk, address->objectId);
		}
		else if (address->classId == ConstraintRelationId)
			walk_new_check(&walk, address->objectId);
		else
			walk_object(&walk, address->classId, address->objectId);
	}
	CzUnpinTextSettings(nestlevel);
	walk_send(&walk, server_oids, user_oid);
}
