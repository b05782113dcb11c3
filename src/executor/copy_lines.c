/*-------------------------------------------------------------------------
 *
 * copy_lines.c
 *	  COPY FROM in text or csv format whose lines go to workers as they came.
 *
 * Most of what COPY costs is reading values and storing rows, and both can be done by the
 * workers.  Here a line needs no more than its end and its distribution column.  Core
 * reads lines (NextCopyFromRawFields), but one that lies in core's buffer whole and has
 * nothing to unescape is taken from there: two searches for a character instead of a look
 * at each.
 *
 * That is right where a worker makes of the text what is made of it here: types that
 * initdb made and that read no names, under settings which the workers' sessions have as
 * well.  Not for moments in words ("now"): each placement has another; those are
 * replaced by what they mean.
 *
 * The first rows of a COPY are not sent so: a few rows are INSERTs of one message.
 *
 * Errors are core's.  What is found here of a line is told only when the lines before it
 * have arrived, and if a worker refuses one, lines are read here to find which was the
 * first (writer_lines.c).
 *
 * Source: own work; which characters end a line, and what of a buffer has been read, is
 * known from commands/copyfromparse.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/copyfrom_internal.h"
#include "commands/defrem.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/rel.h"
#include "utils/typcache.h"
#include "utils/xml.h"

#include "cz/compat.h"
#include "cz/seal.h"
#include "cz/settings.h"
#include "cz/writer.h"

#include "executor_int.h"

/* Lines between two resets of the memory that keys are read in */
#define LINES_PER_RESET 256

/* A column that lines do not have. */
typedef struct MissingColumn
{
	ExprState  *value;
	FmgrInfo	out;
} MissingColumn;

typedef struct CopyLines
{
	CopyFromState cstate;
	const CopyStmt *stmt;
	EState	   *estate;
	const CzTable *table;
	CzWriter   *writer;
	int			nfields;
	AttrNumber *attnos;			/* [nfields] */
	bool	   *is_moment;		/* [nfields] texts may be moments in words */
	int			key_field;
	int			nlooked;		/* fields up to the last one that is looked at here */
	const char *null_print;
	int			null_len;
	char		delimiter;
	MemoryContext context;		/* of a few lines */
	StringInfoData key;			/* text of the key */
	StringInfoData rebuilt;		/* a line with moments replaced */
	int			nmissing;
	MissingColumn *missing;
	bool		missing_are_fixed;	/* the same for all lines */
	int			pins;			/* of the missing columns' texts */
	StringInfoData before;		/* their values */
	CzLine		line;			/* data NULL: none is being looked at */
	bool		is_sending;		/* an error is of a line before */
} CopyLines;

/* Of read_again(): what is still to be given to core. */
static struct
{
	const CzLine *lines;
	int			nlines;
	int			offset;			/* of the first one */
} unread;

/* ---- may lines be sent? -------------------------------------------------- */

/* Is a column's text read on workers as it is here?  *is_moment: but for "now" and the
 * like. */
static bool
is_text_shared(Oid type_oid, bool *is_moment)
{
	Oid			base_oid;
	int			pins = CzPinsOfType(type_oid);

	*is_moment = false;
	if ((pins & CZ_PIN_PATH) || DomainHasConstraints(type_oid))
		return false;
	if ((pins & CZ_PIN_MONEY) && strcmp(locale_monetary, "C") != 0)
		return false;
	base_oid = getBaseType(type_oid);
	switch (base_oid)
	{
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			*is_moment = true;
			break;
		case TIMETZOID:			/* its offset is today's */
		case ACLITEMOID:		/* roles */
			return false;
		default:
			break;
	}
	/* of moments? */
	if (OidIsValid(get_element_type(base_oid)))
	{
		bool		has_moments;

		return is_text_shared(get_element_type(base_oid), &has_moments) && !has_moments;
	}
	return get_typtype(base_oid) != TYPTYPE_RANGE &&
		get_typtype(base_oid) != TYPTYPE_MULTIRANGE;
}

/* Settings that input functions read, where workers' sessions have their own values. */
static bool
settings_are_shared(void)
{
	const char *abbreviations = GetConfigOption("timezone_abbreviations", false, false);

	return Array_nulls && xmloption == XMLOPTION_CONTENT &&
		IntervalStyle != INTSTYLE_SQL_STANDARD && strcmp(abbreviations, "Default") == 0;
}

/* Text format: is no value that append_field() writes taken for a null? */
static bool
is_null_distinct(CopyFromState cstate)
{
	const char *null_print = cstate->opts.null_print;

	if (null_print[0] == '\0')
		return cstate->num_defaults == 0;	/* no line has an empty value then */
	return strcmp(null_print, "\\N") == 0 ||
		(strchr(null_print, '\\') == NULL && (unsigned char) null_print[0] < 128);
}

/*
 * CzCopyLinesCanBeSent
 *		See executor_int.h.
 */
bool
CzCopyLinesCanBeSent(CopyFromState cstate, const CzTable *table)
{
	TupleDesc	desc = RelationGetDescr(cstate->rel);
	ListCell   *lc;

	if (cstate->opts.binary || cstate->whereClause != NULL || !copy_is_plain_compat(cstate) ||
		cstate->volatile_defexprs || !settings_are_shared() || table->key_attno == 0 ||
		!list_member_int(cstate->attnumlist, table->key_attno))
		return false;
	if (!cstate->opts.csv_mode && !is_null_distinct(cstate))
		return false;
	foreach(lc, cstate->attnumlist)
	{
		bool		is_moment;

		if (!is_text_shared(TupleDescAttr(desc, lfirst_int(lc) - 1)->atttypid, &is_moment))
			return false;
	}
	return true;
}

static void read_again(void *arg, const CzLine *lines, int nlines);

/* ---- COPY on the workers ------------------------------------------------- */

static void
append_names(StringInfo sql, CopyLines *copy, const bool *flags, const char *option)
{
	bool		is_first = true;
	int			i;

	for (i = 0; i < copy->nfields; i++)
	{
		if (!flags[copy->attnos[i] - 1])
			continue;
		appendStringInfo(sql, "%s%s", is_first ? option : ", ",
						 quote_identifier(copy->table->column_names[copy->attnos[i] - 1]));
		is_first = false;
	}
	if (!is_first)
		appendStringInfoChar(sql, ')');
}

static void
begin_writer(CopyLines *copy)
{
	CopyFromState cstate = copy->cstate;
	CopyFormatOptions *opts = &cstate->opts;
	StringInfoData columns;
	StringInfoData options;
	char		character[2] = {0};
	int			i;

	initStringInfo(&columns);
	for (i = 0; i < copy->nmissing; i++)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "",
						 quote_identifier(copy->table->column_names[cstate->defmap[i]]));
	for (i = 0; i < copy->nfields; i++)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "",
						 quote_identifier(copy->table->column_names[copy->attnos[i] - 1]));

	initStringInfo(&options);
	character[0] = copy->delimiter;
	appendStringInfo(&options, " (FORMAT %s, DELIMITER %s, NULL %s",
					 opts->csv_mode ? "csv" : "text", quote_literal_cstr(character),
					 quote_literal_cstr(opts->null_print));
	if (opts->csv_mode)
	{
		appendStringInfoString(&options, ", HEADER");
		character[0] = opts->quote[0];
		appendStringInfo(&options, ", QUOTE %s", quote_literal_cstr(character));
		character[0] = opts->escape[0];
		appendStringInfo(&options, ", ESCAPE %s", quote_literal_cstr(character));
		append_names(&options, copy, opts->force_notnull_flags, ", FORCE_NOT_NULL (");
		append_names(&options, copy, opts->force_null_flags, ", FORCE_NULL (");
	}
	appendStringInfoChar(&options, ')');

	copy->writer = CzWriterBegin(RelationGetDescr(cstate->rel), copy->table->column_names,
								 GetUserId());
	CzWriterSetCopy(copy->writer, RelationGetRelationName(cstate->rel));
	CzWriterSetLines(copy->writer, columns.data, options.data, opts->csv_mode, read_again,
					 copy);
}

/* ---- lines read again ---------------------------------------------------- */

static int
give_unread(void *buf, int min_bytes, int max_bytes)
{
	int			nbytes = 0;

	while (nbytes < max_bytes && unread.nlines > 0)
	{
		const CzLine *line = unread.lines;
		int			n = Min(max_bytes - nbytes, line->len - unread.offset);

		memcpy((char *) buf + nbytes, line->data + unread.offset, n);
		nbytes += n;
		unread.offset += n;
		if (unread.offset < line->len || nbytes == max_bytes)
			break;
		((char *) buf)[nbytes++] = '\n';
		unread.lines++;
		unread.nlines--;
		unread.offset = 0;
	}
	return nbytes;
}

/* The options of the user's COPY, for lines that have been converted and have no header. */
static List *
options_of_lines(const CopyStmt *stmt)
{
	List	   *options = NIL;
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "header") != 0 && strcmp(option->defname, "encoding") != 0)
			options = lappend(options, option);
	}
	return lappend(options,
				   makeDefElem("encoding",
							   (Node *) makeString(pstrdup(GetDatabaseEncodingName())), -1));
}

/* Raise core's error for the first of some lines that cannot be read. */
static void
read_again(void *arg, const CzLine *lines, int nlines)
{
	CopyLines  *copy = (CopyLines *) arg;
	Relation	rel = copy->cstate->rel;
	MemoryContext caller_context = MemoryContextSwitchTo(copy->estate->es_query_cxt);
	Datum	   *values = palloc(sizeof(Datum) * RelationGetNumberOfAttributes(rel));
	bool	   *nulls = palloc(sizeof(bool) * RelationGetNumberOfAttributes(rel));
	CopyFromState cstate;
	ErrorContextCallback errors;
	int			i;

	unread.lines = lines;
	unread.nlines = nlines;
	unread.offset = 0;
	cstate = BeginCopyFrom(NULL, rel, NULL, NULL, false, give_unread, copy->stmt->attlist,
						   options_of_lines(copy->stmt));
	cstate->num_defaults = 0;
	cstate->eol_type = EOL_NL;
	errors.callback = CopyFromErrorCallback;
	errors.arg = (void *) cstate;
	errors.previous = error_context_stack;
	error_context_stack = &errors;
	for (i = 0; i < nlines; i++)
	{
		MemoryContext old_context = MemoryContextSwitchTo(copy->context);

		CHECK_FOR_INTERRUPTS();
		cstate->cur_lineno = lines[i].number - 1;
		if (cstate->opts.csv_mode)
		{
			const char *p = lines[i].data;
			const char *end = p + lines[i].len;

			while ((p = memchr(p, '\n', end - p)) != NULL)
			{
				cstate->cur_lineno--;
				p++;
			}
		}
		(void) NextCopyFrom(cstate, NULL, values, nulls);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(copy->context);
	}
	error_context_stack = errors.previous;
	EndCopyFrom(cstate);
	MemoryContextSwitchTo(caller_context);
}

/* ---- begin --------------------------------------------------------------- */

/* Columns that lines do not have, and that have a default. */
static void
begin_missing(CopyLines *copy)
{
	CopyFromState cstate = copy->cstate;
	TupleDesc	desc = RelationGetDescr(cstate->rel);
	int			i;

	copy->nmissing = cstate->num_defaults;
	copy->missing = palloc0(sizeof(MissingColumn) * Max(copy->nmissing, 1));
	copy->missing_are_fixed = true;
	for (i = 0; i < copy->nmissing; i++)
	{
		MissingColumn *missing = &copy->missing[i];
		Oid			type_oid = TupleDescAttr(desc, cstate->defmap[i])->atttypid;
		Oid			function;
		bool		is_varlena;

		missing->value = copy_default_compat(cstate, i);
		getTypeOutputInfo(type_oid, &function, &is_varlena);
		fmgr_info(function, &missing->out);
		copy->pins |= CzPinsOfType(type_oid);
		if (contain_volatile_functions((Node *) missing->value->expr))
			copy->missing_are_fixed = false;
	}
}

static void
begin_lines(CopyLines *copy, CopyFromState cstate, const CopyStmt *stmt, EState *estate,
			const CzTable *table)
{
	TupleDesc	desc = RelationGetDescr(cstate->rel);
	ListCell   *lc;

	copy->cstate = cstate;
	copy->stmt = stmt;
	copy->estate = estate;
	copy->table = table;
	copy->context = AllocSetContextCreate(estate->es_query_cxt, "cz copy lines",
										  ALLOCSET_DEFAULT_SIZES);
	copy->nfields = list_length(cstate->attnumlist);
	copy->attnos = palloc(sizeof(AttrNumber) * copy->nfields);
	copy->is_moment = palloc(sizeof(bool) * copy->nfields);
	foreach(lc, cstate->attnumlist)
	{
		int			i = foreach_current_index(lc);

		copy->attnos[i] = lfirst_int(lc);
		(void) is_text_shared(TupleDescAttr(desc, lfirst_int(lc) - 1)->atttypid,
							  &copy->is_moment[i]);
		if (lfirst_int(lc) == table->key_attno)
			copy->key_field = i;
		if (lfirst_int(lc) == table->key_attno || copy->is_moment[i])
			copy->nlooked = i + 1;
	}
	copy->null_print = cstate->opts.null_print;
	copy->null_len = cstate->opts.null_print_len;
	copy->delimiter = cstate->opts.delim[0];
	initStringInfo(&copy->key);
	initStringInfo(&copy->rebuilt);
	initStringInfo(&copy->before);
	begin_missing(copy);
	begin_writer(copy);
}

/* ---- one line ------------------------------------------------------------ */

/* Put a value in the form that fields of the lines have; text NULL: null. */
static void
append_field(CopyLines *copy, StringInfo buf, const char *text)
{
	const CopyFormatOptions *opts = &copy->cstate->opts;
	const char *p;

	if (text == NULL)
	{
		appendStringInfoString(buf, copy->null_print);
		return;
	}
	if (opts->csv_mode)
		appendStringInfoChar(buf, opts->quote[0]);
	for (p = text; *p != '\0'; p++)
	{
		if (opts->csv_mode)
		{
			if (*p == opts->quote[0] || *p == opts->escape[0])
				appendStringInfoChar(buf, opts->escape[0]);
			appendStringInfoChar(buf, *p);
		}
		/* the first one always: then it is not what stands for null */
		else if (*p == '\\' || (unsigned char) *p < ' ' || *p == copy->delimiter ||
				 (p == text && (unsigned char) *p < 128))
			appendStringInfo(buf, "\\%03o", (unsigned char) *p);
		else
			appendStringInfoChar(buf, *p);
	}
	if (opts->csv_mode)
		appendStringInfoChar(buf, opts->quote[0]);
}

/* What stands before a line. */
static void
compute_missing(CopyLines *copy, ExprContext *econtext)
{
	int			i;

	resetStringInfo(&copy->before);
	for (i = 0; i < copy->nmissing; i++)
	{
		MissingColumn *missing = &copy->missing[i];
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(missing->value, econtext, &isnull);
		char	   *text = NULL;

		if (!isnull)
		{
			MemoryContext old_context = MemoryContextSwitchTo(copy->context);
			int			level = copy->pins != 0 ? CzPinTextSettings(copy->pins) : -1;

			text = OutputFunctionCall(&missing->out, value);
			CzUnpinTextSettings(level);
			MemoryContextSwitchTo(old_context);
		}
		append_field(copy, &copy->before, text);
		appendStringInfoChar(&copy->before, copy->delimiter);
	}
	ResetExprContext(econtext);
}

/* Letters of now, today, tomorrow, yesterday; few moments that are none of these have them. */
static inline bool
has_words(const char *text, const char *end)
{
	for (; text < end; text++)
	{
		if ((*text | 0x20) == 'o' || (*text | 0x20) == 'y')
			return true;
	}
	return false;
}

/*
 * take_simple_line
 *		The next line, if it lies in core's buffer and nothing in it is special: its key
 *		field (not ended by a zero).  False: core must read it.
 */
static bool
take_simple_line(CopyLines *copy, const char **key, int *key_len)
{
	CopyFromState cstate = copy->cstate;
	const char *start = cstate->input_buf + cstate->input_buf_index;
	int			nbytes = cstate->input_buf_len - cstate->input_buf_index;
	const char *end;
	const char *field;
	int			i;

	if (cstate->eol_type != EOL_NL || nbytes <= 0 ||
		(end = memchr(start, '\n', nbytes)) == NULL ||
		memchr(start, '\\', end - start) != NULL || memchr(start, '\r', end - start) != NULL ||
		(cstate->opts.csv_mode && memchr(start, cstate->opts.quote[0], end - start) != NULL))
		return false;

	field = start;
	for (i = 0; i < copy->nlooked; i++)
	{
		const char *field_end = memchr(field, copy->delimiter, end - field);

		if (field_end == NULL)
			field_end = end;
		if (copy->is_moment[i] && has_words(field, field_end))
			return false;
		if (i == copy->key_field)
		{
			*key = field;
			*key_len = field_end - field;
		}
		if (field_end == end && i + 1 < copy->nlooked)
			return false;		/* core says which column is missing */
		field = field_end + 1;
	}
	cstate->cur_lineno++;
	cstate->input_buf_index += end - start + 1;
	cstate->line_buf_valid = false;
	copy->line.number = cstate->cur_lineno;
	copy->line.data = start;
	copy->line.len = end - start;
	return true;
}

/* The text of a field that core has read, NULL: null. */
static const char *
field_text(CopyLines *copy, char **fields, int i)
{
	CopyFromState cstate = copy->cstate;
	const char *text = fields[i];
	int			m = copy->attnos[i] - 1;

	if (!cstate->opts.csv_mode)
		return text;
	if (text == NULL && cstate->opts.force_notnull_flags[m])
		return copy->null_print;
	if (text != NULL && cstate->opts.force_null_flags[m] &&
		strcmp(text, copy->null_print) == 0)
		return NULL;
	return text;
}

/* Moments in words are replaced by what they mean; fields are the line's. */
static void
replace_moments(CopyLines *copy, char **fields, int nfields)
{
	CopyFromState cstate = copy->cstate;
	TupleDesc	desc = RelationGetDescr(cstate->rel);
	bool		has_some = false;
	int			i;

	for (i = 0; i < nfields; i++)
	{
		if (copy->is_moment[i] && fields[i] != NULL &&
			has_words(fields[i], fields[i] + strlen(fields[i])))
			has_some = true;
	}
	if (!has_some)
		return;
	resetStringInfo(&copy->rebuilt);
	for (i = 0; i < nfields; i++)
	{
		const char *text = field_text(copy, fields, i);
		int			m = copy->attnos[i] - 1;

		if (text != NULL && copy->is_moment[i] && has_words(text, text + strlen(text)))
		{
			Form_pg_attribute att = TupleDescAttr(desc, m);
			FmgrInfo	out;
			Oid			function;
			bool		is_varlena;
			Datum		value;
			int			level;

			cstate->cur_attname = NameStr(att->attname);
			cstate->cur_attval = text;
			value = InputFunctionCall(&cstate->in_functions[m], unconstify(char *, text),
									  cstate->typioparams[m], att->atttypmod);
			cstate->cur_attname = cstate->cur_attval = NULL;
			getTypeOutputInfo(att->atttypid, &function, &is_varlena);
			fmgr_info(function, &out);
			level = CzPinTextSettings(CZ_PIN_TEXT);
			text = OutputFunctionCall(&out, value);
			CzUnpinTextSettings(level);
		}
		if (i > 0)
			appendStringInfoChar(&copy->rebuilt, copy->delimiter);
		append_field(copy, &copy->rebuilt, text);
	}
	copy->line.data = copy->rebuilt.data;
	copy->line.len = copy->rebuilt.len;
}

/*
 * take_line
 *		The next line by core; false: there is none.
 *
 * key: out, NULL: a null.
 * is_wrong: out, the line has too few fields or too many.
 */
static bool
take_line(CopyLines *copy, const char **key, bool *is_wrong)
{
	CopyFromState cstate = copy->cstate;
	char	  **fields;
	int			nfields;

	if (!NextCopyFromRawFields(cstate, &fields, &nfields))
		return false;
	copy->line.number = cstate->cur_lineno;
	copy->line.data = cstate->line_buf.data;
	copy->line.len = cstate->line_buf.len;
	*is_wrong = nfields != copy->nfields;
	if (*is_wrong)
		return true;
	*key = field_text(copy, fields, copy->key_field);
	replace_moments(copy, fields, nfields);
	return true;
}

static const CzShard *
shard_of_key(CopyLines *copy, const char *key)
{
	CopyFromState cstate = copy->cstate;
	int			m = copy->table->key_attno - 1;
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(cstate->rel), m);
	Datum		value;
	int			index;
	TupleTableSlot *slot;

	cstate->cur_attname = NameStr(att->attname);
	cstate->cur_attval = key;
	value = InputFunctionCall(&cstate->in_functions[m], unconstify(char *, key),
							  cstate->typioparams[m], att->atttypmod);
	cstate->cur_attname = cstate->cur_attval = NULL;
	index = CzShardIndexForValue(copy->table, value, key == NULL);
	if (index >= 0)
	{
		CzSealAdmit(copy->table, index, value, key == NULL);
		return &copy->table->shards[index];
	}

	/* none: the row's key is all that the error shows */
	slot = MakeSingleTupleTableSlot(RelationGetDescr(cstate->rel), &TTSOpsVirtual);
	ExecStoreAllNullTuple(slot);
	slot->tts_values[m] = value;
	slot->tts_isnull[m] = key == NULL;
	if (!cstate->line_buf_valid)
	{
		resetStringInfo(&cstate->line_buf);
		appendBinaryStringInfo(&cstate->line_buf, copy->line.data, copy->line.len);
		cstate->line_buf_valid = true;
	}
	return CzShardForRow(copy->estate, cstate->rel, copy->table, slot);
}

/* ---- all lines ----------------------------------------------------------- */

/* Returns the number of lines. */
static pg_noinline int64
send_lines(CopyLines *copy, int64 processed)
{
	CopyFromState cstate = copy->cstate;
	ExprContext *econtext = GetPerTupleExprContext(copy->estate);
	ErrorContextCallback errors;
	int			nlines = 0;		/* since the last reset */

	errors.callback = CopyFromErrorCallback;
	errors.arg = (void *) cstate;
	errors.previous = error_context_stack;
	error_context_stack = &errors;
	if (copy->missing_are_fixed)
		compute_missing(copy, econtext);
	for (;;)
	{
		const char *key = NULL;
		int			key_len = 0;
		bool		is_wrong = false;
		const CzShard *shard;
		MemoryContext old_context;

		CHECK_FOR_INTERRUPTS();
		if (++nlines == LINES_PER_RESET)
		{
			MemoryContextReset(copy->context);
			nlines = 0;
		}
		old_context = MemoryContextSwitchTo(copy->context);
		copy->line.data = NULL;
		if (take_simple_line(copy, &key, &key_len))
		{
			if (key_len == copy->null_len && memcmp(key, copy->null_print, key_len) == 0 &&
				!(cstate->opts.csv_mode &&
				  cstate->opts.force_notnull_flags[copy->table->key_attno - 1]))
				key = NULL;
			else
			{
				resetStringInfo(&copy->key);
				appendBinaryStringInfo(&copy->key, key, key_len);
				key = copy->key.data;
			}
		}
		else if (!take_line(copy, &key, &is_wrong))
			break;
		if (is_wrong)
		{
			read_again(copy, &copy->line, 1);
			elog(ERROR, "a line of COPY has another number of fields than columns");
		}
		shard = shard_of_key(copy, key);
		MemoryContextSwitchTo(old_context);
		if (!copy->missing_are_fixed)
			compute_missing(copy, econtext);
		error_context_stack = errors.previous;
		copy->is_sending = true;
		CzWriterPutLine(copy->writer, shard, &copy->before, &copy->line);
		copy->is_sending = false;
		error_context_stack = &errors;
		pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, ++processed);
	}
	error_context_stack = errors.previous;
	return processed;
}

/*
 * An error of the line that is being read: the lines before it come first, and of this
 * one the columns before the key.
 */
static void
raise_first_error(CopyLines *copy, MemoryContext context)
{
	ErrorData  *error;
	int			category;

	if (copy->is_sending)
		PG_RE_THROW();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
	if (category == ERRCODE_DATA_EXCEPTION ||
		category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
	{
		FlushErrorState();
		CzWriterFlush(copy->writer);
		if (copy->line.data != NULL)
			read_again(copy, &copy->line, 1);
		ReThrowError(error);
	}
	PG_RE_THROW();
}

/*
 * CzCopyLines
 *		See executor_int.h.
 */
int64
CzCopyLines(CopyFromState cstate, const CopyStmt *stmt, EState *estate, const CzTable *table,
			int64 processed)
{
	MemoryContext context = CurrentMemoryContext;
	CopyLines  *copy = palloc0(sizeof(CopyLines));
	int64		result = 0;

	begin_lines(copy, cstate, stmt, estate, table);
	PG_TRY();
	{
		result = send_lines(copy, processed);
	}
	PG_CATCH();
	{
		raise_first_error(copy, context);
	}
	PG_END_TRY();
	CzWriterEnd(copy->writer);
	return result;
}
