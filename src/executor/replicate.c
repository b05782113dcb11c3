/*-------------------------------------------------------------------------
 *
 * replicate.c
 *	  Writes on a reference table reach its copies: the row trigger
 *	  cz.replicate_row().
 *
 * The coordinator's own table is written by core; this trigger repeats each row
 * on every worker.  Inserted rows go through a writer, which is flushed before
 * anything else of the transaction looks at a worker (CzTxnRegisterFlush).
 * Updates and deletes are texts (row_changes.c), gathered and sent many in one
 * message; they must change as many rows of each copy, else it has diverged.
 *
 * Copies are written as the table's owner, who owns them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_index.h"
#include "commands/trigger.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "cz/compat.h"
#include "cz/errors.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/writer.h"
#include "row_changes.h"

PG_FUNCTION_INFO_V1(cz_replicate_row);

/* Milliseconds between two looks for a row that is not there yet */
#define RETRY_MS 5

/* What waits to be sent for one reference table. */
typedef struct Replica
{
	Oid			relid;
	int			level;			/* nest level whose writes it holds */
	MemoryContext context;
	const CzShard *shard;
	Oid			owner_oid;
	CzWriter   *writer;			/* inserted rows, or NULL */
	CzRowChanges *changes;		/* or UPDATEs and DELETEs, never both; or NULL */
} Replica;

/* In TopTransactionContext.  Trusted only while their flush is registered. */
static List *replicas = NIL;
static LocalTransactionId replicas_lxid = InvalidLocalTransactionId;

static void flush_replica(void *arg);

/* What one copy has answered. */
typedef struct CopyAnswer
{
	CzConn	   *conn;			/* NULL: the copy is left out */
	int64		nrows;			/* that were changed there */
	bool	   *is_done;		/* with a key: [nwanted], which rows were found */
} CopyAnswer;

/*
 * The connection to a copy is lost: an error, unless the transaction can do without it.
 */
static void
take_loss(CopyAnswer *answer)
{
	CzTxnMustLoseConn(answer->conn);
	answer->conn = NULL;
}

static void
send_to_copy(Replica *replica, Oid server_oid, const char *commands, CopyAnswer *answer)
{
	StringInfoData sql;

	initStringInfo(&sql);
	answer->conn = CzTxnReplicaConnPrefix(server_oid, replica->owner_oid, &sql);
	appendStringInfoString(&sql, commands);
	CzConnLogCommand(answer->conn, sql.data);
	if (!PQsendQuery(answer->conn->pg, sql.data))
		take_loss(answer);
	pfree(sql.data);
}

/* The next result of a copy, NULL at the end or, with no conn any more, if it is lost. */
static PGresult *
next_result(Replica *replica, CopyAnswer *answer)
{
	CzConn	   *conn = answer->conn;
	PGresult   *res;

	while (PQflush(conn->pg) > 0 || PQisBusy(conn->pg))
	{
		CzWaitSlot	slot;

		slot.socket = PQsocket(conn->pg);
		slot.events = WL_SOCKET_READABLE;
		if (PQflush(conn->pg) > 0)
			slot.events |= WL_SOCKET_WRITEABLE;
		if (!CzWaitSockets(&slot, 1, cz_worker_timeout_ms, true) && !CzTxnProbeSilent(conn))
			break;
		if (slot.is_ready && !CzConnReceive(conn))
			break;
	}
	if (conn->is_broken || PQstatus(conn->pg) != CONNECTION_OK)
	{
		take_loss(answer);
		return NULL;
	}
	res = PQgetResult(conn->pg);
	if (res != NULL && PQresultStatus(res) == PGRES_FATAL_ERROR &&
		CzConnResultIsLoss(conn, res))
	{
		PQclear(res);
		take_loss(answer);
		return NULL;
	}
	if (res != NULL && PQresultStatus(res) != PGRES_COMMAND_OK &&
		PQresultStatus(res) != PGRES_TUPLES_OK)
		CzConnUnexpected(conn, res, CzRowChangesShown(replica->changes));
	return res;
}

/* Read a copy's answers: how many rows, and with a key which, were changed? */
static void
read_answers(Replica *replica, CopyAnswer *answer, int64 nwanted)
{
	int64		next = 0;
	PGresult   *res;

	while (answer->conn != NULL && (res = next_result(replica, answer)) != NULL)
	{
		/* what goes before and behind them is neither */
		if (strncmp(PQcmdStatus(res), "UPDATE", 6) == 0 ||
			strncmp(PQcmdStatus(res), "DELETE", 6) == 0)
		{
			int64		nrows = strtoll(PQcmdTuples(res), NULL, 10);

			answer->nrows += nrows;
			while (next < nwanted && answer->is_done[next])
				next++;
			if (next < nwanted)
				answer->is_done[next++] = nrows == 1;
		}
		PQclear(res);
	}
}

/*
 * finish_copy
 *		Read a copy's answers; it must have changed as many rows as there are here.
 *
 * A row that another transaction made may be committed here and not yet there: who
 * finds it by its key looks again.
 */
static void
finish_copy(Replica *replica, Oid server_oid, CopyAnswer *answer, int64 nwanted)
{
	TimestampTz begin = GetCurrentTimestamp();

	for (;;)
	{
		read_answers(replica, answer, nwanted);
		if (answer->conn == NULL || answer->nrows == nwanted)
			return;

		/* The worker's snapshot may be older or newer than the coordinator's */
		if (IsolationUsesXactSnapshot())
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update")));
		if (!CzRowChangesHaveKey(replica->changes) || answer->nrows > nwanted ||
			TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), cz_worker_timeout_ms))
		{
			CzTxnPlacementsDiffer(replica->shard, server_oid);
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("copy of reference table \"%s\" on node \"%s\" differs from the coordinator's",
							get_rel_name(replica->relid), answer->conn->node_name),
					 errdetail("%lld rows were changed here, %lld there.",
							   (long long) nwanted, (long long) answer->nrows)));
		}
		(void) CzWaitSockets(NULL, 0, RETRY_MS, true);
		send_to_copy(replica, server_oid,
					 CzRowChangesSqlOfSome(replica->changes, answer->is_done), answer);
	}
}

/*
 * send_commands
 *		Run the gathered commands on all copies; they must change as many rows.
 *
 * The row locks of the coordinator's own table order the writers of a row.  Only who
 * finds rows by what is in them needs the copies for himself.
 */
static void
send_commands(void *arg)
{
	Replica    *replica = (Replica *) arg;
	int			nplacements;
	Oid		   *server_oids;
	CopyAnswer *answers;
	const char *commands;
	bool		has_key;
	int64		nwanted;
	int			i;

	if (CzRowChangesIsEmpty(replica->changes))
		return;
	has_key = CzRowChangesHaveKey(replica->changes);
	commands = CzRowChangesSql(replica->changes, &nwanted);
	CzTxnLockShard(replica->shard, replica->owner_oid,
				   has_key ? CZ_LOCK_SHARED : CZ_LOCK_EXCLUSIVE);

	/* Send to all, then collect */
	nplacements = CzTxnWritePlacements(CzShardFresh(replica->shard), replica->owner_oid, true,
									   &server_oids);
	answers = palloc0(sizeof(CopyAnswer) * Max(nplacements, 1));
	for (i = 0; i < nplacements; i++)
	{
		answers[i].is_done = palloc0(sizeof(bool) * Max(nwanted, 1));
		send_to_copy(replica, server_oids[i], commands, &answers[i]);
	}
	for (i = 0; i < nplacements; i++)
	{
		finish_copy(replica, server_oids[i], &answers[i], nwanted);
		pfree(answers[i].is_done);
	}
	CzRowChangesClear(replica->changes);
	pfree(answers);
}

/* Send what waits; the replica is forgotten. */
static void
flush_replica(void *arg)
{
	Replica    *replica = (Replica *) arg;
	MemoryContext old = MemoryContextSwitchTo(replica->context);

	if (replica->writer != NULL)
		CzWriterEnd(replica->writer);
	replica->writer = NULL;
	send_commands(replica);
	MemoryContextSwitchTo(old);

	CzTxnUnregisterFlush(replica);
	replicas = list_delete_ptr(replicas, replica);
	MemoryContextDelete(replica->context);
}

/*
 * get_replica
 *		The buffer of a reference table at the current nest level.
 *
 * One left by an outer level is sent first, as that level's; one left by an
 * aborted level or transaction is not in memory any more and not looked at.
 */
static Replica *
get_replica(Relation rel, const CzTable *table)
{
	int			level = GetCurrentTransactionNestLevel();
	MemoryContext context;
	MemoryContext old;
	Replica    *replica;
	ListCell   *lc;

	if (replicas_lxid != MyLocalTransactionId_compat())
	{
		replicas = NIL;
		replicas_lxid = MyLocalTransactionId_compat();
	}
	foreach(lc, replicas)
	{
		replica = (Replica *) lfirst(lc);
		if (!CzTxnIsFlushRegistered(replica))
		{
			/* Of a subtransaction that was rolled back */
			replicas = foreach_delete_current(replicas, lc);
			MemoryContextDelete(replica->context);
			continue;
		}
		if (replica->relid == RelationGetRelid(rel) && replica->level == level)
			return replica;
	}

	/* Order matters only within a table, but levels must not mix. */
	CzTxnFlushPending();

	old = MemoryContextSwitchTo(TopTransactionContext);
	context = AllocSetContextCreate(TopTransactionContext, "cz replica",
									ALLOCSET_DEFAULT_SIZES);
	replica = MemoryContextAllocZero(context, sizeof(Replica));
	replica->relid = RelationGetRelid(rel);
	replica->level = level;
	replica->context = context;
	replica->shard = &table->shards[0];
	replica->owner_oid = rel->rd_rel->relowner;
	replicas = lappend(replicas, replica);
	MemoryContextSwitchTo(context);
	MemoryContextSwitchTo(old);
	CzTxnRegisterFlush(flush_replica, replica);
	return replica;
}

/*
 * cz_replicate_row
 *		AFTER ROW trigger on INSERT, UPDATE and DELETE of a reference table.
 */
Datum
cz_replicate_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	const CzTable *table;
	Replica    *replica;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"cz.replicate_row\" must be fired by an AFTER ROW trigger")));

	rel = trigdata->tg_relation;
	table = CzTableGet(RelationGetRelid(rel));
	if (table == NULL || table->kind != CZ_TABLE_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is not a reference table", RelationGetRelationName(rel))));
	if (table->shards[0].nplacements == 0)
		PG_RETURN_POINTER(NULL);

	(void) CzTxnBeforeWrite();
	/* what core's triggers do about rows that refer to this one comes when it is gone there */
	if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) &&
		CzShardsReferTo(RelationGetRelid(rel), NULL))
		CzBracketOpen(RelationGetRelid(rel));
	replica = get_replica(rel, table);
	CzTxnFlushGoesOn(replica);
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
	{
		if (!CzRowChangesIsEmpty(replica->changes))
			CzTxnRunAtLevel(replica->level, send_commands, replica);
		if (replica->writer == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(replica->context);

			replica->writer = CzWriterBegin(RelationGetDescr(rel), NULL, replica->owner_oid);
			MemoryContextSwitchTo(old);
		}
		CzWriterPut(replica->writer, replica->shard, trigdata->tg_trigslot, 0);
	}
	else
	{
		if (replica->writer != NULL)
		{
			CzWriterEnd(replica->writer);
			replica->writer = NULL;
		}
		if (replica->changes == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(replica->context);

			replica->changes = CzRowChangesBegin(rel, replica->shard);
			MemoryContextSwitchTo(old);
		}
		CzRowChangesAdd(replica->changes, trigdata->tg_trigslot,
						TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? trigdata->tg_newslot :
						NULL);
		if (CzRowChangesIsFull(replica->changes))
			CzTxnRunAtLevel(replica->level, send_commands, replica);
	}
	PG_RETURN_POINTER(NULL);
}
