/*-------------------------------------------------------------------------
 *
 * diff.c
 *	  What has become of a table, told to its shards: from two images of it (image.c)
 *	  the commands that make a shard that looks like the first look like the second.
 *
 * Objects are matched by name, never by OID: a change of a column's type makes its
 * indexes and constraints anew, here as on the workers, which need not be told.
 * Defaults, identity, triggers, policies, privileges and comments are no part of an
 * image: they are the coordinator's.
 *
 * A shard gets one ALTER TABLE with all that can be in one, so that there is one
 * rewrite; before it the indexes that go, after it those that come.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/toast_compression.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/errors.h"
#include "cz/settings.h"
#include "ddl_int.h"

/* One command for a shard; names of indexes become those of the shard. */
typedef enum OpKind
{
	OP_DROP_INDEX,				/* name */
	OP_SUBCOMMAND,				/* text, within the ALTER TABLE */
	OP_DROP_KEY,				/* name; within it */
	OP_VALIDATE_KEY,			/* name: a foreign key */
	OP_ALTER_KEY,				/* name, text: ALTER CONSTRAINT */
	OP_RENAME_KEY,				/* name, name2 */
	OP_RENAME_INDEX,			/* name, name2 */
	OP_USING_INDEX,				/* index: a constraint now, of what was index name2 */
	OP_TABLE,					/* text: an ALTER TABLE of its own, after */
	OP_CREATE_INDEX,			/* index */
	OP_INDEX,					/* name, text: ALTER INDEX */
	OP_OF_INDEX					/* text, name: ALTER TABLE ... CLUSTER ON name */
} OpKind;

typedef struct Op
{
	OpKind		kind;
	char	   *name;
	char	   *name2;
	char	   *text;
	const CzObjectImage *index;
} Op;

static void
add_op(CzOps *ops, OpKind kind, char *name, char *text)
{
	Op		   *op = palloc0(sizeof(Op));

	op->kind = kind;
	op->name = name;
	op->text = text;
	ops->list = lappend(ops->list, op);
}

static char *
type_sql(const CzColumnImage *column)
{
	char	   *type = CzTypeSql(column->type, column->typmod);

	if (OidIsValid(column->collation) && column->collation != get_typcollation(column->type))
		type = psprintf("%s COLLATE %s", type, CzCollationSql(column->collation));
	return type;
}

static const char *
storage_name(char storage)
{
	switch (storage)
	{
		case TYPSTORAGE_PLAIN:
			return "PLAIN";
		case TYPSTORAGE_EXTERNAL:
			return "EXTERNAL";
		case TYPSTORAGE_MAIN:
			return "MAIN";
		default:
			return "EXTENDED";
	}
}

static const DefElem *
find_def(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return lfirst_node(DefElem, lc);
	}
	return NULL;
}

static const char *
option_name(const char *name)
{
	return strncmp(name, "toast.", 6) == 0 ?
		psprintf("toast.%s", quote_identifier(name + 6)) : quote_identifier(name);
}

/*
 * CzIsInternalOption
 *		See ddl_int.h.
 */
bool
CzIsInternalOption(const char *name)
{
	return strncmp(name, CZ_VERSION_OPTION, strlen(name)) == 0 &&
		strlen(name) + 1 == strlen(CZ_VERSION_OPTION);
}

/* "SET (...)" and "RESET (...)" that make one list of options the other; NULL: nothing. */
static void
diff_options(Datum before, Datum after, char **set, char **reset)
{
	List	   *a = before ? untransformRelOptions(before) : NIL;
	List	   *b = after ? untransformRelOptions(after) : NIL;
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, b)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const DefElem *old = find_def(a, def->defname);

		if (CzIsInternalOption(def->defname))
			continue;
		if (old && strcmp(defGetString((DefElem *) old), defGetString(def)) == 0)
			continue;
		CzRequireOption(def->defname);
		appendStringInfo(&text, "%s%s = %s", text.len > 0 ? ", " : "SET (",
						 option_name(def->defname), quote_literal_cstr(defGetString(def)));
	}
	*set = text.len > 0 ? psprintf("%s)", text.data) : NULL;
	resetStringInfo(&text);
	foreach(lc, a)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (find_def(b, def->defname) == NULL && !CzIsInternalOption(def->defname))
			appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "RESET (",
							 option_name(def->defname));
	}
	*reset = text.len > 0 ? psprintf("%s)", text.data) : NULL;
}

static void
diff_column_options(CzOps *ops, const char *alter, Datum before, Datum after)
{
	char	   *set;
	char	   *reset;

	diff_options(before, after, &set, &reset);
	if (set)
		add_op(ops, OP_SUBCOMMAND, NULL, psprintf("%s %s", alter, set));
	if (reset)
		add_op(ops, OP_SUBCOMMAND, NULL, psprintf("%s %s", alter, reset));
}

static bool
has_type_changed(const CzColumnImage *a, const CzColumnImage *b)
{
	return a->type != b->type || a->typmod != b->typmod || a->collation != b->collation;
}

/* What stays the same column. */
static void
diff_column(CzOps *ops, const CzColumnImage *a, const CzColumnImage *b, const CzAlterHints *hints)
{
	const char *name = quote_identifier(b->name);
	char	   *alter = psprintf("ALTER COLUMN %s", name);
	bool		is_other_type = has_type_changed(a, b);
	const char *using = hints ? CzUsingOf(hints, b->name) : NULL;

	if (a->generated && !b->generated)
		add_op(ops, OP_SUBCOMMAND, NULL, psprintf("%s DROP EXPRESSION", alter));
	if (b->generated && hints && list_member(hints->expressions, makeString(b->name)))
	{
		ops->has_new = true;
		ops->without_checks |= b->generated != ATTRIBUTE_GENERATED_STORED;
		add_op(ops, OP_SUBCOMMAND, NULL, psprintf("%s SET EXPRESSION AS (%s)", alter, b->expression));
	}
	if (hints && hints->is_rewritten)
		/* the shard has no rows; the worker need not know how one becomes the other */
		using = is_other_type ? psprintf("NULL::%s", type_sql(b)) : NULL;
	if (is_other_type || using)
		add_op(ops, OP_SUBCOMMAND, NULL,
			   psprintf("%s TYPE %s%s%s", alter, type_sql(b), using ? " USING " : "",
						using ? using : ""));
	if (b->is_not_valid && !a->is_not_valid)
		CzRequireMajor(18, "a NOT NULL constraint that is NOT VALID");
	if (b->is_not_valid && !a->is_not_null)
		add_op(ops, OP_SUBCOMMAND, NULL, psprintf("ADD NOT NULL %s NOT VALID", name));
	else if (a->is_not_null != b->is_not_null || (a->is_not_valid && !b->is_not_valid))
		add_op(ops, OP_SUBCOMMAND, NULL,
			   psprintf("%s %s NOT NULL", alter, b->is_not_null ? "SET" : "DROP"));
	/* a new type brings its own storage, there too */
	if (b->storage != (is_other_type ? get_typstorage(b->type) : a->storage))
		add_op(ops, OP_SUBCOMMAND, NULL,
			   psprintf("%s SET STORAGE %s", alter, storage_name(b->storage)));
	if (a->compression != b->compression &&
		(CompressionMethodIsValid(b->compression) || !is_other_type))
		add_op(ops, OP_SUBCOMMAND, NULL,
			   psprintf("%s SET COMPRESSION %s", alter,
						CompressionMethodIsValid(b->compression) ?
						GetCompressionMethodName(b->compression) : "DEFAULT"));
	if (a->statistics != b->statistics)
		add_op(ops, OP_SUBCOMMAND, NULL,
			   psprintf("%s SET STATISTICS %d", alter, b->statistics));
	diff_column_options(ops, alter, a->options, b->options);
}

static void
add_column(CzOps *ops, Relation rel, const CzColumnImage *b, AttrNumber attno,
		   const CzAlterHints *hints)
{
	const char *name = quote_identifier(b->name);
	const char *value = hints ? CzNewValueOf(hints, b->name) : NULL;
	char	   *alter = psprintf("ALTER COLUMN %s", name);
	char	   *set;
	char	   *reset;

	ops->has_new |= true;
	add_op(ops, OP_SUBCOMMAND, NULL,
		   psprintf("ADD COLUMN %s%s%s", CzColumnSql(rel, attno), value ? " DEFAULT " : "",
					value ? value : ""));
	if (value)
		add_op(ops, OP_TABLE, NULL, psprintf("%s DROP DEFAULT", alter));
	if (b->is_not_valid)
		add_op(ops, OP_TABLE, NULL, psprintf("ADD NOT NULL %s NOT VALID", name));
	if (b->statistics >= 0)
		add_op(ops, OP_TABLE, NULL, psprintf("%s SET STATISTICS %d", alter, b->statistics));
	diff_options((Datum) 0, b->options, &set, &reset);
	if (set)
		add_op(ops, OP_TABLE, NULL, psprintf("%s %s", alter, set));
	if (b->storage != get_typstorage(b->type))
		add_op(ops, OP_TABLE, NULL,
			   psprintf("%s SET STORAGE %s", alter, storage_name(b->storage)));
}

/* Columns.  Returns whether one has another type now. */
static bool
diff_columns(CzOps *ops, const CzImage *before, const CzImage *after, const CzAlterHints *hints)
{
	Relation	rel = table_open(after->relid, NoLock);
	bool		types = false;
	int			i;

	for (i = 0; i < before->ncolumns; i++)
	{
		const CzColumnImage *a = &before->columns[i];
		const CzColumnImage *b = &after->columns[i];

		if (a->is_dropped)
			continue;
		if (b->is_dropped)
			add_op(ops, OP_SUBCOMMAND, NULL,
				   psprintf("DROP COLUMN IF EXISTS %s CASCADE", quote_identifier(a->name)));
		else
		{
			types |= has_type_changed(a, b);
			diff_column(ops, a, b, hints);
		}
	}
	for (; i < after->ncolumns; i++)
	{
		if (!after->columns[i].is_dropped)
			add_column(ops, rel, &after->columns[i], i + 1, hints);
	}
	table_close(rel, NoLock);
	ops->has_new |= types;
	return types;
}

static const CzObjectImage *
find_object(List *objects, const char *name)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		const CzObjectImage *object = lfirst(lc);

		if (strcmp(object->name, name) == 0)
			return object;
	}
	return NULL;
}

/*
 * CzHasObject
 *		See ddl_int.h.
 */
bool
CzHasObject(const List *objects, Oid oid)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		if (((const CzObjectImage *) lfirst(lc))->oid == oid)
			return true;
	}
	return false;
}

/* Has an index or CHECK gone because one of its columns has? */
static bool
has_lost_column(const CzObjectImage *a, const CzImage *before, const CzImage *after)
{
	int			i;

	for (i = 0; i < before->ncolumns; i++)
	{
		if (!before->columns[i].is_dropped && after->columns[i].is_dropped &&
			bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, a->columns))
			return true;
	}
	return false;
}

/* An invalid index that core has built again: not all shards may have had it. */
static bool
is_mended(const CzObjectImage *a, const CzObjectImage *b)
{
	return a != NULL && b != NULL && !a->is_valid && b->is_valid && !b->index->is_constraint;
}

/* Is what has this name now another object than before? */
static bool
is_replaced(const CzObjectImage *a, const CzObjectImage *b, const CzImage *before,
			const CzImage *after, bool types, const CzAlterHints *hints)
{
	if (a->oid == b->oid)
		return false;
	if (hints && CzIsDroppedByName(hints, a->name))
		return true;
	/* it has become a constraint of another name, or went with a column */
	if (CzHasObject(after->indexes, a->oid) || has_lost_column(a, before, after))
		return true;
	/* core has made it again for a column's new type, and so will the workers */
	return !types;
}

static void
diff_checks(CzOps *ops, const CzImage *before, const CzImage *after, bool types,
			const CzAlterHints *hints)
{
	ListCell   *lc;

	foreach(lc, before->checks)
	{
		const CzObjectImage *a = lfirst(lc);
		const CzObjectImage *b = find_object(after->checks, a->name);

		if (b == NULL || is_replaced(a, b, before, after, types, hints))
			add_op(ops, OP_SUBCOMMAND, NULL,
				   psprintf("DROP CONSTRAINT IF EXISTS %s", quote_identifier(a->name)));
		else if (!a->is_valid && b->is_valid)
			add_op(ops, OP_SUBCOMMAND, NULL,
				   psprintf("VALIDATE CONSTRAINT %s", quote_identifier(b->name)));
	}
	foreach(lc, after->checks)
	{
		const CzObjectImage *b = lfirst(lc);
		const CzObjectImage *a = find_object(before->checks, b->name);

		if (a != NULL && !is_replaced(a, b, before, after, types, hints))
			continue;
		ops->has_new = true;
		add_op(ops, OP_SUBCOMMAND, NULL,
			   psprintf("ADD CONSTRAINT %s %s", quote_identifier(b->name), b->text));
	}
}

/* An index that had another name before, and has become a constraint's. */
static const CzObjectImage *
find_former(const CzImage *before, const CzImage *after, const CzObjectImage *b)
{
	ListCell   *lc;

	foreach(lc, before->indexes)
	{
		const CzObjectImage *a = lfirst(lc);

		if (a->oid == b->oid && (strcmp(a->name, b->name) != 0 ||
								 a->index->is_constraint != b->index->is_constraint))
			return a;
	}
	return NULL;
}

/* Statistics targets of an index' parts; both lists are in order of parts. */
static void
diff_index_parts(CzOps *ops, const CzObjectImage *a, const CzObjectImage *b)
{
	ListCell   *lc;
	char	   *set;
	char	   *reset;

	foreach(lc, a->index->alters)
	{
		int			part;

		if (!CzListHasString(b->index->alters, lfirst(lc)) &&
			sscanf((char *) lfirst(lc), "ALTER COLUMN %d", &part) == 1)
			add_op(ops, OP_INDEX, b->name, psprintf("ALTER COLUMN %d SET STATISTICS -1", part));
	}
	foreach(lc, b->index->alters)
	{
		if (!CzListHasString(a->index->alters, lfirst(lc)) &&
			strncmp((char *) lfirst(lc), "ALTER COLUMN", 12) == 0)
			add_op(ops, OP_INDEX, b->name, (char *) lfirst(lc));
	}
	diff_options(a->options, b->options, &set, &reset);
	if (set)
		add_op(ops, OP_INDEX, b->name, set);
	if (reset)
		add_op(ops, OP_INDEX, b->name, reset);
}

static void
drop_index(CzOps *ops, const CzObjectImage *a)
{
	add_op(ops, a->index->is_constraint ? OP_DROP_KEY : OP_DROP_INDEX, a->name, NULL);
}

static void
diff_indexes(CzOps *ops, const CzImage *before, const CzImage *after, bool types,
			 const CzAlterHints *hints)
{
	ListCell   *lc;

	foreach(lc, before->indexes)
	{
		const CzObjectImage *a = lfirst(lc);
		const CzObjectImage *b = find_object(after->indexes, a->name);

		if (is_mended(a, b))
		{
			drop_index(ops, a);
			continue;
		}
		if (CzHasObject(after->indexes, a->oid))
			continue;
		if (b == NULL || is_replaced(a, b, before, after, types, hints))
			drop_index(ops, a);
	}
	/* their old names may be those of new ones */
	foreach(lc, after->indexes)
	{
		const CzObjectImage *b = lfirst(lc);
		const CzObjectImage *a = find_former(before, after, b);

		if (a == NULL)
			continue;
		add_op(ops, OP_USING_INDEX, b->name, NULL);
		((Op *) llast(ops->list))->name2 = a->name;
		((Op *) llast(ops->list))->index = b;
	}
	foreach(lc, after->indexes)
	{
		const CzObjectImage *b = lfirst(lc);
		const CzObjectImage *a = find_object(before->indexes, b->name);

		if (find_former(before, after, b) != NULL)
			continue;
		if (a != NULL && !is_mended(a, b) && !is_replaced(a, b, before, after, types, hints))
		{
			if (a->oid == b->oid)
				diff_index_parts(ops, a, b);
			continue;
		}
		ops->has_new = true;
		add_op(ops, OP_CREATE_INDEX, b->name, NULL);
		((Op *) llast(ops->list))->index = b;
	}
}

/* Foreign keys that have gone or are otherwise; new ones come afterwards (keys_shards.c). */
static void
diff_foreign_keys(CzOps *ops, const CzImage *before, const CzImage *after, bool types,
				  const CzAlterHints *hints)
{
	ListCell   *lc;

	foreach(lc, before->foreign_keys)
	{
		const CzObjectImage *a = lfirst(lc);
		const CzObjectImage *b = find_object(after->foreign_keys, a->name);

		if (a->is_kept_here)
			continue;
		if (b == NULL || is_replaced(a, b, before, after, types, hints))
		{
			add_op(ops, OP_DROP_KEY, a->name, NULL);
			continue;
		}
		if (a->is_deferred != b->is_deferred)
			add_op(ops, OP_ALTER_KEY, b->name,
				   b->is_deferred ? "DEFERRABLE INITIALLY DEFERRED" :
				   "DEFERRABLE INITIALLY IMMEDIATE");
		if (!a->is_valid && b->is_valid)
			add_op(ops, OP_VALIDATE_KEY, b->name, NULL);
	}
}

/*
 * CzNewForeignKeys
 *		See ddl_int.h.
 */
List *
CzNewForeignKeys(const CzImage *before, const CzImage *after, const CzAlterHints *hints)
{
	List	   *result = NIL;
	bool		types = false;
	ListCell   *lc;
	int			i;

	for (i = 0; i < before->ncolumns; i++)
		types |= !before->columns[i].is_dropped && !after->columns[i].is_dropped &&
			has_type_changed(&before->columns[i], &after->columns[i]);
	foreach(lc, after->foreign_keys)
	{
		const CzObjectImage *b = lfirst(lc);
		const CzObjectImage *a = find_object(before->foreign_keys, b->name);

		/* rows of one that is held here are looked at also when it is validated, or made again */
		if (a == NULL || is_replaced(a, b, before, after, types, hints) ||
			(b->is_kept_here && b->is_valid && (!a->is_valid || a->oid != b->oid)))
			result = lappend_oid(result, b->oid);
	}
	/* in the order in which core has made them: so they are checked */
	list_sort(result, list_oid_cmp);
	return result;
}

/* CLUSTER ON and REPLICA IDENTITY */
static void
diff_roles(CzOps *ops, const CzImage *before, const CzImage *after)
{
	const char *clustered[2] = {NULL, NULL};
	char	   *identity[2] = {NULL, NULL};
	const CzImage *images[2] = {before, after};
	ListCell   *lc;
	int			i;

	for (i = 0; i < 2; i++)
	{
		foreach(lc, images[i]->indexes)
		{
			const CzObjectImage *index = lfirst(lc);

			if (index->is_clustered)
				clustered[i] = index->name;
			if (index->is_identity)
				identity[i] = index->name;
		}
	}
	if (clustered[1] && (!clustered[0] || strcmp(clustered[0], clustered[1]) != 0))
		add_op(ops, OP_OF_INDEX, (char *) clustered[1], "CLUSTER ON");
	else if (clustered[0] && !clustered[1] && find_object(after->indexes, clustered[0]))
		add_op(ops, OP_TABLE, NULL, "SET WITHOUT CLUSTER");

	switch (after->replica_identity)
	{
		case REPLICA_IDENTITY_INDEX:
			if (identity[1] && (before->replica_identity != REPLICA_IDENTITY_INDEX ||
								!identity[0] || strcmp(identity[0], identity[1]) != 0))
				add_op(ops, OP_OF_INDEX, identity[1], "REPLICA IDENTITY USING INDEX");
			break;
		default:
			if (before->replica_identity != after->replica_identity)
				add_op(ops, OP_TABLE, NULL,
					   after->replica_identity == REPLICA_IDENTITY_FULL ?
					   "REPLICA IDENTITY FULL" :
					   after->replica_identity == REPLICA_IDENTITY_NOTHING ?
					   "REPLICA IDENTITY NOTHING" : "REPLICA IDENTITY DEFAULT");
			break;
	}
}

/*
 * CzDiff
 *		The commands for every shard; NULL: nothing to do.
 *
 * hints: what only the statement says, or NULL.
 */
CzOps *
CzDiff(const CzImage *before, const CzImage *after, const CzAlterHints *hints)
{
	CzOps	   *ops = palloc0(sizeof(CzOps));
	int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	char	   *set;
	char	   *reset;
	bool		types;

	types = diff_columns(ops, before, after, hints);
	diff_checks(ops, before, after, types, hints);
	/* those of a reference table are the coordinator's */
	if (get_rel_relkind(after->relid) == RELKIND_PARTITIONED_TABLE)
		diff_foreign_keys(ops, before, after, types, hints);
	diff_indexes(ops, before, after, types, hints);
	diff_options(before->options, after->options, &set, &reset);
	if (set)
		add_op(ops, OP_SUBCOMMAND, NULL, set);
	if (reset)
		add_op(ops, OP_SUBCOMMAND, NULL, reset);
	/* shards with several placements are logged, whatever their table is */
	if (before->persistence != after->persistence &&
		(after->persistence != RELPERSISTENCE_UNLOGGED ||
		 !CzTableIsReplicated(CzTableGet(after->relid))))
		add_op(ops, OP_SUBCOMMAND, NULL,
			   after->persistence == RELPERSISTENCE_UNLOGGED ? "SET UNLOGGED" : "SET LOGGED");
	diff_roles(ops, before, after);
	CzUnpinTextSettings(nestlevel);
	ops->has_types = types;
	ops->is_only = hints && hints->is_only;
	return ops->list != NIL ? ops : NULL;
}

/*
 * CzOpsLeaveOutIndex
 *		See ddl_int.h.
 */
void
CzOpsLeaveOutIndex(CzOps *ops, const char *name)
{
	ListCell   *lc;

	foreach(lc, ops->list)
	{
		const Op   *op = lfirst(lc);

		if (op->kind == OP_CREATE_INDEX && strcmp(op->name, name) == 0)
			ops->list = foreach_delete_current(ops->list, lc);
	}
}

/*
 * CzOpsRename
 *		RENAME of a column or a CHECK (what: "COLUMN", "CONSTRAINT"), whose name is the
 *		same on the shards.
 */
CzOps *
CzOpsRename(const char *what, const char *old_name, const char *new_name)
{
	CzOps	   *ops = palloc0(sizeof(CzOps));

	add_op(ops, OP_TABLE, NULL,
		   psprintf("RENAME %s %s TO %s", what, quote_identifier(old_name),
					quote_identifier(new_name)));
	return ops;
}

/*
 * CzOpsRenameIndex
 *		RENAME of an index, or of a key and its index.
 */
CzOps *
CzOpsRenameIndex(bool is_key, char *old_name, char *new_name)
{
	CzOps	   *ops = palloc0(sizeof(CzOps));

	add_op(ops, is_key ? OP_RENAME_KEY : OP_RENAME_INDEX, old_name, NULL);
	((Op *) llast(ops->list))->name2 = new_name;
	return ops;
}

/*
 * CzOpsTable
 *		The same text for each shard: "ALTER TABLE <shard> text".
 */
CzOps *
CzOpsTable(char *text)
{
	CzOps	   *ops = palloc0(sizeof(CzOps));

	add_op(ops, OP_TABLE, NULL, text);
	return ops;
}

static char *
index_name(const CzShard *shard, const char *name)
{
	return (char *) quote_identifier(CzShardIndexName(name, shard->name_id));
}

/* A command within the ALTER TABLE, or NULL. */
static char *
subcommand(const Op *op, const CzShard *shard)
{
	switch (op->kind)
	{
		case OP_SUBCOMMAND:
			return op->text;
		case OP_DROP_KEY:
			return psprintf("DROP CONSTRAINT IF EXISTS %s CASCADE", index_name(shard, op->name));
		default:
			return NULL;
	}
}

/* Indexes that go, but for those of constraints. */
static void
drop_indexes_script(StringInfo sql, const CzShard *shard, const CzOps *ops)
{
	ListCell   *lc;

	foreach(lc, ops->list)
	{
		const Op   *op = lfirst(lc);

		if (op->kind == OP_DROP_INDEX)
			appendStringInfo(sql, "DROP INDEX IF EXISTS %s CASCADE;\n",
							 CzQualifiedIndex(shard, op->name));
	}
}

/* An ALTER TABLE of a shard that may not have the CHECKs meanwhile that are ours alone. */
static void
without_checks_script(StringInfo sql, const CzShard *shard, const char *alter)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfo(&body, "DECLARE own text; BEGIN "
					 "SELECT string_agg(format(', DROP CONSTRAINT %%1$I, ADD CONSTRAINT %%1$I %%2$s', conname, pg_get_constraintdef(oid)), '') INTO own "
					 "FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'c' AND conname IN ('" CZ_SHARD_CONSTRAINT "', '" CZ_SEAL_CONSTRAINT "'); "
					 "EXECUTE %s || coalesce(own, ''); END",
					 quote_literal_cstr(shard->remote_qualified), quote_literal_cstr(alter));
	appendStringInfo(sql, "DO LANGUAGE plpgsql %s;\n", quote_literal_cstr(body.data));
}

/* What goes, what can be in one ALTER TABLE, what needs one of its own. */
static void
table_script(StringInfo sql, const CzShard *shard, const CzOps *ops)
{
	StringInfoData alter;
	ListCell   *lc;

	drop_indexes_script(sql, shard, ops);
	initStringInfo(&alter);
	foreach(lc, ops->list)
	{
		char	   *text = subcommand(lfirst(lc), shard);

		if (text != NULL)
			appendStringInfo(&alter, "%s %s", alter.len > 0 ? "," : "", text);
	}
	if (alter.len > 0)
	{
		char	   *text = psprintf("ALTER TABLE %s%s%s", ops->is_only ? "ONLY " : "",
									shard->remote_qualified, alter.data);

		if (ops->without_checks)
			without_checks_script(sql, shard, text);
		else
			appendStringInfo(sql, "%s;\n", text);
	}
	foreach(lc, ops->list)
	{
		const Op   *op = lfirst(lc);

		if (op->kind == OP_TABLE)
			appendStringInfo(sql, "ALTER TABLE %s %s;\n", shard->remote_qualified, op->text);
	}
}

/* What comes or changes of indexes. */
static void
index_script(StringInfo sql, const CzShard *shard, const CzOps *ops)
{
	ListCell   *lc;

	foreach(lc, ops->list)
	{
		const Op   *op = lfirst(lc);

		switch (op->kind)
		{
			case OP_USING_INDEX:
				appendStringInfo(sql, "ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s%s;\n",
								 shard->remote_qualified, index_name(shard, op->name),
								 op->index->is_primary ? "PRIMARY KEY" : "UNIQUE",
								 index_name(shard, op->name2),
								 op->index->is_deferrable ? " DEFERRABLE" : "",
								 op->index->is_deferred ? " INITIALLY DEFERRED" : "");
				break;
			case OP_RENAME_KEY:
				appendStringInfo(sql, "ALTER TABLE %s RENAME CONSTRAINT %s TO %s;\n",
								 shard->remote_qualified, index_name(shard, op->name),
								 index_name(shard, op->name2));
				break;
			case OP_RENAME_INDEX:
				/* one that is invalid not all have */
				appendStringInfo(sql, "ALTER INDEX IF EXISTS %s RENAME TO %s;\n",
								 CzQualifiedIndex(shard, op->name),
								 index_name(shard, op->name2));
				break;
			case OP_CREATE_INDEX:
				CzShardIndexSql(sql, op->index->index, shard);
				break;
			case OP_INDEX:
				appendStringInfo(sql, "ALTER INDEX IF EXISTS %s %s;\n",
								 CzQualifiedIndex(shard, op->name),
								 op->text);
				break;
			case OP_OF_INDEX:
				appendStringInfo(sql, "ALTER TABLE %s %s %s;\n", shard->remote_qualified,
								 op->text, index_name(shard, op->name));
				break;
			case OP_ALTER_KEY:
				appendStringInfo(sql, "ALTER TABLE %s ALTER CONSTRAINT %s %s;\n",
								 shard->remote_qualified, index_name(shard, op->name), op->text);
				break;
			case OP_VALIDATE_KEY:
				appendStringInfo(sql, "ALTER TABLE %s VALIDATE CONSTRAINT %s;\n",
								 shard->remote_qualified, index_name(shard, op->name));
				break;
			default:
				break;
		}
	}
}

/*
 * CzOpsScript, CzOpsScriptPart
 *		The commands for one shard, each with its semicolon.
 */
void
CzOpsScript(StringInfo sql, const CzShard *shard, void *ops)
{
	table_script(sql, shard, ops);
	index_script(sql, shard, ops);
}

void
CzOpsScriptPart(StringInfo sql, const CzShard *shard, const CzOps *ops, CzOpsPart part)
{
	ListCell   *lc;

	switch (part)
	{
		case CZ_OPS_TABLE:
			table_script(sql, shard, ops);
			break;
		case CZ_OPS_DROPPED_INDEXES:
			drop_indexes_script(sql, shard, ops);
			foreach(lc, ops->list)
			{
				if (((const Op *) lfirst(lc))->kind == OP_DROP_KEY)
					appendStringInfo(sql, "ALTER TABLE %s %s;\n", shard->remote_qualified,
									 subcommand(lfirst(lc), shard));
			}
			break;
		case CZ_OPS_INDEXES:
			index_script(sql, shard, ops);
			break;
	}
}
