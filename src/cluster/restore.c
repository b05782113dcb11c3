/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  After pg_dump's script has rebuilt the catalogs: cz_finish_restore() makes good what
 *	  no SQL command could say, and compares the catalogs with what is on the workers.
 *
 * The script creates foreign tables, attaches them, and adds keys and indexes to
 * the parent alone.  What is missing then: indexes of parents count as invalid,
 * secondary servers could be dropped, reference tables have no triggers.
 *
 * And the dump may be older than the workers: shards have been moved, dropped and created
 * since.  A shard is its number: where it is found it is, if it does not bear the mark of a
 * move that has taken it away or has not brought it yet.  What cannot be known is told and
 * left alone: whether a placement has missed writes since the dump (all but the first are
 * compared before they are used), whose fate a prepared transaction has, whether tables
 * that the catalogs do not have are wanted.
 *
 * Nothing here is dropped, and nothing is written on a worker unless it is asked for.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/cluster.h"
#include "cz/gone.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "distribute_int.h"
#include "survey_int.h"

PG_FUNCTION_INFO_V1(cz_finish_restore);

/* A shard that is on no node, and is to be made. */
typedef struct Missing
{
	Oid			relid;
	int			index;
} Missing;

typedef struct Finish
{
	ReturnSetInfo *rsinfo;
	List	   *surveys;		/* CzSurvey * */
	bool		creates;		/* what is missing */
	List	   *missing;		/* Missing *, if it creates */
} Finish;

static void
tell(Finish *finish, const char *table_name, int64 shard_id, const char *node,
	 const char *problem, const char *action)
{
	Datum		values[5] = {0};
	bool		nulls[5] = {false};

	nulls[0] = table_name == NULL;
	if (table_name != NULL)
		values[0] = CStringGetTextDatum(table_name);
	nulls[1] = shard_id == 0;
	values[1] = Int64GetDatum(shard_id);
	nulls[2] = node == NULL;
	if (node != NULL)
		values[2] = CStringGetTextDatum(node);
	values[3] = CStringGetTextDatum(problem);
	values[4] = CStringGetTextDatum(action);
	tuplestore_putvalues(finish->rsinfo->setResult, finish->rsinfo->setDesc, values, nulls);
}

static const char *
name_of(Oid server_oid)
{
	return CzNodeGet(server_oid)->name;
}

/* ---- where shards are ------------------------------------------------------ */

/* Is a placement there, and no leftover? */
static bool
is_there(const CzSurvey *survey, const CzShard *shard)
{
	const CzFoundTable *found = CzSurveyFind(survey, shard->remote_name);

	return found != NULL && found->mark == CZ_MARK_NONE;
}

/*
 * The placements of a shard by what is on the nodes: those that the catalogs have and that
 * are there, or may be; and where one is not, those that are elsewhere.
 */
static List *
placements_found(const Finish *finish, const CzShard *shard)
{
	List	   *expected = CzShardServers(shard->relid);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, expected)
	{
		const CzSurvey *survey = CzSurveyOf(finish->surveys, lfirst_oid(lc));

		if (survey == NULL || is_there(survey, shard))
			result = lappend_oid(result, lfirst_oid(lc));
	}
	if (list_length(result) == list_length(expected))
		return result;
	foreach(lc, finish->surveys)
	{
		const CzSurvey *survey = lfirst(lc);

		if (survey->is_known && is_there(survey, shard) &&
			!list_member_oid(expected, survey->server_oid))
			result = lappend_oid(result, survey->server_oid);
	}
	return result;
}

/* Do all tables of the group have their shard of this number there? */
static bool
group_agrees(const Finish *finish, const CzTable *table, int index, List *servers)
{
	ListCell   *lc;

	foreach(lc, CzGroupTables(table->colocation_id))
	{
		const CzTable *other = CzTableGet(lfirst_oid(lc));

		if (other != NULL && index < other->nshards &&
			!equal(placements_found(finish, &other->shards[index]), servers))
			return false;
	}
	return true;
}

/* The catalogs get what was found; the old placements are forgotten. */
static void
set_placements(Finish *finish, const CzTable *table, const CzShard *shard, List *before,
			   List *servers)
{
	const char *table_name = CzRelationName(table->relid);
	ListCell   *lc;

	foreach(lc, before)
	{
		if (list_member_oid(servers, lfirst_oid(lc)))
			continue;
		tell(finish, table_name, shard->shard_id, name_of(lfirst_oid(lc)),
			 "the placement is not there", "taken out of the catalogs");
		(void) CzInactiveDelete(shard->shard_id, lfirst_oid(lc));
	}
	foreach(lc, servers)
	{
		if (!list_member_oid(before, lfirst_oid(lc)))
			tell(finish, table_name, shard->shard_id, name_of(lfirst_oid(lc)),
				 "the shard is there", "put into the catalogs");
	}
	CzShardSetPlacements(shard->relid, servers);
}

/* Is what was found at a place what the catalogs have?  Each is looked at once. */
static void
check_placement(Finish *finish, const CzTable *table, const CzShard *shard, Oid server_oid,
				const char *columns, List *index_names)
{
	const CzSurvey *survey = CzSurveyOf(finish->surveys, server_oid);
	CzFoundTable *found = survey ? CzSurveyFind(survey, shard->remote_name) : NULL;
	const char *table_name = CzRelationName(table->relid);
	ListCell   *lc;

	if (found == NULL)
		return;
	found->is_known = true;
	if (strcmp(columns ? columns : "", found->columns ? found->columns : "") != 0)
		tell(finish, table_name, shard->shard_id, survey->node_name,
			 "its columns are others than those of the table",
			 "none: cz_check_shards() says which");
	foreach(lc, index_names)
	{
		char	   *name = CzShardIndexName(lfirst(lc), shard->name_id);
		char	   *line = psprintf("%s\n", name);
		const char *at = found->indexes ? strstr(found->indexes, line) : NULL;

		while (at != NULL && at != found->indexes && at[-1] != '\n')
			at = strstr(at + 1, line);
		if (at == NULL)
			tell(finish, table_name, shard->shard_id, survey->node_name,
				 psprintf("index \"%s\" is not there", (char *) lfirst(lc)),
				 "none: the table's index is not used if it was not valid");
	}
}

/* A placement beside those that the catalogs have. */
static void
check_others(Finish *finish, const CzTable *table, const CzShard *shard, List *servers)
{
	ListCell   *lc;

	foreach(lc, finish->surveys)
	{
		const CzSurvey *survey = lfirst(lc);
		CzFoundTable *found = survey->is_known ? CzSurveyFind(survey, shard->remote_name) : NULL;

		if (found == NULL || found->mark != CZ_MARK_NONE ||
			list_member_oid(servers, survey->server_oid))
			continue;
		found->is_known = true;
		tell(finish, CzRelationName(table->relid), shard->shard_id, survey->node_name,
			 "there is a placement that the catalogs do not have", "none");
	}
}

/* Names of a table's indexes. */
static List *
index_names_of(Oid relid)
{
	Relation	rel = CzOpenRelation(relid, AccessShareLock);
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
		names = lappend(names, get_rel_name(lfirst_oid(lc)));
	relation_close(rel, NoLock);
	return names;
}

/* Has every placement that was looked at an index? */
static bool
shards_have_index(const Finish *finish, const CzTable *table, const char *name)
{
	ListCell   *lc;
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		foreach(lc, CzShardServers(shard->relid))
		{
			const CzSurvey *survey = CzSurveyOf(finish->surveys, lfirst_oid(lc));
			const CzFoundTable *found = survey ? CzSurveyFind(survey, shard->remote_name) : NULL;
			char	   *line = psprintf("%s\n", CzShardIndexName(name, shard->name_id));
			const char *at;

			/* those that are not there are made with it */
			if (survey != NULL && found == NULL)
				continue;
			at = found && found->indexes ? strstr(found->indexes, line) : NULL;
			while (at != NULL && at != found->indexes && at[-1] != '\n')
				at = strstr(at + 1, line);
			if (at == NULL)
				return false;
		}
	}
	return true;
}

static void
mark_indexes(Finish *finish, const CzTable *table)
{
	Relation	rel = CzOpenRelation(table->relid, AccessExclusiveLock);
	List	   *indexes = list_copy(RelationGetIndexList(rel));
	ListCell   *lc;

	relation_close(rel, NoLock);
	foreach(lc, indexes)
	{
		if (get_index_isvalid(lfirst_oid(lc)))
			continue;
		if (shards_have_index(finish, table, get_rel_name(lfirst_oid(lc))))
			CzMarkIndexValid(lfirst_oid(lc));
		else
			tell(finish, CzRelationName(table->relid), 0, NULL,
				 psprintf("index \"%s\" is not on all shards", get_rel_name(lfirst_oid(lc))),
				 "it stays invalid: drop it and create it again");
	}
}

/* All shards of a distributed table. */
static void
finish_distributed(Finish *finish, Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	const char *table_name = CzRelationName(relid);
	List	   *index_names = index_names_of(relid);
	char	   *columns = CzSurveyColumns(relid);
	bool		is_replicated = false;
	ListCell   *lc;
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];
		List	   *before = CzShardServers(shard->relid);
		List	   *servers = placements_found(finish, shard);
		bool		is_missing = servers == NIL;

		CHECK_FOR_INTERRUPTS();
		if (is_missing)
		{
			tell(finish, table_name, shard->shard_id, NULL, "the shard is on no node",
				 finish->creates ? "made anew, empty" :
				 "none: statements that need it fail");
			if (finish->creates)
			{
				Missing    *missing = palloc(sizeof(Missing));

				missing->relid = relid;
				missing->index = i;
				finish->missing = lappend(finish->missing, missing);
			}
			servers = before;
			CzShardSetPlacements(shard->relid, before);
		}
		else if (equal(servers, before))
			CzShardSetPlacements(shard->relid, before);
		else if (group_agrees(finish, table, i, servers))
			set_placements(finish, table, shard, before, servers);
		else
			tell(finish, table_name, shard->shard_id, NULL,
				 "shards of colocated tables are on different nodes", "none");
		foreach(lc, servers)
			check_placement(finish, table, shard, lfirst_oid(lc), columns, index_names);
		check_others(finish, table, shard, servers);
		/* pg_upgrade has brought the log along, and rows of dirty shards */
		if (list_length(servers) > 1 && !is_missing && CzTxnIsOfDump())
		{
			is_replicated = true;
			(void) CzDirtyInsert(shard->shard_id, 0);
		}
	}
	if (is_replicated)
		tell(finish, table_name, 0, NULL, "placements may have missed writes since the dump",
			 "the first ones alone are used until they are compared");
	mark_indexes(finish, table);
}

/* Shards of a partition stand where the root's do. */
static void
finish_partition(Finish *finish, Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	List	   *index_names = index_names_of(relid);
	char	   *columns = CzSurveyColumns(relid);
	ListCell   *lc;
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		foreach(lc, CzShardServers(shard->relid))
		{
			const CzSurvey *survey = CzSurveyOf(finish->surveys, lfirst_oid(lc));

			if (survey != NULL && CzSurveyFind(survey, shard->remote_name) == NULL)
				tell(finish, CzRelationName(relid), shard->shard_id, survey->node_name,
					 "the partition's shard is not there",
					 finish->creates ? "made anew with that of the partitioned table" :
					 "none: statements that need it fail");
			check_placement(finish, table, shard, lfirst_oid(lc), columns, index_names);
		}
	}
}

/* ---- reference tables ------------------------------------------------------ */

/* Number of rows, and a sum of them that does not depend on their order. */
static char *
sum_sql(const char *qualified)
{
	return psprintf("SELECT pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended((t.*)::pg_catalog.text, 0))) FROM ONLY %s AS t",
					qualified);
}

static char *
sum_here(Oid relid)
{
	MemoryContext context = CurrentMemoryContext;
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	char	   *result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sum_sql(CzRelationName(relid)), false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not sum the rows of relation %u", relid);
	result = MemoryContextStrdup(context, SPI_getvalue(SPI_tuptable->vals[0],
													   SPI_tuptable->tupdesc, 1));
	SPI_finish();
	CzUnpinTextSettings(nestlevel);
	return result;
}

/* Copies have the rows of now, and this server those of the dump. */
static void
compare_copies(Finish *finish, const CzTable *table, List *servers)
{
	const CzShard *shard = &table->shards[0];
	List	   *commands = NIL;
	char	   *here = sum_here(table->relid);
	ListCell   *lc;

	foreach(lc, servers)
	{
		CzOutsideCommand *command = palloc0(sizeof(CzOutsideCommand));

		command->server_oid = lfirst_oid(lc);
		command->sql = sum_sql(shard->remote_qualified);
		commands = lappend(commands, command);
	}
	CzOutsideRun(commands, GetUserId(), false, true);
	foreach(lc, commands)
	{
		CzOutsideCommand *command = lfirst(lc);

		if (!command->is_ok || command->answer == NULL || strcmp(command->answer, here) == 0)
			continue;
		tell(finish, CzRelationName(table->relid), shard->shard_id,
			 name_of(command->server_oid), "the copy has other rows than the table here",
			 "none: cz_verify_placements() has it made as the table is here");
	}
}

static void
finish_reference(Finish *finish, Oid relid)
{
	const CzTable *table = CzTableGet(relid);
	const CzShard *shard = &table->shards[0];
	List	   *index_names = index_names_of(relid);
	char	   *columns = CzSurveyColumns(relid);
	List	   *servers = NIL;
	ListCell   *lc;

	if (!CzReferenceHasTriggers(relid))
		CzCreateReferenceTriggers(relid);
	foreach(lc, finish->surveys)
	{
		const CzSurvey *survey = lfirst(lc);

		if (!survey->is_known || !CzNodeGet(survey->server_oid)->is_checked)
			continue;
		if (is_there(survey, shard))
		{
			check_placement(finish, table, shard, survey->server_oid, columns, index_names);
			servers = lappend_oid(servers, survey->server_oid);
			continue;
		}
		tell(finish, CzRelationName(relid), shard->shard_id, survey->node_name,
			 "the copy is not there", "it is made anew when this database is the coordinator");
		(void) CzInactiveInsert(shard->shard_id, survey->server_oid, "it was not there after a restore");
	}
	compare_copies(finish, table, servers);
}

/* ---- shards that are made anew --------------------------------------------- */

static void
make_shard(const Missing *missing)
{
	Relation	rel = CzOpenRelation(missing->relid, AccessShareLock);
	const CzTable *table = CzTableGet(missing->relid);
	const CzShard *shard = &table->shards[missing->index];
	Oid			owner = rel->rd_rel->relowner;
	ListCell   *lc;

	foreach(lc, CzShardServers(shard->relid))
	{
		List	   *server = list_make1_oid(lfirst_oid(lc));
		char	   *sql;

		CzEnsureShardSchema(server, owner);
		CzPropagateObjects(missing->relid, server, owner);
		CzTxnExec(lfirst_oid(lc), owner,
				  CzShardStructureSql(rel, table, missing->index, lfirst_oid(lc), NULL));
		sql = CzShardFinishSql(rel, table, missing->index);
		if (sql != NULL)
			CzTxnExec(lfirst_oid(lc), owner, sql);
	}
	table_close(rel, NoLock);
}

/* Foreign keys, when the tables that they refer to are there. */
static void
make_keys(const Missing *missing)
{
	const CzTable *table = CzTableGet(missing->relid);
	ListCell   *lc;
	ListCell   *lk;

	foreach(lk, CzKeysOnShards(missing->relid, false))
	{
		StringInfoData sql;

		initStringInfo(&sql);
		CzKeyShardSql(&sql, lfirst(lk), missing->index, false);
		foreach(lc, CzShardServers(table->shards[missing->index].relid))
			CzTxnExec(lfirst_oid(lc), CzRelationOwner(missing->relid), sql.data);
	}
}

/*
 * Workers that are new get their mark, and copies of reference tables, with keys of the
 * shards that refer to them: those that are still to be made must not be counted on.
 */
static void
check_nodes(const Finish *finish)
{
	ListCell   *lc;
	ListCell   *ls;
	int			pass;

	for (pass = 0; pass < 2; pass++)
	{
		foreach(lc, finish->missing)
		{
			const Missing *missing = lfirst(lc);
			const CzTable *table = CzTableGet(missing->relid);
			const CzShard *shard;

			if (table == NULL || missing->index >= table->nshards)
				CzObjectIsGone("relation", missing->relid);
			shard = &table->shards[missing->index];
			foreach(ls, CzShardServers(shard->relid))
			{
				if (pass == 0)
					(void) CzInactiveInsert(shard->shard_id, lfirst_oid(ls), "it is being made");
				else
					(void) CzInactiveDelete(shard->shard_id, lfirst_oid(ls));
			}
		}
		CommandCounterIncrement();
		foreach(lc, finish->missing)
			CzInvalidateTable(((Missing *) lfirst(lc))->relid);
		foreach(lc, pass == 0 ? finish->surveys : NIL)
		{
			if (((CzSurvey *) lfirst(lc))->is_known)
				CzNodeCheck(((CzSurvey *) lfirst(lc))->server_oid);
		}
	}
}

static void
make_missing(const Finish *finish)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cz restore",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *lc;

	if (finish->creates)
		check_nodes(finish);
	foreach(lc, finish->missing)
	{
		CHECK_FOR_INTERRUPTS();
		make_shard(lfirst(lc));
		MemoryContextReset(context);
	}
	foreach(lc, finish->missing)
	{
		make_keys(lfirst(lc));
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* ---- what the catalogs do not know ------------------------------------------ */

/* A bigint that a query returns. */
static int64
query_number(const char *sql)
{
	bool		isnull;
	int64		result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql, false, 1) < 0 || SPI_processed != 1)
		elog(ERROR, "query has failed: %s", sql);
	result = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
										 &isnull));
	SPI_finish();
	return result;
}

/*
 * Numbers that were given out after the dump are not given out again; and what has them is
 * nobody's leftover (orphans.c).
 */
static void
raise_sequence(Finish *finish, const char *sequence, int64 greatest)
{
	int64		last = query_number(psprintf("SELECT last_value FROM cz.%s", sequence));

	if (greatest <= last)
		return;
	(void) query_number(psprintf("SELECT pg_catalog.setval('cz.%s', " INT64_FORMAT ")",
								 sequence, greatest));
	if (strcmp(sequence, "shard_id_seq") == 0)
	{
		(void) query_number(psprintf("INSERT INTO cz.restored_ids (first_id, last_id) VALUES (" INT64_FORMAT ", " INT64_FORMAT ") RETURNING last_id",
									 last + 1, greatest));
		tell(finish, NULL, 0, NULL,
			 psprintf("numbers of shards were given out up to " INT64_FORMAT, greatest),
			 "the next ones are greater");
	}
}

/* Tables that are no placements, and the greatest numbers. */
static void
tell_rest(Finish *finish)
{
	int64		greatest_shard = 0;
	int64		greatest_move = 0;
	ListCell   *lc;
	ListCell   *lf;

	foreach(lc, finish->surveys)
	{
		const CzSurvey *survey = lfirst(lc);
		HASH_SEQ_STATUS status;
		CzFoundTable *found;

		if (!survey->is_known)
			continue;
		hash_seq_init(&status, survey->tables);
		while ((found = hash_seq_search(&status)) != NULL)
		{
			greatest_shard = Max(greatest_shard, found->shard_id);
			greatest_move = Max(greatest_move, found->move_id);
			if (found->is_known || found->is_partition || found->mark == CZ_MARK_OTHER ||
				(found->mark == CZ_MARK_NONE && found->shard_id == 0))
				continue;
			tell(finish, found->name, found->shard_id, survey->node_name,
				 found->mark == CZ_MARK_NONE ? "the catalogs do not have this table" :
				 "a move has left this table",
				 found->mark == CZ_MARK_NONE ? "none" :
				 "none: citus_cleanup_orphaned_resources() drops it");
		}
		foreach(lf, survey->functions)
			greatest_move = Max(greatest_move, ((CzFoundFunction *) lfirst(lf))->move_id);
	}
	raise_sequence(finish, "shard_id_seq", greatest_shard);
	raise_sequence(finish, "move_id_seq", greatest_move);
}

/* What the former coordinator has prepared; decision: COMMIT, ROLLBACK, or NULL. */
static void
finish_prepared(Finish *finish, const char *decision)
{
	List	   *commands = NIL;
	ListCell   *lc;
	ListCell   *lp;

	foreach(lc, finish->surveys)
	{
		const CzSurvey *survey = lfirst(lc);

		foreach(lp, survey->is_known ? survey->prepared : NIL)
		{
			const CzFoundPrepared *prepared = lfirst(lp);
			char	   *problem = psprintf("transaction \"%s\" was prepared at %s by the former coordinator",
										   prepared->gid, prepared->prepared_at);
			CzOutsideCommand *command;

			if (!CzTxnIsOfFormer(prepared->gid))
				continue;
			if (decision == NULL)
			{
				tell(finish, NULL, 0, survey->node_name, problem,
					 "none: after cz_take_over(), cz_finish_restore('commit' or 'rollback') ends all of them");
				continue;
			}
			command = palloc0(sizeof(CzOutsideCommand));
			command->server_oid = survey->server_oid;
			command->sql = psprintf("%s PREPARED %s", decision,
									quote_literal_cstr(prepared->gid));
			command->arg = problem;
			commands = lappend(commands, command);
		}
	}
	CzOutsideRun(commands, GetUserId(), false, true);
	foreach(lc, commands)
	{
		const CzOutsideCommand *command = lfirst(lc);

		tell(finish, NULL, 0, name_of(command->server_oid), command->arg,
			 command->is_ok ? (decision[0] == 'C' ? "committed" : "rolled back") :
			 psprintf("none: %s", command->answer ? command->answer : "it has failed"));
	}
}

/* What an argument says; NULL: to list. */
static const char *
parse_choice(const char *name, const char *value, const char *const *choices)
{
	int			i;

	for (i = 0; choices[i] != NULL; i++)
	{
		if (pg_strcasecmp(value, choices[i]) == 0)
			return choices[i];
	}
	if (pg_strcasecmp(value, "list") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of \"%s\": \"%s\"", name, value),
				 errhint(choices[1] ? "Valid values are \"list\", \"%s\" and \"%s\"." :
						 "Valid values are \"list\" and \"%s\".", choices[0], choices[1])));
	return NULL;
}

static void
take_survey(Finish *finish)
{
	finish->surveys = CzSurveyTake(CzNodeList(true));
}

/*
 * cz_finish_restore(prepared text, missing text)
 *		SQL function: a row for everything that is not as the catalogs have it, and what was
 *		done about it.
 */
Datum
cz_finish_restore(PG_FUNCTION_ARGS)
{
	static const char *const decisions[] = {"COMMIT", "ROLLBACK", NULL};
	static const char *const creations[] = {"create", NULL};
	const char *decision = parse_choice("prepared", text_to_cstring(PG_GETARG_TEXT_PP(0)), decisions);
	Finish		finish = {(ReturnSetInfo *) fcinfo->resultinfo};
	ListCell   *lc;

	finish.creates = parse_choice("missing", text_to_cstring(PG_GETARG_TEXT_PP(1)),
								  creations) != NULL;
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to finish a restore")));
	if (decision != NULL || finish.creates)
		CzTxnCheckCoordinator();
	InitMaterializedSRF(fcinfo, 0);
	/* its rows are to be kept whatever context they are made in */
	take_survey(&finish);
	finish_prepared(&finish, decision);
	if (decision != NULL)
		take_survey(&finish);
	foreach(lc, finish.surveys)
	{
		const CzSurvey *survey = lfirst(lc);

		if (!survey->is_known)
			tell(&finish, NULL, 0, survey->node_name,
				 psprintf("the node could not be asked: %s",
						  survey->error ? survey->error : "no answer"),
				 "none: call cz_finish_restore() again");
	}
	CzLedgerLearn();
	foreach(lc, CzTableListAll())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL)
			continue;
		if (table->kind == CZ_TABLE_REFERENCE)
			finish_reference(&finish, lfirst_oid(lc));
		else if (OidIsValid(table->root_relid))
			finish_partition(&finish, lfirst_oid(lc));
		else
			finish_distributed(&finish, lfirst_oid(lc));
		/* what the workers have of types and functions is noted again */
		CzPropagateObjects(lfirst_oid(lc), NIL, CzRelationOwner(lfirst_oid(lc)));
		CzInvalidateTable(lfirst_oid(lc));
	}
	CommandCounterIncrement();
	make_missing(&finish);
	tell_rest(&finish);
	return (Datum) 0;
}
