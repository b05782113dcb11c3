/*-------------------------------------------------------------------------
 *
 * executor_int.h
 *	  Private to src/executor: the inside of a stream.
 *
 * A *stream* (CzStream) is one plan node's source of rows: the fragments of one
 * CzFragmentPlan.  It lives from the node's start to its end; each execution of the
 * node is a *run*, ended by a rescan, and everything of a run is in run_context.
 *
 * A run has one *Fragment* for each shard that the parameters leave (or one for all of
 * a worker's shards, merged), and one *StreamWorker* for each worker that they are
 * placed on, with the list of those that wait.  A worker has *StreamConns*: libpq
 * connections, borrowed from the session's cache, or the transaction's own one.  What
 * has been sent on a connection and not been answered is a ring of *Expects*, in the
 * order of sending: the answers come in that order.  *Ships* are what is sent along
 * with fragments; the streams of one statement share a *StatementGroup*, which knows
 * one snapshot for each worker.
 *
 * The main loop is CzStreamNext (stream.c): give a row of the result at hand; else a
 * kept row of a fragment that is done; else CzRunPump (stream_run.c), which reads
 * what has arrived on each connection, sends what waits (CzRunDispatch), opens
 * connections as the work pays for them (stream_conn.c), and waits for all sockets at
 * once.  A worker that fails gives its fragments to others (stream_failover.c) unless
 * rows of them have been given out.  Sorted fragments go through merge.c instead.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_EXECUTOR_INT_H
#define CZ_EXECUTOR_INT_H

#include "executor/execdesc.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "cz/settings.h"
#include "cz/compat.h"
#include "cz/executor.h"
#include "cz/metadata.h"
#include "cz/remote.h"
#include "cz/transaction.h"

/* Fragments in flight on one connection, at most. */
#define MAX_WINDOW 16
/* Commands that one fragment may need: BEGIN, snapshot, name, PREPARE, rows, sync. */
#define MAX_EXPECT (MAX_WINDOW * 6)
#define MAX_STREAM_CONNS 64
/* A fragment that takes longer than this is worth another cached connection. */
#define QUICK_FRAGMENT_MS 1
/* An empty queue of commands gives no result for ever: then there is no more. */
#define MAX_NULLS 20

struct StreamWorker;

typedef enum FragmentState
{
	FRAGMENT_WAITING,			/* in its worker's list */
	FRAGMENT_SENT,				/* on a connection */
	FRAGMENT_DONE
} FragmentState;

typedef struct Fragment
{
	int			shard_index;	/* merged: of the first member, like the next two */
	int64		shard_id;
	List	   *members;		/* merged: Fragments of one shard each, whose lists of
								 * placements count; NIL: this is of one shard */
	char	   *sql;			/* valid once it has a worker */
	char	   *cursor;			/* declared already, to be fetched from; or NULL */
	uint64		text_hash;		/* of sql; 0: not computed yet */
	int			nplacements;
	Oid		   *server_oids;	/* candidates */
	bool	   *is_tried;		/* [nplacements] failed in this run */
	struct StreamWorker *worker;	/* where it is or waits */
	FragmentState state;
	struct StreamConn *conn;	/* on which it is; valid when sent, to compare with */
	bool		is_held;		/* rows are kept until it completes */
	bool		is_emitted;		/* a row has gone to the consumer directly */
	bool		is_paused;		/* merge: its next row is known, do not read on */
	Tuplestorestate *store;		/* rows kept; or NULL */
	int64		nstored;		/* rows put into store */
	int64		nread;			/* merge: rows taken out of it */
	int64		nrows;
	int64		nbytes;
	TimestampTz sent_at;
	double		ms;				/* from then to its end; valid when done */
} Fragment;

typedef enum ExpectKind
{
	EXPECT_COMMAND,				/* no rows, nothing to remember */
	EXPECT_SNAPSHOT,			/* pg_export_snapshot() */
	EXPECT_PREPARE,
	EXPECT_ROWS,
	EXPECT_SHIP,				/* a simple query that makes temporary tables */
	EXPECT_SYNC
} ExpectKind;

typedef struct Expect
{
	ExpectKind	kind;
	bool		is_single_row;	/* CzConnTakeRowsSoon was called */
	bool		is_complete;	/* EXPECT_ROWS: the last row has come */
	bool		has_tag;		/* EXPECT_ROWS: it has, and only the end has to come */
	Fragment   *fragment;		/* EXPECT_ROWS, EXPECT_PREPARE */
	char	   *name;			/* EXPECT_PREPARE: palloc'd */
} Expect;

typedef struct StreamConn
{
	CzConn	   *conn;
	struct StreamWorker *worker;
	bool		is_ready;		/* else still connecting */
	bool		is_cached;		/* came from the cache: may have died unseen */
	bool		has_answered;	/* something was received on it in this stream */
	bool		has_begun;		/* a read-only transaction is open on it */
	bool		is_exporter;	/* its transaction holds the group's snapshot */
	bool		has_tables;		/* the stream's shipments are tables on it */
	Fragment   *tables_of;		/* whose rows they have; NULL: every fragment's */
	void	   *feed;			/* ship_table.c: they are being made */
	bool		is_unsent;		/* output of this round, not flushed yet */
	bool		must_write;		/* output is waiting in libpq's buffer */
	int			wait_for;		/* while connecting */
	int			window;			/* fragments that may be in flight */
	int			inflight;
	int			expect_head;
	int			nexpect;
	TimestampTz last_heard;		/* or last sent to when nothing was in flight */
	CzConn	   *probe;			/* second connection asking whether the worker
								 * lives; or NULL */
	Expect		expect[MAX_EXPECT]; /* ring, the last member: see new_stream_conn() */
} StreamConn;

typedef struct StreamWorker
{
	Oid			server_oid;
	CzEndpoint *endpoint;
	bool		use_txn;		/* reads go through the transaction's connection */
	bool		in_snapshot;	/* commands share one snapshot: BEGIN is sent */
	bool		awaits_others;	/* its rows are not read before others have theirs */
	bool		is_failed;
	bool		is_full;		/* refused another connection: do with what is there */
	List	   *waiting;		/* Fragments */
	int			nassigned;
	int			nstolen;		/* see CzSendChoose */
	int			nconns;
	StreamConn *conns[MAX_STREAM_CONNS];
	int64		waited_us_at_added; /* stream's waited_us at last_added */
	TimestampTz last_added;
	TimestampTz started_at;		/* its first fragment was sent; 0: none yet */
	/* for EXPLAIN ANALYZE */
	int64		nrows;
	int64		nbytes;
	int			nfragments;
	int			max_conns;
	int			nretries;
	double		busy_ms;		/* sum of the fragments' times */
} StreamWorker;

/* One worker's snapshot in one statement; see group.c. */
typedef struct GroupWorker
{
	Oid			server_oid;
	Oid			user_oid;
	char	   *snapshot_id;	/* NULL: none exported yet */
	CzStream   *exporter;		/* whose connection will tell the id; valid while
								 * snapshot_id is NULL */
	List	   *free_conns;		/* CzConn: in that snapshot, not in use */
	CzConn	   *exporter_conn;
	bool		is_warned;		/* the statement's one WARNING is out */
} GroupWorker;

typedef struct StatementGroup
{
	EState	   *estate;			/* key */
	int			nstreams;		/* that take part */
	CzStream   *streams;		/* these, linked by group_next */
	bool		has_snapshot;	/* snapshots that agree have been taken */
	CzRoomLookState look;		/* when they were; valid with has_snapshot, as the next */
	uint64		epoch;			/* CzRoomEpoch of the placements that they are good for */
	List	   *tables;			/* const CzTable *: the streams', as of that; or NIL */
	bool		has_shipments;	/* of a stream; more than one connection is likely */
	List	   *read_plans;		/* ints: sub-plans that a shipment has read */
	List	   *table_conns;	/* TableConn, see ship_table.c */
	List	   *workers;		/* GroupWorker */
	MemoryContextCallback callback;
	struct StatementGroup *next;
} StatementGroup;

typedef struct ColumnIO
{
	Oid			type_oid;
	int32		typmod;
	FmgrInfo	input;			/* recv function if the stream is binary */
	Oid			ioparam;
} ColumnIO;

typedef struct CzMergeState CzMergeState;

/* A scan that is alive, see moment.c. */
typedef struct CzScanMoment
{
	dlist_node	node;
	PlanState  *parent;			/* NULL: not in the list */
	List	   *param_exprs;	/* ExprStates that a run evaluates first */
	ResourceOwner owner;		/* of its statement */
	bool		locks_rows;
	bool		is_lost;		/* reading ahead has failed */
	bool		was_read;		/* ahead, because the transaction was about to write */
	bool		(*is_begun) (void *arg);
	void		(*read) (void *arg);	/* begun: rows that the transaction's connections
										 * still have to bring; else all rows */
	void	   *arg;
} CzScanMoment;

/* The parameters of one fragment, as libpq takes them. */
typedef struct FragmentParams
{
	int			nparams;
	const char **values;
	int		   *lengths;		/* NULL: all are texts, like formats */
	int		   *formats;
} FragmentParams;

struct CzStream
{
	/* set when the stream begins, the same for all runs */
	const CzFragmentPlan *plan;
	PlanState  *parent;
	EState	   *estate;
	TupleDesc	tupdesc;
	Oid			user_oid;
	SubTransactionId subid;		/* that began the stream */
	ResourceOwner owner;
	CzScanMoment moment;
	List	   *relations;		/* Relations of the plan, open: others may not change
								 * them in the middle of it */
	MemoryContext context;		/* life of the stream */
	MemoryContext run_context;	/* one run, reset by a rescan */
	int64		waited_us;		/* time spent waiting for sockets so far */
	MemoryContext store_context;	/* reset for each row that goes to a store; or NULL */
	MemoryContext row_context;	/* one row */
	MemoryContextCallback callback;
	List	   *param_exprs;
	/* of a run: parameters */
	const char **param_values;	/* [nparams] of this run, text */
	Datum	   *row_values;		/* [nparams] the row of an INSERT, until it is given out */
	bool	   *row_isnull;
	Datum	   *row_ids;		/* [nparams] of this run, where param_values has a text:
								 * valid for row_id_params and row_id_lists; or NULL */
	char	  **fixed_params;	/* [nparams] texts in place of values; or NULL */
	int			only_shard;		/* index; -1: as the plan says */
	bool		is_hurried;		/* plan->locks_wait is over: a connection is wanted */
	bool		in_transaction; /* reads through the transaction's connections */
	bool		is_binary;
	int			pins;			/* CZ_PIN_*: what the columns' texts depend on */
	ColumnIO   *columns;		/* [natts], NULL before the first run */
	bool		is_modifying;	/* the statement writes */
	StatementGroup *group;
	struct CzStream *group_next;	/* of the group's streams */
	/* of a run: fragments and where they are; in run_context */
	bool		is_started;
	uint64		epoch;			/* CzRoomEpoch of the run's placements */
	bool		is_as_of_snapshot;	/* they are those of the group's tables */
	bool		is_starting;	/* they are being chosen for the first time */
	bool		has_awaited;	/* commits between placements have come to their end */
	int			nfragments;
	Fragment   *fragments;		/* [max_fragments] */
	int			max_fragments;	/* the run's shards: merged ones may be split again */
	int			ndone;
	List	   *workers;		/* StreamWorker */
	int			next_worker;	/* where the search for rows goes on: fairness */
	List	   *ready;			/* Fragments, complete, whose store waits */
	Fragment   *reading;		/* whose store is being read */
	TupleTableSlot *store_slot;
	uint32		serial;			/* of the backend's streams */
	int			nships;
	struct Ship *ships;			/* [nships] */
	PlanState  *ship_source;	/* of the only shipment: not a sub-plan; or NULL */
	bool		is_first_only;	/* a modifying command goes to the first placement only;
								 * without replica_keys the caller sees to the others */
	ResourceOwner moves_owner;	/* of the lock that keeps rows in their shards, or NULL */
	MemoryContext ship_context;
	MemoryContext ship_row_context; /* reset for each row */
	/* how libpq is to give rows out */
	int64		widest_row;		/* bytes, of those that have come; 0: none has */
	int64		longest_result; /* rows, of a fragment */
	bool		is_narrow;		/* no row can be wide, whatever it has; valid from the first
								 * run on */
	/* of a row: what is given out */
	struct pg_result *res;		/* rows for the consumer */
	int			res_row;
	Fragment   *res_fragment;
	int			rows_since_poll;
	Fragment   *row_fragment;	/* where the last row came from */
	CzMergeState *merge;		/* several sorted fragments; NULL before the first row */
	/* of the stream: rows kept over runs */
	bool		must_keep;		/* all rows are kept for a rescan */
	Tuplestorestate *kept;
	bool		is_kept_complete;
	bool		is_reading_kept;
	/* for EXPLAIN ANALYZE, over all runs */
	int			nruns;
	int			nretries;
	int			total_shards;	/* of the anchor */
	const CzTable *anchor;		/* as the last run found it; or NULL */
	int64		total_fragments;
	int64		total_rows;
	int64		total_bytes;
	List	   *past_nodes;		/* what earlier runs did, see explain.c */
	int64		shipped_rows;	/* sent along, counted for each receiver */
	int64		shipped_bytes;
	bool		is_merged;		/* a worker's fragments became one statement */
};

/* wire.c */
extern void CzWireInit(CzStream *stream);
extern void CzWireDecode(CzStream *stream, const struct pg_result *res, int row,
						 const Fragment *fragment, Datum *values, bool *isnull);
extern int64 CzWireRowBytes(const struct pg_result *res, int row);
extern const char *CzWireText(Oid type_oid, Datum value);
extern const char **CzWireParams(CzStream *stream, Datum *prune_value,
								 bool *prune_isnull);
extern void CzWireCheckRowIds(const CzStream *stream, const Fragment *fragment);
extern void CzWireRowIdParams(const CzStream *stream, const Fragment *fragment,
							  const char **texts);

/* explain.c */
extern void CzExplainKeepRun(CzStream *stream);

/* explain_remote.c */
extern int	CzExplainShownShard(const CzFragmentPlan *plan);
extern char *CzExplainSql(const CzFragmentPlan *plan, int shard_index,
						  char **shipment_names);
/* The option REMOTE of EXPLAIN (18). */
extern void CzExplainRemoteInit(void);
/* What one EXPLAIN asks the workers for: its option, else the setting. */
extern CzRemotePlans CzExplainRemoteWanted(ExplainState *es);
extern void CzExplainRemotePlans(const CzFragmentPlan *plan, ExplainState *es);

/* group.c */
extern StatementGroup *CzGroupJoin(CzStream *stream);
extern void CzGroupLeave(CzStream *stream);
extern StatementGroup *CzGroupFind(const EState *estate);
extern GroupWorker *CzGroupWorkerGet(StatementGroup *group, Oid server_oid, Oid user_oid);
extern void CzGroupForgetWorker(GroupWorker *gw);

/* merge.c */
extern bool CzMergeNext(CzStream *stream, TupleTableSlot *slot);
extern void CzMergeEnd(CzStream *stream);

/* stream.c, for lock_scan.c */
extern CzStream *CzStreamBeginParts(const CzFragmentPlan *plan, List *param_exprs,
									PlanState *parent, TupleDesc tupdesc);
extern void CzStreamFixParam(CzStream *stream, int index, const char *text);
extern void CzStreamRestart(CzStream *stream);
extern void CzStreamLockMoves(CzStream *stream);
extern void CzStreamLetMoves(CzStream *stream);

/* moment.c */
extern CommandId CzMomentOf(const EState *estate);
extern void CzMomentEnter(CzScanMoment *scan, PlanState *parent, List *param_exprs);
extern void CzMomentLeave(CzScanMoment *scan);
extern bool CzMomentWasRead(const EState *estate);
extern void CzCursorWatch(QueryDesc *query_desc);
extern void CzMomentCheck(const CzScanMoment *scan);
extern void CzMomentInit(void);

/* bracket.c */
extern void CzBracketInit(void);
extern void CzBracketLock(Oid relid, AclMode perms, const Bitmapset *columns);

/* lock_scan.c */
typedef struct CzLockScan CzLockScan;
extern CzLockScan *CzLockScanBegin(const CzFragmentPlan *plan, List *exprs,
								   PlanState *parent, TupleDesc tupdesc);
extern bool CzLockScanNext(CzLockScan *scan, TupleTableSlot *slot);
extern void CzLockScanRescan(CzLockScan *scan, bool params_changed);
extern void CzLockScanEnd(CzLockScan *scan);
extern void CzLockScanExplain(CzLockScan *scan, const CzFragmentPlan *plan,
							  PlanState *node, List *ancestors, ExplainState *es);

/* stream_modify.c */
pg_noreturn extern void CzCheckViolated(List *check);
extern int	CzSendPrefix(CzConn *conn, StringInfo prefix);
extern const CzShard *CzShardOfFragment(Oid relid, const Fragment *fragment);
extern const CzShard *CzShardOf(const CzTable *table, const Fragment *fragment);

/* rows_changes.c */
extern void CzRowChangesApplyKnown(EState *estate, Oid relid);

/* stream_single.c */
extern bool CzStreamMayBeSingle(const CzStream *stream);
extern uint64 CzStreamRunSingle(CzStream *stream);

/* insert.c */
extern void CzInsertResolve(CzStream *stream);
extern bool CzInsertNext(CzStream *stream, TupleTableSlot *slot);
pg_noreturn extern void CzInsertNoShard(const CzTable *table, Datum value,
							bool isnull);
extern void CzInsertSkipEmpty(CzStream *stream);
extern void CzInsertCheckRow(CzStream *stream, TupleTableSlot *slot, int first);

/* stream_replicas.c */
typedef struct CzReplicaRows CzReplicaRows;
typedef struct CzReplicaCopy CzReplicaCopy;
extern bool CzReplicaRowsAreEqual(const CzReplicaRows *a, const CzReplicaRows *b);
extern void CzReplicaRowsAdd(CzStream *stream, CzReplicaRows **rows_p, CzConn *conn,
							 const struct pg_result *res);
extern void CzReplicaRowsApply(CzStream *stream, CzReplicaRows **rows);

/* stream_replica_sql.c: a shard and those of its columns that CzReplicaRows has; the command
 * for one row, whose parameters these are; the one for many rows, whose parameters are arrays
 * (NULL: there are none of a column); may the rows be changed in any order? */
typedef struct CzReplicaColumn
{
	Oid			type_oid;
	bool		is_text;		/* there are no arrays of it: texts, which are cast */
	char		delimiter;
} CzReplicaColumn;

extern char *CzReplicaShardAndColumns(const CzFragmentPlan *plan, const CzTable *table,
									  const CzShard *shard);
extern char *CzReplicaSql(const CzFragmentPlan *plan, const CzTable *table,
						  const CzShard *shard);
extern char *CzReplicaMultiSql(const CzFragmentPlan *plan, const CzTable *table,
							   const CzShard *shard, bool is_binary,
							   CzReplicaColumn **columns);
extern bool CzReplicaOrderIsFree(const CzFragmentPlan *plan);

/* stream_unique.c */
extern List *CzStatementConstraints(Oid relid, List *attnos);
extern char *CzShardConstraintsSql(const CzShard *shard, List *names);

/* stream_copies.c */
extern CzReplicaCopy *CzReplicaCopyBegin(bool is_binary, Size budget_bytes);
extern void CzReplicaCopyAdd(CzReplicaCopy *copy, int ncolumns, char **values,
							 const int *lengths);
extern void CzReplicaCopyQueue(List **targets, const CzReplicaCopy *copy, uint64 nrows,
							   Oid server_oid, const char *table);
extern void CzReplicaCopiesRun(CzStream *stream, List *targets);
extern void CzReplicaCopyEnd(CzReplicaCopy *copy);

/* stream_run.c */
extern void CzRunStart(CzStream *stream);
extern void CzRunPump(CzStream *stream, StreamWorker *only, bool must_block);
extern void CzRunStop(CzStream *stream);
extern void CzRunReadAll(CzStream *stream);
extern void CzFragmentCount(CzStream *stream, Fragment *fragment, int64 nrows,
							int64 nbytes);

extern void CzRunSnapshotKnown(CzStream *stream, StreamConn *sc,
							   const struct pg_result *res);

/* stream_conn.c */
extern void CzRunRemoveConn(StreamWorker *worker, int index);
extern void CzRunPutBack(CzStream *stream, StreamConn *sc);
extern void CzRunPutBackIdle(CzStream *stream);
extern void CzRunDrainTxn(CzStream *stream);
extern bool CzRunDispatch(CzStream *stream, StreamWorker *worker);

/* stream_snapshot.c */
extern bool CzSnapshotBegin(CzStream *stream, uint64 epoch);
extern void CzSnapshotAwaitCopies(const CzStream *stream);
extern bool CzSnapshotHasTables(const CzStream *stream);
extern void CzSnapshotBeginStatement(QueryDesc *query_desc);
extern void CzSnapshotCheckLate(const CzStream *stream, const char *node_name);

/* stream_place.c */
extern bool CzFragmentCanMove(const Fragment *fragment);
extern bool CzFragmentMove(CzStream *stream, Fragment *fragment, int64 *stuck_shard_id);

/* ship.c */
extern void CzShipInit(CzStream *stream);
extern void CzShipRead(CzStream *stream);
extern void CzShipCheckRowIds(const CzStream *stream, const Fragment *fragment);
extern void CzShipEnd(CzStream *stream);
extern bool CzShipChooseForm(CzStream *stream, bool is_merged);
extern void CzShipUseArrays(CzStream *stream);
extern bool CzShipNeedsTables(const CzStream *stream, const StreamWorker *worker);
extern bool CzShipTablesAreOfFragment(const CzStream *stream);
extern char *CzShipFragmentSql(const CzStream *stream, const Fragment *fragment);
extern void CzFragmentParams(CzStream *stream, const Fragment *fragment,
							 FragmentParams *params);

/* ship_table.c */
typedef enum ShipProgress
{
	SHIP_BLOCKED,
	SHIP_DONE,
	SHIP_LOST,
	SHIP_REFUSED				/* the worker makes no temporary tables */
} ShipProgress;

extern bool CzShipTablesStart(CzStream *stream, StreamConn *sc, Fragment *fragment,
							  const char *snapshot_id);
extern ShipProgress CzShipTablesAdvance(CzStream *stream, StreamConn *sc, char **reason);
extern bool CzShipTablesAreOn(const CzStream *stream, const CzConn *conn);
extern bool CzShipMustRollBack(const StatementGroup *group, const CzConn *conn);
extern void CzShipTablesGone(StatementGroup *group, const CzConn *conn);

/* stream_failover.c */
extern void CzRunSnapshotGone(CzStream *stream, const StreamConn *sc);
extern void CzRunWarn(GroupWorker *gw, const char *node_name, const char *reason);
extern void CzRunConnLost(CzStream *stream, StreamConn *sc, const char *reason);
extern void CzRunWorkerLost(CzStream *stream, StreamWorker *worker, const char *reason,
							bool is_connect, bool mark);

/* stream_send.c */
extern bool CzSendFragment(CzStream *stream, StreamConn *sc, Fragment *fragment,
						   const char *begin_sql, bool must_export);
extern Fragment *CzSendChoose(const CzStream *stream, StreamWorker *worker,
							  const StreamConn *sc);
extern Expect *CzExpectPush(StreamConn *sc, ExpectKind kind, Fragment *fragment);
extern Expect *CzExpectHead(StreamConn *sc);
extern void CzExpectPop(StreamConn *sc);

/* stream.c */
extern void CzFragmentStoreRow(CzStream *stream, Fragment *fragment,
							   const struct pg_result *res, int row);
extern void CzFragmentsResolve(CzStream *stream);

/* attached_reads.c */
extern void CzAttachedUseTables(const struct PlannedStmt *stmt);
extern void CzAttachedCheckPlan(struct PlanState *state);
extern void CzFragmentInit(CzStream *stream, Fragment *fragment, const CzShard *shard,
						   int shard_index);

/*
 * copy_lines.c
 *
 * CzCopyLinesCanBeSent: may the lines of a COPY go to workers as they came?  Triggers are
 *		not looked at.
 * CzCopyLines: the lines that are left; processed of them are stored already.  Returns
 *		how many are stored then.
 */
struct CopyFromStateData;
extern bool CzCopyLinesCanBeSent(struct CopyFromStateData *cstate, const CzTable *table);
extern int64 CzCopyLines(struct CopyFromStateData *cstate, const CopyStmt *stmt,
						 EState *estate, const CzTable *table, int64 processed);

/* target.c: the shard of a row (columns of the parent), by its key; errors as core's if there
 * is none */
extern const CzShard *CzShardForRow(EState *estate, Relation parent, const CzTable *table,
									TupleTableSlot *slot);
extern void CzFragmentPlace(CzStream *stream, Fragment *fragment, bool all);

#endif							/* CZ_EXECUTOR_INT_H */
