/*-------------------------------------------------------------------------
 *
 * usernames.c
 *	  What the user calls a shard, and an index or a constraint of one.
 *
 * A worker's error names "users_102008" and "users_email_key_102008"; drivers
 * and people look for "users" and "users_email_key".  Read from the catalogs,
 * without a lock: this runs while an error is being reported, most often of a
 * table that the statement has locked.  A name that can't be traced stays as it
 * is.
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
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "utils/acl.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "miscadmin.h"

#include "cz/errors.h"
#include "metadata_int.h"

/*
 * CzShardIndexName
 *		See metadata.h.
 */
char *
CzShardIndexName(const char *name, int64 shard_id)
{
	char		suffix[48];
	int			len = strlen(name);
	int			room;

	snprintf(suffix, sizeof(suffix), "_" INT64_FORMAT, shard_id);
	if (len + (int) strlen(suffix) > NAMEDATALEN - 1)
		snprintf(suffix, sizeof(suffix), "_%08x_" INT64_FORMAT,
				 hash_bytes((const unsigned char *) name, len), shard_id);
	room = NAMEDATALEN - 1 - (int) strlen(suffix);
	return psprintf("%.*s%s", pg_mbcliplen(name, len, room), name, suffix);
}

/* The number behind a name's last underscore; 0: it has none. */
static int64
id_of_name(const char *name)
{
	const char *digits = strrchr(name, '_');
	char	   *end;
	int64		id;

	if (digits == NULL || digits[1] < '1' || digits[1] > '9')
		return 0;
	errno = 0;
	id = strtoi64(digits + 1, &end, 10);
	return errno == 0 && *end == '\0' ? id : 0;
}

/* The table of which "name" in cz_shards is a shard or a copy; InvalidOid: none. */
static Oid
table_of_shard(const char *name, int64 shard_id)
{
	Oid			namespace_oid = get_namespace_oid(CZ_SHARD_SCHEMA, true);
	Oid			relid;
	ListCell   *lc;

	if (!OidIsValid(namespace_oid))
		return InvalidOid;
	relid = get_relname_relid(name, namespace_oid);
	if (OidIsValid(relid))
		return get_rel_relispartition(relid) ? CzTableOfLeaf(relid) : InvalidOid;

	/* copies of a reference table have no relation of their own here */
	foreach(lc, CzReferenceTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table != NULL && table->nshards == 1 && table->shards[0].shard_id == shard_id &&
			strcmp(table->shards[0].remote_name, name) == 0)
			return table->relid;
	}
	/* nor have those of partitions */
	return CzPartitionOfShard(shard_id);
}

/*
 * index_of_name
 *		The name of a table's index that is called "remote" on a shard; NULL: none.
 *
 * Names of constraints that are no indexes are the same on shards.
 */
static char *
index_of_name(Oid relid, const char *remote, int64 shard_id)
{
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	char	   *result = NULL;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (result == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		char	   *name = get_rel_name(((Form_pg_index) GETSTRUCT(tuple))->indexrelid);

		if (name != NULL && strcmp(CzShardIndexName(name, shard_id), remote) == 0)
			result = name;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* The number of the shard of the partitioned table whose foreign keys a partition's shard has. */
static int64
id_at_top(Oid relid, int64 shard_id)
{
	const CzTable *table = CzTableGet(relid);
	const CzTable *root = table != NULL && OidIsValid(table->root_relid) ?
		CzTableGet(table->root_relid) : NULL;
	int			i;

	for (i = 0; root != NULL && i < table->nshards; i++)
	{
		if (table->shards[i].name_id == shard_id)
			return root->shards[i].name_id;
	}
	return 0;
}

/*
 * constraint_of_name
 *		The same for a constraint or for an index that is being made: its entry
 *		in the catalogs may not be there yet, so the shard's number is taken off.
 */
static char *
constraint_of_name(Oid relid, const char *remote, int64 shard_id)
{
	char	   *result;
	char	   *suffix;

	if (OidIsValid(get_relation_constraint_oid(relid, remote, true)))
		return pstrdup(remote);
	result = index_of_name(relid, remote, shard_id);
	if (result != NULL)
		return result;
	if (id_of_name(remote) != shard_id)
		shard_id = id_at_top(relid, shard_id);
	if (shard_id == 0 || id_of_name(remote) != shard_id)
		return NULL;
	result = pstrdup(remote);
	suffix = strrchr(result, '_');
	*suffix = '\0';
	if (result[0] == '\0' || strcmp(CzShardIndexName(result, shard_id), remote) != 0)
		return NULL;
	return result;
}

/* The key at the top of a partition's, as pg_constraint has it; the caller frees. */
static HeapTuple
key_at_top(HeapTuple key)
{
	HeapTuple	top = heap_copytuple(key);
	Oid			parent_oid;

	while (OidIsValid(parent_oid = ((Form_pg_constraint) GETSTRUCT(top))->conparentid))
	{
		HeapTuple	parent = SearchSysCacheCopy1(CONSTROID, ObjectIdGetDatum(parent_oid));

		if (!HeapTupleIsValid(parent))
			break;
		heap_freetuple(top);
		top = parent;
	}
	return top;
}

/* Is it the key here that a shard, number index, has under this name? */
static bool
is_key_of_shard(HeapTuple key, int index, const char *remote)
{
	HeapTuple	top = key_at_top(key);
	Form_pg_constraint own = (Form_pg_constraint) GETSTRUCT(key);
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(top);
	const CzTable *table = CzTableGet(con->conrelid);
	bool		result = (con->oid == own->oid || con->conrelid != own->conrelid) &&
		table != NULL && index < table->nshards &&
		strcmp(CzShardIndexName(NameStr(con->conname), table->shards[index].name_id), remote) == 0;

	heap_freetuple(top);
	return result;
}

/* Are these the referenced columns of a key? */
static bool
has_columns(HeapTuple key, const char *columns)
{
	AttrNumber	attnos[INDEX_MAX_KEYS];
	AttrNumber	others[INDEX_MAX_KEYS];
	int			n;
	StringInfoData buf;
	int			i;

	DeconstructFkConstraintRow(key, &n, others, attnos, NULL, NULL, NULL, NULL, NULL);
	initStringInfo(&buf);
	for (i = 0; i < n; i++)
	{
		char	   *name = get_attname(((Form_pg_constraint) GETSTRUCT(key))->confrelid, attnos[i],
									   true);

		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", name ? name : "");
	}
	return strcmp(buf.data, columns) == 0;
}

/*
 * user_key_name
 *		The other hook of errors.h.
 *
 * A key of a partition's shard has the name of the one at the top.  What a worker has made
 * for a key to a partition, for the rows of that, has a name of its own: it is found by the
 * two tables, and by the columns.
 */
static char *
user_key_name(const char *remote_table, const char *remote_constraint,
			  const char *remote_other, const char *columns)
{
	int64		shard_id = id_of_name(remote_table);
	int64		other_id = remote_other ? id_of_name(remote_other) : 0;
	Oid			relid;
	Oid			other_relid;
	const CzTable *table;
	int			index = 0;
	Relation	catalog;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	char	   *result = NULL;
	int			result_rank = 0;	/* 3: surely it, 2: by its columns */

	if (shard_id == 0 || !IsTransactionState() || !OidIsValid(CzFdwOid()))
		return NULL;
	relid = table_of_shard(remote_table, shard_id);
	other_relid = other_id != 0 ? table_of_shard(remote_other, other_id) : InvalidOid;
	table = OidIsValid(relid) ? CzTableGet(relid) : NULL;
	while (table != NULL && index < table->nshards && table->shards[index].name_id != shard_id)
		index++;
	if (table == NULL || index >= table->nshards)
		return NULL;
	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (result_rank < 3 && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
		bool		is_below;
		int			rank;

		if (con->contype != CONSTRAINT_FOREIGN)
			continue;
		/* those of partitions come after the table's own, whose name they would have */
		is_below = OidIsValid(con->conparentid) && con->confrelid == other_relid;
		if (!is_below && is_key_of_shard(tuple, index, remote_constraint))
			rank = other_relid == InvalidOid || con->confrelid == other_relid ? 3 : 1;
		else if (is_below)
			rank = columns != NULL && has_columns(tuple, columns) ? 2 : 1;
		else
			continue;
		if (rank <= result_rank)
			continue;
		result = pstrdup(NameStr(con->conname));
		result_rank = rank;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * index_of_shard
 *		The names of an index that is called "remote" on a shard, told by the shard's
 *		number alone.
 */
static bool
index_of_shard(const char *remote, int64 shard_id, CzUserNames *names)
{
	ListCell   *lc;
	int			i;

	foreach(lc, CzTableListAll())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && i < table->nshards; i++)
		{
			if (table->shards[i].name_id != shard_id)
				continue;
			memset(names, 0, sizeof(CzUserNames));
			names->table = index_of_name(table->relid, remote, shard_id);
			names->schema = get_namespace_name(get_rel_namespace(table->relid));
			return names->table != NULL && names->schema != NULL;
		}
	}
	return false;
}

/*
 * may_see_rows
 *		May the current user see whole rows of a table?
 *
 * DETAIL of a violated constraint holds a row or a key as the worker's role sees
 * it, columns too that the user here may not read; core hides those likewise.
 */
static bool
may_see_rows(Oid relid)
{
	return superuser() ||
		(pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		 check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED);
}

/*
 * user_names
 *		The hook of errors.h.
 */
static bool
user_names(const char *remote_table, const char *remote_constraint, CzUserNames *names)
{
	int64		shard_id = id_of_name(remote_table);
	Oid			relid;

	if (shard_id == 0 || !IsTransactionState() || !OidIsValid(CzFdwOid()))
		return false;
	relid = table_of_shard(remote_table, shard_id);
	if (!OidIsValid(relid))
		return remote_constraint == NULL && index_of_shard(remote_table, shard_id, names);
	names->table = get_rel_name(relid);
	names->schema = get_namespace_name(get_rel_namespace(relid));
	if (names->table == NULL || names->schema == NULL)
		return false;
	names->constraint = remote_constraint ?
		constraint_of_name(relid, remote_constraint, shard_id) : NULL;
	names->may_see_rows = may_see_rows(relid);
	return true;
}

/*
 * CzUserNamesInit
 *		Errors of workers are reported with the user's names from now on.
 */
void
CzUserNamesInit(void)
{
	cz_user_names_hook = user_names;
	cz_key_name_hook = user_key_name;
}
