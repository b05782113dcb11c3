/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Write the extension's own catalog tables, and say which workers a table
 *	  lives on.
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
#include "access/xact.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

PG_FUNCTION_INFO_V1(cz_tables_restored);

/*
 * CzCatalogExec
 *		Run a command on the tables of schema cz through SPI, whoever the user
 *		is; names in it are qualified.
 *
 * Returns: number of rows affected or returned.
 */
uint64
CzCatalogExec(const char *sql, int nargs, Oid *argtypes, Datum *values, const char *nulls)
{
	Oid			save_user;
	int			save_context;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	int			result;
	uint64		processed;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	cz_internal_ddl_depth++;
	PG_TRY();
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		result = SPI_execute_with_args(sql, nargs, argtypes, values, nulls, false, 0);
		if (result < 0)
			elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
		processed = SPI_processed;
		SPI_finish();
	}
	PG_FINALLY();
	{
		cz_internal_ddl_depth--;
	}
	PG_END_TRY();
	CzUnpinTextSettings(nestlevel);
	SetUserIdAndSecContext(save_user, save_context);
	return processed;
}

/*
 * cz_tables_restored
 *		Statement trigger of cz.tables: rows that none of our functions has entered come
 *		from a dump.  Until cz_take_over() this database is not the coordinator of their
 *		shards, also before the dump's row of cz.cluster is there, which says so too.
 */
Datum
cz_tables_restored(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"cz.tables_restored")));
	if (cz_internal_ddl_depth == 0)
		(void) CzCatalogExec("DELETE FROM cz.cluster_owner", 0, NULL, NULL, NULL);
	return PointerGetDatum(NULL);
}

/* Storage parameters as one of our catalog tables has them; *found: it has a row. */
static Datum
read_options(const char *catalog_name, const char *index_name, Oid relid, bool *found)
{
	Oid			catalog_oid = CzCatalogRelid(catalog_name);
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		result = (Datum) 0;
	AttrNumber	attno;

	*found = false;
	if (!OidIsValid(catalog_oid))
		return result;
	catalog = table_open(catalog_oid, AccessShareLock);
	attno = get_attnum(catalog_oid, "reloptions");
	ScanKeyInit(&key, get_attnum(catalog_oid, "relid"), BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, CzCatalogRelid(index_name), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	*found = HeapTupleIsValid(tuple);
	if (*found && attno != InvalidAttrNumber)
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, attno, RelationGetDescr(catalog), &isnull);

		if (!isnull)
			result = PointerGetDatum(DatumGetArrayTypePCopy(datum));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * CzCatalogOptions
 *		See ddl_int.h.
 */
Datum
CzCatalogOptions(Oid relid)
{
	bool		found;
	Datum		result = read_options("tables", "tables_pkey", relid, &found);

	return found ? result : read_options("partitions", "partitions_pkey", relid, &found);
}

/*
 * CzCatalogSetOptions
 *		See ddl.h.  Writes only what is new.
 */
void
CzCatalogSetOptions(Oid relid, Datum options)
{
	Datum		old = CzCatalogOptions(relid);
	Oid			argtypes[2] = {OIDOID, TEXTARRAYOID};
	Datum		values[2];
	char		nulls[3] = "  ";

	if ((old == (Datum) 0 && options == (Datum) 0) ||
		(old != (Datum) 0 && options != (Datum) 0 && datum_image_eq(old, options, false, -1)))
		return;
	values[0] = ObjectIdGetDatum(relid);
	values[1] = options;
	if (options == (Datum) 0)
		nulls[1] = 'n';
	(void) CzCatalogExec("UPDATE cz.tables SET reloptions = $2 WHERE relid OPERATOR(pg_catalog.=) $1",
						 2, argtypes, values, nulls);
	(void) CzCatalogExec("UPDATE cz.partitions SET reloptions = $2 WHERE relid OPERATOR(pg_catalog.=) $1",
						 2, argtypes, values, nulls);
	CommandCounterIncrement();
}

/*
 * CzTableServers
 *		See ddl.h.
 */
List *
CzTableServers(const CzTable *table)
{
	List	   *result = NIL;
	int			i;
	int			j;

	for (i = 0; i < table->nshards; i++)
	{
		for (j = 0; j < table->shards[i].nplacements; j++)
			result = list_append_unique_oid(result, table->shards[i].server_oids[j]);
	}
	return result;
}

/*
 * CzRemoveShardDefaults
 *		See ddl.h.  Generated columns stay as they are.
 */
void
CzRemoveShardDefaults(Oid shard_relid)
{
	/* what does not set defaults (VALIDATE) keeps no reader waiting */
	Relation	rel = relation_open(shard_relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *attnos = NIL;
	ListCell   *lc;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && att->atthasdef && !att->attgenerated)
			attnos = lappend_int(attnos, att->attnum);
	}
	relation_close(rel, NoLock);
	foreach(lc, attnos)
		RemoveAttrDefault(shard_relid, lfirst_int(lc), DROP_RESTRICT, false, true);
}

/*
 * CzWithLockTimeout
 *		A script of DDL that gives up when it can't get its locks on a worker.
 *
 * Other sessions wait for our local lock already.  What is left is a cursor of
 * this session that reads the table through another connection, and for that
 * one we would wait for ever.
 */
char *
CzWithLockTimeout(const char *sql)
{
	int			timeout_ms = LockTimeout > 0 ? Min(LockTimeout, cz_worker_timeout_ms) :
		cz_worker_timeout_ms;

	return psprintf("SET LOCAL lock_timeout TO %d;\n%s;\nSET LOCAL lock_timeout TO DEFAULT",
					timeout_ms, sql);
}

/*
 * What makes workers read and write texts as the user's session does, for the values of
 * columns that change their type; the session's own settings (remote/session.c) come back.
 */
static char *
as_user_sql(const char *sql)
{
	static const char *const names[] = {
		"datestyle", "intervalstyle", "extra_float_digits", "bytea_output", "lc_monetary",
		"xmlbinary"
	};
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "DECLARE cz_old text[] := ARRAY[");
	for (i = 0; i < lengthof(names); i++)
		appendStringInfo(&buf, "%spg_catalog.current_setting('%s')", i > 0 ? ", " : "", names[i]);
	appendStringInfoString(&buf, "]; BEGIN\n");
	for (i = 0; i < lengthof(names); i++)
		appendStringInfo(&buf, "PERFORM pg_catalog.set_config('%s', %s, true);\n", names[i],
						 quote_literal_cstr(GetConfigOption(names[i], false, false)));
	appendStringInfo(&buf, "EXECUTE %s;\n", quote_literal_cstr(sql));
	for (i = 0; i < lengthof(names); i++)
		appendStringInfo(&buf, "PERFORM pg_catalog.set_config('%s', cz_old[%d], true);\n",
						 names[i], i + 1);
	appendStringInfoString(&buf, "END");
	return psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(buf.data));
}

/* Are these settings of the user's other ones than those of the workers' sessions? */
static bool
has_own_settings(void)
{
	return DateStyle != USE_ISO_DATES || IntervalStyle != INTSTYLE_POSTGRES ||
		extra_float_digits < 1;
}

/*
 * CzRunOnPlacements
 *		Run SQL that make writes for each shard on all its active placements, in
 *		one transaction.  A worker that is disabled gets its shards anew when it comes
 *		back.  Workers work in parallel.
 */
void
CzRunOnPlacements(const CzTable *table, CzMakeSql make, void *arg)
{
	CzRunOnPlacementsAs(table, CzRelationOwner(table->relid), false, make, arg);
}

/*
 * CzRunOnPlacementsAs
 *		See ddl_int.h.
 */
void
CzRunOnPlacementsAs(const CzTable *table, Oid owner, bool as_user, CzMakeSql make, void *arg)
{
	List	   *servers = NIL;
	List	   *scripts = NIL;
	List	   *commands = NIL;
	ListCell   *lc;
	ListCell   *lc2;
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];
		StringInfoData sql;
		int			j;

		initStringInfo(&sql);
		make(&sql, shard, arg);
		for (j = 0; j < shard->nplacements; j++)
		{
			Oid			server_oid = shard->server_oids[j];
			StringInfo	script = NULL;

			forboth(lc, servers, lc2, scripts)
			{
				if (lfirst_oid(lc) == server_oid)
					script = lfirst(lc2);
			}
			if (script == NULL)
			{
				script = makeStringInfo();
				servers = lappend_oid(servers, server_oid);
				scripts = lappend(scripts, script);
			}
			appendStringInfoString(script, sql.data);
		}
		pfree(sql.data);
	}

	forboth(lc, servers, lc2, scripts)
	{
		CzTxnCommand *command;

		if (((StringInfo) lfirst(lc2))->len == 0)
			continue;
		command = palloc(sizeof(CzTxnCommand));
		command->server_oid = lfirst_oid(lc);
		command->sql = ((StringInfo) lfirst(lc2))->data;
		if (as_user && has_own_settings())
			command->sql = as_user_sql(command->sql);
		command->sql = CzWithLockTimeout(command->sql);
		commands = lappend(commands, command);
	}
	if (commands != NIL)
		CzTxnExecList(commands, owner);
}

/* Is a trigger one of those that keep the copies of a reference table equal? */
static bool
is_replicating(const Trigger *trigger)
{
	return trigger->tgisinternal && strncmp(trigger->tgname, "!cz_", 4) == 0;
}

/*
 * CzReferenceHasTriggers
 *		See ddl.h.
 */
bool
CzReferenceHasTriggers(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	bool		result = false;
	int			i;

	for (i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
		result |= is_replicating(&rel->trigdesc->triggers[i]);
	relation_close(rel, AccessShareLock);
	return result;
}

/*
 * CzHasCoresTriggers
 *		See ddl_int.h.
 */
bool
CzHasCoresTriggers(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	bool		result = false;
	int			i;

	for (i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
		result |= rel->trigdesc->triggers[i].tgisinternal &&
			!is_replicating(&rel->trigdesc->triggers[i]);
	relation_close(rel, AccessShareLock);
	return result;
}

/*
 * CzReferenceSetTriggers
 *		See ddl_int.h.
 */
void
CzReferenceSetTriggers(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);
	List	   *names = NIL;
	ListCell   *lc;
	Oid			save_user;
	int			save_context;
	int			i;

	for (i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		if (is_replicating(&rel->trigdesc->triggers[i]))
			names = lappend(names, pstrdup(rel->trigdesc->triggers[i].tgname));
	}
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   save_context | SECURITY_LOCAL_USERID_CHANGE);
	foreach(lc, names)
		enable_trigger_compat(rel, lfirst(lc), TRIGGER_FIRES_ALWAYS);
	SetUserIdAndSecContext(save_user, save_context);
	relation_close(rel, NoLock);
	CommandCounterIncrement();
}
