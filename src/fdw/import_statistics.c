/*-------------------------------------------------------------------------
 *
 * import_statistics.c
 *	  ANALYZE of a table with one shard: its statistics are those that the worker has just
 *	  made, instead of rows from which this server would make the same (18 and later).
 *
 * Not where there are several shards: how many distinct values all of them have, and where
 * the bounds of histograms are, cannot be told from what each of them has.  Nor where the
 * table has extended statistics, which only rows give, or the worker sorts otherwise.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/fdw.h"
#include "cz/remote.h"
#include "fdw_int.h"

/* A column of pg_stats that is imported, and its type there. */
typedef struct Figure
{
	const char *name;
	const char *type;
	int			major;			/* that has it */
} Figure;

static const Figure figures[] = {
	{"null_frac", "float4", 14},
	{"avg_width", "int4", 14},
	{"n_distinct", "float4", 14},
	{"most_common_vals", "text", 14},
	{"most_common_freqs", "float4[]", 14},
	{"histogram_bounds", "text", 14},
	{"correlation", "float4", 14},
	{"most_common_elems", "text", 14},
	{"most_common_elem_freqs", "float4[]", 14},
	{"elem_count_histogram", "float4[]", 14},
	{"range_length_histogram", "text", 17},
	{"range_empty_frac", "float4", 17},
	{"range_bounds_histogram", "text", 17}
};

struct CzStatistics
{
	Oid			relid;
	List	   *commands;		/* SQL */
};

/* Is a column among those that the command names?  NIL: all are. */
static bool
is_named(List *columns, const char *name)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (strcmp(strVal(lfirst(lc)), name) == 0)
			return true;
	}
	return columns == NIL;
}

/*
 * As ANALYZE of core: who runs it is not to run what the table's owner has put into input
 * functions and domains.
 */
static int
become_owner(Oid relid, Oid *save_user, int *save_context)
{
	int			level = NewGUCNestLevel();

	GetUserIdAndSecContext(save_user, save_context);
	SetUserIdAndSecContext(CzRelationOwner(relid), *save_context | SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

static void
become_caller(int level, Oid save_user, int save_context)
{
	AtEOXact_GUC(false, level);
	SetUserIdAndSecContext(save_user, save_context);
}

/* Can the statistics of the only shard be those of the table? */
static bool
can_import(const CzTable *table)
{
	Relation	rel;
	Oid			save_user;
	int			save_context;
	int			level;
	bool		result;

	if (!CZ_IMPORTS_STATISTICS_COMPAT || !CzTableIsDistributed(table) || table->nshards != 1 ||
		table->is_partitioned || !CzDefaultCollationIsShared())
		return false;
	rel = RelationIdGetRelation(table->relid);
	if (!RelationIsValid(rel))
		return false;
	result = RelationGetStatExtList(rel) == NIL;
	RelationClose(rel);
	/* owners may have taken the privilege from themselves */
	level = become_owner(table->relid, &save_user, &save_context);
	result = result && may_maintain_compat(table->relid);
	become_caller(level, save_user, save_context);
	return result;
}

/* What pg_stats has of the shard's columns: name, then the figures; NULL: it has not. */
static PGresult *
ask(CzConn *conn, const CzShard *shard)
{
	int			major = PQserverVersion(conn->pg) / 10000;
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT s.attname");
	for (i = 0; i < lengthof(figures); i++)
		appendStringInfo(&sql, ", %s%s", figures[i].major <= major ? "s." : "NULL AS ",
						 figures[i].name);
	appendStringInfo(&sql, " FROM pg_catalog.pg_stats s WHERE s.schemaname OPERATOR(pg_catalog.=) %s"
					 " AND s.tablename OPERATOR(pg_catalog.=) %s AND NOT s.inherited",
					 quote_literal_cstr(shard->remote_schema),
					 quote_literal_cstr(shard->remote_name));
	return CzConnQuery(conn, sql.data, 0, -1, 1 + lengthof(figures));
}

/* The statement that gives a column of the table one row of the answer. */
static char *
restore_sql(const char *schema, const char *name, const char *column, CzConn *conn,
			const PGresult *res, int row)
{
	char	   *who = psprintf("'schemaname', %s::pg_catalog.text, 'relname', %s::pg_catalog.text, "
							   "'attname', %s::pg_catalog.text, 'inherited', true",
							   quote_literal_cstr(schema), quote_literal_cstr(name),
							   quote_literal_cstr(column));
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	/* what is not given would stay as it is */
	appendStringInfo(&sql, "SELECT pg_catalog.pg_clear_attribute_stats(%s, %s, %s, true), "
					 "pg_catalog.pg_restore_attribute_stats(%s, 'version', %d",
					 quote_literal_cstr(schema), quote_literal_cstr(name),
					 quote_literal_cstr(column), who, PQserverVersion(conn->pg));
	for (i = 0; i < lengthof(figures); i++)
	{
		if (!PQgetisnull(res, row, 1 + i))
			appendStringInfo(&sql, ", '%s', %s::pg_catalog.%s", figures[i].name,
							 quote_literal_cstr(PQgetvalue(res, row, 1 + i)),
							 figures[i].type);
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * CzStatisticsFetch
 *		See cz/fdw.h.
 */
CzStatistics *
CzStatisticsFetch(const CzTable *table, List *columns)
{
	CzStatistics *result;
	const CzShard *shard = &table->shards[0];
	char	   *schema = get_namespace_name(get_rel_namespace(table->relid));
	char	   *name = get_rel_name(table->relid);
	CzConn	   *conn;
	double		rows = -1;

	if (!can_import(table) || schema == NULL || name == NULL)
		return NULL;
	result = palloc0(sizeof(CzStatistics));
	result->relid = table->relid;
	conn = CzFdwReadConnOfShard(shard, CzRelationOwner(table->relid));
	PG_TRY();
	{
		PGresult   *res = CzConnQuery(conn,
									  psprintf("SELECT c.reltuples FROM pg_catalog.pg_class c WHERE c.oid = %s::pg_catalog.regclass",
											   quote_literal_cstr(shard->remote_qualified)), 1, 1, 1);
		int			row;
		int			attno;

		if (!CzResultFigure(res, 0, 0, &rows))
			rows = -1;
		PQclear(res);
		res = ask(conn, shard);
		for (row = 0; row < PQntuples(res); row++)
		{
			for (attno = 1; attno <= table->natts; attno++)
			{
				char	   *column;

				if (table->column_names[attno - 1] == NULL ||
					strcmp(table->column_names[attno - 1], PQgetvalue(res, row, 0)) != 0)
					continue;
				column = get_attname(table->relid, attno, true);
				if (column != NULL && is_named(columns, column))
					result->commands = lappend(result->commands,
											   restore_sql(schema, name, column, conn, res, row));
			}
		}
		PQclear(res);
	}
	PG_FINALLY();
	{
		CzFdwReadConnRelease(conn);
	}
	PG_END_TRY();
	if (rows <= 0 || result->commands == NIL)
		return NULL;
	CzAnalyzeWithoutRows(table->relid, rows);
	return result;
}

/*
 * CzStatisticsStore
 *		See cz/fdw.h.
 */
void
CzStatisticsStore(CzStatistics *statistics)
{
	ListCell   *lc;
	Oid			save_user;
	int			save_context;
	int			level = become_owner(statistics->relid, &save_user, &save_context);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	foreach(lc, statistics->commands)
	{
		int			result = SPI_execute(lfirst(lc), false, 0);

		if (result < 0)
			elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	}
	SPI_finish();
	become_caller(level, save_user, save_context);
}
