/*-------------------------------------------------------------------------
 *
 * extensions.c
 *	  Which of our extensions all workers have.
 *
 * A worker's option installed_extensions says which extensions have been seen
 * there, each with schema and version; ddl/extensions.c keeps it.  What every
 * worker in use has exactly as the coordinator has it may be named in a fragment:
 * types, and functions and operators as far as shippable.c finds them to depend on
 * their arguments alone.  Another version may compute something else, and in
 * another schema the name would not be found.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "metadata_int.h"

/* Keys that every worker in use has, and the memory that holds them. */
static List *shared_keys = NIL;
static MemoryContext shared_context = NULL;
static bool is_known = false;	/* are they what the catalogs say? */
static uint64 changes = 0;		/* of any server, ever */

static void
servers_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	is_known = false;
	changes++;
}

/*
 * CzExtensionKey
 *		See metadata.h.
 */
char *
CzExtensionKey(const char *name, const char *schema, const char *version)
{
	return psprintf("%s/%s/%s", name, schema, version);
}

/*
 * CzExtensionOwnKey
 *		See metadata.h.
 */
char *
CzExtensionOwnKey(Oid extension_oid, char **schema_name)
{
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *result = NULL;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension_oid));
	scan = systable_beginscan(catalog, ExtensionOidIndexId, true, NULL, 1, &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);
		bool		isnull;
		Datum		version = heap_getattr(tuple, Anum_pg_extension_extversion,
										   RelationGetDescr(catalog), &isnull);
		char	   *schema = get_namespace_name(form->extnamespace);

		if (!isnull && schema != NULL)
			result = CzExtensionKey(NameStr(form->extname), schema, TextDatumGetCString(version));
		if (schema_name != NULL)
			*schema_name = schema;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * CzNodeExtensions
 *		See metadata.h.
 */
List *
CzNodeExtensions(Oid server_oid)
{
	ForeignServer *server = GetForeignServerExtended(server_oid, FSV_MISSING_OK);
	const char *value = server ? CzFindOption(server->options, "installed_extensions") : NULL;
	List	   *keys = NIL;

	if (value == NULL || !SplitIdentifierString(pstrdup(value), ',', &keys))
		return NIL;
	return keys;
}

/*
 * CzListHasString
 *		See metadata.h.
 */
bool
CzListHasString(List *strings, const char *string)
{
	ListCell   *lc;

	foreach(lc, strings)
	{
		if (strcmp(lfirst(lc), string) == 0)
			return true;
	}
	return false;
}

/* Keys that all workers in use have. */
static List *
find_shared_keys(void)
{
	List	   *result = NIL;
	bool		is_first = true;
	ListCell   *node;
	ListCell   *lc;

	foreach(node, CzNodeList(true))
	{
		List	   *keys;

		if (!((CzNode *) lfirst(node))->is_checked)
			continue;			/* has no shards yet */
		keys = CzNodeExtensions(((CzNode *) lfirst(node))->server_oid);
		if (is_first)
			result = keys;
		else
		{
			foreach(lc, result)
			{
				if (!CzListHasString(keys, lfirst(lc)))
					result = foreach_delete_current(result, lc);
			}
		}
		is_first = false;
	}
	return result;
}

/* Bring shared_keys up to date. */
static void
read_shared_keys(void)
{
	uint64		before = changes;
	List	   *keys = find_shared_keys();
	ListCell   *lc;
	MemoryContext old;

	MemoryContextReset(shared_context);
	shared_keys = NIL;
	old = MemoryContextSwitchTo(shared_context);
	foreach(lc, keys)
		shared_keys = lappend(shared_keys, pstrdup(lfirst(lc)));
	MemoryContextSwitchTo(old);
	/* reading the catalogs processes invalidations: then they are read again next time */
	is_known = before == changes;
}

/*
 * CzExtensionIsShared
 *		See metadata.h.
 */
bool
CzExtensionIsShared(Oid extension_oid)
{
	char	   *key;

	if (!OidIsValid(extension_oid))
		return false;
	if (shared_context == NULL)
	{
		shared_context = AllocSetContextCreate(CacheMemoryContext, "cz shared extensions",
											   ALLOCSET_SMALL_SIZES);
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, servers_changed, (Datum) 0);
	}
	if (!is_known)
		read_shared_keys();
	if (shared_keys == NIL)
		return false;
	key = CzExtensionOwnKey(extension_oid, NULL);
	return key != NULL && CzListHasString(shared_keys, key);
}

/*
 * CzReadsTrigramSettings
 *		See metadata.h.
 */
bool
CzReadsTrigramSettings(Oid function)
{
	static const char *const names[] = {
		"similarity_op", "word_similarity_op", "word_similarity_commutator_op",
		"strict_word_similarity_op", "strict_word_similarity_commutator_op"
	};
	Oid			extension = getExtensionOfObject(ProcedureRelationId, function);
	char	   *extension_name = OidIsValid(extension) ? get_extension_name(extension) : NULL;
	char	   *name = get_func_name(function);
	int			i;

	if (extension_name == NULL || name == NULL || strcmp(extension_name, "pg_trgm") != 0)
		return false;
	for (i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}
