/*-------------------------------------------------------------------------
 *
 * writer_lines.c
 *	  Lines of COPY FROM that go to the placements as the user sent them.
 *
 * The workers read them.  What a worker says of a line names it by its place among the
 * lines of that COPY; which line of the user's it is stands in the batch.  Workers read
 * side by side, and each stops at its own first fault: before one of their errors is
 * raised, the lines of the wave are read here, in their order.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"

#include "writer_state.h"

/* Bytes of lines between two looks at the wave on the way */
#define CZ_PUMP_BYTES (16 * 1024)

/*
 * CzWriterSetLines
 *		See writer.h.
 */
void
CzWriterSetLines(CzWriter *writer, const char *column_list, const char *options, bool is_csv,
				 CzReadAgain read_again, void *arg)
{
	CzLineFormat *lines = MemoryContextAlloc(writer->context, sizeof(CzLineFormat));

	lines->column_list = MemoryContextStrdup(writer->context, column_list);
	lines->options = MemoryContextStrdup(writer->context, options);
	lines->is_csv = is_csv;
	lines->read_again = read_again;
	lines->arg = arg;
	writer->lines = lines;
}

/* A batch has room for one more mark, and something to put lines into. */
static void
make_room(CzWriter *writer, Wave *wave, Batch *batch)
{
	if (batch->nrows < batch->max_rows)
		return;
	batch->max_rows = Max(batch->max_rows * 2, 64);
	if (batch->marks != NULL)
	{
		batch->marks = repalloc_huge(batch->marks, sizeof(CzLineMark) * batch->max_rows);
		return;
	}
	batch->marks = MemoryContextAlloc(wave->context, sizeof(CzLineMark) * batch->max_rows);
	if (batch->data.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(wave->context);

		initStringInfo(&batch->data);
		MemoryContextSwitchTo(old);
		if (writer->lines->is_csv)
			appendStringInfoChar(&batch->data, '\n');
	}
	wave->is_copy = true;
}

/*
 * CzWriterPutLine
 *		See writer.h.
 */
void
CzWriterPutLine(CzWriter *writer, const CzShard *shard, const StringInfoData *before,
				const CzLine *line)
{
	Batch	   *batch = CzWriterBatch(writer, shard);
	Size		nbytes = before->len + line->len + 1;
	StringInfo	data;
	CzLineMark *mark;

	if (batch == NULL)
		return;
	make_room(writer, writer->filling, batch);
	data = &batch->data;
	enlargeStringInfo(data, nbytes);
	memcpy(data->data + data->len, before->data, before->len);
	data->len += before->len;
	mark = &batch->marks[batch->nrows++];
	mark->number = line->number;
	mark->start = data->len;
	mark->len = line->len;
	memcpy(data->data + data->len, line->data, line->len);
	data->len += line->len;
	data->data[data->len++] = '\n';
	data->data[data->len] = '\0';

	writer->filling->nbytes += nbytes + sizeof(CzLineMark);
	writer->bytes_since_pump += nbytes;
	CzWriterGoOn(writer, writer->bytes_since_pump >= CZ_PUMP_BYTES);
}

/*
 * CzLineOfError
 *		The user's line that stands at a line of a batch as a worker counts them, and its
 *		text; 0 if there is none.
 *
 * In csv a value may have newlines; the worker's line of an error is the last one of the
 * value's line.
 */
int64
CzLineOfError(const CzWriter *writer, const Batch *batch, long line, CzLine *text)
{
	int			i;
	int			end = 0;		/* of the line before, with its newline */
	long		at = 0;			/* lines of the worker's up to here */

	if (writer->lines->is_csv)
		end = at = 1;
	for (i = 0; i < batch->nrows; i++)
	{
		const CzLineMark *mark = &batch->marks[i];
		const char *p = batch->data.data + end;
		const char *mark_end = batch->data.data + mark->start + mark->len;

		at++;
		while (writer->lines->is_csv && (p = memchr(p, '\n', mark_end - p)) != NULL)
		{
			at++;
			p++;
		}
		if (at >= line)
			break;
		end = mark->start + mark->len + 1;
	}
	if (line < 1 || i == batch->nrows)
		return 0;
	text->number = batch->marks[i].number;
	text->data = batch->data.data + batch->marks[i].start;
	text->len = batch->marks[i].len;
	return text->number;
}

static int
compare_lines(const void *a, const void *b)
{
	int64		x = ((const CzLine *) a)->number;
	int64		y = ((const CzLine *) b)->number;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* Read lines; res is freed if that raises an error. */
static void
read_or_free(const CzLineFormat *format, const CzLine *lines, int nlines, PGresult *res)
{
	PG_TRY();
	{
		format->read_again(format->arg, lines, nlines);
	}
	PG_CATCH();
	{
		PQclear(res);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * CzLinesReadAgain
 *		A worker has refused a line of a wave: raise the error of the first one that cannot
 *		be read, and then free res.
 *
 * All are read, whatever is wrong with the one that was refused: which worker is the first
 * to complain must not decide what is told.
 */
void
CzLinesReadAgain(CzWriter *writer, Wave *wave, PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	CzLine	   *lines;
	int			nlines = 0;
	ListCell   *lc;
	int			i;

	/* not where it is none of the line's business */
	if (sqlstate == NULL || (strncmp(sqlstate, "22", 2) != 0 &&
							 strncmp(sqlstate, "23", 2) != 0))
		return;
	lines = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(CzLine) * wave->nrows);
	foreach(lc, wave->batch_list)
	{
		const Batch *batch = (const Batch *) lfirst(lc);

		for (i = 0; i < batch->nrows; i++)
		{
			const CzLineMark *mark = &batch->marks[i];

			lines[nlines].number = mark->number;
			lines[nlines].data = batch->data.data + mark->start;
			lines[nlines].len = mark->len;
			nlines++;
		}
	}
	qsort(lines, nlines, sizeof(CzLine), compare_lines);
	read_or_free(writer->lines, lines, nlines, res);
	pfree(lines);
}
