/*-------------------------------------------------------------------------
 *
 * rows_apply.c
 *	  Changes of rows are applied: on the first placement of each shard by ctid (and
 *	  tableoid, if it is partitioned), on the others by the key (stream_replicas.c).
 *
 * Rows that go are deleted first, then those that stay are changed, then those that come
 * are inserted; so a row may take the unique value of one that leaves.  (Not so where the
 * workers would do something about rows that refer to one that leaves: key_moves.c.)  The rows are
 * locked: one that is not found any more was changed by the statement itself, by a
 * function or a trigger of it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "cz/seal.h"
#include "cz/transaction.h"
#include "cz/writer.h"
#include "executor_int.h"
#include "row_changes.h"
#include "rows.h"

/* Rows of a set that one statement changes. */
typedef struct ApplyRows
{
	CzRowChangeSet *set;
	CmdType		command;		/* CMD_UPDATE or CMD_DELETE */
	int			actions;		/* ACTION of what is done by it */
} ApplyRows;

/* Kinds of CzRowAction, to be combined. */
#define ACTION(action) (1 << (int) (action))

/* The next row for the workers: id, table, old key, new values, shard. */
static bool
next_change(void *arg, TupleTableSlot *slot, int64 *nbytes)
{
	ApplyRows  *rows = arg;
	CzRowChangeSet *set = rows->set;
	static CzRowChange change;
	ListCell   *lc;
	int			n = 0;

	ExecClearTuple(slot);
	do
	{
		if (!CzRowChangeSetNext(set, &change))
			return false;
	} while ((rows->actions & ACTION(change.action)) == 0);
	slot->tts_values[n] = PointerGetDatum(&change.name.id);
	slot->tts_isnull[n++] = false;
	if (set->table->is_partitioned)
	{
		slot->tts_values[n] = ObjectIdGetDatum(change.name.table);
		slot->tts_isnull[n++] = false;
	}
	foreach(lc, set->key)
	{
		slot->tts_values[n] = CzRowChangeOld(set, lfirst_int(lc), &slot->tts_isnull[n]);
		n++;
	}
	foreach(lc, rows->command == CMD_UPDATE ? set->assigned : NIL)
	{
		slot->tts_values[n] = CzRowChangeNew(set, lfirst_int(lc), &slot->tts_isnull[n]);
		n++;
	}
	slot->tts_values[n] = Int32GetDatum(change.name.shard);
	slot->tts_isnull[n++] = false;
	ExecStoreVirtualTuple(slot);
	*nbytes += ((MinimalTupleTableSlot *) set->slot)->mintuple->t_len;
	return true;
}

static void
add_column(TupleDesc desc, AttrNumber n, Relation rel, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

	TupleDescInitEntry(desc, n, NULL, att->atttypid, att->atttypmod, 0);
	TupleDescInitEntryCollation(desc, n, att->attcollation);
}

static void
return_column(CzFragmentPlan *plan, StringInfo buf, Relation rel, AttrNumber attno,
			  const char *text)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

	appendStringInfo(buf, "%s %s", plan->column_types == NIL ? " RETURNING" : ",", text);
	plan->column_types = lappend_oid(plan->column_types, att->atttypid);
	plan->column_typmods = lappend_int(plan->column_typmods, att->atttypmod);
}

/*
 * Have the statement return what the other placements need: the old key, then the new
 * values.
 */
static void
return_for_replicas(CzRowChangeSet *set, CmdType command, CzFragmentPlan *plan)
{
	StringInfoData buf;
	ListCell   *lc;
	int			n = set->table->is_partitioned ? 2 : 1;

	initStringInfo(&buf);
	appendStringInfoString(&buf, strVal(llast(plan->pieces)));
	foreach(lc, set->key)
		return_column(plan, &buf, set->rel, lfirst_int(lc), psprintf("v.c%d", ++n));
	plan->replica_keys = set->key;
	if (command == CMD_UPDATE)
	{
		foreach(lc, set->assigned)
			return_column(plan, &buf, set->rel, lfirst_int(lc),
						  psprintf("t.%s", quote_identifier(set->table->column_names[lfirst_int(lc) - 1])));
		plan->replica_sets = set->assigned;
	}
	plan->has_returning = true;
	llast(plan->pieces) = makeString(buf.data);
}

/* ---- other placements of a table without a key --------------------------- */

/* Run commands on one placement; they must change so many rows. */
static void
run_on_placement(const CzShard *shard, Oid server_oid, Oid user_oid, CzRowChanges *changes,
				 const char *sql, int64 nwanted)
{
	CzConn	   *conn = CzTxnReplicaConn(server_oid, user_oid);
	int64		nrows = CzConnExecCount(conn, sql, CzRowChangesShown(changes));

	if (nrows == nwanted)
		return;
	if (!IsolationUsesXactSnapshot())
		CzTxnPlacementsDiffer(shard, server_oid);
	ereport(ERROR,
			(errcode(IsolationUsesXactSnapshot() ? ERRCODE_T_R_SERIALIZATION_FAILURE :
					 ERRCODE_DATA_CORRUPTED),
			 errmsg("placements of shard " INT64_FORMAT " differ", shard->shard_id),
			 errdetail("The command changed " INT64_FORMAT " rows on the first placement and " INT64_FORMAT " on node \"%s\".",
					   nwanted, nrows, conn->node_name)));
}

static void
send_changes(CzRowChangeSet *set, int shard_index, CzRowChanges *changes)
{
	const CzShard *shard = CzShardFresh(&set->table->shards[shard_index]);
	Oid			user_oid = OidIsValid(set->user_oid) ? set->user_oid : GetUserId();
	Oid		   *server_oids;
	int			nplacements;
	const char *sql;
	int64		nwanted;
	int			i;

	if (CzRowChangesIsEmpty(changes))
		return;
	sql = CzRowChangesSql(changes, &nwanted);
	nplacements = CzTxnWritePlacements(shard, user_oid, true, &server_oids);
	for (i = 1; i < nplacements; i++)
		run_on_placement(shard, server_oids[i], user_oid, changes, sql, nwanted);
	CzRowChangesClear(changes);
}

/*
 * Do to the other placements what was done to the first one: a row is found by what it
 * is, and of equal rows any is as good as another.  The shards are locked.
 */
static void
apply_by_contents(CzRowChangeSet *set, CmdType command, int actions)
{
	TupleDesc	desc = RelationGetDescr(set->rel);
	CzRowChanges **by_shard = palloc0(sizeof(CzRowChanges *) * set->table->nshards);
	TupleTableSlot *old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	TupleTableSlot *new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	CzRowChange change;
	int			i;

	CzBracketOpen(RelationGetRelid(set->rel));
	CzRowChangeSetRewind(set);
	while (CzRowChangeSetNext(set, &change))
	{
		int			index = change.name.shard;

		if ((actions & ACTION(change.action)) == 0 ||
			!CzShardIsReplicated(&set->table->shards[index]))
			continue;
		if (by_shard[index] == NULL)
			by_shard[index] = CzRowChangesBegin(set->rel, &set->table->shards[index]);
		CzRowChangeSetRows(set, new_slot, old_slot);
		CzRowChangesAdd(by_shard[index], old_slot, command == CMD_UPDATE ? new_slot : NULL);
		if (CzRowChangesIsFull(by_shard[index]))
			send_changes(set, index, by_shard[index]);
	}
	for (i = 0; i < set->table->nshards; i++)
	{
		if (by_shard[i] != NULL)
			send_changes(set, i, by_shard[i]);
	}
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
}

/*
 * CzRaiseOwnChange
 *		Say that the statement has changed one of its rows before, as core does.
 */
void
CzRaiseOwnChange(CmdType command)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("tuple to be %s was already modified by an operation triggered by the current command",
					command == CMD_UPDATE ? "updated" :
					command == CMD_DELETE ? "deleted" : "updated or deleted"),
			 errhint("Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows.")));
}

/* ---- changes in place ----------------------------------------------------- */

/*
 * The rows must be where they were locked: if others have made that placement inactive,
 * their ids mean nothing at what is the first one now.
 */
static void
check_placements(const CzRowChangeSet *set, Bitmapset *shards)
{
	const CzTable *table;
	int			i = -1;

	AcceptInvalidationMessages();
	table = CzTableGet(RelationGetRelid(set->rel));
	while ((i = bms_next_member(shards, i)) >= 0)
	{
		if (CzTxnFirstPlacement(&table->shards[i]) != set->first_oids[i])
			CzTxnReportChange(&table->shards[i]);
	}
}

/* Change or delete rows where they are: those with one of some actions. */
static void
apply_in_place(CzRowChangeSet *set, CmdType command, int actions)
{
	bool		is_update = command == CMD_UPDATE;
	List	   *assigned = is_update ? set->assigned : NIL;
	int64		nwanted = 0;
	bool		has_table = set->table->is_partitioned;
	TupleDesc	desc = CreateTemplateTupleDesc(list_length(set->key) + list_length(assigned) +
											   (has_table ? 3 : 2));
	Bitmapset  *shards = NULL;
	StringInfoData middle;
	CzFragmentPlan *plan;
	ApplyRows	rows = {set, command, actions};
	int64		nchanged;
	ListCell   *lc;
	int			n = 1;
	int			action;

	for (action = 0; action < CZ_ROW_ACTIONS; action++)
	{
		if ((actions & ACTION(action)) == 0)
			continue;
		nwanted += set->counts[action];
		shards = bms_union(shards, set->shards[action]);
	}
	if (nwanted == 0)
		return;
	check_placements(set, shards);
	TupleDescInitEntry(desc, n, NULL, TIDOID, -1, 0);
	if (has_table)
		TupleDescInitEntry(desc, ++n, NULL, OIDOID, -1, 0);
	foreach(lc, set->key)
		add_column(desc, ++n, set->rel, lfirst_int(lc));
	initStringInfo(&middle);
	appendStringInfoString(&middle, is_update ? " AS t SET" : " AS t USING ");
	foreach(lc, assigned)
	{
		add_column(desc, ++n, set->rel, lfirst_int(lc));
		appendStringInfo(&middle, "%s %s = v.c%d", foreach_current_index(lc) > 0 ? "," : "",
						 quote_identifier(set->table->column_names[lfirst_int(lc) - 1]), n);
	}
	if (is_update)
		appendStringInfoString(&middle, " FROM ");
	TupleDescInitEntry(desc, ++n, NULL, INT4OID, -1, 0);

	plan = CzRowStatement(set->table, command, is_update ? "UPDATE " : "DELETE FROM ",
						  middle.data,
						  has_table ?
						  psprintf(" AS v WHERE t.ctid OPERATOR(pg_catalog.=) v.c1 AND t.tableoid OPERATOR(pg_catalog.=) v.c2%s",
								   set->parts_qual) :
						  " AS v WHERE t.ctid OPERATOR(pg_catalog.=) v.c1", desc, shards);
	plan->check_as_user = set->user_oid;
	if (set->key != NIL && CzTableIsReplicated(set->table))
		return_for_replicas(set, command, plan);
	CzRowChangeSetRewind(set);
	nchanged = CzRowsSend(set->parent, plan, desc, next_change, &rows);
	check_placements(set, shards);
	if (nchanged != nwanted)
		CzRaiseOwnChange(command);
	if (set->key == NIL && CzTableIsReplicated(set->table))
		apply_by_contents(set, command, actions);
}

/* ---- all of a set -------------------------------------------------------- */

/* Insert rows that are new or come from another shard. */
static void
apply_inserts(CzRowChangeSet *set)
{
	TupleDesc	desc = RelationGetDescr(set->rel);
	TupleTableSlot *slot;
	CzWriter   *writer;
	CzRowChange change;
	int64		row_number = 0;

	if (set->counts[CZ_ROW_MOVE] + set->counts[CZ_ROW_INSERT] == 0)
		return;
	(void) CzTxnBeforeWrite();
	CzFlushReferenced(RelationGetRelid(set->rel));
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	writer = CzWriterBegin(CreateTupleDescCopyConstr(desc), set->table->column_names,
						   OidIsValid(set->user_oid) ? set->user_oid : GetUserId());
	CzRowChangeSetRewind(set);
	while (CzRowChangeSetNext(set, &change))
	{
		CHECK_FOR_INTERRUPTS();
		if (change.action != CZ_ROW_MOVE && change.action != CZ_ROW_INSERT)
			continue;
		CzRowChangeSetRows(set, slot, NULL);
		CzWriterPut(writer, &set->table->shards[change.new_shard], slot, ++row_number);
	}
	CzWriterEnd(writer);
	ExecDropSingleTupleTableSlot(slot);
}

/* Queue AFTER ROW triggers. */
static void
fire_after_rows(CzRowChangeSet *set)
{
	TupleDesc	desc = RelationGetDescr(set->rel);
	TupleTableSlot *new_slot;
	TupleTableSlot *old_slot;
	CzRowChange change;

	if (!CzTriggersHasAfterRow(set->triggers, CMD_INSERT) &&
		!CzTriggersHasAfterRow(set->triggers, CMD_UPDATE) &&
		!CzTriggersHasAfterRow(set->triggers, CMD_DELETE))
		return;
	new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	CzRowChangeSetRewind(set);
	while (CzRowChangeSetNext(set, &change))
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(set->row_context);
		HeapTuple	old_tuple = NULL;

		CHECK_FOR_INTERRUPTS();
		CzRowChangeSetRows(set, new_slot, old_slot);
		if (change.action != CZ_ROW_INSERT)
		{
			old_tuple = ExecCopySlotHeapTuple(old_slot);
			old_tuple->t_tableOid = RelationGetRelid(set->rel);
		}
		MemoryContextSwitchTo(oldcontext);
		CzTriggersAfterRow(set->triggers, change.action == CZ_ROW_DELETE ? CMD_DELETE :
						   change.action == CZ_ROW_INSERT ? CMD_INSERT : CMD_UPDATE,
						   old_tuple, change.action == CZ_ROW_DELETE ? NULL : new_slot);
		ExecClearTuple(new_slot);
		ExecClearTuple(old_slot);
		MemoryContextReset(set->row_context);
	}
	ExecDropSingleTupleTableSlot(new_slot);
	ExecDropSingleTupleTableSlot(old_slot);
}

/* Whoever asked for rows has stopped: what comes after them is not done. */
static void
recount(CzRowChangeSet *set)
{
	CzRowChange change;

	memset(set->counts, 0, sizeof(set->counts));
	CzRowChangeSetRewind(set);
	while (CzRowChangeSetNext(set, &change))
		set->counts[change.action]++;
}

/*
 * Are the changes of a set several commands on a first placement?  What goes to others is
 * looked at when it does.
 */
static bool
is_several_commands(const CzRowChangeSet *set)
{
	int64		ndeletes = set->counts[CZ_ROW_DELETE] + set->counts[CZ_ROW_MOVE];
	int64		ninserts = set->counts[CZ_ROW_INSERT] + set->counts[CZ_ROW_MOVE];
	int64		nupdates = set->counts[CZ_ROW_UPDATE];

	return ninserts > 1 || (ndeletes > 0) + (ninserts > 0) + (nupdates > 0) > 1 ||
		Max(ndeletes, nupdates) > CZ_MAX_SENT_ROWS;
}

/* Rows outside of the seals of their shards: those go first. */
static void
admit_rows(CzRowChangeSet *set)
{
	TupleTableSlot *slot;
	CzRowChange change;

	if (set->table->seals == NULL)
		return;
	slot = MakeSingleTupleTableSlot(RelationGetDescr(set->rel), &TTSOpsVirtual);
	CzRowChangeSetRewind(set);
	while (CzRowChangeSetNext(set, &change))
	{
		if (change.action == CZ_ROW_DELETE)
			continue;
		CzRowChangeSetRows(set, slot, NULL);
		CzSealAdmitSlot(set->table, &set->table->shards[change.new_shard], slot);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * CzRowChangeSetApply
 *		Apply a set, and queue the AFTER triggers of what it did.
 *
 * Errors:  the workers'; 27000 if a row has been changed by the statement already.
 */
void
CzRowChangeSetApply(CzRowChangeSet *set)
{
	EState	   *estate = set->parent->state;
	MemoryContext oldcontext = MemoryContextSwitchTo(set->context);
	bool		fires_first;

	if (set->limit >= 0)
		recount(set);
	fires_first = set->has_key_moves && set->counts[CZ_ROW_MOVE] > 0;
	if (is_several_commands(set))
		CzBracketOpen(RelationGetRelid(set->rel));
	PushActiveSnapshot(estate->es_snapshot);
	admit_rows(set);
	apply_in_place(set, CMD_DELETE, ACTION(CZ_ROW_DELETE) |
				   (fires_first ? 0 : ACTION(CZ_ROW_MOVE)));
	apply_in_place(set, CMD_UPDATE, ACTION(CZ_ROW_UPDATE));
	apply_inserts(set);
	if (fires_first)
	{
		CzKeyMovesFire(set);
		apply_in_place(set, CMD_DELETE, ACTION(CZ_ROW_MOVE));
	}
	PopActiveSnapshot();
	fire_after_rows(set);
	CzTriggersAfterStatement(set->triggers);
	if (set->store != NULL)
		tuplestore_end(set->store);
	set->store = NULL;
	MemoryContextSwitchTo(oldcontext);
}
