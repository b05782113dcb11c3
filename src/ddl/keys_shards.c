/*-------------------------------------------------------------------------
 *
 * keys_shards.c
 *	  Foreign keys of shards: their text, and how the workers get them.
 *
 * A shard's key has the name of the table's with the shard's number, for SET CONSTRAINTS
 * means all of a schema that have a name.  It is DEFERRABLE even if the table's is not:
 * only so can a statement of several commands be checked as one.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/transaction.h"
#include "ddl_int.h"

static void
append_columns(StringInfo sql, Oid relid, const AttrNumber *attnos, int n, bool has_period)
{
	int			i;

	appendStringInfoChar(sql, '(');
	for (i = 0; i < n; i++)
		appendStringInfo(sql, "%s%s%s", i > 0 ? ", " : "", has_period && i == n - 1 ? "PERIOD " : "",
						 quote_identifier(get_attname(relid, attnos[i], false)));
	appendStringInfoChar(sql, ')');
}

/* As pg_get_constraintdef() writes it; NULL: it leaves that out. */
static const char *
action_words(char action)
{
	switch (action)
	{
		case FKCONSTR_ACTION_RESTRICT:
			return "RESTRICT";
		case FKCONSTR_ACTION_CASCADE:
			return "CASCADE";
		case FKCONSTR_ACTION_SETNULL:
			return "SET NULL";
		case FKCONSTR_ACTION_SETDEFAULT:
			return "SET DEFAULT";
		default:
			return NULL;
	}
}

/* The shard, or the copy, that shard number index of a table refers to by a key. */
static const CzShard *
referenced_shard(const CzKey *key, int index)
{
	const CzTable *to = CzTableGet(key->to_relid);

	if (to == NULL || (to->kind != CZ_TABLE_REFERENCE && index >= to->nshards))
		elog(ERROR, "foreign key \"%s\" refers to no shard", key->name);
	return &to->shards[to->kind == CZ_TABLE_REFERENCE ? 0 : index];
}

/*
 * CzKeyShardName, CzKeyShardText
 *		See ddl.h.
 */
char *
CzKeyShardName(const CzKey *key, const CzShard *shard)
{
	return CzShardIndexName(key->name, shard->name_id);
}

char *
CzKeyShardText(const CzKey *key, int index)
{
	const CzShard *to = referenced_shard(key, index);
	AttrNumber	key_attno = CzTableGet(key->from_relid)->key_attno;
	StringInfoData sql;

	/*
	 * Before 15 a row that goes from one partition to another was deleted for the keys that
	 * refer to it, and a detached partition lost its keys.
	 */
	if (CzTableGet(key->to_relid)->is_partitioned)
		CzRequireMajor(15, "a foreign key to a partitioned table whose rows may go to another partition");
	if (key->has_period)
		CzRequireMajor(18, "a foreign key with PERIOD");
	initStringInfo(&sql);
	appendStringInfoString(&sql, "FOREIGN KEY ");
	append_columns(&sql, key->from_relid, key->from_attnos, key->ncolumns, key->has_period);
	appendStringInfo(&sql, " REFERENCES %s", to->remote_qualified);
	append_columns(&sql, key->to_relid, key->to_attnos, key->ncolumns, key->has_period);
	if (key->match == FKCONSTR_MATCH_FULL)
		appendStringInfoString(&sql, " MATCH FULL");
	/* what is done for the rows of a reference table is done here */
	if (!to->is_copy && action_words(key->on_update) != NULL &&
		!CzKeyActs(key, key_attno, false))
		appendStringInfo(&sql, " ON UPDATE %s", action_words(key->on_update));
	if (!to->is_copy && action_words(key->on_delete) != NULL && !CzKeyActs(key, key_attno, true))
	{
		appendStringInfo(&sql, " ON DELETE %s", action_words(key->on_delete));
		if (key->nset > 0)
		{
			CzRequireMajor(15, "a foreign key that sets some of its columns");
			appendStringInfoChar(&sql, ' ');
			append_columns(&sql, key->from_relid, key->set_attnos, key->nset, false);
		}
	}
	appendStringInfo(&sql, " DEFERRABLE%s%s", key->is_deferred ? " INITIALLY DEFERRED" : "",
					 key->is_valid ? "" : " NOT VALID");
	return sql.data;
}

static List *
keys_on_shards(List *oids)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, oids)
	{
		if (CzKeyIsOnShards(lfirst_oid(lc)))
			result = lappend(result, CzKeyGet(lfirst_oid(lc)));
	}
	return result;
}

/*
 * CzKeysOnShards, CzTreeKeysOnShards
 *		See ddl.h.
 */
List *
CzKeysOnShards(Oid relid, bool both_ends)
{
	return keys_on_shards(CzForeignKeys(relid, both_ends));
}

List *
CzTreeKeysOnShards(Oid relid, bool both_ends)
{
	return keys_on_shards(CzTreeForeignKeys(relid, both_ends));
}

/*
 * CzKeyShardSql
 *		See ddl.h.
 */
void
CzKeyShardSql(StringInfo sql, const CzKey *key, int index, bool drops)
{
	const CzShard *shard = &CzTableGet(key->from_relid)->shards[index];
	const char *name = quote_identifier(CzKeyShardName(key, shard));

	if (drops)
		appendStringInfo(sql, "ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %s;\n",
						 shard->remote_qualified, name);
	else
		appendStringInfo(sql, "ALTER TABLE %s ADD CONSTRAINT %s %s;\n", shard->remote_qualified,
						 name, CzKeyShardText(key, index));
}

/* What a script for shards is made of. */
typedef struct ShardKeys
{
	const CzTable *table;
	List	   *keys;			/* CzKey * */
} ShardKeys;

static void
make_keys(StringInfo sql, const CzShard *shard, void *arg)
{
	const ShardKeys *what = arg;
	ListCell   *lc;

	foreach(lc, what->keys)
		CzKeyShardSql(sql, lfirst(lc), shard - what->table->shards, false);
}

/*
 * A key joins the distribution columns of two tables, but their rows lie apart: most likely
 * nobody wants that.
 */
static void
note_held_here(const CzKey *key)
{
	const CzTable *from = CzTableGet(key->from_relid);
	const CzTable *to = CzTableGet(key->to_relid);
	char	   *from_name = get_rel_name(key->from_relid);
	char	   *to_name = get_rel_name(key->to_relid);
	int			i;

	if (from == NULL || from->kind != CZ_TABLE_HASH || to == NULL || to->kind != CZ_TABLE_HASH ||
		from->colocation_id == to->colocation_id)
		return;
	for (i = 0; i < key->ncolumns; i++)
	{
		if (key->from_attnos[i] == from->key_attno && key->to_attnos[i] == to->key_attno)
			break;
	}
	if (i == key->ncolumns)
		return;
	ereport(NOTICE,
			(errmsg("foreign key \"%s\" of table \"%s\" is checked on the coordinator",
					key->name, from_name),
			 from->key_type != to->key_type ?
			 errdetail("The distribution columns of \"%s\" and \"%s\" are of types %s and %s.",
					   from_name, to_name, format_type_be(from->key_type),
					   format_type_be(to->key_type)) :
			 errdetail("Tables \"%s\" and \"%s\" are not colocated.", from_name, to_name),
			 from->key_type != to->key_type ?
			 errhint("Give them the same type, with which the tables are colocated.") :
			 errhint("Use alter_distributed_table('%s', colocate_with => '%s') to have the workers check it, which is faster.",
					 from_name, to_name)));
}

/*
 * CzForeignKeysToShards
 *		See ddl.h.
 */
void
CzForeignKeysToShards(Oid relid, List *constraint_oids)
{
	ShardKeys	what;
	ListCell   *lc;

	what.table = CzTableGet(relid);
	what.keys = NIL;
	foreach(lc, constraint_oids)
	{
		CzCheckForeignKey(lfirst_oid(lc));
		if (CzKeyIsOnShards(lfirst_oid(lc)))
			what.keys = lappend(what.keys, CzKeyGet(lfirst_oid(lc)));
		else
		{
			note_held_here(CzKeyGet(lfirst_oid(lc)));
			CzKeyCheckRows(lfirst_oid(lc));
		}
	}
	if (what.keys == NIL)
		return;
	CzRunOnPlacements(what.table, make_keys, &what);
	/* a table knows which of its partitions have keys of their own */
	foreach(lc, what.keys)
	{
		CzInvalidateTable(CzRootOf(((CzKey *) lfirst(lc))->from_relid));
		CzInvalidateTable(CzRootOf(((CzKey *) lfirst(lc))->to_relid));
	}
}

/*
 * CzKeysSettle
 *		See ddl.h.
 */
void
CzKeysSettle(Oid relid)
{
	List	   *relids = NIL;
	List	   *keys = CzTreeKeysOnShards(relid, true);
	ListCell   *lc;
	ListCell   *lk;

	foreach(lk, CzTreeForeignKeys(relid, true))
	{
		if (!CzKeyIsOnShards(lfirst_oid(lk)))
			note_held_here(CzKeyGet(lfirst_oid(lk)));
	}
	foreach(lk, keys)
		relids = list_append_unique_oid(relids, ((CzKey *) lfirst(lk))->from_relid);
	foreach(lc, relids)
	{
		List	   *own = NIL;

		foreach(lk, keys)
		{
			if (((CzKey *) lfirst(lk))->from_relid == lfirst_oid(lc))
				own = lappend_oid(own, ((CzKey *) lfirst(lk))->oid);
		}
		CzForeignKeysToShards(lfirst_oid(lc), own);
	}
	CzKeyActorsSettle();
}
