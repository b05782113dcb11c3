/*-------------------------------------------------------------------------
 *
 * majors.c
 *	  What tables have that the oldest worker could not make is refused here.
 *
 * With the reason, before a worker is told anything: there it would be a syntax error
 * after others have done their part.  Any worker counts, whatever shards it has: they
 * move.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "cz/compat.h"
#include "cz/metadata.h"
#include "ddl_int.h"

#define UPGRADE_HINT "Upgrade the node, or remove it."

/*
 * CzRequireMajor
 *		See cz/ddl.h.
 */
void
CzRequireMajor(int major, const char *what)
{
	const char *node_name;
	int			oldest = CzOldestMajor(&node_name);

	if (oldest < major)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create %s on the workers", what),
				 errdetail("It came with PostgreSQL %d, and node \"%s\" runs %d.", major,
						   node_name, oldest),
				 errhint(UPGRADE_HINT)));
}

/*
 * CzRequireKnown
 *		See ddl_int.h.
 */
void
CzRequireKnown(Node *expr, const char *what)
{
	const char *reason;

	if (CzExprIsTooNew(expr, &reason))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create %s on the workers", what),
				 errdetail("In it, %s.", reason),
				 errhint(UPGRADE_HINT)));
}

/*
 * CzTypeSql
 *		See ddl_int.h.
 */
char *
CzTypeSql(Oid type, int32 typmod)
{
	char	   *sql = format_type_extended(type, typmod,
										   FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);

	CzRequireMajor(CzTypmodMajor(getBaseType(type), typmod), psprintf("a column of type %s", sql));
	return sql;
}

/*
 * CzRequireOption
 *		See ddl_int.h.
 */
void
CzRequireOption(const char *name)
{
	static const struct
	{
		const char *name;
		int			major;
	}			later[] = {
		{"autovacuum_vacuum_max_threshold", 18},
		{"vacuum_max_eager_freeze_failure_rate", 18},
	};
	int			i;

	if (strncmp(name, "toast.", 6) == 0)
		name += 6;
	for (i = 0; i < lengthof(later); i++)
	{
		if (strcmp(name, later[i].name) == 0)
			CzRequireMajor(later[i].major, psprintf("storage parameter \"%s\"", name));
	}
}
