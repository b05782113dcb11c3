/*-------------------------------------------------------------------------
 *
 * explain_remote.c
 *	  The text of a fragment for people, and what a worker plans to do with it.
 *
 * A remote plan is the worker's plain EXPLAIN, also under ANALYZE: nothing runs
 * twice.  Values of parameters are not sent; the worker shows its generic plan.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "commands/defrem.h"
#include "commands/explain.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_node.h"
#include "utils/builtins.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "executor_int.h"

/* EXPLAIN (REMOTE), (REMOTE 'all'): what cz.explain_remote_plans is, for one statement. */
static void
set_remote(ExplainState *es, DefElem *opt, ParseState *pstate)
{
	CzRemotePlans *wanted = palloc(sizeof(CzRemotePlans));
	const char *value = opt->arg ? defGetString(opt) : "one";
	bool		is_on;

	if (pg_strcasecmp(value, "all") == 0)
		*wanted = CZ_REMOTE_PLANS_ALL;
	else if (pg_strcasecmp(value, "one") == 0)
		*wanted = CZ_REMOTE_PLANS_ONE;
	else if (pg_strcasecmp(value, "none") == 0)
		*wanted = CZ_REMOTE_PLANS_NONE;
	else if (parse_bool(value, &is_on))
		*wanted = is_on ? CZ_REMOTE_PLANS_ONE : CZ_REMOTE_PLANS_NONE;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized value for EXPLAIN option \"%s\": \"%s\"", opt->defname, value),
				 errhint("Valid values are: one, 'all', none."),
				 parser_errposition(pstate, opt->location)));
	set_explain_state_compat(es, wanted);
}

/*
 * CzExplainRemoteInit, CzExplainRemoteWanted
 *		See executor_int.h.
 */
void
CzExplainRemoteInit(void)
{
	register_explain_option_compat("remote", set_remote);
}

CzRemotePlans
CzExplainRemoteWanted(ExplainState *es)
{
	const CzRemotePlans *wanted = explain_state_compat(es);

	return wanted != NULL ? *wanted : cz_explain_remote_plans;
}

/*
 * A query that stands for the rows of a shipment: their number and types, values
 * that the worker's planner knows nothing of.
 */
static char *
shipment_stand_in(const CzShipment *shipment)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "(SELECT ");
	for (i = 0; i < list_length(shipment->column_types); i++)
		appendStringInfo(&buf, "%sCASE WHEN g > 0 THEN NULL::%s END%s AS c%d",
						 i > 0 ? ", " : "",
						 format_type_extended(list_nth_oid(shipment->column_types, i),
											  list_nth_int(shipment->column_typmods, i),
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY),
						 CzShipmentColumnCollate(shipment, i), i + 1);
	appendStringInfo(&buf, " FROM pg_catalog.generate_series(1, %.0f) AS g OFFSET 0)",
					 Max(1, rint(Min(shipment->rows, 1e9))));
	return buf.data;
}

/* Lines and indentation become single blanks; what is quoted stays. */
static char *
on_one_line(const char *sql)
{
	char	   *result = palloc(strlen(sql) + 1);
	char	   *to = result;
	char		quote = '\0';
	const char *from;

	for (from = sql; *from; from++)
	{
		if (quote != '\0')
		{
			if (*from == quote)
				quote = '\0';	/* a doubled one opens again at once */
		}
		else if (*from == '\'' || *from == '"')
			quote = *from;
		else if (*from == '\n' || *from == ' ')
		{
			if (to > result && to[-1] != ' ')
				*to++ = ' ';
			continue;
		}
		*to++ = *from;
	}
	while (to > result && to[-1] == ' ')
		to--;
	*to = '\0';
	return result;
}

/*
 * CzExplainShownShard
 *		The shard whose fragment stands for all, or -1: there is none.
 */
int
CzExplainShownShard(const CzFragmentPlan *plan)
{
	const CzTable *table;

	if (!OidIsValid(plan->anchor_relid))
		return 0;
	table = CzTableGet(plan->anchor_relid);
	if (table == NULL || table->nshards == 0)
		return -1;
	if (plan->is_pruned)
		return plan->shard_indexes != NIL ? linitial_int(plan->shard_indexes) : -1;
	return 0;
}

/*
 * CzExplainSql
 *		The text of one shard's fragment for people.
 *
 * shipment_names: what stands for each shipment.
 */
char *
CzExplainSql(const CzFragmentPlan *plan, int shard_index, char **shipment_names)
{
	return on_one_line(CzFragmentSqlOfShards(plan, list_make1_int(shard_index),
											 shipment_names, NULL, NULL));
}

/* The same for a worker's planner. */
static char *
plannable_sql(const CzFragmentPlan *plan, int shard_index)
{
	char	  **texts = palloc(sizeof(char *) * Max(list_length(plan->shipments), 1));
	ListCell   *lc;

	foreach(lc, plan->shipments)
		texts[foreach_current_index(lc)] = shipment_stand_in(lfirst(lc));
	return CzFragmentSqlOfShards(plan, list_make1_int(shard_index), texts, NULL,
								 NULL);
}

static List *
result_lines(PGresult *res)
{
	List	   *lines = NIL;
	int			i;

	for (i = 0; i < PQntuples(res); i++)
		lines = lappend(lines, pstrdup(PQgetvalue(res, i, 0)));
	PQclear(res);
	return lines;
}

/*
 * Ask one worker.  Parameters have no values here: the statement is prepared, and
 * explained as its generic plan, in a transaction or savepoint that is undone.
 */
static List *
fetch_remote_plan(const CzFragmentPlan *plan, const char *sql, Oid server_oid,
				  Oid user_oid, char **node_name, ExplainState *es)
{
	static unsigned int counter = 0;
	CzConn	   *conn = CzTxnReadConn(server_oid, user_oid);
	bool		is_own = conn == NULL;
	StringInfoData options;
	List	   *lines;

	if (is_own)
		conn = CzConnAcquire(CzEndpointGet(server_oid, user_oid));
	*node_name = pstrdup(conn->node_name);
	initStringInfo(&options);
	appendStringInfo(&options, "EXPLAIN (COSTS %s, VERBOSE %s) ",
					 es->costs ? "on" : "off", es->verbose ? "on" : "off");
	if (plan->nparams == 0)
	{
		appendStringInfoString(&options, sql);
		lines = result_lines(CzConnQuery(conn, options.data, 0, -1, 1));
	}
	else
	{
		char	   *name = psprintf("cz_explain_%u", ++counter);
		int			i;

		PQclear(CzConnExec(conn, psprintf("%s; SET LOCAL plan_cache_mode = force_generic_plan",
										  is_own ? "BEGIN READ ONLY" :
										  "SAVEPOINT cz_explain")));
		PQclear(CzConnExec(conn, psprintf("PREPARE %s AS %s", name, sql)));
		appendStringInfo(&options, "EXECUTE %s (", name);
		for (i = 0; i < plan->nparams; i++)
			appendStringInfoString(&options, i > 0 ? ", NULL" : "NULL");
		appendStringInfoChar(&options, ')');
		lines = result_lines(CzConnQuery(conn, options.data, 0, -1, 1));
		PQclear(CzConnExec(conn, psprintf("DEALLOCATE %s; %s", name, is_own ? "ROLLBACK" :
										  "ROLLBACK TO SAVEPOINT cz_explain; "
										  "RELEASE SAVEPOINT cz_explain")));
	}
	if (is_own)
		CzConnRelease(conn);
	return lines;
}

static void
explain_one(const CzFragmentPlan *plan, int shard_index, const CzShard *shard,
			ExplainState *es)
{
	Oid			user_oid = OidIsValid(plan->check_as_user) ?
		plan->check_as_user : GetUserId();
	char	   *node_name;
	List	   *lines;
	ListCell   *lc;

	lines = fetch_remote_plan(plan, plannable_sql(plan, shard_index),
							  shard->server_oids[0], user_oid, &node_name, es);
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyText("Remote Plan", shard->shard_id == 0 ? node_name :
							psprintf("shard " INT64_FORMAT " on %s", shard->shard_id,
									 node_name), es);
		foreach(lc, lines)
		{
			appendStringInfoSpaces(es->str, (es->indent + 1) * 2);
			appendStringInfo(es->str, "%s\n", (char *) lfirst(lc));
		}
		return;
	}
	ExplainOpenGroup("Remote Plan", NULL, true, es);
	ExplainPropertyInteger("Shard", NULL, shard->shard_id, es);
	ExplainPropertyText("Node Name", node_name, es);
	ExplainPropertyList("Plan", lines, es);
	ExplainCloseGroup("Remote Plan", NULL, true, es);
}

/*
 * CzExplainRemotePlans
 *		Show what the workers plan for one or all fragments.
 *
 * Errors: those of the workers, 08001 and 08006 when one is down.
 */
void
CzExplainRemotePlans(const CzFragmentPlan *plan, ExplainState *es)
{
	const CzTable *table = NULL;
	int			shown = CzExplainShownShard(plan);
	int			i;

	if (OidIsValid(plan->anchor_relid))
		table = CzTableGet(plan->anchor_relid);
	else if (plan->relids != NIL)
		table = CzTableGet(linitial_oid(plan->relids));
	if (shown < 0 || table == NULL)
		return;

	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainOpenGroup("Remote Plans", "Remote Plans", false, es);
	for (i = 0; i < table->nshards; i++)
	{
		if (CzExplainRemoteWanted(es) == CZ_REMOTE_PLANS_ONE || plan->prune_param >= 0 ?
			i != shown : plan->is_pruned && !list_member_int(plan->shard_indexes, i))
			continue;
		if (table->shards[i].nplacements > 0)
			explain_one(plan, i, &table->shards[i], es);
	}
	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainCloseGroup("Remote Plans", "Remote Plans", false, es);
}
