/*-------------------------------------------------------------------------
 *
 * writer_state.h
 *	  What a writer holds: for the files of the writer only.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_WRITER_STATE_H
#define CZ_WRITER_STATE_H

#include "datatype/timestamp.h"
#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "writer_int.h"

/* A power of two */
#define CZ_RECENT_SHARDS 64

/* Which shard: an independent foreign table has no id, a shard that is being made no
 * relation yet. */
typedef struct ShardKey
{
	int64		shard_id;
	int64		relid;			/* an Oid; 64 bits wide so that there is no padding */
} ShardKey;

/* A line in the data of a batch. */
typedef struct CzLineMark
{
	int64		number;			/* of the user's input */
	int			start;			/* without what stands before it for this worker */
	int			len;			/* without its end */
} CzLineMark;

/* Rows of a shard that go together. */
typedef struct Batch
{
	dlist_node	node;			/* in the writer's batches */
	struct WriterShard *of;
	const CzShard *shard;		/* as it is when they are sent */
	int			nplacements;	/* once they are sent: where they go */
	Oid		   *server_oids;
	StringInfoData data;		/* rows in COPY form; data NULL: none yet */
	StringInfoData marks;		/* which rows or lines they are, see writer_lines.c */
	int64		last_number;	/* of the last mark */
	int64		nrows;			/* of data */
	int			njobs;			/* that send them */
} Batch;

/* A shard that rows have come for. */
typedef struct WriterShard
{
	ShardKey	key;			/* hash key */
	const CzShard *shard;		/* borrowed until the end of the transaction */
	Batch	   *filling;		/* NULL: no rows wait */
	bool		is_locked;		/* since the writer last had nothing */
	char	   *insert_sql;		/* of one row; NULL: not used yet */
} WriterShard;

/* One of the first rows, kept until it is known whether more come. */
typedef struct EarlyRow
{
	Batch	   *batch;
	MinimalTuple tuple;
	int64		row_number;
} EarlyRow;

typedef enum JobState
{
	JOB_QUEUED,
	JOB_COMMAND,				/* sent; answers until COPY starts, or to the end */
	JOB_DATA,
	JOB_END						/* data sent; answers until the end */
} JobState;

/* What one connection is to do: one COPY, or INSERTs. */
typedef struct Job
{
	MemoryContext context;		/* of the job and what it has */
	JobState	state;
	Batch	   *batch;			/* COPY; NULL: INSERTs */
	List	   *rows;			/* INSERTs: of EarlyRow */
	CzInserts  *inserts;		/* of them, once sent */
	int			placement;		/* number of it */
	bool		is_replica;		/* another placement has the rows, too */
	bool		has_others;		/* other placements will have the rows, too */
	char	   *sql;			/* once sent */
	char	   *shown_sql;		/* the same for messages: without values */
	int			offset;			/* bytes of batch->data handed to libpq */
	bool		is_stored;		/* the COPY has succeeded */
} Job;

/* A worker's queue. */
typedef struct Run
{
	Oid			server_oid;
	CzConn	   *conn;			/* valid while a job runs */
	List	   *jobs;			/* not done yet; the first may be running */
	CzWaitSlot	slot;			/* what the running job waits for */
	TimestampTz last_heard;
} Run;

struct CzWriter
{
	MemoryContext context;
	MemoryContext row_context;	/* reset for each row */
	MemoryContext early_context;	/* of early */
	TupleDesc	tupdesc;
	CzWireFormat *format;
	Oid			user_oid;
	char	   *copy_table;		/* COPY FROM of this table: row numbers are lines;
								 * NULL: other statements */
	struct CzLineFormat *lines; /* lines of the user's are sent; NULL: rows */
	int			level;			/* nest level of the rows that are held; 0: none */
	CommandId	last_cid;		/* valid if there are some: command of the last one */
	TupleTableSlot *early_slot;
	HTAB	   *shards;			/* of WriterShard */
	WriterShard *recent[CZ_RECENT_SHARDS];	/* of these, by shard id: found sooner */
	bool		has_unlocked;	/* some that have rows are not locked */
	dlist_head	batches;		/* Batches: filling and on the way */
	int			nfilling;
	Batch	   *spare;			/* its buffers are used again; or NULL */
	List	   *early;			/* of EarlyRow; NIL once rows are in batches */
	bool		is_copy;		/* rows are in batches */
	Size		held;			/* bytes of rows here */
	List	   *runs;
	int			rows_since_pump;
	Size		bytes_since_pump;	/* of lines */
	bool		is_pumping;		/* in pump(), or it failed there */
	MemoryContextCallback callback;
};

/* How lines go to workers. */
typedef struct CzLineFormat
{
	char	   *column_list;
	char	   *options;		/* of the workers' COPY, with parentheses */
	bool		is_csv;
	CzReadAgain read_again;
	void	   *arg;
} CzLineFormat;

/* When a writer goes on without waiting. */
typedef enum CzWriterWait
{
	CZ_WAIT_NOT,
	CZ_WAIT_ROOM,				/* until there is room for more rows */
	CZ_WAIT_SENT,				/* until all that was begun is done; nothing is begun */
	CZ_WAIT_ALL					/* until all rows are on their placements */
} CzWriterWait;

/* Bytes of rows that are held before some are sent, and at most.  Many rows a COPY are
 * worth it: each begins with a thousand slots on the worker. */
#define CZ_SEND_BYTES (8 * 1024 * 1024)
#define CZ_HELD_BYTES (16 * 1024 * 1024)

/* writer.c */
extern Size CzBatchBegin(CzWriter *writer, Batch *batch);
extern Batch *CzWriterBatch(CzWriter *writer, const CzShard *shard);
extern void CzWriterGoOn(CzWriter *writer, bool must_pump);
extern void CzWriterRelease(CzWriter *writer, Batch *batch);

/* writer_jobs.c */
extern bool CzWriterIsSending(const CzWriter *writer);
extern void CzWriterPump(CzWriter *writer, CzWriterWait wait);
extern void CzWriterForget(CzWriter *writer);

/* writer_lines.c */
extern void CzMarkRow(Batch *batch, int64 number);
extern int64 CzRowOfError(const Batch *batch, long line);
extern int64 CzLineOfError(const CzWriter *writer, const Batch *batch, long line,
						   CzLine *text);
extern void CzLinesReadAgain(CzWriter *writer, struct pg_result *res);

#endif							/* CZ_WRITER_STATE_H */
