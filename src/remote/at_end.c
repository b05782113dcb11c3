/*-------------------------------------------------------------------------
 *
 * at_end.c
 *	  What the end of a transaction or subtransaction does with connections.
 *
 * Where it fails, everything in state READ or CONNECTING that it acquired is cancelled or
 * closed here; TXN connections are those of transaction/connections.c.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq-fe.h"
#include "utils/memutils.h"

#include "remote_int.h"

/* Time that abort processing gives all workers together to stop, milliseconds. */
#define ABORT_CANCEL_MS 3000

/*
 * Bring every connection in state READ that the subtransaction (or, if it is
 * invalid, any) acquired back to rest, or close it.
 */
static void
abort_readers(SubTransactionId subid)
{
	CzConn	   *conn;
	CzConn	   *next;
	CzConn	  **busy = NULL;
	int			nbusy = 0;
	int			count = 0;

	for (conn = (CzConn *) cz_conn_list; conn; conn = conn->next)
		count++;
	if (count == 0)
		return;

	/* a failure to allocate here is no reason to fail the abort: close then */
	busy = MemoryContextAllocExtended(cz_conn_context, count * sizeof(CzConn *),
									  MCXT_ALLOC_NO_OOM);
	for (conn = (CzConn *) cz_conn_list; conn; conn = next)
	{
		ConnEntry  *entry = ENTRY(conn);

		next = conn->next;
		if (entry->name_in_txn)
			entry->name_hash = 0;
		entry->name_in_txn = false;
		if (entry->settings_in_txn)
		{
			conn->settings_generation = 0;
			entry->settings_in_txn = false;
		}
		if ((conn->state != CZ_CONN_READ && conn->state != CZ_CONN_CONNECTING) ||
			entry->is_parked ||
			(subid != InvalidSubTransactionId && entry->acquired_in != subid))
			continue;
		conn->busy_owner = NULL;
		conn->busy_drain = NULL;
		if (conn->state == CZ_CONN_CONNECTING && entry->is_patient)
			CzConnPark(entry);
		else if (conn->state == CZ_CONN_CONNECTING || conn->is_broken || busy == NULL ||
				 PQstatus(conn->pg) != CONNECTION_OK)
			CzConnDiscard(conn);
		else
			busy[nbusy++] = conn;
	}

	if (nbusy > 0)
	{
		int			i;

		CzConnCancelMany(busy, nbusy, ABORT_CANCEL_MS);
		for (i = 0; i < nbusy; i++)
		{
			conn = busy[i];
			if (!conn->is_broken && PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
			{
				PGresult   *res = CzConnExecQuiet(conn, "ROLLBACK", ABORT_CANCEL_MS);

				PQclear(res);
			}
			CzConnRelease(conn);
		}
	}
	if (busy)
		pfree(busy);
}

static void
conn_xact_callback(XactEvent event, void *arg)
{
	CzConn	   *conn;
	CzConn	   *next;

	CzWaitEnded();
	CzPoolForgetGiven();
	if (cz_conn_list == NULL)
		return;

	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			abort_readers(InvalidSubTransactionId);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
			for (conn = (CzConn *) cz_conn_list; conn; conn = next)
			{
				next = conn->next;
				ENTRY(conn)->settings_in_txn = false;
				ENTRY(conn)->name_in_txn = false;
				if (ENTRY(conn)->is_parked)
					continue;
				if (conn->state == CZ_CONN_CONNECTING)
					CzConnRelease(conn);
				else if (conn->state == CZ_CONN_READ)
				{
					elog(DEBUG1, "connection to node \"%s\" was not released before commit",
						 conn->node_name);
					CzConnRelease(conn);
				}
			}
			break;
		default:
			return;
	}
	CzConnCloseStale();
	CzPoolShed();
}

static void
conn_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
					  SubTransactionId parentSubid, void *arg)
{
	CzConn	   *conn;

	if (cz_conn_list == NULL)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		CzWaitEnded();
		abort_readers(mySubid);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (conn = (CzConn *) cz_conn_list; conn; conn = conn->next)
		{
			if (ENTRY(conn)->acquired_in == mySubid)
				ENTRY(conn)->acquired_in = parentSubid;
		}
	}
}

/*
 * CzRemoteInit
 *		Register callbacks; called once, from _PG_init.
 */
void
CzRemoteInit(void)
{
	RegisterXactCallback(conn_xact_callback, NULL);
	RegisterSubXactCallback(conn_subxact_callback, NULL);
}
