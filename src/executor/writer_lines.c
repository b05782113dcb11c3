/*-------------------------------------------------------------------------
 *
 * writer_lines.c
 *	  Lines of COPY FROM that go to the placements as the user sent them.
 *
 * The workers read them.  What a worker says of a line names it by its place among the
 * lines of that COPY; which line of the user's it is stands in the batch.  Workers read
 * side by side, and each stops at its own first fault: before one of their errors is
 * raised, all lines that are held are read here, in their order.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"

#include "writer_state.h"

/* Bytes of lines between two looks at what is on the way */
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

/* ---- which rows or lines those of a batch are ----------------------------------- */

/*
 * The marks of a batch are small numbers, seven bits a byte: how much the row's number
 * is greater than that of the one before; of a line also the bytes before it and its
 * own.
 */
static inline void
put_number(StringInfo marks, uint64 n)
{
	while (n >= 128)
	{
		marks->data[marks->len++] = (char) (n | 128);
		n >>= 7;
	}
	marks->data[marks->len++] = (char) n;
}

static inline uint64
get_number(const StringInfoData *marks, int *pos)
{
	uint64		n = 0;
	int			shift = 0;

	for (;; shift += 7)
	{
		unsigned char byte = marks->data[(*pos)++];

		n |= (uint64) (byte & 127) << shift;
		if (byte < 128)
			return n;
	}
}

/*
 * CzMarkRow
 *		The next row of a batch has this number.
 */
void
CzMarkRow(Batch *batch, int64 number)
{
	/* three numbers at most */
	enlargeStringInfo(&batch->marks, 30);
	put_number(&batch->marks, (uint64) number - (uint64) batch->last_number);
	batch->last_number = number;
	batch->nrows++;
}

/* The lines of a batch, one after another. */
typedef struct LineReader
{
	const Batch *batch;
	int			pos;			/* in marks */
	int			end;			/* of the line before, with its newline */
	int64		number;
} LineReader;

static void
begin_lines(LineReader *reader, const CzWriter *writer, const Batch *batch)
{
	reader->batch = batch;
	reader->pos = 0;
	reader->end = writer->lines->is_csv ? 1 : 0;
	reader->number = 0;
}

static bool
next_line(LineReader *reader, CzLine *line)
{
	const StringInfoData *marks = &reader->batch->marks;
	int			start;

	if (reader->pos >= marks->len)
		return false;
	reader->number += get_number(marks, &reader->pos);
	start = reader->end + (int) get_number(marks, &reader->pos);
	line->number = reader->number;
	line->data = reader->batch->data.data + start;
	line->len = (int) get_number(marks, &reader->pos);
	reader->end = start + line->len + 1;
	return true;
}

/*
 * CzRowOfError
 *		The number of the row that stands at a line of a batch; 0: there is none.
 */
int64
CzRowOfError(const Batch *batch, long line)
{
	uint64		number = 0;
	int			pos = 0;

	if (line < 1 || line > batch->nrows)
		return 0;
	for (; line > 0; line--)
		number += get_number(&batch->marks, &pos);
	return (int64) number;
}

/* ---- lines come ------------------------------------------------------------------ */

/*
 * CzWriterPutLine
 *		See writer.h.
 */
void
CzWriterPutLine(CzWriter *writer, const CzShard *shard, const StringInfoData *before,
				const CzLine *line)
{
	Batch	   *batch = CzWriterBatch(writer, shard);
	StringInfo	data;
	int			had;

	if (batch == NULL)
		return;
	had = CzBatchBegin(writer, batch);
	data = &batch->data;
	if (data->len == 0 && writer->lines->is_csv)
		appendStringInfoChar(data, '\n');
	CzMarkRow(batch, line->number);
	put_number(&batch->marks, before->len);
	put_number(&batch->marks, line->len);

	enlargeStringInfo(data, before->len + line->len + 1);
	memcpy(data->data + data->len, before->data, before->len);
	data->len += before->len;
	memcpy(data->data + data->len, line->data, line->len);
	data->len += line->len;
	data->data[data->len++] = '\n';
	data->data[data->len] = '\0';

	writer->is_copy = true;
	writer->held += data->len + batch->marks.len - had;
	writer->bytes_since_pump += line->len;
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
	LineReader	reader;
	long		at = writer->lines->is_csv ? 1 : 0; /* lines of the worker's up to here */

	begin_lines(&reader, writer, batch);
	while (line >= 1)
	{
		const char *p = batch->data.data + reader.end;

		if (!next_line(&reader, text))
			break;
		at++;
		while (writer->lines->is_csv &&
			   (p = memchr(p, '\n', text->data + text->len - p)) != NULL)
		{
			at++;
			p++;
		}
		if (at >= line)
			return text->number;
	}
	text->data = NULL;
	return 0;
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
 *		A worker has refused a line: raise the error of the first one of those that are held
 *		which cannot be read, and then free res.
 *
 * All are read, whatever is wrong with the one that was refused: which worker is the first
 * to complain must not decide what is told.
 */
void
CzLinesReadAgain(CzWriter *writer, PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	CzLine	   *lines;
	int64		nlines = 0;
	dlist_iter	iter;

	/* not where it is none of the line's business */
	if (sqlstate == NULL || (strncmp(sqlstate, "22", 2) != 0 &&
							 strncmp(sqlstate, "23", 2) != 0))
		return;
	dlist_foreach(iter, &writer->batches)
		nlines += dlist_container(Batch, node, iter.cur)->nrows;
	lines = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(CzLine) * nlines);
	nlines = 0;
	dlist_foreach(iter, &writer->batches)
	{
		LineReader	reader;

		begin_lines(&reader, writer, dlist_container(Batch, node, iter.cur));
		while (next_line(&reader, &lines[nlines]))
			nlines++;
	}
	qsort(lines, nlines, sizeof(CzLine), compare_lines);
	read_or_free(writer->lines, lines, nlines, res);
	pfree(lines);
}
