/*-------------------------------------------------------------------------
 *
 * survey.c
 *	  What stands in the schema of shards on every worker, and what is prepared there.
 *
 * One query a worker, all workers at once, outside of the transaction.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "cluster_int.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "survey_int.h"

/* Columns of a relation; c is its row of pg_class */
#define COLUMNS_SQL \
	"(SELECT pg_catalog.string_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod), E'\\n' ORDER BY a.attname COLLATE \"C\") " \
	"FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"

/* What a row is about is in its first column, what it is called in its second. */
#define SURVEY_SQL \
	"SELECT 't', c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text, c.relispartition::text, pg_catalog.obj_description(c.oid, 'pg_class'), " \
	COLUMNS_SQL ", " \
	"(SELECT pg_catalog.string_agg(x.relname || E'\\n', '') FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisvalid) " \
	"FROM pg_catalog.pg_class c WHERE c.relnamespace = pg_catalog.to_regnamespace('cz_shards') AND c.relkind IN ('r', 'p') AND c.relname !~ '^cz_object(@|$)' " \
	"UNION ALL SELECT 'f', pg_catalog.quote_ident(p.proname) || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', NULL, NULL, NULL, NULL, NULL " \
	"FROM pg_catalog.pg_proc p WHERE p.pronamespace = pg_catalog.to_regnamespace('cz_shards') AND p.proname ~ '^cz_m[0-9]+_' " \
	"UNION ALL SELECT 'p', x.gid, x.prepared::text, NULL, NULL, NULL, NULL " \
	"FROM pg_catalog.pg_prepared_xacts x WHERE x.database = pg_catalog.current_database() AND pg_catalog.left(x.gid, 3) = 'cz_'"

enum
{
	COL_KIND,
	COL_NAME,
	COL_OWNER,
	COL_IS_PARTITION,
	COL_COMMENT,
	COL_COLUMNS,
	COL_INDEXES,
	NCOLUMNS
};

/* The number at the end of a shard's name, after the last underscore; 0: there is none. */
static int64
number_at_end(const char *name)
{
	const char *digits = strrchr(name, '_');
	char	   *end;
	int64		number;

	if (digits == NULL || digits[1] < '1' || digits[1] > '9')
		return 0;
	errno = 0;
	number = strtoll(digits + 1, &end, 10);
	return *end == '\0' && errno == 0 ? number : 0;
}

/* The move that a name "cz_m<move>_..." is of; 0: it is none. */
static int64
move_of_name(const char *name)
{
	return strncmp(name, "cz_m", 4) == 0 && name[4] >= '1' && name[4] <= '9' ?
		strtoll(name + 4, NULL, 10) : 0;
}

/* What a comment says: "cz_fdw move|dropped <cluster> <move>". */
static CzMark
read_mark(const char *comment, int64 *move_id)
{
	const char *cluster_id = CzTxnClusterId();
	const char *what = comment + strlen("cz_fdw ");
	CzMark		mark;

	*move_id = 0;
	if (strncmp(comment, "cz_fdw ", strlen("cz_fdw ")) != 0)
		return CZ_MARK_NONE;
	if (strncmp(what, "move ", strlen("move ")) == 0)
	{
		mark = CZ_MARK_MOVE;
		what += strlen("move ");
	}
	else if (strncmp(what, "dropped ", strlen("dropped ")) == 0)
	{
		mark = CZ_MARK_DROPPED;
		what += strlen("dropped ");
	}
	else
		return CZ_MARK_OTHER;
	if (cluster_id == NULL || strncmp(what, cluster_id, strlen(cluster_id)) != 0)
		return CZ_MARK_OTHER;
	*move_id = strtoll(what + strlen(cluster_id), NULL, 10);
	return mark;
}

static char *
value_of(PGresult *res, int row, int column)
{
	return PQgetisnull(res, row, column) ? NULL : pstrdup(PQgetvalue(res, row, column));
}

static void
take_table(CzSurvey *survey, PGresult *res, int row)
{
	char		key[NAMEDATALEN] = {0};
	CzFoundTable *table;
	char	   *comment = value_of(res, row, COL_COMMENT);

	strlcpy(key, PQgetvalue(res, row, COL_NAME), NAMEDATALEN);
	table = hash_search(survey->tables, key, HASH_ENTER, NULL);
	table->owner = value_of(res, row, COL_OWNER);
	table->is_partition = strcmp(PQgetvalue(res, row, COL_IS_PARTITION), "true") == 0;
	table->move_id = 0;
	table->comment = comment;
	table->mark = comment ? read_mark(comment, &table->move_id) : CZ_MARK_NONE;
	table->shard_id = number_at_end(key);
	if (table->mark == CZ_MARK_NONE && move_of_name(key) > 0)
	{
		/* what logs changes for a move, and what notes how far it is: no comments */
		table->mark = CZ_MARK_MOVE;
		table->move_id = move_of_name(key);
		table->shard_id = 0;
	}
	table->columns = value_of(res, row, COL_COLUMNS);
	table->indexes = value_of(res, row, COL_INDEXES);
	table->is_known = false;
}

/* A worker's answer. */
static void
take_answer(CzOutsideCommand *command, PGresult *res)
{
	CzSurvey   *survey = command->arg;
	int			i;

	if (PQnfields(res) != NCOLUMNS)
		return;
	for (i = 0; i < PQntuples(res); i++)
	{
		const char *kind = PQgetvalue(res, i, COL_KIND);

		if (kind[0] == 't')
			take_table(survey, res, i);
		else if (kind[0] == 'f')
		{
			CzFoundFunction *function = palloc0(sizeof(CzFoundFunction));

			function->name = value_of(res, i, COL_NAME);
			function->move_id = move_of_name(function->name);
			survey->functions = lappend(survey->functions, function);
		}
		else
		{
			CzFoundPrepared *prepared = palloc0(sizeof(CzFoundPrepared));

			prepared->gid = value_of(res, i, COL_NAME);
			prepared->prepared_at = value_of(res, i, COL_OWNER);
			survey->prepared = lappend(survey->prepared, prepared);
		}
	}
	survey->is_known = true;
}

static HTAB *
make_hash(void)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = NAMEDATALEN;
	control.entrysize = sizeof(CzFoundTable);
	control.hcxt = CurrentMemoryContext;
	return hash_create("cz tables found", 256, &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * CzSurveyTake
 *		See survey_int.h.
 */
List *
CzSurveyTake(List *nodes)
{
	List	   *surveys = NIL;
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, nodes)
	{
		const CzNode *node = lfirst(lc);
		CzSurvey   *survey = palloc0(sizeof(CzSurvey));
		CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

		survey->server_oid = node->server_oid;
		survey->node_name = node->name;
		survey->tables = make_hash();
		surveys = lappend(surveys, survey);
		command->server_oid = node->server_oid;
		command->sql = SURVEY_SQL;
		command->take = take_answer;
		command->arg = survey;
		commands = lappend(commands, command);
	}
	CzOutsideRun(commands, GetUserId(), false, true);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);
		CzSurvey   *survey = command->arg;

		survey->is_known &= command->is_ok;
		if (!command->is_ok)
			survey->error = command->answer;
	}
	return surveys;
}

/*
 * CzSurveyOf
 *		See survey_int.h.
 */
CzSurvey *
CzSurveyOf(List *surveys, Oid server_oid)
{
	ListCell   *lc;

	foreach(lc, surveys)
	{
		CzSurvey   *survey = lfirst(lc);

		if (survey->server_oid == server_oid)
			return survey->is_known ? survey : NULL;
	}
	return NULL;
}

/*
 * CzSurveyFind
 *		See survey_int.h.
 */
CzFoundTable *
CzSurveyFind(const CzSurvey *survey, const char *name)
{
	return hash_search(survey->tables, name, HASH_FIND, NULL);
}

/*
 * CzSurveyColumns
 *		See survey_int.h.
 */
char *
CzSurveyColumns(Oid relid)
{
	MemoryContext context = CurrentMemoryContext;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	char	   *value;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf("SELECT " COLUMNS_SQL " FROM pg_catalog.pg_class c WHERE c.oid = %u",
							 relid), false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look at relation %u", relid);
	if (SPI_processed != 1)
		CzObjectIsGone("relation", relid);
	value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	value = value ? MemoryContextStrdup(context, value) : NULL;
	SPI_finish();
	CzUnpinTextSettings(nestlevel);
	return value;
}
