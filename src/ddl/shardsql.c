/*-------------------------------------------------------------------------
 *
 * shardsql.c
 *	  The SQL text that makes a shard on a worker look like its table.
 *
 * A table's definition is read from the catalogs once (CzTableDefGet) and
 * printed once per shard.  Every name in it is qualified, so the text does not
 * depend on the worker's search_path.  Shards carry no defaults and no
 * identity: those are evaluated on the coordinator, once.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/toast_compression.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "ddl_int.h"

/*
 * CzQualifiedName
 *		See ddl.h.
 */
char *
CzQualifiedName(const char *schema, const char *name)
{
	return quote_qualified_identifier(schema, name);
}

/*
 * CzQualifiedIndex
 *		See ddl.h.
 */
char *
CzQualifiedIndex(const CzShard *shard, const char *name)
{
	return CzQualifiedName(shard->remote_schema, CzShardIndexName(name, shard->name_id));
}

static void
require_collation(Oid collation, const char *what)
{
	CollateExpr *expr = makeNode(CollateExpr);

	expr->collOid = collation;
	CzRequireKnown((Node *) expr, what);
}

/*
 * CzCollationSql
 *		A collation's qualified name.
 *
 * Errors:  0A000 if a worker is too old to have it.
 */
char *
CzCollationSql(Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	require_collation(collation, psprintf("a column with collation \"%s\"", NameStr(form->collname)));
	result = quote_qualified_identifier(get_namespace_name(form->collnamespace),
										NameStr(form->collname));
	ReleaseSysCache(tuple);
	return result;
}

/* Text of a stored expression of a relation. */
static char *
expression_sql(Relation rel, const char *bin)
{
	List	   *context = deparse_context_for(RelationGetRelationName(rel),
											 RelationGetRelid(rel));

	return deparse_expression((Node *) stringToNode(bin), context, false, false);
}

/*
 * CzGeneratedSql
 *		The expression of a generated column.
 */
char *
CzGeneratedSql(Relation rel, AttrNumber attno)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;
	int			i;

	for (i = 0; constr && i < constr->num_defval; i++)
	{
		if (constr->defval[i].adnum == attno)
			return expression_sql(rel, constr->defval[i].adbin);
	}
	elog(ERROR, "generated column %d of relation \"%s\" has no expression",
		 attno, RelationGetRelationName(rel));
	return NULL;
}

/*
 * CzColumnSql
 *		See ddl.h.
 */
char *
CzColumnSql(Relation rel, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	StringInfoData buf;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s %s", quote_identifier(NameStr(att->attname)),
					 CzTypeSql(att->atttypid, att->atttypmod));
	if (CompressionMethodIsValid(att->attcompression))
		appendStringInfo(&buf, " COMPRESSION %s",
						 GetCompressionMethodName(att->attcompression));
	if (OidIsValid(att->attcollation) &&
		att->attcollation != get_typcollation(att->atttypid))
		appendStringInfo(&buf, " COLLATE %s", CzCollationSql(att->attcollation));
	if (is_virtual_column_compat(att))
		CzRequireMajor(18, "a virtual generated column");
	if (att->attgenerated)
		appendStringInfo(&buf, " GENERATED ALWAYS AS (%s) %s", CzGeneratedSql(rel, attno),
						 is_virtual_column_compat(att) ? "VIRTUAL" : "STORED");
	if (att->attnotnull && not_null_is_valid_compat(RelationGetDescr(rel), attno))
		appendStringInfoString(&buf, " NOT NULL");
	CzUnpinTextSettings(nestlevel);
	return buf.data;
}

/*
 * CzStatisticsTarget
 *		Of a column or a part of an index; -1: the default.
 */
int
CzStatisticsTarget(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attno));
	Datum		datum;
	bool		isnull;
	int			result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for column %d of relation %u", attno, relid);
	datum = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attstattarget, &isnull);
	result = isnull ? -1 : DatumGetStatisticsTarget_compat(datum);
	ReleaseSysCache(tuple);
	return result;
}

/* " (...)" for the options of a column, or "". */
static char *
column_options(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attno));
	Datum		datum;
	bool		isnull;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for column %d of relation %u", attno, relid);
	datum = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attoptions, &isnull);
	result = CzOptionsSql(isnull ? (Datum) 0 : datum);
	ReleaseSysCache(tuple);
	return result;
}

/* Storage, statistics target and options of a column, where they aren't the default. */
static List *
column_alters(Relation rel, List *alters)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = quote_identifier(NameStr(att->attname));
		char	   *options;

		if (att->attisdropped)
			continue;
		options = column_options(RelationGetRelid(rel), att->attnum);
		if (options[0] != '\0')
			alters = lappend(alters, psprintf("ALTER COLUMN %s SET %s", name, options));
		if (CzStatisticsTarget(RelationGetRelid(rel), att->attnum) >= 0)
			alters = lappend(alters,
							 psprintf("ALTER COLUMN %s SET STATISTICS %d", name,
									  CzStatisticsTarget(RelationGetRelid(rel), att->attnum)));
		if (att->attstorage != get_typstorage(att->atttypid))
		{
			const char *storage = NULL;

			switch (att->attstorage)
			{
				case TYPSTORAGE_PLAIN:
					storage = "PLAIN";
					break;
				case TYPSTORAGE_EXTERNAL:
					storage = "EXTERNAL";
					break;
				case TYPSTORAGE_EXTENDED:
					storage = "EXTENDED";
					break;
				case TYPSTORAGE_MAIN:
					storage = "MAIN";
					break;
			}
			if (storage)
				alters = lappend(alters,
								 psprintf("ALTER COLUMN %s SET STORAGE %s", name, storage));
		}
	}
	return alters;
}

/* " WITH (...)" for the storage parameters of a table, or "". */
static char *
reloptions_sql(Oid relid)
{
	char	   *options = CzOptionsSql(CzTableOptions(relid));

	return options[0] ? psprintf(" WITH %s", options) : options;
}

/*
 * CzConstraintSql
 *		Definition of a constraint, names qualified.
 */
char *
CzConstraintSql(Oid constraint_oid)
{
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	Datum		definition = OidFunctionCall1(F_PG_GET_CONSTRAINTDEF_OID,
											  ObjectIdGetDatum(constraint_oid));

	CzUnpinTextSettings(nestlevel);
	return TextDatumGetCString(definition);
}

static CzUncheckedDef *
make_unchecked(char *drop, char *add, bool is_inherited)
{
	CzUncheckedDef *def = palloc(sizeof(CzUncheckedDef));

	def->drop = drop;
	def->add = add;
	def->is_inherited = is_inherited;
	return def;
}

/*
 * CHECK constraints of a table that anything is checked by, in name order, appended to buf;
 * those that are NOT VALID, which CREATE TABLE would make valid, to unchecked.
 */
static void
checks_sql(StringInfo buf, List **unchecked, Relation rel)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(rel)));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
		Datum		definition;

		if (con->contype != CONSTRAINT_CHECK || !constraint_is_enforced_compat(con))
			continue;
		definition = OidFunctionCall1(F_PG_GET_CONSTRAINTDEF_OID, ObjectIdGetDatum(con->oid));
		if (con->convalidated)
			appendStringInfo(buf, ", CONSTRAINT %s %s", quote_identifier(NameStr(con->conname)),
							 TextDatumGetCString(definition));
		else
			*unchecked = lappend(*unchecked,
								 make_unchecked(psprintf("DROP CONSTRAINT IF EXISTS %s",
														 quote_identifier(NameStr(con->conname))),
												psprintf("ADD CONSTRAINT %s %s",
														 quote_identifier(NameStr(con->conname)),
														 TextDatumGetCString(definition)),
												con->coninhcount > 0));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* The same for NOT NULL. */
static List *
unchecked_not_nulls(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *result = NIL;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = quote_identifier(NameStr(att->attname));

		if (att->attisdropped || !att->attnotnull || not_null_is_valid_compat(desc, i + 1))
			continue;
		CzRequireMajor(18, "a NOT NULL constraint that is NOT VALID");
		result = lappend(result,
						 make_unchecked(psprintf("ALTER COLUMN %s DROP NOT NULL", name),
										psprintf("ADD NOT NULL %s NOT VALID", name),
										not_null_is_inherited_compat(RelationGetRelid(rel), i + 1)));
	}
	return result;
}

/* "(...)" for the storage parameters of an index, or ""; its constraint does not tell. */
static char *
index_options(Relation index)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(RelationGetRelid(index)));
	Datum		datum;
	bool		isnull;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", RelationGetRelid(index));
	datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	result = CzOptionsSql(isnull ? (Datum) 0 : datum);
	ReleaseSysCache(tuple);
	return result;
}

/* Has a distributed table partitions of its user's? */
static bool
is_tree(Oid relid)
{
	const CzTable *table = CzTableGet(relid);

	return table != NULL && table->is_partitioned;
}

/*
 * CzIndexDefGet
 *		The definition of an index, to be repeated on every shard.
 */
CzIndexDef *
CzIndexDefGet(Oid index_oid)
{
	CzIndexDef *def = palloc0(sizeof(CzIndexDef));
	Relation	index = index_open(index_oid, AccessShareLock);
	Oid			constraint_oid = get_index_constraint(index_oid);
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	int			i;

	def->name = pstrdup(RelationGetRelationName(index));
	def->is_unique = index->rd_index->indisunique;
	def->is_clustered = index->rd_index->indisclustered;
	def->is_identity = index->rd_index->indisreplident;
	/* WITHOUT OVERLAPS is kept so */
	if (index->rd_index->indisunique && index->rd_index->indisexclusion)
		CzRequireMajor(18, "a key with WITHOUT OVERLAPS");
	if (index->rd_index->indnullsnotdistinct)
		CzRequireMajor(15, "an index with NULLS NOT DISTINCT");
	for (i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		require_collation(index->rd_indcollation[i],
						  psprintf("index \"%s\"", RelationGetRelationName(index)));
	def->is_only = !index->rd_index->indisvalid && is_tree(index->rd_index->indrelid);
	if (OidIsValid(constraint_oid))
	{
		def->is_constraint = true;
		def->text = TextDatumGetCString(OidFunctionCall1(F_PG_GET_CONSTRAINTDEF_OID,
														 ObjectIdGetDatum(constraint_oid)));
		if (index_options(index)[0])
			def->alters = lappend(def->alters, psprintf("SET %s", index_options(index)));
	}
	else
	{
		char	   *full = TextDatumGetCString(OidFunctionCall1(F_PG_GET_INDEXDEF_OID,
																ObjectIdGetDatum(index_oid)));
		Oid			relid = index->rd_index->indrelid;
		char	   *prefix;

		/* what ruleutils.c prints first; the rest is the same on a shard */
		prefix = psprintf("CREATE %sINDEX %s ON %s%s ",
						  index->rd_index->indisunique ? "UNIQUE " : "",
						  quote_identifier(RelationGetRelationName(index)),
						  index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX ? "ONLY " : "",
						  quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
													 get_rel_name(relid)));
		if (strncmp(full, prefix, strlen(prefix)) != 0)
			elog(ERROR, "definition of index \"%s\" does not begin as expected",
				 RelationGetRelationName(index));
		def->text = full + strlen(prefix);
	}

	for (i = 0; i < RelationGetDescr(index)->natts; i++)
	{
		int			target = CzStatisticsTarget(index_oid, i + 1);

		if (target >= 0)
			def->alters = lappend(def->alters,
								  psprintf("ALTER COLUMN %d SET STATISTICS %d", i + 1, target));
	}
	CzUnpinTextSettings(nestlevel);
	index_close(index, AccessShareLock);
	return def;
}

/* " PARTITION BY ..." of a table that its user has partitioned, or "". */
static char *
partition_by_sql(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	const CzTable *table = CzTableGet(relid);

	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE ||
		(table ? !table->is_partitioned : CzIsParent(relid)))
		return "";
	return psprintf(" PARTITION BY %s",
					TextDatumGetCString(OidFunctionCall1(F_PG_GET_PARTKEYDEF,
														 ObjectIdGetDatum(relid))));
}

/*
 * CzTableDefGet
 *		See ddl.h.
 */
CzTableDef *
CzTableDefGet(Relation rel)
{
	const CzTable *table = CzTableGet(RelationGetRelid(rel));
	CzTableDef *def = palloc0(sizeof(CzTableDef));
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData buf;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	List	   *indexes;
	ListCell   *lc;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", CzColumnSql(rel, i + 1));
	}
	def->unchecked = unchecked_not_nulls(rel);
	checks_sql(&buf, &def->unchecked, rel);
	def->columns = buf.data;
	def->partition_by = partition_by_sql(rel);
	def->is_unlogged = rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED &&
		(table == NULL || !CzTableIsReplicated(table));
	def->with = reloptions_sql(RelationGetRelid(rel));
	def->alters = column_alters(rel, NIL);
	if (rel->rd_rel->relreplident == REPLICA_IDENTITY_FULL ||
		rel->rd_rel->relreplident == REPLICA_IDENTITY_NOTHING)
		def->alters = lappend(def->alters,
							  rel->rd_rel->relreplident == REPLICA_IDENTITY_FULL ?
							  "REPLICA IDENTITY FULL" : "REPLICA IDENTITY NOTHING");

	indexes = RelationGetIndexList(rel);
	foreach(lc, indexes)
	{
		/* that not all shards may have, and maybe cannot have (concurrently.c) */
		if (!get_index_isvalid(lfirst_oid(lc)) && !is_tree(RelationGetRelid(rel)))
			continue;
		def->indexes = lappend(def->indexes, CzIndexDefGet(lfirst_oid(lc)));
	}
	CzUnpinTextSettings(nestlevel);
	return def;
}

/*
 * CzShardCreateSql
 *		See ddl.h.
 */
void
CzShardCreateSql(StringInfo sql, const CzTableDef *def, const CzShard *shard,
				 const char *check)
{
	ListCell   *lc;

	appendStringInfo(sql, "CREATE %sTABLE %s (%s%s%s)%s%s;\n",
					 def->is_unlogged ? "UNLOGGED " : "", shard->remote_qualified,
					 def->columns, check && def->columns[0] ? ", " : "", check ? check : "",
					 def->partition_by, def->with);
	foreach(lc, def->alters)
		appendStringInfo(sql, "ALTER TABLE %s %s;\n", shard->remote_qualified,
						 (char *) lfirst(lc));
}

/*
 * CzShardIndexSql
 *		SQL that creates one index or constraint on one shard.
 */
void
CzShardIndexSql(StringInfo sql, const CzIndexDef *index, const CzShard *shard)
{
	char	   *name = CzShardIndexName(index->name, shard->name_id);
	ListCell   *lc;

	if (index->is_constraint)
		appendStringInfo(sql, "ALTER TABLE %s%s ADD CONSTRAINT %s %s;\n",
						 index->is_only ? "ONLY " : "", shard->remote_qualified,
						 quote_identifier(name), index->text);
	else
		appendStringInfo(sql, "CREATE %sINDEX %s ON %s%s %s;\n",
						 index->is_unique ? "UNIQUE " : "", quote_identifier(name),
						 index->is_only ? "ONLY " : "", shard->remote_qualified, index->text);
	foreach(lc, index->alters)
		appendStringInfo(sql, "ALTER INDEX %s %s;\n",
						 CzQualifiedName(shard->remote_schema, name), (char *) lfirst(lc));
}

/*
 * CzShardRolesSql, CzShardIndexesSql, CzShardUncheckedSql
 *		See ddl.h.
 */
void
CzShardRolesSql(StringInfo sql, const CzTableDef *def, const CzShard *shard)
{
	ListCell   *lc;

	foreach(lc, def->indexes)
	{
		const CzIndexDef *index = lfirst(lc);
		const char *name = quote_identifier(CzShardIndexName(index->name, shard->name_id));

		if (index->is_clustered)
			appendStringInfo(sql, "ALTER TABLE %s CLUSTER ON %s;\n", shard->remote_qualified, name);
		if (index->is_identity)
			appendStringInfo(sql, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;\n",
							 shard->remote_qualified, name);
	}
}

void
CzShardIndexesSql(StringInfo sql, const CzTableDef *def, const CzShard *shard)
{
	ListCell   *lc;

	foreach(lc, def->indexes)
		CzShardIndexSql(sql, (CzIndexDef *) lfirst(lc), shard);
	CzShardRolesSql(sql, def, shard);
}

void
CzShardUncheckedSql(StringInfo sql, const CzTableDef *def, const CzShard *shard, bool drops)
{
	ListCell   *lc;

	foreach(lc, def->unchecked)
	{
		const CzUncheckedDef *unchecked = lfirst(lc);

		if (drops)
			appendStringInfo(sql, "ALTER TABLE %s %s;\n", shard->remote_qualified,
							 unchecked->drop);
		else
			appendStringInfo(sql, "ALTER TABLE %s %s, %s;\n", shard->remote_qualified,
							 unchecked->drop, unchecked->add);
	}
}

/*
 * CzNumberedColumns
 *		See cz/ddl.h.
 */
char *
CzNumberedColumns(int n, const char *prefix)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 1; i <= n; i++)
		appendStringInfo(&buf, "%s%sc%d", i > 1 ? ", " : "", prefix, i);
	return buf.data;
}
