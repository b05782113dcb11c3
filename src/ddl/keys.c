/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Foreign keys of distributed tables: which there are, and which can be.
 *
 * Core makes the constraint's rows and triggers here, as it would on ordinary tables
 * (both ends are that for a moment, moment.c), so that \d, pg_dump and introspection
 * show it.  Each shard has the same constraint, DEFERRABLE, which its worker checks
 * (keys_shards.c).  Between distributed tables the worker acts, too, and core's triggers
 * on our tables never fire (executor/deferred.c leaves them out); so both rows of a key
 * must be in shards that lie together.  Shards refer to the copy of a reference table on
 * their worker, which checks; what a key does when the reference table's rows change is
 * done here, by core's triggers on that table, which is an ordinary one.
 *
 * Keys between ordinary and reference tables are core's alone.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "ddl_int.h"

List	   *cz_distributed_together = NIL;

/* ---- which there are ------------------------------------------------------- */

/*
 * Foreign keys of some tables, and to them; a partition's that its parent has are left out, and
 * those that nobody is to check.
 */
static List *
keys_of(List *relids, bool both_ends)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	bool		use_index = !both_ends && list_length(relids) == 1;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(linitial_oid(relids)));
	/* by confrelid there is no index */
	scan = systable_beginscan(catalog, use_index ? ConstraintRelidTypidNameIndexId : InvalidOid,
							  use_index, NULL, use_index ? 1 : 0, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		if (con->contype == CONSTRAINT_FOREIGN && constraint_is_enforced_compat(con) &&
			!OidIsValid(con->conparentid) &&
			(list_member_oid(relids, con->conrelid) ||
			 (both_ends && list_member_oid(relids, con->confrelid))))
			result = lappend_oid(result, con->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	/* workers check them in the order in which they were made, as plain PostgreSQL does */
	list_sort(result, list_oid_cmp);
	return result;
}

/*
 * CzForeignKeys, CzTreeForeignKeys
 *		See ddl.h.
 */
List *
CzForeignKeys(Oid relid, bool both_ends)
{
	return keys_of(list_make1_oid(relid), both_ends);
}

List *
CzTreeForeignKeys(Oid relid, bool both_ends)
{
	const CzTable *table = CzTableGet(relid);

	return keys_of(table != NULL && !table->is_partitioned ? list_make1_oid(relid) :
				   find_all_inheritors(relid, NoLock, NULL), both_ends);
}

/* The constraint of the partitioned table above that one is a part of, or InvalidOid. */
static Oid
parent_of(Oid constraint_oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	Oid			result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
	result = ((Form_pg_constraint) GETSTRUCT(tuple))->conparentid;
	ReleaseSysCache(tuple);
	return result;
}

static void
note_inherited(CzInheritedKey *inherited, HeapTuple tuple)
{
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
	Oid			top_oid = con->oid;

	inherited->oid = con->oid;
	inherited->name = pstrdup(NameStr(con->conname));
	inherited->is_on_shards = CzKeyIsOnShards(con->oid);
	inherited->to_relid = con->confrelid;
	while (OidIsValid(parent_of(top_oid)))
		top_oid = parent_of(top_oid);
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(top_oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", top_oid);
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	inherited->top_oid = top_oid;
	inherited->top_name = pstrdup(NameStr(con->conname));
	inherited->top_relid = con->conrelid;
	ReleaseSysCache(tuple);
}

/*
 * CzInheritedKeys
 *		See ddl.h.
 */
List *
CzInheritedKeys(Oid relid)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
		CzInheritedKey *inherited;

		if (con->contype != CONSTRAINT_FOREIGN || !OidIsValid(con->conparentid) ||
			!constraint_is_enforced_compat(con))
			continue;
		inherited = palloc(sizeof(CzInheritedKey));
		note_inherited(inherited, tuple);
		/* others are of keys to partitions */
		if (inherited->top_relid != relid)
			result = lappend(result, inherited);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* A column of type int2[] of a constraint; palloc'd, NULL: it is null. */
static AttrNumber *
read_attnos(HeapTuple tuple, AttrNumber column, int *nattnos)
{
	bool		isnull;
	Datum		datum = SysCacheGetAttr(CONSTROID, tuple, column, &isnull);
	Datum	   *values;
	AttrNumber *result;
	int			i;

	*nattnos = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(datum), INT2OID, sizeof(int16), true, TYPALIGN_SHORT,
					  &values, NULL, nattnos);
	result = palloc(sizeof(AttrNumber) * Max(*nattnos, 1));
	for (i = 0; i < *nattnos; i++)
		result[i] = DatumGetInt16(values[i]);
	return result;
}

/*
 * CzKeyGet
 *		See ddl.h.
 */
CzKey *
CzKeyGet(Oid constraint_oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	CzKey	   *key = palloc0(sizeof(CzKey));
	Form_pg_constraint con;
	int			n;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	key->oid = constraint_oid;
	key->name = pstrdup(NameStr(con->conname));
	key->from_relid = con->conrelid;
	key->to_relid = con->confrelid;
	key->match = con->confmatchtype;
	key->on_update = con->confupdtype;
	key->on_delete = con->confdeltype;
	key->is_deferred = con->condeferred;
	key->is_valid = con->convalidated;
	key->has_period = constraint_has_period_compat(con);
	key->from_attnos = read_attnos(tuple, Anum_pg_constraint_conkey, &key->ncolumns);
	key->to_attnos = read_attnos(tuple, Anum_pg_constraint_confkey, &n);
	key->set_attnos = read_attnos(tuple, Anum_pg_constraint_confdelsetcols, &key->nset);
	ReleaseSysCache(tuple);
	return key;
}

/*
 * CzKeyActs
 *		See ddl.h.
 */
bool
CzKeyActs(const CzKey *key, AttrNumber key_attno, bool is_delete)
{
	return CzKeyActsHere(is_delete ? key->on_delete : key->on_update, is_delete,
						 key->from_relid, key_attno, is_delete ? key->nset : 0,
						 key->set_attnos);
}

/* ---- which can be ---------------------------------------------------------- */

/* Is a table one that is about to be distributed, or a partition of it? */
static bool
is_planned(Oid relid, const CzKeyEnd *planned)
{
	return planned != NULL &&
		(relid == planned->relid ||
		 (get_rel_relispartition(relid) &&
		  list_member_oid(get_partition_ancestors(relid), planned->relid)));
}

/* Is a table one of those that a statement distributes together, or a partition of one? */
static bool
is_together(Oid relid)
{
	ListCell   *lc;

	foreach(lc, cz_distributed_together)
	{
		CzKeyEnd	end;

		end.relid = lfirst_oid(lc);
		if (is_planned(relid, &end))
			return true;
	}
	return false;
}

/* How a table is distributed, or will be. */
static CzKeyEnd
end_of(Oid relid, const CzKeyEnd *planned)
{
	const CzTable *table;
	CzKeyEnd	end;

	if (is_planned(relid, planned))
	{
		end = *planned;
		end.relid = relid;
		if (planned->key_attno > 0 && relid != planned->relid)
			end.key_attno = get_attnum(relid, get_attname(planned->relid, planned->key_attno,
														  false));
		return end;
	}
	table = CzTableGet(relid);
	memset(&end, 0, sizeof(end));
	end.relid = relid;
	if (table == NULL || table->kind == CZ_TABLE_FOREIGN)
		return end;
	end.is_ours = true;
	end.kind = table->kind;
	end.colocation_id = table->colocation_id;
	end.key_attno = table->key_attno;
	return end;
}

static bool
is_distributed(const CzKeyEnd *end)
{
	return end->is_ours && end->kind != CZ_TABLE_REFERENCE;
}

pg_noreturn static void refuse(const CzKey *key, char *detail, char *hint);

static void
refuse(const CzKey *key, char *detail, char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("foreign key \"%s\" of table \"%s\" cannot be distributed", key->name,
					get_rel_name(key->from_relid)),
			 errdetail_internal("%s", detail),
			 hint ? errhint("%s", hint) : 0));
}

/* Are the distribution columns at the same place of both column lists? */
static bool
has_distribution_columns(const CzKey *key, const CzKeyEnd *from, const CzKeyEnd *to)
{
	int			i;

	for (i = 0; i < key->ncolumns; i++)
	{
		if (key->from_attnos[i] == from->key_attno && key->to_attnos[i] == to->key_attno)
			return true;
	}
	return false;
}

/* Will the workers check a key (CzKeyIsOnShards), of which a table may not be distributed yet? */
static bool
is_on_workers(const CzKey *key, const CzKeyEnd *from, const CzKeyEnd *to)
{
	if (!is_distributed(from) || !to->is_ours)
		return false;
	if (to->kind == CZ_TABLE_REFERENCE)
		return true;
	if (from->kind != to->kind || from->colocation_id != to->colocation_id || from->colocation_id == 0 ||
		from->kind == CZ_TABLE_RANGE)
		return false;
	return from->kind == CZ_TABLE_SINGLE || has_distribution_columns(key, from, to);
}

/* The group of the tenant that a table is of; 0: none. */
static int
tenant_of(const CzKeyEnd *end)
{
	return cz_tenant_hooks.group(get_rel_namespace(end->relid));
}

/*
 * check_ends
 *		Raise why a foreign key can't be, if so.
 *
 * What workers do not check is checked here (CzKeyIsOnShards), whatever it joins; a tenant's
 * tables refer only to each other and to reference tables.
 */
static void
check_ends(const CzKey *key, const CzKeyEnd *planned)
{
	CzKeyEnd	from = end_of(key->from_relid, planned);
	CzKeyEnd	to = end_of(key->to_relid, planned);
	Oid			other = planned == NULL ? InvalidOid :
		is_planned(from.relid, planned) ? to.relid : from.relid;

	if (other != InvalidOid && is_together(other) &&
		!(from.is_ours && to.is_ours))
		return;
	if (key->has_period && (is_distributed(&from) || is_distributed(&to)) && !is_on_workers(key, &from, &to))
		refuse(key, _("It compares periods, which only a worker can that has all rows of both sides: both tables must be in one colocation group, with their distribution columns at the same place of the key, or the referenced table must be a reference table."),
			   NULL);
	if ((is_distributed(&from) || is_distributed(&to)) &&
			 !(to.is_ours && to.kind == CZ_TABLE_REFERENCE) &&
			 tenant_of(&from) != tenant_of(&to))
		refuse(key, _("Tables of a schema that is a tenant and others cannot refer to each other."),
			   psprintf(_("Make \"%s\" a reference table, or drop the foreign key."),
						get_rel_name(to.relid)));
}

/*
 * CzCheckForeignKey, CzCheckKeysOf
 *		See ddl.h.
 */
void
CzCheckForeignKey(Oid constraint_oid)
{
	check_ends(CzKeyGet(constraint_oid), NULL);
}

void
CzCheckKeysOf(const CzKeyEnd *planned)
{
	ListCell   *lc;

	foreach(lc, CzTreeForeignKeys(planned->relid, true))
		check_ends(CzKeyGet(lfirst_oid(lc)), planned);
	/* workers will check what is checked here */
	CzKeyActorsNoteOthers(planned->relid);
}

/*
 * CzKeyColocation
 *		See ddl.h.
 */
const CzTable *
CzKeyColocation(const CzKeyEnd *planned, Oid key_type, Oid key_collation)
{
	ListCell   *lc;

	foreach(lc, CzForeignKeys(planned->relid, true))
	{
		const CzKey *key = CzKeyGet(lfirst_oid(lc));
		Oid			other_relid = key->from_relid == planned->relid ? key->to_relid :
			key->from_relid;
		const CzTable *other = other_relid != planned->relid ? CzTableGet(other_relid) : NULL;
		CzKeyEnd	from;
		CzKeyEnd	to;

		if (other == NULL || other->kind != CZ_TABLE_HASH || other->key_type != key_type ||
			other->key_collation != key_collation)
			continue;
		from = end_of(key->from_relid, planned);
		to = end_of(key->to_relid, planned);
		if (has_distribution_columns(key, &from, &to))
			return other;
	}
	return NULL;
}
