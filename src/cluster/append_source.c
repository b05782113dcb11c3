/*-------------------------------------------------------------------------
 *
 * append_source.c
 *	  What is appended to a range table: a relation here, or a worker's table, which is
 *	  read through a foreign table that lives as long as the append.
 *
 * The source is read twice, first its keys and then its rows, so writers are kept out
 * where the user may lock it.  Where not (a user who may only read it), a row that comes in
 * between and fits no shard is an error (23514), and nothing has happened.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"

#include "append_int.h"
#include "cz/compat.h"
#include "cz/ddl.h"
#include "cz/gone.h"
#include "cz/metadata.h"
#include "cz/transaction.h"
#include "distribute_int.h"

/*
 * The columns of the table that the source must have: all but generated ones.  names: those
 * of the source, char *.
 */
static char *
match_columns(Oid relid, List *names, const char *source_name)
{
	Relation	rel = relation_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData buf;
	ListCell   *lc;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated)
			continue;
		if (!CzListHasString(names, NameStr(att->attname)))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("cannot append table \"%s\" to table \"%s\": column \"%s\" is missing",
							source_name, RelationGetRelationName(rel), NameStr(att->attname)),
					 errhint("The columns must have the same names as in the distributed table.")));
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 quote_identifier(NameStr(att->attname)));
	}
	foreach(lc, names)
	{
		if (get_attnum(relid, lfirst(lc)) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("cannot append table \"%s\" to table \"%s\": that has no column \"%s\"",
							source_name, RelationGetRelationName(rel), (char *) lfirst(lc)),
					 errhint("The columns must have the same names as in the distributed table.")));
	}
	relation_close(rel, NoLock);
	return buf.data;
}

/*
 * CzAppendSourceHere
 *		See append_int.h.
 */
void
CzAppendSourceHere(CzAppendSource *source, Oid source_relid, Oid relid)
{
	Relation	rel;
	List	   *names = NIL;
	int			i;

	memset(source, 0, sizeof(*source));
	if (source_relid == relid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot append table \"%s\" to itself", CzNameOf(relid))));
	/* what LOCK TABLE asks for */
	if (pg_class_aclcheck(source_relid, GetUserId(),
						  ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE) == ACLCHECK_OK)
		LockRelationOid(source_relid, ShareLock);
	rel = CzOpenRelation(source_relid, AccessShareLock);
	for (i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		if (!att->attisdropped)
			names = lappend(names, pstrdup(NameStr(att->attname)));
	}
	source->columns = match_columns(relid, names, RelationGetRelationName(rel));
	source->qualified = CzRelationName(source_relid);
	relation_close(rel, NoLock);
}

/* The columns of a worker's table, which is locked: list of char *. */
static List *
lock_there(Oid server_oid, const char *schema, const char *table)
{
	CzConn	   *conn = CzTxnConn(server_oid, GetUserId(), true);
	char	   *qualified = CzQualifiedName(schema, table);
	PGresult   *res;
	List	   *names = NIL;
	int			i;

	PQclear(CzConnExec(conn, psprintf("LOCK TABLE %s IN SHARE MODE", qualified)));
	res = CzConnQuery(conn, psprintf("SELECT a.attname FROM pg_catalog.pg_attribute a"
									 " WHERE a.attrelid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass"
									 " AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped",
									 quote_literal_cstr(qualified)), 0, -1, 1);
	for (i = 0; i < PQntuples(res); i++)
		names = lappend(names, pstrdup(PQgetvalue(res, i, 0)));
	PQclear(res);
	return names;
}

/*
 * CzAppendSourceThere
 *		See append_int.h.
 */
void
CzAppendSourceThere(CzAppendSource *source, Oid server_oid, const char *name, Oid relid)
{
	List	   *path = stringToQualifiedNameList_compat(name);
	char	   *schema;
	char	   *table;
	List	   *names;
	Relation	rel;
	StringInfoData sql;
	int			i;

	memset(source, 0, sizeof(*source));
	/* as for a foreign table of the user's own: the mapping may be another role's */
	if (!DatumGetBool(DirectFunctionCall2(has_server_privilege_id, ObjectIdGetDatum(server_oid),
										  CStringGetTextDatum("USAGE"))))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, CzNodeGet(server_oid)->name);
	DeconstructQualifiedName(path, &schema, &table);
	if (schema == NULL)
		schema = "public";
	names = lock_there(server_oid, schema, table);
	source->columns = match_columns(relid, names, table);

	/* in a schema that everybody may use; nobody else sees it before it goes; types without
	 * modifiers: what is too long is an error of the INSERT */
	source->qualified = psprintf("cz.append_source_%d", MyProcPid);
	source->is_ours = true;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", source->qualified);
	rel = relation_open(relid, NoLock);
	for (i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		if (att->attisdropped || att->attgenerated)
			continue;
		appendStringInfo(&sql, "%s%s %s", sql.data[sql.len - 1] == '(' ? "" : ", ",
						 quote_identifier(NameStr(att->attname)),
						 format_type_extended(att->atttypid, -1, FORMAT_TYPE_FORCE_QUALIFY));
	}
	relation_close(rel, NoLock);
	appendStringInfo(&sql, ") SERVER %s OPTIONS (schema_name %s, table_name %s)",
					 quote_identifier(CzNodeGet(server_oid)->name), quote_literal_cstr(schema),
					 quote_literal_cstr(table));
	(void) CzCatalogExec(sql.data, 0, NULL, NULL, NULL);
	CommandCounterIncrement();
	(void) CzCatalogExec(psprintf("GRANT SELECT ON %s TO %s", source->qualified,
								  quote_identifier(GetUserNameFromId(GetUserId(), false))),
						 0, NULL, NULL, NULL);
	CommandCounterIncrement();
}

/*
 * CzAppendSourceEnd
 *		See append_int.h.
 */
void
CzAppendSourceEnd(CzAppendSource *source)
{
	if (!source->is_ours)
		return;
	(void) CzCatalogExec(psprintf("DROP FOREIGN TABLE %s", source->qualified), 0, NULL, NULL, NULL);
	CommandCounterIncrement();
}
