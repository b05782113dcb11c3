/*-------------------------------------------------------------------------
 *
 * movers.c
 *	  Background workers that move shards: how they are started, awaited and stopped; and
 *	  the flag by which writers know that a shard may change its place just now.
 *
 * What they do is src/mover's.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "commands/sequence.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "nodes/value.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "catalog/pg_enum.h"

#include "cz/move.h"
#include "cz/settings.h"
#include "transaction_int.h"

PG_FUNCTION_INFO_V1(cz_move_bytes);

/* Columns of cz.move; sql/34-move.sql */
enum
{
	ANUM_MOVE_ID = 1,
	ANUM_MOVE_PHASE = 8,
	ANUM_MOVE_PAUSE = 15,
	ANUM_MOVE_SQLSTATE = 21,
	ANUM_MOVE_ERROR = 22
};

/* What a mover is told, after the task's byte in bgw_extra. */
typedef struct MoverArgs
{
	int64		move_id;
	bool		is_resumed;		/* then nothing else is set */
	CzMoveSpec	spec;
	char		debug_point[40];	/* of the session that asks */
} MoverArgs;

StaticAssertDecl(sizeof(MoverArgs) < BGW_EXTRALEN, "arguments of a mover are too long");

void		(*cz_move_task) (int64 move_id, const CzMoveSpec *spec) = NULL;
bool		(*cz_move_round) (void) = NULL;

/* Pauses before a move that gave way begins again: each is twice the one before */
#define FIRST_AGAIN_MS 250
#define MAX_AGAIN_MS 10000

/* Moves whose progress is shown at a time */
#define PROGRESS_SLOTS 64

typedef struct MoverProgress
{
	pg_atomic_uint64 move_id;	/* 0: free */
	Oid			database_oid;
	pg_atomic_uint64 bytes;
} MoverProgress;

typedef struct MoversShared
{
	pg_atomic_uint32 nswitching;	/* moves that are at their switch, of all databases */
	MoverProgress progress[PROGRESS_SLOTS];
} MoversShared;

static MoversShared *movers = NULL;
static dsm_segment *pieces_segment = NULL;	/* of the move that this session waits for */
static MoverProgress *my_progress = NULL;
static bool is_switching = false;
static bool has_exit_callback = false;

Size
CzMoversShmemSize(void)
{
	return MAXALIGN(sizeof(MoversShared));
}

void
CzMoversShmemInit(void)
{
	bool		found;
	int			i;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	movers = ShmemInitStruct("cz_fdw movers", CzMoversShmemSize(), &found);
	if (!found)
	{
		memset(movers, 0, CzMoversShmemSize());
		pg_atomic_init_u32(&movers->nswitching, 0);
		for (i = 0; i < PROGRESS_SLOTS; i++)
		{
			pg_atomic_init_u64(&movers->progress[i].move_id, 0);
			pg_atomic_init_u64(&movers->progress[i].bytes, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * CzMoveSwitchBegin, CzMoveSwitchEnd, CzMoveIsSwitching
 *		See move.h.
 */
void
CzMoveSwitchEnd(void)
{
	if (!is_switching)
		return;
	is_switching = false;
	pg_atomic_fetch_sub_u32(&movers->nswitching, 1);
}

static void
end_at_exit(int code, Datum arg)
{
	CzMoveSwitchEnd();
	if (my_progress != NULL)
		pg_atomic_write_u64(&my_progress->move_id, 0);
	my_progress = NULL;
}

static void
ensure_exit_callback(void)
{
	if (!has_exit_callback)
		before_shmem_exit(end_at_exit, (Datum) 0);
	has_exit_callback = true;
}

void
CzMoveSwitchBegin(void)
{
	if (is_switching || movers == NULL)
		return;
	ensure_exit_callback();
	is_switching = true;
	pg_atomic_fetch_add_u32(&movers->nswitching, 1);
}

bool
CzMoveIsSwitching(void)
{
	return movers != NULL && pg_atomic_read_u32(&movers->nswitching) > 0;
}

static void
set_capture_tag(LOCKTAG *tag, Oid relid)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0, relid, CZ_LOCKTAG_CAPTURE);
}

/*
 * CzMoveAwaitCaptures, CzMoveHoldCapture, CzMoveReleaseCapture
 *		See move.h.  Who alters a table does not exclude others who do: they may have the
 *		table's own lock already.
 */
void
CzMoveAwaitCaptures(Oid relid)
{
	const CzTable *table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	LOCKTAG		tag;

	if (table == NULL || !CzTableIsDistributed(table))
		return;
	set_capture_tag(&tag, OidIsValid(table->root_relid) ? table->root_relid : relid);
	(void) LockAcquire(&tag, RowExclusiveLock, false, false);
}

bool
CzMoveHoldCapture(Oid relid)
{
	LOCKTAG		tag;

	set_capture_tag(&tag, relid);
	return LockAcquire(&tag, ShareLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
CzMoveReleaseCapture(Oid relid)
{
	LOCKTAG		tag;

	set_capture_tag(&tag, relid);
	(void) LockRelease(&tag, ShareLock, true);
}

/*
 * CzMoveProgress
 *		See move.h.
 */
void
CzMoveProgress(int64 move_id, int64 bytes)
{
	int			i;

	for (i = 0; movers != NULL && my_progress == NULL && i < PROGRESS_SLOTS; i++)
	{
		uint64		expected = 0;

		if (!pg_atomic_compare_exchange_u64(&movers->progress[i].move_id, &expected,
											(uint64) move_id))
			continue;
		ensure_exit_callback();
		my_progress = &movers->progress[i];
		my_progress->database_oid = MyDatabaseId;
	}
	if (my_progress != NULL)
		pg_atomic_write_u64(&my_progress->bytes, (uint64) bytes);
}

/*
 * cz_move_bytes
 *		SQL function: how many bytes a move that runs in this database has copied.
 */
Datum
cz_move_bytes(PG_FUNCTION_ARGS)
{
	int			i;

	for (i = 0; movers != NULL && i < PROGRESS_SLOTS; i++)
	{
		if (pg_atomic_read_u64(&movers->progress[i].move_id) == (uint64) PG_GETARG_INT64(0) &&
			movers->progress[i].database_oid == MyDatabaseId)
			PG_RETURN_INT64((int64) pg_atomic_read_u64(&movers->progress[i].bytes));
	}
	PG_RETURN_NULL();
}

static Node *
text_node(const char *text)
{
	return text ? (Node *) makeString(pstrdup(text)) : NULL;
}

/* The pieces of a split are more than a background worker's arguments have room for. */
static dsm_handle
write_pieces(List *pieces)
{
	List	   *list = NIL;
	ListCell   *lc;
	char	   *text;

	foreach(lc, pieces)
	{
		const CzPiece *piece = lfirst(lc);

		list = lappend(list, list_make5(makeInteger(piece->modulus),
										makeInteger(piece->remainder),
										makeInteger((int) piece->server_oid),
										text_node(piece->lower), text_node(piece->upper)));
	}
	text = nodeToString(list);
	pieces_segment = dsm_create(strlen(text) + 1, 0);
	strcpy(dsm_segment_address(pieces_segment), text);
	return dsm_segment_handle(pieces_segment);
}

static List *
read_pieces(dsm_handle handle)
{
	dsm_segment *segment = dsm_attach(handle);
	List	   *result = NIL;
	ListCell   *lc;

	/* who has asked is gone */
	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the session that wanted the split has ended")));
	foreach(lc, (List *) stringToNode(dsm_segment_address(segment)))
	{
		List	   *fields = lfirst(lc);
		CzPiece    *piece = palloc0(sizeof(CzPiece));

		piece->modulus = intVal(linitial(fields));
		piece->remainder = intVal(lsecond(fields));
		piece->server_oid = (Oid) intVal(lthird(fields));
		piece->lower = lfourth(fields) ? strVal(lfourth(fields)) : NULL;
		piece->upper = list_nth(fields, 4) ? strVal(list_nth(fields, 4)) : NULL;
		result = lappend(result, piece);
	}
	dsm_detach(segment);
	return result;
}

static bool
start_mover(const MoverArgs *args, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	CzFillWorker(&worker, MyDatabaseId);
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_extra[0] = (char) CZ_TASK_MOVE;
	memcpy(worker.bgw_extra + 1, args, sizeof(MoverArgs));
	snprintf(worker.bgw_name, BGW_MAXLEN, "cz_fdw move " INT64_FORMAT, args->move_id);
	snprintf(worker.bgw_type, BGW_MAXLEN, "cz_fdw move");
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/*
 * CzMoveStart
 *		See move.h.
 */
int64
CzMoveStart(const CzMoveSpec *spec, BackgroundWorkerHandle **handle)
{
	MoverArgs	args;

	PreventCommandIfReadOnly("a move of shards");
	CzTxnCheckCoordinator();
	memset(&args, 0, sizeof(args));
	args.move_id = nextval_internal(CzCatalogRelid("move_id_seq"), false);
	args.spec = *spec;
	args.spec.pieces = NIL;
	if (spec->pieces != NIL)
		args.spec.plan_handle = write_pieces(spec->pieces);
	if (cz_debug_point != NULL && !spec->is_again)
		strlcpy(args.debug_point, cz_debug_point, sizeof(args.debug_point));
	if (!start_mover(&args, handle))
		CzNoBackgroundWorker();
	return args.move_id;
}

/*
 * CzMoveResume
 *		See move.h.
 */
bool
CzMoveResume(int64 move_id)
{
	BackgroundWorkerHandle *handle;
	MoverArgs	args;

	memset(&args, 0, sizeof(args));
	args.move_id = move_id;
	args.is_resumed = true;
	return start_mover(&args, &handle);
}

/*
 * CzMoveMain
 *		In the background worker.
 */
void
CzMoveMain(const char *extra)
{
	MoverArgs	args;

	memcpy(&args, extra, sizeof(args));
	if (args.debug_point[0] != '\0')
		SetConfigOption("cz.debug_point", args.debug_point, PGC_SUSET, PGC_S_OVERRIDE);
	if (!args.is_resumed && args.spec.operation == CZ_MOVE_SPLIT)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		args.spec.pieces = read_pieces(args.spec.plan_handle);
		MemoryContextSwitchTo(old);
	}
	cz_move_task(args.move_id, args.is_resumed ? NULL : &args.spec);
}

/*
 * CzMoveNoteLeft
 *		See move.h.
 */
void
CzMoveNoteLeft(void)
{
	CzActivityNote(CZ_TASK_RECOVER);
}

/*
 * CzMoveIsRunning
 *		See move.h.
 */
bool
CzMoveIsRunning(BackgroundWorkerHandle *handle)
{
	pid_t		pid;

	return GetBackgroundWorkerPid(handle, &pid) != BGWH_STOPPED;
}

/*
 * CzMoveCancel
 *		See move.h.
 */
void
CzMoveCancel(BackgroundWorkerHandle *handle)
{
	pid_t		pid;

	if (GetBackgroundWorkerPid(handle, &pid) == BGWH_STARTED)
		kill(pid, SIGINT);
	else
		TerminateBackgroundWorker(handle);
}

static char *
text_of(Relation rel, HeapTuple tuple, AttrNumber attno)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attno, RelationGetDescr(rel), &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* The row of a move, as it is committed now; NULL: there is none.  A copy. */
static HeapTuple
read_row(Relation rel, int64 move_id)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, ANUM_MOVE_ID, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(move_id));
	scan = systable_beginscan(rel, CzCatalogRelid("move_pkey"), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

/*
 * CzMoveResult
 *		See move.h.  What is committed now, whatever the transaction's snapshot.
 */
bool
CzMoveResult(int64 move_id, char **sqlstate, char **message)
{
	Relation	rel = table_open(CzCatalogRelid("move"), AccessShareLock);
	HeapTuple	tuple = read_row(rel, move_id);
	bool		is_done = false;

	*sqlstate = *message = NULL;
	if (HeapTupleIsValid(tuple))
	{
		char	   *phase = text_of(rel, tuple, ANUM_MOVE_PHASE);

		is_done = strcmp(phase, "done") == 0 || strcmp(phase, "switched") == 0;
		*sqlstate = text_of(rel, tuple, ANUM_MOVE_SQLSTATE);
		*message = text_of(rel, tuple, ANUM_MOVE_ERROR);
	}
	table_close(rel, AccessShareLock);
	if (!is_done && *message == NULL)
		*message = "its background worker has ended; the server log says why";
	return is_done;
}

/*
 * CzMovePause
 *		See move.h.  What is committed now, as CzMoveResult.
 */
double
CzMovePause(int64 move_id)
{
	Relation	rel = table_open(CzCatalogRelid("move"), AccessShareLock);
	HeapTuple	tuple = read_row(rel, move_id);
	double		result = 0;

	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, ANUM_MOVE_PAUSE, RelationGetDescr(rel), &isnull);

		result = isnull ? 0 : DatumGetFloat8(value);
	}
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * CzMoveGaveWay
 *		See move.h.
 */
bool
CzMoveGaveWay(const char *sqlstate)
{
	return sqlstate != NULL && strncmp(sqlstate, "40", 2) == 0;
}

/* Start a move and wait for its end; true: it is done. */
static bool
run_once(const CzMoveSpec *spec, char **sqlstate, char **message)
{
	BackgroundWorkerHandle *handle;
	int64		move_id;

	pieces_segment = NULL;
	move_id = CzMoveStart(spec, &handle);
	PG_TRY();
	{
		(void) WaitForBackgroundWorkerShutdown(handle);
	}
	PG_CATCH();
	{
		CzMoveCancel(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pfree(handle);
	if (pieces_segment != NULL)
		dsm_detach(pieces_segment);
	pieces_segment = NULL;
	AcceptInvalidationMessages();
	return CzMoveResult(move_id, sqlstate, message);
}

/*
 * CzMoveRun
 *		See move.h.
 */
void
CzMoveRun(const CzMoveSpec *spec)
{
	CzMoveSpec	again = *spec;
	int			pause_ms = FIRST_AGAIN_MS;
	char	   *sqlstate;
	char	   *message;

	if (CzTxnHasWritten())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot move shards in a transaction that has written to workers"),
				 errdetail("The move would wait for its end.")));
	while (!run_once(&again, &sqlstate, &message))
	{
		again.is_again = true;
		if (!CzMoveGaveWay(sqlstate))
			ereport(ERROR,
					(errcode(sqlstate ? MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
													  sqlstate[3], sqlstate[4]) :
							 ERRCODE_INTERNAL_ERROR),
					 spec->operation == CZ_MOVE_SPLIT ?
					 errmsg("could not split the shard: %s", message) :
					 errmsg("could not move shards: %s", message)));
		ereport(NOTICE,
				(spec->operation == CZ_MOVE_SPLIT ?
				 errmsg("the split begins again: %s", message) :
				 errmsg("the move begins again: %s", message)));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		pause_ms = Min(pause_ms * 2, MAX_AGAIN_MS);
	}
}

/*
 * CzTransferModeOf
 *		See move.h.
 */
CzTransferMode
CzTransferModeOf(Oid value)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	const char *label;
	CzTransferMode mode;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid shard transfer mode %u", value)));
	label = NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel);
	mode = strcmp(label, "block_writes") == 0 ? CZ_TRANSFER_BLOCK_WRITES :
		strcmp(label, "force_logical") == 0 ? CZ_TRANSFER_LOGICAL : CZ_TRANSFER_AUTO;
	ReleaseSysCache(tuple);
	return mode;
}
