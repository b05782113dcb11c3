/*-------------------------------------------------------------------------
 *
 * eligibility.c
 *	  May this table be distributed, by this column?  Every refusal gives its
 *	  reason, before anything has changed.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "parser/scansup.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/planner.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"

static void
refuse_table(Relation rel, int sqlstate, const char *reason, const char *hint)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("cannot distribute table \"%s\": %s", RelationGetRelationName(rel), reason),
			 hint ? errhint("%s", hint) : 0));
}

static void
check_generated_columns(Relation rel)
{
	int			i;

	for (i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		if (att->attgenerated && !att->attisdropped &&
			CzUsesSystemColumn(build_column_default(rel, i + 1)))
			refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
						 psprintf("generated column \"%s\" uses a system column",
								  NameStr(att->attname)),
						 "It would have another value on a shard.");
	}
}

/*
 * CHECKs that shards can't have.  Foreign keys are looked at when the colocation group is
 * known (CzCheckKeysOf).
 */
static void
check_constraints(Relation rel)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(rel)));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
		char	   *name = pstrdup(NameStr(con->conname));

		if (!constraint_is_enforced_compat(con))
			continue;
		if ((con->contype == CONSTRAINT_CHECK || con->contype == CONSTRAINT_NOTNULL_COMPAT) &&
			con->connoinherit)
			refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
						 psprintf("%s constraint \"%s\" is marked NO INHERIT",
								  con->contype == CONSTRAINT_CHECK ? "CHECK" : "NOT NULL", name),
						 "Shards inherit the table's constraints: make it an ordinary constraint.");
		if (con->contype == CONSTRAINT_CHECK)
		{
			bool		isnull;
			Datum		bin = heap_getattr(tuple, Anum_pg_constraint_conbin,
										   RelationGetDescr(catalog), &isnull);

			if (!isnull && CzUsesSystemColumn(stringToNode(TextDatumGetCString(bin))))
				refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
							 psprintf("CHECK constraint \"%s\" uses a system column or a whole row",
									  name),
							 "A shard has others.");
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/*
 * CzCheckTableOwner
 *		Only its owner may change how a table is distributed.  Called before the
 *		table is locked, so that other users cannot block the table, and nobody waits for
 *		it while changes are blocked.
 *
 * Errors: 42P01 no such relation, 42501.
 */
void
CzCheckTableOwner(Oid relid)
{
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!class_ownercheck_compat(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)),
					   CzNameOf(relid));
	CzGateAwait();
}

/* Does a type's hash depend on anything but the value?  The reason, or NULL. */
static const char *
unstable_hash_reason(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element;

	if (type_is_enum(base))
		return "the hash of an enum depends on OIDs, which differ after a restore";
	if (type_is_rowtype(base))
		return "the hash of a composite type is not stable";
	element = get_element_type(base);
	if (OidIsValid(element))
		return unstable_hash_reason(element);
	if (type_is_range(base))
		return unstable_hash_reason(get_range_subtype(base));
	if (type_is_multirange(base))
		return unstable_hash_reason(get_range_subtype(get_multirange_range(base)));
	return CzIsRegType(base) ? "its values are OIDs of this server" : NULL;
}

/* Workers must find the partition of a row that this server finds. */
static void
check_partition_key(Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	int			i;

	for (i = 0; i < key->partnatts; i++)
	{
		Oid			collation = key->partcollation[i];

		/* equal or not is the same everywhere by a deterministic one, what comes first is not */
		if (OidIsValid(collation) && key->strategy != PARTITION_STRATEGY_HASH &&
			(key->strategy == PARTITION_STRATEGY_RANGE ||
			 !get_collation_isdeterministic(collation)) &&
			!cz_collation_is_sure(collation))
			refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
						 psprintf("workers may compare texts otherwise by collation \"%s\" of its partition key",
								  get_collation_name(collation)),
						 "Use COLLATE \"C\" in the partition key.");
		if (key->strategy != PARTITION_STRATEGY_HASH)
			continue;
		if (unstable_hash_reason(key->parttypid[i]) != NULL ||
			(OidIsValid(collation) && !get_collation_isdeterministic(collation)))
			refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
						 psprintf("it is partitioned by the hash of type %s, which workers may compute otherwise",
								  format_type_be(key->parttypid[i])),
						 "Partition it by list or by range.");
	}
}

/* What relations of a partitioned table can't have, but others can. */
static void
check_in_tree(Relation rel)
{
	if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED, "it is a foreign table",
					 "Detach the partition first.");
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		check_partition_key(rel);
}

/* in_tree: it is partitioned, or a partition of a table that is distributed */
static void
check_table(Relation rel, CzTableKind kind, bool in_tree)
{
	bool		is_reference = kind == CZ_TABLE_REFERENCE;
	const CzTable *table;
	List	   *indexes;
	ListCell   *lc;

	if (!class_ownercheck_compat(RelationGetRelid(rel), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, RelationGetRelationName(rel));

	table = CzTableGet(RelationGetRelid(rel));
	if (table != NULL && table->kind != CZ_TABLE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is already a %s table", RelationGetRelationName(rel),
						table->kind == CZ_TABLE_REFERENCE ? "reference" : "distributed")));

	if (IsCatalogRelation(rel) ||
		get_namespace_oid(CZ_SHARD_SCHEMA, true) == RelationGetNamespace(rel) ||
		get_namespace_oid("cz", true) == RelationGetNamespace(rel))
		refuse_table(rel, ERRCODE_INSUFFICIENT_PRIVILEGE, "it is a catalog table", NULL);
	if (rel->rd_rel->relispartition && !in_tree)
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
					 psprintf("it is a partition of table \"%s\"",
							  get_rel_name(get_partition_parent(RelationGetRelid(rel), true))),
					 is_reference ? NULL : "Distribute the partitioned table.");
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && is_reference)
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
					 "a partitioned table cannot be a reference table",
					 "Use create_distributed_table().");
	in_tree |= rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	if (in_tree)
		check_in_tree(rel);
	if (rel->rd_rel->relkind != RELKIND_RELATION && !in_tree)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an ordinary table", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind)));
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED, "it is temporary", NULL);
	/* one with a placement for each shard may be, which is not known yet */
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED && (is_reference || in_tree))
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED, "it is unlogged",
					 "Run ALTER TABLE ... SET LOGGED first.");
	if (has_superclass(RelationGetRelid(rel)) && !in_tree)
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED, "it inherits from another table", NULL);
	if (!in_tree && has_subclass(RelationGetRelid(rel)) &&
		find_inheritance_children(RelationGetRelid(rel), NoLock) != NIL)
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED, "other tables inherit from it", NULL);
	if (rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
					 "its access method is not heap", NULL);
	if (OidIsValid(rel->rd_rel->reltablespace))
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
					 "it is in a tablespace of its own, which the workers may not have",
					 "Run ALTER TABLE ... SET TABLESPACE pg_default first.");
	if (!is_reference && rel->rd_rel->relreplident != REPLICA_IDENTITY_DEFAULT &&
		rel->rd_rel->relreplident != REPLICA_IDENTITY_NOTHING)
		refuse_table(rel, ERRCODE_FEATURE_NOT_SUPPORTED,
					 "its replica identity is not the default one",
					 "Run ALTER TABLE ... REPLICA IDENTITY DEFAULT first.");

	CheckTableNotInUse(rel, is_reference ? "create_reference_table" : "create_distributed_table");
	if (!is_reference)
	{
		check_constraints(rel);
		check_generated_columns(rel);
	}

	indexes = RelationGetIndexList(rel);
	foreach(lc, indexes)
	{
		if (!get_index_isvalid(lfirst_oid(lc)))
			refuse_table(rel, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						 psprintf("index \"%s\" is not valid", get_rel_name(lfirst_oid(lc))),
						 "Drop or rebuild the index first.");
	}
}

/*
 * CzCheckDistributable
 *		Raise the reason why a table can be neither distributed nor made a
 *		reference table, if there is one.  rel is locked exclusively.
 *
 * kind: what it is to be; CZ_TABLE_HASH stands for range, too.
 */
void
CzCheckDistributable(Relation rel, CzTableKind kind)
{
	check_table(rel, kind, false);
}

/*
 * CzCheckPartition
 *		The same for a partition of a table that is distributed.
 */
void
CzCheckPartition(Relation rel, CzTableKind kind)
{
	check_table(rel, kind, true);
}

/* A column name as given, else folded to lower case as an identifier is. */
static AttrNumber
find_column(Relation rel, const char *name)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(rel), name);
	int			len = strlen(name);

	if (attno == InvalidAttrNumber && len > 2 && name[0] == '"' && name[len - 1] == '"')
		attno = get_attnum(RelationGetRelid(rel), pnstrdup(name + 1, len - 2));
	if (attno == InvalidAttrNumber)
		attno = get_attnum(RelationGetRelid(rel),
						   downcase_truncate_identifier(name, len, false));
	return attno;
}

/*
 * CzFindKey
 *		Fill dist's key fields from the distribution column's name, or raise why
 *		the column cannot be it.
 */
void
CzFindKey(Relation rel, const char *column_name, char method, CzDistribution *dist)
{
	AttrNumber	attno = find_column(rel, column_name);
	Form_pg_attribute att;
	const char *reason;
	Oid			access_method = method == PARTITION_STRATEGY_HASH ? HASH_AM_OID : BTREE_AM_OID;

	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", column_name,
						RelationGetRelationName(rel))));
	if (attno < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("cannot distribute by system column \"%s\"", column_name)));
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	if (att->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by generated column \"%s\"", NameStr(att->attname)),
				 errdetail("The column's value is computed after the shard is chosen.")));

	dist->method = method;
	dist->key_attno = attno;
	dist->key_type = att->atttypid;
	dist->key_collation = att->attcollation;
	dist->key_opclass = GetDefaultOpClass(att->atttypid, access_method);
	if (!OidIsValid(dist->key_opclass))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by column \"%s\" of type %s",
						NameStr(att->attname), format_type_be(att->atttypid)),
				 errdetail("The type has no default operator class for access method \"%s\".",
						   get_am_name(access_method))));
	dist->key_base_type = get_opclass_input_type(dist->key_opclass);
	dist->key_opfamily = get_opclass_family(dist->key_opclass);

	reason = unstable_hash_reason(att->atttypid);
	if (reason == NULL && method == PARTITION_STRATEGY_HASH)
	{
		TypeCacheEntry *entry = lookup_type_cache(getBaseType(att->atttypid),
												  TYPECACHE_HASH_EXTENDED_PROC);

		if (!OidIsValid(entry->hash_extended_proc))
			reason = "it has no extended hash function";
	}
	if (reason)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by column \"%s\" of type %s",
						NameStr(att->attname), format_type_be(att->atttypid)),
				 errdetail("Not possible because %s.", reason)));
	if (OidIsValid(att->attcollation) && !get_collation_isdeterministic(att->attcollation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by column \"%s\" with collation \"%s\"",
						NameStr(att->attname), get_collation_name(att->attcollation)),
				 errdetail("The collation is not deterministic: equal values may differ in their bytes and so in their hash.")));
}

/*
 * CzCheckUniqueKeys
 *		Every unique index must contain the distribution column, with the
 *		equality by which rows are distributed.
 */
void
CzCheckUniqueKeys(Relation rel, const CzDistribution *dist)
{
	const char *key = get_attname(RelationGetRelid(rel), dist->key_attno, false);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		bool		can_check = CzShardsCanCheck(index, dist->key_attno, dist->key_opfamily,
												 dist->method == PARTITION_STRATEGY_RANGE);

		if (!can_check && form->indisexclusion)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot distribute table \"%s\": exclusion constraint \"%s\" would not hold across shards",
							RelationGetRelationName(rel), RelationGetRelationName(index)),
					 errdetail("Each shard checks its own rows only, so the constraint must compare column \"%s\" for equality.",
							   key),
					 errhint("Drop the constraint first.")));
		if (!can_check)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot distribute table \"%s\": %s \"%s\" does not contain the distribution column",
							RelationGetRelationName(rel),
							form->indisprimary ? "primary key" :
							OidIsValid(get_index_constraint(RelationGetRelid(index))) ?
							"unique constraint" : "unique index",
							RelationGetRelationName(index)),
					 errdetail("Each shard checks its own rows only, so uniqueness must include column \"%s\".",
							   key),
					 errhint("Add the column to it, or distribute by one of its columns.")));
		index_close(index, AccessShareLock);
	}
}
