/*-------------------------------------------------------------------------
 *
 * append.c
 *	  Range shards that are made by what is appended: cz_append_table, and Citus' older
 *	  master_create_empty_shard and master_append_table_to_shard.
 *
 * A row has one shard that may hold it, so what is appended is put where that shard is:
 * rows within the bounds of a shard are inserted there, all others lie in gaps between the
 * shards, and each gap gets a shard from its least row on.  The new shard ends where the
 * next one begins, or right behind its greatest row; where a type has no next value, it is
 * open, and the next append to a table of distribution type append closes it between what
 * it holds and what comes.  So the rows are those of an append, and shards do not overlap.
 *
 * The table is locked exclusively and all is one distributed transaction: an error leaves
 * nothing.  An empty shard that has been asked for is an id in cz.pending_shards; its
 * tables on the workers are made when rows come, as the table is then.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

#include "append_int.h"
#include "cz/compat.h"
#include "cz/ddl.h"
#include "cz/metadata.h"
#include "cz/settings.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(cz_append_table);
PG_FUNCTION_INFO_V1(master_create_empty_shard);
PG_FUNCTION_INFO_V1(master_append_table_to_shard);

/* Rows of the source whose keys are looked at at once. */
#define KEYS_AT_A_TIME 10000

/* Behind the last key of an open shard; all others are numbers of gaps. */
#define OPEN_END INT_MAX

/* Citus' citus.shard_max_size where it is not set, kilobytes */
#define SHARD_MAX_KB (1024 * 1024)

/* Rows that no shard takes, all between the same two shards. */
typedef struct Gap
{
	int			place;			/* number of CzRangeGap, or OPEN_END */
	Datum		min;			/* its least and greatest key */
	Datum		max;
	int64		before_id;		/* the shards that it is between; 0: none */
	int64		after_id;
	char	   *after_min;		/* lower bound of the latter; NULL: none */
} Gap;

/* What is appended to, and where. */
typedef struct Appending
{
	const CzTable *table;		/* before anything is made */
	int64		pending_id;		/* reserved id to be used, 0: none */
	List	   *pending_oids;	/* servers that were reserved with it */
	int64		target_id;		/* shard that may grow, 0: none */
	bool		has_open_end;	/* the last shard is to be closed behind what it has */
	Datum		open_max;		/* its greatest key */
	Gap		   *gaps;
	int			ngaps;
	Bitmapset  *hits;			/* indexes of shards that get rows */
	List	   *shard_ids;		/* of those that are made or grow: int64 * */
	int64		first_id;		/* the first one that is made, 0: none */
} Appending;

/*
 * CzSetAppend, CzIsAppend
 *		Note, or say, that a range table is of distribution type append.
 */
void
CzSetAppend(Oid relid)
{
	Oid			argtypes[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	(void) CzCatalogExec("UPDATE cz.tables SET is_append = true WHERE relid OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, NULL);
	CommandCounterIncrement();
}

bool
CzIsAppend(Oid relid)
{
	Oid			argtypes[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	return CzCatalogExec("SELECT FROM cz.tables WHERE relid OPERATOR(pg_catalog.=) $1 AND is_append",
						 1, argtypes, values, NULL) > 0;
}

static int
compare_keys(const CzTable *table, Datum a, Datum b)
{
	TypeCacheEntry *type = lookup_type_cache(table->key_type, TYPECACHE_CMP_PROC_FINFO);

	return DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, table->key_collation, a, b));
}

/* The least value above one, as CzRangeText; NULL: the type has none. */
static char *
successor(const CzTable *table, Datum max)
{
	switch (table->key_type)
	{
		case INT2OID:
			if (DatumGetInt16(max) < PG_INT16_MAX)
				return CzRangeValueText(table, Int16GetDatum(DatumGetInt16(max) + 1));
			break;
		case INT4OID:
			if (DatumGetInt32(max) < PG_INT32_MAX)
				return CzRangeValueText(table, Int32GetDatum(DatumGetInt32(max) + 1));
			break;
		case INT8OID:
			if (DatumGetInt64(max) < PG_INT64_MAX)
				return CzRangeValueText(table, Int64GetDatum(DatumGetInt64(max) + 1));
			break;
		case DATEOID:
			if (!DATE_NOT_FINITE(DatumGetDateADT(max)) && IS_VALID_DATE(DatumGetDateADT(max) + 1))
				return CzRangeValueText(table, DateADTGetDatum(DatumGetDateADT(max) + 1));
			break;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			{
				Timestamp	value = DatumGetTimestamp(max);
				int64		step = 1;
				int32		digits = table->key_typmod;

				/* microseconds, unless the type has fewer digits */
				for (; digits >= 0 && digits < MAX_TIMESTAMP_PRECISION; digits++)
					step *= 10;
				if (!TIMESTAMP_NOT_FINITE(value) && IS_VALID_TIMESTAMP(value + step))
					return CzRangeValueText(table, TimestampGetDatum(value + step));
			}
			break;
	}
	return NULL;
}

/* As PostgreSQL says it of a row that no partition takes. */
static void
refuse_null(const CzTable *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("no partition of relation \"%s\" found for row", get_rel_name(table->relid)),
			 errdetail("Partition key of the failing row contains (%s) = (null).",
					   get_attname(table->relid, table->key_attno, false))));
}

/* A key of the source: does a shard take it, or which gap is it in? */
static void
note_key(Appending *append, Datum value, MemoryContext context, int16 length, bool by_value)
{
	const CzTable *table = append->table;
	int			place = CzRangeGap(table, value);
	MemoryContext old;
	Gap		   *gap = NULL;
	int			i;

	if (place < 0)
	{
		int			index = CzShardIndexForValue(table, value, false);

		if (!append->has_open_end || index != table->nshards - 1 ||
			compare_keys(table, value, append->open_max) <= 0)
		{
			if (!bms_is_member(index, append->hits))
			{
				old = MemoryContextSwitchTo(context);
				append->hits = bms_add_member(append->hits, index);
				MemoryContextSwitchTo(old);
			}
			return;
		}
		place = OPEN_END;
	}
	for (i = append->ngaps - 1; i >= 0 && gap == NULL; i--)
	{
		if (append->gaps[i].place == place)
			gap = &append->gaps[i];
	}
	if (gap != NULL && compare_keys(table, value, gap->min) >= 0 &&
		compare_keys(table, value, gap->max) <= 0)
		return;

	old = MemoryContextSwitchTo(context);
	value = datumCopy(value, by_value, length);
	if (gap == NULL)
	{
		/* no more than there are shards, one before them and one behind */
		gap = &append->gaps[append->ngaps++];
		Assert(append->ngaps <= table->nshards + 2);
		gap->place = place;
		gap->min = gap->max = value;
	}
	else if (compare_keys(table, value, gap->min) < 0)
		gap->min = value;
	else
		gap->max = value;
	MemoryContextSwitchTo(old);
}

static int
by_place(const void *a, const void *b)
{
	const Gap  *x = a;
	const Gap  *y = b;

	return x->place < y->place ? -1 : x->place > y->place ? 1 : 0;
}

/* Look at all keys of the source. */
static void
find_gaps(Appending *append, const CzAppendSource *source)
{
	const CzTable *table = append->table;
	MemoryContext context = CurrentMemoryContext;
	int16		length;
	bool		by_value;
	Portal		portal;
	SPIParseOpenOptions options = {0};
	int			i;

	append->gaps = palloc0(sizeof(Gap) * (table->nshards + 2));
	get_typlenbyval(table->key_type, &length, &by_value);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	options.cursorOptions = CURSOR_OPT_NO_SCROLL;
	portal = SPI_cursor_parse_open(NULL,
								   psprintf("SELECT CAST(s.%s AS %s) FROM %s s",
											quote_identifier(get_attname(table->relid,
																		 table->key_attno, false)),
											format_type_extended(table->key_type, -1,
																 FORMAT_TYPE_FORCE_QUALIFY),
											source->qualified), &options);
	for (;;)
	{
		uint64		row;

		SPI_cursor_fetch(portal, true, KEYS_AT_A_TIME);
		if (SPI_processed == 0)
			break;
		for (row = 0; row < SPI_processed; row++)
		{
			bool		isnull;
			Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1,
											  &isnull);

			if (isnull)
				refuse_null(table);
			note_key(append, value, context, length, by_value);
		}
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	SPI_finish();

	qsort(append->gaps, append->ngaps, sizeof(Gap), by_place);
	for (i = 0; i < append->ngaps; i++)
	{
		Gap		   *gap = &append->gaps[i];
		int			before;
		int			after;
		char	   *max;

		if (gap->place == OPEN_END)
			before = table->nshards - 1, after = -1;
		else
			CzRangeGapNeighbours(table, gap->place, &before, &after);
		if (before >= 0)
			gap->before_id = table->shards[before].shard_id;
		if (after >= 0)
		{
			gap->after_id = table->shards[after].shard_id;
			CzRangeBoundTexts(table, after, &gap->after_min, &max);
		}
	}
}

/* What is appended to a sealed shard may be outside of its keys. */
static void
unseal(const CzTable *table, int index)
{
	if (table->seals != NULL && table->seals[index].min != NULL)
		CzUnseal(table, index);
}

/* A shard gets another upper, or lower, bound. */
static void
move_bound(Oid relid, int64 shard_id, const char *bound, bool is_upper)
{
	const CzTable *table = CzTableGet(relid);
	char	   *min;
	char	   *max;

	CzRangeBoundTexts(table, CzShardIndexOf(table, shard_id), &min, &max);
	unseal(table, CzShardIndexOf(table, shard_id));
	CzMoveRangeBounds(relid, shard_id, is_upper ? min : bound, is_upper ? bound : max);
}

static void
note_shard(Appending *append, int64 shard_id)
{
	int64	   *copy = palloc(sizeof(int64));

	*copy = shard_id;
	append->shard_ids = lappend(append->shard_ids, copy);
}

/* Make place for the rows of a gap. */
static void
fill_gap(Appending *append, const Gap *gap)
{
	Oid			relid = append->table->relid;
	char	   *min = CzRangeValueText(append->table, gap->min);
	char	   *max = gap->after_id != 0 ? gap->after_min : successor(append->table, gap->max);
	int64		shard_id;
	List	   *server_oids;

	if (append->target_id != 0 && gap->place == OPEN_END && append->target_id == gap->before_id)
	{
		/* it is open: they belong to it */
		append->hits = bms_add_member(append->hits, append->table->nshards - 1);
		return;
	}
	if (append->target_id != 0 &&
		(append->target_id == gap->before_id || append->target_id == gap->after_id))
	{
		bool		is_upper = append->target_id == gap->before_id;

		move_bound(relid, append->target_id, is_upper ? max : min, is_upper);
		note_shard(append, append->target_id);
		return;
	}
	if (gap->place == OPEN_END)
		move_bound(relid, gap->before_id, min, true);

	shard_id = append->pending_id;
	server_oids = append->pending_oids;
	if (shard_id == 0)
	{
		shard_id = CzNextShardId();
		server_oids = NIL;
	}
	append->pending_id = 0;
	(void) CzAddRangeShard(relid, shard_id, min, max, server_oids);
	CommandCounterIncrement();
	note_shard(append, shard_id);
	if (append->first_id == 0)
		append->first_id = shard_id;
}

/* The rows, by an INSERT as any other: it finds the shards. */
static void
insert_rows(Oid relid, const CzAppendSource *source)
{
	StringInfoData sql;
	int			result;

	initStringInfo(&sql);
	/* an identity column keeps the source's values */
	appendStringInfo(&sql, "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s",
					 CzRelationName(relid), source->columns, source->columns, source->qualified);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute(sql.data, false, 0);
	if (result != SPI_OK_INSERT)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	SPI_finish();
	CommandCounterIncrement();
}

/* What citus_update_table_statistics would see of the shards that have changed. */
static void
update_statistics(Appending *append)
{
	const CzTable *table;
	List	   *shard_ids = append->shard_ids;
	ListCell   *lc;
	int			i = -1;

	while ((i = bms_next_member(append->hits, i)) >= 0)
		shard_ids = lappend(shard_ids, (void *) &append->table->shards[i].shard_id);
	table = CzTableGet(append->table->relid);
	foreach(lc, shard_ids)
		CzUpdateShardStatistics(table, CzShardIndexOf(table, *(int64 *) lfirst(lc)));
}

/* The greatest key of a last shard without upper bound, of a table of type append. */
static void
find_open_end(Appending *append)
{
	const CzTable *table = append->table;
	int			last = table->nshards - 1;
	char	   *min;
	char	   *max;

	if (last < 0 || !CzIsAppend(table->relid))
		return;
	CzRangeBoundTexts(table, last, &min, &max);
	if (max != NULL)
		return;
	CzShardExtremes(table, last, &min, &max);
	if (max == NULL)
		return;
	append->has_open_end = true;
	append->open_max = CzRangeValue(table, max);
}

/* All of it, with the table open; append says where to. */
static void
run(Appending *append, const CzAppendSource *source)
{
	int			i;

	find_open_end(append);
	find_gaps(append, source);
	CzDebugPoint("append-planned");
	for (i = bms_next_member(append->hits, -1); i >= 0; i = bms_next_member(append->hits, i))
		unseal(append->table, i);
	for (i = 0; i < append->ngaps; i++)
		fill_gap(append, &append->gaps[i]);
	CzDebugPoint("append-created");
	if (append->ngaps > 0 || append->hits != NULL)
	{
		insert_rows(append->table->relid, source);
		CzDebugPoint("append-loaded");
		update_statistics(append);
	}
}

/* ---- cz_append_table ------------------------------------------------------ */

/*
 * cz_append_table(table_name regclass, source regclass)
 *		Append the rows of a relation to a range table.  Returns the id of the (first) shard
 *		that was made for it; NULL: there is none.
 */
Datum
cz_append_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	CzAppendSource source;
	Appending	append;

	memset(&append, 0, sizeof(append));
	append.table = CzOpenRangeTable(relid, "cz_append_table()");
	CzAppendSourceHere(&source, PG_GETARG_OID(1), relid);
	run(&append, &source);
	if (append.first_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(append.first_id);
}

/* ---- Citus' functions ------------------------------------------------------ */

/*
 * master_create_empty_shard(relation text)
 *		Reserve an id, and say which workers it is to be on.
 */
Datum
master_create_empty_shard(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	Oid			relid = RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(name)),
										 NoLock, false);
	const CzTable *table = CzOpenRangeTable(relid, "master_create_empty_shard()");
	Oid			argtypes[3] = {INT8OID, OIDOID, NAMEARRAYOID};
	Oid			count_types[1] = {OIDOID};
	Datum		values[3];
	Datum		count_values[1] = {ObjectIdGetDatum(relid)};
	int64		shard_id = CzNextShardId();
	int			npending = (int)
		CzCatalogExec("SELECT FROM cz.pending_shards WHERE relid OPERATOR(pg_catalog.=) $1",
					  1, count_types, count_values, NULL);
	List	   *server_oids = CzPlanRangeShard(table, npending);
	Datum	   *names = palloc(sizeof(Datum) * list_length(server_oids));
	ListCell   *lc;

	foreach(lc, server_oids)
		names[foreach_current_index(lc)] =
			DirectFunctionCall1(namein, CStringGetDatum(CzNodeGet(lfirst_oid(lc))->name));
	values[0] = Int64GetDatum(shard_id);
	values[1] = ObjectIdGetDatum(relid);
	values[2] = PointerGetDatum(construct_array(names, list_length(server_oids), NAMEOID,
												NAMEDATALEN, false, TYPALIGN_CHAR));
	CzCatalogExec("INSERT INTO cz.pending_shards (shard_id, relid, server_names) VALUES ($1, $2, $3)",
				  3, argtypes, values, NULL);
	PG_RETURN_INT64(shard_id);
}

/* Servers that were reserved, those that can still take shards; NIL: none. */
static List *
reserved_servers(ArrayType *names)
{
	List	   *result = NIL;
	List	   *nodes = CzUsableNodes();
	Datum	   *elems;
	ListCell   *lc;
	int			nelems;
	int			i;

	deconstruct_array(names, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &elems, NULL, &nelems);
	for (i = 0; i < nelems; i++)
	{
		foreach(lc, nodes)
		{
			CzNode	   *node = lfirst(lc);

			if (strcmp(node->name, NameStr(*DatumGetName(elems[i]))) == 0)
				result = lappend_oid(result, node->server_oid);
		}
	}
	return list_length(result) == nelems ? result : NIL;
}

/* The table for which an id is reserved, InvalidOid: none. */
static Oid
find_pending(int64 shard_id, List **server_oids)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(shard_id)};
	ArrayType  *names = NULL;
	Oid			relid = InvalidOid;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT relid::pg_catalog.oid, server_names FROM cz.pending_shards"
							  " WHERE shard_id OPERATOR(pg_catalog.=) $1",
							  1, argtypes, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read cz.pending_shards");
	if (SPI_processed == 1)
	{
		bool		isnull;
		MemoryContext old = MemoryContextSwitchTo(context);

		relid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
											   &isnull));
		names = DatumGetArrayTypePCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
													 2, &isnull));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	if (names != NULL && server_oids != NULL)
		*server_oids = reserved_servers(names);
	return relid;
}

/* The range table that has a shard, or for which it is reserved; else an error. */
static Oid
table_of_shard(int64 shard_id)
{
	Oid			relid = find_pending(shard_id, NULL);
	ListCell   *lc;

	foreach(lc, OidIsValid(relid) ? NIL : CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && CzShardIndexOf(table, shard_id) >= 0)
			relid = table->relid;
	}
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("shard " INT64_FORMAT " does not exist", shard_id)));
	return relid;
}

/* How full a shard is: its size by citus.shard_max_size, which is a placeholder here. */
static float4
fill_of(int64 shard_id)
{
	const char *setting = GetConfigOption("citus.shard_max_size", true, false);
	Oid			argtypes[2] = {INT8OID, INT4OID};
	Datum		values[2];
	int			max_kb;
	bool		isnull = true;
	Datum		result = (Datum) 0;

	if (setting == NULL || !parse_int(setting, &max_kb, GUC_UNIT_KB, NULL) || max_kb <= 0)
		max_kb = SHARD_MAX_KB;
	values[0] = Int64GetDatum(shard_id);
	values[1] = Int32GetDatum(max_kb);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT p.shardlength::pg_catalog.float4 OPERATOR(pg_catalog./) (1024::pg_catalog.float4 OPERATOR(pg_catalog.*) $2)"
							  " FROM pg_catalog.pg_dist_shard_placement p"
							  " WHERE p.shardid OPERATOR(pg_catalog.=) $1",
							  2, argtypes, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_dist_shard_placement");
	if (SPI_processed == 1)
		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	SPI_finish();
	if (isnull)
		return 0;
	/* float4 divided by float8 is float8 */
	return (float4) DatumGetFloat8(result);
}

/*
 * master_append_table_to_shard(shard_id bigint, source_table_name text,
 *		source_node_name text, source_node_port int)
 *		Append the rows of a table of the coordinator or of a worker.  A shard that has been
 *		reserved is made of the first of them that no shard takes; one that exists grows into
 *		the gaps beside it; what is left gets shards of its own.
 *
 * Returns: size of the shard by citus.shard_max_size (1 GB if not set).
 */
Datum
master_append_table_to_shard(PG_FUNCTION_ARGS)
{
	int64		shard_id = PG_GETARG_INT64(0);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *host = text_to_cstring(PG_GETARG_TEXT_PP(2));
	int			port = PG_GETARG_INT32(3);
	Oid			relid = table_of_shard(shard_id);
	CzAppendSource source;
	Appending	append;
	CzNode	   *node;

	memset(&append, 0, sizeof(append));
	append.table = CzOpenRangeTable(relid, "master_append_table_to_shard()");
	/* somebody may have been faster */
	if (find_pending(shard_id, &append.pending_oids) == relid)
		append.pending_id = shard_id;
	else if (CzShardIndexOf(append.table, shard_id) >= 0)
		append.target_id = shard_id;
	else
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("shard " INT64_FORMAT " does not exist", shard_id)));

	node = CzNodeFind(host, port, NULL);
	if (node != NULL)
		CzAppendSourceThere(&source, node->server_oid, name, relid);
	else if (port == PostPortNumber)
		CzAppendSourceHere(&source,
						   RangeVarGetRelid(makeRangeVarFromNameList(stringToQualifiedNameList_compat(name)),
											AccessShareLock, false), relid);
	else
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node at \"%s:%d\" does not exist", host, port),
				 errdetail("It is neither a worker nor the coordinator.")));
	run(&append, &source);
	CzAppendSourceEnd(&source);
	if (append.first_id == shard_id)
	{
		Oid			argtypes[1] = {INT8OID};
		Datum		values[1] = {Int64GetDatum(shard_id)};

		(void) CzCatalogExec("DELETE FROM cz.pending_shards WHERE shard_id OPERATOR(pg_catalog.=) $1",
							 1, argtypes, values, NULL);
	}
	CommandCounterIncrement();
	PG_RETURN_FLOAT4(fill_of(shard_id));
}
