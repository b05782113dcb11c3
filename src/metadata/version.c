/*-------------------------------------------------------------------------
 *
 * version.c
 *	  Library and SQL objects of one version, or of different ones.
 *
 * A package brings a new library and new scripts together, but the server goes on
 * with the library that it has loaded until it is restarted, and each database with
 * its objects until ALTER EXTENSION ... UPDATE.  In between, neither is asked to work
 * with the other: what they agree on (columns of tables in cz, arguments of
 * functions) may have changed.  Statements that use no table of ours go on.
 *
 * Scripts ask the other way round: by cz.version, before they make anything.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_foreign_data_wrapper.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "cz/metadata.h"
#include "cz/settings.h"
#include "cz/version.h"

/* The versions were equal; never false again but by making the extension anew, which makes
 * its foreign-data wrapper anew. */
static bool is_checked = false;

static void
fdw_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	is_checked = false;
}

/* "1.10" as 1 * 1000000 + 10, to be compared. */
static int64
number_of(const char *version)
{
	const char *point = strchr(version, '.');

	return (int64) atoi(version) * 1000000 + (point ? atoi(point + 1) : 0);
}

/* Version of the SQL objects of this database; NULL: the extension is not there. */
static char *
sql_version(void)
{
	Oid			extension = get_extension_oid("cz_fdw", true);
	char	   *key = OidIsValid(extension) ? CzExtensionOwnKey(extension, NULL) : NULL;

	return key ? strrchr(key, '/') + 1 : NULL;
}

/*
 * CzCheckVersion
 *		See metadata.h.
 */
void
CzCheckVersion(void)
{
	static bool is_registered = false;
	char	   *version;

	/* the scripts themselves; pg_upgrade makes the objects of the old version, to update them then */
	if (is_checked || !cz_check_version || creating_extension || IsBinaryUpgrade)
		return;
	if (!is_registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, fdw_changed, (Datum) 0);
		is_registered = true;
	}
	version = sql_version();
	if (version == NULL)
		return;
	if (strcmp(version, CZ_VERSION) == 0)
	{
		is_checked = true;
		return;
	}
	if (number_of(version) < number_of(CZ_VERSION))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"cz_fdw\" has version %s in this database, its library %s",
						version, CZ_VERSION),
				 errhint("Run ALTER EXTENSION cz_fdw UPDATE.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"cz_fdw\" has version %s in this database, its library %s",
					version, CZ_VERSION),
			 errhint("Install version %s, or a later one, on this server and restart it.", version)));
}

/*
 * CzExtensionIsThere
 *		See metadata.h.
 */
bool
CzExtensionIsThere(void)
{
	char	   *version = sql_version();

	return version != NULL && (!cz_check_version || strcmp(version, CZ_VERSION) == 0);
}
