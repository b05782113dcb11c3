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
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "writer_int.h"

/* A power of two */
#define CZ_RECENT_BATCHES 64

/* Which shard: an independent foreign table has no id, a shard that is being made no
 * relation yet. */
typedef struct BatchKey
{
	int64		shard_id;
	int64		relid;			/* an Oid; 64 bits wide so that there is no padding */
} BatchKey;

/* A line in the data of a batch. */
typedef struct CzLineMark
{
	int64		number;			/* of the user's input */
	int			start;			/* without what stands before it for this worker */
	int			len;			/* without its end */
} CzLineMark;

/* The rows of a wave for one shard. */
typedef struct Batch
{
	BatchKey	key;			/* hash key */
	const CzShard *shard;		/* borrowed until the end of the transaction */
	int			nplacements;	/* of a wave on the way: where it goes */
	Oid		   *server_oids;
	StringInfoData data;		/* rows in COPY form */
	int64	   *row_numbers;	/* [max_rows]; NULL where lines are sent */
	CzLineMark *marks;			/* [max_rows]; NULL where rows are sent */
	int			nrows;
	int			max_rows;
	char	   *insert_sql;		/* of one row; NULL: not used yet */
} Batch;

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

/* What one connection is to do: one COPY, or the INSERTs of a wave. */
typedef struct Job
{
	JobState	state;
	Batch	   *batch;			/* COPY; NULL: INSERTs */
	List	   *rows;			/* INSERTs: of EarlyRow */
	CzInserts  *inserts;		/* of them, once sent */
	bool		is_first;		/* first placement: takes the shard's lock */
	bool		is_replica;		/* another placement has the rows, too */
	bool		has_others;		/* other placements will have the rows, too */
	char	   *sql;			/* once sent */
	char	   *shown_sql;		/* the same for messages: without values */
	int			offset;			/* bytes of batch->data handed to libpq */
	bool		is_stored;		/* the COPY has succeeded */
} Job;

/* A worker's queue in a phase. */
typedef struct Run
{
	Oid			server_oid;
	CzConn	   *conn;			/* valid while a job runs */
	List	   *jobs;			/* not done yet; the first may be running */
	bool		is_lost;		/* the transaction goes on without it */
	TimestampTz last_heard;
} Run;

typedef struct Wave
{
	MemoryContext context;
	HTAB	   *batches;
	Batch	   *recent[CZ_RECENT_BATCHES];	/* of batches, by shard id: found sooner */
	List	   *batch_list;
	List	   *early;			/* of EarlyRow; NIL once rows are in batches */
	bool		is_copy;		/* rows are in batches */
	Size		nbytes;
	int64		nrows;
	int			phase;			/* of a wave on the way: 0, 1 */
	List	   *runs;
} Wave;

struct CzWriter
{
	MemoryContext context;
	MemoryContext row_context;	/* reset for each row */
	TupleDesc	tupdesc;
	CzWireFormat *format;
	Oid			user_oid;
	char	   *copy_table;		/* COPY FROM of this table: row numbers are lines;
								 * NULL: other statements */
	struct CzLineFormat *lines; /* lines of the user's are sent; NULL: rows */
	int			level;			/* nest level of the rows that are held; 0: none */
	CommandId	last_cid;		/* valid if there are some: command of the last one */
	TupleTableSlot *early_slot;
	Wave	   *filling;
	Wave	   *sending;		/* or NULL */
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

/* writer.c */
extern Batch *CzWriterBatch(CzWriter *writer, const CzShard *shard);
extern void CzWriterGoOn(CzWriter *writer, bool must_pump);

/* writer_lines.c */
extern int64 CzLineOfError(const CzWriter *writer, const Batch *batch, long line,
						   CzLine *text);
extern void CzLinesReadAgain(CzWriter *writer, Wave *wave, struct pg_result *res);

#endif							/* CZ_WRITER_STATE_H */
