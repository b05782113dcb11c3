/*-------------------------------------------------------------------------
 *
 * commands.c
 *	  A user's commands on workers and on the coordinator, outside of what the cluster
 *	  knows of its tables: under the functions run_command_on_workers() and its kin,
 *	  which sql/70-scripts.sql makes of these two.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/cmdtag.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "cz/compat.h"
#include "cz/transaction.h"
#include "cluster_int.h"

PG_FUNCTION_INFO_V1(cz_run_on_workers);
PG_FUNCTION_INFO_V1(cz_run_here);

/*
 * cz_run_on_workers(servers oid[], commands text[], is_parallel boolean)
 *		Run each command on its server; a row for each, in their order, which says whether
 *		it has worked and what its first value, its tag or its error is.
 */
Datum
cz_run_on_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum	   *servers;
	Datum	   *texts;
	bool	   *server_nulls;
	bool	   *text_nulls;
	int			nservers;
	int			ntexts;
	List	   *commands = NIL;
	List	   *sent = NIL;
	ListCell   *lc;
	int			i;

	/* a copy of the coordinator must not touch the original's shards */
	CzTxnCheckCoordinator();
	InitMaterializedSRF(fcinfo, 0);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), OIDOID, sizeof(Oid), true, TYPALIGN_INT,
					  &servers, &server_nulls, &nservers);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &texts, &text_nulls, &ntexts);
	if (nservers != ntexts)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("there must be as many servers as commands")));
	for (i = 0; i < nservers; i++)
	{
		CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

		commands = lappend(commands, command);
		if (server_nulls[i])
			command->answer = "shard has no active placement";
		else if (text_nulls[i])
			command->answer = "command is null";
		else
		{
			command->server_oid = CzNodeGet(DatumGetObjectId(servers[i]))->server_oid;
			command->sql = TextDatumGetCString(texts[i]);
			sent = lappend(sent, command);
		}
	}
	CzOutsideRun(sent, GetUserId(), true, PG_GETARG_BOOL(2));

	i = 0;
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);
		Datum		values[3];
		bool		nulls[3] = {0};

		values[0] = Int32GetDatum(++i);
		values[1] = BoolGetDatum(command->is_ok);
		nulls[2] = command->answer == NULL;
		values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(command->answer);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The tag of the last command of a text, as a client would see it. */
static char *
tag_of(const char *sql, uint64 processed)
{
	List	   *parsed = pg_parse_query(sql);
	QueryCompletion completion;
	char		text[COMPLETION_TAG_BUFSIZE];

	if (parsed == NIL)
		return NULL;
	SetQueryCompletion(&completion, CreateCommandTag((Node *) llast_node(RawStmt, parsed)),
					   processed);
	if (!command_tag_display_rowcount(completion.commandTag))
		return pstrdup(GetCommandTagName(completion.commandTag));
	snprintf(text, sizeof(text), completion.commandTag == CMDTAG_INSERT ? "%s 0 " UINT64_FORMAT :
			 "%s " UINT64_FORMAT, GetCommandTagName(completion.commandTag), processed);
	return pstrdup(text);
}

/* Its first value or its tag, in the caller's context. */
static char *
run_by_spi(const char *sql, MemoryContext context)
{
	char	   *answer = NULL;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql, false, 0) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run transaction control or COPY through a client in a function")));
	if (SPI_tuptable == NULL)
		answer = tag_of(sql, SPI_processed);
	else if (SPI_processed > 0 && SPI_tuptable->tupdesc->natts > 0)
		answer = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (answer != NULL)
		answer = MemoryContextStrdup(context, answer);
	SPI_finish();
	return answer;
}

/*
 * cz_run_here(command text, OUT success boolean, OUT result text)
 *		The same on the coordinator, in this session and its transaction; what it has done
 *		before it failed is undone.
 */
Datum
cz_run_here(PG_FUNCTION_ARGS)
{
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile answer = NULL;
	volatile bool is_ok = false;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		answer = run_by_spi(sql, context);
		ReleaseCurrentSubTransaction();
		is_ok = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		/* as a PL's handler of OTHERS: a cancel ends the statement */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_ASSERT_FAILURE)
			ReThrowError(error);
		answer = psprintf("ERROR:  %s", error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	values[0] = BoolGetDatum(is_ok);
	nulls[1] = answer == NULL;
	values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(answer);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
