/*-------------------------------------------------------------------------
 *
 * writer.h
 *	  Rows computed on the coordinator go to the placements of shards: the
 *	  way of INSERT, COPY FROM, the first load of a distributed table and
 *	  the copies of reference tables.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_WRITER_H
#define CZ_WRITER_H

#include "cz/metadata.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"

typedef struct CzWriter CzWriter;

/* Does the binary form of a type's values mean the same on all workers? */
extern bool CzWireIsSame(Oid type_oid);

/*
 * CzWriterBegin
 *		Prepare to send rows of the shape of tupdesc.
 *
 * tupdesc:  columns of the slots that will come; dropped and generated columns
 *		are not sent.  Copied.
 * column_names: names on the worker by attnum-1, NULL entries are skipped; NULL:
 *		the names of tupdesc.
 * user_oid: local role on whose behalf the workers are written.
 * Returns: palloc'd in CurrentMemoryContext.
 */
extern CzWriter *CzWriterBegin(TupleDesc tupdesc, char **column_names, Oid user_oid);

/* The rows are those of COPY FROM into a table that the user calls so. */
extern void CzWriterSetCopy(CzWriter *writer, const char *table_name);

/*
 * CzWriterPut
 *		Add one row to a shard's buffer; sends the buffer to every placement
 *		(COPY, or a prepared INSERT for few rows) when it is full.
 *
 * row_number: position in the statement, from 1, or line of COPY's input, for error
 *		contexts; 0: unknown.
 * Errors: the worker's, with "row N" or "COPY t, line N" in the context where the
 *		worker says which line of the batch failed.
 */
extern void CzWriterPut(CzWriter *writer, const CzShard *shard, TupleTableSlot *slot,
						int64 row_number);

/*
 * Lines of COPY FROM, as the user sent them, instead of rows.
 *
 * CzWriterSetLines: before the first one.
 * column_list: quoted names of the columns on workers.
 * options: of the workers' COPY, with parentheses.  Where is_csv they say HEADER: a line is
 *		sent before the others so that the kind of newline is known.
 * read_again: called when a worker has refused a line, with all lines, in their order, of
 *		which one may be the first that is wrong: core's error is raised for it.
 */
typedef struct CzLine
{
	int64		number;			/* in the user's input, from 1 */
	const char *data;
	int			len;			/* without its end */
} CzLine;

typedef void (*CzReadAgain) (void *arg, const CzLine *lines, int nlines);

extern void CzWriterSetLines(CzWriter *writer, const char *column_list, const char *options,
							 bool is_csv, CzReadAgain read_again, void *arg);

/*
 * CzWriterPutLine
 *		As CzWriterPut.  What stands before the line for workers: the values of columns
 *		that it does not have, with delimiters.
 */
extern void CzWriterPutLine(CzWriter *writer, const CzShard *shard, const StringInfoData *before,
							const CzLine *line);

/* Send what is buffered and wait for every worker's answer. */
extern void CzWriterFlush(CzWriter *writer);

/* Flush and free. */
extern void CzWriterEnd(CzWriter *writer);

#endif							/* CZ_WRITER_H */
