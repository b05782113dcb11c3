/*-------------------------------------------------------------------------
 *
 * partial.c
 *	  Aggregates of schema cz_partial on the workers: they return the transition
 *	  state of an aggregate, for the planner's two-phase aggregation.
 *
 * A worker gets them when it is checked, all that exist here, by one block that
 * takes what it is not allowed to do (a state of type internal asks for a
 * superuser) as an answer.  The server option partial_aggregates remembers which
 * there are: "all", "plain" (no internal states) or, without the option, none.
 * The planner does without what is missing.
 *
 * cz_distribute_aggregate() adds an aggregate of a user's, with its functions, on
 * all workers.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "cluster_int.h"
#include "cz/compat.h"
#include "cz/ddl.h"
#include "cz/gone.h"
#include "cz/planner.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/trust.h"

PG_FUNCTION_INFO_V1(cz_distribute_aggregate);

/*
 * The command that makes an aggregate, as a query over its OID.  It is run here, and
 * on the workers to see whether theirs is the same.
 */
#define DEFINITION_SQL \
	"SELECT pg_catalog.format('CREATE OR REPLACE AGGREGATE %%s (sfunc = %%I.%%I, stype = %%s%%s%%s, parallel = safe)', " \
	"pg_catalog.format('" CZ_PARTIAL_SCHEMA ".%%I(%%s)', p.proname, CASE WHEN p.pronargs = 0 THEN '*' ELSE pg_catalog.oidvectortypes(p.proargtypes) END), " \
	"tn.nspname, tp.proname, pg_catalog.format_type(a.aggtranstype, NULL), " \
	"CASE WHEN fp.oid IS NOT NULL THEN pg_catalog.format(', finalfunc = %%I.%%I', fn.nspname, fp.proname) ELSE '' END, " \
	"CASE WHEN a.agginitval IS NOT NULL THEN pg_catalog.format(', initcond = %%L', a.agginitval) ELSE '' END) " \
	"FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc p ON p.oid = a.aggfnoid " \
	"JOIN pg_catalog.pg_proc tp ON tp.oid = a.aggtransfn " \
	"JOIN pg_catalog.pg_namespace tn ON tn.oid = tp.pronamespace " \
	"LEFT JOIN pg_catalog.pg_proc fp ON fp.oid = a.aggfinalfn " \
	"LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = fp.pronamespace " \
	"WHERE a.aggfnoid = %s"

/* One aggregate of cz_partial, as it is here. */
typedef struct Partial
{
	Oid			oid;
	char	   *signature;		/* qualified */
	char	   *definition;		/* what creates it */
	bool		is_internal;
	bool		is_built_in;	/* comes with the extension */
} Partial;

/* All aggregates of cz_partial here. */
static List *
list_partials(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	uint64		i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT p.oid, p.oid::pg_catalog.regprocedure::pg_catalog.text, "
					"a.aggtranstype OPERATOR(pg_catalog.=) 'pg_catalog.internal'::pg_catalog.regtype "
					"FROM pg_catalog.pg_proc p "
					"JOIN pg_catalog.pg_aggregate a ON a.aggfnoid OPERATOR(pg_catalog.=) p.oid "
					"WHERE p.pronamespace OPERATOR(pg_catalog.=) '" CZ_PARTIAL_SCHEMA "'::pg_catalog.regnamespace "
					"ORDER BY 1", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list aggregates");
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		MemoryContext old = MemoryContextSwitchTo(context);
		Partial    *partial = palloc0(sizeof(Partial));

		partial->oid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
		partial->signature = MemoryContextStrdup(context, SPI_getvalue(tuple, desc, 2));
		partial->is_internal = DatumGetBool(SPI_getbinval(tuple, desc, 3, &isnull));
		partial->is_built_in =
			OidIsValid(getExtensionOfObject(ProcedureRelationId, partial->oid));
		result = lappend(result, partial);
		MemoryContextSwitchTo(old);
	}
	if (result != NIL)
	{
		ListCell   *lc;

		foreach(lc, result)
		{
			Partial    *partial = lfirst(lc);
			char	   *sql = psprintf(DEFINITION_SQL, psprintf("%u", partial->oid));

			if (SPI_execute(sql, false, 1) != SPI_OK_SELECT || SPI_processed != 1)
				elog(ERROR, "no definition of aggregate %u", partial->oid);
			partial->definition =
				MemoryContextStrdup(context, SPI_getvalue(SPI_tuptable->vals[0],
														  SPI_tuptable->tupdesc, 1));
		}
	}
	SPI_finish();
	CzUnpinTextSettings(nestlevel);
	return result;
}

/*
 * A block that creates the aggregates on a worker where they are missing or differ.
 * is_strict: what can't be done is an error; else a setting of the session tells
 * which there are.
 */
static char *
creation_block(List *partials, bool is_same_major, bool is_strict)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	/* sessions and coordinators one after another; the number is this file's */
	appendStringInfoString(&buf,
						   "DECLARE plain bool := true; internal bool := true; BEGIN\n"
						   "PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);\n"
						   "PERFORM pg_catalog.set_config('cz_worker.partials', '', false);\n"
						   "PERFORM pg_catalog.pg_advisory_xact_lock(7233180264311752817);\n"
						   "IF pg_catalog.to_regnamespace('" CZ_PARTIAL_SCHEMA "') IS NULL THEN\n");
	if (!is_strict)
		appendStringInfoString(&buf, "BEGIN\n");
	appendStringInfoString(&buf,
						   "CREATE SCHEMA " CZ_PARTIAL_SCHEMA ";\n"
						   "GRANT USAGE ON SCHEMA " CZ_PARTIAL_SCHEMA " TO PUBLIC;\n");
	if (!is_strict)
		appendStringInfoString(&buf, "EXCEPTION WHEN OTHERS THEN RETURN; END;\n");
	appendStringInfoString(&buf, "END IF;\n");
	/* whoever owns the schema could put anything there */
	if (!is_strict)
		appendStringInfoString(&buf,
							   "IF NOT EXISTS (SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner "
							   "WHERE n.nspname = '" CZ_PARTIAL_SCHEMA "' AND (r.rolsuper OR r.rolname = current_user)) "
							   "THEN RETURN; END IF;\n");
	foreach(lc, partials)
	{
		Partial    *partial = lfirst(lc);

		if (partial->is_internal && !is_same_major)
		{
			appendStringInfoString(&buf, "internal := false;\n");
			continue;
		}
		appendStringInfo(&buf, "IF (%s) IS DISTINCT FROM %s THEN\n",
						 psprintf(DEFINITION_SQL,
								  psprintf("pg_catalog.to_regprocedure(%s)",
										   quote_literal_cstr(partial->signature))),
						 quote_literal_cstr(partial->definition));
		if (is_strict)
			appendStringInfo(&buf, "%s;\n", partial->definition);
		else
			appendStringInfo(&buf, "BEGIN\n%s;\nEXCEPTION WHEN OTHERS THEN %s := false; END;\n",
							 partial->definition, partial->is_internal ? "internal" : "plain");
		appendStringInfoString(&buf, "END IF;\n");
	}
	/* default privileges may say otherwise */
	if (!is_strict)
		appendStringInfoString(&buf,
							   "BEGIN GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA " CZ_PARTIAL_SCHEMA " TO PUBLIC; "
							   "EXCEPTION WHEN OTHERS THEN NULL; END;\n");
	appendStringInfoString(&buf,
						   "PERFORM pg_catalog.set_config('cz_worker.partials', "
						   "CASE WHEN NOT plain THEN '' WHEN internal THEN 'all' ELSE 'plain' END, false);\n"
						   "END");
	return psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(buf.data));
}

/* What the functions and the state's type of an aggregate are, as ObjectAddresses. */
static List *
parts_of(Oid aggfnoid)
{
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));
	Form_pg_aggregate form;
	ObjectAddress *addresses = palloc(3 * sizeof(ObjectAddress));
	List	   *result = NIL;

	if (!HeapTupleIsValid(tup))
		CzObjectIsGone("aggregate", aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	ObjectAddressSet(addresses[0], TypeRelationId, form->aggtranstype);
	ObjectAddressSet(addresses[1], ProcedureRelationId, form->aggtransfn);
	result = list_make2(&addresses[0], &addresses[1]);
	if (OidIsValid(form->aggfinalfn))
	{
		ObjectAddressSet(addresses[2], ProcedureRelationId, form->aggfinalfn);
		result = lappend(result, &addresses[2]);
	}
	ReleaseSysCache(tup);
	return result;
}

/* Run the block, and ask the session what came of it: palloc'd, or NULL for nothing. */
static char *
run_block(CzConn *conn, const char *block)
{
	PGresult   *res;
	char		value[16];

	PQclear(CzConnExec(conn, block));
	res = CzConnQuery(conn, "SELECT pg_catalog.current_setting('cz_worker.partials')", 1, 1, 1);
	strlcpy(value, PQgetvalue(res, 0, 0), sizeof(value));
	PQclear(res);
	return value[0] == '\0' ? NULL : pstrdup(value);
}

/* Is the worker of our major?  Else internal states may have another form. */
static bool
is_same_major(CzConn *conn)
{
	return PQserverVersion(conn->pg) / 10000 == PG_MAJORVERSION_NUM;
}

/* The block of all aggregates on a connection outside of the transaction. */
static char *
create_apart(Oid server_oid, List *partials)
{
	CzConn	   *conn = CzConnAcquire(CzEndpointGet(server_oid, GetUserId()));
	char	   *volatile value = NULL;

	PG_TRY();
	{
		value = run_block(conn, creation_block(partials, is_same_major(conn), false));
	}
	PG_FINALLY();
	{
		CzConnRelease(conn);
	}
	PG_END_TRY();
	return value;
}

/*
 * CzPartialsCreate
 *		See cluster_int.h.
 */
void
CzPartialsCreate(Oid server_oid)
{
	List	   *partials = list_partials();
	List	   *addresses = NIL;
	ListCell   *lc;
	char	   *value;

	foreach(lc, partials)
	{
		Partial    *partial = lfirst(lc);

		if (!partial->is_built_in)
			addresses = list_concat(addresses, parts_of(partial->oid));
	}
	/* what is built in does not depend on whether this transaction commits */
	if (addresses == NIL)
		value = create_apart(server_oid, partials);
	else
	{
		CzConn	   *conn = CzTxnConn(server_oid, GetUserId(), true);

		CzPropagateAddresses(addresses, list_make1_oid(server_oid), GetUserId());
		value = run_block(conn, creation_block(partials, is_same_major(conn), false));
	}
	CzNodeSetOption(server_oid, "partial_aggregates", value);
}

/* ---- aggregates of users ------------------------------------------------- */

static void
refuse(Oid aggfnoid, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("aggregate %s cannot be distributed", format_procedure(aggfnoid)),
			 errdetail("%s", detail)));
}

/* May it be computed in parts, as far as PostgreSQL itself would say? */
static void
check_aggregate(Oid aggfnoid)
{
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));
	HeapTuple	proc_tup;
	Form_pg_aggregate form;
	Form_pg_proc proc;
	int			i;

	if (!HeapTupleIsValid(tup))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not an aggregate", format_procedure(aggfnoid))));
	if (!function_ownercheck_compat(aggfnoid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_AGGREGATE, get_func_name(aggfnoid));
	form = (Form_pg_aggregate) GETSTRUCT(tup);
	proc_tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(aggfnoid));
	if (!HeapTupleIsValid(proc_tup))
		CzObjectIsGone("function", aggfnoid);
	proc = (Form_pg_proc) GETSTRUCT(proc_tup);

	if (form->aggkind != AGGKIND_NORMAL)
		refuse(aggfnoid, "It is an ordered-set or hypothetical-set aggregate.");
	if (!OidIsValid(form->aggcombinefn))
		refuse(aggfnoid, "It has no combine function.");
	if (form->aggtranstype == INTERNALOID && !OidIsValid(form->aggserialfn))
		refuse(aggfnoid, "It has no serialization function.");
	if (proc->proparallel != PROPARALLEL_SAFE)
		refuse(aggfnoid, "It is not PARALLEL SAFE.");
	if (OidIsValid(proc->provariadic))
		refuse(aggfnoid, "It is variadic.");
	if (get_typtype(form->aggtranstype) == TYPTYPE_PSEUDO &&
		form->aggtranstype != INTERNALOID)
		refuse(aggfnoid, "The type of its state is polymorphic.");
	/* it is created as a superuser, who reads the initial state */
	if (CzTypeRunsCode(form->aggtranstype))
		refuse(aggfnoid, "Reading its state runs functions of a domain or a range.");
	for (i = 0; i < proc->pronargs; i++)
	{
		if (IsPolymorphicType(proc->proargtypes.values[i]))
			refuse(aggfnoid, "It has polymorphic arguments.");
	}
	if (func_volatile(form->aggtransfn) != PROVOLATILE_IMMUTABLE ||
		(OidIsValid(form->aggserialfn) &&
		 func_volatile(form->aggserialfn) != PROVOLATILE_IMMUTABLE))
		refuse(aggfnoid, "Its transition or serialization function is not IMMUTABLE.");
	ReleaseSysCache(proc_tup);
	ReleaseSysCache(tup);
}

/* Create the aggregate of cz_partial here, as the owner of that schema. */
static Oid
create_here(Oid aggfnoid)
{
	Oid			schema = get_namespace_oid(CZ_PARTIAL_SCHEMA, false);
	HeapTuple	tup = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));
	Form_pg_aggregate form = (Form_pg_aggregate) GETSTRUCT(tup);
	Datum		initial;
	bool		isnull;
	StringInfoData sql;
	Oid		   *argtypes;
	int			nargs;
	int			i;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	ObjectAddress whole;
	ObjectAddress part;
	char	   *name = CzPartialAggregateName(aggfnoid);

	if (aggfnoid < FirstGenbkiObjectId)
		refuse(aggfnoid, "It is built in.");
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE OR REPLACE AGGREGATE %s(",
					 quote_qualified_identifier(CZ_PARTIAL_SCHEMA, name));
	(void) get_func_signature(aggfnoid, &argtypes, &nargs);
	for (i = 0; i < nargs; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", format_type_be_qualified(argtypes[i]));
	if (nargs == 0)
		appendStringInfoChar(&sql, '*');
	appendStringInfo(&sql, ") (sfunc = %s, stype = %s",
					 quote_qualified_identifier(get_namespace_name(get_func_namespace(form->aggtransfn)),
												get_func_name(form->aggtransfn)),
					 format_type_be_qualified(form->aggtranstype));
	if (OidIsValid(form->aggserialfn))
		appendStringInfo(&sql, ", finalfunc = %s",
						 quote_qualified_identifier(get_namespace_name(get_func_namespace(form->aggserialfn)),
													get_func_name(form->aggserialfn)));
	initial = SysCacheGetAttr(AGGFNOID, tup, Anum_pg_aggregate_agginitval, &isnull);
	if (!isnull)
		appendStringInfo(&sql, ", initcond = %s",
						 quote_literal_cstr(TextDatumGetCString(initial)));
	appendStringInfoString(&sql, ", parallel = safe)");
	ReleaseSysCache(tup);
	CzCatalogExec(sql.data, 0, NULL, NULL, NULL);
	CzUnpinTextSettings(nestlevel);
	CommandCounterIncrement();

	ObjectAddressSet(whole, ProcedureRelationId, aggfnoid);
	ObjectAddressSet(part, ProcedureRelationId,
					 GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
									 PointerGetDatum(buildoidvector(argtypes, nargs)),
									 ObjectIdGetDatum(schema)));
	if (!OidIsValid(part.objectId))
		elog(ERROR, "no aggregate was created");
	/* dropped with the whole one */
	deleteDependencyRecordsForSpecific(ProcedureRelationId, part.objectId, DEPENDENCY_AUTO,
									   ProcedureRelationId, aggfnoid);
	recordDependencyOn(&part, &whole, DEPENDENCY_AUTO);
	return part.objectId;
}

/*
 * cz_distribute_aggregate
 *		Let the workers compute an aggregate in part.  Its functions are created there
 *		as far as they are not built in.
 */
Datum
cz_distribute_aggregate(PG_FUNCTION_ARGS)
{
	Oid			aggfnoid = PG_GETARG_OID(0);
	Oid			partial_oid;
	List	   *servers = NIL;
	List	   *mine = NIL;
	ListCell   *lc;

	check_aggregate(aggfnoid);
	LockDatabaseObject(ProcedureRelationId, aggfnoid, 0, ShareUpdateExclusiveLock);
	partial_oid = create_here(aggfnoid);
	foreach(lc, list_partials())
	{
		if (((Partial *) lfirst(lc))->oid == partial_oid)
			mine = lappend(mine, lfirst(lc));
	}
	Assert(list_length(mine) == 1);
	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);

		if (!node->is_checked)
			continue;
		servers = lappend_oid(servers, node->server_oid);
	}
	CzPropagateAddresses(parts_of(partial_oid), servers, GetUserId());
	foreach(lc, servers)
	{
		CzTxnExec(lfirst_oid(lc), GetUserId(), creation_block(mine, true, true));
		/* one that has no others at all now has these */
		if (CzNodePartials(lfirst_oid(lc)) == CZ_PARTIALS_NONE)
			CzNodeSetOption(lfirst_oid(lc), "partial_aggregates", "plain");
	}
	PG_RETURN_VOID();
}
