/*-------------------------------------------------------------------------
 *
 * shards.c
 *	  VACUUM and ANALYZE of the shards of a table, on all workers at once, and the one
 *	  sample over all shards from which core makes the statistics of their parent.
 *
 * Core's ANALYZE of a partitioned table asks each partition for its size, and then each
 * one, in turn, for rows in proportion to it.  Here the first question makes one
 * statement a worker for the sizes of all shards, and the first request for rows one
 * statement a worker for the sample of all of them; the other partitions find theirs
 * done.  What a shard says is its size is its number of rows, so that each row of the
 * parent has the same chance.
 *
 * A shard is a part of the parent: its own statistics, for the worker's planner, are
 * made at a statistics target scaled to the number of shards, while this server makes
 * the parent's.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/vacuum.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "cz/errors.h"
#include "cz/fdw.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "fdw_int.h"

/* The least statistics target of a shard: less says nothing of its values. */
#define CZ_MIN_SHARD_TARGET 5

/* More rows than wanted are asked for, because the fraction is random. */
#define CZ_SAMPLE_MARGIN 1.1

/* A fraction above this is not worth drawing. */
#define CZ_SAMPLE_MAX_FRACTION 0.9

/* Larger values come as something else that is too wide for statistics, as core
 * thinks of it: 1024 bytes. */
#define CZ_WIDE_BYTES 4096
#define CZ_WIDE_INSTEAD 1100

/* ---- one command on each of several connections -------------------------- */

typedef struct CzRoundCall
{
	Oid			server_oid;
	CzConn	   *conn;			/* NULL: can't be reached */
	char	   *message;		/* why not */
	char	   *sql;			/* NULL: nothing in this round */
	bool		is_sent;
	bool		is_done;
	TimestampTz last_heard;
} CzRoundCall;

typedef struct CzRound
{
	CzRoundCall *calls;
	int			ncalls;
	Oid			user_oid;
} CzRound;

/* Takes a result with rows, mostly some; it is freed afterwards.  False if it is none
 * that was asked for. */
typedef bool (*CzTakeResult) (PGresult *res, void *arg);

static void
round_send(CzRound *round)
{
	int			i;

	for (i = 0; i < round->ncalls; i++)
	{
		CzRoundCall *call = &round->calls[i];

		call->is_done = call->conn == NULL || call->sql == NULL;
		call->is_sent = !call->is_done;
		if (call->is_done)
			continue;
		CzConnDrain(call->conn);
		CzConnLogCommand(call->conn, call->sql);
		/* some rows at a time: samples are large, and what nobody asked for may be, too */
		if (!PQsendQuery(call->conn->pg, call->sql) ||
			!CzConnTakeRowsSoon(call->conn, CZ_UNSEEN_ROWS))
		{
			call->conn->is_broken = true;
			CzReportRemoteError(ERROR, NULL, call->conn->pg, call->conn->node_name,
								call->sql, false);
		}
		call->last_heard = GetCurrentTimestamp();
	}
}

static void
take_and_clear(CzRound *round, int call, PGresult *res, CzTakeResult take, void *arg)
{
	PG_TRY();
	{
		if (take && !take(res, arg))
		{
			round->calls[call].conn->is_broken = true;
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("node \"%s\" sent an answer that was not asked for",
							round->calls[call].conn->node_name)));
		}
	}
	PG_CATCH();
	{
		PQclear(res);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQclear(res);
}

/* Take what has come; returns the events to wait for. */
static int
advance_call(CzRound *round, int i, bool is_readable, CzTakeResult take, void *arg)
{
	CzRoundCall *call = &round->calls[i];
	PGconn	   *pg = call->conn->pg;
	int			flush = PQflush(pg);

	if (flush < 0 || (is_readable && !CzConnReceive(call->conn)))
	{
		call->conn->is_broken = true;
		CzReportRemoteError(ERROR, NULL, pg, call->conn->node_name, call->sql, false);
	}
	while (!PQisBusy(pg))
	{
		PGresult   *res = PQgetResult(pg);

		if (res == NULL)
		{
			if (PQstatus(pg) != CONNECTION_OK)
			{
				call->conn->is_broken = true;
				CzReportRemoteError(ERROR, NULL, pg, call->conn->node_name, call->sql,
									false);
			}
			call->is_done = true;
			return 0;
		}
		switch (CzResultIsPart(res) ? PGRES_SINGLE_TUPLE : PQresultStatus(res))
		{
			case PGRES_TUPLES_OK:
			case PGRES_SINGLE_TUPLE:
				take_and_clear(round, i, res, take, arg);
				break;
			case PGRES_COMMAND_OK:
				PQclear(res);
				break;
			default:
				CzConnUnexpected(call->conn, res, call->sql);
		}
	}
	return WL_SOCKET_READABLE | (flush > 0 ? WL_SOCKET_WRITEABLE : 0);
}

static void
round_wait(CzRound *round, CzTakeResult take, void *arg)
{
	CzWaitSlot *slots = palloc0(sizeof(CzWaitSlot) * Max(round->ncalls, 1));
	bool		is_all_done = false;

	while (!is_all_done)
	{
		TimestampTz now = GetCurrentTimestamp();
		int			i;

		is_all_done = true;
		for (i = 0; i < round->ncalls; i++)
		{
			CzRoundCall *call = &round->calls[i];

			slots[i].socket = -1;
			if (call->is_done)
				continue;
			if (slots[i].is_ready)
				call->last_heard = now;
			else if (TimestampDifferenceMilliseconds(call->last_heard, now) >=
					 cz_worker_timeout_ms)
			{
				if (!CzTxnProbeSilent(call->conn))
					CzReportRemoteError(ERROR, NULL, call->conn->pg, call->conn->node_name,
										call->sql, false);
				call->last_heard = now;
			}
			slots[i].events = advance_call(round, i, slots[i].is_ready, take, arg);
			if (call->is_done)
				continue;
			slots[i].socket = PQsocket(call->conn->pg);
			is_all_done = false;
		}
		if (!is_all_done)
			CzWaitSockets(slots, round->ncalls, cz_worker_timeout_ms, true);
	}
	pfree(slots);
}

/* user_oid: the table's owner, whoever runs VACUUM or ANALYZE. */
static CzRound *
round_create(Oid user_oid)
{
	CzRound    *round = palloc0(sizeof(CzRound));

	round->user_oid = user_oid;
	return round;
}

/*
 * The call of a worker, connected at its first use; its conn is NULL if the worker
 * can't be reached.
 */
static CzRoundCall *
round_call(CzRound *round, Oid server_oid, bool in_transaction)
{
	CzRoundCall *call;
	int			i;

	for (i = 0; i < round->ncalls; i++)
	{
		if (round->calls[i].server_oid == server_oid)
			return &round->calls[i];
	}
	round->calls = round->ncalls == 0 ? palloc(sizeof(CzRoundCall)) :
		repalloc(round->calls, sizeof(CzRoundCall) * (round->ncalls + 1));
	call = &round->calls[round->ncalls++];
	memset(call, 0, sizeof(CzRoundCall));
	call->server_oid = server_oid;
	/* shards that this transaction made are seen by its connection only */
	if (in_transaction)
		call->conn = CzTxnConnIfAny(server_oid, round->user_oid);
	if (call->conn == NULL)
		call->conn = CzConnTryAcquire(CzEndpointGet(server_oid, round->user_oid),
									  &call->message);
	return call;
}

static void
unreachable_error(const CzShard *shard, const char *message)
{
	CzCheckHasPlacement(shard);
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not reach any placement of shard " INT64_FORMAT, shard->shard_id),
			 message ? errdetail_internal("%s", message) : 0));
}

static void
round_end(CzRound *round)
{
	int			i;

	for (i = 0; i < round->ncalls; i++)
	{
		if (round->calls[i].conn)
			CzFdwReadConnRelease(round->calls[i].conn);
		round->calls[i].conn = NULL;
	}
}

/* Run one statement on all workers of a round. */
static void
round_run(CzRound *round, const char *sql)
{
	int			i;

	for (i = 0; i < round->ncalls; i++)
		round->calls[i].sql = pstrdup(sql);
	round_send(round);
	round_wait(round, NULL, NULL);
}

/* ---- VACUUM and ANALYZE of shards ---------------------------------------- */

/* A command for all placements of a table. */
typedef struct CzShardJob
{
	CzRound    *round;
	char	  **sql;			/* by call */
	int			target;			/* statistics target; 0: the workers' own */
	bool		is_sent;
} CzShardJob;

static CzShardJob *later_job = NULL;
static Oid	later_relid = InvalidOid;
static bool rows_are_known = false;

/* The parent of which no rows are drawn, and how many it has; or InvalidOid. */
static Oid	without_rows_relid = InvalidOid;
static double without_rows = 0;

/* The root or partition for which the map of its shards is analyzed; or InvalidOid. */
static Oid	analyzed_relid = InvalidOid;

static CzShardJob *
job_create(const CzTable *table, const char *command, const char *columns, bool is_vacuum,
		   bool missing_ok)
{
	CzShardJob *job = palloc0(sizeof(CzShardJob));
	StringInfoData *sqls = NULL;
	const char *message = NULL;
	int			i;
	int			j;

	job->round = round_create(CzRelationOwner(table->relid));
	if (!is_vacuum && table->nshards > 1)
		job->target = Min(Max(CZ_MIN_SHARD_TARGET, default_statistics_target / table->nshards),
						  default_statistics_target);
	else if (!is_vacuum && CZ_IMPORTS_STATISTICS_COMPAT)
		job->target = default_statistics_target;
	for (i = 0; i < table->nshards; i++)
	{
		bool		is_reached = table->shards[i].nplacements == 0;

		for (j = 0; j < table->shards[i].nplacements; j++)
		{
			Oid			server_oid = table->shards[i].server_oids[j];
			int			ncalls = job->round->ncalls;
			CzRoundCall *call = round_call(job->round, server_oid, !is_vacuum);
			StringInfo	sql;

			if (job->round->ncalls > ncalls)
			{
				sqls = sqls == NULL ? palloc(sizeof(StringInfoData)) :
					repalloc(sqls, sizeof(StringInfoData) * (ncalls + 1));
				initStringInfo(&sqls[ncalls]);
				if (call->conn == NULL)
					ereport(WARNING,
							(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
							 errmsg("could not reach node \"%s\", its placements are left out",
									CzNodeName(server_oid)),
							 call->message ? errdetail_internal("%s", call->message) : 0));
			}
			if (call->conn == NULL)
			{
				message = call->message;
				continue;
			}
			is_reached = true;
			sql = &sqls[call - job->round->calls];
			appendStringInfo(sql, "%s%s%s%s", sql->len == 0 ? command : "",
							 sql->len == 0 ? " " : ", ",
							 table->shards[i].remote_qualified, columns);
		}
		if (!is_reached && !missing_ok)
			unreachable_error(&table->shards[i], message);
	}
	job->sql = palloc(sizeof(char *) * Max(job->round->ncalls, 1));
	for (i = 0; i < job->round->ncalls; i++)
		job->sql[i] = sqls[i].len > 0 ? sqls[i].data : NULL;
	return job;
}

static void
job_send(CzShardJob *job)
{
	bool		is_in_transaction = false;
	int			i;

	/* by itself, for a multi-command string would be one transaction */
	if (job->target > 0)
		round_run(job->round, psprintf("SET default_statistics_target = %d", job->target));
	for (i = 0; i < job->round->ncalls; i++)
	{
		job->round->calls[i].sql = job->sql[i];
		is_in_transaction |= job->round->calls[i].conn != NULL &&
			job->round->calls[i].conn->state == CZ_CONN_TXN;
	}
	round_send(job->round);
	job->is_sent = true;
	/* the transaction may need its connections */
	if (is_in_transaction)
		round_wait(job->round, NULL, NULL);
}

static void
job_finish(CzShardJob *job)
{
	if (!job->is_sent)
		job_send(job);
	round_wait(job->round, NULL, NULL);
	if (job->target > 0)
		round_run(job->round, "RESET default_statistics_target");
	round_end(job->round);
}

void
CzMaintainShards(const CzTable *table, const char *command, const char *columns,
				 bool is_vacuum, bool missing_ok)
{
	job_finish(job_create(table, command, columns, is_vacuum, missing_ok));
}

void
CzAnalyzeShardsLater(const CzTable *table, const char *command, const char *columns)
{
	later_job = job_create(table, command, columns, false, false);
	later_relid = table->relid;
}

void
CzAnalyzeShardsFinish(void)
{
	CzShardJob *job = later_job;

	CzAnalyzeShardsForget();
	if (job)
		job_finish(job);
}

void
CzAnalyzeShardsForget(void)
{
	later_job = NULL;
	later_relid = InvalidOid;
	rows_are_known = false;
	analyzed_relid = InvalidOid;
	without_rows_relid = InvalidOid;
}

void
CzAnalyzeWithoutRows(Oid relid, double rows)
{
	without_rows_relid = relid;
	without_rows = rows;
}

void
CzAnalyzeRowsAreKnown(bool are_known)
{
	rows_are_known = are_known;
}

void
CzAnalyzeMapFor(Oid relid)
{
	analyzed_relid = relid;
}

typedef struct ChangeCount
{
	double		changes;
	double		rows;
} ChangeCount;

static bool
take_changes(PGresult *res, void *arg)
{
	ChangeCount *count = arg;
	double		changes;
	double		rows;

	if (PQntuples(res) != 1)
		return true;
	if (!CzResultFigure(res, 0, 0, &changes) || !CzResultFigure(res, 0, 1, &rows))
		return false;
	count->changes += changes;
	count->rows += rows;
	return true;
}

/* Is it worth the try, and without an error? */
static bool
may_ask(Oid server_oid, Oid user_oid)
{
	return !CzHealthIsSuspect(server_oid) && CzEndpointTryGet(server_oid, user_oid) != NULL;
}

bool
CzShardChanges(const CzTable *table, double *changes, double *rows)
{
	CzRound    *round = round_create(CzRelationOwner(table->relid));
	StringInfoData *names = NULL;
	ChangeCount count = {0};
	List	   *servers = NIL;
	bool		is_complete = true;
	int			i;
	int			j;

	for (i = 0; i < table->nshards && is_complete; i++)
	{
		CzRoundCall *call = NULL;
		int			ncalls = round->ncalls;
		StringInfo	list;

		/* the same placement each time, for its counters are its own */
		if (table->shards[i].nplacements > 0 &&
			(list_member_oid(servers, table->shards[i].server_oids[0]) ||
			 may_ask(table->shards[i].server_oids[0], round->user_oid)))
		{
			servers = list_append_unique_oid(servers, table->shards[i].server_oids[0]);
			call = round_call(round, table->shards[i].server_oids[0], false);
		}
		if (round->ncalls > ncalls)
		{
			names = names == NULL ? palloc(sizeof(StringInfoData)) :
				repalloc(names, sizeof(StringInfoData) * round->ncalls);
			initStringInfo(&names[ncalls]);
		}
		if (call == NULL || call->conn == NULL)
		{
			is_complete = false;
			continue;
		}
		list = &names[call - round->calls];
		appendStringInfo(list, "%s%s", list->len > 0 ? ", " : "",
						 quote_literal_cstr(table->shards[i].remote_qualified));
	}
	for (j = 0; j < round->ncalls; j++)
		round->calls[j].sql =
			psprintf("SELECT sum(pg_catalog.pg_stat_get_tuples_inserted(c)"
					 " + pg_catalog.pg_stat_get_tuples_updated(c)"
					 " + pg_catalog.pg_stat_get_tuples_deleted(c)),"
					 " sum(pg_catalog.pg_stat_get_live_tuples(c))"
					 " FROM unnest(ARRAY[%s]::pg_catalog.regclass[])%s c(c)", names[j].data,
					 table->is_partitioned ?
					 " s, LATERAL (SELECT t.relid FROM pg_catalog.pg_partition_tree(s) t WHERE t.isleaf)"
					 : "");
	if (is_complete)
	{
		round_send(round);
		round_wait(round, take_changes, &count);
	}
	round_end(round);
	*changes = count.changes;
	*rows = count.rows;
	return is_complete;
}

/* ---- the sample of a parent ---------------------------------------------- */

typedef struct CzShardSample
{
	double		rows;			/* what is known before; < 0: nothing */
	double		pages;
	double		weight;			/* rows as core is told, 0: empty */
	double		fraction;		/* of the rows that is drawn; 1: all */
	double		page_fraction;	/* of the pages that is read for it */
	int			call;			/* the worker that is asked */
	Relation	rel;			/* the coordinator's foreign table */
	CzFdwRowReader *reader;
	CzReservoir reservoir;
} CzShardSample;

typedef struct CzParentSample
{
	const CzTable *table;
	CzRound    *round;
	CzShardSample *shards;		/* [nshards] */
	double		total_weight;
	bool		is_drawn;
	MemoryContextCallback reset;
} CzParentSample;

/* Lives as long as one ANALYZE of a parent, in its memory. */
static CzParentSample *parent_sample = NULL;

static void
forget_sample(void *arg)
{
	if (parent_sample == arg)
		parent_sample = NULL;
}

/* Rows on a page of a table of which nothing else is known. */
static double
guessed_rows_per_page(Relation parent)
{
	TupleDesc	desc = RelationGetDescr(parent);
	double		width = MAXALIGN(SizeofHeapTupleHeader) + sizeof(ItemIdData);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			width += get_typavgwidth(att->atttypid, att->atttypmod);
	}
	return Max(1, (BLCKSZ - SizeOfPageHeaderData) / width);
}

/* The shard whose number a worker has sent back in a column; NULL: there is none. */
static CzShardSample *
sample_shard(CzParentSample *sample, const PGresult *res, int row, int column)
{
	double		index;

	if (!CzResultFigure(res, row, column, &index) || index < 0 ||
		index >= sample->table->nshards)
		return NULL;
	return &sample->shards[(int) index];
}

/* A worker's answer to the question for sizes: shard, rows, pages then, pages now. */
static bool
take_sizes(PGresult *res, void *arg)
{
	CzParentSample *sample = arg;
	int			i;

	for (i = 0; i < PQntuples(res); i++)
	{
		CzShardSample *shard = sample_shard(sample, res, i, 0);
		double		rows;
		double		pages;

		if (shard == NULL || !CzResultFigure(res, i, 1, &rows) ||
			!CzResultFigure(res, i, 2, &pages) || !CzResultFigure(res, i, 3, &shard->pages))
			return false;
		/* grown since: as dense as it was, as core's planner thinks of it */
		shard->rows = rows < 0 || (pages <= 0 && shard->pages > 0) ? -1 :
			pages > 0 ? rows * shard->pages / pages : rows;
	}
	return true;
}

/* Sizes of shards: number, rows and pages when they were counted, pages now. */
#define PLAIN_SIZES \
	"SELECT v.i, c.reltuples, c.relpages," \
	" pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8" \
	" FROM (VALUES %s) v (i, name) JOIN pg_catalog.pg_class c" \
	" ON c.oid = v.name::pg_catalog.regclass"

/* That of a partitioned one is the sum of its partitions; rows are not known if one's are not. */
#define PARTITIONED_SIZES \
	"SELECT v.i, CASE WHEN bool_or(c.reltuples < 0 AND c.size > 0) THEN -1" \
	" ELSE coalesce(sum(greatest(c.reltuples, 0)), 0) END," \
	" coalesce(sum(c.relpages), 0), coalesce(sum(c.size), 0)" \
	" FROM (VALUES %s) v (i, name) LEFT JOIN LATERAL (SELECT c.reltuples, c.relpages," \
	" pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8" \
	" AS size FROM pg_catalog.pg_partition_tree(v.name::pg_catalog.regclass) t" \
	" JOIN pg_catalog.pg_class c ON c.oid = t.relid WHERE t.isleaf) c ON true GROUP BY v.i"

/*
 * Choose a placement of each shard and ask for the sizes.
 */
static CzParentSample *
sample_create(Oid parent_relid)
{
	CzParentSample *sample = palloc0(sizeof(CzParentSample));
	const CzTable *table = CzTableGet(parent_relid);
	Relation	parent = table_open(parent_relid, NoLock);
	double		density = guessed_rows_per_page(parent);
	StringInfoData *names;
	bool		is_shared;
	int			i;
	int			j;

	sample->table = table;
	sample->shards = palloc0(sizeof(CzShardSample) * table->nshards);
	is_shared = later_job && later_relid == parent_relid;
	sample->round = is_shared ? later_job->round : round_create(parent->rd_rel->relowner);
	table_close(parent, NoLock);
	sample->reset.func = forget_sample;
	sample->reset.arg = sample;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &sample->reset);

	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];
		CzRoundCall *call = NULL;

		/* workers that failed lately only if there is no other */
		for (j = 0; j < 2 * shard->nplacements && (call == NULL || call->conn == NULL); j++)
		{
			Oid			server_oid = shard->server_oids[j % shard->nplacements];

			if (j >= shard->nplacements || !CzHealthIsSuspect(server_oid))
				call = round_call(sample->round, server_oid, true);
		}
		if (call == NULL || call->conn == NULL)
			unreachable_error(shard, call ? call->message : NULL);
		sample->shards[i].call = call - sample->round->calls;
		sample->shards[i].rows = -1;
	}

	names = palloc(sizeof(StringInfoData) * Max(sample->round->ncalls, 1));
	for (j = 0; j < sample->round->ncalls; j++)
		initStringInfo(&names[j]);
	for (i = 0; i < table->nshards; i++)
	{
		StringInfo	list = &names[sample->shards[i].call];

		appendStringInfo(list, "%s(%d, %s)", list->len > 0 ? ", " : "", i,
						 quote_literal_cstr(table->shards[i].remote_qualified));
	}
	for (j = 0; j < sample->round->ncalls; j++)
	{
		if (names[j].len > 0)
			sample->round->calls[j].sql =
				psprintf(table->is_partitioned ? PARTITIONED_SIZES : PLAIN_SIZES, names[j].data);
	}
	round_send(sample->round);
	round_wait(sample->round, take_sizes, sample);

	for (i = 0; i < table->nshards; i++)
	{
		CzShardSample *shard = &sample->shards[i];

		shard->weight = shard->pages <= 0 ? 0 :
			Max(1, rint(shard->rows >= 0 ? shard->rows : shard->pages * density));
		shard->weight = Min(shard->weight, (double) MaxBlockNumber);
		sample->total_weight += shard->weight;
	}
	return sample;
}

/* A column of a shard as the sample has it: nothing wide. */
static void
append_column(StringInfo sql, Form_pg_attribute att, const char *name)
{
	const char *column = quote_identifier(name);

	switch (getBaseType(att->atttypid))
	{
		case TEXTOID:
		case VARCHAROID:
			appendStringInfo(sql, "CASE WHEN pg_catalog.octet_length(%s) > %d"
							 " THEN pg_catalog.\"left\"(%s, %d) ELSE %s END",
							 column, CZ_WIDE_BYTES, column, CZ_WIDE_INSTEAD, column);
			break;
		case BYTEAOID:
			appendStringInfo(sql, "CASE WHEN pg_catalog.octet_length(%s) > %d"
							 " THEN pg_catalog.substr(%s, 1, %d) ELSE %s END",
							 column, CZ_WIDE_BYTES, column, CZ_WIDE_INSTEAD, column);
			break;
		case JSONBOID:
			/* not more than one string of that length, and before all others */
			appendStringInfo(sql, "CASE WHEN pg_catalog.pg_column_size(%s) > %d"
							 " THEN pg_catalog.to_jsonb(pg_catalog.repeat(' ', %d)) ELSE %s END",
							 column, CZ_WIDE_BYTES, CZ_WIDE_INSTEAD, column);
			break;
		default:
			appendStringInfoString(sql, column);
	}
}

/*
 * How a shard's rows are drawn: as the server says, or as core does it with a local
 * table: about as many pages as rows, and of their rows a share.
 */
static void
append_method(StringInfo sql, CzShardSample *shard)
{
	ForeignTable *table = GetForeignTable(RelationGetRelid(shard->rel));
	const char *method = CzFdwOption(table->options, "analyze_sampling");

	if (method == NULL)
		method = CzFdwOption(GetForeignServer(table->serverid)->options, "analyze_sampling");
	if (method != NULL && strcmp(method, "off") == 0)
		shard->fraction = 1;
	if (shard->fraction >= 1)
		return;
	if (method != NULL && strcmp(method, "random") == 0)
		appendStringInfo(sql, " WHERE pg_catalog.random() < %.15g", shard->fraction);
	else if (method != NULL && strcmp(method, "auto") != 0)
		appendStringInfo(sql, " TABLESAMPLE %s (%.15g)", method, shard->fraction * 100);
	else if (shard->page_fraction < CZ_SAMPLE_MAX_FRACTION &&
			 shard->page_fraction > shard->fraction)
		appendStringInfo(sql, " TABLESAMPLE system (%.15g) WHERE pg_catalog.random() < %.15g",
						 shard->page_fraction * 100, shard->fraction / shard->page_fraction);
	else
		appendStringInfo(sql, " TABLESAMPLE bernoulli (%.15g)", shard->fraction * 100);
}

/* The part of a worker's statement that draws one shard's rows. */
static void
append_shard(StringInfo sql, CzParentSample *sample, int index)
{
	const CzTable *table = sample->table;
	CzShardSample *shard = &sample->shards[index];
	TupleDesc	desc = RelationGetDescr(shard->rel);
	Relation	parent = table_open(table->relid, NoLock);
	TupleDesc	parent_desc = RelationGetDescr(parent);
	List	   *attnos = NIL;
	int			i;

	appendStringInfo(sql, "%sSELECT ", sql->len > 0 ? " UNION ALL " : "");
	for (i = 0; i < parent_desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(parent_desc, i);
		AttrNumber	attno;

		if (att->attisdropped)
			continue;
		for (attno = 1; attno <= desc->natts; attno++)
		{
			if (!TupleDescAttr(desc, attno - 1)->attisdropped &&
				strcmp(NameStr(TupleDescAttr(desc, attno - 1)->attname), NameStr(att->attname)) == 0)
				break;
		}
		if (attno > desc->natts)
			continue;			/* cannot happen */
		append_column(sql, att, table->column_names[i]);
		appendStringInfoString(sql, ", ");
		attnos = lappend_int(attnos, attno);
	}
	/* the last column is none of the table's */
	attnos = lappend_int(attnos, InvalidAttrNumber);
	appendStringInfo(sql, "%d FROM %s", index, table->shards[index].remote_qualified);
	append_method(sql, shard);
	shard->reader = CzFdwRowReaderCreate(shard->rel, attnos);
	table_close(parent, NoLock);
}

static bool
take_row(PGresult *res, void *arg)
{
	CzParentSample *sample = arg;
	int			tag = PQnfields(res) - 1;
	int			row;

	for (row = 0; row < PQntuples(res); row++)
	{
		CzShardSample *shard = sample_shard(sample, res, row, tag);
		int			position;

		/* a shard without a reader was not asked for rows */
		if (shard == NULL || shard->reader == NULL)
			return false;
		position = CzReservoirPosition(&shard->reservoir);
		if (position >= 0)
			shard->reservoir.rows[position] = CzFdwRowReaderGet(shard->reader, res, row);
	}
	return true;
}

/* Draw the sample of all shards. */
static void
sample_draw(CzParentSample *sample, double target_rows)
{
	const CzTable *table = sample->table;
	StringInfoData *sqls = palloc(sizeof(StringInfoData) * sample->round->ncalls);
	double		fraction = target_rows * CZ_SAMPLE_MARGIN / Max(sample->total_weight, 1);
	double		total_pages = 0;
	int			i;

	sample->is_drawn = true;
	for (i = 0; i < table->nshards; i++)
		total_pages += sample->shards[i].pages;
	for (i = 0; i < sample->round->ncalls; i++)
		initStringInfo(&sqls[i]);
	for (i = 0; i < table->nshards; i++)
	{
		CzShardSample *shard = &sample->shards[i];

		if (shard->weight == 0)
			continue;
		/* core has them open until it has asked for all rows */
		shard->rel = table_open(table->shards[i].relid, NoLock);
		shard->fraction = fraction > CZ_SAMPLE_MAX_FRACTION ? 1 : fraction;
		shard->page_fraction = Min(1, target_rows * CZ_SAMPLE_MARGIN / Max(total_pages, 1));
		CzReservoirInit(&shard->reservoir,
						(int) Min(ceil(target_rows * shard->weight / sample->total_weight) + 1,
								  target_rows + 1));
		append_shard(&sqls[shard->call], sample, i);
	}
	for (i = 0; i < sample->round->ncalls; i++)
	{
		sample->round->calls[i].sql = sqls[i].len > 0 ? sqls[i].data : NULL;
	}
	round_send(sample->round);
	round_wait(sample->round, take_row, sample);
	for (i = 0; i < table->nshards; i++)
	{
		if (sample->shards[i].rel)
			table_close(sample->shards[i].rel, NoLock);
		sample->shards[i].rel = NULL;
	}
	if (later_job && sample->round == later_job->round)
		job_send(later_job);
	else
		round_end(sample->round);
}

static int
shard_index(const CzTable *table, Oid shard_relid)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].relid == shard_relid)
			return i;
	}
	return -1;
}

/*
 * CzFdwSampleSize
 *		See fdw_int.h.
 */
bool
CzFdwSampleSize(Relation relation, double *size)
{
	Oid			parent_relid;
	int			index;

	if (!CzIsShard(RelationGetRelid(relation), &parent_relid))
		return false;
	if (OidIsValid(analyzed_relid))
		parent_relid = analyzed_relid;
	if (!CheckRelationOidLockedByMe(parent_relid, ShareUpdateExclusiveLock, false) ||
		CheckRelationLockedByMe(relation, ShareUpdateExclusiveLock, false))
		return false;
	if (parent_sample == NULL || parent_sample->table->relid != parent_relid ||
		parent_sample->is_drawn)
		parent_sample = sample_create(parent_relid);
	index = shard_index(parent_sample->table, RelationGetRelid(relation));
	if (index < 0)
		return false;
	*size = parent_sample->shards[index].weight;
	return true;
}

/*
 * CzFdwSampleRows
 *		See fdw_int.h.
 */
int
CzFdwSampleRows(Relation relation, int elevel, HeapTuple *rows, int targrows,
				double *totalrows, double *totaldeadrows)
{
	CzParentSample *sample = parent_sample;
	int			index = sample ? shard_index(sample->table, RelationGetRelid(relation)) : -1;
	CzShardSample *shard;
	int			nrows;

	if (index < 0)
		elog(ERROR, "no sample of shard \"%s\"", RelationGetRelationName(relation));
	shard = &sample->shards[index];
	if (sample->table->relid == without_rows_relid && !sample->is_drawn)
	{
		sample->is_drawn = true;
		round_end(sample->round);
	}
	/* core's share of the target, and from it the whole */
	if (!sample->is_drawn)
		sample_draw(sample, rint(targrows * sample->total_weight / shard->weight));

	nrows = Min(shard->reservoir.nrows, targrows);
	if (nrows > 0)
		memcpy(rows, shard->reservoir.rows, sizeof(HeapTuple) * nrows);
	*totalrows = sample->table->relid == without_rows_relid ? without_rows :
		shard->fraction >= 1 ? shard->reservoir.seen_rows :
		rows_are_known && shard->rows >= 0 ? shard->rows :
		shard->reservoir.seen_rows / shard->fraction;
	*totaldeadrows = 0;
	ereport(elevel,
			(errcode(ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg("\"%s\": table contains %.0f rows, %d rows in sample",
					RelationGetRelationName(relation), *totalrows, nrows)));
	return nrows;
}

/*
 * CzTableRows
 *		See cz/fdw.h.
 */
double
CzTableRows(const CzTable *table)
{
	CzParentSample *sample = sample_create(table->relid);
	double		rows = 0;
	int			i;

	round_end(sample->round);
	for (i = 0; i < sample->table->nshards; i++)
		rows += sample->shards[i].weight;
	return rows;
}
