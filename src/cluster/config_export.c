/*-------------------------------------------------------------------------
 *
 * config_export.c
 *	  The cluster as a cluster file: what cz_import_cluster makes of it again.
 *
 * Passwords and SCRAM keys are left out; "password_omitted" says where one was.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cluster_int.h"
#include "cz/settings.h"
#include "distribute_int.h"

PG_FUNCTION_INFO_V1(cz_export_cluster);

/* Options of a server that have keys of their own, or are the extension's. */
static const char *const worker_fields[] = {"host", "port", "dbname", "zone", "weight",
"node_id", "checked", "collation_differs", "identity", "installed_extensions", "partial_aggregates", "server_version", "state", NULL};
static const char *const mapping_fields[] = {"user", "password_required", "password",
"sslpassword", "scram_client_key", "scram_server_key", NULL};

static bool
is_in(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

/* , "key": "value" -- the comma unless this is the first member */
static void
add_string(StringInfo buf, const char *key, const char *value)
{
	if (value == NULL)
		return;
	if (buf->data[buf->len - 1] != '{')
		appendStringInfoString(buf, ", ");
	escape_json(buf, key);
	appendStringInfoString(buf, ": ");
	escape_json(buf, value);
}

static void
add_raw(StringInfo buf, const char *key, const char *value)
{
	if (value == NULL)
		return;
	if (buf->data[buf->len - 1] != '{')
		appendStringInfoString(buf, ", ");
	escape_json(buf, key);
	appendStringInfo(buf, ": %s", value);
}

/* "options": {...} of those that are not in the list */
static void
add_options(StringInfo buf, List *options, const char *const *excluded)
{
	StringInfoData inner;
	ListCell   *cell;

	initStringInfo(&inner);
	appendStringInfoChar(&inner, '{');
	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (!is_in(def->defname, excluded))
			add_string(&inner, def->defname, defGetString(def));
	}
	if (inner.len == 1)
		return;
	appendStringInfoChar(&inner, '}');
	add_raw(buf, "options", inner.data);
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp((char *) lfirst(a), (char *) lfirst(b));
}

/* The user mappings of a server, by role. */
static void
add_mappings(StringInfo buf, Oid server_oid)
{
	Relation	rel = table_open(UserMappingRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *mappings = NIL;
	ListCell   *cell;

	ScanKeyInit(&key, Anum_pg_user_mapping_umserver, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(server_oid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			role_oid = ((Form_pg_user_mapping) GETSTRUCT(tuple))->umuser;
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_pg_user_mapping_umoptions,
										 RelationGetDescr(rel), &isnull);
		List	   *options = isnull ? NIL : untransformRelOptions(datum);
		StringInfoData item;

		initStringInfo(&item);
		appendStringInfoChar(&item, '{');
		add_string(&item, "role", OidIsValid(role_oid) ? GetUserNameFromId(role_oid, false)
				   : "PUBLIC");
		add_string(&item, "user", CzFindOption(options, "user"));
		if (CzFindOption(options, "password_required"))
		{
			bool		required;

			if (parse_bool(CzFindOption(options, "password_required"), &required))
				add_raw(&item, "password_required", required ? "true" : "false");
		}
		if (CzFindOption(options, "password") || CzFindOption(options, "scram_client_key"))
			add_raw(&item, "password_omitted", "true");
		add_options(&item, options, mapping_fields);
		appendStringInfoChar(&item, '}');
		mappings = lappend(mappings, item.data);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (mappings == NIL)
		return;
	list_sort(mappings, compare_names);
	appendStringInfoString(buf, ",\n      \"user_mappings\": [");
	foreach(cell, mappings)
		appendStringInfo(buf, "%s\n        %s", foreach_current_index(cell) > 0 ? "," : "",
						 (char *) lfirst(cell));
	appendStringInfoString(buf, "\n      ]");
}

static void
add_workers(StringInfo buf)
{
	List	   *nodes = NIL;
	ListCell   *cell;

	foreach(cell, CzNodeList(false))
	{
		if (((CzNode *) lfirst(cell))->clone_of == NULL)
			nodes = lappend(nodes, lfirst(cell));
	}
	appendStringInfoString(buf, "  \"workers\": [");
	foreach(cell, nodes)
	{
		CzNode	   *node = (CzNode *) lfirst(cell);
		List	   *options = GetForeignServer(node->server_oid)->options;

		appendStringInfo(buf, "%s\n    {", foreach_current_index(cell) > 0 ? "," : "");
		add_string(buf, "name", node->name);
		add_string(buf, "host", CzFindOption(options, "host"));
		if (CzFindOption(options, "port"))
			add_raw(buf, "port", psprintf("%d", node->port));
		add_string(buf, "dbname", CzFindOption(options, "dbname"));
		add_string(buf, "zone", node->zone);
		if (CzFindOption(options, "weight"))
			add_raw(buf, "weight", psprintf("%.15g", node->weight));
		add_options(buf, options, worker_fields);
		add_mappings(buf, node->server_oid);
		appendStringInfoChar(buf, '}');
	}
	appendStringInfo(buf, "%s]", nodes == NIL ? "" : "\n  ");
}

static void
add_ranges(StringInfo buf, const CzTable *table)
{
	int			n = 0;
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		char	   *lower;
		char	   *upper;

		CzShardBounds(table, i, &lower, &upper);
		appendStringInfoString(buf, n++ == 0 ? ",\n      \"ranges\": [" : ",");
		appendStringInfoString(buf, "\n        {");
		if (lower != NULL)
			add_string(buf, "from", lower);
		if (upper != NULL)
			add_string(buf, "to", upper);
		appendStringInfoChar(buf, '}');
	}
	if (n > 0)
		appendStringInfoString(buf, "\n      ]");
}

/*
 * The tables by OID, that is by age; the first of a colocation group has
 * "none", the others its name.
 */
static void
add_tables(StringInfo buf)
{
	List	   *relids = CzTableList();
	List	   *leaders = NIL;	/* the first table of each group */
	ListCell   *cell;
	int			n = 0;

	list_sort(relids, list_oid_cmp);
	appendStringInfoString(buf, "  \"tables\": [");
	foreach(cell, relids)
	{
		const CzTable *table = CzTableGet(lfirst_oid(cell));
		ListCell   *other;
		Oid			leader = InvalidOid;

		if (table == NULL)
			continue;
		appendStringInfo(buf, "%s\n    {", n++ > 0 ? "," : "");
		add_string(buf, "name", CzRelationName(table->relid));
		add_string(buf, "type", table->kind == CZ_TABLE_REFERENCE ? "reference" :
				   table->kind == CZ_TABLE_RANGE ? (CzIsAppend(table->relid) ? "append" : "range") :
				   table->kind == CZ_TABLE_SINGLE ? "single" : "hash");
		if (table->kind != CZ_TABLE_REFERENCE)
		{
			if (table->key_attno != 0)
				add_string(buf, "column", table->column_names[table->key_attno - 1]);
			foreach(other, leaders)
			{
				const CzTable *leading = CzTableGet(lfirst_oid(other));

				if (leading != NULL && leading->colocation_id == table->colocation_id)
					leader = lfirst_oid(other);
			}
			add_string(buf, "colocate_with",
					   OidIsValid(leader) ? CzRelationName(leader) : "none");
			if (!OidIsValid(leader))
			{
				leaders = lappend_oid(leaders, table->relid);
				if (table->kind == CZ_TABLE_HASH)
					add_raw(buf, "shard_count", psprintf("%d", CzGroupShardCount(table)));
				if (table->nshards > 0)
					add_raw(buf, "replication_factor",
							psprintf("%d",
									 list_length(CzShardServers(table->shards[0].relid))));
			}
		}
		if (table->kind == CZ_TABLE_RANGE)
			add_ranges(buf, table);
		appendStringInfoChar(buf, '}');
	}
	appendStringInfo(buf, "%s]", n == 0 ? "" : "\n  ");
}

/*
 * cz_export_cluster
 *		The cluster as JSON text.
 */
Datum
cz_export_cluster(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	int			nest_level;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to export the cluster"),
				 errdetail("The export shows the options of all user mappings.")));
	/* bounds of shards must be read alike wherever the file is imported */
	nest_level = CzPinTextSettings(CZ_PIN_TEXT | CZ_PIN_MONEY | CZ_PIN_DATE_ORDER);
	initStringInfo(&buf);
	appendStringInfo(&buf, "{\n  \"defaults\": {\"shard_count\": %d", cz_shard_count);
	if (cz_shard_replication_factor > 0)
		appendStringInfo(&buf, ", \"replication_factor\": %d", cz_shard_replication_factor);
	appendStringInfoString(&buf, "},\n");
	add_workers(&buf);
	appendStringInfoString(&buf, ",\n");
	add_tables(&buf);
	appendStringInfoString(&buf, "\n}\n");
	CzUnpinTextSettings(nest_level);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
