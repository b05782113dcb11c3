/*-------------------------------------------------------------------------
 *
 * replicate.c
 *	  Writes on a reference table reach its copies: the row trigger
 *	  cz.replicate_row().
 *
 * The coordinator's own table is written by core; this trigger repeats each row
 * on every worker.  Inserted rows go through a writer, which is flushed before
 * anything else of the transaction looks at a worker (CzTxnRegisterFlush).
 * Updates and deletes are texts, gathered and sent many in one message; each
 * must find exactly one row on each copy, else the copy has diverged.
 *
 * Rows are found by the primary key or another unique key without NULLs; a
 * table without one by comparing all columns' texts, and one row of several
 * equal ones is as good as any other.
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
#include "writer_int.h"

PG_FUNCTION_INFO_V1(cz_replicate_row);

/* Bytes of gathered UPDATEs and DELETEs that are sent at once, and their number */
#define CZ_MAX_COMMAND_BYTES (256 * 1024)
#define CZ_MAX_COMMANDS 200

/* What waits to be sent for one reference table. */
typedef struct Replica
{
	Oid			relid;
	int			level;			/* nest level whose writes it holds */
	MemoryContext context;
	const CzShard *shard;
	Oid			owner_oid;
	CzWriter   *writer;			/* inserted rows, or NULL */
	StringInfoData commands;	/* or UPDATEs and DELETEs; never both wait */
	int			ncommands;
} Replica;

/* In TopTransactionContext.  Trusted only while their flush is registered. */
static List *replicas = NIL;
static LocalTransactionId replicas_lxid = InvalidLocalTransactionId;

static void flush_replica(void *arg);

/* For messages: without values, which the user may not be allowed to read. */
static char *
shown_command(const Replica *replica)
{
	return psprintf("%s %s",
					strncmp(replica->commands.data, "UPDATE", 6) == 0 ? "UPDATE" : "DELETE FROM",
					replica->shard->remote_qualified);
}

/*
 * send_commands
 *		Run the gathered commands on all copies; each must change one row.
 */
static void
send_commands(void *arg)
{
	Replica    *replica = (Replica *) arg;
	int			nplacements = replica->shard->nplacements;
	CzConn	  **conns = palloc0(sizeof(CzConn *) * nplacements);
	int			nrows;
	int			i;

	if (replica->ncommands == 0)
		return;
	CzTxnLockShard(replica->shard, replica->owner_oid, CZ_LOCK_EXCLUSIVE);

	/* Send to all, then collect */
	for (i = 0; i < nplacements; i++)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		conns[i] = CzTxnConnPrefix(replica->shard->server_oids[i], replica->owner_oid, true,
								   &sql);
		appendStringInfoString(&sql, replica->commands.data);
		CzConnLogCommand(conns[i], sql.data);
		if (!PQsendQuery(conns[i]->pg, sql.data))
		{
			conns[i]->is_broken = true;
			CzReportRemoteError(ERROR, NULL, conns[i]->pg, conns[i]->node_name, NULL, false);
		}
		pfree(sql.data);
	}
	for (i = 0; i < nplacements; i++)
	{
		nrows = 0;
		for (;;)
		{
			PGresult   *res;

			while (PQflush(conns[i]->pg) > 0 || PQisBusy(conns[i]->pg))
			{
				CzWaitSlot	slot;

				slot.socket = PQsocket(conns[i]->pg);
				slot.events = WL_SOCKET_READABLE;
				if (PQflush(conns[i]->pg) > 0)
					slot.events |= WL_SOCKET_WRITEABLE;
				if (!CzWaitSockets(&slot, 1, cz_worker_timeout_ms, true) &&
					!CzTxnProbeSilent(conns[i]))
					break;
				if (slot.is_ready && !CzConnReceive(conns[i]))
					break;
			}
			res = conns[i]->is_broken || PQstatus(conns[i]->pg) != CONNECTION_OK ? NULL :
				PQgetResult(conns[i]->pg);
			if (res == NULL)
				break;
			if (PQresultStatus(res) != PGRES_COMMAND_OK &&
				PQresultStatus(res) != PGRES_TUPLES_OK)
				CzConnUnexpected(conns[i], res, shown_command(replica));
			if (strcmp(PQcmdStatus(res), "UPDATE 1") == 0 ||
				strcmp(PQcmdStatus(res), "DELETE 1") == 0)
				nrows++;
			PQclear(res);
		}
		if (conns[i]->is_broken || PQstatus(conns[i]->pg) != CONNECTION_OK)
		{
			conns[i]->is_broken = true;
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("connection to node \"%s\" was lost while writing to it",
							conns[i]->node_name)));
		}
		if (nrows == replica->ncommands)
			continue;

		/* The worker's snapshot may be older or newer than the coordinator's */
		if (IsolationUsesXactSnapshot())
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update")));
		else
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("copy of reference table \"%s\" on node \"%s\" differs from the coordinator's",
							get_rel_name(replica->relid), conns[i]->node_name),
					 errdetail("%d rows were changed here, %d there.",
							   replica->ncommands, nrows)));
	}
	resetStringInfo(&replica->commands);
	replica->ncommands = 0;
	pfree(conns);
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
	initStringInfo(&replica->commands);
	MemoryContextSwitchTo(old);
	CzTxnRegisterFlush(flush_replica, replica);
	return replica;
}

/*
 * key_columns
 *		Attribute numbers of a unique key without NULLs, primary key first; NIL if
 *		there is none.
 */
static List *
key_columns(Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			primary_oid = RelationGetPrimaryKeyIndex_compat(rel);
	List	   *best = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		List	   *columns = NIL;
		bool		is_good = form->indisunique && form->indimmediate && form->indisvalid &&
			RelationGetIndexPredicate(index) == NIL;
		int			i;

		for (i = 0; is_good && i < form->indnkeyatts; i++)
		{
			AttrNumber	attno = form->indkey.values[i];

			if (attno <= 0 || !TupleDescAttr(RelationGetDescr(rel), attno - 1)->attnotnull)
				is_good = false;
			else
				columns = lappend_int(columns, attno);
		}
		index_close(index, AccessShareLock);
		if (is_good && (best == NIL || lfirst_oid(lc) == primary_oid))
			best = columns;
		if (is_good && lfirst_oid(lc) == primary_oid)
			break;
	}
	list_free(indexes);
	return best;
}

/* A column's value as a literal, NULL as NULL. */
static void
append_value(StringInfo buf, TupleTableSlot *slot, AttrNumber attno)
{
	Oid			function;
	bool		is_varlena;
	bool		isnull;
	Datum		value = slot_getattr(slot, attno, &isnull);

	if (isnull)
	{
		appendStringInfoString(buf, "NULL");
		return;
	}
	getTypeOutputInfo(TupleDescAttr(slot->tts_tupleDescriptor, attno - 1)->atttypid,
					  &function, &is_varlena);
	CzWireAppendLiteral(buf, OidOutputFunctionCall(function, value));
}

/* The condition that finds the old row on a copy. */
static void
append_condition(StringInfo buf, Relation rel, const CzShard *shard, TupleTableSlot *slot)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	List	   *key = key_columns(rel);
	const char *separator = "";
	int			i;

	if (key != NIL)
	{
		ListCell   *lc;

		foreach(lc, key)
		{
			Form_pg_attribute attr = TupleDescAttr(tupdesc, lfirst_int(lc) - 1);

			/* Operators of other types may not be in the worker's search_path */
			appendStringInfo(buf, "%s%s%s = ", separator,
							 quote_identifier(NameStr(attr->attname)),
							 getBaseType(attr->atttypid) < FirstUnpinnedObjectId ?
							 "" : "::pg_catalog.text");
			append_value(buf, slot, lfirst_int(lc));
			separator = " AND ";
		}
		return;
	}

	appendStringInfo(buf, "ctid = (SELECT ctid FROM %s WHERE ", shard->remote_qualified);
	for (i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);

		if (attr->attisdropped || attr->attgenerated)
			continue;
		appendStringInfo(buf, "%s%s::pg_catalog.text IS NOT DISTINCT FROM ", separator,
						 quote_identifier(NameStr(attr->attname)));
		append_value(buf, slot, i + 1);
		separator = " AND ";
	}
	appendStringInfo(buf, "%s LIMIT 1)", separator[0] ? "" : "true");
}

/* An UPDATE or DELETE of one row; false if the update changes nothing. */
static bool
append_command(StringInfo buf, Relation rel, const CzShard *shard, TupleTableSlot *old_slot,
			   TupleTableSlot *new_slot)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	const char *separator = "";
	int			start = buf->len;
	int			i;

	if (new_slot == NULL)
		appendStringInfo(buf, "DELETE FROM %s", shard->remote_qualified);
	else
	{
		appendStringInfo(buf, "UPDATE %s SET ", shard->remote_qualified);
		for (i = 0; i < tupdesc->natts; i++)
		{
			Form_pg_attribute attr = TupleDescAttr(tupdesc, i);
			bool		old_isnull;
			bool		new_isnull;
			Datum		old_value = slot_getattr(old_slot, i + 1, &old_isnull);
			Datum		new_value = slot_getattr(new_slot, i + 1, &new_isnull);

			if (attr->attisdropped || attr->attgenerated)
				continue;
			if (old_isnull == new_isnull &&
				(old_isnull || datum_image_eq(old_value, new_value, attr->attbyval,
											  attr->attlen)))
				continue;
			appendStringInfo(buf, "%s%s = ", separator,
							 quote_identifier(NameStr(attr->attname)));
			append_value(buf, new_slot, i + 1);
			separator = ", ";
		}
		if (separator[0] == '\0')
		{
			buf->len = start;
			buf->data[start] = '\0';
			return false;
		}
	}
	appendStringInfoString(buf, " WHERE ");
	append_condition(buf, rel, shard, old_slot);
	appendStringInfoString(buf, "; ");
	return true;
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
	replica = get_replica(rel, table);
	CzTxnFlushGoesOn(replica);
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
	{
		if (replica->ncommands > 0)
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
		bool		is_update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
		int			nest_level = CzWirePinSettings(true);
		bool		has_command;

		if (replica->writer != NULL)
		{
			CzWriterEnd(replica->writer);
			replica->writer = NULL;
		}
		has_command = append_command(&replica->commands, rel, replica->shard,
									 trigdata->tg_trigslot,
									 is_update ? trigdata->tg_newslot : NULL);
		CzWireUnpinSettings(nest_level);
		if (has_command)
			replica->ncommands++;
		if (replica->ncommands >= CZ_MAX_COMMANDS ||
			replica->commands.len >= CZ_MAX_COMMAND_BYTES)
			CzTxnRunAtLevel(replica->level, send_commands, replica);
	}
	PG_RETURN_POINTER(NULL);
}
