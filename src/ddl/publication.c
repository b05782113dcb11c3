/*-------------------------------------------------------------------------
 *
 * publication.c
 *	  Publications and distributed tables.
 *
 * Logical replication reads this server's WAL, where rows that are on workers never
 * are.  A publication that names a distributed table is refused; of one that would
 * contain it as one of many a warning tells.  Reference tables are published as usual:
 * their rows are here, too.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_publication.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"

#include "ddl_int.h"

static bool
is_sharded(const CzTable *table)
{
	return table != NULL && CzTableIsDistributed(table);
}

static void
warn(int ntables, Oid first)
{
	ereport(WARNING,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg_plural("publication does not contain the rows of %d distributed table, \"%s\"",
						   "publication does not contain the rows of %d distributed tables, \"%s\" among them",
						   ntables, ntables, get_rel_name(first)),
			 errdetail("They are on the workers; logical replication reads this server's WAL.")));
}

/*
 * CzWarnIfPublished
 *		See ddl.h.
 */
void
CzWarnIfPublished(Oid relid)
{
	if (GetRelationPublications(relid) != NIL || GetAllTablesPublications() != NIL ||
		GetSchemaPublications(get_rel_namespace(relid)) != NIL)
		warn(1, relid);
}

/* Warn of the distributed tables of one schema, or of all if it is invalid. */
static void
warn_of_tables(Oid namespace_oid)
{
	int			ntables = 0;
	Oid			first = InvalidOid;
	ListCell   *lc;

	foreach(lc, CzTableList())
	{
		Oid			relid = lfirst_oid(lc);

		if (!is_sharded(CzTableGet(relid)) ||
			(OidIsValid(namespace_oid) && get_rel_namespace(relid) != namespace_oid))
			continue;
		if (ntables++ == 0)
			first = relid;
	}
	if (ntables > 0)
		warn(ntables, first);
}

static void
check_object(const PublicationObjSpec *object)
{
	const CzTable *table;

	switch (object->pubobjtype)
	{
		case PUBLICATIONOBJ_TABLE:
			table = CzTableOfName(object->pubtable->relation);
			if (is_sharded(table))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot publish distributed table \"%s\"",
								get_rel_name(table->relid)),
						 errdetail("Its rows are on the workers; logical replication reads this server's WAL."),
						 errhint("Publish its shards, tables of schema cz_shards, on the workers.")));
			break;
		case PUBLICATIONOBJ_TABLES_IN_SCHEMA:
			{
				Oid			namespace_oid = get_namespace_oid(object->name, true);

				if (OidIsValid(namespace_oid))
					warn_of_tables(namespace_oid);
			}
			break;
		case PUBLICATIONOBJ_TABLES_IN_CUR_SCHEMA:
			{
				List	   *path = fetch_search_path(false);

				if (path != NIL)
					warn_of_tables(linitial_oid(path));
				list_free(path);
			}
			break;
		default:
			break;
	}
}

/*
 * CzCheckPublication
 *		See ddl_int.h.
 */
void
CzCheckPublication(Node *stmt)
{
	List	   *objects;
	bool		for_all;
	ListCell   *lc;

	if (IsA(stmt, CreatePublicationStmt))
	{
		objects = castNode(CreatePublicationStmt, stmt)->pubobjects;
		for_all = castNode(CreatePublicationStmt, stmt)->for_all_tables;
	}
	else
	{
		if (castNode(AlterPublicationStmt, stmt)->action == AP_DropObjects)
			return;
		objects = castNode(AlterPublicationStmt, stmt)->pubobjects;
		for_all = false;
	}
	foreach(lc, objects)
		check_object(lfirst(lc));
	if (for_all)
		warn_of_tables(InvalidOid);
}
