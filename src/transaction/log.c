/*-------------------------------------------------------------------------
 *
 * log.c
 *	  The table cz.transaction_log: decisions of two-phase commits.
 *
 * A row is written by the transaction that it is about, so it is committed if
 * and only if that is.  It names the workers by their servers' names: OIDs are
 * others after pg_upgrade.  It stays until each of these workers has answered
 * that it has no part of the transaction prepared; a worker whose server was
 * dropped meanwhile can't answer, and may come back under another name, so such
 * rows stay for good.  CzTxnForgetWorker keeps them few.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cz/compat.h"
#include "transaction_int.h"

/* Columns of cz.transaction_log */
#define LOG_NATTS 3
#define LOG_GID_PREFIX 1
#define LOG_SERVER_NAMES 2
#define LOG_CREATED_AT 3

static Oid
log_relid(void)
{
	return CzCatalogRelid("transaction_log");
}

/* False while the extension is being dropped. */
bool
CzTxnLogExists(void)
{
	return OidIsValid(log_relid());
}

static Datum
make_names(List *server_names)
{
	Datum	   *names = palloc(sizeof(Datum) * Max(list_length(server_names), 1));
	ListCell   *lc;

	foreach(lc, server_names)
		names[foreach_current_index(lc)] = CStringGetTextDatum((char *) lfirst(lc));
	return PointerGetDatum(construct_array(names, list_length(server_names), TEXTOID, -1,
										   false, TYPALIGN_INT));
}

/*
 * CzTxnLogInsert
 *		Write the decision row, as part of the current transaction.
 *
 * server_names: of char *, each once.
 */
void
CzTxnLogInsert(const char *gid_prefix, List *server_names)
{
	Relation	rel = table_open(log_relid(), RowExclusiveLock);
	Datum		values[LOG_NATTS];
	bool		nulls[LOG_NATTS] = {false};
	HeapTuple	tuple;

	/* a table with TOAST is not written without a snapshot, and a commit has none any more */
	PushActiveSnapshot(GetTransactionSnapshot());
	values[LOG_GID_PREFIX - 1] = CStringGetTextDatum(gid_prefix);
	values[LOG_SERVER_NAMES - 1] = make_names(server_names);
	values[LOG_CREATED_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
	PopActiveSnapshot();
}

static char *
gid_prefix_of(HeapTuple tuple, Relation rel)
{
	bool		isnull;

	return TextDatumGetCString(heap_getattr(tuple, LOG_GID_PREFIX, RelationGetDescr(rel),
											&isnull));
}

/*
 * CzTxnLogRead
 *		The committed rows: a list of CzLogRow, in the current memory context.
 */
List *
CzTxnLogRead(void)
{
	Relation	rel = table_open(log_relid(), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	List	   *rows = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CzLogRow   *row = palloc0(sizeof(CzLogRow));
		bool		isnull;
		Datum		names = heap_getattr(tuple, LOG_SERVER_NAMES, RelationGetDescr(rel),
										 &isnull);
		Datum	   *elements;
		int			nelements;
		int			i;

		row->gid_prefix = gid_prefix_of(tuple, rel);
		deconstruct_array(DatumGetArrayTypeP(names), TEXTOID, -1, false, TYPALIGN_INT,
						  &elements, NULL, &nelements);
		for (i = 0; i < nelements; i++)
			row->server_names = lappend(row->server_names,
										TextDatumGetCString(elements[i]));
		rows = lappend(rows, row);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return rows;
}

static CzLogRow *
find_row(List *rows, const char *gid_prefix)
{
	ListCell   *lc;

	foreach(lc, rows)
	{
		CzLogRow   *row = (CzLogRow *) lfirst(lc);

		if (strcmp(row->gid_prefix, gid_prefix) == 0)
			return row;
	}
	return NULL;
}

/*
 * CzTxnLogTidy
 *		Of the rows that are not in use: delete them, or only forget one worker if
 *		they name others too.  The caller holds the lock of recovery until it
 *		commits.
 *
 * only_server_name: NULL to delete them.
 */
void
CzTxnLogTidy(List *rows, const char *only_server_name)
{
	Relation	rel = table_open(log_relid(), RowExclusiveLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	List	   *todo = NIL;
	HeapTuple	tuple;
	ListCell   *lc;

	foreach(lc, rows)
	{
		if (!((CzLogRow *) lfirst(lc))->is_in_use)
			todo = lappend(todo, lfirst(lc));
	}
	while (todo != NIL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CzLogRow   *row = find_row(todo, gid_prefix_of(tuple, rel));
		List	   *names = NIL;

		if (row == NULL)
			continue;
		todo = list_delete_ptr(todo, row);
		foreach(lc, row->server_names)
		{
			if (only_server_name && strcmp((char *) lfirst(lc), only_server_name) != 0)
				names = lappend(names, lfirst(lc));
		}
		if (names == NIL)
			CatalogTupleDelete(rel, &tuple->t_self);
		else if (list_length(names) < list_length(row->server_names))
		{
			Datum		values[LOG_NATTS] = {0};
			bool		nulls[LOG_NATTS] = {false};
			bool		replaces[LOG_NATTS] = {false};
			HeapTuple	changed;

			values[LOG_SERVER_NAMES - 1] = make_names(names);
			replaces[LOG_SERVER_NAMES - 1] = true;
			changed = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls,
										replaces);
			CatalogTupleUpdate(rel, &tuple->t_self, changed);
		}
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}

/*
 * CzTxnLogContains
 *		Is the decision row of a prefix committed now?
 */
bool
CzTxnLogContains(const char *gid_prefix)
{
	Relation	rel = table_open(log_relid(), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	bool		is_found;

	ScanKeyInit(&key, LOG_GID_PREFIX, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(gid_prefix));
	scan = systable_beginscan(rel, RelationGetPrimaryKeyIndex_compat(rel), true, snapshot, 1,
							  &key);
	is_found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return is_found;
}
