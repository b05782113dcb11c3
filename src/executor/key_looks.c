/*-------------------------------------------------------------------------
 *
 * key_looks.c
 *	  Foreign keys that are held here look for many rows by one query.
 *
 * Core's triggers look for each row by itself: for what a new row refers to, and for what
 * refers to one that is deleted.  Each time that is a round trip to a worker.  So the keys'
 * values are kept as rows are written, and when the first of these triggers is to be called,
 * at the statement's end, some thousands of them are looked for at once.  Core is spared
 * where there is nothing to be said: a row has what it refers to (and that is locked, as
 * core would have it), or nothing refers to one that has gone.  Rows that refer to deleted
 * ones by CASCADE or SET NULL go, or change, by one statement, too.  In all other cases,
 * and where a value was not among those that were looked for, core's trigger is called.
 *
 * A row that was found cannot go without a trigger of its own that finds the row which
 * refers to it, for this was written before.  The reverse is not so where keys give rows
 * other values, so UPDATE of what is referred to is left to core, and SET DEFAULT.
 *
 * Triggers are called in the order in which rows were written, so one bunch of values is
 * kept at a time.  Statements run within each other: the values of each are its own.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "cz/transaction.h"
#include "triggers.h"

/* Fewer rows are core's, whose plans are kept. */
#define MIN_VALUES 8
/* Values that are looked for by one query. */
#define MAX_VALUES 5000

/* A key of a relation whose rows are written. */
typedef struct LookKey
{
	Oid			constraint_oid;
	bool		is_referenced;	/* the relation is what is referred to */
	AttrNumber	attno;			/* of the relation's column in it */
	Form_pg_attribute att;
	int16		events;			/* TRIGGER_TYPE_ */
} LookKey;

struct CzKeyLooks
{
	List	   *keys;			/* LookKey * */
};

/* What has been written by one statement. */
typedef struct Look
{
	Oid			constraint_oid;
	bool		is_referenced;
	int			depth;			/* of the statement */
	MemoryContext context;
	TupleDesc	desc;			/* of the value */
	TupleTableSlot *slot;
	Tuplestorestate *store;		/* values that wait */
	int64		nvalues;		/* all that were kept */
	bool		is_started;		/* some have been looked for */
	HTAB	   *bunch;			/* BunchEntry: these */
	MemoryContext bunch_context;
} Look;

/* Values of the same hash. */
typedef struct BunchEntry
{
	uint32		hash;
	List	   *values;			/* BunchValue * */
} BunchEntry;

typedef struct BunchValue
{
	Datum		value;
	bool		is_found;
} BunchValue;

/* Of the transaction; the latest first. */
static List *looks = NIL;

static void
forget(Look *look)
{
	looks = list_delete_ptr(looks, look);
	MemoryContextDelete(look->context);
}

/*
 * CzKeyLooksForget
 *		See triggers.h.
 */
void
CzKeyLooksForget(int depth)
{
	ListCell   *lc;

	foreach(lc, looks)
	{
		Look	   *look = lfirst(lc);

		if (look->depth < depth)
			continue;
		looks = foreach_delete_current(looks, lc);
		tuplestore_end(look->store);
		MemoryContextDelete(look->context);
	}
}

/* Locks on what was found may be gone; of files the resource owner takes care. */
static void
forget_all(void)
{
	while (looks != NIL)
		forget(linitial(looks));
}

static void
xact_callback(XactEvent event, void *arg)
{
	/* in the transaction's context, which goes */
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		looks = NIL;
}

static void
subxact_callback(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget_all();
}

/* ---- which ----------------------------------------------------------------- */

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Can values of one column be looked for in the other one, and be told by their bytes? */
static bool
is_comparable(Form_pg_attribute a, Form_pg_attribute b)
{
	if (a->attcollation != b->attcollation ||
		(OidIsValid(a->attcollation) && !get_collation_isdeterministic(a->attcollation)))
		return false;
	return a->atttypid == b->atttypid || (is_integer(a->atttypid) && is_integer(b->atttypid));
}

/* A key of one column between two tables, one of them distributed. */
static LookKey *
make_key(Relation rel, const Trigger *trigger, bool is_referenced, bool deferred)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(trigger->tgconstraint));
	AttrNumber	attnos[2][INDEX_MAX_KEYS];
	int			own = is_referenced ? 1 : 0;
	int			ncolumns;
	bool		waits;
	Form_pg_constraint con;
	Oid			other_relid;
	const CzTable *other;
	HeapTuple	att;
	LookKey    *key = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	DeconstructFkConstraintRow(tuple, &ncolumns, attnos[0], attnos[1], NULL, NULL, NULL, NULL,
							   NULL);
	con = (Form_pg_constraint) GETSTRUCT(tuple);
	other_relid = is_referenced ? con->conrelid : con->confrelid;
	waits = con->condeferrable && !is_referenced && CzConstraintIsDeferred(con->oid, con->condeferred);
	ReleaseSysCache(tuple);
	other = CzTableGet(other_relid);
	if (ncolumns != 1 || waits != deferred || other == NULL || !CzTableIsDistributed(other))
		return NULL;
	att = SearchSysCache2(ATTNUM, ObjectIdGetDatum(other_relid),
						  Int16GetDatum(attnos[1 - own][0]));
	if (!HeapTupleIsValid(att))
		return NULL;
	if (is_comparable(TupleDescAttr(RelationGetDescr(rel), attnos[own][0] - 1),
					  (Form_pg_attribute) GETSTRUCT(att)))
	{
		key = palloc0(sizeof(LookKey));
		key->constraint_oid = trigger->tgconstraint;
		key->is_referenced = is_referenced;
		key->attno = attnos[own][0];
		key->att = TupleDescAttr(RelationGetDescr(rel), key->attno - 1);
		key->events = trigger->tgtype & (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
										 TRIGGER_TYPE_DELETE);
	}
	ReleaseSysCache(att);
	return key;
}

/* Is a trigger one that looks for other rows, and may be spared? */
static bool
may_be_spared(Oid function, bool *is_referenced)
{
	*is_referenced = RI_FKey_trigger_type(function) == RI_TRIGGER_PK;
	switch (function)
	{
		case F_RI_FKEY_CHECK_INS:
		case F_RI_FKEY_CHECK_UPD:
			return true;
		case F_RI_FKEY_NOACTION_DEL:
		case F_RI_FKEY_RESTRICT_DEL:
		case F_RI_FKEY_CASCADE_DEL:
		case F_RI_FKEY_SETNULL_DEL:
			/* others may have committed rows that refer, which only core would see */
			return !IsolationUsesXactSnapshot();
		default:
			return false;
	}
}

/*
 * CzKeyLooksMake
 *		See triggers.h.
 */
CzKeyLooks *
CzKeyLooksMake(Relation rel, bool deferred)
{
	/* an invalidation, which any look into a catalog may bring, frees the relation's own */
	TriggerDesc *desc = CopyTriggerDesc(rel->trigdesc);
	CzKeyLooks *result = palloc0(sizeof(CzKeyLooks));
	int			i;

	for (i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];
		bool		is_referenced;
		LookKey    *key;

		if (!may_be_spared(trigger->tgfoid, &is_referenced) || !CzKeyTriggerFiresHere(trigger))
			continue;
		key = make_key(rel, trigger, is_referenced, deferred);
		if (key != NULL)
			result->keys = lappend(result->keys, key);
	}
	return result->keys != NIL ? result : NULL;
}

/* ---- what is written --------------------------------------------------------- */

/* The statement's values of a key, to which more can be added. */
static Look *
open_look(const LookKey *key)
{
	static bool is_watching = false;
	MemoryContext context;
	MemoryContext old_context;
	Look	   *look;
	ListCell   *lc;

	foreach(lc, looks)
	{
		look = lfirst(lc);
		if (look->constraint_oid == key->constraint_oid && !look->is_started &&
			look->is_referenced == key->is_referenced && look->depth == CzStatementDepth())
			return look;
	}
	if (!is_watching)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		is_watching = true;
	}
	context = AllocSetContextCreate(TopTransactionContext, "cz key values",
									ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	look = palloc0(sizeof(Look));
	look->context = context;
	look->constraint_oid = key->constraint_oid;
	look->is_referenced = key->is_referenced;
	look->depth = CzStatementDepth();
	look->desc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(look->desc, 1, "value", key->att->atttypid, key->att->atttypmod, 0);
	TupleDescInitEntryCollation(look->desc, 1, key->att->attcollation);
	look->slot = MakeSingleTupleTableSlot(look->desc, &TTSOpsMinimalTuple);
	look->store = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(TopTransactionContext);
	looks = lcons(look, looks);
	MemoryContextSwitchTo(old_context);
	return look;
}

/*
 * CzKeyLooksNote
 *		See triggers.h.
 */
void
CzKeyLooksNote(CzKeyLooks *key_looks, Relation rel, CmdType command, HeapTuple old_tuple,
			   TupleTableSlot *new_slot)
{
	int16		event = command == CMD_INSERT ? TRIGGER_TYPE_INSERT :
		command == CMD_UPDATE ? TRIGGER_TYPE_UPDATE : TRIGGER_TYPE_DELETE;
	TupleDesc	desc = RelationGetDescr(rel);
	ListCell   *lc;

	foreach(lc, key_looks ? key_looks->keys : NIL)
	{
		const LookKey *key = lfirst(lc);
		Datum		value = (Datum) 0;
		bool		isnull = true;
		Datum		old_value = (Datum) 0;
		bool		old_null = true;
		Look	   *look;

		if ((key->events & event) == 0)
			continue;
		if (command != CMD_INSERT)
			old_value = heap_getattr(old_tuple, key->attno, desc, &old_null);
		if (command == CMD_DELETE)
		{
			value = old_value;
			isnull = old_null;
		}
		else
			value = slot_getattr(new_slot, key->attno, &isnull);
		if (isnull || (command == CMD_UPDATE && !old_null &&
					   datum_image_eq(value, old_value, key->att->attbyval, key->att->attlen)))
			continue;
		look = open_look(key);
		tuplestore_putvalues(look->store, look->desc, &value, &isnull);
		look->nvalues++;
	}
}

/* ---- looking ----------------------------------------------------------------- */

static BunchValue *
find_value(Look *look, Datum value)
{
	Form_pg_attribute att = TupleDescAttr(look->desc, 0);
	uint32		hash = datum_image_hash(value, att->attbyval, att->attlen);
	BunchEntry *entry = look->bunch ? hash_search(look->bunch, &hash, HASH_FIND, NULL) : NULL;
	ListCell   *lc;

	foreach(lc, entry ? entry->values : NIL)
	{
		BunchValue *found = lfirst(lc);

		if (datum_image_eq(value, found->value, att->attbyval, att->attlen))
			return found;
	}
	return NULL;
}

static void
add_value(Look *look, Datum value)
{
	Form_pg_attribute att = TupleDescAttr(look->desc, 0);
	MemoryContext old_context = MemoryContextSwitchTo(look->bunch_context);
	uint32		hash = datum_image_hash(value, att->attbyval, att->attlen);
	BunchValue *added = palloc0(sizeof(BunchValue));
	BunchEntry *entry;
	bool		found;

	added->value = datumCopy(value, att->attbyval, att->attlen);
	entry = hash_search(look->bunch, &hash, HASH_ENTER, &found);
	entry->values = found ? lappend(entry->values, added) : list_make1(added);
	MemoryContextSwitchTo(old_context);
}

/* Fill the next bunch with different values; returns them as an array, *nvalues of them. */
static Datum
next_bunch(Look *look, int *nvalues)
{
	Form_pg_attribute att = TupleDescAttr(look->desc, 0);
	Datum	   *values = palloc(sizeof(Datum) * MAX_VALUES);
	HASHCTL		info;
	int			n = 0;

	if (look->bunch_context != NULL)
		MemoryContextDelete(look->bunch_context);
	look->bunch_context = AllocSetContextCreate(look->context, "cz key values looked for",
												ALLOCSET_DEFAULT_SIZES);
	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(uint32);
	info.entrysize = sizeof(BunchEntry);
	info.hcxt = look->bunch_context;
	look->bunch = hash_create("cz key values", 1024, &info, HASH_ELEM | HASH_BLOBS |
							  HASH_CONTEXT);
	while (n < MAX_VALUES && tuplestore_gettupleslot(look->store, true, false, look->slot))
	{
		bool		isnull;
		Datum		value = slot_getattr(look->slot, 1, &isnull);

		if (find_value(look, value) != NULL)
			continue;
		add_value(look, value);
		values[n++] = find_value(look, value)->value;
	}
	*nvalues = n;
	return PointerGetDatum(construct_array(values, n, att->atttypid, att->attlen, att->attbyval,
										   att->attalign));
}

/*
 * What core would ask, or do, for one row, for many.
 *
 * action: the function of a trigger that changes rows; InvalidOid: they are looked for.
 * owner: out, of the other table, on whose behalf that is.
 * Returns: NULL: it can't be said.
 */
static char *
look_sql(Look *look, Oid action, Oid *owner)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(look->constraint_oid));
	AttrNumber	attnos[2][INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];
	Oid			operator;
	Oid			relid;
	const char *column;
	char	   *type;
	int			ncolumns;
	StringInfoData sql;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	DeconstructFkConstraintRow(tuple, &ncolumns, attnos[0], attnos[1], operators, NULL, NULL,
							   NULL, NULL);
	relid = look->is_referenced ? ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid :
		((Form_pg_constraint) GETSTRUCT(tuple))->confrelid;
	ReleaseSysCache(tuple);
	operator = look->is_referenced ? get_commutator(operators[0]) : operators[0];
	if (!OidIsValid(operator))
		return NULL;
	column = quote_identifier(get_attname(relid, attnos[look->is_referenced ? 0 : 1][0], false));
	type = format_type_be_qualified(TupleDescAttr(look->desc, 0)->atttypid);
	*owner = CzRelationOwner(relid);
	initStringInfo(&sql);
	if (action == F_RI_FKEY_CASCADE_DEL)
		appendStringInfo(&sql, "DELETE FROM %s x", CzRelationName(relid));
	else if (action == F_RI_FKEY_SETNULL_DEL)
		appendStringInfo(&sql, "UPDATE %s x SET %s = NULL", CzRelationName(relid), column);
	else
		appendStringInfo(&sql, "SELECT x.%s::%s FROM %s x", column, type,
						 CzRelationName(relid));
	appendStringInfo(&sql, " WHERE x.%s OPERATOR(%s.%s) ANY ($1)", column,
					 quote_identifier(get_namespace_name(get_func_namespace(get_opcode(operator)))),
					 get_opname(operator));
	if (!OidIsValid(action))
		appendStringInfoString(&sql, look->is_referenced ? " GROUP BY 1" :
							   " FOR KEY SHARE OF x");
	return sql.data;
}

/* Run such a query as core does its own: triggers are fired by the statement around it. */
static void
run_query(const char *sql, Oid owner, Oid type, Datum values)
{
	Oid			save_user;
	int			save_context;
	SPIPlanPtr	plan;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(owner, save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	plan = SPI_prepare(sql, 1, &type);
	if (plan == NULL)
		elog(ERROR, "could not plan a query for a foreign key: %s",
			 SPI_result_code_string(SPI_result));
	if (SPI_execute_snapshot(plan, &values, NULL, InvalidSnapshot, InvalidSnapshot, false, false,
							 0) < 0)
		elog(ERROR, "could not run a query for a foreign key");
	SetUserIdAndSecContext(save_user, save_context);
}

/* Look for the next bunch of values; false: there is none. */
static bool
look_for_more(Look *look)
{
	Oid			type = get_array_type(TupleDescAttr(look->desc, 0)->atttypid);
	Oid			owner = InvalidOid;
	Datum		values;
	char	   *sql;
	int			nvalues;
	uint64		i;

	look->is_started = true;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	values = next_bunch(look, &nvalues);
	sql = nvalues > 0 && OidIsValid(type) ? look_sql(look, InvalidOid, &owner) : NULL;
	if (sql == NULL)
	{
		look->bunch = NULL;
		SPI_finish();
		return false;
	}
	run_query(sql, owner, type, values);
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);
		BunchValue *found = isnull ? NULL : find_value(look, value);

		if (found != NULL)
			found->is_found = true;
	}
	SPI_finish();
	return true;
}

/* Do for all rows of the bunch that are referred to what core would do one by one. */
static bool
act_for_bunch(Look *look, Oid action)
{
	Form_pg_attribute att = TupleDescAttr(look->desc, 0);
	Datum	   *values;
	Oid			owner = InvalidOid;
	HASH_SEQ_STATUS scan;
	BunchEntry *entry;
	ListCell   *lc;
	char	   *sql;
	int			n = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	values = palloc(sizeof(Datum) * MAX_VALUES);
	hash_seq_init(&scan, look->bunch);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		foreach(lc, entry->values)
		{
			BunchValue *value = lfirst(lc);

			if (value->is_found)
				values[n++] = value->value;
			value->is_found = false;
		}
	}
	sql = look_sql(look, action, &owner);
	if (sql != NULL)
		run_query(sql, owner, get_array_type(att->atttypid),
				  PointerGetDatum(construct_array(values, n, att->atttypid, att->attlen,
												  att->attbyval, att->attalign)));
	SPI_finish();
	return sql != NULL;
}

/* The value's place in what was written, looked for; NULL: it is not there. */
static BunchValue *
value_in(Look *look, Datum value)
{
	BunchValue *found;

	if (look->nvalues < MIN_VALUES)
		return NULL;
	found = find_value(look, value);
	if (found == NULL && look_for_more(look))
		found = find_value(look, value);
	return found;
}

/*
 * CzKeyLookRow
 *		See triggers.h.
 */
CzKeyLooked
CzKeyLookRow(Oid constraint_oid, Oid function, TupleTableSlot *slot)
{
	bool		is_referenced;
	ListCell   *lc;

	if (looks == NIL || !may_be_spared(function, &is_referenced))
		return CZ_KEY_NOT_LOOKED;
	foreach(lc, looks)
	{
		Look	   *look = lfirst(lc);
		AttrNumber	attnos[2][INDEX_MAX_KEYS];
		HeapTuple	tuple;
		BunchValue *found;
		Datum		value;
		bool		isnull;
		int			ncolumns;

		if (look->constraint_oid != constraint_oid || look->is_referenced != is_referenced ||
			look->depth != CzStatementDepth())
			continue;
		tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));
		if (!HeapTupleIsValid(tuple))
			return CZ_KEY_NOT_LOOKED;
		DeconstructFkConstraintRow(tuple, &ncolumns, attnos[0], attnos[1], NULL, NULL, NULL,
								   NULL, NULL);
		ReleaseSysCache(tuple);
		value = slot_getattr(slot, attnos[is_referenced ? 1 : 0][0], &isnull);
		found = isnull ? NULL : value_in(look, value);
		if (found == NULL)
			return CZ_KEY_NOT_LOOKED;
		if (found->is_found == is_referenced &&
			!(found->is_found &&
			  (function == F_RI_FKEY_CASCADE_DEL || function == F_RI_FKEY_SETNULL_DEL) &&
			  act_for_bunch(look, function)))
			return CZ_KEY_HAS_TO_ACT;
		return CZ_KEY_PASSES;
	}
	return CZ_KEY_NOT_LOOKED;
}
