/*-------------------------------------------------------------------------
 *
 * image.c
 *	  What a table looks like, as far as its shards look alike: columns, CHECKs, keys,
 *	  indexes, storage parameters; by name, as text.
 *
 * Two images, from before and after a statement, tell what the statement has done
 * (diff.c), whatever it was.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "ddl_int.h"

/*
 * CzUsesSystemColumn
 *		See ddl.h.
 */
bool
CzUsesSystemColumn(Node *expr)
{
	Bitmapset  *columns = NULL;
	int			x = -1;

	pull_varattnos(expr, 1, &columns);
	while ((x = bms_next_member(columns, x)) >= 0)
	{
		if (x + FirstLowInvalidHeapAttributeNumber <= 0)
			return true;
	}
	return false;
}

/*
 * CzConstraintUsesSystemColumn, CzGeneratedUsesSystemColumn
 *		See ddl_int.h.
 */
bool
CzConstraintUsesSystemColumn(Oid constraint_oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	Datum		bin;
	bool		isnull;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
	bin = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conbin, &isnull);
	result = !isnull && CzUsesSystemColumn(stringToNode(TextDatumGetCString(bin)));
	ReleaseSysCache(tuple);
	return result;
}

bool
CzGeneratedUsesSystemColumn(Oid relid, AttrNumber attno)
{
	Relation	rel = relation_open(relid, NoLock);
	bool		result = CzUsesSystemColumn(build_column_default(rel, attno));

	relation_close(rel, NoLock);
	return result;
}

/*
 * CzOptionsSql
 *		See ddl_int.h.
 */
char *
CzOptionsSql(Datum options)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	if (options == (Datum) 0)
		return buf.data;
	foreach(lc, untransformRelOptions(options))
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (CzIsInternalOption(def->defname))
			continue;
		CzRequireOption(def->defname);
		appendStringInfoString(&buf, buf.len > 0 ? ", " : "(");
		/* "toast.autovacuum_enabled" is two words */
		if (strncmp(def->defname, "toast.", 6) == 0)
			appendStringInfo(&buf, "toast.%s", quote_identifier(def->defname + 6));
		else
			appendStringInfoString(&buf, quote_identifier(def->defname));
		appendStringInfo(&buf, " = %s", quote_literal_cstr(defGetString(def)));
	}
	if (buf.len > 0)
		appendStringInfoChar(&buf, ')');
	return buf.data;
}

static void
read_column(CzColumnImage *column, Relation rel, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	HeapTuple	tuple;
	Datum		datum;
	bool		isnull;

	column->is_dropped = att->attisdropped;
	if (att->attisdropped)
		return;
	column->name = pstrdup(NameStr(att->attname));
	column->type = att->atttypid;
	column->typmod = att->atttypmod;
	column->collation = att->attcollation;
	column->is_not_null = att->attnotnull;
	column->is_not_valid = att->attnotnull &&
		!not_null_is_valid_compat(RelationGetDescr(rel), attno);
	column->generated = att->attgenerated;
	column->storage = att->attstorage;
	column->compression = att->attcompression;
	if (att->attgenerated)
		column->expression = CzGeneratedSql(rel, attno);
	column->statistics = CzStatisticsTarget(RelationGetRelid(rel), attno);

	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(RelationGetRelid(rel)),
							Int16GetDatum(attno));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for column %d of relation %u", attno,
			 RelationGetRelid(rel));
	datum = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attoptions, &isnull);
	column->options = isnull ? (Datum) 0 : PointerGetDatum(DatumGetArrayTypePCopy(datum));
	ReleaseSysCache(tuple);
}

static Bitmapset *
check_columns(Relation catalog, HeapTuple tuple)
{
	Bitmapset  *columns = NULL;
	bool		isnull;
	Datum		bin = heap_getattr(tuple, Anum_pg_constraint_conbin, RelationGetDescr(catalog),
								   &isnull);

	if (!isnull)
		pull_varattnos(stringToNode(TextDatumGetCString(bin)), 1, &columns);
	return columns;
}

static Bitmapset *
index_columns(Relation index)
{
	Bitmapset  *columns = NULL;
	int			i;

	for (i = 0; i < index->rd_index->indnatts; i++)
		columns = bms_add_member(columns, index->rd_index->indkey.values[i] -
								 FirstLowInvalidHeapAttributeNumber);
	pull_varattnos((Node *) CzIndexClauses(index), 1, &columns);
	return columns;
}

/* CHECKs, in order of names, or foreign keys; what is not enforced the shards have not. */
static List *
read_constraints(Relation rel, char contype)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(rel)));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		CzObjectImage *object;

		if (form->contype != contype || !constraint_is_enforced_compat(form) ||
			(contype == CONSTRAINT_FOREIGN && OidIsValid(form->conparentid)))
			continue;
		object = palloc0(sizeof(CzObjectImage));
		object->oid = form->oid;
		object->name = pstrdup(NameStr(form->conname));
		object->text = CzConstraintSql(form->oid);
		object->is_valid = form->convalidated;
		object->is_deferrable = form->condeferrable;
		object->is_deferred = form->condeferred;
		object->is_kept_here = contype == CONSTRAINT_FOREIGN && !CzKeyIsOnShards(form->oid);
		if (contype == CONSTRAINT_CHECK)
			object->columns = check_columns(catalog, tuple);
		result = lappend(result, object);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

static void
read_deferrable(CzObjectImage *object, Oid constraint_oid)
{
	HeapTuple	tuple;

	if (!OidIsValid(constraint_oid))
		return;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint_oid);
	object->is_deferrable = ((Form_pg_constraint) GETSTRUCT(tuple))->condeferrable;
	object->is_deferred = ((Form_pg_constraint) GETSTRUCT(tuple))->condeferred;
	ReleaseSysCache(tuple);
}

static CzObjectImage *
read_index(Oid index_oid)
{
	CzObjectImage *object = palloc0(sizeof(CzObjectImage));
	Relation	index = index_open(index_oid, AccessShareLock);
	Form_pg_index form = index->rd_index;
	HeapTuple	tuple;
	Datum		datum;
	bool		isnull;

	object->oid = index_oid;
	object->name = pstrdup(RelationGetRelationName(index));
	object->is_valid = form->indisvalid;
	object->is_clustered = form->indisclustered;
	object->is_identity = form->indisreplident;
	object->is_primary = form->indisprimary;
	object->columns = index_columns(index);
	read_deferrable(object, get_index_constraint(index_oid));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index_oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", index_oid);
	datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	object->options = isnull ? (Datum) 0 : PointerGetDatum(DatumGetArrayTypePCopy(datum));
	ReleaseSysCache(tuple);
	index_close(index, AccessShareLock);
	object->index = CzIndexDefGet(index_oid);
	object->text = object->index->text;
	return object;
}

static int
by_name(const ListCell *a, const ListCell *b)
{
	return strcmp(((const CzObjectImage *) lfirst(a))->name,
				  ((const CzObjectImage *) lfirst(b))->name);
}

static void
read_columns(CzImage *image, Relation rel)
{
	int			i;

	image->ncolumns = RelationGetNumberOfAttributes(rel);
	image->columns = palloc0(sizeof(CzColumnImage) * Max(image->ncolumns, 1));
	for (i = 0; i < image->ncolumns; i++)
		read_column(&image->columns[i], rel, i + 1);
	image->checks = read_constraints(rel, CONSTRAINT_CHECK);
	list_sort(image->checks, by_name);
}

/*
 * CzColumnsImage
 *		Columns and CHECKs of a table, what its leaves have of it too.
 */
CzImage *
CzColumnsImage(Oid relid)
{
	CzImage    *image = palloc0(sizeof(CzImage));
	Relation	rel = relation_open(relid, NoLock);
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);

	image->relid = relid;
	read_columns(image, rel);
	CzUnpinTextSettings(nestlevel);
	relation_close(rel, NoLock);
	return image;
}

/*
 * CzTableImage
 *		All that a table's shards have of it.
 */
CzImage *
CzTableImage(Oid relid)
{
	CzImage    *image = palloc0(sizeof(CzImage));
	Relation	rel = relation_open(relid, NoLock);
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	image->relid = relid;
	read_columns(image, rel);
	foreach(lc, indexes)
		image->indexes = lappend(image->indexes, read_index(lfirst_oid(lc)));
	list_sort(image->indexes, by_name);
	image->foreign_keys = read_constraints(rel, CONSTRAINT_FOREIGN);
	image->options = CzTableOptions(relid);
	image->replica_identity = rel->rd_rel->relreplident;
	image->persistence = rel->rd_rel->relpersistence;
	CzUnpinTextSettings(nestlevel);
	relation_close(rel, NoLock);
	return image;
}
