/*-------------------------------------------------------------------------
 *
 * constraints.c
 *	  When are the constraints of shards checked?
 *
 * Foreign keys are DEFERRABLE on shards, whatever the user has said, and checked at the
 * end of each command there.  A statement of the user's that is several commands on a
 * worker has to be checked once, when all of them have run: from before the first of them
 * the keys concerned are deferred there, and immediate again when the statement ends.
 * That is the bracket.  It belongs to the outermost statement that has opened it.
 *
 * The same for unique and exclusion constraints that are DEFERRABLE, which core checks at
 * the end of the statement.
 *
 * What the user defers himself, by SET CONSTRAINTS, is deferred on workers as well.
 *
 * Both are one thing: which constraints are to be deferred now.  Each connection knows
 * which it has been told; the difference goes with its next write, or at once where
 * something is to be checked.  What was told in a subtransaction that is rolled back the
 * worker has forgotten.  Constraints are always named: on a shard all keys can be deferred,
 * also those that can't be for the user, so SET CONSTRAINTS ALL would be too much.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "transaction_int.h"

/* What SET CONSTRAINTS has said; later ones count. */
typedef struct Setting
{
	Oid			constraint_oid; /* InvalidOid: all */
	bool		is_deferred;
	int			level;			/* nest level that has said it */
} Setting;

/* What a connection has been told of a constraint; in TopTransactionContext. */
typedef struct Told
{
	Oid			constraint_oid;
	bool		is_deferred;
	int			level;			/* nest level that the command belongs to */
} Told;

/* Of the transaction, in TopTransactionContext. */
static List *settings = NIL;	/* Setting */
static List *set_oids = NIL;	/* constraints of shards that they may have changed */

/* The bracket. */
static int	bracket_depth = 0;	/* of the statement that has opened it; 0: none is open */
static int	bracket_level = 0;	/* nest level of that statement */
static List *bracket_relids = NIL;	/* tables whose keys are in it */
static List *bracket_oids = NIL;	/* these keys */

static int	statement_depth = 0;	/* statements that run within each other */
static uint64 version = 1;		/* of all of the above that tells what is deferred */

/* ---- what is to be ---------------------------------------------------------- */

/* A constraint, and those of partitioned tables above that it is a part of. */
static List *
with_parents(Oid constraint_oid)
{
	List	   *result = NIL;

	while (OidIsValid(constraint_oid))
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint_oid));

		result = lappend_oid(result, constraint_oid);
		if (!HeapTupleIsValid(tuple))
			break;
		constraint_oid = ((Form_pg_constraint) GETSTRUCT(tuple))->conparentid;
		ReleaseSysCache(tuple);
	}
	return result;
}

static bool
is_set_deferred(Oid constraint_oid, bool is_initially_deferred)
{
	bool		result = is_initially_deferred;
	List	   *oids = settings != NIL ? with_parents(constraint_oid) : NIL;
	ListCell   *lc;

	foreach(lc, settings)
	{
		const Setting *setting = lfirst(lc);

		if (!OidIsValid(setting->constraint_oid) ||
			list_member_oid(oids, setting->constraint_oid))
			result = setting->is_deferred;
	}
	list_free(oids);
	return result;
}

/*
 * CzConstraintIsDeferred
 *		See transaction.h.
 */
bool
CzConstraintIsDeferred(Oid constraint_oid, bool is_initially_deferred)
{
	return is_set_deferred(constraint_oid, is_initially_deferred);
}

/* Is a constraint one that shards have, and that can be deferred there? */
static bool
is_on_shards(Form_pg_constraint con)
{
	const CzTable *table;

	/* a partition's key is its parent's */
	if (con->contype == CONSTRAINT_FOREIGN && OidIsValid(con->conparentid))
		return false;
	if (con->contype != CONSTRAINT_FOREIGN &&
		!(con->condeferrable && (con->contype == CONSTRAINT_UNIQUE ||
								 con->contype == CONSTRAINT_PRIMARY ||
								 con->contype == CONSTRAINT_EXCLUSION)))
		return false;
	if (!OidIsValid(con->conrelid) ||
		(con->contype == CONSTRAINT_FOREIGN && !CzKeyIsOnShards(con->oid)))
		return false;
	table = CzTableGet(con->conrelid);
	return table != NULL && CzTableIsDistributed(table);
}

/* Append a constraint's names on a worker to a list of names. */
static void
append_names(StringInfo names, Form_pg_constraint con, Oid server_oid)
{
	const CzTable *table = CzTableGet(con->conrelid);
	int			i;
	int			j;

	for (i = 0; i < table->nshards; i++)
	{
		const CzShard *shard = &table->shards[i];

		for (j = 0; j < shard->nplacements; j++)
		{
			if (shard->server_oids[j] == server_oid)
				appendStringInfo(names, "%s%s", names->len > 0 ? ", " : "",
								 quote_qualified_identifier(shard->remote_schema,
															CzShardIndexName(NameStr(con->conname),
																			 shard->name_id)));
		}
	}
}

/* What a connection has been told of a constraint last, or NULL. */
static Told *
find_told(CzTxnEntry *entry, Oid constraint_oid)
{
	int			i;

	for (i = list_length(entry->constraints) - 1; i >= 0; i--)
	{
		Told	   *told = list_nth(entry->constraints, i);

		if (told->constraint_oid == constraint_oid)
			return told;
	}
	return NULL;
}

static void
note_told(CzTxnEntry *entry, Oid constraint_oid, bool is_deferred)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Told	   *told = palloc(sizeof(Told));

	told->constraint_oid = constraint_oid;
	told->is_deferred = is_deferred;
	told->level = CzTxnLevel();
	entry->constraints = lappend(entry->constraints, told);
	MemoryContextSwitchTo(old);
}

/*
 * CzConstraintsPrefix
 *		Append what tells a connection which constraints are deferred now.  It is taken for
 *		told: what fails before it is sent ends the level that it belongs to.
 */
void
CzConstraintsPrefix(CzTxnEntry *entry, StringInfo prefix)
{
	StringInfoData names[2];
	List	   *oids;
	ListCell   *lc;

	if (entry->constraints_version == version ||
		(entry->constraints == NIL && bracket_oids == NIL && set_oids == NIL))
		return;
	initStringInfo(&names[0]);
	initStringInfo(&names[1]);
	oids = list_concat_unique_oid(list_copy(bracket_oids), set_oids);
	foreach(lc, entry->constraints)
		oids = list_append_unique_oid(oids, ((Told *) lfirst(lc))->constraint_oid);
	foreach(lc, oids)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_constraint con;
		const Told *told;
		bool		is_deferred;

		if (!HeapTupleIsValid(tuple))
			continue;			/* dropped since */
		con = (Form_pg_constraint) GETSTRUCT(tuple);
		told = find_told(entry, con->oid);
		is_deferred = list_member_oid(bracket_oids, con->oid) ||
			(con->condeferrable && is_set_deferred(con->oid, con->condeferred));
		if (is_deferred != (told ? told->is_deferred : con->condeferred) && is_on_shards(con))
		{
			append_names(&names[is_deferred ? 1 : 0], con, entry->server_oid);
			note_told(entry, con->oid, is_deferred);
		}
		ReleaseSysCache(tuple);
	}
	if (names[1].len > 0)
		appendStringInfo(prefix, "SET CONSTRAINTS %s DEFERRED; ", names[1].data);
	if (names[0].len > 0)
		appendStringInfo(prefix, "SET CONSTRAINTS %s IMMEDIATE; ", names[0].data);
	entry->constraints_version = version;
	list_free(oids);
	pfree(names[0].data);
	pfree(names[1].data);
}

/* ---- the bracket ------------------------------------------------------------ */

/*
 * CzStatementBegin, CzStatementEnd
 *		See transaction.h.
 */
void
CzStatementBegin(void)
{
	statement_depth++;
}

void
CzStatementEnd(void)
{
	statement_depth--;
}

/*
 * CzStatementDepth
 *		See transaction.h.
 */
int
CzStatementDepth(void)
{
	return statement_depth;
}

/*
 * CzBracketOpen
 *		See transaction.h.
 */
void
CzBracketOpen(Oid relid)
{
	MemoryContext old;
	List	   *relids;
	ListCell   *lc;

	if (statement_depth == 0 || list_member_oid(bracket_relids, relid) ||
		(bracket_depth == 0 && CzTableKeys(relid, CZ_KEYS_FROM | CZ_KEYS_TO) == NIL &&
		 CzDeferrableKeys(relid) == NIL))
		return;
	if (bracket_depth == 0)
	{
		bracket_depth = statement_depth;
		bracket_level = GetCurrentTransactionNestLevel();
	}
	relids = lcons_oid(relid, CzCascadeTables(relid));
	old = MemoryContextSwitchTo(TopTransactionContext);
	foreach(lc, relids)
	{
		List	   *keys;

		if (list_member_oid(bracket_relids, lfirst_oid(lc)))
			continue;
		bracket_relids = lappend_oid(bracket_relids, lfirst_oid(lc));
		keys = CzTableKeys(lfirst_oid(lc), CZ_KEYS_FROM | CZ_KEYS_TO);
		keys = list_concat(keys, CzDeferrableKeys(lfirst_oid(lc)));
		bracket_oids = list_concat_unique_oid(bracket_oids, keys);
		list_free(keys);
	}
	MemoryContextSwitchTo(old);
	list_free(relids);
	version++;
}

/*
 * CzFlushReferenced
 *		See transaction.h.
 */
void
CzFlushReferenced(Oid relid)
{
	if (CzTableKeys(relid, CZ_KEYS_FROM) != NIL)
		CzTxnFlushPending();
}

static void
forget_bracket(void)
{
	bracket_depth = bracket_level = 0;
	bracket_relids = bracket_oids = NIL;
	version++;
}

/*
 * CzBracketClose
 *		See transaction.h.
 */
void
CzBracketClose(void)
{
	if (bracket_depth == 0 || bracket_depth != statement_depth)
		return;
	CzTxnFlushPending();
	forget_bracket();
	CzTxnTellConstraints();
}

/*
 * CzBracketHas
 *		See transaction.h.
 */
bool
CzBracketHas(Oid constraint_oid)
{
	return list_member_oid(bracket_oids, constraint_oid);
}

/* ---- SET CONSTRAINTS ---------------------------------------------------------- */

/* All constraints of shards that the user may defer. */
static void
note_all_set(void)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		if (con->condeferrable && is_on_shards(con))
			set_oids = list_append_unique_oid(set_oids, con->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/*
 * CzConstraintSet, CzConstraintsTell
 *		See transaction.h.
 */
void
CzConstraintSet(Oid constraint_oid, bool deferred)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Setting    *setting = palloc(sizeof(Setting));

	setting->constraint_oid = constraint_oid;
	setting->is_deferred = deferred;
	setting->level = GetCurrentTransactionNestLevel();
	settings = lappend(settings, setting);
	if (!OidIsValid(constraint_oid))
		note_all_set();
	else
		set_oids = list_append_unique_oid(set_oids, constraint_oid);
	MemoryContextSwitchTo(old);
	version++;
}

/* ---- the commit --------------------------------------------------------------- */

/* Is a constraint of shards INITIALLY DEFERRED?  Looked for when the catalog has changed. */
static bool has_initially_deferred = false;
static bool is_known = false;

static void
constraints_changed(Datum arg, int cache_id, uint32 hash_value)
{
	is_known = false;
}

/*
 * CzConstraintsMayWait
 *		May a constraint of shards be deferred until the commit?
 */
bool
CzConstraintsMayWait(void)
{
	static bool is_watching = false;
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	foreach(lc, settings)
	{
		if (((Setting *) lfirst(lc))->is_deferred)
			return true;
	}
	if (!is_watching)
		CacheRegisterSyscacheCallback(CONSTROID, constraints_changed, (Datum) 0);
	is_watching = true;
	if (is_known)
		return has_initially_deferred;

	/* what changes meanwhile is looked at again */
	is_known = true;
	has_initially_deferred = false;
	catalog = table_open(ConstraintRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (!has_initially_deferred && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		has_initially_deferred = con->condeferred && is_on_shards(con);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return has_initially_deferred;
}

/* ---- the end ------------------------------------------------------------------ */

/*
 * CzConstraintsSubEnd
 *		A subtransaction has ended.
 */
void
CzConstraintsSubEnd(int level, bool is_commit)
{
	ListCell   *lc;
	ListCell   *lt;

	/* a statement that fails can't close it */
	if (!is_commit && bracket_depth > 0 && bracket_level >= level)
		forget_bracket();
	foreach(lc, settings)
	{
		Setting    *setting = lfirst(lc);

		if (setting->level < level)
			continue;
		if (is_commit)
			setting->level = level - 1;
		else
		{
			settings = foreach_delete_current(settings, lc);
			version++;
		}
	}
	foreach(lc, cz_txn_entries)
	{
		CzTxnEntry *entry = lfirst(lc);

		foreach(lt, entry->constraints)
		{
			Told	   *told = lfirst(lt);

			if (told->level < level)
				continue;
			if (is_commit)
				told->level = level - 1;
			else
			{
				entry->constraints = foreach_delete_current(entry->constraints, lt);
				entry->constraints_version = 0;
			}
		}
	}
}

/*
 * CzConstraintsForget
 *		The transaction has ended.
 */
void
CzConstraintsForget(void)
{
	settings = set_oids = NIL;
	forget_bracket();
}
