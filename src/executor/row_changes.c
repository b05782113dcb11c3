/*-------------------------------------------------------------------------
 *
 * row_changes.c
 *	  UPDATEs and DELETEs of rows of a reference table, as SQL for its copies.
 *
 * A row of a table with a unique key without NULLs is found by the key, with the
 * equality that its index has: one command a row.  Without such a key a row is found by
 * what its types print, which a worker prints likewise (its settings are those that are
 * pinned here), and of equal rows any is as good as another: the rows that one statement
 * changes are gathered to a list, and one command finds them all in one scan of the copy,
 * each text as often as it stands in the list.  All rows of the list are sought as they
 * were before the command, so a row that a row of the list has become begins a new one.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "row_changes.h"
#include "writer_int.h"

/* What is sent at once, at most: commands of one row, rows of a list, and bytes. */
#define MAX_COMMANDS 200
#define MAX_LIST_ROWS 20000
#define MAX_BYTES (256 * 1024)
#define MAX_LIST_BYTES (1024 * 1024)

/* A column of the key. */
typedef struct KeyColumn
{
	AttrNumber	attno;
	char	   *operator;		/* equality, as it is written on a worker */
	char	   *type_name;		/* to which a value is cast; NULL: a type of initdb */
} KeyColumn;

struct CzRowChanges
{
	const CzShard *shard;
	bool		is_partitioned; /* the shard is: ctids are not unique in it */
	TupleDesc	tupdesc;
	FmgrInfo   *outs;			/* by attnum - 1 */
	List	   *key;			/* KeyColumns; NIL: rows are found by their texts */
	StringInfoData commands;	/* complete */
	int			ncommands;
	int			starts[MAX_COMMANDS];	/* with a key: offsets of the commands */
	int64		nrows;			/* that the commands must change */
	/* without a key: the command that is being gathered */
	TupleDesc	text_desc;		/* of what a row's text is made of; no column is dropped */
	AttrNumber *text_attnos;
	StringInfoData list;		/* items of VALUES, or elements of an array */
	int64		nlist;
	bool		is_update;
	Bitmapset  *assigned;		/* attribute numbers */
	HTAB	   *made;			/* hashes of the texts of new rows */
	MemoryContext context;		/* of all of this */
	MemoryContext row_context;	/* reset for each row */
};

/* The operator that compares a column of an index for equality. */
static char *
equality_operator(Relation index, int column)
{
	Oid			type_oid = index->rd_opcintype[column];
	Oid			operator_oid = get_opfamily_member(index->rd_opfamily[column], type_oid,
												   type_oid, BTEqualStrategyNumber);
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator_oid));
	Form_pg_operator form;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "index \"%s\" has no equality operator", RelationGetRelationName(index));
	form = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)",
					quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}

/* The columns of a unique key without NULLs, primary key first; NIL if there is none. */
static List *
key_columns(Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			primary_oid = RelationGetPrimaryKeyIndex_compat(rel);
	List	   *best = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		List	   *columns = NIL;
		bool		is_good = form->indisunique && !form->indisexclusion && form->indimmediate &&
			form->indisvalid && RelationGetIndexPredicate(index) == NIL;
		int			i;

		for (i = 0; is_good && i < form->indnkeyatts; i++)
		{
			AttrNumber	attno = form->indkey.values[i];
			KeyColumn  *column = palloc(sizeof(KeyColumn));
			Oid			type_oid;

			if (attno <= 0 || !TupleDescAttr(RelationGetDescr(rel), attno - 1)->attnotnull ||
				!not_null_is_valid_compat(RelationGetDescr(rel), attno))
			{
				is_good = false;
				break;
			}
			column->attno = attno;
			type_oid = getBaseType(TupleDescAttr(RelationGetDescr(rel), attno - 1)->atttypid);
			column->type_name = type_oid < FirstUnpinnedObjectId ? NULL :
				format_type_extended(type_oid, -1, FORMAT_TYPE_FORCE_QUALIFY);
			column->operator = equality_operator(index, i);
			columns = lappend(columns, column);
		}
		index_close(index, AccessShareLock);
		if (is_good && (best == NIL || lfirst_oid(lc) == primary_oid))
			best = columns;
		if (is_good && lfirst_oid(lc) == primary_oid)
			break;
	}
	list_free(indexes);
	return best;
}

/* Prepare to make texts of rows. */
static void
init_texts(CzRowChanges *changes)
{
	TupleDesc	tupdesc = changes->tupdesc;
	HASHCTL		ctl;
	int			n = 0;
	int			i;

	changes->text_attnos = palloc(sizeof(AttrNumber) * Max(tupdesc->natts, 1));
	for (i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);

		if (!attr->attisdropped && !attr->attgenerated)
			changes->text_attnos[n++] = i + 1;
	}
	changes->text_desc = CreateTemplateTupleDesc(n);
	for (i = 0; i < n; i++)
		TupleDescCopyEntry(changes->text_desc, i + 1, tupdesc, changes->text_attnos[i]);
	changes->text_desc = BlessTupleDesc(changes->text_desc);
	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(uint64);
	ctl.hcxt = changes->context;
	changes->made = hash_create("cz_fdw rows made", 256, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * CzRowChangesBegin
 *		Prepare to gather changes of a table's rows, in CurrentMemoryContext.
 */
CzRowChanges *
CzRowChangesBegin(Relation rel, const CzShard *shard)
{
	CzRowChanges *changes = palloc0(sizeof(CzRowChanges));
	int			i;

	changes->context = CurrentMemoryContext;
	changes->row_context = AllocSetContextCreate(CurrentMemoryContext, "cz_fdw row change",
												 ALLOCSET_DEFAULT_SIZES);
	changes->shard = shard;
	changes->is_partitioned = CzTableGet(RelationGetRelid(rel))->is_partitioned;
	changes->tupdesc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	changes->outs = palloc0(sizeof(FmgrInfo) * Max(changes->tupdesc->natts, 1));
	for (i = 0; i < changes->tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(changes->tupdesc, i);
		Oid			function;
		bool		is_varlena;

		if (attr->attisdropped)
			continue;
		getTypeOutputInfo(attr->atttypid, &function, &is_varlena);
		fmgr_info(function, &changes->outs[i]);
	}
	initStringInfo(&changes->commands);
	initStringInfo(&changes->list);
	changes->key = key_columns(rel);
	if (changes->key == NIL)
		init_texts(changes);
	return changes;
}

/* A column's value as a literal, NULL as NULL. */
static void
append_value(CzRowChanges *changes, StringInfo buf, TupleTableSlot *slot, AttrNumber attno)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attno, &isnull);

	if (isnull)
		appendStringInfoString(buf, "NULL");
	else
		CzWireAppendLiteral(buf, OutputFunctionCall(&changes->outs[attno - 1], value));
}

/* The columns that an UPDATE changes; none for a DELETE. */
static Bitmapset *
changed_columns(CzRowChanges *changes, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	Bitmapset  *columns = NULL;
	int			i;

	for (i = 0; new_slot != NULL && i < changes->tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(changes->tupdesc, i);
		bool		old_isnull;
		bool		new_isnull;
		Datum		old_value = slot_getattr(old_slot, i + 1, &old_isnull);
		Datum		new_value = slot_getattr(new_slot, i + 1, &new_isnull);

		if (attr->attisdropped || attr->attgenerated)
			continue;
		if (old_isnull != new_isnull ||
			(!old_isnull && !datum_image_eq(old_value, new_value, attr->attbyval, attr->attlen)))
			columns = bms_add_member(columns, i + 1);
	}
	return columns;
}

static const char *
column_name(const CzRowChanges *changes, AttrNumber attno)
{
	return quote_identifier(NameStr(TupleDescAttr(changes->tupdesc, attno - 1)->attname));
}

/* The command for one row that has a key. */
static void
add_by_key(CzRowChanges *changes, TupleTableSlot *old_slot, TupleTableSlot *new_slot,
		   Bitmapset *assigned)
{
	StringInfo	buf = &changes->commands;
	const char *separator = "";
	int			attno = -1;
	ListCell   *lc;

	changes->starts[changes->ncommands] = buf->len;
	if (new_slot == NULL)
		appendStringInfo(buf, "DELETE FROM %s", changes->shard->remote_qualified);
	else
		appendStringInfo(buf, "UPDATE %s SET ", changes->shard->remote_qualified);
	while ((attno = bms_next_member(assigned, attno)) >= 0)
	{
		appendStringInfo(buf, "%s%s = ", separator, column_name(changes, attno));
		append_value(changes, buf, new_slot, attno);
		separator = ", ";
	}
	separator = " WHERE ";
	foreach(lc, changes->key)
	{
		KeyColumn  *column = lfirst(lc);

		appendStringInfo(buf, "%s%s %s ", separator, column_name(changes, column->attno),
						 column->operator);
		append_value(changes, buf, old_slot, column->attno);
		if (column->type_name != NULL)
			appendStringInfo(buf, "::%s", column->type_name);
		separator = " AND ";
	}
	appendStringInfoString(buf, "; ");
	changes->ncommands++;
	changes->nrows++;
}

/* What the types of a row print, as a worker's ROW(...)::text does. */
static char *
row_text(CzRowChanges *changes, TupleTableSlot *slot)
{
	int			natts = changes->text_desc->natts;
	Datum	   *values = palloc(sizeof(Datum) * Max(natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(natts, 1));
	HeapTuple	tuple;
	int			i;

	for (i = 0; i < natts; i++)
		values[i] = slot_getattr(slot, changes->text_attnos[i], &nulls[i]);
	tuple = heap_form_tuple(changes->text_desc, values, nulls);
	return OidOutputFunctionCall(F_RECORD_OUT,
								 HeapTupleHeaderGetDatum(tuple->t_data));
}

/* An element of an array of texts, as a part of a literal. */
static void
append_element(StringInfo buf, const char *text)
{
	appendStringInfoChar(buf, '"');
	for (; *text != '\0'; text++)
	{
		/* for the array, and again for E'' */
		if (*text == '"' || *text == '\\')
			appendStringInfoString(buf, *text == '"' ? "\\\\\"" : "\\\\\\\\");
		else if (*text == '\'')
			appendStringInfoString(buf, "''");
		else
			appendStringInfoChar(buf, *text);
	}
	appendStringInfoChar(buf, '"');
}

/*
 * The rows of the copy and their texts: "SELECT ctid AS id, ... AS k FROM copy", with
 * "tableoid AS tab" if it is partitioned.
 */
static void
append_texts_of_copy(CzRowChanges *changes, StringInfo buf)
{
	int			i;

	appendStringInfo(buf, "SELECT s.ctid AS id, %sROW(",
					 changes->is_partitioned ? "s.tableoid AS tab, " : "");
	for (i = 0; i < changes->text_desc->natts; i++)
		appendStringInfo(buf, "%ss.%s", i > 0 ? ", " : "",
						 column_name(changes, changes->text_attnos[i]));
	appendStringInfo(buf, ")::text COLLATE \"C\" AS k FROM %s AS s",
					 changes->shard->remote_qualified);
}

/* Make the gathered list a command. */
static void
close_list(CzRowChanges *changes)
{
	StringInfo	buf = &changes->commands;
	int			attno = -1;
	int			n = 0;

	if (changes->nlist == 0)
		return;
	if (!changes->is_update)
	{
		appendStringInfo(buf, "WITH v AS MATERIALIZED (SELECT k COLLATE \"C\" AS k, count(*) AS n"
						 " FROM unnest(E'{%s}'::text[]) AS k GROUP BY 1) DELETE FROM %s AS t %s"
						 " (SELECT x.*, v.n,"
						 " row_number() OVER (PARTITION BY v.k) AS r FROM (",
						 changes->list.data, changes->shard->remote_qualified,
						 changes->is_partitioned ? "USING" :
						 "WHERE ctid = ANY (ARRAY(SELECT id FROM");
		append_texts_of_copy(changes, buf);
		appendStringInfo(buf, ") AS x JOIN v ON x.k = v.k) AS y WHERE y.r <= y.n%s; ",
						 changes->is_partitioned ?
						 " AND t.ctid = y.id AND t.tableoid = y.tab" : "))");
	}
	else
	{
		appendStringInfoString(buf, "WITH v AS MATERIALIZED (SELECT *, row_number() OVER"
							   " (PARTITION BY k) AS r FROM (VALUES ");
		appendBinaryStringInfo(buf, changes->list.data, changes->list.len);
		appendStringInfoString(buf, ") AS w (k");
		while ((attno = bms_next_member(changes->assigned, attno)) >= 0)
			appendStringInfo(buf, ", c%d", ++n);
		appendStringInfoString(buf, ")), x AS MATERIALIZED (SELECT *, row_number() OVER"
							   " (PARTITION BY k) AS r FROM (");
		append_texts_of_copy(changes, buf);
		appendStringInfo(buf, ") AS y WHERE k IN (SELECT k FROM v)) UPDATE %s AS t SET ",
						 changes->shard->remote_qualified);
		attno = -1;
		n = 0;
		while ((attno = bms_next_member(changes->assigned, attno)) >= 0)
		{
			appendStringInfo(buf, "%s%s = v.c%d", n > 0 ? ", " : "", column_name(changes, attno),
							 n + 1);
			n++;
		}
		appendStringInfo(buf, " FROM x, v WHERE t.ctid = x.id%s AND x.k = v.k AND x.r = v.r; ",
						 changes->is_partitioned ? " AND t.tableoid = x.tab" : "");
	}
	changes->ncommands++;
	changes->nrows += changes->nlist;
	changes->nlist = 0;
	resetStringInfo(&changes->list);
}

/* Begin a list. */
static void
open_list(CzRowChanges *changes, bool is_update, Bitmapset *assigned)
{
	MemoryContext old = MemoryContextSwitchTo(changes->context);
	HASH_SEQ_STATUS seq;
	uint64	   *hash;

	close_list(changes);
	bms_free(changes->assigned);
	changes->assigned = bms_copy(assigned);
	changes->is_update = is_update;
	hash_seq_init(&seq, changes->made);
	while ((hash = hash_seq_search(&seq)) != NULL)
		(void) hash_search(changes->made, hash, HASH_REMOVE, NULL);
	MemoryContextSwitchTo(old);
}

/* The item of VALUES for a row: its old text and its new values. */
static void
append_item(CzRowChanges *changes, const char *text, TupleTableSlot *new_slot)
{
	StringInfo	buf = &changes->list;
	bool		is_first = changes->nlist == 0;
	int			attno = -1;

	appendStringInfoString(buf, is_first ? "(" : ", (");
	CzWireAppendLiteral(buf, text);
	if (is_first)
		appendStringInfoString(buf, "::text COLLATE \"C\"");
	while ((attno = bms_next_member(changes->assigned, attno)) >= 0)
	{
		Form_pg_attribute attr = TupleDescAttr(changes->tupdesc, attno - 1);

		appendStringInfoString(buf, ", ");
		append_value(changes, buf, new_slot, attno);
		/* the first item gives the column its type, whose input reads the others */
		if (is_first)
			appendStringInfo(buf, "::%s", format_type_extended(attr->atttypid, -1,
															   FORMAT_TYPE_TYPEMOD_GIVEN |
															   FORMAT_TYPE_FORCE_QUALIFY));
	}
	appendStringInfoChar(buf, ')');
}

/* Put a row that has no key into the list. */
static void
add_by_text(CzRowChanges *changes, TupleTableSlot *old_slot, TupleTableSlot *new_slot,
			Bitmapset *assigned)
{
	char	   *text = row_text(changes, old_slot);
	uint64		hash = hash_bytes_extended((const unsigned char *) text, strlen(text), 0);

	if (changes->nlist == 0)
		open_list(changes, new_slot != NULL, assigned);
	else if (changes->is_update != (new_slot != NULL) ||
			 hash_search(changes->made, &hash, HASH_FIND, NULL) != NULL)
		open_list(changes, new_slot != NULL, assigned);
	else if (!bms_is_subset(assigned, changes->assigned))
		open_list(changes, true, bms_union(assigned, changes->assigned));

	if (new_slot == NULL)
	{
		if (changes->nlist > 0)
			appendStringInfoChar(&changes->list, ',');
		append_element(&changes->list, text);
	}
	else
	{
		append_item(changes, text, new_slot);
		text = row_text(changes, new_slot);
		hash = hash_bytes_extended((const unsigned char *) text, strlen(text), 0);
		(void) hash_search(changes->made, &hash, HASH_ENTER, NULL);
	}
	changes->nlist++;
}

/*
 * CzRowChangesAdd
 *		Gather the change of one row; new_slot NULL: it was deleted.
 */
void
CzRowChangesAdd(CzRowChanges *changes, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	int			nest_level = CzPinTextSettings(CZ_PIN_ALL);
	MemoryContext old = MemoryContextSwitchTo(changes->row_context);
	Bitmapset  *assigned = changed_columns(changes, old_slot, new_slot);

	if (new_slot != NULL && bms_is_empty(assigned))
		;						/* there is nothing to send */
	else if (changes->key != NIL)
		add_by_key(changes, old_slot, new_slot, assigned);
	else
		add_by_text(changes, old_slot, new_slot, assigned);
	MemoryContextSwitchTo(old);
	MemoryContextReset(changes->row_context);
	CzUnpinTextSettings(nest_level);
}

/*
 * CzRowChangesIsEmpty, CzRowChangesIsFull
 *		Is there something to send (NULL: no), and is it time to?
 */
bool
CzRowChangesIsEmpty(const CzRowChanges *changes)
{
	return changes == NULL || (changes->ncommands == 0 && changes->nlist == 0);
}

bool
CzRowChangesIsFull(const CzRowChanges *changes)
{
	return changes->ncommands >= MAX_COMMANDS || changes->commands.len >= MAX_BYTES ||
		changes->nlist >= MAX_LIST_ROWS || changes->list.len >= MAX_LIST_BYTES;
}

/*
 * CzRowChangesSql
 *		The commands; *nrows: how many rows they must change.  Valid until more is added.
 */
const char *
CzRowChangesSql(CzRowChanges *changes, int64 *nrows)
{
	close_list(changes);
	*nrows = changes->nrows;
	if (changes->key != NIL || bytea_output == BYTEA_OUTPUT_HEX)
		return changes->commands.data;

	/* rows are found by texts; the worker's session follows this setting, see pins.c */
	return psprintf("SELECT set_config('bytea_output', 'hex', true); %s"
					"SELECT set_config('bytea_output', 'escape', true)",
					changes->commands.data);
}

/* Are rows found by a key?  Then each command is one row's. */
bool
CzRowChangesHaveKey(const CzRowChanges *changes)
{
	return changes->key != NIL;
}

/*
 * CzRowChangesSqlOfSome
 *		With a key: the commands that are not done yet, by their numbers from 0.
 */
char *
CzRowChangesSqlOfSome(const CzRowChanges *changes, const bool *is_done)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < changes->ncommands; i++)
	{
		int			end = i + 1 < changes->ncommands ? changes->starts[i + 1] :
			changes->commands.len;

		if (!is_done[i])
			appendBinaryStringInfo(&buf, changes->commands.data + changes->starts[i],
								   end - changes->starts[i]);
	}
	return buf.data;
}

/* For messages: without values, which the user may not be allowed to read. */
char *
CzRowChangesShown(const CzRowChanges *changes)
{
	return psprintf("UPDATE or DELETE of %s", changes->shard->remote_qualified);
}

/*
 * CzRowChangesClear
 *		They have been sent.
 */
void
CzRowChangesClear(CzRowChanges *changes)
{
	resetStringInfo(&changes->commands);
	changes->ncommands = 0;
	changes->nrows = 0;
}
